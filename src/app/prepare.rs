//! Reading the world and planning: everything that the executor needs, made without a request that changes anything.

use std::{collections::BTreeMap, sync::Arc};

use jiff::Timestamp;

use super::{
    Session, canary,
    carry_out::{Asked, Interrupted},
    wiring,
};
use crate::{
    azure::{ResourceManager, container_groups, definition, traffic_manager},
    cli::{Inputs, RollbackStrategy},
    config::{BlueGreen, Config, Environment, IpType},
    domain::{ImageReference, InstanceName, Role, RolloutId, Slot, Strategy},
    execute::{Emitter, Hands, Happening, Rollout},
    failure::{Failure, FailureKind},
    gate,
    observe::{Instance, Observed, Tags},
    plan::{self, Aim, Plan, blue_green, canary::Pace},
    registry,
    request::Deploy,
};

/// What is known once the world has been read: everything that the executor needs.
pub(super) struct Prepared {
    pub(super) azure: Arc<ResourceManager>,
    pub(super) bodies: BTreeMap<InstanceName, serde_json::Value>,
    pub(super) plan: Plan,
    pub(super) hands: Hands,
    pub(super) image: Option<ImageReference>,
    pub(super) observed: Observed,
}

/// The environment's instances in a word: one name, or the slots'.
pub(super) fn instance_words(environment: &Environment) -> String {
    match &environment.blue_green {
        Some(blue_green) => format!("{} | {}", blue_green.blue.instance, blue_green.green.instance),
        None => environment.instance.to_string(),
    }
}

/// What is checked before any request is sent: this environment can be deployed by this version of the Action, and all
/// that it names was given.
///
/// # Errors
/// A request or configuration failure (exit status 2).
pub(super) fn check(config: &Config, environment: &Environment, asked: &Asked, inputs: &Inputs) -> Result<(), Failure> {
    let configuration = |what: String| {
        Failure::new(FailureKind::Configuration, what, format!("environment {}", environment.name)).meaning("nothing was touched")
    };
    match environment.strategy {
        Strategy::Direct => {}
        Strategy::BlueGreen => blue_green_fits(config, environment, asked, inputs, configuration)?,
        Strategy::Canary => canary::fits(config, environment, asked, inputs, configuration)?,
    }
    if environment.container.ip == IpType::None {
        return Err(configuration("`container.ip: none` leaves the health gate nothing to ask, and a gate passes on evidence only".into())
            .next("give the instance an address: `ip: public`, or `ip: private` with a runner inside that network"));
    }
    let Asked::Deploy(_) = asked else { return Ok(()) };
    let named = environment.secrets.iter().map(|name| (name.as_str(), "secrets")).chain(environment.container.secrets());
    let missing: Vec<(&str, &str)> = named.filter(|(name, _)| !inputs.container_secrets.contains_key(*name)).collect();
    let Some((first, _)) = missing.first() else { return Ok(()) };
    let named: Vec<String> = missing.iter().map(|(name, by)| format!("{name} is named in `{by}`")).collect();
    let what = format!("{} but not given in the input container-secrets", named.join(", "));
    Err(Failure::new(FailureKind::Request, what, format!("environment {}", environment.name))
        .meaning("nothing was touched: the container would start without it")
        .next(format!("add a line to the step's `container-secrets`: {first}=${{{{ secrets.{first} }}}}")))
}

/// What the blue-green strategy asks of a configuration beside what every strategy does.
fn blue_green_fits(
    config: &Config,
    environment: &Environment,
    asked: &Asked,
    inputs: &Inputs,
    wrong: impl Fn(String) -> Failure,
) -> Result<(), Failure> {
    let Some(blue_green) = &environment.blue_green else {
        return Err(wrong("the slots of the blue-green strategy are not configured".into()));
    };
    behind_traffic_manager(environment, &wrong)?;
    match &blue_green.observe {
        // Nothing else watches, and nothing keeps anybody from going back.
        Some(observe) if asked.aim() == Aim::Deploy => {
            gate::check(&blue_green::with_health(&observe.rules), &wiring::given(config, inputs))
        }
        Some(_) | None => Ok(()),
    }
}

/// What every strategy that moves traffic asks of the instances.
pub(super) fn behind_traffic_manager(environment: &Environment, wrong: &impl Fn(String) -> Failure) -> Result<(), Failure> {
    if environment.container.ip != IpType::Public || !environment.container.subnets.is_empty() {
        return Err(wrong("a container group in a virtual network has no public name, and cannot stand behind Traffic Manager".into())
            .next("use `container.ip: public` without `subnets`, or `strategy: direct`"));
    }
    if environment.container.dns_label.is_some() {
        return Err(wrong("`container.dns-label` would give both slots the same name".into())
            .next("leave it out: each slot's instance then has its own name"));
    }
    Ok(())
}

