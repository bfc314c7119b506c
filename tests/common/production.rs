//! What the tests of production share: the usual world, people who use it, and what is true of it whatever happened.

use std::time::Duration;

use sandbox::{Load, Options, RunSpec, World, load::Working, seed::Production};
use serde_json::{Value, json};

/// The version that serves before.
pub const BEFORE: &str = "v0.9.5";
/// The version that the tag brings.
pub const NOW: &str = "v1.0.0";
/// The resource group.
pub const GROUP: &str = "prod-nextgen";
/// The profile.
pub const PROFILE: &str = "tm-prod";
/// The stable instances.
pub const STABLE: [&str; 3] = ["prod-stable-1", "prod-stable-2", "prod-stable-3"];
/// The canary.
#[allow(dead_code, reason = "each test binary uses its own part of this module")]
pub const CANARY: &str = "prod-canary-1";

/// A world in which resolvers really remember: for two fifths of the second that the profile says and the Action waits.
#[allow(dead_code, reason = "each test binary uses its own part of this module")]
pub async fn world() -> World {
    World::start(Options { second: Duration::from_millis(400), ..Options::quick() }).await.expect("a world on loopback")
}

/// Puts production into a state. Its endpoints are not probed by Traffic Manager, whose interval would be the longest of all waits.
#[allow(dead_code, reason = "each test binary uses its own part of this module")]
pub async fn found(world: &World, production: Production) {
    world.seed_production(&production.with_ttl(1)).await.expect("seeded");
    if let Some(mut profile) = world.profile(GROUP, PROFILE) {
        for endpoint in profile["properties"]["endpoints"].as_array_mut().expect("endpoints") {
            endpoint["properties"]["alwaysServe"] = json!("Enabled");
        }
        world.write_profile(GROUP, PROFILE, &profile).expect("written");
    }
}

/// Production as it usually is.
#[allow(dead_code, reason = "each test binary uses its own part of this module")]
pub async fn usual(world: &World) {
    found(world, Production::stable(BEFORE)).await;
}

/// The sandbox's production with a rule more at 50 %, which a slow version breaks without breaking those of every phase.
fn with_prod(mut spec: RunSpec) -> RunSpec {
    let at_50 = "stable: 1\n        rules: { error-rate: { max: 0.2% }";
    assert!(spec.config.contains(at_50), "{}", spec.config);
    spec.config = spec.config.replace(at_50, &format!("{at_50}, latency-p99: {{ max: 500ms }}"));
    spec
}

/// A push of the tag, as GitHub sends it.
#[allow(dead_code, reason = "each test binary uses its own part of this module")]
pub fn push_tag(world: &World) -> RunSpec {
    with_prod(RunSpec::push_tag(world, NOW))
}

/// The runbook's `gh workflow run … -f environment=prod`, with further inputs.
#[allow(dead_code, reason = "each test binary uses its own part of this module")]
pub fn decide(world: &World, inputs: &[(&str, &str)]) -> RunSpec {
    let inputs: Vec<(&str, &str)> = [("environment", "prod")].into_iter().chain(inputs.iter().copied()).collect();
    with_prod(RunSpec::dispatch(world, &inputs)).in_run(78)
}

/// The same, for a machine so busy that hardly anybody comes by in a second: that is no reason to hold a release. For tests of
/// something else.
#[allow(dead_code, reason = "each test binary uses its own part of this module")]
pub fn without_evidence(spec: RunSpec) -> RunSpec {
    let config = spec.config.replace("min-requests: 10", "min-requests: 1\n  no-data: ignore").replace("for: 1000ms", "for: 300ms");
    RunSpec { config: config.replace("for: 1500ms", "for: 300ms"), ..spec }
}

/// People who use production, already at it.
#[allow(dead_code, reason = "each test binary uses its own part of this module")]
pub async fn people(world: &World) -> Working {
    let load = world.load(&Load::of("prod"));
    load.until(|seen| seen.total.requests > 50).await;
    load
}

