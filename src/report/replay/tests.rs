//! Honest files, and files in which somebody changed what they say and made the chain anew.

use super::*;
use crate::{
    config::{Ask, Bound, FinalCheck, NoData, Quantity, Rule},
    domain::Share,
    gate::{Basis, Counts, Reading, Settings, Subject},
};

const SETTINGS: Settings = Settings { no_data: NoData::Hold, confidence: Share::from_ppm(990_000), min_requests: 10 };

fn rules() -> Vec<Rule> {
    vec![Rule { metric: "error-rate".parse().expect("a name"), bounds: vec![Bound::Max(Quantity::ratio(0.01))], consecutive: 2 }]
}

/// A tick of a version with `errors` in a hundred requests, the `nth`.
fn sample(nth: u64, errors: u64) -> Sample {
    let window = Counts::new(100, errors);
    let total = Counts::new(100 * nth, errors * nth);
    Sample {
        metric: "error-rate".parse().expect("a name"),
        subject: Subject::New,
        over: None,
        reading: Reading::value(errors as f64 / 100.0, Basis::Counts { window, total }),
        query: "a page".into(),
        took_ms: 1,
    }
}

fn lines(events: Vec<Happening>) -> Vec<Line> {
    let line = |(seq, event)| Line { format: 1, seq, previous: String::new(), at: Timestamp::UNIX_EPOCH, event };
    (0..).zip(events).map(line).collect()
}

fn ended(kind: Option<FailureKind>) -> Happening {
    let end = kind.map_or(StepEnd::Done, |kind| StepEnd::Failed { failure: Failure::new(kind, "it says so", "aci-staging-green") });
    Happening::StepFinished { step: 4, end, duration_ms: 1 }
}

/// A watch that saw these errors, tick by tick, of so many ticks; ended as `kind` says.
fn watch(errors: &[u64], of: u32, kind: Option<FailureKind>) -> Vec<Line> {
    let mut gate = Gate::new(&rules(), SETTINGS);
    let mut events = vec![
        Happening::StepStarted { step: 4 },
        Happening::WatchStarted { step: 4, rules: rules(), settings: SETTINGS, until: Until::TheEnd },
    ];
    for (nth, errors) in (1..).zip(errors) {
        let samples = vec![sample(nth, *errors)];
        let judgements = gate.judge(&samples);
        let tick = u32::try_from(nth).expect("few");
        events.push(Happening::Tick { step: 4, tick, of, after_ms: nth * 10, samples, judgements, standby: None });
    }
    events.push(ended(kind));
    lines(events)
}

/// The line of the `nth` tick, from 1.
fn tick(nth: usize) -> usize {
    nth + 1
}

fn answered(status: u16) -> HttpResult {
    HttpResult { status: Some(status), error: None, latency_ms: 1, excerpt: String::new() }
}

fn probe(status: u16) -> Happening {
    Happening::Probe { step: 4, attempt: 1, of: 3, url: "http://h/health".into(), result: answered(status) }
}

fn smoke(status: u16) -> Happening {
    Happening::Smoke { step: 4, path: "/api".into(), url: "http://h/api".into(), result: answered(status) }
}

#[test]
fn what_was_said_follows_from_what_was_measured() {
    let good = replay(&watch(&[0, 0, 0], 3, None)).expect("honest");
    assert_eq!(good.verdicts, 4);
    assert_eq!(good.told.last().map(|(_, text)| text.as_str()), Some("watch of 3 of 3 ticks: every rule has passed on enough data"));

    let bad = replay(&watch(&[0, 9, 9], 180, Some(FailureKind::Breach))).expect("honest");
    let told: Vec<&str> = bad.told.iter().map(|(_, text)| text.as_str()).collect();
    assert_eq!(told.len(), 3, "{told:?}");
    assert!(told[0].starts_with("2/180: error-rate 9 % > 1 % (max), 1 of 2 in a row"), "{told:?}");
    assert!(told[2].starts_with("watch of 3 of 180 ticks: error-rate 9 % > 1 % (max), 2 of 2 in a row"), "{told:?}");

    // A run that was cancelled, or interfered with, ends where it is; one that was killed has no end at all.
    for kind in [FailureKind::Cancelled, FailureKind::Interfered] {
        assert!(replay(&watch(&[0, 0], 180, Some(kind))).is_ok());
    }
    let mut killed = watch(&[0, 0], 180, None);
    killed.pop();
    assert!(replay(&killed).is_ok());
}

#[test]
fn a_sample_that_was_made_to_look_good_is_found_out() {
    let mut lines = watch(&[0, 9, 9], 180, Some(FailureKind::Breach));
    let Happening::Tick { samples, .. } = &mut lines[tick(2)].event else { panic!("a tick") };
    samples[0] = sample(2, 0);
    let difference = replay(&lines).expect_err("a difference");
    assert_eq!(difference.line, 4, "{difference}");
    assert!(difference.recorded.starts_with("error-rate 9 % > 1 %") && difference.derived.starts_with("error-rate 0 %"), "{difference}");
}

