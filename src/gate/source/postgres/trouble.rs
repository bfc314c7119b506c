//! Why a database gave no number, in words that repeat nothing of its address. By SQLSTATE, never by a server's own words, which
//! depend on its language and repeat the user and the database (PostgreSQL documentation, appendix "PostgreSQL Error Codes").

use std::{borrow::Cow, error::Error, fmt, time::Duration};

use rustls::CertificateError;
use tokio_postgres::error::{DbError, SqlState};

use super::super::shown;

/// Why there is no number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::gate::source) enum Trouble {
    /// The server takes no further connection: every slot is taken. Evidence of its own.
    Full,
    /// The role of the address has as many connections as its own limit allows: that says nothing of the others.
    RoleFull,
    /// It took longer than this.
    Slow(Duration),
    /// The connection was lost.
    Lost,
    /// There is no connection, for this reason.
    Unreachable(Cow<'static, str>),
    /// The statement writes, and a check only reads.
    Writes,
    /// The server refused the statement or ended it, for this reason.
    Refused(String),
    /// The answer is this instead of one number.
    NoNumber(Cow<'static, str>),
}

impl Trouble {
    /// The answer is `what` instead of one number.
    pub(super) fn no_number(what: impl Into<Cow<'static, str>>) -> Self {
        Self::NoNumber(what.into())
    }

    /// Why no connection was made.
    pub(super) fn connecting(error: &tokio_postgres::Error) -> Self {
        if let Some(error) = error.as_db_error() {
            return refused(error);
        }
        let mut text = error.to_string();
        let mut source: Option<&(dyn Error + 'static)> = error.source();
        while let Some(inner) = source {
            text.push_str(&inner.to_string());
            if let Some(error) = rustls_error(inner) {
                return Self::Unreachable(tls_words(error));
            }
            if let Some(io) = inner.downcast_ref::<std::io::Error>()
                && let Some(words) = crate::http::io_words(io)
            {
                return Self::Unreachable(words.into());
            }
            source = inner.source();
        }
        // The library's own words for what went wrong on this side, which repeat nothing.
        let words = [
            ("password missing", "it asks for a password, and database-url has none"),
            ("server does not support TLS", "it does not speak TLS, and database-url demands it (sslmode)"),
            ("authentication method", "it asks for a login that is neither a password nor SCRAM"),
        ];
        let known = words.into_iter().find(|(theirs, _)| text.contains(theirs)).map(|(_, ours)| ours);
        Self::Unreachable(known.unwrap_or("the host is not known, or it does not answer like a PostgreSQL server").into())
    }

    /// Why a statement, which had `patience`, was not answered.
    pub(super) fn asking(error: &tokio_postgres::Error, patience: Duration) -> Self {
        let Some(error) = error.as_db_error() else { return Self::Lost };
        match error.code() {
            code if *code == SqlState::QUERY_CANCELED => Self::Slow(patience),
            // The server was told to end the connection, or is being stopped.
            code if code.code().starts_with("57P") => Self::Lost,
            code if *code == SqlState::READ_ONLY_SQL_TRANSACTION => Self::Writes,
            // About the statement itself, which stands in deploy.yml; a text of another class may repeat what the tables hold.
            code if code.code().starts_with("42") => Self::Refused(format!("{} ({})", shown(error.message()), code.code())),
            code => Self::Refused(format!("SQLSTATE {}", code.code())),
        }
    }
}

/// Why the server let nobody in.
fn refused(error: &DbError) -> Trouble {
    let code = error.code();
    let words = match code {
        // The function that refuses is no text of a language. It is the one that looks at a role's own limit, or another.
        _ if *code == SqlState::TOO_MANY_CONNECTIONS && error.routine() == Some("InitializeSessionUserId") => return Trouble::RoleFull,
        _ if *code == SqlState::TOO_MANY_CONNECTIONS => return Trouble::Full,
        _ if *code == SqlState::INVALID_PASSWORD => "it does not accept the user and password of database-url",
        _ if *code == SqlState::INVALID_AUTHORIZATION_SPECIFICATION => {
            "it does not let the user of database-url in from here: there is no such role, or its pg_hba.conf says no or demands TLS"
        }
        _ if *code == SqlState::INVALID_CATALOG_NAME => "it has no database of the name in database-url",
        _ if *code == SqlState::CANNOT_CONNECT_NOW => "it is starting up or shutting down",
        _ if *code == SqlState::INSUFFICIENT_PRIVILEGE => "the user of database-url may not connect to that database",
        code => return Trouble::Unreachable(format!("it refuses the connection (SQLSTATE {})", code.code()).into()),
    };
    Trouble::Unreachable(words.into())
}

/// rustls' error inside `error`.
fn rustls_error<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a rustls::Error> {
    let inside = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
    inside.and_then(|inner| inner.downcast_ref()).or_else(|| error.downcast_ref())
}

fn tls_words(error: &rustls::Error) -> Cow<'static, str> {
    match error {
        rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer) => {
            "its certificate is not signed by a CA that is trusted here: give a private CA in SSL_CERT_FILE".into()
        }
        rustls::Error::InvalidCertificate(CertificateError::Expired | CertificateError::ExpiredContext { .. }) => {
            "its certificate has expired".into()
        }
        rustls::Error::InvalidCertificate(CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. }) => {
            "its certificate is for another name than the host in database-url".into()
        }
        // The text of others may repeat the host.
        rustls::Error::InvalidCertificate(_) => "its certificate is not valid".into(),
        _ => "the TLS handshake failed".into(),
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full => f.write_str("the database takes no further connection: all are in use (SQLSTATE 53300)"),
            Self::RoleFull => f.write_str(
                "the user of database-url has as many connections as its own limit allows (SQLSTATE 53300): raise its CONNECTION LIMIT",
            ),
            Self::Slow(patience) => write!(f, "the database gave no answer within {} s", patience.as_secs_f64()),
            Self::Lost => f.write_str("the connection to the database was lost"),
            Self::Unreachable(why) => write!(f, "the database cannot be asked: {why}"),
            Self::Writes => f.write_str("the statement writes, and checks only read: the server refused it (SQLSTATE 25006)"),
            Self::Refused(why) => write!(f, "the database refused the statement: {why}"),
            Self::NoNumber(what) => write!(f, "one number is wanted, and the answer is {what}"),
        }
    }
}
