//! The canary strategy (runbook Scenario 3): a small share first, then more, then every stable instance. Pure.
//!
//! One way serves both directions: a *candidate* instance beside the stable ones goes through rising shares and, once it has
//! passed them all, the stable instances are replaced by its version, standing by without traffic, before people are sent to
//! them and the candidate goes. Forward the candidate is `prod-canary-1` with the new version; backward it is `prod-old-1` with
//! the old one (runbook "Staged Rollback").
//!
//! What proves a version is written on instances: a candidate has the role `canary` and, once it has passed every phase, the
//! mark `promoted`; stable instances of a version that has been watched to the end have `stable-since`.

mod history;
mod left;

use std::{collections::BTreeMap, time::Duration};

pub use history::{Deployments, History, Ran};
pub use left::{Left, WayBack, finish, held, left, running, trust, way_back};

use super::{Aim, Plan, Slice, SmokeTarget, Step, StepBack, change::change, direct::CREATE_LIMIT_SECONDS};
use crate::{
    azure::definition::Comparison,
    config::{Canary, Environment, Rule},
    domain::{ImageReference, ImageRepository, InstanceName, RolloutId, Share, Strategy, Version},
    failure::{Failure, FailureKind},
    observe::{EndpointState, Instance, Observed, Profile, Provisioning, same_host},
};

/// How long the question of a final check may take, in seconds.
const CHECK_LIMIT_SECONDS: u64 = 15;

/// Probes of a version that runs already: it answers at once or it is not well.
const PROBES: u32 = 3;

/// What all plans of this strategy are made from.
#[derive(Debug, Clone, Copy)]
pub struct World<'a> {
    /// The rollout.
    pub rollout: &'a RolloutId,
    /// Where.
    pub environment: &'a Environment,
    /// What the strategy needs.
    pub canary: &'a Canary,
    /// What was read.
    pub observed: &'a Observed,
    /// Where the images are.
    pub repository: &'a ImageRepository,
}

/// What is to run, and how the instances that exist compare with it.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// What is to run.
    pub image: &'a ImageReference,
    /// How each instance that exists compares with what is wanted of it.
    pub comparisons: &'a BTreeMap<InstanceName, Comparison>,
}

/// How fast a rollback goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    /// All at once, after the health gate.
    Instant,
    /// By the configured shares, watched.
    Staged,
}

/// A share that a candidate goes through.
struct Stage {
    share: Share,
    duration: Duration,
    stable: usize,
    rules: Vec<Rule>,
    back: Share,
}

/// Whether a version that reached everyone is watched before it is marked stable.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Afterwards {
    /// As `stabilize` says.
    Stabilized,
    /// It was trusted before.
    Trusted,
    /// The run that would have watched it is over: nothing is marked.
    LeftToAPerson,
}

