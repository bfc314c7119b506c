//! What can be switched to go wrong, by flag, from a test, or over HTTP.
//! Holds the switches only: what is known of each fault stands in `facts`, what it does where the service answers.

mod facts;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    str::FromStr,
    sync::Mutex,
};

use crate::shared::lock;
use facts::{End, People};

/// Something that goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Fault {
    /// The registry does not know the image.
    ImageMissing,
    /// Azure cannot pull the image: the container waits, and the group fails in the end.
    ImagePull,
    /// The application runs, and `/health` answers 503.
    NeverHealthy,
    /// The application exits with 1 each time that it is started.
    CrashLoop,
    /// The application is killed for want of memory each time that it is started.
    Oom,
    /// `/health` answers 200, and everything below `/api` answers 500.
    Smoke500,
    /// Resource Manager answers 429 with Retry-After.
    Arm429,
    /// Resource Manager answers 500.
    Arm500,
    /// A container group's PUT takes effect, and its answer is lost.
    LostAnswer,
    /// The subscription's cores in the region are used up.
    Quota,
    /// The region has no room.
    Capacity,
    /// The identity may read, and nothing else.
    Forbidden,
    /// Somebody else has the DNS label.
    NameTaken,
    /// The registry refuses connections.
    RegistryDown,
    /// GitHub's API answers 503.
    GithubDown,
    /// Slack answers 503.
    SlackDown,
    /// Slack answers after half a minute.
    SlackSlow,
    /// The new version answers 500 to one request in five, from its first public request on.
    ErrorsAfterSwitch,
    /// The new version takes 400 ms for each answer, from its first public request on.
    SlowAfterSwitch,
    /// The new version errs, and the old one is unhealthy, from the new one's first public request on.
    BothUnhealthy,
    /// A profile's PUT is accepted, and the name servers go on answering as before.
    SwitchWithoutEffect,
    /// Traffic Manager's monitor cannot reach new instances; everybody else can.
    EndpointDegraded,
    /// A write to a profile takes effect, and its answer is lost.
    TmLostAnswer,
    /// Traffic Manager answers writes with 429 and Retry-After.
    Tm429,
    /// Traffic Manager answers writes with 500, and does nothing.
    Tm500,
    /// Every instance's `/metrics` answers 503.
    MetricsDown,
    /// Every instance's `/metrics` answers with a log-in page.
    MetricsNonsense,
    /// The workflow's token may not write git data.
    LockForbidden,
    /// The new version answers 500 to one request in five, from its first public request on.
    CanaryErrors,
    /// The new version takes three seconds for each answer, from its first public request on; its histogram says so, nobody waits.
    CanarySlow,
    /// The new version's `/health` answers 503, once it has answered a few public requests.
    CanaryUnhealthy,
    /// The new version ends and is started again with every few public requests, at once, so that no request is lost.
    CanaryCrashLoop,
    /// The new version holds as many connections as the database's pool has, from its first public request on.
    PoolExhausted,
    /// The new version answers 500 to one request in five, while its share is 25 % or more.
    ErrorsAt25,
    /// The new version answers 500 to nine requests in a thousand, while its share is 50 % or more: beyond that phase's rule, within the abort rule.
    ErrorsAt50,
    /// The new version answers 500 to one request in five, while it has all of the traffic.
    ErrorsAt100,
    /// The new version takes 800 ms for each answer, while it has all of the traffic; its histogram says so, nobody waits.
    SlowAt100,
    /// The new version answers 500 to one request in five, from when its stable instances serve everything and the canary nothing.
    ErrorsInStabilization,
    /// The new version errs, and what ran before is unhealthy, from the new one's first public request on.
    StableUnhealthyToo,
    /// PagerDuty answers 503.
    PagerdutyDown,
    /// PagerDuty answers 429.
    Pagerduty429,
    /// PagerDuty answers after half a minute.
    PagerdutySlow,
    /// The status page's API answers 503.
    StatusPageDown,
}

/// On or off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Switch {
    /// From now on.
    On,
    /// No longer.
    Off,
}

/// How often a fault strikes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Times {
    /// The next so many times, then no more.
    First(u32),
    /// Until it is switched off.
    Always,
}

