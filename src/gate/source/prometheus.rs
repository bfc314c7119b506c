//! A Prometheus server, asked in PromQL over its HTTP API (`POST /api/v1/query`, form-encoded). Reads; judges nothing.
//! Whatever it answers becomes a reading: one number or the reason why there is none, and what to do.

use std::{collections::BTreeMap, time::Duration};

use futures::future::join_all;
use serde::Deserialize;
use tokio::time::Instant;
use url::Url;

use super::{
    Body, Realised, RequestCount, Target, Want, fetch,
    histogram::{Buckets, P99, Quantile, whole},
    query::{self, AGES, BucketUnit},
    shown,
};
use crate::{
    config::{MetricKind, Metrics},
    domain::{MetricName, Secret},
    failure::{Failure, FailureKind},
    gate::{Basis, Counts, Reading, Sample, Subject},
};

/// The largest answer that is read: one number takes 200 bytes, a histogram of 100 buckets 10 KiB.
const LARGEST: usize = 1024 * 1024;

/// A server and how to ask it.
pub(super) struct Prometheus {
    http: reqwest::Client,
    /// Where queries go.
    api: Url,
    /// The server as people know it.
    base: String,
    login: Login,
    metrics: Metrics,
    patience: Duration,
    /// When realised requests of an endpoint were asked for last.
    counted: BTreeMap<String, Instant>,
}

/// How the server knows us: the input `prometheus-token` is a token, or `user:password`.
enum Login {
    Anonymous,
    Bearer(Secret),
    Basic { user: String, password: Secret },
}

/// One series of an answer.
#[derive(Debug, Clone, PartialEq)]
struct Series {
    labels: BTreeMap<String, String>,
    value: f64,
}

/// What came of one query.
struct Answer {
    series: Result<Vec<Series>, String>,
    took_ms: u64,
}

/// How far back a tick looks.
#[derive(Debug, Clone, Copy)]
pub(super) struct Spans {
    /// The rate window.
    pub(super) window: Duration,
    /// Back to where the first window of the watch began.
    pub(super) total: Duration,
}

/// What a subject is asked with: its endpoints, and the answers to all queries of the tick.
struct Subjected<'a> {
    subject: Subject,
    targets: &'a [Target],
    spans: Spans,
    answers: &'a BTreeMap<String, Answer>,
}

impl Prometheus {
    /// Prepares to ask the server at `base`. Sends nothing.
    ///
    /// # Errors
    /// When `token` cannot be sent, or the address takes no path.
    pub(super) fn new(
        base: &Url,
        metrics: &Metrics,
        http: reqwest::Client,
        token: Option<Secret>,
        patience: Duration,
    ) -> Result<Self, Failure> {
        let mut directory = base.clone();
        if !directory.path().ends_with('/') {
            directory.set_path(&format!("{}/", base.path()));
        }
        directory.set_query(None);
        let api = directory.join("api/v1/query").map_err(|error| {
            Failure::new(FailureKind::Configuration, format!("`metrics.prometheus` takes no path: {error}"), base.to_string())
                .meaning("nothing was touched")
                .next("give the server's address, e.g. http://prometheus:9090")
        })?;
        let login = login(token.as_ref())?;
        let counted = BTreeMap::new();
        Ok(Self { http, api, base: base.to_string(), login, metrics: metrics.clone(), patience, counted })
    }

    /// The one number that a query of a person yields, asked of `targets` where it names `$instances`; and the query as asked.
    pub(super) async fn number(&self, query: &str, targets: &[Target], window: Duration) -> (String, Reading) {
        let filled = query::filled(query, targets, window);
        let answers = BTreeMap::from([(filled.clone(), self.ask(&filled).await)]);
        let spans = Spans { window, total: window };
        let asked = Subjected { subject: Subject::New, targets, spans, answers: &answers };
        let reading = match asked.answer(query, window) {
            Ok([]) => Reading::NoData { why: "the answer is empty: where nothing means none, write (… or vector(0))".into() },
            Ok(_) | Err(_) => asked.number(query, window, MetricKind::Configured).map_or_else(|lacking| lacking, Reading::plain),
        };
        (format!("{filled} at {}", self.base), reading)
    }

    /// Whether it is asked for `metric`: there is a query for it.
    pub(super) fn has(&self, metric: &MetricName) -> bool {
        query::of(metric, &self.metrics).is_some()
    }

