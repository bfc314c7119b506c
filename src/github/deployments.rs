//! Deployments and their statuses (GitHub Docs, REST API, "Deployments").

use futures::{StreamExt as _, TryStreamExt as _, stream};
use reqwest::Method;
use serde::Deserialize;
use serde_json::json;

use super::{Client, GithubError, cut};

/// How many calls at a time: GitHub counts those that are many at once against the caller (GitHub Docs, "Rate limits for the REST
/// API": secondary limits).
const AT_ONCE: usize = 6;

const PERMISSION: &str = "deployments: write";

/// A deployment's id at GitHub.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub struct DeploymentId(u64);

/// What is deployed where.
#[derive(Debug, Clone)]
pub struct Deployment<'a> {
    /// The commit, branch or tag.
    pub git_ref: &'a str,
    /// The environment.
    pub environment: &'a str,
    /// The version, for people.
    pub version: &'a str,
    /// The image's digest, where it is known: what a later rollback goes back to.
    pub digest: Option<&'a str>,
    /// The rollout, by which a later run finds this deployment again.
    pub rollout: &'a str,
}

/// A deployment that succeeded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Succeeded {
    /// The version, as its payload has it.
    pub version: String,
    /// The image's digest, where its payload has it.
    pub digest: Option<String>,
    /// The commit.
    pub sha: String,
}

/// How a deployment is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It runs.
    InProgress,
    /// The version serves.
    Success,
    /// The version does not serve.
    Failure,
    /// Something else went wrong.
    Error,
    /// A newer one took its place.
    Inactive,
}

impl State {
    /// GitHub's word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::InProgress => "in_progress",
            Self::Success => "success",
            Self::Failure => "failure",
            Self::Error => "error",
            Self::Inactive => "inactive",
        }
    }
}

/// A status.
#[derive(Debug, Clone)]
pub struct Status<'a> {
    /// How it is doing.
    pub state: State,
    /// In a few words; cut to 140 characters.
    pub description: &'a str,
    /// Where the environment can be used.
    pub environment_url: Option<&'a str>,
    /// Where its log is.
    pub log_url: Option<&'a str>,
}

#[derive(Deserialize)]
struct Created {
    id: DeploymentId,
}

#[derive(Deserialize)]
struct Listed {
    id: DeploymentId,
    #[serde(default)]
    sha: String,
    #[serde(default)]
    payload: serde_json::Value,
}

impl Listed {
    /// What its payload says under `name`. GitHub gives a payload back as it was sent, or as text.
    fn says(&self, name: &str) -> Option<String> {
        let text = self.payload.as_str().and_then(|text| serde_json::from_str::<serde_json::Value>(text).ok());
        text.as_ref().unwrap_or(&self.payload).get(name).and_then(serde_json::Value::as_str).map(str::to_owned)
    }
}

#[derive(Deserialize)]
struct Said {
    state: String,
}

/// Creates a deployment.
///
/// # Errors
/// What GitHub said, and which permission is missing.
pub async fn create(client: &Client, deployment: &Deployment<'_>) -> Result<DeploymentId, GithubError> {
    let Deployment { git_ref, environment, version, digest, rollout } = deployment;
    // Without these two GitHub may merge the default branch in (202) or refuse for a missing check (409).
    let body = json!({
        "ref": git_ref,
        "environment": environment,
        "description": cut(&format!("deploy-action {version}")),
        "auto_merge": false,
        "required_contexts": [],
        "payload": {"rollout": rollout, "version": version, "digest": digest},
    });
    let created: Created = client.call(Method::POST, &["deployments"], &[], Some(&body), PERMISSION).await?;
    Ok(created.id)
}

/// The deployment of `rollout` in `environment`, among the newest thirty.
///
/// # Errors
/// What GitHub said.
pub async fn find(client: &Client, environment: &str, rollout: &str) -> Result<Option<DeploymentId>, GithubError> {
    let query = [("environment", environment), ("per_page", "30")];
    let listed: Vec<Listed> = client.call(Method::GET, &["deployments"], &query, None, PERMISSION).await?;
    let is_it = |listed: &Listed| listed.says("rollout").as_deref() == Some(rollout);
    Ok(listed.into_iter().find(is_it).map(|listed| listed.id))
}

/// The deployments of `environment` that succeeded and say which version they brought, among the newest thirty, newest first. What
/// a later one made inactive did succeed.
///
/// # Errors
/// What GitHub said.
pub async fn succeeded(client: &Client, environment: &str) -> Result<Vec<Succeeded>, GithubError> {
    let query = [("environment", environment), ("per_page", "30")];
    let listed: Vec<Listed> = client.call(Method::GET, &["deployments"], &query, None, PERMISSION).await?;
    let looks = listed.into_iter().filter_map(|listed| Some((listed.says("version")?, listed))).map(async |(version, listed)| {
        let id = listed.id.0.to_string();
        let path = ["deployments", &id, "statuses"];
        let said: Vec<Said> = client.call(Method::GET, &path, &[("per_page", "30")], None, PERMISSION).await?;
        let has_succeeded = said.iter().any(|said| said.state == State::Success.word());
        Ok::<_, GithubError>(has_succeeded.then(|| Succeeded { version, digest: listed.says("digest"), sha: listed.sha }))
    });
    let found: Vec<Option<Succeeded>> = stream::iter(looks).buffered(AT_ONCE).try_collect().await?;
    Ok(found.into_iter().flatten().collect())
}

/// Adds a status to a deployment.
///
/// # Errors
/// What GitHub said.
pub async fn set_status(client: &Client, id: DeploymentId, status: &Status<'_>) -> Result<(), GithubError> {
    let mut body = json!({"state": status.state.word(), "description": cut(status.description), "auto_inactive": true});
    if let Some(url) = status.environment_url {
        body["environment_url"] = json!(url);
    }
    if let Some(url) = status.log_url {
        body["log_url"] = json!(url);
    }
    let id = id.0.to_string();
    let _: serde::de::IgnoredAny = client.call(Method::POST, &["deployments", &id, "statuses"], &[], Some(&body), PERMISSION).await?;
    Ok(())
}
