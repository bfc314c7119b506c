//! What was found, for a terminal and a log.

use super::found::{Found, Part};
use crate::{domain::Share, report::terminal};

/// The lines of one environment.
pub(super) fn lines(found: &Found<'_>) -> Vec<String> {
    let environment = found.environment;
    let mut lines = vec![format!("{} ({}, {})", environment.name, environment.strategy.as_str(), environment.resource_group)];
    if let Some(name) = environment.profile() {
        lines.push(match &found.observed.profile {
            Some(profile) => format!("  {}", terminal::profile_line(profile)),
            None => format!("  {name}: there is no such profile"),
        });
        lines.push(format!("  live: {}", live(found)));
    }
    if found.observed.instances.is_empty() {
        lines.push("  nothing runs here".to_owned());
    }
    for instance in &found.observed.instances {
        lines.push(format!("  {}", terminal::instance_line(instance)));
        if let (Some(part), Some(standing)) = (found.part(instance.name.as_str()), found.standing(instance)) {
            let back = found.taken_back(instance).map_or_else(String::new, |from| format!("; people were taken back to it from {from}"));
            lines.push(format!("    {}: {}{back}", part.word(), standing.words()));
        }
        if let Some(run) = &instance.tags.run {
            lines.push(format!("    deployed by {run}"));
        }
    }
    lines.extend(found.left.map(|left| format!("  {left}")));
    lines.extend(found.lock.line().map(|line| format!("  {line}")));
    lines
}

/// Whom people are sent to, with their shares.
pub(super) fn live(found: &Found<'_>) -> String {
    let shares = found.shares();
    let to = shares.iter().filter(|(_, share)| *share != Share::ZERO).map(|(endpoint, share)| match found.part(&endpoint.name) {
        Some(part @ Part::Slot(_)) => format!("{} {share}", part.word()),
        Some(Part::Stable | Part::Standby | Part::Canary | Part::Old) => format!("{} {share}", endpoint.name),
        None if found.environment.blue_green.is_some() => format!("no slot {share}"),
        None => format!("{}, which is none of ours, {share}", endpoint.name),
    });
    let live: Vec<String> = to.collect();
    if live.is_empty() { "nobody is sent anywhere".to_owned() } else { live.join(", ") }
}
