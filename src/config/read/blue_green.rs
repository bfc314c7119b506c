//! What the blue-green strategy needs (runbook Scenario 2), names filled in. Reads a checked tree; knows nothing of Azure.

use super::{kebab, rules, strategy, text};
use crate::{
    config::{
        BlueGreen, Problem, ProfileConfig, SlotConfig,
        tree::{Node, Place},
    },
    domain::{EnvironmentName, InstanceName, Slot, Strategy},
};

/// What is configured for the slots of `name`, where its strategy is blue-green.
pub(super) fn blue_green(
    name: &EnvironmentName,
    application: &str,
    environment: &Node,
    place: Place,
) -> Result<Option<BlueGreen>, Problem> {
    match strategy(environment, name.as_str()) {
        Strategy::BlueGreen => {}
        Strategy::Direct | Strategy::Canary => return Ok(None),
    }
    let slots = environment.get("slots");
    let manager = environment.get("traffic-manager");
    let endpoints = manager.and_then(|manager| manager.get("endpoints"));
    let slot = |slot: Slot| {
        let instance =
            slots.and_then(|slots| text(slots, slot.as_str())).unwrap_or_else(|| format!("aci-{name}-{}-{slot}", kebab(application)));
        let instance: InstanceName = instance
            .parse()
            .map_err(|error| Problem::at(place, format!("slot `{slot}` has no usable default here ({error}); set `slots`")))?;
        let endpoint = endpoints.and_then(|endpoints| text(endpoints, slot.as_str())).unwrap_or_else(|| format!("{slot}-endpoint"));
        Ok(SlotConfig { instance, endpoint })
    };
    let (blue, green) = (slot(Slot::Blue)?, slot(Slot::Green)?);
    if blue.instance == green.instance {
        let place = slots.map_or(place, |slots| slots.place);
        return Err(Problem::at(place, format!("both slots are `{}`; the new version would replace the one people use", blue.instance)));
    }
    if blue.endpoint.eq_ignore_ascii_case(&green.endpoint) {
        let place = endpoints.map_or(place, |endpoints| endpoints.place);
        return Err(Problem::at(place, format!("both slots have the endpoint `{}`; Azure does not tell them apart", blue.endpoint)));
    }
    let profile = ProfileConfig {
        name: match manager.and_then(|manager| text(manager, "profile")) {
            Some(profile) => profile,
            None => default_profile(name, application, place)?,
        },
        dns_name: manager.and_then(|manager| text(manager, "dns-name")).and_then(|text| text.parse().ok()),
    };
    Ok(Some(BlueGreen { blue, green, profile, observe: rules::observe(environment.get("observe")) }))
}

pub(super) fn default_profile(name: &EnvironmentName, application: &str, place: Place) -> Result<String, Problem> {
    let profile = format!("tm-{name}-{}", kebab(application));
    // Azure's limit for a profile's name.
    if profile.len() <= 63 && !profile.ends_with('-') {
        return Ok(profile);
    }
    Err(Problem::at(place, format!("`traffic-manager.profile` has no usable default here (`{profile}` is not a profile's name); set it")))
}