impl<'a> World<'a> {
    fn instance(&self, name: &InstanceName) -> Option<&'a Instance> {
        self.observed.instance(name)
    }

    fn is_on(&self, name: &InstanceName) -> bool {
        let endpoint = self.observed.profile.as_ref().and_then(|profile| profile.endpoint(name.as_str()));
        endpoint.is_some_and(|endpoint| endpoint.state == EndpointState::Enabled)
    }

    /// The stable instances that people are sent to.
    fn serving(&self) -> Vec<InstanceName> {
        self.canary.stable.iter().filter(|name| self.is_on(name) && self.instance(name).is_some()).cloned().collect()
    }

    /// The stable instances that could serve: there, and not given up by Azure.
    fn standing(&self) -> Vec<InstanceName> {
        self.canary.stable.iter().filter(|name| self.can_serve(std::slice::from_ref(*name))).cloned().collect()
    }

    /// Whether there are `instances`, and Azure has given up none of them.
    fn can_serve(&self, instances: &[InstanceName]) -> bool {
        let given_up = |instance: &Instance| match instance.provisioning {
            Provisioning::Failed | Provisioning::Stopped => true,
            Provisioning::Succeeded | Provisioning::InProgress(_) => false,
        };
        !instances.is_empty() && instances.iter().all(|name| self.instance(name).is_some_and(|instance| !given_up(instance)))
    }

    /// Where people are while a candidate is tried, and go back to: the stable instances that serve and, where a candidate has taken
    /// the place of some, so many of those that stand by that as many serve as usually do.
    fn base(&self) -> Vec<InstanceName> {
        let mut base = self.serving();
        let is_tried = [&self.canary.canary, &self.canary.old].into_iter().any(|name| self.instance(name).is_some());
        if base.is_empty() || is_tried {
            let others = self.standing().into_iter().filter(|name| !base.contains(name)).collect::<Vec<_>>();
            base.extend(others.into_iter().take(self.canary.active.saturating_sub(base.len())));
        }
        base
    }

    /// Who shares with a new version what it does not have: every stable instance that could serve, those that do first.
    fn pool(&self) -> Vec<InstanceName> {
        let mut pool = self.base();
        let standing = self.standing();
        pool.extend(standing.into_iter().filter(|name| !pool.contains(name)).collect::<Vec<_>>());
        pool
    }

    /// Whether the candidate has passed every phase, and its version is the only one that people are sent to.
    fn leads(&self, candidate: &InstanceName) -> bool {
        let Some(found) = self.instance(candidate).filter(|found| is_promoted(found)) else { return false };
        let mut on = self.all().filter(|name| self.is_on(name)).peekable();
        on.peek().is_some() && on.all(|name| self.instance(name).is_some_and(|instance| instance.tags.version == found.tags.version))
    }

    fn failure(&self, what: impl Into<String>) -> Failure {
        let resource = format!("Traffic Manager profile {}/{}", self.environment.resource_group, self.canary.profile.name);
        Failure::new(FailureKind::Traffic, what, resource).meaning("nothing was touched")
    }

    /// The profile, once it is certain that it sends people to this environment's instances and nowhere else.
    fn profile(&self) -> Result<&'a Profile, Failure> {
        let (group, name) = (&self.environment.resource_group, &self.canary.profile.name);
        let Some(profile) = &self.observed.profile else {
            return Err(self.failure(format!("the profile {name} does not exist")).next(format!(
                "create it: az network traffic-manager profile create -g {group} -n {name} --routing-method Weighted --unique-dns-name NAME \
                 --ttl 10 --protocol HTTP --port {} --path {}",
                self.environment.container.port, self.environment.container.health
            )));
        };
        let ours = |endpoint: &str| self.all().any(|name| name.as_str().eq_ignore_ascii_case(endpoint));
        if let Some(foreign) = profile.enabled().find(|endpoint| !ours(&endpoint.name)) {
            return Err(self.failure(format!("the profile also sends people to {}, which is no instance of {}", foreign.name, self.environment.name)).next(
                format!(
                    "switch it off: az network traffic-manager endpoint update -g {group} --profile-name {name} -n {} --type {} --endpoint-status \
                     Disabled",
                    foreign.name, foreign.kind
                ),
            ));
        }
        for endpoint in profile.enabled() {
            let instance = self.all().find(|name| name.as_str().eq_ignore_ascii_case(&endpoint.name)).and_then(|name| self.instance(name));
            if let Some(fqdn) = instance.and_then(|instance| instance.fqdn.as_deref())
                && !same_host(&endpoint.target, fqdn)
            {
                return Err(self.failure(format!("{} sends people to {}, and the instance is {fqdn}", endpoint.name, endpoint.target)).next(format!(
                    "point it at the instance: az network traffic-manager endpoint update -g {group} --profile-name {name} -n {} --type {} \
                     --target {fqdn}",
                    endpoint.name, endpoint.kind
                )));
            }
        }
        Ok(profile)
    }

    /// Every instance of the environment.
    fn all(&self) -> impl Iterator<Item = &'a InstanceName> {
        self.canary.stable.iter().chain([&self.canary.canary, &self.canary.old])
    }

    fn await_health(&self, instance: &InstanceName, retries: u32) -> Step {
        Step::AwaitHealth {
            instance: instance.clone(),
            path: self.environment.container.health.clone(),
            retries,
            every_seconds: self.environment.health.every.as_secs_f64(),
        }
    }

    fn smoke(&self, target: SmokeTarget) -> Option<Step> {
        let paths = self.environment.smoke.clone();
        if paths.is_empty() { None } else { Some(Step::Smoke { target, paths }) }
    }

    /// The health gate and the smoke tests of an instance that was just written.
    fn gate(&self, instance: &InstanceName) -> Vec<Step> {
        let mut steps = vec![self.await_health(instance, self.environment.health.retries)];
        steps.extend(self.smoke(SmokeTarget::Instance(instance.clone())));
        steps
    }

    fn shift(&self, to: Vec<Slice>, back_to: Option<Vec<Slice>>, leaving: Option<&InstanceName>) -> Step {
        Step::Shift { profile: self.canary.profile.name.clone(), to, back_to, leaving: leaving.cloned() }
    }

    fn abort(&self) -> (Vec<Rule>, Duration) {
        let every = |rules: Vec<Rule>, every| (rules, every);
        match &self.canary.abort {
            Some(abort) => every(super::blue_green::with_health(&abort.rules), abort.every),
            // Switched off: an instance that does not answer its health check is not well all the same.
            None => every(super::blue_green::with_health(&[]), Duration::from_secs(10)),
        }
    }

    fn plan(&self, aim: Aim, image: Option<ImageReference>, subject: &InstanceName, steps: Vec<Step>, notices: Vec<String>) -> Plan {
        let serving = self.serving();
        let previous = serving.first().and_then(|name| self.instance(name)).and_then(|instance| instance.tags.version.clone());
        Plan {
            rollout: self.rollout.clone(),
            environment: self.environment.name.clone(),
            strategy: Strategy::Canary,
            aim,
            image,
            sha: match aim {
                Aim::Deploy => None,
                Aim::RollBack | Aim::Promote | Aim::MakeSafe | Aim::Finish => {
                    self.instance(subject).and_then(|instance| instance.tags.sha.clone())
                }
            },
            previous,
            subject: subject.clone(),
            limit_seconds: steps.iter().map(|step| self.limit(step)).sum(),
            steps,
            notices,
        }
    }

    /// How long a step usually takes at most, in seconds.
    fn limit(&self, step: &Step) -> u64 {
        let whole = |seconds: f64| Duration::try_from_secs_f64(seconds).unwrap_or_default().as_secs();
        let ttl = self.observed.profile.as_ref().map_or(10, |profile| profile.ttl_seconds);
        match step {
            Step::CreateInstance { .. } | Step::UpdateInstance { .. } => CREATE_LIMIT_SECONDS,
            Step::AwaitHealth { retries, every_seconds, .. } => whole(every_seconds * f64::from(*retries)),
            Step::Smoke { paths, .. } => self.environment.health.timeout.as_secs() * paths.len() as u64,
            Step::VerifyShares { .. } | Step::DrainInstances { .. } => ttl + self.environment.margin().as_secs(),
            Step::Phase { for_seconds, .. } => whole(*for_seconds),
            Step::FinalChecks { checks, .. } => CHECK_LIMIT_SECONDS * checks.len() as u64,
            Step::Together { lanes } => lanes.iter().map(|lane| lane.iter().map(|step| self.limit(step)).sum()).max().unwrap_or(0),
            Step::DeleteInstance { .. }
            | Step::KeepInstance { .. }
            | Step::ContinueInstance { .. }
            | Step::CreateProfile { .. }
            | Step::Switch { .. }
            | Step::VerifyTraffic { .. }
            | Step::Drain { .. }
            | Step::Observe { .. }
            | Step::Shift { .. }
            | Step::CheckBaseline { .. }
            | Step::MarkPromoted { .. }
            | Step::MarkStable { .. } => 0,
        }
    }

    /// The steps that bring the wanted version into the candidate's instance, which nobody is sent to.
    fn fill(&self, candidate: &InstanceName, wanted: &Wanted<'_>) -> Vec<Step> {
        change(candidate, self.instance(candidate).zip(wanted.comparisons.get(candidate)))
            .into_iter()
            .map(|step| match step {
                Step::KeepInstance { instance } => Step::ContinueInstance { instance },
                other => other,
            })
            .collect()
    }

    /// From the gates of the candidate through its shares: everything before it is promoted.
    ///
    /// `pool` are those who share the rest, the first first; `baseline` those whom the rules are read on before.
    fn through(
        &self,
        candidate: &InstanceName,
        stages: &[Stage],
        base: &[InstanceName],
        pool: &[InstanceName],
        baseline: &[InstanceName],
    ) -> Vec<Step> {
        let mut steps = self.gate(candidate);
        // What Azure has given up is nowhere to go back to.
        let back = self.can_serve(base).then(|| even(base));
        let (abort, every) = self.abort();
        let mut first: Vec<Rule> = abort.clone();
        first.extend(stages.first().iter().flat_map(|stage| stage.rules.clone()));
        // A rule against the stable instances' own value has nothing to say of them.
        let absolute: Vec<Rule> = first.into_iter().filter(|rule| !rule.compares()).collect();
        if !baseline.is_empty() {
            steps.push(Step::CheckBaseline { on: baseline.to_vec(), rules: absolute });
        }
        for (index, stage) in stages.iter().enumerate() {
            let beside: Vec<InstanceName> = pool.iter().take(stage.stable.max(1)).cloned().collect();
            let to = slices(candidate, stage.share, &beside);
            steps.push(self.shift(to.clone(), back.clone(), Some(candidate)));
            steps.push(Step::VerifyShares { to, subject: candidate.clone() });
            if stage.duration.is_zero() {
                continue;
            }
            steps.push(Step::Phase {
                on: vec![candidate.clone()],
                beside,
                share: stage.share,
                for_seconds: stage.duration.as_secs_f64(),
                every_seconds: every.as_secs_f64(),
                rules: stage.rules.clone(),
                abort: abort.clone(),
                step_back: self.step_back(candidate, stages, index, pool).map(Box::new),
            });
        }
        steps
    }

    /// Where a breach of a stage's own rules steps back to, where that is a share and not 0%.
    fn step_back(&self, candidate: &InstanceName, stages: &[Stage], index: usize, pool: &[InstanceName]) -> Option<StepBack> {
        let stage = stages.get(index).filter(|stage| stage.back > Share::ZERO)?;
        let like = stages.iter().take(index).rev().find(|earlier| earlier.share <= stage.back).unwrap_or(stage);
        let beside: Vec<InstanceName> = pool.iter().take(like.stable.max(1)).cloned().collect();
        Some(StepBack {
            profile: self.canary.profile.name.clone(),
            to: slices(candidate, stage.back, &beside),
            share: stage.back,
            for_seconds: like.duration.as_secs_f64(),
            rules: like.rules.clone(),
        })
    }

    /// A candidate that people are sent to, where nobody else could take them: it stays as it is, or nothing is done.
    fn keep(&self, candidate: &InstanceName, wanted: &Wanted<'_>) -> Result<Vec<Step>, Failure> {
        let steps = change(candidate, self.instance(candidate).zip(wanted.comparisons.get(candidate)));
        if matches!(steps.as_slice(), [Step::KeepInstance { .. }]) {
            return Ok(steps);
        }
        let runs = self.instance(candidate).and_then(|found| found.tags.version.as_ref()).map_or("its version", Version::as_str);
        Err(self
            .failure(format!("people are sent to {candidate} ({runs}), and no stable instance could take them while it is changed"))
            .next(format!("look at the instances: az container list -g {} -o table", self.environment.resource_group))
            .next("bring a stable instance back by hand and switch its endpoint on, then run the workflow again"))
    }

    /// What an earlier run left of a candidate that passed every phase is taken up: people go to it alone where one that they
    /// are sent to beside would be written or deleted.
    fn take_up(&self, candidate: &InstanceName, wanted: &Wanted<'_>) -> Vec<Step> {
        let is_kept = |name: &InstanceName| {
            let steps = change(name, self.instance(name).zip(wanted.comparisons.get(name)));
            self.canary.stable.contains(name) && matches!(steps.as_slice(), [Step::KeepInstance { .. }])
        };
        let mut steps = Vec::new();
        if self.all().any(|name| name != candidate && self.is_on(name) && !is_kept(name)) {
            steps.push(self.await_health(candidate, PROBES));
            steps.push(self.shift(vec![Slice { instance: candidate.clone(), share: Share::ALL }], None, None));
        }
        steps.extend([Step::KeepInstance { instance: candidate.clone() }, Step::MarkPromoted { instance: candidate.clone() }]);
        steps
    }

    /// From the promotion to the end: every stable instance gets the version while nobody is sent to it, then people, then the
    /// candidate goes.
    fn replace(&self, candidate: &InstanceName, wanted: &Wanted<'_>, afterwards: Afterwards) -> Vec<Step> {
        let lanes = self.canary.stable.iter().map(|stable| {
            let mut lane = change(stable, self.instance(stable).zip(wanted.comparisons.get(stable)));
            lane.extend(self.gate(stable));
            lane
        });
        let active: Vec<InstanceName> = self.canary.stable.iter().take(self.canary.active).cloned().collect();
        // A candidate that Azure has given up meanwhile is nowhere to go back to.
        let stands = self.instance(candidate).is_none() || self.can_serve(std::slice::from_ref(candidate));
        let all = stands.then(|| vec![Slice { instance: candidate.clone(), share: Share::ALL }]);
        let to = even(&active);
        // Nobody may be left at what is about to restart.
        let emptied: Vec<InstanceName> = self.canary.stable.iter().filter(|stable| self.instance(stable).is_some()).cloned().collect();
        let mut steps = Vec::new();
        if !emptied.is_empty() {
            steps.push(Step::DrainInstances { instances: emptied });
        }
        steps.extend([Step::Together { lanes: lanes.collect() }, self.shift(to.clone(), all, None)]);
        steps.extend(active.first().map(|subject| Step::VerifyShares { to, subject: subject.clone() }));
        steps.push(Step::DrainInstances { instances: vec![candidate.clone()] });
        steps.push(Step::DeleteInstance { instance: candidate.clone(), why: "the stable instances run its version".into() });
        steps.extend(self.settle(&active, afterwards));
        steps
    }

    /// Watching everyone on the new version, the last smoke tests, and the mark that it is trusted.
    fn settle(&self, active: &[InstanceName], afterwards: Afterwards) -> Vec<Step> {
        let mut steps = Vec::new();
        if afterwards == Afterwards::LeftToAPerson {
            return steps;
        }
        if let (Afterwards::Stabilized, Some(stabilize)) = (afterwards, &self.canary.stabilize) {
            steps.push(Step::Phase {
                on: active.to_vec(),
                beside: Vec::new(),
                share: Share::ALL,
                for_seconds: stabilize.duration.as_secs_f64(),
                every_seconds: stabilize.every.as_secs_f64(),
                rules: super::blue_green::with_health(&stabilize.rules),
                abort: Vec::new(),
                step_back: None,
            });
        }
        let url = self.environment.url.as_ref().map(crate::execute::shown);
        let mut paths = self.environment.smoke.clone();
        if let (Afterwards::Stabilized, Some(stabilize)) = (afterwards, &self.canary.stabilize) {
            paths.extend(stabilize.verify.smoke.iter().filter(|path| !self.environment.smoke.contains(path)).cloned());
        }
        if let (Some(url), false) = (url, paths.is_empty()) {
            steps.push(Step::Smoke { target: SmokeTarget::Url(url), paths });
        }
        if let (Afterwards::Stabilized, Some(stabilize)) = (afterwards, &self.canary.stabilize)
            && !stabilize.verify.checks.is_empty()
        {
            steps.push(Step::FinalChecks { on: active.to_vec(), checks: stabilize.verify.checks.clone() });
        }
        let marks = self.canary.stable.iter().map(|stable| vec![Step::MarkStable { instance: stable.clone() }]);
        steps.push(Step::Together { lanes: marks.collect() });
        steps
    }
}

