//! The world as data: what runs where and where traffic goes, as an environment's plan needs it. Reads only; decides nothing.

mod instance;
/// What the checklist before a release is judged on.
pub mod preflight;
mod profile;

pub use instance::{AzureEvent, ContainerPhase, ContainerState, Instance, Provisioning, Tags};
pub use profile::{Endpoint, EndpointState, Monitor, MonitorStatus, Probing, Profile, ProfileTags, RoutingMethod, same_host};

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a deployment needs to know of the world.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Observed {
    /// The environment's instances that exist.
    pub instances: Vec<Instance>,
    /// The Traffic Manager profile in front of them, where the strategy has one and it exists.
    pub profile: Option<Profile>,
    /// When this was read.
    #[schemars(with = "String")]
    pub at: Timestamp,
}

impl Observed {
    /// The instance called `name`, where it exists.
    #[must_use]
    pub fn instance(&self, name: &crate::domain::InstanceName) -> Option<&Instance> {
        self.instances.iter().find(|instance| instance.name == *name)
    }
}
