//! A Traffic Manager profile as data: what a body must hold, what of it is kept, and how it is given back.
//! Answers no request, and probes nothing.

use std::{ops::RangeInclusive, time::Duration};

use serde_json::{Map, Value, json};
use tokio::time::Instant;

use super::{body::Refusal, groups::Key};
use crate::shared::SUBSCRIPTION;

/// Names below which every profile's DNS name lies.
pub(crate) const DOMAIN: &str = "trafficmanager.net";

/// A profile.
#[derive(Debug, Clone)]
pub(crate) struct Profile {
    /// Its name as it was first written.
    pub(crate) name: String,
    pub(crate) tags: Map<String, Value>,
    /// `properties`, without the endpoints and without what Azure only reports.
    settings: Map<String, Value>,
    pub(crate) endpoints: Vec<Endpoint>,
    /// What the name servers still answer by, while a change does not reach them.
    pub(crate) stuck: Option<Box<Profile>>,
}

/// An endpoint of a profile.
#[derive(Debug, Clone)]
pub(crate) struct Endpoint {
    pub(crate) name: String,
    pub(crate) kind: Kind,
    properties: Map<String, Value>,
    pub(crate) health: Health,
    /// Failed probes in a row.
    pub(crate) failures: u64,
    /// When it is probed next; `None`: as soon as the monitor looks.
    pub(crate) due: Option<Instant>,
}

/// An endpoint's type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Azure,
    External,
    Nested,
}

impl Kind {
    const ALL: [Self; 3] = [Self::Azure, Self::External, Self::Nested];

    fn word(self) -> &'static str {
        match self {
            Self::Azure => "azureEndpoints",
            Self::External => "externalEndpoints",
            Self::Nested => "nestedEndpoints",
        }
    }

    /// By the last part of a type or path, in any case.
    pub(crate) fn named(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.word().eq_ignore_ascii_case(text))
    }
}

/// What the monitor knows of an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Health {
    Checking,
    Online,
    Degraded,
}

/// How a profile chooses among its endpoints. Those that need to know where a client is are played as "the first one".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Routing {
    Weighted,
    Priority,
    First,
}

/// What a probe does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Check {
    /// Asks for this path.
    Http(String),
    /// Asks over TLS, which no application here speaks.
    Https,
    /// Connects.
    Tcp,
}

/// What the monitor does (Microsoft: "Traffic Manager endpoint monitoring").
#[derive(Debug, Clone)]
pub(crate) struct Monitor {
    pub(crate) port: u16,
    pub(crate) check: Check,
    pub(crate) interval_seconds: u64,
    pub(crate) tolerated: u64,
    expected: Vec<(u64, u64)>,
}

impl Monitor {
    /// Whether a status is a healthy one: 200 alone, unless ranges are configured.
    pub(crate) fn accepts(&self, status: u16) -> bool {
        let status = u64::from(status);
        if self.expected.is_empty() { status == 200 } else { self.expected.iter().any(|(min, max)| (*min..=*max).contains(&status)) }
    }
}

fn bad(message: impl Into<String>) -> Refusal {
    ("BadRequest", message.into())
}

