//! Reading the world and planning for the canary strategy. Sends no request that changes anything.

use std::{collections::BTreeMap, time::Duration};

use jiff::Timestamp;

use super::{
    Session,
    carry_out::{Asked, Interrupted},
    prepare::{self, HalfWay, Made},
    wiring,
};
use crate::{
    azure::{ResourceManager, container_groups, definition, traffic_manager},
    cli::Inputs,
    config::{Canary, Config, Environment, Rule, Source},
    domain::{ImageReference, InstanceName, Role, RolloutId, Version},
    execute::{Emitter, Rollout},
    failure::{Failure, FailureKind},
    gate,
    github::deployments,
    observe::{Instance, Observed, Tags},
    plan::{
        Aim, Plan,
        blue_green::{self, Stuck},
        canary::{self, Deployments, History, Left, Pace, Ran, Wanted, WayBack, World},
    },
    registry,
    request::Deploy,
};

/// What reading and planning need.
pub(super) struct Reading<'a> {
    pub(super) session: &'a Session,
    pub(super) config: &'a Config,
    pub(super) environment: &'a Environment,
    pub(super) canary: &'a Canary,
    pub(super) told: &'a Rollout,
    pub(super) emitter: &'a Emitter,
    pub(super) azure: &'a ResourceManager,
}

/// What the canary strategy asks of a configuration beside what every strategy does. What has no effect yet is refused, not
/// passed over.
///
/// # Errors
/// A configuration failure.
pub(super) fn fits(
    config: &Config,
    environment: &Environment,
    asked: &Asked,
    inputs: &Inputs,
    wrong: impl Fn(String) -> Failure,
) -> Result<(), Failure> {
    let Some(canary) = &environment.canary else { return Err(wrong("the instances of the canary strategy are not configured".into())) };
    prepare::behind_traffic_manager(environment, &wrong)?;
    if asked.aim() != Aim::Deploy {
        return Ok(());
    }
    let given = wiring::given(config, inputs);
    for asked in canary.preflight.iter().flat_map(|preflight| &preflight.rules).filter(|asked| asked.source == Source::Written) {
        gate::check(std::slice::from_ref(&asked.rule), &given)?;
    }
    let abort = canary.abort.as_ref().map_or(&[][..], |abort| abort.rules.as_slice());
    let check = |rules: &[Rule]| gate::check(&blue_green::with_health(rules), &given);
    check(abort)?;
    for phase in &canary.phases {
        check(&phase.rules)?;
    }
    let Some(stabilize) = &canary.stabilize else { return Ok(()) };
    check(&stabilize.rules)?;
    gate::check_final(&stabilize.verify.checks, &given)
}

/// Reads, and plans what is asked. `pace` is how a rollback goes where the version before has to be started again.
///
/// # Errors
/// Whatever keeps a plan from being made; nothing has been touched.
pub(super) async fn plan(reading: &Reading<'_>, asked: &Asked, pace: Pace) -> Result<Made, Failure> {
    let made = planned(reading, asked, pace).await?;
    canary::can_be_set(&made.1)?;
    Ok(made)
}

