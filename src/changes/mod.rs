//! What is new in a version: the commits since the one before, read as Conventional Commits 1.0.0 words them and put in groups.
//! Pure: who asks GitHub for the commits, and who shows the changes to whom, is elsewhere.
//!
//! A commit's message is a stranger's text. What is kept of it is on one line, short and without control characters; markup and
//! mentions are for each display to make harmless, because each has its own.

mod commit;
mod next;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use commit::{Commit, read};
pub use next::{NotAReleaseNumber, ReleaseNumber, next};

use crate::domain::Sha;

/// Changes that are kept: more than anybody reads, and little beside a job summary's 1 MiB.
const KEPT: usize = 200;

/// What is new in a version, the most important first.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Changes {
    /// The changes: breaking ones, features, fixes, what is faster, the rest; within a group the oldest first.
    pub changes: Vec<Change>,
    /// Commits that are not among them: beyond the number that is read or kept. Merges and what was reverted are not counted.
    pub more: u64,
    /// The repository's page, `https://github.com/OWNER/NAME`, where known: what pull requests and commits are linked by.
    pub repository: Option<String>,
    /// The commit or tag that they count from.
    pub since: String,
}

/// One change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Change {
    /// What kind of change.
    pub kind: Kind,
    /// Whether what worked before may not work any more.
    pub compatibility: Compatibility,
    /// The part that it is about, where the commit names one.
    pub scope: Option<String>,
    /// What changes: one line of at most 160 characters.
    pub what: String,
    /// The pull request that it came by, where the commit names one.
    pub pull_request: Option<u64>,
    /// The commit.
    pub sha: Sha,
}

/// What kind of change (Conventional Commits 1.0.0, "Summary"; `perf` is of the Angular convention that it names).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// `feat`: something new.
    Feature,
    /// `fix`: something is repaired.
    Fix,
    /// `perf`: something is faster.
    Performance,
    /// Anything else, also what follows no convention.
    Other,
}

/// Whether what worked before may not work any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "compatibility", rename_all = "kebab-case")]
pub enum Compatibility {
    /// It does.
    Compatible,
    /// It may not: `!` before the colon, or a footer `BREAKING CHANGE`.
    Breaking {
        /// What the footer says, on one line.
        note: Option<String>,
    },
}

/// A group of changes as displays head it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Group {
    /// What may not work any more, whatever its kind.
    Breaking,
    /// What is new.
    Features,
    /// What is repaired.
    Fixes,
    /// What is faster.
    Performance,
    /// The rest.
    Other,
}

impl Group {
    /// Its heading.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::Breaking => "Breaking changes",
            Self::Features => "Features",
            Self::Fixes => "Fixes",
            Self::Performance => "Performance",
            Self::Other => "Other changes",
        }
    }
}

impl Change {
    /// The group that it is shown in.
    #[must_use]
    pub const fn group(&self) -> Group {
        match (&self.compatibility, self.kind) {
            (Compatibility::Breaking { .. }, _) => Group::Breaking,
            (Compatibility::Compatible, Kind::Feature) => Group::Features,
            (Compatibility::Compatible, Kind::Fix) => Group::Fixes,
            (Compatibility::Compatible, Kind::Performance) => Group::Performance,
            (Compatibility::Compatible, Kind::Other) => Group::Other,
        }
    }
}

impl Changes {
    /// The changes of `commits`, the oldest first, out of `total` that there are since `since` (at least as many). Merges say
    /// nothing that their commits do not, but for the pull request's title and number; a commit that a later one among them
    /// reverts is left out with it.
    #[must_use]
    pub fn of(commits: &[Commit], total: u64, since: &str, repository: Option<String>) -> Self {
        let mut changes = read(commits);
        changes.sort_by_key(Change::group);
        let unread = total.saturating_sub(u64::try_from(commits.len()).unwrap_or(u64::MAX));
        let unkept = changes.len().saturating_sub(KEPT);
        changes.truncate(KEPT);
        Self { changes, more: unread.saturating_add(u64::try_from(unkept).unwrap_or(u64::MAX)), repository, since: since.to_owned() }
    }

    /// The changes in their groups, in order; no group is empty.
    pub fn groups(&self) -> impl Iterator<Item = (Group, &[Change])> {
        let groups = self.changes.chunk_by(|one, next| one.group() == next.group());
        groups.filter_map(|changes| Some((changes.first()?.group(), changes)))
    }

    /// The page of a pull request, where the repository's is known.
    #[must_use]
    pub fn pull_request_url(&self, number: u64) -> Option<String> {
        self.repository.as_ref().map(|repository| format!("{repository}/pull/{number}"))
    }

    /// The page of a commit, where the repository's is known.
    #[must_use]
    pub fn commit_url(&self, sha: &Sha) -> Option<String> {
        self.repository.as_ref().map(|repository| format!("{repository}/commit/{}", sha.as_str()))
    }
}

#[cfg(test)]
mod tests;
