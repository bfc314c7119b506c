//! The sandbox's own switches over HTTP, below `/_sandbox` on the Azure address.
//! Not recorded: they are no part of the world.

use std::sync::Arc;

use hyper::Method;
use serde_json::json;

use crate::{
    behaviour::{Behaviour, Who},
    fault::{Fault, Switch, Times},
    server::{Call, Reply, Service},
    shared::{Shared, lock},
};

/// Whether a request is for the sandbox itself.
pub(crate) fn is_ours(service: &Service, call: &Call) -> bool {
    matches!(service, Service::Azure) && call.path.starts_with("/_sandbox/")
}

/// `POST` or `DELETE /_sandbox/faults/NAME` (`?times=N` or `always`), `GET /_sandbox/faults`, `GET /_sandbox/requests`,
/// `POST /_sandbox/images/VERSION`, `PUT /_sandbox/behaviours/{version,instance}/NAME` with a [`Behaviour`] as JSON,
/// `GET /_sandbox/targets` for Prometheus' HTTP service discovery.
pub(crate) async fn handle(shared: &Arc<Shared>, call: &Call) -> Reply {
    let segments = call.segments();
    let parts: Vec<&str> = segments.iter().skip(1).map(String::as_str).collect();
    match (&call.method, parts.as_slice()) {
        (&Method::GET, ["requests"]) => match serde_json::to_value(shared.recorder.all()) {
            Ok(all) => Reply::json(200, &all),
            Err(error) => Reply::text(500, error.to_string()),
        },
        (&Method::GET, ["faults"]) => Reply::json(200, &json!(shared.faults.all().into_iter().map(Fault::name).collect::<Vec<_>>())),
        (method, ["faults", name]) => {
            let fault: Fault = match name.parse() {
                Ok(fault) => fault,
                Err(error) => return Reply::text(404, error),
            };
            let times = match call.query("times").map(str::parse::<Times>).transpose() {
                Ok(times) => times.unwrap_or_else(|| fault.usual()),
                Err(error) => return Reply::text(400, error),
            };
            match *method {
                Method::POST => shared.switch(fault, Switch::On, times).await,
                Method::DELETE => shared.switch(fault, Switch::Off, times).await,
                _ => return Reply::text(405, "POST switches a fault on, DELETE off"),
            }
            Reply::empty(204)
        }
        (&Method::POST, ["images", version]) => Reply::json(201, &json!({ "digest": shared.push_image(version) })),
        (&Method::PUT, ["behaviours", kind @ ("version" | "instance"), name]) => match serde_json::from_slice::<Behaviour>(&call.body) {
            Ok(behaviour) => {
                let who = if *kind == "version" { Who::version(name) } else { Who::instance(name) };
                lock(&shared.behaviours).set(who, behaviour);
                Reply::empty(204)
            }
            Err(error) => Reply::text(400, error.to_string()),
        },
        (&Method::GET, ["targets"]) => {
            let all: Vec<String> = lock(&shared.azure).groups.values().map(|group| format!("{}:{}", group.ip, group.port())).collect();
            Reply::json(200, &json!([{"targets": all, "labels": {}}]))
        }
        _ => Reply::text(
            404,
            "there are /_sandbox/requests, /_sandbox/targets, /_sandbox/faults, /_sandbox/faults/NAME, /_sandbox/images/VERSION, \
             /_sandbox/behaviours/version/NAME and /_sandbox/behaviours/instance/NAME",
        ),
    }
}