/// The right spelling of one of `words`.
fn one_of(value: Option<&Value>, what: &str, words: &[&'static str]) -> Result<&'static str, Refusal> {
    let given = value.and_then(Value::as_str).unwrap_or_default();
    words
        .iter()
        .find(|word| word.eq_ignore_ascii_case(given))
        .copied()
        .ok_or_else(|| bad(format!("The value '{given}' of '{what}' is invalid. Allowed values are: {}.", words.join(", "))))
}

fn whole(value: Option<&Value>, what: &str, range: RangeInclusive<u64>) -> Result<u64, Refusal> {
    value.and_then(Value::as_u64).filter(|number| range.contains(number)).ok_or_else(|| {
        let given = value.map_or_else(|| "(none)".to_owned(), Value::to_string);
        bad(format!("The value {given} of '{what}' is invalid. It must be a whole number from {} to {}.", range.start(), range.end()))
    })
}

fn given(fields: &Map<String, Value>, name: &str) -> bool {
    fields.get(name).is_some_and(|value| !value.is_null())
}

const SWITCH: [&str; 2] = ["Enabled", "Disabled"];
const METHODS: [&str; 6] = ["Performance", "Priority", "Weighted", "Geographic", "MultiValue", "Subnet"];

impl Profile {
    /// What a PUT's body makes; `before` is what it replaces. What Azure only reports may be in the body, and is ignored.
    pub(crate) fn read(name: &str, body: &Value, before: Option<&Self>) -> Result<Self, Refusal> {
        match body.get("location").and_then(Value::as_str) {
            None => return Err(("LocationRequired", "The location property is required for this definition.".into())),
            Some(location) if location.eq_ignore_ascii_case("global") => {}
            Some(location) => {
                let message = format!(
                    "The provided location '{location}' is not available for resource type 'Microsoft.Network/trafficManagerProfiles'. \
                     List of available regions for the resource type is 'global'."
                );
                return Err(("LocationNotAvailableForResourceType", message));
            }
        }
        let properties = body.get("properties").and_then(Value::as_object).ok_or_else(|| bad("The profile's 'properties' are missing."))?;
        let mut settings = properties.clone();
        for reported in ["endpoints", "provisioningState"] {
            settings.remove(reported);
        }
        let method = one_of(properties.get("trafficRoutingMethod"), "trafficRoutingMethod", &METHODS)?;
        settings.insert("trafficRoutingMethod".into(), json!(method));
        for (name, default) in [("profileStatus", "Enabled"), ("trafficViewEnrollmentStatus", "Disabled")] {
            let value = if given(properties, name) { one_of(properties.get(name), name, &SWITCH)? } else { default };
            settings.insert(name.into(), json!(value));
        }
        settings.insert("dnsConfig".into(), dns(properties.get("dnsConfig"))?);
        settings.insert("monitorConfig".into(), monitor(properties.get("monitorConfig"))?);
        let mut profile = Self {
            name: before.map_or_else(|| name.to_owned(), |before| before.name.clone()),
            tags: body.get("tags").and_then(Value::as_object).cloned().unwrap_or_default(),
            settings,
            endpoints: Vec::new(),
            stuck: None,
        };
        for item in properties.get("endpoints").and_then(Value::as_array).into_iter().flatten() {
            let kind = item.get("type").and_then(Value::as_str).and_then(|text| Kind::named(text.rsplit('/').next().unwrap_or_default()));
            let kind = kind.ok_or_else(|| bad(format!("The type {} of an endpoint is invalid.", item["type"])))?;
            let name = item.get("name").and_then(Value::as_str).filter(|name| !name.is_empty());
            let name = name.ok_or_else(|| bad("An endpoint has no name."))?;
            if profile.endpoint(kind, name).is_some() {
                return Err(bad(format!("The endpoint name '{name}' is used more than once.")));
            }
            let known = before.and_then(|before| before.endpoint(kind, name));
            profile.put(Endpoint::read(kind, name, &item["properties"], known)?)?;
        }
        Ok(profile)
    }

    /// What a PATCH makes of the profile: tags are replaced, settings laid over those there; endpoints need a PUT.
    pub(crate) fn patched(&self, patch: &Value) -> Result<Self, Refusal> {
        if patch.pointer("/properties/endpoints").is_some_and(|endpoints| !endpoints.is_null()) {
            return Err(bad("The endpoints of a profile cannot be updated with PATCH. Please use PUT instead."));
        }
        let mut body = json!({"location": "global", "tags": self.tags, "properties": self.settings});
        if let Some(tags) = patch.get("tags").filter(|tags| tags.is_object()) {
            body["tags"] = tags.clone();
        }
        if let Some(properties) = patch.get("properties") {
            merge(&mut body["properties"], properties);
        }
        Ok(Self { endpoints: self.endpoints.clone(), ..Self::read(&self.name, &body, Some(self))? })
    }

    pub(crate) fn endpoint(&self, kind: Kind, name: &str) -> Option<&Endpoint> {
        self.endpoints.iter().find(|endpoint| endpoint.kind == kind && endpoint.name.eq_ignore_ascii_case(name))
    }

    pub(crate) fn remove(&mut self, kind: Kind, name: &str) -> Option<Endpoint> {
        let place = self.endpoints.iter().position(|endpoint| endpoint.kind == kind && endpoint.name.eq_ignore_ascii_case(name))?;
        Some(self.endpoints.remove(place))
    }

    /// Adds an endpoint, or replaces the one of its name; Azure gives it a priority where it has none.
    pub(crate) fn put(&mut self, mut endpoint: Endpoint) -> Result<(), Refusal> {
        let same = |other: &Endpoint| other.kind == endpoint.kind && other.name.eq_ignore_ascii_case(&endpoint.name);
        let taken: Vec<u64> = self.endpoints.iter().filter(|other| !same(other)).filter_map(Endpoint::priority).collect();
        match endpoint.priority() {
            Some(priority) if taken.contains(&priority) => {
                return Err(bad(format!("The priority {priority} of the endpoint '{}' is used by another endpoint.", endpoint.name)));
            }
            Some(_) => {}
            None => {
                let free = (1..=1000).find(|priority| !taken.contains(priority)).unwrap_or(1000);
                endpoint.properties.insert("priority".into(), json!(free));
            }
        }
        match self.endpoints.iter_mut().find(|other| same(other)) {
            Some(other) => *other = endpoint,
            None => self.endpoints.push(endpoint),
        }
        Ok(())
    }

    pub(crate) fn relative_name(&self) -> &str {
        self.settings.get("dnsConfig").and_then(|dns| dns["relativeName"].as_str()).unwrap_or_default()
    }

    pub(crate) fn ttl_seconds(&self) -> u64 {
        self.settings.get("dnsConfig").and_then(|dns| dns["ttl"].as_u64()).unwrap_or_default()
    }

    pub(crate) fn routing(&self) -> Routing {
        match self.text("trafficRoutingMethod") {
            "Weighted" => Routing::Weighted,
            "Priority" => Routing::Priority,
            _ => Routing::First,
        }
    }

    pub(crate) fn is_enabled(&self) -> bool {
        self.text("profileStatus") == "Enabled"
    }

    fn text(&self, name: &str) -> &str {
        self.settings.get(name).and_then(Value::as_str).unwrap_or_default()
    }

    pub(crate) fn monitor(&self) -> Monitor {
        let config = self.settings.get("monitorConfig").unwrap_or(&Value::Null);
        let number = |name: &str, default| config[name].as_u64().unwrap_or(default);
        let expected = config["expectedStatusCodeRanges"].as_array().into_iter().flatten();
        Monitor {
            port: u16::try_from(number("port", 80)).unwrap_or(80),
            check: match config["protocol"].as_str() {
                Some("TCP") => Check::Tcp,
                Some("HTTPS") => Check::Https,
                _ => Check::Http(config["path"].as_str().unwrap_or("/").to_owned()),
            },
            interval_seconds: number("intervalInSeconds", 30),
            tolerated: number("toleratedNumberOfFailures", 3),
            expected: expected.map(|range| (range["min"].as_u64().unwrap_or(0), range["max"].as_u64().unwrap_or(u64::MAX))).collect(),
        }
    }

    /// The endpoints that a name server answers with: the enabled ones that are not degraded; all enabled ones where
    /// that leaves none (Microsoft: "if all enabled endpoints are degraded, all are returned").
    pub(crate) fn eligible(&self) -> Vec<&Endpoint> {
        if !self.is_enabled() {
            return Vec::new();
        }
        let enabled = || self.endpoints.iter().filter(|endpoint| endpoint.is_enabled());
        let well: Vec<&Endpoint> = enabled().filter(|endpoint| endpoint.health != Health::Degraded || endpoint.always_serves()).collect();
        if well.is_empty() { enabled().collect() } else { well }
    }

    fn endpoint_status(&self, endpoint: &Endpoint) -> &'static str {
        match () {
            () if !endpoint.is_enabled() => "Disabled",
            () if !self.is_enabled() => "Inactive",
            () if endpoint.always_serves() => "Unmonitored",
            () => match endpoint.health {
                Health::Checking => "CheckingEndpoint",
                Health::Online => "Online",
                Health::Degraded => "Degraded",
            },
        }
    }

    fn status(&self) -> &'static str {
        let statuses: Vec<&str> = self.endpoints.iter().map(|endpoint| self.endpoint_status(endpoint)).collect();
        match () {
            () if !self.is_enabled() => "Disabled",
            () if statuses.contains(&"Degraded") => "Degraded",
            () if statuses.iter().any(|status| matches!(*status, "Online" | "Unmonitored")) => "Online",
            () if statuses.contains(&"CheckingEndpoint") => "CheckingEndpoints",
            () => "Inactive",
        }
    }

    /// As it is given back.
    pub(crate) fn show(&self, key: &Key) -> Value {
        let mut properties = self.settings.clone();
        if let Some(dns) = properties.get_mut("dnsConfig") {
            dns["fqdn"] = json!(format!("{}.{DOMAIN}", self.relative_name()));
        }
        if let Some(monitor) = properties.get_mut("monitorConfig") {
            monitor["profileMonitorStatus"] = json!(self.status());
        }
        properties.insert("endpoints".into(), self.endpoints.iter().map(|endpoint| self.show_endpoint(key, endpoint)).collect());
        json!({
            "id": self.id(key), "name": self.name, "type": "Microsoft.Network/trafficManagerProfiles", "location": "global",
            "tags": self.tags, "properties": properties,
        })
    }

    /// An endpoint as it is given back.
    pub(crate) fn show_endpoint(&self, key: &Key, endpoint: &Endpoint) -> Value {
        let kind = endpoint.kind.word();
        let mut properties = endpoint.properties.clone();
        properties.insert("endpointMonitorStatus".into(), json!(self.endpoint_status(endpoint)));
        json!({
            "id": format!("{}/{kind}/{}", self.id(key), endpoint.name), "name": endpoint.name,
            "type": format!("Microsoft.Network/trafficManagerProfiles/{kind}"), "properties": properties,
        })
    }

    fn id(&self, key: &Key) -> String {
        let group = key.group();
        format!("/subscriptions/{SUBSCRIPTION}/resourceGroups/{group}/providers/Microsoft.Network/trafficManagerProfiles/{}", self.name)
    }
}

