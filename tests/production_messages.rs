//! What people see of a release to production (runbook Scenario 3: canary alert, Final Notification, status page, PagerDuty), from
//! the real binary in the sandbox's production, with people using it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on says so")]

mod common;
#[path = "common/production.rs"]
mod prod;

use std::{path::PathBuf, time::Duration};

use common::{binary, everything, run, world};
use prod::{BEFORE, NOW};
use sandbox::{Behaviour, Fault, Finished, IncidentState, RunSpec, Switch, Times, Who, World, load::Working, runner, seed::Production};
use serde_json::Value;

const CHANNEL: &str = "#nextgen-devops";
const INCIDENTS: &str = "#nextgen-incidents";
const ALERT: &str = "deploy-action/nextgen-market/nextgen-market/prod";

/// Production as it usually is, with people using it, and `faults` about to strike.
async fn production(faults: &[Fault]) -> (World, Working) {
    let world = world().await;
    world.seed_production(&Production::stable(BEFORE).with_ttl(1)).await.expect("seeded");
    let load = prod::people(&world).await;
    for fault in faults {
        world.fault(*fault).await;
    }
    (world, load)
}

/// A message as it is read: each block's texts.
fn read(message: &Value) -> String {
    let blocks = message["blocks"].as_array().expect("blocks");
    let texts = blocks.iter().flat_map(|block| std::iter::once(&block["text"]).chain(block["fields"].as_array().into_iter().flatten()));
    texts.filter_map(|text| text["text"].as_str()).collect::<Vec<_>>().join("\n")
}

/// The channel's messages, and those in threads.
fn shown(world: &World, channel: &str) -> (Vec<String>, Vec<Value>) {
    let (threads, plain): (Vec<Value>, Vec<Value>) =
        world.slack_messages_in(channel).into_iter().partition(|message| message["thread_ts"].is_string());
    (plain.iter().map(read).collect(), threads)
}

fn page(done: &Finished) -> (PathBuf, String) {
    let path = PathBuf::from(&done.outputs["report"]).with_extension("html");
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}\n{}", path.display(), done.stdout));
    (path, text)
}

/// Each incident's and maintenance's course on the status page.
fn courses(world: &World) -> Vec<String> {
    let updates = |incident: &Value| incident["incident_updates"].as_array().cloned().unwrap_or_default();
    let course = |incident: &Value| {
        let words: Vec<String> =
            updates(incident).iter().rev().map(|update| update["status"].as_str().unwrap_or_default().to_owned()).collect();
        words.join(" ")
    };
    world.status_page_incidents().iter().map(course).collect()
}

