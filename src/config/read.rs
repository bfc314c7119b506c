//! From a checked tree to plain data, defaults filled in. Reports what is wrong; decides nothing.

mod blue_green;
mod canary;
mod container;
mod preflight;
mod rules;
mod whole;

pub use rules::observe_rules;

use std::{collections::BTreeMap, fs, io::Read, path::Path, time::Duration};

use super::{
    Config, ConfigError, Environment, Health, Notify, PagerDuty, Problem, Severity, Slack, StatusPage, When, check, shape, surface,
    tree::{self, Node, Place, Value},
};
use crate::domain::{EnvironmentName, InstanceName, Strategy};

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
        whole::check(&root, &mut problems);
    }
    // What is read below has been checked above; what can still be wrong is reported by the reader itself.
    let config = if problems.is_empty() { config(&root, &mut problems) } else { None };
    match config {
        Some(config) if problems.is_empty() => Ok(config),
        _ => Err(fail(problems)),
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
        metrics: rules::metrics(root.get("metrics")),
        database: rules::database(root.get("database")),
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
    Notify {
        slack,
        pagerduty: pagerduty(node.and_then(|notify| notify.get("pagerduty"))),
        status_page: status_page(node.and_then(|notify| notify.get("status-page"))),
        dashboard: link("dashboard"),
        docs: link("docs"),
    }
}

fn pagerduty(node: Option<&Node>) -> Option<PagerDuty> {
    if node.is_some_and(is_off) {
        return None;
    }
    let severity = match node.and_then(|pagerduty| pagerduty.get("severity")).and_then(Node::text) {
        Some("error") => Severity::Error,
        Some("warning") => Severity::Warning,
        Some("info") => Severity::Info,
        _ => Severity::Critical,
    };
    Some(PagerDuty { severity })
}

/// The page; without an id there is none to write to.
fn status_page(node: Option<&Node>) -> Option<StatusPage> {
    let node = node.filter(|node| !is_off(node))?;
    let id = |name: &str| text(node, name).filter(|id| !id.is_empty());
    Some(StatusPage { page: id("page")?, component: id("component") })
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
        blue_green: blue_green::blue_green(name, application, node, place)?,
        canary: canary::canary(name, application, node, place)?,
        resource_group: text(node, "resource-group").unwrap_or_else(|| format!("{name}-{}", kebab(application))),
        instance,
        tag: template(&tag).map_err(|message| Problem::at(node.get("tag").map_or(place, |node| node.place), message))?,
        url: text(node, "url").and_then(|text| text.parse().ok()),
        container: container::container(root.get("container"), node.get("container")),
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

/// The duration under `name`, or so many seconds.
fn time(node: Option<&Node>, name: &str, otherwise: u64) -> Duration {
    node.and_then(|node| text(node, name)).and_then(|text| shape::duration(&text)).unwrap_or(Duration::from_secs(otherwise))
}

fn health(node: Option<&Node>) -> Health {
    let time = |name: &str, otherwise: u64| time(node, name, otherwise);
    Health { retries: whole(node.and_then(|health| health.get("retries")), 30), every: time("every", 10), timeout: time("timeout", 5) }
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
