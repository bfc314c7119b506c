//! The container registry: manifests by tag and digest behind a bearer challenge, as GHCR does it (OCI distribution 1.1).

use std::collections::BTreeMap;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use hyper::Method;
use serde_json::json;
use sha2::{Digest as _, Sha256};

use crate::{
    fault::Fault,
    server::{Call, Reply},
    shared::{REGISTRY_USER, REPOSITORY, Shared, lock},
};

/// What the registry holds: manifests by tag.
#[derive(Debug, Default)]
pub(crate) struct Registry {
    manifests: BTreeMap<String, String>,
}

impl Registry {
    /// Puts an image in, unless it is there; gives its digest.
    pub(crate) fn push(&mut self, version: &str) -> String {
        if let Some(manifest) = self.manifests.get(version) {
            return digest(manifest.as_bytes());
        }
        let layer = digest(version.as_bytes());
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": layer, "size": 2},
            "layers": [{"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", "digest": layer, "size": 32}],
            "annotations": {"org.opencontainers.image.version": version},
        })
        .to_string();
        let digest = digest(manifest.as_bytes());
        self.manifests.insert(version.to_owned(), manifest);
        digest
    }

    /// Gives the image of `version` the tag `name`, too; gives its digest.
    pub(crate) fn tag(&mut self, version: &str, name: &str) -> String {
        let digest = self.push(version);
        if let Some(manifest) = self.manifests.get(version).cloned() {
            self.manifests.insert(name.to_owned(), manifest);
        }
        digest
    }

    /// Takes an image out.
    pub(crate) fn remove(&mut self, version: &str) {
        self.manifests.remove(version);
    }
}

fn digest(bytes: &[u8]) -> String {
    let hex: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{hex}")
}

fn error(status: u16, code: &str, message: &str) -> Reply {
    Reply::json(status, &json!({"errors": [{"code": code, "message": message}]}))
}

/// Answers a request to the registry.
pub(crate) fn handle(shared: &Shared, call: &Call) -> Reply {
    if call.path == "/token" {
        return token(shared, call);
    }
    let host = &shared.urls().registry;
    let Some((name, reference)) = call.path.strip_prefix("/v2/").and_then(|rest| rest.split_once("/manifests/")) else {
        return error(404, "NOT_FOUND", "not found");
    };
    let granted = format!("Bearer {}", grant(name));
    if call.header("authorization") != Some(granted.as_str()) {
        let challenge = format!("Bearer realm=\"https://{host}/token\",service=\"{host}\",scope=\"repository:{name}:pull\"");
        return error(401, "UNAUTHORIZED", "authentication required").header("www-authenticate", challenge);
    }
    if shared.faults.is_on(Fault::ImageMissing) || name != REPOSITORY {
        return error(404, "MANIFEST_UNKNOWN", "manifest unknown");
    }
    let registry = lock(&shared.registry);
    let found = registry.manifests.iter().find(|(tag, manifest)| *tag == reference || digest(manifest.as_bytes()) == reference);
    match found {
        None => error(404, "MANIFEST_UNKNOWN", "manifest unknown"),
        Some((_, manifest)) => {
            let body = if call.method == Method::HEAD { "" } else { manifest.as_str() };
            Reply::with(200, "application/vnd.oci.image.manifest.v1+json", body)
                .header("docker-content-digest", digest(manifest.as_bytes()))
        }
    }
}

fn grant(name: &str) -> String {
    STANDARD.encode(format!("pull {name}"))
}

/// Tokens for those who log in; a private package shows itself to nobody else.
fn token(shared: &Shared, call: &Call) -> Reply {
    let scope = call.query("scope").unwrap_or_default();
    let name = scope.strip_prefix("repository:").and_then(|rest| rest.split(':').next()).unwrap_or_default();
    match call.basic() {
        Some((user, password)) if user == REGISTRY_USER && password == shared.registry_password => {
            Reply::json(200, &json!({"token": grant(name)}))
        }
        Some(_) => error(403, "DENIED", "denied: denied"),
        None => error(401, "UNAUTHORIZED", "authentication required"),
    }
}
