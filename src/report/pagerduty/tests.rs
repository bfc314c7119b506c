//! What PagerDuty is sent, and what becomes of its answers.

use super::*;
use crate::{
    failure::FailureKind,
    report::{
        delivery::tests::{Asked, Say, Service as Loopback, client},
        incident::tests::{PROD, STAGING, begun, breach, failure, finished, planned, requested, rolled_back, story, taking_back},
    },
};

const KEY: &str = "0123456789abcdef0123456789abcdef";

async fn telling(say: impl FnMut(&Asked) -> Say + Send + 'static, stories: Vec<Story>) -> (Result<Told, String>, Vec<Asked>) {
    let loopback = Loopback::start(say).await;
    let service = Service { key: Secret::new(KEY.into()), events: loopback.base.clone(), severity: Severity::Critical };
    let mut masks = Masks::default();
    masks.add(&service.key);
    let mut stories = stories.into_iter();
    let (sender, receiver) = watch::channel(stories.next().unwrap_or_default());
    let task = tokio::spawn(tell(client(), service, masks, receiver));
    for story in stories {
        // One after the other, so that each is seen: the next one only once the one before has arrived.
        let before = loopback.asked().len();
        while loopback.asked().len() == before && !task.is_finished() {
            tokio::task::yield_now().await;
        }
        sender.send_replace(story);
    }
    let told = task.await.expect("it ends");
    (told, loopback.asked())
}

fn accepts(_: &Asked) -> Say {
    Say::This(202, json!({"status": "success", "message": "Event processed"}))
}

fn shown(told: Result<Told, String>) -> String {
    match told {
        Ok(Told::This(what)) => what,
        Ok(Told::Nothing) => "nothing".into(),
        Err(why) => format!("error: {why}"),
    }
}

#[tokio::test]
async fn an_automatic_rollback_is_one_alert_told_when_traffic_is_safe_and_again_at_the_end() {
    let events = rolled_back(STAGING);
    let (told, asked) = telling(accepts, vec![story(&events[..7]), story(&events)]).await;
    let key = "deploy-action/nextgen-market/nextgen-market/staging";
    assert_eq!(shown(told), format!("triggered {key}"));
    let seen: Vec<_> = asked.iter().map(|asked| (asked.path.as_str(), &asked.body["event_action"], &asked.body["dedup_key"])).collect();
    let trigger = ("/v2/enqueue", &json!("trigger"), &json!(key));
    assert_eq!(seen, [trigger, trigger]);
    insta::assert_json_snapshot!("alert", asked[1].body);
    assert_eq!(asked[0].body["payload"]["custom_details"]["outcome"], "being taken back");
}

#[tokio::test]
async fn a_persons_rollback_acknowledges_and_its_success_resolves() {
    let beginning = [requested(PROD, "roll-back"), planned(PROD, "roll-back"), begun()];
    let end = [beginning.as_slice(), &[finished("rolled-back", &Value::Null)]].concat();
    let (told, asked) = telling(accepts, vec![story(&beginning), story(&end)]).await;
    let bodies: Vec<&Value> = asked.iter().map(|asked| &asked.body).collect();
    let event =
        |action: &str| json!({"routing_key": KEY, "event_action": action, "dedup_key": "deploy-action/nextgen-market/nextgen-market/prod"});
    assert_eq!(bodies, [&event("acknowledge"), &event("resolve")]);
    assert_eq!(shown(told), "acknowledged, resolved deploy-action/nextgen-market/nextgen-market/prod");
}

#[tokio::test]
async fn nothing_is_sent_of_what_is_refused_or_not_behind_traffic_manager() {
    for events in [vec![requested(STAGING, "deploy"), finished("refused", &breach())], rolled_back(("dev", "direct"))] {
        let (told, asked) = telling(accepts, vec![story(&events)]).await;
        assert_eq!((shown(told).as_str(), asked.len()), ("nothing", 0));
    }
}

