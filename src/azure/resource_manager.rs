//! Sending requests to Azure Resource Manager: token, retries within a budget, and knowing what a missing answer means.
//! Knows no resource type.

use std::{sync::Arc, time::Duration};

use azure_core::{
    credentials::TokenCredential,
    error::ErrorKind,
    http::{
        ClientOptions, Context, HttpClient, Method, Pipeline, PipelineSendOptions, Request, RetryOptions, Transport,
        headers::{HeaderName, Headers},
        policies::auth::BearerTokenAuthorizationPolicy,
    },
};
use tokio::time::Instant;
use url::Url;

use super::{
    AzureError, Login,
    error::{Asked, printable},
    login,
};
use crate::http::{OnRetry, Retry};

/// How often a request is sent before it has failed: with the waits below that is about two minutes of an outage.
const TRIES: u32 = 8;

/// How long a request is repeated at most, whatever Azure asks for by Retry-After. Resource Manager's token buckets refill
/// within 25 s (200 tokens at 10 a second is 20 s), so longer than this is an outage that people should hear of.
const BUDGET: Duration = Duration::from_secs(180);

/// The first wait where Azure names none; doubled each time up to [`LONGEST_WAIT`].
const FIRST_WAIT: Duration = Duration::from_secs(1);

/// The longest wait where Azure names none.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// How long one answer may take. Resource Manager itself gives up after 60 s.
const ANSWER: Duration = Duration::from_secs(75);

/// Where Azure is and how to log in.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Base of Resource Manager, e.g. `https://management.azure.com/`.
    pub resource_manager: Url,
    /// Base of Entra, e.g. `https://login.microsoftonline.com/`; must be https.
    pub authority_host: Url,
    /// Subscription id.
    pub subscription: String,
    /// How to log in.
    pub login: Login,
}

/// Azure Resource Manager. Making one sends nothing.
pub struct ResourceManager {
    base: Url,
    subscription: String,
    scope: String,
    credential: Arc<dyn TokenCredential>,
    pipeline: Pipeline,
    on_retry: OnRetry,
}

/// An answer, whatever its status.
pub(super) struct Answer {
    pub(super) status: u16,
    headers: Headers,
    pub(super) body: Vec<u8>,
}

impl Answer {
    pub(super) fn header(&self, name: &'static str) -> Option<&str> {
        self.headers.get_optional_str(&HeaderName::from_static(name))
    }

    pub(super) const fn is_success(&self) -> bool {
        self.status >= 200 && self.status < 300
    }

    /// How long Azure asks us to wait (`x-ms-retry-after-ms`, `retry-after-ms`, `Retry-After` in seconds).
    pub(super) fn retry_after(&self) -> Option<Duration> {
        let number = |name| self.header(name).and_then(|text| text.trim().parse::<u64>().ok());
        number("x-ms-retry-after-ms")
            .or_else(|| number("retry-after-ms"))
            .map(Duration::from_millis)
            .or_else(|| number("retry-after").map(Duration::from_secs))
    }

    /// Whether Azure may well answer the same request later: throttled, timed out, or broken for the moment.
    const fn is_passing(&self) -> bool {
        matches!(self.status, 408 | 429 | 500 | 502 | 503 | 504)
    }
}

/// What became of a request that changes something.
pub(super) enum Written {
    /// It was answered.
    Answered(Answer),
    /// Nobody knows whether it took effect: look before sending it again.
    Unclear {
        /// Why.
        why: String,
        /// How long Azure asks us to wait, where it does.
        wait: Option<Duration>,
    },
}

impl ResourceManager {
    /// Prepares a client; sends nothing yet.
    ///
    /// # Errors
    /// [`AzureError::Login`] when the settings cannot make a credential, e.g. a tenant that is no tenant id.
    pub fn new(http: reqwest::Client, settings: Settings, on_retry: OnRetry) -> Result<Self, AzureError> {
        let Settings { resource_manager, authority_host, subscription, login } = settings;
        let credential =
            login::credential(login, &authority_host, &http).map_err(|error| AzureError::Login { why: printable(&error.to_string()) })?;
        Ok(Self::over(Arc::new(http), credential, resource_manager, subscription, on_retry))
    }

    /// A client that sends its requests over `transport`, with tokens of `credential`.
    pub(crate) fn over(
        transport: Arc<dyn HttpClient>,
        credential: Arc<dyn TokenCredential>,
        resource_manager: Url,
        subscription: String,
        on_retry: OnRetry,
    ) -> Self {
        let scope = format!("{}/.default", resource_manager.as_str().trim_end_matches('/'));
        let bearer = BearerTokenAuthorizationPolicy::new(credential.clone(), vec![scope.clone()]);
        let options = ClientOptions {
            transport: Some(Transport::new(transport)),
            // Retries are this module's own: only it knows which request may be sent again without looking first.
            retry: RetryOptions::none(),
            ..ClientOptions::default()
        };
        let pipeline = Pipeline::new(
            option_env!("CARGO_PKG_NAME"),
            option_env!("CARGO_PKG_VERSION"),
            options,
            Vec::new(),
            vec![Arc::new(bearer)],
            None,
        );
        Self { base: resource_manager, subscription, scope, credential, pipeline, on_retry }
    }

