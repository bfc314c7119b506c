//! Many instances are one plan: their steps run beside each other, and what exceeds Azure's request limits waits as long as Azure asks.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on says so")]

mod common;
#[path = "common/production.rs"]
mod production;

use std::time::Duration;

use common::run;
use production::{BEFORE, NOW, push_tag, shares, some_people, versions, without_evidence};
use sandbox::{
    Clocks, Options, RunSpec, Throttling, World,
    seed::{Member, Production},
};

/// Stable instances, all but one of which serve.
const COUNT: u32 = 60;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sixty_instances_are_released_to_within_azures_limits() {
    let world = World::start(Options { throttling: Throttling::AsAzure, ..Options::quick() }).await.expect("a world");
    let members = (1..=COUNT).map(|number| Member::stable(number, BEFORE));
    let members = members.map(|member| if member.name.ends_with("-60") { member.standing_by() } else { member }).collect();
    world.seed_production(&Production { members, ..Production::stable(BEFORE).with_ttl(1) }).await.expect("seeded");
    let load = some_people(&world).await;
    // As far apart as the reads of a tick need: sixty at 25 a second.
    let every = Duration::from_millis(2500);
    let clocks = Clocks { canary_every: every, phase_for: every, stabilize_for: every, ..Clocks::quick() };
    let spec = push_tag(&world);
    let config = world.config(&clocks).replace("count: 3, active: 2", &format!("count: {COUNT}, active: {}", COUNT - 1));
    let done = run(&world, &without_evidence(RunSpec { config, ..spec })).await;
    let seen = load.stop().await;
    assert_eq!(done.code, Some(0), "{}", done.stdout);
    assert!(
        versions(&world).len() == COUNT as usize && versions(&world).iter().all(|(_, version)| version == NOW),
        "{:?}",
        versions(&world)
    );
    assert_eq!((shares(&world).len(), seen.total.failures), (COUNT as usize - 1, 0), "{:?}", seen.failed);
    let refused = world.requests().into_iter().filter(|request| request.service == "azure" && request.status == Some(429)).count();
    assert!(refused > 0, "nothing exceeded the limits, so nothing was tried");
}
