//! Watching the new version under rules, tick by tick, on a fixed cadence: what is read beside each other, what is judged, and
//! what ends the watch. Reads only; what to think of a sample is the gate's.

use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, timeout, timeout_at};

use super::{Execution, Hands, Happening, HttpResult, Until, instances, millis, shares, traffic};
use crate::{
    azure::{container_groups, traffic_manager},
    config::{NoData, Rule},
    domain::{InstanceName, MetricName, Share},
    failure::{Failure, FailureKind},
    gate::{self, Conclusion, Gate, Reading, Sample, Settings, Subject, Verdict},
    observe::{Instance, Profile},
    plan::StepBack,
};

/// The longest that one look at Azure may take: it must be over before the next tick.
const LOOK: Duration = Duration::from_secs(5);

/// However often it is looked, Azure has this long to answer.
const SHORTEST_LOOK: Duration = Duration::from_secs(1);

/// The shortest time before a tick that Azure is asked.
const SOON: Duration = Duration::from_millis(100);

/// The metric that Azure's look gives.
const RESTARTS: &str = "restarts";

/// Ticks beside the window within which a rule must have been read on what is trusted.
const BASELINE_TICKS: u32 = 6;

/// What is watched, and for how long.
pub(super) struct Watch<'a> {
    /// The instances that are judged.
    pub(super) on: &'a [InstanceName],
    /// What stands by, and what is compared with while it has a share.
    pub(super) beside: &'a [InstanceName],
    /// The judged version's share.
    pub(super) share: Share,
    /// How long.
    pub(super) duration: Duration,
    /// From tick to tick.
    pub(super) every: Duration,
    /// Under which rules.
    pub(super) rules: &'a [Rule],
    /// Under which rules of every phase.
    pub(super) abort: &'a [Rule],
    /// By how much it may be made longer where there is too little to judge by.
    pub(super) extension: Duration,
}

impl Watch<'_> {
    /// The instances in words.
    fn words(&self) -> String {
        self.on.iter().map(InstanceName::as_str).collect::<Vec<_>>().join(", ")
    }
}

/// Why a watch ended early.
pub(super) enum Ended {
    /// One of the rules of its own tripped.
    ByRule(Failure),
    /// Anything else: a rule of every phase, the instance, the traffic, want of evidence.
    Otherwise(Failure),
}

impl Ended {
    /// The failure.
    pub(super) fn failure(self) -> Failure {
        match self {
            Self::ByRule(failure) | Self::Otherwise(failure) => failure,
        }
    }
}

/// What Azure showed at a tick; `None`: it did not say in time.
struct Looked {
    instances: Vec<(InstanceName, Option<Option<Instance>>)>,
    profile: Option<Option<Profile>>,
}

