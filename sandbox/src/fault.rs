//! What can be switched to go wrong, by flag, from a test, or over HTTP.
//! Holds the switches only: what a fault does stands where the service answers.

use std::{collections::BTreeMap, fmt, str::FromStr, sync::Mutex};

use crate::shared::lock;

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
    pub const ALL: [Self; 28] = [
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
        Self::MetricsDown,
        Self::MetricsNonsense,
        Self::LockForbidden,
        Self::GithubDown,
        Self::SlackDown,
        Self::SlackSlow,
    ];

    /// The name on the command line and in `/_sandbox/faults/NAME`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::ImageMissing => "image-missing",
            Self::ImagePull => "image-pull",
            Self::NeverHealthy => "never-healthy",
            Self::CrashLoop => "crash-loop",
            Self::Oom => "oom",
            Self::Smoke500 => "smoke-500",
            Self::Arm429 => "arm-429",
            Self::Arm500 => "arm-500",
            Self::LostAnswer => "lost-answer",
            Self::Quota => "quota",
            Self::Capacity => "capacity",
            Self::Forbidden => "forbidden",
            Self::NameTaken => "name-taken",
            Self::RegistryDown => "registry-down",
            Self::GithubDown => "github-down",
            Self::SlackDown => "slack-down",
            Self::SlackSlow => "slack-slow",
            Self::ErrorsAfterSwitch => "errors-after-switch",
            Self::SlowAfterSwitch => "slow-after-switch",
            Self::BothUnhealthy => "both-unhealthy",
            Self::SwitchWithoutEffect => "switch-without-effect",
            Self::EndpointDegraded => "endpoint-degraded",
            Self::TmLostAnswer => "tm-lost-answer",
            Self::Tm429 => "tm-429",
            Self::Tm500 => "tm-500",
            Self::MetricsDown => "metrics-down",
            Self::MetricsNonsense => "metrics-nonsense",
            Self::LockForbidden => "lock-forbidden",
        }
    }

    /// One line for `--help`.
    #[must_use]
    pub fn description(self) -> &'static str {
        match self {
            Self::ImageMissing => "the registry answers MANIFEST_UNKNOWN for every tag",
            Self::ImagePull => "Azure cannot pull the image: the container waits, the group fails in the end",
            Self::NeverHealthy => "the application runs, /health answers 503",
            Self::CrashLoop => "the application exits with 1, again and again",
            Self::Oom => "the application is killed for want of memory (137, OOMKilled), again and again",
            Self::Smoke500 => "/health answers 200, /api/* answers 500",
            Self::Arm429 => "Resource Manager answers the first 3 requests with 429 and Retry-After",
            Self::Arm500 => "Resource Manager answers the first 2 requests with 500 (arm-500=always: every one)",
            Self::LostAnswer => "the container group's PUT takes effect, but its answer never arrives (once)",
            Self::Quota => "the region's core quota is used up",
            Self::Capacity => "the region has no room for the container group",
            Self::Forbidden => "the identity may read but not write container groups",
            Self::NameTaken => "somebody else has the DNS label",
            Self::RegistryDown => "the registry refuses connections",
            Self::GithubDown => "GitHub's API answers 503 (not its token service)",
            Self::SlackDown => "Slack answers 503",
            Self::SlackSlow => "Slack takes 30 seconds to answer",
            Self::ErrorsAfterSwitch => "once people reach the new version, it answers 500 to one request in five",
            Self::SlowAfterSwitch => "once people reach the new version, its answers take 400 ms",
            Self::BothUnhealthy => "once people reach the new version, it errs and the old one is unhealthy",
            Self::SwitchWithoutEffect => "the profile's PUT is accepted, the name servers answer as before",
            Self::EndpointDegraded => "Traffic Manager's monitor cannot reach the new instance (NSG): Degraded",
            Self::TmLostAnswer => "a profile's write takes effect, but its answer never arrives (once)",
            Self::Tm429 => "Traffic Manager answers the first 2 writes with 429 and Retry-After",
            Self::Tm500 => "Traffic Manager answers the first 2 writes with 500 (tm-500=always: every one)",
            Self::MetricsDown => "the instances' /metrics answers 503",
            Self::MetricsNonsense => "the instances' /metrics answers with an HTML log-in page",
            Self::LockForbidden => "GitHub answers 403 to every write of git data (contents: write is missing)",
        }
    }

    /// How often it strikes unless told otherwise.
    #[must_use]
    pub fn usual(self) -> Times {
        match self {
            Self::Arm429 => Times::First(3),
            Self::Arm500 | Self::Tm429 | Self::Tm500 => Times::First(2),
            Self::LostAnswer | Self::TmLostAnswer => Times::First(1),
            Self::ImageMissing
            | Self::ImagePull
            | Self::NeverHealthy
            | Self::CrashLoop
            | Self::Oom
            | Self::Smoke500
            | Self::Quota
            | Self::Capacity
            | Self::Forbidden
            | Self::NameTaken
            | Self::RegistryDown
            | Self::GithubDown
            | Self::SlackDown
            | Self::SlackSlow
            | Self::ErrorsAfterSwitch
            | Self::SlowAfterSwitch
            | Self::BothUnhealthy
            | Self::SwitchWithoutEffect
            | Self::EndpointDegraded
            | Self::MetricsDown
            | Self::MetricsNonsense
            | Self::LockForbidden => Times::Always,
        }
    }

    /// Whether a deployment is expected to end well all the same: the Action retries, looks again, or goes on without the report.
    #[must_use]
    pub fn is_survivable(self) -> bool {
        match self {
            Self::Arm429
            | Self::Arm500
            | Self::LostAnswer
            | Self::Tm429
            | Self::Tm500
            | Self::TmLostAnswer
            | Self::GithubDown
            | Self::SlackDown
            | Self::SlackSlow => true,
            Self::ImageMissing
            | Self::ImagePull
            | Self::NeverHealthy
            | Self::CrashLoop
            | Self::Oom
            | Self::Smoke500
            | Self::Quota
            | Self::Capacity
            | Self::Forbidden
            | Self::NameTaken
            | Self::RegistryDown
            | Self::ErrorsAfterSwitch
            | Self::SlowAfterSwitch
            | Self::BothUnhealthy
            | Self::SwitchWithoutEffect
            | Self::EndpointDegraded
            | Self::MetricsDown
            | Self::MetricsNonsense
            | Self::LockForbidden => false,
        }
    }
}

