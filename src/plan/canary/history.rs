//! The versions that production could go back to: what ran there and was trusted, by the instances' tags and by GitHub's
//! deployments. Pure.

use super::World;
use crate::{
    domain::{Digest, Sha, Version},
    failure::Failure,
};

/// How many versions a refusal names: what fits on a phone.
const NAMED: usize = 8;

/// A version that ran and was trusted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ran {
    /// The version.
    pub version: Version,
    /// The digest that it ran as, where that was written down.
    pub digest: Option<Digest>,
    /// Its commit, where that was written down.
    pub sha: Option<Sha>,
}

/// What GitHub's deployments say of the environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Deployments {
    /// These succeeded, the newest first.
    Read(Vec<Ran>),
    /// They could not be read.
    Unknown {
        /// Why.
        why: String,
    },
}

/// Everything that is known of the versions that ran.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct History {
    tagged: Vec<Ran>,
    deployments: Deployments,
}

impl History {
    /// What the instances' tags say, and `deployments`. A version that has not proved itself is none to go back to; the one that
    /// ran before it is.
    #[must_use]
    pub fn of(world: &World<'_>, deployments: Deployments) -> Self {
        let instances = || world.all().filter_map(|name| world.instance(name));
        let proved = instances().filter(|instance| instance.tags.stable_since.is_some() || world.canary.old == instance.name);
        let runs = proved.filter_map(|instance| {
            let tags = &instance.tags;
            let sha = tags.sha.as_deref().and_then(|sha| sha.parse().ok());
            Some(Ran { version: tags.version.clone()?, digest: tags.digest.clone(), sha })
        });
        let before = instances().filter_map(|instance| Some(Ran { version: instance.tags.previous.clone()?, digest: None, sha: None }));
        Self { tagged: runs.chain(before).collect(), deployments }
    }

    /// What is known of `version`, the most of it wherever it is written; `None` where it never ran, as far as is known.
    #[must_use]
    pub fn find(&self, version: &Version) -> Option<Ran> {
        let mut found = self.all().filter(|ran| ran.version == *version).peekable();
        found.peek()?;
        Some(found.fold(Ran { version: version.clone(), digest: None, sha: None }, |known, ran| Ran {
            digest: known.digest.or_else(|| ran.digest.clone()),
            sha: known.sha.or_else(|| ran.sha.clone()),
            ..known
        }))
    }

    /// The versions to choose from, the newest deployed first, without those in `except`.
    #[must_use]
    pub fn choices(&self, except: &[&Version]) -> Vec<&Version> {
        let mut choices: Vec<&Version> = Vec::new();
        for ran in self.deployed().iter().chain(&self.tagged) {
            if !choices.contains(&&ran.version) && !except.contains(&&ran.version) {
                choices.push(&ran.version);
            }
        }
        choices
    }

    /// `failure`, with the versions to choose from, without those in `except`, as what to do next.
    #[must_use]
    pub fn advise(&self, failure: Failure, except: &[&Version]) -> Failure {
        let choices = self.choices(except);
        let named: Vec<&str> = choices.iter().take(NAMED).map(|version| version.as_str()).collect();
        let more = choices.len().saturating_sub(NAMED);
        let more = if more == 0 { String::new() } else { format!(", and {more} older") };
        let failure = match (named.as_slice(), &self.deployments) {
            ([], Deployments::Read(_)) => failure.next("no other version is known to have run here: deploy one by `command: deploy`"),
            ([], Deployments::Unknown { .. }) => failure,
            (named, _) => failure.next(format!("it can go back to (input version): {}{more}", named.join(", "))),
        };
        match &self.deployments {
            Deployments::Read(_) => failure,
            Deployments::Unknown { why } => failure
                .next(format!("which other versions were deployed is not known: {why}; `command: deploy` takes any that has an image")),
        }
    }

    /// The refusal of a version that never ran here, or of which nobody can say whether it did.
    #[must_use]
    pub fn never_ran(&self, world: &World<'_>, version: &Version, now: Option<&Version>) -> Failure {
        let environment = &world.environment.name;
        let what = match &self.deployments {
            Deployments::Read(_) => format!("{version} was never deployed in {environment} with success, so it cannot be gone back to"),
            Deployments::Unknown { .. } => format!("nothing says that {version} was ever deployed in {environment}"),
        };
        let except: Vec<&Version> = now.into_iter().chain([version]).collect();
        self.advise(world.failure(what), &except)
    }

    fn all(&self) -> impl Iterator<Item = &Ran> {
        self.tagged.iter().chain(self.deployed())
    }

    fn deployed(&self) -> &[Ran] {
        match &self.deployments {
            Deployments::Read(ran) => ran,
            Deployments::Unknown { .. } => &[],
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on says so")]

    use super::*;
    use crate::failure::FailureKind;

    fn version(text: &str) -> Version {
        text.parse().expect("a version")
    }

    fn ran(text: &str) -> Ran {
        Ran { version: version(text), digest: None, sha: None }
    }

    #[test]
    fn the_newest_deployed_comes_first_and_each_once() {
        let deployments = Deployments::Read(["v3", "v2", "v3", "v1"].map(ran).to_vec());
        let history = History { tagged: vec![ran("v0"), ran("v2")], deployments };
        let now = version("v3");
        assert_eq!(history.choices(&[&now]), [&version("v2"), &version("v1"), &version("v0")]);
    }

    #[test]
    fn what_one_source_leaves_out_the_other_fills_in() {
        let digest: Digest = format!("sha256:{}", "a".repeat(64)).parse().expect("a digest");
        let sha: Sha = "a".repeat(40).parse().expect("a sha");
        let deployed = Ran { digest: Some(digest.clone()), sha: Some(sha.clone()), ..ran("v1") };
        let history = History { tagged: vec![ran("v1")], deployments: Deployments::Read(vec![ran("v1"), deployed.clone()]) };
        assert_eq!((history.find(&version("v1")), history.find(&version("v9"))), (Some(deployed), None));
    }

    #[test]
    fn a_long_history_is_cut_and_counted() {
        let deployments = Deployments::Read((0..12).map(|number| ran(&format!("v{number}"))).collect());
        let history = History { tagged: Vec::new(), deployments };
        let advised = history.advise(Failure::new(FailureKind::Traffic, "no", "prod"), &[]);
        assert_eq!(advised.next, ["it can go back to (input version): v0, v1, v2, v3, v4, v5, v6, v7, and 4 older"]);
    }
}