impl Endpoint {
    /// What a body makes; `before` is what it replaces. An endpoint that stays enabled with its target keeps its health.
    pub(crate) fn read(kind: Kind, name: &str, body: &Value, before: Option<&Self>) -> Result<Self, Refusal> {
        let mut properties = body.as_object().cloned().ok_or_else(|| bad(format!("The endpoint '{name}' has no properties.")))?;
        properties.retain(|name, value| name != "endpointMonitorStatus" && !value.is_null());
        for (name, default) in [("endpointStatus", "Enabled"), ("alwaysServe", "Disabled")] {
            let value = if given(&properties, name) { one_of(properties.get(name), name, &SWITCH)? } else { default };
            properties.insert(name.into(), json!(value));
        }
        let weight = if given(&properties, "weight") { whole(properties.get("weight"), "weight", 1..=1000)? } else { 1 };
        properties.insert("weight".into(), json!(weight));
        if given(&properties, "priority") {
            whole(properties.get("priority"), "priority", 1..=1000)?;
        }
        match kind {
            Kind::External => {
                let target = properties.get("target").and_then(Value::as_str).unwrap_or_default();
                if !is_host(target) {
                    return Err(bad(format!("The target '{target}' of the endpoint '{name}' is neither a domain name nor an IP address.")));
                }
            }
            Kind::Azure | Kind::Nested => {
                let id = properties.get("targetResourceId").and_then(Value::as_str).unwrap_or_default().to_ascii_lowercase();
                // A container group is none of them: it can only be an external endpoint.
                let allowed: &[&str] = match kind {
                    Kind::Nested => &["microsoft.network/trafficmanagerprofiles"],
                    Kind::Azure | Kind::External => {
                        &["microsoft.network/publicipaddresses", "microsoft.web/sites", "microsoft.classiccompute/domainnames"]
                    }
                };
                if !allowed.iter().any(|kind| id.contains(&format!("/providers/{kind}/"))) {
                    return Err(bad(format!("The targetResourceId '{id}' of the endpoint '{name}' is not of a supported resource type.")));
                }
            }
        }
        let new = Self { name: name.to_owned(), kind, properties, health: Health::Checking, failures: 0, due: None };
        let goes_on = |before: &&Self| before.is_enabled() && new.is_enabled() && before.target() == new.target();
        Ok(match before.filter(goes_on) {
            Some(before) => Self { name: before.name.clone(), health: before.health, failures: before.failures, due: before.due, ..new },
            None => new,
        })
    }

