//! Rules, the sections that hold them, and where their numbers come from. Reads a checked tree; judges nothing.

use std::{collections::BTreeMap, time::Duration};

use super::{is_off, strategy, text, time, whole};
use crate::{
    config::{
        Bound, Database, MetricKind, Metrics, MetricsSource, NoData, Observe, Problem, Quantity, Reader, Rule, Unit, nearest, shape,
        tree::{Key, Node, Place},
    },
    domain::{MetricName, Share, Strategy},
};

/// Ticks of breach in a row that trip a rule which says nothing of it (runbook Scenario 3, Step 3: "2 consecutive checks").
pub(super) const CONSECUTIVE: u32 = 2;

/// The rules of a blue-green watch that are in force unless `observe.rules` says otherwise (runbook Scenario 2, Step 6:
/// "error rates (target: 0%)", "latency (target: < 100ms)"). A rule of the same metric takes a default's place.
#[must_use]
pub fn observe_rules() -> Vec<Rule> {
    let default = |metric: &str, bound, consecutive| Some(Rule { metric: metric.parse().ok()?, bounds: vec![bound], consecutive });
    [
        default("error-rate", Bound::Max(Quantity::ratio(0.0)), CONSECUTIVE),
        // Three, as in the production triggers: "Latency p99 … for 3 consecutive checks".
        default("latency-p99", Bound::Max(Quantity::seconds(0.1)), 3),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Where the numbers come from; `None`: off.
pub(super) fn metrics(node: Option<&Node>) -> Option<Metrics> {
    if node.is_some_and(is_off) {
        return None;
    }
    let find = |name: &str| node.and_then(|node| text(node, name));
    let path = node.and_then(|node| node.get("scrape")).and_then(|scrape| text(scrape, "path"));
    Some(Metrics {
        source: match find("prometheus").and_then(|url| url.parse().ok()) {
            Some(url) => MetricsSource::Prometheus(url),
            None => MetricsSource::Scrape { path: path.unwrap_or_else(|| "/metrics".into()) },
        },
        queries: queries(node)
            .iter()
            .filter_map(|(key, query)| Some((key.name.parse().ok()?, query.text()?.to_owned())))
            .collect::<BTreeMap<_, _>>(),
        window: time(node, "window", 60),
        no_data: match find("no-data").as_deref() {
            Some("fail") => NoData::Fail,
            Some("ignore") => NoData::Ignore,
            _ => NoData::Hold,
        },
        confidence: match find("confidence").as_deref() {
            Some("off") => None,
            Some(share) => share.parse().ok(),
            None => Share::from_ppm(990_000),
        },
        min_requests: whole(node.and_then(|node| node.get("min-requests")), 50),
    })
}

/// The database; `None`: off.
pub(super) fn database(node: Option<&Node>) -> Option<Database> {
    if node.is_some_and(is_off) {
        return None;
    }
    Some(Database { connections: whole(node.and_then(|node| node.get("connections")), 20) })
}

/// Watching after a blue-green switch; `None`: off. Its rules are the defaults with the given ones laid over them.
pub(super) fn observe(node: Option<&Node>) -> Option<Observe> {
    if node.is_some_and(is_off) {
        return None;
    }
    Some(Observe { duration: time(node, "for", 30 * 60), every: time(node, "every", 10), rules: laid_over(observe_rules(), node) })
}

/// `defaults` with the `rules` of the section `node` laid over them, metric by metric; one that is `off` is taken out.
pub(super) fn laid_over(defaults: Vec<Rule>, node: Option<&Node>) -> Vec<Rule> {
    let given = node.and_then(|node| node.get("rules")).map_or(&[][..], Node::entries);
    let mut rules = defaults;
    rules.retain(|rule| !given.iter().any(|(key, _)| key.name == rule.metric.as_str()));
    rules.extend(given.iter().filter(|(_, node)| !is_off(node)).filter_map(|(key, node)| rule(key, node)));
    rules
}

fn queries(metrics: Option<&Node>) -> &[(Key, Node)] {
    metrics.and_then(|metrics| metrics.get("queries")).map_or(&[][..], Node::entries)
}

/// A rule as plain data.
fn rule(key: &Key, node: &Node) -> Option<Rule> {
    let bounds = ["max", "min", "max-of-baseline", "min-of-baseline"];
    Some(Rule {
        metric: key.name.parse().ok()?,
        bounds: bounds.into_iter().filter_map(|name| bound(name, node.get(name)?.text()?)).collect(),
        consecutive: whole(node.get("consecutive"), CONSECUTIVE),
    })
}

fn bound(name: &str, text: &str) -> Option<Bound> {
    match name {
        "max" => Some(Bound::Max(quantity(text)?)),
        "min" => Some(Bound::Min(quantity(text)?)),
        "max-of-baseline" => Some(Bound::MaxOfBaseline(text.parse().ok()?)),
        _ => Some(Bound::MinOfBaseline(text.parse().ok()?)),
    }
}

/// `1%` is a ratio, `2000ms` a time, `18` a number.
pub(super) fn quantity(text: &str) -> Option<Quantity> {
    if text.ends_with('%') {
        return Some(Quantity::ratio(text.parse::<Share>().ok()?.ratio()));
    }
    match shape::duration(text) {
        Some(time) => Some(Quantity::seconds(time.as_secs_f64())),
        None => Some(Quantity::plain(text.parse().ok()?)),
    }
}

// ---- what cannot be right ---------------------------------------------------------------------------------------------

/// Whether the section `metrics` can give a number, and how.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Source {
    Prometheus,
    Scrape,
    Off(Place),
}

/// Whether stable instances serve beside the judged ones, so that a rule can compare with them.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Beside {
    Stable,
    Nobody,
}

