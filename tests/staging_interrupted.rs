//! Runbook Scenario 2, interrupted: killed at every call, cancelled as GitHub's runner cancels, and run twice at once. Nobody
//! who uses staging meets any of it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on says so")]

mod common;
#[path = "common/staging.rs"]
mod staging;

use std::{collections::BTreeMap, time::Duration};

use common::{binary, changes, run};
use futures::{StreamExt as _, stream};
use sandbox::{Behaviour, Conclusion, Fault, Finished, Health, Recorded, RunSpec, RunState, Stall, Who, World, runner};
use staging::{BEFORE, BLUE, GREEN, NOW, PROFILE, alone, merge, people, seed, serving, tags, world};

/// The commit that is merged.
const COMMIT: &str = "a1b2c3d4e5f60718293a4b5c6d7e8f9001122334";

/// Worlds at a time: most of a case is waiting.
const AT_ONCE: usize = 10;

/// What comes after a killed run.
#[derive(Debug, Clone, Copy)]
enum Then {
    /// The same push again: attempt 2.
    Again,
    /// The step's post-entrypoint, with the state that the run left.
    Post,
}

/// What was found when the run died, and after what came then.
#[derive(Debug)]
struct Case {
    stall: Stall,
    then: Then,
    /// The call at which it died.
    call: String,
    wrong: Option<String>,
}

/// A release that is killed at `stall`, and what comes then.
async fn killed(stall: Stall, then: Then) -> Case {
    let (Stall::Before(number) | Stall::After(number)) = stall else { panic!("{stall:?} stops nothing") };
    let world = world().await;
    seed(&world).await;
    let load = people(&world).await;
    let spec = merge(&world);
    world.stall(stall);
    let mut running = runner::spawn(&world, binary(), &spec).expect("started");
    tokio::select! {
        () = world.until(|requests| requests.len() > number) => {}
        ended = running.ended() => ended.expect("its end"),
    }
    running.signal("KILL").await.expect("kill");
    let first = running.finish(runner::Echo::Off).await.expect("its end");
    let call = world
        .requests()
        .get(number)
        .map_or_else(|| "(it had ended)".to_owned(), |request| format!("{} {}", request.service, request.line()));
    world.stall(Stall::Never);
    let mut wrong = Vec::new();
    wrong.extend(serving(&world).err().map(|why| format!("when it died: {why}")));
    if !changes(&world).is_empty() && first.summary.is_empty() {
        wrong.push("it left no summary".into());
    }
    let was_stable = tags(&world, GREEN)["deploy-action-role"] == "stable";
    let (next, expected) = match then {
        Then::Again => (run(&world, &RunSpec { attempt: 2, ..spec }).await, (GREEN, NOW)),
        Then::Post => {
            let post = runner::post(&world, binary(), &spec, &first.state).await.expect("the post step");
            (post, if was_stable { (GREEN, NOW) } else { (BLUE, BEFORE) })
        }
    };
    match alone(&world) {
        Ok((instance, version, role)) if (instance, version.as_str(), role.as_str()) == (expected.0, expected.1, "stable") => {}
        Ok(other) => wrong.push(format!("{other:?} instead of {expected:?}")),
        Err(why) => wrong.push(why),
    }
    let code = match (then, first.code, was_stable) {
        (Then::Again, ..) | (Then::Post, Some(_), _) | (Then::Post, None, true) => Some(0),
        (Then::Post, None, false) => Some(1),
    };
    if next.code != code {
        wrong.push(format!("the exit status {:?} instead of {code:?}", next.code));
    }
    wrong.extend(badly_told(&world, then, expected.1 == NOW));
    let seen = load.stop().await;
    if seen.total.failures > 0 {
        wrong.push(format!("{} requests of people failed: {:?}", seen.total.failures, seen.failed));
    }
    let wrong =
        if wrong.is_empty() { None } else { Some(format!("{}\n{}\n{}", wrong.join("; "), next.stdout, changes(&world).join("\n"))) };
    Case { stall, then, call, wrong }
}

/// What GitHub shows of the release that is not so: a deployment or a commit status that is still open, or says the opposite.
fn badly_told(world: &World, then: Then, is_released: bool) -> Option<String> {
    let expected = if is_released { "success" } else { "failure" };
    let status = world.commit_statuses(COMMIT).last().and_then(|last| last["state"].as_str().map(str::to_owned));
    let deployment = match then {
        // Each attempt has a deployment of its own.
        Then::Again => world.deployments().last().and_then(|(_, states)| states.last().cloned()),
        Then::Post => world.deployments().first().and_then(|(_, states)| states.last().cloned()),
    };
    let is_bad = |told: &Option<String>| told.as_ref().is_some_and(|told| told != expected);
    (is_bad(&status) || is_bad(&deployment))
        .then(|| format!("the commit is told {status:?}, the deployment {deployment:?}, and it is {expected}"))
}

/// How many calls a release makes that nobody stops.
async fn calls() -> usize {
    let world = world().await;
    seed(&world).await;
    let load = people(&world).await;
    let done = run(&world, &merge(&world)).await;
    load.stop().await;
    assert_eq!(done.code, Some(0), "{}", done.stdout);
    world.requests().len()
}

/// Kills releases at each of `stalls`.
async fn all(cases: impl IntoIterator<Item = (Stall, Then)>) {
    let cases: Vec<Case> = stream::iter(cases).map(|(stall, then)| killed(stall, then)).buffer_unordered(AT_ONCE).collect().await;
    let wrong: Vec<&Case> = cases.iter().filter(|case| case.wrong.is_some()).collect();
    let told: Vec<String> = wrong
        .iter()
        .map(|case| format!("{:?} ({}), then {:?}: {}", case.stall, case.call, case.then, case.wrong.as_deref().unwrap_or_default()))
        .collect();
    assert!(wrong.is_empty(), "{} of {} cases:\n{}", wrong.len(), cases.len(), told.join("\n\n"));
}

/// Every stop before and after a call of which `of` says that it is tried, with what comes then.
fn stops(calls: usize, of: impl Fn(usize) -> bool) -> Vec<(Stall, Then)> {
    let stops = (0..calls).filter(|number| of(*number)).flat_map(|number| [Stall::Before(number), Stall::After(number)]);
    stops.flat_map(|stall| [(stall, Then::Again), (stall, Then::Post)]).collect()
}

/// Invariant 5: stop the process at any call, before it or with its answer lost. The same push again brings the new version,
/// the step's post-entrypoint the old one (or the new one, if it was stable already); nothing is left over, GitHub is told what
/// is so, and nobody's request fails.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_every_ninth_call() {
    let calls = calls().await;
    let first = calls % 9;
    println!("of {calls} calls every ninth, from call {first}");
    all(stops(calls, |number| number % 9 == first)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes minutes; a ninth of it is the test before"]
async fn killed_at_every_call() {
    let calls = calls().await;
    println!("{calls} calls");
    all(stops(calls, |_| true)).await;
}

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
        seed(&world).await;
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

/// A runner that dies, or is in a hurry: SIGKILL alone, and what the step's post-entrypoint does then.
#[tokio::test]
async fn a_killed_release_is_taken_back_by_its_post_step() {
    for stage in Stage::ALL {
        let world = world().await;
        seed(&world).await;
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
    seed(&world).await;
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
