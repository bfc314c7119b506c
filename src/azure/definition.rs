//! A container group's definition: the body that is sent, and how an existing group compares with it. Pure.
//! Azure replaces a group by what a PUT holds, so the body is always whole; it never depends on what is there.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::{passthrough, wire::TAG};
use crate::{
    config::{Access, Container, IpType, OsType, Port, Probe, ProbeKind, Protocol, RestartPolicy, SystemIdentity, Volume, VolumeSource},
    domain::{ImageReference, InstanceName, Secret},
    failure::{Failure, FailureKind},
    observe::{Instance, Tags},
    registry::RegistryLogin,
};

/// The longest value of a tag (Azure Resource Manager: 256 characters).
const TAG_VALUE: usize = 256;

/// What an instance is to be.
pub struct Wanted<'a> {
    /// Its name; its container's too.
    pub name: &'a InstanceName,
    /// Azure region.
    pub location: &'a str,
    /// What it gets.
    pub container: &'a Container,
    /// What it runs.
    pub image: &'a ImageReference,
    /// Its environment variables.
    pub env: &'a BTreeMap<String, String>,
    /// All of `container-secrets`.
    pub secrets: &'a BTreeMap<String, Secret>,
    /// Which of them become secure environment variables.
    pub secret_env: &'a [String],
    /// Who pulls the image; left out where `container.registry-identity` does.
    pub registry: Option<RegistryLogin<'a>>,
    /// The Action's tags.
    pub tags: &'a Tags,
}

/// How an existing group compares with what is wanted. Each change is a phrase: "cpu: 1 → 2".
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Comparison {
    /// It is what is wanted.
    Same,
    /// Azure can change it in place; its containers restart.
    InPlace(Vec<String>),
    /// Azure cannot: it must be deleted and made anew (aci-deploy README; azure-docs "Update containers in ACI").
    Recreate(Vec<String>),
}

/// The body of the PUT. Holds secrets: it is for Azure only.
///
/// # Errors
/// A secret that a volume or log analytics names but that was not given (kind `Request`).
pub fn body(wanted: &Wanted<'_>) -> Result<Value, Failure> {
    let container = wanted.container;
    let mut properties = json!({
        "osType": match container.os { OsType::Linux => "Linux", OsType::Windows => "Windows" },
        "restartPolicy": match container.restart { RestartPolicy::Always => "Always", RestartPolicy::OnFailure => "OnFailure", RestartPolicy::Never => "Never" },
        "containers": [{"name": wanted.name.as_str(), "properties": application(wanted)?}],
    });
    let mut set = |name: &str, value: Value| properties.as_object_mut().map(|fields| fields.insert(name.to_owned(), value));
    if let Some(address) = address(wanted) {
        set("ipAddress", address);
    }
    if !container.subnets.is_empty() {
        set("subnetIds", container.subnets.iter().map(|id| json!({"id": id})).collect());
    }
    if let Some(credentials) = credentials(wanted) {
        set("imageRegistryCredentials", json!([credentials]));
    }
    if !container.volumes.is_empty() {
        set("volumes", container.volumes.iter().map(|each| volume(each, wanted)).collect::<Result<_, _>>()?);
    }
    if let Some(log) = &container.log_analytics {
        let key = secret(wanted, &log.workspace_key, "log-analytics.workspace-key")?;
        set("diagnostics", json!({"logAnalytics": {"workspaceId": log.workspace_id, "workspaceKey": key}}));
    }
    passthrough::merge(&mut properties, &Value::Object(container.properties.clone()));
    let mut body = json!({"location": wanted.location, "tags": tags(wanted), "properties": properties});
    if let Some(identity) = identity(container) {
        body["identity"] = identity;
    }
    Ok(body)
}

fn application(wanted: &Wanted<'_>) -> Result<Value, Failure> {
    let container = wanted.container;
    let mut requests = json!({"cpu": container.cpu, "memoryInGB": container.memory});
    if let Some(gpu) = container.gpu {
        use crate::config::GpuSku;
        let sku = match gpu.sku {
            GpuSku::K80 => "K80",
            GpuSku::P100 => "P100",
            GpuSku::V100 => "V100",
        };
        requests["gpu"] = json!({"count": gpu.count, "sku": sku});
    }
    let mut variables: Vec<Value> = wanted.env.iter().map(|(name, value)| json!({"name": name, "value": value})).collect();
    for name in wanted.secret_env {
        variables.push(json!({"name": name, "secureValue": secret(wanted, name, "secrets")?}));
    }
    let mut application = json!({
        "image": wanted.image.pinned(),
        "resources": {"requests": requests},
        "ports": ports(container),
        "environmentVariables": variables,
    });
    if !container.command.is_empty() {
        application["command"] = json!(container.command);
    }
    if let Some(liveness) = &container.liveness {
        application["livenessProbe"] = probe(liveness, container);
    }
    if let Some(readiness) = &container.readiness {
        application["readinessProbe"] = probe(readiness, container);
    }
    if !container.volumes.is_empty() {
        application["volumeMounts"] = container.volumes.iter().map(mount).collect();
    }
    Ok(application)
}

