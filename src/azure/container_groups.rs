//! Container groups: read, write, tag, delete, logs. Follows Azure's long-running operations to their end.
//! A request whose answer was lost is never sent again before looking what became of it.

use std::{collections::BTreeMap, ops::ControlFlow, time::Duration};

use azure_core::http::Method;
use serde_json::{Map, Value, json};
use tokio::time::Instant;
use url::Url;

use super::{
    AzureError, ResourceManager,
    error::{Asked, Inner},
    resource_manager::{Answer, Patience, Written},
    wire::{self, TAG},
};
use crate::{domain::InstanceName, observe::Instance, observe::Provisioning};

/// Newest stable api-version that Microsoft's published schemas cover (Microsoft.ContainerInstance).
const API: &str = "2025-09-01";

/// Of resource groups (Microsoft.Resources).
const GROUPS_API: &str = "2021-04-01";

/// Azure gives up creating a container group after 30 minutes; a little longer, so that its own word comes first.
const LIMIT: Duration = Duration::from_secs(35 * 60);

/// Between two polls where Azure names no time.
const POLL: Duration = Duration::from_secs(2);

/// Whether a resource group is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Existence {
    /// It is.
    Exists,
    /// It is not.
    Missing,
}

/// How a written group ended up.
#[derive(Debug, Clone, PartialEq)]
pub enum Followed {
    /// Azure says it is done.
    Succeeded(Instance),
    /// Azure gave up.
    Failed(Instance),
    /// The caller had seen enough.
    Stopped(Instance),
}

pub(super) const PROVIDER: [&str; 3] = ["providers", "Microsoft.ContainerInstance", "containerGroups"];

fn asked(verb: &'static str, group: &str, name: &InstanceName) -> Asked {
    Asked::new(verb, format!("container group {group}/{name}"))
}

fn url(rm: &ResourceManager, group: &str, name: &InstanceName) -> Result<Url, AzureError> {
    rm.url(group, &[PROVIDER.as_slice(), &[name.as_str()]].concat(), API)
}

fn refused(asked: &Asked, answer: &Answer) -> AzureError {
    AzureError::from_answer(asked, answer.status, &answer.body, answer.header("x-ms-correlation-request-id"))
}

fn json(asked: &Asked, answer: &Answer) -> Result<Value, AzureError> {
    serde_json::from_slice(&answer.body)
        .map_err(|error| AzureError::Nonsense { asked: asked.clone(), why: format!("it is no JSON: {error}") })
}

fn instance(asked: &Asked, answer: &Answer) -> Result<Instance, AzureError> {
    wire::instance(&json(asked, answer)?).map_err(|why| AzureError::Nonsense { asked: asked.clone(), why })
}

/// Whether the resource group `group` is there.
///
/// # Errors
/// Any [`AzureError`] of a read.
pub async fn resource_group_exists(rm: &ResourceManager, group: &str) -> Result<Existence, AzureError> {
    let asked = Asked::new("read", format!("resource group {group}"));
    let answer = rm.read(&asked, &rm.url(group, &[], GROUPS_API)?).await?;
    match answer.status {
        200..=299 => Ok(Existence::Exists),
        404 if refused(&asked, &answer).code() != Some("SubscriptionNotFound") => Ok(Existence::Missing),
        _ => Err(refused(&asked, &answer)),
    }
}

/// The container group, where it exists.
///
/// # Errors
/// Any [`AzureError`] of a read.
pub async fn get(rm: &ResourceManager, group: &str, name: &InstanceName) -> Result<Option<Instance>, AzureError> {
    let nonsense = |why| AzureError::Nonsense { asked: asked("read", group, name), why };
    body(rm, group, name).await?.map(|body| wire::instance(&body).map_err(nonsense)).transpose()
}

/// The container group as Azure's GET shows it, where it exists.
///
/// # Errors
/// Any [`AzureError`] of a read.
pub(super) async fn body(rm: &ResourceManager, group: &str, name: &InstanceName) -> Result<Option<Value>, AzureError> {
    let asked = asked("read", group, name);
    let answer = rm.read(&asked, &url(rm, group, name)?).await?;
    match answer.status {
        200..=299 => json(&asked, &answer).map(Some),
        404 => Ok(None),
        _ => Err(refused(&asked, &answer)),
    }
}

