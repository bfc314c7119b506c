//! Runbook Scenario 1: a push to `develop` deploys dev. The real binary, started as GitHub's runner starts it, over real HTTP.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on says so")]

mod common;

use common::{binary, changes, everything, run, world};
use sandbox::{Fault, Options, Polling, RunSpec, Switch, Times, World, runner};

const GROUP: &str = "dev-nextgen";
const NAME: &str = "aci-dev-nextgen";
const NEWER: &str = "b7c6d5e4f30291807f6e5d4c3b2a190817263544";

#[tokio::test]
async fn step_3_to_5_a_push_deploys_smoke_tests_and_tells() {
    let world = world().await;
    let done = run(&world, &RunSpec::push_develop(&world)).await;
    assert_eq!(done.code, Some(0), "{}", done.stdout);

    // Step 3: the instance, by digest, with what the runbook names and the Action's tags.
    let body = world.written(GROUP, NAME).expect("the instance");
    let container = &body["properties"]["containers"][0]["properties"];
    let digest = world.push_image("develop-a1b2c3d");
    assert_eq!(container["image"], format!("{}/nextgen-market/nextgen-market@{digest}", world.urls().registry));
    assert_eq!(container["resources"]["requests"], serde_json::json!({"cpu": 1.0, "memoryInGB": 1.0}));
    let variables = container["environmentVariables"].to_string();
    assert!(variables.contains(r#"{"name":"DATABASE_NAME","value":"dev_nextgen"}"#), "{variables}");
    assert!(variables.contains(&format!(r#"{{"name":"DATABASE_URL","secureValue":"{}"}}"#, runner::DATABASE_URL)), "{variables}");
    assert_eq!(body["properties"]["ipAddress"]["dnsNameLabel"], NAME);
    let tags = &body["tags"];
    assert_eq!(tags["deploy-action-version"], "develop-a1b2c3d");
    assert_eq!(tags["deploy-action-digest"], digest);
    assert_eq!(tags["deploy-action-rollout"], "dev-7313377331-1");
    assert_eq!(tags["deploy-action-sha"], "a1b2c3d4e5f60718293a4b5c6d7e8f9001122334");
    assert_eq!(changes(&world), [format!("PUT {NAME}")]);

    // Step 4: smoke tests on the environment's address, after the health gate on the instance.
    let services: Vec<String> = world.requests().iter().map(|request| format!("{} {}", request.service, request.line())).collect();
    let at = |wanted: &str| services.iter().position(|line| line == wanted).unwrap_or_else(|| panic!("{wanted} in {services:#?}"));
    assert!(at(&format!("instance:{NAME} GET /health")) < at("public:dev GET /health"));
    assert!(at("public:dev GET /health") < at("public:dev GET /api/invoices"));

    // Step 5: the runbook's fields.
    let messages = world.slack_messages();
    assert_eq!(messages.len(), 1, "one message, updated");
    let message = messages[0].to_string();
    for wanted in [
        "✅ Dev deployment complete",
        "*Version*\\n`develop-a1b2c3d`",
        "*Duration*",
        "*Status*\\nHEALTHY",
        "*Health*\\n/health → 200 OK",
        "|Workflow run>",
    ] {
        assert!(message.contains(wanted), "{wanted} in {message}");
    }
    let of_slack: Vec<_> = world.requests().into_iter().filter(|request| request.service == "slack").collect();
    assert_eq!(of_slack[0].line(), "POST /api/chat.postMessage");
    assert!(of_slack.len() > 1 && of_slack[1..].iter().all(|request| request.line() == "POST /api/chat.update"), "{of_slack:#?}");
    let deployments = world.deployments();
    assert_eq!(deployments.len(), 1);
    assert_eq!(deployments[0].0["environment"], "dev");
    let last = world.requests().into_iter().rfind(|request| request.service == "github" && request.path.ends_with("/statuses"));
    let status = last.expect("a status").body;
    assert_eq!(status["environment_url"], world.urls().public["dev"].as_str());
    assert_eq!(status["log_url"], "https://github.com/nextgen-market/nextgen-market/actions/runs/7313377331");
    assert_eq!(deployments[0].1.last().map(String::as_str), Some("success"));

    // What the workflow gets.
    let output = |name: &str| done.outputs.get(name).map(String::as_str);
    assert_eq!(output("outcome"), Some("healthy"));
    assert_eq!(output("environment"), Some("dev"));
    assert_eq!(output("version"), Some("develop-a1b2c3d"));
    assert_eq!(output("digest"), Some(digest.as_str()));
    assert_eq!(output("url"), Some(world.urls().public["dev"].as_str()));
    assert_eq!(done.state.get("outcome").map(String::as_str), Some("healthy"));
    assert!(done.summary.contains("## ✅ Dev deployment complete"), "{}", done.summary);
    assert!(done.summary.contains("<code>/api/invoices</code> | 200 OK"), "{}", done.summary);
    let report = done.outputs.get("report").expect("the evidence file's path");
    let lines = deploy_action::report::evidence::read(std::path::Path::new(report)).expect("an intact chain");
    assert!(lines.len() > 8);
}

#[tokio::test]
async fn the_same_push_again_changes_nothing() {
    let world = world().await;
    let spec = RunSpec::push_develop(&world);
    assert_eq!(run(&world, &spec).await.code, Some(0));
    let again = RunSpec { attempt: 2, ..spec };
    let done = run(&world, &again).await;
    assert_eq!(done.outputs["outcome"], "unchanged", "{}", done.stdout);
    assert_eq!((done.code, changes(&world).len(), world.generation(GROUP, NAME)), (Some(0), 1, Some(1)));
    assert!(done.summary.contains("it already runs this version"), "{}", done.summary);
}

/// The runbook's way back on dev: the version before, by hand.
#[tokio::test]
async fn a_dispatch_deploys_the_version_that_it_names() {
    let world = world().await;
    let spec = RunSpec::push_develop(&world);
    run(&world, &spec).await;
    run(&world, &spec.clone().of_commit(NEWER)).await;
    let by_hand = RunSpec::dispatch(&world, &[("command", "deploy"), ("environment", "dev"), ("version", "develop-a1b2c3d")]);
    let done = run(&world, &by_hand).await;
    assert_eq!((done.code, done.outputs["outcome"].as_str()), (Some(0), "healthy"), "{}", done.stdout);
    assert_eq!((done.outputs["version"].as_str(), done.outputs["previous-version"].as_str()), ("develop-a1b2c3d", "develop-b7c6d5e"));
    let tags = world.written(GROUP, NAME).expect("the instance")["tags"].clone();
    assert_eq!(tags["deploy-action-version"], "develop-a1b2c3d");
    // The commit of `main` that the dispatch ran on is not the version's.
    assert_eq!(tags.get("deploy-action-sha"), None, "{tags}");
}

#[tokio::test]
async fn a_newer_commit_updates_the_instance_in_place() {
    let world = world().await;
    let spec = RunSpec::push_develop(&world);
    run(&world, &spec).await;
    let done = run(&world, &spec.of_commit(NEWER)).await;
    assert_eq!(done.outputs["outcome"], "healthy", "{}", done.stdout);
    assert_eq!(done.outputs["previous-version"], "develop-a1b2c3d");
    // Every output that action.yml promises, and no other.
    let action = include_str!("../action.yml");
    let outputs = action.split("\noutputs:\n").nth(1).and_then(|rest| rest.split("\nruns:\n").next()).expect("outputs");
    let mut promised: Vec<&str> = outputs
        .lines()
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
        .map(|line| line.trim().trim_end_matches(':'))
        .collect();
    promised.sort_unstable();
    assert_eq!(done.outputs.keys().map(String::as_str).collect::<Vec<_>>(), promised);
    assert_eq!((changes(&world).len(), world.generation(GROUP, NAME)), (2, Some(2)));
    assert!(done.summary.contains("What changes"), "{}", done.summary);
    assert_eq!(world.container_groups(), [format!("{GROUP}/{NAME}")]);
}

#[tokio::test]
async fn more_memory_needs_delete_and_create_and_the_plan_says_so() {
    let world = world().await;
    let spec = RunSpec::push_develop(&world);
    run(&world, &spec).await;
    let mut larger = spec.clone();
    larger.config = larger.config.replace("memory: 1", "memory: 2");
    larger.args = vec!["plan".into()];
    let planned = run(&world, &larger).await;
    assert!(planned.stdout.contains("Delete aci-dev-nextgen") && planned.stdout.contains("memory: 1 GB → 2 GB"), "{}", planned.stdout);
    assert_eq!(changes(&world).len(), 1, "a plan changes nothing");
    larger.args = Vec::new();
    let done = run(&world, &larger).await;
    assert_eq!(done.code, Some(0), "{}", done.stdout);
    assert_eq!(changes(&world), [format!("PUT {NAME}"), format!("DELETE {NAME}"), format!("PUT {NAME}")]);
}

#[tokio::test]
async fn a_plan_sends_nothing_that_changes_anything_anywhere() {
    let world = world().await;
    for spec in [
        RunSpec { args: vec!["plan".into()], ..RunSpec::push_develop(&world) },
        RunSpec::push_develop(&world).with("dry-run", "true"),
        RunSpec { args: vec!["plan".into(), "--output-format".into(), "json".into()], ..RunSpec::push_develop(&world) },
    ] {
        let done = run(&world, &spec).await;
        assert_eq!(done.code, Some(0), "{}{}", done.stdout, done.stderr);
        assert!(done.stdout.contains("aci-dev-nextgen"), "{}", done.stdout);
    }
    let changing: Vec<String> = world
        .requests()
        .iter()
        .filter(|request| request.is_change())
        .map(|request| format!("{} {}", request.service, request.line()))
        .collect();
    assert_eq!(changing, Vec::<String>::new());
    assert!(world.container_groups().is_empty() && world.slack_messages().is_empty() && world.deployments().is_empty());
}

/// What a fault comes to.
struct Expected {
    fault: Fault,
    code: i32,
    outcome: &'static str,
    /// What was asked of Azure that changes something.
    changes: &'static [&'static str],
    /// Container groups there are afterwards.
    groups: &'static [&'static str],
    /// What the summary must say.
    says: &'static [&'static str],
}

const THERE: &[&str] = &["dev-nextgen/aci-dev-nextgen"];
const ONE: &[&str] = &["PUT aci-dev-nextgen"];

async fn meets(expected: Expected) {
    let world = world().await;
    world.fault(expected.fault).await;
    let done = run(&world, &RunSpec::push_develop(&world)).await;
    let fault = expected.fault;
    assert_eq!(done.code, Some(expected.code), "{fault}: {}", done.stdout);
    assert_eq!(done.outputs["outcome"], expected.outcome, "{fault}");
    assert_eq!(changes(&world), expected.changes, "{fault}");
    assert_eq!(world.container_groups(), expected.groups, "{fault}");
    for wanted in expected.says {
        assert!(done.summary.contains(wanted), "{fault}: {wanted} in {}", done.summary);
    }
    assert!(!everything(&world, &done).contains("s3cr3t-pa55"), "{fault}: a secret got out");
}

#[tokio::test]
async fn an_image_that_is_missing_is_refused_before_anything_is_touched() {
    let says = &["refused: nothing was touched", "does not exist", "needs: build"];
    meets(Expected { fault: Fault::ImageMissing, code: 1, outcome: "refused", changes: &[], groups: &[], says }).await;
}

#[tokio::test]
async fn a_registry_that_is_down_refuses() {
    let says = &["refused: nothing was touched", "connection refused"];
    meets(Expected { fault: Fault::RegistryDown, code: 1, outcome: "refused", changes: &[], groups: &[], says }).await;
}

#[tokio::test]
async fn an_image_that_azure_cannot_pull_is_told_long_before_azure_gives_up() {
    let says = &["cannot pull its image", "Image cannot be pulled", "registry-password", "Failed to pull image"];
    meets(Expected { fault: Fault::ImagePull, code: 1, outcome: "failed", changes: ONE, groups: THERE, says }).await;
}

#[tokio::test]
async fn an_instance_that_is_never_healthy_stays_for_people_to_look_at() {
    let says = &[
        "did not become healthy: 10 probes of /health",
        "503 Service Unavailable",
        "az container logs -g dev-nextgen -n aci-dev-nextgen",
        "az container delete -g dev-nextgen -n aci-dev-nextgen --yes",
        "listening on",
    ];
    meets(Expected { fault: Fault::NeverHealthy, code: 1, outcome: "failed", changes: ONE, groups: THERE, says }).await;
}

#[tokio::test]
async fn a_crash_loop_is_recognised_with_its_log() {
    let says = &["keeps crashing", "last exit code 1", "connect ECONNREFUSED redis-dev:6379", "Container does not stay up"];
    meets(Expected { fault: Fault::CrashLoop, code: 1, outcome: "failed", changes: ONE, groups: THERE, says }).await;
}

#[tokio::test]
async fn out_of_memory_is_answered_with_the_runbooks_scale_up() {
    let says = &["ran out of memory", "Out of memory", "container:\n      cpu: 2\n      memory: 2\n", "heap out of memory"];
    meets(Expected { fault: Fault::Oom, code: 1, outcome: "failed", changes: ONE, groups: THERE, says }).await;
}

#[tokio::test]
async fn a_smoke_test_that_fails_is_not_rolled_back_but_explained() {
    let says = &[
        "1 of 2 smoke tests failed: /api/invoices: HTTP 500",
        "az container exec -g dev-nextgen -n aci-dev-nextgen --exec-command bash",
        "curl http://localhost:3000/health",
        "❌ | <code>/api/invoices</code> | 500 Internal Server Error",
    ];
    meets(Expected { fault: Fault::Smoke500, code: 1, outcome: "failed", changes: ONE, groups: THERE, says }).await;
}

#[tokio::test]
async fn throttling_is_waited_out() {
    let says = &["Dev deployment complete", "Repeated requests (3)", "429 Too Many Requests"];
    meets(Expected { fault: Fault::Arm429, code: 0, outcome: "healthy", changes: ONE, groups: THERE, says }).await;
}

#[tokio::test]
async fn azures_passing_errors_are_repeated() {
    let says = &["Dev deployment complete", "500 Internal Server Error"];
    meets(Expected { fault: Fault::Arm500, code: 0, outcome: "healthy", changes: ONE, groups: THERE, says }).await;
}

#[tokio::test]
async fn a_lost_answer_is_looked_after_not_repeated() {
    meets(Expected {
        fault: Fault::LostAnswer,
        code: 0,
        outcome: "healthy",
        changes: ONE,
        groups: THERE,
        says: &["Dev deployment complete"],
    })
    .await;
}

#[tokio::test]
async fn a_quota_a_full_region_a_taken_name_and_a_missing_permission_say_what_to_do() {
    let cases: [(Fault, &[&str]); 4] = [
        (Fault::Quota, &["ContainerGroupQuotaReached", "correlation id", "az container list"]),
        (Fault::Capacity, &["has no room", "azure.location"]),
        (Fault::NameTaken, &["a name is taken", "container.dns-label"]),
        (Fault::Forbidden, &["Azure forbids to", "Microsoft.ContainerInstance/containerGroups/write", "az role assignment create"]),
    ];
    for (fault, says) in cases {
        let says: &'static [&'static str] = Box::leak(says.iter().map(|text| summary_text(text)).collect());
        meets(Expected { fault, code: 1, outcome: "failed", changes: ONE, groups: &[], says }).await;
    }
}

/// A text as it stands in the summary, where some characters are escaped.
fn summary_text(text: &str) -> &'static str {
    Box::leak(text.replace('_', "\\_").into_boxed_str())
}

