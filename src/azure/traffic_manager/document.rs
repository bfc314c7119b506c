//! The document that a profile's PUT sends: the one that was read with just what is meant changed, or a new one. Pure.
//! Sends nothing, and does not judge whether a change is wise.

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::{
    azure::wire::TAG,
    domain::{RolloutId, Weight},
    failure::{Failure, FailureKind},
    observe::Profile,
};

/// The type of an endpoint that leads to a container group.
const EXTERNAL: &str = "Microsoft.Network/trafficManagerProfiles/externalEndpoints";

/// The lowest priority there is (Microsoft's schema: 1 to 1000). Weighted routing does not use it, but Azure wants one on
/// all endpoints or on none, and no two alike; what it answers always has them.
const LAST_PRIORITY: u64 = 1000;

/// Seconds that resolvers keep an answer of a profile that the Action makes: as short as the probes' interval, so that a
/// switch reaches people about as fast as Azure itself would notice a dead endpoint.
const TTL: u64 = 10;

/// Fast probing: every 10 s. Azure knows 30 s and 10 s only (Microsoft: Traffic Manager endpoint monitoring).
const PROBE_INTERVAL: u64 = 10;

/// Seconds a probe may take: 5 to 9 at an interval of 10 s (the same document).
const PROBE_TIMEOUT: u64 = 5;

/// Failed probes in a row that are borne, 0 to 9; the fourth makes the endpoint Degraded (the same document; its default).
const TOLERATED_FAILURES: u64 = 3;

/// What an endpoint gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Traffic {
    /// Switched on, with this weight.
    On(Weight),
    /// Switched off.
    Off,
    /// Left as it is; an endpoint that is added is off.
    Unchanged,
}

impl From<Option<Weight>> for Traffic {
    /// From [`crate::domain::weights`]: no weight is no traffic.
    fn from(weight: Option<Weight>) -> Self {
        weight.map_or(Self::Off, Self::On)
    }
}

/// What is to become of one endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndpointChange {
    /// Its name, compared without regard to case.
    pub name: String,
    /// The host it is to send people to, where that changes. An endpoint that does not exist is added with it.
    pub target: Option<String>,
    /// What it is to get.
    pub traffic: Traffic,
}

/// What is meant to change in a profile. Everything that is not named stays as it was read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Change {
    /// Endpoints, each named once.
    pub endpoints: Vec<EndpointChange>,
    /// `deploy-action-rollout`, where it is to be set.
    pub rollout: Option<RolloutId>,
    /// `deploy-action-run`, where it is to be set.
    pub run: Option<String>,
    /// `deploy-action-taken-back`: when people are taken back from a version by this change; `None` where they are not, and
    /// what an earlier change said of it goes.
    pub taken_back: Option<Timestamp>,
}

/// Why a document cannot be changed as asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChangeError {
    /// There is no such endpoint, and no target to add it with.
    #[error("it has no endpoint {endpoint}, and nothing says where to one would lead")]
    Unknown {
        /// The profile.
        profile: String,
        /// The endpoint.
        endpoint: String,
    },
    /// The endpoint's target is an Azure resource, not a host.
    #[error("its endpoint {endpoint} is one of `{kind}` and cannot be led to a container group")]
    NotExternal {
        /// The profile.
        profile: String,
        /// The endpoint.
        endpoint: String,
        /// Its kind by Azure's word.
        kind: String,
    },
}

impl From<ChangeError> for Failure {
    fn from(error: ChangeError) -> Self {
        let what = format!("the Traffic Manager profile cannot be changed: {error}");
        match error {
            ChangeError::Unknown { profile, endpoint } => {
                Self::new(FailureKind::Superseded, what, format!("Traffic Manager profile {profile}"))
                    .meaning("traffic stays where it is")
                    .next(format!("find out who removed {endpoint} (Azure's activity log), then run the workflow again"))
            }
            ChangeError::NotExternal { profile, endpoint, .. } => {
                Self::new(FailureKind::Azure, what, format!("Traffic Manager profile {profile}"))
                    .meaning("traffic stays where it is")
                    .next(format!("delete {endpoint}, or name another under `traffic-manager.endpoints`; the Action adds what is missing"))
            }
        }
    }
}

