//! The blue-green strategy (runbook Scenario 2): which slot is live is read from the profile, never assumed. Pure.
//!
//! What proves a version is the role that its instance carries: `canary` until it has passed everything, then `stable`. An
//! instance without a role was made by somebody else and is trusted as it serves.

use super::{Aim, Plan, Side, SmokeTarget, Step, change::change, direct::CREATE_LIMIT_SECONDS};
use crate::{
    azure::definition::Comparison,
    config::{BlueGreen, Environment, Rule},
    domain::{ImageReference, ImageRepository, Role, RolloutId, Slot, Strategy, Version},
    failure::{Failure, FailureKind},
    observe::{Endpoint, Instance, Observed, Profile, Provisioning, same_host},
};

/// Probes of the version that a rollback goes back to: it runs already, so it answers at once or it is not well.
const ROLLBACK_PROBES: u32 = 3;

/// Seconds that resolvers keep an answer of a profile that the Action itself makes.
const NEW_PROFILE_TTL: u64 = 10;

/// What all plans of this strategy are made from.
#[derive(Debug, Clone, Copy)]
pub struct World<'a> {
    /// The rollout.
    pub rollout: &'a RolloutId,
    /// Where.
    pub environment: &'a Environment,
    /// What the strategy needs.
    pub blue_green: &'a BlueGreen,
    /// What was read.
    pub observed: &'a Observed,
    /// Where the images are.
    pub repository: &'a ImageRepository,
}

/// What a deployment wants, beside the world.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// What is to run.
    pub image: &'a ImageReference,
    /// How the blue slot's instance compares with what is wanted there; `None`: it does not exist.
    pub blue: Option<&'a Comparison>,
    /// How the green slot's instance compares.
    pub green: Option<&'a Comparison>,
}

impl Wanted<'_> {
    const fn comparison(&self, slot: Slot) -> Option<&Comparison> {
        match slot {
            Slot::Blue => self.blue,
            Slot::Green => self.green,
        }
    }
}

/// Where people are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Live {
    /// There is no profile, or neither endpoint is on.
    Nowhere,
    /// To this slot alone.
    Slot(Slot),
    /// To both.
    Both,
}

impl<'a> World<'a> {
    fn side(&self, slot: Slot) -> Side {
        let config = self.blue_green.slot(slot);
        Side { slot, instance: config.instance.clone(), endpoint: config.endpoint.clone() }
    }

