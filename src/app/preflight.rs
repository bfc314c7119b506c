//! Reading what the checklist before a release is judged on: GitHub, staging, production, all at once. Sends no request that changes
//! anything; judges nothing.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use tokio::time::{Instant, MissedTickBehavior};

use super::{Session, carry_out::Asked, prepare::Prepared, wiring};
use crate::{
    azure::{ResourceManager, container_groups},
    config::{Approvals, Bound, Canary, Config, Environment, MetricKind, MetricsSource, Preflight, Quantity, Rule, Source},
    domain::{InstanceName, MetricName, ReleaseVersion, Sha, Slot, Strategy},
    execute::{Emitter, Happening},
    failure::Failure,
    gate::{self, Gate, Reading, Sample, Settings, Subject, Symptom, Target, Verdict},
    github::{
        self, approvals, check_runs, code_scanning, commit_statuses,
        lock::{self, LockInfo, Reading as LockReading},
        refs,
        runs::{self, RunId, RunState},
    },
    observe::{
        EndpointState, Instance, Observed, Profile,
        preflight::{Facts, Found, Judged, Live, Lock, Measured, Passed, Release, Running, Said, Staging, Tag, Traffic},
    },
    plan::preflight::{self, Checklist},
    request::Deploy,
};

/// Ticks beside the window within which a rule must have been read: a rate by the instances' own pages needs a whole window.
const TICKS: u32 = 3;

/// Looks at a server that knows the rates itself: a second one for an answer that was lost.
const LOOKS: u32 = 2;

/// What a checklist is gone through for.
#[derive(Clone, Copy)]
pub(super) struct Applies<'a> {
    canary: &'a Canary,
    asked: &'a Preflight,
    deploy: &'a Deploy,
}

/// The checklist of what is asked; `None`: there is none, or it is off.
pub(super) fn asked_for<'a>(environment: &'a Environment, asked: &'a Asked) -> Option<Applies<'a>> {
    let (Some(canary), Asked::Deploy(deploy)) = (&environment.canary, asked) else { return None };
    Some(Applies { canary, asked: canary.preflight.as_ref()?, deploy })
}

/// The same, where a release begins by it: what changes nothing needs none, and what goes on has passed it when it began.
pub(super) fn applies<'a>(environment: &'a Environment, asked: &'a Asked, prepared: &Prepared) -> Option<Applies<'a>> {
    let begins = |applies: &Applies<'_>| prepared.plan.changes_anything() && !goes_on(applies.canary, prepared);
    asked_for(environment, asked).filter(begins)
}

/// Whether the very image that is asked for is on its way already: in the candidate, by a rollout that did not end.
fn goes_on(canary: &Canary, prepared: &Prepared) -> bool {
    let Some(image) = &prepared.image else { return false };
    prepared.observed.instance(&canary.canary).is_some_and(|candidate| {
        candidate.tags.rollout.is_some()
            && candidate.tags.version.as_ref() == Some(&image.version)
            && candidate.tags.digest.as_ref() == Some(&image.digest)
    })
}

/// Why the version is refused where there is no checklist to say so: what runs there is newer.
pub(super) fn older(environment: &Environment, asked: &Asked, observed: &Observed) -> Option<Failure> {
    let (Some(canary), Asked::Deploy(deploy)) = (&environment.canary, asked) else { return None };
    let running = canary.stable.iter().filter_map(|name| observed.instance(name)?.tags.version.as_ref());
    preflight::older(&deploy.version, running, environment.name.as_str())
}

/// Goes through the checklist, and tells the reports. Gives why the release is refused, if it is.
pub(super) async fn go_through(
    session: &Session,
    config: &Config,
    environment: &Environment,
    Applies { canary, asked, deploy }: Applies<'_>,
    prepared: &Prepared,
    emitter: &Emitter,
) -> (Checklist, Option<Failure>) {
    let reading = Reader { session, config, environment, canary, asked, deploy, prepared };
    let facts = reading.facts().await;
    let checklist = preflight::checklist(asked, &facts);
    let refusal = checklist.refusal(deploy.version.as_str(), environment.name.as_str(), asked);
    emitter.emit(Happening::Preflight { asked: Box::new(asked.clone()), facts: Box::new(facts), checklist: checklist.clone() });
    (checklist, refusal)
}

