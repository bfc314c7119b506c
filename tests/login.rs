//! Logging in to Azure, in each of its ways, and what is said when it fails.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on says so")]

mod common;

use common::{changes, run, world};
use sandbox::{RunSpec, World};

fn of_world(world: &World, name: &str) -> String {
    world.info()[name].as_str().expect(name).to_owned()
}

/// The run without GitHub's offer of an OIDC token.
fn without_oidc(mut spec: RunSpec) -> RunSpec {
    for name in ["ACTIONS_ID_TOKEN_REQUEST_URL", "ACTIONS_ID_TOKEN_REQUEST_TOKEN"] {
        spec.env.insert(name.into(), String::new());
    }
    spec
}

/// How often each service was asked for a token: GitHub's issuer, Entra.
fn tokens(world: &World) -> (usize, usize) {
    let requests = world.requests();
    let oidc = requests.iter().filter(|request| request.service == "oidc").count();
    (oidc, requests.iter().filter(|request| request.path.contains("/oauth2/v2.0/token")).count())
}

#[tokio::test]
async fn by_githubs_oidc_once() {
    let world = world().await;
    let done = run(&world, &RunSpec::push_develop(&world)).await;
    assert_eq!(done.code, Some(0), "{}", done.stdout);
    assert_eq!(tokens(&world), (1, 1));
    let asked = world.requests().into_iter().find(|request| request.path.contains("/oauth2/")).expect("a token request");
    let form = asked.body.as_str().expect("a form");
    assert!(form.contains("client_assertion=***") && !form.contains("client_secret"), "{form}");
}

#[tokio::test]
async fn by_client_secret() {
    let world = world().await;
    let spec = without_oidc(RunSpec::push_develop(&world).with("azure-client-secret", &of_world(&world, "client-secret")));
    let done = run(&world, &spec).await;
    assert_eq!(done.code, Some(0), "{}", done.stdout);
    assert_eq!(tokens(&world), (0, 1));
}

/// `az account get-access-token`, as a step before might have run it; application and tenant are not needed then.
#[tokio::test]
async fn by_a_token_from_outside() {
    let world = world().await;
    let _ = rustls::crypto::ring::default_provider().install_default();
    let authority = std::fs::read(world.ca_file()).expect("the CA");
    let client = reqwest::Client::builder().tls_certs_only([reqwest::Certificate::from_pem(&authority).expect("a certificate")]).build();
    let urls = world.urls();
    let form = [
        ("grant_type", "client_credentials".to_owned()),
        ("client_id", of_world(&world, "client-id")),
        ("client_secret", of_world(&world, "client-secret")),
        ("scope", format!("{}/.default", urls.azure)),
    ];
    let url = format!("{}/{}/oauth2/v2.0/token", urls.azure, of_world(&world, "tenant"));
    let answer = client.expect("a client").post(url).form(&form).send().await.expect("an answer");
    let token = answer.json::<serde_json::Value>().await.expect("JSON")["access_token"].as_str().expect("a token").to_owned();
    let spec = without_oidc(RunSpec::push_develop(&world).with("azure-client-id", "").with("azure-tenant-id", ""));
    let done = run(&world, &spec.with("azure-access-token", &token)).await;
    assert_eq!(done.code, Some(0), "{}", done.stdout);
    assert_eq!(tokens(&world), (0, 1), "the one that this test asked for");
    assert!(!common::everything(&world, &done).contains(&token));
}

#[tokio::test]
async fn what_is_wrong_is_said_and_nothing_is_touched() {
    type Change = fn(RunSpec) -> RunSpec;
    let cases: [(&str, Change, &str); 5] = [
        ("AADSTS90002", |spec| spec.with("azure-tenant-id", "99999999-2222-4333-8444-555555555555"), "az account show --query tenantId"),
        (
            "AADSTS700016",
            |spec| spec.with("azure-client-id", "99999999-7777-4888-8999-aaaaaaaaaaaa"),
            "azure-client-id is not an application",
        ),
        ("AADSTS7000215", |spec| without_oidc(spec.with("azure-client-secret", "not-the-secret")), "the secret's value, not its id"),
        (
            "GitHub gave no OIDC token",
            |mut spec| {
                spec.env.insert("ACTIONS_ID_TOKEN_REQUEST_TOKEN".into(), "no-such-token".into());
                spec
            },
            "permissions: id-token: write",
        ),
        ("HTTP 401", |spec| spec.with("azure-access-token", "not-a-token"), "azure-access-token"),
    ];
    for (why, change, next) in cases {
        let world = world().await;
        let done = run(&world, &change(RunSpec::push_develop(&world))).await;
        assert_eq!((done.code, done.outputs["outcome"].as_str()), (Some(1), "refused"), "{why}: {}", done.stdout);
        let said = done.summary.replace('\\', "");
        assert!(said.contains(why) && said.contains(next), "{why}, {next}: {said}");
        assert_eq!((changes(&world), world.container_groups()), (Vec::<String>::new(), Vec::new()), "{why}");
    }
}
