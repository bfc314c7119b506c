//! Rows about staging (runbook Scenario 3, "Staging Verification"): the same image, stable for long enough, without incident, fast
//! enough. Pure.

use jiff::SignedDuration;

use super::{Finding, moment, words};
use crate::{
    config::{Preflight, Quantity},
    domain::Digest,
    gate::Verdict,
    observe::preflight::{Facts, Found, Live, Passed, Staging},
};

/// The highest p99 in staging, in seconds (runbook, "Performance acceptable (p99 < 500ms)").
pub const SLOWEST_SECONDS: f64 = 0.5;

/// Restarts that make a crash loop: runbook, automatic rollback triggers, "Pod crash loop (>2 restarts)".
const RESTARTS: u32 = 2;

/// Digits of a digest that are shown.
const DIGITS: usize = 19;

/// What the rows of this file need, or what they all say where it is not there.
fn needed<'a>(asked: &Preflight, facts: &'a Facts) -> Result<(SignedDuration, &'a Staging, &'a Live), Finding> {
    let Some(soak) = asked.staging_soak else { return Err(Finding::off("preflight.staging-soak")) };
    let Some(staging) = &facts.staging else {
        return Err(Finding::not_checked("for a person: no environment is called `staging`, and not exactly one is blue-green"));
    };
    let name = &staging.environment;
    let live = match &staging.live {
        Found::Known { value: Some(live) } => live,
        Found::Known { value: None } => {
            return Err(Finding::failed(format!("people in {name} are sent to no instance"), format!("deploy the commit to {name} first")));
        }
        Found::Unknown { why } | Found::Absent { why } => {
            return Err(Finding::failed(
                format!("{name} cannot be read: {why}"),
                format!("let the Action's identity read the resource group of {name}"),
            ));
        }
    };
    if live.digest.is_none() || live.digest != facts.release.digest {
        let runs = live.version.as_ref().map_or_else(|| "something unknown".to_owned(), ToString::to_string);
        let evidence = format!(
            "{name} runs {runs} ({}), and {} is another image ({})",
            short(live.digest.as_ref()),
            facts.release.version,
            short(facts.release.digest.as_ref())
        );
        let mend = format!(
            "give the image that {name} proved the tag {} instead of building it again, or let {name} prove this one",
            facts.release.version
        );
        return Err(Finding::failed(evidence, mend).at(live.run.clone()));
    }
    Ok((SignedDuration::try_from(soak).unwrap_or(SignedDuration::MAX), staging, live))
}

fn short(digest: Option<&Digest>) -> String {
    let short = digest.and_then(|digest| digest.as_str().get(..DIGITS));
    short.map_or_else(|| "no digest".to_owned(), |short| format!("{short}…"))
}

/// Whether the same image has been stable there for long enough.
pub(super) fn soak(asked: &Preflight, facts: &Facts) -> Finding {
    let (soak, staging, live) = match needed(asked, facts) {
        Ok(needed) => needed,
        Err(finding) => return finding,
    };
    let (name, instance) = (&staging.environment, &live.instance);
    let runs = live.version.as_ref().map_or_else(|| "it".to_owned(), ToString::to_string);
    let (true, Some(since)) = (live.role.as_deref() == Some("stable"), live.stable_since) else {
        let evidence = format!("{runs} runs in {name} on {instance}, and was never marked stable");
        return Finding::failed(evidence, format!("let its deployment to {name} pass, or `command: promote` there")).at(live.run.clone());
    };
    let been = facts.now.duration_since(since);
    let evidence = format!(
        "the same image ({}) has been stable in {name} as {runs} on {instance} for {}, since {}",
        short(facts.release.digest.as_ref()),
        words(been),
        moment(since)
    );
    if been >= soak {
        return Finding::passed(evidence).at(live.run.clone());
    }
    let ready = since.checked_add(soak).map_or_else(|_| "later".to_owned(), moment);
    Finding::failed(format!("{evidence}; {} are asked", words(soak)), format!("wait until {ready}, and run the workflow again"))
        .at(live.run.clone())
}

/// Whether nothing bad happened there meanwhile.
pub(super) fn incidents(asked: &Preflight, facts: &Facts) -> Finding {
    let (soak, staging, live) = match needed(asked, facts) {
        Ok(needed) => needed,
        Err(finding) => return finding,
    };
    let name = &staging.environment;
    let calm = format!("mend it, and let {name} run for {} without one", words(soak));
    if let Some(why) = live.held.as_ref().or(live.symptom.as_ref()) {
        return Finding::failed(format!("{}: {why}", live.instance), calm).at(live.run.clone());
    }
    if live.restarts > RESTARTS {
        return Finding::failed(format!("Azure restarted {} {} times", live.instance, live.restarts), calm).at(live.run.clone());
    }
    let history = match &staging.history {
        Found::Known { value } => value,
        Found::Unknown { why } | Found::Absent { why } => {
            return Finding::failed(format!("what happened in {name} cannot be read: {why}"), "give the job `permissions: statuses: read`");
        }
    };
    let from = facts.now.checked_sub(soak).ok();
    let is_recent = |passed: &&Passed| from.is_none_or(|from| passed.at >= from);
    let bad = |passed: &&Passed| matches!(passed.state.as_str(), "failure" | "error");
    // The last word counts however old it is.
    let last = history.first().filter(bad);
    if let Some(incident) = last.or_else(|| history.iter().filter(is_recent).find(bad)) {
        let evidence = format!("{} at {}: {}", incident.state, moment(incident.at), incident.description);
        return Finding::failed(evidence, calm).at(incident.link.clone());
    }
    let restarts = match live.restarts {
        0 => "no restart".to_owned(),
        1 => "1 restart".to_owned(),
        many => format!("{many} restarts"),
    };
    let said = history.first().map_or_else(
        || "GitHub has no status of the commit there".to_owned(),
        |last| format!("the commit's last status there is {} since {}", last.state, moment(last.at)),
    );
    Finding::passed(format!("{restarts} of {}; {said}", live.instance))
        .at(history.first().and_then(|last| last.link.clone()).or_else(|| live.run.clone()))
}

/// Whether it answers fast enough: now or, where nobody uses it now, in the watch that made it stable.
pub(super) fn latency(asked: &Preflight, facts: &Facts) -> Finding {
    let (_, staging, live) = match needed(asked, facts) {
        Ok(needed) => needed,
        Err(finding) => return finding,
    };
    let name = &staging.environment;
    let now = match &staging.latency {
        None => "nobody measures it: `metrics` is off".to_owned(),
        Some(measured) => match &measured.judged {
            Found::Known { value } => match value.judgement.verdict {
                Verdict::Pass => return Finding::passed(format!("now, in {name}: {}", value.judgement)),
                Verdict::Breach => {
                    return Finding::failed(
                        format!("now, in {name}: {}", value.judgement),
                        "make it faster, or see what slows staging down",
                    );
                }
                Verdict::TooLittleData | Verdict::SourceError | Verdict::Stale => value.judgement.to_string(),
            },
            Found::Unknown { why } | Found::Absent { why } => why.clone(),
        },
    };
    match staging.watched_seconds.filter(|seconds| *seconds <= SLOWEST_SECONDS) {
        Some(seconds) if live.role.as_deref() == Some("stable") => {
            let bound = Quantity::seconds(seconds);
            Finding::passed(format!("the watch that marked it stable held latency-p99 to {bound} (now: {now})")).at(live.run.clone())
        }
        Some(_) | None => {
            Finding::failed(format!("now, in {name}: {now}"), format!("send some requests to {name}, and run the workflow again"))
        }
    }
}
