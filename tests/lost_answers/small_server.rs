//! A server on loopback that answers as one test says, request by request: for answers that are lost, broken or late, where
//! the sandbox would behave too well. Knows no service.

use std::{
    io,
    sync::{Arc, Mutex, PoisonError},
};

use serde_json::Value;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::TcpListener,
    task::JoinHandle,
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ServerConfig,
        crypto::ring,
        pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
    },
};
use url::Url;

/// A request that arrived.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    pub method: String,
    /// The path without its query.
    pub path: String,
    /// Null where there was none, or none that is JSON.
    pub body: Value,
}

/// What becomes of a request.
#[derive(Debug)]
pub enum Reply {
    /// This status, with this body.
    Answer(u16, Value),
    /// This status, with these headers and this text.
    With(u16, Vec<(&'static str, String)>, String),
    /// The connection is closed.
    Lost,
}

/// Stops when dropped.
pub struct Server {
    /// Where it is.
    pub base: Url,
    /// A client that trusts it.
    pub client: reqwest::Client,
    requests: Arc<Mutex<Vec<Request>>>,
    task: JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Server {
    /// Starts one over TLS, because the Azure client sends its token over nothing less.
    pub async fn start(answer: impl FnMut(&Request) -> Reply + Send + 'static) -> Self {
        let rcgen::CertifiedKey { cert, signing_key } =
            rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).expect("a certificate");
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("TLS")
            .with_no_client_auth()
            .with_single_cert(vec![cert.der().clone()], PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(signing_key.serialize_der())))
            .expect("its certificate");
        let acceptor = TlsAcceptor::from(Arc::new(config));
        // As the shipped client does: the provider is set once for the process.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let trusted = reqwest::Certificate::from_der(cert.der()).expect("a certificate");
        let client = reqwest::Client::builder().tls_certs_only([trusted]).no_proxy().build().expect("a client");

        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let requests: Arc<Mutex<Vec<Request>>> = Arc::default();
        let seen = requests.clone();
        let mut answer = answer;
        let task = tokio::spawn(async move {
            // One connection at a time, so that requests arrive, and are answered, in one order.
            while let Ok((connection, _)) = listener.accept().await {
                let Ok(mut connection) = acceptor.accept(connection).await else { continue };
                let Ok(request) = read(&mut connection).await else { continue };
                let reply = answer(&request);
                seen.lock().unwrap_or_else(PoisonError::into_inner).push(request);
                if write(&mut connection, reply).await.is_err() {
                    continue;
                }
            }
        });
        let base = Url::parse(&format!("https://127.0.0.1:{port}/")).expect("a URL");
        Self { base, client, requests, task }
    }

    /// What arrived, in order.
    pub fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The methods of what arrived, in order.
    pub fn methods(&self) -> Vec<String> {
        self.requests().into_iter().map(|request| request.method).collect()
    }
}

async fn read(connection: &mut (impl AsyncRead + Unpin)) -> io::Result<Request> {
    let mut bytes = Vec::new();
    let head = loop {
        if let Some(at) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break at;
        }
        if connection.read_buf(&mut bytes).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    };
    let text = String::from_utf8_lossy(&bytes[..head]).into_owned();
    let length = text
        .lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .map_or(0, |(_, value)| value.trim().parse().unwrap_or(0));
    while bytes.len() < head + 4 + length {
        if connection.read_buf(&mut bytes).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    let mut words = text.split_whitespace();
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let path = target.split('?').next().unwrap_or_default();
    let body = serde_json::from_slice(&bytes[head + 4..]).unwrap_or(Value::Null);
    Ok(Request { method: method.to_owned(), path: path.to_owned(), body })
}

async fn write(connection: &mut (impl AsyncWrite + Unpin), reply: Reply) -> io::Result<()> {
    let (status, headers, body) = match reply {
        Reply::Answer(status, body) => (status, Vec::new(), if status == 204 { String::new() } else { body.to_string() }),
        Reply::With(status, headers, body) => (status, headers, body),
        Reply::Lost => return Ok(()),
    };
    let mut text = format!("HTTP/1.1 {status} -\r\nconnection: close\r\ncontent-length: {}\r\n", body.len());
    for (name, value) in headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    connection.write_all(format!("{text}\r\n{body}").as_bytes()).await?;
    connection.shutdown().await
}
