//! Listeners on the executor's events. None of them can change an outcome (invariant 6): what fails is a warning.
//! Files and the terminal are written in order, at once; whatever crosses a network runs beside, at its own pace.

mod commit_status;
/// The hash-chained evidence file.
pub mod evidence;
mod github_deployment;
/// An evidence file told again, verdict by verdict.
pub mod replay;
/// Slack's messages.
pub mod slack;
/// Events folded into what displays show.
pub mod story;
/// The job summary.
pub mod summary;
/// The live log.
pub mod terminal;
mod text;
mod watching;

use std::{path::PathBuf, time::Duration};

use jiff::Timestamp;
use tokio::{
    sync::{mpsc, watch},
    task::JoinHandle,
    time::Instant,
};

pub use github_deployment::Beginning;

use crate::{
    domain::Masks,
    execute::{Event, Happening},
    github, runner,
};
use story::Story;

/// Who is told.
pub struct Destinations {
    /// The live log.
    pub out: terminal::Out,
    /// Its colours.
    pub paint: terminal::Paint,
    /// Whether GitHub's runner reads it.
    pub place: runner::Place,
    /// The job summary's file.
    pub summary: Option<PathBuf>,
    /// The evidence file.
    pub evidence: Option<PathBuf>,
    /// Slack.
    pub slack: Option<(reqwest::Client, slack::Destination)>,
    /// The GitHub deployment.
    pub github: Option<(github::Client, Beginning)>,
    /// What must not be shown.
    pub masks: Masks,
}

/// The reports at work.
pub struct Reports {
    local: JoinHandle<Local>,
    network: Vec<(&'static str, JoinHandle<Result<(), String>>)>,
}

/// Starts the reports; they hear what is sent to the channel until it is closed.
#[must_use]
pub fn start(destinations: Destinations) -> (mpsc::UnboundedSender<Event>, Reports) {
    let Destinations { out, paint, place, summary, evidence, slack, github, masks } = destinations;
    let (sender, receiver) = mpsc::unbounded_channel();
    let (stories, watching) = watch::channel(Story::default());
    let mut network = Vec::new();
    if let Some((client, destination)) = slack {
        network.push(("Slack", tokio::spawn(slack::tell(client, destination, masks.clone(), watching.clone()))));
    }
    if let Some((client, beginning)) = github {
        network.push(("GitHub deployment", tokio::spawn(github_deployment::tell(client.clone(), beginning, watching.clone()))));
        network.push(("commit status", tokio::spawn(commit_status::tell(client, watching))));
    }
    let mut trouble = Vec::new();
    let writer = evidence.and_then(|path| match evidence::Writer::create(&path) {
        Ok(writer) => Some(writer),
        Err(error) => {
            trouble.push(("evidence file", format!("{} cannot be written: {error}", path.display())));
            None
        }
    });
    let terminal = terminal::Terminal::new(out, paint, place, masks.clone());
    let mut local = Local { terminal, summary, evidence: writer, masks, stories, story: Story::default() };
    let local = tokio::spawn(async move {
        let mut receiver = receiver;
        for (report, why) in trouble {
            local.hear(failed(report, why));
        }
        while let Some(event) = receiver.recv().await {
            local.hear(event);
        }
        local
    });
    (sender, Reports { local, network })
}

/// The first story that is `enough`, or the last there is.
async fn first(stories: &mut watch::Receiver<Story>, enough: impl FnMut(&Story) -> bool) -> Story {
    let found = stories.wait_for(enough).await.map(|story| story.clone());
    match found {
        Ok(story) => story,
        Err(_) => stories.borrow().clone(),
    }
}

fn failed(report: &str, why: String) -> Event {
    Event { at: Timestamp::now(), event: Happening::ReportFailed { report: report.to_owned(), why } }
}

/// The reports that need no network.
struct Local {
    terminal: terminal::Terminal,
    summary: Option<PathBuf>,
    evidence: Option<evidence::Writer>,
    masks: Masks,
    stories: watch::Sender<Story>,
    story: Story,
}

impl Local {
    fn hear(&mut self, event: Event) {
        self.story.hear(&event);
        self.terminal.print(&event, &self.story);
        let mut trouble = Vec::new();
        if let Some(writer) = &mut self.evidence
            && let Err(error) = writer.write(&event)
        {
            self.evidence = None;
            trouble.push(("evidence file", error.to_string()));
        }
        if let Some(path) = &self.summary {
            let page = self.masks.scrub(&summary::render(&self.story));
            if let Err(error) = runner::write_summary(path, &page) {
                self.summary = None;
                trouble.push(("job summary", error.to_string()));
            }
        }
        self.stories.send_replace(self.story.clone());
        for (report, why) in trouble {
            self.hear(failed(report, why));
        }
    }
}

impl Reports {
    /// Waits until everything has been told, but for the network's reports at most `limit`; what was not delivered by then
    /// is a warning in the log, the summary and the evidence. Gives the story as it ended. The channel must be closed.
    pub async fn finish(self, limit: Duration) -> Story {
        let end = Instant::now() + limit;
        let Ok(mut local) = self.local.await else { return Story::default() };
        for (report, task) in self.network {
            let abort = task.abort_handle();
            let why = match tokio::time::timeout_at(end, task).await {
                Ok(Ok(Ok(()))) => continue,
                Ok(Ok(Err(why))) => why,
                Ok(Err(_)) => "it stopped unexpectedly".into(),
                Err(_) => {
                    abort.abort();
                    format!("no answer within {} s", limit.as_secs())
                }
            };
            local.hear(failed(report, local.masks.scrub(&why)));
        }
        local.story
    }
}
