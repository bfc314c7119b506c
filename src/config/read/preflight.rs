//! The checklist before a release, defaults filled in (the runbook's figures), and what of it could never be met. Reads a checked
//! tree; judges nothing.

use super::{is_off, rules, text, texts, time};
use crate::config::{
    AlertSeverity, ApprovalRole, Approvals, Bound, Checks, CodeScanning, Leave, Preflight, PreflightRule, Problem, Quantity, Rule, Source,
    TagForm, Window, shape, tree::Node,
};

/// A day, in seconds: the runbook's soak, and how long an approval lasts.
const DAY: u64 = 24 * 60 * 60;

/// The roles that approve (runbook "Runbook Approval Flow"); who holds them is for `deploy.yml` to say.
const ROLES: [&str; 3] = ["release-manager", "tech-lead", "operations-lead"];

/// The checklist; `None`: off.
pub(super) fn preflight(node: Option<&Node>) -> Option<Preflight> {
    if node.is_some_and(is_off) {
        return None;
    }
    let section = |name: &str| node.and_then(|node| node.get(name));
    let is_on = |name: &str| !section(name).is_some_and(is_off);
    Some(Preflight {
        staging_soak: is_on("staging-soak").then(|| time(node, "staging-soak", DAY)),
        window: if is_on("window") { window(section("window")) } else { None },
        approvals: is_on("approvals").then(|| approvals(section("approvals"))),
        checks: is_on("checks").then(|| checks(section("checks"))),
        code_scanning: is_on("code-scanning").then(|| code_scanning(section("code-scanning"))),
        rules: preflight_rules(node),
    })
}

/// Runbook Scenario 3, "Production Window": 2am to 6am UTC.
fn window(node: Option<&Node>) -> Option<Window> {
    let at = |name: &str, hour: i8| {
        let given = node.and_then(|node| text(node, name)).and_then(|text| text.parse().ok());
        given.or_else(|| jiff::civil::Time::new(hour, 0, 0, 0).ok())
    };
    let zone = node.and_then(|node| text(node, "zone")).unwrap_or_else(|| "UTC".into());
    Some(Window { from: at("from", 2)?, to: at("to", 6)?, zone })
}

fn approvals(node: Option<&Node>) -> Approvals {
    let roles = |name: &str| {
        let given = node.and_then(|node| node.get(name));
        given.map(|given| given.entries().iter().map(|(key, role)| self::role(&key.name, role)).collect::<Vec<_>>())
    };
    let leave = |name: &str| match node.and_then(|node| text(node, name)).as_deref() {
        Some("allow") => Leave::Allow,
        Some(_) | None => Leave::Refuse,
    };
    let vacant = |name: &str| ApprovalRole { name: name.to_owned(), teams: Vec::new(), users: Vec::new() };
    Approvals {
        within: time(node, "within", DAY),
        roles: roles("roles").unwrap_or_else(|| ROLES.into_iter().map(vacant).collect()),
        overrides: roles("override").unwrap_or_default(),
        several_roles: leave("several-roles"),
        own_changes: leave("own-changes"),
        workflow: node.and_then(|node| text(node, "workflow")).unwrap_or_else(|| "ci-cd-enterprise.yml".into()),
    }
}

fn role(name: &str, node: &Node) -> ApprovalRole {
    ApprovalRole { name: name.to_owned(), teams: texts(node.get("teams")), users: texts(node.get("users")) }
}

fn checks(node: Option<&Node>) -> Checks {
    let find = |name: &str| node.and_then(|node| text(node, name));
    Checks {
        branch: find("ref").unwrap_or_else(|| "main".into()),
        tag: match find("tag").as_deref() {
            Some("any") => TagForm::Any,
            Some("signed") => TagForm::Signed,
            _ => TagForm::Annotated,
        },
        required: texts(node.and_then(|node| node.get("required"))),
    }
}

/// Runbook, 24 hours before: "Security scan: 0 high/critical".
fn code_scanning(node: Option<&Node>) -> CodeScanning {
    let given = node.and_then(|node| text(node, "max-severity")).and_then(|word| AlertSeverity::of(&word));
    let source = if node.is_some() { Source::Written } else { Source::Default };
    CodeScanning { max_severity: given.unwrap_or(AlertSeverity::Medium), source }
}

/// Runbook, 30 minutes before: "Database connections < 15/20", "CPU/Memory < 60% baseline"; the given ones laid over them.
fn preflight_rules(node: Option<&Node>) -> Vec<PreflightRule> {
    let usual = |metric: &str, bound| Some(Rule { metric: metric.parse().ok()?, bounds: vec![bound], consecutive: 1 });
    let defaults: Vec<Rule> = [
        usual("database-connections", Bound::Max(Quantity::plain(15.0))),
        usual("cpu", Bound::Max(Quantity::ratio(0.6))),
        usual("memory", Bound::Max(Quantity::ratio(0.6))),
    ]
    .into_iter()
    .flatten()
    .collect();
    let is_written = |rule: &Rule| {
        let rules = node.and_then(|node| node.get("rules"));
        rules.is_some_and(|rules| rules.get(rule.metric.as_str()).is_some())
    };
    let source = |rule: &Rule| if is_written(rule) { Source::Written } else { Source::Default };
    // One look decides: there is no row of ticks to trip in.
    let rules = rules::laid_over(defaults, node).into_iter().map(|rule| Rule { consecutive: 1, ..rule });
    rules.map(|rule| PreflightRule { source: source(&rule), rule }).collect()
}

/// What could never be met, or is met by anything.
pub(super) fn check(environment: &Node, problems: &mut Vec<Problem>) {
    let Some(preflight) = environment.get("preflight").filter(|node| !is_off(node)) else { return };
    if let Some(node) = preflight.get("window").filter(|node| !is_off(node))
        && let Some(window) = window(Some(node))
        && window.from == window.to
    {
        let message = format!("`window` begins and ends at {}; write `window: off` if any time is right", window.from);
        problems.push(Problem::at(node.place, message));
    }
    let roles = preflight.get("approvals").and_then(|approvals| approvals.get("roles")).map_or(&[][..], Node::entries);
    for (key, node) in roles {
        if role(&key.name, node).is_vacant() {
            let message = format!("nobody can approve as `{}`: give it `teams` or `users`, or take it out", key.name);
            problems.push(Problem::at(key.place, message));
        }
    }
    let overrides = preflight.get("approvals").and_then(|approvals| approvals.get("override")).map_or(&[][..], Node::entries);
    for (key, _) in roles.iter().chain(overrides) {
        if !is_name(&key.name) {
            let message = "a role's name has 1 to 40 lower-case letters, digits and hyphens: people type it in `/approve ROLE`";
            problems.push(Problem::at(key.place, message));
        }
    }
    let required = preflight.get("checks").and_then(|checks| checks.get("required"));
    for (index, name) in texts(required).iter().enumerate() {
        if texts(required).iter().take(index).any(|earlier| earlier == name) {
            problems.push(Problem::at(required.map_or(preflight.place, |node| node.place), format!("`required` names `{name}` twice")));
        }
    }
    if let Some(node) = preflight.get("staging-soak").filter(|node| !is_off(node))
        && node.text().and_then(shape::duration).is_some_and(|soak| soak.is_zero())
    {
        problems.push(Problem::at(node.place, "`staging-soak` of nothing asks nothing; write `staging-soak: off`"));
    }
}

fn is_name(text: &str) -> bool {
    let is_kebab = text.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'));
    (1..=40).contains(&text.len()) && is_kebab
}
