//! The whole release in virtual time: an Azure in memory that takes its time to answer, and a clock that only waiting moves.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use azure_core::{
    credentials::{AccessToken, TokenCredential, TokenRequestOptions},
    http::{AsyncRawResponse, HttpClient, Request, StatusCode, headers::Headers},
    time::OffsetDateTime,
};
use proptest::prelude::{ProptestConfig, prop_assert_eq, proptest};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::*;
use crate::{
    azure::ResourceManager,
    config::{self, Bound, Quantity},
    domain::{Masks, Outcome, Strategy},
    execute::{Cancel, Emitter, Ending, Event, run},
    observe::Observed,
    plan::{Aim, Plan, Step},
};

/// The phases of the runbook and the stabilization after them, in seconds: 50 minutes.
const LENGTHS: [f64; 5] = [300.0, 300.0, 300.0, 300.0, 1800.0];

/// Seconds from tick to tick.
const EVERY: u64 = 10;

/// Ticks of them all.
const TICKS: u32 = 300;

/// Azure in memory.
#[derive(Debug)]
struct Memory {
    /// How many milliseconds each answer takes, one after the other, over and over.
    delays: Vec<u64>,
    asked: AtomicU32,
    /// From which request on the container has been restarted once.
    breaks_at: Option<u32>,
}

fn group(restarts: u32) -> Value {
    json!({
        "name": "prod-canary-1", "location": "westeurope", "tags": {},
        "properties": {
            "provisioningState": "Succeeded", "osType": "Linux", "instanceView": {"state": "Running"},
            "containers": [{"name": "app", "properties": {
                "image": "i", "resources": {"requests": {"cpu": 1, "memoryInGB": 1}},
                "instanceView": {"restartCount": restarts, "currentState": {"state": "Running"}, "events": []},
            }}],
        },
    })
}

#[async_trait::async_trait]
impl HttpClient for Memory {
    async fn execute_request(&self, request: &Request) -> azure_core::Result<AsyncRawResponse> {
        let nth = self.asked.fetch_add(1, Ordering::Relaxed);
        let delay = self.delays.get(nth as usize % self.delays.len()).copied().unwrap_or_default();
        tokio::time::sleep(Duration::from_millis(delay)).await;
        if !request.url().path().contains("containerGroups") {
            let missing = json!({"error": {"code": "ResourceNotFound", "message": "no such profile"}});
            return Ok(AsyncRawResponse::from_bytes(StatusCode::NotFound, Headers::new(), missing.to_string()));
        }
        let restarts = if self.breaks_at.is_some_and(|at| nth >= at) { 1 } else { 0 };
        Ok(AsyncRawResponse::from_bytes(StatusCode::Ok, Headers::new(), group(restarts).to_string()))
    }
}

/// Whoever asks is let in.
#[derive(Debug)]
struct Open;

#[async_trait::async_trait]
impl TokenCredential for Open {
    async fn get_token(&self, _: &[&str], _: Option<TokenRequestOptions<'_>>) -> azure_core::Result<AccessToken> {
        Ok(AccessToken::new("a token".to_owned(), OffsetDateTime::now_utc() + Duration::from_secs(1_000_000)))
    }
}

fn restarts() -> Vec<Rule> {
    vec![Rule { metric: RESTARTS.parse().expect("a name"), bounds: vec![Bound::Max(Quantity::plain(0.0))], consecutive: 1 }]
}

/// The runbook's watches one after the other, over an Azure whose answers take so long; when each tick was taken, in milliseconds
/// since its watch began, by step; and the end.
fn released(delays: Vec<u64>, breaks_at: Option<u32>) -> (Vec<(usize, u64)>, Ending, Duration) {
    released_under(restarts(), delays, breaks_at)
}

/// The same, under these rules.
fn released_under(rules: Vec<Rule>, delays: Vec<u64>, breaks_at: Option<u32>) -> (Vec<(usize, u64)>, Ending, Duration) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().expect("a runtime");
    runtime.block_on(async {
        let text =
            "version: 1\napplication: shop\nimage: ghcr.io/a/b\nazure: {location: westeurope}\nenvironments:\n  prod: {preflight: off}\n";
        let mut config = config::parse(text, "deploy.yml").expect("a configuration");
        let environment = config.environments.remove(&"prod".parse().expect("a name")).expect("prod");
        let memory = Memory { delays, asked: AtomicU32::new(0), breaks_at };
        let base = "https://azure.example/".parse().expect("an address");
        let azure = ResourceManager::over(Arc::new(memory), Arc::new(Open), base, "s".into(), Arc::new(|_| {}));
        let canary: InstanceName = "prod-canary-1".parse().expect("a name");
        let phase = |seconds: &f64| Step::Phase {
            on: vec![canary.clone()],
            beside: Vec::new(),
            share: Share::ALL,
            for_seconds: *seconds,
            every_seconds: f64::from(u32::try_from(EVERY).expect("few")),
            rules: Vec::new(),
            abort: rules.clone(),
            step_back: None,
        };
        let plan = Plan {
            rollout: "prod-1-1".parse().expect("an id"),
            environment: environment.name.clone(),
            strategy: Strategy::Canary,
            aim: Aim::Deploy,
            image: None,
            sha: None,
            previous: None,
            subject: canary.clone(),
            steps: LENGTHS.iter().map(phase).collect(),
            notices: Vec::new(),
            limit_seconds: 0,
        };
        let (sender, mut events) = mpsc::unbounded_channel::<Event>();
        let emitter = Emitter::new(sender, Masks::default());
        let observed = Observed { instances: Vec::new(), profile: None, at: jiff::Timestamp::UNIX_EPOCH };
        let execution = Execution {
            azure: &azure,
            http: &crate::http::client().expect("a client"),
            environment: &environment,
            metrics: None,
            plan: &plan,
            bodies: &BTreeMap::new(),
            run_url: None,
            emitter: &emitter,
            claim: None,
            cancel: Cancel::never(),
            offset: 0,
        };
        let begun = Instant::now();
        let ending = run(Hands::new(&observed, None), &execution).await;
        let took = begun.elapsed();
        let mut ticks = Vec::new();
        while let Ok(event) = events.try_recv() {
            if let Happening::Tick { step, after_ms, .. } = event.event {
                ticks.push((step, after_ms));
            }
        }
        (ticks, ending, took)
    })
}