#[test]
fn so_is_every_change_of_a_judgement() {
    let honest = watch(&[0, 2, 2], 180, Some(FailureKind::Cancelled));
    let changes: [fn(&mut Judgement); 8] = [
        |judgement| judgement.verdict = Verdict::Pass,
        |judgement| judgement.value = Some(Quantity::ratio(0.001)),
        |judgement| judgement.limit = None,
        |judgement| judgement.counts = None,
        |judgement| judgement.in_a_row += 1,
        |judgement| judgement.lacking = Some("18 more".into()),
        |judgement| judgement.chance = None,
        |judgement| judgement.trip = Some(crate::gate::Trip::InARow),
    ];
    for (nth, change) in changes.into_iter().enumerate() {
        let mut lines = honest.clone();
        let Happening::Tick { judgements, .. } = &mut lines[tick(3)].event else { panic!("a tick") };
        change(&mut judgements[0]);
        assert_eq!(replay(&lines).map_err(|difference| difference.line), Err(5), "change {nth}");
    }
    assert!(replay(&honest).is_ok());
}

/// Logarithms differ in their last bit from one library to the next, and with them how well chance explains something.
#[test]
fn the_last_digit_of_a_chance_is_no_difference() {
    let honest = watch(&[0, 9, 9], 180, Some(FailureKind::Breach));
    let with = |change: fn(u64) -> u64| {
        let mut lines = honest.clone();
        let Happening::Tick { judgements, .. } = &mut lines[tick(3)].event else { panic!("a tick") };
        let chance = judgements[0].chance.as_mut().expect("a chance");
        chance.one_in = change(chance.one_in);
        replay(&lines).is_ok()
    };
    assert!(with(|one_in| one_in + 1) && with(|one_in| one_in - 1));
    assert!(!with(|one_in| one_in + one_in / 1000) && !with(|_| 1));
}

#[test]
fn an_end_that_the_rules_do_not_bear_out_is_found_out() {
    let ticks = |errors: &[u64], of, kind| replay(&watch(errors, of, kind)).map(|_| ()).map_err(|difference| difference.line);
    assert_eq!(ticks(&[0, 0], 2, Some(FailureKind::Breach)), Err(5), "nothing was broken");
    assert_eq!(ticks(&[0, 0], 2, Some(FailureKind::NoEvidence)), Err(5), "there was evidence");
    assert_eq!(ticks(&[0, 9, 9], 3, None), Err(6), "it was broken");
    assert_eq!(ticks(&[0, 9, 9], 3, Some(FailureKind::NoEvidence)), Err(6), "there was evidence, and it was bad");
    assert_eq!(ticks(&[0, 0], 3, None), Err(5), "a tick is missing");
    assert_eq!(ticks(&[0, 9, 9, 9], 9, Some(FailureKind::Breach)), Err(6), "it went on after it was broken");
    let mut dropped = watch(&[0, 0, 0], 3, None);
    dropped.remove(tick(2));
    assert_eq!(replay(&dropped).map_err(|difference| difference.derived), Err("tick 2 comes next".into()));
    let orphan = lines(vec![watch(&[0], 3, None).remove(tick(1)).event]);
    assert_eq!(replay(&orphan).map_err(|difference| difference.derived), Err("no watch has begun".into()));
    let mut fewer = watch(&[0], 3, Some(FailureKind::Cancelled));
    let Happening::Tick { judgements, .. } = &mut fewer[tick(1)].event else { panic!("a tick") };
    judgements.clear();
    assert_eq!(replay(&fewer).map_err(|difference| difference.recorded), Err("0 judgements".into()));
}

#[test]
fn health_and_smoke_are_held_to_their_answers() {
    let step = |answers: Vec<Happening>, kind| {
        let mut events = vec![Happening::StepStarted { step: 4 }];
        events.extend(answers);
        events.push(ended(kind));
        replay(&lines(events)).map(|replayed| replayed.verdicts).map_err(|difference| difference.derived)
    };
    assert_eq!(step(vec![probe(503), probe(200)], None), Ok(2));
    assert_eq!(step(vec![probe(503), probe(503)], Some(FailureKind::Health)), Ok(2));
    assert_eq!(step(vec![probe(200), probe(503)], None), Err("the last probe was not good".into()));
    assert_eq!(step(vec![probe(200)], Some(FailureKind::Health)), Err("the last probe was good".into()));
    assert_eq!(step(vec![smoke(200), smoke(200)], None), Ok(2));
    assert_eq!(step(vec![smoke(500), smoke(200)], Some(FailureKind::Smoke)), Ok(2));
    assert_eq!(step(vec![smoke(500), smoke(200)], None), Err("a smoke test was not good".into()));
}

