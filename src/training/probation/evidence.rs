//! What a promotion may stand on after a roll-back: not on the evidence that promoted what was rolled back.

use chrono::{DateTime, Utc};

use crate::training::DataCard;

/// Share of what a job takes that judges its candidate: the newest.
const HOLDOUT: f64 = 0.2;
/// Share of that which must be newer than what promoted the version that was rolled back.
const FRESH: f64 = 0.5;

/// A version that was rolled back by what it did while it served.
#[derive(Clone, Debug, PartialEq, sqlx::FromRow)]
pub struct RolledBack {
    /// Its number.
    pub version: i32,
    /// SHA-256 of its weights.
    pub sha256: Vec<u8>,
    /// Instant of the last frame that it was judged on before it served.
    pub judged_until: DateTime<Utc>,
}

/// Why a candidate should not serve after all: its weights were rolled back, or it was judged on mostly
/// what had promoted a version that was.
#[must_use]
pub fn stale(rolled_back: &[RolledBack], sha256: &[u8], data: &DataCard) -> Option<String> {
    if let Some(same) = rolled_back.iter().find(|one| one.sha256 == sha256) {
        return Some(format!(
            "it is the same as version {}, which was rolled back, so it was not promoted",
            same.version
        ));
    }
    let newest = rolled_back.iter().max_by_key(|one| one.judged_until)?;
    let fresh = data.first.zip(data.last).map_or(0.0, |(first, last)| {
        let holdout = (last - first).as_seconds_f64() * HOLDOUT;
        (last - newest.judged_until).as_seconds_f64() / holdout.max(1e-6)
    });
    (fresh < FRESH).then(|| {
        format!(
            "version {} was promoted on the same readings and rolled back: {:.0} % of what judged this one is newer, at \
             least {:.0} % is needed, so it was not promoted",
            newest.version,
            100.0 * fresh.max(0.0),
            100.0 * FRESH
        )
    })
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;

    fn card(last_s: i64) -> DataCard {
        let begin = DateTime::from_timestamp(1_790_000_000, 0).unwrap();
        DataCard {
            first: Some(begin + TimeDelta::seconds(last_s - 10_000)),
            last: Some(begin + TimeDelta::seconds(last_s)),
            ..DataCard::default()
        }
    }

    #[test]
    fn what_was_rolled_back_does_not_come_again_by_the_same_evidence() {
        let judged_until = DateTime::from_timestamp(1_790_000_000, 0).unwrap();
        let gone = [RolledBack { version: 3, sha256: vec![1], judged_until }];
        let stale = |sha256: u8, card: &DataCard| stale(&gone, &[sha256], card);
        assert!(stale(1, &card(9_000)).unwrap().starts_with("it is the same as version 3"));
        assert!(stale(2, &card(500)).unwrap().contains("25 % of what judged this one is newer"));
        assert!(stale(2, &card(-5)).unwrap().contains(" 0 % of what"));
        assert!(stale(2, &DataCard::default()).is_some(), "nothing is known of it");
        assert_eq!(stale(2, &card(1_001)), None);
        assert_eq!(super::stale(&[], &[1], &DataCard::default()), None, "nothing was rolled back");
    }
}
