//! Rules over samples: the gate. The same samples always give the same judgements, so that they can be replayed.
//! Pure: no clock, no source; a tick is one call.
//!
//! **A tick.** Each rule gets one verdict from the samples of its metric. Breaches in a row are counted; a pass sets the count
//! back; a tick without data (too little, source error, stale) leaves it as it is: were it set back, a source that stumbles
//! would hide a failing version; did it count, silence would be guilt. `no-data: fail` says that it does; `ignore` skips the
//! rule for the tick.
//!
//! **Tripping.** A rule trips after `consecutive` breaches in a row. A rate must besides be beyond what chance explains
//! (`confidence`; [`super::statistics`]), or have collapsed: at least half of at least `min-requests` requests, which trips at
//! once. Where the bound allows no event at all, any is a breach and chance explains nothing. `confidence: off` leaves the
//! literal rule alone.
//!
//! **The end.** A watch has passed when every rule has: it was judged on enough data at least once; it was not without data
//! for more than its `consecutive` last ticks; and its last verdict is a pass. A rate judged with `confidence` is held to all
//! counts of the watch beside: they must be within the bound, and if they are, a last window beyond it that chance may explain
//! does not hold it. Rules skipped by `no-data: ignore` do not hold, but at least one rule must have passed: silence never does.

use super::{
    bound::{Finding, Lack, Strictness, WatchedBound, Whole, only},
    judgement::{Chance, Conclusion, Judgement, Trip, Verdict, in_a_row},
    sample::{Reading, Sample, Subject},
};
use crate::{
    config::{Bound, MetricKind, Metrics, NoData, Quantity, Rule},
    domain::Share,
};

/// How rules are judged: from `metrics` in `deploy.yml`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
pub struct Settings {
    /// What no data means.
    pub no_data: NoData,
    /// How sure a rate's breach must be that chance does not explain it; `None`: the literal rule alone.
    pub confidence: Option<Share>,
    /// Fewer requests than this in the window are no data for rates.
    pub min_requests: u32,
}

impl Settings {
    /// From the section `metrics`; where that is off, what is left (`health`, `restarts`) is judged strictly.
    #[must_use]
    pub fn of(metrics: Option<&Metrics>) -> Self {
        metrics.map_or(Self { no_data: NoData::Hold, confidence: None, min_requests: 1 }, |metrics| Self {
            no_data: metrics.no_data,
            confidence: metrics.confidence,
            min_requests: metrics.min_requests,
        })
    }
}

/// Rules under watch.
#[derive(Debug, Clone, PartialEq)]
pub struct Gate {
    settings: Settings,
    strictness: Strictness,
    rules: Vec<Watched>,
    /// The first judgement that tripped, and what it was made from.
    tripped: Option<(Judgement, Vec<Sample>)>,
}

/// A rule under watch.
#[derive(Debug, Clone, PartialEq)]
struct Watched {
    rule: Rule,
    kind: MetricKind,
    bounds: Vec<WatchedBound>,
    in_a_row: u32,
    /// Ticks without data since the last one with.
    silent: u32,
    /// The last judgement that was made on enough data.
    judged: Option<Judgement>,
    /// The last judgement.
    last: Option<Judgement>,
}

impl Gate {
    /// Starts to watch `rules`. A new version, or a new set of instances to compare with, needs a new gate: old evidence says
    /// nothing of it.
    #[must_use]
    pub fn new(rules: &[Rule], settings: Settings) -> Self {
        let needed = settings.confidence.map(|share| 1_000_000 / u64::from(1_000_000 - share.ppm().min(999_999)));
        Self {
            settings,
            strictness: Strictness { min_requests: u64::from(settings.min_requests), needed },
            rules: rules.iter().map(Watched::new).collect(),
            tripped: None,
        }
    }

    /// Judges a tick: one judgement for each rule, in the rules' order. A rule whose metric is not among the samples is without
    /// data.
    pub fn judge(&mut self, samples: &[Sample]) -> Vec<Judgement> {
        let (settings, strictness) = (self.settings, self.strictness);
        let judgements: Vec<Judgement> = self.rules.iter_mut().map(|watched| watched.judge(samples, settings, strictness)).collect();
        if self.tripped.is_none()
            && let Some((watched, judgement)) = self.rules.iter().zip(&judgements).find(|(_, judgement)| judgement.trips())
        {
            let samples = watched.its(samples).into_iter().cloned().collect();
            self.tripped = Some((judgement.clone(), samples));
        }
        judgements
    }

