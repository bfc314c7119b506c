//! What the canary strategy needs (runbook Scenario 3), names and figures filled in. Reads a checked tree; knows nothing of Azure.

use std::time::Duration;

use super::{blue_green::default_profile, is_off, kebab, preflight, rules, strategy, text, texts, time, whole};
use crate::{
    config::{
        Abort, Ask, Bound, Canary, FinalCheck, OnBreach, Phase, Problem, ProfileConfig, Quantity, Rule, Stabilize, Staged, Verify, sql,
        tree::{Key, Node, Place},
    },
    domain::{EnvironmentName, InstanceName, Share, Strategy},
};

/// What is configured for the canary of `name`, where its strategy is canary.
pub(super) fn canary(name: &EnvironmentName, application: &str, environment: &Node, place: Place) -> Result<Option<Canary>, Problem> {
    match strategy(environment, name.as_str()) {
        Strategy::Canary => {}
        Strategy::Direct | Strategy::BlueGreen => return Ok(None),
    }
    let instances = environment.get("instances");
    let stem = instances.and_then(|node| text(node, "stable")).unwrap_or_else(|| format!("{name}-{}-stable", kebab(application)));
    let named = |key: &str, otherwise: String| -> Result<InstanceName, Problem> {
        let instance = instances.and_then(|node| text(node, key)).unwrap_or(otherwise);
        instance.parse().map_err(|error| Problem::at(place, format!("`instances.{key}` has no usable default here ({error}); set it")))
    };
    let count: usize = whole(instances.and_then(|node| node.get("count")), 3);
    let active: usize = whole(instances.and_then(|node| node.get("active")), 2);
    let stable: Vec<InstanceName> = (1..=count)
        .map(|number| format!("{stem}-{number}").parse())
        .collect::<Result<_, _>>()
        .map_err(|error| Problem::at(place, format!("`instances.stable` has no usable default here ({error}); set it")))?;
    let canary = named("canary", format!("{name}-{}-canary-1", kebab(application)))?;
    let old = named("old", format!("{name}-{}-old-1", kebab(application)))?;
    for (one, other) in [(&canary, &old)].into_iter().chain(stable.iter().flat_map(|stable| [(stable, &canary), (stable, &old)])) {
        if one == other {
            let place = instances.map_or(place, |node| node.place);
            return Err(Problem::at(place, format!("`{one}` stands for two instances; the new version would replace the one people use")));
        }
    }
    let manager = environment.get("traffic-manager");
    let profile = ProfileConfig {
        name: match manager.and_then(|manager| text(manager, "profile")) {
            Some(profile) => profile,
            None => default_profile(name, application, place)?,
        },
        dns_name: manager.and_then(|manager| text(manager, "dns-name")).and_then(|text| text.parse().ok()),
    };
    Ok(Some(Canary {
        active: active.min(stable.len()),
        stable,
        canary,
        old,
        profile,
        stable_url: text(environment, "stable-url").and_then(|url| url.parse().ok()),
        abort: abort(environment.get("abort")),
        phases: phases(environment.get("phases"), active),
        stabilize: stabilize(environment.get("stabilize")),
        staged: staged(environment.get("rollback").and_then(|rollback| rollback.get("staged"))),
        preflight: preflight::preflight(environment.get("preflight")),
    }))
}

fn default(metric: &str, bound: Option<Bound>, consecutive: u32) -> Option<Rule> {
    Some(Rule { metric: metric.parse().ok()?, bounds: bound.into_iter().collect(), consecutive })
}

