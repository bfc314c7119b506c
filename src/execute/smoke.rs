//! Smoke tests: each path asked once, all must answer 2xx (runbook Scenario 1, Step 4; Scenario 2, Step 7). Judges nothing else.

use url::Url;

use super::{
    Execution, Happening,
    instances::{during, resource, said, vanished},
};
use crate::{
    azure::container_groups,
    failure::{Failure, FailureKind},
    gate,
    plan::SmokeTarget,
};

/// How often a smoke test that got no answer at all is tried: a name that moved to a new address is answered from caches
/// for a moment. An answer, whatever it is, counts at once.
const SMOKE_TRIES: u32 = 3;

/// Asks every path; all must answer 2xx. All are asked even when one fails: a person wants the whole picture.
pub(super) async fn smoke(index: usize, target: &SmokeTarget, paths: &[String], execution: &Execution<'_>) -> Result<(), Failure> {
    let environment = execution.environment;
    let base = base(target, execution).await?;
    let mut failed = Vec::new();
    for path in paths {
        let Ok(address) = base.join(path.trim_start_matches('/')) else {
            failed.push(format!("{path}: no address can be made of it"));
            continue;
        };
        let mut result = gate::get(execution.http, &address, environment.health.timeout).await;
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
            result = gate::get(execution.http, &address, environment.health.timeout).await;
        }
        if !result.is_good() {
            failed.push(format!("{path}: {}", said(&result)));
        }
        execution.emitter.emit(Happening::Smoke { step: index, path: path.clone(), url: address.to_string(), result });
    }
    if failed.is_empty() {
        return Ok(());
    }
    let what = format!("{} of {} smoke tests failed: {}", failed.len(), paths.len(), failed.join("; "));
    Err(Failure::new(FailureKind::Smoke, what, base.to_string())
        .meaning(format!("the new version runs in {} and is healthy, but does not do its work", environment.name)))
}

/// Where smoke tests go.
async fn base(target: &SmokeTarget, execution: &Execution<'_>) -> Result<Url, Failure> {
    let environment = execution.environment;
    let mut base = match target {
        SmokeTarget::Url(url) => Url::parse(url)
            .map_err(|error| Failure::new(FailureKind::Smoke, format!("`{url}` is no address: {error}"), environment.name.as_str()))?,
        SmokeTarget::Instance(name) => {
            let unusable = |text: String| Failure::new(FailureKind::Smoke, text, resource(environment, name));
            let found = container_groups::get(execution.azure, &environment.resource_group, name).await;
            let instance = found.map_err(|error| during(error.into()))?.ok_or_else(|| vanished(name, environment))?;
            let ip = instance.ip.ok_or_else(|| unusable(format!("{name} has no address")))?;
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
