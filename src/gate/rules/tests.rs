//! The gate, in the runbook's words.

use proptest::prelude::*;

use super::*;
use crate::gate::{Basis, Counts, statistics::Dice};

const HOLD: Settings = Settings { no_data: NoData::Hold, confidence: Share::from_ppm(990_000), min_requests: 50 };
const LITERAL: Settings = Settings { confidence: None, ..HOLD };

fn rule(metric: &str, bound: Bound, consecutive: u32) -> Rule {
    Rule { metric: metric.parse().expect("a name"), bounds: vec![bound], consecutive }
}

/// Runbook, automatic rollback triggers: "Error rate > 1.0% for 2 consecutive checks".
fn error_rate() -> Rule {
    rule("error-rate", Bound::Max(Quantity::ratio(0.01)), 2)
}

fn sample(metric: &str, subject: Subject, reading: Reading) -> Sample {
    let metric: crate::domain::MetricName = metric.parse().expect("a name");
    Sample { metric, subject, over: None, reading, query: "a query".into(), took_ms: 3 }
}

/// Counts as a source gives them, from tick to tick: a window of six ticks, and totals.
#[derive(Default)]
struct Traffic {
    ticks: Vec<Counts>,
}

impl Traffic {
    fn tick(&mut self, requests: u64, events: u64) -> Basis {
        self.ticks.push(Counts::new(requests, events));
        let sum = |ticks: &[Counts]| ticks.iter().fold(Counts::default(), |a, b| Counts::new(a.requests + b.requests, a.events + b.events));
        let window = sum(&self.ticks[self.ticks.len().saturating_sub(6)..]);
        Basis::Counts { window, total: sum(&self.ticks) }
    }

    fn errors(&mut self, subject: Subject, requests: u64, events: u64) -> Sample {
        let basis = self.tick(requests, events);
        sample("error-rate", subject, rate(basis))
    }
}

fn rate(basis: Basis) -> Reading {
    match basis {
        Basis::Counts { window, .. } => {
            window.rate().map_or(Reading::NoData { why: "no requests".into() }, |rate| Reading::value(rate, basis))
        }
        Basis::Plain | Basis::Requests { .. } => panic!("counts"),
    }
}

/// Counts of one window, as the first tick has them.
fn counts(requests: u64, events: u64) -> Reading {
    let window = Counts::new(requests, events);
    rate(Basis::Counts { window, total: window })
}

fn new(metric: &str, reading: Reading) -> Vec<Sample> {
    vec![sample(metric, Subject::New, reading)]
}

fn one(gate: &mut Gate, samples: &[Sample]) -> Judgement {
    gate.judge(samples).pop().expect("one rule")
}

#[test]
fn the_literal_rule_trips_on_breaches_in_a_row() {
    let mut gate = Gate::new(&[error_rate()], LITERAL);
    let mut tick = |errors| {
        let judgement = one(&mut gate, &new("error-rate", counts(100, errors)));
        (judgement.verdict, judgement.in_a_row, judgement.trips())
    };
    assert_eq!(tick(1), (Verdict::Pass, 0, false), "1 % is not above 1 %");
    assert_eq!(tick(2), (Verdict::Breach, 1, false));
    assert_eq!(tick(0), (Verdict::Pass, 0, false), "a pass sets the count back");
    assert_eq!(tick(2), (Verdict::Breach, 1, false));
    assert_eq!(tick(2), (Verdict::Breach, 2, true));
    assert!(matches!(gate.conclude(), Conclusion::Tripped { .. }));
}

#[test]
fn a_tick_without_data_neither_sets_back_nor_counts() {
    let whys = [
        (Reading::NoData { why: "no series".into() }, Verdict::TooLittleData),
        (counts(49, 0), Verdict::TooLittleData),
        (Reading::Failed { why: "connection refused".into() }, Verdict::SourceError),
        (Reading::Value { value: f64::NAN, basis: Basis::Plain }, Verdict::SourceError),
        (Reading::Value { value: f64::NEG_INFINITY, basis: Basis::Plain }, Verdict::SourceError),
        (Reading::Stale { age_ms: 300_000, why: "the server has not scraped it since".into() }, Verdict::Stale),
    ];
    for (reading, verdict) in whys {
        let mut gate = Gate::new(&[error_rate()], LITERAL);
        assert_eq!(one(&mut gate, &new("error-rate", counts(100, 9))).in_a_row, 1);
        let without = one(&mut gate, &new("error-rate", reading));
        assert_eq!((without.verdict, without.in_a_row, without.trips()), (verdict, 1, false));
        assert!(without.lacking.is_some());
        assert!(one(&mut gate, &new("error-rate", counts(100, 9))).trips());
    }
}

