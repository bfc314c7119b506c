//! A deployment, from request to reports: reads, plans, carries out. Joins the parts and decides nothing itself.

use std::collections::BTreeMap;

use jiff::Timestamp;
use tokio::time::Instant;

use super::{Session, wiring};
use crate::{
    azure::{ResourceManager, container_groups, definition},
    cli::Format,
    config::{Config, Environment, IpType},
    domain::{ExitStatus, ImageReference, Outcome, Role, RolloutId, Secret, Strategy},
    execute::{self, Emitter, Ending, Execution, Happening, Rollout},
    failure::{Failure, FailureKind},
    observe::{Instance, Observed, Tags},
    plan::{self, Plan},
    registry,
    report::{Beginning, terminal},
    request::Deploy,
    runner::log_safe,
};

/// Whether the plan is carried out or only shown (invariant 8: showing changes nothing, anywhere).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Intent {
    /// Carry it out.
    CarryOut,
    /// Show it.
    Show,
}

/// What is known once the world has been read: everything that the executor needs.
struct Prepared {
    azure: ResourceManager,
    body: serde_json::Value,
    plan: Plan,
}

/// What is checked before any request is sent: this environment can be deployed by this version of the Action, and all
/// that it names was given.
///
/// # Errors
/// A request or configuration failure (exit status 2).
pub(super) fn check(environment: &Environment, secrets: &BTreeMap<String, Secret>) -> Result<(), Failure> {
    match environment.strategy {
        Strategy::Direct => {}
        Strategy::BlueGreen | Strategy::Canary => {
            let what = format!("strategy {} is not carried out by this version of deploy-action", environment.strategy.as_str());
            return Err(Failure::new(FailureKind::Request, what, format!("environment {}", environment.name))
                .meaning("nothing was touched")
                .next("deploy an environment with `strategy: direct`, or use a version of deploy-action that has this strategy"));
        }
    }
    if environment.container.ip == IpType::None {
        let what = "`container.ip: none` leaves the health gate nothing to ask, and a gate passes on evidence only";
        return Err(Failure::new(FailureKind::Configuration, what, format!("environment {}", environment.name))
            .meaning("nothing was touched")
            .next("give the instance an address: `ip: public`, or `ip: private` with a runner inside that network"));
    }
    let missing: Vec<&str> = environment.secrets.iter().map(String::as_str).filter(|name| !secrets.contains_key(*name)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let what = format!("{} is named in `secrets` but not given in the input container-secrets", missing.join(", "));
    Err(Failure::new(FailureKind::Request, what, format!("environment {}", environment.name))
        .meaning("nothing was touched: the container would start without it")
        .next(format!(
            "add a line to the step's `container-secrets`: {0}=${{{{ secrets.{0} }}}}",
            missing.first().copied().unwrap_or("NAME")
        )))
}

/// The rollout as the reports are told of it.
pub(super) fn rollout(session: &Session, config: &Config, environment: &Environment, request: &Deploy, id: &RolloutId) -> Rollout {
    let commit_url = request.sha.as_ref().and_then(|sha| session.runner.commit_url(sha.as_str()));
    Rollout {
        id: id.clone(),
        application: config.application.clone(),
        environment: environment.name.clone(),
        strategy: environment.strategy,
        resource_group: environment.resource_group.clone(),
        instance: environment.instance.to_string(),
        version: request.version.clone(),
        sha: request.sha.as_ref().map(ToString::to_string),
        git_ref: request.git_ref.clone(),
        actor: request.actor.clone(),
        repository: session.runner.repository().map(str::to_owned),
        commit_url,
        run_url: session.runner.run_url(),
        url: environment.url.as_ref().map(execute::shown),
        dashboard: config.notify.dashboard.as_ref().map(execute::shown),
        docs: config.notify.docs.as_ref().map(execute::shown),
    }
}

/// Carries `request` out, or shows its plan. `id` is the rollout's id. Once the request has been checked every way out is an
/// ending, told to the reports, with the outputs written.
///
/// # Errors
/// What [`check`] finds: nothing has been sent yet.
pub(super) async fn deploy(
    session: &Session,
    config: &Config,
    request: &Deploy,
    id: &RolloutId,
    intent: Intent,
) -> Result<Ending, Failure> {
    let begun = Instant::now();
    let Some(environment) = config.environments.get(&request.environment) else {
        let what = format!("environment {} is not configured", request.environment);
        return Err(Failure::new(FailureKind::Request, what, session.inputs.config.display().to_string()));
    };
    check(environment, &session.inputs.container_secrets)?;
    session.inputs.azure.login()?;
    let told = rollout(session, config, environment, request, id);
    let beginning = if session.runner.saved("rollout").is_some() { Beginning::Resumed } else { Beginning::New };
    let (emitter, reports) = session.reports(config, id, intent, beginning);
    emitter.emit(Happening::Requested { rollout: told.clone() });
    if let Err(error) = session.begin(&told) {
        emitter.emit(Happening::Warned {
            text: format!("GITHUB_STATE cannot be written ({error}): an interrupted run could not be finished"),
        });
    }
    for name in &session.inputs.unmaskable {
        emitter.emit(Happening::Warned { text: format!("the secret {name} is too short to be masked in logs") });
    }
    let ending = match prepare(session, config, environment, request, &told, &emitter).await {
        Err(failure) => Ending::refused(failure),
        Ok(prepared) => match intent {
            Intent::Show => {
                show(session, &prepared.plan, &told);
                Ending { outcome: Outcome::Unchanged, exit: ExitStatus::Success, failure: None, url: None }
            }
            Intent::CarryOut => {
                let execution = Execution {
                    azure: &prepared.azure,
                    http: &session.http,
                    environment,
                    body: &prepared.body,
                    emitter: &emitter,
                    cancel: session.cancel.clone(),
                };
                execute::run(&prepared.plan, &execution).await
            }
        },
    };
    ending.tell(&emitter, begun.elapsed());
    drop(emitter);
    let story = reports.finish(super::REPORTS_LIMIT).await;
    if let Err(error) = session.end(&ending, &story) {
        eprintln!("warning: GITHUB_OUTPUT cannot be written: {error}");
    }
    Ok(ending)
}

/// Prints the plan, at a terminal for people or as JSON for programs.
fn show(session: &Session, plan: &Plan, told: &Rollout) {
    let text = match session.inputs.format {
        Format::Text => terminal::plan_text(plan, told),
        Format::Json => serde_json::to_string_pretty(plan).unwrap_or_default(),
    };
    println!("{}", session.inputs.masks.scrub(&log_safe(&text)));
}

/// Reads the world and plans. Sends no request that changes anything (invariant 8).
async fn prepare(
    session: &Session,
    config: &Config,
    environment: &Environment,
    request: &Deploy,
    told: &Rollout,
    emitter: &Emitter,
) -> Result<Prepared, Failure> {
    let on_retry = wiring::on_retry(emitter);
    let azure = wiring::azure(session, on_retry.clone())?;
    let group = environment.resource_group.as_str();
    let login = session.registry_login();
    // Reads that do not depend on each other: the image at its registry, and the group and instance at Azure.
    let image =
        async { registry::resolve(&session.http, &config.image, &request.version, login.as_ref(), &on_retry).await.map_err(Failure::from) };
    let world = async {
        let existence = container_groups::resource_group_exists(&azure, group).await?;
        wiring::require(existence, environment, &config.location)?;
        Ok::<_, Failure>(container_groups::get(&azure, group, &environment.instance).await?)
    };
    let mut cancel = session.cancel.clone();
    let (digest, instance) = tokio::select! {
        biased;
        signal = cancel.asked() => return Err(cancelled(signal)),
        read = async { tokio::try_join!(image, world) } => read.map_err(untouched)?,
    };
    let image = ImageReference { repository: config.image.clone(), version: request.version.clone(), digest };
    let tags = tags(told, &image, instance.as_ref());
    let body = definition::body(&definition::Wanted {
        name: &environment.instance,
        location: &config.location,
        container: &environment.container,
        image: &image,
        env: &environment.env,
        secrets: &session.inputs.container_secrets,
        secret_env: &environment.secrets,
        registry: login,
        tags: &tags,
    })?;
    let comparison = instance.as_ref().map(|instance| definition::compare(instance, &body));
    let existing = instance.as_ref().zip(comparison.as_ref());
    let plan = plan::direct(&told.id, environment, &image, existing, notices(session, environment));
    let observed = Observed { instances: instance.into_iter().collect(), profile: None, at: Timestamp::now() };
    emitter.emit(Happening::Planned { image, observed: Box::new(observed), plan: plan.clone() });
    Ok(Prepared { azure, body, plan })
}

fn cancelled(signal: &str) -> Failure {
    Failure::new(FailureKind::Cancelled, format!("the run was cancelled ({signal})"), "this workflow run")
        .meaning("nothing was changed")
        .next("run the workflow again when you want it deployed")
}

/// What a reader should know before it starts.
fn notices(session: &Session, environment: &Environment) -> Vec<String> {
    let mut notices = Vec::new();
    if session.pulls_with_the_workflows_token() {
        notices.push(
            "registry-password is the workflow's own token, which ends with this job: Azure could not pull the image again after a \
             later restart. Give a token with read:packages, or `container.registry-identity`."
                .into(),
        );
    }
    if !environment.secrets.is_empty() {
        notices.push(format!(
            "Azure does not give secret values back, so a changed value of {} alone is not noticed: change any value under `env` to \
             have it rolled out.",
            environment.secrets.join(", ")
        ));
    }
    notices
}

/// Everything that fails before the plan is made has touched nothing, and says so.
fn untouched(mut failure: Failure) -> Failure {
    if failure.consequence.is_empty() {
        failure.consequence = "nothing was touched; what ran before still runs".into();
    }
    failure
}

/// The Action's tags (DESIGN "The world is the journal").
fn tags(told: &Rollout, image: &ImageReference, existing: Option<&Instance>) -> Tags {
    Tags {
        rollout: Some(told.id.clone()),
        version: Some(image.version.clone()),
        sha: told.sha.clone(),
        digest: Some(image.digest.clone()),
        role: Some(Role::Stable.as_str().to_owned()),
        run: told.run_url.clone(),
        stable_since: None,
        // A PUT replaces all tags: those that other people or policies put there stay theirs.
        others: existing.map(|instance| instance.tags.others.clone()).unwrap_or_default(),
    }
}
