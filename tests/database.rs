//! A real PostgreSQL server: what is counted of its connections, what becomes of a full one, and that checks only read. POSTGRES
//! names the folder of its programs; without it there is nothing to try, so these tests are ignored.

#![allow(clippy::expect_used, clippy::panic, reason = "a test stops where it is surprised, in its helpers too")]

#[path = "common/postgres.rs"]
mod postgres;

use std::time::Duration;

use deploy_action::{
    config::{Ask, Bound, Database, FinalCheck, Quantity, Rule},
    domain::Secret,
    gate::{Checked, Conclusion, Gate, Given, Reading, Sample, Settings, Sources, Verdict},
    http,
};
use postgres::{CONNECTIONS, PASSWORD, Postgres, connect};

/// Half of it is what a question may take: enough for a machine that is busy.
const TICK: Duration = Duration::from_secs(10);

fn sources(url: &str) -> Sources {
    let url = Secret::new(url.into());
    let given = Given { metrics: None, prometheus_token: None, database: Some(Database { connections: 20 }), database_url: Some(&url) };
    Sources::new(&given, TICK, http::client().expect("a client")).expect("sources")
}

/// The runbook's trigger: "Database pool exhausted (>19/20)".
fn trigger() -> Rule {
    Rule { metric: "database-connections".parse().expect("a name"), bounds: vec![Bound::Max(Quantity::plain(19.0))], consecutive: 1 }
}

async fn sample(sources: &mut Sources) -> Sample {
    let mut samples = sources.read(&[trigger()], &[], &[]).await;
    assert_eq!(samples.len(), 1, "{samples:?}");
    samples.pop().expect("a sample")
}

async fn count(sources: &mut Sources) -> f64 {
    match sample(sources).await.reading {
        Reading::Value { value, .. } => value,
        other => panic!("{other:?}"),
    }
}

/// Reads until `count` are left: a server ends a connection a moment after its client did.
async fn falls_to(sources: &mut Sources, wanted: f64) {
    while count(sources).await > wanted {}
    assert_eq!(count(sources).await, wanted);
}

async fn trips(sources: &mut Sources) -> bool {
    let mut gate = Gate::new(&[trigger()], Settings::of(None));
    gate.judge(&[sample(sources).await]);
    matches!(gate.conclude(), Conclusion::Tripped { .. })
}

async fn why(sources: &mut Sources) -> String {
    match sample(sources).await.reading {
        Reading::Failed { why } => why,
        other => panic!("{other:?}"),
    }
}

async fn check(sources: &mut Sources, query: &str) -> Checked {
    sources.check(&FinalCheck { name: "it".into(), ask: Ask::Sql { query: query.into() } }, &[]).await
}

#[tokio::test]
#[ignore = "POSTGRES names the programs of a real server"]
async fn twenty_connections_trip_the_rule_and_nothing_else_is_counted() {
    let server = Postgres::start("scram-sha-256").await;
    let mut sources = sources(&server.url());
    // Neither its own connection, nor the server's own processes, nor another database's clients.
    assert!(server.number("SELECT count(*) FROM pg_stat_activity").await > 4);
    let elsewhere = connect(&server.url_of("app", "other")).await.expect("connected");
    falls_to(&mut sources, 0.0).await;
    let mut pool = server.pool(19).await;
    assert_eq!(count(&mut sources).await, 19.0);
    assert!(!trips(&mut sources).await);
    pool.extend(server.pool(1).await);
    assert_eq!(count(&mut sources).await, 20.0);
    assert!(trips(&mut sources).await);
    // A role that may not see what the others do sees that they are there.
    let mut watcher = self::sources(&server.url_of("watcher", "prod_nextgen"));
    assert_eq!(count(&mut watcher).await, 20.0);
    drop(pool);
    falls_to(&mut sources, 0.0).await;
    falls_to(&mut watcher, 0.0).await;
    drop(elsewhere);
}

