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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{changes::Group, domain::Secret};

    #[tokio::test]
    async fn page_after_page_is_read_oldest_first_and_no_more_than_that() {
        let world = sandbox::World::start(sandbox::Options::quick()).await.expect("a world on loopback");
        let first = world.head();
        for number in 0..620 {
            let _ = world.commit(&format!("fix: number {number} (#{number})"));
        }
        // The crate's own client chooses how TLS is done.
        let _ = crate::http::client();
        let authority = std::fs::read(world.ca_file()).expect("the world's authority");
        let trusted = reqwest::Certificate::from_pem(&authority).expect("a certificate");
        let http = reqwest::Client::builder().tls_certs_only([trusted]).no_proxy().build().expect("a client");
        let token = Secret::new(world.info()["github-token"].as_str().expect("a token").to_owned());
        let base = world.urls().github_api.parse().expect("a URL");
        let client = Client::new(http, base, token, "nextgen-market/nextgen-market".into());
        let changes = changes(&client, &first, "main", Some("https://github.com/o/r".into())).await.expect("compared");
        let read: Vec<u64> = changes.changes.iter().filter_map(|change| change.pull_request).collect();
        assert_eq!((read.len(), read.first(), changes.more), (200, Some(&0), 420));
        assert!(changes.groups().all(|(group, _)| group == Group::Fixes));
        let asked = world.requests().iter().filter(|request| request.path.contains("/compare/")).count();
        assert_eq!(asked, PAGES);
        let unknown = super::changes(&client, "v0.0.1", "main", None).await.expect_err("no such tag");
        assert!(unknown.to_string().contains("404"), "{unknown}");
    }
}
