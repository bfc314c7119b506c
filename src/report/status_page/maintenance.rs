//! A release as the page's scheduled maintenance (runbook, 4 Hours Before Release: "Update status page (scheduled maintenance)";
//! Immediately after: "Update status page: Production update complete"): in progress from the first step on, completed at the end.
//! One that was announced before with the same reference is taken up; otherwise one is made that begins now.

use std::time::Duration;

use jiff::Timestamp;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::sync::watch;

use super::{Call, Listed, Page, Told, reference_of};
use crate::{
    domain::{Outcome, Strategy},
    plan::{Aim, Step},
    report::{
        delivery::{TRIES, deliver},
        first, incident,
        story::Story,
    },
    text::line,
};

/// What is added to the time that the plan holds shares for: instances start, resolvers forget.
const MARGIN: Duration = Duration::from_secs(15 * 60);

/// What is done at the begin of a rollout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Begin {
    /// Shown as in progress.
    InProgress,
    /// Nothing: what is in progress was begun by the release that this goes back from.
    Nothing,
}

/// What the maintenance is to be at the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Close {
    /// Over: the new version serves.
    Complete,
    /// Over: the version before serves.
    TakenBack,
    /// Still looked at, by people.
    Verifying,
    /// As it was.
    Leave,
}

impl Close {
    /// Statuspage's word (Statuspage API, incidents: `status` of scheduled maintenance).
    const fn status(self) -> &'static str {
        match self {
            Self::Complete | Self::TakenBack => "completed",
            Self::Verifying => "verifying",
            Self::Leave => "in_progress",
        }
    }

    const fn body(self) -> &'static str {
        match self {
            Self::Complete => "Production update complete.",
            Self::TakenBack => "The update was taken back: every request goes to the version before.",
            Self::Verifying | Self::Leave => "Our engineers are looking at the update.",
        }
    }
}

/// What a story's beginning means to the page. Only a canary environment serves customers.
fn begin(story: &Story) -> Option<Begin> {
    let rollout = story.rollout.as_ref()?;
    match rollout.strategy {
        Strategy::Direct | Strategy::BlueGreen => return None,
        Strategy::Canary => {}
    }
    Some(match story.aim() {
        Aim::Deploy | Aim::Promote | Aim::Finish => Begin::InProgress,
        Aim::RollBack | Aim::MakeSafe => Begin::Nothing,
    })
}

/// What a story's end means to the page.
fn close(story: &Story) -> Close {
    match (story.end.as_ref().map(|end| end.outcome), story.aim()) {
        (Some(Outcome::Healthy | Outcome::Unchanged), Aim::Deploy | Aim::Promote | Aim::Finish) => Close::Complete,
        (Some(Outcome::RolledBack), _) | (Some(Outcome::Healthy | Outcome::Unchanged), Aim::RollBack | Aim::MakeSafe) => Close::TakenBack,
        (Some(Outcome::Held | Outcome::Failed), _) => Close::Verifying,
        (Some(Outcome::Refused) | None, _) => Close::Leave,
    }
}

/// Tells the page of the maintenance that a release is.
///
/// # Errors
/// What the page, or the network, said to the last request that matters.
pub(super) async fn tell(client: reqwest::Client, page: Page, mut stories: watch::Receiver<Story>) -> Result<Told, String> {
    let started = first(&mut stories, |story| story.end.is_some() || (story.plan.is_some() && !story.is_showing_only())).await;
    let Some(begin) = begin(&started).filter(|_| !started.is_showing_only()) else { return Ok(Told::Nothing) };
    let Some(rollout) = started.rollout.clone() else { return Ok(Told::Nothing) };
    let call = Call { client: &client, page: &page, rollout: &rollout };
    // That it could not be begun keeps nobody from ending what there is.
    let (mut known, mut trouble) = (None, None);
    if begin == Begin::InProgress {
        match call.begin_maintenance(&started).await {
            Ok(id) => known = Some(id),
            Err(why) => trouble = Some(why),
        }
    }
    let ended = first(&mut stories, |story| story.end.is_some()).await;
    let close = close(&ended);
    let all = match (close, known) {
        (Close::Leave, _) => return trouble.map_or(Ok(Told::Nothing), Err),
        (_, Some(id)) => vec![id],
        (_, None) => call.maintenances().await?,
    };
    for id in &all {
        call.set_maintenance(id, close.status(), close.body()).await?;
    }
    match (all.is_empty(), trouble) {
        (true, Some(why)) => Err(why),
        (true, None) => Ok(Told::Nothing),
        (false, _) => Ok(Told::This(format!("maintenance {}", close.status()))),
    }
}

