//! PagerDuty's Events API v2: `/v2/enqueue` with its checks of an event, and the incidents that events make (PagerDuty
//! developer documentation, "Events API v2"). Wakes nobody.

use std::time::Duration;

use hyper::Method;
use serde_json::{Value, json};

use crate::{
    fault::Fault,
    server::{Call, Reply},
    shared::{Shared, lock},
};

/// How long a routing key is.
const KEY: usize = 32;
/// The longest `dedup_key`, and the longest `payload.summary`.
const DEDUP_KEY: usize = 255;
const SUMMARY: usize = 1024;
/// The largest event, in bytes.
const EVENT: usize = 512 * 1024;

/// What PagerDuty keeps: the incidents, in the order in which they began.
#[derive(Debug, Default)]
pub(crate) struct PagerDuty {
    pub(crate) incidents: Vec<Incident>,
}

/// An incident of PagerDuty's.
#[derive(Debug, Clone, PartialEq)]
pub struct Incident {
    /// What its events have in common.
    pub dedup_key: String,
    /// How it is.
    pub state: IncidentState,
    /// The summary that it was triggered with.
    pub summary: String,
    /// The severity that it was triggered with.
    pub severity: String,
    /// Its events, whole but for the routing key, in the order in which they came.
    pub events: Vec<Value>,
}

/// How an incident of PagerDuty's is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IncidentState {
    /// People are being called.
    Triggered,
    /// Somebody has taken it.
    Acknowledged,
    /// It is over.
    Resolved,
}

/// What an event does.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Action {
    Trigger,
    Acknowledge,
    Resolve,
}

impl Action {
    fn named(word: &str) -> Option<Self> {
        match word {
            "trigger" => Some(Self::Trigger),
            "acknowledge" => Some(Self::Acknowledge),
            "resolve" => Some(Self::Resolve),
            _ => None,
        }
    }
}

/// Answers a request to PagerDuty.
pub(crate) async fn handle(shared: &Shared, call: &Call) -> Reply {
    if shared.faults.is_on(Fault::PagerdutyDown) {
        return Reply::text(503, "upstream connect error");
    }
    if shared.faults.is_on(Fault::PagerdutySlow) {
        tokio::time::sleep(shared.slow.max(Duration::from_secs(1))).await;
    }
    if (&call.method, call.path.as_str()) != (&Method::POST, "/v2/enqueue") {
        return Reply::json(404, &json!({"status": "not found", "message": "There is nothing here."}));
    }
    if shared.faults.strikes(Fault::Pagerduty429) {
        return Reply::json(429, &json!({"status": "throttle exceeded", "message": "Requests for this service are arriving too quickly."}));
    }
    if call.body.len() > EVENT {
        return refused(vec!["The event is larger than 512 KB".to_owned()]);
    }
    match call.json() {
        Some(event) => enqueue(shared, event),
        None => refused(vec!["The event is no JSON object".to_owned()]),
    }
}

fn refused(errors: Vec<String>) -> Reply {
    Reply::json(400, &json!({"status": "invalid event", "message": "Event object is invalid", "errors": errors}))
}

fn enqueue(shared: &Shared, mut event: Value) -> Reply {
    let errors = wrong(shared, &event);
    let Some(action) = event["event_action"].as_str().and_then(Action::named).filter(|_| errors.is_empty()) else {
        return refused(errors);
    };
    let dedup_key = event["dedup_key"].as_str().map_or_else(|| shared.fresh_id().replace('-', ""), str::to_owned);
    if let Some(fields) = event.as_object_mut() {
        fields.remove("routing_key");
    }
    let text = |name: &str| event["payload"][name].as_str().unwrap_or_default().to_owned();
    let (summary, severity) = (text("summary"), text("severity"));
    let incidents = &mut lock(&shared.pagerduty).incidents;
    // A resolved one is over: the next trigger with its key begins another.
    let open = incidents.iter_mut().find(|incident| incident.dedup_key == dedup_key && incident.state != IncidentState::Resolved);
    match (action, open) {
        (Action::Trigger, Some(incident)) => incident.events.push(event),
        (Action::Trigger, None) => {
            let state = IncidentState::Triggered;
            incidents.push(Incident { dedup_key: dedup_key.clone(), state, summary, severity, events: vec![event] });
        }
        (Action::Acknowledge | Action::Resolve, Some(incident)) => {
            incident.state = if action == Action::Resolve { IncidentState::Resolved } else { IncidentState::Acknowledged };
            incident.events.push(event);
        }
        // Taken, and without effect.
        (Action::Acknowledge | Action::Resolve, None) => {}
    }
    Reply::json(202, &json!({"status": "success", "message": "Event processed", "dedup_key": dedup_key}))
}

