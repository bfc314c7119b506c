//! Secrets, and the filter that keeps them out of everything a person or a file gets to see (invariant 7).

use std::fmt;

use secrecy::{ExposeSecret, SecretString};

/// What stands where a secret was; GitHub's runner prints the same.
const MASK: &str = "***";

/// Characters under which a text is not masked.
pub const SHORTEST: usize = 4;

/// A value that never prints itself.
#[derive(Clone)]
pub struct Secret(SecretString);

impl Secret {
    /// Takes a value into custody.
    #[must_use]
    pub fn new(value: String) -> Self {
        Self(SecretString::from(value))
    }

    /// The value itself, for the one request that needs it.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(***)")
    }
}

/// Every secret of this run, to be taken out of any text before it leaves.
#[derive(Clone, Default)]
pub struct Masks(Vec<Secret>);

impl fmt::Debug for Masks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Masks({})", self.0.len())
    }
}

impl Masks {
    /// Adds a secret: the whole value, each of its lines (a private key is logged line by line), and the form that each
    /// takes inside JSON. What is shorter than [`SHORTEST`] is left out: masking `1` would mask every number.
    pub fn add(&mut self, secret: &Secret) {
        let value = secret.expose();
        let mut texts: Vec<String> = value.lines().map(str::trim).map(str::to_owned).collect();
        texts.push(value.to_owned());
        texts.push(value.trim().to_owned());
        for text in texts.clone() {
            let json = serde_json::Value::String(text).to_string();
            texts.push(json.trim_matches('"').to_owned());
        }
        texts.retain(|text| text.trim().chars().count() >= SHORTEST);
        self.0.extend(texts.into_iter().map(Secret::new));
        // Longest first, so that a secret that contains another is masked whole.
        self.0.sort_by_key(|s| std::cmp::Reverse(s.expose().len()));
        self.0.dedup_by(|a, b| a.expose() == b.expose());
    }

    /// `text` with every secret in it replaced by `***`.
    #[must_use]
    pub fn scrub(&self, text: &str) -> String {
        let mut clean = text.to_owned();
        for secret in &self.0 {
            if clean.contains(secret.expose()) {
                clean = clean.replace(secret.expose(), MASK);
            }
        }
        clean
    }

    /// The texts to be masked, for the runner's `::add-mask::`.
    pub fn iter(&self) -> impl Iterator<Item = &Secret> {
        self.0.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_whole_values_lines_and_their_json_form() {
        let mut masks = Masks::default();
        masks.add(&Secret::new("top\"secret\nsecond line\nab".into()));
        masks.add(&Secret::new("top\"secret-longer".into()));
        assert_eq!(masks.scrub("x top\"secret y second line z ab"), "x *** y *** z ab");
        assert_eq!(masks.scrub(r#"{"a":"top\"secret"}"#), r#"{"a":"***"}"#);
        assert_eq!(masks.scrub("top\"secret-longer"), "***");
        assert_eq!(format!("{masks:?} {:?}", Secret::new("hidden".into())), "Masks(8) Secret(***)");
    }

    #[test]
    fn an_empty_or_tiny_secret_masks_nothing() {
        let mut masks = Masks::default();
        masks.add(&Secret::new("ext".into()));
        masks.add(&Secret::new(String::new()));
        masks.add(&Secret::new("\n".into()));
        assert_eq!(masks.scrub("text"), "text");
    }
}
