//! A Traffic Manager profile as Azure shows it, and what of it differs between two readings. Plain data.

use std::collections::BTreeMap;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::domain::{RolloutId, Weight};

/// A Traffic Manager profile.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Profile {
    /// Its name.
    pub name: String,
    /// Whether it answers at all (`profileStatus`).
    pub state: EndpointState,
    /// How it chooses.
    pub routing: RoutingMethod,
    /// The name that people's DNS asks for (`dnsConfig.fqdn`), e.g. `tm-staging.trafficmanager.net`.
    pub fqdn: Option<String>,
    /// How long, in seconds, resolvers keep an answer (`dnsConfig.ttl`).
    pub ttl_seconds: u64,
    /// How Azure probes the endpoints.
    pub monitor: Monitor,
    /// What Azure's probes say of the profile as a whole.
    pub status: MonitorStatus,
    /// The endpoints, in the profile's order.
    pub endpoints: Vec<Endpoint>,
    /// The Action's tags on it.
    pub tags: ProfileTags,
    /// The whole document as it was read: a PUT sends all of it back, changed only where the Action means to change it.
    pub document: serde_json::Value,
}

/// Whether an endpoint, or a profile, is switched on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum EndpointState {
    /// It gets traffic.
    Enabled,
    /// It gets none, and is not probed.
    Disabled,
}

/// `trafficRoutingMethod`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RoutingMethod {
    /// By weights: the only one that shares can be set with.
    Weighted,
    /// Another, by Azure's word ("Priority", "Performance", …).
    Other(String),
}

/// How Azure probes the endpoints.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Monitor {
    /// HTTP, HTTPS or TCP.
    pub protocol: String,
    /// The port.
    pub port: Option<u16>,
    /// The path, for HTTP and HTTPS.
    pub path: Option<String>,
    /// Seconds between two probes: 30 or 10.
    pub interval_seconds: u64,
}

/// `endpointMonitorStatus` and `profileMonitorStatus`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum MonitorStatus {
    /// Not probed yet; it does get traffic.
    CheckingEndpoint,
    /// Probes succeed.
    Online,
    /// Probes fail.
    Degraded,
    /// Switched off.
    Disabled,
    /// The profile is switched off, or has no endpoint that is on.
    Inactive,
    /// Its target is stopped.
    Stopped,
    /// `alwaysServe`: it is not probed.
    Unmonitored,
    /// A word that is not known here.
    Other(String),
}

impl std::fmt::Display for MonitorStatus {
    /// Azure's word.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::CheckingEndpoint => "CheckingEndpoint",
            Self::Online => "Online",
            Self::Degraded => "Degraded",
            Self::Disabled => "Disabled",
            Self::Inactive => "Inactive",
            Self::Stopped => "Stopped",
            Self::Unmonitored => "Unmonitored",
            Self::Other(word) => word,
        })
    }
}

/// One endpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Endpoint {
    /// Its name.
    pub name: String,
    /// Its kind by Azure's word: "externalEndpoints", "azureEndpoints", "nestedEndpoints".
    pub kind: String,
    /// The host it sends people to.
    pub target: String,
    /// Whether it is switched on.
    pub state: EndpointState,
    /// Its weight; Azure's default is 1.
    pub weight: Weight,
    /// What Azure's probes say.
    pub monitor: MonitorStatus,
    /// Whether Azure probes it at all (`alwaysServe`).
    pub probing: Probing,
}

/// Whether Azure probes an endpoint (`alwaysServe`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Probing {
    /// It is probed, and gets no traffic while its probes fail.
    Probed,
    /// It is not probed: it gets traffic whether it serves or not.
    AlwaysServed,
}

impl Endpoint {
    /// Whether it sends people to a host outside of Azure's own resources. A container group is always such a one: Traffic
    /// Manager's Azure endpoints are App Services and public IP addresses (Microsoft: Traffic Manager endpoint types).
    #[must_use]
    pub fn is_external(&self) -> bool {
        self.kind.eq_ignore_ascii_case("externalEndpoints")
    }
}

/// The Action's tags on a profile (DESIGN "The world is the journal").
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct ProfileTags {
    /// `deploy-action-rollout`: the rollout that changed the shares last.
    pub rollout: Option<RolloutId>,
    /// `deploy-action-run`: link to its workflow run.
    pub run: Option<String>,
    /// `deploy-action-taken-back`: when its last change took people back from a version, where it did.
    #[schemars(with = "Option<String>")]
    pub taken_back: Option<Timestamp>,
    /// Everything else that is tagged.
    pub others: BTreeMap<String, String>,
}

impl Profile {
    /// The endpoint called `name`, without regard to case, as Azure compares names.
    #[must_use]
    pub fn endpoint(&self, name: &str) -> Option<&Endpoint> {
        self.endpoints.iter().find(|endpoint| endpoint.name.eq_ignore_ascii_case(name))
    }

    /// The endpoints that get traffic.
    pub fn enabled(&self) -> impl Iterator<Item = &Endpoint> {
        self.endpoints.iter().filter(|endpoint| endpoint.state == EndpointState::Enabled)
    }
}

/// A Traffic Manager endpoint's target and an instance's address name the same host.
#[must_use]
pub fn same_host(target: &str, fqdn: &str) -> bool {
    target.trim_end_matches('.').eq_ignore_ascii_case(fqdn.trim_end_matches('.'))
}
