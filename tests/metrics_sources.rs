//! Where the numbers come from, over real HTTP: what servers answer, what they hold back, and that a Prometheus server and the
//! instances' own pages lead to the same verdicts. PROMETHEUS names the binary of a real server, for the test that is ignored.

#![allow(clippy::expect_used, clippy::panic, reason = "a test stops where it is surprised, in its helpers too")]

#[path = "common/prometheus.rs"]
mod prometheus;
#[path = "common/tiny_server.rs"]
mod tiny_server;

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use deploy_action::{
    config::{self, Bound, Metrics, MetricsSource, NoData, Quantity, Rule},
    domain::{Secret, Share},
    gate::{Basis, Conclusion, Gate, Given, Reading, Realised, Sample, Settings, Sources, Subject, Target, Verdict},
    http,
};
use prometheus::Prometheus;
use tiny_server::{Answer, Asked, json, one, serve, text, vector};
use tokio::net::TcpListener;

// ---- what is asked for ------------------------------------------------------------------------------------------------

fn metrics(source: MetricsSource) -> Metrics {
    Metrics {
        source,
        queries: BTreeMap::new(),
        window: Duration::from_secs(60),
        no_data: NoData::Hold,
        confidence: Share::from_ppm(990_000),
        min_requests: 50,
    }
}

fn server(address: SocketAddr) -> Metrics {
    metrics(MetricsSource::Prometheus(format!("http://{address}/prom").parse().expect("a URL")))
}

fn with_query(mut metrics: Metrics, name: &str, query: &str) -> Metrics {
    metrics.queries.insert(name.parse().expect("a name"), query.into());
    metrics
}

const TICK: Duration = Duration::from_secs(10);

fn sources(metrics: &Metrics, token: Option<&str>) -> Sources {
    let token = token.map(|token| Secret::new(token.into()));
    let given = Given { metrics: Some(metrics), prometheus_token: token.as_ref(), database: None, database_url: None };
    Sources::new(&given, TICK, http::client().expect("a client")).expect("sources")
}

fn rule(metric: &str, bound: Bound) -> Rule {
    Rule { metric: metric.parse().expect("a name"), bounds: vec![bound], consecutive: 1 }
}

fn any(metric: &str) -> Rule {
    rule(metric, Bound::Max(Quantity::plain(0.5)))
}

fn target() -> Target {
    Target { instance: "a".parse().expect("a name"), host: "10.0.0.4".into(), port: 3000 }
}

fn at(address: SocketAddr) -> Target {
    Target { instance: "a".parse().expect("a name"), host: address.ip().to_string(), port: address.port() }
}

async fn read_one(sources: &mut Sources, rule: Rule, target: Target) -> Sample {
    let mut samples = sources.read(&[rule], &[target], &[]).await;
    assert_eq!(samples.len(), 1, "{samples:?}");
    samples.pop().expect("a sample")
}

fn why(reading: &Reading) -> String {
    match reading {
        Reading::Value { value, basis } => format!("{value} {basis:?}"),
        Reading::NoData { why } => format!("no data: {why}"),
        Reading::Failed { why } => format!("failed: {why}"),
        Reading::Stale { age_ms, why } => format!("stale, {age_ms} ms: {why}"),
    }
}

// ---- a Prometheus server, scripted -------------------------------------------------------------------------------------

