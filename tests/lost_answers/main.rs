//! What the clients make of answers that are lost, broken, refused, or tell of somebody else's hand.
#![allow(clippy::expect_used, clippy::panic, reason = "a test that cannot go on says so and ends")]

mod github;
mod small_server;
mod tags;
mod traffic_manager;

use std::sync::Arc;

use deploy_action::{
    azure::{Login, ResourceManager, Settings},
    domain::Secret,
};
use small_server::{Reply, Server};

/// Azure, where the server is.
fn azure(server: &Server) -> ResourceManager {
    let settings = Settings {
        resource_manager: server.base.clone(),
        authority_host: server.base.clone(),
        subscription: "s-1".into(),
        login: Login::Token(Secret::new("token".into())),
    };
    ResourceManager::new(server.client.clone(), settings, Arc::new(|_| {})).expect("a client")
}

/// Azure's answer, that it is overloaded for a millisecond.
fn overloaded() -> Reply {
    Reply::With(503, vec![("x-ms-retry-after-ms", "1".into())], String::new())
}