/// At most so many percent (in parts per million) of requests may fail, and so many milliseconds may the p99 take.
fn usual(ppm: u32, milliseconds: u32) -> Vec<Rule> {
    let share = Share::from_ppm(ppm).map_or(0.0, Share::ratio);
    let slow = f64::from(milliseconds) / 1000.0;
    [
        default("error-rate", Some(Bound::Max(Quantity::ratio(share))), rules::CONSECUTIVE),
        default("latency-p99", Some(Bound::Max(Quantity::seconds(slow))), rules::CONSECUTIVE),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// The runbook's automatic rollback triggers (Scenario 3, Step 3) that need neither query nor database.
fn abort_rules() -> Vec<Rule> {
    [
        default("error-rate", Some(Bound::Max(Quantity::ratio(0.01))), 2),
        default("latency-p99", Some(Bound::Max(Quantity::seconds(2.0))), 3),
        default("health", None, 1),
        default("restarts", Some(Bound::Max(Quantity::plain(2.0))), 1),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn abort(node: Option<&Node>) -> Option<Abort> {
    if node.is_some_and(is_off) {
        return None;
    }
    Some(Abort { every: time(node, "every", 10), rules: rules::laid_over(abort_rules(), node) })
}

/// The phases; without any, the runbook's four with those of their rules that need no query (Scenario 3, Steps 3 and 4).
fn phases(node: Option<&Node>, active: usize) -> Vec<Phase> {
    let given = node.map_or(&[][..], Node::items);
    if given.is_empty() {
        let minutes = Duration::from_secs(5 * 60);
        let phase = |ppm, stable, rules, back| {
            Some(Phase { share: Share::from_ppm(ppm)?, duration: minutes, stable, rules, on_breach: Share::from_ppm(back)? })
        };
        return [
            phase(50_000, active, usual(10_000, 2000), 0),
            phase(250_000, active, usual(5_000, 1000), 0),
            phase(500_000, 1, usual(2_000, 1000), 250_000),
            phase(1_000_000, active, usual(1_000, 500), 0),
        ]
        .into_iter()
        .flatten()
        .collect();
    }
    given
        .iter()
        .map(|phase| {
            let share = |name: &str| phase.get(name).and_then(Node::text).and_then(|text| text.parse().ok()).unwrap_or(Share::ZERO);
            Phase {
                share: share("traffic"),
                duration: time(Some(phase), "for", 5 * 60),
                stable: whole(phase.get("stable"), active),
                rules: rules::laid_over(Vec::new(), Some(phase)),
                on_breach: share("on-breach"),
            }
        })
        .collect()
}

fn stabilize(node: Option<&Node>) -> Option<Stabilize> {
    if node.is_some_and(is_off) {
        return None;
    }
    let find = |name: &str| node.and_then(|node| node.get(name));
    let verify = find("verify").filter(|node| !is_off(node));
    // Runbook Scenario 3, Step 5: "Error Rate < 0.1% required, Latency p99 < 500ms required".
    Some(Stabilize {
        duration: time(node, "for", 30 * 60),
        every: time(node, "every", 10),
        rules: rules::laid_over(usual(1_000, 500), node),
        on_breach: match find("on-breach").and_then(Node::text) {
            Some("instant") => OnBreach::Instant,
            _ => OnBreach::Staged,
        },
        verify: Verify { smoke: texts(verify.and_then(|verify| verify.get("smoke"))), checks: final_checks(verify) },
    })
}

/// The entries of one kind of check.
fn entries<'a>(verify: Option<&'a Node>, kind: &str) -> &'a [(Key, Node)] {
    verify.and_then(|verify| verify.get(kind)).map_or(&[][..], Node::entries)
}

/// The checks by SQL, then those by PromQL, each in the file's order.
fn final_checks(verify: Option<&Node>) -> Vec<FinalCheck> {
    let sql = entries(verify, "sql").iter().filter_map(|(key, node)| {
        let ask = Ask::Sql { query: node.text()?.to_owned() };
        Some(FinalCheck { name: key.name.clone(), ask })
    });
    let metrics = entries(verify, "metrics").iter().filter_map(|(key, node)| {
        let bound = |name: &str| node.get(name).and_then(Node::text).and_then(rules::quantity);
        let ask = Ask::Metric { query: text(node, "query")?, max: bound("max"), min: bound("min") };
        Some(FinalCheck { name: key.name.clone(), ask })
    });
    sql.chain(metrics).collect()
}

/// What is wrong with the final checks of an environment: each must be able to hold and to fail, and only read.
pub(super) fn check_verify(environment: &Node, sources: &rules::Context, problems: &mut Vec<Problem>) {
    let verify = environment.get("stabilize").and_then(|stabilize| stabilize.get("verify"));
    for (key, node) in entries(verify, "sql") {
        if let Some(why) = sources.without_database() {
            problems.push(Problem::at(key.place, format!("check `{}` has no number: {why}", key.name)));
        }
        if let Some(Err(why)) = node.text().map(sql::reads) {
            problems.push(Problem::at(node.place, format!("check `{}`: {why}", key.name)));
        }
    }
    for (key, node) in entries(verify, "metrics") {
        let mut wrong = |place, what: String| problems.push(Problem::at(place, format!("check `{}` {what}", key.name)));
        if let Some(why) = sources.without_queries() {
            wrong(key.place, format!("has no number: {why}"));
        }
        if let Some(query) = node.get("query")
            && let Some(why) = query.text().and_then(rules::wrong_placeholder)
        {
            wrong(query.place, format!("has a query that cannot be asked: {why}"));
        }
        let bound = |name: &str| node.get(name).and_then(Node::text).and_then(rules::quantity);
        match (bound("max"), bound("min")) {
            (None, None) => wrong(key.place, "has no bound: give it max or min".into()),
            (Some(max), Some(min)) if min.value > max.value => {
                wrong(key.place, format!("can never hold: nothing is at least {min} and at most {max}"))
            }
            (Some(_), Some(_) | None) | (None, Some(_)) => {}
        }
    }
}

/// The shares of a staged rollback (runbook "Staged Rollback": 25, 50, 100%, five minutes each).
fn staged(node: Option<&Node>) -> Vec<Staged> {
    let given = node.map_or(&[][..], Node::items);
    let step = |ppm| Some(Staged { share: Share::from_ppm(ppm)?, duration: Duration::from_secs(5 * 60) });
    if given.is_empty() {
        return [250_000, 500_000, 1_000_000].into_iter().filter_map(step).collect();
    }
    given
        .iter()
        .map(|phase| Staged {
            share: phase.get("traffic").and_then(Node::text).and_then(|text| text.parse().ok()).unwrap_or(Share::ZERO),
            duration: time(Some(phase), "for", 5 * 60),
        })
        .collect()
}
