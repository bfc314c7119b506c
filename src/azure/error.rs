//! What Azure refuses and why, typed, and what a person does about it.

use std::fmt;

use crate::{
    domain::ExitStatus,
    failure::{Failure, FailureKind},
};

/// Characters of Azure's texts that are shown.
const SHOWN: usize = 600;

/// What was asked of Azure: for errors and for telling of retries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    verb: &'static str,
    // A box, because errors are handed up by value and this one is in all of them.
    resource: Box<str>,
    subject: Subject,
}

/// What kind of resource was asked about: advice differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Subject {
    /// A container group, or what it stands in.
    Container,
    /// A Traffic Manager profile.
    Profile,
}

impl Asked {
    /// "`verb` `resource`", e.g. "create or update" "container group dev-nextgen/aci-dev-nextgen".
    pub(super) fn new(verb: &'static str, resource: impl Into<String>) -> Self {
        Self { verb, resource: resource.into().into_boxed_str(), subject: Subject::Container }
    }

    /// The same of a Traffic Manager profile.
    pub(super) fn profile(verb: &'static str, resource: impl Into<String>) -> Self {
        Self { verb, resource: resource.into().into_boxed_str(), subject: Subject::Profile }
    }
}

impl fmt::Display for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.verb, self.resource)
    }
}

/// What Azure answered when it did not do what was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// What was asked.
    pub asked: Asked,
    /// The HTTP status.
    pub status: u16,
    /// Azure's error code.
    pub code: String,
    /// Azure's message, made printable.
    pub message: String,
    /// `x-ms-correlation-request-id`: what Azure's support asks for.
    pub correlation: Option<String>,
}

/// Why something of Azure failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AzureError {
    /// Entra gave no token.
    Login {
        /// Why.
        why: String,
    },
    /// The identity may not do it.
    Forbidden(Refusal),
    /// A quota of the subscription.
    Quota(Refusal),
    /// The region has no room.
    Capacity(Refusal),
    /// The DNS label or name is taken.
    NameTaken(Refusal),
    /// Azure cannot pull the image.
    Image(Refusal),
    /// The resource group or subscription does not exist.
    GroupMissing(Refusal),
    /// Throttled for longer than the budget.
    Throttled(Refusal),
    /// Azure is broken, for longer than the budget.
    Broken(Refusal),
    /// Anything else that Azure refuses.
    Refused(Refusal),
    /// No answer within the budget.
    Unreachable {
        /// What was asked.
        asked: Asked,
        /// Why there was none.
        why: String,
    },
    /// Azure's answer is not what its documentation says.
    Nonsense {
        /// What was asked.
        asked: Asked,
        /// What is wrong with the answer.
        why: String,
    },
    /// The operation did not end in time.
    TooLong {
        /// What was asked.
        asked: Asked,
        /// After how many minutes it was given up.
        minutes: u64,
    },
}

#[derive(serde::Deserialize, Default)]
#[serde(default)]
struct Envelope {
    error: Inner,
}

#[derive(serde::Deserialize, Default)]
#[serde(default)]
pub(super) struct Inner {
    pub(super) code: String,
    pub(super) message: String,
    pub(super) details: Option<Vec<Inner>>,
}

impl Inner {
    /// The message with those of its details, each once.
    fn whole(&self) -> String {
        let mut text = self.message.clone();
        for detail in self.details.iter().flatten() {
            if !text.contains(&detail.message) {
                text = format!("{text} {}", detail.message);
            }
        }
        text
    }
}

impl AzureError {
    /// From an answer that is no success.
    pub(super) fn from_answer(asked: &Asked, status: u16, body: &[u8], correlation: Option<&str>) -> Self {
        let inner = serde_json::from_slice::<Envelope>(body).unwrap_or_default().error;
        Self::from_inner(asked, status, &inner, correlation)
    }

    /// From an error object: an answer's, or a failed operation's.
    pub(super) fn from_inner(asked: &Asked, status: u16, inner: &Inner, correlation: Option<&str>) -> Self {
        let code = if inner.code.is_empty() { format!("HTTP {status}") } else { printable(&inner.code) };
        let refusal =
            Refusal { asked: asked.clone(), status, message: printable(&inner.whole()), correlation: correlation.map(printable), code };
        let has = |word: &str| refusal.code.to_ascii_lowercase().contains(word) || refusal.message.to_ascii_lowercase().contains(word);
        match refusal.code.as_str() {
            "AuthorizationFailed" | "LinkedAuthorizationFailed" => Self::Forbidden(refusal),
            "ResourceGroupNotFound" | "SubscriptionNotFound" => Self::GroupMissing(refusal),
            "InaccessibleImage" | "ImageNotFound" => Self::Image(refusal),
            "DnsNameLabelTaken" | "DnsNameLabelNotAvailable" => Self::NameTaken(refusal),
            "ServiceUnavailable" if has("not available in the location") => Self::Capacity(refusal),
            // Traffic Manager's: "Domain name NAME.trafficmanager.net already exists. Please choose a different DNS prefix."
            _ if has("dns prefix") => Self::NameTaken(refusal),
            _ if has("quota") => Self::Quota(refusal),
            _ if has("capacity") => Self::Capacity(refusal),
            _ if has("dns") && has("label") => Self::NameTaken(refusal),
            _ if status == 403 => Self::Forbidden(refusal),
            _ if status == 429 => Self::Throttled(refusal),
            _ if status >= 500 => Self::Broken(refusal),
            _ => Self::Refused(refusal),
        }
    }

