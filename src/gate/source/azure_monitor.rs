//! CPU and memory of an instance from Azure Monitor, against what it was given: for `cpu` and `memory` without a query of their own.
//!
//! Azure Monitor has a number a minute, and has it a few minutes late (Microsoft: "Supported metrics for
//! Microsoft.ContainerInstance/containerGroups", time grain PT1M). So it is asked at most once a minute, and what it said serves
//! the ticks between; the age is that of the number, not of the question.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use futures::future::join_all;
use jiff::{SignedDuration, Timestamp};
use tokio::time::{Instant, timeout};

use super::{Target, Want};
use crate::{
    azure::{
        ResourceManager,
        monitor::{self, Given, Minute},
    },
    config::MetricKind,
    domain::InstanceName,
    failure::Failure,
    gate::{Basis, Reading, Sample, Subject},
};

/// Between two questions at most; and so many ticks where those are short.
const PACE: Duration = Duration::from_secs(60);
const PACE_IN_TICKS: u32 = 6;

/// The longest ago that a minute may have ended whose number still speaks of now. Numbers are a few minutes late.
const FRESH: SignedDuration = SignedDuration::from_mins(5);

/// A GB of Azure Container Instances, in bytes.
const GIGABYTE: f64 = 1024.0 * 1024.0 * 1024.0;

/// Azure Monitor, as far as one resource group goes. Remembers what it said last.
pub(super) struct AzureMonitor {
    azure: Arc<ResourceManager>,
    group: String,
    pace: Duration,
    patience: Duration,
    known: BTreeMap<InstanceName, Known>,
}

/// What was said of an instance.
struct Known {
    asked: Instant,
    took_ms: u64,
    said: Result<(Vec<Given>, Vec<Minute>), Reading>,
}

/// One of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Cpu,
    Memory,
}

impl AzureMonitor {
    /// Prepares to ask of the instances in `group`. Sends nothing.
    pub(super) fn new(azure: Arc<ResourceManager>, group: &str, every: Duration, patience: Duration) -> Self {
        let pace = every.saturating_mul(PACE_IN_TICKS).min(PACE);
        Self { azure, group: group.to_owned(), pace, patience, known: BTreeMap::new() }
    }

    /// What was said before is about instances that may have been replaced since.
    pub(super) fn begin(&mut self) {
        self.known.clear();
    }

    /// A sample for each of `new`, and one for all of `baseline` where it is of use: their mean.
    pub(super) async fn read(&mut self, wants: &[Want], new: &[Target], baseline: &[Target]) -> Vec<Sample> {
        if wants.is_empty() {
            return Vec::new();
        }
        let compared = if wants.iter().any(|want| want.is_wanted_of(Subject::Baseline)) { baseline } else { &[] };
        self.ask(new.iter().chain(compared)).await;
        let now = Timestamp::now();
        let mut samples = Vec::new();
        for want in wants {
            let part = if want.kind == MetricKind::Cpu { Part::Cpu } else { Part::Memory };
            let of = |target: &Target| self.known.get(&target.instance).map(|known| (reading(known, part, now), known.took_ms));
            let sample = |subject, reading, instances: &str, took_ms| Sample {
                metric: want.metric.clone(),
                subject,
                over: None,
                reading,
                query: format!("{} of {instances} in the last minute, by Azure Monitor, of what it was given", part.metric()),
                took_ms,
            };
            for target in new {
                samples.extend(of(target).map(|(reading, took_ms)| sample(Subject::New, reading, target.instance.as_str(), took_ms)));
            }
            let all: Vec<(Reading, u64)> =
                if want.is_wanted_of(Subject::Baseline) { baseline.iter().filter_map(of).collect() } else { Vec::new() };
            if !all.is_empty() {
                let names: Vec<&str> = baseline.iter().map(|target| target.instance.as_str()).collect();
                let took_ms = all.iter().map(|(_, took_ms)| *took_ms).max().unwrap_or(0);
                let readings: Vec<Reading> = all.into_iter().map(|(reading, _)| reading).collect();
                samples.push(sample(Subject::Baseline, mean(&readings), &format!("each of {}", names.join(", ")), took_ms));
            }
        }
        samples
    }

