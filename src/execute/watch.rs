//! Watching the new version under rules, tick by tick, on a fixed cadence: what is read beside each other, what is judged, and
//! what ends the watch. Reads only; what to think of a sample is the gate's.

use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, timeout};

use super::{Execution, Hands, Happening, HttpResult, instances, millis, traffic};
use crate::{
    azure::{container_groups, traffic_manager},
    config::Rule,
    domain::MetricName,
    failure::{Failure, FailureKind},
    gate::{self, Conclusion, Gate, Reading, Sample, Settings, Subject},
    observe::{Instance, Profile},
    plan::Side,
};

/// The longest that one look at Azure may take: it must be over before the next tick.
const LOOK: Duration = Duration::from_secs(5);

/// What is watched, and for how long.
pub(super) struct Watch<'a> {
    /// What is judged.
    pub(super) on: &'a Side,
    /// What stands by.
    pub(super) beside: Option<&'a Side>,
    /// How long.
    pub(super) duration: Duration,
    /// From tick to tick.
    pub(super) every: Duration,
    /// Under which rules.
    pub(super) rules: &'a [Rule],
}

/// What Azure showed at a tick; `None`: it did not say in time.
struct Looked {
    instance: Option<Option<Instance>>,
    profile: Option<Option<Profile>>,
}

/// Watches until the time is over, a rule trips, or the world is not what it was.
///
/// # Errors
/// `Breach` when a rule trips, `NoEvidence` when at the end something was never shown, the instance's own failure when it
/// crashed or is gone, `Interfered` or `Superseded` when somebody changed the traffic.
pub(super) async fn observe(index: usize, watch: &Watch<'_>, hands: &mut Hands, execution: &Execution<'_>) -> Result<(), Failure> {
    for side in [Some(watch.on), watch.beside].into_iter().flatten() {
        hands.learn(side, execution).await?;
    }
    if let Some(sources) = &mut hands.sources {
        sources.begin();
    }
    let settings = Settings::of(execution.metrics);
    let mut gate = Gate::new(watch.rules, settings);
    let of = ticks(watch.duration, watch.every);
    execution.emitter.emit(Happening::WatchStarted { step: index, rules: watch.rules.to_vec(), settings });
    let begun = Instant::now();
    let mut clock = tokio::time::interval_at(begun + watch.every, watch.every);
    // A tick that is late does not move those after it: 50 minutes later the cadence is still the same.
    clock.set_missed_tick_behavior(MissedTickBehavior::Skip);
    for tick in 1..=of {
        clock.tick().await;
        let (samples, standby, looked) = read(watch, hands, execution).await;
        hands.note_standby(standby.as_ref());
        let judgements = gate.judge(&samples);
        let tripped = judgements.iter().find(|judgement| judgement.trips()).map(ToString::to_string);
        execution.emitter.emit(Happening::Tick { step: index, tick, of, after_ms: millis(begun.elapsed()), samples, judgements, standby });
        if let Some(Some(now)) = &looked.profile
            && let Some(before) = &hands.profile
        {
            traffic::unchanged(before, now, execution)?;
        }
        judge_instance(watch.on, looked.instance, hands, execution, index)?;
        if let Some(tripped) = tripped {
            return Err(breach(watch.on, &tripped, execution));
        }
    }
    match gate.conclude() {
        Conclusion::Passed => Ok(()),
        Conclusion::Tripped { judgement, .. } => Err(breach(watch.on, &judgement.to_string(), execution)),
        Conclusion::Held { lacking } => Err(no_evidence(watch, &lacking, execution)),
    }
}

/// How many ticks there are in `duration`: at least one.
fn ticks(duration: Duration, every: Duration) -> u32 {
    let whole = duration.as_millis().checked_div(every.as_millis()).unwrap_or(1);
    u32::try_from(whole).unwrap_or(u32::MAX).max(1)
}

