//! Steps on the shares of many instances: set in one Traffic Manager request (invariant 3), and seen to arrive.

use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, timeout};

use super::{
    Arrived, Execution, Hands, Happening, HttpResult,
    hands::{Certainty, Direction},
    instances::during,
    millis, traffic,
};
use crate::{
    azure::traffic_manager::{self, Change, EndpointChange, Traffic},
    domain::{self, InstanceName, Share, Weight},
    failure::{Failure, FailureKind},
    gate,
    observe::{EndpointState, MonitorStatus, Profile, same_host},
    plan::Slice,
};

/// The part of the intended share that must arrive before a phase's clock starts. Few requests and resolvers that keep answers
/// make real shares differ from intended ones; both are told.
const NEAR: f64 = 0.5;

/// Requests that the tried instance should have got by its share before it counts that it got none.
const EXPECTED: f64 = 10.0;

/// Gives each instance its share, in one request.
pub(super) async fn shift(index: usize, to: &[Slice], hands: &mut Hands, execution: &Execution<'_>) -> Result<(), Failure> {
    let Some(profile) = hands.profile.clone() else {
        return Err(Failure::new(FailureKind::Internal, "the profile was not read before it was to be changed", "this run"));
    };
    let begun = Instant::now();
    let asked: Vec<Share> = to.iter().map(|slice| slice.share).collect();
    let weights = domain::weights(&asked).map_err(|error| {
        Failure::new(FailureKind::Configuration, error.to_string(), traffic::resource(execution, &profile.name))
            .meaning("traffic stays where it is")
    })?;
    let is_told = traffic::taken_back(hands, execution).is_none() || profile.tags.taken_back.is_some();
    if hands.certainty == Certainty::Unsure || !is_so(&profile, to, &weights) || !is_told {
        let change = change(to, &weights, &profile, hands, execution).await?;
        let document = traffic_manager::changed(&profile, &change)?;
        hands.certainty = Certainty::Unsure;
        let group = &execution.environment.resource_group;
        let put = traffic_manager::put(execution.azure, group, &profile, &document).await.map_err(|error| during(error.into()))?;
        let now = traffic::settled(put, &profile.name, execution)?;
        if !is_so(&now, to, &weights) {
            return Err(Failure::new(
                FailureKind::Interfered,
                "the weights are not those that were just set",
                traffic::resource(execution, &now.name),
            )
            .meaning("somebody else changed the traffic at the same moment")
            .next("find out who (Azure's activity log), then run the workflow again"));
        }
        hands.certainty = Certainty::Sure;
        let away = profile.enabled().filter(|before| now.endpoint(&before.name).is_none_or(|after| after.state != EndpointState::Enabled));
        let from: Vec<InstanceName> = away.filter_map(|endpoint| endpoint.name.parse().ok()).collect();
        hands.leaves(from, &to.iter().map(|slice| slice.instance.clone()).collect::<Vec<_>>());
        hands.profile = Some(now);
    }
    let real = domain::shares(&weights);
    let to = to.iter().zip(real).map(|(slice, share)| Slice { instance: slice.instance.clone(), share }).collect();
    execution.emitter.emit(Happening::TrafficShared { step: index, to, took_ms: millis(begun.elapsed()) });
    Ok(())
}

/// Whether the profile gives just these shares.
pub(super) fn are_set(profile: &Profile, to: &[Slice]) -> bool {
    let asked: Vec<Share> = to.iter().map(|slice| slice.share).collect();
    domain::weights(&asked).is_ok_and(|weights| is_so(profile, to, &weights))
}

/// Whether the profile gives just these weights.
fn is_so(profile: &Profile, to: &[Slice], weights: &[Option<Weight>]) -> bool {
    let wanted = to.iter().zip(weights).filter_map(|(slice, weight)| Some((slice.instance.as_str(), (*weight)?)));
    let mut count = 0;
    let all = wanted.into_iter().all(|(name, weight)| {
        count += 1;
        profile.endpoint(name).is_some_and(|endpoint| endpoint.state == EndpointState::Enabled && endpoint.weight == weight)
    });
    all && profile.enabled().count() == count
}

