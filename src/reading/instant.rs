//! Instants as they arrive: RFC 3339 or epoch milliseconds, kept in whole microseconds.
//!
//! Exact or refused: an instant without an offset, or finer than Postgres keeps, would collapse or
//! shift readings silently.

use chrono::{DateTime, NaiveDate, Utc};

/// Numbers below this are taken for epoch seconds: as milliseconds they would lie before March 1973.
const SMALLEST_MILLISECONDS: f64 = 1e11;
/// Milliseconds beyond the year 9999.
const LARGEST_MILLISECONDS: f64 = 253_402_300_800_000.0;

/// Why a text or number is not an instant.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum InstantError {
    /// Not of the form of RFC 3339.
    #[error(
        "not an instant: write RFC 3339 with an offset, such as 2026-11-24T08:00:00Z, or epoch milliseconds as a number"
    )]
    Malformed,
    /// Date and time without an offset.
    #[error("the offset from UTC is missing: end the instant with Z or with one like +01:00")]
    NoOffset,
    /// More than six digits after the point.
    #[error("finer than a microsecond: at most six digits after the point are kept")]
    TooFine,
    /// A day or time that no calendar or clock has.
    #[error("there is no such day or time")]
    Impossible,
    /// A number that looks like seconds.
    #[error("seconds? a number is taken as epoch milliseconds: multiply by 1000 ({0} would be {ms})", ms = .0 * 1000.0)]
    Seconds(f64),
    /// A number beyond the year 9999.
    #[error("too large for epoch milliseconds; microseconds or nanoseconds?")]
    TooLarge,
}

/// Microseconds since 1970 of an RFC 3339 text. Lower-case `t` and `z` and a blank instead of the
/// `T` are fine; a leap second becomes the last microsecond of its minute.
pub fn parse(text: &str) -> Result<i64, InstantError> {
    let bytes = text.as_bytes();
    let number = |from: usize, to: usize| digits(bytes.get(from..to)?);
    let separator = |at: usize, wanted: &[u8]| bytes.get(at).is_some_and(|byte| wanted.contains(byte));
    let shaped =
        separator(4, b"-") && separator(7, b"-") && separator(10, b"Tt ") && separator(13, b":") && separator(16, b":");
    let parts = (number(0, 4), number(5, 7), number(8, 10), number(11, 13), number(14, 16), number(17, 19));
    let (true, (Some(year), Some(month), Some(day), Some(hour), Some(minute), Some(second))) = (shaped, parts) else {
        return Err(InstantError::Malformed);
    };

    let mut rest = bytes.get(19..).unwrap_or_default();
    let mut micros = 0;
    if let Some((b'.', fraction)) = rest.split_first() {
        let count = fraction.iter().take_while(|byte| byte.is_ascii_digit()).count();
        match count {
            0 => return Err(InstantError::Malformed),
            1..=6 => {}
            _ => return Err(InstantError::TooFine),
        }
        micros = i64::from(digits(&fraction[..count]).unwrap_or_default()) * 10_i64.pow(6 - count as u32);
        rest = &fraction[count..];
    }
    let offset_minutes = match rest {
        [] => return Err(InstantError::NoOffset),
        [b'Z' | b'z'] => 0,
        [sign @ (b'+' | b'-'), hours @ .., b':', tens, ones] if hours.len() == 2 => {
            let (Some(hours), Some(minutes)) = (digits(hours), digits(&[*tens, *ones])) else {
                return Err(InstantError::Malformed);
            };
            if hours > 23 || minutes > 59 {
                return Err(InstantError::Impossible);
            }
            let minutes = i64::from(hours * 60 + minutes);
            if *sign == b'-' { -minutes } else { minutes }
        }
        _ => return Err(InstantError::Malformed),
    };

    let date = NaiveDate::from_ymd_opt(year as i32, month, day).ok_or(InstantError::Impossible)?;
    if hour > 23 || minute > 59 || second > 60 {
        return Err(InstantError::Impossible);
    }
    let minutes = i64::from(date.to_epoch_days()) * 1440 + i64::from(hour * 60 + minute) - offset_minutes;
    if second == 60 {
        // Leap seconds are put in at the end of a day of UTC, nowhere else.
        return if minutes.rem_euclid(1440) == 1439 {
            Ok((minutes + 1) * 60_000_000 - 1)
        } else {
            Err(InstantError::Impossible)
        };
    }
    Ok((minutes * 60 + i64::from(second)) * 1_000_000 + micros)
}

