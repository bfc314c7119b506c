//! Starts the Action's binary as GitHub's runner starts a container action (actions/runner, ContainerActionHandler): with
//! only the environment that the runner gives, the event's file, and the files for outputs, state and summary.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, Instant},
};

use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, BufReader},
    process::{Child, Command},
};

use crate::{
    clocks::Clocks,
    github::{Begun, Conclusion},
    payload,
    shared::{REPOSITORY, RUN_ID, SHA, SHA_BEFORE, lock},
    world::World,
};

/// What is started.
#[derive(Debug, Clone)]
pub struct RunSpec {
    /// `GITHUB_EVENT_NAME`.
    pub event: String,
    /// The event's payload.
    pub payload: Value,
    /// `GITHUB_REF`.
    pub git_ref: String,
    /// The step's `with:`.
    pub inputs: BTreeMap<String, String>,
    /// Further environment variables.
    pub env: BTreeMap<String, String>,
    /// `.github/deploy.yml`.
    pub config: String,
    /// The command line.
    pub args: Vec<String>,
    /// The version that is in the registry already: the build job pushed it.
    pub version: String,
    /// `GITHUB_RUN_ID`.
    pub run_id: u64,
    /// `GITHUB_RUN_ATTEMPT`.
    pub attempt: u32,
}

/// The value of the secret that the sandbox's workflow gives to the container.
pub const DATABASE_URL: &str = "postgres://dev:s3cr3t-pa55@db-dev/dev_nextgen";

impl RunSpec {
    /// A push to `develop`, with the inputs that a workflow gives.
    #[must_use]
    pub fn push_develop(world: &World) -> Self {
        let urls = world.urls();
        let inputs = [
            ("command", "auto".to_owned()),
            ("config", ".github/deploy.yml".to_owned()),
            ("dry-run", "false".to_owned()),
            ("github-token", world.given("github-token")),
            ("azure-client-id", world.given("client-id")),
            ("azure-tenant-id", world.given("tenant")),
            ("azure-subscription-id", world.given("subscription")),
            ("azure-authority-host", urls.azure.clone()),
            ("azure-resource-manager", urls.azure.clone()),
            ("registry-username", world.given("registry-username")),
            ("registry-password", world.given("registry-password")),
            ("container-secrets", format!("DATABASE_URL={DATABASE_URL}\n")),
            ("slack-bot-token", world.given("slack-bot-token")),
            ("slack-api-url", urls.slack_api.clone()),
            ("pagerduty-routing-key", world.given("pagerduty-routing-key")),
            ("pagerduty-events-url", urls.pagerduty_events.clone()),
            ("status-page-token", world.given("status-page-token")),
            ("status-page-url", urls.status_page.clone()),
            // Inputs that the workflow leaves out arrive empty.
            ("environment", String::new()),
            ("version", String::new()),
            ("database-url", String::new()),
            ("azure-client-secret", String::new()),
            ("slack-webhook-url", String::new()),
        ];
        Self {
            event: "push".into(),
            payload: payload::push("refs/heads/develop", SHA, SHA_BEFORE),
            git_ref: "refs/heads/develop".into(),
            inputs: inputs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
            env: BTreeMap::new(),
            config: world.config(&Clocks::quick()),
            args: Vec::new(),
            version: version("develop", SHA),
            run_id: RUN_ID,
            attempt: 1,
        }
    }

    /// A push to `main`: a merged pull request, with the inputs that a workflow gives.
    #[must_use]
    pub fn push_main(world: &World) -> Self {
        let git_ref = "refs/heads/main";
        Self {
            payload: payload::push(git_ref, SHA, SHA_BEFORE),
            git_ref: git_ref.into(),
            version: version("main", SHA),
            ..Self::push_develop(world)
        }
    }

    /// A `workflow_dispatch` on `main` with these inputs of the event, e.g. `[("environment", "staging")]`. The step's own
    /// inputs of the same names stay empty: the Action reads the event's.
    #[must_use]
    pub fn dispatch(world: &World, inputs: &[(&str, &str)]) -> Self {
        Self {
            event: "workflow_dispatch".into(),
            payload: payload::dispatch("refs/heads/main", inputs),
            git_ref: "refs/heads/main".into(),
            version: String::new(),
            ..Self::push_develop(world)
        }
    }

