//! One HTTP GET as a gate sees it. Never follows a redirect into a pass, never fails: whatever happens is a result.

use std::time::Duration;

use tokio::time::Instant;
use url::Url;

use crate::{execute::HttpResult, http};

/// Characters of an answer that reports show.
const EXCERPT: usize = 200;

/// Bytes of an answer that are read: enough for an excerpt, and a bound on what a broken endpoint can make us hold.
const READ: usize = 64 * 1024;

/// GETs `url` and says what came, within `timeout`.
pub async fn get(client: &reqwest::Client, url: &Url, timeout: Duration) -> HttpResult {
    let begun = Instant::now();
    let answer = tokio::time::timeout(timeout, fetch(client, url)).await;
    let latency_ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
    let (status, error, excerpt) = match answer {
        Ok(Ok((status, body))) => (Some(status), None, excerpt(&body)),
        Ok(Err(error)) => (None, Some(http::cause(&error)), String::new()),
        Err(_) => (None, Some(format!("no answer within {}", seconds(timeout))), String::new()),
    };
    HttpResult { status, error, latency_ms, excerpt }
}

async fn fetch(client: &reqwest::Client, url: &Url) -> Result<(u16, Vec<u8>), reqwest::Error> {
    let mut answer = client.get(url.clone()).send().await?;
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await? {
        body.extend_from_slice(&chunk);
        if body.len() >= READ {
            break;
        }
    }
    Ok((answer.status().as_u16(), body))
}

/// The beginning of `body`, on one line, without control characters.
fn excerpt(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body.get(..READ.min(body.len())).unwrap_or_default());
    let words: Vec<&str> = text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty()).collect();
    let line = words.join(" ");
    match line.char_indices().nth(EXCERPT) {
        Some((end, _)) => format!("{}…", line.get(..end).unwrap_or_default()),
        None => line,
    }
}

fn seconds(duration: Duration) -> String {
    format!("{} s", duration.as_secs_f64())
}

/// `http://ADDRESS:PORT/PATH` for an instance's address (IPv6 in brackets).
///
/// # Errors
/// When the parts do not make a URL.
pub fn address(host: &str, port: u16, path: &str) -> Result<Url, url::ParseError> {
    let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
    Url::parse(&format!("http://{host}:{port}{path}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_excerpt_is_one_safe_line() {
        assert_eq!(excerpt(b"{\n  \"status\": \"ok\"\x1b[31m\r\n}"), "{ \"status\": \"ok\" [31m }");
        assert_eq!(excerpt("é".repeat(500).as_bytes()).chars().count(), EXCERPT + 1);
        assert_eq!(excerpt(b"\xff\xfe"), "\u{fffd}\u{fffd}");
    }

    #[test]
    fn an_instance_is_probed_at_its_address() {
        assert_eq!(address("127.0.0.9", 3000, "/health").map(|u| u.to_string()), Ok("http://127.0.0.9:3000/health".into()));
        assert_eq!(address("fe80::1", 80, "/").map(|u| u.to_string()), Ok("http://[fe80::1]/".into()));
        assert!(address("a b", 1, "/").is_err());
    }
}
