//! The job summary: Markdown that reads well on a phone. Rewritten whole as the run goes, so a killed run leaves one.
//! Texts that strangers wrote are escaped; what Markdown, HTML or a mention would make of them never happens.

use std::fmt::Write;

use super::story::{self, Ear, Heard, Step, Story};
use crate::{
    domain::{Outcome, Strategy},
    execute::Diagnosis,
};

/// Log lines that the summary shows; the evidence file has all.
const LOG_LINES: usize = 50;

/// Characters of a digest that are shown: `sha256:` and twelve digits, as docker shows ids.
const SHOWN_DIGEST: usize = 19;

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
    steps(&mut page, story);
    super::watching::traffic(&mut page, story, text);
    super::watching::watch(&mut page, story, text);
    smoke(&mut page, story);
    probes(&mut page, story);
    if let Some(diagnosis) = &story.diagnosis {
        self::diagnosis(&mut page, diagnosis);
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
        row("Live", format!("{} ({})", text(switched.to.slot.as_str()), code(switched.to.instance.as_str())));
    }
    row("Environment", text(rollout.environment.as_str()));
    if let Some(url) = &rollout.url {
        row("Address", link(url, url));
    }
    if let Some(probe) = story.healthy_probe() {
        let path = url::Url::parse(&probe.url).map_or_else(|_| probe.url.clone(), |url| url.path().to_owned());
        row("Health", format!("{} → {}", code(&path), text(&story::answer(&probe.result))));
    }
    if let Some(end) = &story.end {
        row("Duration", story::duration(end.duration_ms));
    }
    row("Instance", code(&format!("{}/{}", rollout.resource_group, rollout.instance)));
    if let Some(image) = &story.image {
        // Whole it is wider than a phone; the output `digest` and the evidence file have all of it.
        let short: String = image.digest.as_str().chars().take(SHOWN_DIGEST).collect();
        row("Digest", code(&format!("{short}…")));
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
    for (step, state) in plan.steps.iter().zip(&story.steps) {
        let (mark, took) = match state {
            Step::Waiting => ("▫️", String::new()),
            Step::Running => ("⏳", "…".into()),
            Step::Done { duration_ms } => ("✅", story::duration(*duration_ms)),
            Step::Failed { duration_ms } => ("❌", story::duration(*duration_ms)),
        };
        let _ = writeln!(page, "| {mark} | {} | {took} |", text(&step.to_string()));
    }
    page.push('\n');
    let changes: Vec<&String> = plan
        .steps
        .iter()
        .flat_map(|step| match step {
            crate::plan::Step::UpdateInstance { changes, .. } => changes.as_slice(),
            crate::plan::Step::DeleteInstance { why, .. } => std::slice::from_ref(why),
            _ => &[],
        })
        .collect();
    if !changes.is_empty() {
        let _ = writeln!(page, "<details><summary>What changes ({})</summary>\n", changes.len());
        for change in changes {
            let _ = writeln!(page, "- {}", text(change));
        }
        page.push_str("\n</details>\n\n");
    }
}

fn smoke(page: &mut String, story: &Story) {
    if story.smoke.is_empty() {
        return;
    }
    page.push_str("### Smoke tests\n\n| | path | answer | took |\n|---|---|---|---|\n");
    for test in &story.smoke {
        let mark = if test.result.is_good() { "✅" } else { "❌" };
        let _ = writeln!(
            page,
            "| {mark} | {} | {} | {} |",
            code(&test.path),
            text(&story::answer(&test.result)),
            story::duration(test.result.latency_ms)
        );
    }
    page.push('\n');
    for test in story.smoke.iter().filter(|test| !test.result.excerpt.is_empty()) {
        let open = if test.result.is_good() { "" } else { " open" };
        let _ = writeln!(
            page,
            "<details{open}><summary>{} answered</summary>\n\n{}\n</details>\n",
            html(&test.path),
            fence(&test.result.excerpt)
        );
    }
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
                let _ = writeln!(page, "| {} | {} | {} |", text(&event.name), event.count.max(1), text(&event.message));
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

/// `text` as Markdown that shows just it: on one line, no markup, no HTML, no mention, no table column.
fn text(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '|' => safe.push_str("&#124;"),
            '\\' | '`' | '*' | '_' | '[' | ']' | '~' | '#' | '!' => {
                safe.push('\\');
                safe.push(c);
            }
            // A zero-width joiner keeps `@team` and `#1` from becoming a mention or a reference.
            '@' => safe.push_str("@\u{200d}"),
            '\n' | '\r' => safe.push(' '),
            c if c.is_control() => {}
            c => safe.push(c),
        }
    }
    safe
}

fn html(text: &str) -> String {
    let safe: String = text.chars().filter(|c| !c.is_control()).collect();
    safe.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// `text` as code within a line and within a table.
fn code(text: &str) -> String {
    format!(
        "<code>{}</code>",
        html(text).replace('|', "&#124;").replace('@', "@\u{200d}").replace('*', "&#42;").replace('_', "&#95;").replace('`', "&#96;")
    )
}

fn link(name: &str, url: &str) -> String {
    match url::Url::parse(url) {
        Ok(parsed) if matches!(parsed.scheme(), "http" | "https") => {
            format!("[{}]({})", text(name), parsed.as_str().replace('(', "%28").replace(')', "%29").replace('|', "%7C"))
        }
        _ => text(name),
    }
}

/// `text` in a code fence that nothing in it can end.
fn fence(text: &str) -> String {
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
        fn strangers_write_no_markup(given in "(?s)[<>|@#*_`\\[\\]()! a\n]{0,60}") {
            let shown = text(&given);
            prop_assert!(!shown.contains('<') && !shown.contains('|') && !shown.contains('\n'));
            let unescaped = shown.replace("\\`", "").replace("\\*", "").replace("\\[", "");
            prop_assert!(!unescaped.contains('`') && !unescaped.contains('*') && !unescaped.contains('['));
            let mentions = shown.split('@').skip(1).any(|after| !after.starts_with('\u{200d}'));
            prop_assert!(!mentions);
        }

        #[test]
        fn nothing_ends_a_fence(given in "(?s)[`a\n]{0,60}") {
            let fenced = fence(&given);
            let ticks: String = fenced.chars().take_while(|c| *c == '`').collect();
            prop_assert_eq!(fenced.lines().skip(1).filter(|line| line.starts_with(&ticks)).count(), 1);
        }
    }

    #[test]
    fn only_web_links_are_links() {
        assert_eq!(link("x", "javascript:alert(1)"), "x");
        assert_eq!(link("a]b", "https://h/(x)"), "[a\\]b](https://h/%28x%29)");
    }
}
