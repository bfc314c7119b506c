//! The README shows what is there: its workflow is the file to copy, its commands run, its links lead somewhere.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on says so")]

mod common;

use std::{
    fs,
    path::{Path, PathBuf},
};

use common::{run, world};
use deploy_action::{cli::inputs, config};
use sandbox::{Fault, RunSpec, message_view};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(name: &str) -> String {
    fs::read_to_string(root().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// The fenced blocks of `page` in `language`.
fn blocks(page: &str, language: &str) -> Vec<String> {
    let opening = format!("```{language}");
    let mut found = Vec::new();
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        if line.trim() == opening {
            found.push(lines.by_ref().take_while(|line| line.trim() != "```").map(|line| format!("{line}\n")).collect());
        } else if line.starts_with("```") {
            let _ = lines.by_ref().take_while(|line| line.trim() != "```").count();
        }
    }
    found
}

/// Every page that people read.
fn pages() -> Vec<PathBuf> {
    let docs = fs::read_dir(root().join("docs")).expect("docs").map(|entry| entry.expect("an entry").path());
    let mut pages: Vec<PathBuf> = docs.filter(|path| path.extension().is_some_and(|extension| extension == "md")).collect();
    pages.extend(["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md"].map(|name| root().join(name)));
    pages
}

#[test]
fn its_workflow_is_the_one_to_copy() {
    let shown = blocks(&read("README.md"), "yaml");
    assert!(shown.contains(&read("examples/workflows/deploy.yml")), "the README's workflow is not examples/workflows/deploy.yml");
}

#[test]
fn its_configuration_is_accepted() {
    let shown = blocks(&read("README.md"), "yaml");
    let configurations: Vec<&String> = shown.iter().filter(|block| block.starts_with("version: 1")).collect();
    assert!(!configurations.is_empty());
    for text in configurations {
        config::parse(text, "README.md").unwrap_or_else(|error| panic!("{error}"));
    }
}

#[test]
fn its_two_commands_stand_alone() {
    let readme = read("README.md");
    for command in ["cargo sandbox dev", "cargo test"] {
        assert!(readme.lines().any(|line| line == command), "{command}");
    }
}

#[test]
fn every_example_workflow_gives_inputs_that_there_are() {
    let action = read("action.yml");
    let mut steps = 0;
    for entry in fs::read_dir(root().join("examples/workflows")).expect("the folder") {
        let path = entry.expect("an entry").path();
        let text = fs::read_to_string(&path).expect("read");
        let mut lines = text.lines().peekable();
        while let Some(line) = lines.next() {
            if !line.contains("uses: nextgen/deploy-action@") {
                continue;
            }
            steps += 1;
            let with = lines.next().expect("`with:`");
            assert_eq!(with.trim(), "with:", "{}", path.display());
            let indent = with.len() - with.trim_start().len() + 2;
            while let Some(line) = lines.next_if(|line| line.len() - line.trim_start().len() >= indent) {
                // Deeper lines are a value's.
                if line.len() - line.trim_start().len() == indent {
                    let name = line.trim().split(':').next().unwrap_or_default();
                    assert!(inputs::input(name).is_some() && action.contains(&format!("\n  {name}:\n")), "{}: {name}", path.display());
                }
            }
        }
    }
    assert!(steps >= 4, "{steps}");
}

/// A link to a file or a heading that is not there helps nobody.
#[test]
fn links_lead_somewhere() {
    let slug = |heading: &str| -> String {
        let kept =
            heading.trim().to_lowercase().chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_')).collect::<String>();
        kept.replace(' ', "-")
    };
    let headings = |page: &Path| -> Vec<String> {
        let text = fs::read_to_string(page).unwrap_or_default();
        text.lines().filter(|line| line.starts_with('#')).map(|line| slug(line.trim_start_matches('#'))).collect()
    };
    let mut checked = 0;
    for page in pages() {
        let text = fs::read_to_string(&page).unwrap_or_else(|error| panic!("{}: {error}", page.display()));
        for rest in text.split("](").skip(1) {
            let target = rest.split(')').next().unwrap_or_default();
            if target.contains("://") || target.contains(' ') {
                continue;
            }
            let (file, heading) = target.split_once('#').unwrap_or((target, ""));
            let file = if file.is_empty() { page.clone() } else { page.parent().expect("a folder").join(file) };
            assert!(file.exists(), "{} links to {target}", page.display());
            assert!(heading.is_empty() || headings(&file).iter().any(|known| known == heading), "{} links to {target}", page.display());
            checked += 1;
        }
    }
    assert!(checked > 20, "{checked}");
}

/// The role's actions in docs/security.md are those that the code can ask for, neither more nor fewer.
#[test]
fn the_role_is_json_and_names_what_is_asked_for() {
    let roles = blocks(&read("docs/security.md"), "json");
    let role: serde_json::Value = serde_json::from_str(roles.first().expect("a role")).expect("JSON");
    let actions: Vec<&str> = role["Actions"].as_array().expect("actions").iter().map(|action| action.as_str().expect("text")).collect();
    let kinds = [
        "Microsoft.Resources/subscriptions/resourceGroups/",
        "Microsoft.ContainerInstance/",
        "Microsoft.Network/trafficManagerProfiles/",
        "Microsoft.Insights/metrics/read",
        "Microsoft.Authorization/permissions/read",
    ];
    assert!(actions.iter().all(|action| kinds.iter().any(|kind| action.starts_with(kind))), "{actions:?}");
    assert!(actions.iter().all(|action| !action.contains('*')), "{actions:?}");
    for needed in ["containerGroups/read", "containerGroups/write", "containerGroups/delete", "containers/logs/read", "metrics/read"] {
        assert!(actions.iter().any(|action| action.ends_with(needed)), "{needed} in {actions:?}");
    }
}

/// A line of output without what differs from run to run: its time, numbers, how long something took, digests.
fn lasting(line: &str) -> String {
    let line = line.trim();
    let line = match line.split_once("s  ") {
        Some((time, rest)) if time.parse::<f64>().is_ok() => rest.trim(),
        _ => line,
    };
    let line = line.split("sha256:").next().unwrap_or_default();
    let mut text = String::new();
    for c in line.chars() {
        match c {
            '0'..='9' if text.ends_with('#') => {}
            '0'..='9' => text.push('#'),
            c => text.push(c),
        }
    }
    text.replace("#.# s", "#").replace("# ms", "#").replace("#.#", "#")
}

/// What the README shows is what happens: each line of its two outputs comes out of such a run.
#[tokio::test]
async fn its_output_is_real() {
    let shown = blocks(&read("README.md"), "text");
    assert_eq!(shown.len(), 2);
    for (block, fault) in shown.iter().zip([None, Some(Fault::Smoke500)]) {
        let world = world().await;
        if let Some(fault) = fault {
            world.fault(fault).await;
        }
        let done = run(&world, &RunSpec::push_develop(&world)).await;
        let mut lines: Vec<String> = done.stdout.lines().map(str::to_owned).collect();
        lines.push("Slack, #nextgen-devops:".into());
        lines.extend(world.slack_messages().iter().flat_map(message_view::lines));
        for (deployment, states) in world.deployments() {
            let environment = deployment["environment"].as_str().expect("a name");
            lines.push(format!("GitHub deployment {} of {environment}: {}", deployment["id"], states.join(" → ")));
        }
        let real: Vec<String> = lines.iter().map(|line| lasting(&anstream::adapter::strip_str(line).to_string())).collect();
        for line in block.lines().filter(|line| !line.is_empty()) {
            assert!(real.contains(&lasting(line)), "{line}\nas {}\nis not in\n{}", lasting(line), real.join("\n"));
        }
    }
}