#[tokio::test]
async fn reports_that_fail_change_nothing_but_a_warning() {
    for (fault, warning) in [(Fault::SlackDown, "Slack was not told"), (Fault::GithubDown, "GitHub deployment was not told")] {
        let says: &'static [&'static str] = Box::leak(Box::new([warning, "Dev deployment complete"]));
        meets(Expected { fault, code: 0, outcome: "healthy", changes: ONE, groups: THERE, says }).await;
    }
}

#[tokio::test]
async fn a_slow_slack_holds_nothing_up_for_longer_than_its_limit() {
    let world = world().await;
    world.fault(Fault::SlackSlow).await;
    let done = run(&world, &RunSpec::push_develop(&world)).await;
    assert_eq!(done.code, Some(0), "{}", done.stdout);
    assert!(done.summary.contains("Slack was not told"), "{}", done.summary);
    assert_eq!(
        (done.outputs["outcome"].as_str(), changes(&world), world.container_groups().len()),
        ("healthy", vec![format!("PUT {NAME}")], 1)
    );
    // The rollout itself was over long before: the deployment's own duration says so.
    let last = done.evidence.iter().find(|line| line["event"]["kind"] == "finished").expect("the end");
    let told = done.evidence.iter().find(|line| line["event"]["kind"] == "report-failed").expect("the warning");
    assert!(last["seq"].as_u64() < told["seq"].as_u64());
    assert_eq!(world.deployments()[0].1.last().map(String::as_str), Some("success"), "GitHub was told though Slack hung");
}