async fn planned(reading: &Reading<'_>, asked: &Asked, pace: Pace) -> Result<Made, Failure> {
    let Reading { session, config, environment, emitter, .. } = reading;
    let observed = observe(config, environment, reading.canary, reading.azure).await?;
    let mut notices = prepare::notices(session, config, environment);
    if let Some(profile) = &observed.profile {
        let group = &environment.resource_group;
        let ours: Vec<&str> = all(reading.canary).map(InstanceName::as_str).collect();
        if asked.aim() == Aim::Deploy
            && let Some(failure) = traffic_manager::refuse(profile, group, &ours)
        {
            return Err(failure);
        }
        notices.extend(traffic_manager::warnings(profile, group, &ours));
    }
    let world = world(reading, &observed);
    let made = |(plan, bodies): (Plan, Bodies)| {
        let image = plan.image.clone();
        (bodies, plan, image, observed.clone())
    };
    let kept = |plan: Plan| made((plan, Bodies::new()));
    match asked {
        Asked::Deploy(deploy) => {
            let image = prepare::image(session, config, deploy, emitter).await?;
            let (bodies, comparisons) = wanted(reading, &observed, &image, |_| {})?;
            Ok(made((canary::deploy(&world, &Wanted { image: &image, comparisons: &comparisons }, notices)?, bodies)))
        }
        Asked::RollBack(decision) => Ok(made(roll_back(reading, &world, decision.version.as_ref(), pace, notices).await?)),
        Asked::Promote(_) => match (canary::tried(&world), canary::left(&world)) {
            (Some(image), _) => {
                let sha = observed.instance(&reading.canary.canary).and_then(|tried| tried.tags.sha.clone());
                let (bodies, comparisons) = wanted(reading, &observed, &image, |tags| tags.sha.clone_from(&sha))?;
                Ok(made((canary::promote(&world, &Wanted { image: &image, comparisons: &comparisons }, notices)?, bodies)))
            }
            (None, Left::Unproven | Left::Returned) => Ok(kept(canary::trust(&world, Aim::Promote, notices)?)),
            (None, Left::Nothing | Left::HalfWay(_) | Left::GoingBack(_) | Left::Promoted(_)) => {
                let what = format!("no rollout is held in {}", environment.name);
                Err(Failure::new(FailureKind::Traffic, what, environment.name.as_str())
                    .meaning("nothing was touched")
                    .next("deploy-action status shows what runs"))
            }
        },
        Asked::MakeSafe(interrupted) => {
            if interrupted.aim == Aim::RollBack {
                return Ok(made(roll_back(reading, &world, None, Pace::Instant, notices).await?));
            }
            if let Some(why) = canary::held(&world) {
                return Err(prepare::left_to_a_person(&Stuck::Held { why: why.to_owned() }, environment));
            }
            match canary::left(&world) {
                // The run had done everything, and only said nothing of it any more.
                Left::Nothing if is_of(&world, &reading.told.id) => Ok(kept(canary::trust(&world, Aim::Finish, notices)?)),
                Left::Nothing => Ok(kept(nothing(reading, &world))),
                Left::HalfWay(_) | Left::GoingBack(_) | Left::Returned => {
                    let aim = if matches!(canary::left(&world), Left::HalfWay(_)) { Aim::MakeSafe } else { Aim::RollBack };
                    match canary::call_off(&world, aim)? {
                        Some(plan) => Ok(kept(plan)),
                        None => Ok(made(roll_back(reading, &world, None, Pace::Instant, notices).await?)),
                    }
                }
                Left::Promoted(candidate) => Ok(made(finish(reading, &world, candidate, notices)?)),
                Left::Unproven => Err(prepare::left_to_a_person(&Stuck::Unproven, environment)),
            }
        }
    }
}

/// The plan that goes back, with what it writes.
async fn roll_back(
    reading: &Reading<'_>,
    world: &World<'_>,
    named: Option<&Version>,
    pace: Pace,
    mut notices: Vec<String>,
) -> Result<(Plan, Bodies), Failure> {
    let Reading { environment, canary: strategy, .. } = reading;
    let version = match canary::way_back(world, named) {
        Err(failure) => {
            let now: Vec<&Version> = canary::running(world).into_iter().collect();
            return Err(history(reading, world).await.advise(Failure { next: Vec::new(), ..failure }, &now));
        }
        Ok(way) => way,
    };
    let version = match version {
        WayBack::CallOff => {
            let plan = canary::call_off(world, Aim::RollBack)?;
            return Ok((plan.unwrap_or_else(|| nothing(reading, world)), Bodies::new()));
        }
        WayBack::Here => {
            notices.push(format!("people were taken back in {} already; name a version to go further back", environment.name));
            return Ok((canary::trust(world, Aim::RollBack, notices)?, Bodies::new()));
        }
        WayBack::To(version) => version,
    };
    let observed = world.observed;
    let begun = observed.instance(&strategy.old).map(|old| &old.tags);
    let serving = all(strategy).filter_map(|name| observed.instance(name)).filter_map(|instance| instance.tags.version.clone());
    let from = begun.and_then(|tags| tags.rolled_back_from.clone()).or_else(|| serving.into_iter().find(|running| *running != version));
    let (image, sha) = old_image(reading, world, version, &mut notices).await?;
    // What ran before the version gone back to is not known: a second rollback must not come forward again.
    let mark = |tags: &mut Tags| {
        tags.sha.clone_from(&sha);
        tags.previous = None;
        tags.rolled_back_from.clone_from(&from);
    };
    let (bodies, comparisons) = wanted(reading, observed, &image, mark)?;
    let plan = canary::restore(world, &Wanted { image: &image, comparisons: &comparisons }, pace, notices)?;
    Ok((Plan { sha, ..plan }, bodies))
}

/// How long GitHub may take to say what ran before: people wait for the rollback, and most need no more than the tags say.
const HISTORY_PATIENCE: Duration = Duration::from_secs(5);

/// Which versions ran: by the tags, and by GitHub's deployments where it answers in time.
async fn history(reading: &Reading<'_>, world: &World<'_>) -> History {
    let deployments = match reading.session.github() {
        None => Deployments::Unknown { why: "there is no github-token".into() },
        Some(client) => {
            match tokio::time::timeout(HISTORY_PATIENCE, deployments::succeeded(&client, reading.environment.name.as_str())).await {
                Ok(Ok(succeeded)) => Deployments::Read(succeeded.into_iter().filter_map(ran).collect()),
                Ok(Err(error)) => Deployments::Unknown { why: error.to_string() },
                Err(_) => Deployments::Unknown { why: format!("GitHub took longer than {} s", HISTORY_PATIENCE.as_secs()) },
            }
        }
    };
    History::of(world, deployments)
}

