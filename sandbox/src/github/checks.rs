//! Check runs of a commit (GitHub Docs, REST API, "Check runs"): what CI said of it.

use serde_json::{Value, json};

use super::{error, page, wire};
use crate::{
    server::{Call, Reply},
    shared::{REPOSITORY, Shared, lock},
};

/// A check run.
#[derive(Debug, Clone)]
pub(crate) struct Check {
    pub(crate) sha: String,
    pub(crate) name: String,
    pub(crate) state: CheckState,
}

/// How a check run is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CheckState {
    /// It has not begun.
    Queued,
    /// It runs.
    InProgress,
    /// It succeeded.
    Success,
    /// It failed.
    Failure,
    /// It was not needed.
    Skipped,
    /// It says neither yes nor no.
    Neutral,
    /// Somebody stopped it.
    Cancelled,
    /// It took too long.
    TimedOut,
}

impl CheckState {
    /// Status and conclusion.
    const fn words(self) -> (&'static str, Option<&'static str>) {
        match self {
            Self::Queued => ("queued", None),
            Self::InProgress => ("in_progress", None),
            Self::Success => ("completed", Some("success")),
            Self::Failure => ("completed", Some("failure")),
            Self::Skipped => ("completed", Some("skipped")),
            Self::Neutral => ("completed", Some("neutral")),
            Self::Cancelled => ("completed", Some("cancelled")),
            Self::TimedOut => ("completed", Some("timed_out")),
        }
    }
}

/// Of a commit: the last of each name, or all of them with `filter=all`; the newest first.
pub(super) fn list(shared: &Shared, call: &Call, git_ref: &str) -> Reply {
    let github = lock(&shared.github);
    let Some(sha) = github.git.resolve(git_ref) else { return error(422, &format!("No commit found for SHA: {git_ref}")) };
    let all = github.checks.iter().enumerate().rev().filter(|(_, check)| check.sha == sha);
    let mut found: Vec<(usize, &Check)> = Vec::new();
    for (number, check) in all {
        let is_latest = found.iter().all(|(_, known)| known.name != check.name);
        if is_latest || call.query("filter") == Some("all") {
            found.push((number, check));
        }
    }
    found.retain(|(_, check)| {
        let is = |name: &str, value: &str| call.query(name).is_none_or(|wanted| wanted == value);
        is("check_name", &check.name) && is("status", check.state.words().0)
    });
    let runs: Vec<Value> = found.iter().map(|(number, check)| show(&shared.urls().github_api, *number, check)).collect();
    Reply::json(200, &json!({"total_count": runs.len(), "check_runs": page(call, &runs)}))
}

fn show(api: &str, number: usize, check: &Check) -> Value {
    let id = 40_000_000_001 + number as u64;
    let url = format!("{api}/repos/{REPOSITORY}/check-runs/{id}");
    let html = format!("https://github.com/{REPOSITORY}/actions/runs/7313377330/job/{id}");
    let (status, conclusion) = check.state.words();
    let (started, completed) = match check.state {
        CheckState::Queued => (None, None),
        CheckState::InProgress => (Some("2026-11-24T10:05:00Z"), None),
        CheckState::Success
        | CheckState::Failure
        | CheckState::Skipped
        | CheckState::Neutral
        | CheckState::Cancelled
        | CheckState::TimedOut => (Some("2026-11-24T10:05:00Z"), Some("2026-11-24T10:15:00Z")),
    };
    json!({
        "id": id, "node_id": format!("CR_{id}"), "head_sha": check.sha, "external_id": "", "name": check.name, "url": url, "html_url": html,
        "details_url": html, "status": status, "conclusion": conclusion, "started_at": started, "completed_at": completed,
        "output": {"title": null, "summary": null, "text": null, "annotations_count": 0, "annotations_url": format!("{url}/annotations")},
        "check_suite": {"id": 1}, "app": wire::actions_app(api), "pull_requests": [],
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Options, World, github::ask, shared::SHA};

    #[tokio::test]
    async fn the_last_of_each_name_counts() {
        let world = World::start(Options::quick()).await.unwrap();
        world.set_check(SHA, "lint", CheckState::Failure);
        world.set_check(SHA, "lint", CheckState::Success);
        world.set_check(SHA, "load-test", CheckState::InProgress);
        let found = |query: &str| {
            let (_, answer) = ask(&world, "GET", &format!("commits/{SHA}/check-runs{query}"), &Value::Null);
            let runs = answer["check_runs"].as_array().unwrap().clone();
            assert_eq!(answer["total_count"], runs.len());
            runs.iter().map(|run| format!("{} {}", run["name"], run["conclusion"])).collect::<Vec<_>>()
        };
        assert_eq!(found(""), [r#""load-test" null"#, r#""lint" "success""#]);
        assert_eq!(found("?filter=all").len(), 3);
        assert_eq!(found("?check_name=lint"), [r#""lint" "success""#]);
        assert_eq!(ask(&world, "GET", "commits/nothing/check-runs", &Value::Null).0, 422);
    }
}
