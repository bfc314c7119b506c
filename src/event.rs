//! What GitHub says happened: event payloads as plain structs, only what requests are derived from. Decides nothing.
//! Tolerant of what it does not know, strict in what it uses; no bytes make it panic.

use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;

use crate::{
    domain::Sha,
    failure::{Failure, FailureKind},
};

/// Something that happened at GitHub.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GithubEvent {
    /// Commits or a tag were pushed.
    Push(Push),
    /// A person, or a program, started the workflow.
    Dispatch(Dispatch),
    /// A comment on an issue or a pull request.
    Comment(Comment),
    /// A release.
    Release {
        /// `published`, `created`, …
        action: String,
        /// Its tag.
        tag: String,
    },
    /// Anything about a pull request.
    PullRequest {
        /// `opened`, `closed`, …
        action: String,
        /// Its number.
        number: u64,
    },
    /// The clock.
    Schedule,
    /// The merge queue.
    MergeGroup,
    /// Any other event, by its name.
    Other(String),
}

/// A push.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Push {
    /// The branch or the tag.
    pub target: GitRef,
    /// The commit that it is at now; `None` when it was deleted.
    pub after: Option<Sha>,
    /// Whether history was rewritten.
    pub rewrote: Rewrote,
    /// Who pushed.
    pub actor: Option<String>,
}

/// A branch or a tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GitRef {
    /// A branch's name.
    Branch(String),
    /// A tag's name.
    Tag(String),
}

/// Whether a push rewrote history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rewrote {
    /// It was forced.
    Yes,
    /// It went forward.
    No,
}

/// A dispatched workflow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dispatch {
    /// The branch or tag it was started on, where it says.
    pub target: Option<GitRef>,
    /// The workflow's inputs that are texts.
    pub inputs: Vec<(String, String)>,
    /// Who started it.
    pub actor: Option<String>,
}

/// A comment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Comment {
    /// `created`, `edited`, `deleted`.
    pub action: String,
    /// The issue's or pull request's number.
    pub number: u64,
    /// What it is on.
    pub on: CommentedOn,
    /// Its own id.
    pub id: Option<u64>,
    /// Its text, as written.
    pub body: String,
    /// Its text before it was edited, where the event says.
    pub body_before: Option<String>,
    /// Who wrote it.
    pub author: Option<String>,
}

/// What a comment is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CommentedOn {
    /// An issue.
    Issue,
    /// A pull request.
    PullRequest,
}

#[derive(Deserialize)]
struct RawPush {
    r#ref: String,
    after: Option<String>,
    #[serde(default)]
    deleted: bool,
    #[serde(default)]
    forced: bool,
    #[serde(default)]
    head_commit: Option<Commit>,
    #[serde(default)]
    sender: Option<User>,
}

#[derive(Deserialize)]
struct Commit {
    id: Option<String>,
}

#[derive(Deserialize)]
struct User {
    login: Option<String>,
}

#[derive(Deserialize)]
struct RawDispatch {
    r#ref: Option<String>,
    #[serde(default)]
    inputs: Option<serde_json::Map<String, Value>>,
    #[serde(default)]
    sender: Option<User>,
}

#[derive(Deserialize)]
struct RawComment {
    action: String,
    issue: Issue,
    comment: CommentBody,
    #[serde(default)]
    changes: Option<Changes>,
}

#[derive(Deserialize)]
struct Changes {
    #[serde(default)]
    body: Option<Before>,
}

#[derive(Deserialize)]
struct Before {
    #[serde(default)]
    from: Option<String>,
}

#[derive(Deserialize)]
struct Issue {
    number: u64,
    #[serde(default)]
    pull_request: Option<serde::de::IgnoredAny>,
}

#[derive(Deserialize)]
struct CommentBody {
    #[serde(default)]
    id: Option<u64>,
    #[serde(default)]
    body: Option<String>,
    #[serde(default)]
    user: Option<User>,
}

#[derive(Deserialize)]
struct RawRelease {
    action: String,
    release: ReleaseTag,
}

#[derive(Deserialize)]
struct ReleaseTag {
    tag_name: String,
}

#[derive(Deserialize)]
struct RawPullRequest {
    #[serde(default)]
    action: String,
    number: u64,
}

/// Reads the payload of the event called `name` (`GITHUB_EVENT_NAME`).
///
/// # Errors
/// A payload that is no JSON, or lacks what its event always has (kind `Request`).
pub fn parse(name: &str, payload: &[u8]) -> Result<GithubEvent, Failure> {
    fn read<T: DeserializeOwned>(name: &str, payload: &[u8]) -> Result<T, Failure> {
        match serde_json::from_slice(payload) {
            Ok(Value::Object(fields)) => T::deserialize(Value::Object(fields)).map_err(|error| malformed(name, &error.to_string())),
            Ok(_) => Err(malformed(name, "it is JSON, but no object")),
            Err(error) => Err(malformed(name, &error.to_string())),
        }
    }
    Ok(match name {
        "push" => GithubEvent::Push(push(read(name, payload)?)?),
        "workflow_dispatch" | "repository_dispatch" => dispatch(name, read(name, payload)?),
        "issue_comment" => {
            let RawComment { action, issue, comment, changes } = read(name, payload)?;
            let author = comment.user.and_then(|user| user.login);
            let on = if issue.pull_request.is_some() { CommentedOn::PullRequest } else { CommentedOn::Issue };
            let body_before = changes.and_then(|changes| changes.body?.from);
            let CommentBody { id, body, .. } = CommentBody { user: None, ..comment };
            GithubEvent::Comment(Comment { action, number: issue.number, on, id, body: body.unwrap_or_default(), body_before, author })
        }
        "release" => {
            let RawRelease { action, release } = read(name, payload)?;
            GithubEvent::Release { action, tag: release.tag_name }
        }
        "pull_request" | "pull_request_target" => {
            let RawPullRequest { action, number } = read(name, payload)?;
            GithubEvent::PullRequest { action, number }
        }
        "schedule" => GithubEvent::Schedule,
        "merge_group" => GithubEvent::MergeGroup,
        other => {
            read::<Value>(name, payload)?;
            GithubEvent::Other(other.to_owned())
        }
    })
}

