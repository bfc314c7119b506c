//! Invariant 5 for staging: a release, and a rollback, killed at every call, before it and with its answer lost; and what the next
//! attempt or the step's post-entrypoint makes of it. Nobody who uses staging meets any of it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on says so")]

mod common;
#[path = "common/staging.rs"]
mod staging;

use common::{binary, changes, run};
use futures::{StreamExt as _, stream};
use sandbox::{RunSpec, Slot, Staging, Stall, World, runner, seed::Runs};
use staging::{BEFORE, BLUE, GREEN, GROUP, NOW, Told, alone, badly_told, found, merge, people, serving, tags, usual, world};

/// Worlds at a time: most of a case is waiting.
const AT_ONCE: usize = 10;

/// Of the calls, every so manieth is tried where not all are.
const EVERY: usize = 29;

/// What is killed.
#[derive(Debug, Clone, Copy)]
enum What {
    /// A merge's release.
    Release,
    /// A person's rollback of a version that was being watched when its run died.
    RollbackOfUnproven,
    /// A person's rollback of a version that had proved itself; the one before was not deleted yet.
    RollbackOfStable,
}

impl What {
    async fn prepare(self, world: &World) -> RunSpec {
        let both = |role: &str| {
            let green = Runs { role: role.to_owned(), ..Runs::stable(NOW) };
            Staging { blue: Some(Runs::stable(BEFORE)), green: Some(green), ..Staging::live(Slot::Green, NOW) }
        };
        let rollback = || {
            let spec = RunSpec::dispatch(world, &[("environment", "staging")]);
            RunSpec { config: merge(world).config, ..spec }
        };
        match self {
            Self::Release => {
                usual(world).await;
                merge(world)
            }
            Self::RollbackOfUnproven => {
                found(world, both("canary")).await;
                rollback()
            }
            Self::RollbackOfStable => {
                found(world, both("stable")).await;
                later(world).await;
                rollback()
            }
        }
    }

    /// What must be left: instance and version; `was_proved` says whether the new version was stable when the run died.
    const fn leaves(self, then: Then, was_proved: Proved) -> (&'static str, &'static str) {
        match (self, then, was_proved) {
            (Self::Release, Then::Again, _) | (Self::Release, Then::Post, Proved::Yes) => (GREEN, NOW),
            (Self::Release, Then::Post, Proved::No) | (Self::RollbackOfUnproven | Self::RollbackOfStable, ..) => (BLUE, BEFORE),
        }
    }
}

/// Green says of itself that it came after blue, as every release writes it.
async fn later(world: &World) {
    let mut body = world.written(GROUP, GREEN).expect("green");
    body["tags"]["deploy-action-previous"] = BEFORE.into();
    body["tags"]["deploy-action-stable-since"] = "2026-11-24T10:00:00Z".into();
    world.write_group(GROUP, GREEN, body);
    world.settled().await;
}

/// Whether the new version had passed everything.
#[derive(Debug, Clone, Copy)]
enum Proved {
    Yes,
    No,
}

/// What comes after a killed run.
#[derive(Debug, Clone, Copy)]
enum Then {
    /// The same again: attempt 2.
    Again,
    /// The step's post-entrypoint, with the state that the run left.
    Post,
}

/// One run that was killed, and what came then.
#[derive(Debug)]
struct Case {
    stall: Stall,
    then: Then,
    /// The call at which it died.
    call: String,
    wrong: Vec<String>,
    log: String,
}

