//! The checklist before a release to production, as configured (runbook "Pre-Deployment Checklist" and Scenario 3,
//! "Pre-Production Checklist"). Plain data; judged in [`crate::plan::preflight`].

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Rule;

/// What the checklist asks for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Preflight {
    /// How long the same image must have been stable in staging; `None`: off.
    pub staging_soak: Option<Duration>,
    /// When releases are allowed; `None`: off.
    pub window: Option<Window>,
    /// Who must approve; `None`: off.
    pub approvals: Option<Approvals>,
    /// What is asked of the commit and its tag; `None`: off.
    pub checks: Option<Checks>,
    /// What code scanning may have found; `None`: off.
    pub code_scanning: Option<CodeScanning>,
    /// The rules that production must meet before.
    pub rules: Vec<PreflightRule>,
}

/// A daily window.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Window {
    /// Its beginning, by the zone's clocks.
    #[schemars(with = "String")]
    pub from: jiff::civil::Time,
    /// Its end, which does not belong to it; where that is not after the beginning, the window goes over midnight.
    #[schemars(with = "String")]
    pub to: jiff::civil::Time,
    /// An IANA time zone, e.g. `Europe/Berlin`.
    pub zone: String,
}

/// Who must approve, and for how long that holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Approvals {
    /// How long an approval lasts.
    pub within: Duration,
    /// The roles that must approve.
    pub roles: Vec<ApprovalRole>,
    /// The roles that may override a failed row.
    pub overrides: Vec<ApprovalRole>,
    /// Whether one person may fill several roles.
    pub several_roles: Leave,
    /// Whether who wrote the change may approve it alone.
    pub own_changes: Leave,
    /// The workflow that is started on the tag where the tag's own push starts none: the name of its file.
    pub workflow: String,
}

/// Whether something is allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Leave {
    /// It is not.
    Refuse,
    /// It is.
    Allow,
}

/// A role that approves or overrides, and who holds it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ApprovalRole {
    /// Its name, e.g. `tech-lead`.
    pub name: String,
    /// Teams of the organization whose members hold it, by their slugs.
    pub teams: Vec<String>,
    /// GitHub logins that hold it.
    pub users: Vec<String>,
}

impl ApprovalRole {
    /// Whether nobody at all can hold it.
    #[must_use]
    pub const fn is_vacant(&self) -> bool {
        self.teams.is_empty() && self.users.is_empty()
    }
}

/// What is asked of the commit and its tag.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Checks {
    /// The branch that the commit must be on.
    pub branch: String,
    /// What the tag must be.
    pub tag: TagForm,
    /// The names of check runs that must have succeeded on the commit.
    pub required: Vec<String>,
}

/// What a release's tag must be (runbook Scenario 3, Step 1: `git tag -a`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum TagForm {
    /// Any tag.
    Any,
    /// An annotated one: it says who tagged, when and why.
    Annotated,
    /// An annotated one whose signature GitHub has verified.
    Signed,
}

/// What code scanning may have found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CodeScanning {
    /// The highest severity that an open alert may have.
    pub max_severity: AlertSeverity,
    /// Whether the file says so.
    pub source: Source,
}

/// How bad an alert is (GitHub Docs, "About code scanning alerts": security severity levels).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum AlertSeverity {
    /// It has no security severity; as a limit: no alert at all.
    None,
    /// Low.
    Low,
    /// Medium.
    Medium,
    /// High.
    High,
    /// Critical.
    Critical,
}

impl AlertSeverity {
    /// The word, which is GitHub's and `deploy.yml`'s.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }

    /// The severity of this word; `None` where it is none.
    #[must_use]
    pub fn of(word: &str) -> Option<Self> {
        [Self::None, Self::Low, Self::Medium, Self::High, Self::Critical].into_iter().find(|severity| severity.as_str() == word)
    }
}

/// A rule that production must meet before a release.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PreflightRule {
    /// The rule.
    pub rule: Rule,
    /// Whether the file says so.
    pub source: Source,
}

/// Whether `deploy.yml` says something, or it is a default. What is written must be answered; a default for which there is nothing
/// to ask is a person's matter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// It is written there.
    Written,
    /// It is a default.
    Default,
}
