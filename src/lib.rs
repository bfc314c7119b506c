//! deploy-action: carries out a deployment runbook on Azure Container Instances behind Azure Traffic Manager.
//!
//! One way through, top to bottom; nothing flows back up (the picture is in `docs/architecture.md`):
//! event + inputs + deploy.yml → [`request`] → [`observe`] → [`plan`] → [`execute`] → [`report`].

/// The whole run: wires the parts below together for each command and returns the exit status.
pub mod app;
/// The approval flow of a release: commands in comments, how it stands, what the issue shows. Pure.
pub mod approval;
/// Azure Resource Manager: login, container groups, long-running operations, its errors.
pub mod azure;
/// What is new in a version, from its commits; the version to propose. Pure.
pub mod changes;
/// Flags, `INPUT_*` and environment variables, from one table.
pub mod cli;
/// `deploy.yml`: its surface, defaults, validation and JSON Schema.
pub mod config;
/// The project's words as types: names, shares, versions, digests, outcomes, secrets. Plain data.
pub mod domain;
/// What GitHub says happened: event payloads as plain structs.
pub mod event;
/// The only place that changes the world; emits an event before and after each step.
pub mod execute;
/// What went wrong: what, to which resource, what it means, what to do next, and the exit status.
pub mod failure;
/// Decisions on evidence: health and smoke probes and their verdicts.
pub mod gate;
/// GitHub's REST API: deployments and their statuses.
pub mod github;
/// The one HTTP client that everything shares.
pub mod http;
/// The world as data: reads only.
pub mod observe;
/// (Request, Config, Observed) → ordered steps, or a refusal. Pure.
pub mod plan;
/// From an image's tag to its digest, at the registry.
pub mod registry;
/// Listeners on the executor's events: log, summary, Slack, GitHub deployment, evidence.
pub mod report;
/// Event + inputs → what is asked for. Pure.
pub mod request;
/// The GitHub runner's files and workflow commands.
pub mod runner;
/// Texts that strangers wrote, made harmless for where they are shown. Pure.
pub mod text;
