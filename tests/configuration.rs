//! `deploy.yml`: what is accepted, what is refused, and how that is said.

#![allow(clippy::expect_used, clippy::panic, reason = "a test stops where it is surprised, in its helpers too")]

use deploy_action::config;
use proptest::prelude::*;

const EXAMPLE: &str = include_str!("../examples/deploy.yml");

const LEAST: &str = "version: 1\napplication: shop\nimage: ghcr.io/a/b\nazure: { location: westeurope }\nenvironments: { dev: {} }\n";

fn refused(text: &str) -> String {
    config::parse(text, "deploy.yml").map(|_| String::from("accepted")).unwrap_or_else(|error| error.to_string())
}

/// The example with one line replaced.
fn example(from: &str, to: &str) -> String {
    assert!(EXAMPLE.contains(from), "{from}");
    EXAMPLE.replacen(from, to, 1)
}

#[test]
fn the_whole_surface_is_accepted() {
    let config = config::parse(EXAMPLE, "deploy.yml").unwrap_or_else(|error| panic!("{error}"));
    let dev = &config.environments[&"dev".parse().expect("a name")];
    assert_eq!((dev.resource_group.as_str(), dev.instance.as_str(), dev.tag.as_str()), ("dev-nextgen", "aci-dev-nextgen", "develop-{sha}"));
    assert_eq!((dev.health.retries, dev.health.every.as_secs(), dev.health.timeout.as_secs()), (30, 10, 5));
    assert_eq!(dev.smoke, ["/health", "/api/invoices"]);
}

#[test]
fn the_required_keys_are_enough() {
    let config = config::parse(LEAST, "deploy.yml").unwrap_or_else(|error| panic!("{error}"));
    let dev = &config.environments[&"dev".parse().expect("a name")];
    assert_eq!((dev.resource_group.as_str(), dev.instance.as_str(), dev.tag.as_str()), ("dev-shop", "aci-dev-shop", "develop-{sha}"));
    assert_eq!((dev.container.port, dev.container.health.as_str(), dev.when.branch.as_deref()), (3000, "/health", Some("develop")));
}

#[test]
fn what_is_left_out_is_what_the_example_writes_out() {
    // Every value of the example that is a default, left out, gives the same.
    let whole = config::parse(EXAMPLE, "deploy.yml").expect("the example");
    for (from, to) in [
        (
            "    health: { retries: 30, every: 10s, timeout: 5s }\n    smoke: [/health, /api/invoices]\n",
            "    smoke: [/health, /api/invoices]\n",
        ),
        ("  port: 3000\n  health: /health\n  cpu: 1\n  memory: 1\n", "  cpu: 1\n"),
        ("    when: { branch: develop }\n    strategy: direct\n", ""),
        ("  slack: { channel: \"#nextgen-devops\", incidents: \"#nextgen-incidents\" }\n", ""),
        (", endpoints: { blue: blue-endpoint, green: green-endpoint }", ""),
        (
            "    observe:\n      for: 30m\n      every: 10s\n      rules:\n        error-rate: { max: 0%, consecutive: 2 }\n        latency-p99: { max: 100ms, consecutive: 3 }\n",
            "",
        ),
        ("      rules:\n        error-rate: { max: 0%, consecutive: 2 }\n        latency-p99: { max: 100ms, consecutive: 3 }\n", ""),
        ("        error-rate: { max: 0%, consecutive: 2 }\n", "        error-rate: { max: 0% }\n"),
        ("  window: 1m\n", ""),
        ("  no-data: hold ", "  # "),
        ("  confidence: 99% ", "  # "),
        ("  min-requests: 50 ", "  # "),
        ("database:\n  connections: 20 ", "# "),
    ] {
        assert_eq!(config::parse(&example(from, to), "deploy.yml").as_ref(), Ok(&whole), "{from}");
    }
}

#[test]
fn an_environments_container_is_laid_over_the_common_one() {
    let text = LEAST.replace("{ dev: {} }", "{ dev: { container: { memory: 2 } } }") + "container: { cpu: 2, memory: 4, port: 8080 }\n";
    let config = config::parse(&text, "deploy.yml").unwrap_or_else(|error| panic!("{error}"));
    let container = &config.environments[&"dev".parse().expect("a name")].container;
    assert_eq!((container.cpu, container.memory, container.port), (2.0, 2.0, 8080));
}

