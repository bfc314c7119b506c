//! What people said of the release of a commit, read where GitHub itself says who said it and when. One function reads all of it;
//! what follows is decided elsewhere.
//!
//! Three sources are bound to a commit and count only as they were given:
//! - the environments that this workflow run waited for (GitHub Docs, REST API, "Get the review history for a workflow run"): who
//!   let the run on. An answer for the environment `prod` counts for whichever role the person holds, one for `prod-ROLE` for that
//!   role. GitHub does not say when it was given, so the run's beginning stands for it, which is earlier;
//! - commit statuses (GitHub Docs, REST API, "Commit statuses"): `approval/ROLE` with the state `success` or `failure`, and
//!   `override/ROW` with `success` and the reason as its description. GitHub writes down who set them;
//! - comments on the issue of the release that was asked for (`release_requests`): `/approve ROLE`, `/reject ROLE why`,
//!   `/override ROW why`, by people, while the request lasts. What was edited or deleted since does not count.
//!
//! Whether somebody holds a role is asked at that moment: by name, or by a team's membership.

use jiff::Timestamp;
use reqwest::Method;
use serde::Deserialize;

use super::{
    Client, GithubError,
    commit_statuses::{self, Listed, State as Word},
    cut,
    issues::{self, Author, Comment},
    people::{self, Access},
    release_requests::{self, Keepers},
    runs::RunId,
    teams::{self, Membership},
};
use crate::{
    approval::{
        self, Request, State,
        command::{self, Command, Spoken},
    },
    config::{ApprovalRole, Approvals, Leave},
    domain::{Digest, EnvironmentName, ReleaseVersion, Sha},
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
    /// The release, where its tag is a version: what was asked for of another one on the same commit is not said of this.
    pub version: Option<&'a ReleaseVersion>,
    /// The image that is released, where it is known: what was asked for of another image is not said of this.
    pub digest: Option<&'a Digest>,
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
    let mut reading = Reading { client, question, known: Vec::new(), accesses: Vec::new(), said: Said::default() };
    if let Some(run) = question.run {
        reading.reviews(run).await?;
    }
    let statuses = commit_statuses::list(client, question.sha).await?;
    if let Some(request) = asked_for(client, question, &statuses).await? {
        match (question.digest, &request.state) {
            (Some(digest), _) if *digest != request.digest => {
                let short = |digest: &Digest| digest.as_str().chars().take(19).collect::<String>();
                let why = format!("people approved the image {}, and {} is another one", short(&request.digest), short(digest));
                reading.said.unclear.push(why);
            }
            (_, State::Over { why }) => reading.said.unclear.push(format!("the request for it is over: {why}")),
            (_, State::Open | State::Tagged) => {
                let comments = issues::comments(client, request.issue, request.opened).await?;
                reading.comments(&request, &comments).await;
            }
        }
    }
    // The newest come first; what was said first is told first.
    for status in statuses.into_iter().rev() {
        reading.status(status).await;
    }
    reading.nobody_alone().await?;
    Ok(reading.said)
}

/// The release that was asked for, where one was.
async fn asked_for(client: &Client, question: &Question<'_>, statuses: &[Listed]) -> Result<Option<Request>, GithubError> {
    let Some(version) = question.version else { return Ok(None) };
    let context = approval::context(version);
    if !statuses.iter().any(|status| status.context == context) {
        return Ok(None);
    }
    let keepers = Keepers::of(client).await?;
    Ok(release_requests::find(statuses, question.sha, version, &keepers))
}

/// Why a comment that is meant as a command does not count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unheard {
    /// It is no command.
    NoCommand,
    /// It is not written as one is: how it would be.
    Misspelt(&'static str),
    /// A program wrote it.
    Program,
    /// It was changed after it was written.
    Edited,
    /// It was written before or after the time of the request.
    OutOfTime,
    /// Who wrote it may do nothing here: nothing is told to them.
    Stranger,
    /// They do not hold the role, or no role, or there is no such role: whoever wrote it has a place in the repository.
    NotTheirs,
    /// They hold several roles, and did not say for which.
    Which(Vec<String>),
}

struct Reading<'a> {
    client: &'a Client,
    question: &'a Question<'a>,
    /// Who was asked for in which team already.
    known: Vec<(String, String, Membership)>,
    /// What who may do here, as far as it was asked.
    accesses: Vec<(String, Access)>,
    said: Said,
}

/// What is said of one comment: nothing where it counts.
///
/// # Errors
/// Why it does not count, and what could not be found out.
pub async fn hear(client: &Client, question: &Question<'_>, request: &Request, comment: &Comment) -> Result<(), (Unheard, Vec<String>)> {
    let mut reading = Reading { client, question, known: Vec::new(), accesses: Vec::new(), said: Said::default() };
    let heard = reading.comment(request, comment).await;
    heard.map_err(|why| (why, reading.said.unclear))
}

