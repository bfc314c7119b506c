//! `cargo sandbox`: a deployment against a world on loopback, to watch and to try things out in.

use std::{
    fs,
    io::{self, IsTerminal, Read},
    path::{Path, PathBuf},
    process::{Command as Process, ExitCode},
    time::Duration,
};

use clap::{Args, Parser, Subcommand};
use sandbox::{
    Clocks, Fault, Finished, Options, RunSpec, World, message_view,
    runner::{self, Echo},
};
use serde_json::Value;

/// A deployment against a world on loopback: no account, no configuration, no network.
#[derive(Parser)]
#[command(name = "cargo sandbox", version, after_help = faults_help())]
struct Cli {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// A push to `develop` deploys dev: the whole way through, live
    Dev {
        #[command(flatten)]
        common: Common,
        /// Begin with an older version running
        #[arg(long)]
        seed_old: bool,
    },
    /// Keep a world running for other clients (az, SDKs, curl) until stopped
    Serve {
        #[command(flatten)]
        common: Common,
        /// Write where everything is to this file, as JSON
        #[arg(long)]
        info: Option<PathBuf>,
        /// Let the Action deploy dev first
        #[arg(long)]
        deployed: bool,
    },
    /// Run the command with ARGS inside a world where dev runs already, e.g. `cargo sandbox run -- status`
    Run {
        #[command(flatten)]
        common: Common,
        /// What the command is given
        #[arg(last = true)]
        args: Vec<String>,
    },
}

#[derive(Args)]
struct Common {
    /// What goes wrong (see below); can be given several times
    #[arg(long = "fault", value_name = "NAME")]
    faults: Vec<Fault>,
    /// Write every request that the world got to this file, a line of JSON each
    #[arg(long, value_name = "FILE")]
    record: Option<PathBuf>,
    /// How long an instance takes to come up, in milliseconds
    #[arg(long, value_name = "MS", default_value_t = 1500)]
    boot: u64,
    /// The command to run, instead of building it
    #[arg(long, value_name = "PATH")]
    binary: Option<PathBuf>,
}

fn faults_help() -> String {
    let lines: Vec<String> = Fault::ALL.iter().map(|fault| format!("  {:<14} {}", fault.name(), fault.description())).collect();
    format!("Faults:\n{}", lines.join("\n"))
}

#[tokio::main]
async fn main() -> ExitCode {
    match carry_out(Cli::parse().what).await {
        Ok(code) => code,
        Err(error) => {
            eprintln!("sandbox: {error}");
            ExitCode::from(2)
        }
    }
}

async fn carry_out(what: What) -> io::Result<ExitCode> {
    match what {
        What::Dev { common, seed_old } => dev(&common, if seed_old { Seed::Older } else { Seed::Nothing }).await,
        What::Serve { common, info, deployed } => {
            serve(&common, info.as_deref(), if deployed { Seed::Deployed } else { Seed::Nothing }).await
        }
        What::Run { common, args } => run(&common, args).await,
    }
}

/// What runs before the deployment.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Seed {
    Nothing,
    Older,
    Deployed,
}

const OLDER: &str = "9f8e7d6c5b4a39281706f5e4d3c2b1a009988776";

async fn world(common: &Common) -> io::Result<World> {
    let options = Options { boot: Duration::from_millis(common.boot), record: common.record.clone(), ..Options::default() };
    World::start(options).await
}

/// The command: as given, else built by the cargo that runs this.
fn binary(common: &Common) -> io::Result<PathBuf> {
    if let Some(path) = &common.binary {
        return path.canonicalize();
    }
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize()?;
    let quiet: &[&str] = if io::stderr().is_terminal() { &[] } else { &["--quiet"] };
    let built = Process::new(cargo)
        .current_dir(&root)
        .args(["build", "--package", "deploy-action", "--bin", "deploy-action"])
        .args(quiet)
        .status()?;
    if !built.success() {
        return Err(io::Error::other("deploy-action does not build"));
    }
    // Beside this program, wherever cargo puts what it builds.
    let own = std::env::current_exe()?;
    own.parent()
        .map(|folder| folder.join("deploy-action"))
        .filter(|path| path.exists())
        .ok_or_else(|| io::Error::other("the built command is not where this program is"))
}

fn folder(name: &str) -> io::Result<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/sandbox").join(name);
    if path.exists() {
        fs::remove_dir_all(&path)?;
    }
    fs::create_dir_all(&path)?;
    path.canonicalize()
}

