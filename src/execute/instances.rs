//! Steps on one instance: written, waited for, deleted, marked. A step either is done or fails with what a person needs to
//! know; it decides nothing else.

use std::{collections::BTreeMap, collections::HashSet, ops::ControlFlow};

use jiff::Timestamp;
use tokio::time::{Instant, MissedTickBehavior};

use super::{Emitter, Execution, Happening, HttpResult, smoke, traffic};
use crate::{
    azure::container_groups::{self, Followed},
    config::Environment,
    domain::{InstanceName, Role},
    failure::{Failure, FailureKind},
    gate::{self, Symptom},
    observe::{AzureEvent, Instance},
    plan::Step,
};

/// How a person finds an instance.
pub(super) fn resource(environment: &Environment, instance: &InstanceName) -> String {
    format!("container group {}/{instance}", environment.resource_group)
}

/// What Azure's failures mean once the rollout is under way.
pub(super) fn during(failure: Failure) -> Failure {
    if failure.consequence.is_empty() { failure.meaning("the rollout stopped here; what was done before stays as it is") } else { failure }
}

/// Remembers what was told of the instance, so that only changes are told, with the events that are new.
#[derive(Default)]
pub(super) struct Watcher {
    seen: HashSet<(InstanceName, String, String, u32)>,
    last: BTreeMap<InstanceName, Shown>,
}

/// What of an instance is worth telling again when it changes.
#[derive(PartialEq)]
struct Shown(crate::observe::Provisioning, String, Option<crate::observe::ContainerState>, Option<String>);

impl Watcher {
    /// Looks at the instance in the `index`th step: tells what is new, and gives what is clearly wrong.
    pub(super) fn look(&mut self, index: usize, instance: &Instance, emitter: &Emitter) -> Option<Symptom> {
        let key = |event: &AzureEvent| (instance.name.clone(), event.name.clone(), event.message.clone(), event.count);
        let fresh: Vec<AzureEvent> = instance.events.iter().filter(|event| self.seen.insert(key(event))).cloned().collect();
        let shown = Shown(instance.provisioning.clone(), instance.state.clone(), instance.container.clone(), instance.ip.clone());
        if !fresh.is_empty() || self.last.get(&instance.name) != Some(&shown) {
            self.last.insert(instance.name.clone(), shown);
            emitter.emit(Happening::InstanceState { step: index, instance: Box::new(instance.clone()), fresh });
        }
        gate::symptom(instance)
    }

    /// Takes over what another saw of other instances.
    pub(super) fn absorb(&mut self, other: Self) {
        self.seen.extend(other.seen);
        self.last.extend(other.last);
    }
}

/// Carries out a step on one instance. What is no such step is a defect of the plan.
pub(super) async fn perform(index: usize, step: &Step, watcher: &mut Watcher, execution: &Execution<'_>) -> Result<(), Failure> {
    match step {
        Step::CreateInstance { instance } | Step::UpdateInstance { instance, .. } => put(index, instance, watcher, execution).await,
        Step::DeleteInstance { instance, .. } => delete(instance, execution).await,
        Step::KeepInstance { .. } => Ok(()),
        Step::ContinueInstance { instance } => take_over(instance, execution).await,
        Step::AwaitHealth { instance, path, retries, .. } => await_health(index, instance, path, *retries, watcher, execution).await,
        Step::Smoke { target, paths } => smoke::smoke(index, target, paths, execution).await,
        Step::MarkPromoted { instance } => tag(instance, &[("promoted", Timestamp::now().to_string())], execution).await,
        Step::MarkStable { instance } => mark_stable(instance, execution).await,
        Step::CreateProfile { .. }
        | Step::Switch { .. }
        | Step::VerifyTraffic { .. }
        | Step::Drain { .. }
        | Step::Observe { .. }
        | Step::Shift { .. }
        | Step::VerifyShares { .. }
        | Step::DrainInstances { .. }
        | Step::CheckBaseline { .. }
        | Step::Phase { .. }
        | Step::FinalChecks { .. }
        | Step::Together { .. } => {
            Err(Failure::new(FailureKind::Internal, format!("this step is not one of a single instance: {step}"), "this run"))
        }
    }
}

