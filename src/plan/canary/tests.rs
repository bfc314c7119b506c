//! The planner against a model of the world: every plan, every prefix of it, and what takes it back or finishes it, over
//! generated worlds. The model knows what a step does, and nothing of why it was planned.

use std::collections::BTreeMap;

use proptest::{
    prelude::{Just, TestCaseError, any, prop, prop_assert, prop_assert_eq, prop_oneof, proptest},
    strategy::Strategy as _,
};

use super::*;
use crate::{
    config,
    domain::{Role, Weight},
    observe::{ContainerPhase, ContainerState, Endpoint, Monitor, MonitorStatus, Probing, ProfileTags, RoutingMethod, Tags},
};

const NEW: &str = "v1.0.0";
const OLD: &str = "v0.9.5";

/// An instance in the model.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Runs {
    version: String,
    promoted: bool,
    settled: bool,
    provisioning: Provisioning,
    previous: Option<String>,
    back_from: Option<String>,
}

impl Runs {
    fn of(version: &str) -> Self {
        Self {
            version: version.to_owned(),
            promoted: false,
            settled: true,
            provisioning: Provisioning::Succeeded,
            previous: None,
            back_from: None,
        }
    }
}

/// The world in the model: instances by name, and the share of each that is on.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Model {
    instances: BTreeMap<String, Runs>,
    on: BTreeMap<String, Share>,
    /// What is wanted, so that a write brings it.
    wanted: Runs,
    /// Whether the last change of traffic took people back.
    taken_back: bool,
}

impl Default for Model {
    fn default() -> Self {
        let wanted = Runs { settled: false, previous: Some(OLD.into()), ..Runs::of(NEW) };
        Self { instances: BTreeMap::new(), on: BTreeMap::new(), wanted, taken_back: false }
    }
}

impl Model {
    /// Whether everybody who asks is sent to an instance that runs.
    fn serves(&self) -> bool {
        let answers = |runs: &Runs| matches!(runs.provisioning, Provisioning::Succeeded | Provisioning::InProgress(_));
        !self.on.is_empty() && self.on.keys().all(|name| self.instances.get(name).is_some_and(answers))
    }

    /// What a step does; asserts what must never happen. Whether it could be done: a health check of what does not run cannot.
    fn carry_out(&mut self, step: &Step, served: &mut bool) -> Result<bool, TestCaseError> {
        match step {
            Step::CreateInstance { instance } => {
                prop_assert!(!self.instances.contains_key(instance.as_str()), "created over another: {instance}");
                self.put(instance)?;
            }
            Step::UpdateInstance { instance, .. } => {
                prop_assert!(self.instances.contains_key(instance.as_str()), "updated what is not there");
                self.put(instance)?;
            }
            Step::DeleteInstance { instance, .. } => {
                prop_assert!(!self.on.contains_key(instance.as_str()), "deleted {instance} while people are sent to it");
                prop_assert!(self.instances.remove(instance.as_str()).is_some(), "deleted what is not there: {instance}");
            }
            // Invariant 3: one request sets all of them.
            Step::Shift { to, .. } => {
                let sum: u32 = to.iter().map(|slice| slice.share.ppm()).sum();
                prop_assert_eq!(sum, Share::ALL.ppm(), "shares do not add up: {}", step);
                self.on =
                    to.iter().filter(|slice| slice.share > Share::ZERO).map(|slice| (slice.instance.to_string(), slice.share)).collect();
            }
            Step::MarkPromoted { instance } => self.known(instance)?.promoted = true,
            Step::MarkStable { instance } => self.known(instance)?.settled = true,
            Step::AwaitHealth { instance, .. } => {
                if self.known(instance)?.provisioning != Provisioning::Succeeded {
                    return Ok(false);
                }
            }
            Step::ContinueInstance { instance } | Step::KeepInstance { instance } => {
                self.known(instance)?;
            }
            Step::Together { lanes } => {
                // In any order: one lane after the other is one of them.
                for step in lanes.iter().flatten() {
                    if !self.carry_out(step, served)? {
                        return Ok(false);
                    }
                }
            }
            Step::Smoke { .. }
            | Step::VerifyShares { .. }
            | Step::DrainInstances { .. }
            | Step::CheckBaseline { .. }
            | Step::Phase { .. }
            | Step::FinalChecks { .. } => {}
            Step::CreateProfile { .. } | Step::Switch { .. } | Step::VerifyTraffic { .. } | Step::Drain { .. } | Step::Observe { .. } => {
                return Err(TestCaseError::fail(format!("not a step of this strategy: {step}")));
            }
        }
        // Invariant 1: once everybody is served, everybody is for ever.
        prop_assert!(!*served || self.serves(), "not everybody is served after: {step}\n{self:#?}");
        *served |= self.serves();
        Ok(true)
    }

