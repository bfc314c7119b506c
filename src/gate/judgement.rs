//! What a gate says, as plain data and as the sentences that people read. Says; decides nothing.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::sample::{Counts, Sample};
use crate::{
    config::{Bound, MetricKind, Quantity, Unit},
    domain::MetricName,
};

/// Odds beyond which nobody tells odds apart.
const MILLION: u64 = 1_000_000;

/// What a tick says of a rule. Only `Pass` is good news.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Within its bounds, on enough data.
    Pass,
    /// Beyond a bound, on enough data.
    Breach,
    /// Nothing to judge by, or not enough.
    TooLittleData,
    /// The source failed, or answered what is no number.
    SourceError,
    /// The numbers are of another time.
    Stale,
}

impl Verdict {
    /// The word as reports write it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Breach => "breach",
            Self::TooLittleData => "too little data",
            Self::SourceError => "source error",
            Self::Stale => "stale",
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A bound, and the number that it came to in this tick.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Limit {
    /// As configured.
    pub bound: Bound,
    /// What the value was compared with; `None` while the stable instances' value is not known.
    pub value: Option<Quantity>,
}

/// How well chance explains a breach (the test and its sources are described in `gate/statistics.rs`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Chance {
    /// A version within its bound looks this bad, ever while it is watched, less than once in so many times. 1: it well may.
    pub one_in: u64,
    /// What `one_in` must reach before chance does not count as the explanation any more.
    pub needed: u64,
}

impl Chance {
    /// Whether chance may still be the explanation.
    #[must_use]
    pub const fn may_explain(self) -> bool {
        self.one_in < self.needed
    }
}

/// Why a rule has tripped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Trip {
    /// Enough breaches in a row and, for rates, chance does not explain them.
    InARow,
    /// At least half of enough requests were events: nothing is gained by another look.
    Collapse,
}

/// What a tick says of one rule. `Display` gives the sentence that people read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Judgement {
    /// The rule's metric.
    pub metric: MetricName,
    /// What is said.
    pub verdict: Verdict,
    /// The value, where there was one.
    pub value: Option<Quantity>,
    /// The bound that decided; `None` for a rule without one (`health`).
    pub limit: Option<Limit>,
    /// What the value stands on: counts in the window.
    pub counts: Option<Counts>,
    /// Breaches in a row, this one included.
    pub in_a_row: u32,
    /// How many of them trip the rule.
    pub consecutive: u32,
    /// What is missing before it can be judged, e.g. "18 more requests in the window (32 of 50)".
    pub lacking: Option<String>,
    /// How well chance explains it, where that is asked.
    pub chance: Option<Chance>,
    /// Why the rule has tripped, if it has.
    pub trip: Option<Trip>,
}

impl Judgement {
    /// Whether the rule has tripped.
    #[must_use]
    pub const fn trips(&self) -> bool {
        self.trip.is_some()
    }

    /// The value, with as many digits as its sentence shows.
    #[must_use]
    pub fn shown(&self) -> Option<Quantity> {
        self.value.map(|value| readable(value, self.limit.and_then(|limit| limit.value)))
    }
}

impl fmt::Display for Judgement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.verdict {
            Verdict::Pass => {
                self.compared(f, Side::Within)?;
                self.counted(f)
            }
            Verdict::Breach => {
                self.compared(f, Side::Beyond)?;
                write!(f, ", {}", in_a_row(self.in_a_row, self.consecutive))?;
                self.counted(f)?;
                match (self.trip, self.chance) {
                    (Some(Trip::Collapse), _) => f.write_str("; at least half of them: no need to look again"),
                    (Some(Trip::InARow) | None, Some(chance)) if chance.may_explain() && chance.one_in <= 1 => {
                        f.write_str(", which chance well explains")
                    }
                    (Some(Trip::InARow) | None, Some(chance)) if chance.may_explain() => {
                        write!(f, ", which chance may explain (1 in {}, it takes 1 in {})", chance.one_in, chance.needed)
                    }
                    (Some(Trip::InARow) | None, Some(chance)) if chance.one_in >= MILLION => {
                        f.write_str(", chance explains that less than 1 in a million")
                    }
                    (Some(Trip::InARow) | None, Some(chance)) => write!(f, ", chance explains that less than 1 in {}", chance.one_in),
                    (Some(Trip::InARow) | None, None) => Ok(()),
                }
            }
            Verdict::TooLittleData | Verdict::SourceError | Verdict::Stale => {
                write!(f, "{}: {}", self.metric, self.verdict)?;
                self.lacking.as_ref().map_or(Ok(()), |lacking| write!(f, ": {lacking}"))
            }
        }
    }
}

/// On which side of its bound a value is.
#[derive(Clone, Copy)]
enum Side {
    Within,
    Beyond,
}

