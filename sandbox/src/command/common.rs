//! What every subcommand takes, and what each needs: a world, the command's binary, a folder that stays.

use std::{
    fs,
    io::{self, IsTerminal as _},
    path::{Path, PathBuf},
    process::Command as Process,
    time::Duration,
};

use clap::Args;
use sandbox::{Fault, Options, World};

/// What every subcommand takes.
#[derive(Args)]
pub(crate) struct Common {
    /// What goes wrong (see below); can be given several times
    #[arg(long = "fault", value_name = "NAME")]
    pub(crate) faults: Vec<Fault>,
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

/// For the end of `--help`.
pub(crate) fn faults_help() -> String {
    let lines: Vec<String> = Fault::ALL.iter().map(|fault| format!("  {:<22} {}", fault.name(), fault.description())).collect();
    format!("Faults:\n{}", lines.join("\n"))
}

pub(crate) async fn world(common: &Common) -> io::Result<World> {
    World::start(options(common)).await
}

pub(crate) fn options(common: &Common) -> Options {
    Options { boot: Duration::from_millis(common.boot), record: common.record.clone(), ..Options::default() }
}

/// Switches on what was asked for, and says so.
pub(crate) async fn switch_faults(world: &World, common: &Common) {
    for fault in &common.faults {
        world.fault(*fault).await;
        println!("fault: {fault} - {}", fault.description());
    }
}

/// The command: as given, else built by the cargo that runs this.
pub(crate) fn binary(common: &Common) -> io::Result<PathBuf> {
    if let Some(path) = &common.binary {
        return path.canonicalize();
    }
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize()?;
    let quiet: &[&str] = if io::stderr().is_terminal() { &[] } else { &["--quiet"] };
    let mut build = Process::new(cargo);
    build.current_dir(&root).args(["build", "--package", "deploy-action", "--bin", "deploy-action"]).args(quiet);
    // Cargo tells what it runs which package that is. Build scripts that look at it (ring's) would run anew, and everything
    // above them, each time that this cargo and another take turns.
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(|name| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_")) {
            build.env_remove(name);
        }
    }
    let built = build.status()?;
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

/// An empty folder that is still there afterwards.
pub(crate) fn folder(name: &str) -> io::Result<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/sandbox").join(name);
    if path.exists() {
        fs::remove_dir_all(&path)?;
    }
    fs::create_dir_all(&path)?;
    path.canonicalize()
}
