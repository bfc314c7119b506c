//! Runbook Scenario 2, interrupted: cancelled as GitHub's runner cancels, killed, and run twice at once; and what the step's
//! post-entrypoint or a schedule makes of it. Nobody who uses staging meets any of it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on says so")]

mod common;
#[path = "common/staging.rs"]
mod staging;

use std::time::Duration;

use common::{binary, changes, run};
use sandbox::{Behaviour, Conclusion, Fault, Finished, Health, Recorded, RunSpec, RunState, Slot, Staging, Who, World, runner, seed::Runs};
use staging::{BEFORE, BLUE, GREEN, NOW, PROFILE, Told, alone, badly_told, found, merge, people, serving, usual, world};

/// Where a release stands when it is cancelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Green is being made: Azure pulls its image, and goes on pulling.
    ComingUp,
    /// Green answers its health check with 503.
    HealthGate,
    /// People were switched, and do not arrive.
    Verify,
    /// Green is being watched.
    Watch,
}

impl Stage {
    const ALL: [Self; 4] = [Self::ComingUp, Self::HealthGate, Self::Verify, Self::Watch];

    /// Sees to it that the release stays in this stage.
    async fn prepare(self, world: &World) -> RunSpec {
        let spec = merge(world);
        let changed = match self {
            Self::ComingUp => {
                world.fault(Fault::ImagePull).await;
                spec.config.clone()
            }
            Self::HealthGate => {
                world.behave(Who::version(NOW), Behaviour::default().with_health(Health::Failing));
                spec.config.replace("retries: 10", "retries: 10000")
            }
            Self::Verify => {
                world.fault(Fault::SwitchWithoutEffect).await;
                spec.config.clone()
            }
            Self::Watch => spec.config.replace("for: 600ms", "for: 600s"),
        };
        RunSpec { config: changed, ..spec }
    }

    /// Whether the release has come there.
    fn is_reached(self, requests: &[Recorded]) -> bool {
        let of = |service: &str, path: &str| {
            requests.iter().filter(|request| request.service.ends_with(service) && request.path == path).count()
        };
        let written = |name: &str| requests.iter().any(|request| request.method == "PUT" && request.path.contains(name));
        match self {
            Self::ComingUp => written(GREEN),
            Self::HealthGate => of(GREEN, "/health") > 0,
            Self::Verify => written(PROFILE) && of("public:staging", "/health") > 0,
            Self::Watch => written(PROFILE) && of(GREEN, "/metrics") > 10,
        }
    }

    /// Whether people were switched.
    const fn is_switched(self) -> bool {
        match self {
            Self::ComingUp | Self::HealthGate => false,
            Self::Verify | Self::Watch => true,
        }
    }
}

/// A release that is in `stage`, while people use staging.
async fn releasing(world: &World, stage: Stage) -> (RunSpec, runner::Running) {
    let spec = stage.prepare(world).await;
    let mut running = runner::spawn(world, binary(), &spec).expect("started");
    tokio::select! {
        () = world.until(|requests| stage.is_reached(requests)) => {}
        ended = running.ended() => ended.expect("its end"),
    }
    (spec, running)
}

/// How long GitHub's runner waits after SIGINT before it sends SIGTERM, and after that before it kills (GitHub documentation,
/// quoted in actions/runner#1309).
const PATIENCE: [Duration; 2] = [Duration::from_millis(7500), Duration::from_millis(2500)];

/// Cancels as GitHub's runner does; gives what is left, and how the process was brought to its end.
async fn cancel(mut running: runner::Running) -> (Finished, &'static str) {
    let mut last = "INT";
    running.signal("INT").await.expect("kill");
    for (patience, next) in PATIENCE.into_iter().zip(["TERM", "KILL"]) {
        if tokio::time::timeout(patience, running.ended()).await.is_ok() {
            break;
        }
        last = next;
        running.signal(next).await.expect("kill");
    }
    (running.finish(runner::Echo::Off).await.expect("its end"), last)
}

/// What a cancelled release must have done: as it was before, traffic first and in one request.
fn taken_back(world: &World, stage: Stage) {
    assert_eq!(alone(world), Ok((BLUE, BEFORE.into(), "stable".into())), "{stage:?}");
    let (made, switched, gone) = (format!("PUT {GREEN}"), format!("PUT {PROFILE}"), format!("DELETE {GREEN}"));
    let expected = if stage.is_switched() { vec![made, switched.clone(), switched, gone] } else { vec![made, gone] };
    assert_eq!(changes(world), expected, "{stage:?}");
}