#[test]
fn a_rule_whose_metric_nobody_read_is_without_data() {
    let mut gate = Gate::new(&[error_rate(), rule("restarts", Bound::Max(Quantity::plain(2.0)), 1)], HOLD);
    let judgements = gate.judge(&new("error-rate", counts(100, 0)));
    assert_eq!(judgements.iter().map(|judgement| judgement.verdict).collect::<Vec<_>>(), [Verdict::Pass, Verdict::TooLittleData]);
    assert!(matches!(gate.conclude(), Conclusion::Held { lacking } if lacking.len() == 1 && lacking[0].contains("restarts")));
}

#[test]
fn min_requests_says_how_many_more() {
    let at = |requests, errors| one(&mut Gate::new(&[error_rate()], HOLD), &new("error-rate", counts(requests, errors)));
    assert_eq!(at(50, 0).verdict, Verdict::Pass);
    assert_eq!(at(49, 0).lacking.as_deref(), Some("1 more request in the window (49 of 50)"));
    assert_eq!(at(32, 3).lacking.as_deref(), Some("18 more requests in the window (32 of 50); so far 3 errors in 32 requests"));
    // A rate without counts cannot be held to it.
    let unknown = one(&mut Gate::new(&[error_rate()], HOLD), &new("error-rate", Reading::plain(0.0)));
    assert_eq!(unknown.verdict, Verdict::TooLittleData);
    // What is no rate needs no requests.
    let cpu = rule("cpu", Bound::Max(Quantity::ratio(0.9)), 2);
    assert_eq!(one(&mut Gate::new(&[cpu], HOLD), &new("cpu", Reading::plain(0.5))).verdict, Verdict::Pass);
}

#[test]
fn no_data_can_be_a_breach_or_be_ignored() {
    let nothing = new("error-rate", Reading::NoData { why: "no series".into() });
    let mut fail = Gate::new(&[error_rate()], Settings { no_data: NoData::Fail, ..HOLD });
    assert!(!one(&mut fail, &nothing).trips());
    let second = one(&mut fail, &nothing);
    assert_eq!((second.verdict, second.trip), (Verdict::TooLittleData, Some(Trip::InARow)));

    let cpu = rule("cpu", Bound::Max(Quantity::ratio(0.9)), 2);
    let mut ignore = Gate::new(&[error_rate(), cpu], Settings { no_data: NoData::Ignore, ..HOLD });
    ignore.judge(&nothing);
    // Silence of every rule promotes nobody, whatever is ignored.
    assert!(matches!(ignore.conclude(), Conclusion::Held { .. }));
    ignore.judge(&new("cpu", Reading::plain(0.5)));
    assert_eq!(ignore.conclude(), Conclusion::Passed);
}

#[test]
fn a_rate_trips_only_when_chance_does_not_explain_it() {
    let mut gate = Gate::new(&[error_rate()], HOLD);
    let mut traffic = Traffic::default();
    // Two errors in 100 requests, then nothing more: above 1 %, and nobody would bet on it.
    let mut verdicts = Vec::new();
    for (requests, errors) in [(50, 1), (50, 1), (50, 1)] {
        let judgement = one(&mut gate, &[traffic.errors(Subject::New, requests, errors)]);
        assert!(judgement.chance.is_some_and(Chance::may_explain));
        verdicts.push((judgement.verdict, judgement.in_a_row, judgement.trips()));
    }
    assert_eq!(verdicts, [(Verdict::Breach, 1, false), (Verdict::Breach, 2, false), (Verdict::Breach, 3, false)]);
    // Then it goes on getting worse.
    let ticks = (1..10).find(|_| one(&mut gate, &[traffic.errors(Subject::New, 50, 4)]).trips());
    assert_eq!(ticks, Some(2));
    // The literal rule would have tripped at the second tick.
}

