//! Each step, carried out. A step either is done or fails with what a person needs to know; it decides nothing else.

use std::{collections::HashSet, ops::ControlFlow};

use tokio::time::{Instant, MissedTickBehavior};
use url::Url;

use super::{Emitter, Execution, Happening, HttpResult};
use crate::{
    azure::container_groups::{self, Followed},
    config::Environment,
    domain::ImageReference,
    failure::{Failure, FailureKind},
    gate::{self, Symptom},
    observe::{AzureEvent, Instance},
    plan::Step,
};

/// How often a smoke test that got no answer at all is tried: a name that moved to a new address is answered from caches
/// for a moment. An answer, whatever it is, counts at once.
const SMOKE_TRIES: u32 = 3;

/// How a person finds the environment's instance.
pub(super) fn resource(environment: &Environment) -> String {
    format!("container group {}/{}", environment.resource_group, environment.instance)
}

/// Carries out `step`, the `index`th of the plan.
pub(super) async fn perform(
    index: usize,
    step: &Step,
    image: &ImageReference,
    watcher: &mut Watcher,
    execution: &Execution<'_>,
) -> Result<(), Failure> {
    let group = execution.environment.resource_group.as_str();
    match step {
        Step::CreateInstance { .. } | Step::UpdateInstance { .. } => put(index, watcher, execution).await,
        Step::DeleteInstance { instance, .. } => {
            container_groups::delete(execution.azure, group, instance).await.map_err(|error| during(error.into()))
        }
        Step::KeepInstance { .. } => Ok(()),
        Step::AwaitHealth { path, .. } => await_health(index, path, image, watcher, execution).await,
        Step::Smoke { url, paths } => smoke(index, url.as_deref(), paths, execution).await,
    }
}

/// What Azure's failures mean once the rollout is under way.
fn during(failure: Failure) -> Failure {
    if failure.consequence.is_empty() { failure.meaning("the rollout stopped here; what was done before stays as it is") } else { failure }
}

/// Remembers what was told of the instance, so that only changes are told, with the events that are new.
#[derive(Default)]
pub(super) struct Watcher {
    seen: HashSet<(String, String, u32)>,
    last: Option<Shown>,
}

/// What of an instance is worth telling again when it changes.
#[derive(PartialEq)]
struct Shown(crate::observe::Provisioning, String, Option<crate::observe::ContainerState>, Option<String>);

impl Watcher {
    /// Looks at the instance in the `index`th step: tells what is new, and gives what is clearly wrong.
    fn look(&mut self, index: usize, instance: &Instance, emitter: &Emitter) -> Option<Symptom> {
        let key = |event: &AzureEvent| (event.name.clone(), event.message.clone(), event.count);
        let fresh: Vec<AzureEvent> = instance.events.iter().filter(|event| self.seen.insert(key(event))).cloned().collect();
        let shown = Shown(instance.provisioning.clone(), instance.state.clone(), instance.container.clone(), instance.ip.clone());
        if !fresh.is_empty() || self.last.as_ref() != Some(&shown) {
            self.last = Some(shown);
            emitter.emit(Happening::InstanceState { step: index, instance: Box::new(instance.clone()), fresh });
        }
        gate::symptom(instance)
    }
}

async fn put(index: usize, watcher: &mut Watcher, execution: &Execution<'_>) -> Result<(), Failure> {
    let environment = execution.environment;
    let mut found = None;
    let mut on_state = |instance: &Instance| match watcher.look(index, instance, execution.emitter) {
        Some(symptom) => {
            found = Some(symptom);
            ControlFlow::Break(())
        }
        None => ControlFlow::Continue(()),
    };
    let followed =
        container_groups::put(execution.azure, &environment.resource_group, &environment.instance, execution.body, &mut on_state)
            .await
            .map_err(|error| during(error.into()))?;
    match followed {
        Followed::Succeeded(instance) => match gate::symptom(&instance) {
            Some(symptom) => Err(unwell(&symptom, environment)),
            None => Ok(()),
        },
        Followed::Failed(instance) => {
            let symptom = gate::symptom(&instance).unwrap_or(Symptom::Failed { state: instance.state });
            Err(unwell(&symptom, environment))
        }
        Followed::Stopped(instance) => {
            let symptom = found.or_else(|| gate::symptom(&instance)).unwrap_or(Symptom::Failed { state: instance.state });
            Err(unwell(&symptom, environment))
        }
    }
}

/// The failure that a symptom is.
fn unwell(symptom: &Symptom, environment: &Environment) -> Failure {
    let (name, memory) = (&environment.instance, environment.container.memory);
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
    Failure::new(kind, what, resource(environment)).meaning(format!("{} does not run the new version", environment.name))
}

fn exit(code: Option<i32>) -> String {
    code.map_or_else(|| "exit code unknown".to_owned(), |code| format!("last exit code {code}"))
}

