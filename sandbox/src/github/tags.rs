//! Annotated tags (GitHub Docs, REST API, "Git tags"): an object of their own, to which the reference leads.

use serde_json::{Value, json};

use super::git;
use crate::shared::{REPOSITORY, Shared};

/// An annotated tag.
#[derive(Debug, Clone)]
pub(super) struct Tag {
    pub(super) name: String,
    pub(super) commit: String,
    /// What it says; `None`: the usual.
    pub(super) message: Option<String>,
}

/// The name of the tag's object.
pub(crate) fn object(name: &str, commit: &str) -> String {
    git::id(&format!("tag {name} of {commit}"))
}

/// As GitHub shows it.
pub(super) fn show(shared: &Shared, object: &str, tag: &Tag) -> Value {
    let url = format!("{}/repos/{REPOSITORY}/git", shared.urls().github_api);
    let commit = &tag.commit;
    json!({
        "node_id": format!("TA_{object}"), "sha": object, "url": format!("{url}/tags/{object}"), "tag": tag.name,
        "message": tag.message.clone().unwrap_or_else(|| format!("Release {}", tag.name)),
        "tagger": {"name": "The Octocat", "email": "octocat@example.com", "date": "2026-11-24T11:00:00Z"},
        "object": {"type": "commit", "sha": commit, "url": format!("{url}/commits/{commit}")},
        "verification": {"verified": false, "reason": "unsigned", "signature": null, "payload": null, "verified_at": null},
    })
}
