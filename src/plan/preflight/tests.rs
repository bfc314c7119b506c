#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on says so")]

use std::{fmt::Write, time::Duration};

use proptest::prelude::*;

use super::*;
use crate::{
    config::{self, Rule},
    execute::HttpResult,
    gate::{Basis, Gate, Reading, Sample, Settings, Subject},
    observe::preflight::*,
};

const SHA: &str = "a1b2c3d4e5f60718293a4b5c6d7e8f9001122334";
const OTHER: &str = "9f8e7d6c5b4a39281706f5e4d3c2b1a009988776";

/// Production's checklist with these keys.
fn asked(preflight: &str) -> Preflight {
    let text = format!(
        "version: 1\napplication: nextgen-market\nimage: ghcr.io/nextgen-market/nextgen-market\nazure: {{ location: westeurope }}\n\
         metrics: {{ prometheus: http://prometheus:9090, queries: {{ cpu: a, memory: b, requests-now: c }} }}\n\
         environments:\n  prod:\n    strategy: canary\n{preflight}"
    );
    let config = config::parse(&text, "deploy.yml").unwrap_or_else(|error| panic!("{error}\n{text}"));
    config.environments.values().next().and_then(|prod| prod.canary.clone()).and_then(|canary| canary.preflight).expect("a checklist")
}

/// The example's checklist.
fn usual() -> Preflight {
    asked(
        "    preflight:
      approvals:
        roles:
          release-manager: { teams: [release-managers] }
          tech-lead: { teams: [tech-leads] }
          operations-lead: { users: [olga, otto] }
        override: { vp-engineering: { users: [vera] } }
      checks: { required: [lint, test, security, build, load-test, migration-dry-run, backup] }
      code-scanning: { max-severity: medium }
      rules: { cpu: { max: 60% }, memory: { max: 60% } }\n",
    )
}

fn at(text: &str) -> Timestamp {
    text.parse().expect("a timestamp")
}

fn known<T>(value: T) -> Found<T> {
    Found::Known { value }
}

fn answer(status: u16) -> HttpResult {
    HttpResult { status: Some(status), error: None, latency_ms: 3, excerpt: String::new() }
}

/// What a rule says of one number.
fn measured(rule: &Rule, value: Option<f64>) -> Measured {
    let settings = Settings::of(None);
    let reading = value.map_or_else(
        || Reading::NoData { why: "the query found no series".into() },
        |value| Reading::value(value, Basis::Requests { requests: 1000 }),
    );
    let samples = vec![Sample { metric: rule.metric.clone(), subject: Subject::New, over: None, reading, query: "q".into(), took_ms: 1 }];
    let judgement = Gate::new(std::slice::from_ref(rule), settings).judge(&samples).pop().expect("a judgement");
    Measured { metric: rule.metric.clone(), judged: known(Judged { samples, settings, judgement }) }
}

fn approval(by: &str, roles: &[&str], when: &str) -> Approval {
    Approval {
        by: by.into(),
        roles: roles.iter().map(|role| (*role).to_owned()).collect(),
        answer: Answer::Approved,
        at: at(when),
        sha: SHA.parse().expect("a sha"),
        comment: "go".into(),
        source: "environment prod".into(),
        link: Some("https://github.com/nextgen-market/nextgen-market/actions/runs/7".into()),
    }
}

fn override_of(row: &str, by: &str, role: &str) -> Override {
    Override {
        row: row.into(),
        by: by.into(),
        role: role.into(),
        reason: "the fix of the outage".into(),
        at: at("2026-11-25T02:30:00Z"),
        sha: SHA.parse().expect("a sha"),
        link: None,
    }
}

fn digest(digit: &str) -> crate::domain::Digest {
    format!("sha256:{}", digit.repeat(64)).parse().expect("a digest")
}

