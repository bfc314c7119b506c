//! Traffic Manager's requests: profiles whole, and their endpoints one by one. Every write is synchronous, and the last one wins.
//! What a profile holds stands in `profile`; who is sent where, in `dns`.

use hyper::Method;
use serde_json::{Value, json};

use super::{
    body::Refusal,
    error,
    groups::Key,
    paced,
    profile::{DOMAIN, Endpoint, Kind, Profile},
};
use crate::{
    fault::Fault,
    server::{Call, Reply},
    shared::{Shared, lock},
};

/// All profiles of a resource group, or of the subscription.
pub(crate) fn list(shared: &Shared, group: Option<&str>) -> Reply {
    let azure = lock(&shared.azure);
    let found = azure.profiles.iter().filter(|(key, _)| group.is_none_or(|group| key.group() == group));
    Reply::json(200, &json!({"value": found.map(|(key, profile)| profile.show(key)).collect::<Vec<_>>()}))
}

/// Whether a DNS name is free.
pub(crate) fn name_available(shared: &Shared, call: &Call) -> Reply {
    let name = call.json().and_then(|body| Some(body.get("name")?.as_str()?.to_owned())).unwrap_or_default();
    let taken = lock(&shared.azure).profiles.values().any(|profile| profile.relative_name().eq_ignore_ascii_case(&name));
    let mut answer = json!({"name": name, "type": "Microsoft.Network/trafficManagerProfiles", "nameAvailable": !taken});
    if taken {
        answer["reason"] = json!("AlreadyExists");
        answer["message"] = json!(exists(&name));
    }
    Reply::json(200, &answer)
}

fn exists(name: &str) -> String {
    format!("Domain name {name}.{DOMAIN} already exists. Please choose a different DNS prefix.")
}

/// A request to the profiles of a resource group; `rest` is what follows `trafficManagerProfiles`, as it was sent.
pub(crate) fn handle(shared: &Shared, call: &Call, key: &Key, rest: &[String]) -> Reply {
    let rest: Vec<&str> = rest.iter().map(String::as_str).collect();
    let is_write = call.method != Method::GET;
    if is_write {
        for (fault, status, code, message) in [
            (Fault::Tm429, 429, "TooManyRequests", "The request is being throttled as the limit has been reached for operation type."),
            (Fault::Tm500, 500, "InternalServerError", "The server encountered an internal error. Please retry the request."),
        ] {
            if shared.faults.strikes(fault) {
                return paced(shared, error(shared, status, code, message));
            }
        }
    }
    let reply = match (&call.method, rest.as_slice()) {
        (&Method::GET, []) => list(shared, Some(key.group())),
        (&Method::GET, [_]) => with(shared, key, |profile| Reply::json(200, &profile.show(key))),
        (&Method::PUT, [name]) => put(shared, call, key, name),
        (&Method::PATCH, [_]) => patch(shared, call, key),
        (&Method::DELETE, [_]) => match lock(&shared.azure).profiles.remove(key) {
            Some(_) => Reply::json(200, &json!({})),
            None => Reply::empty(204),
        },
        (method, [_, kind, name]) => match Kind::named(kind) {
            Some(kind) => endpoint(shared, call, method, key, (kind, name)),
            None => error(shared, 404, "InvalidResourceType", format!("There is no endpoint type '{kind}'.")),
        },
        _ => error(shared, 404, "InvalidResourceType", format!("There is no {} {} here.", call.method, call.path)),
    };
    if !is_write {
        return reply;
    }
    shared.profile_written();
    if shared.faults.strikes(Fault::TmLostAnswer) { Reply::Drop } else { reply }
}

fn with(shared: &Shared, key: &Key, show: impl FnOnce(&Profile) -> Reply) -> Reply {
    let azure = lock(&shared.azure);
    match azure.profiles.get(key) {
        Some(profile) => show(profile),
        None => missing(shared, key, ""),
    }
}

fn missing(shared: &Shared, key: &Key, endpoint: &str) -> Reply {
    let message = format!(
        "The Resource 'Microsoft.Network/trafficManagerProfiles/{}{endpoint}' under resource group '{}' was not found. For more details \
         please go to https://aka.ms/ARMResourceNotFoundFix",
        key.name(),
        key.group()
    );
    error(shared, 404, "ResourceNotFound", message)
}

