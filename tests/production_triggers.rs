//! What ends a release to production, at each share: the runbook's triggers, numbers that cannot be had, an Azure that fails, a
//! person who changes the weights. Each ends in the state that the runbook names, and people meet no more of it than their share.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on says so")]

mod common;
#[path = "common/production.rs"]
mod production;

use std::time::Duration;

use common::{binary, changes, run};
use futures::{StreamExt as _, stream};
use production::{
    BEFORE, CANARY, GROUP, NOW, PROFILE, all_of, canary_has, decide, people, push_tag, serves, shares, some_people, stable_shares, usual,
    versions, without_evidence, world,
};
use sandbox::{
    Behaviour, Fault, Finished, Recorded, RunSpec, Seen, Who, World,
    behaviour::Health,
    fault::{Switch, Times},
    runner,
};

/// Worlds at a time.
const AT_ONCE: usize = 6;

/// Places of a release from which on Azure is made to fail.
const POINTS: usize = 18;

/// The runbook's phases.
const SHARES: [u64; 4] = [5, 25, 50, 100];

/// What people meet of a version beyond its share is what resolvers remember and what chance does: so many times the share.
const BEYOND: f64 = 1.6;

/// What happens once the canary has a share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Event {
    /// "Error rate > 1.0% for 2 consecutive checks".
    Errors,
    /// "Latency p99 > 2000ms for 3 consecutive checks".
    Slow,
    /// "Canary instance health check fails".
    Unhealthy,
    /// "Pod crash loop (>2 restarts)".
    CrashLoop,
    /// No instance's numbers can be read any more.
    NoNumbers,
    /// Azure answers 500 to everything.
    AzureDown,
    /// The next two writes of the profile are answered with 500, and do nothing.
    WritesFail,
    /// The next write of the profile takes effect, and its answer is lost.
    WriteIsLost,
    /// A person sets other weights.
    Person,
}

impl Event {
    async fn happen(self, world: &World) {
        let new = |behaviour| world.behave(Who::version(NOW), behaviour);
        let well = Behaviour::default();
        match self {
            Self::Errors => new(well.erring(0.2)),
            Self::Slow => new(well.taking(Duration::from_millis(3000))),
            Self::Unhealthy => new(well.with_health(Health::Failing)),
            Self::CrashLoop => world.restarted(GROUP, CANARY, 3),
            Self::NoNumbers => world.fault(Fault::MetricsDown).await,
            Self::AzureDown => world.switch(Fault::Arm500, Switch::On, Times::Always).await,
            Self::WritesFail => world.switch(Fault::Tm500, Switch::On, Times::First(2)).await,
            Self::WriteIsLost => world.switch(Fault::TmLostAnswer, Switch::On, Times::First(1)).await,
            Self::Person => {
                let mut profile = world.profile(GROUP, PROFILE).expect("a profile");
                for endpoint in profile["properties"]["endpoints"].as_array_mut().expect("endpoints") {
                    endpoint["properties"]["weight"] = serde_json::json!(7);
                }
                world.write_profile(GROUP, PROFILE, &profile).expect("written");
            }
        }
    }

    /// What the summary names.
    const fn names(self) -> &'static str {
        match self {
            Self::Errors => "error-rate",
            Self::Slow => "latency-p99",
            Self::Unhealthy => "health",
            Self::CrashLoop => "restart",
            Self::NoNumbers => "503",
            Self::AzureDown => "az network traffic-manager",
            Self::WritesFail | Self::WriteIsLost => "",
            Self::Person => "weight",
        }
    }
}

/// A release in which `event` happens once the canary has `share` percent.
async fn released(event: Event, share: u64) -> (World, Finished, Seen) {
    let world = world().await;
    usual(&world).await;
    let load = people(&world).await;
    let mut running = runner::spawn(&world, binary(), &push_tag(&world)).expect("started");
    tokio::select! {
        () = world.until_profile(GROUP, PROFILE, |profile| canary_has(profile, share)) => {}
        ended = running.ended() => ended.expect("its end"),
    }
    event.happen(&world).await;
    let done = running.finish(runner::Echo::Off).await.expect("its end");
    (world, done, load.stop().await)
}

fn ending(done: &Finished) -> (Option<i32>, &str) {
    (done.code, done.outputs.get("outcome").map_or("", String::as_str))
}

