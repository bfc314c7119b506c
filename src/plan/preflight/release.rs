//! Rows about the commit and its tag: checks, code scanning, where it is, how it is tagged, and whether it may replace what runs.
//! Pure.

use super::Finding;
use crate::{
    config::{AlertSeverity, Preflight, Source, TagForm},
    domain::{ReleaseVersion, Version},
    failure::{Failure, FailureKind},
    observe::preflight::{Ancestry, CheckRun, Facts, Found, Lock, TagMade, Verification},
};

/// Names of checks that belong to a line of the runbook of their own; every other one is a test.
const OF_THEIR_OWN: [&str; 6] = ["rollback-dry-run", "load-test", "security", "migration-dry-run", "backup", "api-compatibility"];

/// Alerts that are named; the page that is linked has all.
const NAMED: usize = 3;

/// Whether a check belongs to "Verify all tests passing".
pub(super) fn is_a_test(name: &str) -> bool {
    !OF_THEIR_OWN.contains(&name)
}

/// The required checks of which `belongs` says that they are the row's.
pub(super) fn checks(asked: &Preflight, facts: &Facts, belongs: impl Fn(&str) -> bool) -> Finding {
    let Some(checks) = &asked.checks else { return Finding::off("preflight.checks") };
    let required: Vec<&String> = checks.required.iter().filter(|name| belongs(name)).collect();
    if required.is_empty() {
        return Finding::not_checked("for a person: no check of it is named in `preflight.checks.required`");
    }
    let runs = match &facts.checks {
        Found::Known { value } => value,
        Found::Unknown { why } | Found::Absent { why } => {
            return Finding::failed(format!("check runs cannot be read: {why}"), "give the job `permissions: checks: read`");
        }
    };
    let commit = commit(facts);
    Finding::all(required.into_iter().map(|name| check(name, runs.iter().find(|run| run.name == *name), &commit)))
}

fn check(name: &str, run: Option<&CheckRun>, commit: &str) -> Finding {
    let again = format!("let `{name}` succeed on {commit}, and run the workflow again");
    match run {
        None => Finding::failed(format!("no check run is called {name} on {commit}"), again),
        Some(CheckRun { conclusion: None, link, .. }) => {
            Finding::failed(format!("{name} has not ended on {commit}"), format!("wait for `{name}`, and run the workflow again"))
                .at(link.clone())
        }
        Some(CheckRun { conclusion: Some(conclusion), link, .. }) if conclusion == "success" => {
            Finding::passed(format!("{name} succeeded on {commit}")).at(link.clone())
        }
        Some(CheckRun { conclusion: Some(conclusion), link, .. }) => {
            Finding::failed(format!("{name} ended with `{conclusion}` on {commit}"), again).at(link.clone())
        }
    }
}

/// The commit, short, or the tag where it is not known.
fn commit(facts: &Facts) -> String {
    facts.release.sha.as_ref().map_or_else(|| facts.release.tag.clone(), |sha| sha.short().to_owned())
}

/// Open alerts above the configured severity (runbook, 24 hours before: "0 high/critical").
pub(super) fn scanning(asked: &Preflight, facts: &Facts) -> Finding {
    let Some(scanning) = &asked.code_scanning else { return Finding::off("preflight.code-scanning") };
    let most = scanning.max_severity;
    let alerts = match &facts.alerts {
        Found::Known { value } => value,
        Found::Absent { why } => {
            return match scanning.source {
                Source::Default => Finding::not_checked(format!("for a person: {why}")),
                Source::Written => Finding::failed(why.clone(), "let code scanning look at the branch, or write `code-scanning: off`"),
            };
        }
        Found::Unknown { why } => {
            return Finding::failed(
                format!("code-scanning alerts cannot be read: {why}"),
                "give the job `permissions: security-events: read`, or write `code-scanning: off`",
            );
        }
    };
    // An alert whose rule is not about security has no security severity: it is below every limit but `none`.
    let severity = |word: Option<&str>| word.map_or(Some(AlertSeverity::None), AlertSeverity::of);
    let is_too_much = |word: Option<&str>| match severity(word) {
        Some(AlertSeverity::None) => most == AlertSeverity::None,
        Some(severity) => severity > most,
        // A word that is not known here is no good news.
        None => true,
    };
    let too_much: Vec<_> = alerts.iter().filter(|alert| is_too_much(alert.severity.as_deref())).collect();
    let above = if most == AlertSeverity::None { "at all".to_owned() } else { format!("above {}", most.as_str()) };
    let Some(first) = too_much.first() else {
        return Finding::passed(format!("code scanning has no open alert {above} ({} open)", alerts.len())).at(facts
            .release
            .repository_url
            .as_ref()
            .map(|url| format!("{url}/security/code-scanning")));
    };
    let mut named: Vec<String> = too_much
        .iter()
        .take(NAMED)
        .map(|alert| format!("#{} {} ({})", alert.number, alert.about, alert.severity.as_deref().unwrap_or("no security severity")))
        .collect();
    if too_much.len() > NAMED {
        named.push(format!("and {} more", too_much.len() - NAMED));
    }
    let evidence = format!("code scanning has {} open above the limit: {}", too_much.len(), named.join(", "));
    Finding::failed(evidence, "mend or dismiss the alerts, and run the workflow again").at(first.link.clone())
}

