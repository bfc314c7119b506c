//! Microsoft Entra's token endpoint, its discovery documents, and the cloud's metadata, worded as Microsoft words them.
//! Issues tokens for this world's Resource Manager only.

use std::sync::Arc;

use hyper::Method;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::{
    json_web_token::{self, Unreadable},
    server::{Call, Reply},
    shared::{CLIENT_ID, ISSUER, OBJECT_ID, REPOSITORY, Shared, TENANT},
};

/// Everything on the Azure address that is not Resource Manager's.
pub(crate) fn handle(shared: &Arc<Shared>, call: &Call) -> Reply {
    let segments: Vec<String> = call.segments().iter().map(|part| part.to_ascii_lowercase()).collect();
    let parts: Vec<&str> = segments.iter().map(String::as_str).collect();
    match (&call.method, parts.as_slice()) {
        (&Method::GET, ["metadata", "endpoints"]) => Reply::json(200, &metadata(shared)),
        (&Method::GET, [tenant, "v2.0", ".well-known", "openid-configuration"] | [tenant, ".well-known", "openid-configuration"]) => {
            Reply::json(200, &discovery(shared, tenant))
        }
        (&Method::GET, ["common", "discovery", "instance"]) => Reply::json(
            200,
            &json!({ "tenant_discovery_endpoint": format!("{}/{TENANT}/v2.0/.well-known/openid-configuration", shared.urls().azure), "api-version": "1.1", "metadata": [] }),
        ),
        (&Method::GET, [_, "discovery", ..]) => Reply::json(200, &json!({ "keys": [] })),
        (&Method::POST, [tenant, "oauth2", "v2.0", "token"]) => match token(shared, tenant, call) {
            Ok(body) => Reply::json(200, &body).header("cache-control", "no-store, no-cache"),
            Err(refusal) => refusal.reply(shared),
        },
        _ => Reply::json(
            404,
            &json!({ "error": { "code": "NotFound", "message": format!("No service answers {} {}.", call.method, call.path) } }),
        ),
    }
}

/// An access token for Resource Manager, as the token endpoint issues it.
pub(crate) fn access_token(shared: &Shared) -> String {
    let now = Timestamp::now().as_second();
    let claims = json!({
        "aud": shared.urls().azure,
        "iss": format!("{}/{TENANT}/v2.0", shared.urls().azure),
        "iat": now, "nbf": now, "exp": now + 3599,
        "appid": CLIENT_ID, "oid": OBJECT_ID, "sub": OBJECT_ID, "tid": TENANT, "uti": shared.fresh_id(), "ver": "1.0",
    });
    json_web_token::sign(&shared.entra_key, &claims)
}

/// Whether Resource Manager takes a token.
pub(crate) fn accepts(shared: &Shared, token: &str) -> bool {
    json_web_token::read(&shared.entra_key, token)
        .is_ok_and(|claims| claims["exp"].as_i64().is_some_and(|end| end > Timestamp::now().as_second()))
}

struct Refusal {
    status: u16,
    error: &'static str,
    code: u32,
    message: String,
}

impl Refusal {
    fn new(status: u16, error: &'static str, code: u32, message: impl Into<String>) -> Self {
        Self { status, error, code, message: message.into() }
    }

    fn reply(self, shared: &Shared) -> Reply {
        let (trace, correlation) = (shared.fresh_id(), shared.fresh_id());
        let timestamp = jiff::Timestamp::now().strftime("%Y-%m-%d %H:%M:%SZ").to_string();
        let description =
            format!("AADSTS{}: {} Trace ID: {trace} Correlation ID: {correlation} Timestamp: {timestamp}", self.code, self.message);
        Reply::json(
            self.status,
            &json!({
                "error": self.error,
                "error_description": description,
                "error_codes": [self.code],
                "timestamp": timestamp,
                "trace_id": trace,
                "correlation_id": correlation,
                "error_uri": format!("{}/error?code={}", shared.urls().azure, self.code),
            }),
        )
    }
}

