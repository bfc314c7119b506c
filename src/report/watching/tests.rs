//! The watch as people read it: half an hour with a bad minute in it.

use super::*;
use crate::{
    config::{NoData, Quantity},
    execute::{Event, Happening, Until},
    gate::{Basis, Counts, Gate, Reading, Sample, Settings},
    plan::Side,
};

const SETTINGS: Settings = Settings { no_data: NoData::Hold, confidence: Share::from_ppm(990_000), min_requests: 50 };

fn rules() -> Vec<Rule> {
    let rule = |metric: &str, bounds, consecutive| Rule { metric: metric.parse().expect("a name"), bounds, consecutive };
    vec![
        rule("error-rate", vec![Bound::Max(Quantity::ratio(0.01))], 2),
        rule("latency-p99", vec![Bound::Max(Quantity::seconds(0.1))], 3),
        rule("health", Vec::new(), 2),
    ]
}

fn side(slot: crate::domain::Slot) -> Side {
    let name = format!("aci-staging-{slot}");
    Side { slot, instance: name.parse().expect("a name"), endpoint: format!("{slot}-endpoint") }
}

fn sample(metric: &str, reading: Reading) -> Sample {
    let metric: crate::domain::MetricName = metric.parse().expect("a name");
    let query = format!("{metric} of the page http://192.0.2.7:3000/metrics");
    Sample { metric, subject: Subject::New, over: None, reading, query, took_ms: 4 }
}

/// What is read at a tick: errors in thousand requests, a p99 in seconds; `None`: the page cannot be read.
fn samples(tick: u64, seen: Option<(u64, f64)>) -> Vec<Sample> {
    let counts = |events| Basis::Counts { window: Counts::new(1000, events), total: Counts::new(1000 * tick, events * tick) };
    let failed = || Reading::Failed { why: "connection refused".into() };
    let errors = seen.map_or_else(failed, |(errors, _)| Reading::value(errors as f64 / 1000.0, counts(errors)));
    let latency = seen.map_or_else(failed, |(_, seconds)| Reading::value(seconds, Basis::Requests { requests: 1000 }));
    vec![sample("error-rate", errors), sample("latency-p99", latency), sample("health", Reading::healthy())]
}

/// A story of a watch of `of` ticks that saw this.
fn story(of: u32, seen: impl Iterator<Item = Option<(u64, f64)>>) -> Story {
    let mut story = Story::default();
    let mut gate = Gate::new(&rules(), SETTINGS);
    let at = |seconds: u64| Timestamp::UNIX_EPOCH + Duration::from_secs(seconds);
    let mut hear = |seconds, event| story.hear(&Event { at: at(seconds), event });
    let (to, from) = (side(crate::domain::Slot::Green), Some(side(crate::domain::Slot::Blue)));
    hear(0, Happening::TrafficSwitched { step: 3, to, from, took_ms: 87 });
    hear(12, Happening::WatchStarted { step: 5, rules: rules(), settings: SETTINGS, until: Until::TheEnd });
    for (tick, seen) in (1..).zip(seen) {
        let samples = samples(tick, seen);
        let judgements = gate.judge(&samples);
        let number = u32::try_from(tick).expect("few");
        hear(12 + 10 * tick, Happening::Tick { step: 5, tick: number, of, after_ms: tick * 10_000, samples, judgements, standby: None });
    }
    story
}

fn shown(story: &Story) -> String {
    let mut page = String::new();
    traffic(&mut page, story, str::to_owned);
    watch(&mut page, story, str::to_owned);
    page
}

#[test]
fn half_an_hour_with_a_bad_minute() {
    // A few errors that chance explains, and a p99 that rises slowly and stays below its bound.
    let seen = (1..=180u32).map(|tick| Some((if (90..96).contains(&tick) { 12 } else { 1 }, 0.03 + f64::from(tick) / 5000.0)));
    let page = shown(&story(180, seen));
    insta::assert_snapshot!(page);
    let points = |line: &&str| line.trim().starts_with("line [");
    assert!(page.lines().filter(points).all(|line| line.split(',').count() <= POINTS), "{page}");
}

#[test]
fn a_watch_that_tripped_says_what_was_asked() {
    insta::assert_snapshot!(shown(&story(180, [Some((0, 0.03)), Some((400, 0.03)), Some((450, 0.031))].into_iter())));
}

/// Of one tick there is nothing to draw; of a page that cannot be read there are no numbers.
#[test]
fn without_numbers_there_is_no_chart() {
    for seen in [vec![Some((0, 0.03))], vec![None; 5], Vec::new()] {
        let page = shown(&story(180, seen.clone().into_iter()));
        assert!(!page.contains("mermaid"), "{page}");
        assert_eq!(page.contains("connection refused"), seen.contains(&None), "{page}");
    }
}

#[test]
fn a_share_is_never_rounded_to_all_or_to_nothing() {
    let coarse = |ppm| super::coarse(Share::from_ppm(ppm).expect("a share")).to_string();
    assert_eq!([1_000_000, 999_999, 313_725, 500_000, 999, 0].map(coarse), ["100%", "99.9%", "31.3%", "50%", "0.0999%", "0%"]);
}
