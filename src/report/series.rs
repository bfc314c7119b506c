//! The numbers of a release along its time: a metric of both versions against its bound, the shares, and what was decided at
//! each gate. Pure: out of a story, for whichever display draws them.

use jiff::Timestamp;

use super::story::{Decision, Judged, Story, Tick, Watched, duration};
use crate::{
    config::{Bound, Quantity, Unit},
    domain::{InstanceName, Share},
    gate::{Counts, Judgement, Verdict},
};

/// The metrics that everybody asks for.
const FIRST: [&str; 2] = ["error-rate", "latency-p99"];

/// A metric's values at one moment.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Point {
    /// When.
    pub(super) at: Timestamp,
    /// Of the new version.
    pub(super) new: Option<f64>,
    /// Of the version before it.
    pub(super) before: Option<f64>,
    /// What the new version's value was held against: the tightest bound.
    pub(super) bound: Option<f64>,
}

/// A metric along a release.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Series {
    /// Its name.
    pub(super) metric: String,
    /// What its values are counted in.
    pub(super) unit: Unit,
    /// Its values, in their base unit, in order of time; at least one of the new version.
    pub(super) points: Vec<Point>,
}

/// The metrics of a story's watches that have numbers of the new version, in the order in which rules name them.
pub(super) fn metrics(story: &Story) -> Vec<Series> {
    let mut all: Vec<Series> = Vec::new();
    for watched in story.watches() {
        // Between two watches nothing was measured: a line through it would say that something was.
        if let Some(first) = watched.ticks.first() {
            all.iter_mut().for_each(|series| series.points.push(Point { at: first.at, new: None, before: None, bound: None }));
        }
        for tick in &watched.ticks {
            let mut seen: Vec<&str> = Vec::new();
            for (judgement, beside) in tick.judgements.iter().zip(&tick.beside) {
                let metric = judgement.metric.as_str();
                let Some(unit) = judgement.value.map(|value| value.unit) else { continue };
                // Two rules of a metric have one value; what it was held against is the tighter of their bounds.
                if seen.contains(&metric) {
                    let series = all.iter_mut().find(|series| series.metric == metric);
                    if let Some(point) = series.and_then(|series| series.points.last_mut()).filter(|_| watched.judged == Judged::New) {
                        point.bound = tighter(point.bound, bound(judgement), judgement);
                    }
                    continue;
                }
                seen.push(metric);
                let (judged, beside) = (judgement.value.map(|value| value.value), beside.map(|value| value.value));
                let point = match watched.judged {
                    Judged::New => Point { at: tick.at, new: judged, before: beside, bound: bound(judgement) },
                    Judged::Before => Point { at: tick.at, new: beside, before: judged, bound: None },
                };
                match all.iter_mut().find(|series| series.metric == metric) {
                    Some(series) => series.points.push(point),
                    None => all.push(Series { metric: metric.to_owned(), unit, points: vec![point] }),
                }
            }
        }
    }
    all.retain(|series| series.points.iter().any(|point| point.new.is_some() && point.bound.is_some()));
    all.sort_by_key(|series| place(&series.metric));
    all
}

/// What people ask for first stands first; the rest stays in its order.
fn place(metric: &str) -> usize {
    FIRST.iter().position(|first| *first == metric).unwrap_or(FIRST.len())
}

/// Whether a metric is one that everybody asks for.
pub(super) fn is_first(metric: &str) -> bool {
    place(metric) < FIRST.len()
}

fn bound(judgement: &Judgement) -> Option<f64> {
    judgement.limit.and_then(|limit| limit.value).map(|value| value.value)
}

/// Whether one of two rules of a metric allows less than the other.
pub(super) fn is_tighter(one: &Judgement, other: &Judgement) -> bool {
    let (Some(a), Some(b)) = (bound(one), bound(other)) else { return false };
    a != b && tighter(Some(a), Some(b), one) == Some(a)
}

