//! `resume`: what an interrupted run left is looked at, and finished or reported. Starts no deployment that had not begun:
//! a run that was cancelled before it changed anything stays cancelled.

use super::{Session, deploy, wiring};
use crate::{
    azure::container_groups,
    config::Config,
    domain::{EnvironmentName, ExitStatus, Outcome, RolloutId, Version},
    execute::{Ending, Happening},
    failure::{Failure, FailureKind},
    report::Beginning,
    request::Deploy,
};

pub(super) async fn resume(session: &Session, config: &Config) -> Result<ExitStatus, Failure> {
    let saved = |name: &str| session.runner.saved(name);
    let left: Option<(EnvironmentName, RolloutId, Version)> =
        (|| Some((saved("environment")?.parse().ok()?, saved("rollout")?.parse().ok()?, saved("version")?.parse().ok()?)))();
    let Some((name, id, version)) = left else {
        println!("nothing to finish: no run before this one left anything");
        return Ok(ExitStatus::Success);
    };
    let Some(environment) = config.environments.get(&name) else {
        return Err(Failure::new(FailureKind::Request, format!("environment {name} is not configured any more"), "deploy.yml"));
    };
    let azure = wiring::azure(session, wiring::print_retries())?;
    let instance = container_groups::get(&azure, &environment.resource_group, &environment.instance).await?;
    let sha = session.runner.context.sha.clone();
    let request = Deploy {
        environment: name,
        version,
        sha,
        git_ref: session.runner.context.target.as_ref().map(|target| match target {
            crate::event::GitRef::Branch(name) | crate::event::GitRef::Tag(name) => name.clone(),
        }),
        actor: session.runner.context.actor.clone(),
    };
    // The instance says whether the interrupted run had come to change it: it carries that run's rollout.
    if instance.as_ref().is_some_and(|instance| instance.tags.rollout.as_ref() == Some(&id)) {
        println!("the run before this was interrupted after it had changed {}: finishing what it began", environment.instance);
        let ending = deploy::deploy(session, config, &request, &id, deploy::Intent::CarryOut).await?;
        return Ok(ending.exit);
    }
    let told = deploy::rollout(session, config, environment, &request, &id);
    let (emitter, reports) = session.reports(config, &id, deploy::Intent::CarryOut, Beginning::Resumed);
    emitter.emit(Happening::Requested { rollout: told });
    let failure =
        Failure::new(FailureKind::Cancelled, "the run was interrupted before it had changed anything", environment.instance.to_string())
            .meaning("what ran before still runs")
            .next("run the workflow again when you want it deployed");
    let ending = Ending { outcome: Outcome::Refused, exit: ExitStatus::NotDeployed, failure: Some(failure), url: None };
    ending.tell(&emitter, std::time::Duration::ZERO);
    drop(emitter);
    let story = reports.finish(super::REPORTS_LIMIT).await;
    let _ = session.end(&ending, &story);
    Ok(ending.exit)
}
