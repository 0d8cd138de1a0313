//! Expert five: ridge regression of every horizon on 512 lags, each window centred on its mean.
//!
//! Only for a target without inputs and with a long contiguous past; there one such ridge is level
//! with published networks. All horizons share one Cholesky factor, and the sums are built by
//! sliding along diagonals, so a fit costs milliseconds.

use faer::Mat;

use super::algebra::{dot, factorise, substitute_all};
use super::history::Context;

/// Lags looked at.
const LAGS: usize = 512;
/// A contiguous past shorter than this does not bear 512 weights.
const LEAST: usize = 1_500;
/// Least windows of a truncated fit in the back-test.
const LEAST_WINDOWS: usize = 400;
/// Ridge: the best of 100, 1,000, 5,000 and 20,000 for the bank on the validation months of `ETTh1`
/// (horizon 96, context 2,000).
const RIDGE: f64 = 5_000.0;
/// Answers stay within this many deviations.
const LIMIT: f64 = 12.0;

/// Weights on the newest 512 samples, oldest first; one column per horizon.
#[derive(Clone, Debug)]
pub(super) struct Long {
    weights: Mat<f64>,
}

/// The newest samples, centred, oldest first, and their mean.
#[derive(Clone, Debug)]
pub(super) struct LongState {
    window: Vec<f64>,
    mean: f64,
}

impl Long {
    /// Fits every horizon on the newest segment as known at each of `ends`.
    pub(super) fn fit(context: &Context<'_>, ends: &[usize], horizon: usize) -> Vec<Option<Self>> {
        let start = context.last_start();
        let segment = &context.target[start..];
        let apt = context.inputs.is_empty() && segment.len() >= LEAST && horizon > 0;
        ends.iter()
            .map(|&end| {
                let known = segment.get(..end.checked_sub(start)?)?;
                let windows = known.len().checked_sub(LAGS + horizon)? + 1;
                (apt && windows >= LEAST_WINDOWS).then(|| Self::of(known, horizon)).flatten()
            })
            .collect()
    }

    fn of(known: &[f64], horizon: usize) -> Option<Self> {
        let mut factor = gram(known, LAGS, horizon);
        let mut cross = cross(known, LAGS, horizon, &factor);
        // centre the windows: C G C and C (B - G 1/n), with C = I - 11'/n
        let means = times(&factor, &[1.0 / LAGS as f64; LAGS]);
        let grand = means.iter().sum::<f64>() / LAGS as f64;
        for j in 0..LAGS {
            for (value, mean) in factor.col_as_slice_mut(j)[j..].iter_mut().zip(&means[j..]) {
                *value += grand - mean - means[j];
            }
            factor[(j, j)] += RIDGE;
        }
        for h in 0..horizon {
            let column = cross.col_as_slice_mut(h);
            let mean = column.iter().sum::<f64>() / LAGS as f64 - grand;
            for (value, expected) in column.iter_mut().zip(&means) {
                *value -= expected + mean;
            }
        }
        // The ridge keeps the system far from singular: single precision is exact to five digits, in half the time.
        let single = |matrix: &Mat<f64>| Mat::from_fn(matrix.nrows(), matrix.ncols(), |i, j| matrix[(i, j)] as f32);
        let (mut factor, mut weights) = (single(&factor), single(&cross));
        factorise(&mut factor)?;
        substitute_all(&factor, &mut weights);
        let finite = (0..horizon).all(|h| weights.col_as_slice(h).iter().all(|w| w.is_finite()));
        finite.then(|| Self { weights: Mat::from_fn(LAGS, horizon, |i, h| f64::from(weights[(LAGS - 1 - i, h)])) })
    }

    /// The window that a forecast from the end of `context` looks at; `None` when its segment is
    /// shorter than that.
    #[expect(clippy::unused_self, reason = "every expert is asked in the same way")]
    pub(super) fn stand(&self, context: &Context<'_>) -> Option<LongState> {
        let segment = &context.target[context.last_start()..];
        let window = &segment[segment.len().checked_sub(LAGS)?..];
        let mean = window.iter().sum::<f64>() / LAGS as f64;
        Some(LongState { window: window.iter().map(|x| x - mean).collect(), mean })
    }

    /// The answers for `steps`; beyond the fitted horizon the last one holds.
    pub(super) fn answer(&self, state: &LongState, steps: usize) -> Vec<f64> {
        let mut out: Vec<f64> = (0..steps.min(self.weights.ncols()))
            .map(|h| dot(self.weights.col_as_slice(h), &state.window) + state.mean)
            .map(|value| value.clamp(-LIMIT, LIMIT))
            .collect();
        let last = out.last().copied().unwrap_or(state.mean);
        out.resize(steps, last);
        out
    }
}

/// `sum x(t-i) x(t-j)` over every origin `t` that has `lags` samples up to it and a whole horizon:
/// the lower triangle of a symmetric matrix.
pub(super) fn gram(x: &[f64], lags: usize, horizon: usize) -> Mat<f64> {
    let last = x.len() - 1 - horizon;
    let mut sums = Mat::zeros(lags, lags);
    let mut column: Vec<f64> = (0..lags).map(|i| dot(&x[lags - 1 - i..=last - i], &x[lags - 1..=last])).collect();
    sums.col_as_slice_mut(0).copy_from_slice(&column);
    // One step along every diagonal at once: what comes in before the first origin, what goes out at the last.
    let before: Vec<f64> = x[..lags - 1].iter().rev().copied().collect();
    let newest: Vec<f64> = x[last + 2 - lags..=last].iter().rev().copied().collect();
    for j in 0..lags - 1 {
        let (comes, goes) = (before[j], newest[j]);
        let next = &mut sums.col_as_slice_mut(j + 1)[j + 1..];
        let ends = before[j..].iter().zip(&newest[j..]);
        for ((value, above), (enters, leaves)) in next.iter_mut().zip(&column).zip(ends) {
            *value = above + (enters * comes - leaves * goes);
        }
        column.truncate(next.len());
        column.copy_from_slice(next);
    }
    sums
}