/// Everyone, in equal parts, over `instances`; what does not divide goes to the first.
fn even(instances: &[InstanceName]) -> Vec<Slice> {
    spread(instances, Share::ALL)
}

fn spread(instances: &[InstanceName], share: Share) -> Vec<Slice> {
    let count = u32::try_from(instances.len()).unwrap_or(u32::MAX).max(1);
    let part = share.ppm() / count;
    let rest = share.ppm() - part * count;
    let of = |index: usize| Share::from_ppm(if index == 0 { part + rest } else { part }).unwrap_or(Share::ZERO);
    instances.iter().enumerate().map(|(index, instance)| Slice { instance: instance.clone(), share: of(index) }).collect()
}

/// `share` for the candidate, the rest in equal parts for those beside it.
fn slices(candidate: &InstanceName, share: Share, beside: &[InstanceName]) -> Vec<Slice> {
    let rest = Share::from_ppm(Share::ALL.ppm() - share.ppm()).unwrap_or(Share::ZERO);
    let mut all = vec![Slice { instance: candidate.clone(), share }];
    if rest > Share::ZERO {
        all.extend(spread(beside, rest));
    }
    all
}

/// Whether the candidate has passed every phase.
#[must_use]
pub fn is_promoted(instance: &Instance) -> bool {
    instance.tags.promoted.is_some()
}

