//! Azure's answers, read tolerantly: only what [`crate::observe`] needs. Nothing is decided here.
//! Here is what every kind of resource shares; each kind has a file of its own.

use serde::Deserialize;

/// What every tag of the Action begins with.
pub(crate) const TAG: &str = "deploy-action-";

/// Azure writes `null` where it has nothing.
fn or_default<'de, D: serde::Deserializer<'de>, T: Default + Deserialize<'de>>(deserializer: D) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// Declares structs whose every field may be missing or null.
macro_rules! tolerant {
    ($($name:ident { $($field:ident: $kind:ty),* $(,)? })*) => {$(
        #[derive(Deserialize, Default)]
        #[serde(default, rename_all = "camelCase")]
        struct $name { $(#[serde(deserialize_with = "or_default")] $field: $kind,)* }
    )*};
}

mod container_group;
mod metrics;
mod profile;

pub(super) use container_group::instance;
pub(super) use metrics::{CPU, MEMORY, given, minutes};
pub(super) use profile::profile;
