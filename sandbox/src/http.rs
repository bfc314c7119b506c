//! A plain HTTP/1.1 client for what the world itself sends to its instances: people, Traffic Manager's monitor, the router.
//! The Action has its own; nothing of it comes through here.

use std::{io, net::SocketAddr};

use http_body_util::{BodyExt as _, Full};
use hyper::{HeaderMap, Method, Request, body::Bytes, client::conn::http1::SendRequest};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpStream, task::AbortHandle};

/// Whose request it is. What the world itself sends says so in the header [`MARK`], and is not recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Traffic {
    /// Sent straight to the instance: the Action, a person, Prometheus.
    Direct,
    /// Sent by people, to where the public address led them.
    Public,
    /// Traffic Manager's probe.
    Monitor,
}

/// The header that tells what the world itself sends.
pub(crate) const MARK: &str = "x-sandbox-traffic";

impl Traffic {
    fn mark(self) -> Option<&'static str> {
        match self {
            Self::Direct => None,
            Self::Public => Some("public"),
            Self::Monitor => Some("monitor"),
        }
    }

    /// Whose request has this [`MARK`].
    pub(crate) fn of(mark: Option<&str>) -> Self {
        [Self::Public, Self::Monitor].into_iter().find(|one| one.mark() == mark).unwrap_or(Self::Direct)
    }
}

/// An answer, read whole.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// An open connection.
pub(crate) struct Connection {
    pub(crate) to: SocketAddr,
    sender: SendRequest<Full<Bytes>>,
    task: AbortHandle,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Connection {
    pub(crate) async fn open(to: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(to).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
        // Its end shows in the next request.
        let task = tokio::spawn(async move { connection.await.unwrap_or_default() }).abort_handle();
        Ok(Self { to, sender, task })
    }

    /// Whether the other side has not closed it: no client sends anything over one that it knows to be closed.
    pub(crate) fn is_open(&self) -> bool {
        !self.sender.is_closed()
    }

    pub(crate) async fn send(&mut self, method: Method, target: &str, traffic: Traffic, body: Bytes) -> io::Result<Response> {
        let mut request = Request::builder().method(method).uri(target).header("host", self.to.to_string());
        if let Some(mark) = traffic.mark() {
            request = request.header(MARK, mark);
        }
        let request = request.body(Full::new(body)).map_err(io::Error::other)?;
        self.sender.ready().await.map_err(io::Error::other)?;
        let (head, body) = self.sender.send_request(request).await.map_err(io::Error::other)?.into_parts();
        let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
        Ok(Response { status: head.status.as_u16(), headers: head.headers, body })
    }
}

/// One GET on a connection of its own.
pub(crate) async fn get(to: SocketAddr, target: &str, traffic: Traffic) -> io::Result<Response> {
    Connection::open(to).await?.send(Method::GET, target, traffic, Bytes::new()).await
}
