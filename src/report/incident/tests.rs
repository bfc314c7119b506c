//! What counts as an incident, story by story. Also stories for the tests of those who are told.

use serde_json::{Value, json};

use super::*;
use crate::{execute::Event, failure::FailureKind};

/// Where a story plays.
pub(in crate::report) const STAGING: (&str, &str) = ("staging", "blue-green");
pub(in crate::report) const PROD: (&str, &str) = ("prod", "canary");

/// A story from its events, each as the evidence file has it.
pub(in crate::report) fn story(events: &[Value]) -> Story {
    let mut story = Story::default();
    for event in events {
        let event: Event = serde_json::from_value(json!({"at": "2026-11-24T10:00:00Z", "event": event})).expect("an event");
        story.hear(&event);
    }
    story
}

pub(in crate::report) fn requested((environment, strategy): (&str, &str), aim: &str) -> Value {
    json!({"kind": "requested", "rollout": {
        "id": format!("{environment}-4711-1"), "aim": aim, "application": "nextgen-market", "environment": environment,
        "strategy": strategy, "resource_group": format!("{environment}-nextgen"), "instance": "aci-staging-blue, aci-staging-green",
        "version": "main-a1b2c3d", "sha": "a1b2c3d4e5f60718293a4b5c6d7e8f9001122334", "git_ref": "main", "actor": "octocat",
        "repository": "nextgen-market/nextgen-market", "commit_url": null, "run_url": "https://github.com/nextgen-market/nextgen-market/actions/runs/4711",
        "url": "https://staging-api.nextgen.local", "dashboard": "https://grafana.nextgen.local", "docs": null,
    }})
}

pub(in crate::report) fn planned((environment, strategy): (&str, &str), aim: &str) -> Value {
    json!({"kind": "planned", "image": null, "observed": {"instances": [], "profile": null, "at": "2026-11-24T10:00:00Z"}, "plan": {
        "rollout": format!("{environment}-4711-1"), "environment": environment, "strategy": strategy, "aim": aim, "image": null, "sha": null,
        "previous": "main-9f8e7d6", "subject": "aci-staging-green", "notices": [], "limit_seconds": 60,
        "steps": [{"step": "create-instance", "instance": "aci-staging-green"}],
    }})
}

pub(in crate::report) fn begun() -> Value {
    json!({"kind": "step-started", "step": 0})
}

pub(in crate::report) fn switched() -> Value {
    json!({"kind": "traffic-switched", "step": 0, "from": null, "took_ms": 40,
        "to": {"slot": "green", "instance": "aci-staging-green", "endpoint": "green-endpoint"}})
}

pub(in crate::report) fn tick() -> Value {
    json!({"kind": "tick", "step": 0, "tick": 12, "of": 180, "after_ms": 120_000, "samples": [], "standby": null, "judgements": [{
        "metric": "error-rate", "verdict": "breach", "value": {"value": 0.024, "unit": "percent"}, "counts": {"requests": 1290, "events": 31},
        "limit": {"bound": {"max": {"value": 0.0, "unit": "percent"}}, "value": {"value": 0.0, "unit": "percent"}}, "in_a_row": 2,
        "consecutive": 2, "lacking": null, "chance": null, "trip": "in-a-row"}]})
}

pub(in crate::report) fn failure(kind: FailureKind, what: &str) -> Value {
    json!({"kind": kind, "what": what, "resource": "container group staging-nextgen/aci-staging-green", "consequence": "people are back on main-9f8e7d6",
        "next": ["look at the error: az container logs -g staging-nextgen -n aci-staging-green"]})
}

/// Why a broken rule stops a rollout.
pub(in crate::report) fn breach() -> Value {
    failure(
        FailureKind::Breach,
        "aci-staging-green broke a rule while it was watched: error-rate 2.4 % > 0 % (max), 2 of 2 in a row; 31 errors in 1290 requests",
    )
}

pub(in crate::report) fn taking_back(failure: &Value) -> Value {
    json!({"kind": "taking-back", "failure": failure, "steps": []})
}

pub(in crate::report) fn safe() -> Value {
    json!({"kind": "traffic-safe", "after_ms": 140})
}

pub(in crate::report) fn finished(outcome: &str, failure: &Value) -> Value {
    let exit = if failure.is_null() { "success" } else { "not-deployed" };
    json!({"kind": "finished", "outcome": outcome, "exit": exit, "failure": failure, "duration_ms": 132_000, "url": null})
}

/// A release to `place` that broke a rule, from its beginning to its end.
pub(in crate::report) fn rolled_back(place: (&str, &str)) -> Vec<Value> {
    let beginning = [requested(place, "deploy"), planned(place, "deploy"), begun(), switched(), tick()];
    beginning.into_iter().chain([taking_back(&breach()), safe(), finished("rolled-back", &breach())]).collect()
}

fn said(events: &[Value]) -> String {
    match standing(&story(events)) {
        Standing::Quiet => "quiet".into(),
        Standing::Taken => "taken".into(),
        Standing::Over => "over".into(),
        Standing::Open(Incident { stage, .. }) => format!("{stage:?}"),
    }
}

#[test]
fn an_automatic_rollback_is_told_step_by_step() {
    let events = rolled_back(STAGING);
    let all: Vec<String> = (1..=events.len()).map(|length| said(&events[..length])).collect();
    assert_eq!(all, ["quiet", "quiet", "quiet", "quiet", "quiet", "Unsafe", "Safe", "Ended(RolledBack)"]);
    // Nobody was sent to it yet: traffic is safe already.
    let before = [requested(STAGING, "deploy"), planned(STAGING, "deploy"), begun(), taking_back(&failure(FailureKind::Health, "no"))];
    assert_eq!(said(&before), "Safe");
}