    /// Asks for everything that is wanted, all at once; one slow query is given up alone.
    pub(super) async fn read(&self, wants: &[Want], new: &[Target], baseline: &[Target], spans: Spans) -> Vec<Sample> {
        let subjects = [(Subject::New, new), (Subject::Baseline, baseline)];
        let asked = || {
            subjects.into_iter().filter(|(_, targets)| !targets.is_empty()).flat_map(|(subject, targets)| {
                wants.iter().filter(move |want| want.is_wanted_of(subject)).map(move |want| (subject, targets, want))
            })
        };
        let mut queries: Vec<String> = asked().flat_map(|(_, targets, want)| self.queries(want, targets, spans)).collect();
        queries.sort_unstable();
        queries.dedup();
        let answers = join_all(queries.into_iter().map(async |query| {
            let answer = self.ask(&query).await;
            (query, answer)
        }));
        let answers: BTreeMap<String, Answer> = answers.await.into_iter().collect();
        asked().map(|(subject, targets, want)| self.sample(want, &Subjected { subject, targets, spans, answers: &answers })).collect()
    }

    /// All queries that a metric of these endpoints needs.
    fn queries(&self, want: &Want, targets: &[Target], spans: Spans) -> Vec<String> {
        let Some(main) = query::of(&want.metric, &self.metrics) else { return Vec::new() };
        let mut queries = vec![main.clone(), AGES.to_owned()];
        let mut totals = Vec::new();
        match (want.kind, query::histogram(&main)) {
            (MetricKind::ErrorRate | MetricKind::SuccessRate, _) => {
                totals = vec![main];
                totals.extend(self.requests());
                queries.extend(self.requests());
            }
            (MetricKind::LatencyP99, Some(histogram)) => {
                queries.push(histogram.buckets.clone());
                totals.push(histogram.buckets);
            }
            (MetricKind::LatencyP99, None) | (MetricKind::Throughput, _) => queries.extend(self.requests()),
            (
                MetricKind::Requests
                | MetricKind::Cpu
                | MetricKind::Memory
                | MetricKind::DatabaseConnections
                | MetricKind::Restarts
                | MetricKind::Health
                | MetricKind::Configured,
                _,
            ) => {}
        }
        let windows = queries.iter().map(|query| query::filled(query, targets, spans.window));
        windows.chain(totals.iter().map(|query| query::filled(query, targets, spans.total))).collect()
    }

    /// The query of realised requests.
    fn requests(&self) -> Option<String> {
        query::of(&"requests".parse::<MetricName>().ok()?, &self.metrics)
    }

    fn sample(&self, want: &Want, asked: &Subjected<'_>) -> Sample {
        let main = query::of(&want.metric, &self.metrics);
        let filled = main.as_ref().map(|main| query::filled(main, asked.targets, asked.spans.window));
        let took_ms = filled.as_ref().and_then(|query| asked.answers.get(query)).map_or(0, |answer| answer.took_ms);
        let reading = match &main {
            None => Err(Reading::Failed { why: format!("there is no query for it: add `{}` under `metrics.queries`", want.metric) }),
            Some(main) => self.value(want, main, asked).and_then(|(value, basis)| asked.fresh().map(|()| Reading::value(value, basis))),
        };
        Sample {
            metric: want.metric.clone(),
            subject: asked.subject,
            over: want.over,
            reading: reading.unwrap_or_else(|reading| reading),
            query: format!("{} at {}", filled.unwrap_or_default(), self.base),
            took_ms,
        }
    }

