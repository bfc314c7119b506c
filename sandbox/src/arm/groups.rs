//! Container groups: PUT, GET, PATCH, DELETE, lists, logs, restart, stop, start; and what of them shows in an answer.

use std::{collections::BTreeMap, net::Ipv4Addr, sync::Arc};

use hyper::Method;
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::task::AbortHandle;

use super::{Azure, Operation, body, error, insights, life, paced};
use crate::{
    fault::{Fault, Moment},
    metrics::Counters,
    server::{Call, Reply},
    shared::{SUBSCRIPTION, Shared, lock},
};

/// A container group's resource group and name, both in lower case.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key {
    group: String,
    name: String,
}

impl Key {
    pub(crate) fn new(group: &str, name: &str) -> Self {
        Self { group: group.to_ascii_lowercase(), name: name.to_ascii_lowercase() }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn group(&self) -> &str {
        &self.group
    }
}

/// A container group.
#[derive(Debug)]
pub(crate) struct Group {
    /// As it was sent last.
    pub(crate) body: Value,
    /// Counts what was done to it, so that an earlier life does not touch a later one.
    pub(crate) generation: u64,
    /// When this generation began.
    pub(crate) born: Moment,
    pub(crate) provisioning: &'static str,
    pub(crate) state: &'static str,
    pub(crate) ip: Ipv4Addr,
    pub(crate) container: Container,
    pub(crate) counters: Counters,
    pub(crate) task: Option<AbortHandle>,
}

/// The state of a group's container.
#[derive(Debug, Default)]
pub(crate) struct Container {
    pub(crate) current: Value,
    pub(crate) previous: Value,
    pub(crate) restarts: u32,
    pub(crate) events: Vec<Event>,
    pub(crate) logs: Vec<String>,
}

/// One of Azure's events.
#[derive(Debug, Clone)]
pub(crate) struct Event {
    pub(crate) name: &'static str,
    pub(crate) message: String,
    pub(crate) kind: &'static str,
    pub(crate) count: u32,
    pub(crate) at: Timestamp,
}

/// Log lines that are kept; Azure keeps 4 MB.
const LOG: usize = 2000;

impl Container {
    /// Adds a line to the log; the oldest go.
    pub(crate) fn log(&mut self, line: impl Into<String>) {
        if self.logs.len() >= 2 * LOG {
            self.logs.drain(..LOG);
        }
        self.logs.push(line.into());
    }

    /// Adds an event; one that is there already is counted up, as Azure does.
    pub(crate) fn event(&mut self, name: &'static str, kind: &'static str, message: String) {
        let at = Timestamp::now();
        if let Some(known) = self.events.iter_mut().find(|event| event.name == name && event.message == message) {
            known.count += 1;
            known.at = at;
        } else {
            self.events.push(Event { name, message, kind, count: 1, at });
        }
    }
}

impl Group {
    pub(crate) fn port(&self) -> u16 {
        let ports = self.body.pointer("/properties/containers/0/properties/ports/0/port").and_then(Value::as_u64);
        ports.and_then(|port| u16::try_from(port).ok()).unwrap_or(80)
    }

    pub(crate) fn tags(&self) -> BTreeMap<String, String> {
        let tags = self.body.get("tags").and_then(Value::as_object);
        tags.into_iter().flatten().filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned()))).collect()
    }

    /// The version it runs, by the Action's tag.
    pub(crate) fn version(&self) -> String {
        self.tags().remove("deploy-action-version").unwrap_or_default()
    }

    /// Its public name, where it has a DNS label.
    pub(crate) fn fqdn(&self, location: &str) -> Option<String> {
        let label = self.body.pointer("/properties/ipAddress/dnsNameLabel").and_then(Value::as_str)?;
        Some(format!("{label}.{location}.azurecontainer.io"))
    }

    fn show(&self, key: &Key, whole: View, location: &str) -> Value {
        let mut shown = body::given_back(&self.body);
        let events: Vec<Value> = self.container.events.iter().map(event).collect();
        if let Some(properties) = shown.get_mut("properties").and_then(Value::as_object_mut) {
            properties.insert("provisioningState".into(), json!(self.provisioning));
            properties.insert("isCustomProvisioningTimeout".into(), json!(false));
            if let Some(address) = properties.get_mut("ipAddress").and_then(Value::as_object_mut) {
                address.insert("ip".into(), json!(self.ip.to_string()));
                if let Some(name) = self.fqdn(location) {
                    address.insert("fqdn".into(), json!(name));
                }
            }
            if whole == View::Whole {
                properties.insert("instanceView".into(), json!({"events": [], "state": self.state}));
                let mut view = json!({"restartCount": self.container.restarts, "currentState": self.container.current, "events": events});
                if !self.container.previous.is_null() {
                    view["previousState"] = self.container.previous.clone();
                }
                if let Some(inner) =
                    properties.get_mut("containers").and_then(|all| all.pointer_mut("/0/properties")).and_then(Value::as_object_mut)
                {
                    inner.insert("instanceView".into(), view);
                }
            }
        }
        if let Some(fields) = shown.as_object_mut() {
            let id = format!(
                "/subscriptions/{SUBSCRIPTION}/resourceGroups/{}/providers/Microsoft.ContainerInstance/containerGroups/{}",
                key.group, key.name
            );
            fields.insert("id".into(), json!(id));
            fields.insert("name".into(), json!(key.name));
            fields.insert("type".into(), json!("Microsoft.ContainerInstance/containerGroups"));
        }
        shown
    }
}