/// All container groups of the resource group, without their events (Azure leaves the instance view out of lists).
///
/// # Errors
/// Any [`AzureError`] of a read.
pub async fn list(rm: &ResourceManager, group: &str) -> Result<Vec<Instance>, AzureError> {
    let asked = Asked::new("list", format!("container groups of {group}"));
    let mut found = Vec::new();
    let mut next = Some(rm.url(group, &PROVIDER, API)?);
    while let Some(url) = next {
        let answer = rm.read(&asked, &url).await?;
        if !answer.is_success() {
            return Err(refused(&asked, &answer));
        }
        let page = json(&asked, &answer)?;
        for item in page.get("value").and_then(Value::as_array).into_iter().flatten() {
            found.push(wire::instance(item).map_err(|why| AzureError::Nonsense { asked: asked.clone(), why })?);
        }
        let link = page.get("nextLink").and_then(Value::as_str).and_then(|link| Url::parse(link).ok());
        next = link.filter(|link| rm.is_ours(link));
    }
    Ok(found)
}

/// Creates the container group or updates it to `body`, and follows the operation to its end. `on_state` sees the group
/// whenever it was looked at, and may end the following.
///
/// # Errors
/// Any [`AzureError`]; [`AzureError::TooLong`] after 35 minutes.
pub async fn put(
    rm: &ResourceManager,
    group: &str,
    name: &InstanceName,
    body: &Value,
    on_state: &mut (dyn FnMut(&Instance) -> ControlFlow<()> + Send),
) -> Result<Followed, AzureError> {
    let asked = asked("create or update", group, name);
    let url = url(rm, group, name)?;
    let mut patience = Patience::new();
    loop {
        let (why, wait) = match rm.write(&asked, Method::Put, &url, Some(body)).await? {
            Written::Answered(answer) if answer.is_success() => return follow(rm, &asked, group, name, Some(&answer), on_state).await,
            Written::Answered(answer) => {
                let error = refused(&asked, &answer);
                // Azure is still busy with an earlier change; it says so itself that this passes.
                if error.code() != Some("ContainerGroupTransitioning") {
                    return Err(error);
                }
                match patience.next(answer.retry_after()) {
                    Some(wait) => ("Azure is still busy with an earlier change".to_owned(), wait),
                    None => return Err(error),
                }
            }
            Written::Unclear { why, wait } => {
                // Was it taken? The group says: it carries the tags of the request that wrote it last.
                if let Some(found) = get(rm, group, name).await?
                    && carries(&found, body)
                {
                    return follow(rm, &asked, group, name, None, on_state).await;
                }
                match patience.next(wait) {
                    Some(wait) => (why, wait),
                    None => return Err(AzureError::Unreachable { asked, why }),
                }
            }
        };
        rm.wait(&asked, why, wait).await;
    }
}

/// Whether the group was last written by the request with `body`: same rollout, same digest.
fn carries(found: &Instance, body: &Value) -> bool {
    let tag = |name: &str| body.pointer(&format!("/tags/{TAG}{name}")).and_then(Value::as_str);
    tag("rollout").is_some()
        && found.tags.rollout.as_ref().map(|rollout| rollout.as_str()) == tag("rollout")
        && found.tags.digest.as_ref().map(|digest| digest.as_str()) == tag("digest")
}

/// Sets `tags` (by their whole names) on the container group and leaves its other tags, and its containers, as they are: a
/// PATCH restarts nothing, where a PUT would (Microsoft: Container Groups - Update). The group as it is then; `None` when
/// there is no such group. One that has the tags already is left alone.
///
/// A PATCH replaces the whole map, so the map that is there is read just before. A lost answer is looked for before it is sent
/// again.
///
/// # Errors
/// Any [`AzureError`].
pub async fn tag(
    rm: &ResourceManager,
    group: &str,
    name: &InstanceName,
    tags: &BTreeMap<String, String>,
) -> Result<Option<Instance>, AzureError> {
    let asked = asked("tag", group, name);
    let url = url(rm, group, name)?;
    let mut patience = Patience::new();
    loop {
        let Some(found) = get(rm, group, name).await? else { return Ok(None) };
        let Some(whole) = tagged(&found.definition, tags) else { return Ok(Some(found)) };
        let (why, wait) = match rm.write(&asked, Method::Patch, &url, Some(&json!({"tags": whole}))).await? {
            Written::Answered(answer) if answer.is_success() => return instance(&asked, &answer).map(Some),
            Written::Answered(answer) if answer.status == 404 => return Ok(None),
            Written::Answered(answer) => {
                let error = refused(&asked, &answer);
                if error.code() != Some("ContainerGroupTransitioning") {
                    return Err(error);
                }
                match patience.next(answer.retry_after()) {
                    Some(wait) => ("Azure is still busy with an earlier change".to_owned(), wait),
                    None => return Err(error),
                }
            }
            Written::Unclear { why, wait } => match patience.next(wait) {
                // The next turn begins with a look, and ends there if it was taken.
                Some(wait) => (why, wait),
                None => return Err(AzureError::Unreachable { asked, why }),
            },
        };
        rm.wait(&asked, why, wait).await;
    }
}

