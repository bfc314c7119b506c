//! Whether chance explains what was counted: a sequential test that may be looked at as often as one likes. Pure.
//! Knows trials and events; knows nothing of metrics, rules or where counts come from.
//!
//! **Why.** A healthy version with 0.5 % errors exceeds 1 % in some 10-second window almost surely, so the runbook's literal
//! rule alone aborts most healthy canaries; a fixed-size test loses its promise as soon as one looks at it every tick. A
//! mixture likelihood ratio keeps it: under the null hypothesis it is a non-negative supermartingale that starts at 1, so by
//! Ville's inequality it ever reaches N with a probability of at most 1/N, whenever and however often one looks. The family,
//! and its use on software versions' error counts: M. Lindon, A. Malek, "Anytime-valid inference for multinomial count data",
//! arXiv 2011.03567; M. Lindon et al., "Rapid regression detection in software deployments through sequential testing",
//! arXiv 2205.14762.
//!
//! **What is tested.** n trials with x events, each an event with a probability of at most p (the null hypothesis). Against
//! odds k times as high the likelihood ratio is `k^x / (1 - p + k p)^n`; its mean under any probability up to p is at most 1.
//! k is 2, 4 and 10, equally likely beforehand. Two tests are this one:
//! - against a bound: trials are requests, p is the bound;
//! - against stable instances: trials are the *events of both*, an event counts when it was the new version's, and p is the
//!   share of requests (times the allowed ratio) that the new version had in the same tick. Given the shares, equally good
//!   versions share their events alike, whatever the common rate does over time. (With many errors the events of one request
//!   exclude each other, which makes the shares of a healthy version vary less than the test allows for: it errs on the safe
//!   side.)
//!
//! **Late failures.** A version may turn bad after half an hour of good answers, which would have to be outweighed first. So
//! the alternative may begin at any tick: half of the prior is on the first, the rest on tick j with a weight of
//! `1 / (j (j + 1))`. The sum over all beginnings is carried from tick to tick as one number per k, and the promise holds.

use super::sample::Counts;

/// How many times as high the odds of an event may have become: a small, a clear and a gross deterioration.
const ODDS: [f64; 3] = [2.0, 4.0, 10.0];

/// A test under way. Starts knowing nothing.
#[derive(Debug, Clone, PartialEq)]
pub struct Sequential {
    /// Ticks seen.
    ticks: u32,
    /// For each of [`ODDS`]: the logarithm of the weighted sum of likelihood ratios over all beginnings so far.
    sums: [f64; ODDS.len()],
}

impl Default for Sequential {
    fn default() -> Self {
        Self { ticks: 0, sums: [f64::NEG_INFINITY; ODDS.len()] }
    }
}

impl Sequential {
    /// Takes a tick's trials and events, each an event with a probability of at most `p` by the null hypothesis. Counts must
    /// not have been given before: of overlapping windows give the differences of totals.
    ///
    /// A `p` outside of 0 to 1 (exclusive) says nothing, and nothing is learnt from it.
    pub fn advance(&mut self, counts: Counts, p: f64) {
        self.ticks = self.ticks.saturating_add(1);
        let begins = weight(self.ticks).ln();
        let informative = p > 0.0 && p < 1.0;
        let (trials, events) = (counts.requests as f64, counts.events.min(counts.requests) as f64);
        for (sum, odds) in self.sums.iter_mut().zip(ODDS) {
            let ratio = if informative { events * odds.ln() - trials * (p * (odds - 1.0)).ln_1p() } else { 0.0 };
            *sum = add_logarithms(*sum, begins) + ratio;
        }
    }

    /// The logarithm of the evidence against the null hypothesis. By chance alone the evidence ever reaches N with a
    /// probability of at most 1/N.
    #[must_use]
    pub fn log_evidence(&self) -> f64 {
        let all = self.sums.into_iter().fold(f64::NEG_INFINITY, add_logarithms) - (ODDS.len() as f64).ln();
        // Beginnings still to come know nothing yet: their ratio is 1.
        add_logarithms(all, weight_after(self.ticks).ln())
    }
}

/// The prior weight of a deterioration that begins at tick `j`, from 1. Sums to 1.
fn weight(j: u32) -> f64 {
    let j = f64::from(j);
    let spread = 0.5 / (j * (j + 1.0));
    if j <= 1.0 { 0.5 + spread } else { spread }
}

