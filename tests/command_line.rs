//! The binary as a command line program: every input in each spelling, by the usual precedence; help, version, completions,
//! schema and validate.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on says so")]

mod common;

use std::{
    collections::BTreeMap,
    ffi::OsString,
    process::{Command, Output},
};

use common::binary;
use deploy_action::cli::{
    self, Parsed,
    inputs::{INPUTS, Input, Secrecy, Spelling},
};

const SPELLINGS: [Spelling; 4] = [Spelling::Flag, Spelling::Runner, Spelling::Own, Spelling::Customary];

/// Parses with the input `input` given in each of `spellings`, every value made by `value`.
fn parsed(input: &Input, spellings: &[Spelling], value: impl Fn(Spelling) -> String) -> Result<cli::Inputs, String> {
    let mut args: Vec<OsString> = vec!["deploy-action".into(), "plan".into()];
    let mut env = BTreeMap::new();
    // What belongs to a registry login comes together.
    if input.name == "registry-password" {
        env.insert("INPUT_REGISTRY-USERNAME".to_owned(), "user".to_owned());
    }
    for spelling in spellings {
        let Some(name) = input.spelled(*spelling) else { continue };
        match spelling {
            Spelling::Flag => args.push(format!("{name}={}", value(*spelling)).into()),
            Spelling::Runner | Spelling::Own | Spelling::Customary => {
                env.insert(name, value(*spelling));
            }
        }
    }
    match cli::parse(args, &|name| env.get(name).cloned()) {
        Ok(Parsed::Run(inputs)) => Ok(*inputs),
        Ok(Parsed::Print(text)) => panic!("{text}"),
        Err(failure) => Err(failure.to_string()),
    }
}

/// From every place on, the first spelling that holds a value decides: shown by the error, which names it.
#[test]
fn a_flag_goes_before_the_runners_that_before_our_own_that_before_the_customary_name() {
    for input in INPUTS.iter().filter(|input| input.secrecy == Secrecy::Open && input.name != "command") {
        for first in 0..SPELLINGS.len() {
            let Some(expected) = input.spelled(SPELLINGS[first]) else { continue };
            let error = parsed(input, &SPELLINGS[first..], |_| "a\u{7}b".into()).expect_err(input.name);
            assert!(error.starts_with(&format!("{expected}: it holds a control character")), "{}: {error}", input.name);
        }
    }
}

#[test]
fn secrets_are_taken_and_masked_in_every_spelling_by_the_same_precedence() {
    for input in INPUTS.iter().filter(|input| input.secrecy == Secrecy::Secret) {
        let value = |spelling: Spelling| match input.name {
            "container-secrets" => format!("NAME=secret-{spelling:?}"),
            "slack-webhook-url" => format!("https://hooks.example/secret-{spelling:?}"),
            _ => format!("secret-{spelling:?}"),
        };
        for first in 0..SPELLINGS.len() {
            if input.spelled(SPELLINGS[first]).is_none() {
                continue;
            }
            let inputs = parsed(input, &SPELLINGS[first..], value).unwrap_or_else(|error| panic!("{}: {error}", input.name));
            for (place, spelling) in SPELLINGS.iter().enumerate() {
                let text = value(*spelling).replace("NAME=", "");
                assert_eq!(inputs.masks.scrub(&text) == "***", place == first, "{} in {spelling:?}", input.name);
            }
        }
    }
}

#[test]
fn an_empty_value_counts_as_not_given() {
    let environment = cli::inputs::input("environment").expect("an input");
    let value = |spelling| if spelling == Spelling::Own { "dev".to_owned() } else { " ".to_owned() };
    let inputs = parsed(environment, &SPELLINGS, value).expect("parsed");
    assert_eq!(inputs.environment.map(|name| name.to_string()).as_deref(), Some("dev"));
}

/// Runs the binary with nothing in its environment.
fn run(args: &[&str]) -> Output {
    Command::new(binary()).args(args).env_clear().current_dir(env!("CARGO_MANIFEST_DIR")).output().expect("it runs")
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

#[test]
fn help_names_every_command_every_input_and_the_exit_statuses() {
    let help = run(&["--help"]);
    assert_eq!(help.status.code(), Some(0));
    let help = text(&help);
    for (_, word, about) in cli::COMMANDS {
        assert!(help.contains(&format!("\n  {word} ")) && help.contains(about), "{word}: {help}");
    }
    for input in INPUTS.iter().filter(|input| input.name != "command") {
        assert!(help.contains(&format!("--{}", input.name)), "{}: {help}", input.name);
    }
    assert!(help.contains("Exit status: 0"), "{help}");
    let version = run(&["--version"]);
    assert_eq!(text(&version), format!("deploy-action {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn completions_for_every_shell_know_every_command_and_flag() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let output = run(&["completions", shell]);
        assert_eq!(output.status.code(), Some(0), "{shell}: {}", text(&output));
        let script = text(&output);
        for (_, word, _) in cli::COMMANDS {
            assert!(script.contains(word), "{word} for {shell}");
        }
        for input in INPUTS.iter().filter(|input| input.name != "command") {
            assert!(script.contains(input.name), "{} for {shell}", input.name);
        }
    }
    let unknown = run(&["completions", "tcsh"]);
    assert_eq!(unknown.status.code(), Some(2), "{}", text(&unknown));
}

#[test]
fn schemas_are_those_that_are_published() {
    for (args, file) in [(vec!["schema"], "deploy.schema.json"), (vec!["schema", "evidence"], "evidence.schema.json")] {
        let printed = run(&args);
        let published = std::fs::read_to_string(std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).expect(file);
        assert_eq!((printed.status.code(), text(&printed)), (Some(0), published), "{file}");
    }
}

#[test]
fn validate_says_what_a_configuration_means() {
    let good = run(&["validate", "examples/deploy.yml"]);
    assert_eq!(good.status.code(), Some(0), "{}", text(&good));
    insta::assert_snapshot!(text(&good), @r"
    examples/deploy.yml is right: nextgen-market (ghcr.io/nextgen-market/nextgen-market)
      dev: direct into dev-nextgen, by branch develop
      prod: canary into prod-nextgen, by tag v*
      staging: blue-green into staging-nextgen, by branch main
    ");
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("deploy.yml");
    std::fs::write(&path, "version: 1\napplication: shop\n").expect("written");
    let bad = run(&["validate", path.to_str().expect("UTF-8")]);
    assert_eq!(bad.status.code(), Some(2), "{}", text(&bad));
    assert!(text(&bad).contains("`image` is missing"), "{}", text(&bad));
}

#[test]
fn at_a_terminal_nothing_is_left_in_the_folder() {
    let folder = tempfile::tempdir().expect("a folder");
    for args in [vec!["--help"], vec!["schema"], vec!["plan", "dev"], vec!["status"], vec![]] {
        let output = Command::new(binary()).args(&args).env_clear().current_dir(folder.path()).output().expect("it runs");
        assert!(!text(&output).contains("::"), "{args:?}: {}", text(&output));
    }
    assert_eq!(std::fs::read_dir(folder.path()).expect("a folder").count(), 0);
}
