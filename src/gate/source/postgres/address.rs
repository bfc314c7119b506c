//! Reading the input `database-url`: what it may be, and what is wrong with one that is none. Repeats no part of it.

use tokio_postgres::{
    Config,
    config::{ChannelBinding, Host},
};
use url::Url;

use super::APPLICATION;
use crate::{
    domain::Secret,
    failure::{Failure, FailureKind},
};

/// Options of libpq that have no meaning here; their names are no secrets.
const UNSUPPORTED: [&str; 14] = [
    "sslrootcert",
    "sslcert",
    "sslkey",
    "sslpassword",
    "sslcrl",
    "sslcrldir",
    "sslcompression",
    "sslsni",
    "requiressl",
    "passfile",
    "service",
    "gssencmode",
    "krbsrvname",
    "replication",
];

/// What is wrong with an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wrong(String);

impl Wrong {
    /// For people, before anything is touched.
    pub(super) fn failure(self) -> Failure {
        Failure::new(FailureKind::Request, format!("the input database-url is no address of a PostgreSQL database: {}", self.0), "database-url")
            .meaning("nothing was touched: the rules and checks that ask the database could not be judged")
            .next("give postgres://USER:PASSWORD@HOST:PORT/DATABASE, with special characters percent-encoded, or host=… user=… password=… dbname=…")
    }
}

/// Reads `url`.
pub(super) fn read(url: &Secret) -> Result<Config, Wrong> {
    let text = url.expose().trim();
    if let Some((scheme, _)) = text.split_once("://")
        && !matches!(scheme, "postgres" | "postgresql")
    {
        return Err(Wrong("it begins with neither postgres:// nor postgresql://".into()));
    }
    if let Some(option) = UNSUPPORTED.iter().find(|option| names(text, option)) {
        let advice = if option.starts_with("ssl") { "; a private CA is trusted through SSL_CERT_FILE" } else { "" };
        return Err(Wrong(format!("its option `{option}` is not supported; leave it out{advice}")));
    }
    let mut config: Config = verified(text).parse().map_err(|error: tokio_postgres::Error| Wrong(reason(&error).into()))?;
    let has_host = config.get_hosts().iter().any(|host| match host {
        Host::Tcp(name) => !name.is_empty(),
        #[cfg(unix)]
        Host::Unix(_) => true,
    });
    if !has_host && config.get_hostaddrs().is_empty() {
        return Err(Wrong("it names no host".into()));
    }
    if config.get_user().is_none_or(str::is_empty) {
        return Err(Wrong("it names no user".into()));
    }
    if config.get_channel_binding() == ChannelBinding::Require {
        return Err(Wrong("its channel_binding=require is not supported; leave it out: the server's certificate is verified".into()));
    }
    config.application_name(APPLICATION);
    Ok(config)
}

/// Whether `text` sets `option`, in either form.
fn names(text: &str, option: &str) -> bool {
    let set = format!("{option}=");
    text.match_indices(&set).any(|(at, _)| text.get(..at).is_some_and(|before| before.is_empty() || before.ends_with(['?', '&', ' '])))
}

/// `text` in the words of the library, which knows libpq's `verify-full` and `verify-ca` only as `require`: the certificate and
/// its name are always verified here.
fn verified(text: &str) -> String {
    ["verify-full", "verify-ca"].iter().fold(text.to_owned(), |text, word| {
        let quoted = text.replace(&format!("sslmode='{word}'"), "sslmode=require");
        quoted.replace(&format!("sslmode={word}"), "sslmode=require")
    })
}

/// Why the library did not understand it. Its own text may repeat an option's name, which may be a part of a password with a
/// `?` or `=` in it.
fn reason(error: &tokio_postgres::Error) -> &'static str {
    let text = std::error::Error::source(error).map(ToString::to_string).unwrap_or_default();
    match text.as_str() {
        "invalid value for option `sslmode`" => "its sslmode is none of disable, prefer, require, verify-ca, verify-full",
        "invalid value for option `port`" => "its port is no number; a password with a colon, slash or at sign must be percent-encoded",
        "invalid value for option `channel_binding`" => "its channel_binding is none of disable, prefer, require",
        _ if text.starts_with("invalid value for option") => "the value of one of its options cannot be read",
        _ if text.starts_with("unknown option") => {
            "one of its options is unknown; special characters of a password must be percent-encoded"
        }
        _ => "it cannot be read",
    }
}

