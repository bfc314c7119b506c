//! Listeners on the executor's events. None of them can change an outcome (invariant 6): what fails is a warning.
//! Files and the terminal are written in order, at once; whatever crosses a network runs beside, at its own pace.

/// What is new in a version, as displays show it.
pub mod changes;
mod commit_status;
mod delivery;
/// The hash-chained evidence file.
pub mod evidence;
mod github_deployment;
/// A release as one HTML page.
pub mod html;
mod incident;
/// PagerDuty's alerts.
pub mod pagerduty;
mod preflight;
mod release;
mod release_notes;
/// An evidence file told again, verdict by verdict.
pub mod replay;
mod series;
/// Slack's messages.
pub mod slack;
/// The status page's incidents.
pub mod status_page;
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
use story::{Ear, Heard, Story};

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
    /// The HTML page of a release that is watched.
    pub page: Option<PathBuf>,
    /// Who is told besides; `None`: nobody, because the plan is only shown.
    pub audience: Option<Audience>,
    /// The GitHub deployment.
    pub github: Option<(github::Client, Beginning)>,
    /// What must not be shown.
    pub masks: Masks,
}

/// Who is told besides the log, files and GitHub.
pub struct Audience {
    /// What they are told with.
    pub client: reqwest::Client,
    /// Slack's channel for deployments.
    pub slack: Wired<slack::Destination>,
    /// Slack's channel for incidents.
    pub incidents: Wired<slack::Destination>,
    /// Who is on call.
    pub pagerduty: Wired<pagerduty::Service>,
    /// Customers.
    pub status_page: Wired<status_page::Page>,
}

