//! A rollout's events folded into what every display shows. Pure: many displays, one story.

use std::sync::Arc;

use crate::{
    changes::Changes,
    config::{MetricKind, Quantity, Rule, Unit},
    domain::{ExitStatus, ImageReference, InstanceName, Outcome, Share, Strategy, Version},
    execute::{Arrived, Diagnosis, Event, Happening, HttpResult, Rollout, StepEnd},
    failure::{Failure, FailureKind},
    gate::{Basis, Checked, Counts, Judgement, Reading, Sample, Subject},
    observe::Instance,
    plan::{self, Aim, Plan, Side, Slice, preflight::Checklist},
};

/// What has happened so far.
#[derive(Debug, Clone, Default)]
pub struct Story {
    /// When it was asked for.
    pub requested: Option<jiff::Timestamp>,
    /// Whose rollout.
    pub rollout: Option<Rollout>,
    /// What is new in the version, where that was looked up.
    pub changes: Option<Changes>,
    /// The image, once resolved.
    pub image: Option<ImageReference>,
    /// The plan, once made.
    pub plan: Option<Plan>,
    /// The checklist before the release, once gone through.
    pub checklist: Option<Arc<Checklist>>,
    /// How each step of the plan is doing.
    pub steps: Vec<Step>,
    /// When each step of the plan began, where it did.
    pub begun: Vec<Option<jiff::Timestamp>>,
    /// The instance as last seen.
    pub instance: Option<Instance>,
    /// How many of the steps were planned; what follows takes them back.
    pub planned: usize,
    /// Each time that everyone was sent to one place, in order.
    pub switches: Vec<Switched>,
    /// Each time that shares were set, in order.
    pub shares: Vec<Shared>,
    /// The last look at arriving traffic.
    pub arrived: Option<Arrived>,
    /// What was seen of what nobody is sent to any more, where that was waited for.
    pub drained: Vec<Drained>,
    /// The watches that are over, in order.
    pub earlier: Vec<Arc<Watched>>,
    /// The watch that runs, or the last one.
    pub watch: Watched,
    /// What was read in its last tick.
    pub samples: Vec<Sample>,
    /// The judgement that tripped a rule, where one did.
    pub tripped: Option<Judgement>,
    /// What was asked for that judgement: of the judged version and of what it was compared with.
    pub tripped_queries: Vec<String>,
    /// Why what was done is taken back, once it is.
    pub taken_back: Option<Failure>,
    /// How long, in milliseconds, until traffic was safe again, where anything was taken back.
    pub safe_after_ms: Option<u64>,
    /// Health probes, in order.
    pub probes: Vec<Probe>,
    /// Smoke tests, in order.
    pub smoke: Vec<Smoke>,
    /// Final checks, each with the place of its step in the plan, in order.
    pub checks: Vec<(usize, Checked)>,
    /// Repeated requests, in words.
    pub retries: Vec<String>,
    /// What a reader should know.
    pub warnings: Vec<String>,
    /// What was found out after a failure.
    pub diagnosis: Option<Diagnosis>,
    /// The end.
    pub end: Option<End>,
    /// The file of its HTML page, once there is one.
    pub page: Option<String>,
    /// Who is told besides, by Slack, PagerDuty and the status page, and what came of it; empty where nobody is.
    pub audience: Vec<(Ear, Heard)>,
}

/// Somebody who is told, across a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ear {
    /// Slack's channel for deployments.
    Slack,
    /// Slack's channel for incidents.
    Incidents,
    /// Who is on call.
    PagerDuty,
    /// Customers.
    StatusPage,
    /// Who reads the notes of the release at GitHub.
    ReleaseNotes,
}

impl Ear {
    /// Its name in sentences.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Slack => "Slack",
            Self::Incidents => "Slack (incidents)",
            Self::PagerDuty => "PagerDuty",
            Self::StatusPage => "status page",
            Self::ReleaseNotes => "GitHub release",
        }
    }
}

/// What came of telling somebody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard {
    /// They listen; nothing has come of it yet.
    Listening,
    /// They are not told; why.
    Off(&'static str),
    /// There was nothing for them to know.
    Nothing,
    /// They were told this.
    Told(String),
    /// They could not be told; a warning says why.
    Missed,
}

