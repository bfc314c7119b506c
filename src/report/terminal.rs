//! The live log: a line when something begins, what happens beneath it, how it ended. Reads the same in GitHub's log and at
//! a terminal; only annotations are GitHub's alone. Prints, decides nothing.

use std::io::Write;

use anstyle::{AnsiColor, Style};
use jiff::Timestamp;

use super::story::{self, Story};
use crate::{
    domain::{Masks, Outcome},
    execute::{Event, Happening, Rollout, StepEnd},
    failure::Failure,
    gate::Verdict,
    observe::{ContainerPhase, EndpointState, Instance, Profile, Provisioning},
    plan::{Aim, Plan, Step, preflight::RowState},
    runner::{Annotation, Annotations, Place, escape_data, log_safe},
};

/// Whether to colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Paint {
    /// Colours, as ANSI escapes; GitHub's log shows them.
    Colours,
    /// Plain text.
    Plain,
}

/// Where a group of GitHub's log begins or ends.
#[derive(Clone, Copy)]
enum Fold {
    Begin,
    End,
}

/// Where lines go.
pub type Out = Box<dyn Write + Send>;

/// The live log.
pub(super) struct Terminal {
    out: Out,
    paint: Paint,
    place: Place,
    masks: Masks,
    annotations: Annotations,
    began: Option<Timestamp>,
    probes: u32,
}

const GREEN: Style = AnsiColor::Green.on_default();
const RED: Style = AnsiColor::Red.on_default().bold();
const YELLOW: Style = AnsiColor::Yellow.on_default();
const FAINT: Style = Style::new().dimmed();
const BOLD: Style = Style::new().bold();

impl Terminal {
    pub(super) fn new(out: Out, paint: Paint, place: Place, masks: Masks) -> Self {
        Self { out, paint, place, masks, annotations: Annotations::default(), began: None, probes: 0 }
    }

    fn styled(&self, style: Style, text: &str) -> String {
        match self.paint {
            Paint::Colours => format!("{style}{text}{style:#}"),
            Paint::Plain => text.to_owned(),
        }
    }

    /// Prints a line with its time; a reader that went away (a closed pipe) is no error.
    fn line(&mut self, at: Timestamp, text: &str) {
        let began = *self.began.get_or_insert(at);
        let seconds = at.duration_since(began).as_secs_f64().max(0.0);
        let clock = format!("{:>7}", format!("{seconds:.1}s"));
        let clock = self.styled(FAINT, &clock);
        let text = log_safe(&self.masks.scrub(text));
        let _ = writeln!(self.out, "{clock}  {}", text.replace('\n', "\n         "));
        let _ = self.out.flush();
    }

    fn plain(&mut self, text: &str) {
        let text = log_safe(&self.masks.scrub(text));
        let _ = writeln!(self.out, "{text}");
    }

    fn annotate(&mut self, kind: Annotation, title: &str, text: &str) {
        if self.place == Place::Actions {
            let (title, text) = (self.masks.scrub(title), self.masks.scrub(text));
            if let Some(command) = self.annotations.command(kind, &title, &text) {
                let _ = self.out.write_all(command.as_bytes());
            }
        }
    }

    /// GitHub's log folds what a step printed; how it ended stands below, to be seen without unfolding.
    fn fold(&mut self, fold: Fold, title: &str) {
        if self.place == Place::Actions {
            let line = match fold {
                Fold::Begin => format!("::group::{}\n", escape_data(&self.masks.scrub(title))),
                Fold::End => "::endgroup::\n".to_owned(),
            };
            let _ = self.out.write_all(line.as_bytes());
        }
    }

