//! Traffic and watches as people read them: a line a tick for the log, a table and charts for the summary. Shows, judges nothing.

use std::{fmt::Write, sync::Arc};

use super::story::{self, Story, Tick, Watched};
use crate::{
    config::{Bound, Quantity, Rule, Unit},
    execute::{Arrived, HttpResult},
    gate::{Judgement, Verdict},
    plan::Slice,
};

/// Rows of the summary's table of samples.
const ROWS: usize = 12;

/// Points of a chart: more than fit on a phone say nothing more.
const POINTS: usize = 60;

/// One look at arriving traffic: "100% of 212 requests arrive (100% is meant), endpoint Online, public address 200 OK".
pub(super) fn arrival(arrived: &Arrived) -> String {
    let mut parts = Vec::new();
    match (arrived.realised, arrived.requests) {
        (Some(share), Some(requests)) => parts.push(format!("{share} of {requests} requests arrive ({} is meant)", arrived.intended)),
        (None, Some(_)) => parts.push("no request arrived anywhere since the last look".to_owned()),
        (_, None) => parts.push("requests cannot be counted".to_owned()),
    }
    parts.push(arrived.monitor.as_ref().map_or_else(|| "endpoint not read".to_owned(), |monitor| format!("endpoint {monitor}")));
    if let Some(public) = &arrived.public {
        parts.push(format!("public address {}", story::answer(public)));
    }
    parts.join(", ")
}

/// Shares: "5% prod-canary-1, 47.5% prod-stable-1, 47.5% prod-stable-2".
pub(super) fn shares(slices: &[Slice]) -> String {
    slices.iter().map(|slice| format!("{} {}", slice.share, slice.instance)).collect::<Vec<_>>().join(", ")
}

/// A rule: "error-rate max 0 %, 2 in a row".
pub(super) fn rule(rule: &Rule) -> String {
    let bounds: Vec<String> = rule.bounds.iter().map(bound).collect();
    let bounds = if bounds.is_empty() { String::new() } else { format!(" {}", bounds.join(" ")) };
    format!("{}{bounds}, {} in a row", rule.metric, rule.consecutive)
}

fn bound(bound: &Bound) -> String {
    match bound {
        Bound::Max(quantity) => format!("max {quantity}"),
        Bound::Min(quantity) => format!("min {quantity}"),
        Bound::MaxOfBaseline(part) => format!("max {part} of stable's"),
        Bound::MinOfBaseline(part) => format!("min {part} of stable's"),
    }
}

/// Whether nothing in a tick wants a second look.
pub(super) fn is_calm(judgements: &[Judgement]) -> bool {
    judgements.iter().all(|judgement| judgement.verdict == Verdict::Pass)
}

/// A tick on one line: "12/180  error-rate 0 % ✓  latency-p99 45 ms ✓"; what is not a pass says why beneath.
pub(super) fn tick_line(tick: u32, of: u32, judgements: &[Judgement], standby: Option<&HttpResult>) -> String {
    let mut line = format!("{tick}/{of}");
    for judgement in judgements {
        let value = judgement.value.map_or_else(|| "–".to_owned(), |value| value.to_string());
        let _ = write!(line, "  {} {value} {}", judgement.metric, mark(judgement.verdict));
    }
    for judgement in judgements.iter().filter(|judgement| judgement.verdict != Verdict::Pass) {
        let _ = write!(line, "\n    {judgement}");
    }
    if let Some(standby) = standby.filter(|standby| !standby.is_good()) {
        let _ = write!(line, "\n    what stands by is not healthy: {}", story::answer(standby));
    }
    line
}

const fn mark(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Pass => "✓",
        Verdict::Breach => "✗",
        Verdict::TooLittleData | Verdict::SourceError | Verdict::Stale => "?",
    }
}

/// The summary's part on traffic: each switch, and whether people arrived.
pub(super) fn traffic(page: &mut String, story: &Story, text: impl Fn(&str) -> String) {
    if story.switches.is_empty() && story.shares.is_empty() {
        return;
    }
    page.push_str("### Traffic\n\n");
    for shared in &story.shares {
        let line = format!(
            "{}: {}, acknowledged after {}",
            shared.at.strftime("%H:%M:%S UTC"),
            shares(&shared.to),
            story::duration(shared.took_ms)
        );
        let _ = writeln!(page, "- {}", text(&line));
    }
    for switched in &story.switches {
        let from = switched.from.as_ref().map_or_else(|| "nowhere".to_owned(), |from| from.slot.to_string());
        let line = format!(
            "{}: {from} → 100% {} ({}), acknowledged after {}",
            switched.at.strftime("%H:%M:%S UTC"),
            switched.to.slot,
            switched.to.instance,
            story::duration(switched.took_ms)
        );
        let _ = writeln!(page, "- {}", text(&line));
    }
    if let Some(arrived) = &story.arrived {
        let _ = writeln!(page, "- {}", text(&arrival(arrived)));
    }
    if let Some(after) = story.safe_after_ms {
        let _ = writeln!(page, "- {}", text(&format!("traffic was safe again {} after the decision", story::duration(after))));
    }
    page.push('\n');
}