/// Cancelling at any moment: before the switch the live slot is untouched and the idle instance removed, from the switch on
/// traffic goes back, "within 5 seconds of the signal"; and the step's post-entrypoint has nothing left to do.
#[tokio::test]
async fn a_cancelled_release_leaves_everything_as_it_was() {
    for stage in Stage::ALL {
        let world = world().await;
        usual(&world).await;
        let load = people(&world).await;
        let (spec, running) = releasing(&world, stage).await;
        let signalled = jiff::Timestamp::now();
        let (done, signal) = cancel(running).await;
        assert_eq!((done.code, signal), (Some(1), "INT"), "{stage:?}: {}", done.stdout);
        assert_eq!(done.outputs["outcome"], "rolled-back", "{stage:?}");
        taken_back(&world, stage);
        assert!(done.summary.contains("the run was cancelled (SIGINT)"), "{stage:?}: {}", done.summary);
        if stage.is_switched() {
            let back = world.requests().into_iter().rfind(|request| request.method == "PUT" && request.path.contains(PROFILE)).expect("it");
            let after = back.time.duration_since(signalled);
            assert!(after < jiff::SignedDuration::from_secs(5), "{stage:?}: traffic was safe {after:?} after the signal");
            assert!(done.evidence.iter().any(|line| line["event"]["kind"] == "traffic-safe"), "{stage:?}");
        }
        let requests = world.requests().len();
        let post = runner::post(&world, binary(), &spec, &done.state).await.expect("the post step");
        assert_eq!((post.code, world.requests().len()), (Some(0), requests), "{stage:?}: {}", post.stdout);
        let seen = load.stop().await;
        assert_eq!(seen.total.failures, 0, "{stage:?}: {:?}", seen.failed);
    }
}

/// The runner's second signal comes while it is being taken back, and Slack does not answer: neither keeps the run from bringing
/// that to its end, and from saying so, before it is killed.
#[tokio::test]
async fn neither_a_second_signal_nor_a_slow_slack_stops_a_release_from_being_taken_back() {
    let world = world().await;
    usual(&world).await;
    let load = people(&world).await;
    world.fault(Fault::SlackSlow).await;
    let (_, running) = releasing(&world, Stage::Watch).await;
    running.signal("INT").await.expect("kill");
    world.until(|requests| requests.iter().filter(|request| request.method == "PUT" && request.path.contains(PROFILE)).count() == 2).await;
    running.signal("TERM").await.expect("kill");
    let (done, signal) = cancel(running).await;
    assert_ne!(signal, "KILL", "{}", done.stdout);
    assert_eq!((done.code, done.outputs["outcome"].as_str()), (Some(1), "rolled-back"), "{}", done.stdout);
    assert_eq!(done.state["outcome"], "rolled-back");
    taken_back(&world, Stage::Watch);
    assert!(done.summary.contains("the run was cancelled (SIGINT)"), "{}", done.summary);
    let seen = load.stop().await;
    assert_eq!(seen.total.failures, 0, "{:?}", seen.failed);
}

/// A runner that dies, or is in a hurry: SIGKILL alone, and what the step's post-entrypoint does then.
#[tokio::test]
async fn a_killed_release_is_taken_back_by_its_post_step() {
    for stage in Stage::ALL {
        let world = world().await;
        usual(&world).await;
        let load = people(&world).await;
        let (spec, running) = releasing(&world, stage).await;
        running.signal("KILL").await.expect("kill");
        let killed = running.finish(runner::Echo::Off).await.expect("its end");
        assert_eq!((killed.code, killed.state.get("outcome")), (None, None), "{stage:?}: {}", killed.stdout);
        let post = runner::post(&world, binary(), &spec, &killed.state).await.expect("the post step");
        assert_eq!((post.code, post.outputs["outcome"].as_str()), (Some(1), "rolled-back"), "{stage:?}: {}", post.stdout);
        taken_back(&world, stage);
        assert!(post.summary.contains(&format!("Staging made safe: {BEFORE} serves")), "{stage:?}: {}", post.summary);
        let seen = load.stop().await;
        assert_eq!(seen.total.failures, 0, "{stage:?}: {:?}", seen.failed);
    }
}

/// The time to live is longer than the runner is patient: traffic is back at once, the instance is kept until nobody holds its
/// address any more, and the kill that comes meanwhile leaves it to the post-entrypoint.
#[tokio::test]
async fn a_release_that_is_killed_while_it_is_taken_back_is_finished_by_its_post_step() {
    let world = world().await;
    usual(&world).await;
    let load = people(&world).await;
    let (spec, running) = releasing(&world, Stage::Watch).await;
    running.signal("INT").await.expect("kill");
    let is_back = |requests: &[Recorded]| {
        requests.iter().filter(|request| request.method == "PUT" && request.path.contains(PROFILE) && request.status.is_some()).count() == 2
    };
    world.until(is_back).await;
    running.signal("KILL").await.expect("kill");
    let killed = running.finish(runner::Echo::Off).await.expect("its end");
    assert_eq!((killed.code, serving(&world)), (None, Ok(BLUE)), "{}", killed.stdout);
    let post = runner::post(&world, binary(), &spec, &killed.state).await.expect("the post step");
    assert_eq!((post.code, post.outputs["outcome"].as_str()), (Some(1), "rolled-back"), "{}", post.stdout);
    taken_back(&world, Stage::Watch);
    let seen = load.stop().await;
    assert_eq!(seen.total.failures, 0, "{:?}", seen.failed);
}

