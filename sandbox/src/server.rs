//! Listeners on loopback: they read a request whole, note it, ask the service, and answer, or drop the connection.
//! Knows nothing of any service's rules.

use std::{fmt, io, net::SocketAddr, sync::Arc, time::Duration};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use http_body_util::{BodyExt as _, Full};
use hyper::{HeaderMap, Method, Request, Response, StatusCode, body::Bytes, body::Incoming, header::HeaderValue, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::Value;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::{AbortHandle, JoinSet},
};
use tokio_rustls::TlsAcceptor;

use crate::{
    arm::groups::Key,
    control, github, http, instance, oidc, registry, router,
    shared::Shared,
    slack,
    stall::{Course, Stall},
};

/// Who answers on a listener.
#[derive(Debug, Clone)]
pub(crate) enum Service {
    /// Resource Manager, Entra, and the sandbox's own switches.
    Azure,
    /// GitHub's issuer of workflow identities.
    Oidc,
    /// The container registry.
    Registry,
    /// GitHub's REST API.
    Github,
    /// Slack.
    Slack,
    /// The public address of an environment.
    Public(String),
    /// The application in a container group.
    Instance(Key),
}

impl Service {
    fn label(&self) -> String {
        match self {
            Self::Azure => "azure".to_owned(),
            Self::Oidc => "oidc".to_owned(),
            Self::Registry => "registry".to_owned(),
            Self::Github => "github".to_owned(),
            Self::Slack => "slack".to_owned(),
            Self::Public(environment) => format!("public:{environment}"),
            Self::Instance(key) => format!("instance:{}", key.name()),
        }
    }
}

/// A request, read whole.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) query: Vec<(String, String)>,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    /// Who is at the other end of the connection.
    pub(crate) peer: SocketAddr,
}

impl Call {
    /// A request as a test makes it.
    #[cfg(test)]
    pub(crate) fn of(method: &str, target: &str, token: &str, body: &Value) -> Self {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let mut headers = HeaderMap::new();
        headers.insert("authorization", HeaderValue::from_str(&format!("Bearer {token}")).unwrap());
        Self {
            method: method.parse().unwrap(),
            path: path.to_owned(),
            query: url::form_urlencoded::parse(query.as_bytes()).into_owned().collect(),
            headers,
            body: if body.is_null() { Bytes::new() } else { Bytes::from(body.to_string()) },
            peer: SocketAddr::from(([127, 0, 0, 1], 1)),
        }
    }

    /// The path's parts, percent-decoded, empty ones left out.
    pub(crate) fn segments(&self) -> Vec<String> {
        self.path.split('/').filter(|part| !part.is_empty()).map(decode).collect()
    }

    /// A query parameter, by its name without regard to case.
    pub(crate) fn query(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// A header's text.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The token of an `Authorization: Bearer` (GitHub also takes `token`).
    pub(crate) fn bearer(&self) -> Option<&str> {
        let (scheme, token) = self.header("authorization")?.split_once(' ')?;
        (scheme.eq_ignore_ascii_case("bearer") || scheme.eq_ignore_ascii_case("token")).then_some(token.trim())
    }

    /// User and password of an `Authorization: Basic`.
    pub(crate) fn basic(&self) -> Option<(String, String)> {
        let (scheme, encoded) = self.header("authorization")?.split_once(' ')?;
        if !scheme.eq_ignore_ascii_case("basic") {
            return None;
        }
        let decoded = String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()?;
        let (user, password) = decoded.split_once(':')?;
        Some((user.to_owned(), password.to_owned()))
    }

    /// The body as JSON.
    pub(crate) fn json(&self) -> Option<Value> {
        serde_json::from_slice(&self.body).ok()
    }

    /// A field of a form body.
    pub(crate) fn form(&self, name: &str) -> Option<String> {
        url::form_urlencoded::parse(&self.body).find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
    }
}

fn decode(text: &str) -> String {
    // In a path a plus is a plus; form decoding would make a space of it.
    let escaped = text.replace('+', "%2B");
    url::form_urlencoded::parse(escaped.as_bytes())
        .next()
        .map_or_else(String::new, |(key, value)| if value.is_empty() { key.into_owned() } else { format!("{key}={value}") })
}

/// What a service says.
#[derive(Debug)]
pub(crate) enum Reply {
    /// An answer.
    Answer(Answer),
    /// The connection is closed without one.
    Drop,
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Bytes,
}

impl Reply {
    pub(crate) fn json(status: u16, body: &Value) -> Self {
        Self::with(status, "application/json; charset=utf-8", body.to_string())
    }