    fn instance(&self, slot: Slot) -> Option<&'a Instance> {
        self.observed.instance(&self.blue_green.slot(slot).instance)
    }

    fn endpoint(&self, slot: Slot) -> Option<&'a Endpoint> {
        self.observed.profile.as_ref().and_then(|profile| profile.endpoint(&self.blue_green.slot(slot).endpoint))
    }

    /// Whether the slot runs a version that is trusted.
    fn is_proven(&self, slot: Slot) -> bool {
        self.instance(slot).is_some_and(|instance| !is_unproven(instance))
    }

    /// Whether people can be sent back to the slot: it runs a version that is trusted, Azure has not given it up, and it has an
    /// endpoint. Whether it is healthy is asked when it matters.
    fn is_way_back(&self, slot: Slot) -> bool {
        let stands = |instance: &Instance| match instance.provisioning {
            Provisioning::Succeeded | Provisioning::InProgress(_) => !is_unproven(instance),
            Provisioning::Failed | Provisioning::Stopped => false,
        };
        self.instance(slot).is_some_and(stands) && self.endpoint(slot).is_some()
    }

    /// Where people are sent, once it is certain that the profile is what it should be.
    fn live(&self) -> Result<Live, Failure> {
        let Some(profile) = &self.observed.profile else {
            return match self.blue_green.profile.dns_name {
                Some(_) => Ok(Live::Nowhere),
                None => Err(self.no_profile()),
            };
        };
        self.only_ours(profile)?;
        let on = |slot: Slot| self.endpoint(slot).is_some_and(|endpoint| endpoint.state == crate::observe::EndpointState::Enabled);
        for slot in Slot::BOTH.into_iter().filter(|slot| on(*slot)) {
            self.targets_its_instance(slot)?;
        }
        Ok(match (on(Slot::Blue), on(Slot::Green)) {
            (false, false) => Live::Nowhere,
            (true, false) => Live::Slot(Slot::Blue),
            (false, true) => Live::Slot(Slot::Green),
            (true, true) => Live::Both,
        })
    }

    fn failure(&self, what: impl Into<String>) -> Failure {
        let Environment { resource_group, .. } = self.environment;
        Failure::new(FailureKind::Traffic, what, format!("Traffic Manager profile {resource_group}/{}", self.blue_green.profile.name))
            .meaning("nothing was touched")
    }

    fn no_profile(&self) -> Failure {
        let (group, name) = (&self.environment.resource_group, &self.blue_green.profile.name);
        self.failure(format!("the profile {name} does not exist"))
            .next("set `traffic-manager.dns-name` in deploy.yml: the Action then creates it")
            .next(format!(
                "or create it: az network traffic-manager profile create -g {group} -n {name} --routing-method Weighted \
                 --unique-dns-name NAME --ttl 10 --protocol HTTP --port {} --path {}",
                self.environment.container.port, self.environment.container.health
            ))
    }

    /// An endpoint of somebody else that gets traffic would keep its part of it after every switch.
    fn only_ours(&self, profile: &Profile) -> Result<(), Failure> {
        let ours = |endpoint: &Endpoint| Slot::BOTH.iter().any(|slot| self.side(*slot).endpoint.eq_ignore_ascii_case(&endpoint.name));
        let Some(foreign) = profile.enabled().find(|endpoint| !ours(endpoint)) else { return Ok(()) };
        let what = format!("the profile also sends people to {}, which is the endpoint of neither slot", foreign.name);
        Err(self.failure(what).next(self.disable(&foreign.name, &foreign.kind)))
    }

    fn disable(&self, endpoint: &str, kind: &str) -> String {
        format!(
            "switch it off: az network traffic-manager endpoint update -g {} --profile-name {} -n {endpoint} --type {kind} \
             --endpoint-status Disabled",
            self.environment.resource_group, self.blue_green.profile.name
        )
    }

    /// An endpoint that is on must send people to its slot's instance; one whose instance is gone sends them nowhere.
    fn targets_its_instance(&self, slot: Slot) -> Result<(), Failure> {
        let (Some(endpoint), Some(fqdn)) = (self.endpoint(slot), self.instance(slot).and_then(|instance| instance.fqdn.as_deref())) else {
            return Ok(());
        };
        if same_host(&endpoint.target, fqdn) {
            return Ok(());
        }
        let what = format!("{} sends people to {}, and the {slot} slot's instance is {fqdn}", endpoint.name, endpoint.target);
        Err(self
            .failure(what)
            .next(format!(
                "point it at the instance: az network traffic-manager endpoint update -g {} --profile-name {} -n {} --type {} --target \
                 {fqdn}",
                self.environment.resource_group, self.blue_green.profile.name, endpoint.name, endpoint.kind
            ))
            .next("or correct `slots` and `traffic-manager.endpoints` in deploy.yml"))
    }

    fn ambiguous(&self) -> Failure {
        let [blue, green] = Slot::BOTH.map(|slot| self.side(slot).endpoint);
        self.failure(format!("{blue} and {green} are both on, so nobody can tell which slot is live"))
            .next(self.disable(&green, "externalEndpoints"))
            .next(format!("or the same with {blue}, and run the workflow again"))
    }

    fn await_health(&self, side: &Side, retries: u32) -> Step {
        Step::AwaitHealth {
            instance: side.instance.clone(),
            path: self.environment.container.health.clone(),
            retries,
            every_seconds: self.environment.health.every.as_secs_f64(),
        }
    }

    fn smoke(&self, target: SmokeTarget) -> Option<Step> {
        let paths = self.environment.smoke.clone();
        if paths.is_empty() { None } else { Some(Step::Smoke { target, paths }) }
    }

    /// The smoke tests on the address that people use, where one is configured.
    fn public_smoke(&self) -> Option<Step> {
        self.environment.url.as_ref().and_then(|url| self.smoke(SmokeTarget::Url(crate::execute::shown(url))))
    }

    fn switch(&self, to: &Side, from: Option<&Side>, back_to: Option<&Side>) -> Step {
        match (&self.observed.profile, &self.blue_green.profile.dns_name) {
            (None, Some(dns_name)) => {
                Step::CreateProfile { profile: self.blue_green.profile.name.clone(), dns_name: dns_name.clone(), to: to.clone() }
            }
            (Some(_), _) | (None, None) => Step::Switch {
                profile: self.blue_green.profile.name.clone(),
                to: to.clone(),
                from: from.cloned(),
                back_to: back_to.cloned(),
            },
        }
    }

    fn plan(&self, aim: Aim, image: Option<ImageReference>, subject: &Side, steps: Vec<Step>, notices: Vec<String>) -> Plan {
        let previous = match self.live() {
            Ok(Live::Slot(slot)) => self.instance(slot).and_then(|instance| instance.tags.version.clone()),
            Ok(Live::Nowhere | Live::Both) | Err(_) => None,
        };
        Plan {
            rollout: self.rollout.clone(),
            environment: self.environment.name.clone(),
            strategy: Strategy::BlueGreen,
            aim,
            image,
            sha: match aim {
                Aim::Deploy => None,
                Aim::RollBack | Aim::Promote | Aim::MakeSafe | Aim::Finish => {
                    self.instance(subject.slot).and_then(|instance| instance.tags.sha.clone())
                }
            },
            previous,
            subject: subject.instance.clone(),
            limit_seconds: steps.iter().map(|step| self.limit(step)).sum(),
            steps,
            notices,
        }
    }

    /// How long a step usually takes at most, in seconds.
    fn limit(&self, step: &Step) -> u64 {
        let whole = |seconds: f64| std::time::Duration::try_from_secs_f64(seconds).unwrap_or_default().as_secs();
        let draining = || {
            let ttl = self.observed.profile.as_ref().map_or(NEW_PROFILE_TTL, |profile| profile.ttl_seconds);
            ttl + self.environment.margin().as_secs()
        };
        match step {
            Step::CreateInstance { .. } | Step::UpdateInstance { .. } => CREATE_LIMIT_SECONDS,
            Step::AwaitHealth { retries, every_seconds, .. } => whole(every_seconds * f64::from(*retries)),
            Step::Smoke { paths, .. } => self.environment.health.timeout.as_secs() * paths.len() as u64,
            Step::VerifyTraffic { .. } | Step::Drain { .. } => draining(),
            Step::Observe { for_seconds, .. } => whole(*for_seconds),
            Step::DeleteInstance { .. }
            | Step::KeepInstance { .. }
            | Step::ContinueInstance { .. }
            | Step::CreateProfile { .. }
            | Step::Switch { .. }
            | Step::Shift { .. }
            | Step::VerifyShares { .. }
            | Step::DrainInstances { .. }
            | Step::CheckBaseline { .. }
            | Step::Phase { .. }
            | Step::FinalChecks { .. }
            | Step::MarkPromoted { .. }
            | Step::Together { .. }
            | Step::MarkStable { .. } => 0,
        }
    }

    /// From the gates to the end: everything that a version has to pass once its instance is there.
    fn prove(&self, new: &Side, old: Option<&Side>, switch: Step) -> Vec<Step> {
        let mut steps = vec![self.await_health(new, self.environment.health.retries)];
        // On the slot itself, so that people never meet a version that fails them.
        steps.extend(self.smoke(SmokeTarget::Instance(new.instance.clone())));
        steps.push(switch);
        steps.extend(self.watch(new, old));
        steps
    }

    /// From the switch to the end.
    fn watch(&self, new: &Side, old: Option<&Side>) -> Vec<Step> {
        let mut steps = vec![Step::VerifyTraffic { to: new.clone(), from: old.cloned() }];
        if let Some(observe) = &self.blue_green.observe {
            steps.push(Step::Observe {
                on: new.clone(),
                beside: old.cloned(),
                for_seconds: observe.duration.as_secs_f64(),
                every_seconds: observe.every.as_secs_f64(),
                rules: with_health(&observe.rules),
            });
        }
        steps.extend(self.public_smoke());
        // Marked before the old one goes: whatever interrupts this, the world says by itself which version is trusted.
        steps.push(Step::MarkStable { instance: new.instance.clone() });
        steps.extend(old.map(|old| delete(old, "the new version is stable")));
        steps
    }

    /// The steps that bring the wanted version into `slot`, whose endpoint is off.
    fn fill(&self, slot: Slot, wanted: &Wanted<'_>) -> Vec<Step> {
        let side = self.side(slot);
        match self.instance(slot).zip(wanted.comparison(slot)) {
            // It was proven once, and its role would go on saying so.
            Some((found, _)) if !is_unproven(found) => {
                let mut steps = self.give_up(slot, "it is left over from an earlier release");
                steps.push(Step::CreateInstance { instance: side.instance });
                steps
            }
            existing => {
                let steps: Vec<Step> = change(&side.instance, existing)
                    .into_iter()
                    .map(|step| match step {
                        Step::KeepInstance { instance } => Step::ContinueInstance { instance },
                        other => other,
                    })
                    .collect();
                let disturbs = existing.is_some() && steps.iter().any(Step::is_change);
                let drain = if disturbs { self.drain_if_left(slot) } else { None };
                drain.into_iter().chain(steps).collect()
            }
        }
    }

    /// Deletes a version that served once and was left over: whoever still holds its address is waited for, because nobody knows
    /// when people were sent elsewhere.
    fn give_up(&self, slot: Slot, why: &str) -> Vec<Step> {
        let side = self.side(slot);
        vec![Step::Drain { from: side.clone() }, delete(&side, why)]
    }

    /// The wait for whoever still holds the address of an unproven version in `slot`, where the last switch may have been away from
    /// it: it was not the one that brought what is live.
    fn drain_if_left(&self, slot: Slot) -> Option<Step> {
        let last = self.observed.profile.as_ref().and_then(|profile| profile.tags.rollout.as_ref())?;
        let live = self.instance(slot.other()).and_then(|live| live.tags.rollout.as_ref());
        (live != Some(last)).then(|| Step::Drain { from: self.side(slot) })
    }
}

