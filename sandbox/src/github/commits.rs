//! The history of commits (GitHub Docs, REST API, "Commits"): listed, one by one, and two compared.

use serde_json::{Value, json};

use super::{
    error,
    git::{Commit, Repository},
    page, wire,
};
use crate::{
    server::{Call, Reply},
    shared::{REPOSITORY, Shared, lock},
};

/// How many commits a comparison shows to who does not ask by page.
const COMPARED: usize = 250;

/// From a commit (`sha`, else `main`) backwards.
pub(super) fn list(shared: &Shared, call: &Call) -> Reply {
    let git = &lock(&shared.github).git;
    match git.resolve(call.query("sha").unwrap_or("main")) {
        Some(sha) => Reply::json(200, &json!(page(call, &show_all(shared, git, &git.log(&sha))))),
        None => error(404, "Not Found"),
    }
}

pub(super) fn one(shared: &Shared, git_ref: &str) -> Reply {
    let git = &lock(&shared.github).git;
    match git.resolve(git_ref).as_deref().and_then(|sha| Some((sha, git.commit(sha)?))) {
        Some((sha, commit)) => Reply::json(200, &show(shared, sha, commit)),
        None => error(422, &format!("No commit found for SHA: {git_ref}")),
    }
}

/// `BASE...HEAD`: what each has that the other has not; the commits of the head, the oldest first.
pub(super) fn compare(shared: &Shared, call: &Call, range: &str) -> Reply {
    let git = &lock(&shared.github).git;
    let ends = range.split_once("...").and_then(|(base, head)| Some((git.resolve(base)?, git.resolve(head)?)));
    let Some((base, head)) = ends else { return error(404, "Not Found") };
    let (of_base, of_head) = (git.log(&base), git.log(&head));
    let mut ahead: Vec<String> = of_head.iter().filter(|sha| !of_base.contains(sha)).cloned().collect();
    ahead.reverse();
    let behind = of_base.iter().filter(|sha| !of_head.contains(sha)).count();
    let common = of_head.iter().find(|sha| of_base.contains(sha));
    let shown = |sha: &str| git.commit(sha).map_or(Value::Null, |commit| show(shared, sha, commit));
    let Some(common) = common else { return error(404, "No common ancestor between the two") };
    let status = match (ahead.is_empty(), behind) {
        (true, 0) => "identical",
        (false, 0) => "ahead",
        (true, _) => "behind",
        (false, _) => "diverged",
    };
    let all = show_all(shared, git, &ahead);
    let is_paged = call.query("page").is_some() || call.query("per_page").is_some();
    let commits = if is_paged { page(call, &all) } else { all.into_iter().take(COMPARED).collect() };
    let (url, html) =
        (format!("{}/repos/{REPOSITORY}/compare", shared.urls().github_api), format!("https://github.com/{REPOSITORY}/compare"));
    Reply::json(
        200,
        &json!({
            "url": format!("{url}/{range}"), "html_url": format!("{html}/{range}"), "permalink_url": format!("{html}/{base}...{head}"),
            "diff_url": format!("{html}/{range}.diff"), "patch_url": format!("{html}/{range}.patch"), "base_commit": shown(&base),
            "merge_base_commit": shown(common), "status": status, "ahead_by": ahead.len(), "behind_by": behind,
            "total_commits": ahead.len(), "commits": commits, "files": [],
        }),
    )
}

fn show_all(shared: &Shared, git: &Repository, all: &[String]) -> Vec<Value> {
    all.iter().filter_map(|sha| Some(show(shared, sha, git.commit(sha)?))).collect()
}

