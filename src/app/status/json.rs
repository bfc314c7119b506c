//! What was found, for programs.

use serde_json::{Value, json};

use super::found::{Found, Part};
use crate::{
    domain::{Share, Slot},
    observe::{Endpoint, Instance},
};

/// One environment.
pub(super) fn value(found: &Found<'_>) -> Value {
    let environment = found.environment;
    let instance = |instance: &Instance| {
        let part = found.part(instance.name.as_str());
        json!({
            "name": instance.name, "provisioning": instance.provisioning, "state": instance.state, "ip": instance.ip,
            "fqdn": instance.fqdn, "container": instance.container, "tags": instance.tags, "slot": part.and_then(slot),
            "part": part.map(Part::word), "share": found.share(instance),
            "standing": found.standing(instance).map(|standing| standing.word()),
        })
    };
    let endpoint = |(endpoint, share): (&Endpoint, Share)| {
        let part = found.part(&endpoint.name);
        json!({
            "name": endpoint.name, "slot": part.and_then(slot), "part": part.map(Part::word), "target": endpoint.target,
            "state": endpoint.state, "weight": endpoint.weight, "share": share, "monitor": endpoint.monitor,
        })
    };
    let profile = found.observed.profile.as_ref().map(|profile| {
        json!({
            "name": profile.name, "fqdn": profile.fqdn, "status": profile.status, "ttl_seconds": profile.ttl_seconds,
            "endpoints": found.shares().into_iter().map(endpoint).collect::<Vec<_>>(), "tags": profile.tags,
        })
    });
    let live: Vec<String> = found
        .shares()
        .into_iter()
        .filter(|(_, share)| *share != Share::ZERO)
        .filter_map(|(endpoint, _)| match found.part(&endpoint.name)? {
            Part::Slot(slot) => Some(slot.as_str().to_owned()),
            Part::Stable | Part::Standby | Part::Canary | Part::Old => Some(endpoint.name.clone()),
        })
        .collect();
    json!({
        "environment": environment.name, "strategy": environment.strategy, "left": found.left,
        "instances": found.observed.instances.iter().map(instance).collect::<Vec<_>>(), "profile": profile, "live": live,
        "lock": found.lock.json(),
    })
}

const fn slot(part: Part) -> Option<Slot> {
    match part {
        Part::Slot(slot) => Some(slot),
        Part::Stable | Part::Standby | Part::Canary | Part::Old => None,
    }
}
