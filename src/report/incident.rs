//! What a story means to people who are called: nothing, an incident and how far it is, or that it is over. Decides; sends nothing.

use std::time::Duration;

use tokio::{sync::watch, time::timeout};

use super::story::{self, Story};
use crate::{
    domain::{Outcome, Strategy},
    execute::Rollout,
    failure::{Failure, FailureKind},
    plan::Aim,
};

/// How long people who are called are left out of it while traffic is not safe: what the runbook gives a whole automatic
/// rollback (Rollback Procedures: "Time: < 30 seconds").
const PATIENCE: Duration = Duration::from_secs(30);

/// What a story means to people who are called.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Standing<'a> {
    /// Nothing (yet).
    Quiet,
    /// A person has begun to do something about what may be an open incident.
    Taken,
    /// There is an incident.
    Open(Incident<'a>),
    /// The environment is well: whatever is open is over.
    Over,
}

/// An incident.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Incident<'a> {
    /// Why; `None` where an interrupted run left it, and nobody knows.
    pub(super) failure: Option<&'a Failure>,
    /// How far it is.
    pub(super) stage: Stage,
}

/// How far an incident is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// What was done is being taken back, and people are still sent to it.
    Unsafe,
    /// People are sent to the version before, or were never sent to another; the rest is still being taken back.
    Safe,
    /// It ended: rolled back, held or failed.
    Ended(Outcome),
}

/// What `story` means. An environment without Traffic Manager calls nobody (runbook Scenario 1: "Rollback: Manual only").
pub(super) fn standing(story: &Story) -> Standing<'_> {
    let Some(rollout) = &story.rollout else { return Standing::Quiet };
    match rollout.strategy {
        Strategy::Direct => return Standing::Quiet,
        Strategy::BlueGreen | Strategy::Canary => {}
    }
    let Some(end) = &story.end else { return meanwhile(story, rollout.aim) };
    let failure = end.failure.as_ref();
    let ended = Standing::Open(Incident { failure, stage: Stage::Ended(end.outcome) });
    match (end.outcome, rollout.aim) {
        // Nothing was touched, or there was nothing to make safe: what is open stays open.
        (Outcome::Refused, _) | (Outcome::Unchanged, Aim::MakeSafe) => Standing::Quiet,
        (Outcome::Unchanged, Aim::Deploy | Aim::RollBack | Aim::Promote | Aim::Finish) | (Outcome::Healthy, _) => Standing::Over,
        (Outcome::RolledBack, Aim::RollBack) if failure.is_none() => Standing::Over,
        // Another run went on from where this one stopped: what becomes of it is that run's to tell.
        (Outcome::RolledBack, _) if failure.is_some_and(|failure| failure.kind == FailureKind::Superseded) => Standing::Quiet,
        (Outcome::RolledBack | Outcome::Held | Outcome::Failed, _) => ended,
    }
}

fn meanwhile(story: &Story, aim: Aim) -> Standing<'_> {
    match (&story.taken_back, aim) {
        (Some(failure), _) => {
            let is_safe = story.safe_after_ms.is_some() || !story.has_moved_people();
            let stage = if is_safe { Stage::Safe } else { Stage::Unsafe };
            Standing::Open(Incident { failure: Some(failure), stage })
        }
        (None, Aim::RollBack | Aim::Promote) if !story.is_showing_only() => Standing::Taken,
        (None, Aim::Deploy | Aim::RollBack | Aim::Promote | Aim::MakeSafe | Aim::Finish) => Standing::Quiet,
    }
}

/// The name of an environment's incident, the same in every run: `deploy-action/OWNER/REPO/ENVIRONMENT`. At most 255 characters
/// (PagerDuty: Events API v2, `dedup_key`).
pub(super) fn key(rollout: &Rollout) -> String {
    // At a terminal there is no repository; an application's name may be of any length.
    let whose = rollout.repository.as_deref().unwrap_or(&rollout.application);
    format!("deploy-action/{}/{}", super::text::line(whose, 190), rollout.environment)
}

