//! GitHub's REST API of the one repository: who may ask for what. The answers have the fields of GitHub's documentation.
//! What each kind of thing does stands in its own file.

mod checks;
mod code_scanning;
mod commits;
mod deployments;
mod git;
mod given;
mod issues;
mod people;
mod releases;
mod runs;
mod statuses;
mod tags;
mod teams;
mod wire;

use std::collections::BTreeMap;

use hyper::Method;
use jiff::Timestamp;
use serde_json::Value;

use crate::{
    fault::Fault,
    server::{Call, Reply},
    shared::{REPOSITORY, Shared, lock},
};
pub use checks::CheckState;
pub use code_scanning::{Alert, AlertState, CodeScanning};
pub use given::Approval;
pub use issues::Merged;
pub(crate) use runs::{Beginning, Begun, Run, begin};
pub use runs::{Conclusion, RunState};
pub use tags::TagKind;
pub(crate) use tags::object as tag_object;
pub use teams::{Membership, Teams};

/// What GitHub keeps.
#[derive(Debug, Default)]
pub(crate) struct Github {
    pub(crate) deployments: Vec<Value>,
    /// Of deployments, by their id.
    pub(crate) statuses: Vec<(u64, Value)>,
    /// Of commits, by their SHA, in the order in which they came.
    pub(crate) commit_statuses: Vec<(String, Value)>,
    pub(crate) git: git::Repository,
    pub(crate) runs: BTreeMap<u64, Run>,
    /// What people said of runs that waited for them, by the runs' ids.
    approvals: Vec<(u64, Value)>,
    checks: Vec<checks::Check>,
    code_scanning: CodeScanning,
    teams: Teams,
    /// By team and user.
    members: BTreeMap<(String, String), Membership>,
    releases: Vec<Value>,
    pub(crate) conversations: issues::Conversations,
    /// What who may do in the repository, by GitHub's word; who is not among them may do nothing.
    permissions: BTreeMap<String, String>,
    /// The workflows that were started, with the reference and the inputs.
    dispatches: Vec<Value>,
    /// Whom the token speaks for; empty: the workflow's own.
    speaker: String,
    /// How far GitHub's clock is ahead of this machine's.
    ahead: jiff::SignedDuration,
}

impl Github {
    /// What GitHub's clock says, in whole seconds as GitHub tells it.
    fn now(&self) -> Timestamp {
        let now = Timestamp::now().checked_add(self.ahead).unwrap_or(Timestamp::MAX);
        Timestamp::from_second(now.as_second()).unwrap_or(now)
    }

    /// Whom the token speaks for.
    fn speaker(&self) -> &str {
        if self.speaker.is_empty() { "github-actions[bot]" } else { &self.speaker }
    }
}

