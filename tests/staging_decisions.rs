//! A person decides about staging: goes back, trusts what is held, looks. The runbook's own command starts it, whatever another
//! run is doing meanwhile; nobody who uses staging meets any of it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on says so")]

mod common;
#[path = "common/staging.rs"]
mod staging;

use common::{binary, changes, run};
use sandbox::{Behaviour, Fault, Finished, Health, Recorded, RunSpec, Slot, Staging, Who, World, runner, seed::Runs};
use staging::{BEFORE, BLUE, GREEN, GROUP, NOW, PROFILE, alone, found, live, merge, people, seed, serving, tags, usual, world};

/// The runbook's `gh workflow run ci-cd-enterprise.yml -f environment=staging -r main`, in a run of its own.
fn rollback(world: &World) -> RunSpec {
    decide(world, &[("environment", "staging")])
}

fn decide(world: &World, inputs: &[(&str, &str)]) -> RunSpec {
    RunSpec::dispatch(world, inputs).in_run(99)
}

/// A release that is watched for longer than any test lasts.
fn long_release(world: &World) -> RunSpec {
    let spec = merge(world);
    RunSpec { config: spec.config.replace("for: 600ms", "for: 600s"), ..spec }
}

/// A release that is not trusted where nothing is known.
fn held_without_data(spec: RunSpec) -> RunSpec {
    RunSpec { config: spec.config.replace("no-data: ignore", "no-data: hold"), ..spec }
}

/// A run of `spec`, once what it did is `enough`.
async fn until(world: &World, spec: &RunSpec, enough: impl Fn(&[Recorded]) -> bool) -> runner::Running {
    let mut running = runner::spawn(world, binary(), spec).expect("started");
    tokio::select! {
        () = world.until(enough) => {}
        ended = running.ended() => ended.expect("its end"),
    }
    running
}

/// Green serves, and is being watched: its metrics were read after the switch was verified.
fn is_watched(requests: &[Recorded]) -> bool {
    let switched = requests.iter().position(|request| request.method == "PUT" && request.path.contains(PROFILE));
    switched.is_some_and(|at| {
        requests[at..].iter().filter(|request| request.service.ends_with(GREEN) && request.path == "/metrics").count() > 8
    })
}

/// Green is there, and asked for its health.
fn is_probed(requests: &[Recorded]) -> bool {
    requests.iter().any(|request| request.service.ends_with(GREEN) && request.path == "/health")
}

async fn end(running: runner::Running) -> Finished {
    running.finish(runner::Echo::Off).await.expect("its end")
}

fn ending(done: &Finished) -> (Option<i32>, &str) {
    (done.code, done.outputs.get("outcome").map_or("", String::as_str))
}

/// Troubleshooting "Rollback needed after traffic switch": while a run watches the new version, a person goes back.
#[tokio::test]
async fn a_rollback_during_the_watch_goes_first_and_is_not_fought() {
    let world = world().await;
    usual(&world).await;
    let load = people(&world).await;
    let releasing = until(&world, &long_release(&world), is_watched).await;
    let back = run(&world, &rollback(&world)).await;
    assert_eq!(ending(&back), (Some(0), "rolled-back"), "{}", back.stdout);
    assert_eq!(alone(&world), Ok((BLUE, BEFORE.into(), "stable".into())));
    let released = end(releasing).await;
    assert_eq!(ending(&released), (Some(1), "rolled-back"), "{}", released.stdout);
    let seen = load.stop().await;
    assert_eq!(seen.total.failures, 0, "{:?}", seen.failed);
    // Traffic first, in one request; the release wrote nothing after it.
    let expected = [format!("PUT {GREEN}"), format!("PUT {PROFILE}"), format!("PUT {PROFILE}"), format!("DELETE {GREEN}")];
    assert_eq!(changes(&world), expected, "{}", released.stdout);
    // It says who it was.
    for wanted in ["changed the traffic during this run", "actions/runs/99"] {
        assert!(released.summary.contains(wanted), "{wanted} in {}", released.summary);
    }
    assert_eq!(back.outputs["version"], BEFORE);
    assert_eq!(world.commit_statuses("a1b2c3d4e5f60718293a4b5c6d7e8f9001122334").last().unwrap()["state"], "failure");
}

