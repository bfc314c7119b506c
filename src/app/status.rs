//! `status`: what runs where, whom people are sent to, what waits for a person, and which run is at work. Reads only.
//! Looking is one thing, showing another: what was found is plain data.

use serde_json::{Value, json};

use super::{Session, wiring};
use crate::{
    azure::{container_groups, traffic_manager},
    cli::Format,
    config::{Config, Environment},
    domain::{EnvironmentName, ExitStatus, Share, Slot, Strategy, shares},
    failure::Failure,
    github::{
        lock::{self, LockInfo, Reading},
        runs::{self, RunState},
    },
    observe::{Endpoint, EndpointState, Instance, Profile},
    plan::blue_green,
    report::terminal,
    runner::log_safe,
};

/// What was found of one environment.
struct Found<'a> {
    environment: &'a Environment,
    instances: Vec<Instance>,
    profile: Option<Profile>,
    lock: Lock,
}

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
            if let Some(blue_green) = &environment.blue_green {
                profile = traffic_manager::get(&azure, group, &blue_green.profile.name).await?;
            }
        }
        let lock = match environment.strategy {
            Strategy::Direct => Lock::Needless,
            Strategy::BlueGreen | Strategy::Canary => look(session, environment).await,
        };
        found.push(Found { environment, instances, profile, lock });
    }
    let text = match session.inputs.format {
        Format::Text => found.iter().flat_map(Found::lines).collect::<Vec<_>>().join("\n"),
        Format::Json => serde_json::to_string_pretty(&found.iter().map(Found::json).collect::<Vec<_>>()).unwrap_or_default(),
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

/// What is to be thought of the version in a slot.
enum Standing<'a> {
    /// It has passed everything, or somebody else made it.
    Trusted,
    /// It has still to prove itself.
    Unproven,
    /// A person must decide.
    Held(&'a str),
}

impl Found<'_> {
    /// The slot of an instance, where it is in one.
    fn slot(&self, instance: &Instance) -> Option<Slot> {
        let blue_green = self.environment.blue_green.as_ref()?;
        Slot::BOTH.into_iter().find(|slot| blue_green.slot(*slot).instance == instance.name)
    }

    /// The slot of an endpoint, where it is of one.
    fn slot_of(&self, endpoint: &Endpoint) -> Option<Slot> {
        let blue_green = self.environment.blue_green.as_ref()?;
        Slot::BOTH.into_iter().find(|slot| blue_green.slot(*slot).endpoint.eq_ignore_ascii_case(&endpoint.name))
    }

    /// Every endpoint with the share of people that it is meant to get.
    fn shares(&self) -> Vec<(&Endpoint, Share)> {
        let endpoints = self.profile.as_ref().map_or(&[][..], |profile| &profile.endpoints);
        let weights: Vec<_> = endpoints
            .iter()
            .map(|endpoint| match endpoint.state {
                EndpointState::Enabled => Some(endpoint.weight),
                EndpointState::Disabled => None,
            })
            .collect();
        endpoints.iter().zip(shares(&weights)).collect()
    }

    fn lines(&self) -> Vec<String> {
        let environment = self.environment;
        let mut lines = vec![format!("{} ({}, {})", environment.name, environment.strategy.as_str(), environment.resource_group)];
        if let Some(blue_green) = &environment.blue_green {
            lines.push(match &self.profile {
                Some(profile) => format!("  {}", terminal::profile_line(profile)),
                None => format!("  {}: there is no such profile", blue_green.profile.name),
            });
            let to = |(endpoint, share): &(&Endpoint, Share)| {
                let slot = self.slot_of(endpoint).map_or("no slot", Slot::as_str);
                (*share != Share::ZERO).then(|| format!("{slot} {share}"))
            };
            let live: Vec<String> = self.shares().iter().filter_map(to).collect();
            lines.push(format!("  live: {}", if live.is_empty() { "nobody is sent anywhere".to_owned() } else { live.join(", ") }));
        }
        if self.instances.is_empty() {
            lines.push("  nothing runs here".to_owned());
        }
        for instance in &self.instances {
            lines.push(format!("  {}", terminal::instance_line(instance)));
            if let Some(slot) = self.slot(instance) {
                let since = instance.tags.stable_since.map_or_else(|| "trusted".to_owned(), |since| format!("stable since {since}"));
                lines.push(match standing(instance) {
                    Standing::Trusted => format!("    {slot}: {since}"),
                    Standing::Unproven => format!("    {slot}: has not proved itself yet"),
                    Standing::Held(why) => format!("    {slot}: held, a person must decide (promote or rollback): {why}"),
                });
            }
            if let Some(run) = &instance.tags.run {
                lines.push(format!("    deployed by {run}"));
            }
        }
        lines.extend(self.lock.line().map(|line| format!("  {line}")));
        lines
    }

    fn json(&self) -> Value {
        let environment = self.environment;
        let instance = |instance: &Instance| {
            let slot = self.slot(instance);
            let standing = slot.map(|_| match standing(instance) {
                Standing::Trusted => "stable",
                Standing::Unproven => "unproven",
                Standing::Held(_) => "held",
            });
            json!({
                "name": instance.name, "provisioning": instance.provisioning, "state": instance.state, "ip": instance.ip,
                "fqdn": instance.fqdn, "container": instance.container, "tags": instance.tags, "slot": slot, "standing": standing,
            })
        };
        let endpoint = |(endpoint, share): (&Endpoint, Share)| {
            json!({
                "name": endpoint.name, "slot": self.slot_of(endpoint), "target": endpoint.target, "state": endpoint.state,
                "weight": endpoint.weight, "share": share, "monitor": endpoint.monitor,
            })
        };
        let profile = self.profile.as_ref().map(|profile| {
            json!({
                "name": profile.name, "fqdn": profile.fqdn, "status": profile.status, "ttl_seconds": profile.ttl_seconds,
                "endpoints": self.shares().into_iter().map(endpoint).collect::<Vec<_>>(), "tags": profile.tags,
            })
        });
        let live: Vec<Slot> = self
            .shares()
            .into_iter()
            .filter(|(_, share)| *share != Share::ZERO)
            .filter_map(|(endpoint, _)| self.slot_of(endpoint))
            .collect();
        json!({
            "environment": environment.name, "strategy": environment.strategy,
            "instances": self.instances.iter().map(instance).collect::<Vec<_>>(), "profile": profile, "live": live, "lock": self.lock.json(),
        })
    }
}

fn standing(instance: &Instance) -> Standing<'_> {
    match (&instance.tags.held, blue_green::is_unproven(instance)) {
        (_, false) => Standing::Trusted,
        (None, true) => Standing::Unproven,
        (Some(why), true) => Standing::Held(why),
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