    /// Asks of those whose last answer is too old, all at once.
    async fn ask<'a>(&mut self, targets: impl Iterator<Item = &'a Target>) {
        let mut due: Vec<InstanceName> = targets.map(|target| target.instance.clone()).collect();
        due.sort_unstable();
        due.dedup();
        due.retain(|instance| self.known.get(instance).is_none_or(|known| known.asked.elapsed() >= self.pace));
        let (azure, group, patience) = (&self.azure, &self.group, self.patience);
        let answers = join_all(due.into_iter().map(async |instance| {
            let asked = Instant::now();
            let said = match timeout(patience, monitor::usage(azure, group, &instance, Timestamp::now())).await {
                Ok(Ok(Some(said))) => Ok(said),
                Ok(Ok(None)) => Err(format!("Azure knows no {instance}")),
                Ok(Err(error)) => Err(Failure::from(error).what),
                Err(_) => Err(format!("Azure Monitor gave no answer within {} s", patience.as_secs_f64())),
            };
            let took_ms = u64::try_from(asked.elapsed().as_millis()).unwrap_or(u64::MAX);
            (instance, Known { asked, took_ms, said: said.map_err(|why| Reading::Failed { why }) })
        }));
        self.known.extend(answers.await);
    }
}

impl Part {
    const fn metric(self) -> &'static str {
        match self {
            Self::Cpu => "CpuUsage",
            Self::Memory => "MemoryUsage",
        }
    }

    /// The used part of what a container was given; `None`: one of them is not known.
    fn ratio(self, given: &Given, minute: &Minute) -> Option<f64> {
        let (used, given) = match self {
            Self::Cpu => (minute.millicores? / 1000.0, given.cores?),
            Self::Memory => (minute.bytes? / GIGABYTE, given.gigabytes?),
        };
        (given > 0.0).then(|| used / given)
    }
}

fn reading(known: &Known, part: Part, now: Timestamp) -> Reading {
    match &known.said {
        Ok((given, minutes)) => of_group(part, given, minutes, now),
        Err(reading) => reading.clone(),
    }
}

/// The number of a group: of its containers, the one that uses the largest part of its own.
fn of_group(part: Part, given: &[Given], minutes: &[Minute], now: Timestamp) -> Reading {
    let readings: Vec<Reading> = given.iter().map(|given| of_container(part, given, minutes, given_alone(given, minutes), now)).collect();
    let highest = readings.iter().filter_map(value).max_by(f64::total_cmp);
    match (readings.into_iter().find(|reading| value(reading).is_none()), highest) {
        // A container of which nothing is known may be the one that is ill.
        (Some(lacking), _) => lacking,
        (None, Some(highest)) => Reading::plain(highest),
        (None, None) => Reading::Failed { why: "Azure shows no container in the group".into() },
    }
}

/// Whose minutes are a container's: its own or, where Azure does not tell them apart, the group's.
fn given_alone<'a>(given: &'a Given, minutes: &[Minute]) -> Option<&'a str> {
    minutes.iter().any(|minute| minute.container.is_some()).then_some(given.container.as_str())
}

fn of_container(part: Part, given: &Given, minutes: &[Minute], named: Option<&str>, now: Timestamp) -> Reading {
    let name = &given.container;
    let Some(since) = given.since else {
        return Reading::NoData { why: format!("Azure does not say that container {name} runs, so no minute is known to be its own") };
    };
    let is_own = |minute: &&Minute| match (named, &minute.container) {
        (Some(named), Some(container)) => container.eq_ignore_ascii_case(named),
        (Some(_), None) => false,
        (None, _) => true,
    };
    // What ran here before, under the same name, is not judged. What runs uses memory: a minute without any is one that Azure
    // has no numbers of yet, though it may give zeros for it.
    let newest = minutes
        .iter()
        .filter(is_own)
        .filter(|minute| ended(minute) > since && minute.bytes.is_some_and(|bytes| bytes > 0.0))
        .filter_map(|minute| Some((minute, part.ratio(given, minute)?)))
        .max_by_key(|(minute, _)| minute.at);
    match newest {
        None if part.ratio_is_unknown(given) => Reading::Failed { why: format!("Azure does not say what container {name} was given") },
        None => Reading::NoData {
            why: format!(
                "Azure Monitor has no minute of container {name} since it started at {}: they come a few minutes late",
                since.strftime("%H:%M:%SZ")
            ),
        },
        Some((minute, ratio)) => {
            let age = now.duration_since(ended(minute));
            if age > FRESH {
                let age_ms = u64::try_from(age.as_millis()).unwrap_or(u64::MAX);
                return Reading::Stale { age_ms, why: format!("the last minute that Azure Monitor has of container {name}") };
            }
            Reading::plain(ratio)
        }
    }
}

impl Part {
    fn ratio_is_unknown(self, given: &Given) -> bool {
        match self {
            Self::Cpu => given.cores.is_none(),
            Self::Memory => given.gigabytes.is_none(),
        }
    }
}

