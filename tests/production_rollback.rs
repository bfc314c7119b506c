//! Where a rollback of production goes: to the version before, or to one that is named and ran there; to no other. Nothing is
//! touched where it is refused, and the versions that one could go to are named.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on says so")]

mod common;
#[path = "common/production.rs"]
mod production;

use common::{changes, run, world};
use production::{BEFORE, GROUP, NOW, STABLE, all_of, decide, found, some_people, stable_shares, tags, versions, without_evidence};
use sandbox::{Fault, Finished, World, seed::Production};

/// The commit that the version before came from.
const SHA_BEFORE: &str = "0f1e2d3c4b5a69788796a5b4c3d2e1f001234567";
/// Further versions that were released before, the newest first.
const OLDER: [&str; 2] = ["v0.9.4", "v0.9.3"];

fn ending(done: &Finished) -> (Option<i32>, &str) {
    (done.code, done.outputs.get("outcome").map_or("", String::as_str))
}

/// A release is complete: the new version runs everywhere, and its instances say what ran before.
async fn released(world: &World) {
    world.push_image(BEFORE);
    found(world, Production::stable(NOW)).await;
    for name in STABLE {
        let mut body = world.written(GROUP, name).expect("an instance");
        body["tags"]["deploy-action-previous"] = BEFORE.into();
        world.write_group(GROUP, name, body);
    }
    world.settled().await;
}

/// The deployments that GitHub knows, the oldest first; the version in between failed.
fn deployed(world: &World) {
    for (version, states) in [
        (OLDER[1], &["in_progress", "success", "inactive"][..]),
        ("v0.9.4-broken", &["in_progress", "failure"]),
        (OLDER[0], &["in_progress", "success", "inactive"]),
        (BEFORE, &["in_progress", "success", "inactive"]),
        (NOW, &["in_progress", "success"]),
    ] {
        let digest = world.push_image(version);
        world.deployed("prod", version, Some(&digest), SHA_BEFORE, states);
    }
}

#[track_caller]
fn refused(world: &World, done: &Finished, says: &[&str]) {
    assert_eq!((ending(done), changes(world)), ((Some(1), "refused"), Vec::new()), "{}", done.stdout);
    for wanted in says {
        assert!(done.summary.contains(wanted), "{wanted} in {}", done.summary);
    }
}

#[tokio::test]
async fn a_version_that_never_ran_or_is_gone_or_runs_already_is_refused_with_those_to_choose_from() {
    let world = world().await;
    released(&world).await;
    deployed(&world);
    let choices = format!("it can go back to (input version): {BEFORE}, {}, {}", OLDER[0], OLDER[1]);
    world.push_image("v0.1.0");
    let back = run(&world, &decide(&world, &[("version", "v0.1.0")])).await;
    refused(&world, &back, &["v0.1.0 was never deployed in prod with success", &choices]);
    let back = run(&world, &decide(&world, &[("version", "v0.9.4-broken")])).await;
    refused(&world, &back, &["v0.9.4-broken was never deployed in prod with success", &choices]);
    let back = run(&world, &decide(&world, &[("version", NOW)])).await;
    refused(&world, &back, &[&format!("prod runs {NOW} already"), &choices]);
    world.remove_image(OLDER[0]);
    let back = run(&world, &decide(&world, &[("version", OLDER[0])])).await;
    let others = format!("(input version): {BEFORE}, {}\n", OLDER[1]);
    refused(&world, &back, &[&format!("prod cannot go back to {}: the image", OLDER[0]), "does not exist", &others]);
}

#[tokio::test]
async fn without_a_version_before_those_that_were_deployed_are_named() {
    let world = world().await;
    found(&world, Production::stable(NOW)).await;
    let back = run(&world, &decide(&world, &[])).await;
    refused(&world, &back, &["no instance of prod says which version ran before", "no other version is known to have run here"]);
    deployed(&world);
    let back = run(&world, &decide(&world, &[])).await;
    refused(&world, &back, &[&format!("(input version): {BEFORE}, {}, {}", OLDER[0], OLDER[1])]);
}