    /// The subscription.
    #[must_use]
    pub fn subscription(&self) -> &str {
        &self.subscription
    }

    /// The URL of `path` below the subscription's resource group `group`; each part is escaped.
    pub(super) fn url(&self, group: &str, path: &[&str], api_version: &str) -> Result<Url, AzureError> {
        let mut url = self.base.clone();
        let unusable = || AzureError::Login { why: format!("{} cannot be the base of Resource Manager", self.base) };
        url.path_segments_mut()
            .map_err(|()| unusable())?
            .pop_if_empty()
            .extend(["subscriptions", &self.subscription, "resourcegroups", group])
            .extend(path);
        url.query_pairs_mut().append_pair("api-version", api_version);
        Ok(url)
    }

    /// Whether `url` is on the configured Resource Manager: only there may the token go, whatever a header says.
    pub(super) fn is_ours(&self, url: &Url) -> bool {
        url.origin() == self.base.origin()
    }

    /// GETs `url`, repeating what may pass within the budget.
    pub(super) async fn read(&self, asked: &Asked, url: &Url) -> Result<Answer, AzureError> {
        let mut patience = Patience::new();
        loop {
            let (why, wait, error) = match self.once(asked, Method::Get, url, None).await? {
                Ok(answer) if answer.is_passing() => {
                    let why = status_words(answer.status);
                    (
                        why,
                        answer.retry_after(),
                        AzureError::from_answer(asked, answer.status, &answer.body, answer.header("x-ms-correlation-request-id")),
                    )
                }
                Ok(answer) => return Ok(answer),
                Err(failed) => (failed.why.clone(), None, AzureError::Unreachable { asked: asked.clone(), why: failed.why }),
            };
            match patience.next(wait) {
                Some(wait) => self.wait(asked, why, wait).await,
                None => return Err(error),
            }
        }
    }

    /// Sends a request that changes something, repeating it only where it certainly took no effect (no connection, 429).
    pub(super) async fn write(
        &self,
        asked: &Asked,
        method: Method,
        url: &Url,
        body: Option<&serde_json::Value>,
    ) -> Result<Written, AzureError> {
        let mut patience = Patience::new();
        loop {
            let (why, wait, error) = match self.once(asked, method, url, body).await? {
                Ok(answer) if answer.status == 429 => {
                    let error = AzureError::from_answer(asked, answer.status, &answer.body, answer.header("x-ms-correlation-request-id"));
                    (status_words(answer.status), answer.retry_after(), error)
                }
                Ok(answer) if answer.is_passing() => {
                    return Ok(Written::Unclear { why: status_words(answer.status), wait: answer.retry_after() });
                }
                Ok(answer) => return Ok(Written::Answered(answer)),
                Err(Failed { why, reached: Reached::Perhaps }) => return Ok(Written::Unclear { why, wait: None }),
                Err(Failed { why, reached: Reached::Never }) => (why.clone(), None, AzureError::Unreachable { asked: asked.clone(), why }),
            };
            match patience.next(wait) {
                Some(wait) => self.wait(asked, why, wait).await,
                None => return Err(error),
            }
        }
    }

    /// Tells that `asked` is repeated because of `why`, and waits.
    pub(super) async fn wait(&self, asked: &Asked, why: String, after: Duration) {
        (self.on_retry)(Retry { what: asked.to_string(), why, after });
        tokio::time::sleep(after).await;
    }

    /// Sends once. The outer error is the login's.
    async fn once(
        &self,
        asked: &Asked,
        method: Method,
        url: &Url,
        body: Option<&serde_json::Value>,
    ) -> Result<Result<Answer, Failed>, AzureError> {
        self.log_in(asked).await?;
        let mut request = Request::new(url.clone(), method);
        request.insert_header("accept", "application/json");
        if let Some(body) = body {
            request.insert_header("content-type", "application/json");
            request.set_body(body.to_string().into_bytes());
        }
        let options = PipelineSendOptions { skip_checks: true, ..PipelineSendOptions::default() };
        let context = Context::new();
        let sending = self.pipeline.send(&context, &mut request, Some(options));
        let Ok(answer) = tokio::time::timeout(ANSWER, sending).await else {
            return Ok(Err(Failed { why: format!("no answer within {} s", ANSWER.as_secs()), reached: Reached::Perhaps }));
        };
        Ok(match answer {
            Ok(raw) => {
                let (status, headers, body) = raw.deconstruct();
                Ok(Answer { status: status.into(), headers, body: body.to_vec() })
            }
            Err(error) => {
                let reached = if matches!(error.kind(), ErrorKind::Connection) { Reached::Never } else { Reached::Perhaps };
                Err(Failed { why: transport_words(&error), reached })
            }
        })
    }

