//! Runbook Scenario 3: a tag `v*` releases to production, by a canary. The real binary, started as GitHub's runner starts it,
//! over real HTTP, with people using the public address from start to end.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on says so")]

mod common;
#[path = "common/production.rs"]
mod production;

use std::time::Duration;

use common::{binary, changes, run, world};
use production::{BEFORE, GROUP, NOW, PROFILE, STABLE, all_of, canary_has, decide, people, push_tag, shares, stable_shares, versions};
use sandbox::{
    Behaviour, Finished, RunSpec, Seen, Who, World,
    behaviour::Health,
    runner::{self, Running},
    seed::Production,
};

async fn seeded(world: &World) {
    world.seed_production(&Production::stable(BEFORE).with_ttl(1)).await.expect("seeded");
}

/// Waits until the canary has this share of people, by the profile's weights.
async fn until_canary_has(world: &World, running: &mut Running, percent: u64) {
    tokio::select! {
        () = world.until_profile(GROUP, PROFILE, |profile| canary_has(profile, percent)) => {}
        ended = running.ended() => ended.expect("its end"),
    }
}

/// A release during which the new version begins to behave like this once it has the share.
async fn released(world: &World, percent: u64, behaviour: Behaviour) -> Finished {
    let mut running = runner::spawn(world, binary(), &push_tag(world)).expect("started");
    until_canary_has(world, &mut running, percent).await;
    world.behave(Who::version(NOW), behaviour);
    running.finish(runner::Echo::Off).await.expect("its end")
}

/// Only the new version's own answers failed: nobody was sent where nothing was.
fn only_the_new_version_failed(seen: &Seen) {
    assert_eq!(seen.total.failures, seen.version(NOW).failures, "{:?}", seen.failed);
}

#[tokio::test]
async fn steps_3_to_5_a_tag_is_released_by_rising_shares_without_one_failed_request() {
    let world = world().await;
    seeded(&world).await;
    let load = people(&world).await;
    let done = run(&world, &push_tag(&world)).await;
    let seen = load.stop().await;
    assert_eq!((done.code, done.outputs["outcome"].as_str()), (Some(0), "healthy"), "{}", done.stdout);
    assert_eq!(seen.total.failures, 0, "{:?}", seen.failed);
    // The end state is the runbook's: three stable instances of the new version, two of them serving, no canary.
    assert_eq!((versions(&world), shares(&world)), (all_of(NOW), stable_shares()));
    for name in STABLE {
        let tags = world.written(GROUP, name).expect("an instance")["tags"].clone();
        assert!(tags["deploy-action-stable-since"].is_string(), "{name}: {tags}");
        assert_eq!(tags["deploy-action-previous"], BEFORE, "{name}");
    }
    // 5, 25, 50, 100 % and then the stable instances: five changes of shares, each one request.
    assert_eq!(changes(&world).iter().filter(|change| *change == "PUT tm-prod").count(), 5, "{:?}", changes(&world));
    for share in ["5%", "25%", "50%", "100%"] {
        assert!(done.summary.contains(&format!("Watch prod-canary-1 at {share}")), "{share} in {}", done.summary);
    }
}

/// The runbook's automatic rollback: "Delete canary instance, keep stable at 100%".
#[tokio::test]
async fn a_bad_canary_is_taken_back_by_itself() {
    let well = Behaviour::default();
    for (fault, percent, behaviour, why) in [
        ("errors at 5%", 5, well.erring(0.2), "error-rate"),
        ("errors at 25%", 25, well.erring(0.2), "error-rate"),
        ("errors at 100%", 100, well.erring(0.2), "error-rate"),
        ("slow at 5%", 5, well.taking(Duration::from_millis(3000)), "latency-p99"),
        ("unhealthy at 25%", 25, well.with_health(Health::Failing), "health"),
    ] {
        let world = world().await;
        seeded(&world).await;
        let load = people(&world).await;
        let done = released(&world, percent, behaviour).await;
        let seen = load.stop().await;
        assert_eq!((done.code, done.outputs["outcome"].as_str()), (Some(1), "rolled-back"), "{fault}: {}", done.stdout);
        assert_eq!((versions(&world), shares(&world)), (all_of(BEFORE), stable_shares()), "{fault}");
        assert!(done.summary.contains(why) && done.summary.contains("traffic was safe again"), "{fault}: {}", done.summary);
        only_the_new_version_failed(&seen);
        // Traffic first, in one request; then the instance.
        let last = changes(&world);
        assert_eq!(last[last.len() - 2..], ["PUT tm-prod", "DELETE prod-canary-1"], "{fault}: {last:?}");
    }
}

/// Phase 2: "Issues detected → Rollback to 25%", held there; a person goes on or takes it back.
#[tokio::test]
async fn at_50_it_steps_back_to_25_and_a_person_decides() {
    let world = world().await;
    seeded(&world).await;
    let load = people(&world).await;
    let done = released(&world, 50, Behaviour::default().taking(Duration::from_millis(800))).await;
    assert_eq!((done.code, done.outputs["outcome"].as_str()), (Some(3), "held"), "{}", done.stdout);
    assert!(done.stdout.contains("taken back to 25%"), "{}", done.stdout);
    // What is held is left to people by a scheduled resume.
    let scheduled = RunSpec { event: "schedule".into(), payload: serde_json::json!({"schedule": "*/15 * * * *"}), ..push_tag(&world) };
    let resumed = run(&world, &scheduled.in_run(77)).await;
    assert!(resumed.stdout.contains("prod: held, a person must decide"), "{}", resumed.stdout);
    assert_eq!(shares(&world).len(), 3, "{:?}", shares(&world));
    let back = run(&world, &decide(&world, &[])).await;
    let seen = load.stop().await;
    assert_eq!((back.code, back.outputs["outcome"].as_str()), (Some(0), "rolled-back"), "{}", back.stdout);
    assert_eq!((versions(&world), shares(&world)), (all_of(BEFORE), stable_shares()));
    only_the_new_version_failed(&seen);
}

