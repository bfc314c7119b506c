//! A rollout, from request to reports: claims, reads, plans, carries out. Joins the parts and decides nothing itself.

use tokio::time::Instant;

use super::{
    Session, claim, news, preflight, prepare,
    prepare::Prepared,
    rehearsal::{self, Looked},
};
use crate::{
    cli::Format,
    config::{Config, Environment, OnBreach},
    domain::{EnvironmentName, ExitStatus, Outcome, RolloutId, Strategy},
    execute::{self, Emitter, Ending, Execution, Happening, Rollout},
    failure::{Failure, FailureKind},
    plan::{Aim, Plan, blue_green::Stuck, canary::Pace, preflight::Checklist},
    report::{Beginning, terminal},
    request::{Decision, Deploy},
    runner::log_safe,
};

/// Whether the plan is carried out or only shown (invariant 8: showing changes nothing, anywhere).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Intent {
    /// Carry it out.
    CarryOut,
    /// Show it.
    Show,
    /// Go through the checklist before it, and nothing else.
    Check,
}

/// What is asked of an environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Asked {
    /// Bring a version to it.
    Deploy(Deploy),
    /// Go back.
    RollBack(Decision),
    /// Trust what is held.
    Promote(Decision),
    /// Make safe, or finish, what an interrupted run left.
    MakeSafe(Interrupted),
}

/// A run that did not end, as far as it is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Interrupted {
    /// Where.
    pub(super) environment: EnvironmentName,
    /// What it was for.
    pub(super) aim: Aim,
    /// The commit that it was to deploy.
    pub(super) sha: Option<String>,
    /// Who has it made safe.
    pub(super) actor: Option<String>,
}

impl Asked {
    /// Of which environment.
    pub(super) const fn environment(&self) -> &EnvironmentName {
        match self {
            Self::Deploy(deploy) => &deploy.environment,
            Self::RollBack(decision) | Self::Promote(decision) => &decision.environment,
            Self::MakeSafe(interrupted) => &interrupted.environment,
        }
    }

    /// What a plan for it is for.
    pub(super) const fn aim(&self) -> Aim {
        match self {
            Self::Deploy(_) => Aim::Deploy,
            Self::RollBack(_) => Aim::RollBack,
            Self::Promote(_) => Aim::Promote,
            Self::MakeSafe(_) => Aim::MakeSafe,
        }
    }
}

/// The rollout as the reports are told of it.
pub(super) fn rollout(session: &Session, config: &Config, environment: &Environment, asked: &Asked, id: &RolloutId) -> Rollout {
    let (version, sha, git_ref, actor) = match asked {
        Asked::Deploy(deploy) => (Some(deploy.version.clone()), deploy.sha.as_ref(), deploy.git_ref.clone(), deploy.actor.clone()),
        Asked::RollBack(decision) | Asked::Promote(decision) => (decision.version.clone(), None, None, decision.actor.clone()),
        // Which version that comes to is for the world to say.
        Asked::MakeSafe(interrupted) => (None, None, None, interrupted.actor.clone()),
    };
    let interrupted = match asked {
        Asked::Deploy(_) | Asked::RollBack(_) | Asked::Promote(_) => None,
        Asked::MakeSafe(interrupted) => interrupted.sha.clone(),
    };
    Rollout {
        id: id.clone(),
        aim: asked.aim(),
        application: config.application.clone(),
        environment: environment.name.clone(),
        strategy: environment.strategy,
        resource_group: environment.resource_group.clone(),
        instance: prepare::instance_words(environment),
        version,
        commit_url: sha.and_then(|sha| session.runner.commit_url(sha.as_str())),
        sha: sha.map(ToString::to_string),
        interrupted,
        git_ref,
        actor,
        repository: session.runner.repository().map(str::to_owned),
        run_url: session.runner.run_url(),
        url: environment.url.as_ref().map(execute::shown),
        dashboard: config.notify.dashboard.as_ref().map(execute::shown),
        docs: config.notify.docs.as_ref().map(execute::shown),
    }
}