/// A time as GitHub writes it.
fn stamp(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

fn error(status: u16, message: &str) -> Reply {
    Reply::json(status, &wire::error(status, message))
}

/// Answers a request to the API, with GitHub's time.
pub(crate) fn handle(shared: &Shared, call: &Call) -> Reply {
    let reply = answer(shared, call);
    let now = lock(&shared.github).now();
    reply.header("date", now.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string())
}

fn answer(shared: &Shared, call: &Call) -> Reply {
    if shared.faults.is_on(Fault::GithubDown) {
        return error(503, "Service Unavailable");
    }
    // A person's token is the workflow's with the beginning that theirs have.
    if call.bearer().map(|token| token.replacen("ghp_", "ghs_", 1)) != Some(shared.github_token.clone()) {
        return error(401, "Bad credentials");
    }
    let segments = call.segments();
    let parts: Vec<&str> = segments.iter().map(String::as_str).collect();
    if let (&Method::GET, ["orgs", org, "teams", team, "memberships", user]) = (&call.method, parts.as_slice()) {
        return teams::membership(shared, org, team, user);
    }
    if let (&Method::GET, ["user"]) = (&call.method, parts.as_slice()) {
        return people::owner(shared);
    }
    let ["repos", owner, name, rest @ ..] = parts.as_slice() else { return error(404, "Not Found") };
    if format!("{owner}/{name}") != REPOSITORY {
        return error(404, "Not Found");
    }
    match (&call.method, rest) {
        (&Method::POST, ["deployments"]) => deployments::create(shared, call),
        (&Method::GET, ["deployments"]) => deployments::list(shared, call),
        (&Method::GET, ["deployments", id]) => deployments::one(shared, id),
        (&Method::POST, ["deployments", id, "statuses"]) => deployments::status(shared, call, id),
        (&Method::GET, ["deployments", id, "statuses"]) => deployments::statuses(shared, call, id),
        (&Method::POST, ["statuses", sha]) => statuses::create(shared, call, sha),
        (_, ["issues" | "pulls", ..]) | (&Method::GET, ["commits", _, "pulls"]) => issues::handle(shared, call, rest),
        (&Method::GET, ["collaborators", login, "permission"]) => people::permission(shared, login),
        (&Method::POST, ["actions", "workflows", workflow, "dispatches"]) => runs::dispatch(shared, call, workflow),
        (&Method::GET, ["commits", git_ref @ .., "statuses"]) => statuses::list(shared, call, &git_ref.join("/")),
        (&Method::GET, ["commits", git_ref @ .., "status"]) => statuses::combined(shared, &git_ref.join("/")),
        (&Method::GET, ["commits", git_ref @ .., "check-runs"]) => checks::list(shared, call, &git_ref.join("/")),
        (&Method::GET, ["commits"]) => commits::list(shared, call),
        (&Method::GET, ["commits", git_ref @ ..]) => commits::one(shared, &git_ref.join("/")),
        (&Method::GET, ["compare", range @ ..]) => commits::compare(shared, call, &range.join("/")),
        (&Method::GET, ["code-scanning", "alerts"]) => code_scanning::alerts(shared, call),
        (&Method::GET, ["releases"]) => releases::list(shared, call),
        (&Method::POST, ["releases"]) => releases::create(shared, call),
        (&Method::GET, ["releases", "tags", tag]) => releases::by_tag(shared, tag),
        (&Method::GET, ["releases", id]) => releases::one(shared, id),
        (&Method::PATCH, ["releases", id]) => releases::update(shared, call, id),
        (_, ["git", rest @ ..]) => git::handle(shared, call, rest),
        (&Method::GET, ["actions", "runs", id]) => runs::one(shared, id),
        (&Method::GET, ["actions", "runs", id, "approvals"]) => runs::approvals(shared, id),
        _ => error(404, "Not Found"),
    }
}

/// The page of a list that was asked for: the first thirty, unless told otherwise.
fn page<T: Clone>(call: &Call, all: &[T]) -> Vec<T> {
    let number = |name: &str, default: usize| call.query(name).and_then(|text| text.parse().ok()).unwrap_or(default).max(1);
    let size = number("per_page", 30).min(100);
    all.iter().skip((number("page", 1) - 1) * size).take(size).cloned().collect()
}

/// Asks for something of the repository, as a test does.
#[cfg(test)]
fn ask(world: &crate::World, method: &str, path: &str, body: &Value) -> (u16, Value) {
    let shared = world.shared();
    handle(shared, &Call::of(method, &format!("/repos/{REPOSITORY}/{path}"), &shared.github_token, body)).read()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{
        Options, World,
        shared::{SHA, SHA_BEFORE},
    };

    #[tokio::test]
    async fn a_lock_is_claimed_once_renewed_forward_only_and_freed_once() {
        let world = World::start(Options::quick()).await.unwrap();
        let head = ask(&world, "GET", &format!("git/commits/{SHA}"), &Value::Null).1;
        let commit = |message: &str, parent: &str| {
            let body = json!({"message": message, "tree": head["tree"]["sha"], "parents": [parent]});
            let (status, made) = ask(&world, "POST", "git/commits", &body);
            assert_eq!(status, 201, "{made}");
            made["sha"].as_str().unwrap().to_owned()
        };
        let (one, other) = (commit("run 1", SHA), commit("run 2", SHA));
        let claim = |sha: &str| ask(&world, "POST", "git/refs", &json!({"ref": "refs/heads/deploy-action/staging", "sha": sha}));
        assert_eq!(claim(&one).0, 201);
        let second = claim(&other);
        assert_eq!((second.0, &second.1["message"]), (422, &json!("Reference already exists")));
        let (status, found) = ask(&world, "GET", "git/ref/heads/deploy-action/staging", &Value::Null);
        assert_eq!((status, &found["object"]["sha"]), (200, &json!(one)));
        let renew =
            |sha: &str, force: bool| ask(&world, "PATCH", "git/refs/heads/deploy-action/staging", &json!({"sha": sha, "force": force}));
        let sideways = renew(&other, false);
        assert_eq!((sideways.0, &sideways.1["message"]), (422, &json!("Update is not a fast forward")));
        assert_eq!(renew(&commit("run 1, alive", &one), false).0, 200);
        assert_eq!(renew(&other, true).0, 200);
        assert_eq!(world.commit_message(&world.git_refs()["refs/heads/deploy-action/staging"]).as_deref(), Some("run 2"));
        let free = || ask(&world, "DELETE", "git/refs/heads/deploy-action/staging", &Value::Null).0;
        assert_eq!((free(), free()), (204, 422));
        assert_eq!(ask(&world, "GET", "git/ref/heads/deploy-action/staging", &Value::Null).0, 404);
        assert_eq!(ask(&world, "POST", "git/commits", &json!({"message": "m", "tree": "0".repeat(40), "parents": []})).0, 422);
    }

    #[tokio::test]
    async fn a_token_without_contents_write_may_read_only() {
        let world = World::start(Options::quick()).await.unwrap();
        world.fault(Fault::LockForbidden).await;
        let (status, said) = ask(&world, "POST", "git/refs", &json!({"ref": "refs/heads/x", "sha": SHA}));
        assert_eq!((status, &said["message"]), (403, &json!("Resource not accessible by integration")));
        assert_eq!(ask(&world, "GET", "git/ref/heads/main", &Value::Null).0, 200);
    }

    #[tokio::test]
    async fn commit_statuses_are_listed_newest_first_and_combined_by_context() {
        let world = World::start(Options::quick()).await.unwrap();
        let set = |context: &str, state: &str| {
            ask(&world, "POST", &format!("statuses/{SHA}"), &json!({"state": state, "context": context, "description": "d"})).0
        };
        let combined = || ask(&world, "GET", &format!("commits/{SHA}/status"), &Value::Null).1["state"].clone();
        assert_eq!(combined(), "pending");
        assert_eq!([set("deploy/staging", "pending"), set("deploy/staging", "success")], [201, 201]);
        assert_eq!(combined(), "success");
        assert_eq!(set("lint", "failure"), 201);
        assert_eq!(combined(), "failure");
        let (_, listed) = ask(&world, "GET", "commits/main/statuses?per_page=2", &Value::Null);
        let states: Vec<&str> = listed.as_array().unwrap().iter().map(|status| status["state"].as_str().unwrap()).collect();
        assert_eq!(states, ["failure", "success"]);
        assert_eq!(ask(&world, "GET", &format!("commits/{SHA_BEFORE}/statuses"), &Value::Null).1, json!([]));
        let too_long = json!({"state": "success", "description": "d".repeat(141)});
        assert_eq!(ask(&world, "POST", &format!("statuses/{SHA}"), &too_long).0, 422);
        assert_eq!(ask(&world, "POST", "statuses/0000000000000000000000000000000000000000", &json!({"state": "success"})).0, 422);
        assert_eq!(world.commit_statuses(SHA).len(), 3);
        assert_eq!(lock(&world.shared().github).commit_statuses.len(), 3);
    }
}
