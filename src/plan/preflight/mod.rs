//! The checklist before a release: every line of the runbook's "Pre-Deployment Checklist" and of Scenario 3's "Pre-Production
//! Checklist" is a row, judged on what was read. Pure: the same facts always give the same rows, so that they can be derived again.
//!
//! A row passes on positive evidence only. What could not be read fails it; what nothing is configured for is a person's matter and
//! says so. A failed row refuses the release, unless somebody who holds a configured role has overridden that very row for this
//! very commit; then the row says so wherever it is shown.

/// Who must approve, and whether they have.
pub mod approvals;
mod finding;
mod production;
mod release;
mod staging;
mod window;

use jiff::{SignedDuration, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    config::Preflight,
    failure::{Failure, FailureKind},
    observe::preflight::{Facts, Found, Override},
};
use finding::{Finding, Verdict};

pub use release::older;
pub use staging::SLOWEST_SECONDS as SLOWEST_STAGING_SECONDS;

/// The row that nothing overrides: two runs at once would be two hands on one wheel.
pub const ALONE: &str = "alone";

/// Failed rows that are named in the sentence of a refusal; the table has all.
const NAMED: usize = 3;

/// The checklist, gone through.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Checklist {
    /// Its rows, in the runbook's order.
    pub rows: Vec<Row>,
}

/// A line of the checklist, and how it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Row {
    /// What it is called where people type it: lower-case letters, digits and hyphens.
    pub id: String,
    /// Which part of the checklist it belongs to.
    pub part: Part,
    /// The line, as the runbook has it.
    pub line: String,
    /// How it stands.
    pub state: RowState,
    /// What that stands on: one sentence without a full stop.
    pub evidence: String,
    /// Where it is looked at.
    pub link: Option<String>,
}

/// How a row stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "state", rename_all = "kebab-case")]
pub enum RowState {
    /// There is evidence for it.
    Passed,
    /// There is evidence against it, or none where there should be.
    Failed {
        /// What would mend it.
        mend: String,
    },
    /// It failed, and somebody who may has decided that this does not stop the release.
    Overridden {
        /// Who, in which role, and why.
        by: Override,
    },
    /// Nothing is configured for it, or it is switched off: a person's matter.
    NotChecked,
}

/// The parts of the checklist, in the runbook's order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Part {
    /// "48 Hours Before Release".
    TwoDaysBefore,
    /// "24 Hours Before Release".
    DayBefore,
    /// "4 Hours Before Release".
    FourHoursBefore,
    /// "30 Minutes Before Release".
    HalfAnHourBefore,
    /// "Staging Verification".
    Staging,
    /// "Production Window".
    Window,
    /// "Approvals".
    Approvals,
    /// What a tag must be to be released at all (runbook Scenario 3, Step 1).
    Release,
}

impl Part {
    /// Every part, in order.
    pub const ALL: [Self; 8] = [
        Self::TwoDaysBefore,
        Self::DayBefore,
        Self::FourHoursBefore,
        Self::HalfAnHourBefore,
        Self::Staging,
        Self::Window,
        Self::Approvals,
        Self::Release,
    ];

    /// Its title.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::TwoDaysBefore => "48 hours before release",
            Self::DayBefore => "24 hours before release",
            Self::FourHoursBefore => "4 hours before release",
            Self::HalfAnHourBefore => "30 minutes before release",
            Self::Staging => "Staging verification",
            Self::Window => "Production window",
            Self::Approvals => "Approvals",
            Self::Release => "The release itself",
        }
    }
}

impl Checklist {
    /// The rows that refuse the release, each with what would mend it. What only repeats other rows is left out.
    pub fn failed(&self) -> impl Iterator<Item = (&Row, &str)> {
        self.of_their_own().filter_map(|row| match &row.state {
            RowState::Failed { mend } => Some((row, mend.as_str())),
            RowState::Passed | RowState::Overridden { .. } | RowState::NotChecked => None,
        })
    }

    /// The rows that would refuse it, had nobody decided otherwise. What only repeats other rows is left out.
    pub fn overridden(&self) -> impl Iterator<Item = (&Row, &Override)> {
        self.of_their_own().filter_map(|row| match &row.state {
            RowState::Overridden { by } => Some((row, by)),
            RowState::Passed | RowState::Failed { .. } | RowState::NotChecked => None,
        })
    }

    /// Every row but the one that says others in one.
    fn of_their_own(&self) -> impl Iterator<Item = &Row> {
        self.rows.iter().filter(|row| row.id != approvals::ALL_RECEIVED)
    }