/// Another merge, in another run, while the first is still at it.
fn another(world: &World, run: u64) -> RunSpec {
    merge(world).of_commit("b2c3d4e5f60718293a4b5c6d7e8f900112233445").in_run(run)
}

/// Two runs at once: one works, the other is refused with a link to the first, and touches nothing.
#[tokio::test]
async fn a_second_release_is_refused_with_a_link_to_the_first() {
    let world = world().await;
    usual(&world).await;
    let load = people(&world).await;
    let (_, first) = releasing(&world, Stage::Watch).await;
    let before = changes(&world);
    let second = run(&world, &another(&world, 8)).await;
    assert_eq!((second.code, second.outputs["outcome"].as_str()), (Some(1), "refused"), "{}", second.stdout);
    for wanted in [
        "another run has staging: deploy by octocat",
        "wait until https://github.com/nextgen-market/nextgen-market/actions/runs/7313377331 is done",
    ] {
        assert!(second.summary.contains(wanted), "{wanted} in {}", second.summary);
    }
    assert_eq!((changes(&world), serving(&world)), (before, Ok(GREEN)));
    assert!(world.deployments().len() == 1, "what is refused is no deployment: {:?}", world.deployments());
    let (done, _) = cancel(first).await;
    assert_eq!(done.outputs["outcome"], "rolled-back", "the first one had it for itself to its end: {}", done.stdout);
    assert_eq!(load.stop().await.total.failures, 0);
}

#[tokio::test]
async fn of_five_releases_that_race_exactly_one_works() {
    let world = world().await;
    usual(&world).await;
    let load = people(&world).await;
    let spec = |run| {
        let spec = another(&world, run);
        RunSpec { config: spec.config.replace("for: 600ms", "for: 600s"), ..spec }
    };
    let mut running: Vec<runner::Running> = (1..=5).map(|run| runner::spawn(&world, binary(), &spec(run)).expect("started")).collect();
    // Whichever has it watches for ever; the others end.
    while running.len() > 1 {
        let ended = running.iter_mut().map(|running| Box::pin(running.ended()));
        let (ended, which, _) = futures::future::select_all(ended).await;
        ended.expect("its end");
        let refused = running.remove(which).finish(runner::Echo::Off).await.expect("its end");
        assert_eq!((refused.code, refused.outputs["outcome"].as_str()), (Some(1), "refused"), "{}", refused.stdout);
        assert!(refused.summary.contains("another run has staging"), "{}", refused.summary);
    }
    world.until(|requests| Stage::Watch.is_reached(requests)).await;
    let made = changes(&world).iter().filter(|change| change.ends_with(GREEN)).count();
    assert_eq!((made, serving(&world)), (1, Ok(GREEN)));
    let (done, _) = cancel(running.remove(0)).await;
    assert_eq!((done.outputs["outcome"].as_str(), load.stop().await.total.failures), ("rolled-back", 0), "{}", done.stdout);
}

/// A lock belongs to a run: it ends with it, whatever killed it. Until GitHub says so it is kept.
#[tokio::test]
async fn a_dead_runs_lock_does_not_block() {
    let world = world().await;
    usual(&world).await;
    let load = people(&world).await;
    let (spec, running) = releasing(&world, Stage::Watch).await;
    running.signal("KILL").await.expect("kill");
    running.finish(runner::Echo::Off).await.expect("its end");
    world.set_run(spec.run_id, RunState::InProgress);
    let next = another(&world, 8);
    let refused = run(&world, &next).await;
    assert_eq!((refused.code, refused.outputs["outcome"].as_str()), (Some(1), "refused"), "{}", refused.stdout);
    world.set_run(spec.run_id, RunState::Completed(Conclusion::Cancelled));
    let done = run(&world, &next.in_run(9)).await;
    assert_eq!((done.code, done.outputs["outcome"].as_str()), (Some(0), "healthy"), "{}", done.stdout);
    // People went back before the slot was filled anew.
    assert_eq!(alone(&world), Ok((GREEN, "main-b2c3d4e".into(), "stable".into())));
    let seen = load.stop().await;
    assert_eq!(seen.total.failures, 0, "{:?}", seen.failed);
}

