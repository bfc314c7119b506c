//! What a dev deployment costs: start to first request, peak memory, binary size, and the time beside the instance's own.
//! Prints each figure with what is expected of it; ends with an error when one is far off (three times what is expected, so
//! that a busy machine does not fail a build).

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on says so")]

use std::{path::Path, process::ExitCode, time::Duration};

use sandbox::{Options, Polling, RunSpec, World, runner};

const RUNS: usize = 7;

struct Figure {
    name: &'static str,
    unit: &'static str,
    values: Vec<f64>,
    expected: f64,
}

impl Figure {
    fn median(&self) -> f64 {
        let mut values = self.values.clone();
        values.sort_by(f64::total_cmp);
        values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
    }
}

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
        let id = running.id().unwrap_or_default();
        let peak = tokio::spawn(async move {
            let mut peak = 0.0_f64;
            // The kernel keeps the peak itself; the last reading before the end has it.
            while let Ok(status) = tokio::fs::read_to_string(format!("/proc/{id}/status")).await {
                let line = status.lines().find(|line| line.starts_with("VmHWM:"));
                let kilobytes = line.and_then(|line| line.split_whitespace().nth(1)).and_then(|text| text.parse::<f64>().ok());
                match kilobytes {
                    Some(kilobytes) => peak = peak.max(kilobytes / 1024.0),
                    None => break,
                }
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            peak
        });
        let done = runner::Running::finish(running, runner::Echo::Off).await.expect("its end");
        assert_eq!(done.code, Some(0), "{}", done.stdout);
        memory.push(peak.await.unwrap_or(f64::NAN));
        let arrived = world.requests().first().map(|request| request.time).expect("a request");
        first.push(arrived.duration_since(begun).as_secs_f64() * 1000.0);
        overhead.push((done.duration.as_secs_f64() - boot.as_secs_f64()) * 1000.0);
    }
    let figures = [
        Figure { name: "start to first request", unit: "ms", values: first.clone(), expected: 15.0 },
        Figure { name: "peak memory", unit: "MB", values: memory, expected: 25.0 },
        Figure { name: "binary", unit: "MB", values: vec![size as f64 / 1e6], expected: 12.0 },
        Figure { name: "dev deployment beside the instance's own time", unit: "ms", values: overhead, expected: 300.0 },
        Figure {
            name: "first request, as a multiple of starting `true`",
            unit: "×",
            values: first.iter().zip(&process).map(|(first, process)| first / process).collect(),
            expected: 20.0,
        },
    ];
    let mut good = true;
    for figure in &figures {
        let median = figure.median();
        let word = if median <= figure.expected { "as expected" } else { "above what is expected" };
        println!("{:<50} {median:>8.1} {:<3} expected up to {:>6.1}: {word}", figure.name, figure.unit, figure.expected);
        good &= median <= figure.expected * 3.0;
    }
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
