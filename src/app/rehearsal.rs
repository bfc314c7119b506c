//! A dry run of a rollback (runbook, checklist: "Test rollback procedure"): beside the plan, everything that a real one needs is
//! looked at. Sends no request that changes anything.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{Session, prepare::Prepared};
use crate::{
    azure::permissions,
    config::Environment,
    domain::InstanceName,
    failure::{Failure, FailureKind},
    gate,
    observe::Instance,
    plan::{Plan, Step},
};

/// What was found of one thing that a real rollback needs.
pub(super) struct Looked {
    /// The thing.
    what: String,
    found: Found,
}

/// How a thing is.
enum Found {
    /// As it is needed.
    Fine,
    /// Not as it is needed.
    Wrong(Box<Failure>),
    /// It could not be looked at: no good news.
    Unknown(String),
}

/// The actions of an Azure role that carrying out `plan` takes.
fn actions(plan: &Plan) -> BTreeSet<&'static str> {
    fn of(step: &Step) -> Vec<&'static str> {
        match step {
            Step::CreateInstance { .. } | Step::UpdateInstance { .. } | Step::MarkPromoted { .. } | Step::MarkStable { .. } => {
                vec!["Microsoft.ContainerInstance/containerGroups/write"]
            }
            Step::DeleteInstance { .. } => vec!["Microsoft.ContainerInstance/containerGroups/delete"],
            Step::CreateProfile { .. } | Step::Switch { .. } | Step::Shift { .. } => vec!["Microsoft.Network/trafficManagerProfiles/write"],
            Step::Together { lanes } => lanes.iter().flatten().flat_map(of).collect(),
            Step::KeepInstance { .. }
            | Step::ContinueInstance { .. }
            | Step::AwaitHealth { .. }
            | Step::Smoke { .. }
            | Step::VerifyTraffic { .. }
            | Step::Drain { .. }
            | Step::Observe { .. }
            | Step::VerifyShares { .. }
            | Step::DrainInstances { .. }
            | Step::CheckBaseline { .. }
            | Step::Phase { .. }
            | Step::FinalChecks { .. } => Vec::new(),
        }
    }
    plan.steps.iter().flat_map(of).collect()
}

/// Looks at everything that carrying out what is `prepared` needs: the right to each write, and the health of the version gone back
/// to where it runs already. Its image was looked up when the plan was made.
pub(super) async fn look(session: &Session, environment: &Environment, prepared: &Prepared) -> Vec<Looked> {
    let mut looked = rights(environment, prepared).await;
    let image = prepared.plan.image.as_ref().or(prepared.image.as_ref());
    let Some(image) = image else { return looked };
    let runs = |instance: &&Instance| instance.tags.digest.as_ref() == Some(&image.digest) && is_kept(&prepared.plan, &instance.name);
    let running: Vec<&Instance> = prepared.observed.instances.iter().filter(runs).collect();
    if running.is_empty() {
        looked.push(Looked { what: format!("image {} at its registry", image.pinned()), found: Found::Fine });
    }
    let healths = running.into_iter().map(|instance| health(session, environment, instance));
    looked.extend(futures::future::join_all(healths).await);
    looked
}

/// Whether the plan leaves the instance as it is: what it makes anew need not be well.
fn is_kept(plan: &Plan, name: &InstanceName) -> bool {
    let is_made = |step: &Step| match step {
        Step::CreateInstance { instance, .. } | Step::UpdateInstance { instance, .. } | Step::DeleteInstance { instance, .. } => {
            instance == name
        }
        _ => false,
    };
    !plan.steps.iter().any(|step| match step {
        Step::Together { lanes } => lanes.iter().flatten().any(is_made),
        step => is_made(step),
    })
}

async fn rights(environment: &Environment, prepared: &Prepared) -> Vec<Looked> {
    let group = environment.resource_group.as_str();
    let granted = permissions::at(&prepared.azure, group).await;
    let right = |action: &str| {
        let found = match &granted {
            Ok(granted) if granted.allows(action) => Found::Fine,
            Ok(_) => {
                let what = format!("the login to Azure may not {action} in resource group {group}");
                let failure = Failure::new(FailureKind::Forbidden, what, format!("resource group {group}"))
                    .meaning("a rollback would fail at its first write of this kind; nothing was touched now")
                    .next("let an owner of the resource group grant it: docs/security.md has a role with just what deploy-action needs");
                Found::Wrong(Box::new(failure))
            }
            Err(error) => Found::Unknown(Failure::from(error.clone()).what),
        };
        Looked { what: format!("the right to {action}"), found }
    };
    actions(&prepared.plan).into_iter().map(right).collect()
}

/// One probe: a version that runs already answers at once or it is not well.
async fn health(session: &Session, environment: &Environment, instance: &Instance) -> Looked {
    let path = &environment.container.health;
    let what = format!("{} answers {path}", instance.name);
    let url = instance.ip.as_deref().and_then(|ip| gate::address(ip, environment.container.port, path).ok());
    let Some(url) = url else { return Looked { what, found: Found::Unknown("it has no address".into()) } };
    let result = gate::get(&session.http, &url, environment.health.timeout).await;
    let found = match result.status {
        Some(200..=299) => Found::Fine,
        Some(_) | None => {
            let said = result.error.unwrap_or_else(|| format!("HTTP {}", result.status.unwrap_or_default()));
            let said = format!("{}, which a rollback would go to, is not healthy: {said}", instance.name);
            let failure = Failure::new(FailureKind::Start, said, format!("container group {}", instance.name))
                .meaning("nothing was touched; a rollback would find the same")
                .next("look at the instance: deploy-action status, and its logs");
            Found::Wrong(Box::new(failure))
        }
    };
    Looked { what, found }
}

/// The first thing that would keep a real rollback from its end.
pub(super) fn wrong(looked: &[Looked]) -> Option<Failure> {
    looked.iter().find_map(|looked| match &looked.found {
        Found::Wrong(failure) => Some((**failure).clone()),
        Found::Fine | Found::Unknown(_) => None,
    })
}

/// For people, a line for each.
pub(super) fn text(looked: &[Looked]) -> String {
    let line = |looked: &Looked| match &looked.found {
        Found::Fine => format!("\n  ✔ {}", looked.what),
        Found::Wrong(failure) => format!("\n  ✘ {}: {}", looked.what, failure.what),
        Found::Unknown(why) => format!("\n  ? {}: not known, {why}", looked.what),
    };
    format!("What it needs:{}", looked.iter().map(line).collect::<String>())
}

/// For programs.
pub(super) fn json(looked: &[Looked]) -> Value {
    let one = |looked: &Looked| match &looked.found {
        Found::Fine => json!({"what": looked.what, "found": "fine"}),
        Found::Wrong(failure) => json!({"what": looked.what, "found": "wrong", "why": failure.what}),
        Found::Unknown(why) => json!({"what": looked.what, "found": "unknown", "why": why}),
    };
    looked.iter().map(one).collect()
}
