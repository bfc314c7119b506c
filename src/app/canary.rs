//! Reading the world and planning for the canary strategy. Sends no request that changes anything.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::{
    Session,
    carry_out::{Asked, Interrupted},
    prepare::{self, HalfWay, Made},
    wiring,
};
use crate::{
    azure::{ResourceManager, container_groups, definition, traffic_manager},
    config::{Canary, Config, Environment, Rule, Source},
    domain::{ImageReference, InstanceName, Role, Version},
    execute::{Emitter, Rollout},
    failure::{Failure, FailureKind},
    gate,
    observe::{Instance, Observed},
    plan::{
        Aim, Plan, blue_green,
        canary::{self, Pace, Wanted, World},
    },
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
pub(super) fn fits(config: &Config, environment: &Environment, asked: &Asked, wrong: impl Fn(String) -> Failure) -> Result<(), Failure> {
    let Some(canary) = &environment.canary else { return Err(wrong("the instances of the canary strategy are not configured".into())) };
    prepare::behind_traffic_manager(environment, &wrong)?;
    if asked.aim() != Aim::Deploy {
        return Ok(());
    }
    for asked in canary.preflight.iter().flat_map(|preflight| &preflight.rules).filter(|asked| asked.source == Source::Written) {
        gate::check(std::slice::from_ref(&asked.rule), config.metrics.as_ref())?;
    }
    let verify = canary.stabilize.as_ref().map(|stabilize| &stabilize.verify);
    if verify.is_some_and(|verify| !verify.sql.is_empty() || !verify.metrics.is_empty()) {
        return Err(wrong("`stabilize.verify` has `sql` or `metrics`, and this version of deploy-action asks neither".into())
            .next("leave them out, and check them by hand after the release"));
    }
    let abort = canary.abort.as_ref().map_or(&[][..], |abort| abort.rules.as_slice());
    let check = |rules: &[Rule]| gate::check(&blue_green::with_health(rules), config.metrics.as_ref());
    check(abort)?;
    for phase in &canary.phases {
        check(&phase.rules)?;
    }
    canary.stabilize.as_ref().map_or(Ok(()), |stabilize| check(&stabilize.rules))
}

/// Reads, and plans what is asked. `pace` is how a rollback goes where the version before has to be started again.
///
/// # Errors
/// Whatever keeps a plan from being made; nothing has been touched.
pub(super) async fn plan(reading: &Reading<'_>, asked: &Asked, pace: Pace) -> Result<Made, Failure> {
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
    match asked {
        Asked::Deploy(deploy) => {
            let image = prepare::image(session, config, deploy, emitter).await?;
            let (bodies, comparisons) = wanted(reading, &observed, &image)?;
            let plan = canary::deploy(&world, &Wanted { image: &image, comparisons: &comparisons }, notices)?;
            Ok((bodies, plan, Some(image), observed))
        }
        Asked::RollBack(decision) => match canary::call_off(&world, Aim::RollBack)? {
            Some(plan) => Ok((BTreeMap::new(), plan.clone(), plan.image, observed)),
            None => {
                let version = back_to(reading, &observed, decision.version.as_ref())?;
                let deploy = Deploy { environment: environment.name.clone(), version, sha: None, git_ref: None, actor: None };
                let image = prepare::image(session, config, &deploy, emitter).await?;
                let (bodies, comparisons) = wanted(reading, &observed, &image)?;
                let plan = canary::restore(&world, &Wanted { image: &image, comparisons: &comparisons }, pace, notices)?;
                Ok((bodies, plan, Some(image), observed))
            }
        },
        Asked::Promote(_) => {
            let Some(image) = canary::held(&world) else {
                return Err(Failure::new(
                    FailureKind::Traffic,
                    format!("no rollout is held in {}", environment.name),
                    environment.name.as_str(),
                )
                .meaning("nothing was touched")
                .next("deploy-action status shows what runs"));
            };
            let (bodies, comparisons) = wanted(reading, &observed, &image)?;
            let plan = canary::promote(&world, &Wanted { image: &image, comparisons: &comparisons }, notices)?;
            Ok((bodies, plan, Some(image), observed))
        }
        Asked::MakeSafe(_) => {
            let plan = match canary::call_off(&world, Aim::MakeSafe)? {
                Some(plan) => plan,
                None => nothing(reading, &world),
            };
            Ok((BTreeMap::new(), plan.clone(), plan.image, observed))
        }
    }
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
    let candidates = [&strategy.canary, &strategy.old].into_iter().filter_map(|name| observed.instance(name));
    if let Some(why) = candidates.into_iter().find_map(|instance| instance.tags.held.clone()) {
        return Ok(HalfWay::Held(why));
    }
    let own = session.rollout_id(&environment.name)?;
    let world = World { rollout: &own, environment, canary: strategy, observed: &observed, repository: &config.image };
    if canary::call_off(&world, Aim::MakeSafe)?.is_none() {
        return Ok(HalfWay::No);
    }
    let left = canary::half_way(&world).and_then(|name| observed.instance(name)).map(|instance| &instance.tags);
    let interrupted = Interrupted {
        environment: environment.name.clone(),
        aim: Aim::Deploy,
        sha: left.and_then(|tags| tags.sha.clone()),
        actor: session.runner.context.actor.clone(),
    };
    Ok(HalfWay::Yes { rollout: left.and_then(|tags| tags.rollout.clone()).unwrap_or(own.clone()), interrupted })
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

/// Every instance as it is wanted with `image`, and how those that exist compare.
fn wanted(
    reading: &Reading<'_>,
    observed: &Observed,
    image: &ImageReference,
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
        let tags = prepare::tags(told, image, role, existing, serving);
        let body = prepare::body(session, config, environment, name, image, &tags)?;
        if let Some(existing) = existing {
            comparisons.insert(name.clone(), definition::compare(existing, &body));
        }
        bodies.insert(name.clone(), body);
    }
    Ok((bodies, comparisons))
}

/// The version that a rollback brings back: as named, else the one before what serves.
fn back_to(reading: &Reading<'_>, observed: &Observed, named: Option<&Version>) -> Result<Version, Failure> {
    let environment = reading.environment;
    let serving: Vec<&Instance> = all(reading.canary).filter_map(|name| observed.instance(name)).collect();
    let now = serving.first().and_then(|instance| instance.tags.version.as_ref());
    let previous = serving.iter().find_map(|instance| instance.tags.previous.as_ref());
    let refused = |what: String| {
        let advice = previous.map_or_else(
            || "name a version that was deployed before: the input `version`".to_owned(),
            |previous| format!("the version before is {previous}: leave the input `version` out, or name another that was deployed before"),
        );
        Failure::new(FailureKind::Traffic, what, format!("environment {}", environment.name)).meaning("nothing was touched").next(advice)
    };
    match named.or(previous) {
        Some(version) if Some(version) == now => Err(refused(format!("{} runs {version} already", environment.name))),
        Some(version) => Ok(version.clone()),
        None => Err(refused(format!("no instance of {} says which version ran before", environment.name))),
    }
}