#[tokio::test]
async fn a_query_is_posted_as_a_form_with_the_token() {
    let heads = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&heads);
    let address = serve(move |asked| {
        seen.lock().expect("unshared").push((asked.head.clone(), asked.query().to_owned()));
        one("0.25")
    })
    .await;
    let metrics = with_query(server(address), "orders", "sum(orders{instance=~\"$instances\"}[$window]) + 1");
    for (token, header) in [(Some("s3cret"), "authorization: bearer s3cret"), (Some("ann:pw"), "authorization: basic yw5uonb3"), (None, "")]
    {
        let sample = read_one(&mut sources(&metrics, token), any("orders"), target()).await;
        assert_eq!(sample.reading, Reading::plain(0.25));
        let query = "sum(orders{instance=~\"10[.]0[.]0[.]4:3000\"}[60s]) + 1";
        assert_eq!(sample.query, format!("{query} at http://{address}/prom"));
        let heads = std::mem::take(&mut *heads.lock().expect("unshared"));
        assert!(heads.iter().any(|(_, asked)| asked == query), "{heads:?}");
        for (head, _) in heads {
            let head = head.to_ascii_lowercase();
            assert!(head.starts_with("post /prom/api/v1/query http/1.1\r\n"), "{head}");
            assert!(head.contains("content-type: application/x-www-form-urlencoded"), "{head}");
            assert_eq!(head.contains("authorization:"), token.is_some());
            assert!(head.contains(header), "{head}");
        }
    }
}

#[tokio::test]
async fn a_redirect_never_takes_the_token_along() {
    let asked = Arc::new(Mutex::new(0));
    let counter = Arc::clone(&asked);
    let elsewhere = serve(move |_| {
        *counter.lock().expect("unshared") += 1;
        one("0")
    })
    .await;
    for status in [301, 302, 307, 308] {
        let location = format!("Location: http://{elsewhere}/api/v1/query\r\n");
        let address = serve(move |_| Answer::With(status, "text/html", location.clone(), String::new())).await;
        let sample = read_one(&mut sources(&server(address), Some("s3cret")), any("requests"), target()).await;
        let said = why(&sample.reading);
        assert!(said.starts_with("failed: ") && said.contains(&format!("redirects to http://{elsewhere}/api/v1/query")), "{said}");
    }
    assert_eq!(*asked.lock().expect("unshared"), 0);
}

/// The clock stands still while anything can be done, so the time limit is reached only when all else is answered.
#[tokio::test(start_paused = true)]
async fn a_slow_query_is_given_up_alone() {
    let address = serve(|asked| if asked.query().contains("slow") { Answer::Never } else { one("0.25") }).await;
    let metrics = with_query(with_query(server(address), "slow", "slow_metric"), "orders", "orders");
    let begun = tokio::time::Instant::now();
    let samples = sources(&metrics, None).read(&[any("slow"), any("orders")], &[target()], &[]).await;
    let said: Vec<String> = samples.iter().map(|sample| why(&sample.reading)).collect();
    assert_eq!(said, [format!("failed: no answer from http://{address}/prom within 5 s"), "0.25 Plain".to_owned()]);
    assert_eq!(begun.elapsed(), Duration::from_secs(5), "half a tick, for all of them together");
    let judged = Gate::new(&[any("slow"), any("orders")], Settings::of(Some(&metrics))).judge(&samples);
    assert_eq!(judged.iter().map(|judgement| judgement.verdict).collect::<Vec<_>>(), [Verdict::SourceError, Verdict::Pass]);
}

