//! Runbook Scenario 3, what a release to production asks beside the instances' own pages: Azure Monitor, the final checks by
//! PromQL and SQL, the database's pool. The real binary over real HTTP; a real PostgreSQL server where POSTGRES names its programs.

#![allow(clippy::expect_used, clippy::panic, reason = "a test stops where it is surprised, in its helpers too")]

mod common;
#[path = "common/postgres.rs"]
mod postgres;
#[path = "common/production.rs"]
mod production;
#[path = "common/tiny_server.rs"]
mod tiny_server;

use std::{sync::Arc, time::Duration};

use common::{binary, everything, run, world};
use deploy_action::report::{evidence, replay};
use postgres::{PASSWORD, Postgres};
use sandbox::{Behaviour, Clocks, Database, Fault, Finished, Load, Options, RunSpec, Who, World, runner, seed::Production};
use tiny_server::{Answer, one, serve, vector};

const BEFORE: &str = "v0.9.5";
const NOW: &str = "v1.0.0";
const GROUP: &str = "prod-nextgen";

/// Half a second from tick to tick: half of that is what a question may take at least.
const CLOCKS: Clocks = Clocks {
    canary_every: Duration::from_millis(500),
    phase_for: Duration::from_secs(2),
    stabilize_for: Duration::from_secs(2),
    ..Clocks::quick()
};

async fn seeded(world: &World) {
    world.seed_production(&Production::stable(BEFORE).with_ttl(1)).await.expect("seeded");
}

/// A pushed tag, whose `deploy.yml` has this in another's place.
fn push_tag(world: &World, clocks: &Clocks, replaced: &[(&str, &str)]) -> RunSpec {
    let mut spec = RunSpec::push_tag(world, NOW);
    spec.config = world.config(clocks);
    for (old, new) in replaced {
        assert!(spec.config.contains(old), "{old}: {}", spec.config);
        spec.config = spec.config.replace(old, new);
    }
    spec
}

fn ended(done: &Finished) -> (Option<i32>, &str) {
    (done.code, done.outputs.get("outcome").map_or("", String::as_str))
}

/// Why the run ended as it did.
fn why(done: &Finished) -> String {
    let end = done.evidence.iter().rfind(|line| line["event"]["kind"] == "finished").expect("an end");
    end["event"]["failure"]["what"].as_str().unwrap_or_default().to_owned()
}

fn version_of(world: &World, instance: &str) -> String {
    world
        .written(GROUP, instance)
        .map_or_else(String::new, |body| body["tags"]["deploy-action-version"].as_str().unwrap_or_default().to_owned())
}

/// The final checks that the evidence holds: name, verdict, what was asked, what came.
fn final_checks(done: &Finished) -> Vec<String> {
    let events = done.evidence.iter().map(|line| &line["event"]).filter(|event| event["kind"] == "final-check");
    events
        .map(|event| {
            let checked = &event["checked"];
            let words = |name: &str| checked[name].as_str().unwrap_or_default().to_owned();
            let asked = words("asked").split(" at http").next().unwrap_or_default().to_owned();
            format!(
                "{} {} {asked} {}",
                checked["check"]["name"].as_str().unwrap_or_default(),
                words("verdict"),
                checked["reading"]["value"]
            )
        })
        .collect()
}

/// What was measured leads to what was said.
fn is_replayed(done: &Finished) {
    let lines: Vec<evidence::Line> =
        done.evidence.iter().map(|line| serde_json::from_value(line.clone()).unwrap_or_else(|error| panic!("{error}: {line}"))).collect();
    replay::replay(&lines).unwrap_or_else(|difference| panic!("{difference}"));
}

// ---- Azure Monitor ------------------------------------------------------------------------------------------------------

const AT_5: &str = "rules: { error-rate: { max: 1% }, latency-p99: { max: 2000ms } }";
const USED: &str = "rules: { error-rate: { max: 1% }, latency-p99: { max: 2000ms }, cpu: { max: 90%, consecutive: 1 }, memory: { max: 90%, max-of-baseline: 300% } }";