/// The application's port and the further ones.
fn ports(container: &Container) -> Value {
    let own = Port { port: container.port, protocol: Protocol::Tcp };
    let further = container.ports.iter().filter(|port| **port != own);
    std::iter::once(&own)
        .chain(further)
        .map(|port| json!({"port": port.port, "protocol": match port.protocol { Protocol::Tcp => "TCP", Protocol::Udp => "UDP" }}))
        .collect()
}

fn address(wanted: &Wanted<'_>) -> Option<Value> {
    let container = wanted.container;
    match container.ip {
        IpType::None => None,
        IpType::Private => Some(json!({"type": "Private", "ports": ports(container)})),
        IpType::Public => {
            let label = container.dns_label.as_deref().unwrap_or(wanted.name.as_str());
            let mut address = json!({"type": "Public", "ports": ports(container), "dnsNameLabel": label});
            if let Some(scope) = &container.dns_scope {
                address["autoGeneratedDomainNameLabelScope"] = json!(scope);
            }
            Some(address)
        }
    }
}

/// Who pulls the image. Azure refuses an empty block (Azure/aci-deploy#16), so without a login there is none.
fn credentials(wanted: &Wanted<'_>) -> Option<Value> {
    let server = wanted.image.repository.host();
    if let Some(identity) = &wanted.container.registry_identity {
        return Some(json!({"server": server, "identity": identity}));
    }
    wanted.registry.as_ref().map(|login| json!({"server": server, "username": login.username, "password": login.password.expose()}))
}

fn volume(volume: &Volume, wanted: &Wanted<'_>) -> Result<Value, Failure> {
    let mut json = json!({"name": volume.name});
    match &volume.source {
        VolumeSource::AzureFile(file) => {
            json["azureFile"] = json!({
                "shareName": file.share,
                "storageAccountName": file.account,
                "storageAccountKey": secret(wanted, &file.key, "volumes")?,
                "readOnly": file.access == Access::ReadOnly,
            });
        }
        VolumeSource::GitRepository(git) => {
            let mut repository = json!({"repository": git.url});
            if let Some(directory) = &git.directory {
                repository["directory"] = json!(directory);
            }
            if let Some(revision) = &git.revision {
                repository["revision"] = json!(revision);
            }
            json["gitRepo"] = repository;
        }
        VolumeSource::EmptyDir(_) => json["emptyDir"] = json!({}),
        VolumeSource::Secret(files) => {
            let mut contents = Map::new();
            for (file, name) in files {
                contents.insert(file.clone(), json!(base64(secret(wanted, name, "volumes")?.as_bytes())));
            }
            json["secret"] = Value::Object(contents);
        }
    }
    Ok(json)
}

/// Azure takes the files of a secret volume in base64 (Microsoft: "Mount a secret volume in ACI").
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let group = chunk.iter().fold(0_u32, |group, byte| group << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for index in 0..4 {
            let digit = usize::try_from(group >> (18 - 6 * index) & 63).unwrap_or(0);
            text.push(if index > chunk.len() { '=' } else { DIGITS.get(digit).copied().map_or('=', char::from) });
        }
    }
    text
}

fn mount(volume: &Volume) -> Value {
    let read_only = matches!(&volume.source, VolumeSource::AzureFile(file) if file.access == Access::ReadOnly);
    json!({"name": volume.name, "mountPath": volume.mount, "readOnly": read_only})
}

fn probe(probe: &Probe, container: &Container) -> Value {
    let mut json = match &probe.kind {
        ProbeKind::Http { path, port } => json!({"httpGet": {"path": path, "port": port.unwrap_or(container.port), "scheme": "http"}}),
        ProbeKind::Exec(command) => json!({"exec": {"command": command}}),
    };
    let settings = [
        ("initialDelaySeconds", probe.initial_delay_seconds),
        ("periodSeconds", probe.period_seconds),
        ("failureThreshold", probe.failure_threshold),
        ("successThreshold", probe.success_threshold),
        ("timeoutSeconds", probe.timeout_seconds),
    ];
    for (name, value) in settings {
        if let Some(value) = value {
            json[name] = json!(value);
        }
    }
    json
}

