//! Code-scanning alerts of the repository (GitHub Docs, REST API, "Code scanning").

use serde_json::{Value, json};

use super::{error, page};
use crate::{
    server::{Call, Reply},
    shared::{REPOSITORY, SHA, Shared, lock},
};

/// What code scanning has found.
#[derive(Debug, Clone)]
pub enum CodeScanning {
    /// It is not enabled.
    Disabled,
    /// It is, and nothing was analysed yet.
    Unanalysed,
    /// These alerts.
    Alerts(Vec<Alert>),
}

impl Default for CodeScanning {
    /// It looked, and found nothing.
    fn default() -> Self {
        Self::Alerts(Vec::new())
    }
}

/// An alert.
#[derive(Debug, Clone)]
pub struct Alert {
    /// `low`, `medium`, `high`, `critical`; `None`: the rule is not about security, and only has a severity (`error`).
    pub security_severity: Option<String>,
    /// What became of it.
    pub state: AlertState,
    /// What it is about.
    pub description: String,
}

/// What became of an alert.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AlertState {
    /// Nothing yet.
    Open,
    /// Somebody said that it does not matter.
    Dismissed,
    /// It is mended.
    Fixed,
}

impl AlertState {
    const fn word(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Dismissed => "dismissed",
            Self::Fixed => "fixed",
        }
    }
}

impl Alert {
    /// An open alert of this security severity.
    #[must_use]
    pub fn open(security_severity: &str) -> Self {
        let description = "Database query built from user-controlled sources".to_owned();
        Self { security_severity: Some(security_severity.to_owned()), state: AlertState::Open, description }
    }
}

pub(super) fn alerts(shared: &Shared, call: &Call) -> Reply {
    let github = lock(&shared.github);
    match &github.code_scanning {
        CodeScanning::Disabled => error(403, "Advanced Security must be enabled for this repository to use code scanning."),
        CodeScanning::Unanalysed => error(404, "no analysis found"),
        CodeScanning::Alerts(alerts) => {
            let is = |name: &str, value: &str| call.query(name).is_none_or(|wanted| wanted == value);
            let found = alerts.iter().enumerate().filter(|(_, alert)| {
                is("state", alert.state.word()) && is("severity", alert.security_severity.as_deref().unwrap_or("error"))
            });
            let git_ref = call.query("ref").unwrap_or("refs/heads/main");
            let shown: Vec<Value> = found.map(|(number, alert)| show(&shared.urls().github_api, number + 1, alert, git_ref)).collect();
            Reply::json(200, &json!(page(call, &shown)))
        }
    }
}

fn show(api: &str, number: usize, alert: &Alert, git_ref: &str) -> Value {
    let url = format!("{api}/repos/{REPOSITORY}/code-scanning/alerts/{number}");
    let at = |state: AlertState| (alert.state == state).then_some("2026-11-21T08:00:00Z");
    let dismissed_reason = (alert.state == AlertState::Dismissed).then_some("false positive");
    json!({
        "number": number, "created_at": "2026-11-20T08:00:00Z", "updated_at": "2026-11-20T08:00:00Z", "url": url,
        "html_url": format!("https://github.com/{REPOSITORY}/security/code-scanning/{number}"), "instances_url": format!("{url}/instances"),
        "state": alert.state.word(), "fixed_at": at(AlertState::Fixed), "dismissed_by": null, "dismissed_at": at(AlertState::Dismissed),
        "dismissed_reason": dismissed_reason, "dismissed_comment": null,
        "rule": {
            "id": "js/sql-injection", "severity": "error", "security_severity_level": alert.security_severity,
            "description": alert.description, "name": "js/sql-injection", "tags": ["security"],
        },
        "tool": {"name": "CodeQL", "guid": null, "version": "2.20.0"},
        "most_recent_instance": {
            "ref": git_ref, "analysis_key": ".github/workflows/ci-cd-enterprise.yml:security", "environment": "{}",
            "category": "/language:javascript", "state": alert.state.word(), "commit_sha": SHA, "message": {"text": alert.description},
            "location": {"path": "src/invoice.ts", "start_line": 7, "end_line": 7, "start_column": 1, "end_column": 40},
            "classifications": [],
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Options, World, github::ask};

    #[tokio::test]
    async fn alerts_are_found_by_state_and_severity_and_scanning_may_be_off() {
        let world = World::start(Options::quick()).await.unwrap();
        let found = |query: &str| ask(&world, "GET", &format!("code-scanning/alerts{query}"), &Value::Null);
        assert_eq!(found("?state=open"), (200, json!([])));
        world.add_alert(Alert::open("high"));
        world.add_alert(Alert { state: AlertState::Dismissed, ..Alert::open("critical") });
        assert_eq!(found("").1.as_array().unwrap().len(), 2);
        assert_eq!(found("?state=open").1[0]["rule"]["security_severity_level"], "high");
        assert_eq!(found("?state=open&severity=critical").1, json!([]));
        world.set_code_scanning(CodeScanning::Unanalysed);
        assert_eq!(found("").0, 404);
        world.set_code_scanning(CodeScanning::Disabled);
        assert_eq!(found("").0, 403);
    }
}
