//! The checklist before a release as people read it: lines for the log and the terminal, a table for the summary, a sentence for
//! each row that somebody has overridden. Shows, judges nothing.

use std::fmt::Write;

use crate::plan::preflight::{Checklist, Part, Row, RowState};

/// How the summary makes texts of strangers harmless.
#[derive(Clone, Copy)]
pub(super) struct Markup {
    /// A text as Markdown that shows just it.
    pub(super) text: fn(&str) -> String,
    /// A link: its name and where it goes.
    pub(super) link: fn(&str, &str) -> String,
}

/// How a row stands, for the table.
const fn mark(state: &RowState) -> &'static str {
    match state {
        RowState::Passed => "✅",
        RowState::Failed { .. } => "❌",
        RowState::Overridden { .. } => "⚠️",
        RowState::NotChecked => "▫️",
    }
}

/// A row in lines of plain text: how it stands, what that stands on, and what would mend it.
pub(super) fn lines(row: &Row) -> Vec<String> {
    let Row { id, line, state, evidence, link, .. } = row;
    let mut lines = vec![format!("{} {line}: {evidence}", mark(state))];
    match state {
        RowState::Failed { mend } => lines.push(format!("   → {id}: {mend}")),
        RowState::Overridden { by } => lines.push(format!("   overridden by {} ({}): {}", by.by, by.role, by.reason)),
        RowState::Passed | RowState::NotChecked => {}
    }
    if let (RowState::Failed { .. }, Some(link)) = (state, link) {
        lines.push(format!("   {link}"));
    }
    lines
}

/// The rows of each part of the checklist that has any, in order.
pub(super) fn parts(checklist: &Checklist) -> impl Iterator<Item = (Part, Vec<&Row>)> {
    let of = |part| checklist.rows.iter().filter(|row| row.part == part).collect::<Vec<_>>();
    Part::ALL.into_iter().map(move |part| (part, of(part))).filter(|(_, rows)| !rows.is_empty())
}

/// Each row that somebody has overridden, in a sentence.
pub(super) fn overridden(checklist: &Checklist) -> Vec<String> {
    let sentences = checklist.overridden();
    sentences.map(|(row, by)| format!("{} ({}) overrode \"{}\" ({}): {}", by.by, by.role, row.line, row.evidence, by.reason)).collect()
}

/// The checklist as the summary's table; folded once it has been passed.
pub(super) fn table(page: &mut String, checklist: &Checklist, Markup { text, link }: Markup) {
    let is_bad = checklist.failed().next().is_some();
    for sentence in overridden(checklist) {
        let _ = writeln!(page, "> ⚠️ **Overridden**: {}\n", text(&sentence));
    }
    if is_bad {
        let _ = writeln!(page, "### Checklist: {}\n", checklist.tally());
    } else {
        let _ = writeln!(page, "<details><summary>Checklist: {}</summary>\n", checklist.tally());
    }
    page.push_str("| | line | evidence |\n|---|---|---|\n");
    for (part, rows) in parts(checklist) {
        let _ = writeln!(page, "| | **{}** | |", text(part.title()));
        for row in rows {
            let line = row.link.as_ref().map_or_else(|| text(&row.line), |url| link(&row.line, url));
            let mut evidence = text(&row.evidence);
            match &row.state {
                RowState::Failed { mend } => {
                    let _ = write!(evidence, "<br>**To mend it** (`{}`): {}", row.id, text(mend));
                }
                RowState::Overridden { by } => {
                    let _ = write!(evidence, "<br>**Overridden by {} ({})**: {}", text(&by.by), text(&by.role), text(&by.reason));
                }
                RowState::Passed | RowState::NotChecked => {}
            }
            let _ = writeln!(page, "| {} | {line} | {evidence} |", mark(&row.state));
        }
    }
    page.push_str(if is_bad { "\n" } else { "\n</details>\n\n" });
}

#[cfg(test)]
mod tests;