/// What reading needs.
struct Reader<'a> {
    session: &'a Session,
    config: &'a Config,
    environment: &'a Environment,
    canary: &'a Canary,
    asked: &'a Preflight,
    deploy: &'a Deploy,
    prepared: &'a Prepared,
}

/// Why nothing that GitHub knows is known.
const NO_TOKEN: &str = "there is no github-token, or no GITHUB_REPOSITORY";

fn no_token<T>() -> Found<T> {
    Found::Unknown { why: NO_TOKEN.into() }
}

impl Reader<'_> {
    async fn facts(&self) -> Facts {
        let client = self.session.github();
        let name = self.tag_name();
        let tag = match &client {
            Some(client) => Found::of(refs::tag(client, &name).await),
            None => no_token(),
        };
        let sha = self.deploy.sha.clone().or_else(|| match &tag {
            Found::Known { value: Tag { commit, .. } } => Some(commit.clone()),
            Found::Unknown { .. } | Found::Absent { .. } => None,
        });
        let release = Release {
            version: self.deploy.version.clone(),
            tag: name,
            sha: sha.clone(),
            digest: self.prepared.image.as_ref().map(|image| image.digest.clone()),
            repository_url: self.session.runner.commit_url("").map(|url| url.trim_end_matches("/commit/").to_owned()),
        };
        let (ancestry, checks, alerts, said, lock, staging, (production, rules)) = tokio::join!(
            self.of_commit(client.as_ref(), sha.as_ref(), async |client, sha| {
                match &self.asked.checks {
                    Some(checks) => Found::of(refs::ancestry(client, &checks.branch, sha).await),
                    None => off(),
                }
            }),
            self.of_commit(client.as_ref(), sha.as_ref(), async |client, sha| {
                match &self.asked.checks {
                    Some(checks) if !checks.required.is_empty() => Found::of(check_runs::latest(client, sha).await),
                    Some(_) | None => off(),
                }
            }),
            self.alerts(client.as_ref()),
            self.of_commit(client.as_ref(), sha.as_ref(), async |client, sha| {
                match &self.asked.approvals {
                    Some(approvals) => self.said(client, sha, approvals).await,
                    None => off(),
                }
            }),
            self.lock(client.as_ref()),
            self.staging(client.as_ref(), sha.as_ref()),
            self.production(),
        );
        Facts { now: Timestamp::now(), release, tag, ancestry, checks, alerts, staging, production, lock, rules, said }
    }

    /// The git tag that the version was made from: the environment's `tag` says what stands around it.
    fn tag_name(&self) -> String {
        let version = self.deploy.version.as_str();
        let around = self.environment.tag.split_once("{version}");
        let name = around.and_then(|(before, after)| version.strip_prefix(before)?.strip_suffix(after));
        name.unwrap_or(version).to_owned()
    }

    /// What is asked of a commit, where it is known and there is somebody to ask.
    async fn of_commit<T>(
        &self,
        client: Option<&github::Client>,
        sha: Option<&Sha>,
        ask: impl AsyncFnOnce(&github::Client, &Sha) -> Found<T>,
    ) -> Found<T> {
        match (client, sha) {
            (None, _) => no_token(),
            (Some(_), None) => Found::Unknown { why: format!("the commit of {} is not known", self.deploy.version) },
            (Some(client), Some(sha)) => ask(client, sha).await,
        }
    }

    async fn alerts(&self, client: Option<&github::Client>) -> Found<Vec<crate::observe::preflight::Alert>> {
        let branch = self.asked.checks.as_ref().map_or("main", |checks| checks.branch.as_str());
        match (client, &self.asked.code_scanning) {
            (_, None) => off(),
            (None, Some(_)) => no_token(),
            (Some(client), Some(_)) => code_scanning::open(client, branch).await,
        }
    }

    async fn said(&self, client: &github::Client, sha: &Sha, approvals: &Approvals) -> Found<Said> {
        let commit_url = self.session.runner.commit_url(sha.as_str());
        let run = self.session.runner.run_and_attempt().map(|(run, _)| RunId(run));
        let version: Option<ReleaseVersion> = self.tag_name().parse().ok();
        let question = approvals::Question {
            environment: &self.environment.name,
            sha,
            run,
            approvals,
            commit_url: commit_url.as_deref(),
            version: version.as_ref(),
            digest: self.prepared.image.as_ref().map(|image| &image.digest),
        };
        Found::of(approvals::read(client, &question).await)
    }

    async fn lock(&self, client: Option<&github::Client>) -> Found<Lock> {
        let Some(client) = client else { return no_token() };
        let by = match lock::read(client, &self.environment.name).await {
            Ok(LockReading::Free) => return Found::Known { value: Lock::Free },
            Ok(LockReading::Unreadable) => return Found::Known { value: Lock::Unreadable },
            Ok(LockReading::Held(by)) => by,
            Err(error) => return Found::Unknown { why: error.to_string() },
        };
        let LockInfo { run, url, command, rollout, .. } = *by;
        let own = self.session.runner.run_and_attempt().map(|(run, _)| RunId(run));
        let taken = |by: String| Found::Known { value: Lock::Taken { by, command } };
        let Some(run) = run else { return taken(format!("rollout {rollout}")) };
        if own == Some(run) {
            return Found::Known { value: Lock::Ours };
        }
        match runs::get(client, run).await {
            Ok(RunState::Completed) => Found::Known { value: Lock::Free },
            Ok(RunState::Underway { .. } | RunState::Hidden) => taken(url.unwrap_or_else(|| format!("run {run}"))),
            Err(error) => Found::Unknown { why: error.to_string() },
        }
    }

    // ---- production ---------------------------------------------------------------------------------------------------

    async fn production(&self) -> (Vec<Running>, Vec<Measured>) {
        let observed = &self.prepared.observed;
        let there: Vec<&Instance> = self.canary.stable.iter().filter_map(|name| observed.instance(name)).collect();
        let running = there.iter().map(|instance| self.running(instance, observed.profile.as_ref()));
        let running = futures::future::join_all(running).await;
        let serving: Vec<Target> = there
            .iter()
            .zip(&running)
            .filter(|(_, running)| running.traffic == Traffic::Serving)
            .filter_map(|(instance, _)| self.target(self.environment, instance))
            .collect();
        let known = [
            known("health", Some(if running.iter().all(is_well) { Reading::healthy() } else { Reading::unhealthy() })),
            known(
                "restarts",
                there
                    .iter()
                    .filter_map(|instance| instance.container.as_ref())
                    .map(|container| container.restarts)
                    .max()
                    .map(|most| Reading::plain(f64::from(most))),
            ),
        ];
        let known: Vec<Sample> = known.into_iter().flatten().collect();
        let rules = self.asked.rules.iter().map(|asked| async {
            let judged = match self.askable(&asked.rule, asked.source) {
                Err(why) => Found::Absent { why },
                Ok(()) if serving.is_empty() => Found::Unknown { why: "no stable instance serves".into() },
                Ok(()) => self.measure(&asked.rule, self.environment, &serving, &known).await,
            };
            Measured { metric: asked.rule.metric.clone(), judged }
        });
        let rules = futures::future::join_all(rules).await;
        (running, rules)
    }

    /// Whether there is somebody to ask for a rule's number: why not, where it is a default. What is written was checked before.
    fn askable(&self, rule: &Rule, source: Source) -> Result<(), String> {
        match source {
            Source::Written => Ok(()),
            Source::Default => {
                let given = wiring::given(self.config, &self.session.inputs);
                gate::check(std::slice::from_ref(rule), &given).map_err(|failure| failure.what)
            }
        }
    }

    async fn running(&self, instance: &Instance, profile: Option<&Profile>) -> Running {
        let endpoint = profile.and_then(|profile| profile.endpoint(instance.name.as_str()));
        let (port, path) = (self.environment.container.port, &self.environment.container.health);
        let url = instance.ip.as_ref().and_then(|ip| gate::address(ip, port, path).ok());
        let health = match url {
            Some(url) => Some(gate::get(&self.session.http, &url, self.environment.health.timeout).await),
            None => None,
        };
        Running {
            instance: instance.name.clone(),
            version: instance.tags.version.clone(),
            traffic: match endpoint.map(|endpoint| endpoint.state) {
                Some(EndpointState::Enabled) => Traffic::Serving,
                Some(EndpointState::Disabled) | None => Traffic::StandingBy,
            },
            symptom: gate::symptom(instance).map(|symptom| words(&symptom)),
            monitor: endpoint.map(|endpoint| endpoint.monitor.clone()),
            health,
        }
    }

    fn target(&self, environment: &Environment, instance: &Instance) -> Option<Target> {
        Some(Target { instance: instance.name.clone(), host: instance.ip.clone()?, port: environment.container.port })
    }

    /// What a rule says of `targets`: asked until it says yes or no, for as long as a rate needs. `known` is what no source has.
    async fn measure(&self, rule: &Rule, environment: &Environment, targets: &[Target], known: &[Sample]) -> Found<Judged> {
        let every = self.canary.abort.as_ref().map_or(self.environment.health.every, |abort| abort.every).max(Duration::from_millis(1));
        let mut sources = match wiring::sources(self.session, self.config, environment, Arc::clone(&self.prepared.azure), every) {
            Ok(sources) => sources,
            Err(failure) => return Found::Unknown { why: failure.what },
        };
        let metrics = self.config.metrics.as_ref();
        let window = metrics.map_or(Duration::ZERO, |metrics| metrics.window);
        let settings = Settings::of(metrics);
        let rules = std::slice::from_ref(rule);
        let mut gate = Gate::new(rules, settings);
        sources.begin();
        let looks = match metrics.map(|metrics| &metrics.source) {
            Some(MetricsSource::Prometheus(_)) | None => LOOKS,
            Some(MetricsSource::Scrape { .. }) => {
                let in_window = window.as_nanos().div_ceil(every.as_nanos().max(1));
                u32::try_from(in_window).unwrap_or(u32::MAX).saturating_add(TICKS)
            }
        };
        let end = Instant::now() + window + every * TICKS + PATIENCE;
        let mut clock = tokio::time::interval(every);
        clock.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let mut last = None;
        for _ in 0..looks {
            clock.tick().await;
            let mut samples = sources.read(rules, targets, &[]).await;
            samples.extend(known.iter().filter(|sample| sample.metric == rule.metric).cloned());
            let Some(judgement) = gate.judge(&samples).pop() else { break };
            let is_clear = matches!(judgement.verdict, Verdict::Pass | Verdict::Breach);
            last = Some(Judged { samples, settings, judgement });
            if is_clear || Instant::now() >= end {
                break;
            }
        }
        last.map_or_else(|| Found::Unknown { why: "no look was taken".into() }, |value| Found::Known { value })
    }

    // ---- staging ------------------------------------------------------------------------------------------------------

    async fn staging(&self, client: Option<&github::Client>, sha: Option<&Sha>) -> Option<Staging> {
        self.asked.staging_soak?;
        let environment = staging_of(self.config, self.environment)?;
        let context = format!("deploy/{}", environment.name);
        let history = self.of_commit(client, sha, async |client, sha| {
            Found::of(commit_statuses::list(client, sha).await.map(|all| {
                let of_it = all.into_iter().filter(|status| status.context == context);
                of_it.map(passed).collect()
            }))
        });
        let azure = &self.prepared.azure;
        let (found, history) = tokio::join!(live(environment, azure), history);
        let rule = Rule {
            metric: "latency-p99".parse().ok()?,
            bounds: vec![Bound::Max(Quantity::seconds(preflight::SLOWEST_STAGING_SECONDS))],
            consecutive: 1,
        };
        let latency = match &found {
            Found::Known { value: Some(instance) } if self.config.metrics.is_some() => {
                let targets: Vec<Target> = self.target(environment, instance).into_iter().collect();
                let judged = self.measure(&rule, environment, &targets, &[]).await;
                Some(Measured { metric: rule.metric.clone(), judged })
            }
            Found::Known { .. } | Found::Unknown { .. } | Found::Absent { .. } => None,
        };
        let live = match found {
            Found::Known { value } => Found::Known { value: value.map(described) },
            Found::Unknown { why } => Found::Unknown { why },
            Found::Absent { why } => Found::Absent { why },
        };
        Some(Staging { environment: environment.name.clone(), live, history, latency, watched_seconds: watched(environment) })
    }
}