/// What is wrong after a trigger of the runbook's.
fn wrong_after_trigger(event: Event, share: u64, world: &World, done: &Finished, seen: &Seen) -> Vec<String> {
    let mut wrong = Vec::new();
    if ending(done) != (Some(1), "rolled-back") {
        wrong.push(format!("{:?}", ending(done)));
    }
    if (versions(world), shares(world)) != (all_of(BEFORE), stable_shares()) {
        wrong.push(format!("{:?} {:?}", versions(world), shares(world)));
    }
    if !done.summary.contains(event.names()) || !done.summary.contains("traffic was safe again") {
        wrong.push(format!("the summary does not say why: {}", done.summary));
    }
    // Traffic first, in one request; then the instance.
    let changed = changes(world);
    if !changed.ends_with(&[format!("PUT {PROFILE}"), format!("DELETE {CANARY}")]) {
        wrong.push(format!("{changed:?}"));
    }
    if seen.total.failures != seen.version(NOW).failures {
        wrong.push(format!("others than the new version's own answers failed: {:?}", seen.failed));
    }
    // Requests are far below 2^52.
    #[expect(clippy::cast_precision_loss, reason = "requests of seconds")]
    let met = seen.version(NOW).requests as f64 / seen.total.requests as f64;
    #[expect(clippy::cast_precision_loss, reason = "a share")]
    let most = share as f64 / 100.0 * BEYOND;
    if met > most {
        wrong.push(format!("{:.1} % of people met it, at {share} %", met * 100.0));
    }
    wrong
}

/// "If ANY of these occur: delete canary instance, keep stable at 100%", at each share.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_trigger_takes_the_canary_back_at_each_share() {
    let cases =
        [Event::Errors, Event::Slow, Event::Unhealthy, Event::CrashLoop].into_iter().flat_map(|event| SHARES.map(|share| (event, share)));
    let wrong: Vec<String> = stream::iter(cases)
        .map(|(event, share)| async move {
            let (world, done, seen) = released(event, share).await;
            let wrong = wrong_after_trigger(event, share, &world, &done, &seen);
            (!wrong.is_empty()).then(|| format!("{event:?} at {share} %: {}\n{}", wrong.join("; "), done.stdout))
        })
        .buffer_unordered(AT_ONCE)
        .filter_map(|wrong| async { wrong })
        .collect()
        .await;
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

/// No data is never good news, and no reason to throw a version away either: it stays at its share, and a person decides.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_numbers_it_is_held_at_each_share() {
    for share in SHARES {
        let (world, done, seen) = released(Event::NoNumbers, share).await;
        assert_eq!(ending(&done), (Some(3), "held"), "at {share} %: {}", done.stdout);
        assert!(done.summary.contains(Event::NoNumbers.names()), "at {share} %: {}", done.summary);
        let profile = world.profile(GROUP, PROFILE).expect("a profile");
        assert!(canary_has(&profile, share), "at {share} %: {profile}");
        assert_eq!(seen.total.failures, 0, "at {share} %: {:?}", seen.failed);
    }
}

/// Azure fails for good: nobody notices, the run says what to do by hand, and the next one makes it good.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_azure_that_fails_at_each_share_is_left_to_a_person_and_made_good_later() {
    for share in SHARES {
        let (world, done, seen) = released(Event::AzureDown, share).await;
        assert_eq!(done.code, Some(3), "at {share} %: {}", done.stdout);
        assert!(done.summary.contains(Event::AzureDown.names()), "at {share} %: {}", done.summary);
        assert_eq!(seen.total.failures, 0, "at {share} %: {:?}", seen.failed);
        serves(&world).unwrap_or_else(|why| panic!("at {share} %: {why}"));
        world.switch(Fault::Arm500, Switch::Off, Times::Always).await;
        let load = people(&world).await;
        let back = run(&world, &decide(&world, &[])).await;
        assert_eq!(ending(&back), (Some(0), "rolled-back"), "at {share} %: {}", back.stdout);
        assert_eq!((versions(&world), shares(&world)), (all_of(BEFORE), stable_shares()), "at {share} %");
        let seen = load.stop().await;
        assert_eq!(seen.total.failures, 0, "at {share} %: {:?}", seen.failed);
    }
}

