//! Expert five: ridge regression of every horizon on 512 lags, each window centred on its mean.
//!
//! Only for a target without inputs and with a long contiguous past; there one such ridge is level
//! with published networks. All horizons share one Cholesky factor, and the sums are built by
//! sliding along diagonals, so a fit costs milliseconds; a truncated one, which answers a single
//! time, is solved for the window that it answers from instead of for every horizon, and keeps nothing but its answer.

use faer::Mat;

use super::algebra::{add_lagged, dot, factorise, substitute_all, total};
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

/// The answer for a window `x` is `b' A^-1 x` for every horizon's column `b`: it is solved for the columns where many
/// windows are to be answered, and for the window where one is.
///
/// Everything is in single precision: the ridge keeps the system so far from singular that this is exact to five digits,
/// in half the time.
#[derive(Clone, Debug)]
pub(super) enum Long {
    /// One column of weights per horizon, newest lag first.
    Often(Mat<f32>),
    /// What follows one instant, and how many samples come before it.
    Once { end: usize, answer: Vec<f64> },
}

/// What an answer needs of the end of a context.
#[derive(Clone, Debug)]
pub(super) enum LongState {
    /// The newest samples, centred, newest first, and their mean.
    Window { window: Vec<f32>, mean: f64 },
    /// The answer itself.
    Answer,
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
                let once = (end < context.len()).then_some(end);
                (apt && windows >= LEAST_WINDOWS).then(|| Self::of(known, horizon, once)).flatten()
            })
            .collect()
    }

    /// Fitted to what is `known`; `once` where nothing is asked but what follows it, so many samples into a context.
    fn of(known: &[f64], horizon: usize, once: Option<usize>) -> Option<Self> {
        // centre the windows: C G C and C (B - G 1/n), with C = I - 11'/n
        let (mut means, mut newest) = (vec![0.0; LAGS], Vec::new());
        columns(known, LAGS, horizon, |j, column| {
            if j == 0 {
                newest = column.to_vec();
            }
            means[j] += total(column);
            means[j + 1..].iter_mut().zip(&column[1..]).for_each(|(mean, value)| *mean += value);
        });
        means.iter_mut().for_each(|mean| *mean /= LAGS as f64);
        let grand = means.iter().sum::<f64>() / LAGS as f64;
        let mut factor: Mat<f32> = Mat::zeros(LAGS, LAGS);
        columns(known, LAGS, horizon, |j, column| {
            let below = &mut factor.col_as_slice_mut(j)[j..];
            for ((to, value), mean) in below.iter_mut().zip(column).zip(&means[j..]) {
                *to = (value + (grand - mean - means[j])) as f32;
            }
            below[0] += RIDGE as f32;
        });
        let cross = cross(known, LAGS, horizon, &newest);
        let mut columns: Mat<f32> = Mat::zeros(LAGS, horizon);
        for h in 0..horizon {
            let column = cross.col_as_slice(h);
            let mean = total(column) / LAGS as f64 - grand;
            for ((to, value), expected) in columns.col_as_slice_mut(h).iter_mut().zip(column).zip(&means) {
                *to = (value - (expected + mean)) as f32;
            }
        }
        factorise(&mut factor)?;
        let Some(end) = once else {
            substitute_all(&factor, &mut columns);
            let finite = (0..horizon).all(|h| columns.col_as_slice(h).iter().all(|w| w.is_finite()));
            return finite.then_some(Self::Often(columns));
        };
        let (window, mean) = centred(known)?;
        let mut solved = Mat::from_fn(LAGS, 1, |lag, _| window[lag]);
        substitute_all(&factor, &mut solved);
        Some(Self::Once { end, answer: answers(&columns, solved.col_as_slice(0), mean) })
    }

    /// What a forecast from the end of `context` looks at; `None` when its segment is shorter than that, or where another
    /// end was asked about.
    pub(super) fn stand(&self, context: &Context<'_>) -> Option<LongState> {
        match self {
            Self::Often(_) => {
                let (window, mean) = centred(&context.target[context.last_start()..])?;
                Some(LongState::Window { window, mean })
            }
            Self::Once { end, .. } => (context.len() == *end).then_some(LongState::Answer),
        }
    }

    /// The answers for `steps`; beyond the fitted horizon the last one holds.
    pub(super) fn answer(&self, state: &LongState, steps: usize) -> Vec<f64> {
        let mut said = match (self, state) {
            (Self::Often(columns), LongState::Window { window, mean }) => answers(columns, window, *mean),
            (Self::Once { answer, .. }, _) => answer.clone(),
            (Self::Often(_), LongState::Answer) => unreachable!("a state is asked of where it came from"),
        };
        let last = said.last().copied().unwrap_or_default();
        said.resize(steps, last);
        said
    }
}