#[tokio::test]
async fn a_good_release_is_told_as_the_runbook_words_it() {
    let (world, load) = production(&[]).await;
    let done = run(&world, &RunSpec::push_tag(&world, NOW)).await;
    load.stop().await;
    assert_eq!((done.code, done.outputs["outcome"].as_str()), (Some(0), "healthy"), "{}", done.stdout);

    let (messages, threads) = shown(&world, CHANNEL);
    assert_eq!(messages.len(), 1, "{messages:?}");
    let told: Vec<&str> = messages[0].lines().collect();
    let has = |wanted: &str| told.iter().any(|line| line.starts_with(wanted));
    for wanted in [
        "*🎉 PRODUCTION DEPLOYMENT COMPLETE*",
        "Version: `v1.0.0`",
        "Duration: ",
        "Status: HEALTHY",
        "Changes:",
        "    ✓ invoice: Invoice DDD architecture (<https://github.com/nextgen-market/nextgen-market/pull/118|#118>)",
        "    ✓ cache: Redis caching with tag-based invalidation (<https://",
        "Metrics (last ",
        "    Error rate: 0 % (0 of ",
        "    Latency p99: ",
        "    Throughput: ",
        "    Uptime: 100 % (",
        "Rollback: Manual dispatch available",
        "Logs: <https://github.com/nextgen-market/nextgen-market/actions/runs/",
        "Dashboard: <https://grafana.nextgen.local",
    ] {
        assert!(has(wanted), "{wanted} in {}", messages[0]);
    }
    assert!(!messages[0].contains("not measured"), "{}", messages[0]);
    // The thread has a line for a gate at most, and the channel one that says that it is over.
    assert!(threads.len() <= 7, "{threads:?}");
    let broadcast: Vec<String> = threads.iter().filter(|message| message["reply_broadcast"] == true).map(read).collect();
    assert_eq!(broadcast, ["🎉 PRODUCTION DEPLOYMENT COMPLETE: `v1.0.0`"]);
    assert_eq!(shown(&world, INCIDENTS).0, Vec::<String>::new());

    assert_eq!(world.pagerduty_incidents().len(), 0);
    assert_eq!((courses(&world), world.status_page_component()), (vec!["in_progress completed".to_owned()], "operational".to_owned()));

    // The tag had no release: it has one now, with what is new and what became of it.
    let releases = world.releases();
    assert_eq!((releases.len(), &releases[0]["tag_name"]), (1, &Value::from(NOW)));
    let notes = releases[0]["body"].as_str().expect("notes");
    for wanted in
        ["## What is new since v0.9.5", "**Features**", "Invoice DDD architecture", "PRODUCTION DEPLOYMENT COMPLETE", "- Error rate: 0 %"]
    {
        assert!(notes.contains(wanted), "{wanted} in {notes}");
    }

    for wanted in [
        "### Decisions",
        "✅ | Watch prod-canary-1 at 5%",
        "### Timeline",
        "gantt",
        "title \"error-rate\"",
        "title \"latency-p99\"",
        "title \"share of people on the new version\"",
        "### What is new since v0.9.5",
        "### Measured in the last",
        "The whole of it on one page",
        "status page: maintenance completed",
        "GitHub release: release v1.0.0 made",
    ] {
        assert!(done.summary.contains(wanted), "{wanted} in {}", done.summary);
    }
    assert!(done.summary.len() < 200_000, "{} bytes", done.summary.len());

    let (path, html) = page(&done);
    assert!(done.stdout.contains(&path.display().to_string()), "{}", done.stdout);
    for wanted in ["PRODUCTION DEPLOYMENT COMPLETE", "<svg", "Decisions", "Invoice DDD architecture", "share of people on v1.0.0"] {
        assert!(html.contains(wanted), "{wanted} in {html}");
    }
    // Again from the evidence alone, by a person at a terminal: the same but for who was told.
    let evidence = path.with_extension("jsonl");
    std::fs::remove_file(&path).expect("removed");
    let output = std::process::Command::new(binary()).env_clear().arg("report").arg(&evidence).output().expect("the binary runs");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("PRODUCTION DEPLOYMENT COMPLETE"), "{said}");
    let again = page(&done).1;
    let until_told =
        |html: &str| html.split("<h2>Who was told").next().unwrap_or_default().split("<h2>Notes").next().unwrap_or_default().to_owned();
    let before_the_end = |html: &str| until_told(html).split("<footer>").next().unwrap_or_default().to_owned();
    assert_eq!(before_the_end(&again), before_the_end(&html));
    // An evidence file that was changed makes no page.
    let changed = std::fs::read_to_string(&evidence).expect("read").replacen("octocat", "mallory", 1);
    std::fs::write(&evidence, changed).expect("written");
    std::fs::remove_file(&path).expect("removed");
    let refused = std::process::Command::new(binary()).env_clear().arg("report").arg(&evidence).output().expect("the binary runs");
    assert_eq!((refused.status.code(), path.exists()), (Some(2), false));
}

