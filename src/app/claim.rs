//! Having an environment for oneself: the claim is taken before the world is read and given back at the end. Strategies that
//! move traffic need it; the direct one notices by itself when it was overtaken.

use std::time::Duration;

use jiff::Timestamp;

use super::{Session, carry_out::Asked};
use crate::{
    config::Environment,
    domain::Strategy,
    execute::{Emitter, Happening, Rollout},
    failure::{Failure, FailureKind},
    github::{
        Client,
        lock::{self, Claim, Claimed, Held, LockError, Reading, Release, Takeover},
        runs::{self, RunId, RunState},
    },
};

/// Takes the claim; `None` where none is needed, or there is nobody to ask for one (a terminal without a token).
///
/// # Errors
/// `Claimed` when another run has it, with a link to that run; whatever else keeps it from being taken. A rollback is not kept
/// from its work by a GitHub that does not answer.
pub(super) async fn claim(
    session: &Session,
    environment: &Environment,
    asked: &Asked,
    told: &Rollout,
    emitter: &Emitter,
) -> Result<Option<Claimed>, Failure> {
    match environment.strategy {
        Strategy::Direct => return Ok(None),
        Strategy::BlueGreen | Strategy::Canary => {}
    }
    let warn = |text: String| emitter.emit(Happening::Warned { text });
    let Some(client) = session.github() else {
        warn(format!("there is no github-token, so nothing keeps another run from changing {} at the same time", environment.name));
        return Ok(None);
    };
    let wanted = wanted(session, environment, asked, told);
    let mut cancel = session.cancel.clone();
    let taken = tokio::select! {
        biased;
        signal = cancel.asked() => {
            return Err(Failure::new(FailureKind::Cancelled, format!("the run was cancelled ({signal})"), "this workflow run")
                .meaning("nothing was changed"));
        }
        taken = patiently(&client, &wanted) => taken,
    };
    match (taken, wanted.takeover) {
        (Ok(held), _) => {
            emitter.emit(Happening::Claimed { lock: held.label() });
            Ok(Some(Claimed::new(client, held)))
        }
        // People wait for it: that nobody keeps others away is the smaller evil, and every write looks before it overwrites.
        (Err(error @ (LockError::Forbidden { .. } | LockError::Refused { .. } | LockError::Unavailable { .. })), Takeover::Deliberate) => {
            warn(format!("going on without having {} alone: {error}", environment.name));
            Ok(None)
        }
        (Err(error), _) => Err(error.failure(session.runner.repository().unwrap_or_default())),
    }
}

/// How long a rollback waits for GitHub: people wait for the rollback.
const ROLLBACK_PATIENCE: Duration = Duration::from_secs(10);

/// Takes the claim; a rollback does not wait for a GitHub that says nothing.
async fn patiently(client: &Client, wanted: &Claim) -> Result<Held, LockError> {
    let taken = lock::claim(client, wanted);
    match wanted.takeover {
        Takeover::Never => taken.await,
        Takeover::Deliberate => tokio::time::timeout(ROLLBACK_PATIENCE, taken).await.unwrap_or_else(|_| {
            let why = format!("GitHub took longer than {} s", ROLLBACK_PATIENCE.as_secs());
            Err(LockError::Unavailable { environment: wanted.environment.clone(), why })
        }),
    }
}

/// What this run writes into the lock. A rollback that a person asks for goes before a deployment; what makes safe waits.
fn wanted(session: &Session, environment: &Environment, asked: &Asked, told: &Rollout) -> Claim {
    let (command, takeover) = match asked {
        Asked::Deploy(_) => ("deploy", Takeover::Never),
        Asked::RollBack(_) => ("rollback", Takeover::Deliberate),
        Asked::Promote(_) => ("promote", Takeover::Never),
        Asked::MakeSafe(_) => ("resume", Takeover::Never),
    };
    let (run, attempt) = match session.runner.run_and_attempt() {
        Some((run, attempt)) => (Some(RunId(run)), attempt),
        None => (None, 1),
    };
    Claim {
        environment: environment.name.clone(),
        rollout: told.id.clone(),
        run,
        attempt,
        holder: session.runner.job().to_owned(),
        url: told.run_url.clone(),
        actor: told.actor.clone(),
        command: command.to_owned(),
        takeover,
        taken_at: Timestamp::now(),
    }
}

/// Gives the claim back. That it cannot be is a warning: when this run is over the claim counts as free.
pub(super) async fn release(claimed: Option<Claimed>, emitter: &Emitter) {
    let Some(claimed) = claimed else { return };
    match claimed.release().await {
        Ok(Release::Free) => {}
        Ok(Release::NotOurs) => emitter.emit(Happening::Warned { text: "the claim was taken over meanwhile by another run".into() }),
        Err(error) => emitter
            .emit(Happening::Warned { text: format!("the claim could not be given back ({error}); it is free when this run is over") }),
    }
}

/// Whether a run that is underway has the environment: then nothing of it was left behind.
pub(super) async fn is_at_work(session: &Session, environment: &Environment) -> Option<String> {
    let client = session.github()?;
    let Ok(Reading::Held(by)) = lock::read(&client, &environment.name).await else { return None };
    let run = by.run?;
    match runs::get(&client, run).await {
        Ok(RunState::Underway { .. }) => Some(by.url.unwrap_or_else(|| format!("run {run}"))),
        Ok(RunState::Completed | RunState::Hidden) | Err(_) => None,
    }
}