/// How a step is doing.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// Its turn has not come.
    Waiting,
    /// It runs.
    Running,
    /// It is done.
    Done {
        /// How long it took.
        duration_ms: u64,
    },
    /// It failed.
    Failed {
        /// How long it took.
        duration_ms: u64,
    },
}

/// Everyone was sent to one place.
#[derive(Debug, Clone)]
pub struct Switched {
    /// When.
    pub at: jiff::Timestamp,
    /// Where.
    pub to: Side,
    /// Where they went before.
    pub from: Option<Side>,
    /// How long Traffic Manager took to acknowledge it, in milliseconds.
    pub took_ms: u64,
}

/// What nobody is sent to any more has been waited for.
#[derive(Debug, Clone)]
pub struct Drained {
    /// What was left.
    pub from: InstanceName,
    /// How long it was waited for, in milliseconds.
    pub after_ms: u64,
    /// Requests that the last look still saw there, where they could be counted.
    pub left: Option<u64>,
}

/// Shares were set.
#[derive(Debug, Clone)]
pub struct Shared {
    /// When.
    pub at: jiff::Timestamp,
    /// The shares.
    pub to: Vec<Slice>,
    /// How long Traffic Manager took to acknowledge it, in milliseconds.
    pub took_ms: u64,
}

/// A watch: a version held under rules for a time.
#[derive(Debug, Clone, Default)]
pub struct Watched {
    /// What it is, in words: its step, and whether that was stepped back.
    pub title: String,
    /// The place in the plan of its step.
    pub step: usize,
    /// When it began.
    pub began: Option<jiff::Timestamp>,
    /// The share of people that the judged version has meanwhile, where it is a share that is held.
    pub share: Option<Share>,
    /// Whose numbers its rules judge.
    pub judged: Judged,
    /// Its rules.
    pub rules: Vec<Rule>,
    /// Its ticks, in order. Shared: every display has the story, and a watch is long.
    pub ticks: Vec<Arc<Tick>>,
    /// What was decided at its end.
    pub decision: Decision,
}

/// Whose numbers the rules of a watch judge.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Judged {
    /// The version that the plan is about.
    #[default]
    New,
    /// The version before it: looked at before the new one is tried, or brought back.
    Before,
}

/// What was decided at the end of a watch.
#[derive(Debug, Clone, Default, PartialEq)]
pub enum Decision {
    /// Nothing yet.
    #[default]
    Open,
    /// It passed: on with the plan.
    Passed,
    /// A rule was broken: back to a smaller share, and watched there.
    SteppedBack {
        /// The share.
        to: Share,
        /// Why.
        why: String,
    },
    /// It did not pass.
    Stopped {
        /// What kind of failure it is.
        kind: FailureKind,
        /// Why.
        why: String,
    },
}

/// A tick of the watch.
#[derive(Debug, Clone)]
pub struct Tick {
    /// When.
    pub at: jiff::Timestamp,
    /// Which, from 1.
    pub tick: u32,
    /// Of how many.
    pub of: u32,
    /// Since the watch began, in milliseconds.
    pub after_ms: u64,
    /// What the rules said.
    pub judgements: Vec<Judgement>,
    /// The values of what the judged version is compared with, rule by rule, where they were read.
    pub beside: Vec<Option<Quantity>>,
    /// Requests of the judged version since the watch began, the window before it included, and how many of them were errors;
    /// where both were counted.
    pub served: Option<Counts>,
}

/// A health probe.
#[derive(Debug, Clone)]
pub struct Probe {
    /// Which, from 1.
    pub attempt: u32,
    /// Of how many.
    pub of: u32,
    /// Where it went.
    pub url: String,
    /// What came.
    pub result: HttpResult,
}

/// A smoke test.
#[derive(Debug, Clone)]
pub struct Smoke {
    /// The place in the plan of the step that it belongs to.
    pub step: usize,
    /// The path.
    pub path: String,
    /// Where it went.
    pub url: String,
    /// What came.
    pub result: HttpResult,
}

