//! Azure Monitor's metrics of a container group (Microsoft: "Supported metrics for Microsoft.ContainerInstance/containerGroups",
//! REST API "Metrics - List"): CPU in millicores, memory in bytes, a number a minute. Nothing about HTTP: Azure has none.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};

use super::{
    error,
    groups::{Group, Key},
};
use crate::{
    afflicted,
    server::{Call, Reply},
    shared::{SUBSCRIPTION, Shared, lock},
};

/// The finest grain there is, in seconds.
const MINUTE: i64 = 60;
/// The grains that can be asked for.
const GRAINS: [(&str, i64); 5] = [("PT1M", 60), ("PT5M", 300), ("PT15M", 900), ("PT30M", 1800), ("PT1H", 3600)];
/// What is summed up over a grain; of a number that does not change all are the same.
const AGGREGATIONS: [&str; 3] = ["average", "minimum", "maximum"];
/// The most points that are given.
const POINTS: usize = 10_000;

/// A metric.
#[derive(Clone, Copy)]
enum Metric {
    Cpu,
    Memory,
}

impl Metric {
    const ALL: [Self; 2] = [Self::Cpu, Self::Memory];

    const fn name(self) -> &'static str {
        match self {
            Self::Cpu => "CpuUsage",
            Self::Memory => "MemoryUsage",
        }
    }

    const fn words(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::Cpu => ("CPU Usage", "Count", "CPU usage on all cores in millicores."),
            Self::Memory => ("Memory Usage", "Bytes", "Total memory usage in byte."),
        }
    }

    /// What a group uses: the used part of what it was given; a GB of memory has 1024³ bytes.
    fn used(self, group: &Group, cpu: f64, memory: f64) -> f64 {
        let given = |name: &str| {
            let path = format!("/properties/containers/0/properties/resources/requests/{name}");
            group.body.pointer(&path).and_then(Value::as_f64).unwrap_or_default()
        };
        match self {
            Self::Cpu => (cpu * given("cpu") * 1000.0).round(),
            Self::Memory => (memory * given("memoryInGB") * 1024.0 * 1024.0 * 1024.0).round(),
        }
    }
}

/// What is asked for.
struct Query {
    metrics: Vec<Metric>,
    from: Timestamp,
    to: Timestamp,
    grain: (&'static str, i64),
    aggregations: Vec<&'static str>,
}

impl Query {
    fn read(call: &Call) -> Result<Self, String> {
        let names = call.query("metricnames").unwrap_or(Metric::Cpu.name());
        let metric = |name: &str| {
            Metric::ALL.into_iter().find(|metric| metric.name().eq_ignore_ascii_case(name)).ok_or_else(|| {
                format!(
                    "Failed to find metric configuration for provider: Microsoft.ContainerInstance, resource Type: containerGroups, \
                     metric: {name}, Valid metrics: CpuUsage,MemoryUsage"
                )
            })
        };
        let metrics = names.split(',').map(|name| metric(name.trim())).collect::<Result<_, _>>()?;
        let now = Timestamp::now();
        let (from, to) = match call.query("timespan") {
            None => (now - SignedDuration::from_hours(1), now),
            Some(text) => {
                // Microsoft's own client encodes it twice.
                let plain = text.replace("%3A", ":").replace("%2F", "/");
                let parts = plain.split_once('/').and_then(|(from, to)| Some((time(from)?, time(to)?)));
                parts.filter(|(from, to): &(Timestamp, Timestamp)| from < to).ok_or_else(|| format!("Invalid timespan: {text}"))?
            }
        };
        let asked = call.query("interval").unwrap_or("PT1M");
        let grain = GRAINS.into_iter().find(|(name, _)| *name == asked).ok_or_else(|| format!("Invalid interval: {asked}"))?;
        let aggregation = |name: &str| {
            let known = AGGREGATIONS.into_iter().find(|known| known.eq_ignore_ascii_case(name));
            known.ok_or_else(|| format!("Invalid aggregation: {name}"))
        };
        let asked = call.query("aggregation").unwrap_or("average").split(',');
        let aggregations = asked.map(|name| aggregation(name.trim())).collect::<Result<_, _>>()?;
        Ok(Self { metrics, from, to, grain, aggregations })
    }

