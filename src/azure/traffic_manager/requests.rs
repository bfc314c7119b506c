//! The requests about a profile: read it, write it whole, create it. A write whose answer was lost is not sent again before
//! looking what became of it; what to write is decided elsewhere.

use azure_core::http::Method;
use serde_json::Value;
use url::Url;

use super::{NewProfile, created, differs};
use crate::{
    azure::{
        AzureError, ResourceManager,
        error::Asked,
        resource_manager::{Answer, Patience, Written},
        wire,
    },
    observe::Profile,
};

/// The api-version that Microsoft's published schema of the profile covers (Microsoft.Network/trafficmanagerprofiles).
const API: &str = "2022-04-01";

const PROVIDER: [&str; 3] = ["providers", "Microsoft.Network", "trafficmanagerprofiles"];

/// How a write ended.
#[derive(Debug, Clone, PartialEq)]
pub enum Put {
    /// The profile is what was asked for; as it is now.
    Done(Profile),
    /// Azure did not say whether it took the write, and what was found afterwards is neither what was there before nor what
    /// was asked for: somebody else was at it. It was not written again. As it is now; `None` when it is gone.
    Superseded(Option<Profile>),
}

fn asked(verb: &'static str, group: &str, name: &str) -> Asked {
    Asked::profile(verb, format!("Traffic Manager profile {group}/{name}"))
}

fn url(rm: &ResourceManager, group: &str, name: &str) -> Result<Url, AzureError> {
    rm.url(group, &[PROVIDER.as_slice(), &[name]].concat(), API)
}

fn refused(asked: &Asked, answer: &Answer) -> AzureError {
    AzureError::from_answer(asked, answer.status, &answer.body, answer.header("x-ms-correlation-request-id"))
}

fn profile(asked: &Asked, answer: &Answer) -> Result<Profile, AzureError> {
    let body: Value = serde_json::from_slice(&answer.body)
        .map_err(|error| AzureError::Nonsense { asked: asked.clone(), why: format!("it is no JSON: {error}") })?;
    wire::profile(&body).map_err(|why| AzureError::Nonsense { asked: asked.clone(), why })
}

/// The profile `name` of the resource group `group`, where it exists.
///
/// # Errors
/// Any [`AzureError`] of a read.
pub async fn get(rm: &ResourceManager, group: &str, name: &str) -> Result<Option<Profile>, AzureError> {
    let asked = asked("read", group, name);
    let answer = rm.read(&asked, &url(rm, group, name)?).await?;
    match answer.status {
        200..=299 => profile(&asked, &answer).map(Some),
        // Only the profile may be missing: without its resource group or subscription nothing can be deployed.
        404 if !matches!(refused(&asked, &answer), AzureError::GroupMissing(_)) => Ok(None),
        _ => Err(refused(&asked, &answer)),
    }
}

/// Writes `document` (of [`super::changed`]) over `before`, as it was read last, in one request, and gives the profile as it
/// is then. Azure has no ETag for it: what somebody wrote between the reading and this request is overwritten, which is why
/// a run holds the environment's lock.
///
/// Where Azure gave no answer, or a 5xx, it is read back and compared first. It is written again only when it is still as
/// `before`; the first time after about a second, then at doubled intervals.
///
/// # Errors
/// Any [`AzureError`].
pub async fn put(rm: &ResourceManager, group: &str, before: &Profile, document: &Value) -> Result<Put, AzureError> {
    write(rm, asked("change", group, &before.name), group, &before.name, Some(before), document).await
}

/// Creates the profile `name`, which does not exist.
///
/// # Errors
/// Any [`AzureError`]; [`AzureError::NameTaken`] when another customer has the DNS name.
pub async fn create(rm: &ResourceManager, group: &str, name: &str, new: &NewProfile<'_>) -> Result<Put, AzureError> {
    write(rm, asked("create", group, name), group, name, None, &created(new)).await
}

async fn write(
    rm: &ResourceManager,
    asked: Asked,
    group: &str,
    name: &str,
    before: Option<&Profile>,
    document: &Value,
) -> Result<Put, AzureError> {
    let url = url(rm, group, name)?;
    let mut patience = Patience::new();
    loop {
        let (why, wait, unreadable) = match rm.write(&asked, Method::Put, &url, Some(document)).await? {
            Written::Answered(answer) if answer.is_success() => match profile(&asked, &answer) {
                Ok(profile) => return Ok(Put::Done(profile)),
                Err(error) => ("the answer cannot be read".to_owned(), None, Some(error)),
            },
            Written::Answered(answer) => return Err(refused(&asked, &answer)),
            Written::Unclear { why, wait } => (why, wait, None),
        };
        let found = get(rm, group, name).await?;
        match (compare(before, document, found.as_ref()), found) {
            (Found::Wanted, Some(found)) => return Ok(Put::Done(found)),
            (Found::Before, _) => {}
            (Found::Wanted | Found::Other, found) => return Ok(Put::Superseded(found)),
        }
        match patience.next(wait) {
            Some(wait) => rm.wait(&asked, why, wait).await,
            None => return Err(unreadable.unwrap_or(AzureError::Unreachable { asked, why })),
        }
    }
}

/// What a profile was found to be after a write that nobody answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Found {
    /// What was asked for.
    Wanted,
    /// What it was before.
    Before,
    /// Something else.
    Other,
}

/// What `found` is, after `document` was sent to take the place of `before`.
fn compare(before: Option<&Profile>, document: &Value, found: Option<&Profile>) -> Found {
    match (before, found) {
        (_, Some(found)) if wire::profile(document).is_ok_and(|wanted| differs(&wanted, found).is_empty()) => Found::Wanted,
        (Some(before), Some(found)) if differs(before, found).is_empty() => Found::Before,
        (None, None) => Found::Before,
        (Some(_) | None, Some(_)) | (Some(_), None) => Found::Other,
    }
}
