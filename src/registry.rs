//! From an image's tag to its digest, at the registry (OCI distribution specification 1.1, "Pulling manifests").
//! Reads only; a tag can move, so what is deployed is the digest it stands for now.

use std::{collections::BTreeMap, time::Duration};

use reqwest::{
    StatusCode,
    header::{ACCEPT, WWW_AUTHENTICATE},
};
use sha2::{Digest as _, Sha256};
use url::Url;

use crate::{
    domain::{Digest, ImageRepository, Secret, Version},
    failure::{Failure, FailureKind},
    http::{self, OnRetry, Retry},
};

/// Manifests of images and of multi-platform images, by either specification.
const MANIFESTS: &str = "application/vnd.oci.image.index.v1+json, application/vnd.docker.distribution.manifest.list.v2+json, \
     application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json";

/// How often a registry is asked before it counts as down.
const TRIES: u32 = 4;

/// The first wait between two tries, doubled each time: 7 s in all.
const FIRST_WAIT: Duration = Duration::from_secs(1);

/// The longest wait that a registry may ask for.
const LONGEST_WAIT: Duration = Duration::from_secs(20);

/// How long one answer may take.
const ANSWER: Duration = Duration::from_secs(15);

/// Who pulls. The server is the image's registry.
#[derive(Debug, Clone, Copy)]
pub struct RegistryLogin<'a> {
    /// `registry-username`.
    pub username: &'a str,
    /// `registry-password`.
    pub password: &'a Secret,
}

/// Why an image's digest is not known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RegistryError {
    /// There is no such image.
    Missing {
        /// `repository:tag`.
        image: String,
    },
    /// The registry does not let us see it.
    Denied {
        /// `repository:tag`.
        image: String,
        /// The HTTP status.
        status: u16,
    },
    /// The registry does not answer, or only with errors.
    Unreachable {
        /// Its host.
        host: String,
        /// Why.
        why: String,
    },
    /// What it answers is not what the specification says.
    Nonsense {
        /// `repository:tag`.
        image: String,
        /// What is wrong.
        why: String,
    },
}

impl From<RegistryError> for Failure {
    fn from(error: RegistryError) -> Self {
        let untouched = "nothing was touched; what ran before still runs";
        match error {
            RegistryError::Missing { image } => Self::new(FailureKind::Image, format!("the image {image} does not exist"), image)
                .meaning(untouched)
                .next("let the build job push it before this step runs (`needs: build`), with exactly this tag")
                .next("compare the environment's `tag` in deploy.yml with the tag that the build job pushes"),
            RegistryError::Denied { image, status } => Self::new(
                FailureKind::Image,
                format!(
                    "the registry does not show the image {image} to us (HTTP {status}); a private image that does not exist looks the same"
                ),
                image,
            )
            .meaning(untouched)
            .next("check the inputs registry-username and registry-password: a token with read:packages for this package"),
            RegistryError::Unreachable { host, why } => {
                Self::new(FailureKind::Registry, format!("the registry {host} does not answer: {why}"), format!("registry {host}"))
                    .meaning(untouched)
                    .next("look at the registry's status page, then run the workflow again")
            }
            RegistryError::Nonsense { image, why } => {
                Self::new(FailureKind::Registry, format!("the registry's answer for {image} cannot be read: {why}"), image)
                    .meaning(untouched)
                    .next("check `image` in deploy.yml: is it the registry's own address?")
            }
        }
    }
}

/// The digest that `version` stands for now.
///
/// # Errors
/// See [`RegistryError`]. Nothing is ever changed at the registry.
pub async fn resolve(
    client: &reqwest::Client,
    repository: &ImageRepository,
    version: &Version,
    login: Option<&RegistryLogin<'_>>,
    on_retry: &OnRetry,
) -> Result<Digest, RegistryError> {
    look(client, repository, version.as_str(), format!("{repository}:{version}"), login, on_retry).await
}

/// Whether the image with this digest is there.
///
/// # Errors
/// See [`RegistryError`]; `Missing` where it is not. Nothing is ever changed at the registry.
pub async fn require(
    client: &reqwest::Client,
    repository: &ImageRepository,
    digest: &Digest,
    login: Option<&RegistryLogin<'_>>,
    on_retry: &OnRetry,
) -> Result<(), RegistryError> {
    look(client, repository, digest.as_str(), format!("{repository}@{digest}"), login, on_retry).await.map(|_| ())
}

/// The digest of the image that `reference`, a tag or a digest, stands for; `image` is what it is called in an error.
async fn look(
    client: &reqwest::Client,
    repository: &ImageRepository,
    reference: &str,
    image: String,
    login: Option<&RegistryLogin<'_>>,
    on_retry: &OnRetry,
) -> Result<Digest, RegistryError> {
    let unusable = |_| RegistryError::Nonsense { image: image.clone(), why: "no address can be made of it".into() };
    let url = Url::parse(&format!("https://{}/v2/{}/manifests/{reference}", repository.host(), repository.name())).map_err(unusable)?;
    let pull = Pull { client, host: repository.host(), repository, image: &image, login, on_retry };
    let mut token = None;
    // HEAD, at most once refused for want of a token, at most once without a digest: then the manifest itself is read.
    let mut answer = pull.ask(reqwest::Method::HEAD, &url, None).await?;
    if answer.status() == StatusCode::UNAUTHORIZED {
        token = Some(pull.token(&answer).await?);
        answer = pull.ask(reqwest::Method::HEAD, &url, token.as_ref()).await?;
    }
    pull.accept(answer.status())?;
    if let Some(digest) = answer.headers().get("docker-content-digest").and_then(|value| value.to_str().ok()) {
        return digest
            .parse()
            .map_err(|error| RegistryError::Nonsense { image: image.clone(), why: format!("Docker-Content-Digest {error}") });
    }
    let answer = pull.ask(reqwest::Method::GET, &url, token.as_ref()).await?;
    pull.accept(answer.status())?;
    let nonsense = |why: String| RegistryError::Nonsense { image: image.clone(), why };
    let manifest = answer.bytes().await.map_err(|error| nonsense(http::cause(&error)))?;
    let hex: String = Sha256::digest(&manifest).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{hex}").parse().map_err(|_| nonsense("no digest can be made of it".into()))
}

