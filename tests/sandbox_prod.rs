//! The sandbox's production and the Action agree: its `deploy.yml` is right, and its pushed tag asks for a release.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on says so")]

use deploy_action::{
    cli::{self, Parsed},
    config::{self, Config},
    domain::Strategy,
    event::{self, GithubEvent, Push},
    request::{self, Request, RunContext},
};
use sandbox::{Clocks, Database, Options, Preflight, RunSpec, World};

async fn world() -> World {
    World::start(Options::quick()).await.expect("a world on loopback")
}

fn read(text: &str) -> Config {
    config::parse(text, "deploy.yml").unwrap_or_else(|error| panic!("{error}\n{text}"))
}

#[tokio::test]
async fn every_configuration_of_production_is_right() {
    let world = world().await;
    for clocks in [Clocks::quick(), Clocks::watched()] {
        for preflight in [Preflight::Off, Preflight::On] {
            for database in [Database::Unasked, Database::Asked] {
                let text = world.config(&Clocks { preflight, database, ..clocks });
                let config = read(&text);
                let prod = config.environments.values().find(|environment| environment.name.as_str() == "prod").expect("prod");
                assert_eq!(prod.strategy, Strategy::Canary);
                // Two bounds of the canary's, one of the checklist's.
                let asks = match (database, preflight) {
                    (Database::Unasked, _) => 0,
                    (Database::Asked, Preflight::Off) => 2,
                    (Database::Asked, Preflight::On) => 3,
                };
                assert_eq!((text.matches("database-connections").count(), text.contains("sql:")), (asks, database == Database::Asked));
            }
        }
    }
}

#[tokio::test]
async fn a_pushed_tag_asks_for_a_release_of_that_version() {
    let world = world().await;
    let spec = RunSpec::push_tag(&world, "v1.0.0");
    assert_eq!((spec.version.as_str(), spec.git_ref.as_str()), ("v1.0.0", "refs/tags/v1.0.0"));
    let event = event::parse(&spec.event, spec.payload.to_string().as_bytes()).unwrap_or_else(|error| panic!("{error}"));
    let GithubEvent::Push(Push { target, .. }) = &event else { panic!("{event:?}") };
    let Ok(Parsed::Run(inputs)) = cli::parse(["deploy-action".into()], &|_| None) else { panic!("inputs") };
    let context = RunContext { sha: spec.commit().parse().ok(), target: Some(target.clone()), actor: Some("octocat".into()) };
    match request::derive(Some(&event), &context, &inputs, &read(&spec.config)) {
        Ok(Request::Deploy(deploy)) => assert_eq!((deploy.environment.as_str(), deploy.version.as_str()), ("prod", "v1.0.0")),
        other => panic!("{other:?}"),
    }
}
