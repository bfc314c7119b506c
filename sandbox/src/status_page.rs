//! A status page's API as Statuspage has it: incidents, scheduled maintenance, and components of one page (Statuspage API
//! documentation, "Incidents", "Components"). Shows nothing to anybody.

use hyper::Method;
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::{
    fault::Fault,
    server::{Call, Reply},
    shared::{Shared, lock},
};

/// The page.
pub(crate) const PAGE: &str = "y4mc2kd0nx7p";
/// Its component.
pub(crate) const COMPONENT: &str = "c8kbf7d35c07";
/// What an incident goes through.
const INCIDENT: [&str; 4] = ["investigating", "identified", "monitoring", "resolved"];
/// What scheduled maintenance goes through.
const MAINTENANCE: [&str; 4] = ["scheduled", "in_progress", "verifying", "completed"];
/// What a component can be.
const COMPONENT_STATUS: [&str; 5] = ["operational", "under_maintenance", "degraded_performance", "partial_outage", "major_outage"];
/// What an incident can be said to do to people.
const IMPACT: [&str; 5] = ["none", "maintenance", "minor", "major", "critical"];

/// What the page shows.
#[derive(Debug)]
pub(crate) struct StatusPage {
    /// Incidents and maintenance, the oldest first, as the API shows them.
    pub(crate) incidents: Vec<Value>,
    pub(crate) component: String,
}

impl Default for StatusPage {
    fn default() -> Self {
        Self { incidents: Vec::new(), component: "operational".to_owned() }
    }
}

fn error(status: u16, message: &str) -> Reply {
    Reply::json(status, &json!({ "error": message }))
}

/// Answers a request to the page's API.
pub(crate) fn handle(shared: &Shared, call: &Call) -> Reply {
    if shared.faults.is_on(Fault::StatusPageDown) {
        return Reply::text(503, "upstream connect error");
    }
    if call.header("authorization") != Some(format!("OAuth {}", shared.status_page_token).as_str()) {
        return error(401, "Could not authenticate");
    }
    let segments = call.segments();
    let parts: Vec<&str> = segments.iter().map(|part| part.strip_suffix(".json").unwrap_or(part)).collect();
    let ["v1", "pages", page, rest @ ..] = parts.as_slice() else { return error(404, "Not found") };
    if *page != PAGE {
        return error(404, "Not found");
    }
    let body = call.json().unwrap_or(Value::Null);
    let page = &mut lock(&shared.status_page);
    match (&call.method, rest) {
        (&Method::GET, ["incidents"]) => Reply::json(200, &page.list(|_| true)),
        (&Method::GET, ["incidents", "unresolved"]) => Reply::json(200, &page.list(|status| INCIDENT[..3].contains(&status))),
        (&Method::GET, ["incidents", "scheduled"]) => Reply::json(200, &page.list(|status| MAINTENANCE[..3].contains(&status))),
        (&Method::GET, ["incidents", "upcoming"]) => Reply::json(200, &page.list(|status| status == "scheduled")),
        (&Method::GET, ["incidents", "active_maintenance"]) => Reply::json(200, &page.list(|status| MAINTENANCE[1..3].contains(&status))),
        (&Method::POST, ["incidents"]) => respond(201, create(shared, page, &body["incident"])),
        (&Method::GET, ["incidents", id]) => page.incident(id).map_or_else(|| error(404, "Not found"), |one| Reply::json(200, one)),
        (&Method::PATCH | &Method::PUT, ["incidents", id]) if page.incident(id).is_some() => {
            respond(200, update(shared, page, id, &body["incident"]))
        }
        (&Method::GET, ["components"]) => Reply::json(200, &json!([page.show_component()])),
        (method, ["components", COMPONENT]) => match *method {
            Method::GET => Reply::json(200, &page.show_component()),
            Method::PATCH | Method::PUT => {
                let set = body.pointer("/component/status").map_or(Ok(()), |status| page.set_component(status));
                respond(200, set.map(|()| page.show_component()))
            }
            _ => error(404, "Not found"),
        },
        _ => error(404, "Not found"),
    }
}