impl Judgement {
    fn compared(&self, f: &mut fmt::Formatter<'_>, side: Side) -> fmt::Result {
        let (Some(value), Some(limit)) = (self.value, self.limit) else {
            return match side {
                Side::Within => write!(f, "{}: good", self.metric),
                Side::Beyond => write!(f, "{}: not good", self.metric),
            };
        };
        let amount = MetricKind::of(&self.metric) == MetricKind::Throughput;
        let per_request = match limit.bound {
            Bound::MaxOfBaseline(_) | Bound::MinOfBaseline(_) if amount => " per request",
            Bound::MaxOfBaseline(_) | Bound::MinOfBaseline(_) | Bound::Max(_) | Bound::Min(_) => "",
        };
        let sign = match (limit.bound, side) {
            (Bound::Max(_) | Bound::MaxOfBaseline(_), Side::Within) => '≤',
            (Bound::Max(_) | Bound::MaxOfBaseline(_), Side::Beyond) => '>',
            (Bound::Min(_) | Bound::MinOfBaseline(_), Side::Within) => '≥',
            (Bound::Min(_) | Bound::MinOfBaseline(_), Side::Beyond) => '<',
        };
        let shown = readable(value, limit.value);
        write!(f, "{} {shown}{per_request} {sign} ", self.metric)?;
        let number = limit.value.map_or_else(|| "?".to_owned(), |limit| readable(limit, Some(value)).to_string());
        match limit.bound {
            Bound::Max(_) => write!(f, "{number} (max)"),
            Bound::Min(_) => write!(f, "{number} (min)"),
            Bound::MaxOfBaseline(part) => write!(f, "{number} (max, {part} of stable's)"),
            Bound::MinOfBaseline(part) => write!(f, "{number} (min, {part} of stable's)"),
        }
    }

    fn counted(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(counts) = self.counts else { return Ok(()) };
        write!(f, "; {}", events(MetricKind::of(&self.metric), counts, self.limit.map(|limit| limit.bound)))
    }
}

/// `value` with three digits that count (all before the decimal point, and all of a ratio close to 100 %), unless it could
/// not be told from `other` then.
pub(super) fn readable(value: Quantity, other: Option<Quantity>) -> Quantity {
    let round = |Quantity { value: number, unit }: Quantity| {
        let close_to_all = unit == Unit::Percent && number > 0.9;
        if number == 0.0 || close_to_all {
            return number;
        }
        // Ratios are shown times 100, times often times 1000: two decimals more than a plain number's.
        let least = if unit == Unit::Plain { 0.0 } else { 2.0 };
        let scale = 10f64.powf((2.0 - number.abs().log10().floor()).max(least));
        let rounded = (number * scale).round() / scale;
        if rounded.is_finite() { rounded } else { number }
    };
    let rounded = round(value);
    match other {
        Some(other) if other.value != value.value && round(other) == rounded => value,
        Some(_) | None => Quantity { value: rounded, ..value },
    }
}

/// "31 errors in 1290 requests".
pub(super) fn events(kind: MetricKind, counts: Counts, bound: Option<Bound>) -> String {
    let Counts { requests, events } = counts;
    let plural = |count: u64, word: &str| if count == 1 { format!("1 {word}") } else { format!("{count} {word}s") };
    match bound {
        Some(Bound::Max(max)) if kind == MetricKind::LatencyP99 => {
            format!("{events} of {} slower than {max}", plural(requests, "request"))
        }
        Some(Bound::Max(_) | Bound::Min(_) | Bound::MaxOfBaseline(_) | Bound::MinOfBaseline(_)) | None => {
            format!("{} in {}", plural(events, "error"), plural(requests, "request"))
        }
    }
}

/// "2 of 2 in a row".
pub(super) fn in_a_row(now: u32, consecutive: u32) -> String {
    if now > consecutive { format!("{now} in a row ({consecutive} would do)") } else { format!("{now} of {consecutive} in a row") }
}

/// What a watch has come to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "conclusion", rename_all = "kebab-case")]
pub enum Conclusion {
    /// Every rule has passed on enough data.
    Passed,
    /// No rule has tripped, and there is no evidence good enough to go on: a person, or more time, must decide.
    Held {
        /// What is lacking, a sentence for each rule, without a full stop.
        lacking: Vec<String>,
    },
    /// A rule has tripped.
    Tripped {
        /// The judgement that tripped it first.
        judgement: Box<Judgement>,
        /// The samples that it was made from.
        samples: Vec<Sample>,
    },
}

impl fmt::Display for Conclusion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Passed => f.write_str("every rule has passed on enough data"),
            Self::Held { lacking } => write!(f, "not enough to go on: {}", lacking.join("; ")),
            Self::Tripped { judgement, .. } => judgement.fmt(f),
        }
    }
}