/// When the ticks of all watches are due, by step, in milliseconds.
fn due() -> Vec<(usize, u64)> {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "whole seconds, few of them")]
    let count = |length: &f64| *length as u64 / EVERY;
    LENGTHS.iter().enumerate().flat_map(|(step, length)| (1..=count(length)).map(move |tick| (step, tick * EVERY * 1000))).collect()
}

#[test]
fn fifty_minutes_are_three_hundred_ticks_each_at_its_time() {
    let (ticks, ending, took) = released(vec![100, 800, 250, 90, 400, 700, 60], None);
    assert_eq!((ending.failure, ending.outcome), (None, Outcome::Unchanged), "watching changes nothing");
    assert_eq!(ticks.len(), TICKS as usize);
    assert_eq!(ticks, due(), "no drift, to the millisecond");
    // Beside the watches themselves: each learns once where its instance is.
    assert!(took >= Duration::from_secs(3000) && took < Duration::from_secs(3000 + 5), "{took:?}");
}

#[test]
fn an_azure_that_is_slow_or_does_not_answer_makes_no_tick_drift() {
    for slow in [vec![100, 1500, 250, 90, 4000, 700, 60], vec![9000]] {
        let (ticks, ..) = released(slow, None);
        // A rule on what only Azure knows waits for it, as long as a look may take.
        let late: Vec<u64> = ticks.iter().map(|(_, after)| after % (EVERY * 1000)).collect();
        assert!(ticks.len() >= 30 && late.iter().all(|late| *late <= 5000), "{ticks:?}");
    }
}

#[test]
fn a_tick_that_asks_nothing_of_azure_does_not_wait_for_it() {
    let (ticks, ..) = released_under(Vec::new(), vec![4900], None);
    assert!(ticks.len() >= 30 && ticks.iter().all(|(_, after)| after % (EVERY * 1000) == 0), "{ticks:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// No abort is missed: whatever Azure takes to answer, the look that shows it ends the release at that tick.
    #[test]
    fn no_abort_is_missed(delays in proptest::collection::vec(0_u64..2400, 1..12), at in 0_u32..TICKS) {
        // Each tick is two looks, each watch learns once before its first.
        let before = |tick: u32| [30_u32, 60, 90, 120].iter().filter(|first| tick >= **first).count();
        let breaks_at = 1 + at * 2 + u32::try_from(before(at)).expect("few");
        let (ticks, ending, _) = released(delays, Some(breaks_at));
        prop_assert_eq!(ticks.len(), at as usize + 1, "{:?}", ending);
        prop_assert_eq!(ending.failure.map(|failure| failure.kind), Some(FailureKind::Breach));
    }
}

#[test]
fn a_late_tick_does_not_move_those_after_it() {
    let begun = Instant::now();
    let second = Duration::from_secs(1);
    let mut cadence = Cadence::new(begun, second);
    assert_eq!(cadence.next(begun), begun + second);
    assert_eq!(cadence.next(begun + second), begun + 2 * second);
    assert_eq!(cadence.next(begun + Duration::from_millis(4300)), begun + 5 * second, "two were missed");
    assert_eq!(cadence.next(begun + 5 * second), begun + 6 * second);
}

#[test]
fn azure_is_asked_as_late_as_it_answers_in_time() {
    let mut cadence = Cadence::new(Instant::now(), Duration::from_secs(10));
    assert_eq!(cadence.lead(), Duration::from_secs(5), "nobody knows yet how slow it is");
    cadence.looked(Duration::from_millis(150));
    assert_eq!(cadence.lead(), Duration::from_millis(3750), "not yet so sure");
    (0..12).for_each(|_| cadence.looked(Duration::from_millis(150)));
    assert_eq!(cadence.lead(), Duration::from_millis(300));
    cadence.looked(Duration::from_secs(9));
    assert_eq!(cadence.lead(), Duration::from_secs(5));
    (0..20).for_each(|_| cadence.looked(Duration::ZERO));
    assert_eq!(cadence.lead(), SOON);
}

#[test]
fn thirty_minutes_are_180_ticks() {
    assert_eq!(ticks(Duration::from_secs(1800), Duration::from_secs(10)), 180);
    assert_eq!(ticks(Duration::from_secs(5), Duration::from_secs(10)), 1);
    assert_eq!(ticks(Duration::from_secs(1), Duration::ZERO), 1);
}