/// The newest samples of a segment, newest first, less their mean, which comes with them.
fn centred(segment: &[f64]) -> Option<(Vec<f32>, f64)> {
    let window = &segment[segment.len().checked_sub(LAGS)?..];
    let mean = window.iter().sum::<f64>() / LAGS as f64;
    Some((window.iter().rev().map(|value| (value - mean) as f32).collect(), mean))
}

/// An answer for every column.
fn answers(columns: &Mat<f32>, window: &[f32], mean: f64) -> Vec<f64> {
    let said = (0..columns.ncols()).map(|h| inner(columns.col_as_slice(h), window) + mean);
    said.map(|value| value.clamp(-LIMIT, LIMIT)).collect()
}

/// The inner product of two rows of single precision, summed in double.
fn inner(a: &[f32], b: &[f32]) -> f64 {
    let mut strands = [0.0; 4];
    let (fours_a, rest_a) = a.as_chunks::<4>();
    let (fours_b, rest_b) = b.as_chunks::<4>();
    for (x, y) in fours_a.iter().zip(fours_b) {
        for k in 0..4 {
            strands[k] += f64::from(x[k]) * f64::from(y[k]);
        }
    }
    let rest: f64 = rest_a.iter().zip(rest_b).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum();
    strands.iter().sum::<f64>() + rest
}

/// Shows each column of [`gram`], from its diagonal on.
fn columns(x: &[f64], lags: usize, horizon: usize, mut see: impl FnMut(usize, &[f64])) {
    let last = x.len() - 1 - horizon;
    let mut column = vec![0.0; lags];
    add_lagged(&x[..=last], lags - 1, &mut column);
    see(0, &column);
    // One step along every diagonal at once: what comes in before the first origin, what goes out at the last.
    let before: Vec<f64> = x[..lags - 1].iter().rev().copied().collect();
    let newest: Vec<f64> = x[last + 2 - lags..=last].iter().rev().copied().collect();
    for j in 0..lags - 1 {
        column.pop();
        let ends = before[j..].iter().zip(&newest[j..]);
        for (value, (enters, leaves)) in column.iter_mut().zip(ends) {
            *value += enters * before[j] - leaves * newest[j];
        }
        see(j + 1, &column);
    }
}

/// `sum x(t-i) x(t-j)` over every origin `t` that has `lags` samples up to it and a whole horizon:
/// the lower triangle of a symmetric matrix.
pub(super) fn gram(x: &[f64], lags: usize, horizon: usize) -> Mat<f64> {
    let mut sums = Mat::zeros(lags, lags);
    columns(x, lags, horizon, |j, column| sums.col_as_slice_mut(j)[j..].copy_from_slice(column));
    sums
}

/// `sum x(t-i) x(t+h)` over the same origins: one column of lags per horizon `h` from 1 on, from the first column of
/// [`gram`].
pub(super) fn cross(x: &[f64], lags: usize, horizon: usize, first: &[f64]) -> Mat<f64> {
    let last = x.len() - 1 - horizon;
    let mut sums = Mat::zeros(lags, horizon);
    let mut before = first.to_vec();
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
        let columns = cross(&x, LAGS, horizon, sums.col_as_slice(0));
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
    fn single_precision_solves_the_ridge() {
        let (x, horizon) = (signal(2_000), 4);
        let Long::Often(columns) = Long::of(&x, horizon, None).expect("long enough") else { panic!("asked often") };
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
            let weight = f64::from(columns[(LAGS - 1 - lag, h)]);
            assert!((weight - cross[(lag, h)]).abs() < 1e-4 * largest, "{lag} {h}: {weight} {}", cross[(lag, h)]);
        }
    }

    #[test]
    fn a_fit_that_answers_once_says_what_one_that_answers_often_says() {
        let (x, horizon) = (signal(2_000), 64);
        let context = Context { target: &x, inputs: Vec::new(), others: Vec::new(), segments: vec![(0, x.len())] };
        let said = |once| {
            let long = Long::of(&x[..1_900], horizon, once).expect("long enough");
            assert_eq!(long.stand(&context.until(1_950)).is_none(), once.is_some(), "only of one end");
            long.answer(&long.stand(&context.until(1_900)).expect("512 samples"), horizon + 3)
        };
        let (once, often) = (said(Some(1_900)), said(None));
        assert_eq!((once.len(), often.len()), (horizon + 3, horizon + 3));
        assert!(often.iter().any(|value| value.abs() > 0.1), "{often:?}");
        for (one, other) in once.iter().zip(&often) {
            assert!((one - other).abs() < 1e-4, "{one} {other}");
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
