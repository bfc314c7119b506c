//! Comments as commands: from what anybody may write to data. Nothing of it is executed, and what is shown of it is made harmless
//! where it is shown.
//!
//! A command begins at the very first character of a comment; what is quoted, indented, in a code block or in the middle of a
//! sentence is none. It ends with its line.

use crate::text;

/// Characters of a reason that are kept.
const REASON: usize = 300;

/// Characters of a role's or row's name at most (as `deploy.yml` has it).
const NAME: usize = 60;

/// A command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// `/ready-for-prod [VERSION]`.
    ReadyForProd {
        /// The version as it was written.
        version: Option<String>,
    },
    /// `/approve [ROLE]`.
    Approve {
        /// The role; `None`: the one that the person has.
        role: Option<String>,
    },
    /// `/reject ROLE WHY`.
    Reject {
        /// The role.
        role: String,
        /// Why, on one line.
        reason: String,
    },
    /// `/override ROW WHY`.
    Override {
        /// The row of the checklist.
        row: String,
        /// Why, on one line.
        reason: String,
    },
}

/// What a comment is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Spoken {
    /// No command.
    Nothing,
    /// A command.
    Command(Command),
    /// Meant as one, and not understood: how it is written.
    Misspelt(&'static str),
}

/// Reads a comment's text.
#[must_use]
pub fn read(body: &str) -> Spoken {
    let line = body.lines().next().unwrap_or_default().trim_end();
    let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
    let rest = rest.trim();
    match word {
        "/ready-for-prod" => match name(rest) {
            Some(version) => Spoken::Command(Command::ReadyForProd { version: Some(version) }),
            None if rest.is_empty() => Spoken::Command(Command::ReadyForProd { version: None }),
            None => Spoken::Misspelt("/ready-for-prod, or /ready-for-prod v1.2.3"),
        },
        "/approve" => match name(rest) {
            Some(role) => Spoken::Command(Command::Approve { role: Some(role) }),
            None if rest.is_empty() => Spoken::Command(Command::Approve { role: None }),
            None => Spoken::Misspelt("/approve, or /approve ROLE, with the role as the table has it"),
        },
        "/reject" => match reasoned(rest) {
            Some((role, reason)) => Spoken::Command(Command::Reject { role, reason }),
            None => Spoken::Misspelt("/reject ROLE why"),
        },
        "/override" => match reasoned(rest) {
            Some((row, reason)) => Spoken::Command(Command::Override { row, reason }),
            None => Spoken::Misspelt("/override ROW why, with the row as the checklist has it"),
        },
        _ => Spoken::Nothing,
    }
}

/// A name and nothing else. Only what people can tell apart: ASCII letters, digits, `.`, `+` and `-`.
fn name(given: &str) -> Option<String> {
    let is_one = (1..=NAME).contains(&given.len()) && given.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'+'));
    is_one.then(|| given.to_owned())
}

fn reasoned(rest: &str) -> Option<(String, String)> {
    let (of, why) = rest.split_once(' ')?;
    let reason = text::line(why, REASON);
    if reason.is_empty() { None } else { Some((name(of)?, reason)) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn approve(role: &str) -> Spoken {
        Spoken::Command(Command::Approve { role: Some(role.into()) })
    }

    #[test]
    fn commands_are_read() {
        assert_eq!(read("/approve tech-lead"), approve("tech-lead"));
        assert_eq!(read("/approve   tech-lead \r\n\r\nLooks good."), approve("tech-lead"));
        assert_eq!(read("/approve"), Spoken::Command(Command::Approve { role: None }));
        assert_eq!(read("/ready-for-prod v1.0.0"), Spoken::Command(Command::ReadyForProd { version: Some("v1.0.0".into()) }));
        let reject = Command::Reject { role: "tech-lead".into(), reason: "the pool is too small".into() };
        assert_eq!(read("/reject tech-lead  the pool\tis too small"), Spoken::Command(reject));
        let over = Command::Override { row: "window".into(), reason: "hotfix, agreed with support".into() };
        assert_eq!(read("/override window hotfix, agreed with support\nmore"), Spoken::Command(over));
    }

    #[test]
    fn what_only_looks_like_a_command_is_none() {
        for text in [
            "",
            " /approve tech-lead",
            "    /approve tech-lead",
            "> /approve tech-lead",
            "```\n/approve tech-lead\n```",
            "`/approve tech-lead`",
            "please /approve tech-lead",
            "Hello\n/approve tech-lead",
            "/approved tech-lead",
            "/Approve tech-lead",
            "\u{feff}/approve tech-lead",
            "／approve tech-lead",
            "<!-- x -->/approve",
            "/deploy prod",
        ] {
            assert_eq!(read(text), Spoken::Nothing, "{text}");
        }
    }

    #[test]
    fn a_name_that_people_could_take_for_another_is_refused() {
        for text in [
            "/approve tech‑lead",
            "/approve teсh-lead",
            "/approve **tech-lead**",
            "/approve <b>tech-lead</b>",
            "/approve @nextgen-market/tech-leads",
            "/approve tech-lead now",
            "/approve tech-lead\u{200b}",
            "/reject tech-lead",
            "/reject tech-lead \u{202e}\u{7}",
            "/override",
            "/override window",
            "/ready-for-prod v1.0.0 now",
            "/ready-for-prod $(id)",
            "/ready-for-prod ::set-output",
        ] {
            assert!(matches!(read(text), Spoken::Misspelt(_)), "{text}: {:?}", read(text));
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic_and_nothing_strange_comes_of_it(given in "(?s)(/(approve|reject|override|ready-for-prod) ?)?.{0,80}") {
            if let Spoken::Command(command) = read(&given) {
                let (of, why) = match command {
                    Command::ReadyForProd { version: of } | Command::Approve { role: of } => (of.unwrap_or_default(), String::new()),
                    Command::Reject { role: of, reason } | Command::Override { row: of, reason } => (of, reason),
                };
                prop_assert!(of.is_ascii() && !of.contains(' '));
                prop_assert!(!why.chars().any(char::is_control));
            }
        }
    }
}
