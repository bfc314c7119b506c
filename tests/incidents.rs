//! Who is called when a release does not end well, and who hears that it is over (runbook, Rollback Procedures; Emergency
//! Contact). The real binary in the sandbox's staging, with its PagerDuty, Slack and status page.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on says so")]

mod common;

use common::{everything, run, world};
use sandbox::{Fault, Finished, IncidentState, Load, RunSpec, Slot, Staging, Switch, Times, World, load::Working};
use serde_json::Value;

const BEFORE: &str = "main-9f8e7d6";
const ALERT: &str = "deploy-action/nextgen-market/nextgen-market/staging";

/// Staging as it usually is, with people using it, and `fault` about to strike.
async fn staging(fault: Fault) -> (World, Working) {
    let world = world().await;
    world.seed(&Staging::live(Slot::Blue, BEFORE).with_ttl(1)).await.expect("seeded");
    let load = world.load(&Load::of("staging"));
    load.until(|seen| seen.total.requests > 50).await;
    world.fault(fault).await;
    (world, load)
}

/// What the channel for incidents shows.
fn incidents(world: &World) -> Vec<String> {
    let shown: Vec<String> = world.slack_messages().iter().map(ToString::to_string).collect();
    shown.into_iter().filter(|message| message.contains("*Where*") || message.contains("Incident resolved")).collect()
}

/// What PagerDuty was sent, in order.
fn events(world: &World) -> Vec<Value> {
    world.pagerduty_incidents().into_iter().flat_map(|incident| incident.events).collect()
}

/// What it was asked to do, and with which alert, in order.
fn actions(world: &World) -> Vec<String> {
    let text = |event: &Value, name: &str| event[name].as_str().unwrap_or_default().to_owned();
    events(world).iter().map(|event| format!("{} {}", text(event, "event_action"), text(event, "dedup_key"))).collect()
}

/// The kinds of the evidence's events, in order.
fn kinds(done: &Finished) -> Vec<&str> {
    done.evidence.iter().filter_map(|line| line["event"]["kind"].as_str()).collect()
}

#[tokio::test]
async fn an_automatic_rollback_calls_people_and_the_next_healthy_run_tells_them_that_it_is_over() {
    let (world, load) = staging(Fault::ErrorsAfterSwitch).await;
    let done = run(&world, &RunSpec::push_main(&world)).await;
    assert_eq!((done.code, done.outputs["outcome"].as_str()), (Some(1), "rolled-back"), "{}", done.stdout);

    // The same alert when traffic was safe, and once more with all that was known at the end.
    let trigger = format!("trigger {ALERT}");
    let told = actions(&world);
    assert!((1..=2).contains(&told.len()) && told.iter().all(|action| *action == trigger), "{told:?}");
    assert_eq!(world.pagerduty_incidents().len(), 1, "one alert");
    let last = events(&world).pop().expect("an event");
    let payload = &last["payload"];
    let summary = payload["summary"].as_str().expect("a summary");
    assert!(summary.contains("Staging deployment rolled back") && summary.contains("error-rate"), "{summary}");
    assert!(summary.contains("> 0 % (max)") && !summary.contains('\n'), "{summary}");
    assert_eq!((&payload["severity"], &payload["class"]), (&"critical".into(), &"breach".into()));
    let details = &payload["custom_details"];
    assert_eq!((&details["previous version"], &details["version"]), (&BEFORE.into(), &"main-a1b2c3d".into()));
    assert!(details["it means"].as_str().is_some_and(|means| means.contains("people are back on")), "{details}");
    assert!(details["traffic"].as_str().is_some_and(|traffic| traffic.starts_with("traffic safe")), "{details}");
    assert!(details["next steps"].as_array().is_some_and(|steps| !steps.is_empty()), "{details}");
    assert!(last["client_url"].as_str().is_some_and(|url| url.contains("/actions/runs/")), "{last}");

    // One message in the channel for incidents, as it ended; the run's own is another.
    let messages = incidents(&world);
    assert_eq!((messages.len(), world.slack_messages().len()), (1, 2), "{messages:?}");
    for wanted in ["Staging deployment rolled back", "*Rule*", "*Traffic*\\ntraffic safe", "main-9f8e7d6", "What happened"] {
        assert!(messages[0].contains(wanted), "{wanted} in {}", messages[0]);
    }
    for wanted in ["**Told**: Slack: ", "nextgen-incidents", "PagerDuty: triggered", "**Nothing to tell**: status page"] {
        assert!(done.summary.contains(wanted), "{wanted} in {}", done.summary);
    }

    world.switch(Fault::ErrorsAfterSwitch, Switch::Off, Times::Always).await;
    let again = run(&world, &RunSpec::push_main(&world).in_run(78)).await;
    load.stop().await;
    assert_eq!((again.code, again.outputs["outcome"].as_str()), (Some(0), "healthy"), "{}", again.stdout);
    assert_eq!(actions(&world)[told.len()..], [format!("resolve {ALERT}")]);
    assert!(again.summary.contains("PagerDuty: resolved"), "{}", again.summary);

    assert_eq!(world.pagerduty_incidents()[0].state, IncidentState::Resolved);
    // Staging is not what customers use.
    assert_eq!(world.status_page_incidents(), Vec::<Value>::new());

    // Invariant 7: PagerDuty alone gets the key, and only as the key.
    for done in [&done, &again] {
        assert!(!everything(&world, done).contains(world.info()["pagerduty-routing-key"].as_str().expect("a key")));
    }
}

