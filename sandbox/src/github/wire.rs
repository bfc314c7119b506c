//! Objects that GitHub repeats in many answers, with every field that its OpenAPI description requires.

use serde_json::{Map, Value, json};

use crate::shared::REPOSITORY;

/// An error's body.
pub(super) fn error(status: u16, message: &str) -> Value {
    json!({"message": message, "documentation_url": "https://docs.github.com/rest", "status": status.to_string()})
}

/// The user that a workflow's own token acts as ("Simple User").
pub(super) fn user(api: &str) -> Value {
    account(api, "github-actions[bot]", 41_898_282, "Bot")
}

fn account(api: &str, login: &str, id: u64, kind: &str) -> Value {
    let url = format!("{api}/users/{login}");
    let below = [
        ("followers_url", "followers"),
        ("following_url", "following{/other_user}"),
        ("gists_url", "gists{/gist_id}"),
        ("starred_url", "starred{/owner}{/repo}"),
        ("subscriptions_url", "subscriptions"),
        ("organizations_url", "orgs"),
        ("repos_url", "repos"),
        ("events_url", "events{/privacy}"),
        ("received_events_url", "received_events"),
    ];
    let mut account = json!({
        "login": login, "id": id, "node_id": format!("U_{id}"), "avatar_url": format!("https://avatars.githubusercontent.com/u/{id}"),
        "gravatar_id": "", "url": url, "html_url": format!("https://github.com/{login}"), "type": kind, "site_admin": false,
    });
    for (name, path) in below {
        account[name] = json!(format!("{url}/{path}"));
    }
    account
}

/// The repository ("Minimal Repository").
pub(super) fn repository(api: &str) -> Value {
    let (owner, name) = REPOSITORY.split_once('/').unwrap_or_default();
    let url = format!("{api}/repos/{REPOSITORY}");
    let below = [
        ("archive_url", "{archive_format}{/ref}"),
        ("assignees_url", "assignees{/user}"),
        ("blobs_url", "git/blobs{/sha}"),
        ("branches_url", "branches{/branch}"),
        ("collaborators_url", "collaborators{/collaborator}"),
        ("comments_url", "comments{/number}"),
        ("commits_url", "commits{/sha}"),
        ("compare_url", "compare/{base}...{head}"),
        ("contents_url", "contents/{+path}"),
        ("contributors_url", "contributors"),
        ("deployments_url", "deployments"),
        ("downloads_url", "downloads"),
        ("events_url", "events"),
        ("forks_url", "forks"),
        ("git_commits_url", "git/commits{/sha}"),
        ("git_refs_url", "git/refs{/sha}"),
        ("git_tags_url", "git/tags{/sha}"),
        ("hooks_url", "hooks"),
        ("issue_comment_url", "issues/comments{/number}"),
        ("issue_events_url", "issues/events{/number}"),
        ("issues_url", "issues{/number}"),
        ("keys_url", "keys{/key_id}"),
        ("labels_url", "labels{/name}"),
        ("languages_url", "languages"),
        ("merges_url", "merges"),
        ("milestones_url", "milestones{/number}"),
        ("notifications_url", "notifications{?since,all,participating}"),
        ("pulls_url", "pulls{/number}"),
        ("releases_url", "releases{/id}"),
        ("stargazers_url", "stargazers"),
        ("statuses_url", "statuses/{sha}"),
        ("subscribers_url", "subscribers"),
        ("subscription_url", "subscription"),
        ("tags_url", "tags"),
        ("teams_url", "teams"),
        ("trees_url", "git/trees{/sha}"),
    ];
    let mut repository: Map<String, Value> = [
        ("id", json!(186_853_002)),
        ("node_id", json!("R_186853002")),
        ("name", json!(name)),
        ("full_name", json!(REPOSITORY)),
        ("owner", account(api, owner, 21_031_067, "Organization")),
        ("private", json!(true)),
        ("html_url", json!(format!("https://github.com/{REPOSITORY}"))),
        ("description", Value::Null),
        ("fork", json!(false)),
        ("url", json!(url)),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value))
    .collect();
    for (name, path) in below {
        repository.insert(name.to_owned(), json!(format!("{url}/{path}")));
    }
    Value::Object(repository)
}
