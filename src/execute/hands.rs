//! What a run knows of the world while it changes it: the profile as last seen, where instances are, how what stands by is
//! doing. Kept so that a rollback needs no reading before it acts.

use std::collections::BTreeMap;

use tokio::time::Instant;

use super::{Execution, HttpResult, instances::Watcher, instances::during, traffic};
use crate::{
    azure::{container_groups, traffic_manager},
    domain::InstanceName,
    failure::Failure,
    gate,
    observe::{Instance, Observed, Profile},
    plan::Step,
};

/// What this run has done to the world, so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Touched {
    /// Nothing.
    No,
    /// The instance was told to be deleted, so that it can be made anew.
    Deleted,
    /// Something was told to become what is wanted.
    Written,
}

impl Touched {
    /// After `step`, too.
    pub(super) const fn and(self, step: &Step) -> Self {
        match step {
            Step::DeleteInstance { .. } => Self::Deleted,
            Step::CreateInstance { .. }
            | Step::UpdateInstance { .. }
            | Step::CreateProfile { .. }
            | Step::Switch { .. }
            | Step::Shift { .. }
            | Step::MarkPromoted { .. }
            | Step::Together { .. }
            | Step::MarkStable { .. } => Self::Written,
            Step::KeepInstance { .. }
            | Step::ContinueInstance { .. }
            | Step::AwaitHealth { .. }
            | Step::Smoke { .. }
            | Step::VerifyTraffic { .. }
            | Step::Drain { .. }
            | Step::VerifyShares { .. }
            | Step::DrainInstance { .. }
            | Step::CheckBaseline { .. }
            | Step::Phase { .. }
            | Step::Observe { .. } => self,
        }
    }
}

/// Which way traffic is being moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Direction {
    /// To the new version.
    Forward,
    /// Back: every request that can be spared is.
    Back,
}

/// Whether the profile is known to be as it was last seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Certainty {
    /// It is.
    Sure,
    /// A change was sent, and nobody knows whether it took effect.
    Unsure,
}

/// How what stands by is doing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Standing {
    /// It has not been asked.
    Unknown,
    /// It answered as it should when it was last asked.
    Healthy,
    /// It did not.
    Unhealthy(HttpResult),
}

/// What a run knows.
pub struct Hands {
    pub(super) watcher: Watcher,
    pub(super) touched: Touched,
    pub(super) profile: Option<Profile>,
    pub(super) certainty: Certainty,
    pub(super) direction: Direction,
    pub(super) sources: Option<gate::Sources>,
    pub(super) standing: Standing,
    /// When traffic was last moved by this run: resolvers keep what they were told before for the time to live.
    pub(super) moved: Option<Instant>,
    pub(super) ips: BTreeMap<InstanceName, String>,
    pub(super) fqdns: BTreeMap<InstanceName, String>,
}

impl Hands {
    /// At the beginning: what `observed` says. `sources` is where the numbers of rules come from, where any are asked.
    #[must_use]
    pub fn new(observed: &Observed, sources: Option<gate::Sources>) -> Self {
        let mut hands = Self {
            watcher: Watcher::default(),
            touched: Touched::No,
            profile: observed.profile.clone(),
            certainty: Certainty::Sure,
            direction: Direction::Forward,
            sources,
            standing: Standing::Unknown,
            moved: None,
            ips: BTreeMap::new(),
            fqdns: BTreeMap::new(),
        };
        observed.instances.iter().for_each(|instance| hands.see(instance));
        hands
    }

    /// Remembers where `instance` is.
    pub(super) fn see(&mut self, instance: &Instance) {
        for (known, found) in [(&mut self.ips, &instance.ip), (&mut self.fqdns, &instance.fqdn)] {
            match found {
                Some(found) => known.insert(instance.name.clone(), found.clone()),
                None => known.remove(&instance.name),
            };
        }
    }

    /// Reads where `instance` is: an address can change when an instance is written (Azure Container Instances,
    /// "Update containers").
    pub(super) async fn learn(&mut self, instance: &InstanceName, execution: &Execution<'_>) -> Result<(), Failure> {
        let group = &execution.environment.resource_group;
        let found = container_groups::get(execution.azure, group, instance).await.map_err(|error| during(error.into()))?;
        match found {
            Some(instance) => self.see(&instance),
            None => {
                self.ips.remove(instance);
                self.fqdns.remove(instance);
            }
        }
        Ok(())
    }

    /// Remembers how what stands by answered.
    pub(super) fn note_standby(&mut self, answer: Option<&HttpResult>) {
        match answer {
            Some(answer) if answer.is_good() => self.standing = Standing::Healthy,
            Some(answer) => self.standing = Standing::Unhealthy(answer.clone()),
            None => {}
        }
    }

    /// Reads the profile once more before it is changed, unless every moment counts: what a person changed since is noticed
    /// while nothing has been overwritten.
    pub(super) async fn look_again(&mut self, execution: &Execution<'_>) -> Result<(), Failure> {
        let (Direction::Forward, Some(before)) = (self.direction, &self.profile) else { return Ok(()) };
        let group = &execution.environment.resource_group;
        if let Some(now) = traffic_manager::get(execution.azure, group, &before.name).await.map_err(|error| during(error.into()))? {
            traffic::unchanged(before, &now, execution)?;
            self.profile = Some(now);
        }
        Ok(())
    }
}
