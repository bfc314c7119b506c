//! The requests about a lock: look at its branch, write a commit, create the branch or fast-forward it.
//! What follows from what is found is decided elsewhere.

use std::time::Duration;

use jiff::Timestamp;
use reqwest::{Method, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    decision::{After, Claiming, Move, Own, Owner, Tip, Wrote},
    error::{FOLDER, LockError, branch},
    message::{self, Claim, Content, LockInfo},
};
use crate::{
    domain::{EnvironmentName, Sha},
    github::{Answer, Client, GithubError, Repeat, runs},
};

/// How long a claim, or giving it back, may take as a whole. In good times it is five calls of a fraction of a second.
const LIMIT: Duration = Duration::from_secs(60);

/// How long a branch that was just made may be missing from GitHub's answers: its reads can lag behind its writes.
const LAG: Duration = Duration::from_secs(1);

/// The file in a lock's commits, for whoever looks at the branch.
const README: &str = "The newest commit on this branch says which run of deploy-action has the environment, or that none has.\n\
                      Do not merge it. Deleting the branch frees the environment.\n";

/// A lock that was taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    environment: EnvironmentName,
    own: Own,
    tree: Sha,
}

impl Held {
    /// What holds the claim, as people can look it up: the branch and the commit.
    #[must_use]
    pub fn label(&self) -> String {
        format!("branch {} at {}", branch(&self.environment), self.own.commit.short())
    }
}

/// A lock that was taken, and whom to ask about it.
#[derive(Debug)]
pub struct Claimed {
    client: Client,
    held: Held,
}

impl Claimed {
    /// `held`, which was taken by `client`.
    #[must_use]
    pub const fn new(client: Client, held: Held) -> Self {
        Self { client, held }
    }

    /// Whether it is still had. One call where it is.
    ///
    /// # Errors
    /// [`LockError::Forbidden`] or [`LockError::Unavailable`].
    pub async fn check(&self) -> Result<Standing, LockError> {
        check(&self.client, &self.held).await
    }

    /// Gives it back, unless somebody else has taken it over.
    ///
    /// # Errors
    /// [`LockError`]; the lock is then free when this run is over.
    pub async fn release(self) -> Result<Release, LockError> {
        release(&self.client, self.held).await
    }
}

/// What is found in a lock by looking.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reading {
    /// Nobody has it.
    Free,
    /// This run has it, or had it when it died.
    Held(Box<LockInfo>),
    /// Something is there that deploy-action did not write: it counts as locked.
    Unreadable,
}

/// Whether a lock that was taken is still had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// It is.
    Ours,
    /// Another run has it: change nothing more.
    Taken(Box<LockInfo>),
    /// Another run had it, and has given it back.
    Passed(Box<LockInfo>),
    /// Somebody took it away: the branch is gone, or holds something else.
    Gone,
}

/// How giving a lock back ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Release {
    /// It is free.
    Free,
    /// It was not ours any more, and was left as it is.
    NotOurs,
}

/// Takes the lock of the claim's environment for it.
///
/// # Errors
/// [`LockError`]; within 60 s in any case.
pub async fn claim(client: &Client, claim: &Claim) -> Result<Held, LockError> {
    bounded(&claim.environment, claim_now(client, claim)).await
}

async fn claim_now(client: &Client, claim: &Claim) -> Result<Held, LockError> {
    let environment = &claim.environment;
    let mut claiming = Claiming::new(claim);
    loop {
        let tip = look(client, environment).await?;
        let mut next = claiming.decide(&tip, Owner::NotAsked);
        if let Move::Ask(run) = next {
            let state = runs::get(client, run).await.map_err(|error| unavailable(environment, &error))?;
            next = claiming.decide(&tip, Owner::Asked(state));
        }
        let parent = match next {
            Move::Have(own) => return held(environment, own, &tip),
            Move::Refuse(error) => return Err(error),
            Move::Create => None,
            Move::Advance(parent) => Some(parent),
            // It was asked already.
            Move::Ask(run) => {
                return Err(LockError::Unavailable { environment: environment.clone(), why: format!("run {run} is unclear") });
            }
        };
        // The tree is the same for all of a lock's commits.
        let tree = match &tip {
            Tip::At { tree, content: Content::Held(_) | Content::Free, .. } => tree.clone(),
            Tip::At { content: Content::Unreadable, .. } | Tip::Absent => make_tree(client, environment).await?,
        };
        let commit = make_commit(client, environment, &claim.message(), &tree, parent.as_ref()).await?;
        let own = Own { commit, parent };
        claiming.writes(own.clone());
        let wrote = match own.parent {
            None => create(client, environment, &own.commit).await?,
            Some(_) => advance(client, environment, &own.commit).await?,
        };
        match claiming.wrote(wrote) {
            After::Held => return Ok(Held { environment: environment.clone(), own, tree }),
            After::Look(wait) => tokio::time::sleep(wait).await,
            After::GiveUp(error) => return Err(error),
        }
    }
}

