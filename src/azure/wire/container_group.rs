//! Azure's answers about container groups, read tolerantly: only what [`crate::observe`] needs. Nothing is decided here.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::{TAG, or_default};
use crate::{
    azure::error::printable,
    observe::{AzureEvent, ContainerPhase, ContainerState, Instance, Provisioning, Tags},
};

tolerant! {
    Group { name: String, tags: BTreeMap<String, String>, properties: Properties }
    Properties { provisioning_state: String, instance_view: GroupView, ip_address: Address, containers: Vec<Container> }
    GroupView { state: String, events: Vec<Event> }
    Address { ip: Option<String>, fqdn: Option<String> }
    Container { name: String, properties: ContainerProperties }
    ContainerProperties { image: String, instance_view: View }
    View { restart_count: u32, current_state: State, previous_state: State, events: Vec<Event> }
    State { state: String, exit_code: Option<i32>, detail_status: String }
    Event { name: String, message: String, r#type: String, count: u32, last_timestamp: Option<String> }
}

/// What Azure reports and no request sets: left out of a definition.
const REPORTED: [&str; 2] = ["provisioningState", "instanceView"];

/// An instance from the body of a GET, or why it is none.
pub(in crate::azure) fn instance(body: &Value) -> Result<Instance, String> {
    let group = Group::deserialize(body).map_err(|error| error.to_string())?;
    let name = group.name.to_ascii_lowercase().parse().map_err(|error| format!("the name of a container group: {error}"))?;
    let Properties { provisioning_state, instance_view, ip_address, containers } = group.properties;
    let mut events: Vec<AzureEvent> = instance_view.events.into_iter().map(event).collect();
    let mut containers = containers;
    let own = containers.iter().position(|container| container.name.eq_ignore_ascii_case(&group.name)).unwrap_or(0);
    let container = (own < containers.len()).then(|| containers.swap_remove(own)).map(|container| {
        events.extend(container.properties.instance_view.events.into_iter().map(event));
        let View { restart_count, current_state, previous_state, .. } = View { events: Vec::new(), ..container.properties.instance_view };
        ContainerState {
            phase: phase(&current_state.state),
            detail: current_state.detail_status,
            exit_code: current_state.exit_code.or(previous_state.exit_code),
            restarts: restart_count,
            previous_detail: Some(previous_state.detail_status).filter(|detail| !detail.is_empty()),
            image: container.properties.image,
        }
    });
    // Those without a time keep their place at the front; sorting is stable.
    events.sort_by_key(|event| event.at);
    Ok(Instance {
        name,
        provisioning: provisioning(&provisioning_state),
        state: instance_view.state,
        ip: ip_address.ip.filter(|ip| !ip.is_empty()),
        fqdn: ip_address.fqdn.filter(|fqdn| !fqdn.is_empty()),
        container,
        events,
        tags: tags(group.tags),
        definition: definition(body),
    })
}

fn provisioning(word: &str) -> Provisioning {
    match word.to_ascii_lowercase().as_str() {
        "succeeded" => Provisioning::Succeeded,
        "failed" | "canceled" | "unhealthy" => Provisioning::Failed,
        "stopped" => Provisioning::Stopped,
        // Unknown words count as in progress: better to look again than to judge what is not understood.
        _ => Provisioning::InProgress(word.to_owned()),
    }
}

fn phase(word: &str) -> ContainerPhase {
    match word.to_ascii_lowercase().as_str() {
        "waiting" => ContainerPhase::Waiting,
        "running" => ContainerPhase::Running,
        "terminated" => ContainerPhase::Terminated,
        _ => ContainerPhase::Unknown,
    }
}

fn event(event: Event) -> AzureEvent {
    AzureEvent {
        at: event.last_timestamp.and_then(|text| text.parse().ok()),
        name: event.name,
        message: printable(&event.message),
        level: event.r#type,
        count: event.count,
    }
}

/// The Action's own tags and the others. What does not parse was not written by the Action and counts as another.
fn tags(all: BTreeMap<String, String>) -> Tags {
    let mut tags = Tags::default();
    for (name, value) in all {
        let name = name.to_ascii_lowercase();
        match name.strip_prefix(TAG) {
            Some("rollout") => tags.rollout = value.parse().ok(),
            Some("version") => tags.version = value.parse().ok(),
            Some("sha") => tags.sha = Some(value),
            Some("digest") => tags.digest = value.parse().ok(),
            Some("role") => tags.role = Some(value),
            Some("run") => tags.run = Some(value),
            Some("previous") => tags.previous = value.parse().ok(),
            Some("rolled-back-from") => tags.rolled_back_from = value.parse().ok(),
            Some("promoted") => tags.promoted = value.parse().ok(),
            // An empty one was taken back.
            Some("held") => tags.held = Some(value).filter(|why| !why.is_empty()),
            Some("stable-since") => tags.stable_since = value.parse().ok(),
            Some(_) | None => {
                tags.others.insert(name, value);
            }
        }
    }
    tags
}

/// The group's definition without what Azure only reports.
fn definition(body: &Value) -> Value {
    let mut definition = body.clone();
    if let Some(group) = definition.as_object_mut() {
        group.retain(|name, _| !matches!(name.as_str(), "id" | "name" | "type" | "systemData"));
    }
    strip(definition.get_mut("properties"));
    for container in definition.pointer_mut("/properties/containers").and_then(Value::as_array_mut).into_iter().flatten() {
        strip(container.get_mut("properties"));
    }
    definition
}

fn strip(value: Option<&mut Value>) {
    if let Some(fields) = value.and_then(Value::as_object_mut) {
        fields.retain(|name, _| !REPORTED.contains(&name.as_str()));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn reads_what_azure_writes() {
        // After Microsoft's example ContainerGroupsGet_Succeeded.json, api-version 2025-09-01.
        let body = json!({
            "id": "/subscriptions/s/resourceGroups/g/providers/Microsoft.ContainerInstance/containerGroups/demo1",
            "name": "demo1", "type": "Microsoft.ContainerInstance/containerGroups", "location": "westeurope",
            "tags": {"deploy-action-version": "develop-a1b2c3d", "deploy-action-digest": "nonsense", "Team": "shop"},
            "properties": {
                "provisioningState": "Succeeded",
                "containers": [{"name": "demo1", "properties": {
                    "command": [], "image": "nginx", "ports": [{"port": 80}], "environmentVariables": [],
                    "instanceView": {
                        "restartCount": 2,
                        "currentState": {"state": "Waiting", "detailStatus": "CrashLoopBackOff"},
                        "previousState": {"state": "Terminated", "exitCode": 137, "detailStatus": "OOMKilled"},
                        "events": [{"count": 1, "lastTimestamp": "2025-03-22T18:12:32Z", "name": "Pulling", "message": "pulling\nimage", "type": "Normal"}]
                    }}}],
                "ipAddress": {"ip": "20.1.2.3", "fqdn": "demo1.westeurope.azurecontainer.io", "ports": [], "type": "Public"},
                "instanceView": {"events": [], "state": "Running"}
            }
        });
        let read = instance(&body).expect("an instance");
        let container = read.container.clone().expect("a container");
        assert_eq!((container.phase, container.exit_code, container.restarts), (ContainerPhase::Waiting, Some(137), 2));
        assert_eq!(container.previous_detail.as_deref(), Some("OOMKilled"));
        assert_eq!(read.ip.as_deref(), Some("20.1.2.3"));
        assert_eq!(read.events[0].message, "pulling image");
        assert_eq!(read.tags.version.as_ref().map(|v| v.as_str()), Some("develop-a1b2c3d"));
        assert_eq!((read.tags.digest, read.tags.others["team"].as_str()), (None, "shop"));
        assert!(!read.definition.to_string().contains("instanceView"));
    }

    #[test]
    fn what_is_missing_or_null_is_no_error() {
        let read = instance(&json!({"name": "a", "tags": null, "properties": {"provisioningState": "Repairing", "containers": null}}))
            .expect("an instance");
        assert_eq!(read.provisioning, Provisioning::InProgress("Repairing".into()));
        assert!(read.container.is_none());
        assert!(instance(&json!({"name": "A_B"})).is_err());
    }
}
