//! A seeded instance: what runs in it, and the container group that the Action wrote for it. Writes nothing itself.

use serde_json::{Value, json};

use crate::{
    shared::{REGISTRY_USER, REPOSITORY, SHA_BEFORE},
    world::World,
};

/// The run that deployed what is seeded as stable, in its first attempt.
pub(super) const EARLIER_RUN: &str = "7300000001";
/// When that became stable.
const SINCE: &str = "2026-11-23T10:00:00Z";

/// What runs in an instance, as its tags tell it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Runs {
    /// Its version; the image is in the registry.
    pub version: String,
    /// Its commit.
    pub sha: String,
    /// The tag `deploy-action-role`.
    pub role: String,
    /// The workflow run that deployed it.
    pub run: String,
    /// The tag `deploy-action-stable-since`.
    pub stable_since: Option<String>,
    /// The tag `deploy-action-previous`.
    pub previous: Option<String>,
}

impl Runs {
    /// The stable instance of `version`.
    #[must_use]
    pub fn stable(version: &str) -> Self {
        Self {
            version: version.to_owned(),
            sha: SHA_BEFORE.to_owned(),
            role: "stable".to_owned(),
            run: EARLIER_RUN.to_owned(),
            stable_since: Some(SINCE.to_owned()),
            previous: None,
        }
    }

    /// The rollout that deployed it to `environment`.
    pub(super) fn rollout(&self, environment: &str) -> String {
        format!("{environment}-{}-1", self.run)
    }

    /// Link to the workflow run that deployed it.
    pub(super) fn run_url(&self) -> String {
        format!("https://github.com/{REPOSITORY}/actions/runs/{}", self.run)
    }
}

/// Where an instance is.
#[derive(Clone, Copy)]
pub(super) struct Place<'a> {
    pub(super) environment: &'a str,
    pub(super) name: &'a str,
}

/// A container group as the Action writes it for [`World::config`].
pub(super) fn body(world: &World, place: Place<'_>, runs: &Runs, digest: &str) -> Value {
    let registry = &world.urls().registry;
    let Place { environment, name } = place;
    let port = json!([{"port": 3000, "protocol": "TCP"}]);
    let mut tags = json!({
        "deploy-action-digest": digest, "deploy-action-role": runs.role, "deploy-action-rollout": runs.rollout(environment),
        "deploy-action-run": runs.run_url(), "deploy-action-sha": runs.sha, "deploy-action-version": runs.version,
    });
    for (tag, value) in [("deploy-action-stable-since", &runs.stable_since), ("deploy-action-previous", &runs.previous)] {
        if let Some(value) = value {
            tags[tag] = json!(value);
        }
    }
    json!({
        "location": world.location(), "tags": tags,
        "properties": {
            "osType": "Linux", "restartPolicy": "Always",
            "containers": [{"name": name, "properties": {
                "image": format!("{registry}/{REPOSITORY}@{digest}"),
                "resources": {"requests": {"cpu": 1.0, "memoryInGB": 1.0}},
                "ports": port,
                "environmentVariables": [
                    {"name": "DATABASE_NAME", "value": format!("{environment}_nextgen")},
                    {"name": "REDIS_HOST", "value": format!("redis-{environment}")},
                ],
            }}],
            "ipAddress": {"type": "Public", "ports": port, "dnsNameLabel": name},
            "imageRegistryCredentials": [
                {"server": registry, "username": REGISTRY_USER, "password": world.given("registry-password")},
            ],
        },
    })
}
