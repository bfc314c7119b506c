//! Each instance's own metrics page, read without a server: counters kept from tick to tick make the rates. Judges nothing.
//! Tells the same numbers as Prometheus does of the same pages: resets count from zero, quantiles are interpolated alike.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    time::Duration,
};

use futures::future::join_all;
use tokio::time::Instant;

use super::{
    Body, Realised, RequestCount, Target, Want,
    exposition::{self, Line},
    fetch,
    histogram::{Buckets, P99, Quantile, whole},
};
use crate::{
    config::{MetricKind, Quantity},
    gate::{Basis, Counts, Reading, Sample, Subject, address},
};

/// The largest page that is read: Prometheus' own has 100 KiB.
const LARGEST: usize = 8 * 1024 * 1024;

/// Counters of requests, the first that a page has counts: the runbook's example, then what libraries call them.
const REQUESTS: [&str; 5] = [
    "requests_total",
    "http_requests_total",
    "http_server_requests_seconds_count",
    "http_request_duration_seconds_count",
    "http_server_request_duration_seconds_count",
];

/// The label with the status, likewise.
const STATUS: [&str; 5] = ["status", "code", "status_code", "http_status_code", "http_response_status_code"];

/// Histograms of times in seconds, likewise.
const DURATIONS: [&str; 4] = [
    "request_duration_seconds_bucket",
    "http_request_duration_seconds_bucket",
    "http_server_requests_seconds_bucket",
    "http_server_request_duration_seconds_bucket",
];

/// The most looks at a page that are remembered.
const MOST_LOOKS: usize = 10_000;

/// The pages, and what they showed.
pub(super) struct Scrape {
    path: String,
    http: reqwest::Client,
    patience: Duration,
    /// The rate window.
    window: Duration,
    pages: BTreeMap<String, Page>,
}

/// One endpoint's page over time.
#[derive(Debug, Default)]
struct Page {
    /// Each counter's last value.
    last: HashMap<String, f64>,
    /// Whether it was seen before: a counter that appears later began at zero.
    known: Option<Known>,
    /// What was counted since the first look, resets taken out.
    sum: Sum,
    looks: VecDeque<(Instant, Sum)>,
    /// What had been counted where the totals of the watch begin.
    mark: Option<Sum>,
    /// Requests when they were asked for last.
    counted: Option<f64>,
    /// How the last look went.
    state: Option<Result<(), String>>,
    took_ms: u64,
}

/// What a page has.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Known {
    requests: Option<&'static str>,
    status: Option<&'static str>,
    durations: Option<&'static str>,
}

/// Sums over the counters of a page.
#[derive(Debug, Clone, PartialEq, Default)]
struct Sum {
    /// Requests.
    requests: f64,
    /// Those whose status is known.
    rated: f64,
    /// Those that were answered with 5xx.
    errors: f64,
    /// Requests by `le`, cumulative.
    buckets: BTreeMap<String, f64>,
}

impl Sum {
    fn minus(&self, earlier: &Self) -> Self {
        let buckets = self.buckets.iter().map(|(le, count)| {
            let before = earlier.buckets.get(le).copied().unwrap_or(0.0);
            (le.clone(), count - before)
        });
        Self {
            requests: self.requests - earlier.requests,
            rated: self.rated - earlier.rated,
            errors: self.errors - earlier.errors,
            buckets: buckets.collect(),
        }
    }

    fn add(&mut self, other: &Self) {
        self.requests += other.requests;
        self.rated += other.rated;
        self.errors += other.errors;
        for (le, count) in &other.buckets {
            *self.buckets.entry(le.clone()).or_default() += count;
        }
    }

    fn error_counts(&self) -> Counts {
        Counts::new(whole(self.rated), whole(self.errors))
    }

    fn histogram(&self) -> Result<Buckets, Reading> {
        let buckets: Option<Vec<(f64, f64)>> = self.buckets.iter().map(|(le, count)| Some((le.parse().ok()?, *count))).collect();
        let failed = |why: &str| Reading::Failed { why: format!("the histogram of times {why}") };
        buckets.ok_or_else(|| failed("has a `le` that is no number")).and_then(|buckets| Buckets::new(buckets).map_err(failed))
    }
}

impl Scrape {
    /// Prepares to read `path` of each endpoint. Sends nothing.
    pub(super) fn new(path: &str, http: reqwest::Client, window: Duration, patience: Duration) -> Self {
        Self { path: path.to_owned(), http, patience, window, pages: BTreeMap::new() }
    }