    /// "24 passed, 2 failed, 9 not checked".
    #[must_use]
    pub fn tally(&self) -> String {
        let count = |is: fn(&RowState) -> bool| self.rows.iter().filter(|row| is(&row.state)).count();
        let counts = [
            (count(|state| matches!(state, RowState::Passed)), "passed"),
            (count(|state| matches!(state, RowState::Failed { .. })), "failed"),
            (count(|state| matches!(state, RowState::Overridden { .. })), "overridden"),
            (count(|state| matches!(state, RowState::NotChecked)), "not checked"),
        ];
        let words: Vec<String> =
            counts.into_iter().filter(|(count, _)| *count > 0).map(|(count, word)| format!("{count} {word}")).collect();
        words.join(", ")
    }

    /// Why the release of `version` to `environment` is refused, if it is.
    #[must_use]
    pub fn refusal(&self, version: &str, environment: &str, asked: &Preflight) -> Option<Failure> {
        let failed: Vec<(&Row, &str)> = self.failed().collect();
        if failed.is_empty() {
            return None;
        }
        let mut named: Vec<String> = failed.iter().take(NAMED).map(|(row, _)| format!("{}: {}", row.line, row.evidence)).collect();
        if failed.len() > NAMED {
            named.push(format!("and {} more", failed.len() - NAMED));
        }
        let rows = if failed.len() == 1 { "row" } else { "rows" };
        let what = format!("{version} may not go to {environment}: {} {rows} of the checklist failed. {}", failed.len(), named.join("; "));
        let mut failure = Failure::new(FailureKind::Preflight, what, format!("environment {environment}"))
            .meaning(format!("nothing was touched; what ran in {environment} before still runs"));
        for (row, mend) in &failed {
            failure = failure.next(format!("{}: {mend}", row.id));
        }
        let overriding = asked.approvals.iter().flat_map(|approvals| &approvals.overrides).filter(|role| !role.is_vacant());
        let overriding: Vec<&str> = overriding.map(|role| role.name.as_str()).collect();
        if !overriding.is_empty() && failed.iter().any(|(row, _)| row.id != ALONE) {
            failure = failure.next(format!("or have a row overridden, with a reason, by {}", overriding.join(" or ")));
        }
        Some(failure)
    }
}