/// The whole tags of `definition` with `tags` set; `None` where they are set already. Azure compares names without regard to
/// case.
fn tagged(definition: &Value, tags: &BTreeMap<String, String>) -> Option<Map<String, Value>> {
    let mut whole = definition.get("tags").and_then(Value::as_object).cloned().unwrap_or_default();
    let is_set = |(name, value): (&String, &String)| {
        whole.iter().any(|(existing, is)| existing.eq_ignore_ascii_case(name) && is.as_str() == Some(value.as_str()))
    };
    if tags.iter().all(is_set) {
        return None;
    }
    for (name, value) in tags {
        whole.retain(|existing, _| existing == name || !existing.eq_ignore_ascii_case(name));
        whole.insert(name.clone(), json!(value));
    }
    Some(whole)
}

/// What a poll of the operation says.
enum Progress {
    Busy(Duration),
    Succeeded,
    Failed(Option<AzureError>),
}

async fn follow(
    rm: &ResourceManager,
    asked: &Asked,
    group: &str,
    name: &InstanceName,
    first: Option<&Answer>,
    on_state: &mut (dyn FnMut(&Instance) -> ControlFlow<()> + Send),
) -> Result<Followed, AzureError> {
    let end = Instant::now() + LIMIT;
    let operation = first.and_then(|answer| operation(rm, answer));
    let mut wait = first.and_then(Answer::retry_after);
    loop {
        let gone = || AzureError::Nonsense { asked: asked.clone(), why: "the container group vanished while Azure was making it".into() };
        let seen = get(rm, group, name).await?.ok_or_else(gone)?;
        if on_state(&seen).is_break() {
            return Ok(Followed::Stopped(seen));
        }
        let progress = match &operation {
            Some(operation) => poll(rm, asked, operation).await?,
            None => by_state(&seen),
        };
        match progress {
            Progress::Succeeded => {
                let last = get(rm, group, name).await?.ok_or_else(gone)?;
                return Ok(if on_state(&last).is_break() { Followed::Stopped(last) } else { Followed::Succeeded(last) });
            }
            Progress::Failed(Some(error)) => return Err(error),
            Progress::Failed(None) => return Ok(Followed::Failed(seen)),
            Progress::Busy(asked_wait) => {
                if Instant::now() >= end {
                    return Err(AzureError::TooLong { asked: asked.clone(), minutes: LIMIT.as_secs() / 60 });
                }
                tokio::time::sleep(wait.take().unwrap_or(asked_wait)).await;
            }
        }
    }
}

/// Where the operation can be asked after: `Azure-AsyncOperation`, else `Location`, and only on Resource Manager itself.
fn operation(rm: &ResourceManager, answer: &Answer) -> Option<Url> {
    let link = answer.header("azure-asyncoperation").or_else(|| answer.header("location"))?;
    Url::parse(link).ok().filter(|url| rm.is_ours(url))
}

fn by_state(seen: &Instance) -> Progress {
    match seen.provisioning {
        Provisioning::Succeeded => Progress::Succeeded,
        Provisioning::Failed | Provisioning::Stopped => Progress::Failed(None),
        Provisioning::InProgress(_) => Progress::Busy(POLL),
    }
}

#[derive(serde::Deserialize, Default)]
#[serde(default)]
struct Operation {
    status: String,
    error: Option<Inner>,
}

