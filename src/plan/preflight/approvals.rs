//! Who must approve, and whether they have: each role by somebody else, of this very commit, lately enough (runbook "Runbook
//! Approval Flow": three roles, 24 hours). Pure.

use jiff::Timestamp;

use super::{Finding, Part, Row, RowState, is_within, moment as at_minute, row, words};
use crate::{
    config::{ApprovalRole, Approvals, Leave, Preflight},
    domain::Sha,
    observe::preflight::{Answer, Approval, Facts, Found, Said},
};

/// The row that says the other rows of this file in one.
pub(super) const ALL_RECEIVED: &str = "approvals";

/// A row for each role.
pub(super) fn rows(asked: &Preflight, facts: &Facts) -> Vec<Row> {
    let Some(approvals) = &asked.approvals else {
        return vec![row("approval", Part::Approvals, "Everybody who must approve has", Finding::off("preflight.approvals"))];
    };
    let filled = match &facts.said {
        Found::Known { value } => fill(approvals, value, moment_of(facts)),
        Found::Unknown { .. } | Found::Absent { .. } => Vec::new(),
    };
    let found = approvals.roles.iter().enumerate().map(|(index, role)| {
        let finding = judge(role, filled.get(index).copied().flatten(), approvals, facts);
        row(format!("approval-{}", role.name), Part::Approvals, format!("{} approved", title(&role.name)), finding)
    });
    found.collect()
}

/// "Release manager" of `release-manager`.
#[must_use]
pub fn title(role: &str) -> String {
    let words = role.replace('-', " ");
    let mut letters = words.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

/// Of which commit, and when.
#[derive(Clone, Copy)]
pub struct Moment<'a> {
    /// The commit, where it is known.
    pub sha: Option<&'a Sha>,
    /// When it is looked at.
    pub now: Timestamp,
}

const fn moment_of(facts: &Facts) -> Moment<'_> {
    Moment { sha: facts.release.sha.as_ref(), now: facts.now }
}

/// Whether a person's word is one on this commit, lately enough.
fn counts(approval: &Approval, approvals: &Approvals, moment: Moment<'_>) -> bool {
    moment.sha == Some(&approval.sha) && is_within(approval.at, moment.now, approvals.within)
}

/// Who rejected in `role`, and has not said otherwise since.
#[must_use]
pub fn rejected<'a>(role: &str, approvals: &Approvals, said: &'a Said, moment: Moment<'_>) -> Option<&'a Approval> {
    let mut words = last_words(role, said, moment).into_iter();
    words.rfind(|word| word.answer == Answer::Rejected && counts(word, approvals, moment))
}

/// The last word of each person on `role`.
fn last_words<'a>(role: &str, said: &'a Said, moment: Moment<'_>) -> Vec<&'a Approval> {
    let of_role =
        said.approvals.iter().filter(|approval| moment.sha == Some(&approval.sha) && approval.roles.iter().any(|held| held == role));
    let mut last: Vec<&Approval> = Vec::new();
    for approval in of_role {
        match last.iter_mut().find(|known| known.by.eq_ignore_ascii_case(&approval.by)) {
            Some(known) if known.at <= approval.at => *known = approval,
            Some(_) => {}
            None => last.push(approval),
        }
    }
    last
}

/// For each role the approval that fills it: as many roles as can be, each by another person unless that is allowed.
#[must_use]
pub fn fill<'a>(approvals: &Approvals, said: &'a Said, moment: Moment<'_>) -> Vec<Option<&'a Approval>> {
    let candidates: Vec<Vec<&Approval>> = approvals
        .roles
        .iter()
        .map(|role| {
            let words = last_words(&role.name, said, moment).into_iter();
            words.filter(|word| word.answer == Answer::Approved && counts(word, approvals, moment)).collect()
        })
        .collect();
    match approvals.several_roles {
        Leave::Allow => return candidates.iter().map(|candidates| candidates.last().copied()).collect(),
        Leave::Refuse => {}
    }
    let mut filled: Vec<Option<&Approval>> = vec![None; candidates.len()];
    for role in 0..candidates.len() {
        assign(role, &candidates, &mut filled, &mut Vec::new());
    }
    filled
}

/// Gives `role` one of its candidates; whoever fills another role already moves over where somebody else can take their place (an
/// augmenting path of a bipartite matching).
fn assign<'a>(role: usize, candidates: &[Vec<&'a Approval>], filled: &mut Vec<Option<&'a Approval>>, tried: &mut Vec<String>) -> bool {
    for candidate in candidates.get(role).into_iter().flatten() {
        let person = candidate.by.to_lowercase();
        if tried.contains(&person) {
            continue;
        }
        tried.push(person.clone());
        let elsewhere = filled.iter().position(|place| place.is_some_and(|other| other.by.to_lowercase() == person));
        if elsewhere.is_none_or(|elsewhere| assign(elsewhere, candidates, filled, tried)) {
            if let Some(place) = filled.get_mut(role) {
                *place = Some(candidate);
            }
            return true;
        }
    }
    false
}