    /// A comment as the event that it causes (`action`: `created`, `edited`, `deleted`), as the world has it now. Of one that the
    /// world does not know there is no event.
    #[must_use]
    pub fn comment(world: &World, action: &str, id: u64) -> Self {
        let found = lock(&world.shared().github).conversations.comment(id);
        let (number, body, by, is_pull) = found.unwrap_or_default();
        let on = if is_pull { payload::CommentedOn::PullRequest } else { payload::CommentedOn::Issue };
        Self {
            event: "issue_comment".into(),
            payload: payload::comment(action, on, number, id, &by, &body),
            git_ref: "refs/heads/main".into(),
            version: String::new(),
            ..Self::push_develop(world)
        }
    }

    /// The clock, which looks at every release request.
    #[must_use]
    pub fn schedule(world: &World) -> Self {
        Self {
            event: "schedule".into(),
            payload: payload::schedule(),
            git_ref: "refs/heads/main".into(),
            version: String::new(),
            ..Self::push_develop(world)
        }
        .with("command", "approve")
    }

    /// A push of the annotated tag `tag`, e.g. `v1.0.0`, on the head of `main`, with the inputs that a workflow gives. The version
    /// is the tag.
    #[must_use]
    pub fn push_tag(world: &World, tag: &str) -> Self {
        Self {
            payload: payload::push_tag(tag, SHA),
            git_ref: format!("refs/tags/{tag}"),
            version: tag.to_owned(),
            ..Self::push_develop(world)
        }
    }

    /// The same, for another commit of the same branch, or with the same tag on it.
    #[must_use]
    pub fn of_commit(mut self, sha: &str) -> Self {
        match self.git_ref.strip_prefix("refs/tags/") {
            Some(tag) => self.payload = payload::push_tag(tag, sha),
            None => {
                let branch = self.git_ref.rsplit('/').next().unwrap_or_default().to_owned();
                self.payload = payload::push(&self.git_ref, sha, SHA);
                self.version = version(&branch, sha);
            }
        }
        self
    }

    /// The commit that the run is for: `GITHUB_SHA`. Of an annotated tag `after` is the tag object.
    #[must_use]
    pub fn commit(&self) -> &str {
        let head = self.payload.pointer("/head_commit/id").or_else(|| self.payload.get("after"));
        head.and_then(Value::as_str).unwrap_or(SHA)
    }

    /// With a database to ask: the input `database-url`.
    #[must_use]
    pub fn with_database(self, url: &str) -> Self {
        self.with("database-url", url)
    }

    /// The same, in another workflow run.
    #[must_use]
    pub fn in_run(self, run_id: u64) -> Self {
        Self { run_id, ..self }
    }

    /// With this input.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.inputs.insert(name.to_owned(), value.to_owned());
        self
    }
}

/// What the build job tagged the image of a branch's commit with.
fn version(branch: &str, sha: &str) -> String {
    format!("{branch}-{}", sha.get(..7).unwrap_or_default())
}

/// How it ended, and what it left.
#[derive(Debug, Clone)]
pub struct Finished {
    /// The exit status; `None` when a signal ended it.
    pub code: Option<i32>,
    /// Everything it printed to standard output.
    pub stdout: String,
    /// Everything it printed to standard error.
    pub stderr: String,
    /// The step's outputs.
    pub outputs: BTreeMap<String, String>,
    /// The step's state.
    pub state: BTreeMap<String, String>,
    /// The job summary.
    pub summary: String,
    /// The lines of the evidence file.
    pub evidence: Vec<Value>,
    /// From start to end.
    pub duration: Duration,
    /// Where all of it is.
    pub folder: PathBuf,
}

/// A started run.
pub struct Running {
    child: Child,
    run: Begun,
    folder: PathBuf,
    began: Instant,
}

/// Whether what it prints is shown as it comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Echo {
    /// Kept only.
    Off,
    /// Printed, too.
    On,
}

