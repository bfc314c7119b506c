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
    domain::Weight,
    observe::{ContainerPhase, ContainerState, EndpointState, Monitor, MonitorStatus, ProfileTags, Provisioning, RoutingMethod, Tags},
};

const NEW: &str = "main-a1b2c3d";

/// An instance in the model.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Runs {
    version: String,
    role: Option<Role>,
    provisioning: Provisioning,
}

/// The world in the model.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Model {
    instances: BTreeMap<Slot, Runs>,
    /// `None`: there is no profile. An endpoint that is missing is not in it.
    endpoints: Option<BTreeMap<Slot, EndpointState>>,
}

impl Model {
    fn on(&self) -> Vec<Slot> {
        let all = self.endpoints.iter().flatten();
        all.filter(|(_, state)| **state == EndpointState::Enabled).map(|(slot, _)| *slot).collect()
    }

    /// Whether somebody who asks for the name gets an answer from an instance that runs.
    fn serves(&self) -> bool {
        let on = self.on();
        // One that Azure still works on may well answer.
        let answers = |runs: &Runs| matches!(runs.provisioning, Provisioning::Succeeded | Provisioning::InProgress(_));
        !on.is_empty() && on.iter().all(|slot| self.instances.get(slot).is_some_and(answers))
    }

    fn slot(environment: &Environment, instance: &crate::domain::InstanceName) -> Slot {
        let blue_green = environment.blue_green.as_ref().expect("blue-green");
        Slot::BOTH.into_iter().find(|slot| blue_green.slot(*slot).instance == *instance).expect("a slot's instance")
    }

    /// What a step does; asserts what must never happen.
    fn carry_out(&mut self, step: &Step, environment: &Environment) -> Result<(), TestCaseError> {
        let at = |instance| Self::slot(environment, instance);
        match step {
            Step::CreateInstance { instance } => {
                prop_assert!(!self.instances.contains_key(&at(instance)), "created over another");
                self.put(at(instance))?;
            }
            Step::UpdateInstance { instance, .. } => {
                prop_assert!(self.instances.contains_key(&at(instance)), "updated what is not there");
                self.put(at(instance))?;
            }
            Step::DeleteInstance { instance, .. } => {
                // Invariant 2.
                prop_assert!(!self.on().contains(&at(instance)), "deleted {instance} while people are sent to it");
                prop_assert!(self.instances.remove(&at(instance)).is_some(), "deleted what is not there");
            }
            Step::CreateProfile { to, .. } => {
                prop_assert!(self.endpoints.is_none());
                self.endpoints = Some(BTreeMap::from([(to.slot, EndpointState::Enabled)]));
            }
            // Invariant 3: one request sets all of them, to 100 % for one.
            Step::Switch { to, .. } => {
                let endpoints = self.endpoints.as_mut().expect("a profile");
                endpoints.values_mut().for_each(|state| *state = EndpointState::Disabled);
                endpoints.insert(to.slot, EndpointState::Enabled);
            }
            Step::MarkStable { instance } => {
                let runs = self.instances.get_mut(&at(instance)).expect("marked what is not there");
                runs.role = Some(Role::Stable);
            }
            Step::ContinueInstance { instance } | Step::KeepInstance { instance } | Step::AwaitHealth { instance, .. } => {
                prop_assert!(self.instances.contains_key(&at(instance)), "{step}");
            }
            Step::Smoke { .. } | Step::VerifyTraffic { .. } | Step::Drain { .. } | Step::Observe { .. } => {}
            Step::Shift { .. }
            | Step::VerifyShares { .. }
            | Step::DrainInstances { .. }
            | Step::CheckBaseline { .. }
            | Step::Phase { .. }
            | Step::FinalChecks { .. }
            | Step::MarkPromoted { .. }
            | Step::Together { .. } => return Err(TestCaseError::fail(format!("not a step of this strategy: {step}"))),
        }
        Ok(())
    }

