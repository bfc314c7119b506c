//! What a release to production costs where it matters: from a broken rule to safe traffic as a multiple of one round trip to
//! Traffic Manager, requests to Azure, time beside what must be waited for, memory over the whole release, and many instances.
//! Ratios and counts from one run each, so that they hold on any machine; ends with an error when one is far off.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on says so")]

mod common;

use std::{path::Path, process::ExitCode, time::Duration};

use common::{Figure, Peaks};
use jiff::Timestamp;
use sandbox::{
    Clocks, Fault, Finished, Load, Options, Recorded, RunSpec, World,
    load::Working,
    runner,
    seed::{Member, Production},
};
use serde_json::Value;

const RUNS: usize = 3;

/// What one answer of Azure takes: far more than anything that is done here meanwhile, so that round trips can be told.
const ROUND_TRIP: Duration = Duration::from_millis(200);

/// How many times as much as is expected is far off, where time is measured.
const FAR: f64 = 1.5;

/// Steps whose time is another's: Azure's, the resolvers', or the watch's own.
const WAITS: [&str; 8] =
    ["create-instance", "together", "verify-shares", "drain-instances", "check-baseline", "phase", "delete-instance", "await-health"];

/// The runbook's release, in seconds: "Duration: 20 minutes".
const RELEASE: f64 = 1200.0;

/// Ticks of the long watch, and after how many memory must not grow any more. The runbook's 50 minutes are 300.
const LONG: u32 = 1500;
const SHORT: u32 = 150;

/// As many stable instances as a profile has endpoints for, beside the two that are tried (Azure: 200 endpoints a profile).
const MANY: u32 = 198;

const BEFORE: &str = "v0.9.5";
const NOW: &str = "v1.0.0";

fn binary() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_deploy-action"))
}

/// Production with `count` stable instances, people at work; Azure takes `delay` for each answer.
async fn world(delay: Duration, count: u32) -> (World, Working) {
    let world = World::start(Options { azure_delay: delay, ..Options::quick() }).await.expect("a world");
    let members = (1..=count).map(|number| Member::stable(number, BEFORE)).enumerate();
    let members = members.map(|(index, member)| if index + 1 == count as usize { member.standing_by() } else { member }).collect();
    world.seed_production(&Production { members, ..Production::stable(BEFORE).with_ttl(1) }).await.expect("seeded");
    let people = world.load(&Load::of("prod"));
    people.until(|seen| seen.total.requests > 50).await;
    (world, people)
}

/// A push of the tag, with these clocks.
fn release(world: &World, clocks: &Clocks) -> RunSpec {
    RunSpec { config: world.config(clocks), ..RunSpec::push_tag(world, NOW) }
}

/// The event's time, of the last that is `wanted`.
fn at(done: &Finished, wanted: impl Fn(&Value) -> bool) -> Timestamp {
    let line = done.evidence.iter().rfind(|line| wanted(&line["event"])).expect("such an event");
    line["at"].as_str().and_then(|at| at.parse().ok()).expect("a time")
}

fn is(kind: &'static str) -> impl Fn(&Value) -> bool {
    move |event| event["kind"] == kind
}

fn round_trips(from: Timestamp, to: Timestamp) -> f64 {
    to.duration_since(from).as_secs_f64() / ROUND_TRIP.as_secs_f64()
}

/// From a broken rule to safe traffic: since the tick that says so, and since the number that it says so of was read.
async fn breach() -> (f64, f64) {
    let (world, people) = world(ROUND_TRIP, 3).await;
    world.fault(Fault::CanaryErrors).await;
    // As in life, ticks are farther apart than Azure's answers take.
    let clocks = Clocks { phase_for: ROUND_TRIP * 20, canary_every: ROUND_TRIP * 2, ..Clocks::quick() };
    let done = runner::run(&world, binary(), &release(&world, &clocks)).await.expect("its end");
    people.stop().await;
    assert_eq!(done.code, Some(1), "{}", done.stdout);
    let (tick, safe) = (at(&done, is("tick")), at(&done, is("traffic-safe")));
    let read = world.requests().into_iter().rfind(|request| request.path == "/metrics" && request.time <= tick);
    (round_trips(tick, safe), round_trips(read.expect("a page was read").time, safe))
}

fn is_azure(request: &&Recorded) -> bool {
    request.service == "azure" && request.path.contains("/providers/")
}

/// What a release that goes well costs.
struct Cost {
    /// Writes of the profile.
    writes: f64,
    /// Requests to Azure, all of them.
    requests: f64,
    /// Of them, those that its watches make, tick by tick.
    watching: f64,
    /// Time beside what it waits for, as a part of the runbook's 20 minutes.
    overhead: f64,
    /// Seconds.
    took: f64,
}