/// Probes `path` until it answers 2xx: at most `retries` probes, on a fixed cadence of `every`, each within `timeout`
/// (runbook Scenario 2, Step 4: "30 retries × 10 seconds"). The instance is looked at beside each probe, because one
/// that keeps crashing need not be waited for.
async fn await_health(
    index: usize,
    path: &str,
    image: &ImageReference,
    watcher: &mut Watcher,
    execution: &Execution<'_>,
) -> Result<(), Failure> {
    let environment = execution.environment;
    let health = environment.health;
    let mut ticks = tokio::time::interval_at(Instant::now(), health.every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut last = HttpResult { status: None, error: Some("no probe was sent".into()), latency_ms: 0, excerpt: String::new() };
    for attempt in 1..=health.retries {
        ticks.tick().await;
        let instance = container_groups::get(execution.azure, &environment.resource_group, &environment.instance)
            .await
            .map_err(|error| during(error.into()))?;
        let Some(instance) = instance else {
            return Err(vanished(environment));
        };
        if let Some(symptom) = watcher.look(index, &instance, execution.emitter) {
            return Err(unwell(&symptom, environment));
        }
        if instance.tags.digest.as_ref().is_some_and(|digest| *digest != image.digest) {
            return Err(superseded(&instance, image, environment));
        }
        let (url, result) = probe(&instance, path, execution).await;
        let good = result.is_good();
        execution.emitter.emit(Happening::Probe { step: index, attempt, of: health.retries, url, result: result.clone() });
        if good {
            return Ok(());
        }
        last = result;
    }
    let (name, every) = (&environment.instance, health.every.as_secs_f64());
    let what = format!("{name} did not become healthy: {} probes of {path}, {every} s apart; the last: {}", health.retries, said(&last));
    Err(Failure::new(FailureKind::Health, what, resource(environment))
        .meaning(format!("the new version runs in {} but does not serve", environment.name)))
}

async fn probe(instance: &Instance, path: &str, execution: &Execution<'_>) -> (String, HttpResult) {
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

fn said(result: &HttpResult) -> String {
    match (result.status, &result.error) {
        (Some(status), _) if result.excerpt.is_empty() => format!("HTTP {status}"),
        (Some(status), _) => format!("HTTP {status}, {}", result.excerpt),
        (None, Some(error)) => error.clone(),
        (None, None) => "nothing".into(),
    }
}

/// Somebody else deployed meanwhile: what answers now is not what this run was asked to judge.
fn superseded(instance: &Instance, image: &ImageReference, environment: &Environment) -> Failure {
    let other = instance.tags.version.as_ref().map_or("another version", |version| version.as_str());
    let by = instance.tags.run.as_deref().map_or_else(String::new, |run| format!(" by {run}"));
    let what = format!("{} was changed to {other}{by} while this run was checking {}", environment.instance, image.version);
    Failure::new(FailureKind::Superseded, what, resource(environment))
        .meaning(format!("{} was replaced before it could be judged; the other run says how {other} does", image.version))
        .next("look at the other run; deploy again only if this version is the one you want")
}

fn vanished(environment: &Environment) -> Failure {
    Failure::new(
        FailureKind::Start,
        format!("{} is gone: somebody deleted it during this run", environment.instance),
        resource(environment),
    )
    .meaning(format!("{} runs nothing now", environment.name))
    .next("find out who deleted it (Azure's activity log), then run the workflow again")
}

/// Asks every path; all must answer 2xx. All are asked even when one fails: a person wants the whole picture.
async fn smoke(index: usize, url: Option<&str>, paths: &[String], execution: &Execution<'_>) -> Result<(), Failure> {
    let environment = execution.environment;
    let base = base(url, execution).await?;
    let mut failed = Vec::new();
    for path in paths {
        let Ok(target) = base.join(path.trim_start_matches('/')) else {
            failed.push(format!("{path}: no address can be made of it"));
            continue;
        };
        let mut result = gate::get(execution.http, &target, environment.health.timeout).await;
        for _ in 1..SMOKE_TRIES {
            if result.status.is_some() {
                break;
            }
            execution.emitter.emit(Happening::Retrying {
                what: format!("smoke test {path}"),
                why: said(&result),
                after_ms: super::millis(environment.health.every),
            });
            tokio::time::sleep(environment.health.every).await;
            result = gate::get(execution.http, &target, environment.health.timeout).await;
        }
        if !result.is_good() {
            failed.push(format!("{path}: {}", said(&result)));
        }
        execution.emitter.emit(Happening::Smoke { step: index, path: path.clone(), url: target.to_string(), result });
    }
    if failed.is_empty() {
        return Ok(());
    }
    let what = format!("{} of {} smoke tests failed: {}", failed.len(), paths.len(), failed.join("; "));
    Err(Failure::new(FailureKind::Smoke, what, base.to_string())
        .meaning(format!("the new version runs in {} and is healthy, but does not do its work", environment.name)))
}

/// Where smoke tests go: the configured address or, without one, the instance's own.
async fn base(url: Option<&str>, execution: &Execution<'_>) -> Result<Url, Failure> {
    let environment = execution.environment;
    let unusable = |text: String| Failure::new(FailureKind::Smoke, text, resource(environment));
    let mut base = match url {
        Some(url) => Url::parse(url).map_err(|error| unusable(format!("`{url}` is no address: {error}")))?,
        None => {
            let found = container_groups::get(execution.azure, &environment.resource_group, &environment.instance).await;
            let instance = found.map_err(|error| during(error.into()))?.ok_or_else(|| vanished(environment))?;
            let ip = instance.ip.ok_or_else(|| unusable(format!("{} has no address", environment.instance)))?;
            gate::address(&ip, environment.container.port, "/").map_err(|error| unusable(format!("`{ip}` is no address: {error}")))?
        }
    };
    // A base without a final slash would lose its last part when a path is joined to it.
    if !base.path().ends_with('/') {
        let path = format!("{}/", base.path());
        base.set_path(&path);
    }
    Ok(base)
}