    /// What the watch has come to so far: see the module's text. May be asked at any time; it changes nothing, so a watch that
    /// is held may go on.
    #[must_use]
    pub fn conclude(&self) -> Conclusion {
        if let Some((judgement, samples)) = &self.tripped {
            return Conclusion::Tripped { judgement: Box::new(judgement.clone()), samples: samples.clone() };
        }
        let mut lacking = Vec::new();
        let mut passed = 0u32;
        for watched in &self.rules {
            match watched.conclude(self.settings, self.strictness) {
                Standing::Passed => passed += 1,
                Standing::Skipped => {}
                Standing::Lacks(what) => lacking.push(what),
            }
        }
        if lacking.is_empty() && passed == 0 {
            lacking.push("no rule was judged at all, and silence is no good news".into());
        }
        if lacking.is_empty() { Conclusion::Passed } else { Conclusion::Held { lacking } }
    }
}

/// Where a rule stands at the end.
enum Standing {
    Passed,
    Skipped,
    Lacks(String),
}

impl Watched {
    fn new(rule: &Rule) -> Self {
        let kind = MetricKind::of(&rule.metric);
        // Health is good or not: 1 or 0.
        let bounds = match (kind, rule.bounds.as_slice()) {
            (MetricKind::Health, []) => vec![Bound::Min(Quantity::plain(1.0))],
            (_, bounds) => bounds.to_vec(),
        };
        Self {
            rule: rule.clone(),
            kind,
            bounds: bounds.into_iter().map(|bound| WatchedBound::new(kind, bound)).collect(),
            in_a_row: 0,
            silent: 0,
            judged: None,
            last: None,
        }
    }

