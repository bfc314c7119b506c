//! The only place that changes the world; emits an event before and after each step.
//! Carries out a plan and nothing else: what to do was decided in [`crate::plan`], what to think of it in [`crate::gate`].

mod cancel;
mod claim;
mod diagnose;
mod emitter;
mod event;
mod hands;
mod instances;
mod shares;
mod smoke;
mod take_back;
mod traffic;
mod verify;
mod watch;

use std::{collections::BTreeMap, time::Duration};

use tokio::time::Instant;
use url::Url;

pub use cancel::Cancel;
pub use emitter::Emitter;
pub use event::{Arrived, Diagnosis, Event, Happening, HttpResult, Rollout, StepEnd, Until};
pub use hands::Hands;

use crate::{
    azure::ResourceManager,
    config::{Environment, Metrics},
    domain::{ExitStatus, InstanceName, Outcome, Share, Strategy},
    failure::{Failure, FailureKind},
    github::lock::Claimed,
    plan::{Aim, Plan, Step},
};
use hands::Touched;
use take_back::TakenBack;

/// The world as the executor reaches it, and what a step needs to know.
pub struct Execution<'a> {
    /// Azure.
    pub azure: &'a ResourceManager,
    /// For probes.
    pub http: &'a reqwest::Client,
    /// Where.
    pub environment: &'a Environment,
    /// Where the numbers of rules come from.
    pub metrics: Option<&'a Metrics>,
    /// What is carried out.
    pub plan: &'a Plan,
    /// The instances that the plan writes, as they are wanted.
    pub bodies: &'a BTreeMap<InstanceName, serde_json::Value>,
    /// Link to the workflow run.
    pub run_url: Option<&'a str>,
    /// Where events go.
    pub emitter: &'a Emitter,
    /// By what this run has the environment for itself; `None` where it has it by nothing.
    pub claim: Option<&'a Claimed>,
    /// When to stop.
    pub cancel: Cancel,
    /// How many steps were told of before the plan's: where its own begin in what people see.
    pub offset: usize,
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
    /// How many steps of the plan were begun.
    pub started: usize,
}

