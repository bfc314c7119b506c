//! What was found of an environment, and what that means: which part each instance plays, its share of people, and what is to be
//! thought of its version. Plain data and pure functions.

use jiff::Timestamp;

use super::Lock;
use crate::{
    config::Environment,
    domain::{Role, Share, Slot, Version, shares},
    observe::{Endpoint, EndpointState, Instance, Observed},
    plan::{blue_green, canary},
};

/// What was found of one environment.
pub(super) struct Found<'a> {
    pub(super) environment: &'a Environment,
    pub(super) observed: Observed,
    /// What an earlier run left, in words.
    pub(super) left: Option<&'static str>,
    pub(super) lock: Lock,
}

/// The part that an instance plays, or an endpoint for it, by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// One of the two slots.
    Slot(Slot),
    /// One of the stable instances that take traffic.
    Stable,
    /// One of the stable instances that stand by.
    Standby,
    /// That of a version that is being tried.
    Canary,
    /// That of the version that a rollback brings back.
    Old,
}

impl Part {
    /// In a word, as in an instance's tag `deploy-action-role`.
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Slot(slot) => slot.as_str(),
            Self::Stable => Role::Stable.as_str(),
            Self::Standby => Role::Standby.as_str(),
            Self::Canary => Role::Canary.as_str(),
            Self::Old => Role::Old.as_str(),
        }
    }
}

/// What is to be thought of the version of an instance.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Standing<'a> {
    /// It has passed everything, since then; or somebody else made it.
    Trusted(Option<Timestamp>),
    /// It has still to prove itself.
    Unproven,
    /// It has passed every phase of its canary, and was not watched to the end.
    Promoted(Timestamp),
    /// People are being taken back to it from this version.
    ComingBack(&'a Version),
    /// A person must decide.
    Held(&'a str),
}

impl Standing<'_> {
    /// In a word, for programs.
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Trusted(_) => "stable",
            Self::Unproven => "unproven",
            Self::Promoted(_) => "promoted",
            Self::ComingBack(_) => "coming-back",
            Self::Held(_) => "held",
        }
    }

    /// In words, for people.
    pub(super) fn words(self) -> String {
        match self {
            Self::Trusted(None) => "trusted".into(),
            Self::Trusted(Some(since)) => format!("stable since {since}"),
            Self::Unproven => "has not proved itself yet".into(),
            Self::Promoted(at) => format!("passed every phase at {at}, and was not watched to the end yet"),
            Self::ComingBack(from) => format!("being brought back: people are taken back to it from {from}"),
            Self::Held(why) => format!("held, a person must decide (promote or rollback): {why}"),
        }
    }
}

impl Found<'_> {
    /// The part that is played under `name`, an instance's or an endpoint's; `None` where the environment knows none.
    pub(super) fn part(&self, name: &str) -> Option<Part> {
        if let Some(blue_green) = &self.environment.blue_green {
            let is_it = |slot: &Slot| {
                let side = blue_green.slot(*slot);
                side.instance.as_str() == name || side.endpoint.eq_ignore_ascii_case(name)
            };
            return Slot::BOTH.into_iter().find(is_it).map(Part::Slot);
        }
        let strategy = self.environment.canary.as_ref()?;
        let is_it = |instance: &crate::domain::InstanceName| instance.as_str().eq_ignore_ascii_case(name);
        match strategy.stable.iter().position(is_it) {
            Some(index) if index < strategy.active => Some(Part::Stable),
            Some(_) => Some(Part::Standby),
            None if is_it(&strategy.canary) => Some(Part::Canary),
            None => is_it(&strategy.old).then_some(Part::Old),
        }
    }

    /// What is to be thought of the version of `instance`; `None` where it plays no part.
    pub(super) fn standing<'a>(&self, instance: &'a Instance) -> Option<Standing<'a>> {
        let tags = &instance.tags;
        let is_unproven = match self.part(instance.name.as_str())? {
            Part::Slot(_) => blue_green::is_unproven(instance),
            Part::Stable | Part::Standby | Part::Canary | Part::Old => tags.version.is_some() && tags.stable_since.is_none(),
        };
        Some(match (is_unproven, &tags.held, &tags.rolled_back_from, tags.promoted) {
            (false, ..) => Standing::Trusted(tags.stable_since),
            (true, Some(why), ..) => Standing::Held(why),
            (true, None, Some(from), _) => Standing::ComingBack(from),
            (true, None, None, Some(at)) => Standing::Promoted(at),
            (true, None, None, None) => Standing::Unproven,
        })
    }

    /// Every endpoint with the share of people that it is meant to get.
    pub(super) fn shares(&self) -> Vec<(&Endpoint, Share)> {
        let endpoints = self.observed.profile.as_ref().map_or(&[][..], |profile| &profile.endpoints);
        let weights: Vec<_> = endpoints
            .iter()
            .map(|endpoint| match endpoint.state {
                EndpointState::Enabled => Some(endpoint.weight),
                EndpointState::Disabled => None,
            })
            .collect();
        endpoints.iter().zip(shares(&weights)).collect()
    }

    /// The share of people that `instance` is meant to get; `None` where no endpoint is its.
    pub(super) fn share(&self, instance: &Instance) -> Option<Share> {
        let part = self.part(instance.name.as_str())?;
        let is_its = |endpoint: &Endpoint| match part {
            Part::Slot(_) => self.part(&endpoint.name) == Some(part),
            Part::Stable | Part::Standby | Part::Canary | Part::Old => endpoint.name.eq_ignore_ascii_case(instance.name.as_str()),
        };
        self.shares().into_iter().find(|(endpoint, _)| is_its(endpoint)).map(|(_, share)| share)
    }

    /// The version that people were taken back from to that of `instance`, where that has ended.
    pub(super) fn taken_back<'a>(&self, instance: &'a Instance) -> Option<&'a Version> {
        let tags = &instance.tags;
        tags.rolled_back_from.as_ref().filter(|_| tags.stable_since.is_some())
    }
}

/// What an earlier run left of an environment with a canary; `None` where it left nothing.
pub(super) fn left(world: &canary::World<'_>) -> Option<&'static str> {
    match canary::left(world) {
        canary::Left::Nothing => None,
        canary::Left::HalfWay(_) => Some("half-way: a version that has not passed its phases"),
        canary::Left::GoingBack(_) | canary::Left::Returned => Some("half-way: a rollback that has not come to its end"),
        canary::Left::Promoted(_) => {
            Some("half-way: a version that has passed its phases, and has not taken the place of the stable instances")
        }
        canary::Left::Unproven => {
            Some("a version runs everywhere that was not watched to the end: run its workflow again, or promote, or rollback")
        }
    }
}
