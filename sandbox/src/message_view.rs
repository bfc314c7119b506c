//! A Slack message as it would look, on a terminal: enough of Block Kit for what the Action sends.

use anstyle::{AnsiColor, Style};
use serde_json::Value;

const BOLD: Style = Style::new().bold();
const CODE: Style = AnsiColor::Red.on_default();
const LINK: Style = AnsiColor::Blue.on_default().underline();
const BAR: Style = AnsiColor::Green.on_default();

/// The lines of `message`.
#[must_use]
pub fn lines(message: &Value) -> Vec<String> {
    let mut lines = Vec::new();
    for block in message.get("blocks").and_then(Value::as_array).into_iter().flatten() {
        let texts = block.get("text").into_iter().chain(block.get("fields").and_then(Value::as_array).into_iter().flatten());
        for text in texts.filter_map(|text| text.get("text").and_then(Value::as_str)) {
            // A field is a name above a value; on a terminal one line reads better.
            let line = match text.split_once("*\n") {
                Some((name, value)) if name.starts_with('*') => format!("{name}*  {value}"),
                _ => text.to_owned(),
            };
            lines.extend(line.lines().map(|line| format!("{BAR}┃{BAR:#} {}", mrkdwn(line))));
        }
    }
    lines
}

/// Slack's markup as colours.
fn mrkdwn(text: &str) -> String {
    let mut shown = String::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let after = rest.get(c.len_utf8()..).unwrap_or_default();
        let closed = |end: char| after.split_once(end).filter(|(inner, _)| !inner.is_empty());
        let (part, next) = match c {
            '*' => closed('*').map(|(inner, next)| (format!("{BOLD}{}{BOLD:#}", mrkdwn(inner)), next)),
            '`' => closed('`').map(|(inner, next)| (format!("{CODE}{}{CODE:#}", plain(inner)), next)),
            '<' => closed('>').map(|(inner, next)| {
                let name = inner.split_once('|').map_or(inner, |(_, name)| name);
                (format!("{LINK}{}{LINK:#}", plain(name)), next)
            }),
            _ => None,
        }
        .unwrap_or_else(|| {
            let end = rest.char_indices().skip(1).find(|(_, c)| matches!(c, '*' | '`' | '<')).map_or(rest.len(), |(index, _)| index);
            let (part, next) = rest.split_at(end);
            (plain(part), next)
        });
        shown.push_str(&part);
        rest = next;
    }
    shown
}

fn plain(text: &str) -> String {
    text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_becomes_colours_and_texts_stay() {
        let shown = mrkdwn("*bold* `code` <https://x|link> a &lt; b * lone");
        let text = anstream::adapter::strip_str(&shown).to_string();
        assert_eq!(text, "bold code link a < b * lone");
    }
}
