//! Steps on traffic: sending everyone to one endpoint, seeing that they arrive, and that nobody is left behind. One Traffic
//! Manager request a change (invariant 3); a change that a person made meanwhile is never fought.

use std::time::Duration;

use jiff::Timestamp;
use tokio::time::{Instant, MissedTickBehavior};

use super::{
    Arrived, Execution, Hands, Happening, HttpResult,
    hands::{Certainty, Direction},
    instances::during,
    millis,
};
use crate::{
    azure::{
        container_groups,
        traffic_manager::{self, Change, EndpointChange, NewProfile, Put, Traffic},
    },
    domain::{InstanceName, Share, Weight},
    failure::{Failure, FailureKind},
    gate,
    observe::{MonitorStatus, Profile, same_host},
    plan::{Aim, Side},
};

/// Requests of the last look that must arrive where people were sent for the switch to count as done.
pub(super) const ARRIVED: f64 = 0.95;

/// The longest time between two looks at arriving traffic.
pub(super) const LOOK: Duration = Duration::from_secs(5);

/// How a person finds the profile.
pub(super) fn resource(execution: &Execution<'_>, profile: &str) -> String {
    format!("Traffic Manager profile {}/{profile}", execution.environment.resource_group)
}

/// Sends everyone to `to`, in one request. Where `kept` is the profile as this run last saw it, nothing is read before: that is
/// how a rollback is one round trip.
pub(super) async fn switch(
    index: usize,
    to: &Side,
    from: Option<&Side>,
    hands: &mut Hands,
    execution: &Execution<'_>,
) -> Result<(), Failure> {
    let Some(profile) = hands.profile.clone() else {
        return Err(Failure::new(FailureKind::Internal, "the profile was not read before it was to be changed", "this run"));
    };
    let begun = Instant::now();
    let target = target(to, &profile, hands, execution).await?;
    if hands.certainty == Certainty::Unsure || !is_sent_to_alone(&profile, to) {
        let document = traffic_manager::changed(&profile, &change(to, target, &profile, hands, execution))?;
        hands.certainty = Certainty::Unsure;
        let group = &execution.environment.resource_group;
        let put = traffic_manager::put(execution.azure, group, &profile, &document).await.map_err(|error| during(error.into()))?;
        let now = settled(put, &profile.name, execution)?;
        if !is_sent_to_alone(&now, to) {
            let on: Vec<&str> = now.enabled().map(|endpoint| endpoint.name.as_str()).collect();
            let what = format!("people should be sent to {} alone, and the endpoints that are on are: {}", to.endpoint, on.join(", "));
            return Err(Failure::new(FailureKind::Interfered, what, resource(execution, &profile.name))
                .meaning("somebody else changed the traffic at the same moment")
                .next("find out who (Azure's activity log), then run the workflow again"));
        }
        hands.certainty = Certainty::Sure;
        hands.profile = Some(now);
        hands.leaves(from.map(|from| from.instance.clone()), std::slice::from_ref(&to.instance));
    }
    execution.emitter.emit(Happening::TrafficSwitched {
        step: index,
        to: to.clone(),
        from: from.cloned(),
        took_ms: millis(begun.elapsed()),
    });
    Ok(())
}

/// Makes the profile, sending everyone to `to`.
pub(super) async fn create(
    index: usize,
    name: &str,
    dns_name: &InstanceName,
    to: &Side,
    hands: &mut Hands,
    execution: &Execution<'_>,
) -> Result<(), Failure> {
    let begun = Instant::now();
    let environment = execution.environment;
    let fqdn = fqdn(&to.instance, hands, execution).await?;
    let change = Change {
        endpoints: vec![EndpointChange { name: to.endpoint.clone(), target: Some(fqdn), traffic: Traffic::On(Weight::FULL) }],
        rollout: Some(execution.plan.rollout.clone()),
        run: execution.run_url.map(str::to_owned),
        taken_back: None,
    };
    let wanted = NewProfile {
        dns_name: dns_name.as_str(),
        port: environment.container.port,
        health: &environment.container.health,
        change: &change,
    };
    let put =
        traffic_manager::create(execution.azure, &environment.resource_group, name, &wanted).await.map_err(|error| during(error.into()))?;
    hands.profile = Some(settled(put, name, execution)?);
    execution.emitter.emit(Happening::TrafficSwitched { step: index, to: to.clone(), from: None, took_ms: millis(begun.elapsed()) });
    Ok(())
}