/// How much of a group an answer shows: lists leave the instance view out.
#[derive(Clone, Copy, PartialEq, Eq)]
enum View {
    Whole,
    Listed,
}

fn event(event: &Event) -> Value {
    json!({
        "count": event.count, "firstTimestamp": event.at.to_string(), "lastTimestamp": event.at.to_string(),
        "name": event.name, "message": event.message, "type": event.kind,
    })
}

/// All groups of a resource group, or of the subscription.
pub(crate) fn list(shared: &Shared, group: Option<&str>) -> Reply {
    let azure = lock(&shared.azure);
    let found = azure.groups.iter().filter(|(key, _)| group.is_none_or(|group| key.group == group));
    let value: Vec<Value> = found.map(|(key, found)| found.show(key, View::Listed, &azure.location)).collect();
    Reply::json(200, &json!({"value": value}))
}

/// How an operation is doing.
pub(crate) fn operation(shared: &Shared, id: &str) -> Reply {
    let azure = lock(&shared.azure);
    let Some(operation) = azure.operations.get(id) else {
        return error(shared, 404, "OperationNotFound", format!("The operation '{id}' was not found."));
    };
    let group = azure.groups.get(&operation.key).filter(|group| group.generation == operation.generation);
    let status = match group.map(|group| group.provisioning) {
        Some("Succeeded") | None => "Succeeded",
        Some("Failed") => "Failed",
        Some(_) => "InProgress",
    };
    paced(shared, Reply::json(200, &json!({"id": id, "name": id, "status": status})))
}

/// A request to the container groups of a resource group; `rest` is what follows `containerGroups`.
pub(crate) fn handle(shared: &Arc<Shared>, call: &Call, key: &Key, rest: &[&str]) -> Reply {
    match (&call.method, rest) {
        (&Method::GET, []) => list(shared, Some(&key.group)),
        (&Method::PUT, [_]) => put(shared, call, key),
        (&Method::GET, [_]) => with(shared, key, |azure, group| Reply::json(200, &group.show(key, View::Whole, &azure))),
        (&Method::PATCH, [_]) => {
            let patch = call.json().unwrap_or(Value::Null);
            let mut azure = lock(&shared.azure);
            let location = azure.location.clone();
            match azure.groups.get_mut(key) {
                Some(group) => {
                    body::patch_tags(&mut group.body, &patch);
                    Reply::json(200, &group.show(key, View::Whole, &location))
                }
                None => missing(shared, key),
            }
        }
        (&Method::DELETE, [_]) => delete(shared, key),
        (&Method::GET, [_, "containers", _, "logs"]) => logs(shared, call, key),
        (&Method::GET, [_, "providers", "microsoft.insights", "metrics"]) => insights::metrics(shared, call, key),
        (&Method::POST, [_, action @ ("restart" | "start" | "stop")]) => act(shared, key, action),
        _ => error(shared, 404, "InvalidResourceType", format!("There is no {} {} here.", call.method, call.path)),
    }
}

fn with(shared: &Shared, key: &Key, show: impl FnOnce(String, &Group) -> Reply) -> Reply {
    let azure = lock(&shared.azure);
    match azure.groups.get(key) {
        Some(group) => show(azure.location.clone(), group),
        None => missing(shared, key),
    }
}

fn missing(shared: &Shared, key: &Key) -> Reply {
    let message = format!(
        "The Resource 'Microsoft.ContainerInstance/containerGroups/{}' under resource group '{}' was not found. For more details please go to \
         https://aka.ms/ARMResourceNotFoundFix",
        key.name, key.group
    );
    error(shared, 404, "ResourceNotFound", message)
}

