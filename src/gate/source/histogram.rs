//! A histogram's buckets: the quantile they show, and how many requests were beyond a bound. Pure.
//! Quantiles are interpolated as PromQL's `histogram_quantile` does, so that both sources tell the same numbers.

use crate::gate::Counts;

/// The quantile of `latency-p99`.
pub(super) const P99: f64 = 0.99;

/// Cumulative buckets: upper bound in seconds, and how many requests took at most that long. Ordered, monotonic, and the last
/// bound is +Inf: its count is of all requests.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Buckets(Vec<(f64, f64)>);

/// A quantile, as far as the buckets tell.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Quantile {
    /// No requests.
    Nothing,
    /// Seconds.
    At(f64),
    /// Somewhere beyond the largest finite bound, in seconds: nobody knows where.
    Beyond(f64),
}

impl Buckets {
    /// From what a source gives, in any order. Counts that fall where they should rise (series read a moment apart) are
    /// lifted, as PromQL does.
    ///
    /// # Errors
    /// Why they are no histogram: completes "the histogram …".
    pub(super) fn new(mut buckets: Vec<(f64, f64)>) -> Result<Self, &'static str> {
        if buckets.iter().any(|(bound, count)| bound.is_nan() || !count.is_finite() || *count < 0.0) {
            return Err("holds what is no number");
        }
        buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
        if buckets.windows(2).any(|pair| matches!(pair, [a, b] if a.0 == b.0)) {
            return Err("has one bound twice");
        }
        if buckets.last().is_none_or(|(bound, _)| *bound != f64::INFINITY) {
            return Err("has no bucket le=\"+Inf\"");
        }
        if buckets.len() < 2 {
            return Err("has no bucket but le=\"+Inf\"");
        }
        let mut most = 0.0;
        for (_, count) in &mut buckets {
            most = f64::max(most, *count);
            *count = most;
        }
        Ok(Self(buckets))
    }

    /// All requests.
    pub(super) fn requests(&self) -> f64 {
        self.0.last().map_or(0.0, |(_, count)| *count)
    }

    /// The same with every count multiplied, for rates turned into counts.
    pub(super) fn times(mut self, factor: f64) -> Self {
        self.0.iter_mut().for_each(|(_, count)| *count *= factor);
        self
    }

    /// The time that a part `q` of the requests takes at most. `q` is between 0 and 1.
    pub(super) fn quantile(&self, q: f64) -> Quantile {
        let rank = q * self.requests();
        if self.requests() <= 0.0 {
            return Quantile::Nothing;
        }
        let (mut start, mut before) = (0.0, 0.0);
        for (index, (bound, count)) in self.0.iter().enumerate() {
            if *bound == f64::INFINITY {
                return Quantile::Beyond(start);
            }
            if *count >= rank {
                // A first bucket that ends below zero has no beginning to interpolate from.
                if index == 0 && *bound <= 0.0 {
                    return Quantile::At(*bound);
                }
                return Quantile::At(start + (bound - start) * ((rank - before) / (count - before)));
            }
            (start, before) = (*bound, *count);
        }
        Quantile::Nothing
    }

    /// Of all requests, those that took longer than `bound` seconds, interpolated within a bucket. What is beyond the largest
    /// finite bound counts as longer: nobody knows that it was not.
    pub(super) fn slower_than(&self, bound: f64) -> Counts {
        let (mut start, mut before) = (0.0, 0.0);
        let mut within = 0.0;
        for (end, count) in &self.0 {
            if *end <= bound {
                within = *count;
            } else if *end != f64::INFINITY && bound > start {
                within = before + (count - before) * ((bound - start) / (end - start));
                break;
            } else {
                break;
            }
            (start, before) = (*end, *count);
        }
        let requests = self.requests();
        Counts::new(whole(requests), whole(requests - within))
    }
}