/// Whether the instance's version still has to prove itself.
#[must_use]
pub fn is_unproven(instance: &Instance) -> bool {
    instance.tags.role.as_deref() == Some(Role::Canary.as_str())
}

/// The rules, and that of the health path where they do not have one: whatever else is watched, an instance that does not answer
/// its health check for two ticks is not well (DESIGN "Contract: gates": consecutive, default 2).
#[must_use]
pub fn with_health(rules: &[Rule]) -> Vec<Rule> {
    let mut all = rules.to_vec();
    let known = |rule: &Rule| rule.metric.as_str() == "health";
    if let (false, Ok(metric)) = (rules.iter().any(known), "health".parse()) {
        all.push(Rule { metric, bounds: Vec::new(), consecutive: 2 });
    }
    all
}

fn delete(side: &Side, why: &str) -> Step {
    Step::DeleteInstance { instance: side.instance.clone(), why: why.into() }
}

/// The plan that brings a version to the environment.
///
/// # Errors
/// A refusal (kind `Traffic`) when the profile is not what a switch can be made with: it does not exist and may not be
/// created, sends people elsewhere too, or to both slots.
pub fn deploy(world: &World<'_>, wanted: &Wanted<'_>, notices: Vec<String>) -> Result<Plan, Failure> {
    let mut notices = notices;
    let image = Some(wanted.image.clone());
    let slot = match world.live()? {
        Live::Both => return Err(world.ambiguous()),
        Live::Nowhere => {
            let slot = free_slot(world);
            let (new, old) = (world.side(slot), world.instance(slot.other()).map(|_| world.side(slot.other())));
            if old.is_some() {
                notices.push(format!(
                    "nobody reaches {} now: both endpoints are off; this deployment switches one on",
                    world.environment.name
                ));
            }
            let mut steps = world.fill(slot, wanted);
            steps.extend(world.prove(&new, old.as_ref(), world.switch(&new, None, None)));
            return Ok(world.plan(Aim::Deploy, image, &new, steps, notices));
        }
        Live::Slot(slot) => slot,
    };
    let (live, other) = (world.side(slot), world.side(slot.other()));
    let is_same = world.instance(slot).is_some() && wanted.comparison(slot) == Some(&Comparison::Same);
    let standby = world.instance(slot.other()).map(|_| &other);
    let has_way_back = world.is_way_back(slot.other());
    Ok(match (world.instance(slot), standby) {
        (Some(found), _) if is_same && !is_unproven(found) => {
            let mut steps =
                vec![Step::KeepInstance { instance: live.instance.clone() }, world.await_health(&live, world.environment.health.retries)];
            steps.extend(world.public_smoke());
            steps.extend(standby.into_iter().flat_map(|standby| world.give_up(standby.slot, "it is left over from an earlier release")));
            world.plan(Aim::Deploy, image, &live, steps, notices)
        }
        (Some(_), _) if is_same => {
            let back = if has_way_back { standby } else { None };
            notices.push(format!("an earlier run sent people to {} and did not end: its watch begins again", live.instance));
            // The switch is made already and costs no request; it stands first so that taking back begins with the traffic.
            let mut steps = vec![world.switch(&live, standby, back), Step::ContinueInstance { instance: live.instance.clone() }];
            steps.push(world.await_health(&live, world.environment.health.retries));
            steps.extend(world.smoke(SmokeTarget::Instance(live.instance.clone())));
            steps.extend(world.watch(&live, standby));
            world.plan(Aim::Deploy, image, &live, steps, notices)
        }
        (Some(found), Some(_)) if is_unproven(found) && has_way_back => {
            notices.push(format!(
                "{} runs {} that never passed its watch: people go back to {} first",
                live.instance,
                found.tags.version.as_ref().map_or("a version", Version::as_str),
                other.instance
            ));
            let mut steps = vec![world.switch(&other, Some(&live), None), Step::Drain { from: live.clone() }];
            steps.extend(world.fill(slot, wanted));
            steps.extend(world.prove(&live, Some(&other), world.switch(&live, Some(&other), Some(&other))));
            world.plan(Aim::Deploy, image, &live, steps, notices)
        }
        (Some(found), _) => {
            // An unproven one is better to go back to than nothing, where it is the only one that serves.
            let back = match found.provisioning {
                Provisioning::Succeeded | Provisioning::InProgress(_) => Some(&live),
                Provisioning::Failed | Provisioning::Stopped => None,
            };
            let mut steps = world.fill(slot.other(), wanted);
            steps.extend(world.prove(&other, Some(&live), world.switch(&other, Some(&live), back)));
            world.plan(Aim::Deploy, image, &other, steps, notices)
        }
        (None, _) => {
            notices
                .push(format!("{} sends people to {}, which does not exist: there is nothing to go back to", live.endpoint, live.instance));
            let mut steps = world.fill(slot.other(), wanted);
            steps.extend(world.prove(&other, None, world.switch(&other, None, None)));
            world.plan(Aim::Deploy, image, &other, steps, notices)
        }
    })
}

