//! Event + inputs → what is asked for. Pure: whatever happens at GitHub is a request, or a refusal with its reason.

use crate::{
    approval::command::{self, Spoken},
    cli::{Command, DryRun, Inputs, RollbackStrategy},
    config::{self, Config, Environment},
    domain::{EnvironmentName, ReleaseVersion, Sha, Strategy, Version},
    event::{Comment, CommentedOn, Dispatch, GitRef, GithubEvent, Push},
    failure::{Failure, FailureKind},
};

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// Bring a version to an environment.
    Deploy(Deploy),
    /// Show what that would do.
    Plan(Deploy),
    /// Go through the checklist of it, and nothing else.
    Preflight(Deploy),
    /// Go back to the version before.
    Rollback(Decision),
    /// Show what that would do.
    PlanRollback(Decision),
    /// Trust the version that a held rollout left.
    Promote(Decision),
    /// Show what that would do.
    PlanPromote(Decision),
    /// Show what runs in an environment, or in all.
    Status(Option<EnvironmentName>),
    /// Open the approval request of a release.
    ReadyForProd(ReadyForProd),
    /// See how release requests stand, and do what follows.
    Review(Review),
    /// Finish or make safe what an earlier run left.
    Resume,
    /// There is nothing to do, and that is right.
    Nothing {
        /// Why.
        reason: String,
    },
}

/// A version for an environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deploy {
    /// Where.
    pub environment: EnvironmentName,
    /// What.
    pub version: Version,
    /// Its commit, where known.
    pub sha: Option<Sha>,
    /// The branch or tag, where known.
    pub git_ref: Option<String>,
    /// Who caused it, where known.
    pub actor: Option<String>,
}

/// A comment that asks for a release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadyForProd {
    /// Where it is to go.
    pub environment: EnvironmentName,
    /// The pull request.
    pub pull_request: u64,
    /// The comment.
    pub comment: u64,
}

/// Release requests that are to be looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Review {
    /// Where they are to go.
    pub environment: EnvironmentName,
    /// The issue; `None`: every open one.
    pub issue: Option<u64>,
    /// The comment that is to be answered, where there is one.
    pub comment: Option<u64>,
}

/// What a person decides of an environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// Where.
    pub environment: EnvironmentName,
    /// The version to go back to, where one is named.
    pub version: Option<Version>,
    /// Who decided, where known.
    pub actor: Option<String>,
}

/// What GitHub says of the run beside the event.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RunContext {
    /// `GITHUB_SHA`.
    pub sha: Option<Sha>,
    /// `GITHUB_REF`.
    pub target: Option<GitRef>,
    /// `GITHUB_ACTOR`.
    pub actor: Option<String>,
}

fn refuse(what: impl Into<String>, next: impl Into<String>) -> Failure {
    Failure::new(FailureKind::Request, what, "this workflow run").meaning("nothing was touched").next(next)
}