/// The row's line.
pub(super) fn branch_line(asked: &Preflight) -> String {
    format!("The commit is on {}", asked.checks.as_ref().map_or("main", |checks| checks.branch.as_str()))
}

/// Whether the commit is on the branch.
pub(super) fn on_branch(asked: &Preflight, facts: &Facts) -> Finding {
    let Some(checks) = &asked.checks else { return Finding::off("preflight.checks") };
    let (branch, commit) = (&checks.branch, commit(facts));
    let link = facts.release.repository_url.as_ref().zip(facts.release.sha.as_ref()).map(|(url, sha)| format!("{url}/commit/{sha}"));
    let finding = match &facts.ancestry {
        Found::Known { value: Ancestry::Head } => Finding::passed(format!("{commit} is the newest commit of {branch}")),
        Found::Known { value: Ancestry::Behind { commits } } => {
            let plural = if *commits == 1 { "commit" } else { "commits" };
            Finding::passed(format!("{commit} is on {branch}, {commits} {plural} back"))
        }
        Found::Known { value: Ancestry::Elsewhere } => {
            Finding::failed(format!("{commit} is not on {branch}"), format!("merge it to {branch}, and tag a commit of {branch}"))
        }
        Found::Unknown { why } | Found::Absent { why } => {
            Finding::failed(format!("whether {commit} is on {branch} cannot be read: {why}"), "give the job `permissions: contents: read`")
        }
    };
    finding.at(link)
}

/// The row's line.
pub(super) fn form_line(asked: &Preflight) -> &'static str {
    match asked.checks.as_ref().map(|checks| checks.tag) {
        Some(TagForm::Signed) => "The tag is signed, and where it was",
        Some(TagForm::Annotated) => "The tag is annotated, and where it was",
        Some(TagForm::Any) | None => "The tag is where it was",
    }
}

