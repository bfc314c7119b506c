//! Checks a tree against the table of keys. Collects every problem, so that a person mends them in one go. Pure.

use super::{
    error::Problem,
    rules::Factor,
    shape::{Form, Key, Presence, Shape, duration},
    tree::{Node, Place, Value},
};
use crate::domain::{EnvironmentName, ImageRepository, InstanceName, NotA, Share};

/// Everything that is wrong with `node`, which should be a `shape` and is called `name`.
pub(super) fn check(shape: &Shape, node: &Node, name: &str, problems: &mut Vec<Problem>) {
    let mut wrong = |message: String| problems.push(Problem::at(node.place, message));
    match shape {
        Shape::Section(keys) => section(keys, node, name, problems),
        Shape::OrOff(inner) => {
            if node.text() != Some("off") {
                check(inner, node, name, problems);
            }
        }
        Shape::List(item) => match &node.value {
            Value::List(items) => items.iter().for_each(|each| check(item, each, name, problems)),
            _ => wrong(format!("`{name}` must be a list, e.g. [{}]; found {}", example(item), found(node))),
        },
        Shape::Map(what, inner) => match &node.value {
            Value::Map(entries) => {
                for (key, value) in entries {
                    printable(&key.name, key.place, problems);
                    if let Shape::Section(_) = inner
                        && *what == "an environment, e.g. `dev`"
                        && let Err(error) = key.name.parse::<EnvironmentName>()
                    {
                        problems.push(Problem::at(key.place, error.to_string()));
                    }
                    check(inner, value, &key.name, problems);
                }
            }
            _ => wrong(format!("`{name}` must be a mapping whose keys are each {what}; found {}", found(node))),
        },
        Shape::Free => free(node, problems),
        scalar => match node.text() {
            None => wrong(format!("`{name}` must be {}; found {}", words(scalar), found(node))),
            Some(_) if node.is_nothing() => wrong(format!("`{name}` has no value; it must be {}", words(scalar))),
            Some(text) => {
                printable(text, node.place, problems);
                if let Err(message) = value(scalar, text, node) {
                    problems.push(Problem::at(node.place, format!("`{name}`: {message}")));
                }
            }
        },
    }
}

/// Control characters are refused everywhere: they have no place in a name and forge lines in a log.
fn printable(text: &str, place: Place, problems: &mut Vec<Problem>) {
    if let Some(c) = text.chars().find(|c| c.is_control() && *c != '\n') {
        problems.push(Problem::at(place, format!("this text holds a control character ({})", c.escape_default())));
    }
}

fn free(node: &Node, problems: &mut Vec<Problem>) {
    match &node.value {
        Value::Plain(text) | Value::Quoted(text) => printable(text, node.place, problems),
        Value::List(items) => items.iter().for_each(|item| free(item, problems)),
        Value::Map(entries) => entries.iter().for_each(|(key, value)| {
            printable(&key.name, key.place, problems);
            free(value, problems);
        }),
    }
}

fn section(keys: &[Key], node: &Node, name: &str, problems: &mut Vec<Problem>) {
    let Value::Map(entries) = &node.value else {
        // `metrics:` with nothing behind it is the section with its defaults, if it has any that must be there.
        if node.is_nothing() && !keys.iter().any(|key| matches!(key.presence, Presence::Required)) {
            return;
        }
        let known: Vec<&str> = keys.iter().map(|key| key.name).take(8).collect();
        let name = if name.is_empty() { "the file" } else { name };
        problems.push(Problem::at(
            node.place,
            format!("{name} must be a section with keys such as {}; found {}", known.join(", "), found(node)),
        ));
        return;
    };
    for (key, value) in entries {
        match keys.iter().find(|known| known.name == key.name) {
            Some(known) => check(&known.shape, value, known.name, problems),
            None => problems.push(Problem::at(key.place, unknown(&key.name, keys, name))),
        }
    }
    for key in keys.iter().filter(|key| matches!(key.presence, Presence::Required)) {
        if node.get(key.name).is_none() {
            let inside = if name.is_empty() { String::new() } else { format!(" in `{name}`") };
            problems.push(Problem::at(node.place, format!("`{}` is missing{inside}: {}", key.name, key.doc)));
        }
    }
}

