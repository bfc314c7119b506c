//! The application in a container group: health, an API, metrics, and a log line a request.
//! How well it does is `behaviour`'s and `afflicted`'s to say.

use std::{sync::Arc, time::Duration};

use hyper::Method;
use jiff::Timestamp;
use serde_json::json;

use crate::{
    afflicted,
    arm::{groups::Key, life},
    behaviour::{Delay, Health},
    fault::Fault,
    http::{MARK, Traffic},
    metrics::Drawn,
    pool,
    server::{Call, Reply},
    shared::{Shared, lock},
};

/// What `/api/*` serves, as the runbook's smoke tests ask for it.
const API: [&str; 3] = ["/api/invoices", "/api/payments", "/api/health/db"];
/// The headers that tell which instance answered, and which version it runs.
pub(crate) const ANSWERED_BY: (&str, &str) = ("x-instance", "x-version");

/// Answers a request to an instance.
pub(crate) async fn handle(shared: &Arc<Shared>, key: &Key, call: &Call) -> Reply {
    answer(shared, key, &call.method, &call.path, Traffic::of(call.header(MARK))).await
}

/// Answers a request to the instance `key`, by whoever sent it.
pub(crate) async fn answer(shared: &Arc<Shared>, key: &Key, method: &Method, path: &str, traffic: Traffic) -> Reply {
    let (reply, wait) = decide(shared, key, method, path, traffic);
    if !wait.is_zero() {
        tokio::time::sleep(wait).await;
    }
    reply
}

