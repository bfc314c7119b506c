//! PagerDuty, by its Events API v2: calls people when a rollout behind Traffic Manager did not end well, and tells when it is over.
//! What counts as an incident is decided in `report/incident.rs`; runs beside the rollout, cannot hold it up.

use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::watch;
use url::Url;

use super::{
    Told,
    delivery::{TRIES, Undelivered, deliver},
    incident::{self, Following, Incident, Pace, Stage, Standing, standing},
    story::Story,
    text::{line, scrub},
};
use crate::{
    config::Severity,
    domain::{Masks, Secret},
    execute::Rollout,
};

/// Characters of `payload.summary` (PagerDuty: Events API v2).
const SUMMARY: usize = 1024;

/// Characters of one text among the details: an event may have 512 KB in all (PagerDuty: Events API v2, "Size limits").
const DETAIL: usize = 1000;

/// Steps that are told.
const NEXT: usize = 8;

/// Whom to call.
#[derive(Debug, Clone)]
pub struct Service {
    /// The integration key.
    pub key: Secret,
    /// Base of the events API; `/v2/enqueue` is added.
    pub events: Url,
    /// How bad an incident is.
    pub severity: Severity,
}

/// What an event does to the alert of its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Action {
    Trigger,
    Acknowledge,
    Resolve,
}

impl Action {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Trigger => "trigger",
            Self::Acknowledge => "acknowledge",
            Self::Resolve => "resolve",
        }
    }

    const fn done(self) -> &'static str {
        match self {
            Self::Trigger => "triggered",
            Self::Acknowledge => "acknowledged",
            Self::Resolve => "resolved",
        }
    }
}

/// Sends what the story means: `trigger` once traffic is safe and, with all that is known then, at the end; `acknowledge` when a
/// person goes back or promotes; `resolve` when it ends well. PagerDuty takes repeated ones of a key as one alert, and a
/// `resolve` of what is not open as nothing.
///
/// # Errors
/// What PagerDuty, or the network, said to the last of them.
pub(super) async fn tell(client: reqwest::Client, service: Service, masks: Masks, stories: watch::Receiver<Story>) -> Result<Told, String> {
    let mut following = Following::new(stories, Pace::OnceSafe);
    let mut last = Ok(Told::Nothing);
    let mut done: Vec<&'static str> = Vec::new();
    while let Some(story) = following.next().await {
        let Some(rollout) = &story.rollout else { continue };
        let (action, event) = match standing(&story) {
            Standing::Quiet => continue,
            Standing::Taken => (Action::Acknowledge, Value::Null),
            Standing::Open(incident) => (Action::Trigger, scrub(alert(&story, rollout, &incident, service.severity), &masks)),
            Standing::Over => (Action::Resolve, Value::Null),
        };
        let key = incident::key(rollout);
        last = match enqueue(&client, &service, action, &key, event).await {
            Ok(()) => {
                done.retain(|before| *before != action.done());
                done.push(action.done());
                Ok(Told::This(format!("{} {key}", done.join(", "))))
            }
            Err(why) => Err(format!("{} {key}: {why}", action.as_str())),
        };
    }
    last
}

/// Sends one event.
async fn enqueue(client: &reqwest::Client, service: &Service, action: Action, key: &str, mut event: Value) -> Result<(), String> {
    let mut url = service.events.clone();
    url.path_segments_mut().map_err(|()| "pagerduty-events-url is no base".to_owned())?.pop_if_empty().extend(["v2", "enqueue"]);
    // Added last: these are not to be masked.
    event["routing_key"] = json!(service.key.expose());
    event["event_action"] = json!(action.as_str());
    event["dedup_key"] = json!(key);
    deliver(TRIES, || client.post(url.clone()).json(&event)).await.map(|_| ()).map_err(|error| refused(&error))
}

/// A refusal in PagerDuty's own words.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Refusal {
    status: String,
    message: String,
    errors: Vec<String>,
}

fn refused(error: &Undelivered) -> String {
    let Undelivered::Refused { status, body } = error else { return error.to_string() };
    let Ok(said) = serde_json::from_str::<Refusal>(body) else { return error.to_string() };
    let parts: Vec<String> = [said.status, said.message].into_iter().chain(said.errors).filter(|part| !part.is_empty()).collect();
    let words = line(&parts.join(": "), 300);
    let advice = if words.contains("routing_key") {
        "; check pagerduty-routing-key: the integration key of an Events API v2 integration, 32 characters"
    } else {
        ""
    };
    format!("HTTP {status} {words}{advice}")
}