fn judge(role: &ApprovalRole, filled: Option<&Approval>, approvals: &Approvals, facts: &Facts) -> Finding {
    if role.is_vacant() {
        return Finding::not_checked(format!("for a person: `preflight.approvals.roles` does not say who is {}", role.name));
    }
    let holders = holders(role);
    let lasting = words(jiff::SignedDuration::try_from(approvals.within).unwrap_or_default());
    let commit = facts.release.sha.as_ref().map_or_else(|| facts.release.tag.clone(), |sha| sha.short().to_owned());
    let mend = format!("let {holders} approve {commit}, and run the workflow again within {lasting}");
    let said = match &facts.said {
        Found::Known { value } => value,
        Found::Unknown { why } | Found::Absent { why } => return Finding::failed(format!("approvals cannot be read: {why}"), mend),
    };
    let moment = moment_of(facts);
    let words_on_it = last_words(&role.name, said, moment);
    let against = words_on_it.iter().find(|word| word.answer == Answer::Rejected && counts(word, approvals, moment));
    if let Some(rejected) = against {
        let why = if rejected.comment.is_empty() { String::new() } else { format!(": {}", rejected.comment) };
        let evidence = format!("{} rejected {commit} at {}{why} ({})", rejected.by, at_minute(rejected.at), rejected.source);
        let mend = format!("mend what {} found, and ask again", rejected.by);
        return Finding::failed(evidence, mend).at(rejected.link.clone());
    }
    if let Some(approval) = filled {
        let ago = words(facts.now.duration_since(approval.at));
        let evidence = format!("{} approved {commit} {ago} ago ({})", approval.by, approval.source);
        return Finding::passed(evidence).at(approval.link.clone());
    }
    let mut evidence = match words_on_it.iter().filter(|word| word.answer == Answer::Approved).max_by_key(|word| word.at) {
        Some(old) if !counts(old, approvals, moment) => {
            format!("{} approved {} ago, and an approval lasts {lasting}", old.by, words(facts.now.duration_since(old.at)))
        }
        Some(busy) => format!("{} approved, and counts for another role already: one person fills one role", busy.by),
        None => match elsewhere(&role.name, said, facts) {
            Some(other) => format!("{} approved {}, which is another commit than {commit}", other.by, other.sha.short()),
            None => format!("nobody who is {} has approved {commit}", role.name),
        },
    };
    for unclear in &said.unclear {
        evidence.push_str(&format!("; {unclear}"));
    }
    Finding::failed(evidence, mend)
}

/// The last approval of another commit in this role.
fn elsewhere<'a>(role: &str, said: &'a Said, facts: &Facts) -> Option<&'a Approval> {
    let others = said.approvals.iter().filter(|approval| {
        approval.answer == Answer::Approved
            && facts.release.sha.as_ref() != Some(&approval.sha)
            && approval.roles.iter().any(|held| held == role)
    });
    others.max_by_key(|approval| approval.at)
}

/// Who may say so: "a member of team tech-leads or tom".
#[must_use]
pub fn holders(role: &ApprovalRole) -> String {
    let teams = role.teams.iter().map(|team| format!("a member of team {team}"));
    let all: Vec<String> = teams.chain(role.users.iter().cloned()).collect();
    all.join(" or ")
}

/// Judges the row "all approvals received" by the rows of the roles.
pub(super) fn sum_up(rows: &mut [Row]) {
    let of_roles: Vec<Row> = rows.iter().filter(|row| row.part == Part::Approvals).cloned().collect();
    let Some(all) = rows.iter_mut().find(|row| row.id == ALL_RECEIVED) else { return };
    let of = |is: fn(&RowState) -> bool| of_roles.iter().filter(|row| is(&row.state)).collect::<Vec<_>>();
    let (passed, failed) = (of(|state| *state == RowState::Passed), of(|state| matches!(state, RowState::Failed { .. })));
    let overridden = of_roles.iter().find_map(|row| match &row.state {
        RowState::Overridden { by } => Some(by.clone()),
        RowState::Passed | RowState::Failed { .. } | RowState::NotChecked => None,
    });
    all.evidence = format!("{} of {}", passed.len(), of_roles.len());
    all.state = match (failed.first(), overridden) {
        (Some(first), _) => {
            let names: Vec<&str> = failed.iter().map(|row| row.id.as_str()).collect();
            let mend = if failed.len() == 1 { format!("see {}", first.id) } else { format!("see {}", names.join(", ")) };
            RowState::Failed { mend }
        }
        (None, Some(by)) => RowState::Overridden { by },
        (None, None) if passed.is_empty() => {
            all.evidence = "for a person: see the approvals below".into();
            RowState::NotChecked
        }
        (None, None) => RowState::Passed,
    };
}
