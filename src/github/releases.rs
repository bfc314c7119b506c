//! Releases and their notes (GitHub Docs, REST API, "Releases").

use reqwest::{Method, StatusCode};
use serde::Deserialize;
use serde_json::json;

use super::{Client, GithubError, Repeat};

const PERMISSION: &str = "contents: write";

/// A release's id at GitHub.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub struct ReleaseId(u64);

/// A release as it is.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Release {
    /// Its id.
    pub id: ReleaseId,
    /// Its notes, Markdown; `None` where it has none.
    pub body: Option<String>,
}

/// The published release of `tag`; `None` where there is none (a draft belongs to no tag yet).
///
/// # Errors
/// What GitHub said.
pub async fn of_tag(client: &Client, tag: &str) -> Result<Option<Release>, GithubError> {
    let answer = client.ask(Method::GET, &["releases", "tags", tag], &[], None, Repeat::Always).await?;
    if answer.status == StatusCode::NOT_FOUND {
        return Ok(None);
    }
    answer.read("contents: read").map(Some)
}

/// Makes the release of `tag`, with these notes, as the latest where its version is the highest.
///
/// # Errors
/// What GitHub said: also that there is one by now.
pub async fn create(client: &Client, tag: &str, notes: &str) -> Result<Release, GithubError> {
    // GitHub's own word for "by version, not by date": a release of an old line does not become the latest.
    let body = json!({"tag_name": tag, "name": tag, "body": notes, "make_latest": "legacy"});
    client.call(Method::POST, &["releases"], &[], Some(&body), PERMISSION).await
}

/// Gives the release `id` these notes; everything else of it stays.
///
/// # Errors
/// What GitHub said.
pub async fn set_notes(client: &Client, id: ReleaseId, notes: &str) -> Result<(), GithubError> {
    let body = json!({"body": notes});
    let _: serde::de::IgnoredAny = client.call(Method::PATCH, &["releases", &id.0.to_string()], &[], Some(&body), PERMISSION).await?;
    Ok(())
}
