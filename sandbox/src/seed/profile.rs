//! A seeded Traffic Manager profile: the body that somebody wrote it with. Writes nothing itself.

use serde_json::{Value, json};

/// Whether an endpoint takes traffic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Endpoint {
    /// `Enabled`.
    Enabled,
    /// `Disabled`.
    Disabled,
    /// There is none.
    Missing,
}

impl Endpoint {
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Enabled => "Enabled",
            Self::Disabled | Self::Missing => "Disabled",
        }
    }
}

/// Whether there is a profile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Profile {
    /// The one that the configuration names.
    There,
    /// None.
    Missing,
}

/// What a profile has beside its endpoints.
pub(super) struct Head<'a> {
    /// `dnsConfig.relativeName`.
    pub(super) dns_name: &'a str,
    /// The DNS time to live, in configured seconds.
    pub(super) ttl: u32,
    /// `trafficRoutingMethod`.
    pub(super) routing: &'a str,
    /// Its tags.
    pub(super) tags: Value,
}

/// An endpoint and where it leads.
pub(super) struct Target<'a> {
    pub(super) name: &'a str,
    pub(super) host: String,
    pub(super) state: Endpoint,
    pub(super) weight: u16,
}

/// The public name of an instance in `location`.
pub(super) fn host(instance: &str, location: &str) -> String {
    format!("{instance}.{location}.azurecontainer.io")
}

/// The profile as it would be written; endpoints that are missing are left out.
pub(super) fn body(head: &Head<'_>, endpoints: &[Target<'_>]) -> Value {
    let there = endpoints.iter().filter(|endpoint| match endpoint.state {
        Endpoint::Enabled | Endpoint::Disabled => true,
        Endpoint::Missing => false,
    });
    let endpoints: Vec<Value> = there
        .map(|endpoint| {
            json!({
                "name": endpoint.name, "type": "Microsoft.Network/trafficManagerProfiles/externalEndpoints",
                "properties": {"target": endpoint.host, "endpointStatus": endpoint.state.word(), "weight": endpoint.weight},
            })
        })
        .collect();
    json!({
        "location": "global", "tags": head.tags,
        "properties": {
            "profileStatus": "Enabled", "trafficRoutingMethod": head.routing,
            "dnsConfig": {"relativeName": head.dns_name, "ttl": head.ttl},
            "monitorConfig": {
                "protocol": "HTTP", "port": 3000, "path": "/health", "intervalInSeconds": 10, "timeoutInSeconds": 5,
                "toleratedNumberOfFailures": 1,
            },
            "endpoints": endpoints,
        },
    })
}