fn identity(container: &Container) -> Option<Value> {
    let mut user: Vec<&str> = container.identity.iter().flat_map(|identity| &identity.user).map(String::as_str).collect();
    // The identity that pulls the image must be the group's own, too.
    user.extend(container.registry_identity.as_deref());
    user.sort_unstable();
    user.dedup();
    let system = container.identity.as_ref().map_or(SystemIdentity::Unassigned, |identity| identity.system);
    let kind = match (system, user.is_empty()) {
        (SystemIdentity::Unassigned, true) => return None,
        (SystemIdentity::Unassigned, false) => "UserAssigned",
        (SystemIdentity::Assigned, true) => "SystemAssigned",
        (SystemIdentity::Assigned, false) => "SystemAssigned, UserAssigned",
    };
    let mut json = json!({"type": kind});
    if !user.is_empty() {
        json["userAssignedIdentities"] = user.into_iter().map(|id| (id.to_owned(), json!({}))).collect::<Map<_, _>>().into();
    }
    Some(json)
}

fn tags(wanted: &Wanted<'_>) -> Value {
    let Tags { rollout, version, sha, digest, role, run, previous, rolled_back_from, promoted, held, stable_since, others } = wanted.tags;
    let own = [
        ("rollout", rollout.as_ref().map(ToString::to_string)),
        ("version", version.as_ref().map(ToString::to_string)),
        ("sha", sha.clone()),
        ("digest", digest.as_ref().map(ToString::to_string)),
        ("role", role.clone()),
        ("run", run.clone()),
        ("previous", previous.as_ref().map(ToString::to_string)),
        ("rolled-back-from", rolled_back_from.as_ref().map(ToString::to_string)),
        ("promoted", promoted.map(|at| at.to_string())),
        ("held", held.clone()),
        ("stable-since", stable_since.map(|at| at.to_string())),
    ];
    let mut tags: BTreeMap<String, String> = others.clone();
    tags.extend(wanted.container.tags.clone());
    tags.extend(own.into_iter().filter_map(|(name, value)| Some((format!("{TAG}{name}"), value?))));
    tags.into_iter().map(|(name, value)| (name, json!(value.chars().take(TAG_VALUE).collect::<String>()))).collect::<Map<_, _>>().into()
}

fn secret<'a>(wanted: &Wanted<'a>, name: &str, used_by: &str) -> Result<&'a str, Failure> {
    wanted.secrets.get(name).map(Secret::expose).ok_or_else(|| {
        Failure::new(
            FailureKind::Request,
            format!("{name} is used by `{used_by}` but not given in the input container-secrets"),
            wanted.name.as_str(),
        )
        .meaning("nothing was touched")
        .next(format!("add a line to the step's `container-secrets`: {name}=${{{{ secrets.{name} }}}}"))
    })
}

/// How `existing` compares with `body`, which came from [`body`]. Values that Azure does not give back (passwords, secure
/// values, keys) cannot be compared; the tags of rollout and run are not, they differ each time.
#[must_use]
pub fn compare(existing: &Instance, body: &Value) -> Comparison {
    let mut changes = Changes::default();
    changes.walk(&mut Vec::new(), &existing.definition, body);
    if changes.found.is_empty() {
        Comparison::Same
    } else if changes.needs_anew {
        Comparison::Recreate(changes.found)
    } else {
        Comparison::InPlace(changes.found)
    }
}

#[derive(Default)]
struct Changes {
    found: Vec<String>,
    needs_anew: bool,
}

/// Paths (without list positions) that Azure changes only by delete and create.
const ANEW: [&[&str]; 8] = [
    &["location"],
    &["zones"],
    &["properties", "osType"],
    &["properties", "restartPolicy"],
    &["properties", "subnetIds"],
    &["properties", "sku"],
    &["properties", "ipAddress", "type"],
    &["properties", "containers", "properties", "resources"],
];

/// Tags of the Action that say which run wrote them and how far it came: they are no part of what is wanted.
const RUNS_OWN: [&str; 8] = [
    "deploy-action-rolled-back-from",
    "deploy-action-promoted",
    "deploy-action-rollout",
    "deploy-action-run",
    "deploy-action-role",
    "deploy-action-previous",
    "deploy-action-held",
    "deploy-action-stable-since",
];