/// How much longer than a window and some ticks a rule is asked for at most: an answer that does not come.
const PATIENCE: Duration = Duration::from_secs(10);

/// What is not asked for.
pub(super) fn off<T>() -> Found<T> {
    Found::Absent { why: "it is not asked for".into() }
}

/// A sample of what Azure and the health path say.
fn known(metric: &str, reading: Option<Reading>) -> Option<Sample> {
    let metric: MetricName = metric.parse().ok()?;
    debug_assert!(matches!(MetricKind::of(&metric), MetricKind::Health | MetricKind::Restarts));
    let query = "as the instances were found".to_owned();
    Some(Sample { metric, subject: Subject::New, over: None, reading: reading?, query, took_ms: 0 })
}

fn is_well(running: &Running) -> bool {
    running.health.as_ref().is_some_and(crate::execute::HttpResult::is_good)
}

/// A symptom in words.
fn words(symptom: &Symptom) -> String {
    match symptom {
        Symptom::OutOfMemory => "it ran out of memory".into(),
        Symptom::CrashLoop { restarts, .. } => format!("it keeps crashing ({restarts} restarts)"),
        Symptom::Ended { exit_code } => {
            exit_code.map_or_else(|| "it has ended".into(), |code| format!("it has ended with exit code {code}"))
        }
        Symptom::ImagePull { message } => format!("its image cannot be pulled: {message}"),
        Symptom::Failed { state } => format!("Azure gave it up ({state})"),
    }
}