    /// Totals are counted from here, the window before it included.
    pub(super) fn begin(&mut self) {
        let now = Instant::now();
        for page in self.pages.values_mut() {
            page.mark = closest(page.looks.iter(), now, self.window).cloned();
        }
    }

    /// Looks at every page once and makes of it what is wanted.
    pub(super) async fn read(&mut self, wants: &[Want], new: &[Target], baseline: &[Target]) -> Vec<Sample> {
        let baseline = if wants.iter().any(|want| want.is_wanted_of(Subject::Baseline)) { baseline } else { &[] };
        self.look(&[new, baseline].concat()).await;
        self.samples(wants, new, baseline)
    }

    /// What is wanted of what the pages last showed.
    fn samples(&self, wants: &[Want], new: &[Target], baseline: &[Target]) -> Vec<Sample> {
        let subjects = [(Subject::New, new), (Subject::Baseline, baseline)];
        let asked = subjects.into_iter().filter(|(_, targets)| !targets.is_empty());
        asked
            .flat_map(|(subject, targets)| {
                wants.iter().filter(move |want| want.is_wanted_of(subject)).map(move |want| (subject, targets, want))
            })
            .map(|(subject, targets, want)| self.sample(subject, targets, want))
            .collect()
    }

    /// Requests of each endpoint since it was asked for last.
    pub(super) async fn request_counts(&mut self, targets: &[Target]) -> Vec<RequestCount> {
        self.look(targets).await;
        let count = |target: &Target| {
            let endpoint = target.endpoint();
            let page = self.pages.entry(endpoint.clone()).or_default();
            let realised = match (&page.state, page.counted) {
                (Some(Ok(())), Some(before)) => {
                    Realised::of(page.usable(target, |known| known.requests).map(|()| page.sum.requests - before))
                }
                (Some(Ok(())), None) => Realised::unknown("it is asked for the first time"),
                // The page was not read: what it has counted meanwhile comes with the next call.
                (Some(Err(_)) | None, _) => Realised::of(page.usable(target, |known| known.requests).map(|()| 0.0)),
            };
            if page.state == Some(Ok(())) {
                page.counted = Some(page.sum.requests);
            }
            RequestCount { endpoint, realised }
        };
        targets.iter().map(count).collect()
    }

    /// Reads all pages at once; a slow one is given up alone.
    async fn look(&mut self, targets: &[Target]) {
        let this = &*self;
        let seen = join_all(targets.iter().map(async |target| {
            let begun = Instant::now();
            let lines = match tokio::time::timeout(this.patience, this.page(target)).await {
                Ok(lines) => lines,
                Err(_) => Err(format!("no answer within {} s", this.patience.as_secs_f64())),
            };
            (target.endpoint(), lines, begun.elapsed())
        }))
        .await;
        let now = Instant::now();
        for (endpoint, lines, took) in seen {
            self.saw(endpoint, lines, took, now);
        }
    }

    /// Takes in what came of one look at a page.
    fn saw(&mut self, endpoint: String, lines: Result<Vec<Line>, String>, took: Duration, now: Instant) {
        let page = self.pages.entry(endpoint).or_default();
        page.took_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        page.state = Some(lines.and_then(|lines| page.take(&lines)));
        if page.state == Some(Ok(())) {
            page.remember(now, self.window);
        }
    }

    async fn page(&self, target: &Target) -> Result<Vec<Line>, String> {
        let url = address(&target.host, target.port, &self.path).map_err(|error| format!("it has no address: {error}"))?;
        let request = self.http.get(url).header(reqwest::header::ACCEPT, "text/plain;version=0.0.4");
        lines(&fetch(request, LARGEST).await?)
    }

    fn sample(&self, subject: Subject, targets: &[Target], want: &Want) -> Sample {
        let (mut took_ms, mut names) = (0, Vec::new());
        for page in targets.iter().filter_map(|target| self.pages.get(&target.endpoint())) {
            took_ms = took_ms.max(page.took_ms);
            names.extend(page.known.iter().filter_map(|known| known.of(want.kind)));
        }
        names.dedup();
        let urls: Vec<String> = targets.iter().map(|target| format!("http://{}{}", target.endpoint(), self.path)).collect();
        let within = Quantity::seconds(self.window.as_secs_f64());
        Sample {
            metric: want.metric.clone(),
            subject,
            over: want.over,
            reading: self.reading(targets, want).unwrap_or_else(|reading| reading),
            query: format!("{} of {} in {within} at {}", want.metric, names.join(", "), urls.join(", ")),
            took_ms,
        }
    }

