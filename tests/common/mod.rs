//! What the end-to-end tests share: the real binary, a world, and reading what a run left.

use std::path::Path;

use sandbox::{Fault, Finished, Options, RunSpec, World, runner};

/// The binary that cargo built for these tests.
pub fn binary() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_deploy-action"))
}

/// A world in which nothing takes long.
#[allow(dead_code, reason = "each test binary uses its own part of this module")]
pub async fn world() -> World {
    World::start(Options::quick()).await.expect("a world on loopback")
}

/// Runs the binary as GitHub's runner would.
#[allow(dead_code, reason = "each test binary uses its own part of this module")]
pub async fn run(world: &World, spec: &RunSpec) -> Finished {
    runner::run(world, binary(), spec).await.expect("the binary runs")
}

/// What was asked of Azure that changes something, as `METHOD name`.
#[allow(dead_code, reason = "each test binary uses its own part of this module")]
pub fn changes(world: &World) -> Vec<String> {
    let of_azure = world.requests().into_iter().filter(|request| request.service == "azure" && request.is_change());
    of_azure
        .map(|request| {
            format!("{} {}", request.method, request.path.split('?').next().and_then(|path| path.rsplit('/').next()).unwrap_or_default())
        })
        .collect()
}

/// Everything that a run showed or left anywhere, for looking for what must not be in it.
#[allow(dead_code, reason = "each test binary uses its own part of this module")]
pub fn everything(world: &World, finished: &Finished) -> String {
    let messages: Vec<String> = world.slack_messages().iter().map(ToString::to_string).collect();
    let alerts: Vec<String> = world.pagerduty_incidents().iter().flat_map(|incident| &incident.events).map(ToString::to_string).collect();
    let page: Vec<String> = world.status_page_incidents().iter().map(ToString::to_string).collect();
    let deployments: Vec<String> = world.deployments().iter().map(|(deployment, _)| deployment.to_string()).collect();
    let printed: Vec<&str> = finished.stdout.lines().filter(|line| !line.starts_with("::add-mask::")).collect();
    let evidence: Vec<String> = finished.evidence.iter().map(ToString::to_string).collect();
    let outputs: Vec<&str> = finished.outputs.values().chain(finished.state.values()).map(String::as_str).collect();
    let tags = world.written("dev-nextgen", "aci-dev-nextgen").map(|body| body["tags"].to_string()).unwrap_or_default();
    [
        printed.join("\n"),
        finished.stderr.clone(),
        finished.summary.clone(),
        messages.join("\n"),
        alerts.join("\n"),
        page.join("\n"),
        deployments.join("\n"),
        evidence.join("\n"),
        outputs.join("\n"),
        tags,
    ]
    .join("\n")
}

/// A run without a fault, and one under each fault, side by side, each in a world of its own; `spec` says what is run.
/// SlackSlow is left out: it is SlackDown, after a wait.
#[allow(dead_code, reason = "each test binary uses its own part of this module")]
pub async fn under_every_fault(spec: impl Fn(&World) -> RunSpec) -> Vec<(Option<Fault>, World, Finished)> {
    let faults = Fault::ALL.into_iter().filter(|fault| *fault != Fault::SlackSlow).map(Some);
    let runs = std::iter::once(None).chain(faults).map(async |fault| {
        let world = world().await;
        if let Some(fault) = fault {
            world.fault(fault).await;
        }
        let done = run(&world, &spec(&world)).await;
        (fault, world, done)
    });
    futures::future::join_all(runs).await
}