    fn known(&mut self, instance: &InstanceName) -> Result<&mut Runs, TestCaseError> {
        self.instances.get_mut(instance.as_str()).ok_or_else(|| TestCaseError::fail(format!("{instance} is not there")))
    }

    fn put(&mut self, instance: &InstanceName) -> Result<(), TestCaseError> {
        // Invariant 2: a write restarts the containers.
        prop_assert!(!self.on.contains_key(instance.as_str()), "restarted {instance} while people are sent to it");
        self.instances.insert(instance.to_string(), self.wanted.clone());
        Ok(())
    }

    fn observed(&self) -> Observed {
        let instance = |(name, runs): (&String, &Runs)| Instance {
            name: name.parse().expect("a name"),
            provisioning: runs.provisioning.clone(),
            state: "Running".into(),
            ip: Some("10.0.0.1".into()),
            fqdn: Some(format!("{name}.example")),
            container: Some(ContainerState {
                phase: ContainerPhase::Running,
                detail: String::new(),
                exit_code: None,
                restarts: 0,
                previous_detail: None,
                image: String::new(),
            }),
            events: Vec::new(),
            tags: Tags {
                version: Some(runs.version.parse().expect("a version")),
                digest: Some(image(NEW).digest),
                role: Some(Role::Stable.as_str().to_owned()),
                promoted: runs.promoted.then_some(jiff::Timestamp::UNIX_EPOCH),
                previous: runs.previous.as_ref().map(|version| version.parse().expect("a version")),
                rolled_back_from: runs.back_from.as_ref().map(|version| version.parse().expect("a version")),
                stable_since: runs.settled.then_some(jiff::Timestamp::UNIX_EPOCH),
                ..Tags::default()
            },
            definition: serde_json::Value::Null,
        };
        let endpoint = |name: &&str| Endpoint {
            name: (*name).to_owned(),
            kind: "externalEndpoints".into(),
            target: format!("{name}.example"),
            state: if self.on.contains_key(*name) { EndpointState::Enabled } else { EndpointState::Disabled },
            weight: Weight::ONE,
            monitor: MonitorStatus::Online,
            probing: Probing::Probed,
        };
        Observed {
            instances: self.instances.iter().map(instance).collect(),
            profile: Some(Profile {
                name: "tm-prod".into(),
                state: EndpointState::Enabled,
                routing: RoutingMethod::Weighted,
                fqdn: None,
                ttl_seconds: 10,
                monitor: Monitor { protocol: "HTTP".into(), port: Some(3000), path: Some("/health".into()), interval_seconds: 10 },
                status: MonitorStatus::Online,
                endpoints: NAMES.iter().map(endpoint).collect(),
                tags: ProfileTags { taken_back: self.taken_back.then_some(jiff::Timestamp::UNIX_EPOCH), ..ProfileTags::default() },
                document: serde_json::Value::Null,
            }),
            at: jiff::Timestamp::UNIX_EPOCH,
        }
    }

