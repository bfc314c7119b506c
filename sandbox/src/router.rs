//! The address that people use: leads a request where the name servers send its client, and hands it on by real HTTP.
//! A client keeps the answer it got for its time to live, also when the instance there is gone: that request fails.

use std::collections::BTreeMap;

use serde_json::json;
use tokio::time::{Instant, timeout};

use crate::{
    arm::groups::Key,
    dice::Dice,
    dns::{self, Answer},
    http::{Connection, Traffic},
    instance,
    server::{Call, Reply},
    shared::{PATIENCE, Shared, lock},
};

/// The header by which a client says who it is; without it, each connection is a client of its own.
const CLIENT: &str = "x-sandbox-client";

/// What the clients of the public addresses remember.
#[derive(Debug)]
pub(crate) struct Router {
    dice: Dice,
    remembered: BTreeMap<(Key, String), (Answer, Instant)>,
}

impl Default for Router {
    fn default() -> Self {
        Self { dice: Dice::new(1), remembered: BTreeMap::new() }
    }
}

/// What stands behind the public address of an environment.
enum Behind {
    Instance(Key),
    Profile(Key),
}

fn behind(environment: &str) -> Behind {
    match environment {
        "dev" => Behind::Instance(Key::new("dev-nextgen", "aci-dev-nextgen")),
        other => Behind::Profile(profile(other)),
    }
}

/// The profile in front of an environment, as the example configuration names it.
pub(crate) fn profile(environment: &str) -> Key {
    Key::new(&format!("{environment}-nextgen"), &format!("tm-{environment}"))
}

/// Answers a request to the public address of `environment`.
pub(crate) async fn handle(shared: &Shared, environment: &str, call: &Call) -> Reply {
    match behind(environment) {
        Behind::Instance(key) if is_running(shared, &key) => {
            instance::answer(shared, &key, &call.method, &call.path, Traffic::Public).await
        }
        Behind::Instance(_) => Reply::json(503, &json!({"error": "no instance answers for this address"})),
        Behind::Profile(profile) => forward(shared, &profile, call).await,
    }
}

fn is_running(shared: &Shared, key: &Key) -> bool {
    let azure = lock(&shared.azure);
    azure.groups.get(key).is_some_and(|group| group.container.current.get("state").is_some_and(|state| state == "Running"))
}

/// Where the name servers send this client: as it remembers, else as they say now.
fn lead(shared: &Shared, profile: &Key, call: &Call) -> Result<Answer, dns::Unanswered> {
    let client = call.header(CLIENT).map_or_else(|| call.peer.to_string(), str::to_owned);
    let router = &mut *lock(&shared.router);
    let now = Instant::now();
    router.remembered.retain(|_, (_, until)| *until > now);
    let who = (profile.clone(), client);
    if let Some((answer, _)) = router.remembered.get(&who) {
        return Ok(answer.clone());
    }
    let answer = dns::ask(shared, profile, &mut router.dice)?;
    router.remembered.insert(who, (answer.clone(), now + answer.ttl));
    Ok(answer)
}

async fn forward(shared: &Shared, profile: &Key, call: &Call) -> Reply {
    let answer = match lead(shared, profile, call) {
        Ok(answer) => answer,
        Err(unanswered) => return Reply::json(502, &json!({"error": unanswered.to_string()})),
    };
    let target = call.path.as_str();
    let exchange =
        async { Connection::open(answer.address).await?.send(call.method.clone(), target, Traffic::Public, call.body.clone()).await };
    match timeout(PATIENCE, exchange).await {
        Ok(Ok(response)) => {
            let header = |name: &str| response.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
            let (instance, version) = (header(instance::ANSWERED_BY.0), header(instance::ANSWERED_BY.1));
            Reply::bytes(response.status, &header("content-type"), response.body)
                .header(instance::ANSWERED_BY.0, instance)
                .header(instance::ANSWERED_BY.1, version)
        }
        Ok(Err(error)) => Reply::json(502, &json!({"error": format!("{} does not answer: {error}", answer.instance)})),
        Err(_) => Reply::json(504, &json!({"error": format!("{} does not answer in time", answer.instance)})),
    }
}
