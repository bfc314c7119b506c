//! The status page, by Statuspage's API: customers hear of a release that did not end well, in words that are theirs.
//! What counts as an incident is decided in `report/incident.rs`; runs beside the rollout, cannot hold it up.
//!
//! Nothing that a stranger, a log or an instance wrote is told here: a page is public, and its texts are fixed.

mod maintenance;

use reqwest::Method;
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::sync::watch;
use url::Url;

use super::{
    Told,
    delivery::{PAUSE, TRIES, Undelivered, deliver},
    incident::{self, Following, Pace, Stage, Standing, standing},
    story::{self, Story},
    text::line,
};
use crate::{
    domain::{Outcome, Secret, Strategy},
    execute::Rollout,
};

/// The page.
#[derive(Debug, Clone)]
pub struct Page {
    /// A token of the page's API.
    pub token: Secret,
    /// Base of the API; `/v1/pages/…` is added.
    pub base: Url,
    /// The page's id.
    pub page: String,
    /// The component that a release touches, by its id.
    pub component: Option<String>,
}

/// What the page is to show of an environment's incident.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wanted {
    /// Open: something is wrong and being looked into.
    Investigating,
    /// Open: what was wrong is taken back, and watched.
    Monitoring,
    /// Open: people work on it.
    Identified,
    /// Nothing open.
    Resolved,
}

impl Wanted {
    /// Statuspage's word (Statuspage API, incidents: `status` of a realtime incident).
    const fn status(self) -> &'static str {
        match self {
            Self::Investigating => "investigating",
            Self::Monitoring => "monitoring",
            Self::Identified => "identified",
            Self::Resolved => "resolved",
        }
    }

    /// Statuspage's word for the component meanwhile (Statuspage API, components: `status`).
    const fn component(self) -> &'static str {
        match self {
            Self::Investigating | Self::Identified => "degraded_performance",
            Self::Monitoring | Self::Resolved => "operational",
        }
    }

    /// How bad it has become: minor while the old version is on its way back, major once a person must find the way. What gets
    /// better was still as bad as it was.
    const fn impact(self) -> Option<&'static str> {
        match self {
            Self::Investigating => Some("minor"),
            Self::Identified => Some("major"),
            Self::Monitoring | Self::Resolved => None,
        }
    }

    fn body(self, application: &str) -> String {
        match self {
            Self::Investigating => {
                format!("An update of {application} does not behave as it should for some requests. It is being taken back.")
            }
            Self::Monitoring => {
                format!("The update of {application} was taken back: every request goes to the version before. We are watching it.")
            }
            Self::Identified => {
                format!("An update of {application} does not behave as it should for some requests. Our engineers are working on it.")
            }
            Self::Resolved => format!("{application} works as it should again."),
        }
    }
}

/// What happens to the page at a standing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Move {
    /// Nothing.
    Nothing,
    /// Show this, in an incident of its own if none is open.
    Show(Wanted),
    /// Show this in what is open, if anything is.
    Update(Wanted),
    /// Show it as over, in an incident of its own if none is open: a rollback that is quicker than a request leaves its trace.
    Close,
}

/// What happens to the page. Pure.
///
/// Only a canary environment serves customers (runbook: production, Scenario 3); what others do is not theirs to read. Customers
/// hear of what they could have met: not of a version that nobody was sent to, nor of what is over when it is first known.
fn decide(story: &Story) -> Move {
    match story.rollout.as_ref().map(|rollout| rollout.strategy) {
        None | Some(Strategy::Direct | Strategy::BlueGreen) => return Move::Nothing,
        Some(Strategy::Canary) => {}
    }
    let could_be_met = story.has_moved_people();
    match standing(story) {
        Standing::Quiet => Move::Nothing,
        Standing::Taken => Move::Update(Wanted::Identified),
        // What a person took back people had met, whether or not it was on the page (runbook, Manual Rollback: "Update status page").
        Standing::Over if could_be_met && story.has_rolled_back() => Move::Close,
        Standing::Over => Move::Update(Wanted::Resolved),
        Standing::Open(incident) => match incident.stage {
            Stage::Unsafe => Move::Show(Wanted::Investigating),
            Stage::Safe if could_be_met => Move::Show(Wanted::Monitoring),
            Stage::Safe => Move::Nothing,
            Stage::Ended(Outcome::RolledBack) if could_be_met && story.taken_back.is_some() => Move::Close,
            Stage::Ended(Outcome::RolledBack) => Move::Update(Wanted::Resolved),
            Stage::Ended(Outcome::Held | Outcome::Failed) if could_be_met => Move::Show(Wanted::Identified),
            Stage::Ended(Outcome::Held | Outcome::Failed) => Move::Update(Wanted::Identified),
            Stage::Ended(Outcome::Healthy | Outcome::Refused | Outcome::Unchanged) => Move::Nothing,
        },
    }
}

