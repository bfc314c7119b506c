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
    pub(super) signature: Signature,
}

/// How a tag is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TagKind {
    /// `git tag`: a name and nothing else.
    Lightweight,
    /// `git tag -a`.
    Annotated,
    /// `git tag -s`, with a key that GitHub knows.
    Signed,
}

/// What GitHub thinks of a tag's signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Signature {
    None,
    Valid,
}

/// The name of the tag's object.
pub(crate) fn object(name: &str, commit: &str) -> String {
    git::id(&format!("tag {name} of {commit}"))
}

/// As GitHub shows it.
pub(super) fn show(shared: &Shared, object: &str, tag: &Tag) -> Value {
    let url = format!("{}/repos/{REPOSITORY}/git", shared.urls().github_api);
    let commit = &tag.commit;
    let verification = match tag.signature {
        Signature::None => json!({"verified": false, "reason": "unsigned", "signature": null, "payload": null, "verified_at": null}),
        Signature::Valid => json!({
            "verified": true, "reason": "valid", "signature": "-----BEGIN PGP SIGNATURE-----", "payload": format!("tag {}", tag.name),
            "verified_at": "2026-11-24T11:00:00Z",
        }),
    };
    json!({
        "node_id": format!("TA_{object}"), "sha": object, "url": format!("{url}/tags/{object}"), "tag": tag.name,
        "message": tag.message.clone().unwrap_or_else(|| format!("Release {}", tag.name)),
        "tagger": {"name": "The Octocat", "email": "octocat@example.com", "date": "2026-11-24T11:00:00Z"},
        "object": {"type": "commit", "sha": commit, "url": format!("{url}/commits/{commit}")},
        "verification": verification,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Options, World, github::ask, shared::SHA};

    #[tokio::test]
    async fn a_tag_is_told_as_it_was_made() {
        let world = World::start(Options::quick()).await.unwrap();
        let object = |name: &str| ask(&world, "GET", &format!("git/ref/tags/{name}"), &Value::Null).1["object"].clone();
        world.tag_commit_as("v1.0.0", SHA, TagKind::Lightweight);
        assert_eq!((&object("v1.0.0")["type"], &object("v1.0.0")["sha"]), (&json!("commit"), &json!(SHA)));
        for (kind, verified) in [(TagKind::Annotated, false), (TagKind::Signed, true)] {
            world.tag_commit_as("v1.0.0", SHA, kind);
            let sha = object("v1.0.0")["sha"].as_str().unwrap().to_owned();
            let (_, tag) = ask(&world, "GET", &format!("git/tags/{sha}"), &Value::Null);
            assert_eq!((&tag["object"]["sha"], &tag["verification"]["verified"]), (&json!(SHA), &json!(verified)));
        }
    }

    #[tokio::test]
    async fn what_a_person_says_of_a_commit_is_a_status_of_theirs() {
        let world = World::start(Options::quick()).await.unwrap();
        world.say_of_commit(SHA, "approval/tech-lead", "success", "go", "tom", 60);
        let (_, listed) = ask(&world, "GET", &format!("commits/{SHA}/statuses"), &Value::Null);
        assert_eq!((&listed[0]["creator"]["login"], &listed[0]["creator"]["type"]), (&json!("tom"), &json!("User")));
        assert_eq!((&listed[0]["context"], &listed[0]["state"]), (&json!("approval/tech-lead"), &json!("success")));
    }
}
