//! The GitHub runner's files and workflow commands: outputs, state, summary, masks, annotations (GitHub Docs, "Workflow
//! commands for GitHub Actions"). Knows how to write them, not what to say.

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
};

use crate::{domain::Masks, event, request::RunContext};

/// The largest summary of a step (GitHub Docs, "Adding a job summary": 1 MiB); what is larger is dropped whole.
const SUMMARY_BYTES: usize = 1024 * 1024 - 1024;

/// Annotations of each kind that GitHub shows for a step.
const ANNOTATIONS: usize = 10;

/// Characters of an annotation that GitHub shows.
const ANNOTATION_CHARS: usize = 4096;

/// Where this process runs, as the environment says. Outside GitHub Actions all of it is absent.
#[derive(Debug, Clone, Default)]
pub struct Runner {
    /// Whether GitHub's runner started this.
    pub place: Place,
    output: Option<PathBuf>,
    state: Option<PathBuf>,
    /// `GITHUB_STEP_SUMMARY`.
    pub summary: Option<PathBuf>,
    /// `GITHUB_WORKSPACE`, or the working directory.
    pub workspace: PathBuf,
    /// `GITHUB_EVENT_NAME` and `GITHUB_EVENT_PATH`.
    pub event: Option<(String, PathBuf)>,
    /// `GITHUB_API_URL`.
    pub api_url: Option<String>,
    server_url: Option<String>,
    repository: Option<String>,
    run: Option<(String, String)>,
    job: String,
    /// Beside the event.
    pub context: RunContext,
    saved: Vec<(String, String)>,
}

/// Where this process runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Place {
    /// In a job of GitHub Actions.
    Actions,
    /// At a terminal.
    #[default]
    Terminal,
}

/// What an annotation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Annotation {
    /// The deployment failed.
    Error,
    /// Somebody should know.
    Warning,
    /// For the record.
    Notice,
}

/// What a later process of the same step needs to know (`GITHUB_STATE`).
pub const STATES: [&str; 6] = ["environment", "rollout", "version", "outcome", "sha", "aim"];

impl Runner {
    /// Reads the environment.
    #[must_use]
    pub fn from_environment(env: &dyn Fn(&str) -> Option<String>) -> Self {
        let text = |name: &str| env(name).filter(|value| !value.is_empty());
        let path = |name: &str| text(name).map(PathBuf::from);
        let place = if env("GITHUB_ACTIONS").as_deref() == Some("true") { Place::Actions } else { Place::Terminal };
        let saved = STATES.iter().filter_map(|name| Some(((*name).to_owned(), text(&format!("STATE_{name}"))?))).collect();
        Self {
            place,
            output: path("GITHUB_OUTPUT"),
            state: path("GITHUB_STATE"),
            summary: path("GITHUB_STEP_SUMMARY"),
            workspace: path("GITHUB_WORKSPACE").unwrap_or_else(|| PathBuf::from(".")),
            event: text("GITHUB_EVENT_NAME").zip(path("GITHUB_EVENT_PATH")),
            api_url: text("GITHUB_API_URL"),
            server_url: text("GITHUB_SERVER_URL"),
            repository: text("GITHUB_REPOSITORY"),
            run: text("GITHUB_RUN_ID").map(|id| (id, text("GITHUB_RUN_ATTEMPT").unwrap_or_else(|| "1".into()))),
            job: text("GITHUB_JOB").unwrap_or_else(|| "terminal".into()),
            context: RunContext {
                sha: text("GITHUB_SHA").and_then(|sha| sha.parse().ok()),
                target: text("GITHUB_REF").and_then(|full| event::git_ref(&full)),
                actor: text("GITHUB_ACTOR"),
            },
            saved,
        }
    }