/// Whether somebody can be told.
pub enum Wired<T> {
    /// There.
    To(T),
    /// They are not; why, for the summary.
    Off(&'static str),
}

/// What a report across a network said.
enum Told {
    /// There was nothing to say.
    Nothing,
    /// This, in a few words for the summary.
    This(String),
}

/// The reports at work.
pub struct Reports {
    local: JoinHandle<Local>,
    network: Vec<Network>,
}

/// A report across a network.
struct Network {
    name: &'static str,
    /// Whose, where the summary has a line for it.
    ear: Option<Ear>,
    task: JoinHandle<Result<Told, String>>,
}

/// Starts telling an audience; gives what is at work, and who listens.
fn start_telling(audience: Audience, masks: &Masks, watching: &watch::Receiver<Story>) -> (Vec<Network>, Vec<(Ear, Heard)>) {
    let Audience { client, slack, incidents, pagerduty, status_page } = audience;
    let stories = || watching.clone();
    let started = [
        (Ear::Slack, slack.with(|to| tokio::spawn(slack::tell(client.clone(), to, masks.clone(), stories())))),
        (Ear::Incidents, incidents.with(|to| tokio::spawn(slack::tell_incidents(client.clone(), to, masks.clone(), stories())))),
        (Ear::PagerDuty, pagerduty.with(|to| tokio::spawn(pagerduty::tell(client.clone(), to, masks.clone(), stories())))),
        (Ear::StatusPage, status_page.with(|to| tokio::spawn(status_page::tell(client.clone(), to, stories())))),
    ];
    let (mut network, mut ears) = (Vec::new(), Vec::new());
    for (ear, wired) in started {
        match wired {
            Wired::Off(why) => ears.push((ear, Heard::Off(why))),
            Wired::To(task) => {
                ears.push((ear, Heard::Listening));
                network.push(Network { name: ear.as_str(), ear: Some(ear), task });
            }
        }
    }
    (network, ears)
}

impl<T> Wired<T> {
    fn with<U>(self, start: impl FnOnce(T) -> U) -> Wired<U> {
        match self {
            Self::To(to) => Wired::To(start(to)),
            Self::Off(why) => Wired::Off(why),
        }
    }
}

/// Starts the reports; they hear what is sent to the channel until it is closed.
#[must_use]
pub fn start(destinations: Destinations) -> (mpsc::UnboundedSender<Event>, Reports) {
    let Destinations { out, paint, place, summary, evidence, page, audience, github, masks } = destinations;
    let (sender, receiver) = mpsc::unbounded_channel();
    let (stories, watching) = watch::channel(Story::default());
    let (mut network, mut ears) = match audience {
        Some(audience) => start_telling(audience, &masks, &watching),
        None => (Vec::new(), Vec::new()),
    };
    if let Some((client, beginning)) = github {
        let deployment = github_deployment::tell(client.clone(), beginning, watching.clone());
        let task = tokio::spawn(async { deployment.await.map(|()| Told::Nothing) });
        network.push(Network { name: "GitHub deployment", ear: None, task });
        let notes = release_notes::tell(client.clone(), masks.clone(), watching.clone());
        network.push(Network { name: Ear::ReleaseNotes.as_str(), ear: Some(Ear::ReleaseNotes), task: tokio::spawn(notes) });
        ears.push((Ear::ReleaseNotes, Heard::Listening));
        let status = commit_status::tell(client, watching);
        let task = tokio::spawn(async { status.await.map(|()| Told::Nothing) });
        network.push(Network { name: "commit status", ear: None, task });
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
    let story = Story { audience: ears, ..Story::default() };
    let mut local = Local { terminal, summary, evidence: writer, page, masks, stories, story };
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
    page: Option<PathBuf>,
    masks: Masks,
    stories: watch::Sender<Story>,
    story: Story,
}

impl Local {
    fn hear(&mut self, event: Event) {
        self.story.hear(&event);
        let mut trouble: Vec<(&str, String)> = self.write_page().into_iter().collect();
        self.terminal.print(&event, &self.story);
        if let Some(writer) = &mut self.evidence
            && let Err(error) = writer.write(&event)
        {
            self.evidence = None;
            trouble.push(("evidence file", error.to_string()));
        }
        trouble.extend(self.write_summary());
        self.stories.send_replace(self.story.clone());
        for (report, why) in trouble {
            self.hear(failed(report, why));
        }
    }

    /// Notes what came of telling `ear`.
    fn note(&mut self, ear: Option<Ear>, heard: Heard) {
        if let Some(place) = self.story.audience.iter_mut().find(|(known, _)| Some(*known) == ear) {
            place.1 = heard;
        }
    }

    /// Writes the summary anew, with what was noted since the last event.
    fn summarise(&mut self) {
        if let Some((report, why)) = self.write_page().or_else(|| self.write_summary()) {
            self.hear(failed(report, why));
        }
    }

    /// Writes the page of a release that was watched, once it has ended; gives up on it, and says why, when that fails.
    fn write_page(&mut self) -> Option<(&'static str, String)> {
        let path = self.page.as_ref()?;
        if self.story.end.is_none() || self.story.watches().next().is_none() {
            return None;
        }
        let page = self.masks.scrub(&html::render(&self.story));
        match std::fs::write(path, page) {
            Ok(()) => {
                self.story.page = Some(path.display().to_string());
                None
            }
            Err(error) => {
                let why = format!("{} cannot be written: {error}", path.display());
                (self.page, self.story.page) = (None, None);
                Some(("HTML page", why))
            }
        }
    }

    /// Writes the summary; gives up on it, and says why, when that fails.
    fn write_summary(&mut self) -> Option<(&'static str, String)> {
        let path = self.summary.as_ref()?;
        let page = self.masks.scrub(&summary::render(&self.story));
        let error = runner::write_summary(path, &page).err()?;
        self.summary = None;
        Some(("job summary", error.to_string()))
    }
}

impl From<Told> for Heard {
    fn from(told: Told) -> Self {
        match told {
            Told::Nothing => Self::Nothing,
            Told::This(what) => Self::Told(what),
        }
    }
}

impl Reports {
    /// Waits until everything has been told, but for the network's reports at most `limit`; what was not delivered by then
    /// is a warning in the log, the summary and the evidence. Gives the story as it ended. The channel must be closed.
    pub async fn finish(self, limit: Duration) -> Story {
        let end = Instant::now() + limit;
        let Ok(mut local) = self.local.await else { return Story::default() };
        for Network { name, ear, task } in self.network {
            let abort = task.abort_handle();
            let why = match tokio::time::timeout_at(end, task).await {
                Ok(Ok(Ok(told))) => {
                    local.note(ear, told.into());
                    continue;
                }
                Ok(Ok(Err(why))) => why,
                Ok(Err(_)) => "it stopped unexpectedly".into(),
                Err(_) => {
                    abort.abort();
                    format!("no answer within {} s", limit.as_secs())
                }
            };
            local.note(ear, Heard::Missed);
            local.hear(failed(name, local.masks.scrub(&why)));
        }
        local.summarise();
        local.story
    }
}