/// What the rest of the file says that rules depend on.
pub(super) struct Context {
    source: Source,
    queries: Vec<String>,
    /// The database's pool; `None`: off.
    pool: Option<u32>,
}

impl Context {
    /// Reads it from the whole file; reports what is wrong with the queries and the confidence themselves.
    pub(super) fn new(root: &Node, problems: &mut Vec<Problem>) -> Self {
        let node = root.get("metrics");
        let source = match node {
            Some(node) if is_off(node) => Source::Off(node.place),
            Some(node) if node.get("prometheus").is_some() => Source::Prometheus,
            Some(_) | None => Source::Scrape,
        };
        let queries = queries(node);
        for (key, query) in queries {
            if let Err(error) = key.name.parse::<MetricName>() {
                problems.push(Problem::at(key.place, error.to_string()));
            }
            if let Some(why) = query.text().and_then(wrong_placeholder) {
                problems.push(Problem::at(query.place, why));
            }
        }
        let queries = queries.iter().map(|(key, _)| key.name.clone()).collect();
        if let Some(node) = node.and_then(|node| node.get("confidence"))
            && let Some(share) = node.text().and_then(|text| text.parse::<Share>().ok())
            && !(500_000..1_000_000).contains(&share.ppm())
        {
            let message = format!(
                "`confidence`: {share} is not from 50% to below 100%: nobody is ever wholly sure; `off` judges by the bounds alone"
            );
            problems.push(Problem::at(node.place, message));
        }
        Self { source, queries, pool: database(root.get("database")).map(|database| database.connections) }
    }
}

impl Context {
    /// Why there is no database to ask.
    pub(super) fn without_database(&self) -> Option<&'static str> {
        self.pool.is_none().then_some("it is SQL, and `database` is off")
    }

    /// Why there is no server to ask in PromQL.
    pub(super) fn without_queries(&self) -> Option<&'static str> {
        match self.source {
            Source::Prometheus => None,
            Source::Scrape => Some("it is a query, and queries need `metrics.prometheus`"),
            Source::Off(_) => Some("it is a query, and `metrics` is off"),
        }
    }
}

/// What is wrong with the placeholders of a query.
pub(super) fn wrong_placeholder(query: &str) -> Option<String> {
    let unknown = unknown_placeholder(query)?;
    let hint = nearest(&unknown, ["instances", "window"].into_iter())
        .map_or_else(|| "; there are $instances and $window".to_owned(), |nearest| format!("; did you mean `${nearest}`?"));
    Some(format!("`${unknown}` means nothing in a query{hint}"))
}

