//! The inputs of the Action: one table from which come the flags, the lookup of `INPUT_*` and of environment variables,
//! `action.yml` (kept equal by a test) and the reference page. Knows names and texts, not what they are for.

/// Whether an input's value must never be shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Secrecy {
    /// It may be shown.
    Open,
    /// It is masked everywhere.
    Secret,
}

/// One input.
#[derive(Debug)]
pub struct Input {
    /// Its name in `with:`, and its flag with `--` before it.
    pub name: &'static str,
    /// Whether it is a secret.
    pub secrecy: Secrecy,
    /// The default, as `action.yml` has it; empty: none.
    pub default: &'static str,
    /// The environment variable that people already use for it, beside `DEPLOY_ACTION_NAME`; empty: none.
    pub customary: &'static str,
    /// What it is: sentences.
    pub help: &'static str,
}

const fn open(name: &'static str, default: &'static str, customary: &'static str, help: &'static str) -> Input {
    Input { name, secrecy: Secrecy::Open, default, customary, help }
}

const fn secret(name: &'static str, customary: &'static str, help: &'static str) -> Input {
    Input { name, secrecy: Secrecy::Secret, default: "", customary, help }
}

/// All inputs, in the order of `action.yml`.
pub const INPUTS: [Input; 29] = [
    open("command", "auto", "", "What to do; `auto` picks it from the event."),
    open("environment", "", "", "The environment; by default the one that the branch or tag belongs to."),
    open("version", "", "", "The image tag to deploy, or to go back to; by default it follows from the event."),
    open("strategy", "", "", "Of a rollback: `instant` or `staged`."),
    open("config", ".github/deploy.yml", "", "Path of the configuration."),
    open("dry-run", "false", "", "`true`: show the plan and change nothing."),
    Input {
        name: "github-token",
        secrecy: Secrecy::Secret,
        default: "${{ github.token }}",
        customary: "GITHUB_TOKEN",
        help: "Token for GitHub deployments; needs `deployments: write`.",
    },
    open("azure-client-id", "", "AZURE_CLIENT_ID", "Application (client) id of the Entra application."),
    open("azure-tenant-id", "", "AZURE_TENANT_ID", "Entra tenant id."),
    open("azure-subscription-id", "", "AZURE_SUBSCRIPTION_ID", "Azure subscription id."),
    secret(
        "azure-client-secret",
        "AZURE_CLIENT_SECRET",
        "Client secret; leave it out to log in by GitHub's OIDC (needs `id-token: write`).",
    ),
    open(
        "azure-authority-host",
        "https://login.microsoftonline.com",
        "AZURE_AUTHORITY_HOST",
        "Base of Entra; set it for sovereign clouds.",
    ),
    open("azure-resource-manager", "https://management.azure.com", "", "Base of Azure Resource Manager; set it for sovereign clouds."),
    open("registry-username", "", "", "User name for pulling the image."),
    secret("registry-password", "", "Password or token for pulling the image; it must outlive this job (a token with read:packages)."),
    secret("container-secrets", "", "Secrets for the container, one NAME=value a line; several lines as NAME<<END … END."),
    secret("slack-webhook-url", "SLACK_WEBHOOK_URL", "Slack incoming webhook: one message at the end."),
    secret("slack-bot-token", "SLACK_BOT_TOKEN", "Slack bot token (chat:write): one message, updated as the run goes."),
    open("slack-api-url", "https://slack.com/api", "", "Base of Slack's API."),
    secret("pagerduty-routing-key", "PAGERDUTY_ROUTING_KEY", "PagerDuty Events v2 routing key."),
    open("pagerduty-events-url", "https://events.pagerduty.com", "", "Base of PagerDuty's events API."),
    secret("status-page-token", "STATUS_PAGE_TOKEN", "Token of the status page's API."),
    open("status-page-url", "https://api.statuspage.io", "", "Base of the status page's API."),
    secret("prometheus-token", "PROMETHEUS_TOKEN", "Bearer token, or user:password, for Prometheus."),
    secret("database-url", "DATABASE_URL", "PostgreSQL connection string for the rules and checks that ask the database."),
    secret("azure-access-token", "AZURE_ACCESS_TOKEN", "An access token for Resource Manager, fetched elsewhere."),
    open("output-format", "text", "", "Of `plan` and `status`: `text` or `json`."),
    open("color", "auto", "", "`auto`, `always` or `never`."),
    open("evidence", "", "", "Path of the evidence file; by default `deploy-action-evidence-ROLLOUT.jsonl` in the workspace."),
];

/// The spellings of an input, in the order in which they are looked up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spelling {
    /// `--name` on the command line.
    Flag,
    /// `INPUT_NAME`, as GitHub's runner passes it: upper case, hyphens stay (actions/runner, ContainerActionHandler).
    Runner,
    /// `DEPLOY_ACTION_NAME`.
    Own,
    /// The variable that people already use.
    Customary,
}

impl Input {
    /// The name under which a value of this input stands in `spelling`; `None` where there is none.
    #[must_use]
    pub fn spelled(&self, spelling: Spelling) -> Option<String> {
        match spelling {
            Spelling::Flag => Some(format!("--{}", self.name)),
            Spelling::Runner => Some(format!("INPUT_{}", self.name.to_uppercase())),
            Spelling::Own => Some(format!("DEPLOY_ACTION_{}", self.name.to_uppercase().replace('-', "_"))),
            Spelling::Customary => Some(self.customary.to_owned()).filter(|name| !name.is_empty()),
        }
    }
}

/// The input called `name`.
#[must_use]
pub fn input(name: &str) -> Option<&'static Input> {
    INPUTS.iter().find(|input| input.name == name)
}
