//! What is shown once a run has ended: what people see elsewhere, and where the files are.

use std::process::ExitCode;

use sandbox::{Finished, World, message_view};
use serde_json::Value;

/// What people see elsewhere, and where the files are.
pub(crate) fn show(world: &World, finished: &Finished) {
    for message in world.slack_messages() {
        anstream::println!("\nSlack, {}:", message.get("channel").and_then(Value::as_str).map_or("#nextgen-devops", |_| "#nextgen-devops"));
        for line in message_view::lines(&message) {
            anstream::println!("  {line}");
        }
    }
    for (deployment, states) in world.deployments() {
        let environment = deployment["environment"].as_str().unwrap_or_default();
        println!("\nGitHub deployment {} of {environment}: {}", deployment["id"], states.join(" → "));
    }
    println!("\noutputs:");
    for (name, value) in &finished.outputs {
        println!("  {name}: {value}");
    }
    println!("\njob summary:   {}", finished.folder.join("summary").display());
    println!("evidence file: {}", finished.outputs.get("report").map_or("none", String::as_str));
    println!("exit status:   {}", finished.code.unwrap_or(-1));
}

/// The sandbox's own exit status: whether it ended as it should have.
pub(crate) fn verdict(ended: Result<(), String>) -> ExitCode {
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            println!("{why}");
            ExitCode::FAILURE
        }
    }
}
