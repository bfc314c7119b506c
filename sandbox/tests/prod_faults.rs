//! What goes wrong with a canary: of the new version alone, from when on, and what people and its own pages see of it. A rollout
//! is played by hand here, no Action runs.

#![allow(clippy::expect_used, clippy::panic, reason = "what a test needs may stop it, also in its helpers")]

use sandbox::{Fault, Load, Member, Options, Production, Switch, Times, World, load::Working};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

const GROUP: &str = "prod-nextgen";
const PROFILE: &str = "tm-prod";
const OLD: &str = "v0.9.5";
const NEW: &str = "v1.0.0";
const CANARY: &str = "prod-canary-1";

/// Production with v0.9.5, each request of people led anew, a fault, and only then the canary, without traffic.
async fn before_the_canary(fault: Fault) -> World {
    let world = World::start(Options::quick()).await.expect("a world on loopback");
    world.seed_production(&Production::stable(OLD).with_ttl(0)).await.expect("seeded");
    world.fault(fault).await;
    start(&world, CANARY, NEW).await;
    world
}

/// Starts an instance of `version`, as `prod-stable-1` was.
async fn start(world: &World, name: &str, version: &str) {
    let body = world.written(GROUP, "prod-stable-1").expect("prod-stable-1").to_string();
    let mut body: Value = serde_json::from_str(&body.replace("prod-stable-1", name)).expect("JSON");
    body["tags"]["deploy-action-version"] = version.into();
    world.write_group(GROUP, name, body);
    world.settled().await;
}

/// Gives these endpoints these weights, and no other any traffic.
fn shares(world: &World, weights: &[(&str, u16)]) {
    let member = |(name, weight): &(&str, u16)| Member { name: (*name).to_owned(), ..Member::stable(1, OLD) }.weighing(*weight);
    let members = weights.iter().map(member).collect();
    let profile = Production { members, ..Production::stable(OLD).with_ttl(0) }.profile_body("westeurope");
    world.write_profile(GROUP, PROFILE, &profile).expect("written");
}

const AT_5: [(&str, u16); 3] = [("prod-stable-1", 19), ("prod-stable-2", 19), (CANARY, 2)];
const AT_25: [(&str, u16); 3] = [("prod-stable-1", 3), ("prod-stable-2", 3), (CANARY, 2)];
const AT_50: [(&str, u16); 2] = [("prod-stable-1", 1), (CANARY, 1)];
const AT_100: [(&str, u16); 1] = [(CANARY, 1000)];

fn people(world: &World) -> Working {
    world.load(&Load { per_second: 2000, ..Load::of("prod") })
}

/// Requests and failures of `version` in the next `requests` that it answers; what is under way does not count.
async fn next(load: &Working, version: &str, requests: u64) -> (u64, u64) {
    // Every client that had asked before is through by then.
    let now = load.snapshot().total.requests;
    load.until(|seen| seen.total.requests >= now + 400).await;
    let before = load.snapshot().version(version);
    load.until(|seen| seen.version(version).requests >= before.requests + requests).await;
    let after = load.snapshot().version(version);
    (after.requests - before.requests, after.failures - before.failures)
}

/// Failures in a thousand of `version`'s next requests.
async fn failing(load: &Working, version: &str, requests: u64) -> u64 {
    let (requests, failures) = next(load, version, requests).await;
    failures * 1000 / requests
}

