//! What the benchmarks share: a figure with what is expected of it, and watching a process' memory. Measures nothing itself.

#![allow(dead_code, reason = "each benchmark uses its own part of this module")]

use std::{process::ExitCode, time::Duration};

use jiff::Timestamp;

/// What was measured, and what is expected of it.
pub struct Figure {
    /// What it is.
    pub name: &'static str,
    /// Its unit.
    pub unit: &'static str,
    /// What each run measured.
    pub values: Vec<f64>,
    /// The most that is expected.
    pub expected: f64,
    /// How many times as much is far off: 1 for what is counted, more for what a busy machine makes longer.
    pub far: f64,
}

impl Figure {
    fn median(&self) -> f64 {
        let mut values = self.values.clone();
        values.sort_by(f64::total_cmp);
        values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
    }
}

/// Prints the figures; a failure where one is far off, or was not measured.
pub fn show(figures: &[Figure]) -> ExitCode {
    let mut good = true;
    for figure in figures {
        let median = figure.median();
        let word = if median <= figure.expected { "as expected" } else { "above what is expected" };
        println!("{:<58} {median:>8.2} {:<11} expected up to {:>7.2}: {word}", figure.name, figure.unit, figure.expected);
        good &= median <= figure.expected * figure.far;
    }
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The most memory, in megabytes, that a process had needed at each moment of its life.
pub type Peaks = Vec<(Timestamp, f64)>;

/// Watches the process `id` until it ends. The kernel keeps the peak itself; the last reading before the end has it.
pub async fn peaks(id: u32) -> Peaks {
    let mut peaks = Peaks::new();
    while let Ok(status) = tokio::fs::read_to_string(format!("/proc/{id}/status")).await {
        let line = status.lines().find(|line| line.starts_with("VmHWM:"));
        let kilobytes = line.and_then(|line| line.split_whitespace().nth(1)).and_then(|text| text.parse::<f64>().ok());
        match kilobytes {
            Some(kilobytes) => peaks.push((Timestamp::now(), kilobytes / 1024.0)),
            None => break,
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    peaks
}

/// The last of `peaks`: the most that was needed at all.
pub fn whole(peaks: &Peaks) -> f64 {
    peaks.last().map_or(f64::NAN, |(_, megabytes)| *megabytes)
}

/// What had been needed by `moment`.
pub fn by(peaks: &Peaks, moment: Timestamp) -> f64 {
    peaks.iter().take_while(|(at, _)| *at <= moment).last().map_or(f64::NAN, |(_, megabytes)| *megabytes)
}