/// The one line that says what an incident is: "Staging deployment rolled back: …".
pub(super) fn headline(story: &Story, incident: &Incident<'_>) -> String {
    let environment = story.rollout.as_ref().map_or_else(String::new, |rollout| story::title(rollout.environment.as_str()));
    let version = story.version_words();
    match incident.stage {
        Stage::Unsafe if let Some(share) = stepped_back(story) => {
            format!(
                "🚨 {environment} deployment of {version} broke a rule and was taken back to {share} of people, who are still sent to it"
            )
        }
        Stage::Unsafe => format!("🚨 {environment} deployment of {version} is being taken back, and people are still sent to it"),
        Stage::Safe => format!("🚨 {environment} deployment of {version} is being taken back"),
        Stage::Ended(_) => story::headline(story),
    }
}

/// The share that a version was taken back to, where it still is there.
fn stepped_back(story: &Story) -> Option<crate::domain::Share> {
    let last = story.watches().filter_map(|watched| match watched.decision {
        story::Decision::SteppedBack { to, .. } => Some((watched.step, to)),
        story::Decision::Open | story::Decision::Passed | story::Decision::Stopped { .. } => None,
    });
    let is_there = |step: usize| match story.steps.get(step) {
        Some(story::Step::Running) => true,
        // It held there, and that is how the run ended.
        Some(story::Step::Failed { .. }) => story.end.as_ref().is_some_and(|end| end.outcome == Outcome::Held),
        Some(story::Step::Waiting | story::Step::Done { .. }) | None => false,
    };
    last.last().filter(|(step, _)| is_there(*step)).map(|(_, share)| share)
}

/// What was done for the people who use the environment, in a sentence; `None` where that is not known.
pub(super) fn traffic(story: &Story) -> Option<String> {
    match story.safe_after_ms {
        None if let Some(share) = stepped_back(story) => {
            Some(format!("{share} of people are sent to the new version, the share that it was taken back to"))
        }
        Some(after) => Some(format!("traffic safe {} after the decision, acknowledged by Traffic Manager", story::duration(after))),
        None if story.taken_back.is_some() && !story.has_moved_people() => Some("nobody was sent to the new version".into()),
        None => None,
    }
}

/// When a listener wants to hear of what is being taken back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pace {
    /// At once.
    AtOnce,
    /// Once traffic is safe (invariant 4: people come last), or when that takes longer than it should.
    OnceSafe,
}

/// Follows a story from one standing to the next.
pub(super) struct Following {
    stories: watch::Receiver<Story>,
    pace: Pace,
    last: Mark,
}

/// A standing without what it borrows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mark {
    Quiet,
    Taken,
    Open(Stage),
    Ended,
}

fn mark(story: &Story) -> Mark {
    if story.end.is_some() {
        return Mark::Ended;
    }
    match standing(story) {
        Standing::Quiet | Standing::Over => Mark::Quiet,
        Standing::Taken => Mark::Taken,
        Standing::Open(incident) => Mark::Open(incident.stage),
    }
}

impl Following {
    /// Follows `stories` at `pace`.
    pub(super) const fn new(stories: watch::Receiver<Story>, pace: Pace) -> Self {
        Self { stories, pace, last: Mark::Quiet }
    }

    /// The story at its next standing; `None` once its end was given. What passes while nobody asks is skipped: only the latest
    /// counts.
    pub(super) async fn next(&mut self) -> Option<Story> {
        if self.last == Mark::Ended {
            return None;
        }
        let last = self.last;
        let mut story = super::first(&mut self.stories, |story| mark(story) != last).await;
        if mark(&story) == Mark::Open(Stage::Unsafe) && self.pace == Pace::OnceSafe {
            let safe = super::first(&mut self.stories, |story| mark(story) != Mark::Open(Stage::Unsafe));
            story = match timeout(PATIENCE, safe).await {
                Ok(story) => story,
                Err(_) => self.stories.borrow().clone(),
            };
        }
        let now = mark(&story);
        // Nobody tells the story any more: it has come to no end, and will not.
        self.last = if now == last { Mark::Ended } else { now };
        (now != last).then_some(story)
    }
}

#[cfg(test)]
pub(super) mod tests;
