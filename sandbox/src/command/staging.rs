//! `cargo sandbox staging`: runbook Scenario 2, live, while people use it.

use std::{io, process::ExitCode};

use clap::{Args, ValueEnum};
use sandbox::{
    Clocks, Load, RunSpec, Slot, Staging as Found,
    runner::{self, Echo},
};

use super::{
    afterwards,
    common::{self, Common},
    serve::LIVE,
};

/// What it takes.
#[derive(Args)]
pub(crate) struct Staging {
    #[command(flatten)]
    common: Common,
    /// The slot that is live before
    #[arg(long, value_name = "SLOT", default_value = "blue")]
    live: Live,
    /// Requests a second that people send
    #[arg(long, value_name = "N", default_value_t = 200)]
    load: u32,
}

/// The slot that is live before.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Live {
    Blue,
    Green,
}

impl Live {
    const fn slot(self) -> Slot {
        match self {
            Self::Blue => Slot::Blue,
            Self::Green => Slot::Green,
        }
    }
}

/// Requests that people have sent before the release begins, so that there is something to compare with.
const BEFORE: u64 = 100;

pub(crate) async fn carry_out(staging: &Staging) -> io::Result<ExitCode> {
    let common = &staging.common;
    let binary = common::binary(common)?;
    let world = common::world(common).await?;
    let live = staging.live.slot();
    world.seed(&Found::live(live, LIVE)).await?;
    let mut spec = RunSpec::push_main(&world);
    spec.config = world.config(&Clocks::watched());
    let people = world.load(&Load { per_second: staging.load, ..Load::of("staging") });
    people.until(|seen| seen.total.requests >= BEFORE).await;
    println!("{LIVE} is live in {} and people use it, {} requests a second. Now a merge to main:\n", live.instance(), staging.load);
    common::switch_faults(&world, common).await;
    let folder = common::folder("staging")?;
    let finished = runner::spawn_in(&world, &binary, &spec, &folder)?.finish(Echo::On).await?;
    let seen = people.stop().await;
    afterwards::show(&world, &finished);
    afterwards::show_statuses(&world, &spec);
    afterwards::show_people(&seen);
    Ok(afterwards::verdict(afterwards::judge(&common.faults, finished.code, seen.total)))
}
