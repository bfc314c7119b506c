//! The name servers: which address a name has, and which endpoint a profile's name leads to now.
//! Keeps nothing: whoever asks caches the answer for its time to live.

use std::{
    fmt,
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use crate::{
    arm::{
        groups::Key,
        profile::{Endpoint, Routing},
    },
    dice::Dice,
    fault::{Fault, Moment},
    shared::{Shared, lock},
};

/// Where a name leads.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    pub(crate) ip: Ipv4Addr,
    pub(crate) port: u16,
    /// The instance there, and since when it lives; `None` for an address of nobody here.
    pub(crate) instance: Option<Key>,
    pub(crate) born: Option<Moment>,
}

/// An answer, for `ttl` (on the world's clock).
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) address: SocketAddr,
    /// The name of the instance, or the address.
    pub(crate) instance: String,
    pub(crate) ttl: Duration,
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Unanswered {
    UnknownProfile(String),
    NothingEnabled(String),
    UnknownHost(String),
}

impl fmt::Display for Unanswered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownProfile(name) => write!(f, "there is no profile {name}"),
            Self::NothingEnabled(name) => write!(f, "no endpoint of {name} is enabled"),
            Self::UnknownHost(target) => write!(f, "{target} has no address"),
        }
    }
}

/// The address of a host: an instance's name, its address, or nothing that this world knows.
pub(crate) fn resolve(shared: &Shared, host: &str) -> Option<Place> {
    let azure = lock(&shared.azure);
    let literal = host.parse::<Ipv4Addr>().ok();
    let is_it = |(_, group): &(&Key, &crate::arm::groups::Group)| {
        literal == Some(group.ip) || group.fqdn(&azure.location).is_some_and(|name| name.eq_ignore_ascii_case(host))
    };
    match azure.groups.iter().find(is_it) {
        Some((key, group)) => Some(Place { ip: group.ip, port: group.port(), instance: Some(key.clone()), born: Some(group.born) }),
        None => literal.map(|ip| Place { ip, port: 80, instance: None, born: None }),
    }
}

/// Asks for the name of a profile.
pub(crate) fn ask(shared: &Shared, profile: &Key, dice: &mut Dice) -> Result<Answer, Unanswered> {
    let (target, ttl) = {
        let azure = lock(&shared.azure);
        let known = azure.profiles.get(profile).ok_or_else(|| Unanswered::UnknownProfile(profile.name().to_owned()))?;
        let served = match &known.stuck {
            Some(stuck) if shared.faults.is_on(Fault::SwitchWithoutEffect) => stuck,
            Some(_) | None => known,
        };
        let chosen = choose(&served.eligible(), served.routing(), dice);
        let target = chosen.map(|endpoint| endpoint.target().to_owned());
        (target.ok_or_else(|| Unanswered::NothingEnabled(profile.name().to_owned()))?, served.ttl_seconds())
    };
    let place = resolve(shared, &target).ok_or(Unanswered::UnknownHost(target))?;
    Ok(Answer {
        address: SocketAddr::from((place.ip, place.port)),
        instance: place.instance.map_or_else(|| place.ip.to_string(), |key| key.name().to_owned()),
        ttl: shared.seconds(ttl),
    })
}

fn choose<'a>(endpoints: &[&'a Endpoint], routing: Routing, dice: &mut Dice) -> Option<&'a Endpoint> {
    match routing {
        Routing::First => endpoints.first().copied(),
        Routing::Priority => endpoints.iter().min_by_key(|endpoint| endpoint.priority().unwrap_or(u64::MAX)).copied(),
        Routing::Weighted => {
            let mut drawn = dice.below(endpoints.iter().map(|endpoint| endpoint.weight()).sum());
            endpoints.iter().copied().find(|endpoint| {
                let is_it = drawn < endpoint.weight();
                drawn = drawn.saturating_sub(endpoint.weight());
                is_it
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Options, Production, Reached, World, router};

    /// How many of a thousand draws of the same seed lead to each instance.
    fn drawn(world: &World) -> Vec<(String, usize)> {
        let mut dice = Dice::new(7);
        let draws: Vec<String> = (0..1000).map(|_| ask(world.shared(), &router::profile("prod"), &mut dice).unwrap().instance).collect();
        let names = ["prod-stable-1", "prod-stable-2", "prod-stable-3", "prod-canary-1"];
        let count = |name: &str| draws.iter().filter(|drawn| *drawn == name).count();
        names.map(|name| (name.to_owned(), count(name))).into_iter().filter(|(_, count)| *count > 0).collect()
    }

    #[tokio::test]
    async fn draws_follow_the_weights_over_all_enabled_endpoints() {
        for (reached, stable) in [(Reached::Five, 2), (Reached::Quarter, 2), (Reached::Half, 1), (Reached::All, 0)] {
            let world = World::start(Options::quick()).await.unwrap();
            world.seed_production(&Production::halfway(reached, "v0.9.5", "v1.0.0")).await.unwrap();
            let drawn = drawn(&world);
            let canary = drawn.iter().find(|(name, _)| name == "prod-canary-1").map_or(0, |(_, count)| *count);
            // Of a thousand draws; 20 are nearly three standard deviations at 5 %, and more than one at 50 %.
            assert!(canary.abs_diff(reached.percent() as usize * 10) <= 20, "{reached:?}: {drawn:?}");
            let others: Vec<usize> = drawn.iter().filter(|(name, _)| name != "prod-canary-1").map(|(_, count)| *count).collect();
            assert_eq!(others.len(), stable, "{drawn:?}");
            assert!(others.iter().max().unwrap_or(&0) - others.iter().min().unwrap_or(&0) <= 80, "{drawn:?}");
        }
    }
}