/// Goes through the checklist: what is `asked`, judged on `facts`.
#[must_use]
pub fn checklist(asked: &Preflight, facts: &Facts) -> Checklist {
    let version = &facts.release.version;
    let channel = "Team in Slack";
    let soak = asked.staging_soak.map_or_else(|| "24 h".to_owned(), |soak| words(SignedDuration::try_from(soak).unwrap_or_default()));
    let checks = |belongs: &[&str]| release::checks(asked, facts, |name| belongs.contains(&name));
    let person = Finding::person;
    let mut rows = vec![
        row("release-issue", Part::TwoDaysBefore, format!("Create release issue: \"Release {version}\""), person()),
        row("changelog", Part::TwoDaysBefore, "Review changelog", person()),
        row("stakeholders", Part::TwoDaysBefore, "Notify stakeholders", person()),
        row("maintenance-window", Part::TwoDaysBefore, "Schedule maintenance window (if needed)", person()),
        row("rollback-dry-run", Part::TwoDaysBefore, "Test rollback procedure (dry run)", checks(&["rollback-dry-run"])),
        row("tests", Part::DayBefore, "Verify all tests passing", release::checks(asked, facts, release::is_a_test)),
        row("load-test", Part::DayBefore, "Load test: 10,000 req/s (must pass)", checks(&["load-test"])),
        row(
            "security",
            Part::DayBefore,
            "Security scan: 0 high/critical (must pass)",
            Finding::all([checks(&["security"]), release::scanning(asked, facts)]),
        ),
        row("migration-dry-run", Part::DayBefore, "Database migration test (dry run)", checks(&["migration-dry-run"])),
        row("backup", Part::DayBefore, "Backup production database", checks(&["backup"])),
        row("code-review", Part::FourHoursBefore, "Final code review", person()),
        row("release-notes", Part::FourHoursBefore, "Release notes finalized", person()),
        row("support", Part::FourHoursBefore, "Notify support team", person()),
        row("status-page", Part::FourHoursBefore, "Update status page (scheduled maintenance)", person()),
        row("on-call", Part::FourHoursBefore, "Page on-call engineers", person()),
        // Judged below, when the approvals are.
        row(approvals::ALL_RECEIVED, Part::HalfAnHourBefore, "Verify all approvals received", person()),
        row("production-healthy", Part::HalfAnHourBefore, "Production environment healthy", production::healthy(facts)),
        row(
            "database-connections",
            Part::HalfAnHourBefore,
            production::connections(asked),
            production::rules(facts, &["database-connections"]),
        ),
        row("cpu-memory", Part::HalfAnHourBefore, production::load(asked), production::rules(facts, &["cpu", "memory"])),
    ];
    rows.extend(production::others(facts).map(|(id, line, finding)| row(id, Part::HalfAnHourBefore, line, finding)));
    rows.extend([
        row("team-in-slack", Part::HalfAnHourBefore, channel, person()),
        row("staging-soak", Part::Staging, format!("Feature tested in staging for {soak}"), staging::soak(asked, facts)),
        row("staging-incidents", Part::Staging, "No critical issues reported", staging::incidents(asked, facts)),
        row("staging-latency", Part::Staging, "Performance acceptable (p99 < 500ms)", staging::latency(asked, facts)),
        row("migrations", Part::Staging, "Database migrations validated", checks(&["migration-dry-run"])),
        row("api-compatibility", Part::Staging, "Backward-compatible API changes", checks(&["api-compatibility"])),
        row("window", Part::Window, window::line(asked), window::judge(asked, facts.now)),
        row("low-traffic", Part::Window, "Low traffic expected", person()),
        row("support-notified", Part::Window, "Support team notified", person()),
        row("on-call-paged", Part::Window, "On-call engineers paged", person()),
        row("status-page-queued", Part::Window, "Status page notification queued", person()),
    ]);
    rows.extend(approvals::rows(asked, facts));
    rows.extend([
        row("tag-on-branch", Part::Release, release::branch_line(asked), release::on_branch(asked, facts)),
        row("tag-form", Part::Release, release::form_line(asked), release::form(asked, facts)),
        row("newer", Part::Release, format!("{version} is newer than what runs"), release::newer(facts)),
        row(ALONE, Part::Release, "Nobody else is deploying", release::alone(facts)),
    ]);
    override_rows(&mut rows, asked, facts);
    approvals::sum_up(&mut rows);
    Checklist { rows }
}

fn row(id: impl Into<String>, part: Part, line: impl Into<String>, finding: Finding) -> Row {
    let Finding { verdict, evidence, link } = finding;
    let state = match verdict {
        Verdict::Passed => RowState::Passed,
        Verdict::Failed { mend } => RowState::Failed { mend },
        Verdict::NotChecked => RowState::NotChecked,
    };
    Row { id: id.into(), part, line: line.into(), state, evidence, link }
}

/// Failed rows that somebody who may has decided upon: in a configured role, of this commit, within the time of an approval.
fn override_rows(rows: &mut [Row], asked: &Preflight, facts: &Facts) {
    let (Some(approvals), Found::Known { value: said }) = (&asked.approvals, &facts.said) else { return };
    for row in rows.iter_mut().filter(|row| row.id != ALONE) {
        let RowState::Failed { .. } = row.state else { continue };
        let counts = |given: &&Override| {
            given.row == row.id
                && approvals.overrides.iter().any(|role| role.name == given.role)
                && facts.release.sha.as_ref() == Some(&given.sha)
                && is_within(given.at, facts.now, approvals.within)
                && !given.reason.trim().is_empty()
        };
        if let Some(given) = said.overrides.iter().filter(counts).max_by_key(|given| given.at) {
            row.state = RowState::Overridden { by: given.clone() };
        }
    }
}

/// Whether `at` is no longer ago than `within`. What GitHub's clock puts a little ahead of the runner's is now.
fn is_within(at: Timestamp, now: Timestamp, within: std::time::Duration) -> bool {
    SignedDuration::try_from(within).is_ok_and(|within| now.duration_since(at) <= within)
}

/// "26 h", "1 h 5 min", "40 min", "12 s".
fn words(span: SignedDuration) -> String {
    let seconds = span.as_secs().unsigned_abs();
    match (seconds / 3600, seconds % 3600 / 60) {
        (0, 0) => format!("{seconds} s"),
        (0, minutes) => format!("{minutes} min"),
        (hours, 0) => format!("{hours} h"),
        (hours, minutes) => format!("{hours} h {minutes} min"),
    }
}

/// To the minute, in UTC: "2026-11-24 10:05 UTC".
fn moment(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M UTC").to_string()
}

#[cfg(test)]
mod tests;
