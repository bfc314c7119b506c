//! What tests make of GitHub's repository, as people and other programs would have, and what they look at afterwards.
//! Answers no request.

use serde_json::{Value, json};

use super::{Alert, CheckState, CodeScanning, Membership, Merged, TagKind, Teams, checks::Check, releases, statuses, wire};
use crate::{shared::lock, world::World};

/// The teams of [`World::config`]'s checklist, each with the person who is in it once production is ready.
const APPROVERS: [(&str, &str); 3] = [("release-managers", "rita"), ("tech-leads", "tom"), ("operations-leads", "olga")];
/// The checks that [`World::config`]'s checklist wants.
const CHECKS: [&str; 7] = ["lint", "test", "security", "build", "load-test", "migration-dry-run", "backup"];

/// What a person says of a waiting run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Approval {
    /// Go.
    Approved,
    /// Do not.
    Rejected,
}

impl World {
    /// The annotated tag `name` is on the commit `sha` from now on.
    pub fn tag_commit(&self, name: &str, sha: &str) {
        self.tag_commit_as(name, sha, TagKind::Annotated);
    }

    /// The tag `name`, made like this, is on the commit `sha` from now on: also where it was on another.
    pub fn tag_commit_as(&self, name: &str, sha: &str, kind: TagKind) {
        lock(&self.shared().github).git.tagged(name, sha, kind);
    }

    /// Commits to a branch beside `main`; gives the SHA.
    #[must_use]
    pub fn commit_beside(&self, message: &str) -> String {
        lock(&self.shared().github).git.commit_beside(message)
    }

    /// A person sets a status of a commit, some seconds ago.
    pub fn say_of_commit(&self, sha: &str, context: &str, state: &str, description: &str, user: &str, seconds_ago: i64) {
        let shared = self.shared();
        statuses::say(shared, &mut lock(&shared.github), sha, &statuses::Said { context, state, description, user, seconds_ago });
    }

    /// The newest commit of `main`.
    #[must_use]
    pub fn head(&self) -> String {
        self.git_refs().remove("refs/heads/main").unwrap_or_default()
    }

    /// What `main` begins with: the commit that runs in production.
    #[must_use]
    pub fn first_commit(&self) -> Option<String> {
        let github = lock(&self.shared().github);
        let head = github.git.resolve("main")?;
        github.git.log(&head).pop()
    }

    /// Commits to `main`, on top of what is there; gives the SHA.
    #[must_use]
    pub fn commit(&self, message: &str) -> String {
        lock(&self.shared().github).git.commit_to("refs/heads/main", message)
    }

    /// A deployment of `environment` from now on, as the Action makes one, with these statuses in order; its `id` continues the others'.
    pub fn deployed(&self, environment: &str, version: &str, digest: Option<&str>, sha: &str, states: &[&str]) {
        let mut github = lock(&self.shared().github);
        let id = 1000 + github.deployments.len() as u64;
        let payload = json!({"rollout": format!("{environment}-{id}-1"), "version": version, "digest": digest});
        github.deployments.push(json!({"id": id, "sha": sha, "ref": sha, "environment": environment, "payload": payload}));
        github.statuses.extend(states.iter().map(|state| (id, json!({"state": state}))));
    }

    /// A check run of a commit, from now on; a later one of the same name takes an earlier one's place.
    pub fn set_check(&self, sha: &str, name: &str, state: CheckState) {
        lock(&self.shared().github).checks.push(Check { sha: sha.to_owned(), name: name.to_owned(), state });
    }

    /// What code scanning has found, from now on.
    pub fn set_code_scanning(&self, found: CodeScanning) {
        lock(&self.shared().github).code_scanning = found;
    }

    /// An alert of code scanning, beside those that there are.
    pub fn add_alert(&self, alert: Alert) {
        let known = &mut lock(&self.shared().github).code_scanning;
        match known {
            CodeScanning::Alerts(alerts) => alerts.push(alert),
            CodeScanning::Disabled | CodeScanning::Unanalysed => *known = CodeScanning::Alerts(vec![alert]),
        }
    }

    /// Somebody belongs to a team from now on.
    pub fn add_member(&self, team: &str, user: &str, membership: Membership) {
        lock(&self.shared().github).members.insert((team.to_owned(), user.to_owned()), membership);
    }

    /// What the workflow's token may know of teams.
    pub fn set_teams(&self, teams: Teams) {
        lock(&self.shared().github).teams = teams;
    }

    /// Somebody answers for an environment that a run waits for.
    pub fn answer_run(&self, run_id: u64, environment: &str, user: &str, approval: Approval, comment: &str) {
        let api = &self.urls().github_api;
        let state = match approval {
            Approval::Approved => "approved",
            Approval::Rejected => "rejected",
        };
        let environment = json!({"id": 1, "node_id": "EN_1", "name": environment, "created_at": "2026-01-01T00:00:00Z", "updated_at": "2026-01-01T00:00:00Z"});
        let said = json!({"state": state, "comment": comment, "environments": [environment], "user": wire::person(api, user)});
        lock(&self.shared().github).approvals.push((run_id, said));
    }

    /// There is no such tag any more.
    pub fn remove_tag(&self, name: &str) {
        lock(&self.shared().github).git.remove_tag(name);
    }