fn ended(minute: &Minute) -> Timestamp {
    minute.at.checked_add(SignedDuration::from_mins(1)).unwrap_or(minute.at)
}

fn value(reading: &Reading) -> Option<f64> {
    match reading {
        Reading::Value { value, .. } => Some(*value),
        Reading::NoData { .. } | Reading::Failed { .. } | Reading::Stale { .. } => None,
    }
}

/// The mean; what one of them lacks, all lack.
fn mean(readings: &[Reading]) -> Reading {
    match readings.iter().find(|reading| value(reading).is_none()) {
        Some(lacking) => lacking.clone(),
        None => {
            let values: Vec<f64> = readings.iter().filter_map(value).collect();
            Reading::value(values.iter().sum::<f64>() / values.len() as f64, Basis::Plain)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: &str = "2026-11-24T10:10:30Z";

    fn at(text: &str) -> Timestamp {
        text.parse().expect("a time")
    }

    fn given(container: &str) -> Given {
        Given { container: container.into(), cores: Some(2.0), gigabytes: Some(1.0), since: Some(at("2026-11-24T10:05:20Z")) }
    }

    fn minute(container: Option<&str>, time: &str, millicores: f64, bytes: f64) -> Minute {
        let at = at(&format!("2026-11-24T{time}Z"));
        Minute { container: container.map(str::to_owned), at, millicores: Some(millicores), bytes: Some(bytes) }
    }

    fn cpu(given: &[Given], minutes: &[Minute]) -> Reading {
        of_group(Part::Cpu, given, minutes, at(NOW))
    }

    #[test]
    fn the_newest_minute_counts_against_what_was_given() {
        let minutes = [minute(None, "10:08:00", 1900.0, GIGABYTE * 0.75), minute(None, "10:07:00", 100.0, GIGABYTE)];
        assert_eq!(cpu(&[given("app")], &minutes), Reading::plain(0.95));
        assert_eq!(of_group(Part::Memory, &[given("app")], &minutes, at(NOW)), Reading::plain(0.75));
    }

    #[test]
    fn what_ran_before_and_what_is_not_known_yet_does_not_count() {
        let before = minute(None, "10:04:00", 2000.0, GIGABYTE);
        let zeros = minute(None, "10:09:00", 0.0, 0.0);
        let half = Minute { bytes: None, ..minute(None, "10:08:00", 5.0, 0.0) };
        assert!(matches!(cpu(&[given("app")], &[before.clone(), zeros.clone(), half.clone()]), Reading::NoData { .. }));
        let first = minute(None, "10:05:00", 500.0, 1.0);
        assert_eq!(cpu(&[given("app")], &[before, first, zeros, half]), Reading::plain(0.25));
        assert!(matches!(cpu(&[Given { since: None, ..given("app") }], &[minute(None, "10:08:00", 1.0, 1.0)]), Reading::NoData { .. }));
    }

    #[test]
    fn an_old_minute_is_stale_and_silence_is_no_data() {
        let long = Given { since: Some(at("2026-11-24T09:00:00Z")), ..given("app") };
        let old = minute(None, "10:04:00", 1.0, 1.0);
        assert!(matches!(cpu(std::slice::from_ref(&long), &[old]), Reading::Stale { age_ms: 330_000, .. }));
        assert!(matches!(cpu(std::slice::from_ref(&long), &[]), Reading::NoData { .. }));
        assert!(matches!(cpu(&[], &[]), Reading::Failed { .. }));
        let unknown = Given { cores: None, ..long };
        assert!(matches!(cpu(&[unknown], &[minute(None, "10:08:00", 1.0, 1.0)]), Reading::Failed { .. }));
    }

    #[test]
    fn of_several_containers_the_worst_counts_and_none_may_be_silent() {
        let both = [given("app"), Given { cores: Some(0.5), ..given("proxy") }];
        let app = minute(Some("app"), "10:08:00", 200.0, 1.0);
        let proxy = minute(Some("PROXY"), "10:08:00", 450.0, 1.0);
        assert_eq!(cpu(&both, &[app.clone(), proxy]), Reading::plain(0.9));
        assert!(matches!(cpu(&both, &[app]), Reading::NoData { why } if why.contains("proxy")));
    }

    #[test]
    fn stable_is_compared_as_a_mean_and_what_one_lacks_all_lack() {
        assert_eq!(mean(&[Reading::plain(0.25), Reading::plain(0.75)]), Reading::plain(0.5));
        let lacks = Reading::NoData { why: "nothing".into() };
        assert_eq!(mean(&[Reading::plain(0.25), lacks.clone()]), lacks);
    }
}