/// The version before is on the instances themselves: nothing that GitHub says is needed to go back to it.
#[tokio::test]
async fn without_github_only_what_the_instances_say_is_gone_back_to() {
    let world = world().await;
    released(&world).await;
    deployed(&world);
    world.fault(Fault::GithubDown).await;
    let back = run(&world, &decide(&world, &[("version", OLDER[0])])).await;
    let choice = format!("(input version): {BEFORE}\n");
    refused(&world, &back, &[&format!("nothing says that {} was ever deployed in prod", OLDER[0]), &choice, "GitHub's API: HTTP 503"]);
    let load = some_people(&world).await;
    let back = run(&world, &without_evidence(decide(&world, &[]))).await;
    let seen = load.stop().await;
    assert_eq!((ending(&back), versions(&world)), ((Some(0), "rolled-back"), all_of(BEFORE)), "{}", back.stdout);
    assert_eq!((production::shares(&world), seen.total.failures), (stable_shares(), 0), "{:?}", seen.failed);
}

/// An older version by name, as the digest that ran then, although its tag was moved since; its commit comes back with it.
#[tokio::test]
async fn an_older_version_comes_back_as_what_ran_then_with_its_commit() {
    let world = world().await;
    released(&world).await;
    deployed(&world);
    let digest = world.push_image(OLDER[0]);
    assert_eq!(world.tag_image(OLDER[0], "kept"), digest);
    assert_ne!(world.tag_image(NOW, OLDER[0]), digest);
    let load = some_people(&world).await;
    let back = run(&world, &without_evidence(decide(&world, &[("version", OLDER[0])]))).await;
    let seen = load.stop().await;
    assert_eq!((ending(&back), versions(&world)), ((Some(0), "rolled-back"), all_of(OLDER[0])), "{}", back.stdout);
    assert_eq!(seen.total.failures, 0, "{:?}", seen.failed);
    for name in STABLE {
        let tags = tags(&world, name);
        assert_eq!((&tags["deploy-action-digest"], &tags["deploy-action-sha"]), (&digest.as_str().into(), &SHA_BEFORE.into()), "{tags}");
    }
    assert!(back.summary.contains("does not stand for what ran in prod any more"), "{}", back.summary);
    // GitHub shows the rollback as a deployment of that commit, which a later rollback finds.
    let (deployment, states) = world.deployments().pop().expect("a deployment");
    assert_eq!((&deployment["sha"], &deployment["payload"]["digest"]), (&SHA_BEFORE.into(), &digest.as_str().into()), "{deployment}");
    assert_eq!((&deployment["payload"]["version"], states), (&OLDER[0].into(), vec!["in_progress".to_owned(), "success".to_owned()]));
}

/// While the stable instances still run the version before, a registry that is down keeps nobody from it.
#[tokio::test]
async fn what_still_runs_is_gone_back_to_without_the_registry() {
    let world = world().await;
    found(&world, Production::halfway(sandbox::seed::Reached::All, BEFORE, NOW)).await;
    let mut body = world.written(GROUP, production::CANARY).expect("the canary");
    body["tags"]["deploy-action-promoted"] = "2026-11-23T10:00:00Z".into();
    world.write_group(GROUP, production::CANARY, body);
    world.settled().await;
    world.fault(Fault::RegistryDown).await;
    let back = run(&world, &without_evidence(decide(&world, &[]))).await;
    assert_eq!((ending(&back), versions(&world)), ((Some(0), "rolled-back"), all_of(BEFORE)), "{}", back.stdout);
    assert!(!world.requests().iter().any(|request| request.path.contains("/manifests/")));
}

fn writes(world: &World) -> Vec<String> {
    world.requests().iter().filter(|request| request.is_change()).map(sandbox::Recorded::line).collect()
}

