//! A percentage: a share of traffic, or the bound of a rate.

use std::{fmt, str::FromStr};

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::NotA;

const EXPECTED: &str = "a percentage between 0% and 100% such as 5% or 0.05%";

/// A percentage between 0% and 100%, in exact parts per million (1% is 10 000), so that shares add up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Share(u32);

impl Share {
    /// No traffic.
    pub const ZERO: Self = Self(0);
    /// All traffic.
    pub const ALL: Self = Self(1_000_000);

    /// From parts per million; `None` above 1 000 000.
    #[must_use]
    pub const fn from_ppm(ppm: u32) -> Option<Self> {
        if ppm <= 1_000_000 { Some(Self(ppm)) } else { None }
    }

    /// Parts per million.
    #[must_use]
    pub const fn ppm(self) -> u32 {
        self.0
    }

    /// As a ratio between 0 and 1.
    #[must_use]
    pub fn ratio(self) -> f64 {
        f64::from(self.0) / 1e6
    }
}

impl FromStr for Share {
    type Err = NotA;

    /// Reads `5%`, `0.05%`, `100%`: digits, at most four decimals, a percent sign.
    fn from_str(text: &str) -> Result<Self, NotA> {
        let wrong = || NotA::new(text, EXPECTED);
        let number = text.strip_suffix('%').ok_or_else(wrong)?.trim_end();
        let (whole, decimals) = number.split_once('.').unwrap_or((number, ""));
        let digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
        if whole.is_empty() || whole.len() > 3 || decimals.len() > 4 || !digits(whole) || !digits(decimals) || number.ends_with('.') {
            return Err(wrong());
        }
        let whole: u32 = whole.parse().map_err(|_| wrong())?;
        let fraction: u32 = format!("{decimals:0<4}").parse().map_err(|_| wrong())?;
        Self::from_ppm(whole * 10_000 + fraction).ok_or_else(wrong)
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, fraction) = (self.0 / 10_000, self.0 % 10_000);
        if fraction == 0 {
            return write!(f, "{whole}%");
        }
        write!(f, "{whole}.{}%", format!("{fraction:04}").trim_end_matches('0'))
    }
}

impl Serialize for Share {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Share {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for Share {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Share".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "description": "A percentage between 0% and 100%.",
            "pattern": r"^(100(\.0{1,4})?|\d{1,2}(\.\d{1,4})?)%$",
            "examples": ["5%", "0.05%"]
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn reads_what_the_runbook_writes() {
        for (text, ppm) in [("0%", 0), ("5%", 50_000), ("0.05%", 500), ("99.9%", 999_000), ("100%", 1_000_000)] {
            assert_eq!(text.parse::<Share>().map(Share::ppm), Ok(ppm));
        }
    }

    #[test]
    fn refuses_what_is_no_share() {
        for text in ["", "%", "5", "-1%", "101%", "100.1%", "1e1%", "5 %%", "0.00001%", ".5%", "5.%", "５%"] {
            assert!(text.parse::<Share>().is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn printing_and_reading_are_inverse(ppm in 0u32..=1_000_000) {
            let share = Share::from_ppm(ppm).expect("in range");
            prop_assert_eq!(share.to_string().parse::<Share>(), Ok(share));
        }
    }
}