/// The API tells all that is wrong in a list.
fn respond(status: u16, result: Result<Value, String>) -> Reply {
    match result {
        Ok(shown) => Reply::json(status, &shown),
        Err(why) => Reply::json(422, &json!({ "error": [why] })),
    }
}

impl StatusPage {
    fn incident(&self, id: &str) -> Option<&Value> {
        self.incidents.iter().find(|incident| incident["id"] == id)
    }

    /// The newest first.
    fn list(&self, wanted: impl Fn(&str) -> bool) -> Value {
        self.incidents.iter().rev().filter(|incident| incident["status"].as_str().is_some_and(&wanted)).cloned().collect()
    }

    fn show_component(&self) -> Value {
        json!({
            "id": COMPONENT, "page_id": PAGE, "group_id": null, "created_at": "2026-01-01T00:00:00Z",
            "updated_at": Timestamp::now().to_string(), "group": false, "name": "API", "description": null, "position": 1,
            "status": self.component, "showcase": true, "only_show_if_degraded": false, "automation_email": "", "start_date": "2026-01-01",
        })
    }

    fn set_component(&mut self, status: &Value) -> Result<(), String> {
        let word = COMPONENT_STATUS.into_iter().find(|word| status == word);
        self.component = word.ok_or("Status is not included in the list")?.to_owned();
        Ok(())
    }

    /// Applies what an incident says of components; gives those that it affects.
    fn affect(&mut self, given: &Value) -> Result<Vec<Value>, String> {
        let named = given["component_ids"].as_array().into_iter().flatten().filter_map(Value::as_str);
        let set = given["components"].as_object();
        let all = named.chain(set.into_iter().flat_map(|set| set.keys().map(String::as_str)));
        if let Some(unknown) = all.clone().find(|id| *id != COMPONENT) {
            return Err(format!("Component {unknown} not found"));
        }
        if let Some(status) = set.and_then(|set| set.get(COMPONENT)) {
            self.set_component(status)?;
        }
        Ok(if all.count() > 0 { vec![self.show_component()] } else { Vec::new() })
    }
}

/// A status of `words`, or what is wrong.
fn status_of<'a>(given: &'a Value, words: &[&str], otherwise: &'a str) -> Result<&'a str, String> {
    let status = given["status"].as_str().unwrap_or(otherwise);
    if words.contains(&status) { Ok(status) } else { Err("Status is not included in the list".to_owned()) }
}

fn create(shared: &Shared, page: &mut StatusPage, given: &Value) -> Result<Value, String> {
    let name = given["name"].as_str().filter(|name| !name.trim().is_empty()).ok_or("Name can't be blank")?;
    let time = |name: &str| given[name].as_str().map(str::parse::<Timestamp>).transpose().map_err(|_| format!("{name} is no time"));
    let status = match (time("scheduled_for")?, time("scheduled_until")?) {
        (None, None) => status_of(given, &INCIDENT, "investigating")?,
        (Some(from), Some(until)) if from < until => status_of(given, &MAINTENANCE, "scheduled")?,
        (Some(_), Some(_)) => return Err("Scheduled until must be after scheduled for".to_owned()),
        (None, Some(_)) => return Err("Scheduled for can't be blank".to_owned()),
        (Some(_), None) => return Err("Scheduled until can't be blank".to_owned()),
    };
    let usual = if INCIDENT.contains(&status) { "none" } else { "maintenance" };
    let impact = given["impact_override"].as_str().unwrap_or(usual);
    if !IMPACT.contains(&impact) {
        return Err("Impact override is not included in the list".to_owned());
    }
    let components = page.affect(given)?;
    let now = Timestamp::now().to_string();
    let id = shared.fresh_id().replace('-', "").chars().take(12).collect::<String>();
    let mut incident = json!({
        "id": id, "page_id": PAGE, "name": name, "status": status, "created_at": now, "updated_at": now, "started_at": now,
        "monitoring_at": null, "resolved_at": null, "impact": impact, "impact_override": given["impact_override"],
        "shortlink": format!("https://stspg.io/{id}"), "scheduled_for": given["scheduled_for"], "scheduled_until": given["scheduled_until"],
        "scheduled_remind_prior": given["scheduled_remind_prior"] == true, "scheduled_reminded_at": null,
        "scheduled_auto_in_progress": given["scheduled_auto_in_progress"] == true,
        "scheduled_auto_completed": given["scheduled_auto_completed"] == true, "metadata": given.get("metadata").unwrap_or(&json!({})),
        "components": components, "incident_updates": [], "postmortem_body": null,
    });
    tell(shared, &mut incident, given);
    page.incidents.push(incident.clone());
    Ok(incident)
}

