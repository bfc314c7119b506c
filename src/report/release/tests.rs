//! A whole release of 56 minutes as people read it, good and taken back; also its stories for the tests of other displays.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::*;
use crate::{
    changes::{Changes, Commit},
    config::{Bound, NoData, Quantity, Rule},
    domain::{InstanceName, Version},
    execute::{Event, Happening},
    failure::{Failure, FailureKind},
    gate::{Basis, Counts, Gate, Reading, Sample, Settings, Subject},
    plan::{Plan, Slice, Step},
    report::incident::tests::{PROD, planned, requested},
};

const SETTINGS: Settings = Settings { no_data: NoData::Hold, confidence: Share::from_ppm(990_000), min_requests: 50 };

fn name(name: &str) -> InstanceName {
    name.parse().expect("an instance's name")
}

fn percent(percent: u32) -> Share {
    Share::from_ppm(percent * 10_000).expect("a share")
}

fn rule(metric: &str, bounds: Vec<Bound>, consecutive: u32) -> Rule {
    Rule { metric: metric.parse().expect("a metric"), bounds, consecutive }
}

fn rules(errors: f64, p99: f64) -> Vec<Rule> {
    vec![rule("error-rate", vec![Bound::Max(Quantity::ratio(errors))], 2), rule("latency-p99", vec![Bound::Max(Quantity::seconds(p99))], 3)]
}

/// The runbook's abort rules, as far as this looks.
fn abort() -> Vec<Rule> {
    let mut all = rules(0.01, 2.0);
    all.push(rule("health", Vec::new(), 1));
    all
}

fn slices(canary: u32, stable: &[&str]) -> Vec<Slice> {
    let ones = u32::try_from(stable.len()).expect("few").max(1);
    let mut all: Vec<Slice> = stable
        .iter()
        .map(|one| Slice { instance: name(one), share: Share::from_ppm((100 - canary) * 10_000 / ones).expect("a share") })
        .collect();
    if canary > 0 {
        all.insert(0, Slice { instance: name("prod-canary-1"), share: percent(canary) });
    }
    all
}

fn shift(canary: u32, stable: &[&str]) -> Step {
    Step::Shift { profile: "tm-prod".into(), to: slices(canary, stable), back_to: None, leaving: None }
}

fn phase(on: &[&str], share: u32, minutes: f64, rules: Vec<Rule>, abort: Vec<Rule>) -> Step {
    let value = json!({"step": "phase", "on": on, "beside": ["prod-stable-1"], "share": percent(share), "for_seconds": minutes * 60.0,
        "every_seconds": 10.0, "rules": rules, "abort": abort, "step_back": null, "extend_seconds": 0.0});
    serde_json::from_value(value).expect("a phase")
}

fn plan() -> Plan {
    let mut plan: Plan = serde_json::from_value(planned(PROD, "deploy")["plan"].clone()).expect("a plan");
    let canary = name("prod-canary-1");
    let both = ["prod-stable-1", "prod-stable-2"];
    plan.subject = canary.clone();
    plan.previous = Some("v0.9.5".parse().expect("a version"));
    let update = |one: &str| Step::UpdateInstance { instance: name(one), changes: vec!["image".into()] };
    plan.steps = vec![
        Step::CreateInstance { instance: canary.clone() },
        Step::CheckBaseline { on: both.map(name).to_vec(), rules: rules(0.01, 2.0) },
        shift(5, &both),
        phase(&["prod-canary-1"], 5, 5.0, rules(0.01, 2.0), abort()),
        shift(25, &both),
        phase(&["prod-canary-1"], 25, 5.0, rules(0.005, 1.0), abort()),
        shift(50, &both[..1]),
        phase(&["prod-canary-1"], 50, 5.0, rules(0.002, 1.0), abort()),
        shift(100, &[]),
        phase(&["prod-canary-1"], 100, 5.0, rules(0.001, 0.5), abort()),
        Step::MarkPromoted { instance: canary.clone() },
        Step::Together { lanes: both.map(|one| vec![update(one)]).to_vec() },
        shift(0, &both),
        Step::DeleteInstance { instance: canary, why: "its version runs on the stable instances".into() },
        phase(&both, 100, 30.0, rules(0.001, 0.5), Vec::new()),
        Step::MarkStable { instance: name("prod-stable-1") },
    ];
    plan
}

