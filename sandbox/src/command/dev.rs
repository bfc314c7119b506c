//! `cargo sandbox dev`: runbook Scenario 1, live.

use std::{io, process::ExitCode};

use clap::Args;
use sandbox::{
    Clocks, RunSpec,
    runner::{self, Echo},
};

use super::{
    afterwards,
    common::{self, Common},
};

/// What it takes.
#[derive(Args)]
pub(crate) struct Dev {
    #[command(flatten)]
    common: Common,
    /// Begin with an older version running
    #[arg(long)]
    seed_old: bool,
}

const OLDER: &str = "9f8e7d6c5b4a39281706f5e4d3c2b1a009988776";

pub(crate) async fn carry_out(dev: &Dev) -> io::Result<ExitCode> {
    let common = &dev.common;
    let binary = common::binary(common)?;
    let world = common::world(common).await?;
    let mut spec = RunSpec::push_develop(&world);
    spec.config = world.config(&Clocks::watched());
    if dev.seed_old {
        let before = spec.clone().of_commit(OLDER);
        let done = runner::run(&world, &binary, &before).await?;
        println!("{} runs in dev (exit {}). Now a push to develop:\n", before.version, done.code.unwrap_or(-1));
    }
    common::switch_faults(&world, common).await;
    let folder = common::folder("dev")?;
    let finished = runner::spawn_in(&world, &binary, &spec, &folder)?.finish(Echo::On).await?;
    afterwards::show(&world, &finished);
    let survivable = common.faults.iter().all(|fault| fault.is_survivable());
    Ok(afterwards::verdict(if survivable == (finished.code == Some(0)) {
        Ok(())
    } else {
        Err("that is not how it should have ended".into())
    }))
}
