//! What is new in a version, as displays show it: Markdown, Slack's mrkdwn, HTML. Commit messages are strangers' texts; what any
//! of them would make of one never happens. Of many changes some are shown, and the others counted.

use std::fmt::Write;

use crate::{
    changes::{Change, Changes, Compatibility, Group},
    text::{self, markdown as escape},
};

/// How many commits stand behind what is not shown: "and 3 more changes".
fn more(shown: usize, changes: &Changes) -> Option<String> {
    let hidden = u64::try_from(changes.changes.len().saturating_sub(shown)).unwrap_or(u64::MAX).saturating_add(changes.more);
    match hidden {
        0 => None,
        1 => Some("and one more change".to_owned()),
        hidden => Some(format!("and {hidden} more changes")),
    }
}

/// "invoice: add new feature", and what it breaks.
fn words(change: &Change) -> String {
    let scope = change.scope.as_ref().map_or_else(String::new, |scope| format!("{scope}: "));
    let note = match &change.compatibility {
        Compatibility::Breaking { note: Some(note) } => format!(" (breaking: {note})"),
        Compatibility::Breaking { note: None } => " (breaking)".to_owned(),
        Compatibility::Compatible => String::new(),
    };
    format!("{scope}{}{note}", change.what)
}

/// A list in groups, at most `most` changes, in GitHub's Markdown: for a job summary, release notes, an issue's text.
#[must_use]
pub fn markdown(changes: &Changes, most: usize) -> String {
    let mut list = String::new();
    let mut left = most;
    for (group, all) in changes.groups() {
        let shown = all.get(..left.min(all.len())).unwrap_or_default();
        if shown.is_empty() {
            break;
        }
        left -= shown.len();
        let _ = writeln!(list, "**{}**\n", group.title());
        for change in shown {
            let link = match (change.pull_request, change.pull_request.and_then(|number| changes.pull_request_url(number))) {
                (Some(number), Some(url)) => format!(" ([\\#{number}]({url}))"),
                (Some(number), None) => format!(" (\\#{number})"),
                (None, _) => match changes.commit_url(&change.sha) {
                    Some(url) => format!(" ([`{}`]({url}))", change.sha.short()),
                    None => format!(" (`{}`)", change.sha.short()),
                },
            };
            let _ = writeln!(list, "- {}{link}", escape(&words(change)));
        }
        list.push('\n');
    }
    if let Some(more) = more(most - left, changes) {
        let _ = writeln!(list, "*{more}*\n");
    }
    if changes.changes.is_empty() && changes.more == 0 {
        list.push_str("Nothing: no commit is new.\n\n");
    }
    list
}

/// Lines for Slack (runbook, Final Notification: Changes), at most `most` of them and `room` characters in all: what breaks,
/// what is new, what is repaired and what is faster by name, the rest by number where there is room for none.
#[must_use]
pub fn slack(changes: &Changes, most: usize, room: usize) -> Vec<String> {
    let told = changes.changes.iter().filter(|change| change.group() != Group::Other);
    let rest = changes.changes.iter().filter(|change| change.group() == Group::Other);
    // Where there is nothing else to name, the rest is.
    let is_only_rest = changes.changes.iter().all(|change| change.group() == Group::Other);
    let named: Vec<&Change> = told.chain(rest.filter(|_| is_only_rest)).take(most).collect();
    let mut lines: Vec<String> = Vec::new();
    let mut used = 0;
    for change in named {
        let link = change.pull_request.map_or_else(String::new, |number| match changes.pull_request_url(number) {
            Some(url) => format!(" (<{}|#{number}>)", url.replace('|', "%7C").replace('<', "%3C").replace('>', "%3E")),
            None => format!(" (#{number})"),
        });
        let line = format!("✓ {}{link}", text::slack(&words(change)));
        used += line.chars().count() + 1;
        if used > room {
            break;
        }
        lines.push(line);
    }
    lines.extend(more(lines.len(), changes));
    if lines.is_empty() {
        lines.push("no commit is new".to_owned());
    }
    lines
}
