//! What the services of one world share: names, keys, and each service's state.
//! No rules of any service stand here.

use std::{
    collections::BTreeMap,
    hash::{BuildHasher as _, RandomState},
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    net::TcpListener,
    sync::{Notify, watch},
    task::AbortHandle,
};

use crate::{
    arm::{
        Azure,
        groups::Group,
        throttle::{Buckets, Throttling},
    },
    behaviour::Behaviours,
    fault::{Fault, Faults, Switch, Times},
    github::Github,
    pagerduty::PagerDuty,
    record::Recorder,
    registry::Registry,
    router::Router,
    server::{Door, Listener},
    slack::Slack,
    stall::Stall,
    status_page::StatusPage,
    world::{Polling, Urls},
};

/// The repository whose workflow runs.
pub(crate) const REPOSITORY: &str = "nextgen-market/nextgen-market";
/// The commit that is pushed.
pub(crate) const SHA: &str = "a1b2c3d4e5f60718293a4b5c6d7e8f9001122334";
/// The commit before it.
pub(crate) const SHA_BEFORE: &str = "9f8e7d6c5b4a39281706f5e4d3c2b1a009988776";
/// The workflow run.
pub(crate) const RUN_ID: u64 = 7_313_377_331;
/// Entra's tenant.
pub(crate) const TENANT: &str = "11111111-2222-4333-8444-555555555555";
/// The application that the workflow logs in as.
pub(crate) const CLIENT_ID: &str = "66666666-7777-4888-8999-aaaaaaaaaaaa";
/// Its service principal.
pub(crate) const OBJECT_ID: &str = "bbbbbbbb-cccc-4ddd-8eee-ffffffffffff";
/// The Azure subscription.
pub(crate) const SUBSCRIPTION: &str = "00000000-1111-4222-8333-444444444444";
/// Who signs workflow identities.
pub(crate) const ISSUER: &str = "https://token.actions.githubusercontent.com";
/// The registry user, and its password.
pub(crate) const REGISTRY_USER: &str = "nextgen-bot";
/// How long the world's own requests to instances may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(5);

/// What the services of one world share.
pub(crate) struct Shared {
    pub(crate) boot: Duration,
    second: Duration,
    pub(crate) give_up: Duration,
    pub(crate) polling: Polling,
    pub(crate) azure_delay: Duration,
    pub(crate) throttle: Option<Buckets>,
    pub(crate) location: String,
    /// The PostgreSQL database that instances use.
    pub(crate) database: Option<String>,
    /// What a slow service takes.
    pub(crate) slow: Duration,
    pub(crate) faults: Faults,
    pub(crate) behaviours: Mutex<Behaviours>,
    pub(crate) router: Mutex<Router>,
    /// A profile was written: the monitor has something to do.
    pub(crate) profiles_changed: Notify,
    /// Counts what happened to container groups and profiles.
    pub(crate) lives: watch::Sender<u64>,
    pub(crate) stall: watch::Sender<Stall>,
    pub(crate) recorder: Recorder,
    pub(crate) azure: Mutex<Azure>,
    pub(crate) registry: Mutex<Registry>,
    pub(crate) github: Mutex<Github>,
    pub(crate) slack: Mutex<Slack>,
    pub(crate) pagerduty: Mutex<PagerDuty>,
    pub(crate) status_page: Mutex<StatusPage>,
    pub(crate) oidc_key: [u8; 32],
    pub(crate) entra_key: [u8; 32],
    pub(crate) oidc_request_token: String,
    pub(crate) client_secret: String,
    pub(crate) github_token: String,
    pub(crate) registry_password: String,
    pub(crate) slack_bot_token: String,
    pub(crate) pagerduty_routing_key: String,
    pub(crate) status_page_token: String,
    /// Second and third octet of the instances' addresses.
    pub(crate) network: (u8, u8),
    pub(crate) tasks: Mutex<Vec<AbortHandle>>,
    pub(crate) listeners: OnceLock<BTreeMap<String, Listener>>,
    urls: OnceLock<Urls>,
    seed: u64,
    counter: AtomicU64,
}

/// What [`Shared::new`] is given.
pub(crate) struct Settings {
    pub(crate) boot: Duration,
    pub(crate) second: Duration,
    pub(crate) give_up: Duration,
    pub(crate) polling: Polling,
    pub(crate) azure_delay: Duration,
    pub(crate) throttling: Throttling,
    pub(crate) location: String,
    pub(crate) database: Option<String>,
    pub(crate) slow: Duration,
    pub(crate) recorder: Recorder,
    pub(crate) urls: Urls,
}

