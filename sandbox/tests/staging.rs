//! Staging's world: people, name servers, Traffic Manager's monitor and instances, by real HTTP. No Action runs here.

#![allow(clippy::expect_used, reason = "what a test needs may stop it, also in its helpers")]

use sandbox::{Behaviour, Fault, Health, Load, Options, Slot, Staging, Stall, World, seed::Endpoint};
use serde_json::Value;

const GROUP: &str = "staging-nextgen";
const PROFILE: &str = "tm-staging";

async fn world() -> World {
    World::start(Options::quick()).await.expect("a world on loopback")
}

fn busy() -> Load {
    Load { per_second: 400, ..Load::of("staging") }
}

fn monitor_status(world: &World, slot: Slot) -> String {
    let profile = world.profile(GROUP, PROFILE).expect("the profile");
    let endpoints = profile["properties"]["endpoints"].as_array().expect("endpoints").clone();
    let endpoint = endpoints.into_iter().find(|endpoint| endpoint["name"] == slot.endpoint()).expect("the endpoint");
    endpoint["properties"]["endpointMonitorStatus"].as_str().expect("a status").to_owned()
}

/// Waits until the monitor says so.
async fn monitored(world: &World, slot: Slot, wanted: &str) {
    world.until_profile(GROUP, PROFILE, |_| monitor_status(world, slot) == wanted).await;
}

/// Green runs `version`, beside what is live in blue.
async fn green(world: &World, version: &str) {
    let blue = world.written(GROUP, Slot::Blue.instance()).expect("blue");
    let body = blue.to_string().replace("aci-staging-blue", "aci-staging-green");
    let mut body: Value = serde_json::from_str(&body).expect("JSON");
    body["tags"]["deploy-action-version"] = version.into();
    world.write_group(GROUP, Slot::Green.instance(), body);
    world.settled().await;
}

#[tokio::test]
async fn a_switch_loses_no_request_and_moves_everybody_within_the_time_to_live() {
    let world = world().await;
    world.seed_staging("v0.9.5").await.expect("seeded");
    let load = world.load(&busy());
    load.until(|seen| seen.version("v0.9.5").requests >= 100).await;
    green(&world, "main-a1b2c3d").await;
    assert_eq!(load.snapshot().version("main-a1b2c3d").requests, 0, "an idle slot gets nothing");
    world.switch_to(Slot::Green).expect("written");
    load.until(|seen| seen.version("main-a1b2c3d").requests >= 100).await;
    let before = load.snapshot();
    load.until(|seen| seen.version("main-a1b2c3d").requests >= before.version("main-a1b2c3d").requests + 100).await;
    let seen = load.stop().await;
    assert_eq!(seen.total.failures, 0, "{seen:#?}");
    assert_eq!(seen.version("v0.9.5"), before.version("v0.9.5"), "nobody is led to blue any more");
    assert_eq!(world.served(GROUP, "aci-staging-green").get(&200), Some(&seen.version("main-a1b2c3d").requests));
    assert!(world.requests().is_empty(), "what the world sends itself is not recorded");
}

#[tokio::test]
async fn who_deletes_the_old_slot_before_the_time_to_live_is_over_fails_peoples_requests() {
    let world = world().await;
    world.seed(&Staging::live(Slot::Blue, "v0.9.5").with_ttl(1_000_000)).await.expect("seeded");
    green(&world, "main-a1b2c3d").await;
    let load = world.load(&busy());
    load.until(|seen| seen.total.requests >= 100).await;
    world.switch_to(Slot::Green).expect("written");
    world.delete_group(GROUP, "aci-staging-blue");
    load.until(|seen| seen.total.failures >= 20).await;
    let seen = load.stop().await;
    assert_eq!(seen.instance("aci-staging-green").failures, 0, "{seen:#?}");
    assert!(seen.instance("aci-staging-blue").failures >= 20, "{seen:#?}");
}

