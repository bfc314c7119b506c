//! The commit status `deploy/ENVIRONMENT`: where a version has proved itself, and whether (runbook Scenario 2, Step 6: "Mark
//! release as stable"). Runs beside the rollout; cannot hold it up.

use tokio::sync::watch;

use super::story::{self, Story};
use crate::{
    domain::{Outcome, Sha, Strategy},
    github::{
        Client,
        commit_statuses::{self, CommitStatus, State},
    },
    plan::Aim,
};

/// Sets the status when the rollout begins to change anything and when it ends.
///
/// # Errors
/// What GitHub said to the last one.
pub(super) async fn tell(client: Client, mut stories: watch::Receiver<Story>) -> Result<(), String> {
    let started = super::first(&mut stories, |story| story.plan.is_some() || story.end.is_some()).await;
    let Some(rollout) = started.rollout.clone() else { return Ok(()) };
    let proves = match rollout.strategy {
        Strategy::Direct => false,
        Strategy::BlueGreen | Strategy::Canary => started.plan.is_some(),
    };
    let sha = match started.aim() {
        Aim::Deploy | Aim::RollBack | Aim::Promote | Aim::Finish => started.sha(),
        // What people are on has its status from when it was proved; the one whose run did not end still waits for its own.
        Aim::MakeSafe => rollout.interrupted.as_deref(),
    };
    let Some(sha) = sha.and_then(|sha| sha.parse::<Sha>().ok()).filter(|_| proves) else { return Ok(()) };
    let context = format!("deploy/{}", rollout.environment);
    let status = |state, description| CommitStatus { context: &context, state, description, target_url: rollout.run_url.as_deref() };
    if started.end.is_none() && started.aim() == Aim::Deploy {
        commit_statuses::set(&client, &sha, &status(State::Pending, "being proved")).await.map_err(|error| error.to_string())?;
    }
    let ended = super::first(&mut stories, |story| story.end.is_some()).await;
    let Some(end) = &ended.end else { return Ok(()) };
    let state = match (end.outcome, ended.aim()) {
        (Outcome::RolledBack, Aim::Deploy | Aim::Promote | Aim::Finish | Aim::MakeSafe) | (Outcome::Unchanged, Aim::MakeSafe) => {
            State::Failure
        }
        (Outcome::Healthy | Outcome::Unchanged, _) | (Outcome::RolledBack, Aim::RollBack) => State::Success,
        (Outcome::Held, _) => State::Pending,
        (Outcome::Failed | Outcome::Refused, _) => State::Error,
    };
    let description = end.failure.as_ref().map_or_else(|| story::headline(&ended), |failure| failure.what.clone());
    commit_statuses::set(&client, &sha, &status(state, &description)).await.map_err(|error| error.to_string())
}
