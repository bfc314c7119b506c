//! Logging in to Entra: federation with GitHub's OIDC, a client secret, or a token from outside. Fetches nothing by itself:
//! the first request does, once.

use std::sync::Arc;

use azure_core::{
    cloud::CustomConfiguration,
    credentials::{AccessToken, TokenCredential, TokenRequestOptions},
    error::ErrorKind,
    http::{ClientMethodOptions, ClientOptions, RetryOptions, Transport},
    time::OffsetDateTime,
};
use azure_identity::{
    ClientAssertion, ClientAssertionCredential, ClientAssertionCredentialOptions, ClientSecretCredential, ClientSecretCredentialOptions,
};
use url::Url;

use crate::{domain::Secret, http};

/// The audience that Entra expects in GitHub's token (Microsoft: workload identity federation, GitHub Actions).
const AUDIENCE: &str = "api://AzureADTokenExchange";

/// How to log in.
#[derive(Debug, Clone)]
pub enum Login {
    /// GitHub vouches for the workflow; Azure keeps no secret of it (default).
    Federated {
        /// Entra tenant id.
        tenant: String,
        /// Application (client) id.
        client: String,
        /// `ACTIONS_ID_TOKEN_REQUEST_URL`.
        request_url: Url,
        /// `ACTIONS_ID_TOKEN_REQUEST_TOKEN`.
        request_token: Secret,
    },
    /// A client secret.
    ClientSecret {
        /// Entra tenant id.
        tenant: String,
        /// Application (client) id.
        client: String,
        /// The secret.
        secret: Secret,
    },
    /// An access token given by the environment.
    Token(Secret),
}

/// A credential that asks `authority` over `client`.
pub(super) fn credential(login: Login, authority: &Url, client: &reqwest::Client) -> azure_core::Result<Arc<dyn TokenCredential>> {
    let options = || ClientOptions {
        transport: Some(Transport::new(Arc::new(client.clone()))),
        retry: RetryOptions::none(),
        cloud: Some(Arc::new(cloud(authority))),
        ..ClientOptions::default()
    };
    Ok(match login {
        Login::Federated { tenant, client: id, request_url, request_token } => {
            let assertion = GithubToken { http: client.clone(), request_url, request_token };
            let options = ClientAssertionCredentialOptions { client_options: options() };
            ClientAssertionCredential::new(tenant, id, assertion, Some(options))?
        }
        Login::ClientSecret { tenant, client: id, secret } => {
            let secret = azure_core::credentials::Secret::new(secret.expose().to_owned());
            ClientSecretCredential::new(&tenant, id, secret, Some(ClientSecretCredentialOptions { client_options: options() }))?
        }
        Login::Token(token) => Arc::new(GivenToken(token)),
    })
}

fn cloud(authority: &Url) -> azure_core::cloud::CloudConfiguration {
    let mut custom = CustomConfiguration::default();
    custom.authority_host = authority.to_string();
    custom.into()
}

/// GitHub's OIDC token of this job.
#[derive(Debug)]
struct GithubToken {
    http: reqwest::Client,
    request_url: Url,
    request_token: Secret,
}

#[derive(serde::Deserialize)]
struct Answer {
    value: String,
}

#[async_trait::async_trait]
impl ClientAssertion for GithubToken {
    async fn secret(&self, _: Option<ClientMethodOptions<'_>>) -> azure_core::Result<String> {
        let failed = |why: String| azure_core::Error::with_message(ErrorKind::Credential, format!("GitHub gave no OIDC token: {why}"));
        let mut url = self.request_url.clone();
        url.query_pairs_mut().append_pair("audience", AUDIENCE);
        let answer = self.http.get(url).bearer_auth(self.request_token.expose()).send().await;
        let answer = answer.map_err(|error| failed(http::cause(&error)))?;
        if !answer.status().is_success() {
            return Err(failed(format!("HTTP {}", answer.status())));
        }
        let answer: Answer = answer.json().await.map_err(|error| failed(http::cause(&error)))?;
        Ok(answer.value)
    }
}

/// A token that somebody else fetched.
#[derive(Debug)]
struct GivenToken(Secret);

#[async_trait::async_trait]
impl TokenCredential for GivenToken {
    async fn get_token(&self, _: &[&str], _: Option<TokenRequestOptions<'_>>) -> azure_core::Result<AccessToken> {
        // Its real end is not known; Azure says 401 when it has come.
        let expires = OffsetDateTime::now_utc() + azure_core::time::Duration::hours(1);
        Ok(AccessToken::new(self.0.expose().to_owned(), expires))
    }
}
