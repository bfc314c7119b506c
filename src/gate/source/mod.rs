//! Where the numbers of rules come from: a Prometheus server or each instance's own page, Azure Monitor, the database. Reads;
//! judges nothing.
//! Everything is asked at once and each with a time limit of its own; whatever happens becomes a reading.

mod azure_monitor;
mod exposition;
mod histogram;
mod postgres;
mod prometheus;
mod query;
mod scrape;

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;

use super::{Checked, Reading, Sample, Subject, rules::over};
use crate::{
    azure::ResourceManager,
    config::{Ask, Bound, Database, FinalCheck, MetricKind, Metrics, MetricsSource, Quantity, Reader, Rule},
    domain::{InstanceName, MetricName, Secret},
    failure::{Failure, FailureKind},
    http,
};
use azure_monitor::AzureMonitor;
pub(crate) use postgres::passwords;
use postgres::{Postgres, Trouble};
use prometheus::{Prometheus, Spans};
use scrape::Scrape;

/// How long one question may take at most.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long one may take at least, however short the ticks are.
const LEAST_PATIENCE: Duration = Duration::from_millis(250);

/// How long the SQL of a final check may take: it is asked once, and may count a large table.
const SQL_PATIENCE: Duration = Duration::from_secs(15);

/// Why there is no number of a database.
const NO_DATABASE: &str = "there is no database to ask: `database` is off, or the input database-url is not given";

/// Characters of a stranger's text that are shown.
const SHOWN: usize = 160;

/// An endpoint whose numbers are asked for: an instance's address and port, `ADDRESS:PORT` in Prometheus' label `instance`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Target {
    /// The instance, as Azure knows it.
    pub instance: InstanceName,
    /// An IP address or a host's name.
    pub host: String,
    /// The port of the metrics page: the application's.
    pub port: u16,
}

impl Target {
    /// `ADDRESS:PORT`, IPv6 in brackets.
    #[must_use]
    pub fn endpoint(&self) -> String {
        if self.host.contains(':') { format!("[{}]:{}", self.host, self.port) } else { format!("{}:{}", self.host, self.port) }
    }
}

/// Requests that an endpoint really got since they were asked for last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestCount {
    /// `ADDRESS:PORT`.
    pub endpoint: String,
    /// How many.
    pub realised: Realised,
}

/// How many requests an endpoint really got.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Realised {
    /// So many.
    Requests {
        /// How many.
        requests: u64,
    },
    /// Nobody knows: it is asked for the first time, or the source failed.
    Unknown {
        /// Why.
        why: String,
    },
}

impl Realised {
    /// How many, where it is known.
    #[must_use]
    pub const fn requests(&self) -> Option<u64> {
        match self {
            Self::Requests { requests } => Some(*requests),
            Self::Unknown { .. } => None,
        }
    }

    fn unknown(why: &str) -> Self {
        Self::Unknown { why: why.into() }
    }

    fn of(number: Result<f64, Reading>) -> Self {
        match number {
            Ok(requests) => Self::Requests { requests: histogram::whole(requests) },
            Err(Reading::NoData { why } | Reading::Failed { why } | Reading::Stale { why, .. }) => Self::Unknown { why },
            Err(Reading::Value { .. }) => Self::unknown("it has no number"),
        }
    }
}

/// What rules and checks can be read with: by `deploy.yml` and the inputs.
#[derive(Debug, Clone, Copy)]
pub struct Given<'a> {
    /// `metrics`; `None`: off.
    pub metrics: Option<&'a Metrics>,
    /// The input `prometheus-token`: a token, or `user:password`.
    pub prometheus_token: Option<&'a Secret>,
    /// `database`; `None`: off.
    pub database: Option<Database>,
    /// The input `database-url`.
    pub database_url: Option<&'a Secret>,
}

/// Asks the configured sources. One for each rollout: it remembers what it saw.
pub struct Sources {
    source: Option<Source>,
    database: Option<Pool>,
    azure: Option<AzureMonitor>,
    window: Duration,
    every: Duration,
    patience: Duration,
    /// When the watch began.
    began: Instant,
}

enum Source {
    Prometheus(Box<Prometheus>),
    Scrape(Scrape),
}

/// The database and the size of the application's pool.
struct Pool {
    postgres: Postgres,
    connections: u32,
}

