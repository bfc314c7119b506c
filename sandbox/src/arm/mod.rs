//! Azure Resource Manager: routes of subscriptions, resource groups, container groups and Traffic Manager profiles.
//! What a container group does stands in `groups`, a profile in `traffic_manager`, what Azure Monitor knows in `insights`; here is who may
//! ask for what.

pub(crate) mod body;
pub(crate) mod groups;
mod insights;
pub(crate) mod life;
pub(crate) mod monitor;
pub(crate) mod profile;
pub(crate) mod shares;
pub(crate) mod throttle;
pub(crate) mod traffic_manager;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use hyper::Method;
use serde_json::{Value, json};

use crate::{
    entra,
    fault::Fault,
    server::{Call, Reply},
    shared::{CLIENT_ID, OBJECT_ID, SUBSCRIPTION, Shared, TENANT, lock},
};
use groups::{Group, Key};
use profile::Profile;

/// Resource Manager's state.
pub(crate) struct Azure {
    pub(crate) location: String,
    pub(crate) resource_groups: BTreeSet<String>,
    pub(crate) groups: BTreeMap<Key, Group>,
    pub(crate) operations: BTreeMap<String, Operation>,
    pub(crate) profiles: BTreeMap<Key, Profile>,
    /// The last octet given to an instance.
    pub(crate) addresses: u8,
}

/// A long-running operation.
#[derive(Debug, Clone)]
pub(crate) struct Operation {
    pub(crate) key: Key,
    pub(crate) generation: u64,
}

impl Azure {
    pub(crate) fn new(location: &str) -> Self {
        Self {
            location: location.to_owned(),
            resource_groups: ["dev-nextgen", "staging-nextgen", "prod-nextgen"].map(str::to_owned).into(),
            groups: BTreeMap::new(),
            operations: BTreeMap::new(),
            profiles: BTreeMap::new(),
            addresses: 1,
        }
    }
}

/// An error as Resource Manager words it.
pub(crate) fn error(shared: &Shared, status: u16, code: &str, message: impl Into<String>) -> Reply {
    Reply::json(status, &json!({"error": {"code": code, "message": message.into()}}))
        .header("x-ms-correlation-request-id", shared.fresh_id())
}

/// Answers a request to the Azure address.
pub(crate) fn handle(shared: &Arc<Shared>, call: &Call) -> Reply {
    let original = call.segments();
    let lower: Vec<String> = original.iter().map(|part| part.to_ascii_lowercase()).collect();
    let parts: Vec<&str> = lower.iter().map(String::as_str).collect();
    if !matches!(parts.first(), Some(&("subscriptions" | "providers"))) {
        return entra::handle(shared, call);
    }
    match call.bearer() {
        None => return error(shared, 401, "AuthenticationFailed", "Authentication failed. The 'Authorization' header is missing."),
        Some(token) if !entra::accepts(shared, token) => {
            return error(shared, 401, "InvalidAuthenticationToken", "The access token is invalid.");
        }
        Some(_) => {}
    }
    if call.query("api-version").is_none() {
        return error(
            shared,
            400,
            "MissingApiVersionParameter",
            "The api-version query parameter (?api-version=) is required for all requests.",
        );
    }
    if shared.throttle.as_ref().is_some_and(|buckets| !buckets.admits(&call.method)) {
        // By seconds, as Azure counts them: a shorter wait would only ask in vain.
        return error(shared, 429, "TooManyRequests", "The request is being throttled as the limit has been reached for operation type.")
            .header("retry-after", "1");
    }
    if shared.faults.strikes(Fault::Arm429) {
        return paced(
            shared,
            error(shared, 429, "TooManyRequests", "The request is being throttled as the limit has been reached for operation type."),
        );
    }
    if shared.faults.strikes(Fault::Arm500) {
        return paced(
            shared,
            error(shared, 500, "InternalServerError", "The server encountered an internal error. Please retry the request."),
        );
    }
    if let ["subscriptions", subscription, ..] = parts.as_slice()
        && *subscription != SUBSCRIPTION
    {
        return error(shared, 404, "SubscriptionNotFound", format!("The subscription '{subscription}' could not be found."));
    }
    route(shared, call, &parts, &original)
}

/// Asks the client to wait: in whole seconds and, for those who read it, in milliseconds.
pub(crate) fn paced(shared: &Shared, reply: Reply) -> Reply {
    let reply = reply.header("retry-after", "1");
    match shared.polling {
        crate::world::Polling::Milliseconds(ms) => reply.header("x-ms-retry-after-ms", ms.to_string()),
        crate::world::Polling::Seconds => reply,
    }
}

