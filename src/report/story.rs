//! A rollout's events folded into what every display shows. Pure: many displays, one story.

use crate::{
    domain::{ExitStatus, ImageReference, Outcome},
    execute::{Diagnosis, Event, Happening, HttpResult, Rollout, StepEnd},
    failure::Failure,
    observe::Instance,
    plan::Plan,
};

/// What has happened so far.
#[derive(Debug, Clone, Default)]
pub struct Story {
    /// Whose rollout.
    pub rollout: Option<Rollout>,
    /// The image, once resolved.
    pub image: Option<ImageReference>,
    /// The plan, once made.
    pub plan: Option<Plan>,
    /// How each step of the plan is doing.
    pub steps: Vec<Step>,
    /// The instance as last seen.
    pub instance: Option<Instance>,
    /// Health probes, in order.
    pub probes: Vec<Probe>,
    /// Smoke tests, in order.
    pub smoke: Vec<Smoke>,
    /// Repeated requests, in words.
    pub retries: Vec<String>,
    /// What a reader should know.
    pub warnings: Vec<String>,
    /// What was found out after a failure.
    pub diagnosis: Option<Diagnosis>,
    /// The end.
    pub end: Option<End>,
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
            Happening::Requested { rollout } => self.rollout = Some(rollout.clone()),
            Happening::Planned { image, observed, plan } => {
                self.image = Some(image.clone());
                self.instance = observed.instances.first().cloned();
                self.steps = vec![Step::Waiting; plan.steps.len()];
                self.plan = Some(plan.clone());
            }
            Happening::StepStarted { step } => self.set(*step, Step::Running),
            Happening::InstanceState { instance, .. } => self.instance = Some((**instance).clone()),
            Happening::Retrying { what, why, after_ms } => {
                self.retries.push(format!("{what}: {why}; repeated after {}", duration(*after_ms)));
            }
            Happening::Probe { attempt, of, url, result, .. } => {
                self.probes.push(Probe { attempt: *attempt, of: *of, url: url.clone(), result: result.clone() });
            }
            Happening::Smoke { path, url, result, .. } => {
                self.smoke.push(Smoke { path: path.clone(), url: url.clone(), result: result.clone() });
            }
            Happening::StepFinished { step, end: StepEnd::Done, duration_ms } => self.set(*step, Step::Done { duration_ms: *duration_ms }),
            Happening::StepFinished { step, end: StepEnd::Failed { .. }, duration_ms } => {
                self.set(*step, Step::Failed { duration_ms: *duration_ms });
            }
            Happening::Diagnosed { diagnosis } => self.diagnosis = Some((**diagnosis).clone()),
            Happening::Warned { text } => self.warnings.push(text.clone()),
            Happening::ReportFailed { report, why } => self.warnings.push(format!("{report} was not told: {why}")),
            Happening::Finished { outcome, exit, failure, duration_ms, url } => {
                let (failure, url) = (failure.clone(), url.clone());
                self.end = Some(End { outcome: *outcome, exit: *exit, failure, duration_ms: *duration_ms, url });
            }
        }
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

    /// Whether anything was asked to change: without it, the world is as it was.
    #[must_use]
    pub fn is_showing_only(&self) -> bool {
        self.steps.iter().all(|step| *step == Step::Waiting)
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
    match story.end.as_ref().map(|end| end.outcome) {
        None => format!("🚀 {environment} deployment running"),
        Some(Outcome::Healthy) => format!("✅ {environment} deployment complete"),
        Some(Outcome::Unchanged) if story.is_showing_only() && story.probes.is_empty() => {
            format!("📋 Plan for {environment}: nothing was changed")
        }
        Some(Outcome::Unchanged) => format!("✅ {environment} unchanged: it already runs this version"),
        Some(Outcome::RolledBack) => format!("↩️ {environment} rolled back"),
        Some(Outcome::Held) => format!("⏸️ {environment} deployment held: a person must decide"),
        Some(Outcome::Failed) => format!("❌ {environment} deployment failed"),
        Some(Outcome::Refused) => format!("⛔ {environment} deployment refused: nothing was touched"),
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