/// Tells the page what the story means to customers: the maintenance that a release is, and an incident where it does not end well.
/// Neither waits for the other.
///
/// # Errors
/// What the page, or the network, said to the last request that matters.
pub(super) async fn tell(client: reqwest::Client, page: Page, stories: watch::Receiver<Story>) -> Result<Told, String> {
    let maintenance = maintenance::tell(client.clone(), page.clone(), stories.clone());
    let (incident, maintenance) = tokio::join!(incidents(client, page, stories), maintenance);
    match (incident?, maintenance?) {
        (Told::This(incident), Told::This(maintenance)) => Ok(Told::This(format!("{incident}, {maintenance}"))),
        (Told::Nothing, told) | (told, Told::Nothing) => Ok(told),
    }
}

/// Tells the page of an incident.
async fn incidents(client: reqwest::Client, page: Page, stories: watch::Receiver<Story>) -> Result<Told, String> {
    let mut following = Following::new(stories, Pace::AtOnce);
    let mut last = Ok(Told::Nothing);
    let mut opened: Option<Opened> = None;
    while let Some(story) = following.next().await {
        let Some(rollout) = &story.rollout else { continue };
        let call = Call { client: &client, page: &page, rollout };
        let step = match decide(&story) {
            Move::Nothing => continue,
            Move::Show(wanted) => call.show(wanted, &mut opened).await,
            Move::Update(wanted) => call.update(wanted, opened.as_ref()).await,
            Move::Close => match &opened {
                Some(_) => call.update(Wanted::Resolved, opened.as_ref()).await,
                None => match call.show(Wanted::Monitoring, &mut opened).await {
                    Ok(_) => call.update(Wanted::Resolved, opened.as_ref()).await,
                    Err(why) => Err(why),
                },
            },
        };
        last = match step {
            Ok(Changed::To(wanted)) => Ok(Told::This(wanted.status().to_owned())),
            Ok(Changed::Nothing) => last,
            Err(why) => Err(why),
        };
    }
    last
}

/// Whether there was anything to change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Changed {
    To(Wanted),
    Nothing,
}

/// The id of an incident that is open.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Opened(String);

/// An incident as the page lists it.
#[derive(Deserialize)]
struct Listed {
    id: String,
    #[serde(default)]
    metadata: Value,
    #[serde(default)]
    incident_updates: Vec<Update>,
}

impl Listed {
    /// Whether it carries the mark of `key`. A compatible service may keep no metadata; what customers read carries the reference.
    fn is_marked(&self, key: &str) -> bool {
        let reference = reference_of(key);
        self.metadata["deploy-action"]["key"] == key
            || self.incident_updates.iter().any(|update| update.body.as_ref().is_some_and(|body| body.contains(&reference)))
    }
}

/// What was said of an incident.
#[derive(Deserialize)]
struct Update {
    #[serde(default)]
    body: Option<String>,
}

/// The page, and for whose rollout it is asked.
struct Call<'a> {
    client: &'a reqwest::Client,
    page: &'a Page,
    rollout: &'a Rollout,
}