#[test]
fn stable_beside_it_makes_the_evidence_stronger() {
    let trips_after = |stable_errors: Option<u64>| {
        let mut gate = Gate::new(&[error_rate()], HOLD);
        let (mut canary, mut stable) = (Traffic::default(), Traffic::default());
        (1..=30).find(|_| {
            let mut samples = vec![canary.errors(Subject::New, 50, 1)];
            samples.extend(stable_errors.map(|errors| stable.errors(Subject::Baseline, 950, errors)));
            one(&mut gate, &samples).trips()
        })
    };
    // 2 %, beside stable at 0.1 %: soon. Alone, against a bound of 1 %: late. Beside a stable that is just as bad: not in this
    // time, because then it is not the new version that is to blame.
    assert_eq!((trips_after(Some(1)), trips_after(None), trips_after(Some(19))), (Some(5), Some(30), None));
}

#[test]
fn where_nothing_is_allowed_any_error_counts() {
    // Runbook Scenario 2, Step 6: "Monitor error rates (target: 0%)".
    let zero = || Gate::new(&[rule("error-rate", Bound::Max(Quantity::ratio(0.0)), 2)], HOLD);
    let mut gate = zero();
    assert_eq!(one(&mut gate, &new("error-rate", counts(10, 0))).verdict, Verdict::TooLittleData);
    let first = one(&mut gate, &new("error-rate", counts(10, 1)));
    assert_eq!((first.verdict, first.chance, first.trips()), (Verdict::Breach, None, false));
    assert!(one(&mut gate, &new("error-rate", counts(10, 1))).trips());
    // An error that the windows since have left behind holds nothing up.
    let mut gate = zero();
    let mut traffic = Traffic::default();
    gate.judge(&[traffic.errors(Subject::New, 100, 1)]);
    for _ in 0..8 {
        traffic.tick(100, 0);
    }
    gate.judge(&[traffic.errors(Subject::New, 100, 0)]);
    assert_eq!(gate.conclude(), Conclusion::Passed);
}

#[test]
fn a_collapse_trips_at_once_when_there_are_requests_enough() {
    let at = |settings, requests, errors| one(&mut Gate::new(&[error_rate()], settings), &new("error-rate", counts(requests, errors)));
    assert_eq!(at(HOLD, 50, 25).trip, Some(Trip::Collapse));
    assert_eq!(at(HOLD, 50, 24).trip, None);
    assert_eq!(at(HOLD, 49, 49).verdict, Verdict::TooLittleData);
    // The literal rule knows nothing of it.
    assert_eq!(at(LITERAL, 50, 50).trip, None);
}

#[test]
fn a_latency_is_judged_by_the_requests_beyond_its_bound() {
    let bound = Quantity::seconds(0.1);
    let slow = rule("latency-p99", Bound::Max(bound), 1);
    let read = |over, value, requests, events| {
        let window = Counts::new(requests, events);
        let reading = Reading::value(value, Basis::Counts { window, total: window });
        Sample { over, ..sample("latency-p99", Subject::New, reading) }
    };
    let mut gate = Gate::new(std::slice::from_ref(&slow), HOLD);
    // 2 of 100 slower than the bound: a breach that chance explains. Samples counted against other bounds are not its own.
    let samples = [read(Some(bound), 0.3, 100, 2), read(Some(Quantity::seconds(2.0)), 0.3, 100, 0)];
    let judgement = one(&mut gate, &samples);
    assert_eq!((judgement.verdict, judgement.trips()), (Verdict::Breach, false));
    assert_eq!(judgement.counts, Some(Counts::new(100, 2)));
    assert!(one(&mut gate, &[read(Some(bound), 0.3, 1000, 60)]).trips());
    // Where only the query knows how its answer came about, the literal rule is what is left.
    let plain = Reading::value(0.3, Basis::Requests { requests: 80 });
    assert!(one(&mut Gate::new(&[slow], HOLD), &new("latency-p99", plain)).trips());
}

