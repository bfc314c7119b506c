//! Code-scanning alerts (GitHub Docs, REST API, "Code scanning"). Judges none of them.

use reqwest::StatusCode;
use serde::Deserialize;

use super::{Client, ListError};
use crate::observe::preflight::{Alert, Found};

/// Pages read at most: that many alerts are reason enough.
const PAGES: usize = 10;

#[derive(Deserialize)]
struct Listed {
    number: u64,
    #[serde(default)]
    html_url: Option<String>,
    rule: Rule,
}

#[derive(Deserialize)]
struct Rule {
    #[serde(default)]
    security_severity_level: Option<String>,
    #[serde(default)]
    description: Option<String>,
}

/// The open alerts of `branch`; [`Found::Absent`] where code scanning is not in use.
pub async fn open(client: &Client, branch: &str) -> Found<Vec<Alert>> {
    let git_ref = format!("refs/heads/{branch}");
    let query = [("state", "open"), ("ref", git_ref.as_str())];
    match client.list(&["code-scanning", "alerts"], &query, PAGES, |page: Vec<Listed>| page).await {
        Ok(found) => {
            let alert = |listed: Listed| Alert {
                number: listed.number,
                severity: listed.rule.security_severity_level,
                about: listed.rule.description.unwrap_or_default(),
                link: listed.html_url,
            };
            Found::Known { value: found.into_iter().map(alert).collect() }
        }
        Err(ListError::Refused(answer)) => {
            let message = answer.message();
            // GitHub says so with 403 where it is not enabled, and with 404 where nothing was analysed (GitHub Docs, "List code
            // scanning alerts for a repository"); a token that may not see it gets the same numbers and other words.
            let is_off = message.contains("must be enabled") || message.contains("not enabled");
            let is_unused = answer.status == StatusCode::NOT_FOUND && message.contains("no analysis found");
            if is_off || is_unused {
                Found::Absent { why: format!("code scanning is not in use: {message}") }
            } else {
                Found::Unknown { why: answer.refused("security-events: read").to_string() }
            }
        }
        Err(ListError::Unanswered(error)) => Found::Unknown { why: error.to_string() },
    }
}
