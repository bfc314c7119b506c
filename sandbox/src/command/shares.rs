//! The shares that the weights gave a version of production one after another, and what people met meanwhile.

use sandbox::{
    Seen, World,
    load::{Tally, Working},
};

pub(crate) const GROUP: &str = "prod-nextgen";
pub(crate) const PROFILE: &str = "tm-prod";

/// What had been met when the weights gave a version a share.
pub(crate) struct Stretch {
    /// The share that began then, between 0 and 1.
    intended: f64,
    /// Requests answered by it until then.
    new: Tally,
    /// All requests until then.
    total: Tally,
}

/// Notes what people had met each time that the share of `version` is changed; never ends by itself.
pub(crate) async fn follow(world: &World, people: &Working, version: &str, stretches: &mut Vec<Stretch>) {
    let intended = || world.intended_shares(GROUP, PROFILE).get(version).copied().unwrap_or_default();
    let mut last = intended();
    loop {
        world.until_profile(GROUP, PROFILE, |_| differs(intended(), last)).await;
        last = intended();
        let seen = people.snapshot();
        stretches.push(Stretch { intended: last, new: seen.version(version), total: seen.total });
    }
}

fn differs(one: f64, other: f64) -> bool {
    (one - other).abs() > 1e-9
}

/// Each share that was asked for, and the part of all requests that met the version until the next.
pub(crate) fn show(version: &str, stretches: &[Stretch], seen: &Seen) {
    if stretches.is_empty() {
        return;
    }
    println!("\nShares of {version} by the weights, and what people met, the time that DNS answers live included:");
    let ends = stretches.iter().skip(1).map(|next| (next.new, next.total)).chain([(seen.version(version), seen.total)]);
    for (stretch, (new, total)) in stretches.iter().zip(ends) {
        let (met, of) = (new.requests - stretch.new.requests, total.requests - stretch.total.requests);
        #[allow(clippy::cast_precision_loss, reason = "requests of a minute")]
        let realised = met as f64 / of.max(1) as f64;
        println!("  {:>5.1} %: met by {:>5.1} % of {of} requests", stretch.intended * 100.0, realised * 100.0);
    }
}
