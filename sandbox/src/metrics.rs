//! What an instance counts, and its `/metrics` in Prometheus' text format, under the names of the example configuration.
//! Series carry no `instance` label: Prometheus adds it (`ip:port`) to what it scrapes, as does whoever else reads them.

use std::{collections::BTreeMap, fmt::Write as _};

use crate::behaviour::Behaviour;

/// Upper bounds of the duration histogram's buckets, in seconds (the defaults of Prometheus' client libraries).
const BOUNDS: [f64; 11] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// Since when the last backup is over, in seconds.
const BACKUP_AGE: i64 = 3600;

/// What an instance has counted since it was started.
#[derive(Debug, Default, Clone)]
pub(crate) struct Counters {
    /// By status; without `/health` and `/metrics`, which nobody's business runs through.
    requests: BTreeMap<u16, u64>,
    buckets: [u64; BOUNDS.len()],
    seconds: f64,
    payments_ok: u64,
    payments_failed: u64,
    cache_requests: u64,
    cache_hits: u64,
    invoices: u64,
    /// Of `requests`, those that people sent through the public address.
    pub(crate) public: u64,
    error: Share,
    payment: Share,
    cache: Share,
}

/// A share played out evenly: of 100 events a share of 0.05 picks the 20th, the 40th and so on.
#[derive(Debug, Default, Clone, Copy)]
struct Share(f64);

/// Whether an event is one of the share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Drawn {
    In,
    Out,
}

impl Share {
    fn draw(&mut self, share: f64) -> Drawn {
        self.0 += share;
        // What is added up from tenths is a little less than it should be.
        if self.0 + 1e-9 >= 1.0 {
            self.0 -= 1.0;
            Drawn::In
        } else {
            Drawn::Out
        }
    }
}

impl Counters {
    /// The application is started again: its counts are gone. What people sent is kept, the faults go by it.
    pub(crate) fn restart(&mut self) {
        *self = Self { public: self.public, ..Self::default() };
    }

    /// Whether the next request is one of those that fail.
    pub(crate) fn fails(&mut self, behaviour: &Behaviour) -> Drawn {
        self.error.draw(behaviour.error_share)
    }

    /// Counts a request that was answered.
    pub(crate) fn count(&mut self, path: &str, status: u16, behaviour: &Behaviour) {
        *self.requests.entry(status).or_default() += 1;
        let took = behaviour.latency.as_secs_f64();
        self.seconds += took;
        for (bucket, bound) in self.buckets.iter_mut().zip(BOUNDS) {
            *bucket += u64::from(took <= bound);
        }
        if !path.starts_with("/api/") {
            return;
        }
        self.cache_requests += 1;
        self.cache_hits += u64::from(self.cache.draw(behaviour.cache_hits) == Drawn::In);
        match (path, status) {
            ("/api/payments", 200) if self.payment.draw(behaviour.payments) == Drawn::In => self.payments_ok += 1,
            ("/api/payments", _) => self.payments_failed += 1,
            ("/api/invoices", 200) => self.invoices += 1,
            _ => {}
        }
    }

    /// All requests that count, by status.
    pub(crate) fn requests(&self) -> &BTreeMap<u16, u64> {
        &self.requests
    }