    pub(crate) fn text(status: u16, body: impl Into<String>) -> Self {
        Self::with(status, "text/plain; charset=utf-8", body)
    }

    pub(crate) fn with(status: u16, content_type: &str, body: impl Into<String>) -> Self {
        Self::Answer(Answer { status, headers: vec![("content-type", content_type.to_owned())], body: Bytes::from(body.into()) })
    }

    pub(crate) fn bytes(status: u16, content_type: &str, body: Bytes) -> Self {
        Self::Answer(Answer { status, headers: vec![("content-type", content_type.to_owned())], body })
    }

    pub(crate) fn empty(status: u16) -> Self {
        Self::Answer(Answer { status, headers: Vec::new(), body: Bytes::new() })
    }

    /// Adds a header; a dropped connection has none.
    #[must_use]
    pub(crate) fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        if let Self::Answer(answer) = &mut self {
            answer.headers.push((name, value.into()));
        }
        self
    }

    /// Status and body, as a test reads them; a dropped connection has status 0.
    #[cfg(test)]
    pub(crate) fn read(self) -> (u16, Value) {
        match self {
            Self::Answer(answer) => (answer.status, serde_json::from_slice(&answer.body).unwrap_or(Value::Null)),
            Self::Drop => (0, Value::Null),
        }
    }

    fn status(&self) -> Option<u16> {
        match self {
            Self::Answer(answer) => Some(answer.status),
            Self::Drop => None,
        }
    }
}

/// The connection is to be dropped.
#[derive(Debug)]
struct Dropped;

impl fmt::Display for Dropped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("dropped on purpose")
    }
}

impl std::error::Error for Dropped {}

/// Whether a listener takes connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Door {
    /// It does.
    Open,
    /// Connections are refused.
    Closed,
}

/// A running listener.
#[derive(Debug)]
pub(crate) struct Listener {
    wanted: watch::Sender<Door>,
    actual: watch::Receiver<Door>,
    task: AbortHandle,
}

impl Listener {
    /// Opens or closes the door, and waits until that is so.
    pub(crate) async fn set(&self, door: Door) {
        self.wanted.send_replace(door);
        let mut actual = self.actual.clone();
        // An error means that the listener is gone, which is as closed as can be.
        let _ = actual.wait_for(|now| *now == door).await;
    }

    pub(crate) fn stop(&self) {
        self.task.abort();
    }
}

/// Binds an ephemeral port of 127.0.0.1.
pub(crate) async fn bind() -> io::Result<TcpListener> {
    TcpListener::bind(("127.0.0.1", 0)).await
}

/// Serves on a bound listener; with TLS where an acceptor is given.
pub(crate) fn serve(shared: &Arc<Shared>, listener: TcpListener, tls: Option<TlsAcceptor>, service: Service) -> io::Result<Listener> {
    let address = listener.local_addr()?;
    let (wanted, wanted_receiver) = watch::channel(Door::Open);
    let (actual_sender, actual) = watch::channel(Door::Open);
    let shared = Arc::clone(shared);
    let task = tokio::spawn(accept(shared, listener, address, tls, service, wanted_receiver, actual_sender)).abort_handle();
    Ok(Listener { wanted, actual, task })
}

async fn accept(
    shared: Arc<Shared>,
    first: TcpListener,
    address: SocketAddr,
    tls: Option<TlsAcceptor>,
    service: Service,
    mut wanted: watch::Receiver<Door>,
    actual: watch::Sender<Door>,
) {
    let mut listener = Some(first);
    loop {
        let open = match listener.take() {
            Some(open) => open,
            None => match TcpListener::bind(address).await {
                Ok(open) => open,
                // Somebody else may hold the port for a moment.
                Err(_) => {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                    continue;
                }
            },
        };
        actual.send_replace(Door::Open);
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                accepted = open.accept() => if let Ok((stream, peer)) = accepted {
                    connections.spawn(connection(Arc::clone(&shared), stream, peer, tls.clone(), service.clone()));
                },
                Some(_) = connections.join_next() => {}
                changed = wanted.wait_for(|door| *door == Door::Closed) => {
                    if changed.is_err() {
                        return;
                    }
                    break;
                }
            }
        }
        drop(open);
        connections.shutdown().await;
        actual.send_replace(Door::Closed);
        if wanted.wait_for(|door| *door == Door::Open).await.is_err() {
            return;
        }
    }
}

