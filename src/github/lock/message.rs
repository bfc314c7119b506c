//! What a lock's commit says, as JSON (version 1): who has the lock, or that it is free. Pure.
//! What cannot be read counts as locked; that is decided elsewhere.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{
    domain::{EnvironmentName, RolloutId},
    github::runs::RunId,
};

/// The version of what is written here; another is not read.
const VERSION: u64 = 1;

/// Characters of a text that are kept of what others wrote.
const SHOWN: usize = 200;

/// Whether a claim may take the lock from a run that is underway.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Takeover {
    /// It may not: a deployment waits its turn.
    Never,
    /// It may: a rollback that a person asks for goes before a deployment, but not before another rollback.
    Deliberate,
}

/// Who has a lock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct LockInfo {
    /// The environment.
    pub environment: EnvironmentName,
    /// The rollout.
    pub rollout: RolloutId,
    /// The workflow run; `None` at a terminal.
    pub run: Option<RunId>,
    /// The run's attempt, from 1.
    pub attempt: u32,
    /// Which of the run's jobs, e.g. `GITHUB_JOB`: two jobs of one run exclude each other too. What the job's later steps and
    /// processes say here must be the same.
    pub holder: String,
    /// Link to the run.
    pub url: Option<String>,
    /// Who started it.
    pub actor: Option<String>,
    /// What it does: `deploy`, `rollback`, …
    pub command: String,
    /// How it got, or may get, the lock.
    pub takeover: Takeover,
    /// When it took the lock.
    pub taken_at: Timestamp,
}

/// What a run wants to write there: itself, at this moment.
pub type Claim = LockInfo;

/// What a lock's commit says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Content {
    /// Somebody has the lock.
    Held(Box<LockInfo>),
    /// Nobody has.
    Free,
    /// It is no message of ours, or one of a later version.
    Unreadable,
}

impl LockInfo {
    /// Who it is, for people: `deploy by octocat since 2026-11-24 12:00:00 UTC, https://github.com/…`.
    #[must_use]
    pub fn words(&self) -> String {
        let Self { command, actor, taken_at, url, rollout, .. } = self;
        let actor = actor.as_ref().map_or_else(String::new, |actor| format!(" by {actor}"));
        let where_ = url.clone().unwrap_or_else(|| format!("rollout {rollout}"));
        format!("{command}{actor} since {}, {where_}", taken_at.strftime("%Y-%m-%d %H:%M:%S UTC"))
    }

    /// The message of a commit by which this claim has the lock.
    pub(super) fn message(&self) -> String {
        let mut message = json!({"version": VERSION, "state": "held"});
        if let (Value::Object(whole), Ok(Value::Object(own))) = (&mut message, serde_json::to_value(self)) {
            whole.extend(own);
        }
        message.to_string()
    }

    /// The message of a commit by which it gives the lock back.
    pub(super) fn released(environment: &EnvironmentName) -> String {
        json!({"version": VERSION, "state": "free", "environment": environment}).to_string()
    }

    /// Whether `other`, found in the lock, is this claim's own: of the same run, from an earlier attempt (which is over when a
    /// later one runs) or from the same job of this one. At a terminal it is the rollout that says so.
    pub(super) fn owns(&self, other: &Self) -> bool {
        match (self.run, other.run) {
            (Some(mine), Some(theirs)) => {
                mine == theirs && (other.attempt < self.attempt || (other.attempt == self.attempt && other.holder == self.holder))
            }
            (None, None) => self.rollout == other.rollout && self.holder == other.holder,
            (Some(_), None) | (None, Some(_)) => false,
        }
    }
}

/// Reads the message of a commit on the lock's branch of `environment`.
pub(super) fn read(message: &str, environment: &EnvironmentName) -> Content {
    let Ok(value) = serde_json::from_str::<Value>(message) else { return Content::Unreadable };
    if value.get("version").and_then(Value::as_u64) != Some(VERSION) {
        return Content::Unreadable;
    }
    match value.get("state").and_then(Value::as_str) {
        Some("free") => Content::Free,
        Some("held") => match LockInfo::deserialize(value) {
            Ok(info) if info.environment == *environment => Content::Held(Box::new(printable(info))),
            Ok(_) | Err(_) => Content::Unreadable,
        },
        Some(_) | None => Content::Unreadable,
    }
}