/// Reads the world and plans. Sends no request that changes anything (invariant 8).
///
/// # Errors
/// Whatever keeps a plan from being made; nothing has been touched.
pub(super) async fn prepare(
    session: &Session,
    config: &Config,
    environment: &Environment,
    asked: &Asked,
    told: &Rollout,
    emitter: &Emitter,
) -> Result<Prepared, Failure> {
    let pace = match session.inputs.strategy {
        Some(RollbackStrategy::Staged) => Pace::Staged,
        Some(RollbackStrategy::Instant) | None => Pace::Instant,
    };
    let prepared = again(session, config, environment, asked, told, emitter, pace).await?;
    let Prepared { plan, image, observed, .. } = &prepared;
    emitter.emit(Happening::Planned { image: image.clone(), observed: Box::new(observed.clone()), plan: plan.clone() });
    Ok(prepared)
}

/// The same for another plan of a rollout that was told of already. `pace` is how a rollback goes.
///
/// # Errors
/// Whatever keeps a plan from being made.
pub(super) async fn again(
    session: &Session,
    config: &Config,
    environment: &Environment,
    asked: &Asked,
    told: &Rollout,
    emitter: &Emitter,
    pace: Pace,
) -> Result<Prepared, Failure> {
    let azure = Arc::new(wiring::azure(session, wiring::on_retry(emitter))?);
    let work = async {
        match (&environment.blue_green, &environment.canary, asked) {
            (None, None, Asked::Deploy(deploy)) => direct(session, config, environment, deploy, told, emitter, &azure).await,
            (Some(blue_green), _, asked) => slots(session, config, environment, blue_green, asked, told, emitter, &azure).await,
            (None, Some(strategy), asked) => {
                let reading = canary::Reading { session, config, environment, canary: strategy, told, emitter, azure: &azure };
                canary::plan(&reading, asked, pace).await
            }
            (None, None, Asked::RollBack(_) | Asked::Promote(_) | Asked::MakeSafe(_)) => {
                Err(Failure::new(FailureKind::Internal, "this is not asked of an environment without a profile", environment.name.as_str()))
            }
        }
    };
    let mut cancel = session.cancel.clone();
    let (bodies, plan, image, observed) = tokio::select! {
        biased;
        signal = cancel.asked() => return Err(cancelled(signal)),
        made = work => made.map_err(untouched)?,
    };
    let sources = match environment.profile() {
        Some(_) => {
            let observe = environment.blue_green.as_ref().and_then(|blue_green| blue_green.observe.as_ref()).map(|observe| observe.every);
            let abort = environment.canary.as_ref().and_then(|canary| canary.abort.as_ref()).map(|abort| abort.every);
            let every = observe.or(abort).unwrap_or(environment.health.every);
            Some(wiring::sources(session, config, environment, Arc::clone(&azure), every).map_err(untouched)?)
        }
        None => None,
    };
    let hands = Hands::new(&observed, sources);
    Ok(Prepared { azure, bodies, plan, hands, image, observed })
}

pub(super) type Made = (BTreeMap<InstanceName, serde_json::Value>, Plan, Option<ImageReference>, Observed);

/// The image at its registry.
pub(super) async fn image(session: &Session, config: &Config, deploy: &Deploy, emitter: &Emitter) -> Result<ImageReference, Failure> {
    let login = session.registry_login();
    let digest = registry::resolve(&session.http, &config.image, &deploy.version, login.as_ref(), &wiring::on_retry(emitter)).await?;
    Ok(ImageReference { repository: config.image.clone(), version: deploy.version.clone(), digest })
}

/// The container group as it is wanted.
pub(super) fn body(
    session: &Session,
    config: &Config,
    environment: &Environment,
    name: &InstanceName,
    image: &ImageReference,
    tags: &Tags,
) -> Result<serde_json::Value, Failure> {
    definition::body(&definition::Wanted {
        name,
        location: &config.location,
        container: &environment.container,
        image,
        env: &environment.env,
        secrets: &session.inputs.container_secrets,
        secret_env: &environment.secrets,
        registry: session.registry_login(),
        tags,
    })
}

async fn direct(
    session: &Session,
    config: &Config,
    environment: &Environment,
    deploy: &Deploy,
    told: &Rollout,
    emitter: &Emitter,
    azure: &ResourceManager,
) -> Result<Made, Failure> {
    let group = environment.resource_group.as_str();
    // Reads that do not depend on each other: the image at its registry, and the group and instance at Azure.
    let world = async {
        let existence = container_groups::resource_group_exists(azure, group).await?;
        wiring::require(existence, environment, &config.location)?;
        Ok::<_, Failure>(container_groups::get(azure, group, &environment.instance).await?)
    };
    let (image, instance) = tokio::try_join!(image(session, config, deploy, emitter), world)?;
    let tags = tags(told, &image, Role::Stable, instance.as_ref(), instance.as_ref());
    let body = body(session, config, environment, &environment.instance, &image, &tags)?;
    let comparison = instance.as_ref().map(|instance| definition::compare(instance, &body));
    let existing = instance.as_ref().zip(comparison.as_ref());
    let plan = plan::direct(&told.id, environment, &image, existing, notices(session, config, environment));
    let observed = Observed { instances: instance.into_iter().collect(), profile: None, at: Timestamp::now() };
    Ok((BTreeMap::from([(environment.instance.clone(), body)]), plan, Some(image), observed))
}

