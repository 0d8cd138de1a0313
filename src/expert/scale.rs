//! The normaliser of one signal: what the bank sees has mean 0 and deviation 1 over the context.
//!
//! Always true: only context statistics (and a declared engineering range) decide the scale, so
//! overriding a future input never changes it.

/// Normalised targets beyond this many deviations are clipped (prototype `window`).
const TARGET_LIMIT: f64 = 12.0;
/// Normalised inputs beyond this many deviations are clipped (prototype `window`).
const INPUT_LIMIT: f64 = 8.0;
/// A signal that moves less than this share of its engineering range counts as constant.
const STILL_SHARE: f64 = 1e-3;
/// A deviation below this share of the mean is rounding noise of a constant signal.
const ROUNDING_SHARE: f64 = 1e-9;

/// Mean and deviation of one signal, in its own unit.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Scale {
    /// What becomes 0.
    pub mean: f64,
    /// What becomes 1; always positive.
    pub deviation: f64,
}

impl Scale {
    /// The scale of a signal from its context `values` (finite). `range` is the engineering range
    /// (lowest, highest): its deviation, as if uniformly distributed, stands in for a signal that
    /// has not moved; without a range a still signal keeps its unit (deviation 1).
    #[must_use]
    pub fn of(values: &[f64], range: Option<(f64, f64)>) -> Self {
        let width = range.map_or(0.0, |(low, high)| high - low);
        let width = if width.is_finite() && width > 0.0 { width } else { 0.0 };
        let (mean, deviation) = moments(values);
        let mean = if values.is_empty() { range.map_or(0.0, |(low, high)| f64::midpoint(low, high)) } else { mean };
        let still = (STILL_SHARE * width).max(ROUNDING_SHARE * mean.abs());
        let deviation = if deviation > still && deviation.is_finite() {
            deviation
        } else if width > 0.0 {
            width / 12.0_f64.sqrt()
        } else {
            1.0
        };
        Self { mean: if mean.is_finite() { mean } else { 0.0 }, deviation }
    }

    /// The scale of a signal that is predicted. However wide its engineering range is, what it does in its
    /// context is what its forecasts are measured in: a gauge from 0 to 400 bar that moves by tenths of a bar
    /// is not still. Only one that does not move at all has a thousandth of its range as its deviation.
    #[must_use]
    pub fn of_target(values: &[f64], range: Option<(f64, f64)>) -> Self {
        let (mean, deviation) = moments(values);
        if deviation > ROUNDING_SHARE * mean.abs() && deviation.is_finite() {
            return Self { mean, deviation };
        }
        let width = range.map_or(0.0, |(low, high)| high - low);
        let still = if width.is_finite() && width > 0.0 { STILL_SHARE * width } else { 1.0 };
        Self { deviation: still, ..Self::of(values, range) }
    }

    /// A target value in normalised units, clipped to +-12.
    #[must_use]
    pub fn target(&self, value: f64) -> f64 {
        ((value - self.mean) / self.deviation).clamp(-TARGET_LIMIT, TARGET_LIMIT)
    }

    /// An input value in normalised units, clipped to +-8.
    #[must_use]
    pub fn input(&self, value: f64) -> f64 {
        ((value - self.mean) / self.deviation).clamp(-INPUT_LIMIT, INPUT_LIMIT)
    }

    /// A normalised value in the signal's own unit.
    #[must_use]
    pub fn undo(&self, normalised: f64) -> f64 {
        normalised * self.deviation + self.mean
    }

    /// A normalised difference or deviation in the signal's own unit.
    #[must_use]
    pub fn undo_difference(&self, normalised: f64) -> f64 {
        normalised * self.deviation
    }
}

/// Mean and deviation; zeros of nothing.
fn moments(values: &[f64]) -> (f64, f64) {
    let count = values.len().max(1) as f64;
    let mean = values.iter().sum::<f64>() / count;
    let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / count;
    (mean, variance.sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn undo_reverses_what_was_not_clipped() {
        let scale = Scale::of(&[1.0, 2.0, 3.0, 4.0], None);
        assert!((scale.undo(scale.target(3.7)) - 3.7).abs() < 1e-12);
        assert!((scale.undo(scale.input(-1.0)) + 1.0).abs() < 1e-12);
        assert!((scale.undo_difference(1.0) - scale.deviation).abs() < 1e-12);
    }

    #[test]
    fn far_values_are_clipped() {
        let scale = Scale::of(&[0.0, 1.0], None);
        assert!((scale.target(1e9) - 12.0).abs() < 1e-12);
        assert!((scale.input(-1e9) + 8.0).abs() < 1e-12);
    }

    #[test]
    fn a_still_input_falls_back_to_its_engineering_range() {
        let scale = Scale::of(&[50.0; 9], Some((0.0, 100.0)));
        assert!((scale.mean - 50.0).abs() < 1e-12);
        assert!((scale.deviation - 100.0 / 12.0_f64.sqrt()).abs() < 1e-12);
        assert!((Scale::of(&[50.0; 9], None).deviation - 1.0).abs() < 1e-12);
    }

    #[test]
    fn a_target_that_moves_little_within_a_wide_range_keeps_its_own_scale() {
        let range = Some((-10.0, 400.0));
        let values: Vec<f64> = (0..100).map(|k| 22.0 + 0.3 * f64::from(k % 7 - 3) / 3.0).collect();
        let (target, input) = (Scale::of_target(&values, range), Scale::of(&values, range));
        assert!((target.deviation - 0.2).abs() < 0.02, "{target:?}");
        assert!(input.deviation > 100.0, "an input may be set anywhere in its range: {input:?}");
        let still = Scale::of_target(&[22.0; 50], range);
        assert!((still.mean - 22.0).abs() < 1e-12 && (still.deviation - 0.41).abs() < 1e-9, "{still:?}");
        assert!((Scale::of_target(&[22.0; 50], None).deviation - 1.0).abs() < 1e-12);
        let nothing = Scale::of_target(&[], range);
        assert!(nothing.deviation > 0.0 && (nothing.mean - 195.0).abs() < 1e-9);
        // What moves more than that has one scale, whoever asks.
        let moves: Vec<f64> = (0..100).map(f64::from).collect();
        assert_eq!(Scale::of_target(&moves, range), Scale::of(&moves, range));
    }

    #[test]
    fn a_signal_in_tiny_units_is_not_taken_for_constant() {
        let scale = Scale::of(&[1e-6, 2e-6, 3e-6], None);
        assert!(scale.deviation < 1e-6);
    }

    #[test]
    fn no_values_leave_a_usable_scale() {
        assert!(Scale::of(&[], None).deviation > 0.0);
        assert!((Scale::of(&[], Some((2.0, 4.0))).mean - 3.0).abs() < 1e-12);
    }
}
