//! An application that takes every connection of its database's pool: what `pool-exhausted` does to a real PostgreSQL server.
//! Speaks just enough of the protocol (PostgreSQL documentation, "Frontend/Backend Protocol") to log in; asks nothing.

use std::{io, sync::Arc};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use url::Url;

use crate::{
    arm::groups::Key,
    fault::Fault,
    shared::{Shared, lock},
};

/// The pool's size (runbook Scenario 3: "Database Pool: < 18/20 connections").
const POOL: usize = 20;
/// Version 3.0 of the protocol.
const PROTOCOL: i32 = 196_608;

/// Holds the pool's connections for as long as the instance lives and the fault is on.
pub(crate) async fn hold(shared: Arc<Shared>, key: Key, url: String) {
    let mut lives = shared.lives.subscribe();
    let generation = || lock(&shared.azure).groups.get(&key).map(|group| group.generation);
    let at_first = generation();
    let mut held = Vec::new();
    for _ in 0..POOL {
        match connect(&url, key.name()).await {
            Ok(connection) => held.push(connection),
            Err(error) => {
                eprintln!("sandbox: {} opened {} of {POOL} connections, then: {error}", key.name(), held.len());
                break;
            }
        }
    }
    while generation() == at_first && shared.faults.is_on(Fault::PoolExhausted) {
        if lives.changed().await.is_err() {
            return;
        }
    }
}

/// Logs in, with a password in clear text or none: what `password` and `trust` in pg_hba.conf ask for.
async fn connect(url: &str, application: &str) -> io::Result<TcpStream> {
    let url = Url::parse(url).map_err(io::Error::other)?;
    let (host, port) = (url.host_str().unwrap_or("localhost"), url.port().unwrap_or(5432));
    let mut stream = TcpStream::connect((host, port)).await?;
    let database = url.path().trim_start_matches('/');
    let settings = [("user", url.username()), ("database", database), ("application_name", application)];
    let mut body = PROTOCOL.to_be_bytes().to_vec();
    for text in settings.iter().flat_map(|(name, value)| [name, value]) {
        body.extend_from_slice(text.as_bytes());
        body.push(0);
    }
    body.push(0);
    stream.write_all(&framed(&body)).await?;
    loop {
        let kind = stream.read_u8().await?;
        let length = usize::try_from(stream.read_i32().await?).map_err(io::Error::other)?.saturating_sub(4);
        let mut message = vec![0; length];
        stream.read_exact(&mut message).await?;
        match (kind, message.get(..4)) {
            (b'Z', _) => return Ok(stream),
            (b'E', _) => return Err(io::Error::other(String::from_utf8_lossy(&message).replace('\0', " "))),
            (b'R', Some([0, 0, 0, 3])) => {
                let password = [url.password().unwrap_or_default().as_bytes(), &[0]].concat();
                stream.write_all(&[b"p".as_slice(), &framed(&password)].concat()).await?;
            }
            (b'R', Some([0, 0, 0, 0])) => {}
            (b'R', _) => return Err(io::Error::other("the server wants a login that is neither trust nor password")),
            _ => {}
        }
    }
}

/// A message with its length before it.
fn framed(body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 4).unwrap_or(u32::MAX);
    [length.to_be_bytes().as_slice(), body].concat()
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    /// A server that wants a password and then has nothing more to say; gives what it was told.
    async fn server(listener: TcpListener, wanted: &'static str) -> Vec<u8> {
        let (mut stream, _) = listener.accept().await.unwrap();
        let length = stream.read_i32().await.unwrap();
        let mut startup = vec![0; usize::try_from(length).unwrap() - 4];
        stream.read_exact(&mut startup).await.unwrap();
        stream.write_all(b"R\0\0\0\x08\0\0\0\x03").await.unwrap();
        assert_eq!(stream.read_u8().await.unwrap(), b'p');
        let length = stream.read_i32().await.unwrap();
        let mut password = vec![0; usize::try_from(length).unwrap() - 4];
        stream.read_exact(&mut password).await.unwrap();
        if password == format!("{wanted}\0").as_bytes() {
            stream.write_all(b"R\0\0\0\x08\0\0\0\0S\0\0\0\x06a\0Z\0\0\0\x05I").await.unwrap();
        } else {
            stream.write_all(b"E\0\0\0\x0cMwrong\0\0").await.unwrap();
        }
        startup
    }

    #[tokio::test]
    async fn it_logs_in_by_password_and_says_what_the_server_says() {
        for (password, welcome) in [("s3cr3t", true), ("guess", false)] {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let url = format!("postgres://app:{password}@{}/prod_nextgen", listener.local_addr().unwrap());
            let (startup, connected) = tokio::join!(server(listener, "s3cr3t"), connect(&url, "prod-canary-1"));
            assert_eq!(startup, b"\0\x03\0\0user\0app\0database\0prod_nextgen\0application_name\0prod-canary-1\0\0");
            match connected {
                Ok(_) => assert!(welcome),
                Err(error) => assert!(!welcome && error.to_string().contains("wrong"), "{error}"),
            }
        }
    }
}
