//! Rules and where their numbers come from, as configured. Plain data; judged in [`crate::gate`].

use std::{borrow::Cow, collections::BTreeMap, fmt, str::FromStr, time::Duration};

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use url::Url;

use crate::domain::{MetricName, NotA, Share};

/// Where the numbers of rules come from.
#[derive(Debug, Clone, PartialEq)]
pub struct Metrics {
    /// Who is asked.
    pub source: MetricsSource,
    /// PromQL by metric.
    pub queries: BTreeMap<MetricName, String>,
    /// The rate window.
    pub window: Duration,
    /// What too little data means.
    pub no_data: NoData,
    /// How sure a rate's breach must be that chance does not explain it; `None`: the runbook's literal rule alone.
    pub confidence: Option<Share>,
    /// Fewer requests than this in the window count as no data for rates.
    pub min_requests: u32,
}

/// Who is asked for numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MetricsSource {
    /// A Prometheus server, in PromQL.
    Prometheus(Url),
    /// Each instance's own metrics page.
    Scrape {
        /// Its path, e.g. `/metrics`.
        path: String,
    },
}

/// What too little data means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum NoData {
    /// Neither pass nor breach, and nothing is promoted on it.
    Hold,
    /// A breach.
    Fail,
    /// The rule is skipped.
    Ignore,
}

/// A rule: a metric within bounds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Rule {
    /// The metric.
    pub metric: MetricName,
    /// The bounds; empty only for `health`, which knows good and bad by itself.
    pub bounds: Vec<Bound>,
    /// Ticks of breach in a row that trip it.
    pub consecutive: u32,
}

impl Rule {
    /// Whether it compares with the stable instances' value.
    #[must_use]
    pub fn compares(&self) -> bool {
        self.bounds.iter().any(|bound| match bound {
            Bound::MaxOfBaseline(_) | Bound::MinOfBaseline(_) => true,
            Bound::Max(_) | Bound::Min(_) => false,
        })
    }
}

/// A bound of a rule.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Bound {
    /// It must not be above this.
    Max(Quantity),
    /// It must not be below this.
    Min(Quantity),
    /// Not above this part of the stable instances' value in the same window; may be more than the whole.
    MaxOfBaseline(Factor),
    /// Not below this part of the stable instances' value in the same window.
    MinOfBaseline(Share),
}

/// A percentage that may be above 100%: how much of the stable instances' value is allowed. In exact parts per million.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Factor(u64);

impl Factor {
    /// The largest: a hundred times the stable instances' value says nothing any more.
    const LARGEST: u64 = 100 * 1_000_000;

    /// As a ratio: 1 for 100%.
    #[must_use]
    pub fn ratio(self) -> f64 {
        // At most 10^8: exact.
        self.0 as f64 / 1e6
    }
}

impl FromStr for Factor {
    type Err = NotA;

    /// Reads `90%`, `150%`, `112.5%`: digits, at most four decimals, a percent sign.
    fn from_str(text: &str) -> Result<Self, NotA> {
        let wrong = || NotA::new(text, "a percentage between 0% and 10000% such as 90% or 150%");
        let number = text.strip_suffix('%').ok_or_else(wrong)?.trim_end();
        let (whole, decimals) = number.split_once('.').unwrap_or((number, ""));
        let digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
        if whole.is_empty() || whole.len() > 5 || decimals.len() > 4 || !digits(whole) || !digits(decimals) || number.ends_with('.') {
            return Err(wrong());
        }
        let whole: u64 = whole.parse().map_err(|_| wrong())?;
        let fraction: u64 = format!("{decimals:0<4}").parse().map_err(|_| wrong())?;
        let ppm = whole * 10_000 + fraction;
        if ppm <= Self::LARGEST { Ok(Self(ppm)) } else { Err(wrong()) }
    }
}

impl fmt::Display for Factor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, fraction) = (self.0 / 10_000, self.0 % 10_000);
        if fraction == 0 {
            return write!(f, "{whole}%");
        }
        write!(f, "{whole}.{}%", format!("{fraction:04}").trim_end_matches('0'))
    }
}

impl Serialize for Factor {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Factor {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for Factor {
    fn schema_name() -> Cow<'static, str> {
        "Factor".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "description": "A percentage that may be above 100%, up to 10000%.",
            "pattern": r"^(10000(\.0{1,4})?|\d{1,4}(\.\d{1,4})?)%$",
            "examples": ["90%", "150%"]
        })
    }
}

