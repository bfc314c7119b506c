//! Traffic Manager's weight, and from shares to weights and back. Pure arithmetic, in whole numbers wherever it decides.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{NotA, Share};

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

/// Why shares cannot be set by weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "{smallest} beside {largest} cannot be set: Traffic Manager's weights go from 1 to 1000, so the smallest share must be at least a thousandth of the largest"
)]
pub struct TooFarApart {
    /// The smallest share that is not 0 %.
    pub smallest: Share,
    /// The largest share.
    pub largest: Share,
}

/// The weights that give each endpoint its share, in the order of `shares`; `None` for 0 %, which is a disabled endpoint.
///
/// The shares count in proportion to each other, so they may be some parts per million away from 100 % together (a third is
/// no round number). Where whole weights from 1 to 1000 give the proportions exactly, the smallest such weights are taken;
/// otherwise those whose shares are off the least. The smallest share, the canary's, is never given more than was asked for,
/// nor nothing. The only endpoint with a share gets [`Weight::FULL`].
///
/// # Errors
/// [`TooFarApart`] when the largest share is more than 1000 times the smallest.
pub fn weights(shares: &[Share]) -> Result<Vec<Option<Weight>>, TooFarApart> {
    let asked: Vec<u64> = shares.iter().map(|share| u64::from(share.ppm())).collect();
    let smallest = asked.iter().copied().filter(|ppm| *ppm > 0).min();
    let largest = asked.iter().copied().max();
    let (Some(smallest), Some(largest)) = (smallest, largest) else { return Ok(vec![None; asked.len()]) };
    let steps = u64::from(Weight::FULL.get());
    let weights = if asked.iter().filter(|ppm| **ppm > 0).count() == 1 {
        asked.iter().map(|ppm| if *ppm > 0 { steps } else { 0 }).collect()
    } else {
        let divisor = asked.iter().copied().fold(0, greatest_common_divisor);
        if largest / divisor <= steps {
            asked.iter().map(|ppm| ppm / divisor).collect()
        } else {
            // The smallest weight decides the scale: with each of its values the others follow, rounded to the nearest where
            // that leaves the smallest share at or below what was asked, and up where it does not.
            (1..=steps * smallest / largest)
                .flat_map(|least| [scaled(&asked, smallest, least, Rounding::Nearest), scaled(&asked, smallest, least, Rounding::Up)])
                .filter(|weights| weights.iter().all(|weight| *weight <= steps) && is_at_most_asked(&asked, smallest, weights))
                .min_by(|a, b| error(&asked, a).total_cmp(&error(&asked, b)))
                .unwrap_or_default()
        }
    };
    let share = |ppm: u64| u32::try_from(ppm).ok().and_then(Share::from_ppm).unwrap_or(Share::ALL);
    if weights.len() != asked.len() {
        return Err(TooFarApart { smallest: share(smallest), largest: share(largest) });
    }
    Ok(weights.into_iter().map(|weight| u16::try_from(weight).ok().and_then(Weight::new)).collect())
}

/// The shares that `weights` give, in their order; they add up to 100 % exactly unless all are `None`.
#[must_use]
pub fn shares(weights: &[Option<Weight>]) -> Vec<Share> {
    let total: u64 = weights.iter().flatten().map(|weight| u64::from(weight.get())).sum();
    let mut before = 0;
    let all = u64::from(Share::ALL.ppm());
    let up_to = |sum: u64| (sum * all).checked_div(total).unwrap_or(0);
    weights
        .iter()
        .map(|weight| {
            let from = up_to(before);
            before += weight.map_or(0, |weight| u64::from(weight.get()));
            u32::try_from(up_to(before) - from).ok().and_then(Share::from_ppm).unwrap_or(Share::ALL)
        })
        .collect()
}

#[derive(Clone, Copy)]
enum Rounding {
    Nearest,
    Up,
}

/// Every share in proportion to the `smallest`, which gets `least`.
fn scaled(asked: &[u64], smallest: u64, least: u64, rounding: Rounding) -> Vec<u64> {
    asked
        .iter()
        .map(|ppm| match rounding {
            Rounding::Nearest => (ppm * least * 2 + smallest) / (smallest * 2),
            Rounding::Up => (ppm * least).div_ceil(smallest),
        })
        .collect()
}

/// Whether the smallest share comes out at or below what was asked.
fn is_at_most_asked(asked: &[u64], smallest: u64, weights: &[u64]) -> bool {
    let (total, sum): (u64, u64) = (asked.iter().sum(), weights.iter().sum());
    asked.iter().zip(weights).filter(|(ppm, _)| **ppm == smallest).all(|(_, weight)| weight * total <= smallest * sum)
}

/// By how much the share that is off the most is off.
#[allow(clippy::cast_precision_loss, reason = "parts per million and weights are far below 2^52, and this only compares")]
fn error(asked: &[u64], weights: &[u64]) -> f64 {
    let (total, sum) = (asked.iter().sum::<u64>() as f64, weights.iter().sum::<u64>() as f64);
    asked.iter().zip(weights).map(|(ppm, weight)| (*ppm as f64 / total - *weight as f64 / sum).abs()).fold(0.0, f64::max)
}

