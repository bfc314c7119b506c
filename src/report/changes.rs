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

/// A list in groups as HTML, all of them.
pub(super) fn html(changes: &Changes) -> String {
    let mut list = String::new();
    for (group, all) in changes.groups() {
        let _ = writeln!(list, "<h3>{}</h3>\n<ul>", group.title());
        for change in all {
            let (name, url) = match change.pull_request {
                Some(number) => (format!("#{number}"), changes.pull_request_url(number)),
                None => (change.sha.short().to_owned(), changes.commit_url(&change.sha)),
            };
            let link = super::html::link(&name, url.as_deref());
            let _ = writeln!(list, "<li>{} <small>{link}</small></li>", text::html(&words(change)));
        }
        list.push_str("</ul>\n");
    }
    if let Some(more) = more(changes.changes.len(), changes) {
        let _ = writeln!(list, "<p>{more}</p>");
    }
    list
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::changes::Commit;

    fn changes(messages: &[String]) -> Changes {
        let commits: Vec<Commit> = messages
            .iter()
            .enumerate()
            .map(|(number, message)| Commit { sha: format!("{number:040x}").parse().expect("a sha"), message: message.clone(), parents: 1 })
            .collect();
        Changes::of(&commits, commits.len() as u64, "v0.9.5", Some("https://github.com/nextgen/market".into()))
    }

    fn example() -> Changes {
        let messages = [
            "feat(invoice): Invoice DDD architecture (#118)",
            "feat: Resiliency patterns (circuit breaker, bulkhead) (#121)",
            "fix(api)!: Idempotency for state-changing APIs\n\nBREAKING CHANGE: a key is required",
            "perf(cache): Redis caching with tag-based invalidation",
            "chore(deps): bump tokio (#130)",
            "<!channel> @team *bold* [x](https://evil.example) <script>alert(1)</script> | cell",
        ];
        changes(&messages.map(str::to_owned))
    }

    #[test]
    fn each_display_lists_them_in_its_own_way() {
        let all = [markdown(&example(), 30), slack(&example(), 10, 2000).join("\n"), html(&example())];
        insta::assert_snapshot!(all.join("\n---\n"));
    }

    #[test]
    fn what_is_not_shown_is_counted() {
        let many: Vec<String> = (0..50).map(|number| format!("feat: number {number}")).collect();
        let many = changes(&many);
        assert!(markdown(&many, 20).ends_with("*and 30 more changes*\n\n"));
        assert_eq!(slack(&many, 10, 2000).last().map(String::as_str), Some("and 40 more changes"));
        assert_eq!(slack(&many, 10, 30), ["✓ number 0", "✓ number 1", "and 48 more changes"]);
        assert_eq!(
            (slack(&changes(&[]), 10, 100), markdown(&changes(&[]), 9)),
            (vec!["no commit is new".to_owned()], "Nothing: no commit is new.\n\n".to_owned())
        );
        assert_eq!(slack(&changes(&["chore: a".to_owned()]), 10, 100), ["✓ a"]);
    }

    proptest! {
        #[test]
        fn strangers_write_no_link_mention_or_markup(given in prop::collection::vec("(feat: |fix: )?[<>&|@#*_`\\[\\]()!a: \"'/]{0,60}", 0..5)) {
            let changes = changes(&given);
            // Every `<` of Slack's is our own link's; every tag of HTML's one of ours.
            for line in slack(&changes, 10, 3000) {
                prop_assert_eq!(line.matches('<').count(), line.matches("<https://github.com/nextgen/market/").count(), "{}", line);
            }
            let shown = html(&changes);
            let tags = ["<h3>", "</h3>", "<ul>", "</ul>", "<li>", "</li>", "<small>", "</small>", "<a href=\"https://github.com/", "</a>", "<p>", "</p>"];
            prop_assert_eq!(shown.matches('<').count(), tags.iter().map(|tag| shown.matches(tag).count()).sum::<usize>(), "{}", shown);
            for line in markdown(&changes, 30).lines().filter(|line| line.starts_with("- ")) {
                let bare = line.replace("\\[", "").replace("\\]", "");
                prop_assert!(bare.matches("](").count() <= 1 && !line.contains('<'), "{}", line);
            }
        }
    }
}
