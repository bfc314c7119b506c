//! A release to staging that a real Prometheus server watches, scraping the sandbox's instances, ends as one that reads their pages
//! itself: promoted when it is good, taken back when it errs. PROMETHEUS names the server's binary; without it this is ignored.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on says so")]

mod common;
#[path = "common/prometheus.rs"]
mod prometheus;

use std::time::Duration;

use common::{changes, run};
use prometheus::Prometheus;
use sandbox::{Clocks, Fault, Load, Options, RunSpec, Slot, Staging, World};

/// Where the numbers come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    Pages,
    Prometheus,
}

/// The server scrapes once a second, and needs two looks for a rate.
const CLOCKS: Clocks = Clocks {
    every: Duration::from_secs(2),
    observe_for: Duration::from_secs(15),
    observe_every: Duration::from_secs(1),
    window: Duration::from_secs(5),
    ..Clocks::quick()
};

/// How a release under `fault` ended, as far as it does not depend on when one looked.
#[derive(Debug, PartialEq, Eq)]
struct Ended {
    code: Option<i32>,
    outcome: String,
    changes: Vec<String>,
    /// The rules that were seen broken at the last tick.
    broken: Vec<String>,
    /// Whether requests were counted when it was verified that people arrive.
    counted: Counted,
}

#[derive(Debug, PartialEq, Eq)]
enum Counted {
    All,
    Nothing,
}

async fn release(fault: Option<Fault>, source: Source) -> (Ended, String) {
    // As long as a server needs to discover a new instance (Prometheus looks at discoveries every five seconds); in life an
    // instance takes longer to come up.
    let world = World::start(Options { boot: Duration::from_secs(8), ..Options::quick() }).await.expect("a world");
    world.seed(&Staging::live(Slot::Blue, "main-9f8e7d6").with_ttl(1)).await.expect("seeded");
    let server = match source {
        Source::Pages => None,
        Source::Prometheus => Some(Prometheus::of_world(&world).await),
    };
    let load = world.load(&Load::of("staging"));
    load.until(|seen| seen.total.requests > 50).await;
    if let Some(fault) = fault {
        world.fault(fault).await;
    }
    let mut spec = RunSpec::push_main(&world);
    spec.config = world.config(&CLOCKS);
    if let Some(server) = &server {
        spec.config = spec.config.replace("  scrape: {}\n", &format!("  prometheus: {}\n", server.url()));
    }
    let done = run(&world, &spec).await;
    load.stop().await;
    let of = |kind: &str| done.evidence.iter().map(|line| &line["event"]).filter(|event| event["kind"] == kind).collect::<Vec<_>>();
    let last = of("tick").last().map(|tick| tick["judgements"].clone()).unwrap_or_default();
    let broken = last.as_array().into_iter().flatten().filter(|judgement| judgement["verdict"] == "breach");
    let arrived = of("arrival").last().map(|arrival| arrival["arrived"]["realised"].clone()).unwrap_or_default();
    let ended = Ended {
        code: done.code,
        outcome: done.outputs["outcome"].clone(),
        changes: changes(&world),
        broken: broken.map(|judgement| judgement["metric"].as_str().unwrap_or_default().to_owned()).collect(),
        counted: if arrived.is_null() { Counted::Nothing } else { Counted::All },
    };
    (ended, done.stdout)
}

#[tokio::test]
#[ignore = "needs PROMETHEUS, the binary of a Prometheus server; it takes a minute, because the server scrapes once a second"]
async fn a_release_ends_alike_whoever_has_the_numbers() {
    // Most of the time they wait: they are waited for together.
    let (good, bad) = (None, Some(Fault::ErrorsAfterSwitch));
    let (good_pages, good_server, bad_pages, bad_server) = tokio::join!(
        release(good, Source::Pages),
        release(good, Source::Prometheus),
        release(bad, Source::Pages),
        release(bad, Source::Prometheus)
    );
    let expected = [(Some(0), vec![]), (Some(1), vec!["error-rate".to_owned()])];
    for ((code, broken), (pages, server)) in expected.into_iter().zip([(good_pages, good_server), (bad_pages, bad_server)]) {
        let ((by_pages, pages_log), (by_server, server_log)) = (pages, server);
        assert_eq!((by_pages.code, &by_pages.broken, &by_pages.counted), (code, &broken, &Counted::All), "{pages_log}");
        assert_eq!(by_server, by_pages, "{server_log}");
    }
}
