//! Azure Monitor's answers, and what a container group says it was given; read tolerantly, decided nowhere here.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;

use super::or_default;
use crate::azure::monitor::{Given, Minute};

/// The names of the two metrics.
pub(in crate::azure) const CPU: &str = "CpuUsage";
pub(in crate::azure) const MEMORY: &str = "MemoryUsage";

tolerant! {
    Group { properties: Properties }
    Properties { containers: Vec<Container> }
    Container { name: String, properties: ContainerProperties }
    ContainerProperties { resources: Resources, instance_view: View }
    Resources { requests: Amounts, limits: Amounts }
    Amounts { cpu: Option<f64>, memory_in_g_b: Option<f64> }
    View { current_state: State }
    State { start_time: Option<String>, state: String }
    Answer { value: Vec<Metric> }
    Metric { name: Name, timeseries: Vec<Series> }
    Name { value: String }
    Series { metadatavalues: Vec<Dimension>, data: Vec<Point> }
    Dimension { name: Name, value: String }
    Point { time_stamp: String, average: Option<f64> }
}

/// What the containers of a group were given, from the body of its GET.
pub(in crate::azure) fn given(body: &Value) -> Result<Vec<Given>, String> {
    let group = Group::deserialize(body).map_err(|error| error.to_string())?;
    let given = |Container { name, properties: ContainerProperties { resources, instance_view } }| {
        let Resources { requests, limits } = resources;
        let State { start_time, state } = instance_view.current_state;
        Given {
            container: name,
            cores: limits.cpu.or(requests.cpu),
            gigabytes: limits.memory_in_g_b.or(requests.memory_in_g_b),
            since: start_time.filter(|_| state.eq_ignore_ascii_case("running")).and_then(|text| text.parse().ok()),
        }
    };
    Ok(group.properties.containers.into_iter().map(given).collect())
}

/// The minutes that Azure has numbers of, oldest first.
pub(in crate::azure) fn minutes(body: &Value) -> Result<Vec<Minute>, String> {
    let answer = Answer::deserialize(body).map_err(|error| error.to_string())?;
    type Of = (Timestamp, Option<String>);
    let mut minutes: BTreeMap<Of, (Option<f64>, Option<f64>)> = BTreeMap::new();
    for metric in answer.value {
        for series in metric.timeseries {
            let container = series.metadatavalues.into_iter().find(|of| of.name.value.eq_ignore_ascii_case("containerName"));
            let container = container.map(|of| of.value);
            for Point { time_stamp, average } in series.data {
                let at: Timestamp = time_stamp.parse().map_err(|error| format!("the time of a point: {error}"))?;
                let minute = minutes.entry((at, container.clone())).or_default();
                match metric.name.value.as_str() {
                    CPU => minute.0 = average,
                    MEMORY => minute.1 = average,
                    _ => {}
                }
            }
        }
    }
    Ok(minutes.into_iter().map(|((at, container), (millicores, bytes))| Minute { container, at, millicores, bytes }).collect())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn reads_what_azure_writes() {
        // After Microsoft's example GetMetric.json, api-version 2023-10-01.
        let series = |container: &str, data: Value| json!({"metadatavalues": [{"name": {"value": "containername", "localizedValue": "containername"}, "value": container}], "data": data});
        let answer = json!({
        "cost": 598, "timespan": "2026-11-24T10:00:00Z/2026-11-24T10:10:00Z", "interval": "PT1M", "namespace": "Microsoft.ContainerInstance/containerGroups",
        "value": [
            {"name": {"value": "CpuUsage", "localizedValue": "CPU Usage"}, "unit": "Count", "timeseries": [
                series("app", json!([{"timeStamp": "2026-11-24T10:00:00Z", "average": 970.0}, {"timeStamp": "2026-11-24T10:01:00Z"}])),
                series("proxy", json!([{"timeStamp": "2026-11-24T10:00:00Z", "average": null}])),
            ]},
            {"name": {"value": "MemoryUsage", "localizedValue": "Memory Usage"}, "unit": "Bytes", "timeseries": [
                series("app", json!([{"timeStamp": "2026-11-24T10:00:00Z", "average": 536_870_912}])),
            ]},
        ]});
        let at = |text: &str| text.parse::<Timestamp>().expect("a time");
        let minute =
            |container: &str, time: &str, millicores, bytes| Minute { container: Some(container.into()), at: at(time), millicores, bytes };
        assert_eq!(
            minutes(&answer),
            Ok(vec![
                minute("app", "2026-11-24T10:00:00Z", Some(970.0), Some(536_870_912.0)),
                minute("proxy", "2026-11-24T10:00:00Z", None, None),
                minute("app", "2026-11-24T10:01:00Z", None, None),
            ])
        );
        assert!(minutes(&json!({"value": [{"timeseries": [{"data": [{"timeStamp": "yesterday"}]}]}]})).is_err());
        assert_eq!(minutes(&json!({"value": null})), Ok(Vec::new()));
    }

    #[test]
    fn a_limit_goes_before_a_request_and_only_what_runs_has_a_beginning() {
        let body = json!({"properties": {"containers": [
            {"name": "app", "properties": {
                "resources": {"requests": {"cpu": 1, "memoryInGB": 1.5}, "limits": {"cpu": 2.0}},
                "instanceView": {"currentState": {"state": "Running", "startTime": "2026-11-24T10:00:30Z"}}}},
            {"name": "new", "properties": {"resources": {"requests": {"cpu": 0.5, "memoryInGB": 1}}, "instanceView": {"currentState": {"state": "Waiting"}}}},
        ]}});
        let given = given(&body).expect("containers");
        assert_eq!((given[0].cores, given[0].gigabytes, given[1].cores), (Some(2.0), Some(1.5), Some(0.5)));
        assert_eq!((given[0].since.is_some(), given[1].since), (true, None));
    }
}
