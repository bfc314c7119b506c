//! (Request, Config, Observed) → ordered steps, or a refusal with its reason. Pure: no clock, no client.

/// The blue-green strategy.
pub mod blue_green;
/// The canary strategy, forwards and backwards.
pub mod canary;
mod change;
mod direct;
/// The checklist before a release.
pub mod preflight;
mod step;

pub use direct::plan as direct;
pub use step::{Side, Slice, SmokeTarget, Step, StepBack, in_order};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::domain::{EnvironmentName, ImageReference, InstanceName, RolloutId, Strategy, Version};

/// What will be done, in order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Plan {
    /// The rollout.
    pub rollout: RolloutId,
    /// Where.
    pub environment: EnvironmentName,
    /// How.
    pub strategy: Strategy,
    /// What it is for.
    pub aim: Aim,
    /// What is to run there; `None` where the version gone back to was not deployed by this Action.
    pub image: Option<ImageReference>,
    /// The commit of what is to run, where the world says it: by the tags of the instance that is gone back to.
    pub sha: Option<String>,
    /// What runs there now, where anything does.
    pub previous: Option<Version>,
    /// The instance that is written, judged and, after a failure, looked at.
    pub subject: InstanceName,
    /// The steps.
    pub steps: Vec<Step>,
    /// What a person should know before it starts: a delete-and-create, a token that will expire, …
    pub notices: Vec<String>,
    /// Seconds this usually takes at most (the sum of the steps' limits).
    pub limit_seconds: u64,
}

/// What a plan is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Aim {
    /// Bring a version to an environment.
    Deploy,
    /// Go back, because a person asked.
    RollBack,
    /// Trust what runs there, because a person said so.
    Promote,
    /// Make safe what an interrupted run left.
    MakeSafe,
    /// Clean up after an interrupted run whose version had proved itself.
    Finish,
}

impl Aim {
    /// Every aim.
    const ALL: [Self; 5] = [Self::Deploy, Self::RollBack, Self::Promote, Self::MakeSafe, Self::Finish];

    /// The word, as evidence files and the state between a step's processes hold it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Deploy => "deploy",
            Self::RollBack => "roll-back",
            Self::Promote => "promote",
            Self::MakeSafe => "make-safe",
            Self::Finish => "finish",
        }
    }

    /// The aim of this word; `None` where there is none.
    #[must_use]
    pub fn of(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|aim| aim.as_str() == word)
    }
}

impl Plan {
    /// What takes back the first `started` steps, in the order in which it is safe: traffic first, then instances (invariant
    /// 4). A step that was started counts as done: whether it took effect may be unknown. Nothing
    /// - for the direct strategy, whose rollback is manual (runbook Scenario 1), and for plans that go back themselves;
    /// - once the new version is marked stable: from there on the only way is forward;
    /// - once everyone was sent to the new version from nowhere: there is nowhere to go back to, and what serves is not
    ///   deleted (invariant 2).
    #[must_use]
    pub fn undo(&self, started: usize) -> Vec<Step> {
        let begun = self.steps.get(..started).unwrap_or(&self.steps);
        let no_way_back = begun.iter().any(|step| match step {
            Step::MarkStable { .. } | Step::CreateProfile { .. } => true,
            Step::Together { lanes } => lanes.iter().flatten().any(|step| matches!(step, Step::MarkStable { .. })),
            Step::Shift { to, back_to: None, .. } => to.iter().any(|slice| slice.instance == self.subject),
            Step::Switch { to, back_to: None, .. } => to.instance == self.subject,
            _ => false,
        });
        if self.strategy == Strategy::Canary && begun.iter().any(|step| matches!(step, Step::MarkPromoted { .. })) {
            return if no_way_back { Vec::new() } else { Self::undo_promoted(begun) };
        }
        match (self.strategy, self.aim) {
            _ if no_way_back => Vec::new(),
            (Strategy::Direct, _) | (Strategy::BlueGreen, Aim::RollBack | Aim::Promote | Aim::MakeSafe | Aim::Finish) => Vec::new(),
            (Strategy::BlueGreen, Aim::Deploy) | (Strategy::Canary, _) => undone(begun),
        }
    }

    /// What takes back the first `started` steps of a canary that is promoted: people go back to where the last change of
    /// shares found them; no instance goes.
    fn undo_promoted(begun: &[Step]) -> Vec<Step> {
        let after = begun
            .iter()
            .rposition(|step| matches!(step, Step::MarkPromoted { .. }))
            .map_or(begun, |at| begun.get(at..).unwrap_or_default());
        // Once the candidate goes, the only way back is to bring the version before back: another plan.
        if after.iter().any(|step| matches!(step, Step::DeleteInstance { .. })) {
            return Vec::new();
        }
        undone(after).into_iter().filter(|step| matches!(step, Step::Shift { .. })).collect()
    }

    /// Whether, once the first `started` steps were begun, its version runs everywhere and nothing of the version before is left
    /// to go back to.
    #[must_use]
    pub fn is_everywhere(&self, started: usize) -> bool {
        let gone = |step: &Step| matches!(step, Step::DeleteInstance { instance, .. } if *instance == self.subject);
        self.is_promoted(started) && self.steps.iter().take(started).any(gone)
    }

    /// Whether, once the first `started` steps were begun, its version has passed every phase of a canary.
    #[must_use]
    pub fn is_promoted(&self, started: usize) -> bool {
        self.steps.iter().take(started).any(|step| matches!(step, Step::MarkPromoted { .. }))
    }

    /// Whether anything in it changes the world.
    #[must_use]
    pub fn changes_anything(&self) -> bool {
        self.steps.iter().any(Step::is_change)
    }
}

/// What takes `begun` back: the traffic of the last change of it, then the instances.
fn undone(begun: &[Step]) -> Vec<Step> {
    let mut traffic = Vec::new();
    let mut instances = Vec::new();
    for step in begun.iter().rev() {
        let (deletes, moves): (Vec<Step>, Vec<Step>) =
            step.undo().into_iter().partition(|step| matches!(step, Step::DeleteInstance { .. }));
        // Going back once is going back: an earlier change of shares would lead to the same place.
        if traffic.is_empty() {
            traffic = moves;
        }
        instances.extend(deletes);
    }
    [traffic, instances].concat()
}