/// The password in `url`, as it is written there and as it is meant: each is a secret of its own. Never fails: what cannot be
/// read has none.
pub(crate) fn passwords(url: &Secret) -> Vec<Secret> {
    let text = url.expose().trim();
    let written = Url::parse(text).ok().and_then(|url| url.password().map(str::to_owned));
    let meant = verified(text).parse::<Config>().ok();
    let meant = meant.as_ref().and_then(Config::get_password).and_then(|bytes| String::from_utf8(bytes.to_vec()).ok());
    // As it stands, where it is not escaped as it should be.
    let between = text.split_once("://").and_then(|(_, rest)| rest.rsplit_once('@')).and_then(|(login, _)| login.split_once(':'));
    let between = between.map(|(_, password)| password.to_owned());
    [written, meant, between].into_iter().flatten().filter(|password| !password.is_empty()).map(Secret::new).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tokio_postgres::config::SslMode;

    use super::*;

    fn secret(text: &str) -> Secret {
        Secret::new(text.into())
    }

    #[test]
    fn both_forms_are_read() {
        for (text, mode) in [
            ("postgres://app:p%40ss@db.internal:6432/prod?sslmode=require", SslMode::Require),
            ("postgresql://app:p%40ss@db.internal:6432/prod?sslmode=verify-full&connect_timeout=3", SslMode::Require),
            ("host=db.internal port=6432 user=app password=p@ss dbname=prod sslmode=verify-ca\n", SslMode::Require),
            ("host=db.internal port=6432 user=app password='p@ss' dbname=prod", SslMode::Prefer),
            ("postgres://app:p%40ss@db.internal:6432/prod?sslmode=disable&application_name=shop", SslMode::Disable),
        ] {
            let config = read(&secret(text)).expect(text);
            assert_eq!((config.get_ssl_mode(), config.get_dbname(), config.get_user()), (mode, Some("prod"), Some("app")), "{text}");
            assert_eq!((config.get_hosts(), config.get_ports()), ([Host::Tcp("db.internal".into())].as_slice(), [6432].as_slice()));
            assert_eq!((config.get_password(), config.get_application_name()), (Some(b"p@ss".as_slice()), Some(APPLICATION)), "{text}");
        }
    }

    #[test]
    fn what_is_no_address_is_refused_without_showing_it() {
        let refused: Vec<String> = [
            "mysql://root:hidden@db/hidden",
            "postgresql+asyncpg://app:hidden@db/hidden",
            "jdbc:postgresql://db/hidden?user=app&password=hidden",
            "hidden",
            "",
            "postgres://",
            "postgres:///hidden",
            "postgres://db/hidden",
            "postgres://app:hidden@db/hidden?hidden=1",
            "postgres://app:hidden@db/hidden?channel_binding=require",
            "postgres://app:hidden@db:hidden/hidden",
            "postgres://app:hidden@db/hidden?sslmode=allow",
            "postgres://app:hidden@db/hidden?sslrootcert=/hidden.pem&sslmode=verify-full",
            "host=db user=app password=hidden service=hidden",
            "host=db user=app password='hidden",
            "user=app password=hidden dbname=hidden",
            "host=db password=hidden",
        ]
        .into_iter()
        .map(|text| {
            let failure = read(&secret(text)).expect_err(text).failure();
            assert!(!format!("{failure} {failure:?}").contains("hid"), "{text}: {failure}");
            failure.what.replace("the input database-url is no address of a PostgreSQL database: ", "")
        })
        .collect();
        insta::assert_snapshot!(refused.join("\n"));
    }

    #[test]
    fn the_password_is_a_secret_in_each_of_its_forms() {
        let of = |text: &str| passwords(&secret(text)).iter().map(|secret| secret.expose().to_owned()).collect::<Vec<_>>();
        assert_eq!(of("postgres://app:p%40ss@db/prod"), ["p%40ss", "p@ss", "p%40ss"]);
        assert!(of("postgres://app:pa@ss/word@db/prod").contains(&"pa@ss/word".to_owned()));
        assert_eq!(of("host=db user=app password='p@ ss'"), ["p@ ss"]);
        assert!(of("postgres://app@db/prod").is_empty() && of("nonsense").is_empty());
    }

    proptest! {
        #[test]
        fn never_panics_and_never_shows(noise in "(?s).{0,80}", password in "[a-z]{3}@?:?/?[?=#%']?Q7Q7Q7") {
            let _ = passwords(&secret(&noise));
            for text in [noise.clone(), format!("postgres://app:{password}@db:{noise}"), format!("host=db user=a password={password} {noise}")] {
                if let Err(wrong) = read(&secret(&text)) {
                    prop_assert!(!wrong.failure().to_string().contains("Q7Q7"));
                }
            }
        }
    }
}
