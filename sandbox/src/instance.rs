//! The application in a container group: health, an API, metrics, and a log line a request.

use serde_json::json;

use crate::{
    arm::groups::Key,
    fault::Fault,
    server::{Call, Reply},
    shared::{Shared, lock},
};

/// What `/api/*` serves, as the runbook's smoke tests ask for it.
const API: [&str; 3] = ["/api/invoices", "/api/payments", "/api/health/db"];

/// Answers a request to an instance.
pub(crate) fn handle(shared: &Shared, key: &Key, call: &Call) -> Reply {
    let version = note(shared, key, call);
    let broken = |path: &str| Reply::json(500, &json!({"error": "relation \"invoices\" does not exist", "path": path}));
    match call.path.as_str() {
        "/health" if shared.faults.is_on(Fault::NeverHealthy) => {
            Reply::json(503, &json!({"status": "starting", "database": "connecting", "redis": "down"}))
        }
        "/health" => Reply::json(200, &json!({"status": "ok", "version": version, "database": "up", "redis": "up"})),
        path if path.starts_with("/api/") && shared.faults.is_on(Fault::Smoke500) => broken(path),
        path if API.contains(&path) => Reply::json(200, &json!({"items": [], "version": version})),
        "/metrics" => {
            let served = lock(&shared.azure).groups.get(key).map_or(0, |group| group.served);
            Reply::with(
                200,
                "text/plain; version=0.0.4",
                format!("# TYPE requests_total counter\nrequests_total{{instance=\"{}\",status=\"200\"}} {served}\n", key.name()),
            )
        }
        _ => Reply::json(404, &json!({"error": "not found"})),
    }
}

/// Counts and logs the request; gives the instance's version.
fn note(shared: &Shared, key: &Key, call: &Call) -> String {
    let mut azure = lock(&shared.azure);
    let Some(group) = azure.groups.get_mut(key) else { return String::new() };
    group.served += 1;
    group.container.logs.push(format!("{} {}", call.method, call.path));
    group.tags().remove("deploy-action-version").unwrap_or_default()
}