const fn greatest_common_divisor(mut a: u64, mut b: u64) -> u64 {
    while b > 0 {
        (a, b) = (b, a % b);
    }
    a
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(texts: &[&str]) -> Result<Vec<u16>, TooFarApart> {
        let asked: Vec<Share> = texts.iter().map(|text| text.parse().expect("a share")).collect();
        weights(&asked).map(|found| found.into_iter().map(|weight| weight.map_or(0, Weight::get)).collect())
    }

    #[test]
    fn the_runbooks_shares_are_exact() {
        assert_eq!(of(&["100%", "0%"]), Ok(vec![1000, 0]));
        assert_eq!(of(&["47.5%", "47.5%", "0%", "5%"]), Ok(vec![19, 19, 0, 2]));
        assert_eq!(of(&["37.5%", "37.5%", "0%", "25%"]), Ok(vec![3, 3, 0, 2]));
        assert_eq!(of(&["50%", "50%"]), Ok(vec![1, 1]));
        assert_eq!(of(&["99.9%", "0.1%"]), Ok(vec![999, 1]));
        assert_eq!(of(&["0%", "0%"]), Ok(vec![0, 0]));
        assert_eq!(of(&[]), Ok(vec![]));
    }

    #[test]
    fn thirds_come_out_even_and_the_canary_gets_no_more_than_asked() {
        assert_eq!(of(&["31.6667%", "31.6667%", "31.6666%", "5%"]), Ok(vec![19, 19, 19, 3]));
    }

    #[test]
    fn what_weights_cannot_say_is_refused() {
        let error = of(&["99.95%", "0.05%"]).expect_err("1 to 1999");
        assert_eq!((error.smallest.to_string(), error.largest.to_string()), ("0.05%".into(), "99.95%".into()));
        assert_eq!(of(&["50%", "49.95%", "0.05%"]), Ok(vec![1000, 999, 1]));
    }

    /// Shares of some endpoints that add up to 100 %, some of them 0 %.
    fn some_shares() -> impl Strategy<Value = Vec<Share>> {
        proptest::collection::vec(
            (0u64..=3).prop_flat_map(|kind| if kind == 0 { (0u64..=0).boxed() } else { (1u64..=100_000).boxed() }),
            1..12,
        )
        .prop_filter("somebody serves", |parts| parts.iter().any(|part| *part > 0))
        .prop_map(|parts| {
            let total: u64 = parts.iter().sum();
            let mut cut: Vec<u32> = parts.iter().map(|part| u32::try_from(part * 1_000_000 / total).expect("fits")).collect();
            let missing = 1_000_000 - cut.iter().sum::<u32>();
            if let Some(first) = cut.iter_mut().find(|ppm| **ppm > 0) {
                *first += missing;
            }
            cut.into_iter().map(|ppm| Share::from_ppm(ppm).expect("a share")).collect()
        })
    }

    proptest! {
        #[test]
        fn weights_say_what_was_asked(asked in some_shares()) {
            let serving = || asked.iter().filter(|share| **share > Share::ZERO);
            let (smallest, largest) = (*serving().min().expect("one"), *serving().max().expect("one"));
            let found = weights(&asked);
            prop_assert_eq!(found.is_err(), u64::from(largest.ppm()) > 1000 * u64::from(smallest.ppm()));
            let Ok(found) = found else { return Ok(()) };
            prop_assert_eq!(found.len(), asked.len());
            let realised = shares(&found);
            prop_assert_eq!(realised.iter().map(|share| share.ppm()).sum::<u32>(), 1_000_000);
            for ((asked, weight), realised) in asked.iter().zip(&found).zip(&realised) {
                prop_assert_eq!(weight.is_none(), *asked == Share::ZERO);
                // A thousand steps, and rounding of one: never further off than a tenth of a percent.
                prop_assert!(asked.ppm().abs_diff(realised.ppm()) <= 1_000, "{} became {}", asked, realised);
                if let Some(weight) = weight && *asked == smallest {
                    let sum: u64 = found.iter().flatten().map(|weight| u64::from(weight.get())).sum();
                    prop_assert!(u64::from(weight.get()) * 1_000_000 <= u64::from(asked.ppm()) * sum, "{} became {}", asked, realised);
                }
            }
        }

        #[test]
        fn equal_shares_get_equal_weights(asked in some_shares()) {
            let Ok(found) = weights(&asked) else { return Ok(()) };
            for (a, x) in asked.iter().zip(&found) {
                for (b, y) in asked.iter().zip(&found) {
                    prop_assert!(a != b || x == y);
                }
            }
        }

        #[test]
        fn proportions_that_fit_are_exact(proportions in proptest::collection::vec(0u32..=1000, 2..10)) {
            let total: u32 = proportions.iter().sum();
            prop_assume!(proportions.iter().filter(|part| **part > 0).count() > 1);
            let asked: Vec<Share> = proportions.iter().map(|part| Share::from_ppm(part * 100).expect("a share")).collect();
            let found = weights(&asked).expect("they fit");
            let sum: u32 = found.iter().flatten().map(|weight| u32::from(weight.get())).sum();
            for (part, weight) in proportions.iter().zip(&found) {
                prop_assert_eq!(part * sum, weight.map_or(0, |weight| u32::from(weight.get())) * total);
            }
        }
    }
}
