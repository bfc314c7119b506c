//! How long the waits are that a `deploy.yml` for this world configures, and which of its longer sections it has.
//! Says so only; `configuration` writes it down.

use std::time::Duration;

/// How long the configured waits are, and what of production is configured.
#[derive(Debug, Clone, Copy)]
pub struct Clocks {
    /// Between two health probes.
    pub every: Duration,
    /// How many health probes at most.
    pub retries: u32,
    /// How long one may take.
    pub timeout: Duration,
    /// How long staging is watched after the switch.
    pub observe_for: Duration,
    /// From tick to tick.
    pub observe_every: Duration,
    /// How long each phase of a canary takes, and each share of a staged rollback.
    pub phase_for: Duration,
    /// From tick to tick of a canary, in its phases and in its stabilization.
    pub canary_every: Duration,
    /// How long production is watched after 100 %.
    pub stabilize_for: Duration,
    /// The rate window of the metrics; a second at least.
    pub window: Duration,
    /// Fewer requests in the window are no data.
    pub min_requests: u32,
    /// Whether production has a checklist.
    pub preflight: Preflight,
    /// Whether production's rules and checks ask a database.
    pub database: Database,
}

/// Whether production has a checklist before a canary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Preflight {
    /// `preflight: off`.
    Off,
    /// Soak, approvals, checks, code scanning, and rules; no window, which the time of day would decide.
    On,
}

/// Whether production's rules and checks ask a database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Database {
    /// None is configured.
    Unasked,
    /// The runbook's bounds of its pool, and its check by SQL; the run needs the input `database-url`.
    Asked,
}

impl Clocks {
    /// As people watch it: 30 probes, 250 ms apart, 8 seconds of watching in staging, 3 in each phase in production.
    #[must_use]
    pub const fn watched() -> Self {
        Self {
            every: Duration::from_millis(250),
            retries: 30,
            timeout: Duration::from_secs(2),
            observe_for: Duration::from_secs(8),
            observe_every: Duration::from_millis(500),
            phase_for: Duration::from_secs(3),
            canary_every: Duration::from_millis(250),
            stabilize_for: Duration::from_secs(5),
            window: Duration::from_secs(2),
            min_requests: 50,
            preflight: Preflight::Off,
            database: Database::Unasked,
        }
    }

    /// As tests want it.
    #[must_use]
    pub const fn quick() -> Self {
        Self {
            every: Duration::from_millis(20),
            retries: 10,
            timeout: Duration::from_secs(5),
            observe_for: Duration::from_millis(600),
            observe_every: Duration::from_millis(100),
            phase_for: Duration::from_secs(1),
            canary_every: Duration::from_millis(100),
            stabilize_for: Duration::from_millis(1500),
            window: Duration::from_secs(1),
            min_requests: 10,
            preflight: Preflight::Off,
            database: Database::Unasked,
        }
    }
}