/// A symmetric matrix, of which the lower triangle is given, times a vector.
pub(super) fn times(lower: &Mat<f64>, vector: &[f64]) -> Vec<f64> {
    let mut product = vec![0.0; vector.len()];
    for (j, &by) in vector.iter().enumerate() {
        let (diagonal, below) = lower.col_as_slice(j)[j..].split_first().expect("a square matrix");
        product[j] += diagonal * by + dot(below, &vector[j + 1..]);
        for (sum, value) in product[j + 1..].iter_mut().zip(below) {
            *sum += value * by;
        }
    }
    product
}

/// `sum x(t-i) x(t+h)` over the same origins: one column of lags per horizon `h` from 1 on.
pub(super) fn cross(x: &[f64], lags: usize, horizon: usize, gram: &Mat<f64>) -> Mat<f64> {
    let last = x.len() - 1 - horizon;
    let mut sums = Mat::zeros(lags, horizon);
    let mut before = gram.col_as_slice(0).to_vec();
    for h in 1..=horizon {
        let column = sums.col_as_slice_mut(h - 1);
        for (i, value) in column[..lags - 1].iter_mut().enumerate() {
            // one step along the diagonal from (i + 1, h - 1)
            *value = before[i + 1] - x[lags - 2 - i] * x[lags - 2 + h] + x[last - i] * x[last + h];
        }
        column[lags - 1] = dot(&x[..=last + 1 - lags], &x[lags - 1 + h..=last + h]);
        before.copy_from_slice(column);
    }
    sums
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signal(length: usize) -> Vec<f64> {
        (0..length).map(|t| (0.13 * t as f64).sin() + 0.5 * (0.031 * (t * t % 977) as f64).cos()).collect()
    }

    #[test]
    fn sums_along_diagonals_are_the_sums_over_rows() {
        let x = signal(700);
        let horizon = 5;
        let sums = gram(&x, LAGS, horizon);
        let columns = cross(&x, LAGS, horizon, &sums);
        let over_rows = |a: usize, b: usize| -> f64 {
            // sum over origins of x(t + a - 511) x(t + b - 511)
            (0..=x.len() - horizon - LAGS).map(|row| x[row + a] * x[row + b]).sum()
        };
        for i in [0, 1, 17, 300, 511] {
            for j in [0, 3, 255, 511] {
                let expected = over_rows(LAGS - 1 - i, LAGS - 1 - j);
                assert!((sums[(i.max(j), i.min(j))] - expected).abs() < 1e-7);
            }
            for h in 1..=horizon {
                let expected = over_rows(LAGS - 1 - i, LAGS - 1 + h);
                assert!((columns[(i, h - 1)] - expected).abs() < 1e-7);
            }
        }
    }

    #[test]
    fn the_lower_triangle_stands_for_the_whole() {
        let lower = Mat::from_fn(3, 3, |i, j| if i >= j { (3 * i + j) as f64 } else { f64::NAN });
        // [[0, 3, 6], [3, 4, 7], [6, 7, 8]]
        assert_eq!(times(&lower, &[1.0, 10.0, 100.0]), [630.0, 743.0, 876.0]);
    }

    #[test]
    fn single_precision_solves_the_ridge() {
        let (x, horizon) = (signal(2_000), 4);
        let long = Long::of(&x, horizon).expect("long enough");
        // The normal equations over rows that are centred one by one, in double precision.
        let mut gram: Mat<f64> = Mat::zeros(LAGS, LAGS);
        let mut cross: Mat<f64> = Mat::zeros(LAGS, horizon);
        for row in 0..=x.len() - horizon - LAGS {
            let mean = x[row..row + LAGS].iter().sum::<f64>() / LAGS as f64;
            let centred = Mat::from_fn(LAGS, 1, |lag, _| x[row + lag] - mean);
            let ahead = Mat::from_fn(1, horizon, |_, h| x[row + LAGS + h] - mean);
            gram += &centred * centred.transpose();
            cross += &centred * &ahead;
        }
        (0..LAGS).for_each(|lag| gram[(lag, lag)] += RIDGE);
        factorise(&mut gram).expect("positive definite");
        substitute_all(&gram, &mut cross);
        let largest = (0..LAGS).map(|lag| cross[(lag, 0)].abs()).fold(0.0, f64::max);
        for (lag, h) in [(0, 0), (17, 1), (255, 2), (511, 0), (511, 3)] {
            let off = (long.weights[(lag, h)] - cross[(lag, h)]).abs();
            assert!(off < 1e-4 * largest, "{lag} {h}: {} {}", long.weights[(lag, h)], cross[(lag, h)]);
        }
    }

    #[test]
    fn a_sum_of_sines_is_continued() {
        let x: Vec<f64> = (0..1_600).map(|t| (0.05 * f64::from(t)).sin() + 0.4 * (0.31 * f64::from(t)).cos()).collect();
        let context =
            Context { target: &x[..1_550], inputs: Vec::new(), others: Vec::new(), segments: vec![(0, 1_550)] };
        let long = Long::fit(&context, &[1_550], 48).remove(0).expect("long enough");
        let state = long.stand(&context).expect("512 samples are there");
        let answer = long.answer(&state, 48);
        let squares = answer.iter().zip(&x[1_550..]).map(|(a, t)| (a - t).powi(2));
        assert!((squares.sum::<f64>() / 48.0).sqrt() < 0.15);
    }
}