    /// The metric's number and what it stands on; or the reading that says why there is none.
    fn value(&self, want: &Want, main: &str, asked: &Subjected<'_>) -> Result<(f64, Basis), Reading> {
        let spans = asked.spans;
        let value = asked.number(main, spans.window, want.kind);
        let realised = |span: Duration| match self.requests() {
            Some(requests) => asked.number(&requests, span, MetricKind::Requests),
            None => Err(Reading::Failed { why: "there is no query for `requests`".into() }),
        };
        match (want.kind, query::histogram(main)) {
            (MetricKind::ErrorRate | MetricKind::SuccessRate, _) => {
                let counts = |span| -> Result<Counts, Reading> {
                    let rate = ratio(asked.number(main, span, want.kind)?)?;
                    let events = if want.kind == MetricKind::SuccessRate { 1.0 - rate } else { rate };
                    let requests = realised(span)?;
                    Ok(Counts::new(whole(requests), whole(requests * events)))
                };
                Ok((ratio(value?)?, Basis::Counts { window: counts(spans.window)?, total: counts(spans.total)? }))
            }
            (MetricKind::LatencyP99, Some(histogram)) => {
                let value = value?;
                let buckets = |span: Duration| -> Result<Buckets, Reading> {
                    let buckets = asked.buckets(&histogram.buckets, span)?;
                    Ok(match histogram.unit {
                        BucketUnit::PerSecond => buckets.times(span.as_secs_f64()),
                        BucketUnit::Count => buckets,
                    })
                };
                let (window, total) = (buckets(spans.window)?, buckets(spans.total)?);
                want.told_by(window.quantile(P99))?;
                let basis = match want.over {
                    Some(over) => Basis::Counts { window: window.slower_than(over.value), total: total.slower_than(over.value) },
                    None => Basis::Requests { requests: whole(window.requests()) },
                };
                Ok((value, basis))
            }
            (MetricKind::LatencyP99, None) => Ok((value?, Basis::Requests { requests: whole(realised(spans.window)?) })),
            // Only a comparison with stable needs the requests; where they are not known, it says so.
            (MetricKind::Throughput, _) => {
                Ok((value?, realised(spans.window).map_or(Basis::Plain, |requests| Basis::Requests { requests: whole(requests) })))
            }
            (
                MetricKind::Requests
                | MetricKind::Cpu
                | MetricKind::Memory
                | MetricKind::DatabaseConnections
                | MetricKind::Restarts
                | MetricKind::Health
                | MetricKind::Configured,
                _,
            ) => Ok((value?, Basis::Plain)),
        }
    }

    /// Requests of each endpoint since it was asked for last.
    pub(super) async fn request_counts(&mut self, targets: &[Target]) -> Vec<RequestCount> {
        let now = Instant::now();
        let (this, counted) = (&*self, &self.counted);
        let counts = join_all(targets.iter().map(async |target| {
            let realised = match (counted.get(&target.endpoint()), this.requests()) {
                (None, _) => Realised::unknown("it is asked for the first time"),
                (_, None) => Realised::unknown("there is no query for `requests`"),
                (Some(last), Some(requests)) => {
                    let span = now.duration_since(*last);
                    let one = std::slice::from_ref(target);
                    let query = query::filled(&requests, one, span);
                    let answers = BTreeMap::from([(query.clone(), this.ask(&query).await)]);
                    let spans = Spans { window: span, total: span };
                    let asked = Subjected { subject: Subject::New, targets: one, spans, answers: &answers };
                    Realised::of(asked.number(&requests, span, MetricKind::Requests))
                }
            };
            RequestCount { endpoint: target.endpoint(), realised }
        }))
        .await;
        for (target, count) in targets.iter().zip(&counts) {
            // What could not be counted is counted with the next call.
            let endpoint = target.endpoint();
            match count.realised {
                Realised::Requests { .. } => drop(self.counted.insert(endpoint, now)),
                Realised::Unknown { .. } => drop(self.counted.entry(endpoint).or_insert(now)),
            }
        }
        counts
    }

    async fn ask(&self, query: &str) -> Answer {
        let begun = Instant::now();
        let series = match tokio::time::timeout(self.patience, self.post(query)).await {
            Ok(answer) => answer,
            Err(_) => Err(format!("no answer from {} within {} s", self.base, self.patience.as_secs_f64())),
        };
        Answer { series, took_ms: u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX) }
    }

    async fn post(&self, query: &str) -> Result<Vec<Series>, String> {
        let request = self.http.post(self.api.clone()).form(&[("query", query)]);
        let request = match &self.login {
            Login::Anonymous => request,
            Login::Bearer(token) => request.bearer_auth(token.expose()),
            Login::Basic { user, password } => request.basic_auth(user, Some(password.expose())),
        };
        let body = fetch(request, LARGEST).await.map_err(|why| format!("{} does not answer: {why}", self.base))?;
        series(&body).map_err(|why| format!("{} {why}", self.base))
    }
}

