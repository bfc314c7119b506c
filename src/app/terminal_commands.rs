//! Commands for people at a terminal that reach for nothing outside: schema, completions, validate, replay, report.

use std::path::{Path, PathBuf};

use crate::{
    cli::{self, Inputs},
    config,
    domain::ExitStatus,
    execute::Event,
    failure::{Failure, FailureKind},
    report::{evidence, html, replay, story::Story},
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

/// Makes the HTML page of a release from its evidence file, beside it. Checks the file's chain; its verdicts are not derived again.
pub(super) fn report(inputs: &Inputs) -> Result<ExitStatus, Failure> {
    let path = PathBuf::from(inputs.words.first().cloned().unwrap_or_default());
    let lines = intact(&path)?;
    let mut story = Story::default();
    for line in lines {
        story.hear(&Event { at: line.at, event: line.event });
    }
    let page = path.with_extension(html::EXTENSION);
    std::fs::write(&page, inputs.masks.scrub(&html::render(&story))).map_err(|error| {
        Failure::new(FailureKind::Request, format!("the page cannot be written: {error}"), page.display().to_string())
            .meaning("nothing else was touched")
            .next("copy the evidence file to a folder that can be written to, and make the page there")
    })?;
    println!("{}: {}", page.display(), log_safe(&crate::report::story::headline(&story)));
    Ok(ExitStatus::Success)
}

/// The lines of an evidence file whose chain is intact.
fn intact(path: &Path) -> Result<Vec<evidence::Line>, Failure> {
    evidence::read(path).map_err(|error| {
        Failure::new(FailureKind::Request, format!("this is no intact evidence file: {error}"), path.display().to_string())
            .meaning("nothing that it says can be relied on")
            .next("take the file from the run's artifacts again")
    })
}

/// Checks the chain of an evidence file, derives its verdicts again from the recorded answers and samples, and shows them.
pub(super) fn replay(inputs: &Inputs) -> Result<ExitStatus, Failure> {
    let path = PathBuf::from(inputs.words.first().cloned().unwrap_or_default());
    let lines = intact(&path)?;
    let replayed = replay::replay(&lines).map_err(|difference| {
        let meaning = "the chain is intact, and what the file says does not follow from what it measured: somebody wrote it anew";
        Failure::new(FailureKind::Request, log_safe(&difference.to_string()), path.display().to_string())
            .meaning(meaning)
            .next("take the file from the run's artifacts again")
            .next("where another version of deploy-action wrote it, replay it with that one: rules may be judged differently since")
    })?;
    for (at, text) in &replayed.told {
        println!("{at}  {}", log_safe(text));
    }
    println!("{} lines, chain intact, {} verdicts derived again: {}", lines.len(), replayed.verdicts, log_safe(&replayed.headline));
    Ok(ExitStatus::Success)
}