/// A release that everything speaks for.
fn good(asked: &Preflight) -> Facts {
    let check = |name: &str| CheckRun {
        name: name.into(),
        conclusion: Some("success".into()),
        link: Some(format!("https://github.com/nextgen-market/nextgen-market/runs/{name}")),
    };
    let running = |number: u32, traffic| Running {
        instance: format!("prod-stable-{number}").parse().expect("a name"),
        version: Some("v0.9.5".parse().expect("a version")),
        traffic,
        symptom: None,
        monitor: Some(crate::observe::MonitorStatus::Online),
        health: Some(answer(200)),
    };
    let latency: Rule = Rule {
        metric: "latency-p99".parse().expect("a name"),
        bounds: vec![config::Bound::Max(config::Quantity::seconds(SLOWEST_STAGING_SECONDS))],
        consecutive: 1,
    };
    Facts {
        now: at("2026-11-25T03:00:00Z"),
        release: Release {
            version: "v1.0.0".parse().expect("a version"),
            tag: "v1.0.0".into(),
            sha: SHA.parse().ok(),
            digest: Some(digest("d")),
            repository_url: Some("https://github.com/nextgen-market/nextgen-market".into()),
        },
        tag: known(Tag {
            commit: SHA.parse().expect("a sha"),
            made: TagMade::Annotated {
                tagger: Some("The Octocat".into()),
                signature: "unsigned".into(),
                verification: Verification::Unverified,
            },
        }),
        ancestry: known(Ancestry::Behind { commits: 2 }),
        checks: known(["lint", "test", "security", "build", "load-test", "migration-dry-run", "backup"].map(check).to_vec()),
        alerts: known(vec![Alert { number: 3, severity: Some("low".into()), about: "a weak hash".into(), link: None }]),
        staging: Some(Staging {
            environment: "staging".parse().expect("a name"),
            live: known(Some(Live {
                instance: "aci-staging-green".parse().expect("a name"),
                version: Some("main-a1b2c3d".parse().expect("a version")),
                digest: Some(digest("d")),
                role: Some("stable".into()),
                stable_since: Some(at("2026-11-23T23:00:00Z")),
                held: None,
                restarts: 0,
                symptom: None,
                run: Some("https://github.com/nextgen-market/nextgen-market/actions/runs/5".into()),
            })),
            history: known(vec![Passed {
                state: "success".into(),
                description: "Staging deployment complete".into(),
                at: at("2026-11-23T23:00:00Z"),
                link: None,
            }]),
            latency: Some(Measured { metric: latency.metric.clone(), ..measured(&latency, None) }),
            watched_seconds: Some(0.1),
        }),
        production: vec![running(1, Traffic::Serving), running(2, Traffic::Serving), running(3, Traffic::StandingBy)],
        lock: known(Lock::Free),
        rules: asked
            .rules
            .iter()
            .map(|asked| match asked.rule.metric.as_str() {
                "database-connections" => {
                    Measured { metric: asked.rule.metric.clone(), judged: Found::Absent { why: "there is no database-url".into() } }
                }
                _ => measured(&asked.rule, Some(0.31)),
            })
            .collect(),
        said: known(Said {
            approvals: vec![
                approval("rita", &["release-manager"], "2026-11-24T20:00:00Z"),
                approval("tom", &["tech-lead"], "2026-11-25T01:15:00Z"),
                approval("olga", &["operations-lead"], "2026-11-25T02:55:00Z"),
            ],
            ..Said::default()
        }),
    }
}

fn shown(checklist: &Checklist) -> String {
    let mut text = format!("{}\n", checklist.tally());
    for row in &checklist.rows {
        let state = match &row.state {
            RowState::Passed => "passed",
            RowState::Failed { .. } => "FAILED",
            RowState::Overridden { .. } => "OVERRIDDEN",
            RowState::NotChecked => "not checked",
        };
        let _ = writeln!(text, "{} | {state} | {} | {}", row.id, row.line, row.evidence);
        match &row.state {
            RowState::Failed { mend } => text.push_str(&format!("    mend: {mend}\n")),
            RowState::Overridden { by } => text.push_str(&format!("    by {} as {}: {}\n", by.by, by.role, by.reason)),
            RowState::Passed | RowState::NotChecked => {}
        }
    }
    text
}

/// The state and the evidence of a row.
fn find<'a>(checklist: &'a Checklist, id: &str) -> &'a Row {
    checklist.rows.iter().find(|row| row.id == id).unwrap_or_else(|| panic!("no row {id}"))
}

/// The ids of the rows that refuse, after `change` to a release that everything speaks for.
fn refused(change: impl FnOnce(&mut Facts)) -> Vec<String> {
    let asked = usual();
    let mut facts = good(&asked);
    change(&mut facts);
    checklist(&asked, &facts).failed().map(|(row, _)| row.id.clone()).collect()
}