#[test]
fn a_rule_can_compare_with_stable() {
    let part = |text: &str| text.parse().expect("a share");
    let throughput = rule("throughput", Bound::MinOfBaseline(part("90%")), 1);
    let read = |metric: &str, new: Reading, stable: Option<Reading>| {
        let mut samples = vec![sample(metric, Subject::New, new)];
        samples.extend(stable.map(|reading| sample(metric, Subject::Baseline, reading)));
        samples
    };
    // 25 % of the traffic does 25 % of the work: per request it is the same.
    let per = |value, requests| Reading::value(value, Basis::Requests { requests });
    let mut gate = Gate::new(&[throughput], HOLD);
    assert_eq!(one(&mut gate, &read("throughput", per(25.0, 250), Some(per(75.0, 750)))).verdict, Verdict::Pass);
    assert!(one(&mut gate, &read("throughput", per(20.0, 250), Some(per(75.0, 750)))).trips());
    // Anything else is compared as it is.
    let cache = || Gate::new(&[rule("cache-hit-ratio", Bound::MinOfBaseline(part("90%")), 1)], HOLD);
    assert_eq!(one(&mut cache(), &read("cache-hit-ratio", Reading::plain(0.81), Some(Reading::plain(0.9)))).verdict, Verdict::Pass);
    assert!(one(&mut cache(), &read("cache-hit-ratio", Reading::plain(0.8), Some(Reading::plain(0.9)))).trips());
    // Stable's silence is silence.
    for stable in [None, Some(Reading::NoData { why: "no series".into() })] {
        let judgement = one(&mut cache(), &read("cache-hit-ratio", Reading::plain(0.9), stable));
        assert_eq!(judgement.verdict, Verdict::TooLittleData);
        assert!(judgement.lacking.is_some_and(|lacking| lacking.starts_with("of the stable instances: ")));
    }
    // A few errors beside a spotless stable are no pass, and no abort before chance is out of the question.
    let mut errors = Gate::new(&[rule("error-rate", Bound::MaxOfBaseline("150%".parse().expect("a factor")), 1)], HOLD);
    let judgement = one(&mut errors, &read("error-rate", counts(100, 1), Some(counts(1900, 0))));
    assert_eq!((judgement.verdict, judgement.trips()), (Verdict::Breach, false));
    let judgement = one(&mut errors, &read("error-rate", counts(200, 6), Some(counts(3800, 0))));
    assert!(judgement.trips(), "{judgement}");
}

#[test]
fn health_and_restarts_are_judged_by_what_the_executor_saw() {
    // Runbook: "Canary instance health check fails", "Pod crash loop (>2 restarts)".
    let health = Rule { metric: "health".parse().expect("a name"), bounds: Vec::new(), consecutive: 1 };
    let restarts = rule("restarts", Bound::Max(Quantity::plain(2.0)), 1);
    let mut gate = Gate::new(&[health, restarts], HOLD);
    let mut tick = |health: &[Reading], restarts: f64| -> Vec<String> {
        let mut samples: Vec<Sample> = health.iter().map(|reading| sample("health", Subject::New, reading.clone())).collect();
        samples.push(sample("restarts", Subject::New, Reading::plain(restarts)));
        gate.judge(&samples).iter().map(|judgement| format!("{judgement}{}", if judgement.trips() { " TRIPS" } else { "" })).collect()
    };
    assert_eq!(tick(&[Reading::healthy()], 2.0), ["health: good", "restarts 2 ≤ 2 (max)"]);
    // It could not be asked: that says nothing of it.
    let unasked = Reading::Failed { why: "the instance has no address".into() };
    assert_eq!(tick(&[unasked], 2.0)[0], "health: source error: the instance has no address");
    // Of several instances the worst decides.
    assert_eq!(tick(&[Reading::healthy(), Reading::unhealthy()], 2.0)[0], "health: not good, 1 of 1 in a row TRIPS");
    assert_eq!(tick(&[Reading::healthy()], 3.0)[1], "restarts 3 > 2 (max), 1 of 1 in a row TRIPS");
}

