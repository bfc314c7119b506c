//! How the application in an instance behaves: what a test or a fault makes of it, by version or by instance.
//! Says what shall be; `instance` does it.

use std::{collections::BTreeMap, time::Duration};

use serde::Deserialize;

/// Whom a behaviour is for. An instance's own goes before its version's.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Who {
    /// Every instance that runs this version (its tag `deploy-action-version`).
    Version(String),
    /// The instance of this name.
    Instance(String),
}

impl Who {
    /// Every instance that runs `version`.
    #[must_use]
    pub fn version(version: &str) -> Self {
        Self::Version(version.to_owned())
    }

    /// The instance `name`.
    #[must_use]
    pub fn instance(name: &str) -> Self {
        Self::Instance(name.to_ascii_lowercase())
    }
}

/// What `/health` answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Health {
    /// 200.
    Well,
    /// 503.
    Failing,
}

/// Whether an answer really takes as long as the histogram of durations says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Delay {
    /// Only the histogram says so.
    Told,
    /// Clients wait, too.
    Real,
}

/// How an application behaves. The default is a healthy one. Shares are parts of one: 0.05 is five in a hundred, spread evenly.
/// Over HTTP it is JSON with these names, hyphens for underscores; what is left out is as in the default.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case", default, deny_unknown_fields)]
pub struct Behaviour {
    /// What `/health` answers.
    pub health: Health,
    /// The share of requests (but those to `/health` and `/metrics`) that is answered with 500.
    pub error_share: f64,
    /// What a request takes; over HTTP `latency`, in milliseconds.
    #[serde(deserialize_with = "milliseconds")]
    pub latency: Duration,
    /// Whether clients wait as long.
    pub delay: Delay,
    /// `process_cpu_ratio`: part of what the container was given.
    pub cpu: f64,
    /// `process_memory_ratio`: part of what the container was given.
    pub memory: f64,
    /// The share of payments that succeeds.
    pub payments: f64,
    /// The share of cache requests that hits.
    pub cache_hits: f64,
}

impl Default for Behaviour {
    fn default() -> Self {
        Self {
            health: Health::Well,
            error_share: 0.0,
            latency: Duration::from_millis(30),
            delay: Delay::Told,
            cpu: 0.25,
            memory: 0.4,
            payments: 1.0,
            cache_hits: 0.95,
        }
    }
}

impl Behaviour {
    /// With this share of errors.
    #[must_use]
    pub fn erring(self, error_share: f64) -> Self {
        Self { error_share, ..self }
    }

    /// With this latency, told and not waited for.
    #[must_use]
    pub fn taking(self, latency: Duration) -> Self {
        Self { latency, ..self }
    }

    /// With this answer of `/health`.
    #[must_use]
    pub fn with_health(self, health: Health) -> Self {
        Self { health, ..self }
    }
}

fn milliseconds<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    u64::deserialize(deserializer).map(Duration::from_millis)
}

/// Who behaves how.
#[derive(Debug, Default)]
pub(crate) struct Behaviours(BTreeMap<Who, Behaviour>);

impl Behaviours {
    pub(crate) fn set(&mut self, who: Who, behaviour: Behaviour) {
        self.0.insert(who, behaviour);
    }

    pub(crate) fn of(&self, instance: &str, version: &str) -> Behaviour {
        let own = self.0.get(&Who::instance(instance)).or_else(|| self.0.get(&Who::version(version)));
        own.copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instances_own_behaviour_goes_before_its_versions() {
        let mut all = Behaviours::default();
        all.set(Who::version("v2"), Behaviour::default().erring(0.1));
        all.set(Who::instance("ACI-green"), Behaviour::default().erring(0.2));
        let shares = [("aci-green", "v2"), ("aci-blue", "v2"), ("aci-blue", "v1")].map(|(name, version)| all.of(name, version).error_share);
        assert_eq!(shares, [0.2, 0.1, 0.0]);
    }

    #[test]
    fn what_is_left_out_over_http_is_healthy() {
        let read: Behaviour = serde_json::from_str(r#"{"error-share": 0.5, "latency": 400, "health": "failing"}"#).unwrap();
        assert_eq!(read, Behaviour::default().erring(0.5).taking(Duration::from_millis(400)).with_health(Health::Failing));
        assert!(serde_json::from_str::<Behaviour>(r#"{"errors": 1}"#).is_err());
    }
}