fn tighter(one: Option<f64>, other: Option<f64>, judgement: &Judgement) -> Option<f64> {
    let (Some(a), Some(b)) = (one, other) else { return one.or(other) };
    Some(match judgement.limit.map(|limit| limit.bound) {
        Some(Bound::Min(_) | Bound::MinOfBaseline(_)) => a.max(b),
        Some(Bound::Max(_) | Bound::MaxOfBaseline(_)) | None => a.min(b),
    })
}

/// The share of people that the new version was given, from each moment on; empty where no share was ever set. The stable
/// instances run the new version once they were updated: what they have counts as its own from then on.
pub(super) fn shares(story: &Story) -> Vec<(Timestamp, Share)> {
    let Some(plan) = &story.plan else { return Vec::new() };
    let mut all: Vec<(Timestamp, Share)> = Vec::new();
    for shared in &story.shares {
        let runs_new = |instance: &InstanceName| *instance == plan.subject || updated(story, instance, shared.at);
        let ppm: u32 = shared.to.iter().filter(|slice| runs_new(&slice.instance)).map(|slice| slice.share.ppm()).sum();
        all.extend(Share::from_ppm(ppm.min(Share::ALL.ppm())).map(|share| (shared.at, share)));
    }
    all
}

/// Whether an instance was changed to the new version before `at`: by a step of the plan, not by one that takes it back.
fn updated(story: &Story, instance: &InstanceName, at: Timestamp) -> bool {
    let Some(plan) = &story.plan else { return false };
    let began = |index: usize| story.begun.get(index).copied().flatten();
    let writes = |steps: &[crate::plan::Step]| {
        let flat = steps.iter().flat_map(|step| match step {
            crate::plan::Step::Together { lanes } => lanes.iter().flatten().collect::<Vec<_>>(),
            step => vec![step],
        });
        flat.into_iter().any(|step| match step {
            crate::plan::Step::UpdateInstance { instance: written, .. } | crate::plan::Step::CreateInstance { instance: written } => {
                written == instance
            }
            _ => false,
        })
    };
    let before =
        |(index, step): &(usize, &crate::plan::Step)| writes(std::slice::from_ref(*step)) && began(*index).is_some_and(|began| began <= at);
    let last = plan.steps.iter().enumerate().rfind(before);
    last.is_some_and(|(index, _)| index < story.planned)
}

/// What was decided at the end of a watch, and on which numbers.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Gate {
    /// The watch, in words.
    pub(super) title: String,
    /// How long it had run, in milliseconds, and how many of its ticks had passed.
    pub(super) after_ms: u64,
    /// Ticks.
    pub(super) ticks: (u32, u32),
    /// The decision.
    pub(super) decision: Decision,
    /// Its sign.
    pub(super) mark: &'static str,
    /// The decision in words: "passed", "taken back to 25%", "stopped".
    pub(super) words: String,
    /// What the rules said last, or what broke: a sentence a rule.
    pub(super) numbers: Vec<String>,
}

/// The gates of a story, in order.
pub(super) fn gates(story: &Story) -> Vec<Gate> {
    story.watches().filter_map(|watched| Some(gate(story, watched, watched.ticks.last()?))).collect()
}

