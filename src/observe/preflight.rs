//! What the checklist before a release is judged on: the tag, its commit, what people said of it, staging, production. Plain data;
//! what could not be read says why.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::MonitorStatus;
use crate::{
    domain::{Digest, EnvironmentName, InstanceName, MetricName, Sha, Version},
    execute::HttpResult,
    gate::{Judgement, Sample, Settings},
};

/// Something that was asked for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "found", rename_all = "kebab-case")]
pub enum Found<T> {
    /// It is known.
    Known {
        /// What it is.
        value: T,
    },
    /// It could not be read.
    Unknown {
        /// Why: one sentence without a full stop.
        why: String,
    },
    /// The service that would know it is not in use there.
    Absent {
        /// Which, and how that is known.
        why: String,
    },
}

impl<T> Found<T> {
    /// What was read, or why not.
    pub fn of<E: std::fmt::Display>(result: Result<T, E>) -> Self {
        match result {
            Ok(value) => Self::Known { value },
            Err(error) => Self::Unknown { why: error.to_string() },
        }
    }
}

/// Everything that the checklist is judged on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Facts {
    /// When it was read, by the runner's clock.
    #[schemars(with = "String")]
    pub now: Timestamp,
    /// What is to be released.
    pub release: Release,
    /// Its tag.
    pub tag: Found<Tag>,
    /// Where its commit is, seen from the branch that it must be on.
    pub ancestry: Found<Ancestry>,
    /// The check runs of the commit, the newest of each name.
    pub checks: Found<Vec<CheckRun>>,
    /// The open alerts of code scanning.
    pub alerts: Found<Vec<Alert>>,
    /// Staging; `None`: no environment is staging.
    pub staging: Option<Staging>,
    /// What runs in production.
    pub production: Vec<Running>,
    /// Who has production for themselves.
    pub lock: Found<Lock>,
    /// What the rules say of production.
    pub rules: Vec<Measured>,
    /// What people said of the commit.
    pub said: Found<Said>,
}

/// What is to be released.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Release {
    /// The version.
    pub version: Version,
    /// The git tag.
    pub tag: String,
    /// The commit, where known: the run's or, where the version was given, the tag's.
    pub sha: Option<Sha>,
    /// The image, resolved.
    pub digest: Option<Digest>,
    /// Where the repository is looked at, e.g. `https://github.com/nextgen-market/nextgen-market`.
    pub repository_url: Option<String>,
}

/// A git tag.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Tag {
    /// The commit that it is on.
    pub commit: Sha,
    /// How it was made.
    pub made: TagMade,
}

/// How a tag was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "made", rename_all = "kebab-case")]
pub enum TagMade {
    /// A name for a commit and nothing else: it says neither who made it nor when.
    Lightweight,
    /// An object of its own.
    Annotated {
        /// Who made it, as they say themselves.
        tagger: Option<String>,
        /// What GitHub says of its signature: `valid`, `unsigned`, `unknown_key`, …
        signature: String,
        /// Whether GitHub has verified it.
        verification: Verification,
    },
}

/// Whether GitHub has verified a signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Verification {
    /// It has.
    Verified,
    /// It has not, or there is none.
    Unverified,
}

/// Where a commit is, seen from a branch (GitHub Docs, REST API, "Compare two commits": `status`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Ancestry {
    /// It is the branch's newest commit.
    Head,
    /// It is on the branch, so many commits back.
    Behind {
        /// How many.
        commits: u64,
    },
    /// It is not on the branch.
    Elsewhere,
}

/// A check run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CheckRun {
    /// Its name.
    pub name: String,
    /// How it ended, by GitHub's word; `None`: it has not.
    pub conclusion: Option<String>,
    /// Where it is looked at.
    pub link: Option<String>,
}

/// An open alert of code scanning.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Alert {
    /// Its number.
    pub number: u64,
    /// Its security severity, by GitHub's word; `None`: its rule is not about security.
    pub severity: Option<String>,
    /// What it is about.
    pub about: String,
    /// Where it is looked at.
    pub link: Option<String>,
}

/// Staging.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Staging {
    /// Which environment that is.
    pub environment: EnvironmentName,
    /// The instance that people are sent to there; `None`: nobody is sent to one.
    pub live: Found<Option<Live>>,
    /// What the commit has passed there, the newest first.
    pub history: Found<Vec<Passed>>,
    /// How fast it answers now; `None`: it was not asked.
    pub latency: Option<Measured>,
    /// The highest p99, in seconds, that the watch before it was marked stable let pass; `None`: it had no such rule.
    pub watched_seconds: Option<f64>,
}

