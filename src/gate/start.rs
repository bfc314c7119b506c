//! What an instance's state says of its start. Pure. Whatever is not clearly bad counts as still coming up.

use crate::observe::{ContainerPhase, Instance, Provisioning};

/// The exit code of a process that was killed by signal 9, which is how the kernel ends one that exceeds its memory.
const KILLED: i32 = 137;

/// Restarts that make a crash loop: runbook, automatic rollback triggers, "Pod crash loop (>2 restarts)".
const RESTARTS: u32 = 2;

/// Failed pulls after which waiting longer is pointless: Azure itself keeps trying for 30 minutes, a registry that
/// stumbles once is given two more chances.
const FAILED_PULLS: u32 = 3;

/// Why an instance will not come up, or has not stayed up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Symptom {
    /// It used more memory than it was given.
    OutOfMemory,
    /// It keeps ending and being started again.
    CrashLoop {
        /// How often it was started again.
        restarts: u32,
        /// How the last run ended.
        exit_code: Option<i32>,
    },
    /// It ended and will not be started again.
    Ended {
        /// How.
        exit_code: Option<i32>,
    },
    /// Its image cannot be pulled.
    ImagePull {
        /// What Azure says.
        message: String,
    },
    /// Azure gave up.
    Failed {
        /// Azure's word for the group's state.
        state: String,
    },
}

/// What is wrong with `instance`, if anything clearly is. An instance that is still coming up has no symptom.
#[must_use]
pub fn symptom(instance: &Instance) -> Option<Symptom> {
    if let Some(container) = &instance.container {
        let killed = container.detail.eq_ignore_ascii_case("OOMKilled")
            || container.previous_detail.as_deref().is_some_and(|detail| detail.eq_ignore_ascii_case("OOMKilled"))
            || (container.exit_code == Some(KILLED) && container.phase != ContainerPhase::Running);
        if killed {
            return Some(Symptom::OutOfMemory);
        }
        if container.restarts > RESTARTS {
            return Some(Symptom::CrashLoop { restarts: container.restarts, exit_code: container.exit_code });
        }
    }
    if let Some(message) = failing_pull(instance) {
        return Some(Symptom::ImagePull { message });
    }
    match instance.provisioning {
        Provisioning::Failed => return Some(Symptom::Failed { state: instance.state.clone() }),
        Provisioning::Stopped => return Some(Symptom::Ended { exit_code: instance.container.as_ref().and_then(|c| c.exit_code) }),
        Provisioning::InProgress(_) | Provisioning::Succeeded => {}
    }
    match &instance.container {
        // Under restart policy Always a container that ended waits to be started again; the group itself never ends.
        Some(container) if container.phase == ContainerPhase::Terminated && ended(&instance.state) => {
            Some(Symptom::Ended { exit_code: container.exit_code })
        }
        Some(_) | None => None,
    }
}

/// Azure's words for a group whose containers have all ended for good.
fn ended(state: &str) -> bool {
    ["Stopped", "Succeeded", "Failed", "Terminated"].iter().any(|word| state.eq_ignore_ascii_case(word))
}

/// The message of a pull that has failed often enough and was not followed by a good one.
fn failing_pull(instance: &Instance) -> Option<String> {
    let pulled = instance.events.iter().rposition(|event| event.name == "Pulled");
    let after = instance.events.iter().skip(pulled.map_or(0, |index| index + 1));
    let failures: Vec<_> = after.filter(|event| event.name == "Failed" && event.message.to_ascii_lowercase().contains("pull")).collect();
    let count: u32 = failures.iter().map(|event| event.count.max(1)).sum();
    if count >= FAILED_PULLS { failures.last().map(|event| event.message.clone()) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::{AzureEvent, ContainerState, Tags};

    fn instance(provisioning: Provisioning, state: &str, container: Option<ContainerState>) -> Instance {
        Instance {
            name: "aci-dev-nextgen".parse().expect("a name"),
            provisioning,
            state: state.into(),
            ip: None,
            fqdn: None,
            container,
            events: Vec::new(),
            tags: Tags::default(),
            definition: serde_json::Value::Null,
        }
    }

    fn container(phase: ContainerPhase, detail: &str, exit_code: Option<i32>, restarts: u32) -> Option<ContainerState> {
        Some(ContainerState { phase, detail: detail.into(), exit_code, restarts, previous_detail: None, image: String::new() })
    }

    fn pull(name: &str, count: u32) -> AzureEvent {
        AzureEvent { at: None, name: name.into(), message: format!("{name} to pull image"), level: "Warning".into(), count }
    }

    #[test]
    fn what_is_coming_up_has_no_symptom() {
        for state in ["Creating", "Pending", "SomethingNew"] {
            let coming = instance(Provisioning::InProgress(state.into()), "Pending", container(ContainerPhase::Waiting, "", None, 0));
            assert_eq!(symptom(&coming), None);
        }
        let running = instance(Provisioning::Succeeded, "Running", container(ContainerPhase::Running, "", None, 0));
        assert_eq!(symptom(&running), None);
        assert_eq!(symptom(&instance(Provisioning::Succeeded, "Running", None)), None);
    }

    #[test]
    fn out_of_memory_is_told_from_other_ends() {
        let killed = container(ContainerPhase::Terminated, "OOMKilled", Some(137), 0);
        assert_eq!(symptom(&instance(Provisioning::Succeeded, "Running", killed)), Some(Symptom::OutOfMemory));
        let waiting = container(ContainerPhase::Waiting, "CrashLoopBackOff", Some(137), 1);
        assert_eq!(symptom(&instance(Provisioning::Succeeded, "Running", waiting)), Some(Symptom::OutOfMemory));
        // A run that was killed long ago, by a restart say, does not condemn the one that runs now.
        let running = container(ContainerPhase::Running, "", Some(137), 1);
        assert_eq!(symptom(&instance(Provisioning::Succeeded, "Running", running)), None);
    }

    #[test]
    fn a_crash_loop_is_more_than_two_restarts() {
        let at = |restarts| {
            symptom(&instance(
                Provisioning::Succeeded,
                "Running",
                container(ContainerPhase::Waiting, "CrashLoopBackOff", Some(1), restarts),
            ))
        };
        assert_eq!(at(2), None);
        assert_eq!(at(3), Some(Symptom::CrashLoop { restarts: 3, exit_code: Some(1) }));
    }

    #[test]
    fn three_failed_pulls_are_a_missing_image_unless_one_succeeded_since() {
        let mut pulling = instance(Provisioning::InProgress("Creating".into()), "Pending", container(ContainerPhase::Waiting, "", None, 0));
        pulling.events = vec![pull("Failed", 2)];
        assert_eq!(symptom(&pulling), None);
        pulling.events = vec![pull("Failed", 2), pull("Failed", 1)];
        assert_eq!(symptom(&pulling), Some(Symptom::ImagePull { message: "Failed to pull image".into() }));
        pulling.events.push(pull("Pulled", 1));
        assert_eq!(symptom(&pulling), None);
    }

    #[test]
    fn what_ended_for_good_is_said() {
        let ended = container(ContainerPhase::Terminated, "Completed", Some(0), 0);
        assert_eq!(symptom(&instance(Provisioning::Succeeded, "Stopped", ended.clone())), Some(Symptom::Ended { exit_code: Some(0) }));
        assert_eq!(symptom(&instance(Provisioning::Succeeded, "Running", ended)), None);
        assert!(matches!(symptom(&instance(Provisioning::Failed, "Failed", None)), Some(Symptom::Failed { .. })));
    }
}
