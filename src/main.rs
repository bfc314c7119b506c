//! The `deploy-action` command.
fn main() {}