fn token(shared: &Shared, tenant: &str, call: &Call) -> Result<Value, Refusal> {
    if tenant != TENANT {
        return Err(Refusal::new(
            400,
            "invalid_request",
            90002,
            format!(
                "Tenant '{tenant}' not found. Check to make sure you have the correct tenant ID and are signing into the correct cloud."
            ),
        ));
    }
    if call.form("grant_type").as_deref() != Some("client_credentials") {
        return Err(Refusal::new(
            400,
            "unsupported_grant_type",
            70003,
            "The app requested an unsupported grant type. Only client_credentials is served here.",
        ));
    }
    let client = call.form("client_id").unwrap_or_default();
    if client != CLIENT_ID {
        return Err(Refusal::new(
            400,
            "unauthorized_client",
            700_016,
            format!("Application with identifier '{client}' was not found in the directory '{TENANT}'."),
        ));
    }
    let scope = call.form("scope").unwrap_or_default();
    if !scope.split(' ').any(|scope| scope.strip_suffix("/.default").is_some_and(|of| of.trim_end_matches('/') == shared.urls().azure)) {
        return Err(Refusal::new(
            400,
            "invalid_resource",
            500_011,
            format!("The resource principal named {scope} was not found in the tenant named sandbox."),
        ));
    }
    if let Some(assertion) = call.form("client_assertion") {
        federated(shared, &assertion)?;
    } else if call.form("client_secret").as_deref() != Some(shared.client_secret.as_str()) {
        return Err(match call.form("client_secret").filter(|secret| !secret.is_empty()) {
            None => Refusal::new(
                401,
                "invalid_client",
                7_000_216,
                "'client_assertion', 'client_secret' or 'request' is required for the 'client_credentials' grant type.",
            ),
            Some(_) => Refusal::new(
                401,
                "invalid_client",
                7_000_215,
                format!(
                    "Invalid client secret provided. Ensure the secret being sent in the request is the client secret value, not the client secret ID, for a secret added to app '{CLIENT_ID}'."
                ),
            ),
        });
    }
    Ok(json!({ "token_type": "Bearer", "expires_in": 3599, "ext_expires_in": 3599, "access_token": access_token(shared) }))
}

/// The rules of a federated credential: who signed it, for whom, about which repository, and when.
fn federated(shared: &Shared, assertion: &str) -> Result<(), Refusal> {
    let claims = json_web_token::read(&shared.oidc_key, assertion).map_err(|unreadable| match unreadable {
        Unreadable::Malformed => Refusal::new(401, "invalid_client", 50027, "JWT token is invalid or malformed."),
        Unreadable::Signature => {
            Refusal::new(401, "invalid_client", 50013, "Assertion failed signature validation. [Reason - The key was not found.]")
        }
    })?;
    let no_match = |code, what: &str| {
        let value = claims[what].as_str().unwrap_or_default();
        let word = match what {
            "iss" => "issuer",
            "aud" => "audience",
            _ => "subject",
        };
        Refusal::new(
            401,
            "invalid_client",
            code,
            format!(
                "No matching federated identity record found for presented assertion {word} '{value}'. Check your federated identity credential Subject, Audience and Issuer against the presented assertion. https://learn.microsoft.com/entra/workload-id/workload-identity-federation"
            ),
        )
    };
    if claims["iss"] != ISSUER {
        return Err(no_match(700_211, "iss"));
    }
    if claims["aud"] != "api://AzureADTokenExchange" {
        return Err(no_match(700_212, "aud"));
    }
    if !claims["sub"].as_str().is_some_and(|subject| subject.starts_with(&format!("repo:{REPOSITORY}:"))) {
        return Err(no_match(700_213, "sub"));
    }
    let now = Timestamp::now().as_second();
    if claims["exp"].as_i64().is_none_or(|end| end <= now) {
        return Err(Refusal::new(401, "invalid_client", 700_024, "Client assertion is not within its valid time range."));
    }
    Ok(())
}

fn discovery(shared: &Shared, tenant: &str) -> Value {
    let azure = &shared.urls().azure;
    let tenant = if tenant == "common" || tenant == "organizations" { TENANT } else { tenant };
    json!({
        "issuer": format!("{azure}/{tenant}/v2.0"),
        "token_endpoint": format!("{azure}/{tenant}/oauth2/v2.0/token"),
        "authorization_endpoint": format!("{azure}/{tenant}/oauth2/v2.0/authorize"),
        "device_authorization_endpoint": format!("{azure}/{tenant}/oauth2/v2.0/devicecode"),
        "end_session_endpoint": format!("{azure}/{tenant}/oauth2/v2.0/logout"),
        "jwks_uri": format!("{azure}/{tenant}/discovery/v2.0/keys"),
        "token_endpoint_auth_methods_supported": ["client_secret_post", "private_key_jwt", "client_secret_basic"],
        "response_types_supported": ["code", "id_token", "token"],
        "subject_types_supported": ["pairwise"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "scopes_supported": ["openid", "profile", "email", "offline_access"],
        "tenant_region_scope": null,
        "cloud_instance_name": "localhost",
    })
}

fn metadata(shared: &Shared) -> Value {
    let azure = &shared.urls().azure;
    json!({
        "name": "Sandbox",
        "portal": azure,
        "gallery": azure,
        "graph": azure,
        "graphAudience": azure,
        "media": azure,
        "resourceManager": azure,
        "batch": azure,
        "sqlManagement": azure,
        "vmImageAliasDoc": format!("{azure}/aliases.json"),
        "authentication": {
            "loginEndpoint": azure,
            "audiences": [azure],
            "tenant": "common",
            "identityProvider": "AAD",
        },
        "suffixes": {
            "acrLoginServer": "azurecr.io",
            "keyVaultDns": "vault.azure.net",
            "storage": "core.windows.net",
            "sqlServerHostname": "database.windows.net",
            "azureDataLakeStoreFileSystem": "azuredatalakestore.net",
            "azureDataLakeAnalyticsCatalogAndJob": "azuredatalakeanalytics.net",
        },
    })
}