async fn poll(rm: &ResourceManager, asked: &Asked, operation: &Url) -> Result<Progress, AzureError> {
    let answer = rm.read(asked, operation).await?;
    let wait = answer.retry_after().unwrap_or(POLL);
    // `Location` answers 202 until it is done, without a body to speak of.
    if answer.status == 202 {
        return Ok(Progress::Busy(wait));
    }
    if !answer.is_success() {
        return Err(refused(asked, &answer));
    }
    let state: Operation = serde_json::from_slice(&answer.body).unwrap_or_default();
    Ok(match state.status.to_ascii_lowercase().as_str() {
        "succeeded" => Progress::Succeeded,
        "failed" | "canceled" => {
            let correlation = answer.header("x-ms-correlation-request-id");
            Progress::Failed(state.error.map(|error| AzureError::from_inner(asked, answer.status, &error, correlation)))
        }
        "" => Progress::Succeeded,
        _ => Progress::Busy(wait),
    })
}

/// Deletes the container group and waits until it is gone. One that is not there is as good as deleted.
///
/// # Errors
/// Any [`AzureError`]; [`AzureError::TooLong`] after 35 minutes.
pub async fn delete(rm: &ResourceManager, group: &str, name: &InstanceName) -> Result<(), AzureError> {
    let asked = asked("delete", group, name);
    let url = url(rm, group, name)?;
    let mut patience = Patience::new();
    loop {
        match rm.write(&asked, Method::Delete, &url, None).await? {
            Written::Answered(answer) if answer.is_success() || answer.status == 404 => break,
            Written::Answered(answer) => return Err(refused(&asked, &answer)),
            Written::Unclear { why, wait } => {
                if get(rm, group, name).await?.is_none() {
                    return Ok(());
                }
                match patience.next(wait) {
                    Some(wait) => rm.wait(&asked, why, wait).await,
                    None => return Err(AzureError::Unreachable { asked, why }),
                }
            }
        }
    }
    let end = Instant::now() + LIMIT;
    while get(rm, group, name).await?.is_some() {
        if Instant::now() >= end {
            return Err(AzureError::TooLong { asked, minutes: LIMIT.as_secs() / 60 });
        }
        tokio::time::sleep(POLL).await;
    }
    Ok(())
}

#[derive(serde::Deserialize)]
struct Logs {
    #[serde(default)]
    content: Option<String>,
}

/// The last `tail` lines that the container wrote, oldest first.
///
/// # Errors
/// Any [`AzureError`] of a read, e.g. when the container has not started.
pub async fn logs(rm: &ResourceManager, group: &str, name: &InstanceName, container: &str, tail: u32) -> Result<Vec<String>, AzureError> {
    let asked = asked("read the logs of", group, name);
    let mut url = rm.url(group, &[PROVIDER.as_slice(), &[name.as_str(), "containers", container, "logs"]].concat(), API)?;
    url.query_pairs_mut().append_pair("tail", &tail.to_string());
    let answer = rm.read(&asked, &url).await?;
    if !answer.is_success() {
        return Err(refused(&asked, &answer));
    }
    let logs: Logs = serde_json::from_slice(&answer.body).map_err(|error| AzureError::Nonsense { asked, why: error.to_string() })?;
    Ok(logs.content.unwrap_or_default().lines().map(|line| line.chars().filter(|c| !c.is_control()).take(1000).collect()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_set_among_those_that_are_there() {
        let definition = json!({"tags": {"Team": "shop", "Deploy-Action-Role": "canary", "deploy-action-run": "7"}});
        let set = |pairs: &[(&str, &str)]| {
            let tags = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
            tagged(&definition, &tags).map(Value::Object)
        };
        assert_eq!(
            set(&[("deploy-action-role", "stable"), ("deploy-action-stable-since", "now")]),
            Some(json!({"Team": "shop", "deploy-action-run": "7", "deploy-action-role": "stable", "deploy-action-stable-since": "now"}))
        );
        assert_eq!(set(&[("deploy-action-role", "canary")]), None);
        assert_eq!(set(&[]), None);
        assert_eq!(
            tagged(&json!({"tags": null}), &BTreeMap::from([("a".to_owned(), "b".to_owned())])).map(Value::Object),
            Some(json!({"a": "b"}))
        );
    }
}
