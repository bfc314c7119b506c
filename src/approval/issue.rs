//! What people read: the release issue, replies to commands, notices; GitHub's Markdown. What strangers wrote is made harmless
//! first; only roles and people of `deploy.yml` are ever mentioned. Pure, and nothing of it is read again but marks that say where
//! to look.

use std::fmt::Write;

use super::{
    Request, moment,
    standing::{How, Notice, RoleStands, Standing, Verdict},
};
use crate::{
    changes::Changes,
    config::{ApprovalRole, Approvals},
    domain::{Digest, ReleaseVersion, Sha},
    plan::preflight::{
        Checklist, Part, Row, RowState,
        approvals::{holders, title as role_title},
    },
    report::changes as shown,
    text::markdown as safe,
};

/// The label of release issues, by which open ones are found.
pub const LABEL: &str = "release-approval";

/// Changes that the issue lists.
const CHANGES: usize = 50;

const TABLE: &str = "<!-- deploy-action approvals -->";
const TABLE_END: &str = "<!-- deploy-action end of approvals -->";

/// The issue's title.
#[must_use]
pub fn title(version: &ReleaseVersion) -> String {
    format!("Release {version}")
}

/// The first line of the issue's text: which commit's statuses say what was asked for. Not believed, only followed.
fn mark(version: &ReleaseVersion, sha: &Sha) -> String {
    format!("<!-- deploy-action release {version} {sha} -->")
}

/// Where the text of an issue says to look.
#[must_use]
pub fn read_mark(body: &str) -> Option<(ReleaseVersion, Sha)> {
    let mark = body.lines().next()?.trim().strip_prefix("<!-- deploy-action release ")?.strip_suffix(" -->")?;
    let (version, sha) = mark.split_once(' ')?;
    Some((version.parse().ok()?, sha.parse().ok()?))
}

/// What the issue says besides how it stands.
#[derive(Debug, Clone)]
pub struct Opening<'a> {
    /// What is released.
    pub application: &'a str,
    /// The version.
    pub version: &'a ReleaseVersion,
    /// Whether somebody named it.
    pub named: Named,
    /// The commit.
    pub sha: &'a Sha,
    /// Where it is looked at.
    pub commit_url: Option<&'a str>,
    /// The image.
    pub digest: &'a Digest,
    /// The pull request's number.
    pub pull_request: u64,
    /// Who asked.
    pub by: &'a str,
    /// The environment that stands for staging, and since when it is stable there, where that is known.
    pub staging: (&'a str, Option<jiff::Timestamp>),
    /// What is new; why it is not known.
    pub changes: Result<&'a Changes, &'a str>,
    /// The checklist as it stands now.
    pub checklist: &'a Checklist,
    /// Slack's channel for incidents, and the documentation, where configured.
    pub incidents: Option<&'a str>,
    /// The documentation's page.
    pub docs: Option<&'a str>,
}

/// Whether somebody named the version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Named {
    /// They did.
    ByAPerson,
    /// It follows from the commits.
    ByTheCommits,
}

/// The issue's text. How it stands is put in by [`with_table`], once it is known.
#[must_use]
pub fn body(opening: &Opening<'_>) -> String {
    let Opening { application, version, named, sha, commit_url, digest, pull_request, by, staging, changes, checklist, incidents, docs } =
        opening;
    let mut page = format!("{}\n", mark(version, sha));
    let _ = writeln!(page, "The release of {} {version} to production: who approves it, and what is known of it.\n", safe(application));
    let commit = commit_url.map_or_else(|| format!("`{}`", sha.short()), |url| format!("[`{}`]({url})", sha.short()));
    let how = match named {
        Named::ByAPerson => "as asked for",
        Named::ByTheCommits => "proposed from the commits",
    };
    let (environment, since) = staging;
    let since = since.map_or_else(|| "a time that is not known".to_owned(), moment);
    let _ = writeln!(page, "| | |\n|---|---|");
    let _ = writeln!(page, "| Version | `{version}`, {how} |");
    let _ = writeln!(page, "| Commit | {commit} |\n| Image | `{digest}` |");
    let _ = writeln!(page, "| Pull request | #{pull_request}, `/ready-for-prod` by {} |", safe(by));
    let _ = writeln!(page, "| Stable on {} | since {since} |\n", safe(environment));
    let _ = writeln!(page, "### Approvals\n\n{TABLE}\n{TABLE_END}\n");
    let _ = writeln!(page, "### What is new\n");
    match changes {
        Ok(changes) => page.push_str(&shown::markdown(changes, CHANGES)),
        Err(why) => {
            let _ = writeln!(page, "It could not be looked up: {}\n", safe(why));
        }
    }
    page.push_str("### Checklist\n\nWhat is checked by machine is ticked as it stood when this issue was opened; it is checked again before the release. The rest is for people to tick.\n\n");
    list(&mut page, checklist);
    page.push_str(CONTACTS);
    if let Some(channel) = incidents {
        let _ = writeln!(page, "- Critical issues: Slack {}", safe(channel));
    }
    if let Some(docs) = docs {
        let _ = writeln!(page, "- Documentation: <{docs}>");
    }
    page
}