    fn put(&mut self, slot: Slot) -> Result<(), TestCaseError> {
        // Invariant 2: a write restarts the containers.
        prop_assert!(!self.on().contains(&slot), "restarted {slot} while people are sent to it");
        let runs = Runs { version: NEW.into(), role: Some(Role::Canary), provisioning: Provisioning::Succeeded };
        self.instances.insert(slot, runs);
        Ok(())
    }

    fn observed(&self, environment: &Environment) -> Observed {
        let blue_green = environment.blue_green.as_ref().expect("blue-green");
        let instance = |(slot, runs): (&Slot, &Runs)| Instance {
            name: blue_green.slot(*slot).instance.clone(),
            provisioning: runs.provisioning.clone(),
            state: "Running".into(),
            ip: Some("10.0.0.1".into()),
            fqdn: Some(format!("{slot}.example")),
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
                role: runs.role.map(|role| role.as_str().to_owned()),
                ..Tags::default()
            },
            definition: serde_json::Value::Null,
        };
        let endpoint = |(slot, state): (&Slot, &EndpointState)| Endpoint {
            name: blue_green.slot(*slot).endpoint.clone(),
            kind: "externalEndpoints".into(),
            target: format!("{slot}.example"),
            state: *state,
            weight: Weight::FULL,
            monitor: MonitorStatus::Online,
            probing: crate::observe::Probing::Probed,
        };
        Observed {
            instances: self.instances.iter().map(instance).collect(),
            profile: self.endpoints.as_ref().map(|endpoints| Profile {
                name: blue_green.profile.name.clone(),
                state: EndpointState::Enabled,
                routing: RoutingMethod::Weighted,
                fqdn: None,
                ttl_seconds: 10,
                monitor: Monitor { protocol: "HTTP".into(), port: Some(3000), path: Some("/health".into()), interval_seconds: 10 },
                status: MonitorStatus::Online,
                endpoints: endpoints.iter().map(endpoint).collect(),
                tags: ProfileTags::default(),
                document: serde_json::Value::Null,
            }),
            at: jiff::Timestamp::UNIX_EPOCH,
        }
    }

    fn deploy(&self, environment: &Environment) -> Result<Plan, Failure> {
        let image = image();
        let comparison = |slot| {
            self.instances
                .get(&slot)
                .map(|runs| if runs.version == NEW { Comparison::Same } else { Comparison::InPlace(vec!["image".into()]) })
        };
        let (blue, green) = (comparison(Slot::Blue), comparison(Slot::Green));
        let observed = self.observed(environment);
        self.world(environment, &observed, |world| {
            super::deploy(world, &Wanted { image: &image, blue: blue.as_ref(), green: green.as_ref() }, Vec::new())
        })
    }

    fn world<T>(&self, environment: &Environment, observed: &Observed, plan: impl FnOnce(&World<'_>) -> T) -> T {
        let (rollout, repository) = ("staging-1-1".parse().expect("an id"), image().repository);
        let blue_green = environment.blue_green.as_ref().expect("blue-green");
        plan(&World { rollout: &rollout, environment, blue_green, observed, repository: &repository })
    }

    fn make_safe(&self, environment: &Environment) -> Result<Plan, Failure> {
        let observed = self.observed(environment);
        self.world(environment, &observed, |world| super::make_safe(world, Aim::Deploy))
    }

    fn rollback(&self, environment: &Environment) -> Result<Plan, Failure> {
        let observed = self.observed(environment);
        self.world(environment, &observed, |world| super::rollback(world, None))
    }

    fn promote(&self, environment: &Environment) -> Result<Plan, Failure> {
        let observed = self.observed(environment);
        self.world(environment, &observed, super::promote)
    }
}

fn image() -> ImageReference {
    ImageReference {
        repository: "ghcr.io/a/b".parse().expect("a repository"),
        version: NEW.parse().expect("a version"),
        digest: format!("sha256:{}", "0".repeat(64)).parse().expect("a digest"),
    }
}

