//! Making a release's tag, and starting a workflow on it (GitHub Docs, REST API, "Git tags", "Git references" and "Workflows").

use reqwest::{Method, StatusCode};
use serde::{Deserialize, de::IgnoredAny};
use serde_json::json;

use super::{Client, GithubError, Repeat, refs};
use crate::domain::{ReleaseVersion, Sha};

const PERMISSION: &str = "contents: write";

#[derive(Deserialize)]
struct Reference {
    r#ref: String,
}

#[derive(Deserialize)]
struct Made {
    sha: Sha,
}

/// The versions that tags are there for, pre-releases too, in no order.
///
/// # Errors
/// What GitHub said, and which permission is missing.
pub async fn versions(client: &Client) -> Result<Vec<ReleaseVersion>, GithubError> {
    // All that match come at once: this list has no pages.
    let found: Vec<Reference> = client.call(Method::GET, &["git", "matching-refs", "tags", "v"], &[], None, "contents: read").await?;
    Ok(found.iter().filter_map(|found| found.r#ref.strip_prefix("refs/tags/")?.parse().ok()).collect())
}

/// What became of a tag that was to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tagged {
    /// It was made now.
    Now,
    /// It was there already, on the same commit.
    Before,
    /// It is there, on another commit.
    Elsewhere(Sha),
}

/// Makes the annotated tag `name` on `sha`, with this message. Creating its reference is atomic: of two runs one makes it.
///
/// # Errors
/// What GitHub said, and which permission is missing.
pub async fn make(client: &Client, name: &str, sha: &Sha, message: &str) -> Result<Tagged, GithubError> {
    let body = json!({"tag": name, "message": message, "object": sha.as_str(), "type": "commit"});
    // An object that no reference leads to is nothing that anybody sees: it may be made again.
    let answer = client.ask(Method::POST, &["git", "tags"], &[], Some(&body), Repeat::Always).await?;
    let Made { sha: object } = answer.read(PERMISSION)?;
    let body = json!({"ref": format!("refs/tags/{name}"), "sha": object.as_str()});
    let answer = client.ask(Method::POST, &["git", "refs"], &[], Some(&body), Repeat::Always).await?;
    if answer.status == StatusCode::UNPROCESSABLE_ENTITY && answer.message().contains("already exists") {
        let there = refs::tag(client, name).await?;
        return Ok(if there.commit == *sha { Tagged::Before } else { Tagged::Elsewhere(there.commit) });
    }
    answer.read::<IgnoredAny>(PERMISSION).map(|_| Tagged::Now)
}

/// The commit that the tag `name` is on; `None`: there is no such tag.
///
/// # Errors
/// What GitHub said, and which permission is missing.
pub async fn commit_of(client: &Client, name: &str) -> Result<Option<Sha>, GithubError> {
    let answer = client.ask(Method::GET, &["git", "ref", "tags", name], &[], None, Repeat::Always).await?;
    if answer.status == StatusCode::NOT_FOUND {
        return Ok(None);
    }
    refs::tag(client, name).await.map(|tag| Some(tag.commit))
}

/// Starts `workflow` (the name of its file) on the tag `name`, to deploy to `environment`.
///
/// # Errors
/// What GitHub said, and which permission is missing.
pub async fn start(client: &Client, workflow: &str, name: &str, environment: &str) -> Result<(), GithubError> {
    let path = ["actions", "workflows", workflow, "dispatches"];
    let body = json!({"ref": format!("refs/tags/{name}"), "inputs": {"command": "deploy", "environment": environment}});
    let answer = client.ask(Method::POST, &path, &[], Some(&body), Repeat::UnlessItArrived).await?;
    if answer.status.is_success() { Ok(()) } else { Err(answer.refused("actions: write")) }
}
