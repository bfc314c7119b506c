//! How a release stands: derived each time, as a whole, from what GitHub says was asked for and who said what. Pure.

use jiff::{SignedDuration, Timestamp};

use super::{Request, State};
use crate::{
    config::{ApprovalRole, Approvals},
    observe::preflight::{Approval, Override, Said},
    plan::preflight::approvals::{self, Moment},
};

/// The part of its time after which a request reminds those who have said nothing: three of four.
const REMIND: (i32, i32) = (3, 4);
/// The part after which it is escalated (runbook: "Escalation: Tech Lead + Ops Lead → VP Engineering"): eleven of twelve, which
/// leaves two of the runbook's 24 hours.
const ESCALATE: (i32, i32) = (11, 12);

/// The rows of the checklist that an approval's override may name besides its own.
const ALL: &str = "approvals";

/// How a release stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// Every role that must approve.
    pub roles: Vec<RoleStands>,
    /// What was overridden, in the order in which it was.
    pub overrides: Vec<Override>,
    /// What comes of it.
    pub verdict: Verdict,
    /// When it lapses.
    pub lapses: Timestamp,
    /// What could not be found out.
    pub unclear: Vec<String>,
}

/// A role, and whether it is filled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoleStands {
    /// The role.
    pub role: ApprovalRole,
    /// Whether it is.
    pub how: How,
}

/// Whether a role is filled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum How {
    /// By this approval.
    Approved(Approval),
    /// Somebody said no.
    Rejected(Approval),
    /// Somebody who may has decided that it need not be.
    Overridden(Override),
    /// Nobody has said anything that counts.
    Missing,
}

/// What comes of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It waits.
    Waiting,
    /// Somebody said no: it waits for them.
    Rejected,
    /// Its time is over.
    Lapsed,
    /// Everybody who must has approved.
    Approved,
}

/// What people are told once in a request's life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Notice {
    /// It lapses soon, to those who have said nothing.
    Reminder,
    /// It lapses very soon, to those who may override.
    Escalation,
    /// It has lapsed.
    Lapsed,
}

impl Notice {
    /// Every notice, in the order of their time.
    pub const ALL: [Self; 3] = [Self::Reminder, Self::Escalation, Self::Lapsed];

    /// Its word in the comment's mark.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Reminder => "reminder",
            Self::Escalation => "escalation",
            Self::Lapsed => "lapsed",
        }
    }
}

/// How `request` stands at `now`, by GitHub's clock.
#[must_use]
pub fn judge(request: &Request, asked: &Approvals, said: &Said, now: Timestamp) -> Standing {
    let moment = Moment { sha: Some(&request.sha), now };
    let filled = approvals::fill(asked, said, moment);
    let overrides: Vec<Override> = said
        .overrides
        .iter()
        .filter(|given| given.sha == request.sha && asked.overrides.iter().any(|role| role.name == given.role))
        .cloned()
        .collect();
    let roles: Vec<RoleStands> = asked
        .roles
        .iter()
        .zip(filled)
        .map(|(role, filled)| {
            let of_role = format!("approval-{}", role.name);
            let overridden = overrides.iter().find(|given| given.row == of_role || given.row == ALL);
            let how = match (overridden, approvals::rejected(&role.name, asked, said, moment), filled) {
                (Some(given), ..) => How::Overridden(given.clone()),
                (None, Some(against), _) => How::Rejected(against.clone()),
                (None, None, Some(approval)) => How::Approved(approval.clone()),
                (None, None, None) => How::Missing,
            };
            RoleStands { role: role.clone(), how }
        })
        .collect();
    let lapses = request.lapses(asked.within);
    let any = |is: fn(&How) -> bool| roles.iter().any(|stands| is(&stands.how));
    let verdict = match () {
        () if any(|how| matches!(how, How::Rejected(_))) && now < lapses => Verdict::Rejected,
        () if !any(|how| matches!(how, How::Missing | How::Rejected(_))) && !roles.is_empty() => Verdict::Approved,
        () if now >= lapses => Verdict::Lapsed,
        () => Verdict::Waiting,
    };
    Standing { roles, overrides, verdict, lapses, unclear: said.unclear.clone() }
}