#[expect(clippy::too_many_arguments, reason = "everything that a plan is made of, each once")]
async fn slots(
    session: &Session,
    config: &Config,
    environment: &Environment,
    blue_green: &BlueGreen,
    asked: &Asked,
    told: &Rollout,
    emitter: &Emitter,
    azure: &ResourceManager,
) -> Result<Made, Failure> {
    let image = async {
        match asked {
            Asked::Deploy(deploy) => image(session, config, deploy, emitter).await.map(Some),
            Asked::RollBack(_) | Asked::Promote(_) | Asked::MakeSafe(_) => Ok(None),
        }
    };
    let (image, observed) = tokio::try_join!(image, observe(config, environment, blue_green, azure))?;
    let mut notices = notices(session, config, environment);
    if let Some(profile) = &observed.profile {
        let group = &environment.resource_group;
        let ours = [blue_green.blue.endpoint.as_str(), blue_green.green.endpoint.as_str()];
        // A rollback goes through whatever is there: it may be what mends it.
        if asked.aim() == Aim::Deploy
            && let Some(failure) = traffic_manager::refuse(profile, group, &ours)
        {
            return Err(failure);
        }
        notices.extend(traffic_manager::warnings(profile, group, &ours));
    }
    let world = blue_green::World { rollout: &told.id, environment, blue_green, observed: &observed, repository: &config.image };
    let (bodies, plan) = match (asked, &image) {
        (Asked::Deploy(_), Some(image)) => {
            let previous = Slot::BOTH.into_iter().find_map(|slot| {
                let side = blue_green.slot(slot);
                let profile = observed.profile.as_ref()?;
                profile.endpoint(&side.endpoint).filter(|endpoint| endpoint.state == crate::observe::EndpointState::Enabled)?;
                observed.instance(&side.instance)
            });
            let wanted = |slot: Slot| {
                let name = &blue_green.slot(slot).instance;
                let existing = observed.instance(name);
                let tags = tags(told, image, Role::Canary, existing, previous);
                let body = body(session, config, environment, name, image, &tags)?;
                let comparison = existing.map(|existing| definition::compare(existing, &body));
                Ok::<_, Failure>((body, comparison))
            };
            let ((blue_body, blue), (green_body, green)) = (wanted(Slot::Blue)?, wanted(Slot::Green)?);
            let wanted = blue_green::Wanted { image, blue: blue.as_ref(), green: green.as_ref() };
            let plan = blue_green::deploy(&world, &wanted, notices)?;
            let bodies = BTreeMap::from([(blue_green.blue.instance.clone(), blue_body), (blue_green.green.instance.clone(), green_body)]);
            (bodies, plan)
        }
        (Asked::RollBack(decision), _) => (BTreeMap::new(), blue_green::rollback(&world, decision.version.as_ref())?),
        (Asked::Promote(_), _) => (BTreeMap::new(), blue_green::promote(&world)?),
        (Asked::MakeSafe(interrupted), _) => match blue_green::for_a_person(&world)? {
            Some(stuck) => return Err(left_to_a_person(&stuck, environment)),
            None => (BTreeMap::new(), blue_green::make_safe(&world, interrupted.aim)?),
        },
        (Asked::Deploy(_), None) => {
            return Err(Failure::new(FailureKind::Internal, "the image was not looked up", environment.name.as_str()));
        }
    };
    let image = image.or_else(|| plan.image.clone());
    Ok((bodies, plan, image, observed))
}

/// Both slots' instances and the profile in front of them.
pub(super) async fn observe(
    config: &Config,
    environment: &Environment,
    blue_green: &BlueGreen,
    azure: &ResourceManager,
) -> Result<Observed, Failure> {
    let group = environment.resource_group.as_str();
    let existence = async {
        let existence = container_groups::resource_group_exists(azure, group).await?;
        wiring::require(existence, environment, &config.location)
    };
    let instance = |name| async move { container_groups::get(azure, group, name).await.map_err(Failure::from) };
    let profile = async { traffic_manager::get(azure, group, &blue_green.profile.name).await.map_err(Failure::from) };
    let ((), blue, green, profile) =
        tokio::try_join!(existence, instance(&blue_green.blue.instance), instance(&blue_green.green.instance), profile)?;
    Ok(Observed { instances: blue.into_iter().chain(green).collect(), profile, at: Timestamp::now() })
}