    /// What the main process of this step left in the state called `name`.
    #[must_use]
    pub fn saved(&self, name: &str) -> Option<&str> {
        self.saved.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// `OWNER/NAME`.
    #[must_use]
    pub fn repository(&self) -> Option<&str> {
        self.repository.as_deref()
    }

    /// `RUN-ATTEMPT`.
    #[must_use]
    pub fn run(&self) -> Option<String> {
        self.run.as_ref().map(|(id, attempt)| format!("{id}-{attempt}"))
    }

    /// The workflow run's id and its attempt, from 1, where they are numbers.
    #[must_use]
    pub fn run_and_attempt(&self) -> Option<(u64, u32)> {
        let (id, attempt) = self.run.as_ref()?;
        Some((id.parse().ok()?, attempt.parse().ok()?))
    }

    /// Which job of the workflow this is (`GITHUB_JOB`), or that it is none.
    #[must_use]
    pub fn job(&self) -> &str {
        &self.job
    }

    /// Link to this workflow run.
    #[must_use]
    pub fn run_url(&self) -> Option<String> {
        let (server, repository, (id, _)) = (self.server_url.as_ref()?, self.repository.as_ref()?, self.run.as_ref()?);
        Some(format!("{server}/{repository}/actions/runs/{id}"))
    }

    /// Link to the commit `sha`.
    #[must_use]
    pub fn commit_url(&self, sha: &str) -> Option<String> {
        Some(format!("{}/commit/{sha}", self.repository_url()?))
    }

    /// The repository's page, where known.
    #[must_use]
    pub fn repository_url(&self) -> Option<String> {
        Some(format!("{}/{}", self.server_url.as_ref()?, self.repository.as_ref()?))
    }

    /// Sets outputs.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn set_outputs(&self, values: &[(&str, String)]) -> std::io::Result<()> {
        append(self.output.as_deref(), values)
    }

    /// Leaves state for the step's later processes.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn save(&self, values: &[(&str, String)]) -> std::io::Result<()> {
        append(self.state.as_deref(), values)
    }

    /// The commands that mask every text of `masks` in the log, a line each.
    #[must_use]
    pub fn mask_commands(&self, masks: &Masks) -> String {
        match self.place {
            Place::Terminal => String::new(),
            // Longer values hold the shorter ones' lines; each line is masked by itself, as the log is line by line.
            Place::Actions => masks
                .iter()
                .filter(|text| !text.expose().contains('\n'))
                .map(|text| format!("::add-mask::{}\n", escape_data(text.expose())))
                .collect(),
        }
    }
}

/// Annotations, at most as many as GitHub shows.
#[derive(Debug, Clone, Copy, Default)]
pub struct Annotations {
    errors: usize,
    warnings: usize,
    notices: usize,
}

impl Annotations {
    /// The command for one more annotation; `None` when GitHub would show no more of its kind.
    pub fn command(&mut self, kind: Annotation, title: &str, text: &str) -> Option<String> {
        let (word, count) = match kind {
            Annotation::Error => ("error", &mut self.errors),
            Annotation::Warning => ("warning", &mut self.warnings),
            Annotation::Notice => ("notice", &mut self.notices),
        };
        *count += 1;
        let short: String = text.chars().take(ANNOTATION_CHARS - 200).collect();
        (*count <= ANNOTATIONS).then(|| format!("::{word} title={}::{}\n", escape_property(title), escape_data(&short)))
    }
}

/// `text` as a workflow command's data.
#[must_use]
pub fn escape_data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// `text` as a workflow command's property.
#[must_use]
pub fn escape_property(text: &str) -> String {
    escape_data(text).replace(':', "%3A").replace(',', "%2C")
}