async fn connection(shared: Arc<Shared>, stream: TcpStream, peer: SocketAddr, tls: Option<TlsAcceptor>, service: Service) {
    // Without it, headers and body written apart cost a client 40 ms.
    let _ = stream.set_nodelay(true);
    match tls {
        None => converse(shared, stream, peer, service).await,
        Some(acceptor) => {
            if let Ok(stream) = acceptor.accept(stream).await {
                converse(shared, stream, peer, service).await;
            }
        }
    }
}

async fn converse(shared: Arc<Shared>, stream: impl AsyncRead + AsyncWrite + Unpin, peer: SocketAddr, service: Service) {
    let answer = service_fn(move |request| answer(Arc::clone(&shared), peer, service.clone(), request));
    // Clients that hang up, and connections dropped on purpose, end here with an error; neither is news.
    let _ = hyper::server::conn::http1::Builder::new().timer(TokioTimer::new()).serve_connection(TokioIo::new(stream), answer).await;
}

async fn answer(
    shared: Arc<Shared>,
    peer: SocketAddr,
    service: Service,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Dropped> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map_err(|_| Dropped)?.to_bytes();
    let target = head.uri.path_and_query().map_or_else(|| "/".to_owned(), |path| path.as_str().to_owned());
    let query = head.uri.query().unwrap_or_default();
    let call = Call {
        path: head.uri.path().to_owned(),
        query: url::form_urlencoded::parse(query.as_bytes()).into_owned().collect(),
        method: head.method,
        headers: head.headers,
        body,
        peer,
    };
    if control::is_ours(&service, &call) {
        return respond(control::handle(&shared, &call).await);
    }
    // What the world itself sends to its instances is no part of what anybody asked of it.
    if let Service::Instance(key) = &service
        && call.header(http::MARK).is_some()
    {
        return respond(instance::handle(&shared, key, &call).await);
    }
    let number = shared.recorder.arrived(service.label(), call.method.as_str(), &target, &call.headers, &call.body);
    let course = shared.stall.borrow().course(number);
    if course == Course::WithoutEffect {
        return respond(hang(&shared).await);
    }
    let reply = match &service {
        Service::Azure => {
            let reply = crate::arm::handle(&shared, &call);
            // It has taken effect by then: what a client waits for is the way back.
            if !shared.azure_delay.is_zero() {
                tokio::time::sleep(shared.azure_delay).await;
            }
            reply
        }
        Service::Oidc => oidc::handle(&shared, &call),
        Service::Registry => registry::handle(&shared, &call),
        Service::Github => github::handle(&shared, &call),
        Service::Slack => slack::handle(&shared, &call).await,
        Service::Public(environment) => router::handle(&shared, environment, &call).await,
        Service::Instance(key) => instance::handle(&shared, key, &call).await,
    };
    if course == Course::WithoutAnswer {
        return respond(hang(&shared).await);
    }
    shared.recorder.answered(number, reply.status());
    respond(reply)
}

/// Says nothing until the world answers again; then it is too late for this request.
async fn hang(shared: &Shared) -> Reply {
    let mut stall = shared.stall.subscribe();
    let _ = stall.wait_for(|stall| *stall == Stall::Never).await;
    Reply::Drop
}

fn respond(reply: Reply) -> Result<Response<Full<Bytes>>, Dropped> {
    let Reply::Answer(answer) = reply else { return Err(Dropped) };
    let mut response = Response::new(Full::new(answer.body));
    *response.status_mut() = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    for (name, value) in answer.headers {
        if let Ok(value) = HeaderValue::from_str(&value) {
            response.headers_mut().insert(name, value);
        }
    }
    Ok(response)
}