#[test]
fn off_switches_a_section_off() {
    for text in ["metrics: off\n", "notify: off\n", "database: \"off\"\n", "notify: { slack: off, dashboard: off }\n"] {
        assert_eq!(refused(&format!("{LEAST}{text}")), "accepted", "{text}");
    }
    assert!(config::parse(&format!("{LEAST}notify: off\n"), "f").is_ok_and(|config| config.notify.slack.is_none()));
    // On by default, as far as the input with the key is given; a status page without an id is none.
    let notify = |text: &str| config::parse(&format!("{LEAST}{text}"), "f").expect(text).notify;
    let severity = |text: &str| notify(text).pagerduty.map(|pagerduty| pagerduty.severity.as_str());
    assert_eq!((severity(""), severity("notify: { pagerduty: { severity: warning } }\n")), (Some("critical"), Some("warning")));
    assert_eq!((severity("notify: off\n"), severity("notify: { pagerduty: off }\n")), (None, None));
    let page = |text: &str| notify(text).status_page.map(|page| (page.page, page.component));
    assert_eq!((page(""), page("notify: { status-page: { page: \"\", component: abc } }\n")), (None, None));
    assert_eq!(page("notify: { status-page: off }\n"), None);
    assert_eq!(page("notify: { status-page: { page: p1 } }\n"), Some(("p1".to_owned(), None)));
    assert_eq!(page("notify: { status-page: { page: p1, component: c1 } }\n"), Some(("p1".to_owned(), Some("c1".to_owned()))));
}

fn staging(text: &str) -> config::BlueGreen {
    let config = config::parse(text, "deploy.yml").unwrap_or_else(|error| panic!("{error}"));
    config.environments[&"staging".parse().expect("a name")].blue_green.clone().expect("blue-green")
}

fn rules(observe: Option<&config::Observe>) -> Vec<String> {
    let rules = observe.map_or(&[][..], |observe| &observe.rules);
    rules.iter().map(|rule| format!("{} {:?} x{}", rule.metric, rule.bounds, rule.consecutive)).collect()
}

