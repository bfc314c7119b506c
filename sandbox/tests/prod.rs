//! Production's world: several instances behind weights, and people who are led by them, by real HTTP. No Action runs here.

#![allow(clippy::expect_used, reason = "what a test needs may stop it, also in its helpers")]

use sandbox::{
    Load, Options, Production, Reached, World,
    seed::{Endpoint, Profile},
};

const GROUP: &str = "prod-nextgen";
const PROFILE: &str = "tm-prod";
const OLD: &str = "v0.9.5";
const NEW: &str = "v1.0.0";

async fn world() -> World {
    World::start(Options::quick()).await.expect("a world on loopback")
}

/// The profile's endpoints as `NAME STATE WEIGHT`.
fn endpoints(world: &World) -> Vec<String> {
    let Some(profile) = world.profile(GROUP, PROFILE) else { return Vec::new() };
    let endpoints = profile["properties"]["endpoints"].as_array().cloned().unwrap_or_default();
    let text = |endpoint: &serde_json::Value| {
        let properties = &endpoint["properties"];
        let name = endpoint["name"].as_str().unwrap_or_default();
        assert_eq!(properties["target"], format!("{name}.westeurope.azurecontainer.io"), "an endpoint is called as its instance is");
        format!("{name} {} {}", properties["endpointStatus"].as_str().unwrap_or_default(), properties["weight"])
    };
    endpoints.iter().map(text).collect()
}

#[tokio::test]
async fn the_usual_production_is_the_runbooks() {
    let world = world().await;
    world.seed_prod(OLD).await.expect("seeded");
    assert_eq!(endpoints(&world), ["prod-stable-1 Enabled 1", "prod-stable-2 Enabled 1", "prod-stable-3 Disabled 1"]);
    assert_eq!(world.container_groups(), [1, 2, 3].map(|number| format!("{GROUP}/prod-stable-{number}")));
    let tags = world.written(GROUP, "prod-stable-3").expect("it")["tags"].clone();
    let tag = |name: &str| tags[format!("deploy-action-{name}")].as_str().unwrap_or_default().to_owned();
    assert_eq!([tag("role"), tag("version"), tag("stable-since")], ["stable", OLD, "2026-11-23T10:00:00Z"]);
    assert_eq!((tag("sha").len(), tag("digest").starts_with("sha256:"), tag("rollout").as_str()), (40, true, "prod-7300000001-1"));
    let profile = world.profile(GROUP, PROFILE).expect("it");
    assert_eq!(profile["properties"]["dnsConfig"]["relativeName"], "nextgen-prod");
    assert_eq!(profile["tags"]["deploy-action-rollout"], "prod-7300000001-1");
    let load = world.load(&Load::of("prod"));
    load.until(|seen| seen.version(OLD).requests >= 400).await;
    let seen = load.stop().await;
    assert_eq!((seen.total, seen.instance("prod-stable-3").requests), (seen.version(OLD), 0));
    assert_eq!(seen.total.failures, 0, "{seen:#?}");
}