impl Fault {
    /// All of them, in the order of a deployment.
    pub const ALL: [Self; 43] = [
        Self::ImageMissing,
        Self::RegistryDown,
        Self::Forbidden,
        Self::Arm429,
        Self::Arm500,
        Self::Quota,
        Self::Capacity,
        Self::NameTaken,
        Self::LostAnswer,
        Self::ImagePull,
        Self::CrashLoop,
        Self::Oom,
        Self::NeverHealthy,
        Self::Smoke500,
        Self::Tm429,
        Self::Tm500,
        Self::TmLostAnswer,
        Self::SwitchWithoutEffect,
        Self::EndpointDegraded,
        Self::ErrorsAfterSwitch,
        Self::SlowAfterSwitch,
        Self::BothUnhealthy,
        Self::CanaryErrors,
        Self::CanarySlow,
        Self::CanaryUnhealthy,
        Self::CanaryCrashLoop,
        Self::PoolExhausted,
        Self::ErrorsAt25,
        Self::ErrorsAt50,
        Self::ErrorsAt100,
        Self::SlowAt100,
        Self::ErrorsInStabilization,
        Self::StableUnhealthyToo,
        Self::MetricsDown,
        Self::MetricsNonsense,
        Self::LockForbidden,
        Self::GithubDown,
        Self::SlackDown,
        Self::SlackSlow,
        Self::PagerdutyDown,
        Self::Pagerduty429,
        Self::PagerdutySlow,
        Self::StatusPageDown,
    ];

    /// The name on the command line and in `/_sandbox/faults/NAME`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        facts::of(self).name
    }

    /// One line for `--help`.
    #[must_use]
    pub const fn description(self) -> &'static str {
        facts::of(self).description
    }

    /// How often it strikes unless told otherwise.
    #[must_use]
    pub const fn usual(self) -> Times {
        facts::of(self).usual
    }

    /// Whether a deployment is expected to end well all the same: the Action retries, looks again, or goes on without the report.
    #[must_use]
    pub const fn is_survivable(self) -> bool {
        match facts::of(self).end {
            End::Well => true,
            End::NotDeployed => false,
        }
    }

    /// Whether people are bound to see errors, however well the Action does: they come with the new version's first requests.
    #[must_use]
    pub const fn reaches_people(self) -> bool {
        match facts::of(self).people {
            People::Meet => true,
            People::Spared => false,
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Fault {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|fault| fault.name() == text)
            .ok_or_else(|| format!("there is no fault {text:?}; there are {}", Self::ALL.map(Self::name).join(", ")))
    }
}

impl FromStr for Times {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "always" {
            return Ok(Self::Always);
        }
        text.parse().map(Self::First).map_err(|_| format!("{text:?} is neither a number of times nor \"always\""))
    }
}

/// A point in the world's history: what was switched or begun later has a later one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) struct Moment(u64);

/// The switches.
#[derive(Debug, Default)]
pub(crate) struct Faults(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    on: BTreeMap<Fault, On>,
    now: Moment,
}

/// A fault that is on.
#[derive(Debug)]
struct On {
    left: Times,
    since: Moment,
    /// The versions that ran when it was switched on: they are not the new one, also when they are started again.
    before: BTreeSet<String>,
    course: Course,
}

/// Whether a fault that waits for something has found it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Course {
    Waiting,
    Begun,
}

impl State {
    fn tick(&mut self) -> Moment {
        self.now.0 += 1;
        self.now
    }
}

impl Faults {
    /// Switches a fault on, when `before` are the versions that run; one that is on already stays on since when it was.
    pub(crate) fn set(&self, fault: Fault, times: Times, before: BTreeSet<String>) {
        let mut state = lock(&self.0);
        let since = state.tick();
        let on = || On { left: times, since, before, course: Course::Waiting };
        state.on.entry(fault).and_modify(|on| on.left = times).or_insert_with(on);
    }

    pub(crate) fn clear(&self, fault: Fault) {
        lock(&self.0).on.remove(&fault);
    }

    /// The moment of something that begins now.
    pub(crate) fn moment(&self) -> Moment {
        lock(&self.0).tick()
    }

    pub(crate) fn is_on(&self, fault: Fault) -> bool {
        lock(&self.0).on.contains_key(&fault)
    }