/// The end.
#[derive(Debug, Clone)]
pub struct End {
    /// The outcome.
    pub outcome: Outcome,
    /// The exit status.
    pub exit: ExitStatus,
    /// Why, where it did not end well.
    pub failure: Option<Failure>,
    /// How long it took.
    pub duration_ms: u64,
    /// Where it can be used.
    pub url: Option<String>,
}

impl Story {
    /// Takes in one more event.
    pub fn hear(&mut self, event: &Event) {
        match &event.event {
            Happening::Requested { rollout } => {
                self.requested = Some(event.at);
                self.rollout = Some(rollout.clone());
            }
            Happening::ChangesListed { changes } => self.changes = Some(changes.clone()),
            Happening::Planned { image, observed, plan } => {
                self.image = image.clone();
                self.instance = observed.instances.first().cloned();
                self.steps = vec![Step::Waiting; plan.steps.len()];
                self.begun = vec![None; plan.steps.len()];
                self.planned = plan.steps.len();
                self.plan = Some(plan.clone());
            }
            Happening::Preflight { checklist, .. } => self.checklist = Some(Arc::new(checklist.clone())),
            Happening::StepStarted { step } => {
                self.set(*step, Step::Running);
                if let Some(begun) = self.begun.get_mut(*step) {
                    *begun = Some(event.at);
                }
            }
            Happening::InstanceState { instance, .. } => self.instance = Some((**instance).clone()),
            Happening::Retrying { what, why, after_ms } => {
                self.retries.push(format!("{what}: {why}; repeated after {}", duration(*after_ms)));
            }
            Happening::Probe { attempt, of, url, result, .. } => {
                self.probes.push(Probe { attempt: *attempt, of: *of, url: url.clone(), result: result.clone() });
            }
            Happening::Smoke { step, path, url, result } => {
                self.smoke.push(Smoke { step: *step, path: path.clone(), url: url.clone(), result: result.clone() });
            }
            Happening::FinalCheck { step, checked } => self.checks.push((*step, checked.clone())),
            Happening::StepFinished { step, end: StepEnd::Done, duration_ms } => {
                self.set(*step, Step::Done { duration_ms: *duration_ms });
                self.decide(*step, Decision::Passed);
            }
            Happening::StepFinished { step, end: StepEnd::Failed { failure }, duration_ms } => {
                self.set(*step, Step::Failed { duration_ms: *duration_ms });
                self.decide(*step, Decision::Stopped { kind: failure.kind, why: failure.what.clone() });
            }
            Happening::TrafficSwitched { to, from, took_ms, .. } => {
                self.switches.push(Switched { at: event.at, to: to.clone(), from: from.clone(), took_ms: *took_ms });
            }
            Happening::TrafficShared { to, took_ms, .. } => {
                self.shares.push(Shared { at: event.at, to: to.clone(), took_ms: *took_ms });
            }
            Happening::SteppedBack { step, failure, share } => {
                self.decide(*step, Decision::SteppedBack { to: *share, why: failure.what.clone() });
                self.taken_back = Some(failure.clone());
                self.warnings.push(format!("taken back to {share}: {}", failure.what));
            }
            Happening::Arrival { arrived, .. } => self.arrived = Some(arrived.clone()),
            Happening::Tick { tick, of, after_ms, samples, judgements, .. } => {
                if self.tripped.is_none()
                    && let Some(tripped) = judgements.iter().find(|judgement| judgement.trips())
                {
                    let of_it = samples.iter().filter(|sample| sample.metric == tripped.metric);
                    self.tripped_queries = of_it.map(|sample| sample.query.clone()).collect();
                    self.tripped_queries.dedup();
                    self.tripped = Some(tripped.clone());
                }
                let beside = judgements.iter().map(|judgement| beside(judgement, samples)).collect();
                let served = served(samples);
                let (at, judgements) = (event.at, judgements.clone());
                let tick = Tick { at, tick: *tick, of: *of, after_ms: *after_ms, judgements, beside, served };
                self.watch.ticks.push(Arc::new(tick));
                self.samples.clone_from(samples);
            }
            Happening::TakingBack { failure, steps } => {
                self.taken_back = Some(failure.clone());
                self.steps.extend(vec![Step::Waiting; steps.len()]);
                self.begun.extend(vec![None; steps.len()]);
                if let Some(plan) = &mut self.plan {
                    plan.steps.extend(steps.iter().cloned());
                }
            }
            Happening::TrafficSafe { after_ms } => self.safe_after_ms = Some(*after_ms),
            Happening::WatchStarted { step, rules, .. } => {
                let next = self.watch_of(*step, rules, event.at);
                let over = std::mem::replace(&mut self.watch, next);
                if !over.ticks.is_empty() {
                    self.earlier.push(Arc::new(over));
                }
            }
            Happening::WatchExtended { lacking, .. } => {
                self.warnings.push(format!("{}: extended, there was too little to judge by: {}", self.watch.title, lacking.join("; ")));
            }
            Happening::Drained { from, after_ms, left, .. } => {
                self.drained.retain(|drained| drained.from != *from);
                self.drained.push(Drained { from: from.clone(), after_ms: *after_ms, left: *left });
            }
            Happening::Claimed { .. } => {}
            Happening::Diagnosed { diagnosis } => self.diagnosis = Some((**diagnosis).clone()),
            Happening::Warned { text } => self.warnings.push(text.clone()),
            Happening::ReportFailed { report, why } => self.warnings.push(format!("{report} was not told: {why}")),
            Happening::Finished { outcome, exit, failure, duration_ms, url } => {
                let (failure, url) = (failure.clone(), url.clone());
                self.end = Some(End { outcome: *outcome, exit: *exit, failure, duration_ms: *duration_ms, url });
            }
        }
    }