/// What people are to be told now, besides what they were `told` already. What is late by more than one notice is told once, by
/// the last.
#[must_use]
pub fn due(request: &Request, asked: &Approvals, standing: &Standing, told: &[Notice], now: Timestamp) -> Option<Notice> {
    match (&request.state, standing.verdict) {
        (State::Over { .. } | State::Tagged, _) | (_, Verdict::Approved) => return None,
        (State::Open, Verdict::Waiting | Verdict::Rejected | Verdict::Lapsed) => {}
    }
    let within = SignedDuration::try_from(asked.within).unwrap_or(SignedDuration::MAX);
    let after = |(part, of): (i32, i32)| request.opened.checked_add(within / of * part).unwrap_or(Timestamp::MAX);
    let notice = match () {
        () if now >= standing.lapses => Notice::Lapsed,
        () if now >= after(ESCALATE) => Notice::Escalation,
        () if now >= after(REMIND) => Notice::Reminder,
        () => return None,
    };
    (!told.contains(&notice)).then_some(notice)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{config::Leave, observe::preflight::Answer};

    const SHA: &str = "a1b2c3d4e5f60718293a4b5c6d7e8f9001122334";

    fn asked() -> Approvals {
        let role = |name: &str| ApprovalRole { name: name.into(), teams: vec![format!("{name}s")], users: Vec::new() };
        Approvals {
            within: Duration::from_secs(24 * 3600),
            roles: ["release-manager", "tech-lead", "operations-lead"].map(role).into(),
            overrides: vec![role("vp-engineering")],
            several_roles: Leave::Refuse,
            own_changes: Leave::Refuse,
            workflow: "ci.yml".into(),
        }
    }

    /// Opened the hour before clocks go back in most of Europe.
    fn request() -> Request {
        Request {
            version: "v1.0.0".parse().expect("a version"),
            sha: SHA.parse().expect("a sha"),
            digest: format!("sha256:{}", "a".repeat(64)).parse().expect("a digest"),
            issue: 12,
            url: "https://github.com/o/r/issues/12".into(),
            opened: "2026-10-24T23:30:00Z".parse().expect("a time"),
            keeper: "github-actions[bot]".into(),
            state: State::Open,
        }
    }

    fn word(by: &str, role: &str, answer: Answer, minutes: i64) -> Approval {
        let at = request().opened + SignedDuration::from_mins(minutes);
        Approval {
            by: by.into(),
            roles: vec![role.into()],
            answer,
            at,
            sha: SHA.parse().expect("a sha"),
            comment: String::new(),
            source: "comment".into(),
            link: None,
        }
    }

    fn three(last: i64) -> Said {
        let approvals = vec![
            word("rita", "release-manager", Answer::Approved, 1),
            word("tom", "tech-lead", Answer::Approved, 2),
            word("olga", "operations-lead", Answer::Approved, last),
        ];
        Said { approvals, ..Said::default() }
    }

    fn after(minutes: i64) -> Timestamp {
        request().opened + SignedDuration::from_mins(minutes)
    }

    #[test]
    fn three_roles_approve_a_release_by_three_people() {
        assert_eq!(judge(&request(), &asked(), &three(3), after(5)).verdict, Verdict::Approved);
        let mut said = three(3);
        said.approvals[2].by = "Tom".into();
        assert_eq!(judge(&request(), &asked(), &said, after(5)).verdict, Verdict::Waiting, "one person fills one role");
        let several = Approvals { several_roles: Leave::Allow, ..asked() };
        assert_eq!(judge(&request(), &several, &said, after(5)).verdict, Verdict::Approved);
        let mut said = three(3);
        said.approvals[1].sha = "b".repeat(40).parse().expect("a sha");
        assert_eq!(judge(&request(), &asked(), &said, after(5)).verdict, Verdict::Waiting, "another commit's approval is none");
    }

    #[test]
    fn who_rejects_is_waited_for() {
        let mut said = three(3);
        said.approvals.push(word("tom", "tech-lead", Answer::Rejected, 4));
        assert_eq!(judge(&request(), &asked(), &said, after(5)).verdict, Verdict::Rejected);
        said.approvals.push(word("tom", "tech-lead", Answer::Approved, 6));
        assert_eq!(judge(&request(), &asked(), &said, after(7)).verdict, Verdict::Approved);
    }

    #[test]
    fn twenty_four_hours_are_that_also_when_clocks_go_back() {
        // 23:59 after it was opened somebody is missing still: it waits; at 24:00 it has lapsed.
        let said = Said { approvals: three(3).approvals[..2].to_vec(), ..Said::default() };
        assert_eq!(judge(&request(), &asked(), &said, after(24 * 60 - 1)).verdict, Verdict::Waiting);
        assert_eq!(judge(&request(), &asked(), &said, after(24 * 60)).verdict, Verdict::Lapsed);
        // Who approved in time has, also where it is looked at a little later.
        assert_eq!(judge(&request(), &asked(), &three(24 * 60 - 1), after(24 * 60)).verdict, Verdict::Approved);
    }

    #[test]
    fn an_override_by_the_role_that_may_fills_a_role() {
        let mut said = three(3);
        said.approvals.truncate(2);
        let given = |role: &str| Override {
            row: "approval-operations-lead".into(),
            by: "vera".into(),
            role: role.into(),
            reason: "hotfix".into(),
            at: after(4),
            sha: SHA.parse().expect("a sha"),
            link: None,
        };
        said.overrides = vec![given("tech-lead")];
        assert_eq!(judge(&request(), &asked(), &said, after(5)).verdict, Verdict::Waiting);
        said.overrides = vec![given("vp-engineering")];
        assert_eq!(judge(&request(), &asked(), &said, after(5)).verdict, Verdict::Approved);
    }

    #[test]
    fn people_are_told_once_as_time_goes() {
        let of = |minutes: i64, told: &[Notice]| {
            let standing = judge(&request(), &asked(), &Said::default(), after(minutes));
            due(&request(), &asked(), &standing, told, after(minutes))
        };
        assert_eq!(of(17 * 60, &[]), None);
        assert_eq!(of(18 * 60, &[]), Some(Notice::Reminder));
        assert_eq!(of(20 * 60, &[Notice::Reminder]), None);
        assert_eq!(of(22 * 60, &[Notice::Reminder]), Some(Notice::Escalation));
        assert_eq!(of(24 * 60, &[Notice::Reminder]), Some(Notice::Lapsed));
        assert_eq!(of(25 * 60, &[Notice::Lapsed]), None);
    }
}
