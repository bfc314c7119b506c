//! A final check: a number that must be right at the end of stabilization. Pure: the same number always gives the same verdict.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Reading, Verdict};
use crate::config::{Ask, FinalCheck, Quantity};

/// A check, and what came of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Checked {
    /// Which.
    pub check: FinalCheck,
    /// What was asked, whole, ready to be asked again by a person.
    pub asked: String,
    /// What came.
    pub reading: Reading,
    /// What it says. No number is neither a pass nor a breach.
    pub verdict: Verdict,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
}

impl Checked {
    /// Judges `reading`, which came of `asked`.
    #[must_use]
    pub fn new(check: &FinalCheck, asked: String, reading: Reading, took_ms: u64) -> Self {
        let verdict = verdict(&check.ask, &reading);
        Self { check: check.clone(), asked, reading, verdict, took_ms }
    }

    /// The number or why there is none.
    #[must_use]
    pub fn found(&self) -> String {
        match &self.reading {
            Reading::Value { value, .. } => {
                let unit = match &self.check.ask {
                    Ask::Sql { .. } => None,
                    Ask::Metric { max, min, .. } => max.or(*min).map(|bound| bound.unit),
                };
                unit.map_or_else(|| Quantity::plain(*value), |unit| Quantity { value: *value, unit }).to_string()
            }
            Reading::NoData { why } | Reading::Failed { why } | Reading::Stale { why, .. } => format!("no number: {why}"),
        }
    }
}

/// Which number is right, in words: "not 0", "at most 86400".
#[must_use]
pub fn wanted(ask: &Ask) -> String {
    match ask {
        Ask::Sql { .. } => "not 0".into(),
        Ask::Metric { max, min, .. } => {
            let parts = [min.map(|min| format!("at least {min}")), max.map(|max| format!("at most {max}"))];
            parts.into_iter().flatten().collect::<Vec<_>>().join(" and ")
        }
    }
}

/// What `reading` says to what was asked. What is no finite number is no evidence.
fn verdict(ask: &Ask, reading: &Reading) -> Verdict {
    let value = match reading {
        Reading::Value { value, .. } if value.is_finite() => *value,
        Reading::Value { .. } | Reading::Failed { .. } => return Verdict::SourceError,
        Reading::NoData { .. } => return Verdict::TooLittleData,
        Reading::Stale { .. } => return Verdict::Stale,
    };
    let holds = match ask {
        Ask::Sql { .. } => value != 0.0,
        Ask::Metric { max, min, .. } => max.is_none_or(|max| value <= max.value) && min.is_none_or(|min| value >= min.value),
    };
    if holds { Verdict::Pass } else { Verdict::Breach }
}

/// "invoices: 1523 (not 0)", "critical-alerts: 2 (at most 0)".
impl fmt::Display for Checked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} ({})", self.check.name, self.found(), wanted(&self.check.ask))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(ask: Ask, reading: Reading) -> (Verdict, String) {
        let checked = Checked::new(&FinalCheck { name: "it".into(), ask }, "q".into(), reading, 1);
        (checked.verdict, checked.to_string())
    }

    #[test]
    fn sql_must_not_be_zero() {
        let sql = || Ask::Sql { query: "SELECT 1".into() };
        assert_eq!(said(sql(), Reading::plain(1523.0)), (Verdict::Pass, "it: 1523 (not 0)".into()));
        assert_eq!(said(sql(), Reading::plain(-0.5)).0, Verdict::Pass);
        assert_eq!(said(sql(), Reading::plain(0.0)), (Verdict::Breach, "it: 0 (not 0)".into()));
        assert_eq!(said(sql(), Reading::plain(-0.0)).0, Verdict::Breach);
    }

    #[test]
    fn a_metric_must_be_within_its_bounds() {
        let within = |max: Option<f64>, min: Option<f64>| Ask::Metric {
            query: "x".into(),
            max: max.map(Quantity::plain),
            min: min.map(Quantity::plain),
        };
        assert_eq!(said(within(Some(0.0), None), Reading::plain(0.0)), (Verdict::Pass, "it: 0 (at most 0)".into()));
        assert_eq!(said(within(Some(0.0), None), Reading::plain(2.0)), (Verdict::Breach, "it: 2 (at most 0)".into()));
        assert_eq!(said(within(Some(5.0), Some(1.0)), Reading::plain(0.5)), (Verdict::Breach, "it: 0.5 (at least 1 and at most 5)".into()));
        assert_eq!(said(within(Some(5.0), Some(1.0)), Reading::plain(5.0)).0, Verdict::Pass);
        let day = Ask::Metric { query: "x".into(), max: Some(Quantity::seconds(86_400.0)), min: None };
        assert_eq!(said(day, Reading::plain(90_000.0)), (Verdict::Breach, "it: 90000 s (at most 86400 s)".into()));
    }

    #[test]
    fn no_number_is_neither() {
        let any = || Ask::Metric { query: "x".into(), max: Some(Quantity::plain(1.0)), min: None };
        let why = || "it is not there".to_owned();
        assert_eq!(
            said(any(), Reading::NoData { why: why() }),
            (Verdict::TooLittleData, "it: no number: it is not there (at most 1)".into())
        );
        assert_eq!(said(any(), Reading::Failed { why: why() }).0, Verdict::SourceError);
        assert_eq!(said(any(), Reading::Stale { age_ms: 1, why: why() }).0, Verdict::Stale);
        assert_eq!(said(any(), Reading::Value { value: f64::NAN, basis: super::super::Basis::Plain }).0, Verdict::SourceError);
    }
}