    /// Prints `event`; `story` has heard it already.
    pub(super) fn print(&mut self, event: &Event, story: &Story) {
        let at = event.at;
        match &event.event {
            Happening::Requested { rollout } => {
                let what = match rollout.aim {
                    Aim::Deploy => story.version_words().to_owned(),
                    Aim::RollBack => format!("rollback to {}", story.version_words()),
                    Aim::Promote => "promotion of what is held".to_owned(),
                    Aim::MakeSafe => "making safe what an interrupted run left".to_owned(),
                    Aim::Finish => "finishing what an interrupted run began".to_owned(),
                };
                let head = format!("{} {what} → {}", rollout.application, rollout.environment);
                let head = self.styled(BOLD, &head);
                self.line(at, &format!("{head}  ({}, rollout {})", rollout.strategy.as_str(), rollout.id));
                if let Some(actor) = &rollout.actor {
                    let source = rollout.git_ref.as_deref().unwrap_or("?");
                    self.line(
                        at,
                        &format!("asked for by {actor}, {source} {}", rollout.sha.as_deref().map_or("", |sha| sha.get(..7).unwrap_or(sha))),
                    );
                }
            }
            Happening::Planned { image, plan, observed } => {
                if let Some(image) = image {
                    self.line(at, &format!("image {}@{}", image.repository, image.digest));
                }
                if observed.instances.is_empty() {
                    self.line(at, "found no instance: this is the first deployment");
                }
                for instance in &observed.instances {
                    self.line(at, &format!("found {}", instance_line(instance)));
                }
                if let Some(profile) = &observed.profile {
                    self.line(at, &format!("found {}", profile_line(profile)));
                }
                self.line(at, "plan:");
                for (index, step) in plan.steps.iter().enumerate() {
                    self.line(at, &format!("  {}. {step}{}", index + 1, details(step)));
                }
                for notice in &plan.notices {
                    let text = self.styled(YELLOW, &format!("note: {notice}"));
                    self.line(at, &text);
                }
            }
            Happening::Preflight { checklist, .. } => {
                let head = self.styled(BOLD, &format!("checklist: {}", checklist.tally()));
                self.line(at, &head);
                for (part, rows) in super::preflight::parts(checklist) {
                    self.line(at, &format!("  {}", part.title()));
                    for row in rows {
                        let style = match &row.state {
                            RowState::Passed => None,
                            RowState::Failed { .. } => Some(RED),
                            RowState::Overridden { .. } => Some(YELLOW),
                            RowState::NotChecked => Some(FAINT),
                        };
                        let text = super::preflight::lines(row).join("\n    ");
                        let text = style.map_or_else(|| text.clone(), |style| self.styled(style, &text));
                        self.line(at, &format!("    {text}"));
                    }
                }
            }
            Happening::StepStarted { step } => {
                self.probes = 0;
                if let Some(what) = story.plan.as_ref().and_then(|plan| plan.steps.get(*step)) {
                    self.fold(Fold::Begin, &what.to_string());
                    let text = self.styled(BOLD, &format!("▶ {what}"));
                    self.line(at, &text);
                }
            }
            Happening::InstanceState { instance, fresh, .. } => {
                self.line(at, &format!("  {}", instance_line(instance)));
                for event in fresh {
                    let times = if event.count > 1 { format!(" (×{})", event.count) } else { String::new() };
                    let text = self.styled(FAINT, &format!("  Azure: {}: {}{times}", event.name, event.message));
                    self.line(at, &text);
                }
            }
            Happening::Retrying { what, why, after_ms } => {
                let text = self.styled(YELLOW, &format!("  {what}: {why}; again in {}", story::duration(*after_ms)));
                self.line(at, &text);
            }
            Happening::Probe { attempt, of, url, result, .. } => {
                self.probes += 1;
                let style = if result.is_good() { GREEN } else { YELLOW };
                let said = self.styled(style, &story::answer(result));
                // The first tells where it goes; of the others the number and the answer are enough.
                let target = if self.probes == 1 { format!("GET {url} ") } else { String::new() };
                self.line(at, &format!("  {target}probe {attempt}/{of}: {said} ({})", story::duration(result.latency_ms)));
            }
            Happening::Smoke { path, url, result, .. } => {
                let style = if result.is_good() { GREEN } else { RED };
                let said = self.styled(style, &story::answer(result));
                let excerpt =
                    if result.is_good() || result.excerpt.is_empty() { String::new() } else { format!("\n    {}", result.excerpt) };
                let _ = path;
                self.line(at, &format!("  GET {url} {said} ({}){excerpt}", story::duration(result.latency_ms)));
            }
            Happening::FinalCheck { checked, .. } => {
                let style = match checked.verdict {
                    Verdict::Pass => GREEN,
                    Verdict::Breach => RED,
                    Verdict::TooLittleData | Verdict::SourceError | Verdict::Stale => YELLOW,
                };
                let said = self.styled(style, &checked.to_string());
                self.line(at, &format!("  {said} ({})", story::duration(checked.took_ms)));
                self.line(at, &format!("    {}", checked.asked));
            }
            Happening::Claimed { lock } => self.line(at, &format!("claimed: {lock}")),
            Happening::TrafficSwitched { to, took_ms, .. } => {
                let text = format!("  100% to {} ({}), acknowledged after {}", to.slot, to.instance, story::duration(*took_ms));
                let text = self.styled(GREEN, &text);
                self.line(at, &text);
            }
            Happening::TrafficShared { to, took_ms, .. } => {
                let text = format!("  {}, acknowledged after {}", super::watching::shares(to), story::duration(*took_ms));
                let text = self.styled(GREEN, &text);
                self.line(at, &text);
            }
            Happening::SteppedBack { failure, share, .. } => {
                let text = self.styled(YELLOW, &format!("  taken back to {share}: {}", failure.what));
                self.line(at, &text);
                self.annotate(Annotation::Warning, &format!("taken back to {share}"), &failure.what);
            }
            Happening::Arrival { arrived, after_ms, .. } => {
                let text = format!("  after {}: {}", story::duration(*after_ms), super::watching::arrival(arrived));
                self.line(at, &text);
            }
            Happening::Drained { from, after_ms, left, .. } => {
                self.line(at, &format!("  {}", super::watching::drained(from, *after_ms, *left)));
            }
            Happening::WatchStarted { .. } => {}
            Happening::ChangesListed { changes } => {
                let all = u64::try_from(changes.changes.len()).unwrap_or(u64::MAX).saturating_add(changes.more);
                self.line(at, &format!("  new since {}: {all} changes", changes.since));
            }
            Happening::WatchExtended { most, lacking, .. } => {
                self.line(at, &format!("  not enough to go on: extended, by {most} ticks at most: {}", lacking.join("; ")));
            }
            Happening::Tick { tick, of, judgements, standby, .. } => {
                let style = if super::watching::is_calm(judgements) { FAINT } else { YELLOW };
                let text = self.styled(style, &format!("  {}", super::watching::tick_line(*tick, *of, judgements, standby.as_ref())));
                self.line(at, &text);
            }
            Happening::TakingBack { steps, .. } => {
                let text = self.styled(YELLOW, "taking it back: traffic first, then instances");
                self.line(at, &text);
                for step in steps {
                    self.line(at, &format!("  - {step}"));
                }
            }
            Happening::TrafficSafe { after_ms } => {
                let text = self.styled(GREEN, &format!("  traffic is safe, {} after the decision", story::duration(*after_ms)));
                self.line(at, &text);
            }
            Happening::StepFinished { end: StepEnd::Done, duration_ms, .. } => {
                self.fold(Fold::End, "");
                let text = self.styled(GREEN, &format!("✔ done in {}", story::duration(*duration_ms)));
                self.line(at, &text);
            }
            Happening::StepFinished { end: StepEnd::Failed { failure }, duration_ms, .. } => {
                self.fold(Fold::End, "");
                let text = self.styled(RED, &format!("✘ failed after {}: {}", story::duration(*duration_ms), failure.what));
                self.line(at, &text);
            }
            Happening::Diagnosed { diagnosis } => {
                for line in super::text::diagnosis(diagnosis) {
                    self.line(at, &line);
                }
            }
            Happening::Warned { text } => {
                let line = self.styled(YELLOW, &format!("warning: {text}"));
                self.line(at, &line);
                self.annotate(Annotation::Warning, "deploy-action", text);
            }
            Happening::ReportFailed { report, why } => {
                let line = self.styled(YELLOW, &format!("warning: {report} was not told: {why} (this changes nothing else)"));
                self.line(at, &line);
                self.annotate(Annotation::Warning, &format!("{report} was not told"), why);
            }
            Happening::Finished { outcome, failure, duration_ms, url, .. } => {
                self.finished(at, story, *outcome, failure.as_ref(), *duration_ms, url.as_deref());
            }
        }
    }

