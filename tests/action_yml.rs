//! `action.yml` and the table of inputs say the same, and the published files are what the code says.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on says so")]

use std::{fs, path::Path};

use deploy_action::{cli::inputs::INPUTS, config, report::evidence};

fn read(name: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).expect(name)
}

/// The block of an input in `action.yml`.
fn block<'a>(action: &'a str, name: &str) -> Option<&'a str> {
    let inputs = action.split("\noutputs:\n").next()?;
    let begin = inputs.find(&format!("\n  {name}:\n"))? + 1;
    let rest = &inputs[begin..];
    let end = rest.match_indices("\n  ").map(|(at, _)| at).find(|at| !rest[at + 3..].starts_with(' ')).unwrap_or(rest.len());
    Some(&rest[..end])
}

#[test]
fn every_input_stands_in_action_yml_with_its_default_and_its_words() {
    let action = read("action.yml");
    for input in &INPUTS {
        let block = block(&action, input.name).unwrap_or_else(|| panic!("{} is missing in action.yml", input.name));
        assert!(block.contains(&format!("description: \"{}\"", input.help)), "{block}");
        assert_eq!(block.contains("default:"), !input.default.is_empty(), "{block}");
        if !input.default.is_empty() {
            assert!(block.contains(&format!("default: \"{}\"", input.default)), "{block}");
        }
    }
    let inputs = action.split("\noutputs:\n").next().unwrap_or_default();
    let count = inputs.lines().filter(|line| line.starts_with("  ") && !line.starts_with("   ")).count();
    assert_eq!(count, INPUTS.len(), "action.yml has inputs that the program does not know");
}

fn published(name: &str, now: &str, refresh: &str) {
    assert!(read(name) == now, "{name} is not what the code says; refresh it: {refresh}");
}

#[test]
fn the_published_schemas_are_the_codes() {
    let pretty = |schema: &serde_json::Value| serde_json::to_string_pretty(schema).expect("JSON") + "\n";
    published("deploy.schema.json", &pretty(&config::schema()), "cargo run -- schema > deploy.schema.json");
    published("evidence.schema.json", &pretty(&evidence::schema()), "cargo run -- schema evidence > evidence.schema.json");
}

/// Compares `name` with `now`; with UPDATE_DOCS set, writes it instead.
fn page(name: &str, now: &str) {
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(Path::new(env!("CARGO_MANIFEST_DIR")).join(name), now).expect("written");
    }
    published(name, now, "UPDATE_DOCS=1 cargo test --test action_yml");
}

#[test]
fn the_reference_pages_are_the_codes() {
    page("docs/configuration.md", &config::reference(&read("examples/deploy.yml")));
    let mut inputs = String::from(
        "# Inputs\n\nEvery input is also a flag (`--azure-client-id`) and an environment variable (`DEPLOY_ACTION_AZURE_CLIENT_ID`). \
         A flag goes before `INPUT_*` (what GitHub's runner passes), that before `DEPLOY_ACTION_*`, that before the customary name. \
         An empty value counts as not given.\n\n| input | default | customary name | |\n|---|---|---|---|\n",
    );
    for input in &INPUTS {
        let or_dash = |text: &str| if text.is_empty() { "–".to_owned() } else { format!("`{text}`") };
        let secret = if input.secrecy == deploy_action::cli::inputs::Secrecy::Secret { " *(secret)*" } else { "" };
        inputs.push_str(&format!(
            "| `{}` | {} | {} | {}{secret} |\n",
            input.name,
            or_dash(input.default),
            or_dash(input.customary),
            input.help
        ));
    }
    page("docs/inputs.md", &inputs);
}