    /// Makes sure there is a token. Kept by the credential, so all but the first call cost nothing.
    async fn log_in(&self, asked: &Asked) -> Result<(), AzureError> {
        let asked = Asked::new("log in to", format!("Azure (for: {asked})"));
        let mut patience = Patience::new();
        loop {
            let got = tokio::time::timeout(ANSWER, self.credential.get_token(&[&self.scope], None)).await;
            let why = match got {
                Ok(Ok(_)) => return Ok(()),
                Ok(Err(error)) if is_passing(&error) => transport_words(&error),
                Ok(Err(error)) => return Err(AzureError::Login { why: printable(&error_text(&error)) }),
                Err(_) => format!("no answer within {} s", ANSWER.as_secs()),
            };
            match patience.next(None) {
                Some(wait) => self.wait(&asked, why, wait).await,
                None => return Err(AzureError::Unreachable { asked, why }),
            }
        }
    }
}

/// A request without an answer.
struct Failed {
    why: String,
    reached: Reached,
}

/// Whether Azure may have got the request.
enum Reached {
    Never,
    Perhaps,
}

/// How much longer a request is repeated.
pub(super) struct Patience {
    tries: u32,
    end: Instant,
}

impl Patience {
    pub(super) fn new() -> Self {
        Self { tries: 1, end: Instant::now() + BUDGET }
    }

    /// How long to wait before the next try; `None` when the budget is spent or would be by then.
    pub(super) fn next(&mut self, asked: Option<Duration>) -> Option<Duration> {
        let doubled = FIRST_WAIT.saturating_mul(1 << (self.tries - 1).min(10)).min(LONGEST_WAIT);
        let wait = asked.unwrap_or_else(|| jittered(doubled));
        self.tries += 1;
        (self.tries <= TRIES && Instant::now() + wait <= self.end).then_some(wait)
    }
}

/// Between half of `wait` and the whole of it, so that runs that failed together do not come back together.
fn jittered(wait: Duration) -> Duration {
    use std::hash::{BuildHasher, RandomState};
    let random = RandomState::new().hash_one(0_u8) % 1000;
    wait / 2 + wait.mul_f64(f64::from(u16::try_from(random).unwrap_or(0)) / 2000.0)
}

fn status_words(status: u16) -> String {
    let reason = reqwest::StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason()).unwrap_or("");
    format!("{status} {reason}").trim_end().to_owned()
}

/// Whether a failed login may succeed a moment later.
fn is_passing(error: &azure_core::Error) -> bool {
    let mut source: Option<&dyn std::error::Error> = Some(error);
    while let Some(inner) = source {
        if let Some(error) = inner.downcast_ref::<azure_core::Error>() {
            match error.kind() {
                ErrorKind::Connection | ErrorKind::Io => return true,
                ErrorKind::HttpResponse { status, .. } => return matches!(u16::from(*status), 408 | 429 | 500 | 502 | 503 | 504),
                _ => {}
            }
        }
        source = inner.source();
    }
    false
}

/// The innermost reason of a transport error.
fn transport_words(error: &azure_core::Error) -> String {
    let mut source: Option<&dyn std::error::Error> = Some(error);
    while let Some(inner) = source {
        if let Some(error) = inner.downcast_ref::<reqwest::Error>() {
            return crate::http::cause(error);
        }
        source = inner.source();
    }
    printable(&error_text(error))
}

/// An error with its causes, each once.
fn error_text(error: &azure_core::Error) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(inner) = source {
        let more = inner.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        source = inner.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn patience_is_eight_tries_or_three_minutes() {
        let mut patience = Patience::new();
        let waits: Vec<_> = std::iter::from_fn(|| patience.next(None)).collect();
        assert_eq!(waits.len(), 7);
        for (wait, most) in waits.iter().zip([1, 2, 4, 8, 16, 30, 30]) {
            assert!(*wait <= Duration::from_secs(most) && *wait >= Duration::from_secs(most) / 2, "{wait:?} of {most}");
        }
        let mut patience = Patience::new();
        assert_eq!(patience.next(Some(Duration::from_secs(100))), Some(Duration::from_secs(100)));
        tokio::time::advance(Duration::from_secs(100)).await;
        assert_eq!(patience.next(Some(Duration::from_secs(100))), None);
    }
}