/// The environment that stands for staging before `production`: the one of that name, else the only blue-green one.
pub(super) fn staging_of<'a>(config: &'a Config, production: &Environment) -> Option<&'a Environment> {
    let others = || config.environments.values().filter(|environment| environment.name != production.name);
    let named = others().find(|environment| environment.name.as_str() == "staging");
    let mut blue_green = others().filter(|environment| environment.strategy == Strategy::BlueGreen);
    named.or_else(|| blue_green.next().filter(|_| blue_green.next().is_none()))
}

/// The instance that people are sent to.
pub(super) async fn live(environment: &Environment, azure: &ResourceManager) -> Found<Option<Instance>> {
    let group = environment.resource_group.as_str();
    let instance =
        async |name: &InstanceName| Found::of(container_groups::get(azure, group, name).await.map_err(|error| Failure::from(error).what));
    let Some(blue_green) = &environment.blue_green else {
        let first = environment.canary.as_ref().and_then(|canary| canary.stable.first());
        return instance(first.unwrap_or(&environment.instance)).await;
    };
    let profile = match crate::azure::traffic_manager::get(azure, group, &blue_green.profile.name).await {
        Ok(Some(profile)) => profile,
        Ok(None) => return Found::Known { value: None },
        Err(error) => return Found::Unknown { why: Failure::from(error).what },
    };
    let on = Slot::BOTH
        .into_iter()
        .map(|slot| blue_green.slot(slot))
        .filter(|side| profile.endpoint(&side.endpoint).is_some_and(|endpoint| endpoint.state == EndpointState::Enabled));
    match on.collect::<Vec<_>>().as_slice() {
        [] => Found::Known { value: None },
        [side] => instance(&side.instance).await,
        _ => Found::Unknown { why: "people are sent to both slots".into() },
    }
}

