//! A release by shares as the summary tells it to everybody who asks how it went: the decision at each gate with its numbers, a
//! timeline, and each metric of both versions against its bound. Shows, judges nothing.

use std::{fmt::Write, time::Duration};

use jiff::Timestamp;

use super::{
    changes,
    series::{self, Point, Series},
    story::{self, Step, Story},
    watching::{self, short},
};
use crate::{domain::Share, plan, text::markdown};

/// Points of a chart: more than fit on a phone say nothing more.
const POINTS: usize = 60;

/// Characters of a gate's numbers in the table.
const NUMBERS: usize = 400;

/// Lines of changes that the summary shows.
const CHANGES: usize = 30;

/// A chart of the new version, the one before, and the bound.
const THREE: &str = r##"%%{init: {"xyChart": {"width": 700, "height": 260}, "themeVariables": {"xyChart": {"plotColorPalette": "#2f81f7, #8b949e, #e5534b"}}}}%%"##;

/// A chart of the new version and the bound.
const TWO: &str =
    r##"%%{init: {"xyChart": {"width": 700, "height": 260}, "themeVariables": {"xyChart": {"plotColorPalette": "#2f81f7, #e5534b"}}}}%%"##;

/// Whether a story is one of a release by shares.
pub(super) fn is_one(story: &Story) -> bool {
    !story.shares.is_empty() || story.watches().any(|watched| watched.share.is_some())
}

/// The summary's part on the whole of a release by shares.
pub(super) fn tell(page: &mut String, story: &Story) {
    if !is_one(story) {
        return;
    }
    measured(page, story);
    tripped(page, story);
    gates(page, story);
    timeline(page, story);
    charts(page, story);
}

/// The summary's part on what is new.
pub(super) fn news(page: &mut String, story: &Story) {
    let Some(changes) = &story.changes else { return };
    let list = changes::markdown(changes, CHANGES);
    let _ = writeln!(page, "### What is new since {}\n\n{list}", markdown(&changes.since));
}

/// The runbook's metrics of the final notification, once it ended well.
fn measured(page: &mut String, story: &Story) {
    if story.end.is_none() || story.has_ended_badly() {
        return;
    }
    let measured = series::measured(story);
    if measured.over.is_empty() {
        return;
    }
    let _ = writeln!(page, "### Measured in the last {}\n", markdown(&measured.over));
    for (name, value) in measured.lines() {
        let _ = writeln!(page, "- {name}: {}", markdown(&value));
    }
    page.push('\n');
}

/// The look that ended it.
fn tripped(page: &mut String, story: &Story) {
    let Some(judgement) = story.tripped.as_ref().filter(|_| story.taken_back.is_some()) else { return };
    let watched = story.watches().find(|watched| watched.ticks.iter().any(|tick| tick.judgements.contains(judgement)));
    let _ = writeln!(page, "### What tripped it\n\n**{}**\n", markdown(&judgement.to_string()));
    if let Some(watched) = watched
        && let Some(tick) = watched.ticks.iter().find(|tick| tick.judgements.contains(judgement))
    {
        let at = tick.at.strftime("%H:%M:%S UTC");
        let line = format!("{}, look {} of {}, at {at}", watched.title, tick.tick, tick.of);
        let beside = tick.judgements.iter().position(|one| one == judgement).and_then(|index| tick.beside.get(index).copied().flatten());
        let beside = beside.map_or_else(String::new, |value| format!("; the version before at the same moment: {value}"));
        let _ = writeln!(page, "{}\n", markdown(&format!("{line}{beside}")));
    }
    if !story.tripped_queries.is_empty() {
        let asked = super::summary::fence(&story.tripped_queries.join("\n"));
        let _ = writeln!(page, "<details><summary>What was asked</summary>\n\n{asked}\n</details>\n");
    }
}

fn gates(page: &mut String, story: &Story) {
    let gates = series::gates(story);
    if gates.is_empty() {
        return;
    }
    page.push_str("### Decisions\n\n| | gate | decision | numbers |\n|---|---|---|---|\n");
    for gate in gates {
        let numbers: Vec<String> = gate.numbers.iter().map(|number| markdown(&crate::text::line(number, NUMBERS))).collect();
        let numbers = numbers.join("<br>");
        let (tick, of) = gate.ticks;
        let _ = writeln!(
            page,
            "| {} | {} | {}<br>after {}, look {tick} of {of} | {numbers} |",
            gate.mark,
            markdown(&gate.title),
            markdown(&gate.words),
            story::duration(gate.after_ms).replace(' ', "\u{a0}")
        );
    }
    page.push('\n');
}

