//! PromQL as text: the built-in queries, placeholders filled in, a `histogram_quantile` taken apart. Pure; asks nobody.

use std::time::Duration;

use super::Target;
use crate::{
    config::{MetricKind, Metrics},
    domain::MetricName,
};

/// The names under which applications count their requests, and the label that holds the status: those of the runbook's
/// example first, then the customary ones.
const REQUESTS: [&str; 2] = ["requests_total", "http_requests_total"];
const STATUS: [&str; 2] = ["status", "code"];

/// Likewise for the histogram of times, in seconds.
const DURATIONS: &str = "request_duration_seconds_bucket|http_request_duration_seconds_bucket";

/// The query of `metric`, placeholders not filled in: the configured one, or the built-in one. `None`: there is none.
pub(super) fn of(metric: &MetricName, metrics: &Metrics) -> Option<String> {
    if let Some(query) = metrics.queries.get(metric) {
        return Some(query.clone());
    }
    match MetricKind::of(metric) {
        MetricKind::ErrorRate => Some(error_rate()),
        // The rest of what is configured as errors: two queries of one thing could contradict each other.
        MetricKind::SuccessRate => match metrics.queries.iter().find(|(name, _)| MetricKind::of(name) == MetricKind::ErrorRate) {
            Some((_, errors)) => Some(format!("1 - ({errors})")),
            None => Some(format!("1 - ({})", error_rate())),
        },
        MetricKind::LatencyP99 => {
            Some(format!("histogram_quantile(0.99, sum by (le) (rate({{__name__=~\"{DURATIONS}\",instance=~\"$instances\"}}[$window])))"))
        }
        MetricKind::Requests => {
            Some(REQUESTS.map(|name| format!("sum(increase({name}{{instance=~\"$instances\"}}[$window]))")).join(" or "))
        }
        MetricKind::Throughput
        | MetricKind::Cpu
        | MetricKind::Memory
        | MetricKind::DatabaseConnections
        | MetricKind::Restarts
        | MetricKind::Health
        | MetricKind::Configured => None,
    }
}

/// The first of the customary counters that has a label with the status. An application that has not failed yet may have no
/// series of a failure: that is a rate of 0, and known to be one, because the series of the other requests have that label.
fn error_rate() -> String {
    let terms = REQUESTS.iter().flat_map(|name| {
        STATUS.iter().map(move |status| {
            let rate = |filter: &str| format!("sum(rate({name}{{instance=~\"$instances\",{status}{filter}}}[$window]))");
            format!("({} or vector(0)) / {}", rate("=~\"5..\""), rate("!=\"\""))
        })
    });
    terms.collect::<Vec<_>>().join(" or ")
}

/// How old the newest scrape of each endpoint is, in seconds; one series for each that the server knows.
pub(super) const AGES: &str = "time() - timestamp(up{instance=~\"$instances\"})";

/// `query` with `$instances` and `$window` filled in.
pub(super) fn filled(query: &str, targets: &[Target], window: Duration) -> String {
    query.replace("$instances", &alternation(targets)).replace("$window", &duration(window))
}

/// A regular expression that matches exactly these endpoints, within any of PromQL's quotes: a special character stands in
/// brackets, because a backslash would have to be written twice or once, depending on the quotes.
fn alternation(targets: &[Target]) -> String {
    let escaped = |target: &Target| -> String {
        let escape = |c: char| match c {
            c if c.is_ascii_alphanumeric() || matches!(c, ':' | '-' | '_') => c.to_string(),
            // Neither can stand alone in brackets, and neither occurs in an address.
            '^' | '\\' | '"' | '\'' | '`' => ".".to_owned(),
            c => format!("[{c}]"),
        };
        target.endpoint().chars().map(escape).collect()
    };
    let all: Vec<String> = targets.iter().map(escaped).collect();
    match all.as_slice() {
        [one] => one.clone(),
        several => format!("(?:{})", several.join("|")),
    }
}

/// As PromQL writes durations; whole milliseconds.
fn duration(window: Duration) -> String {
    let milliseconds = window.as_millis().max(1);
    if milliseconds.is_multiple_of(1000) { format!("{}s", milliseconds / 1000) } else { format!("{milliseconds}ms") }
}

/// What a histogram query asks of its buckets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Histogram {
    /// The query of the buckets, one series for each `le`.
    pub(super) buckets: String,
    /// What its numbers are.
    pub(super) unit: BucketUnit,
}

/// What the numbers of a bucket query are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BucketUnit {
    /// Requests a second.
    PerSecond,
    /// Requests in the window.
    Count,
}