#[tokio::test]
async fn shares_follow_the_weights() {
    let world = world().await;
    world.seed(&Staging::both_enabled("v1", "v2")).await.expect("seeded");
    let mut profile = world.profile(GROUP, PROFILE).expect("the profile");
    profile["properties"]["endpoints"][0]["properties"]["weight"] = 750.into();
    profile["properties"]["endpoints"][1]["properties"]["weight"] = 250.into();
    profile["properties"]["dnsConfig"]["ttl"] = 0.into();
    world.write_profile(GROUP, PROFILE, &profile).expect("written");
    let load = world.load(&Load { per_second: 1000, ..busy() });
    load.until(|seen| seen.total.requests >= 1000).await;
    let seen = load.stop().await;
    let share = seen.version("v2").requests * 1000 / seen.total.requests;
    assert!((200..300).contains(&share), "{share} in 1000 of {seen:#?}");
    assert_eq!(seen.total.failures, 0, "{seen:#?}");
}

#[tokio::test]
async fn the_monitor_finds_an_unhealthy_instance_and_people_are_led_elsewhere() {
    let world = world().await;
    world.seed(&Staging::both_enabled("v1", "v2")).await.expect("seeded");
    assert_eq!([Slot::Blue, Slot::Green].map(|slot| monitor_status(&world, slot)), ["Online", "Online"]);
    world.behave(sandbox::Who::version("v2"), Behaviour::default().with_health(Health::Failing));
    monitored(&world, Slot::Green, "Degraded").await;
    let load = world.load(&busy());
    load.until(|seen| seen.total.requests >= 100).await;
    assert_eq!(load.stop().await.version("v2").requests, 0);
    world.behave(sandbox::Who::version("v2"), Behaviour::default());
    monitored(&world, Slot::Green, "Online").await;
}

#[tokio::test]
async fn an_endpoint_behind_a_firewall_is_degraded_and_the_live_one_is_not() {
    let world = world().await;
    world.seed_staging("v1").await.expect("seeded");
    monitored(&world, Slot::Blue, "Online").await;
    world.fault(Fault::EndpointDegraded).await;
    green(&world, "v2").await;
    world.switch_to(Slot::Green).expect("written");
    monitored(&world, Slot::Green, "Degraded").await;
    // The only enabled endpoint: all are degraded, so it is answered with all the same.
    let load = world.load(&busy());
    load.until(|seen| seen.version("v2").requests >= 50).await;
    assert_eq!(load.stop().await.total.failures, 0);
    world.switch_to(Slot::Blue).expect("written");
    monitored(&world, Slot::Blue, "Online").await;
}

#[tokio::test]
async fn stuck_name_servers_answer_as_before_and_go_on_once_they_are_not() {
    let world = world().await;
    world.seed_staging("v1").await.expect("seeded");
    green(&world, "v2").await;
    world.fault(Fault::SwitchWithoutEffect).await;
    world.switch_to(Slot::Green).expect("written");
    assert_eq!(world.profile(GROUP, PROFILE).expect("it")["properties"]["endpoints"][1]["properties"]["endpointStatus"], "Enabled");
    let load = world.load(&busy());
    load.until(|seen| seen.total.requests >= 100).await;
    assert_eq!(load.snapshot().version("v2").requests, 0);
    world.switch(Fault::SwitchWithoutEffect, sandbox::Switch::Off, sandbox::Times::Always).await;
    load.until(|seen| seen.version("v2").requests >= 50).await;
    assert_eq!(load.stop().await.total.failures, 0);
}

#[tokio::test]
async fn a_broken_new_version_leaves_the_old_one_alone() {
    let world = world().await;
    world.seed_staging("v1").await.expect("seeded");
    let load = world.load(&busy());
    for fault in [Fault::NeverHealthy, Fault::Smoke500, Fault::CrashLoop, Fault::Oom, Fault::ImagePull, Fault::ErrorsAfterSwitch] {
        world.fault(fault).await;
    }
    let before = load.snapshot().total.requests;
    load.until(|seen| seen.total.requests >= before + 100).await;
    assert_eq!(load.stop().await.total.failures, 0);
    assert_eq!(monitor_status(&world, Slot::Green), "Disabled");
    monitored(&world, Slot::Blue, "Online").await;
}