/// The slot for a first deployment: one without an instance that was proven; of two alike, blue.
fn free_slot(world: &World<'_>) -> Slot {
    match (world.is_proven(Slot::Blue), world.is_proven(Slot::Green)) {
        (true, false) => Slot::Green,
        (false, true | false) => Slot::Blue,
        (true, true) => {
            let since = |slot| world.instance(slot).and_then(|instance| instance.tags.stable_since);
            if since(Slot::Green) < since(Slot::Blue) { Slot::Green } else { Slot::Blue }
        }
    }
}

/// The plan that goes back to the version before, which still runs (runbook "Rollback needed after traffic switch").
///
/// # Errors
/// A refusal when there is nothing that could be gone back to, when that is not the `version` that was named, or when nobody
/// can tell what is live.
pub fn rollback(world: &World<'_>, version: Option<&Version>) -> Result<Plan, Failure> {
    let live = match world.live()? {
        Live::Slot(slot) => slot,
        // Somebody switched both on: the one that was proven is where people belong.
        Live::Both => match (world.is_proven(Slot::Blue), world.is_proven(Slot::Green)) {
            (true, false) => Slot::Green,
            (false, true) => Slot::Blue,
            (true, true) | (false, false) => return Err(world.ambiguous()),
        },
        Live::Nowhere => {
            return Err(world
                .failure(format!("nobody is sent anywhere in {}: both endpoints are off", world.environment.name))
                .next("deploy a version: it goes through the gates and is switched on"));
        }
    };
    let (new, old) = (world.side(live), world.side(live.other()));
    if came_after(world, live.other()) {
        is_what_was_named(world, live, version)?;
        // People are on the old version, and stay there.
        let mut steps = vec![world.await_health(&new, ROLLBACK_PROBES)];
        if world.is_proven(live.other()) {
            steps.extend(world.give_up(old.slot, "people were taken back from it"));
        } else {
            steps.extend(world.drain_if_left(old.slot));
            steps.push(delete(&old, "its rollout was called off"));
        }
        steps.extend(mark_unproven(world, live));
        return Ok(world.plan(Aim::RollBack, image_of(world, live), &new, steps, Vec::new()));
    }
    if world.instance(live.other()).is_none() {
        return Err(nothing_to_go_back_to(world, live));
    }
    is_what_was_named(world, live.other(), version)?;
    let mut steps =
        vec![world.await_health(&old, ROLLBACK_PROBES), world.switch(&old, Some(&new), None), Step::Drain { from: new.clone() }];
    steps.extend(world.instance(live).map(|_| delete(&new, "a rollback was asked for")));
    steps.extend(world.public_smoke());
    steps.extend(mark_unproven(world, live.other()));
    Ok(world.plan(Aim::RollBack, image_of(world, live.other()), &old, steps, Vec::new()))
}

