//! `deploy-action replay` on what releases to staging left: honest files, and one that somebody wrote anew, chain and all.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on says so")]

mod common;

use std::{fmt::Write as _, path::Path, process::Command};

use common::{binary, run, world};
use sandbox::{Fault, Load, RunSpec, Slot, Staging};
use serde_json::Value;
use sha2::{Digest, Sha256};

/// A release to staging while people use it, under `fault`; gives the text of its evidence file.
async fn evidence(fault: Option<Fault>) -> String {
    let world = world().await;
    world.seed(&Staging::live(Slot::Blue, "main-9f8e7d6").with_ttl(1)).await.expect("seeded");
    let load = world.load(&Load::of("staging"));
    load.until(|seen| seen.total.requests > 50).await;
    if let Some(fault) = fault {
        world.fault(fault).await;
    }
    let done = run(&world, &RunSpec::push_main(&world)).await;
    load.stop().await;
    std::fs::read_to_string(&done.outputs["report"]).expect("the evidence file")
}

/// What `replay` prints of a file with this text, and how it ends.
fn replayed(text: &str) -> (Option<i32>, String) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("evidence.jsonl");
    std::fs::write(&path, text).expect("written");
    replay(&path)
}

fn replay(path: &Path) -> (Option<i32>, String) {
    let output = Command::new(binary()).env_clear().arg("replay").arg(path).output().expect("the binary runs");
    (output.status.code(), format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr)))
}

/// The file with this change, and its chain made anew by the published rule: the SHA-256 of the line before, in hexadecimal.
fn forged(text: &str, change: impl Fn(usize, &mut Value)) -> String {
    let mut previous = "0".repeat(64);
    let mut forged = String::new();
    for (index, line) in text.lines().enumerate() {
        let mut line: Value = serde_json::from_str(line).expect("JSON");
        change(index, &mut line);
        line["previous"] = previous.into();
        let line = line.to_string();
        previous = Sha256::digest(line.as_bytes()).iter().fold(String::new(), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        });
        forged.push_str(&line);
        forged.push('\n');
    }
    forged
}

/// The places of the ticks in the file.
fn ticks(text: &str) -> Vec<usize> {
    let is_tick = |line: &str| line.contains(r#""kind":"tick""#);
    text.lines().enumerate().filter(|(_, line)| is_tick(line)).map(|(index, _)| index).collect()
}

#[tokio::test]
async fn every_release_says_again_what_it_said() {
    for (fault, says) in [
        (None, "every rule has passed on enough data"),
        (Some(Fault::ErrorsAfterSwitch), "% > 0 % (max), 2 of 2 in a row"),
        (Some(Fault::SlowAfterSwitch), "latency-p99"),
        (Some(Fault::MetricsDown), "not enough to go on: error-rate: source error"),
        (Some(Fault::MetricsNonsense), "not enough to go on: error-rate: source error"),
        (Some(Fault::BothUnhealthy), "error-rate"),
        (Some(Fault::NeverHealthy), "503 Service Unavailable"),
        (Some(Fault::Smoke500), "500 Internal Server Error"),
    ] {
        let text = evidence(fault).await;
        let (code, told) = replayed(&text);
        assert_eq!(code, Some(0), "{fault:?}: {told}");
        for wanted in [says, "chain intact", "outcome: "] {
            assert!(told.contains(wanted), "{fault:?}: {wanted} in {told}");
        }
        // A file that was written anew and says the same is the same evidence.
        assert_eq!(replayed(&forged(&text, |_, _| {})), (code, told), "{fault:?}");
    }
}

#[tokio::test]
async fn a_sample_that_was_made_to_look_good_is_found_out_behind_an_intact_chain() {
    let text = evidence(Some(Fault::ErrorsAfterSwitch)).await;
    let last = *ticks(&text).last().expect("ticks");
    let forgery = forged(&text, |index, line| {
        for sample in line["event"]["samples"].as_array_mut().into_iter().flatten().filter(|_| index == last) {
            if sample["metric"] == "error-rate" && sample["subject"] == "new" {
                sample["reading"]["value"] = 0.0.into();
                for span in ["window", "total"] {
                    sample["reading"]["basis"][span]["events"] = 0.into();
                }
            }
        }
    });
    let (code, told) = replayed(&forgery);
    assert_eq!(code, Some(2), "{told}");
    let line = format!("line {} says", last + 1);
    for wanted in [line.as_str(), "error-rate 0 %", "the chain is intact", "next: "] {
        assert!(told.contains(wanted), "{wanted} in {told}");
    }
}

#[tokio::test]
async fn so_are_a_judgement_an_end_and_a_tick_that_was_dropped() {
    let text = evidence(Some(Fault::ErrorsAfterSwitch)).await;
    let last = *ticks(&text).last().expect("ticks");
    let kinder = forged(&text, |index, line| {
        if index == last {
            line["event"]["judgements"][0]["verdict"] = "pass".into();
            line["event"]["judgements"][0]["trip"] = Value::Null;
        }
    });
    let done = forged(&text, |index, line| {
        if index > last && line["event"]["kind"] == "step-finished" && line["event"]["end"]["end"] == "failed" {
            line["event"]["end"] = serde_json::json!({"end": "done"});
        }
    });
    let without = text.lines().enumerate().filter(|(index, _)| *index + 1 != last).map(|(_, line)| format!("{line}\n"));
    let dropped = forged(&without.collect::<String>(), |index, line| line["seq"] = index.into());
    for (name, forgery) in [("judgement", kinder), ("end", done), ("dropped", dropped)] {
        let (code, told) = replayed(&forgery);
        assert_eq!(code, Some(2), "{name}: {told}");
        assert!(told.contains("does not follow from what it measured"), "{name}: {told}");
    }
    // Without a new chain, any of it is no evidence at all.
    let (code, told) = replayed(&text.replacen(r#""took_ms":"#, r#""took_ms":9"#, 1));
    assert_eq!((code, told.contains("this is no intact evidence file")), (Some(2), true), "{told}");
}
