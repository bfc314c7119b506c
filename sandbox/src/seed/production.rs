//! What runs in production already, as an earlier run of the Action (or somebody else) left it: the instances and the profile,
//! whose endpoints are called what their instances are. Worlds that no run should meet are here, too, each under its name.

use std::io;

use serde_json::{Value, json};

use super::{
    Runs,
    instance::{self, EARLIER_RUN, Place},
    profile::{self, Endpoint, Profile, Target},
};
use crate::{shared::SHA, world::World};

const ENVIRONMENT: &str = "prod";
const GROUP: &str = "prod-nextgen";
const PROFILE: &str = "tm-prod";
const DNS_NAME: &str = "nextgen-prod";
const CANARY: &str = "prod-canary-1";
/// The run that an unfinished rollout belongs to.
const LEFT_RUN: &str = "7300000002";
/// The weight of an endpoint that serves everything alone.
const FULL: u16 = 1000;

/// One of production's instances, and its endpoint of the same name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// The name of both.
    pub name: String,
    /// What runs in the instance; `None`: there is no instance.
    pub runs: Option<Runs>,
    /// Whether its endpoint takes traffic.
    pub endpoint: Endpoint,
    /// Its endpoint's weight, 1 to 1000.
    pub weight: u16,
}

impl Member {
    /// `prod-stable-NUMBER`, which runs `version` as stable and takes an even part of the traffic.
    #[must_use]
    pub fn stable(number: u32, version: &str) -> Self {
        Self { name: format!("prod-stable-{number}"), runs: Some(Runs::stable(version)), endpoint: Endpoint::Enabled, weight: 1 }
    }

    /// `prod-canary-1`, which an unfinished rollout made for `version` when `previous` was stable.
    #[must_use]
    pub fn canary(version: &str, previous: &str) -> Self {
        let runs = Runs {
            sha: SHA.to_owned(),
            role: "canary".to_owned(),
            run: LEFT_RUN.to_owned(),
            stable_since: None,
            previous: Some(previous.to_owned()),
            ..Runs::stable(version)
        };
        Self { name: CANARY.to_owned(), runs: Some(runs), endpoint: Endpoint::Enabled, weight: 1 }
    }

    /// Running, without traffic.
    #[must_use]
    pub fn standing_by(self) -> Self {
        Self { endpoint: Endpoint::Disabled, ..self }
    }

    /// With this weight.
    #[must_use]
    pub fn weighing(self, weight: u16) -> Self {
        Self { weight, ..self }
    }
}

/// How far an unfinished rollout got: the share that its canary was given last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reached {
    /// 5 %, beside two stable instances.
    Five,
    /// 25 %, beside two stable instances.
    Quarter,
    /// 50 %, beside one stable instance.
    Half,
    /// 100 %: the stable instances stand by.
    All,
}

impl Reached {
    /// All of them, in the order of a rollout.
    pub const ALL: [Self; 4] = [Self::Five, Self::Quarter, Self::Half, Self::All];

    /// The canary's share, in percent.
    #[must_use]
    pub const fn percent(self) -> u32 {
        match self {
            Self::Five => 5,
            Self::Quarter => 25,
            Self::Half => 50,
            Self::All => 100,
        }
    }
}

/// Production as it is found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Production {
    /// The instances, each with its endpoint, in the profile's order.
    pub members: Vec<Member>,
    /// `trafficRoutingMethod`.
    pub routing: String,
    /// The DNS time to live, in configured seconds.
    pub ttl: u32,
    /// `dnsConfig.relativeName`.
    pub dns_name: String,
    /// Whether there is a profile at all.
    pub profile: Profile,
    /// The workflow run whose rollout changed the shares last; `None`: the profile does not say.
    pub rollout_run: Option<String>,
}

impl Production {
    /// The usual world (runbook Scenario 3, Step 3): `version` runs in three stable instances, two serve half of the traffic
    /// each, the third stands by; there is no canary.
    #[must_use]
    pub fn stable(version: &str) -> Self {
        Self::of(vec![Member::stable(1, version), Member::stable(2, version), Member::stable(3, version).standing_by()])
    }

    fn of(members: Vec<Member>) -> Self {
        Self {
            members,
            routing: "Weighted".to_owned(),
            ttl: 10,
            dns_name: DNS_NAME.to_owned(),
            profile: Profile::There,
            rollout_run: Some(EARLIER_RUN.to_owned()),
        }
    }

    /// No instance, no profile: a first ever release.
    #[must_use]
    pub fn empty() -> Self {
        Self { profile: Profile::Missing, ..Self::prepared() }
    }

    /// A profile without endpoints, and no instance: a first ever release behind a prepared profile.
    #[must_use]
    pub fn prepared() -> Self {
        Self { rollout_run: None, ..Self::of(Vec::new()) }
    }

    /// Two stable instances serve, none stands by.
    #[must_use]
    pub fn without_standby(version: &str) -> Self {
        Self::of(vec![Member::stable(1, version), Member::stable(2, version)])
    }

    /// One stable instance serves everything, and there is no other.
    #[must_use]
    pub fn single(version: &str) -> Self {
        Self::of(vec![Member::stable(1, version).weighing(FULL)])
    }

    /// The profile leads to three stable instances, and somebody deleted them: nothing is stable any more.
    #[must_use]
    pub fn zero_stable(version: &str) -> Self {
        let usual = Self::stable(version);
        Self { members: usual.members.into_iter().map(|member| Member { runs: None, ..member }).collect(), ..usual }
    }

