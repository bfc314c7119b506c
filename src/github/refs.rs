//! Where a commit is, seen from a branch, and how a tag was made (GitHub Docs, REST API, "Commits" and "Git database"). Reads only.

use reqwest::Method;
use serde::Deserialize;

use super::{Client, GithubError};
use crate::{
    domain::Sha,
    observe::preflight::{Ancestry, Tag, TagMade, Verification},
};

const PERMISSION: &str = "contents: read";

#[derive(Deserialize)]
struct Compared {
    status: String,
    #[serde(default)]
    behind_by: u64,
}

#[derive(Deserialize)]
struct Reference {
    object: Object,
}

#[derive(Deserialize)]
struct Object {
    #[serde(rename = "type")]
    kind: String,
    sha: Sha,
}

#[derive(Deserialize)]
struct TagObject {
    object: Object,
    #[serde(default)]
    tagger: Option<Tagger>,
    #[serde(default)]
    verification: Option<Verified>,
}

#[derive(Deserialize)]
struct Tagger {
    #[serde(default)]
    name: Option<String>,
}

#[derive(Deserialize)]
struct Verified {
    verified: bool,
    #[serde(default)]
    reason: String,
}

/// Where `sha` is, seen from `branch`.
///
/// # Errors
/// What GitHub said, and which permission is missing.
pub async fn ancestry(client: &Client, branch: &str, sha: &Sha) -> Result<Ancestry, GithubError> {
    let range = format!("{branch}...{sha}");
    // Only how far they are apart is of use, so as little as can be is asked for of the commits between them.
    let query = [("per_page", "1")];
    let Compared { status, behind_by } = client.call(Method::GET, &["compare", &range], &query, None, PERMISSION).await?;
    Ok(match status.as_str() {
        "identical" => Ancestry::Head,
        "behind" => Ancestry::Behind { commits: behind_by },
        _ => Ancestry::Elsewhere,
    })
}

/// The tag `name`.
///
/// # Errors
/// What GitHub said, and which permission is missing.
pub async fn tag(client: &Client, name: &str) -> Result<Tag, GithubError> {
    let path: Vec<&str> = ["git", "ref", "tags"].into_iter().chain(name.split('/')).collect();
    let Reference { object } = client.call(Method::GET, &path, &[], None, PERMISSION).await?;
    if object.kind == "commit" {
        return Ok(Tag { commit: object.sha, made: TagMade::Lightweight });
    }
    let found: TagObject = client.call(Method::GET, &["git", "tags", object.sha.as_str()], &[], None, PERMISSION).await?;
    if found.object.kind != "commit" {
        return Err(GithubError(format!("the tag {name} is on a {}, not on a commit", found.object.kind)));
    }
    let (verification, signature) = match found.verification {
        Some(Verified { verified: true, reason }) => (Verification::Verified, reason),
        Some(Verified { verified: false, reason }) => (Verification::Unverified, reason),
        None => (Verification::Unverified, "GitHub says nothing of a signature".to_owned()),
    };
    let tagger = found.tagger.and_then(|tagger| tagger.name);
    Ok(Tag { commit: found.object.sha, made: TagMade::Annotated { tagger, signature, verification } })
}