/// What a deployment says; `None` where its version is none, as where another tool wrote it.
fn ran(deployment: deployments::Succeeded) -> Option<Ran> {
    let digest = deployment.digest.and_then(|digest| digest.parse().ok());
    Some(Ran { version: deployment.version.parse().ok()?, digest, sha: deployment.sha.parse().ok() })
}

/// The image of a version that ran before, and its commit where that is known. Where every stable instance runs it the registry is
/// not asked: its failing must not keep people from what runs.
///
/// # Errors
/// A refusal with the versions to choose from when it never ran here or its image is gone; whatever the registry fails with.
async fn old_image(
    reading: &Reading<'_>,
    world: &World<'_>,
    version: Version,
    notices: &mut Vec<String>,
) -> Result<(ImageReference, Option<String>), Failure> {
    let Reading { session, config, environment, emitter, canary: strategy, .. } = reading;
    let repository = config.image.clone();
    let tags: Option<Vec<&Tags>> = strategy.stable.iter().map(|name| world.observed.instance(name).map(|found| &found.tags)).collect();
    let runs = tags.and_then(|tags| {
        let digest = tags.first().and_then(|tags| tags.digest.clone())?;
        let sha = tags.first().and_then(|tags| tags.sha.clone());
        let is_it = |tags: &&Tags| tags.version.as_ref() == Some(&version) && tags.digest.as_ref() == Some(&digest);
        tags.iter().all(is_it).then_some((digest, sha))
    });
    if let Some((digest, sha)) = runs {
        return Ok((ImageReference { repository, version, digest }, sha));
    }
    let deploy = Deploy { environment: environment.name.clone(), version: version.clone(), sha: None, git_ref: None, actor: None };
    let (history, tagged) = tokio::join!(history(reading, world), prepare::image(session, config, &deploy, emitter));
    let now = canary::running(world);
    let Some(Ran { digest: known, sha, .. }) = history.find(&version) else {
        return Err(history.never_ran(world, &version, now));
    };
    let gone = |failure: Failure| match failure.kind {
        FailureKind::Image => {
            let except: Vec<&Version> = now.into_iter().chain([&version]).collect();
            let what = format!("{} cannot go back to {version}: {}", environment.name, failure.what);
            history.advise(Failure { what, next: Vec::new(), ..failure }, &except)
        }
        _ => failure,
    };
    let sha = sha.map(|sha| sha.to_string());
    match (known, tagged) {
        (Some(digest), Ok(image)) if image.digest == digest => Ok((image, sha)),
        // A tag can move, or be taken away: what ran is the digest.
        (Some(digest), Ok(_) | Err(Failure { kind: FailureKind::Image, .. })) => {
            let login = session.registry_login();
            let there = registry::require(&session.http, &repository, &digest, login.as_ref(), &wiring::on_retry(emitter)).await;
            there.map_err(Failure::from).map_err(gone)?;
            notices
                .push(format!("the tag {version} does not stand for what ran in {} any more: its digest then is used", environment.name));
            Ok((ImageReference { repository, version, digest }, sha))
        }
        (_, tagged) => tagged.map(|image| (image, sha)).map_err(gone),
    }
}

/// The plan that gives every stable instance the version of a promoted candidate, with what it writes.
fn finish(reading: &Reading<'_>, world: &World<'_>, candidate: &InstanceName, notices: Vec<String>) -> Result<(Plan, Bodies), Failure> {
    let tags = world.observed.instance(candidate).map(|instance| instance.tags.clone()).unwrap_or_default();
    let (Some(version), Some(digest)) = (tags.version, tags.digest) else {
        let what = format!("{candidate} does not say which version and digest it runs");
        return Err(Failure::new(FailureKind::Traffic, what, candidate.as_str())
            .meaning("people stay where they are")
            .next("run the workflow that deployed it again"));
    };
    let image = ImageReference { repository: reading.config.image.clone(), version, digest };
    let mark = |written: &mut Tags| {
        written.sha.clone_from(&tags.sha);
        written.previous.clone_from(&tags.previous);
    };
    let (bodies, comparisons) = wanted(reading, world.observed, &image, mark)?;
    Ok((canary::finish(world, candidate, &Wanted { image: &image, comparisons: &comparisons }, notices)?, bodies))
}

/// Whether what runs is what this rollout brought.
fn is_of(world: &World<'_>, rollout: &RolloutId) -> bool {
    let mut stable = world.canary.stable.iter().filter_map(|name| world.observed.instance(name)).peekable();
    stable.peek().is_some() && stable.all(|instance| instance.tags.rollout.as_ref() == Some(rollout))
}

