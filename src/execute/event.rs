//! What happens during a rollout, as data: the only thing that reports know, and the lines of the evidence file.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    changes::Changes,
    config::{Preflight, Rule},
    domain::{EnvironmentName, ExitStatus, ImageReference, InstanceName, Outcome, RolloutId, Share, Strategy, Version},
    failure::Failure,
    gate::{Checked, Judgement, Sample, Settings},
    observe::{AzureEvent, Instance, MonitorStatus, Observed, preflight::Facts},
    plan::{Aim, Plan, Side, Slice, Step, preflight::Checklist},
};

/// Something that happened, and when.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Event {
    /// When, by the runner's clock.
    #[schemars(with = "String")]
    pub at: Timestamp,
    /// What.
    pub event: Happening,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Happening {
    /// The request is understood; nothing has been read or written yet. First event of every rollout.
    Requested {
        /// Whose rollout, of what.
        rollout: Rollout,
    },
    /// The world was read and the plan made. Nothing has been changed yet.
    Planned {
        /// The image, resolved; `None` where the plan goes back to what the Action did not deploy.
        image: Option<ImageReference>,
        /// What was read.
        observed: Box<Observed>,
        /// What will be done.
        plan: Plan,
    },
    /// What is new in the version was looked up; no step waits for it.
    ChangesListed {
        /// What is new.
        changes: Changes,
    },
    /// The checklist before a release was gone through. Nothing has been changed yet.
    Preflight {
        /// What it asks for.
        asked: Box<Preflight>,
        /// What was read.
        facts: Box<Facts>,
        /// Its rows.
        checklist: Checklist,
    },
    /// A step begins.
    StepStarted {
        /// Its place in the plan, from 0.
        step: usize,
    },
    /// The instance changed its state (only changes are told).
    InstanceState {
        /// Its place in the plan.
        step: usize,
        /// As Azure shows it now.
        instance: Box<Instance>,
        /// Azure's events that were not seen before.
        fresh: Vec<AzureEvent>,
    },
    /// A request is about to be sent again.
    Retrying {
        /// What was asked, e.g. "PUT container group aci-dev-nextgen".
        what: String,
        /// Why it is repeated, e.g. "429 Too Many Requests".
        why: String,
        /// In how many milliseconds.
        after_ms: u64,
    },
    /// One probe of the health gate.
    Probe {
        /// Its place in the plan.
        step: usize,
        /// Which of them, from 1.
        attempt: u32,
        /// How many at most.
        of: u32,
        /// Where it went.
        url: String,
        /// What came.
        result: HttpResult,
    },
    /// One smoke test.
    Smoke {
        /// Its place in the plan.
        step: usize,
        /// The path.
        path: String,
        /// Where it went.
        url: String,
        /// What came.
        result: HttpResult,
    },
    /// One final check: what was asked, what came, and what that says.
    FinalCheck {
        /// Its place in the plan.
        step: usize,
        /// The check and its number.
        checked: Checked,
    },
    /// Everyone is sent to one endpoint from now on, as Traffic Manager acknowledges.
    TrafficSwitched {
        /// Its place in the plan.
        step: usize,
        /// Where everyone goes.
        to: Side,
        /// Where everyone went.
        from: Option<Side>,
        /// How long the request took.
        took_ms: u64,
    },
    /// Each instance has its share of people from now on, as Traffic Manager acknowledges.
    TrafficShared {
        /// Its place in the plan.
        step: usize,
        /// The shares, as its weights give them.
        to: Vec<Slice>,
        /// How long the request took.
        took_ms: u64,
    },
    /// A version is taken back to a smaller share, and watched there.
    SteppedBack {
        /// Its place in the plan.
        step: usize,
        /// Why.
        failure: Failure,
        /// Its share now.
        share: Share,
    },
    /// One look at whether people arrive where they are sent.
    Arrival {
        /// Its place in the plan.
        step: usize,
        /// Since the step began.
        after_ms: u64,
        /// What it shows.
        arrived: Arrived,
    },
    /// Nobody is sent there any more, and what resolvers remembered has run out.
    Drained {
        /// Its place in the plan.
        step: usize,
        /// What was left.
        from: InstanceName,
        /// Since the step began.
        after_ms: u64,
        /// Requests that the last look still saw there, where it could be counted.
        left: Option<u64>,
    },
    /// A watch begins: with these rules, judged like this. Its ticks follow.
    WatchStarted {
        /// Its place in the plan.
        step: usize,
        /// The rules.
        rules: Vec<Rule>,
        /// How they are judged.
        settings: Settings,
        /// When it is over, where no rule trips.
        #[serde(default)]
        until: Until,
    },
    /// A phase had its time and there is too little to judge by: it goes on, tick by tick, until there is enough.
    WatchExtended {
        /// Its place in the plan.
        step: usize,
        /// How many ticks more it takes at most.
        most: u32,
        /// What is lacking, a sentence for each rule.
        lacking: Vec<String>,
    },
    /// One tick of a watch: what was read, and what the rules say to it.
    Tick {
        /// Its place in the plan.
        step: usize,
        /// Which, from 1.
        tick: u32,
        /// How many there will be.
        of: u32,
        /// Since the watch began.
        after_ms: u64,
        /// What was read.
        samples: Vec<Sample>,
        /// What the rules say.
        judgements: Vec<Judgement>,
        /// How what stands by answered its health check, where something does.
        standby: Option<HttpResult>,
    },
    /// What a rollout did is being taken back; `steps` follow those of the plan.
    TakingBack {
        /// Why.
        failure: Failure,
        /// The steps.
        steps: Vec<Step>,
    },
    /// Taking back: Traffic Manager acknowledges that everyone is sent to the version before.
    TrafficSafe {
        /// Since taking back began.
        after_ms: u64,
    },
    /// This run has the environment for itself.
    Claimed {
        /// What holds the claim, as people can look it up.
        lock: String,
    },
    /// A step ended.
    StepFinished {
        /// Its place in the plan.
        step: usize,
        /// How.
        end: StepEnd,
        /// How long it took.
        duration_ms: u64,
    },
    /// After a failure: what a person would otherwise have to look up.
    Diagnosed {
        /// What was found.
        diagnosis: Box<Diagnosis>,
    },
    /// Something a reader should know that stops nothing.
    Warned {
        /// One sentence.
        text: String,
    },
    /// A report could not be delivered (invariant 6: it changes nothing but this warning).
    ReportFailed {
        /// "Slack", "GitHub deployment", …
        report: String,
        /// Why.
        why: String,
    },
    /// The end. Exactly one, the last event of the executor; only `ReportFailed` may follow.
    Finished {
        /// How it ended.
        outcome: Outcome,
        /// The exit status.
        exit: ExitStatus,
        /// Why, where it did not end well.
        failure: Option<Failure>,
        /// Since `Requested`.
        duration_ms: u64,
        /// The address where it can be used.
        url: Option<String>,
    },
}