#[tokio::test]
async fn what_a_server_answers_becomes_a_reading() {
    let mut said = Vec::new();
    let mut tell = async |metric: &str, handler: fn(&Asked) -> Answer| {
        let address = serve(handler).await;
        let metrics = with_query(server(address), "orders", "orders");
        let sample = read_one(&mut sources(&metrics, None), any(metric), target()).await;
        said.push(format!("{metric}: {}", why(&sample.reading).replace(&address.to_string(), "p:9090")));
    };
    const UP: &str = "timestamp(up";
    tell("orders", |_| one("7")).await;
    tell("orders", |_| one("NaN")).await;
    tell("orders", |_| one("+Inf")).await;
    tell("orders", |asked| if asked.query().contains(UP) { one("3") } else { vector(&[("{\"a\":\"1\"}", "1"), ("{\"a\":\"2\"}", "2")]) })
        .await;
    // Empty: the server does not know the endpoint, knows it, or knows nothing of `up`.
    tell("orders", |_| vector(&[])).await;
    tell("error-rate", |asked| if asked.query().contains(UP) { one("3") } else { vector(&[]) }).await;
    tell("error-rate", |asked| if asked.query().contains(UP) { Answer::With(422, "", String::new(), String::new()) } else { vector(&[]) })
        .await;
    // A gauge that was read long ago is still answered for five minutes.
    tell("orders", |asked| if asked.query().contains(UP) { vector(&[("{}", "3"), ("{}", "95.5")]) } else { one("7") }).await;
    tell("orders", |_| Answer::With(200, "text/html", String::new(), "<html>Log in</html>".into())).await;
    tell("orders", |_| json("x".repeat(2 * 1024 * 1024))).await;
    tell("cpu", |_| one("7")).await;
    tell("success-rate", |_| one("99.5")).await;
    let nobody = TcpListener::bind("127.0.0.1:0").await.expect("a port").local_addr().expect("an address");
    let sample = read_one(&mut sources(&server(nobody), None), any("requests"), target()).await;
    said.push(why(&sample.reading).replace(&nobody.to_string(), "p:9090"));
    insta::assert_snapshot!(said.join("\n"));
}

#[tokio::test]
async fn rates_carry_realised_counts() {
    // 60 s: 4 % of 200 requests. Since the watch began, 61 s or more: 3 % of 500.
    let address = serve(|asked| {
        let window = asked.query().contains("[60s]");
        let query = asked.query();
        let of = |window_value: &str, total_value: &str| one(if window { window_value } else { total_value });
        match () {
            () if query.contains("timestamp(up") => one("3"),
            () if query.starts_with("sum(increase(") => of("200.4", "499.6"),
            () if query.starts_with("1 - (") => of("0.96", "0.97"),
            () if query.contains("vector(0)") => of("0.04", "0.03"),
            () if query.starts_with("histogram_quantile") => one("0.3"),
            // Requests a second by bucket.
            () => {
                let (fast, slow, all) = if window { ("2", "3", "3") } else { ("4", "5", "5") };
                vector(&[("{\"le\":\"0.1\"}", fast), ("{\"le\":\"1\"}", slow), ("{\"le\":\"+Inf\"}", all)])
            }
        }
    })
    .await;
    let mut sources = sources(&server(address), None);
    let rules = [
        rule("error-rate", Bound::Max(Quantity::ratio(0.01))),
        rule("success-rate", Bound::Min(Quantity::ratio(0.99))),
        rule("latency-p99", Bound::Max(Quantity::seconds(0.1))),
        rule("throughput", Bound::Min(Quantity::plain(1.0))),
    ];
    let mut samples = sources.read(&rules, &[target()], &[target()]).await;
    let stable = samples.split_off(4);
    assert_eq!(
        stable.iter().map(|sample| (sample.metric.as_str(), sample.subject)).collect::<Vec<_>>(),
        [("error-rate", Subject::Baseline), ("success-rate", Subject::Baseline), ("latency-p99", Subject::Baseline),]
    );
    let counts = |sample: &Sample| match sample.reading {
        Reading::Value { basis: Basis::Counts { window, total }, .. } => (window.requests, window.events, total.requests, total.events),
        ref other => panic!("{other:?}"),
    };
    assert_eq!((counts(&samples[0]), counts(&samples[1])), ((200, 8, 500, 15), (200, 8, 500, 15)));
    let (requests, slow, total, _) = counts(&samples[2]);
    assert_eq!((requests, slow), (180, 60));
    assert!(total >= 5 * 60, "{total}");
    assert!(matches!(samples[3].reading, Reading::Failed { .. }), "there is no query for it");
}

