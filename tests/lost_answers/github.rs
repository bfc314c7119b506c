//! GitHub: the lock of an environment over its real calls, commit statuses, and workflow runs.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard},
};

use deploy_action::{
    domain::{EnvironmentName, Secret, Sha},
    github::{
        Client,
        commit_statuses::{self, CommitStatus, State},
        lock::{self, Claim, LockError, LockInfo, Reading, Release, Standing, Takeover},
        runs::{self, RunId, RunState},
    },
};
use serde_json::{Value, json};

use crate::small_server::{Reply, Request, Server};

const BRANCH: &str = "refs/heads/deploy-action-lock/staging";

/// What GitHub keeps.
#[derive(Default)]
struct Kept {
    branch: Option<String>,
    /// By id.
    commits: HashMap<String, Value>,
    /// Status and attempt, by id.
    runs: HashMap<String, (&'static str, u32)>,
}

impl Kept {
    fn add(&mut self, message: &str, parents: Value) -> String {
        let id = format!("{:040x}", self.commits.len() + 1);
        // Ids go in, objects come out.
        let parents: Vec<Value> = parents.as_array().into_iter().flatten().map(|id| json!({"sha": id})).collect();
        let commit = json!({"sha": id, "message": message, "tree": {"sha": "e".repeat(40)}, "parents": parents,
                            "committer": {"name": "GitHub", "date": "2026-11-24T12:00:00Z"}});
        self.commits.insert(id.clone(), commit);
        id
    }

    fn is_ancestor(&self, ancestor: &str, of: &str) -> bool {
        let parent = |id: &String| self.commits[id]["parents"][0]["sha"].as_str().map(str::to_owned);
        std::iter::successors(Some(of.to_owned()), parent).any(|id| id == ancestor)
    }

    fn answer(&mut self, request: &Request) -> Reply {
        let error = |status, message: &str| Reply::Answer(status, json!({"message": message}));
        let path = request.path.strip_prefix("/repos/o/r/").expect("of the repository").to_owned();
        let reference = |sha: &str| json!({"ref": BRANCH, "object": {"sha": sha, "type": "commit"}});
        let text = |name: &str| request.body[name].as_str().expect("a text").to_owned();
        match (request.method.as_str(), path.as_str()) {
            ("GET", "git/ref/heads/deploy-action-lock/staging") => match &self.branch {
                Some(sha) => Reply::Answer(200, reference(sha)),
                None => error(404, "Not Found"),
            },
            ("GET", path) if path.starts_with("git/commits/") => Reply::Answer(200, self.commits[&path["git/commits/".len()..]].clone()),
            ("GET", path) if path.starts_with("actions/runs/") => match self.runs.get(&path["actions/runs/".len()..]) {
                Some((status, attempt)) => Reply::Answer(200, json!({"status": status, "run_attempt": attempt})),
                None => error(404, "Not Found"),
            },
            ("POST", "git/trees") => Reply::Answer(201, json!({"sha": "e".repeat(40)})),
            ("POST", "git/commits") => {
                let id = self.add(&text("message"), request.body["parents"].clone());
                Reply::Answer(201, self.commits[&id].clone())
            }
            ("POST", "git/refs") => {
                assert_eq!(text("ref"), BRANCH);
                if self.branch.is_some() {
                    return error(422, "Reference already exists");
                }
                self.branch = Some(text("sha"));
                Reply::Answer(201, reference(&text("sha")))
            }
            ("PATCH", "git/refs/heads/deploy-action-lock/staging") => {
                assert_eq!(request.body["force"], json!(false));
                let sha = text("sha");
                match &self.branch {
                    None => error(422, "Reference does not exist"),
                    Some(tip) if self.is_ancestor(tip, &sha) => {
                        self.branch = Some(sha.clone());
                        Reply::Answer(200, reference(&sha))
                    }
                    Some(_) => error(422, "Update is not a fast forward"),
                }
            }
            other => panic!("{other:?} was not expected"),
        }
    }
}

/// A GitHub for one test, and what it keeps. `spoil` may take its answer to the nth request away.
struct Github {
    server: Server,
    kept: Arc<Mutex<Kept>>,
}

impl Github {
    async fn start(mut spoil: impl FnMut(usize, &Request) -> Option<Reply> + Send + 'static) -> Self {
        let kept: Arc<Mutex<Kept>> = Arc::default();
        let (own, mut count) = (kept.clone(), 0);
        let server = Server::start(move |request: &Request| {
            let reply = own.lock().expect("no panic before").answer(request);
            count += 1;
            spoil(count, request).unwrap_or(reply)
        })
        .await;
        Self { server, kept }
    }

