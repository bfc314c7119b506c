//! One bound of a rule, from tick to tick: within, beyond, or what is missing to say so; and how well chance explains it.
//! Pure: takes samples, keeps counts, knows no clock.

use super::{
    judgement::{Chance, Limit, Verdict, events, readable},
    sample::{Basis, Counts, Reading, Sample},
    statistics::{Sequential, add_logarithms, paired},
};
use crate::config::{Bound, MetricKind, Quantity, Unit};

/// The share of requests that may be slower than a latency's bound: that is what a 99th percentile within it means.
const SLOW: f64 = 0.01;

/// From this share of events on, with requests enough, a rate has collapsed: half of what people ask fails. Ten times any
/// bound the runbook has, and far beyond what chance does to 50 requests.
const COLLAPSED: f64 = 0.5;

/// The largest odds that are told; beyond, nobody tells them apart.
const LARGEST_ODDS: f64 = 1e12;

/// How strictly rates are judged.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Strictness {
    /// Fewer requests than this in the window are no data.
    pub(super) min_requests: u64,
    /// The odds against chance from which a breach counts; `None`: the literal rule alone.
    pub(super) needed: Option<u64>,
}

/// What a tick says of a bound.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Finding {
    pub(super) verdict: Verdict,
    pub(super) value: Option<Quantity>,
    pub(super) limit: Option<Limit>,
    pub(super) counts: Option<Counts>,
    pub(super) lacking: Option<String>,
    pub(super) chance: Option<Chance>,
    pub(super) collapse: Option<Collapse>,
}

/// A rate that has collapsed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Collapse;

/// Nothing to judge by: which verdict that is, and what is missing.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Lack {
    verdict: Verdict,
    what: String,
}

impl Lack {
    pub(super) fn new(verdict: Verdict, what: impl Into<String>) -> Self {
        Self { verdict, what: what.into() }
    }

    /// The same, of the stable instances.
    fn of_stable(self) -> Self {
        Self { what: format!("of the stable instances: {}", self.what), ..self }
    }
}

impl From<Lack> for Finding {
    fn from(Lack { verdict, what }: Lack) -> Self {
        Self { verdict, value: None, limit: None, counts: None, lacking: Some(what), chance: None, collapse: None }
    }
}

impl Finding {
    /// The order in which findings of one rule matter.
    pub(super) fn severity(&self) -> u8 {
        match self.verdict {
            Verdict::Breach if self.collapse.is_some() => 6,
            Verdict::Breach if !self.chance.is_some_and(Chance::may_explain) => 5,
            Verdict::Breach => 4,
            Verdict::SourceError => 3,
            Verdict::Stale => 2,
            Verdict::TooLittleData => 1,
            Verdict::Pass => 0,
        }
    }
}

/// Whether stable instances are read beside the new version. Settled by the first tick with data: a test that chose its
/// comparison after seeing the numbers would not keep its promise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Beside {
    Unsettled,
    Nobody,
    Stable,
}

/// A bound under watch.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct WatchedBound {
    kind: MetricKind,
    bound: Bound,
    beside: Beside,
    /// Against the bound itself.
    absolute: Sequential,
    /// Of what the absolute test has seen the most: totals that fall back (an extrapolating source wobbles) count once.
    absolute_seen: Counts,
    /// Against stable instances.
    relative: Sequential,
    relative_seen: (Counts, Counts),
    /// Totals of the last tick.
    totals: (Option<Counts>, Option<Counts>),
}

/// What the whole watch says of a bound, beside its last window.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Whole {
    /// The counts of the whole watch are not known, or the bound is not a rate's.
    Unknown,
    /// Within.
    Within,
    /// Beyond: the sentence that says so.
    Beyond(String),
}

impl WatchedBound {
    pub(super) fn new(kind: MetricKind, bound: Bound) -> Self {
        Self {
            kind,
            bound,
            beside: Beside::Unsettled,
            absolute: Sequential::default(),
            absolute_seen: Counts::default(),
            relative: Sequential::default(),
            relative_seen: (Counts::default(), Counts::default()),
            totals: (None, None),
        }
    }

