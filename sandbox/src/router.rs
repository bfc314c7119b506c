//! The address that people use: leads a request where the name servers send its client, and hands it on by real HTTP.
//! A client keeps the answer it got for its time to live, also when the instance there is gone: that request fails.

use std::{collections::BTreeMap, sync::Arc};

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
pub(crate) async fn handle(shared: &Arc<Shared>, environment: &str, call: &Call) -> Reply {
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

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::{Options, Slot, Staging, World};

    const GROUP: &str = "staging-nextgen";

    /// Status, and the instance that answered.
    async fn visit(world: &World, client: &str) -> (u16, String) {
        let mut call = Call::of("GET", "/api/invoices", "", &Value::Null);
        call.headers.insert(CLIENT, client.parse().unwrap());
        match handle(world.shared(), "staging", &call).await {
            Reply::Answer(answer) => {
                let by = answer.headers.into_iter().find(|(name, _)| *name == instance::ANSWERED_BY.0);
                (answer.status, by.map(|(_, value)| value).unwrap_or_default())
            }
            Reply::Drop => (0, String::new()),
        }
    }

    fn by(slot: Slot) -> (u16, String) {
        (200, slot.instance().to_owned())
    }

    #[tokio::test]
    async fn a_client_keeps_its_answer_for_the_time_to_live_and_a_new_one_asks_afresh() {
        let world = World::start(Options::quick()).await.unwrap();
        let staging = |live: Slot, ttl| Staging { blue: None, green: None, ..Staging::live(live, "") }.with_ttl(ttl);
        world.seed(&Staging::stale("v1", "v2").with_ttl(1_000_000)).await.unwrap();
        assert_eq!(visit(&world, "early").await, by(Slot::Blue));
        world.seed(&staging(Slot::Green, 1_000_000)).await.unwrap();
        assert_eq!([visit(&world, "early").await, visit(&world, "late").await], [by(Slot::Blue), by(Slot::Green)]);
        world.delete_group(GROUP, Slot::Blue.instance());
        let gone = visit(&world, "early").await;
        assert_eq!(gone.0, 502, "what it remembers is gone");
        assert_eq!(visit(&world, "late").await, by(Slot::Green));
        world.seed(&staging(Slot::Green, 0)).await.unwrap();
        assert_eq!(visit(&world, "fresh").await, by(Slot::Green));
        assert_eq!(world.requests(), [], "the world's own hops are not recorded");
    }

    #[tokio::test]
    async fn where_no_name_leads_anywhere_the_request_fails_and_says_why() {
        for (staging, why) in [
            (Staging::empty(), "there is no profile tm-staging"),
            (Staging::neither_enabled("v1", "v2"), "no endpoint of tm-staging is enabled"),
            (Staging::foreign_target("v1"), "shop.example.net has no address"),
        ] {
            let world = World::start(Options::quick()).await.unwrap();
            world.seed(&staging).await.unwrap();
            let reply = handle(world.shared(), "staging", &Call::of("GET", "/health", "", &Value::Null)).await;
            let (status, body) = reply.read();
            assert_eq!((status, body["error"].as_str()), (502, Some(why)));
        }
    }
}
