//! Commits and references (GitHub Docs, REST API, "Git database"): creating a reference is atomic, moving one is checked.
//! Objects are kept without their contents: a commit is its message, its tree's name and its parents.

use std::collections::{BTreeMap, BTreeSet};

use hyper::Method;
use jiff::Timestamp;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::{
    error,
    tags::{self, Signature, Tag, TagKind},
};
use crate::{
    fault::Fault,
    server::{Call, Reply},
    shared::{REPOSITORY, SHA, SHA_BEFORE, Shared, lock},
};

/// The changes between what runs in production and what is pushed: those of the runbook's final notification.
const CHANGES: [&str; 4] = [
    "feat(invoice): Invoice DDD architecture (#118)",
    "feat(api): Resiliency patterns (circuit breaker, bulkhead) (#120)",
    "feat(api): Idempotency for state-changing APIs (#121)",
    "perf(cache): Redis caching with tag-based invalidation (#122)",
];

/// A commit.
#[derive(Debug, Clone)]
pub(super) struct Commit {
    pub(super) message: String,
    pub(super) tree: String,
    pub(super) parents: Vec<String>,
    pub(super) author: Value,
    pub(super) committer: Value,
}

/// The repository's commits and references.
#[derive(Debug)]
pub(crate) struct Repository {
    commits: BTreeMap<String, Commit>,
    /// By the full name, `refs/heads/main`.
    refs: BTreeMap<String, String>,
    /// Trees that were made, by their names.
    trees: BTreeSet<String>,
    /// Annotated tags, by the names of their objects.
    tags: BTreeMap<String, Tag>,
}

impl Default for Repository {
    /// `main` and `develop` as they are before anything is pushed.
    fn default() -> Self {
        let mut repository = Self { commits: BTreeMap::new(), refs: BTreeMap::new(), trees: BTreeSet::new(), tags: BTreeMap::new() };
        let main = "refs/heads/main";
        repository.pushed(main, SHA_BEFORE, None);
        let last = CHANGES.map(|change| repository.commit_to(main, change)).into_iter().next_back();
        repository.pushed(main, SHA, last.as_deref());
        repository.pushed("refs/heads/develop", SHA, Some(SHA_BEFORE));
        repository
    }
}

impl Repository {
    /// A commit was pushed to a branch, on top of `parent`.
    pub(crate) fn pushed(&mut self, git_ref: &str, sha: &str, parent: Option<&str>) {
        self.commits.entry(sha.to_owned()).or_insert_with(|| by_a_person(sha, "feat(invoice): add new feature", parent));
        self.refs.insert(git_ref.to_owned(), sha.to_owned());
    }

    /// Somebody commits to a branch, on top of what is there; gives the commit's name.
    pub(crate) fn commit_to(&mut self, git_ref: &str, message: &str) -> String {
        let parent = self.refs.get(git_ref).cloned();
        let sha = id(&format!("{message} on {parent:?}"));
        self.commits.insert(sha.clone(), by_a_person(&sha, message, parent.as_deref()));
        self.refs.insert(git_ref.to_owned(), sha.clone());
        sha
    }

    /// A commit and all that came before it, the newest first.
    pub(super) fn log(&self, sha: &str) -> Vec<String> {
        let mut found = vec![sha.to_owned()];
        let mut next = 0;
        while let Some(sha) = found.get(next) {
            let parents = self.commits.get(sha).map(|commit| commit.parents.clone()).unwrap_or_default();
            found.extend(parents.into_iter().filter(|parent| !found.contains(parent)).collect::<Vec<_>>());
            next += 1;
        }
        found
    }

    /// The commit of this name.
    pub(super) fn commit(&self, sha: &str) -> Option<&Commit> {
        self.commits.get(sha)
    }

    pub(crate) fn has_commit(&self, sha: &str) -> bool {
        self.commits.contains_key(sha)
    }