/// Everything that a tick reads, beside each other: nothing slow delays anything else, and all of it is over before the next.
async fn read(watch: &Watch<'_>, hands: &mut Hands, execution: &Execution<'_>) -> (Vec<Sample>, Option<HttpResult>, Looked) {
    let environment = execution.environment;
    let group = environment.resource_group.as_str();
    let limit = watch.every.min(LOOK).max(Duration::from_millis(100));
    let target = |side: Option<&Side>| side.and_then(|side| traffic::address(&side.instance, hands, execution));
    let (new, old) = (target(Some(watch.on)), target(watch.beside));
    let name = hands.profile.as_ref().map_or_else(String::new, |profile| profile.name.clone());
    let instance = async { timeout(limit, container_groups::get(execution.azure, group, &watch.on.instance)).await.ok()?.ok() };
    let profile = async { timeout(limit, traffic_manager::get(execution.azure, group, &name)).await.ok()?.ok() };
    let health = |target: Option<gate::Target>| async move {
        match target {
            Some(target) => Some(traffic::health(&target, execution).await),
            None => None,
        }
    };
    let (asks_new, asks_old) = (health(new.clone()), health(old.clone()));
    let metrics = async {
        match &mut hands.sources {
            Some(sources) => sources.read(watch.rules, new.as_slice(), old.as_slice()).await,
            None => Vec::new(),
        }
    };
    let (mut samples, fresh, standby, instance, profile) = tokio::join!(metrics, asks_new, asks_old, instance, profile);
    samples.extend(own(watch, fresh.as_ref(), instance.as_ref()));
    (samples, standby, Looked { instance, profile })
}

/// The samples that the executor itself takes: the health path, and Azure's count of restarts.
fn own(watch: &Watch<'_>, health: Option<&HttpResult>, instance: Option<&Option<Instance>>) -> Vec<Sample> {
    let asked = |metric: &str| watch.rules.iter().map(|rule| &rule.metric).find(|name| name.as_str() == metric).cloned();
    let sample =
        |metric: MetricName, reading, query: String, took_ms| Sample { metric, subject: Subject::New, over: None, reading, query, took_ms };
    let mut samples = Vec::new();
    if let Some(metric) = asked("health") {
        let (reading, took_ms) = match health {
            Some(answer) if answer.is_good() => (Reading::healthy(), answer.latency_ms),
            Some(answer) => (Reading::unhealthy(), answer.latency_ms),
            None => (Reading::Failed { why: "the instance has no address".into() }, 0),
        };
        samples.push(sample(metric, reading, format!("health path of {}", watch.on.instance), took_ms));
    }
    if let Some(metric) = asked("restarts") {
        let restarts =
            instance.and_then(Option::as_ref).and_then(|instance| instance.container.as_ref()).map(|container| container.restarts);
        let reading = match restarts {
            Some(restarts) => Reading::plain(f64::from(restarts)),
            None => Reading::Failed { why: "Azure did not say how often the container was restarted".into() },
        };
        samples.push(sample(metric, reading, format!("restart count of {}", watch.on.instance), 0));
    }
    samples
}

/// What Azure says of the instance ends the watch when it is clearly bad; that Azure did not answer does not.
fn judge_instance(
    on: &Side,
    looked: Option<Option<Instance>>,
    hands: &mut Hands,
    execution: &Execution<'_>,
    index: usize,
) -> Result<(), Failure> {
    let environment = execution.environment;
    match looked {
        None => Ok(()),
        Some(None) => Err(instances::vanished(&on.instance, environment)),
        Some(Some(instance)) => {
            hands.see(&instance);
            instances::superseded(&instance, execution)?;
            match hands.watcher.look(index, &instance, execution.emitter) {
                Some(symptom) => Err(instances::unwell(&symptom, &on.instance, environment)),
                None => Ok(()),
            }
        }
    }
}

fn breach(on: &Side, why: &str, execution: &Execution<'_>) -> Failure {
    let environment = execution.environment;
    Failure::new(
        FailureKind::Breach,
        format!("{} broke a rule while it was watched: {why}", on.instance),
        instances::resource(environment, &on.instance),
    )
}

fn no_evidence(watch: &Watch<'_>, lacking: &[String], execution: &Execution<'_>) -> Failure {
    let environment = execution.environment;
    let what =
        format!("{} was watched to the end, and there is too little evidence to trust it: {}", watch.on.instance, lacking.join("; "));
    let beside = watch.beside.map_or_else(String::new, |beside| format!(", and {} stands by", beside.instance));
    Failure::new(FailureKind::NoEvidence, what, instances::resource(environment, &watch.on.instance))
        .meaning(format!("people stay on {}{beside}: no data is no good news, and a person must decide", watch.on.instance))
        .next("trust it: `command: promote`, or go back: `command: rollback`; running the workflow again watches once more")
        .next("where too little traffic is usual, lower `metrics.min-requests` or set `metrics.no-data: ignore`")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thirty_minutes_are_180_ticks() {
        assert_eq!(ticks(Duration::from_secs(1800), Duration::from_secs(10)), 180);
        assert_eq!(ticks(Duration::from_secs(5), Duration::from_secs(10)), 1);
        assert_eq!(ticks(Duration::from_secs(1), Duration::ZERO), 1);
    }
}