/// Whether `slot`, where nobody is sent, holds what came after the version that is live: a rollout that has not come to its switch,
/// or one that people were taken back from already. To go there would be to go forward.
fn came_after(world: &World<'_>, slot: Slot) -> bool {
    let (Some(live), Some(standby)) = (world.instance(slot.other()), world.instance(slot)) else { return false };
    let followed = |later: &Instance, earlier: &Instance| later.tags.previous.is_some() && later.tags.previous == earlier.tags.version;
    match (is_unproven(live), is_unproven(standby)) {
        // What never proved itself is gone back to only where people came from it.
        (true | false, true) => !(is_unproven(live) && followed(live, standby)),
        (true, false) => false,
        (false, false) => match (live.tags.stable_since, standby.tags.stable_since) {
            (Some(live), Some(standby)) if live != standby => standby > live,
            (Some(_) | None, Some(_) | None) => followed(standby, live) && !followed(live, standby),
        },
    }
}

/// A version that was taken back to is trusted again, whatever its role said.
fn mark_unproven(world: &World<'_>, slot: Slot) -> Option<Step> {
    world.instance(slot).filter(|instance| is_unproven(instance)).map(|instance| Step::MarkStable { instance: instance.name.clone() })
}

/// Refuses where a version was named and `slot`, which is what a rollback comes to, does not run it.
fn is_what_was_named(world: &World<'_>, slot: Slot, version: Option<&Version>) -> Result<(), Failure> {
    let there = world.instance(slot).and_then(|instance| instance.tags.version.as_ref());
    let Some(wanted) = version.filter(|wanted| there != Some(*wanted)) else { return Ok(()) };
    let name = &world.environment.name;
    let what = there.map_or_else(|| format!("what runs in {}, whose version is not known", world.side(slot).instance), ToString::to_string);
    Err(world
        .failure(format!("{name} can go back to {what}, which still runs, and not to {wanted}"))
        .next("leave the input `version` out to go back to what still runs")
        .next(format!("or deploy it; it goes through the gates: command: deploy, environment: {name}, version: {wanted}")))
}

