//! Bad input, with the real binary started as GitHub's runner starts it: exit status 2, one clear message, the outcome
//! `refused`, and no request to anybody.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on says so")]

mod common;

use common::{run, world};
use sandbox::{Finished, RunSpec};
use serde_json::json;

/// What all these runs would deploy by, so that lines and columns in messages are this file's alone.
const CONFIG: &str = "\
version: 1
application: nextgen-market
image: ghcr.io/nextgen-market/nextgen-market
azure: { location: westeurope }
container:
  port: 3000
  memory: 1
notify: { dashboard: https://grafana.nextgen.local }
environments:
  dev:
    when: { branch: develop }
    secrets: [DATABASE_URL]
  staging:
    when: { branch: main }
  prod:
    when: { tag: \"v*\" }
    url: https://prod-api.nextgen.local
";

/// A case: what is wrong, and the run with it.
type Case = (&'static str, Box<dyn Fn(RunSpec) -> RunSpec>);

fn case(what: &'static str, change: impl Fn(RunSpec) -> RunSpec + 'static) -> Case {
    (what, Box::new(change))
}

/// The configuration with `from` replaced by `to`.
fn config(what: &'static str, from: &'static str, to: &'static str) -> Case {
    case(what, move |mut spec| {
        assert!(spec.config.contains(from), "{from} in {}", spec.config);
        spec.config = spec.config.replacen(from, to, 1);
        spec
    })
}

fn input(name: &'static str, value: &'static str) -> impl Fn(RunSpec) -> RunSpec {
    move |spec| spec.with(name, value)
}

fn payload(value: serde_json::Value) -> impl Fn(RunSpec) -> RunSpec {
    move |spec| RunSpec { payload: value.clone(), ..spec }
}

/// The one message, without what differs from run to run; the test fails where there is none, or more than one.
fn message(done: &Finished, what: &str) -> String {
    let printed = format!("{}{}", done.stdout, done.stderr);
    let errors: Vec<&str> = printed.lines().filter(|line| line.starts_with("::error ")).collect();
    assert_eq!(errors.len(), 1, "{what}: {printed}");
    let text = errors[0].split_once("::error ").and_then(|(_, rest)| rest.split_once("::")).map_or("", |(_, text)| text);
    let text = text.replace("%0A", "\n").replace("%0D", "\r").replace("%25", "%");
    text.replace(&done.folder.display().to_string(), "FOLDER")
}

async fn refused(cases: Vec<Case>) -> String {
    let mut said = Vec::new();
    for (what, change) in cases {
        let world = world().await;
        let spec = RunSpec { config: CONFIG.into(), ..RunSpec::push_develop(&world) };
        let done = run(&world, &change(spec)).await;
        let printed = format!("{}{}", done.stdout, done.stderr);
        assert_eq!(done.code, Some(2), "{what}: {printed}");
        let asked: Vec<String> = world.requests().iter().map(|request| format!("{} {}", request.service, request.line())).collect();
        assert_eq!(asked, Vec::<String>::new(), "{what}");
        assert_eq!(done.outputs.get("outcome").map(String::as_str), Some("refused"), "{what}: {printed}");
        assert!(done.summary.contains("nothing was touched"), "{what}: {}", done.summary);
        // What a stranger wrote is never a command of the runner.
        let foreign = |line: &&str| line.starts_with("::") && !line.starts_with("::error ") && !line.starts_with("::add-mask::");
        assert_eq!(printed.lines().filter(foreign).count(), 0, "{what}: {printed}");
        assert!(!printed.contains("\u{1b}]"), "{what}: {printed}");
        said.push(format!("## {what}\n{}", message(&done, what)));
    }
    said.join("\n\n")
}

#[tokio::test]
async fn events() {
    let develop = "refs/heads/develop";
    let sha = "a1b2c3d4e5f60718293a4b5c6d7e8f9001122334";
    let said = refused(vec![
        case("a payload that is no JSON", |mut spec| {
            spec.env.insert("GITHUB_EVENT_PATH".into(), ".github/deploy.yml".into());
            spec
        }),
        case("a payload that is a list", payload(json!([]))),
        case("a push without a ref", payload(json!({"after": sha}))),
        case("a push without a commit", payload(json!({"ref": develop}))),
        case("a commit id that is none", payload(json!({"ref": develop, "after": "main; rm -rf /"}))),
        case("an event file that is not there", |mut spec| {
            spec.env.insert("GITHUB_EVENT_PATH".into(), "/nowhere/event.json".into());
            spec
        }),
        case("an event file that is a folder", |mut spec| {
            spec.env.insert("GITHUB_EVENT_PATH".into(), "/".into());
            spec
        }),
        case("a branch that no environment has", payload(json!({"ref": "refs/heads/feature/x", "after": sha}))),
        case("a branch that matches two environments", |mut spec| {
            spec.config = spec.config.replacen("when: { branch: develop }", "when: { branch: \"*\" }", 1);
            RunSpec { payload: json!({"ref": "refs/heads/main", "after": "a1b2c3d4e5f60718293a4b5c6d7e8f9001122334"}), ..spec }
        }),
        config("a branch that two environments name", "when: { branch: main }", "when: { branch: develop }"),
        case("a tag that is no whole version", payload(json!({"ref": "refs/tags/v1", "after": sha}))),
        case("a tag that is no version", payload(json!({"ref": "refs/tags/vNext", "after": sha}))),
        case("a pull request", |spec| RunSpec { event: "pull_request".into(), payload: json!({"action": "opened", "number": 7}), ..spec }),
    ])
    .await;
    insta::assert_snapshot!(said);
}

#[tokio::test]
async fn configurations() {
    let said = refused(vec![
        case("no configuration", input("config", ".github/none.yml")),
        case("a configuration that is a folder", input("config", ".github")),
        case("an empty configuration", |spec| RunSpec { config: String::new(), ..spec }),
        case("a configuration that is no YAML", |spec| RunSpec { config: "environments: [".into(), ..spec }),
        config("an unknown key", "application: nextgen-market", "aplication: nextgen-market"),
        config("a key of the wrong kind", "port: 3000", "port: web"),
        config("an image name with a tag in it", "nextgen-market/nextgen-market\n", "nextgen-market/nextgen-market:latest\n"),
        config("memory 0", "memory: 1", "memory: 0"),
        config("a URL that is no URL", "dashboard: https://grafana.nextgen.local", "dashboard: grafana.nextgen.local"),
        config("a share over 100 %", "url: https://prod", "phases: [{ traffic: 101% }]\n    url: https://prod"),
        config("a control character", "application: nextgen-market", "application: \"next\\u001b[31mgen\""),
        config("a command of the runner", "application: nextgen-market", "application: nextgen-market\n\"::set-output name=a::b\": 1"),
    ])
    .await;
    insta::assert_snapshot!(said);
}

#[tokio::test]
async fn inputs() {
    let said = refused(vec![
        case("no subscription", input("azure-subscription-id", "")),
        case("no client", input("azure-client-id", " ")),
        case("no tenant", input("azure-tenant-id", "")),
        case("no way to log in", |mut spec| {
            spec.env.insert("ACTIONS_ID_TOKEN_REQUEST_URL".into(), String::new());
            spec.env.insert("ACTIONS_ID_TOKEN_REQUEST_TOKEN".into(), String::new());
            spec
        }),
        case("an unknown environment", input("environment", "develop")),
        case("an environment like no other", input("environment", "qa")),
        case("an environment that is no name", input("environment", "Dev_1")),
        case("an unknown command", input("command", "deploi")),
        case("a version that is no image tag", input("version", "develop a1b2c3d")),
        case("neither true nor false", input("dry-run", "yes")),
        case("a URL that is no URL", input("azure-resource-manager", "management.azure.com")),
        case("a URL without TLS", input("slack-api-url", "http://slack.example/api")),
        case("a URL with a password", input("azure-authority-host", "https://me:hidden-value@login.example")),
        case("a registry user without a password", input("registry-password", "")),
        case("a registry password without a user", input("registry-username", "")),
        case("a secret that is named but not given", input("container-secrets", "")),
        case("another secret than the named one", input("container-secrets", "DATABASE_URI=postgres://hidden-value")),
        case("a secret without a value", input("container-secrets", "DATABASE_URL=")),
        case("a secret that is no line", input("container-secrets", "hidden-value")),
        case("a line break in an input", input("environment", "dev\n::set-output name=outcome::healthy")),
        case("a command in an input", input("version", "::set-output name=outcome::healthy")),
        case("a control character in an input", input("config", "\u{1b}]0;gone\u{7}.yml")),
        case("a line break in a token", input("github-token", "hidden\n::add-path::/hidden-value")),
        case("an unknown flag", |spec| RunSpec { args: vec!["--enviroment".into(), "dev".into()], ..spec }),
        case("an unknown word", |spec| RunSpec { args: vec!["deplyo".into()], ..spec }),
    ])
    .await;
    assert!(!said.contains("hidden-value"), "a secret's value is never repeated: {said}");
    insta::assert_snapshot!(said);
}

/// A command for a terminal says the same on standard error there, in the spelling that was used, and without the runner's commands.
#[tokio::test]
async fn an_error_names_the_spelling_that_was_used() {
    let world = world().await;
    let terminal = |mut spec: RunSpec| {
        spec.inputs.clear();
        for name in ["GITHUB_ACTIONS", "GITHUB_EVENT_NAME", "GITHUB_EVENT_PATH"] {
            spec.env.insert(name.into(), String::new());
        }
        spec
    };
    let spellings: [(&str, Vec<&str>, &str); 5] = [
        ("--dry-run", vec!["plan", "dev", "--dry-run=maybe"], ""),
        ("INPUT_DRY-RUN", vec!["plan", "dev"], "INPUT_DRY-RUN"),
        ("DEPLOY_ACTION_DRY_RUN", vec!["plan", "dev"], "DEPLOY_ACTION_DRY_RUN"),
        ("AZURE_AUTHORITY_HOST", vec!["plan", "dev"], "AZURE_AUTHORITY_HOST"),
        ("ENVIRONMENT", vec!["plan", "Dev"], ""),
    ];
    for (spelling, args, variable) in spellings {
        let mut spec = terminal(RunSpec::push_develop(&world));
        spec.args = args.into_iter().map(str::to_owned).collect();
        if !variable.is_empty() {
            spec.env.insert(variable.into(), "maybe".into());
        }
        let done = run(&world, &spec).await;
        let printed = format!("{}{}", done.stdout, done.stderr);
        assert_eq!(done.code, Some(2), "{spelling}: {printed}");
        assert!(printed.contains(&format!("{spelling}: ")) && printed.contains(&format!("correct {spelling}")), "{spelling}: {printed}");
        assert!(!printed.contains("::"), "{spelling}: {printed}");
    }
    assert_eq!(world.requests(), []);
}
