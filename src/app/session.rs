//! What one run has at hand: inputs, the runner, the HTTP client, the signal to stop; and what it leaves behind.

use std::{io::IsTerminal, path::PathBuf};

use jiff::Timestamp;
use tokio::sync::mpsc::UnboundedSender;

use super::carry_out::Intent;
use crate::{
    cli::{Color, Inputs},
    config::Config,
    domain::{EnvironmentName, Masks, Outcome, RolloutId, Secret},
    execute::{Cancel, Emitter, Ending, Event, Rollout},
    failure::{Failure, FailureKind},
    github, http,
    registry::RegistryLogin,
    report::{
        self, Audience, Beginning, Destinations, Reports, Wired, pagerduty, slack::Destination, status_page, story::Story, summary,
        terminal::Paint,
    },
    runner::{self, Place, Runner},
};

pub(super) struct Session {
    pub(super) inputs: Inputs,
    pub(super) runner: Runner,
    pub(super) http: reqwest::Client,
    pub(super) cancel: Cancel,
    pub(super) paint: Paint,
}

impl Session {
    pub(super) fn new(inputs: Inputs, runner: Runner, paint: Paint) -> Result<Self, Failure> {
        let http = http::client()?;
        let cancel = Cancel::listen().map_err(|error| {
            Failure::new(FailureKind::Internal, format!("no signal handler could be set: {error}"), "this process")
                .meaning("nothing was touched")
        })?;
        Ok(Self { inputs, runner, http, cancel, paint })
    }

    /// This run's rollout of `environment`: of the workflow run's attempt or, at a terminal, of the moment.
    pub(super) fn rollout_id(&self, environment: &EnvironmentName) -> Result<RolloutId, Failure> {
        let run = self.runner.run().unwrap_or_else(|| format!("local-{}", Timestamp::now().as_second()));
        let id = format!("{environment}-{}", run.to_lowercase());
        id.parse().map_err(|error| {
            Failure::new(FailureKind::Request, format!("GITHUB_RUN_ID: {error}"), "this run").meaning("nothing was touched")
        })
    }

