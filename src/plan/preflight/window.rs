//! The hours in which releases are allowed (runbook Scenario 3, "Production Window"): by the clocks of a time zone, over midnight
//! too. Pure.

use jiff::{Timestamp, ZonedDateTime, tz::TimeZone};

use super::{Finding, words};
use crate::config::{Preflight, Window};

/// Days that are looked ahead for the next opening: around a change of clocks a window can be missing for a day.
const DAYS: usize = 3;

/// The row's line.
pub(super) fn line(asked: &Preflight) -> String {
    asked.window.as_ref().map_or_else(|| "Off-peak time".to_owned(), |window| format!("Off-peak time ({})", shown(window)))
}

fn shown(window: &Window) -> String {
    format!("{} - {} {}", window.from.strftime("%H:%M"), window.to.strftime("%H:%M"), window.zone)
}

/// Whether a release is allowed at `now`.
pub(super) fn judge(asked: &Preflight, now: Timestamp) -> Finding {
    let Some(window) = &asked.window else { return Finding::off("preflight.window") };
    let Ok(zone) = TimeZone::get(&window.zone) else {
        return Finding::failed(format!("the time zone {} is not known here", window.zone), "correct `preflight.window.zone`");
    };
    let local = now.to_zoned_datetime(zone);
    let clock = local.strftime("%H:%M").to_string();
    if is_open(window, &local) {
        return Finding::passed(format!("it is {clock} {}, within {}", window.zone, shown(window)));
    }
    let evidence = format!("it is {clock} {}, outside of {}", window.zone, shown(window));
    match next_opening(window, &local) {
        Some(opening) => {
            let wait = words(opening.timestamp().duration_since(now));
            let mend = format!("wait for {} {} (in {wait}) and run the workflow again", opening.strftime("%Y-%m-%d %H:%M"), window.zone);
            Finding::failed(evidence, mend)
        }
        None => Finding::failed(evidence, "correct `preflight.window`"),
    }
}

/// Whether the window is open, by the clock on the wall: an hour that the clocks go through twice is in it twice.
fn is_open(window: &Window, local: &ZonedDateTime) -> bool {
    let clock = local.time();
    if window.from < window.to { window.from <= clock && clock < window.to } else { window.from <= clock || clock < window.to }
}

/// When it opens next, after `local`, at which it is closed: at its beginning on one of the next days or, where the clocks are
/// changed into it, at that change.
fn next_opening(window: &Window, local: &ZonedDateTime) -> Option<ZonedDateTime> {
    let zone = local.time_zone();
    let days = local.date().series(jiff::Span::new().days(1)).take(DAYS);
    let beginnings = days.flat_map(|day| {
        let beginning = zone.to_ambiguous_zoned_datetime(day.to_datetime(window.from));
        [beginning.clone().earlier(), beginning.later()].into_iter().flatten()
    });
    let changes = zone.following(local.timestamp()).take(DAYS).map(|change| change.timestamp().to_zoned_datetime(zone.clone()));
    beginnings.chain(changes).filter(|opening| opening > local && is_open(window, opening)).min()
}

#[cfg(test)]
mod tests {
    use jiff::{SignedDuration, civil};
    use proptest::prelude::*;

    use super::*;
    use crate::plan::preflight::finding::Verdict;

    fn window(from: &str, to: &str, zone: &str) -> Window {
        Window { from: from.parse().expect("a time"), to: to.parse().expect("a time"), zone: zone.into() }
    }

    fn at(window: Window, now: &str) -> Finding {
        let off =
            Preflight { staging_soak: None, window: Some(window), approvals: None, checks: None, code_scanning: None, rules: Vec::new() };
        judge(&off, now.parse().expect("a timestamp"))
    }

    fn is_allowed(window: Window, now: &str) -> bool {
        at(window, now).verdict == Verdict::Passed
    }

    #[test]
    fn the_end_does_not_belong_to_it() {
        let usual = || window("02:00", "06:00", "UTC");
        let allowed = ["2026-11-25T02:00:00Z", "2026-11-25T05:59:59.999Z"];
        let refused = ["2026-11-25T01:59:59.999Z", "2026-11-25T06:00:00Z", "2026-11-25T14:00:00Z"];
        assert!(allowed.iter().all(|now| is_allowed(usual(), now)));
        assert!(refused.iter().all(|now| !is_allowed(usual(), now)));
    }

