//! The approval flow of a release (runbook "Runbook Approval Flow"): what comments say, how a release stands, what people read of
//! it. Pure: what GitHub says is read in [`crate::github`], and what follows is done in [`crate::app`].
//!
//! What is asked for is pinned where nobody can edit it: as a commit status `release/VERSION` on the commit itself, set by a
//! program. GitHub writes down who set it and when. The issue is for people to read; nothing is ever derived from its text but
//! where to look.

/// Comments as commands.
pub mod command;
/// What people read: the issue, replies, notices.
pub mod issue;
/// How a release stands.
pub mod standing;

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::domain::{Digest, ReleaseVersion, Sha};

/// A release that was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// The version.
    pub version: ReleaseVersion,
    /// The commit that it pins.
    pub sha: Sha,
    /// The image that it pins.
    pub digest: Digest,
    /// The issue's number.
    pub issue: u64,
    /// Where the issue is looked at.
    pub url: String,
    /// When it was asked for, by GitHub's clock.
    pub opened: Timestamp,
    /// Who wrote it down at GitHub: a program's login.
    pub keeper: String,
    /// How it is doing.
    pub state: State,
}

/// How a request is doing, as it was written down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// It waits for people.
    Open,
    /// It came to an end without a release.
    Over {
        /// Why, in a few words.
        why: String,
    },
    /// Everybody approved, and the tag is there.
    Tagged,
}

impl Request {
    /// When it lapses: that long after it was asked for.
    #[must_use]
    pub fn lapses(&self, within: Duration) -> Timestamp {
        self.opened.checked_add(SignedDuration::try_from(within).unwrap_or(SignedDuration::MAX)).unwrap_or(Timestamp::MAX)
    }
}

/// The context of the commit status by which a release is asked for.
#[must_use]
pub fn context(version: &ReleaseVersion) -> String {
    format!("release/{version}")
}

/// To the minute, in UTC: "2026-11-24 10:05 UTC".
#[must_use]
pub fn moment(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M UTC").to_string()
}