/// Status and body of what a plain client gets from an instance.
async fn ask(world: &World, name: &str, path: &str) -> (u16, String) {
    let address = world.address(GROUP, name).expect(name);
    let mut stream = tokio::net::TcpStream::connect(address).await.expect("connected");
    stream.write_all(format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").as_bytes()).await.expect("sent");
    let mut text = String::new();
    stream.read_to_string(&mut text).await.expect("read");
    let status = text.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_default();
    (status, text)
}

/// Of the requests that an instance counted, those that took at most so long: `le` of its histogram.
async fn within(world: &World, name: &str, le: &str) -> (u64, u64) {
    let page = ask(world, name, "/metrics").await.1;
    let number = |start: &str| {
        let line = page.lines().find(|line| line.starts_with(start));
        line.and_then(|line| line.rsplit(' ').next()?.parse().ok()).unwrap_or_default()
    };
    (number(&format!("request_duration_seconds_bucket{{le=\"{le}\"}}")), number("request_duration_seconds_count"))
}

#[tokio::test]
async fn canary_errors_begin_with_public_traffic_and_are_the_new_versions_alone() {
    let world = before_the_canary(Fault::CanaryErrors).await;
    for _ in 0..20 {
        assert_eq!(ask(&world, CANARY, "/api/invoices").await.0, 200, "nobody has reached it through the public address");
    }
    shares(&world, &AT_5);
    let load = people(&world);
    let rate = failing(&load, NEW, 100).await;
    assert!((180..=220).contains(&rate), "{rate} in a thousand");
    // A staged rollback starts the old version afresh: it is not the new one.
    start(&world, "prod-old-1", OLD).await;
    shares(&world, &[("prod-old-1", 1), (CANARY, 1)]);
    assert_eq!(next(&load, OLD, 200).await.1, 0);
    assert_eq!(load.stop().await.version(OLD).failures, 0);
}

#[tokio::test]
async fn canary_slow_is_told_by_its_histogram_and_nobody_waits() {
    let world = before_the_canary(Fault::CanarySlow).await;
    shares(&world, &AT_5);
    let load = people(&world);
    load.until(|seen| seen.version(NEW).requests >= 100).await;
    let seen = load.stop().await;
    let (fast, all) = within(&world, CANARY, "2.5").await;
    // The first public request is what begins it.
    assert!(fast <= 1 && all == seen.version(NEW).requests, "{fast} of {all}");
    assert_eq!(within(&world, "prod-stable-1", "0.05").await.0, seen.instance("prod-stable-1").requests);
    assert!(seen.total.failures == 0 && seen.slowest.as_secs() < 3, "{seen:#?}");
}

#[tokio::test]
async fn canary_unhealthy_fails_its_health_after_a_few_public_requests() {
    let world = before_the_canary(Fault::CanaryUnhealthy).await;
    assert_eq!(ask(&world, CANARY, "/health").await.0, 200);
    shares(&world, &AT_100);
    let load = people(&world);
    load.until(|seen| seen.version(NEW).requests >= 10).await;
    assert_eq!(ask(&world, CANARY, "/health").await.0, 503);
    assert_eq!(ask(&world, "prod-stable-1", "/health").await.0, 200);
    world.until_profile(GROUP, PROFILE, |profile| profile["properties"]["monitorConfig"]["profileMonitorStatus"] == "Degraded").await;
    assert_eq!(load.stop().await.total.failures, 0);
}

#[tokio::test]
async fn canary_crash_loop_restarts_while_it_serves_and_loses_no_request() {
    let world = before_the_canary(Fault::CanaryCrashLoop).await;
    for _ in 0..20 {
        ask(&world, CANARY, "/api/invoices").await;
    }
    assert_eq!(world.restarts(GROUP, CANARY), Some(0), "nobody has reached it through the public address");
    shares(&world, &AT_5);
    let load = people(&world);
    load.until(|seen| seen.version(NEW).requests >= 16).await;
    let seen = load.stop().await;
    assert!(world.restarts(GROUP, CANARY) > Some(2), "the runbook's trigger: more than two");
    assert_eq!(world.restarts(GROUP, "prod-stable-1"), Some(0));
    let counted: u64 = world.served(GROUP, CANARY).values().sum();
    assert!(counted < seen.version(NEW).requests, "who is started again counts anew");
    assert_eq!(seen.total.failures, 0, "{seen:#?}");
}

#[tokio::test]
async fn a_fault_of_a_share_strikes_while_the_new_version_has_it() {
    for (fault, below, at, rate) in [
        (Fault::ErrorsAt25, AT_5.as_slice(), AT_25.as_slice(), 180..=220),
        (Fault::ErrorsAt50, AT_25.as_slice(), AT_50.as_slice(), 7..=11),
        (Fault::ErrorsAt100, AT_50.as_slice(), AT_100.as_slice(), 180..=220),
    ] {
        let world = before_the_canary(fault).await;
        let load = people(&world);
        shares(&world, below);
        assert_eq!(next(&load, NEW, 200).await.1, 0, "{fault}");
        shares(&world, at);
        let found = failing(&load, NEW, 1000).await;
        assert!(rate.contains(&found), "{fault}: {found} in a thousand");
        shares(&world, below);
        assert_eq!(next(&load, NEW, 200).await.1, 0, "{fault}: it is over below that share");
        assert_eq!(load.stop().await.version(OLD).failures, 0, "{fault}");
    }
}

#[tokio::test]
async fn slow_at_100_is_slower_than_that_phases_bound_only() {
    let world = before_the_canary(Fault::SlowAt100).await;
    let load = people(&world);
    shares(&world, &AT_50);
    load.until(|seen| seen.version(NEW).requests >= 100).await;
    let (fast, all) = within(&world, CANARY, "0.5").await;
    assert!(all >= 100 && fast == all, "{fast} of {all}");
    shares(&world, &AT_100);
    next(&load, NEW, 200).await;
    load.stop().await;
    let ((fast, all), (within_a_second, _)) = (within(&world, CANARY, "0.5").await, within(&world, CANARY, "1").await);
    assert!(all - fast >= 200 && within_a_second == all, "{fast} and {within_a_second} of {all}");
}

#[tokio::test]
async fn errors_in_stabilization_wait_until_the_canary_has_gone_and_then_stay() {
    let world = before_the_canary(Fault::ErrorsInStabilization).await;
    let load = people(&world);
    shares(&world, &AT_100);
    assert_eq!(next(&load, NEW, 200).await.1, 0);
    for name in ["prod-stable-1", "prod-stable-2"] {
        start(&world, name, NEW).await;
    }
    shares(&world, &[("prod-stable-1", 1), ("prod-stable-2", 1), (CANARY, 1)]);
    assert_eq!(next(&load, NEW, 200).await.1, 0, "the canary serves still");
    shares(&world, &[("prod-stable-1", 1), ("prod-stable-2", 1)]);
    let rate = failing(&load, NEW, 200).await;
    assert!((180..=220).contains(&rate), "{rate} in a thousand");
    start(&world, "prod-old-1", OLD).await;
    shares(&world, &[("prod-stable-1", 3), ("prod-old-1", 1)]);
    let rate = failing(&load, NEW, 200).await;
    assert!((180..=220).contains(&rate), "{rate} in a thousand, with the old version beside it");
    assert_eq!(load.stop().await.version(OLD).failures, 0);
}

#[tokio::test]
async fn stable_unhealthy_too_leaves_nowhere_to_go_back_to() {
    let world = before_the_canary(Fault::StableUnhealthyToo).await;
    assert_eq!((ask(&world, "prod-stable-1", "/health").await.0, ask(&world, CANARY, "/health").await.0), (200, 200));
    // All of the traffic, so that the monitor does not take the canary's share before anybody has met it.
    shares(&world, &AT_50);
    let load = people(&world);
    load.until(|seen| seen.version(NEW).failures >= 5).await;
    load.stop().await;
    assert_eq!((ask(&world, "prod-stable-1", "/health").await.0, ask(&world, "prod-stable-1", "/api/invoices").await.0), (503, 500));
    assert_eq!(ask(&world, CANARY, "/health").await.0, 200, "the canary is the healthier one");
}

#[tokio::test]
async fn a_fault_that_is_switched_off_is_over() {
    let world = before_the_canary(Fault::CanaryErrors).await;
    let load = people(&world);
    shares(&world, &AT_50);
    load.until(|seen| seen.version(NEW).failures >= 5).await;
    world.switch(Fault::CanaryErrors, Switch::Off, Times::Always).await;
    assert_eq!(next(&load, NEW, 100).await.1, 0);
}
