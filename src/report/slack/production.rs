//! What Slack is told of a release by shares: how far it is, each gate's decision in the message's thread, and the runbook's Final
//! Notification. What was not measured is said to be so.

use serde_json::{Value, json};

use super::{SECTION, escape, mrkdwn, overridden, target};
use crate::{
    domain::{Outcome, Strategy},
    plan::{Aim, Step},
    report::{
        changes,
        series::{self, Gate},
        story::{self, Decision, Story},
    },
    text,
};

/// Changes that are named; the job summary and the release notes have more.
const CHANGES: usize = 12;

/// Characters of one gate's numbers.
const NUMBERS: usize = 300;

/// Whether the story is one of a release to production that is complete.
pub(super) fn is_complete(story: &Story) -> bool {
    let is_canary = story.rollout.as_ref().is_some_and(|rollout| rollout.strategy == Strategy::Canary);
    let is_healthy = story.end.as_ref().is_some_and(|end| end.outcome == Outcome::Healthy);
    is_canary && is_healthy && matches!(story.aim(), Aim::Deploy | Aim::Promote | Aim::Finish)
}

/// The runbook's Final Notification, with its fields in its order.
pub(super) fn complete(story: &Story) -> Vec<Value> {
    let headline = story::headline(story);
    let mut blocks = vec![section(&format!("*{}*", escape(&headline)))];
    let mut facts = vec![format!("Version: `{}`", escape(story.version_words()))];
    if let Some(end) = &story.end {
        facts.push(format!("Duration: {}", story::duration(end.duration_ms)));
    }
    facts.push("Status: HEALTHY".to_owned());
    blocks.push(section(&facts.join("\n")));
    let lines = match &story.changes {
        Some(known) => changes::slack(known, CHANGES, SECTION - 100),
        None => vec!["not known: the commits could not be looked up".to_owned()],
    };
    blocks.push(section(&format!("Changes:\n{}", indented(&lines))));
    let measured = series::measured(story);
    let lines: Vec<String> = measured.lines().into_iter().map(|(name, value)| format!("{name}: {}", escape(&value))).collect();
    let over = if measured.over.is_empty() { String::new() } else { format!(" (last {})", measured.over) };
    blocks.push(section(&format!("Metrics{over}:\n{}", indented(&lines))));
    blocks.extend(overridden(story));
    let mut last = vec!["Rollback: Manual dispatch available".to_owned()];
    if let Some(rollout) = &story.rollout {
        let links = [("Logs", "Workflow run", &rollout.run_url), ("Dashboard", "Grafana", &rollout.dashboard)];
        last.extend(links.into_iter().filter_map(|(field, name, url)| {
            let url = url.as_deref()?;
            // The runbook's dashboard is Grafana; another one is named by its host.
            let host = url::Url::parse(url).ok().and_then(|url| url.host_str().map(str::to_owned)).unwrap_or_default();
            let name = if field == "Dashboard" && !host.contains("grafana") { host } else { name.to_owned() };
            Some(format!("{field}: <{}|{}>", target(url), escape(&name)))
        }));
    }
    blocks.push(section(&last.join("\n")));
    blocks
}

/// How far a release by shares is: a line for each share and for what follows, as planned.
pub(super) fn phases(story: &Story) -> Option<Value> {
    let plan = story.plan.as_ref()?;
    let planned = plan.steps.iter().enumerate().take(story.planned);
    let lines: Vec<String> = planned
        .filter_map(|(index, step)| {
            let Step::Phase { on, share, for_seconds, .. } = step else { return None };
            let is_candidate = on.contains(&plan.subject);
            let name = if is_candidate { format!("{share} of people") } else { "stabilization".to_owned() };
            let name = format!("{name}, {}", story::duration((for_seconds * 1000.0) as u64));
            let watched = story.watches().filter(|watched| watched.step == index).last();
            let at = watched.and_then(|watched| watched.ticks.last()).map(|tick| format!(": look {} of {}", tick.tick, tick.of));
            Some(match story.steps.get(index) {
                Some(story::Step::Done { .. }) => format!("✅ {name}"),
                Some(story::Step::Failed { .. }) => format!("❌ {name}"),
                Some(story::Step::Running) => format!("⏳ {name}{}", at.unwrap_or_default()),
                Some(story::Step::Waiting) | None => format!("▫️ {name}"),
            })
        })
        .collect();
    if lines.is_empty() { None } else { Some(section(&escape(&lines.join("\n")))) }
}

/// What the thread is told of the gates that are decided, in order: each once.
pub(super) fn notices(story: &Story) -> Vec<Value> {
    series::gates(story).iter().filter(|gate| gate.decision != Decision::Open).map(notice).collect()
}

fn notice(gate: &Gate) -> Value {
    let numbers: Vec<String> = gate.numbers.iter().map(|number| text::slack(&text::line(number, NUMBERS))).collect();
    let said = format!("{} {}: {}", gate.mark, escape(&gate.title), escape(&gate.words));
    let block = section(&format!("{said}\n{}", indented(&numbers)));
    json!({"text": said, "blocks": [block], "unfurl_links": false, "unfurl_media": false})
}

/// The one line that the channel sees when a release that was long under way has ended: an updated message is news to nobody.
pub(super) fn ended(story: &Story) -> Value {
    let line = format!("{}: `{}`", escape(&story::headline(story)), escape(story.version_words()));
    json!({"text": line, "blocks": [section(&line)], "unfurl_links": false, "unfurl_media": false, "reply_broadcast": true})
}

fn section(text: &str) -> Value {
    json!({"type": "section", "text": mrkdwn(text, SECTION)})
}

fn indented(lines: &[String]) -> String {
    lines.iter().map(|line| format!("    {line}")).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests;
