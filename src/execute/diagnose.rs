//! After a failure: gathers what the runbook's troubleshooting asks a person to look at, and names the matching entry.
//! Reads only, within a time limit, and never makes a failure worse: what cannot be read is listed as missing.

use std::time::Duration;

use super::{Diagnosis, Execution};
use crate::{
    azure::container_groups,
    config::{Container, Environment},
    domain::{InstanceName, Strategy},
    failure::{Failure, FailureKind},
};

/// Log lines that are shown.
const LOG_LINES: u32 = 50;

/// How long one look may take: people are waiting for the message.
const LIMIT: Duration = Duration::from_secs(10);

/// What can be found out about `failure`.
pub(super) async fn diagnose(failure: &Failure, execution: &Execution<'_>) -> Diagnosis {
    let environment = execution.environment;
    let (group, name) = (environment.resource_group.as_str(), &execution.plan.subject);
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
    let (entry, advice, configuration) = match environment.strategy {
        Strategy::Direct => troubleshooting(failure.kind, name, environment),
        Strategy::BlueGreen | Strategy::Canary => behind_traffic_manager(failure.kind, name, environment),
    };
    Diagnosis { instance, logs, missing, entry: entry.into(), advice, configuration }
}

/// The runbook's troubleshooting entry for a kind of failure (Scenario 1, "Troubleshooting Dev Deployment"), its commands
/// filled in, and a change of `deploy.yml` where one helps.
fn troubleshooting(kind: FailureKind, name: &InstanceName, environment: &Environment) -> (&'static str, Vec<String>, Option<String>) {
    let (group, port, health) = (&environment.resource_group, environment.container.port, &environment.container.health);
    let show = format!("Look at it: az container show -g {group} -n {name} --query instanceView");
    let logs = format!("Read its log: az container logs -g {group} -n {name}");
    let exec = format!("Go inside: az container exec -g {group} -n {name} --exec-command bash");
    let rollback = format!("Manual rollback: az container delete -g {group} -n {name} --yes");
    match kind {
        FailureKind::OutOfMemory => {
            out_of_memory(format!("Check its memory: az container show -g {group} -n {name} --query containers[0].resources"), environment)
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
        | FailureKind::Breach
        | FailureKind::NoEvidence
        | FailureKind::SteppedBack
        | FailureKind::Traffic
        | FailureKind::Preflight
        | FailureKind::Claimed
        | FailureKind::Interfered
        | FailureKind::Superseded
        | FailureKind::Cancelled
        | FailureKind::Internal => ("Azure did not carry it out", vec![show, "Then run the workflow again".into()], None),
    }
}

/// Out of memory, with the runbook's scale-up as a change of `deploy.yml`.
fn out_of_memory(check: String, environment: &Environment) -> (&'static str, Vec<String>, Option<String>) {
    let (cpu, memory) = scale_up(&environment.container);
    (
        "Out of memory",
        vec![
            check,
            format!("Scale up: CPU {cpu}, memory {memory} GB (the job summary has the change of deploy.yml to paste)"),
            "Restart the deployment: commit that change and push, or run the workflow again".into(),
        ],
        Some(format!("environments:\n  {}:\n    container:\n      cpu: {cpu}\n      memory: {memory}\n", environment.name)),
    )
}

/// The runbook's entry where traffic is switched (Scenario 2, "Troubleshooting Staging Deployment"). The instance that failed is
/// deleted by the Action, so what it wrote is in the report and not at Azure any more.
fn behind_traffic_manager(
    kind: FailureKind,
    name: &InstanceName,
    environment: &Environment,
) -> (&'static str, Vec<String>, Option<String>) {
    let group = &environment.resource_group;
    let blue_green = environment.blue_green.as_ref().map(|blue_green| blue_green.profile.name.as_str());
    let profile = blue_green.or_else(|| environment.canary.as_ref().map(|canary| canary.profile.name.as_str())).unwrap_or_default();
    let upper = environment.name.as_str().to_uppercase();
    let fix = "Investigate it locally, fix the code or the database, and run the workflow again".to_owned();
    let causes = vec![
        format!("Look at the last lines of {name}'s log below: it was deleted, so that nothing unproven stays"),
        "Database migration failed? Look at its log (pg_upgrade)".into(),
        "Redis connection? Look at the Redis service's status".into(),
        format!("Environment variables? Verify the {upper}_* secrets and `env`, `secrets` in deploy.yml"),
    ];
    let switching = vec![
        format!(
            "Look at the profile: az network traffic-manager profile show -g {group} -n {profile} --query \"{{profile:profileStatus, monitor:monitorConfig.profileMonitorStatus, endpoints:endpoints[].[name,target,endpointStatus,endpointMonitorStatus]}}\""
        ),
        format!("Verify the instance's address: az container show -g {group} -n {name} --query ipAddress"),
        "Check firewall rules (NSG): Traffic Manager probes from the internet".into(),
        "Fix what is in the way, and run the workflow again".into(),
    ];
    match kind {
        FailureKind::OutOfMemory => out_of_memory(format!("Look at the last lines of {name}'s log below"), environment),
        FailureKind::Health | FailureKind::CrashLoop | FailureKind::Start | FailureKind::ImagePull => (
            if kind == FailureKind::ImagePull { "Image cannot be pulled" } else { "Green health checks failing" },
            [causes, vec![fix]].concat(),
            None,
        ),
        FailureKind::Smoke => ("Smoke tests failing", [causes, vec![fix]].concat(), None),
        FailureKind::Traffic | FailureKind::Interfered => ("Traffic not switching to Green", switching, None),
        FailureKind::NoEvidence => (
            "Held for want of evidence",
            vec![
                "See what is lacking: the watch in the job summary, and beneath it what was asked".into(),
                "Mend what answers wrongly (`metrics` in deploy.yml, the server, the page), or see to it that somebody uses the new version"
                    .into(),
            ],
            None,
        ),
        FailureKind::SteppedBack => (
            "Gradual promotion stuck at 25%",
            vec![
                "See which rule of the larger share it broke, and how it does at the smaller one: the gates in the job summary".into(),
                "The runbook's examples: errors of the new version, the database's connections, the cache's invalidation, a new dependency"
                    .into(),
                "Go on where the cause is known and mended: command: promote; otherwise: command: rollback".into(),
            ],
            None,
        ),
        FailureKind::Breach | FailureKind::Superseded => (
            "Rollback needed after traffic switch",
            vec![
                format!(
                    "See where traffic is: az network traffic-manager endpoint list -g {group} --profile-name {profile} --query \"[].[name,endpointStatus,endpointMonitorStatus]\""
                ),
                "Look at the samples that tripped the rule, in the job summary and the evidence file".into(),
                "Hold a post-incident analysis before the next try".into(),
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
        | FailureKind::Preflight
        | FailureKind::Claimed
        | FailureKind::Cancelled
        | FailureKind::Internal => (
            "Azure did not carry it out",
            vec![format!("Look at it: az container show -g {group} -n {name} --query instanceView"), "Then run the workflow again".into()],
            None,
        ),
    }
}

/// The runbook's scale-up (CPU 2, memory 2 GB) or, where that is no more than there is, twice what there is.
fn scale_up(container: &Container) -> (f64, f64) {
    const RUNBOOK: f64 = 2.0;
    let up = |now: f64| if now < RUNBOOK { RUNBOOK } else { now };
    let memory = if container.memory < RUNBOOK { RUNBOOK } else { container.memory * 2.0 };
    (up(container.cpu), memory)
}
