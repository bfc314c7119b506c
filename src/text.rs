//! Texts that strangers wrote, made harmless for the place where they are shown: on one line, as Markdown, HTML or Slack's mrkdwn.
//! Pure. What each gives shows just the text: no markup, no link, no mention comes of it.

/// `text` on one line, without control characters or what turns the direction of writing, at most `most` characters long (the
/// last one an ellipsis where it was longer).
#[must_use]
pub fn line(text: &str, most: usize) -> String {
    let unseen = |c: char| c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let words: String = text.chars().map(|c| if unseen(c) { ' ' } else { c }).collect();
    let words = words.split_whitespace().collect::<Vec<_>>().join(" ");
    if words.chars().count() <= most { words } else { words.chars().take(most.saturating_sub(1)).chain(['…']).collect() }
}

/// `text` as GitHub's Markdown that shows just it: on one line, no markup, no HTML, no mention, no table column.
#[must_use]
pub fn markdown(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '|' => safe.push_str("&#124;"),
            '\\' | '`' | '*' | '_' | '[' | ']' | '~' | '#' | '!' => {
                safe.push('\\');
                safe.push(c);
            }
            // A zero-width joiner keeps `@team` and `#1` from becoming a mention or a reference.
            '@' => safe.push_str("@\u{200d}"),
            '\n' | '\r' => safe.push(' '),
            c if c.is_control() => {}
            c => safe.push(c),
        }
    }
    safe
}

/// `text` in HTML or XML: between tags or as an attribute's value in double quotes.
#[must_use]
pub fn html(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            '\n' | '\t' => safe.push(c),
            // Neither may stand in XML at all (XML 1.0, "Char").
            '\u{fffe}' | '\u{ffff}' => {}
            c if c.is_control() => {}
            c => safe.push(c),
        }
    }
    safe
}

/// `text` in Slack's mrkdwn: without links and mentions (Slack: "Escaping text"; `<!here>` and `<@U…>` need the `<`) and, where a
/// word begins or ends with one of Slack's signs for bold, italic, struck or code, with a sign that only looks like it.
#[must_use]
pub fn slack(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    let mut before = None;
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        let inside = before.is_some_and(char::is_alphanumeric) && rest.peek().copied().is_some_and(char::is_alphanumeric);
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '*' if !inside => safe.push('\u{2217}'),
            '_' if !inside => safe.push('\u{2cd}'),
            '~' if !inside => safe.push('\u{223c}'),
            '`' => safe.push('\u{2cb}'),
            c if c.is_control() => safe.push(' '),
            c => safe.push(c),
        }
        before = Some(c);
    }
    safe
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn strangers_write_no_markdown(given in "(?s)[<>|@#*_`\\[\\]()! a\n]{0,60}") {
            let shown = markdown(&given);
            prop_assert!(!shown.contains('<') && !shown.contains('|') && !shown.contains('\n'));
            let unescaped = shown.replace("\\`", "").replace("\\*", "").replace("\\[", "");
            prop_assert!(!unescaped.contains('`') && !unescaped.contains('*') && !unescaped.contains('['));
            let mentions = shown.split('@').skip(1).any(|after| !after.starts_with('\u{200d}'));
            prop_assert!(!mentions);
        }

        #[test]
        fn strangers_write_no_html(given in "(?s)[<>&\"'a\u{0}\u{b}\u{ffff}\n ]{0,60}") {
            let shown = html(&given);
            let forbidden = ['<', '>', '"', '\'', '\u{0}', '\u{b}', '\u{ffff}'];
            prop_assert!(!shown.contains(forbidden));
            let amps = shown.split('&').skip(1).all(|after| ["amp;", "lt;", "gt;", "quot;", "#39;"].iter().any(|entity| after.starts_with(entity)));
            prop_assert!(amps, "{shown}");
        }

        #[test]
        fn strangers_write_no_mrkdwn(given in "(?s)[<>&*_~`!@a \n]{0,60}") {
            let shown = slack(&given);
            prop_assert!(!shown.contains(['<', '>', '`', '\n']));
            for sign in ['*', '_', '~'] {
                let all: Vec<char> = shown.chars().collect();
                let only_inside = all.windows(3).filter(|three| three[1] == sign).all(|three| three[0].is_alphanumeric() && three[2].is_alphanumeric());
                prop_assert!(only_inside && all.first() != Some(&sign) && all.last() != Some(&sign), "{shown}");
            }
        }

        #[test]
        fn a_line_is_one_and_no_longer_than_asked(given in "(?s).{0,80}", most in 1usize..40) {
            let shown = line(&given, most);
            prop_assert!(shown.chars().count() <= most && !shown.chars().any(char::is_control));
        }
    }

    #[test]
    fn plain_words_stay_as_they_are() {
        for text in ["Invoice DDD architecture", "snake_case and 2*3", "v1.0.0"] {
            assert_eq!(slack(text), text);
            assert_eq!(line(text, 80), text);
        }
    }
}
