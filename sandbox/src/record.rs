//! Every request that arrived, in order, for tests to assert and for scripts to check against others' schemas.
//! Keeps no authorization header's value, no client secret, no assertion and no routing key.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, Write as _},
    path::Path,
    sync::Mutex,
    time::{Duration, Instant},
};

use hyper::HeaderMap;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::shared::lock;

/// A request, and the status it got.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Recorded {
    /// When it arrived.
    pub time: Timestamp,
    /// How long after the world's start it arrived.
    #[serde(skip)]
    pub after: Duration,
    /// Which service it came to: `azure`, `oidc`, `registry`, `github`, `slack`, `pagerduty`,
    /// `status-page`, `public:dev`, `instance:NAME`.
    pub service: String,
    /// The method, in capitals.
    pub method: String,
    /// Path and query, as they were sent.
    pub path: String,
    /// Headers by their lower-case names; the authorization header is reduced to its scheme.
    pub headers: BTreeMap<String, String>,
    /// The body: JSON where it is, otherwise text; null where there was none.
    pub body: Value,
    /// The status it got; `None`: no answer (yet), or the connection was dropped.
    pub status: Option<u16>,
}

impl Recorded {
    /// Whether it was meant to change something (any method but GET, HEAD and OPTIONS), token requests excepted.
    #[must_use]
    pub fn is_change(&self) -> bool {
        !matches!(self.method.as_str(), "GET" | "HEAD" | "OPTIONS") && !self.path.contains("/oauth2/")
    }

    /// `METHOD path` without the query, for assertions that read well.
    #[must_use]
    pub fn line(&self) -> String {
        format!("{} {}", self.method, self.path.split('?').next().unwrap_or_default())
    }
}

/// Where requests are kept.
#[derive(Debug)]
pub(crate) struct Recorder {
    started: Instant,
    requests: Mutex<Vec<Recorded>>,
    count: watch::Sender<usize>,
    file: Option<Mutex<File>>,
}

impl Recorder {
    pub(crate) fn new(file: Option<&Path>) -> io::Result<Self> {
        let file = file.map(File::create).transpose()?.map(Mutex::new);
        Ok(Self { started: Instant::now(), requests: Mutex::default(), count: watch::Sender::new(0), file })
    }

    /// Notes an arriving request; gives its number.
    pub(crate) fn arrived(&self, service: String, method: &str, path: &str, headers: &HeaderMap, body: &[u8]) -> usize {
        let headers = headers
            .iter()
            .map(|(name, value)| {
                let value = value.to_str().unwrap_or("(not text)");
                let value =
                    if name == "authorization" { format!("{} ***", value.split(' ').next().unwrap_or_default()) } else { value.to_owned() };
                (name.as_str().to_owned(), value)
            })
            .collect();
        let recorded = Recorded {
            time: Timestamp::now(),
            after: self.started.elapsed(),
            service,
            method: method.to_owned(),
            path: path.to_owned(),
            headers,
            body: readable(body),
            status: None,
        };
        let mut requests = lock(&self.requests);
        requests.push(recorded);
        let count = requests.len();
        drop(requests);
        self.count.send_replace(count);
        count - 1
    }

    /// Notes the status that a request got.
    pub(crate) fn answered(&self, number: usize, status: Option<u16>) {
        let mut requests = lock(&self.requests);
        let Some(request) = requests.get_mut(number) else { return };
        request.status = status;
        self.count.send_modify(|_| {});
        if let Some(file) = &self.file {
            let mut line = serde_json::to_string(request).unwrap_or_else(|error| json!({ "error": error.to_string() }).to_string());
            line.push('\n');
            // A full disk must not stop the world; whoever reads the file notices that lines are missing.
            let _ = lock(file).write_all(line.as_bytes());
        }
    }

    /// Hears of every request that arrives or is answered.
    pub(crate) fn news(&self) -> watch::Receiver<usize> {
        self.count.subscribe()
    }

    pub(crate) fn all(&self) -> Vec<Recorded> {
        lock(&self.requests).clone()
    }
}

fn readable(body: &[u8]) -> Value {
    if body.is_empty() {
        return Value::Null;
    }
    if let Ok(mut value) = serde_json::from_slice::<Value>(body) {
        if let Some(key) = value.get_mut("routing_key") {
            *key = json!("***");
        }
        return value;
    }
    let text = String::from_utf8_lossy(body);
    if !text.contains("client_secret=") && !text.contains("client_assertion=") {
        return Value::String(text.into_owned());
    }
    let fields: Vec<String> = text
        .split('&')
        .map(|field| match field.split_once('=') {
            Some((name @ ("client_secret" | "client_assertion"), _)) => format!("{name}=***"),
            _ => field.to_owned(),
        })
        .collect();
    Value::String(fields.join("&"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_credential_is_kept() {
        let recorder = Recorder::new(None).unwrap();
        let mut headers = HeaderMap::new();
        headers.insert("authorization", "Bearer abc".parse().unwrap());
        recorder.arrived("azure".to_owned(), "POST", "/t/oauth2/v2.0/token", &headers, b"grant_type=x&client_secret=abc&scope=y");
        recorder.answered(0, Some(200));
        recorder.arrived("pagerduty".to_owned(), "POST", "/v2/enqueue", &headers, br#"{"routing_key": "abc", "event_action": "trigger"}"#);
        let kept = recorder.all();
        assert!(!format!("{kept:?}").contains("abc"));
        assert_eq!(kept[0].headers["authorization"], "Bearer ***");
        assert_eq!(kept[1].body["event_action"], "trigger");
        assert_eq!(kept[0].body, "grant_type=x&client_secret=***&scope=y");
    }
}