#[test]
fn the_worst_of_several_bounds_decides() {
    let both = Rule {
        bounds: vec![Bound::Min(Quantity::plain(10.0)), Bound::Max(Quantity::plain(20.0))],
        ..rule("orders", Bound::Min(Quantity::plain(0.0)), 1)
    };
    let mut gate = Gate::new(&[both], HOLD);
    assert_eq!(one(&mut gate, &new("orders", Reading::plain(15.0))).to_string(), "orders 15 ≥ 10 (min)");
    assert_eq!(one(&mut gate, &new("orders", Reading::plain(9.0))).to_string(), "orders 9 < 10 (min), 1 of 1 in a row");
    assert_eq!(one(&mut gate, &new("orders", Reading::plain(21.0))).to_string(), "orders 21 > 20 (max), 2 in a row (1 would do)");
}

#[test]
fn two_readings_of_one_thing_are_an_error() {
    let twice: Vec<Sample> = [counts(100, 0), counts(100, 5)].map(|reading| sample("error-rate", Subject::New, reading)).into();
    let judgement = one(&mut Gate::new(&[error_rate()], HOLD), &twice);
    assert_eq!(judgement.verdict, Verdict::SourceError);
}

#[test]
fn a_watch_passes_on_evidence_only() {
    let gate = Gate::new(&[error_rate()], HOLD);
    assert!(matches!(gate.conclude(), Conclusion::Held { .. }), "before the first tick");
    assert!(matches!(Gate::new(&[], HOLD).conclude(), Conclusion::Held { .. }), "without a rule");

    let watch = |ticks: &[Vec<Sample>]| {
        let mut gate = Gate::new(&[error_rate()], HOLD);
        ticks.iter().for_each(|samples| drop(gate.judge(samples)));
        gate.conclude()
    };
    let nothing = || new("error-rate", Reading::NoData { why: "no series".into() });
    let good = || new("error-rate", counts(100, 0));
    assert_eq!(watch(&[good()]), Conclusion::Passed);
    // As many silent ticks at the end as the rule is patient with breaches, and no more.
    assert_eq!(watch(&[good(), nothing(), nothing()]), Conclusion::Passed);
    assert!(matches!(watch(&[good(), nothing(), nothing(), nothing()]), Conclusion::Held { .. }));
    assert_eq!(watch(&[nothing(), nothing(), nothing(), good()]), Conclusion::Passed);
    // A first breach at the end has not tripped, and is no pass.
    let plain = |value: f64| new("cpu", Reading::plain(value));
    let mut cpu = Gate::new(&[rule("cpu", Bound::Max(Quantity::ratio(0.9)), 2)], HOLD);
    cpu.judge(&plain(0.5));
    cpu.judge(&plain(0.95));
    assert_eq!(cpu.conclude().to_string(), "not enough to go on: cpu 95 % > 90 % (max), 1 of 2 in a row");
    cpu.judge(&plain(0.5));
    assert_eq!(cpu.conclude(), Conclusion::Passed);
}

#[test]
fn a_rate_passes_on_the_whole_watch() {
    // One error in the last window of 60 requests is more than 1 %, and in 900 requests it is not.
    let mut gate = Gate::new(&[error_rate()], HOLD);
    let mut traffic = Traffic::default();
    for _ in 0..89 {
        gate.judge(&[traffic.errors(Subject::New, 10, 0)]);
    }
    let last = one(&mut gate, &[traffic.errors(Subject::New, 10, 1)]);
    assert_eq!((last.verdict, gate.conclude()), (Verdict::Breach, Conclusion::Passed));
    // A lucky last window does not acquit of what the watch as a whole shows, though none of it was beyond chance.
    let mut gate = Gate::new(&[error_rate()], HOLD);
    let mut traffic = Traffic::default();
    for tick in 0..30 {
        gate.judge(&[traffic.errors(Subject::New, 10, u64::from(tick % 8 == 0))]);
    }
    for _ in 0..6 {
        gate.judge(&[traffic.errors(Subject::New, 10, 0)]);
    }
    let conclusion = gate.conclude().to_string();
    assert_eq!(conclusion, "not enough to go on: error-rate: over the whole watch 4 errors in 360 requests: 1.11 %, and 1 % is allowed");
}