#[test]
fn blue_green_is_read_whole() {
    let whole = staging(EXAMPLE);
    assert_eq!((whole.blue.instance.as_str(), whole.blue.endpoint.as_str()), ("aci-staging-blue", "blue-endpoint"));
    assert_eq!((whole.green.instance.as_str(), whole.green.endpoint.as_str()), ("aci-staging-green", "green-endpoint"));
    assert_eq!((whole.profile.name.as_str(), whole.profile.dns_name.as_ref()), ("tm-staging", None));
    let observe = whole.observe.as_ref().expect("on");
    assert_eq!((observe.duration.as_secs(), observe.every.as_secs()), (1800, 10));
    insta::assert_snapshot!(rules(Some(observe)).join("\n"), @r"
    error-rate [Max(Quantity { value: 0.0, unit: Percent })] x2
    latency-p99 [Max(Quantity { value: 0.1, unit: Time })] x3
    ");

    let least = staging(&LEAST.replace("{ dev: {} }", "{ staging: {} }"));
    assert_eq!((least.blue.instance.as_str(), least.green.instance.as_str()), ("aci-staging-shop-blue", "aci-staging-shop-green"));
    assert_eq!((least.blue.endpoint.as_str(), least.green.endpoint.as_str()), ("blue-endpoint", "green-endpoint"));
    assert_eq!(least.profile.name, "tm-staging-shop");
    assert_eq!(least.observe, whole.observe);
}

#[test]
fn given_rules_are_laid_over_the_defaults() {
    let observe =
        |given: &str| rules(staging(&LEAST.replace("{ dev: {} }", &format!("{{ staging: {{ observe: {given} }} }}"))).observe.as_ref());
    assert_eq!(observe("off"), Vec::<String>::new());
    assert_eq!(observe("{ rules: { error-rate: off } }"), ["latency-p99 [Max(Quantity { value: 0.1, unit: Time })] x3"]);
    assert_eq!(
        observe("{ rules: { latency-p99: { max: 1s }, restarts: { max: 2, consecutive: 1 } } }"),
        [
            "error-rate [Max(Quantity { value: 0.0, unit: Percent })] x2",
            "latency-p99 [Max(Quantity { value: 1.0, unit: Time })] x2",
            "restarts [Max(Quantity { value: 2.0, unit: Plain })] x1",
        ]
    );
}

#[test]
fn a_part_of_stable_may_be_more_than_the_whole() {
    let text = example("throughput: { min-of-baseline: 90% }", "throughput: { max-of-baseline: 112.5% }");
    assert_eq!(refused(&text), "accepted");
    for (text, shown, ratio) in
        [("90%", "90%", 0.9), ("112.50%", "112.5%", 1.125), ("10000%", "10000%", 100.0), ("0.0001%", "0.0001%", 1e-6)]
    {
        let factor: config::Factor = text.parse().expect("a factor");
        assert_eq!((factor.to_string().as_str(), factor.ratio()), (shown, ratio));
    }
    for wrong in ["", "%", "150", "-1%", "10000.0001%", "1e2%", "5.%", "1.00001%"] {
        assert!(wrong.parse::<config::Factor>().is_err(), "{wrong}");
    }
}

#[test]
fn metrics_are_read_with_their_defaults() {
    let metrics = |more: &str| config::parse(&format!("{LEAST}{more}"), "f").unwrap_or_else(|error| panic!("{error}")).metrics;
    let default = metrics("").expect("on by default");
    assert_eq!(default.source, config::MetricsSource::Scrape { path: "/metrics".into() });
    assert_eq!((default.window.as_secs(), default.no_data, default.min_requests), (60, config::NoData::Hold, 50));
    assert_eq!(default.confidence.map(|share| share.to_string()).as_deref(), Some("99%"));
    assert_eq!(metrics("metrics: off\n"), None);
    let given =
        metrics("metrics: { prometheus: \"https://p.example/prom\", no-data: fail, confidence: off, window: 30s, min-requests: 5 }\n");
    let given = given.expect("on");
    assert!(matches!(&given.source, config::MetricsSource::Prometheus(url) if url.as_str() == "https://p.example/prom"));
    assert_eq!((given.window.as_secs(), given.no_data, given.confidence, given.min_requests), (30, config::NoData::Fail, None, 5));
    let whole = config::parse(EXAMPLE, "f").expect("the example").metrics.expect("on");
    assert!(whole.queries[&"cpu".parse().expect("a name")].starts_with("max(process_cpu_ratio"));
    let connections = |more: &str| config::parse(&format!("{LEAST}{more}"), "f").expect("accepted").database.map(|it| it.connections);
    assert_eq!((connections(""), connections("database: off\n"), connections("database: { connections: 7 }\n")), (Some(20), None, Some(7)));
}

#[test]
fn a_rule_that_cannot_work_is_refused() {
    let rule = |from: &str, to: &str| example(from, to);
    let observe = |given: &str| LEAST.replace("{ dev: {} }", &format!("{{ staging: {{ observe: {given} }} }}"));
    let messages: Vec<String> = [
        rule("error-rate: { max: 0%, consecutive: 2 }", "eror-rate: { max: 0%, consecutive: 2 }"),
        rule("throughput: { min-of-baseline: 90% }", "orders: { min-of-baseline: 90% }"),
        rule("throughput: { min-of-baseline: 90% }", "requests: { min-of-baseline: 90% }"),
        rule("throughput: { min-of-baseline: 90% }", "throughput: { min-of-baseline: 0% }"),
        rule("throughput: { min-of-baseline: 90% }", "throughput: { max-of-baseline: 0% }"),
        rule("throughput: { min-of-baseline: 90% }", "throughput: { max-of-baseline: 10001% }"),
        rule("throughput: { min-of-baseline: 90% }", "throughput: { min: 5, max: 4 }"),
        rule("latency-p99: { max: 100ms, consecutive: 3 }", "latency-p99: { max: 100, consecutive: 3 }"),
        rule("latency-p99: { max: 100ms, consecutive: 3 }", "latency-p99: { max: 0ms, consecutive: 3 }"),
        rule("latency-p99: { max: 100ms, consecutive: 3 }", "latency-p99: { max-of-baseline: 150%, consecutive: 3 }"),
        rule("success-rate: { min: 99.9% }", "success-rate: { min: 0% }"),
        rule("database-connections: { max: 19, consecutive: 1 }", "database-connections: { max: 20, consecutive: 1 }"),
        rule("database:\n  connections: 20 ", "database: off "),
        rule("health: { consecutive: 1 }", "health: { max: 1 }"),
        rule("error-rate: { max: 1%, consecutive: 2 }", "error-rate: { max: 100%, consecutive: 2 }"),
        rule(
            "for: 30m\n      every: 10s\n      rules:\n        error-rate: { max: 0%",
            "for: 20s\n      every: 10s\n      rules:\n        error-rate: { max: 0%",
        ),
        rule("confidence: 99%", "confidence: 100%"),
        rule("max(process_cpu_ratio{instance=~\"$instances\"})", "max(process_cpu_ratio{instance=~\"$instance\"})"),
        rule("    cpu: max", "    CPU: max"),
        rule("{ blue: aci-staging-blue, green: aci-staging-green }", "{ blue: aci-staging-blue, green: aci-staging-blue }"),
        rule("{ blue: blue-endpoint, green: green-endpoint }", "{ blue: Green-Endpoint }"),
        rule("{ profile: tm-staging, ", "{ profile: tm/staging, "),
        LEAST.replace("{ dev: {} }", "{ staging: {} }") + "metrics: off\n",
        observe("{ rules: { error-rate: { max: 1% } } }") + "metrics: off\n",
        observe("{ rules: { error-rate: off, latency-p99: off } }"),
        observe("{ rules: { cache-hit-ratio: { min: 90% } } }"),
        observe("{ rules: { cache-hit-ratio: { min: 90% } } }") + "metrics: { queries: { cache-hit-ratio: \"1\" } }\n",
    ]
    .iter()
    .map(|text| refused(text))
    .collect();
    assert!(messages.iter().all(|message| message != "accepted"), "{messages:#?}");
    insta::assert_snapshot!(messages.join("\n\n"));
}

#[test]
fn errors_say_where_and_what_would_be_right() {
    let messages: Vec<String> = [
        example("    smoke: [/health, /api/invoices]", "    smokes: [/health]"),
        example("application: nextgen-market ", "aplication: nextgen-market "),
        example("memory: 1", "memory: 0"),
        example("memory: 1", "memory: one"),
        example("image: ghcr.io/nextgen-market/nextgen-market", "image: ghcr.io/nextgen-market/nextgen-market:v1"),
        example("url: https://dev-api.nextgen.local", "url: dev-api.nextgen.local"),
        example("strategy: blue-green", "strategy: bluegreen"),
        example("every: 10s, timeout: 5s", "every: 10, timeout: 5s"),
        example("- traffic: 25%", "- traffic: 125%"),
        example("- traffic: 25%", "- traffic: 4%"),
        example("on-breach: 25%", "on-breach: 60%"),
        example("error-rate: { max: 0%, consecutive: 2 }", "error-rate: { consecutive: 2 }"),
        example("strategy: direct", "strategy: direct\n    observe: { for: 30m }"),
        example("when: { branch: main }", "when: { branch: develop }"),
        example("version: 1", "version: 2"),
        example("  location: westeurope", "  region: westeurope"),
        example("secrets: [DATABASE_URL]", "secrets: DATABASE_URL"),
        example("secrets: [DATABASE_URL]", "secrets: [DATABASE_NAME]"),
        example("tag: develop-{sha}", "tag: develop/{sha}"),
        example("application: nextgen-market ", "application: \"a\\u001b[31mb\" "),
        example("  cpu: 1", "  cpu: 1\n  properties: { priorty: Spot }"),
        LEAST.replace("dev: {}", "Dev_1: {}"),
        LEAST.replace("application: shop", "application: shop\napplication: again"),
        "version: 1\nenvironments: [".into(),
        String::new(),
        "a: &a [*a]".into(),
        LEAST.replace("environments: { dev: {} }", "environments: {}"),
    ]
    .iter()
    .map(|text| refused(text))
    .collect();
    insta::assert_snapshot!(messages.join("\n\n"));
}

#[test]
fn an_alias_bomb_ends_early() {
    let mut text = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x]\n");
    for level in 1..12 {
        let of = level - 1;
        text.push_str(&format!("a{level}: &a{level} [*a{of}, *a{of}, *a{of}, *a{of}, *a{of}, *a{of}, *a{of}, *a{of}, *a{of}]\n"));
    }
    assert!(refused(&text).contains("aliases multiply them"));
}