    /// Azure's error code, where it gave one.
    #[must_use]
    pub fn code(&self) -> Option<&str> {
        match self {
            Self::Forbidden(r)
            | Self::Quota(r)
            | Self::Capacity(r)
            | Self::NameTaken(r)
            | Self::Image(r)
            | Self::GroupMissing(r)
            | Self::Throttled(r)
            | Self::Broken(r)
            | Self::Refused(r) => Some(&r.code),
            Self::Login { .. } | Self::Unreachable { .. } | Self::Nonsense { .. } | Self::TooLong { .. } => None,
        }
    }
}

/// `text` on one line, without control characters, at most [`SHOWN`] long.
pub(super) fn printable(text: &str) -> String {
    let line: Vec<&str> = text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty()).collect();
    let line = line.join(" ");
    match line.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", line.get(..end).unwrap_or_default()),
        None => line,
    }
}

impl From<AzureError> for Failure {
    fn from(error: AzureError) -> Self {
        match error {
            AzureError::Login { why } => login(&why),
            AzureError::Forbidden(r) => {
                let assign = "let an owner of the resource group grant it: az role assignment create --assignee CLIENT-ID --role ROLE \
                              --scope RESOURCE-GROUP-ID (docs/security.md has a role with just what deploy-action needs)";
                refused(FailureKind::Forbidden, "Azure forbids to", &r)
                    .next(assign)
                    .next("then run the workflow again; a new assignment takes up to 5 minutes")
            }
            AzureError::Quota(r) => {
                let (list, portal) = match r.asked.subject {
                    Subject::Container => {
                        ("az container list --query \"[].{name:name, location:location}\" -o table", "Container Instances")
                    }
                    Subject::Profile => ("az network traffic-manager profile list -o table", "Networking"),
                };
                refused(FailureKind::Capacity, "the subscription's quota does not allow to", &r)
                    .next(format!("see what is used: {list}"))
                    .next(format!("delete what is not needed, or ask for more: Azure portal, Quotas, {portal}"))
            }
            AzureError::Capacity(r) => refused(FailureKind::Capacity, "the region has no room to", &r)
                .next("run the workflow again later, ask for less `cpu` and `memory`, or set another `azure.location`"),
            AzureError::NameTaken(r) => {
                let advice = match r.asked.subject {
                    Subject::Container => {
                        "set another `container.dns-label`, or `container.dns-scope` so that Azure makes the label unique"
                    }
                    Subject::Profile => "set another `traffic-manager.dns-name`: it is shared with all of Azure's customers",
                };
                refused(FailureKind::Azure, "a name is taken: Azure refuses to", &r).next(advice)
            }
            AzureError::Image(r) => refused(FailureKind::ImagePull, "Azure cannot pull the image, so it refuses to", &r)
                .next("check the inputs registry-username and registry-password: a token with read:packages"),
            AzureError::GroupMissing(r) => {
                refused(FailureKind::Azure, "the resource group or subscription does not exist: Azure cannot", &r).next(
                    "create the resource group (az group create -n NAME -l LOCATION) or correct `resource-group` and azure-subscription-id",
                )
            }
            AzureError::Throttled(r) => {
                refused(FailureKind::AzureUnreachable, "Azure throttles this subscription for longer than we wait: it did not", &r)
                    .next("run the workflow again in some minutes; find out what else sends that many requests")
            }
            AzureError::Broken(r) => refused(FailureKind::AzureUnreachable, "Azure failed to", &r)
                .next("look at Azure's status page; run the workflow again when it is well"),
            // Tokens of our own are renewed in time, so it is one from outside.
            AzureError::Refused(r) if r.status == 401 => refused(FailureKind::Login, "Azure does not take the access token to", &r)
                .next("fetch azure-access-token anew (az account get-access-token); it lasts about an hour, and is of one tenant"),
            AzureError::Refused(r) => {
                refused(FailureKind::Azure, "Azure refused to", &r).next("correct what Azure names, then run the workflow again")
            }
            AzureError::Unreachable { asked, why } => {
                Self::new(FailureKind::AzureUnreachable, format!("no answer from Azure to: {} ({why})", asked.verb), asked.resource)
                    .next("check that the runner reaches Azure (and azure-resource-manager, where set), then run the workflow again")
            }
            AzureError::Nonsense { asked, why } => {
                Self::new(FailureKind::Azure, format!("Azure's answer cannot be read: {why} (asked to {})", asked.verb), asked.resource)
                    .next("check azure-resource-manager, where set: a proxy may answer in Azure's place")
            }
            AzureError::TooLong { asked, minutes } => {
                let advice = match asked.subject {
                    Subject::Container => "look at the container group's events, delete it if it is stuck, and run the workflow again",
                    Subject::Profile => "look at the profile in Azure's activity log, and run the workflow again",
                };
                Self::new(FailureKind::Azure, format!("Azure did not end within {minutes} minutes: {}", asked.verb), asked.resource)
                    .next(advice)
            }
        }
    }
}

