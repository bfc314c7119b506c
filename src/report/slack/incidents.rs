//! Slack's channel for incidents: one message an incident, updated when it has ended (runbook, Rollback Procedures: "Team: Alerted
//! via Slack"). Says what is there to say; what counts as an incident is decided in `report/incident.rs`.

use serde_json::{Value, json};
use tokio::sync::watch;

use super::{Destination, FIELD, SECTION, escape, explanation, links, mrkdwn, overridden, send};
use crate::{
    domain::Masks,
    plan::Aim,
    report::{
        Told,
        incident::{self, Following, Incident, Pace, Standing, standing},
        story::Story,
        text::{line, scrub},
    },
};

/// Tells incidents to `destination`, which must be a bot's: a webhook has one channel, where the run's own message goes.
///
/// # Errors
/// Why the last message could not be delivered.
pub(in crate::report) async fn tell(
    client: reqwest::Client,
    destination: Destination,
    masks: Masks,
    stories: watch::Receiver<Story>,
) -> Result<Told, String> {
    let Destination::Bot { channel, .. } = &destination else { return Ok(Told::Nothing) };
    let mut following = Following::new(stories, Pace::OnceSafe);
    let mut ts: Option<String> = None;
    let mut last = Ok(Told::Nothing);
    while let Some(story) = following.next().await {
        let message = match standing(&story) {
            Standing::Quiet | Standing::Taken => continue,
            Standing::Open(incident) => incident_message(&story, &incident),
            Standing::Over => match story.aim() {
                Aim::RollBack | Aim::Promote => resolved(&story),
                // Whether anything was open is not known here, and most releases follow a good one.
                Aim::Deploy | Aim::MakeSafe | Aim::Finish => continue,
            },
        };
        last = match send(&client, &destination, scrub(message, &masks), ts.as_deref()).await {
            Ok(sent) => {
                ts = sent.or(ts);
                Ok(Told::This(channel.clone()))
            }
            Err(why) => Err(why),
        };
    }
    last
}

/// The message of an incident (Block Kit): what, where, which version, the sample that tripped it, what was done.
pub(super) fn incident_message(story: &Story, incident: &Incident<'_>) -> Value {
    let headline = line(&incident::headline(story, incident), SECTION);
    let mut blocks = vec![json!({"type": "section", "text": mrkdwn(&format!("*{}*", escape(&headline)), SECTION)})];
    let mut fields = Vec::new();
    let mut field = |name: &str, value: String| fields.push(mrkdwn(&format!("*{name}*\n{value}"), FIELD));
    if let Some(rollout) = &story.rollout {
        field("Where", format!("{} (`{}`)", escape(rollout.environment.as_str()), escape(&line(&rollout.resource_group, 100))));
        field("Version", format!("`{}`", escape(story.version_words())));
        if let Some(previous) = story.plan.as_ref().and_then(|plan| plan.previous.as_ref()) {
            field("Previous", format!("`{}`", escape(previous.as_str())));
        }
        if let Some(judgement) = &story.tripped {
            field("Rule", escape(&line(&judgement.to_string(), FIELD)));
        }
        if let Some(traffic) = incident::traffic(story) {
            field("Traffic", escape(&traffic));
        }
        if let Some(links) = links(rollout) {
            field("Logs", links);
        }
    }
    blocks.push(json!({"type": "section", "fields": fields}));
    if let Some(failure) = incident.failure {
        blocks.push(explanation(story, failure));
    }
    blocks.extend(overridden(story));
    json!({"text": escape(&headline), "blocks": blocks, "unfurl_links": false, "unfurl_media": false})
}

/// The runbook's last step of a manual rollback: "Alert team: Incident resolved".
fn resolved(story: &Story) -> Value {
    let what = line(&crate::report::story::headline(story), SECTION);
    let headline = format!("✅ Incident resolved: {}", what.trim_start_matches(|c: char| !c.is_alphanumeric()));
    let who = story.rollout.as_ref().and_then(|rollout| rollout.actor.as_ref()).map(|actor| format!("By {}", escape(&line(actor, 100))));
    let said: Vec<String> = who.into_iter().chain(story.rollout.as_ref().and_then(links)).collect();
    let mut blocks = vec![json!({"type": "section", "text": mrkdwn(&format!("*{}*", escape(&headline)), SECTION)})];
    if !said.is_empty() {
        blocks.push(json!({"type": "section", "text": mrkdwn(&said.join(" · "), SECTION)}));
    }
    json!({"text": escape(&headline), "blocks": blocks, "unfurl_links": false, "unfurl_media": false})
}

#[cfg(test)]
mod tests;