/// Whoever may push may write what they like there, and it is shown to people.
fn printable(info: LockInfo) -> LockInfo {
    let clean = |text: String| -> String { text.chars().filter(|c| !c.is_control()).take(SHOWN).collect() };
    LockInfo {
        url: info.url.map(clean).filter(|url| url.starts_with("https://")),
        actor: info.actor.map(clean),
        command: clean(info.command),
        ..info
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A claim of the attempt of a run.
    pub(in crate::github::lock) fn claim(run: u64, attempt: u32, takeover: Takeover) -> Claim {
        LockInfo {
            environment: "staging".parse().expect("a name"),
            rollout: format!("staging-{run}-{attempt}").parse().expect("an id"),
            run: Some(RunId(run)),
            attempt,
            holder: "deploy".into(),
            url: Some(format!("https://github.com/o/r/actions/runs/{run}")),
            actor: Some("octocat".into()),
            command: "deploy".into(),
            takeover,
            taken_at: "2026-11-24T12:00:00Z".parse().expect("a time"),
        }
    }

    fn staging() -> EnvironmentName {
        "staging".parse().expect("a name")
    }

    #[test]
    fn what_is_written_is_read_back() {
        let info = claim(7, 2, Takeover::Deliberate);
        assert_eq!(read(&info.message(), &staging()), Content::Held(Box::new(info.clone())));
        assert_eq!(
            info.message(),
            r#"{"version":1,"state":"held","environment":"staging","rollout":"staging-7-2","run":7,"attempt":2,"holder":"deploy","url":"https://github.com/o/r/actions/runs/7","actor":"octocat","command":"deploy","takeover":"deliberate","taken-at":"2026-11-24T12:00:00Z"}"#
        );
        assert_eq!(read(&LockInfo::released(&staging()), &staging()), Content::Free);
    }

    #[test]
    fn what_is_no_message_of_this_version_and_environment_is_unreadable() {
        let info = claim(7, 1, Takeover::Never);
        let prod: EnvironmentName = "prod".parse().expect("a name");
        assert_eq!(read(&info.message(), &prod), Content::Unreadable);
        let later = info.message().replace(r#""version":1"#, r#""version":2"#);
        let nobody = r#"{"version":1,"state":"held"}"#;
        for text in ["", "Freeze for the holidays", "{}", "[]", r#"{"version":1,"state":"else"}"#, nobody, &later] {
            assert_eq!(read(text, &staging()), Content::Unreadable, "{text}");
        }
    }

    #[test]
    fn texts_of_others_are_made_harmless() {
        let mut info = claim(7, 1, Takeover::Never);
        info.actor = Some("a\n::error::b\u{1b}[31m".into());
        info.url = Some("javascript:alert(1)".into());
        let Content::Held(read) = read(&info.message(), &staging()) else { panic!("it is held") };
        assert_eq!((read.actor.as_deref(), read.url), (Some("a::error::b[31m"), None));
    }

    #[test]
    fn a_lock_belongs_to_a_run_and_in_it_to_a_job() {
        let mine = claim(7, 2, Takeover::Never);
        let with = |change: fn(&mut LockInfo)| {
            let mut other = mine.clone();
            change(&mut other);
            mine.owns(&other)
        };
        assert!(with(|_| {}));
        assert!(with(|other| other.attempt = 1), "an earlier attempt is over");
        assert!(with(|other| other.actor = Some("somebody".into())), "whoever started it");
        assert!(!with(|other| other.attempt = 3), "a later attempt is not ours to take on");
        assert!(!with(|other| other.holder = "another-job".into()));
        assert!(!with(|other| other.run = Some(RunId(8))));
        assert!(!with(|other| other.run = None));
    }
}