fn refused(kind: FailureKind, words: &str, refusal: &Refusal) -> Failure {
    let Refusal { asked, status, code, message, correlation } = refusal;
    let correlation = correlation.as_ref().map_or_else(String::new, |id| format!("; correlation id {id}"));
    let failure =
        Failure::new(kind, format!("{words} {}: {code}: {message} (HTTP {status}{correlation})", asked.verb), asked.resource.clone());
    debug_assert_ne!(failure.exit_status(), ExitStatus::Wrong, "Azure's refusals are never the caller's exit status 2");
    failure
}

/// A login that failed, by Entra's error number (Microsoft: Entra authentication and authorization error codes).
fn login(why: &str) -> Failure {
    let failure = Failure::new(FailureKind::Login, format!("logging in to Azure failed: {why}"), "Entra application (azure-client-id)")
        .meaning("nothing was touched");
    let advice: &[&str] = match why {
        _ if why.contains("AADSTS70021") || why.contains("AADSTS700213") || why.contains("AADSTS700211") => &[
            "add a federated credential for this workflow's subject: az ad app federated-credential create --id CLIENT-ID --parameters …",
            "the subject must equal what GitHub sends: repo:OWNER/NAME:ref:refs/heads/BRANCH, or repo:OWNER/NAME:environment:NAME when the job has an environment",
        ],
        _ if why.contains("AADSTS7000215") => &["azure-client-secret is not the application's: give the secret's value, not its id"],
        _ if why.contains("AADSTS7000222") => &["azure-client-secret has expired: make a new one, or use federation, which has none"],
        _ if why.contains("AADSTS700016") => &["azure-client-id is not an application of azure-tenant-id: check both"],
        _ if why.contains("AADSTS90002") || why.contains("tenant") => {
            &["azure-tenant-id is not a tenant: az account show --query tenantId"]
        }
        _ if why.contains("GitHub gave no OIDC token") => &["give the job `permissions: id-token: write`"],
        _ => &["check azure-client-id, azure-tenant-id and the way of logging in (docs/security.md)"],
    };
    advice.iter().fold(failure, |failure, step| failure.next(*step))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(status: u16, body: &str) -> AzureError {
        AzureError::from_answer(&Asked::new("create or update", "container group g/n"), status, body.as_bytes(), Some("c-1"))
    }

    #[test]
    fn azures_words_become_kinds() {
        type Is = fn(&AzureError) -> bool;
        let cases: [(u16, &str, Is); 9] = [
            (
                403,
                r#"{"error":{"code":"AuthorizationFailed","message":"The client 'x' does not have authorization to perform action 'Microsoft.ContainerInstance/containerGroups/write' over scope '/s'"}}"#,
                |e| matches!(e, AzureError::Forbidden(_)),
            ),
            (
                409,
                r#"{"error":{"code":"ContainerGroupQuotaReached","message":"Resource type 'Microsoft.ContainerInstance/containerGroups' container group quota 'StandardCores' exceeded in region 'westeurope'."}}"#,
                |e| matches!(e, AzureError::Quota(_)),
            ),
            (
                409,
                r#"{"error":{"code":"ServiceUnavailable","message":"The requested resource with 4 CPU and 8 GB memory is not available in the location 'westeurope' at this moment."}}"#,
                |e| matches!(e, AzureError::Capacity(_)),
            ),
            (400, r#"{"error":{"code":"DnsNameLabelTaken","message":"DNS label taken"}}"#, |e| matches!(e, AzureError::NameTaken(_))),
            (400, r#"{"error":{"code":"InaccessibleImage","message":"The image 'x' in container group 'y' is not accessible."}}"#, |e| {
                matches!(e, AzureError::Image(_))
            }),
            (404, r#"{"error":{"code":"ResourceGroupNotFound","message":"Resource group 'x' could not be found."}}"#, |e| {
                matches!(e, AzureError::GroupMissing(_))
            }),
            (429, "", |e| matches!(e, AzureError::Throttled(_))),
            (500, "<html>", |e| matches!(e, AzureError::Broken(_))),
            (400, r#"{"error":{"code":"InvalidContainerGroupUpdate","message":"m"}}"#, |e| matches!(e, AzureError::Refused(_))),
        ];
        for (status, body, is) in cases {
            let error = parse(status, body);
            assert!(is(&error), "{error:?}");
            let failure = Failure::from(error);
            assert!(failure.what.contains("c-1") && !failure.next.is_empty() && failure.resource == "container group g/n", "{failure}");
        }
    }

    #[test]
    fn hostile_texts_stay_on_one_line() {
        let failure = Failure::from(parse(400, "{\"error\":{\"code\":\"X\\n::set-output\",\"message\":\"a\\r\\n::error::b\\u001b[31m\"}}"));
        assert!(!failure.what.contains('\n') && !failure.what.contains('\u{1b}'), "{failure}");
    }
}
