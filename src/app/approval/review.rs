//! What people said on release issues: derived anew from GitHub, shown in the issue's one table, told when it is time, and carried
//! out when everybody has approved.

use jiff::Timestamp;

use super::{Flow, github, overridden};
use crate::{
    app::Session,
    approval::{
        self, Request, State, issue,
        standing::{self, Notice, Standing, Verdict},
    },
    changes::Changes,
    config::Config,
    domain::ExitStatus,
    failure::{Failure, FailureKind},
    github::{
        approvals::{self, Unheard},
        commit_statuses, compare,
        issues::{self, Comment, Issue, Reaction},
        release_requests::{self, Keepers},
        tagging::{self, Tagged},
    },
    request::Review,
    text,
};

/// Who a workflow's own token speaks for: what it does starts no other workflow, but a dispatch (GitHub Docs, "Triggering a
/// workflow from a workflow").
const OWN_TOKEN: &str = "github-actions[bot]";

/// The first line of the comment that says what became of a request that everybody approved.
const APPROVED: &str = "<!-- deploy-action approved -->";

/// What started this run.
#[derive(Clone, Copy)]
enum StartedBy {
    /// A comment: others may be at work on the same issue.
    AComment,
    /// The clock, which finishes what a run before it was stopped at.
    TheClock,
}

/// Looks at one release issue, or at all open ones.
pub(in crate::app) async fn review(session: &Session, config: &Config, asked: &Review) -> Result<ExitStatus, Failure> {
    let flow = Flow::of(session, config, &asked.environment)?;
    let (numbers, started_by) = match asked.issue {
        Some(number) => (vec![number], StartedBy::AComment),
        None => {
            let open = issues::labelled(&flow.client, issue::LABEL).await.map_err(github)?;
            (open.iter().filter(|issue| !issue.is_pull_request()).map(|issue| issue.number).collect(), StartedBy::TheClock)
        }
    };
    let keepers = Keepers::of(&flow.client).await.map_err(github)?;
    let (mut lines, mut failed) = (Vec::new(), None);
    for number in numbers {
        // One issue that cannot be dealt with keeps nobody from the others.
        match one(&flow, number, asked.comment, &keepers, started_by).await {
            Ok(line) => lines.push(line),
            Err(failure) => failed = failed.or(Some(failure)),
        }
    }
    if lines.is_empty() {
        lines.push("nothing to do: no release waits for approval".to_owned());
    }
    let shown: Vec<String> = lines.iter().map(|line| format!("- {}", text::markdown(line))).collect();
    let exit = flow.done(&lines.join("\n"), &format!("{}\n", shown.join("\n")));
    failed.map_or(Ok(exit), Err)
}

/// The request that an issue is of: its text says where to look, and a program must have written it down there for this very issue.
async fn request_of(flow: &Flow<'_>, issue: &Issue, keepers: &Keepers) -> Result<Option<Request>, Failure> {
    let Some((version, sha)) = issue::read_mark(issue.body.as_deref().unwrap_or_default()) else { return Ok(None) };
    // A commit that there is not: made up by hand.
    let Ok(statuses) = commit_statuses::list(&flow.client, &sha).await else { return Ok(None) };
    let request = release_requests::find(&statuses, &sha, &version, keepers);
    Ok(request.filter(|request| request.issue == issue.number && issue.title == issue::title(&version)))
}

/// Looks at one issue; gives what came of it in a line.
async fn one(flow: &Flow<'_>, number: u64, comment: Option<u64>, keepers: &Keepers, started_by: StartedBy) -> Result<String, Failure> {
    let client = &flow.client;
    let Some((issue, now)) = issues::get(client, number).await.map_err(github)?.filter(|(issue, _)| !issue.is_pull_request()) else {
        return Ok(format!("issue {number}: nothing to do: there is no such issue"));
    };
    let Some(mut request) = request_of(flow, &issue, keepers).await? else {
        return Ok(format!("issue {number}: nothing to do: it is no release issue"));
    };
    if let Some(id) = comment {
        answer(flow, &request, id).await?;
    }
    if let State::Over { why } = &request.state {
        return Ok(format!("release {}: over: {why}", request.version));
    }
    let said = approvals::read(client, &flow.question(&request)).await.map_err(github)?;
    let standing = standing::judge(&request, flow.asked, &said, now);
    let told = issues::comments(client, request.issue, request.opened).await.map_err(github)?;
    let told: Vec<&Comment> =
        told.iter().filter(|comment| comment.user.as_ref().is_some_and(|user| user.login == request.keeper)).collect();
    match (&request.state, standing.verdict) {
        (State::Open, Verdict::Approved) => request.state = tag(flow, &request, &standing, &told, started_by).await?,
        (State::Open, Verdict::Waiting | Verdict::Rejected | Verdict::Lapsed) => {
            request.state = notify(flow, &request, &standing, &told, now).await?;
        }
        (State::Tagged | State::Over { .. }, _) => {}
    }
    // One place shows how it stands; it is written only where it says something else by now.
    let before = issue.body.as_deref().unwrap_or_default();
    let after = issue::with_table(before, &issue::table(&request, &standing));
    if after != before {
        issues::rewrite(client, number, &after).await.map_err(github)?;
    }
    Ok(format!("release {}: {}; {}", request.version, state_words(&request, &standing), issue::approvers(&standing)))
}