impl Shared {
    pub(crate) fn new(settings: Settings) -> Arc<Self> {
        let random = RandomState::new();
        let [a, b, ..] = random.hash_one("network").to_le_bytes();
        let key = |name: &str| -> [u8; 32] {
            let mut key = [0; 32];
            for (n, chunk) in key.chunks_mut(8).enumerate() {
                chunk.copy_from_slice(&random.hash_one((name, n)).to_le_bytes());
            }
            key
        };
        let secret = |name: &str| format!("{:016x}{:016x}", random.hash_one((name, 0)), random.hash_one((name, 1)));
        let shared = Self {
            boot: settings.boot,
            second: settings.second,
            give_up: settings.give_up,
            polling: settings.polling,
            azure_delay: settings.azure_delay,
            throttle: Buckets::new(settings.throttling),
            database: settings.database,
            slow: settings.slow,
            faults: Faults::default(),
            behaviours: Mutex::default(),
            router: Mutex::default(),
            profiles_changed: Notify::new(),
            lives: watch::Sender::new(0),
            stall: watch::Sender::new(Stall::Never),
            recorder: settings.recorder,
            azure: Mutex::new(Azure::new(&settings.location)),
            location: settings.location,
            registry: Mutex::default(),
            github: Mutex::default(),
            slack: Mutex::default(),
            pagerduty: Mutex::default(),
            status_page: Mutex::default(),
            oidc_key: key("oidc"),
            entra_key: key("entra"),
            oidc_request_token: secret("request token"),
            client_secret: format!("sbx8Q~{}", secret("client secret")),
            github_token: format!("ghs_{}", secret("github")),
            registry_password: format!("ghp_{}", secret("registry")),
            slack_bot_token: format!("xoxb-{}", secret("slack")),
            pagerduty_routing_key: secret("pagerduty"),
            status_page_token: secret("status page"),
            // 127.0.x.y is where everybody else's servers are.
            network: (a.clamp(1, 254), b),
            tasks: Mutex::default(),
            listeners: OnceLock::new(),
            urls: OnceLock::new(),
            seed: random.hash_one("ids"),
            counter: AtomicU64::new(0),
        };
        let _ = shared.urls.set(settings.urls);
        Arc::new(shared)
    }

    pub(crate) fn urls(&self) -> &Urls {
        self.urls.get_or_init(Urls::default)
    }

    /// How long so many of the seconds configured in Azure really take.
    pub(crate) fn seconds(&self, configured: u64) -> Duration {
        self.second.saturating_mul(u32::try_from(configured).unwrap_or(u32::MAX))
    }

    /// A profile was written.
    pub(crate) fn profile_written(&self) {
        self.profiles_changed.notify_one();
        self.lives.send_modify(|count| *count += 1);
    }

    /// An id in the shape of a GUID, new each time.
    pub(crate) fn fresh_id(&self) -> String {
        let n = self.counter.fetch_add(1, Ordering::Relaxed);
        let high = self.seed.wrapping_add(n).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let low = high.rotate_left(31).wrapping_mul(0xBF58_476D_1CE4_E5B9) ^ n;
        format!("{:08x}-{:04x}-4{:03x}-8{:03x}-{:012x}", high >> 32, (high >> 16) & 0xFFFF, high & 0xFFF, low >> 52, low & 0xFFFF_FFFF_FFFF)
    }

    /// Switches a fault, and waits until it has taken effect.
    pub(crate) async fn switch(&self, fault: Fault, switch: Switch, times: Times) {
        match switch {
            Switch::On => {
                let running = lock(&self.azure).groups.values().map(Group::version).collect();
                self.faults.set(fault, times, running);
            }
            Switch::Off => self.faults.clear(fault),
        }
        self.lives.send_modify(|count| *count += 1);
        if fault == Fault::RegistryDown {
            let door = match switch {
                Switch::On => Door::Closed,
                Switch::Off => Door::Open,
            };
            if let Some(listener) = self.listeners.get().and_then(|all| all.get("registry")) {
                listener.set(door).await;
            }
        }
    }

    /// An image of this version is in the registry from now on; gives its digest.
    pub(crate) fn push_image(&self, version: &str) -> String {
        lock(&self.registry).push(version)
    }

    /// Keeps a task's handle, so that it ends with the world.
    pub(crate) fn keep(&self, task: AbortHandle) {
        let mut tasks = lock(&self.tasks);
        tasks.retain(|task| !task.is_finished());
        tasks.push(task);
    }

    /// Listens on an instance's address; tries again while an earlier listener of ours is being closed.
    pub(crate) async fn listen(address: (std::net::Ipv4Addr, u16)) -> std::io::Result<TcpListener> {
        let mut tries = 0;
        loop {
            match TcpListener::bind(address).await {
                Err(error) if error.kind() == std::io::ErrorKind::AddrInUse && tries < 100 => {
                    tries += 1;
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                result => return result,
            }
        }
    }
}

/// Locks; a panic elsewhere (a failing test's) does not spoil the state for others.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
