//! What the Traffic Manager client makes of answers that come, are lost, are broken, or tell of somebody else's hand.

use std::sync::{Arc, Mutex};

use deploy_action::{
    azure::{
        AzureError, ResourceManager,
        traffic_manager::{self, Change, EndpointChange, NewProfile, Put, Traffic},
    },
    domain::Weight,
    failure::Failure,
    observe::{EndpointState, Profile},
};
use serde_json::{Value, json};

use crate::{
    azure, overloaded,
    small_server::{Reply, Request, Server},
};

const PATH: &str = "/subscriptions/s-1/resourcegroups/staging-nextgen/providers/Microsoft.Network/trafficmanagerprofiles/tm-staging";

fn staging() -> Value {
    let endpoint = |name: &str, status: &str| {
        json!({"name": name, "type": "Microsoft.Network/trafficManagerProfiles/externalEndpoints",
               "properties": {"endpointStatus": status, "endpointMonitorStatus": "Online", "weight": 1000, "target": format!("{name}.example")}})
    };
    json!({
        "name": "tm-staging", "location": "global",
        "properties": {"profileStatus": "Enabled", "trafficRoutingMethod": "Weighted", "dnsConfig": {"ttl": 10, "relativeName": "shop"},
                       "endpoints": [endpoint("blue", "Enabled"), endpoint("green", "Disabled")]}
    })
}

/// A profile that Azure keeps: what is PUT is there afterwards, as `on_put` does.
async fn keeping(mut on_put: impl FnMut(usize, &mut Option<Value>, &Value) -> Reply + Send + 'static, kept: Option<Value>) -> Server {
    let kept = Arc::new(Mutex::new(kept));
    let mut puts = 0;
    Server::start(move |request: &Request| {
        assert_eq!(request.path, PATH);
        let mut kept = kept.lock().expect("no panic before");
        match request.method.as_str() {
            "GET" => kept.as_ref().map_or_else(
                || Reply::Answer(404, json!({"error": {"code": "ResourceNotFound", "message": "not found"}})),
                |body| Reply::Answer(200, body.clone()),
            ),
            "PUT" => {
                puts += 1;
                on_put(puts, &mut kept, &request.body)
            }
            other => panic!("{other} was not expected"),
        }
    })
    .await
}

fn store(kept: &mut Option<Value>, sent: &Value) -> Value {
    let mut body = sent.clone();
    body["name"] = json!("tm-staging");
    *kept = Some(body.clone());
    body
}

fn switch() -> Change {
    let one = |name: &str, traffic| EndpointChange { name: name.into(), target: None, traffic };
    Change {
        endpoints: vec![one("green", Traffic::On(Weight::FULL)), one("blue", Traffic::Off)],
        rollout: Some("staging-7-1".parse().expect("an id")),
        run: None,
        taken_back: None,
    }
}

async fn read(rm: &ResourceManager) -> Profile {
    traffic_manager::get(rm, "staging-nextgen", "tm-staging").await.expect("an answer").expect("a profile")
}

async fn switched(server: &Server) -> Result<Put, AzureError> {
    let rm = azure(server);
    let before = read(&rm).await;
    let document = traffic_manager::changed(&before, &switch()).expect("it can be");
    traffic_manager::put(&rm, "staging-nextgen", &before, &document).await
}

fn live(profile: &Profile) -> Vec<&str> {
    profile.enabled().map(|endpoint| endpoint.name.as_str()).collect()
}

#[tokio::test]
async fn a_switch_is_one_request() {
    let server = keeping(|_, kept, sent| Reply::Answer(200, store(kept, sent)), Some(staging())).await;
    let Ok(Put::Done(now)) = switched(&server).await else { panic!("it was not done") };
    assert_eq!((live(&now), server.methods().join(" ")), (vec!["green"], "GET PUT".to_owned()));
}

#[tokio::test]
async fn a_switch_whose_answer_was_lost_is_looked_for_and_not_sent_again() {
    for lose in [|| Reply::Lost, overloaded] {
        let server = keeping(
            move |_, kept, sent| {
                store(kept, sent);
                lose()
            },
            Some(staging()),
        )
        .await;
        let Ok(Put::Done(now)) = switched(&server).await else { panic!("it was not done") };
        assert_eq!((live(&now), server.methods().join(" ")), (vec!["green"], "GET PUT GET".to_owned()));
    }
}

