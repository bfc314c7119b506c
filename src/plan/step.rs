//! The steps that plans are made of, as data. What a step does stands in `execute`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    config::{FinalCheck, Rule},
    domain::{InstanceName, Share, Slot},
};

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
    /// Delete the container group.
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
    /// Take over the container group that an interrupted run made: it runs what is asked for and has not passed its gates.
    ContinueInstance {
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
        /// Where.
        target: SmokeTarget,
        /// The paths.
        paths: Vec<String>,
    },
    /// Make the Traffic Manager profile, sending everyone to one endpoint.
    CreateProfile {
        /// Its name.
        profile: String,
        /// The name that people's DNS asks for.
        dns_name: InstanceName,
        /// Where everyone goes.
        to: Side,
    },
    /// Send everyone to one endpoint, in one request (invariant 3).
    Switch {
        /// The profile.
        profile: String,
        /// Where everyone goes from now on.
        to: Side,
        /// Where everyone went; `None`: nowhere.
        from: Option<Side>,
        /// Where everyone goes again when a later step fails; `None`: there is nowhere to go back to.
        back_to: Option<Side>,
    },
    /// Wait until requests really arrive where they were sent, without errors.
    VerifyTraffic {
        /// Where they must arrive.
        to: Side,
        /// Where they came from.
        from: Option<Side>,
    },
    /// Wait until hardly any request arrives at what was switched away from: resolvers keep an answer for the time to live.
    Drain {
        /// What nobody is sent to any more.
        from: Side,
    },
    /// Watch the new version under rules.
    Observe {
        /// What is watched.
        on: Side,
        /// What stands by, running, to go back to.
        beside: Option<Side>,
        /// How long, in seconds.
        for_seconds: f64,
        /// Seconds from tick to tick.
        every_seconds: f64,
        /// The rules.
        rules: Vec<Rule>,
    },
    /// Give each instance its share of people, in one request (invariant 3).
    Shift {
        /// The profile.
        profile: String,
        /// Each instance's share from now on; whatever else is on goes off.
        to: Vec<Slice>,
        /// The shares again when a later step fails; `None`: there is nowhere to go back to.
        back_to: Option<Vec<Slice>>,
        /// What nobody may be left at once they went back: it is deleted then.
        leaving: Option<InstanceName>,
    },
    /// Wait until the shares that people really have are those that were set.
    VerifyShares {
        /// The shares.
        to: Vec<Slice>,
        /// The instance that is tried: its share is what counts.
        subject: InstanceName,
    },
    /// Wait until hardly any request arrives at instances that nobody is sent to any more.
    DrainInstances {
        /// Which.
        instances: Vec<InstanceName>,
    },
    /// Read the rules once on what is trusted: one that is red already, or has no numbers, could not judge anything.
    CheckBaseline {
        /// The stable instances that serve.
        on: Vec<InstanceName>,
        /// The rules.
        rules: Vec<Rule>,
    },
    /// Hold a share for a time under rules.
    Phase {
        /// The instances of the version that is judged.
        on: Vec<InstanceName>,
        /// The instances that it is compared with.
        beside: Vec<InstanceName>,
        /// The share it has.
        share: Share,
        /// How long, in seconds.
        for_seconds: f64,
        /// Seconds from tick to tick.
        every_seconds: f64,
        /// The phase's own rules.
        rules: Vec<Rule>,
        /// The rules of every phase: a breach takes the version to 0% at once.
        abort: Vec<Rule>,
        /// Where a breach of the phase's own rules steps back to, where that is not 0%.
        step_back: Option<Box<StepBack>>,
    },
    /// Ask for numbers that must be right once everyone is on the new version.
    FinalChecks {
        /// The instances that serve everyone: `$instances` of a query.
        on: Vec<InstanceName>,
        /// The checks.
        checks: Vec<FinalCheck>,
    },
    /// Write on the instance that its version has passed every phase: from here on the way is forward.
    MarkPromoted {
        /// Which.
        instance: InstanceName,
    },
    /// Steps that do not depend on each other, at the same time.
    Together {
        /// Each a list of steps, one after the other.
        lanes: Vec<Vec<Step>>,
    },
    /// Write on the instance that its version has passed everything, and when.
    MarkStable {
        /// Which.
        instance: InstanceName,
    },
}