/// What `event` and `inputs` ask for.
///
/// # Errors
/// A refusal (kind `Request`): what is wrong and what to do instead.
pub fn derive(event: Option<&GithubEvent>, context: &RunContext, inputs: &Inputs, config: &Config) -> Result<Request, Failure> {
    match inputs.command {
        Command::Auto => automatic(event, context, inputs, config),
        Command::Deploy => deploy(explicit(event, context, inputs, config)?, inputs),
        Command::Plan => Ok(Request::Plan(explicit(event, context, inputs, config)?)),
        Command::Status => {
            inputs.environment.as_ref().map(|name| find(name, config)).transpose()?;
            Ok(Request::Status(inputs.environment.clone()))
        }
        Command::Resume => {
            inputs.environment.as_ref().map(|name| find(name, config)).transpose()?;
            Ok(Request::Resume)
        }
        Command::Rollback => {
            let decision = decision(event, context, inputs, config)?;
            let has_shares = config.environments.get(&decision.environment).is_some_and(|environment| environment.canary.is_some());
            if inputs.strategy == Some(RollbackStrategy::Staged) && !has_shares {
                return Err(refuse(
                    format!("a staged rollback goes by shares, and {} has none: it is switched at once", decision.environment),
                    "leave the input `strategy` out, or set it to `instant`",
                ));
            }
            Ok(match inputs.dry_run {
                DryRun::Yes => Request::PlanRollback(decision),
                DryRun::No => Request::Rollback(decision),
            })
        }
        Command::Promote => {
            let decision = decision(event, context, inputs, config)?;
            Ok(match inputs.dry_run {
                DryRun::Yes => Request::PlanPromote(decision),
                DryRun::No => Request::Promote(decision),
            })
        }
        Command::Preflight => preflight(explicit(event, context, inputs, config)?, config),
        Command::ReadyForProd => match event {
            Some(GithubEvent::Comment(comment)) => commented(comment, inputs, config),
            Some(_) | None => Err(refuse(
                "`ready-for-prod` is asked for by a comment on the merged pull request, and this run is of none",
                "trigger the workflow by issue_comment, and comment /ready-for-prod on the pull request",
            )),
        },
        Command::Approve => match event {
            Some(GithubEvent::Comment(comment)) => commented(comment, inputs, config),
            Some(_) | None => {
                Ok(Request::Review(Review { environment: approved_environment(inputs, config)?, issue: None, comment: None }))
            }
        },
        Command::Diagnose => Err(not_here(inputs.command.word())),
        Command::Replay | Command::Report | Command::Schema | Command::Validate | Command::Completions => {
            Err(refuse(format!("`{}` is for a terminal", inputs.command.word()), "run it there: deploy-action --help"))
        }
    }
}

/// The checklist of an environment that has one.
fn preflight(deploy: Deploy, config: &Config) -> Result<Request, Failure> {
    let environment = config.environments.get(&deploy.environment);
    match environment.and_then(|environment| environment.canary.as_ref()) {
        Some(canary) if canary.preflight.is_some() => Ok(Request::Preflight(deploy)),
        Some(_) => Err(refuse(format!("`preflight` of {} is off in deploy.yml", deploy.environment), "take `preflight: off` out")),
        None => Err(refuse(
            format!("{} has no checklist: only environments with `strategy: canary` have one", deploy.environment),
            "name such an environment, or leave the command out",
        )),
    }
}

/// A decision about the environment that the input names.
fn decision(event: Option<&GithubEvent>, context: &RunContext, inputs: &Inputs, config: &Config) -> Result<Decision, Failure> {
    let command = inputs.command.word();
    let Some(name) = &inputs.environment else {
        return Err(refuse(format!("`{command}` does not say of which environment"), "set the input `environment`"));
    };
    let environment = find(name, config)?;
    match environment.strategy {
        Strategy::BlueGreen | Strategy::Canary => {}
        Strategy::Direct => {
            return Err(refuse(
                format!(
                    "`{command}` of {name} (strategy {}) is not carried out by this version of deploy-action",
                    environment.strategy.as_str()
                ),
                "deploy the version to go back to: command: deploy, with the inputs environment and version; or go by the runbook",
            ));
        }
    }
    let actor = match event {
        Some(GithubEvent::Dispatch(dispatch)) => dispatch.actor.clone(),
        Some(_) | None => None,
    };
    Ok(Decision { environment: name.clone(), version: inputs.version.clone(), actor: actor.or_else(|| context.actor.clone()) })
}

fn not_here(command: &str) -> Failure {
    refuse(
        format!("`{command}` is not carried out by this version of deploy-action"),
        "do it by hand as the runbook says, or use a version of deploy-action that has this command",
    )
}

/// `dry-run: true` turns a deployment into its plan.
fn deploy(deploy: Deploy, inputs: &Inputs) -> Result<Request, Failure> {
    Ok(match inputs.dry_run {
        DryRun::Yes => Request::Plan(deploy),
        DryRun::No => Request::Deploy(deploy),
    })
}

