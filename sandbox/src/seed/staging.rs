//! What runs in staging already, as an earlier run of the Action (or somebody else) left it: the slots and the profile.
//! Worlds that no run should meet are here, too, each under its name.

use std::io;

use serde_json::{Value, json};

use super::{
    Runs,
    instance::{self, Place},
    profile::{self, Endpoint, Profile, Target},
};
use crate::world::World;

const GROUP: &str = "staging-nextgen";
const PROFILE: &str = "tm-staging";
/// The DNS name of the profile, below `trafficmanager.net`.
const DNS_NAME: &str = "nextgen-staging";
/// The weight of an endpoint that another tool made; the Action's own are others.
const WEIGHT: u16 = 100;

/// A slot of staging.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Slot {
    /// `aci-staging-blue` behind `blue-endpoint`.
    Blue,
    /// `aci-staging-green` behind `green-endpoint`.
    Green,
}

impl Slot {
    /// Its instance.
    #[must_use]
    pub const fn instance(self) -> &'static str {
        match self {
            Self::Blue => "aci-staging-blue",
            Self::Green => "aci-staging-green",
        }
    }

    /// Its endpoint.
    #[must_use]
    pub const fn endpoint(self) -> &'static str {
        match self {
            Self::Blue => "blue-endpoint",
            Self::Green => "green-endpoint",
        }
    }

    /// The other one.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::Blue => Self::Green,
            Self::Green => Self::Blue,
        }
    }
}

/// Staging as it is found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Staging {
    /// What runs in the blue slot.
    pub blue: Option<Runs>,
    /// What runs in the green slot.
    pub green: Option<Runs>,
    /// The blue slot's endpoint.
    pub blue_endpoint: Endpoint,
    /// The green slot's endpoint.
    pub green_endpoint: Endpoint,
    /// `trafficRoutingMethod`.
    pub routing: String,
    /// The DNS time to live, in configured seconds.
    pub ttl: u32,
    /// What the blue endpoint targets, where it is not the blue slot's name.
    pub blue_target: Option<String>,
    /// Whether there is a profile at all.
    pub profile: Profile,
}

impl Staging {
    /// The usual world: `version` is live in `live`, the other slot is empty and its endpoint disabled.
    #[must_use]
    pub fn live(live: Slot, version: &str) -> Self {
        let nothing = Self {
            blue: None,
            green: None,
            blue_endpoint: Endpoint::Disabled,
            green_endpoint: Endpoint::Disabled,
            routing: "Weighted".to_owned(),
            ttl: 10,
            blue_target: None,
            profile: Profile::There,
        };
        match live {
            Slot::Blue => Self { blue: Some(Runs::stable(version)), blue_endpoint: Endpoint::Enabled, ..nothing },
            Slot::Green => Self { green: Some(Runs::stable(version)), green_endpoint: Endpoint::Enabled, ..nothing },
        }
    }

    /// No instance, no profile: a first ever deployment.
    #[must_use]
    pub fn empty() -> Self {
        let unused = Self { blue: None, blue_endpoint: Endpoint::Missing, ..Self::live(Slot::Blue, "") };
        Self { green_endpoint: Endpoint::Missing, profile: Profile::Missing, ..unused }
    }

    /// A profile whose endpoints are both disabled, and no instance: a first ever deployment behind a prepared profile.
    #[must_use]
    pub fn prepared() -> Self {
        Self { blue: None, blue_endpoint: Endpoint::Disabled, ..Self::live(Slot::Blue, "") }
    }

    /// Both slots run, and both take traffic.
    #[must_use]
    pub fn both_enabled(blue: &str, green: &str) -> Self {
        Self { green: Some(Runs::stable(green)), green_endpoint: Endpoint::Enabled, ..Self::live(Slot::Blue, blue) }
    }

    /// Both slots run, and neither takes traffic.
    #[must_use]
    pub fn neither_enabled(blue: &str, green: &str) -> Self {
        Self { blue_endpoint: Endpoint::Disabled, green_endpoint: Endpoint::Disabled, ..Self::both_enabled(blue, green) }
    }