/// The checklist's "Test rollback procedure".
#[tokio::test]
async fn a_dry_run_looks_at_everything_a_rollback_needs_and_writes_nothing_anywhere() {
    let world = world().await;
    released(&world).await;
    deployed(&world);
    let shown = run(&world, &decide(&world, &[]).with("dry-run", "true")).await;
    assert_eq!((ending(&shown), writes(&world)), ((Some(0), "unchanged"), Vec::new()), "{}", shown.stdout);
    for wanted in [
        &format!("Plan for prod (canary): {NOW} → {BEFORE}"),
        "Create prod-old-1",
        "At most ",
        "✔ the right to Microsoft.ContainerInstance/containerGroups/delete",
        "✔ the right to Microsoft.ContainerInstance/containerGroups/write",
        "✔ the right to Microsoft.Network/trafficManagerProfiles/write",
        "at its registry",
    ] {
        assert!(shown.stdout.contains(wanted), "{wanted} in {}", shown.stdout);
    }
    let json = run(&world, &decide(&world, &[]).with("dry-run", "true").with("output-format", "json")).await;
    let printed: String = json.stdout.lines().filter(|line| !line.starts_with("::")).collect();
    let read: serde_json::Value = serde_json::from_str(&printed).unwrap_or_else(|error| panic!("{error}: {printed}"));
    let found: Vec<&str> = read["needs"].as_array().expect("needs").iter().map(|need| need["found"].as_str().unwrap()).collect();
    assert_eq!((found, writes(&world)), (vec!["fine"; 4], Vec::new()), "{printed}");
}

/// What a real rollback would fail at fails the rehearsal.
#[tokio::test]
async fn a_dry_run_fails_where_a_rollback_would() {
    let world = world().await;
    released(&world).await;
    deployed(&world);
    world.fault(Fault::Forbidden).await;
    let shown = run(&world, &decide(&world, &[]).with("dry-run", "true")).await;
    assert_eq!((ending(&shown), writes(&world)), ((Some(1), "refused"), Vec::new()), "{}", shown.stdout);
    assert!(shown.stdout.contains("✘ the right to Microsoft.ContainerInstance/containerGroups/delete"), "{}", shown.stdout);
    assert!(shown.summary.contains("the login to Azure may not Microsoft.ContainerInstance/containerGroups/delete"), "{}", shown.summary);
}

/// Where the version before still runs, its health is asked for.
#[tokio::test]
async fn a_dry_run_asks_what_still_runs_for_its_health() {
    let world = world().await;
    found(&world, Production::halfway(sandbox::seed::Reached::All, BEFORE, NOW)).await;
    let mut body = world.written(GROUP, production::CANARY).expect("the canary");
    body["tags"]["deploy-action-promoted"] = "2026-11-23T10:00:00Z".into();
    world.write_group(GROUP, production::CANARY, body);
    world.settled().await;
    let shown = run(&world, &decide(&world, &[]).with("dry-run", "true")).await;
    assert_eq!((ending(&shown), writes(&world)), ((Some(0), "unchanged"), Vec::new()), "{}", shown.stdout);
    assert!(shown.stdout.contains("✔ prod-stable-1 answers /health"), "{}", shown.stdout);
    world.behave(sandbox::Who::version(BEFORE), sandbox::Behaviour::default().with_health(sandbox::Health::Failing));
    let shown = run(&world, &decide(&world, &[]).with("dry-run", "true")).await;
    assert_eq!((ending(&shown), writes(&world)), ((Some(1), "refused"), Vec::new()), "{}", shown.stdout);
    assert!(shown.summary.contains("prod-stable-1, which a rollback would go to, is not healthy"), "{}", shown.summary);
}

/// What the status page showed of its incident, in order; the maintenance that a release is, is not one.
fn page(world: &World) -> Vec<String> {
    let incidents: Vec<_> = world.status_page_incidents().into_iter().filter(|incident| incident["impact"] != "maintenance").collect();
    assert!(incidents.len() <= 1, "{incidents:?}");
    let updates = incidents.first().and_then(|incident| incident["incident_updates"].as_array().cloned()).unwrap_or_default();
    updates.iter().rev().map(|update| update["status"].as_str().unwrap_or_default().to_owned()).collect()
}