struct Pull<'a> {
    client: &'a reqwest::Client,
    host: &'a str,
    repository: &'a ImageRepository,
    image: &'a str,
    login: Option<&'a RegistryLogin<'a>>,
    on_retry: &'a OnRetry,
}

impl Pull<'_> {
    /// Sends, repeating what may pass: no answer, 429, 5xx.
    async fn ask(&self, method: reqwest::Method, url: &Url, token: Option<&Secret>) -> Result<reqwest::Response, RegistryError> {
        self.send(|| {
            let request = self.client.request(method.clone(), url.clone()).header(ACCEPT, MANIFESTS);
            match token {
                Some(token) => request.bearer_auth(token.expose()),
                None => request,
            }
        })
        .await
    }

    async fn send(&self, request: impl Fn() -> reqwest::RequestBuilder) -> Result<reqwest::Response, RegistryError> {
        let mut wait = FIRST_WAIT;
        for tries in 1.. {
            let (why, asked) = match request().timeout(ANSWER).send().await {
                Ok(answer) if answer.status() == StatusCode::TOO_MANY_REQUESTS || answer.status().is_server_error() => {
                    let seconds =
                        answer.headers().get("retry-after").and_then(|value| value.to_str().ok()).and_then(|text| text.parse().ok());
                    (format!("HTTP {}", answer.status()), seconds.map(Duration::from_secs))
                }
                Ok(answer) => return Ok(answer),
                Err(error) => (http::cause(&error), None),
            };
            if tries == TRIES {
                return Err(RegistryError::Unreachable { host: self.host.into(), why });
            }
            let after = asked.unwrap_or(wait).min(LONGEST_WAIT);
            (self.on_retry)(Retry { what: format!("read the digest of {}", self.image), why, after });
            tokio::time::sleep(after).await;
            wait *= 2;
        }
        Err(RegistryError::Unreachable { host: self.host.into(), why: "it was not asked".into() })
    }

    fn accept(&self, status: StatusCode) -> Result<(), RegistryError> {
        match status {
            StatusCode::NOT_FOUND => Err(RegistryError::Missing { image: self.image.into() }),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                Err(RegistryError::Denied { image: self.image.into(), status: status.as_u16() })
            }
            status if status.is_success() => Ok(()),
            status => Err(RegistryError::Nonsense { image: self.image.into(), why: format!("HTTP {status}") }),
        }
    }

    /// The token that the registry's challenge points to. The password goes to https only: to the realm that the registry,
    /// reached by TLS, names.
    async fn token(&self, refused: &reqwest::Response) -> Result<Secret, RegistryError> {
        let nonsense = |why: &str| RegistryError::Nonsense { image: self.image.into(), why: why.to_owned() };
        let challenge = refused.headers().get(WWW_AUTHENTICATE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let fields = bearer(challenge).ok_or_else(|| nonsense("it asks for a login other than Bearer"))?;
        let realm = fields.get("realm").and_then(|realm| Url::parse(realm).ok()).filter(|realm| realm.scheme() == "https");
        let mut realm = realm.ok_or_else(|| nonsense("its challenge names no https realm"))?;
        let scope = fields.get("scope").cloned().unwrap_or_else(|| format!("repository:{}:pull", self.repository.name()));
        realm.query_pairs_mut().append_pair("scope", &scope);
        if let Some(service) = fields.get("service") {
            realm.query_pairs_mut().append_pair("service", service);
        }
        let answer = self
            .send(|| {
                let request = self.client.get(realm.clone());
                match self.login {
                    Some(login) => request.basic_auth(login.username, Some(login.password.expose())),
                    None => request,
                }
            })
            .await?;
        self.accept(answer.status())?;
        let body: TokenAnswer = answer.json().await.map_err(|_| nonsense("its token answer is no JSON"))?;
        body.token.or(body.access_token).map(Secret::new).ok_or_else(|| nonsense("its token answer holds no token"))
    }
}

#[derive(serde::Deserialize)]
struct TokenAnswer {
    token: Option<String>,
    access_token: Option<String>,
}

/// The fields of a `Bearer` challenge: `realm="…",service="…",scope="a:b:c,d"` (RFC 6750; commas may be inside quotes).
fn bearer(challenge: &str) -> Option<BTreeMap<String, String>> {
    let (scheme, rest) = challenge.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return None;
    }
    let mut fields = BTreeMap::new();
    let mut rest = rest.trim();
    while let Some((name, after)) = rest.split_once('=') {
        let (value, after) = match after.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"')?,
            None => after.split_once(',').map_or((after, ""), |(value, after)| (value, after)),
        };
        fields.insert(name.trim().to_ascii_lowercase(), value.to_owned());
        rest = after.trim_start().trim_start_matches(',').trim_start();
    }
    Some(fields)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_challenges() {
        let fields = bearer(r#"Bearer realm="https://ghcr.io/token",service="ghcr.io",scope="repository:a/b:pull,push""#).expect("bearer");
        assert_eq!((fields["realm"].as_str(), fields["scope"].as_str()), ("https://ghcr.io/token", "repository:a/b:pull,push"));
        assert_eq!(bearer("Basic realm=\"x\""), None);
        assert_eq!(bearer(""), None);
        assert_eq!(bearer("Bearer realm=\"unclosed"), None);
    }
}
