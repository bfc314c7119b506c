//! Invariant 7: a secret never appears in a log, summary, message, evidence file, error, output or tag; and GitHub's runner is
//! told to mask each before anything else is printed.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on says so")]

mod common;

use common::{everything, run, under_every_fault, world};
use sandbox::{RunSpec, World};

/// Awkward values: with what JSON, Markdown and the runner's commands give a meaning to, and of several lines.
const CONTAINER_SECRETS: &str = "DATABASE_URL=postgres://dev:p\"ss%25w*rd`@db\nAPI_KEY=::add-path::/hidden-key\nTLS_KEY<<END\n-----BEGIN HIDDEN KEY-----\nfirst-hidden-line\nsecond-hidden-line\n-----END HIDDEN KEY-----\nEND\n";

const LINES: [&str; 6] = [
    "postgres://dev:p\"ss%25w*rd`@db",
    "::add-path::/hidden-key",
    "-----BEGIN HIDDEN KEY-----",
    "first-hidden-line",
    "second-hidden-line",
    "-----END HIDDEN KEY-----",
];

/// Every secret of a run: the container's, and the tokens that it works with.
fn secrets(world: &World) -> Vec<String> {
    let info = world.info();
    let tokens = ["client-secret", "github-token", "registry-password", "slack-bot-token", "pagerduty-routing-key", "status-page-token"]
        .map(|name| info[name].as_str().expect(name).to_owned());
    LINES.map(str::to_owned).into_iter().chain(tokens).collect()
}

fn spec(world: &World) -> RunSpec {
    let mut spec = RunSpec::push_develop(world)
        .with("container-secrets", CONTAINER_SECRETS)
        .with("azure-client-secret", world.info()["client-secret"].as_str().expect("a secret"));
    spec.config = spec.config.replacen("secrets: [DATABASE_URL]", "secrets: [DATABASE_URL, API_KEY, TLS_KEY]", 1);
    spec
}

#[tokio::test]
async fn every_secret_is_masked_before_anything_else_is_printed() {
    let world = world().await;
    let done = run(&world, &spec(&world)).await;
    assert_eq!(done.code, Some(0), "{}", done.stdout);
    let masked: Vec<String> = done
        .stdout
        .lines()
        .map_while(|line| line.strip_prefix("::add-mask::"))
        .map(|text| text.replace("%0A", "\n").replace("%0D", "\r").replace("%25", "%"))
        .collect();
    for secret in secrets(&world) {
        assert!(masked.contains(&secret), "{secret} in {masked:?}");
    }
    let later = done.stdout.lines().skip_while(|line| line.starts_with("::add-mask::"));
    assert_eq!(later.filter(|line| line.starts_with("::add-mask::")).count(), 0, "{}", done.stdout);
}

#[tokio::test]
async fn whatever_happens_no_secret_gets_out() {
    for (fault, world, done) in under_every_fault(spec).await {
        let left = everything(&world, &done);
        assert!(!done.summary.is_empty() && done.outputs.contains_key("outcome"), "{fault:?}");
        for secret in secrets(&world) {
            assert!(!left.contains(&secret), "{fault:?}: {secret} in {left}");
            let json = serde_json::Value::String(secret.clone()).to_string();
            assert!(!left.contains(json.trim_matches('"')), "{fault:?}: {secret} as JSON in {left}");
        }
    }
}

/// The sandbox does get them, where they belong: else the tests above would look for what was never there.
#[tokio::test]
async fn azure_gets_them_as_secure_values() {
    let world = world().await;
    let done = run(&world, &spec(&world)).await;
    assert_eq!(done.code, Some(0), "{}", done.stdout);
    let body = world.written("dev-nextgen", "aci-dev-nextgen").expect("the instance");
    let variables = body["properties"]["containers"][0]["properties"]["environmentVariables"].as_array().expect("variables").clone();
    let secure = |name: &str| variables.iter().find(|variable| variable["name"] == name).expect(name)["secureValue"].clone();
    assert_eq!(secure("API_KEY"), "::add-path::/hidden-key");
    assert_eq!(secure("TLS_KEY"), "-----BEGIN HIDDEN KEY-----\nfirst-hidden-line\nsecond-hidden-line\n-----END HIDDEN KEY-----");
    assert!(variables.iter().all(|variable| variable["value"].as_str().is_none_or(|value| !value.contains("hidden"))));
}
