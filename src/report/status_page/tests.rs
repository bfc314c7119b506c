//! What customers read, and that there is never more than one incident of it.

use std::sync::{Arc, Mutex};

use super::*;
use crate::{
    failure::FailureKind,
    report::{
        delivery::tests::{Asked, Say, Service, client},
        incident::tests::{
            PROD, STAGING, begun, breach, failure, finished, planned, requested, rolled_back, safe, story, switched, taking_back,
        },
    },
};

/// A page that keeps its incidents, as Statuspage does.
#[derive(Default)]
struct Kept {
    incidents: Vec<Value>,
    /// How many answers to a creation are lost after it took effect.
    lost: u32,
}

impl Kept {
    fn answer(&mut self, asked: &Asked) -> Say {
        if asked.authorization != "OAuth t0k3n-of-the-page" {
            return Say::This(401, json!({"error": "Could not authenticate"}));
        }
        let given = &asked.body["incident"];
        match (asked.method.as_str(), asked.path.as_str()) {
            ("GET", "/v1/pages/p1/incidents/unresolved") => {
                let open = |incident: &&Value| incident["status"] != "resolved" && incident["scheduled_for"].is_null();
                Say::This(200, self.incidents.iter().filter(open).cloned().collect())
            }
            ("GET", "/v1/pages/p1/incidents/scheduled") => {
                let open = |incident: &&Value| incident["status"] != "completed" && incident["scheduled_for"].is_string();
                Say::This(200, self.incidents.iter().filter(open).cloned().collect())
            }
            ("POST", "/v1/pages/p1/incidents") => {
                let mut incident = given.clone();
                incident["id"] = json!(format!("i{}", self.incidents.len()));
                incident["incident_updates"] = json!([{"status": given["status"], "body": given["body"]}]);
                self.incidents.push(incident.clone());
                match self.lost.checked_sub(1) {
                    Some(left) => {
                        self.lost = left;
                        Say::Lost
                    }
                    None => Say::This(201, incident),
                }
            }
            ("PATCH", path) => {
                let id = path.rsplit('/').next().unwrap_or_default();
                let Some(incident) = self.incidents.iter_mut().find(|incident| incident["id"] == id) else {
                    return Say::This(404, json!({"error": "Not found"}));
                };
                for name in ["status", "impact_override", "components"] {
                    incident[name] = given.get(name).unwrap_or(&incident[name]).clone();
                }
                if let Some(updates) = incident["incident_updates"].as_array_mut() {
                    updates.push(json!({"status": given["status"], "body": given["body"]}));
                }
                Say::This(200, incident.clone())
            }
            other => panic!("{other:?}"),
        }
    }

    /// Each incident's course.
    fn courses(&self) -> Vec<String> {
        let updates = |incident: &Value| incident["incident_updates"].as_array().cloned().unwrap_or_default();
        let word = |update: &Value| update["status"].as_str().unwrap_or_default().to_owned();
        self.incidents.iter().map(|incident| updates(incident).iter().map(word).collect::<Vec<_>>().join(" ")).collect()
    }
}

/// Tells `runs`, each a list of stories one after the other, to one page that begins as `kept`.
async fn tells(kept: Kept, token: &str, runs: &[&[&[Value]]]) -> (Vec<String>, Kept) {
    let kept = Arc::new(Mutex::new(kept));
    let answering = kept.clone();
    let service = Service::start(move |asked| answering.lock().expect("the page").answer(asked)).await;
    let mut said = Vec::new();
    for run in runs {
        let page = Page { token: Secret::new(token.into()), base: service.base.clone(), page: "p1".into(), component: Some("c1".into()) };
        let (sender, receiver) = watch::channel(Story::default());
        let task = tokio::spawn(incidents(client(), page, receiver));
        for events in *run {
            let (before, story) = (kept.lock().expect("the page").courses(), story(events));
            let is_seen = !matches!(decide(&story), Move::Nothing);
            sender.send_replace(story);
            // Each is seen, as far as there is something to be seen: the next one only once the page shows the one before.
            while is_seen && kept.lock().expect("the page").courses() == before && !task.is_finished() {
                tokio::task::yield_now().await;
            }
        }
        drop(sender);
        said.push(match task.await.expect("it ends") {
            Ok(Told::This(what)) => what,
            Ok(Told::Nothing) => "nothing".into(),
            Err(why) => format!("error: {why}"),
        });
    }
    let kept = std::mem::take(&mut *kept.lock().expect("the page"));
    (said, kept)
}

const TOKEN: &str = "t0k3n-of-the-page";

fn held() -> Vec<Value> {
    vec![requested(PROD, "deploy"), switched(), finished("held", &failure(FailureKind::NoEvidence, "too little"))]
}

fn healthy() -> Vec<Value> {
    vec![requested(PROD, "deploy"), finished("healthy", &Value::Null)]
}

