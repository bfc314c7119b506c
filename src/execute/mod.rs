//! The only place that changes the world; emits an event before and after each step.
//! Carries out a plan and nothing else: what to do was decided in [`crate::plan`], what to think of it in [`crate::gate`].

mod cancel;
mod diagnose;
mod emitter;
mod event;
mod steps;

use std::time::Duration;

use tokio::time::Instant;
use url::Url;

pub use cancel::Cancel;
pub use emitter::Emitter;
pub use event::{Diagnosis, Event, Happening, HttpResult, Rollout, StepEnd};

use crate::{
    azure::ResourceManager,
    config::Environment,
    domain::{ExitStatus, Outcome},
    failure::{Failure, FailureKind},
    plan::{Plan, Step},
};

/// The world as the executor reaches it, and what a step needs to know.
pub struct Execution<'a> {
    /// Azure.
    pub azure: &'a ResourceManager,
    /// For probes.
    pub http: &'a reqwest::Client,
    /// Where.
    pub environment: &'a Environment,
    /// The container group as it is wanted.
    pub body: &'a serde_json::Value,
    /// Where events go.
    pub emitter: &'a Emitter,
    /// When to stop.
    pub cancel: Cancel,
}

/// How a rollout ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Ending {
    /// The outcome.
    pub outcome: Outcome,
    /// The exit status.
    pub exit: ExitStatus,
    /// Why, where it did not end well.
    pub failure: Option<Failure>,
    /// Where it can be used.
    pub url: Option<String>,
}

impl Ending {
    /// Nothing was touched, because of `failure`.
    #[must_use]
    pub fn refused(failure: Failure) -> Self {
        Self { outcome: Outcome::Refused, exit: failure.exit_status(), failure: Some(failure), url: None }
    }

    /// Tells the reports that this was the end, `took` after the beginning.
    pub fn tell(&self, emitter: &Emitter, took: Duration) {
        emitter.emit(Happening::Finished {
            outcome: self.outcome,
            exit: self.exit,
            failure: self.failure.clone(),
            duration_ms: millis(took),
            url: self.url.clone(),
        });
    }
}

/// What this run has done to the instance, so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Touched {
    /// Nothing.
    No,
    /// It was told to be deleted, so that it can be made anew.
    Deleted,
    /// It was told to become what is wanted.
    Written,
}

/// Carries out `plan`, step by step, until one fails or the run is told to stop.
///
/// The direct strategy takes nothing back by itself (runbook Scenario 1: "Rollback: Manual only"): a failure leaves the
/// instance as it is, for a person to look at, with everything they would look up gathered in a `Diagnosed` event.
pub async fn run(plan: &Plan, execution: &Execution<'_>) -> Ending {
    let mut cancel = execution.cancel.clone();
    let mut touched = Touched::No;
    let mut watcher = steps::Watcher::default();
    for (index, step) in plan.steps.iter().enumerate() {
        execution.emitter.emit(Happening::StepStarted { step: index });
        let begun = Instant::now();
        let result = match cancel.now() {
            Some(signal) => Err(cancelled(signal, execution.environment, touched)),
            None => {
                touched = touches(step).unwrap_or(touched);
                tokio::select! {
                    biased;
                    signal = cancel.asked() => Err(cancelled(signal, execution.environment, touched)),
                    result = steps::perform(index, step, &plan.image, &mut watcher, execution) => result,
                }
            }
        };
        let duration_ms = millis(begun.elapsed());
        match result {
            Ok(()) => execution.emitter.emit(Happening::StepFinished { step: index, end: StepEnd::Done, duration_ms }),
            Err(failure) => {
                let end = StepEnd::Failed { failure: failure.clone() };
                execution.emitter.emit(Happening::StepFinished { step: index, end, duration_ms });
                return stopped(failure, touched, execution).await;
            }
        }
    }
    let outcome = match touched {
        Touched::Written | Touched::Deleted => Outcome::Healthy,
        Touched::No => Outcome::Unchanged,
    };
    Ending { outcome, exit: ExitStatus::Success, failure: None, url: execution.environment.url.as_ref().map(shown) }
}

/// The ending after `failure`, with everything a person would look up gathered first.
async fn stopped(failure: Failure, touched: Touched, execution: &Execution<'_>) -> Ending {
    if failure.kind != FailureKind::Cancelled {
        let diagnosis = diagnose::diagnose(&failure, execution).await;
        execution.emitter.emit(Happening::Diagnosed { diagnosis: Box::new(diagnosis) });
    }
    let outcome = match touched {
        Touched::No if failure.kind == FailureKind::Cancelled => Outcome::Refused,
        Touched::No | Touched::Deleted | Touched::Written => Outcome::Failed,
    };
    // Azure was told to change something and cannot be asked what became of it: nobody knows that the world is safe.
    let unknown = touched != Touched::No && failure.kind == FailureKind::AzureUnreachable;
    let exit = if unknown { ExitStatus::PersonNeeded } else { failure.exit_status() };
    Ending { outcome, exit, failure: Some(failure), url: None }
}

/// What `step` does to the instance, if anything.
const fn touches(step: &Step) -> Option<Touched> {
    match step {
        Step::CreateInstance { .. } | Step::UpdateInstance { .. } => Some(Touched::Written),
        Step::DeleteInstance { .. } => Some(Touched::Deleted),
        Step::KeepInstance { .. } | Step::AwaitHealth { .. } | Step::Smoke { .. } => None,
    }
}

/// An address as people write it: without the slash that a URL without a path gets.
pub(crate) fn shown(url: &Url) -> String {
    let text = url.as_str();
    if url.path() == "/" && url.query().is_none() { text.trim_end_matches('/').to_owned() } else { text.to_owned() }
}

fn cancelled(signal: &str, environment: &Environment, touched: Touched) -> Failure {
    let (group, name) = (&environment.resource_group, &environment.instance);
    let failure = Failure::new(FailureKind::Cancelled, format!("the run was cancelled ({signal})"), steps::resource(environment));
    match touched {
        Touched::No => failure.meaning("nothing was changed").next("run the workflow again when you want it deployed"),
        Touched::Deleted => failure
            .meaning(format!("{name} was being deleted to be made anew: {} runs nothing until it is deployed again", environment.name))
            .next("run the workflow again"),
        Touched::Written => failure
            .meaning("Azure goes on with what it was told; whether the new version is healthy was not checked")
            .next("run the workflow again: it looks at what is there and finishes the rest")
            .next(format!("or look at it: az container show -g {group} -n {name} --query instanceView")),
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