#[tokio::test]
async fn a_webhook_gets_a_single_message_at_the_end() {
    let world = world().await;
    let spec = RunSpec::push_develop(&world).with("slack-bot-token", "").with("slack-webhook-url", &world.urls().slack_webhook);
    let done = run(&world, &spec).await;
    assert_eq!(done.code, Some(0), "{}", done.stdout);
    let calls = world.requests().iter().filter(|request| request.service == "slack").count();
    assert_eq!((calls, world.slack_messages().len()), (1, 1));
}

#[tokio::test]
async fn what_is_switched_off_is_said_and_not_asked() {
    let world = world().await;
    let mut spec = RunSpec::push_develop(&world);
    let slack = "  slack: { channel: \"#nextgen-devops\", incidents: \"#nextgen-incidents\" }\n";
    assert!(spec.config.contains(slack));
    spec.config = spec.config.replacen(slack, "  slack: off\n", 1);
    let done = run(&world, &spec).await;
    assert_eq!(done.code, Some(0), "{}", done.stdout);
    assert!(done.summary.contains("Slack is switched off"), "{}", done.summary);
    assert_eq!(world.requests().iter().filter(|request| request.service == "slack").count(), 0);
}

#[tokio::test]
async fn retry_after_in_seconds_is_honoured() {
    let world = World::start(Options { polling: Polling::Seconds, ..Options::quick() }).await.expect("a world");
    world.switch(Fault::Arm429, Switch::On, Times::First(1)).await;
    run(&world, &RunSpec::push_develop(&world)).await;
    let azure: Vec<_> = world.requests().into_iter().filter(|request| request.path.starts_with("/subscriptions")).collect();
    let throttled = azure.iter().position(|request| request.status == Some(429)).expect("a 429");
    let same = |index: &usize| azure[*index].path == azure[throttled].path;
    let again = (throttled + 1..azure.len()).find(same).expect("the request again");
    assert!(azure[again].after - azure[throttled].after >= std::time::Duration::from_secs(1));
}

