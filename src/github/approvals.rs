//! What people said of the release of a commit, read where GitHub itself says who said it and when. One function reads all of it;
//! what follows is decided elsewhere.
//!
//! Two sources are bound to a commit and cannot be edited afterwards:
//! - the environments that this workflow run waited for (GitHub Docs, REST API, "Get the review history for a workflow run"): who
//!   let the run on. An answer for the environment `prod` counts for whichever role the person holds, one for `prod-ROLE` for that
//!   role. GitHub does not say when it was given, so the run's beginning stands for it, which is earlier;
//! - commit statuses (GitHub Docs, REST API, "Commit statuses"): `approval/ROLE` with the state `success` or `failure`, and
//!   `override/ROW` with `success` and the reason as its description. GitHub writes down who set them.
//!
//! Whether somebody holds a role is asked at that moment: by name, or by a team's membership.

use jiff::Timestamp;
use reqwest::Method;
use serde::Deserialize;

use super::{
    Client, GithubError,
    commit_statuses::{self, Listed, State},
    runs::RunId,
    teams::{self, Membership},
};
use crate::{
    config::{ApprovalRole, Approvals},
    domain::{EnvironmentName, Sha},
    observe::preflight::{Answer, Approval, Override, Said},
};

/// What is asked.
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    /// Where the release goes.
    pub environment: &'a EnvironmentName,
    /// The commit that is released.
    pub sha: &'a Sha,
    /// This workflow run, where there is one.
    pub run: Option<RunId>,
    /// Which roles there are, and who holds them.
    pub approvals: &'a Approvals,
    /// Where the commit is looked at.
    pub commit_url: Option<&'a str>,
}

#[derive(Deserialize)]
struct Review {
    state: String,
    #[serde(default)]
    comment: String,
    #[serde(default)]
    environments: Vec<Named>,
    user: Option<User>,
}

#[derive(Deserialize)]
struct Named {
    name: String,
}

#[derive(Deserialize)]
struct User {
    login: String,
    #[serde(default, rename = "type")]
    kind: String,
}

#[derive(Deserialize)]
struct Run {
    head_sha: Sha,
    created_at: Timestamp,
    #[serde(default)]
    html_url: Option<String>,
}

/// Everything that people said of the commit. Somebody who holds no role has said nothing.
///
/// # Errors
/// What GitHub said, and which permission is missing.
pub async fn read(client: &Client, question: &Question<'_>) -> Result<Said, GithubError> {
    let mut reading = Reading { client, question, known: Vec::new(), said: Said::default() };
    if let Some(run) = question.run {
        reading.reviews(run).await?;
    }
    // The newest come first; what was said first is told first.
    for status in commit_statuses::list(client, question.sha).await?.into_iter().rev() {
        reading.status(status).await;
    }
    Ok(reading.said)
}

struct Reading<'a> {
    client: &'a Client,
    question: &'a Question<'a>,
    /// Who was asked for in which team already.
    known: Vec<(String, String, Membership)>,
    said: Said,
}

impl Reading<'_> {
    async fn reviews(&mut self, run: RunId) -> Result<(), GithubError> {
        let path = ["actions", "runs", &run.to_string(), "approvals"];
        let reviews: Vec<Review> = self.client.call(Method::GET, &path, &[], None, "actions: read").await?;
        if reviews.is_empty() {
            return Ok(());
        }
        let path = ["actions", "runs", &run.to_string()];
        let run: Run = self.client.call(Method::GET, &path, &[], None, "actions: read").await?;
        for Review { state, comment, environments, user } in reviews {
            let answer = match state.as_str() {
                "approved" => Answer::Approved,
                "rejected" => Answer::Rejected,
                _ => continue,
            };
            let Some(user) = user else { continue };
            for Named { name } in environments {
                let Some(only) = self.meant(&name) else { continue };
                let roles = self.question.approvals.roles.iter().filter(|role| only.is_none_or(|only| role.name == only));
                let roles: Vec<ApprovalRole> = roles.cloned().collect();
                let roles = self.held(&user.login, &user.kind, &roles).await;
                self.said.approvals.push(Approval {
                    by: user.login.clone(),
                    roles,
                    answer,
                    at: run.created_at,
                    sha: run.head_sha.clone(),
                    comment: comment.clone(),
                    source: format!("environment {name}"),
                    link: run.html_url.clone(),
                });
            }
        }
        self.said.approvals.retain(|approval| !approval.roles.is_empty());
        Ok(())
    }

    /// Which role an answer for the environment `name` is meant for: `None`: not for this release; `Some(None)`: any.
    fn meant<'n>(&self, name: &'n str) -> Option<Option<&'n str>> {
        let rest = name.strip_prefix(self.question.environment.as_str())?;
        if rest.is_empty() { Some(None) } else { rest.strip_prefix('-').map(Some) }
    }

    async fn status(&mut self, status: Listed) {
        let Some(creator) = &status.creator else { return };
        let (login, kind) = (creator.login.clone(), creator.kind.clone());
        let description = status.description.clone().unwrap_or_default();
        let link = self.question.commit_url.map(str::to_owned);
        if let Some(name) = status.context.strip_prefix("approval/") {
            let answer = match status.state {
                State::Success => Answer::Approved,
                State::Failure | State::Error => Answer::Rejected,
                State::Pending => return,
            };
            let Some(role) = self.question.approvals.roles.iter().find(|role| role.name == name).cloned() else { return };
            let roles = self.held(&login, &kind, &[role]).await;
            if !roles.is_empty() {
                self.said.approvals.push(Approval {
                    by: login,
                    roles,
                    answer,
                    at: status.created_at,
                    sha: self.question.sha.clone(),
                    comment: description,
                    source: format!("commit status {}", status.context),
                    link,
                });
            }
        } else if let Some(row) = status.context.strip_prefix("override/") {
            if status.state != State::Success {
                // Taken back.
                let is_same = |given: &Override| given.row == row && given.by == login;
                self.said.overrides.retain(|given| !is_same(given));
                return;
            }
            let roles = self.held(&login, &kind, &self.question.approvals.overrides).await;
            if let Some(role) = roles.into_iter().next() {
                let (row, at, sha) = (row.to_owned(), status.created_at, self.question.sha.clone());
                self.said.overrides.push(Override { row, by: login, role, reason: description, at, sha, link });
            }
        }
    }

    /// Which of `roles` somebody holds. A program holds one only where it is named.
    async fn held(&mut self, login: &str, kind: &str, roles: &[ApprovalRole]) -> Vec<String> {
        let mut held = Vec::new();
        for role in roles {
            let is_named = role.users.iter().any(|user| user.eq_ignore_ascii_case(login));
            if is_named || (kind != "Bot" && self.is_in_one_of(&role.teams, login).await) {
                held.push(role.name.clone());
            }
        }
        held
    }

    async fn is_in_one_of(&mut self, teams: &[String], login: &str) -> bool {
        for team in teams {
            let known = self.known.iter().find(|(of, who, _)| of == team && who.eq_ignore_ascii_case(login)).map(|(.., found)| *found);
            let found = match known {
                Some(found) => found,
                None => match teams::membership(self.client, team, login).await {
                    Ok(found) => {
                        self.known.push((team.clone(), login.to_owned(), found));
                        found
                    }
                    Err(error) => {
                        let unclear = format!("whether {login} is in team {team} cannot be read: {error}");
                        if !self.said.unclear.contains(&unclear) {
                            self.said.unclear.push(unclear);
                        }
                        Membership::Not
                    }
                },
            };
            if found == Membership::Active {
                return true;
            }
        }
        false
    }
}
