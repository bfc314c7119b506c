//! Traffic and watches as people read them: a line a tick for the log, a table and charts for the summary. Shows, judges nothing.

use std::{fmt::Write, sync::Arc, time::Duration};

use jiff::Timestamp;

use super::{
    story::{self, Drained, Story, Tick, Watched},
    summary::fence,
};
use crate::{
    config::{Ask, Bound, FinalCheck, Quantity, Rule, Unit},
    domain::{InstanceName, Share},
    execute::{Arrived, HttpResult},
    gate::{self, Judgement, Subject, Verdict},
    plan::Slice,
};

/// Rows of the summary's table of samples.
const ROWS: usize = 12;

/// Points of a chart: more than fit on a phone say nothing more.
const POINTS: usize = 60;

/// A chart in which the values stand out, in light and in dark: Mermaid draws the first line in its palest colour otherwise. Small
/// enough to be read on a phone.
const CHART: &str =
    r##"%%{init: {"xyChart": {"width": 600, "height": 280}, "themeVariables": {"xyChart": {"plotColorPalette": "#2f81f7, #e5534b"}}}}%%"##;

/// One look at arriving traffic: "100% of 212 requests arrive (100% is meant), endpoint Online, public address 200 OK".
pub(super) fn arrival(arrived: &Arrived) -> String {
    let mut parts = Vec::new();
    match (arrived.realised, arrived.requests) {
        (Some(share), Some(requests)) => {
            parts.push(format!("{} of {requests} requests arrive ({} is meant)", coarse(share), arrived.intended));
        }
        (None, Some(_)) => parts.push("no request arrived anywhere since the last look".to_owned()),
        (_, None) => parts.push("requests cannot be counted".to_owned()),
    }
    parts.push(arrived.monitor.as_ref().map_or_else(|| "endpoint not read".to_owned(), |monitor| format!("endpoint {monitor}")));
    if let Some(public) = &arrived.public {
        parts.push(format!("public address {}", story::answer(public)));
    }
    parts.join(", ")
}

/// To a tenth of a percent, downwards: what is not all never looks like it. Less than a tenth stays as it is.
fn coarse(share: Share) -> Share {
    const TENTH: u32 = 1000;
    match share.ppm() {
        ppm @ 0..TENTH => Share::from_ppm(ppm),
        ppm => Share::from_ppm(ppm - ppm % TENTH),
    }
    .unwrap_or(share)
}

/// Shares: "5% prod-canary-1, 47.5% prod-stable-1, 47.5% prod-stable-2".
pub(super) fn shares(slices: &[Slice]) -> String {
    slices.iter().map(|slice| format!("{} {}", slice.share, slice.instance)).collect::<Vec<_>>().join(", ")
}

/// What was left of what nobody is sent to any more: "aci-staging-blue after 10 s: no request arrives there any more".
pub(super) fn drained(from: &InstanceName, after_ms: u64, left: Option<u64>) -> String {
    let left = match left {
        Some(0) => "no request arrives there any more".to_owned(),
        Some(left) => format!("{left} requests still arrived there at the last look: they come by another way than this name"),
        None => "its requests cannot be counted; the time to live has run out".to_owned(),
    };
    format!("{from} after {}: {left}", story::duration(after_ms))
}

/// A rule: "error-rate max 0 %, 2 in a row".
pub(super) fn rule(rule: &Rule) -> String {
    let bounds: Vec<String> = rule.bounds.iter().map(bound).collect();
    let bounds = if bounds.is_empty() { String::new() } else { format!(" {}", bounds.join(" ")) };
    format!("{}{bounds}, {} in a row", rule.metric, rule.consecutive)
}