/// Whether everyone is sent to `to`, and nobody elsewhere.
pub(super) fn is_sent_to_alone(profile: &Profile, to: &Side) -> bool {
    profile.enabled().count() == 1 && profile.enabled().all(|endpoint| endpoint.name.eq_ignore_ascii_case(&to.endpoint))
}

/// The profile after a write.
pub(super) fn settled(put: Put, name: &str, execution: &Execution<'_>) -> Result<Profile, Failure> {
    match put {
        Put::Done(profile) => Ok(profile),
        Put::Superseded(_) => Err(Failure::new(
            FailureKind::Interfered,
            format!("{name} is neither what it was nor what it was told to become: somebody else changed it at the same moment"),
            resource(execution, name),
        )
        .meaning("this run did not write it again: where traffic goes is what somebody else set")
        .next(format!("look at it: az network traffic-manager profile show -g {} -n {name}", execution.environment.resource_group))),
    }
}

/// Everyone to `to`: whatever else is on goes off, in the same request.
fn change(to: &Side, target: Option<String>, profile: &Profile, hands: &Hands, execution: &Execution<'_>) -> Change {
    let others = profile.enabled().filter(|endpoint| !endpoint.name.eq_ignore_ascii_case(&to.endpoint));
    let off = others.map(|endpoint| EndpointChange { name: endpoint.name.clone(), target: None, traffic: Traffic::Off });
    let on = EndpointChange { name: to.endpoint.clone(), target, traffic: Traffic::On(Weight::FULL) };
    Change {
        endpoints: std::iter::once(on).chain(off).collect(),
        rollout: Some(execution.plan.rollout.clone()),
        run: execution.run_url.map(str::to_owned),
        taken_back: taken_back(hands, execution),
    }
}

/// When people are taken back from a version, where a change of traffic now does that: written on the profile, so that a rollback
/// that is asked for beside one goes no further.
pub(super) fn taken_back(hands: &Hands, execution: &Execution<'_>) -> Option<Timestamp> {
    let is_back = match (hands.direction, execution.plan.aim) {
        (Direction::Back, _) | (_, Aim::RollBack | Aim::MakeSafe) => true,
        (Direction::Forward, Aim::Deploy | Aim::Promote | Aim::Finish) => false,
    };
    is_back.then(Timestamp::now)
}

/// The host that the endpoint of `to` must name: asked of Azure only where the endpoint does not name one yet.
async fn target(to: &Side, profile: &Profile, hands: &Hands, execution: &Execution<'_>) -> Result<Option<String>, Failure> {
    let known = hands.fqdns.get(&to.instance);
    match (profile.endpoint(&to.endpoint), known) {
        (Some(endpoint), Some(fqdn)) if same_host(&endpoint.target, fqdn) => Ok(None),
        (_, Some(fqdn)) => Ok(Some(fqdn.clone())),
        (Some(_), None) if hands.direction == Direction::Back => Ok(None),
        (_, None) => fqdn(&to.instance, hands, execution).await.map(Some),
    }
}

/// The instance's public name. Always read: Azure may add a hash to the label.
pub(super) async fn fqdn(instance: &InstanceName, hands: &Hands, execution: &Execution<'_>) -> Result<String, Failure> {
    if let Some(fqdn) = hands.fqdns.get(instance) {
        return Ok(fqdn.clone());
    }
    let group = &execution.environment.resource_group;
    let found = container_groups::get(execution.azure, group, instance).await.map_err(|error| during(error.into()))?;
    found.and_then(|found| found.fqdn).ok_or_else(|| {
        Failure::new(
            FailureKind::Traffic,
            format!("{instance} has no public name, so nobody can be sent to it"),
            format!("container group {group}/{instance}"),
        )
        .next("give it `container.ip: public` and no `subnets`; a container group in a virtual network cannot stand behind Traffic Manager")
    })
}

