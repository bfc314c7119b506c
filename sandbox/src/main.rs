//! `cargo sandbox`: a deployment against a world on loopback, to watch and to try things out in.

mod command;

use std::{io, process::ExitCode};

use clap::{Parser, Subcommand};
use command::{approve, common, crash, dev, prod, rollback, run, serve, staging};

/// A deployment against a world on loopback: no account, no configuration, no network.
#[derive(Parser)]
#[command(name = "cargo sandbox", version, after_help = common::faults_help())]
struct Cli {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// A push to `develop` deploys dev: the whole way through, live
    Dev(dev::Dev),
    /// A push to `main` releases to staging, blue-green, while people use it: live
    Staging(staging::Staging),
    /// A pushed tag `v1.0.0` releases to production, a canary first, while people use it: live
    Prod(prod::Prod),
    /// Production's release is taken back by a person, while people use it: live
    Rollback(rollback::Rollback),
    /// A release to production is killed in mid-canary, and what comes after makes it safe: live
    Crash(crash::Crash),
    /// The approval flow, from `/ready-for-prod` on a merged pull request to the release's tag, as people comment
    Approve(approve::Approve),
    /// Keep a world running for other clients (az, SDKs, curl) until stopped
    Serve(serve::Serve),
    /// Run the command with ARGS inside a world where dev runs already, e.g. `cargo sandbox run -- status`
    Run(run::Run),
}

#[tokio::main]
async fn main() -> ExitCode {
    match carry_out(Cli::parse().what).await {
        Ok(code) => code,
        Err(error) => {
            eprintln!("sandbox: {error}");
            ExitCode::from(2)
        }
    }
}

async fn carry_out(what: What) -> io::Result<ExitCode> {
    match what {
        What::Dev(dev) => dev::carry_out(&dev).await,
        What::Staging(staging) => staging::carry_out(&staging).await,
        What::Prod(prod) => prod::carry_out(&prod).await,
        What::Rollback(rollback) => rollback::carry_out(&rollback).await,
        What::Crash(crash) => crash::carry_out(&crash).await,
        What::Approve(approve) => approve::carry_out(&approve).await,
        What::Serve(serve) => serve::carry_out(&serve).await,
        What::Run(run) => run::carry_out(run).await,
    }
}
