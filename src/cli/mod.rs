//! The command line: commands, and inputs from flags, `INPUT_*` and environment variables, typed.
//! Reads what it is given; touches no file and no network.

/// The table of inputs.
pub mod inputs;
mod secrets;

use std::{collections::BTreeMap, ffi::OsString, path::PathBuf};

use clap::{Arg, ArgAction, ArgMatches, Command as Clap, builder::PossibleValuesParser};
use inputs::{INPUTS, Input, Secrecy, Spelling};
use url::Url;

use crate::{
    azure::Login,
    config,
    domain::{EnvironmentName, Masks, Secret, Version},
    failure::{Failure, FailureKind},
};

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    /// Picked from the event.
    Auto,
    /// Deploy.
    Deploy,
    /// Go back.
    Rollback,
    /// Continue a held rollout.
    Promote,
    /// Open the approval request.
    ReadyForProd,
    /// Record an approval.
    Approve,
    /// The checklist alone.
    Preflight,
    /// Show what a deployment would do.
    Plan,
    /// Show what runs where.
    Status,
    /// Find out what is wrong.
    Diagnose,
    /// Derive verdicts again from evidence.
    Replay,
    /// Make the HTML page of evidence.
    Report,
    /// Print the configuration's JSON Schema.
    Schema,
    /// Check a configuration.
    Validate,
    /// Finish or make safe what an earlier run left.
    Resume,
    /// Print a shell's completions.
    Completions,
}

/// How a rollback goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RollbackStrategy {
    /// At once.
    Instant,
    /// By rising shares.
    Staged,
}

/// Every command, its word, and what it does.
pub const COMMANDS: [(Command, &str, &str); 16] = [
    (Command::Auto, "auto", "Pick the command from GitHub's event (default)"),
    (Command::Deploy, "deploy", "Deploy a version to an environment"),
    (Command::Rollback, "rollback", "Go back to the version before"),
    (Command::Promote, "promote", "Continue a rollout that is held"),
    (Command::ReadyForProd, "ready-for-prod", "Open the approval request for production"),
    (Command::Approve, "approve", "Record an approval"),
    (Command::Preflight, "preflight", "Go through the pre-deployment checklist"),
    (Command::Plan, "plan", "Show, step by step, what a deployment would do; changes nothing"),
    (Command::Status, "status", "Show what runs where"),
    (Command::Diagnose, "diagnose", "Find out what is wrong in an environment"),
    (Command::Replay, "replay", "Check an evidence file's chain and derive its verdicts again"),
    (Command::Report, "report", "Make the HTML page of a release from its evidence file, beside it"),
    (Command::Schema, "schema", "Print the JSON Schema of deploy.yml (or of the evidence: `schema evidence`)"),
    (Command::Validate, "validate", "Check a deploy.yml and show what it says"),
    (Command::Resume, "resume", "Finish or make safe what an earlier run left"),
    (Command::Completions, "completions", "Print completions for a shell"),
];

impl Command {
    /// Its word.
    #[must_use]
    pub fn word(self) -> &'static str {
        COMMANDS.iter().find(|(command, ..)| *command == self).map_or("auto", |(_, word, _)| word)
    }
}

/// Whether the run may change anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DryRun {
    /// It only shows the plan.
    Yes,
    /// It carries it out.
    No,
}

/// Which of a step's processes this is (GitHub Docs, "Metadata syntax": `runs.post-entrypoint`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Process {
    /// The step itself, or a terminal's command.
    Main,
    /// The one after the job's steps, which knows what the main one left in `GITHUB_STATE`.
    Post,
}

/// How `plan` and `status` print.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// For people.
    Text,
    /// For programs.
    Json,
}

/// When to use colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Color {
    /// Where they can be seen.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// Everything that was asked for, typed. A value that is empty counts as not given.