/// The first `$word` of a query that is not filled in.
fn unknown_placeholder(query: &str) -> Option<String> {
    query.split('$').skip(1).find_map(|rest| {
        let word: String = rest.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
        // `$` before anything else is the end of a regular expression.
        (!word.is_empty() && word != "instances" && word != "window").then_some(word)
    })
}

/// What is wrong with the rules of an environment: each must be able to pass, to trip, and to get its number.
pub(super) fn check(name: &str, environment: &Node, context: &Context, problems: &mut Vec<Problem>) {
    let held = |holder: &str| environment.get(holder).and_then(|node| node.get("rules")).map_or(&[][..], Node::entries);
    for holder in ["observe", "preflight", "stabilize"] {
        held(holder).iter().for_each(|(key, node)| check_rule(key, node, Beside::Nobody, context, problems));
    }
    held("abort").iter().for_each(|(key, node)| check_rule(key, node, Beside::Stable, context, problems));
    for phase in environment.get("phases").map_or(&[][..], Node::items) {
        // At 100 % the stable instances stand by without traffic: there is nothing to compare with.
        let beside =
            if text(phase, "traffic").and_then(|share| share.parse().ok()) == Some(Share::ALL) { Beside::Nobody } else { Beside::Stable };
        for (key, node) in phase.get("rules").map_or(&[][..], Node::entries) {
            check_rule(key, node, beside, context, problems);
        }
    }
    match strategy(environment, name) {
        Strategy::BlueGreen => check_observe(name, environment, context, problems),
        Strategy::Direct | Strategy::Canary => {}
    }
}

fn check_observe(name: &str, environment: &Node, context: &Context, problems: &mut Vec<Problem>) {
    let node = environment.get("observe");
    let Some(observe) = observe(node) else { return };
    let place = node.map_or(environment.place, |node| node.place);
    if observe.rules.is_empty() {
        problems.push(Problem::at(place, format!("`{name}` watches no rule; write `observe: off` if nothing is to be watched")));
    }
    for rule in &observe.rules {
        if observe.every.checked_mul(rule.consecutive).is_none_or(|least| least > observe.duration) {
            let message = format!(
                "rule `{}` can never trip: {} ticks of {} do not fit into {}",
                rule.metric,
                rule.consecutive,
                shown(observe.every),
                shown(observe.duration)
            );
            problems.push(Problem::at(place, message));
        }
    }
    let given = |metric: &MetricName| {
        let rules = node.and_then(|node| node.get("rules"));
        rules.is_some_and(|rules| rules.get(metric.as_str()).is_some())
    };
    // The given ones have been reported where they stand.
    let silent: Vec<&str> = observe.rules.iter().map(|rule| &rule.metric).filter(|metric| !given(metric)).map(MetricName::as_str).collect();
    if let Source::Off(place) = context.source
        && !silent.is_empty()
    {
        let message = format!("`metrics: off` leaves `{name}` without numbers for {}; give it `observe: off` too", silent.join(", "));
        problems.push(Problem::at(place, message));
    }
}

fn shown(time: Duration) -> String {
    Quantity::seconds(time.as_secs_f64()).to_string()
}

fn check_rule(key: &Key, node: &Node, beside: Beside, context: &Context, problems: &mut Vec<Problem>) {
    if is_off(node) {
        return;
    }
    let mut wrong = |message: String| problems.push(Problem::at(key.place, message));
    let metric = match key.name.parse::<MetricName>() {
        Ok(metric) => metric,
        Err(error) => return wrong(error.to_string()),
    };
    let kind = MetricKind::of(&metric);
    let Some(rule) = rule(key, node) else { return };
    match (kind == MetricKind::Health, rule.bounds.is_empty()) {
        (true, true) => return,
        (true, false) => return wrong("rule `health` knows good and bad by itself; it takes `consecutive` and no bound".into()),
        (false, true) => return wrong(format!("rule `{metric}` has no bound: give it max, min, max-of-baseline, min-of-baseline")),
        (false, false) => {}
    }
    if let Some(message) = without_number(&metric, kind, context) {
        wrong(message);
    }
    for bound in &rule.bounds {
        if let Some(message) = impossible(&metric, kind, *bound, beside, context) {
            wrong(message);
        }
    }
    let (max, min) = (node.get("max").and_then(Node::text), node.get("min").and_then(Node::text));
    if let (Some(max), Some(min)) = (max.and_then(quantity), min.and_then(quantity))
        && min.value > max.value
    {
        wrong(format!("rule `{metric}`: nothing is at least {min} and at most {max}"));
    }
}

