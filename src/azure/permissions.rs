//! What this login may do at a resource group. Reads only. Microsoft: REST API, Authorization, "Permissions - List For Resource
//! Group"; "Understand Azure role definitions" for what the lists mean.

use serde::Deserialize;
use url::Url;

use super::{AzureError, ResourceManager, error::Asked};

/// The api-version of Microsoft.Authorization/permissions.
const API: &str = "2022-04-01";

/// What a login may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Granted {
    value: Vec<Permission>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Page {
    value: Vec<Permission>,
    next_link: Option<String>,
}

/// Of one role that is assigned: what is in `actions` and not in `notActions`. Another role may still grant what this one leaves out.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Permission {
    #[serde(default)]
    actions: Vec<String>,
    #[serde(default)]
    not_actions: Vec<String>,
}

impl Granted {
    /// Whether `action` is allowed, e.g. `Microsoft.ContainerInstance/containerGroups/write`.
    #[must_use]
    pub fn allows(&self, action: &str) -> bool {
        let any = |patterns: &[String]| patterns.iter().any(|pattern| matches(pattern, action));
        self.value.iter().any(|permission| any(&permission.actions) && !any(&permission.not_actions))
    }
}

/// Whether `pattern` means `action`: without regard to case, `*` standing for any text.
fn matches(pattern: &str, action: &str) -> bool {
    let (pattern, action) = (pattern.to_ascii_lowercase(), action.to_ascii_lowercase());
    let mut parts = pattern.split('*');
    let Some(mut rest) = parts.next().and_then(|first| action.strip_prefix(first)) else { return false };
    let parts: Vec<&str> = parts.collect();
    let Some((last, middle)) = parts.split_last() else { return rest.is_empty() };
    for part in middle {
        let Some((_, after)) = rest.split_once(part) else { return false };
        rest = after;
    }
    rest.ends_with(last)
}

/// What this login may do at the resource group `group`.
///
/// # Errors
/// Any [`AzureError`] of a read.
pub async fn at(rm: &ResourceManager, group: &str) -> Result<Granted, AzureError> {
    let asked = Asked::new("read", format!("the permissions at resource group {group}"));
    let mut next = Some(rm.url(group, &["providers", "Microsoft.Authorization", "permissions"], API)?);
    let mut granted = Granted { value: Vec::new() };
    while let Some(url) = next.take() {
        let answer = rm.read(&asked, &url).await?;
        if !answer.is_success() {
            return Err(AzureError::from_answer(&asked, answer.status, &answer.body, answer.header("x-ms-correlation-request-id")));
        }
        let nonsense = |why: String| AzureError::Nonsense { asked: asked.clone(), why };
        let page: Page = serde_json::from_slice(&answer.body).map_err(|error| nonsense(error.to_string()))?;
        granted.value.extend(page.value);
        // A token goes to Resource Manager only, whatever a link says.
        next = page.next_link.and_then(|link| Url::parse(&link).ok()).filter(|link| rm.is_ours(link) && *link != url);
    }
    Ok(granted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_text() {
        for (pattern, action, is_meant) in [
            ("*", "Microsoft.Network/trafficManagerProfiles/write", true),
            ("*/read", "Microsoft.Network/trafficManagerProfiles/write", false),
            ("microsoft.network/*", "Microsoft.Network/trafficManagerProfiles/write", true),
            ("Microsoft.Network/*/write", "Microsoft.Network/trafficManagerProfiles/write", true),
            ("Microsoft.Network/trafficManagerProfiles", "Microsoft.Network/trafficManagerProfiles/write", false),
            ("Microsoft.Network/trafficManagerProfiles/write", "Microsoft.Network/trafficManagerProfiles/write", true),
            ("", "a", false),
        ] {
            assert_eq!(matches(pattern, action), is_meant, "{pattern} {action}");
        }
    }

    #[test]
    fn what_one_role_leaves_out_another_may_grant() {
        let role = |actions: &[&str], not_actions: &[&str]| Permission {
            actions: actions.iter().map(|action| (*action).to_owned()).collect(),
            not_actions: not_actions.iter().map(|action| (*action).to_owned()).collect(),
        };
        let contributor = role(&["*"], &["Microsoft.Authorization/*/write"]);
        let granted = Granted { value: vec![contributor.clone()] };
        assert!(granted.allows("Microsoft.ContainerInstance/containerGroups/write"));
        assert!(!granted.allows("Microsoft.Authorization/roleAssignments/write"));
        let both = Granted { value: vec![contributor, role(&["Microsoft.Authorization/roleAssignments/write"], &[])] };
        assert!(both.allows("Microsoft.Authorization/roleAssignments/write"));
        assert!(!Granted { value: Vec::new() }.allows("a/read"));
    }
}