#[derive(Debug, Clone)]
pub struct Inputs {
    /// What to do.
    pub command: Command,
    /// Who does it.
    pub process: Process,
    /// `environment`.
    pub environment: Option<EnvironmentName>,
    /// `version`.
    pub version: Option<Version>,
    /// `strategy`.
    pub strategy: Option<RollbackStrategy>,
    /// `config`.
    pub config: PathBuf,
    /// `dry-run`.
    pub dry_run: DryRun,
    /// `github-token`.
    pub github_token: Option<Secret>,
    /// Azure's, where all that is needed was given; otherwise what is missing.
    pub azure: AzureInputs,
    /// `registry-username` and `registry-password`.
    pub registry: Option<(String, Secret)>,
    /// `container-secrets`.
    pub container_secrets: BTreeMap<String, Secret>,
    /// `slack-webhook-url`.
    pub slack_webhook: Option<Secret>,
    /// `slack-bot-token`.
    pub slack_token: Option<Secret>,
    /// `slack-api-url`.
    pub slack_api: Url,
    /// `pagerduty-routing-key`.
    pub pagerduty_key: Option<Secret>,
    /// `pagerduty-events-url`.
    pub pagerduty_events: Url,
    /// `status-page-token`.
    pub status_page_token: Option<Secret>,
    /// `status-page-url`.
    pub status_page: Url,
    /// `prometheus-token`.
    pub prometheus_token: Option<Secret>,
    /// The address of the database that rules and checks ask; not read yet, where nothing asks it may be any.
    pub database_url: Option<Secret>,
    /// `output-format`.
    pub format: Format,
    /// `color`.
    pub color: Color,
    /// `evidence`.
    pub evidence: Option<PathBuf>,
    /// The words after a command that takes some: a shell, a file.
    pub words: Vec<String>,
    /// All secrets among the inputs.
    pub masks: Masks,
    /// Secrets too short to be masked, by name.
    pub unmaskable: Vec<String>,
}

/// What was given for Azure.
#[derive(Debug, Clone)]
pub struct AzureInputs {
    /// `azure-client-id`.
    pub client: Option<String>,
    /// `azure-tenant-id`.
    pub tenant: Option<String>,
    /// `azure-subscription-id`.
    pub subscription: Option<String>,
    /// `azure-client-secret`.
    pub secret: Option<Secret>,
    /// `azure-access-token`.
    pub token: Option<Secret>,
    /// `ACTIONS_ID_TOKEN_REQUEST_URL` and `…_TOKEN`.
    pub oidc: Option<(Url, Secret)>,
    /// `azure-authority-host`.
    pub authority_host: Url,
    /// `azure-resource-manager`.
    pub resource_manager: Url,
}

impl AzureInputs {
    /// The subscription and the way to log in: a token from outside, else a client secret, else GitHub's OIDC.
    ///
    /// # Errors
    /// What is missing and how to give it (kind `Request`).
    pub fn login(&self) -> Result<(String, Login), Failure> {
        let missing = |name: &str| {
            Failure::new(FailureKind::Request, format!("the input {name} is missing"), "Azure")
                .meaning("nothing was touched")
                .next(format!("give it in the step's `with:`, e.g. {name}: ${{{{ vars.{} }}}}", name.to_uppercase().replace('-', "_")))
        };
        let subscription = self.subscription.clone().ok_or_else(|| missing("azure-subscription-id"))?;
        if let Some(token) = &self.token {
            return Ok((subscription, Login::Token(token.clone())));
        }
        let client = self.client.clone().ok_or_else(|| missing("azure-client-id"))?;
        let tenant = self.tenant.clone().ok_or_else(|| missing("azure-tenant-id"))?;
        if let Some(secret) = &self.secret {
            return Ok((subscription, Login::ClientSecret { tenant, client, secret: secret.clone() }));
        }
        match &self.oidc {
            Some((request_url, request_token)) => {
                let (request_url, request_token) = (request_url.clone(), request_token.clone());
                Ok((subscription, Login::Federated { tenant, client, request_url, request_token }))
            }
            None => Err(Failure::new(
                FailureKind::Request,
                "there is no way to log in to Azure: no GitHub OIDC token, no azure-client-secret",
                "Azure",
            )
            .meaning("nothing was touched")
            .next("give the job `permissions: id-token: write` (recommended: no secret to keep)")
            .next("or give the input azure-client-secret")),
        }
    }
}