/// The plan that brings a version to the environment.
///
/// # Errors
/// A refusal (kind `Traffic`) when the profile is not what shares can be set with, when nobody is served, or when another
/// version is half-way and only forward.
pub fn deploy(world: &World<'_>, wanted: &Wanted<'_>, notices: Vec<String>) -> Result<Plan, Failure> {
    world.profile()?;
    let mut notices = notices;
    let config = world.canary;
    let image = Some(wanted.image.clone());
    if let Some(old) = world.instance(&config.old) {
        let version = old.tags.version.as_ref().map_or("another version", Version::as_str);
        return Err(world
            .failure(format!("a rollback to {version} is half-way: {} exists", config.old))
            .next(format!("finish it: command: rollback, environment: {}", world.environment.name)));
    }
    let stages: Vec<Stage> = config
        .phases
        .iter()
        .map(|phase| Stage {
            share: phase.share,
            duration: phase.duration,
            stable: phase.stable,
            rules: phase.rules.clone(),
            back: phase.on_breach,
        })
        .collect();
    let candidate = &config.canary;
    let is_same = |name: &InstanceName| world.instance(name).is_some() && wanted.comparisons.get(name) == Some(&Comparison::Same);
    if let Some(found) = world.instance(candidate).filter(|_| world.leads(candidate)) {
        if !is_same(candidate) {
            let version = found.tags.version.as_ref().map_or("another version", Version::as_str);
            return Err(world
                .failure(format!("{version} has passed every phase and is taking the stable instances' place"))
                .next(format!("finish it first: command: deploy, environment: {}, version: {version}", world.environment.name))
                .next(format!("or go back: command: rollback, environment: {}", world.environment.name)));
        }
        notices.push(format!("{candidate} passed every phase in an earlier run: what is left is done"));
        let steps = [world.take_up(candidate, wanted), world.replace(candidate, wanted, Afterwards::Stabilized)].concat();
        return Ok(world.plan(Aim::Deploy, image, candidate, steps, notices));
    }
    if !world.all().any(|name| world.is_on(name)) {
        if config.stable.iter().any(|name| world.instance(name).is_some()) {
            notices.push(format!("nobody reaches {} now: every endpoint is off; this deployment switches them on", world.environment.name));
        }
        return Ok(first(world, wanted, notices));
    }
    let serving = world.base();
    let mut steps = Vec::new();
    if config.stable.iter().all(is_same) && world.instance(candidate).is_none() {
        let is_settled = config.stable.iter().all(|name| world.instance(name).is_some_and(|instance| instance.tags.stable_since.is_some()));
        let subject = serving.first().unwrap_or(candidate);
        if is_settled {
            for name in &serving {
                steps.push(Step::KeepInstance { instance: name.clone() });
                steps.push(world.await_health(name, world.environment.health.retries));
            }
            steps.extend(world.environment.url.as_ref().and_then(|url| world.smoke(SmokeTarget::Url(crate::execute::shown(url)))));
        } else {
            notices.push("every stable instance runs it, and an earlier run did not watch it to the end: it is watched again".into());
            steps.extend(world.settle(&serving, Afterwards::Stabilized));
        }
        return Ok(world.plan(Aim::Deploy, image, subject, steps, notices));
    }
    match world.instance(candidate) {
        Some(found) => {
            let version = found.tags.version.as_ref().map_or("a version", Version::as_str);
            let base = even(&serving);
            let is_needed = world.is_on(candidate) && !world.can_serve(&serving);
            if world.is_on(candidate) && !is_needed {
                notices.push(format!("an earlier run left {version} with a share of people: they go back to the stable instances first"));
                steps.push(world.shift(base.clone(), None, None));
                steps.push(Step::DrainInstances { instances: vec![candidate.clone()] });
            }
            if is_needed {
                steps.extend(world.keep(candidate, wanted)?);
            } else if is_same(candidate) {
                steps.extend(world.fill(candidate, wanted));
            } else {
                let why = format!("{version} never passed its phases");
                steps.push(Step::DeleteInstance { instance: candidate.clone(), why });
                steps.push(Step::CreateInstance { instance: candidate.clone() });
            }
        }
        None => steps.push(Step::CreateInstance { instance: candidate.clone() }),
    }
    if world.can_serve(&serving) {
        steps.extend(world.through(candidate, &stages, &serving, &world.pool(), &serving));
    } else {
        // An unhealthy version must not stand in the way of its own mending.
        notices.push(
            "Azure has given up the stable instances: there is nothing to compare with, so the new version goes straight to everyone"
                .into(),
        );
        let last = stages.into_iter().last().into_iter().collect::<Vec<_>>();
        steps.extend(world.through(candidate, &last, &serving, &serving, &[]));
    }
    steps.push(Step::MarkPromoted { instance: candidate.clone() });
    steps.extend(world.replace(candidate, wanted, Afterwards::Stabilized));
    Ok(world.plan(Aim::Deploy, image, candidate, steps, notices))
}

