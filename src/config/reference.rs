//! The reference page of `deploy.yml` in Markdown, from the table of keys. Published as `docs/configuration.md`.

use std::fmt::Write;

use super::{
    shape::{Key, Presence, Shape},
    surface,
};

/// The page's text; `example` is shown at its top.
#[must_use]
pub fn reference(example: &str) -> String {
    let mut page = String::from(
        "# Configuration reference\n\n\
         `deploy.yml` (by default `.github/deploy.yml`) says what runs where. `deploy-action validate` checks it; the JSON Schema for \
         editors is [deploy.schema.json](../deploy.schema.json). Durations: `10s`, `5m`, `24h`. Shares and rates: percentages. \
         Sections marked *or `off`* are switched off by that word, and every summary says so.\n\n\
         ## The whole surface\n\n```yaml\n",
    );
    page.push_str(example);
    page.push_str("```\n\n## Key by key\n\n| key | value | default | |\n|---|---|---|---|\n");
    if let Shape::Section(keys) = surface::FILE {
        rows(&mut page, "", keys);
    }
    page
}

fn rows(page: &mut String, prefix: &str, keys: &[Key]) {
    for key in keys {
        let default = match key.presence {
            Presence::Required => "**required**".to_owned(),
            Presence::Optional => "–".to_owned(),
            Presence::Default(text) => format!("`{text}`"),
        };
        let name = format!("{prefix}{}", key.name);
        let _ = writeln!(page, "| `{name}` | {} | {default} | {} |", kind(&key.shape), key.doc.replace('|', "\\|"));
        // The common section is described once; environments have the same keys.
        if name != "environments.<name>.container" {
            inner(page, &name, &key.shape);
        }
    }
}

fn inner(page: &mut String, name: &str, shape: &Shape) {
    match shape {
        Shape::Section(keys) => rows(page, &format!("{name}."), keys),
        Shape::OrOff(shape) => inner(page, name, shape),
        Shape::List(shape) => inner(page, &format!("{name}[]"), shape),
        Shape::Map(_, shape) => inner(page, &format!("{name}.<name>"), shape),
        _ => {}
    }
}

fn kind(shape: &Shape) -> String {
    match shape {
        Shape::Text | Shape::Form(_) => "text".into(),
        Shape::Whole(low, high) if low == high => low.to_string(),
        Shape::Whole(low, high) => format!("{low} to {high}"),
        Shape::Number(low, high) => format!("{low} to {high}"),
        Shape::Flag => "true, false".into(),
        Shape::Duration(_) => "duration".into(),
        Shape::Share | Shape::Factor => "percentage".into(),
        Shape::Bound => "percentage, duration or number".into(),
        Shape::Choice(words) => words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", "),
        Shape::List(item) => format!("list of {}", kind(item)),
        Shape::Map(what, _) => format!("by {what}"),
        Shape::Section(_) => "section".into(),
        Shape::OrOff(inner) => format!("{} *or `off`*", kind(inner)),
        Shape::Free => "anything".into(),
    }
}
