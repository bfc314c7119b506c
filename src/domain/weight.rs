//! Traffic Manager's weight, and which of two slots is meant.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::NotA;

/// The weight of an endpoint: 1 to 1000 (Microsoft: Traffic Manager, weighted routing). 0 % is not a weight: it is a disabled
/// endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "u16", into = "u16")]
pub struct Weight(#[schemars(range(min = 1, max = 1000))] u16);

impl Weight {
    /// What Azure gives an endpoint without one.
    pub const ONE: Self = Self(1);
    /// The whole of it: what the one endpoint that serves everything gets.
    pub const FULL: Self = Self(1000);

    /// From its number; `None` outside 1 to 1000.
    #[must_use]
    pub const fn new(number: u16) -> Option<Self> {
        if 1 <= number && number <= 1000 { Some(Self(number)) } else { None }
    }

    /// Its number.
    #[must_use]
    pub const fn get(self) -> u16 {
        self.0
    }
}

impl TryFrom<u16> for Weight {
    type Error = NotA;

    fn try_from(number: u16) -> Result<Self, NotA> {
        Self::new(number).ok_or_else(|| NotA::new(&number.to_string(), "a weight from 1 to 1000"))
    }
}

impl From<Weight> for u16 {
    fn from(weight: Weight) -> Self {
        weight.0
    }
}