fn automatic(event: Option<&GithubEvent>, context: &RunContext, inputs: &Inputs, config: &Config) -> Result<Request, Failure> {
    let Some(event) = event else {
        return Err(refuse(
            "there is no GitHub event, so nothing says what to do",
            "name a command: deploy-action plan dev --version develop-a1b2c3d",
        ));
    };
    match event {
        GithubEvent::Push(push) => pushed(push, inputs, config),
        GithubEvent::Dispatch(dispatch) => dispatched(dispatch, context, inputs, config),
        GithubEvent::Comment(comment) => commented(comment, inputs, config),
        GithubEvent::Schedule => Ok(Request::Resume),
        GithubEvent::Release { tag, .. } => Err(refuse(
            format!("a release is not a trigger: the push of its tag {} already is", shown(tag)),
            "trigger the workflow by `on: push: tags`, or set `command: deploy`",
        )),
        GithubEvent::PullRequest { number, .. } => Err(refuse(
            format!("pull request #{number} is not merged code, and deploying it would run it with this repository's secrets"),
            "trigger the workflow by `on: push` of the branch that it is merged to",
        )),
        GithubEvent::MergeGroup => Err(refuse(
            "the merge queue's branches are not deployed: they may still be thrown away",
            "trigger the workflow by `on: push` of the branch that the queue merges to",
        )),
        GithubEvent::Other(name) => Err(refuse(
            format!("the event {} deploys nothing by itself", shown(name)),
            "trigger the workflow by push, workflow_dispatch, issue_comment or schedule, or name a `command`",
        )),
    }
}

fn shown(text: &str) -> String {
    crate::domain::NotA::new(text, "").given
}

fn pushed(push: &Push, inputs: &Inputs, config: &Config) -> Result<Request, Failure> {
    let (kind, name) = kind(&push.target);
    let Some(sha) = &push.after else {
        return Ok(Request::Nothing {
            reason: format!("{kind} {} was deleted, which deploys nothing; what it deployed runs on", shown(name)),
        });
    };
    let matching: Vec<&Environment> = config.environments.values().filter(|environment| matches(environment, &push.target)).collect();
    let environment = match (matching.as_slice(), &inputs.environment) {
        (_, Some(name)) => find(name, config)?,
        ([one], None) => *one,
        ([], None) => return Err(nowhere(kind, name, config)),
        (several, None) => {
            let names: Vec<&str> = several.iter().map(|environment| environment.name.as_str()).collect();
            return Err(refuse(
                format!("{kind} {} belongs to several environments: {}", shown(name), names.join(", ")),
                "make their `when` patterns exclude each other, or set the input `environment`",
            ));
        }
    };
    deploy(wanted(environment, Some(&push.target), Some(sha), push.actor.clone(), inputs)?, inputs)
}

fn kind(target: &GitRef) -> (&'static str, &str) {
    match target {
        GitRef::Branch(name) => ("branch", name),
        GitRef::Tag(name) => ("tag", name),
    }
}

fn matches(environment: &Environment, target: &GitRef) -> bool {
    let (pattern, name) = match target {
        GitRef::Branch(name) => (&environment.when.branch, name),
        GitRef::Tag(name) => (&environment.when.tag, name),
    };
    pattern.as_ref().is_some_and(|pattern| config::matches(pattern, name))
}

fn nowhere(kind: &str, name: &str, config: &Config) -> Failure {
    let configured: Vec<String> = config
        .environments
        .values()
        .flat_map(|environment| {
            let of =
                |kind: &str, pattern: &Option<String>| pattern.as_ref().map(|pattern| format!("{} by {kind} {pattern}", environment.name));
            [of("branch", &environment.when.branch), of("tag", &environment.when.tag)]
        })
        .flatten()
        .collect();
    refuse(
        format!(
            "{kind} {} deploys no environment; configured: {}",
            shown(name),
            if configured.is_empty() { "none".into() } else { configured.join(", ") }
        ),
        "narrow the workflow's `on: push` to what is configured, or add the branch or tag to an environment's `when`",
    )
}