/// What the command line came to.
#[derive(Debug)]
pub enum Parsed {
    /// Carry it out.
    Run(Box<Inputs>),
    /// Text to print, and that was all (`--help`, `--version`).
    Print(String),
}

/// The command line as clap knows it; also what completions are made from.
#[must_use]
pub fn command_line() -> Clap {
    let mut clap = Clap::new("deploy-action")
        .version(env!("CARGO_PKG_VERSION"))
        .about("Carries out a deployment runbook on Azure Container Instances behind Azure Traffic Manager")
        .after_help(
            "Every option can also be given as INPUT_NAME (as GitHub's runner does) or DEPLOY_ACTION_NAME in the environment.\n\
             Give secrets that way: a command line can be read by others.\n\n\
             Exit status: 0 done; 1 not deployed and safe; 2 the request or the configuration is wrong, nothing was touched; \
             3 a person must look.",
        )
        .disable_help_subcommand(true)
        // `--version` alone prints the program's; with a value it is the input of that name.
        .disable_version_flag(true)
        .subcommand_required(false);
    for input in &INPUTS {
        if input.name != "command" {
            clap = clap.arg(arg(input));
        }
    }
    for (command, word, about) in COMMANDS {
        let mut sub = Clap::new(word).about(about);
        sub = match command {
            Command::Completions => {
                sub.arg(Arg::new("words").value_name("SHELL").required(true).value_parser(PossibleValuesParser::new(SHELLS)))
            }
            Command::Replay | Command::Report => sub.arg(Arg::new("words").value_name("FILE").required(true)),
            Command::Schema => {
                sub.arg(Arg::new("words").value_name("WHAT").value_parser(PossibleValuesParser::new(["config", "evidence"])))
            }
            Command::Diagnose | Command::Status | Command::Plan | Command::Deploy | Command::Rollback | Command::Preflight => {
                sub.arg(Arg::new("words").value_name("ENVIRONMENT").help("The environment (as --environment)"))
            }
            Command::Validate => sub.arg(Arg::new("words").value_name("FILE").help("The file (as --config)")),
            Command::Auto | Command::Promote | Command::ReadyForProd | Command::Approve | Command::Resume => sub,
        };
        clap = clap.subcommand(sub);
    }
    clap
}

const SHELLS: [&str; 5] = ["bash", "elvish", "fish", "powershell", "zsh"];

/// What `--version` without a value stands for; no image tag can be this.
const PRINT_VERSION: &str = "?";

fn arg(input: &'static Input) -> Arg {
    let help = match (input.secrecy, input.default) {
        (Secrecy::Secret, _) => format!("{} (secret: rather in the environment)", input.help),
        (Secrecy::Open, "") => input.help.to_owned(),
        (Secrecy::Open, default) => format!("{} [default: {default}]", input.help),
    };
    let arg =
        Arg::new(input.name).long(input.name).help(help).global(true).action(ArgAction::Set).value_name("VALUE").allow_hyphen_values(true);
    match input.name {
        // `--dry-run` alone reads naturally.
        "dry-run" => arg.num_args(0..=1).default_missing_value("true").require_equals(true),
        "version" => arg
            .num_args(0..=1)
            .default_missing_value(PRINT_VERSION)
            .help(format!("{} Without a value: print deploy-action's own version", input.help)),
        _ => arg,
    }
}

/// Where a value came from, for errors in the user's own spelling.
struct Given {
    value: String,
    spelled: String,
}

struct Source<'a> {
    matches: &'a ArgMatches,
    env: &'a dyn Fn(&str) -> Option<String>,
}