/// A slot, its instance, and the endpoint that sends people to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Side {
    /// The slot.
    pub slot: Slot,
    /// The instance.
    pub instance: InstanceName,
    /// The endpoint's name.
    pub endpoint: String,
}

/// An instance's share of people. Its endpoint has the instance's name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Slice {
    /// The instance.
    pub instance: InstanceName,
    /// Its share.
    pub share: Share,
}

/// A smaller share that a version is taken back to, held there and watched.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StepBack {
    /// The profile.
    pub profile: String,
    /// The shares.
    pub to: Vec<Slice>,
    /// The version's share.
    pub share: Share,
    /// How long it is watched there, in seconds.
    pub for_seconds: f64,
    /// The rules of that share.
    pub rules: Vec<Rule>,
}

/// Where smoke tests go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SmokeTarget {
    /// An address, without the path.
    Url(String),
    /// An instance's own address.
    Instance(InstanceName),
}

impl Step {
    /// What takes this step back. Nothing where it changed nothing, or where taking it back would be another rollout.
    pub(super) fn undo(&self) -> Vec<Self> {
        match self {
            Self::CreateInstance { instance } | Self::UpdateInstance { instance, .. } | Self::ContinueInstance { instance } => {
                vec![Self::DeleteInstance { instance: instance.clone(), why: "its version did not pass".into() }]
            }
            Self::Switch { profile, to, back_to: Some(back), .. } => vec![
                Self::Switch { profile: profile.clone(), to: back.clone(), from: Some(to.clone()), back_to: None },
                // Resolvers send people there for as long as the profile's time to live says.
                Self::Drain { from: to.clone() },
            ],
            Self::Shift { profile, back_to: Some(back), leaving, .. } => {
                let back = Self::Shift { profile: profile.clone(), to: back.clone(), back_to: None, leaving: None };
                let drain = leaving.iter().map(|instance| Self::DrainInstances { instances: vec![instance.clone()] });
                std::iter::once(back).chain(drain).collect()
            }
            Self::Together { lanes } => lanes.iter().flatten().rev().flat_map(Self::undo).collect(),
            Self::Shift { back_to: None, .. }
            | Self::VerifyShares { .. }
            | Self::DrainInstances { .. }
            | Self::CheckBaseline { .. }
            | Self::Phase { .. }
            | Self::FinalChecks { .. }
            | Self::MarkPromoted { .. }
            | Self::Switch { back_to: None, .. }
            | Self::CreateProfile { .. }
            | Self::DeleteInstance { .. }
            | Self::KeepInstance { .. }
            | Self::AwaitHealth { .. }
            | Self::Smoke { .. }
            | Self::VerifyTraffic { .. }
            | Self::Drain { .. }
            | Self::Observe { .. }
            | Self::MarkStable { .. } => Vec::new(),
        }
    }

    /// Whether it changes the world.
    #[must_use]
    pub const fn is_change(&self) -> bool {
        match self {
            Self::CreateInstance { .. }
            | Self::UpdateInstance { .. }
            | Self::DeleteInstance { .. }
            | Self::CreateProfile { .. }
            | Self::Switch { .. }
            | Self::Shift { .. }
            | Self::MarkPromoted { .. }
            | Self::MarkStable { .. } => true,
            Self::Together { .. } => true,
            Self::KeepInstance { .. }
            | Self::ContinueInstance { .. }
            | Self::AwaitHealth { .. }
            | Self::Smoke { .. }
            | Self::VerifyTraffic { .. }
            | Self::Drain { .. }
            | Self::VerifyShares { .. }
            | Self::DrainInstances { .. }
            | Self::CheckBaseline { .. }
            | Self::Phase { .. }
            | Self::FinalChecks { .. }
            | Self::Observe { .. } => false,
        }
    }
}