/// The whole document of `profile` for a PUT, with `change` made in it.
///
/// Left out is what Azure reports and no request sets: at the top `id`, `name`, `type` (the URL says them), `etag` and
/// `systemData`; `properties.provisioningState`, `dnsConfig.fqdn`, `monitorConfig.profileMonitorStatus` and the endpoints'
/// `endpointMonitorStatus`; and every `null`, which is how Azure writes that there is nothing and what its own schema forbids
/// to send. The endpoints' `id`, `name` and `type` are sent back as they are.
///
/// # Errors
/// [`ChangeError`] when an endpoint cannot be what `change` says; never when `change` is empty.
pub fn changed(profile: &Profile, change: &Change) -> Result<Value, ChangeError> {
    let mut document = sendable(&profile.document);
    if let Value::Object(whole) = &mut document {
        within(whole, "properties", |properties| {
            let mut endpoints = match properties.get_mut("endpoints").map(Value::take) {
                Some(Value::Array(endpoints)) => endpoints,
                Some(_) | None => Vec::new(),
            };
            for one in &change.endpoints {
                change_endpoint(&profile.name, &mut endpoints, one)?;
            }
            properties.insert("endpoints".into(), Value::Array(endpoints));
            Ok(())
        })?;
        let ours = [("rollout", change.rollout.as_ref().map(RolloutId::as_str)), ("run", change.run.as_deref())];
        if ours.iter().any(|(_, value)| value.is_some()) {
            within(whole, "tags", |tags| {
                let taken_back = format!("{TAG}taken-back");
                tags.retain(|existing, _| !existing.eq_ignore_ascii_case(&taken_back));
                tags.extend(change.taken_back.map(|at| (taken_back, json!(at.to_string()))));
                for (name, value) in ours {
                    let Some(value) = value else { continue };
                    let name = format!("{TAG}{name}");
                    // Azure compares the names of tags without regard to case, and refuses two that differ in it only.
                    tags.retain(|existing, _| existing == &name || !existing.eq_ignore_ascii_case(&name));
                    tags.insert(name, json!(value));
                }
                Ok(())
            })?;
        }
    }
    Ok(document)
}

/// Lets `change` have the object called `name` in `whole`, which is made where there is none.
fn within<E>(whole: &mut Map<String, Value>, name: &str, change: impl FnOnce(&mut Map<String, Value>) -> Result<(), E>) -> Result<(), E> {
    let mut inner = match whole.get_mut(name).map(Value::take) {
        Some(Value::Object(inner)) => inner,
        Some(_) | None => Map::new(),
    };
    let done = change(&mut inner);
    whole.insert(name.to_owned(), Value::Object(inner));
    done
}

fn change_endpoint(profile: &str, endpoints: &mut Vec<Value>, change: &EndpointChange) -> Result<(), ChangeError> {
    let is_it = |endpoint: &Value| text(endpoint, "name").eq_ignore_ascii_case(&change.name);
    let Some(endpoint) = endpoints.iter_mut().find(|endpoint| is_it(endpoint)) else {
        let Some(target) = &change.target else {
            return Err(ChangeError::Unknown { profile: profile.to_owned(), endpoint: change.name.clone() });
        };
        let added = external(&change.name, target, change.traffic, free_priority(endpoints));
        endpoints.push(added);
        return Ok(());
    };
    let kind = text(endpoint, "type").rsplit('/').next().unwrap_or_default().to_owned();
    let Value::Object(endpoint) = endpoint else { return Ok(()) };
    within(endpoint, "properties", |properties| {
        if let Some(target) = &change.target {
            if !kind.eq_ignore_ascii_case("externalEndpoints") {
                return Err(ChangeError::NotExternal { profile: profile.to_owned(), endpoint: change.name.clone(), kind });
            }
            properties.insert("target".into(), json!(target));
        }
        give(properties, change.traffic);
        Ok(())
    })
}