#[test]
fn customers_read_of_what_they_could_have_met() {
    let events = rolled_back(PROD);
    let before_any_switch = [requested(PROD, "deploy"), taking_back(&breach()), finished("rolled-back", &breach())];
    let is_made_safe = [requested(PROD, "make-safe"), switched(), finished("rolled-back", &Value::Null)];
    for (events, expected) in [
        (&events[..5], Move::Nothing),
        (&events[..6], Move::Show(Wanted::Investigating)),
        (&events[..7], Move::Show(Wanted::Monitoring)),
        (&events, Move::Close),
        (&before_any_switch[..2], Move::Nothing),
        (&before_any_switch, Move::Update(Wanted::Resolved)),
        (&is_made_safe, Move::Update(Wanted::Resolved)),
        (&held(), Move::Show(Wanted::Identified)),
        (&healthy(), Move::Update(Wanted::Resolved)),
        (&rolled_back(STAGING), Move::Nothing),
        (&rolled_back(("dev", "direct")), Move::Nothing),
    ] {
        assert_eq!(decide(&story(events)), expected, "{events:?}");
    }
}

#[tokio::test]
async fn a_rollback_is_told_from_beginning_to_end() {
    let events = rolled_back(PROD);
    let (said, kept) = tells(Kept::default(), TOKEN, &[&[&events[..6], &events[..7], &events]]).await;
    assert_eq!((said, kept.courses()), (vec!["resolved".to_owned()], vec!["investigating monitoring resolved".to_owned()]));
    insta::assert_json_snapshot!("incident", kept.incidents[0]);
    // Nothing of the run's own words, names or addresses is in it.
    let public = kept.incidents[0]["incident_updates"].to_string() + &kept.incidents[0]["name"].to_string();
    for inside in ["aci-", "broke a rule", "staging-nextgen", "octocat", "github", "nextgen-market/nextgen-market"] {
        assert!(!public.contains(inside), "{inside} in {public}");
    }
}

#[tokio::test]
async fn a_rollback_that_is_quicker_than_a_request_leaves_its_trace() {
    let (said, kept) = tells(Kept::default(), TOKEN, &[&[&rolled_back(PROD)]]).await;
    assert_eq!((said, kept.courses()), (vec!["resolved".to_owned()], vec!["monitoring resolved".to_owned()]));
}

#[tokio::test]
async fn what_is_held_stays_open_until_a_later_run_is_healthy() {
    let other = json!({"id": "other", "status": "investigating", "metadata": {}, "incident_updates": [{"body": "the network is slow"}]});
    let kept = Kept { incidents: vec![other], lost: 0 };
    let (said, kept) = tells(kept, TOKEN, &[&[&held()], &[&held()], &[&healthy()], &[&healthy()]]).await;
    assert_eq!(said, ["identified", "identified", "resolved", "nothing"]);
    // One of ours, used again; somebody else's is left alone.
    assert_eq!(kept.courses()[1..], ["identified identified resolved"]);
    assert_eq!(kept.incidents[0]["status"], "investigating");
    assert_eq!(kept.incidents[1]["components"], json!({"c1": "operational"}));
}

#[tokio::test]
async fn a_service_without_metadata_is_recognised_by_the_reference() {
    let (_, mut kept) = tells(Kept::default(), TOKEN, &[&[&held()]]).await;
    kept.incidents[0]["metadata"] = Value::Null;
    let (said, kept) = tells(kept, TOKEN, &[&[&healthy()]]).await;
    assert_eq!((said, kept.courses()), (vec!["resolved".to_owned()], vec!["identified resolved".to_owned()]));
}

#[tokio::test]
async fn a_lost_answer_makes_no_second_incident() {
    let (said, kept) = tells(Kept { lost: 1, ..Kept::default() }, TOKEN, &[&[&held()]]).await;
    assert_eq!((said, kept.incidents.len()), (vec!["identified".to_owned()], 1));
}

/// Tells a run's stories, each once the page shows the one before, to a page: maintenance and incidents.
async fn releases(kept: Kept, runs: &[&[Value]]) -> (Vec<String>, Kept) {
    let kept = Arc::new(Mutex::new(kept));
    let answering = kept.clone();
    let service = Service::start(move |asked| answering.lock().expect("the page").answer(asked)).await;
    let mut said = Vec::new();
    for run in runs {
        let page = Page { token: Secret::new(TOKEN.into()), base: service.base.clone(), page: "p1".into(), component: Some("c1".into()) };
        let (sender, receiver) = watch::channel(story(&run[..3]));
        let task = tokio::spawn(tell(client(), page, receiver));
        let is_shown_at_once = run[0]["rollout"]["aim"] == "deploy";
        while is_shown_at_once
            && kept.lock().expect("the page").courses().iter().all(|course| !course.ends_with("in_progress"))
            && !task.is_finished()
        {
            tokio::task::yield_now().await;
        }
        sender.send_replace(story(run));
        drop(sender);
        said.push(match task.await.expect("it ends") {
            Ok(Told::This(what)) => what,
            Ok(Told::Nothing) => "nothing".into(),
            Err(why) => format!("error: {why}"),
        });
    }
    let kept = std::mem::take(&mut *kept.lock().expect("the page"));
    (said, kept)
}

