//! The GitHub release of a tag: its notes say what became of it in production. What people wrote there stays: only the section
//! between two marks is the Action's, and it is written anew each time. Runs beside the rollout; cannot hold it up.

use std::fmt::Write;

use tokio::sync::watch;

use super::{
    Told, changes, first, series,
    story::{self, Story},
};
use crate::{
    domain::{Masks, Outcome, Strategy},
    execute::Rollout,
    github::{Client, releases},
    plan::Aim,
    text::markdown,
};

/// Changes that new notes list.
const CHANGES: usize = 100;

/// Characters of notes (GitHub refuses a release's body of more than 125,000).
const LONGEST: usize = 120_000;

/// What the notes of a release are to do at the end of a rollout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wanted {
    /// Nothing.
    Nothing,
    /// Say how it ended; where there is no release yet, make one: it serves.
    Write,
    /// Say how it ended where there is a release: what does not serve is none by that.
    Update,
}

fn wanted(story: &Story) -> Wanted {
    let is_canary = story.rollout.as_ref().is_some_and(|rollout| rollout.strategy == Strategy::Canary);
    let outcome = story.end.as_ref().map(|end| end.outcome);
    match (is_canary, story.aim(), outcome) {
        (true, Aim::Deploy | Aim::Promote | Aim::Finish, Some(Outcome::Healthy)) => Wanted::Write,
        (true, Aim::Deploy | Aim::Promote | Aim::Finish, Some(Outcome::RolledBack | Outcome::Held | Outcome::Failed)) => Wanted::Update,
        _ => Wanted::Nothing,
    }
}

/// Says in the release's notes how the rollout ended.
///
/// # Errors
/// What GitHub said.
pub(super) async fn tell(client: Client, masks: Masks, mut stories: watch::Receiver<Story>) -> Result<Told, String> {
    let story = first(&mut stories, |story| story.end.is_some()).await;
    let (wanted, Some(rollout)) = (wanted(&story), &story.rollout) else { return Ok(Told::Nothing) };
    let (Some(tag), false) = (tag(&story, rollout), wanted == Wanted::Nothing) else { return Ok(Told::Nothing) };
    let failed = |error: crate::github::GithubError| error.to_string();
    let section = masks.scrub(&section(&story, rollout));
    let found = releases::of_tag(&client, &tag).await.map_err(failed)?;
    match (found, wanted) {
        (Some(release), _) => {
            let before = release.body.unwrap_or_default();
            let notes = with_section(&before, rollout.environment.as_str(), &section);
            if notes.chars().count() > LONGEST {
                return Err(format!("the notes of {tag} are too long to add to"));
            }
            if notes == before {
                return Ok(Told::Nothing);
            }
            releases::set_notes(&client, release.id, &notes).await.map_err(failed)?;
            Ok(Told::This(format!("notes of {tag} updated")))
        }
        (None, Wanted::Write) => {
            let news = story.changes.as_ref().map_or_else(String::new, |known| {
                format!("## What is new since {}\n\n{}", markdown(&known.since), masks.scrub(&changes::markdown(known, CHANGES)))
            });
            releases::create(&client, &tag, &with_section(&news, rollout.environment.as_str(), &section)).await.map_err(failed)?;
            Ok(Told::This(format!("release {tag} made")))
        }
        (None, Wanted::Update | Wanted::Nothing) => Ok(Told::Nothing),
    }
}

/// The tag that was released: the one that was pushed, else the version, which is one where tags release.
fn tag(story: &Story, rollout: &Rollout) -> Option<String> {
    let pushed = rollout.git_ref.as_deref().map(|name| name.strip_prefix("refs/tags/").unwrap_or(name));
    match (pushed, story.version()) {
        (Some(pushed), Some(version)) if pushed == version.as_str() => Some(pushed.to_owned()),
        (_, Some(version)) => Some(version.to_string()),
        (_, None) => None,
    }
}

