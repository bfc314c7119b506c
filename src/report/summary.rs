//! The job summary: Markdown that reads well on a phone. Rewritten whole as the run goes, so a killed run leaves one.
//! Texts that strangers wrote are escaped; what Markdown, HTML or a mention would make of them never happens.

use std::fmt::Write;

use super::story::{self, Ear, Heard, Step, Story};
use crate::{
    domain::{Outcome, Strategy},
    execute::Diagnosis,
    gate::{self, Verdict},
    plan,
    text::{html, markdown as text},
};

/// Log lines that the summary shows; the evidence file has all.
const LOG_LINES: usize = 50;

/// Digits of a digest that are shown: as many as docker shows of an id.
const SHOWN_DIGITS: usize = 12;

/// The summary of `story` so far.
#[must_use]
pub fn render(story: &Story) -> String {
    let mut page = format!("## {}\n\n", text(&story::headline(story)));
    if let Some(end) = &story.end
        && let Some(failure) = &end.failure
    {
        let _ = writeln!(page, "**{}**\n", text(&failure.what));
        if !failure.consequence.is_empty() {
            let _ = writeln!(page, "It means: {}\n", text(&failure.consequence));
        }
        for step in &failure.next {
            let _ = writeln!(page, "- {}", text(step));
        }
        if !failure.next.is_empty() {
            page.push('\n');
        }
    }
    facts(&mut page, story);
    super::release::tell(&mut page, story);
    super::release::news(&mut page, story);
    if let Some(checklist) = &story.checklist {
        super::preflight::table(&mut page, checklist, super::preflight::Markup { text, link });
    }
    steps(&mut page, story);
    super::watching::traffic(&mut page, story, text);
    super::watching::watch(&mut page, story, text);
    smoke(&mut page, story);
    final_checks(&mut page, story);
    probes(&mut page, story);
    if let Some(diagnosis) = &story.diagnosis {
        self::diagnosis(&mut page, diagnosis);
    }
    if let Some(path) = &story.page {
        let file = path.rsplit(['/', '\\']).next().unwrap_or(path);
        let _ = writeln!(page, "The whole of it on one page, to keep and to send around: {}\n", code(file));
    }
    told(&mut page, story);
    notes(&mut page, story);
    page
}

/// The summary of a run that was refused before there was a rollout.
#[must_use]
pub fn refused(failure: &crate::failure::Failure) -> String {
    let mut page = format!("## ⛔ Refused: nothing was touched\n\n{}\n\n", fence(&failure.what));
    for step in &failure.next {
        let _ = writeln!(page, "- {}", text(step));
    }
    page
}

fn facts(page: &mut String, story: &Story) {
    let Some(rollout) = &story.rollout else { return };
    let mut row = |name: &str, value: String| {
        if !value.is_empty() {
            let _ = writeln!(page, "| {name} | {value} |");
        }
    };
    row("", " ".into());
    row("---", "---".into());
    row("Version", code(story.version_words()));
    if let Some(previous) = story.plan.as_ref().and_then(|plan| plan.previous.as_ref()) {
        row("Before", code(previous.as_str()));
    }
    if let Some(switched) = story.current() {
        let version = story.runs(&switched.to.instance).map_or_else(String::new, |version| format!(", runs {}", code(version.as_str())));
        row("Live", format!("{} ({}){version}", text(switched.to.slot.as_str()), code(switched.to.instance.as_str())));
    }
    row("Environment", text(rollout.environment.as_str()));
    if let Some(url) = &rollout.url {
        row("Address", link(url, url));
    }
    if let Some(probe) = story.healthy_probe().filter(|_| !story.has_ended_badly()) {
        let path = url::Url::parse(&probe.url).map_or_else(|_| probe.url.clone(), |url| url.path().to_owned());
        row("Health", format!("{} → {}", code(&path), text(&story::answer(&probe.result))));
    }
    if let Some(end) = &story.end {
        row("Duration", story::duration(end.duration_ms));
    }
    match rollout.strategy {
        Strategy::Direct => row("Instance", code(&format!("{}/{}", rollout.resource_group, rollout.instance))),
        Strategy::BlueGreen | Strategy::Canary => row("Resource group", code(&rollout.resource_group)),
    }
    if let Some(image) = &story.image {
        row("Digest", code(&short_digests(image.digest.as_str())));
    }
    if let Some(sha) = &rollout.sha {
        let short = sha.get(..7).unwrap_or(sha);
        row("Commit", rollout.commit_url.as_ref().map_or_else(|| code(short), |url| link(short, url)));
    }
    if let Some(actor) = &rollout.actor {
        row("Asked for by", text(actor));
    }
    let links = [("Log", &rollout.run_url), ("Dashboard", &rollout.dashboard), ("Docs", &rollout.docs)];
    let links: Vec<String> = links.into_iter().filter_map(|(name, url)| Some(link(name, url.as_ref()?))).collect();
    row("Links", links.join(" · "));
    page.push('\n');
}

