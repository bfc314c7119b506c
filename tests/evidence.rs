//! The evidence file: every line of every kind of run is what the published schema says, and together they tell the run.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on says so")]

mod common;

use common::{run, under_every_fault, world};
use sandbox::RunSpec;
use serde_json::Value;

fn kinds(evidence: &[Value]) -> Vec<&str> {
    evidence.iter().map(|line| line["event"]["kind"].as_str().expect("a kind")).collect()
}

#[tokio::test]
async fn every_line_is_what_the_published_schema_says() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("evidence.schema.json");
    let published: Value = serde_json::from_str(&std::fs::read_to_string(path).expect("the schema")).expect("JSON");
    let validator = jsonschema::validator_for(&published).expect("a schema");
    assert!(!validator.is_valid(&serde_json::json!({"format": 1})), "a schema that accepts anything proves nothing");
    let mut seen = std::collections::BTreeSet::new();
    for (fault, _, done) in under_every_fault(RunSpec::push_develop).await {
        assert!(!done.evidence.is_empty(), "{fault:?}: {}", done.stdout);
        for line in &done.evidence {
            let wrong: Vec<String> = validator.iter_errors(line).map(|error| format!("{} at {}", error, error.instance_path)).collect();
            assert!(wrong.is_empty(), "{fault:?}: {wrong:?} in {line}");
        }
        // The first says what was asked for, the last but reports how it ended, each with its time.
        let kinds = kinds(&done.evidence);
        assert_eq!(kinds.first(), Some(&"requested"), "{fault:?}");
        assert_eq!(kinds.iter().rfind(|kind| **kind != "report-failed"), Some(&"finished"), "{fault:?}");
        let end = done.evidence.iter().find(|line| line["event"]["kind"] == "finished").expect("the end");
        assert_eq!(end["event"]["outcome"], done.outputs["outcome"].as_str(), "{fault:?}");
        assert!(done.evidence.iter().all(|line| line["at"].as_str().is_some_and(|at| at.ends_with('Z'))), "{fault:?}");
        seen.extend(kinds.into_iter().map(str::to_owned));
    }
    for kind in [
        "requested",
        "planned",
        "step-started",
        "step-finished",
        "instance-state",
        "probe",
        "smoke",
        "retrying",
        "diagnosed",
        "report-failed",
    ] {
        assert!(seen.contains(kind), "no fault brought about a line of the kind {kind}: {seen:?}");
    }
}

#[tokio::test]
async fn it_holds_request_observation_plan_and_every_answer() {
    let world = world().await;
    let spec = RunSpec::push_develop(&world);
    run(&world, &spec).await;
    let done = run(&world, &spec.of_commit("b7c6d5e4f30291807f6e5d4c3b2a190817263544")).await;
    let of =
        |kind: &str| -> Vec<&Value> { done.evidence.iter().map(|line| &line["event"]).filter(|event| event["kind"] == kind).collect() };
    let rollout = &of("requested")[0]["rollout"];
    assert_eq!(
        (&rollout["environment"], &rollout["version"], &rollout["actor"]),
        (&"dev".into(), &"develop-b7c6d5e".into(), &"octocat".into())
    );
    let planned = of("planned")[0];
    assert!(planned["observed"].to_string().contains(r#""version":"develop-a1b2c3d""#), "{planned}");
    let steps = planned["plan"]["steps"].as_array().expect("steps").len();
    assert_eq!((of("step-started").len(), of("step-finished").len()), (steps, steps));
    let smoked: Vec<&Value> = of("smoke").iter().map(|event| &event["path"]).collect();
    assert_eq!(smoked, ["/health", "/api/invoices"]);
    assert!(of("smoke").iter().all(|event| event["result"]["status"] == 200));
}