/// Takes `histogram_quantile(0.99, …)` apart, so that the requests beyond a bound can be counted. `None` where the query is
/// anything else.
pub(super) fn histogram(query: &str) -> Option<Histogram> {
    let arguments = query.trim().strip_prefix("histogram_quantile")?.trim_start().strip_prefix('(')?.strip_suffix(')')?;
    let (quantile, buckets) = arguments.split_once(',')?;
    let p99 = quantile.trim().parse::<f64>().is_ok_and(|quantile| quantile == super::histogram::P99);
    let has = |function: &str| buckets.contains(&format!("{function}("));
    let unit = match (has("rate"), has("increase")) {
        (true, false) => BucketUnit::PerSecond,
        (false, true) => BucketUnit::Count,
        (true, true) | (false, false) => return None,
    };
    // `irate` looks at two samples only, which is no count of the window.
    let one_call = balanced(buckets) && !has("irate") && !has("histogram_quantile");
    (p99 && one_call).then(|| Histogram { buckets: buckets.trim().to_owned(), unit })
}

/// Whether every parenthesis is closed and none is closed that was not opened, quoted ones aside.
fn balanced(text: &str) -> bool {
    let mut depth = 0i32;
    let mut quote = None;
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match (quote, c) {
            (Some('"' | '\''), '\\') => drop(chars.next()),
            (Some(open), c) if c == open => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'' | '`') => quote = Some(c),
            (None, '(') => depth += 1,
            (None, ')') if depth == 0 => return false,
            (None, ')') => depth -= 1,
            (None, _) => {}
        }
    }
    depth == 0 && quote.is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(host: &str, port: u16) -> Target {
        Target { instance: "a".parse().expect("a name"), host: host.into(), port }
    }

    #[test]
    fn instances_are_matched_exactly_in_any_quotes() {
        let one = [target("10.0.0.4", 3000)];
        assert_eq!(
            filled("a{instance=~\"$instances\"}[$window]", &one, Duration::from_secs(60)),
            "a{instance=~\"10[.]0[.]0[.]4:3000\"}[60s]"
        );
        let two = [target("10.0.0.4", 3000), target("fe80::1", 80)];
        assert_eq!(filled("$instances", &two, Duration::ZERO), "(?:10[.]0[.]0[.]4:3000|[[]fe80::1[]]:80)");
        assert_eq!(filled("$instances", &[target("a\"} or vector(0)", 1)], Duration::ZERO), "a.[}][ ]or[ ]vector[(]0[)]:1");
        assert_eq!(filled("[$window]", &one, Duration::from_millis(1500)), "[1500ms]");
        assert_eq!(filled("[$window]", &one, Duration::ZERO), "[1ms]");
    }

    #[test]
    fn a_histogram_query_is_taken_apart() {
        let rate = "sum by (le) (rate(request_duration_seconds_bucket{instance=~\"$instances\"}[$window]))";
        let apart = histogram(&format!(" histogram_quantile(0.99, {rate}) "));
        assert_eq!(apart, Some(Histogram { buckets: rate.into(), unit: BucketUnit::PerSecond }));
        let increase = "sum by (le) (increase(a_bucket{path=\")(\"}[$window]))";
        let apart = histogram(&format!("histogram_quantile(0.990,{increase})"));
        assert_eq!(apart, Some(Histogram { buckets: increase.into(), unit: BucketUnit::Count }));
        for other in [
            "histogram_quantile(0.95, sum by (le) (rate(a_bucket[$window])))",
            "histogram_quantile(0.99, sum by (le) (rate(a_bucket[$window]))) * (1000)",
            "max(histogram_quantile(0.99, rate(a_bucket[$window])))",
            "histogram_quantile(0.99, a_bucket)",
            "histogram_quantile(0.99, irate(a_bucket[$window]))",
            "histogram_quantile(0.99, rate(a[1m])) or histogram_quantile(0.99, rate(b[1m]))",
            "latency_p99",
            "",
        ] {
            assert_eq!(histogram(other), None, "{other}");
        }
    }

    #[test]
    fn the_built_in_queries() {
        let metrics = Metrics {
            source: crate::config::MetricsSource::Scrape { path: "/metrics".into() },
            queries: std::collections::BTreeMap::new(),
            window: Duration::from_secs(60),
            no_data: crate::config::NoData::Hold,
            confidence: None,
            min_requests: 1,
        };
        let query = |name: &str, metrics: &Metrics| of(&name.parse().expect("a name"), metrics);
        let all: Vec<String> = ["error-rate", "success-rate", "latency-p99", "requests", "cpu", "orders"]
            .iter()
            .map(|name| format!("{name}: {}", query(name, &metrics).unwrap_or_else(|| "-".into()).replace(" or (", "\n  or (")))
            .collect();
        insta::assert_snapshot!(all.join("\n"));
        let mut own = metrics;
        own.queries.insert("error-rate".parse().expect("a name"), "errors / all".into());
        assert_eq!(query("success-rate", &own).as_deref(), Some("1 - (errors / all)"));
        assert!(histogram(&query("latency-p99", &own).expect("built in")).is_some());
    }
}