fn live(facts: &mut Facts) -> &mut Live {
    match facts.staging.as_mut().map(|staging| &mut staging.live) {
        Some(Found::Known { value: Some(live) }) => live,
        other => panic!("{other:?}"),
    }
}

fn said(facts: &mut Facts) -> &mut Said {
    match &mut facts.said {
        Found::Known { value } => value,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_release_that_everything_speaks_for() {
    let asked = usual();
    let checklist = checklist(&asked, &good(&asked));
    assert_eq!(checklist.refusal("v1.0.0", "prod", &asked), None);
    insta::assert_snapshot!(shown(&checklist));
}

#[test]
fn a_release_that_everything_speaks_against() {
    let asked = usual();
    let mut facts = good(&asked);
    facts.now = at("2026-11-25T14:00:00Z");
    facts.release.version = "v0.9.4".parse().unwrap();
    facts.tag = known(Tag { commit: SHA.parse().unwrap(), made: TagMade::Lightweight });
    facts.ancestry = known(Ancestry::Elsewhere);
    if let Found::Known { value } = &mut facts.checks {
        value.retain(|check| check.name != "load-test");
        value[1].conclusion = Some("failure".into());
        value[2].conclusion = None;
        value[6 - 1].conclusion = Some("skipped".into());
    }
    facts.alerts = known(vec![Alert { number: 7, severity: Some("critical".into()), about: "SQL injection".into(), link: None }]);
    live(&mut facts).stable_since = Some(at("2026-11-25T09:00:00Z"));
    live(&mut facts).restarts = 3;
    facts.staging.as_mut().unwrap().watched_seconds = None;
    facts.production[1].health = Some(answer(503));
    facts.production[2].symptom = Some("it ran out of memory".into());
    facts.rules = asked.rules.iter().map(|asked| measured(&asked.rule, (asked.rule.metric.as_str() != "memory").then_some(19.0))).collect();
    facts.lock =
        known(Lock::Taken { by: "https://github.com/nextgen-market/nextgen-market/actions/runs/9".into(), command: "deploy".into() });
    let everybody = said(&mut facts);
    everybody.approvals[0].at = at("2026-11-24T13:59:00Z");
    everybody.approvals[1].sha = OTHER.parse().unwrap();
    everybody.approvals[2].answer = Answer::Rejected;
    everybody.approvals[2].comment = "the pool is too small".into();
    let checklist = checklist(&asked, &facts);
    insta::assert_snapshot!(shown(&checklist));
    let refusal = checklist.refusal("v0.9.4", "prod", &asked).expect("refused");
    insta::assert_snapshot!("refusal", refusal.to_string());
}

#[test]
fn what_could_not_be_read_is_no_good_news() {
    fn unknown<T>() -> Found<T> {
        Found::Unknown { why: "GitHub answered HTTP 403".into() }
    }
    let names = |change: fn(&mut Facts)| refused(change).join(" ");
    assert_eq!(names(|facts| facts.tag = unknown()), "tag-form");
    assert_eq!(names(|facts| facts.ancestry = unknown()), "tag-on-branch");
    assert_eq!(names(|facts| facts.checks = unknown()), "tests load-test security migration-dry-run backup migrations");
    assert_eq!(names(|facts| facts.alerts = unknown()), "security");
    assert_eq!(names(|facts| facts.lock = unknown()), "alone");
    assert_eq!(names(|facts| facts.said = unknown()), "approval-release-manager approval-tech-lead approval-operations-lead");
    assert_eq!(names(|facts| facts.staging.as_mut().unwrap().live = unknown()), "staging-soak staging-incidents staging-latency");
    assert_eq!(names(|facts| facts.staging.as_mut().unwrap().history = unknown()), "staging-incidents");
    assert_eq!(names(|facts| facts.production[0].health = None), "production-healthy");
    assert_eq!(names(|facts| facts.rules[1].judged = unknown()), "cpu-memory");
}

#[test]
fn a_configuration_that_says_nothing_leaves_a_person_what_needs_a_name() {
    let asked = asked("");
    let mut facts = good(&asked);
    facts.staging = None;
    facts.alerts = Found::Absent { why: "code scanning is not in use: no analysis found".into() };
    facts.rules = asked
        .rules
        .iter()
        .map(|asked| Measured { metric: asked.rule.metric.clone(), judged: Found::Absent { why: "nothing says its number".into() } })
        .collect();
    facts.said = known(Said::default());
    let checklist = checklist(&asked, &facts);
    assert_eq!(checklist.refusal("v1.0.0", "prod", &asked), None, "{}", shown(&checklist));
    let states: Vec<&str> = checklist.rows.iter().filter(|row| row.state == RowState::Passed).map(|row| row.id.as_str()).collect();
    assert_eq!(states, ["production-healthy", "window", "tag-on-branch", "tag-form", "newer", "alone"]);
    insta::assert_snapshot!(shown(&checklist));
}

#[test]
fn each_part_can_be_switched_off_and_says_so() {
    let off = asked(
        "    preflight: { staging-soak: off, window: off, approvals: off, checks: off, code-scanning: off, rules: { cpu: off, memory: off, database-connections: off } }\n",
    );
    assert_eq!(off, Preflight { staging_soak: None, window: None, approvals: None, checks: None, code_scanning: None, rules: Vec::new() });
    let mut facts = good(&off);
    facts.now = at("2026-11-25T14:00:00Z");
    let checklist = checklist(&off, &facts);
    assert_eq!(checklist.failed().count(), 0);
    for id in ["staging-soak", "staging-latency", "window", "approval", "tests", "security", "tag-form"] {
        let row = find(&checklist, id);
        assert!(row.state == RowState::NotChecked && row.evidence.contains("is off in deploy.yml"), "{row:?}");
    }
}

#[test]
fn what_is_written_must_be_answered_and_a_default_need_not() {
    let absent = || Found::Absent { why: "code scanning is not in use: no analysis found".into() };
    assert_eq!(refused(|facts| facts.alerts = absent()), ["security"]);
    let default = asked("    preflight: { checks: { required: [security] } }\n");
    let facts = Facts { alerts: absent(), ..good(&default) };
    assert_eq!(find(&checklist(&default, &facts), "security").state, RowState::Passed);
}

#[test]
fn alerts_count_from_above_the_configured_severity() {
    let severities = ["none", "low", "medium", "high", "critical"];
    for (limit, most) in severities.iter().enumerate() {
        let asked = asked(&format!("    preflight: {{ code-scanning: {{ max-severity: {most} }} }}\n"));
        for (level, severity) in
            [None, Some("low"), Some("medium"), Some("high"), Some("critical"), Some("unheard-of")].into_iter().enumerate()
        {
            let alert = Alert { number: 1, severity: severity.map(str::to_owned), about: "it".into(), link: None };
            let facts = Facts { alerts: known(vec![alert]), ..good(&asked) };
            let is_refused = matches!(find(&checklist(&asked, &facts), "security").state, RowState::Failed { .. });
            // Where nothing at all may be open, also what is not about security; what is not known is never good news.
            let expected = severity == Some("unheard-of") || level > limit || (limit == 0 && level == 0);
            assert_eq!(is_refused, expected, "{severity:?} under {most}");
        }
    }
}

#[test]
fn a_tag_is_made_as_configured_and_stays_where_it_is() {
    let made = |form: &str, made: TagMade| {
        let asked = asked(&format!("    preflight: {{ checks: {{ tag: {form} }} }}\n"));
        let facts = Facts { tag: known(Tag { commit: SHA.parse().unwrap(), made }), ..good(&asked) };
        find(&checklist(&asked, &facts), "tag-form").state == RowState::Passed
    };
    let annotated = |verification| TagMade::Annotated { tagger: None, signature: "valid".into(), verification };
    for (form, lightweight, unverified, verified) in
        [("any", true, true, true), ("annotated", false, true, true), ("signed", false, false, true)]
    {
        assert_eq!(made(form, TagMade::Lightweight), lightweight, "{form}");
        assert_eq!(made(form, annotated(Verification::Unverified)), unverified, "{form}");
        assert_eq!(made(form, annotated(Verification::Verified)), verified, "{form}");
    }
    assert_eq!(refused(|facts| facts.release.sha = OTHER.parse().ok()).first().map(String::as_str), Some("approval-release-manager"));
    assert!(refused(|facts| facts.release.sha = OTHER.parse().ok()).contains(&"tag-form".to_owned()));
}

#[test]
fn an_approval_lasts_a_day_to_the_second() {
    let of_age = |seconds: i64| {
        refused(|facts| {
            let now = facts.now;
            said(facts).approvals[1].at = now - SignedDuration::from_secs(seconds);
        })
    };
    assert!(of_age(24 * 3600 - 60).is_empty() && of_age(24 * 3600).is_empty());
    assert_eq!(of_age(24 * 3600 + 1), ["approval-tech-lead"]);
    // GitHub's clock may be ahead of the runner's.
    assert!(of_age(-90).is_empty());
}

#[test]
fn one_person_fills_one_role() {
    let everything = ["release-manager", "tech-lead", "operations-lead"];
    let with = |approvals: Vec<Approval>| refused(|facts| said(facts).approvals = approvals);
    let when = "2026-11-25T01:00:00Z";
    assert_eq!(with(vec![approval("tom", &everything, when)]).len(), 2);
    // Tom must leave the role that only he could give Rita's place for.
    let three = vec![
        approval("tom", &everything, when),
        approval("Rita", &["release-manager", "tech-lead"], when),
        approval("olga", &["release-manager"], when),
    ];
    assert!(with(three).is_empty());
    let twice = vec![
        approval("tom", &["tech-lead"], when),
        approval("TOM", &["release-manager"], when),
        approval("olga", &["operations-lead"], when),
    ];
    assert_eq!(with(twice), ["approval-tech-lead"]);
}

#[test]
fn the_last_word_of_a_person_counts_and_a_rejection_stands() {
    let word = |by: &str, answer, when: &str| Approval { answer, ..approval(by, &["tech-lead"], when) };
    let with = |words: Vec<Approval>| {
        refused(|facts| {
            said(facts).approvals.retain(|approval| approval.by != "tom");
            said(facts).approvals.extend(words);
        })
    };
    let (early, late) = ("2026-11-25T01:00:00Z", "2026-11-25T02:00:00Z");
    assert!(with(vec![word("tom", Answer::Rejected, early), word("tom", Answer::Approved, late)]).is_empty());
    assert_eq!(with(vec![word("tom", Answer::Approved, early), word("tom", Answer::Rejected, late)]), ["approval-tech-lead"]);
    assert_eq!(with(vec![word("tom", Answer::Approved, late), word("tina", Answer::Rejected, early)]), ["approval-tech-lead"]);
}

#[test]
fn an_override_counts_for_its_row_its_commit_and_its_role_alone() {
    let asked = usual();
    let with = |given: Override| {
        let mut facts = good(&asked);
        facts.now = at("2026-11-25T14:00:00Z");
        facts.lock = known(Lock::Taken { by: "run 9".into(), command: "deploy".into() });
        said(&mut facts).overrides.push(given);
        let checklist = checklist(&asked, &facts);
        let states: Vec<String> = checklist.failed().map(|(row, _)| row.id.clone()).collect();
        (states, checklist.overridden().count())
    };
    let right = override_of("window", "vera", "vp-engineering");
    assert_eq!(with(right.clone()), (vec!["alone".to_owned()], 1));
    let both = || (vec!["window".to_owned(), "alone".to_owned()], 0);
    for wrong in [
        Override { row: "tests".into(), ..right.clone() },
        Override { role: "tech-lead".into(), ..right.clone() },
        Override { sha: OTHER.parse().unwrap(), ..right.clone() },
        Override { at: at("2026-11-24T13:00:00Z"), ..right.clone() },
        Override { reason: "  ".into(), ..right.clone() },
        // Two runs at once are never right.
        Override { row: ALONE.into(), ..right.clone() },
    ] {
        assert_eq!(with(wrong.clone()), both(), "{wrong:?}");
    }
}

#[test]
fn an_overridden_approval_is_shown_as_that_in_the_row_of_all() {
    let asked = usual();
    let mut facts = good(&asked);
    said(&mut facts).approvals.remove(1);
    said(&mut facts).overrides.push(override_of("approval-tech-lead", "vera", "vp-engineering"));
    let checklist = checklist(&asked, &facts);
    assert_eq!(checklist.refusal("v1.0.0", "prod", &asked), None);
    assert!(matches!(find(&checklist, "approvals").state, RowState::Overridden { .. }));
    assert_eq!(find(&checklist, "approvals").evidence, "2 of 3");
    assert_eq!(checklist.overridden().count(), 1);
}

#[test]
fn staging_proves_an_image_not_a_commit() {
    let three = ["staging-soak", "staging-incidents", "staging-latency"];
    assert_eq!(refused(|facts| live(facts).digest = Some(digest("e"))), three);
    assert_eq!(refused(|facts| live(facts).digest = None), three);
    assert_eq!(refused(|facts| facts.release.digest = None), three);
    assert_eq!(refused(|facts| live(facts).role = Some("canary".into())), ["staging-soak", "staging-latency"]);
    assert_eq!(refused(|facts| live(facts).stable_since = None), ["staging-soak"]);
    // Since 23:00 two days before, and it is 03:00: 28 h.
    assert!(refused(|facts| live(facts).stable_since = Some(facts_now() - SignedDuration::from_hours(24))).is_empty());
    assert_eq!(refused(|facts| live(facts).stable_since = Some(facts_now() - SignedDuration::from_secs(24 * 3600 - 1))), ["staging-soak"]);
    assert_eq!(refused(|facts| live(facts).held = Some("a person must decide".into())), ["staging-incidents"]);
}

fn facts_now() -> Timestamp {
    at("2026-11-25T03:00:00Z")
}

#[test]
fn an_incident_counts_while_the_soak_lasts_and_the_last_word_always() {
    let history = |states: &[(&str, &str)]| {
        let history: Vec<Passed> = states
            .iter()
            .map(|(state, when)| Passed { state: (*state).to_owned(), description: "d".into(), at: at(when), link: None })
            .collect();
        refused(|facts| facts.staging.as_mut().unwrap().history = known(history))
    };
    assert!(history(&[]).is_empty());
    assert!(history(&[("success", "2026-11-24T02:00:00Z"), ("failure", "2026-11-23T01:00:00Z")]).is_empty());
    assert_eq!(history(&[("success", "2026-11-24T22:00:00Z"), ("failure", "2026-11-24T21:00:00Z")]), ["staging-incidents"]);
    assert_eq!(history(&[("error", "2026-11-20T21:00:00Z")]), ["staging-incidents"]);
}

#[test]
fn staging_is_fast_enough_now_or_was_in_its_watch() {
    let latency = |value: Option<f64>, watched: Option<f64>| {
        refused(|facts| {
            let staging = facts.staging.as_mut().unwrap();
            let rule = Rule {
                metric: "latency-p99".parse().unwrap(),
                bounds: vec![config::Bound::Max(config::Quantity::seconds(SLOWEST_STAGING_SECONDS))],
                consecutive: 1,
            };
            staging.latency = Some(measured(&rule, value));
            staging.watched_seconds = watched;
        })
    };
    assert!(latency(Some(0.499), None).is_empty() && latency(None, Some(0.5)).is_empty());
    // What is slow now is slow, whatever it was.
    assert_eq!(latency(Some(0.501), Some(0.1)), ["staging-latency"]);
    assert_eq!(latency(None, Some(0.6)), ["staging-latency"]);
    assert_eq!(latency(None, None), ["staging-latency"]);
}

#[test]
fn an_older_version_is_told_with_and_without_a_checklist() {
    let version = |text: &str| text.parse::<crate::domain::Version>().unwrap();
    let running = [version("v0.9.5"), version("main-a1b2c3d")];
    let older = |wanted: &str| older(&version(wanted), running.iter(), "prod").map(|failure| failure.to_string());
    assert_eq!([older("v0.9.5"), older("v1.0.0"), older("main-b2c3d4e")], [None, None, None]);
    let told = older("v0.9.5-rc.1").expect("refused");
    assert!(told.contains("older than v0.9.5") && told.contains("command: rollback"), "{told}");
    assert_eq!(refused(|facts| facts.release.version = version("v0.9.4")), ["newer"]);
    assert_eq!(refused(|facts| facts.release.version = version("main-a1b2c3d")), ["newer"]);
    assert!(refused(|facts| facts.release.version = version("v0.9.5")).is_empty());
    assert!(refused(|facts| facts.production.iter_mut().for_each(|running| running.version = None)).is_empty());
}

#[test]
fn the_first_release_has_nothing_to_look_at() {
    assert!(refused(|facts| facts.production.clear()).is_empty());
}

#[test]
fn a_row_is_called_what_nobody_else_is() {
    let asked = usual();
    let checklist = checklist(&asked, &good(&asked));
    for (index, row) in checklist.rows.iter().enumerate() {
        assert!(row.id.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-')), "{}", row.id);
        assert!(checklist.rows[index + 1..].iter().all(|other| other.id != row.id), "{}", row.id);
    }
}

/// An answer of which nobody knows what it says.
fn anything<T: std::fmt::Debug + Clone + 'static>(value: T) -> impl proptest::strategy::Strategy<Value = Found<T>> {
    prop_oneof![
        Just(Found::Known { value }),
        Just(Found::Unknown { why: "no answer".into() }),
        Just(Found::Absent { why: "not in use".into() })
    ]
}

proptest! {
    /// Whatever could be read: a release is not refused only where every row that is asked for has evidence.
    #[test]
    fn silence_never_passes(
        tag in anything(()), ancestry in anything(Ancestry::Head), lock in anything(Lock::Free), said_ in anything(()), checks in anything(()),
        live_ in anything(()), healthy in any::<bool>(), hour in 0i64..48, soaked in 0i64..48,
    ) {
        let asked = usual();
        let mut facts = good(&asked);
        let now = facts.now + SignedDuration::from_hours(hour);
        facts.now = now;
        fn put<T>(place: &mut Found<T>, how: Found<()>) {
            match how {
                Found::Known { .. } => {}
                Found::Unknown { why } => *place = Found::Unknown { why },
                Found::Absent { why } => *place = Found::Absent { why },
            }
        }
        let is_known = |found: &Found<()>| matches!(found, Found::Known { .. });
        let expected = is_known(&tag) && is_known(&said_) && is_known(&checks) && is_known(&live_)
            && matches!(ancestry, Found::Known { .. }) && matches!(lock, Found::Known { .. }) && healthy && soaked >= 24
            && (hour < 3 || (23..27).contains(&hour) || hour >= 47);
        if let Some(Found::Known { value: Some(live) }) = facts.staging.as_mut().map(|staging| &mut staging.live) {
            live.stable_since = Some(now - SignedDuration::from_hours(soaked));
        }
        if let Found::Known { value } = &mut facts.said {
            value.approvals.iter_mut().for_each(|approval| approval.at = now);
        }
        put(&mut facts.tag, tag);
        put(&mut facts.said, said_);
        put(&mut facts.checks, checks);
        put(&mut facts.staging.as_mut().unwrap().live, live_);
        facts.ancestry = ancestry;
        facts.lock = lock;
        if !healthy {
            facts.production[0].health = Some(answer(500));
        }
        let checklist = checklist(&asked, &facts);
        prop_assert_eq!(checklist.refusal("v1.0.0", "prod", &asked).is_none(), expected, "{}", shown(&checklist));
        // The same facts give the same rows, also from a file.
        let read: Facts = serde_json::from_str(&serde_json::to_string(&facts).unwrap()).unwrap();
        let again: Preflight = serde_json::from_str(&serde_json::to_string(&asked).unwrap()).unwrap();
        prop_assert_eq!(super::checklist(&again, &read), checklist);
    }

    /// Approvals fill as many roles as can be filled by different people.
    #[test]
    fn as_many_roles_are_filled_as_can_be(held in proptest::collection::vec(0u8..8, 0..5)) {
        let names = ["release-manager", "tech-lead", "operations-lead"];
        let of = |mask: u8| names.iter().enumerate().filter(|(bit, _)| mask & (1 << bit) != 0).map(|(_, name)| *name).collect::<Vec<_>>();
        let unfilled = refused(|facts| {
            said(facts).approvals =
                held.iter().enumerate().map(|(index, mask)| approval(&format!("p{index}"), &of(*mask), "2026-11-25T01:00:00Z")).collect();
        });
        // By trying every way to give each role a person.
        fn most(role: usize, used: u32, held: &[u8]) -> usize {
            if role == 3 {
                return 0;
            }
            let without = most(role + 1, used, held);
            let people = (0..held.len()).filter(|person| used & (1 << person) == 0 && held[*person] & (1 << role) != 0);
            people.map(|person| 1 + most(role + 1, used | (1 << person), held)).max().map_or(without, |with| with.max(without))
        }
        prop_assert_eq!(3 - unfilled.len(), most(0, 0, &held));
    }
}

#[test]
fn soaks_are_told_as_people_say_them() {
    let told = |seconds: u64| words(SignedDuration::try_from(Duration::from_secs(seconds)).unwrap());
    assert_eq!([told(12), told(2400), told(3900), told(93_600)], ["12 s", "40 min", "1 h 5 min", "26 h"]);
}
