//! `deploy.yml`: its surface, defaults, validation and JSON Schema.
//! Reads text, gives plain data; knows nothing of Azure's or GitHub's wire formats.

mod canary;
mod check;
mod container;
mod error;
mod pattern;
mod preflight;
mod read;
mod reference;
mod rules;
mod schema;
mod shape;
mod sql;
mod surface;
mod tree;

pub use canary::{Abort, Ask, Canary, FinalCheck, OnBreach, Phase, Stabilize, Staged, Verify};
pub use container::{
    Access, AzureFile, Container, EmptyDir, GitRepository, Gpu, GpuSku, Identity, IpType, LogAnalytics, OsType, Port, Probe, ProbeKind,
    Protocol, RestartPolicy, SystemIdentity, Volume, VolumeSource,
};

pub(crate) use check::nearest;
pub use error::{ConfigError, Problem};
pub use pattern::matches;
pub use preflight::{
    AlertSeverity, ApprovalRole, Approvals, Checks, CodeScanning, Leave, Preflight, PreflightRule, Source, TagForm, Window,
};
pub use read::{load, observe_rules, parse};
pub use reference::reference;
pub use rules::{Bound, Database, Factor, MetricKind, Metrics, MetricsSource, NoData, Quantity, Reader, Rule, Unit};
pub use schema::schema;

use std::{collections::BTreeMap, time::Duration};

use url::Url;

use crate::domain::{EnvironmentName, ImageRepository, InstanceName, Slot, Strategy};

/// A whole `deploy.yml`, defaults filled in, checked.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// Shown in every message.
    pub application: String,
    /// Where the images are.
    pub image: ImageRepository,
    /// Azure region, e.g. `westeurope`.
    pub location: String,
    /// Where the numbers of rules come from; `None`: off.
    pub metrics: Option<Metrics>,
    /// The database that a rule asks; `None`: off.
    pub database: Option<Database>,
    /// Who hears of it.
    pub notify: Notify,
    /// The environments, by name.
    pub environments: BTreeMap<EnvironmentName, Environment>,
}

/// Who hears of a rollout, and where they look.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Notify {
    /// Slack; `None`: off.
    pub slack: Option<Slack>,
    /// PagerDuty; `None`: off.
    pub pagerduty: Option<PagerDuty>,
    /// The status page; `None`: off.
    pub status_page: Option<StatusPage>,
    /// Linked in messages.
    pub dashboard: Option<Url>,
    /// Linked in messages.
    pub docs: Option<Url>,
}

/// Slack's channels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slack {
    /// Where deployments are told, e.g. `#nextgen-devops`.
    pub channel: String,
    /// Where incidents are told.
    pub incidents: String,
}

/// How people on call are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PagerDuty {
    /// Of an alert.
    pub severity: Severity,
}

/// How bad an alert is, in PagerDuty's words (PagerDuty: Events API v2, `payload.severity`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// People are called at once.
    Critical,
    /// Something failed.
    Error,
    /// Something may fail.
    Warning,
    /// Good to know.
    Info,
}

impl Severity {
    /// PagerDuty's word, which is also the one in `deploy.yml`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Critical => "critical",
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Info => "info",
        }
    }
}

/// A page of a Statuspage-compatible service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatusPage {
    /// The page's id.
    pub page: String,
    /// The id of the component that a release touches; `None`: incidents name none.
    pub component: Option<String>,
}

/// One environment.
#[derive(Debug, Clone, PartialEq)]
pub struct Environment {
    /// Its name.
    pub name: EnvironmentName,
    /// Which pushes deploy it.
    pub when: When,
    /// How.
    pub strategy: Strategy,
    /// The Azure resource group its instances are in.
    pub resource_group: String,
    /// The instance of the direct strategy.
    pub instance: InstanceName,
    /// What the blue-green strategy needs; there with that strategy, and only with it.
    pub blue_green: Option<BlueGreen>,
    /// What the canary strategy needs; there with that strategy, and only with it.
    pub canary: Option<Canary>,
    /// The image tag, with `{sha}` (short commit id), `{version}` (the git tag) and `{branch}` filled in.
    pub tag: String,
    /// The address people and smoke tests use; `None`: the instance's own.
    pub url: Option<Url>,
    /// What every instance of it gets.
    pub container: Container,
    /// Environment variables.
    pub env: BTreeMap<String, String>,
    /// Names looked up in `container-secrets`, given to the container as secure environment variables.
    pub secrets: Vec<String>,
    /// The health gate.
    pub health: Health,
    /// Paths that must answer 2xx.
    pub smoke: Vec<String>,
}

impl Environment {
    /// The Traffic Manager profile in front of it, where its strategy has one.
    #[must_use]
    pub fn profile(&self) -> Option<&str> {
        let blue_green = self.blue_green.as_ref().map(|blue_green| blue_green.profile.name.as_str());
        blue_green.or_else(|| self.canary.as_ref().map(|canary| canary.profile.name.as_str()))
    }

    /// How long after the profile's time to live people may still be on their way after a switch: three probes' time. Azure's
    /// change reaches its DNS servers within seconds (Microsoft: Traffic Manager FAQ), and resolvers keep an answer for the time
    /// to live.
    #[must_use]
    pub const fn margin(&self) -> Duration {
        self.health.every.saturating_mul(3)
    }
}

/// What the blue-green strategy needs (runbook Scenario 2).
#[derive(Debug, Clone, PartialEq)]
pub struct BlueGreen {
    /// The blue slot.
    pub blue: SlotConfig,
    /// The green slot.
    pub green: SlotConfig,
    /// The Traffic Manager profile in front of them.
    pub profile: ProfileConfig,
    /// Watching after the switch; `None`: off.
    pub observe: Option<Observe>,
}

impl BlueGreen {
    /// What is configured for `slot`.
    #[must_use]
    pub const fn slot(&self, slot: Slot) -> &SlotConfig {
        match slot {
            Slot::Blue => &self.blue,
            Slot::Green => &self.green,
        }
    }
}

/// A slot: its instance, and the endpoint that sends people to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SlotConfig {
    /// The instance.
    pub instance: InstanceName,
    /// The endpoint's name in the profile.
    pub endpoint: String,
}

/// A Traffic Manager profile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProfileConfig {
    /// Its name.
    pub name: String,
    /// With this, a profile that does not exist is created with this DNS name.
    pub dns_name: Option<InstanceName>,
}

/// Watching the new version for a time, under rules.
#[derive(Debug, Clone, PartialEq)]
pub struct Observe {
    /// How long.
    pub duration: Duration,
    /// From tick to tick.
    pub every: Duration,
    /// The rules.
    pub rules: Vec<Rule>,
}

/// Which pushes deploy an environment: glob patterns with `*`, `**` and `?`, as GitHub's workflow filters have them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct When {
    /// Pushes to these branches.
    pub branch: Option<String>,
    /// Pushes of these tags.
    pub tag: Option<String>,
}

/// The health gate: up to `retries` probes, `every` apart, each with a `timeout` (runbook: 30 × 10 s).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Health {
    /// How many probes at most.
    pub retries: u32,
    /// From the start of one probe to the start of the next.
    pub every: Duration,
    /// How long one probe may take.
    pub timeout: Duration,
}