impl Sources {
    /// Prepares to ask. Sends nothing. `every` is the time from tick to tick: no question takes longer than half of it, nor
    /// than 5 s. `http` is the shared client ([`http::client`]), which follows no redirect, so that the token goes to the
    /// configured server alone.
    ///
    /// # Errors
    /// When the token cannot be sent.
    pub fn new(given: &Given<'_>, every: Duration, http: reqwest::Client) -> Result<Self, Failure> {
        let patience = (every / 2).clamp(LEAST_PATIENCE, PATIENCE);
        let source = match given.metrics {
            None => None,
            Some(metrics) => Some(match &metrics.source {
                MetricsSource::Prometheus(base) => {
                    let token = given.prometheus_token.cloned();
                    Source::Prometheus(Box::new(Prometheus::new(base, metrics, http, token, patience)?))
                }
                MetricsSource::Scrape { path } => Source::Scrape(Scrape::new(path, http, metrics.window, patience)),
            }),
        };
        // An address that nothing asks may be any: `check` has refused a wrong one where it is asked.
        let postgres = given.database_url.and_then(|url| Postgres::new(url).ok());
        let database = postgres.zip(given.database).map(|(postgres, database)| Pool { postgres, connections: database.connections });
        let window = given.metrics.map_or(Duration::ZERO, |metrics| metrics.window);
        Ok(Self { source, database, azure: None, window, every, patience, began: Instant::now() })
    }

    /// With Azure Monitor for `cpu` and `memory` of the instances in the resource group `group`.
    #[must_use]
    pub fn with_azure(self, azure: Arc<ResourceManager>, group: &str) -> Self {
        Self { azure: Some(AzureMonitor::new(azure, group, self.every, self.patience)), ..self }
    }

    /// A watch begins now: totals are counted from here, the window before it included. Belongs with a new gate.
    pub fn begin(&mut self) {
        self.began = Instant::now();
        match &mut self.source {
            Some(Source::Prometheus(_)) | None => {}
            Some(Source::Scrape(scrape)) => scrape.begin(),
        }
        if let Some(azure) = &mut self.azure {
            azure.begin();
        }
    }

    /// Reads everything that the rules `wanted` need of `new`, and of `baseline` where a rule can use it, all at once; for each
    /// metric and subject one sample, a failed one where need be, and of what each instance is asked on its own (`cpu` and
    /// `memory` by Azure Monitor) one for each. What no source of numbers knows (`health`, `restarts`) is not among them.
    pub async fn read(&mut self, wanted: &[Rule], new: &[Target], baseline: &[Target]) -> Vec<Sample> {
        let of_azure = |want: &Want| match want.kind.reader() {
            Reader::QueryOrAzure => !self.is_query(&want.metric),
            Reader::Metrics | Reader::Query | Reader::Database | Reader::Instance => false,
        };
        let (used, wants): (Vec<Want>, Vec<Want>) = wants(wanted).into_iter().partition(of_azure);
        let connections = wanted.iter().map(|rule| &rule.metric).find(|metric| MetricKind::of(metric).reader() == Reader::Database);
        let (window, began, patience) = (self.window, self.began, self.patience);
        let metrics = async {
            match &mut self.source {
                Some(Source::Prometheus(prometheus)) => {
                    let spans = Spans { window, total: whole_seconds(window + began.elapsed()) };
                    prometheus.read(&wants, new, baseline, spans).await
                }
                Some(Source::Scrape(scrape)) => scrape.read(&wants, new, baseline).await,
                None => Vec::new(),
            }
        };
        let azure = async {
            match &mut self.azure {
                Some(azure) => azure.read(&used, new, baseline).await,
                None => used.iter().map(without_azure).collect(),
            }
        };
        let database = async {
            match connections {
                Some(metric) => Some(pool(self.database.as_mut(), metric, patience).await),
                None => None,
            }
        };
        let (metrics, azure, database) = tokio::join!(metrics, azure, database);
        metrics.into_iter().chain(azure).chain(database).collect()
    }

    /// Asks for the number of a final check; `$instances` of its query are `on`.
    pub async fn check(&mut self, check: &FinalCheck, on: &[Target]) -> Checked {
        let begun = Instant::now();
        let (asked, reading) = match (&check.ask, &mut self.database, &self.source) {
            (Ask::Sql { query }, Some(Pool { postgres, .. }), _) => {
                let reading = match postgres.number(query, SQL_PATIENCE).await {
                    Ok(number) => Reading::plain(number),
                    Err(trouble) => Reading::Failed { why: trouble.to_string() },
                };
                (query.clone(), reading)
            }
            (Ask::Sql { query }, None, _) => (query.clone(), Reading::Failed { why: NO_DATABASE.into() }),
            (Ask::Metric { query, .. }, _, Some(Source::Prometheus(prometheus))) => prometheus.number(query, on, self.window).await,
            (Ask::Metric { query, .. }, _, Some(Source::Scrape(_)) | None) => {
                (query.clone(), Reading::Failed { why: "it is a query, and queries need a Prometheus server".into() })
            }
        };
        let took_ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        Checked::new(check, asked, reading, took_ms)
    }