/// Tells a story, event by event, with a clock of its own.
struct Teller {
    story: Story,
    seconds: u64,
}

impl Teller {
    fn tell(&mut self, event: Happening) {
        let noon: Timestamp = "2026-11-24T02:00:00Z".parse().expect("a time");
        self.story.hear(&Event { at: noon + Duration::from_secs(self.seconds), event });
    }

    /// A step that takes so many seconds and ends well.
    fn step(&mut self, step: usize, seconds: u64, during: impl FnOnce(&mut Self)) {
        self.tell(Happening::StepStarted { step });
        during(self);
        self.seconds += seconds;
        self.tell(Happening::StepFinished { step, end: crate::execute::StepEnd::Done, duration_ms: 1000 * seconds });
    }

    /// A watch that reads these error rates (in a thousand requests) of the new version; gives the judgement that tripped.
    fn watch(&mut self, step: usize, rules: &[Rule], errors: &[u64]) -> Option<String> {
        self.tell(Happening::WatchStarted { step, rules: rules.to_vec(), settings: SETTINGS, until: crate::execute::Until::default() });
        let mut gate = Gate::new(rules, SETTINGS);
        let (mut total, of) = (0, u32::try_from(errors.len()).expect("few"));
        for (tick, errors) in (1u32..).zip(errors) {
            self.seconds += 10;
            total += errors;
            let samples = samples(u64::from(tick), *errors, total);
            let judgements = gate.judge(&samples);
            let tripped = judgements.iter().find(|judgement| judgement.trips()).map(ToString::to_string);
            let after_ms = u64::from(tick) * 10_000;
            self.tell(Happening::Tick { step, tick, of, after_ms, samples, judgements, standby: None });
            if tripped.is_some() {
                return tripped;
            }
        }
        None
    }
}

fn samples(tick: u64, errors: u64, total: u64) -> Vec<Sample> {
    let sample = |metric: &str, subject, value: f64, basis| Sample {
        metric: metric.parse().expect("a metric"),
        subject,
        over: None,
        reading: Reading::value(value, basis),
        query: format!("sum(rate({metric}_total{{instance=~\"prod-.*\"}}[1m]))"),
        took_ms: 4,
    };
    let counts = |events, all| Basis::Counts { window: Counts::new(1000, events), total: Counts::new(1000 * tick, all) };
    let p99 = 0.3 + (tick % 7) as f64 / 100.0;
    vec![
        sample("error-rate", Subject::New, errors as f64 / 1000.0, counts(errors, total)),
        sample("error-rate", Subject::Baseline, 0.0, counts(0, 0)),
        sample("latency-p99", Subject::New, p99, Basis::Requests { requests: 1000 }),
        sample("latency-p99", Subject::Baseline, 0.28, Basis::Requests { requests: 1000 }),
        sample("health", Subject::New, 1.0, Basis::Plain),
    ]
}

fn rollout() -> crate::execute::Rollout {
    let mut told = requested(PROD, "deploy")["rollout"].clone();
    told["version"] = json!("v1.0.0");
    told["git_ref"] = json!("refs/tags/v1.0.0");
    told["url"] = json!("https://prod-api.nextgen.local");
    serde_json::from_value(told).expect("a rollout")
}

