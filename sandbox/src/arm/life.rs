//! The life of a container group's container: pulled, created, started, and, with a fault, not quite.
//! Each life belongs to one generation of the group; once there is a newer one it changes nothing more.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use serde_json::{Value, json};

use super::groups::{Group, Key};
use crate::{
    fault::Fault,
    server::{self, Service},
    shared::{Shared, lock},
};

/// Crashes that are played: the Action gives up after the third restart, and a loop must have an end.
const CRASHES: u32 = 8;

/// Changes the group, if it is still in this life.
fn change(shared: &Shared, key: &Key, generation: u64, how: impl FnOnce(&mut Group)) {
    if let Some(group) = lock(&shared.azure).groups.get_mut(key).filter(|group| group.generation == generation) {
        how(group);
    }
    shared.lives.send_modify(|count| *count += 1);
}

/// Lives.
pub(crate) async fn live(shared: Arc<Shared>, key: Key, generation: u64) {
    let Some((image, born)) = lock(&shared.azure).groups.get(&key).map(|group| {
        let image = group.body.pointer("/properties/containers/0/properties/image").and_then(Value::as_str);
        (image.unwrap_or_default().to_owned(), group.born)
    }) else {
        return;
    };
    let third = shared.boot / 3;
    tokio::time::sleep(third).await;
    change(&shared, &key, generation, |group| {
        group.provisioning = "Creating";
        group.container.event("Pulling", "Normal", format!("pulling image \"{image}\""));
    });
    tokio::time::sleep(third).await;
    if shared.faults.hits(Fault::ImagePull, born) {
        return cannot_pull(&shared, &key, generation, &image).await;
    }
    change(&shared, &key, generation, |group| {
        group.container.event("Pulled", "Normal", format!("Successfully pulled image \"{image}\""));
        group.container.event("Created", "Normal", format!("Created container {}", key.name()));
    });
    tokio::time::sleep(third).await;
    for (fault, code, detail, last) in [
        (Fault::Oom, 137, "OOMKilled", "FATAL ERROR: Reached heap limit Allocation failed - JavaScript heap out of memory"),
        (Fault::CrashLoop, 1, "Error", "Error: connect ECONNREFUSED redis-dev:6379"),
    ] {
        if shared.faults.hits(fault, born) {
            return crash(&shared, &key, generation, code, detail, last).await;
        }
    }
    serve(&shared, &key, generation).await;
}

/// Starts the application: from now on it answers on its address.
async fn serve(shared: &Arc<Shared>, key: &Key, generation: u64) {
    let Some(address) = lock(&shared.azure).groups.get(key).map(|group| (group.ip, group.port())) else { return };
    let listener = match Shared::listen(address).await {
        Ok(listener) => listener,
        Err(error) => {
            change(shared, key, generation, |group| group.container.log(format!("cannot listen on {}:{}: {error}", address.0, address.1)));
            return;
        }
    };
    let Ok(running) = server::serve(shared, listener, None, Service::Instance(key.clone())) else { return };
    // Aborting this life's task drops the guard, and with it the listener.
    let _guard = StopOnDrop(running);
    change(shared, key, generation, |group| {
        start_event(group, key);
        group.container.log(format!("listening on {}:{}", address.0, address.1));
        group.container.current = json!({"state": "Running", "startTime": Timestamp::now().to_string(), "detailStatus": ""});
        group.provisioning = "Succeeded";
        group.state = "Running";
    });
    std::future::pending::<()>().await;
}

struct StopOnDrop(server::Listener);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.stop();
    }
}

fn start_event(group: &mut Group, key: &Key) {
    group.container.event("Started", "Normal", format!("Started container {}", key.name()));
}

/// The application ended, and was started again before anybody could notice: what it had counted is gone.
pub(crate) fn crashed(group: &mut Group, key: &Key) {
    if group.container.restarts >= CRASHES {
        return;
    }
    let now = Timestamp::now().to_string();
    group.container.log("Error: cannot enqueue after fatal error");
    group.container.previous = json!({"state": "Terminated", "exitCode": 1, "finishTime": now, "detailStatus": "Error"});
    group.container.current = json!({"state": "Running", "startTime": now, "detailStatus": ""});
    group.container.event("BackOff", "Warning", "Back-off restarting failed container".into());
    start_event(group, key);
    group.container.restarts += 1;
    group.counters.restart();
}

/// Azure keeps trying; the group fails after its time-out, which here comes sooner than 30 minutes.
async fn cannot_pull(shared: &Shared, key: &Key, generation: u64, image: &str) {
    let pause = (shared.boot / 3).max(Duration::from_millis(5));
    let tries = (shared.give_up.as_millis() / pause.as_millis().max(1)).clamp(4, 10_000);
    for _ in 0..tries {
        change(shared, key, generation, |group| {
            group.container.event("Failed", "Warning", format!("Failed to pull image \"{image}\": unauthorized: authentication required"));
            group.container.event("BackOff", "Normal", format!("Back-off pulling image \"{image}\""));
            group.container.current = json!({"state": "Waiting", "detailStatus": "ImagePullBackOff"});
        });
        tokio::time::sleep(pause).await;
    }
    change(shared, key, generation, |group| {
        group.provisioning = "Failed";
        group.state = "Failed";
    });
}

/// Started, ended, started again: with restart policy Always the group itself never fails.
async fn crash(shared: &Shared, key: &Key, generation: u64, code: i32, detail: &str, last: &str) {
    let pause = (shared.boot / 3).max(Duration::from_millis(5));
    for restart in 0..=CRASHES {
        change(shared, key, generation, |group| {
            start_event(group, key);
            group.container.log("starting");
            group.container.current = json!({"state": "Running", "startTime": Timestamp::now().to_string(), "detailStatus": ""});
            group.container.restarts = restart;
            group.provisioning = "Succeeded";
            group.state = "Running";
        });
        tokio::time::sleep(pause / 4).await;
        change(shared, key, generation, |group| {
            let now = Timestamp::now().to_string();
            group.container.log(last);
            group.container.previous = json!({"state": "Terminated", "exitCode": code, "finishTime": now, "detailStatus": detail});
            group.container.current = json!({"state": "Waiting", "detailStatus": "CrashLoopBackOff: Back-off restarting failed"});
            group.container.event("BackOff", "Warning", "Back-off restarting failed container".into());
        });
        tokio::time::sleep(pause).await;
    }
}