/// Carries out what is asked, or shows its plan. `id` is the rollout's id. Once the request has been checked every way out is
/// an ending, told to the reports, with the outputs written.
///
/// # Errors
/// What [`prepare::check`] finds: nothing has been sent yet.
pub(super) async fn carry_out(
    session: &Session,
    config: &Config,
    asked: &Asked,
    id: &RolloutId,
    intent: Intent,
) -> Result<Ending, Failure> {
    let begun = Instant::now();
    let Some(environment) = config.environments.get(asked.environment()) else {
        let what = format!("environment {} is not configured", asked.environment());
        return Err(Failure::new(FailureKind::Request, what, session.inputs.config.display().to_string()));
    };
    prepare::check(config, environment, asked, &session.inputs)?;
    session.inputs.azure.login()?;
    let told = rollout(session, config, environment, asked, id);
    let beginning = match asked {
        Asked::MakeSafe(_) => Beginning::Left,
        Asked::Deploy(_) | Asked::RollBack(_) | Asked::Promote(_) if session.runner.saved("rollout").is_some() => Beginning::Resumed,
        Asked::Deploy(_) | Asked::RollBack(_) | Asked::Promote(_) => Beginning::New,
    };
    let (emitter, reports) = session.reports(config, id, intent, beginning);
    emitter.emit(Happening::Requested { rollout: told.clone() });
    if intent == Intent::CarryOut
        && let Err(error) = session.begin(&told)
    {
        emitter.emit(Happening::Warned {
            text: format!("GITHUB_STATE cannot be written ({error}): an interrupted run could not be finished"),
        });
    }
    for name in &session.inputs.unmaskable {
        emitter.emit(Happening::Warned { text: format!("the secret {name} is too short to be masked in logs") });
    }
    let ending = match intent {
        Intent::Show => match prepare::prepare(session, config, environment, asked, &told, &emitter).await {
            Err(failure) => Ending::refused(failure),
            Ok(prepared) => {
                let applies = preflight::applies(environment, asked, &prepared);
                let checked = checked(session, config, environment, asked, &prepared, applies, &emitter).await;
                let looked = match asked {
                    Asked::RollBack(_) => rehearsal::look(session, environment, &prepared).await,
                    Asked::Deploy(_) | Asked::Promote(_) | Asked::MakeSafe(_) => Vec::new(),
                };
                show(session, &prepared.plan, checked.refusal.as_ref(), &looked, &told);
                rehearsal::wrong(&looked).map_or_else(unchanged, Ending::refused)
            }
        },
        Intent::Check => {
            let Checked { checklist, refusal } = check(session, config, environment, asked, &told, &emitter, Whether::Always).await;
            if session.inputs.format == Format::Json {
                print(session, &serde_json::to_string_pretty(&checklist).unwrap_or_default());
            }
            refusal.map_or_else(unchanged, Ending::refused)
        }
        Intent::CarryOut => match check(session, config, environment, asked, &told, &emitter, Whether::ItBegins).await.refusal {
            Some(failure) => Ending::refused(failure),
            None => alone(session, config, environment, asked, &told, &emitter).await,
        },
    };
    ending.tell(&emitter, begun.elapsed());
    drop(emitter);
    let limit = match session.cancel.now() {
        Some(_) => super::CANCELLED_REPORTS_LIMIT,
        None => super::REPORTS_LIMIT,
    };
    let story = reports.finish(limit).await;
    if let Err(error) = session.end(&ending, &story) {
        eprintln!("warning: GITHUB_OUTPUT cannot be written: {error}");
    }
    Ok(ending)
}

/// Nothing was asked to change.
fn unchanged() -> Ending {
    Ending { outcome: Outcome::Unchanged, exit: ExitStatus::Success, failure: None, url: None, started: 0 }
}

/// When the checklist is gone through.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Whether {
    /// In any case.
    Always,
    /// Where a release begins.
    ItBegins,
}

