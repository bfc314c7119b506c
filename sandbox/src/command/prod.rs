//! `cargo sandbox prod`: runbook Scenario 3, live, while people use it.

use std::{io, process::ExitCode};

use clap::Args;
use sandbox::{
    Clocks, Database, Fault, Load, Options, RunSpec, World,
    load::{Tally, Working},
    runner::{self, Echo},
};

use super::{
    afterwards,
    common::{self, Common},
    serve::LIVE,
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
const TAG: &str = "v1.0.0";
const GROUP: &str = "prod-nextgen";
const PROFILE: &str = "tm-prod";
/// Requests that people have sent before the release begins, so that there is something to compare with.
const BEFORE: u64 = 500;
/// Fewer requests in the window are no data: at 5 % of the load about fifty come in it, and chance takes some away.
const MIN_REQUESTS: u32 = 20;

pub(crate) async fn carry_out(prod: &Prod) -> io::Result<ExitCode> {
    let common = &prod.common;
    let binary = common::binary(common)?;
    if common.faults.contains(&Fault::PoolExhausted) && prod.database_url.is_none() {
        return Err(io::Error::other("pool-exhausted needs a database whose connections can be taken: --database-url postgres://…"));
    }
    let world = World::start(Options { database: prod.database_url.clone(), ..common::options(common) }).await?;
    world.seed_prod(LIVE).await?;
    let clocks = Clocks { min_requests: MIN_REQUESTS, ..Clocks::watched() };
    let mut spec = RunSpec::push_tag(&world, TAG);
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
        () = follow(&world, &people, &mut stretches) => return Err(io::Error::other("production's profile is not followed any more")),
    };
    let seen = people.stop().await;
    afterwards::show(&world, &finished);
    afterwards::show_statuses(&world, &spec);
    afterwards::show_people(&seen);
    show_shares(&stretches, seen.version(TAG), seen.total);
    Ok(afterwards::verdict(afterwards::judge(&common.faults, finished.code, seen.total)))
}

/// What had been met when the weights gave the new version a share.
struct Stretch {
    /// The share that began then, between 0 and 1.
    intended: f64,
    /// Requests answered by the new version until then.
    new: Tally,
    /// All requests until then.
    total: Tally,
}

/// Notes what people had met each time that the new version's share is changed; never ends by itself.
async fn follow(world: &World, people: &Working, stretches: &mut Vec<Stretch>) {
    let intended = || world.intended_shares(GROUP, PROFILE).get(TAG).copied().unwrap_or_default();
    let mut last = intended();
    loop {
        world.until_profile(GROUP, PROFILE, |_| differs(intended(), last)).await;
        last = intended();
        let seen = people.snapshot();
        stretches.push(Stretch { intended: last, new: seen.version(TAG), total: seen.total });
    }
}

fn differs(one: f64, other: f64) -> bool {
    (one - other).abs() > 1e-9
}

/// Each share that was asked for, and the part of all requests that met the new version until the next.
fn show_shares(stretches: &[Stretch], new: Tally, total: Tally) {
    if stretches.is_empty() {
        return;
    }
    println!("\nShares of {TAG} by the weights, and what people met, the time that DNS answers live included:");
    let ends = stretches.iter().skip(1).map(|next| (next.new, next.total)).chain([(new, total)]);
    for (stretch, (new, total)) in stretches.iter().zip(ends) {
        let (met, of) = (new.requests - stretch.new.requests, total.requests - stretch.total.requests);
        #[allow(clippy::cast_precision_loss, reason = "requests of a minute")]
        let realised = met as f64 / of.max(1) as f64;
        println!("  {:>5.1} %: met by {:>5.1} % of {of} requests", stretch.intended * 100.0, realised * 100.0);
    }
}
