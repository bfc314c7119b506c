//! What people may do in the repository (GitHub Docs, REST API, "Collaborators"), and whom the token is of.

use serde_json::json;

use super::{error, wire};
use crate::{
    server::Reply,
    shared::{Shared, lock},
};

/// A suspended or unknown account is none.
pub(super) fn permission(shared: &Shared, login: &str) -> Reply {
    let github = lock(&shared.github);
    match github.permissions.iter().find(|(who, _)| who.eq_ignore_ascii_case(login)) {
        Some((login, permission)) => {
            let mut user = wire::account_of(&shared.urls().github_api, login);
            user["role_name"] = json!(permission);
            Reply::json(200, &json!({"permission": permission, "role_name": permission, "user": user}))
        }
        None => error(404, &format!("{login} is not a user")),
    }
}

/// Tokens of programs have no user.
pub(super) fn owner(shared: &Shared) -> Reply {
    let github = lock(&shared.github);
    if github.speaker().ends_with("[bot]") {
        return error(403, "Resource not accessible by integration");
    }
    Reply::json(200, &wire::account_of(&shared.urls().github_api, github.speaker()))
}