/// The events of a watch, without its step's beginning and end.
fn part(errors: &[u64], of: u32, until: Until) -> Vec<Happening> {
    let mut gate = Gate::new(&rules(), SETTINGS);
    let mut events = vec![Happening::WatchStarted { step: 4, rules: rules(), settings: SETTINGS, until }];
    for (nth, errors) in (1..).zip(errors) {
        let samples = vec![sample(nth, *errors)];
        let judgements = gate.judge(&samples);
        let tick = u32::try_from(nth).expect("few");
        events.push(Happening::Tick { step: 4, tick, of, after_ms: nth * 10, samples, judgements, standby: None });
    }
    events
}

#[test]
fn a_step_back_needs_a_rule_that_tripped_and_is_held_afterwards() {
    let stepped = |errors: &[u64], kind| {
        let back = Happening::SteppedBack {
            step: 4,
            failure: Failure::new(FailureKind::Breach, "it broke a rule", "prod-canary-1"),
            share: Share::ZERO,
        };
        let whole = [part(errors, 180, Until::TheEnd), vec![back], part(&[0, 0, 0], 3, Until::TheEnd), vec![ended(kind)]].concat();
        replay(&lines(whole))
    };
    assert!(stepped(&[0, 9, 9], Some(FailureKind::SteppedBack)).is_ok());
    assert!(stepped(&[0, 9, 9], Some(FailureKind::NoEvidence)).is_err(), "there was evidence");
    assert!(stepped(&[0, 0, 0], Some(FailureKind::SteppedBack)).is_err(), "nothing tripped");
    assert!(replay(&watch(&[0, 0, 0], 3, Some(FailureKind::SteppedBack))).is_err(), "nothing was stepped back");
    assert!(stepped(&[0, 9, 9], None).is_err(), "it is never done");
    assert!(stepped(&[0, 9, 9], Some(FailureKind::Breach)).is_err(), "no rule broke at the share that it went back to");
}

#[test]
fn what_is_trusted_is_done_once_each_rule_has_passed() {
    let looked = |errors: &[u64], kind| replay(&lines([part(errors, 14, Until::EachPassedOnce), vec![ended(kind)]].concat()));
    assert!(looked(&[0], None).is_ok());
    assert!(looked(&[9, 9], Some(FailureKind::Breach)).is_ok());
    assert!(looked(&[9, 9], None).is_err(), "it is red already");
    assert!(looked(&[9], None).is_err(), "it never passed");
    assert!(looked(&[0], Some(FailureKind::Breach)).is_err(), "it passed");
}

/// A final check by SQL that brought `reading`, as the executor tells it.
fn final_check(reading: Reading) -> Checked {
    let check = FinalCheck { name: "invoices".into(), ask: Ask::Sql { query: "SELECT 1".into() } };
    Checked::new(&check, "SELECT 1".into(), reading, 1)
}

fn checks(checked: &[Checked], kind: Option<FailureKind>) -> Vec<Line> {
    let told = checked.iter().map(|checked| Happening::FinalCheck { step: 4, checked: checked.clone() });
    lines(std::iter::once(Happening::StepStarted { step: 4 }).chain(told).chain([ended(kind)]).collect())
}

#[test]
fn final_checks_are_judged_again_and_hold_their_step_to_it() {
    let (right, wrong) = (final_check(Reading::plain(3.0)), final_check(Reading::plain(0.0)));
    let unknown = final_check(Reading::Failed { why: "nobody answers".into() });
    let good = replay(&checks(&[right.clone(), right.clone()], None)).expect("honest");
    assert_eq!((good.verdicts, good.told[0].1.as_str()), (2, "pass: final check invoices: 3 (not 0)"));
    for (all, kind) in [
        (vec![right.clone(), wrong.clone(), unknown.clone()], Some(FailureKind::Breach)),
        (vec![right.clone(), unknown.clone()], Some(FailureKind::NoEvidence)),
        (vec![right.clone()], Some(FailureKind::Cancelled)),
    ] {
        assert!(replay(&checks(&all, kind)).is_ok(), "{kind:?}");
    }
    let pretended = Checked { verdict: Verdict::Pass, ..wrong.clone() };
    for (all, kind) in [
        (vec![right.clone(), wrong.clone()], None),
        (vec![right.clone(), unknown.clone()], None),
        (vec![right.clone()], Some(FailureKind::Breach)),
        (vec![wrong], Some(FailureKind::NoEvidence)),
        (vec![unknown], Some(FailureKind::Breach)),
        (vec![right, pretended], None),
    ] {
        assert!(replay(&checks(&all, kind)).is_err(), "{kind:?}");
    }
}
