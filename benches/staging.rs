//! What a release to staging costs where it matters: from a broken rule to safe traffic as a multiple of one round trip to
//! Traffic Manager, requests for a switch, from a signal to safe traffic, memory over a long watch. Ratios and counts from one
//! run each, so that they hold on any machine; ends with an error when one is far off.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on says so")]

mod common;

use std::{path::Path, process::ExitCode, time::Duration};

use common::{Figure, Peaks};
use jiff::Timestamp;
use sandbox::{Clocks, Fault, Finished, Load, Options, Recorded, RunSpec, Slot, Staging, World, load::Working, runner};
use serde_json::{Value, json};

const RUNS: usize = 3;

/// What one answer of Azure takes: far more than anything that is done here meanwhile, so that round trips can be told.
const ROUND_TRIP: Duration = Duration::from_millis(200);

/// How many times as much as is expected is far off, where time is measured.
const FAR: f64 = 1.5;

/// Ticks of the long watch, and after how many memory must not grow any more. Thirty minutes at ten seconds are 180.
const LONG: u32 = 2000;
const SHORT: u32 = 200;

const GROUP: &str = "staging-nextgen";
const PROFILE: &str = "tm-staging";

/// Staging with blue live, people at work, and so many endpoints in the profile; Azure takes `delay` for each answer.
async fn world(delay: Duration, endpoints: usize) -> (World, Working) {
    let world = World::start(Options { azure_delay: delay, ..Options::quick() }).await.expect("a world");
    world.seed(&Staging::live(Slot::Blue, "main-9f8e7d6").with_ttl(1)).await.expect("seeded");
    let mut profile = world.profile(GROUP, PROFILE).expect("a profile");
    let all = profile["properties"]["endpoints"].as_array_mut().expect("endpoints");
    for number in all.len()..endpoints {
        all.push(json!({
            "name": format!("elsewhere-{number}"), "type": "Microsoft.Network/trafficManagerProfiles/externalEndpoints",
            "properties": {"target": format!("elsewhere-{number}.example.net"), "endpointStatus": "Disabled", "weight": 1},
        }));
    }
    world.write_profile(GROUP, PROFILE, &profile).expect("written");
    let people = world.load(&Load::of("staging"));
    people.until(|seen| seen.total.requests > 50).await;
    (world, people)
}

fn binary() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_deploy-action"))
}

/// The event's time, of the last that is `wanted`.
fn at(done: &Finished, wanted: impl Fn(&Value) -> bool) -> Timestamp {
    let line = done.evidence.iter().rfind(|line| wanted(&line["event"])).expect("such an event");
    line["at"].as_str().and_then(|at| at.parse().ok()).expect("a time")
}

fn is(kind: &'static str) -> impl Fn(&Value) -> bool {
    move |event| event["kind"] == kind
}

fn is_write_of_profile(request: &Recorded) -> bool {
    request.is_change() && request.path.contains("trafficmanagerprofiles")
}

fn round_trips(from: Timestamp, to: Timestamp) -> f64 {
    to.duration_since(from).as_secs_f64() / ROUND_TRIP.as_secs_f64()
}

/// From a broken rule to safe traffic: since the tick that says so, and since the number that it says so of was read.
async fn breach() -> (f64, f64) {
    let (world, people) = world(ROUND_TRIP, 2).await;
    world.fault(Fault::ErrorsAfterSwitch).await;
    let mut spec = RunSpec::push_main(&world);
    // As in life, ticks are farther apart than Azure's answers take.
    spec.config = world.config(&Clocks { observe_for: ROUND_TRIP * 20, observe_every: ROUND_TRIP * 2, ..Clocks::quick() });
    let done = runner::run(&world, binary(), &spec).await.expect("its end");
    people.stop().await;
    assert_eq!(done.code, Some(1), "{}", done.stdout);
    let (tick, safe) = (at(&done, is("tick")), at(&done, is("traffic-safe")));
    let read = world.requests().into_iter().rfind(|request| request.path == "/metrics" && request.time <= tick);
    (round_trips(tick, safe), round_trips(read.expect("a page was read").time, safe))
}