    /// The commit that a SHA, branch or tag names.
    pub(crate) fn resolve(&self, name: &str) -> Option<String> {
        if self.has_commit(name) {
            return Some(name.to_owned());
        }
        let full = [name.to_owned(), format!("refs/{name}"), format!("refs/heads/{name}"), format!("refs/tags/{name}")];
        let found = full.iter().find_map(|full| self.refs.get(full))?;
        Some(self.tags.get(found).map_or(found, |tag| &tag.commit).clone())
    }

    /// A tag was put on a commit.
    pub(crate) fn tagged(&mut self, name: &str, commit: &str, kind: TagKind) {
        let signature = match kind {
            TagKind::Lightweight => {
                self.refs.insert(format!("refs/tags/{name}"), commit.to_owned());
                return;
            }
            TagKind::Annotated => Signature::None,
            TagKind::Signed => Signature::Valid,
        };
        let object = tags::object(name, commit);
        self.refs.insert(format!("refs/tags/{name}"), object.clone());
        self.tags.insert(object, Tag { name: name.to_owned(), commit: commit.to_owned(), message: None, signature });
    }

    /// Somebody removed a tag.
    pub(crate) fn remove_tag(&mut self, name: &str) {
        self.refs.remove(&format!("refs/tags/{name}"));
    }

    /// What the annotated tag `name` says.
    pub(crate) fn tag_message(&self, name: &str) -> Option<String> {
        self.tags.get(self.refs.get(&format!("refs/tags/{name}"))?)?.message.clone()
    }

    /// Whether there is a tag of this name.
    pub(crate) fn has_tag(&self, name: &str) -> bool {
        self.refs.contains_key(&format!("refs/tags/{name}"))
    }

    /// Somebody commits beside `main`; gives the commit's name.
    pub(crate) fn commit_beside(&mut self, message: &str) -> String {
        let branch = "refs/heads/beside-main";
        let main = self.refs.get("refs/heads/main").cloned();
        if let Some(main) = main {
            self.refs.insert(branch.to_owned(), main);
        }
        self.commit_to(branch, message)
    }

    /// All references, by their full names.
    pub(crate) fn refs(&self) -> &BTreeMap<String, String> {
        &self.refs
    }

    /// A commit's message.
    pub(crate) fn message(&self, sha: &str) -> Option<&str> {
        self.commits.get(sha).map(|commit| commit.message.as_str())
    }

    fn has_tree(&self, tree: &str) -> bool {
        self.trees.contains(tree) || self.commits.values().any(|commit| commit.tree == tree)
    }

    /// Whether `new` can be reached from `old` by going forward only.
    fn is_ahead(&self, new: &str, old: &str) -> bool {
        let mut todo = vec![new.to_owned()];
        let mut seen = BTreeSet::new();
        while let Some(sha) = todo.pop() {
            if sha == old {
                return true;
            }
            if let Some(commit) = self.commits.get(&sha).filter(|_| seen.insert(sha.clone())) {
                todo.extend(commit.parents.iter().cloned());
            }
        }
        false
    }
}

fn by_a_person(sha: &str, message: &str, parent: Option<&str>) -> Commit {
    let person = json!({"name": "The Octocat", "email": "octocat@example.com", "date": "2026-11-24T10:00:00Z"});
    Commit {
        message: message.to_owned(),
        tree: id(&format!("tree of {sha}")),
        parents: parent.filter(|parent| *parent != sha).map(str::to_owned).into_iter().collect(),
        author: person.clone(),
        committer: person,
    }
}

/// A name in the shape of git's, by what it stands for.
pub(super) fn id(content: &str) -> String {
    Sha256::digest(content.as_bytes()).iter().take(20).map(|byte| format!("{byte:02x}")).collect()
}

