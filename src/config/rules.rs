//! Rules and where their numbers come from, as configured. Plain data; judged in [`crate::gate`].

use std::{collections::BTreeMap, fmt, time::Duration};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use url::Url;

use crate::domain::{MetricName, Share};

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

/// A bound of a rule.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Bound {
    /// It must not be above this.
    Max(Quantity),
    /// It must not be below this.
    Min(Quantity),
    /// Not above this part of the stable instances' value in the same window.
    MaxOfBaseline(Share),
    /// Not below this part of the stable instances' value in the same window.
    MinOfBaseline(Share),
}

/// A number in its base unit, and the unit that people write it in.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Quantity {
    /// Ratios between 0 and 1, times in seconds, anything else as it is.
    pub value: f64,
    /// How it is shown.
    pub unit: Unit,
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
