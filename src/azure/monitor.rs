//! What Azure Monitor knows of a container group, and what the group was given: reads only, and compares nothing.
//! Microsoft: REST API "Metrics - List"; "Supported metrics for Microsoft.ContainerInstance/containerGroups".

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::{AzureError, ResourceManager, container_groups, error::Asked, wire};
use crate::domain::InstanceName;

/// The api-version of Microsoft.Insights/metrics.
const API: &str = "2023-10-01";

/// How far back is asked: numbers of a minute come a few minutes later.
const SPAN: SignedDuration = SignedDuration::from_mins(10);

/// What a container of a group was given, and since when it runs.
#[derive(Debug, Clone, PartialEq)]
pub struct Given {
    /// The container's name.
    pub container: String,
    /// CPU cores: its limit or, without one, its request, which is the limit then.
    pub cores: Option<f64>,
    /// Memory in GB as Azure Container Instances counts it: 1024³ bytes. Likewise.
    pub gigabytes: Option<f64>,
    /// When it was started last; `None`: it does not run.
    pub since: Option<Timestamp>,
}

/// What a container used in one minute, on average.
#[derive(Debug, Clone, PartialEq)]
pub struct Minute {
    /// The container's name; `None`: Azure does not tell the group's containers apart.
    pub container: Option<String>,
    /// When the minute began.
    pub at: Timestamp,
    /// Thousandths of a CPU core.
    pub millicores: Option<f64>,
    /// Bytes of memory.
    pub bytes: Option<f64>,
}

/// What `instance` of the resource group `group` was given, and what it used in the last ten minutes before `now`, as far as
/// Azure knows it: the last minutes are often not known yet. `None`: there is no such group.
///
/// # Errors
/// Any [`AzureError`] of a read.
pub async fn usage(
    rm: &ResourceManager,
    group: &str,
    instance: &InstanceName,
    now: Timestamp,
) -> Result<Option<(Vec<Given>, Vec<Minute>)>, AzureError> {
    let asked = Asked::new("read", format!("Azure Monitor's metrics of container group {group}/{instance}"));
    let nonsense = |why: String| AzureError::Nonsense { asked: asked.clone(), why };
    let parts = [container_groups::PROVIDER.as_slice(), &[instance.as_str(), "providers", "Microsoft.Insights", "metrics"]].concat();
    let mut url = rm.url(group, &parts, API)?;
    let second = |at: Timestamp| at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    url.query_pairs_mut()
        .append_pair("metricnames", &[wire::CPU, wire::MEMORY].join(","))
        .append_pair("timespan", &format!("{}/{}", second(now - SPAN), second(now)))
        .append_pair("interval", "PT1M")
        .append_pair("aggregation", "Average")
        // Without it the average is one over all containers of the group: a small one beside it would halve the application's.
        .append_pair("$filter", "containerName eq '*'");
    let (metrics, given) = futures::future::try_join(rm.read(&asked, &url), container_groups::body(rm, group, instance)).await?;
    let Some(given) = given else { return Ok(None) };
    if !metrics.is_success() {
        return Err(AzureError::from_answer(&asked, metrics.status, &metrics.body, metrics.header("x-ms-correlation-request-id")));
    }
    let metrics: Value = serde_json::from_slice(&metrics.body).map_err(|error| nonsense(format!("it is no JSON: {error}")))?;
    Ok(Some((wire::given(&given).map_err(nonsense)?, wire::minutes(&metrics).map_err(nonsense)?)))
}
