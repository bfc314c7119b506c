//! A person decides about production, and looks at it: what `status` shows of every state that a release can be in.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on says so")]

mod common;
#[path = "common/production.rs"]
mod production;

use std::time::Duration;

use common::{binary, run, world};
use production::{BEFORE, CANARY, NOW, STABLE, decide, found, people, push_tag, usual, without_evidence};
use sandbox::{
    Behaviour, Fault, Finished, Recorded, RunSpec, Who, World, runner,
    seed::{Member, Production, Reached},
};
use serde_json::Value;

fn ending(done: &Finished) -> (Option<i32>, &str) {
    (done.code, done.outputs.get("outcome").map_or("", String::as_str))
}

/// What `status` shows of production: as text, as JSON, and in the job summary; it writes nothing.
async fn status(world: &World) -> (String, Value, String) {
    let spec = |args: &[&str]| RunSpec { args: args.iter().map(|arg| (*arg).to_owned()).collect(), ..push_tag(world) }.in_run(55);
    let before = world.requests().len();
    let text = run(world, &spec(&["status", "prod"])).await;
    let json = run(world, &spec(&["status", "prod", "--output-format", "json"])).await;
    assert_eq!((text.code, json.code), (Some(0), Some(0)), "{}{}", text.stdout, json.stdout);
    // A release that is under way meanwhile keeps its message in Slack up to date.
    let of_it = |request: &&Recorded| request.is_change() && request.service != "slack";
    let writes: Vec<String> = world.requests()[before..].iter().filter(of_it).map(Recorded::line).collect();
    assert_eq!(writes, Vec::<String>::new());
    let printed: String = json.stdout.lines().filter(|line| !line.starts_with("::")).collect();
    let read: Value = serde_json::from_str(&printed).unwrap_or_else(|error| panic!("{error}: {printed}"));
    (text.stdout, read[0].clone(), text.summary)
}

#[track_caller]
fn says(text: &str, wanted: &[&str]) {
    for wanted in wanted {
        assert!(text.contains(wanted), "{wanted} in {text}");
    }
}

/// Of each instance: name, part, share and standing.
fn told(json: &Value) -> Vec<[String; 4]> {
    let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    let instances = json["instances"].as_array().expect("instances");
    instances.iter().map(|one| [text(&one["name"]), text(&one["part"]), text(&one["share"]), text(&one["standing"])]).collect()
}

fn row(name: &str, part: &str, share: &str, standing: &str) -> [String; 4] {
    [name, part, share, standing].map(str::to_owned)
}

#[tokio::test]
async fn status_shows_parts_shares_versions_and_who_is_at_work() {
    let world = world().await;
    usual(&world).await;
    let (text, json, summary) = status(&world).await;
    let live = "prod-stable-1 50%, prod-stable-2 50%";
    says(
        &text,
        &[
            "prod (canary, prod-nextgen)",
            "tm-prod: prod-stable-1 on, weight 1",
            "prod-stable-3 off",
            &format!("live: {live}"),
            &format!("version {BEFORE}"),
            "stable: stable since 2026-11-23T10:00:00Z",
            "standby: stable since",
            "at work: nobody",
        ],
    );
    let expected = [
        row("prod-stable-1", "stable", "50%", "stable"),
        row("prod-stable-2", "stable", "50%", "stable"),
        row("prod-stable-3", "standby", "0%", "stable"),
    ];
    assert_eq!((told(&json), &json["left"], &json["lock"]["state"]), (expected.to_vec(), &Value::Null, &"free".into()), "{json}");
    assert_eq!(json["live"], serde_json::json!(["prod-stable-1", "prod-stable-2"]));
    says(
        &summary,
        &[
            "## prod (canary)",
            &format!("People are sent to: {live}"),
            &format!("| <code>prod-stable-3</code> | standby | 0% | <code>{BEFORE}</code> | stable since 2026-11-23T10:00:00Z |"),
            "- at work: nobody",
        ],
    );
}