#[tokio::test]
async fn cpu_and_memory_come_from_azure_monitor_where_no_query_gives_them() {
    let world = world().await;
    seeded(&world).await;
    let load = world.load(&Load::of("prod"));
    let done = run(&world, &push_tag(&world, &CLOCKS, &[(AT_5, USED)])).await;
    load.stop().await;
    assert_eq!(ended(&done), (Some(0), "healthy"), "{}", done.stdout);
    let text = done.evidence.iter().map(ToString::to_string).collect::<String>();
    assert!(text.contains("CpuUsage of prod-canary-1 in the last minute, by Azure Monitor"), "{}", done.stdout);
    // Asked once a few ticks, not at every one: what it says changes once a minute.
    let asked = world.requests().into_iter().filter(|request| request.path.contains("Microsoft.Insights/metrics?")).count();
    let ticks = done.evidence.iter().filter(|line| line["event"]["kind"] == "tick").count();
    assert!(asked > 0 && asked < ticks, "{asked} of {ticks}");
    is_replayed(&done);
}

#[tokio::test]
async fn a_canary_that_uses_all_it_was_given_is_taken_back() {
    let world = world().await;
    seeded(&world).await;
    world.behave(Who::version(NOW), Behaviour { cpu: 0.97, ..Behaviour::default() });
    let load = world.load(&Load::of("prod"));
    let done = run(&world, &push_tag(&world, &CLOCKS, &[(AT_5, USED)])).await;
    load.stop().await;
    assert_eq!(ended(&done), (Some(1), "rolled-back"), "{}", done.stdout);
    assert!(why(&done).contains("cpu 97 % > 90 %"), "{}", why(&done));
    assert_eq!((version_of(&world, "prod-stable-1").as_str(), world.container_groups().len()), (BEFORE, 3));
    is_replayed(&done);
}

// ---- final checks by PromQL ---------------------------------------------------------------------------------------------

const SMOKE: &str = "        smoke: [/health, /api/invoices, /api/payments, /api/health/db]\n    rollback:";
const CHECKED: &str = r#"        metrics:
          backup-fresh: { query: "time() - backup_last_success_timestamp_seconds", max: 24h }
          critical-alerts: { query: "count(ALERTS{alertstate=\"firing\"}) or vector(0)", max: 0 }
          served: { query: "sum(up{instance=~\"$instances\"})", min: 1 }
    rollback:"#;

/// A Prometheus server by which every rule is kept: requests by the weights of the profile, none failed, 30 ms each.
fn kept(world: &World, query: &str) -> Answer {
    let addresses = query.split_once("instance=~\"").and_then(|(_, rest)| rest.split_once('"')).map_or("", |(addresses, _)| addresses);
    let addresses: Vec<String> =
        addresses.trim_start_matches("(?:").trim_end_matches(')').split('|').map(|address| address.replace(['[', ']'], "")).collect();
    match () {
        () if query.contains("timestamp(up") => {
            let series: Vec<(String, &str)> = addresses.iter().map(|address| (format!("{{\"instance\":\"{address}\"}}"), "0.2")).collect();
            vector(&series.iter().map(|(labels, age)| (labels.as_str(), *age)).collect::<Vec<_>>())
        }
        () if query.contains("histogram_quantile") => one("0.03"),
        () if query.contains("sum by (le)") => vector(&[("{\"le\":\"0.1\"}", "500"), ("{\"le\":\"+Inf\"}", "500")]),
        () if query.starts_with("sum(increase(") => one(&(share(world, &addresses) * 2000.0).round().to_string()),
        () if query.starts_with("1 - (") => one("1"),
        () => one("0"),
    }
}

/// The share of people that these addresses have.
fn share(world: &World, addresses: &[String]) -> f64 {
    let profile = world.profile(GROUP, "tm-prod").expect("a profile");
    let on: Vec<(String, f64)> = profile["properties"]["endpoints"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|endpoint| endpoint["properties"]["endpointStatus"] == "Enabled")
        .map(|endpoint| {
            (endpoint["name"].as_str().unwrap_or_default().to_owned(), endpoint["properties"]["weight"].as_f64().unwrap_or_default())
        })
        .collect();
    let is_asked = |name: &str| world.address(GROUP, name).is_some_and(|own| addresses.iter().any(|address| *address == own.to_string()));
    let asked: f64 = on.iter().filter(|(name, _)| is_asked(name)).map(|(_, weight)| weight).sum();
    asked / on.iter().map(|(_, weight)| weight).sum::<f64>().max(1.0)
}

