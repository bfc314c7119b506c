//! `cargo sandbox rollback`: a release is complete, and a person takes it back by the runbook's own command, while people use it.

use std::{
    io,
    process::ExitCode,
    time::{Duration, Instant},
};

use clap::Args;
use sandbox::{
    Clocks, Finished, Load, RunSpec, Seen, World,
    runner::{self, Echo},
};

use super::{
    afterwards,
    common::{self, Common},
    prod::{BEFORE, MIN_REQUESTS, TAG},
    serve::LIVE,
    shares::{self, GROUP, PROFILE},
};

/// What it takes.
#[derive(Args)]
pub(crate) struct Rollback {
    #[command(flatten)]
    common: Common,
    /// Back by shares: 25, 50, 100 %, each watched
    #[arg(long)]
    staged: bool,
    /// Requests a second that people send
    #[arg(long, value_name = "N", default_value_t = 500)]
    load: u32,
}

/// The workflow run that the dispatch starts.
const RUN: u64 = 7_313_377_400;

pub(crate) async fn carry_out(rollback: &Rollback) -> io::Result<ExitCode> {
    let common = &rollback.common;
    let binary = common::binary(common)?;
    let world = common::world(common).await?;
    world.seed_prod(LIVE).await?;
    let people = world.load(&Load { per_second: rollback.load, ..Load::of("prod") });
    people.until(|seen| seen.total.requests >= BEFORE).await;
    println!("{LIVE} serves production and people use it, {} requests a second. The tag {TAG} is released first.", rollback.load);
    let mut release = RunSpec::push_tag(&world, TAG);
    release.config = world.config(&Clocks { every: Clocks::watched().every, retries: Clocks::watched().retries, ..Clocks::quick() });
    let released = runner::run(&world, &binary, &release).await?;
    if released.code != Some(0) {
        print!("{}", released.stdout);
        return Err(io::Error::other("the release that is to be taken back did not succeed"));
    }
    let clocks = Clocks { min_requests: MIN_REQUESTS, ..Clocks::watched() };
    let mut spec = RunSpec::dispatch(&world, &[("environment", "prod")]).in_run(RUN);
    spec.config = world.config(&clocks);
    if rollback.staged {
        spec = spec.with("strategy", "staged");
    }
    println!("{TAG} serves everybody. Now a person: gh workflow run ci-cd-enterprise.yml -f environment=prod -r main\n");
    common::switch_faults(&world, common).await;
    let folder = common::folder("rollback")?;
    let began = Instant::now();
    let running = runner::spawn_in(&world, &binary, &spec, &folder)?;
    let mut stretches = Vec::new();
    let mut back = None;
    let everybody_back = async {
        world.until_profile(GROUP, PROFILE, |_| is_back(&world)).await;
        back = Some(began.elapsed());
        std::future::pending::<()>().await;
    };
    let finished = tokio::select! {
        finished = running.finish(Echo::On) => finished?,
        () = everybody_back => return Err(io::Error::other("this has no end")),
        () = shares::follow(&world, &people, LIVE, &mut stretches) => return Err(io::Error::other("production's profile is not followed any more")),
    };
    let seen = people.stop().await;
    afterwards::show(&world, &finished);
    afterwards::show_people(&seen);
    shares::show(LIVE, &stretches, &seen);
    show_times(back, &finished);
    Ok(afterwards::verdict(judge(rollback, &world, &finished, &seen)))
}

/// Whether the weights send everybody to the version before.
fn is_back(world: &World) -> bool {
    world.intended_shares(GROUP, PROFILE).get(LIVE).is_some_and(|share| *share > 1.0 - 1e-9)
}

fn show_times(back: Option<Duration>, finished: &Finished) {
    println!();
    if let Some(back) = back {
        println!("from the dispatch until everybody was sent to {LIVE} again: {:.1} s", back.as_secs_f64());
    }
    println!("until the last of it was done: {:.1} s", finished.duration.as_secs_f64());
}

/// Whether it ended as it should have: everybody on the version before, and nobody's request failed but by a fault.
fn judge(rollback: &Rollback, world: &World, finished: &Finished, seen: &Seen) -> Result<(), String> {
    afterwards::judge(&rollback.common.faults, finished.code, seen.total)?;
    if finished.code == Some(0) && !is_back(world) {
        return Err(format!("everybody should be on {LIVE} again"));
    }
    Ok(())
}