    fn finished(&mut self, at: Timestamp, story: &Story, outcome: Outcome, failure: Option<&Failure>, duration_ms: u64, url: Option<&str>) {
        let style = match outcome {
            Outcome::Healthy | Outcome::Unchanged => GREEN,
            Outcome::RolledBack | Outcome::Held => YELLOW,
            Outcome::Failed | Outcome::Refused => RED,
        };
        let headline = story::headline(story);
        let text = self.styled(style, &format!("{headline}  ({})", story::duration(duration_ms)));
        self.line(at, &text);
        if let Some(page) = &story.page {
            self.line(at, &format!("the whole of it on one page: {page}"));
        }
        if let Some(failure) = failure {
            self.line(at, &failure.to_string());
            self.annotate(Annotation::Error, &headline, &failure.to_string());
        } else if let (Some(rollout), Outcome::Healthy | Outcome::Unchanged) = (&story.rollout, outcome) {
            if let Some(url) = url {
                self.line(at, url);
            }
            if !story.is_showing_only() {
                self.annotate(Annotation::Notice, &headline, &format!("{} runs {}", rollout.environment, story.version_words()));
            }
        }
    }

    /// Prints a failure that stopped the run before there was a rollout.
    pub(super) fn failure(&mut self, failure: &Failure) {
        let text = self.styled(RED, &format!("error: {failure}"));
        self.plain(&text);
        self.annotate(Annotation::Error, "deploy-action", &failure.to_string());
    }
}