    /// Judges a tick.
    pub(super) fn judge(&mut self, new: &Reading, baseline: Option<&Reading>, strictness: Strictness) -> Finding {
        let (value, basis) = match usable(new) {
            Ok(usable) => usable,
            Err(lack) => return lack.into(),
        };
        let chance = self.chance(basis, baseline, strictness);
        let compared = match self.compare(value, basis, baseline, strictness) {
            Ok(compared) => compared,
            Err(lack) => return lack.into(),
        };
        let counts = match basis {
            Basis::Counts { window, .. } => Some(window),
            Basis::Plain | Basis::Requests { .. } => None,
        };
        let mut finding = Finding {
            verdict: if compared.beyond() { Verdict::Breach } else { Verdict::Pass },
            value: Some(Quantity { value: compared.value, unit: self.unit() }),
            limit: Some(Limit { bound: self.bound, value: Some(Quantity { value: compared.limit, unit: self.unit() }) }),
            counts,
            lacking: None,
            chance: None,
            collapse: None,
        };
        if rate(self.kind).is_some()
            && let Some(lacking) = self.few(basis, strictness)
        {
            // Where nothing is allowed, one error says all there is to say; its absence in a few requests does not.
            let certain = self.event_probability() == Some(0.0) && finding.verdict == Verdict::Breach;
            if !certain {
                return Finding { verdict: Verdict::TooLittleData, lacking: Some(lacking), ..finding };
            }
        }
        if finding.verdict == Verdict::Breach {
            finding.chance = chance;
            let collapsed = counts.and_then(Counts::rate).is_some_and(|rate| rate >= COLLAPSED);
            let enough = counts.is_some_and(|counts| counts.requests >= strictness.min_requests);
            finding.collapse = (strictness.needed.is_some() && self.counts_events() && collapsed && enough).then_some(Collapse);
        }
        finding
    }

    /// What is missing for a rate to be judged; `None`: nothing.
    fn few(&self, basis: Basis, strictness: Strictness) -> Option<String> {
        let least = strictness.min_requests;
        match basis {
            Basis::Plain => Some("how many requests it stands on is not known; give `metrics.queries` a query `requests`".into()),
            Basis::Requests { requests } | Basis::Counts { window: Counts { requests, .. }, .. } if requests < least => {
                let so_far = match basis {
                    Basis::Counts { window, .. } if window.events > 0 => {
                        format!("; so far {}", events(self.kind, window, Some(self.bound)))
                    }
                    Basis::Plain | Basis::Requests { .. } | Basis::Counts { .. } => String::new(),
                };
                let missing = least - requests;
                let plural = if missing == 1 { "" } else { "s" };
                Some(format!("{missing} more request{plural} in the window ({requests} of {least}){so_far}"))
            }
            Basis::Requests { .. } | Basis::Counts { .. } => None,
        }
    }

    fn compare(&self, value: f64, basis: Basis, baseline: Option<&Reading>, strictness: Strictness) -> Result<Compared, Lack> {
        let part = match self.bound {
            Bound::Max(limit) => return Ok(Compared { value, limit: limit.value, direction: Direction::Max }),
            Bound::Min(limit) => return Ok(Compared { value, limit: limit.value, direction: Direction::Min }),
            Bound::MaxOfBaseline(part) => part.ratio(),
            Bound::MinOfBaseline(part) => part.ratio(),
        };
        let direction = match self.bound {
            Bound::Max(_) | Bound::MaxOfBaseline(_) => Direction::Max,
            Bound::Min(_) | Bound::MinOfBaseline(_) => Direction::Min,
        };
        let none = Lack::new(Verdict::TooLittleData, "no reading was taken");
        let (stable, stable_basis) = baseline.ok_or(none).and_then(usable).map_err(Lack::of_stable)?;
        if rate(self.kind).is_some()
            && let Some(lacking) = self.few(stable_basis, strictness)
        {
            return Err(Lack::new(Verdict::TooLittleData, lacking).of_stable());
        }
        let no_requests = || Lack::new(Verdict::TooLittleData, "no request in the window to divide it by");
        match self.kind {
            // It grows with the traffic, which differs on purpose.
            MetricKind::Throughput => {
                let value = per_request(value, basis).ok_or_else(no_requests)?;
                let stable = per_request(stable, stable_basis).ok_or_else(|| no_requests().of_stable())?;
                Ok(Compared { value, limit: part * stable, direction })
            }
            MetricKind::ErrorRate
            | MetricKind::SuccessRate
            | MetricKind::LatencyP99
            | MetricKind::Requests
            | MetricKind::Cpu
            | MetricKind::Memory
            | MetricKind::DatabaseConnections
            | MetricKind::Restarts
            | MetricKind::Health
            | MetricKind::Configured => Ok(Compared { value, limit: part * stable, direction }),
        }
    }

