//! Who belongs to which team of the organization (GitHub Docs, REST API, "Team members").

use serde_json::json;

use super::error;
use crate::{
    server::Reply,
    shared::{REPOSITORY, Shared, lock},
};

/// What the token may know of teams. A workflow's own token may know nothing: `members: read` is an organization permission.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Teams {
    /// Who is in them.
    #[default]
    Readable,
    /// Nothing.
    Forbidden,
}

/// Whether somebody belongs to a team.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Membership {
    /// They do.
    Active,
    /// They were asked, and have not answered.
    Pending,
}

pub(super) fn membership(shared: &Shared, org: &str, team: &str, user: &str) -> Reply {
    let github = lock(&shared.github);
    match github.teams {
        Teams::Forbidden => return error(403, "Resource not accessible by integration"),
        Teams::Readable => {}
    }
    let found = github.members.iter().find(|((of, who), _)| of == team && who.eq_ignore_ascii_case(user));
    match found {
        Some((_, state)) if REPOSITORY.split('/').next() == Some(org) => {
            let state = match state {
                Membership::Active => "active",
                Membership::Pending => "pending",
            };
            let url = format!("{}/organizations/21031067/team/1/memberships/{user}", shared.urls().github_api);
            Reply::json(200, &json!({"url": url, "role": "member", "state": state}))
        }
        Some(_) | None => error(404, "Not Found"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::{Options, World, server::Call};

    #[tokio::test]
    async fn members_are_told_to_a_token_that_may_know() {
        let world = World::start(Options::quick()).await.unwrap();
        world.add_member("tech-leads", "tom", Membership::Active);
        let ask = |path: &str| {
            let shared = world.shared();
            crate::github::handle(shared, &Call::of("GET", path, &shared.github_token, &Value::Null)).read()
        };
        let of = |team: &str, user: &str| ask(&format!("/orgs/nextgen-market/teams/{team}/memberships/{user}"));
        assert_eq!((of("tech-leads", "Tom").0, &of("tech-leads", "tom").1["state"]), (200, &json!("active")));
        assert_eq!([of("tech-leads", "rita").0, of("release-managers", "tom").0], [404, 404]);
        assert_eq!(ask("/orgs/other/teams/tech-leads/memberships/tom").0, 404);
        world.set_teams(Teams::Forbidden);
        assert_eq!(of("tech-leads", "tom").0, 403);
    }
}