/// Prints a failure that stopped the run before there was a rollout.
pub fn print_failure(out: Out, paint: Paint, place: Place, masks: &Masks, failure: &Failure) {
    Terminal::new(out, paint, place, masks.clone()).failure(failure);
}

/// What a plan's step says beyond its name.
fn details(step: &Step) -> String {
    match step {
        Step::UpdateInstance { changes, .. } => changes.iter().map(|change| format!("\n       {change}")).collect(),
        Step::DeleteInstance { why, .. } => format!("\n       because {why}"),
        Step::AwaitHealth { retries, every_seconds, .. } => format!(" (up to {retries} probes, {every_seconds} s apart)"),
        Step::Smoke { paths, .. } => format!(": {}", paths.join(", ")),
        Step::Observe { rules, every_seconds, .. } => {
            let rules: Vec<String> = rules.iter().map(super::watching::rule).collect();
            format!(", every {every_seconds} s: {}", if rules.is_empty() { "no rules".into() } else { rules.join("; ") })
        }
        Step::Phase { rules, abort, every_seconds, step_back, .. } => {
            let words = |rules: &[crate::config::Rule]| rules.iter().map(super::watching::rule).collect::<Vec<_>>().join("; ");
            let back = step_back.as_ref().map_or_else(String::new, |back| format!("\n       a breach takes it back to {}", back.share));
            let abort = if abort.is_empty() { String::new() } else { format!("\n       at once to 0%: {}", words(abort)) };
            format!(", every {every_seconds} s: {}{back}{abort}", words(rules))
        }
        // The first stands in the step's own words.
        Step::Together { lanes } => lanes.iter().skip(1).map(|lane| format!("\n       and {}", crate::plan::in_order(lane))).collect(),
        Step::FinalChecks { checks, .. } => {
            checks.iter().map(|check| format!("\n       {}", super::watching::final_check(check))).collect()
        }
        Step::CreateInstance { .. }
        | Step::KeepInstance { .. }
        | Step::Shift { .. }
        | Step::VerifyShares { .. }
        | Step::DrainInstances { .. }
        | Step::CheckBaseline { .. }
        | Step::MarkPromoted { .. }
        | Step::ContinueInstance { .. }
        | Step::CreateProfile { .. }
        | Step::Switch { .. }
        | Step::VerifyTraffic { .. }
        | Step::Drain { .. }
        | Step::MarkStable { .. } => String::new(),
    }
}

