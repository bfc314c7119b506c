//! Commands for people at a terminal that reach for nothing outside: schema, completions, validate, replay.

use std::path::PathBuf;

use crate::{
    cli::{self, Inputs},
    config,
    domain::ExitStatus,
    execute::Happening,
    failure::{Failure, FailureKind},
    report::{
        evidence,
        story::{self, Story},
    },
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

/// Checks the chain of an evidence file and derives its verdicts again from the recorded answers.
pub(super) fn replay(inputs: &Inputs) -> Result<ExitStatus, Failure> {
    let path = PathBuf::from(inputs.words.first().cloned().unwrap_or_default());
    let lines = evidence::read(&path).map_err(|error| {
        Failure::new(FailureKind::Request, format!("this is no intact evidence file: {error}"), path.display().to_string())
            .meaning("nothing that it says can be relied on")
            .next("take the file from the run's artifacts again")
    })?;
    let mut told = Story::default();
    for line in &lines {
        told.hear(&crate::execute::Event { at: line.at, event: line.event.clone() });
        let verdict = match &line.event {
            Happening::Probe { url, result, .. } | Happening::Smoke { url, result, .. } => {
                let verdict = if result.is_good() { "pass" } else { "breach" };
                format!("{verdict}: GET {url}: {}", story::answer(result))
            }
            Happening::Finished { outcome, .. } => format!("outcome: {outcome}"),
            _ => continue,
        };
        println!("{}  {}", line.at, log_safe(&verdict));
    }
    println!("{} lines, chain intact: {}", lines.len(), story::headline(&told));
    Ok(ExitStatus::Success)
}