#[tokio::test]
#[ignore = "POSTGRES names the programs of a real server"]
async fn a_server_that_takes_nobody_is_exhausted_and_one_that_was_connected_before_counts_on() {
    let server = Postgres::start("scram-sha-256").await;
    let mut before = sources(&server.url());
    falls_to(&mut before, 0.0).await;
    // All but those that superusers keep for themselves, and ours.
    let slots = usize::try_from(CONNECTIONS - 3 - 1).expect("a count");
    let pool = server.pool(slots).await;
    assert_eq!(count(&mut before).await, slots as f64);
    let mut late = sources(&server.url());
    let said = sample(&mut late).await;
    assert_eq!(said.reading, Reading::plain(20.0));
    assert!(said.query.contains("53300") && said.query.contains("whole pool of 20"), "{}", said.query);
    assert!(trips(&mut late).await && trips(&mut before).await);
    drop(pool);
    falls_to(&mut late, 0.0).await;
    // A role at a limit of its own says nothing of the pool.
    server.run("ALTER ROLE watcher CONNECTION LIMIT 0").await;
    let mut limited = sources(&server.url_of("watcher", "prod_nextgen"));
    assert!(why(&mut limited).await.contains("CONNECTION LIMIT"));
    assert!(!trips(&mut limited).await);
}

#[tokio::test]
#[ignore = "POSTGRES names the programs of a real server"]
async fn whoever_is_not_let_in_knows_why_and_no_secret_shows() {
    let server = Postgres::start("scram-sha-256").await;
    let url = server.url();
    for (url, expected) in [
        (url.replace(PASSWORD, "wrong-s3cr3t"), "it does not accept the user and password"),
        (url.replace("app:", "n0b0dy:"), "it does not accept the user and password"),
        (url.replace("prod_nextgen", "n0where"), "it has no database of the name"),
        (url.replace("sslmode=disable", "sslmode=require"), "it does not speak TLS"),
        (url.replace(&format!(":{PASSWORD}"), ""), "it asks for a password"),
    ] {
        let mut sources = sources(&url);
        let why = why(&mut sources).await;
        assert!(why.contains(expected), "{why}");
        let checked = format!("{:?}", check(&mut sources, "SELECT 1").await);
        for secret in [PASSWORD, "wrong-s3cr3t", "n0b0dy", "n0where", "127.0.0.1"] {
            assert!(!why.contains(secret) && !checked.contains(secret), "{why} {checked}");
        }
        assert!(!trips(&mut sources).await);
    }
}

#[tokio::test]
#[ignore = "POSTGRES names the programs of a real server"]
async fn a_lost_connection_is_made_again_and_a_stopped_server_is_no_good_news() {
    let server = Postgres::start("scram-sha-256").await;
    let mut sources = sources(&server.url());
    falls_to(&mut sources, 0.0).await;
    server.run("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'deploy-action'").await;
    falls_to(&mut sources, 0.0).await;
    drop(server);
    let reading = sample(&mut sources).await.reading;
    assert!(matches!(&reading, Reading::Failed { why } if why.contains("connection refused")), "{reading:?}");
}

