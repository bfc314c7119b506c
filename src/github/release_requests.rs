//! Releases that were asked for: commit statuses `release/VERSION` that a program set (GitHub Docs, REST API, "Commit statuses").
//! A status cannot be edited; GitHub writes down who set it, on which commit and when. Only the newest of a context counts.

use super::{
    Client, GithubError,
    commit_statuses::{self, CommitStatus, Listed, State as Word},
    people,
};
use crate::{
    approval::{Request, State, context},
    domain::{Digest, ReleaseVersion, Sha},
};

/// Whose statuses are believed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Keepers {
    /// Programs': GitHub Apps, also the one that runs workflows.
    Programs,
    /// Programs', and those of the person whose token this is.
    ProgramsAnd(String),
}

impl Keepers {
    /// By whom the token is of.
    ///
    /// # Errors
    /// When GitHub does not answer.
    pub async fn of(client: &Client) -> Result<Self, GithubError> {
        Ok(people::owner(client).await?.map_or(Self::Programs, Self::ProgramsAnd))
    }

    fn believe(&self, status: &Listed) -> bool {
        status.creator.as_ref().is_some_and(|creator| match self {
            Self::Programs => creator.kind == "Bot",
            Self::ProgramsAnd(person) => creator.kind == "Bot" || creator.login == *person,
        })
    }
}

/// The release of `version` that was asked for on the commit `sha`, out of the commit's statuses, the newest first.
#[must_use]
pub fn find(statuses: &[Listed], sha: &Sha, version: &ReleaseVersion, keepers: &Keepers) -> Option<Request> {
    let context = context(version);
    let mut ours = statuses.iter().filter(|status| status.context == context && keepers.believe(status));
    let newest = ours.next()?;
    let asked = if newest.state == Word::Pending { newest } else { ours.find(|status| status.state == Word::Pending)? };
    let state = match newest.state {
        Word::Pending => State::Open,
        Word::Success => State::Tagged,
        Word::Failure | Word::Error => State::Over { why: newest.description.clone().unwrap_or_default() },
    };
    let url = asked.target_url.clone()?;
    Some(Request {
        version: version.clone(),
        sha: sha.clone(),
        digest: asked.description.as_deref()?.split_whitespace().next()?.parse().ok()?,
        issue: url.rsplit_once("/issues/")?.1.parse().ok()?,
        url,
        opened: asked.created_at,
        keeper: asked.creator.as_ref()?.login.clone(),
        state,
    })
}

/// Asks for a release: from now on its time runs.
///
/// # Errors
/// What GitHub said, and which permission is missing.
pub async fn ask(client: &Client, sha: &Sha, version: &ReleaseVersion, digest: &Digest, url: &str, by: &str) -> Result<(), GithubError> {
    let description = format!("{digest} asked for by {by}");
    let status = CommitStatus { context: &context(version), state: Word::Pending, description: &description, target_url: Some(url) };
    commit_statuses::set(client, sha, &status).await
}

/// Writes down that a request is over: tagged, or not.
///
/// # Errors
/// What GitHub said, and which permission is missing.
pub async fn end(client: &Client, request: &Request, state: &State) -> Result<(), GithubError> {
    let (word, description) = match state {
        State::Open => (Word::Pending, format!("{} waits", request.digest)),
        State::Over { why } => (Word::Failure, why.clone()),
        State::Tagged => (Word::Success, format!("approved and tagged {}", request.version)),
    };
    let status =
        CommitStatus { context: &context(&request.version), state: word, description: &description, target_url: Some(&request.url) };
    commit_statuses::set(client, &request.sha, &status).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::github::commit_statuses::Creator;

    const SHA: &str = "a1b2c3d4e5f60718293a4b5c6d7e8f9001122334";

    fn status(state: Word, kind: &str, login: &str, issue: u64) -> Listed {
        Listed {
            context: "release/v1.0.0".into(),
            state,
            description: Some(format!("sha256:{} asked for by octocat", "a".repeat(64))),
            target_url: Some(format!("https://github.com/o/r/issues/{issue}")),
            created_at: "2026-11-25T01:00:00Z".parse().expect("a time"),
            creator: Some(Creator { login: login.into(), kind: kind.into() }),
        }
    }

    fn found(newest_first: &[Listed], keepers: &Keepers) -> Option<(u64, State)> {
        let (sha, version) = (SHA.parse().expect("a sha"), "v1.0.0".parse().expect("a version"));
        find(newest_first, &sha, &version, keepers).map(|request| (request.issue, request.state))
    }

    #[test]
    fn only_what_a_program_wrote_down_is_a_request() {
        let ours = status(Word::Pending, "Bot", "github-actions[bot]", 12);
        let forged = status(Word::Pending, "User", "mallory", 13);
        assert_eq!(found(&[forged.clone(), ours.clone()], &Keepers::Programs), Some((12, State::Open)));
        assert_eq!(found(std::slice::from_ref(&forged), &Keepers::Programs), None);
        let end = status(Word::Failure, "User", "mallory", 12);
        assert_eq!(found(&[end, ours.clone()], &Keepers::Programs), Some((12, State::Open)));
        assert_eq!(found(&[forged, ours], &Keepers::ProgramsAnd("mallory".into())), Some((13, State::Open)));
    }

    #[test]
    fn the_newest_says_how_it_is_doing() {
        let ours = |state| status(state, "Bot", "github-actions[bot]", 12);
        let (asked, tagged) = (ours(Word::Pending), ours(Word::Success));
        assert_eq!(found(&[tagged.clone(), asked.clone()], &Keepers::Programs), Some((12, State::Tagged)));
        assert_eq!(found(&[asked.clone(), tagged.clone(), asked], &Keepers::Programs), Some((12, State::Open)));
        assert_eq!(found(&[tagged], &Keepers::Programs), None);
    }
}