    pub(super) fn registry_login(&self) -> Option<RegistryLogin<'_>> {
        self.inputs.registry.as_ref().map(|(username, password)| RegistryLogin { username, password })
    }

    /// Whether the image is to be pulled with the workflow's own token, which ends with the job.
    pub(super) fn pulls_with_the_workflows_token(&self) -> bool {
        let (Some((_, password)), Some(token)) = (&self.inputs.registry, &self.inputs.github_token) else { return false };
        password.expose() == token.expose()
    }

    pub(super) fn evidence_path(&self, id: &RolloutId) -> PathBuf {
        match &self.inputs.evidence {
            Some(path) => path.clone(),
            None => self.runner.workspace.join(format!("deploy-action-evidence-{id}.jsonl")),
        }
    }

    /// Starts the reports of a rollout. A plan that is only shown is told to nobody outside (invariant 8).
    pub(super) fn reports(&self, config: &Config, id: &RolloutId, intent: Intent, beginning: Beginning) -> (Emitter, Reports) {
        let (audience, github) = match intent {
            Intent::Show | Intent::Check => (None, None),
            Intent::CarryOut => (Some(self.audience(config)), self.github().map(|client| (client, beginning))),
        };
        let (summary, evidence) = match (self.runner.place, intent) {
            (Place::Terminal, Intent::Show) => (None, None),
            // At a terminal a file is left only where it is asked for.
            (Place::Terminal, Intent::Check) => (None, self.inputs.evidence.clone()),
            _ => (self.runner.summary.clone(), Some(self.evidence_path(id))),
        };
        let page = evidence.as_ref().map(|path| path.with_extension(report::html::EXTENSION));
        let quiet = intent != Intent::CarryOut && self.inputs.format == crate::cli::Format::Json;
        let out: report::terminal::Out = if quiet { Box::new(std::io::sink()) } else { Box::new(std::io::stdout()) };
        let destinations = Destinations {
            out,
            paint: self.paint,
            place: self.runner.place,
            summary,
            evidence,
            page,
            audience,
            github,
            masks: self.inputs.masks.clone(),
        };
        let (sender, reports): (UnboundedSender<Event>, Reports) = report::start(destinations);
        (Emitter::new(sender, self.inputs.masks.clone()), reports)
    }

    /// Who is told across a network, as far as it is configured and there is what it takes.
    fn audience(&self, config: &Config) -> Audience {
        Audience {
            client: self.http.clone(),
            slack: self.slack(config),
            incidents: self.incidents(config),
            pagerduty: self.pagerduty(config),
            status_page: self.status_page(config),
        }
    }

    pub(super) fn slack(&self, config: &Config) -> Wired<Destination> {
        let Some(slack) = &config.notify.slack else { return Wired::Off("switched off in deploy.yml") };
        match (&self.inputs.slack_token, &self.inputs.slack_webhook) {
            (Some(token), _) => Wired::To(self.bot(token, &slack.channel)),
            (None, Some(webhook)) => Wired::To(Destination::Webhook(webhook.clone())),
            (None, None) => Wired::Off("no slack-bot-token or slack-webhook-url"),
        }
    }

    fn incidents(&self, config: &Config) -> Wired<Destination> {
        let Some(slack) = &config.notify.slack else { return Wired::Off("switched off in deploy.yml") };
        match (&self.inputs.slack_token, &self.inputs.slack_webhook) {
            (Some(token), _) => Wired::To(self.bot(token, &slack.incidents)),
            (None, Some(_)) => Wired::Off("a webhook has one channel; it takes slack-bot-token"),
            (None, None) => Wired::Off("no slack-bot-token"),
        }
    }

    fn bot(&self, token: &Secret, channel: &str) -> Destination {
        Destination::Bot { token: token.clone(), api: self.inputs.slack_api.clone(), channel: channel.to_owned() }
    }

    fn pagerduty(&self, config: &Config) -> Wired<pagerduty::Service> {
        let Some(pagerduty) = &config.notify.pagerduty else { return Wired::Off("switched off in deploy.yml") };
        let Some(key) = &self.inputs.pagerduty_key else { return Wired::Off("no pagerduty-routing-key") };
        let events = self.inputs.pagerduty_events.clone();
        Wired::To(pagerduty::Service { key: key.clone(), events, severity: pagerduty.severity })
    }

    fn status_page(&self, config: &Config) -> Wired<status_page::Page> {
        let Some(page) = &config.notify.status_page else { return Wired::Off("no page in deploy.yml") };
        let Some(token) = &self.inputs.status_page_token else { return Wired::Off("no status-page-token") };
        let base = self.inputs.status_page.clone();
        Wired::To(status_page::Page { token: token.clone(), base, page: page.page.clone(), component: page.component.clone() })
    }

    pub(super) fn github(&self) -> Option<github::Client> {
        let token = self.inputs.github_token.clone()?;
        let repository = self.runner.repository()?.to_owned();
        let base = self.runner.api_url.as_deref().unwrap_or("https://api.github.com").parse().ok()?;
        Some(github::Client::new(self.http.clone(), base, token, repository))
    }

    /// Leaves what a later process of this step needs to know, before anything is changed.
    pub(super) fn begin(&self, rollout: &Rollout) -> std::io::Result<()> {
        self.runner.save(&[
            ("environment", rollout.environment.to_string()),
            ("rollout", rollout.id.to_string()),
            ("version", rollout.version.as_ref().map(ToString::to_string).unwrap_or_default()),
            ("sha", rollout.sha.clone().unwrap_or_default()),
            ("aim", rollout.aim.as_str().to_owned()),
        ])
    }

    /// Sets the outputs and leaves the outcome.
    pub(super) fn end(&self, ending: &Ending, story: &Story) -> std::io::Result<()> {
        let mut outputs = vec![("outcome", ending.outcome.to_string())];
        if let Some(rollout) = &story.rollout {
            outputs.push(("environment", rollout.environment.to_string()));
            outputs.push(("version", story.version().map(ToString::to_string).unwrap_or_default()));
            outputs.push(("rollout-id", rollout.id.to_string()));
            outputs.push(("report", self.evidence_path(&rollout.id).display().to_string()));
        }
        if let Some(previous) = story.plan.as_ref().and_then(|plan| plan.previous.as_ref()) {
            outputs.push(("previous-version", previous.to_string()));
        }
        if let Some(image) = &story.image {
            outputs.push(("image", image.pinned()));
            outputs.push(("digest", image.digest.to_string()));
        }
        if let Some(url) = ending.url.clone().or_else(|| story.rollout.as_ref().and_then(|rollout| rollout.url.clone())) {
            outputs.push(("url", url));
        }
        if let Some(end) = &story.end {
            outputs.push(("duration-seconds", (end.duration_ms.div_ceil(1000)).to_string()));
        }
        let outputs: Vec<(&str, String)> = outputs.into_iter().map(|(name, value)| (name, self.inputs.masks.scrub(&value))).collect();
        self.runner.set_outputs(&outputs)?;
        self.runner.save(&[("outcome", ending.outcome.to_string())])
    }
}

/// Outputs and summary of a run that was refused before there was a rollout.
pub(super) fn refused_before_a_rollout(runner: &Runner, masks: &Masks, failure: &Failure) {
    let _ = runner.set_outputs(&[("outcome", Outcome::Refused.to_string())]);
    let _ = runner.save(&[("outcome", Outcome::Refused.to_string())]);
    if let Some(path) = &runner.summary {
        let _ = runner::write_summary(path, &masks.scrub(&summary::refused(failure)));
    }
}

/// Whether to colour: as asked, else where GitHub's log or a terminal shows it and `NO_COLOR` does not forbid it.
pub(super) fn paint(asked: Color, runner: &Runner, env: &dyn Fn(&str) -> Option<String>) -> Paint {
    let wanted = match asked {
        Color::Always => true,
        Color::Never => false,
        Color::Auto => {
            let forbidden = env("NO_COLOR").is_some_and(|value| !value.is_empty());
            let forced = env("CLICOLOR_FORCE").is_some_and(|value| !value.is_empty() && value != "0");
            !forbidden && (forced || runner.place == Place::Actions || std::io::stdout().is_terminal())
        }
    };
    if wanted { Paint::Colours } else { Paint::Plain }
}