#[tokio::test]
async fn a_rollback_alerts_everybody_who_must_know_and_the_next_good_release_tells_that_it_is_over() {
    let (world, load) = production(&[Fault::CanaryErrors]).await;
    world.make_release(NOW, "# Invoices\n\nThanks, everybody.");
    let done = run(&world, &RunSpec::push_tag(&world, NOW)).await;
    assert_eq!((done.code, done.outputs["outcome"].as_str()), (Some(1), "rolled-back"), "{}", done.stdout);

    let (messages, threads) = shown(&world, CHANNEL);
    assert_eq!(messages.len(), 1, "{messages:?}");
    for wanted in ["↩️ Production deployment rolled back", "ROLLED-BACK", "error-rate", "> 1 % (max)", "people are back on v0.9.5"] {
        assert!(messages[0].replace("&gt;", ">").contains(wanted), "{wanted} in {}", messages[0]);
    }
    assert_eq!(threads.iter().filter(|message| message["reply_broadcast"] == true).count(), 1, "{threads:?}");
    let (alerts, _) = shown(&world, INCIDENTS);
    assert_eq!(alerts.len(), 1, "{alerts:?}");
    for wanted in ["rolled back", "*Rule*", "*Traffic*\ntraffic safe", BEFORE] {
        assert!(alerts[0].contains(wanted), "{wanted} in {}", alerts[0]);
    }
    // No advice with a hole in it.
    assert!(!messages[0].contains("--profile-name  ") && messages[0].contains("--profile-name tm-prod"), "{}", messages[0]);

    let called = world.pagerduty_incidents();
    assert_eq!((called.len(), called[0].state), (1, IncidentState::Triggered));
    let last = called[0].events.last().expect("an event");
    assert_eq!((last["dedup_key"].as_str(), last["payload"]["severity"].as_str()), (Some(ALERT), Some("critical")));
    assert_eq!(last["payload"]["custom_details"]["previous version"], BEFORE);

    let told = courses(&world);
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told.contains(&"in_progress completed".to_owned()), "{told:?}");
    assert!(told.iter().any(|course| course.ends_with("resolved")), "{told:?}");

    let notes = world.releases()[0]["body"].as_str().expect("notes").to_owned();
    assert!(notes.starts_with("# Invoices\n\nThanks, everybody.\n\n<!-- deploy-action:prod:begin -->"), "{notes}");
    assert!(notes.contains("rolled back") && notes.contains("error-rate"), "{notes}");

    for wanted in
        ["### What tripped it", "❌ | Watch prod-canary-1 at 5%", "the version before at the same moment: 0 %", "error-rate broken"]
    {
        assert!(done.summary.contains(wanted), "{wanted} in {}", done.summary);
    }
    let (_, html) = page(&done);
    for wanted in ["What tripped it", "What was asked", "requests_total", "Traffic was safe again", "rolled back"] {
        assert!(html.contains(wanted), "{wanted} in {html}");
    }
    // Invariant 7, in the page too.
    let secrets = ["pagerduty-routing-key", "status-page-token", "slack-bot-token", "github-token"];
    let info = world.info();
    for secret in secrets.into_iter().filter_map(|name| info[name].as_str()) {
        assert!(!html.contains(secret) && !everything(&world, &done).contains(secret));
    }

    world.switch(Fault::CanaryErrors, Switch::Off, Times::Always).await;
    let again = run(&world, &RunSpec::push_tag(&world, NOW).in_run(78)).await;
    load.stop().await;
    assert_eq!((again.code, again.outputs["outcome"].as_str()), (Some(0), "healthy"), "{}", again.stdout);
    assert_eq!(world.pagerduty_incidents()[0].state, IncidentState::Resolved);
    // A person's words stay; the section says what holds now, once.
    let notes = world.releases()[0]["body"].as_str().expect("notes").to_owned();
    assert!(notes.starts_with("# Invoices\n\nThanks, everybody.\n\n<!-- deploy-action:prod:begin -->"), "{notes}");
    assert!(notes.contains("PRODUCTION DEPLOYMENT COMPLETE") && !notes.contains("rolled back"), "{notes}");
    assert_eq!(notes.matches("deploy-action:prod:begin").count(), 1, "{notes}");
}