fn state_words(request: &Request, standing: &Standing) -> String {
    match (&request.state, standing.verdict) {
        (State::Tagged, _) => "approved and tagged".into(),
        (State::Over { why }, _) => format!("over: {why}"),
        (State::Open, Verdict::Rejected) => "rejected".into(),
        (State::Open, Verdict::Waiting | Verdict::Lapsed | Verdict::Approved) => "waits".into(),
    }
}

/// Tells who commented whether it counts. Nothing is told to who may do nothing here, and nothing to programs.
async fn answer(flow: &Flow<'_>, request: &Request, id: u64) -> Result<(), Failure> {
    let client = &flow.client;
    let Some(comment) = issues::comment(client, id).await.map_err(github)? else { return Ok(()) };
    let over = match &request.state {
        State::Open => None,
        State::Tagged => Some("this release is approved and tagged already"),
        State::Over { .. } => Some("this request is over: comment /ready-for-prod on the pull request to ask again"),
    };
    let heard = approvals::hear(client, &flow.question(request), request, &comment).await;
    let reply = match (heard, over) {
        (Ok(()), None) => None,
        (Ok(()), Some(over)) => Some(over.to_owned()),
        (Err((why, unclear)), _) => match why {
            Unheard::NoCommand | Unheard::Program => return Ok(()),
            Unheard::Stranger => Some(issue::NOT_FOR_YOU.to_owned()),
            Unheard::Misspelt(how) => Some(format!("It is written so: `{how}`.")),
            Unheard::Edited => Some("The comment was edited, so it does not count. A new one does.".to_owned()),
            Unheard::OutOfTime => Some("This request has lapsed: comment /ready-for-prod on the pull request to ask again.".to_owned()),
            Unheard::NotTheirs => {
                let mut reply = "That is not yours to say: `deploy.yml` gives you no such role.".to_owned();
                for unclear in unclear {
                    reply.push_str(&format!("\n\n{}", text::markdown(&unclear)));
                }
                Some(reply)
            }
            Unheard::Which(roles) => {
                let names: Vec<String> = roles.iter().map(|role| format!("`/approve {role}`")).collect();
                Some(format!("You hold several roles, and a person fills one: {}.", names.join(" or ")))
            }
        },
    };
    let reaction = if reply.is_none() { Reaction::Yes } else { Reaction::No };
    if let Err(error) = issues::react(client, id, reaction).await {
        flow.print(&format!("warning: {error}"));
    }
    if let Some(reply) = reply {
        issues::say(client, request.issue, &reply).await.map_err(github)?;
    }
    Ok(())
}

/// Tells people what it is time for, once; ends what has lapsed. Gives the request's state then.
async fn notify(flow: &Flow<'_>, request: &Request, standing: &Standing, told: &[&Comment], now: Timestamp) -> Result<State, Failure> {
    let notices: Vec<Notice> = told.iter().filter_map(|comment| issue::notice_of(comment.body.as_deref()?)).collect();
    if let Some(notice) = standing::due(request, flow.asked, standing, &notices, now) {
        let text = issue::notice(notice, request, flow.asked, standing, flow.organization());
        issues::say(&flow.client, request.issue, &text).await.map_err(github)?;
        let missing: Vec<&str> = issue::missing(standing).iter().map(|role| role.name.as_str()).collect();
        let what = match notice {
            Notice::Reminder => "lapses soon",
            Notice::Escalation => "lapses very soon, and needs VP Engineering",
            Notice::Lapsed => "is rejected: it was not approved in time",
        };
        let slack = format!(
            "*{} {} {what}* ({})\nStill to approve: {}\n<{}|Release issue>{}",
            text::slack(&flow.config.application),
            request.version,
            approval::moment(standing.lapses),
            missing.join(", "),
            request.url,
            overridden(standing),
        );
        flow.tell_slack(&slack).await;
    }
    if standing.verdict != Verdict::Lapsed {
        return Ok(State::Open);
    }
    let state = State::Over { why: format!("lapsed {}", approval::moment(standing.lapses)) };
    release_requests::end(&flow.client, request, &state).await.map_err(github)?;
    Ok(state)
}