/// A first deployment: there is nothing to compare with or fall back to, so every stable instance is made, gated, and switched
/// on (DESIGN "First deployment").
fn first(world: &World<'_>, wanted: &Wanted<'_>, notices: Vec<String>) -> Plan {
    let config = world.canary;
    let lanes = config
        .stable
        .iter()
        .map(|stable| [change(stable, world.instance(stable).zip(wanted.comparisons.get(stable))), world.gate(stable)].concat());
    let active: Vec<InstanceName> = config.stable.iter().take(config.active).cloned().collect();
    let mut steps = vec![Step::Together { lanes: lanes.collect() }, world.shift(even(&active), None, None)];
    steps.extend(active.first().map(|subject| Step::VerifyShares { to: even(&active), subject: subject.clone() }));
    // A canary that is left over from another life serves nobody any more.
    steps.extend(
        world.instance(&config.canary).map(|_| Step::DeleteInstance { instance: config.canary.clone(), why: "it is left over".into() }),
    );
    steps.extend(world.settle(&active, Afterwards::Stabilized));
    world.plan(Aim::Deploy, Some(wanted.image.clone()), active.first().unwrap_or(&config.canary), steps, notices)
}

/// The plan that takes back a candidate that has not passed its phases: everyone to the stable instances, then it goes. `None`
/// where none is half-way: a rollback that is half-way is finished, not called off.
///
/// # Errors
/// A refusal when the profile is not what shares can be set with, or there is nothing to go back to.
pub fn call_off(world: &World<'_>, aim: Aim) -> Result<Option<Plan>, Failure> {
    world.profile()?;
    let Left::HalfWay(candidate) = left(world) else { return Ok(None) };
    let back = world.base();
    let Some(subject) = back.first() else {
        return Err(world.failure(format!("only {candidate} is there: nobody could be sent anywhere else")));
    };
    let mut steps: Vec<Step> = back.iter().map(|name| world.await_health(name, PROBES)).collect();
    // Also where nobody was sent to it: that people were taken back is written on the profile, so that a second rollback, asked for
    // in the same moment, goes no further back.
    if world.is_on(candidate) || aim == Aim::RollBack {
        steps.push(world.shift(even(&back), None, None));
    }
    if world.is_on(candidate) {
        steps.push(Step::DrainInstances { instances: vec![candidate.clone()] });
    }
    let why = match aim {
        Aim::RollBack => "its rollout was called off",
        Aim::Deploy | Aim::Promote | Aim::MakeSafe | Aim::Finish => "its rollout was interrupted",
    };
    steps.push(Step::DeleteInstance { instance: candidate.clone(), why: why.into() });
    Ok(Some(world.plan(aim, image_of(world, subject), subject, steps, Vec::new())))
}

