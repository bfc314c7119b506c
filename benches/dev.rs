//! What a dev deployment costs: start to first request, peak memory, binary size, and the time beside the instance's own.
//! Prints each figure with what is expected of it; ends with an error when one is far off (three times what is expected, so
//! that a busy machine does not fail a build).

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on says so")]

mod common;

use std::{path::Path, process::ExitCode, time::Duration};

use common::Figure;
use sandbox::{Options, Polling, RunSpec, World, runner};

const RUNS: usize = 7;

/// How many times as much as is expected is far off.
const FAR: f64 = 3.0;

#[tokio::main]
async fn main() -> ExitCode {
    let binary = Path::new(env!("CARGO_BIN_EXE_deploy-action"));
    let size = std::fs::metadata(binary).map(|meta| meta.len()).unwrap_or_default();
    let boot = Duration::from_millis(300);
    let mut first = Vec::new();
    let mut overhead = Vec::new();
    let mut memory = Vec::new();
    let mut process = Vec::new();
    for _ in 0..RUNS {
        let begun = std::time::Instant::now();
        let started = tokio::process::Command::new("true").status().await;
        process.push(begun.elapsed().as_secs_f64() * 1000.0);
        if started.is_err() {
            eprintln!("`true` cannot be run: the ratio below means nothing");
        }
        let world = World::start(Options { boot, polling: Polling::Milliseconds(10), ..Options::default() }).await.expect("a world");
        let spec = RunSpec::push_develop(&world);
        world.push_image(&spec.version);
        let begun = jiff::Timestamp::now();
        let running = runner::spawn(&world, binary, &spec).expect("started");
        let peaks = tokio::spawn(common::peaks(running.id().unwrap_or_default()));
        let done = runner::Running::finish(running, runner::Echo::Off).await.expect("its end");
        assert_eq!(done.code, Some(0), "{}", done.stdout);
        memory.push(peaks.await.map_or(f64::NAN, |peaks| common::whole(&peaks)));
        let arrived = world.requests().first().map(|request| request.time).expect("a request");
        first.push(arrived.duration_since(begun).as_secs_f64() * 1000.0);
        overhead.push((done.duration.as_secs_f64() - boot.as_secs_f64()) * 1000.0);
    }
    let ratios = first.iter().zip(&process).map(|(first, process)| first / process).collect();
    let figure = |name, unit, values, expected| Figure { name, unit, values, expected, far: FAR };
    common::show(&[
        figure("start to first request", "ms", first, 15.0),
        figure("peak memory", "MB", memory, 25.0),
        figure("binary", "MB", vec![size as f64 / 1e6], 12.0),
        figure("dev deployment beside the instance's own time", "ms", overhead, 300.0),
        figure("first request, as a multiple of starting `true`", "×", ratios, 20.0),
    ])
}
