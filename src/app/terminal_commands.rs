//! Commands for people at a terminal that reach for nothing outside: schema, completions, validate, replay.

use std::path::PathBuf;

use crate::{
    cli::{self, Inputs},
    config,
    domain::ExitStatus,
    failure::{Failure, FailureKind},
    report::{evidence, replay},
    runner::log_safe,
};

pub(super) fn schema(inputs: &Inputs) -> ExitStatus {
    let schema = if inputs.words.first().is_some_and(|word| word == "evidence") { evidence::schema() } else { config::schema() };
    println!("{}", serde_json::to_string_pretty(&schema).unwrap_or_default());
    ExitStatus::Success
}

pub(super) fn completions(inputs: &Inputs) -> ExitStatus {
    let shell = inputs.words.first().and_then(|word| word.parse::<clap_complete::Shell>().ok());
    if let Some(shell) = shell {
        clap_complete::generate(shell, &mut cli::command_line(), "deploy-action", &mut std::io::stdout());
    }
    ExitStatus::Success
}

pub(super) fn validate(inputs: &Inputs) -> Result<ExitStatus, Failure> {
    let config = config::load(&inputs.config)?;
    println!("{} is right: {} ({})", inputs.config.display(), config.application, config.image);
    for environment in config.environments.values() {
        let when = match (&environment.when.branch, &environment.when.tag) {
            (Some(branch), Some(tag)) => format!("branch {branch} or tag {tag}"),
            (Some(branch), None) => format!("branch {branch}"),
            (None, Some(tag)) => format!("tag {tag}"),
            (None, None) => "no push".into(),
        };
        println!("  {}: {} into {}, by {when}", environment.name, environment.strategy.as_str(), environment.resource_group);
    }
    Ok(ExitStatus::Success)
}

/// Checks the chain of an evidence file, derives its verdicts again from the recorded answers and samples, and shows them.
pub(super) fn replay(inputs: &Inputs) -> Result<ExitStatus, Failure> {
    let path = PathBuf::from(inputs.words.first().cloned().unwrap_or_default());
    let not_evidence = |what: String, meaning: &str| {
        Failure::new(FailureKind::Request, what, path.display().to_string())
            .meaning(meaning)
            .next("take the file from the run's artifacts again")
    };
    let lines = evidence::read(&path)
        .map_err(|error| not_evidence(format!("this is no intact evidence file: {error}"), "nothing that it says can be relied on"))?;
    let replayed = replay::replay(&lines).map_err(|difference| {
        let meaning = "the chain is intact, and what the file says does not follow from what it measured: somebody wrote it anew";
        not_evidence(log_safe(&difference.to_string()), meaning)
            .next("where another version of deploy-action wrote it, replay it with that one: rules may be judged differently since")
    })?;
    for (at, text) in &replayed.told {
        println!("{at}  {}", log_safe(text));
    }
    println!("{} lines, chain intact, {} verdicts derived again: {}", lines.len(), replayed.verdicts, log_safe(&replayed.headline));
    Ok(ExitStatus::Success)
}