/// A release that is well until its final checks, to which the server says this.
async fn checked(says: fn(&str) -> Option<Answer>) -> (Arc<World>, Finished) {
    let world = Arc::new(world().await);
    seeded(&world).await;
    let of = Arc::clone(&world);
    let server = serve(move |asked| says(asked.query()).unwrap_or_else(|| kept(&of, asked.query()))).await;
    let prometheus = format!("  prometheus: http://{server}\n");
    let spec = push_tag(&world, &CLOCKS, &[("  scrape: {}\n", &prometheus), (SMOKE, &SMOKE.replace("    rollback:", CHECKED))]);
    let done = run(&world, &spec).await;
    (world, done)
}

fn all_right(query: &str) -> Option<Answer> {
    match () {
        () if query.starts_with("time() - backup") => Some(one("3600")),
        () if query.starts_with("count(ALERTS") => Some(one("0")),
        () if query.starts_with("sum(up") => Some(one("2")),
        () => None,
    }
}

#[tokio::test]
async fn numbers_that_are_right_end_a_release_and_are_shown_with_their_queries() {
    let (world, done) = checked(all_right).await;
    assert_eq!(ended(&done), (Some(0), "healthy"), "{}", done.stdout);
    let addresses = ["prod-stable-1", "prod-stable-2"].map(|name| world.address(GROUP, name).expect("an address").to_string());
    let asked = |text: String| addresses.iter().fold(text, |text, address| text.replace(&address.replace('.', "[.]"), "STABLE"));
    let checks: Vec<String> = final_checks(&done).into_iter().map(asked).collect();
    insta::assert_snapshot!(checks.join("\n"));
    assert!(done.summary.contains("### Final checks") && done.summary.contains("at most 86400 s"), "{}", done.summary);
    assert!(done.stdout.contains("backup-fresh: 3600 s (at most 86400 s)"), "{}", done.stdout);
    is_replayed(&done);
}

/// A number that is wrong takes the release back, share by share; one that nobody has holds it, for a person.
#[tokio::test]
async fn a_wrong_number_is_taken_back_and_a_missing_one_is_held() {
    type Says = fn(&str) -> Option<Answer>;
    type Case = (&'static str, Says, (Option<i32>, &'static str), &'static str);
    let cases: [Case; 4] = [
        (
            "a critical alert",
            |query| if query.starts_with("count(ALERTS") { Some(one("2")) } else { all_right(query) },
            (Some(1), "rolled-back"),
            "1 of 3 final checks failed: critical-alerts: 2 (at most 0)",
        ),
        (
            "several series",
            |query| {
                if query.starts_with("count(ALERTS") {
                    Some(vector(&[("{\"a\":\"1\"}", "0"), ("{\"a\":\"2\"}", "0")]))
                } else {
                    all_right(query)
                }
            },
            (Some(3), "held"),
            "1 of 3 final checks brought no number: critical-alerts: no number: the answer has 2 series instead of one number",
        ),
        (
            "no series",
            |query| if query.starts_with("count(ALERTS") { Some(vector(&[])) } else { all_right(query) },
            (Some(3), "held"),
            "1 of 3 final checks brought no number: critical-alerts: no number: the answer is empty",
        ),
        (
            "one wrong and one missing",
            |query| match () {
                () if query.starts_with("count(ALERTS") => Some(vector(&[])),
                () if query.starts_with("time() - backup") => Some(one("90000")),
                () => all_right(query),
            },
            (Some(1), "rolled-back"),
            "1 of 3 final checks failed: backup-fresh: 90000 s (at most 86400 s)",
        ),
    ];
    let runs = cases.iter().map(async |(name, says, ends, text)| (name, checked(*says).await, ends, text));
    let mut ended_all = futures::future::join_all(runs).await;
    for (name, (world, done), ends, text) in &ended_all {
        assert_eq!(ended(done), **ends, "{name}: {}", done.stdout);
        assert!(why(done).contains(*text), "{name}: {}", why(done));
        assert!(done.summary.contains("critical-alerts"), "{name}: {}", done.summary);
        let expected = if ends.1 == "held" { NOW } else { BEFORE };
        assert_eq!(version_of(world, "prod-stable-1"), expected, "{name}");
        is_replayed(done);
    }
    // A person may trust what no number could be had of.
    let (_, (world, _), ..) = ended_all.swap_remove(2);
    let mut spec = RunSpec::dispatch(&world, &[("environment", "prod"), ("command", "promote")]).in_run(78);
    spec.config = world.config(&CLOCKS);
    let done = run(&world, &spec).await;
    assert_eq!(ended(&done), (Some(0), "healthy"), "{}", done.stdout);
    assert!(version_of(&world, "prod-stable-1") == NOW && final_checks(&done).is_empty());
}

