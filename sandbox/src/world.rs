//! The world: starts everything, and is what tests hold.

use std::{
    collections::BTreeMap,
    fs, io,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use serde::Serialize;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio_rustls::TlsAcceptor;

use crate::{
    arm::{
        groups::{self, Key},
        monitor, shares,
        throttle::Throttling,
        traffic_manager,
    },
    behaviour::{Behaviour, Who},
    certificates,
    clocks::Clocks,
    configuration,
    fault::{Fault, Switch, Times},
    github::{self, Beginning, Begun, Run, RunState},
    load::{self, Load},
    oidc,
    pagerduty::Incident,
    record::{Recorded, Recorder},
    runner::RunSpec,
    server::{self, Service},
    shared::{Settings, Shared, lock},
    slack,
    stall::Stall,
    status_page,
};

/// How Resource Manager asks clients to wait between two polls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Polling {
    /// By `Retry-After: 1` alone, as Azure does.
    Seconds,
    /// Beside it, by `x-ms-retry-after-ms`.
    Milliseconds(u64),
}

/// What a world is like.
#[derive(Debug, Clone)]
pub struct Options {
    /// How long an instance takes to come up.
    pub boot: Duration,
    /// How long one of the seconds that are configured in Azure really takes: DNS time to live, monitor interval.
    pub second: Duration,
    /// How clients are asked to wait.
    pub polling: Polling,
    /// What every answer of Azure takes beside the work: the way there and back.
    pub azure_delay: Duration,
    /// Whether Azure refuses what exceeds its limits.
    pub throttling: Throttling,
    /// Where every request is written as a line of JSON.
    pub record: Option<PathBuf>,
    /// The PostgreSQL database that instances use, as a URL: `pool-exhausted` takes its connections. The world has none itself.
    pub database: Option<String>,
}

impl Default for Options {
    /// As people watch it.
    fn default() -> Self {
        Self {
            boot: Duration::from_millis(1500),
            second: Duration::from_millis(100),
            polling: Polling::Milliseconds(150),
            azure_delay: Duration::ZERO,
            throttling: Throttling::Off,
            record: None,
            database: None,
        }
    }
}

impl Options {
    /// As tests want it: nothing takes long.
    #[must_use]
    pub fn quick() -> Self {
        Self {
            boot: Duration::from_millis(30),
            second: Duration::from_millis(2),
            polling: Polling::Milliseconds(5),
            azure_delay: Duration::ZERO,
            throttling: Throttling::Off,
            record: None,
            database: None,
        }
    }
}

/// Where everything is.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Urls {
    /// Resource Manager, Entra and the cloud's metadata.
    pub azure: String,
    /// `ACTIONS_ID_TOKEN_REQUEST_URL`.
    pub oidc: String,
    /// The registry's host and port.
    pub registry: String,
    /// `GITHUB_API_URL`.
    pub github_api: String,
    /// Slack's API.
    pub slack_api: String,
    /// Slack's incoming webhook.
    pub slack_webhook: String,
    /// PagerDuty's events API.
    pub pagerduty_events: String,
    /// The status page's API.
    pub status_page: String,
    /// The address that people use, by environment.
    pub public: BTreeMap<String, String>,
}

/// A running world; ends when it is dropped.
pub struct World {
    shared: Arc<Shared>,
    directory: TempDir,
    ca: PathBuf,
}

const ENVIRONMENTS: [&str; 3] = ["dev", "staging", "prod"];

