//! The kinds of values that `deploy.yml` can hold: one table of keys ([`super::surface`]) is written in them, and reading,
//! the JSON Schema and the reference page all come from that table.

use std::time::Duration;

/// A key of a section.
#[derive(Debug)]
pub(super) struct Key {
    pub(super) name: &'static str,
    pub(super) shape: Shape,
    pub(super) presence: Presence,
    /// What it is for: sentences for the reference page and for editors.
    pub(super) doc: &'static str,
}

/// Whether a key must be there.
#[derive(Debug)]
pub(super) enum Presence {
    /// It has no default.
    Required,
    /// Left out, it means nothing, or what its documentation says.
    Optional,
    /// Left out, it is this YAML.
    Default(&'static str),
}

/// A kind of value.
#[derive(Debug)]
pub(super) enum Shape {
    /// Any text without control characters; not empty.
    Text,
    /// A text of one of the checked forms.
    Form(Form),
    /// A whole number within bounds.
    Whole(u64, u64),
    /// A number within bounds.
    Number(f64, f64),
    /// true or false.
    Flag,
    /// A duration of at least so many milliseconds.
    Duration(u64),
    /// A percentage.
    Share,
    /// A percentage that may be above 100%.
    Factor,
    /// A bound of a rule: a percentage, a duration, or a number.
    Bound,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// A list.
    List(&'static Self),
    /// A mapping from names to values; the text says what the names are.
    Map(&'static str, &'static Self),
    /// A section with these keys.
    Section(&'static [Key]),
    /// The word `off`, or the other.
    OrOff(&'static Self),
    /// Anything; Microsoft's schema checks it.
    Free,
}

/// A checked form of text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// An image repository without a tag.
    Repository,
    /// A container group's name.
    Instance,
    /// The beginning of one: with `-1` and so on behind it, it is a name.
    InstanceStem,
    /// An environment's name.
    Environment,
    /// A Traffic Manager profile's name.
    Profile,
    /// A Traffic Manager endpoint's name.
    Endpoint,
    /// A path that begins with `/`.
    Path,
    /// An http or https URL.
    Url,
    /// The name of an environment variable or secret.
    Variable,
    /// `HH:MM`.
    TimeOfDay,
    /// An IANA time zone.
    Zone,
}

/// Reads `250ms`, `10s`, `5m`, `24h`, `2d` and sums such as `1h30m`.
pub(super) fn duration(text: &str) -> Option<Duration> {
    let mut rest = text;
    let mut total = Duration::ZERO;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let (number, after) = rest.split_at(digits);
        let unit = after.find(|c: char| c.is_ascii_digit()).unwrap_or(after.len());
        let (unit, after) = after.split_at(unit);
        let number: u64 = number.parse().ok()?;
        let milliseconds = match unit {
            "ms" => 1,
            "s" => 1000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => return None,
        };
        total = total.checked_add(Duration::from_millis(number.checked_mul(milliseconds)?))?;
        rest = after;
    }
    // A year: nothing that a runbook waits for is longer.
    (total <= Duration::from_secs(366 * 86_400)).then_some(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_numbers_with_units() {
        for (text, seconds) in [("10s", 10.0), ("5m", 300.0), ("24h", 86_400.0), ("1h30m", 5400.0), ("250ms", 0.25), ("0s", 0.0)] {
            assert_eq!(duration(text).map(|d| d.as_secs_f64()), Some(seconds), "{text}");
        }
        for text in ["", "10", "s", "-5s", "1.5h", "5 m", "10y", "99999999999999999999s", "18446744073709551615d"] {
            assert_eq!(duration(text), None, "{text}");
        }
    }
}
