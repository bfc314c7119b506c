//! What is wrong with a `deploy.yml`, where, and what would be right. Plain data and its text.

use std::fmt;

use super::tree::Place;
use crate::failure::{Failure, FailureKind};

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    place: Place,
    message: String,
}

impl Problem {
    pub(super) fn at(place: Place, message: impl Into<String>) -> Self {
        Self { place, message: message.into() }
    }

    /// The line, from 1; 0 when it concerns the whole file.
    #[must_use]
    pub const fn line(&self) -> usize {
        self.place.line
    }

    /// The column, from 1.
    #[must_use]
    pub const fn column(&self) -> usize {
        self.place.column
    }

    /// What is wrong and what would be right: one sentence, no full stop.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }
}

/// Everything that is wrong with a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    file: String,
    /// In the order of the file; at least one.
    problems: Vec<Problem>,
    /// The lines that they stand on.
    excerpts: Vec<String>,
}

impl ConfigError {
    pub(super) fn new(file: &str, text: &str, mut problems: Vec<Problem>) -> Self {
        problems.sort_by_key(|problem| problem.place);
        problems.dedup();
        let line = |problem: &Problem| text.lines().nth(problem.place.line.wrapping_sub(1)).unwrap_or_default();
        let excerpts = problems.iter().map(|problem| excerpt(line(problem), problem.place)).collect();
        Self { file: file.to_owned(), problems, excerpts }
    }

    /// What is wrong, in the order of the file.
    #[must_use]
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// The file.
    #[must_use]
    pub fn file(&self) -> &str {
        &self.file
    }
}

/// The line and a caret under the place.
fn excerpt(line: &str, place: Place) -> String {
    if place.line == 0 {
        return String::new();
    }
    let shown: String = line.chars().take(120).map(|c| if c.is_control() { ' ' } else { c }).collect();
    let gutter = place.line.to_string();
    let caret = " ".repeat(place.column.saturating_sub(1).min(120));
    format!("\n  {gutter} | {shown}\n  {} | {caret}^", " ".repeat(gutter.len()))
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (problem, excerpt)) in self.problems.iter().zip(&self.excerpts).enumerate() {
            let separator = if index == 0 { "" } else { "\n" };
            match problem.place.line {
                0 => write!(f, "{separator}{}: {}", self.file, problem.message)?,
                line => write!(f, "{separator}{}:{line}:{}: {}{excerpt}", self.file, problem.place.column, problem.message)?,
            }
        }
        Ok(())
    }
}

impl std::error::Error for ConfigError {}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        let count = error.problems.len();
        let what =
            if count == 1 { "the configuration is wrong".to_owned() } else { format!("the configuration is wrong in {count} places") };
        Self::new(FailureKind::Configuration, format!("{what}:\n{error}"), error.file.clone())
            .meaning("nothing was touched")
            .next(format!("correct it and check it at a terminal: deploy-action validate --config {}", error.file))
    }
}