fn malformed(name: &str, why: &str) -> Failure {
    Failure::new(
        FailureKind::Request,
        format!("the payload of the event {} cannot be read: {why}", crate::domain::NotA::new(name, "").given),
        "GITHUB_EVENT_PATH",
    )
    .meaning("nothing was touched")
    .next("GitHub writes this file: look whether a step before this one changed it")
}

fn push(raw: RawPush) -> Result<Push, Failure> {
    let target = git_ref(&raw.r#ref).ok_or_else(|| malformed("push", "`ref` is neither a branch nor a tag"))?;
    // Of an annotated tag `after` is the tag object, which is no commit (GitHub Docs, "Webhook events and payloads": `push`).
    let after = match target {
        GitRef::Tag(_) => raw.head_commit.and_then(|commit| commit.id).or(raw.after),
        GitRef::Branch(_) => raw.after,
    };
    let after = after.filter(|sha| !raw.deleted && !sha.bytes().all(|b| b == b'0'));
    let after = after.map(|sha| sha.parse().map_err(|error| malformed("push", &format!("`after`: {error}")))).transpose()?;
    if after.is_none() && !raw.deleted {
        return Err(malformed("push", "`after` is missing"));
    }
    let rewrote = if raw.forced { Rewrote::Yes } else { Rewrote::No };
    Ok(Push { target, after, rewrote, actor: raw.sender.and_then(|user| user.login) })
}

fn dispatch(name: &str, raw: RawDispatch) -> GithubEvent {
    if name == "repository_dispatch" {
        return GithubEvent::Other(name.to_owned());
    }
    let texts = raw.inputs.into_iter().flatten().filter_map(|(name, value)| match value {
        Value::String(text) if !text.trim().is_empty() => Some((name, text)),
        Value::Bool(flag) => Some((name, flag.to_string())),
        Value::Number(number) => Some((name, number.to_string())),
        Value::String(_) | Value::Null | Value::Array(_) | Value::Object(_) => None,
    });
    let actor = raw.sender.and_then(|user| user.login);
    GithubEvent::Dispatch(Dispatch { target: raw.r#ref.as_deref().and_then(git_ref), inputs: texts.collect(), actor })
}

/// `refs/heads/x` or `refs/tags/x`.
#[must_use]
pub fn git_ref(full: &str) -> Option<GitRef> {
    let name = |prefix| full.strip_prefix(prefix).filter(|name: &&str| !name.is_empty()).map(str::to_owned);
    name("refs/heads/").map(GitRef::Branch).or_else(|| name("refs/tags/").map(GitRef::Tag))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NAMES: [&str; 8] =
        ["push", "workflow_dispatch", "issue_comment", "release", "pull_request", "schedule", "merge_group", "something_new"];

    #[test]
    fn a_deleted_branch_has_no_commit() {
        let payload =
            br#"{"ref":"refs/heads/x","after":"0000000000000000000000000000000000000000","deleted":true,"sender":{"login":"octocat"}}"#;
        let Ok(GithubEvent::Push(push)) = parse("push", payload) else { panic!("a push") };
        assert_eq!((push.after, push.actor.as_deref()), (None, Some("octocat")));
    }

    #[test]
    fn a_tag_is_at_its_commit_also_where_it_is_an_object_of_its_own() {
        let (object, commit) = ("a".repeat(40), "b".repeat(40));
        let at = |name: &str, head: &str| {
            let payload = format!(r#"{{"ref":"{name}","after":"{object}","head_commit":{head}}}"#);
            let Ok(GithubEvent::Push(push)) = parse("push", payload.as_bytes()) else { panic!("a push") };
            push.after.map(|sha| sha.to_string())
        };
        let head = format!(r#"{{"id":"{commit}"}}"#);
        assert_eq!(at("refs/tags/v1.0.0", &head), Some(commit));
        assert_eq!(at("refs/tags/v1.0.0", "null"), Some(object.clone()));
        assert_eq!(at("refs/heads/main", &head), Some(object));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(index in 0..NAMES.len(), bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse(NAMES[index], &bytes);
        }

        #[test]
        fn no_json_makes_it_panic(index in 0..NAMES.len(), text in r#"\{("(ref|after|action|issue|comment|release|number|inputs)":("x"|1|null|\{\}|\[\]),?){0,6}\}"#) {
            let _ = parse(NAMES[index], text.replace(",}", "}").as_bytes());
        }
    }
}
