use proptest::prelude::*;

use super::*;

fn sha(number: usize) -> Sha {
    format!("{number:040x}").parse().expect("a sha")
}

fn commits(messages: &[&str]) -> Vec<Commit> {
    let commit = |(number, message): (usize, &&str)| {
        let parents = if message.starts_with("Merge ") { 2 } else { 1 };
        Commit { sha: sha(number), message: (*message).to_owned(), parents }
    };
    messages.iter().enumerate().map(commit).collect()
}

fn changes(messages: &[&str]) -> Changes {
    Changes::of(&commits(messages), messages.len() as u64, "v0.9.5", None)
}

/// "GROUP: scope: what #n !note", one a change.
fn words(messages: &[&str]) -> Vec<String> {
    let changes = changes(messages);
    changes
        .changes
        .iter()
        .map(|change| {
            let scope = change.scope.as_ref().map_or_else(String::new, |scope| format!("{scope}: "));
            let number = change.pull_request.map_or_else(String::new, |number| format!(" #{number}"));
            let note = match &change.compatibility {
                Compatibility::Breaking { note: Some(note) } => format!(" !{note}"),
                Compatibility::Breaking { note: None } | Compatibility::Compatible => String::new(),
            };
            format!("{}: {scope}{}{number}{note}", change.group().title(), change.what)
        })
        .collect()
}

#[test]
fn commits_are_read_as_the_convention_words_them() {
    let cases = [
        ("feat(invoice): Invoice DDD architecture (#118)", "Features: invoice: Invoice DDD architecture #118"),
        ("FIX: rounding", "Fixes: rounding"),
        ("perf(cache): tag-based invalidation", "Performance: cache: tag-based invalidation"),
        ("chore(deps): bump tokio from 1.40 to 1.41 (#9)", "Other changes: deps: bump tokio from 1.40 to 1.41 #9"),
        ("feat(api)!: idempotency keys are required", "Breaking changes: api: idempotency keys are required"),
        ("fix!: drop Node 16", "Breaking changes: drop Node 16"),
        ("feat: retries\n\nMore.\n\nBREAKING CHANGE: timeouts are shorter", "Breaking changes: retries !timeouts are shorter"),
        ("refactor: x\n\nBREAKING-CHANGE: y", "Breaking changes: x !y"),
        ("docs: x\n\nbreaking change: this is prose", "Other changes: x"),
        // Not the convention: a change by its first line.
        ("feat:no space", "Other changes: feat:no space"),
        ("Update README: links", "Other changes: Update README: links"),
        ("feat(a(b)): nested", "Other changes: feat(a(b)): nested"),
        ("feat(open: x", "Other changes: feat(open: x"),
        ("wip (#12a)", "Other changes: wip (#12a)"),
        ("fix: see (#3) again", "Fixes: see (#3) again"),
        ("feat: \u{202e}evil\u{7}\ttext", "Features: evil text"),
        ("\n\nfeat: after empty lines", "Features: after empty lines"),
    ];
    for (message, expected) in cases {
        assert_eq!(words(&[message]), [expected], "{message:?}");
    }
    for nothing in ["", "\n", "   \n\n"] {
        assert_eq!(words(&[nothing]), [""; 0], "{nothing:?}");
    }
}

#[test]
fn the_most_important_come_first_and_the_oldest_within() {
    let told = words(&["chore: a", "fix: b", "feat: c", "perf: d", "feat!: e", "feat: f"]);
    let expected = ["Breaking changes: e", "Features: c", "Features: f", "Fixes: b", "Performance: d", "Other changes: a"];
    assert_eq!(told, expected);
    let changes = changes(&["chore: a", "fix: b", "fix: c"]);
    let groups: Vec<(Group, usize)> = changes.groups().map(|(group, changes)| (group, changes.len())).collect();
    assert_eq!(groups, [(Group::Fixes, 2), (Group::Other, 1)]);
}

#[test]
fn a_merge_gives_its_pull_request_and_nothing_twice() {
    let squashed = "feat: bulkhead";
    let merge = "Merge pull request #31 from nextgen/bulkhead\n\nfeat: bulkhead";
    assert_eq!(words(&[squashed, merge]), ["Features: bulkhead #31"]);
    assert_eq!(words(&["wip", merge]), ["Features: bulkhead #31", "Other changes: wip"]);
    assert_eq!(words(&["fix: a", "Merge branch 'main' into x", "Merge pull request #x from y\n\nno number"]), ["Fixes: a"]);
}