/// DESIGN: a dispatch with the input `command`, or with `environment` alone, which is the runbook's manual rollback.
fn dispatched(dispatch: &Dispatch, context: &RunContext, inputs: &Inputs, config: &Config) -> Result<Request, Failure> {
    let given = |name: &str| dispatch.inputs.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
    let bad = |name: &str, error: &dyn std::fmt::Display| {
        refuse(format!("the workflow's input `{name}`: {error}"), format!("correct `{name}` and start it again"))
    };
    let mut inputs = inputs.clone();
    if let Some(text) = given("environment") {
        inputs.environment = Some(text.parse().map_err(|error| bad("environment", &error))?);
    }
    if let Some(text) = given("version") {
        inputs.version = Some(text.parse().map_err(|error| bad("version", &error))?);
    }
    inputs.command = match given("command") {
        Some(word) => {
            let known = crate::cli::COMMANDS.iter().find(|(_, known, _)| *known == word && *known != "auto");
            known.map(|(command, ..)| *command).ok_or_else(|| bad("command", &format!("`{}` is no command", shown(word))))?
        }
        None if inputs.environment.is_some() => Command::Rollback,
        None => {
            return Err(refuse(
                "a dispatch without the inputs `command` and `environment` does not say what to do",
                "start it with -f environment=NAME (rollback), or -f command=deploy -f environment=NAME",
            ));
        }
    };
    derive(Some(&GithubEvent::Dispatch(dispatch.clone())), context, &inputs, config)
}

/// Comments that are commands; anything else people write is none of our business. What was edited or deleted may have counted:
/// how its issue stands is derived anew.
fn commented(comment: &Comment, inputs: &Inputs, config: &Config) -> Result<Request, Failure> {
    let nothing = |reason: &str| Ok(Request::Nothing { reason: reason.to_owned() });
    let is_to_ask = |body: &str| body.split_whitespace().next() == Some("/ready-for-prod");
    let spoken = |body: &str| command::read(body) != Spoken::Nothing;
    match (comment.action.as_str(), comment.on, comment.id) {
        ("created", CommentedOn::PullRequest, Some(id)) if spoken(&comment.body) && is_to_ask(&comment.body) => {
            let environment = approved_environment(inputs, config)?;
            Ok(Request::ReadyForProd(ReadyForProd { environment, pull_request: comment.number, comment: id }))
        }
        ("created", CommentedOn::Issue, Some(id)) if spoken(&comment.body) && !is_to_ask(&comment.body) => Ok(Request::Review(Review {
            environment: approved_environment(inputs, config)?,
            issue: Some(comment.number),
            comment: Some(id),
        })),
        ("created", ..) if spoken(&comment.body) => {
            nothing("/ready-for-prod belongs on a pull request, the other commands on a release issue")
        }
        ("edited" | "deleted", CommentedOn::Issue, _) if spoken(&comment.body) || comment.body_before.as_deref().is_some_and(spoken) => {
            Ok(Request::Review(Review { environment: approved_environment(inputs, config)?, issue: Some(comment.number), comment: None }))
        }
        ("edited", CommentedOn::Issue, _) if comment.body_before.is_none() => {
            Ok(Request::Review(Review { environment: approved_environment(inputs, config)?, issue: Some(comment.number), comment: None }))
        }
        _ => nothing("the comment is no command"),
    }
}

/// The environment whose releases people approve: the one that is named, else the only one that asks for approvals.
fn approved_environment(inputs: &Inputs, config: &Config) -> Result<EnvironmentName, Failure> {
    if let Some(name) = &inputs.environment {
        return find(name, config).map(|environment| environment.name.clone());
    }
    let asks = |environment: &&Environment| {
        let preflight = environment.canary.as_ref().and_then(|canary| canary.preflight.as_ref());
        preflight.is_some_and(|preflight| preflight.approvals.is_some())
    };
    let found: Vec<&Environment> = config.environments.values().filter(asks).collect();
    match found.as_slice() {
        [one] => Ok(one.name.clone()),
        [] => Err(refuse("no environment asks for approvals", "configure `preflight.approvals` of an environment with `strategy: canary`")),
        several => {
            let names: Vec<&str> = several.iter().map(|environment| environment.name.as_str()).collect();
            Err(refuse(format!("several environments ask for approvals: {}", names.join(", ")), "set the input `environment`"))
        }
    }
}