/// Fewer of them, for many worlds at a time.
#[allow(dead_code, reason = "each test binary uses its own part of this module")]
pub async fn some_people(world: &World) -> Working {
    let load = world.load(&Load { per_second: 60, ..Load::of("prod") });
    load.until(|seen| seen.total.requests > 20).await;
    load
}

/// The instances that people are sent to, with their weights.
#[allow(dead_code, reason = "each test binary uses its own part of this module")]
pub fn shares(world: &World) -> Vec<(String, u64)> {
    let profile = world.profile(GROUP, PROFILE).expect("a profile");
    let endpoints = profile["properties"]["endpoints"].as_array().expect("endpoints").clone();
    let on = endpoints.into_iter().filter(|endpoint| endpoint["properties"]["endpointStatus"] == "Enabled");
    on.map(|endpoint| {
        (endpoint["name"].as_str().unwrap_or_default().to_owned(), endpoint["properties"]["weight"].as_u64().unwrap_or_default())
    })
    .collect()
}

/// The canary's share in percent, by the profile's weights.
#[allow(dead_code, reason = "each test binary uses its own part of this module")]
pub fn canary_has(profile: &Value, percent: u64) -> bool {
    let all = profile["properties"]["endpoints"].as_array().cloned().unwrap_or_default();
    let on: Vec<(String, u64)> = all
        .iter()
        .filter(|endpoint| endpoint["properties"]["endpointStatus"] == "Enabled")
        .map(|endpoint| (endpoint["name"].to_string(), endpoint["properties"]["weight"].as_u64().unwrap_or_default()))
        .collect();
    let sum: u64 = on.iter().map(|(_, weight)| weight).sum();
    on.iter().any(|(name, weight)| name.contains("canary") && weight * 100 == sum * percent)
}

/// The tags of an instance; null where it does not exist.
#[allow(dead_code, reason = "each test binary uses its own part of this module")]
pub fn tags(world: &World, name: &str) -> Value {
    world.written(GROUP, name).map(|body| body["tags"].clone()).unwrap_or_default()
}

/// Every instance with its version.
#[allow(dead_code, reason = "each test binary uses its own part of this module")]
pub fn versions(world: &World) -> Vec<(String, String)> {
    let groups = world.container_groups().into_iter().filter_map(|name| name.strip_prefix("prod-nextgen/").map(str::to_owned));
    groups
        .map(|name| {
            let version = tags(world, &name)["deploy-action-version"].as_str().unwrap_or_default().to_owned();
            (name, version)
        })
        .collect()
}

/// The runbook's end state: three stable instances of one version, and nothing else.
#[allow(dead_code, reason = "each test binary uses its own part of this module")]
pub fn all_of(version: &str) -> Vec<(String, String)> {
    STABLE.iter().map(|name| ((*name).to_owned(), version.to_owned())).collect()
}

/// Two of them serve, in equal parts.
#[allow(dead_code, reason = "each test binary uses its own part of this module")]
pub fn stable_shares() -> Vec<(String, u64)> {
    vec![("prod-stable-1".to_owned(), 1), ("prod-stable-2".to_owned(), 1)]
}

/// Everybody is sent to instances that exist (invariants 1 and 2).
#[allow(dead_code, reason = "each test binary uses its own part of this module")]
pub fn serves(world: &World) -> Result<(), String> {
    let (on, there) = (shares(world), versions(world));
    let missing: Vec<&String> = on.iter().map(|(name, _)| name).filter(|name| !there.iter().any(|(there, _)| there == *name)).collect();
    match (on.is_empty(), missing.is_empty()) {
        (true, _) => Err("nobody is sent anywhere".into()),
        (false, false) => Err(format!("people are sent to {missing:?}, and there are {there:?}")),
        (false, true) => Ok(()),
    }
}
