//! The project's words as types, parsed once at the border.
//! Holds plain data only: no clock, no client, no configuration.

mod image;
mod names;
mod outcome;
mod release;
mod secret;
mod share;
mod slot;
mod strategy;
mod weight;

pub use image::{Digest, ImageReference, ImageRepository, Version};
pub use names::{EnvironmentName, InstanceName, MetricName, RolloutId, Sha};
pub use outcome::{ExitStatus, Outcome};
pub use release::ReleaseVersion;
pub use secret::{Masks, SHORTEST, Secret};
pub use share::Share;
pub use slot::Slot;
pub use strategy::{Role, Strategy};
pub use weight::{TooFarApart, Weight, shares, weights};

/// Why a text is not the value it should be: completes "NAME is not …".
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{given}` is not {expected}")]
pub struct NotA {
    /// The text as given, cut to 80 characters, control characters escaped.
    pub given: String,
    /// What was expected, as a noun phrase: "a share between 0% and 100%".
    pub expected: &'static str,
}

impl NotA {
    /// Remembers `given`, made safe to print, and what was `expected` instead.
    #[must_use]
    pub fn new(given: &str, expected: &'static str) -> Self {
        let mut shown: String = given.chars().take(80).flat_map(char::escape_default).collect();
        if given.chars().count() > 80 {
            shown.push('…');
        }
        Self { given: shown, expected }
    }
}
