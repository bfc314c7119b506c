//! How a rollout ended, and the exit status that says so.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How a rollout ended (DESIGN "Words"; printed as the `outcome` output).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// The version asked for runs and has passed its gates.
    Healthy,
    /// The world is back on the version it had.
    RolledBack,
    /// A person must decide: traffic stays where it is.
    Held,
    /// The version asked for does not run as it should, and nothing was rolled back (dev: the runbook's rollback is manual).
    Failed,
    /// Nothing was touched: a precondition was not met.
    Refused,
    /// Everything asked for was already so, and it is healthy.
    Unchanged,
}

impl Outcome {
    /// The word as printed in outputs and messages.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::RolledBack => "rolled-back",
            Self::Held => "held",
            Self::Failed => "failed",
            Self::Refused => "refused",
            Self::Unchanged => "unchanged",
        }
    }
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The process's exit status; the Action's contract, documented in `docs/using.md`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ExitStatus {
    /// 0: healthy, unchanged, or a rollback that was asked for and succeeded.
    Success,
    /// 1: not deployed, and the world is safe.
    NotDeployed,
    /// 2: the request or the configuration is wrong; nothing was touched.
    Wrong,
    /// 3: a person must look: held, or safety could not be confirmed.
    PersonNeeded,
}

impl ExitStatus {
    /// The worse of the two.
    #[must_use]
    pub const fn at_least(self, other: Self) -> Self {
        if other.code() > self.code() { other } else { self }
    }

    /// The number given to the operating system.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Success => 0,
            Self::NotDeployed => 1,
            Self::Wrong => 2,
            Self::PersonNeeded => 3,
        }
    }
}