/// A final check: "invoices not 0: SELECT count(*) FROM invoices".
pub(super) fn final_check(check: &FinalCheck) -> String {
    let (Ask::Sql { query } | Ask::Metric { query, .. }) = &check.ask;
    format!("{} {}: {query}", check.name, gate::wanted(&check.ask))
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

/// A tick on one line: "12/180  error-rate 0 % ✓  latency-p99 45 ms ✓  health ✓"; what is not a pass says why beneath.
pub(super) fn tick_line(tick: u32, of: u32, judgements: &[Judgement], standby: Option<&HttpResult>) -> String {
    let mut line = format!("{tick}/{of}");
    for judgement in judgements {
        let value = judgement.shown().map_or_else(String::new, |value| format!(" {value}"));
        let _ = write!(line, "  {}{value} {}", judgement.metric, mark(judgement.verdict));
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
    for (index, switched) in story.switches.iter().enumerate() {
        let from = switched.from.as_ref().map_or_else(|| "nowhere".to_owned(), |from| from.slot.to_string());
        let line = format!(
            "{}: {from} → 100% {} ({}), acknowledged after {}",
            switched.at.strftime("%H:%M:%S UTC"),
            switched.to.slot,
            switched.to.instance,
            story::duration(switched.took_ms)
        );
        let _ = writeln!(page, "- {}", text(&line));
        // Whether people arrive is looked at after the first: what is taken back was there before.
        if let (0, Some(arrived)) = (index, &story.arrived) {
            let _ = writeln!(page, "- {}", text(&arrival(arrived)));
        }
    }
    if let Some(after) = story.safe_after_ms {
        let _ = writeln!(page, "- {}", text(&format!("traffic was safe again {} after the decision", story::duration(after))));
    }
    for Drained { from, after_ms, left } in &story.drained {
        let _ = writeln!(page, "- {}", text(&drained(from, *after_ms, *left)));
    }
    page.push('\n');
}

/// The summary's part on the watches: those that are over folded, then the last: what tripped, a table of samples, charts with
/// their bounds.
pub(super) fn watch(page: &mut String, story: &Story, text: impl Fn(&str) -> String) {
    for watched in &story.earlier {
        let Some(last) = watched.ticks.last() else { continue };
        let _ = writeln!(page, "<details><summary>{}: {} of {} ticks</summary>\n", crate::text::html(&watched.title), last.tick, last.of);
        of(page, story, watched, &text);
        page.push_str("</details>\n\n");
    }
    let Some(last) = story.watch.ticks.last() else { return };
    let _ = writeln!(page, "### Watch: {} of {} ticks\n", last.tick, last.of);
    if !story.earlier.is_empty() {
        let _ = writeln!(page, "{}\n", text(&story.watch.title));
    }
    of(page, story, &story.watch, &text);
}

/// One watch.
fn of(page: &mut String, story: &Story, watched: &Watched, text: &impl Fn(&str) -> String) {
    let Some(last) = watched.ticks.last() else { return };
    let mut bad: Vec<String> =
        last.judgements.iter().filter(|judgement| judgement.verdict != Verdict::Pass).map(ToString::to_string).collect();
    bad.sort();
    bad.dedup();
    for judgement in bad {
        let _ = writeln!(page, "- {}", text(&judgement));
    }
    if !is_calm(&last.judgements) {
        page.push('\n');
        // Of a watch that is over no queries are kept.
        if story.watch.ticks.last().is_some_and(|latest| Arc::ptr_eq(latest, last)) {
            asked(page, story, last);
        }
    }
    table(page, watched, text);
    // A release by shares has its charts over the whole of it; the last watch is shown close up besides.
    if !super::release::is_one(story) || std::ptr::eq(watched, &raw const story.watch) {
        for (rule, places) in columns(&watched.rules) {
            if let Some(index) = tightest(watched, &places) {
                chart(page, story, watched, index, rule);
            }
        }
    }
}

/// A watch's rules by their metric, in order, each metric once: its first rule, and the places of all of them. A phase has the
/// rules of every phase beside its own, and a metric has one value whatever it is held against.
fn columns(rules: &[Rule]) -> Vec<(&Rule, Vec<usize>)> {
    let mut all: Vec<(&Rule, Vec<usize>)> = Vec::new();
    for (index, rule) in rules.iter().enumerate() {
        match all.iter_mut().find(|(known, _)| known.metric == rule.metric) {
            Some((_, places)) => places.push(index),
            None => all.push((rule, vec![index])),
        }
    }
    all
}

/// Of the rules of a metric the one that allows least.
fn tightest(watched: &Watched, places: &[usize]) -> Option<usize> {
    let last = |index: usize| watched.ticks.iter().rev().find_map(|tick| tick.judgements.get(index).filter(|one| one.limit.is_some()));
    places.iter().copied().reduce(|best, index| match (last(best), last(index)) {
        (Some(known), Some(other)) if super::series::is_tighter(other, known) => index,
        (None, Some(_)) => index,
        (Some(_) | None, _) => best,
    })
}

/// What was asked for the numbers that were not good, ready to be asked again.
fn asked(page: &mut String, story: &Story, last: &Tick) {
    let bad = last.judgements.iter().filter(|judgement| judgement.verdict != Verdict::Pass);
    let queries: Vec<&str> = bad
        .filter_map(|judgement| story.samples.iter().find(|sample| sample.metric == judgement.metric && sample.subject == Subject::New))
        .map(|sample| sample.query.as_str())
        .collect();
    let queries: std::collections::BTreeSet<&str> = queries.into_iter().collect();
    let queries: Vec<&str> = queries.into_iter().collect();
    if !queries.is_empty() {
        let _ = writeln!(page, "<details><summary>What was asked</summary>\n\n{}\n</details>\n", fence(&queries.join("\n")));
    }
}

/// A table of samples: at most [`ROWS`] rows, each the worst of its part of the watch; the evidence file has them all.
fn table(page: &mut String, watched: &Watched, text: &impl Fn(&str) -> String) {
    page.push_str("| after |");
    let columns = columns(&watched.rules);
    for (rule, places) in &columns {
        let _ = write!(page, " {}", text(rule.metric.as_str()));
        let mut bounds: Vec<String> =
            places.iter().filter_map(|place| watched.rules.get(*place)).flat_map(|rule| &rule.bounds).map(bound).collect();
        bounds.dedup();
        for bound in bounds {
            let _ = write!(page, "<br>{}", text(&bound));
        }
        page.push_str(" |");
    }
    page.push_str("\n|---|");
    page.push_str(&"---|".repeat(columns.len()));
    page.push('\n');
    for part in parts(&watched.ticks, ROWS) {
        let Some(end) = part.last() else { continue };
        let _ = write!(page, "| {} |", unbroken(&story::duration(end.after_ms)));
        for (_, places) in &columns {
            let _ = write!(page, " {} |", worst(part, places).map_or_else(String::new, |judgement| text(&cell(judgement))));
        }
        page.push('\n');
    }
    page.push('\n');
}

/// A judgement in the table: what is good is quiet, so that what is not is seen.
fn cell(judgement: &Judgement) -> String {
    let value = judgement.shown().map(|value| value.to_string());
    let said = match judgement.verdict {
        Verdict::Pass => value.unwrap_or_else(|| "good".into()),
        Verdict::Breach => format!("❌ {}", value.unwrap_or_else(|| "not good".into())),
        Verdict::TooLittleData | Verdict::SourceError | Verdict::Stale => format!("❔ {}", judgement.verdict),
    };
    unbroken(&said)
}

/// On one line, however narrow the table.
pub(super) fn unbroken(text: &str) -> String {
    text.replace(' ', "\u{a0}")
}

/// The worst judgement of the rules in these `places` in a part of the watch: by its verdict, then by its value.
fn worst<'a>(part: &'a [Arc<Tick>], places: &[usize]) -> Option<&'a Judgement> {
    let judgements = part.iter().flat_map(|tick| places.iter().filter_map(|place| tick.judgements.get(*place)));
    judgements.max_by(|a, b| severity(a.verdict).cmp(&severity(b.verdict)).then(badness(a).total_cmp(&badness(b))))
}