#[tokio::test]
async fn azure_down_for_good_after_the_write_needs_a_person() {
    let world = world().await;
    let spec = RunSpec::push_develop(&world);
    world.push_image(&spec.version);
    let running = runner::spawn(&world, binary(), &spec).expect("started");
    // As soon as the write is in, Azure fails every request.
    world.until(|requests| requests.iter().any(|request| request.method == "PUT")).await;
    world.switch(Fault::Arm500, Switch::On, Times::Always).await;
    let done = running.finish(runner::Echo::Off).await.expect("its end");
    assert_eq!(done.code, Some(3), "{}", done.stdout);
    assert_eq!(done.outputs["outcome"], "failed");
    assert!(done.summary.contains("Azure failed to"), "{}", done.summary);
}

#[tokio::test]
async fn status_shows_what_runs() {
    let world = world().await;
    let spec = RunSpec::push_develop(&world);
    run(&world, &spec).await;
    let done = run(&world, &RunSpec { args: vec!["status".into(), "dev".into()], ..spec.clone() }).await;
    assert!(
        done.stdout.contains("aci-dev-nextgen: Succeeded, container running, version develop-a1b2c3d"),
        "{}{}",
        done.stdout,
        done.stderr
    );
    let json = run(&world, &RunSpec { args: ["status", "--output-format", "json"].map(str::to_owned).into(), ..spec }).await;
    let text: String = json.stdout.lines().filter(|line| !line.starts_with("::")).collect();
    let read: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(read.as_array().map(Vec::len), Some(3));
}

