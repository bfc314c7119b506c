//! Looks up what is new in a version that is released to production, beside the rollout: nothing waits for it.

use tokio::task::JoinSet;

use super::Session;
use crate::{
    domain::Strategy,
    execute::{Emitter, Happening, Rollout},
    github::compare,
    observe::Observed,
    plan::{Aim, Plan},
};

/// Begins to look up what is new since the version that ran before, and has it told. What is given ends it when it is dropped.
pub(super) fn look_up(session: &Session, plan: &Plan, told: &Rollout, observed: &Observed, emitter: &Emitter) -> JoinSet<()> {
    let mut work = JoinSet::new();
    let is_new = match (plan.strategy, plan.aim) {
        (Strategy::Canary, Aim::Deploy | Aim::Promote | Aim::Finish) => plan.changes_anything(),
        (Strategy::Canary, Aim::RollBack | Aim::MakeSafe) | (Strategy::Direct | Strategy::BlueGreen, _) => false,
    };
    let head = told.sha.clone().or_else(|| plan.sha.clone()).or_else(|| plan.image.as_ref().map(|image| image.version.to_string()));
    let (true, Some(client), Some(previous), Some(head)) = (is_new, session.github(), &plan.previous, head) else { return work };
    // The commit is certain; a tag may have been moved, or never have been one of this repository's.
    let ran = observed.instances.iter().find(|instance| instance.tags.version.as_ref() == Some(previous));
    let since = ran.and_then(|instance| instance.tags.sha.clone()).unwrap_or_else(|| previous.to_string());
    let (since_words, repository, emitter) = (previous.to_string(), session.runner.repository_url(), emitter.clone());
    work.spawn(async move {
        match compare::changes(&client, &since, &head, repository).await {
            Ok(mut changes) => {
                changes.since = since_words;
                emitter.emit(Happening::ChangesListed { changes });
            }
            Err(error) => {
                emitter.emit(Happening::Warned { text: format!("what is new since {since_words} could not be looked up: {error}") });
            }
        }
    });
    work
}