/// A count as a whole number: rates over a window come with fractions.
pub(super) fn whole(count: f64) -> u64 {
    // Saturates; negative becomes 0.
    count.round() as u64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn buckets(pairs: &[(f64, f64)]) -> Buckets {
        Buckets::new(pairs.to_vec()).expect("a histogram")
    }

    const INF: f64 = f64::INFINITY;

    #[test]
    fn quantiles_are_those_of_promql() {
        // By PromQL's documented interpolation; tests/metrics_sources.rs compares with a real server's answers.
        let some = buckets(&[(0.1, 50.0), (0.25, 90.0), (1.0, 99.0), (INF, 100.0)]);
        assert_eq!(some.quantile(0.5), Quantile::At(0.1));
        assert_eq!(some.quantile(0.9), Quantile::At(0.25));
        assert_eq!(some.quantile(0.95), Quantile::At(0.25 + 0.75 * (5.0 / 9.0)));
        assert_eq!(some.quantile(0.99), Quantile::At(1.0));
        // Where PromQL would answer 1, which a bound of 2 s would pass.
        assert_eq!(some.quantile(0.999), Quantile::Beyond(1.0));
        assert_eq!(buckets(&[(0.1, 0.0), (INF, 0.0)]).quantile(0.99), Quantile::Nothing);
    }

    #[test]
    fn what_is_no_histogram_is_refused() {
        let refused = |pairs: &[(f64, f64)]| Buckets::new(pairs.to_vec()).expect_err("refused");
        assert_eq!(refused(&[(0.1, 1.0), (1.0, 2.0)]), "has no bucket le=\"+Inf\"");
        assert_eq!(refused(&[(INF, 2.0)]), "has no bucket but le=\"+Inf\"");
        assert_eq!(refused(&[(1.0, 2.0), (1.0, 2.0), (INF, 2.0)]), "has one bound twice");
        assert_eq!(refused(&[(f64::NAN, 2.0), (INF, 2.0)]), "holds what is no number");
        assert_eq!(refused(&[]), "has no bucket le=\"+Inf\"");
    }

    #[test]
    fn requests_beyond_a_bound_are_counted() {
        let some = buckets(&[(0.1, 50.0), (0.25, 90.0), (1.0, 98.0), (INF, 100.0)]);
        assert_eq!(some.slower_than(0.1), Counts::new(100, 50));
        assert_eq!(some.slower_than(0.175), Counts::new(100, 30));
        assert_eq!(some.slower_than(1.0), Counts::new(100, 2));
        // Beyond the largest bound nobody knows: it counts against the version.
        assert_eq!(some.slower_than(30.0), Counts::new(100, 2));
        assert_eq!(some.slower_than(0.0), Counts::new(100, 100));
    }

    proptest! {
        /// The value and the counts of one histogram must not contradict each other.
        #[test]
        fn the_quantile_is_beyond_a_bound_when_enough_requests_are(
            increments in prop::collection::vec(0u32..1000, 2..12), bound in 0.001f64..2.0,
        ) {
            let mut sum = 0.0;
            let count = increments.len();
            let pairs: Vec<(f64, f64)> = increments.into_iter().enumerate().map(|(index, more)| {
                sum += f64::from(more);
                (if index + 1 == count { INF } else { 0.1 * (index + 1) as f64 }, sum)
            }).collect();
            let buckets = Buckets::new(pairs).expect("a histogram");
            let slower = buckets.slower_than(bound).events as f64;
            let allowed = 0.01 * buckets.requests();
            match buckets.quantile(P99) {
                Quantile::Nothing => prop_assert_eq!(buckets.requests(), 0.0),
                // Rounding to whole requests decides within half a request.
                Quantile::At(value) | Quantile::Beyond(value) if value > bound => prop_assert!(slower >= allowed - 0.5),
                Quantile::At(_) => prop_assert!(slower <= allowed + 0.5),
                Quantile::Beyond(_) => {}
            }
        }

        #[test]
        fn no_buckets_break_it(pairs in prop::collection::vec((any::<f64>(), any::<f64>()), 0..8), q in 0.0f64..=1.0, bound in any::<f64>()) {
            if let Ok(buckets) = Buckets::new(pairs) {
                let _ = (buckets.quantile(q), buckets.slower_than(bound), buckets.times(3.0));
            }
        }
    }
}