    /// Whether a server answers a query for `metric`.
    fn is_query(&self, metric: &MetricName) -> bool {
        match &self.source {
            Some(Source::Prometheus(prometheus)) => prometheus.has(metric),
            Some(Source::Scrape(_)) | None => false,
        }
    }

    /// How many requests each of `targets` really got since the last call that named it: realised shares, beside the intended
    /// ones. The first call sets the mark.
    pub async fn request_counts(&mut self, targets: &[Target]) -> Vec<RequestCount> {
        match &mut self.source {
            Some(Source::Prometheus(prometheus)) => prometheus.request_counts(targets).await,
            Some(Source::Scrape(scrape)) => scrape.request_counts(targets).await,
            None => {
                let unknown =
                    |target: &Target| RequestCount { endpoint: target.endpoint(), realised: Realised::unknown("`metrics` is off") };
                targets.iter().map(unknown).collect()
            }
        }
    }
}

/// What is said of `cpu` or `memory` where nobody can be asked.
fn without_azure(want: &Want) -> Sample {
    let why = format!("there is no query for it: add `{}` under `metrics.queries`", want.metric);
    Sample {
        metric: want.metric.clone(),
        subject: Subject::New,
        over: want.over,
        reading: Reading::Failed { why },
        query: String::new(),
        took_ms: 0,
    }
}

/// How many connections the database has. A server that takes no further one has said the worst there is to say: that counts as
/// the whole pool, for a rule that waited for a number then would wait until nobody is served any more.
async fn pool(pool: Option<&mut Pool>, metric: &MetricName, patience: Duration) -> Sample {
    let begun = Instant::now();
    let mut query = postgres::CONNECTIONS.to_owned();
    let reading = match pool {
        None => Reading::Failed { why: NO_DATABASE.into() },
        Some(Pool { postgres, connections }) => match postgres.number(postgres::CONNECTIONS, patience).await {
            Ok(number) => Reading::plain(number),
            Err(trouble @ Trouble::Full) => {
                query = format!("{query}; {trouble}, which counts as the whole pool of {connections}");
                Reading::plain(f64::from(*connections))
            }
            Err(trouble) => Reading::Failed { why: trouble.to_string() },
        },
    };
    let took_ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
    Sample { metric: metric.clone(), subject: Subject::New, over: None, reading, query, took_ms }
}

/// Refuses rules that could not be judged with what is `given`: a gate without a working rule would promote anything. Belongs
/// before the first step of a rollout. Asks nobody.
///
/// # Errors
/// Which rule, why, and what to do.
pub fn check(rules: &[Rule], given: &Given<'_>) -> Result<(), Failure> {
    let metrics = given.metrics;
    let refuse = |what: String, next: &str| {
        Err(Failure::new(FailureKind::Configuration, what, "deploy.yml")
            .meaning("nothing was touched: a gate that cannot judge would let everything through")
            .next(next))
    };
    if rules.is_empty() {
        return refuse("there is no rule to watch".into(), "add rules, or switch the section off");
    }
    for Rule { metric, .. } in rules {
        let configured = metrics.is_some_and(|metrics| metrics.queries.contains_key(metric));
        match (MetricKind::of(metric).reader(), metrics.map(|metrics| &metrics.source)) {
            (Reader::Instance, _) | (Reader::Metrics, Some(_)) => {}
            (Reader::Query | Reader::QueryOrAzure, Some(MetricsSource::Prometheus(_))) if configured => {}
            // Azure Monitor has it.
            (Reader::QueryOrAzure, _) if !configured => {}
            (Reader::Metrics, None) => {
                return refuse(
                    format!("rule `{metric}` has no numbers: `metrics` is off"),
                    "configure `metrics`, or switch the rule or its section off",
                );
            }
            (Reader::Query | Reader::QueryOrAzure, Some(MetricsSource::Prometheus(_))) => {
                return refuse(format!("rule `{metric}` has no query"), "add one of that name under `metrics.queries`");
            }
            (Reader::Query | Reader::QueryOrAzure, Some(MetricsSource::Scrape { .. }) | None) => {
                return refuse(
                    format!("rule `{metric}` has no numbers: it is a query, and queries need a Prometheus server"),
                    "give `metrics.prometheus` its address and `metrics.queries` the query, or switch the rule off",
                );
            }
            (Reader::Database, _) if given.database.is_none() => {
                return refuse(
                    format!("rule `{metric}` has no numbers: `database` is off"),
                    "configure `database`, or switch the rule off",
                );
            }
            (Reader::Database, _) => database_url(&format!("rule `{metric}`"), given)?,
        }
    }
    Ok(())
}

/// Likewise of final checks.
///
/// # Errors
/// Which check, why, and what to do.
pub fn check_final(checks: &[FinalCheck], given: &Given<'_>) -> Result<(), Failure> {
    let is_sql = |check: &&FinalCheck| matches!(check.ask, Ask::Sql { .. });
    checks.iter().find(is_sql).map_or(Ok(()), |check| database_url(&format!("the final check `{}`", check.name), given))
}

