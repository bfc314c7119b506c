//! Whether this run still has the environment for itself: asked before each change on the way forward, so that a run that a
//! person's rollback took over stops by itself. Takes nothing and gives nothing back; on the way back nothing is asked.

use std::time::Duration;

use tokio::time::timeout;

use super::{Execution, Hands, Happening, hands::Direction};
use crate::{
    failure::{Failure, FailureKind},
    github::lock::{Claimed, LockInfo, Standing},
    observe::EndpointState,
    plan::{Aim, Step},
};

/// How long GitHub may take to say it.
const LIMIT: Duration = Duration::from_secs(5);

/// Whether people are on the version that this run brings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum People {
    /// They are on the one before.
    Before,
    /// They are on the new one.
    New,
}

/// Refuses to carry out `step` where another run has taken the environment over. That GitHub does not say is a warning: the
/// claim was had, and every change of traffic looks before it overwrites.
///
/// # Errors
/// `Superseded` when another run decides from now on, `Claimed` when what this run began is to be taken back first.
pub(super) async fn still_ours(step: &Step, hands: &Hands, execution: &Execution<'_>) -> Result<(), Failure> {
    if !step.is_change() || hands.direction == Direction::Back {
        return Ok(());
    }
    let Some(claimed) = asked(execution) else { return Ok(()) };
    match standing(claimed).await {
        Ok(Standing::Ours) => Ok(()),
        Ok(Standing::Taken(by)) => Err(taken(&by, people(hands, execution), execution)),
        // Its work is done, so whatever is left here now is nobody's but this run's.
        Ok(Standing::Passed(by)) => Err(taken(&by, People::Before, execution)),
        Ok(Standing::Gone) => Err(gone(execution)),
        Err(why) => {
            let text = format!("whether this run still has {} alone is not known: {why}", execution.environment.name);
            execution.emitter.emit(Happening::Warned { text });
            Ok(())
        }
    }
}

/// Why a run really failed: what a rollback deletes under it is not the new version's fault. Asked only while people are on the
/// version before: once they are not, every moment counts, and the profile itself says who moved the traffic.
pub(super) async fn why(failure: Failure, hands: &Hands, execution: &Execution<'_>) -> Failure {
    match failure.kind {
        FailureKind::Start | FailureKind::Health | FailureKind::Smoke => {}
        FailureKind::Request
        | FailureKind::Configuration
        | FailureKind::Image
        | FailureKind::Registry
        | FailureKind::Login
        | FailureKind::Forbidden
        | FailureKind::Capacity
        | FailureKind::Azure
        | FailureKind::AzureUnreachable
        | FailureKind::ImagePull
        | FailureKind::OutOfMemory
        | FailureKind::CrashLoop
        | FailureKind::Breach
        | FailureKind::NoEvidence
        | FailureKind::SteppedBack
        | FailureKind::Traffic
        | FailureKind::Preflight
        | FailureKind::Claimed
        | FailureKind::Interfered
        | FailureKind::Superseded
        | FailureKind::Cancelled
        | FailureKind::Internal => return failure,
    }
    let Some(claimed) = asked(execution).filter(|_| people(hands, execution) == People::Before) else { return failure };
    match standing(claimed).await {
        Ok(Standing::Taken(by) | Standing::Passed(by)) => taken(&by, People::Before, execution),
        Ok(Standing::Ours | Standing::Gone) | Err(_) => failure,
    }
}

/// The claim, where it can have been taken over: a rollback is never overtaken, and waits for nobody.
fn asked<'a>(execution: &Execution<'a>) -> Option<&'a Claimed> {
    match execution.plan.aim {
        Aim::Deploy | Aim::Promote | Aim::MakeSafe | Aim::Finish => execution.claim,
        Aim::RollBack => None,
    }
}

/// Where people are, as far as this run knows.
fn people(hands: &Hands, execution: &Execution<'_>) -> People {
    let plan = execution.plan;
    let is_on = |endpoint: &str| {
        let endpoint = hands.profile.as_ref().and_then(|profile| profile.endpoint(endpoint));
        endpoint.is_some_and(|endpoint| endpoint.state == EndpointState::Enabled)
    };
    let is_theirs = |step: &Step| match step {
        Step::Switch { to, .. } | Step::CreateProfile { to, .. } => to.instance == plan.subject && is_on(&to.endpoint),
        // With any share of people, somebody is on the new version.
        Step::Shift { to, .. } => to.iter().any(|slice| slice.instance == plan.subject) && is_on(plan.subject.as_str()),
        Step::CreateInstance { .. }
        | Step::UpdateInstance { .. }
        | Step::DeleteInstance { .. }
        | Step::KeepInstance { .. }
        | Step::ContinueInstance { .. }
        | Step::AwaitHealth { .. }
        | Step::Smoke { .. }
        | Step::VerifyTraffic { .. }
        | Step::Drain { .. }
        | Step::Observe { .. }
        | Step::VerifyShares { .. }
        | Step::DrainInstances { .. }
        | Step::CheckBaseline { .. }
        | Step::Phase { .. }
        | Step::FinalChecks { .. }
        | Step::MarkPromoted { .. }
        | Step::Together { .. }
        | Step::MarkStable { .. } => false,
    };
    if plan.steps.iter().any(is_theirs) { People::New } else { People::Before }
}

async fn standing(claimed: &Claimed) -> Result<Standing, String> {
    match timeout(LIMIT, claimed.check()).await {
        Ok(found) => found.map_err(|error| error.to_string()),
        Err(_) => Err(format!("GitHub did not answer within {} s", LIMIT.as_secs())),
    }
}

/// Another run took over. While people are on the version before, what a deployment made is its own to remove: the other run may
/// not have seen it.
fn taken(by: &LockInfo, people: People, execution: &Execution<'_>) -> Failure {
    let kind = match (execution.plan.aim, people) {
        (Aim::Deploy, People::Before) => FailureKind::Claimed,
        (Aim::Deploy, People::New) | (Aim::Promote | Aim::MakeSafe | Aim::Finish | Aim::RollBack, _) => FailureKind::Superseded,
    };
    let name = &execution.environment.name;
    Failure::new(kind, format!("another run took {name} over: {}", by.words()), format!("environment {name}"))
        .meaning("this run stopped and changed nothing more; the other run says where traffic goes")
        .next("look at the other run; deploy again if this version is the one you want")
}

fn gone(execution: &Execution<'_>) -> Failure {
    let name = &execution.environment.name;
    let what = format!("somebody took {name} away from this run: its lock is not this run's any more");
    Failure::new(FailureKind::Claimed, what, format!("environment {name}"))
        .next("find out who changed the lock, and why; then run the workflow again")
}