impl Fault {
    /// Whether people are bound to see errors, however well the Action does: they come with the new version's first requests.
    #[must_use]
    pub fn reaches_people(self) -> bool {
        match self {
            Self::ErrorsAfterSwitch | Self::BothUnhealthy => true,
            Self::ImageMissing
            | Self::ImagePull
            | Self::NeverHealthy
            | Self::CrashLoop
            | Self::Oom
            | Self::Smoke500
            | Self::Arm429
            | Self::Arm500
            | Self::LostAnswer
            | Self::Quota
            | Self::Capacity
            | Self::Forbidden
            | Self::NameTaken
            | Self::RegistryDown
            | Self::GithubDown
            | Self::SlackDown
            | Self::SlackSlow
            | Self::SlowAfterSwitch
            | Self::SwitchWithoutEffect
            | Self::EndpointDegraded
            | Self::TmLostAnswer
            | Self::Tm429
            | Self::Tm500
            | Self::MetricsDown
            | Self::MetricsNonsense
            | Self::LockForbidden => false,
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
    on: BTreeMap<Fault, (Times, Moment)>,
    now: Moment,
}

impl State {
    fn tick(&mut self) -> Moment {
        self.now.0 += 1;
        self.now
    }
}

impl Faults {
    /// Switches a fault on; one that is on already stays on since when it was.
    pub(crate) fn set(&self, fault: Fault, times: Times) {
        let mut state = lock(&self.0);
        let now = state.tick();
        state.on.entry(fault).and_modify(|(left, _)| *left = times).or_insert((times, now));
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
        lock(&self.0).on.get(&fault).is_some_and(|(_, since)| *since < born)
    }

    pub(crate) fn all(&self) -> Vec<Fault> {
        lock(&self.0).on.keys().copied().collect()
    }

    /// Whether it strikes now; counts this strike.
    pub(crate) fn strikes(&self, fault: Fault) -> bool {
        let on = &mut lock(&self.0).on;
        match on.get_mut(&fault) {
            None => false,
            Some((Times::Always, _)) => true,
            Some((Times::First(left), _)) => {
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
        faults.set(Fault::Arm500, Times::First(2));
        assert_eq!([(); 4].map(|()| faults.strikes(Fault::Arm500)), [true, true, false, false]);
        faults.set(Fault::Arm500, Times::Always);
        assert_eq!([(); 3].map(|()| faults.strikes(Fault::Arm500)), [true; 3]);
        faults.clear(Fault::Arm500);
        assert!(!faults.strikes(Fault::Arm500));
    }

    #[test]
    fn a_fault_of_the_new_version_leaves_alone_what_ran_before() {
        let faults = Faults::default();
        let old = faults.moment();
        faults.set(Fault::NeverHealthy, Times::Always);
        let new = faults.moment();
        faults.set(Fault::NeverHealthy, Times::Always);
        assert_eq!([old, new].map(|born| faults.hits(Fault::NeverHealthy, born)), [false, true]);
        faults.clear(Fault::NeverHealthy);
        assert!(!faults.hits(Fault::NeverHealthy, new));
    }
}
