//! What is known of each fault: its name, what it does in a line, how often it strikes, how a deployment ends under it.
//! Switches nothing, and makes nothing go wrong.

use super::{Fault, Times};

/// What is known of a fault.
pub(super) struct Facts {
    pub(super) name: &'static str,
    pub(super) description: &'static str,
    pub(super) usual: Times,
    pub(super) end: End,
    pub(super) people: People,
}

/// How a deployment ends under a fault.
pub(super) enum End {
    /// As it would have without it.
    Well,
    /// The new version is not what runs in the end, or not yet.
    NotDeployed,
}

/// Whether people meet the fault, however well the Action does.
pub(super) enum People {
    /// They do.
    Meet,
    /// They need not.
    Spared,
}

impl Facts {
    /// The usual fault: always there, the end of a deployment, and nothing that people need to notice.
    const fn new(name: &'static str, description: &'static str) -> Self {
        Self { name, description, usual: Times::Always, end: End::NotDeployed, people: People::Spared }
    }

    const fn survived(self) -> Self {
        Self { end: End::Well, ..self }
    }

    const fn met_by_people(self) -> Self {
        Self { people: People::Meet, ..self }
    }

    const fn first(self, times: u32) -> Self {
        Self { usual: Times::First(times), ..self }
    }
}

/// What is known of `fault`.
pub(super) const fn of(fault: Fault) -> Facts {
    match fault {
        Fault::ImageMissing => Facts::new("image-missing", "the registry answers MANIFEST_UNKNOWN for every tag"),
        Fault::RegistryDown => Facts::new("registry-down", "the registry refuses connections"),
        Fault::Forbidden => Facts::new("forbidden", "the identity may read but not write container groups"),
        Fault::Arm429 => {
            Facts::new("arm-429", "Resource Manager answers the first 3 requests with 429 and Retry-After").survived().first(3)
        }
        Fault::Arm500 => {
            Facts::new("arm-500", "Resource Manager answers the first 2 requests with 500 (arm-500=always: every one)").survived().first(2)
        }
        Fault::Quota => Facts::new("quota", "the region's core quota is used up"),
        Fault::Capacity => Facts::new("capacity", "the region has no room for the container group"),
        Fault::NameTaken => Facts::new("name-taken", "somebody else has the DNS label"),
        Fault::LostAnswer => {
            Facts::new("lost-answer", "the container group's PUT takes effect, but its answer never arrives (once)").survived().first(1)
        }
        Fault::ImagePull => Facts::new("image-pull", "Azure cannot pull the image: the container waits, the group fails in the end"),
        Fault::CrashLoop => Facts::new("crash-loop", "the application exits with 1, again and again"),
        Fault::Oom => Facts::new("oom", "the application is killed for want of memory (137, OOMKilled), again and again"),
        Fault::NeverHealthy => Facts::new("never-healthy", "the application runs, /health answers 503"),
        Fault::Smoke500 => Facts::new("smoke-500", "/health answers 200, /api/* answers 500"),
        Fault::Tm429 => Facts::new("tm-429", "Traffic Manager answers the first 2 writes with 429 and Retry-After").survived().first(2),
        Fault::Tm500 => {
            Facts::new("tm-500", "Traffic Manager answers the first 2 writes with 500 (tm-500=always: every one)").survived().first(2)
        }
        Fault::TmLostAnswer => {
            Facts::new("tm-lost-answer", "a profile's write takes effect, but its answer never arrives (once)").survived().first(1)
        }
        Fault::SwitchWithoutEffect => {
            Facts::new("switch-without-effect", "the profile's PUT is accepted, the name servers answer as before")
        }
        Fault::EndpointDegraded => {
            Facts::new("endpoint-degraded", "Traffic Manager's monitor cannot reach the new instance (NSG): Degraded")
        }
        Fault::ErrorsAfterSwitch => {
            Facts::new("errors-after-switch", "once people reach the new version, it answers 500 to one request in five").met_by_people()
        }
        Fault::SlowAfterSwitch => Facts::new("slow-after-switch", "once people reach the new version, its answers take 400 ms"),
        Fault::BothUnhealthy => {
            Facts::new("both-unhealthy", "once people reach the new version, it errs and the old one is unhealthy").met_by_people()
        }
        Fault::CanaryErrors => {
            Facts::new("canary-errors", "once people reach the new version, it answers 500 to one request in five (the abort rule's 1 %)")
                .met_by_people()
        }
        Fault::CanarySlow => Facts::new("canary-slow", "once people reach the new version, its answers take 3 s by its own histogram"),
        Fault::CanaryUnhealthy => Facts::new("canary-unhealthy", "after a few public requests the new version's /health answers 503"),
        Fault::CanaryCrashLoop => {
            Facts::new("canary-crash-loop", "while it serves, the new version ends and is started again, more than twice")
        }
        Fault::PoolExhausted => Facts::new(
            "pool-exhausted",
            "once people reach the new version, it holds 20 connections to the database (needs --database-url)",
        ),
        Fault::ErrorsAt25 => {
            Facts::new("errors-at-25", "while the new version has 25 % of the traffic or more, it answers 500 to one request in five")
                .met_by_people()
        }
        Fault::ErrorsAt50 => Facts::new(
            "errors-at-50",
            "while the new version has 50 % of the traffic or more, it answers 500 to nine requests in a thousand",
        )
        .met_by_people(),
        Fault::ErrorsAt100 => {
            Facts::new("errors-at-100", "while the new version has all of the traffic, it answers 500 to one request in five")
                .met_by_people()
        }
        Fault::SlowAt100 => {
            Facts::new("slow-at-100", "while the new version has all of the traffic, its answers take 800 ms by its own histogram")
        }
        Fault::ErrorsInStabilization => Facts::new(
            "errors-in-stabilization",
            "once the new version's own stable instances serve everything, it answers 500 to one request in five",
        )
        .met_by_people(),
        Fault::StableUnhealthyToo => {
            Facts::new("stable-unhealthy-too", "once people reach the new version, it errs, and the stable version is unhealthy")
                .met_by_people()
        }
        Fault::MetricsDown => Facts::new("metrics-down", "the instances' /metrics answers 503"),
        Fault::MetricsNonsense => Facts::new("metrics-nonsense", "the instances' /metrics answers with an HTML log-in page"),
        Fault::LockForbidden => Facts::new("lock-forbidden", "GitHub answers 403 to every write of git data (contents: write is missing)"),
        Fault::GithubDown => Facts::new("github-down", "GitHub's API answers 503 (not its token service)").survived(),
        Fault::SlackDown => Facts::new("slack-down", "Slack answers 503").survived(),
        Fault::SlackSlow => Facts::new("slack-slow", "Slack takes 30 seconds to answer").survived(),
        Fault::PagerdutyDown => Facts::new("pagerduty-down", "PagerDuty answers 503").survived(),
        Fault::Pagerduty429 => Facts::new("pagerduty-429", "PagerDuty answers the first 2 events with 429").survived().first(2),
        Fault::PagerdutySlow => Facts::new("pagerduty-slow", "PagerDuty takes 30 seconds to answer").survived(),
        Fault::StatusPageDown => Facts::new("status-page-down", "the status page's API answers 503").survived(),
    }
}