fn give(properties: &mut Map<String, Value>, traffic: Traffic) {
    match traffic {
        Traffic::On(weight) => {
            properties.insert("endpointStatus".into(), json!("Enabled"));
            properties.insert("weight".into(), json!(weight.get()));
        }
        // The weight stays: it says nothing while the endpoint is off.
        Traffic::Off => {
            properties.insert("endpointStatus".into(), json!("Disabled"));
        }
        Traffic::Unchanged => {}
    }
}

fn external(name: &str, target: &str, traffic: Traffic, priority: Option<u64>) -> Value {
    let mut properties = Map::new();
    properties.insert("target".into(), json!(target));
    // Azure switches on what names no status.
    give(&mut properties, Traffic::Off);
    give(&mut properties, traffic);
    if let Some(priority) = priority {
        properties.insert("priority".into(), json!(priority));
    }
    json!({"name": name, "type": EXTERNAL, "properties": properties})
}

/// A priority that no endpoint has, behind the others where that can be; `None` where none of them has one.
fn free_priority(endpoints: &[Value]) -> Option<u64> {
    let taken: Vec<u64> =
        endpoints.iter().filter_map(|endpoint| endpoint.pointer("/properties/priority").and_then(Value::as_u64)).collect();
    let last = *taken.iter().max()?;
    if last < LAST_PRIORITY { Some(last + 1) } else { (1..=LAST_PRIORITY).rev().find(|priority| !taken.contains(priority)) }
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value.get(name).and_then(Value::as_str).unwrap_or_default()
}

/// `document` without what no request sets; see [`changed`].
fn sendable(document: &Value) -> Value {
    let mut document = document.clone();
    strip(Some(&mut document), &["id", "name", "type", "etag", "systemData"]);
    strip(document.get_mut("properties"), &["provisioningState"]);
    strip(document.pointer_mut("/properties/dnsConfig"), &["fqdn"]);
    strip(document.pointer_mut("/properties/monitorConfig"), &["profileMonitorStatus"]);
    for endpoint in document.pointer_mut("/properties/endpoints").and_then(Value::as_array_mut).into_iter().flatten() {
        strip(endpoint.get_mut("properties"), &["endpointMonitorStatus"]);
    }
    drop_nulls(&mut document);
    document
}

fn strip(value: Option<&mut Value>, reported: &[&str]) {
    if let Some(fields) = value.and_then(Value::as_object_mut) {
        fields.retain(|name, _| !reported.contains(&name.as_str()));
    }
}

fn drop_nulls(value: &mut Value) {
    if let Value::Object(fields) = value {
        fields.retain(|_, field| !field.is_null());
        fields.values_mut().for_each(drop_nulls);
    } else if let Value::Array(items) = value {
        items.iter_mut().for_each(drop_nulls);
    }
}

/// A profile that does not exist yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewProfile<'a> {
    /// `dnsConfig.relativeName`: what comes before `.trafficmanager.net`; unique among all of Azure's customers.
    pub dns_name: &'a str,
    /// The port on which the instances answer.
    pub port: u16,
    /// Their health path.
    pub health: &'a str,
    /// Its endpoints; those without a target are left out.
    pub change: &'a Change,
}