fn route(shared: &Arc<Shared>, call: &Call, parts: &[&str], original: &[String]) -> Reply {
    match (&call.method, parts) {
        (&Method::GET, ["subscriptions"]) => Reply::json(200, &json!({"value": [subscription()]})),
        (&Method::GET, ["subscriptions", _]) => Reply::json(200, &subscription()),
        (&Method::GET, ["subscriptions", _, "resourcegroups"]) => {
            let azure = lock(&shared.azure);
            let all: Vec<Value> = azure.resource_groups.iter().map(|name| resource_group(name, &azure.location)).collect();
            Reply::json(200, &json!({"value": all}))
        }
        (method, ["subscriptions", _, "resourcegroups", group]) => resource_group_call(shared, method, group),
        (&Method::GET, ["subscriptions", _, "providers", "microsoft.containerinstance", "containergroups"]) => groups::list(shared, None),
        (&Method::GET, ["subscriptions", _, "providers", "microsoft.containerinstance", "locations", _, "usages"]) => {
            let count = lock(&shared.azure).groups.len();
            let usage = |name: &str, current: usize, limit: u32| json!({"unit": "Count", "currentValue": current, "limit": limit, "name": {"value": name, "localizedValue": name}});
            Reply::json(200, &json!({"value": [usage("ContainerGroups", count, 100), usage("StandardCores", count, 100)]}))
        }
        (&Method::GET, ["subscriptions", _, "providers", "microsoft.containerinstance", "locations", _, "operations", id]) => {
            groups::operation(shared, id)
        }
        (&Method::GET, ["subscriptions", _, "providers", "microsoft.network", "trafficmanagerprofiles"]) => {
            traffic_manager::list(shared, None)
        }
        (
            &Method::POST,
            ["providers", "microsoft.network", "checktrafficmanagernameavailability"]
            | ["subscriptions", _, "providers", "microsoft.network", "checktrafficmanagernameavailabilityv2"],
        ) => traffic_manager::name_available(shared, call),
        (&Method::GET, ["subscriptions", _, "providers", ..]) => Reply::json(
            200,
            &json!({"value": [], "namespace": "Microsoft.ContainerInstance", "registrationState": "Registered", "resourceTypes": []}),
        ),
        (&Method::GET, ["subscriptions", _, "resourcegroups", _, "providers", "microsoft.authorization", "permissions"]) => {
            Reply::json(200, &permissions(shared))
        }
        (method, ["subscriptions", _, "resourcegroups", group, "providers", provider, kind, rest @ ..]) => {
            let kind = match (*provider, *kind) {
                ("microsoft.containerinstance", "containergroups") => Resource::ContainerGroup,
                ("microsoft.network", "trafficmanagerprofiles") => Resource::Profile,
                _ => return unknown(shared, call),
            };
            if !lock(&shared.azure).resource_groups.contains(*group) {
                return error(shared, 404, "ResourceGroupNotFound", format!("Resource group '{group}' could not be found."));
            }
            if *method != Method::GET && shared.faults.is_on(Fault::Forbidden) {
                return forbidden(shared, kind, method, parts);
            }
            let name = original.get(7).map_or("", String::as_str);
            let key = Key::new(group, name);
            match kind {
                Resource::ContainerGroup => groups::handle(shared, call, &key, rest),
                Resource::Profile => traffic_manager::handle(shared, call, &key, original.get(7..).unwrap_or_default()),
            }
        }
        _ => unknown(shared, call),
    }
}

/// The kinds of resources below a resource group.
#[derive(Clone, Copy)]
enum Resource {
    ContainerGroup,
    Profile,
}

fn unknown(shared: &Shared, call: &Call) -> Reply {
    error(shared, 404, "InvalidResourceType", format!("The resource type could not be found for {} {}.", call.method, call.path))
}

fn forbidden(shared: &Shared, kind: Resource, method: &Method, parts: &[&str]) -> Reply {
    let action = if *method == Method::DELETE { "delete" } else { "write" };
    let kind = match kind {
        Resource::ContainerGroup => "Microsoft.ContainerInstance/containerGroups",
        Resource::Profile => "Microsoft.Network/trafficManagerProfiles",
    };
    let scope = format!("/{}", parts.join("/"));
    error(
        shared,
        403,
        "AuthorizationFailed",
        format!(
            "The client '{CLIENT_ID}' with object id '{OBJECT_ID}' does not have authorization to perform action \
             '{kind}/{action}' over scope '{scope}' or the scope is invalid. If access was recently \
             granted, please refresh your credentials."
        ),
    )
}

/// What the identity may do at a resource group (Authorization, "Permissions - List For Resource Group").
fn permissions(shared: &Shared) -> Value {
    let actions: &[&str] = if shared.faults.is_on(Fault::Forbidden) {
        &["*/read"]
    } else {
        &[
            "Microsoft.Resources/subscriptions/resourceGroups/read",
            "Microsoft.ContainerInstance/*",
            "Microsoft.Network/trafficManagerProfiles/*",
        ]
    };
    json!({"value": [{"actions": actions, "notActions": [], "dataActions": [], "notDataActions": []}], "nextLink": null})
}

fn subscription() -> Value {
    json!({
        "id": format!("/subscriptions/{SUBSCRIPTION}"), "subscriptionId": SUBSCRIPTION, "tenantId": TENANT, "displayName": "Sandbox",
        "state": "Enabled", "authorizationSource": "RoleBased",
        "subscriptionPolicies": {"locationPlacementId": "Public_2014-09-01", "quotaId": "PayAsYouGo_2014-09-01", "spendingLimit": "Off"},
    })
}

fn resource_group(name: &str, location: &str) -> Value {
    json!({
        "id": format!("/subscriptions/{SUBSCRIPTION}/resourceGroups/{name}"), "name": name, "type": "Microsoft.Resources/resourceGroups",
        "location": location, "properties": {"provisioningState": "Succeeded"},
    })
}

fn resource_group_call(shared: &Shared, method: &Method, group: &str) -> Reply {
    let mut azure = lock(&shared.azure);
    let known = azure.resource_groups.contains(group);
    match *method {
        Method::PUT => {
            azure.resource_groups.insert(group.to_owned());
            Reply::json(if known { 200 } else { 201 }, &resource_group(group, &azure.location))
        }
        Method::HEAD => Reply::empty(if known { 204 } else { 404 }),
        Method::GET if known => Reply::json(200, &resource_group(group, &azure.location)),
        _ => error(shared, 404, "ResourceGroupNotFound", format!("Resource group '{group}' could not be found.")),
    }
}