/// A run that is killed at `stall`, and what comes then.
async fn killed(what: What, stall: Stall, then: Then) -> Case {
    let (Stall::Before(number) | Stall::After(number)) = stall else { panic!("{stall:?} stops nothing") };
    let world = world().await;
    let spec = what.prepare(&world).await;
    let load = people(&world).await;
    world.stall(stall);
    let mut running = runner::spawn(&world, binary(), &spec).expect("started");
    tokio::select! {
        () = world.until(|requests| requests.len() > number) => {}
        ended = running.ended() => ended.expect("its end"),
    }
    running.signal("KILL").await.expect("kill");
    let first = running.finish(runner::Echo::Off).await.expect("its end");
    let requests = world.requests();
    let call = requests.get(number).map_or_else(|| "(it had ended)".into(), |request| format!("{} {}", request.service, request.line()));
    world.stall(Stall::Never);

    let mut wrong = Vec::new();
    wrong.extend(serving(&world).err().map(|why| format!("when it died: {why}")));
    if !changes(&world).is_empty() && first.summary.is_empty() {
        wrong.push("it left no summary".into());
    }
    let was_proved = if tags(&world, GREEN)["deploy-action-role"] == "stable" { Proved::Yes } else { Proved::No };
    let next = match then {
        Then::Again => run(&world, &RunSpec { attempt: 2, ..spec }).await,
        Then::Post => runner::post(&world, binary(), &spec, &first.state).await.expect("the post step"),
    };
    let (instance, version) = what.leaves(then, was_proved);
    match alone(&world) {
        Ok(left) if left == (instance, version.to_owned(), "stable".to_owned()) => {}
        Ok(other) => wrong.push(format!("{other:?} instead of {instance} with {version}")),
        Err(why) => wrong.push(why),
    }
    let codes: &[i32] = match (what, then, first.code, was_proved) {
        (What::Release, Then::Post, None, Proved::No) => &[1],
        (What::Release, ..) | (_, Then::Post, ..) => &[0],
        // There may be nothing left to go back to: it was gone back to.
        (What::RollbackOfUnproven | What::RollbackOfStable, Then::Again, ..) => &[0, 1],
    };
    if !next.code.is_some_and(|code| codes.contains(&code)) {
        wrong.push(format!("the exit status {:?} instead of {codes:?}", next.code));
    }
    if let What::Release = what {
        let which = match then {
            Then::Again => Told::Last,
            Then::Post => Told::First,
        };
        wrong.extend(badly_told(&world, which, if version == NOW { "success" } else { "failure" }));
    }
    let seen = load.stop().await;
    if seen.total.failures > 0 {
        wrong.push(format!("{} requests of people failed: {:?}", seen.total.failures, seen.failed));
    }
    Case { stall, then, call, wrong, log: format!("{}\n{}", next.stdout, changes(&world).join("\n")) }
}

/// How many calls it makes when nobody stops it.
async fn calls(what: What) -> usize {
    let world = world().await;
    let spec = what.prepare(&world).await;
    let load = people(&world).await;
    let done = run(&world, &spec).await;
    load.stop().await;
    assert_eq!(done.code, Some(0), "{}", done.stdout);
    world.requests().len()
}

/// Kills it before and after each call of which `is_tried` says so, and lets either come then.
async fn all(what: What, is_tried: impl Fn(usize, usize) -> bool) {
    let calls = calls(what).await;
    let tried = (0..calls).filter(|number| is_tried(*number, calls)).flat_map(|number| [Stall::Before(number), Stall::After(number)]);
    let cases = tried.flat_map(|stall| [(stall, Then::Again), (stall, Then::Post)]);
    let cases: Vec<Case> = stream::iter(cases).map(|(stall, then)| killed(what, stall, then)).buffer_unordered(AT_ONCE).collect().await;
    println!("{what:?}: {calls} calls, killed {} times", cases.len());
    let wrong: Vec<String> = cases
        .iter()
        .filter(|case| !case.wrong.is_empty())
        .map(|case| format!("{:?} ({}), then {:?}: {}\n{}", case.stall, case.call, case.then, case.wrong.join("; "), case.log))
        .collect();
    assert!(wrong.is_empty(), "{what:?}: {} of {} cases:\n{}", wrong.len(), cases.len(), wrong.join("\n\n"));
}

/// Which calls the quick tests try: as many as there are calls decides where they begin, so that over time each has its turn.
fn some(number: usize, calls: usize) -> bool {
    number % EVERY == calls % EVERY
}

/// The same push again brings the new version; the step's post-entrypoint leaves the old one, or the new one if it was stable
/// already. Nothing is left over, GitHub is told what is so, and nobody's request fails.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_release_that_is_killed_leaves_nothing_half_way() {
    all(What::Release, some).await;
}

/// What a person wanted comes about, whoever does it in the end.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rollback_that_is_killed_leaves_nothing_half_way() {
    all(What::RollbackOfUnproven, some).await;
    all(What::RollbackOfStable, some).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes minutes: all of what the tests before try a part of"]
async fn killed_at_every_call() {
    for what in [What::Release, What::RollbackOfUnproven, What::RollbackOfStable] {
        all(what, |_, _| true).await;
    }
}
