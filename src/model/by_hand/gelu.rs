//! The Gaussian error linear unit (Hendrycks and Gimpel 2016) of many numbers at once.

use std::f32::consts::{FRAC_1_SQRT_2, LOG2_E};

/// Abramowitz and Stegun 1964, formula 7.1.26: off by 1.5e-7 at most.
const RATIONAL: f32 = 0.327_591_1;
const SERIES: [f32; 5] = [0.254_829_6, -0.284_496_74, 1.421_413_7, -1.453_152, 1.061_405_4];
/// The height of the normal distribution.
const HEIGHT: f32 = 0.398_942_3;
/// The natural logarithm of 2 in two parts, of which the first has so few digits that a whole multiple is exact (Cody and
/// Waite 1980).
const LN_2: [f32; 2] = [0.693_359_4, -2.121_944_4e-4];
/// Of the Taylor series of the exponential, from the highest term on.
const EXPONENTIAL: [f32; 7] = [1.0 / 720.0, 1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5, 1.0, 1.0];
/// Beyond it the exponential is 0 for all that it is used for.
const FARTHEST: f32 = -80.0;
/// Added to a small number, leaves it rounded to a whole one in the last places.
const ROUNDS: f32 = 12_582_912.0;

/// Puts `x Phi(x)` in the place of each `x`, and returns the slopes there, `Phi(x) + x phi(x)`.
pub(super) fn gelu_with_slope(values: &mut [f32]) -> Vec<f32> {
    let mut slopes = vec![0.0; values.len()];
    pulp::Arch::new().dispatch(|| {
        for (value, slope) in values.iter_mut().zip(&mut slopes) {
            (*value, *slope) = both(*value);
        }
    });
    slopes
}

#[expect(clippy::inline_always, reason = "only what is inlined is compiled for long vectors")]
#[inline(always)]
fn both(x: f32) -> (f32, f32) {
    let falls = exponential(-0.5 * x * x);
    let t = 1.0 / (1.0 + RATIONAL * FRAC_1_SQRT_2 * x.abs());
    let [a, b, c, d, e] = SERIES;
    let tail = 0.5 * ((((e * t + d) * t + c) * t + b) * t + a) * t * falls;
    let below = if x < 0.0 { tail } else { 1.0 - tail };
    (x * below, below + x * HEIGHT * falls)
}

/// Of numbers that are not above 0.
#[expect(clippy::inline_always, reason = "as above")]
#[inline(always)]
fn exponential(x: f32) -> f32 {
    let x = x.max(FARTHEST);
    let shifted = x * LOG2_E + ROUNDS;
    let twos = shifted - ROUNDS;
    let left = (x - twos * LN_2[0]) - twos * LN_2[1];
    let [highest, lower @ ..] = EXPONENTIAL;
    let series = lower.iter().fold(highest, |sum, term| sum * left + term);
    let power = f32::from_bits(shifted.to_bits().wrapping_add(127) << 23);
    series * power
}

#[cfg(test)]
mod tests {
    use tch::Tensor;

    use super::*;

    #[test]
    fn units_and_slopes_are_those_of_libtorch() {
        let numbers: Vec<f32> = (-40_000..40_000).map(|k| 0.000_5 * k as f32).collect();
        let at = Tensor::from_slice(&numbers).set_requires_grad(true);
        let there = at.gelu("none");
        there.sum(tch::Kind::Float).backward();
        let mut found = numbers.clone();
        let slopes = gelu_with_slope(&mut found);
        for (ours, theirs) in [(found, there.detach()), (slopes, at.grad())] {
            let apart = (Tensor::from_slice(&ours) - theirs).abs().max().double_value(&[]);
            assert!(apart < 2e-6, "{apart:e}");
        }
        let mut far = [-1e4, 1e4, 0.0, f32::NAN];
        let slopes = gelu_with_slope(&mut far);
        assert!(far[0].abs() < 1e-30 && far[1..3] == [1e4, 0.0] && far[3].is_nan(), "{far:?}");
        assert!(slopes[0].abs() < 1e-30 && slopes[1] == 1.0 && (slopes[2] - 0.5).abs() < 1e-6, "{slopes:?}");
        assert!(slopes[3].is_nan());
    }
}
