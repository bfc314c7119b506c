//! Why a lock cannot be had, read or given back, and what a person does about it. Pure.
//! Whether it can be had is decided elsewhere.

use super::message::LockInfo;
use crate::{
    domain::{EnvironmentName, Sha},
    failure::{Failure, FailureKind},
};

/// What is known of the run that has the lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Alive {
    /// GitHub says that it is underway.
    Underway,
    /// GitHub does not show it, so it counts as underway for 6 h 30 min.
    Unknown,
}

/// Why a lock cannot be had, read or given back.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LockError {
    /// Another run has it.
    #[error("another run has {environment}: {}", by.words())]
    Taken {
        /// The environment.
        environment: EnvironmentName,
        /// Who.
        by: Box<LockInfo>,
        /// What is known of it.
        alive: Alive,
    },
    /// The branch holds something else.
    #[error("{environment} is locked by hand: its lock holds something that deploy-action did not write (commit {})", commit.short())]
    Unreadable {
        /// The environment.
        environment: EnvironmentName,
        /// The commit.
        commit: Sha,
    },
    /// The token may not do it.
    #[error("the token in github-token may not {doing} the lock of {environment}: {why}")]
    Forbidden {
        /// The environment.
        environment: EnvironmentName,
        /// "read" or "write".
        doing: &'static str,
        /// GitHub's words.
        why: String,
    },
    /// GitHub refuses to write the branch, and nobody else was seen to write it.
    #[error("GitHub refuses to write the lock of {environment}: {why}")]
    Refused {
        /// The environment.
        environment: EnvironmentName,
        /// GitHub's words.
        why: String,
    },
    /// GitHub does not answer, or not in time.
    #[error("the lock of {environment} cannot be had: {why}")]
    Unavailable {
        /// The environment.
        environment: EnvironmentName,
        /// Why.
        why: String,
    },
}

/// The lock's branch of `environment`, without `refs/heads/`.
pub(super) fn branch(environment: &EnvironmentName) -> String {
    format!("{FOLDER}/{environment}")
}

/// What the branches of locks begin with.
pub(super) const FOLDER: &str = "deploy-action-lock";

impl LockError {
    /// The failure that it is for a run on `repository` (`OWNER/NAME`) that could not begin.
    #[must_use]
    pub fn failure(&self, repository: &str) -> Failure {
        let (kind, environment, next) = match self {
            Self::Taken { environment, by, alive } => {
                let wait = by.url.as_ref().map_or_else(
                    || "wait until it is done, then run the workflow again".to_owned(),
                    |url| format!("wait until {url} is done, then run the workflow again"),
                );
                let ask = "give the job `permissions: actions: read`: then a run that is over is told from one that is not";
                let next = match (alive, by.run) {
                    (Alive::Unknown, Some(_)) => vec![wait, ask.to_owned(), unlock(repository, environment)],
                    // At a terminal there is no run to ask after.
                    (Alive::Unknown, None) | (Alive::Underway, _) => vec![wait, unlock(repository, environment)],
                };
                (FailureKind::Claimed, environment, next)
            }
            Self::Unreadable { environment, .. } => {
                let ask = "ask in the team who locked it, and why".to_owned();
                (FailureKind::Claimed, environment, vec![ask, unlock(repository, environment)])
            }
            Self::Forbidden { environment, .. } => {
                let give =
                    "give the job `permissions: contents: write` (for the lock) and `actions: read` (to see whether its run is over)";
                (FailureKind::Request, environment, vec![give.to_owned()])
            }
            Self::Refused { environment, .. } => {
                let rules = format!("let the workflow create and update branches `{FOLDER}/*`: Settings, Rules, Rulesets");
                (FailureKind::Request, environment, vec![rules])
            }
            Self::Unavailable { environment, .. } => {
                let status = "look at githubstatus.com, then run the workflow again".to_owned();
                let own = "if the lock was taken all the same, it is this run's, and free when this run is over".to_owned();
                (FailureKind::Claimed, environment, vec![status, own])
            }
        };
        let failure =
            Failure::new(kind, self.to_string(), format!("branch {} of {repository}", branch(environment))).meaning("nothing was touched");
        next.into_iter().fold(failure, Failure::next)
    }
}

fn unlock(repository: &str, environment: &EnvironmentName) -> String {
    format!("if nothing deploys there any more, free it: gh api -X DELETE repos/{repository}/git/refs/heads/{}", branch(environment))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::github::lock::message::{Takeover, tests::claim};

    #[test]
    fn a_refusal_says_who_and_how_to_go_on() {
        let taken = LockError::Taken {
            environment: "staging".parse().expect("a name"),
            by: Box::new(claim(7, 1, Takeover::Never)),
            alive: Alive::Unknown,
        };
        assert_eq!(
            taken.failure("o/r").to_string(),
            "another run has staging: deploy by octocat since 2026-11-24 12:00:00 UTC, https://github.com/o/r/actions/runs/7 (branch deploy-action-lock/staging of o/r)
  it means: nothing was touched
  next: wait until https://github.com/o/r/actions/runs/7 is done, then run the workflow again
  next: give the job `permissions: actions: read`: then a run that is over is told from one that is not
  next: if nothing deploys there any more, free it: gh api -X DELETE repos/o/r/git/refs/heads/deploy-action-lock/staging"
        );
    }
}
