//! Release versions: `v1.2.3`, ordered as Semantic Versioning 2.0.0 orders them (semver.org, item 11).

use std::{cmp::Ordering, fmt, str::FromStr};

use super::NotA;

/// The version of a release: `v1.2.3`, with or without the `v` and a pre-release part (`v1.2.3-rc.1`). What comes after a `+` says
/// nothing of the order, and is left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReleaseVersion {
    numbers: [u32; 3],
    /// The identifiers of the pre-release part; empty for a release proper, which comes after all of its pre-releases.
    pre: Vec<Identifier>,
}

/// One of the parts of a pre-release, in their order: numbers come before texts.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Identifier {
    Number(u64),
    Text(String),
}

impl FromStr for ReleaseVersion {
    type Err = NotA;

    fn from_str(text: &str) -> Result<Self, NotA> {
        let wrong = || NotA::new(text, "a release version such as v1.2.3");
        let core = text.strip_prefix('v').unwrap_or(text);
        let core = core.split_once('+').map_or(core, |(core, _)| core);
        let (numbers, pre) = core.split_once('-').map_or((core, None), |(numbers, pre)| (numbers, Some(pre)));
        let parts: Vec<&str> = numbers.split('.').collect();
        let [major, minor, patch] = parts.as_slice() else { return Err(wrong()) };
        let number = |part: &str| -> Result<u32, NotA> {
            let is_number = !part.is_empty() && part.len() < 10 && part.bytes().all(|byte| byte.is_ascii_digit());
            if is_number { part.parse().map_err(|_| wrong()) } else { Err(wrong()) }
        };
        let identifier = |part: &str| match part {
            "" => Err(wrong()),
            part if part.bytes().all(|byte| byte.is_ascii_digit()) => part.parse().map(Identifier::Number).map_err(|_| wrong()),
            part if part.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') => Ok(Identifier::Text(part.to_owned())),
            _ => Err(wrong()),
        };
        Ok(Self {
            numbers: [number(major)?, number(minor)?, number(patch)?],
            pre: pre.map_or(Ok(Vec::new()), |pre| pre.split('.').map(identifier).collect())?,
        })
    }
}

impl Ord for ReleaseVersion {
    fn cmp(&self, other: &Self) -> Ordering {
        self.numbers.cmp(&other.numbers).then_with(|| match (self.pre.is_empty(), other.pre.is_empty()) {
            (true, true) => Ordering::Equal,
            (true, false) => Ordering::Greater,
            (false, true) => Ordering::Less,
            (false, false) => self.pre.cmp(&other.pre),
        })
    }
}

impl PartialOrd for ReleaseVersion {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for ReleaseVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [major, minor, patch] = self.numbers;
        write!(f, "v{major}.{minor}.{patch}")?;
        for (index, identifier) in self.pre.iter().enumerate() {
            let between = if index == 0 { '-' } else { '.' };
            match identifier {
                Identifier::Number(number) => write!(f, "{between}{number}")?,
                Identifier::Text(text) => write!(f, "{between}{text}")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn releases_are_in_the_order_of_semver() {
        // The standard's own example (item 11), and versions around it.
        let rising = [
            "0.9.5",
            "v0.10.0",
            "v1.0.0-alpha",
            "v1.0.0-alpha.1",
            "v1.0.0-alpha.beta",
            "v1.0.0-beta",
            "v1.0.0-beta.2",
            "v1.0.0-beta.11",
            "v1.0.0-rc.1",
            "v1.0.0",
            "v1.0.1",
            "v1.10.0",
            "v2.0.0",
        ];
        let read: Vec<ReleaseVersion> = rising.iter().map(|text| text.parse().expect("a release version")).collect();
        for (index, lower) in read.iter().enumerate() {
            assert!(read[index + 1..].iter().all(|higher| lower < higher), "{lower}");
        }
        assert_eq!("v1.0.0+build.7".parse::<ReleaseVersion>(), "v1.0.0".parse());
    }

    #[test]
    fn what_is_no_release_version_is_refused() {
        for text in
            ["", "v", "v1", "v1.2", "vNext", "1.2.3.4", "v1.2.x", "v1..3", "v-1.0.0", "v1.2.3-", "v1.2.3-a..b", "V1.2.3", "v1.2.3\n"]
        {
            assert!(text.parse::<ReleaseVersion>().is_err(), "{text}");
        }
        assert!("v9999999999.0.0".parse::<ReleaseVersion>().is_err());
    }

    proptest! {
        #[test]
        fn a_version_reads_back_as_it_is_shown(text in r"v?[0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3}(-[a-z0-9]{1,4}(\.[a-z0-9]{1,4}){0,2})?") {
            let version: ReleaseVersion = text.parse().expect("a release version");
            prop_assert_eq!(version.to_string().parse::<ReleaseVersion>(), Ok(version));
        }

        #[test]
        fn no_text_makes_it_panic(text in ".{0,40}") {
            let _ = text.parse::<ReleaseVersion>();
        }
    }
}