/// Microseconds since 1970 of epoch milliseconds.
pub fn from_epoch_ms(milliseconds: f64) -> Result<i64, InstantError> {
    if milliseconds.abs() < SMALLEST_MILLISECONDS {
        return Err(InstantError::Seconds(milliseconds));
    }
    if milliseconds >= LARGEST_MILLISECONDS {
        return Err(InstantError::TooLarge);
    }
    Ok((milliseconds * 1000.0).round() as i64)
}

/// An instant from a query parameter: RFC 3339, or epoch milliseconds in digits.
pub fn from_text(text: &str) -> Result<DateTime<Utc>, InstantError> {
    let micros = match text.parse::<f64>() {
        Ok(number) if number.is_finite() => from_epoch_ms(number)?,
        // A form-decoded plus sign arrives as a blank.
        _ => parse(text).or_else(|error| match text.rsplit_once(' ') {
            Some((head, offset)) if head.len() > 10 => parse(&format!("{head}+{offset}")),
            _ => Err(error),
        })?,
    };
    Ok(instant(micros))
}

/// The instant of microseconds since 1970.
#[must_use]
pub fn instant(micros: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_micros(micros).unwrap_or(DateTime::UNIX_EPOCH)
}

/// RFC 3339 in UTC, with a fraction only where there is one.
#[must_use]
pub fn text(instant: DateTime<Utc>) -> String {
    instant.to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true)
}

/// A number of only ASCII digits; few enough not to overflow.
fn digits(bytes: &[u8]) -> Option<u32> {
    bytes.iter().try_fold(0_u32, |sum, byte| byte.is_ascii_digit().then(|| sum * 10 + u32::from(byte - b'0')))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(given: &str) -> Result<String, InstantError> {
        parse(given).map(|micros| text(instant(micros)))
    }

    #[test]
    fn what_rfc_3339_allows_is_read_exactly() {
        for (given, expected) in [
            ("2026-11-24T08:00:00Z", "2026-11-24T08:00:00Z"),
            ("2026-11-24t08:00:00z", "2026-11-24T08:00:00Z"),
            ("2026-11-24 08:00:00.25+01:30", "2026-11-24T06:30:00.250Z"),
            ("2026-02-28T23:59:59.000001-00:00", "2026-02-28T23:59:59.000001Z"),
            ("2016-12-31T23:59:60Z", "2016-12-31T23:59:59.999999Z"),
            ("2017-01-01T00:59:60.5+01:00", "2016-12-31T23:59:59.999999Z"),
            ("1969-12-31T23:59:59Z", "1969-12-31T23:59:59Z"),
        ] {
            assert_eq!(shown(given).as_deref(), Ok(expected), "{given}");
        }
    }

    #[test]
    fn anything_else_is_refused_with_its_reason() {
        use InstantError::{Impossible, Malformed, NoOffset, TooFine};
        for (given, expected) in [
            ("", Malformed),
            ("2026-11-24", Malformed),
            ("2026-11-24T08:00Z", Malformed),
            ("2026-11-24T08:00:00", NoOffset),
            ("2026-11-24T08:00:00.5", NoOffset),
            ("2026-11-24T08:00:00.Z", Malformed),
            ("2026-11-24T08:00:00.1234567Z", TooFine),
            ("2026-11-24T08:00:00.123456789012345678901234567890Z", TooFine),
            ("2026-11-24T24:00:00Z", Impossible),
            ("2026-11-24T08:00:60Z", Impossible),
            ("2026-02-30T08:00:00Z", Impossible),
            ("2026-11-24T08:00:00+24:00", Impossible),
            ("2026-11-24T08:00:00+01", Malformed),
            ("2026-11-24T08:00:00+0100", Malformed),
            ("-0001-11-24T08:00:00Z", Malformed),
            ("10000-11-24T08:00:00Z", Malformed),
            ("２026-11-24T08:00:00Z", Malformed),
            ("2026-11-24T08:00:00Zjunk", Malformed),
        ] {
            assert_eq!(parse(given), Err(expected), "{given}");
        }
    }

    #[test]
    fn numbers_are_milliseconds_and_seconds_get_a_hint() {
        assert_eq!(from_epoch_ms(1_764_000_000_000.0), Ok(1_764_000_000_000_000));
        let hint = from_epoch_ms(1_764_000_000.0).expect_err("seconds").to_string();
        assert!(hint.starts_with("seconds?") && hint.contains("1764000000000"), "{hint}");
        assert_eq!(from_epoch_ms(1.764e18), Err(InstantError::TooLarge));
        assert_eq!(from_text("2026-11-24T08:00:00 01:00").map(text).as_deref(), Ok("2026-11-24T07:00:00Z"));
    }
}