impl Source<'_> {
    fn given(&self, name: &str) -> Option<Given> {
        let input = inputs::input(name)?;
        let deepest = self.matches.subcommand().map_or(self.matches, |(_, matches)| matches);
        let flag = deepest.try_get_one::<String>(name).ok().flatten().or_else(|| self.matches.try_get_one::<String>(name).ok().flatten());
        let from = |spelling: Spelling| {
            let spelled = input.spelled(spelling)?;
            let value = match spelling {
                Spelling::Flag => flag.cloned(),
                Spelling::Runner | Spelling::Own | Spelling::Customary => (self.env)(&spelled),
            };
            value.filter(|value| !value.trim().is_empty()).map(|value| Given { value, spelled })
        };
        [Spelling::Flag, Spelling::Runner, Spelling::Own, Spelling::Customary].into_iter().find_map(from)
    }

    /// A text on one line.
    fn text(&self, name: &str) -> Result<Option<Given>, Failure> {
        let Some(given) = self.given(name) else { return Ok(None) };
        if let Some(c) = given.value.trim().chars().find(|c| c.is_control()) {
            return Err(wrong(&given.spelled, &format!("it holds a control character ({})", c.escape_default())));
        }
        if given.value.trim_start().starts_with("::") {
            return Err(wrong(&given.spelled, "it begins with `::`, which GitHub's runner takes for a command"));
        }
        Ok(Some(Given { value: given.value.trim().to_owned(), ..given }))
    }

    fn value(&self, name: &str) -> Result<Option<String>, Failure> {
        Ok(self.text(name)?.map(|given| given.value))
    }

    fn parsed<T: std::str::FromStr>(&self, name: &str) -> Result<Option<T>, Failure>
    where
        T::Err: std::fmt::Display,
    {
        self.text(name)?.map(|given| given.value.parse().map_err(|error| wrong(&given.spelled, &format!("{error}")))).transpose()
    }

    fn secret(&self, name: &str) -> Option<Secret> {
        self.given(name).map(|given| Secret::new(given.value))
    }

    fn one_line_secret(&self, name: &str) -> Result<Option<Secret>, Failure> {
        let Some(given) = self.given(name) else { return Ok(None) };
        let value = given.value.trim();
        if value.chars().any(char::is_control) {
            return Err(wrong(&given.spelled, "it holds a line break or another control character in its middle"));
        }
        Ok(Some(Secret::new(value.to_owned())))
    }

    fn url(&self, name: &str) -> Result<Url, Failure> {
        let default = inputs::input(name).map_or("", |input| input.default);
        let given = self.text(name)?.unwrap_or_else(|| Given { value: default.to_owned(), spelled: name.to_owned() });
        let url = Url::parse(&given.value).ok();
        // Not shown: whoever writes a password there did not mean it to be read in a log.
        if url.as_ref().is_some_and(|url| !url.username().is_empty() || url.password().is_some()) {
            return Err(wrong(&given.spelled, "it is a URL with a user name or password in it, which has no place there"));
        }
        let good = url.filter(|url| url.scheme() == "https" && url.host().is_some());
        good.ok_or_else(|| wrong(&given.spelled, &format!("{} is no https URL", crate::domain::NotA::new(&given.value, "").given)))
    }

    fn choice<T: Copy>(&self, name: &str, choices: &[(&str, T)]) -> Result<Option<T>, Failure> {
        let Some(given) = self.text(name)? else { return Ok(None) };
        if let Some((_, choice)) = choices.iter().find(|(word, _)| *word == given.value) {
            return Ok(Some(*choice));
        }
        let words: Vec<&str> = choices.iter().map(|(word, _)| *word).collect();
        let hint =
            config::nearest(&given.value, words.iter().copied()).map_or_else(String::new, |nearest| format!("; did you mean `{nearest}`?"));
        let shown = crate::domain::NotA::new(&given.value, "").given;
        Err(wrong(&given.spelled, &format!("`{shown}` is not one of {}{hint}", words.join(", "))))
    }
}