impl Call<'_> {
    /// Has `wanted` shown, in the incident that is open or in a new one. Looks before it makes one, also after an answer was lost.
    async fn show(&self, wanted: Wanted, opened: &mut Option<Opened>) -> Result<Changed, String> {
        if let Some(opened) = opened {
            self.patch(opened, wanted).await?;
            return Ok(Changed::To(wanted));
        }
        let mut why = String::new();
        for left in (0..TRIES).rev() {
            if let Some(found) = self.open().await?.into_iter().next() {
                self.patch(&found, wanted).await?;
                *opened = Some(found);
                return Ok(Changed::To(wanted));
            }
            match self.create(wanted).await {
                Ok(created) => {
                    *opened = Some(created);
                    return Ok(Changed::To(wanted));
                }
                Err(error @ Undelivered::Refused { .. }) => return Err(self.refused(&error)),
                Err(Undelivered::Unanswered(said)) => why = said,
            }
            if left > 0 {
                tokio::time::sleep(PAUSE).await;
            }
        }
        Err(format!("an incident could not be made: {why}"))
    }

    /// Has `wanted` shown in every incident that is open for this environment.
    async fn update(&self, wanted: Wanted, opened: Option<&Opened>) -> Result<Changed, String> {
        let mut all = self.open().await?;
        if let Some(opened) = opened.filter(|opened| !all.contains(opened)) {
            all.push(opened.clone());
        }
        for incident in &all {
            self.patch(incident, wanted).await?;
        }
        Ok(if all.is_empty() { Changed::Nothing } else { Changed::To(wanted) })
    }

    /// The incidents that are open for this environment: those with our mark (Statuspage API: `GET …/incidents/unresolved`).
    async fn open(&self) -> Result<Vec<Opened>, String> {
        let answer = deliver(TRIES, || self.request(Method::GET, &["unresolved"])).await.map_err(|error| self.refused(&error))?;
        let listed: Vec<Listed> = answer.json().await.map_err(|_| "the page's list of incidents cannot be read".to_owned())?;
        let key = incident::key(self.rollout);
        Ok(listed.into_iter().filter(|incident| incident.is_marked(&key)).map(|incident| Opened(incident.id)).collect())
    }

    async fn create(&self, wanted: Wanted) -> Result<Opened, Undelivered> {
        let mut incident = self.body(wanted);
        incident["impact_override"] = json!(wanted.impact().unwrap_or("minor"));
        incident["name"] = json!(format!("{}: problems with an update", line(&self.rollout.application, 100)));
        incident["metadata"] = json!({"deploy-action": {"key": incident::key(self.rollout), "rollout": self.rollout.id}});
        // Tried once: whether a lost answer's request took effect is looked up before it is tried again.
        let answer = deliver(1, || self.request(Method::POST, &[]).json(&json!({"incident": incident}))).await?;
        let created: Result<Listed, _> = answer.json().await;
        created.map(|created| Opened(created.id)).map_err(|_| Undelivered::Unanswered("the page's answer cannot be read".into()))
    }

    async fn patch(&self, incident: &Opened, wanted: Wanted) -> Result<(), String> {
        let body = json!({"incident": self.body(wanted)});
        let request = || self.request(Method::PATCH, &[&incident.0]).json(&body);
        deliver(TRIES, request).await.map(|_| ()).map_err(|error| self.refused(&error))
    }

    /// What an incident is to say (Statuspage API: `POST …/incidents`, `PATCH …/incidents/ID`).
    fn body(&self, wanted: Wanted) -> Value {
        let application = line(&self.rollout.application, 100);
        let mut incident = json!({
            "status": wanted.status(),
            "body": format!("{} (Reference {})", wanted.body(&application), reference(self.rollout)),
        });
        if let Some(impact) = wanted.impact() {
            incident["impact_override"] = json!(impact);
        }
        if let Some(component) = &self.page.component {
            incident["component_ids"] = json!([component]);
            incident["components"] = json!({component: wanted.component()});
        }
        incident
    }

    fn request(&self, method: Method, rest: &[&str]) -> reqwest::RequestBuilder {
        let mut url = self.page.base.clone();
        // The base is an https URL (checked where inputs are read), so it has segments.
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(["v1", "pages", &self.page.page, "incidents"]).extend(rest);
        }
        self.client.request(method, url).header("authorization", format!("OAuth {}", self.page.token.expose()))
    }

    fn refused(&self, error: &Undelivered) -> String {
        let advice = match error {
            Undelivered::Refused { status, .. } => match status.as_u16() {
                401 | 403 => ": check status-page-token",
                404 => ": check `notify.status-page.page`",
                422 => ": check `notify.status-page.component`",
                _ => "",
            },
            Undelivered::Unanswered(_) => "",
        };
        format!("{error}{advice}; look at the page of {} yourself", story::title(self.rollout.environment.as_str()))
    }
}

/// What marks an environment's incidents in public, the same in every run, without telling whose repository it is.
fn reference(rollout: &Rollout) -> String {
    reference_of(&incident::key(rollout))
}

/// The reference of a key, in eight digits.
fn reference_of(key: &str) -> String {
    let hash = Sha256::digest(key.as_bytes());
    let digits: String = hash.iter().take(4).map(|byte| format!("{byte:02X}")).collect();
    format!("DA-{digits}")
}

#[cfg(test)]
mod tests;