/// Refuses when an endpoint that is on sends people to `instance` (invariant 2). Without a profile there is nobody to send.
pub(super) async fn nobody_is_sent_to(instance: &InstanceName, execution: &Execution<'_>) -> Result<(), Failure> {
    let Some(name) = execution.environment.profile() else { return Ok(()) };
    let group = &execution.environment.resource_group;
    let (profile, found) =
        tokio::try_join!(traffic_manager::get(execution.azure, group, name), container_groups::get(execution.azure, group, instance))
            .map_err(|error| during(error.into()))?;
    let (Some(profile), Some(fqdn)) = (profile, found.and_then(|found| found.fqdn)) else { return Ok(()) };
    match profile.enabled().find(|endpoint| same_host(&endpoint.target, &fqdn)) {
        None => Ok(()),
        Some(endpoint) => Err(Failure::new(
            FailureKind::Interfered,
            format!("{instance} was to be deleted, and {} sends people to it", endpoint.name),
            resource(execution, &profile.name),
        )
        .meaning(format!("{instance} was left as it is, serving"))
        .next("find out who switched that endpoint on (Azure's activity log), then run the workflow again")),
    }
}

/// Notices what a person, or another run, changed in the profile since this run last saw or wrote it.
///
/// # Errors
/// `Interfered` when a person did, `Superseded` when another rollout did.
pub(super) fn unchanged(before: &Profile, now: &Profile, execution: &Execution<'_>) -> Result<(), Failure> {
    let changes = traffic_manager::differs(before, now);
    if changes.is_empty() {
        return Ok(());
    }
    let by_rollout = now.tags.rollout != before.tags.rollout;
    let rollout = now.tags.rollout.as_ref().map_or_else(|| "another rollout".to_owned(), |rollout| format!("rollout {rollout}"));
    let link = now.tags.run.as_deref().map_or_else(String::new, |run| format!(" ({run})"));
    let (kind, who) =
        if by_rollout { (FailureKind::Superseded, format!("{rollout}{link}")) } else { (FailureKind::Interfered, "somebody".to_owned()) };
    let failure =
        Failure::new(kind, format!("{who} changed the traffic during this run: {}", changes.join("; ")), resource(execution, &now.name));
    Err(if by_rollout {
        failure
            .meaning("this run stopped and changed nothing more; the other run says where traffic goes")
            .next("look at the other run; deploy again if this version is the one you want")
    } else {
        failure.meaning("this run stopped rather than fighting a person: traffic stays as it was set by hand, both instances run").next(
            format!("decide: `command: rollback` goes back to the version before, `command: promote` keeps {}", execution.plan.subject),
        )
    })
}

/// Where an instance is probed and read: its own address.
pub(super) fn address(instance: &InstanceName, hands: &Hands, execution: &Execution<'_>) -> Option<gate::Target> {
    let ip = hands.ips.get(instance)?;
    Some(gate::Target { instance: instance.clone(), host: ip.clone(), port: execution.environment.container.port })
}

/// Waits until requests arrive at `to` and hardly any at `from`: the profile's monitor says Online, the instances' own request
/// counters show the realised share, and the public address answers. Within the time to live plus a margin, or it failed.
pub(super) async fn verify(
    index: usize,
    to: &Side,
    from: Option<&Side>,
    hands: &mut Hands,
    execution: &Execution<'_>,
) -> Result<(), Failure> {
    let environment = execution.environment;
    let ttl = hands.profile.as_ref().map_or(0, |profile| profile.ttl_seconds);
    let limit = Duration::from_secs(ttl) + environment.margin();
    let begun = Instant::now();
    let mut ticks = tokio::time::interval_at(begun, environment.health.every.min(LOOK));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    hands.learn(&to.instance, execution).await?;
    if let Some(from) = from {
        hands.learn(&from.instance, execution).await?;
    }
    // When the requests that the next look counts began to come.
    let mut counted_since = begun;
    let last = loop {
        ticks.tick().await;
        let since = std::mem::replace(&mut counted_since, Instant::now());
        let arrived = look(to, from, hands, execution).await?;
        execution.emitter.emit(Happening::Arrival { step: index, after_ms: millis(begun.elapsed()), arrived: arrived.clone() });
        if has_arrived(&arrived, begun.elapsed() >= Duration::from_secs(ttl)) {
            return Ok(());
        }
        if is_last(begun.elapsed(), since.duration_since(begun), Duration::from_secs(ttl), limit) {
            break arrived;
        }
    };
    Err(not_arrived(to, limit, ttl, &last, hands, execution))
}

