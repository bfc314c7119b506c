//! The payloads of GitHub's events (GitHub Docs, "Webhook events and payloads"), as the runner leaves them in the event's file.
//! Says what happened; changes nothing in the repository.

use serde_json::{Map, Value, json};

use crate::{github, shared::REPOSITORY};

/// What stands for "no commit".
const NOTHING: &str = "0000000000000000000000000000000000000000";

/// A push to a branch.
pub(crate) fn push(git_ref: &str, after: &str, before: &str) -> Value {
    let head = commit(after, before);
    json!({
        "ref": git_ref, "before": before, "after": after, "created": false, "deleted": false, "forced": false, "base_ref": null,
        "compare": format!("https://github.com/{REPOSITORY}/compare/{before}...{after}"), "commits": [head], "head_commit": head,
        "repository": repository(), "pusher": {"name": "octocat", "email": "octocat@example.com"}, "organization": organization(),
        "sender": sender(),
    })
}

/// The push of a new annotated tag on a commit of `main`: `after` is the tag object, `head_commit` the commit (GitHub's changelog
/// of 2021-10-01, "The push webhook payload provides a consistent head_commit on tag creation").
pub(crate) fn push_tag(tag: &str, sha: &str) -> Value {
    json!({
        "ref": format!("refs/tags/{tag}"), "before": NOTHING, "after": github::tag_object(tag, sha), "created": true, "deleted": false,
        "forced": false, "base_ref": "refs/heads/main", "compare": format!("https://github.com/{REPOSITORY}/compare/{tag}"),
        "commits": [], "head_commit": commit(sha, sha), "repository": repository(),
        "pusher": {"name": "octocat", "email": "octocat@example.com"}, "organization": organization(), "sender": sender(),
    })
}

/// A `workflow_dispatch` on `git_ref` with these inputs of the event.
pub(crate) fn dispatch(git_ref: &str, inputs: &[(&str, &str)]) -> Value {
    let given: Map<String, Value> = inputs.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
    json!({
        "inputs": given, "ref": git_ref, "workflow": ".github/workflows/ci-cd-enterprise.yml", "repository": repository(),
        "organization": organization(), "sender": sender(),
    })
}

/// What a comment is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CommentedOn {
    /// An issue.
    Issue,
    /// A pull request.
    PullRequest,
}

/// An `issue_comment`: GitHub's own example with what this world's differs in (`action`: `created`, `edited`, `deleted`).
pub(crate) fn comment(action: &str, on: CommentedOn, number: u64, id: u64, by: &str, body: &str) -> Value {
    let html = format!("https://github.com/{REPOSITORY}/issues/{number}");
    let user = json!({"login": by, "id": 583_231, "type": if by.ends_with("[bot]") { "Bot" } else { "User" }, "site_admin": false});
    let mut issue = json!({
        "number": number, "title": "feat(invoice): add new feature", "state": "open", "locked": false, "html_url": html, "user": user,
        "labels": [], "body": "",
    });
    if on == CommentedOn::PullRequest {
        issue["pull_request"] = json!({"html_url": format!("https://github.com/{REPOSITORY}/pull/{number}")});
    }
    json!({
        "action": action, "issue": issue,
        "comment": {
            "id": id, "html_url": format!("{html}#issuecomment-{id}"), "body": body, "user": user, "created_at": "2026-11-25T01:00:00Z",
            "updated_at": "2026-11-25T01:00:00Z", "author_association": "OWNER", "performed_via_github_app": null,
        },
        "repository": repository(), "organization": organization(), "sender": user,
    })
}

/// The clock.
pub(crate) fn schedule() -> Value {
    json!({"schedule": "17 * * * *", "workflow": ".github/workflows/resume.yml", "repository": repository(), "organization": organization()})
}

fn commit(sha: &str, tree: &str) -> Value {
    let person = json!({"name": "The Octocat", "email": "octocat@example.com", "username": "octocat"});
    json!({
        "id": sha, "tree_id": tree, "distinct": true, "message": "feat(invoice): add new feature", "timestamp": "2026-11-24T10:00:00Z",
        "url": format!("https://github.com/{REPOSITORY}/commit/{sha}"), "author": person, "committer": person,
        "added": ["src/invoice.ts"], "removed": [], "modified": ["package.json"],
    })
}

fn repository() -> Value {
    let (owner, name) = REPOSITORY.split_once('/').unwrap_or_default();
    json!({
        "id": 186_853_002, "name": name, "full_name": REPOSITORY, "private": true, "default_branch": "main", "master_branch": "main",
        "owner": {"name": owner, "login": owner, "id": 21_031_067, "type": "Organization"},
        "html_url": format!("https://github.com/{REPOSITORY}"),
    })
}

fn organization() -> Value {
    json!({"login": REPOSITORY.split('/').next(), "id": 21_031_067})
}

fn sender() -> Value {
    json!({"login": "octocat", "id": 583_231, "type": "User", "site_admin": false, "html_url": "https://github.com/octocat"})
}
