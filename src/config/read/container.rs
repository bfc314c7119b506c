//! `container:`, as plain data: the common section with the environment's own laid over it.
//! Reads a checked tree; knows nothing of Azure's names.

use super::{is_off, json, text, texts, whole};
use crate::config::{
    Access, AzureFile, Container, EmptyDir, GitRepository, Gpu, GpuSku, Identity, IpType, LogAnalytics, OsType, Port, Probe, ProbeKind,
    Protocol, RestartPolicy, SystemIdentity, Volume, VolumeSource, shape, tree::Node,
};

/// The common section with the environment's own laid over it, key by key.
pub(super) fn container(common: Option<&Node>, own: Option<&Node>) -> Container {
    let find = |name: &str| own.and_then(|own| own.get(name)).or_else(|| common.and_then(|common| common.get(name)));
    let some = |name: &str| find(name).filter(|node| !is_off(node));
    let word = |name: &str| find(name).and_then(Node::text).unwrap_or_default();
    let number = |name: &str, otherwise: f64| find(name).and_then(Node::text).and_then(|text| text.parse().ok()).unwrap_or(otherwise);
    Container {
        port: whole(find("port"), 3000),
        ports: find("ports").map_or(&[][..], Node::items).iter().map(port).collect(),
        health: find("health").and_then(Node::text).unwrap_or("/health").to_owned(),
        cpu: number("cpu", 1.0),
        memory: number("memory", 1.0),
        gpu: some("gpu").map(|gpu| Gpu {
            count: whole(gpu.get("count"), 1),
            sku: match gpu.get("sku").and_then(Node::text) {
                Some("K80") => GpuSku::K80,
                Some("P100") => GpuSku::P100,
                _ => GpuSku::V100,
            },
        }),
        os: if word("os") == "windows" { OsType::Windows } else { OsType::Linux },
        restart: match word("restart") {
            "on-failure" => RestartPolicy::OnFailure,
            "never" => RestartPolicy::Never,
            _ => RestartPolicy::Always,
        },
        command: texts(find("command")),
        ip: match word("ip") {
            "private" => IpType::Private,
            "none" => IpType::None,
            _ => IpType::Public,
        },
        subnets: texts(find("subnets")),
        dns_label: find("dns-label").and_then(Node::text).map(str::to_owned),
        dns_scope: find("dns-scope").and_then(Node::text).map(str::to_owned),
        log_analytics: some("log-analytics")
            .and_then(|log| Some(LogAnalytics { workspace_id: text(log, "workspace-id")?, workspace_key: text(log, "workspace-key")? })),
        volumes: find("volumes").map_or(&[][..], Node::entries).iter().filter_map(|(key, node)| volume(&key.name, node)).collect(),
        identity: some("identity").map(|identity| Identity {
            system: if identity.get("system").and_then(Node::text) == Some("true") {
                SystemIdentity::Assigned
            } else {
                SystemIdentity::Unassigned
            },
            user: texts(identity.get("user")),
        }),
        registry_identity: find("registry-identity").and_then(Node::text).map(str::to_owned),
        liveness: some("liveness").map(probe),
        readiness: some("readiness").map(probe),
        properties: properties_of(common, own),
        tags: find("tags")
            .map_or(&[][..], Node::entries)
            .iter()
            .filter_map(|(key, node)| Some((key.name.clone(), node.text()?.to_owned())))
            .collect(),
    }
}

fn properties_of(common: Option<&Node>, own: Option<&Node>) -> serde_json::Map<String, serde_json::Value> {
    let found = own.and_then(|own| own.get("properties")).or_else(|| common.and_then(|common| common.get("properties")));
    match found.map(json) {
        Some(serde_json::Value::Object(fields)) => fields,
        _ => serde_json::Map::new(),
    }
}

fn port(node: &Node) -> Port {
    let protocol = if node.get("protocol").and_then(Node::text) == Some("udp") { Protocol::Udp } else { Protocol::Tcp };
    Port { port: whole(node.get("port"), 0), protocol }
}

fn volume(name: &str, node: &Node) -> Option<Volume> {
    let source = if let Some(file) = node.get("azure-file") {
        VolumeSource::AzureFile(AzureFile {
            share: text(file, "share")?,
            account: text(file, "account")?,
            key: text(file, "key")?,
            access: if file.get("access").and_then(Node::text) == Some("read-only") { Access::ReadOnly } else { Access::ReadWrite },
        })
    } else if let Some(git) = node.get("git") {
        VolumeSource::GitRepository(GitRepository {
            url: text(git, "url")?,
            directory: text(git, "directory"),
            revision: text(git, "revision"),
        })
    } else if let Some(files) = node.get("secret") {
        VolumeSource::Secret(files.entries().iter().filter_map(|(key, value)| Some((key.name.clone(), value.text()?.to_owned()))).collect())
    } else {
        VolumeSource::EmptyDir(EmptyDir)
    };
    Some(Volume { name: name.to_owned(), mount: text(node, "mount")?, source })
}

fn probe(node: &Node) -> Probe {
    let seconds = |name: &str| text(node, name).and_then(|text| shape::duration(&text)).and_then(|time| u32::try_from(time.as_secs()).ok());
    let count = |name: &str| node.get(name).map(|value| whole(Some(value), 1));
    let kind = match text(node, "path") {
        Some(path) => ProbeKind::Http { path, port: node.get("port").map(|port| whole(Some(port), 0)) },
        None => ProbeKind::Exec(texts(node.get("command"))),
    };
    Probe {
        kind,
        initial_delay_seconds: seconds("initial-delay"),
        period_seconds: seconds("every"),
        failure_threshold: count("failures"),
        success_threshold: count("successes"),
        timeout_seconds: seconds("timeout"),
    }
}
