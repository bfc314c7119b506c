//! `cargo sandbox run -- ARGS`: the command inside a world where dev runs already.

use std::{io, process::ExitCode};

use clap::Args;
use sandbox::{
    Clocks, RunSpec,
    runner::{self, Echo},
};

use super::common::{self, Common};

/// What it takes.
#[derive(Args)]
pub(crate) struct Run {
    #[command(flatten)]
    common: Common,
    /// What the command is given
    #[arg(last = true)]
    args: Vec<String>,
}

pub(crate) async fn carry_out(run: Run) -> io::Result<ExitCode> {
    let binary = common::binary(&run.common)?;
    let world = common::world(&run.common).await?;
    let mut spec = RunSpec::push_develop(&world);
    spec.config = world.config(&Clocks::watched());
    runner::run(&world, &binary, &spec).await?;
    for fault in &run.common.faults {
        world.fault(*fault).await;
    }
    spec.args = run.args;
    let folder = common::folder("run")?;
    let finished = runner::spawn_in(&world, &binary, &spec, &folder)?.finish(Echo::On).await?;
    Ok(ExitCode::from(finished.code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1)))
}
