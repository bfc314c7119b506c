//! Statuses of commits (GitHub Docs, REST API, "Commit statuses").

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::{Github, error, page, stamp, wire};
use crate::{
    server::{Call, Reply},
    shared::{REPOSITORY, Shared, lock},
};

/// The longest description.
const DESCRIPTION: usize = 140;

pub(super) fn create(shared: &Shared, call: &Call, sha: &str) -> Reply {
    let body = call.json().unwrap_or(Value::Null);
    let text = |name: &str| body.get(name).and_then(Value::as_str);
    let state = text("state").unwrap_or_default();
    if !["error", "failure", "pending", "success"].contains(&state) {
        return error(422, "Validation Failed: state is not included in the list");
    }
    if text("description").is_some_and(|text| text.chars().count() > DESCRIPTION) {
        return error(422, "Validation Failed: description is too long (maximum is 140 characters)");
    }
    if text("target_url").is_some_and(|url| !url.is_empty() && !url.starts_with("http")) {
        return error(422, "Validation Failed: target_url must use http(s) scheme");
    }
    let mut github = lock(&shared.github);
    if !github.git.has_commit(sha) {
        return error(422, &format!("No commit found for SHA: {sha}"));
    }
    let (by, now) = (github.speaker().to_owned(), github.now());
    Reply::json(201, &add(shared, &mut github, &by, sha, &body, now))
}

/// The status is there from now on; gives it as GitHub shows it.
pub(super) fn add(shared: &Shared, github: &mut Github, by: &str, sha: &str, body: &Value, at: Timestamp) -> Value {
    let api = &shared.urls().github_api;
    let text = |name: &str| body.get(name).and_then(Value::as_str);
    let id = 30_000_000_001_u64 + github.commit_statuses.len() as u64;
    let now = stamp(at);
    let creator = wire::account_of(api, by);
    let status = json!({
        "url": format!("{api}/repos/{REPOSITORY}/statuses/{sha}"), "avatar_url": creator["avatar_url"], "id": id,
        "node_id": format!("SC_{id}"), "state": body["state"], "description": body["description"], "target_url": body["target_url"],
        "context": text("context").unwrap_or("default"), "created_at": now, "updated_at": now, "creator": creator,
    });
    github.commit_statuses.push((sha.to_owned(), status.clone()));
    status
}

/// What a person says of a commit.
pub(super) struct Said<'a> {
    pub(super) context: &'a str,
    pub(super) state: &'a str,
    pub(super) description: &'a str,
    pub(super) user: &'a str,
    pub(super) seconds_ago: i64,
}

/// A person sets a status.
pub(super) fn say(shared: &Shared, github: &mut Github, sha: &str, said: &Said<'_>) {
    let Said { context, state, description, user, seconds_ago } = said;
    let body = json!({"state": state, "context": context, "description": description, "target_url": null});
    let at = github.now() - SignedDuration::from_secs(*seconds_ago);
    add(shared, github, user, sha, &body, at);
}

/// Of a commit, the newest first.
fn of(github: &Github, sha: &str) -> Vec<Value> {
    github.commit_statuses.iter().rev().filter(|(of, _)| of == sha).map(|(_, status)| status.clone()).collect()
}

pub(super) fn list(shared: &Shared, call: &Call, git_ref: &str) -> Reply {
    let github = lock(&shared.github);
    match github.git.resolve(git_ref) {
        Some(sha) => Reply::json(200, &json!(page(call, &of(&github, &sha)))),
        None => error(422, &format!("No commit found for SHA: {git_ref}")),
    }
}

/// The newest status of each context, and what they come to.
pub(super) fn combined(shared: &Shared, git_ref: &str) -> Reply {
    let github = lock(&shared.github);
    let Some(sha) = github.git.resolve(git_ref) else { return error(422, &format!("No commit found for SHA: {git_ref}")) };
    let mut newest: Vec<Value> = Vec::new();
    for status in of(&github, &sha) {
        if newest.iter().all(|known| known["context"] != status["context"]) {
            newest.push(status);
        }
    }
    let any = |states: &[&str]| newest.iter().any(|status| states.iter().any(|state| status["state"] == *state));
    let state = match () {
        () if any(&["error", "failure"]) => "failure",
        () if newest.is_empty() || any(&["pending"]) => "pending",
        () => "success",
    };
    let api = &shared.urls().github_api;
    let url = format!("{api}/repos/{REPOSITORY}/commits/{sha}");
    Reply::json(
        200,
        &json!({
            "state": state, "statuses": newest, "sha": sha, "total_count": newest.len(), "repository": wire::repository(api),
            "commit_url": url, "url": format!("{url}/status"),
        }),
    )
}
