//! Whether SQL of a check only reads, as far as its text can tell (PostgreSQL documentation, "Lexical Structure" and "SELECT").
//! Pure. The server is told to refuse writes, too: a text cannot tell what a function does.

/// What a statement that only reads can begin with.
const READING: [&str; 4] = ["select", "with", "values", "table"];

/// Words that write, lock, or change what the server does, wherever they stand.
const WRITING: [&str; 26] = [
    "insert",
    "update",
    "delete",
    "merge",
    "into",
    "truncate",
    "create",
    "alter",
    "drop",
    "grant",
    "revoke",
    "copy",
    "call",
    "do",
    "execute",
    "prepare",
    "deallocate",
    "lock",
    "vacuum",
    "reindex",
    "refresh",
    "listen",
    "notify",
    "set",
    "reset",
    "commit",
];

/// Functions that act even where nothing may be written, by how they begin: on other sessions, files, other servers, or time.
const ACTING: [&str; 21] = [
    "pg_terminate_backend",
    "pg_cancel_backend",
    "pg_reload_conf",
    "pg_rotate_logfile",
    "pg_promote",
    "pg_switch_wal",
    "pg_create_",
    "pg_drop_",
    "pg_replication_",
    "pg_logical_",
    "pg_advisory_",
    "pg_try_advisory_",
    "pg_sleep",
    "pg_notify",
    "pg_read_",
    "pg_stat_reset",
    "pg_ls_",
    "lo_import",
    "lo_export",
    "dblink",
    "set_config",
];

/// A piece of a statement.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    /// A key word or a name without quotes, in lower case.
    Word(String),
    /// A name in quotes.
    Name(String),
    /// An opening bracket: what stands before it is a function.
    Open,
    /// A semicolon.
    End,
    /// Anything else: a text, a number, an operator.
    Other,
}

/// Says why `sql` is not one statement that only reads.
///
/// # Errors
/// The reason, a sentence without a full stop.
pub(super) fn reads(sql: &str) -> Result<(), String> {
    let mut tokens = tokens(sql)?;
    while tokens.last() == Some(&Token::End) {
        tokens.pop();
    }
    if tokens.contains(&Token::End) {
        return Err("it is more than one statement; make a check of each".into());
    }
    let words: Vec<&str> =
        tokens.iter().filter_map(|token| if let Token::Word(word) = token { Some(word.as_str()) } else { None }).collect();
    match words.first() {
        Some(first) if READING.contains(first) => {}
        Some(first) => return Err(format!("a check begins with SELECT, WITH, VALUES or TABLE, not with {}", first.to_uppercase())),
        None => return Err("it is no statement".into()),
    }
    if let Some(word) = words.iter().find(|word| WRITING.contains(word)) {
        return Err(format!("a check only reads, and it says {}; a column of that name stands in double quotes", word.to_uppercase()));
    }
    // FOR UPDATE has been found; the others lock rows, too.
    let is_locking = |pair: &[&str]| matches!(pair, ["for", "share" | "key" | "no"]);
    if words.windows(2).any(is_locking) {
        return Err("a check only reads, and it locks rows (FOR SHARE)".into());
    }
    let called = tokens.windows(2).filter_map(|pair| match pair {
        [Token::Word(name) | Token::Name(name), Token::Open] => Some(name.as_str()),
        _ => None,
    });
    let acts = |name: &&str| ACTING.iter().any(|acting| name.starts_with(acting)) || matches!(*name, "nextval" | "setval");
    match called.into_iter().find(acts) {
        Some(name) => Err(format!("a check only reads, and `{name}` does more than that")),
        None => Ok(()),
    }
}

/// The pieces of `sql`. What stands in quotes or in a comment is none that is looked at.
fn tokens(sql: &str) -> Result<Vec<Token>, String> {
    let mut tokens = Vec::new();
    let mut rest = sql;
    while let Some(first) = rest.chars().next() {
        let word =
            |text: &str| text.chars().take_while(|c| c.is_alphanumeric() || matches!(c, '_' | '$')).map(char::len_utf8).sum::<usize>();
        let length = match first {
            c if c.is_whitespace() => c.len_utf8(),
            '-' if rest.starts_with("--") => rest.find('\n').map_or(rest.len(), |end| end + 1),
            '/' if rest.starts_with("/*") => comment(rest)?,
            '\'' => quoted(rest, '\'', Backslash::IsText)?,
            '"' => quoted(rest, '"', Backslash::IsText)?,
            '$' => dollar_quoted(rest)?,
            ';' => 1,
            c if c.is_alphabetic() || c == '_' => {
                let length = word(rest);
                // E'…': there a backslash escapes a quote.
                let after = rest.get(length..).unwrap_or_default();
                match (length, c) {
                    (1, 'e' | 'E') if after.starts_with('\'') => length + quoted(after, '\'', Backslash::Escapes)?,
                    _ => length,
                }
            }
            c => c.len_utf8(),
        };
        let (piece, after) = rest.split_at_checked(length).unwrap_or((rest, ""));
        match first {
            ';' => tokens.push(Token::End),
            '(' => tokens.push(Token::Open),
            '"' => tokens.push(Token::Name(piece.trim_matches('"').to_lowercase())),
            c if (c.is_alphabetic() || c == '_') && !piece.ends_with('\'') => tokens.push(Token::Word(piece.to_lowercase())),
            c if c.is_whitespace() || piece.starts_with("--") || piece.starts_with("/*") => {}
            _ => tokens.push(Token::Other),
        }
        rest = after;
    }
    Ok(tokens)
}

