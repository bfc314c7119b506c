//! `container-secrets`: NAME=value lines. Errors never repeat a value.

use std::collections::BTreeMap;

use crate::domain::Secret;

/// Reads `text`: one `NAME=value` a line; a value of several lines as `NAME<<END`, its lines, `END`. Blank lines and lines
/// that begin with `#` are skipped. A value may hold `=`; blanks around it belong to it.
///
/// # Errors
/// Which line is wrong and how, without its value.
pub(super) fn parse(text: &str) -> Result<BTreeMap<String, Secret>, String> {
    let mut secrets = BTreeMap::new();
    let mut lines = text.lines().enumerate();
    while let Some((index, line)) = lines.next() {
        let number = index + 1;
        if line.trim().is_empty() || line.trim_start().starts_with('#') {
            continue;
        }
        let (name, value) = match (line.split_once('='), line.split_once("<<")) {
            (Some((name, _)), Some((before, end))) if before.len() < name.len() => (before, block(end.trim(), &mut lines, number)?),
            (None, Some((before, end))) => (before, block(end.trim(), &mut lines, number)?),
            (Some((name, value)), _) => (name, value.to_owned()),
            (None, None) => return Err(format!("line {number} is neither NAME=value nor NAME<<END")),
        };
        let name = name.trim();
        let good = !name.is_empty()
            && !name.starts_with(|c: char| c.is_ascii_digit())
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        if !good {
            return Err(format!("line {number} does not begin with a name of letters, digits and underscores"));
        }
        if value.is_empty() {
            return Err(format!("{name} (line {number}) has no value; does the repository have that secret?"));
        }
        if secrets.insert(name.to_owned(), Secret::new(value)).is_some() {
            return Err(format!("{name} (line {number}) is given twice"));
        }
    }
    Ok(secrets)
}

fn block<'a>(end: &str, lines: &mut impl Iterator<Item = (usize, &'a str)>, number: usize) -> Result<String, String> {
    if end.is_empty() {
        return Err(format!("line {number} has no word after <<"));
    }
    let mut value: Vec<&str> = Vec::new();
    for (_, line) in lines {
        if line == end {
            return Ok(value.join("\n"));
        }
        value.push(line);
    }
    Err(format!("the value that begins on line {number} has no end"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(text: &str) -> Result<Vec<(String, String)>, String> {
        Ok(parse(text)?.into_iter().map(|(name, value)| (name, value.expose().to_owned())).collect())
    }

    #[test]
    fn reads_lines_and_blocks() {
        let text = "A=1=2\n\n# note\nKEY<<END\n-----BEGIN-----\nab=c\nEND\nB= x \nC=a<<b\n";
        let expected = [("A", "1=2"), ("B", " x "), ("C", "a<<b"), ("KEY", "-----BEGIN-----\nab=c")];
        assert_eq!(read(text), Ok(expected.map(|(a, b)| (a.to_owned(), b.to_owned())).to_vec()));
    }

    #[test]
    fn refuses_without_showing_a_value() {
        for text in ["A", "1A=hidden", "A B=hidden", "A=hidden\nA=hidden", "A=", "A<<END\nhidden", "A<<\nhidden", "::add-mask::x=hidden"] {
            let error = read(text).expect_err(text);
            assert!(!error.contains("hidden"), "{error}");
        }
    }

    proptest! {
        #[test]
        fn never_panics_and_never_shows(text in "(?s).{0,200}", name in "[A-Z]{1,8}", value in "[a-z=<#]{1,30}") {
            let _ = parse(&text);
            let given = format!("{name}={value}");
            prop_assert_eq!(read(&given), Ok(vec![(name, value)]));
        }
    }
}
