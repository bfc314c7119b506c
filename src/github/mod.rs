//! GitHub's REST API: the few calls that a rollout makes, over the shared HTTP client. Decides nothing, but who has an
//! environment's lock.

/// What people said of the release of a commit.
pub mod approvals;
/// Check runs of a commit.
pub mod check_runs;
/// Code-scanning alerts.
pub mod code_scanning;
/// Commit statuses: what a commit has passed, for people, branch rules and the production preflight.
pub mod commit_statuses;
/// What is new between two commits.
pub mod compare;
/// Deployments and their statuses.
pub mod deployments;
/// Issues, their comments and reactions.
pub mod issues;
/// The lock of an environment: one run at a time.
pub mod lock;
/// What somebody may do, and whom a token speaks for.
pub mod people;
/// Pull requests.
pub mod pulls;
/// Where a commit is, seen from a branch, and how a tag was made.
pub mod refs;
/// Releases that were asked for.
pub mod release_requests;
/// Releases and their notes.
pub mod releases;
/// Workflow runs: whether one is over.
pub mod runs;
/// Making a release's tag, and starting a workflow on it.
pub mod tagging;
mod teams;

use std::time::Duration;

use jiff::Timestamp;
use reqwest::{Method, StatusCode};
use serde::de::DeserializeOwned;
use serde_json::Value;
use url::Url;

use crate::{domain::Secret, http};

/// The version of the API that was read for this (GitHub Docs, "API versions").
const API_VERSION: &str = "2022-11-28";

/// How often a call is tried.
const TRIES: u32 = 3;

/// How long one answer may take.
const ANSWER: Duration = Duration::from_secs(8);

/// The longest wait for a rate limit: reports do not hold up a rollout's end for longer.
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// Items on a page; the most that GitHub gives.
const PAGE: usize = 100;

/// The longest description of a commit status and of a deployment status.
const DESCRIPTION: usize = 140;

/// A repository at GitHub, as one token sees it.
#[derive(Debug, Clone)]
pub struct Client {
    http: reqwest::Client,
    base: Url,
    token: Secret,
    repository: String,
}

/// Why GitHub did not do it: one sentence that says what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct GithubError(String);

impl Client {
    /// A client for `repository` (`OWNER/NAME`) at `base` (`GITHUB_API_URL`); sends nothing yet.
    #[must_use]
    pub const fn new(http: reqwest::Client, base: Url, token: Secret, repository: String) -> Self {
        Self { http, base, token, repository }
    }

    /// The repository, `OWNER/NAME`.
    #[must_use]
    pub fn repository(&self) -> &str {
        &self.repository
    }

    /// All pages of a list, 100 at a time and at most `pages` of them; `items` takes a page's items out of an answer.
    async fn list<P: DeserializeOwned, T>(
        &self,
        path: &[&str],
        query: &[(&str, &str)],
        pages: usize,
        items: impl Fn(P) -> Vec<T>,
    ) -> Result<Vec<T>, ListError> {
        let mut all = Vec::new();
        for page in 1..=pages {
            let (number, size) = (page.to_string(), PAGE.to_string());
            let whole: Vec<(&str, &str)> = query.iter().copied().chain([("per_page", size.as_str()), ("page", number.as_str())]).collect();
            let answer = self.ask(Method::GET, path, &whole, None, Repeat::Always).await.map_err(ListError::Unanswered)?;
            if !answer.status.is_success() {
                return Err(ListError::Refused(answer));
            }
            let found = items(answer.read("").map_err(ListError::Unanswered)?);
            let is_last = found.len() < PAGE;
            all.extend(found);
            if is_last {
                return Ok(all);
            }
        }
        Ok(all)
    }

