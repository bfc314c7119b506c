//! PagerDuty as far as a test needs it: over TLS on loopback, keeping what it is sent. Knows no rule of PagerDuty's but its answer.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

use sandbox::{RunSpec, World};
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ServerConfig,
        crypto::ring,
        pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
    },
};

/// The integration key that a run is given.
pub const KEY: &str = "r0ut1ngk3y0123456789abcdef012345";

/// How it behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mood {
    /// It accepts everything.
    Good,
    /// It closes every connection.
    Dead,
    /// It never answers.
    Silent,
}

/// It runs for as long as the test's runtime lives.
pub struct PagerDuty {
    address: String,
    trusted: PathBuf,
    events: Arc<Mutex<Vec<Value>>>,
}

impl PagerDuty {
    /// Starts one that `world`'s runs can trust beside everything else of the world.
    pub async fn start(world: &World, mood: Mood) -> Self {
        let rcgen::CertifiedKey { cert, signing_key } =
            rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).expect("a certificate");
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("TLS")
            .with_no_client_auth()
            .with_single_cert(vec![cert.der().clone()], PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(signing_key.serialize_der())))
            .expect("its certificate");
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let authorities = std::fs::read_to_string(world.ca_file()).expect("the world's authority");
        let trusted = world.directory().join("authorities.pem");
        std::fs::write(&trusted, authorities + &cert.pem()).expect("a file");

        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = format!("https://{}", listener.local_addr().expect("an address"));
        let events: Arc<Mutex<Vec<Value>>> = Arc::default();
        let kept = events.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(answer(stream, acceptor.clone(), mood, kept.clone()));
            }
        });
        Self { address, trusted, events }
    }

    /// `spec`, told to call here.
    pub fn in_run(&self, spec: RunSpec) -> RunSpec {
        let mut spec = spec.with("pagerduty-routing-key", KEY).with("pagerduty-events-url", &self.address);
        spec.env.insert("SSL_CERT_FILE".into(), self.trusted.display().to_string());
        spec
    }

    /// What it was sent, in order.
    pub fn events(&self) -> Vec<Value> {
        self.events.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What it was asked to do, and with which alert, in order.
    pub fn actions(&self) -> Vec<String> {
        let text = |event: &Value, name: &str| event[name].as_str().unwrap_or_default().to_owned();
        self.events().iter().map(|event| format!("{} {}", text(event, "event_action"), text(event, "dedup_key"))).collect()
    }
}

async fn answer(stream: TcpStream, acceptor: TlsAcceptor, mood: Mood, kept: Arc<Mutex<Vec<Value>>>) {
    let Ok(mut stream) = acceptor.accept(stream).await else { return };
    let mut bytes = Vec::new();
    let event = loop {
        if let Some(event) = whole(&bytes) {
            break event;
        }
        match stream.read_buf(&mut bytes).await {
            Ok(1..) => {}
            Ok(0) | Err(_) => return,
        }
    };
    kept.lock().unwrap_or_else(PoisonError::into_inner).push(event);
    match mood {
        Mood::Good => {
            let body = r#"{"status":"success","message":"Event processed","dedup_key":"x"}"#;
            let head = format!("HTTP/1.1 202 Accepted\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", body.len());
            let _ = stream.write_all((head + body).as_bytes()).await;
            let _ = stream.shutdown().await;
        }
        Mood::Dead => {}
        Mood::Silent => std::future::pending().await,
    }
}

fn whole(bytes: &[u8]) -> Option<Value> {
    let (head, body) = std::str::from_utf8(bytes).ok()?.split_once("\r\n\r\n")?;
    assert!(head.starts_with("POST /v2/enqueue HTTP/1.1"), "{head}");
    serde_json::from_str(body).ok()
}
