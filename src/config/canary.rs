//! What the canary strategy needs, as configured (runbook Scenario 3). Plain data.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use url::Url;

use super::{Preflight, ProfileConfig, Quantity, Rule};
use crate::domain::{InstanceName, Share};

/// What the canary strategy needs.
#[derive(Debug, Clone, PartialEq)]
pub struct Canary {
    /// The stable instances, by number; each is also its endpoint's name.
    pub stable: Vec<InstanceName>,
    /// How many of them take traffic; the others stand by, running.
    pub active: usize,
    /// The instance of a version that is being tried.
    pub canary: InstanceName,
    /// The instance of the version that a staged rollback goes back to.
    pub old: InstanceName,
    /// The Traffic Manager profile in front of them.
    pub profile: ProfileConfig,
    /// The address of the stable instances alone.
    pub stable_url: Option<Url>,
    /// Watched every tick of every phase; `None`: off.
    pub abort: Option<Abort>,
    /// The shares that a canary goes through, rising to 100%.
    pub phases: Vec<Phase>,
    /// Watching after 100%; `None`: off.
    pub stabilize: Option<Stabilize>,
    /// The shares of a staged rollback, rising to 100%.
    pub staged: Vec<Staged>,
    /// The checklist before a release; `None`: off.
    pub preflight: Option<Preflight>,
}

/// Rules that take the canary to 0% at once, in every phase.
#[derive(Debug, Clone, PartialEq)]
pub struct Abort {
    /// From tick to tick.
    pub every: Duration,
    /// The rules.
    pub rules: Vec<Rule>,
}

/// A share held for a time under rules.
#[derive(Debug, Clone, PartialEq)]
pub struct Phase {
    /// The new version's share.
    pub share: Share,
    /// How long.
    pub duration: Duration,
    /// How many stable instances share the rest.
    pub stable: usize,
    /// The rules.
    pub rules: Vec<Rule>,
    /// The share to go back to when one of them is broken.
    pub on_breach: Share,
}

/// Watching after 100%.
#[derive(Debug, Clone, PartialEq)]
pub struct Stabilize {
    /// How long.
    pub duration: Duration,
    /// From tick to tick.
    pub every: Duration,
    /// The rules.
    pub rules: Vec<Rule>,
    /// Which rollback a breach is answered with.
    pub on_breach: OnBreach,
    /// What must hold at the end.
    pub verify: Verify,
}

/// Which rollback a breach of stabilization is answered with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnBreach {
    /// By rising shares, with the previous version started afresh.
    Staged,
    /// At once.
    Instant,
}

/// What must hold at the end of stabilization.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Verify {
    /// Paths that must answer 2xx.
    pub smoke: Vec<String>,
    /// Numbers that must be right.
    pub checks: Vec<FinalCheck>,
}

/// A number that must be right at the end of stabilization (runbook Scenario 3, Step 5: "Final Checks").
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct FinalCheck {
    /// Its name, as configured.
    pub name: String,
    /// Who is asked what.
    pub ask: Ask,
}

/// Who is asked what, and which number is right.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "ask", rename_all = "kebab-case")]
pub enum Ask {
    /// The database: the number must not be 0.
    Sql {
        /// The statement, which only reads.
        query: String,
    },
    /// The Prometheus server: the number must be within the bounds.
    Metric {
        /// In PromQL.
        query: String,
        /// Not above this.
        max: Option<Quantity>,
        /// Not below this.
        min: Option<Quantity>,
    },
}

/// A step of a staged rollback.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Staged {
    /// The old version's share.
    pub share: Share,
    /// How long it is held.
    pub duration: Duration,
}
