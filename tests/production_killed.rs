//! Invariant 5 for production: a release, and a person's rollback, killed at every call, before it and with its answer lost; and
//! what the next attempt or the step's post-entrypoint makes of it. Nobody who uses production meets any of it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on says so")]

mod common;
#[path = "common/production.rs"]
mod production;

use common::{binary, changes, run};
use futures::{StreamExt as _, stream};
use production::{
    BEFORE, CANARY, GROUP, NOW, STABLE, all_of, decide, found, push_tag, serves, shares, some_people, stable_shares, tags, usual, versions,
    without_evidence, world,
};
use sandbox::{
    Recorded, RunSpec, Stall, World, runner,
    seed::{Production, Reached},
};

/// Worlds at a time: most of a case is waiting.
const AT_ONCE: usize = 8;

/// Of the calls, every so manieth is tried where not all are.
const EVERY: usize = 149;

/// What is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    /// A tag's release.
    Release,
    /// A person's rollback of a canary whose run died at 25 %.
    RollbackOfCanary,
    /// A person's rollback of a version that everybody is on, stable by every sign: the one before is started again.
    RollbackOfStable,
}

impl What {
    async fn prepare(self, world: &World) -> RunSpec {
        let spec = match self {
            Self::Release => {
                usual(world).await;
                push_tag(world)
            }
            Self::RollbackOfCanary => {
                found(world, Production::halfway(Reached::Quarter, BEFORE, NOW)).await;
                decide(world, &[])
            }
            Self::RollbackOfStable => {
                world.push_image(BEFORE);
                found(world, Production::stable(NOW)).await;
                for name in STABLE {
                    let mut body = world.written(GROUP, name).expect("an instance");
                    body["tags"]["deploy-action-previous"] = BEFORE.into();
                    world.write_group(GROUP, name, body);
                }
                world.settled().await;
                decide(world, &[])
            }
        };
        without_evidence(spec)
    }
}

/// How far the new version had come when its run died.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Come {
    /// Its phases were not over.
    Tried,
    /// They were.
    Promoted,
    /// Everything was: nothing of the run is left to do.
    Done,
}

impl Come {
    fn of(world: &World, ended: Option<i32>) -> Self {
        let is_everywhere = versions(world) == all_of(NOW);
        let is_marked = STABLE.iter().all(|name| tags(world, name)["deploy-action-stable-since"].is_string());
        if ended == Some(0) || (is_everywhere && is_marked) {
            Self::Done
        } else if tags(world, CANARY)["deploy-action-promoted"].is_string() || is_everywhere {
            Self::Promoted
        } else {
            Self::Tried
        }
    }
}

/// What comes after a killed run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Then {
    /// The same again: attempt 2.
    Again,
    /// The step's post-entrypoint, with the state that the run left.
    Post,
}

/// The version that must be left, and the exit status of what came then.
const fn expected(what: What, then: Then, come: Come) -> (&'static str, &'static [i32]) {
    match (what, then, come) {
        (What::Release, Then::Again, _) | (What::Release, Then::Post, Come::Done) => (NOW, &[0]),
        (What::Release, Then::Post, Come::Tried) => (BEFORE, &[1]),
        // It has proved itself in its phases and serves; that nobody watched it to the end is for a person.
        (What::Release, Then::Post, Come::Promoted) => (NOW, &[3]),
        (What::RollbackOfCanary | What::RollbackOfStable, ..) => (BEFORE, &[0]),
    }
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
    let load = some_people(&world).await;
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
    wrong.extend(serves(&world).err().map(|why| format!("when it died: {why}")));
    if !changes(&world).is_empty() && first.summary.is_empty() {
        wrong.push("it left no summary".into());
    }
    let (version, codes) = expected(what, then, Come::of(&world, first.code));
    let next = match then {
        Then::Again => run(&world, &RunSpec { attempt: 2, ..spec }).await,
        Then::Post => runner::post(&world, binary(), &spec, &first.state).await.expect("the post step"),
    };
    let left = (versions(&world), shares(&world));
    if left != (all_of(version), stable_shares()) {
        wrong.push(format!("{left:?} instead of {version} in three stable instances"));
    }
    if !next.code.is_some_and(|code| codes.contains(&code)) {
        wrong.push(format!("the exit status {:?} instead of {codes:?}", next.code));
    }
    let seen = load.stop().await;
    if seen.total.failures > 0 {
        wrong.push(format!("{} requests of people failed: {:?}", seen.total.failures, seen.failed));
    }
    Case { stall, then, call, wrong, log: format!("{}\n{}", next.stdout, changes(&world).join("\n")) }
}

/// The calls that it makes when nobody stops it.
async fn calls(what: What) -> Vec<Recorded> {
    let world = world().await;
    let spec = what.prepare(&world).await;
    let load = some_people(&world).await;
    let done = run(&world, &spec).await;
    load.stop().await;
    assert_eq!(done.code, Some(0), "{}", done.stdout);
    world.requests()
}

/// Kills it before and after each call of which `is_tried` says so, and lets either come then.
async fn all(what: What, is_tried: impl Fn(usize, &[Recorded]) -> bool) {
    let calls = calls(what).await;
    let tried =
        (0..calls.len()).filter(|number| is_tried(*number, &calls)).flat_map(|number| [Stall::Before(number), Stall::After(number)]);
    // Both ways for every call; which of the two comes then takes turns.
    let cases = tried.enumerate().map(|(nth, stall)| (stall, if (nth + nth / 2) % 2 == 0 { Then::Again } else { Then::Post }));
    let cases: Vec<Case> = stream::iter(cases).map(|(stall, then)| killed(what, stall, then)).buffer_unordered(AT_ONCE).collect().await;
    println!("{what:?}: {} calls, killed {} times", calls.len(), cases.len());
    let wrong: Vec<String> = cases
        .iter()
        .filter(|case| !case.wrong.is_empty())
        .map(|case| format!("{:?} ({}), then {:?}: {}\n{}", case.stall, case.call, case.then, case.wrong.join("; "), case.log))
        .collect();
    assert!(wrong.is_empty(), "{what:?}: {} of {} cases:\n{}", wrong.len(), cases.len(), wrong.join("\n\n"));
}

/// Which calls the quick tests try: as many as there are calls decides where they begin, so that over time each has its turn.
fn some(number: usize, calls: &[Recorded]) -> bool {
    number % EVERY == calls.len() % EVERY
}

/// Which calls tell apart where a run can die: each that changes anything. Of what is only read, tick by tick, one is like the
/// other; some are tried.
fn telling(number: usize, calls: &[Recorded]) -> bool {
    calls.get(number).is_some_and(|call| call.method != "GET") || some(number, calls)
}

/// The same tag again brings the new version; the step's post-entrypoint leaves the old one or, once every phase was passed, the
/// new one. Nothing is left over, and nobody's request fails.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_release_that_is_killed_leaves_nothing_half_way() {
    all(What::Release, some).await;
}

/// What a person wanted comes about, whoever does it in the end.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rollback_that_is_killed_leaves_nothing_half_way() {
    all(What::RollbackOfCanary, some).await;
    all(What::RollbackOfStable, some).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes minutes: all of what the tests before try a part of"]
async fn killed_at_every_call() {
    for what in [What::Release, What::RollbackOfCanary, What::RollbackOfStable] {
        all(what, telling).await;
    }
}