#[test]
fn the_first_rule_to_trip_is_told_with_its_samples() {
    let cpu = rule("cpu", Bound::Max(Quantity::ratio(0.9)), 1);
    let mut gate = Gate::new(&[error_rate(), cpu], HOLD);
    let samples = [new("error-rate", counts(100, 0)), new("cpu", Reading::plain(0.99))].concat();
    gate.judge(&samples);
    // What comes later changes nothing of it.
    gate.judge(&[new("error-rate", counts(100, 100)), new("cpu", Reading::plain(0.1))].concat());
    let Conclusion::Tripped { judgement, samples: kept } = gate.conclude() else { panic!("{:?}", gate.conclude()) };
    assert_eq!((judgement.metric.as_str(), kept), ("cpu", samples[1..].to_vec()));
}

#[test]
fn what_people_read() {
    let mut lines = Vec::new();
    let mut say = |rule: Rule, settings, ticks: Vec<Vec<Sample>>| {
        let mut gate = Gate::new(&[rule], settings);
        for samples in ticks {
            lines.extend(gate.judge(&samples).iter().map(Judgement::to_string));
        }
        lines.push(format!("  => {}", gate.conclude()));
    };
    let max = |metric: &str, bound| rule(metric, Bound::Max(bound), 2);
    let errors = |requests, errors| new("error-rate", counts(requests, errors));
    say(error_rate(), HOLD, vec![errors(1290, 3)]);
    say(error_rate(), HOLD, vec![errors(83, 2), errors(83, 2)]);
    say(error_rate(), HOLD, vec![errors(690, 31), errors(1290, 41)]);
    say(error_rate(), HOLD, vec![errors(60, 45)]);
    say(error_rate(), LITERAL, vec![errors(83, 2), errors(83, 2)]);
    say(error_rate(), HOLD, vec![errors(32, 0), Vec::new(), new("error-rate", Reading::Failed { why: "503".into() })]);
    say(error_rate(), Settings { no_data: NoData::Fail, ..HOLD }, vec![errors(32, 0), errors(33, 0)]);
    say(error_rate(), Settings { no_data: NoData::Ignore, ..HOLD }, vec![errors(32, 0)]);
    say(max("error-rate", Quantity::ratio(0.0)), HOLD, vec![errors(1000, 1)]);
    let success = Reading::value(0.997, Basis::Counts { window: Counts::new(1000, 3), total: Counts::new(1000, 3) });
    say(rule("success-rate", Bound::Min(Quantity::ratio(0.999)), 2), HOLD, vec![new("success-rate", success)]);
    let slow = |events, total| Reading::value(2.31, Basis::Counts { window: Counts::new(1000, events), total: Counts::new(total, events) });
    say(max("latency-p99", Quantity::seconds(2.0)), HOLD, vec![new("latency-p99", slow(14, 1000)), new("latency-p99", slow(60, 2000))]);
    say(max("cpu", Quantity::ratio(0.9)), HOLD, vec![new("cpu", Reading::plain(0.971)), new("cpu", Reading::plain(0.3))]);
    let stale = Reading::Stale { age_ms: 95_000, why: "the server has not scraped 10.0.0.4:3000 since; see its page /targets".into() };
    say(max("cpu", Quantity::ratio(0.9)), HOLD, vec![new("cpu", stale)]);
    let throughput = rule("throughput", Bound::MinOfBaseline("90%".parse().expect("a share")), 2);
    let per = |subject, value, requests| sample("throughput", subject, Reading::value(value, Basis::Requests { requests }));
    say(throughput, HOLD, vec![vec![per(Subject::New, 20.0, 250), per(Subject::Baseline, 75.0, 750)]]);
    insta::assert_snapshot!(lines.join("\n"));
}

/// A canary at 5 % of so many requests a second, as a source shows it, under the runbook's rule for 300 seconds.
fn watched_canary(dice: &mut Dice, per_second: f64, true_rate: f64) -> Conclusion {
    let mut gate = Gate::new(&[error_rate()], HOLD);
    let (mut canary, mut stable) = (Traffic::default(), Traffic::default());
    for _ in 0..30 {
        let (mine, others) = (per_second * 0.5, per_second * 9.5);
        let new = canary.errors(Subject::New, mine.round() as u64, dice.poisson(mine * true_rate));
        let baseline = stable.errors(Subject::Baseline, others.round() as u64, dice.poisson(others * 0.005));
        gate.judge(&[new, baseline]);
    }
    gate.conclude()
}