/// A plan without steps: everything is safe already.
fn nothing(reading: &Reading<'_>, world: &World<'_>) -> Plan {
    canary::nothing(world, reading.canary.stable.first().unwrap_or(&reading.canary.canary))
}

fn world<'a>(reading: &Reading<'a>, observed: &'a Observed) -> World<'a> {
    World {
        rollout: &reading.told.id,
        environment: reading.environment,
        canary: reading.canary,
        observed,
        repository: &reading.config.image,
    }
}

/// Every instance of the environment.
fn all(canary: &Canary) -> impl Iterator<Item = &InstanceName> {
    canary.stable.iter().chain([&canary.canary, &canary.old])
}

/// Looks whether an earlier run left the environment half-way. Reads only.
///
/// # Errors
/// When Azure cannot be read, or the profile is not what shares can be set with.
pub(super) async fn is_left_half_way(
    session: &Session,
    config: &Config,
    environment: &Environment,
    strategy: &Canary,
    azure: &ResourceManager,
) -> Result<HalfWay, Failure> {
    let observed = observe(config, environment, strategy, azure).await?;
    if observed.profile.is_none() {
        // Nothing was ever released here, or somebody took the profile away: there is no traffic to make safe.
        return Ok(HalfWay::No);
    }
    let own = session.rollout_id(&environment.name)?;
    let world = World { rollout: &own, environment, canary: strategy, observed: &observed, repository: &config.image };
    if let Some(why) = canary::held(&world) {
        return Ok(HalfWay::Held(why.to_owned()));
    }
    let (candidate, aim) = match canary::left(&world) {
        Left::Nothing => return Ok(HalfWay::No),
        Left::Unproven => return Ok(HalfWay::Stuck(prepare::left_to_a_person(&Stuck::Unproven, environment))),
        Left::HalfWay(candidate) | Left::Promoted(candidate) => (Some(candidate), Aim::Deploy),
        Left::GoingBack(candidate) => (Some(candidate), Aim::RollBack),
        Left::Returned => (strategy.stable.first(), Aim::RollBack),
    };
    let tags = candidate.and_then(|name| observed.instance(name)).map(|instance| &instance.tags);
    let interrupted = Interrupted {
        environment: environment.name.clone(),
        aim,
        sha: tags.and_then(|tags| tags.sha.clone()),
        actor: session.runner.context.actor.clone(),
    };
    Ok(HalfWay::Yes { rollout: tags.and_then(|tags| tags.rollout.clone()).unwrap_or(own.clone()), interrupted })
}

/// The instances, and the profile in front of them.
async fn observe(config: &Config, environment: &Environment, canary: &Canary, azure: &ResourceManager) -> Result<Observed, Failure> {
    let group = environment.resource_group.as_str();
    let existence = async {
        let existence = container_groups::resource_group_exists(azure, group).await?;
        wiring::require(existence, environment, &config.location)
    };
    let instances = async {
        let reads = all(canary).map(|name| async move { container_groups::get(azure, group, name).await.map_err(Failure::from) });
        futures::future::try_join_all(reads).await
    };
    let profile = async { traffic_manager::get(azure, group, &canary.profile.name).await.map_err(Failure::from) };
    let ((), instances, profile) = tokio::try_join!(existence, instances, profile)?;
    Ok(Observed { instances: instances.into_iter().flatten().collect(), profile, at: Timestamp::now() })
}

type Bodies = BTreeMap<InstanceName, serde_json::Value>;

/// Every instance as it is wanted with `image`, its tags as `mark` leaves them, and how those that exist compare.
fn wanted(
    reading: &Reading<'_>,
    observed: &Observed,
    image: &ImageReference,
    mark: impl Fn(&mut Tags),
) -> Result<(Bodies, BTreeMap<InstanceName, definition::Comparison>), Failure> {
    let Reading { session, config, environment, canary, told, .. } = reading;
    let serving: Option<&Instance> = canary.stable.iter().find_map(|name| observed.instance(name));
    let (mut bodies, mut comparisons) = (BTreeMap::new(), BTreeMap::new());
    for (index, name) in all(canary).enumerate() {
        let role = match index {
            _ if *name == canary.canary => Role::Canary,
            _ if *name == canary.old => Role::Old,
            index if index < canary.active => Role::Stable,
            _ => Role::Standby,
        };
        let existing = observed.instance(name);
        let mut tags = prepare::tags(told, image, role, existing, serving);
        mark(&mut tags);
        let body = prepare::body(session, config, environment, name, image, &tags)?;
        if let Some(existing) = existing {
            comparisons.insert(name.clone(), definition::compare(existing, &body));
        }
        bodies.insert(name.clone(), body);
    }
    Ok((bodies, comparisons))
}