/// The sum of the weights of all ticks after `j`.
fn weight_after(j: u32) -> f64 {
    if j == 0 { 1.0 } else { 0.5 / (f64::from(j) + 1.0) }
}

/// ln(e^a + e^b) without overflow.
pub(super) fn add_logarithms(a: f64, b: f64) -> f64 {
    let (high, low) = if a >= b { (a, b) } else { (b, a) };
    if high == f64::NEG_INFINITY { high } else { high + (low - high).exp().ln_1p() }
}

/// Events of the new version and of stable instances, as the trials of one test: see the module's text. `allowed` is how
/// many times stable's rate the new version's may be. Gives the trials with the events among them, and `p`.
#[must_use]
pub fn paired(new: Counts, baseline: Counts, allowed: f64) -> (Counts, f64) {
    let exposure = allowed * new.requests as f64;
    let all = exposure + baseline.requests as f64;
    let p = if all > 0.0 { exposure / all } else { 0.0 };
    (Counts::new(new.events.saturating_add(baseline.events), new.events), p)
}

/// A small generator of our own (SplitMix64), so that a seed means the same for ever.
#[cfg(test)]
pub(super) struct Dice(u64);

#[cfg(test)]
impl Dice {
    pub(super) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Poisson by Knuth's multiplication: means here are small.
    pub(super) fn poisson(&mut self, mean: f64) -> u64 {
        let (floor, mut product, mut count) = ((-mean).exp(), self.next(), 0);
        while product > floor {
            product *= self.next();
            count += 1;
        }
        count
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// One canary of 5 % beside stable at 0.5 %, looked at every 10 seconds for 300: when each way of judging aborts it.
    struct Aborts {
        first_breach: Option<u32>,
        three_in_a_row: Option<u32>,
        sequential: Option<u32>,
    }

    fn canary(dice: &mut Dice, per_second: f64, error_rate: f64) -> Aborts {
        let (requests, stable_requests) = (per_second * 10.0 * 0.05, per_second * 10.0 * 0.95);
        let (mut test, mut row) = (Sequential::default(), 0);
        let mut aborts = Aborts { first_breach: None, three_in_a_row: None, sequential: None };
        for tick in 1..=30 {
            let seconds = tick * 10;
            let new = Counts::new(requests.round() as u64, dice.poisson(requests * error_rate));
            let stable = Counts::new(stable_requests.round() as u64, dice.poisson(stable_requests * 0.005));
            let (counts, p) = paired(new, stable, 1.0);
            test.advance(counts, p);
            row = if new.rate().is_some_and(|rate| rate > 0.01) { row + 1 } else { 0 };
            if row >= 1 {
                aborts.first_breach.get_or_insert(seconds);
            }
            if row >= 3 {
                aborts.three_in_a_row.get_or_insert(seconds);
            }
            if test.log_evidence() >= 100f64.ln() {
                aborts.sequential.get_or_insert(seconds);
            }
        }
        aborts
    }

    /// Share of aborted canaries in percent and the median second of the abort.
    fn share_and_median(mut seconds: Vec<Option<u32>>) -> (f64, Option<u32>) {
        let all = seconds.len();
        seconds.retain(Option::is_some);
        seconds.sort_unstable();
        (100.0 * seconds.len() as f64 / all as f64, seconds.get(seconds.len() / 2).copied().flatten())
    }

    #[test]
    fn simulated_canaries_are_aborted_when_they_are_bad_and_only_then() {
        const RUNS: usize = 4000;
        let mut table = String::new();
        let mut row = |per_second: f64, error_rate: f64| {
            let mut dice = Dice::new(0xdeb1_0700 + per_second as u64);
            let runs: Vec<Aborts> = (0..RUNS).map(|_| canary(&mut dice, per_second, error_rate)).collect();
            let (first, _) = share_and_median(runs.iter().map(|run| run.first_breach).collect());
            let (three, _) = share_and_median(runs.iter().map(|run| run.three_in_a_row).collect());
            let (sequential, median) = share_and_median(runs.iter().map(|run| run.sequential).collect());
            let seconds = median.map_or_else(|| "never".to_owned(), |seconds| format!("{seconds} s"));
            table.push_str(&format!(
                "{per_second}/s, {:.1} %: first breach {first:.0} %, three in a row {three:.1} %, sequential {sequential:.1} %, {seconds}\n",
                error_rate * 100.0
            ));
            (first, three, sequential)
        };
        // Healthy: the promise is 1 %, however often one looks; the literal rule has no such promise.
        for per_second in [20.0, 100.0, 400.0] {
            let (first, _, sequential) = row(per_second, 0.005);
            assert!(sequential <= 1.0 && first > 50.0, "{per_second}");
        }
        // Bad, with traffic enough to tell.
        assert!(row(100.0, 0.02).2 > 90.0);
        assert!(row(100.0, 0.05).2 > 99.0);
        // Bad, with too little traffic: no abort by dice.
        assert!(row(20.0, 0.02).2 < 60.0);
        insta::assert_snapshot!(table);
    }

    #[test]
    fn a_version_that_turns_bad_late_is_still_noticed() {
        let mut test = Sequential::default();
        for _ in 0..150 {
            test.advance(Counts::new(500, 1), 0.01);
        }
        assert!(test.log_evidence() < 0.0);
        let ticks = (1..=30).find(|_| {
            test.advance(Counts::new(500, 25), 0.01);
            test.log_evidence() >= 100f64.ln()
        });
        assert_eq!(ticks, Some(1));
    }

    #[test]
    fn a_few_errors_against_a_spotless_baseline_are_evidence() {
        let mut test = Sequential::default();
        let (counts, p) = paired(Counts::new(300, 5), Counts::new(5700, 0), 1.0);
        assert_eq!((counts, p), (Counts::new(5, 5), 0.05));
        test.advance(counts, p);
        assert!(test.log_evidence() > 100f64.ln(), "{}", test.log_evidence());
    }

    #[test]
    fn the_weights_of_all_beginnings_sum_to_one() {
        let sum: f64 = (1..=1000).map(weight).sum();
        assert!((sum + weight_after(1000) - 1.0).abs() < 1e-12);
    }

    proptest! {
        /// What makes it anytime-valid, exactly: averaged over the outcomes of one more tick under the null hypothesis, the
        /// evidence does not grow, whatever came before.
        #[test]
        fn evidence_does_not_grow_by_chance(
            before in prop::collection::vec((0u64..200, 0u64..20, 0.001f64..0.5), 0..8),
            trials in 0u64..40, bound in 0.001f64..0.9, below in 0.0f64..=1.0,
        ) {
            let mut test = Sequential::default();
            for (requests, events, p) in before {
                test.advance(Counts::new(requests, events), p);
            }
            let now = test.log_evidence().exp();
            let truth: f64 = bound * below;
            let mut mean = 0.0;
            let mut probability = (1.0 - truth).powi(trials as i32);
            for events in 0..=trials {
                let mut next = test.clone();
                next.advance(Counts::new(trials, events), bound);
                mean += probability * next.log_evidence().exp();
                probability *= (trials - events) as f64 / (events + 1) as f64 * truth / (1.0 - truth);
            }
            prop_assert!(mean <= now * (1.0 + 1e-9), "{mean} > {now}");
        }

        #[test]
        fn more_events_are_more_evidence(trials in 1u64..10_000, events in 0u64..10_000, p in 0.0001f64..0.9) {
            let evidence = |events| {
                let mut test = Sequential::default();
                test.advance(Counts::new(trials, events), p);
                test.log_evidence()
            };
            let events = events % trials;
            // Not `>`: deep in what is impossible, floating point cannot tell them apart any more.
            prop_assert!(evidence(events + 1) >= evidence(events));
        }

        #[test]
        fn no_counts_and_no_probability_break_it(
            ticks in prop::collection::vec((any::<u64>(), any::<u64>(), any::<u64>(), any::<u64>(), any::<f64>()), 1..20),
        ) {
            let mut test = Sequential::default();
            for (requests, events, others, other_events, number) in ticks {
                test.advance(Counts::new(requests, events), number);
                let (counts, p) = paired(Counts::new(requests, events), Counts::new(others, other_events), 1.0);
                test.advance(counts, p);
                prop_assert!(!test.log_evidence().is_nan());
            }
        }

        #[test]
        fn without_trials_nothing_is_learnt(ticks in 1u32..200, p in 0.001f64..0.9) {
            let mut test = Sequential::default();
            for _ in 0..ticks {
                test.advance(Counts::default(), p);
            }
            prop_assert!(test.log_evidence().abs() < 1e-9);
        }
    }
}
