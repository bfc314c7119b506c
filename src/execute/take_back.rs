//! Taking back what a rollout did: traffic first, then instances, then people are told (invariant 4). Where traffic goes back to
//! is checked first; the signal to stop does not stop this.

use std::time::Duration;

use tokio::time::{Instant, timeout};

use super::{
    Execution, Hands, Happening, diagnose as gather,
    hands::{Direction, Standing, Touched},
    one, traffic,
};
use crate::{
    domain::InstanceName,
    failure::{Failure, FailureKind},
    plan::{Plan, Step},
};

/// How long the version that is gone back to may take to answer, where it was not asked before: every moment counts.
const PROBE: Duration = Duration::from_secs(2);

/// How it went.
pub(super) enum TakenBack {
    /// All of it.
    Whole,
    /// Traffic stayed where it is, because that is the healthier place.
    Kept(Failure),
    /// It could not be confirmed that the world is safe.
    NotSafe(Failure),
}

/// Carries out `steps`, which take back what came to `failure`.
pub(super) async fn take_back(failure: &Failure, steps: Vec<Step>, hands: &mut Hands, execution: &Execution<'_>) -> TakenBack {
    let begun = Instant::now();
    hands.direction = Direction::Back;
    let first = execution.offset + execution.plan.steps.len();
    execution.emitter.emit(Happening::TakingBack { failure: failure.clone(), steps: steps.clone() });
    let mut is_diagnosed = failure.kind == FailureKind::Cancelled;
    for (offset, step) in steps.iter().enumerate() {
        if let Some(back) = goes_back_to(step)
            && let Some(kept) = is_worse(&back, failure, hands, execution).await
        {
            diagnose(failure, execution).await;
            return TakenBack::Kept(kept);
        }
        // What failed is looked at after traffic has left it, and before it is gone.
        if matches!(step, Step::DeleteInstance { .. }) && !is_diagnosed {
            is_diagnosed = true;
            diagnose(failure, execution).await;
        }
        if let Err(error) = one(first + offset, step, None, hands, execution).await {
            return TakenBack::NotSafe(by_hand(failure, &error, steps.get(offset..).unwrap_or_default(), execution));
        }
        if goes_back_to(step).is_some() {
            execution.emitter.emit(Happening::TrafficSafe { after_ms: super::millis(begun.elapsed()) });
        }
    }
    if let Standing::Unhealthy(answer) = &hands.standing
        && steps.iter().any(|step| goes_back_to(step).is_some())
    {
        let answer = super::instances::said(answer);
        let why = Failure::new(
            failure.kind,
            format!("{}; and the version before is not healthy either: {answer}", failure.what),
            failure.resource.clone(),
        )
        .meaning("people are back on the version before, which was trusted once, and neither is healthy")
        .next("look at what both need: database, cache, network");
        return TakenBack::NotSafe(why);
    }
    TakenBack::Whole
}

/// The instances that a step sends people back to, where it does.
fn goes_back_to(step: &Step) -> Option<Vec<InstanceName>> {
    match step {
        Step::Switch { to, .. } => Some(vec![to.instance.clone()]),
        Step::Shift { to, .. } => Some(to.iter().map(|slice| slice.instance.clone()).collect()),
        _ => None,
    }
}

/// Why traffic had better stay where it is, if the place to go back to is unhealthy and the new version answers.
async fn is_worse(back: &[InstanceName], failure: &Failure, hands: &mut Hands, execution: &Execution<'_>) -> Option<Failure> {
    let instance = back.first()?;
    if hands.standing == Standing::Unknown {
        let answer = match traffic::address(instance, hands, execution) {
            Some(target) => timeout(PROBE, traffic::health(&target, execution)).await.ok(),
            None => None,
        };
        // One that does not answer within the time is asked no second time: it is where people were well before.
        hands.note_standby(answer.as_ref());
    }
    let Standing::Unhealthy(answer) = hands.standing.clone() else { return None };
    let target = traffic::address(&execution.plan.subject, hands, execution)?;
    let now = timeout(PROBE, traffic::health(&target, execution)).await.ok()?;
    if !now.is_good() {
        return None;
    }
    let what =
        format!("{}; and {instance}, which people would go back to, is not healthy: {}", failure.what, super::instances::said(&answer));
    Some(
        Failure::new(failure.kind, what, failure.resource.clone())
            .meaning(format!("people stay on {}, which answers its health check: the healthier of the two", execution.plan.subject))
            .next(format!("look at {instance}: az container logs -g {} -n {instance}", execution.environment.resource_group))
            .next("then decide: `command: rollback` goes back, `command: promote` keeps the new version"),
    )
}

/// Gathers what a person would look up.
pub(super) async fn diagnose(failure: &Failure, execution: &Execution<'_>) {
    let diagnosis = gather::diagnose(failure, execution).await;
    execution.emitter.emit(Happening::Diagnosed { diagnosis: Box::new(diagnosis) });
}

/// What it means that everything was taken back.
pub(super) fn meaning(plan: &Plan, hands: &Hands) -> String {
    let version = plan.previous.as_ref().map_or_else(|| "what ran before".to_owned(), ToString::to_string);
    let is_switched = plan.steps.iter().any(|step| goes_back_to(step).is_some()) && hands.standing != Standing::Unknown;
    match (is_switched, hands.touched) {
        (true, _) => format!("people are back on {version}, and {} was deleted", plan.subject),
        (false, Touched::No) => format!("nothing was changed: {version} serves"),
        (false, Touched::Written | Touched::Deleted) => {
            format!("people never met the new version: {version} served all the time, and {} was deleted", plan.subject)
        }
    }
}

/// What is left to do when taking back failed: `az` commands, filled in.
fn by_hand(failure: &Failure, error: &Failure, left: &[Step], execution: &Execution<'_>) -> Failure {
    let group = &execution.environment.resource_group;
    let what = format!("{}; and taking it back failed: {}", failure.what, error.what);
    let base = Failure::new(error.kind, what, error.resource.clone())
        .meaning(format!("nobody knows that {} is safe: a person must look now", execution.environment.name));
    let commands = left.iter().flat_map(|step| match step {
        Step::Switch { profile, to, from, .. } => {
            let set = |endpoint: &str, state: &str| {
                format!(
                    "az network traffic-manager endpoint update -g {group} --profile-name {profile} -n {endpoint} --type externalEndpoints \
                     --endpoint-status {state}"
                )
            };
            let off = from.iter().map(|from| set(&from.endpoint, "Disabled"));
            std::iter::once(set(&to.endpoint, "Enabled")).chain(off).collect()
        }
        Step::Shift { profile, to, .. } => to
            .iter()
            .map(|slice| {
                format!(
                    "az network traffic-manager endpoint update -g {group} --profile-name {profile} -n {} --type externalEndpoints \
                     --endpoint-status Enabled --weight 1",
                    slice.instance
                )
            })
            .chain(std::iter::once(format!(
                "az network traffic-manager endpoint update -g {group} --profile-name {profile} -n {} --type externalEndpoints \
                 --endpoint-status Disabled",
                execution.plan.subject
            )))
            .collect(),
        Step::DeleteInstance { instance, .. } => vec![format!("az container delete -g {group} -n {instance} --yes")],
        _ => Vec::new(),
    });
    commands
        .fold(base, |failure, command| failure.next(command))
        .next("or run `deploy-action resume` when Azure answers again: it looks and finishes")
}