fn update(shared: &Shared, page: &mut StatusPage, id: &str, given: &Value) -> Result<Value, String> {
    let mut incident = page.incident(id).cloned().unwrap_or_default();
    let before = incident["status"].as_str().unwrap_or_default().to_owned();
    let words = if INCIDENT.contains(&before.as_str()) { INCIDENT } else { MAINTENANCE };
    let status = status_of(given, &words, &before)?.to_owned();
    let components = page.affect(given)?;
    let now = Timestamp::now().to_string();
    let mut set = Map::from_iter([("status".to_owned(), json!(status)), ("updated_at".to_owned(), json!(now))]);
    for field in ["name", "impact_override", "scheduled_for", "scheduled_until", "metadata"] {
        if let Some(value) = given.get(field) {
            set.insert(field.to_owned(), value.clone());
        }
    }
    if !components.is_empty() {
        set.insert("components".to_owned(), json!(components));
    }
    match status.as_str() {
        "monitoring" => set.insert("monitoring_at".to_owned(), json!(now)),
        "resolved" | "completed" => set.insert("resolved_at".to_owned(), json!(now)),
        _ => None,
    };
    if let Some(fields) = incident.as_object_mut() {
        fields.extend(set);
    }
    if given.get("body").is_some() || status != before {
        tell(shared, &mut incident, given);
    }
    if let Some(kept) = page.incidents.iter_mut().find(|kept| kept["id"] == id) {
        *kept = incident.clone();
    }
    Ok(incident)
}

