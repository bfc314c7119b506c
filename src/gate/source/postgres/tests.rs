//! What becomes of each way in which a server can turn us away: a tiny server that speaks the beginning of the protocol
//! (PostgreSQL documentation, "Frontend/Backend Protocol"). Questions are asked of a real one, in `tests/database.rs`.

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

use super::*;

/// What the tiny server does with whoever comes.
#[derive(Clone, Copy)]
enum Welcome {
    /// An error: SQLSTATE, and the function that raised it.
    Refused(&'static str, &'static str),
    /// A question for a password.
    Password,
    /// A login of another kind.
    Kerberos,
    /// Nothing at all.
    Silence,
    /// Something that is no PostgreSQL server.
    Http,
}

async fn read_message(stream: &mut TcpStream) -> Vec<u8> {
    let length = usize::try_from(stream.read_i32().await.expect("a length")).expect("a length") - 4;
    let mut message = vec![0; length];
    stream.read_exact(&mut message).await.expect("a message");
    message
}

async fn message(stream: &mut TcpStream, kind: u8, body: &[u8]) {
    let length = i32::try_from(body.len() + 4).expect("a length");
    let bytes = [[kind].as_slice(), &length.to_be_bytes(), body].concat();
    let _ = stream.write_all(&bytes).await;
}

async fn serve(welcome: Welcome) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            if matches!(welcome, Welcome::Http) {
                let mut request = [0; 8];
                stream.read_exact(&mut request).await.expect("a request");
                let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
                continue;
            }
            // The first asks for TLS, which there is none of.
            read_message(&mut stream).await;
            let _ = stream.write_all(b"N").await;
            read_message(&mut stream).await;
            match welcome {
                Welcome::Refused(code, routine) => {
                    let fields = format!("SFATAL\0VFATAL\0C{code}\0Mno entry for user \"app\", database \"prod_s3cr3t\"\0R{routine}\0\0");
                    message(&mut stream, b'E', fields.as_bytes()).await;
                }
                Welcome::Password => message(&mut stream, b'R', &3i32.to_be_bytes()).await,
                Welcome::Kerberos => message(&mut stream, b'R', &2i32.to_be_bytes()).await,
                Welcome::Silence => std::future::pending().await,
                Welcome::Http => {}
            }
        }
    });
    port
}

async fn trouble(url: &str, patience: Duration) -> Trouble {
    let mut database = Postgres::new(&Secret::new(url.into())).expect("an address");
    database.number("SELECT 1", patience).await.expect_err("trouble")
}

const LONG: Duration = Duration::from_secs(30);

#[tokio::test]
async fn whoever_is_turned_away_knows_why_and_shows_nothing_of_the_address() {
    let mut told = Vec::new();
    for (welcome, password, query) in [
        (Welcome::Refused("28P01", "auth_failed"), ":s3cr3t", ""),
        (Welcome::Refused("28000", "ClientAuthentication"), ":s3cr3t", ""),
        (Welcome::Refused("3D000", "InitPostgres"), ":s3cr3t", ""),
        (Welcome::Refused("53300", "InitProcess"), ":s3cr3t", ""),
        (Welcome::Refused("53300", "InitPostgres"), ":s3cr3t", ""),
        (Welcome::Refused("53300", "InitializeSessionUserId"), ":s3cr3t", ""),
        (Welcome::Refused("57P03", "ProcessStartupPacket"), ":s3cr3t", ""),
        (Welcome::Refused("XX000", "somewhere"), ":s3cr3t", ""),
        (Welcome::Password, "", ""),
        (Welcome::Kerberos, ":s3cr3t", ""),
        (Welcome::Http, ":s3cr3t", ""),
        (Welcome::Password, ":s3cr3t", "?sslmode=verify-full"),
    ] {
        let port = serve(welcome).await;
        let trouble = trouble(&format!("postgres://app{password}@127.0.0.1:{port}/prod_s3cr3t{query}"), LONG).await;
        let shown = format!("{trouble} {trouble:?}");
        assert!(!shown.contains("s3cr3t") && !shown.contains("app"), "{shown}");
        told.push(trouble.to_string());
    }
    insta::assert_snapshot!(told.join("\n"));
}

#[tokio::test]
async fn only_a_server_that_is_full_has_said_so() {
    for (routine, expected) in
        [("InitProcess", Trouble::Full), ("InitPostgres", Trouble::Full), ("InitializeSessionUserId", Trouble::RoleFull)]
    {
        let port = serve(Welcome::Refused("53300", routine)).await;
        assert_eq!(trouble(&format!("host=127.0.0.1 port={port} user=app"), LONG).await, expected, "{routine}");
    }
}

#[tokio::test]
async fn a_server_that_says_nothing_is_given_up() {
    let port = serve(Welcome::Silence).await;
    let patience = Duration::from_millis(50);
    assert_eq!(trouble(&format!("host=127.0.0.1 port={port} user=app"), patience).await, Trouble::Slow(patience));
}

#[tokio::test]
async fn a_server_that_is_not_there_is_not_reached() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    drop(listener);
    let trouble = trouble(&format!("host=127.0.0.1 port={port} user=app"), LONG).await;
    assert_eq!(trouble.to_string(), "the database cannot be asked: connection refused");
}