impl std::fmt::Display for Step {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::CreateInstance { instance } => write!(f, "Create {instance}"),
            Self::UpdateInstance { instance, .. } => write!(f, "Update {instance}"),
            Self::DeleteInstance { instance, .. } => write!(f, "Delete {instance}"),
            Self::KeepInstance { instance } => write!(f, "Keep {instance} as it is"),
            Self::ContinueInstance { instance } => write!(f, "Go on with {instance}, which an earlier run began"),
            Self::AwaitHealth { instance, path, .. } => write!(f, "Health of {instance}: GET {path}"),
            Self::Smoke { target: SmokeTarget::Url(url), .. } => write!(f, "Smoke tests on {url}"),
            Self::Smoke { target: SmokeTarget::Instance(instance), .. } => write!(f, "Smoke tests on {instance} itself"),
            Self::CreateProfile { profile, to, .. } => write!(f, "Create {profile}: 100% to {} ({})", to.slot, to.instance),
            Self::Switch { profile, to, .. } => write!(f, "Switch {profile}: 100% to {} ({})", to.slot, to.instance),
            Self::VerifyTraffic { to, .. } => write!(f, "Verify that requests arrive at {}", to.instance),
            Self::Drain { from, .. } => write!(f, "Wait until {} is drained", from.instance),
            Self::Observe { on, for_seconds, .. } => write!(f, "Watch {} for {}", on.instance, span(*for_seconds)),
            Self::Shift { profile, to, .. } => write!(f, "Share {profile}: {}", shares(to)),
            Self::VerifyShares { subject, .. } => write!(f, "Verify the share that arrives at {subject}"),
            Self::DrainInstances { instances } => {
                let verb = if instances.len() == 1 { "is" } else { "are" };
                write!(f, "Wait until {} {verb} drained", names(instances))
            }
            Self::CheckBaseline { on, .. } => write!(f, "Read the rules once on {}", names(on)),
            Self::Phase { on, share, for_seconds, .. } => write!(f, "Watch {} at {share} for {}", names(on), span(*for_seconds)),
            Self::FinalChecks { checks, .. } => {
                write!(f, "Final checks: {}", checks.iter().map(|check| check.name.as_str()).collect::<Vec<_>>().join(", "))
            }
            Self::MarkPromoted { instance } => write!(f, "Mark {instance} promoted"),
            Self::Together { lanes } => {
                write!(f, "At the same time: {}", lanes.first().map_or_else(String::new, |lane| in_order(lane)))?;
                match lanes.len() {
                    0 | 1 => Ok(()),
                    count => write!(f, "; and {} more", count - 1),
                }
            }
            Self::MarkStable { instance } => write!(f, "Mark {instance} stable"),
        }
    }
}

/// "95% over prod-stable-1, prod-stable-2; 5% to prod-canary-1", the largest first.
fn shares(slices: &[Slice]) -> String {
    let mut by_share: Vec<(Share, Vec<&str>)> = Vec::new();
    for slice in slices.iter().filter(|slice| slice.share > Share::ZERO) {
        match by_share.iter_mut().find(|(share, _)| *share == slice.share) {
            Some((_, instances)) => instances.push(slice.instance.as_str()),
            None => by_share.push((slice.share, vec![slice.instance.as_str()])),
        }
    }
    by_share.sort_by_key(|(share, _)| std::cmp::Reverse(*share));
    let parts: Vec<String> = by_share
        .iter()
        .map(|(share, instances)| {
            if instances.len() == 1 { format!("{share} to {}", instances[0]) } else { format!("{share} each to {}", instances.join(", ")) }
        })
        .collect();
    parts.join("; ")
}

/// Steps one after the other: "Update prod-stable-1, then Health of prod-stable-1: GET /health".
#[must_use]
pub fn in_order(lane: &[Step]) -> String {
    lane.iter().map(ToString::to_string).collect::<Vec<_>>().join(", then ")
}

fn names(instances: &[InstanceName]) -> String {
    instances.iter().map(InstanceName::as_str).collect::<Vec<_>>().join(", ")
}

/// A time as people write it.
fn span(seconds: f64) -> String {
    if seconds >= 60.0 && (seconds % 60.0).abs() < f64::EPSILON { format!("{} min", seconds / 60.0) } else { format!("{seconds} s") }
}