#[test]
fn a_file_that_cannot_be_read_says_so() {
    let folder = tempfile::tempdir().expect("a folder");
    let said = |bytes: &[u8]| {
        let path = folder.path().join("deploy.yml");
        std::fs::write(&path, bytes).expect("written");
        config::load(&path).map(|_| ()).expect_err("refused").to_string()
    };
    assert!(said(b"version: 1\nb: \xff").contains(":2:1: this line is not UTF-8"));
    assert!(said(&vec![b' '; 1024 * 1024 + 1]).contains("larger than 1 MiB"));
    assert!(config::load(&folder.path().join("none.yml")).expect_err("refused").to_string().contains("there is no such file"));
}

#[test]
fn the_schema_accepts_what_the_code_accepts_and_refuses_what_it_can() {
    let validator = jsonschema::validator_for(&config::schema()).expect("a schema");
    let json = |text: &str| -> serde_json::Value { yaml(text) };
    assert!(
        validator.is_valid(&json(EXAMPLE)),
        "{:?}",
        validator.iter_errors(&json(EXAMPLE)).map(|error| format!("{error} at {}", error.instance_path)).collect::<Vec<_>>()
    );
    assert!(validator.is_valid(&json(LEAST)));
    for wrong in [
        example("memory: 1", "memory: 0"),
        example("application: nextgen-market ", "aplication: nextgen-market "),
        example("strategy: blue-green", "strategy: bluegreen"),
        example("- traffic: 25%", "- traffic: 125%"),
        example("version: 1", "version: 2"),
    ] {
        assert!(!validator.is_valid(&json(&wrong)));
        assert_ne!(refused(&wrong), "accepted");
    }
}