fn show(shared: &Shared, sha: &str, commit: &Commit) -> Value {
    let api = &shared.urls().github_api;
    let (url, html) = (format!("{api}/repos/{REPOSITORY}"), format!("https://github.com/{REPOSITORY}/commit"));
    let parent = |sha: &String| json!({"sha": sha, "url": format!("{url}/commits/{sha}"), "html_url": format!("{html}/{sha}")});
    json!({
        "sha": sha, "node_id": format!("C_{sha}"), "url": format!("{url}/commits/{sha}"), "html_url": format!("{html}/{sha}"),
        "comments_url": format!("{url}/commits/{sha}/comments"),
        "commit": {
            "url": format!("{url}/git/commits/{sha}"), "author": commit.author, "committer": commit.committer, "message": commit.message,
            "comment_count": 0, "tree": {"sha": commit.tree, "url": format!("{url}/git/trees/{}", commit.tree)},
            "verification": {"verified": false, "reason": "unsigned", "signature": null, "payload": null, "verified_at": null},
        },
        "author": wire::person(api, "octocat"), "committer": wire::person(api, "octocat"),
        "parents": commit.parents.iter().map(parent).collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Options, World,
        github::ask,
        shared::{SHA, SHA_BEFORE},
    };

    fn messages(commits: &Value) -> Vec<&str> {
        commits.as_array().unwrap().iter().map(|commit| commit["commit"]["message"].as_str().unwrap()).collect()
    }

    #[tokio::test]
    async fn what_is_new_since_a_tag_is_told_oldest_first() {
        let world = World::start(Options::quick()).await.unwrap();
        world.tag_commit("v0.9.5", SHA_BEFORE);
        world.tag_commit("v1.0.0", SHA);
        let (status, compared) = ask(&world, "GET", "compare/v0.9.5...v1.0.0", &Value::Null);
        assert_eq!((status, &compared["status"], &compared["ahead_by"]), (200, &json!("ahead"), &json!(5)));
        let told = messages(&compared["commits"]);
        assert!(told[0].contains("Invoice DDD") && told[4] == "feat(invoice): add new feature", "{told:?}");
        assert_eq!(compared["merge_base_commit"]["sha"], SHA_BEFORE);
        let (_, second) = ask(&world, "GET", "compare/v0.9.5...v1.0.0?per_page=2&page=2", &Value::Null);
        assert_eq!(messages(&second["commits"]), told[2..4]);
        let status = |range: &str| ask(&world, "GET", &format!("compare/{range}"), &Value::Null).1["status"].clone();
        assert_eq!([status("v1.0.0...v0.9.5"), status("main...v1.0.0")], ["behind", "identical"]);
        assert_eq!(ask(&world, "GET", "compare/v0.1...main", &Value::Null).0, 404);
    }

    #[tokio::test]
    async fn the_log_goes_back_from_what_is_committed_last() {
        let world = World::start(Options::quick()).await.unwrap();
        let sha = world.commit("fix: rounding of invoices (#124)");
        let (_, log) = ask(&world, "GET", "commits?per_page=2", &Value::Null);
        assert_eq!(messages(&log), ["fix: rounding of invoices (#124)", "feat(invoice): add new feature"]);
        assert_eq!(ask(&world, "GET", &format!("commits?sha={SHA_BEFORE}"), &Value::Null).1.as_array().unwrap().len(), 1);
        assert_eq!(ask(&world, "GET", "commits/main", &Value::Null).1["sha"], sha.as_str());
        assert_eq!(ask(&world, "GET", "commits/nothing", &Value::Null).0, 422);
    }

    #[tokio::test]
    async fn an_annotated_tag_is_an_object_of_its_own() {
        let world = World::start(Options::quick()).await.unwrap();
        world.tag_commit("v1.0.0", SHA);
        let object = ask(&world, "GET", "git/ref/tags/v1.0.0", &Value::Null).1["object"].clone();
        assert_eq!((&object["type"], object["sha"] == SHA), (&json!("tag"), false));
        let (status, tag) = ask(&world, "GET", &format!("git/tags/{}", object["sha"].as_str().unwrap()), &Value::Null);
        assert_eq!((status, &tag["tag"], &tag["object"]["sha"]), (200, &json!("v1.0.0"), &json!(SHA)));
        assert_eq!(ask(&world, "GET", &format!("git/tags/{SHA}"), &Value::Null).0, 404);
    }
}