fn unknown(given: &str, keys: &[Key], section: &str) -> String {
    let given_shown = NotA::new(given, "").given;
    let inside = if section.is_empty() { "here".to_owned() } else { format!("in `{section}`") };
    match nearest(given, keys.iter().map(|key| key.name)) {
        Some(nearest) => format!("unknown key `{given_shown}` {inside}; did you mean `{nearest}`?"),
        None => {
            let known: Vec<&str> = keys.iter().map(|key| key.name).collect();
            format!("unknown key `{given_shown}` {inside}; there are {}", known.join(", "))
        }
    }
}

/// The name most like `given`, if one is like it at all.
pub(crate) fn nearest<'a>(given: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let given = given.to_lowercase().replace('_', "-");
    known
        .map(|known| (strsim::jaro_winkler(&given, &known.to_lowercase()), known))
        .filter(|(likeness, _)| *likeness >= 0.8)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, known)| known)
}

/// Checks a scalar.
fn value(shape: &Shape, text: &str, node: &Node) -> Result<(), String> {
    let number = || text.parse::<f64>().ok().filter(|number| number.is_finite());
    let outside = |low: &dyn std::fmt::Display, high: &dyn std::fmt::Display| format!("{text} is not between {low} and {high}");
    match shape {
        Shape::Text => {
            if text.trim().is_empty() {
                Err("it must not be empty".into())
            } else {
                Ok(())
            }
        }
        Shape::Form(form) => self::form(*form, text),
        Shape::Whole(low, high) => match text.parse::<u64>() {
            Ok(number) if (*low..=*high).contains(&number) => Ok(()),
            Ok(_) if low == high => Err(format!("{text} is not {low}, the only one there is")),
            Ok(_) => Err(outside(low, high)),
            Err(_) => Err(format!("`{}` is not a whole number between {low} and {high}", shown(text))),
        },
        Shape::Number(low, high) => match number() {
            Some(number) if (*low..=*high).contains(&number) => Ok(()),
            Some(_) => Err(outside(low, high)),
            None => Err(format!("`{}` is not a number between {low} and {high}", shown(text))),
        },
        Shape::Flag => match (text, &node.value) {
            ("true" | "false", Value::Plain(_)) => Ok(()),
            _ => Err(format!("`{}` is neither true nor false", shown(text))),
        },
        Shape::Duration(least) => match duration(text) {
            Some(duration) if duration.as_millis() >= u128::from(*least) => Ok(()),
            Some(_) => Err(format!("{text} is too short; at least {least} ms")),
            None => Err(format!("`{}` is not a duration such as 10s, 5m or 24h", shown(text))),
        },
        Shape::Share => text.parse::<Share>().map(|_| ()).map_err(|error| error.to_string()),
        Shape::Factor => text.parse::<Factor>().map(|_| ()).map_err(|error| error.to_string()),
        Shape::Bound => {
            if text.ends_with('%') {
                return text.parse::<Share>().map(|_| ()).map_err(|error| error.to_string());
            }
            if number().is_some_and(|number| number >= 0.0) || duration(text).is_some() {
                return Ok(());
            }
            Err(format!("`{}` is not a bound such as 1%, 2000ms or 18", shown(text)))
        }
        Shape::Choice(words) if words.contains(&text) => Ok(()),
        Shape::Choice(words) => {
            let hint = nearest(text, words.iter().copied()).map_or_else(String::new, |nearest| format!("; did you mean `{nearest}`?"));
            Err(format!("`{}` is not one of {}{hint}", shown(text), words.join(", ")))
        }
        Shape::List(_) | Shape::Map(..) | Shape::Section(_) | Shape::OrOff(_) | Shape::Free => Ok(()),
    }
}