#[tokio::test]
async fn every_odd_production_can_be_had() {
    let usual = ["prod-stable-1 Enabled 1", "prod-stable-2 Enabled 1", "prod-stable-3 Disabled 1"];
    let standing_by = ["prod-stable-1 Disabled 1", "prod-stable-2 Disabled 1", "prod-stable-3 Disabled 1"];
    let beside = |canary: &'static str| [usual.as_slice(), &[canary]].concat();
    for (name, production, wanted, groups) in [
        ("empty", Production::empty(), vec![], 0),
        ("prepared", Production::prepared(), vec![], 0),
        ("without a standby", Production::without_standby(OLD), usual[..2].to_vec(), 2),
        ("single", Production::single(OLD), vec!["prod-stable-1 Enabled 1000"], 1),
        ("zero stable", Production::zero_stable(OLD), usual.to_vec(), 0),
        ("none enabled", Production::none_enabled(OLD), standing_by.to_vec(), 3),
        (
            "another tool's weights",
            Production::stable(OLD).with_weights(&[3, 7]),
            vec!["prod-stable-1 Enabled 3", "prod-stable-2 Enabled 7", usual[2]],
            3,
        ),
        ("a stale canary with traffic", Production::stale_canary(OLD, NEW, Endpoint::Enabled), beside("prod-canary-1 Enabled 1"), 4),
        ("a stale canary without", Production::stale_canary(OLD, NEW, Endpoint::Disabled), beside("prod-canary-1 Disabled 1"), 4),
        ("a stale canary nobody knows", Production::stale_canary(OLD, NEW, Endpoint::Missing), usual.to_vec(), 4),
        (
            "at 5 %",
            Production::halfway(Reached::Five, OLD, NEW),
            vec!["prod-stable-1 Enabled 19", "prod-stable-2 Enabled 19", usual[2], "prod-canary-1 Enabled 2"],
            4,
        ),
        (
            "at 25 %",
            Production::halfway(Reached::Quarter, OLD, NEW),
            vec!["prod-stable-1 Enabled 3", "prod-stable-2 Enabled 3", usual[2], "prod-canary-1 Enabled 2"],
            4,
        ),
        (
            "at 50 %",
            Production::halfway(Reached::Half, OLD, NEW),
            vec![usual[0], standing_by[1], standing_by[2], "prod-canary-1 Enabled 1"],
            4,
        ),
        ("at 100 %", Production::halfway(Reached::All, OLD, NEW), [standing_by.as_slice(), &["prod-canary-1 Enabled 1000"]].concat(), 4),
        ("unweighted", Production::unweighted(OLD), usual.to_vec(), 3),
        ("long time to live", Production::stable(OLD).with_ttl(300), usual.to_vec(), 3),
    ] {
        let world = world().await;
        world.seed_production(&production).await.expect(name);
        assert_eq!(
            (endpoints(&world), world.container_groups().len()),
            (wanted.iter().map(|&text| text.to_owned()).collect(), groups),
            "{name}"
        );
        let Some(profile) = world.profile(GROUP, PROFILE) else {
            assert_eq!(production.profile, Profile::Missing, "{name}");
            continue;
        };
        let properties = &profile["properties"];
        assert_eq!(
            (&properties["dnsConfig"]["ttl"], &properties["trafficRoutingMethod"]),
            (&production.ttl.into(), &production.routing.as_str().into()),
            "{name}"
        );
        let rollout = profile["tags"].get("deploy-action-rollout").and_then(|tag| tag.as_str());
        let wanted = production.rollout_run.as_ref().map(|run| format!("prod-{run}-1"));
        assert_eq!(rollout, wanted.as_deref(), "{name}");
    }
}

#[tokio::test]
async fn people_meet_the_canary_as_often_as_its_weight_says() {
    for reached in [Reached::Five, Reached::Quarter] {
        let world = world().await;
        // Each request asks anew: as many draws as requests.
        world.seed_production(&Production::halfway(reached, OLD, NEW).with_ttl(0)).await.expect("seeded");
        let load = world.load(&Load { per_second: 2000, ..Load::of("prod") });
        load.until(|seen| seen.total.requests >= 4000).await;
        let seen = load.stop().await;
        let (canary, total) = (seen.version(NEW).requests, seen.total.requests);
        let in_ten_thousand = canary * 10_000 / total;
        // Two percentage points: more than five standard deviations at 5 %, almost three at 25 %.
        assert!(in_ten_thousand.abs_diff(u64::from(reached.percent()) * 100) <= 200, "{reached:?}: {canary} of {total}");
        assert_eq!(canary + seen.version(OLD).requests, total, "{seen:#?}");
        let counted: u64 = world.served(GROUP, "prod-canary-1").values().sum();
        assert_eq!(counted, canary, "what people met is what the canary counted");
    }
}

#[tokio::test]
async fn with_many_clients_the_share_holds_although_each_keeps_its_answer() {
    let world = world().await;
    // Answers are kept for longer than this takes: the share is that of clients.
    world.seed_production(&Production::halfway(Reached::Quarter, OLD, NEW).with_ttl(1_000_000)).await.expect("seeded");
    let load = world.load(&Load { per_second: 2000, ..Load::of("prod") });
    load.until(|seen| seen.total.requests >= 1000).await;
    let seen = load.stop().await;
    let percent = seen.version(NEW).requests * 100 / seen.total.requests;
    // Of 200 clients 50 are expected; three standard deviations are 18 of them, 9 %.
    assert!((16..=34).contains(&percent), "{percent} % of {seen:#?}");
}
