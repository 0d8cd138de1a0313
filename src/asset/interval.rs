//! Durations as ISO 8601 writes them: `PT4S`, `PT0.5S`, `PT1M30S`, `P1D`.

use std::fmt;
use std::str::FromStr;

use chrono::TimeDelta;
use serde::{Deserialize, Serialize};

const SECOND: i64 = 1_000_000;
const MINUTE: i64 = 60 * SECOND;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;
/// A hundred years: enough for any step, and far from overflow.
const MAX: i64 = 36_525 * DAY;

/// A positive duration in whole microseconds. Months and years have no fixed length and are not
/// taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Interval(i64);

/// What is wrong with a text that should be a duration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("is not a positive ISO 8601 duration of days, hours, minutes and seconds such as PT4S, PT0.5S, PT1M or P1D")]
pub struct NotAnInterval;

impl Interval {
    /// A duration in microseconds; `None` unless it is positive and at most a hundred years.
    #[must_use]
    pub const fn from_micros(micros: i64) -> Option<Self> {
        if micros > 0 && micros <= MAX { Some(Self(micros)) } else { None }
    }

    /// In microseconds.
    #[must_use]
    pub const fn micros(self) -> i64 {
        self.0
    }

    /// In seconds.
    #[must_use]
    pub fn seconds(self) -> f64 {
        self.0 as f64 / SECOND as f64
    }

    /// For people: `2 minutes`, `1 day 6 hours`, `0.5 seconds`.
    #[must_use]
    pub fn in_words(self) -> String {
        let mut rest = self.0;
        let mut parts = Vec::new();
        for (unit, name) in [(DAY, "day"), (HOUR, "hour"), (MINUTE, "minute")] {
            let count = rest / unit;
            rest %= unit;
            if count > 0 {
                parts.push(format!("{count} {name}{}", if count == 1 { "" } else { "s" }));
            }
        }
        if rest > 0 {
            let (whole, fraction) = (rest / SECOND, format!("{:06}", rest % SECOND));
            let fraction = fraction.trim_end_matches('0');
            let point = if fraction.is_empty() { "" } else { "." };
            parts.push(format!("{whole}{point}{fraction} second{}", if rest == SECOND { "" } else { "s" }));
        }
        parts.join(" ")
    }

    /// As chrono has it.
    #[must_use]
    pub const fn delta(self) -> TimeDelta {
        TimeDelta::microseconds(self.0)
    }
}

impl Default for Interval {
    /// One second.
    fn default() -> Self {
        Self(SECOND)
    }
}

impl FromStr for Interval {
    type Err = NotAnInterval;

    fn from_str(text: &str) -> Result<Self, NotAnInterval> {
        let body = text.strip_prefix('P').ok_or(NotAnInterval)?;
        let (date, time) = match body.split_once('T') {
            // A T must be followed by something.
            Some((_, "")) => return Err(NotAnInterval),
            Some((date, time)) => (date, time),
            None => (body, ""),
        };
        let date = parts(date, &[('D', DAY)])?;
        let time = parts(time, &[('H', HOUR), ('M', MINUTE), ('S', SECOND)])?;
        date.checked_add(time).and_then(Self::from_micros).ok_or(NotAnInterval)
    }
}

/// Sums `<number><unit>` pairs whose units come in the given order, each at most once.
fn parts(mut text: &str, units: &[(char, i64)]) -> Result<i64, NotAnInterval> {
    let mut sum = 0_i64;
    for (unit, micros) in units {
        let Some((number, rest)) = text.split_once(*unit) else { continue };
        sum = sum.checked_add(scaled(number, *micros)?).ok_or(NotAnInterval)?;
        text = rest;
    }
    if text.is_empty() { Ok(sum) } else { Err(NotAnInterval) }
}

/// A decimal number times a unit, exactly; only whole microseconds are taken.
fn scaled(number: &str, unit: i64) -> Result<i64, NotAnInterval> {
    let (whole, fraction) = number.split_once(['.', ',']).unwrap_or((number, "0"));
    let digits = |text: &str| !text.is_empty() && text.len() <= 12 && text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(fraction) {
        return Err(NotAnInterval);
    }
    let parse = |text: &str| text.parse::<i128>().map_err(|_| NotAnInterval);
    let scale = 10_i128.pow(u32::try_from(fraction.len()).map_err(|_| NotAnInterval)?);
    let product = (parse(whole)? * scale + parse(fraction)?) * i128::from(unit);
    if product % scale != 0 {
        return Err(NotAnInterval);
    }
    i64::try_from(product / scale).map_err(|_| NotAnInterval)
}

