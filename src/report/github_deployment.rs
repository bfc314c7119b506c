//! The GitHub deployment of a rollout and its statuses. Runs beside the rollout; cannot hold it up.

use tokio::sync::watch;

use super::story::{self, Story};
use crate::{
    domain::Outcome,
    github::{
        Client,
        deployments::{self, Deployment, DeploymentId, State, Status},
    },
    plan::Aim,
};

/// Whether the deployment may exist already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Beginning {
    /// This run creates it.
    New,
    /// An earlier process of this run may have created it.
    Resumed,
    /// The run that is made safe may have created it; it is not begun in its place.
    Left,
}

/// Creates the deployment once the rollout changes anything, and says how it ended.
pub(super) async fn tell(client: Client, beginning: Beginning, mut stories: watch::Receiver<Story>) -> Result<(), String> {
    let started = super::first(&mut stories, |story| story.plan.is_some() || story.end.is_some()).await;
    let Some(rollout) = started.rollout.clone() else { return Ok(()) };
    // What is refused before the plan was made is no deployment; one that was interrupted has ended all the same.
    if started.plan.is_none() && beginning != Beginning::Left {
        return Ok(());
    }
    let failed = |error: crate::github::GithubError| error.to_string();
    let environment = rollout.environment.as_str();
    let found = match beginning {
        Beginning::New => None,
        Beginning::Resumed | Beginning::Left => deployments::find(&client, environment, rollout.id.as_str()).await.map_err(failed)?,
    };
    let id: DeploymentId = match found {
        Some(id) => id,
        None if beginning == Beginning::Left => return Ok(()),
        None => {
            let Some(git_ref) = started.sha().or(rollout.git_ref.as_deref()) else { return Ok(()) };
            let digest = started.image.as_ref().map(|image| image.digest.as_str());
            let deployment = Deployment { git_ref, environment, version: started.version_words(), digest, rollout: rollout.id.as_str() };
            deployments::create(&client, &deployment).await.map_err(failed)?
        }
    };
    let status =
        |state, description| Status { state, description, environment_url: rollout.url.as_deref(), log_url: rollout.run_url.as_deref() };
    if started.end.is_none() && beginning != Beginning::Left {
        deployments::set_status(&client, id, &status(State::InProgress, "deploying")).await.map_err(failed)?;
    }
    let ended = super::first(&mut stories, |story| story.end.is_some()).await;
    let Some(end) = &ended.end else { return Ok(()) };
    let state = match (end.outcome, ended.aim()) {
        // A version that was taken back (DESIGN "Contract: rollback"), or that an interrupted run never brought.
        (Outcome::RolledBack, Aim::Deploy | Aim::Promote | Aim::MakeSafe | Aim::Finish)
        | (Outcome::Unchanged, Aim::MakeSafe)
        | (Outcome::Failed | Outcome::Held, _) => State::Failure,
        (Outcome::Healthy | Outcome::Unchanged, _) | (Outcome::RolledBack, Aim::RollBack) => State::Success,
        (Outcome::Refused, _) => State::Error,
    };
    let description = end.failure.as_ref().map_or_else(|| story::headline(&ended), |failure| failure.what.clone());
    deployments::set_status(&client, id, &status(state, &description)).await.map_err(failed)
}