/// Phase 2: "Rollback to 25%", held there; a person decides, and everybody who was called hears of it.
#[tokio::test]
async fn what_is_held_calls_people_and_a_persons_rollback_tells_that_it_is_over() {
    let (world, load) = production(&[]).await;
    let mut running = runner::spawn(&world, binary(), &prod::push_tag(&world)).expect("started");
    tokio::select! {
        () = world.until_profile(prod::GROUP, prod::PROFILE, |profile| prod::canary_has(profile, 50)) => {}
        ended = running.ended() => ended.expect("its end"),
    }
    // Slower than that share allows, and within what every share does.
    world.behave(Who::version(NOW), Behaviour::default().taking(Duration::from_millis(800)));
    let done = running.finish(runner::Echo::Off).await.expect("its end");
    assert_eq!((done.code, done.outputs["outcome"].as_str()), (Some(3), "held"), "{}", done.stdout);
    let (messages, _) = shown(&world, CHANNEL);
    for wanted in ["⏸️ Production deployment held: a person must decide", "taken back to 25%", "command: promote"] {
        assert!(messages[0].contains(wanted), "{wanted} in {}", messages[0]);
    }
    let (alerts, _) = shown(&world, INCIDENTS);
    assert!(alerts[0].contains("*Traffic*\n25% of people are sent to the new version"), "{alerts:?}");
    assert_eq!(world.pagerduty_incidents()[0].state, IncidentState::Triggered);
    let mut told = courses(&world);
    told.sort();
    assert_eq!((told[0].as_str(), told[1].ends_with(" verifying")), ("in_progress verifying", false), "{told:?}");
    assert!(told[1].ends_with("identified"), "{told:?}");
    for wanted in ["↩️ | Watch prod-canary-1 at 50%", "taken back to 25%", "back to 25%"] {
        assert!(done.summary.contains(wanted), "{wanted} in {}", done.summary);
    }

    let back = run(&world, &prod::decide(&world, &[])).await;
    load.stop().await;
    assert_eq!((back.code, back.outputs["outcome"].as_str()), (Some(0), "rolled-back"), "{}", back.stdout);
    let called = world.pagerduty_incidents();
    let actions: Vec<&str> = called[0].events.iter().filter_map(|event| event["event_action"].as_str()).collect();
    assert_eq!((called.len(), called[0].state, actions.last()), (1, IncidentState::Resolved, Some(&"resolve")));
    assert!(actions.contains(&"acknowledge"), "{actions:?}");
    let told = courses(&world);
    assert!(told.iter().all(|course| course.ends_with("completed") || course.ends_with("resolved")), "{told:?}");
    assert_eq!(world.status_page_component(), "operational");
    // A person's rollback is no release: the tag gets none by it.
    assert_eq!(world.releases(), Vec::<Value>::new());
}

/// Invariants 4 and 6: nobody who cannot be reached delays a rollback or changes what comes of it.
#[tokio::test]
async fn who_cannot_be_reached_changes_nothing_but_a_warning() {
    for faults in
        [[Fault::SlackDown, Fault::PagerdutyDown, Fault::StatusPageDown], [Fault::SlackSlow, Fault::PagerdutySlow, Fault::StatusPageDown]]
    {
        let (world, load) = production(&[Fault::CanaryErrors]).await;
        for fault in faults {
            world.fault(fault).await;
        }
        let done = run(&world, &RunSpec::push_tag(&world, NOW)).await;
        load.stop().await;
        assert_eq!((done.code, done.outputs["outcome"].as_str()), (Some(1), "rolled-back"), "{faults:?}: {}", done.stdout);
        let kinds: Vec<&str> = done.evidence.iter().filter_map(|line| line["event"]["kind"].as_str()).collect();
        let at = |kind: &str| kinds.iter().position(|known| *known == kind).unwrap_or_else(|| panic!("{kind} in {kinds:?}"));
        assert!(at("taking-back") < at("traffic-safe") && at("traffic-safe") < at("finished") && at("finished") < at("report-failed"));
        for report in ["PagerDuty", "status page"] {
            assert!(done.summary.contains(&format!("{report} was not told")), "{faults:?}: {}", done.summary);
        }
        // The page says it, too.
        assert!(page(&done).1.contains("PagerDuty: could not be reached"), "{faults:?}");
    }
}

/// Without its tag, or without leave to read commits, what is new is not known; the release goes on.
#[tokio::test]
async fn changes_that_cannot_be_looked_up_are_said_to_be_unknown() {
    let (world, load) = production(&[]).await;
    let done = run(&world, &RunSpec::push_tag(&world, NOW).with("github-token", "")).await;
    load.stop().await;
    assert_eq!((done.code, done.outputs["outcome"].as_str()), (Some(0), "healthy"), "{}", done.stdout);
    let (messages, _) = shown(&world, CHANNEL);
    assert!(messages[0].contains("Changes:\n    not known"), "{}", messages[0]);
    assert_eq!(world.releases(), Vec::<Value>::new());
}
