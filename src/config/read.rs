//! From a checked tree to plain data, defaults filled in; and what only the whole can tell: sums, orders, contradictions.

use std::{collections::BTreeMap, fs, io::Read, path::Path, time::Duration};

use super::{
    Access, AzureFile, Config, ConfigError, Container, EmptyDir, Environment, GitRepository, Gpu, GpuSku, Health, Identity, IpType,
    LogAnalytics, Notify, OsType, Port, Probe, ProbeKind, Problem, Protocol, RestartPolicy, Slack, SystemIdentity, Volume, VolumeSource,
    When, check, shape, surface,
    tree::{self, Node, Place, Value},
};
use crate::{
    azure::passthrough,
    domain::{EnvironmentName, InstanceName, Share, Strategy},
};

/// The largest file that is read: the example is 8 KiB.
const LARGEST: u64 = 1024 * 1024;

/// Reads and checks the file at `path`.
///
/// # Errors
/// Everything that is wrong with it, with line and column.
pub fn load(path: &Path) -> Result<Config, ConfigError> {
    let name = path.display().to_string();
    let whole = |message: String| ConfigError::new(&name, "", vec![Problem::at(Place::default(), message)]);
    let file = fs::File::open(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => whole("there is no such file; `config` names it, actions/checkout brings it".into()),
        _ => whole(format!("it cannot be read: {error}")),
    })?;
    let mut bytes = Vec::new();
    file.take(LARGEST + 1).read_to_end(&mut bytes).map_err(|error| whole(format!("it cannot be read: {error}")))?;
    if bytes.len() as u64 > LARGEST {
        return Err(whole("it is larger than 1 MiB".into()));
    }
    let text = String::from_utf8(bytes).map_err(|error| {
        let line = error.as_bytes().iter().take(error.utf8_error().valid_up_to()).filter(|byte| **byte == b'\n').count() + 1;
        ConfigError::new(&name, "", vec![Problem::at(Place { line, column: 1 }, "this line is not UTF-8")])
    })?;
    parse(&text, &name)
}

/// Checks `text`, which came from `file_name`.
///
/// # Errors
/// Everything that is wrong with it, with line and column.
pub fn parse(text: &str, file_name: &str) -> Result<Config, ConfigError> {
    let fail = |problems| ConfigError::new(file_name, text, problems);
    let root = tree::parse(text).map_err(|problem| fail(vec![problem]))?;
    let mut problems = Vec::new();
    check::check(&surface::FILE, &root, "", &mut problems);
    if problems.is_empty() {
        as_a_whole(&root, &mut problems);
    }
    // What is read below has been checked above; what can still be wrong is reported by the reader itself.
    let config = if problems.is_empty() { config(&root, &mut problems) } else { None };
    match config {
        Some(config) if problems.is_empty() => Ok(config),
        _ => Err(fail(problems)),
    }
}

// ---- what only the whole can tell -------------------------------------------------------------------------------------