    /// The watch that begins with a step.
    fn watch_of(&self, step: usize, rules: &[Rule], at: jiff::Timestamp) -> Watched {
        let planned = self.plan.as_ref().and_then(|plan| plan.steps.get(step));
        let title = planned.map_or_else(String::new, ToString::to_string);
        let of = |title, share, judged| Watched {
            title,
            step,
            began: Some(at),
            share,
            judged,
            rules: rules.to_vec(),
            ticks: Vec::new(),
            decision: Decision::Open,
        };
        let judged = if step < self.planned { Judged::New } else { Judged::Before };
        match (planned, &self.watch.decision) {
            // The same step goes on watching at the share that it was taken back to.
            (Some(_), Decision::SteppedBack { to, .. }) if self.watch.step == step => {
                of(format!("{title}, taken back to {to}"), Some(*to), judged)
            }
            (Some(plan::Step::Phase { share, .. }), _) => of(title, Some(*share), judged),
            (Some(plan::Step::CheckBaseline { .. }), _) => of(title, None, Judged::Before),
            (Some(_) | None, _) => of(title, None, judged),
        }
    }

    /// Notes what was decided at the end of the watch, if it is that of `step`.
    fn decide(&mut self, step: usize, decision: Decision) {
        if self.watch.step == step && self.watch.decision == Decision::Open && self.watch.began.is_some() {
            self.watch.decision = decision;
        }
    }

    /// The watches, those that are over and the one that runs, in order; each has a tick at least.
    pub fn watches(&self) -> impl Iterator<Item = &Watched> {
        let last = Some(&self.watch).filter(|watch| !watch.ticks.is_empty());
        self.earlier.iter().map(Arc::as_ref).chain(last)
    }

    fn set(&mut self, index: usize, step: Step) {
        if let Some(place) = self.steps.get_mut(index) {
            *place = step;
        }
    }

    /// The good probe that ended the health gate.
    #[must_use]
    pub fn healthy_probe(&self) -> Option<&Probe> {
        self.probes.last().filter(|probe| probe.result.is_good())
    }

    /// Whether it has ended otherwise than as it was meant to: what was seen of the new version on the way says little then.
    #[must_use]
    pub fn has_ended_badly(&self) -> bool {
        self.end.as_ref().is_some_and(|end| end.failure.is_some())
    }

    /// The version that an instance runs: the plan's own runs the one that it is about, any other the one before, also when
    /// people are back on it.
    #[must_use]
    pub fn runs(&self, instance: &InstanceName) -> Option<&Version> {
        let plan = self.plan.as_ref()?;
        if plan.subject == *instance { self.version() } else { plan.previous.as_ref() }
    }