fn steps(page: &mut String, story: &Story) {
    let Some(plan) = &story.plan else { return };
    page.push_str("### Steps\n\n| | step | took |\n|---|---|---|\n");
    for (index, (step, state)) in plan.steps.iter().zip(&story.steps).enumerate() {
        if index == story.planned {
            page.push_str("| ↩️ | *taken back:* | |\n");
        }
        let (mark, took) = match state {
            Step::Waiting => ("▫️", String::new()),
            Step::Running => ("⏳", "…".into()),
            Step::Done { duration_ms } => ("✅", story::duration(*duration_ms)),
            Step::Failed { duration_ms } => ("❌", story::duration(*duration_ms)),
        };
        let why = if let plan::Step::DeleteInstance { why, .. } = step { format!(": {why}") } else { String::new() };
        let _ = writeln!(page, "| {mark} | {} | {} |", text(&format!("{step}{why}")), super::watching::unbroken(&took));
    }
    page.push('\n');
    let mut changes = Vec::new();
    for step in &plan.steps {
        if let plan::Step::UpdateInstance { changes: more, .. } = step {
            changes.extend(more);
        }
    }
    if !changes.is_empty() {
        let _ = writeln!(page, "<details><summary>What changes ({})</summary>\n", changes.len());
        for change in changes {
            let _ = writeln!(page, "- {}", text(change));
        }
        page.push_str("\n</details>\n\n");
    }
}

/// The smoke tests, those of each step together: first on the instance itself, then where people are. What they answered is
/// folded, unless it is bad.
fn smoke(page: &mut String, story: &Story) {
    for tests in story.smoke.chunk_by(|one, next| one.step == next.step) {
        let step = tests.first().and_then(|test| story.plan.as_ref()?.steps.get(test.step));
        let title = step.map_or_else(|| "Smoke tests".to_owned(), smoke_title);
        let _ = writeln!(page, "### {}\n\n| | path | answer | took |\n|---|---|---|---|", text(&title));
        for test in tests {
            let mark = if test.result.is_good() { "✅" } else { "❌" };
            let answer = text(&story::answer(&test.result));
            let _ = writeln!(page, "| {mark} | {} | {answer} | {} |", code(&test.path), story::duration(test.result.latency_ms));
        }
        page.push('\n');
        let (good, bad): (Vec<_>, Vec<_>) =
            tests.iter().filter(|test| !test.result.excerpt.is_empty()).partition(|test| test.result.is_good());
        for test in bad {
            let (path, answer) = (html(&test.path), fence(&test.result.excerpt));
            let _ = writeln!(page, "<details open><summary>{path} answered</summary>\n\n{answer}\n</details>\n");
        }
        if !good.is_empty() {
            page.push_str("<details><summary>What they answered</summary>\n\n");
            for test in good {
                let _ = writeln!(page, "{}\n\n{}\n", code(&test.path), fence(&test.result.excerpt));
            }
            page.push_str("</details>\n\n");
        }
    }
}

/// What smoke tests were of: those of steps that were carried out at the same time stand together.
fn smoke_title(step: &plan::Step) -> String {
    let plan::Step::Together { lanes } = step else { return step.to_string() };
    let on: Vec<&str> = lanes
        .iter()
        .flatten()
        .filter_map(|step| match step {
            plan::Step::Smoke { target: plan::SmokeTarget::Instance(instance), .. } => Some(instance.as_str()),
            _ => None,
        })
        .collect();
    format!("Smoke tests on {}", on.join(", "))
}