fn news() -> Changes {
    let messages = [
        "feat(invoice): Invoice DDD architecture (#118)",
        "feat: Resiliency patterns (circuit breaker, bulkhead) (#120)",
        "feat: Idempotency for state-changing APIs (#121)",
        "perf: Redis caching with tag-based invalidation (#122)",
        "fix: <!channel> & <b>@everyone</b> *now* `rm -rf` (#123)",
        "chore: tidy",
    ];
    let commit = |(number, message): (usize, &&str)| Commit {
        sha: format!("{number:040x}").parse().expect("a sha"),
        message: (*message).to_owned(),
        parents: 1,
    };
    let commits: Vec<Commit> = messages.iter().enumerate().map(commit).collect();
    Changes::of(&commits, 6, "v0.9.5", Some("https://github.com/nextgen-market/nextgen-market".into()))
}

fn begun() -> Teller {
    let mut teller = Teller { story: Story::default(), seconds: 0 };
    teller.tell(Happening::Requested { rollout: rollout() });
    let observed = serde_json::from_value(planned(PROD, "deploy")["observed"].clone()).expect("observed");
    teller.seconds += 2;
    teller.tell(Happening::Planned { image: None, observed, plan: plan() });
    teller.tell(Happening::ChangesListed { changes: news() });
    teller.step(0, 20, |_| {});
    teller.step(1, 0, |teller| {
        teller.watch(1, &rules(0.01, 2.0), &[0, 1]);
    });
    teller
}

fn shared(teller: &mut Teller, step: usize) {
    let Some(Step::Shift { to, .. }) = plan().steps.get(step).cloned() else { panic!("step {step} is no shift") };
    teller.step(step, 1, |teller| teller.tell(Happening::TrafficShared { step, to, took_ms: 80 }));
}

fn watched(teller: &mut Teller, step: usize, errors: &[u64]) -> Option<String> {
    let Some(Step::Phase { rules, abort, .. }) = plan().steps.get(step).cloned() else { panic!("step {step} is no phase") };
    teller.tell(Happening::StepStarted { step });
    let tripped = teller.watch(step, &[abort, rules].concat(), errors);
    if tripped.is_none() {
        teller.tell(Happening::StepFinished { step, end: crate::execute::StepEnd::Done, duration_ms: 10_000 * errors.len() as u64 });
    }
    tripped
}

fn ended(teller: &mut Teller, outcome: crate::domain::Outcome, failure: Option<Failure>) {
    let exit = if failure.is_none() { crate::domain::ExitStatus::Success } else { crate::domain::ExitStatus::NotDeployed };
    let duration_ms = teller.seconds * 1000;
    teller.tell(Happening::Finished { outcome, exit, failure, duration_ms, url: None });
}

/// The good release, up to so many of its phases; all five with its end.
pub(in crate::report) fn good(phases: usize) -> Story {
    let mut teller = begun();
    for (index, (step, ticks)) in [(3, 30), (5, 30), (7, 30), (9, 30), (14, 180)].into_iter().enumerate().take(phases) {
        if step == 14 {
            teller.step(10, 1, |_| {});
            teller.step(11, 95, |_| {});
            shared(&mut teller, 12);
            teller.step(13, 30, |_| {});
        } else {
            shared(&mut teller, step - 1);
        }
        let errors: Vec<u64> = (0..ticks).map(|tick| u64::from(tick % 29 == 7 && index < 3)).collect();
        assert_eq!(watched(&mut teller, step, &errors), None);
    }
    if phases == 5 {
        teller.step(15, 1, |_| {});
        ended(&mut teller, crate::domain::Outcome::Healthy, None);
    }
    teller.story
}