/// What a backslash is within quotes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Backslash {
    IsText,
    Escapes,
}

/// The length of what stands in `quote`s at the beginning of `text`, the quotes with it.
fn quoted(text: &str, quote: char, backslash: Backslash) -> Result<usize, String> {
    let mut characters = text.char_indices().skip(1).peekable();
    while let Some((at, c)) = characters.next() {
        match c {
            '\\' if backslash == Backslash::Escapes => drop(characters.next()),
            c if c == quote => match characters.peek() {
                Some((_, next)) if *next == quote => drop(characters.next()),
                _ => return Ok(at + 1),
            },
            _ => {}
        }
    }
    Err(format!("a {quote} has no end"))
}

/// The same of `$tag$ … $tag$`; a dollar that begins none is one character.
fn dollar_quoted(text: &str) -> Result<usize, String> {
    let tag: String = text.chars().skip(1).take_while(|c| c.is_alphanumeric() || *c == '_').collect();
    let open = format!("${tag}$");
    if !text.starts_with(&open) || tag.starts_with(|c: char| c.is_ascii_digit()) {
        return Ok(1);
    }
    let inside = text.get(open.len()..).unwrap_or_default();
    inside.find(&open).map(|end| open.len() + end + open.len()).ok_or_else(|| format!("{open} has no end"))
}

/// The length of a comment; they nest.
fn comment(text: &str) -> Result<usize, String> {
    let (mut depth, mut at) = (0u32, 0);
    while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
        if rest.starts_with("/*") {
            (depth, at) = (depth + 1, at + 2);
        } else if rest.starts_with("*/") {
            (depth, at) = (depth - 1, at + 2);
            if depth == 0 {
                return Ok(at);
            }
        } else {
            at += rest.chars().next().map_or(1, char::len_utf8);
        }
    }
    Err("a /* has no end".into())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_only_reads_is_let_through() {
        for sql in [
            "SELECT count(*) FROM invoices WHERE status='COMPLETED'",
            "select 1;",
            " -- how many\n SELECT count(*) /* of /* all */ DROP TABLE x */ FROM t ; ;",
            "WITH done AS (SELECT * FROM invoices WHERE note = 'please; DELETE this') SELECT count(*) FROM done",
            "(SELECT 1) UNION ALL (SELECT 2) LIMIT 1",
            "VALUES (1)",
            "TABLE totals",
            "SELECT \"update\", \"a\"\"b\" FROM t",
            "SELECT E'it\\'s; DROP', $$; DELETE FROM t$$, $x$ ; $$ $x$ FROM t",
            "SELECT (SELECT max(updated_at) FROM invoices) > now() - interval '1 day'",
            "SELECT count(*) FROM pg_stat_activity",
            "SELECT sum(offset_value)::numeric / 2 FROM settings -- the end",
            "SELECT deleted, inserted_by, do_it FROM created",
            "SELECT sum(dblink_errors) FROM \"nextval\" WHERE pg_sleep_seconds > 1",
        ] {
            assert_eq!(reads(sql), Ok(()), "{sql}");
        }
    }

    #[test]
    fn what_writes_is_refused() {
        let refused: Vec<String> = [
            "DELETE FROM invoices",
            "UPDATE invoices SET paid = true RETURNING 1",
            "INSERT INTO t VALUES (1)",
            "SELECT * INTO copy_of_t FROM t",
            "WITH gone AS (DELETE FROM invoices RETURNING *) SELECT count(*) FROM gone",
            "WITH a AS (SELECT 1) INSERT INTO t SELECT * FROM a",
            "SELECT 1; DROP TABLE invoices",
            "SELECT 1 /* ; */ ; DELETE FROM t",
            "SELECT '\\'; DELETE FROM t; --'",
            "SELECT count(*) FROM t FOR UPDATE",
            "SELECT count(*) FROM t FOR KEY SHARE",
            "SELECT nextval('invoice_id')",
            "SELECT pg_catalog.pg_terminate_backend(1)",
            "SELECT \"pg_terminate_backend\" (1)",
            "select SET_CONFIG('transaction_read_only', 'off', false)",
            "SELECT * FROM dblink_exec('dbname=prod', 'DELETE FROM t')",
            "COPY t TO PROGRAM 'sh'",
            "EXPLAIN ANALYZE DELETE FROM t",
            "ROLLBACK",
            "SHOW max_connections",
            "TRUNCATE t",
            "DO $$ BEGIN DELETE FROM t; END $$",
            "SELECT 'no end",
            "SELECT $a$ no end",
            "/* no end",
            ";",
            "",
            "-- nothing",
            "1",
        ]
        .into_iter()
        .map(|sql| format!("{sql}: {}", reads(sql).expect_err(sql)))
        .collect();
        insta::assert_snapshot!(refused.join("\n"));
    }

    proptest! {
        #[test]
        fn never_panics(sql in "(?s).{0,60}|[-/*'\"$aE\\\\; \n]{0,40}") {
            let _ = reads(&sql);
        }

        #[test]
        fn nothing_hides_a_write(noise in "[a-z ,.()'\"$/*-]{0,20}", more in "[a-z ,.()]{0,20}") {
            // Either the noise leaves something open, which is refused, or it was closed, and the write is seen: unless a comment to the end of
            // the line begins.
            let sql = format!("SELECT {noise}\n; DELETE FROM t {more}");
            prop_assert!(reads(&sql).is_err(), "{}", sql);
        }
    }
}