#[tokio::test]
async fn errors_begin_with_the_first_public_request() {
    for (fault, blue_fails) in [(Fault::ErrorsAfterSwitch, Health::Well), (Fault::BothUnhealthy, Health::Failing)] {
        let world = world().await;
        world.seed_staging("v1").await.expect("seeded");
        monitored(&world, Slot::Blue, "Online").await;
        world.fault(fault).await;
        green(&world, "v2").await;
        let load = world.load(&busy());
        load.until(|seen| seen.version("v1").requests >= 50).await;
        assert_eq!(load.snapshot().total.failures, 0, "{fault}");
        world.switch_to(Slot::Green).expect("written");
        load.until(|seen| seen.version("v2").requests >= 100).await;
        let seen = load.snapshot().version("v2");
        assert!((15..=25).contains(&(seen.failures * 100 / seen.requests)), "{fault}: {seen:?}");
        world.switch_to(Slot::Blue).expect("written");
        match blue_fails {
            Health::Well => monitored(&world, Slot::Blue, "Online").await,
            Health::Failing => monitored(&world, Slot::Blue, "Degraded").await,
        }
    }
}

#[tokio::test]
async fn every_odd_world_can_be_had() {
    let enabled = |world: &World| -> Vec<String> {
        let Some(profile) = world.profile(GROUP, PROFILE) else { return Vec::new() };
        let endpoints = profile["properties"]["endpoints"].as_array().cloned().unwrap_or_default();
        let on = endpoints.iter().filter(|endpoint| endpoint["properties"]["endpointStatus"] == "Enabled");
        on.map(|endpoint| endpoint["name"].as_str().unwrap_or_default().to_owned()).collect()
    };
    let blue = ["blue-endpoint"].as_slice();
    for (name, staging, on, groups) in [
        ("live in blue", Staging::live(Slot::Blue, "v1"), blue, 1),
        ("live in green", Staging::live(Slot::Green, "v1"), ["green-endpoint"].as_slice(), 1),
        ("empty", Staging::empty(), &[], 0),
        ("prepared", Staging::prepared(), &[], 0),
        ("both enabled", Staging::both_enabled("v1", "v2"), ["blue-endpoint", "green-endpoint"].as_slice(), 2),
        ("neither enabled", Staging::neither_enabled("v1", "v2"), &[], 2),
        ("endpoint missing", Staging::endpoint_missing("v1"), blue, 1),
        ("stale", Staging::stale("v1", "v0"), blue, 2),
        ("same version", Staging::same_version("v1"), blue, 2),
        ("unweighted", Staging::unweighted("v1"), blue, 1),
        ("long time to live", Staging::live(Slot::Blue, "v1").with_ttl(300), blue, 1),
        ("foreign target", Staging::foreign_target("v1"), blue, 1),
    ] {
        let world = world().await;
        world.seed(&staging).await.expect(name);
        assert_eq!(
            (enabled(&world), world.container_groups().len()),
            (on.iter().map(|name| (*name).to_owned()).collect(), groups),
            "{name}"
        );
        assert_eq!(
            world.profile(GROUP, PROFILE).is_some(),
            staging.green_endpoint != Endpoint::Missing || name == "endpoint missing",
            "{name}"
        );
    }
}

/// What a plain client gets from an instance: a status, or nothing at all for as long as `until` takes.
async fn ask(world: &World, path: &str, until: impl Future<Output = ()>) -> Option<String> {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let address = world.address(GROUP, Slot::Blue.instance()).expect("blue");
    let mut stream = tokio::net::TcpStream::connect(address).await.expect("connected");
    stream.write_all(format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").as_bytes()).await.expect("sent");
    let mut text = String::new();
    tokio::select! {
        read = stream.read_to_string(&mut text) => read.ok().map(|_| text.lines().next().unwrap_or_default().to_owned()),
        () = until => None,
    }
}

#[tokio::test]
async fn the_world_can_stop_answering_before_a_call_or_after_it() {
    let world = world().await;
    world.seed_staging("v1").await.expect("seeded");
    let served = |world: &World| world.served(GROUP, Slot::Blue.instance()).values().sum::<u64>();
    let ok = Some("HTTP/1.1 200 OK".to_owned());
    assert_eq!(ask(&world, "/api/invoices", std::future::pending()).await, ok);
    for (stall, effect) in [(Stall::Before(1), 1), (Stall::After(2), 2), (Stall::After(2), 2)] {
        world.stall(stall);
        let arrived = world.requests().len();
        assert_eq!(ask(&world, "/api/invoices", world.until(|requests| requests.len() > arrived)).await, None, "{stall:?}");
        assert_eq!((served(&world), world.requests().last().and_then(|request| request.status)), (effect, None), "{stall:?}");
    }
    world.stall(Stall::Never);
    assert_eq!(ask(&world, "/api/invoices", std::future::pending()).await, ok);
    assert_eq!(served(&world), 3);
}
