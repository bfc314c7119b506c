//! GitHub's issuer of workflow identities: what `ACTIONS_ID_TOKEN_REQUEST_URL` points at.
//! Answers as the runner's token service does (GitHub: "OpenID Connect reference"); keeps nothing.

use hyper::Method;
use jiff::Timestamp;
use serde_json::json;

use crate::{
    json_web_token,
    server::{Call, Reply},
    shared::{ISSUER, REPOSITORY, RUN_ID, SHA, Shared},
};

/// The path of the request URL.
pub(crate) const PATH: &str = "/8//idtoken/6f1c0c5e-6f1f-4b5a-9d41-0c6b8f1f6d10/2a4f1e30-b076-4cb2-9235-2036241dedf0";

/// `GET …?api-version=2.0&audience=…` with the request token.
pub(crate) fn handle(shared: &Shared, call: &Call) -> Reply {
    if call.method != Method::GET || call.path != PATH {
        return Reply::json(404, &json!({ "message": "Not Found" }));
    }
    if call.bearer() != Some(shared.oidc_request_token.as_str()) {
        return Reply::json(401, &json!({ "message": "The request token is missing or wrong." }));
    }
    let now = Timestamp::now().as_second();
    let owner = REPOSITORY.split('/').next().unwrap_or_default();
    let default_audience = format!("https://github.com/{owner}");
    let claims = json!({
        "jti": shared.fresh_id(),
        "sub": format!("repo:{REPOSITORY}:ref:refs/heads/develop"),
        "aud": call.query("audience").unwrap_or(&default_audience),
        "ref": "refs/heads/develop",
        "sha": SHA,
        "repository": REPOSITORY,
        "repository_owner": owner,
        "run_id": RUN_ID.to_string(),
        "run_attempt": "1",
        "actor": "octocat",
        "workflow": "ci-cd-enterprise",
        "event_name": "push",
        "ref_type": "branch",
        "job_workflow_ref": format!("{REPOSITORY}/.github/workflows/ci-cd-enterprise.yml@refs/heads/develop"),
        "runner_environment": "github-hosted",
        "iss": ISSUER,
        "nbf": now - 600,
        "exp": now + 300,
        "iat": now,
    });
    let value = json_web_token::sign(&shared.oidc_key, &claims);
    Reply::json(200, &json!({ "count": value.len(), "value": value }))
}