/// What PagerDuty would refuse.
fn wrong(shared: &Shared, event: &Value) -> Vec<String> {
    let mut errors = Vec::new();
    let length = |value: &Value| value.as_str().map_or(0, |text| text.chars().count());
    let routing_key = &event["routing_key"];
    match () {
        () if length(routing_key) == 0 => errors.push("'routing_key' is missing or blank".to_owned()),
        () if length(routing_key) != KEY => {
            errors.push(format!("Length of 'routing_key' is incorrect (should be {KEY} characters)"));
        }
        () if routing_key != shared.pagerduty_routing_key.as_str() => errors.push("Invalid routing key".to_owned()),
        () => {}
    }
    if length(&event["dedup_key"]) > DEDUP_KEY {
        errors.push(format!("'dedup_key' is longer than {DEDUP_KEY} characters"));
    }
    match event["event_action"].as_str().and_then(Action::named) {
        None => errors.push("'event_action' is missing or not one of trigger, acknowledge, resolve".to_owned()),
        Some(Action::Acknowledge | Action::Resolve) => {
            if length(&event["dedup_key"]) == 0 {
                errors.push("'dedup_key' is missing or blank".to_owned());
            }
        }
        Some(Action::Trigger) => {
            let payload = &event["payload"];
            for field in ["summary", "source"] {
                if length(&payload[field]) == 0 {
                    errors.push(format!("'payload.{field}' is missing or blank"));
                }
            }
            if length(&payload["summary"]) > SUMMARY {
                errors.push(format!("'payload.summary' is longer than {SUMMARY} characters"));
            }
            if !matches!(payload["severity"].as_str(), Some("critical" | "error" | "warning" | "info")) {
                errors.push("'payload.severity' is missing or not one of critical, error, warning, info".to_owned());
            }
            let timestamp = &payload["timestamp"];
            if !timestamp.is_null() && timestamp.as_str().is_none_or(|text| text.parse::<jiff::Timestamp>().is_err()) {
                errors.push("'payload.timestamp' is no ISO 8601 time".to_owned());
            }
        }
    }
    errors
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Options, Switch, Times, World};

    async fn send(world: &World, event: &Value) -> (u16, Value) {
        let mut event = event.clone();
        if event.get("routing_key").is_none() {
            event["routing_key"] = json!(world.shared().pagerduty_routing_key);
        }
        handle(world.shared(), &Call::of("POST", "/v2/enqueue", "", &event)).await.read()
    }

    fn trigger(dedup_key: &str) -> Value {
        json!({"event_action": "trigger", "dedup_key": dedup_key, "payload": {"summary": "s", "source": "prod", "severity": "critical"}})
    }

    #[tokio::test]
    async fn a_key_joins_events_until_it_is_resolved() {
        let world = World::start(Options::quick()).await.unwrap();
        let action = |action: &str| json!({"event_action": action, "dedup_key": "k"});
        assert_eq!(send(&world, &action("resolve")).await.0, 202, "of nothing: taken, and without effect");
        assert!(world.pagerduty_incidents().is_empty());
        let (status, answer) = send(&world, &trigger("k")).await;
        assert_eq!((status, &answer["status"], &answer["dedup_key"]), (202, &json!("success"), &json!("k")));
        send(&world, &trigger("k")).await;
        assert_eq!(world.pagerduty_incidents().len(), 1);
        send(&world, &action("acknowledge")).await;
        assert_eq!(world.pagerduty_incidents()[0].state, IncidentState::Acknowledged);
        send(&world, &action("resolve")).await;
        send(&world, &trigger("k")).await;
        let incidents = world.pagerduty_incidents();
        let states: Vec<_> = incidents.iter().map(|incident| (incident.state, incident.events.len())).collect();
        assert_eq!(states, [(IncidentState::Resolved, 4), (IncidentState::Triggered, 1)]);
        assert!(!format!("{incidents:?}").contains(&world.shared().pagerduty_routing_key));
    }

    #[tokio::test]
    async fn a_trigger_without_a_key_gets_one() {
        let world = World::start(Options::quick()).await.unwrap();
        let mut event = trigger("");
        event.as_object_mut().unwrap().remove("dedup_key");
        let (_, answer) = send(&world, &event).await;
        assert_eq!(answer["dedup_key"], world.pagerduty_incidents()[0].dedup_key.as_str());
        assert_ne!(answer["dedup_key"], "");
    }

    #[tokio::test]
    async fn what_pagerduty_refuses_is_refused_with_its_reason() {
        let world = World::start(Options::quick()).await.unwrap();
        let with = |path: &str, value: Value| {
            let mut event = trigger("k");
            *event.pointer_mut(path).unwrap() = value;
            event
        };
        let mut other = trigger("k");
        other["routing_key"] = json!("0".repeat(32));
        let mut short = trigger("k");
        short["routing_key"] = json!("abc");
        for (event, why) in [
            (other, "Invalid routing key"),
            (short, "should be 32 characters"),
            (with("/event_action", json!("trigered")), "event_action"),
            (with("/payload/severity", json!("high")), "severity"),
            (with("/payload/summary", json!("s".repeat(1025))), "longer than 1024"),
            (with("/payload/source", json!("")), "source"),
            (with("/dedup_key", json!("k".repeat(256))), "dedup_key"),
            (json!({"event_action": "resolve"}), "dedup_key"),
        ] {
            let (status, answer) = send(&world, &event).await;
            assert_eq!((status, &answer["status"]), (400, &json!("invalid event")), "{why}");
            assert!(answer["errors"].to_string().contains(why), "{answer}");
        }
        assert!(world.pagerduty_incidents().is_empty());
    }

    #[tokio::test]
    async fn it_can_be_down_or_busy() {
        let world = World::start(Options::quick()).await.unwrap();
        world.switch(Fault::Pagerduty429, Switch::On, Times::First(1)).await;
        assert_eq!([send(&world, &trigger("k")).await.0, send(&world, &trigger("k")).await.0], [429, 202]);
        world.fault(Fault::PagerdutyDown).await;
        assert_eq!(send(&world, &trigger("k")).await.0, 503);
    }
}
