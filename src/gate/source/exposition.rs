//! Prometheus' text format, as far as a gate needs it: samples with their labels. Pure, and bounded: the text is a stranger's.
//! Knows no metric's meaning. (Of our own, not a crate: the crate for it, `prometheus-parse`, brings regex and chrono into the
//! binary, sets no bounds, and silently skips what it does not understand, which is how a check passes that checks nothing.)

use std::collections::BTreeMap;

/// The most samples that are kept of a page.
const MOST_SAMPLES: usize = 20_000;

/// The most labels that a sample may have.
const MOST_LABELS: usize = 64;

/// One line of a page.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Line {
    pub(super) name: String,
    pub(super) labels: BTreeMap<String, String>,
    /// May be NaN or infinite, as the format allows.
    pub(super) value: f64,
}

/// The samples of a page whose names are `wanted`. Every line must be well formed, as for Prometheus itself: of a page that is
/// half understood nobody knows what is missing.
///
/// # Errors
/// Which line is no sample, or that there is too much of it.
pub(super) fn parse(page: &str, wanted: impl Fn(&str) -> bool) -> Result<Vec<Line>, String> {
    let mut lines = Vec::new();
    for (number, text) in page.lines().enumerate() {
        let text = text.trim();
        if text.is_empty() || text.starts_with('#') {
            continue;
        }
        let line = line(text).ok_or_else(|| format!("line {} is no metric: {}", number + 1, super::shown(text)))?;
        if wanted(&line.name) {
            if lines.len() >= MOST_SAMPLES {
                return Err(format!("it has more than {MOST_SAMPLES} samples of one kind"));
            }
            lines.push(line);
        }
    }
    Ok(lines)
}

/// `name{label="value",…} value [timestamp]`, with an OpenMetrics exemplar behind it or not.
fn line(text: &str) -> Option<Line> {
    let end = text.find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '_' | ':'))).unwrap_or(text.len());
    let (name, rest) = text.split_at(end);
    if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let (labels, rest) = match rest.trim_start().strip_prefix('{') {
        Some(rest) => labels(rest)?,
        None if rest.starts_with([' ', '\t']) => (BTreeMap::new(), rest),
        None => return None,
    };
    let rest = rest.split(" # ").next().unwrap_or_default();
    let mut words = rest.split_ascii_whitespace();
    let value = words.next()?.parse::<f64>().ok()?;
    if let Some(timestamp) = words.next() {
        timestamp.parse::<f64>().ok()?;
    }
    words.next().is_none().then(|| Line { name: name.to_owned(), labels, value })
}

/// Labels up to the closing brace, and what follows it.
fn labels(text: &str) -> Option<(BTreeMap<String, String>, &str)> {
    let mut labels = BTreeMap::new();
    let mut rest = text.trim_start();
    loop {
        if let Some(after) = rest.strip_prefix('}') {
            return Some((labels, after));
        }
        let (name, after) = rest.split_once('=')?;
        let name = name.trim();
        let good = !name.is_empty()
            && !name.starts_with(|c: char| c.is_ascii_digit())
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        if !good || labels.len() >= MOST_LABELS {
            return None;
        }
        let (value, after) = quoted(after.trim_start().strip_prefix('"')?)?;
        if labels.insert(name.to_owned(), value).is_some() {
            return None;
        }
        rest = after.trim_start();
        match rest.strip_prefix(',') {
            Some(after) => rest = after.trim_start(),
            None if rest.starts_with('}') => {}
            None => return None,
        }
    }
}

/// A label's value up to its closing quote, and what follows it.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return text.get(at + 1..).map(|after| (value, after)),
            '\\' => value.push(match chars.next()?.1 {
                'n' => '\n',
                escaped @ ('"' | '\\') => escaped,
                _ => return None,
            }),
            c => value.push(c),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn all(page: &str) -> Result<Vec<Line>, String> {
        parse(page, |_| true)
    }

    #[test]
    fn samples_are_read_with_their_labels() {
        let page = "# HELP requests_total All requests.\n# TYPE requests_total counter\n\
            requests_total{status=\"200\",path=\"/a\\\"b\\\\c\\n{},=\"} 1027 1395066363000\n\
            requests_total { status = \"500\" , } 3\n\nup 1\n\
            le_bucket{le=\"+Inf\"} +Inf # {trace_id=\"a\"} 0.67\nnothing NaN\nname:with:colons -1.5e3\n";
        let lines = all(page).expect("a page");
        let shown: Vec<String> = lines.iter().map(|line| format!("{}{:?}={}", line.name, line.labels, line.value)).collect();
        assert_eq!(
            shown,
            [
                "requests_total{\"path\": \"/a\\\"b\\\\c\\n{},=\", \"status\": \"200\"}=1027",
                "requests_total{\"status\": \"500\"}=3",
                "up{}=1",
                "le_bucket{\"le\": \"+Inf\"}=inf",
                "nothing{}=NaN",
                "name:with:colons{}=-1500",
            ]
        );
        assert_eq!(parse(page, |name| name == "up").map(|lines| lines.len()), Ok(1));
    }

    #[test]
    fn a_page_that_is_half_understood_is_refused() {
        for wrong in [
            "<!doctype html>",
            "requests_total",
            "requests_total x",
            "requests_total 1 2 3",
            "requests_total{status=\"200\" 1",
            "requests_total{status=200} 1",
            "requests_total{status=\"200\",status=\"500\"} 1",
            "requests_total{1a=\"b\"} 1",
            "requests_total{a=\"\\x\"} 1",
            "1requests 1",
            "{\"status\": \"ok\"}",
        ] {
            let page = format!("up 1\n{wrong}\n");
            assert!(all(&page).is_err_and(|error| error.starts_with("line 2 is no metric: ")), "{wrong}");
        }
    }

    #[test]
    fn a_page_without_end_is_refused() {
        let page: String = (0..=MOST_SAMPLES).map(|index| format!("a{{i=\"{index}\"}} 1\n")).collect();
        assert!(all(&page).is_err_and(|error| error.contains("more than 20000")));
        assert_eq!(parse(&page, |name| name == "b"), Ok(Vec::new()));
        let labels: Vec<String> = (0..=MOST_LABELS).map(|index| format!("l{index}=\"\"")).collect();
        assert!(all(&format!("a{{{}}} 1", labels.join(","))).is_err());
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(page in "(?s).{0,200}") {
            let _ = all(&page);
        }

        #[test]
        fn no_text_of_its_own_kind_makes_it_panic(page in "[a-z{}=\",\\\\\n 0-9+.#é-]{0,200}") {
            let _ = all(&page);
        }

        #[test]
        fn what_is_written_is_read(name in "[a-z_:][a-z0-9_:]{0,10}", labels in prop::collection::btree_map("[a-z_][a-z0-9_]{0,6}", "[^\r]{0,8}", 0..4), value in any::<f64>()) {
            let escaped = |text: &str| text.replace('\\', "\\\\").replace('\n', "\\n").replace('"', "\\\"");
            let inside: Vec<String> = labels.iter().map(|(name, value)| format!("{name}=\"{}\"", escaped(value))).collect();
            let lines = all(&format!("{name}{{{}}} {value}", inside.join(","))).expect("a page");
            prop_assert_eq!(&lines[0].name, &name);
            prop_assert_eq!(&lines[0].labels, &labels);
            prop_assert!(lines[0].value == value || value.is_nan());
        }
    }
}