/// The final checks: each number, what it must be, and how it was asked for.
fn final_checks(page: &mut String, story: &Story) {
    if story.checks.is_empty() {
        return;
    }
    page.push_str("### Final checks\n\n| | check | number | must be | asked | took |\n|---|---|---|---|---|---|\n");
    for (_, checked) in &story.checks {
        let mark = match checked.verdict {
            Verdict::Pass => "✅",
            Verdict::Breach => "❌",
            Verdict::TooLittleData | Verdict::SourceError | Verdict::Stale => "❔",
        };
        let _ = writeln!(
            page,
            "| {mark} | {} | {} | {} | {} | {} |",
            text(&checked.check.name),
            text(&checked.found()),
            text(&gate::wanted(&checked.check.ask)),
            code(&checked.asked),
            story::duration(checked.took_ms)
        );
    }
    page.push('\n');
}

fn probes(page: &mut String, story: &Story) {
    if story.probes.is_empty() {
        return;
    }
    let good = story.healthy_probe().is_some();
    let words = if good { "healthy" } else { "not healthy" };
    let _ = writeln!(
        page,
        "<details><summary>Health probes: {words} after {}</summary>\n\n| probe | answer | took |\n|---|---|---|",
        story.probes.len()
    );
    for probe in &story.probes {
        let _ = writeln!(
            page,
            "| {}/{} | {} | {} |",
            probe.attempt,
            probe.of,
            text(&story::answer(&probe.result)),
            story::duration(probe.result.latency_ms)
        );
    }
    page.push_str("\n</details>\n\n");
}

fn diagnosis(page: &mut String, diagnosis: &Diagnosis) {
    let _ = writeln!(page, "### What to do: {}\n", text(&diagnosis.entry));
    for (index, step) in diagnosis.advice.iter().enumerate() {
        // A command is shown as one, so that it can be copied.
        let shown = match step.split_once(": az ") {
            Some((what, command)) => format!("{}: {}", text(what), code(&format!("az {command}"))),
            None => text(step),
        };
        let _ = writeln!(page, "{}. {shown}", index + 1);
    }
    if let Some(configuration) = &diagnosis.configuration {
        let _ = writeln!(page, "\nIn `deploy.yml`:\n\n```yaml\n{}```", configuration);
    }
    page.push_str("\n### What was found\n\n");
    if let Some(instance) = &diagnosis.instance {
        let _ = writeln!(page, "{}\n", text(&super::terminal::instance_line(instance)));
        if !instance.events.is_empty() {
            page.push_str("| Azure's event | times | |\n|---|---|---|\n");
            for event in instance.events.iter().rev().take(15).rev() {
                let message = text(&short_digests(&event.message));
                let _ = writeln!(page, "| {} | {} | {message} |", text(&event.name), event.count.max(1));
            }
            page.push('\n');
        }
    }
    if !diagnosis.logs.is_empty() {
        let last = diagnosis.logs.len().saturating_sub(LOG_LINES);
        let lines = diagnosis.logs.get(last..).unwrap_or_default().join("\n");
        let _ = writeln!(page, "Last log lines of the container:\n\n{}", fence(&lines));
    }
    for missing in &diagnosis.missing {
        let _ = writeln!(page, "- could not be read: {}", text(missing));
    }
    page.push('\n');
}

/// Who was told, and who was not: Slack alone where there is no incident to tell anybody of.
fn told(page: &mut String, story: &Story) {
    let calls_people = match story.rollout.as_ref().map(|rollout| rollout.strategy) {
        None | Some(Strategy::Direct) => false,
        Some(Strategy::BlueGreen | Strategy::Canary) => true,
    };
    let ears = story.audience.iter().filter(|(ear, _)| match ear {
        Ear::Slack => true,
        Ear::Incidents | Ear::PagerDuty | Ear::StatusPage => calls_people,
        // Only a release to production has any.
        Ear::ReleaseNotes => story.rollout.as_ref().is_some_and(|rollout| rollout.strategy == Strategy::Canary),
    });
    let (mut told, mut nothing, mut off, mut missed) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for (ear, heard) in ears {
        let name = ear.as_str();
        match heard {
            Heard::Listening => {}
            Heard::Told(what) => told.push(format!("{name}: {what}")),
            Heard::Nothing => nothing.push(name.to_owned()),
            Heard::Off(why) => off.push(format!("{name} ({why})")),
            Heard::Missed => missed.push(name.to_owned()),
        }
    }
    let parts = [("Told", told, "; "), ("Nothing to tell", nothing, ", "), ("Not reached", missed, ", "), ("Off", off, ", ")];
    let parts: Vec<String> = parts
        .into_iter()
        .filter(|(_, all, _)| !all.is_empty())
        .map(|(word, all, between)| format!("**{word}**: {}", text(&all.join(between))))
        .collect();
    if !parts.is_empty() {
        let _ = writeln!(page, "{}\n", parts.join(" · "));
    }
}

