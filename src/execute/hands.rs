//! What a run knows of the world while it changes it: the profile as last seen, where instances are, how what stands by is
//! doing. Kept so that a rollback needs no reading before it acts.

use std::{collections::BTreeMap, time::Duration};

use tokio::time::Instant;

use super::{Execution, HttpResult, instances::Watcher, instances::during, shares, traffic};
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
            | Step::DrainInstances { .. }
            | Step::CheckBaseline { .. }
            | Step::Phase { .. }
            | Step::FinalChecks { .. }
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
    /// When the world was read.
    pub(super) read: Instant,
    /// What people were sent away from, and when: resolvers keep what they were told before for the time to live.
    pub(super) left: BTreeMap<InstanceName, Instant>,
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
            read: Instant::now(),
            left: BTreeMap::new(),
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

    /// Remembers that people are sent to `to` from now on, and to `from` no longer.
    pub(super) fn leaves(&mut self, from: impl IntoIterator<Item = InstanceName>, to: &[InstanceName]) {
        let now = Instant::now();
        self.left.extend(from.into_iter().map(|instance| (instance, now)));
        self.left.retain(|instance, _| !to.contains(instance));
    }

    /// Before instances are deleted or restarted that this run sent people away from: waits until no resolver holds their address
    /// any more (the profile's time to live, from that moment on). After a watch of minutes that is no wait.
    pub(super) async fn forgotten(&self, step: &Step) {
        let Some(profile) = &self.profile else { return };
        if let Some(last) = stops(step).into_iter().filter_map(|instance| self.left.get(instance)).max() {
            tokio::time::sleep_until(*last + Duration::from_secs(profile.ttl_seconds)).await;
        }
    }

    /// What is needed of the steps `undo`, which take a rollout back: a switch that was begun and certainly not made is not one to
    /// take back, and leaves nobody to wait for.
    pub(super) fn needed(&self, undo: Vec<Step>) -> Vec<Step> {
        let is_there = |step: &Step| {
            let Some(profile) = self.profile.as_ref().filter(|_| self.certainty == Certainty::Sure) else { return false };
            match step {
                Step::Switch { to, .. } => traffic::is_sent_to_alone(profile, to),
                Step::Shift { to, .. } => shares::are_set(profile, to),
                _ => false,
            }
        };
        if !undo.iter().any(is_there) {
            return undo;
        }
        undo.into_iter()
            .filter(|step| !matches!(step, Step::Switch { .. } | Step::Shift { .. } | Step::Drain { .. } | Step::DrainInstances { .. }))
            .collect()
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

/// The instances that a step deletes or restarts.
fn stops(step: &Step) -> Vec<&InstanceName> {
    match step {
        Step::DeleteInstance { instance, .. } | Step::UpdateInstance { instance, .. } => vec![instance],
        Step::Together { lanes } => lanes.iter().flatten().flat_map(stops).collect(),
        _ => Vec::new(),
    }
}
