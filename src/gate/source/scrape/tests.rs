//! Pages over time, without a network: what a look brings is handed in.

use super::*;
use crate::{
    config::{Bound, Rule},
    gate::source::wants,
};

/// An application's counters, which its page shows.
#[derive(Default, Clone)]
struct App {
    good: u64,
    bad: u64,
    /// Requests by bucket: up to 0.1 s, 1 s, and longer.
    times: [u64; 3],
}

impl App {
    fn serve(&mut self, good: u64, bad: u64, times: [u64; 3]) {
        self.good += good;
        self.bad += bad;
        self.times.iter_mut().zip(times).for_each(|(sum, more)| *sum += more);
    }

    fn page(&self) -> String {
        let [fast, slow, slower] = self.times;
        format!(
            "# TYPE requests_total counter\nrequests_total{{status=\"200\"}} {}\nrequests_total{{status=\"503\"}} {}\n\
             request_duration_seconds_bucket{{le=\"0.1\"}} {fast}\nrequest_duration_seconds_bucket{{le=\"1\"}} {}\n\
             request_duration_seconds_bucket{{le=\"+Inf\"}} {}\n",
            self.good,
            self.bad,
            fast + slow,
            fast + slow + slower
        )
    }
}

fn target() -> Target {
    Target { instance: "a".parse().expect("a name"), host: "10.0.0.4".into(), port: 3000 }
}

fn rule(metric: &str, bound: Bound) -> Rule {
    Rule { metric: metric.parse().expect("a name"), bounds: vec![bound], consecutive: 2 }
}

fn rules() -> Vec<Rule> {
    vec![
        rule("error-rate", Bound::Max(Quantity::ratio(0.01))),
        rule("success-rate", Bound::Min(Quantity::ratio(0.99))),
        rule("latency-p99", Bound::Max(Quantity::seconds(0.1))),
        rule("requests", Bound::Min(Quantity::plain(1.0))),
    ]
}

struct Watch {
    scrape: Scrape,
    start: Instant,
}

impl Watch {
    fn new() -> Self {
        let http = crate::http::client().expect("a client");
        Self { scrape: Scrape::new("/metrics", http, Duration::from_secs(60), Duration::from_secs(5)), start: Instant::now() }
    }

    fn saw(&mut self, second: u64, page: &str) {
        let body = Body { status: 200, content_type: "text/plain".into(), location: None, bytes: page.as_bytes().to_vec(), cut: false };
        self.saw_body(second, &body);
    }

    fn saw_body(&mut self, second: u64, body: &Body) {
        self.scrape.saw(target().endpoint(), lines(body), Duration::from_millis(3), self.start + Duration::from_secs(second));
    }

    fn readings(&self) -> Vec<Reading> {
        self.scrape.samples(&wants(&rules()), &[target()], &[]).into_iter().map(|sample| sample.reading).collect()
    }

    fn why(&self) -> String {
        match &self.readings()[0] {
            Reading::NoData { why } => format!("no data: {why}"),
            Reading::Failed { why } => format!("failed: {why}"),
            other => panic!("{other:?}"),
        }
    }
}

fn counts(requests: u64, events: u64) -> Counts {
    Counts::new(requests, events)
}

#[test]
fn counters_kept_between_ticks_make_the_rates() {
    let (mut watch, mut app) = (Watch::new(), App::default());
    // What was before the first look is nobody's.
    app.serve(1_000, 900, [1_900, 0, 0]);
    watch.saw(0, &app.page());
    assert_eq!(watch.why(), "no data: 10.0.0.4:3000 was looked at for the first time; counts come with the next tick");
    app.serve(98, 2, [90, 9, 1]);
    watch.saw(10, &app.page());
    let readings = watch.readings();
    let first = Basis::Counts { window: counts(100, 2), total: counts(100, 2) };
    assert_eq!(readings[0], Reading::value(0.02, first));
    assert_eq!(readings[1], Reading::value(0.98, first));
    let slow = Basis::Counts { window: counts(100, 10), total: counts(100, 10) };
    assert_eq!(readings[2], Reading::value(1.0, slow));
    assert_eq!(readings[3], Reading::plain(100.0));
    // After a window the first tick's counts have left it, and are still in the total.
    for tick in 2..=7 {
        app.serve(50, 0, [50, 0, 0]);
        watch.saw(tick * 10, &app.page());
    }
    assert_eq!(watch.readings()[0], Reading::value(0.0, Basis::Counts { window: counts(300, 0), total: counts(400, 2) }));
}

#[test]
fn a_watch_that_begins_later_counts_from_there_and_the_window_before() {
    let (mut watch, mut app) = (Watch::new(), App::default());
    // The watch's beginning is read from the real clock; the looks lie in its past.
    watch.start = Instant::now().checked_sub(Duration::from_secs(200)).expect("the machine runs for longer");
    for tick in 0..=20 {
        watch.saw(tick * 10, &app.page());
        app.serve(10, 0, [10, 0, 0]);
    }
    watch.scrape.begin();
    watch.saw(210, &app.page());
    let reading = watch.readings().remove(0);
    assert_eq!(reading, Reading::value(0.0, Basis::Counts { window: counts(60, 0), total: counts(70, 0) }));
}

#[test]
fn a_restarted_process_counts_from_zero() {
    let (mut watch, mut app) = (Watch::new(), App::default());
    app.serve(5_000, 50, [5_050, 0, 0]);
    watch.saw(0, &app.page());
    let mut again = App::default();
    again.serve(30, 10, [40, 0, 0]);
    watch.saw(10, &again.page());
    assert_eq!(watch.readings()[0], Reading::value(0.25, Basis::Counts { window: counts(40, 10), total: counts(40, 10) }));
}

