//! What must happen to one instance, so that it runs what is asked for. Pure.

use super::Step;
use crate::{
    azure::definition::Comparison,
    domain::InstanceName,
    observe::{ContainerPhase, ContainerState, Instance, Provisioning},
};

/// The steps that make the instance called `name` what is wanted. `existing` is the instance as observed and how it compares
/// with what is wanted.
pub(super) fn change(name: &InstanceName, existing: Option<(&Instance, &Comparison)>) -> Vec<Step> {
    let instance = || name.clone();
    let again = |why: String| vec![Step::DeleteInstance { instance: instance(), why }, Step::CreateInstance { instance: instance() }];
    let Some((found, comparison)) = existing else {
        return vec![Step::CreateInstance { instance: instance() }];
    };
    match (&found.provisioning, comparison) {
        (Provisioning::Failed, _) => again("Azure gave it up as Failed, and such a container group cannot be updated".into()),
        (Provisioning::Stopped, _) => again("it is stopped, and such a container group cannot be updated".into()),
        (_, Comparison::Recreate(changes)) => again(format!("Azure cannot change this in place: {}", changes.join("; "))),
        // Azure refuses a PUT meanwhile (ContainerGroupTransitioning), and one that pulls in vain stays like this for 30 minutes.
        (Provisioning::InProgress(state), Comparison::InPlace(_)) => {
            again(format!("Azure is still working on another version of it ({state}) and takes no update meanwhile"))
        }
        (Provisioning::Succeeded, Comparison::InPlace(changes)) => {
            vec![Step::UpdateInstance { instance: instance(), changes: changes.clone() }]
        }
        // It is ours and on its way already, from a run that did not end: the health gate waits for it.
        (Provisioning::InProgress(_), Comparison::Same) => vec![Step::KeepInstance { instance: instance() }],
        (Provisioning::Succeeded, Comparison::Same) => match &found.container {
            Some(container) if container.phase != ContainerPhase::Running => vec![Step::UpdateInstance {
                instance: instance(),
                changes: vec![format!("container: not running ({}) → started again", words(container))],
            }],
            Some(_) | None => vec![Step::KeepInstance { instance: instance() }],
        },
    }
}

fn words(container: &ContainerState) -> String {
    let phase = match container.phase {
        ContainerPhase::Waiting => "waiting",
        ContainerPhase::Running => "running",
        ContainerPhase::Terminated => "ended",
        ContainerPhase::Unknown => "state unknown",
    };
    if container.detail.is_empty() { phase.to_owned() } else { format!("{phase}, {}", container.detail) }
}
