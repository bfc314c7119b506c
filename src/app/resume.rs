//! `resume`: what an interrupted run left is looked at, and finished or reported. Starts no deployment that had not begun:
//! a run that was cancelled before it changed anything stays cancelled.

use super::{
    Session,
    carry_out::{self, Asked, Intent, Interrupted},
    claim,
    prepare::{self, HalfWay},
    wiring,
};
use crate::{
    azure::container_groups,
    cli::DryRun,
    config::{Config, Environment},
    domain::{EnvironmentName, ExitStatus, Outcome, RolloutId, Strategy, Version},
    execute::{Ending, Happening},
    failure::{Failure, FailureKind},
    plan::Aim,
    report::{Beginning, terminal},
    request::Deploy,
    runner::log_safe,
};

/// What the process before this one left of its state (`GITHUB_STATE`).
struct Left {
    environment: EnvironmentName,
    rollout: RolloutId,
    aim: Aim,
    version: Option<Version>,
    sha: Option<String>,
}

fn left(session: &Session) -> Option<Left> {
    let saved = |name: &str| session.runner.saved(name);
    Some(Left {
        environment: saved("environment")?.parse().ok()?,
        rollout: saved("rollout")?.parse().ok()?,
        aim: saved("aim").and_then(Aim::of).unwrap_or(Aim::Deploy),
        version: saved("version").and_then(|version| version.parse().ok()),
        sha: saved("sha").filter(|sha| !sha.is_empty()).map(str::to_owned),
    })
}

pub(super) async fn resume(session: &Session, config: &Config) -> Result<ExitStatus, Failure> {
    let Some(left) = left(session) else { return everywhere(session, config).await };
    let Some(environment) = config.environments.get(&left.environment) else {
        let what = format!("environment {} is not configured any more", left.environment);
        return Err(Failure::new(FailureKind::Request, what, "deploy.yml"));
    };
    match environment.strategy {
        Strategy::Direct => finish(session, config, environment, left).await,
        Strategy::BlueGreen | Strategy::Canary => {
            let Left { environment, rollout, aim, sha, .. } = left;
            let interrupted = Interrupted { environment, aim, sha, actor: session.runner.context.actor.clone() };
            let ending = carry_out::carry_out(session, config, &Asked::MakeSafe(interrupted), &rollout, Intent::CarryOut).await?;
            Ok(match (aim, ending.outcome) {
                // It was to go back, and that is so now.
                (Aim::RollBack, Outcome::RolledBack) | (_, Outcome::Healthy) => ending.exit,
                // The step that was interrupted did not deploy, also where making safe had nothing to do or did it well.
                (_, Outcome::RolledBack | Outcome::Held | Outcome::Failed | Outcome::Refused | Outcome::Unchanged) => {
                    ending.exit.at_least(ExitStatus::NotDeployed)
                }
            })
        }
    }
}

/// Without a state there is no run to finish: on a schedule every environment is looked at whose traffic could have been left
/// half-way. A rollout that is held is a person's to decide, and one that runs has its claim: neither is touched. What cannot be
/// looked at keeps no other environment from being looked at.
async fn everywhere(session: &Session, config: &Config) -> Result<ExitStatus, Failure> {
    let mut worst = ExitStatus::Success;
    let mut looked = 0;
    let only = session.inputs.environment.as_ref();
    for environment in config.environments.values().filter(|environment| only.is_none_or(|name| *name == environment.name)) {
        match environment.strategy {
            Strategy::Direct => continue,
            Strategy::BlueGreen | Strategy::Canary => looked += 1,
        }
        let exit = match one(session, config, environment).await {
            Ok(exit) => exit,
            Err(failure) => {
                let place = session.runner.place;
                terminal::print_failure(Box::new(std::io::stdout()), session.paint, place, &session.inputs.masks, &failure);
                failure.exit_status()
            }
        };
        worst = worst.at_least(exit);
    }
    if looked == 0 {
        println!("nothing to finish: no run before this one left anything");
    }
    Ok(worst)
}

/// Looks at one environment on a schedule, and makes safe what was left half-way.
async fn one(session: &Session, config: &Config, environment: &Environment) -> Result<ExitStatus, Failure> {
    let name = &environment.name;
    if let Some(run) = claim::is_at_work(session, environment).await {
        println!("{name}: a run is at work: {run}");
        return Ok(ExitStatus::Success);
    }
    match prepare::is_left_half_way(session, config, environment).await? {
        HalfWay::No => println!("{name}: nothing was left half-way"),
        HalfWay::Held(why) => println!("{name}: held, a person must decide: {}", log_safe(&why)),
        HalfWay::Stuck(failure) => return Err(failure),
        HalfWay::Yes { rollout, interrupted } => {
            let intent = match session.inputs.dry_run {
                DryRun::Yes => Intent::Show,
                DryRun::No => Intent::CarryOut,
            };
            return Ok(carry_out::carry_out(session, config, &Asked::MakeSafe(interrupted), &rollout, intent).await?.exit);
        }
    }
    Ok(ExitStatus::Success)
}

/// Finishes the deployment of an environment whose one instance is replaced in place.
async fn finish(session: &Session, config: &Config, environment: &Environment, left: Left) -> Result<ExitStatus, Failure> {
    let Left { environment: name, rollout: id, version, .. } = left;
    let Some(version) = version else {
        println!("nothing to finish: the run before this left no version");
        return Ok(ExitStatus::Success);
    };
    let azure = wiring::azure(session, wiring::print_retries())?;
    let instance = container_groups::get(&azure, &environment.resource_group, &environment.instance).await?;
    let asked = Asked::Deploy(Deploy {
        environment: name,
        version,
        sha: session.runner.context.sha.clone(),
        git_ref: session.runner.context.target.as_ref().map(|target| match target {
            crate::event::GitRef::Branch(name) | crate::event::GitRef::Tag(name) => name.clone(),
        }),
        actor: session.runner.context.actor.clone(),
    });
    // The instance says whether the interrupted run had come to change it: it carries that run's rollout.
    if instance.as_ref().is_some_and(|instance| instance.tags.rollout.as_ref() == Some(&id)) {
        println!("the run before this was interrupted after it had changed {}: finishing what it began", environment.instance);
        let ending = carry_out::carry_out(session, config, &asked, &id, Intent::CarryOut).await?;
        return Ok(ending.exit);
    }
    let told = carry_out::rollout(session, config, environment, &asked, &id);
    let (emitter, reports) = session.reports(config, &id, Intent::CarryOut, Beginning::Resumed);
    emitter.emit(Happening::Requested { rollout: told });
    let failure =
        Failure::new(FailureKind::Cancelled, "the run was interrupted before it had changed anything", environment.instance.to_string())
            .meaning("what ran before still runs")
            .next("run the workflow again when you want it deployed");
    let ending = Ending { outcome: Outcome::Refused, exit: ExitStatus::NotDeployed, failure: Some(failure), url: None, started: 0 };
    ending.tell(&emitter, std::time::Duration::ZERO);
    drop(emitter);
    let story = reports.finish(super::REPORTS_LIMIT).await;
    let _ = session.end(&ending, &story);
    Ok(ending.exit)
}
