//! Slack: chat.postMessage, chat.update and an incoming webhook, with Slack's checks of what Block Kit allows.

use std::time::Duration;

use hyper::Method;
use serde_json::{Value, json};

use crate::{
    fault::Fault,
    server::{Call, Reply},
    shared::{Shared, lock},
};

/// The webhook's path.
pub(crate) const WEBHOOK: &str = "/services/T00000000/B00000000/sandboxsandboxsandboxsan";

/// What Slack shows: the messages, each as it was sent or updated last.
#[derive(Debug, Default)]
pub(crate) struct Slack {
    pub(crate) messages: Vec<(String, Value)>,
}

/// Answers a request to Slack.
pub(crate) async fn handle(shared: &Shared, call: &Call) -> Reply {
    if shared.faults.is_on(Fault::SlackDown) {
        return Reply::text(503, "upstream connect error");
    }
    if shared.faults.is_on(Fault::SlackSlow) {
        tokio::time::sleep(shared.slow.max(Duration::from_secs(1))).await;
    }
    let body = call.json().unwrap_or(Value::Null);
    if call.method != Method::POST {
        return Reply::text(404, "not found");
    }
    if call.path == WEBHOOK {
        return match wrong(&body) {
            Some(_) => Reply::text(400, "invalid_blocks"),
            None => {
                let mut slack = lock(&shared.slack);
                let ts = format!("1763990000.{:06}", slack.messages.len() + 1);
                slack.messages.push((ts, body));
                Reply::text(200, "ok")
            }
        };
    }
    if call.bearer() != Some(shared.slack_bot_token.as_str()) {
        return Reply::json(200, &json!({"ok": false, "error": "invalid_auth"}));
    }
    if let Some(error) = wrong(&body) {
        return Reply::json(200, &json!({"ok": false, "error": "invalid_blocks", "errors": [error]}));
    }
    let mut slack = lock(&shared.slack);
    let ts = match call.path.as_str() {
        "/api/chat.postMessage" => {
            let ts = format!("1763990000.{:06}", slack.messages.len() + 1);
            slack.messages.push((ts.clone(), body));
            ts
        }
        "/api/chat.update" => {
            let ts = body.get("ts").and_then(Value::as_str).unwrap_or_default().to_owned();
            match slack.messages.iter_mut().find(|(known, _)| *known == ts) {
                Some((_, message)) if body["channel"] == "C0SANDBOX" => *message = body,
                Some(_) => return Reply::json(200, &json!({"ok": false, "error": "channel_not_found"})),
                None => return Reply::json(200, &json!({"ok": false, "error": "message_not_found"})),
            }
            ts
        }
        _ => return Reply::json(200, &json!({"ok": false, "error": "unknown_method"})),
    };
    Reply::json(200, &json!({"ok": true, "channel": "C0SANDBOX", "ts": ts}))
}

/// What Slack would refuse (Block Kit reference: 50 blocks, 3000 characters a text, 10 fields of 2000).
fn wrong(body: &Value) -> Option<String> {
    let blocks = body.get("blocks").and_then(Value::as_array)?;
    let length = |text: &Value| text.get("text").and_then(Value::as_str).map_or(0, |text| text.chars().count());
    if blocks.is_empty() || blocks.len() > 50 {
        return Some("blocks: 1 to 50".into());
    }
    for block in blocks {
        let fields = block.get("fields").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        let text = block.get("text");
        match block.get("type").and_then(Value::as_str) {
            Some("section") if text.is_some() || !fields.is_empty() => {}
            Some("divider" | "header" | "context" | "actions") => {}
            other => return Some(format!("block type {other:?}")),
        }
        if text.is_some_and(|text| length(text) == 0 || length(text) > 3000)
            || fields.len() > 10
            || fields.iter().any(|field| length(field) > 2000)
        {
            return Some("a text is empty or too long".into());
        }
    }
    None
}