#[tokio::test]
async fn a_rollback_before_the_switch_calls_the_release_off() {
    let world = world().await;
    usual(&world).await;
    let load = people(&world).await;
    let releasing = waiting(&world).await;
    let back = run(&world, &rollback(&world)).await;
    let released = end(releasing).await;
    assert_eq!(ending(&back), (Some(0), "rolled-back"), "{}", back.stdout);
    assert_eq!(ending(&released), (Some(1), "rolled-back"), "{}", released.stdout);
    assert_eq!(alone(&world), Ok((BLUE, BEFORE.into(), "stable".into())));
    let seen = load.stop().await;
    assert_eq!((seen.total.failures, seen.version(NOW).requests), (0, 0), "{:?}", seen.failed);
    // Each removes what it knows of; nobody touches the traffic.
    let (made, after) = (format!("PUT {GREEN}"), format!("DELETE {GREEN}"));
    assert!(changes(&world)[0] == made && changes(&world)[1..].iter().all(|change| *change == after), "{:?}", changes(&world));
    assert!(released.summary.contains("another run took staging over: rollback by octocat"), "{}", released.summary);
}

/// A release that waits for green to be healthy, which it is not.
async fn waiting(world: &World) -> runner::Running {
    world.behave(Who::version(NOW), Behaviour::default().with_health(Health::Failing));
    let spec = merge(world);
    until(world, &RunSpec { config: spec.config.replace("retries: 10", "retries: 10000"), ..spec }, is_probed).await
}

/// Who has the lock, as its newest commit says it.
fn lock(world: &World) -> String {
    let tip = world.git_refs().get("refs/heads/deploy-action-lock/staging").cloned().unwrap_or_default();
    world.commit_message(&tip).unwrap_or_default()
}

