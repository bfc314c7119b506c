//! Rows about production as it is half an hour before (runbook "30 Minutes Before Release"): health, and rules over its numbers.
//! Pure.

use super::Finding;
use crate::{
    config::{Bound, Preflight},
    gate::Verdict,
    observe::{
        MonitorStatus,
        preflight::{Facts, Found, Judged, Measured, Running, Traffic},
    },
};

/// Metrics that have a row of the runbook.
const OF_THE_RUNBOOK: [&str; 3] = ["database-connections", "cpu", "memory"];

/// What lets a fix out of a production that is ill.
const FIX: &str = "mend it, or go back by `command: rollback`; where the release is the fix, have this row overridden";

/// Whether every stable instance is well.
pub(super) fn healthy(facts: &Facts) -> Finding {
    if facts.production.is_empty() {
        return Finding::not_checked("no stable instance runs yet: this is the first release");
    }
    let ill: Vec<String> = facts.production.iter().filter_map(illness).collect();
    if ill.is_empty() {
        let serving = facts.production.iter().filter(|running| running.traffic == Traffic::Serving).count();
        let all = facts.production.len();
        return Finding::passed(format!("{all} stable instances answer their health check, {serving} of them serve"));
    }
    Finding::failed(ill.join("; "), FIX)
}

/// What is wrong with an instance, if anything is.
fn illness(running: &Running) -> Option<String> {
    let Running { instance, traffic, symptom, monitor, health, .. } = running;
    if let Some(symptom) = symptom {
        return Some(format!("{instance}: {symptom}"));
    }
    match health {
        None => return Some(format!("{instance} has no address to ask")),
        Some(answer) if !answer.is_good() => {
            let what = match (answer.status, &answer.error) {
                (Some(status), _) => format!("HTTP {status}"),
                (None, error) => error.clone().unwrap_or_else(|| "nothing".into()),
            };
            return Some(format!("{instance} answers its health check with {what}"));
        }
        Some(_) => {}
    }
    match (traffic, monitor) {
        (Traffic::Serving, Some(status @ (MonitorStatus::Degraded | MonitorStatus::Stopped | MonitorStatus::Inactive))) => {
            Some(format!("Traffic Manager finds {instance} {status}"))
        }
        (Traffic::Serving | Traffic::StandingBy, _) => None,
    }
}

/// The row's line, with the configured bound.
pub(super) fn connections(asked: &Preflight) -> String {
    match bound(asked, "database-connections") {
        Some(bound) => format!("Database connections at most {bound}"),
        None => "Database connections".into(),
    }
}

/// The row's line, with the configured bounds.
pub(super) fn load(asked: &Preflight) -> String {
    match (bound(asked, "cpu"), bound(asked, "memory")) {
        (Some(cpu), Some(memory)) if cpu == memory => format!("CPU/Memory at most {cpu}"),
        (Some(cpu), Some(memory)) => format!("CPU at most {cpu}, memory at most {memory}"),
        (Some(cpu), None) => format!("CPU at most {cpu}"),
        (None, Some(memory)) => format!("Memory at most {memory}"),
        (None, None) => "CPU/Memory".into(),
    }
}

fn bound(asked: &Preflight, metric: &str) -> Option<String> {
    let rule = asked.rules.iter().find(|rule| rule.rule.metric.as_str() == metric)?;
    rule.rule.bounds.iter().find_map(|bound| match bound {
        Bound::Max(most) => Some(most.to_string()),
        Bound::Min(_) | Bound::MaxOfBaseline(_) | Bound::MinOfBaseline(_) => None,
    })
}

/// What the rules of `metrics` say, in one finding.
pub(super) fn rules(facts: &Facts, metrics: &[&str]) -> Finding {
    let of = facts.rules.iter().filter(|measured| metrics.contains(&measured.metric.as_str()));
    let findings: Vec<Finding> = of.map(|measured| rule(measured, facts)).collect();
    if findings.is_empty() { Finding::not_checked("for a person: the rule is off in deploy.yml") } else { Finding::all(findings) }
}

/// A row for each rule that the runbook does not have.
pub(super) fn others(facts: &Facts) -> impl Iterator<Item = (String, String, Finding)> {
    let others = facts.rules.iter().filter(|measured| !OF_THE_RUNBOOK.contains(&measured.metric.as_str()));
    others.map(|measured| (format!("rule-{}", measured.metric), format!("Rule {} of production", measured.metric), rule(measured, facts)))
}

fn rule(measured: &Measured, facts: &Facts) -> Finding {
    let metric = &measured.metric;
    if facts.production.is_empty() {
        return Finding::not_checked(format!("{metric}: no stable instance runs yet: this is the first release"));
    }
    match &measured.judged {
        Found::Known { value: Judged { judgement, .. } } => match judgement.verdict {
            Verdict::Pass => Finding::passed(judgement.to_string()),
            Verdict::Breach => {
                Finding::failed(judgement.to_string(), format!("bring {metric} down before a release, and run the workflow again"))
            }
            Verdict::TooLittleData | Verdict::SourceError | Verdict::Stale => Finding::failed(
                judgement.to_string(),
                format!("see to it that {metric} can be read, or switch its rule off: `{metric}: off`"),
            ),
        },
        Found::Absent { why } => Finding::not_checked(format!("for a person: {why}")),
        Found::Unknown { why } => Finding::failed(
            format!("{metric}: {why}"),
            format!("see to it that {metric} can be read, or switch its rule off: `{metric}: off`"),
        ),
    }
}