    async fn good() -> Self {
        Self::start(|_, _| None).await
    }

    fn client(&self) -> Client {
        client(&self.server)
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().expect("no panic before")
    }

    /// Methods and last parts of the paths, in order.
    fn calls(&self) -> String {
        let short = |request: Request| {
            let parts: Vec<&str> = request.path.split('/').skip(4).collect();
            let what = if request.path.contains("/git/") { parts[1] } else { parts[0] };
            format!("{} {what}", request.method)
        };
        self.server.requests().into_iter().map(short).collect::<Vec<_>>().join(", ")
    }
}

fn client(server: &Server) -> Client {
    Client::new(server.client.clone(), server.base.clone(), Secret::new("token".into()), "o/r".into())
}

/// GitHub's answer, that it is down for no time at all.
fn down() -> Reply {
    Reply::With(503, vec![("retry-after", "0".into())], String::new())
}

fn staging() -> EnvironmentName {
    "staging".parse().expect("a name")
}

fn claim(run: u64, takeover: Takeover) -> Claim {
    LockInfo {
        environment: staging(),
        rollout: format!("staging-{run}-1").parse().expect("an id"),
        run: Some(RunId(run)),
        attempt: 1,
        holder: "deploy".into(),
        url: Some(format!("https://github.com/o/r/actions/runs/{run}")),
        actor: Some("octocat".into()),
        command: "deploy".into(),
        takeover,
        taken_at: "2026-11-24T12:00:00Z".parse().expect("a time"),
    }
}

#[tokio::test]
async fn a_first_claim_creates_the_branch_and_giving_it_back_moves_it_on() {
    let github = Github::good().await;
    let held = lock::claim(&github.client(), &claim(1, Takeover::Never)).await.expect("it is free");
    assert_eq!(github.calls(), "GET ref, POST trees, POST commits, POST refs");
    let tree = &github.server.requests()[1].body["tree"];
    assert_eq!((tree.as_array().map(Vec::len), tree[0]["path"].as_str()), (Some(1), Some("README.md")), "no workflow is in it");
    assert_eq!(lock::check(&github.client(), &held).await, Ok(Standing::Ours));
    assert!(held.label().starts_with("branch deploy-action-lock/staging at 0000"), "{}", held.label());
    let Ok(Reading::Held(info)) = lock::read(&github.client(), &staging()).await else { panic!("it is held") };
    assert_eq!(*info, claim(1, Takeover::Never));

    assert_eq!(lock::release(&github.client(), held).await, Ok(Release::Free));
    assert_eq!(lock::read(&github.client(), &staging()).await, Ok(Reading::Free));
    let before = github.server.requests().len();
    lock::claim(&github.client(), &claim(2, Takeover::Never)).await.expect("it is free again");
    let calls: Vec<String> = github.server.methods().into_iter().skip(before).collect();
    assert_eq!(calls, ["GET", "GET", "POST", "PATCH"], "nobody is asked after, and the tree is there");
}

#[tokio::test]
async fn a_run_that_is_underway_keeps_its_lock_and_one_that_is_over_does_not() {
    let github = Github::good().await;
    let first = lock::claim(&github.client(), &claim(1, Takeover::Never)).await.expect("it is free");
    github.kept().runs.insert("1".into(), ("in_progress", 1));
    let error = lock::claim(&github.client(), &claim(2, Takeover::Never)).await.expect_err("it is taken");
    assert!(matches!(&error, LockError::Taken { by, .. } if by.run == Some(RunId(1))), "{error:?}");
    assert!(error.to_string().contains("https://github.com/o/r/actions/runs/1"), "{error}");

    let again = lock::claim(&github.client(), &claim(1, Takeover::Never)).await.expect("a later step of the same job takes it on");
    github.kept().runs.insert("1".into(), ("completed", 1));
    let second = lock::claim(&github.client(), &claim(2, Takeover::Never)).await.expect("the run is over");
    for gone in [first, again] {
        assert!(matches!(lock::check(&github.client(), &gone).await, Ok(Standing::Taken(by)) if by.run == Some(RunId(2))));
        assert_eq!(lock::release(&github.client(), gone).await, Ok(Release::NotOurs));
    }
    assert_eq!(lock::check(&github.client(), &second).await, Ok(Standing::Ours), "what was not theirs they did not free");
}

#[tokio::test]
async fn a_rollback_takes_the_lock_from_a_run_that_is_underway_and_that_run_finds_out() {
    let github = Github::good().await;
    let deploy = lock::claim(&github.client(), &claim(1, Takeover::Never)).await.expect("it is free");
    github.kept().runs.insert("1".into(), ("in_progress", 1));
    let rollback = lock::claim(&github.client(), &claim(2, Takeover::Deliberate)).await.expect("a rollback goes first");
    github.kept().runs.insert("2".into(), ("in_progress", 1));
    assert!(matches!(lock::check(&github.client(), &deploy).await, Ok(Standing::Taken(_))));
    assert_eq!(lock::release(&github.client(), deploy).await, Ok(Release::NotOurs));
    assert_eq!(lock::check(&github.client(), &rollback).await, Ok(Standing::Ours));
    let error = lock::claim(&github.client(), &claim(3, Takeover::Deliberate)).await.expect_err("but not before another rollback");
    assert!(matches!(error, LockError::Taken { .. }), "{error:?}");
}

#[tokio::test]
async fn a_run_finds_out_who_took_its_lock_also_when_they_are_done_or_nobody_was_it() {
    let github = Github::good().await;
    let deploy = lock::claim(&github.client(), &claim(1, Takeover::Never)).await.expect("it is free");
    github.kept().runs.insert("1".into(), ("in_progress", 1));
    let rollback = lock::claim(&github.client(), &claim(2, Takeover::Deliberate)).await.expect("a rollback goes first");
    assert_eq!(lock::release(&github.client(), rollback).await, Ok(Release::Free));
    assert!(matches!(lock::check(&github.client(), &deploy).await, Ok(Standing::Passed(by)) if by.run == Some(RunId(2))));

    let tip = github.kept().branch.clone();
    let frozen = github.kept().add("Freeze for the holidays", json!([tip]));
    github.kept().branch = Some(frozen);
    assert_eq!(lock::check(&github.client(), &deploy).await, Ok(Standing::Gone));
    github.kept().branch = None;
    assert_eq!(lock::check(&github.client(), &deploy).await, Ok(Standing::Gone));
}

#[tokio::test]
async fn a_claim_whose_answers_are_lost_finds_its_own_commit() {
    // Of the first claim the fourth request creates the branch; its answer is lost, once or for good.
    for lost in [4..=4, 4..=6, 3..=4] {
        let github = Github::start(move |nth, _| lost.contains(&nth).then(down)).await;
        let held = lock::claim(&github.client(), &claim(1, Takeover::Never)).await.expect("it is free");
        assert_eq!(lock::check(&github.client(), &held).await, Ok(Standing::Ours), "{}", github.calls());
        github.kept().runs.insert("1".into(), ("in_progress", 1));
        assert!(lock::claim(&github.client(), &claim(2, Takeover::Never)).await.is_err(), "{}", github.calls());
    }
}

#[tokio::test]
async fn a_lock_that_is_given_back_twice_is_given_back_once() {
    let github = Github::start(|_, request| (request.method == "PATCH").then(down)).await;
    let held = lock::claim(&github.client(), &claim(1, Takeover::Never)).await.expect("it is free");
    let error = lock::release(&github.client(), held).await.expect_err("nobody answers");
    assert!(matches!(error, LockError::Unavailable { .. }), "{error:?}");
    assert_eq!(lock::read(&github.client(), &staging()).await, Ok(Reading::Free), "but it was done");
}

#[tokio::test]
async fn a_token_that_may_not_is_told_which_permission_it_lacks() {
    let github = Github::start(|_, request| {
        (request.method == "POST").then(|| Reply::Answer(403, json!({"message": "Resource not accessible by integration"})))
    })
    .await;
    let error = lock::claim(&github.client(), &claim(1, Takeover::Never)).await.expect_err("it may not");
    let failure = error.failure("o/r");
    assert!(failure.what.contains("may not write") && failure.what.contains("Resource not accessible by integration"), "{failure}");
    assert!(failure.next[0].contains("contents: write") && failure.next[0].contains("actions: read"), "{failure}");
}

#[tokio::test]
async fn a_branch_that_a_person_made_is_a_lock_and_only_a_rollback_goes_over_it() {
    let github = Github::good().await;
    let tip = github.kept().add("Freeze for the holidays", json!([]));
    github.kept().branch = Some(tip);
    let error = lock::claim(&github.client(), &claim(1, Takeover::Never)).await.expect_err("it is locked");
    assert!(matches!(error, LockError::Unreadable { .. }), "{error:?}");
    assert!(error.failure("o/r").to_string().contains("gh api -X DELETE repos/o/r/git/refs/heads/deploy-action-lock/staging"));
    assert_eq!(lock::read(&github.client(), &staging()).await, Ok(Reading::Unreadable));
    lock::claim(&github.client(), &claim(1, Takeover::Deliberate)).await.expect("a rollback");
    let trees = github.server.requests().iter().filter(|request| request.path.ends_with("git/trees")).count();
    assert_eq!(trees, 1, "the person's files are not taken on");
}

#[tokio::test]
async fn a_branch_that_was_deleted_meanwhile_is_made_again() {
    let github = Github::good().await;
    let held = lock::claim(&github.client(), &claim(1, Takeover::Never)).await.expect("it is free");
    github.kept().branch = None;
    assert_eq!(lock::release(&github.client(), held).await, Ok(Release::NotOurs));
    lock::claim(&github.client(), &claim(2, Takeover::Never)).await.expect("nobody has it");
}

#[tokio::test]
async fn a_commit_status_is_set_again_when_its_answer_was_lost() {
    let mut first = true;
    let server =
        Server::start(move |_: &Request| if std::mem::take(&mut first) { down() } else { Reply::Answer(201, json!({"id": 1})) }).await;
    let sha: Sha = "a".repeat(40).parse().expect("an id");
    let long = "x".repeat(200);
    let status =
        CommitStatus { context: "deploy/staging", state: State::Success, description: &long, target_url: Some("https://github.com/o/r") };
    commit_statuses::set(&client(&server), &sha, &status).await.expect("it is set");
    let requests = server.requests();
    assert_eq!((requests.len(), requests[0].path.clone()), (2, format!("/repos/o/r/statuses/{sha}")));
    let body = &requests[1].body;
    assert_eq!((body["context"].as_str(), body["state"].as_str()), (Some("deploy/staging"), Some("success")));
    assert_eq!(body["description"].as_str().map(|text| text.chars().count()), Some(140));
}

#[tokio::test]
async fn commit_statuses_are_read_to_the_last_page() {
    let status = |number: usize| {
        json!({"id": number, "context": "deploy/staging", "state": "success", "description": null, "target_url": null,
               "created_at": "2026-11-24T12:00:00Z", "creator": {"login": "github-actions[bot]"}})
    };
    let mut pages = [100, 100, 3].into_iter();
    let server = Server::start(move |_: &Request| {
        let page: Vec<Value> = (0..pages.next().unwrap_or_default()).map(status).collect();
        Reply::Answer(200, json!(page))
    })
    .await;
    let all = commit_statuses::list(&client(&server), &"a".repeat(40).parse().expect("an id")).await.expect("an answer");
    assert_eq!((all.len(), server.requests().len(), all[0].state), (203, 3, State::Success));
    assert_eq!(all[0].creator.as_ref().map(|creator| creator.login.as_str()), Some("github-actions[bot]"));
}

#[tokio::test]
async fn a_run_is_over_only_when_github_says_so() {
    let github = Github::good().await;
    github.kept().runs.extend([("1".into(), ("completed", 2)), ("2".into(), ("waiting", 3)), ("3".into(), ("some new word", 1))]);
    let client = github.client();
    assert_eq!(runs::get(&client, RunId(1)).await, Ok(RunState::Completed));
    assert_eq!(runs::get(&client, RunId(2)).await, Ok(RunState::Underway { attempt: 3 }));
    assert_eq!(runs::get(&client, RunId(3)).await, Ok(RunState::Underway { attempt: 1 }));
    assert_eq!(runs::get(&client, RunId(4)).await, Ok(RunState::Hidden));
}
