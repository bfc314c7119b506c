//! A server on loopback whose every answer is scripted: a Prometheus server that says anything, an instance's own page. It
//! reads a request and writes an answer, and knows no rule of HTTP beyond that.

#![allow(dead_code, reason = "each test binary uses its own part of this module")]

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// A request as it came.
pub struct Asked {
    /// Its head: request line and headers.
    pub head: String,
    /// Its form.
    pub form: BTreeMap<String, String>,
}

/// What the server says.
pub enum Answer {
    /// Status, content type, further header lines, body.
    With(u16, &'static str, String, String),
    /// Never.
    Never,
}

/// A JSON body.
pub fn json(body: impl Into<String>) -> Answer {
    Answer::With(200, "application/json", String::new(), body.into())
}

/// A page of metrics.
pub fn text(body: impl Into<String>) -> Answer {
    Answer::With(200, "text/plain; version=0.0.4", String::new(), body.into())
}

/// The answer that holds these series: labels as JSON, and a value.
pub fn vector(series: &[(&str, &str)]) -> Answer {
    let series: Vec<String> = series.iter().map(|(labels, value)| format!("{{\"metric\":{labels},\"value\":[1.5,\"{value}\"]}}")).collect();
    json(format!("{{\"status\":\"success\",\"data\":{{\"resultType\":\"vector\",\"result\":[{}]}}}}", series.join(",")))
}

/// The answer that holds one number.
pub fn one(value: &str) -> Answer {
    vector(&[("{}", value)])
}

/// Serves on loopback for as long as the test's runtime lives.
pub async fn serve(handler: impl Fn(&Asked) -> Answer + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let handler = Arc::new(handler);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(answer(stream, Arc::clone(&handler)));
        }
    });
    address
}

async fn answer(mut stream: TcpStream, handler: Arc<impl Fn(&Asked) -> Answer>) {
    let mut bytes = Vec::new();
    let asked = loop {
        if let Some(asked) = whole(&bytes) {
            break asked;
        }
        let mut chunk = [0; 4096];
        match stream.read(&mut chunk).await {
            Ok(length @ 1..) => bytes.extend_from_slice(&chunk[..length]),
            Ok(0) | Err(_) => return,
        }
    };
    match handler(&asked) {
        Answer::Never => std::future::pending().await,
        Answer::With(status, content_type, headers, body) => {
            let head = format!(
                "HTTP/1.1 {status} x\r\nContent-Type: {content_type}\r\n{headers}Content-Length: {}\r\nConnection: close\r\n\r\n",
                body.len()
            );
            let _ = stream.write_all((head + &body).as_bytes()).await;
        }
    }
}

fn whole(bytes: &[u8]) -> Option<Asked> {
    let text = String::from_utf8_lossy(bytes);
    let (head, body) = text.split_once("\r\n\r\n")?;
    let length =
        head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length:").map(|length| length.trim().to_owned()));
    let length: usize = length.map_or(0, |length| length.parse().expect("a length"));
    let form = || url::form_urlencoded::parse(body.as_bytes()).into_owned().collect();
    (body.len() >= length).then(|| Asked { head: head.to_owned(), form: form() })
}

impl Asked {
    /// The query of a question to Prometheus.
    pub fn query(&self) -> &str {
        self.form.get("query").map_or("", String::as_str)
    }
}