fn resolved_told(world: &World) -> usize {
    world.slack_messages_in("#nextgen-incidents").iter().filter(|message| message.to_string().contains("Incident resolved")).count()
}

/// Manual Rollback, steps 5 and 6: "Update status page", "Alert team: Incident resolved", where nobody had been called before.
#[tokio::test]
async fn a_manual_rollback_updates_the_status_page_and_tells_the_team() {
    let world = world().await;
    released(&world).await;
    deployed(&world);
    let load = some_people(&world).await;
    let back = run(&world, &without_evidence(decide(&world, &[]))).await;
    let seen = load.stop().await;
    assert_eq!((ending(&back), seen.total.failures), ((Some(0), "rolled-back"), 0), "{}", back.stdout);
    // 1 to 4: the version before was tried before anybody was sent to it, and the public address answers from it.
    let done = changes(&world);
    let (made, moved) = (done.iter().position(|change| change == "PUT prod-old-1"), done.iter().position(|change| change == "PUT tm-prod"));
    assert!(made.is_some() && made < moved, "{done:?}");
    assert_eq!((versions(&world), page(&world)), (all_of(BEFORE), vec!["monitoring".to_owned(), "resolved".to_owned()]));
    assert_eq!(resolved_told(&world), 1, "{:?}", world.slack_messages_in("#nextgen-incidents"));
    assert!(back.summary.contains("status page: resolved"), "{}", back.summary);
    // Pressed once more it changes nothing, and says nothing more to customers.
    let again = run(&world, &without_evidence(decide(&world, &[])).in_run(79)).await;
    assert_eq!(again.code, Some(0), "{}", again.stdout);
    assert_eq!(page(&world).len(), 2, "{:?}", page(&world));
}

/// The same where a canary is held and people were called: the alert is acknowledged when the rollback begins, and resolved.
#[tokio::test]
async fn a_manual_rollback_of_what_is_held_resolves_what_is_open() {
    let world = world().await;
    production::usual(&world).await;
    let load = production::people(&world).await;
    let mut running = sandbox::runner::spawn(&world, common::binary(), &production::push_tag(&world)).expect("started");
    tokio::select! {
        () = world.until_profile(GROUP, production::PROFILE, |profile| production::canary_has(profile, 50)) => {}
        ended = running.ended() => ended.expect("its end"),
    }
    world.behave(sandbox::Who::version(NOW), sandbox::Behaviour::default().taking(std::time::Duration::from_millis(800)));
    let held = running.finish(sandbox::runner::Echo::Off).await.expect("its end");
    assert_eq!(ending(&held), (Some(3), "held"), "{}", held.stdout);
    assert_eq!(page(&world).last().map(String::as_str), Some("identified"), "{:?}", page(&world));
    let back = run(&world, &decide(&world, &[])).await;
    load.stop().await;
    assert_eq!(ending(&back), (Some(0), "rolled-back"), "{}", back.stdout);
    assert_eq!((page(&world).last().map(String::as_str), resolved_told(&world)), (Some("resolved"), 1), "{:?}", page(&world));
    // Nothing on the page is left open.
    let left: Vec<String> = world.status_page_incidents().iter().map(|incident| incident["status"].to_string()).collect();
    assert!(left.iter().all(|status| status.contains("resolved") || status.contains("completed")), "{left:?}");
    let alerts = world.pagerduty_incidents();
    let actions: Vec<&str> = alerts.iter().flat_map(|alert| &alert.events).filter_map(|event| event["event_action"].as_str()).collect();
    assert_eq!((alerts.len(), &actions[actions.len() - 2..]), (1, &["acknowledge", "resolve"][..]), "{actions:?}");
    for wanted in ["PagerDuty: acknowledged, resolved", "status page: resolved"] {
        assert!(back.summary.contains(wanted), "{wanted} in {}", back.summary);
    }
}