/// Step 5: a version that turns bad when everyone has it is taken back by shares, the version before started afresh.
#[tokio::test]
async fn a_breach_while_stabilizing_brings_the_old_version_back_by_shares() {
    let world = world().await;
    seeded(&world).await;
    let load = people(&world).await;
    let mut running = runner::spawn(&world, binary(), &push_tag(&world)).expect("started");
    // Everyone is on the new stable instances, and the canary is gone.
    tokio::select! {
        () = world.until(|requests| requests.iter().any(|request| request.method == "DELETE" && request.path.contains("prod-canary-1"))) => {}
        ended = running.ended() => ended.expect("its end"),
    }
    world.behave(Who::version(NOW), Behaviour::default().erring(0.2));
    let done = running.finish(runner::Echo::Off).await.expect("its end");
    let seen = load.stop().await;
    assert_eq!((done.code, done.outputs["outcome"].as_str()), (Some(1), "rolled-back"), "{}", done.stdout);
    assert_eq!((versions(&world), shares(&world)), (all_of(BEFORE), stable_shares()));
    only_the_new_version_failed(&seen);
    assert!(done.stdout.contains("25% prod-old-1"), "{}", done.stdout);
    if std::env::var_os("SHOW").is_some() {
        println!("{}", done.stdout);
    }
}

/// The runbook's `gh workflow run … -f environment=prod`, after the release is complete.
#[tokio::test]
async fn a_person_brings_the_version_before_back_at_once() {
    let world = world().await;
    seeded(&world).await;
    let load = people(&world).await;
    assert_eq!(run(&world, &push_tag(&world)).await.code, Some(0));
    let back = run(&world, &decide(&world, &[])).await;
    let seen = load.stop().await;
    assert_eq!((back.code, back.outputs["outcome"].as_str()), (Some(0), "rolled-back"), "{}", back.stdout);
    assert_eq!((versions(&world), shares(&world), seen.total.failures), (all_of(BEFORE), stable_shares(), 0), "{:?}", seen.failed);
}

#[tokio::test]
async fn a_killed_run_is_made_safe_by_its_post_step_and_finished_by_the_next() {
    for post in [true, false] {
        let world = world().await;
        seeded(&world).await;
        let load = people(&world).await;
        let spec = push_tag(&world);
        let mut running = runner::spawn(&world, binary(), &spec).expect("started");
        until_canary_has(&world, &mut running, 25).await;
        running.signal("KILL").await.expect("killed");
        let killed = running.finish(runner::Echo::Off).await.expect("its end");
        if post {
            let made_safe = runner::post(&world, binary(), &spec, &killed.state).await.expect("the post step");
            assert_eq!((versions(&world), shares(&world)), (all_of(BEFORE), stable_shares()), "{}", made_safe.stdout);
        }
        let next = run(&world, &RunSpec { attempt: 2, ..spec }).await;
        let seen = load.stop().await;
        assert_eq!((next.code, versions(&world), shares(&world)), (Some(0), all_of(NOW), stable_shares()), "{}", next.stdout);
        assert_eq!(seen.total.failures, 0, "{:?}", seen.failed);
    }
}

/// What was held and is tried again is held no longer: a run that dies over it is made safe like any other.
#[tokio::test]
async fn a_held_release_that_is_tried_again_and_killed_is_made_safe() {
    let world = world().await;
    seeded(&world).await;
    let load = people(&world).await;
    let held = released(&world, 50, Behaviour::default().taking(Duration::from_millis(800))).await;
    assert_eq!((held.code, held.outputs["outcome"].as_str()), (Some(3), "held"), "{}", held.stdout);
    let is_held = || world.written(GROUP, "prod-canary-1").expect("a canary")["tags"]["deploy-action-held"].as_str().map(str::to_owned);
    assert!(is_held().is_some_and(|why| why.contains("broke a rule")), "{:?}", is_held());
    world.behave(Who::version(NOW), Behaviour::default());
    let spec = RunSpec { attempt: 2, ..push_tag(&world) };
    let mut running = runner::spawn(&world, binary(), &spec).expect("started");
    // It begins with 5 % again.
    until_canary_has(&world, &mut running, 5).await;
    running.signal("KILL").await.expect("killed");
    let killed = running.finish(runner::Echo::Off).await.expect("its end");
    assert_eq!(is_held().as_deref(), Some(""));
    let made_safe = runner::post(&world, binary(), &spec, &killed.state).await.expect("the post step");
    assert_eq!((versions(&world), shares(&world)), (all_of(BEFORE), stable_shares()), "{}", made_safe.stdout);
    only_the_new_version_failed(&load.stop().await);
}