/// YAML as an editor reads it, by a tool that is not ours: Python's, where it is installed, would do; here the events of the
/// parser, put together by the core schema.
fn yaml(text: &str) -> serde_json::Value {
    use granit_parser::{Event, Parser, ScalarStyle};
    enum Open {
        List(Vec<serde_json::Value>),
        Map(serde_json::Map<String, serde_json::Value>, Option<String>),
    }
    let mut open = vec![Open::List(Vec::new())];
    for next in Parser::new_from_str(text) {
        let (event, _) = next.expect("YAML");
        let value = match event {
            Event::Scalar(text, ScalarStyle::Plain, ..) => match text.as_ref() {
                "true" => true.into(),
                "false" => false.into(),
                text => {
                    text.parse::<i64>().map(Into::into).or_else(|_| text.parse::<f64>().map(Into::into)).unwrap_or_else(|_| text.into())
                }
            },
            Event::Scalar(text, ..) => text.as_ref().into(),
            Event::SequenceStart(..) => {
                open.push(Open::List(Vec::new()));
                continue;
            }
            Event::MappingStart(..) => {
                open.push(Open::Map(serde_json::Map::new(), None));
                continue;
            }
            Event::SequenceEnd | Event::MappingEnd => match open.pop() {
                Some(Open::List(items)) => items.into(),
                Some(Open::Map(fields, _)) => fields.into(),
                None => continue,
            },
            _ => continue,
        };
        match open.last_mut() {
            Some(Open::List(items)) => items.push(value),
            Some(Open::Map(fields, key)) => match key.take() {
                Some(key) => {
                    fields.insert(key, value);
                }
                None => *key = value.as_str().map(str::to_owned).or_else(|| Some(value.to_string())),
            },
            None => {}
        }
    }
    match open.pop() {
        Some(Open::List(mut items)) => items.pop().unwrap_or_default(),
        _ => serde_json::Value::Null,
    }
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in "(?s)[a-z0-9:{}\\[\\], \n\"'&*#|>%-]{0,300}") {
        let _ = config::parse(&text, "deploy.yml");
    }

    #[test]
    fn no_small_change_of_the_example_makes_it_panic(at in any::<prop::sample::Index>(), length in 0usize..20, with in "(?s).{0,10}") {
        let chars: Vec<char> = EXAMPLE.chars().collect();
        let at = at.index(chars.len());
        let end = (at + length).min(chars.len());
        let text: String = chars[..at].iter().copied().chain(with.chars()).chain(chars[end..].iter().copied()).collect();
        let _ = config::parse(&text, "deploy.yml");
    }
}

