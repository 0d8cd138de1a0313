//! Tests of QARTOD over one series, with thresholds that the caller gives.
//!
//! IOOS 2020, Manual for Real-Time Quality Control of In-situ Temperature and Salinity Data, version 2.1:
//! gross range (test 4), spike (test 6), rate of change (test 7), flat line (test 8). Flags agree with those
//! of the reference implementation in Python, `ioos-qc`, which a test compares with. A missing value is
//! NaN and has the flag 9.

use std::collections::VecDeque;

use super::Flag;

/// How the spike test measures a spike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reference {
    /// Distance to the mean of both neighbours, as the manual has it. Half of a step counts as a spike on
    /// either side of it.
    Average,
    /// The smaller of the two differences to the neighbours, where they point the same way: a step is no
    /// spike.
    Differential,
}

/// Outside of `fail` a value fails, outside of `suspect` it is suspect.
#[must_use]
pub fn gross_range(values: &[f64], fail: (f64, f64), suspect: Option<(f64, f64)>) -> Vec<Flag> {
    let outside = |value: f64, (low, high): (f64, f64)| value < low || value > high;
    let flag = |value: &f64| match *value {
        value if value.is_nan() => Flag::Missing,
        value if outside(value, fail) => Flag::Fail,
        value if suspect.is_some_and(|span| outside(value, span)) => Flag::Suspect,
        _ => Flag::Pass,
    };
    values.iter().map(flag).collect()
}

/// Above `suspect` or `fail`, in the unit of the values, the height of a spike is flagged. The first and
/// the last value, and those beside a missing one, are not evaluated.
#[must_use]
pub fn spike(values: &[f64], suspect: f64, fail: f64, reference: Reference) -> Vec<Flag> {
    let flag = |(at, value): (usize, &f64)| {
        if value.is_nan() {
            return Flag::Missing;
        }
        match spike_height(values, at, reference) {
            None => Flag::NotEvaluated,
            Some(height) => graded(height, suspect, fail),
        }
    };
    values.iter().enumerate().map(flag).collect()
}

/// How far a value stands out from both of its neighbours; `None` where one is missing.
#[must_use]
pub fn spike_height(values: &[f64], at: usize, reference: Reference) -> Option<f64> {
    let (before, after) = (*values.get(at.checked_sub(1)?)?, *values.get(at + 1)?);
    let (rise, fall) = (values[at] - before, values[at] - after);
    let height = match reference {
        Reference::Average => (values[at] - f64::midpoint(before, after)).abs(),
        Reference::Differential if rise * fall > 0.0 => rise.abs().min(fall.abs()),
        Reference::Differential if rise.is_nan() || fall.is_nan() => f64::NAN,
        Reference::Differential => 0.0,
    };
    height.is_finite().then_some(height)
}

/// Above `suspect` or `fail`, in the unit of the values per second, a change since the value before is
/// flagged. The first value passes; one behind a missing one is not evaluated.
#[must_use]
pub fn rate_of_change(values: &[f64], seconds: &[f64], suspect: f64, fail: Option<f64>) -> Vec<Flag> {
    let mut flags: Vec<Flag> = Vec::with_capacity(values.len());
    for (at, value) in values.iter().enumerate() {
        let rate = at.checked_sub(1).map_or(0.0, |before| {
            let elapsed = seconds[at] - seconds[before];
            ((value - values[before]) / elapsed).abs()
        });
        flags.push(match rate {
            _ if value.is_nan() => Flag::Missing,
            rate if rate.is_nan() => Flag::NotEvaluated,
            rate => graded(rate, suspect, fail.unwrap_or(f64::INFINITY)),
        });
    }
    flags
}

/// A value is flagged where it and the `suspect` (or `fail`) values before it lie within less than
/// `tolerance`. Missing values do not break a flat line.
#[must_use]
pub fn flat_line(values: &[f64], suspect: usize, fail: usize, tolerance: f64) -> Vec<Flag> {
    let mut flags: Vec<Flag> =
        values.iter().map(|value| if value.is_nan() { Flag::Missing } else { Flag::Pass }).collect();
    for (before, flag) in [(suspect, Flag::Suspect), (fail, Flag::Fail)] {
        for (at, range) in trailing_ranges(values, before) {
            if range < tolerance && flags[at] != Flag::Missing {
                flags[at] = flag;
            }
        }
    }
    flags
}

/// The range of every value together with the `before` ones in front of it (monotonic queues, Lemire 2006).
fn trailing_ranges(values: &[f64], before: usize) -> Vec<(usize, f64)> {
    let (mut highest, mut lowest) = (VecDeque::<usize>::new(), VecDeque::<usize>::new());
    let mut ranges = Vec::new();
    for (at, value) in values.iter().enumerate() {
        for (queue, sign) in [(&mut highest, 1.0), (&mut lowest, -1.0)] {
            queue.pop_front_if(|first| *first + before < at);
            if !value.is_nan() {
                while queue.pop_back_if(|last| sign * values[*last] <= sign * value).is_some() {}
                queue.push_back(at);
            }
        }
        if let (true, Some(high), Some(low)) = (at >= before, highest.front(), lowest.front()) {
            ranges.push((at, values[*high] - values[*low]));
        }
    }
    ranges
}

fn graded(size: f64, suspect: f64, fail: f64) -> Flag {
    match size {
        size if size > fail => Flag::Fail,
        size if size > suspect => Flag::Suspect,
        _ => Flag::Pass,
    }
}