/// The environment that the runner gives, and the files that it makes, in `folder`.
///
/// # Errors
/// When a file cannot be written.
pub fn prepare(world: &World, spec: &RunSpec, folder: &Path) -> io::Result<BTreeMap<String, String>> {
    let workspace = folder.join("workspace");
    fs::create_dir_all(workspace.join(".github"))?;
    fs::create_dir_all(folder.join("home"))?;
    fs::write(workspace.join(".github/deploy.yml"), &spec.config)?;
    fs::write(folder.join("event.json"), spec.payload.to_string())?;
    for file in ["output", "state", "summary", "env", "path"] {
        fs::write(folder.join(file), "")?;
    }
    let at = |name: &str| folder.join(name).display().to_string();
    let (kind, name) = match (spec.git_ref.strip_prefix("refs/tags/"), spec.git_ref.strip_prefix("refs/heads/")) {
        (Some(tag), _) => ("tag", tag),
        (None, branch) => ("branch", branch.unwrap_or(&spec.git_ref)),
    };
    let given = [
        ("CI", "true".to_owned()),
        ("HOME", at("home")),
        ("GITHUB_ACTIONS", "true".into()),
        ("GITHUB_ACTOR", "octocat".into()),
        ("GITHUB_API_URL", world.urls().github_api.clone()),
        ("GITHUB_ENV", at("env")),
        ("GITHUB_EVENT_NAME", spec.event.clone()),
        ("GITHUB_EVENT_PATH", at("event.json")),
        ("GITHUB_JOB", "deploy".into()),
        ("GITHUB_OUTPUT", at("output")),
        ("GITHUB_PATH", at("path")),
        ("GITHUB_REF", spec.git_ref.clone()),
        ("GITHUB_REF_NAME", name.to_owned()),
        ("GITHUB_REF_TYPE", kind.to_owned()),
        ("GITHUB_REPOSITORY", REPOSITORY.into()),
        ("GITHUB_RUN_ATTEMPT", spec.attempt.to_string()),
        ("GITHUB_RUN_ID", spec.run_id.to_string()),
        ("GITHUB_RUN_NUMBER", "42".into()),
        ("GITHUB_SERVER_URL", "https://github.com".into()),
        ("GITHUB_SHA", spec.commit().to_owned()),
        ("GITHUB_STATE", at("state")),
        ("GITHUB_STEP_SUMMARY", at("summary")),
        ("GITHUB_WORKFLOW", "ci-cd-enterprise".into()),
        ("GITHUB_WORKSPACE", workspace.display().to_string()),
        ("RUNNER_ARCH", "X64".into()),
        ("RUNNER_OS", "Linux".into()),
        ("RUNNER_TEMP", at("")),
        ("ACTIONS_ID_TOKEN_REQUEST_URL", world.urls().oidc.clone()),
        ("ACTIONS_ID_TOKEN_REQUEST_TOKEN", world.given("oidc-request-token")),
        ("SSL_CERT_FILE", world.ca_file().display().to_string()),
    ];
    let mut env: BTreeMap<String, String> = given.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    // Upper case, blanks as underscores; hyphens stay.
    env.extend(spec.inputs.iter().map(|(name, value)| (format!("INPUT_{}", name.to_uppercase().replace(' ', "_")), value.clone())));
    env.extend(spec.env.clone());
    Ok(env)
}

/// Starts `binary` in a new folder below the world's.
///
/// # Errors
/// When it cannot be started.
pub fn spawn(world: &World, binary: &Path, spec: &RunSpec) -> io::Result<Running> {
    let folder = tempfile::Builder::new().prefix("step-").tempdir_in(world.directory())?.keep();
    spawn_in(world, binary, spec, &folder)
}

/// Starts `binary` with its files in `folder`.
///
/// # Errors
/// When it cannot be started.
pub fn spawn_in(world: &World, binary: &Path, spec: &RunSpec, folder: &Path) -> io::Result<Running> {
    if !spec.version.is_empty() {
        world.push_image(&spec.version);
    }
    let env = prepare(world, spec, folder)?;
    let run = world.begin_run(spec);
    let child = Command::new(binary)
        .args(&spec.args)
        .env_clear()
        .envs(env)
        .current_dir(folder.join("workspace"))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    Ok(Running { child, run, folder: folder.to_owned(), began: Instant::now() })
}

impl Running {
    /// Its process id.
    #[must_use]
    pub fn id(&self) -> Option<u32> {
        self.child.id()
    }

    /// Waits until it has ended.
    ///
    /// # Errors
    /// When it cannot be waited for.
    pub async fn ended(&mut self) -> io::Result<()> {
        let status = self.child.wait().await?;
        self.run.ended(Conclusion::of(status.code()));
        Ok(())
    }