#[test]
fn a_counter_that_appears_later_began_at_zero() {
    let mut watch = Watch::new();
    watch.saw(0, "requests_total{status=\"200\"} 100\n");
    watch.saw(10, "requests_total{status=\"200\"} 190\nrequests_total{status=\"500\"} 10\n");
    assert_eq!(watch.readings()[0], Reading::value(0.1, Basis::Counts { window: counts(100, 10), total: counts(100, 10) }));
}

#[test]
fn the_usual_names_are_known() {
    for (name, label) in [
        ("http_requests_total", "code"),
        ("http_server_requests_seconds_count", "status"),
        ("http_request_duration_seconds_count", "status_code"),
        ("http_server_request_duration_seconds_count", "http_response_status_code"),
    ] {
        let mut watch = Watch::new();
        let page = |good: u32, bad: u32| format!("{name}{{{label}=\"204\"}} {good}\n{name}{{{label}=\"5xx\"}} {bad}\n{name} 7\n");
        watch.saw(0, &page(0, 0));
        watch.saw(10, &page(9, 1));
        assert_eq!(watch.readings()[0], Reading::value(0.1, Basis::Counts { window: counts(10, 1), total: counts(10, 1) }), "{name}");
    }
}

#[test]
fn without_requests_there_is_no_data() {
    let (mut watch, app) = (Watch::new(), App::default());
    watch.saw(0, &app.page());
    watch.saw(10, &app.page());
    assert_eq!(watch.why(), "no data: no requests in the window");
    assert_eq!(watch.readings()[2], Reading::NoData { why: "no requests in the window".into() });
    assert_eq!(watch.readings()[3], Reading::plain(0.0));
}

#[test]
fn a_histogram_that_ends_below_the_bound_does_not_pass() {
    let mut watch = Watch::new();
    let page =
        |count: u32| format!("request_duration_seconds_bucket{{le=\"0.05\"}} 0\nrequest_duration_seconds_bucket{{le=\"+Inf\"}} {count}\n");
    watch.saw(0, &page(0));
    watch.saw(10, &page(100));
    let Reading::Failed { why } = watch.readings().remove(2) else { panic!("{:?}", watch.readings()) };
    assert_eq!(why, "it is beyond the histogram's largest bucket (0.05 s), nobody knows how far; add larger buckets");
}

#[test]
fn a_page_that_is_none_says_what_to_do() {
    let mut said = Vec::new();
    let mut see = |status: u16, content_type: &str, text: &str| {
        let mut watch = Watch::new();
        watch.saw(0, &App::default().page());
        let location = (status == 302).then(|| "/login?next=/metrics".to_owned());
        watch.saw_body(10, &Body { status, content_type: content_type.into(), location, bytes: text.as_bytes().to_vec(), cut: false });
        said.push(watch.why());
    };
    see(404, "text/plain", "not found");
    see(500, "text/plain", "oops");
    see(302, "text/html", "");
    see(200, "text/html", "<!doctype html><title>Log in</title>");
    see(200, "application/json", "{\"requests\": 7}");
    see(200, "text/plain", "requests_total{status=\"200\"} NaN\n");
    see(200, "text/plain", "requests_total{status=\"200\"} -1\n");
    see(200, "text/plain", "requests_total{status=\"200\"} 1\nrequests_total{status=\"200\"} 2\n");
    see(200, "text/plain", "requests_total 1\n");
    see(200, "text/plain", "go_goroutines 7\n");
    see(200, "text/plain", "");
    insta::assert_snapshot!(said.join("\n"));
}

#[test]
fn a_page_that_fails_once_loses_nothing() {
    let (mut watch, mut app) = (Watch::new(), App::default());
    watch.saw(0, &app.page());
    app.serve(100, 0, [100, 0, 0]);
    watch.saw_body(10, &Body { status: 503, content_type: String::new(), location: None, bytes: Vec::new(), cut: false });
    assert_eq!(watch.why(), "failed: the metrics page of 10.0.0.4:3000: it answers 503");
    app.serve(100, 2, [102, 0, 0]);
    watch.saw(20, &app.page());
    let readings = watch.readings();
    assert_eq!(readings[0], Reading::value(2.0 / 202.0, Basis::Counts { window: counts(202, 2), total: counts(202, 2) }));
}

#[test]
fn endpoints_are_taken_together() {
    let mut watch = Watch::new();
    let other = Target { instance: "a".parse().expect("a name"), host: "fe80::9".into(), port: 80 };
    let mut app = App::default();
    for second in [0, 10] {
        watch.saw(second, &app.page());
        let body = Body { status: 200, content_type: String::new(), location: None, bytes: app.page().into_bytes(), cut: false };
        watch.scrape.saw(other.endpoint(), lines(&body), Duration::ZERO, watch.start + Duration::from_secs(second));
        app.serve(99, 1, [100, 0, 0]);
    }
    let samples = watch.scrape.samples(&wants(&rules()), &[target(), other], &[]);
    assert_eq!(samples[0].reading, Reading::value(0.01, Basis::Counts { window: counts(200, 2), total: counts(200, 2) }));
    assert_eq!(samples[0].query, "error-rate of requests_total in 60 s at http://10.0.0.4:3000/metrics, http://[fe80::9]:80/metrics");
    // One that nobody could look at leaves the whole unknown.
    let unseen = Target { instance: "a".parse().expect("a name"), host: "10.0.0.5".into(), port: 3000 };
    let samples = watch.scrape.samples(&wants(&rules()), &[target(), unseen], &[]);
    assert!(matches!(samples[0].reading, Reading::Failed { .. }));
}