/// A stretch of a release.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Stretch {
    /// What it is.
    pub(super) name: String,
    /// When it began.
    pub(super) from: Timestamp,
    /// When it ended, or the last moment that is known of it.
    pub(super) to: Timestamp,
    /// How it is doing.
    pub(super) state: State,
}

/// How a stretch is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Done,
    Running,
    Failed,
}

/// A release in its stretches: preparing, each share, replacing the stable instances, stabilizing, what was taken back.
pub(super) fn stretches(story: &Story) -> Vec<Stretch> {
    let Some(plan) = &story.plan else { return Vec::new() };
    let mut all: Vec<Stretch> = Vec::new();
    let mut name = "Prepare".to_owned();
    for (index, step) in plan.steps.iter().enumerate() {
        name = match step {
            _ if index >= story.planned => "Take back".to_owned(),
            plan::Step::Shift { to, .. } => {
                let next = plan.steps.iter().skip(index + 1).find(|step| !matches!(step, plan::Step::VerifyShares { .. }));
                let given = to.iter().find(|slice| slice.instance == plan.subject).map(|slice| slice.share);
                match (next, given) {
                    (Some(plan::Step::Phase { .. }), Some(share)) => format!("{share} of people"),
                    (Some(_) | None, _) => name,
                }
            }
            plan::Step::MarkPromoted { .. } | plan::Step::Together { .. } if name.ends_with("people") => {
                "Replace the stable instances".to_owned()
            }
            plan::Step::Phase { on, .. } if !on.contains(&plan.subject) => "Stabilize".to_owned(),
            _ if name == "Stabilize" => "Finish".to_owned(),
            _ => name,
        };
        let Some(from) = story.begun.get(index).copied().flatten() else { continue };
        let last = story.watches().filter_map(|watched| watched.ticks.last()).map(|tick| tick.at).max();
        let (to, state) = match story.steps.get(index) {
            Some(Step::Done { duration_ms }) => (from + Duration::from_millis(*duration_ms), State::Done),
            Some(Step::Failed { duration_ms }) => (from + Duration::from_millis(*duration_ms), State::Failed),
            Some(Step::Running) => (last.unwrap_or(from).max(from), State::Running),
            Some(Step::Waiting) | None => continue,
        };
        match all.last_mut().filter(|stretch| stretch.name == name) {
            Some(stretch) => {
                stretch.to = stretch.to.max(to);
                stretch.state = state;
            }
            None => all.push(Stretch { name: name.clone(), from, to, state }),
        }
    }
    all
}

/// The moments that a timeline marks: a broken rule, shares that were taken back.
pub(super) fn moments(story: &Story) -> Vec<(Timestamp, String)> {
    let broken = story.watches().flat_map(|watched| &watched.ticks).filter_map(|tick| {
        let tripped = tick.judgements.iter().find(|judgement| judgement.trips())?;
        Some((tick.at, format!("{} broken", tripped.metric)))
    });
    let mut all: Vec<(Timestamp, String)> = broken.collect();
    if let Some(first) = all.first().map(|(at, _)| *at) {
        let mut shares = series::shares(story);
        // Instances of one version may take each other's place at the same share.
        shares.dedup_by_key(|(_, share)| *share);
        all.extend(shares.into_iter().filter(|(at, _)| *at >= first).map(|(at, share)| (at, format!("back to {share}"))).take(8));
    }
    all
}

/// A Gantt chart (Mermaid). Its times are those of whoever reads it.
fn timeline(page: &mut String, story: &Story) {
    let stretches = stretches(story);
    let (Some(first), Some(last)) = (stretches.first(), stretches.last()) else { return };
    let minutes = last.to.duration_since(first.from).as_secs_f64() > 300.0;
    let axis = if minutes { "%H:%M" } else { "%H:%M:%S" };
    let _ = writeln!(page, "### Timeline\n\n```mermaid\ngantt\n    dateFormat x\n    axisFormat {axis}");
    for stretch in &stretches {
        let state = match stretch.state {
            State::Done => "done, ",
            State::Running => "active, ",
            State::Failed => "crit, ",
        };
        let took = u64::try_from(stretch.to.duration_since(stretch.from).as_millis()).unwrap_or_default();
        // A bar of no width is not drawn.
        let to = stretch.to.as_millisecond().max(stretch.from.as_millisecond() + 1);
        let _ = writeln!(
            page,
            "    section {}\n    {} :{state}{}, {to}",
            gantt(&stretch.name),
            gantt(&story::duration(took)),
            stretch.from.as_millisecond()
        );
    }
    for (at, what) in moments(story) {
        let _ = writeln!(page, "    {} :crit, milestone, {}, 1ms", gantt(&what), at.as_millisecond());
    }
    page.push_str("```\n\n");
}

