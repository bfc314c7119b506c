//! What differs between two readings of one profile, in words: how the Action notices that a person, or another run, was at
//! it. Pure; what probes say and other people's tags are no difference.

use crate::{
    domain::RolloutId,
    observe::{Endpoint, EndpointState, Probing, Profile, RoutingMethod, same_host},
};

/// What of `before` is otherwise `now`, one phrase each, for people: "blue-endpoint was switched off". Empty when traffic
/// goes, and our tags say, what they did.
#[must_use]
pub fn differs(before: &Profile, now: &Profile) -> Vec<String> {
    let mut found = Vec::new();
    if before.state != now.state {
        found.push(format!("the profile was {}", switched(now.state)));
    }
    if before.routing != now.routing {
        let (was, is) = (routing(&before.routing), routing(&now.routing));
        found.push(format!("the routing method was changed from {was} to {is}"));
    }
    if before.ttl_seconds != now.ttl_seconds {
        found.push(format!("the DNS TTL was changed from {} s to {} s", before.ttl_seconds, now.ttl_seconds));
    }
    for was in &before.endpoints {
        match now.endpoint(&was.name) {
            Some(is) => found.extend(endpoint(was, is)),
            None => found.push(format!("endpoint {} was removed", was.name)),
        }
    }
    for is in &now.endpoints {
        if before.endpoint(&is.name).is_none() {
            let how = match is.state {
                EndpointState::Enabled => format!("switched on, weight {}", is.weight.get()),
                EndpointState::Disabled => "switched off".to_owned(),
            };
            found.push(format!("endpoint {} was added: {how}, leads to {}", is.name, is.target));
        }
    }
    if before.tags.rollout != now.tags.rollout || before.tags.run != now.tags.run {
        let rollout = now.tags.rollout.as_ref().map_or("no rollout", RolloutId::as_str);
        let run = now.tags.run.as_deref().map_or_else(String::new, |run| format!(" ({run})"));
        found.push(format!("its tags now name {rollout}{run}"));
    }
    found
}

fn endpoint(was: &Endpoint, is: &Endpoint) -> Vec<String> {
    let name = &was.name;
    let mut found = Vec::new();
    if was.state != is.state {
        found.push(format!("{name} was {}", switched(is.state)));
    }
    if was.weight != is.weight {
        found.push(format!("the weight of {name} was changed from {} to {}", was.weight.get(), is.weight.get()));
    }
    if !same_host(&was.target, &is.target) {
        found.push(format!("{name} was led from {} to {}", was.target, is.target));
    }
    if !was.kind.eq_ignore_ascii_case(&is.kind) {
        found.push(format!("{name} was made one of `{}`, before `{}`", is.kind, was.kind));
    }
    if was.probing != is.probing {
        found.push(match is.probing {
            Probing::AlwaysServed => format!("{name} was taken out of Azure's probing (alwaysServe)"),
            Probing::Probed => format!("{name} was put under Azure's probing again (alwaysServe off)"),
        });
    }
    found
}

const fn switched(state: EndpointState) -> &'static str {
    match state {
        EndpointState::Enabled => "switched on",
        EndpointState::Disabled => "switched off",
    }
}

fn routing(method: &RoutingMethod) -> &str {
    match method {
        RoutingMethod::Weighted => "Weighted",
        RoutingMethod::Other(word) => word,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::azure::wire;

    fn profile(change: impl FnOnce(&mut Value)) -> Profile {
        let endpoint = |name: &str, status: &str| {
            json!({"name": name, "type": "Microsoft.Network/trafficManagerProfiles/externalEndpoints",
                   "properties": {"endpointStatus": status, "weight": 1000, "target": format!("{name}.example"), "endpointMonitorStatus": "Online"}})
        };
        let mut body = json!({
            "name": "tm-staging", "tags": {"deploy-action-rollout": "staging-7-1", "team": "shop"},
            "properties": {
                "profileStatus": "Enabled", "trafficRoutingMethod": "Weighted", "dnsConfig": {"ttl": 10},
                "monitorConfig": {"profileMonitorStatus": "Online"}, "endpoints": [endpoint("blue", "Enabled"), endpoint("green", "Disabled")]
            }
        });
        change(&mut body);
        wire::profile(&body).expect("a profile")
    }

    #[test]
    fn what_a_person_does_is_told_in_words() {
        type Change = fn(&mut Value);
        let cases: [(Change, &[&str]); 9] = [
            (|p| p["properties"]["profileStatus"] = json!("Disabled"), &["the profile was switched off"]),
            (
                |p| p["properties"]["trafficRoutingMethod"] = json!("Priority"),
                &["the routing method was changed from Weighted to Priority"],
            ),
            (|p| p["properties"]["dnsConfig"]["ttl"] = json!(300), &["the DNS TTL was changed from 10 s to 300 s"]),
            (
                |p| {
                    p["properties"]["endpoints"][0]["properties"]["endpointStatus"] = json!("disabled");
                    p["properties"]["endpoints"][1]["properties"]["endpointStatus"] = json!("enabled");
                },
                &["blue was switched off", "green was switched on"],
            ),
            (|p| p["properties"]["endpoints"][0]["properties"]["weight"] = json!(5), &["the weight of blue was changed from 1000 to 5"]),
            (
                |p| p["properties"]["endpoints"][0]["properties"]["target"] = json!("other.example"),
                &["blue was led from blue.example to other.example"],
            ),
            (
                |p| p["properties"]["endpoints"][0]["name"] = json!("red"),
                &["endpoint blue was removed", "endpoint red was added: switched on, weight 1000, leads to blue.example"],
            ),
            (
                |p| p["properties"]["endpoints"][1]["properties"]["alwaysServe"] = json!("Enabled"),
                &["green was taken out of Azure's probing (alwaysServe)"],
            ),
            (
                |p| p["tags"] = json!({"deploy-action-rollout": "staging-8-1", "deploy-action-run": "https://r/8"}),
                &["its tags now name staging-8-1 (https://r/8)"],
            ),
        ];
        for (change, expected) in cases {
            assert_eq!(differs(&profile(|_| {}), &profile(change)), expected);
        }
    }

    #[test]
    fn what_azure_does_by_itself_is_no_difference() {
        let probed = profile(|p| {
            p["properties"]["monitorConfig"]["profileMonitorStatus"] = json!("Degraded");
            p["properties"]["endpoints"][0]["properties"]["endpointMonitorStatus"] = json!("Degraded");
            p["properties"]["endpoints"][0]["properties"]["target"] = json!("BLUE.example.");
            p["properties"]["endpoints"][0]["name"] = json!("Blue");
            p["properties"]["endpoints"].as_array_mut().expect("endpoints").reverse();
            p["tags"]["team"] = json!("another");
            p["properties"]["somethingNew"] = json!(1);
        });
        assert_eq!(differs(&profile(|_| {}), &probed), Vec::<String>::new());
    }
}