/// What an earlier run left of an environment with slots.
pub(super) enum HalfWay {
    /// Nothing that is half-way.
    No,
    /// Something: this rollout did not end.
    Yes {
        /// Its id, by the world's tags.
        rollout: RolloutId,
        /// What it was about.
        interrupted: Interrupted,
    },
    /// A rollout that is held.
    Held(String),
    /// Something that only a person can decide, and nobody was told of yet.
    Stuck(Failure),
}

/// Looks whether an earlier run left the environment half-way. Reads only.
///
/// # Errors
/// When Azure cannot be read, or nobody can tell what is live.
pub(super) async fn is_left_half_way(session: &Session, config: &Config, environment: &Environment) -> Result<HalfWay, Failure> {
    let azure = wiring::azure(session, wiring::print_retries())?;
    if let Some(strategy) = &environment.canary {
        return canary::is_left_half_way(session, config, environment, strategy, &azure).await;
    }
    let Some(blue_green) = &environment.blue_green else { return Ok(HalfWay::No) };
    let observed = observe(config, environment, blue_green, &azure).await?;
    let own = session.rollout_id(&environment.name)?;
    let world = |rollout| blue_green::World { rollout, environment, blue_green, observed: &observed, repository: &config.image };
    match blue_green::for_a_person(&world(&own))? {
        Some(blue_green::Stuck::Held { why }) => return Ok(HalfWay::Held(why)),
        Some(stuck @ blue_green::Stuck::Unproven) => return Ok(HalfWay::Stuck(left_to_a_person(&stuck, environment))),
        None => {}
    }
    let left = blue_green::left(&world(&own))?.map(|instance| &instance.tags);
    let rollout = left.and_then(|tags| tags.rollout.clone()).unwrap_or_else(|| own.clone());
    if !blue_green::make_safe(&world(&rollout), Aim::Deploy)?.changes_anything() {
        return Ok(HalfWay::No);
    }
    let interrupted = Interrupted {
        environment: environment.name.clone(),
        aim: Aim::Deploy,
        sha: left.and_then(|tags| tags.sha.clone()),
        actor: session.runner.context.actor.clone(),
    };
    Ok(HalfWay::Yes { rollout, interrupted })
}

/// The failure that it is to have to ask a person.
pub(super) fn left_to_a_person(stuck: &blue_green::Stuck, environment: &Environment) -> Failure {
    let name = &environment.name;
    let what = match stuck {
        blue_green::Stuck::Held { why } => format!("a rollout of {name} is held, and only a person can say how to go on: {why}"),
        blue_green::Stuck::Unproven => {
            format!("people in {name} are on a version that never passed its watch, and there is nothing to go back to")
        }
    };
    Failure::new(FailureKind::NoEvidence, what, format!("environment {name}"))
        .meaning("nothing was touched; people stay where they are")
        .next(format!("trust the version: command: promote, environment: {name}"))
        .next("or run its workflow again: it is watched from the beginning")
        .next("or deploy another version; where the one before still runs, `command: rollback` goes back to it")
}

pub(super) fn cancelled(signal: &str) -> Failure {
    Failure::new(FailureKind::Cancelled, format!("the run was cancelled ({signal})"), "this workflow run")
        .meaning("nothing was changed")
        .next("run the workflow again when you want it deployed")
}

/// What a reader should know before it starts.
pub(super) fn notices(session: &Session, config: &Config, environment: &Environment) -> Vec<String> {
    let mut notices = Vec::new();
    if config.notify.slack.is_none() {
        notices.push("Slack is switched off in deploy.yml: nobody is told there.".into());
    }
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

/// The Action's tags (DESIGN "The world is the journal"). `existing` is the instance that is written, `live` the one that
/// serves now: what a rollback would go back to.
pub(super) fn tags(told: &Rollout, image: &ImageReference, role: Role, existing: Option<&Instance>, live: Option<&Instance>) -> Tags {
    let previous = live.and_then(|live| match live.tags.version.as_ref() {
        Some(version) if *version == image.version => live.tags.previous.clone(),
        version => version.cloned(),
    });
    Tags {
        rollout: Some(told.id.clone()),
        version: Some(image.version.clone()),
        sha: told.sha.clone(),
        digest: Some(image.digest.clone()),
        role: Some(role.as_str().to_owned()),
        run: told.run_url.clone(),
        previous,
        stable_since: None,
        rolled_back_from: None,
        promoted: None,
        held: None,
        // A PUT replaces all tags: those that other people or policies put there stay theirs.
        others: existing.map(|instance| instance.tags.others.clone()).unwrap_or_default(),
    }
}