#[tokio::test]
async fn status_shows_a_canary_and_the_run_that_is_at_it_and_what_it_left_when_it_died() {
    let world = world().await;
    usual(&world).await;
    let load = people(&world).await;
    let mut running = runner::spawn(&world, binary(), &push_tag(&world)).expect("started");
    tokio::select! {
        () = world.until_profile(production::GROUP, production::PROFILE, |profile| production::canary_has(profile, 25)) => {}
        ended = running.ended() => ended.expect("its end"),
    }
    // It stands still, so that what is looked at stays as it is.
    running.signal("STOP").await.expect("kill");
    let (text, json, _) = status(&world).await;
    says(&text, &["prod-canary-1 25%", "canary: has not proved itself yet", "half-way", "at work: deploy by octocat since"]);
    assert_eq!((&told(&json)[0], &json["lock"]["run"]), (&row(CANARY, "canary", "25%", "unproven"), &"underway".into()), "{json}");
    running.signal("KILL").await.expect("kill");
    running.finish(runner::Echo::Off).await.expect("its end");
    load.stop().await;
    let (text, json, summary) = status(&world).await;
    let over = "at work: nobody; a run that is over did not give the lock back: deploy by octocat";
    says(&text, &[over]);
    says(&summary, &["a run that is over did not give the lock back", "half-way: a version that has not passed its phases"]);
    assert_eq!((&json["lock"]["run"], json["left"].is_string()), (&"over".into(), true), "{json}");
}

/// Phase 2: "Issues detected → Rollback to 25%", where a person decides.
#[tokio::test]
async fn status_shows_what_is_held_and_why() {
    let world = world().await;
    usual(&world).await;
    let load = people(&world).await;
    let mut running = runner::spawn(&world, binary(), &push_tag(&world)).expect("started");
    tokio::select! {
        () = world.until_profile(production::GROUP, production::PROFILE, |profile| production::canary_has(profile, 50)) => {}
        ended = running.ended() => ended.expect("its end"),
    }
    world.behave(Who::version(NOW), Behaviour::default().taking(Duration::from_millis(800)));
    let held = running.finish(runner::Echo::Off).await.expect("its end");
    assert_eq!(ending(&held), (Some(3), "held"), "{}", held.stdout);
    let (text, json, summary) = status(&world).await;
    load.stop().await;
    says(&text, &["prod-canary-1 25%", "canary: held, a person must decide (promote or rollback): ", "at work: nobody"]);
    says(&summary, &["held, a person must decide (promote or rollback): "]);
    assert_eq!(told(&json)[0], row(CANARY, "canary", "25%", "held"), "{json}");
}

#[tokio::test]
async fn status_shows_a_rollback_after_a_release() {
    let world = world().await;
    usual(&world).await;
    let released = run(&world, &without_evidence(push_tag(&world))).await;
    assert_eq!(ending(&released), (Some(0), "healthy"), "{}", released.stdout);
    let back = run(&world, &without_evidence(decide(&world, &[]))).await;
    assert_eq!(ending(&back), (Some(0), "rolled-back"), "{}", back.stdout);
    let (text, json, summary) = status(&world).await;
    says(&text, &[&format!("; people were taken back to it from {NOW}"), &format!("version {BEFORE}")]);
    says(&summary, &[&format!("taken back to from <code>{NOW}</code>")]);
    let names: Vec<String> = told(&json).into_iter().map(|[name, ..]| name).collect();
    assert_eq!((names, told(&json)[0][3].as_str()), (STABLE.map(str::to_owned).to_vec(), "stable"), "{json}");
}

#[tokio::test]
async fn status_shows_odd_worlds_as_they_are() {
    let stranger = Member { name: "prod-blog".into(), ..Member::stable(1, BEFORE) };
    for (production, wanted, live) in [
        (Production::empty(), ["tm-prod: there is no such profile", "nothing runs here"], serde_json::json!([])),
        (Production::none_enabled(BEFORE), ["live: nobody is sent anywhere", "stable: stable since"], serde_json::json!([])),
        (Production::halfway(Reached::All, BEFORE, NOW), ["live: prod-canary-1 100%", "half-way"], serde_json::json!([CANARY])),
        (
            Production::single(BEFORE).with(stranger.weighing(1000)),
            ["prod-blog, which is none of ours, 50%", "nobody"],
            serde_json::json!([STABLE[0]]),
        ),
    ] {
        let world = world().await;
        found(&world, production).await;
        let (text, json, _) = status(&world).await;
        says(&text, &wanted);
        assert_eq!(json["live"], live, "{json}");
        world.fault(Fault::GithubDown).await;
        let (text, json, _) = status(&world).await;
        says(&text, &["at work: not known ("]);
        assert_eq!(json["lock"]["state"], "unknown", "{json}");
    }
}