    /// All three instances run, and none takes traffic.
    #[must_use]
    pub fn none_enabled(version: &str) -> Self {
        let usual = Self::stable(version);
        Self { members: usual.members.into_iter().map(Member::standing_by).collect(), ..usual }
    }

    /// Beside the usual world `canary` runs in `prod-canary-1`, left by a rollout that did not end; `endpoint` says whether
    /// it takes traffic: a third of it, then.
    #[must_use]
    pub fn stale_canary(version: &str, canary: &str, endpoint: Endpoint) -> Self {
        let usual = Self::stable(version).left_by_a_rollout();
        usual.with(Member { endpoint, ..Member::canary(canary, version) })
    }

    /// A rollout of `version` did not end: its canary got as far as `reached` (runbook Scenario 3, Steps 3 and 4), and
    /// `previous` is what was stable before.
    #[must_use]
    pub fn halfway(reached: Reached, previous: &str, version: &str) -> Self {
        let stable = |number| Member::stable(number, previous);
        let canary = Member::canary(version, previous);
        // The smallest weights that make the shares.
        let members = match reached {
            Reached::Five => vec![stable(1).weighing(19), stable(2).weighing(19), stable(3).standing_by(), canary.weighing(2)],
            Reached::Quarter => vec![stable(1).weighing(3), stable(2).weighing(3), stable(3).standing_by(), canary.weighing(2)],
            Reached::Half => vec![stable(1), stable(2).standing_by(), stable(3).standing_by(), canary],
            Reached::All => {
                vec![stable(1).standing_by(), stable(2).standing_by(), stable(3).standing_by(), canary.weighing(FULL)]
            }
        };
        Self::of(members).left_by_a_rollout()
    }

    /// The profile routes by priority, not by weight.
    #[must_use]
    pub fn unweighted(version: &str) -> Self {
        Self { routing: "Priority".to_owned(), ..Self::stable(version) }
    }

    /// With these weights, in the members' order, as another tool wrote them: 3 and 7, say. The profile names no rollout.
    #[must_use]
    pub fn with_weights(mut self, weights: &[u16]) -> Self {
        for (member, weight) in self.members.iter_mut().zip(weights) {
            member.weight = *weight;
        }
        Self { rollout_run: None, ..self }
    }

    /// With one more instance, behind an endpoint of its own.
    #[must_use]
    pub fn with(mut self, member: Member) -> Self {
        self.members.push(member);
        self
    }

    /// With this DNS time to live, in configured seconds.
    #[must_use]
    pub fn with_ttl(self, ttl: u32) -> Self {
        Self { ttl, ..self }
    }

    /// With this `relativeName`.
    #[must_use]
    pub fn with_dns_name(self, dns_name: &str) -> Self {
        Self { dns_name: dns_name.to_owned(), ..self }
    }

    fn left_by_a_rollout(self) -> Self {
        Self { rollout_run: Some(LEFT_RUN.to_owned()), ..self }
    }

    /// `trafficmanagerprofiles/tm-prod` as it would be written; `location` is the instances'.
    #[must_use]
    pub fn profile_body(&self, location: &str) -> Value {
        let targets: Vec<Target<'_>> = self
            .members
            .iter()
            .map(|member| Target {
                name: &member.name,
                host: profile::host(&member.name, location),
                state: member.endpoint,
                weight: member.weight,
            })
            .collect();
        let tags = match &self.rollout_run {
            None => json!({}),
            Some(run) => {
                let by = Runs { run: run.clone(), ..Runs::stable("") };
                json!({"deploy-action-rollout": by.rollout(ENVIRONMENT), "deploy-action-run": by.run_url()})
            }
        };
        profile::body(&profile::Head { dns_name: &self.dns_name, ttl: self.ttl, routing: &self.routing, tags }, &targets)
    }
}

impl World {
    /// Puts production into a state, and waits until its instances run and the monitor has found them. Each version is a git
    /// tag, too.
    ///
    /// # Errors
    /// What Azure would refuse the profile with.
    pub async fn seed_production(&self, production: &Production) -> io::Result<()> {
        for member in &production.members {
            if let Some(runs) = &member.runs {
                let digest = self.push_image(&runs.version);
                self.tag_commit(&runs.version, &runs.sha);
                let place = Place { environment: ENVIRONMENT, name: &member.name };
                self.write_group(GROUP, &member.name, instance::body(self, place, runs, &digest));
            }
        }
        self.settled().await;
        // They have run for long: Azure Monitor has numbers of them.
        let since = jiff::Timestamp::now() - std::time::Duration::from_secs(3600);
        production.members.iter().for_each(|member| self.running_since(GROUP, &member.name, since));
        match production.profile {
            Profile::There => {
                self.write_profile(GROUP, PROFILE, &production.profile_body(self.location())).map_err(io::Error::other)?;
                self.monitored(GROUP, PROFILE).await;
            }
            Profile::Missing => {}
        }
        Ok(())
    }

    /// The usual production: `version` in three stable instances, two of which serve.
    ///
    /// # Errors
    /// What Azure would refuse the profile with.
    pub async fn seed_prod(&self, version: &str) -> io::Result<()> {
        self.seed_production(&Production::stable(version)).await
    }
}
