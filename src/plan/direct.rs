//! The direct strategy: one instance, replaced in place (runbook Scenario 1, Steps 3 and 4). Pure.

use super::{Aim, Plan, SmokeTarget, Step, change::change};
use crate::{
    azure::definition::Comparison,
    config::Environment,
    domain::{ImageReference, RolloutId},
    observe::Instance,
};

/// How long Azure tries to create a container group before it gives up, in seconds (Azure Container Instances: 30 minutes).
pub(super) const CREATE_LIMIT_SECONDS: u64 = 30 * 60;

/// The plan that brings `image` to `environment`. `existing` is the instance as observed and how it compares with what is
/// wanted; `notices` are told to the reader as they are.
#[must_use]
pub fn plan(
    rollout: &RolloutId,
    environment: &Environment,
    image: &ImageReference,
    existing: Option<(&Instance, &Comparison)>,
    notices: Vec<String>,
) -> Plan {
    let mut steps = change(&environment.instance, existing);
    let writes = steps.iter().any(Step::is_change);
    steps.push(Step::AwaitHealth {
        instance: environment.instance.clone(),
        path: environment.container.health.clone(),
        retries: environment.health.retries,
        every_seconds: environment.health.every.as_secs_f64(),
    });
    if !environment.smoke.is_empty() {
        let target = match &environment.url {
            Some(url) => SmokeTarget::Url(crate::execute::shown(url)),
            None => SmokeTarget::Instance(environment.instance.clone()),
        };
        steps.push(Step::Smoke { target, paths: environment.smoke.clone() });
    }
    let probing = environment.health.every.saturating_mul(environment.health.retries);
    let smoking = environment.health.timeout.saturating_mul(u32::try_from(environment.smoke.len()).unwrap_or(u32::MAX));
    let starting = if writes { CREATE_LIMIT_SECONDS } else { 0 };
    Plan {
        rollout: rollout.clone(),
        environment: environment.name.clone(),
        strategy: environment.strategy,
        aim: Aim::Deploy,
        image: Some(image.clone()),
        sha: None,
        subject: environment.instance.clone(),
        previous: existing.and_then(|(instance, _)| instance.tags.version.clone()),
        steps,
        notices,
        limit_seconds: starting.saturating_add(probing.as_secs()).saturating_add(smoking.as_secs()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{
        config,
        observe::{ContainerPhase, ContainerState, Provisioning},
    };

    fn environment() -> Environment {
        let text =
            "version: 1\napplication: shop\nimage: ghcr.io/a/b\nazure: {location: westeurope}\nenvironments:\n  dev: {smoke: [/health]}\n";
        let mut config = config::parse(text, "deploy.yml").expect("a configuration");
        config.environments.remove(&"dev".parse().expect("a name")).expect("dev")
    }

    fn image() -> ImageReference {
        ImageReference {
            repository: "ghcr.io/a/b".parse().expect("a repository"),
            version: "develop-a1b2c3d".parse().expect("a version"),
            digest: format!("sha256:{}", "0".repeat(64)).parse().expect("a digest"),
        }
    }

    fn instance(provisioning: Provisioning, phase: Option<ContainerPhase>) -> Instance {
        Instance {
            name: environment().instance,
            provisioning,
            state: "Running".into(),
            ip: None,
            fqdn: None,
            container: phase.map(|phase| ContainerState {
                phase,
                detail: String::new(),
                exit_code: None,
                restarts: 0,
                previous_detail: None,
                image: String::new(),
            }),
            events: Vec::new(),
            tags: crate::observe::Tags::default(),
            definition: serde_json::Value::Null,
        }
    }

    fn made(existing: Option<(&Instance, &Comparison)>) -> Vec<String> {
        let rollout = "dev-1-1".parse().expect("a rollout");
        plan(&rollout, &environment(), &image(), existing, Vec::new()).steps.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_first_deployment_creates() {
        assert_eq!(made(None), ["Create aci-dev-shop", "Health of aci-dev-shop: GET /health", "Smoke tests on aci-dev-shop itself"]);
    }

    #[test]
    fn the_same_again_changes_nothing() {
        let running = instance(Provisioning::Succeeded, Some(ContainerPhase::Running));
        assert_eq!(made(Some((&running, &Comparison::Same)))[0], "Keep aci-dev-shop as it is");
        let coming = instance(Provisioning::InProgress("Creating".into()), None);
        assert_eq!(made(Some((&coming, &Comparison::Same)))[0], "Keep aci-dev-shop as it is");
    }

    #[test]
    fn a_new_image_updates_in_place() {
        let running = instance(Provisioning::Succeeded, Some(ContainerPhase::Running));
        let change = Comparison::InPlace(vec!["image: old → new".into()]);
        assert_eq!(made(Some((&running, &change)))[0], "Update aci-dev-shop");
        let crashed = instance(Provisioning::Succeeded, Some(ContainerPhase::Waiting));
        assert_eq!(made(Some((&crashed, &Comparison::Same)))[0], "Update aci-dev-shop");
    }

    fn any_world() -> impl proptest::strategy::Strategy<Value = Option<(Instance, Comparison)>> {
        let provisioning = prop_oneof![
            Just(Provisioning::Succeeded),
            Just(Provisioning::Failed),
            Just(Provisioning::Stopped),
            Just(Provisioning::InProgress("Creating".into())),
        ];
        let phase = proptest::option::of(prop_oneof![
            Just(ContainerPhase::Running),
            Just(ContainerPhase::Waiting),
            Just(ContainerPhase::Terminated),
            Just(ContainerPhase::Unknown)
        ]);
        let comparison = prop_oneof![
            Just(Comparison::Same),
            Just(Comparison::InPlace(vec!["image".into()])),
            Just(Comparison::Recreate(vec!["memory".into()]))
        ];
        proptest::option::of((provisioning, phase, comparison).prop_map(|(p, phase, c)| (instance(p, phase), c)))
    }

    proptest! {
        /// Whatever is found: at most one write of the wanted group, a delete only just before a create and only of what
        /// exists, and nothing counts as done before its gates.
        #[test]
        fn every_plan_is_in_a_safe_order(world in any_world()) {
            let rollout = "dev-1-1".parse().expect("a rollout");
            let existing = world.as_ref().map(|(instance, comparison)| (instance, comparison));
            let steps = plan(&rollout, &environment(), &image(), existing, Vec::new()).steps;
            let at = |wanted: fn(&Step) -> bool| steps.iter().enumerate().filter(|(_, s)| wanted(s)).map(|(i, _)| i).collect::<Vec<_>>();
            let deletes = at(|s| matches!(s, Step::DeleteInstance { .. }));
            let creates = at(|s| matches!(s, Step::CreateInstance { .. }));
            let writes = at(|s| matches!(s, Step::CreateInstance { .. } | Step::UpdateInstance { .. } | Step::KeepInstance { .. }));
            prop_assert_eq!(writes.len(), 1);
            prop_assert!(deletes.len() <= 1);
            for delete in deletes {
                prop_assert!(world.is_some());
                prop_assert_eq!(&creates, &vec![delete + 1]);
            }
            let health = at(|s| matches!(s, Step::AwaitHealth { .. }));
            let smoke = at(|s| matches!(s, Step::Smoke { .. }));
            prop_assert_eq!((health.len(), smoke.len()), (1, 1));
            prop_assert!(writes[0] < health[0] && health[0] < smoke[0]);
            // An update in place is never sent to a group that Azure would refuse it for.
            if steps.iter().any(|s| matches!(s, Step::UpdateInstance { .. })) {
                prop_assert_eq!(world.map(|(i, _)| i.provisioning), Some(Provisioning::Succeeded));
            }
        }
    }
}