#[test]
fn simulated_releases_are_promoted_when_good_and_aborted_when_bad() {
    const RUNS: u32 = 1000;
    let mut table = String::new();
    let mut row = |per_second: f64, error_rate: f64| {
        let mut dice = Dice::new(7);
        let (mut passed, mut held, mut tripped) = (0, 0, 0);
        for _ in 0..RUNS {
            match watched_canary(&mut dice, per_second, error_rate) {
                Conclusion::Passed => passed += 1,
                Conclusion::Held { .. } => held += 1,
                Conclusion::Tripped { .. } => tripped += 1,
            }
        }
        let percent = |count: u32| 100.0 * f64::from(count) / f64::from(RUNS);
        table.push_str(&format!(
            "{per_second}/s, {:.1} %: promoted {:.1} %, held {:.1} %, aborted {:.1} %\n",
            100.0 * error_rate,
            percent(passed),
            percent(held),
            percent(tripped)
        ));
        (percent(passed), percent(tripped))
    };
    for per_second in [20.0, 100.0] {
        let (promoted, aborted) = row(per_second, 0.005);
        assert!(promoted > 90.0 && aborted <= 1.0, "healthy, {per_second}/s");
    }
    assert!(row(20.0, 0.02).0 < 15.0);
    assert!(row(100.0, 0.02).1 > 85.0);
    assert!(row(100.0, 0.05).1 > 99.0);
    assert!(row(20.0, 0.10).1 > 99.0);
    insta::assert_snapshot!(table);
}

/// At the very bound, where the literal rule is a coin toss.
#[test]
fn a_version_at_its_bound_is_hardly_ever_aborted() {
    let mut dice = Dice::new(11);
    let mut aborted = |settings| {
        let runs = (0..1000).filter(|_| {
            let mut gate = Gate::new(&[error_rate()], settings);
            let mut traffic = Traffic::default();
            for _ in 0..30 {
                gate.judge(&[traffic.errors(Subject::New, 100, dice.poisson(1.0))]);
            }
            matches!(gate.conclude(), Conclusion::Tripped { .. })
        });
        runs.count()
    };
    assert!(aborted(HOLD) <= 10);
    assert!(aborted(LITERAL) > 900);
}

fn any_reading() -> impl Strategy<Value = Reading> {
    let counts = || (0u64..200, 0u64..20).prop_map(|(requests, events)| Counts::new(requests, events));
    let basis = prop_oneof![
        Just(Basis::Plain),
        (0u64..200).prop_map(|requests| Basis::Requests { requests }),
        (counts(), counts()).prop_map(|(window, total)| Basis::Counts { window, total }),
    ];
    let value = prop_oneof![Just(0.0), 0.0f64..0.1, 0.0f64..100.0];
    prop_oneof![
        4 => (value, basis).prop_map(|(value, basis)| Reading::value(value, basis)),
        1 => Just(Reading::NoData { why: "no series".into() }),
        1 => Just(Reading::Failed { why: "refused".into() }),
        1 => Just(Reading::Stale { age_ms: 1, why: "old".into() }),
    ]
}

const METRICS: [&str; 6] = ["error-rate", "success-rate", "latency-p99", "throughput", "health", "orders"];

fn any_tick() -> impl Strategy<Value = Vec<Sample>> {
    let subject = prop_oneof![Just(Subject::New), Just(Subject::Baseline)];
    let any_sample = (prop::sample::select(METRICS.to_vec()), subject, any_reading())
        .prop_map(|(metric, subject, reading)| sample(metric, subject, reading));
    prop::collection::vec(any_sample, 0..12)
}

fn any_rules() -> impl Strategy<Value = Vec<Rule>> {
    let ratio = || prop_oneof![Just(0.0), Just(0.01), 0.0f64..1.0];
    let bound = prop_oneof![
        ratio().prop_map(|value| Bound::Max(Quantity::ratio(value))),
        ratio().prop_map(|value| Bound::Min(Quantity::ratio(value))),
        Just(Bound::MaxOfBaseline("150%".parse().expect("a factor"))),
        Just(Bound::MinOfBaseline("90%".parse().expect("a share"))),
    ];
    let any_rule = (prop::sample::select(METRICS.to_vec()), prop::collection::vec(bound, 1..3), 1u32..4)
        .prop_map(|(metric, bounds, consecutive)| Rule { bounds, ..rule(metric, Bound::Max(Quantity::plain(0.0)), consecutive) });
    prop::collection::vec(any_rule, 1..4)
}

