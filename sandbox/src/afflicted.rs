//! How the faults that are on change an instance's behaviour. Each says of whom it is and from when; `instance` plays the result.
//! "New" is what began after the fault was switched on; a canary's faults also leave alone the versions that ran then.

use std::time::Duration;

use crate::{
    arm::{
        Azure,
        groups::{Group, Key},
        shares,
    },
    behaviour::{Behaviour, Health},
    fault::Fault,
    shared::{Shared, lock},
};

/// The share of requests that an erring version fails: gross, so that a few ticks tell it from chance.
const ERRING: f64 = 0.2;
/// The share that `errors-at-50` fails: beyond that phase's rule (runbook: "Error rate < 0.2%"), within the abort rule's 1 %.
const ERRING_A_LITTLE: f64 = 0.009;
/// What a request takes with `slow-after-switch`: four times the runbook's bound for staging.
const SLOW: Duration = Duration::from_millis(400);
/// What a request takes with `canary-slow`: beyond the runbook's 2000 ms, in a bucket of the histogram that is wholly beyond.
const SLOW_CANARY: Duration = Duration::from_secs(3);
/// What a request takes with `slow-at-100`: beyond the runbook's 500 ms there, within all earlier bounds.
const SLOW_AT_ALL: Duration = Duration::from_millis(800);
/// Public requests that a canary answers before `canary-unhealthy` strikes, and from crash to crash of `canary-crash-loop`.
const A_FEW: u64 = 5;

/// An instance, and what is known of it.
struct Case<'a> {
    shared: &'a Shared,
    azure: &'a Azure,
    group: &'a Group,
    version: &'a str,
}

impl Case<'_> {
    /// It is new.
    fn is_new(&self, fault: Fault) -> bool {
        self.shared.faults.hits(fault, self.group.born)
    }

    /// It is new, and people have reached it.
    fn serves_as_new(&self, fault: Fault) -> bool {
        self.is_new(fault) && self.group.counters.public > 0
    }

    /// It runs the new version.
    fn runs_new(&self, fault: Fault) -> bool {
        self.shared.faults.hits_version(fault, self.group.born, self.version)
    }

    /// It runs the new version, and people have sent it so many requests.
    fn canary_has_served(&self, fault: Fault, requests: u64) -> bool {
        self.group.counters.public >= requests && self.runs_new(fault)
    }

    /// It runs the new version, whose share is at least this.
    fn canary_has(&self, fault: Fault, share: f64) -> bool {
        self.canary_has_served(fault, 1) && shares::of_version(self.azure, self.version) >= share - 1e-9
    }

    /// Somebody of whom this can be said serves as the new version.
    fn somebody(&self, of: impl Fn(&Case<'_>) -> bool) -> bool {
        self.azure.groups.values().any(|group| of(&Case { group, version: &group.version(), ..*self }))
    }
}

/// How the instance `key` behaves now: as it was told to, and as the faults have it.
pub(crate) fn behaviour(shared: &Shared, azure: &Azure, key: &Key, version: &str) -> Behaviour {
    let told = lock(&shared.behaviours).of(key.name(), version);
    let Some(group) = azure.groups.get(key) else { return told };
    let case = Case { shared, azure, group, version };
    shared.faults.all().into_iter().fold(told, |now, fault| under(fault, &case, now).unwrap_or(now))
}

/// How an instance that behaves like `now` does under `fault`; `None`: no differently.
fn under(fault: Fault, case: &Case<'_>, now: Behaviour) -> Option<Behaviour> {
    match fault {
        Fault::NeverHealthy => case.is_new(fault).then(|| now.with_health(Health::Failing)),
        Fault::ErrorsAfterSwitch => case.serves_as_new(fault).then(|| now.erring(ERRING)),
        Fault::SlowAfterSwitch => case.serves_as_new(fault).then(|| now.taking(SLOW)),
        // The new version serves people, and errs; what ran before has become unhealthy meanwhile.
        Fault::BothUnhealthy => {
            case.somebody(|other| other.serves_as_new(fault)).then(|| if case.is_new(fault) { now.erring(ERRING) } else { broken(now) })
        }
        Fault::StableUnhealthyToo => case
            .somebody(|other| other.canary_has_served(fault, 1))
            .then(|| if case.runs_new(fault) { now.erring(ERRING) } else { broken(now) }),
        Fault::CanaryErrors => case.canary_has_served(fault, 1).then(|| now.erring(ERRING)),
        Fault::CanarySlow => case.canary_has_served(fault, 1).then(|| now.taking(SLOW_CANARY)),
        Fault::CanaryUnhealthy => case.canary_has_served(fault, A_FEW).then(|| now.with_health(Health::Failing)),
        Fault::ErrorsAt25 => case.canary_has(fault, 0.25).then(|| now.erring(ERRING)),
        Fault::ErrorsAt50 => case.canary_has(fault, 0.5).then(|| now.erring(ERRING_A_LITTLE)),
        Fault::ErrorsAt100 => case.canary_has(fault, 1.0).then(|| now.erring(ERRING)),
        Fault::SlowAt100 => case.canary_has(fault, 1.0).then(|| now.taking(SLOW_AT_ALL)),
        // It goes on when a staged rollback has taken a part of the traffic away: what is broken does not mend itself.
        Fault::ErrorsInStabilization => {
            if case.canary_has_served(fault, 1) && shares::is_settled(case.azure, case.version) {
                case.shared.faults.begins(fault);
            }
            (case.runs_new(fault) && case.shared.faults.has_begun(fault)).then(|| now.erring(ERRING))
        }
        Fault::CanaryCrashLoop
        | Fault::PoolExhausted
        | Fault::ImageMissing
        | Fault::ImagePull
        | Fault::CrashLoop
        | Fault::Oom
        | Fault::Smoke500
        | Fault::Arm429
        | Fault::Arm500
        | Fault::LostAnswer
        | Fault::Quota
        | Fault::Capacity
        | Fault::Forbidden
        | Fault::NameTaken
        | Fault::RegistryDown
        | Fault::GithubDown
        | Fault::SlackDown
        | Fault::SlackSlow
        | Fault::SwitchWithoutEffect
        | Fault::EndpointDegraded
        | Fault::TmLostAnswer
        | Fault::Tm429
        | Fault::Tm500
        | Fault::MetricsDown
        | Fault::MetricsNonsense
        | Fault::LockForbidden
        | Fault::PagerdutyDown
        | Fault::Pagerduty429
        | Fault::PagerdutySlow
        | Fault::StatusPageDown => None,
    }
}

/// Nothing works any more.
fn broken(now: Behaviour) -> Behaviour {
    now.erring(1.0).with_health(Health::Failing)
}

/// Whether the instance crashes after the public request that it has just answered.
pub(crate) fn crashes(shared: &Shared, group: &Group, version: &str) -> bool {
    group.counters.public > 0
        && group.counters.public.is_multiple_of(A_FEW)
        && shared.faults.hits_version(Fault::CanaryCrashLoop, group.born, version)
}

/// Whether the instance begins to take the database's connections with the public request that it has just answered.
pub(crate) fn takes_the_pool(shared: &Shared, group: &Group, version: &str) -> bool {
    shared.faults.hits_version(Fault::PoolExhausted, group.born, version) && shared.faults.begins(Fault::PoolExhausted)
}
