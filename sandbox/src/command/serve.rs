//! `cargo sandbox serve`: a world for other clients, until it is stopped.

use std::{
    fs,
    io::{self, Read as _},
    path::PathBuf,
    process::ExitCode,
};

use clap::{Args, ValueEnum};
use sandbox::{Alert, AlertState, Approval, Load, Merged, RunSpec, World, runner};

use super::common::{self, Common};

/// What it takes.
#[derive(Args)]
pub(crate) struct Serve {
    #[command(flatten)]
    common: Common,
    /// Write where everything is to this file, as JSON
    #[arg(long)]
    info: Option<PathBuf>,
    /// Let the Action deploy dev first
    #[arg(long)]
    deployed: bool,
    /// What runs already
    #[arg(long, value_name = "NAME")]
    scenario: Option<Scenario>,
    /// Requests a second that people send meanwhile to what was seeded, else to staging
    #[arg(long, value_name = "N")]
    load: Option<u32>,
}

/// What runs already.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Scenario {
    /// v0.9.5 is live in staging's blue slot, the green one is empty
    Staging,
    /// v0.9.5 runs in production's three stable instances, two of which serve; GitHub has nothing against a release
    Prod,
}

impl Scenario {
    const fn environment(self) -> &'static str {
        match self {
            Self::Staging => "staging",
            Self::Prod => "prod",
        }
    }
}

/// What is live where staging or production is seeded: the runbook's example.
pub(crate) const LIVE: &str = "v0.9.5";

pub(crate) async fn carry_out(serve: &Serve) -> io::Result<ExitCode> {
    let common = &serve.common;
    let world = common::world(common).await?;
    match serve.scenario {
        Some(Scenario::Staging) => world.seed_staging(LIVE).await?,
        Some(Scenario::Prod) => {
            world.seed_prod(LIVE).await?;
            ready(&world);
        }
        None => {}
    }
    for fault in &common.faults {
        world.fault(*fault).await;
    }
    // The build job has pushed what the example event's commit is deployed as.
    let spec = RunSpec::push_develop(&world);
    world.push_image(&spec.version);
    // And the pull request that it came by is merged.
    world.pull_request(7, "paula", &world.head(), Merged::Yes);
    world.let_in("paula", "write");
    if serve.deployed {
        let done = runner::run(&world, &common::binary(common)?, &spec).await?;
        eprintln!("{} runs in dev (exit {})", spec.version, done.code.unwrap_or(-1));
    }
    let environment = serve.scenario.map_or("staging", Scenario::environment);
    let people = serve.load.map(|per_second| world.load(&Load { per_second, ..Load::of(environment) }));
    let text = serde_json::to_string_pretty(&world.info())?;
    match &serve.info {
        // Written whole, then named: whoever waits for the file never reads half of it.
        Some(path) => {
            let part = path.with_extension("part");
            fs::write(&part, &text)?;
            fs::rename(&part, path)?;
        }
        None => println!("{text}"),
    }
    eprintln!("the world is up; end it with ctrl-c");
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminate.recv() => {}
        () = parent_is_gone() => {}
    }
    if let Some(people) = people {
        super::afterwards::show_people(&people.stop().await);
    }
    Ok(ExitCode::SUCCESS)
}

/// GitHub has something of each kind to show, and nothing against a release.
fn ready(world: &World) {
    world.github_is_ready(&world.head());
    world.add_alert(Alert { state: AlertState::Dismissed, ..Alert::open("high") });
    world.make_release(LIVE, "The release before.");
    world.answer_run(RunSpec::push_tag(world, "v1.0.0").run_id, "prod", "tom", Approval::Approved, "go");
}

/// Ends when a pipe on standard input is closed: whoever started this has ended. A terminal or nothing there never ends it.
async fn parent_is_gone() {
    let piped = fs::metadata("/proc/self/fd/0").is_ok_and(|meta| std::os::unix::fs::FileTypeExt::is_fifo(&meta.file_type()));
    if piped {
        let _ = tokio::task::spawn_blocking(|| io::stdin().read_to_end(&mut Vec::new())).await;
    } else {
        std::future::pending::<()>().await;
    }
}
