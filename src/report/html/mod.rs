//! A release as one HTML page, to keep and to send around: what the summary tells, with charts as SVG. It asks nothing of any
//! network and runs no script, and its own policy forbids both; every text that a stranger may have written is escaped. It is
//! well-formed XML besides, so that any tool can read it.

mod chart;

use std::fmt::Write;

use super::{
    changes, release, series,
    story::{self, Heard, Step, Story},
    watching,
};
use crate::{
    domain::Outcome,
    execute::Diagnosis,
    gate::{self, Verdict},
    plan,
    text::html as text,
};

/// The end of the page's file name.
pub const EXTENSION: &str = "html";

/// Log lines that the page shows; the evidence file has all.
const LOG_LINES: usize = 200;

/// Looks like the summary in light and in dark, on paper and on a phone.
const STYLE: &str = "
:root { color-scheme: light dark; --new: #0969da; --before: #6e7781; --bound: #cf222e; --line: #d0d7de; --soft: #f6f8fa; --good: #1a7f37; }
@media (prefers-color-scheme: dark) {
  :root { --new: #58a6ff; --before: #8b949e; --bound: #ff7b72; --line: #30363d; --soft: #161b22; --good: #3fb950; }
  body { background: #0d1117; color: #e6edf3; }
}
body { font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.6rem; } h2 { font-size: 1.2rem; margin-top: 2.2rem; border-bottom: 1px solid var(--line); padding-bottom: .3rem; }
h3 { font-size: 1rem; margin: 1rem 0 .3rem; }
table { border-collapse: collapse; width: 100%; } th { font-weight: 600; text-align: left; }
td, th { border-bottom: 1px solid var(--line); padding: .35rem .6rem .35rem 0; vertical-align: top; }
code, pre { font: 13px/1.45 ui-monospace, monospace; background: var(--soft); border-radius: 4px; padding: .1rem .3rem; overflow-wrap: anywhere; }
pre { padding: .8rem; overflow-x: auto; white-space: pre-wrap; overflow-wrap: anywhere; }
.box { border-left: 4px solid var(--bound); background: var(--soft); padding: .6rem 1rem; margin: 1rem 0; }
.numbers { display: flex; flex-wrap: wrap; gap: 1rem; padding: 0; list-style: none; }
.numbers li { background: var(--soft); border-radius: 6px; padding: .5rem 1rem; }
.numbers b { display: block; font-size: 1.2rem; }
.key span { margin-right: 1.2rem; } .new { color: var(--new); } .before { color: var(--before); } .bound { color: var(--bound); }
svg { width: 100%; height: auto; } svg text { fill: currentColor; font: 11px system-ui, sans-serif; }
footer { margin-top: 3rem; color: var(--before); font-size: 13px; }
";

/// The page of `story`; complete whether the release has ended or not.
#[must_use]
pub fn render(story: &Story) -> String {
    let headline = story::headline(story);
    let mut page = format!(
        "<!DOCTYPE html>\n<html lang=\"en\" xmlns=\"http://www.w3.org/1999/xhtml\">\n<head>\n<meta charset=\"utf-8\" />\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\" />\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\" />\n\
         <meta name=\"referrer\" content=\"no-referrer\" />\n<title>{}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<h1>{}</h1>\n",
        text(&headline),
        text(&headline)
    );
    facts(&mut page, story);
    failure(&mut page, story);
    measured(&mut page, story);
    tripped(&mut page, story);
    gates(&mut page, story);
    final_checks(&mut page, story);
    timeline(&mut page, story);
    charts(&mut page, story);
    traffic(&mut page, story);
    if let Some(changes) = &story.changes {
        let _ = writeln!(page, "<h2>What is new since {}</h2>\n{}", text(&changes.since), changes::html(changes));
    }
    if let Some(checklist) = &story.checklist {
        let rows: Vec<String> = checklist.rows.iter().flat_map(super::preflight::lines).collect();
        let _ = writeln!(page, "<h2>Checklist</h2>\n<pre>{}</pre>", text(&rows.join("\n")));
    }
    steps(&mut page, story);
    if let Some(found) = &story.diagnosis {
        diagnosis(&mut page, found);
    }
    notes(&mut page, story);
    let id = story.rollout.as_ref().map_or("", |rollout| rollout.id.as_str());
    let _ = writeln!(
        page,
        "<footer>rollout {} · all times UTC · made by deploy-action from the release's events</footer>\n</body>\n</html>",
        text(id)
    );
    page
}

/// A link, or just its name where the address is no web page's.
pub(super) fn link(name: &str, url: Option<&str>) -> String {
    match url.and_then(|url| url::Url::parse(url).ok()).filter(|url| matches!(url.scheme(), "http" | "https")) {
        Some(url) => format!("<a href=\"{}\" rel=\"noreferrer\">{}</a>", text(url.as_str()), text(name)),
        None => text(name),
    }
}

fn facts(page: &mut String, story: &Story) {
    let Some(rollout) = &story.rollout else { return };
    page.push_str("<table>\n");
    let mut row = |name: &str, value: String| {
        if !value.is_empty() {
            let _ = writeln!(page, "<tr><th>{name}</th><td>{value}</td></tr>");
        }
    };
    let code = |value: &str| format!("<code>{}</code>", text(value));
    row("Application", text(&rollout.application));
    row("Environment", text(rollout.environment.as_str()));
    row("Version", code(story.version_words()));
    if let Some(previous) = story.plan.as_ref().and_then(|plan| plan.previous.as_ref()) {
        row("Before", code(previous.as_str()));
    }
    row("Status", text(&status(story)));
    if let Some(requested) = story.requested {
        row("Began", text(&requested.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()));
    }
    if let Some(end) = &story.end {
        row("Duration", text(&story::duration(end.duration_ms)));
    }
    if let Some(url) = &rollout.url {
        row("Address", link(url, Some(url)));
    }
    if let Some(image) = &story.image {
        row("Image", code(&image.pinned()));
    }
    if let Some(sha) = story.sha() {
        row("Commit", link(sha.get(..7).unwrap_or(sha), rollout.commit_url.as_deref()));
    }
    let overridden: Vec<String> = story.overridden().iter().map(|sentence| text(sentence)).collect();
    row("Overridden", overridden.join("<br />"));
    row("Asked for by", rollout.actor.as_deref().map(text).unwrap_or_default());
    let links = [("Log", &rollout.run_url), ("Dashboard", &rollout.dashboard), ("Docs", &rollout.docs)];
    let links: Vec<String> = links.into_iter().filter_map(|(name, url)| Some(link(name, Some(url.as_ref()?)))).collect();
    row("Links", links.join(" · "));
    page.push_str("</table>\n");
}

fn status(story: &Story) -> String {
    match story.end.as_ref().map(|end| end.outcome) {
        None => "still running when this was written".to_owned(),
        Some(Outcome::Healthy) => "HEALTHY".to_owned(),
        Some(outcome) => outcome.as_str().to_uppercase(),
    }
}

fn failure(page: &mut String, story: &Story) {
    let Some(failure) = story.end.as_ref().and_then(|end| end.failure.as_ref()) else { return };
    let _ = writeln!(page, "<div class=\"box\">\n<p><b>{}</b></p>", text(&failure.what));
    if !failure.consequence.is_empty() {
        let _ = writeln!(page, "<p>It means: {}</p>", text(&failure.consequence));
    }
    list(page, failure.next.iter().map(String::as_str));
    page.push_str("</div>\n");
}

fn list<'a>(page: &mut String, items: impl Iterator<Item = &'a str>) {
    let mut items = items.peekable();
    if items.peek().is_none() {
        return;
    }
    page.push_str("<ul>\n");
    for item in items {
        let _ = writeln!(page, "<li>{}</li>", text(item));
    }
    page.push_str("</ul>\n");
}

fn measured(page: &mut String, story: &Story) {
    let measured = series::measured(story);
    if story.end.is_none() || story.has_ended_badly() || measured.over.is_empty() {
        return;
    }
    let _ = writeln!(page, "<h2>Measured in the last {}</h2>\n<ul class=\"numbers\">", text(&measured.over));
    for (name, value) in measured.lines() {
        let _ = writeln!(page, "<li>{name}<b>{}</b></li>", text(&value));
    }
    page.push_str("</ul>\n");
}

fn tripped(page: &mut String, story: &Story) {
    let Some(judgement) = story.tripped.as_ref().filter(|_| story.taken_back.is_some()) else { return };
    let _ = writeln!(page, "<h2>What tripped it</h2>\n<div class=\"box\"><b>{}</b>", text(&judgement.to_string()));
    let found = story.watches().find_map(|watched| {
        let index = watched.ticks.iter().position(|tick| tick.judgements.contains(judgement))?;
        Some((watched, index))
    });
    if let Some((watched, index)) = found {
        let rule = watched.ticks.get(index).and_then(|tick| tick.judgements.iter().position(|one| one == judgement));
        let _ = writeln!(
            page,
            "<p>{}. The looks up to it:</p>\n<table><tr><th>at</th><th>{}</th><th>the version before</th></tr>",
            text(&watched.title),
            text(judgement.metric.as_str())
        );
        for tick in watched.ticks.iter().take(index + 1).skip(index.saturating_sub(4)) {
            let said = rule.and_then(|rule| tick.judgements.get(rule)).map_or_else(String::new, ToString::to_string);
            let beside = rule
                .and_then(|rule| tick.beside.get(rule).copied().flatten())
                .map_or_else(|| "not measured".to_owned(), |value| value.to_string());
            let _ = writeln!(page, "<tr><td>{}</td><td>{}</td><td>{}</td></tr>", tick.at.strftime("%H:%M:%S"), text(&said), text(&beside));
        }
        page.push_str("</table>\n");
    }
    if !story.tripped_queries.is_empty() {
        let _ = writeln!(page, "<p>What was asked:</p>\n<pre>{}</pre>", text(&story.tripped_queries.join("\n")));
    }
    page.push_str("</div>\n");
}

fn gates(page: &mut String, story: &Story) {
    let gates = series::gates(story);
    if gates.is_empty() {
        return;
    }
    page.push_str("<h2>Decisions</h2>\n<table>\n<tr><th></th><th>gate</th><th>decision</th><th>numbers</th></tr>\n");
    for gate in gates {
        let numbers: Vec<String> = gate.numbers.iter().map(|number| text(number)).collect();
        let (tick, of) = gate.ticks;
        let _ = writeln!(
            page,
            "<tr><td>{}</td><td>{}</td><td>{}<br /><small>after {}, look {tick} of {of}</small></td><td>{}</td></tr>",
            gate.mark,
            text(&gate.title),
            text(&gate.words),
            text(&story::duration(gate.after_ms)),
            numbers.join("<br />")
        );
    }
    page.push_str("</table>\n");
}

fn final_checks(page: &mut String, story: &Story) {
    if story.checks.is_empty() {
        return;
    }
    page.push_str("<h2>Final checks</h2>\n<table>\n<tr><th></th><th>check</th><th>number</th><th>must be</th><th>asked</th></tr>\n");
    for (_, checked) in &story.checks {
        let mark = match checked.verdict {
            Verdict::Pass => "✅",
            Verdict::Breach => "❌",
            Verdict::TooLittleData | Verdict::SourceError | Verdict::Stale => "❔",
        };
        let _ = writeln!(
            page,
            "<tr><td>{mark}</td><td>{}</td><td>{}</td><td>{}</td><td><code>{}</code></td></tr>",
            text(&checked.check.name),
            text(&checked.found()),
            text(&gate::wanted(&checked.check.ask)),
            text(&checked.asked)
        );
    }
    page.push_str("</table>\n");
}

fn timeline(page: &mut String, story: &Story) {
    if let Some(drawn) = chart::timeline(&release::stretches(story), &release::moments(story)) {
        let _ = writeln!(page, "<h2>Timeline</h2>\n{drawn}");
    }
}

fn charts(page: &mut String, story: &Story) {
    let all = series::metrics(story);
    let Some(first) = all.iter().filter_map(|series| series.points.first()).map(|point| point.at).min() else { return };
    let last = all.iter().filter_map(|series| series.points.last()).map(|point| point.at).max().unwrap_or(first);
    let span = (first, last);
    let before = story.plan.as_ref().and_then(|plan| plan.previous.as_ref()).map_or("the version before", |version| version.as_str());
    let _ = writeln!(
        page,
        "<h2>Metrics</h2>\n<p class=\"key\"><span class=\"new\">━ {}</span><span class=\"before\">━ {}</span>\
         <span class=\"bound\">┅ the bound</span></p>",
        text(story.version_words()),
        text(before)
    );
    let marks = release::moments(story);
    let draw = |page: &mut String, series: &series::Series| {
        let _ = writeln!(page, "<h3>{}</h3>\n{}", text(&series.metric), chart::metric(series, span, &marks));
    };
    all.iter().filter(|series| series::is_first(&series.metric)).for_each(|series| draw(page, series));
    let shares = series::shares(story);
    if !shares.is_empty() {
        let _ = writeln!(page, "<h3>share of people on {}</h3>\n{}", text(story.version_words()), chart::shares(&shares, span));
    }
    all.iter().filter(|series| !series::is_first(&series.metric)).for_each(|series| draw(page, series));
}

fn traffic(page: &mut String, story: &Story) {
    if story.shares.is_empty() && story.switches.is_empty() {
        return;
    }
    page.push_str("<h2>Traffic</h2>\n<table>\n<tr><th>at</th><th>shares</th><th>acknowledged after</th></tr>\n");
    for shared in &story.shares {
        let (at, to) = (shared.at.strftime("%H:%M:%S"), text(&watching::shares(&shared.to)));
        let _ = writeln!(page, "<tr><td>{at}</td><td>{to}</td><td>{}</td></tr>", story::duration(shared.took_ms));
    }
    for switched in &story.switches {
        let (at, to) = (switched.at.strftime("%H:%M:%S"), text(switched.to.instance.as_str()));
        let _ = writeln!(page, "<tr><td>{at}</td><td>100% {to}</td><td>{}</td></tr>", story::duration(switched.took_ms));
    }
    page.push_str("</table>\n");
    if let Some(after) = story.safe_after_ms {
        let _ = writeln!(page, "<p>Traffic was safe again {} after the decision.</p>", story::duration(after));
    }
}

fn steps(page: &mut String, story: &Story) {
    let Some(plan) = &story.plan else { return };
    page.push_str("<h2>Steps</h2>\n<table>\n");
    for (index, (step, state)) in plan.steps.iter().zip(&story.steps).enumerate() {
        if index == story.planned {
            page.push_str("<tr><td>↩️</td><td><i>taken back:</i></td><td></td></tr>\n");
        }
        let (mark, took) = match state {
            Step::Waiting => ("▫️", String::new()),
            Step::Running => ("⏳", "…".into()),
            Step::Done { duration_ms } => ("✅", story::duration(*duration_ms)),
            Step::Failed { duration_ms } => ("❌", story::duration(*duration_ms)),
        };
        let why = if let plan::Step::DeleteInstance { why, .. } = step { format!(": {why}") } else { String::new() };
        let _ = writeln!(page, "<tr><td>{mark}</td><td>{}</td><td>{took}</td></tr>", text(&format!("{step}{why}")));
    }
    page.push_str("</table>\n");
}

fn diagnosis(page: &mut String, found: &Diagnosis) {
    let _ = writeln!(page, "<h2>What to do: {}</h2>", text(&found.entry));
    list(page, found.advice.iter().map(String::as_str));
    page.push_str("<h2>What was found</h2>\n");
    if let Some(instance) = &found.instance {
        let _ = writeln!(page, "<p>{}</p>", text(&super::terminal::instance_line(instance)));
        if !instance.events.is_empty() {
            page.push_str("<table><tr><th>Azure's event</th><th>times</th><th></th></tr>\n");
            for event in &instance.events {
                let _ = writeln!(
                    page,
                    "<tr><td>{}</td><td>{}</td><td>{}</td></tr>",
                    text(&event.name),
                    event.count.max(1),
                    text(&event.message)
                );
            }
            page.push_str("</table>\n");
        }
    }
    if !found.logs.is_empty() {
        let last = found.logs.len().saturating_sub(LOG_LINES);
        let lines = found.logs.get(last..).unwrap_or_default().join("\n");
        let _ = writeln!(page, "<p>Last log lines of the container:</p>\n<pre>{}</pre>", text(&lines));
    }
    list(page, found.missing.iter().map(String::as_str));
}

fn notes(page: &mut String, story: &Story) {
    let told: Vec<String> = story
        .audience
        .iter()
        .filter_map(|(ear, heard)| match heard {
            Heard::Told(what) => Some(format!("{}: {what}", ear.as_str())),
            Heard::Missed => Some(format!("{}: could not be reached", ear.as_str())),
            Heard::Off(why) => Some(format!("{}: off ({why})", ear.as_str())),
            Heard::Listening | Heard::Nothing => None,
        })
        .collect();
    if !told.is_empty() {
        page.push_str("<h2>Who was told</h2>\n");
        list(page, told.iter().map(String::as_str));
    }
    let notices = story.plan.iter().flat_map(|plan| &plan.notices);
    let notes: Vec<&str> = story.warnings.iter().chain(notices).map(String::as_str).collect();
    if !notes.is_empty() {
        page.push_str("<h2>Notes</h2>\n");
        list(page, notes.into_iter());
    }
}

#[cfg(test)]
mod tests;