    /// The exposition; `now` in seconds since 1970.
    pub(crate) fn exposition(&self, behaviour: &Behaviour, now: i64) -> String {
        let mut text = String::new();
        // Writing to a String cannot fail.
        let mut family = |name: &str, kind: &str, help: &str, series: &[(String, String)]| {
            let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
            for (labels, value) in series {
                let _ = writeln!(text, "{labels} {value}");
            }
        };
        let one = |series: &str, value: u64| (series.to_owned(), value.to_string());
        let total: u64 = self.requests.values().sum();
        // The usual statuses are there from the start: a rate over a series that does not exist yet is no number.
        let mut requests = BTreeMap::from([(200, 0), (500, 0)]);
        requests.extend(&self.requests);
        let requests: Vec<_> =
            requests.into_iter().map(|(status, count)| one(&format!("requests_total{{status=\"{status}\"}}"), count)).collect();
        family("requests_total", "counter", "Requests answered, without /health and /metrics.", &requests);
        let mut durations: Vec<_> = self
            .buckets
            .iter()
            .zip(BOUNDS)
            .map(|(count, bound)| one(&format!("request_duration_seconds_bucket{{le=\"{bound}\"}}"), *count))
            .collect();
        durations.push(one("request_duration_seconds_bucket{le=\"+Inf\"}", total));
        durations.push(("request_duration_seconds_sum".to_owned(), self.seconds.to_string()));
        durations.push(one("request_duration_seconds_count", total));
        family("request_duration_seconds", "histogram", "What requests took.", &durations);
        let ratio = |name: &str, value: f64| [(name.to_owned(), value.to_string())];
        family("process_cpu_ratio", "gauge", "CPU used, of what was given.", &ratio("process_cpu_ratio", behaviour.cpu));
        family("process_memory_ratio", "gauge", "Memory used, of what was given.", &ratio("process_memory_ratio", behaviour.memory));
        let payments =
            [one("payments_total{outcome=\"ok\"}", self.payments_ok), one("payments_total{outcome=\"failed\"}", self.payments_failed)];
        family("payments_total", "counter", "Payments, by outcome.", &payments);
        family("cache_requests_total", "counter", "Look-ups in the cache.", &[one("cache_requests_total", self.cache_requests)]);
        family("cache_hits_total", "counter", "Look-ups that found something.", &[one("cache_hits_total", self.cache_hits)]);
        family("invoices_processed_total", "counter", "Invoices processed.", &[one("invoices_processed_total", self.invoices)]);
        let backup = [("backup_last_success_timestamp_seconds".to_owned(), (now - BACKUP_AGE).to_string())];
        family("backup_last_success_timestamp_seconds", "gauge", "When the last backup succeeded.", &backup);
        text
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_share_is_spread_evenly() {
        let mut counters = Counters::default();
        let behaviour = Behaviour::default().erring(0.1);
        let failed: Vec<usize> = (1..=30).filter(|_| counters.fails(&behaviour) == Drawn::In).collect();
        assert_eq!(failed, [10, 20, 30]);
        assert!((0..100).all(|_| counters.fails(&Behaviour::default()) == Drawn::Out));
        assert!((0..100).all(|_| counters.fails(&Behaviour::default().erring(1.0)) == Drawn::In));
    }

    #[test]
    fn the_exposition_has_every_name_of_the_example_configuration() {
        let mut counters = Counters::default();
        let behaviour = Behaviour { payments: 0.5, cache_hits: 0.5, ..Behaviour::default() };
        for path in ["/api/invoices", "/api/payments", "/api/payments", "/other"] {
            counters.count(path, 200, &behaviour);
        }
        counters.count("/api/invoices", 500, &behaviour.taking(Duration::from_millis(400)));
        let text = counters.exposition(&behaviour, 1_000_000);
        for line in [
            "# TYPE requests_total counter",
            "requests_total{status=\"200\"} 4",
            "requests_total{status=\"500\"} 1",
            "# TYPE request_duration_seconds histogram",
            "request_duration_seconds_bucket{le=\"0.025\"} 0",
            "request_duration_seconds_bucket{le=\"0.05\"} 4",
            "request_duration_seconds_bucket{le=\"0.25\"} 4",
            "request_duration_seconds_bucket{le=\"0.5\"} 5",
            "request_duration_seconds_bucket{le=\"+Inf\"} 5",
            "request_duration_seconds_count 5",
            "process_cpu_ratio 0.25",
            "process_memory_ratio 0.4",
            "payments_total{outcome=\"ok\"} 1",
            "payments_total{outcome=\"failed\"} 1",
            "cache_requests_total 4",
            "cache_hits_total 2",
            "invoices_processed_total 1",
            "backup_last_success_timestamp_seconds 996400",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} in\n{text}");
        }
    }
}
