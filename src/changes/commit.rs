//! Reading commits: from messages to changes (Conventional Commits 1.0.0, "Specification"; GitHub's own words for merges and
//! reverts). What follows no convention is a change all the same, by its first line.

use std::collections::BTreeSet;

use super::{Change, Compatibility, Kind};
use crate::domain::Sha;

/// Characters of a change, of a scope, and of a note that are kept.
const WHAT: usize = 160;
const SCOPE: usize = 30;
const NOTE: usize = 200;

/// The footers that mark a breaking change (Conventional Commits 1.0.0, rules 12 and 16): capitals only.
const BREAKING: [&str; 2] = ["BREAKING CHANGE: ", "BREAKING-CHANGE: "];

/// What GitHub and git write into a revert.
const REVERTS: &str = "This reverts commit ";

/// Digits by which a commit is named at least.
const SHORTEST: usize = 7;

/// A commit as GitHub lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commit {
    /// Its id.
    pub sha: Sha,
    /// Its whole message.
    pub message: String,
    /// How many commits it follows: more than one in a merge.
    pub parents: usize,
}

/// The changes of `commits`, the oldest first, in their order.
#[must_use]
pub fn read(commits: &[Commit]) -> Vec<Change> {
    let reverted = reverted(commits);
    let mut changes: Vec<Change> = Vec::new();
    for commit in commits.iter().filter(|commit| !reverted.contains(&commit.sha)) {
        if commit.parents < 2 {
            changes.extend(change(commit, &commit.message, None));
            continue;
        }
        // A merge's commits are in the list themselves; the pull request's title and number are nowhere else.
        let Some((number, title)) = merged(&commit.message) else { continue };
        let Some(change) = change(commit, title, Some(number)) else { continue };
        match changes.iter_mut().find(|known| known.what == change.what) {
            Some(known) => known.pull_request = known.pull_request.or(change.pull_request),
            None => changes.push(change),
        }
    }
    changes
}

/// The commits that came to nothing: what a later one reverts, and that one. From the newest on, so that what reverts a revert
/// brings back what that took away.
fn reverted(commits: &[Commit]) -> BTreeSet<Sha> {
    let mut gone = BTreeSet::new();
    for (place, commit) in commits.iter().enumerate().rev() {
        if gone.contains(&commit.sha) {
            continue;
        }
        let Some(named) = commit.message.lines().find_map(|line| line.trim().strip_prefix(REVERTS)) else { continue };
        let digits: String = named.chars().take_while(char::is_ascii_hexdigit).collect::<String>().to_ascii_lowercase();
        if digits.len() < SHORTEST {
            continue;
        }
        let before = commits.get(..place).unwrap_or_default();
        if let Some(found) = before.iter().find(|before| before.sha.as_str().starts_with(&digits)) {
            gone.insert(found.sha.clone());
            gone.insert(commit.sha.clone());
        }
    }
    gone
}

/// A pull request's number and title, out of the message that GitHub gives its merge: "Merge pull request #12 from …", and the
/// title below.
fn merged(message: &str) -> Option<(u64, &str)> {
    let mut lines = message.lines();
    let number = lines.next()?.strip_prefix("Merge pull request #")?.split(' ').next()?.parse().ok()?;
    let title = lines.map(str::trim).find(|line| !line.is_empty())?;
    Some((number, title))
}

fn change(commit: &Commit, message: &str, pull_request: Option<u64>) -> Option<Change> {
    let mut lines = message.trim_start().lines();
    let (first, named) = without_number(lines.next().unwrap_or_default().trim());
    let header = header(first);
    let (kind, scope, what) = header.as_ref().map_or((Kind::Other, None, first), |header| (header.kind, header.scope, header.what));
    let note = lines.find_map(|line| BREAKING.iter().find_map(|token| line.trim().strip_prefix(token)));
    let is_breaking = note.is_some() || header.as_ref().is_some_and(|header| header.is_marked);
    let what = line(what, WHAT);
    if what.is_empty() {
        return None;
    }
    Some(Change {
        kind,
        compatibility: if is_breaking {
            Compatibility::Breaking { note: note.map(|note| line(note, NOTE)).filter(|note| !note.is_empty()) }
        } else {
            Compatibility::Compatible
        },
        scope: scope.map(|scope| line(scope, SCOPE)).filter(|scope| !scope.is_empty()),
        what,
        pull_request: pull_request.or(named),
        sha: commit.sha.clone(),
    })
}

/// A first line without the "(#123)" that GitHub puts at the end of a squashed one's, and that number.
fn without_number(first: &str) -> (&str, Option<u64>) {
    let parts = first.strip_suffix(')').and_then(|rest| rest.rsplit_once(" (#"));
    match parts.and_then(|(what, number)| Some((what.trim_end(), number.parse().ok()?))) {
        Some((what, number)) => (what, Some(number)),
        None => (first, None),
    }
}

/// The parts of a first line that follows the convention.
struct Header<'a> {
    kind: Kind,
    scope: Option<&'a str>,
    is_marked: bool,
    what: &'a str,
}

/// `TYPE(SCOPE)!: WHAT`, scope and `!` optional (Conventional Commits 1.0.0, rules 1 to 5); case does not count (rule 15).
fn header(first: &str) -> Option<Header<'_>> {
    let (before, what) = first.split_once(": ")?;
    let (before, is_marked) = before.strip_suffix('!').map_or((before, false), |before| (before, true));
    let (word, scope) = match before.split_once('(') {
        Some((word, rest)) => (word, Some(rest.strip_suffix(')')?)),
        None => (before, None),
    };
    let is_word = !word.is_empty() && word.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    if !is_word || what.trim().is_empty() || scope.is_some_and(|scope| scope.contains(['(', ')'])) {
        return None;
    }
    let kind = match word.to_ascii_lowercase().as_str() {
        "feat" => Kind::Feature,
        "fix" => Kind::Fix,
        "perf" => Kind::Performance,
        _ => Kind::Other,
    };
    Some(Header { kind, scope, is_marked, what: what.trim() })
}

/// On one line, without what cannot be seen, at most `most` characters.
fn line(text: &str, most: usize) -> String {
    crate::text::line(text, most)
}