/// `traffic` is what `traffic-manager` says beside the profile's name.
fn environment(traffic: &str) -> Environment {
    let text = format!(
        "version: 1\napplication: shop\nimage: ghcr.io/a/b\nazure: {{location: westeurope}}\nenvironments:\n  staging:\n    url: https://s.example\n    \
         slots: {{blue: aci-blue, green: aci-green}}\n    traffic-manager: {{profile: tm{traffic}}}\n"
    );
    let mut config = config::parse(&text, "deploy.yml").expect("a configuration");
    config.environments.remove(&"staging".parse().expect("a name")).expect("staging")
}

fn usual() -> Model {
    let old = Runs { version: "main-0000000".into(), role: Some(Role::Stable), provisioning: Provisioning::Succeeded };
    Model {
        instances: BTreeMap::from([(Slot::Blue, old)]),
        endpoints: Some(BTreeMap::from([(Slot::Blue, EndpointState::Enabled), (Slot::Green, EndpointState::Disabled)])),
    }
}

fn words(plan: &Plan) -> Vec<String> {
    plan.steps.iter().map(ToString::to_string).collect()
}

#[test]
fn the_usual_release_goes_by_the_runbook() {
    let plan = usual().deploy(&environment("")).expect("a plan");
    insta::assert_snapshot!(words(&plan).join("\n"), @r"
    Create aci-green
    Health of aci-green: GET /health
    Smoke tests on aci-green itself
    Switch tm: 100% to green (aci-green)
    Verify that requests arrive at aci-green
    Watch aci-green for 30 min
    Smoke tests on https://s.example
    Mark aci-green stable
    Delete aci-blue
    ");
    let undo: Vec<String> = plan.undo(6).iter().map(ToString::to_string).collect();
    insta::assert_snapshot!(undo.join("\n"), @r"
    Switch tm: 100% to blue (aci-blue)
    Wait until aci-green is drained
    Delete aci-green
    ");
    assert_eq!(plan.undo(plan.steps.len()), [], "marked stable: only forward");
}

#[test]
fn both_or_foreign_endpoints_are_refused_with_the_command_that_mends_it() {
    let mut both = usual();
    both.endpoints = Some(Slot::BOTH.map(|slot| (slot, EndpointState::Enabled)).into());
    let failure = both.deploy(&environment("")).expect_err("refused");
    assert!(failure.next[0].contains("az network traffic-manager endpoint update"), "{failure}");
    let none = Model { endpoints: None, ..usual() };
    let failure = none.deploy(&environment("")).expect_err("refused");
    assert!(failure.next[0].contains("dns-name"), "{failure}");
    assert!(none.deploy(&environment(", dns-name: shop-staging")).is_ok());
}

#[test]
fn an_unproven_version_that_serves_gives_way_to_another_only_after_people_went_back() {
    let mut model = usual();
    let begun = Runs { version: "main-1111111".into(), role: Some(Role::Canary), provisioning: Provisioning::Succeeded };
    model.instances.insert(Slot::Green, begun);
    model.endpoints = Some(BTreeMap::from([(Slot::Blue, EndpointState::Disabled), (Slot::Green, EndpointState::Enabled)]));
    let plan = model.deploy(&environment("")).expect("a plan");
    insta::assert_snapshot!(words(&plan).join("\n"), @r"
    Switch tm: 100% to blue (aci-blue)
    Wait until aci-green is drained
    Update aci-green
    Health of aci-green: GET /health
    Smoke tests on aci-green itself
    Switch tm: 100% to green (aci-green)
    Verify that requests arrive at aci-green
    Watch aci-green for 30 min
    Smoke tests on https://s.example
    Mark aci-green stable
    Delete aci-blue
    ");
}

/// People are on green, which the rollout `staging-1-1` or another brought there; blue stands by.
fn switched(green: Role) -> Model {
    let mut model = usual();
    model.instances.insert(Slot::Green, Runs { version: NEW.into(), role: Some(green), provisioning: Provisioning::Succeeded });
    model.endpoints = Some(BTreeMap::from([(Slot::Blue, EndpointState::Disabled), (Slot::Green, EndpointState::Enabled)]));
    model
}

#[test]
fn what_is_left_is_finished_or_made_safe_by_whose_work_it_is() {
    let environment = environment("");
    let (mine, other): (RolloutId, RolloutId) = ("staging-1-1".parse().expect("an id"), "staging-2-1".parse().expect("an id"));
    // What the run was for, green's role and rollout, and the rollout that switched last; then the plan's aim and steps.
    let cases = [
        (
            Aim::Deploy,
            Role::Stable,
            &mine,
            &mine,
            Aim::Finish,
            ["Health of aci-green: GET /health", "Wait until aci-blue is drained", "Delete aci-blue"].as_slice(),
        ),
        (
            Aim::Promote,
            Role::Stable,
            &mine,
            &other,
            Aim::Finish,
            &["Health of aci-green: GET /health", "Wait until aci-blue is drained", "Delete aci-blue"],
        ),
        (
            Aim::Deploy,
            Role::Stable,
            &other,
            &other,
            Aim::MakeSafe,
            &["Health of aci-green: GET /health", "Wait until aci-blue is drained", "Delete aci-blue"],
        ),
        (
            Aim::Deploy,
            Role::Canary,
            &mine,
            &mine,
            Aim::MakeSafe,
            &[
                "Health of aci-blue: GET /health",
                "Switch tm: 100% to blue (aci-blue)",
                "Wait until aci-green is drained",
                "Delete aci-green",
            ],
        ),
        // A rollback that had not come to its switch goes back all the same, although green is as trusted as blue …
        (
            Aim::RollBack,
            Role::Stable,
            &other,
            &other,
            Aim::RollBack,
            &[
                "Health of aci-blue: GET /health",
                "Switch tm: 100% to blue (aci-blue)",
                "Wait until aci-green is drained",
                "Delete aci-green",
                "Smoke tests on https://s.example",
            ],
        ),
        // … and one that had is not taken back.
        (
            Aim::RollBack,
            Role::Stable,
            &other,
            &mine,
            Aim::RollBack,
            &["Health of aci-green: GET /health", "Wait until aci-blue is drained", "Delete aci-blue"],
        ),
    ];
    for (left, role, brought, switched_by, aim, steps) in cases {
        let model = switched(role);
        let mut observed = model.observed(&environment);
        for instance in observed.instances.iter_mut().filter(|instance| instance.name.as_str() == "aci-green") {
            instance.tags.rollout = Some(brought.clone());
        }
        observed.profile.iter_mut().for_each(|profile| profile.tags.rollout = Some(switched_by.clone()));
        let plan = model.world(&environment, &observed, |world| super::make_safe(world, left)).expect("a plan");
        assert_eq!(
            (plan.aim, words(&plan)),
            (aim, steps.iter().map(ToString::to_string).collect()),
            "{left:?} {role:?} {brought} {switched_by}"
        );
    }
}

/// Neither version ever proved itself: which of them came after is what says where back is.
#[test]
fn a_rollback_goes_to_an_unproven_version_only_where_people_came_from_it() {
    let environment = environment("");
    let mut model = switched(Role::Canary);
    model.instances.get_mut(&Slot::Blue).expect("blue").role = Some(Role::Canary);
    let rollback = |previous: Option<&str>| {
        let mut observed = model.observed(&environment);
        for instance in observed.instances.iter_mut().filter(|instance| instance.name.as_str() == "aci-green") {
            instance.tags.previous = previous.map(|version| version.parse().expect("a version"));
        }
        words(&model.world(&environment, &observed, |world| super::rollback(world, None)).expect("a plan"))
    };
    let back =
        ["Health of aci-blue: GET /health", "Switch tm: 100% to blue (aci-blue)", "Wait until aci-green is drained", "Delete aci-green"];
    assert_eq!(rollback(Some("main-0000000"))[..4], back);
    let called_off = ["Health of aci-green: GET /health", "Delete aci-blue", "Mark aci-green stable"];
    assert_eq!(
        (rollback(Some("main-1111111")), rollback(None)),
        (called_off.map(String::from).into(), called_off.map(String::from).into())
    );
}

/// A rollback that is asked for twice, or again because its run was killed, does not go forward to what it left.
#[test]
fn a_rollback_never_goes_to_what_came_after() {
    let environment = environment("");
    let mut model = switched(Role::Stable);
    model.endpoints = usual().endpoints;
    let first = |proved: Option<&str>, previous: Option<&str>| {
        let mut observed = model.observed(&environment);
        for instance in &mut observed.instances {
            let is_green = instance.name.as_str() == "aci-green";
            let at = if is_green { proved } else { Some("2026-11-23T10:00:00Z") };
            instance.tags.stable_since = at.map(|at| at.parse().expect("a time"));
            instance.tags.previous = previous.filter(|_| is_green).map(|version| version.parse().expect("a version"));
        }
        words(&model.world(&environment, &observed, |world| super::rollback(world, None)).expect("a plan")).remove(0)
    };
    let (stay, go) = ("Health of aci-blue: GET /health", "Health of aci-green: GET /health");
    assert_eq!(first(Some("2026-11-24T10:00:00Z"), None), stay, "green proved itself later");
    assert_eq!(first(Some("2026-11-22T10:00:00Z"), None), go, "green proved itself before");
    assert_eq!(first(None, Some("main-0000000")), stay, "green says that it came after blue's version");
    assert_eq!(first(None, Some("main-1111111")), go);
}

/// A version that nobody met can go at once; one that people may have left a moment ago goes when no resolver sends them there.
#[test]
fn what_people_may_have_left_just_now_is_drained_first() {
    let environment = environment("");
    let mut model = usual();
    model
        .instances
        .insert(Slot::Green, Runs { version: "main-1111111".into(), role: Some(Role::Canary), provisioning: Provisioning::Succeeded });
    let (older, last): (RolloutId, RolloutId) = ("staging-1-1".parse().expect("an id"), "staging-2-1".parse().expect("an id"));
    let image = image();
    let update = Comparison::InPlace(vec!["image".into()]);
    for (switched_last, waits) in [(None, false), (Some(&older), false), (Some(&last), true)] {
        let mut observed = model.observed(&environment);
        observed
            .instances
            .iter_mut()
            .filter(|instance| instance.name.as_str() == "aci-blue")
            .for_each(|blue| blue.tags.rollout = Some(older.clone()));
        observed.profile.iter_mut().for_each(|profile| profile.tags.rollout = switched_last.cloned());
        model.world(&environment, &observed, |world| {
            let wanted = Wanted { image: &image, blue: None, green: Some(&update) };
            let plans = [super::make_safe(world, Aim::Deploy), super::rollback(world, None), super::deploy(world, &wanted, Vec::new())];
            for plan in plans.map(|plan| words(&plan.expect("a plan"))) {
                assert_eq!(plan.contains(&"Wait until aci-green is drained".to_owned()), waits, "{switched_last:?}: {plan:?}");
            }
        });
    }
}

#[test]
fn only_a_person_decides_of_what_is_held_or_has_no_way_back() {
    let environment = environment("");
    let stuck = |model: &Model, held: Option<&str>| {
        let mut observed = model.observed(&environment);
        observed.instances.iter_mut().for_each(|instance| instance.tags.held = held.map(str::to_owned));
        model.world(&environment, &observed, for_a_person).expect("it can be told what is live")
    };
    assert_eq!(stuck(&usual(), None), None);
    assert_eq!(stuck(&switched(Role::Canary), None), None, "people can go back");
    assert_eq!(stuck(&switched(Role::Canary), Some("no data")), Some(Stuck::Held { why: "no data".into() }));
    assert_eq!(stuck(&switched(Role::Stable), Some("no data")), None, "what is stable is held no more");
    let mut alone = switched(Role::Canary);
    alone.instances.remove(&Slot::Blue);
    assert_eq!(stuck(&alone, None), Some(Stuck::Unproven));
}

fn any_model() -> impl proptest::strategy::Strategy<Value = Model> {
    let runs = || {
        let version = prop_oneof![Just(NEW), Just("main-0000000"), Just("main-1111111")];
        let role = prop_oneof![Just(None), Just(Some(Role::Stable)), Just(Some(Role::Canary))];
        let provisioning = prop_oneof![
            6 => Just(Provisioning::Succeeded),
            1 => Just(Provisioning::Failed),
            1 => Just(Provisioning::Stopped),
            1 => Just(Provisioning::InProgress("Creating".into())),
        ];
        let one = (version, role, provisioning).prop_map(|(version, role, provisioning)| Runs {
            version: version.to_owned(),
            role,
            provisioning,
        });
        proptest::option::of(one)
    };
    let endpoint = || prop_oneof![1 => Just(None), 3 => Just(Some(EndpointState::Enabled)), 3 => Just(Some(EndpointState::Disabled))];
    let endpoints = proptest::option::weighted(0.9, (endpoint(), endpoint()));
    (runs(), runs(), endpoints).prop_map(|(blue, green, endpoints)| Model {
        instances: [(Slot::Blue, blue), (Slot::Green, green)].into_iter().filter_map(|(slot, runs)| Some((slot, runs?))).collect(),
        endpoints: endpoints.map(|(blue, green)| {
            [(Slot::Blue, blue), (Slot::Green, green)].into_iter().filter_map(|(slot, state)| Some((slot, state?))).collect()
        }),
    })
}

/// Carries out `steps`; how many were done before one could not be: a health check of what does not run.
fn all(model: &mut Model, steps: &[Step], environment: &Environment, served: &mut bool) -> Result<usize, TestCaseError> {
    for (index, step) in steps.iter().enumerate() {
        if let Step::AwaitHealth { instance, .. } = step {
            let slot = Model::slot(environment, instance);
            if model.instances.get(&slot).is_none_or(|runs| runs.provisioning != Provisioning::Succeeded) {
                return Ok(index);
            }
        }
        model.carry_out(step, environment)?;
        // Invariant 1: once somebody serves, somebody serves for ever.
        prop_assert!(!*served || model.serves(), "nobody serves after: {step}\n{model:#?}");
        *served |= model.serves();
        prop_assert!(model.on().len() <= 1 || !step.is_change(), "shares do not add up after: {step}");
    }
    Ok(steps.len())
}

proptest! {
    /// Invariants 1 to 4, for every prefix of every plan, with what takes it back.
    #[test]
    fn every_prefix_can_be_taken_back(model in any_model(), stop in any::<prop::sample::Index>()) {
        let environment = environment(", dns-name: shop-staging");
        let Ok(plan) = model.deploy(&environment) else { return Ok(()) };
        let stop = stop.index(plan.steps.len() + 1);
        let (mut now, mut served) = (model.clone(), model.serves());
        let stop = all(&mut now, &plan.steps[..stop], &environment, &mut served)?;
        let undo = plan.undo(stop);
        // Traffic first, then instances.
        let first_delete = undo.iter().position(|step| matches!(step, Step::DeleteInstance { .. })).unwrap_or(undo.len());
        prop_assert!(!undo[first_delete..].iter().any(|step| matches!(step, Step::Switch { .. })), "{undo:?}");
        all(&mut now, &undo, &environment, &mut served)?;
        let subject = Model::slot(&environment, &plan.subject);
        if !undo.is_empty() {
            prop_assert!(!now.on().contains(&subject), "people are sent to the new version: {now:#?}");
        }
        if undo.iter().any(|step| matches!(step, Step::DeleteInstance { .. })) {
            prop_assert!(!now.instances.contains_key(&subject), "the new version is still there: {now:#?}");
        }
    }

    /// Invariant 5: stopped after any step, and the step after it perhaps done all the same, the same request again ends with
    /// the new version alone, serving and trusted.
    #[test]
    fn the_same_request_again_finishes_what_was_left(model in any_model(), stop in any::<prop::sample::Index>()) {
        let environment = environment(", dns-name: shop-staging");
        let Ok(plan) = model.deploy(&environment) else { return Ok(()) };
        let stop = stop.index(plan.steps.len() + 1);
        let (mut now, mut served) = (model.clone(), model.serves());
        all(&mut now, &plan.steps[..stop], &environment, &mut served)?;
        let again = now.deploy(&environment).map_err(|failure| TestCaseError::fail(format!("{failure}")))?;
        if all(&mut now, &again.steps, &environment, &mut served)? < again.steps.len() {
            // What was to be kept does not run: the run fails, and people look.
            return Ok(());
        }
        let [live] = now.on()[..] else { return Err(TestCaseError::fail(format!("{:?}", now.on()))) };
        let runs = &now.instances[&live];
        prop_assert_eq!((runs.version.as_str(), now.instances.len()), (NEW, 1), "{:#?}", now);
        prop_assert!(runs.role != Some(Role::Canary), "{:#?}", now);
        let third = now.deploy(&environment).map_err(|failure| TestCaseError::fail(format!("{failure}")))?;
        prop_assert!(!third.changes_anything(), "{:?}", words(&third));
    }

    /// Invariant 5, the other way: stopped after any step, making safe leaves nothing unproven where something proven can serve.
    #[test]
    fn making_safe_leaves_nothing_half_way(model in any_model(), stop in any::<prop::sample::Index>()) {
        let environment = environment(", dns-name: shop-staging");
        let Ok(plan) = model.deploy(&environment) else { return Ok(()) };
        let stop = stop.index(plan.steps.len() + 1);
        let (mut now, mut served) = (model.clone(), model.serves());
        all(&mut now, &plan.steps[..stop], &environment, &mut served)?;
        let safe = now.make_safe(&environment).map_err(|failure| TestCaseError::fail(format!("{failure}")))?;
        let done = all(&mut now, &safe.steps, &environment, &mut served)?;
        let live = now.on();
        for (slot, runs) in &now.instances {
            if runs.role == Some(Role::Canary) {
                let other = slot.other();
                let way_back = now
                    .instances
                    .get(&other)
                    .is_some_and(|other| other.role != Some(Role::Canary) && other.provisioning == Provisioning::Succeeded);
                let reachable = now.endpoints.as_ref().is_some_and(|endpoints| endpoints.contains_key(&other));
                prop_assert!(live.contains(slot) && !(way_back && reachable), "left half-way: {:#?}", now);
            }
        }
        if done < safe.steps.len() {
            return Ok(());
        }
        let again = now.make_safe(&environment).map_err(|failure| TestCaseError::fail(format!("{failure}")))?;
        prop_assert!(!again.changes_anything(), "{:?}", words(&again));
    }

    /// A rollback and a promotion, at any moment of any rollout, end with one trusted version serving alone.
    #[test]
    fn people_can_decide_at_any_moment(model in any_model(), stop in any::<prop::sample::Index>(), back in any::<bool>()) {
        let environment = environment(", dns-name: shop-staging");
        let Ok(plan) = model.deploy(&environment) else { return Ok(()) };
        let stop = stop.index(plan.steps.len() + 1);
        let (mut now, mut served) = (model.clone(), model.serves());
        all(&mut now, &plan.steps[..stop], &environment, &mut served)?;
        let decided = if back { now.rollback(&environment) } else { now.promote(&environment) };
        let Ok(decided) = decided else { return Ok(()) };
        if all(&mut now, &decided.steps, &environment, &mut served)? < decided.steps.len() {
            return Ok(());
        }
        prop_assert_eq!((now.on().len(), now.instances.len()), (1, 1), "{:#?}", now);
        let runs = now.instances.values().next().expect("one");
        prop_assert!(runs.role != Some(Role::Canary) && now.instances.contains_key(&now.on()[0]), "{:#?}", now);
    }
}