/// How it ended, in a few lines.
fn section(story: &Story, rollout: &Rollout) -> String {
    let mut section = format!("### {}\n\n", markdown(&story::headline(story)));
    let end = story.end.as_ref();
    let when = story.requested.map_or_else(String::new, |at| at.strftime("%Y-%m-%d %H:%M UTC").to_string());
    let took = end.map_or_else(String::new, |end| story::duration(end.duration_ms));
    let _ = writeln!(section, "- {when}, in {took}");
    match end.and_then(|end| end.failure.as_ref()) {
        Some(failure) => {
            let _ = writeln!(section, "- {}", markdown(&crate::text::line(&failure.what, 1000)));
            if !failure.consequence.is_empty() {
                let _ = writeln!(section, "- {}", markdown(&crate::text::line(&failure.consequence, 1000)));
            }
        }
        None => {
            for (name, value) in series::measured(story).lines() {
                let _ = writeln!(section, "- {name}: {}", markdown(&value));
            }
        }
    }
    for sentence in story.overridden() {
        let _ = writeln!(section, "- {}", markdown(&crate::text::line(&sentence, 1000)));
    }
    if let Some(url) = rollout.run_url.as_deref().filter(|url| url.starts_with("https://")) {
        let _ = writeln!(section, "- [Workflow run]({})", url.replace('(', "%28").replace(')', "%29"));
    }
    section
}

/// The marks around an environment's section: comments, which a reader does not see.
fn marks(environment: &str) -> (String, String) {
    (format!("<!-- deploy-action:{environment}:begin -->"), format!("<!-- deploy-action:{environment}:end -->"))
}

/// `notes` with an environment's section: in the place of the one before, or at the end. Everything else stays as it is, to the
/// letter; marks that are not a pair in order are somebody's text.
fn with_section(notes: &str, environment: &str, section: &str) -> String {
    let (begin, end) = marks(environment);
    let written = format!("{begin}\n{section}{end}");
    let place = notes.find(&begin).and_then(|from| {
        let to = notes.get(from..)?.find(&end)?;
        Some((notes.get(..from)?, notes.get(from + to + end.len()..)?))
    });
    match place {
        Some((before, after)) => format!("{before}{written}{after}"),
        None if notes.trim().is_empty() => written,
        None => format!("{}\n\n{written}", notes.trim_end_matches('\n')),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_persons_notes_stay() {
        let notes = "# Big release\n\nThanks to @everyone.";
        let once = with_section(notes, "prod", "healthy\n");
        assert_eq!(
            once,
            "# Big release\n\nThanks to @everyone.\n\n<!-- deploy-action:prod:begin -->\nhealthy\n<!-- deploy-action:prod:end -->"
        );
        let edited = format!("{once}\n\nPS: and more.");
        let twice = with_section(&edited, "prod", "rolled back\n");
        assert_eq!(twice, edited.replace("healthy", "rolled back"));
        assert_eq!(with_section(&twice, "prod", "rolled back\n"), twice);
        let other = with_section(&twice, "prod-eu", "healthy\n");
        assert!(other.starts_with(&twice) && other.ends_with("<!-- deploy-action:prod-eu:end -->"));
        assert_eq!(with_section("", "prod", "x\n"), "<!-- deploy-action:prod:begin -->\nx\n<!-- deploy-action:prod:end -->");
    }

    proptest! {
        #[test]
        fn whatever_stands_around_the_section_stays(before in "(?s).{0,60}", after in "(?s).{0,60}", one in "[a-z ]{0,20}\n", other in "[a-z ]{0,20}\n") {
            prop_assume!(!before.contains("deploy-action") && !after.contains("deploy-action"));
            let (begin, end) = marks("prod");
            let notes = format!("{before}{begin}\n{one}{end}{after}");
            let written = with_section(&notes, "prod", &other);
            prop_assert_eq!(&written, &format!("{before}{begin}\n{other}{end}{after}"));
            prop_assert_eq!(with_section(&written, "prod", &other), written);
        }

        #[test]
        fn marks_that_are_no_pair_are_text(before in "[a-z ]{1,20}") {
            let (begin, end) = marks("prod");
            for broken in [format!("{before}{end}\n{begin}"), format!("{before}{begin}"), format!("{before}{end}")] {
                let written = with_section(&broken, "prod", "x\n");
                prop_assert!(written.starts_with(&broken), "{}", written);
            }
        }
    }
}
