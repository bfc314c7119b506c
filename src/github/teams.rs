//! Who belongs to which team of the organization that owns the repository (GitHub Docs, REST API, "Team members").

use reqwest::{Method, StatusCode};
use serde::Deserialize;

use super::{Client, GithubError, Repeat};

/// Whether somebody belongs to a team.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Membership {
    /// They do.
    Active,
    /// They do not, or have not accepted yet.
    Not,
}

#[derive(Deserialize)]
struct Found {
    state: String,
}

/// Whether `login` belongs to `team`, by its slug.
///
/// # Errors
/// What GitHub said; a workflow's own token may not see teams (it takes the organization permission `members: read`).
pub(super) async fn membership(client: &Client, team: &str, login: &str) -> Result<Membership, GithubError> {
    let organization = client.repository().split('/').next().unwrap_or_default();
    let path = ["orgs", organization, "teams", team, "memberships", login];
    let answer = client.ask_anywhere(Method::GET, &path, &[], None, Repeat::Always).await?;
    if answer.status == StatusCode::NOT_FOUND {
        return Ok(Membership::Not);
    }
    let Found { state } = answer.read("members: read (of the organization: a GitHub App's token has it, a workflow's own has not)")?;
    Ok(if state == "active" { Membership::Active } else { Membership::Not })
}
