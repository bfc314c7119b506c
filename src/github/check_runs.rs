//! Check runs (GitHub Docs, REST API, "Check runs"): what CI said of a commit. Judges none of them.

use serde::Deserialize;

use super::{Client, GithubError};
use crate::{domain::Sha, observe::preflight::CheckRun};

/// Pages read at most: a thousand checks of a commit.
const PAGES: usize = 10;

#[derive(Deserialize)]
struct Page {
    check_runs: Vec<Listed>,
}

#[derive(Deserialize)]
struct Listed {
    name: String,
    #[serde(default)]
    conclusion: Option<String>,
    #[serde(default)]
    html_url: Option<String>,
}

/// The newest check run of each name of the commit `sha`.
///
/// # Errors
/// What GitHub said, and which permission is missing.
pub async fn latest(client: &Client, sha: &Sha) -> Result<Vec<CheckRun>, GithubError> {
    let path = ["commits", sha.as_str(), "check-runs"];
    let found = client.list(&path, &[("filter", "latest")], PAGES, |page: Page| page.check_runs).await;
    let found = found.map_err(|error| error.told("checks: read"))?;
    Ok(found.into_iter().map(|run| CheckRun { name: run.name, conclusion: run.conclusion, link: run.html_url }).collect())
}
