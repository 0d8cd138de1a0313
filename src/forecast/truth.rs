//! What was really measured at the steps of a forecast.
//!
//! One rule for everything that compares: a step's value is that of the newest frame within half a
//! step of its instant, if that reading is finite and not bad.

use chrono::{DateTime, TimeDelta, Utc};

use crate::reading::{Frame, QUALITY_BAD};

/// What was measured of a signal at some instants; NaN where nothing was, within half a step.
/// Frames ascend.
pub(super) fn truths(instants: &[DateTime<Utc>], frames: &[Frame], signal: usize, step: TimeDelta) -> Vec<f64> {
    let half = step / 2;
    let trusted = |frame: &Frame| {
        let quality = frame.quality.as_ref().and_then(|quality| quality.get(signal)).copied();
        quality != Some(QUALITY_BAD) && frame.values.get(signal).is_some_and(|value| value.is_finite())
    };
    let at = |instant: &DateTime<Utc>| {
        let until = frames.partition_point(|frame| frame.observed_at <= *instant + half);
        let near = frames[..until].iter().rev().take_while(|frame| frame.observed_at > *instant - half);
        near.into_iter().find(|frame| trusted(frame)).map_or(f64::NAN, |frame| frame.values[signal])
    };
    instants.iter().map(at).collect()
}

/// Time between two steps of a forecast from a state.
pub(super) fn step(timestamps: &[DateTime<Utc>], state_at: DateTime<Utc>) -> TimeDelta {
    match timestamps {
        [first, second, ..] => *second - *first,
        [first] => *first - state_at,
        [] => TimeDelta::zero(),
    }
}