    fn plan<T>(&self, plan: impl FnOnce(&World<'_>, &Wanted<'_>) -> T) -> T {
        let environment = environment();
        let (rollout, image, observed) = ("prod-1-1".parse().expect("an id"), image(&self.wanted.version), self.observed());
        let comparisons = self
            .instances
            .iter()
            .map(|(name, runs)| {
                let comparison =
                    if runs.version == self.wanted.version { Comparison::Same } else { Comparison::InPlace(vec!["image".into()]) };
                (name.parse().expect("a name"), comparison)
            })
            .collect();
        let canary = environment.canary.as_ref().expect("a canary");
        let world = World { rollout: &rollout, environment: &environment, canary, observed: &observed, repository: &image.repository };
        plan(&world, &Wanted { image: &image, comparisons: &comparisons })
    }

    fn deploy(&self) -> Result<Plan, Failure> {
        self.plan(|world, wanted| super::deploy(world, wanted, Vec::new()))
    }

    fn all(&mut self, steps: &[Step], served: &mut bool) -> Result<usize, TestCaseError> {
        for (index, step) in steps.iter().enumerate() {
            if !self.carry_out(step, served)? {
                return Ok(index);
            }
        }
        Ok(steps.len())
    }

    /// The versions that people are sent to.
    fn served_by(&self) -> Vec<&str> {
        let mut versions: Vec<&str> = self.on.keys().filter_map(|name| Some(self.instances.get(name)?.version.as_str())).collect();
        versions.dedup();
        versions
    }
}

const NAMES: [&str; 5] = ["prod-stable-1", "prod-stable-2", "prod-stable-3", "prod-canary-1", "prod-old-1"];

fn image(version: &str) -> ImageReference {
    ImageReference {
        repository: "ghcr.io/a/b".parse().expect("a repository"),
        version: version.parse().expect("a version"),
        digest: format!("sha256:{}", "0".repeat(64)).parse().expect("a digest"),
    }
}

fn environment() -> Environment {
    let text = "version: 1\napplication: shop\nimage: ghcr.io/a/b\nazure: {location: westeurope}\nenvironments:\n  prod:\n    url: https://p.example\n    \
                instances: {stable: prod-stable, canary: prod-canary-1, old: prod-old-1}\n    traffic-manager: {profile: tm-prod}\n    preflight: off\n    \
                stabilize: {verify: {sql: {invoices: SELECT count(*) FROM invoices}}}\n";
    let mut config = config::parse(text, "deploy.yml").expect("a configuration");
    config.environments.remove(&"prod".parse().expect("a name")).expect("prod")
}

/// Three stable instances of the old version, two of them serving.
fn usual() -> Model {
    let half = Share::from_ppm(500_000).expect("a share");
    Model {
        instances: NAMES.iter().take(3).map(|name| ((*name).to_owned(), Runs::of(OLD))).collect(),
        on: NAMES.iter().take(2).map(|name| ((*name).to_owned(), half)).collect(),
        ..Model::default()
    }
}

