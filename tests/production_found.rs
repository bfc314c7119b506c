//! What a release to production finds, and what becomes of it: each state of the world has one defined end, and nobody who uses
//! production meets any of it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on says so")]

mod common;
#[path = "common/production.rs"]
mod production;

use common::{changes, run};
use futures::{StreamExt as _, stream};
use production::{
    BEFORE, GROUP, NOW, PROFILE, all_of, found, push_tag, shares, some_people, stable_shares, versions, without_evidence, world,
};
use sandbox::{
    Finished, RunSpec, World,
    seed::{Endpoint, Production, Reached},
};

/// Worlds at a time.
const AT_ONCE: usize = 4;

async fn release(world: &World) -> Finished {
    run(world, &without_evidence(push_tag(world))).await
}

fn ending(done: &Finished) -> (Option<i32>, &str) {
    (done.code, done.outputs.get("outcome").map_or("", String::as_str))
}

fn is_released(world: &World, done: &Finished, what: &str) {
    assert_eq!(ending(done), (Some(0), "healthy"), "{what}: {}", done.stdout);
    assert_eq!(versions(world), all_of(NOW), "{what}");
    let on: Vec<String> = shares(world).into_iter().map(|(name, _)| name).collect();
    assert_eq!(on, ["prod-stable-1", "prod-stable-2"], "{what}");
}

/// People are served from the beginning: the release goes through, and nobody's request fails.
#[tokio::test]
async fn what_serves_is_released_to_without_a_failed_request() {
    let states = [
        ("other weights", Production::stable(BEFORE).with_weights(&[3, 7])),
        ("no standby", Production::without_standby(BEFORE)),
        ("one stable instance", Production::single(BEFORE)),
        ("another version's canary, without a share", Production::stale_canary(BEFORE, "v0.9.9", Endpoint::Disabled)),
        ("another version's canary, with a share", Production::stale_canary(BEFORE, "v0.9.9", Endpoint::Enabled)),
        ("its own canary at 5 %", Production::halfway(Reached::Five, BEFORE, NOW)),
        ("its own canary at 50 %", Production::halfway(Reached::Half, BEFORE, NOW)),
        ("its own canary at 100 %", Production::halfway(Reached::All, BEFORE, NOW)),
    ];
    let each = stream::iter(states).for_each_concurrent(AT_ONCE, |(what, production)| async move {
        let world = world().await;
        found(&world, production).await;
        let load = some_people(&world).await;
        let done = release(&world).await;
        is_released(&world, &done, what);
        let seen = load.stop().await;
        assert_eq!(seen.total.failures, 0, "{what}: {:?}", seen.failed);
    });
    each.await;
}

/// Nobody is served: there is nothing to compare with or fall back to, so the new version goes to everybody, gated.
#[tokio::test]
async fn where_nobody_is_served_it_is_a_first_deployment() {
    for (what, production) in [("a profile without endpoints", Production::prepared()), ("nothing is on", Production::none_enabled(BEFORE))]
    {
        let world = world().await;
        found(&world, production).await;
        let done = release(&world).await;
        is_released(&world, &done, what);
        let again = release(&world).await;
        assert_eq!(ending(&again), (Some(0), "unchanged"), "{what}: {}", again.stdout);
    }
}

/// What nobody can tell is refused before anything is touched, with what to do about it.
#[tokio::test]
async fn what_nobody_can_tell_is_refused() {
    for (what, production, says) in [
        ("no profile", Production::empty(), "az network traffic-manager profile create"),
        ("by priority", Production::unweighted(BEFORE), "Weighted"),
    ] {
        let world = world().await;
        found(&world, production).await;
        let done = release(&world).await;
        assert_eq!(ending(&done).1, "refused", "{what}: {}", done.stdout);
        assert!(done.stdout.contains(says), "{what}: {}", done.stdout);
        assert_eq!(changes(&world), Vec::<String>::new(), "{what}");
    }
}

/// Somebody deleted every stable instance: their endpoints lead nowhere, and the release makes them anew.
#[tokio::test]
async fn deleted_stable_instances_are_made_anew() {
    let world = world().await;
    found(&world, Production::zero_stable(BEFORE)).await;
    let done = release(&world).await;
    is_released(&world, &done, "all of them deleted");
}

/// The same tag again, once all is done, changes nothing.
#[tokio::test]
async fn the_same_tag_again_changes_nothing() {
    let world = world().await;
    found(&world, Production::stable(BEFORE)).await;
    let load = some_people(&world).await;
    is_released(&world, &release(&world).await, "the first time");
    let changed = changes(&world);
    let done = release(&world).await;
    assert_eq!(ending(&done), (Some(0), "unchanged"), "{}", done.stdout);
    assert_eq!(changes(&world), changed);
    assert_eq!((versions(&world), shares(&world)), (all_of(NOW), stable_shares()));
    let seen = load.stop().await;
    assert_eq!(seen.total.failures, 0, "{:?}", seen.failed);
}

/// A foreign endpoint that takes people is nobody's to switch off but theirs who put it there.
#[tokio::test]
async fn an_endpoint_that_leads_elsewhere_is_refused() {
    let world = world().await;
    found(&world, Production::stable(BEFORE)).await;
    let mut profile = world.profile(GROUP, PROFILE).expect("a profile");
    let endpoints = profile["properties"]["endpoints"].as_array_mut().expect("endpoints");
    let mut other = endpoints[0].clone();
    other["name"] = "elsewhere".into();
    other["properties"]["target"] = "elsewhere.example.net".into();
    other["properties"]["priority"] = 9.into();
    endpoints.push(other);
    world.write_profile(GROUP, PROFILE, &profile).expect("written");
    let before = shares(&world);
    let done = release(&world).await;
    assert_eq!(ending(&done).1, "refused", "{}", done.stdout);
    assert!(done.stdout.contains("elsewhere") && done.stdout.contains("az network traffic-manager endpoint"), "{}", done.stdout);
    assert_eq!((changes(&world), shares(&world)), (Vec::new(), before));
}

/// Shares that no weights make are refused before anything is touched.
#[tokio::test]
async fn a_share_below_what_weights_make_is_refused() {
    let world = world().await;
    found(&world, Production::stable(BEFORE)).await;
    let spec = push_tag(&world);
    let spec = RunSpec { config: spec.config.replace("traffic: 5%", "traffic: 0.01%"), ..spec };
    let done = run(&world, &spec).await;
    assert_eq!(ending(&done), (Some(2), "refused"), "{}", done.stdout);
    assert!(done.stdout.contains("0.01%"), "{}", done.stdout);
    assert_eq!(changes(&world), Vec::<String>::new());
}