/// The image that an instance runs, by the Action's tags.
fn image_of(world: &World<'_>, name: &InstanceName) -> Option<ImageReference> {
    let tags = &world.instance(name)?.tags;
    Some(ImageReference { repository: world.repository.clone(), version: tags.version.clone()?, digest: tags.digest.clone()? })
}

/// The plan that brings back a version that nothing runs any more: `wanted` is it (runbook "Staged Rollback").
///
/// # Errors
/// A refusal as for [`deploy`].
pub fn restore(world: &World<'_>, wanted: &Wanted<'_>, pace: Pace, notices: Vec<String>) -> Result<Plan, Failure> {
    world.profile()?;
    let config = world.canary;
    let candidate = &config.old;
    // Whoever serves now is where people stay until the old version is there: the stable instances, or a promoted canary.
    let mut serving = world.serving();
    let could = world.can_serve(std::slice::from_ref(&config.canary));
    let has_canary = world.is_on(&config.canary) || (serving.is_empty() && could);
    serving.extend(Some(&config.canary).filter(|_| has_canary).cloned());
    if serving.is_empty() {
        serving = world.base();
    }
    // Whoever Azure has given up is no help to the others.
    let well: Vec<InstanceName> = serving.iter().filter(|name| world.can_serve(std::slice::from_ref(*name))).cloned().collect();
    if !well.is_empty() {
        serving = well;
    }
    if !world.all().any(|name| world.is_on(name)) {
        return Err(world.failure("nobody is sent anywhere, so there is nothing to go back from").next("deploy the version instead"));
    }
    if let Some(steps) = stands_by(world, wanted) {
        return Ok(world.plan(Aim::RollBack, Some(wanted.image.clone()), config.stable.first().unwrap_or(candidate), steps, notices));
    }
    let base = even(&serving);
    // Nobody is left to share with: there is no share but the whole.
    let pace = if world.can_serve(&serving) { pace } else { Pace::Instant };
    let stages: Vec<Stage> = match pace {
        Pace::Instant => vec![Stage { share: Share::ALL, duration: Duration::ZERO, stable: 0, rules: Vec::new(), back: Share::ZERO }],
        Pace::Staged => config
            .staged
            .iter()
            .map(|step| Stage { share: step.share, duration: step.duration, stable: config.active, rules: Vec::new(), back: Share::ZERO })
            .collect(),
    };
    let gone = |instance: &InstanceName| {
        [
            Step::DrainInstances { instances: vec![instance.clone()] },
            Step::DeleteInstance { instance: instance.clone(), why: "a rollback takes its version back".into() },
        ]
    };
    if world.leads(candidate) && wanted.comparisons.get(candidate) == Some(&Comparison::Same) {
        let mut steps = world.take_up(candidate, wanted);
        steps.extend(world.instance(&config.canary).into_iter().flat_map(|_| gone(&config.canary)));
        steps.extend(world.replace(candidate, wanted, Afterwards::Trusted));
        return Ok(world.plan(Aim::RollBack, Some(wanted.image.clone()), candidate, steps, notices));
    }
    let mut steps = Vec::new();
    if world.is_on(candidate) && !world.can_serve(&serving) {
        steps.extend(world.keep(candidate, wanted)?);
    } else {
        if world.is_on(candidate) {
            steps.push(world.shift(base.clone(), None, None));
            steps.push(Step::DrainInstances { instances: vec![candidate.clone()] });
        }
        steps.extend(world.fill(candidate, wanted));
    }
    // What serves now may be what is sick: it judges nothing.
    steps.extend(world.through(candidate, &stages, &serving, &serving, &[]));
    steps.push(Step::MarkPromoted { instance: candidate.clone() });
    steps.extend(world.instance(&config.canary).into_iter().flat_map(|_| gone(&config.canary)));
    steps.extend(world.replace(candidate, wanted, Afterwards::Trusted));
    Ok(world.plan(Aim::RollBack, Some(wanted.image.clone()), candidate, steps, notices))
}