fn held(environment: &EnvironmentName, own: Own, tip: &Tip) -> Result<Held, LockError> {
    match tip {
        Tip::At { tree, .. } => Ok(Held { environment: environment.clone(), own, tree: tree.clone() }),
        Tip::Absent => Err(LockError::Unavailable { environment: environment.clone(), why: "its branch is gone".into() }),
    }
}

/// Who has the lock of `environment`, without taking it.
///
/// # Errors
/// [`LockError::Forbidden`] or [`LockError::Unavailable`].
pub async fn read(client: &Client, environment: &EnvironmentName) -> Result<Reading, LockError> {
    Ok(reading(look(client, environment).await?))
}

fn reading(tip: Tip) -> Reading {
    match tip {
        Tip::Absent | Tip::At { content: Content::Free, .. } => Reading::Free,
        Tip::At { content: Content::Held(info), .. } => Reading::Held(info),
        Tip::At { content: Content::Unreadable, .. } => Reading::Unreadable,
    }
}

/// Whether `held` is still had: a rollback may have taken it over, or a person deleted the branch. One call where it is.
///
/// # Errors
/// [`LockError::Forbidden`] or [`LockError::Unavailable`].
pub async fn check(client: &Client, held: &Held) -> Result<Standing, LockError> {
    for wait in [Some(LAG), None] {
        let found = tip(client, &held.environment).await?;
        // The branch only moves on, so what ours was put upon is an answer from before.
        if found.as_ref() == Some(&held.own.commit) || (found.is_some() && found == held.own.parent) {
            return Ok(Standing::Ours);
        }
        match (found, wait) {
            // Not there yet, or not there any more.
            (None, Some(wait)) => tokio::time::sleep(wait).await,
            (None, None) => return Ok(Standing::Gone),
            (Some(found), _) => return instead(client, held, &found).await,
        }
    }
    Ok(Standing::Gone)
}

/// Who has the lock instead of `held`, or had it before it was given back at `tip`.
async fn instead(client: &Client, held: &Held, tip: &Sha) -> Result<Standing, LockError> {
    let environment = &held.environment;
    let Commit { message, parents, .. } = commit(client, environment, tip).await?;
    let before = match message::read(&message, environment) {
        Content::Held(by) => return Ok(Standing::Taken(by)),
        // Whoever gives it back puts that upon their own commit.
        Content::Free => parents.into_iter().next().filter(|parent| parent.sha != held.own.commit),
        Content::Unreadable => None,
    };
    let Some(before) = before else { return Ok(Standing::Gone) };
    let Commit { message, .. } = commit(client, environment, &before.sha).await?;
    Ok(match message::read(&message, environment) {
        Content::Held(by) => Standing::Passed(by),
        Content::Free | Content::Unreadable => Standing::Gone,
    })
}

/// Gives the lock back, unless somebody else has taken it over.
///
/// # Errors
/// [`LockError`]; the lock is then free when this run is over.
pub async fn release(client: &Client, held: Held) -> Result<Release, LockError> {
    let Held { environment, own, tree } = held;
    bounded(&environment, async {
        let message = LockInfo::released(&environment);
        let freed = make_commit(client, &environment, &message, &tree, Some(&own.commit)).await?;
        match advance(client, &environment, &freed).await? {
            Wrote::Set => Ok(Release::Free),
            Wrote::Conflict(_) => Ok(Release::NotOurs),
            Wrote::Lost(why) => Err(LockError::Unavailable { environment: environment.clone(), why }),
        }
    })
    .await
}

async fn bounded<T>(environment: &EnvironmentName, work: impl Future<Output = Result<T, LockError>>) -> Result<T, LockError> {
    tokio::time::timeout(LIMIT, work).await.unwrap_or_else(|_| {
        let why = format!("GitHub took longer than {} s", LIMIT.as_secs());
        Err(LockError::Unavailable { environment: environment.clone(), why })
    })
}

fn unavailable(environment: &EnvironmentName, error: &GithubError) -> LockError {
    LockError::Unavailable { environment: environment.clone(), why: error.to_string() }
}