    /// The samples that this rule is judged by: where events depend on a bound, those that were counted against its own.
    fn its<'a>(&self, samples: &'a [Sample]) -> Vec<&'a Sample> {
        let counted = |over: Option<Quantity>| -> Vec<&'a Sample> {
            samples.iter().filter(|sample| sample.metric == self.rule.metric && sample.over == over).collect()
        };
        let exact = counted(over(&self.rule));
        if exact.is_empty() { counted(None) } else { exact }
    }

    fn judge(&mut self, samples: &[Sample], settings: Settings, strictness: Strictness) -> Judgement {
        let (new, baseline): (Vec<_>, Vec<_>) = self.its(samples).into_iter().partition(|sample| sample.subject == Subject::New);
        let finding = self.find(&new, &baseline, strictness);
        let mut lacking = finding.lacking;
        let without_data = match finding.verdict {
            Verdict::Pass => {
                self.in_a_row = 0;
                self.silent = 0;
                false
            }
            Verdict::Breach => {
                self.in_a_row = self.in_a_row.saturating_add(1);
                self.silent = 0;
                false
            }
            Verdict::TooLittleData | Verdict::SourceError | Verdict::Stale => {
                self.silent = self.silent.saturating_add(1);
                let what = lacking.unwrap_or_default();
                lacking = Some(match settings.no_data {
                    NoData::Hold => what,
                    NoData::Ignore => format!("{what}; the rule is skipped (no-data: ignore)"),
                    NoData::Fail => {
                        self.in_a_row = self.in_a_row.saturating_add(1);
                        let row = in_a_row(self.in_a_row, self.rule.consecutive);
                        format!("{what}; it counts as a breach (no-data: fail), {row}")
                    }
                });
                true
            }
        };
        let counts_as_breach = finding.verdict == Verdict::Breach || (without_data && settings.no_data == NoData::Fail);
        let trip = if finding.collapse.is_some() {
            Some(Trip::Collapse)
        } else if counts_as_breach && self.in_a_row >= self.rule.consecutive && !finding.chance.is_some_and(Chance::may_explain) {
            Some(Trip::InARow)
        } else {
            None
        };
        // Health's bound is ours, not the reader's.
        let (value, limit) = if self.kind == MetricKind::Health { (None, None) } else { (finding.value, finding.limit) };
        let judgement = Judgement {
            metric: self.rule.metric.clone(),
            verdict: finding.verdict,
            value,
            limit,
            counts: finding.counts,
            in_a_row: self.in_a_row,
            consecutive: self.rule.consecutive,
            lacking,
            chance: finding.chance,
            trip,
        };
        if !without_data {
            self.judged = Some(judgement.clone());
        }
        self.last = Some(judgement.clone());
        judgement
    }

    /// The finding that decides: the worst over the bounds and, where each of several instances was asked, over them.
    fn find(&mut self, new: &[&Sample], baseline: &[&Sample], strictness: Strictness) -> Finding {
        let baseline = match baseline {
            [] => None,
            several => match only(several) {
                Ok(reading) => Some(reading),
                Err(lack) => return lack.into(),
            },
        };
        let readings: Vec<&Reading> = match only(new) {
            Ok(reading) => vec![reading],
            Err(_) if is_asked_of_each(self.kind) && !new.is_empty() => new.iter().map(|sample| &sample.reading).collect(),
            Err(lack) => return lack.into(),
        };
        let mut worst: Option<Finding> = None;
        for bound in &mut self.bounds {
            for reading in &readings {
                let finding = bound.judge(reading, baseline, strictness);
                if worst.as_ref().is_none_or(|worst| finding.severity() > worst.severity()) {
                    worst = Some(finding);
                }
            }
        }
        worst.unwrap_or_else(|| Lack::new(Verdict::SourceError, "the rule has no bound").into())
    }

    fn conclude(&self, settings: Settings, strictness: Strictness) -> Standing {
        let metric = &self.rule.metric;
        let Some(judged) = &self.judged else {
            return match (settings.no_data, &self.last) {
                (NoData::Ignore, _) => Standing::Skipped,
                (NoData::Hold | NoData::Fail, Some(last)) => Standing::Lacks(last.to_string()),
                (NoData::Hold | NoData::Fail, None) => Standing::Lacks(format!("{metric}: it was never judged")),
            };
        };
        if self.silent > self.rule.consecutive && settings.no_data != NoData::Ignore {
            let why = self.last.as_ref().map(Judgement::to_string).unwrap_or_default();
            return Standing::Lacks(format!("nothing for the last {} ticks: {why}", self.silent));
        }
        let wholes: Vec<Whole> = match strictness.needed {
            Some(_) => self.bounds.iter().map(WatchedBound::whole).collect(),
            None => Vec::new(),
        };
        if let Some(Whole::Beyond(what)) = wholes.iter().find(|whole| matches!(whole, Whole::Beyond(_))) {
            return Standing::Lacks(format!("{metric}: {what}"));
        }
        match judged.verdict {
            Verdict::Pass => Standing::Passed,
            Verdict::Breach if judged.chance.is_some_and(Chance::may_explain) && wholes.contains(&Whole::Within) => Standing::Passed,
            Verdict::Breach | Verdict::TooLittleData | Verdict::SourceError | Verdict::Stale => Standing::Lacks(judged.to_string()),
        }
    }
}

/// Whether each instance is asked on its own, so that a tick may have several readings.
const fn is_asked_of_each(kind: MetricKind) -> bool {
    match kind {
        MetricKind::Health | MetricKind::Restarts | MetricKind::Cpu | MetricKind::Memory => true,
        MetricKind::ErrorRate
        | MetricKind::SuccessRate
        | MetricKind::LatencyP99
        | MetricKind::Requests
        | MetricKind::Throughput
        | MetricKind::DatabaseConnections
        | MetricKind::Configured => false,
    }
}

/// The bound beyond which an answer counts as an event of `rule`: a latency's absolute one.
pub(super) fn over(rule: &Rule) -> Option<Quantity> {
    match MetricKind::of(&rule.metric) {
        MetricKind::LatencyP99 => rule.bounds.iter().find_map(|bound| match bound {
            Bound::Max(max) => Some(*max),
            Bound::Min(_) | Bound::MaxOfBaseline(_) | Bound::MinOfBaseline(_) => None,
        }),
        MetricKind::ErrorRate
        | MetricKind::SuccessRate
        | MetricKind::Requests
        | MetricKind::Throughput
        | MetricKind::Cpu
        | MetricKind::Memory
        | MetricKind::DatabaseConnections
        | MetricKind::Restarts
        | MetricKind::Health
        | MetricKind::Configured => None,
    }
}

#[cfg(test)]
mod tests;