impl World {
    /// Starts it.
    ///
    /// # Errors
    /// When no port or no temporary folder can be had.
    pub async fn start(options: Options) -> io::Result<Self> {
        let certificates = certificates::make()?;
        let directory = tempfile::tempdir()?;
        let ca = directory.path().join("ca.pem");
        fs::write(&ca, &certificates.authority_pem)?;
        let mut bound = Vec::new();
        for (name, service) in [
            ("azure", Service::Azure),
            ("oidc", Service::Oidc),
            ("registry", Service::Registry),
            ("github", Service::Github),
            ("slack", Service::Slack),
            ("pagerduty", Service::PagerDuty),
            ("status-page", Service::StatusPage),
        ] {
            bound.push((name.to_owned(), service, server::bind().await?));
        }
        for environment in ENVIRONMENTS {
            bound.push((format!("public:{environment}"), Service::Public(environment.to_owned()), server::bind().await?));
        }
        let mut hosts = BTreeMap::new();
        for (name, _, listener) in &bound {
            hosts.insert(name.clone(), format!("localhost:{}", listener.local_addr()?.port()));
        }
        let host = |name: &str| hosts.get(name).cloned().unwrap_or_default();
        let urls = Urls {
            azure: format!("https://{}", host("azure")),
            oidc: format!("https://{}{}?api-version=2.0", host("oidc"), oidc::PATH),
            registry: host("registry"),
            github_api: format!("https://{}", host("github")),
            slack_api: format!("https://{}/api", host("slack")),
            pagerduty_events: format!("https://{}", host("pagerduty")),
            status_page: format!("https://{}", host("status-page")),
            slack_webhook: format!("https://{}{}", host("slack"), slack::WEBHOOK),
            public: ENVIRONMENTS.iter().map(|name| ((*name).to_owned(), format!("https://{}", host(&format!("public:{name}"))))).collect(),
        };
        let shared = Shared::new(Settings {
            boot: options.boot,
            second: options.second,
            give_up: options.boot * 20,
            polling: options.polling,
            azure_delay: options.azure_delay,
            throttling: options.throttling,
            location: "westeurope".to_owned(),
            database: options.database,
            slow: Duration::from_secs(30),
            recorder: Recorder::new(options.record.as_deref())?,
            urls,
        });
        let mut listeners = BTreeMap::new();
        for (name, service, listener) in bound {
            let tls: TlsAcceptor = certificates.acceptor.clone();
            listeners.insert(name, server::serve(&shared, listener, Some(tls), service)?);
        }
        let _ = shared.listeners.set(listeners);
        shared.keep(tokio::spawn(monitor::watch(Arc::clone(&shared))).abort_handle());
        Ok(Self { shared, directory, ca })
    }

    /// Where everything is.
    #[must_use]
    pub fn urls(&self) -> &Urls {
        self.shared.urls()
    }

    /// The certificate authority's file, for `SSL_CERT_FILE`.
    #[must_use]
    pub fn ca_file(&self) -> &Path {
        &self.ca
    }

    /// A folder that ends with the world.
    #[must_use]
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// A `deploy.yml` for this world.
    #[must_use]
    pub fn config(&self, clocks: &Clocks) -> String {
        configuration::config(self.urls(), clocks)
    }

    /// Switches a fault as often as it usually strikes.
    pub async fn fault(&self, fault: Fault) {
        self.shared.switch(fault, Switch::On, fault.usual()).await;
    }

    /// Switches a fault.
    pub async fn switch(&self, fault: Fault, switch: Switch, times: Times) {
        self.shared.switch(fault, switch, times).await;
    }

    /// An image of this version is in the registry from now on; gives its digest.
    pub fn push_image(&self, version: &str) -> String {
        self.shared.push_image(version)
    }

    /// The image of `version` has the tag `name`, too, from now on, as when a release is built once and tagged again; gives
    /// its digest.
    pub fn tag_image(&self, version: &str, name: &str) -> String {
        lock(&self.shared.registry).tag(version, name)
    }

    /// The registry has no image of this version any more.
    pub fn remove_image(&self, version: &str) {
        lock(&self.shared.registry).remove(version);
    }

    /// Every request that arrived, in order.
    #[must_use]
    pub fn requests(&self) -> Vec<Recorded> {
        self.shared.recorder.all()
    }

