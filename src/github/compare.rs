//! What is new between two commits (GitHub Docs, REST API, "Compare two commits"). Reads only.

use reqwest::Method;
use serde::Deserialize;

use super::{Client, GithubError};
use crate::{
    changes::{Changes, Commit},
    domain::Sha,
};

/// Commits on a page; the most that GitHub gives.
const PAGE: usize = 100;

/// Pages read at most. A release of more commits has more to say than anybody reads.
const PAGES: usize = 5;

#[derive(Deserialize)]
struct Compared {
    #[serde(default)]
    total_commits: u64,
    commits: Vec<Listed>,
}

#[derive(Deserialize)]
struct Listed {
    sha: Sha,
    commit: Told,
    #[serde(default)]
    parents: Vec<serde::de::IgnoredAny>,
}

#[derive(Deserialize)]
struct Told {
    message: String,
}

/// What `head` has that `base` has not; each a commit, tag or branch. `repository` is the repository's page, for links. At most
/// 500 commits are read, the oldest first; [`Changes::more`] counts the others.
///
/// # Errors
/// What GitHub said: also that it does not know one of the two, as after a tag was deleted.
pub async fn changes(client: &Client, base: &str, head: &str, repository: Option<String>) -> Result<Changes, GithubError> {
    let range = format!("{base}...{head}");
    let (mut commits, mut total) = (Vec::new(), 0);
    for page in 1..=PAGES {
        let (number, size) = (page.to_string(), PAGE.to_string());
        let query = [("per_page", size.as_str()), ("page", number.as_str())];
        let compared: Compared = client.call(Method::GET, &["compare", &range], &query, None, "contents: read").await?;
        total = compared.total_commits;
        let is_last = compared.commits.len() < PAGE;
        commits.extend(compared.commits.into_iter().map(|listed| Commit {
            sha: listed.sha,
            message: listed.commit.message,
            parents: listed.parents.len(),
        }));
        if is_last {
            break;
        }
    }
    Ok(Changes::of(&commits, total, base, repository))
}