fn form(form: Form, text: &str) -> Result<(), String> {
    let say = |error: NotA| error.to_string();
    let wrong = |expected: &'static str| NotA::new(text, expected).to_string();
    match form {
        Form::Repository => text.parse::<ImageRepository>().map(|_| ()).map_err(say),
        Form::Instance => text.parse::<InstanceName>().map(|_| ()).map_err(say),
        Form::InstanceStem => format!("{text}-99").parse::<InstanceName>().map(|_| ()).map_err(say),
        Form::Environment => {
            let good = text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
            if good { Ok(()) } else { Err(wrong("an id of letters and digits")) }
        }
        Form::Profile => {
            // Azure's resource naming rules, Microsoft.Network: it becomes a part of request paths.
            let ends = text.starts_with(|c: char| c.is_ascii_alphanumeric()) && text.ends_with(|c: char| c.is_ascii_alphanumeric());
            let good = ends && text.len() <= 63 && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.'));
            if good { Ok(()) } else { Err(wrong("a profile's name: 1 to 63 letters, digits, hyphens and full stops")) }
        }
        Form::Endpoint => {
            let begins = text.starts_with(|c: char| c.is_ascii_alphanumeric());
            let good = begins && text.len() <= 260 && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'));
            if good { Ok(()) } else { Err(wrong("an endpoint's name: letters, digits, hyphens, underscores and full stops")) }
        }
        Form::Path => {
            let good = text.starts_with('/') && !text.starts_with("//") && !text.contains(char::is_whitespace);
            if good { Ok(()) } else { Err(wrong("a path that begins with `/`")) }
        }
        Form::Url => match url::Url::parse(text) {
            Ok(url)
                if matches!(url.scheme(), "http" | "https")
                    && url.host().is_some()
                    && url.username().is_empty()
                    && url.password().is_none() =>
            {
                Ok(())
            }
            _ => Err(wrong("an http or https URL without a user name or password in it")),
        },
        Form::Variable => {
            let good = !text.starts_with(|c: char| c.is_ascii_digit()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
            if good { Ok(()) } else { Err(wrong("a variable's name: letters, digits and underscores")) }
        }
        Form::TimeOfDay => text.parse::<jiff::civil::Time>().map(|_| ()).map_err(|_| wrong("a time of day such as 02:00")),
        Form::Zone => jiff::tz::TimeZone::get(text).map(|_| ()).map_err(|_| wrong("a time zone such as UTC or Europe/Berlin")),
    }
}

fn shown(text: &str) -> String {
    NotA::new(text, "").given
}

fn found(node: &Node) -> &'static str {
    match &node.value {
        Value::Plain(_) if node.is_nothing() => "nothing",
        Value::Plain(_) | Value::Quoted(_) => "a single value",
        Value::List(_) => "a list",
        Value::Map(_) => "a section",
    }
}

fn words(shape: &Shape) -> String {
    match shape {
        Shape::Text => "text".into(),
        Shape::Form(Form::Url) => "a URL".into(),
        Shape::Form(Form::Path) => "a path".into(),
        Shape::Form(_) => "a name".into(),
        Shape::Whole(low, high) if low == high => low.to_string(),
        Shape::Whole(low, high) => format!("a whole number between {low} and {high}"),
        Shape::Number(low, high) => format!("a number between {low} and {high}"),
        Shape::Flag => "true or false".into(),
        Shape::Duration(_) => "a duration such as 10s".into(),
        Shape::Share => "a percentage such as 5%".into(),
        Shape::Factor => "a percentage such as 150%".into(),
        Shape::Bound => "a bound such as 1%, 2000ms or 18".into(),
        Shape::Choice(words) => format!("one of {}", words.join(", ")),
        Shape::List(_) | Shape::Map(..) | Shape::Section(_) | Shape::OrOff(_) | Shape::Free => "a section".into(),
    }
}

const fn example(shape: &Shape) -> &'static str {
    match shape {
        Shape::Form(Form::Path) => "/health, /api/invoices",
        Shape::Section(_) => "{ … }, { … }",
        _ => "one, two",
    }
}

/// Whether `name` can be an environment variable's.
pub(super) fn is_variable(name: &str) -> bool {
    !name.is_empty() && form(Form::Variable, name).is_ok()
}
