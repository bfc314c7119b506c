//! What was measured, as plain data: the raw material of every verdict, and what the evidence file keeps of it.
//! Judges nothing; knows no clock and no source.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{config::Quantity, domain::MetricName};

/// Whose number it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Subject {
    /// The version that is being judged.
    New,
    /// The stable instances that serve beside it.
    Baseline,
}

/// Requests, and how many of them were events: errors for a rate, answers slower than the bound for a latency.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Counts {
    /// How many requests.
    pub requests: u64,
    /// How many of them were events; never more than `requests`.
    pub events: u64,
}

impl Counts {
    /// From its parts; `events` is cut to `requests`, which two queries asked a moment apart can exceed.
    #[must_use]
    pub const fn new(requests: u64, events: u64) -> Self {
        Self { requests, events: if events < requests { events } else { requests } }
    }

    /// Events per request; `None` without requests.
    #[must_use]
    pub fn rate(self) -> Option<f64> {
        // Counts beyond 2^53 do not occur.
        (self.requests > 0).then(|| self.events as f64 / self.requests as f64)
    }
}

/// What a value stands on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "basis", rename_all = "kebab-case")]
pub enum Basis {
    /// A number as it is: a gauge, a probe, an answer of which only the query knows how it came about.
    Plain,
    /// So many requests in the window.
    Requests {
        /// How many.
        requests: u64,
    },
    /// Realised counts.
    Counts {
        /// In the window, which overlaps the window of the tick before.
        window: Counts,
        /// Since the watching began, the window before it included: each count is in the total of the next tick too, so the
        /// differences of totals do not overlap.
        total: Counts,
    },
}

impl Basis {
    /// Requests in the window, where they are known.
    #[must_use]
    pub const fn requests(&self) -> Option<u64> {
        match self {
            Self::Plain => None,
            Self::Requests { requests } => Some(*requests),
            Self::Counts { window, .. } => Some(window.requests),
        }
    }
}

/// What came of asking for one metric of one subject, once.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "reading", rename_all = "kebab-case")]
pub enum Reading {
    /// A number.
    Value {
        /// In its base unit: ratios between 0 and 1, times in seconds. Always finite where one of this crate's sources made it.
        value: f64,
        /// What it stands on.
        basis: Basis,
    },
    /// The source answered, and knows nothing of it: no series, no requests.
    NoData {
        /// Why, and what to do: one sentence without a full stop.
        why: String,
    },
    /// The source did not answer, or not with one number.
    Failed {
        /// Why, and what to do: one sentence without a full stop.
        why: String,
    },
    /// The source answered with numbers of another time.
    Stale {
        /// How old they are, in milliseconds.
        age_ms: u64,
        /// Why, and what to do: one sentence without a full stop.
        why: String,
    },
}

impl Reading {
    /// A number that stands on nothing else. What is no finite number is a failure: it would compare as a pass.
    #[must_use]
    pub fn plain(value: f64) -> Self {
        Self::value(value, Basis::Plain)
    }

    /// A number and what it stands on. What is no finite number is a failure: it would compare as a pass.
    #[must_use]
    pub fn value(value: f64, basis: Basis) -> Self {
        if value.is_finite() { Self::Value { value, basis } } else { Self::Failed { why: format!("{value} is no number to judge by") } }
    }

    /// The health path answered 2xx.
    #[must_use]
    pub fn healthy() -> Self {
        Self::plain(1.0)
    }

    /// The health path was asked and did not answer 2xx. Where it could not be asked at all, that is [`Self::Failed`].
    #[must_use]
    pub fn unhealthy() -> Self {
        Self::plain(0.0)
    }
}

/// One metric of one subject, asked once.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Sample {
    /// The metric.
    pub metric: MetricName,
    /// Whose.
    pub subject: Subject,
    /// The bound beyond which an answer counts as an event, where events depend on one: a latency's. Such a sample serves the
    /// rules with that bound; one without serves every rule of its metric.
    pub over: Option<Quantity>,
    /// What came.
    pub reading: Reading,
    /// What was asked, of which endpoints: the whole query, ready to be asked again by a person.
    pub query: String,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
}