    /// Takes the tick's counts into the tests. `None` where the bound is not one that counts decide.
    fn chance(&mut self, basis: Basis, baseline: Option<&Reading>, strictness: Strictness) -> Option<Chance> {
        let Basis::Counts { total, .. } = basis else { return None };
        let stable = match baseline {
            Some(Reading::Value { basis: Basis::Counts { total, .. }, .. }) => Some(*total),
            Some(Reading::Value { .. } | Reading::NoData { .. } | Reading::Failed { .. } | Reading::Stale { .. }) | None => None,
        };
        self.totals = (Some(total), stable.or(self.totals.1));
        if self.beside == Beside::Unsettled {
            self.beside = if baseline.is_some() { Beside::Stable } else { Beside::Nobody };
        }
        if let (Some(stable), Some(allowed)) = (stable, self.allowed()) {
            let (new_seen, stable_seen) = &mut self.relative_seen;
            let (counts, p) = paired(fresh(new_seen, total), fresh(stable_seen, stable), allowed);
            self.relative.advance(counts, p);
        }
        let needed = strictness.needed?;
        let log_evidence = match self.event_probability() {
            // Nothing is allowed: there is nothing for chance to explain.
            Some(0.0) => return None,
            Some(p) => {
                self.absolute.advance(fresh(&mut self.absolute_seen, total), p);
                match self.beside {
                    // The mean of two such tests is one again: of a version that is within its bound and no worse than stable.
                    Beside::Stable => add_logarithms(self.absolute.log_evidence(), self.relative.log_evidence()) - 2f64.ln(),
                    Beside::Nobody | Beside::Unsettled => self.absolute.log_evidence(),
                }
            }
            None if self.allowed().is_some() => self.relative.log_evidence(),
            None => return None,
        };
        // A whole number, within bounds.
        let one_in = log_evidence.exp().clamp(1.0, LARGEST_ODDS) as u64;
        Some(Chance { one_in, needed })
    }

    /// The probability that a request is an event which the bound allows, where the bound is an absolute one of a rate.
    fn event_probability(&self) -> Option<f64> {
        match (rate(self.kind)?, self.bound) {
            (Rate::Errors, Bound::Max(max)) => Some(max.value),
            (Rate::Successes, Bound::Min(min)) => Some(1.0 - min.value),
            (Rate::Slow, Bound::Max(_)) => Some(SLOW),
            (Rate::Errors | Rate::Slow, Bound::Min(_) | Bound::MaxOfBaseline(_) | Bound::MinOfBaseline(_))
            | (Rate::Successes, Bound::Max(_) | Bound::MaxOfBaseline(_) | Bound::MinOfBaseline(_)) => None,
        }
    }

    /// How many times as often as stable the new version may have events.
    fn allowed(&self) -> Option<f64> {
        match (rate(self.kind)?, self.bound) {
            (Rate::Errors, Bound::MaxOfBaseline(part)) => Some(part.ratio()),
            // No more often than stable: a bound below stable's own success is broken only by a version that is worse.
            (Rate::Successes, Bound::MinOfBaseline(_)) => Some(1.0),
            (Rate::Errors, Bound::Max(_) | Bound::Min(_) | Bound::MinOfBaseline(_))
            | (Rate::Successes, Bound::Max(_) | Bound::Min(_) | Bound::MaxOfBaseline(_))
            | (Rate::Slow, Bound::Max(_) | Bound::Min(_) | Bound::MaxOfBaseline(_) | Bound::MinOfBaseline(_)) => {
                self.event_probability().map(|_| 1.0)
            }
        }
    }

    /// Whether the bound is one that events break.
    fn counts_events(&self) -> bool {
        self.allowed().is_some()
    }