/// Azure fails for good from a call on, wherever in the release: nobody notices, the run does not say that all is well unless it is,
/// and a rollback makes it good once Azure answers again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_azure_that_fails_from_any_call_on_hurts_nobody() {
    let is_azure = |request: &Recorded| request.service == "azure" && request.path.contains("/providers/");
    let calls = {
        let world = world().await;
        usual(&world).await;
        let load = some_people(&world).await;
        let done = run(&world, &without_evidence(push_tag(&world))).await;
        load.stop().await;
        assert_eq!(done.code, Some(0), "{}", done.stdout);
        world.requests().into_iter().filter(is_azure).count()
    };
    let wrong: Vec<String> = stream::iter((0..POINTS).map(|point| point * calls / POINTS))
        .map(|call| async move {
            let world = world().await;
            usual(&world).await;
            let load = some_people(&world).await;
            let mut running = runner::spawn(&world, binary(), &without_evidence(push_tag(&world))).expect("started");
            tokio::select! {
                () = world.until(|requests| requests.iter().filter(|request| is_azure(request)).count() > call) => {}
                ended = running.ended() => ended.expect("its end"),
            }
            world.switch(Fault::Arm500, Switch::On, Times::Always).await;
            let done = running.finish(runner::Echo::Off).await.expect("its end");
            let mut wrong = Vec::new();
            wrong.extend(serves(&world).err());
            if done.code == Some(0) && versions(&world) != all_of(NOW) {
                wrong.push("it says that all is well".into());
            }
            world.switch(Fault::Arm500, Switch::Off, Times::Always).await;
            let back = run(&world, &without_evidence(decide(&world, &[("version", BEFORE)]))).await;
            if versions(&world) != all_of(BEFORE) || shares(&world) != stable_shares() {
                wrong.push(format!("{:?} {:?}\n{}", versions(&world), shares(&world), back.stdout));
            }
            let seen = load.stop().await;
            if seen.total.failures > 0 {
                wrong.push(format!("{:?}", seen.failed));
            }
            (!wrong.is_empty()).then(|| format!("from call {call} of {calls} on: {:?} {}\n{}", done.code, wrong.join("; "), done.stdout))
        })
        .buffer_unordered(AT_ONCE)
        .filter_map(|wrong| async { wrong })
        .collect()
        .await;
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

/// Azure fails for a moment, at each share: what is read is read again, what is written is looked at and written again, and the
/// release goes on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_azure_that_fails_for_a_moment_is_waited_for_at_each_share() {
    let cases = [Event::WritesFail, Event::WriteIsLost].into_iter().flat_map(|event| SHARES.map(|share| (event, share)));
    let wrong: Vec<String> = stream::iter(cases)
        .map(|(event, share)| async move {
            let (world, done, seen) = released(event, share).await;
            let is_right = ending(&done) == (Some(0), "healthy")
                && (versions(&world), shares(&world)) == (all_of(NOW), stable_shares())
                && seen.total.failures == 0;
            (!is_right).then(|| format!("{event:?} at {share} %: {:?} {:?}\n{}", ending(&done), seen.failed, done.stdout))
        })
        .buffer_unordered(AT_ONCE)
        .filter_map(|wrong| async { wrong })
        .collect()
        .await;
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

/// What a person sets while a phase is watched stays as they set it; the run stops and says what it saw.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_who_changes_the_weights_is_not_fought_at_each_share() {
    for share in SHARES {
        let (world, done, seen) = released(Event::Person, share).await;
        assert_eq!(done.code, Some(3), "at {share} %: {}", done.stdout);
        assert!(done.summary.contains(Event::Person.names()), "at {share} %: {}", done.summary);
        assert!(shares(&world).iter().all(|(_, weight)| *weight == 7), "at {share} %: {:?}", shares(&world));
        assert_eq!(seen.total.failures, 0, "at {share} %: {:?}", seen.failed);
        let scheduled = RunSpec { event: "schedule".into(), payload: serde_json::json!({"schedule": "*/15 * * * *"}), ..push_tag(&world) };
        let resumed = run(&world, &scheduled.in_run(77)).await;
        assert!(shares(&world).iter().all(|(_, weight)| *weight == 7), "a schedule decides for nobody: {}", resumed.stdout);
    }
}
