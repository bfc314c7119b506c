//! Workflow runs (GitHub Docs, REST API, "Workflow runs"): one is in progress while its process lives, unless a test says otherwise.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{error, wire};
use crate::{
    server::{Call, Reply},
    shared::{REPOSITORY, Shared, lock},
};

/// How a run is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunState {
    /// It runs.
    InProgress,
    /// It has ended.
    Completed(Conclusion),
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Conclusion {
    /// Well.
    Success,
    /// Not well.
    Failure,
    /// By somebody who cancelled it, or with its runner.
    Cancelled,
}

impl Conclusion {
    /// By an exit status; a process that a signal ended has none.
    #[must_use]
    pub const fn of(code: Option<i32>) -> Self {
        match code {
            Some(0) => Self::Success,
            Some(_) => Self::Failure,
            None => Self::Cancelled,
        }
    }

    const fn word(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Failure => "failure",
            Self::Cancelled => "cancelled",
        }
    }
}

/// A run.
#[derive(Debug, Clone)]
pub(crate) struct Run {
    pub(crate) state: RunState,
    attempt: u32,
    event: String,
    sha: String,
    branch: String,
    began: Timestamp,
    /// Counts its processes, so that the end of an earlier one does not end a later one.
    process: u64,
}

/// A run's process; the run has ended when this is dropped.
pub(crate) struct Begun {
    shared: Arc<Shared>,
    id: u64,
    process: u64,
}

impl Begun {
    /// The process has ended.
    pub(crate) fn ended(&self, conclusion: Conclusion) {
        if let Some(run) = lock(&self.shared.github).runs.get_mut(&self.id).filter(|run| run.process == self.process) {
            run.state = match run.state {
                RunState::InProgress => RunState::Completed(conclusion),
                RunState::Completed(earlier) => RunState::Completed(earlier),
            };
        }
    }
}

impl Drop for Begun {
    fn drop(&mut self) {
        self.ended(Conclusion::Cancelled);
    }
}

/// What begins.
pub(crate) struct Beginning<'a> {
    pub(crate) id: u64,
    pub(crate) attempt: u32,
    pub(crate) event: &'a str,
    pub(crate) git_ref: &'a str,
    pub(crate) sha: &'a str,
}

/// A run's process starts.
pub(crate) fn begin(shared: &Arc<Shared>, beginning: &Beginning<'_>) -> Begun {
    let mut github = lock(&shared.github);
    let process = github.runs.get(&beginning.id).map_or(1, |run| run.process + 1);
    let run = Run {
        state: RunState::InProgress,
        attempt: beginning.attempt,
        event: beginning.event.to_owned(),
        sha: beginning.sha.to_owned(),
        branch: beginning.git_ref.rsplit('/').next().unwrap_or_default().to_owned(),
        began: Timestamp::now(),
        process,
    };
    github.runs.insert(beginning.id, run);
    Begun { shared: Arc::clone(shared), id: beginning.id, process }
}

impl Run {
    /// A run that this world did not start.
    pub(crate) fn elsewhere(state: RunState) -> Self {
        let sha = crate::shared::SHA_BEFORE.to_owned();
        Self { state, attempt: 1, event: "push".into(), sha, branch: "main".into(), began: Timestamp::now(), process: 0 }
    }
}

/// A workflow is started by hand, or by another one: what a workflow's own token can start.
pub(super) fn dispatch(shared: &Shared, call: &Call, workflow: &str) -> Reply {
    let body = call.json().unwrap_or(Value::Null);
    let mut github = lock(&shared.github);
    let git_ref = body.get("ref").and_then(Value::as_str).unwrap_or_default();
    if github.git.resolve(git_ref).is_none() {
        return error(422, &format!("No ref found for: {git_ref}"));
    }
    github.dispatches.push(json!({"workflow": workflow, "ref": git_ref, "inputs": body["inputs"]}));
    Reply::empty(204)
}

pub(super) fn one(shared: &Shared, id: &str) -> Reply {
    let github = lock(&shared.github);
    match id.parse().ok().and_then(|id: u64| Some((id, github.runs.get(&id)?))) {
        Some((id, run)) => Reply::json(200, &show(&shared.urls().github_api, id, run)),
        None => error(404, "Not Found"),
    }
}