/// Watches until the time is over, a rule trips, or the world is not what it was.
///
/// # Errors
/// `Breach` when a rule trips, `NoEvidence` when at the end something was never shown, the instance's own failure when it
/// crashed or is gone, `Interfered` or `Superseded` when somebody changed the traffic.
pub(super) async fn observe(index: usize, watch: &Watch<'_>, hands: &mut Hands, execution: &Execution<'_>) -> Result<(), Ended> {
    for instance in watch.on.iter().chain(watch.beside) {
        hands.learn(instance, execution).await.map_err(Ended::Otherwise)?;
    }
    if let Some(sources) = &mut hands.sources {
        sources.begin();
    }
    // The rules of every phase first: which of them tripped says what becomes of the version.
    let rules = [watch.abort, watch.rules].concat();
    let settings = Settings::of(execution.metrics);
    let mut gate = Gate::new(&rules, settings);
    let of = ticks(watch.duration, watch.every);
    execution.emitter.emit(Happening::WatchStarted { step: index, rules: rules.clone(), settings, until: Until::TheEnd });
    let most = if watch.extension.is_zero() { of } else { of + ticks(watch.extension, watch.every) };
    let begun = Instant::now();
    let mut cadence = Cadence::new(begun, watch.every);
    for tick in 1..=most {
        if tick > of {
            let Conclusion::Held { lacking } = gate.conclude() else { break };
            if tick == of + 1 {
                execution.emitter.emit(Happening::WatchExtended { step: index, most: most - of, lacking });
            }
        }
        // One that was added is the last until it is known that another must be.
        let of = of.max(tick);
        let due = cadence.next(Instant::now());
        tokio::time::sleep_until(due - cadence.lead()).await;
        let asked = Instant::now();
        let mut look = std::pin::pin!(look(watch, hands, execution));
        let mut looked = timeout_at(due, look.as_mut()).await.ok();
        if looked.is_some() {
            cadence.looked(asked.elapsed());
            tokio::time::sleep_until(due).await;
        }
        let Read { mut samples, fresh, standby } = {
            let mut reading = std::pin::pin!(read(watch, &rules, hands, execution));
            loop {
                tokio::select! {
                    biased;
                    read = reading.as_mut() => break read,
                    found = look.as_mut(), if looked.is_none() => looked = Some(found),
                }
            }
        };
        if looked.is_none() && rules.iter().any(|rule| rule.metric.as_str() == RESTARTS) {
            looked = Some(look.as_mut().await);
        }
        hands.note_standby(standby.as_ref());
        samples.extend(own(watch, &rules, &fresh, looked.as_ref()));
        let judgements = gate.judge(&samples);
        let tripped =
            judgements.iter().enumerate().find(|(_, judgement)| judgement.trips()).map(|(at, judgement)| (at, judgement.to_string()));
        execution.emitter.emit(Happening::Tick { step: index, tick, of, after_ms: millis(begun.elapsed()), samples, judgements, standby });
        if looked.is_none() && tripped.is_none() {
            looked = Some(look.as_mut().await);
            cadence.looked(asked.elapsed());
        }
        if let Some(looked) = looked {
            settle(looked, hands, execution, index)?;
        }
        if let Some((at, why)) = tripped {
            let failure = breach(watch, &why, execution);
            return Err(if at < watch.abort.len() { Ended::Otherwise(failure) } else { Ended::ByRule(failure) });
        }
    }
    match gate.conclude() {
        Conclusion::Passed => Ok(()),
        Conclusion::Tripped { judgement, .. } => Err(Ended::ByRule(breach(watch, &judgement.to_string(), execution))),
        Conclusion::Held { lacking } => Err(Ended::Otherwise(no_evidence(watch, &lacking, execution))),
    }
}

/// What Azure showed: a person's change of the traffic first, which is never fought, then what became of the instances.
fn settle(looked: Looked, hands: &mut Hands, execution: &Execution<'_>, index: usize) -> Result<(), Ended> {
    if let (Some(Some(now)), Some(before)) = (&looked.profile, &hands.profile) {
        traffic::unchanged(before, now, execution).map_err(Ended::Otherwise)?;
    }
    looked
        .instances
        .into_iter()
        .try_for_each(|(name, instance)| judge_instance(&name, instance, hands, execution, index).map_err(Ended::Otherwise))
}

/// When ticks are due, and how long before each Azure is asked: it should have answered when the numbers are there, so that a
/// breach is one round trip from safe traffic, and as late as that allows, so that what a person changed is seen.
struct Cadence {
    every: Duration,
    next: Instant,
    lead: Duration,
}

impl Cadence {
    fn new(begun: Instant, every: Duration) -> Self {
        Self { every, next: begun + every, lead: LOOK.min(every / 2) }
    }

    /// When the next tick is due. One that is late does not move those after it: 50 minutes later the cadence is still the same.
    fn next(&mut self, now: Instant) -> Instant {
        if self.next < now && !self.every.is_zero() {
            let late = (now - self.next).as_nanos().div_ceil(self.every.as_nanos());
            self.next += self.every * u32::try_from(late).unwrap_or(u32::MAX);
        }
        let due = self.next;
        self.next += self.every;
        due
    }

