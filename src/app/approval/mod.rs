//! Carrying out the approval flow (runbook "Runbook Approval Flow"): reads GitHub and staging, lets [`crate::approval`] decide, and
//! writes issues, statuses, tags and messages. Keeps nothing: every run derives all of it again, so that none depends on another.

mod ready;
mod review;

pub(super) use ready::ready;
pub(super) use review::review;

use super::Session;
use crate::{
    approval::{Request, standing::Standing},
    config::{Approvals, Config, Environment, Preflight},
    domain::{EnvironmentName, ExitStatus, Outcome},
    failure::{Failure, FailureKind},
    github::{Client, GithubError, approvals::Question},
    report::{Wired, slack},
    runner::{self, log_safe},
};

/// The flow of one environment.
struct Flow<'a> {
    session: &'a Session,
    config: &'a Config,
    environment: &'a Environment,
    preflight: &'a Preflight,
    asked: &'a Approvals,
    client: Client,
}

impl<'a> Flow<'a> {
    fn of(session: &'a Session, config: &'a Config, name: &EnvironmentName) -> Result<Self, Failure> {
        let environment = config.environments.get(name);
        let preflight = environment.and_then(|environment| environment.canary.as_ref()).and_then(|canary| canary.preflight.as_ref());
        let asked = preflight.and_then(|preflight| preflight.approvals.as_ref());
        let (Some(environment), Some(preflight), Some(asked)) = (environment, preflight, asked) else {
            return Err(Failure::new(FailureKind::Request, format!("{name} asks for no approvals"), format!("environment {name}"))
                .meaning("nothing was touched")
                .next("configure `preflight.approvals` of the environment in deploy.yml"));
        };
        let Some(client) = session.github() else {
            return Err(Failure::new(FailureKind::Request, "there is no github-token, or no GITHUB_REPOSITORY", "GitHub")
                .meaning("nothing was touched")
                .next("give the input github-token, as a workflow does by itself"));
        };
        Ok(Self { session, config, environment, preflight, asked, client })
    }

    fn question(&'a self, request: &'a Request) -> Question<'a> {
        Question {
            environment: &self.environment.name,
            sha: &request.sha,
            // What people let another run do was not said of a release.
            run: None,
            approvals: self.asked,
            commit_url: None,
            version: Some(&request.version),
            digest: Some(&request.digest),
        }
    }

    /// The organization that owns the repository.
    fn organization(&self) -> &str {
        self.client.repository().split('/').next().unwrap_or_default()
    }

    /// The page of the repository.
    fn repository_url(&self) -> Option<String> {
        self.session.runner.commit_url("").map(|url| url.trim_end_matches("/commit/").to_owned())
    }

    /// Tells Slack. That it cannot be told changes nothing (invariant 6).
    async fn tell_slack(&self, text: &str) {
        let Wired::To(destination) = self.session.slack(self.config) else { return };
        if let Err(why) = slack::note(&self.session.http, &destination, text, &self.session.inputs.masks).await {
            self.print(&format!("warning: Slack was not told: {why}"));
        }
    }

    fn print(&self, line: &str) {
        println!("{}", self.session.inputs.masks.scrub(&log_safe(line)));
    }

    /// What was done: one line for the log, Markdown for the summary.
    fn done(&self, line: &str, markdown: &str) -> ExitStatus {
        self.print(line);
        let session = self.session;
        let _ =
            session.runner.set_outputs(&[("outcome", Outcome::Unchanged.to_string()), ("environment", self.environment.name.to_string())]);
        let _ = session.runner.save(&[("outcome", Outcome::Unchanged.to_string())]);
        if let Some(path) = &session.runner.summary {
            let _ = runner::write_summary(path, &session.inputs.masks.scrub(markdown));
        }
        ExitStatus::Success
    }
}

/// GitHub did not do what it was asked.
fn github(error: GithubError) -> Failure {
    Failure::new(FailureKind::Request, error.to_string(), "GitHub").meaning("no environment was touched").next("run the workflow again")
}

/// Words for Slack about what was overridden: they belong to every message about the release.
fn overridden(standing: &Standing) -> String {
    let of = |given: &crate::observe::preflight::Override| {
        let [row, by, role, reason] = [&given.row, &given.by, &given.role, &given.reason].map(|text| crate::text::slack(text));
        format!("\n⚠️ *Overridden*: {row} by {by} ({role}): {reason}")
    };
    standing.overrides.iter().map(of).collect()
}
