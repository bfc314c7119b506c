//! What share of the traffic a profile's weights give each version. Counts no request: `load` does.

use std::collections::BTreeMap;

use super::{Azure, groups::Key};

/// The versions behind the enabled endpoints of a profile, each with its share between 0 and 1; what leads to no instance here
/// counts as a version without a name.
pub(crate) fn by_version(azure: &Azure, profile: &Key) -> BTreeMap<String, f64> {
    let mut weights: BTreeMap<String, u64> = BTreeMap::new();
    let endpoints = azure.profiles.get(profile).map_or(&[][..], |profile| &profile.endpoints);
    for endpoint in endpoints.iter().filter(|endpoint| endpoint.is_enabled()) {
        let target = endpoint.target();
        let is_there = |name: String| name.eq_ignore_ascii_case(target);
        let group = azure.groups.values().find(|group| group.fqdn(&azure.location).is_some_and(is_there));
        *weights.entry(group.map(|group| group.version()).unwrap_or_default()).or_default() += endpoint.weight();
    }
    let total: u64 = weights.values().sum();
    #[allow(clippy::cast_precision_loss, reason = "a few weights of at most a thousand each")]
    let share = |weight: u64| weight as f64 / total.max(1) as f64;
    weights.into_iter().map(|(version, weight)| (version, share(weight))).collect()
}

/// The largest share that any profile gives `version`, between 0 and 1.
pub(crate) fn of_version(azure: &Azure, version: &str) -> f64 {
    let shares = azure.profiles.keys().filter_map(|profile| by_version(azure, profile).remove(version));
    shares.fold(0.0, f64::max)
}

/// Whether some profile sends everybody to `version`, and nobody to a canary any more.
pub(crate) fn is_settled(azure: &Azure, version: &str) -> bool {
    let is_whole = |profile: &Key| by_version(azure, profile).into_keys().eq([version.to_owned()]);
    azure.profiles.iter().any(|(key, profile)| {
        let canary = profile.endpoints.iter().any(|endpoint| endpoint.is_enabled() && endpoint.name.contains("canary"));
        !canary && is_whole(key)
    })
}
