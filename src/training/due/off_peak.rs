//! Times of day at which jobs that can wait may begin.

use std::str::FromStr;

use chrono::{DateTime, NaiveTime, Utc};

/// A stretch of every day (UTC), from a time up to but not including another; it may lie across midnight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OffPeak {
    from: NaiveTime,
    to: NaiveTime,
}

/// Why a stretch cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no stretch of a day such as 22:00-06:00 (UTC)")]
pub struct NoStretch(String);

impl OffPeak {
    /// Whether an instant lies in it.
    #[must_use]
    pub fn holds(&self, at: DateTime<Utc>) -> bool {
        let time = at.time();
        if self.from < self.to { self.from <= time && time < self.to } else { self.from <= time || time < self.to }
    }
}

impl FromStr for OffPeak {
    type Err = NoStretch;

    fn from_str(text: &str) -> Result<Self, NoStretch> {
        let time = |text: &str| NaiveTime::parse_from_str(text.trim(), "%H:%M").ok();
        text.split_once('-')
            .and_then(|(from, to)| Some(Self { from: time(from)?, to: time(to)? }))
            .filter(|stretch| stretch.from != stretch.to)
            .ok_or_else(|| NoStretch(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stretch_may_lie_across_midnight() {
        let at = |time: &str| format!("2026-11-24T{time}:00Z").parse::<DateTime<Utc>>().unwrap();
        let night: OffPeak = "22:00-06:00".parse().unwrap();
        for (time, held) in
            [("21:59", false), ("22:00", true), ("23:59", true), ("00:00", true), ("05:59", true), ("06:00", false)]
        {
            assert_eq!(night.holds(at(time)), held, "{time}");
        }
        let noon: OffPeak = "12:00 - 13:30".parse().unwrap();
        assert_eq!(["11:59", "12:00", "13:29", "13:30"].map(|time| noon.holds(at(time))), [false, true, true, false]);
    }

    #[test]
    fn what_is_no_stretch_is_refused() {
        for text in ["", "22:00", "22-06", "25:00-06:00", "06:00-06:00", "22:00-06:00-07:00"] {
            assert_eq!(text.parse::<OffPeak>(), Err(NoStretch(text.to_owned())), "{text}");
        }
    }
}
