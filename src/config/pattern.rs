//! The patterns of `when`: GitHub's filter patterns as far as names of branches and tags need them. Pure.

/// Whether `name` matches `pattern`: `*` is any run of characters but `/`, `**` any run, `?` any one character but `/`.
/// (GitHub's `?` makes the character before it optional; branch names hold no `?`, so people who write one mean this.)
#[must_use]
pub fn matches(pattern: &str, name: &str) -> bool {
    let (pattern, name): (Vec<char>, Vec<char>) = (pattern.chars().collect(), name.chars().collect());
    // reached[i]: the pattern so far can match the first i characters. Linear in both, whatever the pattern.
    let mut reached = vec![false; name.len() + 1];
    if let Some(first) = reached.first_mut() {
        *first = true;
    }
    let mut parts = pattern.iter().peekable();
    while let Some(part) = parts.next() {
        let mut after = vec![false; name.len() + 1];
        if *part == '*' {
            let crosses = parts.next_if(|next| **next == '*').is_some();
            let mut running = false;
            for index in 0..=name.len() {
                running = reached[index] || (running && index > 0 && (crosses || name[index - 1] != '/'));
                after[index] = running;
            }
        } else {
            for (index, c) in name.iter().enumerate() {
                after[index + 1] = reached[index] && (part == c || (*part == '?' && *c != '/'));
            }
        }
        reached = after;
    }
    reached[name.len()]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::matches;

    #[test]
    fn patterns_match_as_in_workflow_filters() {
        let good = [
            ("v*", "v1.0.0"),
            ("main", "main"),
            ("feature/*", "feature/x"),
            ("**", "a/b/c"),
            ("release/**", "release/1/2"),
            ("v?", "v1"),
            ("*", ""),
            ("a**c", "ab/c"),
        ];
        let bad = [("v*", "1.0"), ("main", "mains"), ("feature/*", "feature/x/y"), ("v?", "v"), ("?", "/"), ("", "a")];
        for (pattern, name) in good {
            assert!(matches(pattern, name), "{pattern} {name}");
        }
        for (pattern, name) in bad {
            assert!(!matches(pattern, name), "{pattern} {name}");
        }
    }

    proptest! {
        #[test]
        fn a_name_matches_itself_and_two_stars(name in "[a-zA-Z0-9/._-]{0,40}") {
            prop_assert!(matches(&name, &name));
            prop_assert!(matches("**", &name));
            prop_assert_eq!(matches("*", &name), !name.contains('/'));
        }

        #[test]
        fn no_pattern_takes_long(pattern in "[*a/?]{0,60}", name in "[a/]{0,200}") {
            let _ = matches(&pattern, &name);
        }
    }
}