/// How long a release is expected to take.
fn expected(story: &Story) -> Duration {
    let held = story.plan.iter().flat_map(|plan| &plan.steps).map(|step| match step {
        Step::Phase { for_seconds, .. } | Step::Observe { for_seconds, .. } => *for_seconds,
        _ => 0.0,
    });
    Duration::try_from_secs_f64(held.sum()).unwrap_or_default() + MARGIN
}

impl Call<'_> {
    /// The name of an environment's maintenance, the same in every run.
    fn maintenance_key(&self) -> String {
        format!("{}/maintenance", incident::key(self.rollout))
    }

    /// Shows the maintenance as in progress: the one that was announced or, where none was, a new one. Gives its id.
    async fn begin_maintenance(&self, story: &Story) -> Result<String, String> {
        let application = line(&self.rollout.application, 100);
        let body = format!("We are updating {application}, a few requests at first and then more. No interruption is expected.");
        if let Some(id) = self.maintenances().await?.into_iter().next() {
            self.set_maintenance(&id, "in_progress", &body).await?;
            return Ok(id);
        }
        let now = Timestamp::now();
        let reference = reference_of(&self.maintenance_key());
        let mut incident = json!({
            "name": format!("{application}: update"),
            "status": "in_progress",
            "scheduled_for": now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
            "scheduled_until": (now + expected(story)).strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
            // Should this run never end, the page does not say for ever that it is under way.
            "scheduled_auto_completed": true,
            "body": format!("{body} (Reference {reference})"),
            "metadata": {"deploy-action": {"key": self.maintenance_key(), "rollout": self.rollout.id}},
        });
        if let Some(component) = &self.page.component {
            incident["component_ids"] = json!([component]);
        }
        // Tried once: a second maintenance would be worse than none.
        let answer = deliver(1, || self.request(Method::POST, &[]).json(&json!({"incident": incident})))
            .await
            .map_err(|error| self.refused(&error))?;
        let made: Listed = answer.json().await.map_err(|_| "the page's answer cannot be read".to_owned())?;
        Ok(made.id)
    }

    /// The maintenances of this environment that are not completed (Statuspage API: `GET …/incidents/scheduled`).
    async fn maintenances(&self) -> Result<Vec<String>, String> {
        let answer = deliver(TRIES, || self.request(Method::GET, &["scheduled"])).await.map_err(|error| self.refused(&error))?;
        let listed: Vec<Listed> = answer.json().await.map_err(|_| "the page's list of maintenances cannot be read".to_owned())?;
        let key = self.maintenance_key();
        Ok(listed.into_iter().filter(|one| one.is_marked(&key)).map(|one| one.id).collect())
    }

    async fn set_maintenance(&self, id: &str, status: &str, body: &str) -> Result<(), String> {
        let reference = reference_of(&self.maintenance_key());
        let body: Value = json!({"incident": {"status": status, "body": format!("{body} (Reference {reference})")}});
        let request = || self.request(Method::PATCH, &[id]).json(&body);
        deliver(TRIES, request).await.map(|_| ()).map_err(|error| self.refused(&error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        failure::FailureKind,
        report::incident::tests::{PROD, STAGING, begun, breach, failure, finished, planned, requested, story},
    };

    #[test]
    fn a_release_is_maintenance_that_ends_as_it_does() {
        let held = failure(FailureKind::NoEvidence, "too little");
        let null = Value::Null;
        for (aim, outcome, why, expected) in [
            ("deploy", "healthy", &null, (Begin::InProgress, Close::Complete)),
            ("promote", "healthy", &null, (Begin::InProgress, Close::Complete)),
            ("deploy", "rolled-back", &breach(), (Begin::InProgress, Close::TakenBack)),
            ("deploy", "held", &held, (Begin::InProgress, Close::Verifying)),
            ("deploy", "failed", &breach(), (Begin::InProgress, Close::Verifying)),
            ("deploy", "refused", &breach(), (Begin::InProgress, Close::Leave)),
            ("roll-back", "rolled-back", &null, (Begin::Nothing, Close::TakenBack)),
            ("make-safe", "rolled-back", &null, (Begin::Nothing, Close::TakenBack)),
        ] {
            let story = story(&[requested(PROD, aim), planned(PROD, aim), begun(), finished(outcome, why)]);
            assert_eq!(begin(&story).map(|begin| (begin, close(&story))), Some(expected), "{aim} {outcome}");
        }
        assert_eq!(begin(&story(&[requested(STAGING, "deploy"), planned(STAGING, "deploy"), begun()])), None);
    }
}