/// Adds what subscribers are told; the newest stands first.
fn tell(shared: &Shared, incident: &mut Value, given: &Value) {
    let now = Timestamp::now().to_string();
    let update = json!({
        "id": shared.fresh_id().replace('-', ""), "incident_id": incident["id"], "status": incident["status"],
        "body": given["body"].as_str().unwrap_or_default(), "created_at": now, "updated_at": now, "display_at": now,
        "deliver_notifications": given["deliver_notifications"] != false, "affected_components": null,
    });
    if let Some(updates) = incident["incident_updates"].as_array_mut() {
        updates.insert(0, update);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Options, World};

    fn ask(world: &World, method: &str, path: &str, body: &Value) -> (u16, Value) {
        let mut call = Call::of(method, &format!("/v1/pages/{PAGE}/{path}"), "", body);
        let token = format!("OAuth {}", world.shared().status_page_token);
        call.headers.insert("authorization", token.parse().unwrap());
        handle(world.shared(), &call).read()
    }

    #[tokio::test]
    async fn maintenance_is_scheduled_begun_and_completed_with_its_component() {
        let world = World::start(Options::quick()).await.unwrap();
        let given = json!({"incident": {
            "name": "Release v1.0.0", "status": "scheduled", "scheduled_for": "2026-11-25T02:00:00Z", "scheduled_until": "2026-11-25T03:00:00Z",
            "body": "No downtime is expected.", "component_ids": [COMPONENT], "scheduled_auto_completed": true,
        }});
        let (status, made) = ask(&world, "POST", "incidents", &given);
        assert_eq!((status, &made["status"], &made["impact"]), (201, &json!("scheduled"), &json!("maintenance")));
        let path = format!("incidents/{}", made["id"].as_str().unwrap());
        let begun = json!({"incident": {"status": "in_progress", "components": {COMPONENT: "under_maintenance"}}});
        assert_eq!(ask(&world, "PATCH", &path, &begun).0, 200);
        assert_eq!(world.status_page_component(), "under_maintenance");
        assert_eq!(ask(&world, "GET", "incidents/active_maintenance", &Value::Null).1.as_array().unwrap().len(), 1);
        let done =
            json!({"incident": {"status": "completed", "body": "Production update complete", "components": {COMPONENT: "operational"}}});
        let (_, shown) = ask(&world, "PATCH", &path, &done);
        let told: Vec<&str> = shown["incident_updates"].as_array().unwrap().iter().map(|one| one["status"].as_str().unwrap()).collect();
        assert_eq!(told, ["completed", "in_progress", "scheduled"]);
        assert_eq!((world.status_page_component().as_str(), shown["resolved_at"].is_string()), ("operational", true));
        assert_eq!(world.status_page_incidents(), std::slice::from_ref(&shown));
        assert_eq!(ask(&world, "GET", &path, &Value::Null), (200, shown));
    }

    #[tokio::test]
    async fn an_incident_is_opened_and_resolved() {
        let world = World::start(Options::quick()).await.unwrap();
        let given =
            json!({"incident": {"name": "Elevated errors", "impact_override": "minor", "components": {COMPONENT: "partial_outage"}}});
        let (status, made) = ask(&world, "POST", "incidents", &given);
        assert_eq!((status, &made["status"], &made["impact"]), (201, &json!("investigating"), &json!("minor")));
        assert_eq!(ask(&world, "GET", "incidents/unresolved", &Value::Null).1[0]["id"], made["id"]);
        let path = format!("incidents/{}", made["id"].as_str().unwrap());
        assert_eq!(ask(&world, "PATCH", &path, &json!({"incident": {"status": "resolved"}})).1["status"], "resolved");
        assert_eq!(ask(&world, "GET", "incidents/unresolved", &Value::Null).1, json!([]));
        let set = |status: &str| ask(&world, "PATCH", &format!("components/{COMPONENT}"), &json!({"component": {"status": status}}));
        assert_eq!(set("operational").1["status"], "operational");
        assert_eq!(set("fine").0, 422);
    }

    #[tokio::test]
    async fn what_the_page_refuses_is_refused() {
        let world = World::start(Options::quick()).await.unwrap();
        for (given, why) in [
            (json!({}), "Name can't be blank"),
            (json!({"name": "n", "status": "completed"}), "Status is not included"),
            (json!({"name": "n", "scheduled_for": "2026-11-25T02:00:00Z"}), "Scheduled until"),
            (json!({"name": "n", "scheduled_for": "2026-11-25T02:00:00Z", "scheduled_until": "2026-11-25T01:00:00Z"}), "after"),
            (json!({"name": "n", "component_ids": ["nobody"]}), "nobody"),
            (json!({"name": "n", "impact_override": "huge"}), "Impact"),
        ] {
            let (status, answer) = ask(&world, "POST", "incidents", &json!({ "incident": given }));
            assert_eq!(status, 422, "{why}");
            assert!(answer["error"][0].as_str().unwrap().contains(why), "{answer}");
        }
        assert_eq!(ask(&world, "PATCH", "incidents/none", &json!({"incident": {}})).0, 404);
        let unknown = Call::of("GET", &format!("/v1/pages/{PAGE}/incidents"), &world.shared().status_page_token, &Value::Null);
        assert_eq!(handle(world.shared(), &unknown).read().0, 401, "Bearer is not how one logs in here");
        world.fault(Fault::StatusPageDown).await;
        assert_eq!(ask(&world, "GET", "incidents", &Value::Null).0, 503);
    }
}
