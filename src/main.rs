//! The `deploy-action` command: hands its arguments and environment to the library, and its exit status back.

use std::process::ExitCode;

fn main() -> ExitCode {
    // One thread is enough for a program that waits, and starts faster than several.
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: this machine lets no program wait for anything: {error}");
            return ExitCode::from(3);
        }
    };
    let args = std::env::args_os().collect();
    let env = |name: &str| std::env::var(name).ok();
    let status = runtime.block_on(deploy_action::app::run(args, &env));
    // A report that hangs in a blocking call must not keep the process.
    runtime.shutdown_timeout(std::time::Duration::from_millis(100));
    ExitCode::from(status.code())
}