/// A request below `/git`.
pub(super) fn handle(shared: &Shared, call: &Call, rest: &[&str]) -> Reply {
    if call.method != Method::GET && shared.faults.is_on(Fault::LockForbidden) {
        return error(403, "Resource not accessible by integration");
    }
    let body = call.json().unwrap_or(Value::Null);
    let mut github = lock(&shared.github);
    let git = &mut github.git;
    match (&call.method, rest) {
        (&Method::GET, ["commits", sha]) => match git.commits.get(*sha) {
            Some(commit) => Reply::json(200, &show_commit(shared, sha, commit)),
            None => error(404, "Not Found"),
        },
        (&Method::GET, ["tags", object]) => match git.tags.get(*object) {
            Some(tag) => Reply::json(200, &tags::show(shared, object, tag)),
            None => error(404, "Not Found"),
        },
        (&Method::POST, ["trees"]) => create_tree(shared, git, &body),
        (&Method::POST, ["commits"]) => create_commit(shared, git, &body),
        (&Method::POST, ["tags"]) => create_tag(shared, git, &body),
        (&Method::POST, ["refs"]) => create_ref(shared, git, &body),
        (&Method::GET, ["ref", name @ ..]) => {
            let name = format!("refs/{}", name.join("/"));
            match git.refs.get(&name) {
                Some(sha) => Reply::json(200, &show_ref(shared, git, &name, sha)),
                None => error(404, "Not Found"),
            }
        }
        (&Method::GET, ["matching-refs", name @ ..]) => {
            let start = format!("refs/{}", name.join("/"));
            let found: Vec<Value> =
                git.refs.iter().filter(|(name, _)| name.starts_with(&start)).map(|(name, sha)| show_ref(shared, git, name, sha)).collect();
            Reply::json(200, &json!(found))
        }
        (&Method::PATCH, ["refs", name @ ..]) => update_ref(shared, git, &format!("refs/{}", name.join("/")), &body),
        (&Method::DELETE, ["refs", name @ ..]) => match git.refs.remove(&format!("refs/{}", name.join("/"))) {
            Some(_) => Reply::empty(204),
            None => error(422, "Reference does not exist"),
        },
        _ => error(404, "Not Found"),
    }
}

fn create_tree(shared: &Shared, git: &mut Repository, body: &Value) -> Reply {
    let Some(entries) = body.get("tree").and_then(Value::as_array) else {
        return error(422, "Invalid request.\n\n\"tree\" wasn't supplied.");
    };
    let tree = id(&format!("{entries:?}"));
    let url = format!("{}/repos/{REPOSITORY}/git", shared.urls().github_api);
    let show = |entry: &Value| {
        let content = entry["content"].as_str().unwrap_or_default();
        let (blob, size) = (id(content), content.len());
        let blob_url = format!("{url}/blobs/{blob}");
        json!({"path": entry["path"], "mode": entry["mode"], "type": "blob", "sha": blob, "size": size, "url": blob_url})
    };
    let shown: Vec<Value> = entries.iter().map(show).collect();
    git.trees.insert(tree.clone());
    Reply::json(201, &json!({"sha": tree, "url": format!("{url}/trees/{tree}"), "tree": shown, "truncated": false}))
}

fn create_commit(shared: &Shared, git: &mut Repository, body: &Value) -> Reply {
    let text = |name: &str| body.get(name).and_then(Value::as_str);
    let (Some(message), Some(tree)) = (text("message"), text("tree")) else {
        return error(422, "Invalid request.\n\n\"message\", \"tree\" weren't supplied.");
    };
    if !git.has_tree(tree) {
        return error(422, "Tree SHA does not exist");
    }
    let parents: Vec<String> =
        body.get("parents").and_then(Value::as_array).into_iter().flatten().filter_map(|sha| Some(sha.as_str()?.to_owned())).collect();
    if !parents.iter().all(|parent| git.has_commit(parent)) {
        return error(422, "Parent SHA does not exist or is not a commit object");
    }
    let now = Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let itself = json!({"name": "github-actions[bot]", "email": "41898282+github-actions[bot]@users.noreply.github.com", "date": now});
    let person = |name: &str, otherwise: &Value| {
        let mut person = body.get(name).filter(|person| person.is_object()).unwrap_or(otherwise).clone();
        if person.get("date").is_none() {
            person["date"] = json!(now);
        }
        person
    };
    let author = person("author", &itself);
    let committer = person("committer", &author);
    let commit = Commit { message: message.to_owned(), tree: tree.to_owned(), parents, author, committer };
    let sha = id(&format!("{commit:?}"));
    let answer = show_commit(shared, &sha, &commit);
    git.commits.insert(sha, commit);
    Reply::json(201, &answer)
}