/// Refuses what needs the database, `who`, when no usable address of it is given.
fn database_url(who: &str, given: &Given<'_>) -> Result<(), Failure> {
    match given.database_url {
        Some(url) => Postgres::new(url).map(|_| ()),
        None => Err(Failure::new(
            FailureKind::Request,
            format!("{who} asks the database, and the input database-url is not given"),
            "database-url",
        )
        .meaning("nothing was touched: a gate that cannot judge would let everything through")
        .next("give the step `database-url: ${{ secrets.DATABASE_URL }}`, or switch off what asks the database")),
    }
}

/// One thing to read.
#[derive(Debug, Clone, PartialEq)]
struct Want {
    metric: MetricName,
    kind: MetricKind,
    /// The bound beyond which requests are counted.
    over: Option<Quantity>,
    beside: Beside,
}

/// Whether the stable instances' number is of use beside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Beside {
    Stable,
    Nobody,
}

impl Want {
    fn is_wanted_of(&self, subject: Subject) -> bool {
        match subject {
            Subject::New => true,
            Subject::Baseline => self.beside == Beside::Stable,
        }
    }
}

/// What the rules need, each thing once.
fn wants(rules: &[Rule]) -> Vec<Want> {
    let mut wants: Vec<Want> = Vec::new();
    for rule in rules {
        let kind = MetricKind::of(&rule.metric);
        let compares = rule.bounds.iter().any(|bound| match bound {
            Bound::MaxOfBaseline(_) | Bound::MinOfBaseline(_) => true,
            Bound::Max(_) | Bound::Min(_) => false,
        });
        let beside =
            match kind {
                // Their breaches are weighed against stable's own counts.
                MetricKind::ErrorRate | MetricKind::SuccessRate | MetricKind::LatencyP99 => Beside::Stable,
                MetricKind::Requests | MetricKind::Throughput | MetricKind::Cpu | MetricKind::Memory | MetricKind::Configured => {
                    if compares { Beside::Stable } else { Beside::Nobody }
                }
                MetricKind::DatabaseConnections | MetricKind::Restarts | MetricKind::Health => continue,
            };
        let over = over(rule);
        match wants.iter_mut().find(|want| want.metric == rule.metric && want.over == over) {
            Some(want) if beside == Beside::Stable => want.beside = beside,
            Some(_) => {}
            None => wants.push(Want { metric: rule.metric.clone(), kind, over, beside }),
        }
    }
    wants
}

/// Rounded up to seconds, so that queries stay readable; what is shorter than one stays as it is.
fn whole_seconds(span: Duration) -> Duration {
    if span < Duration::from_secs(1) || span.subsec_nanos() == 0 { span } else { Duration::from_secs(span.as_secs() + 1) }
}

/// An HTTP answer as a source reads it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Body {
    status: u16,
    content_type: String,
    location: Option<String>,
    bytes: Vec<u8>,
    /// More would have come.
    cut: bool,
}

impl Body {
    /// Whether it is a web page for people instead of numbers.
    fn is_page(&self) -> bool {
        let markup = self.bytes.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'<');
        markup || self.content_type.to_ascii_lowercase().contains("html")
    }

    /// Where a redirect points to, for a message: without what a login puts behind the question mark.
    fn whither(&self) -> String {
        let to = self.location.as_deref().and_then(|to| to.split(['?', '#']).next());
        to.map(|to| format!(" to {}", shown(to))).unwrap_or_default()
    }
}

/// Sends `request` and reads at most `largest` bytes of the answer.
async fn fetch(request: reqwest::RequestBuilder, largest: usize) -> Result<Body, String> {
    let cause = |error: reqwest::Error| http::cause(&error);
    let mut answer = request.send().await.map_err(cause)?;
    let header = |name| answer.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let (content_type, location) = (header(reqwest::header::CONTENT_TYPE).unwrap_or_default(), header(reqwest::header::LOCATION));
    let mut body = Body { status: answer.status().as_u16(), content_type, location, bytes: Vec::new(), cut: false };
    while let Some(chunk) = answer.chunk().await.map_err(cause)? {
        let room = largest.saturating_sub(body.bytes.len());
        body.bytes.extend_from_slice(chunk.get(..room).unwrap_or(&chunk));
        if chunk.len() > room {
            body.cut = true;
            break;
        }
    }
    Ok(body)
}

/// A stranger's text, on one line, without control characters, cut.
fn shown(text: &str) -> String {
    let words: Vec<&str> = text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty()).collect();
    let line = words.join(" ");
    match line.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", line.get(..end).unwrap_or_default()),
        None => line,
    }
}

#[cfg(test)]
mod tests;