fn gate(story: &Story, watched: &Watched, last: &Tick) -> Gate {
    let (mark, words) = match (&watched.decision, watched.judged) {
        (Decision::Open, _) if story.end.is_some() => ("▫️", "not decided: the run ended before".to_owned()),
        (Decision::Open, _) => ("⏳", "running".to_owned()),
        // Only looked at, before the new one is tried.
        (Decision::Passed, Judged::Before) if watched.share.is_none() => ("✅", "good, so it can be compared with".to_owned()),
        (Decision::Passed, Judged::New | Judged::Before) => ("✅", "passed".to_owned()),
        (Decision::SteppedBack { to, .. }, _) => ("↩️", format!("taken back to {to}")),
        (Decision::Stopped { kind: crate::failure::FailureKind::NoEvidence | crate::failure::FailureKind::SteppedBack, .. }, _) => {
            ("⏸️", "held: a person decides".to_owned())
        }
        (Decision::Stopped { .. }, _) => ("❌", "stopped".to_owned()),
    };
    let numbers = |only: &dyn Fn(&Judgement) -> bool| -> Vec<String> {
        let mut told: Vec<&Judgement> = Vec::new();
        for judgement in last.judgements.iter().filter(|judgement| only(judgement)) {
            // Two rules of a metric have one value: told is the one with the tighter bound.
            match told.iter_mut().find(|known| known.metric == judgement.metric) {
                Some(known) if is_tighter(judgement, known) => *known = judgement,
                Some(_) => {}
                None => told.push(judgement),
            }
        }
        told.sort_by_key(|judgement| place(judgement.metric.as_str()));
        told.into_iter().map(ToString::to_string).collect()
    };
    let numbers = match &watched.decision {
        Decision::Open | Decision::Passed => numbers(&|judgement| judgement.value.is_some() && judgement.limit.is_some()),
        Decision::SteppedBack { why, .. } | Decision::Stopped { why, .. } => {
            let bad = numbers(&|judgement| judgement.trips());
            let bad = if bad.is_empty() { numbers(&|judgement| judgement.verdict != Verdict::Pass) } else { bad };
            let well = numbers(&|judgement| judgement.value.is_some() && judgement.limit.is_some());
            match (&watched.decision, bad.is_empty(), well.is_empty()) {
                (_, false, _) => bad,
                // Taken back and well there: those are the numbers that a person decides on.
                (
                    Decision::Stopped { kind: crate::failure::FailureKind::NoEvidence | crate::failure::FailureKind::SteppedBack, .. },
                    true,
                    false,
                ) => well,
                (_, true, _) => vec![why.clone()],
            }
        }
    };
    Gate {
        title: watched.title.clone(),
        decision: watched.decision.clone(),
        after_ms: last.after_ms,
        ticks: (last.tick, last.of),
        mark,
        words,
        numbers,
    }
}

/// What the last watch of the new version measured, for a final message. Nothing is made up: what was not measured is `None`.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Measured {
    /// Over how long, in words.
    pub(super) over: String,
    /// Errors and requests of the whole watch or, where nobody counted, what was read last.
    pub(super) errors: Option<Errors>,
    /// The highest p99 that was read.
    pub(super) latency_p99: Option<Quantity>,
    /// Requests a minute.
    pub(super) throughput: Option<f64>,
    /// Good health checks, and all of them.
    pub(super) health: Option<(usize, usize)>,
}

/// How many requests failed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Errors {
    /// So many of so many.
    Counted(Counts),
    /// This rate was read last.
    Rate(Quantity),
}

/// What the last watch of the new version measured.
pub(super) fn measured(story: &Story) -> Measured {
    let last = story.watches().filter(|watched| watched.judged == Judged::New).last();
    let Some((watched, tick)) = last.and_then(|watched| Some((watched, watched.ticks.last()?))) else { return Measured::default() };
    let values = |metric: &'static str| {
        watched.ticks.iter().filter_map(move |tick| {
            let of = |judgement: &&Judgement| judgement.metric.as_str() == metric && judgement.value.is_some();
            tick.judgements.iter().find(of).and_then(Judgement::shown)
        })
    };
    let served = watched.ticks.iter().rev().find_map(|tick| tick.served).filter(|served| served.requests > 0);
    let errors = served.map(Errors::Counted).or_else(|| values("error-rate").next_back().map(Errors::Rate));
    let mut counted = watched.ticks.iter().filter_map(|tick| Some((tick.after_ms, tick.served?.requests)));
    let throughput = counted.next().and_then(|(from, first)| {
        let (to, last) = counted.next_back()?;
        let requests = last.checked_sub(first)?;
        // Counts of a release are far below what a float holds exactly.
        (to > from).then(|| requests as f64 / ((to - from) as f64 / 60_000.0))
    });
    let health: Vec<Verdict> = watched
        .ticks
        .iter()
        .flat_map(|tick| &tick.judgements)
        .filter(|one| one.metric.as_str() == "health")
        .map(|one| one.verdict)
        .collect();
    let good = health.iter().filter(|verdict| **verdict == Verdict::Pass).count();
    Measured {
        over: duration(tick.after_ms),
        errors,
        latency_p99: values("latency-p99").max_by(|a, b| a.value.total_cmp(&b.value)),
        throughput,
        health: (!health.is_empty()).then_some((good, health.len())),
    }
}