    /// What it is for, as the plan says or, before there is one, as was asked; a deployment until that is known.
    #[must_use]
    pub fn aim(&self) -> Aim {
        let planned = self.plan.as_ref().map(|plan| plan.aim);
        planned.or_else(|| self.rollout.as_ref().map(|rollout| rollout.aim)).unwrap_or(Aim::Deploy)
    }

    /// The version that it is about: asked for or, in a rollback, gone back to.
    #[must_use]
    pub fn version(&self) -> Option<&Version> {
        self.rollout.as_ref().and_then(|rollout| rollout.version.as_ref()).or_else(|| self.image.as_ref().map(|image| &image.version))
    }

    /// Whether anybody was sent to another place than before.
    #[must_use]
    pub const fn has_moved_people(&self) -> bool {
        !self.switches.is_empty() || !self.shares.is_empty()
    }

    /// Whether it was a rollback that a person asked for, and it has done what it was asked for.
    #[must_use]
    pub fn has_rolled_back(&self) -> bool {
        let is_asked = self.rollout.as_ref().is_some_and(|rollout| rollout.aim == Aim::RollBack);
        is_asked && self.end.as_ref().is_some_and(|end| end.outcome == Outcome::RolledBack && end.failure.is_none())
    }

    /// The switch that stands: the last one.
    #[must_use]
    pub fn current(&self) -> Option<&Switched> {
        self.switches.last()
    }

    /// The commit that it is about, where known.
    #[must_use]
    pub fn sha(&self) -> Option<&str> {
        let asked = self.rollout.as_ref().and_then(|rollout| rollout.sha.as_deref());
        asked.or_else(|| self.plan.as_ref().and_then(|plan| plan.sha.as_deref()))
    }

    /// The version in words, also where it is not known (yet).
    #[must_use]
    pub fn version_words(&self) -> &str {
        self.version().map_or("the version before", Version::as_str)
    }

    /// The rows of the checklist that somebody has overridden, each in a sentence: who, in which role, which row, why.
    #[must_use]
    pub fn overridden(&self) -> Vec<String> {
        self.checklist.iter().flat_map(|checklist| super::preflight::overridden(checklist)).collect()
    }

    /// Whether anything was asked to change: without it, the world is as it was.
    #[must_use]
    pub fn is_showing_only(&self) -> bool {
        self.steps.iter().all(|step| *step == Step::Waiting)
    }
}

/// The value of what a rule compares with, in the rule's unit, where it was read.
fn beside(judgement: &Judgement, samples: &[Sample]) -> Option<Quantity> {
    let found = samples.iter().find(|sample| sample.metric == judgement.metric && sample.subject == Subject::Baseline)?;
    let Reading::Value { value, .. } = found.reading else { return None };
    let unit = judgement.value.map(|value| value.unit).or_else(|| MetricKind::of(&judgement.metric).unit()).unwrap_or(Unit::Plain);
    Some(Quantity { value, unit })
}

/// What the judged version served since the watch began, where it was counted.
fn served(samples: &[Sample]) -> Option<Counts> {
    let is_it = |sample: &&Sample| sample.metric.as_str() == "error-rate" && sample.subject == Subject::New;
    match samples.iter().find(is_it)?.reading {
        Reading::Value { basis: Basis::Counts { total, .. }, .. } => Some(total),
        Reading::Value { basis: Basis::Plain | Basis::Requests { .. }, .. }
        | Reading::NoData { .. }
        | Reading::Failed { .. }
        | Reading::Stale { .. } => None,
    }
}

/// "420 ms", "42 s", "4 min 12 s", "1 h 5 min".
#[must_use]
pub fn duration(milliseconds: u64) -> String {
    let seconds = (milliseconds + 500) / 1000;
    match seconds {
        _ if milliseconds < 1000 => format!("{milliseconds} ms"),
        _ if milliseconds < 10_000 => format!("{}.{} s", milliseconds / 1000, milliseconds % 1000 / 100),
        0..60 => format!("{seconds} s"),
        60..3600 if seconds.is_multiple_of(60) => format!("{} min", seconds / 60),
        60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        _ => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
    }
}

