//! What only the whole of a `deploy.yml` can tell: sums, orders, contradictions. Reports problems; produces no data.

use super::{
    canary, is_off, json, preflight,
    rules::{self, Context},
    strategy, when,
};
use crate::{
    azure::passthrough,
    config::{Problem, tree::Node},
    domain::{Share, Strategy},
};

/// Everything that is wrong with a tree whose parts have each been checked.
pub(super) fn check(root: &Node, problems: &mut Vec<Problem>) {
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
    let context = Context::new(root, problems);
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
        preflight::check(environment, problems);
        volumes(environment.get("container"), problems);
        rules::check(&key.name, environment, &context, problems);
        canary::check_verify(environment, &context, problems);
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