/// A rollback that has the lock, cannot reach Azure, and stands still.
async fn begun_rollback(world: &World) -> runner::Running {
    let spec = rollback(world).with("azure-authority-host", "https://localhost:1");
    let back = until(world, &spec, |_| lock(world).contains(r#""command":"rollback""#)).await;
    back.signal("STOP").await.expect("kill");
    back
}

/// The lock is asked before each change: a release that a rollback took over stops, whatever became of the rollback, and
/// whether or not anything moved yet.
#[tokio::test]
async fn a_release_whose_lock_was_taken_over_does_not_switch() {
    for is_done in [true, false] {
        let world = world().await;
        usual(&world).await;
        let releasing = waiting(&world).await;
        let back = if is_done {
            let back = run(&world, &decide(&world, &[("environment", "staging"), ("version", "main-0000000")])).await;
            assert_eq!(ending(&back), (Some(1), "refused"), "{}", back.stdout);
            None
        } else {
            Some(begun_rollback(&world).await)
        };
        world.behave(Who::version(NOW), Behaviour::default());
        let released = end(releasing).await;
        assert_eq!(ending(&released), (Some(1), "rolled-back"), "{}", released.stdout);
        assert_eq!(alone(&world), Ok((BLUE, BEFORE.into(), "stable".into())));
        assert_eq!(changes(&world), [format!("PUT {GREEN}"), format!("DELETE {GREEN}")]);
        for wanted in ["another run took staging over: rollback by octocat", "actions/runs/99", "people never met the new version"] {
            assert!(released.summary.contains(wanted), "{wanted} in {}", released.summary);
        }
        drop(back);
    }
}

/// From the switch on it is the rollback that says where traffic goes: the release marks nothing, and takes nothing away.
#[tokio::test]
async fn a_release_whose_lock_was_taken_over_during_the_watch_changes_nothing_more() {
    let world = world().await;
    usual(&world).await;
    let load = people(&world).await;
    let spec = merge(&world);
    let releasing = until(&world, &RunSpec { config: spec.config.replace("for: 600ms", "for: 3s"), ..spec }, is_watched).await;
    // It stands still until it has lost the lock, so that it is sure to find out at its end.
    releasing.signal("STOP").await.expect("kill");
    let back = begun_rollback(&world).await;
    releasing.signal("CONT").await.expect("kill");
    let released = end(releasing).await;
    drop(back);
    assert_eq!(ending(&released), (Some(1), "rolled-back"), "{}", released.stdout);
    assert!(released.summary.contains("another run took staging over: rollback by octocat"), "{}", released.summary);
    assert_eq!(changes(&world), [format!("PUT {GREEN}"), format!("PUT {PROFILE}")]);
    // The rollback died; the next one does what it was to do.
    let again = run(&world, &rollback(&world).in_run(100)).await;
    let seen = load.stop().await;
    assert_eq!((ending(&again), seen.total.failures), ((Some(0), "rolled-back"), 0), "{}", again.stdout);
    assert_eq!(alone(&world), Ok((BLUE, BEFORE.into(), "stable".into())));
}

#[tokio::test]
async fn after_the_end_a_rollback_is_refused_and_names_the_version_to_deploy() {
    let world = world().await;
    usual(&world).await;
    let load = people(&world).await;
    let released = run(&world, &merge(&world)).await;
    assert_eq!(released.code, Some(0), "{}", released.stdout);
    load.stop().await;
    let before = changes(&world).len();
    let back = run(&world, &rollback(&world)).await;
    assert_eq!((ending(&back), changes(&world).len()), ((Some(1), "refused"), before), "{}", back.stdout);
    let wanted = format!("command: deploy, environment: staging, version: {BEFORE}");
    assert!(back.summary.contains(&wanted), "{wanted} in {}", back.summary);
}

#[tokio::test]
async fn with_nothing_to_go_back_to_a_rollback_says_so() {
    for (staging, says) in [
        (Staging::live(Slot::Blue, BEFORE), "deploy a version by name: command: deploy, environment: staging, version: TAG"),
        (Staging::neither_enabled(BEFORE, NOW), "nobody is sent anywhere in staging"),
    ] {
        let world = world().await;
        world.seed(&staging.with_ttl(1)).await.expect("seeded");
        let back = run(&world, &rollback(&world)).await;
        assert_eq!((ending(&back), changes(&world)), ((Some(1), "refused"), Vec::new()), "{}", back.stdout);
        assert!(back.summary.contains(says), "{says} in {}", back.summary);
    }
}

/// Both run, blue has people: what a release leaves that was killed between its switch back and its end, or a person.
fn both() -> Staging {
    Staging::stale(NOW, BEFORE).with_ttl(1)
}

#[tokio::test]
async fn a_rollback_goes_to_the_version_that_is_named_or_to_none() {
    for (named, is_there) in [(BEFORE, true), ("main-0000000", false), (NOW, false)] {
        let world = world().await;
        found(&world, both()).await;
        let load = people(&world).await;
        let back = run(&world, &decide(&world, &[("environment", "staging"), ("version", named)])).await;
        let seen = load.stop().await;
        assert_eq!(seen.total.failures, 0, "{:?}", seen.failed);
        if is_there {
            assert_eq!(ending(&back), (Some(0), "rolled-back"), "{named}: {}", back.stdout);
            assert_eq!(alone(&world).map(|(instance, version, _)| (instance, version)), Ok((GREEN, BEFORE.into())));
        } else {
            assert_eq!((ending(&back), changes(&world)), ((Some(1), "refused"), Vec::new()), "{named}: {}", back.stdout);
            let says = format!("can go back to {BEFORE}, which still runs, and not to {named}");
            assert!(back.summary.contains(&says), "{says} in {}", back.summary);
            assert_eq!(serving(&world), Ok(BLUE));
        }
    }
}

/// The same question while a release is not at its switch yet: what it would bring is not what can be gone back to.
#[tokio::test]
async fn a_rollback_to_another_version_before_the_switch_is_refused() {
    let world = world().await;
    world.seed(&Staging { green: Some(unproven(NOW)), ..Staging::live(Slot::Blue, BEFORE) }.with_ttl(1)).await.expect("seeded");
    let back = run(&world, &decide(&world, &[("environment", "staging"), ("version", "main-0000000")])).await;
    assert_eq!((ending(&back), changes(&world)), ((Some(1), "refused"), Vec::new()), "{}", back.stdout);
    let back = run(&world, &decide(&world, &[("environment", "staging"), ("version", BEFORE)])).await;
    assert_eq!((ending(&back), alone(&world)), ((Some(0), "rolled-back"), Ok((BLUE, BEFORE.into(), "stable".into()))), "{}", back.stdout);
}

fn unproven(version: &str) -> Runs {
    Runs { role: "canary".into(), ..Runs::stable(version) }
}

/// Invariant 8.
#[tokio::test]
async fn a_dry_run_of_a_rollback_shows_its_plan_and_writes_nothing_anywhere() {
    let world = world().await;
    found(&world, both()).await;
    let back = run(&world, &rollback(&world).with("dry-run", "true")).await;
    assert_eq!(ending(&back), (Some(0), "unchanged"), "{}", back.stdout);
    for wanted in ["rollback", "Switch tm-staging: 100% to green", "Delete aci-staging-blue", BEFORE] {
        assert!(back.stdout.contains(wanted), "{wanted} in {}", back.stdout);
    }
    let writes: Vec<String> = world.requests().iter().filter(|request| request.is_change()).map(Recorded::line).collect();
    assert_eq!(writes, Vec::<String>::new());
}

/// The same of the other decisions: trusting what waits, and making safe what was left half-way.
#[tokio::test]
async fn a_dry_run_of_a_promotion_or_a_resume_shows_its_plan_and_writes_nothing_anywhere() {
    for (command, wanted) in [("promote", "Mark aci-staging-green stable"), ("resume", "Switch tm-staging: 100% to blue")] {
        let world = world().await;
        let both = Staging { blue: Some(Runs::stable(BEFORE)), green: Some(unproven(NOW)), ..Staging::live(Slot::Green, NOW) };
        found(&world, both).await;
        let shown = run(&world, &decide(&world, &[("command", command), ("environment", "staging")]).with("dry-run", "true")).await;
        assert_eq!(shown.code, Some(0), "{command}: {}", shown.stdout);
        assert!(shown.stdout.contains(wanted), "{command}: {wanted} in {}", shown.stdout);
        let writes: Vec<String> = world.requests().iter().filter(|request| request.is_change()).map(Recorded::line).collect();
        assert_eq!(writes, Vec::<String>::new(), "{command}");
    }
}

/// The step's post-entrypoint runs after every step: it looks after what the step's main process began, and after nothing else.
#[tokio::test]
async fn the_post_step_of_a_step_that_began_nothing_does_nothing() {
    let world = world().await;
    let both = Staging { blue: Some(Runs::stable(BEFORE)), green: Some(unproven(NOW)), ..Staging::live(Slot::Green, NOW) };
    found(&world, both).await;
    for inputs in
        [&[("command", "status"), ("environment", "staging")][..], &[("command", "plan"), ("environment", "staging"), ("version", NOW)]]
    {
        let spec = decide(&world, inputs);
        world.push_image(NOW);
        let done = run(&world, &spec).await;
        assert_eq!(done.code, Some(0), "{inputs:?}: {}", done.stdout);
        let requests = world.requests().len();
        let post = runner::post(&world, binary(), &spec, &done.state).await.expect("the post step");
        assert_eq!((post.code, world.requests().len()), (Some(0), requests), "{inputs:?}: {}", post.stdout);
    }
    assert_eq!(changes(&world), Vec::<String>::new());
    // At a terminal, as a failure that could not be taken back advises, `resume` looks and finishes.
    let at_terminal = RunSpec { event: String::new(), args: vec!["resume".into()], ..decide(&world, &[]) };
    let resumed = run(&world, &at_terminal).await;
    assert_eq!((resumed.code, alone(&world)), (Some(0), Ok((BLUE, BEFORE.into(), "stable".into()))), "{}", resumed.stdout);
}

#[tokio::test]
async fn nothing_is_promoted_where_nothing_is_held() {
    for staging in [Staging::live(Slot::Blue, BEFORE), both()] {
        let world = world().await;
        world.seed(&staging).await.expect("seeded");
        let promoted = run(&world, &decide(&world, &[("command", "promote"), ("environment", "staging")])).await;
        assert_eq!((ending(&promoted), changes(&world)), ((Some(1), "refused"), Vec::new()), "{}", promoted.stdout);
        assert!(promoted.summary.contains("no rollout is held in staging"), "{}", promoted.summary);
    }
}

#[tokio::test]
async fn a_held_release_can_be_rolled_back() {
    let world = world().await;
    usual(&world).await;
    let load = people(&world).await;
    world.fault(Fault::MetricsDown).await;
    let released = run(&world, &held_without_data(merge(&world))).await;
    assert_eq!(ending(&released), (Some(3), "held"), "{}", released.stdout);
    let back = run(&world, &rollback(&world)).await;
    assert_eq!(ending(&back), (Some(0), "rolled-back"), "{}", back.stdout);
    assert_eq!(alone(&world), Ok((BLUE, BEFORE.into(), "stable".into())));
    let seen = load.stop().await;
    assert_eq!(seen.total.failures, 0, "{:?}", seen.failed);
    assert!(tags(&world, GREEN).is_null() && live(&world) == ["blue-endpoint"] && world.container_groups() == [format!("{GROUP}/{BLUE}")]);
}

/// What `status` prints of staging: as text, and as JSON.
async fn status(world: &World) -> (String, serde_json::Value) {
    let spec = |args: &[&str]| RunSpec { args: args.iter().map(|arg| (*arg).to_owned()).collect(), ..merge(world) }.in_run(55);
    let before = world.requests().len();
    let text = run(world, &spec(&["status", "staging"])).await;
    let json = run(world, &spec(&["status", "staging", "--output-format", "json"])).await;
    assert_eq!((text.code, json.code), (Some(0), Some(0)), "{}{}", text.stdout, json.stdout);
    // A release that is at its watch meanwhile keeps its message in Slack up to date, and writes nothing else.
    let of_it = |request: &&Recorded| request.is_change() && request.service != "slack";
    let writes: Vec<String> = world.requests()[before..].iter().filter(of_it).map(Recorded::line).collect();
    assert_eq!(writes, Vec::<String>::new());
    let printed: String = json.stdout.lines().filter(|line| !line.starts_with("::")).collect();
    let read: serde_json::Value = serde_json::from_str(&printed).unwrap_or_else(|error| panic!("{error}: {printed}"));
    (text.stdout, read[0].clone())
}

#[track_caller]
fn says(text: &str, wanted: &[&str]) {
    for wanted in wanted {
        assert!(text.contains(wanted), "{wanted} in {text}");
    }
}

#[tokio::test]
async fn status_shows_who_serves_who_is_at_work_and_what_is_held() {
    let world = world().await;
    seed(&world).await;
    let (text, json) = status(&world).await;
    says(
        &text,
        &[
            "staging (blue-green, staging-nextgen)",
            "tm-staging: blue-endpoint on, weight 100 (Online), green-endpoint off",
            "live: blue 100%",
            "blue: stable since 2026-11-23T10:00:00Z",
            "at work: nobody",
        ],
    );
    assert_eq!((&json["live"], &json["lock"]["state"]), (&serde_json::json!(["blue"]), &"free".into()), "{json}");
    let endpoint = &json["profile"]["endpoints"][0];
    assert_eq!((&endpoint["slot"], &endpoint["share"], &endpoint["monitor"]), (&"blue".into(), &"100%".into(), &"online".into()), "{json}");

    // While a release is at its watch.
    usual(&world).await;
    let load = people(&world).await;
    let releasing = until(&world, &long_release(&world), is_watched).await;
    let (text, json) = status(&world).await;
    says(&text, &["live: green 100%", "green: has not proved itself yet", "at work: deploy by octocat since", "actions/runs/7313377331"]);
    let standing: Vec<&str> = json["instances"].as_array().unwrap().iter().map(|one| one["standing"].as_str().unwrap()).collect();
    assert_eq!((standing, &json["lock"]["run"]), (vec!["stable", "unproven"], &"underway".into()), "{json}");

    // When its runner has died.
    releasing.signal("KILL").await.expect("kill");
    end(releasing).await;
    let (text, json) = status(&world).await;
    says(&text, &["at work: nobody; a run that is over did not give the lock back: deploy by octocat"]);
    assert_eq!((&json["lock"]["state"], &json["lock"]["run"]), (&"held".into(), &"over".into()), "{json}");

    // When the same push again found too little to trust it on.
    world.fault(Fault::MetricsDown).await;
    let held = run(&world, &held_without_data(RunSpec { attempt: 2, ..merge(&world) })).await;
    assert_eq!(ending(&held), (Some(3), "held"), "{}", held.stdout);
    let (text, json) = status(&world).await;
    says(&text, &["green: held, a person must decide (promote or rollback): aci-staging-green was watched to the end", "at work: nobody"]);
    assert_eq!(json["instances"][1]["standing"], "held", "{json}");
    load.stop().await;
}

#[tokio::test]
async fn status_shows_odd_worlds_as_they_are() {
    for (staging, wanted, live) in [
        (Staging::empty(), ["tm-staging: there is no such profile", "nothing runs here"], serde_json::json!([])),
        (Staging::neither_enabled(BEFORE, NOW), ["live: nobody is sent anywhere", "green: stable since"], serde_json::json!([])),
        (Staging::both_enabled(BEFORE, NOW), ["live: blue 50%, green 50%", "blue: stable since"], serde_json::json!(["blue", "green"])),
    ] {
        let world = world().await;
        world.seed(&staging).await.expect("seeded");
        world.fault(Fault::GithubDown).await;
        let (text, json) = status(&world).await;
        says(&text, &wanted);
        says(&text, &["at work: not known ("]);
        assert_eq!((&json["live"], &json["lock"]["state"]), (&live, &"unknown".into()), "{json}");
    }
}