    /// Sends it a signal, by `kill`; one that has ended already gets none.
    ///
    /// # Errors
    /// When `kill` cannot be run.
    pub async fn signal(&self, name: &str) -> io::Result<()> {
        if let Some(id) = self.child.id() {
            Command::new("kill").arg(format!("-{name}")).arg(id.to_string()).status().await?;
        }
        Ok(())
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// When what it left cannot be read.
    pub async fn finish(mut self, echo: Echo) -> io::Result<Finished> {
        let (out, err) = (self.child.stdout.take(), self.child.stderr.take());
        let reading = async {
            let mut text = String::new();
            if let Some(out) = out {
                let mut lines = BufReader::new(out).lines();
                while let Some(line) = lines.next_line().await? {
                    if echo == Echo::On && !line.starts_with("::") {
                        anstream::println!("{line}");
                    }
                    text.push_str(&line);
                    text.push('\n');
                }
            }
            io::Result::Ok(text)
        };
        let errors = async {
            let mut text = String::new();
            if let Some(mut err) = err {
                err.read_to_string(&mut text).await?;
            }
            io::Result::Ok(text)
        };
        let (stdout, stderr, status) = tokio::join!(reading, errors, self.child.wait());
        let stderr = stderr?;
        if echo == Echo::On && !stderr.is_empty() {
            anstream::eprint!("{stderr}");
        }
        let read = |name: &str| fs::read_to_string(self.folder.join(name));
        let code = status?.code();
        self.run.ended(Conclusion::of(code));
        Ok(Finished {
            code,
            stdout: stdout?,
            stderr,
            outputs: values(&read("output")?),
            state: values(&read("state")?),
            summary: read("summary")?,
            evidence: evidence(&self.folder.join("workspace"))?,
            duration: self.began.elapsed(),
            folder: self.folder,
        })
    }
}

/// Starts `binary` and waits for its end.
///
/// # Errors
/// When it cannot be started or what it left cannot be read.
pub async fn run(world: &World, binary: &Path, spec: &RunSpec) -> io::Result<Finished> {
    spawn(world, binary, spec)?.finish(Echo::Off).await
}

/// Starts the step's post-entrypoint: the same binary, told by its name, with the state that the main process left.
///
/// # Errors
/// When it cannot be started or what it left cannot be read.
pub async fn post(world: &World, binary: &Path, spec: &RunSpec, state: &BTreeMap<String, String>) -> io::Result<Finished> {
    let (name, spec) = as_post(world, binary, spec, state)?;
    run(world, &name, &spec).await
}

/// The same, in `folder`, and gives it while it is at work.
///
/// # Errors
/// When it cannot be started.
pub fn spawn_post_in(world: &World, binary: &Path, spec: &RunSpec, state: &BTreeMap<String, String>, folder: &Path) -> io::Result<Running> {
    let (name, spec) = as_post(world, binary, spec, state)?;
    spawn_in(world, &name, &spec, folder)
}

fn as_post(world: &World, binary: &Path, spec: &RunSpec, state: &BTreeMap<String, String>) -> io::Result<(PathBuf, RunSpec)> {
    let name = world.directory().join("deploy-action-resume");
    if !name.exists() {
        std::os::unix::fs::symlink(binary, &name)?;
    }
    let mut spec = spec.clone();
    spec.env.extend(state.iter().map(|(key, value)| (format!("STATE_{key}"), value.clone())));
    spec.args = Vec::new();
    Ok((name, spec))
}

/// Reads a file of outputs as the runner does.
fn values(text: &str) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if let Some((name, end)) = line.split_once("<<") {
            let value: Vec<&str> = lines.by_ref().take_while(|line| *line != end).collect();
            found.insert(name.to_owned(), value.join("\n"));
        } else if let Some((name, value)) = line.split_once('=') {
            found.insert(name.to_owned(), value.to_owned());
        }
    }
    found
}

fn evidence(workspace: &Path) -> io::Result<Vec<Value>> {
    let mut lines = Vec::new();
    for entry in fs::read_dir(workspace)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "jsonl") {
            lines.extend(fs::read_to_string(&path)?.lines().filter_map(|line| serde_json::from_str(line).ok()));
        }
    }
    Ok(lines)
}