#[tokio::test]
async fn what_is_held_calls_people_and_a_persons_decision_acknowledges_and_resolves() {
    for fault in [Fault::MetricsDown, Fault::BothUnhealthy] {
        let (world, load) = staging(fault).await;
        let done = run(&world, &RunSpec::push_main(&world)).await;
        assert_eq!((done.code, done.outputs["outcome"].as_str()), (Some(3), "held"), "{fault}: {}", done.stdout);
        let first = actions(&world);
        assert!(!first.is_empty() && first.iter().all(|action| *action == format!("trigger {ALERT}")), "{fault}: {first:?}");
        let last = events(&world).pop().expect("an event");
        assert_eq!(last["payload"]["custom_details"]["outcome"], "held", "{fault}");
        assert!(incidents(&world)[0].contains("held: a person must decide"), "{fault}: {:?}", incidents(&world));

        world.switch(fault, Switch::Off, Times::Always).await;
        let decision = RunSpec::dispatch(&world, &[("command", "promote"), ("environment", "staging")]).in_run(78);
        let decided = run(&world, &decision).await;
        load.stop().await;
        assert_eq!((decided.code, decided.outputs["outcome"].as_str()), (Some(0), "healthy"), "{fault}: {}", decided.stdout);
        assert_eq!(actions(&world)[first.len()..], [format!("acknowledge {ALERT}"), format!("resolve {ALERT}")], "{fault}");
        assert!(incidents(&world).iter().any(|message| message.contains("Incident resolved")), "{fault}");
    }
}

#[tokio::test]
async fn nobody_is_called_for_a_refusal_or_for_dev() {
    let world = world().await;
    // Dev's rollback is manual, and so is what follows from its failures.
    world.fault(Fault::NeverHealthy).await;
    let failed = run(&world, &RunSpec::push_develop(&world)).await;
    assert_eq!(failed.outputs["outcome"], "failed", "{}", failed.stdout);
    assert!(!failed.summary.contains("PagerDuty"), "{}", failed.summary);
    world.switch(Fault::NeverHealthy, Switch::Off, Times::Always).await;
    // No profile, and no name to make one with: refused.
    let refused = run(&world, &RunSpec::push_main(&world)).await;
    assert_eq!(refused.outputs["outcome"], "refused", "{}", refused.stdout);
    assert_eq!((actions(&world), incidents(&world)), (Vec::new(), Vec::new()));
}