#[tokio::test]
async fn realised_requests_are_counted_from_call_to_call() {
    let address = serve(|_| one("12.2")).await;
    let mut server = sources(&server(address), None);
    let first = server.request_counts(&[target()]).await;
    assert!(matches!(&first[0].realised, Realised::Unknown { why } if why == "it is asked for the first time"));
    assert_eq!(server.request_counts(&[target()]).await[0].realised, Realised::Requests { requests: 12 });

    let served = Arc::new(Mutex::new(100));
    let counter = Arc::clone(&served);
    let page = serve(move |_| text(format!("requests_total{{status=\"200\"}} {}\n", counter.lock().expect("unshared")))).await;
    let mut pages = sources(&metrics(MetricsSource::Scrape { path: "/metrics".into() }), None);
    assert!(matches!(pages.request_counts(&[at(page)]).await[0].realised, Realised::Unknown { .. }));
    *served.lock().expect("unshared") += 42;
    let counts = pages.request_counts(&[at(page)]).await;
    assert_eq!((counts[0].endpoint.as_str(), &counts[0].realised), (page.to_string().as_str(), &Realised::Requests { requests: 42 }));
    assert_eq!(pages.request_counts(&[at(page)]).await[0].realised, Realised::Requests { requests: 0 });
}

// ---- the instances' own pages ------------------------------------------------------------------------------------------

#[tokio::test(start_paused = true)]
async fn a_slow_page_is_given_up_alone() {
    let good = serve(|_| text("requests_total{status=\"200\"} 100\n")).await;
    let slow = serve(|_| Answer::Never).await;
    let mut sources = sources(&metrics(MetricsSource::Scrape { path: "/metrics".into() }), None);
    let begun = tokio::time::Instant::now();
    let rules = [rule("error-rate", Bound::Max(Quantity::ratio(0.01)))];
    let samples = sources.read(&rules, &[at(good)], &[at(slow)]).await;
    assert_eq!(begun.elapsed(), Duration::from_secs(5));
    assert!(why(&samples[0].reading).starts_with("no data: "), "the first look");
    assert_eq!(why(&samples[1].reading), format!("failed: the metrics page of {slow}: no answer within 5 s"));
}

#[tokio::test]
async fn a_page_without_end_is_not_kept() {
    let endless = serve(|_| text("a 1\n".repeat(3 * 1024 * 1024))).await;
    let mut sources = sources(&metrics(MetricsSource::Scrape { path: "/metrics".into() }), None);
    let sample = read_one(&mut sources, rule("error-rate", Bound::Max(Quantity::ratio(0.01))), at(endless)).await;
    assert!(why(&sample.reading).contains("larger than 8388608 bytes"), "{:?}", sample.reading);
}

// ---- both tell the same ------------------------------------------------------------------------------------------------

/// An application that serves a batch of requests between any two looks at its page, always of the same mixture, so that rates
/// do not depend on who looks when.
#[derive(Clone, Copy)]
struct Mixture {
    name: &'static str,
    good: u64,
    failed: u64,
    /// Of the requests, those that took up to 50 ms, up to 100 ms, up to 1 s, and longer.
    times: [u64; 4],
}

const MIXTURES: [Mixture; 6] = [
    Mixture { name: "healthy", good: 1000, failed: 0, times: [900, 100, 0, 0] },
    Mixture { name: "a few errors", good: 998, failed: 2, times: [900, 100, 0, 0] },
    Mixture { name: "failing", good: 900, failed: 100, times: [900, 100, 0, 0] },
    Mixture { name: "collapsed", good: 0, failed: 1000, times: [1000, 0, 0, 0] },
    Mixture { name: "slow", good: 1000, failed: 0, times: [500, 300, 150, 50] },
    Mixture { name: "idle", good: 0, failed: 0, times: [0; 4] },
];

