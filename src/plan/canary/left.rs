//! What an earlier run left of production, and what that means for whoever comes after it: read off the instances and the
//! profile, never remembered. Pure.

use super::{Afterwards, Wanted, World, image_of, is_promoted};
use crate::{
    domain::{InstanceName, Version},
    failure::Failure,
    observe::Instance,
    plan::{Aim, Plan, Step},
};

/// How far what an earlier run left had come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Left<'a> {
    /// Every stable instance runs what has proved itself, and nothing else is there.
    Nothing,
    /// A new version that has not passed its phases.
    HalfWay(&'a InstanceName),
    /// A rollback that has not come to its end. It is finished, never turned round.
    GoingBack(&'a InstanceName),
    /// A new version that has passed its phases, and has not taken the place of all stable instances.
    Promoted(&'a InstanceName),
    /// The version gone back to runs everywhere; that it is trusted was not written down.
    Returned,
    /// A version runs everywhere that was not watched to the end, and nothing is left to go back to.
    Unproven,
}

/// Where a rollback goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WayBack {
    /// What is half-way is called off.
    CallOff,
    /// This version is brought back.
    To(Version),
    /// The version before runs already: it is looked at, and marked where that is missing.
    Here,
}

/// What an earlier run left.
#[must_use]
pub fn left<'a>(world: &World<'a>) -> Left<'a> {
    let config = world.canary;
    if world.instance(&config.old).is_some() {
        return Left::GoingBack(&config.old);
    }
    if world.instance(&config.canary).is_some() {
        return if world.leads(&config.canary) { Left::Promoted(&config.canary) } else { Left::HalfWay(&config.canary) };
    }
    // What nobody is sent to is for the next deployment to make anew.
    let mut unproven = stable(world).filter(|instance| is_ours(instance) && instance.tags.stable_since.is_none()).peekable();
    if world.serving().is_empty() || unproven.peek().is_none() {
        return Left::Nothing;
    }
    if unproven.all(|instance| instance.tags.rolled_back_from.is_some()) { Left::Returned } else { Left::Unproven }
}

/// Why a person must decide, where the Action wrote it on a candidate: no later run decides in their place.
#[must_use]
pub fn held<'a>(world: &World<'a>) -> Option<&'a str> {
    let all = [&world.canary.canary, &world.canary.old].into_iter().filter_map(|name| world.instance(name)).chain(stable(world));
    all.filter(|instance| instance.tags.stable_since.is_none()).find_map(|instance| instance.tags.held.as_deref())
}

/// Where `command: rollback` goes, to the version `named` where one is. Asked for twice, it never goes forward to what the first
/// one left.
///
/// # Errors
/// A refusal when nobody knows a version before, or the one named runs already.
pub fn way_back(world: &World<'_>, named: Option<&Version>) -> Result<WayBack, Failure> {
    let left = left(world);
    let serving = serving(world);
    let now = serving.and_then(|instance| instance.tags.version.as_ref());
    let before = match left {
        Left::HalfWay(_) => {
            return Ok(match named.filter(|named| Some(*named) != now) {
                None => WayBack::CallOff,
                Some(named) => WayBack::To(named.clone()),
            });
        }
        Left::GoingBack(old) => world.instance(old).and_then(|instance| instance.tags.version.as_ref()),
        Left::Promoted(candidate) => world.instance(candidate).and_then(|instance| instance.tags.previous.as_ref()),
        Left::Returned if named.is_none() || named == now => return Ok(WayBack::Here),
        // Somebody, or the Action itself, took people back already: further back goes only who says so.
        Left::Nothing
            if named.is_none() && (is_taken_back(world) || serving.is_some_and(|instance| instance.tags.rolled_back_from.is_some())) =>
        {
            return Ok(WayBack::Here);
        }
        Left::Nothing | Left::Returned | Left::Unproven => serving.and_then(|instance| instance.tags.previous.as_ref()),
    };
    match (named.or(before), left) {
        (Some(version), Left::Nothing | Left::Unproven | Left::Returned) if Some(version) == now => {
            Err(refused(world, format!("{} runs {version} already", world.environment.name), before))
        }
        (Some(version), _) => Ok(WayBack::To(version.clone())),
        (None, _) => Err(refused(world, format!("no instance of {} says which version ran before", world.environment.name), before)),
    }
}

fn refused(world: &World<'_>, what: String, before: Option<&Version>) -> Failure {
    let advice = before.map_or_else(
        || "name a version that was deployed before: the input `version`".to_owned(),
        |before| format!("the version before is {before}: leave the input `version` out, or name another that was deployed before"),
    );
    world.failure(what).next(advice)
}

/// The plan that trusts what every stable instance runs, because a person said so or it was trusted before: looked at, and marked.
///
/// # Errors
/// A refusal when the profile is not what shares can be set with.
pub fn trust(world: &World<'_>, aim: Aim, notices: Vec<String>) -> Result<Plan, Failure> {
    world.profile()?;
    let serving = world.serving();
    let subject = serving.first().unwrap_or(&world.canary.canary);
    let mut steps: Vec<Step> = serving.iter().map(|name| world.await_health(name, super::PROBES)).collect();
    let is_marked = stable(world).all(|instance| !is_ours(instance) || instance.tags.stable_since.is_some());
    let settled = world.settle(&serving, Afterwards::Trusted).into_iter();
    steps.extend(settled.filter(|step| !(is_marked && matches!(step, Step::Together { .. }))));
    Ok(world.plan(aim, image_of(world, subject), subject, steps, notices))
}

/// The plan that gives a promoted candidate's version to every stable instance, after a run that did not come to it. It is not
/// watched any more: that is for the workflow, run again.
///
/// # Errors
/// A refusal when the profile is not what shares can be set with.
pub fn finish(world: &World<'_>, candidate: &InstanceName, wanted: &Wanted<'_>, notices: Vec<String>) -> Result<Plan, Failure> {
    world.profile()?;
    let steps = [world.take_up(candidate, wanted), world.replace(candidate, wanted, Afterwards::LeftToAPerson)].concat();
    Ok(world.plan(Aim::Finish, Some(wanted.image.clone()), candidate, steps, notices))
}

/// The stable instances that there are.
fn stable<'a>(world: &World<'a>) -> impl Iterator<Item = &'a Instance> {
    let world = *world;
    world.canary.stable.iter().filter_map(move |name| world.instance(name))
}

/// Whether the last change of traffic took people back from a version.
fn is_taken_back(world: &World<'_>) -> bool {
    world.observed.profile.as_ref().is_some_and(|profile| profile.tags.taken_back.is_some())
}

/// Whether the Action made it: what somebody else made is trusted.
fn is_ours(instance: &Instance) -> bool {
    instance.tags.version.is_some()
}

/// The version that people are sent to, where its instance says.
#[must_use]
pub fn running<'a>(world: &World<'a>) -> Option<&'a Version> {
    serving(world).and_then(|instance| instance.tags.version.as_ref())
}

/// What people are sent to: a promoted candidate where they are sent to one, else a stable instance.
fn serving<'a>(world: &World<'a>) -> Option<&'a Instance> {
    let on = |name: &&InstanceName| world.is_on(name);
    let promoted = Some(&world.canary.canary).filter(on).and_then(|name| world.instance(name)).filter(|instance| is_promoted(instance));
    promoted.or_else(|| world.canary.stable.iter().filter(on).find_map(|name| world.instance(name)))
}