// ---- what is refused before anything is touched -------------------------------------------------------------------------

#[tokio::test]
async fn what_cannot_be_asked_is_refused_before_anything_is_touched() {
    let asked = Clocks { database: Database::Asked, ..CLOCKS };
    let sql = "SELECT count(*) FROM invoices WHERE status='COMPLETED'";
    let with = |text: &str| SMOKE.replace("    rollback:", &format!("{text}    rollback:"));
    type Case = (&'static str, Clocks, Vec<(&'static str, String)>, Option<&'static str>);
    let cases: Vec<Case> = vec![
        ("no database-url", asked, vec![], None),
        ("no database-url for a check alone", CLOCKS, vec![(SMOKE, with("        sql: { invoices: \"SELECT 1\" }\n"))], None),
        ("another database", asked, vec![], Some("mysql://app:s3cr3t-hidden@db/prod")),
        ("sql that writes", asked, vec![(sql, "DELETE FROM invoices".into())], Some("postgres://app:s3cr3t-hidden@db/prod")),
        ("sql that writes in its middle", asked, vec![(sql, "WITH x AS (UPDATE t SET a=1 RETURNING 1) SELECT 1 FROM x".into())], None),
        ("two statements", asked, vec![(sql, "SELECT 1; SELECT 2".into())], None),
        ("database: off", asked, vec![("metrics:\n  scrape", "database: off\nmetrics:\n  scrape".into())], None),
        ("a query and no server", CLOCKS, vec![(SMOKE, with("        metrics: { a: { query: up, max: 1 } }\n"))], None),
        (
            "no bound",
            CLOCKS,
            vec![("  scrape: {}\n", "  prometheus: http://p:9090\n".into()), (SMOKE, with("        metrics: { a: { query: up } }\n"))],
            None,
        ),
        (
            "bounds that exclude each other",
            CLOCKS,
            vec![
                ("  scrape: {}\n", "  prometheus: http://p:9090\n".into()),
                (SMOKE, with("        metrics: { a: { query: up, min: 2, max: 1 } }\n")),
            ],
            None,
        ),
        (
            "a placeholder that means nothing",
            CLOCKS,
            vec![
                ("  scrape: {}\n", "  prometheus: http://p:9090\n".into()),
                (SMOKE, with("        metrics: { a: { query: \"up{i=~'$instance'}\", max: 1 } }\n")),
            ],
            None,
        ),
        (
            "a pool beside stable",
            asked,
            vec![("database-connections: { max: 18 }", "database-connections: { max-of-baseline: 150% }".into())],
            None,
        ),
    ];
    let mut said = String::new();
    for (name, clocks, replaced, url) in cases {
        let world = world().await;
        let replaced: Vec<(&str, &str)> = replaced.iter().map(|(old, new)| (*old, new.as_str())).collect();
        let mut spec = push_tag(&world, &clocks, &replaced).with("color", "never");
        if let Some(url) = url {
            spec = spec.with_database(url);
        }
        let done = run(&world, &spec).await;
        assert_eq!(ended(&done), (Some(2), "refused"), "{name}: {}{}", done.stdout, done.stderr);
        assert!(world.requests().is_empty(), "{name}");
        let shown = everything(&world, &done);
        assert!(!shown.contains("s3cr3t-hidden"), "{name}: {shown}");
        let lines = done.stdout.lines().chain(done.stderr.lines()).filter(|line| !line.starts_with("::"));
        let text: Vec<&str> =
            lines.filter(|line| line.contains("check") || line.contains("rule") || line.contains("database-url")).collect();
        said.push_str(&format!("{name}:\n{}\n", text.join("\n")));
    }
    insta::assert_snapshot!(said);
}

