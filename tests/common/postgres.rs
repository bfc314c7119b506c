//! A real PostgreSQL server for the tests that are ignored unless POSTGRES names the folder of its programs (`initdb`,
//! `postgres`). Starts and stops it, and runs statements as its superuser.

#![allow(dead_code, reason = "each test binary uses its own part of this module")]

use std::{
    net::SocketAddr,
    os::unix::{
        fs::{PermissionsExt as _, chown},
        process::CommandExt as _,
    },
    path::PathBuf,
    process::{Child, Command, Stdio},
};

use tokio_postgres::{Client, NoTls};

/// How many connections the server takes, three of them from superusers only: the pool of 20 fits.
pub const CONNECTIONS: u32 = 30;

/// The password of everybody.
pub const PASSWORD: &str = "s3cr3t-of-the-pool";

/// A server with the database `prod_nextgen`, whose owner is `app`. It stops with the value.
pub struct Postgres {
    address: SocketAddr,
    child: Child,
    _folder: tempfile::TempDir,
}

impl Postgres {
    /// One that asks everybody for their password, by SCRAM or, where the sandbox logs in too, in clear text.
    pub async fn start(login: &str) -> Self {
        Self::start_with(login, None).await
    }

    /// One that speaks TLS, too, as `localhost`, with a certificate and its key in PEM.
    pub async fn with_tls(certificate: &str, key: &str) -> Self {
        Self::start_with("scram-sha-256", Some((certificate, key))).await
    }

    async fn start_with(login: &str, tls: Option<(&str, &str)>) -> Self {
        let programs = PathBuf::from(std::env::var("POSTGRES").expect("POSTGRES names the folder of the programs"));
        let folder = tempfile::tempdir().expect("a folder");
        let data = folder.path().join("data");
        let file = folder.path().join("password");
        std::fs::write(&file, PASSWORD).expect("written");
        let user = server_user();
        if let Some((uid, gid)) = user {
            for path in [folder.path(), file.as_path()] {
                chown(path, Some(uid), Some(gid)).expect("given to the server's user");
            }
        }
        let program = |name: &str| {
            let mut command = Command::new(programs.join(name));
            command.current_dir(folder.path()).env_clear().stdin(Stdio::null()).stdout(Stdio::null());
            if let Some((uid, gid)) = user {
                command.uid(uid).gid(gid);
            }
            command
        };
        let made = program("initdb")
            .args([
                "--no-sync",
                "--username=postgres",
                "--encoding=UTF8",
                "--locale=C",
                "--auth-local=peer",
                &format!("--auth-host={login}"),
            ])
            .arg(format!("--pwfile={}", file.display()))
            .arg(format!("--pgdata={}", data.display()))
            .status();
        assert!(made.expect("POSTGRES names the folder of programs that run").success(), "initdb failed");
        let address = std::net::TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a port");
        let mut settings = vec!["unix_socket_directories=".to_owned(), format!("max_connections={CONNECTIONS}")];
        if let Some((certificate, key)) = tls {
            for (name, text) in [("server.crt", certificate), ("server.key", key)] {
                let path = data.join(name);
                std::fs::write(&path, text).expect("written");
                std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).expect("for the server alone");
                if let Some((uid, gid)) = user {
                    chown(&path, Some(uid), Some(gid)).expect("given to the server's user");
                }
            }
            settings.push("ssl=on".to_owned());
        }
        let log = std::fs::File::create(folder.path().join("log")).expect("a file");
        let child = program("postgres")
            .arg("-D")
            .arg(&data)
            .args(["-h", "127.0.0.1", "-p", &address.port().to_string(), "-F"])
            .args(settings.iter().flat_map(|setting| ["-c", setting.as_str()]))
            .stderr(log)
            .spawn()
            .expect("the server starts");
        let server = Self { address, child, _folder: folder };
        let admin = server.up().await;
        for statement in [
            format!("CREATE ROLE app LOGIN PASSWORD '{PASSWORD}'"),
            format!("CREATE ROLE watcher LOGIN PASSWORD '{PASSWORD}'"),
            "CREATE DATABASE prod_nextgen OWNER app".to_owned(),
            "CREATE DATABASE other OWNER app".to_owned(),
        ] {
            admin.batch_execute(&statement).await.expect("carried out");
        }
        server
    }

    /// The superuser's connection, once the server takes any.
    async fn up(&self) -> Client {
        loop {
            match connect(&self.url_of("postgres", "postgres")).await {
                Ok(client) => return client,
                Err(error) if error.is_closed() || error.as_db_error().is_some_and(|error| error.code().code() != "57P03") => {
                    panic!("{error}")
                }
                // Not yet; as long as a start takes.
                Err(_) => tokio::time::sleep(std::time::Duration::from_millis(20)).await,
            }
        }
    }

    /// Where the database is, for its owner.
    pub fn url(&self) -> String {
        self.url_of("app", "prod_nextgen")
    }

    /// Where `database` is, for `user`.
    pub fn url_of(&self, user: &str, database: &str) -> String {
        format!("postgres://{user}:{PASSWORD}@{}/{database}?sslmode=disable", self.address)
    }

    /// Carries out `statements` as the superuser.
    pub async fn run(&self, statements: &str) {
        self.run_in("prod_nextgen", statements).await;
    }

    /// The same in another database.
    pub async fn run_in(&self, database: &str, statements: &str) {
        let admin = connect(&self.url_of("postgres", database)).await.expect("the superuser connects");
        admin.batch_execute(statements).await.unwrap_or_else(|error| panic!("{statements}: {error}"));
    }

    /// What `query`, one number, yields for the superuser.
    pub async fn number(&self, query: &str) -> i64 {
        let admin = connect(&self.url_of("postgres", "prod_nextgen")).await.expect("the superuser connects");
        admin.query_one(query, &[]).await.unwrap_or_else(|error| panic!("{query}: {error}")).get(0)
    }

    /// `count` connections of an application, which last as long as the value.
    pub async fn pool(&self, count: usize) -> Vec<Client> {
        let mut pool = Vec::new();
        for _ in 0..count {
            pool.push(connect(&self.url()).await.expect("the pool connects"));
        }
        pool
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // SIGINT is its fast shutdown; killed, it would leave its children and shared memory behind.
        let _ = Command::new("kill").args(["-INT", &self.child.id().to_string()]).status();
        let _ = self.child.wait();
    }
}

/// A connection; its end is the client's.
pub async fn connect(url: &str) -> Result<Client, tokio_postgres::Error> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
    tokio::spawn(async { drop(connection.await) });
    Ok(client)
}

/// As whom the server runs, where these tests run as root, as which it refuses to.
fn server_user() -> Option<(u32, u32)> {
    let id = |arguments: &[&str]| -> u32 {
        let said = Command::new("id").args(arguments).output().expect("id runs").stdout;
        String::from_utf8_lossy(&said).trim().parse().expect("there is a user called postgres")
    };
    (id(&["-u"]) == 0).then(|| (id(&["-u", "postgres"]), id(&["-g", "postgres"])))
}