    /// How long before the next tick Azure is asked.
    const fn lead(&self) -> Duration {
        self.lead
    }

    /// Azure took this long: twice that is time enough. One slow answer is remembered for some ticks, as others follow it.
    fn looked(&mut self, took: Duration) {
        self.lead = (took * 2).max(self.lead * 3 / 4).max(SOON).min(LOOK).min(self.every / 2);
    }
}

/// A phase of a canary: held for its time and, where a rule of its own is broken and a smaller share was good, stepped back to
/// that share and watched there (runbook Scenario 3, Phase 2: "Rollback to 25%").
///
/// # Errors
/// As [`observe`]; `SteppedBack` after a step back that held: a person promotes it or takes it back.
pub(super) async fn phase(
    index: usize,
    watch: &Watch<'_>,
    step_back: Option<&StepBack>,
    hands: &mut Hands,
    execution: &Execution<'_>,
) -> Result<(), Failure> {
    let failure = match (observe(index, watch, hands, execution).await, step_back) {
        (Ok(()), _) => return Ok(()),
        (Err(ended), None) => return Err(ended.failure()),
        (Err(Ended::Otherwise(failure)), Some(_)) => return Err(failure),
        (Err(Ended::ByRule(failure)), Some(_)) => failure,
    };
    let Some(back) = step_back else { return Err(failure) };
    shares::shift(index, &back.to, hands, execution).await?;
    execution.emitter.emit(Happening::SteppedBack { step: index, failure: failure.clone(), share: back.share });
    shares::verify(index, &back.to, &execution.plan.subject, hands, execution).await?;
    let beside: Vec<InstanceName> =
        back.to.iter().map(|slice| slice.instance.clone()).filter(|instance| !watch.on.contains(instance)).collect();
    let again = Watch {
        on: watch.on,
        beside: &beside,
        share: back.share,
        duration: Duration::try_from_secs_f64(back.for_seconds).unwrap_or_default(),
        every: watch.every,
        rules: &back.rules,
        abort: watch.abort,
        extension: Duration::ZERO,
    };
    observe(index, &again, hands, execution).await.map_err(Ended::failure)?;
    Err(Failure::new(
        FailureKind::SteppedBack,
        format!("{}; it was taken back to {} and is well there", failure.what, back.share),
        failure.resource,
    )
    .meaning(format!("{} of people are on {}: a person must decide", back.share, execution.plan.subject))
    .next("go on: `command: promote`, or take it back: `command: rollback`"))
}

/// Reads `rules` on what is trusted until each has been judged once: what is red already, or has no numbers, could not judge a
/// new version (DESIGN "Contract: gates"). A rate needs a whole window to be read, and a few ticks more.
///
/// # Errors
/// `Breach` when a rule is broken by the stable instances themselves, or something could not be read.
pub(super) async fn baseline(
    index: usize,
    on: &[InstanceName],
    rules: &[Rule],
    hands: &mut Hands,
    execution: &Execution<'_>,
) -> Result<(), Failure> {
    let abort = execution.environment.canary.as_ref().and_then(|canary| canary.abort.as_ref()).map(|abort| abort.every);
    let every = abort.unwrap_or(execution.environment.health.every).max(Duration::from_millis(1));
    let window = execution.metrics.map_or(Duration::ZERO, |metrics| metrics.window);
    let watch = Watch {
        on,
        beside: &[],
        share: Share::ALL,
        duration: window + every * BASELINE_TICKS,
        every,
        rules,
        abort: &[],
        extension: Duration::ZERO,
    };
    for instance in on {
        hands.learn(instance, execution).await?;
    }
    if let Some(sources) = &mut hands.sources {
        sources.begin();
    }
    let settings = Settings::of(execution.metrics);
    let mut gate = Gate::new(rules, settings);
    let of = ticks(watch.duration, every);
    execution.emitter.emit(Happening::WatchStarted { step: index, rules: rules.to_vec(), settings, until: Until::EachPassedOnce });
    let mut good = vec![settings.no_data == NoData::Ignore; rules.len()];
    let begun = Instant::now();
    let mut clock = tokio::time::interval(every);
    clock.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut last = Vec::new();
    for tick in 1..=of {
        clock.tick().await;
        let looking = look(&watch, hands, execution).await;
        let Read { mut samples, fresh, standby } = read(&watch, rules, hands, execution).await;
        samples.extend(own(&watch, rules, &fresh, Some(&looking)));
        let judgements = gate.judge(&samples);
        last.clone_from(&judgements);
        execution.emitter.emit(Happening::Tick { step: index, tick, of, after_ms: millis(begun.elapsed()), samples, judgements, standby });
        if let Some(red) = last.iter().find(|judgement| judgement.trips()) {
            return Err(useless(format!("the version that serves breaks a rule already: {red}"), &watch, execution));
        }
        for (good, judgement) in good.iter_mut().zip(&last) {
            *good |= judgement.verdict == Verdict::Pass;
        }
        if good.iter().all(|good| *good) {
            return Ok(());
        }
    }
    let lacking: Vec<String> = last.iter().zip(&good).filter(|(_, good)| !**good).map(|(judgement, _)| judgement.to_string()).collect();
    Err(useless(
        format!("the rules have no good numbers for the version that serves, so they could judge no other: {}", lacking.join("; ")),
        &watch,
        execution,
    ))
}