/// What a metric is, by its name: which unit its bounds have, who reads it, how it is judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetricKind {
    /// `error-rate`: the share of requests answered with 5xx.
    ErrorRate,
    /// `success-rate`: the rest of them.
    SuccessRate,
    /// `latency-p99`: the time that 99 of 100 requests take at most.
    LatencyP99,
    /// `requests`: requests in the window.
    Requests,
    /// `throughput`: an amount of work under `metrics.queries`. It grows with the traffic, so it is compared with the stable
    /// instances per request; every other metric is compared as it is.
    Throughput,
    /// `cpu`: the used part of what the instance was given.
    Cpu,
    /// `memory`: likewise.
    Memory,
    /// `database-connections`: connections in use.
    DatabaseConnections,
    /// `restarts`: times Azure started the container again.
    Restarts,
    /// `health`: the health path answers 2xx.
    Health,
    /// Any other name: a query under `metrics.queries`.
    Configured,
}

impl MetricKind {
    /// The names that have a meaning without a query of their own.
    pub const BUILT_IN: [&'static str; 9] =
        ["error-rate", "success-rate", "latency-p99", "requests", "cpu", "memory", "database-connections", "restarts", "health"];

    /// What `name` is.
    #[must_use]
    pub fn of(name: &MetricName) -> Self {
        match name.as_str() {
            "error-rate" => Self::ErrorRate,
            "success-rate" => Self::SuccessRate,
            "latency-p99" => Self::LatencyP99,
            "requests" => Self::Requests,
            "throughput" => Self::Throughput,
            "cpu" => Self::Cpu,
            "memory" => Self::Memory,
            "database-connections" => Self::DatabaseConnections,
            "restarts" => Self::Restarts,
            "health" => Self::Health,
            _ => Self::Configured,
        }
    }

    /// The unit that its values have; `None` where only the query knows.
    #[must_use]
    pub const fn unit(self) -> Option<Unit> {
        match self {
            Self::ErrorRate | Self::SuccessRate | Self::Cpu | Self::Memory => Some(Unit::Percent),
            Self::LatencyP99 => Some(Unit::Time),
            Self::Requests | Self::DatabaseConnections | Self::Restarts | Self::Health => Some(Unit::Plain),
            Self::Throughput | Self::Configured => None,
        }
    }

    /// Who reads it.
    #[must_use]
    pub const fn reader(self) -> Reader {
        match self {
            Self::ErrorRate | Self::SuccessRate | Self::LatencyP99 | Self::Requests => Reader::Metrics,
            Self::Throughput | Self::Configured => Reader::Query,
            Self::Cpu | Self::Memory => Reader::QueryOrAzure,
            Self::DatabaseConnections => Reader::Database,
            Self::Restarts | Self::Health => Reader::Instance,
        }
    }
}

/// Who reads a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reader {
    /// The source under `metrics`, whichever it is.
    Metrics,
    /// A query under `metrics.queries`, which needs a Prometheus server.
    Query,
    /// A query where one is configured, otherwise Azure Monitor.
    QueryOrAzure,
    /// The database (input `database-url`).
    Database,
    /// The instance itself: its health path, what Azure says of it.
    Instance,
}

/// The database that the rule `database-connections` asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Database {
    /// The pool's size.
    pub connections: u32,
}

/// A number in its base unit, and the unit that people write it in.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Quantity {
    /// Ratios between 0 and 1, times in seconds, anything else as it is.
    pub value: f64,
    /// How it is shown.
    pub unit: Unit,
}

impl Quantity {
    /// A ratio between 0 and 1.
    #[must_use]
    pub const fn ratio(value: f64) -> Self {
        Self { value, unit: Unit::Percent }
    }

    /// Seconds.
    #[must_use]
    pub const fn seconds(value: f64) -> Self {
        Self { value, unit: Unit::Time }
    }

    /// A number as it is.
    #[must_use]
    pub const fn plain(value: f64) -> Self {
        Self { value, unit: Unit::Plain }
    }
}

/// How a number is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Unit {
    /// A ratio, shown in percent.
    Percent,
    /// Seconds, shown in milliseconds or seconds.
    Time,
    /// A plain number.
    Plain,
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        /// At most four decimals, without trailing zeros.
        fn short(number: f64) -> String {
            let text = format!("{number:.4}");
            let text = text.trim_end_matches('0').trim_end_matches('.');
            if text == "-0" { "0".to_owned() } else { text.to_owned() }
        }
        match self.unit {
            Unit::Percent => write!(f, "{} %", short(self.value * 100.0)),
            Unit::Time if self.value.abs() < 10.0 => write!(f, "{} ms", short((self.value * 1000.0 * 10.0).round() / 10.0)),
            Unit::Time => write!(f, "{} s", short(self.value)),
            Unit::Plain => f.write_str(&short(self.value)),
        }
    }
}
