//! A release to production that is judged by a Prometheus server, which dies, falls silent or answers nothing at each share: no data
//! is never good news, and no reason to throw a version away either.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on says so")]

mod common;
#[path = "common/production.rs"]
mod production;
#[path = "common/tiny_server.rs"]
mod tiny_server;

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use common::binary;
use futures::{StreamExt as _, stream};
use production::{GROUP, NOW, PROFILE, all_of, canary_has, push_tag, some_people, usual, versions, world};
use sandbox::{RunSpec, World, runner};
use tiny_server::{Answer, one, serve, vector};

/// Worlds at a time.
const AT_ONCE: usize = 4;

/// The runbook's phases.
const SHARES: [u64; 4] = [5, 25, 50, 100];

/// How the server is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Server {
    /// It answers what is good.
    Well,
    /// It answers 503.
    Dead,
    /// It never answers.
    Slow,
    /// It knows no such series.
    Empty,
}

/// A Prometheus server that is as `server` says at each moment.
async fn prometheus(server: Arc<Mutex<Server>>) -> SocketAddr {
    serve(move |asked| match *server.lock().expect("unshared") {
        Server::Dead => Answer::With(503, "text/plain", String::new(), "shutting down".into()),
        Server::Slow => Answer::Never,
        Server::Empty => vector(&[]),
        // How old the newest sample is.
        Server::Well if asked.query().contains("timestamp(") => one("0.1"),
        Server::Well if asked.query().starts_with("errors") => one("0"),
        Server::Well if asked.query().starts_with("slow") => one("0.05"),
        Server::Well if asked.query().starts_with("good") => one("1"),
        Server::Well => one("500"),
    })
    .await
}

/// The release, judged by the server at `address`.
fn release(world: &World, address: SocketAddr) -> RunSpec {
    let spec = push_tag(world);
    let asks = |name: &str| format!("{name}{{instance=~\"$instances\"}}[$window]");
    let metrics = format!(
        "prometheus: http://{address}\n  queries:\n    error-rate: '{}'\n    latency-p99: '{}'\n    success-rate: '{}'\n    requests: '{}'",
        asks("errors"),
        asks("slow"),
        asks("good"),
        asks("requests")
    );
    assert!(spec.config.contains("scrape: {}"), "{}", spec.config);
    RunSpec { config: spec.config.replace("scrape: {}", &metrics), ..spec }
}

/// What is wrong when the server becomes like this once the canary has `share` percent.
async fn wrong(server: Server, share: u64) -> Option<String> {
    let world = world().await;
    usual(&world).await;
    let load = some_people(&world).await;
    let now = Arc::new(Mutex::new(Server::Well));
    let address = prometheus(Arc::clone(&now)).await;
    let mut running = runner::spawn(&world, binary(), &release(&world, address)).expect("started");
    tokio::select! {
        () = world.until_profile(GROUP, PROFILE, |profile| canary_has(profile, share)) => {}
        ended = running.ended() => ended.expect("its end"),
    }
    *now.lock().expect("unshared") = server;
    let done = running.finish(runner::Echo::Off).await.expect("its end");
    let seen = load.stop().await;
    let profile = world.profile(GROUP, PROFILE).expect("a profile");
    let outcome = done.outputs.get("outcome").map_or("", String::as_str);
    let is_right = (done.code, outcome) == (Some(3), "held") && canary_has(&profile, share) && seen.total.failures == 0;
    (!is_right).then(|| format!("{server:?} at {share} %: {:?} {outcome}, {:?}\n{}", done.code, seen.failed, done.stdout))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_well_lets_a_good_release_through() {
    let world = world().await;
    usual(&world).await;
    let load = some_people(&world).await;
    let address = prometheus(Arc::new(Mutex::new(Server::Well))).await;
    let done = common::run(&world, &release(&world, address)).await;
    load.stop().await;
    assert_eq!((done.code, versions(&world)), (Some(0), all_of(NOW)), "{}", done.stdout);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_its_server_a_release_is_held_at_each_share() {
    let cases = [Server::Dead, Server::Slow, Server::Empty].into_iter().flat_map(|server| SHARES.map(|share| (server, share)));
    let wrong: Vec<String> = stream::iter(cases)
        .map(|(server, share)| wrong(server, share))
        .buffer_unordered(AT_ONCE)
        .filter_map(|wrong| async { wrong })
        .collect()
        .await;
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

/// A server that is dead, silent or empty before: the rules have nothing to say of what serves, so they could judge nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_says_nothing_from_the_beginning_lets_nothing_begin() {
    for server in [Server::Dead, Server::Slow, Server::Empty] {
        let world = world().await;
        usual(&world).await;
        let load = some_people(&world).await;
        let address = prometheus(Arc::new(Mutex::new(server))).await;
        let done = common::run(&world, &release(&world, address)).await;
        let seen = load.stop().await;
        assert_eq!((done.code, versions(&world)), (Some(1), all_of(production::BEFORE)), "{server:?}: {}", done.stdout);
        assert_eq!(seen.version(NOW).requests, 0, "{server:?}");
    }
}
