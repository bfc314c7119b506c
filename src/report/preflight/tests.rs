use super::*;
use crate::{observe::preflight::Override, report::story::Story, report::summary};

/// What somebody writes who would rather be markup.
const HOSTILE: &str = "</details> | <img src=x> @all [x](javascript:alert) `code`\n## head";

fn row(id: &str, part: Part, line: &str, state: RowState, evidence: &str) -> Row {
    Row { id: id.into(), part, line: line.into(), state, evidence: evidence.into(), link: None }
}

fn some() -> Checklist {
    let by = Override {
        row: "window".into(),
        by: "vera".into(),
        role: "vp-engineering".into(),
        reason: HOSTILE.into(),
        at: "2026-11-25T02:30:00Z".parse().expect("a timestamp"),
        sha: "a1b2c3d4e5f60718293a4b5c6d7e8f9001122334".parse().expect("a sha"),
        link: None,
    };
    let failed = |mend: &str| RowState::Failed { mend: mend.into() };
    Checklist {
        rows: vec![
            row(
                "changelog",
                Part::TwoDaysBefore,
                "Review changelog",
                RowState::NotChecked,
                "for a person: nothing is configured that could tell",
            ),
            Row {
                link: Some("https://github.com/nextgen-market/nextgen-market/runs/1".into()),
                ..row("tests", Part::DayBefore, "Verify all tests passing", RowState::Passed, "lint succeeded on a1b2c3d")
            },
            Row {
                link: Some("javascript:alert(1)".into()),
                ..row(
                    "security",
                    Part::DayBefore,
                    "Security scan: 0 high/critical (must pass)",
                    failed("mend or dismiss the alerts"),
                    HOSTILE,
                )
            },
            row("window", Part::Window, "Off-peak time (02:00 - 06:00 UTC)", RowState::Overridden { by }, "it is 14:00 UTC"),
            row(
                "approval-tech-lead",
                Part::Approvals,
                "Tech lead approved",
                failed("let tom approve a1b2c3d"),
                "nobody has approved a1b2c3d",
            ),
        ],
    }
}

#[test]
fn what_people_read() {
    let story = Story { checklist: Some(std::sync::Arc::new(some())), ..Story::default() };
    let page = summary::render(&story);
    assert!(
        !page.contains("<img") && !page.contains("@all") && !page.contains("](javascript:alert(1") && !page.contains("\n## head"),
        "{page}"
    );
    insta::assert_snapshot!("summary", page);
    let log: Vec<String> = parts(&some())
        .flat_map(|(part, rows)| [vec![part.title().to_owned()], rows.into_iter().flat_map(lines).collect()].concat())
        .collect();
    insta::assert_snapshot!("log", log.join("\n"));
    insta::assert_snapshot!("sentences", story.overridden().join("\n"));
}

#[test]
fn what_has_passed_is_folded() {
    let passed = Checklist { rows: some().rows.into_iter().filter(|row| !matches!(row.state, RowState::Failed { .. })).collect() };
    let page = summary::render(&Story { checklist: Some(std::sync::Arc::new(passed)), ..Story::default() });
    assert!(page.contains("<details><summary>Checklist: 1 passed, 1 overridden, 1 not checked</summary>"), "{page}");
    // What somebody overrode is never folded away.
    assert!(page.find("**Overridden**").is_some_and(|at| at < page.find("<details>").unwrap_or(0)), "{page}");
}