/// The summary's part on the watches: those that are over folded, then the last: what tripped, a table of samples, charts with
/// their bounds.
pub(super) fn watch(page: &mut String, story: &Story, text: impl Fn(&str) -> String) {
    for watched in &story.earlier {
        let Some(last) = watched.ticks.last() else { continue };
        let _ = writeln!(page, "<details><summary>{}: {} of {} ticks</summary>\n", html(&watched.title), last.tick, last.of);
        of(page, watched, &text);
        page.push_str("</details>\n\n");
    }
    let Some(last) = story.ticks.last() else { return };
    let _ = writeln!(page, "### Watch: {} of {} ticks\n", last.tick, last.of);
    if !story.earlier.is_empty() {
        let _ = writeln!(page, "{}\n", text(&story.watch));
    }
    let watched = Watched { title: String::new(), rules: story.rules.clone(), ticks: story.ticks.clone() };
    of(page, &watched, &text);
}

fn html(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// One watch.
fn of(page: &mut String, watched: &Watched, text: &impl Fn(&str) -> String) {
    let Some(last) = watched.ticks.last() else { return };
    for judgement in last.judgements.iter().filter(|judgement| judgement.verdict != Verdict::Pass) {
        let _ = writeln!(page, "- {}", text(&judgement.to_string()));
    }
    if !is_calm(&last.judgements) {
        page.push('\n');
    }
    table(page, watched, text);
    for (index, rule) in watched.rules.iter().enumerate() {
        chart(page, watched, index, rule);
    }
}

/// A table of samples: at most [`ROWS`] rows, each the worst of its part of the watch; the evidence file has them all.
fn table(page: &mut String, watched: &Watched, text: &impl Fn(&str) -> String) {
    page.push_str("| after |");
    for rule in &watched.rules {
        let _ = write!(page, " {} |", text(&format!("{} {}", rule.metric, rule.bounds.iter().map(bound).collect::<Vec<_>>().join(" "))));
    }
    page.push_str("\n|---|");
    page.push_str(&"---|".repeat(watched.rules.len()));
    page.push('\n');
    for part in parts(&watched.ticks, ROWS) {
        let Some(end) = part.last() else { continue };
        let _ = write!(page, "| {} |", story::duration(end.after_ms));
        for index in 0..watched.rules.len() {
            let worst = part.iter().filter_map(|tick| tick.judgements.get(index)).max_by_key(|judgement| severity(judgement.verdict));
            let shown = worst.map_or_else(String::new, |judgement| {
                let value = judgement.value.map_or_else(|| judgement.verdict.to_string(), |value| value.to_string());
                let mark = match judgement.verdict {
                    Verdict::Pass => "✅",
                    Verdict::Breach => "❌",
                    Verdict::TooLittleData | Verdict::SourceError | Verdict::Stale => "▫️",
                };
                format!("{mark} {value}")
            });
            let _ = write!(page, " {} |", text(&shown));
        }
        page.push('\n');
    }
    page.push('\n');
}

const fn severity(verdict: Verdict) -> u8 {
    match verdict {
        Verdict::Pass => 0,
        Verdict::TooLittleData => 1,
        Verdict::Stale => 2,
        Verdict::SourceError => 3,
        Verdict::Breach => 4,
    }
}

/// `ticks` in at most `most` parts of equal length.
fn parts(ticks: &[Arc<Tick>], most: usize) -> impl Iterator<Item = &[Arc<Tick>]> {
    ticks.chunks(ticks.len().div_ceil(most).max(1))
}

/// A chart of one rule's values against its bound, from the switch on. A rule without numbers (`health`) has none.
fn chart(page: &mut String, watched: &Watched, index: usize, rule: &Rule) {
    let points: Vec<Option<Quantity>> = parts(&watched.ticks, POINTS)
        .map(|part| {
            let values = part.iter().filter_map(|tick| tick.judgements.get(index)?.value);
            values.max_by(|a, b| a.value.total_cmp(&b.value))
        })
        .collect();
    let Some(unit) = points.iter().flatten().map(|quantity| quantity.unit).next() else { return };
    let limit = watched.ticks.iter().rev().find_map(|tick| tick.judgements.get(index)?.limit.as_ref()?.value);
    let Some(limit) = limit else { return };
    let (scale, name) = match unit {
        Unit::Percent => (100.0, "%"),
        Unit::Time => (1000.0, "ms"),
        Unit::Plain => (1.0, ""),
    };
    // A tick without data is drawn at the value before it: the chart has no way to leave a gap.
    let mut last = 0.0;
    let values: Vec<f64> = points
        .iter()
        .map(|point| {
            last = point.map_or(last, |point| point.value * scale);
            last
        })
        .collect();
    let bound = limit.value * scale;
    let top = values.iter().copied().fold(bound, f64::max) * 1.2;
    let top = if top > 0.0 { top } else { 1.0 };
    let (span, word) = span(watched.ticks.last().map_or(0, |tick| tick.after_ms));
    let list = |values: &mut dyn Iterator<Item = f64>| values.map(|value| format!("{value:.3}")).collect::<Vec<_>>().join(", ");
    let _ = writeln!(
        page,
        "```mermaid\nxychart-beta\n    title \"{} (flat line: the bound, {limit})\"\n    x-axis \"{word} since the switch was verified\" 0 --> {span:.1}\n    \
         y-axis \"{name}\" 0 --> {top:.3}\n    line [{}]\n    line [{}]\n```\n",
        rule.metric,
        list(&mut values.iter().copied()),
        list(&mut std::iter::repeat_n(bound, values.len())),
    );
}

/// A time in the unit that suits it.
fn span(milliseconds: u64) -> (f64, &'static str) {
    // Hours of milliseconds are far below 2^53.
    let seconds = milliseconds as f64 / 1000.0;
    if seconds >= 120.0 { (seconds / 60.0, "minutes") } else { (seconds, "seconds") }
}