#[tokio::test]
async fn replay_derives_the_verdicts_again() {
    let world = world().await;
    world.fault(Fault::Smoke500).await;
    let spec = RunSpec::push_develop(&world);
    let done = run(&world, &spec).await;
    let report = done.outputs["report"].clone();
    let replayed = run(&world, &RunSpec { args: vec!["replay".into(), report.clone()], ..spec.clone() }).await;
    assert_eq!(replayed.code, Some(0), "{}", replayed.stdout);
    assert!(replayed.stdout.contains("breach: GET") && replayed.stdout.contains("chain intact"), "{}", replayed.stdout);
    let text = std::fs::read_to_string(&report).expect("read").replacen("HTTP 500", "HTTP 200", 1);
    std::fs::write(&report, text).expect("written");
    let changed = run(&world, &RunSpec { args: vec!["replay".into(), report], ..spec }).await;
    assert_eq!(changed.code, Some(2), "{}", changed.stdout);
}

#[tokio::test]
async fn the_log_folds_each_step_and_notes_the_end() {
    for (fault, steps, note) in [
        (None, 3, "::notice title=✅ Dev deployment complete::dev runs develop-a1b2c3d"),
        (Some(Fault::Smoke500), 3, "::error title=❌ Dev deployment failed::"),
    ] {
        let world = world().await;
        if let Some(fault) = fault {
            world.fault(fault).await;
        }
        let done = run(&world, &RunSpec::push_develop(&world)).await;
        let commands: Vec<&str> = done.stdout.lines().filter(|line| line.starts_with("::") && !line.starts_with("::add-mask::")).collect();
        let (groups, others): (Vec<&str>, Vec<&str>) = commands.into_iter().partition(|line| line.contains("group::"));
        // One is open at a time, and none at the end: what went wrong is never folded away.
        assert_eq!(groups.len(), 2 * steps, "{groups:?}");
        assert!(groups.chunks(2).all(|pair| pair[0].starts_with("::group::") && pair[1] == "::endgroup::"), "{groups:?}");
        assert_eq!(groups[0], "::group::Create aci-dev-nextgen");
        assert_eq!(others.len(), 1, "{others:?}");
        assert!(others[0].starts_with(note), "{others:?}");
        let closed = done.stdout.rfind("::endgroup::").expect("a group");
        assert!(done.stdout.find("✘").is_none_or(|failed| failed > closed), "{}", done.stdout);
    }
}