impl Subjected<'_> {
    fn answer(&self, query: &str, span: Duration) -> Result<&[Series], Reading> {
        let answer = self.answers.get(&query::filled(query, self.targets, span));
        match answer.map(|answer| &answer.series) {
            Some(Ok(series)) => Ok(series),
            Some(Err(why)) => Err(Reading::Failed { why: why.clone() }),
            None => Err(Reading::Failed { why: "it was not asked for".into() }),
        }
    }

    /// The one number that `query` yields.
    fn number(&self, query: &str, span: Duration, kind: MetricKind) -> Result<f64, Reading> {
        match self.answer(query, span)? {
            [] => Err(Reading::NoData { why: self.nothing(kind) }),
            [one] if one.value.is_nan() => {
                Err(Reading::NoData { why: "the answer is NaN: the query divides by zero, as it does without requests".into() })
            }
            [one] if !one.value.is_finite() => {
                Err(Reading::Failed { why: format!("the answer is {}: no bound can be compared with it; correct the query", one.value) })
            }
            [one] => Ok(one.value),
            several => Err(Reading::Failed {
                why: format!(
                    "the answer has {} series instead of one number, e.g. {}: put the query into sum(…) or max(…)",
                    several.len(),
                    several.first().map(|series| shown(&format!("{:?}", series.labels))).unwrap_or_default()
                ),
            }),
        }
    }

    /// Why an answer may be empty, by what the server knows of the endpoints.
    fn nothing(&self, kind: MetricKind) -> String {
        let known = self.answer(AGES, self.spans.window).map_or(None, |series| Some(series.len()));
        let endpoints: Vec<String> = self.targets.iter().map(Target::endpoint).collect();
        let endpoints = endpoints.join(", ");
        let never_failed = match kind {
            MetricKind::ErrorRate | MetricKind::SuccessRate => {
                "; where a counter of failures has no series before the first one, write (… or vector(0))"
            }
            MetricKind::LatencyP99
            | MetricKind::Requests
            | MetricKind::Throughput
            | MetricKind::Cpu
            | MetricKind::Memory
            | MetricKind::DatabaseConnections
            | MetricKind::Restarts
            | MetricKind::Health
            | MetricKind::Configured => "",
        };
        match known {
            Some(0) => format!(
                "the answer is empty: the server scrapes no target whose label `instance` is {endpoints}; add it to the server's targets, \
                 or give the query another label"
            ),
            Some(known) if known < self.targets.len() => {
                format!("the answer is empty: the server scrapes {known} of {} targets ({endpoints}){never_failed}", self.targets.len())
            }
            Some(_) | None => {
                format!(
                    "the answer is empty: no series matches {endpoints} in the window; check the query's names and labels{never_failed}"
                )
            }
        }
    }

    /// That the server has scraped every endpoint it knows within the window. A server without `up` is believed.
    fn fresh(&self) -> Result<(), Reading> {
        let ages = self.answer(AGES, self.spans.window).unwrap_or(&[]);
        let oldest = ages.iter().map(|series| series.value).fold(0.0, f64::max);
        if oldest <= self.spans.window.as_secs_f64() {
            return Ok(());
        }
        let endpoints: Vec<String> = self.targets.iter().map(Target::endpoint).collect();
        Err(Reading::Stale {
            age_ms: whole(oldest * 1000.0),
            why: format!("the server has not scraped {} since; see its page /targets", endpoints.join(", ")),
        })
    }

    fn buckets(&self, query: &str, span: Duration) -> Result<Buckets, Reading> {
        let series = self.answer(query, span)?;
        if series.is_empty() {
            return Err(Reading::NoData { why: self.nothing(MetricKind::LatencyP99) });
        }
        let bound = |series: &Series| -> Option<(f64, f64)> { Some((series.labels.get("le")?.parse().ok()?, series.value)) };
        let no_histogram = |why: &str| Reading::Failed { why: format!("the histogram {why}; sum it by (le) alone") };
        let buckets: Option<Vec<(f64, f64)>> = series.iter().map(bound).collect();
        let buckets = buckets.ok_or_else(|| no_histogram("has a series without a number in `le`"))?;
        if series.iter().any(|series| series.labels.len() > 1) {
            return Err(no_histogram("has series with other labels than `le`"));
        }
        Buckets::new(buckets).map_err(no_histogram)
    }
}

