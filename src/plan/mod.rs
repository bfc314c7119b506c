//! (Request, Config, Observed) → ordered steps, or a refusal with its reason. Pure: no clock, no client.

mod direct;

pub use direct::plan as direct;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::domain::{EnvironmentName, ImageReference, InstanceName, RolloutId, Strategy, Version};

/// What will be done, in order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Plan {
    /// The rollout.
    pub rollout: RolloutId,
    /// Where.
    pub environment: EnvironmentName,
    /// How.
    pub strategy: Strategy,
    /// What is to run there.
    pub image: ImageReference,
    /// What runs there now, where anything does.
    pub previous: Option<Version>,
    /// The steps.
    pub steps: Vec<Step>,
    /// What a person should know before it starts: a delete-and-create, a token that will expire, …
    pub notices: Vec<String>,
    /// Seconds this usually takes at most (the sum of the steps' limits).
    pub limit_seconds: u64,
}

/// One step. `Display` gives the line that people read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "step", rename_all = "kebab-case")]
pub enum Step {
    /// Make the container group.
    CreateInstance {
        /// Which.
        instance: InstanceName,
    },
    /// Change the container group in place; its containers restart.
    UpdateInstance {
        /// Which.
        instance: InstanceName,
        /// What differs, one phrase each: "image: …develop-1111111 → …develop-2222222".
        changes: Vec<String>,
    },
    /// Delete the container group, because Azure cannot change it in place or it is beyond repair.
    DeleteInstance {
        /// Which.
        instance: InstanceName,
        /// Why.
        why: String,
    },
    /// Leave the container group as it is: it already runs what is asked for.
    KeepInstance {
        /// Which.
        instance: InstanceName,
    },
    /// Wait until the health path answers 2xx.
    AwaitHealth {
        /// Which.
        instance: InstanceName,
        /// The path.
        path: String,
        /// Probes at most.
        retries: u32,
        /// Seconds between two.
        every_seconds: f64,
    },
    /// Ask each path once; all must answer 2xx.
    Smoke {
        /// Where, without the path; `None`: the instance's own address.
        url: Option<String>,
        /// The paths.
        paths: Vec<String>,
    },
}

impl std::fmt::Display for Step {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::CreateInstance { instance } => write!(f, "Create {instance}"),
            Self::UpdateInstance { instance, .. } => write!(f, "Update {instance}"),
            Self::DeleteInstance { instance, .. } => write!(f, "Delete {instance}"),
            Self::KeepInstance { instance } => write!(f, "Keep {instance} as it is"),
            Self::AwaitHealth { instance, path, .. } => write!(f, "Health of {instance}: GET {path}"),
            Self::Smoke { url: Some(url), .. } => write!(f, "Smoke tests on {url}"),
            Self::Smoke { url: None, .. } => write!(f, "Smoke tests on the instance"),
        }
    }
}