    fn reading(&self, targets: &[Target], want: &Want) -> Result<Reading, Reading> {
        match want.kind {
            MetricKind::ErrorRate | MetricKind::SuccessRate => {
                let (window, total) = self.sums(targets, |known| known.status)?;
                if window.rated <= 0.0 {
                    return Err(no_requests());
                }
                let good = window.rated - window.errors;
                let part = if want.kind == MetricKind::SuccessRate { good } else { window.errors };
                let basis = Basis::Counts { window: window.error_counts(), total: total.error_counts() };
                Ok(Reading::value(part / window.rated, basis))
            }
            MetricKind::LatencyP99 => {
                let (window, total) = self.sums(targets, |known| known.durations)?;
                let (window, total) = (window.histogram()?, total.histogram()?);
                let quantile = window.quantile(P99);
                want.told_by(quantile)?;
                let value = match quantile {
                    Quantile::At(value) | Quantile::Beyond(value) => value,
                    Quantile::Nothing => return Err(no_requests()),
                };
                let basis = match want.over {
                    Some(over) => Basis::Counts { window: window.slower_than(over.value), total: total.slower_than(over.value) },
                    None => Basis::Requests { requests: whole(window.requests()) },
                };
                Ok(Reading::value(value, basis))
            }
            MetricKind::Requests => {
                let (window, _) = self.sums(targets, |known| known.requests)?;
                Ok(Reading::plain(window.requests))
            }
            MetricKind::Throughput
            | MetricKind::Cpu
            | MetricKind::Memory
            | MetricKind::DatabaseConnections
            | MetricKind::Restarts
            | MetricKind::Health
            | MetricKind::Configured => Err(Reading::Failed {
                why: format!(
                    "pages that are read without a server do not tell it; give `metrics.prometheus` an address and `metrics.queries` a \
                     query `{}`",
                    want.metric
                ),
            }),
        }
    }

    /// Sums over the endpoints: in the window, and in total.
    fn sums(&self, targets: &[Target], need: fn(&Known) -> Option<&'static str>) -> Result<(Sum, Sum), Reading> {
        let (mut windows, mut totals) = (Sum::default(), Sum::default());
        for target in targets {
            let page = self.pages.get(&target.endpoint()).ok_or_else(|| Reading::Failed { why: "it was not asked for".into() })?;
            page.usable(target, need)?;
            let first = || Reading::NoData {
                why: format!("{} was looked at for the first time; counts come with the next tick", target.endpoint()),
            };
            let (now, _) = page.looks.back().ok_or_else(first)?;
            let earlier = page.looks.iter().take(page.looks.len().saturating_sub(1));
            let before = closest(earlier, *now, self.window).ok_or_else(first)?;
            windows.add(&page.sum.minus(before));
            totals.add(&page.sum.minus(page.mark.as_ref().unwrap_or(before)));
        }
        Ok((windows, totals))
    }
}