/// A rate as a ratio. A query in percent would turn half a percent of errors into a collapse.
fn ratio(rate: f64) -> Result<f64, Reading> {
    // Two rates of one answer can differ in the last digit.
    if (-1e-9..=1.0 + 1e-9).contains(&rate) {
        return Ok(rate.clamp(0.0, 1.0));
    }
    Err(Reading::Failed { why: format!("the answer is {rate}: a rate is between 0 and 1; correct the query (without * 100)") })
}

impl Want {
    /// That the buckets tell where the quantile is, as far as the bound asks. A histogram whose largest bucket ends below the
    /// bound would pass whatever came.
    pub(super) fn told_by(&self, quantile: Quantile) -> Result<(), Reading> {
        match quantile {
            Quantile::Nothing => Err(Reading::NoData { why: "no requests in the window".into() }),
            Quantile::At(_) => Ok(()),
            Quantile::Beyond(largest) if self.over.is_some_and(|over| over.value < largest) => Ok(()),
            Quantile::Beyond(largest) => Err(Reading::Failed {
                why: format!("it is beyond the histogram's largest bucket ({largest} s), nobody knows how far; add larger buckets"),
            }),
        }
    }
}

fn login(token: Option<&Secret>) -> Result<Login, Failure> {
    let Some(text) = token.map(|token| token.expose().trim()).filter(|text| !text.is_empty()) else { return Ok(Login::Anonymous) };
    if text.chars().any(|c| c.is_control() || !c.is_ascii()) {
        return Err(Failure::new(FailureKind::Request, "it holds characters that cannot be sent in a header", "input prometheus-token")
            .meaning("nothing was touched")
            .next("give a token, or user:password, on one line"));
    }
    Ok(match text.split_once(':') {
        Some((user, password)) => Login::Basic { user: user.to_owned(), password: Secret::new(password.to_owned()) },
        None => Login::Bearer(Secret::new(text.to_owned())),
    })
}

/// The API's answer (Prometheus, "HTTP API", format overview).
#[derive(Deserialize)]
struct Envelope {
    status: String,
    data: Option<Data>,
    #[serde(rename = "errorType", default)]
    error_type: String,
    #[serde(default)]
    error: String,
}

#[derive(Deserialize)]
#[serde(tag = "resultType", content = "result", rename_all = "lowercase")]
enum Data {
    Vector(Vec<Entry>),
    Scalar((f64, String)),
    Matrix(serde::de::IgnoredAny),
    String(serde::de::IgnoredAny),
}

#[derive(Deserialize)]
struct Entry {
    #[serde(default)]
    metric: BTreeMap<String, String>,
    value: Option<(f64, String)>,
}