#[tokio::test]
#[ignore = "POSTGRES names the programs of a real server"]
async fn one_number_of_any_type_is_read_and_nothing_else_is_one() {
    let server = Postgres::start("scram-sha-256").await;
    server.run("CREATE TABLE invoices (id serial, amount numeric(12,2), status text); GRANT ALL ON invoices TO app").await;
    let mut sources = sources(&server.url());
    let empty = check(&mut sources, "SELECT count(*) FROM invoices WHERE status='COMPLETED'").await;
    assert_eq!((empty.verdict, empty.found().as_str()), (Verdict::Breach, "0"));
    server.run("INSERT INTO invoices (amount, status) VALUES (12.50, 'COMPLETED'), (-0.25, 'COMPLETED'), (1, 'OPEN')").await;
    for (query, expected) in [
        ("SELECT count(*) FROM invoices WHERE status='COMPLETED'", "2"),
        ("SELECT sum(amount) FROM invoices;", "13.25"),
        ("SELECT avg(id) FROM invoices", "2"),
        ("SELECT -0.0042", "-0.0042"),
        ("SELECT 123456789012345678::numeric", "123456789012345680"),
        ("SELECT 7::smallint", "7"),
        ("SELECT 7::int", "7"),
        ("SELECT 0.5::real", "0.5"),
        ("SELECT 0.5::float8", "0.5"),
        ("SELECT exists(SELECT FROM invoices)", "1"),
        ("WITH open AS (SELECT * FROM invoices WHERE status = 'OPEN') SELECT count(*) FROM open", "1"),
        ("VALUES (3)", "3"),
    ] {
        let checked = check(&mut sources, query).await;
        assert_eq!((checked.verdict, checked.found().as_str()), (Verdict::Pass, expected), "{query}");
    }
    let lacking = [
        "SELECT id FROM invoices",
        "SELECT id FROM invoices WHERE false",
        "SELECT sum(amount) FROM invoices WHERE false",
        "SELECT 1, 2",
        "SELECT status FROM invoices LIMIT 1",
        "SELECT 'NaN'::float8",
        "SELECT 'Infinity'::numeric",
        "SELECT count(*) FROM nothing",
        "SELECT nothing FROM invoices",
        "SELECT (status)::int FROM invoices",
        "SELECT 1 / 0",
        "SELEC 1",
    ];
    let mut said = Vec::new();
    for query in lacking {
        let checked = check(&mut sources, query).await;
        assert_eq!(checked.verdict, Verdict::SourceError, "{query}");
        said.push(format!("{query}: {}", checked.found()));
    }
    insta::assert_snapshot!(said.join("\n"));
    // After all of that the next question is answered.
    assert_eq!(check(&mut sources, "SELECT 1").await.verdict, Verdict::Pass);
}

#[tokio::test]
#[ignore = "POSTGRES names the programs of a real server"]
async fn the_server_itself_refuses_what_writes() {
    let server = Postgres::start("scram-sha-256").await;
    server.run("CREATE TABLE invoices (id int); GRANT ALL ON invoices TO app; INSERT INTO invoices VALUES (1); CREATE SEQUENCE numbers; GRANT ALL ON numbers TO app").await;
    server
        .run("CREATE FUNCTION sly() RETURNS int LANGUAGE sql AS 'DELETE FROM invoices; SELECT 1'; CREATE FUNCTION slow() RETURNS int LANGUAGE sql AS 'SELECT pg_sleep(3600); SELECT 1'")
        .await;
    let mut sources = sources(&server.url());
    // Asked without the check that refuses them in deploy.yml.
    for query in [
        "DELETE FROM invoices RETURNING 1",
        "WITH gone AS (DELETE FROM invoices RETURNING *) SELECT count(*) FROM gone",
        "SELECT sly()",
        "SELECT nextval('numbers')",
        "SELECT count(*) FROM invoices FOR UPDATE",
        "SELECT id FROM invoices FOR SHARE",
        "CREATE TABLE mine AS SELECT 1 AS one",
        "SELECT set_config('transaction_read_only', 'off', false)",
        "SELECT 1; DELETE FROM invoices",
        "ROLLBACK; DELETE FROM invoices",
        "COMMIT",
        "SELECT slow()",
    ] {
        let checked = check(&mut sources, query).await;
        assert_eq!(checked.verdict, Verdict::SourceError, "{query}: {checked}");
    }
    assert_eq!(server.number("SELECT count(*) FROM invoices").await, 1);
    assert_eq!(server.number("SELECT count(*) FROM pg_class WHERE relname = 'mine'").await, 0);
    assert_eq!(server.number("SELECT last_value + is_called::int FROM numbers").await, 1);
}