async fn good(count: u32, delay: Duration) -> Cost {
    let (world, people) = world(delay, count).await;
    let mut spec = release(&world, &Clocks::quick());
    spec.config = spec.config.replace("count: 3, active: 2", &format!("count: {count}, active: {}", count - 1));
    let begun = tokio::time::Instant::now();
    let done = runner::run(&world, binary(), &spec).await.expect("its end");
    let took = begun.elapsed().as_secs_f64();
    people.stop().await;
    assert_eq!(done.code, Some(0), "{}", done.stdout);
    let all = world.requests();
    let azure: Vec<&Recorded> = all.iter().filter(is_azure).collect();
    let events: Vec<&Value> = done.evidence.iter().map(|line| &line["event"]).collect();
    let plan = events.iter().find(|event| event["kind"] == "planned").expect("a plan")["plan"].clone();
    let steps = plan["steps"].as_array().cloned().unwrap_or_default();
    let waits = |step: &Value| WAITS.iter().any(|wait| step["step"] == **wait);
    let waited: f64 = events
        .iter()
        .filter(|event| event["kind"] == "step-finished")
        .filter(|event| event["step"].as_u64().and_then(|at| steps.get(usize::try_from(at).ok()?)).is_some_and(waits))
        .map(|event| event["duration_ms"].as_f64().unwrap_or_default() / 1000.0)
        .sum();
    // Each tick looks at the profile and at each instance that is judged.
    let judged = |event: &&&Value| {
        let at = event["step"].as_u64().and_then(|at| usize::try_from(at).ok());
        at.and_then(|at| steps.get(at)).and_then(|step| step["on"].as_array()).map_or(1, Vec::len)
    };
    let watching: usize = events.iter().filter(|event| event["kind"] == "tick").map(|event| 1 + judged(&event)).sum();
    let is_write = |request: &&&Recorded| request.is_change() && request.path.contains("trafficmanagerprofiles");
    Cost {
        writes: azure.iter().filter(is_write).count() as f64,
        requests: azure.len() as f64,
        watching: watching as f64,
        overhead: (took - waited) / RELEASE,
        took,
    }
}

/// The most memory after a long watch, as a multiple of what it was after a short time, and in megabytes.
async fn long_watch() -> (f64, f64) {
    let (world, people) = world(Duration::ZERO, 3).await;
    let every = Duration::from_millis(10);
    let clocks = Clocks { stabilize_for: every * LONG, canary_every: every, phase_for: Duration::from_secs(1), ..Clocks::quick() };
    let running = runner::spawn(&world, binary(), &release(&world, &clocks)).expect("started");
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
    let (mut since_tick, mut since_sample) = (Vec::new(), Vec::new());
    for _ in 0..RUNS {
        let (tick, sample) = breach().await;
        since_tick.push(tick);
        since_sample.push(sample);
    }
    let usual = good(3, Duration::ZERO).await;
    let delay = Duration::from_millis(20);
    let (few, many) = (good(20, delay).await, good(MANY, delay).await);
    let (growth, memory) = long_watch().await;
    let figure = |name, unit, values, expected, far| Figure { name, unit, values, expected, far };
    common::show(&[
        figure("broken rule to traffic safe", "round trips", since_tick, 1.2, FAR),
        figure("number read to traffic safe, when it breaks a rule", "round trips", since_sample, 1.2, FAR),
        figure("writes of the profile in a release: four shares, and back to the stable ones", "", vec![usual.writes], 5.0, 1.0),
        figure("requests to Azure in a release, beside two or three a tick", "", vec![usual.requests - usual.watching], 150.0, FAR),
        figure("time beside what is waited for, of 20 minutes", "%", vec![usual.overhead * 100.0], 1.0, 1.0),
        figure("writes of the profile with 198 stable instances", "", vec![many.writes], 5.0, 1.0),
        figure(
            "requests to Azure a instance, 198 of them beside 20",
            "×",
            vec![(many.requests / f64::from(MANY)) / (few.requests / 20.0)],
            1.2,
            FAR,
        ),
        figure("time a instance, 198 of them beside 20", "×", vec![(many.took / f64::from(MANY)) / (few.took / 20.0)], 1.0, FAR),
        figure("memory after 1500 ticks of stabilization, as a multiple of that after 150", "×", vec![growth], 1.25, 1.25),
        figure("peak memory", "MB", vec![memory], 30.0, 3.0),
    ])
}