impl fmt::Display for Interval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.0;
        let mut take = |unit: i64| {
            let count = rest / unit;
            rest %= unit;
            count
        };
        let (days, hours, minutes, seconds, micros) = (take(DAY), take(HOUR), take(MINUTE), take(SECOND), take(1));
        f.write_str("P")?;
        if days > 0 {
            write!(f, "{days}D")?;
        }
        if hours + minutes + seconds + micros > 0 {
            f.write_str("T")?;
        }
        for (count, unit) in [(hours, 'H'), (minutes, 'M')] {
            if count > 0 {
                write!(f, "{count}{unit}")?;
            }
        }
        if micros > 0 {
            let fraction = format!("{micros:06}");
            write!(f, "{seconds}.{}S", fraction.trim_end_matches('0'))?;
        } else if seconds > 0 {
            write!(f, "{seconds}S")?;
        }
        Ok(())
    }
}

impl TryFrom<String> for Interval {
    type Error = NotAnInterval;

    fn try_from(text: String) -> Result<Self, NotAnInterval> {
        text.parse()
    }
}

impl From<Interval> for String {
    fn from(interval: Interval) -> Self {
        interval.to_string()
    }
}

impl utoipa::PartialSchema for Interval {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::Schema> {
        utoipa::openapi::ObjectBuilder::new()
            .schema_type(utoipa::openapi::schema::Type::String)
            .format(Some(utoipa::openapi::SchemaFormat::Custom("duration".to_owned())))
            .description(Some("An ISO 8601 duration of days, hours, minutes and seconds, in whole microseconds."))
            .examples(["PT4S"])
            .into()
    }
}

impl utoipa::ToSchema for Interval {}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn durations_are_read_and_written() {
        for (text, seconds) in [
            ("PT4S", 4.0),
            ("PT0.5S", 0.5),
            ("PT1M30S", 90.0),
            ("PT1H", 3600.0),
            ("P1D", 86400.0),
            ("P1DT0.000001S", 86_400.000_001),
        ] {
            let interval: Interval = text.parse().unwrap();
            assert!((interval.seconds() - seconds).abs() < 1e-9, "{text}");
            assert_eq!(interval.to_string(), text);
        }
        assert_eq!("PT0,25M".parse::<Interval>().unwrap().to_string(), "PT15S");
        assert_eq!("PT90S".parse::<Interval>().unwrap().to_string(), "PT1M30S");
    }

    #[test]
    fn people_read_words() {
        for (text, words) in [
            ("PT2M", "2 minutes"),
            ("PT1S", "1 second"),
            ("PT0.5S", "0.5 seconds"),
            ("PT1M30.25S", "1 minute 30.25 seconds"),
            ("P2DT1H", "2 days 1 hour"),
            ("PT86461S", "1 day 1 minute 1 second"),
        ] {
            assert_eq!(text.parse::<Interval>().unwrap().in_words(), words, "{text}");
        }
    }

    #[test]
    fn other_texts_are_refused() {
        for text in [
            "",
            "P",
            "PT",
            "P1DT",
            "4S",
            "PT4",
            "PTS",
            "PT-4S",
            "-PT4S",
            "PT0S",
            "P1M",
            "P1Y",
            "P1W",
            "PT1S1M",
            "PT1S1S",
            "pt4s",
            "PT1.S",
            "PT.5S",
            "PT1e3S",
            "PT0.0000001S",
            "P36526D",
            "PT99999999999999999999S",
            "PT4S ",
            "PT4٣S",
        ] {
            assert!(text.parse::<Interval>().is_err(), "{text:?} was taken");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(micros in 1..=MAX) {
            let interval = Interval::from_micros(micros).unwrap();
            prop_assert_eq!(interval.to_string().parse::<Interval>().unwrap(), interval);
        }

        #[test]
        fn no_text_panics(text in "P?[0-9.,DTHMS-]{0,12}|.*") {
            prop_assert!(text.parse::<Interval>().is_err() || text.starts_with('P'));
        }
    }
}
