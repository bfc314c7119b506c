//! The evidence file: every event as a line of JSON, each line carrying the hash of the one before, so that a line that was
//! changed, dropped or put in shows. Written as the run goes: a killed run leaves what it had.

use std::{
    fs::File,
    io::{BufRead, BufReader, Write},
    path::Path,
};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::execute::Event;

/// The format's version: it changes when the meaning of a line does.
const FORMAT: u32 = 1;

/// One line of the file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Line {
    /// The format's version: 1.
    pub format: u32,
    /// Its place in the file, from 0.
    pub seq: u64,
    /// SHA-256 of the line before, as written, without its line break, in hexadecimal; 64 zeros for the first.
    pub previous: String,
    /// When, by the runner's clock (RFC 3339).
    #[schemars(with = "String")]
    pub at: jiff::Timestamp,
    /// What happened.
    pub event: crate::execute::Happening,
}

/// The JSON Schema of a line.
#[must_use]
pub fn schema() -> serde_json::Value {
    let mut schema = schemars::schema_for!(Line).to_value();
    if let Some(fields) = schema.as_object_mut() {
        fields.insert("title".into(), "A line of deploy-action's evidence file".into());
    }
    schema
}

/// Writes the file.
pub(super) struct Writer {
    file: File,
    seq: u64,
    previous: String,
}

impl Writer {
    /// Begins the file at `path`, replacing one that is there.
    pub(super) fn create(path: &Path) -> std::io::Result<Self> {
        Ok(Self { file: File::create(path)?, seq: 0, previous: "0".repeat(64) })
    }

    /// Appends `event`.
    pub(super) fn write(&mut self, event: &Event) -> std::io::Result<()> {
        let line = Line { format: FORMAT, seq: self.seq, previous: self.previous.clone(), at: event.at, event: event.event.clone() };
        let mut text = serde_json::to_string(&line)?;
        self.previous = hash(text.as_bytes());
        self.seq += 1;
        text.push('\n');
        self.file.write_all(text.as_bytes())?;
        self.file.flush()
    }
}

fn hash(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Why a file is not the evidence it claims to be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EvidenceError {
    /// It cannot be read.
    #[error("it cannot be read: {0}")]
    Unreadable(String),
    /// A line is no line of evidence.
    #[error("line {0} is no evidence: {1}")]
    Malformed(u64, String),
    /// A line does not follow from the one before.
    #[error("line {0} does not follow from the line before: something was changed, dropped or put in")]
    Broken(u64),
}

/// Reads the file at `path` and checks its chain. That the last lines are missing cannot be told from the file alone.
///
/// # Errors
/// See [`EvidenceError`].
pub fn read(path: &Path) -> Result<Vec<Line>, EvidenceError> {
    let file = File::open(path).map_err(|error| EvidenceError::Unreadable(error.to_string()))?;
    verify(BufReader::new(file))
}

/// Checks the chain of `lines`.
///
/// # Errors
/// See [`EvidenceError`].
pub fn verify(lines: impl BufRead) -> Result<Vec<Line>, EvidenceError> {
    let mut previous = "0".repeat(64);
    let mut read = Vec::new();
    for (seq, text) in (0..).zip(lines.lines()) {
        let text = text.map_err(|error| EvidenceError::Unreadable(error.to_string()))?;
        let line: Line = serde_json::from_str(&text).map_err(|error| EvidenceError::Malformed(seq + 1, error.to_string()))?;
        if line.format != FORMAT {
            return Err(EvidenceError::Malformed(seq + 1, format!("format {} is not {FORMAT}", line.format)));
        }
        if line.seq != seq || line.previous != previous {
            return Err(EvidenceError::Broken(seq + 1));
        }
        previous = hash(text.as_bytes());
        read.push(line);
    }
    Ok(read)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::execute::Happening;

    fn written(count: usize) -> String {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("evidence.jsonl");
        let mut writer = Writer::create(&path).expect("created");
        for index in 0..count {
            let event = Event { at: jiff::Timestamp::UNIX_EPOCH, event: Happening::Warned { text: format!("event {index}") } };
            writer.write(&event).expect("written");
        }
        std::fs::read_to_string(&path).expect("read")
    }

    #[test]
    fn what_is_written_verifies() {
        assert_eq!(verify(written(5).as_bytes()).map(|lines| lines.len()), Ok(5));
        assert_eq!(verify(&b""[..]), Ok(Vec::new()));
    }

    proptest! {
        #[test]
        fn any_change_but_at_the_end_shows(line in 0usize..4, place in any::<prop::sample::Index>(), with in "[a-z0-9]") {
            let text = written(5);
            let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
            let at = place.index(lines[line].len());
            let before = lines[line].clone();
            lines[line].replace_range(at..=at, &with);
            prop_assume!(lines[line] != before);
            prop_assert!(verify((lines.join("\n") + "\n").as_bytes()).is_err());
        }

        #[test]
        fn a_dropped_or_swapped_line_shows(line in 0usize..4) {
            let text = written(5);
            let mut lines: Vec<&str> = text.lines().collect();
            lines.swap(line, line + 1);
            prop_assert_eq!(verify(lines.join("\n").as_bytes()), Err(EvidenceError::Broken(line as u64 + 1)));
            lines.swap(line, line + 1);
            lines.remove(line);
            prop_assert_eq!(verify(lines.join("\n").as_bytes()), Err(EvidenceError::Broken(line as u64 + 1)));
        }
    }
}