/// Why no number would ever come.
fn without_number(metric: &MetricName, kind: MetricKind, context: &Context) -> Option<String> {
    let configured = context.queries.iter().any(|name| name == metric.as_str());
    match (kind.reader(), context.source) {
        (Reader::Metrics | Reader::Query, Source::Off(_)) => {
            Some(format!("rule `{metric}` has no numbers with `metrics: off`; remove one of them"))
        }
        (Reader::Query, Source::Prometheus) if configured => None,
        (Reader::Query, Source::Scrape) if configured => Some(format!("rule `{metric}` is a query, and queries need `metrics.prometheus`")),
        (Reader::Query, Source::Prometheus | Source::Scrape) => {
            let known = MetricKind::BUILT_IN.into_iter().chain(context.queries.iter().map(String::as_str));
            let hint = nearest(metric.as_str(), known).map_or_else(String::new, |nearest| format!("; did you mean `{nearest}`?"));
            Some(format!("`{metric}` is neither a built-in metric nor a query under `metrics.queries`{hint}"))
        }
        (Reader::Database, _) if context.pool.is_none() => {
            Some(format!("rule `{metric}` has no numbers with `database: off`; remove one of them"))
        }
        (Reader::Metrics, Source::Prometheus | Source::Scrape) | (Reader::QueryOrAzure | Reader::Database | Reader::Instance, _) => None,
    }
}

/// Why a bound could never be kept, or never be broken, or compares with nothing.
fn impossible(metric: &MetricName, kind: MetricKind, bound: Bound, beside: Beside, context: &Context) -> Option<String> {
    if let (Bound::Max(quantity) | Bound::Min(quantity), Some(unit)) = (bound, kind.unit())
        && quantity.unit != unit
    {
        let expected = match unit {
            Unit::Percent => "a percentage such as 1%",
            Unit::Time => "a duration such as 500ms",
            Unit::Plain => "a number such as 18",
        };
        return Some(format!("rule `{metric}`: its bound must be {expected}"));
    }
    let never = |what: String| Some(format!("rule `{metric}` can never trip: {what}"));
    match (kind, bound) {
        (_, Bound::MaxOfBaseline(_) | Bound::MinOfBaseline(_)) if beside == Beside::Nobody => {
            Some(format!("rule `{metric}` compares with stable instances, and none serve beside the new version here; give it max or min"))
        }
        (MetricKind::Requests, Bound::MaxOfBaseline(_) | Bound::MinOfBaseline(_)) => {
            Some(format!("rule `{metric}` would compare shares of traffic, which differ on purpose; give it max or min"))
        }
        (_, Bound::MinOfBaseline(Share::ZERO)) => never("nothing is below 0% of the stable instances' value".into()),
        (_, Bound::MaxOfBaseline(part)) if part.ratio() == 0.0 => {
            Some(format!("rule `{metric}` can never pass: 0% of the stable instances' value is nothing; give it `max`"))
        }
        (MetricKind::ErrorRate, Bound::Max(max)) if max.value >= 1.0 => never("no rate is above 100%".into()),
        (MetricKind::SuccessRate | MetricKind::ErrorRate, Bound::Min(min)) if min.value <= 0.0 => never("no rate is below 0%".into()),
        (MetricKind::LatencyP99, Bound::Max(max)) if max.value <= 0.0 => {
            Some(format!("rule `{metric}` can never pass: every answer takes time"))
        }
        (MetricKind::DatabaseConnections, Bound::MaxOfBaseline(_) | Bound::MinOfBaseline(_)) => {
            Some(format!("rule `{metric}` compares with stable instances, and all use the same database; give it max"))
        }
        (MetricKind::DatabaseConnections, Bound::Max(max)) => match context.pool {
            Some(pool) if max.value >= f64::from(pool) => never(format!("the pool has {pool} connections (`database.connections`)")),
            Some(_) | None => None,
        },
        (_, Bound::Max(_) | Bound::Min(_) | Bound::MaxOfBaseline(_) | Bound::MinOfBaseline(_)) => None,
    }
}