impl Page {
    /// Takes a look's counters into the sums.
    ///
    /// # Errors
    /// Why they are no counters.
    fn take(&mut self, lines: &[Line]) -> Result<(), String> {
        let first = |names: &[&'static str]| names.iter().copied().find(|name| lines.iter().any(|line| line.name == *name));
        let (requests, durations) = (first(&REQUESTS), first(&DURATIONS));
        let counted = || lines.iter().filter(|line| Some(line.name.as_str()) == requests);
        let status = STATUS.into_iter().find(|label| counted().any(|line| line.labels.get(*label).is_some_and(|value| !value.is_empty())));
        let mut values = HashMap::new();
        let mut sum = Sum::default();
        for line in lines.iter().filter(|line| Some(line.name.as_str()) == requests || Some(line.name.as_str()) == durations) {
            if !line.value.is_finite() || line.value < 0.0 {
                return Err(format!("{} is {}, which is no counter", line.name, line.value));
            }
            let key = format!("{}{:?}", line.name, line.labels);
            let last = match self.last.get(&key) {
                Some(last) => *last,
                // On the first look nobody knows when it was counted; what appears later was counted since.
                None if self.known.is_none() => line.value,
                None => 0.0,
            };
            // A counter that fell was reset: the process began again.
            let more = if line.value < last { line.value } else { line.value - last };
            if Some(line.name.as_str()) == requests {
                sum.requests += more;
                if let Some(code) = status.and_then(|status| line.labels.get(status)).filter(|code| !code.is_empty()) {
                    sum.rated += more;
                    if code.starts_with('5') && code.chars().count() == 3 {
                        sum.errors += more;
                    }
                }
            } else if let Some(le) = line.labels.get("le") {
                *sum.buckets.entry(le.clone()).or_default() += more;
            }
            if values.insert(key, line.value).is_some() {
                return Err(format!("{} stands there twice with the same labels", line.name));
            }
        }
        self.sum.add(&sum);
        self.last = values;
        self.known = Some(Known { requests, status, durations });
        Ok(())
    }

    fn remember(&mut self, now: Instant, window: Duration) {
        self.looks.push_back((now, self.sum.clone()));
        if self.mark.is_none() {
            self.mark = Some(self.sum.clone());
        }
        // One look older than the window is kept to begin it; the mark is kept on its own.
        let old = |(at, _): &(Instant, Sum)| now.duration_since(*at) > window;
        while self.looks.len() > MOST_LOOKS || (self.looks.len() > 2 && self.looks.get(1).is_some_and(old)) {
            self.looks.pop_front();
        }
    }

    /// That the page could be read, and has what is needed.
    fn usable(&self, target: &Target, need: fn(&Known) -> Option<&'static str>) -> Result<(), Reading> {
        let endpoint = target.endpoint();
        match (&self.state, &self.known) {
            (None, _) => Err(Reading::Failed { why: format!("{endpoint} was not asked") }),
            (Some(Err(why)), _) => Err(Reading::Failed { why: format!("the metrics page of {endpoint}: {why}") }),
            (Some(Ok(())), Some(known)) if need(known).is_some() => Ok(()),
            (Some(Ok(())), known) => {
                let known = known.clone().unwrap_or_default();
                let (has, list) = match known.requests {
                    Some(name) if known.status.is_none() => (format!("{name} has none of the labels"), STATUS.join(", ")),
                    Some(_) => ("it has none of the histograms".to_owned(), DURATIONS.join(", ")),
                    None => ("it has none of the counters".to_owned(), REQUESTS.join(", ")),
                };
                let advice = "some libraries show them from the first request on; otherwise export one, or give `metrics.prometheus` an \
                              address and write queries";
                Err(Reading::Failed { why: format!("the metrics page of {endpoint}: {has} {list}; {advice}") })
            }
        }
    }
}

impl Known {
    /// What a metric is read from.
    const fn of(&self, kind: MetricKind) -> Option<&'static str> {
        match kind {
            MetricKind::ErrorRate | MetricKind::SuccessRate | MetricKind::Requests => self.requests,
            MetricKind::LatencyP99 => self.durations,
            MetricKind::Throughput
            | MetricKind::Cpu
            | MetricKind::Memory
            | MetricKind::DatabaseConnections
            | MetricKind::Restarts
            | MetricKind::Health
            | MetricKind::Configured => None,
        }
    }
}

fn no_requests() -> Reading {
    Reading::NoData { why: "no requests in the window".into() }
}

/// Of all looks, the one whose age is closest to `window`: ticks are not punctual to the millisecond.
fn closest<'a>(looks: impl Iterator<Item = &'a (Instant, Sum)>, now: Instant, window: Duration) -> Option<&'a Sum> {
    looks.min_by_key(|(at, _)| now.duration_since(*at).abs_diff(window)).map(|(_, sum)| sum)
}

/// The lines of a page that are of use.
///
/// # Errors
/// Why it is no metrics page, and what to do.
fn lines(body: &Body) -> Result<Vec<Line>, String> {
    match body.status {
        200..=299 => {}
        300..=399 => {
            return Err(format!("it redirects{}; correct `metrics.scrape.path`", body.whither()));
        }
        404 => return Err("it does not exist (404); correct `metrics.scrape.path`".into()),
        status => return Err(format!("it answers {status}")),
    }
    if body.is_page() {
        return Err("it is a web page, not metrics; correct `metrics.scrape.path`".into());
    }
    if body.cut {
        return Err(format!("it is larger than {LARGEST} bytes"));
    }
    let text = std::str::from_utf8(&body.bytes).map_err(|_| "it is not UTF-8".to_owned())?;
    exposition::parse(text, |name| REQUESTS.contains(&name) || DURATIONS.contains(&name))
}

#[cfg(test)]
mod tests;