/// Writes of a profile with so many endpoints in a whole release, and what its switch took, in round trips.
async fn switch(endpoints: usize) -> (f64, f64) {
    let (world, people) = world(ROUND_TRIP, endpoints).await;
    let done = runner::run(&world, binary(), &RunSpec::push_main(&world)).await.expect("its end");
    people.stop().await;
    assert_eq!(done.code, Some(0), "{}", done.stdout);
    let writes = world.requests().into_iter().filter(is_write_of_profile).count();
    let switched = done.evidence.iter().find(|line| line["event"]["kind"] == "traffic-switched").expect("a switch");
    let took = Duration::from_millis(switched["event"]["took_ms"].as_u64().expect("a time"));
    (writes as f64, took.as_secs_f64() / ROUND_TRIP.as_secs_f64())
}

/// From a signal during the watch to safe traffic, in round trips.
async fn cancel() -> f64 {
    let (world, people) = world(ROUND_TRIP, 2).await;
    let mut spec = RunSpec::push_main(&world);
    spec.config = world.config(&Clocks { observe_for: Duration::from_secs(600), ..Clocks::quick() });
    let running = runner::spawn(&world, binary(), &spec).expect("started");
    // The watch looks at the profile every tick; people arrived before it began.
    world.until(|requests| looks_since_the_switch(requests) > 20).await;
    let told = Timestamp::now();
    running.signal("INT").await.expect("a signal");
    let done = running.finish(runner::Echo::Off).await.expect("its end");
    people.stop().await;
    assert_eq!(done.code, Some(1), "{}", done.stdout);
    assert!(at(&done, is("tick")) <= told, "it was cancelled during its watch: {}", done.stdout);
    round_trips(told, at(&done, is("traffic-safe")))
}

fn looks_since_the_switch(requests: &[Recorded]) -> usize {
    let since = requests.iter().position(is_write_of_profile).unwrap_or(requests.len());
    requests.iter().skip(since).filter(|request| request.path.contains("trafficmanagerprofiles")).count()
}

/// The most memory after a long watch, as a multiple of what it was after a short time, and in megabytes.
async fn long_watch() -> (f64, f64) {
    let (world, people) = world(Duration::ZERO, 2).await;
    let every = Duration::from_millis(10);
    let mut spec = RunSpec::push_main(&world);
    spec.config = world.config(&Clocks { observe_for: every * LONG, observe_every: every, ..Clocks::quick() });
    let running = runner::spawn(&world, binary(), &spec).expect("started");
    let peaks = tokio::spawn(common::peaks(running.id().unwrap_or_default()));
    let done = running.finish(runner::Echo::Off).await.expect("its end");
    people.stop().await;
    assert_eq!(done.code, Some(0), "{}", done.stdout);
    let peaks: Peaks = peaks.await.expect("watched");
    let short = common::by(&peaks, at(&done, |event| event["kind"] == "tick" && event["tick"] == SHORT));
    let long = common::whole(&peaks);
    assert!(done.evidence.iter().any(|line| line["event"]["tick"] == LONG), "all ticks were taken");
    (long / short, long)
}

#[tokio::main]
async fn main() -> ExitCode {
    let (mut since_tick, mut since_sample, mut cancelled) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..RUNS {
        let (tick, sample) = breach().await;
        since_tick.push(tick);
        since_sample.push(sample);
        cancelled.push(cancel().await);
    }
    let ((two, two_took), (fifty, fifty_took)) = (switch(2).await, switch(50).await);
    let (growth, memory) = long_watch().await;
    let figure = |name, unit, values, expected, far| Figure { name, unit, values, expected, far };
    common::show(&[
        figure("broken rule to traffic safe", "round trips", since_tick, 1.2, FAR),
        // A tick is judged as soon as its numbers are there: Azure was looked at just before.
        figure("number read to traffic safe, when it breaks a rule", "round trips", since_sample, 1.2, FAR),
        figure("signal to traffic safe", "round trips", cancelled, 1.2, FAR),
        figure("writes of a profile with 2 endpoints in a release", "", vec![two], 1.0, 1.0),
        figure("writes of a profile with 50 endpoints in a release", "", vec![fifty], 1.0, 1.0),
        figure("its switch, as a multiple of that with 2", "×", vec![fifty_took / two_took], 1.2, FAR),
        figure("memory after 2000 ticks, as a multiple of that after 200", "×", vec![growth], 1.2, 1.25),
        figure("peak memory", "MB", vec![memory], 30.0, 3.0),
    ])
}
