//! The subcommands of `cargo sandbox`, one file each.

pub(crate) mod afterwards;
pub(crate) mod approve;
pub(crate) mod common;
pub(crate) mod crash;
pub(crate) mod dev;
pub(crate) mod prod;
pub(crate) mod rollback;
pub(crate) mod run;
pub(crate) mod serve;
pub(crate) mod shares;
pub(crate) mod staging;