/// The checklist of an environment with this section.
fn preflight(section: &str) -> Option<config::Preflight> {
    let text = LEAST.replace("{ dev: {} }", &format!("{{ prod: {{ {section} }} }}"));
    let config = config::parse(&text, "deploy.yml").unwrap_or_else(|error| panic!("{error}"));
    config.environments.into_values().next().and_then(|prod| prod.canary).expect("a canary").preflight
}

#[test]
fn the_checklists_defaults_are_the_runbooks_and_nobody_holds_a_role_by_default() {
    let least = preflight("").expect("on");
    let window = least.window.clone().expect("a window");
    assert_eq!((window.from.to_string(), window.to.to_string(), window.zone.as_str()), ("02:00:00".into(), "06:00:00".into(), "UTC"));
    assert_eq!(least.staging_soak.map(|soak| soak.as_secs()), Some(24 * 3600));
    let approvals = least.approvals.clone().expect("approvals");
    let roles: Vec<(&str, bool)> = approvals.roles.iter().map(|role| (role.name.as_str(), role.is_vacant())).collect();
    assert_eq!(roles, [("release-manager", true), ("tech-lead", true), ("operations-lead", true)]);
    assert_eq!((approvals.within.as_secs(), approvals.overrides.len()), (24 * 3600, 0));
    let checks = least.checks.clone().expect("checks");
    assert_eq!((checks.branch.as_str(), checks.tag, checks.required.len()), ("main", config::TagForm::Annotated, 0));
    let rules: Vec<&str> = least.rules.iter().map(|asked| asked.rule.metric.as_str()).collect();
    assert_eq!(rules, ["database-connections", "cpu", "memory"]);
    assert!(least.rules.iter().all(|asked| asked.source == config::Source::Default));
    // Whoever writes the runbook's own figures out gets the same; but what is written must be answered.
    let written = preflight(
        "preflight: { staging-soak: 24h, window: { from: \"02:00\", to: \"06:00\", zone: UTC }, approvals: { within: 24h }, checks: { ref: main } }",
    );
    assert_eq!(written, Some(least.clone()));
    let scanning = preflight("preflight: { code-scanning: { max-severity: medium } }").and_then(|preflight| preflight.code_scanning);
    assert_eq!(scanning.map(|scanning| scanning.source), Some(config::Source::Written));
    let default = least.code_scanning.expect("on");
    assert_eq!((default.max_severity, default.source), (config::AlertSeverity::Medium, config::Source::Default));
    assert_eq!(preflight("preflight: off"), None);
}

#[test]
fn a_checklist_that_nothing_or_anything_passes_is_refused() {
    let with = |section: &str| LEAST.replace("{ dev: {} }", &format!("{{ prod: {{ preflight: {section} }} }}"));
    let messages: Vec<String> = [
        with("{ window: { from: \"02:00\", to: \"02:00\" } }"),
        with("{ window: { from: \"25:00\" } }"),
        with("{ window: { zone: Europe/Berln } }"),
        with("{ approvals: { roles: { tech-lead: {} } } }"),
        with("{ approvals: { roles: { Tech Lead: { users: [tom] } } } }"),
        with("{ approvals: { override: { \"vp engineering\": { users: [vera] } } } }"),
        with("{ checks: { required: [lint, test, lint] } }"),
        with("{ checks: { tag: sgned } }"),
        with("{ code-scanning: { max-severity: severe } }"),
        with("{ staging-soak: 0s }"),
        with("{ rules: { databse-connections: { max: 15 } } }"),
        with("{ rules: { cpu: { max-of-baseline: 120% } } }"),
        with("{ aprovals: off }"),
    ]
    .iter()
    .map(|text| refused(text))
    .collect();
    assert!(messages.iter().all(|message| message != "accepted"), "{messages:#?}");
    insta::assert_snapshot!(messages.join("\n\n"));
}
