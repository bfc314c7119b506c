//! `cargo sandbox approve`: the runbook's approval flow, from `/ready-for-prod` on a merged pull request to the release's tag, as
//! people comment; on the terminal, and the comments as GitHub shows them.

use std::{fs, io, path::PathBuf, process::ExitCode};

use clap::Args;
use sandbox::{
    Clocks, Merged, Preflight, RunSpec, Staging, World,
    runner::{self, Echo},
};

use super::common::{self, Common};

/// What it takes.
#[derive(Args)]
pub(crate) struct Approve {
    #[command(flatten)]
    common: Common,
    /// Nobody approves in time: it is reminded of, escalated, and lapses
    #[arg(long)]
    late: bool,
    /// The token is a GitHub App's, whose tag starts production by itself
    #[arg(long)]
    app_token: bool,
}

/// The merged pull request.
const PULL: u64 = 7;

/// A step of the play.
enum Scene {
    /// Somebody comments on the pull request.
    OnThePull(&'static str, &'static str),
    /// Somebody comments on the release issue.
    OnTheIssue(&'static str, &'static str),
    /// Hours pass, and the clock strikes.
    Hours(i64),
}

use Scene::{Hours, OnTheIssue, OnThePull};

/// What goes well: strangers get nowhere, each role is filled by its person.
const IN_TIME: [Scene; 6] = [
    OnThePull("mallory", "/ready-for-prod"),
    OnThePull("paula", "/ready-for-prod"),
    OnTheIssue("rita", "/approve release-manager"),
    OnTheIssue("tom", "/reject tech-lead the pool is too small for 10,000 req/s"),
    OnTheIssue("olga", "/approve"),
    OnTheIssue("tom", "/approve tech-lead"),
];

/// What happens where nobody has time.
const LATE: [Scene; 7] = [
    OnThePull("paula", "/ready-for-prod"),
    OnTheIssue("rita", "/approve"),
    Hours(18),
    OnTheIssue("tom", "/approve"),
    Hours(4),
    Hours(2),
    OnThePull("paula", "/ready-for-prod"),
];

pub(crate) async fn carry_out(approve: &Approve) -> io::Result<ExitCode> {
    let common = &approve.common;
    let binary = common::binary(common)?;
    let world = common::world(common).await?;
    let staged = prepare(&world, approve).await?;
    common::switch_faults(&world, common).await;
    println!("main-a1b2c3d is stable on staging; pull request #{PULL} by paula was merged as {}.\n", staged.get(..7).unwrap_or_default());
    let folder = common::folder("approve")?;
    let scenes: &[Scene] = if approve.late { &LATE } else { &IN_TIME };
    for (number, scene) in scenes.iter().enumerate() {
        let (spec, on) = match scene {
            OnThePull(by, body) => (said(&world, PULL, by, body), PULL),
            OnTheIssue(by, body) => {
                let Some((issue, _)) = world.issues().pop() else { return Err(io::Error::other("there is no release issue")) };
                (said(&world, issue, by, body), issue)
            }
            Hours(hours) => {
                world.pass_minutes(hours * 60);
                println!("── {hours} hours later, the schedule ──");
                (RunSpec::schedule(&world), world.issues().pop().map_or(PULL, |(issue, _)| issue))
            }
        };
        let before = world.said_on(on).len();
        let config = world.config(&Clocks { preflight: Preflight::On, ..Clocks::quick() });
        let spec = RunSpec { config, ..spec }.in_run(100 + number as u64);
        let step = folder.join(format!("step-{}", number + 1));
        fs::create_dir_all(&step)?;
        runner::spawn_in(&world, &binary, &spec, &step)?.finish(Echo::On).await?;
        for (by, body) in world.said_on(on).into_iter().skip(before) {
            print(&format!("{by} on #{on}"), &body);
        }
        println!();
    }
    end(&world, &folder, approve)
}

async fn prepare(world: &World, approve: &Approve) -> io::Result<String> {
    let staged = world.head();
    world.seed(&Staging::proved(26)).await?;
    world.github_is_ready(&staged);
    if let Some(before) = world.first_commit() {
        world.tag_commit("v0.9.5", &before);
    }
    world.pull_request(PULL, "paula", &staged, Merged::Yes);
    for person in ["paula", "rita", "tom", "olga", "vp-engineering"] {
        world.let_in(person, "write");
    }
    if approve.app_token {
        world.token_of("nextgen-release[bot]");
    }
    Ok(staged)
}

/// Somebody comments; gives the event that this is.
fn said(world: &World, on: u64, by: &str, body: &str) -> RunSpec {
    println!("── {by} comments on #{on}: {body}");
    let id = world.comment(on, by, body);
    RunSpec::comment(world, "created", id)
}

fn print(title: &str, markdown: &str) {
    anstream::println!("  ┌ {title}");
    for line in markdown.lines().filter(|line| !line.starts_with("<!--")) {
        anstream::println!("  │ {line}");
    }
}

/// What there is in the end, and whether it should be.
fn end(world: &World, folder: &std::path::Path, approve: &Approve) -> io::Result<ExitCode> {
    let (issue, title) = world.issues().pop().unwrap_or_default();
    let text = world.issue_text(issue);
    print(&format!("issue #{issue}: {title}"), &text);
    let mut files: Vec<(PathBuf, String)> = vec![(folder.join("issue.md"), text.clone())];
    for (name, on) in [("pull-request-comments.md", PULL), ("issue-comments.md", issue)] {
        let said: Vec<String> = world.said_on(on).into_iter().map(|(by, body)| format!("**{by}**\n\n{body}\n\n---\n")).collect();
        files.push((folder.join(name), said.join("\n")));
    }
    println!();
    for (path, text) in files {
        fs::write(&path, text)?;
        println!("as GitHub shows it: {}", path.display());
    }
    for (channel, message) in world.slack_channels() {
        anstream::println!("\nSlack, {channel}:");
        for line in sandbox::message_view::lines(&message) {
            anstream::println!("  {line}");
        }
    }
    let tag = world.git_refs().keys().any(|name| name == "refs/tags/v0.10.0");
    let started = world.dispatches();
    println!("\ntag v0.10.0: {}", if tag { "there" } else { "not there" });
    for dispatch in &started {
        println!("started: {} on {} with {}", dispatch["workflow"], dispatch["ref"], dispatch["inputs"]);
    }
    let is_right = if approve.late { !tag && text.contains("⏳ waits") } else { tag && started.is_empty() == approve.app_token };
    Ok(if is_right { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