impl Mixture {
    fn page(self, looks: u64) -> String {
        let [fast, quick, slow, slower] = self.times.map(|count| count * looks);
        format!(
            "# TYPE requests_total counter\nrequests_total{{status=\"200\"}} {}\nrequests_total{{status=\"500\"}} {}\n\
             # TYPE request_duration_seconds histogram\n\
             request_duration_seconds_bucket{{le=\"0.05\"}} {fast}\nrequest_duration_seconds_bucket{{le=\"0.1\"}} {}\n\
             request_duration_seconds_bucket{{le=\"1\"}} {}\nrequest_duration_seconds_bucket{{le=\"+Inf\"}} {}\n",
            self.good * looks,
            self.failed * looks,
            fast + quick,
            fast + quick + slow,
            fast + quick + slow + slower
        )
    }

    async fn serve(self) -> SocketAddr {
        let looks = Mutex::new(0);
        serve(move |_| {
            let mut looks = looks.lock().expect("unshared");
            *looks += 1;
            text(self.page(*looks))
        })
        .await
    }
}

fn both_rules() -> Vec<Rule> {
    vec![
        rule("error-rate", Bound::Max(Quantity::ratio(0.01))),
        rule("error-rate", Bound::Max(Quantity::ratio(0.0))),
        rule("success-rate", Bound::Min(Quantity::ratio(0.95))),
        rule("latency-p99", Bound::Max(Quantity::seconds(0.1))),
        rule("latency-p99", Bound::Max(Quantity::seconds(0.5))),
        rule("latency-p99", Bound::Max(Quantity::seconds(30.0))),
        rule("requests", Bound::Min(Quantity::plain(1.0))),
    ]
}

/// One tick as a gate judges it afresh: verdicts and, of ratios and times, values.
fn verdicts(samples: &[Sample], metrics: &Metrics) -> Vec<String> {
    let judgements = Gate::new(&both_rules(), Settings::of(Some(metrics))).judge(samples);
    let told = judgements.iter().map(|judgement| {
        let value = match (judgement.metric.as_str(), judgement.value) {
            // How many there were depends on when one looked.
            ("requests", _) | (_, None) => "-".to_owned(),
            (_, Some(value)) => format!("{:.4}", value.value),
        };
        format!("{} {value} {}{}", judgement.metric, judgement.verdict, if judgement.trips() { ", trips" } else { "" })
    });
    told.collect()
}

fn scraping() -> Metrics {
    Metrics { window: Duration::from_secs(10), ..metrics(MetricsSource::Scrape { path: "/metrics".into() }) }
}

/// What the pages alone say of each mixture: the words that a real server has to agree with.
async fn by_pages(address: SocketAddr) -> (Vec<String>, Conclusion) {
    let metrics = scraping();
    let mut sources = sources(&metrics, None);
    let mut gate = Gate::new(&both_rules(), Settings::of(Some(&metrics)));
    let mut said = Vec::new();
    // The first look brings no rate yet.
    for _ in 0..3 {
        let samples = sources.read(&both_rules(), &[at(address)], &[]).await;
        gate.judge(&samples);
        said = verdicts(&samples, &metrics);
    }
    (said, gate.conclude())
}

/// How far apart the numbers of a server and of the pages may be: the server scrapes at other moments, and extrapolates.
const TOLERANCE: f64 = 0.05;

/// Error rate and p99, where there are numbers.
async fn numbers(sources: &mut Sources, address: SocketAddr) -> Vec<(String, f64)> {
    let rules = [rule("error-rate", Bound::Max(Quantity::ratio(0.01))), rule("latency-p99", Bound::Max(Quantity::seconds(0.1)))];
    let samples = sources.read(&rules, &[at(address)], &[]).await;
    let value = |sample: &Sample| match &sample.reading {
        Reading::Value { value, .. } => Some((sample.metric.to_string(), *value)),
        Reading::NoData { .. } | Reading::Failed { .. } | Reading::Stale { .. } => None,
    };
    samples.iter().filter_map(value).collect()
}

