//! Metrics that answer nonsense while a release is watched (issue "bad input"): each has one verdict and one behaviour, people are
//! served all the while, and what was live before is left as it is.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on says so")]

mod common;
#[path = "common/tiny_server.rs"]
mod tiny_server;

use std::net::SocketAddr;

use common::{changes, run, world};
use sandbox::{Finished, Load, RunSpec, Seen, Slot, Staging, World};
use tiny_server::{Answer, Asked, json, one, serve, text, vector};

const BEFORE: &str = "main-9f8e7d6";
const GROUP: &str = "staging-nextgen";
const BLUE: &str = "aci-staging-blue";
const GREEN: &str = "aci-staging-green";

/// A Prometheus server as it should be: five hundred requests, none failed, 30 ms each.
fn good(asked: &Asked) -> Answer {
    let query = asked.query();
    match () {
        () if query.contains("timestamp(up") => one("0.2"),
        () if query.contains("histogram_quantile") => one("0.03"),
        () if query.contains("sum by (le)") => vector(&[("{\"le\":\"0.1\"}", "500"), ("{\"le\":\"+Inf\"}", "500")]),
        () if query.starts_with("sum(increase(") => one("500"),
        () => one("0"),
    }
}

/// A release to staging, watched by what a Prometheus server says, with this further line in `metrics`. Gives the server's
/// address, too.
async fn release(says: fn(&Asked) -> Answer, further: &str) -> (World, Finished, Seen, SocketAddr) {
    let world = world().await;
    world.seed(&Staging::live(Slot::Blue, BEFORE).with_ttl(1)).await.expect("seeded");
    // Nobody is left at the version before: where people arrive is no matter of these tests.
    let before = world.address(GROUP, BLUE).expect("an address").to_string().replace('.', "[.]");
    let is_of_before = move |query: &str| query.starts_with("sum(increase(") && query.contains(&before);
    let server = serve(move |asked| if is_of_before(asked.query()) { one("0") } else { says(asked) }).await;
    let load = world.load(&Load::of("staging"));
    load.until(|seen| seen.total.requests > 50).await;
    let mut spec = RunSpec::push_main(&world);
    assert!(spec.config.contains("  scrape: {}\n"), "{}", spec.config);
    spec.config = spec.config.replace("  scrape: {}\n", &format!("  prometheus: http://{server}\n{further}"));
    let done = run(&world, &spec).await;
    (world, done, load.stop().await, server)
}

/// Whom the profile sends people to.
fn live(world: &World) -> String {
    let profile = world.profile(GROUP, "tm-staging").expect("a profile");
    let endpoints = profile["properties"]["endpoints"].as_array().expect("endpoints").clone();
    let on = endpoints.iter().filter(|endpoint| endpoint["properties"]["endpointStatus"] == "Enabled");
    on.map(|endpoint| endpoint["name"].as_str().unwrap_or_default().to_owned()).collect()
}

/// Why the run ended as it did.
fn why(done: &Finished) -> String {
    let end = done.evidence.iter().rfind(|line| line["event"]["kind"] == "finished").expect("an end");
    end["event"]["failure"]["what"].as_str().unwrap_or_default().to_owned()
}

#[tokio::test]
async fn numbers_that_are_numbers_promote() {
    let (world, done, seen, _) = release(good, "").await;
    assert_eq!((done.code, done.outputs["outcome"].as_str()), (Some(0), "healthy"), "{}", done.stdout);
    assert_eq!((live(&world).as_str(), seen.total.failures), ("green-endpoint", 0));
}

/// What is no number is no good news: the release is held, both versions run, and the message says what is wrong where.
#[tokio::test]
async fn nonsense_is_no_evidence_and_leaves_both_versions_running() {
    type Handler = fn(&Asked) -> Answer;
    let cases: [(&str, Handler); 12] = [
        ("NaN", |_| one("NaN")),
        ("infinity", |_| one("+Inf")),
        ("several series", |asked| {
            if asked.query().contains("timestamp(up") { one("0.2") } else { vector(&[("{\"a\":\"1\"}", "0"), ("{\"a\":\"2\"}", "0")]) }
        }),
        ("no series", |asked| if asked.query().contains("timestamp(up") { one("0.2") } else { vector(&[]) }),
        ("percent for a ratio", |_| one("99.5")),
        ("a number that is a word", |_| one("fine")),
        ("a string", |_| json(r#"{"status":"success","data":{"resultType":"string","result":[1.5,"fine"]}}"#)),
        ("text", |_| text("fine")),
        ("JSON of another make", |_| json(r#"{"answer": 42}"#)),
        ("an HTML login page", |_| Answer::With(200, "text/html", String::new(), "<html><title>Log in</title></html>".into())),
        ("a redirect to a login", |_| Answer::With(302, "", "Location: https://login.nextgen.local/?next=%2F\r\n".into(), String::new())),
        ("401", |_| Answer::With(401, "text/plain", String::new(), "Unauthorized".into())),
    ];
    let mut said = String::new();
    for some in cases.chunks(4) {
        // Most of the time they wait: a few are waited for together.
        let runs = some.iter().map(async |(name, handler)| (*name, release(*handler, "").await));
        for (name, (world, done, seen, server)) in futures::future::join_all(runs).await {
            assert_eq!((done.code, done.outputs["outcome"].as_str()), (Some(3), "held"), "{name}: {}", done.stdout);
            // The old version was written by nobody and stands by; nobody lost a request.
            let standing = (world.generation(GROUP, BLUE), world.container_groups().len(), seen.total.failures);
            assert_eq!(standing, (Some(1), 2, 0), "{name}: {:?}", seen.failed);
            let changed = [format!("PUT {GREEN}"), "PUT tm-staging".into(), format!("PATCH {GREEN}")];
            assert_eq!((live(&world).as_str(), changes(&world)), ("green-endpoint", changed.into()), "{name}");
            let green = world.address(GROUP, GREEN).expect("an address");
            let why = why(&done).replace(&server.to_string(), "p:9090").replace(&green.to_string(), "green:3000");
            said.push_str(&format!("{name}:\n  {}\n", why.replace("; latency-p99", ";\n  latency-p99")));
        }
    }
    insta::assert_snapshot!(said);
}

/// `no-data: fail` takes silence for guilt: the release is taken back, traffic first.
#[tokio::test]
async fn where_no_data_fails_nonsense_is_taken_back() {
    let handlers: [fn(&Asked) -> Answer; 2] = [|_| one("NaN"), |_| text("fine")];
    for handler in handlers {
        let (world, done, seen, _) = release(handler, "  no-data: fail\n").await;
        assert_eq!((done.code, done.outputs["outcome"].as_str()), (Some(1), "rolled-back"), "{}", done.stdout);
        assert_eq!((live(&world).as_str(), world.container_groups()), ("blue-endpoint", vec![format!("{GROUP}/{BLUE}")]));
        assert_eq!((world.generation(GROUP, BLUE), seen.total.failures), (Some(1), 0));
        assert!(why(&done).contains("it counts as a breach (no-data: fail)"), "{}", why(&done));
    }
}
