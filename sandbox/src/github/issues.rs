//! Issues, pull requests (which GitHub counts among them), comments and reactions (GitHub Docs, REST API, "Issues", "Pulls" and
//! "Reactions"). What people and programs wrote is kept as they wrote it.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{Github, error, page, stamp, wire};
use crate::{
    server::{Call, Reply},
    shared::{REPOSITORY, SHA_BEFORE, Shared, lock},
};

/// Issues, pull requests and what was said on them.
#[derive(Debug, Default)]
pub(crate) struct Conversations {
    issues: BTreeMap<u64, Issue>,
    comments: Vec<Comment>,
    /// By comment, who and with what.
    reactions: Vec<(u64, String, String)>,
    written: u64,
}

#[derive(Debug, Clone)]
struct Issue {
    title: String,
    body: String,
    by: String,
    labels: Vec<String>,
    is_open: bool,
    /// Of a pull request: the commit that it was merged as, or that it would be.
    pull: Option<Pull>,
    at: Timestamp,
}

#[derive(Debug, Clone)]
struct Pull {
    sha: String,
    base: String,
    merged: Merged,
}

/// Whether a pull request was merged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Merged {
    /// It was.
    Yes,
    /// It is open still.
    NotYet,
}

#[derive(Debug, Clone)]
struct Comment {
    id: u64,
    issue: u64,
    by: String,
    body: String,
    at: Timestamp,
    changed: Timestamp,
}

impl Conversations {
    pub(super) fn add_pull(&mut self, number: u64, by: &str, sha: &str, base: &str, merged: Merged, at: Timestamp) {
        let pull = Some(Pull { sha: sha.to_owned(), base: base.to_owned(), merged });
        let title = "feat(invoice): add new feature".to_owned();
        let issue =
            Issue { title, body: String::new(), by: by.to_owned(), labels: Vec::new(), is_open: merged == Merged::NotYet, pull, at };
        self.issues.insert(number, issue);
    }

    /// Gives the issue's number: the next after the highest.
    pub(super) fn add_issue(&mut self, by: &str, title: &str, body: &str, labels: Vec<String>, at: Timestamp) -> u64 {
        let number = self.issues.keys().next_back().map_or(1, |last| last + 1);
        let issue = Issue { title: title.to_owned(), body: body.to_owned(), by: by.to_owned(), labels, is_open: true, pull: None, at };
        self.issues.insert(number, issue);
        number
    }

    /// Gives the comment's id.
    pub(super) fn add_comment(&mut self, issue: u64, by: &str, body: &str, at: Timestamp) -> u64 {
        self.written += 1;
        let id = 50_000_000_000 + self.written;
        self.comments.push(Comment { id, issue, by: by.to_owned(), body: body.to_owned(), at, changed: at });
        id
    }

    pub(super) fn edit_comment(&mut self, id: u64, body: &str, at: Timestamp) {
        if let Some(comment) = self.comments.iter_mut().find(|comment| comment.id == id) {
            (comment.body, comment.changed) = (body.to_owned(), at);
        }
    }

    pub(super) fn delete_comment(&mut self, id: u64) {
        self.comments.retain(|comment| comment.id != id);
    }

    pub(super) fn edit_issue(&mut self, number: u64, body: &str) {
        if let Some(issue) = self.issues.get_mut(&number) {
            body.clone_into(&mut issue.body);
        }
    }

    /// The text of an issue; `None`: there is no such one.
    pub(super) fn body(&self, number: u64) -> Option<String> {
        self.issues.get(&number).map(|issue| issue.body.clone())
    }

    /// The numbers and titles of issues that are no pull requests.
    pub(super) fn titles(&self) -> Vec<(u64, String)> {
        let issues = self.issues.iter().filter(|(_, issue)| issue.pull.is_none());
        issues.map(|(number, issue)| (*number, issue.title.clone())).collect()
    }

    /// Who wrote what on an issue or pull request.
    pub(super) fn said(&self, number: u64) -> Vec<(String, String)> {
        let comments = self.comments.iter().filter(|comment| comment.issue == number);
        comments.map(|comment| (comment.by.clone(), comment.body.clone())).collect()
    }

    /// How a comment was reacted to.
    pub(super) fn reactions(&self, comment: u64) -> Vec<String> {
        self.reactions.iter().filter(|(of, ..)| *of == comment).map(|(_, _, content)| content.clone()).collect()
    }

    /// A comment's issue, text, author and whether it is on a pull request.
    pub(crate) fn comment(&self, id: u64) -> Option<(u64, String, String, bool)> {
        let comment = self.comments.iter().find(|comment| comment.id == id)?;
        let is_pull = self.issues.get(&comment.issue)?.pull.is_some();
        Some((comment.issue, comment.body.clone(), comment.by.clone(), is_pull))
    }