    /// Sends a call below the repository and reads its answer. `permission` is what the token needs, for the error.
    async fn call<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &[&str],
        query: &[(&str, &str)],
        body: Option<&Value>,
        permission: &str,
    ) -> Result<T, GithubError> {
        // A POST whose answer was lost may have taken effect: a second deployment would be worse than none reported.
        let repeat = if method == Method::POST { Repeat::UnlessItArrived } else { Repeat::Always };
        self.ask(method, path, query, body, repeat).await?.read(permission)
    }

    /// Sends a call below the repository and gives whatever answer is final; what passes by itself is tried again.
    async fn ask(
        &self,
        method: Method,
        path: &[&str],
        query: &[(&str, &str)],
        body: Option<&Value>,
        repeat: Repeat,
    ) -> Result<Answer, GithubError> {
        let whole: Vec<&str> = ["repos"].into_iter().chain(self.repository.split('/')).chain(path.iter().copied()).collect();
        self.ask_anywhere(method, &whole, query, body, repeat).await
    }

    /// The same for a path that is not below the repository.
    async fn ask_anywhere(
        &self,
        method: Method,
        path: &[&str],
        query: &[(&str, &str)],
        body: Option<&Value>,
        repeat: Repeat,
    ) -> Result<Answer, GithubError> {
        let mut url = self.base.clone();
        url.path_segments_mut().map_err(|()| GithubError(format!("{} cannot be GitHub's API", self.base)))?.pop_if_empty().extend(path);
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        let mut wait = Duration::from_secs(1);
        for last in (0..TRIES).rev() {
            let mut request = self
                .http
                .request(method.clone(), url.clone())
                .bearer_auth(self.token.expose())
                .header("accept", "application/vnd.github+json")
                .header("x-github-api-version", API_VERSION)
                .timeout(ANSWER);
            if let Some(body) = body {
                request = request.json(body);
            }
            let (why, after) = match request.send().await {
                Ok(answer) => match passing(&answer) {
                    Some(after) => (format!("HTTP {}", answer.status()), after),
                    None => {
                        let (status, date) = (answer.status(), date(&answer));
                        match (answer.bytes().await, repeat) {
                            (Ok(body), _) => return Ok(Answer { status, date, body: body.to_vec() }),
                            (Err(error), Repeat::UnlessItArrived) => return Err(unreadable(&http::cause(&error))),
                            (Err(error), Repeat::Always) => (http::cause(&error), None),
                        }
                    }
                },
                Err(error) => match repeat {
                    Repeat::UnlessItArrived if !error.is_connect() => return Err(GithubError(http::cause(&error))),
                    Repeat::UnlessItArrived | Repeat::Always => (http::cause(&error), None),
                },
            };
            if last == 0 {
                return Err(GithubError(format!("GitHub's API: {why}")));
            }
            tokio::time::sleep(after.unwrap_or(wait).min(LONGEST_WAIT)).await;
            wait *= 2;
        }
        Err(GithubError("GitHub's API was not asked".into()))
    }
}

/// Why a list was not read.
enum ListError {
    /// GitHub answered with something else than a success.
    Refused(Answer),
    /// There was no answer, or none that can be read.
    Unanswered(GithubError),
}

impl ListError {
    /// The same in a sentence; `permission` is what the token needs.
    fn told(self, permission: &str) -> GithubError {
        match self {
            Self::Refused(answer) => answer.refused(permission),
            Self::Unanswered(error) => error,
        }
    }
}

/// Whether a call may be sent again.
#[derive(Clone, Copy)]
enum Repeat {
    /// Twice is as good as once.
    Always,
    /// Only where it certainly did not arrive, or GitHub says that it did nothing.
    UnlessItArrived,
}

/// A final answer, whatever its status.
struct Answer {
    status: StatusCode,
    /// When it was given, by GitHub's clock.
    date: Option<Timestamp>,
    body: Vec<u8>,
}

impl Answer {
    /// The body of a success, or what GitHub said; `permission` is what the token needs.
    fn read<T: DeserializeOwned>(&self, permission: &str) -> Result<T, GithubError> {
        if !self.status.is_success() {
            return Err(self.refused(permission));
        }
        serde_json::from_slice(&self.body).map_err(|error| unreadable(&error.to_string()))
    }

    /// GitHub's words, on one line.
    fn message(&self) -> String {
        let message = serde_json::from_slice::<Message>(&self.body).map(|body| body.message).unwrap_or_default();
        message.chars().filter(|c| !c.is_control()).take(200).collect()
    }

    fn refused(&self, permission: &str) -> GithubError {
        let advice = match self.status {
            StatusCode::UNAUTHORIZED => "; the token in github-token is not valid".to_owned(),
            StatusCode::FORBIDDEN | StatusCode::NOT_FOUND => format!("; give the job `permissions: {permission}`"),
            _ => String::new(),
        };
        GithubError(format!("GitHub answered HTTP {}: {}{advice}", self.status.as_u16(), self.message()))
    }
}

/// What the header `Date` says (RFC 9110, 6.6.1).
fn date(answer: &reqwest::Response) -> Option<Timestamp> {
    let text = answer.headers().get("date")?.to_str().ok()?;
    jiff::fmt::rfc2822::parse(text).ok().map(|at| at.timestamp())
}

fn unreadable(why: &str) -> GithubError {
    GithubError(format!("GitHub's answer cannot be read: {why}"))
}

/// Whether the same call may succeed later, and when (GitHub Docs, "Best practices for using the REST API").
fn passing(answer: &reqwest::Response) -> Option<Option<Duration>> {
    let header = |name: &str| answer.headers().get(name).and_then(|value| value.to_str().ok());
    let retry_after = header("retry-after").and_then(|text| text.parse().ok()).map(Duration::from_secs);
    let status = answer.status();
    let limited = status == StatusCode::FORBIDDEN && (retry_after.is_some() || header("x-ratelimit-remaining") == Some("0"));
    (status == StatusCode::TOO_MANY_REQUESTS || status.is_server_error() || limited).then_some(retry_after)
}

#[derive(serde::Deserialize)]
struct Message {
    #[serde(default)]
    message: String,
}

/// The first line of `text`, at most [`DESCRIPTION`] characters.
fn cut(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default();
    if line.chars().count() <= DESCRIPTION { line.to_owned() } else { line.chars().take(DESCRIPTION - 1).chain(['…']).collect() }
}