#[tokio::test]
async fn the_pages_tell_good_from_bad() {
    let mut told = String::new();
    for mixture in MIXTURES {
        let (said, conclusion) = by_pages(mixture.serve().await).await;
        let word = match conclusion {
            Conclusion::Passed => "passed",
            Conclusion::Held { .. } => "held",
            Conclusion::Tripped { .. } => "tripped",
        };
        told.push_str(&format!("{}: {word}\n  {}\n", mixture.name, said.join("\n  ")));
    }
    insta::assert_snapshot!(told);
}

#[tokio::test]
#[ignore = "needs PROMETHEUS, the binary of a Prometheus server; it takes a dozen seconds, because the server scrapes once a second"]
async fn a_real_server_tells_the_same() {
    let mut addresses = Vec::new();
    for mixture in MIXTURES {
        addresses.push(mixture.serve().await);
    }
    let prometheus = Prometheus::of_targets(&addresses).await;
    let base: url::Url = prometheus.url().parse().expect("a URL");
    let built_in = Metrics { source: MetricsSource::Prometheus(base), ..scraping() };
    // The example's own queries must say the same as the built-in ones.
    let example = config::parse(include_str!("../examples/deploy.yml"), "deploy.yml").expect("the example").metrics.expect("on");
    let configured = Metrics { queries: example.queries, ..built_in.clone() };
    let unknown = Target { instance: "a".parse().expect("a name"), host: "192.0.2.1".into(), port: 9 };

    let mut compared = 0;
    for (mixture, address) in MIXTURES.iter().zip(&addresses) {
        let (pages, _) = by_pages(*address).await;
        let mut page_sources = sources(&scraping(), None);
        numbers(&mut page_sources, *address).await;
        for metrics in [&built_in, &configured] {
            let mut sources = sources(metrics, None);
            let mut said = Vec::new();
            // The server needs two scrapes before it can tell a rate.
            for _ in 0..120 {
                let samples = sources.read(&both_rules(), &[at(*address)], &[]).await;
                said = verdicts(&samples, metrics);
                if said == pages {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(250)).await;
            }
            assert_eq!(said, pages, "{}", mixture.name);
            let (server, page) = (numbers(&mut sources, *address).await, numbers(&mut page_sources, *address).await);
            assert_eq!(server.len(), page.len(), "{}: {server:?} {page:?}", mixture.name);
            compared += page.len();
            for ((metric, server), (_, page)) in server.iter().zip(&page) {
                assert!(
                    (server - page).abs() <= TOLERANCE * page.abs(),
                    "{}: {metric} {server} by the server, {page} by the page",
                    mixture.name
                );
            }
        }
    }

    assert!(compared >= 2 * MIXTURES.len(), "{compared} numbers were compared");

    // What a real server answers to what nobody serves, and to what is no query.
    let mut said = Vec::new();
    for (metric, query) in [("orders", "orders{instance=~\"$instances\"}"), ("orders", "sum(("), ("orders", "up{instance=~\".+\"}")] {
        let metrics = with_query(built_in.clone(), metric, query);
        let sample = read_one(&mut sources(&metrics, None), any(metric), unknown.clone()).await;
        said.push(why(&sample.reading));
    }
    assert!(said[0].starts_with("no data: ") && said[0].contains("scrapes no target whose label `instance` is 192.0.2.1:9"), "{said:?}");
    assert!(said[1].starts_with("failed: ") && said[1].contains("refuses the query (400 bad_data)"), "{said:?}");
    assert!(said[2].starts_with("failed: ") && said[2].contains("6 series instead of one number"), "{said:?}");
    // Requests that really came, from call to call.
    let mut server = sources(&built_in, None);
    server.request_counts(&[at(addresses[0])]).await;
    let mut realised = Realised::Requests { requests: 0 };
    for _ in 0..120 {
        tokio::time::sleep(Duration::from_millis(250)).await;
        realised = server.request_counts(&[at(addresses[0])]).await.remove(0).realised;
        if matches!(realised, Realised::Requests { requests: 1.. }) {
            break;
        }
    }
    assert!(matches!(realised, Realised::Requests { requests: 1.. }), "{realised:?}");
}
