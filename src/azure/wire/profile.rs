//! Azure's answers about Traffic Manager profiles, read tolerantly. Nothing is decided here.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::{TAG, or_default};
use crate::{
    azure::error::printable,
    domain::Weight,
    observe::{Endpoint, EndpointState, Monitor, MonitorStatus, Probing, Profile, ProfileTags, RoutingMethod},
};

tolerant! {
    Whole { name: String, tags: BTreeMap<String, String>, properties: Properties }
    Properties {
        profile_status: String, traffic_routing_method: String, dns_config: Dns, monitor_config: MonitorConfig, endpoints: Vec<Part>,
    }
    Dns { fqdn: Option<String>, ttl: Option<u64> }
    MonitorConfig { protocol: String, port: Option<u16>, path: Option<String>, interval_in_seconds: Option<u64>, profile_monitor_status: String }
    Part { name: String, r#type: String, properties: PartProperties }
    PartProperties { target: String, endpoint_status: String, weight: Option<u16>, endpoint_monitor_status: String, always_serve: String }
}

/// Seconds between two probes where none are named (Microsoft: Traffic Manager endpoint monitoring, "Probing interval").
const INTERVAL: u64 = 30;

/// A profile from the body of a GET or a PUT, or why it is none.
pub(in crate::azure) fn profile(body: &Value) -> Result<Profile, String> {
    let whole = Whole::deserialize(body).map_err(|error| error.to_string())?;
    let Properties { profile_status, traffic_routing_method, dns_config, monitor_config, endpoints } = whole.properties;
    Ok(Profile {
        name: printable(&whole.name),
        state: state("profileStatus", &profile_status)?,
        routing: routing(&traffic_routing_method),
        fqdn: dns_config.fqdn.filter(|fqdn| !fqdn.is_empty()),
        // How long a switch takes to reach people hangs on it, so it is never guessed.
        ttl_seconds: dns_config.ttl.ok_or("it has no dnsConfig.ttl")?,
        monitor: Monitor {
            protocol: monitor_config.protocol.to_ascii_uppercase(),
            port: monitor_config.port,
            path: monitor_config.path,
            interval_seconds: monitor_config.interval_in_seconds.unwrap_or(INTERVAL),
        },
        status: monitor_status(&monitor_config.profile_monitor_status),
        endpoints: endpoints.into_iter().map(endpoint).collect::<Result<_, _>>()?,
        tags: tags(whole.tags),
        document: body.clone(),
    })
}

fn endpoint(part: Part) -> Result<Endpoint, String> {
    let Part { name, r#type, properties } = part;
    let name = printable(&name);
    let weight = match properties.weight {
        Some(number) => Weight::try_from(number).map_err(|error| format!("the weight of endpoint {name}: {error}"))?,
        // Microsoft: "If omitted, Traffic Manager uses a default weight of '1'" (routing methods, weighted).
        None => Weight::ONE,
    };
    Ok(Endpoint {
        kind: printable(r#type.rsplit('/').next().unwrap_or_default()),
        target: printable(&properties.target),
        state: state(&format!("endpointStatus of {name}"), &properties.endpoint_status)?,
        weight,
        monitor: monitor_status(&properties.endpoint_monitor_status),
        probing: if properties.always_serve.eq_ignore_ascii_case("enabled") { Probing::AlwaysServed } else { Probing::Probed },
        name,
    })
}

/// Azure creates what names no status switched on. A word that is not known is an error: who gets traffic is never guessed.
fn state(what: &str, word: &str) -> Result<EndpointState, String> {
    match word.to_ascii_lowercase().as_str() {
        "enabled" | "" => Ok(EndpointState::Enabled),
        "disabled" => Ok(EndpointState::Disabled),
        _ => Err(format!("{what} is `{}`, which is neither Enabled nor Disabled", printable(word))),
    }
}

fn routing(word: &str) -> RoutingMethod {
    if word.eq_ignore_ascii_case("weighted") { RoutingMethod::Weighted } else { RoutingMethod::Other(printable(word)) }
}

fn monitor_status(word: &str) -> MonitorStatus {
    match word.to_ascii_lowercase().as_str() {
        // An endpoint is in the singular, a profile in the plural.
        "checkingendpoint" | "checkingendpoints" => MonitorStatus::CheckingEndpoint,
        "online" => MonitorStatus::Online,
        "degraded" => MonitorStatus::Degraded,
        "disabled" => MonitorStatus::Disabled,
        "inactive" => MonitorStatus::Inactive,
        "stopped" => MonitorStatus::Stopped,
        "unmonitored" => MonitorStatus::Unmonitored,
        _ => MonitorStatus::Other(printable(word)),
    }
}

/// The Action's own tags and the others. What does not parse was not written by the Action and counts as another.
fn tags(all: BTreeMap<String, String>) -> ProfileTags {
    let mut tags = ProfileTags::default();
    for (name, value) in all {
        let lower = name.to_ascii_lowercase();
        match (lower.strip_prefix(TAG), value.parse(), value.parse()) {
            (Some("rollout"), Ok(rollout), _) => tags.rollout = Some(rollout),
            (Some("taken-back"), _, Ok(at)) => tags.taken_back = Some(at),
            (Some("run"), ..) => tags.run = Some(value),
            (Some(_) | None, ..) => {
                tags.others.insert(name, value);
            }
        }
    }
    tags
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn reads_what_azure_writes() {
        // After Microsoft's example Profile-GET-WithTrafficViewEnabled.json, api-version 2022-04-01, weighted, with our tags.
        let body = json!({
            "name": "tm-staging", "type": "Microsoft.Network/trafficManagerProfiles", "location": "global",
            "id": "/subscriptions/s/resourceGroups/g/providers/Microsoft.Network/trafficManagerProfiles/tm-staging",
            "tags": {"Deploy-Action-Rollout": "staging-7-1", "deploy-action-run": "https://github.com/o/r/actions/runs/7", "Team": "shop"},
            "properties": {
                "dnsConfig": {"fqdn": "shop.trafficmanager.net", "relativeName": "shop", "ttl": 35},
                "endpoints": [
                    {"name": "blue-endpoint", "type": "Microsoft.Network/trafficManagerProfiles/externalEndpoints",
                     "properties": {"endpointMonitorStatus": "Online", "endpointStatus": "Enabled", "target": "b.example", "weight": 1000}},
                    {"name": "green-endpoint", "type": "Microsoft.network/TrafficManagerProfiles/ExternalEndpoints",
                     "properties": {"endpointMonitorStatus": "unmonitored", "endpointStatus": "DISABLED", "target": "g.example",
                                    "alwaysServe": "enabled", "weight": null}},
                ],
                "monitorConfig": {"path": "/health", "intervalInSeconds": 10, "port": 3000, "profileMonitorStatus": "CheckingEndpoints",
                                  "timeoutInSeconds": 5, "toleratedNumberOfFailures": 3, "protocol": "http"},
                "profileStatus": "Enabled", "trafficRoutingMethod": "weighted", "maxReturn": null
            }
        });
        let read = profile(&body).expect("a profile");
        assert_eq!((read.name.as_str(), read.state, read.ttl_seconds), ("tm-staging", EndpointState::Enabled, 35));
        assert_eq!((&read.routing, &read.status), (&RoutingMethod::Weighted, &MonitorStatus::CheckingEndpoint));
        assert_eq!(read.fqdn.as_deref(), Some("shop.trafficmanager.net"));
        assert_eq!((read.monitor.protocol.as_str(), read.monitor.port, read.monitor.interval_seconds), ("HTTP", Some(3000), 10));
        let [blue, green] = read.endpoints.as_slice() else { panic!("two endpoints: {:?}", read.endpoints) };
        assert_eq!((blue.kind.as_str(), blue.weight, blue.state), ("externalEndpoints", Weight::FULL, EndpointState::Enabled));
        assert_eq!((&blue.monitor, blue.probing), (&MonitorStatus::Online, Probing::Probed));
        assert_eq!((green.kind.as_str(), green.weight, green.state), ("ExternalEndpoints", Weight::ONE, EndpointState::Disabled));
        assert_eq!((&green.monitor, green.probing), (&MonitorStatus::Unmonitored, Probing::AlwaysServed));
        assert_eq!(read.tags.rollout.as_ref().map(|rollout| rollout.as_str()), Some("staging-7-1"));
        assert_eq!(read.tags.run.as_deref(), Some("https://github.com/o/r/actions/runs/7"));
        assert_eq!(read.tags.others.keys().collect::<Vec<_>>(), ["Team"]);
        assert_eq!(read.document, body);
    }

    #[test]
    fn what_decides_who_gets_traffic_is_never_guessed() {
        let with = |pointer: &str, value: Value| {
            let mut body =
                json!({"name": "p", "properties": {"dnsConfig": {"ttl": 10}, "endpoints": [{"name": "e", "properties": {"weight": 5}}]}});
            assert!(profile(&body).is_ok());
            *body.pointer_mut(pointer).expect("it is there") = value;
            profile(&body)
        };
        for (pointer, value) in [
            ("/properties/dnsConfig", json!({})),
            ("/properties/endpoints/0/properties", json!({"endpointStatus": "Paused"})),
            ("/properties/endpoints/0/properties", json!({"weight": 0})),
            ("/properties/endpoints/0/properties", json!({"weight": 1001})),
            ("/properties", json!("text")),
        ] {
            assert!(with(pointer, value.clone()).is_err(), "{pointer} {value}");
        }
        assert!(with("/properties/endpoints", json!(null)).is_ok_and(|read| read.endpoints.is_empty()));
    }

    #[test]
    fn a_tag_that_is_not_ours_stays_among_the_others() {
        let body = json!({"name": "p", "tags": {"deploy-action-rollout": "Not A Rollout"}, "properties": {"dnsConfig": {"ttl": 10}}});
        let read = profile(&body).expect("a profile");
        assert_eq!((read.tags.rollout, read.tags.others["deploy-action-rollout"].as_str()), (None, "Not A Rollout"));
    }
}