/// A name in a Gantt chart: what means something there (a colon ends the name, a semicolon the line) is left out.
fn gantt(text: &str) -> String {
    text.chars().map(|c| if matches!(c, ':' | ';' | '#' | ',' | '\n' | '\r' | '`') { ' ' } else { c }).collect()
}

fn charts(page: &mut String, story: &Story) {
    let all = series::metrics(story);
    if all.is_empty() {
        return;
    }
    let new = markdown(story.version_words());
    let before = story.plan.as_ref().and_then(|plan| plan.previous.as_ref());
    let before = before.map_or_else(String::new, |before| format!(", grey {}", markdown(before.as_str())));
    let _ = writeln!(page, "### Metrics\n\nBlue {new}{before}, red the bound. Each point is the worst of its stretch of time.\n");
    let Some(origin) = story.requested.or_else(|| all.first()?.points.first().map(|point| point.at)) else { return };
    let (first, others): (Vec<&Series>, Vec<&Series>) = all.iter().partition(|series| series::is_first(&series.metric));
    for series in first {
        chart(page, series, origin);
    }
    let end = all.iter().filter_map(|series| series.points.last()).map(|point| point.at).max();
    if let Some(end) = end {
        share(page, &series::shares(story), origin, end);
    }
    if others.is_empty() {
        return;
    }
    page.push_str("<details><summary>Other metrics</summary>\n\n");
    for series in others {
        chart(page, series, origin);
    }
    page.push_str("</details>\n\n");
}

fn chart(page: &mut String, series: &Series, origin: Timestamp) {
    let points = series::evenly(&series.points, POINTS);
    let (Some(first), Some(last)) = (points.first(), points.last()) else { return };
    if points.len() < 2 {
        return;
    }
    let (scale, name) = watching::scale(series.unit);
    // The chart has no way to leave a gap: what was not read is drawn at the value before it, or the first one.
    let drawn = |value: &dyn Fn(&Point) -> Option<f64>| -> Option<Vec<f64>> {
        let mut last = points.iter().find_map(value)?;
        Some(
            points
                .iter()
                .map(|point| {
                    last = value(point).unwrap_or(last);
                    last * scale
                })
                .collect(),
        )
    };
    let Some(new) = drawn(&|point| point.new) else { return };
    let lines: Vec<Vec<f64>> = [Some(new), drawn(&|point| point.before), drawn(&|point| point.bound)].into_iter().flatten().collect();
    let style = if lines.len() > 2 { THREE } else { TWO };
    let ends = series::ends(lines.iter().flatten().copied(), series.unit);
    axes(page, style, &series.metric, name, ends, (first.at, last.at), origin);
    for line in lines {
        let _ = writeln!(page, "    line [{}]", line.into_iter().map(short).collect::<Vec<_>>().join(", "));
    }
    page.push_str("```\n\n");
}

fn share(page: &mut String, shares: &[(Timestamp, Share)], origin: Timestamp, end: Timestamp) {
    let Some((first, _)) = shares.first() else { return };
    let from = origin.min(*first);
    let span = end.max(*first).duration_since(from).as_secs_f64();
    let value = |index: usize| {
        let at = from + Duration::try_from_secs_f64(span * index as f64 / (POINTS - 1) as f64).unwrap_or_default();
        shares.iter().rev().find(|(since, _)| *since <= at).map_or(0.0, |(_, share)| share.ratio() * 100.0)
    };
    axes(page, TWO, "share of people on the new version", "%", (0.0, 100.0), (from, end), origin);
    let _ = writeln!(page, "    line [{}]\n```\n", (0..POINTS).map(value).map(short).collect::<Vec<_>>().join(", "));
}

fn axes(page: &mut String, style: &str, title: &str, unit: &str, ends: (f64, f64), span: (Timestamp, Timestamp), origin: Timestamp) {
    let since = |at: Timestamp| at.duration_since(origin).as_secs_f64();
    let (length, word) = if since(span.1) >= 120.0 { (60.0, "minutes") } else { (1.0, "seconds") };
    let _ = writeln!(
        page,
        "```mermaid\n{style}\nxychart-beta\n    title \"{title}\"\n    x-axis \"{word} since the release began, {}\" {:.1} --> {:.1}\n    \
         y-axis \"{unit}\" {} --> {}",
        origin.strftime("%H:%M:%S UTC"),
        since(span.0) / length,
        since(span.1) / length,
        short(ends.0),
        short(ends.1),
    );
}

#[cfg(test)]
pub(super) mod tests;