    /// The endpoint's properties with `patch` laid over them.
    pub(crate) fn merged(&self, patch: &Value) -> Value {
        let mut properties = Value::Object(self.properties.clone());
        merge(&mut properties, patch);
        properties
    }

    pub(crate) fn is_enabled(&self) -> bool {
        self.properties.get("endpointStatus").is_some_and(|status| status == "Enabled")
    }

    pub(crate) fn always_serves(&self) -> bool {
        self.properties.get("alwaysServe").is_some_and(|serves| serves == "Enabled")
    }

    pub(crate) fn target(&self) -> &str {
        self.properties.get("target").and_then(Value::as_str).unwrap_or_default()
    }

    pub(crate) fn weight(&self) -> u64 {
        self.properties.get("weight").and_then(Value::as_u64).unwrap_or(1)
    }

    pub(crate) fn priority(&self) -> Option<u64> {
        self.properties.get("priority").and_then(Value::as_u64)
    }

    /// Takes a probe's result, and says when the next one is due.
    pub(crate) fn probed(&mut self, result: Probed, tolerated: u64, next: Duration) {
        match result {
            Probed::Well => {
                self.failures = 0;
                self.health = Health::Online;
            }
            Probed::Failed => {
                self.failures += 1;
                if self.failures > tolerated {
                    self.health = Health::Degraded;
                }
            }
        }
        self.due = Some(Instant::now() + next);
    }
}

