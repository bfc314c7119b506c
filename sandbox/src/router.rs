//! The address that people use: hands a request to the environment's instance, as DNS would send the client there.

use serde_json::json;

use crate::{
    arm::groups::Key,
    instance,
    server::{Call, Reply},
    shared::{Shared, lock},
};

/// The instance behind the public address of `environment`.
fn target(environment: &str) -> Option<Key> {
    match environment {
        "dev" => Some(Key::new("dev-nextgen", "aci-dev-nextgen")),
        _ => None,
    }
}

/// Answers a request to the public address of `environment`.
pub(crate) fn handle(shared: &Shared, environment: &str, call: &Call) -> Reply {
    let running = |key: &Key| {
        let azure = lock(&shared.azure);
        azure.groups.get(key).is_some_and(|group| group.container.current.get("state").is_some_and(|state| state == "Running"))
    };
    match target(environment).filter(running) {
        Some(key) => instance::handle(shared, &key, call),
        None => Reply::json(503, &json!({"error": "no instance answers for this address"})),
    }
}