/// Names whose values Azure never gives back.
const HIDDEN: [&str; 5] = ["password", "secureValue", "storageAccountKey", "workspaceKey", "secret"];

/// What Azure fills in by itself: as good as absent.
const DEFAULTS: [(&str, &str); 6] = [
    ("protocol", "TCP"),
    ("sku", "Standard"),
    ("priority", "Regular"),
    ("autoGeneratedDomainNameLabelScope", "Unsecure"),
    ("readOnly", "false"),
    ("logType", "ContainerInsights"),
];

impl Changes {
    fn walk(&mut self, path: &mut Vec<String>, old: &Value, new: &Value) {
        match (old, new) {
            (Value::Object(old), Value::Object(new)) => {
                let names: std::collections::BTreeSet<&String> = old.keys().chain(new.keys()).collect();
                for name in names {
                    // Never given back, in whatever form: neither compared nor shown.
                    if HIDDEN.contains(&name.as_str()) && path.first().is_some_and(|first| first != "tags") {
                        continue;
                    }
                    if self.is_ours_alone(path, name) || (!new.contains_key(name) && is_reported(path, name)) {
                        continue;
                    }
                    path.push(name.clone());
                    self.walk(path, old.get(name).unwrap_or(&Value::Null), new.get(name).unwrap_or(&Value::Null));
                    path.pop();
                }
            }
            (Value::Array(old), Value::Array(new)) => self.lists(path, old, new),
            (old, new) if same(path, old, new) => {}
            (old, new) => self.note(path, old, new),
        }
    }

    /// Lists of named things are compared by name, others as sets: Azure does not keep an order.
    fn lists(&mut self, path: &mut Vec<String>, old: &[Value], new: &[Value]) {
        let key = |item: &Value| ["name", "server", "id"].iter().find_map(|key| item.get(key)?.as_str().map(str::to_lowercase));
        for item in new {
            let counterpart = match key(item) {
                Some(name) => old.iter().find(|other| key(other).as_ref() == Some(&name)),
                None => old.iter().find(|other| {
                    let mut inner = Self::default();
                    inner.walk(&mut path.clone(), other, item);
                    inner.found.is_empty()
                }),
            };
            path.push(key(item).unwrap_or_default());
            match counterpart {
                Some(counterpart) => self.walk(path, counterpart, item),
                None => self.note(path, &Value::Null, item),
            }
            path.pop();
        }
        for item in old {
            let kept = match key(item) {
                Some(name) => new.iter().any(|other| key(other).as_ref() == Some(&name)),
                None => new.iter().any(|other| {
                    let mut inner = Self::default();
                    inner.walk(&mut path.clone(), item, other);
                    inner.found.is_empty()
                }),
            };
            if !kept {
                path.push(key(item).unwrap_or_default());
                self.note(path, item, &Value::Null);
                path.pop();
            }
        }
    }

    fn note(&mut self, path: &[String], old: &Value, new: &Value) {
        let plain: Vec<&str> = path.iter().map(String::as_str).collect();
        if ANEW.iter().any(|anew| is_below(&plain, anew)) {
            self.needs_anew = true;
        }
        self.found.push(format!("{}: {}", words(&plain), arrow(&plain, old, new)));
    }

    /// The Action's tags that differ in every run, and tags of others, which stay theirs.
    fn is_ours_alone(&self, path: &[String], name: &str) -> bool {
        path.len() == 1 && path[0] == "tags" && (!name.starts_with(TAG) || RUNS_OWN.contains(&name))
    }
}

/// Whether `path` lies at or below `anew`, names of list items left out.
fn is_below(path: &[&str], anew: &[&str]) -> bool {
    let mut wanted = anew.iter().peekable();
    for part in path {
        if wanted.peek() == Some(&part) {
            wanted.next();
        }
    }
    wanted.peek().is_none()
}

/// Whether Azure may report `name` under `path` without anybody having set it.
fn is_reported(path: &[String], name: &str) -> bool {
    if path.last().is_some_and(|last| last == "ipAddress") && matches!(name, "ip" | "fqdn" | "dnsNameLabelReusePolicy") {
        return true;
    }
    if path.last().is_some_and(|last| last == "identity") && matches!(name, "principalId" | "tenantId") {
        return true;
    }
    // What a request cannot set was not set by one. List items' names in the path are not part of the schema.
    let schema_path: Vec<&str> = schema_path(path);
    !passthrough::knows(&schema_path, name)
}

