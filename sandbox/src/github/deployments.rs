//! Deployments and their statuses (GitHub Docs, REST API, "Deployments").

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{error, page, wire::user};
use crate::{
    server::{Call, Reply},
    shared::{REPOSITORY, Shared, lock},
};

pub(super) fn create(shared: &Shared, call: &Call) -> Reply {
    let body = call.json().unwrap_or(Value::Null);
    let Some(git_ref) = body.get("ref").and_then(Value::as_str) else {
        return error(422, "Invalid request. \"ref\" wasn't supplied.");
    };
    // Left out, both would be on, and neither a merge nor a wait for checks is what a deployment here is about.
    if body.get("auto_merge") != Some(&json!(false)) {
        return Reply::json(202, &json!({"message": "Auto-merged main into topic-branch on deployment."}));
    }
    if body.get("required_contexts") != Some(&json!([])) {
        return error(409, "Conflict: Commit status checks failed for the ref.");
    }
    let api = &shared.urls().github_api;
    let mut github = lock(&shared.github);
    let sha = github.git.resolve(git_ref).unwrap_or_else(|| git_ref.to_owned());
    let id = 1000 + github.deployments.len() as u64;
    let now = Timestamp::now().to_string();
    let url = format!("{api}/repos/{REPOSITORY}/deployments/{id}");
    let deployment = json!({
        "url": url, "id": id, "node_id": "DE_sandbox", "sha": sha, "ref": git_ref, "task": "deploy",
        "payload": body.get("payload").cloned().unwrap_or(json!({})), "original_environment": body["environment"],
        "environment": body["environment"], "description": body["description"], "creator": user(api), "created_at": now, "updated_at": now,
        "statuses_url": format!("{url}/statuses"), "repository_url": format!("{api}/repos/{REPOSITORY}"),
        "transient_environment": false, "production_environment": false,
    });
    github.deployments.push(deployment.clone());
    Reply::json(201, &deployment)
}

pub(super) fn list(shared: &Shared, call: &Call) -> Reply {
    let github = lock(&shared.github);
    let wanted = call.query("environment");
    let mut found: Vec<&Value> = github.deployments.iter().filter(|one| wanted.is_none_or(|wanted| one["environment"] == wanted)).collect();
    found.reverse();
    Reply::json(200, &json!(page(call, &found)))
}

pub(super) fn one(shared: &Shared, id: &str) -> Reply {
    let github = lock(&shared.github);
    let number = id.parse::<u64>().ok();
    match github.deployments.iter().find(|one| number.is_some() && one["id"].as_u64() == number) {
        Some(found) => Reply::json(200, found),
        None => error(404, "Not Found"),
    }
}

/// Of a deployment, the newest first.
pub(super) fn statuses(shared: &Shared, call: &Call, id: &str) -> Reply {
    let github = lock(&shared.github);
    let of: Vec<&Value> = github.statuses.iter().rev().filter(|(of, _)| of.to_string() == id).map(|(_, status)| status).collect();
    Reply::json(200, &json!(page(call, &of)))
}

pub(super) fn status(shared: &Shared, call: &Call, id: &str) -> Reply {
    let body = call.json().unwrap_or(Value::Null);
    let state = body.get("state").and_then(Value::as_str).unwrap_or_default();
    if !["error", "failure", "inactive", "in_progress", "queued", "pending", "success"].contains(&state) {
        return error(422, "Validation Failed: state is not included in the list");
    }
    if body.get("description").and_then(Value::as_str).is_some_and(|text| text.chars().count() > 140) {
        return error(422, "Validation Failed: description is too long (maximum is 140 characters)");
    }
    let mut github = lock(&shared.github);
    let number = id.parse::<u64>().ok().filter(|id| github.deployments.iter().any(|one| one["id"].as_u64() == Some(*id)));
    let Some(number) = number else {
        return error(404, "Not Found");
    };
    let now = Timestamp::now().to_string();
    let api = &shared.urls().github_api;
    let (url, given) =
        (format!("{api}/repos/{REPOSITORY}/deployments/{number}"), |name: &str| body.get(name).cloned().unwrap_or(json!("")));
    let status_id = github.statuses.len() + 1;
    let status = json!({
        "url": format!("{url}/statuses/{status_id}"), "id": status_id, "node_id": "DES_sandbox", "state": state, "creator": user(api),
        "description": given("description"), "environment_url": given("environment_url"), "log_url": given("log_url"), "target_url": "",
        "created_at": now, "updated_at": now, "deployment_url": url, "repository_url": format!("{api}/repos/{REPOSITORY}"),
    });
    github.statuses.push((number, status.clone()));
    Reply::json(201, &status)
}
