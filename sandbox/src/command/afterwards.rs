//! What is shown once a run has ended: what people see elsewhere, and where the files are.

use std::process::ExitCode;

use sandbox::{Fault, Finished, RunSpec, Seen, World, load::Tally, message_view};
use serde_json::Value;

/// What people see elsewhere, and where the files are.
pub(crate) fn show(world: &World, finished: &Finished) {
    for (channel, message) in world.slack_channels() {
        let place = match (message["thread_ts"].is_string(), message["reply_broadcast"] == true) {
            (false, _) => "",
            (true, false) => ", in its thread",
            (true, true) => ", in its thread and the channel",
        };
        anstream::println!("\nSlack, {channel}{place}:");
        for line in message_view::lines(&message) {
            anstream::println!("  {line}");
        }
    }
    for incident in world.pagerduty_incidents() {
        println!("\nPagerDuty, {}, {:?}: {}", incident.severity, incident.state, incident.summary);
    }
    for incident in world.status_page_incidents() {
        let text = |name: &str| incident[name].as_str().unwrap_or_default();
        println!("\nStatus page, {} ({}): {}", text("name"), text("impact"), told_in_order(&incident).join(" → "));
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

/// What an incident of the status page went through.
fn told_in_order(incident: &Value) -> Vec<String> {
    let updates = incident["incident_updates"].as_array().into_iter().flatten().rev();
    updates.filter_map(|update| Some(update["status"].as_str()?.replace('_', " "))).collect()
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

/// The statuses of the commit that was deployed.
pub(crate) fn show_statuses(world: &World, spec: &RunSpec) {
    for status in world.commit_statuses(spec.commit()) {
        let text = |name: &str| status[name].as_str().unwrap_or_default().to_owned();
        println!("commit status: {} {} - {}", text("context"), text("state"), text("description"));
    }
}

/// What became of people's requests.
pub(crate) fn show_people(seen: &Seen) {
    println!("\nWhat people saw: {}, the slowest answer took {:.1} ms", told(seen.total), seen.slowest.as_secs_f64() * 1000.0);
    for (version, tally) in &seen.versions {
        println!("  version {version}: {}", told(*tally));
    }
    for (instance, tally) in &seen.instances {
        println!("  sent to {instance}: {}", told(*tally));
    }
    for failure in &seen.failed {
        println!("  failed: {failure}");
    }
}

fn told(tally: Tally) -> String {
    format!("{} requests, {} failed", tally.requests, tally.failures)
}

/// Whether it ended as it should have: deployed unless a fault forbids it, and nobody's request failed but by the fault itself.
pub(crate) fn judge(faults: &[Fault], code: Option<i32>, people: Tally) -> Result<(), String> {
    let survivable = faults.iter().all(|fault| fault.is_survivable());
    if survivable != (code == Some(0)) {
        return Err("that is not how it should have ended".into());
    }
    if people.failures > 0 && !faults.iter().any(|fault| fault.reaches_people()) {
        return Err("no request of people should have failed".into());
    }
    Ok(())
}
