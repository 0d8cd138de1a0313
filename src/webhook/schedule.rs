//! How often a delivery is attempted, how long it waits in between, and when a receiver is given up. Pure.

use chrono::{DateTime, TimeDelta, Utc};

/// Seconds between attempts: 5 s, 30 s, 2 min, 10 min, 30 min, 1 h, 3 h, 6 h, 12 h; together not quite a day.
const WAITS_S: [i64; 9] = [5, 30, 120, 600, 1_800, 3_600, 10_800, 21_600, 43_200];
/// A wait is longer by up to this share of itself, so that those that failed together do not come back together.
const JITTER: f64 = 0.2;
/// Longest wait that a receiver can ask for with Retry-After.
const MAX_ASKED_S: i64 = 43_200;
/// For so many days nothing must have worked before a receiver is switched off,
pub(super) const PATIENCE_DAYS: i64 = 3;
/// and so many attempts in a row must have failed.
pub(super) const PATIENCE_FAILURES: i32 = 20;

/// How long a delivery waits after so many attempts; `None` when there is no other. `luck` lies between 0 and 1;
/// `asked_s` is what the receiver asked for.
pub(super) fn wait(attempts: i32, luck: f64, asked_s: Option<i64>) -> Option<TimeDelta> {
    let place = usize::try_from(attempts - 1).unwrap_or_default();
    let wait = *WAITS_S.get(place)? as f64 * (1.0 + JITTER * luck);
    let asked = asked_s.unwrap_or_default().clamp(0, MAX_ASKED_S) as f64;
    Some(TimeDelta::milliseconds((wait.max(asked) * 1e3) as i64))
}

/// Whether a receiver that failed so often since an instant is to be switched off.
pub(super) fn is_hopeless(failures: i32, since: DateTime<Utc>, now: DateTime<Utc>) -> bool {
    failures >= PATIENCE_FAILURES && now - since >= TimeDelta::days(PATIENCE_DAYS)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Attempts of a delivery; then it has failed.
    const MAX_ATTEMPTS: i32 = WAITS_S.len() as i32 + 1;

    #[test]
    fn waits_grow_and_end() {
        let waits: Vec<i64> = (1..MAX_ATTEMPTS).map(|n| wait(n, 0.0, None).unwrap().num_seconds()).collect();
        assert_eq!(waits, WAITS_S);
        assert!(waits.windows(2).all(|pair| pair[1] >= 2 * pair[0]), "{waits:?}");
        assert!(TimeDelta::seconds(waits.iter().sum()) < TimeDelta::hours(24));
        assert_eq!(wait(MAX_ATTEMPTS, 0.0, Some(5)), None);
    }

    #[test]
    fn luck_spreads_them_and_the_receiver_may_ask_for_longer() {
        assert_eq!(wait(3, 1.0, None), Some(TimeDelta::seconds(144)));
        assert!(wait(3, 0.5, None) > wait(3, 0.4, None));
        assert_eq!(wait(1, 0.0, Some(60)), Some(TimeDelta::seconds(60)));
        assert_eq!(wait(2, 0.0, Some(1)), Some(TimeDelta::seconds(30)), "not for shorter");
        assert_eq!(wait(1, 0.0, Some(i64::MAX)), Some(TimeDelta::hours(12)));
        assert_eq!(wait(1, 0.0, Some(-7)), Some(TimeDelta::seconds(5)));
    }

    #[test]
    fn both_days_and_failures_are_needed() {
        let now = DateTime::from_timestamp(1_700_000_000, 0).unwrap();
        let (long, short) = (now - TimeDelta::days(3), now - TimeDelta::hours(71));
        assert!(is_hopeless(20, long, now));
        assert!(!is_hopeless(19, long, now) && !is_hopeless(1_000, short, now));
    }
}