/// The series of an answer.
///
/// # Errors
/// Why there are none: completes "http://prometheus:9090 …".
fn series(body: &Body) -> Result<Vec<Series>, String> {
    match body.status {
        300..=399 => {
            let whither = body.whither();
            return Err(format!("redirects{whither}, and a token follows no redirect; give `metrics.prometheus` the final address"));
        }
        401 | 403 => {
            return Err(format!("refuses access ({}); check the input prometheus-token: a token, or user:password", body.status));
        }
        _ => {}
    }
    if body.is_page() {
        return Err(format!("answers with a web page ({}), perhaps a login; check `metrics.prometheus`", body.status));
    }
    if body.cut {
        return Err(format!("answers with more than {LARGEST} bytes; the query yields far more than one number"));
    }
    let envelope: Envelope = match serde_json::from_slice(&body.bytes) {
        Ok(envelope) => envelope,
        Err(_) if body.status == 404 => return Err("has no /api/v1/query (404); check `metrics.prometheus`".into()),
        Err(_) => {
            let text = shown(&String::from_utf8_lossy(&body.bytes));
            return Err(format!("answers {} with what is no Prometheus answer: {text}", body.status));
        }
    };
    let number = |text: &str| text.parse::<f64>().map_err(|_| format!("answers with `{}`, which is no number", shown(text)));
    match (envelope.status.as_str(), envelope.data) {
        ("success", Some(Data::Vector(entries))) => entries
            .into_iter()
            .map(|entry| match entry.value {
                Some((_, value)) => Ok(Series { labels: entry.metric, value: number(&value)? }),
                None => Err("answers with a native histogram instead of a number".to_owned()),
            })
            .collect(),
        ("success", Some(Data::Scalar((_, value)))) => Ok(vec![Series { labels: BTreeMap::new(), value: number(&value)? }]),
        ("success", Some(Data::Matrix(_))) => {
            Err("answers with a range of numbers instead of one; put it into a function such as rate(…)".into())
        }
        ("success", Some(Data::String(_))) => Err("answers with text instead of a number".into()),
        ("success", None) => Err("answers without data".into()),
        _ => Err(format!("refuses the query ({} {}): {}", body.status, shown(&envelope.error_type), shown(&envelope.error))),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn body(status: u16, content_type: &str, text: &str) -> Body {
        Body { status, content_type: content_type.into(), location: None, bytes: text.as_bytes().to_vec(), cut: false }
    }

    const JSON: &str = "application/json";

    fn told(status: u16, content_type: &str, text: &str) -> String {
        match series(&body(status, content_type, text)) {
            Ok(series) => format!("{series:?}"),
            Err(why) => why,
        }
    }

    #[test]
    fn every_answer_has_its_meaning() {
        let vector = |result: &str| format!("{{\"status\":\"success\",\"data\":{{\"resultType\":\"vector\",\"result\":[{result}]}}}}");
        let one = r#"{"metric":{"le":"0.1"},"value":[1700000000.1,"0.25"]}"#;
        let told: Vec<String> = [
            told(200, JSON, &vector("")),
            told(200, JSON, &vector(one)),
            told(200, JSON, &vector(&format!("{one},{one}"))),
            told(200, JSON, &vector(r#"{"metric":{},"value":[1,"NaN"]},{"metric":{},"value":[1,"+Inf"]}"#)),
            told(200, JSON, r#"{"status":"success","warnings":["partial"],"data":{"resultType":"scalar","result":[1,"7"]}}"#),
            told(200, JSON, r#"{"status":"success","data":{"resultType":"matrix","result":[]}}"#),
            told(200, JSON, r#"{"status":"success","data":{"resultType":"string","result":[1,"x"]}}"#),
            told(200, JSON, r#"{"status":"success"}"#),
            told(200, JSON, &vector(r#"{"metric":{},"value":[1,"many"]}"#)),
            told(200, JSON, &vector(r#"{"metric":{},"histogram":[1,{}]}"#)),
            told(400, JSON, r#"{"status":"error","errorType":"bad_data","error":"1:5: parse error: unexpected \u001b[31mend"}"#),
            told(503, JSON, r#"{"status":"error","errorType":"timeout","error":"query timed out"}"#),
            told(401, "text/plain", "Unauthorized"),
            told(404, "text/plain", "404 page not found"),
            told(502, "text/plain", "Bad Gateway\n"),
            told(200, "text/html; charset=utf-8", "<!DOCTYPE html><title>Log in</title>"),
            told(200, JSON, " \n<html>"),
            told(200, JSON, ""),
            told(200, JSON, "[]"),
        ]
        .into();
        insta::assert_snapshot!(told.join("\n"));
    }

    #[test]
    fn a_redirect_is_not_followed_and_said() {
        let elsewhere = Body { location: Some("https://login.example/?state=secret".into()), ..body(302, "text/html", "") };
        let why = series(&elsewhere).expect_err("no answer");
        assert_eq!(
            why,
            "redirects to https://login.example/, and a token follows no redirect; give `metrics.prometheus` the final address"
        );
        let endless = Body { cut: true, ..body(200, JSON, "{") };
        assert!(series(&endless).expect_err("no answer").contains("more than 1048576 bytes"));
    }

    #[test]
    fn a_token_is_a_token_or_a_user_with_a_password() {
        let token = |text: &str| login(Some(&Secret::new(text.into())));
        assert!(matches!(token("abc.def"), Ok(Login::Bearer(token)) if token.expose() == "abc.def"));
        assert!(matches!(token("ann:pa:ss\n"), Ok(Login::Basic { user, password }) if user == "ann" && password.expose() == "pa:ss"));
        assert!(matches!(token(" "), Ok(Login::Anonymous)));
        assert!(matches!(login(None), Ok(Login::Anonymous)));
        let failure = token("a\nb").map(|_| ()).expect_err("refused");
        assert!(!failure.to_string().contains("a\nb"));
    }

    proptest! {
        #[test]
        fn no_answer_makes_it_panic(status in 100u16..600, text in "(?s)[\\[\\]{}\":,a-z0-9<> ]{0,120}") {
            let _ = series(&body(status, JSON, &text));
        }
    }
}