/// Whether no look follows one that ended `now` and counted what came from `since` on (both since the step began): the limit is
/// over, and so was the time to live before anything that it counted. A look that was slow to come still counts requests that were
/// rightly sent elsewhere.
fn is_last(now: Duration, since: Duration, ttl: Duration, limit: Duration) -> bool {
    now >= limit && since >= ttl
}

/// What one look at arriving traffic shows.
async fn look(to: &Side, from: Option<&Side>, hands: &mut Hands, execution: &Execution<'_>) -> Result<Arrived, Failure> {
    let environment = execution.environment;
    let timeout = environment.health.timeout;
    let name = hands.profile.as_ref().map_or_else(String::new, |profile| profile.name.clone());
    let public = async {
        let url = environment.url.as_ref()?.join(environment.container.health.trim_start_matches('/')).ok()?;
        Some(gate::get(execution.http, &url, timeout).await)
    };
    let profile = tokio::time::timeout(timeout, traffic_manager::get(execution.azure, &environment.resource_group, &name));
    let targets: Vec<gate::Target> =
        [Some(to), from].into_iter().flatten().filter_map(|side| address(&side.instance, hands, execution)).collect();
    let standby = async {
        match from.and_then(|from| address(&from.instance, hands, execution)) {
            Some(target) => Some(health(&target, execution).await),
            None => None,
        }
    };
    let (public, profile, standby) = tokio::join!(public, profile, standby);
    let counts = match &mut hands.sources {
        Some(sources) => sources.request_counts(&targets).await,
        None => Vec::new(),
    };
    hands.note_standby(standby.as_ref());
    let monitor = match profile {
        Ok(Ok(Some(now))) => {
            if let Some(before) = &hands.profile {
                unchanged(before, &now, execution)?;
            }
            now.endpoint(&to.endpoint).map(|endpoint| endpoint.monitor.clone())
        }
        // Azure does not say just now: the next look may.
        Ok(Ok(None) | Err(_)) | Err(_) => None,
    };
    let requests = |index: usize| counts.get(index).and_then(|count| count.realised.requests());
    let (new, old) = (requests(0), requests(1));
    let requests = new.map(|new| new + old.unwrap_or(0));
    let share = match (new, requests) {
        (Some(new), Some(all)) if all > 0 => share(new, all),
        _ => None,
    };
    Ok(Arrived { intended: Share::ALL, realised: share, requests, monitor, public })
}

/// `part` of `all` as a share.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "a ratio between 0 and 1")]
pub(super) fn share(part: u64, all: u64) -> Option<Share> {
    Share::from_ppm((part as f64 / all as f64 * 1e6).round() as u32)
}

/// Whether this look shows that people have arrived. Counters are the best evidence; where there are none, or nobody asks,
/// the monitor and the public address must be good and every old answer must have run out (`ttl_is_over`).
fn has_arrived(arrived: &Arrived, ttl_is_over: bool) -> bool {
    let monitored = matches!(arrived.monitor, Some(MonitorStatus::Online | MonitorStatus::Unmonitored));
    let answers = arrived.public.as_ref().is_none_or(HttpResult::is_good);
    let moved = match arrived.realised {
        Some(share) => share.ratio() >= ARRIVED,
        None => ttl_is_over,
    };
    monitored && answers && moved
}

fn not_arrived(to: &Side, limit: Duration, ttl: u64, last: &Arrived, hands: &Hands, execution: &Execution<'_>) -> Failure {
    let profile = hands.profile.as_ref().map_or("", |profile| profile.name.as_str());
    let (group, endpoint, instance) = (&execution.environment.resource_group, &to.endpoint, &to.instance);
    let why = match (&last.monitor, last) {
        (Some(MonitorStatus::Degraded), _) => format!(
            "Traffic Manager's own probes of {endpoint} fail (Degraded): what Azure sees from outside is not what this runner sees, a firewall \
             or network security group for one"
        ),
        (Some(MonitorStatus::CheckingEndpoint), _) => {
            format!("Traffic Manager has not finished its first probes of {endpoint} (CheckingEndpoint)")
        }
        (Some(MonitorStatus::Online | MonitorStatus::Unmonitored), Arrived { realised: Some(share), .. }) => format!(
            "only {share} of the requests arrive at {instance}: clients and resolvers keep old answers for longer than the {ttl} s that the \
             profile says, or reach the old instance by another way"
        ),
        (_, Arrived { public: Some(answer), .. }) if !answer.is_good() => {
            format!("the public address does not answer as it should: {}", super::instances::said(answer))
        }
        (Some(other), _) => format!("Traffic Manager says {other} of {endpoint}"),
        (None, _) => format!("Azure did not say how {endpoint} is doing"),
    };
    Failure::new(FailureKind::Traffic, format!("the switch to {} did not take effect within {} s: {why}", to.slot, limit.as_secs()), resource(execution, profile))
        .next(format!("look at the endpoint: az network traffic-manager endpoint show -g {group} --profile-name {profile} -n {endpoint} --type externalEndpoints"))
        .next(format!("check that {instance} can be reached from outside at its public name and port (firewall, NSG)"))
}

