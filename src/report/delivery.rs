//! One request of a report: a limit for its answer, a few tries, the pause that the service asks for. Knows no service.

use std::time::Duration;

use reqwest::{RequestBuilder, Response, StatusCode};

use crate::http;

/// How long one answer may take, and how often a request is usually sent.
const ANSWER: Duration = Duration::from_secs(5);
pub(super) const TRIES: u32 = 3;

/// The pause before the second try; it doubles.
pub(super) const PAUSE: Duration = Duration::from_secs(1);

/// The longest pause that a service may ask for by Retry-After.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// Characters of a refusal's body that are kept.
const WORDS: usize = 2000;

/// Why a request came to nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Undelivered {
    /// The service refused it: asking again would bring the same.
    Refused {
        /// The status.
        status: StatusCode,
        /// The first characters of what it said.
        body: String,
    },
    /// No answer came, or only that the service is busy or ill.
    Unanswered(String),
}

impl std::fmt::Display for Undelivered {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Refused { status, body } => write!(f, "HTTP {status} {}", super::text::line(body, 100)),
            Self::Unanswered(why) => f.write_str(why),
        }
    }
}

/// Sends what `request` makes, at most `tries` times; gives the good answer.
///
/// # Errors
/// What the service, or the network, said to the last try.
pub(super) async fn deliver(tries: u32, request: impl Fn() -> RequestBuilder) -> Result<Response, Undelivered> {
    let mut pause = PAUSE;
    for last in (0..tries).rev() {
        let (why, after) = match request().timeout(ANSWER).send().await {
            Ok(answer) if answer.status().is_success() => return Ok(answer),
            Ok(answer) if is_busy(answer.status()) => {
                let after = answer.headers().get("retry-after").and_then(|value| value.to_str().ok()).and_then(|text| text.parse().ok());
                (format!("HTTP {}", answer.status()), after.map(Duration::from_secs))
            }
            Ok(answer) => {
                let status = answer.status();
                let body = answer.text().await.unwrap_or_default().chars().take(WORDS).collect();
                return Err(Undelivered::Refused { status, body });
            }
            Err(error) => (http::cause(&error), None),
        };
        if last == 0 {
            return Err(Undelivered::Unanswered(why));
        }
        tokio::time::sleep(after.unwrap_or(pause).min(LONGEST_PAUSE)).await;
        pause *= 2;
    }
    Err(Undelivered::Unanswered("it was not asked".into()))
}

/// Whether asking again later may help. 420 is Statuspage's older word for 429 (Statuspage API: "Rate Limiting").
fn is_busy(status: StatusCode) -> bool {
    status == StatusCode::TOO_MANY_REQUESTS || status.as_u16() == 420 || status.is_server_error()
}

#[cfg(test)]
pub(super) mod tests;
