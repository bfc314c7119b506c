//! `/ready-for-prod [VERSION]` on a merged pull request: who asks, what is checked, and the release issue that comes of it.

use jiff::Timestamp;

use super::{Flow, github};
use crate::{
    app::{
        Session,
        preflight::{described, live, off, passed, staging_of, watched},
        wiring,
    },
    approval::{
        self, State,
        command::{self, Command, Spoken},
        issue::{self, Named, Opening},
        standing,
    },
    changes::{self, Changes, ReleaseNumber},
    config::{Config, Environment},
    domain::{ExitStatus, ReleaseVersion, Role, Sha, Version},
    failure::{Failure, FailureKind},
    github::{
        approvals, check_runs, code_scanning, commit_statuses, compare,
        issues::{self, Author, Comment, Reaction},
        people::{self, Access},
        pulls, refs,
        release_requests::{self, Keepers},
        tagging,
    },
    observe::{
        Instance,
        preflight::{Facts, Found, Release, Said, Staging},
    },
    plan::preflight,
    request::ReadyForProd,
    text,
};

/// What was found for a release.
struct Ready {
    sha: Sha,
    version: ReleaseVersion,
    image_tag: Version,
    named: Named,
    instance: Instance,
    digest: crate::domain::Digest,
    changes: Result<Changes, String>,
    statuses: Vec<commit_statuses::Listed>,
}

/// Opens the approval request, or says why not.
pub(in crate::app) async fn ready(session: &Session, config: &Config, asked: &ReadyForProd) -> Result<ExitStatus, Failure> {
    let flow = Flow::of(session, config, &asked.environment)?;
    let client = &flow.client;
    // What GitHub says now counts, not what the event said: it may be old, edited or replayed.
    let Some(comment) = issues::comment(client, asked.comment).await.map_err(github)? else {
        return Ok(flow.done("nothing to do: the comment was deleted", ""));
    };
    let spoken = command::read(comment.body.as_deref().unwrap_or_default());
    let by = match comment.author() {
        Author::Person(login) => login.to_owned(),
        Author::Program(_) | Author::Nobody => return Ok(flow.done("nothing to do: a program wrote the comment", "")),
        Author::Edited(_) => return Ok(flow.done("nothing to do: the comment was edited; a new one counts", "")),
    };
    if !may_ask(&flow, &by).await? {
        react(&flow, &comment, Reaction::No).await;
        issues::say(client, asked.pull_request, issue::NOT_FOR_YOU).await.map_err(github)?;
        return Ok(flow.done("refused: who commented may not ask for a release", ""));
    }
    let given = match spoken {
        Spoken::Command(Command::ReadyForProd { version }) => Ok(version),
        Spoken::Misspelt(how) => Err(vec![format!("it is written so: {how}")]),
        Spoken::Command(_) | Spoken::Nothing => return Ok(flow.done("nothing to do: the comment says something else by now", "")),
    };
    let found = match given {
        Ok(given) => find(&flow, asked.pull_request, given.as_deref()).await?,
        Err(problems) => Err(problems),
    };
    match found {
        Ok(ready) => open(&flow, asked.pull_request, &by, &comment, ready).await,
        Err(problems) => {
            react(&flow, &comment, Reaction::No).await;
            let list: Vec<String> = problems.iter().map(|problem| format!("- {}", text::markdown(problem))).collect();
            let reply = format!("This pull request cannot be released yet:\n\n{}", list.join("\n"));
            issues::say(client, asked.pull_request, &reply).await.map_err(github)?;
            let what = format!("pull request #{} cannot be released: {}", asked.pull_request, problems.join("; "));
            Err(Failure::new(FailureKind::Preflight, what, format!("pull request #{}", asked.pull_request))
                .meaning("no release was asked for, and nothing was touched")
                .next("mend that, and comment /ready-for-prod again"))
        }
    }
}

/// Who may write to the repository may ask, and who holds a role of the release.
async fn may_ask(flow: &Flow<'_>, login: &str) -> Result<bool, Failure> {
    match people::access(&flow.client, login).await.map_err(github)? {
        Access::Write => Ok(true),
        Access::None => Ok(false),
        Access::Read => {
            let sha = "0000000000000000000000000000000000000000".parse().map_err(|_| internal("a commit of zeros"))?;
            let question = approvals::Question {
                environment: &flow.environment.name,
                sha: &sha,
                run: None,
                approvals: flow.asked,
                commit_url: None,
                version: None,
                digest: None,
            };
            Ok(approvals::holds_a_role(&flow.client, &question, login).await)
        }
    }
}