/// Invariants 4 and 6: traffic first, people last, and whoever cannot be reached changes nothing but a warning.
#[tokio::test]
async fn a_dead_or_silent_pagerduty_changes_nothing_but_a_warning() {
    for mood in [Fault::PagerdutyDown, Fault::PagerdutySlow] {
        let (world, load) = staging(Fault::ErrorsAfterSwitch).await;
        world.fault(mood).await;
        let done = run(&world, &RunSpec::push_main(&world)).await;
        load.stop().await;
        assert_eq!((done.code, done.outputs["outcome"].as_str()), (Some(1), "rolled-back"), "{mood}: {}", done.stdout);
        let kinds = kinds(&done);
        let at = |kind: &str| kinds.iter().position(|known| *known == kind).unwrap_or_else(|| panic!("{kind} in {kinds:?}"));
        assert!(at("taking-back") < at("traffic-safe") && at("traffic-safe") < at("finished"), "{kinds:?}");
        // The first thing that hears of the unreachable is the warning, when all is over.
        assert!(at("finished") < at("report-failed"), "{mood}: {kinds:?}");
        assert_eq!(kinds.iter().filter(|kind| **kind == "report-failed").count(), 1, "{kinds:?}");
        assert!(done.summary.contains("PagerDuty was not told") && done.summary.contains("**Not reached**: PagerDuty"), "{}", done.summary);
        assert!(incidents(&world)[0].contains("rolled back"), "{mood}: others are told all the same");
    }
}

#[tokio::test]
async fn with_a_webhook_alone_there_is_one_message_in_one_channel() {
    let (world, load) = staging(Fault::ErrorsAfterSwitch).await;
    let webhook = world.urls().slack_webhook.clone();
    let spec = RunSpec::push_main(&world).with("slack-bot-token", "").with("slack-webhook-url", &webhook);
    let done = run(&world, &spec).await;
    load.stop().await;
    assert_eq!(done.outputs["outcome"], "rolled-back", "{}", done.stdout);
    assert_eq!((world.slack_messages().len(), incidents(&world).len()), (1, 0));
    assert!(done.summary.contains("Slack (incidents) (a webhook has one channel"), "{}", done.summary);
}

#[tokio::test]
async fn switched_off_means_off() {
    let (world, load) = staging(Fault::ErrorsAfterSwitch).await;
    let mut spec = RunSpec::push_main(&world);
    spec.config = spec.config.replace("  pagerduty: { severity: critical }\n", "  pagerduty: off\n");
    let done = run(&world, &spec).await;
    load.stop().await;
    assert_eq!((done.outputs["outcome"].as_str(), actions(&world).len()), ("rolled-back", 0), "{}", done.stdout);
    assert!(done.summary.contains("PagerDuty (switched off in deploy.yml)"), "{}", done.summary);
}

#[tokio::test]
async fn a_busy_pagerduty_is_asked_again() {
    let (world, load) = staging(Fault::ErrorsAfterSwitch).await;
    world.fault(Fault::Pagerduty429).await;
    let done = run(&world, &RunSpec::push_main(&world)).await;
    load.stop().await;
    assert_eq!(done.outputs["outcome"], "rolled-back", "{}", done.stdout);
    assert!(!actions(&world).is_empty() && done.summary.contains("PagerDuty: triggered"), "{}", done.summary);
}

#[tokio::test]
async fn a_refusal_is_shown_in_pagerdutys_words() {
    let (world, load) = staging(Fault::ErrorsAfterSwitch).await;
    let done = run(&world, &RunSpec::push_main(&world).with("pagerduty-routing-key", "short-key")).await;
    load.stop().await;
    assert_eq!(done.outputs["outcome"], "rolled-back", "{}", done.stdout);
    assert!(done.stdout.contains("(should be 32 characters); check pagerduty-routing-key"), "{}", done.stdout);
    assert!(!done.summary.contains("short-key"), "{}", done.summary);
}
