//! `status`: what runs where. Reads only.

use super::{Session, wiring};
use crate::{
    azure::container_groups,
    cli::Format,
    config::{Config, Environment},
    domain::{EnvironmentName, ExitStatus},
    failure::Failure,
    observe::Instance,
    report::terminal,
    runner::log_safe,
};

pub(super) async fn status(session: &Session, config: &Config, only: Option<&EnvironmentName>) -> Result<ExitStatus, Failure> {
    let azure = wiring::azure(session, wiring::print_retries())?;
    let mut found: Vec<(&Environment, Vec<Instance>)> = Vec::new();
    for environment in config.environments.values().filter(|environment| only.is_none_or(|name| *name == environment.name)) {
        let group = environment.resource_group.as_str();
        let mut instances = Vec::new();
        if container_groups::resource_group_exists(&azure, group).await? == container_groups::Existence::Exists {
            for listed in container_groups::list(&azure, group).await? {
                // A list leaves the instance view out; a look at each has it.
                instances.extend(container_groups::get(&azure, group, &listed.name).await?);
            }
        }
        found.push((environment, instances));
    }
    let text = match session.inputs.format {
        Format::Text => as_text(&found),
        Format::Json => as_json(&found),
    };
    println!("{}", session.inputs.masks.scrub(&log_safe(&text)));
    Ok(ExitStatus::Success)
}

fn as_text(found: &[(&Environment, Vec<Instance>)]) -> String {
    let mut lines = Vec::new();
    for (environment, instances) in found {
        lines.push(format!("{} ({}, {})", environment.name, environment.strategy.as_str(), environment.resource_group));
        if instances.is_empty() {
            lines.push("  nothing runs here".to_owned());
        }
        for instance in instances {
            lines.push(format!("  {}", terminal::instance_line(instance)));
            if let Some(run) = &instance.tags.run {
                lines.push(format!("    deployed by {run}"));
            }
        }
    }
    lines.join("\n")
}

fn as_json(found: &[(&Environment, Vec<Instance>)]) -> String {
    let environments: Vec<serde_json::Value> = found
        .iter()
        .map(|(environment, instances)| {
            let instances: Vec<serde_json::Value> = instances
                .iter()
                .map(|instance| {
                    serde_json::json!({
                        "name": instance.name, "provisioning": instance.provisioning, "state": instance.state, "ip": instance.ip,
                        "fqdn": instance.fqdn, "container": instance.container, "tags": instance.tags,
                    })
                })
                .collect();
            serde_json::json!({"environment": environment.name, "strategy": environment.strategy, "instances": instances})
        })
        .collect();
    serde_json::to_string_pretty(&environments).unwrap_or_default()
}
