//! When frames come: the asset's step, silences, repeated frames, and clocks that jump.

use super::Flag;
use crate::reading::Frame;

/// Newest intervals that say how often an asset reports.
const NEWEST: usize = 256;
/// Intervals whose median is compared with that of those before.
const BLOCK: usize = 16;
/// A silence of so many steps may be a clock that was set.
const LEAP_STEPS: f64 = 10_000.0;

/// The nominal interval times the whole number nearest to what the asset keeps to, at least 1: seconds.
#[must_use]
pub fn step_s(nominal_s: f64, frames: &[Frame]) -> f64 {
    let newest = &frames[frames.len().saturating_sub(NEWEST + 1)..];
    let mut gaps: Vec<f64> = newest.windows(2).map(|pair| elapsed_s(&pair[0], &pair[1])).collect();
    if gaps.is_empty() {
        return nominal_s;
    }
    let middle = (gaps.len() - 1) / 2;
    let (_, median, _) = gaps.select_nth_unstable_by(middle, f64::total_cmp);
    (*median / nominal_s).round().max(1.0) * nominal_s
}

/// Steps without a frame between each frame and the one before it.
pub(super) fn silent_steps(frames: &[Frame], step_s: f64) -> Vec<usize> {
    let silent = |pair: &[Frame]| ((elapsed_s(&pair[0], &pair[1]) / step_s).round() - 1.0).max(0.0) as usize;
    std::iter::once(0).chain(frames.windows(2).map(silent)).take(frames.len()).collect()
}

/// Which frames should have a value of a signal: all, unless it comes less often than every step. Then
/// those that have one, and one for every interval that it is late by more than a half.
pub(super) fn due(seconds: &[f64], values: &[f64], interval_s: f64, step_s: f64) -> Vec<bool> {
    if interval_s < 1.5 * step_s {
        return vec![true; values.len()];
    }
    // Nobody knows when the last one before the record came.
    let mut latest = seconds.first().map_or(0.0, |first| first - 0.5 * interval_s);
    let due = seconds.iter().zip(values).map(|(at, value)| {
        let late = *at >= latest + 1.5 * interval_s;
        if value.is_finite() {
            latest = *at;
        } else if late {
            latest = at - 0.5 * interval_s;
        }
        late || value.is_finite()
    });
    due.collect()
}

/// A frame whose time is not after that of the one before fails. It is suspect when it comes within half a
/// step of it, after so long a silence that the clock may have leapt, or where the interval between frames
/// changes by more than a quarter and stays so.
pub(super) fn clock(frames: &[Frame], step_s: f64) -> Vec<Flag> {
    let gaps: Vec<f64> = frames.windows(2).map(|pair| elapsed_s(&pair[0], &pair[1])).collect();
    let flag = |gap: &f64| match *gap {
        gap if gap <= 0.0 => Flag::Fail,
        gap if gap < 0.5 * step_s || gap > LEAP_STEPS * step_s => Flag::Suspect,
        _ => Flag::Pass,
    };
    let mut flags: Vec<Flag> = std::iter::once(Flag::Pass).chain(gaps.iter().map(flag)).take(frames.len()).collect();
    let medians: Vec<f64> = gaps
        .chunks_exact(BLOCK)
        .map(|block| {
            let mut sorted = block.to_vec();
            *sorted.select_nth_unstable_by(BLOCK / 2, f64::total_cmp).1
        })
        .collect();
    for (block, pair) in medians.windows(2).enumerate() {
        let flag = &mut flags[(block + 1) * BLOCK + 1];
        if pair[0] > 0.0 && (pair[1] / pair[0] - 1.0).abs() > 0.25 && *flag == Flag::Pass {
            *flag = Flag::Suspect;
        }
    }
    flags
}