async fn change(
    to: &[Slice],
    weights: &[Option<Weight>],
    profile: &Profile,
    hands: &Hands,
    execution: &Execution<'_>,
) -> Result<Change, Failure> {
    let mut endpoints = Vec::new();
    for (slice, weight) in to.iter().zip(weights) {
        let known = profile.endpoint(slice.instance.as_str());
        let target = match (known, hands.fqdns.get(&slice.instance)) {
            (Some(endpoint), Some(fqdn)) if same_host(&endpoint.target, fqdn) => None,
            (_, Some(fqdn)) => Some(fqdn.clone()),
            // On the way back every request that can be spared is.
            (Some(_), None) if hands.direction == Direction::Back => None,
            (_, None) => Some(traffic::fqdn(&slice.instance, hands, execution).await?),
        };
        endpoints.push(EndpointChange { name: slice.instance.to_string(), target, traffic: Traffic::from(*weight) });
    }
    let others = profile.enabled().filter(|endpoint| !to.iter().any(|slice| endpoint.name.eq_ignore_ascii_case(slice.instance.as_str())));
    endpoints.extend(others.map(|endpoint| EndpointChange { name: endpoint.name.clone(), target: None, traffic: Traffic::Off }));
    let taken_back = traffic::taken_back(hands, execution);
    Ok(Change { endpoints, rollout: Some(execution.plan.rollout.clone()), run: execution.run_url.map(str::to_owned), taken_back })
}