fn as_a_whole(root: &Node, problems: &mut Vec<Problem>) {
    if let Some(metrics) = root.get("metrics")
        && let (Some(_), Some(scrape)) = (metrics.get("prometheus"), metrics.get("scrape"))
    {
        problems.push(Problem::at(scrape.place, "`scrape` and `prometheus` exclude each other: keep one"));
    }
    let Some(environments) = root.get("environments") else { return };
    if environments.entries().is_empty() {
        problems.push(Problem::at(environments.place, "`environments` is empty; there must be at least one"));
    }
    properties(root.get("container"), problems);
    let mut patterns: Vec<(&'static str, String)> = Vec::new();
    for (key, environment) in environments.entries() {
        properties(environment.get("container"), problems);
        let when = when(environment, &key.name);
        for (kind, pattern) in [("branch", &when.branch), ("tag", &when.tag)] {
            let Some(pattern) = pattern else { continue };
            if patterns.contains(&(kind, pattern.clone())) {
                problems.push(Problem::at(
                    key.place,
                    format!("environment `{}` is deployed by {kind} `{pattern}`, and so is another", key.name),
                ));
            }
            patterns.push((kind, pattern.clone()));
        }
        strategy_fits(&key.name, environment, problems);
        phases(environment, problems);
        volumes(environment.get("container"), problems);
        rules(environment, problems);
    }
    volumes(root.get("container"), problems);
}

fn properties(container: Option<&Node>, problems: &mut Vec<Problem>) {
    let Some(properties) = container.and_then(|container| container.get("properties")) else { return };
    match json(properties) {
        serde_json::Value::Object(fields) => {
            if let Err(error) = passthrough::check(&fields) {
                problems.push(Problem::at(properties.place, format!("`properties`{error}")));
            }
        }
        _ => problems.push(Problem::at(properties.place, "`properties` must be a section with Microsoft's names")),
    }
}

/// Keys of one strategy in an environment of another would have no effect, and nobody would notice.
fn strategy_fits(name: &str, environment: &Node, problems: &mut Vec<Problem>) {
    const BLUE_GREEN: [&str; 2] = ["slots", "observe"];
    const CANARY: [&str; 6] = ["instances", "stable-url", "preflight", "abort", "phases", "stabilize"];
    const ROUTED: [&str; 2] = ["traffic-manager", "rollback"];
    let strategy = strategy(environment, name);
    let foreign: Vec<&str> = match strategy {
        Strategy::Direct => [BLUE_GREEN.as_slice(), &CANARY, &ROUTED].concat(),
        Strategy::BlueGreen => [CANARY.as_slice(), &["instance"]].concat(),
        Strategy::Canary => [BLUE_GREEN.as_slice(), &["instance"]].concat(),
    };
    for (key, _) in environment.entries().iter().filter(|(key, _)| foreign.contains(&key.name.as_str())) {
        let message =
            format!("`{}` has no effect with `strategy: {}`, which `{name}` has; remove one of them", key.name, strategy.as_str());
        problems.push(Problem::at(key.place, message));
    }
}

fn phases(environment: &Node, problems: &mut Vec<Problem>) {
    for list in [environment.get("phases"), environment.get("rollback").and_then(|rollback| rollback.get("staged"))].into_iter().flatten() {
        let mut last = Share::ZERO;
        for phase in list.items() {
            let Some((share, node)) = phase.get("traffic").and_then(|node| Some((node.text()?.parse::<Share>().ok()?, node))) else {
                continue;
            };
            if share <= last {
                problems.push(Problem::at(node.place, format!("shares must rise: {share} comes after {last}")));
            }
            last = share;
            if let Some(back) = phase.get("on-breach")
                && back.text().and_then(|text| text.parse::<Share>().ok()).is_some_and(|back| back >= share)
            {
                problems.push(Problem::at(back.place, format!("`on-breach` must be below the phase's own {share}")));
            }
        }
        if last != Share::ALL && !list.items().is_empty() {
            problems.push(Problem::at(list.place, format!("the last share must be 100%, it is {last}")));
        }
    }
    if let Some(instances) = environment.get("instances") {
        let number =
            |name: &str, otherwise: u64| instances.get(name).and_then(Node::text).and_then(|text| text.parse().ok()).unwrap_or(otherwise);
        let (count, active) = (number("count", 3), number("active", 2));
        if active > count {
            problems.push(Problem::at(instances.place, format!("`active` ({active}) is more than `count` ({count})")));
        }
    }
}

fn volumes(container: Option<&Node>, problems: &mut Vec<Problem>) {
    for (key, volume) in container.and_then(|container| container.get("volumes")).map_or(&[][..], Node::entries) {
        let kinds: Vec<&str> = ["azure-file", "git", "empty", "secret"].into_iter().filter(|kind| volume.get(kind).is_some()).collect();
        if kinds.len() != 1 {
            problems.push(Problem::at(key.place, format!("volume `{}` must be exactly one of azure-file, git, empty, secret", key.name)));
        }
    }
    for name in ["liveness", "readiness"] {
        let Some(probe) = container.and_then(|container| container.get(name)).filter(|probe| !is_off(probe)) else { continue };
        if probe.get("path").is_some() == probe.get("command").is_some() {
            problems.push(Problem::at(probe.place, format!("`{name}` must have either `path` or `command`")));
        }
    }
}

/// A rule without a bound could never trip; one whose bounds contradict each other always would.
fn rules(environment: &Node, problems: &mut Vec<Problem>) {
    let observed = ["observe", "preflight", "abort", "stabilize"].into_iter().filter_map(|name| environment.get(name));
    let phases = environment.get("phases").map_or(&[][..], Node::items);
    for holder in observed.chain(phases) {
        for (key, rule) in holder.get("rules").map_or(&[][..], Node::entries) {
            let bounds = ["max", "min", "max-of-baseline", "min-of-baseline"];
            if !is_off(rule) && key.name != "health" && !bounds.iter().any(|bound| rule.get(bound).is_some()) {
                problems.push(Problem::at(key.place, format!("rule `{}` has no bound: give it {}", key.name, bounds.join(", "))));
            }
        }
    }
}

// ---- plain data -------------------------------------------------------------------------------------------------------

fn is_off(node: &Node) -> bool {
    node.text() == Some("off")
}

fn config(root: &Node, problems: &mut Vec<Problem>) -> Option<Config> {
    let application = text(root, "application")?;
    let environments = root.get("environments")?.entries().iter().filter_map(|(key, node)| {
        let name: EnvironmentName = key.name.parse().ok()?;
        match environment(&name, &application, node, root, key.place) {
            Ok(environment) => Some((name, environment)),
            Err(problem) => {
                problems.push(problem);
                None
            }
        }
    });
    let environments: BTreeMap<_, _> = environments.collect();
    Some(Config {
        image: text(root, "image")?.parse().ok()?,
        location: text(root.get("azure")?, "location")?,
        metrics: None,
        notify: notify(root.get("notify")),
        environments,
        application,
    })
}

fn text(node: &Node, name: &str) -> Option<String> {
    node.get(name).and_then(Node::text).map(str::to_owned)
}

fn texts(node: Option<&Node>) -> Vec<String> {
    node.map_or(&[][..], Node::items).iter().filter_map(|item| item.text().map(str::to_owned)).collect()
}

fn whole<T: TryFrom<u64>>(node: Option<&Node>, otherwise: T) -> T {
    node.and_then(Node::text).and_then(|text| text.parse::<u64>().ok()).and_then(|number| T::try_from(number).ok()).unwrap_or(otherwise)
}

fn notify(node: Option<&Node>) -> Notify {
    if node.is_some_and(is_off) {
        return Notify::default();
    }
    let slack = node.and_then(|notify| notify.get("slack"));
    let slack = if slack.is_some_and(is_off) {
        None
    } else {
        let channel = |name: &str, otherwise: &str| slack.and_then(|slack| text(slack, name)).unwrap_or_else(|| otherwise.to_owned());
        Some(Slack { channel: channel("channel", "#nextgen-devops"), incidents: channel("incidents", "#nextgen-incidents") })
    };
    let link = |name: &str| node.and_then(|notify| text(notify, name)).filter(|text| text != "off").and_then(|text| text.parse().ok());
    Notify { slack, dashboard: link("dashboard"), docs: link("docs") }
}

fn strategy(environment: &Node, name: &str) -> Strategy {
    match (environment.get("strategy").and_then(Node::text), name) {
        (Some("blue-green"), _) | (None, "staging") => Strategy::BlueGreen,
        (Some("canary"), _) | (None, "prod") => Strategy::Canary,
        _ => Strategy::Direct,
    }
}

fn when(environment: &Node, name: &str) -> When {
    match environment.get("when") {
        Some(when) => When { branch: text(when, "branch"), tag: text(when, "tag") },
        None => match name {
            "dev" => When { branch: Some("develop".into()), tag: None },
            "staging" => When { branch: Some("main".into()), tag: None },
            "prod" => When { branch: None, tag: Some("v*".into()) },
            _ => When::default(),
        },
    }
}

fn environment(name: &EnvironmentName, application: &str, node: &Node, root: &Node, place: Place) -> Result<Environment, Problem> {
    let instance = match text(node, "instance") {
        Some(instance) => instance,
        None => format!("aci-{name}-{}", kebab(application)),
    };
    let instance: InstanceName =
        instance.parse().map_err(|error| Problem::at(place, format!("`instance` has no usable default here ({error}); set it")))?;
    let tag = text(node, "tag").unwrap_or_else(|| {
        match name.as_str() {
            "dev" => "develop-{sha}",
            "staging" => "main-{sha}",
            "prod" => "{version}",
            _ => "{sha}",
        }
        .to_owned()
    });
    let env = node.get("env").map_or(&[][..], Node::entries);
    let env = env.iter().map(|(key, value)| {
        let value_text = value.text().ok_or_else(|| Problem::at(value.place, format!("`{}` must be a single value", key.name)))?;
        if check::is_variable(&key.name) {
            Ok((key.name.clone(), value_text.to_owned()))
        } else {
            Err(Problem::at(key.place, format!("`{}` is not a variable's name: letters, digits and underscores", key.name)))
        }
    });
    let env: BTreeMap<String, String> = env.collect::<Result<_, Problem>>()?;
    let secrets = texts(node.get("secrets"));
    if let Some(both) = secrets.iter().find(|name| env.contains_key(*name)) {
        return Err(Problem::at(
            node.get("secrets").map_or(place, |node| node.place),
            format!("`{both}` stands under `env` and under `secrets`"),
        ));
    }
    Ok(Environment {
        name: name.clone(),
        when: when(node, name.as_str()),
        strategy: strategy(node, name.as_str()),
        blue_green: None,
        resource_group: text(node, "resource-group").unwrap_or_else(|| format!("{name}-{}", kebab(application))),
        instance,
        tag: template(&tag).map_err(|message| Problem::at(node.get("tag").map_or(place, |node| node.place), message))?,
        url: text(node, "url").and_then(|text| text.parse().ok()),
        container: container(root.get("container"), node.get("container")),
        env,
        secrets,
        health: health(node.get("health")),
        smoke: match node.get("smoke") {
            None => vec!["/health".into()],
            Some(node) if is_off(node) => Vec::new(),
            node => texts(node),
        },
    })
}

/// An application's name as a part of resource names.
fn kebab(application: &str) -> String {
    let lower = application.to_lowercase();
    let parts: Vec<&str> = lower.split(|c: char| !c.is_ascii_alphanumeric()).filter(|part| !part.is_empty()).collect();
    parts.join("-")
}

/// Checks the placeholders of a tag template.
fn template(tag: &str) -> Result<String, String> {
    let mut rest = tag.to_owned();
    for placeholder in ["{sha}", "{version}", "{branch}"] {
        rest = rest.replace(placeholder, "x");
    }
    match rest.parse::<crate::domain::Version>() {
        Ok(_) => Ok(tag.to_owned()),
        Err(error) => Err(format!("`tag`: {error}; {{sha}}, {{version}} and {{branch}} are filled in")),
    }
}

fn health(node: Option<&Node>) -> Health {
    let time = |name: &str, otherwise: u64| {
        node.and_then(|health| text(health, name)).and_then(|text| shape::duration(&text)).unwrap_or(Duration::from_secs(otherwise))
    };
    Health { retries: whole(node.and_then(|health| health.get("retries")), 30), every: time("every", 10), timeout: time("timeout", 5) }
}

/// The common section with the environment's own laid over it, key by key.
fn container(common: Option<&Node>, own: Option<&Node>) -> Container {
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

/// The JSON that a free value means: YAML 1.2's core schema.
pub(super) fn json(node: &Node) -> serde_json::Value {
    match &node.value {
        Value::Quoted(text) => text.as_str().into(),
        Value::Plain(text) => match text.as_str() {
            "" | "~" | "null" => serde_json::Value::Null,
            "true" => true.into(),
            "false" => false.into(),
            text => match (text.parse::<i64>(), text.parse::<f64>()) {
                (Ok(number), _) => number.into(),
                (_, Ok(number)) if number.is_finite() => number.into(),
                _ => text.into(),
            },
        },
        Value::List(items) => items.iter().map(json).collect(),
        Value::Map(entries) => entries.iter().map(|(key, value)| (key.name.clone(), json(value))).collect::<serde_json::Map<_, _>>().into(),
    }
}
