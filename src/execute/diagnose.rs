//! After a failure: gathers what the runbook's troubleshooting asks a person to look at, and names the matching entry.
//! Reads only, within a time limit, and never makes a failure worse: what cannot be read is listed as missing.

use std::time::Duration;

use super::{Diagnosis, Execution};
use crate::{
    azure::container_groups,
    config::{Container, Environment},
    failure::{Failure, FailureKind},
};

/// Log lines that are shown.
const LOG_LINES: u32 = 50;

/// How long one look may take: people are waiting for the message.
const LIMIT: Duration = Duration::from_secs(10);

/// What can be found out about `failure`.
pub(super) async fn diagnose(failure: &Failure, execution: &Execution<'_>) -> Diagnosis {
    let environment = execution.environment;
    let (group, name) = (environment.resource_group.as_str(), &environment.instance);
    let instance = tokio::time::timeout(LIMIT, container_groups::get(execution.azure, group, name));
    let logs = tokio::time::timeout(LIMIT, container_groups::logs(execution.azure, group, name, name.as_str(), LOG_LINES));
    let (instance, logs) = tokio::join!(instance, logs);
    let mut missing = Vec::new();
    let slow = || format!("no answer within {} s", LIMIT.as_secs());
    let instance = match instance {
        Ok(Ok(instance)) => instance,
        Ok(Err(error)) => {
            missing.push(format!("state of {name}: {}", Failure::from(error).what));
            None
        }
        Err(_) => {
            missing.push(format!("state of {name}: {}", slow()));
            None
        }
    };
    let logs = match logs {
        Ok(Ok(lines)) => lines,
        Ok(Err(error)) => {
            missing.push(format!("logs of {name}: {}", Failure::from(error).what));
            Vec::new()
        }
        Err(_) => {
            missing.push(format!("logs of {name}: {}", slow()));
            Vec::new()
        }
    };
    let (entry, advice, configuration) = troubleshooting(failure.kind, environment);
    Diagnosis { instance, logs, missing, entry: entry.into(), advice, configuration }
}

/// The runbook's troubleshooting entry for a kind of failure (Scenario 1, "Troubleshooting Dev Deployment"), its commands
/// filled in, and a change of `deploy.yml` where one helps.
fn troubleshooting(kind: FailureKind, environment: &Environment) -> (&'static str, Vec<String>, Option<String>) {
    let (group, name, port, health) =
        (&environment.resource_group, &environment.instance, environment.container.port, &environment.container.health);
    let show = format!("Look at it: az container show -g {group} -n {name} --query instanceView");
    let logs = format!("Read its log: az container logs -g {group} -n {name}");
    let exec = format!("Go inside: az container exec -g {group} -n {name} --exec-command bash");
    let rollback = format!("Manual rollback: az container delete -g {group} -n {name} --yes");
    match kind {
        FailureKind::OutOfMemory => {
            let (cpu, memory) = scale_up(&environment.container);
            (
                "Out of memory",
                vec![
                    format!("Check its memory: az container show -g {group} -n {name} --query containers[0].resources"),
                    format!("Scale up: CPU {cpu}, memory {memory} GB (the change of deploy.yml below)"),
                    "Restart the deployment: commit that change and push, or run the workflow again".into(),
                ],
                Some(format!("environments:\n  {}:\n    container:\n      cpu: {cpu}\n      memory: {memory}\n", environment.name)),
            )
        }
        FailureKind::Smoke => (
            "Smoke test failed",
            vec![
                exec,
                "Check its log inside: tail -f /var/log/app.log".into(),
                format!("Check its health inside: curl http://localhost:{port}{health}"),
                rollback,
            ],
            None,
        ),
        FailureKind::Health => (
            "Health check failing",
            vec![
                logs,
                exec,
                format!("Check its health inside: curl http://localhost:{port}{health}"),
                format!("Common causes: a database or cache it cannot reach, a missing environment variable, another port than {port}"),
                rollback,
            ],
            None,
        ),
        FailureKind::CrashLoop | FailureKind::Start => (
            "Container does not stay up",
            vec![
                logs,
                show,
                "Common causes: a missing environment variable or secret, a failed database migration, a wrong command line".into(),
                rollback,
            ],
            None,
        ),
        FailureKind::ImagePull => (
            "Image cannot be pulled",
            vec![
                show,
                "Check the inputs registry-username and registry-password: a token with read:packages that outlives this job".into(),
                "Then run the workflow again".into(),
            ],
            None,
        ),
        FailureKind::Request
        | FailureKind::Configuration
        | FailureKind::Image
        | FailureKind::Registry
        | FailureKind::Login
        | FailureKind::Forbidden
        | FailureKind::Capacity
        | FailureKind::Azure
        | FailureKind::AzureUnreachable
        | FailureKind::Superseded
        | FailureKind::Cancelled
        | FailureKind::Internal => ("Azure did not carry it out", vec![show, "Then run the workflow again".into()], None),
    }
}

/// The runbook's scale-up (CPU 2, memory 2 GB) or, where that is no more than there is, twice what there is.
fn scale_up(container: &Container) -> (f64, f64) {
    const RUNBOOK: f64 = 2.0;
    let up = |now: f64| if now < RUNBOOK { RUNBOOK } else { now };
    let memory = if container.memory < RUNBOOK { RUNBOOK } else { container.memory * 2.0 };
    (up(container.cpu), memory)
}
