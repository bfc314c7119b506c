//! A `deploy.yml` for this world: the runbook's example application, with this world's addresses and shortened clocks.

use crate::{
    clocks::{Clocks, Database, Preflight},
    status_page,
    world::Urls,
};

/// The text.
pub(crate) fn config(urls: &Urls, clocks: &Clocks) -> String {
    let Clocks { every, retries, timeout, observe_for, observe_every, window, min_requests, .. } = clocks;
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
  pagerduty: {{ severity: critical }}
  status-page: {{ page: {page}, component: {component} }}
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

{prod}"##,
        registry = urls.registry,
        page = status_page::PAGE,
        component = status_page::COMPONENT,
        dev = url("dev"),
        staging = url("staging"),
        prod = production(&url("prod"), clocks),
        every = every.as_millis(),
        timeout = timeout.as_millis(),
        observe_for = observe_for.as_millis(),
        observe_every = observe_every.as_millis(),
        window = window.as_millis(),
    )
}

/// Production's section: the runbook's Scenario 3, with the rules that the instances' own pages can answer.
fn production(url: &str, clocks: &Clocks) -> String {
    let Clocks { every, retries, timeout, phase_for, canary_every, stabilize_for, .. } = clocks;
    let (pool_abort, pool_canary, sql) = match clocks.database {
        Database::Unasked => ("", "", ""),
        Database::Asked => (
            "\n        database-connections: { max: 19, consecutive: 1 }",
            ", database-connections: { max: 18 }",
            "\n        sql: { invoices: \"SELECT count(*) FROM invoices WHERE status='COMPLETED'\" }",
        ),
    };
    format!(
        r#"  prod:
    when: {{ tag: "v*" }}
    strategy: canary
    resource-group: prod-nextgen
    instances: {{ stable: prod-stable, count: 3, active: 2, canary: prod-canary-1, old: prod-old-1 }}
    traffic-manager: {{ profile: tm-prod }}
    tag: "{{version}}"
    url: {url}
    env: {{ DATABASE_NAME: prod_nextgen, REDIS_HOST: redis-prod }}
    health: {{ retries: {retries}, every: {every}ms, timeout: {timeout}ms }}
    smoke: [/health, /api/invoices]
{preflight}
    abort:
      every: {tick}ms
      rules:
        error-rate: {{ max: 1%, consecutive: 2 }}
        latency-p99: {{ max: 2000ms, consecutive: 3 }}
        health: {{ consecutive: 1 }}
        restarts: {{ max: 2, consecutive: 1 }}{pool_abort}
    phases:
      - traffic: 5%
        for: {phase}ms
        stable: 2
        rules: {{ error-rate: {{ max: 1% }}, latency-p99: {{ max: 2000ms }}{pool_canary} }}
        on-breach: 0%
      - traffic: 25%
        for: {phase}ms
        stable: 2
        rules: {{ error-rate: {{ max: 0.5% }}, latency-p99: {{ max: 1000ms }} }}
        on-breach: 0%
      - traffic: 50%
        for: {phase}ms
        stable: 1
        rules: {{ error-rate: {{ max: 0.2% }} }}
        on-breach: 25%
      - traffic: 100%
        for: {phase}ms
        rules: {{ error-rate: {{ max: 0.1% }}, latency-p99: {{ max: 500ms }} }}
        on-breach: 0%
    stabilize:
      for: {stabilize_for}ms
      every: {tick}ms
      rules: {{ error-rate: {{ max: 0.1% }}, latency-p99: {{ max: 500ms }}, success-rate: {{ min: 99.9% }} }}
      on-breach: staged
      verify:
        smoke: [/health, /api/invoices, /api/payments, /api/health/db]{sql}
    rollback:
      staged: [{{ traffic: 25%, for: {phase}ms }}, {{ traffic: 50%, for: {phase}ms }}, {{ traffic: 100%, for: {phase}ms }}]
"#,
        preflight = preflight(clocks),
        every = every.as_millis(),
        timeout = timeout.as_millis(),
        tick = canary_every.as_millis(),
        phase = phase_for.as_millis(),
        stabilize_for = stabilize_for.as_millis(),
    )
}

/// Production's checklist.
fn preflight(clocks: &Clocks) -> String {
    let pool = match clocks.database {
        Database::Unasked => "",
        Database::Asked => ", database-connections: { max: 15 }",
    };
    match clocks.preflight {
        Preflight::Off => "    preflight: off".to_owned(),
        Preflight::On => format!(
            "    preflight:
      staging-soak: 24h
      window: off
      approvals:
        within: 24h
        roles:
          release-manager: {{ teams: [release-managers] }}
          tech-lead: {{ teams: [tech-leads] }}
          operations-lead: {{ teams: [operations-leads] }}
        override: {{ vp-engineering: {{ users: [vp-engineering] }} }}
      checks: {{ ref: main, required: [lint, test, security, build, load-test, migration-dry-run, backup] }}
      code-scanning: {{ max-severity: medium }}
      rules: {{ cpu: {{ max: 60% }}, memory: {{ max: 60% }}{pool} }}"
        ),
    }
}