    /// The beginnings of the grains, in seconds since 1970.
    fn grains(&self) -> impl Iterator<Item = i64> {
        let grain = self.grain.1;
        let first = self.from.as_second().div_euclid(grain) * grain;
        (0..).map(move |n| first + n * grain).take_while(|begin| *begin < self.to.as_second()).take(POINTS)
    }
}

/// A time; one that does not say where is UTC.
fn time(text: &str) -> Option<Timestamp> {
    text.parse().or_else(|_| format!("{text}Z").parse()).ok()
}

/// Answers for the group `key`.
pub(crate) fn metrics(shared: &Shared, call: &Call, key: &Key) -> Reply {
    let query = match Query::read(call) {
        Ok(query) => query,
        Err(message) => return error(shared, 400, "BadRequest", message),
    };
    let azure = lock(&shared.azure);
    let Some(group) = azure.groups.get(key) else {
        let message = format!("The Resource 'Microsoft.ContainerInstance/containerGroups/{}' was not found.", key.name());
        return error(shared, 404, "ResourceNotFound", message);
    };
    let behaviour = afflicted::behaviour(shared, &azure, key, &group.version());
    let started = started(shared, group);
    // The one dimension there is. A group here has one container, so that asking for it changes no number.
    let by_container = call.query("$filter").is_some_and(|filter| filter.to_ascii_lowercase().contains("containername"));
    let container = group.body.pointer("/properties/containers/0/name").cloned().unwrap_or_default();
    let dimensions = if by_container {
        json!([{"name": {"value": "containername", "localizedValue": "containername"}, "value": container}])
    } else {
        json!([])
    };
    let value: Vec<Value> = query
        .metrics
        .iter()
        .map(|metric| {
            let used = metric.used(group, behaviour.cpu, behaviour.memory);
            let data: Vec<Value> = query.grains().map(|begin| point(&query, begin, started, used)).collect();
            let (words, unit, description) = metric.words();
            let name = metric.name();
            json!({
                "id": format!(
                    "/subscriptions/{SUBSCRIPTION}/resourceGroups/{}/providers/Microsoft.ContainerInstance/containerGroups/{}/providers/\
                     Microsoft.Insights/metrics/{name}",
                    key.group(), key.name()
                ),
                "type": "Microsoft.Insights/metrics", "name": {"value": name, "localizedValue": words}, "displayDescription": description,
                "unit": unit, "timeseries": [{"metadatavalues": dimensions, "data": data}], "errorCode": "Success",
            })
        })
        .collect();
    let timespan = format!("{}/{}", second(query.from), second(query.to));
    let answer = json!({
        "cost": 0, "timespan": timespan, "interval": query.grain.0, "value": value, "namespace": "Microsoft.ContainerInstance/containerGroups",
        "resourceregion": azure.location,
    });
    Reply::json(200, &answer)
}

/// When the group's container started, once Azure has numbers of it: a minute later, on the world's clock.
fn started(shared: &Shared, group: &Group) -> Option<Timestamp> {
    let since: Timestamp = group.container.current.get("startTime")?.as_str()?.parse().ok()?;
    let lived = Timestamp::now().duration_since(since).unsigned_abs();
    (lived >= shared.seconds(MINUTE.unsigned_abs())).then_some(since)
}

/// A point; one of a time at which there is nothing to tell has no numbers.
fn point(query: &Query, begin: i64, started: Option<Timestamp>, used: f64) -> Value {
    let at = Timestamp::from_second(begin).unwrap_or_default();
    let mut fields = Map::from_iter([("timeStamp".to_owned(), json!(second(at)))]);
    if started.is_some_and(|started| begin + query.grain.1 > started.as_second()) {
        fields.extend(query.aggregations.iter().map(|name| ((*name).to_owned(), json!(used))));
    }
    Value::Object(fields)
}

fn second(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{Behaviour, Options, Who, World, entra};

    fn ask(world: &World, query: &str) -> (u16, Value) {
        let shared = world.shared();
        let path = format!(
            "/subscriptions/{SUBSCRIPTION}/resourceGroups/prod-nextgen/providers/Microsoft.ContainerInstance/containerGroups/prod-stable-1\
             /providers/microsoft.insights/metrics?api-version=2023-10-01{query}"
        );
        crate::arm::handle(shared, &Call::of("GET", &path, &entra::access_token(shared), &Value::Null)).read()
    }

    async fn world(second: Duration) -> World {
        let world = World::start(Options { second, ..Options::quick() }).await.unwrap();
        world.seed_prod("v0.9.5").await.unwrap();
        // Just started, not as the seed has it.
        for number in 1..=3 {
            world.running_since("prod-nextgen", &format!("prod-stable-{number}"), Timestamp::now());
        }
        world
    }

    #[tokio::test]
    async fn what_is_used_is_told_by_the_minute_in_millicores_and_bytes() {
        let world = world(Duration::ZERO).await;
        world.behave(Who::version("v0.9.5"), Behaviour { cpu: 0.97, memory: 0.5, ..Behaviour::default() });
        let (from, to) = (Timestamp::now() - SignedDuration::from_mins(3), Timestamp::now() + SignedDuration::from_secs(1));
        assert_eq!(ask(&world, "&timespan=2026-11-24T21%253A24%253A56.0473%252F2026-11-24T22%253A24%253A56").0, 200, "as az sends it");
        let (status, answer) = ask(&world, &format!("&metricnames=CpuUsage,MemoryUsage&timespan={from}/{to}&aggregation=Average,Maximum"));
        assert_eq!((status, &answer["interval"]), (200, &json!("PT1M")), "{answer}");
        for (metric, unit, used) in [(0, "Count", 970.0), (1, "Bytes", 536_870_912.0)] {
            let shown = &answer["value"][metric];
            let data = shown["timeseries"][0]["data"].as_array().unwrap();
            assert!((3..=4).contains(&(data.len() - 1)), "{data:?}");
            let last = data.last().unwrap();
            assert_eq!((&shown["unit"], &last["average"], &last["maximum"]), (&json!(unit), &json!(used), &json!(used)));
            assert!(last["timeStamp"].as_str().unwrap().ends_with(":00Z"), "{last}");
            assert!(data[0].get("average").is_none(), "there was no instance yet: {}", data[0]);
        }
    }

    #[tokio::test]
    async fn containers_are_told_apart_where_that_is_asked() {
        let world = world(Duration::ZERO).await;
        let (_, answer) = ask(&world, "&metricnames=MemoryUsage&$filter=containerName%20eq%20%27*%27");
        let series = &answer["value"][0]["timeseries"][0];
        assert_eq!(series["metadatavalues"][0]["value"], json!("prod-stable-1"), "{series}");
    }

    #[tokio::test]
    async fn of_a_new_instance_there_is_nothing_for_a_minute() {
        let world = world(Duration::from_secs(1000)).await;
        let (_, answer) = ask(&world, "&metricnames=CpuUsage");
        let data = answer["value"][0]["timeseries"][0]["data"].as_array().unwrap();
        assert!(!data.is_empty() && data.iter().all(|point| point.get("average").is_none()), "{data:?}");
    }

    #[tokio::test]
    async fn what_azure_does_not_have_is_refused() {
        let world = world(Duration::ZERO).await;
        for query in ["&metricnames=Requests", "&interval=PT10S", "&timespan=yesterday", "&aggregation=p99"] {
            let (status, answer) = ask(&world, query);
            assert_eq!((status, &answer["error"]["code"]), (400, &json!("BadRequest")), "{query}");
        }
    }
}