fn internal(what: &str) -> Failure {
    Failure::new(FailureKind::Internal, format!("{what} is none"), "this process").meaning("nothing was touched")
}

/// A reaction is a courtesy: that it failed changes nothing.
async fn react(flow: &Flow<'_>, comment: &Comment, reaction: Reaction) {
    if let Err(error) = issues::react(&flow.client, comment.id, reaction).await {
        flow.print(&format!("warning: {error}"));
    }
}

/// Everything that is checked before a release is asked for; what speaks against it, in words for who asked.
async fn find(flow: &Flow<'_>, number: u64, given: Option<&str>) -> Result<Result<Ready, Vec<String>>, Failure> {
    let client = &flow.client;
    let pull = pulls::get(client, number).await.map_err(github)?;
    let branch = flow.preflight.checks.as_ref().map_or("main", |checks| checks.branch.as_str());
    if !pull.merged {
        return Ok(Err(vec!["it is not merged".into()]));
    }
    if pull.base.r#ref != branch {
        return Ok(Err(vec![format!("it was merged to another branch than {branch}, from which releases are made")]));
    }
    let Some(sha) = pull.merge_commit_sha else { return Ok(Err(vec!["GitHub does not say which commit it was merged as".into()])) };
    let mut problems = nobody_could(flow);
    let instance = match on_staging(flow, &sha).await? {
        Ok(instance) => Some(instance),
        Err(problem) => {
            problems.push(problem);
            None
        }
    };
    let (statuses, versions) = tokio::try_join!(commit_statuses::list(client, &sha), tagging::versions(client)).map_err(github)?;
    let newest = versions.iter().max();
    let changes = match newest {
        Some(newest) => {
            compare::changes(client, &newest.to_string(), sha.as_str(), flow.repository_url()).await.map_err(|error| error.to_string())
        }
        None => Err("there is no release yet to compare with".to_owned()),
    };
    let version = match version(given, newest, &versions, changes.as_ref().ok()) {
        Ok(version) => Some(version),
        Err(problem) => {
            problems.push(problem);
            None
        }
    };
    match (instance, version) {
        (Some(instance), Some((version, named))) if problems.is_empty() => {
            match (instance.tags.digest.clone(), version.to_string().parse()) {
                (Some(digest), Ok(image_tag)) => Ok(Ok(Ready { sha, version, image_tag, named, instance, digest, changes, statuses })),
                (None, _) => Ok(Err(vec!["the instance on staging does not say which image it runs".into()])),
                (Some(_), Err(_)) => Ok(Err(vec![format!("{version} can be no image's tag")])),
            }
        }
        _ => Ok(Err(problems)),
    }
}

/// Roles that nobody holds: what waited for them would wait for nothing.
fn nobody_could(flow: &Flow<'_>) -> Vec<String> {
    if flow.asked.roles.is_empty() {
        return vec!["deploy.yml names no role that approves".into()];
    }
    let vacant = flow.asked.roles.iter().filter(|role| role.is_vacant());
    vacant.map(|role| format!("deploy.yml does not say who is {}: give the role `teams` or `users`", role.name)).collect()
}

/// The instance that is stable on staging, if it runs the commit `sha`; else what runs there, in words.
async fn on_staging(flow: &Flow<'_>, sha: &Sha) -> Result<Result<Instance, String>, Failure> {
    let Some(staging) = staging_of(flow.config, flow.environment) else {
        return Ok(Err("no environment in deploy.yml stands for staging".into()));
    };
    let name = &staging.name;
    let azure = wiring::azure(flow.session, wiring::print_retries())?;
    let instance = match live(staging, &azure).await {
        Found::Known { value: Some(instance) } => instance,
        Found::Known { value: None } => return Ok(Err(format!("nobody is sent to anything on {name}"))),
        Found::Unknown { why } | Found::Absent { why } => return Ok(Err(format!("what runs on {name} cannot be read: {why}"))),
    };
    let runs = instance.tags.version.as_ref().map_or_else(|| "a version that is not known".to_owned(), ToString::to_string);
    if instance.tags.sha.as_deref() != Some(sha.as_str()) {
        return Ok(Err(format!("{name} runs {runs}, and this pull request was merged as {}", sha.short())));
    }
    if let Some(held) = &instance.tags.held {
        return Ok(Err(format!("{runs} on {name} waits for a person's decision: {held}")));
    }
    if instance.tags.role.as_deref() != Some(Role::Stable.as_str()) || instance.tags.stable_since.is_none() {
        return Ok(Err(format!("{runs} has not proved itself on {name} yet")));
    }
    Ok(Ok(instance))
}