pub(super) fn described(instance: Instance) -> Live {
    let symptom = gate::symptom(&instance).map(|symptom| words(&symptom));
    let Instance { name, container, tags, .. } = instance;
    Live {
        instance: name,
        version: tags.version.clone(),
        digest: tags.digest,
        role: tags.role,
        stable_since: tags.stable_since,
        held: tags.held,
        restarts: container.map_or(0, |container| container.restarts),
        symptom,
        run: tags.run,
    }
}

pub(super) fn passed(status: commit_statuses::Listed) -> Passed {
    Passed {
        state: status.state.word().to_owned(),
        description: status.description.unwrap_or_default(),
        at: status.created_at,
        link: status.target_url,
    }
}

/// The highest p99, in seconds, that staging's watch lets pass.
pub(super) fn watched(environment: &Environment) -> Option<f64> {
    let observe = environment.blue_green.as_ref()?.observe.as_ref()?;
    let bounds = observe.rules.iter().filter(|rule| MetricKind::of(&rule.metric) == MetricKind::LatencyP99).flat_map(|rule| &rule.bounds);
    let most = bounds.filter_map(|bound| match bound {
        Bound::Max(most) => Some(most.value),
        Bound::Min(_) | Bound::MaxOfBaseline(_) | Bound::MinOfBaseline(_) => None,
    });
    most.min_by(f64::total_cmp)
}
