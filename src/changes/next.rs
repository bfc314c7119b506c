//! The version that changes ask for (Semantic Versioning 2.0.0; Conventional Commits 1.0.0, rule "feat", "fix" and
//! "BREAKING CHANGE").

use std::{fmt, str::FromStr};

use super::{Changes, Group};

/// A released version's number: `v1.2.3`. Ordered as versions are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReleaseNumber {
    /// Raised when what worked before may not work any more.
    pub major: u64,
    /// Raised for something new.
    pub minor: u64,
    /// Raised for anything else.
    pub patch: u64,
}

/// Why a text is no released version's number.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("it is not a released version's number, such as v1.2.3: three numbers without leading zeros, and nothing behind them")]
pub struct NotAReleaseNumber;

impl FromStr for ReleaseNumber {
    type Err = NotAReleaseNumber;

    /// `v1.2.3`, or without the `v`. What is marked as a pre-release or a build is no released version (Semantic Versioning
    /// 2.0.0, rules 9 and 10).
    fn from_str(text: &str) -> Result<Self, NotAReleaseNumber> {
        let number = |part: Option<&str>| {
            let part = part.ok_or(NotAReleaseNumber)?;
            let is_plain = !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit()) && (part == "0" || !part.starts_with('0'));
            if is_plain { part.parse().map_err(|_| NotAReleaseNumber) } else { Err(NotAReleaseNumber) }
        };
        let mut parts = text.strip_prefix('v').unwrap_or(text).split('.');
        let release = Self { major: number(parts.next())?, minor: number(parts.next())?, patch: number(parts.next())? };
        if parts.next().is_some() { Err(NotAReleaseNumber) } else { Ok(release) }
    }
}

impl fmt::Display for ReleaseNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "v{}.{}.{}", self.major, self.minor, self.patch)
    }
}

/// The version to propose after `current` for `changes`: `None` where there are none.
///
/// What breaks raises the first number, a feature the second, anything else the third. Before 1.0.0 what breaks raises the
/// second (Semantic Versioning 2.0.0, rule 4: anything may change there): that a project is ready for 1.0.0 is for people to say.
/// Where not every commit was read it may be too low: [`Changes::more`] says so.
#[must_use]
pub fn next(current: ReleaseNumber, changes: &Changes) -> Option<ReleaseNumber> {
    let ReleaseNumber { major, minor, patch } = current;
    let most = changes.groups().map(|(group, _)| group).min();
    match most {
        None if changes.more == 0 => None,
        Some(Group::Breaking) if major > 0 => Some(ReleaseNumber { major: major.saturating_add(1), minor: 0, patch: 0 }),
        Some(Group::Breaking | Group::Features) => Some(ReleaseNumber { major, minor: minor.saturating_add(1), patch: 0 }),
        Some(Group::Fixes | Group::Performance | Group::Other) | None => {
            Some(ReleaseNumber { major, minor, patch: patch.saturating_add(1) })
        }
    }
}