/// The document of a new profile: weighted, with fast probing over http, TTL 10 s.
#[must_use]
pub fn created(new: &NewProfile<'_>) -> Value {
    let NewProfile { dns_name, port, health, change } = new;
    let endpoints: Vec<Value> = change
        .endpoints
        .iter()
        .filter_map(|endpoint| Some(external(&endpoint.name, endpoint.target.as_deref()?, endpoint.traffic, None)))
        .collect();
    let ours = [("rollout", change.rollout.as_ref().map(RolloutId::as_str)), ("run", change.run.as_deref())];
    let tags: Map<String, Value> = ours.into_iter().filter_map(|(name, value)| Some((format!("{TAG}{name}"), json!(value?)))).collect();
    json!({
        // The only location there is: a profile belongs to no region.
        "location": "global",
        "tags": tags,
        "properties": {
            "profileStatus": "Enabled",
            "trafficRoutingMethod": "Weighted",
            "dnsConfig": {"relativeName": dns_name, "ttl": TTL},
            "monitorConfig": {
                "protocol": "HTTP",
                "port": port,
                "path": health,
                "intervalInSeconds": PROBE_INTERVAL,
                "timeoutInSeconds": PROBE_TIMEOUT,
                "toleratedNumberOfFailures": TOLERATED_FAILURES,
            },
            "endpoints": endpoints,
        },
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;
    use crate::{azure::wire, observe::EndpointState};

    /// As Azure answers: after Microsoft's example Profile-PUT-WithCustomHeaders.json, api-version 2022-04-01, with two slots.
    fn staging() -> Value {
        let endpoint = |name: &str, status: &str, priority: u64| {
            json!({
                "name": name, "type": "Microsoft.Network/trafficManagerProfiles/externalEndpoints", "id": format!("/p/{name}"),
                "properties": {
                    "customHeaders": [{"name": "host", "value": "shop.example"}], "endpointMonitorStatus": "Online", "endpointStatus": status,
                    "priority": priority, "target": format!("{name}.example"), "weight": 1000, "geoMapping": null
                }
            })
        };
        json!({
            "id": "/subscriptions/s/resourceGroups/g/providers/Microsoft.Network/trafficManagerProfiles/tm-staging",
            "name": "tm-staging", "type": "Microsoft.Network/trafficManagerProfiles", "location": "global", "etag": "x",
            "tags": {"team": "shop", "Deploy-Action-Run": "old"},
            "properties": {
                "profileStatus": "Enabled", "trafficRoutingMethod": "Weighted", "provisioningState": "Succeeded", "maxReturn": null,
                "trafficViewEnrollmentStatus": "Disabled",
                "dnsConfig": {"fqdn": "shop.trafficmanager.net", "relativeName": "shop", "ttl": 10},
                "endpoints": [endpoint("blue-endpoint", "Enabled", 1), endpoint("green-endpoint", "Disabled", 2)],
                "monitorConfig": {"path": "/health", "intervalInSeconds": 10, "port": 3000, "profileMonitorStatus": "Online",
                                  "timeoutInSeconds": 5, "toleratedNumberOfFailures": 3, "protocol": "HTTP",
                                  "customHeaders": [], "expectedStatusCodeRanges": [{"min": 200, "max": 299}]}
            }
        })
    }

    fn read(document: &Value) -> Profile {
        wire::profile(document).expect("a profile")
    }

    fn one(name: &str, target: Option<&str>, traffic: Traffic) -> EndpointChange {
        EndpointChange { name: name.into(), target: target.map(str::to_owned), traffic }
    }

    fn switch() -> Change {
        Change {
            endpoints: vec![
                one("Green-Endpoint", Some("new.example"), Traffic::On(Weight::FULL)),
                one("blue-endpoint", None, Traffic::Off),
            ],
            rollout: Some("staging-7-1".parse().expect("an id")),
            run: Some("https://github.com/o/r/actions/runs/7".into()),
            taken_back: None,
        }
    }

    #[test]
    fn a_switch_is_one_document_with_both_slots_changed() {
        let document = changed(&read(&staging()), &switch()).expect("it can be");
        let now = read(&document);
        let states: Vec<_> = now.endpoints.iter().map(|e| (e.name.as_str(), e.state, e.weight, e.target.as_str())).collect();
        assert_eq!(
            states,
            [
                ("blue-endpoint", EndpointState::Disabled, Weight::FULL, "blue-endpoint.example"),
                ("green-endpoint", EndpointState::Enabled, Weight::FULL, "new.example"),
            ]
        );
        assert_eq!(now.tags.rollout.map(String::from).as_deref(), Some("staging-7-1"));
        let tags: Vec<&String> = document["tags"].as_object().expect("tags").keys().collect();
        assert_eq!(tags, ["team", "deploy-action-rollout", "deploy-action-run"]);
        for gone in ["/id", "/etag", "/properties/provisioningState", "/properties/maxReturn", "/properties/dnsConfig/fqdn"] {
            assert_eq!(document.pointer(gone), None, "{gone}");
        }
        assert_eq!(document.pointer("/properties/endpoints/1/properties/endpointMonitorStatus"), None);
        assert_eq!(document.pointer("/properties/endpoints/1/id"), Some(&json!("/p/green-endpoint")));
    }

    #[test]
    fn an_endpoint_that_is_missing_is_added_behind_the_others_and_off() {
        let mut body = staging();
        body["properties"]["endpoints"].as_array_mut().expect("endpoints").pop();
        let change = Change { endpoints: vec![one("green-endpoint", Some("g.example"), Traffic::Unchanged)], ..Change::default() };
        let document = changed(&read(&body), &change).expect("it can be");
        assert_eq!(
            document["properties"]["endpoints"][1],
            json!({"name": "green-endpoint", "type": EXTERNAL, "properties": {"target": "g.example", "endpointStatus": "Disabled", "priority": 2}})
        );
        assert_eq!(document["tags"], staging()["tags"], "no tag was asked for");
    }

    #[test]
    fn priorities_stay_unlike_each_other_even_at_the_end_of_their_range() {
        let with = |priorities: &[u64]| {
            let all: Vec<Value> = priorities.iter().map(|priority| json!({"properties": {"priority": priority}})).collect();
            free_priority(&all)
        };
        assert_eq!((with(&[]), with(&[3, 1]), with(&[1000, 999]), with(&[1000, 1])), (None, Some(4), Some(998), Some(999)));
    }

    #[test]
    fn what_cannot_be_changed_is_said_and_leaves_nothing_without_traffic() {
        let unknown = Change {
            endpoints: vec![one("blue-endpoint", None, Traffic::Off), one("grene-endpoint", None, Traffic::On(Weight::FULL))],
            ..Change::default()
        };
        let error = changed(&read(&staging()), &unknown).expect_err("there is no such endpoint");
        let failure = Failure::from(error);
        assert!(failure.to_string().contains("tm-staging") && failure.what.contains("grene-endpoint"), "{failure}");

        let mut body = staging();
        body["properties"]["endpoints"][1]["type"] = json!("Microsoft.Network/trafficManagerProfiles/azureEndpoints");
        let error = changed(&read(&body), &switch()).expect_err("its target is a resource");
        assert!(matches!(&error, ChangeError::NotExternal { kind, .. } if kind == "azureEndpoints"), "{error:?}");
        let only_off = Change { endpoints: vec![one("green-endpoint", None, Traffic::Off)], ..Change::default() };
        assert!(changed(&read(&body), &only_off).is_ok(), "to switch any kind off is fine");
    }

    #[test]
    fn a_new_profile_is_weighted_and_probed_fast() {
        let change = Change {
            endpoints: vec![one("blue-endpoint", Some("b.example"), Traffic::On(Weight::FULL)), one("green-endpoint", None, Traffic::Off)],
            ..switch()
        };
        let document = created(&NewProfile { dns_name: "shop", port: 3000, health: "/health", change: &change });
        assert_eq!(
            document,
            json!({
                "location": "global",
                "tags": {"deploy-action-rollout": "staging-7-1", "deploy-action-run": "https://github.com/o/r/actions/runs/7"},
                "properties": {
                    "profileStatus": "Enabled", "trafficRoutingMethod": "Weighted", "dnsConfig": {"relativeName": "shop", "ttl": 10},
                    "monitorConfig": {"protocol": "HTTP", "port": 3000, "path": "/health", "intervalInSeconds": 10, "timeoutInSeconds": 5,
                                      "toleratedNumberOfFailures": 3},
                    "endpoints": [{"name": "blue-endpoint", "type": "Microsoft.Network/trafficManagerProfiles/externalEndpoints",
                                   "properties": {"target": "b.example", "endpointStatus": "Enabled", "weight": 1000}}]
                }
            })
        );
    }

    /// Every value of a document by its path; objects and lists count by what is in them.
    fn leaves(value: &Value, path: &str, into: &mut BTreeSet<(String, String)>) {
        match value {
            Value::Object(fields) if !fields.is_empty() => {
                fields.iter().for_each(|(name, field)| leaves(field, &format!("{path}/{name}"), into))
            }
            Value::Array(items) if !items.is_empty() => {
                items.iter().enumerate().for_each(|(index, item)| leaves(item, &format!("{path}/{index}"), into));
            }
            _ => {
                into.insert((path.to_owned(), value.to_string()));
            }
        }
    }

    /// Anything that a later api-version, or a person, may have put somewhere.
    fn extra() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![Just(json!(true)), (0u32..9).prop_map(|n| json!(n)), "[a-z]{0,4}".prop_map(|text| json!(text))];
        leaf.prop_recursive(2, 6, 3, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..3).prop_map(Value::Array),
                proptest::collection::vec(("x[a-z]{1,3}", inner), 0..3).prop_map(|fields| Value::Object(fields.into_iter().collect())),
            ]
        })
    }

    prop_compose! {
        fn a_profile()(
            whole in extra(), properties in extra(), monitor in extra(),
            endpoints in proptest::collection::vec((extra(), 1u16..=1000, any::<bool>(), any::<bool>()), 0..6),
        ) -> Value {
            let mut body = staging();
            body["extraWhole"] = whole;
            body["properties"]["extraProperties"] = properties;
            body["properties"]["monitorConfig"]["extraMonitor"] = monitor;
            let endpoints: Vec<Value> = endpoints.into_iter().enumerate().map(|(index, (extra, weight, on, with_id))| {
                let mut endpoint = staging()["properties"]["endpoints"][0].clone();
                endpoint["name"] = json!(format!("e{index}"));
                if !with_id { endpoint.as_object_mut().expect("an object").remove("id"); }
                endpoint["properties"]["extraEndpoint"] = extra;
                endpoint["properties"]["weight"] = json!(weight);
                endpoint["properties"]["priority"] = json!(index + 1);
                endpoint["properties"]["endpointStatus"] = json!(if on { "Enabled" } else { "Disabled" });
                endpoint
            }).collect();
            body["properties"]["endpoints"] = json!(endpoints);
            body
        }
    }

    fn a_change() -> impl Strategy<Value = Change> {
        let traffic = prop_oneof![
            (1u16..=1000).prop_map(|weight| Traffic::On(Weight::new(weight).expect("a weight"))),
            Just(Traffic::Off),
            Just(Traffic::Unchanged)
        ];
        let endpoint = (0usize..8, proptest::option::of("[a-z]{1,8}[.]example"), traffic);
        (proptest::collection::btree_map(0usize..8, endpoint, 0..6), proptest::option::of("[a-z0-9-]{1,9}"), any::<bool>()).prop_map(
            |(endpoints, rollout, run)| Change {
                endpoints: endpoints
                    .into_iter()
                    .map(|(index, (_, target, traffic))| EndpointChange { name: format!("E{index}"), target, traffic })
                    .collect(),
                rollout: rollout.map(|id| id.parse().expect("an id")),
                run: run.then(|| "https://example".to_owned()),
                taken_back: run.then_some(Timestamp::UNIX_EPOCH),
            },
        )
    }

    proptest! {
        #[test]
        fn nothing_but_what_is_meant_changes(body in a_profile(), change in a_change()) {
            let before = read(&body);
            let unchanged = changed(&before, &Change::default()).expect("nothing is asked");
            let Ok(document) = changed(&before, &change) else {
                let unknown = change.endpoints.iter().any(|one| one.target.is_none() && before.endpoint(&one.name).is_none());
                prop_assert!(unknown);
                return Ok(());
            };
            let (mut was, mut is) = (BTreeSet::new(), BTreeSet::new());
            leaves(&unchanged, "", &mut was);
            leaves(&document, "", &mut is);
            let count = before.endpoints.len();
            for (path, _) in was.symmetric_difference(&is) {
                let parts: Vec<&str> = path.split('/').skip(1).collect();
                let meant = match parts.as_slice() {
                    ["tags", "deploy-action-rollout"] => change.rollout.is_some(),
                    ["tags", "deploy-action-run" | "Deploy-Action-Run"] => change.run.is_some(),
                    ["tags", "deploy-action-taken-back"] => change.taken_back.is_some(),
                    // An empty list shows as a value of its own.
                    ["properties", "endpoints"] => count == 0,
                    ["properties", "endpoints", index, rest @ ..] => {
                        let index: usize = index.parse().expect("a number");
                        let asked = before.endpoints.get(index).map(|e| change.endpoints.iter().find(|one| one.name.eq_ignore_ascii_case(&e.name)));
                        match (asked, rest) {
                            (None, _) => true,
                            (Some(Some(one)), ["properties", "target"]) => one.target.is_some(),
                            (Some(Some(one)), ["properties", "endpointStatus"]) => one.traffic != Traffic::Unchanged,
                            (Some(Some(one)), ["properties", "weight"]) => matches!(one.traffic, Traffic::On(_)),
                            (Some(_), _) => false,
                        }
                    }
                    _ => false,
                };
                prop_assert!(meant, "{} changed", path);
            }
        }

        #[test]
        fn what_is_meant_does_change_and_only_once(body in a_profile(), change in a_change()) {
            let Ok(document) = changed(&read(&body), &change) else { return Ok(()) };
            let now = read(&document);
            for one in &change.endpoints {
                let found = now.endpoint(&one.name).expect("it is there");
                if let Some(target) = &one.target { prop_assert_eq!(&found.target, target); }
                match one.traffic {
                    Traffic::On(weight) => prop_assert_eq!((found.state, found.weight), (EndpointState::Enabled, weight)),
                    Traffic::Off => prop_assert_eq!(found.state, EndpointState::Disabled),
                    Traffic::Unchanged => {}
                }
            }
            if change.rollout.is_some() { prop_assert_eq!(&now.tags.rollout, &change.rollout); }
            if change.taken_back.is_some() { prop_assert_eq!(now.tags.taken_back, change.taken_back); }
            let forward = changed(&now, &Change { taken_back: None, rollout: Some("prod-8-1".parse().expect("an id")), ..Change::default() }).expect("it can be");
            prop_assert_eq!(read(&forward).tags.taken_back, None);
            let priorities: BTreeSet<_> = document["properties"]["endpoints"].as_array().expect("endpoints").iter()
                .filter_map(|endpoint| endpoint["properties"]["priority"].as_u64()).collect();
            prop_assert!(priorities.is_empty() || priorities.len() == now.endpoints.len(), "a priority on all or on none, no two alike");
            prop_assert_eq!(changed(&now, &change), Ok(document), "again changes nothing");
        }

        #[test]
        fn weights_of_shares_give_those_shares(parts in proptest::collection::vec(0u32..=20, 1..6)) {
            prop_assume!(parts.iter().sum::<u32>() > 0);
            let total: u32 = parts.iter().sum();
            let asked: Vec<_> = parts.iter().map(|part| crate::domain::Share::from_ppm(part * 1_000_000 / total).expect("a share")).collect();
            let weights = crate::domain::weights(&asked).expect("they fit");
            let endpoints = weights.iter().enumerate()
                .map(|(index, weight)| one(&format!("e{index}"), Some("t.example"), Traffic::from(*weight))).collect();
            let document = created(&NewProfile { dns_name: "d", port: 80, health: "/", change: &Change { endpoints, ..Change::default() } });
            let now = read(&document);
            let sum: u32 = now.enabled().map(|endpoint| u32::from(endpoint.weight.get())).sum();
            for (part, endpoint) in parts.iter().zip(&now.endpoints) {
                prop_assert_eq!(endpoint.state == EndpointState::Enabled, *part > 0);
                if *part > 0 {
                    let got = f64::from(endpoint.weight.get()) / f64::from(sum);
                    // Each weight is rounded by a half at most, so all together by a half of each.
                    let rounding = 0.5 * f64::from(u32::try_from(parts.len()).expect("few")) / f64::from(sum);
                    prop_assert!((got - f64::from(*part) / f64::from(total)).abs() <= rounding, "{} of {} got {}", part, total, got);
                }
            }
        }
    }
}