#[tokio::test]
async fn a_release_is_maintenance_from_its_first_step_to_its_end() {
    let beginning = [requested(PROD, "deploy"), planned(PROD, "deploy"), begun()];
    let good: Vec<Value> = beginning.iter().cloned().chain([switched(), finished("healthy", &Value::Null)]).collect();
    let (said, kept) = releases(Kept::default(), &[&good, &rolled_back(PROD)]).await;
    assert_eq!(said, ["maintenance completed", "resolved, maintenance completed"]);
    assert_eq!(kept.courses(), ["in_progress completed", "in_progress completed", "monitoring resolved"]);
    let words = |incident: usize, update: usize| kept.incidents[incident]["incident_updates"][update]["body"].as_str().unwrap_or_default();
    assert!(words(0, 1).starts_with("Production update complete."), "{}", words(0, 1));
    assert!(words(1, 1).starts_with("The update was taken back"), "{}", words(1, 1));
    let time = |name: &str| kept.incidents[0][name].as_str().and_then(|text| text.parse::<jiff::Timestamp>().ok()).expect(name);
    assert!(time("scheduled_for") < time("scheduled_until"));
    // Customers are told that nothing is under maintenance: no interruption is expected.
    assert!(kept.incidents[0].get("components").is_none_or(Value::is_null), "{}", kept.incidents[0]);
}

#[tokio::test]
async fn what_was_announced_is_taken_up_and_what_is_held_is_ended_by_the_next() {
    let beginning = [requested(PROD, "deploy"), planned(PROD, "deploy"), begun()];
    let held = failure(FailureKind::NoEvidence, "too little");
    let held: Vec<Value> = beginning.iter().cloned().chain([switched(), finished("held", &held)]).collect();
    let (_, kept) = releases(Kept::default(), &[&held]).await;
    assert_eq!(kept.courses(), ["in_progress verifying", "identified"]);
    // A person takes it back; somebody else's maintenance is left alone.
    let mut kept = kept;
    kept.incidents.push(json!({"id": "other", "status": "scheduled", "scheduled_for": "2026-12-01T02:00:00Z", "metadata": {},
        "incident_updates": [{"status": "scheduled", "body": "the database"}]}));
    let back = [requested(PROD, "roll-back"), planned(PROD, "roll-back"), begun(), switched(), finished("rolled-back", &Value::Null)];
    let (said, kept) = releases(kept, &[&back]).await;
    assert_eq!(said, ["resolved, maintenance completed"]);
    assert_eq!(kept.courses()[0], "in_progress verifying completed");
    assert_eq!(kept.incidents[2]["status"], "scheduled");
}

#[tokio::test]
async fn a_refusal_says_what_to_check() {
    let (said, kept) = tells(Kept::default(), "another-token", &[&[&held()]]).await;
    assert_eq!(kept.incidents.len(), 0);
    assert!(said[0].contains("401") && said[0].contains("check status-page-token"), "{said:?}");
}

#[test]
fn the_reference_is_stable_and_tells_nothing() {
    let rollout = story(&[requested(PROD, "deploy"), safe()]).rollout.expect("a rollout");
    let reference = reference(&rollout);
    assert!(reference.len() == 11 && !reference.contains("nextgen"), "{reference}");
    assert_ne!(reference, super::reference(&story(&[requested(STAGING, "deploy")]).rollout.expect("a rollout")));
}

/// The page as somebody else understood its documentation.
#[tokio::test]
async fn the_sandboxs_page_takes_it_all() {
    let world = sandbox::World::start(sandbox::Options::quick()).await.expect("a world on loopback");
    let _ = client();
    let authority = std::fs::read(world.ca_file()).expect("the world's authority");
    let trusted = reqwest::Certificate::from_pem(&authority).expect("a certificate");
    let client = reqwest::Client::builder().tls_certs_only([trusted]).no_proxy().build().expect("a client");
    let at = |name: &str| world.info()["status-page"][name].as_str().expect(name).to_owned();
    let page = Page {
        token: Secret::new(world.info()["status-page-token"].as_str().expect("a token").to_owned()),
        base: world.urls().status_page.parse().expect("a URL"),
        page: at("page"),
        component: Some(at("component")),
    };
    for (events, status, component) in [(held(), "identified", "degraded_performance"), (healthy(), "resolved", "operational")] {
        let (_sender, receiver) = watch::channel(story(&events));
        let told = tell(client.clone(), page.clone(), receiver).await;
        assert!(matches!(&told, Ok(Told::This(what)) if what == status), "{status}");
        let shown = world.status_page_incidents();
        assert_eq!((shown.len(), &shown[0]["status"], world.status_page_component().as_str()), (1, &json!(status), component));
    }
    let impact: Vec<Value> = world.status_page_incidents().iter().map(|incident| incident["impact"].clone()).collect();
    assert_eq!(impact, ["major"]);
}