/// Everybody approved: makes the tag on the pinned commit and, where that starts nothing, starts the workflow. Of runs at once the one
/// that makes the tag goes on: what it was stopped at, the clock finishes.
async fn tag(flow: &Flow<'_>, request: &Request, standing: &Standing, told: &[&Comment], started_by: StartedBy) -> Result<State, Failure> {
    let client = &flow.client;
    let name = request.version.to_string();
    if let Some(other) = tagging::commit_of(client, &name).await.map_err(github)?.filter(|sha| *sha != request.sha) {
        return void(flow, request, &other).await;
    }
    let changes = changes(flow, request).await;
    let message = issue::tag_message(request, standing, changes.as_ref());
    match (tagging::make(client, &name, &request.sha, &message).await.map_err(github)?, started_by) {
        (Tagged::Now, _) | (Tagged::Before, StartedBy::TheClock) => {}
        (Tagged::Before, StartedBy::AComment) => return Ok(State::Open),
        (Tagged::Elsewhere(other), _) => return void(flow, request, &other).await,
    }
    let before = told.iter().find(|comment| comment.body.as_deref().is_some_and(|body| body.starts_with(APPROVED)));
    let speaker = match before {
        Some(comment) => comment.user.clone(),
        None => {
            let how = "The tag starts the release; where the workflow's own token made it, its workflow is started.";
            let text = format!("{APPROVED}\nEverybody has approved, and the tag `{name}` is on `{}`. {how}", request.sha.short());
            issues::say(client, request.issue, &text).await.map_err(github)?.user
        }
    };
    if speaker.is_some_and(|user| user.login == OWN_TOKEN) {
        tagging::start(client, &flow.asked.workflow, &name, flow.environment.name.as_str()).await.map_err(|error| {
            Failure::new(
                FailureKind::Request,
                format!("the workflow {} could not be started on the tag {name}: {error}", flow.asked.workflow),
                "GitHub",
            )
            .meaning(format!("release {name} is approved and tagged, and production does not know"))
            .next(format!(
                "gh workflow run {} --ref {name} -f command=deploy -f environment={}",
                flow.asked.workflow, flow.environment.name
            ))
            .next("or run this workflow again")
        })?;
    }
    release_requests::end(client, request, &State::Tagged).await.map_err(github)?;
    let slack = format!(
        "*{} {name} is approved for {}*\nCommit `{}`\n{}\n<{}|Release issue>{}",
        text::slack(&flow.config.application),
        flow.environment.name,
        request.sha.short(),
        text::slack(&issue::approvers(standing)),
        request.url,
        overridden(standing),
    );
    flow.tell_slack(&slack).await;
    Ok(State::Tagged)
}

/// The tag is on another commit than was approved: nothing of it counts any more.
async fn void(flow: &Flow<'_>, request: &Request, other: &crate::domain::Sha) -> Result<State, Failure> {
    let why = format!("the tag {} is on commit {}, and {} was approved", request.version, other.short(), request.sha.short());
    let state = State::Over { why: why.clone() };
    release_requests::end(&flow.client, request, &state).await.map_err(github)?;
    issues::say(&flow.client, request.issue, &format!("This request is over: {why}.")).await.map_err(github)?;
    flow.tell_slack(&format!(
        "*{} {} is rejected*: {why}\n<{}|Release issue>",
        text::slack(&flow.config.application),
        request.version,
        request.url
    ))
    .await;
    Ok(state)
}

/// What is new since the release before, for the tag's message: that it cannot be read stops nothing.
async fn changes(flow: &Flow<'_>, request: &Request) -> Option<Changes> {
    let versions = tagging::versions(&flow.client).await.ok()?;
    let before = versions.into_iter().filter(|version| *version < request.version).max()?;
    compare::changes(&flow.client, &before.to_string(), request.sha.as_str(), None).await.ok()
}
