//! What somebody may do in the repository, and whom the token speaks for (GitHub Docs, REST API, "Collaborators" and "Users").

use reqwest::{Method, StatusCode};
use serde::Deserialize;

use super::{Client, GithubError, Repeat, issues::User};

/// What somebody may do in the repository. GitHub tells `maintain` as write and `triage` as read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Access {
    /// Nothing: they are unknown, suspended, or nobody let them in.
    None,
    /// Look at it.
    Read,
    /// Change it.
    Write,
}

#[derive(Deserialize)]
struct Found {
    permission: String,
}

/// What `login` may do in the repository at this moment.
///
/// # Errors
/// What GitHub said, and which permission is missing.
pub async fn access(client: &Client, login: &str) -> Result<Access, GithubError> {
    let answer = client.ask(Method::GET, &["collaborators", login, "permission"], &[], None, Repeat::Always).await?;
    if answer.status == StatusCode::NOT_FOUND {
        return Ok(Access::None);
    }
    let Found { permission } = answer.read("metadata: read")?;
    Ok(match permission.as_str() {
        "admin" | "write" => Access::Write,
        "read" => Access::Read,
        _ => Access::None,
    })
}

/// The person that the token is of; `None`: it is a program's, such as a workflow's own.
///
/// # Errors
/// When GitHub does not answer.
pub async fn owner(client: &Client) -> Result<Option<String>, GithubError> {
    // Tokens of GitHub Apps, also of the one that runs workflows, begin so (GitHub Docs, "GitHub's token formats").
    if client.token.expose().starts_with("ghs_") {
        return Ok(None);
    }
    let answer = client.ask_anywhere(Method::GET, &["user"], &[], None, Repeat::Always).await?;
    if matches!(answer.status, StatusCode::FORBIDDEN | StatusCode::UNAUTHORIZED) {
        return Ok(None);
    }
    let user: User = answer.read("metadata: read")?;
    Ok((user.kind == "User").then_some(user.login))
}

#[derive(Deserialize)]
struct Commit {
    #[serde(default)]
    author: Option<User>,
    #[serde(default)]
    committer: Option<User>,
}

#[derive(Deserialize)]
struct Pull {
    #[serde(default)]
    user: Option<User>,
}

/// Who wrote a change: the commit's author and committer, and who opened the pull requests that it came by.
///
/// # Errors
/// What GitHub said, and which permission is missing.
pub async fn authors(client: &Client, sha: &crate::domain::Sha) -> Result<Vec<String>, GithubError> {
    let commit: Commit = client.call(Method::GET, &["commits", sha.as_str()], &[], None, "contents: read").await?;
    let pulls: Vec<Pull> = client.call(Method::GET, &["commits", sha.as_str(), "pulls"], &[], None, "pull-requests: read").await?;
    let opened = pulls.into_iter().filter_map(|pull| pull.user);
    Ok([commit.author, commit.committer].into_iter().flatten().chain(opened).map(|user| user.login).collect())
}
