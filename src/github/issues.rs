//! Issues, their comments and reactions to them (GitHub Docs, REST API, "Issues"). Decides nothing.

use jiff::Timestamp;
use reqwest::{Method, StatusCode};
use serde::{Deserialize, de::IgnoredAny};
use serde_json::json;

use super::{Client, GithubError, Repeat};

const PERMISSION: &str = "issues: write";

/// Pages of comments read at most: a thousand comments.
const PAGES: usize = 10;

/// An issue, or a pull request, which GitHub counts among them.
#[derive(Debug, Clone, Deserialize)]
pub struct Issue {
    /// Its number.
    pub number: u64,
    /// Its title: anybody's text.
    pub title: String,
    /// Its text: anybody's.
    #[serde(default)]
    pub body: Option<String>,
    /// Where it is looked at.
    pub html_url: String,
    /// Who opened it.
    #[serde(default)]
    pub user: Option<User>,
    /// Set where it is a pull request.
    #[serde(default)]
    pull_request: Option<IgnoredAny>,
}

/// An account at GitHub.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct User {
    /// Its login.
    pub login: String,
    /// GitHub's word: `User`, `Bot`, `Organization`.
    #[serde(default, rename = "type")]
    pub kind: String,
}

/// A comment.
#[derive(Debug, Clone, Deserialize)]
pub struct Comment {
    /// Its id.
    pub id: u64,
    /// Its text as it is now.
    #[serde(default)]
    pub body: Option<String>,
    /// Who wrote it.
    #[serde(default)]
    pub user: Option<User>,
    /// When it was written.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
    /// Where it is looked at.
    pub html_url: String,
    #[serde(default)]
    performed_via_github_app: Option<IgnoredAny>,
}

/// Who stands behind a comment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Author<'a> {
    /// A person, who wrote it with their own hands and has not touched it since.
    Person(&'a str),
    /// A program, or a person's program.
    Program(&'a str),
    /// A person, and it was changed since: what it said when it was written is not known any more.
    Edited(&'a str),
    /// Nobody who is there any more.
    Nobody,
}

impl Issue {
    /// Whether it is a pull request.
    #[must_use]
    pub const fn is_pull_request(&self) -> bool {
        self.pull_request.is_some()
    }
}

impl Comment {
    /// Who stands behind it.
    #[must_use]
    pub fn author(&self) -> Author<'_> {
        match &self.user {
            None => Author::Nobody,
            Some(User { login, kind }) if kind != "User" || self.performed_via_github_app.is_some() => Author::Program(login),
            Some(User { login, .. }) if self.updated_at != self.created_at => Author::Edited(login),
            Some(User { login, .. }) => Author::Person(login),
        }
    }
}

/// An issue, and what GitHub's clock says; `None`: there is no such issue.
///
/// # Errors
/// What GitHub said, and which permission is missing.
pub async fn get(client: &Client, number: u64) -> Result<Option<(Issue, Timestamp)>, GithubError> {
    let answer = client.ask(Method::GET, &["issues", &number.to_string()], &[], None, Repeat::Always).await?;
    if matches!(answer.status, StatusCode::NOT_FOUND | StatusCode::GONE) {
        return Ok(None);
    }
    let now = answer.date.unwrap_or_else(Timestamp::now);
    Ok(Some((answer.read(PERMISSION)?, now)))
}

/// The open issues with `label`.
///
/// # Errors
/// What GitHub said, and which permission is missing.
pub async fn labelled(client: &Client, label: &str) -> Result<Vec<Issue>, GithubError> {
    let query = [("state", "open"), ("labels", label)];
    client.list(&["issues"], &query, PAGES, |page: Vec<Issue>| page).await.map_err(|error| error.told(PERMISSION))
}

/// Opens an issue.
///
/// # Errors
/// What GitHub said, and which permission is missing.
pub async fn open(client: &Client, title: &str, body: &str, label: &str) -> Result<Issue, GithubError> {
    client.call(Method::POST, &["issues"], &[], Some(&json!({"title": title, "body": body, "labels": [label]})), PERMISSION).await
}

/// Gives an issue another text.
///
/// # Errors
/// What GitHub said, and which permission is missing.
pub async fn rewrite(client: &Client, number: u64, body: &str) -> Result<(), GithubError> {
    let path = ["issues", &number.to_string()];
    client.call::<IgnoredAny>(Method::PATCH, &path, &[], Some(&json!({ "body": body })), PERMISSION).await.map(|_| ())
}

/// Closes an issue for which there is nothing left to do.
///
/// # Errors
/// What GitHub said, and which permission is missing.
pub async fn close(client: &Client, number: u64) -> Result<(), GithubError> {
    let body = json!({"state": "closed", "state_reason": "not_planned"});
    client.call::<IgnoredAny>(Method::PATCH, &["issues", &number.to_string()], &[], Some(&body), PERMISSION).await.map(|_| ())
}

/// The comments of an issue that were written or changed since then, the oldest first; a thousand of them at most.
///
/// # Errors
/// What GitHub said, and which permission is missing.
pub async fn comments(client: &Client, number: u64, since: Timestamp) -> Result<Vec<Comment>, GithubError> {
    let (number, since) = (number.to_string(), since.strftime("%Y-%m-%dT%H:%M:%SZ").to_string());
    let path = ["issues", number.as_str(), "comments"];
    let query = [("since", since.as_str())];
    client.list(&path, &query, PAGES, |page: Vec<Comment>| page).await.map_err(|error| error.told(PERMISSION))
}

/// A comment as it is now; `None`: it was deleted.
///
/// # Errors
/// What GitHub said, and which permission is missing.
pub async fn comment(client: &Client, id: u64) -> Result<Option<Comment>, GithubError> {
    let answer = client.ask(Method::GET, &["issues", "comments", &id.to_string()], &[], None, Repeat::Always).await?;
    if answer.status == StatusCode::NOT_FOUND {
        return Ok(None);
    }
    answer.read(PERMISSION).map(Some)
}

/// Comments on an issue or a pull request; gives the comment.
///
/// # Errors
/// What GitHub said, and which permission is missing.
pub async fn say(client: &Client, number: u64, body: &str) -> Result<Comment, GithubError> {
    let path = ["issues", &number.to_string(), "comments"];
    client.call(Method::POST, &path, &[], Some(&json!({ "body": body })), PERMISSION).await
}

/// How a comment was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reaction {
    /// It counts.
    Yes,
    /// It does not.
    No,
}

/// Reacts to a comment. Twice is as good as once.
///
/// # Errors
/// What GitHub said, and which permission is missing.
pub async fn react(client: &Client, comment: u64, reaction: Reaction) -> Result<(), GithubError> {
    let content = match reaction {
        Reaction::Yes => "+1",
        Reaction::No => "-1",
    };
    let path = ["issues", "comments", &comment.to_string(), "reactions"];
    let answer = client.ask(Method::POST, &path, &[], Some(&json!({ "content": content })), Repeat::Always).await?;
    answer.read::<IgnoredAny>(PERMISSION).map(|_| ())
}
