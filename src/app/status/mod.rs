//! `status`: what runs where, whom people are sent to, what waits for a person, and which run is at work. Reads only.
//! Looking is one thing, showing another: what was found is plain data.

mod found;
mod json;
mod summary;
mod text;

use serde_json::{Value, json};

use super::{Session, wiring};
use crate::{
    azure::{container_groups, traffic_manager},
    cli::Format,
    config::{Config, Environment},
    domain::{EnvironmentName, ExitStatus, Strategy},
    failure::Failure,
    github::{
        lock::{self, LockInfo, Reading},
        runs::{self, RunState},
    },
    observe::Observed,
    plan::canary::World,
    runner::{self, Place, log_safe},
};
use found::Found;
use jiff::Timestamp;

/// Who has the environment for themselves.
enum Lock {
    /// Runs of its strategy need none.
    Needless,
    /// Nobody could be asked: there is no token, or GitHub did not say.
    Unknown { why: String },
    /// Nobody has it.
    Free,
    /// This run has it, or had it when it died.
    Held { by: Box<LockInfo>, run: Run },
    /// A person put something else there.
    ByHand,
}

/// How the run that has a lock is doing.
#[derive(Clone, Copy)]
enum Run {
    /// It is at work.
    Underway,
    /// It is over, so the lock is as good as free.
    Over,
    /// GitHub does not say.
    Unknown,
}

pub(super) async fn status(session: &Session, config: &Config, only: Option<&EnvironmentName>) -> Result<ExitStatus, Failure> {
    let azure = wiring::azure(session, wiring::print_retries())?;
    let mut found = Vec::new();
    for environment in config.environments.values().filter(|environment| only.is_none_or(|name| *name == environment.name)) {
        let group = environment.resource_group.as_str();
        let (mut instances, mut profile) = (Vec::new(), None);
        if container_groups::resource_group_exists(&azure, group).await? == container_groups::Existence::Exists {
            for listed in container_groups::list(&azure, group).await? {
                // A list leaves the instance view out; a look at each has it.
                instances.extend(container_groups::get(&azure, group, &listed.name).await?);
            }
            if let Some(name) = environment.profile() {
                profile = traffic_manager::get(&azure, group, name).await?;
            }
        }
        let lock = match environment.strategy {
            Strategy::Direct => Lock::Needless,
            Strategy::BlueGreen | Strategy::Canary => look(session, environment).await,
        };
        let observed = Observed { instances, profile, at: Timestamp::now() };
        let left = match &environment.canary {
            Some(canary) => {
                let rollout = session.rollout_id(&environment.name)?;
                found::left(&World { rollout: &rollout, environment, canary, observed: &observed, repository: &config.image })
            }
            None => None,
        };
        found.push(Found { environment, observed, left, lock });
    }
    if let (Place::Actions, Some(path)) = (session.runner.place, &session.runner.summary)
        && let Err(error) = runner::write_summary(path, &session.inputs.masks.scrub(&summary::page(&found)))
    {
        eprintln!("warning: the job summary cannot be written: {error}");
    }
    let text = match session.inputs.format {
        Format::Text => found.iter().flat_map(text::lines).collect::<Vec<_>>().join("\n"),
        Format::Json => serde_json::to_string_pretty(&found.iter().map(json::value).collect::<Vec<_>>()).unwrap_or_default(),
    };
    println!("{}", session.inputs.masks.scrub(&log_safe(&text)));
    Ok(ExitStatus::Success)
}

/// Looks who has the environment. What runs where is worth showing also where GitHub does not say.
async fn look(session: &Session, environment: &Environment) -> Lock {
    let Some(client) = session.github() else { return Lock::Unknown { why: "there is no github-token".into() } };
    match lock::read(&client, &environment.name).await {
        Ok(Reading::Free) => Lock::Free,
        Ok(Reading::Unreadable) => Lock::ByHand,
        Ok(Reading::Held(by)) => {
            let state = match by.run {
                Some(run) => runs::get(&client, run).await.ok(),
                None => None,
            };
            let run = match state {
                // The attempt that took the lock is over when a later one runs.
                Some(RunState::Underway { attempt }) if attempt > by.attempt => Run::Over,
                Some(RunState::Underway { .. }) => Run::Underway,
                Some(RunState::Completed) => Run::Over,
                Some(RunState::Hidden) | None => Run::Unknown,
            };
            Lock::Held { by, run }
        }
        Err(error) => Lock::Unknown { why: error.to_string() },
    }
}

impl Lock {
    fn line(&self) -> Option<String> {
        Some(match self {
            Self::Needless => return None,
            Self::Unknown { why } => format!("at work: not known ({why})"),
            Self::Free => "at work: nobody".to_owned(),
            Self::Held { by, run: Run::Underway } => format!("at work: {}", by.words()),
            Self::Held { by, run: Run::Over } => format!("at work: nobody; a run that is over did not give the lock back: {}", by.words()),
            Self::Held { by, run: Run::Unknown } => format!("at work, as far as is known: {}", by.words()),
            Self::ByHand => "locked by hand: nothing is deployed here until somebody frees it".to_owned(),
        })
    }

    fn json(&self) -> Value {
        match self {
            Self::Needless => Value::Null,
            Self::Unknown { why } => json!({"state": "unknown", "why": why}),
            Self::Free => json!({"state": "free"}),
            Self::Held { by, run } => {
                let run = match run {
                    Run::Underway => "underway",
                    Run::Over => "over",
                    Run::Unknown => "unknown",
                };
                json!({"state": "held", "by": by, "run": run})
            }
            Self::ByHand => json!({"state": "by-hand"}),
        }
    }
}