/// Rules that could judge nothing.
fn useless(what: String, watch: &Watch<'_>, execution: &Execution<'_>) -> Failure {
    Failure::new(FailureKind::Breach, what, resource(watch, execution))
        .next("mend what it shows, or switch that rule off for this release; then run the workflow again")
}

/// How many ticks there are in `duration`: at least one.
fn ticks(duration: Duration, every: Duration) -> u32 {
    let whole = duration.as_millis().checked_div(every.as_millis()).unwrap_or(1);
    u32::try_from(whole).unwrap_or(u32::MAX).max(1)
}

/// What a tick reads of the instances themselves and of the sources of numbers.
struct Read {
    samples: Vec<Sample>,
    fresh: Vec<HttpResult>,
    standby: Option<HttpResult>,
}

/// Azure's word on the instances that are judged, and on the traffic: over before the next tick. Borrows nothing for longer than
/// it takes to begin.
fn look<'a>(watch: &'a Watch<'_>, hands: &Hands, execution: &'a Execution<'_>) -> impl Future<Output = Looked> + use<'a> {
    let group = execution.environment.resource_group.as_str();
    let limit = watch.every.clamp(SHORTEST_LOOK, LOOK);
    let name = hands.profile.as_ref().map_or_else(String::new, |profile| profile.name.clone());
    async move {
        let instances = futures::future::join_all(watch.on.iter().map(|instance| async move {
            let found = match timeout(limit, container_groups::get(execution.azure, group, instance)).await {
                Ok(Ok(found)) => Some(found),
                Ok(Err(_)) | Err(_) => None,
            };
            (instance.clone(), found)
        }));
        let profile = async { timeout(limit, traffic_manager::get(execution.azure, group, &name)).await.ok()?.ok() };
        let (instances, profile) = tokio::join!(instances, profile);
        Looked { instances, profile }
    }
}

/// Everything that a tick reads, beside each other: nothing slow delays anything else, and all of it is over before the next.
async fn read(watch: &Watch<'_>, rules: &[Rule], hands: &mut Hands, execution: &Execution<'_>) -> Read {
    let targets = |instances: &[InstanceName]| -> Vec<gate::Target> {
        instances.iter().filter_map(|instance| traffic::address(instance, hands, execution)).collect()
    };
    let (new, old) = (targets(watch.on), targets(watch.beside));
    // Who has no share answers nobody: there is nothing to compare with.
    let compared = if watch.share == Share::ALL { &[][..] } else { old.as_slice() };
    let fresh = futures::future::join_all(new.iter().map(|target| traffic::health(target, execution)));
    // One of those that stand by says enough of them: they run the same.
    let standby = async {
        match old.first() {
            Some(target) => Some(traffic::health(target, execution).await),
            None => None,
        }
    };
    let metrics = async {
        match &mut hands.sources {
            Some(sources) => sources.read(rules, &new, compared).await,
            None => Vec::new(),
        }
    };
    let (samples, fresh, standby) = tokio::join!(metrics, fresh, standby);
    Read { samples, fresh, standby }
}