impl Measured {
    /// The runbook's four lines (Final Notification: Metrics), each with its name.
    pub(super) fn lines(&self) -> [(&'static str, String); 4] {
        let not = || "not measured".to_owned();
        let errors = match self.errors {
            Some(Errors::Counted(counts)) => {
                let rate = counts.rate().map_or_else(not, |rate| Quantity::ratio(rate).to_string());
                format!("{rate} ({} of {} requests)", counts.events, counts.requests)
            }
            Some(Errors::Rate(rate)) => rate.to_string(),
            None => not(),
        };
        let uptime = self.health.map_or_else(not, |(good, all)| {
            // As many health checks as a float holds exactly, by far.
            let share = good as f64 / all as f64;
            format!("{} ({good} of {all} health checks)", Quantity::ratio(share))
        });
        [
            ("Error rate", errors),
            ("Latency p99", self.latency_p99.map_or_else(not, |value| format!("{value} at most"))),
            ("Throughput", self.throughput.map_or_else(not, |rate| format!("{rate:.0} requests/min"))),
            ("Uptime", uptime),
        ]
    }
}

/// Where a chart's axis of values begins and ends, as its `values` are written: at nothing, with a little room at the top. Shares
/// that are all high, such as a success rate and its bound, are shown close up: from nothing they would all be one line.
pub(super) fn ends(values: impl Iterator<Item = f64> + Clone, unit: Unit) -> (f64, f64) {
    let (low, high) = (values.clone().fold(f64::INFINITY, f64::min), values.fold(0.0, f64::max));
    match unit {
        Unit::Percent if (90.0..=100.0).contains(&low) && high <= 100.0 => {
            let room = (100.0 - low).max(0.1);
            ((low - room * 0.5).max(0.0), 100.0)
        }
        Unit::Percent | Unit::Time | Unit::Plain if high > 0.0 => (0.0, high * 1.1),
        Unit::Percent | Unit::Time | Unit::Plain => (0.0, 1.0),
    }
}

/// `points` in at most `most` parts of equal time from the first to the last, for a chart whose axis knows no time: of each part
/// the highest value of the new version, the highest of the one before, and the tightest bound. A part in which nothing was
/// read has none.
pub(super) fn evenly(points: &[Point], most: usize) -> Vec<Point> {
    let (Some(first), Some(last)) = (points.first(), points.last()) else { return Vec::new() };
    let span = last.at.duration_since(first.at).as_secs_f64();
    let parts = most.min(points.len()).max(1);
    let highest = |a: Option<f64>, b: Option<f64>| match (a, b) {
        (Some(a), Some(b)) => Some(a.max(b)),
        (a, b) => a.or(b),
    };
    let place = |at: Timestamp| {
        let part = if span > 0.0 { at.duration_since(first.at).as_secs_f64() / span * parts as f64 } else { 0.0 };
        // Between 0 and `parts`, which is small.
        (part as usize).min(parts - 1)
    };
    let empty = |index: usize| {
        let seconds = span * (index as f64 + 0.5) / parts as f64;
        let at = first.at + std::time::Duration::try_from_secs_f64(seconds).unwrap_or_default();
        Point { at, new: None, before: None, bound: None }
    };
    let mut all: Vec<Point> = (0..parts).map(empty).collect();
    for point in points {
        if let Some(part) = all.get_mut(place(point.at)) {
            part.new = highest(part.new, point.new);
            part.before = highest(part.before, point.before);
            part.bound = match (part.bound, point.bound) {
                (Some(a), Some(b)) => Some(a.min(b)),
                (a, b) => a.or(b),
            };
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::report::release::tests::{bad, good};

    fn points(values: &[Option<u32>]) -> Vec<Point> {
        let at = |second: usize| Timestamp::UNIX_EPOCH + std::time::Duration::from_secs(10 * second as u64);
        let point = |(second, value): (usize, &Option<u32>)| Point {
            at: at(second),
            new: value.map(f64::from),
            before: None,
            bound: value.map(|_| 50.0),
        };
        values.iter().enumerate().map(point).collect()
    }

    proptest! {
        #[test]
        fn a_chart_hides_nothing_bad_and_makes_nothing_up(
            values in prop::collection::vec(prop::option::of(0u32..100), 1..200), most in 1usize..70,
        ) {
            let even = evenly(&points(&values), most);
            prop_assert!(even.len() <= most && even.len() <= values.len());
            let highest = |all: &mut dyn Iterator<Item = f64>| all.fold(None, |top: Option<f64>, value| Some(top.map_or(value, |top| top.max(value))));
            let read = highest(&mut values.iter().flatten().copied().map(f64::from));
            prop_assert_eq!(highest(&mut even.iter().filter_map(|point| point.new)), read);
            prop_assert!(even.windows(2).all(|two| two[0].at < two[1].at));
        }

        #[test]
        fn an_axis_holds_all_values(values in prop::collection::vec(0.0f64..1000.0, 1..20)) {
            for unit in [Unit::Percent, Unit::Time, Unit::Plain] {
                let (low, high) = ends(values.iter().copied(), unit);
                prop_assert!(low < high && values.iter().all(|value| (low..=high).contains(value)), "{low} {high}");
            }
        }
    }

    #[test]
    fn high_shares_are_shown_close_up() {
        assert_eq!(ends([99.9, 100.0].into_iter(), Unit::Percent), (99.9 - (100.0 - 99.9) * 0.5, 100.0));
        assert_eq!((ends([0.0].into_iter(), Unit::Percent), ends(std::iter::empty(), Unit::Time)), ((0.0, 1.0), (0.0, 1.0)));
    }

    #[test]
    fn the_bound_is_the_tightest_and_a_look_at_what_is_trusted_is_not_held_against_the_new_version() {
        let all = metrics(&bad());
        let names: Vec<&str> = all.iter().map(|series| series.metric.as_str()).collect();
        assert_eq!(names, ["error-rate", "latency-p99"]);
        let errors = &all[0].points;
        // Two looks at the version before, then a gap, the five minutes at 5 %, a gap, and what broke at 25 %.
        assert!(errors[..2].iter().all(|point| point.bound.is_none() && point.before.is_some()), "{errors:?}");
        let gaps = errors.iter().filter(|point| (point.new, point.before, point.bound) == (None, None, None)).count();
        assert_eq!((gaps, errors.len()), (2, 2 + 30 + 6 + 2));
        let bounds: Vec<f64> = errors.iter().filter_map(|point| point.bound).collect();
        assert_eq!((bounds.first(), bounds.last()), (Some(&0.01), Some(&0.005)));
        assert_eq!(metrics(&good(5))[0].points.iter().filter_map(|point| point.bound).next_back(), Some(0.001));
    }

    #[test]
    fn what_is_told_of_two_rules_of_a_metric_is_the_tighter_one() {
        let gates = gates(&good(2));
        assert_eq!(gates.len(), 3);
        for number in &gates[2].numbers {
            assert!(number.contains("0.5 % (max)") || number.contains("1000 ms (max)"), "{number}");
        }
    }
}