fn wrong(spelled: &str, message: &str) -> Failure {
    Failure::new(FailureKind::Request, format!("{spelled}: {message}"), "inputs")
        .meaning("nothing was touched")
        .next(format!("correct {spelled}"))
}

/// Reads the command line `args` (with the program's name) and the environment.
///
/// # Errors
/// One clear message in the spelling that the user used (kind `Request`, exit status 2).
pub fn parse(args: impl IntoIterator<Item = OsString>, env: &dyn Fn(&str) -> Option<String>) -> Result<Parsed, Failure> {
    let args: Vec<OsString> = args.into_iter().collect();
    // The image carries the binary under a second name for the step after the job's (action.yml, `post-entrypoint`).
    let process = match args.first() {
        Some(name) if name.to_string_lossy().ends_with("-resume") => Process::Post,
        Some(_) | None => Process::Main,
    };
    let matches = match command_line().try_get_matches_from(args) {
        Ok(matches) => matches,
        Err(error) if !error.use_stderr() => return Ok(Parsed::Print(error.render().ansi().to_string())),
        Err(error) => {
            let text = error.render().to_string();
            let text = text.trim_start_matches("error: ").trim_end();
            return Err(Failure::new(FailureKind::Request, text, "command line")
                .meaning("nothing was touched")
                .next("see deploy-action --help"));
        }
    };
    if matches.try_get_one::<String>("version").ok().flatten().is_some_and(|value| value == PRINT_VERSION) {
        return Ok(Parsed::Print(format!("deploy-action {}\n", env!("CARGO_PKG_VERSION"))));
    }
    let source = Source { matches: &matches, env };
    let words: Vec<(&str, Command)> = COMMANDS.iter().map(|(command, word, _)| (*word, *command)).collect();
    let command = match matches.subcommand_name() {
        _ if process == Process::Post => Command::Resume,
        Some(word) => words.iter().find(|(known, _)| *known == word).map_or(Command::Auto, |(_, command)| *command),
        None => source.choice("command", &words)?.unwrap_or(Command::Auto),
    };
    let positional = matches.subcommand().and_then(|(_, sub)| sub.try_get_one::<String>("words").ok().flatten()).cloned();
    typed(&source, command, process, positional).map(|inputs| Parsed::Run(Box::new(inputs)))
}

