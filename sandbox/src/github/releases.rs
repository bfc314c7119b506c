//! Releases (GitHub Docs, REST API, "Releases"): notes that belong to a tag.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{Github, error, page, wire};
use crate::{
    server::{Call, Reply},
    shared::{REPOSITORY, Shared, lock},
};

/// What a request may set.
const SETTABLE: [&str; 6] = ["tag_name", "target_commitish", "name", "body", "draft", "prerelease"];

pub(super) fn list(shared: &Shared, call: &Call) -> Reply {
    let github = lock(&shared.github);
    let all: Vec<&Value> = github.releases.iter().rev().collect();
    Reply::json(200, &json!(page(call, &all)))
}

/// Of a tag; a draft is not found so.
pub(super) fn by_tag(shared: &Shared, tag: &str) -> Reply {
    found(&lock(&shared.github), |release| release["tag_name"] == tag && release["draft"] != true)
}

pub(super) fn one(shared: &Shared, id: &str) -> Reply {
    found(&lock(&shared.github), |release| has_id(release, id))
}

fn found(github: &Github, is_it: impl Fn(&Value) -> bool) -> Reply {
    match github.releases.iter().find(|release| is_it(release)) {
        Some(release) => Reply::json(200, release),
        None => error(404, "Not Found"),
    }
}

pub(super) fn create(shared: &Shared, call: &Call) -> Reply {
    let body = call.json().unwrap_or(Value::Null);
    let Some(tag) = body["tag_name"].as_str().filter(|tag| !tag.is_empty()) else {
        return error(422, "Invalid request.\n\n\"tag_name\" wasn't supplied.");
    };
    match add(shared, &mut lock(&shared.github), tag, &body) {
        Some(release) => Reply::json(201, &release),
        None => {
            let mut refused = wire::error(422, "Validation Failed");
            refused["errors"] = json!([{"resource": "Release", "code": "already_exists", "field": "tag_name"}]);
            Reply::json(422, &refused)
        }
    }
}

/// Adds a release; `None` where the tag has one.
pub(super) fn add(shared: &Shared, github: &mut Github, tag: &str, given: &Value) -> Option<Value> {
    if github.releases.iter().any(|release| release["tag_name"] == tag) {
        return None;
    }
    let api = &shared.urls().github_api;
    let id = 50_000_001 + github.releases.len();
    let url = format!("{api}/repos/{REPOSITORY}/releases/{id}");
    let now = Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let mut release = json!({
        "id": id, "node_id": format!("RE_{id}"), "url": url, "assets_url": format!("{url}/assets"),
        "upload_url": format!("{url}/assets{{?name,label}}"), "html_url": format!("https://github.com/{REPOSITORY}/releases/tag/{tag}"),
        "tarball_url": format!("{api}/repos/{REPOSITORY}/tarball/{tag}"), "zipball_url": format!("{api}/repos/{REPOSITORY}/zipball/{tag}"),
        "author": wire::user(api), "tag_name": tag, "target_commitish": "main", "name": tag, "body": "", "draft": false, "prerelease": false,
        "created_at": now, "published_at": now, "assets": [],
    });
    set(&mut release, given);
    github.releases.push(release.clone());
    Some(release)
}

pub(super) fn update(shared: &Shared, call: &Call, id: &str) -> Reply {
    let body = call.json().unwrap_or(Value::Null);
    match lock(&shared.github).releases.iter_mut().find(|release| has_id(release, id)) {
        Some(release) => {
            set(release, &body);
            Reply::json(200, release)
        }
        None => error(404, "Not Found"),
    }
}

fn has_id(release: &Value, id: &str) -> bool {
    id.parse::<u64>().is_ok_and(|id| release["id"] == id)
}

fn set(release: &mut Value, given: &Value) {
    for name in SETTABLE {
        if let Some(value) = given.get(name).filter(|value| !value.is_null()) {
            release[name] = value.clone();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Options, World, github::ask};

    #[tokio::test]
    async fn a_releases_notes_are_made_found_and_changed() {
        let world = World::start(Options::quick()).await.unwrap();
        assert_eq!(ask(&world, "GET", "releases/tags/v1.0.0", &Value::Null).0, 404);
        let (status, made) = ask(&world, "POST", "releases", &json!({"tag_name": "v1.0.0", "body": "Invoices"}));
        assert_eq!((status, &made["name"]), (201, &json!("v1.0.0")));
        assert_eq!(ask(&world, "GET", "releases/tags/v1.0.0", &Value::Null), (200, made.clone()));
        let again = ask(&world, "POST", "releases", &json!({"tag_name": "v1.0.0"}));
        assert_eq!((again.0, &again.1["errors"][0]["code"]), (422, &json!("already_exists")));
        let (status, changed) = ask(&world, "PATCH", &format!("releases/{}", made["id"]), &json!({"body": "Invoices\n\nLive."}));
        assert_eq!((status, &changed["body"], &changed["tag_name"]), (200, &json!("Invoices\n\nLive."), &json!("v1.0.0")));
        assert_eq!(world.releases(), [changed]);
        assert_eq!(ask(&world, "PATCH", "releases/7", &json!({})).0, 404);
    }
}
