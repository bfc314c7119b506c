//! Names: of environments, instances, rollouts and commits.

use std::{fmt, str::FromStr};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::NotA;

/// Declares a name that is a checked string.
macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $expected:literal, $pattern:literal, $valid:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(#[schemars(regex(pattern = $pattern))] String);

        impl $name {
            /// The text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = NotA;

            fn from_str(text: &str) -> Result<Self, NotA> {
                let valid: fn(&str) -> bool = $valid;
                if valid(text) { Ok(Self(text.to_owned())) } else { Err(NotA::new(text, $expected)) }
            }
        }

        impl TryFrom<String> for $name {
            type Error = NotA;

            fn try_from(text: String) -> Result<Self, NotA> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

name!(
    /// An environment as named under `environments:` in `deploy.yml`.
    EnvironmentName,
    "an environment name: 1 to 40 lower-case letters, digits and hyphens, beginning with a letter",
    r"^[a-z][a-z0-9-]{0,39}$",
    |text| text.len() <= 40 && text.starts_with(|c: char| c.is_ascii_lowercase()) && is_kebab(text)
);

name!(
    /// A container group's name. Azure: 1 to 63 lower-case letters, digits and hyphens, beginning with a letter or digit,
    /// not ending in a hyphen, no two hyphens in a row (Azure resource naming rules, Microsoft.ContainerInstance).
    InstanceName,
    "an instance name: 1 to 63 lower-case letters, digits and single hyphens, beginning and ending with a letter or digit",
    r"^[a-z0-9]([a-z0-9]|-[a-z0-9]){0,62}$",
    |text| (1..=63).contains(&text.len()) && is_kebab(text) && !text.starts_with('-') && !text.ends_with('-') && !text.contains("--")
);

name!(
    /// A metric: a built-in one (`error-rate`, `latency-p99`, …) or one under `metrics.queries`.
    MetricName,
    "a metric's name: 1 to 40 lower-case letters, digits and hyphens, beginning with a letter",
    r"^[a-z][a-z0-9-]{0,39}$",
    |text| text.len() <= 40 && text.starts_with(|c: char| c.is_ascii_lowercase()) && is_kebab(text)
);

name!(
    /// The id of one request being carried out: `ENVIRONMENT-RUN-ATTEMPT` under GitHub Actions.
    RolloutId,
    "a rollout id: 1 to 100 lower-case letters, digits and hyphens",
    r"^[a-z0-9-]{1,100}$",
    |text| (1..=100).contains(&text.len()) && is_kebab(text)
);

name!(
    /// A full git commit id: 40 lower-case hexadecimal digits.
    Sha,
    "a full commit id: 40 hexadecimal digits",
    r"^[0-9a-f]{40}$",
    |text| text.len() == 40 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
);

fn is_kebab(text: &str) -> bool {
    text.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-'))
}

impl Sha {
    /// The first 7 digits, as the runbook shows them (`develop-a1b2c3d`).
    #[must_use]
    pub fn short(&self) -> &str {
        self.0.get(..7).unwrap_or(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instance_names_follow_azure() {
        for good in ["aci-dev-nextgen", "a", "prod-canary-1", "1a"] {
            assert!(good.parse::<InstanceName>().is_ok(), "{good}");
        }
        let long = "a".repeat(64);
        for bad in ["", "-a", "a-", "a--b", "Aci", "a_b", "a\nb", long.as_str()] {
            assert!(bad.parse::<InstanceName>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_short_sha_is_seven_digits() {
        let sha: Sha = "a1b2c3d4e5f60718293a4b5c6d7e8f9001122334".parse().expect("a sha");
        assert_eq!(sha.short(), "a1b2c3d");
        assert!("A1B2C3D4E5F60718293A4B5C6D7E8F9001122334".parse::<Sha>().is_err());
    }
}