/// The instance that people are sent to in staging.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Live {
    /// Its name.
    pub instance: InstanceName,
    /// Its version.
    pub version: Option<Version>,
    /// Its image.
    pub digest: Option<Digest>,
    /// Its role, by its tag.
    pub role: Option<String>,
    /// When it was marked stable.
    #[schemars(with = "Option<String>")]
    pub stable_since: Option<Timestamp>,
    /// Why a person must decide about it, where one must.
    pub held: Option<String>,
    /// How often Azure started it again.
    pub restarts: u32,
    /// What Azure's view of it says is wrong, where something is.
    pub symptom: Option<String>,
    /// The workflow run that deployed it.
    pub run: Option<String>,
}

/// A status that the commit was given for staging.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Passed {
    /// GitHub's word: `success`, `failure`, `error`, `pending`.
    pub state: String,
    /// In a few words.
    pub description: String,
    /// When.
    #[schemars(with = "String")]
    pub at: Timestamp,
    /// Where more is to be seen.
    pub link: Option<String>,
}

/// A stable instance of production.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Running {
    /// Its name.
    pub instance: InstanceName,
    /// Its version, by its tag.
    pub version: Option<Version>,
    /// Whether people are sent to it.
    pub traffic: Traffic,
    /// What Azure's view of it says is wrong, where something is.
    pub symptom: Option<String>,
    /// What Traffic Manager's probes say of its endpoint.
    pub monitor: Option<MonitorStatus>,
    /// How its health path answered; `None`: it has no address.
    pub health: Option<HttpResult>,
}

/// Whether people are sent to an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Traffic {
    /// They are.
    Serving,
    /// It stands by.
    StandingBy,
}

/// Who has an environment for themselves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "lock", rename_all = "kebab-case")]
pub enum Lock {
    /// Nobody, or a run that is over.
    Free,
    /// This run, from an earlier attempt.
    Ours,
    /// Another run, which is at work.
    Taken {
        /// Its link or its number.
        by: String,
        /// What it does: `deploy`, `rollback`, ….
        command: String,
    },
    /// Somebody put something else there.
    Unreadable,
}

/// What a rule says of production.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Measured {
    /// The metric.
    pub metric: MetricName,
    /// What was read and what the rule says to it.
    pub judged: Found<Judged>,
}

/// What was read, and what the rule says to it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Judged {
    /// The samples of the last look.
    pub samples: Vec<Sample>,
    /// How they are judged.
    pub settings: Settings,
    /// The judgement.
    pub judgement: Judgement,
}

/// What people said of a commit.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Said {
    /// Who approved, and who rejected.
    pub approvals: Vec<Approval>,
    /// Who overrode which row.
    pub overrides: Vec<Override>,
    /// What could not be found out about them, and what to do: e.g. that the token may not see who is in a team.
    pub unclear: Vec<String>,
}

/// A person's word on the release of a commit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Approval {
    /// Whose: a GitHub login.
    pub by: String,
    /// The configured roles that the word can count for: those that the person held when it was read and, where the source names
    /// one, that one alone.
    pub roles: Vec<String>,
    /// What it says.
    pub answer: Answer,
    /// When it was given, or the earliest that it can have been.
    #[schemars(with = "String")]
    pub at: Timestamp,
    /// For which commit.
    pub sha: Sha,
    /// What they wrote.
    pub comment: String,
    /// Where it was given, in words: `environment prod`, `commit status approval/tech-lead`.
    pub source: String,
    /// Where it is looked at.
    pub link: Option<String>,
}

/// What a person's word says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// Go.
    Approved,
    /// Do not.
    Rejected,
}

/// A person's decision that a row of the checklist does not stop a release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Override {
    /// The row, by its id.
    pub row: String,
    /// Whose decision: a GitHub login.
    pub by: String,
    /// The configured role that they held when it was read.
    pub role: String,
    /// Why.
    pub reason: String,
    /// When.
    #[schemars(with = "String")]
    pub at: Timestamp,
    /// For which commit.
    pub sha: Sha,
    /// Where it is looked at.
    pub link: Option<String>,
}