/// Writes the instance as it is wanted, and follows Azure's operation to its end.
pub(super) async fn put(index: usize, name: &InstanceName, watcher: &mut Watcher, execution: &Execution<'_>) -> Result<(), Failure> {
    let environment = execution.environment;
    let Some(body) = execution.bodies.get(name) else {
        return Err(Failure::new(FailureKind::Internal, format!("nothing says what {name} should be"), resource(environment, name)));
    };
    let mut found = None;
    let mut on_state = |instance: &Instance| match watcher.look(index, instance, execution.emitter) {
        Some(symptom) => {
            found = Some(symptom);
            ControlFlow::Break(())
        }
        None => ControlFlow::Continue(()),
    };
    let followed = container_groups::put(execution.azure, &environment.resource_group, name, body, &mut on_state)
        .await
        .map_err(|error| during(error.into()))?;
    match followed {
        Followed::Succeeded(instance) => match gate::symptom(&instance) {
            Some(symptom) => Err(unwell(&symptom, name, environment)),
            None => Ok(()),
        },
        Followed::Failed(instance) => {
            let symptom = gate::symptom(&instance).unwrap_or(Symptom::Failed { state: instance.state });
            Err(unwell(&symptom, name, environment))
        }
        Followed::Stopped(instance) => {
            let symptom = found.or_else(|| gate::symptom(&instance)).unwrap_or(Symptom::Failed { state: instance.state });
            Err(unwell(&symptom, name, environment))
        }
    }
}

/// The failure that a symptom is.
pub(super) fn unwell(symptom: &Symptom, name: &InstanceName, environment: &Environment) -> Failure {
    let memory = environment.container.memory;
    let (kind, what) = match symptom {
        Symptom::OutOfMemory => {
            (FailureKind::OutOfMemory, format!("{name} ran out of memory: it was given {memory} GB (OOMKilled, exit code 137)"))
        }
        Symptom::CrashLoop { restarts, exit_code } => {
            (FailureKind::CrashLoop, format!("{name} keeps crashing: started again {restarts} times, {}", exit(*exit_code)))
        }
        Symptom::Ended { exit_code } => (FailureKind::Start, format!("{name} ended instead of serving: {}", exit(*exit_code))),
        Symptom::ImagePull { message } => (FailureKind::ImagePull, format!("{name} cannot pull its image: {message}")),
        Symptom::Failed { state } => (FailureKind::Start, format!("Azure gave up starting {name}: state {state}")),
    };
    Failure::new(kind, what, resource(environment, name)).meaning(format!("{} does not run the new version", environment.name))
}

fn exit(code: Option<i32>) -> String {
    code.map_or_else(|| "exit code unknown".to_owned(), |code| format!("last exit code {code}"))
}

