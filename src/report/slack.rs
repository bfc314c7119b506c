//! Slack: with a bot token one message that is updated as the run goes, with a webhook a single one at the end. A release to
//! production says each gate's decision in the message's thread, and at the end one line in the channel.
//! Cannot hold anything up: it runs beside the rollout, and each call has its limit.

mod incidents;
mod production;

use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};
use tokio::{sync::watch, time::Instant};
use url::Url;

pub(super) use incidents::tell as tell_incidents;

use super::{
    Told,
    delivery::{TRIES, deliver},
    story::{self, Story},
    text::scrub,
};
use crate::{
    domain::{InstanceName, Masks, Outcome, Secret, Strategy, Version},
    execute::Rollout,
    failure::Failure,
    plan::Aim,
};

/// Characters of a section's text and of a field (Slack: Block Kit reference: 3000 and 2000).
const SECTION: usize = 2900;
const FIELD: usize = 1900;

/// Steps that are shown of what to do next; the summary has all.
const STEPS: usize = 5;

/// Between two updates of a message (Slack: chat.update is tier 3, about 50 a minute).
const BETWEEN: Duration = Duration::from_millis(1200);

/// Where messages go.
#[derive(Debug, Clone)]
pub enum Destination {
    /// By the Web API: the message is updated.
    Bot {
        /// A bot's token.
        token: Secret,
        /// Base of the API.
        api: Url,
        /// The channel.
        channel: String,
    },
    /// By an incoming webhook: one message at the end.
    Webhook(Secret),
}

/// Sends what the story says, until it has ended.
///
/// # Errors
/// Why the last message could not be delivered.
pub(super) async fn tell(
    client: reqwest::Client,
    destination: Destination,
    masks: Masks,
    mut stories: watch::Receiver<Story>,
) -> Result<Told, String> {
    let place = match &destination {
        Destination::Bot { channel, .. } => channel.clone(),
        Destination::Webhook(_) => "the webhook's channel".into(),
    };
    let mut ts: Option<String> = None;
    let mut trouble = None;
    let mut last: Option<Value> = None;
    // Of the gates that are decided, so many were told to the thread.
    let mut gates = 0;
    loop {
        let story = stories.borrow_and_update().clone();
        let over = story.end.is_some();
        let mut next = Instant::now();
        if story.rollout.is_some() && (over || matches!(destination, Destination::Bot { .. })) {
            let message = scrub(message(&story), &masks);
            let was_posted = ts.is_some();
            // Most of what happens changes nothing in the message.
            if last.as_ref() != Some(&message) {
                match send(&client, &destination, message.clone(), ts.as_deref()).await {
                    Ok(sent) => {
                        ts = sent.or(ts);
                        trouble = None;
                        last = Some(message);
                    }
                    Err(why) => trouble = Some(why),
                }
                next += BETWEEN;
            }
            if let (Some(ts), true) = (&ts, was_posted && trouble.is_none() && is_canary(&story)) {
                let decided = production::notices(&story);
                // What is left of the thread at the end says nothing that the message does not.
                let reply = if over { Some(production::ended(&story)) } else { decided.get(gates).cloned() };
                if let Some(reply) = reply
                    && self::reply(&client, &destination, scrub(reply, &masks), ts).await.is_ok()
                {
                    gates += 1;
                    next += BETWEEN;
                }
            }
        }
        if over {
            return told(place, trouble);
        }
        // The end is told at once; what happens on the way at Slack's pace, the latest state only.
        if stories.changed().await.is_err() {
            return told(place, trouble);
        }
        while stories.borrow().end.is_none() {
            let waited = tokio::time::timeout_at(next, stories.changed()).await;
            match waited {
                Err(_) => break,
                Ok(Err(_)) => return told(place, trouble),
                Ok(Ok(())) => {}
            }
        }
    }
}

/// Sends one message that no rollout stands behind: `text` is mrkdwn, with strangers' texts made harmless already.
///
/// # Errors
/// Why it could not be delivered.
pub async fn note(client: &reqwest::Client, destination: &Destination, text: &str, masks: &Masks) -> Result<(), String> {
    let first = text.lines().next().unwrap_or_default();
    let message = json!({
        "text": cut(first, SECTION), "blocks": [{"type": "section", "text": mrkdwn(text, SECTION)}], "unfurl_links": false,
        "unfurl_media": false,
    });
    send(client, destination, scrub(message, masks), None).await.map(|_| ())
}

fn is_canary(story: &Story) -> bool {
    story.rollout.as_ref().is_some_and(|rollout| rollout.strategy == Strategy::Canary)
}

/// Answers in the thread of the message `ts`.
async fn reply(client: &reqwest::Client, destination: &Destination, mut message: Value, ts: &str) -> Result<(), String> {
    let Some((_, parent)) = ts.split_once('/') else { return Ok(()) };
    message["thread_ts"] = json!(parent);
    // Tried once: the message itself, which says the same at the end, never waits long for its thread.
    send_within(1, client, destination, message, None).await.map(|_| ())
}