/// "200 OK", "503 Service Unavailable", "connection refused".
#[must_use]
pub fn answer(result: &HttpResult) -> String {
    match (result.status, &result.error) {
        (Some(status), _) => {
            let reason = reqwest::StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason()).unwrap_or_default();
            format!("{status} {reason}").trim_end().to_owned()
        }
        (None, Some(error)) => error.clone(),
        (None, None) => "no answer".into(),
    }
}

/// How an environment is called at the beginning of a sentence: "Dev", "Staging", "Production".
#[must_use]
pub fn title(environment: &str) -> String {
    match environment {
        "prod" => "Production".into(),
        name => {
            let mut letters = name.chars();
            letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
        }
    }
}

/// The one line that says how it stands: "✅ Dev deployment complete".
#[must_use]
pub fn headline(story: &Story) -> String {
    let environment = story.rollout.as_ref().map_or_else(String::new, |rollout| title(rollout.environment.as_str()));
    let what = match story.aim() {
        Aim::Deploy | Aim::Finish => "deployment",
        Aim::RollBack => "rollback",
        Aim::Promote => "promotion",
        Aim::MakeSafe => "clean-up",
    };
    let Some(end) = &story.end else { return format!("🚀 {environment} {what} running") };
    match (end.outcome, story.aim()) {
        (Outcome::Unchanged, Aim::Deploy) if story.plan.is_none() && story.checklist.is_some() => {
            format!("✅ {environment} checklist passed: {} may be released", story.version_words())
        }
        (Outcome::Healthy, Aim::Deploy) => match story.rollout.as_ref().map(|rollout| rollout.strategy) {
            Some(Strategy::BlueGreen) => format!("✅ {environment} deployment complete (Blue-Green)"),
            // The runbook's own words (Final Notification).
            Some(Strategy::Canary) => format!("🎉 {} DEPLOYMENT COMPLETE", environment.to_uppercase()),
            Some(Strategy::Direct) | None => format!("✅ {environment} deployment complete"),
        },
        (Outcome::Healthy, Aim::Finish) => format!("✅ {environment} deployment finished: {} is stable", story.version_words()),
        (Outcome::Healthy, Aim::RollBack | Aim::Promote | Aim::MakeSafe) => format!("✅ {environment} {what} complete"),
        (Outcome::Unchanged, _) if story.is_showing_only() && story.probes.is_empty() && story.planned > 0 => {
            format!("📋 Plan for {environment}: nothing was changed")
        }
        (Outcome::Unchanged, Aim::Deploy) => format!("✅ {environment} unchanged: it already runs this version"),
        (Outcome::Unchanged, Aim::RollBack | Aim::Promote | Aim::Finish) => {
            format!("✅ {environment} unchanged: there was nothing to do")
        }
        (Outcome::Unchanged, Aim::MakeSafe) => format!("🛟 {environment} is safe: nothing of the interrupted run is left"),
        (Outcome::RolledBack, Aim::RollBack) => format!("↩️ {environment} rolled back to {}", story.version_words()),
        (Outcome::RolledBack, Aim::MakeSafe) => format!("🛟 {environment} made safe: {} serves", story.version_words()),
        (Outcome::RolledBack, Aim::Deploy | Aim::Promote | Aim::Finish) => format!("↩️ {environment} deployment rolled back"),
        (Outcome::Held, _) => format!("⏸️ {environment} {what} held: a person must decide"),
        (Outcome::Failed, _) => format!("❌ {environment} {what} failed"),
        (Outcome::Refused, _) => format!("⛔ {environment} {what} refused: nothing was touched"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_like_a_clock() {
        let cases = [
            (0, "0 ms"),
            (420, "420 ms"),
            (1000, "1.0 s"),
            (9940, "9.9 s"),
            (42_000, "42 s"),
            (252_000, "4 min 12 s"),
            (300_000, "5 min"),
            (3_900_000, "1 h 5 min"),
        ];
        for (milliseconds, text) in cases {
            assert_eq!(duration(milliseconds), text);
        }
    }
}