/// The version: as given, free and newer than every release; else as the commits propose it.
fn version(
    given: Option<&str>,
    newest: Option<&ReleaseVersion>,
    versions: &[ReleaseVersion],
    changes: Option<&Changes>,
) -> Result<(ReleaseVersion, Named), String> {
    let proposed = newest.and_then(|newest| {
        let current: ReleaseNumber = newest.to_string().parse().ok()?;
        changes::next(current, changes?)?.to_string().parse::<ReleaseVersion>().ok()
    });
    let proposal = proposed.as_ref().map_or_else(String::new, |proposed| format!("; the commits ask for {proposed}"));
    let Some(given) = given else {
        return proposed
            .map(|version| (version, Named::ByTheCommits))
            .ok_or_else(|| "no version follows from the commits: name one, /ready-for-prod v1.2.3".to_owned());
    };
    let version: ReleaseVersion = given.parse().map_err(|_| format!("that is no release version such as v1.2.3{proposal}"))?;
    if versions.contains(&version) {
        return Err(format!("{version} is taken: there is a tag of that name{proposal}"));
    }
    match newest {
        Some(newest) if version < *newest => Err(format!("{version} is older than {newest}, which is released{proposal}")),
        Some(_) | None => Ok((version, Named::ByAPerson)),
    }
}

/// Opens the issue, or takes the one that is there, and starts the time.
async fn open(flow: &Flow<'_>, pull_request: u64, by: &str, comment: &Comment, ready: Ready) -> Result<ExitStatus, Failure> {
    let client = &flow.client;
    let Ready { sha, version, named, digest, .. } = &ready;
    let keepers = Keepers::of(client).await.map_err(github)?;
    let before = release_requests::find(&ready.statuses, sha, version, &keepers);
    if let Some(before) = &before
        && before.opened >= comment.created_at
    {
        return Ok(flow.done(&format!("nothing to do: release {version} was asked for by this comment already"), ""));
    }
    let others = supersede(flow, &ready, &keepers).await?;
    let checklist = preflight::checklist(flow.preflight, &facts(flow, &ready).await);
    let staging = staging_of(flow.config, flow.environment).map_or("staging", |staging| staging.name.as_str());
    let commit_url = flow.session.runner.commit_url(sha.as_str());
    let docs = flow.config.notify.docs.as_ref().map(ToString::to_string);
    let body = issue::body(&Opening {
        application: &flow.config.application,
        version,
        named: *named,
        sha,
        commit_url: commit_url.as_deref(),
        digest,
        pull_request,
        by,
        staging: (staging, ready.instance.tags.stable_since),
        changes: ready.changes.as_ref().map_err(String::as_str),
        checklist: &checklist,
        incidents: flow.config.notify.slack.as_ref().map(|slack| slack.incidents.as_str()),
        docs: docs.as_deref(),
    });
    let there = others.into_iter().find(|issue| before.as_ref().is_some_and(|before| before.issue == issue.number));
    let issue = match there {
        Some(issue) => issue,
        None => issues::open(client, &issue::title(version), &body, issue::LABEL).await.map_err(github)?,
    };
    release_requests::ask(client, sha, version, digest, &issue.html_url, by).await.map_err(github)?;
    let statuses = commit_statuses::list(client, sha).await.map_err(github)?;
    let request = release_requests::find(&statuses, sha, version, &keepers).ok_or_else(|| {
        Failure::new(FailureKind::Request, "GitHub did not keep the request, or keeps it as a person's", format!("commit {}", sha.short()))
            .meaning("no release was asked for")
            .next("use the workflow's own token, a GitHub App's, or the same person's token in every workflow")
    })?;
    let standing = standing::judge(&request, flow.asked, &Said::default(), request.opened);
    issues::rewrite(client, request.issue, &issue::with_table(&body, &issue::table(&request, &standing))).await.map_err(github)?;
    react(flow, comment, Reaction::Yes).await;
    issues::say(client, pull_request, &issue::asked(&request, flow.asked)).await.map_err(github)?;
    let roles: Vec<&str> = flow.asked.roles.iter().map(|role| role.name.as_str()).collect();
    let lapses = approval::moment(request.lapses(flow.asked.within));
    let slack = format!(
        "*{} {version} waits for approval to go to {}*\nCommit `{}`, asked for by {}\nTo approve: {}\nLapses {lapses}\n<{}|Release issue>",
        text::slack(&flow.config.application),
        flow.environment.name,
        sha.short(),
        text::slack(by),
        roles.join(", "),
        request.url,
    );
    flow.tell_slack(&slack).await;
    let line = format!("release {version} is asked for: {} (commit {}, lapses {lapses})", request.url, sha.short());
    Ok(flow.done(&line, &format!("Release {version} is asked for: [issue]({}). It lapses {lapses}.\n", request.url)))
}