/// What people said of a run that waited for them.
pub(super) fn approvals(shared: &Shared, id: &str) -> Reply {
    let github = lock(&shared.github);
    let said: Vec<&Value> = github.approvals.iter().filter(|(of, _)| of.to_string() == id).map(|(_, said)| said).collect();
    Reply::json(200, &json!(said))
}

fn show(api: &str, id: u64, run: &Run) -> Value {
    let url = format!("{api}/repos/{REPOSITORY}/actions/runs/{id}");
    let workflow = format!("{api}/repos/{REPOSITORY}/actions/workflows/1");
    let (status, conclusion) = match run.state {
        RunState::InProgress => ("in_progress", Value::Null),
        RunState::Completed(conclusion) => ("completed", json!(conclusion.word())),
    };
    let at = run.began.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let person = json!({"name": "The Octocat", "email": "octocat@example.com"});
    json!({
        "id": id, "name": "ci-cd-enterprise", "node_id": format!("WFR_{id}"), "check_suite_id": id, "check_suite_node_id": format!("CS_{id}"),
        "head_branch": run.branch, "head_sha": run.sha, "path": ".github/workflows/ci-cd-enterprise.yml", "run_number": 42,
        "run_attempt": run.attempt, "event": run.event, "display_title": "feat(invoice): add new feature", "status": status,
        "conclusion": conclusion, "workflow_id": 1, "url": url, "html_url": format!("https://github.com/{REPOSITORY}/actions/runs/{id}"),
        "pull_requests": [], "created_at": at, "updated_at": at, "run_started_at": at, "actor": wire::user(api),
        "triggering_actor": wire::user(api), "jobs_url": format!("{url}/jobs"), "logs_url": format!("{url}/logs"),
        "check_suite_url": format!("{api}/repos/{REPOSITORY}/check-suites/{id}"), "artifacts_url": format!("{url}/artifacts"),
        "cancel_url": format!("{url}/cancel"), "rerun_url": format!("{url}/rerun"), "previous_attempt_url": null,
        "workflow_url": workflow,
        "head_commit": {
            "id": run.sha, "tree_id": run.sha, "message": "feat(invoice): add new feature", "timestamp": at, "author": person,
            "committer": person,
        },
        "repository": wire::repository(api), "head_repository": wire::repository(api),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Options, World};

    fn beginning(attempt: u32) -> Beginning<'static> {
        Beginning { id: 7, attempt, event: "push", git_ref: "refs/heads/main", sha: crate::shared::SHA }
    }

    #[tokio::test]
    async fn a_run_is_in_progress_while_its_process_lives() {
        let world = World::start(Options::quick()).await.unwrap();
        let shared = world.shared();
        let state = || lock(&shared.github).runs.get(&7).unwrap().state;
        let first = begin(shared, &beginning(1));
        assert_eq!(state(), RunState::InProgress);
        first.ended(Conclusion::of(Some(1)));
        assert_eq!(state(), RunState::Completed(Conclusion::Failure));
        let second = begin(shared, &beginning(2));
        drop(first);
        assert_eq!(state(), RunState::InProgress, "the end of an earlier process does not end a later one");
        drop(second);
        assert_eq!(state(), RunState::Completed(Conclusion::Cancelled));
    }

    #[tokio::test]
    async fn what_people_said_of_a_waiting_run_is_told() {
        use crate::{Approval, github::ask};
        let world = World::start(Options::quick()).await.unwrap();
        assert_eq!(ask(&world, "GET", "actions/runs/7/approvals", &Value::Null), (200, json!([])));
        world.answer_run(7, "prod", "tom", Approval::Approved, "go");
        world.answer_run(8, "prod", "rita", Approval::Rejected, "not today");
        let (_, said) = ask(&world, "GET", "actions/runs/7/approvals", &Value::Null);
        assert_eq!((said.as_array().unwrap().len(), &said[0]["state"], &said[0]["user"]["login"]), (1, &json!("approved"), &json!("tom")));
    }
}
