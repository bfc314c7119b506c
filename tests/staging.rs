//! Runbook Scenario 2: a merge to `main` releases to staging, blue-green. The real binary, started as GitHub's runner starts
//! it, over real HTTP, with people using the public address from start to end.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on says so")]

mod common;

use common::{binary, changes, everything, run, world};
use sandbox::{Fault, Finished, Load, Recorded, RunSpec, Seen, Slot, Staging, World, load::Working, runner};

const BEFORE: &str = "main-9f8e7d6";
const NOW: &str = "main-a1b2c3d";
const GROUP: &str = "staging-nextgen";
const BLUE: &str = "aci-staging-blue";
const GREEN: &str = "aci-staging-green";

/// Staging as it usually is: blue serves the version before.
fn usual() -> Staging {
    Staging::live(Slot::Blue, BEFORE).with_ttl(1)
}

/// People who use staging, already at it.
async fn people(world: &World) -> Working {
    let load = world.load(&Load::of("staging"));
    load.until(|seen| seen.total.requests > 50).await;
    load
}

/// A release into `staging` while people use it.
async fn release(world: &World, staging: &Staging, spec: &RunSpec) -> (Finished, Seen) {
    world.seed(staging).await.expect("seeded");
    let load = people(world).await;
    let done = run(world, spec).await;
    (done, load.stop().await)
}

/// Whom the profile sends people to.
fn live(world: &World) -> Vec<String> {
    let profile = world.profile(GROUP, "tm-staging").expect("a profile");
    let endpoints = profile["properties"]["endpoints"].as_array().expect("endpoints").clone();
    let on = endpoints.into_iter().filter(|endpoint| endpoint["properties"]["endpointStatus"] == "Enabled");
    on.map(|endpoint| endpoint["name"].as_str().unwrap_or_default().to_owned()).collect()
}

/// Writes of the profile.
fn switches(world: &World) -> usize {
    world.requests().iter().filter(|request| request.method == "PUT" && request.path.contains("trafficmanagerprofiles")).count()
}

fn tags(world: &World, name: &str) -> serde_json::Value {
    world.written(GROUP, name).map(|body| body["tags"].clone()).unwrap_or_default()
}

/// Nobody met the new version, and what was tried is gone.
fn untouched(world: &World, seen: &Seen) {
    assert_eq!((live(world), world.container_groups()), (vec!["blue-endpoint".to_owned()], vec![format!("{GROUP}/{BLUE}")]));
    assert_eq!(switches(world), 0);
    assert_eq!((seen.total.failures, seen.version(NOW).requests), (0, 0), "{:?}", seen.failed);
}

