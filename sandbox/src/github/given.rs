//! What tests make of GitHub's repository, as people and other programs would have, and what they look at afterwards.
//! Answers no request.

use serde_json::{Value, json};

use super::{Alert, CheckState, CodeScanning, Membership, Teams, checks::Check, releases, wire};
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
        lock(&self.shared().github).git.tagged(name, sha);
    }

    /// The newest commit of `main`.
    #[must_use]
    pub fn head(&self) -> String {
        self.git_refs().remove("refs/heads/main").unwrap_or_default()
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

    /// Everything that [`World::config`]'s checklist asks GitHub for is as it should be for a commit: every check has succeeded,
    /// nothing is found, and the three people who approve are in their teams. Whether they did is not said here.
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