/// A frame of the same instant as the one before fails; one with the same values is suspect, where at
/// least two signals are `restless`: they hardly ever repeat a value by themselves.
pub(super) fn duplicates(frames: &[Frame], restless: &[usize]) -> Vec<Flag> {
    let same = |a: f64, b: f64| a == b || (a.is_nan() && b.is_nan());
    let flag = |pair: &[Frame]| {
        let (before, frame) = (&pair[0], &pair[1]);
        let known = restless.iter().filter(|signal| frame.values[**signal].is_finite()).count();
        if before.observed_at == frame.observed_at {
            Flag::Fail
        } else if known >= 2 && before.values.iter().zip(&frame.values).all(|(a, b)| same(*a, *b)) {
            Flag::Suspect
        } else {
            Flag::Pass
        }
    };
    std::iter::once(Flag::Pass).chain(frames.windows(2).map(flag)).take(frames.len()).collect()
}

/// Seconds from one frame to another.
pub(super) fn elapsed_s(from: &Frame, to: &Frame) -> f64 {
    (to.observed_at - from.observed_at).num_microseconds().unwrap_or(i64::MAX) as f64 / 1e6
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;

    fn frames(at_ms: impl IntoIterator<Item = i64>) -> Vec<Frame> {
        let frame = |(k, at): (usize, i64)| Frame {
            observed_at: DateTime::from_timestamp_millis(1_790_000_000_000 + at).unwrap(),
            values: vec![k as f64, (k * k) as f64],
            quality: None,
        };
        at_ms.into_iter().enumerate().map(frame).collect()
    }

    fn places(flags: &[Flag], wanted: Flag) -> Vec<usize> {
        (0..flags.len()).filter(|at| flags[*at] == wanted).collect()
    }

    #[test]
    fn a_regular_clock_passes() {
        let jittered = frames((0..200).map(|k| k * 1000 + (k * 37) % 200));
        assert_eq!(step_s(1.0, &jittered), 1.0);
        assert!(clock(&jittered, 1.0).iter().all(|flag| *flag == Flag::Pass));
        assert!(silent_steps(&jittered, 1.0).iter().all(|steps| *steps == 0));
    }

    #[test]
    fn clocks_that_step_back_leap_or_change_pace_are_found() {
        let back = frames([0, 1000, 2000, 1500, 2500]);
        assert_eq!(places(&clock(&back, 1.0), Flag::Fail), [3]);
        let crowded = frames([0, 1000, 2000, 2100, 3000]);
        assert_eq!(places(&clock(&crowded, 1.0), Flag::Suspect), [3]);
        let leap = frames([0, 1000, 90_000_000, 90_001_000]);
        assert_eq!(places(&clock(&leap, 1.0), Flag::Suspect), [2]);
        let slower = frames((0..64).map(|k| k * 1000).chain((1..64).map(|k| 63_000 + k * 2000)));
        assert_eq!(places(&clock(&slower, 1.0), Flag::Suspect).len(), 1);
        assert_eq!(silent_steps(&slower, 1.0).iter().sum::<usize>(), 63);
    }

    #[test]
    fn a_slow_signal_is_due_once_an_interval() {
        let seconds: Vec<f64> = (0..60).map(f64::from).collect();
        let sample = |missed: usize| {
            let value = |at: usize| if at.is_multiple_of(10) && at != missed { 1.0 } else { f64::NAN };
            due(&seconds, &(0..60).map(value).collect::<Vec<_>>(), 10.0, 1.0)
        };
        let places = |due: Vec<bool>| (0..60).filter(|at| due[*at]).collect::<Vec<_>>();
        assert_eq!(places(sample(60)), [0, 10, 20, 30, 40, 50]);
        assert_eq!(places(sample(30)), [0, 10, 20, 35, 40, 50], "the fourth is late, then missing");
        assert_eq!(due(&seconds, &[f64::NAN; 60], 1.0, 1.0), [true; 60]);
    }

    #[test]
    fn repeated_frames_are_found_where_signals_never_repeat() {
        let mut twice = frames((0..10).map(|k| k * 1000));
        twice[5].values = twice[4].values.clone();
        assert_eq!(places(&duplicates(&twice, &[0, 1]), Flag::Suspect), [5]);
        assert!(places(&duplicates(&twice, &[0]), Flag::Suspect).is_empty(), "one signal may stand still");
        twice[5].observed_at = twice[4].observed_at;
        assert_eq!(places(&duplicates(&twice, &[0, 1]), Flag::Fail), [5]);
    }
}
