//! `cargo sandbox crash`: a release to production is killed in mid-canary, and what comes after it makes the world safe.

use std::{io, process::ExitCode};

use clap::Args;
use sandbox::{
    Clocks, Load, RunSpec, World,
    runner::{self, Echo},
};

use super::{
    afterwards,
    common::{self, Common},
    prod::{BEFORE, MIN_REQUESTS, TAG},
    serve::LIVE,
    shares::{GROUP, PROFILE},
};

/// What it takes.
#[derive(Args)]
pub(crate) struct Crash {
    #[command(flatten)]
    common: Common,
    /// The runner is lost with it, so no post step runs: the workflow, run again, finishes the release
    #[arg(long)]
    lost: bool,
    /// Requests a second that people send
    #[arg(long, value_name = "N", default_value_t = 500)]
    load: u32,
}

/// The part of people that the canary has when the run is killed.
const SHARE: f64 = 0.25;

pub(crate) async fn carry_out(crash: &Crash) -> io::Result<ExitCode> {
    let common = &crash.common;
    let binary = common::binary(common)?;
    let world = common::world(common).await?;
    world.seed_prod(LIVE).await?;
    let mut spec = RunSpec::push_tag(&world, TAG);
    spec.config = world.config(&Clocks { min_requests: MIN_REQUESTS, ..Clocks::watched() });
    let people = world.load(&Load { per_second: crash.load, ..Load::of("prod") });
    people.until(|seen| seen.total.requests >= BEFORE).await;
    println!("{LIVE} serves production and people use it, {} requests a second. The tag {TAG} is being released.", crash.load);
    common::switch_faults(&world, common).await;
    let mut running = runner::spawn(&world, &binary, &spec)?;
    let reached = |_: &serde_json::Value| share(&world, TAG) > SHARE - 1e-9;
    tokio::select! {
        () = world.until_profile(GROUP, PROFILE, reached) => {}
        ended = running.ended() => ended?,
    }
    running.signal("KILL").await?;
    let killed = running.finish(Echo::Off).await?;
    print!("{}", killed.stdout);
    println!("\nThe run was killed (kill -9). What it left: {}\n", left(&world));
    let met = people.snapshot();
    let folder = common::folder("crash")?;
    let after = if crash.lost {
        println!("The runner is lost, too. The workflow is run again:\n");
        runner::spawn_in(&world, &binary, &RunSpec { attempt: 2, ..spec.clone() }, &folder)?
    } else {
        println!("The runner starts the step's post-entrypoint:\n");
        runner::spawn_post_in(&world, &binary, &spec, &killed.state, &folder)?
    };
    let finished = after.finish(Echo::On).await?;
    let seen = people.stop().await;
    afterwards::show(&world, &finished);
    afterwards::show_statuses(&world, &spec);
    afterwards::show_people(&seen);
    println!(
        "\nwhen it was killed {} requests had been answered by {TAG}, afterwards {} more",
        met.version(TAG).requests,
        seen.version(TAG).requests - met.version(TAG).requests
    );
    println!("what is there now: {}", left(&world));
    let version = if crash.lost { TAG } else { LIVE };
    let is_safe = share(&world, version) > 1.0 - 1e-9 && !world.container_groups().iter().any(|name| name.contains("canary"));
    let ended = match (is_safe, seen.total.failures) {
        (true, 0) => Ok(()),
        (false, _) => Err(format!("everybody should be on {version}, and no canary left")),
        (true, _) if common.faults.iter().any(|fault| fault.reaches_people()) => Ok(()),
        (true, _) => Err("no request of people should have failed".to_owned()),
    };
    Ok(afterwards::verdict(ended))
}

/// The part of people that the weights send to `version`, between 0 and 1.
fn share(world: &World, version: &str) -> f64 {
    world.intended_shares(GROUP, PROFILE).get(version).copied().unwrap_or_default()
}

/// The instances, and whom people are sent to.
fn left(world: &World) -> String {
    let shares: Vec<String> =
        world.intended_shares(GROUP, PROFILE).iter().map(|(version, share)| format!("{version} {:.0} %", share * 100.0)).collect();
    format!("{}; people are sent to {}", world.container_groups().join(", "), shares.join(", "))
}