fn nothing_to_go_back_to(world: &World<'_>, live: Slot) -> Failure {
    let (live, name) = (world.instance(live), &world.environment.name);
    let runs = live.and_then(|instance| instance.tags.version.as_ref()).map_or("its version", Version::as_str);
    match live.and_then(|instance| instance.tags.previous.as_ref()) {
        Some(previous) => world
            .failure(format!("only {runs} runs in {name}: the version before, {previous}, was deleted when it had proved itself"))
            .next(format!(
                "deploy the version before; it goes through the same gates: command: deploy, environment: {name}, version: {previous}"
            )),
        None => world
            .failure(format!("only {runs} runs in {name}, and no version before it is known"))
            .next(format!("deploy a version by name: command: deploy, environment: {name}, version: TAG")),
    }
}

/// The image that the slot runs, by the Action's tags.
fn image_of(world: &World<'_>, slot: Slot) -> Option<ImageReference> {
    let tags = &world.instance(slot)?.tags;
    Some(ImageReference { repository: world.repository.clone(), version: tags.version.clone()?, digest: tags.digest.clone()? })
}

/// The plan that trusts what people are sent to, because a person says so.
///
/// # Errors
/// A refusal when nothing is held.
pub fn promote(world: &World<'_>) -> Result<Plan, Failure> {
    let held = match world.live()? {
        Live::Slot(slot) if world.instance(slot).is_some_and(is_unproven) => slot,
        Live::Slot(_) | Live::Nowhere => {
            return Err(world
                .failure(format!("no rollout is held in {}", world.environment.name))
                .next("deploy-action status shows what runs"));
        }
        Live::Both => return Err(world.ambiguous()),
    };
    let (new, old) = (world.side(held), world.side(held.other()));
    let mut steps = vec![world.await_health(&new, world.environment.health.retries)];
    steps.extend(world.public_smoke());
    steps.push(Step::MarkStable { instance: new.instance.clone() });
    steps.extend(world.instance(held.other()).map(|_| delete(&old, "a person trusts the new version")));
    Ok(world.plan(Aim::Promote, image_of(world, held), &new, steps, Vec::new()))
}

