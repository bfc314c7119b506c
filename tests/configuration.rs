//! `deploy.yml`: what is accepted, what is refused, and how that is said.

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