    /// The pull requests by which a commit came.
    fn pulls_of(&self, sha: &str) -> Vec<(u64, &Issue)> {
        let of = |issue: &&Issue| issue.pull.as_ref().is_some_and(|pull| pull.sha == sha);
        self.issues.iter().filter(|(_, issue)| of(issue)).map(|(number, issue)| (*number, issue)).collect()
    }
}

/// Answers requests below `issues` and `pulls`.
pub(super) fn handle(shared: &Shared, call: &Call, rest: &[&str]) -> Reply {
    let body = call.json().unwrap_or(Value::Null);
    let text = |name: &str| body.get(name).and_then(Value::as_str);
    let number = |text: &str| text.parse::<u64>().unwrap_or_default();
    let mut github = lock(&shared.github);
    let (now, speaker) = (github.now(), github.speaker().to_owned());
    let api = &shared.urls().github_api;
    match (call.method.as_str(), rest) {
        ("GET", ["issues"]) => {
            let is_open = call.query("state").unwrap_or("open") == "open";
            let label = call.query("labels").map(str::to_owned);
            let found = github
                .conversations
                .issues
                .iter()
                .filter(|(_, issue)| issue.is_open == is_open && label.as_ref().is_none_or(|label| issue.labels.contains(label)));
            let shown: Vec<Value> = found.map(|(number, issue)| show(api, *number, issue)).collect();
            Reply::json(200, &json!(page(call, &shown)))
        }
        ("POST", ["issues"]) => {
            let Some(title) = text("title") else { return error(422, "Validation Failed: title is missing") };
            let labels = body.get("labels").and_then(Value::as_array).into_iter().flatten();
            let labels = labels.filter_map(|label| Some(label.as_str()?.to_owned())).collect();
            let number = github.conversations.add_issue(&speaker, title, text("body").unwrap_or_default(), labels, now);
            shown(api, &github, number, 201)
        }
        ("GET", ["issues", "comments", id]) => match github.conversations.comments.iter().find(|comment| comment.id == number(id)) {
            Some(comment) => Reply::json(200, &show_comment(api, comment)),
            None => error(404, "Not Found"),
        },
        ("POST", ["issues", "comments", id, "reactions"]) => {
            let (id, content) = (number(id), text("content").unwrap_or_default().to_owned());
            if !["+1", "-1", "laugh", "confused", "heart", "hooray", "rocket", "eyes"].contains(&content.as_str()) {
                return error(422, "Validation Failed: content is not included in the list");
            }
            if !github.conversations.comments.iter().any(|comment| comment.id == id) {
                return error(404, "Not Found");
            }
            let reaction = (id, speaker.clone(), content.clone());
            let is_known = github.conversations.reactions.contains(&reaction);
            if !is_known {
                github.conversations.reactions.push(reaction);
            }
            let shown = json!({
                "id": id + 1, "node_id": format!("REA_{id}"), "user": wire::account_of(api, &speaker), "content": content,
                "created_at": stamp(now),
            });
            Reply::json(if is_known { 200 } else { 201 }, &shown)
        }
        ("GET", ["issues", of]) => shown(api, &github, number(of), 200),
        ("PATCH", ["issues", of]) => {
            let of = number(of);
            match github.conversations.issues.get_mut(&of) {
                None => return error(404, "Not Found"),
                Some(issue) => {
                    if let Some(body) = text("body") {
                        body.clone_into(&mut issue.body);
                    }
                    if let Some(state) = text("state") {
                        issue.is_open = state == "open";
                    }
                }
            }
            shown(api, &github, of, 200)
        }
        ("GET", ["issues", of, "comments"]) => {
            let since = call.query("since").and_then(|since| since.parse::<Timestamp>().ok()).unwrap_or(Timestamp::MIN);
            let of = number(of);
            let found = github.conversations.comments.iter().filter(|comment| comment.issue == of && comment.changed >= since);
            let shown: Vec<Value> = found.map(|comment| show_comment(api, comment)).collect();
            Reply::json(200, &json!(page(call, &shown)))
        }
        ("POST", ["issues", of, "comments"]) => {
            let of = number(of);
            if !github.conversations.issues.contains_key(&of) {
                return error(404, "Not Found");
            }
            let Some(said) = text("body").filter(|said| !said.is_empty()) else { return error(422, "Validation Failed: body is missing") };
            github.conversations.add_comment(of, &speaker, said, now);
            match github.conversations.comments.last() {
                Some(comment) => Reply::json(201, &show_comment(api, comment)),
                None => error(404, "Not Found"),
            }
        }
        ("GET", ["pulls", of]) => {
            let of = number(of);
            match github.conversations.issues.get(&of).and_then(|issue| Some((issue, issue.pull.as_ref()?))) {
                Some((issue, pull)) => Reply::json(200, &wire::pull(api, &show_pull(api, of, issue, pull))),
                None => error(404, "Not Found"),
            }
        }
        ("GET", ["commits", sha, "pulls"]) => {
            let found = github.conversations.pulls_of(sha);
            let shown = found.iter().filter_map(|(number, issue)| Some(show_pull(api, *number, issue, issue.pull.as_ref()?)));
            Reply::json(200, &json!(shown.collect::<Vec<_>>()))
        }
        _ => error(404, "Not Found"),
    }
}