/// The plan that makes safe what an interrupted run left: people back on what was proven, what was not is gone. Without steps
/// where everything is safe already. `left` is what the run was for; it and the world's rollout say whose work this is:
/// - a rollout whose version carries it, proven, is finished (aim `Finish`);
/// - a rollback whose switch was made is finished, and one whose switch was not is made again (aim `RollBack`).
///
/// # Errors
/// A refusal when nobody can tell what is live.
pub fn make_safe(world: &World<'_>, left: Aim) -> Result<Plan, Failure> {
    let live = match world.live()? {
        Live::Slot(slot) => slot,
        Live::Both => return Err(world.ambiguous()),
        Live::Nowhere => {
            // Nobody is sent anywhere, so an unproven instance serves nobody.
            let unproven = Slot::BOTH.into_iter().filter(|slot| world.instance(*slot).is_some_and(is_unproven));
            let steps: Vec<Step> = unproven.map(|slot| delete(&world.side(slot), "its rollout was interrupted")).collect();
            let subject = world.side(Slot::Blue);
            return Ok(world.plan(Aim::MakeSafe, None, &subject, steps, Vec::new()));
        }
    };
    let is_switched_by_it = world.observed.profile.as_ref().is_some_and(|profile| profile.tags.rollout.as_ref() == Some(world.rollout));
    let is_its_version = world.instance(live).is_some_and(|instance| instance.tags.rollout.as_ref() == Some(world.rollout));
    let aim = match left {
        // By their roles alone it would be the other one that had to go.
        Aim::RollBack if !is_switched_by_it && world.is_proven(live) && world.is_way_back(live.other()) => return rollback(world, None),
        Aim::RollBack if is_switched_by_it => Aim::RollBack,
        Aim::Deploy | Aim::Promote | Aim::Finish if is_its_version && world.is_proven(live) => Aim::Finish,
        Aim::Deploy | Aim::Promote | Aim::Finish | Aim::RollBack | Aim::MakeSafe => Aim::MakeSafe,
    };
    let (new, old) = (world.side(live), world.side(live.other()));
    let is_unproven_live = world.instance(live).is_some_and(is_unproven);
    let standby = world.instance(live.other());
    let mut notices = Vec::new();
    let (subject, steps) = match standby {
        Some(_) if is_unproven_live && world.is_way_back(live.other()) => (
            live.other(),
            vec![
                world.await_health(&old, ROLLBACK_PROBES),
                world.switch(&old, Some(&new), None),
                Step::Drain { from: new.clone() },
                delete(&new, "its rollout was interrupted"),
            ],
        ),
        Some(standby) if is_unproven(standby) => {
            (live, world.drain_if_left(old.slot).into_iter().chain([delete(&old, "its rollout was interrupted")]).collect())
        }
        // What could be gone back to is given up only while what serves is well.
        Some(_) if !is_unproven_live => {
            let mut steps = vec![world.await_health(&new, ROLLBACK_PROBES)];
            steps.extend(world.give_up(old.slot, "it is left over: people are on a version that is stable"));
            (live, steps)
        }
        Some(_) | None => {
            if is_unproven_live {
                notices.push(format!("{} never passed its watch, and there is nothing to go back to", new.instance));
            }
            (live, Vec::new())
        }
    };
    Ok(world.plan(aim, image_of(world, subject), &world.side(subject), steps, notices))
}