    /// A pull request of `by`, to `main`, merged as the commit `sha` or not.
    pub fn pull_request(&self, number: u64, by: &str, sha: &str, merged: Merged) {
        self.pull_request_to("main", number, by, sha, merged);
    }

    /// The same, to another branch.
    pub fn pull_request_to(&self, base: &str, number: u64, by: &str, sha: &str, merged: Merged) {
        let mut github = lock(&self.shared().github);
        let now = github.now();
        github.conversations.add_pull(number, by, sha, base, merged, now);
    }

    /// Somebody may do this in the repository from now on, by GitHub's word: `admin`, `write`, `read`, `none`.
    pub fn let_in(&self, login: &str, permission: &str) {
        lock(&self.shared().github).permissions.insert(login.to_owned(), permission.to_owned());
    }

    /// Nobody of this name is known any more: the account was suspended.
    pub fn suspend(&self, login: &str) {
        lock(&self.shared().github).permissions.remove(login);
    }

    /// Somebody comments on an issue or pull request; gives the comment's id.
    pub fn comment(&self, number: u64, by: &str, body: &str) -> u64 {
        let mut github = lock(&self.shared().github);
        let now = github.now();
        github.conversations.add_comment(number, by, body, now)
    }

    /// Somebody changes a comment, a second later at least.
    pub fn edit_comment(&self, id: u64, body: &str) {
        let mut github = lock(&self.shared().github);
        let now = github.now() + jiff::SignedDuration::from_secs(1);
        github.conversations.edit_comment(id, body, now);
    }

    /// Somebody deletes a comment.
    pub fn delete_comment(&self, id: u64) {
        lock(&self.shared().github).conversations.delete_comment(id);
    }

    /// Somebody opens an issue by hand; gives its number.
    pub fn open_issue(&self, by: &str, title: &str, body: &str, labels: &[&str]) -> u64 {
        let mut github = lock(&self.shared().github);
        let now = github.now();
        github.conversations.add_issue(by, title, body, labels.iter().map(|label| (*label).to_owned()).collect(), now)
    }

    /// Somebody gives an issue another text.
    pub fn edit_issue(&self, number: u64, body: &str) {
        lock(&self.shared().github).conversations.edit_issue(number, body);
    }

    /// An issue's text.
    #[must_use]
    pub fn issue_text(&self, number: u64) -> String {
        lock(&self.shared().github).conversations.body(number).unwrap_or_default()
    }

    /// The issues that are no pull requests: numbers and titles.
    #[must_use]
    pub fn issues(&self) -> Vec<(u64, String)> {
        lock(&self.shared().github).conversations.titles()
    }

    /// Who wrote what on an issue or pull request.
    #[must_use]
    pub fn said_on(&self, number: u64) -> Vec<(String, String)> {
        lock(&self.shared().github).conversations.said(number)
    }

    /// How a comment was reacted to.
    #[must_use]
    pub fn reactions(&self, comment: u64) -> Vec<String> {
        lock(&self.shared().github).conversations.reactions(comment)
    }

    /// The workflows that were started by a dispatch.
    #[must_use]
    pub fn dispatches(&self) -> Vec<Value> {
        lock(&self.shared().github).dispatches.clone()
    }

    /// The token is of this account from now on: a GitHub App's ends in `[bot]`.
    pub fn token_of(&self, login: &str) {
        login.clone_into(&mut lock(&self.shared().github).speaker);
    }

    /// GitHub's clock goes on by so many minutes.
    pub fn pass_minutes(&self, minutes: i64) {
        let github = &mut lock(&self.shared().github);
        github.ahead = github.ahead.saturating_add(jiff::SignedDuration::from_mins(minutes));
    }

    /// Sets a commit status as this account, as anybody who may write can.
    pub fn set_status(&self, by: &str, sha: &str, context: &str, state: &str, description: &str, url: &str) {
        let shared = self.shared();
        let body = json!({"state": state, "context": context, "description": description, "target_url": url});
        let mut github = lock(&shared.github);
        let now = github.now();
        statuses::add(shared, &mut github, by, sha, &body, now);
    }

    /// What the annotated tag says.
    #[must_use]
    pub fn tag_message(&self, name: &str) -> String {
        lock(&self.shared().github).git.tag_message(name).unwrap_or_default()
    }

    /// Somebody makes a release of a tag, with these notes.
    pub fn make_release(&self, tag: &str, notes: &str) {
        let shared = self.shared();
        releases::add(shared, &mut lock(&shared.github), tag, &json!({ "body": notes }));
    }

    /// The releases, the oldest first.
    #[must_use]
    pub fn releases(&self) -> Vec<Value> {
        lock(&self.shared().github).releases.clone()
    }

    /// The three people who approve have let a run on that waited for the environment `prod`.
    pub fn approve_run(&self, run_id: u64) {
        for (_, person) in APPROVERS {
            self.answer_run(run_id, "prod", person, Approval::Approved, "");
        }
    }

    /// Everything that [`World::config`]'s checklist asks GitHub for is as it should be for a commit: every check has succeeded,
    /// nothing is found, and the three people who approve are in their teams. Whether they did says [`Self::approve_run`].
    pub fn github_is_ready(&self, sha: &str) {
        for check in CHECKS {
            self.set_check(sha, check, CheckState::Success);
        }
        self.set_code_scanning(CodeScanning::default());
        for (team, person) in APPROVERS {
            self.add_member(team, person, Membership::Active);
        }
    }
}
