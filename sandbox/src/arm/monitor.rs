//! Traffic Manager's monitor: probes the enabled endpoints of every profile, at the profile's interval on the world's clock.
//! Decides nothing about traffic; `profile` does, by what is found here.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use tokio::time::{Instant, timeout};

use super::{
    groups::Key,
    profile::{Check, Endpoint, Kind, Monitor, Probed},
};
use crate::{
    dns,
    fault::Fault,
    http::{self, Traffic},
    shared::{PATIENCE, Shared, lock},
};

/// Whom to probe, and when.
struct Due {
    profile: Key,
    kind: Kind,
    name: String,
    target: String,
    monitor: Monitor,
    at: Instant,
}

/// Probes for as long as the world lives.
pub(crate) async fn watch(shared: Arc<Shared>) {
    loop {
        let mut all = due(&shared);
        all.sort_by_key(|due| due.at);
        let Some(next) = all.into_iter().next() else {
            shared.profiles_changed.notified().await;
            continue;
        };
        tokio::select! {
            () = tokio::time::sleep_until(next.at) => {}
            () = shared.profiles_changed.notified() => continue,
        }
        let found = probe(&shared, &next).await;
        note(&shared, &next, found);
    }
}

/// Probes a profile's endpoints once, now: what was there before the world began has been probed already.
pub(crate) async fn catch_up(shared: &Shared, profile: &Key) {
    for due in due(shared).into_iter().filter(|due| due.profile == *profile) {
        let found = probe(shared, &due).await;
        note(shared, &due, found);
    }
}

fn note(shared: &Shared, due: &Due, found: Probed) {
    let mut azure = lock(&shared.azure);
    let profile = azure.profiles.get_mut(&due.profile);
    let endpoint = profile.and_then(|profile| profile.endpoints.iter_mut().find(|one| one.kind == due.kind && one.name == due.name));
    // It may have been disabled, sent elsewhere or deleted meanwhile.
    if let Some(endpoint) = endpoint.filter(|endpoint| endpoint.is_enabled() && endpoint.target() == due.target) {
        endpoint.probed(found, due.monitor.tolerated, interval(shared, &due.monitor));
    }
    drop(azure);
    shared.lives.send_modify(|count| *count += 1);
}

/// The endpoints that are probed; one that is new is probed after one interval.
fn due(shared: &Shared) -> Vec<Due> {
    let mut azure = lock(&shared.azure);
    let profiles = azure.profiles.iter_mut().filter(|(_, profile)| profile.is_enabled());
    profiles
        .flat_map(|(key, profile)| {
            let monitor = profile.monitor();
            let interval = interval(shared, &monitor);
            let watched = profile.endpoints.iter_mut().filter(|endpoint| endpoint.is_enabled() && !endpoint.always_serves());
            watched
                .map(|endpoint: &mut Endpoint| Due {
                    profile: key.clone(),
                    kind: endpoint.kind,
                    name: endpoint.name.clone(),
                    target: endpoint.target().to_owned(),
                    monitor: monitor.clone(),
                    at: *endpoint.due.get_or_insert_with(|| Instant::now() + interval),
                })
                .collect::<Vec<_>>()
        })
        .collect()
}

/// One probe. Whatever the profile's time-out, the answer may take [`PATIENCE`]: what cannot be reached here says so at once.
async fn probe(shared: &Shared, due: &Due) -> Probed {
    let Some(place) = dns::resolve(shared, &due.target) else { return Probed::Failed };
    if place.born.is_some_and(|born| shared.faults.hits(Fault::EndpointDegraded, born)) {
        return Probed::Failed;
    }
    let address = SocketAddr::from((place.ip, due.monitor.port));
    let asked = async {
        match &due.monitor.check {
            Check::Http(path) => http::get(address, path, Traffic::Monitor).await.is_ok_and(|answer| due.monitor.accepts(answer.status)),
            Check::Https => false,
            Check::Tcp => tokio::net::TcpStream::connect(address).await.is_ok(),
        }
    };
    match timeout(PATIENCE, asked).await {
        Ok(true) => Probed::Well,
        Ok(false) | Err(_) => Probed::Failed,
    }
}

/// On the world's clock; a moment at least, also where that stands still.
fn interval(shared: &Shared, monitor: &Monitor) -> Duration {
    shared.seconds(monitor.interval_seconds).max(Duration::from_millis(1))
}