/// One probe of the health path.
pub(super) async fn health(target: &gate::Target, execution: &Execution<'_>) -> HttpResult {
    let environment = execution.environment;
    match gate::address(&target.host, target.port, &environment.container.health) {
        Ok(url) => gate::get(execution.http, &url, environment.health.timeout).await,
        Err(error) => HttpResult { status: None, error: Some(error.to_string()), latency_ms: 0, excerpt: String::new() },
    }
}

/// Waits until hardly anybody is left at `from`: their own counters stand still, or every answer that sent people there has run
/// out. Never fails: what is left after the time to live and a margin is said, and is nobody that a longer wait would move.
pub(super) async fn drain(index: usize, from: &[InstanceName], hands: &mut Hands, execution: &Execution<'_>) {
    let environment = execution.environment;
    let ttl = Duration::from_secs(hands.profile.as_ref().map_or(0, |profile| profile.ttl_seconds));
    let begun = Instant::now();
    // Whoever was told the old answer just before the change keeps it for the time to live from then on. What this run sent
    // nobody away from had lost its share when the world was read, at the latest.
    let since = from.iter().map(|instance| hands.left.get(instance).copied().unwrap_or(hands.read)).max().unwrap_or(begun);
    let mut ticks = tokio::time::interval_at(begun, environment.health.every.min(LOOK));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    for instance in from {
        if hands.learn(instance, execution).await.is_err() {
            // It is gone or Azure does not say where it is: there is nothing to count.
        }
    }
    let mut left: Vec<Option<u64>> = vec![None; from.len()];
    let mut first = true;
    while first || since.elapsed() < ttl + environment.margin() {
        ticks.tick().await;
        left = counted(from, hands, execution).await;
        // The first count says what came before the switch. Standing still for one look is not enough while resolvers may
        // still hold the old answer: an instance that nobody asks this second is asked the next.
        if since.elapsed() >= ttl && left.iter().all(|left| matches!(left, Some(0) | None)) && !first {
            break;
        }
        first = false;
    }
    for (instance, left) in from.iter().zip(left) {
        let after_ms = millis(begun.elapsed());
        execution.emitter.emit(Happening::Drained { step: index, from: instance.clone(), after_ms, left });
    }
}

/// Requests at each of `instances` since the look before, where they could be counted.
pub(super) async fn counted(instances: &[InstanceName], hands: &mut Hands, execution: &Execution<'_>) -> Vec<Option<u64>> {
    let targets: Vec<Option<gate::Target>> = instances.iter().map(|instance| address(instance, hands, execution)).collect();
    let known: Vec<gate::Target> = targets.iter().flatten().cloned().collect();
    let counts = match &mut hands.sources {
        Some(sources) if !known.is_empty() => sources.request_counts(&known).await,
        Some(_) | None => Vec::new(),
    };
    let mut counts = counts.into_iter();
    targets.iter().map(|target| target.as_ref().and_then(|_| counts.next()).and_then(|count| count.realised.requests())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_look_that_counts_from_before_the_time_to_live_is_not_the_last() {
        let (ttl, limit) = (Duration::from_secs(10), Duration::from_secs(40));
        let is_last = |now, since| is_last(Duration::from_secs(now), Duration::from_secs(since), ttl, limit);
        assert!(!is_last(39, 34), "there is time left");
        assert!(is_last(40, 35));
        assert!(!is_last(60, 5), "it was slow, and counts those who still held the old answer");
        assert!(is_last(65, 60));
    }
}
