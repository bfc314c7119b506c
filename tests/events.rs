//! From what GitHub says happened to what is done: every event is a request, or a refusal with its reason; never a panic.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on says so")]

use deploy_action::{
    cli::{self, Inputs, Parsed},
    config::{self, Config},
    domain::ExitStatus,
    event,
    request::{self, Request, RunContext},
};
use serde_json::{Value, json};

const SHA: &str = "a1b2c3d4e5f60718293a4b5c6d7e8f9001122334";
const ZERO: &str = "0000000000000000000000000000000000000000";

fn example() -> Config {
    config::parse(include_str!("../examples/deploy.yml"), "deploy.yml").unwrap_or_else(|error| panic!("{error}"))
}

/// The inputs that a workflow without a `with:` gives.
fn inputs(given: &[(&str, &str)]) -> Inputs {
    let env = |name: &str| given.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
    match cli::parse(["deploy-action".into()], &env) {
        Ok(Parsed::Run(inputs)) => *inputs,
        Ok(Parsed::Print(text)) => panic!("{text}"),
        Err(failure) => panic!("{failure}"),
    }
}

/// The run of an event on `git_ref`.
fn context(git_ref: &str) -> RunContext {
    RunContext { sha: SHA.parse().ok(), target: event::git_ref(git_ref), actor: Some("octocat".into()) }
}

/// What happens, in a line. A refusal without a reason or a next step fails the test.
fn happens(name: &str, payload: &[u8], inputs: &Inputs, config: &Config, git_ref: &str) -> String {
    let derived = event::parse(name, payload).and_then(|event| request::derive(Some(&event), &context(git_ref), inputs, config));
    match derived {
        Ok(Request::Deploy(deploy)) => format!("deploy {} to {}", deploy.version, deploy.environment),
        Ok(Request::Nothing { reason }) => {
            assert!(!reason.is_empty(), "{name}");
            format!("nothing: {reason}")
        }
        Ok(other) => format!("{other:?}"),
        Err(failure) => {
            assert!(!failure.what.is_empty() && !failure.next.is_empty() && !failure.consequence.is_empty(), "{name}: {failure}");
            assert_eq!(failure.exit_status(), ExitStatus::Wrong, "{name}: {failure}");
            format!("refused: {}", failure.what)
        }
    }
}

fn of(name: &str, payload: &Value, git_ref: &str) -> String {
    happens(name, payload.to_string().as_bytes(), &inputs(&[]), &example(), git_ref)
}

fn push(git_ref: &str, after: &str, more: Value) -> Value {
    let mut payload = json!({"ref": git_ref, "before": "9f8e7d6c5b4a39281706f5e4d3c2b1a009988776", "after": after,
        "created": false, "deleted": false, "forced": false, "base_ref": null, "sender": {"login": "octocat"}});
    if let (Some(fields), Value::Object(more)) = (payload.as_object_mut(), more) {
        fields.extend(more);
    }
    payload
}

#[test]
fn what_is_pushed_decides() {
    let cases = [
        ("a commit on develop", push("refs/heads/develop", SHA, json!({}))),
        ("a forced push to develop", push("refs/heads/develop", SHA, json!({"forced": true}))),
        ("develop made anew", push("refs/heads/develop", SHA, json!({"created": true, "before": ZERO}))),
        ("develop deleted", push("refs/heads/develop", ZERO, json!({"deleted": true}))),
        ("a merge to main", push("refs/heads/main", SHA, json!({}))),
        ("a release tag, its commit on develop", push("refs/tags/v1.0.0", SHA, json!({"base_ref": "refs/heads/develop"}))),
        ("a release tag, its commit on main", push("refs/tags/v1.0.0", SHA, json!({"base_ref": "refs/heads/main"}))),
        ("a pre-release tag", push("refs/tags/v1.0.0-rc.1", SHA, json!({}))),
        ("a tag that matches v* and is no version", push("refs/tags/vnext", SHA, json!({}))),
        ("a tag called develop", push("refs/tags/develop", SHA, json!({}))),
        ("a tag deleted", push("refs/tags/v1.0.0", ZERO, json!({"deleted": true}))),
        ("a feature branch", push("refs/heads/feature/invoice-v1", SHA, json!({}))),
        ("a branch of the merge queue", push("refs/heads/gh-readonly-queue/main/pr-7-a1b2c3d", SHA, json!({}))),
        ("neither branch nor tag", push("refs/notes/commits", SHA, json!({}))),
        ("a commit id that is none", push("refs/heads/develop", "a1b2c3d", json!({}))),
        ("no commit id", push("refs/heads/develop", "", json!({}))),
    ];
    let lines: Vec<String> = cases.iter().map(|(what, payload)| format!("{what}\n  {}", of("push", payload, "refs/heads/main"))).collect();
    insta::assert_snapshot!(lines.join("\n"));
}