/// What came of the checklist before a release.
#[derive(Default)]
struct Checked {
    /// It, where it was gone through.
    checklist: Option<Checklist>,
    /// Why the release is refused, if it is.
    refusal: Option<Failure>,
}

/// Goes through the checklist before a release, where there is one, before anything is written anywhere: also not the claim.
async fn check(
    session: &Session,
    config: &Config,
    environment: &Environment,
    asked: &Asked,
    told: &Rollout,
    emitter: &Emitter,
    whether: Whether,
) -> Checked {
    if environment.canary.is_none() || asked.aim() != Aim::Deploy {
        return Checked::default();
    }
    let prepared = match prepare::again(session, config, environment, asked, told, emitter, Pace::Instant).await {
        Ok(prepared) => prepared,
        Err(failure) => return Checked { checklist: None, refusal: Some(failure) },
    };
    let applies = match whether {
        Whether::Always => preflight::asked_for(environment, asked),
        Whether::ItBegins => preflight::applies(environment, asked, &prepared),
    };
    let mut cancel = session.cancel.clone();
    tokio::select! {
        biased;
        signal = cancel.asked() => Checked { checklist: None, refusal: Some(prepare::cancelled(signal)) },
        checked = checked(session, config, environment, asked, &prepared, applies, emitter) => checked,
    }
}

/// What comes of the checklist that applies. Without one, a version that is older than what runs is refused all the same.
async fn checked(
    session: &Session,
    config: &Config,
    environment: &Environment,
    asked: &Asked,
    prepared: &Prepared,
    applies: Option<preflight::Applies<'_>>,
    emitter: &Emitter,
) -> Checked {
    match applies {
        None => Checked { checklist: None, refusal: preflight::older(environment, asked, &prepared.observed) },
        Some(applies) => {
            let (checklist, refusal) = preflight::go_through(session, config, environment, applies, prepared, emitter).await;
            Checked { checklist: Some(checklist), refusal }
        }
    }
}

/// Claims the environment, carries out what is asked, and gives the claim back.
async fn alone(session: &Session, config: &Config, environment: &Environment, asked: &Asked, told: &Rollout, emitter: &Emitter) -> Ending {
    let held = match claim::claim(session, environment, asked, told, emitter).await {
        Ok(held) => held,
        Err(failure) => return Ending::refused(failure),
    };
    // What was read before the claim may have changed since: the world is read by whoever has it for themselves.
    let ending = match prepare::prepare(session, config, environment, asked, told, emitter).await {
        Err(failure) => Ending::refused(failure),
        Ok(Prepared { azure, bodies, plan, hands, observed, .. }) => {
            let execution = Execution {
                azure: &azure,
                http: &session.http,
                environment,
                metrics: config.metrics.as_ref(),
                plan: &plan,
                bodies: &bodies,
                run_url: told.run_url.as_deref(),
                emitter,
                claim: held.as_ref(),
                cancel: session.cancel.clone(),
                offset: 0,
            };
            // Dropped with the rollout's end, whether it has an answer by then or not.
            let _news = news::look_up(session, &plan, told, &observed, emitter);
            let ending = unwatched(&plan, execute::run(hands, &execution).await, environment);
            match go_back(&plan, &ending, environment) {
                None => ending,
                Some(pace) => came_back(session, config, &execution, ending, pace, told).await,
            }
        }
    };
    claim::release(held, emitter).await;
    ending
}

/// A promoted version that a run after its own gave to every stable instance was not watched to the end: that is for a person.
fn unwatched(plan: &Plan, ending: Ending, environment: &Environment) -> Ending {
    match (plan.strategy, plan.aim, ending.outcome) {
        (Strategy::Canary, Aim::Finish, Outcome::Healthy) if plan.is_promoted(plan.steps.len()) => {
            let failure = prepare::left_to_a_person(&Stuck::Unproven, environment)
                .meaning(format!("it passed every phase, and every stable instance of {} runs it", environment.name));
            Ending { outcome: Outcome::Held, exit: ExitStatus::PersonNeeded, failure: Some(failure), ..ending }
        }
        _ => ending,
    }
}

