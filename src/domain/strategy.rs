//! How an environment is deployed, and the part that an instance plays in it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How a new version reaches an environment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Strategy {
    /// One instance, replaced in place (runbook Scenario 1).
    Direct,
    /// A second instance beside the first, traffic switched at once (runbook Scenario 2).
    BlueGreen,
    /// A small share first, then more (runbook Scenario 3).
    Canary,
}

impl Strategy {
    /// The word as written in `deploy.yml`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::BlueGreen => "blue-green",
            Self::Canary => "canary",
        }
    }
}

/// The part an instance plays, kept in its `deploy-action-role` tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Serves the version that is trusted.
    Stable,
    /// Serves the version being tried.
    Canary,
    /// Runs, ready to take traffic, with none.
    Standby,
    /// Runs a version that is being left.
    Old,
}

impl Role {
    /// The word as written in the tag.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Stable => "stable",
            Self::Canary => "canary",
            Self::Standby => "standby",
            Self::Old => "old",
        }
    }
}
