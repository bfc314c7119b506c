//! Production's messages, in the runbook's words.

use super::*;
use crate::report::{
    release::tests::{bad, good},
    slack::message,
};

/// A message as it is read: each block's texts.
fn read(message: &Value) -> String {
    let blocks = message["blocks"].as_array().expect("blocks");
    let texts = blocks.iter().flat_map(|block| std::iter::once(&block["text"]).chain(block["fields"].as_array().into_iter().flatten()));
    texts.filter_map(|text| text["text"].as_str()).collect::<Vec<_>>().join("\n\n")
}

#[test]
fn the_final_notification_is_the_runbooks() {
    insta::assert_snapshot!("complete", read(&message(&good(5))));
}

#[test]
fn what_is_not_known_is_said_to_be_so() {
    let mut story = good(5);
    story.changes = None;
    let said = read(&message(&story));
    assert!(said.contains("Changes:\n    not known") && said.contains("Uptime: not measured"), "{said}");
    if let Some(rollout) = &mut story.rollout {
        rollout.dashboard = Some("https://metrics.example/d/1".into());
    }
    assert!(read(&message(&story)).contains("Dashboard: <https://metrics.example/d/1|metrics.example>"));
}

#[test]
fn under_way_it_says_how_far_it_is_and_at_each_gate_why() {
    let under_way = good(2);
    insta::assert_snapshot!("under_way", read(&message(&under_way)));
    let told: Vec<String> = notices(&bad()).iter().map(read).collect();
    insta::assert_snapshot!("notices", told.join("\n\n---\n\n"));
    // Each gate is told once, in order, and none before it is decided.
    assert_eq!([0, 1, 2, 5].map(|phases| notices(&good(phases)).len()), [1, 2, 3, 6]);
    for phases in 1..5 {
        let (before, after) = (notices(&good(phases)), notices(&good(phases + 1)));
        assert_eq!(after[..before.len()], before[..]);
    }
}

#[test]
fn what_was_taken_back_is_an_alert_with_its_numbers() {
    insta::assert_snapshot!("taken_back", read(&message(&bad())));
    let last = ended(&bad());
    assert_eq!((last["reply_broadcast"].as_bool(), read(&last).as_str()), (Some(true), "↩️ Production deployment rolled back: `v1.0.0`"));
}

#[test]
fn every_message_is_within_slacks_limits_and_mentions_nobody() {
    let mut story = good(5);
    if let Some(changes) = &mut story.changes {
        let many = changes.changes.first().cloned().expect("one");
        changes.changes = vec![crate::changes::Change { what: "<!channel> & `x` ".repeat(20), ..many }; 200];
    }
    let all =
        [message(&story), message(&good(2)), message(&bad()), ended(&story)].into_iter().chain(notices(&story)).chain(notices(&bad()));
    for message in all {
        let blocks = message["blocks"].as_array().expect("blocks");
        assert!(blocks.len() <= 50, "{message}");
        for text in blocks.iter().flat_map(|block| std::iter::once(&block["text"]).chain(block["fields"].as_array().into_iter().flatten()))
        {
            let Some(words) = text["text"].as_str() else { continue };
            assert!((1..=3000).contains(&words.chars().count()) && text["verbatim"] == true, "{text}");
            assert!(!words.contains("<!"), "{words}");
        }
    }
}
