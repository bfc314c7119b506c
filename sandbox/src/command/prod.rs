//! `cargo sandbox prod`: runbook Scenario 3, live, while people use it.

use std::{io, process::ExitCode};

use clap::Args;
use sandbox::{
    Clocks, Database, Fault, Load, Options, Preflight, RunSpec, World,
    runner::{self, Echo},
};

use super::{
    afterwards,
    common::{self, Common},
    serve::LIVE,
    shares,
};

/// What it takes.
#[derive(Args)]
pub(crate) struct Prod {
    #[command(flatten)]
    common: Common,
    /// Requests a second that people send
    #[arg(long, value_name = "N", default_value_t = 500)]
    load: u32,
    /// A PostgreSQL database for the rules and checks that ask one
    #[arg(long, value_name = "URL")]
    database_url: Option<String>,
}

/// What is released: the runbook's example.
pub(crate) const TAG: &str = "v1.0.0";
/// Requests that people have sent before the release begins, so that there is something to compare with.
pub(crate) const BEFORE: u64 = 500;
/// Fewer requests in the window are no data: at 5 % of the load about fifty come in it, and chance takes some away.
pub(crate) const MIN_REQUESTS: u32 = 20;

pub(crate) async fn carry_out(prod: &Prod) -> io::Result<ExitCode> {
    let common = &prod.common;
    let binary = common::binary(common)?;
    if common.faults.contains(&Fault::PoolExhausted) && prod.database_url.is_none() {
        return Err(io::Error::other("pool-exhausted needs a database whose connections can be taken: --database-url postgres://…"));
    }
    let world = World::start(Options { database: prod.database_url.clone(), ..common::options(common) }).await?;
    world.seed_prod(LIVE).await?;
    let clocks = Clocks { min_requests: MIN_REQUESTS, preflight: Preflight::On, ..Clocks::watched() };
    let mut spec = RunSpec::push_tag(&world, TAG);
    world.seed_release(TAG, spec.run_id).await?;
    spec.config = world.config(&clocks);
    if let Some(url) = &prod.database_url {
        spec.config = world.config(&Clocks { database: Database::Asked, ..clocks });
        spec = spec.with_database(url);
    }
    let people = world.load(&Load { per_second: prod.load, ..Load::of("prod") });
    people.until(|seen| seen.total.requests >= BEFORE).await;
    println!("{LIVE} serves production and people use it, {} requests a second. Now the tag {TAG}:\n", prod.load);
    common::switch_faults(&world, common).await;
    let folder = common::folder("prod")?;
    let running = runner::spawn_in(&world, &binary, &spec, &folder)?;
    let mut stretches = Vec::new();
    let finished = tokio::select! {
        finished = running.finish(Echo::On) => finished?,
        () = shares::follow(&world, &people, TAG, &mut stretches) => return Err(io::Error::other("production's profile is not followed any more")),
    };
    let seen = people.stop().await;
    afterwards::show(&world, &finished);
    afterwards::show_statuses(&world, &spec);
    afterwards::show_people(&seen);
    shares::show(TAG, &stretches, &seen);
    Ok(afterwards::verdict(afterwards::judge(&common.faults, finished.code, seen.total)))
}