/// `text` as lines of a log: none can be taken for a workflow command, whoever wrote it. (The runner takes a line for a
/// command when `::`, or the older `##[`, stands at its beginning or behind blanks.)
#[must_use]
pub fn log_safe(text: &str) -> String {
    let lines = text.lines().map(|line| {
        let line: String = line.chars().filter(|c| !c.is_control() || *c == '\t' || *c == '\u{1b}').collect();
        let begin = line.trim_start();
        if begin.starts_with("::") || begin.starts_with("##[") { format!("| {line}") } else { line }
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// Writes the summary `markdown` whole; one that GitHub would drop for its size is cut, and says so. A process that is killed
/// meanwhile leaves the one before or this one: the file is never empty in between.
///
/// # Errors
/// When the file cannot be written.
pub fn write_summary(path: &Path, markdown: &str) -> std::io::Result<()> {
    if markdown.len() <= SUMMARY_BYTES {
        return overwrite(path, markdown);
    }
    let mut end = SUMMARY_BYTES;
    while !markdown.is_char_boundary(end) {
        end -= 1;
    }
    let kept = markdown.get(..end).unwrap_or_default();
    overwrite(path, &format!("{kept}\n\n*Cut here: GitHub drops summaries over 1 MiB. The evidence file has everything.*\n"))
}

/// Writes over what the file holds, and only then cuts what is left of it.
fn overwrite(path: &Path, text: &str) -> std::io::Result<()> {
    let mut file = fs::OpenOptions::new().write(true).create(true).truncate(false).open(path)?;
    file.write_all(text.as_bytes())?;
    file.set_len(text.len() as u64)
}

fn append(path: Option<&Path>, values: &[(&str, String)]) -> std::io::Result<()> {
    let Some(path) = path else { return Ok(()) };
    let mut text = String::new();
    for (name, value) in values {
        // Nobody can guess it, so no value can end itself early and set another output.
        let delimiter = format!("end_{}", random());
        text.push_str(&format!("{name}<<{delimiter}\n{value}\n{delimiter}\n"));
    }
    fs::OpenOptions::new().append(true).create(true).open(path)?.write_all(text.as_bytes())
}

/// 128 bits that nobody can guess: the keys of the standard library's hash maps come from the system's random source.
fn random() -> String {
    use std::hash::{BuildHasher, RandomState};
    (0..2_u8).map(|part| format!("{:016x}", RandomState::new().hash_one(part))).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// As the runner reads it.
    fn read(text: &str) -> Vec<(String, String)> {
        let mut found = Vec::new();
        let mut lines = text.split('\n');
        while let Some((name, end)) = lines.next().and_then(|line| line.split_once("<<")) {
            let value: Vec<&str> = lines.by_ref().take_while(|line| *line != end).collect();
            found.push((name.to_owned(), value.join("\n")));
        }
        found
    }

    proptest! {
        #[test]
        fn no_value_sets_another_output(value in "(?s)[a-z<=\n]{0,80}") {
            let folder = tempfile::tempdir().expect("a folder");
            let path = folder.path().join("output");
            append(Some(&path), &[("a", value.clone()), ("b", "x".into())]).expect("written");
            let text = fs::read_to_string(&path).expect("read");
            prop_assert_eq!(read(&text), vec![("a".to_owned(), value), ("b".to_owned(), "x".to_owned())]);
        }

        #[test]
        fn no_text_becomes_a_command(text in "(?s)[ :#a\\[\n\r\t]{0,60}") {
            for line in log_safe(&text).lines() {
                let begin = line.trim_start();
                prop_assert!(!begin.starts_with("::") && !begin.starts_with("##["), "{}", line);
            }
        }
    }

    #[test]
    fn annotations_end_where_github_stops_showing_them() {
        let mut annotations = Annotations::default();
        let shown = (0..12).filter_map(|_| annotations.command(Annotation::Error, "a: b, c", "x\n%y")).collect::<Vec<_>>();
        assert_eq!((shown.len(), shown[0].as_str()), (10, "::error title=a%3A b%2C c::x%0A%25y\n"));
        assert!(annotations.command(Annotation::Notice, "t", "x").is_some());
    }

    #[test]
    fn a_shorter_summary_leaves_nothing_of_the_longer_one_before() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("summary");
        for text in ["a longer one", "short", ""] {
            write_summary(&path, text).expect("written");
            assert_eq!(fs::read_to_string(&path).expect("read"), text);
        }
    }

    #[test]
    fn a_summary_that_is_too_long_is_cut_not_lost() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("summary");
        write_summary(&path, &"é".repeat(SUMMARY_BYTES)).expect("written");
        let text = fs::read_to_string(&path).expect("read");
        assert!(text.len() < 1024 * 1024 && text.contains("Cut here"));
    }
}