fn refused(shared: &Shared, (code, message): Refusal) -> Reply {
    error(shared, 400, code, message)
}

/// Puts a profile in the place of what was there; the name servers hear of it, unless they are stuck.
fn replace(shared: &Shared, key: &Key, mut profile: Profile) -> Value {
    let mut azure = lock(&shared.azure);
    let before = azure.profiles.remove(key);
    profile.stuck = match before {
        Some(before) if shared.faults.is_on(Fault::SwitchWithoutEffect) => before.stuck.clone().or(Some(Box::new(before))),
        Some(_) | None => None,
    };
    let shown = profile.show(key);
    azure.profiles.insert(key.clone(), profile);
    shown
}

/// Writes a profile: what a PUT does, for requests and for tests that act as somebody else.
///
/// # Errors
/// Status, code and message of Azure's refusal.
pub(crate) fn write(shared: &Shared, key: &Key, name: &str, body: &Value) -> Result<(u16, Value), (u16, &'static str, String)> {
    let azure = lock(&shared.azure);
    let before = azure.profiles.get(key).cloned();
    let profile = Profile::read(name, body, before.as_ref()).map_err(|(code, message)| (400, code, message))?;
    let is_taken = |(other, known): (&Key, &Profile)| other != key && known.relative_name().eq_ignore_ascii_case(profile.relative_name());
    if azure.profiles.iter().any(is_taken) {
        return Err((409, "Conflict", exists(profile.relative_name())));
    }
    drop(azure);
    Ok((if before.is_some() { 200 } else { 201 }, replace(shared, key, profile)))
}

fn put(shared: &Shared, call: &Call, key: &Key, name: &str) -> Reply {
    let Some(body) = call.json() else {
        return error(shared, 400, "InvalidRequestContent", "The request content was invalid and could not be deserialized.");
    };
    match write(shared, key, name, &body) {
        Ok((status, shown)) => Reply::json(status, &shown),
        Err((status, code, message)) => error(shared, status, code, message),
    }
}

fn patch(shared: &Shared, call: &Call, key: &Key) -> Reply {
    let patch = call.json().unwrap_or(Value::Null);
    let Some(before) = lock(&shared.azure).profiles.get(key).cloned() else { return missing(shared, key, "") };
    match before.patched(&patch) {
        Ok(profile) => Reply::json(200, &replace(shared, key, profile)),
        Err(refusal) => refused(shared, refusal),
    }
}

fn endpoint(shared: &Shared, call: &Call, method: &Method, key: &Key, (kind, name): (Kind, &str)) -> Reply {
    let Some(mut profile) = lock(&shared.azure).profiles.get(key).cloned() else { return missing(shared, key, "") };
    let known = profile.endpoint(kind, name).cloned();
    let part = format!("/{name}");
    let shown = |profile: &Profile| profile.endpoint(kind, name).map_or(Value::Null, |endpoint| profile.show_endpoint(key, endpoint));
    let body = call.json().unwrap_or(Value::Null);
    let properties = match (method, &known) {
        (&Method::GET, Some(_)) => return Reply::json(200, &shown(&profile)),
        (&Method::GET | &Method::PATCH, None) => return missing(shared, key, &part),
        (&Method::DELETE, None) => return Reply::empty(204),
        (&Method::DELETE, Some(_)) => {
            profile.remove(kind, name);
            replace(shared, key, profile);
            return Reply::json(200, &json!({}));
        }
        (&Method::PUT, _) => body["properties"].clone(),
        (&Method::PATCH, Some(known)) => known.merged(&body["properties"]),
        _ => return error(shared, 405, "MethodNotAllowed", format!("{method} is not allowed here.")),
    };
    let status = if known.is_some() { 200 } else { 201 };
    match Endpoint::read(kind, name, &properties, known.as_ref()).and_then(|endpoint| profile.put(endpoint)) {
        Ok(()) => {
            let answer = shown(&profile);
            replace(shared, key, profile);
            Reply::json(status, &answer)
        }
        Err(refusal) => refused(shared, refusal),
    }
}