/// `path` without the names of list items: after a list's name comes an item's.
fn schema_path(path: &[String]) -> Vec<&str> {
    const LISTS: [&str; 8] = [
        "containers",
        "environmentVariables",
        "ports",
        "volumes",
        "volumeMounts",
        "imageRegistryCredentials",
        "subnetIds",
        "initContainers",
    ];
    let mut plain = Vec::new();
    let mut parts = path.iter().map(String::as_str);
    while let Some(part) = parts.next() {
        plain.push(part);
        if LISTS.contains(&part) {
            parts.next();
        }
    }
    plain
}

/// Whether two values mean the same to Azure.
fn same(path: &[String], old: &Value, new: &Value) -> bool {
    let name = path.last().map_or("", String::as_str);
    let text = |value: &Value| match value {
        Value::String(text) => Some(text.clone()),
        Value::Bool(_) => Some(value.to_string()),
        Value::Null | Value::Number(_) | Value::Array(_) | Value::Object(_) => None,
    };
    match (old, new) {
        (Value::Number(old), Value::Number(new)) => old.as_f64() == new.as_f64(),
        (Value::String(old), Value::String(new)) if name == "location" => squeezed(old) == squeezed(new),
        (Value::String(old), Value::String(new)) if name == "value" || name == "image" => old == new,
        (Value::String(old), Value::String(new)) => old.eq_ignore_ascii_case(new),
        (old, new) if old == new => true,
        (Value::Null, value) | (value, Value::Null) => {
            is_empty(value)
                || DEFAULTS.iter().any(|(key, default)| *key == name && text(value).is_some_and(|text| text.eq_ignore_ascii_case(default)))
        }
        _ => false,
    }
}

fn squeezed(location: &str) -> String {
    location.chars().filter(|c| !c.is_whitespace()).collect::<String>().to_lowercase()
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        // Azure fills in objects of nulls and defaults.
        Value::Object(fields) => fields.values().all(is_empty),
        Value::String(text) => text.is_empty(),
        Value::Bool(_) | Value::Number(_) => false,
    }
}

/// What people call a place: "env LOG_LEVEL", "cpu", "ipAddress.dnsNameLabel".
fn words(path: &[&str]) -> String {
    let meaningful: Vec<&str> = path
        .iter()
        .copied()
        .filter(|part| !part.is_empty() && !matches!(*part, "properties" | "containers" | "resources" | "requests"))
        .collect();
    if let Some(position) = path.iter().position(|part| *part == "environmentVariables") {
        return format!("env {}", path.get(position + 1).map_or(String::new(), |name| name.to_uppercase()));
    }
    match path.last().copied().unwrap_or_default() {
        "memoryInGB" => "memory".to_owned(),
        last @ ("image" | "cpu") => last.to_owned(),
        last if last.starts_with(TAG) => last.trim_start_matches(TAG).to_owned(),
        _ => {
            // Inside the container the first part is its name, which is the instance's.
            let skip = usize::from(path.get(1) == Some(&"containers"));
            meaningful.iter().skip(skip).copied().collect::<Vec<_>>().join(".")
        }
    }
}

/// Whether a value that Azure never gives back stands anywhere in `value`.
fn holds_a_secret(value: &Value) -> bool {
    match value {
        Value::Object(fields) => fields.iter().any(|(name, inner)| HIDDEN.contains(&name.as_str()) || holds_a_secret(inner)),
        Value::Array(items) => items.iter().any(holds_a_secret),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

fn arrow(path: &[&str], old: &Value, new: &Value) -> String {
    let show = |value: &Value| {
        let text = match value {
            Value::Null => return "absent".to_owned(),
            Value::String(text) => text.clone(),
            Value::Number(number) => {
                let unit = if path.last() == Some(&"memoryInGB") { " GB" } else { "" };
                return format!("{}{unit}", number.as_f64().unwrap_or_default());
            }
            value if holds_a_secret(value) => return "set (secret)".to_owned(),
            Value::Object(fields) if path.contains(&"environmentVariables") => {
                fields.get("value").and_then(Value::as_str).unwrap_or("set").to_owned()
            }
            other => other.to_string(),
        };
        let text = super::error::printable(&text);
        if text.chars().count() > 100 { format!("{}…", text.chars().take(100).collect::<String>()) } else { text }
    };
    format!("{} → {}", show(old), show(new))
}