/// What a probe found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Probed {
    Well,
    Failed,
}

fn dns(config: Option<&Value>) -> Result<Value, Refusal> {
    let config = config.and_then(Value::as_object).ok_or_else(|| bad("The profile's 'dnsConfig' is missing."))?;
    let name = config.get("relativeName").and_then(Value::as_str).unwrap_or_default();
    let label = |c: char| c.is_ascii_alphanumeric() || c == '-';
    if name.is_empty() || name.len() > 63 || !name.chars().all(label) || name.starts_with('-') || name.ends_with('-') {
        return Err(bad(format!("The relative DNS name '{name}' of the profile is invalid.")));
    }
    let ttl = if given(config, "ttl") { whole(config.get("ttl"), "ttl", 0..=2_147_483_647)? } else { 60 };
    Ok(json!({"relativeName": name, "ttl": ttl}))
}

/// Microsoft, "Traffic Manager endpoint monitoring": every 30 s with 5 to 10 s to answer, or every 10 s with 5 to 9.
fn monitor(config: Option<&Value>) -> Result<Value, Refusal> {
    let mut config = config.and_then(Value::as_object).cloned().ok_or_else(|| bad("The profile's 'monitorConfig' is missing."))?;
    config.retain(|name, value| name != "profileMonitorStatus" && !value.is_null());
    let protocol = one_of(config.get("protocol"), "monitorConfig.protocol", &["HTTP", "HTTPS", "TCP"])?;
    whole(config.get("port"), "monitorConfig.port", 1..=65_535)?;
    let path = config.get("path").and_then(Value::as_str).unwrap_or_default();
    match protocol {
        "TCP" if !path.is_empty() => return Err(bad("The monitor's path must be empty where the protocol is TCP.")),
        "TCP" => {}
        _ if path.starts_with('/') => {}
        _ => return Err(bad(format!("The monitor's path '{path}' must begin with '/'."))),
    }
    config.insert("protocol".into(), json!(protocol));
    let interval = config.entry("intervalInSeconds").or_insert(json!(30)).as_u64();
    let (longest, usual) = match interval {
        Some(30) => (10, 10),
        Some(10) => (9, 9),
        _ => return Err(bad(format!("The value {} of 'intervalInSeconds' is invalid. It must be 10 or 30.", config["intervalInSeconds"]))),
    };
    config.entry("timeoutInSeconds").or_insert(json!(usual));
    whole(config.get("timeoutInSeconds"), "timeoutInSeconds", 5..=longest)?;
    config.entry("toleratedNumberOfFailures").or_insert(json!(3));
    whole(config.get("toleratedNumberOfFailures"), "toleratedNumberOfFailures", 0..=9)?;
    Ok(Value::Object(config))
}

fn is_host(text: &str) -> bool {
    let label =
        |label: &str| !label.is_empty() && label.len() <= 63 && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_');
    text.parse::<std::net::IpAddr>().is_ok() || (text.contains('.') && text.split('.').all(label))
}