impl Ending {
    /// Nothing was touched, because of `failure`.
    #[must_use]
    pub fn refused(failure: Failure) -> Self {
        Self { outcome: Outcome::Refused, exit: failure.exit_status(), failure: Some(failure), url: None, started: 0 }
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

/// Carries out the plan, step by step, until one fails or the run is told to stop; then takes back what the plan says can be
/// taken back: traffic first, then instances (invariant 4).
///
/// The direct strategy takes nothing back by itself (runbook Scenario 1: "Rollback: Manual only"): a failure leaves the
/// instance as it is, for a person to look at, with everything they would look up gathered in a `Diagnosed` event.
pub async fn run(hands: Hands, execution: &Execution<'_>) -> Ending {
    let (ending, started) = all_steps(hands, execution).await;
    Ending { started, ..ending }
}

async fn all_steps(mut hands: Hands, execution: &Execution<'_>) -> (Ending, usize) {
    let mut cancel = execution.cancel.clone();
    for (at, step) in execution.plan.steps.iter().enumerate() {
        let index = execution.offset + at;
        let result = match cancel.now() {
            Some(signal) => {
                execution.emitter.emit(Happening::StepStarted { step: index });
                let failure = cancelled(signal, &hands, execution);
                let end = StepEnd::Failed { failure: failure.clone() };
                execution.emitter.emit(Happening::StepFinished { step: index, end, duration_ms: 0 });
                // This step was not begun: what is taken back is what came before it.
                return (stopped(failure, at, hands, execution).await, at);
            }
            None => one(index, step, Some(&mut cancel), &mut hands, execution).await,
        };
        if let Err(failure) = result {
            return (stopped(failure, at + 1, hands, execution).await, at + 1);
        }
    }
    let outcome = match (execution.plan.aim, hands.touched) {
        // Of the last two an interrupted run may have done everything already.
        (Aim::MakeSafe, Touched::Written | Touched::Deleted) | (Aim::RollBack, _) => Outcome::RolledBack,
        (Aim::Deploy | Aim::Promote, Touched::Written | Touched::Deleted) | (Aim::Finish, _) => Outcome::Healthy,
        (Aim::Deploy | Aim::Promote | Aim::MakeSafe, Touched::No) => Outcome::Unchanged,
    };
    let url = execution.environment.url.as_ref().map(shown);
    (Ending { outcome, exit: ExitStatus::Success, failure: None, url, started: 0 }, execution.plan.steps.len())
}

/// One step, told before and after; ended early when the run is told to stop, where `cancel` is given.
async fn one(index: usize, step: &Step, cancel: Option<&mut Cancel>, hands: &mut Hands, execution: &Execution<'_>) -> Result<(), Failure> {
    execution.emitter.emit(Happening::StepStarted { step: index });
    let begun = Instant::now();
    hands.touched = hands.touched.and(step);
    let result = match cancel {
        None => perform(index, step, hands, execution).await,
        Some(cancel) => {
            let signal = tokio::select! {
                biased;
                signal = cancel.asked() => Err(signal),
                result = perform(index, step, hands, execution) => Ok(result),
            };
            signal.unwrap_or_else(|signal| Err(cancelled(signal, hands, execution)))
        }
    };
    let duration_ms = millis(begun.elapsed());
    let end = match &result {
        Ok(()) => StepEnd::Done,
        Err(failure) => StepEnd::Failed { failure: failure.clone() },
    };
    execution.emitter.emit(Happening::StepFinished { step: index, end, duration_ms });
    result
}

/// Carries out `step`, the `index`th of the plan.
async fn perform(index: usize, step: &Step, hands: &mut Hands, execution: &Execution<'_>) -> Result<(), Failure> {
    hands.forgotten(step).await;
    claim::still_ours(step, hands, execution).await?;
    match step {
        Step::CreateInstance { .. }
        | Step::UpdateInstance { .. }
        | Step::DeleteInstance { .. }
        | Step::KeepInstance { .. }
        | Step::ContinueInstance { .. }
        | Step::AwaitHealth { .. }
        | Step::Smoke { .. }
        | Step::MarkPromoted { .. }
        | Step::MarkStable { .. } => instances::perform(index, step, &mut hands.watcher, execution).await,
        Step::CreateProfile { profile, dns_name, to } => traffic::create(index, profile, dns_name, to, hands, execution).await,
        Step::Switch { to, from, .. } => {
            hands.look_again(execution).await?;
            traffic::switch(index, to, from.as_ref(), hands, execution).await
        }
        Step::VerifyTraffic { to, from } => traffic::verify(index, to, from.as_ref(), hands, execution).await,
        Step::Drain { from } => {
            traffic::drain(index, std::slice::from_ref(&from.instance), hands, execution).await;
            Ok(())
        }
        Step::Observe { on, beside, for_seconds, every_seconds, rules } => {
            let beside: Vec<InstanceName> = beside.iter().map(|beside| beside.instance.clone()).collect();
            let watch = watch::Watch {
                on: std::slice::from_ref(&on.instance),
                beside: &beside,
                share: Share::ALL,
                duration: Duration::try_from_secs_f64(*for_seconds).unwrap_or_default(),
                every: Duration::try_from_secs_f64(*every_seconds).unwrap_or_default(),
                rules,
                abort: &[],
                extension: Duration::ZERO,
            };
            watch::observe(index, &watch, hands, execution).await.map_err(watch::Ended::failure)
        }
        Step::Shift { to, .. } => {
            hands.look_again(execution).await?;
            shares::shift(index, to, hands, execution).await
        }
        Step::VerifyShares { to, subject } => shares::verify(index, to, subject, hands, execution).await,
        Step::DrainInstances { instances } => {
            traffic::drain(index, instances, hands, execution).await;
            Ok(())
        }
        Step::CheckBaseline { on, rules } => watch::baseline(index, on, rules, hands, execution).await,
        Step::Phase { on, beside, share, for_seconds, every_seconds, rules, abort, step_back } => {
            let duration = Duration::try_from_secs_f64(*for_seconds).unwrap_or_default();
            let watch = watch::Watch {
                on,
                beside,
                share: *share,
                duration,
                every: Duration::try_from_secs_f64(*every_seconds).unwrap_or_default(),
                rules,
                abort,
                extension: duration * EXTENSION,
            };
            watch::phase(index, &watch, step_back.as_deref(), hands, execution).await
        }
        Step::FinalChecks { on, checks } => verify::verify(index, on, checks, hands, execution).await,
        Step::Together { lanes } => together(index, lanes, &mut hands.watcher, execution).await,
    }
}

/// How many times its own length a phase may be extended by where traffic is thin: rather waited for than promoted blind, and no
/// runner is held for ever (docs/production.md).
const EXTENSION: u32 = 2;

/// Lanes that run at the same time: no more than Azure's token bucket for writes refills in a second (Azure Resource Manager
/// limits: 10 a second), so that many instances are not throttled.
const LANES: usize = 10;

/// Carries out lanes of steps that do not depend on each other. All lanes are tried, also when one fails: what is begun is not
/// left half-way for want of another.
async fn together(index: usize, lanes: &[Vec<Step>], watcher: &mut instances::Watcher, execution: &Execution<'_>) -> Result<(), Failure> {
    use futures::StreamExt as _;
    let lane = |steps: &'_ [Step]| {
        let steps = steps.to_vec();
        async move {
            let mut own = instances::Watcher::default();
            for step in &steps {
                if let Err(failure) = instances::perform(index, step, &mut own, execution).await {
                    return (own, Err(failure));
                }
            }
            (own, Ok(()))
        }
    };
    let ended: Vec<(instances::Watcher, Result<(), Failure>)> =
        futures::stream::iter(lanes.iter().map(|steps| lane(steps))).buffer_unordered(LANES).collect().await;
    let mut result = Ok(());
    for (own, end) in ended {
        watcher.absorb(own);
        result = result.and(end);
    }
    result
}

/// The ending after `failure`, once what the first `started` steps did has been taken back where it can be.
async fn stopped(failure: Failure, started: usize, mut hands: Hands, execution: &Execution<'_>) -> Ending {
    let plan = execution.plan;
    let failure = claim::why(failure, &hands, execution).await;
    let undo = match failure.kind {
        // Somebody else decided meanwhile, or somebody must: taking back would be fighting them.
        FailureKind::Interfered | FailureKind::Superseded | FailureKind::NoEvidence | FailureKind::SteppedBack => Vec::new(),
        _ => hands.needed(plan.undo(started)),
    };
    if !undo.is_empty() {
        return match take_back::take_back(&failure, undo, &mut hands, execution).await {
            TakenBack::Whole if plan.is_promoted(started) => {
                let version = plan.image.as_ref().map_or("the new version", |image| image.version.as_str());
                let failure = failure
                    .meaning(format!("{version} serves all the same: people are back on {}, which passed every phase", plan.subject))
                    .next("run the workflow again when the cause is mended: what is left is done");
                Ending { outcome: Outcome::Held, exit: ExitStatus::PersonNeeded, failure: Some(failure), url: None, started: 0 }
            }
            TakenBack::Whole if plan.aim != Aim::Deploy => {
                let failure = failure.meaning(take_back::meaning(plan, &hands));
                Ending { outcome: Outcome::Failed, exit: ExitStatus::PersonNeeded, failure: Some(failure), url: None, started: 0 }
            }
            TakenBack::Whole => {
                let failure = failure.meaning(take_back::meaning(plan, &hands));
                Ending { outcome: Outcome::RolledBack, exit: ExitStatus::NotDeployed, failure: Some(failure), url: None, started: 0 }
            }
            TakenBack::Kept(why) => {
                mark_held(&plan.subject, &why, execution).await;
                Ending { outcome: Outcome::Held, exit: ExitStatus::PersonNeeded, failure: Some(why), url: None, started: 0 }
            }
            TakenBack::NotSafe(why) => {
                Ending { outcome: Outcome::Failed, exit: ExitStatus::PersonNeeded, failure: Some(why), url: None, started: 0 }
            }
        };
    }
    if failure.kind != FailureKind::Cancelled {
        take_back::diagnose(&failure, execution).await;
    }
    match plan.strategy {
        Strategy::Direct => as_it_is(failure, hands.touched),
        Strategy::BlueGreen | Strategy::Canary => for_a_person(failure, started, hands.touched, execution).await,
    }
}

/// The ending of a plan that is not taken back: the instance stays as it is.
fn as_it_is(failure: Failure, touched: Touched) -> Ending {
    let outcome = match touched {
        Touched::No if failure.kind == FailureKind::Cancelled => Outcome::Refused,
        Touched::No | Touched::Deleted | Touched::Written => Outcome::Failed,
    };
    // Azure was told to change something and cannot be asked what became of it: nobody knows that the world is safe.
    let unknown = touched != Touched::No && failure.kind == FailureKind::AzureUnreachable;
    let exit = if unknown { ExitStatus::PersonNeeded } else { failure.exit_status() };
    Ending { outcome, exit, failure: Some(failure), url: None, started: 0 }
}

/// The ending where traffic is involved and nothing can, or may, be taken back.
async fn for_a_person(failure: Failure, started: usize, touched: Touched, execution: &Execution<'_>) -> Ending {
    let plan = execution.plan;
    let begun = plan.steps.get(..started).unwrap_or(&plan.steps);
    let is_switched = begun.iter().any(|step| {
        matches!(
            step,
            Step::Switch { .. } | Step::Shift { .. } | Step::CreateProfile { .. } | Step::MarkPromoted { .. } | Step::MarkStable { .. }
        )
    });
    if failure.kind == FailureKind::Superseded {
        return Ending { outcome: Outcome::RolledBack, exit: ExitStatus::NotDeployed, failure: Some(failure), url: None, started: 0 };
    }
    if touched == Touched::No && !is_switched {
        return as_it_is(failure, touched);
    }
    let failure = if failure.consequence.is_empty() {
        failure.meaning(format!("traffic stays where it is, and {} stays as it is: a person must decide", plan.subject))
    } else {
        failure
    };
    let outcome = match plan.aim {
        Aim::Deploy | Aim::Promote => Outcome::Held,
        Aim::RollBack | Aim::MakeSafe | Aim::Finish => Outcome::Failed,
    };
    if outcome == Outcome::Held && !begun.iter().any(|step| matches!(step, Step::MarkStable { .. })) {
        // Where its version is everywhere, the candidate is gone.
        let everywhere = begun.iter().rev().find_map(|step| match step {
            Step::Phase { on, .. } => on.first(),
            _ => None,
        });
        let on = everywhere.filter(|_| plan.is_everywhere(started)).unwrap_or(&plan.subject);
        mark_held(on, &failure, execution).await;
    }
    Ending { outcome, exit: ExitStatus::PersonNeeded, failure: Some(failure), url: None, started: 0 }
}

/// Writes on the instance that a person must decide, so that no later run makes it "safe" in their place. Best effort: without
/// it a scheduled `resume` takes the version back, which is safe too.
async fn mark_held(on: &InstanceName, why: &Failure, execution: &Execution<'_>) {
    let why = why.what.chars().take(200).collect();
    if let Err(error) = instances::tag(on, &[("held", why)], execution).await {
        execution.emitter.emit(Happening::Warned { text: format!("{on} could not be marked as held: {}", error.what) });
    }
}

/// An address as people write it: without the slash that a URL without a path gets.
pub(crate) fn shown(url: &Url) -> String {
    let text = url.as_str();
    if url.path() == "/" && url.query().is_none() { text.trim_end_matches('/').to_owned() } else { text.to_owned() }
}

fn cancelled(signal: &str, hands: &Hands, execution: &Execution<'_>) -> Failure {
    let (environment, name) = (execution.environment, &execution.plan.subject);
    let group = &environment.resource_group;
    let failure = Failure::new(FailureKind::Cancelled, format!("the run was cancelled ({signal})"), instances::resource(environment, name));
    match hands.touched {
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
