//! What is asked for, and what is refused beforehand.

use std::collections::BTreeMap;

use super::*;
use crate::config::NoData;

fn rule(metric: &str, bound: Bound) -> Rule {
    Rule { metric: metric.parse().expect("a name"), bounds: vec![bound], consecutive: 2 }
}

fn metrics(source: MetricsSource, queries: &[&str]) -> Metrics {
    let queries: BTreeMap<MetricName, String> = queries.iter().map(|name| (name.parse().expect("a name"), "1".into())).collect();
    Metrics { source, queries, window: Duration::from_secs(60), no_data: NoData::Hold, confidence: None, min_requests: 50 }
}

#[test]
fn each_thing_is_read_once_and_stable_only_where_it_is_of_use() {
    let ratio = |value| Bound::Max(Quantity::ratio(value));
    let rules = [
        rule("error-rate", ratio(0.01)),
        rule("error-rate", ratio(0.005)),
        rule("latency-p99", Bound::Max(Quantity::seconds(2.0))),
        rule("latency-p99", Bound::Max(Quantity::seconds(1.0))),
        rule("cpu", ratio(0.9)),
        rule("orders", Bound::Min(Quantity::plain(1.0))),
        rule("orders", Bound::MinOfBaseline("90%".parse().expect("a share"))),
        rule("health", ratio(0.0)),
        rule("restarts", ratio(0.0)),
        rule("database-connections", ratio(0.0)),
    ];
    let shown: Vec<String> = wants(&rules)
        .iter()
        .map(|want| format!("{} {} {:?}", want.metric, want.over.map(|over| over.to_string()).unwrap_or_default(), want.beside))
        .collect();
    assert_eq!(shown, ["error-rate  Stable", "latency-p99 2000 ms Stable", "latency-p99 1000 ms Stable", "cpu  Nobody", "orders  Stable"]);
}

fn given(metrics: Option<&Metrics>) -> Given<'_> {
    Given { metrics, prometheus_token: None, database: Some(Database { connections: 20 }), database_url: None }
}

#[test]
fn a_gate_that_could_not_judge_is_refused() {
    let server = metrics(MetricsSource::Prometheus("http://p:9090".parse().expect("a URL")), &["orders", "memory"]);
    let pages = metrics(MetricsSource::Scrape { path: "/metrics".into() }, &["orders", "memory"]);
    let (server, pages, nothing) = (given(Some(&server)), given(Some(&pages)), given(None));
    let any = |metric: &str| [rule(metric, Bound::Max(Quantity::ratio(0.5)))];
    for metric in ["error-rate", "success-rate", "latency-p99", "requests", "health", "restarts", "cpu"] {
        assert_eq!(check(&any(metric), &server), Ok(()), "{metric}");
        assert_eq!(check(&any(metric), &pages), Ok(()), "{metric}");
    }
    assert_eq!(check(&any("orders"), &server), Ok(()));
    // Without a query, and without metrics at all, Azure Monitor has it.
    for metric in ["health", "cpu", "memory"] {
        assert_eq!(check(&any(metric), &nothing), Ok(()), "{metric}");
    }
    let secret = |text: &str| Secret::new(text.into());
    let (url, other) = (secret("postgres://app:s3cr3t@db/prod"), secret("mysql://app:s3cr3t@db/prod"));
    let database = |url| Given { database_url: Some(url), ..nothing };
    assert_eq!(check(&any("database-connections"), &database(&url)), Ok(()));
    assert_eq!(check(&any("health"), &database(&other)), Ok(()), "where nothing asks it, it may be any");
    let refused: Vec<String> = [
        check(&[], &server),
        check(&any("error-rate"), &nothing),
        check(&any("orders"), &pages),
        check(&any("cache-hit-ratio"), &server),
        check(&any("memory"), &pages),
        check(&any("database-connections"), &server),
        check(&any("database-connections"), &database(&other)),
        check(&any("database-connections"), &Given { database: None, ..database(&url) }),
    ]
    .into_iter()
    .map(|checked| checked.expect_err("refused").to_string())
    .collect();
    insta::assert_snapshot!(refused.join("\n\n"));
}

#[test]
fn patience_is_half_a_tick() {
    let http = || crate::http::client().expect("a client");
    let metrics = metrics(MetricsSource::Scrape { path: "/".into() }, &[]);
    let made = |every| Sources::new(&given(Some(&metrics)), every, http());
    assert!(made(Duration::ZERO).is_ok() && made(Duration::MAX).is_ok());
}

#[test]
fn endpoints_are_written_as_prometheus_labels_them() {
    let endpoint = |host: &str| Target { instance: "a".parse().expect("a name"), host: host.into(), port: 3000 }.endpoint();
    assert_eq!((endpoint("10.0.0.4").as_str(), endpoint("fe80::1").as_str()), ("10.0.0.4:3000", "[fe80::1]:3000"));
}

#[test]
fn a_strangers_text_is_one_short_line() {
    assert_eq!(shown("a\u{1b}[31m\r\n  b"), "a [31m b");
    assert_eq!(shown(&"é".repeat(500)).chars().count(), SHOWN + 1);
}
