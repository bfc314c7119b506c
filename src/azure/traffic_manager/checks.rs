//! Whether shares can be set with a profile at all, and what of it makes a switch slow or blind. Pure.
//! Judges settings only: which endpoint is live, and whether it is healthy, is the plan's and the gate's.

use crate::{
    failure::{Failure, FailureKind},
    observe::{EndpointState, Probing, Profile, RoutingMethod},
};

/// Above this many seconds a switch takes too long to reach people for the runbook's "instant switch" (issue: blue-green
/// staging; Scenario 2, Step 5).
const LONGEST_TTL: u64 = 60;

/// Why no deployment can go through `profile` of the resource group `group`, where that is so: it does not route by weight,
/// it is switched off, or one of `ours` (the endpoints that the deployment switches, by name) cannot lead to a container
/// group. The failure says the command that mends it.
#[must_use]
pub fn refuse(profile: &Profile, group: &str, ours: &[&str]) -> Option<Failure> {
    let name = &profile.name;
    let refused = |what: String| {
        Failure::new(FailureKind::Azure, what, format!("Traffic Manager profile {group}/{name}")).meaning("nothing was touched")
    };
    let update = format!("az network traffic-manager profile update -g {} -n {}", quoted(group), quoted(name));
    if let RoutingMethod::Other(word) = &profile.routing {
        return Some(
            refused(format!("the profile routes by `{word}`, and shares can be set by weight only"))
                .next(format!("make it weighted: {update} --routing-method Weighted"))
                .next("give every endpoint that serves now its weight first: they share the traffic from then on"),
        );
    }
    if profile.state == EndpointState::Disabled {
        return Some(
            refused("the profile is switched off: its name resolves for nobody".into())
                .next(format!("switch it on: {update} --status Enabled")),
        );
    }
    let wrong = ours.iter().filter_map(|name| profile.endpoint(name)).find(|endpoint| !endpoint.is_external())?;
    let (endpoint, kind) = (&wrong.name, &wrong.kind);
    Some(
        refused(format!("its endpoint {endpoint} is one of `{kind}`, and a container group can stand behind an external endpoint only"))
            .next(format!(
                "delete it, and the Action adds it as it must be: az network traffic-manager endpoint delete -g {} --profile-name {} -n {} --type {}",
                quoted(group),
                quoted(name),
                quoted(endpoint),
                quoted(kind)
            ))
            .next("if it serves people now, give them another endpoint first"),
    )
}

/// What of `profile` a person should know before a deployment goes through it, with the command that mends it, a sentence
/// each: a TTL above 60 s, and those of `ours` that Azure does not probe.
#[must_use]
pub fn warnings(profile: &Profile, group: &str, ours: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    let (name, ttl) = (&profile.name, profile.ttl_seconds);
    if ttl > LONGEST_TTL {
        found.push(format!(
            "The DNS TTL of {name} is {ttl} s: for so long after a switch, or a rollback, people still reach the old instance. \
             Shorten it: az network traffic-manager profile update -g {} -n {} --ttl 10",
            quoted(group),
            quoted(name)
        ));
    }
    let blind = ours.iter().filter_map(|name| profile.endpoint(name)).filter(|endpoint| endpoint.probing == Probing::AlwaysServed);
    found.extend(blind.map(|endpoint| {
        format!(
            "Azure does not probe {endpoint} (alwaysServe): it gets traffic whether it serves or not. Have it probed: \
             az network traffic-manager endpoint update -g {} --profile-name {} -n {} --type {} --always-serve Disabled",
            quoted(group),
            quoted(name),
            quoted(&endpoint.name),
            quoted(&endpoint.kind),
            endpoint = endpoint.name,
        )
    }));
    found
}

/// `text` as one word of a shell: Azure allows spaces in an endpoint's name.
fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if !text.is_empty() && text.chars().all(plain) { text.to_owned() } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::azure::wire;

    fn profile(change: impl FnOnce(&mut Value)) -> Profile {
        let mut body = json!({
            "name": "tm-staging",
            "properties": {
                "profileStatus": "Enabled", "trafficRoutingMethod": "Weighted", "dnsConfig": {"ttl": 60},
                "endpoints": [{"name": "blue endpoint", "type": "Microsoft.Network/trafficManagerProfiles/externalEndpoints", "properties": {}}]
            }
        });
        change(&mut body["properties"]);
        wire::profile(&body).expect("a profile")
    }

    const OURS: [&str; 1] = ["Blue endpoint"];

    #[test]
    fn a_good_profile_is_neither_refused_nor_warned_of() {
        let good = profile(|_| {});
        assert_eq!((refuse(&good, "staging-nextgen", &OURS), warnings(&good, "staging-nextgen", &OURS)), (None, Vec::new()));
    }

    #[test]
    fn a_refusal_says_the_command_that_mends_it() {
        type Change = fn(&mut Value);
        let cases: [(Change, &str); 3] = [
            (
                |p| p["trafficRoutingMethod"] = json!("Priority"),
                "az network traffic-manager profile update -g staging-nextgen -n tm-staging --routing-method Weighted",
            ),
            (
                |p| p["profileStatus"] = json!("Disabled"),
                "az network traffic-manager profile update -g staging-nextgen -n tm-staging --status Enabled",
            ),
            (
                |p| p["endpoints"][0]["type"] = json!("Microsoft.Network/trafficManagerProfiles/azureEndpoints"),
                "az network traffic-manager endpoint delete -g staging-nextgen --profile-name tm-staging -n 'blue endpoint' --type azureEndpoints",
            ),
        ];
        for (change, command) in cases {
            let failure = refuse(&profile(change), "staging-nextgen", &OURS).expect("it is refused");
            assert!(failure.next[0].ends_with(command), "{failure}");
            assert_eq!(
                (failure.resource.as_str(), failure.consequence.as_str()),
                ("Traffic Manager profile staging-nextgen/tm-staging", "nothing was touched")
            );
        }
        let foreign = profile(|p| p["endpoints"][0]["type"] = json!("Microsoft.Network/trafficManagerProfiles/nestedEndpoints"));
        assert_eq!(refuse(&foreign, "staging-nextgen", &["green"]), None, "an endpoint that is not ours may be of any kind");
    }

    #[test]
    fn a_warning_says_the_command_that_mends_it() {
        let slow = warnings(&profile(|p| p["dnsConfig"]["ttl"] = json!(61)), "staging-nextgen", &OURS);
        assert!(
            slow.len() == 1 && slow[0].contains("61 s") && slow[0].ends_with("profile update -g staging-nextgen -n tm-staging --ttl 10"),
            "{slow:?}"
        );
        let blind = warnings(&profile(|p| p["endpoints"][0]["properties"]["alwaysServe"] = json!("Enabled")), "staging-nextgen", &OURS);
        assert!(blind.len() == 1 && blind[0].ends_with("-n 'blue endpoint' --type externalEndpoints --always-serve Disabled"), "{blind:?}");
    }

    #[test]
    fn a_name_is_one_word_of_a_shell() {
        assert_eq!((quoted("tm-1.a_b"), quoted("it's; rm"), quoted("")), ("tm-1.a_b".into(), r"'it'\''s; rm'".into(), "''".into()));
    }
}
