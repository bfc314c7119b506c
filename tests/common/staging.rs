//! What the tests of staging share: the usual world, people who use it, and what is true of it whatever happened.

use std::time::Duration;

use sandbox::{Load, Options, RunSpec, Slot, Staging, World, load::Working};
use serde_json::json;

/// The version that serves before.
pub const BEFORE: &str = "main-9f8e7d6";
/// The version that a merge brings.
pub const NOW: &str = "main-a1b2c3d";
/// The commit that is merged.
#[allow(dead_code, reason = "each test binary uses its own part of this module")]
pub const COMMIT: &str = "a1b2c3d4e5f60718293a4b5c6d7e8f9001122334";
/// The resource group.
pub const GROUP: &str = "staging-nextgen";
/// The profile.
pub const PROFILE: &str = "tm-staging";
/// The blue slot's instance.
pub const BLUE: &str = "aci-staging-blue";
/// The green slot's instance.
pub const GREEN: &str = "aci-staging-green";

/// A world in which resolvers really remember: for two fifths of the second that the profile says and the Action waits.
#[allow(dead_code, reason = "each test binary uses its own part of this module")]
pub async fn world() -> World {
    World::start(Options { second: Duration::from_millis(400), ..Options::quick() }).await.expect("a world on loopback")
}

/// Puts staging into a state. Its endpoints are not probed by Traffic Manager, whose interval would be the longest of all waits.
#[allow(dead_code, reason = "each test binary uses its own part of this module")]
pub async fn found(world: &World, staging: Staging) {
    world.seed(&staging.with_ttl(1)).await.expect("seeded");
    let mut profile = world.profile(GROUP, PROFILE).expect("a profile");
    for endpoint in profile["properties"]["endpoints"].as_array_mut().expect("endpoints") {
        endpoint["properties"]["alwaysServe"] = json!("Enabled");
    }
    world.write_profile(GROUP, PROFILE, &profile).expect("written");
}

/// Staging as it usually is: blue serves the version before.
#[allow(dead_code, reason = "each test binary uses its own part of this module")]
pub async fn seed(world: &World) {
    world.seed(&Staging::live(Slot::Blue, BEFORE).with_ttl(1)).await.expect("seeded");
}

/// The same, found so that it goes with this module's [`world`].
#[allow(dead_code, reason = "each test binary uses its own part of this module")]
pub async fn usual(world: &World) {
    found(world, Staging::live(Slot::Blue, BEFORE)).await;
}

/// A merge to `main`, looked at ten times a second. On a machine so busy that nobody comes by for a second that is no reason to
/// hold it.
#[allow(dead_code, reason = "each test binary uses its own part of this module")]
pub fn merge(world: &World) -> RunSpec {
    let spec = RunSpec::push_main(world);
    let config = spec.config.replace("every: 20ms", "every: 100ms").replace("min-requests: 10", "min-requests: 1\n  no-data: ignore");
    RunSpec { config, ..spec }
}

/// People who use staging, already at it.
#[allow(dead_code, reason = "each test binary uses its own part of this module")]
pub async fn people(world: &World) -> Working {
    let load = world.load(&Load::of("staging"));
    load.until(|seen| seen.total.requests > 20).await;
    load
}

/// Whom the profile sends people to.
#[allow(dead_code, reason = "each test binary uses its own part of this module")]
pub fn live(world: &World) -> Vec<String> {
    let profile = world.profile(GROUP, PROFILE).expect("a profile");
    let endpoints = profile["properties"]["endpoints"].as_array().expect("endpoints").clone();
    let on = endpoints.into_iter().filter(|endpoint| endpoint["properties"]["endpointStatus"] == "Enabled");
    on.map(|endpoint| endpoint["name"].as_str().unwrap_or_default().to_owned()).collect()
}

/// The instance that people are sent to, alone: it exists, and it is the one that the endpoint targets (invariants 1 and 2).
#[allow(dead_code, reason = "each test binary uses its own part of this module")]
pub fn serving(world: &World) -> Result<&'static str, String> {
    let (on, groups) = (live(world), world.container_groups());
    let instance = match on.as_slice() {
        [one] if one == "blue-endpoint" => BLUE,
        [one] if one == "green-endpoint" => GREEN,
        _ => return Err(format!("not exactly one endpoint is on: {on:?}")),
    };
    if groups.contains(&format!("{GROUP}/{instance}")) {
        Ok(instance)
    } else {
        Err(format!("people are sent to {instance}, and there are {groups:?}"))
    }
}

/// The tags of an instance; null where it does not exist.
#[allow(dead_code, reason = "each test binary uses its own part of this module")]
pub fn tags(world: &World, name: &str) -> serde_json::Value {
    world.written(GROUP, name).map(|body| body["tags"].clone()).unwrap_or_default()
}

/// What is left alone in the group, by name and version and role: `("aci-staging-blue", "main-9f8e7d6", "stable")`.
#[allow(dead_code, reason = "each test binary uses its own part of this module")]
pub fn alone(world: &World) -> Result<(&'static str, String, String), String> {
    let instance = serving(world)?;
    let groups = world.container_groups();
    if groups != [format!("{GROUP}/{instance}")] {
        return Err(format!("something is orphaned: {groups:?}, and {instance} serves"));
    }
    let tags = tags(world, instance);
    let text = |name: &str| tags[format!("deploy-action-{name}")].as_str().unwrap_or_default().to_owned();
    Ok((instance, text("version"), text("role")))
}

/// Which of GitHub's deployments is looked at: a run that goes on has the one that was begun, another attempt one of its own.
#[allow(dead_code, reason = "each test binary uses its own part of this module")]
#[derive(Debug, Clone, Copy)]
pub enum Told {
    /// The first.
    First,
    /// The last.
    Last,
}

/// What GitHub shows of the merge that is not `expected`: a deployment or a commit status that is still open, or says the
/// opposite. One that was never begun says nothing.
#[allow(dead_code, reason = "each test binary uses its own part of this module")]
pub fn badly_told(world: &World, which: Told, expected: &str) -> Option<String> {
    let status = world.commit_statuses(COMMIT).last().and_then(|last| last["state"].as_str().map(str::to_owned));
    let deployments = world.deployments();
    let looked_at = match which {
        Told::First => deployments.first(),
        Told::Last => deployments.last(),
    };
    let deployment = looked_at.and_then(|(_, states)| states.last().cloned());
    let is_bad = |told: &Option<String>| told.as_ref().is_some_and(|told| told != expected);
    (is_bad(&status) || is_bad(&deployment))
        .then(|| format!("the commit is told {status:?}, the deployment {deployment:?}, and it is {expected}"))
}