/// Whether `login` holds any role of the release.
pub async fn holds_a_role(client: &Client, question: &Question<'_>, login: &str) -> bool {
    let mut reading = Reading { client, question, known: Vec::new(), accesses: Vec::new(), said: Said::default() };
    let asked = question.approvals;
    !reading.held(login, "User", &asked.roles).await.is_empty() || !reading.held(login, "User", &asked.overrides).await.is_empty()
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
                    comment: cut(&comment),
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

    /// What was said on the issue of `request`.
    async fn comments(&mut self, request: &Request, comments: &[Comment]) {
        for comment in comments {
            // Why one does not count is told to who wrote it, when they did.
            let _ = self.comment(request, comment).await;
        }
    }

    /// Takes a comment in, or says why it does not count.
    async fn comment(&mut self, request: &Request, comment: &Comment) -> Result<(), Unheard> {
        let command = match command::read(comment.body.as_deref().unwrap_or_default()) {
            Spoken::Command(Command::ReadyForProd { .. }) | Spoken::Nothing => return Err(Unheard::NoCommand),
            Spoken::Command(command) => Ok(command),
            Spoken::Misspelt(how) => Err(how),
        };
        let by = match comment.author() {
            Author::Person(login) => login.to_owned(),
            Author::Program(_) | Author::Nobody => return Err(Unheard::Program),
            Author::Edited(_) => return Err(Unheard::Edited),
        };
        if self.access(&by).await == Access::None {
            return Err(Unheard::Stranger);
        }
        let command = command.map_err(Unheard::Misspelt)?;
        if comment.created_at < request.opened || comment.created_at >= request.lapses(self.question.approvals.within) {
            return Err(Unheard::OutOfTime);
        }
        let (at, sha, link) = (comment.created_at, self.question.sha.clone(), Some(comment.html_url.clone()));
        let (named, answer, reason) = match command {
            Command::Approve { role } => (role, Answer::Approved, String::new()),
            Command::Reject { role, reason } => (Some(role), Answer::Rejected, reason),
            Command::Override { row, reason } => {
                let roles = self.held(&by, "User", &self.question.approvals.overrides).await;
                let role = roles.into_iter().next().ok_or(Unheard::NotTheirs)?;
                self.said.overrides.push(Override { row, by, role, reason, at, sha, link });
                return Ok(());
            }
            Command::ReadyForProd { .. } => return Err(Unheard::NoCommand),
        };
        let mut roles = self.held(&by, "User", &self.question.approvals.roles).await;
        if let Some(named) = named {
            roles.retain(|role| *role == named);
        }
        match roles.as_slice() {
            [] => return Err(Unheard::NotTheirs),
            [_] => {}
            [..] => return Err(Unheard::Which(roles)),
        }
        let source = format!("comment on issue {}", request.issue);
        self.said.approvals.push(Approval { by, roles, answer, at, sha, comment: reason, source, link });
        Ok(())
    }

    async fn access(&mut self, login: &str) -> Access {
        if let Some((_, access)) = self.accesses.iter().find(|(who, _)| who == login) {
            return *access;
        }
        let access = match people::access(self.client, login).await {
            Ok(access) => access,
            Err(error) => {
                self.said.unclear.push(format!("what {login} may do here cannot be read: {error}"));
                Access::None
            }
        };
        self.accesses.push((login.to_owned(), access));
        access
    }

    /// Where one person could approve all of it, whoever wrote the change is not that person, unless that is allowed.
    async fn nobody_alone(&mut self) -> Result<(), GithubError> {
        let asked = self.question.approvals;
        let one_is_enough = asked.roles.len() == 1 || asked.several_roles == Leave::Allow;
        let is_moot = !self.said.approvals.iter().any(|approval| approval.answer == Answer::Approved);
        if asked.own_changes == Leave::Allow || !one_is_enough || is_moot {
            return Ok(());
        }
        let authors = people::authors(self.client, self.question.sha).await?;
        let (own, others): (Vec<Approval>, Vec<Approval>) = std::mem::take(&mut self.said.approvals).into_iter().partition(|approval| {
            approval.answer == Answer::Approved && authors.iter().any(|author| author.eq_ignore_ascii_case(&approval.by))
        });
        self.said.approvals = others;
        for approval in own {
            let why = format!("{} wrote the change, and who wrote it does not approve it alone", approval.by);
            if !self.said.unclear.contains(&why) {
                self.said.unclear.push(why);
            }
        }
        Ok(())
    }

    async fn status(&mut self, status: Listed) {
        let Some(creator) = &status.creator else { return };
        let (login, kind) = (creator.login.clone(), creator.kind.clone());
        let description = cut(status.description.as_deref().unwrap_or_default());
        let link = self.question.commit_url.map(str::to_owned);
        if let Some(name) = status.context.strip_prefix("approval/") {
            let answer = match status.state {
                Word::Success => Answer::Approved,
                Word::Failure | Word::Error => Answer::Rejected,
                Word::Pending => return,
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
            if status.state != Word::Success {
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