    /// Whether it is on for what began at `born`: faults of the new version leave alone what ran before they were switched on.
    pub(crate) fn hits(&self, fault: Fault, born: Moment) -> bool {
        lock(&self.0).on.get(&fault).is_some_and(|on| on.since < born)
    }

    /// Whether it is on for `version`, which began at `born`: as [`Self::hits`], and what ran before is left alone also when it
    /// is started again.
    pub(crate) fn hits_version(&self, fault: Fault, born: Moment, version: &str) -> bool {
        lock(&self.0).on.get(&fault).is_some_and(|on| on.since < born && !on.before.contains(version))
    }

    /// What the fault waits for is there: it goes on from now, whatever comes. Gives whether that is news.
    pub(crate) fn begins(&self, fault: Fault) -> bool {
        let state = &mut lock(&self.0);
        state.on.get_mut(&fault).is_some_and(|on| std::mem::replace(&mut on.course, Course::Begun) == Course::Waiting)
    }

    /// Whether what the fault waits for has been there.
    pub(crate) fn has_begun(&self, fault: Fault) -> bool {
        lock(&self.0).on.get(&fault).is_some_and(|on| on.course == Course::Begun)
    }

    pub(crate) fn all(&self) -> Vec<Fault> {
        lock(&self.0).on.keys().copied().collect()
    }

    /// Whether it strikes now; counts this strike.
    pub(crate) fn strikes(&self, fault: Fault) -> bool {
        let on = &mut lock(&self.0).on;
        match on.get_mut(&fault).map(|on| &mut on.left) {
            None => false,
            Some(Times::Always) => true,
            Some(Times::First(left)) => {
                if *left <= 1 {
                    let struck = *left == 1;
                    on.remove(&fault);
                    return struck;
                }
                *left -= 1;
                true
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_is_found_by_its_name() {
        for fault in Fault::ALL {
            assert_eq!(fault.name().parse(), Ok(fault));
        }
        assert!("arm-42".parse::<Fault>().unwrap_err().contains("arm-429"));
    }

    #[test]
    fn a_counted_fault_strikes_that_often() {
        let faults = Faults::default();
        faults.set(Fault::Arm500, Times::First(2), BTreeSet::new());
        assert_eq!([(); 4].map(|()| faults.strikes(Fault::Arm500)), [true, true, false, false]);
        faults.set(Fault::Arm500, Times::Always, BTreeSet::new());
        assert_eq!([(); 3].map(|()| faults.strikes(Fault::Arm500)), [true; 3]);
        faults.clear(Fault::Arm500);
        assert!(!faults.strikes(Fault::Arm500));
    }

    #[test]
    fn a_fault_of_the_new_version_leaves_alone_what_ran_before() {
        let faults = Faults::default();
        let old = faults.moment();
        faults.set(Fault::NeverHealthy, Times::Always, BTreeSet::new());
        let new = faults.moment();
        faults.set(Fault::NeverHealthy, Times::Always, BTreeSet::new());
        assert_eq!([old, new].map(|born| faults.hits(Fault::NeverHealthy, born)), [false, true]);
        faults.clear(Fault::NeverHealthy);
        assert!(!faults.hits(Fault::NeverHealthy, new));
    }

    #[test]
    fn what_ran_before_is_not_the_new_version_although_it_is_started_again() {
        let faults = Faults::default();
        faults.set(Fault::CanaryErrors, Times::Always, BTreeSet::from(["v0.9.5".to_owned()]));
        let afterwards = faults.moment();
        assert!(faults.hits(Fault::CanaryErrors, afterwards));
        assert_eq!(["v0.9.5", "v1.0.0"].map(|version| faults.hits_version(Fault::CanaryErrors, afterwards, version)), [false, true]);
    }

    #[test]
    fn what_a_fault_waits_for_comes_once() {
        let faults = Faults::default();
        assert!(!faults.begins(Fault::ErrorsInStabilization), "it is off");
        faults.set(Fault::ErrorsInStabilization, Times::Always, BTreeSet::new());
        assert!(!faults.has_begun(Fault::ErrorsInStabilization));
        assert_eq!([(); 2].map(|()| faults.begins(Fault::ErrorsInStabilization)), [true, false]);
        assert!(faults.has_begun(Fault::ErrorsInStabilization));
    }
}