/// What `answer` says, or why not: `doing` is what was tried.
fn read_answer<T: serde::de::DeserializeOwned>(
    environment: &EnvironmentName,
    doing: &'static str,
    answer: &Answer,
) -> Result<T, LockError> {
    match answer.status {
        // Without the permission GitHub says either.
        StatusCode::FORBIDDEN | StatusCode::NOT_FOUND | StatusCode::UNAUTHORIZED => {
            Err(LockError::Forbidden { environment: environment.clone(), doing, why: answer.message() })
        }
        _ => answer.read("contents: write").map_err(|error| unavailable(environment, &error)),
    }
}

#[derive(Deserialize)]
struct Object {
    sha: Sha,
}

#[derive(Deserialize)]
struct Reference {
    object: Object,
}

#[derive(Deserialize)]
struct Commit {
    message: String,
    tree: Object,
    committer: Option<Signature>,
    #[serde(default)]
    parents: Vec<Object>,
}

#[derive(Deserialize)]
struct Signature {
    date: Option<Timestamp>,
}

/// The commit that the lock's branch points at, where there is a branch.
async fn tip(client: &Client, environment: &EnvironmentName) -> Result<Option<Sha>, LockError> {
    let path = ["git", "ref", "heads", FOLDER, environment.as_str()];
    let answer = client.ask(Method::GET, &path, &[], None, Repeat::Always).await.map_err(|error| unavailable(environment, &error))?;
    if answer.status == StatusCode::NOT_FOUND {
        return Ok(None);
    }
    read_answer::<Reference>(environment, "read", &answer).map(|reference| Some(reference.object.sha))
}

async fn commit(client: &Client, environment: &EnvironmentName, sha: &Sha) -> Result<Commit, LockError> {
    let path = ["git", "commits", sha.as_str()];
    let answer = client.ask(Method::GET, &path, &[], None, Repeat::Always).await.map_err(|error| unavailable(environment, &error))?;
    read_answer(environment, "read", &answer)
}

async fn look(client: &Client, environment: &EnvironmentName) -> Result<Tip, LockError> {
    let Some(sha) = tip(client, environment).await? else { return Ok(Tip::Absent) };
    let Commit { message, tree, committer, .. } = commit(client, environment, &sha).await?;
    let content = message::read(&message, environment);
    Ok(Tip::At { sha, tree: tree.sha, committed: committer.and_then(|committer| committer.date), content })
}

/// Objects are named by what is in them: to make one twice is to make it once, but for the time in a commit, and a commit that
/// no branch points at is nothing.
async fn make(client: &Client, environment: &EnvironmentName, path: &[&str], body: &Value) -> Result<Sha, LockError> {
    let answer = client.ask(Method::POST, path, &[], Some(body), Repeat::Always).await.map_err(|error| unavailable(environment, &error))?;
    read_answer::<Object>(environment, "write", &answer).map(|object| object.sha)
}

async fn make_tree(client: &Client, environment: &EnvironmentName) -> Result<Sha, LockError> {
    let body = json!({"tree": [{"path": "README.md", "mode": "100644", "type": "blob", "content": README}]});
    make(client, environment, &["git", "trees"], &body).await
}

async fn make_commit(
    client: &Client,
    environment: &EnvironmentName,
    message: &str,
    tree: &Sha,
    parent: Option<&Sha>,
) -> Result<Sha, LockError> {
    let parents: Vec<&Sha> = parent.into_iter().collect();
    make(client, environment, &["git", "commits"], &json!({"message": message, "tree": tree, "parents": parents})).await
}

async fn create(client: &Client, environment: &EnvironmentName, commit: &Sha) -> Result<Wrote, LockError> {
    let body = json!({"ref": format!("refs/heads/{}", branch(environment)), "sha": commit});
    wrote(environment, client.ask(Method::POST, &["git", "refs"], &[], Some(&body), Repeat::Always).await)
}

async fn advance(client: &Client, environment: &EnvironmentName, commit: &Sha) -> Result<Wrote, LockError> {
    let path = ["git", "refs", "heads", FOLDER, environment.as_str()];
    let body = json!({"sha": commit, "force": false});
    wrote(environment, client.ask(Method::PATCH, &path, &[], Some(&body), Repeat::Always).await)
}

/// A write of the branch may be sent twice: the second finds the branch at our commit already, or refuses.
fn wrote(environment: &EnvironmentName, answer: Result<Answer, GithubError>) -> Result<Wrote, LockError> {
    let answer = match answer {
        Ok(answer) => answer,
        Err(error) => return Ok(Wrote::Lost(error.to_string())),
    };
    match answer.status {
        StatusCode::UNPROCESSABLE_ENTITY | StatusCode::CONFLICT => Ok(Wrote::Conflict(answer.message())),
        _ => read_answer::<Reference>(environment, "write", &answer).map(|_| Wrote::Set),
    }
}
