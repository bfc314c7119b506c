//! The whole run: wires the parts together for each command and returns the exit status. Decides nothing itself.

mod approval;
mod canary;
mod carry_out;
mod claim;
mod news;
mod preflight;
mod prepare;
mod rehearsal;
mod resume;
mod session;
mod status;
mod terminal_commands;
mod wiring;

use std::{ffi::OsString, io::Write, time::Duration};

use carry_out::{Asked, Intent};
use session::Session;

use crate::{
    cli::{self, Command, Inputs, Parsed, Process},
    config,
    domain::ExitStatus,
    event,
    failure::{Failure, FailureKind},
    report::terminal::{self, Paint},
    request::{self, Request},
    runner::Runner,
};

/// How long reports that cross a network may take once the rollout is over: the world is safe, people wait for the message.
const REPORTS_LIMIT: Duration = Duration::from_secs(15);

/// The same for a run that was told to stop: it is killed 10 s after the signal (GitHub documentation, quoted in
/// actions/runner#1309), and what it says of itself by then counts for more than a message.
const CANCELLED_REPORTS_LIMIT: Duration = Duration::from_secs(4);

/// The largest event file that is read: GitHub cuts payloads at 25 MB (GitHub Docs, webhook payload limits).
const EVENT_BYTES: u64 = 25 * 1024 * 1024;

/// Runs `args` (with the program's name) in the environment `env`; gives the process's exit status.
pub async fn run(args: Vec<OsString>, env: &dyn Fn(&str) -> Option<String>) -> ExitStatus {
    let runner = Runner::from_environment(env);
    let inputs = match cli::parse(args, env) {
        Ok(Parsed::Run(inputs)) => *inputs,
        Ok(Parsed::Print(text)) => {
            anstream::print!("{text}");
            return ExitStatus::Success;
        }
        Err(failure) => {
            let paint = session::paint(cli::Color::Auto, &runner, env);
            // What was given cannot be masked before it is read; no message about an input repeats a secret's value.
            let masks = crate::domain::Masks::default();
            terminal::print_failure(Box::new(std::io::stderr()), paint, runner.place, &masks, &failure);
            session::refused_before_a_rollout(&runner, &masks, &failure);
            return failure.exit_status();
        }
    };
    // Before anything else is printed: from here on the runner masks every secret itself, too.
    let _ = std::io::stdout().write_all(runner.mask_commands(&inputs.masks).as_bytes());
    let paint = session::paint(inputs.color, &runner, env);
    match dispatch(inputs.clone(), runner.clone(), paint).await {
        Ok(exit) => exit,
        Err(failure) => {
            terminal::print_failure(Box::new(std::io::stdout()), paint, runner.place, &inputs.masks, &failure);
            session::refused_before_a_rollout(&runner, &inputs.masks, &failure);
            failure.exit_status()
        }
    }
}

async fn dispatch(inputs: Inputs, runner: Runner, paint: Paint) -> Result<ExitStatus, Failure> {
    match inputs.command {
        Command::Schema => return Ok(terminal_commands::schema(&inputs)),
        Command::Completions => return Ok(terminal_commands::completions(&inputs)),
        Command::Replay => return terminal_commands::replay(&inputs),
        Command::Report => return terminal_commands::report(&inputs),
        Command::Validate => return terminal_commands::validate(&inputs),
        Command::Resume if inputs.process == Process::Post && (runner.saved("outcome").is_some() || runner.saved("rollout").is_none()) => {
            println!("nothing to finish: the step's main process ended by itself, or had begun nothing");
            return Ok(ExitStatus::Success);
        }
        Command::Auto
        | Command::Deploy
        | Command::Rollback
        | Command::Promote
        | Command::ReadyForProd
        | Command::Approve
        | Command::Preflight
        | Command::Plan
        | Command::Status
        | Command::Diagnose
        | Command::Resume => {}
    }
    let config = config::load(&inputs.config)?;
    let event = read_event(&runner)?;
    let request = request::derive(event.as_ref(), &runner.context, &inputs, &config)?;
    let session = Session::new(inputs, runner, paint)?;
    let (asked, intent) = match request {
        Request::Deploy(wanted) => (Asked::Deploy(wanted), Intent::CarryOut),
        Request::Plan(wanted) => (Asked::Deploy(wanted), Intent::Show),
        Request::Preflight(wanted) => (Asked::Deploy(wanted), Intent::Check),
        Request::Rollback(decision) => (Asked::RollBack(decision), Intent::CarryOut),
        Request::PlanRollback(decision) => (Asked::RollBack(decision), Intent::Show),
        Request::Promote(decision) => (Asked::Promote(decision), Intent::CarryOut),
        Request::PlanPromote(decision) => (Asked::Promote(decision), Intent::Show),
        Request::Status(environment) => return status::status(&session, &config, environment.as_ref()).await,
        Request::ReadyForProd(asked) => return approval::ready(&session, &config, &asked).await,
        Request::Review(asked) => return approval::review(&session, &config, &asked).await,
        Request::Resume => return resume::resume(&session, &config).await,
        Request::Nothing { reason } => {
            println!("nothing to do: {reason}");
            return Ok(ExitStatus::Success);
        }
    };
    let id = session.rollout_id(asked.environment())?;
    Ok(carry_out::carry_out(&session, &config, &asked, &id, intent).await?.exit)
}

/// The event that GitHub started this run for, where it did.
fn read_event(runner: &Runner) -> Result<Option<event::GithubEvent>, Failure> {
    let Some((name, path)) = &runner.event else { return Ok(None) };
    let unreadable = |why: String| {
        Failure::new(FailureKind::Request, format!("GitHub's event file cannot be read: {why}"), path.display().to_string())
            .meaning("nothing was touched")
            .next("GitHub writes this file: look whether a step before this one removed it")
    };
    let size = std::fs::metadata(path).map_err(|error| unreadable(error.to_string()))?.len();
    if size > EVENT_BYTES {
        return Err(unreadable(format!("it has {size} bytes")));
    }
    let payload = std::fs::read(path).map_err(|error| unreadable(error.to_string()))?;
    event::parse(name, &payload).map(Some)
}