/// Ends what was asked for under the same version for another commit: what people approved there is not this. Gives the release
/// issues that are open.
async fn supersede(flow: &Flow<'_>, ready: &Ready, keepers: &Keepers) -> Result<Vec<issues::Issue>, Failure> {
    let client = &flow.client;
    let open = issues::labelled(client, issue::LABEL).await.map_err(github)?;
    let mut left = Vec::new();
    for issue in open {
        let marked = issue::read_mark(issue.body.as_deref().unwrap_or_default());
        let Some((_, other)) = marked.filter(|(version, sha)| *version == ready.version && *sha != ready.sha) else {
            left.push(issue);
            continue;
        };
        // An issue that somebody made by hand may name a commit that there is not.
        let Ok(statuses) = commit_statuses::list(client, &other).await else { continue };
        let request = release_requests::find(&statuses, &other, &ready.version, keepers);
        let Some(request) = request.filter(|request| request.issue == issue.number && request.state == State::Open) else { continue };
        let why = format!("{} was asked for with commit {}", ready.version, ready.sha.short());
        release_requests::end(client, &request, &State::Over { why: why.clone() }).await.map_err(github)?;
        issues::say(client, issue.number, &format!("This request is over: {why}. What was approved here does not count there."))
            .await
            .map_err(github)?;
        issues::close(client, issue.number).await.map_err(github)?;
    }
    Ok(left)
}

/// What can be known of the checklist before there is a tag.
async fn facts(flow: &Flow<'_>, ready: &Ready) -> Facts {
    let client = &flow.client;
    let Ready { sha, version, instance, digest, statuses, .. } = ready;
    let checks = flow.preflight.checks.as_ref();
    let branch = checks.map_or("main", |checks| checks.branch.as_str());
    let (ancestry, runs, alerts) =
        tokio::join!(refs::ancestry(client, branch, sha), check_runs::latest(client, sha), code_scanning::open(client, branch));
    let staging = staging_of(flow.config, flow.environment).map(|environment| staging(environment, instance, statuses));
    Facts {
        now: Timestamp::now(),
        release: Release {
            version: ready.image_tag.clone(),
            tag: version.to_string(),
            sha: Some(sha.clone()),
            digest: Some(digest.clone()),
            repository_url: flow.repository_url(),
        },
        tag: off(),
        ancestry: Found::of(ancestry),
        checks: Found::of(runs),
        alerts,
        staging,
        production: Vec::new(),
        lock: off(),
        rules: Vec::new(),
        said: Found::Known { value: Said::default() },
    }
}

fn staging(environment: &Environment, instance: &Instance, statuses: &[commit_statuses::Listed]) -> Staging {
    let context = format!("deploy/{}", environment.name);
    let history = statuses.iter().filter(|status| status.context == context).cloned().map(passed).collect();
    Staging {
        environment: environment.name.clone(),
        live: Found::Known { value: Some(described(instance.clone())) },
        history: Found::Known { value: history },
        latency: None,
        watched_seconds: watched(environment),
    }
}
