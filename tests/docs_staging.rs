//! The page on staging shows what is there: its output comes out of such runs, its tables out of the simulations, its
//! configuration is read, and every troubleshooting entry that a report names has its place.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on says so")]

mod common;

use std::{fs, path::Path};

use common::{run, world};
use deploy_action::config;
use sandbox::{Fault, Load, RunSpec, Slot, Staging};

fn read(name: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn page() -> String {
    read("docs/staging.md")
}

/// The page's fenced blocks in `language`.
fn blocks(language: &str) -> Vec<String> {
    let page = page();
    let parts = page.split("```").skip(1).step_by(2);
    parts.filter_map(|block| block.strip_prefix(&format!("{language}\n"))).map(str::to_owned).collect()
}

/// A line of output without what differs from run to run: its time at the beginning, numbers, the unit of a time.
fn lasting(line: &str) -> String {
    let line = line.trim();
    let line = match line.split_once("s  ") {
        Some((time, rest)) if time.parse::<f64>().is_ok() => rest.trim(),
        Some(_) | None => line,
    };
    let mut text = String::new();
    for c in line.chars() {
        match c {
            '0'..='9' | '.' if text.ends_with('#') => {}
            '0'..='9' => text.push('#'),
            c => text.push(c),
        }
    }
    text.replace("# ms", "#").replace("# s", "#")
}

#[tokio::test]
async fn its_output_is_real() {
    let shown = blocks("text");
    assert_eq!(shown.len(), 2);
    for (block, fault) in shown.iter().zip([None, Some(Fault::ErrorsAfterSwitch)]) {
        let world = world().await;
        world.seed(&Staging::live(Slot::Blue, "v0.9.5").with_ttl(1)).await.expect("seeded");
        let people = world.load(&Load::of("staging"));
        people.until(|seen| seen.total.requests > 50).await;
        if let Some(fault) = fault {
            world.fault(fault).await;
        }
        let done = run(&world, &RunSpec::push_main(&world)).await;
        people.stop().await;
        let real: Vec<String> = done.stdout.lines().map(|line| lasting(&anstream::adapter::strip_str(line).to_string())).collect();
        assert!(block.lines().count() > 5, "{block}");
        for line in block.lines() {
            assert!(real.contains(&lasting(line)), "{line}\nas {}\nis not in\n{}", lasting(line), real.join("\n"));
        }
    }
}

/// Rows of the page's tables that begin with these words.
fn row(begins: &str, page: &str) -> Option<Vec<String>> {
    let line = page.lines().find(|line| line.starts_with(&format!("| {begins} |")))?;
    Some(line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect())
}

#[test]
fn its_tables_are_those_of_the_simulations() {
    let page = page();
    let snapshots = [
        "src/gate/snapshots/deploy_action__gate__statistics__tests__simulated_canaries_are_aborted_when_they_are_bad_and_only_then.snap",
        "src/gate/rules/snapshots/deploy_action__gate__rules__tests__simulated_releases_are_promoted_when_good_and_aborted_when_bad.snap",
    ];
    let (_, statistics) = page.split_once("## Why a rate").expect("the section");
    let (aborts, releases) = statistics.split_once("What a whole").expect("two tables");
    let mut compared = 0;
    for (snapshot, table) in snapshots.into_iter().zip([aborts, releases]) {
        let text = read(snapshot);
        for line in text.lines().filter(|line| line.contains("/s, ")) {
            let (begins, said) = line.split_once(": ").expect("a row");
            let numbers: Vec<&str> = said.split(", ").filter_map(|part| part.strip_suffix(" %")?.rsplit(' ').next()).take(3).collect();
            let cells = row(begins, table).unwrap_or_else(|| panic!("{begins} in {table}"));
            let shown: Vec<&str> = cells.iter().skip(1).filter_map(|cell| cell.strip_suffix(" %")).collect();
            assert_eq!(shown, numbers, "{line}");
            compared += 1;
        }
    }
    assert_eq!(compared, 12);
}

#[test]
fn its_configuration_is_accepted() {
    let yaml = blocks("yaml");
    let observe = yaml.iter().find(|block| block.contains("observe:")).expect("the rules");
    let text = read("examples/deploy.yml");
    let (before, rest) = text.split_once("    observe:\n").expect("the section");
    let after = rest.split_once("    smoke:").expect("what follows").1;
    config::parse(&format!("{before}{observe}    smoke:{after}"), "docs/staging.md").unwrap_or_else(|error| panic!("{error}"));
}

/// What a report calls the matter stands as a heading in the troubleshooting page.
#[test]
fn every_entry_that_a_report_names_has_its_place() {
    let (code, page) = (read("src/execute/diagnose.rs"), read("docs/troubleshooting.md"));
    for entry in [
        "Out of memory",
        "Image cannot be pulled",
        "Green health checks failing",
        "Smoke tests failing",
        "Traffic not switching to Green",
        "Rollback needed after traffic switch",
        "Held for want of evidence",
    ] {
        assert!(code.contains(&format!("\"{entry}\"")), "no report says {entry}");
        assert!(page.contains(&format!("\n## {entry}\n")), "{entry} is not in the page");
    }
}