    /// Waits until `enough` of the requests that arrived.
    pub async fn until(&self, enough: impl Fn(&[Recorded]) -> bool) {
        let mut news = self.shared.recorder.news();
        while !enough(&self.requests()) {
            if news.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// From where on nothing is answered; with [`Stall::Never`] everything is again, and what hung until then gets no answer.
    /// Kill the process once [`Self::until`] has seen the request arrive: it can do nothing more meanwhile.
    pub fn stall(&self, stall: Stall) {
        self.shared.stall.send_replace(stall);
    }

    /// The names of the container groups there are, as `RESOURCE-GROUP/NAME`.
    #[must_use]
    pub fn container_groups(&self) -> Vec<String> {
        lock(&self.shared.azure).groups.keys().map(|key| format!("{}/{}", key.group(), key.name())).collect()
    }

    /// The body that a container group was last written with, secrets included.
    #[must_use]
    pub fn written(&self, group: &str, name: &str) -> Option<Value> {
        lock(&self.shared.azure).groups.get(&Key::new(group, name)).map(|group| group.body.clone())
    }

    /// How often a container group was written since it was made.
    #[must_use]
    pub fn generation(&self, group: &str, name: &str) -> Option<u64> {
        lock(&self.shared.azure).groups.get(&Key::new(group, name)).map(|group| group.generation)
    }

    /// What its services share.
    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// The region of the instances.
    pub(crate) fn location(&self) -> &str {
        &self.shared.location
    }

    /// Writes a container group as somebody else would.
    pub fn write_group(&self, group: &str, name: &str, body: Value) {
        groups::begin(&self.shared, &mut lock(&self.shared.azure), &Key::new(group, name), body);
    }

    /// Somebody behaves so from now on; goes before what was said of them earlier.
    pub fn behave(&self, who: Who, behaviour: Behaviour) {
        lock(&self.shared.behaviours).set(who, behaviour);
    }

    /// A container is said to have been running since then, as one that an earlier run started.
    pub fn running_since(&self, group: &str, name: &str, since: jiff::Timestamp) {
        if let Some(group) = lock(&self.shared.azure).groups.get_mut(&Key::new(group, name)) {
            group.container.current["startTime"] = json!(since.to_string());
        }
    }

    /// A container's restarts so far are said to be `count`, as if it had crashed and come up again.
    pub fn restarted(&self, group: &str, name: &str, count: u32) {
        if let Some(group) = lock(&self.shared.azure).groups.get_mut(&Key::new(group, name)) {
            group.container.restarts = count;
        }
    }

    /// How often Azure started a container again.
    #[must_use]
    pub fn restarts(&self, group: &str, name: &str) -> Option<u32> {
        lock(&self.shared.azure).groups.get(&Key::new(group, name)).map(|group| group.container.restarts)
    }

    /// Requests that an instance answered since it was started (without `/health` and `/metrics`), by status.
    #[must_use]
    pub fn served(&self, group: &str, name: &str) -> BTreeMap<u16, u64> {
        let azure = lock(&self.shared.azure);
        azure.groups.get(&Key::new(group, name)).map(|group| group.counters.requests().clone()).unwrap_or_default()
    }

    /// Where an instance listens; nobody answers there before it runs.
    #[must_use]
    pub fn address(&self, group: &str, name: &str) -> Option<SocketAddr> {
        let azure = lock(&self.shared.azure);
        azure.groups.get(&Key::new(group, name)).map(|group| SocketAddr::from((group.ip, group.port())))
    }

    /// Waits until no container group is being made any more.
    pub async fn settled(&self) {
        let mut lives = self.shared.lives.subscribe();
        while lock(&self.shared.azure).groups.values().any(|group| matches!(group.provisioning, "Pending" | "Creating")) {
            if lives.changed().await.is_err() {
                return;
            }
        }
    }

    /// Deletes a container group as somebody else would.
    pub fn delete_group(&self, group: &str, name: &str) {
        groups::end(&self.shared, &Key::new(group, name));
    }

    /// A Traffic Manager profile as Azure shows it.
    #[must_use]
    pub fn profile(&self, group: &str, name: &str) -> Option<Value> {
        let key = Key::new(group, name);
        lock(&self.shared.azure).profiles.get(&key).map(|profile| profile.show(&key))
    }

    /// The share, between 0 and 1, that a profile's weights give each version; none where there is no such profile, or nothing
    /// enabled in it. What people really meet follows as their answers of DNS run out.
    #[must_use]
    pub fn intended_shares(&self, group: &str, name: &str) -> BTreeMap<String, f64> {
        shares::by_version(&lock(&self.shared.azure), &Key::new(group, name))
    }

    /// Waits until a profile, as Azure shows it, is as wanted: written so, or found so by the monitor.
    pub async fn until_profile(&self, group: &str, name: &str, wanted: impl Fn(&Value) -> bool) {
        let mut lives = self.shared.lives.subscribe();
        while !self.profile(group, name).is_some_and(|profile| wanted(&profile)) {
            if lives.changed().await.is_err() {
                return;
            }
        }
    }

    /// Writes a Traffic Manager profile as somebody else would.
    ///
    /// # Errors
    /// What Azure would refuse it with.
    pub fn write_profile(&self, group: &str, name: &str, body: &Value) -> Result<Value, String> {
        let written = traffic_manager::write(&self.shared, &Key::new(group, name), name, body);
        self.shared.profile_written();
        written.map(|(_, shown)| shown).map_err(|(status, code, message)| format!("{status} {code}: {message}"))
    }

    /// Lets Traffic Manager's monitor probe a profile's endpoints once, now.
    pub async fn monitored(&self, group: &str, name: &str) {
        monitor::catch_up(&self.shared, &Key::new(group, name)).await;
    }

    /// Starts people who use an environment.
    #[must_use]
    pub fn load(&self, load: &Load) -> load::Working {
        load::start(&self.shared, load)
    }

    /// Slack's messages, as they stand.
    #[must_use]
    pub fn slack_messages(&self) -> Vec<Value> {
        lock(&self.shared.slack).messages.iter().map(|message| message.body.clone()).collect()
    }

    /// Slack's messages in a channel, e.g. `#nextgen-incidents`, as they stand.
    #[must_use]
    pub fn slack_messages_in(&self, channel: &str) -> Vec<Value> {
        self.slack_channels().into_iter().filter(|(of, _)| of == channel).map(|(_, message)| message).collect()
    }

    /// Slack's messages as they stand, each with its channel.
    #[must_use]
    pub fn slack_channels(&self) -> Vec<(String, Value)> {
        lock(&self.shared.slack).messages.iter().map(|message| (message.channel.clone(), message.body.clone())).collect()
    }

    /// PagerDuty's incidents, in the order in which they began.
    #[must_use]
    pub fn pagerduty_incidents(&self) -> Vec<Incident> {
        lock(&self.shared.pagerduty).incidents.clone()
    }

    /// The status page's incidents and maintenance, the oldest first, as its API shows them.
    #[must_use]
    pub fn status_page_incidents(&self) -> Vec<Value> {
        lock(&self.shared.status_page).incidents.clone()
    }

    /// The status of the status page's component, e.g. `operational`.
    #[must_use]
    pub fn status_page_component(&self) -> String {
        lock(&self.shared.status_page).component.clone()
    }

    /// GitHub's deployments, each with its statuses' states in order.
    #[must_use]
    pub fn deployments(&self) -> Vec<(Value, Vec<String>)> {
        let github = lock(&self.shared.github);
        let statuses = |id: u64| {
            let of = github.statuses.iter().filter(|(of, _)| *of == id);
            of.map(|(_, status)| status["state"].as_str().unwrap_or_default().to_owned()).collect()
        };
        github.deployments.iter().map(|one| (one.clone(), statuses(one["id"].as_u64().unwrap_or_default()))).collect()
    }

    /// The statuses of a commit, in the order in which they came.
    #[must_use]
    pub fn commit_statuses(&self, sha: &str) -> Vec<Value> {
        lock(&self.shared.github).commit_statuses.iter().filter(|(of, _)| of == sha).map(|(_, status)| status.clone()).collect()
    }

    /// The repository's references: full name and SHA.
    #[must_use]
    pub fn git_refs(&self) -> BTreeMap<String, String> {
        lock(&self.shared.github).git.refs().clone()
    }

    /// The message of a commit.
    #[must_use]
    pub fn commit_message(&self, sha: &str) -> Option<String> {
        lock(&self.shared.github).git.message(sha).map(str::to_owned)
    }

    /// A workflow run is in this state from now on; a process of it that ends later completes it.
    pub fn set_run(&self, id: u64, state: RunState) {
        let runs = &mut lock(&self.shared.github).runs;
        runs.entry(id).and_modify(|run| run.state = state).or_insert_with(|| Run::elsewhere(state));
    }

    /// A workflow run's process starts; what it was pushed for is in the repository.
    pub(crate) fn begin_run(&self, spec: &RunSpec) -> Begun {
        let sha = spec.commit();
        match spec.git_ref.strip_prefix("refs/tags/") {
            // Whoever pushed it made it; a tag that a test made is there already.
            Some(tag) if lock(&self.shared.github).git.has_tag(tag) => {}
            Some(tag) => self.tag_commit(tag, sha),
            // Neither a comment nor the clock moves a branch.
            None if matches!(spec.event.as_str(), "issue_comment" | "schedule") => {}
            None => {
                let before = spec.payload.get("before").and_then(Value::as_str);
                lock(&self.shared.github).git.pushed(&spec.git_ref, sha, before);
            }
        }
        let RunSpec { run_id: id, attempt, event, git_ref, .. } = spec;
        github::begin(&self.shared, &Beginning { id: *id, attempt: *attempt, event, git_ref, sha })
    }

    /// What a script needs to know to use this world.
    #[must_use]
    pub fn info(&self) -> Value {
        let shared = &self.shared;
        let groups = &lock(&shared.azure).groups;
        let instances: BTreeMap<&str, String> =
            groups.iter().map(|(key, group)| (key.name(), format!("{}:{}", group.ip, group.port()))).collect();
        json!({
            "urls": self.urls(), "ca": self.ca_file(), "directory": self.directory(), "location": shared.location,
            "tenant": crate::shared::TENANT, "subscription": crate::shared::SUBSCRIPTION, "client-id": crate::shared::CLIENT_ID,
            "client-secret": shared.client_secret, "github-token": shared.github_token, "registry-username": crate::shared::REGISTRY_USER,
            "registry-password": shared.registry_password, "slack-bot-token": shared.slack_bot_token,
            "pagerduty-routing-key": shared.pagerduty_routing_key, "status-page-token": shared.status_page_token,
            "status-page": {"page": status_page::PAGE, "component": status_page::COMPONENT},
            "oidc-request-token": shared.oidc_request_token, "instances": instances,
        })
    }

    /// A text of [`Self::info`].
    pub(crate) fn given(&self, name: &str) -> String {
        self.info()[name].as_str().unwrap_or_default().to_owned()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        for task in lock(&self.shared.tasks).drain(..) {
            task.abort();
        }
        for listener in self.shared.listeners.get().into_iter().flat_map(BTreeMap::values) {
            listener.stop();
        }
    }
}