fn typed(source: &Source<'_>, command: Command, process: Process, positional: Option<String>) -> Result<Inputs, Failure> {
    let names_environment =
        matches!(command, Command::Diagnose | Command::Status | Command::Plan | Command::Deploy | Command::Rollback | Command::Preflight);
    let mut environment = source.parsed("environment")?;
    if let Some(word) = positional.as_ref().filter(|_| names_environment) {
        environment = Some(word.parse().map_err(|error| wrong("ENVIRONMENT", &format!("{error}")))?);
    }
    let config = match &positional {
        Some(file) if command == Command::Validate => file.clone(),
        _ => source.value("config")?.unwrap_or_else(|| ".github/deploy.yml".to_owned()),
    };
    let container_secrets = match source.given("container-secrets") {
        Some(given) => secrets::parse(&given.value).map_err(|message| wrong(&given.spelled, &message))?,
        None => BTreeMap::new(),
    };
    let github_token = source.one_line_secret("github-token")?;
    let registry = match (source.text("registry-username")?, source.one_line_secret("registry-password")?) {
        (Some(user), Some(password)) => Some((user.value, password)),
        (None, None) => None,
        (Some(user), None) => return Err(wrong(&user.spelled, "it is given without registry-password, which belongs to it")),
        (None, Some(_)) => {
            let spelled = source.given("registry-password").map_or_else(String::new, |given| given.spelled);
            return Err(wrong(&spelled, "it is given without registry-username, which belongs to it"));
        }
    };
    let azure = azure(source)?;
    let (slack_webhook, slack_token) = (source.one_line_secret("slack-webhook-url")?, source.one_line_secret("slack-bot-token")?);
    if let Some(webhook) = &slack_webhook
        && !Url::parse(webhook.expose()).is_ok_and(|url| url.scheme() == "https")
    {
        return Err(wrong("slack-webhook-url", "it is no https URL"));
    }
    let (pagerduty_key, status_page_token) =
        (source.one_line_secret("pagerduty-routing-key")?, source.one_line_secret("status-page-token")?);
    let database_url = source.secret("database-url");
    let database_passwords = database_url.iter().flat_map(crate::gate::passwords).map(|password| ("database-url".to_owned(), password));
    let prometheus_token = source.one_line_secret("prometheus-token")?;
    let mut named: Vec<(String, Secret)> = container_secrets.iter().map(|(name, secret)| (name.clone(), secret.clone())).collect();
    let known = [
        ("github-token", github_token.clone()),
        ("registry-password", registry.as_ref().map(|(_, password)| password.clone())),
        ("slack-webhook-url", slack_webhook.clone()),
        ("slack-bot-token", slack_token.clone()),
        ("pagerduty-routing-key", pagerduty_key.clone()),
        ("status-page-token", status_page_token.clone()),
        ("prometheus-token", prometheus_token.clone()),
        ("database-url", database_url.clone()),
        ("azure-client-secret", azure.secret.clone()),
        ("azure-access-token", azure.token.clone()),
        ("ACTIONS_ID_TOKEN_REQUEST_TOKEN", azure.oidc.as_ref().map(|(_, token)| token.clone())),
    ];
    named.extend(known.into_iter().filter_map(|(name, secret)| Some((name.to_owned(), secret?))));
    named.extend(database_passwords);
    let mut masks = Masks::default();
    named.iter().for_each(|(_, secret)| masks.add(secret));
    let unmaskable = named.iter().filter(|(_, secret)| secret.expose().trim().chars().count() < crate::domain::SHORTEST);
    let unmaskable = unmaskable.map(|(name, _)| name.clone()).collect();
    Ok(Inputs {
        command,
        process,
        environment,
        version: source.parsed("version")?,
        strategy: source.choice("strategy", &[("instant", RollbackStrategy::Instant), ("staged", RollbackStrategy::Staged)])?,
        config: PathBuf::from(config),
        dry_run: source.choice("dry-run", &[("true", DryRun::Yes), ("false", DryRun::No)])?.unwrap_or(DryRun::No),
        github_token,
        azure,
        registry,
        container_secrets,
        slack_webhook,
        slack_token,
        slack_api: source.url("slack-api-url")?,
        pagerduty_key,
        pagerduty_events: source.url("pagerduty-events-url")?,
        status_page_token,
        status_page: source.url("status-page-url")?,
        prometheus_token,
        database_url,
        format: source.choice("output-format", &[("text", Format::Text), ("json", Format::Json)])?.unwrap_or(Format::Text),
        color: source.choice("color", &[("auto", Color::Auto), ("always", Color::Always), ("never", Color::Never)])?.unwrap_or(Color::Auto),
        evidence: source.value("evidence")?.map(PathBuf::from),
        words: positional.into_iter().collect(),
        masks,
        unmaskable,
    })
}

fn azure(source: &Source<'_>) -> Result<AzureInputs, Failure> {
    let oidc_url = (source.env)("ACTIONS_ID_TOKEN_REQUEST_URL").and_then(|text| Url::parse(&text).ok());
    let oidc_token = (source.env)("ACTIONS_ID_TOKEN_REQUEST_TOKEN").filter(|token| !token.is_empty()).map(Secret::new);
    Ok(AzureInputs {
        client: source.value("azure-client-id")?,
        tenant: source.value("azure-tenant-id")?,
        subscription: source.value("azure-subscription-id")?,
        secret: source.one_line_secret("azure-client-secret")?,
        token: source.one_line_secret("azure-access-token")?,
        oidc: oidc_url.zip(oidc_token),
        authority_host: source.url("azure-authority-host")?,
        resource_manager: source.url("azure-resource-manager")?,
    })
}