// ---- a real database ----------------------------------------------------------------------------------------------------

/// A server with the runbook's table, a world whose instances use it, and a release that asks it.
async fn with_database(rows: u32) -> (Postgres, World, RunSpec) {
    // The sandbox's application logs in by a password in clear text.
    let server = Postgres::start("password").await;
    server.run("CREATE TABLE invoices (id serial, status text); GRANT SELECT ON invoices TO app").await;
    for _ in 0..rows {
        server.run("INSERT INTO invoices (status) VALUES ('COMPLETED')").await;
    }
    let world = World::start(Options { database: Some(server.url()), ..Options::quick() }).await.expect("a world on loopback");
    seeded(&world).await;
    let spec = push_tag(&world, &Clocks { database: Database::Asked, ..CLOCKS }, &[]).with_database(&server.url());
    (server, world, spec)
}

#[tokio::test]
#[ignore = "POSTGRES names the programs of a real server"]
async fn a_release_asks_the_real_database_and_its_address_shows_nowhere() {
    let (server, world, spec) = with_database(3).await;
    let load = world.load(&Load::of("prod"));
    let done = run(&world, &spec).await;
    load.stop().await;
    assert_eq!(ended(&done), (Some(0), "healthy"), "{}", done.stdout);
    assert_eq!(final_checks(&done), ["invoices pass SELECT count(*) FROM invoices WHERE status='COMPLETED' 3.0"]);
    let counted = done.evidence.iter().filter(|line| line.to_string().contains("FROM pg_stat_activity")).count();
    assert!(counted > 5, "{counted}");
    let shown = everything(&world, &done);
    assert!(!shown.contains(PASSWORD) && !shown.contains(&server.url()), "{shown}");
    is_replayed(&done);
}

/// The sandbox's fault: its canary really holds the connections, until it has gone.
#[tokio::test]
#[ignore = "POSTGRES names the programs of a real server"]
async fn a_canary_that_leaks_connections_is_taken_back_and_they_are_free_again() {
    let (server, world, spec) = with_database(3).await;
    world.fault(Fault::PoolExhausted).await;
    let load = world.load(&Load::of("prod"));
    let done = run(&world, &spec).await;
    let seen = load.stop().await;
    assert_eq!(ended(&done), (Some(1), "rolled-back"), "{}", done.stdout);
    assert!(why(&done).contains("database-connections 20 > 19"), "{}", why(&done));
    assert_eq!(seen.total.failures, seen.version(NOW).failures, "{:?}", seen.failed);
    while server.number("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'prod-canary-1'").await > 0 {}
}

#[tokio::test]
#[ignore = "POSTGRES names the programs of a real server"]
async fn a_canary_that_takes_every_connection_is_taken_back_at_once_at_each_share() {
    for share in [5, 25, 50, 100] {
        let (server, world, spec) = with_database(3).await;
        let load = world.load(&Load::of("prod"));
        let mut running = runner::spawn(&world, binary(), &spec).expect("started");
        tokio::select! {
            () = world.until_profile("prod-nextgen", "tm-prod", |profile| production::canary_has(profile, share)) => {}
            ended = running.ended() => ended.expect("its end"),
        }
        // As a version that leaks them does: one after the other, until none is left.
        let pool = server.pool(20).await;
        let done = running.finish(runner::Echo::Off).await.expect("its end");
        let seen = load.stop().await;
        assert_eq!(ended(&done), (Some(1), "rolled-back"), "at {share} %: {}", done.stdout);
        assert!(why(&done).contains("database-connections 20 > 19"), "at {share} %: {}", why(&done));
        assert_eq!((version_of(&world, "prod-stable-1").as_str(), world.container_groups().len()), (BEFORE, 3), "at {share} %");
        assert_eq!(seen.total.failures, seen.version(NOW).failures, "at {share} %: {:?}", seen.failed);
        is_replayed(&done);
        drop(pool);
    }
}

