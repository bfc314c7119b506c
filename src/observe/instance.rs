//! An instance (one container group) as Azure shows it. Plain data.

use std::collections::BTreeMap;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::domain::{Digest, InstanceName, RolloutId, Version};

/// One instance as Azure shows it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Instance {
    /// The container group's name.
    pub name: InstanceName,
    /// What Azure says of the last change to it.
    pub provisioning: Provisioning,
    /// The group's state, as Azure words it ("Running", "Pending", "Failed", …); empty where Azure says nothing.
    pub state: String,
    /// `ipAddress.ip`.
    pub ip: Option<String>,
    /// `ipAddress.fqdn`: always read, never guessed (Azure may add a hash to the label).
    pub fqdn: Option<String>,
    /// The application's container (the one named like the group or, failing that, the first).
    pub container: Option<ContainerState>,
    /// Azure's events of the group and of its container, oldest first.
    pub events: Vec<AzureEvent>,
    /// The tags that this Action wrote.
    pub tags: Tags,
    /// What Azure holds of the group's definition, for comparing with what is wanted: the body of the GET without the
    /// read-only fields. Holds no secret: Azure returns none.
    pub definition: serde_json::Value,
}

/// `provisioningState`. Unknown words count as in progress.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Provisioning {
    /// Being made or changed; the word Azure used.
    InProgress(String),
    /// Done.
    Succeeded,
    /// Azure gave up, or keeps trying in vain: such a group is deleted and made anew.
    Failed,
    /// It ran to its end and was stopped.
    Stopped,
}

/// A container's state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ContainerState {
    /// Waiting, Running or Terminated.
    pub phase: ContainerPhase,
    /// `detailStatus`, e.g. `OOMKilled`, `CrashLoopBackOff`, `Completed`.
    pub detail: String,
    /// The exit code of the run that ended last, now or before.
    pub exit_code: Option<i32>,
    /// Times Azure started it again.
    pub restarts: u32,
    /// `detailStatus` of the run before, where there was one.
    pub previous_detail: Option<String>,
    /// The image it runs, as Azure was told.
    pub image: String,
}

/// `currentState.state`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ContainerPhase {
    /// Not started yet, or about to be started again.
    Waiting,
    /// Running.
    Running,
    /// Ended.
    Terminated,
    /// Azure says nothing, or something new.
    Unknown,
}

/// One of Azure's events ("Pulling", "Pulled", "Started", "Failed", "BackOff", "Killing", …).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AzureEvent {
    /// When it was last seen, where Azure says.
    #[schemars(with = "Option<String>")]
    pub at: Option<Timestamp>,
    /// Its name.
    pub name: String,
    /// Its text.
    pub message: String,
    /// Normal or Warning.
    pub level: String,
    /// How often.
    pub count: u32,
}

/// The Action's tags on an instance (DESIGN "The world is the journal").
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Tags {
    /// `deploy-action-rollout`.
    pub rollout: Option<RolloutId>,
    /// `deploy-action-version`.
    pub version: Option<Version>,
    /// `deploy-action-sha`, as written.
    pub sha: Option<String>,
    /// `deploy-action-digest`.
    pub digest: Option<Digest>,
    /// `deploy-action-role`, as written.
    pub role: Option<String>,
    /// `deploy-action-run`: link to the workflow run.
    pub run: Option<String>,
    /// `deploy-action-previous`: the version that served before this one.
    pub previous: Option<Version>,
    /// `deploy-action-rolled-back-from`: the version that people were taken back from to this one, where that is how it came here.
    pub rolled_back_from: Option<Version>,
    /// `deploy-action-promoted`: when the version had passed every phase of its canary.
    #[schemars(with = "Option<String>")]
    pub promoted: Option<Timestamp>,
    /// `deploy-action-held`: why a person must decide about it, where one must.
    pub held: Option<String>,
    /// `deploy-action-stable-since`: when the version had passed all its gates and was marked stable.
    #[schemars(with = "Option<String>")]
    pub stable_since: Option<Timestamp>,
    /// Everything else that is tagged.
    pub others: BTreeMap<String, String>,
}