/// Whom to call (runbook, "Emergency Contact").
const CONTACTS: &str = "### Who is on call\n\n1. On-call DevOps engineer, by PagerDuty (answers within 5 minutes)\n2. DevOps lead (15 minutes)\n3. VP Engineering (30 minutes)\n\n";

/// The rows that are judged when production is deployed to, and cannot be now.
fn is_later(row: &Row) -> bool {
    matches!(
        row.id.as_str(),
        "production-healthy" | "database-connections" | "cpu-memory" | "tag-form" | "newer" | "alone" | "window" | "release-issue"
    )
}

fn list(page: &mut String, checklist: &Checklist) {
    // The approvals have a table of their own.
    let parts = Part::ALL.into_iter().filter(|part| *part != Part::Approvals);
    for part in parts {
        let rows: Vec<&Row> = checklist.rows.iter().filter(|row| row.part == part && row.id != "approvals").collect();
        if rows.is_empty() {
            continue;
        }
        let _ = writeln!(page, "**{}**\n", part.title());
        for row in rows {
            let line = safe(&row.line);
            let _ = match &row.state {
                _ if row.id == "release-issue" => writeln!(page, "- [x] {line}: this one"),
                _ if is_later(row) => writeln!(page, "- [ ] {line} (`{}`): checked when production is deployed to", row.id),
                RowState::Passed => writeln!(page, "- [x] {line}: {}", safe(&row.evidence)),
                RowState::Failed { mend } => {
                    writeln!(page, "- [ ] {line} (`{}`): **not yet**: {}; {}", row.id, safe(&row.evidence), safe(mend))
                }
                RowState::Overridden { by } => writeln!(page, "- [ ] {line}: overridden by {}: {}", safe(&by.by), safe(&by.reason)),
                RowState::NotChecked => writeln!(page, "- [ ] {line}"),
            };
        }
        page.push('\n');
    }
}

/// How a request stands, for people.
#[must_use]
pub fn table(request: &Request, standing: &Standing) -> String {
    let mut table = String::from("| Role | Who may | How it stands |\n|---|---|---|\n");
    for RoleStands { role, how } in &standing.roles {
        let how = match how {
            How::Approved(approval) => {
                let at = approval.link.as_ref().map_or_else(|| moment(approval.at), |link| format!("[{}]({link})", moment(approval.at)));
                format!("✅ {}, {at}", safe(&approval.by))
            }
            How::Rejected(approval) => format!("❌ {}, {}: {}", safe(&approval.by), moment(approval.at), safe(&approval.comment)),
            How::Overridden(given) => {
                format!("⚠️ overridden by {} ({}): {}", safe(&given.by), safe(&given.role), safe(&given.reason))
            }
            How::Missing => "⏳ waits".to_owned(),
        };
        let _ = writeln!(table, "| `{}` | {} | {how} |", role.name, safe(&holders(role)));
    }
    let line = match (&request.state, standing.verdict) {
        (super::State::Tagged, _) => format!("**Approved**: the tag `{}` is on the commit.", request.version),
        (super::State::Over { why }, _) => format!("**Over**: {}. `/ready-for-prod` on the pull request asks again.", safe(why)),
        (super::State::Open, Verdict::Approved) => "**Approved**.".to_owned(),
        (super::State::Open, Verdict::Rejected) => "**Rejected**: it goes on when who rejected it approves.".to_owned(),
        (super::State::Open, Verdict::Lapsed) => "**Lapsed**.".to_owned(),
        (super::State::Open, Verdict::Waiting) => "**Waiting**.".to_owned(),
    };
    let _ = writeln!(table, "\n{line} Asked for {}, lapses {}.\n", moment(request.opened), moment(standing.lapses));
    let _ = writeln!(table, "Comment `/approve ROLE`, `/reject ROLE why` or `/override ROW why`. An edited comment does not count.");
    for given in &standing.overrides {
        let _ = writeln!(
            table,
            "\n⚠️ Row `{}` overridden by {} ({}), {}: {}",
            given.row,
            safe(&given.by),
            safe(&given.role),
            moment(given.at),
            safe(&given.reason)
        );
    }
    for unclear in &standing.unclear {
        let _ = writeln!(table, "\n❓ {}", safe(unclear));
    }
    table
}

/// The issue's text with how it stands now in its place; what people ticked or wrote beside it stays.
#[must_use]
pub fn with_table(body: &str, table: &str) -> String {
    let place = body.split_once(TABLE).and_then(|(before, rest)| Some((before, rest.split_once(TABLE_END)?.1)));
    let (before, after) = place.unwrap_or((body, ""));
    format!("{before}{TABLE}\n{table}{TABLE_END}{after}")
}

/// The reply on the pull request once the issue is there.
#[must_use]
pub fn asked(request: &Request, approvals: &Approvals) -> String {
    let roles: Vec<String> = approvals.roles.iter().map(|role| format!("`{}`", role.name)).collect();
    format!(
        "Release {} is asked for: #{}. It needs {} by {}.\n\nCommit `{}`, image `{}`.",
        request.version,
        request.issue,
        roles.join(", "),
        moment(request.lapses(approvals.within)),
        request.sha.short(),
        request.digest
    )
}