#[tokio::test]
#[ignore = "POSTGRES names the programs of a real server"]
async fn a_number_of_sql_that_is_0_takes_the_release_back() {
    let (_server, world, spec) = with_database(0).await;
    let load = world.load(&Load::of("prod"));
    let done = run(&world, &spec).await;
    load.stop().await;
    assert_eq!(ended(&done), (Some(1), "rolled-back"), "{}", done.stdout);
    assert!(why(&done).contains("1 of 1 final checks failed: invoices: 0 (not 0)"), "{}", why(&done));
    assert_eq!(version_of(&world, "prod-stable-1"), BEFORE);
    is_replayed(&done);
}

#[tokio::test]
#[ignore = "POSTGRES names the programs of a real server"]
async fn a_database_that_went_away_holds_the_release_and_takes_nothing_from_people() {
    let (server, world, mut spec) = with_database(3).await;
    // The rules do not ask it, so that the check alone misses it.
    for rule in ["\n        database-connections: { max: 19, consecutive: 1 }", ", database-connections: { max: 18 }"] {
        assert!(spec.config.contains(rule), "{}", spec.config);
        spec.config = spec.config.replace(rule, "");
    }
    drop(server);
    let load = world.load(&Load::of("prod"));
    let done = run(&world, &spec).await;
    load.stop().await;
    assert_eq!(ended(&done), (Some(3), "held"), "{}", done.stdout);
    assert!(why(&done).contains("invoices: no number: the database cannot be asked: connection refused"), "{}", why(&done));
    assert_eq!(version_of(&world, "prod-stable-1"), NOW);
    is_replayed(&done);
}

/// Over TLS, as a public database demands it: verified against what `SSL_CERT_FILE` trusts, and not at all believed otherwise.
#[tokio::test]
#[ignore = "POSTGRES names the programs of a real server"]
async fn tls_to_the_database_is_verified() {
    let key = || rcgen::KeyPair::generate().expect("a key");
    let mut authority = rcgen::CertificateParams::new(Vec::new()).expect("parameters");
    authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let issuer = rcgen::CertifiedIssuer::self_signed(authority, key()).expect("a CA");
    let own = key();
    let certificate =
        rcgen::CertificateParams::new(vec!["localhost".to_owned()]).expect("parameters").signed_by(&own, &issuer).expect("signed");
    let server = Postgres::with_tls(&certificate.pem(), &own.serialize_pem()).await;
    server.run("CREATE TABLE invoices (id serial, status text); GRANT SELECT ON invoices TO app; INSERT INTO invoices (status) VALUES ('COMPLETED')").await;
    let url = server.url().replace("127.0.0.1", "localhost").replace("sslmode=disable", "sslmode=verify-full");
    let runs = [Trust::Missing, Trust::Given].map(async |trust| {
        let world = world().await;
        seeded(&world).await;
        if trust == Trust::Given {
            let file = world.ca_file();
            let both = format!("{}{}", std::fs::read_to_string(file).expect("the world's CA"), issuer.pem());
            std::fs::write(file, both).expect("written");
        }
        let spec = push_tag(&world, &Clocks { database: Database::Asked, ..CLOCKS }, &[]).with_database(&url);
        let load = world.load(&Load::of("prod"));
        let done = run(&world, &spec).await;
        load.stop().await;
        done
    });
    let [missing, given] = futures::future::join_all(runs).await.try_into().expect("two runs");
    assert_eq!(ended(&missing), (Some(1), "rolled-back"), "{}", missing.stdout);
    assert!(why(&missing).contains("its certificate is not signed by a CA that is trusted here"), "{}", why(&missing));
    assert_eq!(ended(&given), (Some(0), "healthy"), "{}", given.stdout);
}

/// Whether the runner trusts the CA of the database's certificate.
#[derive(PartialEq)]
enum Trust {
    Missing,
    Given,
}