fn any_settings() -> impl Strategy<Value = Settings> {
    let no_data = prop_oneof![Just(NoData::Hold), Just(NoData::Fail), Just(NoData::Ignore)];
    let confidence = prop_oneof![Just(None), Just(Share::from_ppm(990_000)), Just(Share::from_ppm(500_000))];
    (no_data, confidence, 1u32..100).prop_map(|(no_data, confidence, min_requests)| Settings { no_data, confidence, min_requests })
}

proptest! {
    /// What the evidence file keeps is enough to come to every verdict again.
    #[test]
    fn a_replay_says_the_same(rules in any_rules(), settings in any_settings(), ticks in prop::collection::vec(any_tick(), 0..12)) {
        let mut gate = Gate::new(&rules, settings);
        let said: Vec<Vec<Judgement>> = ticks.iter().map(|samples| gate.judge(samples)).collect();
        let file = serde_json::to_string(&(&rules, settings, &ticks, &said)).expect("JSON");
        type File = (Vec<Rule>, Settings, Vec<Vec<Sample>>, Vec<Vec<Judgement>>);
        let (rules, settings, ticks, read): File = serde_json::from_str(&file).expect("JSON again");
        let mut again = Gate::new(&rules, settings);
        let resaid: Vec<Vec<Judgement>> = ticks.iter().map(|samples| again.judge(samples)).collect();
        prop_assert_eq!(&resaid, &said);
        prop_assert_eq!(&resaid, &read);
        prop_assert_eq!(again.conclude(), gate.conclude());
    }

    /// Invariant 9: a gate passes on evidence, not on silence.
    #[test]
    fn only_evidence_promotes(rules in any_rules(), settings in any_settings(), ticks in prop::collection::vec(any_tick(), 0..12)) {
        let mut gate = Gate::new(&rules, settings);
        let said: Vec<Vec<Judgement>> = ticks.iter().map(|samples| gate.judge(samples)).collect();
        let of = |index: usize| said.iter().map(move |tick| &tick[index]);
        let tripped = said.iter().flatten().any(Judgement::trips);
        match gate.conclude() {
            Conclusion::Passed => {
                prop_assert!(!tripped);
                prop_assert!(said.iter().flatten().any(|judgement| matches!(judgement.verdict, Verdict::Pass | Verdict::Breach)));
                for index in 0..rules.len() {
                    let passes = of(index).any(|judgement| judgement.verdict == Verdict::Pass);
                    let explained = of(index).any(|judgement| judgement.chance.is_some_and(Chance::may_explain));
                    let ignored = settings.no_data == NoData::Ignore
                        && of(index).all(|judgement| judgement.lacking.is_some());
                    prop_assert!(passes || explained || ignored);
                }
            }
            Conclusion::Tripped { judgement, .. } => prop_assert!(tripped && judgement.trips()),
            Conclusion::Held { lacking } => prop_assert!(!tripped && !lacking.is_empty()),
        }
    }

    /// A value is a pass only when it is a number within every bound.
    #[test]
    fn a_pass_is_within_its_bound(rules in any_rules(), settings in any_settings(), samples in any_tick()) {
        for (rule, judgement) in rules.iter().zip(Gate::new(&rules, settings).judge(&samples)) {
            let _ = judgement.to_string();
            if judgement.verdict == Verdict::Pass && rule.metric.as_str() != "health" {
                // As it was read: what is told of a throughput may be per request.
                let its = |sample: &&Sample| sample.metric == rule.metric && sample.subject == Subject::New;
                let Some(Reading::Value { value, .. }) = samples.iter().find(its).map(|sample| sample.reading.clone()) else {
                    panic!("a pass without a value: {judgement}");
                };
                prop_assert!(value.is_finite());
                for bound in &rule.bounds {
                    match bound {
                        Bound::Max(max) => prop_assert!(value <= max.value),
                        Bound::Min(min) => prop_assert!(value >= min.value),
                        Bound::MaxOfBaseline(_) | Bound::MinOfBaseline(_) => {}
                    }
                }
            }
        }
    }
}