/// The samples that the executor itself takes: the health path, and Azure's count of restarts, of each instance.
fn own(watch: &Watch<'_>, rules: &[Rule], health: &[HttpResult], looked: Option<&Looked>) -> Vec<Sample> {
    let asked = |metric: &str| rules.iter().map(|rule| &rule.metric).find(|name| name.as_str() == metric).cloned();
    let sample = |metric: &MetricName, reading, query: String, took_ms| Sample {
        metric: metric.clone(),
        subject: Subject::New,
        over: None,
        reading,
        query,
        took_ms,
    };
    let mut samples = Vec::new();
    if let Some(metric) = asked("health") {
        if health.is_empty() {
            let reading = Reading::Failed { why: "the instance has no address".into() };
            samples.push(sample(&metric, reading, format!("health path of {}", watch.words()), 0));
        }
        for (answer, instance) in health.iter().zip(watch.on) {
            let reading = if answer.is_good() { Reading::healthy() } else { Reading::unhealthy() };
            samples.push(sample(&metric, reading, format!("health path of {instance}"), answer.latency_ms));
        }
    }
    if let (Some(metric), Some(looked)) = (asked(RESTARTS), looked) {
        for (name, found) in &looked.instances {
            let container = found.as_ref().and_then(Option::as_ref).and_then(|instance| instance.container.as_ref());
            let reading = match container {
                Some(container) => Reading::plain(f64::from(container.restarts)),
                None => Reading::Failed { why: "Azure did not say how often the container was restarted".into() },
            };
            samples.push(sample(&metric, reading, format!("restart count of {name}"), 0));
        }
    }
    samples
}

/// What Azure says of the instance ends the watch when it is clearly bad; that Azure did not answer does not.
fn judge_instance(
    name: &InstanceName,
    looked: Option<Option<Instance>>,
    hands: &mut Hands,
    execution: &Execution<'_>,
    index: usize,
) -> Result<(), Failure> {
    let environment = execution.environment;
    match looked {
        None => Ok(()),
        Some(None) => Err(instances::vanished(name, environment)),
        Some(Some(instance)) => {
            hands.see(&instance);
            instances::superseded(&instance, execution)?;
            match hands.watcher.look(index, &instance, execution.emitter) {
                Some(symptom) => Err(instances::unwell(&symptom, name, environment)),
                None => Ok(()),
            }
        }
    }
}

fn resource(watch: &Watch<'_>, execution: &Execution<'_>) -> String {
    watch.on.first().map_or_else(String::new, |instance| instances::resource(execution.environment, instance))
}

fn breach(watch: &Watch<'_>, why: &str, execution: &Execution<'_>) -> Failure {
    Failure::new(FailureKind::Breach, format!("{} broke a rule while it was watched: {why}", watch.words()), resource(watch, execution))
}

fn no_evidence(watch: &Watch<'_>, lacking: &[String], execution: &Execution<'_>) -> Failure {
    let words = watch.words();
    let what = format!("{words} was watched to the end, and there is too little evidence to trust it: {}", lacking.join("; "));
    let beside = watch.beside.first().map_or_else(String::new, |beside| format!(", and {beside} stands by"));
    Failure::new(FailureKind::NoEvidence, what, resource(watch, execution))
        .meaning(format!("people stay on {words} ({}){beside}: no data is no good news, and a person must decide", watch.share))
        .next("trust it: `command: promote`, or go back: `command: rollback`; running the workflow again watches once more")
        .next("where too little traffic is usual, lower `metrics.min-requests` or set `metrics.no-data: ignore`")
}

#[cfg(test)]
mod tests;
