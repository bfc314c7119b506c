//! What people read in the channel for incidents.

use super::*;
use crate::{
    failure::FailureKind,
    report::incident::tests::{PROD, STAGING, failure, finished, requested, rolled_back, story},
};

fn of(events: &[Value]) -> Value {
    let story = story(events);
    let Standing::Open(incident) = standing(&story) else { panic!("an incident") };
    incident_message(&story, &incident)
}

#[test]
fn the_alert_says_what_where_which_and_what_was_done() {
    let events = rolled_back(STAGING);
    insta::assert_json_snapshot!("safe", of(&events[..7]));
    insta::assert_json_snapshot!("ended", of(&events));
}

#[test]
fn the_end_of_a_persons_rollback_is_told() {
    let story = story(&[requested(PROD, "roll-back"), finished("rolled-back", &Value::Null)]);
    insta::assert_json_snapshot!("resolved", resolved(&story));
}

#[test]
fn what_strangers_write_mentions_nobody_and_fits() {
    let hostile = format!("<!channel> <@U1> <https://evil|click> & \n{}", "&".repeat(4000));
    let message = of(&[requested(STAGING, "deploy"), finished("held", &failure(FailureKind::Smoke, &hostile))]);
    let shown = message.to_string();
    assert!(!shown.contains("<!channel>") && !shown.contains("<@U1>") && !shown.contains("<https://evil"), "{shown}");
    for block in message["blocks"].as_array().expect("blocks") {
        let length = |text: &Value| text["text"].as_str().map_or(0, |text| text.chars().count());
        assert!(length(&block["text"]) <= 3000, "{block}");
        let fields = block["fields"].as_array().map_or(&[][..], Vec::as_slice);
        assert!(fields.len() <= 10 && fields.iter().all(|field| length(field) <= 2000), "{block}");
    }
}