fn told(place: String, trouble: Option<String>) -> Result<Told, String> {
    trouble.map_or(Ok(Told::This(place)), Err)
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Answer {
    ok: bool,
    error: String,
    ts: Option<String>,
    channel: Option<String>,
}

/// Sends or updates; gives the message's `ts` (and channel id, which updates need) where there is one.
async fn send(client: &reqwest::Client, destination: &Destination, message: Value, ts: Option<&str>) -> Result<Option<String>, String> {
    send_within(TRIES, client, destination, message, ts).await
}

/// The same, with at most so many tries.
async fn send_within(
    tries: u32,
    client: &reqwest::Client,
    destination: &Destination,
    mut message: Value,
    ts: Option<&str>,
) -> Result<Option<String>, String> {
    let (url, token) = match destination {
        Destination::Webhook(url) => (Url::parse(url.expose()).map_err(|_| "the webhook's URL is no URL".to_owned())?, None),
        Destination::Bot { token, api, channel } => {
            let (id, method) = match ts.and_then(|ts| ts.split_once('/')) {
                Some((id, ts)) => {
                    message["ts"] = json!(ts);
                    (id, "chat.update")
                }
                None => (channel.as_str(), "chat.postMessage"),
            };
            message["channel"] = json!(id);
            let mut url = api.clone();
            url.path_segments_mut().map_err(|()| "slack-api-url is no base".to_owned())?.pop_if_empty().push(method);
            (url, Some(token))
        }
    };
    let request = || {
        let request = client.post(url.clone()).json(&message);
        match token {
            Some(token) => request.bearer_auth(token.expose()),
            None => request,
        }
    };
    let answer = deliver(tries, request).await.map_err(|error| error.to_string())?;
    match destination {
        Destination::Webhook(_) => Ok(None),
        Destination::Bot { .. } => accepted(answer.json().await.unwrap_or_default()),
    }
}

fn accepted(answer: Answer) -> Result<Option<String>, String> {
    if answer.ok {
        return Ok(answer.channel.zip(answer.ts).map(|(channel, ts)| format!("{channel}/{ts}")));
    }
    let advice = match answer.error.as_str() {
        "not_in_channel" => ": invite the bot (/invite @deploy-action in the channel)",
        "channel_not_found" => ": check `notify.slack.channel`; a private channel needs the bot invited",
        "invalid_auth" | "not_authed" | "account_inactive" | "token_revoked" | "token_expired" => {
            ": the token in slack-bot-token is not valid"
        }
        "missing_scope" => ": give the bot the scope chat:write",
        "is_archived" => ": the channel is archived",
        _ => "",
    };
    let error: String = answer.error.chars().filter(|c| !c.is_control()).take(100).collect();
    Err(format!("{error}{advice}"))
}

/// The message (Block Kit), the runbook's fields in the runbook's order.
#[must_use]
pub fn message(story: &Story) -> Value {
    let headline = story::headline(story);
    if production::is_complete(story) {
        let mut blocks = production::complete(story);
        blocks.extend(overridden(story));
        return json!({"text": cut(&escape(&headline), SECTION), "blocks": blocks, "unfurl_links": false, "unfurl_media": false});
    }
    let mut blocks = vec![json!({"type": "section", "text": mrkdwn(&format!("*{}*", escape(&headline)), SECTION)})];
    let mut fields = Vec::new();
    let mut field = |name: &str, value: String| fields.push(mrkdwn(&format!("*{name}*\n{value}"), FIELD));
    if let Some(rollout) = &story.rollout {
        match rollout.strategy {
            Strategy::Direct | Strategy::Canary => field("Version", format!("`{}`", escape(story.version_words()))),
            Strategy::BlueGreen => sides(story, rollout).into_iter().for_each(|(name, value)| field(name, value)),
        }
        if let Some(end) = &story.end {
            field("Duration", story::duration(end.duration_ms));
        }
        field("Status", status(story));
        // A good answer of a version that was not to be is no news.
        if let Some(probe) = story.probes.last().filter(|probe| !(probe.result.is_good() && story.has_ended_badly())) {
            let path = Url::parse(&probe.url).map_or_else(|_| probe.url.clone(), |url| url.path().to_owned());
            field("Health", format!("{} → {}", escape(&path), escape(&story::answer(&probe.result))));
        }
        if let Some(links) = links(rollout) {
            field("Logs", links);
        }
    }
    if !fields.is_empty() {
        blocks.push(json!({"type": "section", "fields": fields}));
    }
    blocks.extend(production::phases(story).filter(|_| !story.has_ended_badly()));
    if let Some(failure) = story.end.as_ref().and_then(|end| end.failure.as_ref()) {
        blocks.push(explanation(story, failure));
    }
    blocks.extend(overridden(story));
    if is_ready_for_production(story) {
        let prompt = "Ready for production approval? Comment on the pull request: `/ready-for-prod`";
        blocks.push(json!({"type": "section", "text": mrkdwn(prompt, SECTION)}));
    }
    json!({"text": cut(&escape(&headline), SECTION), "blocks": blocks, "unfurl_links": false, "unfurl_media": false})
}

/// The rows of the checklist that somebody has overridden: every message about that release says so (runbook "Escalation").
fn overridden(story: &Story) -> impl Iterator<Item = Value> {
    let sentences = story.overridden().into_iter();
    sentences.map(|sentence| json!({"type": "section", "text": mrkdwn(&format!("⚠️ *Overridden*: {}", escape(&sentence)), SECTION)}))
}

/// Links to the run and to what people look at, where there are any.
fn links(rollout: &Rollout) -> Option<String> {
    let links = [("Workflow run", &rollout.run_url), ("Dashboard", &rollout.dashboard)];
    let links: Vec<String> = links.into_iter().filter_map(|(name, url)| Some(format!("<{}|{name}>", target(url.as_deref()?)))).collect();
    (!links.is_empty()).then(|| links.join(" · "))
}

/// What happened, what it means, and what to do: the runbook's steps where they are known.
fn explanation(story: &Story, failure: &Failure) -> Value {
    let mut text = format!("*What happened*: {}", escape(&failure.what));
    if !failure.consequence.is_empty() {
        text.push_str(&format!("\n*It means*: {}", escape(&failure.consequence)));
    }
    // What this failure asks for goes before what the runbook says of its kind.
    let advice = story.diagnosis.iter().flat_map(|diagnosis| &diagnosis.advice);
    for step in failure.next.iter().chain(advice).take(STEPS) {
        text.push_str(&format!("\n• {}", escape(step)));
    }
    json!({"type": "section", "text": mrkdwn(&text, SECTION)})
}

/// Whether production is the next step: a new version has proved itself behind the blue-green switch (runbook Scenario 2,
/// Step 8).
fn is_ready_for_production(story: &Story) -> bool {
    let is_blue_green = story.rollout.as_ref().is_some_and(|rollout| rollout.strategy == Strategy::BlueGreen);
    let is_healthy = story.end.as_ref().is_some_and(|end| end.outcome == Outcome::Healthy);
    is_blue_green && is_healthy && story.aim() != Aim::RollBack
}

/// What a blue-green message says of the two sides (runbook Scenario 2, Step 8: Branch, Commit, Previous, Current).
fn sides(story: &Story, rollout: &Rollout) -> Vec<(&'static str, String)> {
    let mut fields = Vec::new();
    if let Some(branch) = &rollout.git_ref {
        fields.push(("Branch", format!("`{}`", escape(branch))));
    }
    if let Some(sha) = story.sha() {
        let short = escape(sha.get(..7).unwrap_or(sha));
        let shown = rollout.commit_url.as_ref().map_or_else(|| format!("`{short}`"), |url| format!("<{}|{short}>", target(url)));
        fields.push(("Commit", shown));
    }
    let version = escape(story.version_words());
    let previous = story.plan.as_ref().and_then(|plan| plan.previous.as_ref()).map_or("nothing", |version| version.as_str());
    match story.current() {
        Some(switched) => {
            let of = |instance: &InstanceName| {
                let version = story.runs(instance).map_or("nothing", Version::as_str);
                format!("{} (`{}`)", escape(instance.as_str()), escape(version))
            };
            if let Some(from) = &switched.from {
                fields.push(("Previous", of(&from.instance)));
            }
            fields.push(("Current", of(&switched.to.instance)));
        }
        None => {
            fields.push(("Version", format!("`{version}`")));
            fields.push(("Current", format!("`{}`", escape(previous))));
        }
    }
    fields
}

fn status(story: &Story) -> String {
    match story.end.as_ref().map(|end| end.outcome) {
        Some(Outcome::Healthy) => "HEALTHY".into(),
        Some(Outcome::Unchanged) => "HEALTHY (unchanged)".into(),
        Some(outcome) => outcome.as_str().to_uppercase(),
        None => {
            let running = story.steps.iter().position(|step| *step == story::Step::Running);
            let step = running.and_then(|index| story.plan.as_ref()?.steps.get(index));
            step.map_or_else(|| "preparing".into(), |step| escape(&step.to_string()))
        }
    }
}

fn mrkdwn(text: &str, most: usize) -> Value {
    // `verbatim`: only what is written as a link or mention is one; Slack makes none of bare addresses and names.
    json!({"type": "mrkdwn", "text": cut(text, most), "verbatim": true})
}

fn cut(text: &str, most: usize) -> String {
    if text.chars().count() <= most { text.to_owned() } else { text.chars().take(most).chain(['…']).collect() }
}

/// `text` as it is, without markup, links or mentions (Slack: "Escaping text"; `<!here>` and `<@U…>` need the `<`). Without
/// `link_names`, which is never set, a bare `@here` notifies nobody.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

fn target(url: &str) -> String {
    url.replace('|', "%7C").replace('<', "%3C").replace('>', "%3E")
}