/// The reply to who may not ask; it tells nothing.
pub const NOT_FOR_YOU: &str = "This command is for people who work on this repository.";

/// The mark of a notice's comment.
fn notice_mark(notice: Notice) -> String {
    format!("<!-- deploy-action notice {} -->", notice.word())
}

/// Which notice a comment is. Only asked of what the Action itself wrote.
#[must_use]
pub fn notice_of(body: &str) -> Option<Notice> {
    let first = body.lines().next()?.trim();
    Notice::ALL.into_iter().find(|notice| first == notice_mark(*notice))
}

/// A notice on the issue. Those whom it is for are mentioned: teams of `organization`, and users.
#[must_use]
pub fn notice(notice: Notice, request: &Request, asked: &Approvals, standing: &Standing, organization: &str) -> String {
    let mut text = format!("{}\n", notice_mark(notice));
    let missing = missing(standing);
    let names: Vec<String> = missing.iter().map(|role| format!("`{}`", role.name)).collect();
    let (version, lapses) = (&request.version, moment(standing.lapses));
    let _ = match notice {
        Notice::Reminder => {
            let who = mentions(&missing, organization);
            writeln!(text, "{who}: release {version} lapses {lapses}. Still to approve: {}.", names.join(", "))
        }
        Notice::Escalation => {
            let overriding: Vec<&ApprovalRole> = asked.overrides.iter().collect();
            let who = mentions(&overriding, organization);
            let whom = if who.is_empty() { String::new() } else { format!("{who}: ") };
            writeln!(
                text,
                "{whom}release {version} lapses {lapses} and still lacks {}. Who may can decide: `/override approvals why`.",
                names.join(", ")
            )
        }
        Notice::Lapsed => writeln!(
            text,
            "Release {version} is rejected: it lapsed {lapses} without {}. Comment `/ready-for-prod` on the pull request to ask again, with a fresh time.",
            names.join(", ")
        ),
    };
    text
}

/// The roles that are not filled.
#[must_use]
pub fn missing(standing: &Standing) -> Vec<&ApprovalRole> {
    let open = standing.roles.iter().filter(|stands| matches!(stands.how, How::Missing | How::Rejected(_)));
    open.map(|stands| &stands.role).collect()
}

fn mentions(roles: &[&ApprovalRole], organization: &str) -> String {
    let of = |role: &&ApprovalRole| {
        let teams: Vec<String> = role.teams.iter().map(|team| format!("@{organization}/{team}")).collect();
        teams.into_iter().chain(role.users.iter().map(|user| format!("@{user}"))).collect::<Vec<_>>()
    };
    roles.iter().flat_map(of).collect::<Vec<_>>().join(" ")
}

/// "Release manager: rita; Tech lead: tom", for the tag's message and Slack.
#[must_use]
pub fn approvers(standing: &Standing) -> String {
    let of = |stands: &RoleStands| {
        let who = match &stands.how {
            How::Approved(approval) => approval.by.clone(),
            How::Overridden(given) => format!("overridden by {} ({}): {}", given.by, given.role, given.reason),
            How::Rejected(against) => format!("rejected by {}", against.by),
            How::Missing => "nobody".to_owned(),
        };
        format!("{}: {who}", role_title(&stands.role.name))
    };
    standing.roles.iter().map(of).collect::<Vec<_>>().join("; ")
}

/// The message of the release's tag: its notes.
#[must_use]
pub fn tag_message(request: &Request, standing: &Standing, changes: Option<&Changes>) -> String {
    let mut message = format!("Release {}\n\n", request.version);
    for change in changes.iter().flat_map(|changes| &changes.changes) {
        let number = change.pull_request.map_or_else(String::new, |number| format!(" (#{number})"));
        let _ = writeln!(message, "- {}{number}", change.what);
    }
    let _ = write!(message, "\nImage: {}\nApproved: {}\nRequest: {}\n", request.digest, approvers(standing), request.url);
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_followed_only_where_it_is_whole() {
        let (version, sha) = ("v1.0.0".parse().expect("a version"), "a".repeat(40).parse().expect("a sha"));
        assert_eq!(read_mark(&format!("{}\nmore", mark(&version, &sha))), Some((version, sha)));
        for text in ["", "# Release v1.0.0", "<!-- deploy-action release v1.0.0 -->", "<!-- deploy-action release v1.0.0 $(id) -->"] {
            assert_eq!(read_mark(text), None, "{text}");
        }
    }

    #[test]
    fn the_table_has_one_place_and_what_people_ticked_stays() {
        let body = format!("a\n{TABLE}\nold\n{TABLE_END}\n- [x] ticked by a person\n");
        let once = with_table(&body, "new\n");
        assert_eq!(once, format!("a\n{TABLE}\nnew\n{TABLE_END}\n- [x] ticked by a person\n"));
        assert_eq!(with_table(&once, "new\n"), once);
        assert!(with_table("somebody took it out\n", "new\n").contains("new"));
    }
}