/// Probes `path` until it answers 2xx: at most `retries` probes, on a fixed cadence of `every`, each within `timeout`
/// (runbook Scenario 2, Step 4: "30 retries × 10 seconds"). The instance is looked at beside each probe, because one
/// that keeps crashing need not be waited for.
pub(super) async fn await_health(
    index: usize,
    name: &InstanceName,
    path: &str,
    retries: u32,
    watcher: &mut Watcher,
    execution: &Execution<'_>,
) -> Result<(), Failure> {
    let environment = execution.environment;
    let health = environment.health;
    let mut ticks = tokio::time::interval_at(Instant::now(), health.every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut last = HttpResult { status: None, error: Some("no probe was sent".into()), latency_ms: 0, excerpt: String::new() };
    for attempt in 1..=retries {
        ticks.tick().await;
        let instance =
            container_groups::get(execution.azure, &environment.resource_group, name).await.map_err(|error| during(error.into()))?;
        let Some(instance) = instance else {
            return Err(vanished(name, environment));
        };
        if let Some(symptom) = watcher.look(index, &instance, execution.emitter) {
            return Err(unwell(&symptom, name, environment));
        }
        superseded(&instance, execution)?;
        let (url, result) = probe(&instance, path, execution).await;
        let good = result.is_good();
        execution.emitter.emit(Happening::Probe { step: index, attempt, of: retries, url, result: result.clone() });
        if good {
            return Ok(());
        }
        last = result;
    }
    let every = health.every.as_secs_f64();
    let what = format!("{name} did not become healthy: {retries} probes of {path}, {every} s apart; the last: {}", said(&last));
    Err(Failure::new(FailureKind::Health, what, resource(environment, name)).meaning(format!("{name} runs but does not serve")))
}

/// GETs `path` on the instance's own address; gives where that was, and what came.
pub(super) async fn probe(instance: &Instance, path: &str, execution: &Execution<'_>) -> (String, HttpResult) {
    let environment = execution.environment;
    let nowhere = |error: &str| HttpResult { status: None, error: Some(error.to_owned()), latency_ms: 0, excerpt: String::new() };
    let Some(ip) = &instance.ip else {
        return (path.to_owned(), nowhere("the instance has no address yet"));
    };
    match gate::address(ip, environment.container.port, path) {
        Ok(url) => {
            let result = gate::get(execution.http, &url, environment.health.timeout).await;
            (url.to_string(), result)
        }
        Err(_) => (path.to_owned(), nowhere(&format!("the instance's address is unusable: {ip}"))),
    }
}

/// What came, in a few words.
pub(super) fn said(result: &HttpResult) -> String {
    match (result.status, &result.error) {
        (Some(status), _) if result.excerpt.is_empty() => format!("HTTP {status}"),
        (Some(status), _) => format!("HTTP {status}, {}", result.excerpt),
        (None, Some(error)) => error.clone(),
        (None, None) => "nothing".into(),
    }
}

/// Somebody else deployed meanwhile: what answers now is not what this run was asked to judge.
pub(super) fn superseded(instance: &Instance, execution: &Execution<'_>) -> Result<(), Failure> {
    let Some(image) = &execution.plan.image else { return Ok(()) };
    if instance.name != execution.plan.subject || instance.tags.digest.as_ref().is_none_or(|digest| *digest == image.digest) {
        return Ok(());
    }
    let environment = execution.environment;
    let other = instance.tags.version.as_ref().map_or("another version", |version| version.as_str());
    let by = instance.tags.run.as_deref().map_or_else(String::new, |run| format!(" by {run}"));
    let what = format!("{} was changed to {other}{by} while this run was checking {}", instance.name, image.version);
    Err(Failure::new(FailureKind::Superseded, what, resource(environment, &instance.name))
        .meaning(format!("{} was replaced before it could be judged; the other run says how {other} does", image.version))
        .next("look at the other run; deploy again only if this version is the one you want"))
}

/// Somebody deleted it.
pub(super) fn vanished(name: &InstanceName, environment: &Environment) -> Failure {
    Failure::new(FailureKind::Start, format!("{name} is gone: somebody deleted it during this run"), resource(environment, name))
        .meaning(format!("{name} runs nothing now"))
        .next("find out who deleted it (Azure's activity log), then run the workflow again")
}

/// Deletes the instance, once it is certain that nobody is sent to it (invariant 2).
pub(super) async fn delete(name: &InstanceName, execution: &Execution<'_>) -> Result<(), Failure> {
    let environment = execution.environment;
    traffic::nobody_is_sent_to(name, execution).await?;
    container_groups::delete(execution.azure, &environment.resource_group, name).await.map_err(|error| during(error.into()))
}

/// Writes on the instance that its version has passed everything, when, and in which rollout: from here on it is what a rollback
/// goes back to, and an interrupted run knows by it that it came so far.
pub(super) async fn mark_stable(name: &InstanceName, execution: &Execution<'_>) -> Result<(), Failure> {
    let marks = [
        ("role", Role::Stable.as_str().to_owned()),
        ("stable-since", Timestamp::now().to_string()),
        ("rollout", execution.plan.rollout.to_string()),
    ];
    let run = execution.run_url.map(|run| ("run", run.to_owned()));
    tag(name, &marks.into_iter().chain(run).collect::<Vec<_>>(), execution).await
}

/// What an earlier run began is gone on with. That it was held is no longer so: a mark that stayed would keep this run, should it die,
/// from being made safe.
async fn take_over(name: &InstanceName, execution: &Execution<'_>) -> Result<(), Failure> {
    let group = &execution.environment.resource_group;
    let found = container_groups::get(execution.azure, group, name).await.map_err(|error| during(error.into()))?;
    match found {
        Some(instance) if instance.tags.held.is_some() => tag(name, &[("held", String::new())], execution).await,
        Some(_) | None => Ok(()),
    }
}

/// Lays the Action's tags `marks` (named without their prefix) over those that the instance has.
pub(super) async fn tag(name: &InstanceName, marks: &[(&str, String)], execution: &Execution<'_>) -> Result<(), Failure> {
    let marks: BTreeMap<String, String> =
        marks.iter().map(|(name, value)| (format!("{}{name}", crate::azure::TAG), value.clone())).collect();
    let environment = execution.environment;
    match container_groups::tag(execution.azure, &environment.resource_group, name, &marks).await.map_err(|error| during(error.into()))? {
        Some(_) => Ok(()),
        None => Err(vanished(name, environment)),
    }
}
