//! Making the clients from the inputs, and joining their news to the events.

use std::{sync::Arc, time::Duration};

use super::Session;
use crate::{
    azure::{ResourceManager, Settings, container_groups::Existence},
    cli::Inputs,
    config::{Config, Environment},
    execute::{Emitter, Happening},
    failure::{Failure, FailureKind},
    gate,
    http::{OnRetry, Retry},
};

/// Azure, by the inputs. Sends nothing yet.
pub(super) fn azure(session: &Session, on_retry: OnRetry) -> Result<ResourceManager, Failure> {
    let inputs = &session.inputs.azure;
    let (subscription, login) = inputs.login()?;
    let settings =
        Settings { resource_manager: inputs.resource_manager.clone(), authority_host: inputs.authority_host.clone(), subscription, login };
    Ok(ResourceManager::new(session.http.clone(), settings, on_retry)?)
}

/// What rules and checks can be read with.
pub(super) fn given<'a>(config: &'a Config, inputs: &'a Inputs) -> gate::Given<'a> {
    gate::Given {
        metrics: config.metrics.as_ref(),
        prometheus_token: inputs.prometheus_token.as_ref(),
        database: config.database,
        database_url: inputs.database_url.as_ref(),
    }
}

/// Where the numbers of an environment's rules come from, read `every` so long. Sends nothing yet.
///
/// # Errors
/// When a token cannot be sent.
pub(super) fn sources(
    session: &Session,
    config: &Config,
    environment: &Environment,
    azure: Arc<ResourceManager>,
    every: Duration,
) -> Result<gate::Sources, Failure> {
    let sources = gate::Sources::new(&given(config, &session.inputs), every, session.http.clone())?;
    Ok(sources.with_azure(azure, &environment.resource_group))
}

/// Tells the reports of repeated requests.
pub(super) fn on_retry(emitter: &Emitter) -> OnRetry {
    let emitter = emitter.clone();
    Arc::new(move |Retry { what, why, after }: Retry| {
        let after_ms = u64::try_from(after.as_millis()).unwrap_or(u64::MAX);
        emitter.emit(Happening::Retrying { what, why, after_ms });
    })
}

/// Prints repeated requests where there are no reports.
pub(super) fn print_retries() -> OnRetry {
    Arc::new(|Retry { what, why, after }: Retry| {
        let after: Duration = after;
        eprintln!("{}", crate::runner::log_safe(&format!("{what}: {why}; again in {:.1} s", after.as_secs_f64())));
    })
}

/// Refuses when the environment's resource group is missing: it is never created (DESIGN, Addresses).
pub(super) fn require(existence: Existence, environment: &Environment, location: &str) -> Result<(), Failure> {
    match existence {
        Existence::Exists => Ok(()),
        Existence::Missing => {
            let group = &environment.resource_group;
            Err(Failure::new(FailureKind::Azure, format!("the resource group {group} does not exist"), format!("resource group {group}"))
                .meaning("nothing was touched")
                .next(format!("create it: az group create -n {group} -l {location}"))
                .next("or correct `resource-group` in deploy.yml and the input azure-subscription-id"))
        }
    }
}