/// Whose rollout, of what.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Rollout {
    /// Its id.
    pub id: RolloutId,
    /// What it is for.
    pub aim: Aim,
    /// The application, as configured.
    pub application: String,
    /// Where.
    pub environment: EnvironmentName,
    /// How.
    pub strategy: Strategy,
    /// The resource group.
    pub resource_group: String,
    /// The instance's name, or those of the slots.
    pub instance: String,
    /// The version asked for; `None` where the world says which: a rollback goes to the one before.
    pub version: Option<Version>,
    /// The commit, where known.
    pub sha: Option<String>,
    /// The commit whose run was interrupted, where this makes safe or finishes what it left, and that is known.
    #[serde(default)]
    pub interrupted: Option<String>,
    /// The branch or tag, where known.
    pub git_ref: Option<String>,
    /// Who caused it, where known (a GitHub login).
    pub actor: Option<String>,
    /// `OWNER/NAME`, where known.
    pub repository: Option<String>,
    /// Link to the repository's commit, where known.
    pub commit_url: Option<String>,
    /// Link to the workflow run, where known.
    pub run_url: Option<String>,
    /// The environment's address, where configured.
    pub url: Option<String>,
    /// The dashboard, where configured.
    pub dashboard: Option<String>,
    /// The documentation, where configured.
    pub docs: Option<String>,
}

/// When a watch is over, where no rule trips.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Until {
    /// When its time has passed.
    #[default]
    TheEnd,
    /// When each rule has passed once: what is trusted is only looked at.
    EachPassedOnce,
}

/// What one look at arriving traffic shows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Arrived {
    /// The share that the new instance is meant to get.
    pub intended: Share,
    /// The share that it got since the look before, where requests could be counted and there were any.
    pub realised: Option<Share>,
    /// Requests since the look before, at both instances together.
    pub requests: Option<u64>,
    /// What Traffic Manager's own probes say of the endpoint.
    pub monitor: Option<MonitorStatus>,
    /// What the public address answered, where one is configured.
    pub public: Option<HttpResult>,
}

/// How a step ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "end", rename_all = "kebab-case")]
pub enum StepEnd {
    /// Done.
    Done,
    /// Failed; the rollout stops.
    Failed {
        /// Why.
        failure: Failure,
    },
}

/// What an HTTP request of a gate brought.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HttpResult {
    /// The status, where an answer came.
    pub status: Option<u16>,
    /// Why no answer came, where none did: "connection refused", "no answer within 5 s".
    pub error: Option<String>,
    /// From sending to the whole answer.
    pub latency_ms: u64,
    /// The answer's first 200 characters, on one line.
    pub excerpt: String,
}

impl HttpResult {
    /// Whether it counts as good: any 2xx.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.status.is_some_and(|status| (200..300).contains(&status))
    }
}

/// What a person would otherwise have to look up.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Diagnosis {
    /// The instance as Azure shows it, where it could be read.
    pub instance: Option<Instance>,
    /// The container's last log lines.
    pub logs: Vec<String>,
    /// What could not be gathered, and why.
    pub missing: Vec<String>,
    /// The runbook's troubleshooting entry for this symptom, e.g. "Smoke test failed".
    pub entry: String,
    /// Its steps, names filled in.
    pub advice: Vec<String>,
    /// A change of `deploy.yml`, ready to paste, where one would help.
    pub configuration: Option<String>,
}
