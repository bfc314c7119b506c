//! People who use an environment: clients with a DNS cache of their own, at a constant rate, and a count of what they saw.
//! Sends what they would send, and judges nothing.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use hyper::{Method, body::Bytes};
use tokio::{
    sync::watch,
    task::JoinSet,
    time::{Instant, MissedTickBehavior, interval_at, timeout},
};

use crate::{
    arm::groups::Key,
    dice::Dice,
    dns::{self, Answer},
    http::{Connection, Traffic},
    instance::ANSWERED_BY,
    router,
    shared::{PATIENCE, Shared, lock},
};

/// What people ask for, in turn.
const PATHS: [&str; 2] = ["/api/invoices", "/api/payments"];
/// Failures that are kept word by word.
const KEPT: usize = 20;

/// How many people, and how busy they are.
#[derive(Debug, Clone)]
pub struct Load {
    /// Whose public address they use: `staging` or `prod`.
    pub environment: String,
    /// How many clients there are, each with its own DNS cache and connection.
    pub clients: u32,
    /// Requests a second, of all clients together.
    pub per_second: u32,
    /// What the name servers draw by: the same seed, the same draws for each client.
    pub seed: u64,
}

impl Load {
    /// Twenty clients that send two hundred requests a second to `environment`; to production two hundred clients send four
    /// hundred: a client keeps its answer of DNS, so with few of them a share of 5 % would be a matter of one client.
    #[must_use]
    pub fn of(environment: &str) -> Self {
        let (clients, per_second) = if environment == "prod" { (200, 400) } else { (20, 200) };
        Self { environment: environment.to_owned(), clients, per_second, seed: 1 }
    }
}

/// Requests of one kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    /// All of them.
    pub requests: u64,
    /// Those that were not answered, or not with 2xx.
    pub failures: u64,
}

impl Tally {
    fn count(&mut self, outcome: &Result<(), String>) {
        self.requests += 1;
        self.failures += u64::from(outcome.is_err());
    }
}

/// What the clients saw.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Seen {
    /// All requests.
    pub total: Tally,
    /// By the instance that the name led to; `(none)` where it led nowhere.
    pub instances: BTreeMap<String, Tally>,
    /// By the version that answered; `(none)` where nothing did.
    pub versions: BTreeMap<String, Tally>,
    /// The first failures, in words.
    pub failed: Vec<String>,
    /// The longest time that an answer took.
    pub slowest: Duration,
}

impl Seen {
    /// What was answered by `version`.
    #[must_use]
    pub fn version(&self, version: &str) -> Tally {
        self.versions.get(version).copied().unwrap_or_default()
    }

    /// What was sent to the instance `name`.
    #[must_use]
    pub fn instance(&self, name: &str) -> Tally {
        self.instances.get(name).copied().unwrap_or_default()
    }
}

/// People at work; they stop when this is dropped.
#[derive(Debug)]
pub struct Working {
    clients: JoinSet<()>,
    phase: watch::Sender<Phase>,
    news: watch::Receiver<u64>,
    seen: Arc<Mutex<Seen>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Work,
    Stop,
}

impl Working {
    /// What they saw so far.
    #[must_use]
    pub fn snapshot(&self) -> Seen {
        lock(&self.seen).clone()
    }

    /// Waits until `enough` of what they saw.
    pub async fn until(&self, enough: impl Fn(&Seen) -> bool) {
        let mut news = self.news.clone();
        while !enough(&lock(&self.seen)) {
            if news.changed().await.is_err() {
                return;
            }
        }
    }

    /// Lets everybody finish what they began, and gives what they saw.
    pub async fn stop(mut self) -> Seen {
        self.phase.send_replace(Phase::Stop);
        while self.clients.join_next().await.is_some() {}
        self.snapshot()
    }
}