/// Counts and logs the request; gives the answer, and how long it takes.
fn decide(shared: &Arc<Shared>, key: &Key, method: &Method, path: &str, traffic: Traffic) -> (Reply, Duration) {
    let mut azure = lock(&shared.azure);
    let Some(group) = azure.groups.get_mut(key) else {
        return (Reply::json(503, &json!({"error": "this instance has ended"})), Duration::ZERO);
    };
    // What is read every few seconds would push out of the log what a person looks for.
    if path != "/metrics" {
        group.container.log(format!("{method} {path}"));
    }
    let version = group.version();
    let is_business = !matches!(path, "/health" | "/metrics");
    if is_business && traffic == Traffic::Public {
        group.counters.public += 1;
    }
    let behaviour = afflicted::behaviour(shared, &azure, key, &version);
    let Some(group) = azure.groups.get_mut(key) else { return (Reply::empty(503), Duration::ZERO) };
    let reply = match path {
        "/health" if behaviour.health == Health::Failing => {
            Reply::json(503, &json!({"status": "starting", "database": "connecting", "redis": "down"}))
        }
        "/health" => Reply::json(200, &json!({"status": "ok", "version": version, "database": "up", "redis": "up"})),
        "/metrics" if shared.faults.is_on(Fault::MetricsDown) => Reply::text(503, "upstream connect error"),
        "/metrics" if shared.faults.is_on(Fault::MetricsNonsense) => Reply::with(
            200,
            "text/html; charset=utf-8",
            "<!DOCTYPE html>\n<html><title>Log in</title><form action=\"/login\"></form></html>\n",
        ),
        "/metrics" => {
            let text = group.counters.exposition(&behaviour, Timestamp::now().as_second());
            Reply::with(200, "text/plain; version=0.0.4; charset=utf-8", text)
        }
        path => {
            let smoke_fails = path.starts_with("/api/") && shared.faults.hits(Fault::Smoke500, group.born);
            let status = if smoke_fails || group.counters.fails(&behaviour) == Drawn::In {
                500
            } else if API.contains(&path) || path == "/" {
                200
            } else {
                404
            };
            group.counters.count(path, status, &behaviour);
            match status {
                500 => Reply::json(500, &json!({"error": "relation \"invoices\" does not exist", "path": path})),
                200 => Reply::json(200, &json!({"items": [], "version": version})),
                _ => Reply::json(404, &json!({"error": "not found"})),
            }
        }
    };
    if is_business && traffic == Traffic::Public {
        if afflicted::crashes(shared, group, &version) {
            life::crashed(group, key);
        }
        if let Some(url) = &shared.database
            && afflicted::takes_the_pool(shared, group, &version)
        {
            shared.keep(tokio::spawn(pool::hold(Arc::clone(shared), key.clone(), url.clone())).abort_handle());
        }
    }
    let wait = match behaviour.delay {
        Delay::Real if is_business => behaviour.latency,
        Delay::Real | Delay::Told => Duration::ZERO,
    };
    (reply.header(ANSWERED_BY.0, key.name()).header(ANSWERED_BY.1, version), wait)
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::{Behaviour, Options, Who, World};

    const KEY: (&str, &str) = ("staging-nextgen", "aci-staging-blue");

    async fn world() -> World {
        let world = World::start(Options::quick()).await.unwrap();
        world.seed_staging("v1").await.unwrap();
        world
    }

    async fn ask(world: &World, path: &str, traffic: Traffic) -> (u16, String) {
        match answer(world.shared(), &Key::new(KEY.0, KEY.1), &Method::GET, path, traffic).await {
            Reply::Answer(answer) => (answer.status, String::from_utf8(answer.body.to_vec()).unwrap()),
            Reply::Drop => (0, String::new()),
        }
    }

    /// Starts the instance anew: what begins now is new to a fault that is on.
    async fn renewed(world: &World) {
        let body: Value = world.written(KEY.0, KEY.1).unwrap();
        world.write_group(KEY.0, KEY.1, body);
        world.settled().await;
    }

    #[tokio::test]
    async fn probes_and_scrapes_do_not_count_and_everything_else_does() {
        let world = world().await;
        for path in ["/health", "/metrics", "/api/invoices", "/nothing", "/"] {
            ask(&world, path, Traffic::Direct).await;
        }
        let (status, text) = ask(&world, "/metrics", Traffic::Direct).await;
        assert_eq!(status, 200);
        assert!(
            text.contains("requests_total{status=\"200\"} 2\nrequests_total{status=\"404\"} 1\nrequests_total{status=\"500\"} 0\n"),
            "{text}"
        );
        assert!(!text.contains("instance="), "Prometheus adds it");
        renewed(&world).await;
        assert!(world.served(KEY.0, KEY.1).is_empty(), "who is started anew counts anew");
    }

    #[tokio::test]
    async fn slow_answers_show_in_the_histogram_once_people_come() {
        let world = world().await;
        world.fault(Fault::SlowAfterSwitch).await;
        renewed(&world).await;
        ask(&world, "/api/invoices", Traffic::Direct).await;
        let quarter = |text: &str| text.lines().find(|line| line.contains("le=\"0.25\"")).unwrap().to_owned();
        assert!(quarter(&ask(&world, "/metrics", Traffic::Direct).await.1).ends_with(" 1"));
        for _ in 0..3 {
            ask(&world, "/api/invoices", Traffic::Public).await;
        }
        let text = ask(&world, "/metrics", Traffic::Direct).await.1;
        assert!(quarter(&text).ends_with(" 1") && text.contains("request_duration_seconds_count 4"), "{text}");
    }

    #[tokio::test]
    async fn metrics_can_be_down_or_nonsense() {
        let world = world().await;
        world.fault(Fault::MetricsNonsense).await;
        let (status, text) = ask(&world, "/metrics", Traffic::Direct).await;
        assert!(status == 200 && text.starts_with("<!DOCTYPE html>"), "{status} {text}");
        world.fault(Fault::MetricsDown).await;
        assert_eq!(ask(&world, "/metrics", Traffic::Direct).await.0, 503);
        assert_eq!(ask(&world, "/health", Traffic::Direct).await.0, 200);
    }

    #[tokio::test]
    async fn a_behaviour_is_played() {
        let world = world().await;
        let behaviour = Behaviour { cpu: 0.97, payments: 0.0, ..Behaviour::default().erring(0.5) };
        world.behave(Who::version("v1"), behaviour);
        let mut statuses = Vec::new();
        for _ in 0..4 {
            statuses.push(ask(&world, "/api/payments", Traffic::Direct).await.0);
        }
        assert_eq!(statuses, [200, 500, 200, 500]);
        let text = ask(&world, "/metrics", Traffic::Direct).await.1;
        assert!(text.contains("process_cpu_ratio 0.97") && text.contains("payments_total{outcome=\"ok\"} 0"), "{text}");
    }
}