#[tokio::test]
async fn a_refusal_is_told_in_pagerdutys_words() {
    let words = json!({"status": "invalid event", "message": "Event object is invalid",
        "errors": ["Length of 'routing_key' is incorrect (should be 32 characters)"]});
    let (told, asked) = telling(move |_| Say::This(400, words.clone()), vec![story(&rolled_back(STAGING))]).await;
    assert_eq!(asked.len(), 1);
    insta::assert_snapshot!(shown(told), @"error: trigger deploy-action/nextgen-market/nextgen-market/staging: HTTP 400 Bad Request invalid event: Event object is invalid: Length of 'routing_key' is incorrect (should be 32 characters); check pagerduty-routing-key: the integration key of an Events API v2 integration, 32 characters");
}

#[tokio::test]
async fn a_busy_pagerduty_is_asked_again() {
    let mut busy = 2;
    let says = move |asked: &Asked| {
        busy -= 1;
        if busy >= 0 { Say::This(429, Value::Null) } else { accepts(asked) }
    };
    let (told, asked) = telling(says, vec![story(&rolled_back(STAGING))]).await;
    assert_eq!((asked.len(), shown(told).starts_with("triggered")), (3, true));
}

/// The alert of a story, as it would be sent.
fn of(events: &[Value]) -> Value {
    let story = story(events);
    let (Standing::Open(incident), Some(rollout)) = (standing(&story), &story.rollout) else { panic!("an incident") };
    alert(&story, rollout, &incident, Severity::Warning)
}

#[test]
fn what_strangers_write_stays_one_short_line() {
    let hostile = format!("boom\r\n\u{1b}[31m\u{202e}\u{0}{}", "A".repeat(5000));
    let alert =
        of(&[requested(STAGING, "deploy"), planned(STAGING, "deploy"), begun(), taking_back(&failure(FailureKind::Smoke, &hostile))]);
    let summary = alert["payload"]["summary"].as_str().expect("a summary");
    assert_eq!(summary.chars().count(), SUMMARY, "{summary}");
    let details = alert["payload"]["custom_details"].to_string();
    for text in [summary, details.as_str()] {
        assert!(!text.contains(|c: char| c.is_control() || c == '\u{202e}'), "{text}");
    }
    assert!(alert.to_string().len() < 64 * 1024);
    assert_eq!(alert["payload"]["severity"], "warning");
}

#[test]
fn a_summary_says_what_and_why_in_one_line() {
    let held = failure(FailureKind::NoEvidence, "aci-staging-green was watched to the end, and there is too little evidence to trust it");
    let made_safe = [requested(PROD, "make-safe"), finished("rolled-back", &Value::Null)];
    let events = rolled_back(STAGING);
    let all: Vec<String> = [
        &events[..6],
        &events[..7],
        &events,
        &[requested(STAGING, "deploy"), finished("held", &held)],
        &[requested(PROD, "roll-back"), finished("failed", &failure(FailureKind::AzureUnreachable, "Azure did not answer"))],
        &made_safe,
    ]
    .into_iter()
    .map(|events| of(events)["payload"]["summary"].as_str().expect("a summary").to_owned())
    .collect();
    insta::assert_snapshot!(all.join("\n"), @"
    nextgen-market: Staging deployment of main-a1b2c3d is being taken back, and people are still sent to it: error-rate 2.4 % > 0 % (max), 2 of 2 in a row; 31 errors in 1290 requests
    nextgen-market: Staging deployment of main-a1b2c3d is being taken back: error-rate 2.4 % > 0 % (max), 2 of 2 in a row; 31 errors in 1290 requests
    nextgen-market: Staging deployment rolled back (main-a1b2c3d): error-rate 2.4 % > 0 % (max), 2 of 2 in a row; 31 errors in 1290 requests
    nextgen-market: Staging deployment held: a person must decide (main-a1b2c3d): aci-staging-green was watched to the end, and there is too little evidence to trust it
    nextgen-market: Production rollback failed (main-a1b2c3d): Azure did not answer
    nextgen-market: Production made safe: main-a1b2c3d serves: an interrupted run had left it half-way
    ");
}