/// Whether a version that runs everywhere, and broke a rule while it was stabilized, is to be taken back, and how.
fn go_back(plan: &Plan, ending: &Ending, environment: &Environment) -> Option<Pace> {
    let stabilize = environment.canary.as_ref()?.stabilize.as_ref()?;
    let failure = ending.failure.as_ref()?;
    let is_sick = matches!(
        failure.kind,
        FailureKind::Breach | FailureKind::Start | FailureKind::CrashLoop | FailureKind::OutOfMemory | FailureKind::Smoke
    );
    if plan.aim != Aim::Deploy || !is_sick || !plan.is_everywhere(ending.started) {
        return None;
    }
    Some(match stabilize.on_breach {
        OnBreach::Staged => Pace::Staged,
        OnBreach::Instant => Pace::Instant,
    })
}

/// The version before is brought back: another plan of the same rollout, from the world as it is now.
async fn came_back(session: &Session, config: &Config, before: &Execution<'_>, ending: Ending, pace: Pace, told: &Rollout) -> Ending {
    let Execution { environment, emitter, plan: first, .. } = *before;
    let Some(failure) = ending.failure.clone() else { return ending };
    let decision = Decision { environment: environment.name.clone(), version: first.previous.clone(), actor: told.actor.clone() };
    let asked = Asked::RollBack(decision);
    let prepared = match prepare::again(session, config, environment, &asked, told, emitter, pace).await {
        Ok(prepared) => prepared,
        Err(error) => {
            let what = format!("{}; and the version before cannot be brought back: {}", failure.what, error.what);
            let failure = Failure { what, next: error.next, ..failure };
            return Ending { outcome: Outcome::Held, exit: ExitStatus::PersonNeeded, failure: Some(failure), ..ending };
        }
    };
    emitter.emit(Happening::TakingBack { failure: failure.clone(), steps: prepared.plan.steps.clone() });
    let execution = Execution {
        azure: &prepared.azure,
        plan: &prepared.plan,
        bodies: &prepared.bodies,
        cancel: before.cancel.clone(),
        offset: first.steps.len(),
        ..*before
    };
    let back = execute::run(prepared.hands, &execution).await;
    match back.failure {
        None => {
            let version = first.previous.as_ref().map_or_else(|| "the version before".to_owned(), ToString::to_string);
            let failure = failure.meaning(format!("{version} was brought back and serves everyone"));
            Ending { outcome: Outcome::RolledBack, exit: ExitStatus::NotDeployed, failure: Some(failure), ..back }
        }
        Some(error) => {
            let what = format!("{}; and bringing the version before back failed: {}", failure.what, error.what);
            Ending { failure: Some(Failure { what, ..error }), ..back }
        }
    }
}

/// Prints the plan, at a terminal for people or as JSON for programs, why it would be refused as things stand, and what was `looked`
/// at besides.
fn show(session: &Session, plan: &Plan, refusal: Option<&Failure>, looked: &[Looked], told: &Rollout) {
    let refused = refusal.map(|refusal| format!("As things stand it would be refused: {}", refusal.what));
    let text = match session.inputs.format {
        Format::Text => {
            let needs = (!looked.is_empty()).then(|| rehearsal::text(looked));
            [terminal::plan_text(plan, told)].into_iter().chain(refused).chain(needs).collect::<Vec<_>>().join("\n")
        }
        Format::Json => {
            let mut plan = plan.clone();
            plan.notices.extend(refused);
            let mut plan = serde_json::to_value(&plan).unwrap_or_default();
            if !looked.is_empty() {
                plan["needs"] = rehearsal::json(looked);
            }
            serde_json::to_string_pretty(&plan).unwrap_or_default()
        }
    };
    print(session, &text);
}

fn print(session: &Session, text: &str) {
    println!("{}", session.inputs.masks.scrub(&log_safe(text)));
}
