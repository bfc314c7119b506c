//! A `deploy.yml` for this world: the runbook's example application, with this world's addresses and shortened clocks.

use std::time::Duration;

use crate::world::Urls;

/// How long the configured waits are.
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
    /// The rate window of the metrics; a second at least.
    pub window: Duration,
    /// Fewer requests in the window are no data.
    pub min_requests: u32,
}

impl Clocks {
    /// As people watch it: 30 probes, 250 ms apart, and 8 seconds of watching.
    #[must_use]
    pub const fn watched() -> Self {
        Self {
            every: Duration::from_millis(250),
            retries: 30,
            timeout: Duration::from_secs(2),
            observe_for: Duration::from_secs(8),
            observe_every: Duration::from_millis(500),
            window: Duration::from_secs(2),
            min_requests: 50,
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
            window: Duration::from_secs(1),
            min_requests: 10,
        }
    }
}

/// The text.
pub(crate) fn config(urls: &Urls, clocks: &Clocks) -> String {
    let Clocks { every, retries, timeout, observe_for, observe_every, window, min_requests } = clocks;
    let url = |name: &str| urls.public.get(name).cloned().unwrap_or_default();
    format!(
        r##"version: 1
application: nextgen-market
image: {registry}/nextgen-market/nextgen-market

azure:
  location: westeurope

container:
  port: 3000
  health: /health
  cpu: 1
  memory: 1

metrics:
  scrape: {{}}
  window: {window}ms
  min-requests: {min_requests}

notify:
  slack: {{ channel: "#nextgen-devops", incidents: "#nextgen-incidents" }}
  dashboard: https://grafana.nextgen.local
  docs: https://nextgen.local/docs

environments:
  dev:
    when: {{ branch: develop }}
    strategy: direct
    resource-group: dev-nextgen
    instance: aci-dev-nextgen
    tag: develop-{{sha}}
    url: {dev}
    env: {{ DATABASE_NAME: dev_nextgen, REDIS_HOST: redis-dev }}
    secrets: [DATABASE_URL]
    health: {{ retries: {retries}, every: {every}ms, timeout: {timeout}ms }}
    smoke: [/health, /api/invoices]

  staging:
    when: {{ branch: main }}
    strategy: blue-green
    resource-group: staging-nextgen
    slots: {{ blue: aci-staging-blue, green: aci-staging-green }}
    traffic-manager: {{ profile: tm-staging, endpoints: {{ blue: blue-endpoint, green: green-endpoint }} }}
    tag: main-{{sha}}
    url: {staging}
    env: {{ DATABASE_NAME: staging_nextgen, REDIS_HOST: redis-staging }}
    health: {{ retries: {retries}, every: {every}ms, timeout: {timeout}ms }}
    observe:
      for: {observe_for}ms
      every: {observe_every}ms
      rules:
        error-rate: {{ max: 0%, consecutive: 2 }}
        latency-p99: {{ max: 100ms, consecutive: 3 }}
    smoke: [/health, /api/invoices, /api/payments, /api/health/db]

  prod:
    when: {{ tag: "v*" }}
    resource-group: prod-nextgen
    instances: {{ stable: prod-stable, count: 3, active: 2, canary: prod-canary-1, old: prod-old-1 }}
    traffic-manager: {{ profile: tm-prod }}
    url: {prod}
"##,
        registry = urls.registry,
        dev = url("dev"),
        staging = url("staging"),
        prod = url("prod"),
        every = every.as_millis(),
        timeout = timeout.as_millis(),
        observe_for = observe_for.as_millis(),
        observe_every = observe_every.as_millis(),
        window = window.as_millis(),
    )
}
