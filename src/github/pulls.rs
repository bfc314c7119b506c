//! Pull requests (GitHub Docs, REST API, "Pulls"). Reads only.

use reqwest::Method;
use serde::Deserialize;

use super::{Client, GithubError};
use crate::domain::Sha;

/// A pull request.
#[derive(Debug, Clone, Deserialize)]
pub struct Pull {
    /// Whether it was merged.
    pub merged: bool,
    /// The commit that it was merged as.
    pub merge_commit_sha: Option<Sha>,
    /// Where it is looked at.
    pub html_url: String,
    /// Where it went.
    pub base: Base,
}

/// Where a pull request goes.
#[derive(Debug, Clone, Deserialize)]
pub struct Base {
    /// The branch.
    pub r#ref: String,
}

/// A pull request by its number.
///
/// # Errors
/// What GitHub said, and which permission is missing.
pub async fn get(client: &Client, number: u64) -> Result<Pull, GithubError> {
    client.call(Method::GET, &["pulls", &number.to_string()], &[], None, "pull-requests: read").await
}