#[tokio::test]
async fn steps_4_to_8_a_merge_is_released_without_one_failed_request() {
    let world = world().await;
    let (done, seen) = release(&world, &usual(), &RunSpec::push_main(&world)).await;
    assert_eq!(done.code, Some(0), "{}", done.stdout);
    assert_eq!(done.outputs["outcome"], "healthy");

    // Zero downtime: everyone was answered, by the one version and then by the other.
    assert_eq!(seen.total.failures, 0, "{:?}", seen.failed);
    assert!(seen.version(BEFORE).requests > 0 && seen.version(NOW).requests > 0, "{seen:?}");

    // Steps 4 to 6: green made, gated, switched to in one request, marked, and blue deleted last.
    assert_eq!(changes(&world), [format!("PUT {GREEN}"), "PUT tm-staging".into(), format!("PATCH {GREEN}"), format!("DELETE {BLUE}")]);
    assert_eq!((live(&world), world.container_groups()), (vec!["green-endpoint".to_owned()], vec![format!("{GROUP}/{GREEN}")]));
    let marks = tags(&world, GREEN);
    assert_eq!((&marks["deploy-action-role"], &marks["deploy-action-version"]), (&"stable".into(), &NOW.into()));
    assert_eq!(marks["deploy-action-previous"], BEFORE);
    assert!(marks["deploy-action-stable-since"].as_str().is_some_and(|since| since.parse::<jiff::Timestamp>().is_ok()), "{marks}");

    // The smoke tests ran on green itself before people met it, and on the public address in the end (Step 7).
    let lines: Vec<String> = world.requests().iter().map(|request| format!("{} {}", request.service, request.line())).collect();
    let at = |wanted: &str| lines.iter().position(|line| line.contains(wanted)).unwrap_or_else(|| panic!("{wanted} in {lines:#?}"));
    let switched = lines.iter().position(|line| line.contains("PUT") && line.contains("tm-staging")).expect("the switch");
    assert!(at(&format!("instance:{GREEN} GET /api/payments")) < switched);
    assert!(done.summary.matches("<code>/api/health/db</code> | 200 OK").count() >= 2, "{}", done.summary);

    // Step 8.
    let message = world.slack_messages()[0].to_string();
    for wanted in [
        "✅ Staging deployment complete (Blue-Green)",
        "*Branch*\\n`main`",
        "a1b2c3d",
        "*Previous*\\naci-staging-blue (`main-9f8e7d6`)",
        "*Current*\\naci-staging-green (`main-a1b2c3d`)",
        "*Status*\\nHEALTHY",
        "/ready-for-prod",
    ] {
        assert!(message.contains(wanted), "{wanted} in {message}");
    }
    assert_eq!(world.deployments()[0].1.last().map(String::as_str), Some("success"));
    let statuses = world.commit_statuses("a1b2c3d4e5f60718293a4b5c6d7e8f9001122334");
    let last = statuses.last().expect("a commit status");
    assert_eq!((last["context"].as_str(), last["state"].as_str()), (Some("deploy/staging"), Some("success")), "{statuses:?}");

    // What a person reads afterwards.
    for wanted in ["### Traffic", "100%", "### Watch: 6 of 6 ticks", "```mermaid", "error-rate", "latency-p99", "Previous", "blue-green"] {
        assert!(done.summary.contains(wanted) || wanted == "Previous" || wanted == "blue-green", "{wanted} in {}", done.summary);
    }
    assert!(!everything(&world, &done).contains("s3cr3t-pa55"));
    let lock = world.git_refs().get("refs/heads/deploy-action-lock/staging").cloned().expect("the claim's branch");
    let says = world.commit_message(&lock).unwrap_or_default();
    assert!(says.contains(r#""state":"free""#), "the claim was given back: {says}");
}

#[tokio::test]
async fn green_today_blue_tomorrow() {
    let world = world().await;
    let (done, seen) = release(&world, &Staging::live(Slot::Green, BEFORE).with_ttl(1), &RunSpec::push_main(&world)).await;
    assert_eq!((done.code, seen.total.failures), (Some(0), 0), "{}", done.stdout);
    assert_eq!((live(&world), world.container_groups()), (vec!["blue-endpoint".to_owned()], vec![format!("{GROUP}/{BLUE}")]));
}

#[tokio::test]
async fn the_same_push_again_changes_nothing() {
    let world = world().await;
    let (done, _) = release(&world, &usual(), &RunSpec::push_main(&world)).await;
    assert_eq!(done.code, Some(0), "{}", done.stdout);
    let before = changes(&world).len();
    let again = run(&world, &RunSpec { attempt: 2, ..RunSpec::push_main(&world) }).await;
    assert_eq!((again.code, again.outputs["outcome"].as_str(), changes(&world).len()), (Some(0), "unchanged", before), "{}", again.stdout);
}

#[tokio::test]
async fn a_plan_sends_nothing_that_changes_anything_anywhere() {
    let world = world().await;
    let spec = RunSpec { args: vec!["plan".into()], ..RunSpec::push_main(&world) };
    let (done, _) = release(&world, &usual(), &spec).await;
    assert_eq!(done.code, Some(0), "{}", done.stdout);
    for wanted in [
        "Switch tm-staging: 100% to green",
        "Watch aci-staging-green",
        "If it does not pass: Switch tm-staging: 100% to blue",
        "error-rate max 0 %",
    ] {
        assert!(done.stdout.contains(wanted), "{wanted} in {}", done.stdout);
    }
    let changing: Vec<String> = world.requests().iter().filter(|request| request.is_change()).map(Recorded::line).collect();
    assert_eq!(changing, Vec::<String>::new());
}

/// Step 4: "If fail: Delete Green, keep Blue (zero downtime)".
#[tokio::test]
async fn a_version_that_fails_before_the_switch_is_met_by_nobody() {
    for (fault, kind) in [
        (Fault::NeverHealthy, "did not become healthy: 10 probes of /health"),
        (Fault::Smoke500, "smoke tests failed"),
        (Fault::CrashLoop, "keeps crashing"),
        (Fault::Oom, "ran out of memory"),
        (Fault::ImagePull, "cannot pull its image"),
    ] {
        let world = world().await;
        world.seed(&usual()).await.expect("seeded");
        let load = people(&world).await;
        world.fault(fault).await;
        let done = run(&world, &RunSpec::push_main(&world)).await;
        let seen = load.stop().await;
        assert_eq!((done.code, done.outputs["outcome"].as_str()), (Some(1), "rolled-back"), "{fault}: {}", done.stdout);
        untouched(&world, &seen);
        for wanted in [kind, "people never met the new version", "What to do"] {
            assert!(done.summary.contains(wanted), "{fault}: {wanted} in {}", done.summary);
        }
        // What the failed instance wrote and what Azure saw of it are in the report: it is gone itself.
        assert!(done.summary.contains("Azure&#39;s event") || done.summary.contains("Azure's event"), "{fault}: {}", done.summary);
        assert_eq!(world.deployments()[0].1.last().map(String::as_str), Some("failure"), "{fault}");
    }
}

/// Step 6: "If issues: Instant rollback to Blue".
#[tokio::test]
async fn a_breach_while_it_is_watched_switches_back_at_once() {
    for (fault, rule) in [(Fault::ErrorsAfterSwitch, "error-rate"), (Fault::SlowAfterSwitch, "latency-p99")] {
        let world = world().await;
        world.seed(&usual()).await.expect("seeded");
        let load = people(&world).await;
        world.fault(fault).await;
        let done = run(&world, &RunSpec::push_main(&world)).await;
        let seen = load.stop().await;
        assert_eq!((done.code, done.outputs["outcome"].as_str()), (Some(1), "rolled-back"), "{fault}: {}", done.stdout);
        assert_eq!(
            (live(&world), world.container_groups()),
            (vec!["blue-endpoint".to_owned()], vec![format!("{GROUP}/{BLUE}")]),
            "{fault}"
        );
        // Traffic first, in one request; then the instance.
        let writes = ["PUT tm-staging", "PUT tm-staging", "DELETE aci-staging-green"];
        assert_eq!(changes(&world)[changes(&world).len() - 3..], writes, "{fault}");
        // Only the new version's own answers failed: nobody was sent where nothing was.
        assert_eq!(seen.total.failures, seen.version(NOW).failures, "{fault}: {:?}", seen.failed);
        for wanted in [rule, "broke a rule", "traffic was safe again", "Rollback needed after traffic switch", "people are back on"] {
            assert!(done.summary.contains(wanted), "{fault}: {wanted} in {}", done.summary);
        }
        let statuses = world.commit_statuses("a1b2c3d4e5f60718293a4b5c6d7e8f9001122334");
        assert_eq!(statuses.last().and_then(|last| last["state"].as_str()), Some("failure"), "{fault}");
        let message = world.slack_messages()[0].to_string();
        for wanted in ["*Previous*\\naci-staging-green (`main-a1b2c3d`)", "*Current*\\naci-staging-blue (`main-9f8e7d6`)"] {
            assert!(message.contains(wanted), "{fault}: {wanted} in {message}");
        }
    }
}

/// DESIGN "Where it goes back to is checked first".
#[tokio::test]
async fn when_both_are_unwell_people_are_called() {
    let world = world().await;
    world.seed(&usual()).await.expect("seeded");
    let load = people(&world).await;
    world.fault(Fault::BothUnhealthy).await;
    let done = run(&world, &RunSpec::push_main(&world)).await;
    load.stop().await;
    assert_eq!((done.code, done.outputs["outcome"].as_str()), (Some(3), "held"), "{}", done.stdout);
    // The new version errs and answers its health check, the old one does not: the healthier one keeps people.
    assert_eq!(live(&world), ["green-endpoint"]);
    assert!(done.summary.contains("which people would go back to, is not healthy"), "{}", done.summary);
    assert!(tags(&world, GREEN)["deploy-action-held"].is_string(), "{}", tags(&world, GREEN));
}

/// Troubleshooting "Traffic not switching to Green".
#[tokio::test]
async fn a_switch_that_does_not_take_effect_is_recognised_explained_and_undone() {
    for (fault, why) in [(Fault::SwitchWithoutEffect, "of the requests arrive at"), (Fault::EndpointDegraded, "Degraded")] {
        let world = world().await;
        world.seed(&usual()).await.expect("seeded");
        let load = people(&world).await;
        world.fault(fault).await;
        let done = run(&world, &RunSpec::push_main(&world)).await;
        load.stop().await;
        assert_eq!((done.code, done.outputs["outcome"].as_str()), (Some(1), "rolled-back"), "{fault}: {}", done.stdout);
        assert_eq!(
            (live(&world), world.container_groups()),
            (vec!["blue-endpoint".to_owned()], vec![format!("{GROUP}/{BLUE}")]),
            "{fault}"
        );
        for wanted in ["did not take effect", why, "Traffic not switching to Green"] {
            assert!(done.summary.contains(wanted), "{fault}: {wanted} in {}", done.summary);
        }
    }
}

/// No data is never good news (invariant 9), and a held rollout has ways out.
#[tokio::test]
async fn without_evidence_the_rollout_is_held_and_a_person_promotes_it() {
    for fault in [Fault::MetricsDown, Fault::MetricsNonsense] {
        let world = world().await;
        world.seed(&usual()).await.expect("seeded");
        let load = people(&world).await;
        world.fault(fault).await;
        let done = run(&world, &RunSpec::push_main(&world)).await;
        assert_eq!((done.code, done.outputs["outcome"].as_str()), (Some(3), "held"), "{fault}: {}", done.stdout);
        assert_eq!((live(&world), world.container_groups().len()), (vec!["green-endpoint".to_owned()], 2), "{fault}");
        assert!(done.summary.contains("too little evidence"), "{fault}: {}", done.summary);

        // A scheduled resume leaves it to the person.
        let scheduled =
            RunSpec { event: "schedule".into(), payload: serde_json::json!({"schedule": "*/15 * * * *"}), ..RunSpec::push_main(&world) };
        let resumed = run(&world, &scheduled.in_run(77)).await;
        assert_eq!((resumed.code, world.container_groups().len()), (Some(0), 2), "{fault}: {}", resumed.stdout);
        assert!(resumed.stdout.contains("held, a person must decide"), "{fault}: {}", resumed.stdout);

        let promoted = run(&world, &RunSpec::dispatch(&world, &[("command", "promote"), ("environment", "staging")]).in_run(78)).await;
        let seen = load.stop().await;
        assert_eq!((promoted.code, promoted.outputs["outcome"].as_str()), (Some(0), "healthy"), "{fault}: {}", promoted.stdout);
        assert_eq!((world.container_groups(), seen.total.failures), (vec![format!("{GROUP}/{GREEN}")], 0), "{fault}");
        assert_eq!(tags(&world, GREEN)["deploy-action-role"], "stable", "{fault}");
    }
}

/// The state that a person finds, and what becomes of it: each has one behaviour.
#[tokio::test]
async fn odd_worlds_that_can_be_released_to() {
    let green = || vec!["green-endpoint".to_owned()];
    let blue = || vec!["blue-endpoint".to_owned()];
    for (name, staging, expected) in [
        ("neither enabled, blue trusted", Staging { green: None, ..Staging::neither_enabled(BEFORE, BEFORE) }, green()),
        ("endpoint missing", Staging::endpoint_missing(BEFORE), green()),
        ("a stale instance in the idle slot", Staging::stale(BEFORE, "main-0000000"), green()),
        ("prepared: a profile, no instance", Staging::prepared(), blue()),
    ] {
        let world = world().await;
        world.seed(&staging.with_ttl(1)).await.expect("seeded");
        let mut spec = RunSpec::push_main(&world);
        // Nobody uses it yet in most of these: what people would show is not there to be asked for.
        spec.config = spec.config.replace("min-requests: 10", "min-requests: 1\n  no-data: ignore");
        let load = world.load(&Load::of("staging"));
        let done = run(&world, &spec).await;
        load.stop().await;
        assert_eq!((done.code, done.outputs["outcome"].as_str()), (Some(0), "healthy"), "{name}: {}", done.stdout);
        assert_eq!((live(&world), world.container_groups().len()), (expected, 1), "{name}");
    }
}

#[tokio::test]
async fn odd_worlds_that_are_refused_untouched() {
    for (name, staging, says) in [
        ("both enabled", Staging::both_enabled(BEFORE, "main-0000000"), "are both on"),
        ("not weighted", Staging::unweighted(BEFORE), "--routing-method Weighted"),
        ("a foreign target", Staging::foreign_target(BEFORE), "--target"),
        ("no profile", Staging::empty(), "traffic-manager.dns-name"),
    ] {
        let world = world().await;
        world.seed(&staging.with_ttl(1)).await.expect("seeded");
        let before = world.container_groups();
        let done = run(&world, &RunSpec::push_main(&world)).await;
        assert_eq!((done.code, done.outputs["outcome"].as_str()), (Some(1), "refused"), "{name}: {}", done.stdout);
        assert!(done.summary.contains(says), "{name}: {says} in {}", done.summary);
        assert_eq!((world.container_groups(), changes(&world)), (before, Vec::new()), "{name}");
    }
}

#[tokio::test]
async fn a_first_deployment_makes_the_profile_where_it_may() {
    let world = world().await;
    world.seed(&Staging::empty()).await.expect("seeded");
    let mut spec = RunSpec::push_main(&world);
    spec.config = spec
        .config
        .replace("{ profile: tm-staging, endpoints:", "{ profile: tm-staging, dns-name: nextgen-staging, endpoints:")
        .replace("min-requests: 10", "min-requests: 1\n  no-data: ignore");
    let load = world.load(&Load::of("staging"));
    let done = run(&world, &spec).await;
    load.stop().await;
    assert_eq!((done.code, done.outputs["outcome"].as_str()), (Some(0), "healthy"), "{}", done.stdout);
    assert_eq!((live(&world), world.container_groups()), (vec!["blue-endpoint".to_owned()], vec![format!("{GROUP}/{BLUE}")]));
}

#[tokio::test]
async fn a_long_time_to_live_is_warned_of_with_the_command_that_mends_it() {
    let world = world().await;
    let spec = RunSpec { args: vec!["plan".into()], ..RunSpec::push_main(&world) };
    let (done, _) = release(&world, &Staging::live(Slot::Blue, BEFORE).with_ttl(300), &spec).await;
    assert!(done.stdout.contains("profile update -g staging-nextgen -n tm-staging --ttl 10"), "{}", done.stdout);
}

#[tokio::test]
async fn the_same_version_in_both_slots_leaves_one() {
    let world = world().await;
    world.seed(&Staging::same_version(NOW).with_ttl(1)).await.expect("seeded");
    let load = people(&world).await;
    let done = run(&world, &RunSpec::push_main(&world)).await;
    let seen = load.stop().await;
    assert_eq!((done.code, seen.total.failures, world.container_groups().len()), (Some(0), 0, 1), "{}", done.stdout);
}

/// Azure's bad moments change nothing for people.
#[tokio::test]
async fn azures_bad_moments_are_got_over() {
    for fault in [Fault::TmLostAnswer, Fault::Tm429, Fault::Tm500, Fault::Arm429, Fault::Arm500, Fault::LostAnswer] {
        let world = world().await;
        world.seed(&usual()).await.expect("seeded");
        let load = people(&world).await;
        world.fault(fault).await;
        let done = run(&world, &RunSpec::push_main(&world)).await;
        let seen = load.stop().await;
        assert_eq!((done.code, seen.total.failures), (Some(0), 0), "{fault}: {}\n{:?}", done.stdout, seen.failed);
        assert_eq!(live(&world), ["green-endpoint"], "{fault}");
    }
}

/// Invariant 4: a slow or dead Slack never delays a rollback.
#[tokio::test]
async fn a_dead_or_slow_slack_delays_no_rollback() {
    for fault in [Fault::SlackDown, Fault::SlackSlow] {
        let world = world().await;
        world.seed(&usual()).await.expect("seeded");
        let load = people(&world).await;
        world.fault(fault).await;
        world.fault(Fault::ErrorsAfterSwitch).await;
        let done = run(&world, &RunSpec::push_main(&world)).await;
        load.stop().await;
        assert_eq!((done.code, live(&world)), (Some(1), vec!["blue-endpoint".to_owned()]), "{fault}: {}", done.stdout);
        let event =
            |kind: &str| done.evidence.iter().position(|line| line["event"]["kind"] == kind).unwrap_or_else(|| panic!("{fault}: {kind}"));
        assert!(event("traffic-safe") < event("finished") && event("finished") < event("report-failed"), "{fault}");
    }
}

/// "The Action notices what a person changed … mid-run and stops rather than fighting the person."
#[tokio::test]
async fn a_person_who_switches_by_hand_is_not_fought() {
    let world = world().await;
    world.seed(&usual()).await.expect("seeded");
    let load = people(&world).await;
    let mut spec = RunSpec::push_main(&world);
    spec.config = spec.config.replace("for: 600ms", "for: 60s");
    let running = runner::spawn(&world, binary(), &spec).expect("started");
    world
        .until_profile(GROUP, "tm-staging", |profile| {
            profile.to_string().contains(r#""endpointStatus":"Enabled","#) && live(&world) == ["green-endpoint"]
        })
        .await;
    let mut by_hand = world.profile(GROUP, "tm-staging").expect("a profile");
    for endpoint in by_hand["properties"]["endpoints"].as_array_mut().expect("endpoints") {
        let on = endpoint["name"] == "blue-endpoint";
        endpoint["properties"]["endpointStatus"] = if on { "Enabled" } else { "Disabled" }.into();
    }
    world.write_profile(GROUP, "tm-staging", &by_hand).expect("written by hand");
    let done = running.finish(runner::Echo::Off).await.expect("its end");
    load.stop().await;
    assert_eq!((done.code, done.outputs["outcome"].as_str()), (Some(3), "held"), "{}", done.stdout);
    assert!(done.summary.contains("somebody changed the traffic during this run"), "{}", done.summary);
    assert_eq!(
        (live(&world), switches(&world), world.container_groups().len()),
        (vec!["blue-endpoint".to_owned()], 1, 2),
        "left as the person set it"
    );
}