/// Why only a person can say how to go on from here, where that is so: a rollout is held, or an interrupted one left people on
/// a version that never passed its watch, with nothing to go back to.
///
/// # Errors
/// A refusal when nobody can tell what is live.
pub fn for_a_person(world: &World<'_>) -> Result<Option<Stuck>, Failure> {
    let held = |slot| {
        let instance = world.instance(slot).filter(|instance| is_unproven(instance))?;
        instance.tags.held.as_ref().map(|why| Stuck::Held { why: why.clone() })
    };
    if let Some(held) = Slot::BOTH.into_iter().find_map(held) {
        return Ok(Some(held));
    }
    Ok(match world.live()? {
        Live::Slot(live) if world.instance(live).is_some_and(is_unproven) && !world.is_way_back(live.other()) => Some(Stuck::Unproven),
        Live::Slot(_) | Live::Nowhere | Live::Both => None,
    })
}

/// The instance whose rollout did not end, where there is one: that of an unproven version or, where all are proven, what is live.
///
/// # Errors
/// A refusal when nobody can tell what is live.
pub fn left<'a>(world: &World<'a>) -> Result<Option<&'a Instance>, Failure> {
    let unproven = || Slot::BOTH.into_iter().filter_map(|slot| world.instance(slot)).find(|instance| is_unproven(instance));
    Ok(match world.live()? {
        Live::Slot(live) => match world.instance(live) {
            Some(instance) if is_unproven(instance) => Some(instance),
            other => unproven().or(other),
        },
        Live::Nowhere | Live::Both => unproven(),
    })
}

/// Why only a person can say how to go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stuck {
    /// A rollout is held.
    Held {
        /// Why, as it was written on the instance.
        why: String,
    },
    /// People are on a version that never passed its watch, and there is nothing to go back to.
    Unproven,
}

#[cfg(test)]
mod tests;