/// How bad a value is: the larger the worse, the other way round where the bound is a least one.
fn badness(judgement: &Judgement) -> f64 {
    let value = judgement.value.map_or(0.0, |value| value.value);
    match judgement.limit.map(|limit| limit.bound) {
        Some(Bound::Min(_) | Bound::MinOfBaseline(_)) => -value,
        Some(Bound::Max(_) | Bound::MaxOfBaseline(_)) | None => value,
    }
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
fn chart(page: &mut String, story: &Story, watched: &Watched, index: usize, rule: &Rule) {
    let points: Vec<Option<Quantity>> = parts(&watched.ticks, POINTS)
        .map(|part| {
            let judgements = part.iter().filter_map(|tick| tick.judgements.get(index)).filter(|judgement| judgement.value.is_some());
            judgements.max_by(|a, b| badness(a).total_cmp(&badness(b)))?.value
        })
        .collect();
    let Some(unit) = points.iter().flatten().map(|quantity| quantity.unit).next() else { return };
    let limit = watched.ticks.iter().rev().find_map(|tick| tick.judgements.get(index)?.limit.as_ref()?.value);
    let Some(limit) = limit else { return };
    let (scale, name) = scale(unit);
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
    let (Some(first), Some(end)) = (watched.ticks.first(), watched.ticks.last()) else { return };
    if values.len() < 2 {
        return;
    }
    // The moment of the switch is where the axis begins to count.
    let moments = story.switches.iter().map(|switched| switched.at).chain(story.shares.iter().map(|shared| shared.at));
    let switched = moments.filter(|at| *at <= first.at).max();
    let (origin, what) = match switched {
        Some(at) => (at, "the switch at"),
        None => (first.at - Duration::from_millis(first.after_ms), "the watch began,"),
    };
    let since = |at: Timestamp| at.duration_since(origin).as_secs_f64();
    let (length, word) = if since(end.at) >= 120.0 { (60.0, "minutes") } else { (1.0, "seconds") };
    let origin = origin.strftime("%H:%M:%S UTC");
    let list = |values: &mut dyn Iterator<Item = f64>| values.map(short).collect::<Vec<_>>().join(", ");
    let _ = writeln!(
        page,
        "```mermaid\n{CHART}\nxychart-beta\n    title \"{} (blue), bound {limit} (red)\"\n    x-axis \"{word} since {what} {origin}\" {:.1} --> {:.1}\n    \
         y-axis \"{name}\" 0 --> {}\n    line [{}]\n    line [{}]\n```\n",
        rule.metric,
        since(first.at) / length,
        since(end.at) / length,
        short(top),
        list(&mut values.iter().copied()),
        list(&mut std::iter::repeat_n(bound, values.len())),
    );
}

/// What a chart multiplies base units with, and calls the result.
pub(super) const fn scale(unit: Unit) -> (f64, &'static str) {
    match unit {
        Unit::Percent => (100.0, "%"),
        Unit::Time => (1000.0, "ms"),
        Unit::Plain => (1.0, ""),
    }
}

/// A number of a chart: three decimals at most.
pub(super) fn short(number: f64) -> String {
    let text = format!("{number:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests;