#[test]
fn other_events_decide_too() {
    let dispatch = |inputs: Value| json!({"ref": "refs/heads/main", "inputs": inputs, "sender": {"login": "octocat"}});
    let comment = |action: &str, body: &str| {
        json!({"action": action, "issue": {"number": 7, "pull_request": {"url": "x"}},
            "comment": {"id": 1, "body": body, "user": {"login": "octocat"}}})
    };
    let cases = [
        ("schedule", "the clock", json!({"schedule": "17 * * * *"})),
        (
            "merge_group",
            "the merge queue",
            json!({"action": "checks_requested", "merge_group": {"head_ref": "refs/heads/gh-readonly-queue/main/x"}}),
        ),
        ("pull_request", "a pull request", json!({"action": "opened", "number": 7, "pull_request": {}})),
        ("pull_request", "a merged pull request", json!({"action": "closed", "number": 7, "pull_request": {"merged": true}})),
        ("pull_request_target", "a pull request with secrets", json!({"action": "opened", "number": 7})),
        ("release", "a release", json!({"action": "published", "release": {"tag_name": "v1.0.0"}})),
        ("workflow_dispatch", "the runbook's manual rollback: -f environment=prod", dispatch(json!({"environment": "prod"}))),
        ("workflow_dispatch", "a deployment by hand", dispatch(json!({"command": "deploy", "environment": "staging"}))),
        (
            "workflow_dispatch",
            "an older version by hand",
            dispatch(json!({"command": "deploy", "environment": "dev", "version": "develop-9f8e7d6"})),
        ),
        ("workflow_dispatch", "nothing said", dispatch(json!({}))),
        ("workflow_dispatch", "no inputs", dispatch(Value::Null)),
        ("workflow_dispatch", "an unknown environment", dispatch(json!({"environment": "pord"}))),
        ("workflow_dispatch", "an unknown command", dispatch(json!({"command": "deplyo", "environment": "dev"}))),
        ("workflow_dispatch", "a name with a command in it", dispatch(json!({"environment": "x\n::set-output name=a::b"}))),
        ("issue_comment", "what people write", comment("created", "Looks good to me")),
        ("issue_comment", "a command, quoted", comment("created", "> /ready-for-prod")),
        ("issue_comment", "a command, edited in", comment("edited", "/ready-for-prod")),
        ("issue_comment", "a command", comment("created", "/ready-for-prod")),
        ("repository_dispatch", "another program", json!({"action": "deploy", "client_payload": {}})),
        ("workflow_run", "another workflow", json!({"action": "completed"})),
        ("no_such_event", "a name that does not exist yet", json!({})),
    ];
    let lines: Vec<String> =
        cases.iter().map(|(name, what, payload)| format!("{name}: {what}\n  {}", of(name, payload, "refs/heads/main"))).collect();
    insta::assert_snapshot!(lines.join("\n"));
}

#[test]
fn a_branch_that_belongs_to_two_environments_is_refused() {
    let text = include_str!("../examples/deploy.yml").replacen("when: { branch: develop }", "when: { branch: \"m*\" }", 1);
    let config = config::parse(&text, "deploy.yml").unwrap_or_else(|error| panic!("{error}"));
    let payload = push("refs/heads/main", SHA, json!({})).to_string();
    let said = happens("push", payload.as_bytes(), &inputs(&[]), &config, "refs/heads/main");
    assert_eq!(said, "refused: branch main belongs to several environments: dev, staging");
    // Named, it is that one.
    let said = happens("push", payload.as_bytes(), &inputs(&[("INPUT_ENVIRONMENT", "dev")]), &config, "refs/heads/main");
    assert_eq!(said, "deploy develop-a1b2c3d to dev");
}

