//! What was found, as a job summary: Markdown that reads well on a phone. What others wrote is escaped.

use std::fmt::Write;

use super::{
    found::{Found, Part},
    text::live,
};
use crate::{
    domain::Version,
    report::summary::{code, link},
    text::markdown as safe,
};

/// All environments, each with a table of its instances.
pub(super) fn page(found: &[Found<'_>]) -> String {
    found.iter().map(environment).collect::<Vec<_>>().join("\n")
}

fn environment(found: &Found<'_>) -> String {
    let environment = found.environment;
    let mut page = format!("## {} ({})\n\n", safe(environment.name.as_str()), environment.strategy.as_str());
    if environment.profile().is_some() {
        let _ = writeln!(page, "People are sent to: {}\n", safe(&live(found)));
    }
    if found.observed.instances.is_empty() {
        page.push_str("Nothing runs here.\n\n");
    } else {
        page.push_str("| Instance | Part | Share | Version | Standing | Deployed by |\n|---|---|---|---|---|---|\n");
    }
    for instance in &found.observed.instances {
        let part = found.part(instance.name.as_str()).map_or("", Part::word);
        let share = found.share(instance).map_or_else(String::new, |share| share.to_string());
        let version = instance.tags.version.as_ref().map_or_else(String::new, |version| code(version.as_str()));
        let mut standing = found.standing(instance).map_or_else(String::new, |standing| safe(&standing.words()));
        if let Some(from) = found.taken_back(instance).map(Version::as_str) {
            let _ = write!(standing, "; taken back to from {}", code(from));
        }
        let run = instance.tags.run.as_ref().map_or_else(String::new, |run| link("run", run));
        let _ = writeln!(page, "| {} | {part} | {share} | {version} | {standing} | {run} |", code(instance.name.as_str()));
    }
    page.push('\n');
    for line in found.left.map(str::to_owned).into_iter().chain(found.lock.line()) {
        let _ = writeln!(page, "- {}", safe(&line));
    }
    page
}
