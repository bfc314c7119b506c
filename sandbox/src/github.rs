//! GitHub's REST API: deployments and their statuses of the one repository, with the answers' documented fields.

use hyper::Method;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::{
    fault::Fault,
    server::{Call, Reply},
    shared::{REPOSITORY, Shared, lock},
};

/// What GitHub keeps.
#[derive(Debug, Default)]
pub(crate) struct Github {
    pub(crate) deployments: Vec<Value>,
    /// By the deployment's id.
    pub(crate) statuses: Vec<(u64, Value)>,
}

fn error(status: u16, message: &str) -> Reply {
    Reply::json(status, &json!({"message": message, "documentation_url": "https://docs.github.com/rest", "status": status.to_string()}))
}

fn user() -> Value {
    json!({"login": "github-actions[bot]", "id": 41_898_282, "type": "Bot", "site_admin": false})
}

/// Answers a request to the API.
pub(crate) fn handle(shared: &Shared, call: &Call) -> Reply {
    if shared.faults.is_on(Fault::GithubDown) {
        return error(503, "Service Unavailable");
    }
    if call.bearer() != Some(shared.github_token.as_str()) {
        return error(401, "Bad credentials");
    }
    let segments = call.segments();
    let parts: Vec<&str> = segments.iter().map(String::as_str).collect();
    let ["repos", owner, name, rest @ ..] = parts.as_slice() else { return error(404, "Not Found") };
    if format!("{owner}/{name}") != REPOSITORY {
        return error(404, "Not Found");
    }
    match (&call.method, rest) {
        (&Method::POST, ["deployments"]) => create(shared, call),
        (&Method::GET, ["deployments"]) => list(shared, call),
        (&Method::POST, ["deployments", id, "statuses"]) => status(shared, call, id),
        (&Method::GET, ["deployments", id, "statuses"]) => {
            let github = lock(&shared.github);
            let all: Vec<&Value> = github.statuses.iter().filter(|(of, _)| of.to_string() == *id).map(|(_, status)| status).collect();
            Reply::json(200, &json!(all))
        }
        _ => error(404, "Not Found"),
    }
}

fn create(shared: &Shared, call: &Call) -> Reply {
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
    let id = 1000 + github.deployments.len() as u64;
    let now = Timestamp::now().to_string();
    let url = format!("{api}/repos/{REPOSITORY}/deployments/{id}");
    let deployment = json!({
        "url": url, "id": id, "node_id": "DE_sandbox", "sha": git_ref, "ref": git_ref, "task": "deploy",
        "payload": body.get("payload").cloned().unwrap_or(json!({})), "original_environment": body["environment"],
        "environment": body["environment"], "description": body["description"], "creator": user(), "created_at": now, "updated_at": now,
        "statuses_url": format!("{url}/statuses"), "repository_url": format!("{api}/repos/{REPOSITORY}"),
        "transient_environment": false, "production_environment": false,
    });
    github.deployments.push(deployment.clone());
    Reply::json(201, &deployment)
}

fn list(shared: &Shared, call: &Call) -> Reply {
    let github = lock(&shared.github);
    let wanted = call.query("environment");
    let mut found: Vec<&Value> = github.deployments.iter().filter(|one| wanted.is_none_or(|wanted| one["environment"] == wanted)).collect();
    found.reverse();
    Reply::json(200, &json!(found))
}

fn status(shared: &Shared, call: &Call, id: &str) -> Reply {
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
    let status = json!({
        "id": github.statuses.len() + 1, "node_id": "DES_sandbox", "state": state, "creator": user(), "description": body["description"],
        "environment_url": body.get("environment_url").cloned().unwrap_or(json!("")), "log_url": body.get("log_url").cloned().unwrap_or(json!("")),
        "target_url": "", "created_at": now, "updated_at": now,
    });
    github.statuses.push((number, status.clone()));
    Reply::json(201, &status)
}