/// Lays `over` over `base`, object by object.
fn merge(base: &mut Value, over: &Value) {
    match (base, over) {
        (Value::Object(base), Value::Object(over)) => {
            for (name, value) in over {
                merge(base.entry(name).or_insert(Value::Null), value);
            }
        }
        (base, over) => *base = over.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body() -> Value {
        json!({
            "location": "global",
            "properties": {
                "trafficRoutingMethod": "Weighted",
                "dnsConfig": {"relativeName": "nextgen-staging", "ttl": 10},
                "monitorConfig": {"protocol": "HTTP", "port": 3000, "path": "/health", "intervalInSeconds": 10, "timeoutInSeconds": 5},
                "endpoints": [
                    endpoint("blue-endpoint", "Enabled"), endpoint("green-endpoint", "Disabled"),
                ],
            },
        })
    }

    fn endpoint(name: &str, status: &str) -> Value {
        json!({
            "name": name, "type": "Microsoft.Network/trafficManagerProfiles/ExternalEndpoints",
            "properties": {"target": format!("{name}.westeurope.azurecontainer.io"), "endpointStatus": status, "weight": 100},
        })
    }

    fn with(path: &str, value: Value) -> Result<Profile, Refusal> {
        let mut body = body();
        *body.pointer_mut(path).unwrap() = value;
        Profile::read("tm-staging", &body, None)
    }

    #[test]
    fn what_azure_refuses_is_refused() {
        assert!(Profile::read("tm-staging", &body(), None).is_ok());
        for (path, value, word) in [
            ("/location", json!("westeurope"), "'global'"),
            ("/properties/trafficRoutingMethod", json!("RoundRobin"), "Weighted"),
            ("/properties/dnsConfig/relativeName", json!("a.b"), "relative DNS name"),
            ("/properties/dnsConfig/ttl", json!(2_147_483_648_u64), "2147483647"),
            ("/properties/monitorConfig/protocol", json!("UDP"), "HTTPS"),
            ("/properties/monitorConfig/intervalInSeconds", json!(20), "10 or 30"),
            ("/properties/monitorConfig/timeoutInSeconds", json!(10), "from 5 to 9"),
            ("/properties/monitorConfig/path", json!("health"), "begin with"),
            ("/properties/endpoints/0/properties/weight", json!(0), "from 1 to 1000"),
            ("/properties/endpoints/0/properties/weight", json!(1001), "from 1 to 1000"),
            ("/properties/endpoints/0/properties/target", json!("https://x.y/"), "neither a domain name"),
            ("/properties/endpoints/0/properties/endpointStatus", json!("On"), "Enabled, Disabled"),
            ("/properties/endpoints/0/type", json!("Microsoft.Network/trafficManagerProfiles"), "type"),
            ("/properties/endpoints/0/name", json!("GREEN-endpoint"), "more than once"),
        ] {
            let (_, message) = with(path, value.clone()).expect_err(path);
            assert!(message.contains(word), "{path} = {value}: {message}");
        }
    }

    #[test]
    fn a_container_group_can_only_be_an_external_endpoint() {
        let id = format!("/subscriptions/{SUBSCRIPTION}/resourceGroups/g/providers/Microsoft.ContainerInstance/containerGroups/c");
        let refused = Endpoint::read(Kind::Azure, "x", &json!({"targetResourceId": id}), None).unwrap_err();
        assert!(refused.1.contains("supported resource type"), "{}", refused.1);
        let id = id.replace("Microsoft.ContainerInstance/containerGroups", "Microsoft.Network/publicIPAddresses");
        assert!(Endpoint::read(Kind::Azure, "x", &json!({"targetResourceId": id}), None).is_ok());
    }

    #[test]
    fn a_put_of_the_document_as_read_changes_nothing() {
        let key = Key::new("staging-nextgen", "tm-staging");
        let first = Profile::read("tm-staging", &body(), None).unwrap();
        let shown = first.show(&key);
        assert_eq!(shown["properties"]["dnsConfig"]["fqdn"], "nextgen-staging.trafficmanager.net");
        let again = Profile::read("TM-STAGING", &shown, Some(&first)).unwrap();
        assert_eq!(again.show(&key), shown);
    }

    #[test]
    fn statuses_follow_what_is_enabled_and_what_the_monitor_found() {
        let key = Key::new("staging-nextgen", "tm-staging");
        let mut profile = Profile::read("tm-staging", &body(), None).unwrap();
        let statuses = |profile: &Profile| {
            let shown = profile.show(&key);
            let of = |n: usize| shown["properties"]["endpoints"][n]["properties"]["endpointMonitorStatus"].as_str().unwrap().to_owned();
            (of(0), of(1), shown["properties"]["monitorConfig"]["profileMonitorStatus"].as_str().unwrap().to_owned())
        };
        let is = |a: &str, b: &str, c: &str| (a.to_owned(), b.to_owned(), c.to_owned());
        assert_eq!(statuses(&profile), is("CheckingEndpoint", "Disabled", "CheckingEndpoints"));
        profile.endpoints[0].probed(Probed::Well, 0, Duration::ZERO);
        assert_eq!(statuses(&profile), is("Online", "Disabled", "Online"));
        profile.endpoints[0].probed(Probed::Failed, 1, Duration::ZERO);
        assert_eq!(statuses(&profile).0, "Online", "one failure is tolerated");
        profile.endpoints[0].probed(Probed::Failed, 1, Duration::ZERO);
        assert_eq!(statuses(&profile), is("Degraded", "Disabled", "Degraded"));
        // Disabled and enabled again, it is checked anew, and gets traffic meanwhile.
        let mut off = profile.show(&key);
        off["properties"]["endpoints"][0]["properties"]["endpointStatus"] = json!("Disabled");
        let off = Profile::read("tm-staging", &off, Some(&profile)).unwrap();
        assert_eq!(statuses(&off), is("Disabled", "Disabled", "Inactive"));
        assert!(off.eligible().is_empty());
        let on = Profile::read("tm-staging", &body(), Some(&off)).unwrap();
        assert_eq!(statuses(&on), is("CheckingEndpoint", "Disabled", "CheckingEndpoints"));
        assert_eq!(on.eligible().len(), 1);
        let mut always = body();
        always["properties"]["endpoints"][0]["properties"]["alwaysServe"] = json!("enabled");
        assert_eq!(statuses(&Profile::read("tm-staging", &always, None).unwrap()).0, "Unmonitored");
    }

    #[test]
    fn a_degraded_endpoint_gets_no_traffic_unless_all_are() {
        let mut body = body();
        body["properties"]["endpoints"][1]["properties"]["endpointStatus"] = json!("Enabled");
        let mut profile = Profile::read("tm-staging", &body, None).unwrap();
        let names = |profile: &Profile| profile.eligible().iter().map(|endpoint| endpoint.name.clone()).collect::<Vec<_>>();
        assert_eq!(names(&profile), ["blue-endpoint", "green-endpoint"], "an endpoint that is being checked gets traffic");
        profile.endpoints[0].probed(Probed::Failed, 0, Duration::ZERO);
        assert_eq!(names(&profile), ["green-endpoint"]);
        profile.endpoints[1].probed(Probed::Failed, 0, Duration::ZERO);
        assert_eq!(names(&profile), ["blue-endpoint", "green-endpoint"]);
    }

    #[test]
    fn a_patch_lays_settings_over_and_refuses_endpoints() {
        let key = Key::new("staging-nextgen", "tm-staging");
        let profile = Profile::read("tm-staging", &body(), None).unwrap();
        let patched = profile.patched(&json!({"tags": {"a": "b"}, "properties": {"dnsConfig": {"ttl": 60}}})).unwrap();
        let shown = patched.show(&key);
        assert_eq!((&shown["tags"], patched.ttl_seconds(), patched.relative_name()), (&json!({"a": "b"}), 60, "nextgen-staging"));
        assert_eq!(patched.endpoints.len(), 2);
        assert!(profile.patched(&json!({"properties": {"endpoints": []}})).unwrap_err().1.contains("use PUT"));
        let weight = profile.endpoints[0].merged(&json!({"weight": 7}));
        let endpoint = Endpoint::read(Kind::External, "blue-endpoint", &weight, Some(&profile.endpoints[0])).unwrap();
        assert_eq!((endpoint.weight(), endpoint.target()), (7, "blue-endpoint.westeurope.azurecontainer.io"));
    }
}