#[tokio::test]
async fn a_switch_that_took_no_effect_is_sent_again_after_looking() {
    let server = keeping(
        |nth, kept, sent| match nth {
            1 | 2 => overloaded(),
            _ => Reply::Answer(200, store(kept, sent)),
        },
        Some(staging()),
    )
    .await;
    let Ok(Put::Done(now)) = switched(&server).await else { panic!("it was not done") };
    assert_eq!((live(&now), server.methods().join(" ")), (vec!["green"], "GET PUT GET PUT GET PUT".to_owned()));
}

#[tokio::test]
async fn what_a_person_did_while_azure_failed_is_not_overwritten() {
    let server = keeping(
        |_, kept, _| {
            // Both slots on, and neither what was there nor what was asked for.
            let mut body = staging();
            body["properties"]["endpoints"][1]["properties"]["endpointStatus"] = json!("Enabled");
            *kept = Some(body);
            overloaded()
        },
        Some(staging()),
    )
    .await;
    let Ok(Put::Superseded(Some(now))) = switched(&server).await else { panic!("it was written again") };
    assert_eq!((live(&now), server.methods().join(" ")), (vec!["blue", "green"], "GET PUT GET".to_owned()));

    let gone = keeping(
        |_, kept, _| {
            *kept = None;
            Reply::Lost
        },
        Some(staging()),
    )
    .await;
    assert!(matches!(switched(&gone).await, Ok(Put::Superseded(None))), "a deleted profile is not made again");
}

#[tokio::test]
async fn a_success_that_cannot_be_read_is_looked_at() {
    let server = keeping(
        |_, kept, sent| {
            store(kept, sent);
            Reply::With(200, Vec::new(), "<html>".into())
        },
        Some(staging()),
    )
    .await;
    let Ok(Put::Done(now)) = switched(&server).await else { panic!("it was not done") };
    assert_eq!(live(&now), ["green"]);
}

#[tokio::test]
async fn a_refusal_is_told_and_nothing_is_sent_again() {
    let server = keeping(
        |_, _, _| Reply::Answer(403, json!({"error": {"code": "AuthorizationFailed", "message": "no trafficManagerProfiles/write"}})),
        Some(staging()),
    )
    .await;
    let failure = Failure::from(switched(&server).await.expect_err("it is forbidden"));
    assert!(failure.what.contains("AuthorizationFailed") && failure.resource.contains("tm-staging"), "{failure}");
    assert_eq!(server.methods().join(" "), "GET PUT");
}

#[tokio::test]
async fn a_profile_that_is_missing_is_created_and_a_taken_name_is_said() {
    let new = |change| NewProfile { dns_name: "shop", port: 3000, health: "/health", change };
    let change = Change {
        endpoints: vec![EndpointChange { name: "green".into(), target: Some("g.example".into()), traffic: Traffic::On(Weight::FULL) }],
        ..Change::default()
    };
    let server = keeping(
        |nth, kept, sent| match nth {
            1 => overloaded(),
            _ => Reply::Answer(201, store(kept, sent)),
        },
        None,
    )
    .await;
    let rm = azure(&server);
    assert_eq!(traffic_manager::get(&rm, "staging-nextgen", "tm-staging").await, Ok(None));
    let Ok(Put::Done(now)) = traffic_manager::create(&rm, "staging-nextgen", "tm-staging", &new(&change)).await else {
        panic!("it was not made")
    };
    assert_eq!((now.endpoints[0].state, now.ttl_seconds), (EndpointState::Enabled, 10));
    assert_eq!(server.methods().join(" "), "GET PUT GET PUT");

    let taken = keeping(
        |_, _, _| {
            let message = "Domain name shop.trafficmanager.net already exists. Please choose a different DNS prefix.";
            Reply::Answer(409, json!({"error": {"code": "Conflict", "message": message}}))
        },
        None,
    )
    .await;
    let error = traffic_manager::create(&azure(&taken), "staging-nextgen", "tm-staging", &new(&change)).await.expect_err("it is taken");
    assert!(matches!(error, AzureError::NameTaken(_)), "{error:?}");
    assert!(Failure::from(error).next[0].contains("traffic-manager.dns-name"));
}

#[tokio::test]
async fn a_missing_resource_group_is_not_a_missing_profile() {
    let server = Server::start(|_| {
        Reply::Answer(
            404,
            json!({"error": {"code": "ResourceGroupNotFound", "message": "Resource group 'staging-nextgen' could not be found."}}),
        )
    })
    .await;
    let found = traffic_manager::get(&azure(&server), "staging-nextgen", "tm-staging").await;
    assert!(matches!(found, Err(AzureError::GroupMissing(_))), "{found:?}");
}