    /// `version` is live in blue, and the profile has no green endpoint.
    #[must_use]
    pub fn endpoint_missing(version: &str) -> Self {
        Self { green_endpoint: Endpoint::Missing, ..Self::live(Slot::Blue, version) }
    }

    /// `version` is live in blue, and an earlier run left `stale` in green.
    #[must_use]
    pub fn stale(version: &str, stale: &str) -> Self {
        let left = Runs { role: "old".to_owned(), ..Runs::stable(stale) };
        Self { green: Some(left), ..Self::live(Slot::Blue, version) }
    }

    /// `version` runs in both slots, live in blue.
    #[must_use]
    pub fn same_version(version: &str) -> Self {
        Self::stale(version, version)
    }

    /// The profile routes by priority, not by weight.
    #[must_use]
    pub fn unweighted(version: &str) -> Self {
        Self { routing: "Priority".to_owned(), ..Self::live(Slot::Blue, version) }
    }

    /// With this DNS time to live, in configured seconds.
    #[must_use]
    pub fn with_ttl(self, ttl: u32) -> Self {
        Self { ttl, ..self }
    }

    /// The blue endpoint leads to somebody else's host.
    #[must_use]
    pub fn foreign_target(version: &str) -> Self {
        Self { blue_target: Some("shop.example.net".to_owned()), ..Self::live(Slot::Blue, version) }
    }

    /// `trafficmanagerprofiles/tm-staging` as it would be written; `location` is the instances'.
    #[must_use]
    pub fn profile_body(&self, location: &str) -> Value {
        let name = |slot: Slot| profile::host(slot.instance(), location);
        let blue_target = self.blue_target.clone().unwrap_or_else(|| name(Slot::Blue));
        let endpoints = [(Slot::Blue, self.blue_endpoint, blue_target), (Slot::Green, self.green_endpoint, name(Slot::Green))];
        let endpoints = endpoints.map(|(slot, state, target)| Target { name: slot.endpoint(), host: target, state, weight: WEIGHT });
        profile::body(&profile::Head { dns_name: DNS_NAME, ttl: self.ttl, routing: &self.routing, tags: json!({}) }, &endpoints)
    }
}

impl World {
    /// Puts staging into a state, and waits until its instances run and the monitor has found them.
    ///
    /// # Errors
    /// What Azure would refuse the profile with.
    pub async fn seed(&self, staging: &Staging) -> io::Result<()> {
        for (slot, runs) in [(Slot::Blue, &staging.blue), (Slot::Green, &staging.green)] {
            if let Some(runs) = runs {
                let digest = self.push_image(&runs.version);
                let place = Place { environment: "staging", name: slot.instance() };
                self.write_group(GROUP, slot.instance(), instance::body(self, place, runs, &digest));
            }
        }
        self.settled().await;
        match staging.profile {
            Profile::There => {
                self.write_profile(GROUP, PROFILE, &staging.profile_body(self.location())).map_err(io::Error::other)?;
                self.monitored(GROUP, PROFILE).await;
            }
            Profile::Missing => {}
        }
        Ok(())
    }

    /// The usual staging: `version` is live in the blue slot, the green one is empty.
    ///
    /// # Errors
    /// What Azure would refuse the profile with.
    pub async fn seed_staging(&self, version: &str) -> io::Result<()> {
        self.seed(&Staging::live(Slot::Blue, version)).await
    }

    /// Enables one slot's endpoint and disables the other's, in one request, as a person would.
    ///
    /// # Errors
    /// When there is no profile, or Azure would refuse it.
    pub fn switch_to(&self, live: Slot) -> io::Result<()> {
        let mut profile = self.profile(GROUP, PROFILE).ok_or_else(|| io::Error::other("there is no profile tm-staging"))?;
        for endpoint in profile["properties"]["endpoints"].as_array_mut().into_iter().flatten() {
            let state = if endpoint["name"] == live.endpoint() { Endpoint::Enabled } else { Endpoint::Disabled };
            endpoint["properties"]["endpointStatus"] = json!(state.word());
        }
        self.write_profile(GROUP, PROFILE, &profile).map(|_| ()).map_err(io::Error::other)
    }
}