    /// What the counts of the whole watch say. One window is a small and lucky part of it.
    pub(super) fn whole(&self) -> Whole {
        let (Some(total), stable) = self.totals else { return Whole::Unknown };
        let Some(rate) = total.rate() else { return Whole::Unknown };
        let most = match (self.event_probability(), self.allowed(), stable.and_then(Counts::rate)) {
            // A bound that allows nothing is about now: the windows since an error of an hour ago have forgiven it.
            (Some(0.0), ..) => return Whole::Unknown,
            (Some(p), ..) => p,
            (None, Some(_), Some(stable)) => match self.bound {
                Bound::MinOfBaseline(part) => 1.0 - part.ratio() * (1.0 - stable),
                Bound::MaxOfBaseline(part) => part.ratio() * stable,
                Bound::Max(_) | Bound::Min(_) => return Whole::Unknown,
            },
            (None, Some(_), None) | (None, None, _) => return Whole::Unknown,
        };
        if rate <= most {
            return Whole::Within;
        }
        let (rate, most) = (Quantity::ratio(rate), Quantity::ratio(most));
        let (rate, most) = (readable(rate, Some(most)), readable(most, Some(rate)));
        Whole::Beyond(format!("over the whole watch {}: {rate}, and {most} is allowed", events(self.kind, total, Some(self.bound))))
    }

    fn unit(&self) -> Unit {
        match (self.kind.unit(), self.bound) {
            (Some(unit), _) => unit,
            (None, Bound::Max(quantity) | Bound::Min(quantity)) => quantity.unit,
            (None, Bound::MaxOfBaseline(_) | Bound::MinOfBaseline(_)) => Unit::Plain,
        }
    }
}

/// Two numbers and how they must lie.
struct Compared {
    value: f64,
    limit: f64,
    direction: Direction,
}

#[derive(Clone, Copy)]
enum Direction {
    Max,
    Min,
}

impl Compared {
    fn beyond(&self) -> bool {
        match self.direction {
            Direction::Max => self.value > self.limit,
            Direction::Min => self.value < self.limit,
        }
    }
}

/// A metric that is judged on requests: fewer than `min-requests` are no data for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rate {
    /// The share of errors.
    Errors,
    /// The rest.
    Successes,
    /// A percentile, which is about the share of slow answers.
    Slow,
}

/// Which rate a metric is, if it is one.
const fn rate(kind: MetricKind) -> Option<Rate> {
    match kind {
        MetricKind::ErrorRate => Some(Rate::Errors),
        MetricKind::SuccessRate => Some(Rate::Successes),
        MetricKind::LatencyP99 => Some(Rate::Slow),
        MetricKind::Requests
        | MetricKind::Throughput
        | MetricKind::Cpu
        | MetricKind::Memory
        | MetricKind::DatabaseConnections
        | MetricKind::Restarts
        | MetricKind::Health
        | MetricKind::Configured => None,
    }
}

/// The number of a reading, or why there is none. What is not finite is never a pass.
fn usable(reading: &Reading) -> Result<(f64, Basis), Lack> {
    match reading {
        Reading::Value { value, basis } if value.is_finite() => Ok((*value, *basis)),
        Reading::Value { value, .. } => Err(Lack::new(Verdict::SourceError, format!("{value} is no number to judge by"))),
        Reading::NoData { why } => Err(Lack::new(Verdict::TooLittleData, why.clone())),
        Reading::Failed { why } => Err(Lack::new(Verdict::SourceError, why.clone())),
        Reading::Stale { age_ms, why } => {
            Err(Lack::new(Verdict::Stale, format!("{} old: {why}", Quantity::seconds(*age_ms as f64 / 1000.0))))
        }
    }
}

/// Of the rule's samples of one subject, the reading to judge.
///
/// # Errors
/// Where there is none, or several of which none can be preferred.
pub(super) fn only<'a>(samples: &[&'a Sample]) -> Result<&'a Reading, Lack> {
    match samples {
        [] => Err(Lack::new(Verdict::TooLittleData, "no reading was taken")),
        [sample] => Ok(&sample.reading),
        several => Err(Lack::new(Verdict::SourceError, format!("{} readings of one thing in one tick", several.len()))),
    }
}

fn per_request(value: f64, basis: Basis) -> Option<f64> {
    basis.requests().filter(|requests| *requests > 0).map(|requests| value / requests as f64)
}

/// What `total` has beyond the most that was seen, which it then becomes.
fn fresh(seen: &mut Counts, total: Counts) -> Counts {
    let more = Counts::new(total.requests.saturating_sub(seen.requests), total.events.saturating_sub(seen.events));
    seen.requests = seen.requests.max(total.requests);
    seen.events = seen.events.max(total.events);
    more
}