/// An instance on one line.
#[must_use]
pub fn instance_line(instance: &Instance) -> String {
    let provisioning = match &instance.provisioning {
        Provisioning::InProgress(state) if state.is_empty() => "in progress",
        Provisioning::InProgress(state) => state,
        Provisioning::Succeeded => "Succeeded",
        Provisioning::Failed => "Failed",
        Provisioning::Stopped => "Stopped",
    };
    let mut line = format!("{}: {provisioning}", instance.name);
    if let Some(container) = &instance.container {
        let phase = match container.phase {
            ContainerPhase::Waiting => "waiting",
            ContainerPhase::Running => "running",
            ContainerPhase::Terminated => "ended",
            ContainerPhase::Unknown => "state unknown",
        };
        line.push_str(&format!(", container {phase}"));
        if !container.detail.is_empty() {
            line.push_str(&format!(" ({})", container.detail));
        }
        if container.restarts > 0 {
            line.push_str(&format!(", restarts {}", container.restarts));
        }
        if let Some(code) = container.exit_code {
            line.push_str(&format!(", last exit code {code}"));
        }
    }
    if let Some(version) = &instance.tags.version {
        line.push_str(&format!(", version {version}"));
    }
    if let Some(ip) = &instance.ip {
        line.push_str(&format!(", {ip}"));
    }
    line
}

/// A profile on one line.
#[must_use]
pub fn profile_line(profile: &Profile) -> String {
    let endpoints: Vec<String> = profile
        .endpoints
        .iter()
        .map(|endpoint| match endpoint.state {
            EndpointState::Enabled => format!("{} on, weight {} ({})", endpoint.name, endpoint.weight.get(), endpoint.monitor),
            EndpointState::Disabled => format!("{} off", endpoint.name),
        })
        .collect();
    format!("{}: {}, answers are kept {} s", profile.name, endpoints.join(", "), profile.ttl_seconds)
}

/// The plan as `deploy-action plan` prints it.
#[must_use]
pub fn plan_text(plan: &Plan, rollout: &Rollout) -> String {
    let mut text = format!(
        "Plan for {} ({}): {} → {}\n",
        rollout.environment,
        plan.strategy.as_str(),
        plan.previous.as_ref().map_or("nothing", |version| version.as_str()),
        plan.image.as_ref().map_or("what ran before", |image| image.version.as_str())
    );
    for (index, step) in plan.steps.iter().enumerate() {
        text.push_str(&format!("  {}. {step}{}\n", index + 1, details(step)));
    }
    let undo = plan.undo(plan.steps.iter().position(|step| matches!(step, Step::MarkStable { .. })).unwrap_or(plan.steps.len()));
    if !undo.is_empty() {
        let undo: Vec<String> = undo.iter().map(ToString::to_string).collect();
        text.push_str(&format!("  If it does not pass: {}.\n", undo.join("; ")));
    }
    for notice in &plan.notices {
        text.push_str(&format!("  note: {notice}\n"));
    }
    text.push_str(&format!("At most {}. Nothing was changed.", story::duration(plan.limit_seconds * 1000)));
    text
}
