//! What went wrong, said once for every reader: what happened, to which resource, what it means, what to do next.
//! Modules have error enums of their own; each turns into a `Failure` at its border. No formatting for a display here.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::domain::ExitStatus;

/// What kind of failure it is: decides the exit status, the outcome, and which troubleshooting entry fits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum FailureKind {
    /// An input, the event or the request is wrong.
    Request,
    /// `deploy.yml` is wrong.
    Configuration,
    /// The image does not exist, or the registry does not give it.
    Image,
    /// The registry cannot be reached.
    Registry,
    /// Logging in to Azure failed.
    Login,
    /// Azure refused for want of a permission.
    Forbidden,
    /// Azure refused for want of quota or capacity.
    Capacity,
    /// Azure refused or failed otherwise.
    Azure,
    /// Azure cannot be reached, or did not answer within the budget.
    AzureUnreachable,
    /// The instance did not start.
    Start,
    /// The instance could not pull its image.
    ImagePull,
    /// The instance ran out of memory.
    OutOfMemory,
    /// The instance keeps crashing.
    CrashLoop,
    /// The instance did not become healthy.
    Health,
    /// A smoke test failed.
    Smoke,
    /// A rule was broken while the new version was watched.
    Breach,
    /// There was too little evidence to trust the new version.
    NoEvidence,
    /// The new version broke a phase's rule and was taken back to a smaller share, where it is well.
    SteppedBack,
    /// Traffic does not go, or cannot be made to go, where it should.
    Traffic,
    /// The checklist before a release was not passed.
    Preflight,
    /// Another run has the environment.
    Claimed,
    /// A person changed the traffic meanwhile: the Action stops rather than fighting them.
    Interfered,
    /// Another run, or a person, changed the instance meanwhile.
    Superseded,
    /// The run was cancelled.
    Cancelled,
    /// A defect of the Action itself.
    Internal,
}

/// A failure as every report shows it. Texts carry no markup and no secrets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Failure {
    /// What kind it is.
    pub kind: FailureKind,
    /// What happened: one sentence without a full stop, e.g. "Azure refused to create the container group: …".
    pub what: String,
    /// To which resource, as a person would look it up, e.g. "container group dev-nextgen/aci-dev-nextgen".
    pub resource: String,
    /// What it means for the deployment, e.g. "nothing was changed; the version before still runs".
    pub consequence: String,
    /// What to do next, in order; commands are filled in, ready to paste.
    pub next: Vec<String>,
}

impl Failure {
    /// A failure of `kind`: `what` happened to `resource`.
    #[must_use]
    pub fn new(kind: FailureKind, what: impl Into<String>, resource: impl Into<String>) -> Self {
        Self { kind, what: what.into(), resource: resource.into(), consequence: String::new(), next: Vec::new() }
    }

    /// Says what it means for the deployment.
    #[must_use]
    pub fn meaning(mut self, consequence: impl Into<String>) -> Self {
        self.consequence = consequence.into();
        self
    }

    /// Adds a next step.
    #[must_use]
    pub fn next(mut self, step: impl Into<String>) -> Self {
        self.next.push(step.into());
        self
    }

    /// The exit status: 2 where the request or the configuration is wrong, otherwise 1.
    /// An executor that cannot confirm safety overrides it with 3.
    #[must_use]
    pub const fn exit_status(&self) -> ExitStatus {
        match self.kind {
            FailureKind::Request | FailureKind::Configuration => ExitStatus::Wrong,
            FailureKind::Image
            | FailureKind::Registry
            | FailureKind::Login
            | FailureKind::Forbidden
            | FailureKind::Capacity
            | FailureKind::Azure
            | FailureKind::AzureUnreachable
            | FailureKind::Start
            | FailureKind::ImagePull
            | FailureKind::OutOfMemory
            | FailureKind::CrashLoop
            | FailureKind::Health
            | FailureKind::Smoke
            | FailureKind::Breach
            | FailureKind::Traffic
            | FailureKind::Preflight
            | FailureKind::Claimed
            | FailureKind::Superseded
            | FailureKind::Cancelled => ExitStatus::NotDeployed,
            FailureKind::NoEvidence | FailureKind::SteppedBack | FailureKind::Interfered | FailureKind::Internal => {
                ExitStatus::PersonNeeded
            }
        }
    }
}

impl std::error::Error for Failure {}

/// The plain text of a failure: for logs and annotations.
impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.what)?;
        if !self.resource.is_empty() && !self.what.contains(&self.resource) {
            write!(f, " ({})", self.resource)?;
        }
        if !self.consequence.is_empty() {
            write!(f, "\n  it means: {}", self.consequence)?;
        }
        for step in &self.next {
            write!(f, "\n  next: {step}")?;
        }
        Ok(())
    }
}
