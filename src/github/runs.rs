//! Workflow runs (GitHub Docs, REST API, "Workflow runs"): whether one is over. Starts and stops none.

use std::fmt;

use reqwest::{Method, StatusCode};
use serde::{Deserialize, Serialize};

use super::{Client, GithubError, Repeat};

/// A workflow run's id (`GITHUB_RUN_ID`): the same for all its attempts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct RunId(pub u64);

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What GitHub says of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunState {
    /// Its newest attempt is not over: queued, waiting, or running.
    Underway {
        /// Which attempt that is, from 1.
        attempt: u32,
    },
    /// All its attempts are over.
    Completed,
    /// GitHub does not show it: the token lacks `actions: read`, or the run was deleted.
    Hidden,
}

#[derive(Deserialize)]
struct Run {
    status: Option<String>,
    #[serde(default = "first")]
    run_attempt: u32,
}

const fn first() -> u32 {
    1
}

/// How the run `id` is doing.
///
/// # Errors
/// What GitHub said, where that is neither an answer nor that the run is hidden.
pub async fn get(client: &Client, id: RunId) -> Result<RunState, GithubError> {
    let answer = client.ask(Method::GET, &["actions", "runs", &id.to_string()], &[], None, Repeat::Always).await?;
    if matches!(answer.status, StatusCode::FORBIDDEN | StatusCode::NOT_FOUND) {
        return Ok(RunState::Hidden);
    }
    let Run { status, run_attempt } = answer.read("actions: read")?;
    // Of GitHub's words only this one means that it is over; a word that is not known does not.
    Ok(if status.as_deref() == Some("completed") { RunState::Completed } else { RunState::Underway { attempt: run_attempt } })
}