/// An object of its own; nothing leads to it until a reference is made.
fn create_tag(shared: &Shared, git: &mut Repository, body: &Value) -> Reply {
    let text = |name: &str| body.get(name).and_then(Value::as_str).unwrap_or_default();
    let (name, commit) = (text("tag"), text("object"));
    if name.is_empty() || text("message").is_empty() || text("type") != "commit" {
        return error(422, "Invalid request.\n\n\"tag\", \"message\", \"object\", \"type\" weren't supplied.");
    }
    if !git.has_commit(commit) {
        return error(422, "Object does not exist");
    }
    let tag =
        Tag { name: name.to_owned(), commit: commit.to_owned(), message: Some(text("message").to_owned()), signature: Signature::None };
    let object = tags::object(name, commit);
    let shown = tags::show(shared, &object, &tag);
    git.tags.insert(object, tag);
    Reply::json(201, &shown)
}

fn create_ref(shared: &Shared, git: &mut Repository, body: &Value) -> Reply {
    let text = |name: &str| body.get(name).and_then(Value::as_str).unwrap_or_default();
    let (name, sha) = (text("ref"), text("sha"));
    if !name.starts_with("refs/") || name.matches('/').count() < 2 {
        return error(422, "Reference name must start with 'refs/' and contain at least two slashes");
    }
    if !git.has_commit(sha) && !git.tags.contains_key(sha) {
        return error(422, "Object does not exist");
    }
    if git.refs.contains_key(name) {
        return error(422, "Reference already exists");
    }
    git.refs.insert(name.to_owned(), sha.to_owned());
    Reply::json(201, &show_ref(shared, git, name, sha))
}

fn update_ref(shared: &Shared, git: &mut Repository, name: &str, body: &Value) -> Reply {
    let sha = body.get("sha").and_then(Value::as_str).unwrap_or_default();
    let Some(before) = git.refs.get(name).cloned() else { return error(422, "Reference does not exist") };
    if !git.has_commit(sha) {
        return error(422, "Object does not exist");
    }
    if body.get("force") != Some(&json!(true)) && !git.is_ahead(sha, &before) {
        return error(422, "Update is not a fast forward");
    }
    git.refs.insert(name.to_owned(), sha.to_owned());
    Reply::json(200, &show_ref(shared, git, name, sha))
}

fn show_ref(shared: &Shared, git: &Repository, name: &str, sha: &str) -> Value {
    let url = format!("{}/repos/{REPOSITORY}/git", shared.urls().github_api);
    let (kind, objects) = if git.tags.contains_key(sha) { ("tag", "tags") } else { ("commit", "commits") };
    json!({
        "ref": name, "node_id": format!("REF_{}", id(name)), "url": format!("{url}/{name}"),
        "object": {"type": kind, "sha": sha, "url": format!("{url}/{objects}/{sha}")},
    })
}

fn show_commit(shared: &Shared, sha: &str, commit: &Commit) -> Value {
    let url = format!("{}/repos/{REPOSITORY}/git", shared.urls().github_api);
    let page = format!("https://github.com/{REPOSITORY}/commit");
    let parent = |sha: &String| json!({"sha": sha, "url": format!("{url}/commits/{sha}"), "html_url": format!("{page}/{sha}")});
    json!({
        "sha": sha, "node_id": format!("C_{sha}"), "url": format!("{url}/commits/{sha}"), "html_url": format!("{page}/{sha}"),
        "author": commit.author, "committer": commit.committer, "message": commit.message,
        "tree": {"sha": commit.tree, "url": format!("{url}/trees/{}", commit.tree)},
        "parents": commit.parents.iter().map(parent).collect::<Vec<_>>(),
        "verification": {"verified": false, "reason": "unsigned", "signature": null, "payload": null, "verified_at": null},
    })
}