#[test]
fn what_was_reverted_is_no_change() {
    let revert = |number: usize| format!("Revert \"feat: x\"\n\nThis reverts commit {}.", sha(number).as_str());
    assert_eq!(words(&["feat: x", "fix: y", &revert(0)]), ["Fixes: y"]);
    // The revert of a revert brings it back.
    assert_eq!(words(&["feat: x", &revert(0), &revert(1)]), ["Features: x"]);
    // What is reverted came before this version: that it is gone is news.
    let old = "Revert \"feat: old\"\n\nThis reverts commit ffffffffffffffffffffffffffffffffffffffff.";
    assert_eq!(words(&["fix: y", old]), ["Fixes: y", "Other changes: Revert \"feat: old\""]);
    // Too few digits name nothing.
    assert_eq!(words(&["feat: x", "Revert\n\nThis reverts commit 0000."]).len(), 2);
}

#[test]
fn many_are_cut_and_counted() {
    let messages: Vec<String> = (0..KEPT + 5).map(|number| format!("fix: number {number}")).collect();
    let messages: Vec<&str> = messages.iter().map(String::as_str).collect();
    let changes = Changes::of(&commits(&messages), 1000, "v0.9.5", None);
    assert_eq!((changes.changes.len(), changes.more), (KEPT, 800));
}

#[test]
fn links_are_made_where_the_repository_is_known() {
    let mut changes = changes(&["fix: a (#4)"]);
    assert_eq!(changes.pull_request_url(4), None);
    changes.repository = Some("https://github.com/o/r".into());
    assert_eq!(changes.pull_request_url(4).as_deref(), Some("https://github.com/o/r/pull/4"));
    assert_eq!(changes.commit_url(&sha(10)).as_deref(), Some("https://github.com/o/r/commit/000000000000000000000000000000000000000a"));
}

#[test]
fn the_next_version_is_what_the_changes_ask_for() {
    let cases: [(&str, &[&str], Option<&str>); 9] = [
        ("v1.2.3", &["feat!: a", "fix: b"], Some("v2.0.0")),
        ("v1.2.3", &["feat: a", "fix: b"], Some("v1.3.0")),
        ("v1.2.3", &["fix: b", "chore: c"], Some("v1.2.4")),
        ("v1.2.3", &["chore: c"], Some("v1.2.4")),
        ("v1.2.3", &[], None),
        ("v0.9.5", &["feat!: a"], Some("v0.10.0")),
        ("0.9.5", &["feat: a"], Some("v0.10.0")),
        ("v0.9.5", &["fix: a"], Some("v0.9.6")),
        ("v1.2.18446744073709551615", &["fix: a"], Some("v1.2.18446744073709551615")),
    ];
    for (current, messages, expected) in cases {
        let current: ReleaseNumber = current.parse().expect(current);
        assert_eq!(next(current, &changes(messages)).map(|next| next.to_string()).as_deref(), expected, "{current} {messages:?}");
    }
    // Commits there are, only none was read.
    let unread = Changes::of(&[], 3, "v1.0.0", None);
    assert_eq!(next("v1.0.0".parse().expect("a number"), &unread).map(|next| next.to_string()).as_deref(), Some("v1.0.1"));
}

#[test]
fn only_released_versions_have_a_number() {
    for bad in
        ["", "v", "v1", "v1.2", "v1.2.3.4", "vNext", "v1.2.3-rc.1", "v1.2.3+5", "v01.2.3", "v1.2.-3", "v1..3", "v1.2.99999999999999999999"]
    {
        assert!(bad.parse::<ReleaseNumber>().is_err(), "{bad}");
    }
    let number = |text: &str| text.parse::<ReleaseNumber>().expect(text);
    assert!(number("v1.10.0") > number("v1.9.9") && number("2.0.0") > number("v1.99.99") && number("v1.0.0") == number("1.0.0"));
}

proptest! {
    #[test]
    fn whatever_strangers_commit_stays_a_few_short_lines(messages in prop::collection::vec("(?s)(feat|fix)?(\\([^)]{0,40}\\))?!?:? ?.{0,300}", 0..8)) {
        let messages: Vec<&str> = messages.iter().map(String::as_str).collect();
        let changes = changes(&messages);
        prop_assert!(changes.changes.len() <= messages.len());
        for change in &changes.changes {
            let all = [Some(&change.what), change.scope.as_ref()];
            for text in all.into_iter().flatten() {
                prop_assert!(!text.is_empty() && text.chars().count() <= 160);
                prop_assert!(!text.chars().any(|c| c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')), "{text:?}");
            }
        }
        let grouped: usize = changes.groups().map(|(_, changes)| changes.len()).sum();
        prop_assert_eq!(grouped, changes.changes.len());
    }

    #[test]
    fn the_next_version_is_newer(major in 0u64..50, minor in 0u64..50, patch in 0u64..50, kinds in prop::collection::vec("(feat|fix|chore|perf)!?: x", 1..5)) {
        let messages: Vec<&str> = kinds.iter().map(String::as_str).collect();
        let current = ReleaseNumber { major, minor, patch };
        let next = next(current, &changes(&messages)).expect("there are changes");
        prop_assert!(next > current);
        prop_assert_eq!(next.to_string().parse(), Ok(next));
    }
}