#[test]
fn every_end_has_one_meaning() {
    let null = Value::Null;
    let (breach, held, cancelled) =
        (breach(), failure(FailureKind::NoEvidence, "too little"), failure(FailureKind::Cancelled, "the run was cancelled"));
    let superseded = failure(FailureKind::Superseded, "another run");
    for (aim, outcome, why, meaning) in [
        ("deploy", "healthy", &null, "over"),
        ("deploy", "unchanged", &null, "over"),
        ("deploy", "rolled-back", &breach, "Ended(RolledBack)"),
        ("deploy", "held", &held, "Ended(Held)"),
        ("deploy", "failed", &breach, "Ended(Failed)"),
        ("deploy", "refused", &breach, "quiet"),
        // Before anything was touched it ends refused; what was touched and cancelled is worth a look.
        ("deploy", "refused", &cancelled, "quiet"),
        ("deploy", "rolled-back", &cancelled, "Ended(RolledBack)"),
        ("deploy", "rolled-back", &superseded, "quiet"),
        ("roll-back", "rolled-back", &null, "over"),
        ("roll-back", "rolled-back", &breach, "Ended(RolledBack)"),
        ("roll-back", "unchanged", &null, "over"),
        ("roll-back", "failed", &breach, "Ended(Failed)"),
        ("roll-back", "refused", &breach, "quiet"),
        ("promote", "healthy", &null, "over"),
        ("promote", "held", &held, "Ended(Held)"),
        ("make-safe", "healthy", &null, "over"),
        ("make-safe", "unchanged", &null, "quiet"),
        ("make-safe", "rolled-back", &null, "Ended(RolledBack)"),
        ("make-safe", "failed", &breach, "Ended(Failed)"),
    ] {
        let events = [requested(STAGING, aim), finished(outcome, why)];
        assert_eq!(said(&events), meaning, "{aim} {outcome} {why}");
        assert_eq!(said(&[requested(PROD, aim), finished(outcome, why)]), meaning, "prod: {aim} {outcome}");
        assert_eq!(said(&[requested(("dev", "direct"), aim), finished(outcome, why)]), "quiet", "dev: {aim} {outcome}");
    }
}

#[test]
fn what_a_person_begins_is_taken_once_it_is_carried_out() {
    for (aim, meaning) in [("roll-back", "taken"), ("promote", "taken"), ("deploy", "quiet"), ("make-safe", "quiet")] {
        let asked = [requested(STAGING, aim), planned(STAGING, aim)];
        assert_eq!(said(&asked), "quiet", "{aim}");
        assert_eq!(said(&[asked.as_slice(), &[begun()]].concat()), meaning, "{aim}");
    }
}

#[test]
fn a_key_is_of_the_environment_and_short_enough() {
    let rollout = story(&[requested(STAGING, "deploy")]).rollout.expect("a rollout");
    assert_eq!(key(&rollout), "deploy-action/nextgen-market/nextgen-market/staging");
    let long =
        Rollout { repository: None, application: "x\n".repeat(400), environment: "e".repeat(40).parse().expect("a name"), ..rollout };
    let key = key(&long);
    assert!(key.len() <= 255 && !key.contains('\n'), "{key}");
}

fn told(events: &[Value]) -> (watch::Sender<Story>, watch::Receiver<Story>) {
    watch::channel(story(events))
}

#[tokio::test(start_paused = true)]
async fn people_are_told_once_traffic_is_safe() {
    let events = rolled_back(STAGING);
    let (sender, receiver) = told(&events[..6]);
    let mut following = Following::new(receiver, Pace::OnceSafe);
    let next = tokio::spawn(async move {
        let story = following.next().await;
        (story, following)
    });
    tokio::task::yield_now().await;
    sender.send_replace(story(&events[..7]));
    let (safe, mut following) = next.await.expect("it goes on");
    assert_eq!(safe.expect("a story").safe_after_ms, Some(140));
    sender.send_replace(story(&events));
    assert!(following.next().await.is_some_and(|story| story.end.is_some()));
    assert!(following.next().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn people_are_told_all_the_same_when_traffic_does_not_become_safe() {
    let events = rolled_back(STAGING);
    let (_sender, receiver) = told(&events[..6]);
    let begun = tokio::time::Instant::now();
    let told = Following::new(receiver, Pace::OnceSafe).next().await.expect("a story");
    assert_eq!((told.safe_after_ms, begun.elapsed()), (None, PATIENCE));
}

#[tokio::test(start_paused = true)]
async fn who_wants_it_at_once_is_told_at_once_and_what_is_past_is_skipped() {
    let events = rolled_back(STAGING);
    let (sender, receiver) = told(&events[..6]);
    let mut following = Following::new(receiver, Pace::AtOnce);
    assert!(following.next().await.is_some_and(|story| story.safe_after_ms.is_none()));
    sender.send_replace(story(&events[..7]));
    sender.send_replace(story(&events));
    assert!(following.next().await.is_some_and(|story| story.end.is_some()));
    assert!(following.next().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_story_that_nobody_tells_any_more_has_an_end() {
    let (sender, receiver) = told(&rolled_back(STAGING)[..3]);
    drop(sender);
    let mut following = Following::new(receiver, Pace::OnceSafe);
    assert!(following.next().await.is_none() && following.next().await.is_none());
}
