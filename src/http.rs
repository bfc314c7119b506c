//! The one HTTP client that everything shares: TLS roots, time limits, proxy. Also: saying why a request failed.
//! Knows no service.

use std::{error::Error, sync::Arc, time::Duration};

use crate::failure::{Failure, FailureKind};

/// How long a TCP and TLS handshake may take.
const CONNECT: Duration = Duration::from_secs(10);

/// A request is about to be sent again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retry {
    /// What was asked, e.g. "PUT container group aci-dev-nextgen".
    pub what: String,
    /// Why it is repeated, e.g. "429 Too Many Requests".
    pub why: String,
    /// In how long.
    pub after: Duration,
}

/// Hears of every repeated request.
pub type OnRetry = Arc<dyn Fn(Retry) + Send + Sync>;

/// The client: rustls with ring, the system's CA roots or those of `SSL_CERT_FILE`, proxies from the usual variables.
/// It follows no redirect: an API that moved is an error, a probe that is sent elsewhere is not healthy (a 3xx is no 2xx).
///
/// # Errors
/// When TLS cannot be set up, e.g. because there are no CA roots.
pub fn client() -> Result<reqwest::Client, Failure> {
    // The second call finds the first one's provider in place, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder()
        .user_agent(concat!("deploy-action/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(CONNECT)
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .map_err(|error| {
            Failure::new(FailureKind::Request, format!("TLS cannot be set up: {}", cause(&error)), "this runner")
                .meaning("nothing was touched")
                .next("check that SSL_CERT_FILE, where set, names a PEM file of CA certificates")
        })
}

/// Why a request brought no answer, in a few words and without its URL (a webhook's URL is a secret).
#[must_use]
pub fn cause(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return "no answer in time".into();
    }
    let mut innermost: &dyn Error = error;
    while let Some(source) = innermost.source() {
        if let Some(io) = source.downcast_ref::<std::io::Error>()
            && let Some(words) = io_words(io)
        {
            return words.into();
        }
        innermost = source;
    }
    let text = innermost.to_string();
    match text.as_str() {
        _ if error.is_builder() => "the request could not be built".into(),
        "connection closed before message completed" => "the connection was closed before an answer came".into(),
        _ if std::ptr::addr_eq(innermost, error) => "the request failed".into(),
        _ => text.chars().filter(|c| !c.is_control()).take(200).collect(),
    }
}

/// What an error of the network is, in a few words; `None`: something else.
pub(crate) fn io_words(error: &std::io::Error) -> Option<&'static str> {
    match error.kind() {
        std::io::ErrorKind::ConnectionRefused => Some("connection refused"),
        std::io::ErrorKind::ConnectionReset => Some("the connection was reset before an answer came"),
        std::io::ErrorKind::TimedOut => Some("no answer in time"),
        std::io::ErrorKind::UnexpectedEof => Some("the connection was closed before an answer came"),
        _ => None,
    }
}