fn words(steps: &[Step]) -> String {
    steps.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

#[test]
fn the_usual_release_goes_by_the_runbook() {
    let plan = usual().deploy().expect("a plan");
    insta::assert_snapshot!("usual_release", words(&plan.steps));
    let at = |wanted: &str| plan.steps.iter().position(|step| step.to_string().contains(wanted)).expect(wanted) + 1;
    insta::assert_snapshot!("taken_back_at_50", words(&plan.undo(at("at 50%"))));
    insta::assert_snapshot!("taken_back_once_promoted", words(&plan.undo(at("each to prod-stable-1, prod-stable-2"))));
    assert_eq!(plan.undo(plan.steps.len()), [], "marked stable: only forward");
}

#[test]
fn going_back_after_the_release_brings_the_old_version_in_beside() {
    let mut model = usual();
    // The model's NEW is what is wanted: here, the version to go back to.
    model.instances.values_mut().for_each(|runs| runs.version = "v1.1.0".into());
    let staged = model.plan(|world, wanted| super::restore(world, wanted, Pace::Staged, Vec::new())).expect("a plan");
    insta::assert_snapshot!("staged_rollback", words(&staged.steps));
    let mut served = true;
    model.all(&staged.steps, &mut served).expect("no invariant is broken");
    assert_eq!((model.served_by(), model.instances.len()), (vec![NEW], 3));
}

#[test]
fn shares_that_no_weights_make_are_refused_before_anything_is_done() {
    let with = |ppm| {
        let mut environment = environment();
        let canary = environment.canary.as_mut().expect("a canary");
        canary.phases[0].share = Share::from_ppm(ppm).expect("a share");
        let model = usual();
        let (rollout, image, observed) = ("prod-1-1".parse().expect("an id"), image(NEW), model.observed());
        let comparisons: BTreeMap<InstanceName, Comparison> =
            model.instances.keys().map(|name| (name.parse().expect("a name"), Comparison::InPlace(vec!["image".into()]))).collect();
        let canary = environment.canary.as_ref().expect("a canary");
        let world = World { rollout: &rollout, environment: &environment, canary, observed: &observed, repository: &image.repository };
        let wanted = Wanted { image: &image, comparisons: &comparisons };
        can_be_set(&super::deploy(&world, &wanted, Vec::new()).expect("a plan"))
    };
    assert_eq!(with(500), Ok(()), "0.05 % beside two is 1 of 2001");
    let refused = with(100).expect_err("0.01 %");
    assert_eq!((refused.kind, refused.consequence.as_str()), (FailureKind::Configuration, "nothing was touched"));
    assert!(refused.what.contains("0.01%"), "{}", refused.what);
}

fn any_model() -> impl proptest::strategy::Strategy<Value = Model> {
    let version = || prop_oneof![4 => Just(OLD), 2 => Just(NEW), 1 => Just("v0.9.9")];
    let provisioning = || {
        prop_oneof![
            8 => Just(Provisioning::Succeeded),
            1 => Just(Provisioning::Failed),
            1 => Just(Provisioning::InProgress("Creating".into())),
        ]
    };
    let runs = move || {
        (version(), any::<bool>(), any::<bool>(), provisioning()).prop_map(|(version, promoted, settled, provisioning)| Runs {
            version: version.to_owned(),
            promoted,
            settled,
            provisioning,
            ..Runs::of(OLD)
        })
    };
    let stable = (version(), 0_usize..=3, any::<bool>(), provisioning());
    let candidates = (proptest::option::weighted(0.5, runs()), proptest::option::weighted(0.1, runs()));
    (stable, candidates, proptest::collection::vec(any::<bool>(), 5)).prop_map(
        |((version, count, settled, provisioning), (canary, old), on)| {
            let mut model = Model::default();
            for name in NAMES.iter().take(count) {
                let runs = Runs { settled, provisioning: provisioning.clone(), ..Runs::of(version) };
                model.instances.insert((*name).to_owned(), runs);
            }
            let candidates = [("prod-canary-1", canary), ("prod-old-1", old)];
            model.instances.extend(candidates.into_iter().filter_map(|(name, runs)| Some((name.to_owned(), runs?))));
            let names: Vec<InstanceName> = NAMES
                .iter()
                .zip(on)
                .filter(|(name, on)| *on && model.instances.contains_key(**name))
                .map(|(name, _)| name.parse().expect("a name"))
                .collect();
            if !names.is_empty() {
                model.on = even(&names).into_iter().map(|slice| (slice.instance.to_string(), slice.share)).collect();
            }
            model
        },
    )
}

proptest! {
    /// Invariants 1 to 4, for every prefix of every plan, with what takes it back.
    #[test]
    fn every_prefix_can_be_taken_back(model in any_model(), stop in any::<prop::sample::Index>()) {
        let Ok(plan) = model.deploy() else { return Ok(()) };
        let stop = stop.index(plan.steps.len() + 1);
        let (mut now, mut served) = (model.clone(), model.serves());
        let done = now.all(&plan.steps[..stop], &mut served)?;
        let undo = plan.undo(done);
        let first_delete = undo.iter().position(|step| matches!(step, Step::DeleteInstance { .. })).unwrap_or(undo.len());
        prop_assert!(!undo[first_delete..].iter().any(|step| matches!(step, Step::Shift { .. })), "{}", words(&undo));
        now.all(&undo, &mut served)?;
        if undo.iter().any(|step| matches!(step, Step::DeleteInstance { instance, .. } if *instance == plan.subject)) {
            let subject = plan.subject.as_str();
            prop_assert!(!now.on.contains_key(subject) && !now.instances.contains_key(subject), "{:#?}", now);
        }
    }

    /// Invariant 5: stopped after any step, the same request again ends with the new version alone, serving and trusted.
    #[test]
    fn the_same_request_again_finishes_what_was_left(model in any_model(), stop in any::<prop::sample::Index>()) {
        let Ok(plan) = model.deploy() else { return Ok(()) };
        let stop = stop.index(plan.steps.len() + 1);
        let (mut now, mut served) = (model.clone(), model.serves());
        let done = now.all(&plan.steps[..stop], &mut served)?;
        if done < stop {
            return Ok(());
        }
        let again = now.deploy().map_err(|failure| TestCaseError::fail(format!("{failure}")))?;
        if now.all(&again.steps, &mut served)? < again.steps.len() {
            return Ok(());
        }
        prop_assert_eq!(now.served_by(), vec![NEW], "{:#?}", now);
        prop_assert_eq!(now.instances.len(), 3, "{:#?}", now);
        prop_assert!(now.instances.values().all(|runs| runs.version == NEW && runs.settled), "{:#?}", now);
        let third = now.deploy().map_err(|failure| TestCaseError::fail(format!("{failure}")))?;
        prop_assert!(!third.changes_anything(), "{}", words(&third.steps));
    }

    /// Invariant 5, the other way: stopped before the promotion, calling off leaves people on the stable instances alone.
    #[test]
    fn calling_off_leaves_no_candidate(model in any_model(), stop in any::<prop::sample::Index>()) {
        let Ok(plan) = model.deploy() else { return Ok(()) };
        let stop = stop.index(plan.steps.len() + 1);
        let (mut now, mut served) = (model.clone(), model.serves());
        now.all(&plan.steps[..stop], &mut served)?;
        let off = now.plan(|world, _| super::call_off(world, Aim::MakeSafe));
        let Ok(Some(off)) = off else { return Ok(()) };
        if now.all(&off.steps, &mut served)? < off.steps.len() {
            return Ok(());
        }
        prop_assert!(!now.on.contains_key("prod-canary-1") || now.instances["prod-canary-1"].promoted, "{:#?}", now);
        let again = now.plan(|world, _| super::call_off(world, Aim::MakeSafe)).map_err(|failure| TestCaseError::fail(format!("{failure}")))?;
        prop_assert!(again.is_none_or(|plan| plan.subject.as_str() != "prod-canary-1" ), "{:#?}", now);
    }

    /// Going back, at any pace, from any state that serves, ends with the version gone back to alone.
    #[test]
    fn a_rollback_ends_with_the_old_version_alone(model in any_model(), staged in any::<bool>(), stop in any::<prop::sample::Index>()) {
        let pace = if staged { Pace::Staged } else { Pace::Instant };
        let restore = |model: &Model| model.plan(|world, wanted| super::restore(world, wanted, pace, Vec::new()));
        let Ok(plan) = restore(&model) else { return Ok(()) };
        let (mut now, mut served) = (model.clone(), model.serves());
        let stop = stop.index(plan.steps.len() + 1);
        if now.all(&plan.steps[..stop], &mut served)? < stop {
            return Ok(());
        }
        let mut taken_back = now.clone();
        taken_back.all(&plan.undo(stop), &mut served.clone())?;
        // Interrupted and asked for again.
        let again = restore(&now).map_err(|failure| TestCaseError::fail(format!("{failure}")))?;
        if now.all(&again.steps, &mut served)? < again.steps.len() {
            return Ok(());
        }
        prop_assert_eq!((now.served_by(), now.instances.len()), (vec![NEW], 3), "{:#?}", now);
    }

    /// A release stopped anywhere, then rollbacks stopped anywhere: asked for again and again they end with the version before, never
    /// come forward, and never go further back by themselves.
    #[test]
    fn rollbacks_asked_for_again_and_again_end_with_the_version_before(
        stop in any::<prop::sample::Index>(),
        stops in proptest::collection::vec(any::<prop::sample::Index>(), 0..4),
    ) {
        let mut now = usual();
        now.instances.values_mut().for_each(|runs| runs.previous = Some("v0.9.4".into()));
        let plan = now.deploy().map_err(|failure| TestCaseError::fail(format!("{failure}")))?;
        let stop = 1 + stop.index(plan.steps.len());
        let mut served = true;
        now.all(&plan.steps[..stop], &mut served)?;
        for stop in stops.into_iter().map(Some).chain([None, None]) {
            let steps = now.roll_back()?;
            let stop = stop.map_or(steps.len(), |stop| stop.index(steps.len() + 1));
            now.all(&steps[..stop], &mut served)?;
            now.taken_back |= steps[..stop].iter().any(|step| matches!(step, Step::Shift { .. }));
        }
        prop_assert_eq!((now.served_by(), now.instances.len()), (vec![OLD], 3), "{:#?}", now);
        prop_assert!(now.instances.values().all(|runs| runs.version == OLD && runs.settled), "{:#?}", now);
    }

    /// Whatever a run left is made safe by the next, without anybody's word: all on the version before, or all on the new one,
    /// and then nothing is left to be made safe.
    #[test]
    fn what_is_left_is_made_safe(stop in any::<prop::sample::Index>(), again in any::<prop::sample::Index>()) {
        let mut now = usual();
        let plan = now.deploy().map_err(|failure| TestCaseError::fail(format!("{failure}")))?;
        let stop = stop.index(plan.steps.len() + 1);
        let mut served = true;
        now.all(&plan.steps[..stop], &mut served)?;
        for part in [Some(again), None] {
            let steps = now.make_safe()?;
            let end = part.map_or(steps.len(), |part| part.index(steps.len() + 1));
            now.all(&steps[..end], &mut served)?;
        }
        prop_assert_eq!((now.served_by().len(), now.instances.len()), (1, 3), "{:#?}", now);
        let left = now.plan(|world, _| matches!(super::left(world), Left::Nothing | Left::Unproven));
        prop_assert!(left, "{:#?}", now);
        prop_assert_eq!(now.served_by() == [NEW], plan.is_promoted(stop), "{:#?}", now);
    }
}

impl Model {
    /// The steps of `command: rollback`, as the world stands.
    fn roll_back(&mut self) -> Result<Vec<Step>, TestCaseError> {
        let failed = |failure: Failure| TestCaseError::fail(format!("{failure}"));
        match self.plan(|world, _| way_back(world, None)).map_err(failed)? {
            WayBack::CallOff => {
                Ok(self.plan(|world, _| call_off(world, Aim::RollBack)).map_err(failed)?.map_or_else(Vec::new, |plan| plan.steps))
            }
            WayBack::Here => Ok(self.plan(|world, _| trust(world, Aim::RollBack, Vec::new())).map_err(failed)?.steps),
            WayBack::To(version) => {
                prop_assert_eq!(version.as_str(), OLD, "{:#?}", self);
                self.wanted = Runs { settled: false, back_from: Some(NEW.into()), ..Runs::of(OLD) };
                Ok(self.plan(|world, wanted| restore(world, wanted, Pace::Instant, Vec::new())).map_err(failed)?.steps)
            }
        }
    }

    /// The steps that make safe what a release left.
    fn make_safe(&self) -> Result<Vec<Step>, TestCaseError> {
        let failed = |failure: Failure| TestCaseError::fail(format!("{failure}"));
        let candidate: InstanceName = "prod-canary-1".parse().expect("a name");
        let plan = self.plan(|world, wanted| match super::left(world) {
            Left::HalfWay(_) => call_off(world, Aim::MakeSafe),
            Left::Promoted(_) => finish(world, &candidate, wanted, Vec::new()).map(Some),
            Left::Nothing | Left::Unproven => Ok(None),
            left => Err(world.failure(format!("{left:?} after a release"))),
        });
        Ok(plan.map_err(failed)?.map_or_else(Vec::new, |plan| plan.steps))
    }
}