fn notes(page: &mut String, story: &Story) {
    let notices = story.plan.iter().flat_map(|plan| &plan.notices);
    let all: Vec<&String> = story.warnings.iter().chain(notices).collect();
    if !all.is_empty() {
        page.push_str("### Notes\n\n");
        for note in all {
            let _ = writeln!(page, "- ⚠️ {}", text(note));
        }
        page.push('\n');
    }
    if !story.retries.is_empty() {
        let _ = writeln!(page, "<details><summary>Repeated requests ({})</summary>\n", story.retries.len());
        for retry in story.retries.iter().take(100) {
            let _ = writeln!(page, "- {}", text(retry));
        }
        page.push_str("\n</details>\n\n");
    }
    if let Some(rollout) = &story.rollout {
        let unfinished = match story.end.as_ref().map(|end| end.outcome) {
            None => " · still running",
            Some(Outcome::Healthy | Outcome::RolledBack | Outcome::Held | Outcome::Failed | Outcome::Refused | Outcome::Unchanged) => "",
        };
        let _ = writeln!(page, "<sub>rollout {}{unfinished}</sub>", html(rollout.id.as_str()));
    }
}

/// `text` as code within a line and within a table.
pub(crate) fn code(text: &str) -> String {
    format!(
        "<code>{}</code>",
        html(text).replace('|', "&#124;").replace('@', "@\u{200d}").replace('*', "&#42;").replace('_', "&#95;").replace('`', "&#96;")
    )
}

/// A link, where `url` is one of the web; else the name alone.
pub(crate) fn link(name: &str, url: &str) -> String {
    match url::Url::parse(url) {
        Ok(parsed) if matches!(parsed.scheme(), "http" | "https") => {
            format!("[{}]({})", text(name), parsed.as_str().replace('(', "%28").replace(')', "%29").replace('|', "%7C"))
        }
        _ => text(name),
    }
}

/// `text` with its digests cut: whole they are wider than a phone; the output `digest` and the evidence file have all of them.
fn short_digests(text: &str) -> String {
    let mut parts = text.split("sha256:");
    let mut short = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let digits = part.bytes().take_while(u8::is_ascii_hexdigit).count();
        let (digest, rest) = part.split_at_checked(digits).unwrap_or((part, ""));
        short.push_str("sha256:");
        match digest.get(..SHOWN_DIGITS) {
            Some(first) if digits > SHOWN_DIGITS => short.extend([first, "…"]),
            Some(_) | None => short.push_str(digest),
        }
        short.push_str(rest);
    }
    short
}

/// `text` in a code fence that nothing in it can end.
pub(super) fn fence(text: &str) -> String {
    let longest = text.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest.max(2) + 1);
    format!("{fence}text\n{text}\n{fence}")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn nothing_ends_a_fence(given in "(?s)[`a\n]{0,60}") {
            let fenced = fence(&given);
            let ticks: String = fenced.chars().take_while(|c| *c == '`').collect();
            prop_assert_eq!(fenced.lines().skip(1).filter(|line| line.starts_with(&ticks)).count(), 1);
        }
    }

    #[test]
    fn digests_are_cut_and_nothing_else_is() {
        let digest = "0123456789abcdef".repeat(4);
        assert_eq!(short_digests(&format!("pulled a@sha256:{digest}\" and b")), "pulled a@sha256:0123456789ab…\" and b");
        for same in ["", "sha256:", "sha256:0123456789ab", "a sha256:zz sha256:é", "no digest"] {
            assert_eq!(short_digests(same), same);
        }
    }

    #[test]
    fn only_web_links_are_links() {
        assert_eq!(link("x", "javascript:alert(1)"), "x");
        assert_eq!(link("a]b", "https://h/(x)"), "[a\\]b](https://h/%28x%29)");
    }
}