/// Starts them.
pub(crate) fn start(shared: &Arc<Shared>, load: &Load) -> Working {
    let (phase, phase_receiver) = watch::channel(Phase::Work);
    let (count, news) = watch::channel(0);
    let seen = Arc::new(Mutex::new(Seen::default()));
    let profile = router::profile(&load.environment);
    let clients_count = load.clients.max(1);
    let pause = Duration::from_secs(1) * clients_count / load.per_second.max(1);
    let mut clients = JoinSet::new();
    for number in 0..clients_count {
        let client = Client {
            shared: Arc::clone(shared),
            profile: profile.clone(),
            dice: Dice::new(load.seed.wrapping_mul(0x1_0000).wrapping_add(number.into())),
            remembered: None,
            connection: None,
        };
        // Staggered, so that the rate is even.
        let first = Instant::now() + pause * number / clients_count;
        clients.spawn(work(client, number, first, pause, phase_receiver.clone(), Arc::clone(&seen), count.clone()));
    }
    Working { clients, phase, news, seen }
}

async fn work(
    mut client: Client,
    number: u32,
    first: Instant,
    pause: Duration,
    mut phase: watch::Receiver<Phase>,
    seen: Arc<Mutex<Seen>>,
    count: watch::Sender<u64>,
) {
    let mut ticks = interval_at(first, pause.max(Duration::from_millis(1)));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut turn = number as usize;
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            _ = phase.wait_for(|phase| *phase == Phase::Stop) => return,
        }
        let path = PATHS.get(turn % PATHS.len()).copied().unwrap_or("/");
        turn += 1;
        let began = Instant::now();
        let Visit { instance, version, outcome } = client.visit(path).await;
        let mut seen = lock(&seen);
        seen.total.count(&outcome);
        seen.slowest = seen.slowest.max(began.elapsed());
        seen.instances.entry(instance.clone()).or_default().count(&outcome);
        seen.versions.entry(version).or_default().count(&outcome);
        if let Err(why) = outcome
            && seen.failed.len() < KEPT
        {
            seen.failed.push(format!("GET {path} at {instance}: {why}"));
        }
        drop(seen);
        count.send_modify(|count| *count += 1);
    }
}

/// What became of one request.
struct Visit {
    instance: String,
    version: String,
    outcome: Result<(), String>,
}

struct Client {
    shared: Arc<Shared>,
    profile: Key,
    dice: Dice,
    remembered: Option<(Answer, Instant)>,
    connection: Option<Connection>,
}

const NONE: &str = "(none)";

impl Client {
    fn lead(&mut self) -> Result<Answer, dns::Unanswered> {
        let now = Instant::now();
        if let Some((answer, _)) = self.remembered.as_ref().filter(|(_, until)| *until > now) {
            return Ok(answer.clone());
        }
        self.remembered = None;
        let answer = dns::ask(&self.shared, &self.profile, &mut self.dice)?;
        self.remembered = Some((answer.clone(), now + answer.ttl));
        Ok(answer)
    }

    async fn visit(&mut self, path: &str) -> Visit {
        let answer = match self.lead() {
            Ok(answer) => answer,
            Err(why) => return Visit { instance: NONE.to_owned(), version: NONE.to_owned(), outcome: Err(why.to_string()) },
        };
        let response = timeout(PATIENCE, self.get(&answer, path)).await;
        let (version, outcome) = match response {
            Ok(Ok(response)) => {
                let version = response.headers.get(ANSWERED_BY.1).and_then(|value| value.to_str().ok()).unwrap_or(NONE).to_owned();
                let outcome = if (200..300).contains(&response.status) { Ok(()) } else { Err(format!("HTTP {}", response.status)) };
                (version, outcome)
            }
            Ok(Err(error)) => (NONE.to_owned(), Err(error.to_string())),
            Err(_) => (NONE.to_owned(), Err("no answer in time".to_owned())),
        };
        if version == NONE {
            self.connection = None;
        }
        Visit { instance: answer.instance, version, outcome }
    }

    /// One request, on the open connection where it leads there still.
    async fn get(&mut self, answer: &Answer, path: &str) -> std::io::Result<crate::http::Response> {
        let kept = self.connection.take().filter(|connection| connection.to == answer.address && connection.is_open());
        let mut connection = match kept {
            Some(connection) => connection,
            None => Connection::open(answer.address).await?,
        };
        let response = connection.send(Method::GET, path, Traffic::Public, Bytes::new()).await?;
        self.connection = Some(connection);
        Ok(response)
    }
}