#[test]
fn a_payload_that_is_no_payload_is_refused() {
    for (name, payload) in [
        ("push", "" as &str),
        ("push", "{"),
        ("push", "[]"),
        ("push", "null"),
        ("push", r#"{"ref": 7}"#),
        ("push", "\u{0}"),
        ("workflow_dispatch", r#"{"inputs": []}"#),
        ("issue_comment", r#"{"action": "created"}"#),
        ("release", r#"{"action": "published"}"#),
        ("pull_request", r#"{"number": -1}"#),
        ("ping", "not json"),
    ] {
        let said = happens(name, payload.as_bytes(), &inputs(&[]), &example(), "refs/heads/main");
        assert!(said.starts_with(&format!("refused: the payload of the event {name} cannot be read: ")), "{name} {payload}: {said}");
    }
}

/// GitHub's own examples, as collected by others: `WEBHOOKS_EXAMPLES` names their index.json.
fn collected() -> Vec<(String, Vec<Value>)> {
    let path = std::env::var("WEBHOOKS_EXAMPLES").expect("WEBHOOKS_EXAMPLES names index.json of npm's @octokit/webhooks-examples");
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    let index: Vec<Value> = serde_json::from_str(&text).expect("JSON");
    let events: Vec<(String, Vec<Value>)> = index
        .iter()
        .map(|event| (event["name"].as_str().expect("a name").to_owned(), event["examples"].as_array().expect("examples").clone()))
        .collect();
    assert!(events.len() > 50 && events.iter().all(|(_, examples)| !examples.is_empty()), "{} events in {path}", events.len());
    events
}

/// Every example as it is, and the comments also as comments on a pull request and as each command, which the collection lacks.
#[test]
#[ignore = "needs npm's @octokit/webhooks-examples: .ci/run runs it"]
fn every_event_of_github_gives_a_request_or_a_refusal_with_its_reason() {
    let (inputs, config) = (inputs(&[]), example());
    let mut lines = Vec::new();
    for (name, examples) in collected() {
        let mut said: Vec<String> = Vec::new();
        let mut hear = |payload: &Value| said.push(happens(&name, payload.to_string().as_bytes(), &inputs, &config, "refs/heads/main"));
        for payload in &examples {
            hear(payload);
            if name == "issue_comment" {
                for body in ["/ready-for-prod", "/approve tech-lead", "/reject tech-lead too late", "/override window urgent"] {
                    let mut grafted = payload.clone();
                    grafted["issue"]["pull_request"] = json!({"url": "https://api.github.com/repos/o/r/pulls/1"});
                    grafted["comment"]["body"] = body.into();
                    hear(&grafted);
                    let mut on_an_issue = payload.clone();
                    on_an_issue["comment"]["body"] = body.into();
                    hear(&on_an_issue);
                }
            }
        }
        let number = said.len();
        said.sort();
        said.dedup();
        lines.push(format!("{name} ({number})\n  {}", said.join("\n  ")));
    }
    insta::assert_snapshot!(lines.join("\n"));
}

/// What a later GitHub may leave out or change: each field of each example removed, and each made another kind of value.
#[test]
#[ignore = "needs npm's @octokit/webhooks-examples: .ci/run runs it"]
fn no_change_of_an_event_makes_it_panic() {
    let (inputs, config) = (inputs(&[]), example());
    let mut tried = 0;
    for (name, examples) in collected() {
        for payload in &examples {
            for field in payload.as_object().into_iter().flat_map(|fields| fields.keys()) {
                for other in [None, Some(Value::Null), Some(json!(7)), Some(json!("x\n::error::y")), Some(json!([])), Some(json!({}))] {
                    let mut changed = payload.clone();
                    match (other, changed.as_object_mut()) {
                        (Some(other), Some(fields)) => fields.insert(field.clone(), other),
                        (_, Some(fields)) => fields.remove(field),
                        (_, None) => None,
                    };
                    let said = happens(&name, changed.to_string().as_bytes(), &inputs, &config, "refs/heads/main");
                    assert!(!said.contains('\n'), "{name}, {field}: {said}");
                    tried += 1;
                }
            }
        }
    }
    assert!(tried > 5000, "{tried}");
}