/// The way back where every stable instance still runs the version gone back to: seconds, as nothing has to be started.
fn stands_by(world: &World<'_>, wanted: &Wanted<'_>) -> Option<Vec<Step>> {
    let config = world.canary;
    let is_same = |name: &InstanceName| wanted.comparisons.get(name) == Some(&Comparison::Same);
    if !world.can_serve(&config.stable) || !config.stable.iter().all(is_same) {
        return None;
    }
    let active: Vec<InstanceName> = config.stable.iter().take(config.active).cloned().collect();
    let others: Vec<InstanceName> =
        [&config.canary, &config.old].into_iter().filter(|name| world.instance(name).is_some()).cloned().collect();
    let mut steps: Vec<Step> = active.iter().map(|name| world.await_health(name, PROBES)).collect();
    if others.iter().any(|name| world.is_on(name)) || active.iter().any(|name| !world.is_on(name)) {
        steps.push(world.shift(even(&active), None, None));
    }
    if !others.is_empty() {
        steps.push(Step::DrainInstances { instances: others.clone() });
    }
    let gone = |instance: InstanceName| Step::DeleteInstance { instance, why: "a rollback takes its version back".into() };
    steps.extend(others.into_iter().map(gone));
    steps.extend(world.settle(&active, Afterwards::Trusted));
    Some(steps)
}

