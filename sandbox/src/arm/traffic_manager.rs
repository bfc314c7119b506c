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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Options, Staging, Switch, Times, World, entra, shared::SUBSCRIPTION};

    fn ask(world: &World, method: &str, path: &str, body: &Value) -> (u16, Value) {
        let shared = world.shared();
        let path = format!("{path}?api-version=2022-04-01");
        crate::arm::handle(shared, &Call::of(method, &path, &entra::access_token(shared), body)).read()
    }

    fn profile(name: &str) -> String {
        format!("/subscriptions/{SUBSCRIPTION}/resourceGroups/staging-nextgen/providers/Microsoft.Network/trafficManagerProfiles/{name}")
    }

    fn body() -> Value {
        Staging::both_enabled("v1", "v2").profile_body("westeurope")
    }

    #[tokio::test]
    async fn a_profile_is_made_read_changed_and_deleted_in_any_case() {
        let world = World::start(Options::quick()).await.unwrap();
        assert_eq!(ask(&world, "GET", &profile("tm-staging"), &Value::Null).0, 404);
        let (status, made) = ask(&world, "PUT", &profile("TM-staging"), &body());
        assert_eq!((status, &made["name"], &made["location"]), (201, &json!("TM-staging"), &json!("global")));
        let lower = profile("tm-STAGING").to_lowercase().replace("resourcegroups", "resourceGroups");
        assert_eq!(ask(&world, "GET", &lower, &Value::Null), (200, made.clone()));
        assert_eq!(ask(&world, "PUT", &lower, &made), (200, made.clone()), "read-only fields are taken and ignored");
        let all = format!("/subscriptions/{SUBSCRIPTION}/providers/Microsoft.Network/trafficmanagerprofiles");
        assert_eq!(ask(&world, "GET", &all, &Value::Null).1["value"], json!([made]));
        assert_eq!(ask(&world, "GET", profile("").trim_end_matches('/'), &Value::Null).1["value"], json!([made]));
        assert_eq!(ask(&world, "PATCH", &lower, &json!({"tags": {"a": "b"}})).1["tags"], json!({"a": "b"}));
        let (status, refused) = ask(&world, "PATCH", &lower, &json!({"properties": {"endpoints": []}}));
        assert_eq!((status, &refused["error"]["code"]), (400, &json!("BadRequest")));
        assert_eq!(ask(&world, "PUT", &profile("other"), &body()).0, 409, "the DNS name is taken");
        assert_eq!([ask(&world, "DELETE", &lower, &Value::Null).0, ask(&world, "DELETE", &lower, &Value::Null).0], [200, 204]);
    }

    #[tokio::test]
    async fn endpoints_are_put_merged_and_deleted_one_by_one() {
        let world = World::start(Options::quick()).await.unwrap();
        ask(&world, "PUT", &profile("tm-staging"), &body());
        let endpoint = |kind: &str| format!("{}/{kind}/blue-endpoint", profile("tm-staging"));
        let (status, read) = ask(&world, "GET", &endpoint("ExternalEndpoints"), &Value::Null);
        assert_eq!((status, &read["properties"]["endpointMonitorStatus"]), (200, &json!("CheckingEndpoint")));
        let (_, patched) = ask(&world, "PATCH", &endpoint("externalendpoints"), &json!({"properties": {"endpointStatus": "Disabled"}}));
        assert_eq!((&patched["properties"]["weight"], &patched["properties"]["endpointMonitorStatus"]), (&json!(100), &json!("Disabled")));
        assert_eq!(ask(&world, "PUT", &endpoint("externalEndpoints"), &read).1, read);
        assert_eq!(ask(&world, "GET", &endpoint("azureEndpoints"), &Value::Null).0, 404, "of another type there is none");
        assert_eq!(ask(&world, "PUT", &format!("{}/Things/x", profile("tm-staging")), &read).0, 404);
        let gone = [
            ask(&world, "DELETE", &endpoint("externalEndpoints"), &Value::Null).0,
            ask(&world, "DELETE", &endpoint("externalEndpoints"), &Value::Null).0,
        ];
        assert_eq!(gone, [200, 204]);
        assert_eq!(ask(&world, "GET", &profile("tm-staging"), &Value::Null).1["properties"]["endpoints"].as_array().map(Vec::len), Some(1));
    }

    #[tokio::test]
    async fn a_dns_name_is_free_until_a_profile_has_it() {
        let world = World::start(Options::quick()).await.unwrap();
        let free = || {
            let name = json!({"name": "nextgen-staging", "type": "microsoft.network/trafficmanagerprofiles"});
            ask(&world, "POST", "/providers/Microsoft.Network/checkTrafficManagerNameAvailability", &name).1["nameAvailable"].clone()
        };
        assert_eq!(free(), true);
        ask(&world, "PUT", &profile("tm-staging"), &body());
        assert_eq!(free(), false);
    }

    #[tokio::test]
    async fn faults_strike_writes_alone_and_a_lost_answers_write_takes_effect() {
        let world = World::start(Options::quick()).await.unwrap();
        world.seed_staging("v1").await.unwrap();
        let path = profile("tm-staging");
        let read = || ask(&world, "GET", &path, &Value::Null);
        let before = read().1;
        let mut after = before.clone();
        after["properties"]["dnsConfig"]["ttl"] = json!(30);
        for (fault, status) in [(Fault::Tm429, 429), (Fault::Tm500, 500)] {
            world.switch(fault, Switch::On, Times::First(1)).await;
            assert_eq!((read().0, ask(&world, "PUT", &path, &after).0, read().1), (200, status, before.clone()), "{fault}");
        }
        world.fault(Fault::TmLostAnswer).await;
        assert_eq!((ask(&world, "PUT", &path, &after).0, read().1), (0, after));
        world.fault(Fault::Forbidden).await;
        let (status, said) = ask(&world, "PUT", &path, &before);
        assert_eq!(status, 403);
        assert!(said["error"]["message"].as_str().unwrap().contains("Microsoft.Network/trafficManagerProfiles/write"), "{said}");
    }

    #[tokio::test]
    async fn a_patch_of_a_container_group_changes_its_tags_and_nothing_else() {
        let world = World::start(Options::quick()).await.unwrap();
        world.seed_staging("v1").await.unwrap();
        let path = format!(
            "/subscriptions/{SUBSCRIPTION}/resourceGroups/staging-nextgen/providers/Microsoft.ContainerInstance/containerGroups/aci-staging-blue"
        );
        let before = (ask(&world, "GET", &path, &Value::Null).1, world.generation("staging-nextgen", "aci-staging-blue"));
        let patch = json!({"tags": {"a": "b"}, "location": "eastus", "properties": {"restartPolicy": "Never"}});
        let mut wanted = before.0.clone();
        wanted["tags"] = json!({"a": "b"});
        assert_eq!(ask(&world, "PATCH", &path, &patch), (200, wanted));
        assert_eq!(world.generation("staging-nextgen", "aci-staging-blue"), before.1, "nothing is restarted");
    }
}