    #[test]
    fn it_goes_over_midnight_and_by_the_zones_own_clocks() {
        let night = || window("22:00", "04:00", "America/New_York");
        // 22:00 in New York is 03:00 UTC in winter and 02:00 UTC in summer.
        assert!(is_allowed(night(), "2026-01-15T03:00:00Z") && !is_allowed(night(), "2026-01-15T02:59:00Z"));
        assert!(is_allowed(night(), "2026-07-15T02:00:00Z") && !is_allowed(night(), "2026-07-15T01:59:00Z"));
        assert!(is_allowed(night(), "2026-01-15T08:59:00Z") && !is_allowed(night(), "2026-01-15T09:00:00Z"));
    }

    #[test]
    fn hours_that_the_clocks_leave_out_or_repeat() {
        let night = || window("02:00", "03:00", "Europe/Berlin");
        // On 2026-03-29 the clocks go from 02:00 to 03:00: that night there is no window.
        let night_of_change = at(night(), "2026-03-29T00:30:00Z");
        let Verdict::Failed { mend } = night_of_change.verdict else { panic!("closed at 01:30") };
        assert!(mend.contains("2026-03-30 02:00 Europe/Berlin (in 23 h 30 min)"), "{mend}");
        assert!(!is_allowed(night(), "2026-03-29T01:00:00Z"));
        // On 2026-10-25 they go through 02:00 to 03:00 twice.
        for now in ["2026-10-25T00:00:00Z", "2026-10-25T00:59:59Z", "2026-10-25T01:00:00Z", "2026-10-25T01:59:59Z"] {
            assert!(is_allowed(night(), now), "{now}");
        }
        assert!(!is_allowed(night(), "2026-10-25T02:00:00Z"));
    }

    #[test]
    fn what_would_mend_it_is_the_next_opening() {
        let Verdict::Failed { mend } = at(window("02:00", "06:00", "UTC"), "2026-11-25T14:03:00Z").verdict else { panic!("closed") };
        assert_eq!(mend, "wait for 2026-11-26 02:00 UTC (in 11 h 57 min) and run the workflow again");
        let Verdict::Failed { mend } = at(window("02:00", "06:00", "UTC"), "2026-11-25T01:00:00Z").verdict else { panic!("closed") };
        assert!(mend.starts_with("wait for 2026-11-25 02:00 UTC (in 1 h)"), "{mend}");
    }

    const ZONES: [&str; 6] = ["UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe", "Pacific/Apia"];

    proptest! {
        /// Whatever the window, the zone and the moment: open and closed are told by the wall's clock, and the next opening is the
        /// first minute at which it is open again.
        #[test]
        fn it_opens_when_it_says(
            from in 0i8..24, to in 0i8..24, half in prop::bool::ANY, zone in 0..ZONES.len(), seconds in 1_600_000_000i64..1_900_000_000,
        ) {
            prop_assume!(from != to);
            let from = civil::Time::new(from, if half { 30 } else { 0 }, 0, 0).expect("a time");
            let to = civil::Time::new(to, if half { 30 } else { 0 }, 0, 0).expect("a time");
            let window = Window { from, to, zone: ZONES[zone].into() };
            let local = Timestamp::from_second(seconds - seconds % 60).expect("a time").to_zoned_datetime(TimeZone::get(ZONES[zone]).expect("a zone"));
            if is_open(&window, &local) {
                return Ok(());
            }
            let opening = next_opening(&window, &local).expect("it opens within days");
            prop_assert!(opening > local && is_open(&window, &opening));
            let mut moment = local.timestamp();
            let step = SignedDuration::from_mins(15);
            while moment + step < opening.timestamp() {
                moment += step;
                prop_assert!(!is_open(&window, &moment.to_zoned_datetime(local.time_zone().clone())), "{} before {}", moment, opening);
            }
        }
    }
}