/// The image of a candidate that is half-way.
#[must_use]
pub fn tried(world: &World<'_>) -> Option<ImageReference> {
    let candidate = Some(&world.canary.canary).filter(|name| world.instance(name).is_some_and(|instance| !is_promoted(instance)))?;
    image_of(world, candidate)
}

/// The plan that goes on with a candidate that is half-way, from the share that it has: through the phases above it.
///
/// # Errors
/// A refusal when the profile is not what shares can be set with, or nobody is served by stable instances.
pub fn promote(world: &World<'_>, wanted: &Wanted<'_>, notices: Vec<String>) -> Result<Plan, Failure> {
    let profile = world.profile()?;
    let candidate = &world.canary.canary;
    let serving = world.serving();
    if serving.is_empty() {
        return Err(world
            .failure(format!("nobody is sent to a stable instance of {}", world.environment.name))
            .next("run `command: rollback`"));
    }
    let weights: Vec<_> =
        profile.endpoints.iter().map(|endpoint| (endpoint.state == EndpointState::Enabled).then_some(endpoint.weight)).collect();
    let has = profile
        .endpoints
        .iter()
        .zip(crate::domain::shares(&weights))
        .find(|(endpoint, _)| endpoint.name.eq_ignore_ascii_case(candidate.as_str()))
        .map_or(Share::ZERO, |(_, share)| share);
    let stages: Vec<Stage> = world
        .canary
        .phases
        .iter()
        .filter(|phase| phase.share > has)
        .map(|phase| Stage {
            share: phase.share,
            duration: phase.duration,
            stable: phase.stable,
            rules: phase.rules.clone(),
            back: phase.on_breach,
        })
        .collect();
    let mut steps = vec![Step::ContinueInstance { instance: candidate.clone() }];
    steps.extend(world.through(candidate, &stages, &serving, &world.pool(), &[]));
    steps.push(Step::MarkPromoted { instance: candidate.clone() });
    steps.extend(world.replace(candidate, wanted, Afterwards::Stabilized));
    Ok(world.plan(Aim::Promote, Some(wanted.image.clone()), candidate, steps, notices))
}

/// Refuses a plan with shares that no weights can make, before anything of it is carried out.
///
/// # Errors
/// Which shares, and why.
pub fn can_be_set(plan: &Plan) -> Result<(), Failure> {
    let shared = plan.steps.iter().flat_map(|step| match step {
        Step::Shift { profile, to, back_to, .. } => {
            std::iter::once((profile, to)).chain(back_to.iter().map(|back| (profile, back))).collect::<Vec<_>>()
        }
        Step::Phase { step_back: Some(back), .. } => vec![(&back.profile, &back.to)],
        _ => Vec::new(),
    });
    for (profile, to) in shared {
        let asked: Vec<Share> = to.iter().map(|slice| slice.share).collect();
        crate::domain::weights(&asked).map_err(|error| {
            Failure::new(FailureKind::Configuration, error.to_string(), format!("Traffic Manager profile {profile}"))
                .meaning("nothing was touched")
                .next("ask for a larger share in `phases`, or let fewer stable instances have the rest: `stable`")
        })?;
    }
    Ok(())
}

/// A plan without steps.
#[must_use]
pub fn nothing(world: &World<'_>, subject: &InstanceName) -> Plan {
    world.plan(Aim::MakeSafe, image_of(world, subject), subject, Vec::new(), Vec::new())
}

#[cfg(test)]
mod tests;