/// The alert, without its key (PagerDuty: Events API v2, "Send an alert event").
fn alert(story: &Story, rollout: &Rollout, incident: &Incident<'_>, severity: Severity) -> Value {
    let links = [("Workflow run", &rollout.run_url), ("Dashboard", &rollout.dashboard), ("Documentation", &rollout.docs)];
    let links: Vec<Value> = links.into_iter().filter_map(|(text, href)| Some(json!({"href": href.as_ref()?, "text": text}))).collect();
    let host = rollout.url.as_deref().and_then(|url| Url::parse(url).ok()).and_then(|url| url.host_str().map(str::to_owned));
    let mut alert = json!({
        "client": "deploy-action",
        "links": links,
        "payload": {
            "summary": summary(story, incident),
            "severity": severity.as_str(),
            "source": host.unwrap_or_else(|| rollout.resource_group.clone()),
            "component": line(&rollout.application, DETAIL),
            "group": rollout.environment,
            "class": incident.failure.map_or(Value::Null, |failure| json!(failure.kind)),
            "custom_details": details(story, rollout, incident),
        },
    });
    if let Some(url) = &rollout.run_url {
        alert["client_url"] = json!(url);
    }
    alert
}

/// One line: what became of it, and why; for a broken rule with its metric, the value and the bound.
fn summary(story: &Story, incident: &Incident<'_>) -> String {
    // It is read out on the telephone: without the sign at its beginning.
    let headline = incident::headline(story, incident);
    let headline = headline.trim_start_matches(|c: char| !c.is_alphanumeric());
    let why = match (&story.tripped, incident.failure) {
        (Some(judgement), Some(failure)) if failure.what.contains(&judgement.to_string()) => Some(judgement.to_string()),
        (_, Some(failure)) => Some(failure.what.clone()),
        (_, None) => Some("an interrupted run had left it half-way".into()),
    };
    let application = story.rollout.as_ref().map_or("", |rollout| rollout.application.as_str());
    let version = story.version_words();
    // What the headline does not say itself: a title in a list of alerts stands alone.
    let version = if headline.contains(version) { String::new() } else { format!(" ({version})") };
    let parts: Vec<String> = [Some(format!("{application}: {headline}{version}")), why].into_iter().flatten().collect();
    line(&parts.join(": "), SUMMARY)
}

fn details(story: &Story, rollout: &Rollout, incident: &Incident<'_>) -> Value {
    let mut details = serde_json::Map::new();
    let mut add = |name: &str, value: Option<String>| {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            details.insert(name.to_owned(), json!(line(&value, DETAIL)));
        }
    };
    add("environment", Some(rollout.environment.to_string()));
    add("version", Some(story.version_words().to_owned()));
    add("previous version", story.plan.as_ref().and_then(|plan| plan.previous.as_ref()).map(ToString::to_string));
    add("rollout", Some(rollout.id.to_string()));
    add("commit", story.sha().map(str::to_owned));
    add("asked for by", rollout.actor.clone());
    add("resource", incident.failure.map(|failure| failure.resource.clone()));
    add(
        "outcome",
        match incident.stage {
            Stage::Unsafe => Some("being taken back, traffic is not safe yet".into()),
            Stage::Safe => Some("being taken back".into()),
            Stage::Ended(outcome) => Some(outcome.to_string()),
        },
    );
    add("rule", story.tripped.as_ref().map(ToString::to_string));
    add("what happened", incident.failure.map(|failure| failure.what.clone()));
    add("it means", incident.failure.map(|failure| failure.consequence.clone()));
    add("traffic", incident::traffic(story));
    add("overridden", Some(story.overridden().join("; ")));
    add("runbook", story.diagnosis.as_ref().map(|diagnosis| diagnosis.entry.clone()));
    let advice = story.diagnosis.as_ref().map(|diagnosis| &diagnosis.advice);
    let next: Vec<String> = incident
        .failure
        .iter()
        .flat_map(|failure| &failure.next)
        .chain(advice.into_iter().flatten())
        .take(NEXT)
        .map(|step| line(step, DETAIL))
        .collect();
    if !next.is_empty() {
        details.insert("next steps".into(), json!(next));
    }
    Value::Object(details)
}

#[cfg(test)]
mod tests;
