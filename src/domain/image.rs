//! Container images: repository, tag, digest.

use std::{fmt, str::FromStr};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::NotA;

/// An image repository with its registry host and without a tag: `ghcr.io/nextgen-market/nextgen-market`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
pub struct ImageRepository(#[schemars(regex(pattern = r"^[a-z0-9.-]+(:[0-9]+)?(/[a-z0-9]+([._-]+[a-z0-9]+)*)+$"))] String);

impl ImageRepository {
    /// The registry's host, with its port where one is given.
    #[must_use]
    pub fn host(&self) -> &str {
        self.0.split_once('/').map_or(self.0.as_str(), |(host, _)| host)
    }

    /// The repository's name at the registry.
    #[must_use]
    pub fn name(&self) -> &str {
        self.0.split_once('/').map_or("", |(_, name)| name)
    }
}

impl FromStr for ImageRepository {
    type Err = NotA;

    fn from_str(text: &str) -> Result<Self, NotA> {
        let wrong = |expected| NotA::new(text, expected);
        let expected = "an image repository with its registry, without a tag, such as ghcr.io/owner/name";
        let (host, name) = text.split_once('/').ok_or_else(|| wrong(expected))?;
        if name.contains(':') || name.contains('@') {
            return Err(wrong("an image repository: it must not carry a tag or a digest (the environment's `tag` decides that)"));
        }
        let host_ok = (host.contains('.') || host.contains(':') || host == "localhost")
            && host.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'-' | b':'))
            && !host.starts_with(['.', '-', ':'])
            && host.split_once(':').is_none_or(|(_, port)| port.parse::<u16>().is_ok_and(|p| p > 0));
        let part_ok = |part: &str| {
            part.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
                && part.ends_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
                && part.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'_' | b'-'))
        };
        if host_ok && name.len() <= 255 && name.split('/').all(part_ok) { Ok(Self(text.to_owned())) } else { Err(wrong(expected)) }
    }
}

impl TryFrom<String> for ImageRepository {
    type Error = NotA;

    fn try_from(text: String) -> Result<Self, NotA> {
        text.parse()
    }
}

impl From<ImageRepository> for String {
    fn from(repository: ImageRepository) -> Self {
        repository.0
    }
}

impl fmt::Display for ImageRepository {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What is deployed, by the name people use: an image tag such as `develop-a1b2c3d` or `v1.0.0`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
pub struct Version(#[schemars(regex(pattern = r"^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$"))] String);

impl Version {
    /// The tag.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Version {
    type Err = NotA;

    /// OCI distribution specification: `[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}`.
    fn from_str(text: &str) -> Result<Self, NotA> {
        let valid = (1..=128).contains(&text.len())
            && !text.starts_with(['.', '-'])
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'));
        if valid {
            Ok(Self(text.to_owned()))
        } else {
            Err(NotA::new(text, "a version: 1 to 128 letters, digits, dots, underscores and hyphens, as an image tag allows"))
        }
    }
}

impl TryFrom<String> for Version {
    type Error = NotA;

    fn try_from(text: String) -> Result<Self, NotA> {
        text.parse()
    }
}

impl From<Version> for String {
    fn from(version: Version) -> Self {
        version.0
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A manifest's digest: `sha256:` and 64 lower-case hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
pub struct Digest(#[schemars(regex(pattern = r"^sha256:[0-9a-f]{64}$"))] String);

impl Digest {
    /// The text, with its `sha256:`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Digest {
    type Err = NotA;

    fn from_str(text: &str) -> Result<Self, NotA> {
        let hex = text.strip_prefix("sha256:").unwrap_or_default();
        if hex.len() == 64 && hex.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
            Ok(Self(text.to_owned()))
        } else {
            Err(NotA::new(text, "a digest: sha256: and 64 hexadecimal digits"))
        }
    }
}

impl TryFrom<String> for Digest {
    type Error = NotA;

    fn try_from(text: String) -> Result<Self, NotA> {
        text.parse()
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> Self {
        digest.0
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What is deployed, exactly: a repository at a digest, and the version that it was asked for by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ImageReference {
    /// Where the image is.
    pub repository: ImageRepository,
    /// The tag it was asked for by.
    pub version: Version,
    /// What that tag stood for when it was resolved.
    pub digest: Digest,
}

impl ImageReference {
    /// `repository@digest`: what Azure is told to run, so that a moved tag cannot change it.
    #[must_use]
    pub fn pinned(&self) -> String {
        format!("{}@{}", self.repository, self.digest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repository_carries_no_tag() {
        for bad in
            ["ghcr.io/a/b:v1", "ghcr.io/a/b@sha256:00", "nginx", "/a/b", "ghcr.io/", "ghcr.io/A/b", "ghcr.io//b", "a b.io/x", "host:x/a"]
        {
            assert!(bad.parse::<ImageRepository>().is_err(), "{bad}");
        }
        let good: ImageRepository = "localhost:5000/nextgen-market/nextgen-market".parse().expect("a repository");
        assert_eq!((good.host(), good.name()), ("localhost:5000", "nextgen-market/nextgen-market"));
    }

    #[test]
    fn versions_are_image_tags() {
        for good in ["develop-a1b2c3d", "v1.0.0", "_x"] {
            assert!(good.parse::<Version>().is_ok(), "{good}");
        }
        for bad in ["", "-v1", ".v", "v1/2", "v1 ", "a\nb", "::set-output"] {
            assert!(bad.parse::<Version>().is_err(), "{bad}");
        }
    }
}
