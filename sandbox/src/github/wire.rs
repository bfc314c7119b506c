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

/// A person ("Simple User").
pub(super) fn person(api: &str, login: &str) -> Value {
    // Any number will do, as long as it stays the person's.
    let id = login.bytes().fold(583_231, |id: u64, byte| (id * 31 + u64::from(byte)) % 100_000_000);
    account(api, login, id, "User")
}

/// Whoever has this login: a program's ends in `[bot]`.
pub(super) fn account_of(api: &str, login: &str) -> Value {
    match login {
        "github-actions[bot]" => user(api),
        program if program.ends_with("[bot]") => account(api, program, 41_000_001, "Bot"),
        "nextgen-market" => account(api, login, 21_031_067, "Organization"),
        login => person(api, login),
    }
}

/// A pull request by itself ("Pull Request"): `shown` with what lists leave out.
pub(super) fn pull(api: &str, shown: &Value) -> Value {
    let mut shown = shown.clone();
    let merged = !shown["merged_at"].is_null();
    let more = json!({
        "merged": merged, "mergeable": null, "rebaseable": null, "mergeable_state": "unknown",
        "merged_by": if merged { person(api, "octocat") } else { Value::Null }, "comments": 0, "review_comments": 0,
        "maintainer_can_modify": false, "commits": 1, "additions": 1, "deletions": 0, "changed_files": 1,
    });
    if let (Some(fields), Value::Object(more)) = (shown.as_object_mut(), more) {
        fields.extend(more);
    }
    shown
}

/// The application that runs workflows ("GitHub app").
pub(super) fn actions_app(api: &str) -> Value {
    json!({
        "id": 15_368, "slug": "github-actions", "node_id": "A_15368", "client_id": "Iv1.05c79e9ad1f6bdfa",
        "owner": account(api, "github", 9919, "Organization"), "name": "GitHub Actions",
        "description": "Automate your workflow from idea to production", "external_url": "https://help.github.com/en/actions",
        "html_url": "https://github.com/apps/github-actions", "created_at": "2018-07-30T09:30:17Z", "updated_at": "2024-04-10T20:33:16Z",
        "permissions": {"checks": "write", "contents": "write"}, "events": [],
    })
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

/// The repository with everything ("Repository").
pub(super) fn whole_repository(api: &str) -> Value {
    let mut whole = repository(api);
    let git = format!("github.com/{REPOSITORY}.git");
    let at = "2026-01-01T00:00:00Z";
    let more = json!({
        "clone_url": format!("https://{git}"), "git_url": format!("git://{git}"), "ssh_url": format!("ssh://{git}"),
        "svn_url": format!("https://github.com/{REPOSITORY}"), "default_branch": "main", "forks": 0, "forks_count": 0, "has_downloads": true,
        "has_issues": true, "has_projects": true, "has_wiki": true, "has_pages": false, "homepage": null, "language": null, "archived": false,
        "disabled": false, "mirror_url": null, "open_issues": 0, "open_issues_count": 0, "license": null, "pushed_at": at, "size": 1,
        "stargazers_count": 0, "watchers": 0, "watchers_count": 0, "created_at": at, "updated_at": at,
    });
    if let (Some(fields), Value::Object(more)) = (whole.as_object_mut(), more) {
        fields.extend(more);
    }
    whole
}
