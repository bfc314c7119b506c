//! Check runs (GitHub Docs, REST API, "Check runs"): what CI said of a commit. Judges none of them.

use std::collections::BTreeMap;

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
    id: u64,
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
    // GitHub gives the latest of each suite, and a name may be in several (of the pull request, of the branch, of the tag): the one
    // that was made last says how it stands now.
    let mut newest: BTreeMap<String, Listed> = BTreeMap::new();
    for run in found {
        if newest.get(&run.name).is_none_or(|known| known.id < run.id) {
            newest.insert(run.name.clone(), run);
        }
    }
    Ok(newest.into_values().map(|run| CheckRun { name: run.name, conclusion: run.conclusion, link: run.html_url }).collect())
}