/// Whether the tag is on this commit, and made as is asked.
pub(super) fn form(asked: &Preflight, facts: &Facts) -> Finding {
    let Some(checks) = &asked.checks else { return Finding::off("preflight.checks") };
    let release = &facts.release;
    let (name, commit) = (&release.tag, commit(facts));
    let link = release.repository_url.as_ref().map(|url| format!("{url}/releases/tag/{name}"));
    let tag = match &facts.tag {
        Found::Known { value } => value,
        Found::Unknown { why } | Found::Absent { why } => {
            let mend = format!("tag the commit: git tag -a {name} -m \"Release {name}\" && git push origin {name}");
            return Finding::failed(format!("the tag {name} cannot be read: {why}"), mend);
        }
    };
    if release.sha.as_ref().is_some_and(|sha| *sha != tag.commit) {
        let evidence = format!("the tag {name} is on {} now, and this run is of {commit}: it was moved", tag.commit.short());
        return Finding::failed(evidence, "release the tag's commit by a new tag, and let it be approved").at(link);
    }
    let at = tag.commit.short();
    let again = |how: &str| format!("make it anew under the next version: {how}");
    let finding = match (checks.tag, &tag.made) {
        (TagForm::Any, TagMade::Lightweight) => Finding::passed(format!("the tag {name} is on {at}")),
        (TagForm::Annotated | TagForm::Signed, TagMade::Lightweight) => {
            Finding::failed(format!("the tag {name} is a lightweight one: it says neither who made it nor when"), again("git tag -a"))
        }
        (TagForm::Any | TagForm::Annotated, TagMade::Annotated { tagger, .. }) => {
            let by = tagger.as_ref().map_or_else(String::new, |tagger| format!(", tagged by {tagger}"));
            Finding::passed(format!("the tag {name} is annotated and on {at}{by}"))
        }
        (TagForm::Signed, TagMade::Annotated { verification: Verification::Verified, signature, .. }) => {
            Finding::passed(format!("the tag {name} is signed and on {at}; GitHub says: {signature}"))
        }
        (TagForm::Signed, TagMade::Annotated { verification: Verification::Unverified, signature, .. }) => Finding::failed(
            format!("GitHub has not verified the signature of the tag {name}: {signature}"),
            again("git tag -s, with a key that GitHub knows"),
        ),
    };
    finding.at(link)
}

/// Whether it is newer than what runs, or is what runs.
pub(super) fn newer(facts: &Facts) -> Finding {
    let version = &facts.release.version;
    let wanted: ReleaseVersion = match version.as_str().parse() {
        Ok(wanted) => wanted,
        Err(_) => {
            return Finding::failed(
                format!("{version} is no release version such as v1.2.3, so nobody can tell whether it is newer"),
                "release a tag of the form vMAJOR.MINOR.PATCH",
            );
        }
    };
    if facts.production.is_empty() {
        return Finding::passed("nothing runs there yet");
    }
    let running: Vec<&Version> = facts.production.iter().filter_map(|running| running.version.as_ref()).collect();
    let newest = running.iter().filter_map(|version| version.as_str().parse::<ReleaseVersion>().ok()).max();
    match newest {
        None => Finding::not_checked("for a person: what runs there has no release version"),
        Some(newest) if wanted < newest => Finding::failed(format!("{version} is older than {newest}, which runs there"), go_back(version)),
        Some(newest) if wanted == newest => Finding::passed(format!("{newest} runs there already")),
        Some(newest) => Finding::passed(format!("{newest} runs there")),
    }
}

fn go_back(version: &Version) -> String {
    format!("release a newer version, or go back on purpose: `command: rollback` with `version: {version}`")
}

/// Why `version` does not go where any of `running` runs: it is older (issue "Bad input"). What has no release version is not
/// compared.
#[must_use]
pub fn older<'a>(version: &Version, running: impl Iterator<Item = &'a Version>, environment: &str) -> Option<Failure> {
    let wanted: ReleaseVersion = version.as_str().parse().ok()?;
    let newest = running.filter_map(|version| version.as_str().parse::<ReleaseVersion>().ok()).max()?;
    (wanted < newest).then(|| {
        let what = format!("{version} is older than {newest}, which runs in {environment}");
        Failure::new(FailureKind::Preflight, what, format!("environment {environment}"))
            .meaning(format!("nothing was touched; {newest} runs on"))
            .next(go_back(version))
    })
}

/// Whether nobody else is deploying.
pub(super) fn alone(facts: &Facts) -> Finding {
    match &facts.lock {
        Found::Known { value: Lock::Free | Lock::Ours } => Finding::passed("no other run has the environment"),
        Found::Known { value: Lock::Taken { by, command } } => {
            let link = Some(by.clone()).filter(|by| by.starts_with("https://"));
            Finding::failed(format!("{by} is at work there ({command})"), "wait until it has ended, and run the workflow again").at(link)
        }
        Found::Known { value: Lock::Unreadable } => Finding::failed(
            "something that deploy-action did not write is on the branch that says who deploys",
            "look at it, and delete the branch if nobody is at work: deploy-action status names it",
        ),
        Found::Unknown { why } | Found::Absent { why } => Finding::failed(
            format!("who else is deploying cannot be read: {why}"),
            "give the job `permissions: contents: write, actions: read`",
        ),
    }
}
