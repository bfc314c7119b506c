//! (Request, Config, Observed) → ordered steps, or a refusal with its reason. Pure: no clock, no client.

/// The blue-green strategy.
pub mod blue_green;
mod change;
mod direct;
mod step;

pub use direct::plan as direct;
pub use step::{Side, SmokeTarget, Step};

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
            Step::Switch { to, back_to: None, .. } => to.instance == self.subject,
            _ => false,
        });
        match (self.strategy, self.aim) {
            _ if no_way_back => Vec::new(),
            (Strategy::Direct, _) | (_, Aim::RollBack | Aim::Promote | Aim::MakeSafe | Aim::Finish) => Vec::new(),
            (Strategy::BlueGreen | Strategy::Canary, Aim::Deploy) => {
                let all = begun.iter().rev().flat_map(Step::undo);
                let (traffic, instances): (Vec<Step>, Vec<Step>) = all.partition(|step| !matches!(step, Step::DeleteInstance { .. }));
                [traffic, instances].concat()
            }
        }
    }

    /// Whether anything in it changes the world.
    #[must_use]
    pub fn changes_anything(&self) -> bool {
        self.steps.iter().any(Step::is_change)
    }
}
