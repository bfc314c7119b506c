//! Commit statuses (GitHub Docs, REST API, "Commit statuses"): what a commit has passed, e.g. `deploy/staging`.
//! Says and reads them; what follows from one is not decided here.

use jiff::Timestamp;
use reqwest::Method;
use serde::{Deserialize, de::IgnoredAny};
use serde_json::json;

use super::{Client, GithubError, Repeat, cut};
use crate::domain::Sha;

/// Pages read at most: GitHub keeps 1000 statuses for a commit and context.
const PAGES: usize = 10;

/// How a commit is doing under a context.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It is being tried.
    Pending,
    /// It passed.
    Success,
    /// It did not pass.
    Failure,
    /// Something else went wrong.
    Error,
}

impl State {
    /// GitHub's word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Success => "success",
            Self::Failure => "failure",
            Self::Error => "error",
        }
    }
}

/// A status to set.
#[derive(Debug, Clone)]
pub struct CommitStatus<'a> {
    /// What it is about, e.g. `deploy/staging`. The newest status of a context is the one that counts.
    pub context: &'a str,
    /// How the commit is doing.
    pub state: State,
    /// In a few words; cut to 140 characters.
    pub description: &'a str,
    /// Where more is to be seen.
    pub target_url: Option<&'a str>,
}

/// A status that was set.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Listed {
    /// What it is about.
    pub context: String,
    /// How the commit is doing.
    pub state: State,
    /// In a few words.
    #[serde(default)]
    pub description: Option<String>,
    /// Where more is to be seen.
    #[serde(default)]
    pub target_url: Option<String>,
    /// When it was set.
    pub created_at: Timestamp,
    /// Who set it.
    #[serde(default)]
    pub creator: Option<Creator>,
}

/// Who set a status.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Creator {
    /// The name, e.g. `github-actions[bot]`.
    pub login: String,
    /// GitHub's word: `User`, `Bot`, `Organization`.
    #[serde(default, rename = "type")]
    pub kind: String,
}

/// Sets a status on the commit `sha`. One that was perhaps set already is set again: the newest counts, and they are alike.
///
/// # Errors
/// What GitHub said, and which permission is missing.
pub async fn set(client: &Client, sha: &Sha, status: &CommitStatus<'_>) -> Result<(), GithubError> {
    let CommitStatus { context, state, description, target_url } = status;
    let mut body = json!({"context": context, "state": state.word(), "description": cut(description)});
    if let Some(url) = target_url {
        body["target_url"] = json!(url);
    }
    let answer = client.ask(Method::POST, &["statuses", sha.as_str()], &[], Some(&body), Repeat::Always).await?;
    answer.read::<IgnoredAny>("statuses: write").map(|_| ())
}

/// All statuses of the commit `sha`, the newest first.
///
/// # Errors
/// What GitHub said, and which permission is missing.
pub async fn list(client: &Client, sha: &Sha) -> Result<Vec<Listed>, GithubError> {
    let path = ["commits", sha.as_str(), "statuses"];
    client.list(&path, &[], PAGES, |page: Vec<Listed>| page).await.map_err(|error| error.told("statuses: read"))
}
