//! Runbook Scenario 2, interrupted: killed at every call, cancelled as GitHub's runner cancels, and run twice at once. Nobody
//! who uses staging meets any of it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on says so")]

mod common;
#[path = "common/staging.rs"]
mod staging;

use common::{binary, changes, run, world};
use futures::{StreamExt as _, stream};
use sandbox::{RunSpec, Stall, World, runner};
use staging::{BEFORE, BLUE, GREEN, NOW, alone, people, seed, serving, tags};

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
    let spec = RunSpec::push_main(&world);
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
    let done = run(&world, &RunSpec::push_main(&world)).await;
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