/// A release whose canary errs at 25 %, and is taken back.
pub(in crate::report) fn bad() -> Story {
    let mut teller = begun();
    shared(&mut teller, 2);
    assert_eq!(watched(&mut teller, 3, &[0; 30]), None);
    shared(&mut teller, 4);
    let why = watched(&mut teller, 5, &[0, 1, 0, 0, 40, 52]).expect("it trips");
    let failure = Failure::new(FailureKind::Breach, format!("prod-canary-1 broke a rule while it was watched: {why}"), "prod-canary-1");
    let failed = crate::execute::StepEnd::Failed { failure: failure.clone() };
    teller.tell(Happening::StepFinished { step: 5, end: failed, duration_ms: 60_000 });
    let to = slices(0, &["prod-stable-1", "prod-stable-2"]);
    let steps =
        vec![shift(0, &["prod-stable-1", "prod-stable-2"]), Step::DeleteInstance { instance: name("prod-canary-1"), why: "x".into() }];
    teller.tell(Happening::TakingBack { failure: failure.clone(), steps });
    let first = plan().steps.len();
    teller.step(first, 0, |teller| teller.tell(Happening::TrafficShared { step: first, to, took_ms: 80 }));
    teller.tell(Happening::TrafficSafe { after_ms: 90 });
    teller.step(first + 1, 12, |_| {});
    ended(&mut teller, crate::domain::Outcome::RolledBack, Some(failure.meaning("people are back on v0.9.5")));
    teller.story
}

fn shown(story: &Story) -> String {
    let mut page = String::new();
    tell(&mut page, story);
    news_of(&mut page, story);
    page
}

fn news_of(page: &mut String, story: &Story) {
    super::news(page, story);
}

#[test]
fn a_good_release_is_told_whole() {
    let story = good(5);
    let page = shown(&story);
    insta::assert_snapshot!("good", page);
    let whole = crate::report::summary::render(&story);
    assert!(whole.len() < 1024 * 1024 / 4, "{} bytes", whole.len());
    for line in whole.lines().filter(|line| line.trim_start().starts_with("line [")) {
        assert!(line.split(',').count() <= POINTS, "{line}");
    }
}

#[test]
fn what_was_taken_back_shows_what_tripped_it() {
    insta::assert_snapshot!("bad", shown(&bad()));
}

#[test]
fn what_runs_is_told_as_far_as_it_is() {
    let page = shown(&good(2));
    assert!(page.contains("passed") && !page.contains("Measured") && !page.contains("What tripped it"), "{page}");
    assert_eq!(shown(&Story::default()), "");
}

/// A part of a Gantt chart is text until the first colon; nothing of a name may mean anything.
#[test]
fn a_timelines_names_mean_nothing() {
    assert_eq!(gantt("a:b;c#d,e\nf`g"), "a b c d e f g");
    for story in [good(5), bad()] {
        let page = shown(&story);
        let chart: Vec<&str> = page.lines().skip_while(|line| *line != "gantt").take_while(|line| *line != "```").collect();
        for line in chart.iter().filter(|line| line.contains(" :")) {
            assert_eq!(line.matches(':').count(), 1, "{line}");
        }
    }
}

#[test]
fn the_new_versions_share_counts_the_stable_instances_once_they_run_it() {
    let percents = |story: &Story| series::shares(story).iter().map(|(_, share)| share.to_string()).collect::<Vec<_>>();
    assert_eq!(percents(&good(5)), ["5%", "25%", "50%", "100%", "100%"]);
    assert_eq!(percents(&bad()), ["5%", "25%", "0%"]);
}

#[test]
fn what_was_not_measured_is_said_to_be_so() {
    let lines = |story: &Story| series::measured(story).lines().map(|(_, value)| value).to_vec();
    assert_eq!(lines(&Story::default()), ["not measured"; 4]);
    assert_eq!(lines(&good(5)), ["0 % (0 of 180000 requests)", "360 ms at most", "6000 requests/min", "not measured"]);
    assert_eq!(lines(&good(4))[3], "100 % (30 of 30 health checks)");
}

#[test]
fn versions_are_shown_escaped() {
    let mut story = bad();
    if let Some(plan) = &mut story.plan {
        plan.previous = "v0.9.5".parse::<Version>().ok();
    }
    story.taken_back = Some(Failure::new(FailureKind::Breach, "<script>alert(1)</script>", "x"));
    let hostile: Value = json!("<img src=x onerror=alert(1)>");
    story.watch.title = hostile.as_str().unwrap_or_default().to_owned();
    assert!(!shown(&story).contains("<img"), "{}", shown(&story));
}