async fn dev(common: &Common, seed: Seed) -> io::Result<ExitCode> {
    let binary = binary(common)?;
    let world = world(common).await?;
    let mut spec = RunSpec::push_develop(&world);
    spec.config = world.config(&Clocks::watched());
    if seed == Seed::Older {
        let before = spec.clone().of_commit(OLDER);
        let done = runner::run(&world, &binary, &before).await?;
        println!("{} runs in dev (exit {}). Now a push to develop:\n", before.version, done.code.unwrap_or(-1));
    }
    for fault in &common.faults {
        world.fault(*fault).await;
        println!("fault: {fault} - {}", fault.description());
    }
    let folder = folder("dev")?;
    let finished = runner::spawn_in(&world, &binary, &spec, &folder)?.finish(Echo::On).await?;
    afterwards(&world, &finished, &common.faults)
}

/// What people see elsewhere, and where the files are.
fn afterwards(world: &World, finished: &Finished, faults: &[Fault]) -> io::Result<ExitCode> {
    for message in world.slack_messages() {
        anstream::println!("\nSlack, {}:", message.get("channel").and_then(Value::as_str).map_or("#nextgen-devops", |_| "#nextgen-devops"));
        for line in message_view::lines(&message) {
            anstream::println!("  {line}");
        }
    }
    for (deployment, states) in world.deployments() {
        let environment = deployment["environment"].as_str().unwrap_or_default();
        println!("\nGitHub deployment {} of {environment}: {}", deployment["id"], states.join(" → "));
    }
    println!("\noutputs:");
    for (name, value) in &finished.outputs {
        println!("  {name}: {value}");
    }
    println!("\njob summary:   {}", finished.folder.join("summary").display());
    println!("evidence file: {}", finished.outputs.get("report").map_or("none", String::as_str));
    let code = finished.code.unwrap_or(-1);
    println!("exit status:   {code}");
    let expected = match faults.iter().any(|fault| !fault.is_survivable()) {
        true => code != 0,
        false => code == 0,
    };
    if expected {
        return Ok(ExitCode::SUCCESS);
    }
    println!("that is not how it should have ended");
    Ok(ExitCode::FAILURE)
}

async fn serve(common: &Common, info: Option<&Path>, seed: Seed) -> io::Result<ExitCode> {
    let world = world(common).await?;
    for fault in &common.faults {
        world.fault(*fault).await;
    }
    // The build job has pushed what the example event's commit is deployed as.
    let spec = RunSpec::push_develop(&world);
    world.push_image(&spec.version);
    if seed == Seed::Deployed {
        let done = runner::run(&world, &binary(common)?, &spec).await?;
        eprintln!("{} runs in dev (exit {})", spec.version, done.code.unwrap_or(-1));
    }
    let text = serde_json::to_string_pretty(&world.info())?;
    match info {
        // Written whole, then named: whoever waits for the file never reads half of it.
        Some(path) => {
            let part = path.with_extension("part");
            fs::write(&part, &text)?;
            fs::rename(&part, path)?;
        }
        None => println!("{text}"),
    }
    eprintln!("the world is up; end it with ctrl-c");
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminate.recv() => {}
        () = parent_is_gone() => {}
    }
    Ok(ExitCode::SUCCESS)
}

/// Ends when a pipe on standard input is closed: whoever started this has ended. A terminal or nothing there never ends it.
async fn parent_is_gone() {
    let piped = fs::metadata("/proc/self/fd/0").is_ok_and(|meta| std::os::unix::fs::FileTypeExt::is_fifo(&meta.file_type()));
    if piped {
        let _ = tokio::task::spawn_blocking(|| io::stdin().read_to_end(&mut Vec::new())).await;
    } else {
        std::future::pending::<()>().await;
    }
}

async fn run(common: &Common, args: Vec<String>) -> io::Result<ExitCode> {
    let binary = binary(common)?;
    let world = world(common).await?;
    let mut spec = RunSpec::push_develop(&world);
    spec.config = world.config(&Clocks::watched());
    runner::run(&world, &binary, &spec).await?;
    for fault in &common.faults {
        world.fault(*fault).await;
    }
    spec.args = args;
    let folder = folder("run")?;
    let finished = runner::spawn_in(&world, &binary, &spec, &folder)?.finish(Echo::On).await?;
    Ok(ExitCode::from(finished.code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1)))
}