#[tokio::test]
async fn a_token_that_may_not_write_the_lock_is_told_so_and_holds_up_no_rollback() {
    let world = world().await;
    found(&world, Staging::stale(NOW, BEFORE)).await;
    let load = people(&world).await;
    world.fault(Fault::LockForbidden).await;
    let refused = run(&world, &another(&world, 8)).await;
    assert_eq!((refused.outputs["outcome"].as_str(), changes(&world)), ("refused", Vec::new()), "{}", refused.stdout);
    for wanted in ["may not write the lock of staging", "permissions: contents: write"] {
        assert!(refused.summary.contains(wanted), "{wanted} in {}", refused.summary);
    }
    let back = run(&world, &RunSpec::dispatch(&world, &[("environment", "staging")]).in_run(9)).await;
    assert_eq!((back.code, back.outputs["outcome"].as_str()), (Some(0), "rolled-back"), "{}", back.stdout);
    assert!(back.summary.contains("going on without having staging alone"), "{}", back.summary);
    assert_eq!((alone(&world), load.stop().await.total.failures), (Ok((GREEN, BEFORE.into(), "old".into())), 0));
}

/// The workflow's `on: schedule`, in a run of its own.
fn scheduled(world: &World) -> RunSpec {
    RunSpec { event: "schedule".into(), payload: serde_json::json!({"schedule": "*/15 * * * *"}), ..merge(world) }.in_run(77)
}

#[tokio::test]
async fn on_a_schedule_what_a_killed_release_left_is_made_safe() {
    for stage in [Stage::HealthGate, Stage::Watch] {
        let world = world().await;
        usual(&world).await;
        let load = people(&world).await;
        let (_, running) = releasing(&world, stage).await;
        running.signal("KILL").await.expect("kill");
        running.finish(runner::Echo::Off).await.expect("its end");
        let resumed = run(&world, &scheduled(&world)).await;
        assert_eq!((resumed.code, resumed.outputs["outcome"].as_str()), (Some(0), "rolled-back"), "{stage:?}: {}", resumed.stdout);
        taken_back(&world, stage);
        assert_eq!(badly_told(&world, Told::First, "failure"), None, "{stage:?}");
        let again = run(&world, &scheduled(&world).in_run(78)).await;
        assert_eq!(again.code, Some(0), "{stage:?}: {}", again.stdout);
        assert!(again.stdout.contains("staging: nothing was left half-way"), "{stage:?}: {}", again.stdout);
        taken_back(&world, stage);
        let seen = load.stop().await;
        assert_eq!(seen.total.failures, 0, "{stage:?}: {:?}", seen.failed);
    }
}

#[tokio::test]
async fn on_a_schedule_a_release_that_was_proved_is_finished() {
    let world = world().await;
    found(&world, Staging { blue: Some(Runs::stable(BEFORE)), ..Staging::live(Slot::Green, NOW) }).await;
    let load = people(&world).await;
    let resumed = run(&world, &scheduled(&world)).await;
    assert_eq!((resumed.code, resumed.outputs["outcome"].as_str()), (Some(0), "healthy"), "{}", resumed.stdout);
    assert_eq!((alone(&world), changes(&world)), (Ok((GREEN, NOW.into(), "stable".into())), vec![format!("DELETE {BLUE}")]));
    assert_eq!(load.stop().await.total.failures, 0);
}

#[tokio::test]
async fn on_a_schedule_a_release_that_runs_is_left_alone() {
    let world = world().await;
    usual(&world).await;
    let load = people(&world).await;
    let (_, running) = releasing(&world, Stage::Watch).await;
    let before = changes(&world);
    let resumed = run(&world, &scheduled(&world)).await;
    assert_eq!((resumed.code, changes(&world)), (Some(0), before), "{}", resumed.stdout);
    assert!(
        resumed.stdout.contains("staging: a run is at work: https://github.com/nextgen-market/nextgen-market/actions/runs/7313377331"),
        "{}",
        resumed.stdout
    );
    let (done, _) = cancel(running).await;
    assert_eq!((done.outputs["outcome"].as_str(), load.stop().await.total.failures), ("rolled-back", 0));
}

/// People are on a version that never passed its watch, and nothing else is there: a person is told, each time.
#[tokio::test]
async fn on_a_schedule_what_has_no_way_back_is_a_persons() {
    let world = world().await;
    let unproven = Runs { role: "canary".into(), ..Runs::stable(NOW) };
    found(&world, Staging { green: Some(unproven), ..Staging::live(Slot::Green, NOW) }).await;
    let resumed = run(&world, &scheduled(&world)).await;
    assert_eq!((resumed.code, changes(&world)), (Some(3), Vec::new()), "{}", resumed.stdout);
    for wanted in ["never passed its watch", "command: promote, environment: staging"] {
        assert!(resumed.stdout.contains(wanted), "{wanted} in {}", resumed.stdout);
    }
}