/// Waits until the share that arrives at `subject` is near the intended one, and no endpoint with a share is Degraded: within
/// the time to live plus a margin (DESIGN "Contract: gates").
///
/// # Errors
/// `Traffic` when an endpoint stays Degraded, or no request arrives where enough should have; `Interfered` or `Superseded` when
/// somebody changed the shares.
pub(super) async fn verify(
    index: usize,
    to: &[Slice],
    subject: &InstanceName,
    hands: &mut Hands,
    execution: &Execution<'_>,
) -> Result<(), Failure> {
    let environment = execution.environment;
    let ttl = Duration::from_secs(hands.profile.as_ref().map_or(0, |profile| profile.ttl_seconds));
    let limit = ttl + environment.margin();
    for slice in to {
        hands.learn(&slice.instance, execution).await?;
    }
    let intended = to.iter().find(|slice| slice.instance == *subject).map_or(Share::ZERO, |slice| slice.share);
    let begun = Instant::now();
    // What was counted until now came by the shares before.
    traffic::counted(&to.iter().map(|slice| slice.instance.clone()).collect::<Vec<_>>(), hands, execution).await;
    let every = environment.health.every.min(traffic::LOOK);
    let mut ticks = tokio::time::interval_at(begun + every, every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut seen = (0_u64, 0_u64);
    let (arrived, degraded) = loop {
        ticks.tick().await;
        let (arrived, subject_requests, degraded) = look(to, subject, intended, hands, execution).await?;
        seen.0 += subject_requests.unwrap_or(0);
        seen.1 += arrived.requests.unwrap_or(0);
        execution.emitter.emit(Happening::Arrival { step: index, after_ms: millis(begun.elapsed()), arrived: arrived.clone() });
        let is_near = match arrived.realised {
            Some(share) => share.ratio() >= intended.ratio() * if intended == Share::ALL { traffic::ARRIVED } else { NEAR },
            None => begun.elapsed() >= ttl,
        };
        let answers = arrived.public.as_ref().is_none_or(HttpResult::is_good);
        if is_near && degraded.is_none() && answers && is_probed(&arrived) {
            return Ok(());
        }
        if begun.elapsed() >= limit {
            break (arrived, degraded);
        }
    };
    let name = hands.profile.as_ref().map_or_else(String::new, |profile| profile.name.clone());
    let wrong = |what: String| {
        Failure::new(FailureKind::Traffic, what, traffic::resource(execution, &name)).next(format!(
            "look at the endpoints: az network traffic-manager endpoint list -g {} --profile-name {name}",
            environment.resource_group
        ))
    };
    if let Some(endpoint) = degraded {
        return Err(wrong(format!(
            "Traffic Manager's own probes of {endpoint} fail (Degraded): a firewall or network security group, for one"
        )));
    }
    if let Some(answer) = arrived.public.as_ref().filter(|answer| !answer.is_good()) {
        return Err(wrong(format!("the public address does not answer as it should: {}", super::instances::said(answer))));
    }
    // Counts of requests are far below 2^52.
    #[expect(clippy::cast_precision_loss, reason = "counts of requests")]
    let expected = seen.1 as f64 * intended.ratio();
    if seen.0 == 0 && expected >= EXPECTED {
        return Err(wrong(format!(
            "no request of {} arrived at {subject} within {} s, and about {expected:.0} should have: the change did not take effect",
            seen.1,
            limit.as_secs()
        )));
    }
    execution.emitter.emit(Happening::Warned {
        text: format!(
            "{subject} is meant to get {intended} and got {} so far: few people, or resolvers that keep old answers",
            arrived.realised.map_or_else(|| "none that could be counted".to_owned(), |share| share.to_string())
        ),
    });
    Ok(())
}

/// Whether Azure's probes say that the tried endpoint serves.
fn is_probed(arrived: &Arrived) -> bool {
    matches!(arrived.monitor, Some(MonitorStatus::Online | MonitorStatus::Unmonitored))
}

/// One look: what arrives, the requests at `subject`, and an endpoint with a share that is Degraded.
async fn look(
    to: &[Slice],
    subject: &InstanceName,
    intended: Share,
    hands: &mut Hands,
    execution: &Execution<'_>,
) -> Result<(Arrived, Option<u64>, Option<String>), Failure> {
    let environment = execution.environment;
    let limit = environment.health.timeout;
    let name = hands.profile.as_ref().map_or_else(String::new, |profile| profile.name.clone());
    let public = async {
        let url = environment.url.as_ref()?.join(environment.container.health.trim_start_matches('/')).ok()?;
        Some(gate::get(execution.http, &url, limit).await)
    };
    let profile = timeout(limit, traffic_manager::get(execution.azure, &environment.resource_group, &name));
    let (public, profile) = tokio::join!(public, profile);
    let targets: Vec<(&Slice, gate::Target)> =
        to.iter().filter_map(|slice| Some((slice, traffic::address(&slice.instance, hands, execution)?))).collect();
    let only: Vec<gate::Target> = targets.iter().map(|(_, target)| target.clone()).collect();
    let counts = match &mut hands.sources {
        Some(sources) => sources.request_counts(&only).await,
        None => Vec::new(),
    };
    let counted: Vec<(&InstanceName, Option<u64>)> =
        targets.iter().zip(&counts).map(|((slice, _), count)| (&slice.instance, count.realised.requests())).collect();
    let at_subject = counted.iter().find(|(instance, _)| *instance == subject).and_then(|(_, requests)| *requests);
    let all: Option<u64> = at_subject.map(|_| counted.iter().filter_map(|(_, requests)| *requests).sum());
    let realised = match (at_subject, all) {
        (Some(part), Some(all)) if all > 0 => traffic::share(part, all),
        _ => None,
    };
    let (monitor, degraded) = match profile {
        Ok(Ok(Some(now))) => {
            if let Some(before) = &hands.profile {
                traffic::unchanged(before, &now, execution)?;
            }
            let degraded = now.enabled().find(|endpoint| endpoint.monitor == MonitorStatus::Degraded).map(|endpoint| endpoint.name.clone());
            (now.endpoint(subject.as_str()).map(|endpoint| endpoint.monitor.clone()), degraded)
        }
        Ok(Ok(None) | Err(_)) | Err(_) => (None, None),
    };
    Ok((Arrived { intended, realised, requests: all, monitor, public }, at_subject, degraded))
}