fn put(shared: &Arc<Shared>, call: &Call, key: &Key) -> Reply {
    let Some(wanted) = call.json() else {
        return error(shared, 400, "InvalidRequestContent", "The request content was invalid and could not be deserialized.");
    };
    if let Err((code, message)) = body::check(&wanted) {
        return error(shared, 400, code, message);
    }
    let label = wanted.pointer("/properties/ipAddress/dnsNameLabel").and_then(Value::as_str).unwrap_or_default().to_owned();
    for (fault, status, code, message) in [
        (
            Fault::Quota,
            409,
            "ContainerGroupQuotaReached",
            format!(
                "Resource type 'Microsoft.ContainerInstance/containerGroups' container group quota 'StandardCores' exceeded in region '{}'. \
                 Limit: '100', Usage: '100' Requested: '1'.",
                shared.location
            ),
        ),
        (
            Fault::Capacity,
            409,
            "ServiceUnavailable",
            format!(
                "The requested resource with 1 CPU and 1 GB memory is not available in the location '{}' at this moment. Please retry with \
                 a different resource request or in another location.",
                shared.location
            ),
        ),
        (
            Fault::NameTaken,
            400,
            "DnsNameLabelTaken",
            format!("The DNS name label '{label}' in container group '{}' is not available in region '{}'.", key.name, shared.location),
        ),
    ] {
        if shared.faults.is_on(fault) {
            return error(shared, status, code, message);
        }
    }
    let mut azure = lock(&shared.azure);
    let known = azure.groups.get(key);
    if let Some(known) = known {
        if matches!(known.provisioning, "Pending" | "Creating") {
            let message = format!("The container group '{}' is still transitioning, please retry later.", key.name);
            return error(shared, 409, "ContainerGroupTransitioning", message);
        }
        if let Err((code, message)) = body::check_update(&known.body, &wanted) {
            return error(shared, 400, code, message);
        }
    }
    let status = if known.is_some() { 200 } else { 201 };
    let operation = begin(shared, &mut azure, key, wanted);
    let location = azure.location.clone();
    let shown = azure.groups.get(key).map_or(Value::Null, |group| group.show(key, View::Whole, &location));
    drop(azure);
    if shared.faults.strikes(Fault::LostAnswer) {
        return Reply::Drop;
    }
    paced(shared, Reply::json(status, &shown)).header("azure-asyncoperation", operation_url(shared, &operation))
}

fn operation_url(shared: &Shared, id: &str) -> String {
    format!(
        "{}/subscriptions/{SUBSCRIPTION}/providers/Microsoft.ContainerInstance/locations/{}/operations/{id}?api-version=2018-06-01",
        shared.urls().azure,
        shared.location
    )
}

/// Starts a new life of the group with `wanted`; gives the operation's id.
pub(crate) fn begin(shared: &Arc<Shared>, azure: &mut Azure, key: &Key, wanted: Value) -> String {
    let before = azure.groups.remove(key);
    if let Some(task) = before.as_ref().and_then(|group| group.task.as_ref()) {
        task.abort();
    }
    let ip = match &before {
        Some(group) => group.ip,
        None => {
            azure.addresses = azure.addresses.wrapping_add(1).max(2);
            Ipv4Addr::new(127, shared.network.0, shared.network.1, azure.addresses)
        }
    };
    let generation = before.as_ref().map_or(1, |group| group.generation + 1);
    let mut container = Container { current: json!({"state": "Waiting", "detailStatus": ""}), ..Container::default() };
    if let Some(before) = before {
        container.previous = before.container.current;
        container.events = before.container.events;
        container.event("Killing", "Normal", format!("Killing container {}", key.name));
    }
    let (born, counters) = (shared.faults.moment(), Counters::default());
    let group = Group { body: wanted, generation, born, provisioning: "Pending", state: "Pending", ip, container, counters, task: None };
    azure.groups.insert(key.clone(), group);
    let id = shared.fresh_id();
    azure.operations.insert(id.clone(), Operation { key: key.clone(), generation });
    let task = tokio::spawn(life::live(Arc::clone(shared), key.clone(), generation)).abort_handle();
    shared.keep(task.clone());
    if let Some(group) = azure.groups.get_mut(key) {
        group.task = Some(task);
    }
    id
}

/// Ends a group; gives what it was.
pub(crate) fn end(shared: &Shared, key: &Key) -> Option<Group> {
    let group = lock(&shared.azure).groups.remove(key)?;
    if let Some(task) = &group.task {
        task.abort();
    }
    shared.lives.send_modify(|count| *count += 1);
    Some(group)
}

fn delete(shared: &Shared, key: &Key) -> Reply {
    match end(shared, key) {
        Some(group) => Reply::json(200, &group.show(key, View::Whole, &shared.location)),
        None => Reply::empty(204),
    }
}

fn logs(shared: &Shared, call: &Call, key: &Key) -> Reply {
    let tail = call.query("tail").and_then(|text| text.parse::<usize>().ok()).unwrap_or(usize::MAX);
    with(shared, key, |_, group| {
        let lines = &group.container.logs;
        let shown = lines.get(lines.len().saturating_sub(tail)..).unwrap_or_default();
        Reply::json(200, &json!({"content": shown.iter().map(|line| format!("{line}\n")).collect::<String>()}))
    })
}

fn act(shared: &Arc<Shared>, key: &Key, action: &str) -> Reply {
    let mut azure = lock(&shared.azure);
    let Some(group) = azure.groups.get_mut(key) else {
        drop(azure);
        return missing(shared, key);
    };
    if action == "stop" {
        if let Some(task) = &group.task {
            task.abort();
        }
        group.state = "Stopped";
        group.provisioning = "Succeeded";
        group.container.current = json!({"state": "Terminated", "exitCode": 0, "detailStatus": "Completed"});
    } else {
        let body = group.body.clone();
        begin(shared, &mut azure, key, body);
    }
    Reply::empty(204)
}