fn shown(api: &str, github: &Github, number: u64, status: u16) -> Reply {
    match github.conversations.issues.get(&number) {
        Some(issue) => Reply::json(status, &show(api, number, issue)),
        None => error(404, "Not Found"),
    }
}

fn show(api: &str, number: u64, issue: &Issue) -> Value {
    let (kind, url) = (if issue.pull.is_some() { "pull" } else { "issues" }, format!("{api}/repos/{REPOSITORY}/issues/{number}"));
    let html = format!("https://github.com/{REPOSITORY}/{kind}/{number}");
    let at = stamp(issue.at);
    let label = |name: &String| {
        json!({"id": 1, "node_id": "LA_1", "url": format!("{api}/repos/{REPOSITORY}/labels/{name}"), "name": name, "color": "ededed",
            "default": false, "description": null})
    };
    let mut shown = json!({
        "id": 3_000_000_000_u64 + number, "node_id": format!("I_{number}"), "url": url, "repository_url": format!("{api}/repos/{REPOSITORY}"),
        "labels_url": format!("{url}/labels{{/name}}"), "comments_url": format!("{url}/comments"), "events_url": format!("{url}/events"),
        "html_url": html, "number": number, "state": if issue.is_open { "open" } else { "closed" }, "state_reason": null,
        "title": issue.title, "body": issue.body, "user": wire::account_of(api, &issue.by),
        "labels": issue.labels.iter().map(label).collect::<Vec<_>>(), "assignee": null, "assignees": [], "milestone": null, "locked": false,
        "active_lock_reason": null, "comments": 0, "closed_at": null, "created_at": at, "updated_at": at, "author_association": "CONTRIBUTOR",
    });
    if issue.pull.is_some() {
        let url = format!("{api}/repos/{REPOSITORY}/pulls/{number}");
        shown["pull_request"] =
            json!({"url": url, "html_url": html, "diff_url": format!("{html}.diff"), "patch_url": format!("{html}.patch")});
    }
    shown
}

fn show_comment(api: &str, comment: &Comment) -> Value {
    let Comment { id, issue, by, body, at, changed } = comment;
    let url = format!("{api}/repos/{REPOSITORY}/issues");
    json!({
        "id": id, "node_id": format!("IC_{id}"), "url": format!("{url}/comments/{id}"), "issue_url": format!("{url}/{issue}"),
        "html_url": format!("https://github.com/{REPOSITORY}/issues/{issue}#issuecomment-{id}"), "body": body,
        "user": wire::account_of(api, by), "created_at": stamp(*at), "updated_at": stamp(*changed), "author_association": "NONE",
        "performed_via_github_app": null,
    })
}

/// The fields that a pull request has in a list, too ("Pull Request Simple").
fn show_pull(api: &str, number: u64, issue: &Issue, pull: &Pull) -> Value {
    let mut shown = show(api, number, issue);
    let url = format!("{api}/repos/{REPOSITORY}/pulls/{number}");
    let html = format!("https://github.com/{REPOSITORY}/pull/{number}");
    let at = stamp(issue.at);
    let merged_at = (pull.merged == Merged::Yes).then_some(&at);
    let end = |name: &str, sha: &str| {
        json!({"label": format!("nextgen-market:{name}"), "ref": name, "sha": sha, "user": wire::account_of(api, "nextgen-market"),
            "repo": wire::whole_repository(api)})
    };
    let links = ["self", "html", "issue", "comments", "review_comments", "review_comment", "commits", "statuses"];
    let links: BTreeMap<&str, Value> = links.into_iter().map(|name| (name, json!({ "href": url }))).collect();
    let more = json!({
        "url": url, "diff_url": format!("{html}.diff"), "patch_url": format!("{html}.patch"), "issue_url": shown["url"],
        "commits_url": format!("{url}/commits"), "review_comments_url": format!("{url}/comments"),
        "review_comment_url": format!("{url}/comments{{/number}}"), "statuses_url": format!("{api}/repos/{REPOSITORY}/statuses/{}", pull.sha),
        "merged_at": merged_at, "closed_at": merged_at, "merge_commit_sha": pull.sha, "head": end("feature", &pull.sha),
        "base": end(&pull.base, SHA_BEFORE), "_links": links, "auto_merge": null, "draft": false, "requested_reviewers": [],
        "requested_teams": [],
    });
    if let (Some(fields), Value::Object(more)) = (shown.as_object_mut(), more) {
        for gone in ["labels_url", "events_url", "repository_url", "pull_request", "state_reason"] {
            fields.remove(gone);
        }
        fields.extend(more);
    }
    shown
}