/// A deployment that was named: by input, or by what the run is of.
fn explicit(event: Option<&GithubEvent>, context: &RunContext, inputs: &Inputs, config: &Config) -> Result<Deploy, Failure> {
    let (target, sha, actor) = match event {
        Some(GithubEvent::Push(push)) => (Some(&push.target), push.after.as_ref(), push.actor.clone()),
        Some(GithubEvent::Dispatch(dispatch)) => {
            (dispatch.target.as_ref().or(context.target.as_ref()), context.sha.as_ref(), dispatch.actor.clone())
        }
        Some(_) | None => (context.target.as_ref(), context.sha.as_ref(), None),
    };
    let environment = match &inputs.environment {
        Some(name) => find(name, config)?,
        None => {
            let matching: Vec<&Environment> =
                config.environments.values().filter(|environment| target.is_some_and(|target| matches(environment, target))).collect();
            match (matching.as_slice(), config.environments.len()) {
                ([one], _) => *one,
                ([], 1) => config.environments.values().next().ok_or_else(|| refuse("no environment is configured", "configure one"))?,
                _ => {
                    let names: Vec<&str> = config.environments.keys().map(EnvironmentName::as_str).collect();
                    return Err(refuse(format!("which environment? There are {}", names.join(", ")), "set the input `environment`"));
                }
            }
        }
    };
    wanted(environment, target, sha, actor.or_else(|| context.actor.clone()), inputs)
}

fn find<'a>(name: &EnvironmentName, config: &'a Config) -> Result<&'a Environment, Failure> {
    config.environments.get(name).ok_or_else(|| {
        let names: Vec<&str> = config.environments.keys().map(EnvironmentName::as_str).collect();
        let hint = config::nearest(name.as_str(), names.iter().copied())
            .map_or_else(|| ".".to_owned(), |nearest| format!("; did you mean `{nearest}`?"));
        refuse(format!("there is no environment `{name}`{hint} Configured: {}", names.join(", ")), "correct the input `environment`")
    })
}

/// The version: as given, else the environment's `tag` with its placeholders filled in.
fn wanted(
    environment: &Environment,
    target: Option<&GitRef>,
    sha: Option<&Sha>,
    actor: Option<String>,
    inputs: &Inputs,
) -> Result<Deploy, Failure> {
    let version = match &inputs.version {
        Some(version) => version.clone(),
        None => fill(environment, target, sha)?,
    };
    // The commit is known only for the version that it belongs to.
    let sha = if inputs.version.is_some() { None } else { sha.cloned() };
    if environment.strategy == Strategy::Canary
        && let Some(GitRef::Tag(tag)) = target
        && inputs.version.is_none()
        && tag.parse::<ReleaseVersion>().is_err()
    {
        return Err(refuse(
            format!("tag {} is no release version such as v1.2.3", shown(tag)),
            "push a tag of the form vMAJOR.MINOR.PATCH, or narrow the environment's `when: { tag: … }`",
        ));
    }
    let git_ref = target.map(|target| kind(target).1.to_owned());
    Ok(Deploy { environment: environment.name.clone(), version, sha, git_ref, actor })
}

fn fill(environment: &Environment, target: Option<&GitRef>, sha: Option<&Sha>) -> Result<Version, Failure> {
    let template = environment.tag.as_str();
    let lacking = |placeholder: &str, what: &str| {
        refuse(
            format!("the tag of {} is `{template}`, and there is no {what} to put in for {placeholder}", environment.name),
            "set the input `version` to the image tag",
        )
    };
    let mut filled = template.to_owned();
    if template.contains("{sha}") {
        filled = filled.replace("{sha}", sha.ok_or_else(|| lacking("{sha}", "commit"))?.short());
    }
    if template.contains("{version}") {
        let Some(GitRef::Tag(tag)) = target else { return Err(lacking("{version}", "git tag")) };
        filled = filled.replace("{version}", tag);
    }
    if template.contains("{branch}") {
        let Some(GitRef::Branch(branch)) = target else { return Err(lacking("{branch}", "branch")) };
        let safe: String = branch.chars().map(|c| if c.is_ascii_alphanumeric() || matches!(c, '.' | '_') { c } else { '-' }).collect();
        filled = filled.replace("{branch}", &safe);
    }
    filled.parse().map_err(|error| {
        refuse(format!("the tag of {} comes out as no image tag: {error}", environment.name), "set the input `version`, or change `tag`")
    })
}
