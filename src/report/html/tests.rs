//! The page: well-formed, asking for nothing, and nothing of a stranger's in it but text.

use proptest::prelude::*;

use super::*;
use crate::report::release::tests::{bad, good};

/// Whether `page` is well-formed: every element ends, in order; no bare `&` or `<`.
fn is_well_formed(page: &str) -> Result<(), String> {
    let mut open: Vec<String> = Vec::new();
    let mut rest = page;
    while let Some((text, after)) = rest.split_once('<') {
        if text.contains('>') && open.last().map(String::as_str) != Some("style") {
            return Err(format!("a bare > in {text:?}"));
        }
        for entity in text.split('&').skip(1) {
            let known = ["amp;", "lt;", "gt;", "quot;", "#39;"].iter().any(|known| entity.starts_with(known));
            if !known {
                return Err(format!("an unknown entity in {text:?}"));
            }
        }
        let (tag, after) = after.split_once('>').ok_or("a tag without an end")?;
        rest = after;
        if tag.starts_with('!') || tag.ends_with('/') {
            continue;
        }
        match tag.strip_prefix('/') {
            Some(ended) if open.last().map(String::as_str) == Some(ended) => {
                open.pop();
            }
            Some(ended) => return Err(format!("{ended} ends, and open is {open:?}")),
            None => open.push(tag.split_whitespace().next().unwrap_or_default().to_owned()),
        }
    }
    if open.is_empty() { Ok(()) } else { Err(format!("never ended: {open:?}")) }
}

#[test]
fn a_release_is_told_on_one_page() {
    for (name, story) in [("good", good(5)), ("bad", bad())] {
        let page = render(&story);
        assert_eq!(is_well_formed(&page), Ok(()), "{name}");
        insta::assert_snapshot!(name, page);
    }
    let page = render(&bad());
    for told in [
        "What tripped it",
        "error-rate 5.2 %",
        "sum(rate(error-rate_total",
        "the version before",
        "What is new since v0.9.5",
        "Traffic was safe again 90 ms",
    ] {
        assert!(page.contains(told), "{told}");
    }
}

/// A page of any stage: also of a rollout that has only been asked for.
#[test]
fn whatever_there_is_makes_a_page() {
    for story in [Story::default(), good(0), good(1), good(4)] {
        assert_eq!(is_well_formed(&render(&story)), Ok(()));
    }
}

#[test]
fn it_asks_nothing_of_any_network_and_runs_nothing() {
    let page = render(&good(5));
    assert!(page.contains("default-src 'none'"));
    for asks in ["<script", "<img", "<link", "<iframe", "@import", "url(", " src=", "javascript:", "onload", "onerror"] {
        assert!(!page.contains(asks), "{asks}");
    }
    assert_eq!(link("x", Some("javascript:alert(1)")), "x");
    assert_eq!(link("<b>", Some("https://h/\"onclick=")), "<a href=\"https://h/%22onclick=\" rel=\"noreferrer\">&lt;b&gt;</a>");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn what_strangers_write_is_text(hostile in "(?s)[<>&\"'`/=a\u{0}\u{1b}\u{fffe} \n-]{0,60}") {
        let mut story = bad();
        story.warnings.push(hostile.clone());
        story.watch.title = hostile.clone();
        if let Some(rollout) = &mut story.rollout {
            rollout.actor = Some(hostile.clone());
            rollout.run_url = Some(format!("https://github.com/{hostile}"));
            rollout.dashboard = Some(hostile.clone());
        }
        if let Some(failure) = story.end.as_mut().and_then(|end| end.failure.as_mut()) {
            failure.what = hostile.clone();
            failure.next.push(hostile.clone());
        }
        if let Some(changes) = &mut story.changes {
            changes.changes.iter_mut().for_each(|change| change.what.clone_from(&hostile));
            changes.since = hostile;
        }
        prop_assert_eq!(is_well_formed(&render(&story)), Ok(()));
    }
}
