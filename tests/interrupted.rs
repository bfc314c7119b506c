//! Interrupted runs: cancelled as GitHub's runner cancels, killed, and killed at every call; and what the step's
//! post-entrypoint or the next run makes of it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on says so")]

mod common;

use common::{binary, changes, run, world};
use sandbox::{Fault, Recorded, RunSpec, World, runner};

/// Starts a run and waits until it has sent `enough`, or has ended.
async fn started(world: &World, spec: &RunSpec, enough: impl Fn(&[Recorded]) -> bool) -> runner::Running {
    let mut running = runner::spawn(world, binary(), spec).expect("started");
    tokio::select! {
        () = world.until(enough) => {}
        ended = running.ended() => ended.expect("its end"),
    }
    running
}

fn probed(requests: &[Recorded]) -> bool {
    requests.iter().any(|request| request.service.starts_with("instance:"))
}

#[tokio::test]
async fn a_cancelled_run_says_what_it_left_and_its_post_step_has_nothing_to_do() {
    for signal in ["INT", "TERM"] {
        let world = world().await;
        world.fault(Fault::NeverHealthy).await;
        let mut spec = RunSpec::push_develop(&world);
        spec.config = spec.config.replace("retries: 10", "retries: 10000");
        let running = started(&world, &spec, probed).await;
        running.signal(signal).await.expect("kill");
        let done = running.finish(runner::Echo::Off).await.expect("its end");
        assert_eq!(done.code, Some(1), "{}", done.stdout);
        assert!(done.summary.contains(&format!("the run was cancelled (SIG{signal})")), "{}", done.summary);
        assert_eq!(world.deployments()[0].1.last().map(String::as_str), Some("failure"));
        let requests = world.requests().len();
        let post = runner::post(&world, binary(), &spec, &done.state).await.expect("the post step");
        assert_eq!((post.code, world.requests().len()), (Some(0), requests), "{}", post.stdout);
    }
}

#[tokio::test]
async fn a_killed_run_is_finished_by_its_post_step() {
    let world = world().await;
    world.fault(Fault::NeverHealthy).await;
    let mut spec = RunSpec::push_develop(&world);
    spec.config = spec.config.replace("retries: 10", "retries: 10000");
    let running = started(&world, &spec, probed).await;
    running.signal("KILL").await.expect("kill");
    let killed = running.finish(runner::Echo::Off).await.expect("its end");
    assert_eq!((killed.code, killed.state.get("outcome")), (None, None));
    assert!(killed.summary.contains("still running"), "the summary is written as the run goes: {}", killed.summary);

    world.switch(Fault::NeverHealthy, sandbox::Switch::Off, Fault::NeverHealthy.usual()).await;
    let post = runner::post(&world, binary(), &spec, &killed.state).await.expect("the post step");
    assert_eq!(post.code, Some(0), "{}{}", post.stdout, post.stderr);
    assert_eq!(changes(&world).len(), 1, "what was written is not written again");
    let deployments = world.deployments();
    assert_eq!((deployments.len(), deployments[0].1.last().map(String::as_str)), (1, Some("success")), "the same deployment, ended");
}

#[tokio::test]
async fn a_run_killed_before_it_changed_anything_is_not_begun_by_its_post_step() {
    let world = world().await;
    let spec = RunSpec::push_develop(&world);
    let state = [("environment", "dev"), ("rollout", "dev-7313377331-1"), ("version", "develop-a1b2c3d")];
    let state = state.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    let post = runner::post(&world, binary(), &spec, &state).await.expect("the post step");
    assert_eq!(post.code, Some(1), "{}", post.stdout);
    assert!(post.summary.contains("interrupted before it had changed anything"), "{}", post.summary);
    assert!(changes(&world).is_empty() && world.container_groups().is_empty());
}

/// Invariant 5 for the direct strategy: stop the process after any single call, also with its answer lost; the next run
/// ends with the one instance on the new version, and nothing orphaned.
#[tokio::test]
async fn crash_at_every_call() {
    let whole = {
        let world = world().await;
        run(&world, &RunSpec::push_develop(&world)).await;
        world.requests().len()
    };
    assert!(whole > 10, "{whole} calls");
    for stop_after in 1..=whole {
        let world = world().await;
        let spec = RunSpec::push_develop(&world);
        let running = started(&world, &spec, |requests| requests.len() >= stop_after).await;
        running.signal("KILL").await.expect("kill");
        let killed = running.finish(runner::Echo::Off).await.expect("its end");
        let next = run(&world, &RunSpec { attempt: 2, ..spec }).await;
        assert_eq!(next.code, Some(0), "killed after call {stop_after} of {whole} ({:?}): {}", killed.code, next.stdout);
        assert_eq!(world.container_groups(), ["dev-nextgen/aci-dev-nextgen"], "after call {stop_after}");
        let tags = world.written("dev-nextgen", "aci-dev-nextgen").expect("the instance")["tags"].clone();
        assert_eq!(tags["deploy-action-version"], "develop-a1b2c3d", "after call {stop_after}");
    }
}

#[tokio::test]
async fn a_newer_run_supersedes_and_the_older_one_says_so() {
    let world = world().await;
    world.fault(Fault::NeverHealthy).await;
    let mut spec = RunSpec::push_develop(&world);
    spec.config = spec.config.replace("retries: 10", "retries: 10000");
    let running = started(&world, &spec, probed).await;
    world.switch(Fault::NeverHealthy, sandbox::Switch::Off, Fault::NeverHealthy.usual()).await;
    let mut body = world.written("dev-nextgen", "aci-dev-nextgen").expect("the instance");
    body["tags"]["deploy-action-digest"] = format!("sha256:{}", "9".repeat(64)).into();
    body["tags"]["deploy-action-version"] = "develop-9999999".into();
    world.fault(Fault::NeverHealthy).await;
    world.write_group("dev-nextgen", "aci-dev-nextgen", body);
    let done = running.finish(runner::Echo::Off).await.expect("its end");
    assert_eq!(done.code, Some(1), "{}", done.stdout);
    assert!(done.summary.contains("was changed to develop-9999999"), "{}", done.summary);
}
