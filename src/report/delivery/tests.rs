//! Trying again, and giving up. Also a service on loopback for the tests of those who deliver.

use std::sync::{Arc, Mutex, PoisonError};

use serde_json::Value;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};
use url::Url;

use super::*;

/// A request that arrived.
#[derive(Debug, Clone)]
pub(in crate::report) struct Asked {
    pub(in crate::report) method: String,
    pub(in crate::report) path: String,
    pub(in crate::report) authorization: String,
    pub(in crate::report) body: Value,
}

/// What is answered.
pub(in crate::report) enum Say {
    /// This status and body.
    This(u16, Value),
    /// Nothing: the connection is closed.
    Lost,
}

/// A service that answers as the test says, for as long as the test's runtime lives.
pub(in crate::report) struct Service {
    pub(in crate::report) base: Url,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Service {
    pub(in crate::report) async fn start(mut say: impl FnMut(&Asked) -> Say + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let base = Url::parse(&format!("http://{}/", listener.local_addr().expect("an address"))).expect("a URL");
        let asked: Arc<Mutex<Vec<Asked>>> = Arc::default();
        let seen = asked.clone();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut bytes = Vec::new();
                let request = loop {
                    if let Some(request) = whole(&bytes) {
                        break request;
                    }
                    if stream.read_buf(&mut bytes).await.is_ok_and(|read| read > 0) {
                        continue;
                    }
                    return;
                };
                let said = say(&request);
                seen.lock().unwrap_or_else(PoisonError::into_inner).push(request);
                if let Say::This(status, body) = said {
                    let body = body.to_string();
                    let head =
                        format!("HTTP/1.1 {status} x\r\nconnection: close\r\nretry-after: 0\r\ncontent-length: {}\r\n\r\n", body.len());
                    let _ = stream.write_all((head + &body).as_bytes()).await;
                }
            }
        });
        Self { base, asked }
    }

    pub(in crate::report) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn whole(bytes: &[u8]) -> Option<Asked> {
    let text = std::str::from_utf8(bytes).ok()?;
    let (head, body) = text.split_once("\r\n\r\n")?;
    let header = |wanted: &str| head.lines().filter_map(|line| line.split_once(": ")).find(|(name, _)| name.eq_ignore_ascii_case(wanted));
    let length: usize = header("content-length").map_or(0, |(_, length)| length.parse().expect("a length"));
    let mut words = head.split_whitespace().map(str::to_owned);
    (body.len() >= length).then(|| Asked {
        method: words.next().unwrap_or_default(),
        path: words.next().unwrap_or_default(),
        authorization: header("authorization").map_or_else(String::new, |(_, value)| value.to_owned()),
        body: serde_json::from_str(body).unwrap_or(Value::Null),
    })
}

pub(in crate::report) fn client() -> reqwest::Client {
    crate::http::client().expect("a client")
}

async fn deliver_to(answers: &'static [u16]) -> (Result<u16, Undelivered>, usize) {
    let mut left = answers.iter();
    let service = Service::start(move |_| match left.next() {
        Some(0) | None => Say::Lost,
        Some(status) => Say::This(*status, Value::Null),
    })
    .await;
    let client = client();
    let result = deliver(TRIES, || client.get(service.base.clone())).await;
    (result.map(|answer| answer.status().as_u16()), service.asked().len())
}

#[tokio::test]
async fn a_busy_or_silent_service_is_asked_again_and_a_refusal_is_final() {
    let refused = |status: u16| Undelivered::Refused { status: StatusCode::from_u16(status).expect("a status"), body: "null".into() };
    assert_eq!(deliver_to(&[202]).await, (Ok(202), 1));
    assert_eq!(deliver_to(&[429, 500, 202]).await, (Ok(202), 3));
    assert_eq!(deliver_to(&[420, 202]).await, (Ok(202), 2));
    assert_eq!(deliver_to(&[0, 202]).await, (Ok(202), 2));
    assert_eq!(deliver_to(&[503, 503, 503, 202]).await, (Err(Undelivered::Unanswered("HTTP 503 Service Unavailable".into())), 3));
    assert_eq!(deliver_to(&[400, 202]).await, (Err(refused(400)), 1));
    assert_eq!(deliver_to(&[302, 202]).await, (Err(refused(302)), 1));
}
