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

/// The channel that the webhook posts to.
const USUAL: &str = "#nextgen-devops";

/// What Slack shows: the messages, each as it was sent or updated last.
#[derive(Debug, Default)]
pub(crate) struct Slack {
    pub(crate) messages: Vec<Message>,
}

/// A message.
#[derive(Debug)]
pub(crate) struct Message {
    ts: String,
    /// Its channel, by the name under which it was posted.
    pub(crate) channel: String,
    pub(crate) body: Value,
}

impl Slack {
    /// Posts a message; gives its time stamp.
    fn post(&mut self, channel: &str, body: Value) -> String {
        let ts = format!("1763990000.{:06}", self.messages.len() + 1);
        self.messages.push(Message { ts: ts.clone(), channel: channel.to_owned(), body });
        ts
    }
}

/// The id of a channel: updates go by it, not by the name.
fn id(channel: &str) -> String {
    let letters = channel.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_uppercase());
    format!("C0{}", letters.collect::<String>())
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
                lock(&shared.slack).post(USUAL, body);
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
    let text = |name: &str| body.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let (channel, ts) = (text("channel"), text("ts"));
    let mut slack = lock(&shared.slack);
    let (channel, ts) = match call.path.as_str() {
        "/api/chat.postMessage" if channel.is_empty() => return Reply::json(200, &json!({"ok": false, "error": "channel_not_found"})),
        "/api/chat.postMessage" => (id(&channel), slack.post(&channel, body)),
        "/api/chat.update" => match slack.messages.iter_mut().find(|message| message.ts == ts) {
            Some(message) if channel == id(&message.channel) => {
                message.body = body;
                (channel, ts)
            }
            Some(_) => return Reply::json(200, &json!({"ok": false, "error": "channel_not_found"})),
            None => return Reply::json(200, &json!({"ok": false, "error": "message_not_found"})),
        },
        _ => return Reply::json(200, &json!({"ok": false, "error": "unknown_method"})),
    };
    Reply::json(200, &json!({"ok": true, "channel": channel, "ts": ts}))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Options, World};

    #[tokio::test]
    async fn a_message_is_updated_in_its_channel_by_the_channels_id() {
        let world = World::start(Options::quick()).await.unwrap();
        let shared = world.shared();
        let send = async |method: &str, body: Value| {
            handle(shared, &Call::of("POST", &format!("/api/chat.{method}"), &shared.slack_bot_token, &body)).await.read().1
        };
        let (one, other) = ("#nextgen-devops", "#nextgen-incidents");
        let posted = send("postMessage", json!({"channel": one, "text": "a"})).await;
        let alarm = send("postMessage", json!({"channel": other, "text": "b"})).await;
        assert_ne!(posted["channel"], alarm["channel"]);
        let update = |channel: &Value, ts: &Value| json!({"channel": channel, "ts": ts, "text": "c"});
        assert_eq!(send("update", update(&alarm["channel"], &posted["ts"])).await["error"], "channel_not_found");
        assert_eq!(send("update", update(&json!(other), &alarm["ts"])).await["error"], "channel_not_found", "a name will not do");
        assert_eq!(send("update", update(&alarm["channel"], &alarm["ts"])).await["ok"], true);
        assert_eq!(world.slack_messages_in(other)[0]["text"], "c");
        assert_eq!(world.slack_messages_in(one)[0]["text"], "a");
    }
}
