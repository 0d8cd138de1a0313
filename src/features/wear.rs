//! Directions in which assets wear: weighted sums of signals that change in a run by far more than they jump
//! from step to step.
//!
//! Several signals often tell of the same wear, each in noise of its own. Along a direction the wear adds up and
//! the noise does not, so that few clear numbers stand for many blurred ones. Noise is what tells neighbouring
//! steps apart (Switzer and Green 1984), and the directions are those in which most of a change is not noise
//! (minimum noise fraction; Green et al. 1988). How long runs lasted is not looked at.

use faer::{Mat, Side};

/// Keeps noise that signals have in common from being divided by nothing, as a share of each signal's own.
const RIDGE: f64 = 1e-3;
/// How many times the variance that noise alone would have a change has, for its direction to count.
const TIMES: f64 = 4.0;
/// Directions at most.
const MOST: usize = 8;

/// Weights of the signals in each direction, the one that changes most first; a jump along it has the
/// deviation of noise, 1. None where nothing changes by more than noise.
///
/// `jumps` are differences of neighbouring steps, `changes` those since the run began, both rows with a number
/// for each signal. Signals whose noise is below `least` stand still and weigh nothing; `noise` is the variance
/// that noise of variance 1 leaves in a change.
pub(super) fn directions(jumps: &[Vec<f64>], changes: &[Vec<f64>], least: &[f64], noise: f64) -> Vec<Vec<f64>> {
    let deviation = |signal: usize| {
        let squares: f64 = jumps.iter().map(|jump| jump[signal].powi(2)).sum();
        (squares / 2.0 / jumps.len().max(1) as f64).sqrt()
    };
    let deviations: Vec<f64> = (0..least.len()).map(deviation).collect();
    let moving: Vec<usize> = (0..least.len()).filter(|signal| deviations[*signal] > least[*signal]).collect();
    let in_noise = |row: &Vec<f64>| moving.iter().map(|signal| row[*signal] / deviations[*signal]).collect();
    let Some((weights, ratios)) = contrast(
        &second_moments(moving.len(), jumps.iter().map(in_noise), 2.0),
        &second_moments(moving.len(), changes.iter().map(in_noise), 1.0),
    ) else {
        return Vec::new();
    };
    // Ascending, as eigenvalues come.
    let telling = (0..moving.len()).rev().take(MOST).take_while(|place| ratios[*place] > TIMES * noise);
    let direction = |place: usize| {
        let mut whole = vec![0.0; least.len()];
        for (row, signal) in moving.iter().enumerate() {
            whole[*signal] = weights[(row, place)] / deviations[*signal];
        }
        whole
    };
    telling.map(direction).filter(|whole| whole.iter().all(|weight| weight.is_finite())).collect()
}

/// Mean products of the numbers of rows, divided by `by`.
fn second_moments(width: usize, rows: impl Iterator<Item = Vec<f64>>, by: f64) -> Mat<f64> {
    let (mut sums, mut count) = (Mat::<f64>::zeros(width, width), 0.0);
    for row in rows {
        for (j, other) in row.iter().enumerate() {
            for (i, value) in row.iter().enumerate().skip(j) {
                sums[(i, j)] += value * other;
            }
        }
        count += by;
    }
    Mat::from_fn(width, width, |i, j| sums[(i.max(j), i.min(j))] / f64::max(count, 1.0))
}

/// Columns of weights along which `noise` is 1 and nothing in common, and `change` on each, ascending: the
/// generalised eigenvectors, by whitening.
fn contrast(noise: &Mat<f64>, change: &Mat<f64>) -> Option<(Mat<f64>, Vec<f64>)> {
    let width = noise.nrows();
    let finite = |matrix: &Mat<f64>| (0..width).all(|j| matrix.col_as_slice(j).iter().all(|value| value.is_finite()));
    if width == 0 || !finite(noise) || !finite(change) {
        return None;
    }
    let ridged = Mat::from_fn(width, width, |i, j| noise[(i, j)] + if i == j { RIDGE } else { 0.0 });
    let own = ridged.self_adjoint_eigen(Side::Lower).ok()?;
    let (vectors, values) = (own.U(), own.S().column_vector());
    let white = Mat::from_fn(width, width, |i, k| vectors[(i, k)] / values[k].max(RIDGE).sqrt());
    let seen = white.transpose() * change * &white;
    let parts = seen.self_adjoint_eigen(Side::Lower).ok()?;
    let ratios = parts.S().column_vector();
    Some((&white * parts.U(), (0..width).map(|place| ratios[place]).collect()))
}

#[cfg(test)]
mod tests {
    use rand::{RngExt as _, SeedableRng as _};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    /// Of a change over a mean of five steps since a mean of thirty.
    const NOISE: f64 = 1.0 / 5.0 + 1.0 / 30.0;
    const LEAST: [f64; 4] = [1e-9; 4];

    /// Jumps and changes of signals of which the first `worn` wear alike, by as much as they are noisy, and
    /// whose noise is 1, 2, 3 and 4.
    fn moves(worn: i32) -> (Vec<Vec<f64>>, Vec<Vec<f64>>) {
        let mut random = ChaCha8Rng::seed_from_u64(1);
        let mut normal = || (0..12).map(|_| random.random_range(-0.5..0.5)).sum::<f64>();
        let (mut jumps, mut changes) = (Vec::new(), Vec::new());
        for row in 0..4_000 {
            let wear = 2.0 * f64::from(row) / 4_000.0;
            jumps.push((1..=4).map(|size| f64::from(size) * 2.0_f64.sqrt() * normal()).collect());
            let mut signal = |size: i32| {
                let worn = if size <= worn { wear } else { 0.0 };
                f64::from(size) * (worn + NOISE.sqrt() * normal())
            };
            changes.push((1..=4).map(&mut signal).collect());
        }
        (jumps, changes)
    }

    #[test]
    fn signals_that_wear_alike_become_one_number_and_the_others_hardly_count() {
        let (jumps, changes) = moves(3);
        let found = directions(&jumps, &changes, &LEAST, NOISE);
        assert_eq!(found.len(), 1, "{found:?}");
        // In noise each tells as much as the others.
        let share = |signal: usize| found[0][signal] * (signal + 1) as f64;
        for signal in 1..3 {
            assert!((share(signal) / share(0) - 1.0).abs() < 0.15, "{found:?}");
        }
        assert!((share(3) / share(0)).abs() < 0.15, "{found:?}");
        let along = |jump: &Vec<f64>| jump.iter().zip(&found[0]).map(|(jump, weight)| jump * weight).sum::<f64>();
        let noise = jumps.iter().map(|jump| along(jump).powi(2) / 2.0).sum::<f64>() / jumps.len() as f64;
        assert!((noise - 1.0).abs() < 0.01, "{noise}");
    }

    #[test]
    fn noise_alone_has_no_direction() {
        let (jumps, changes) = moves(0);
        assert!(directions(&jumps, &changes, &LEAST, NOISE).is_empty());
        assert!(directions(&[], &[], &LEAST, NOISE).is_empty());
        assert!(directions(&[], &[], &[], NOISE).is_empty());
    }

    #[test]
    fn signals_that_stand_still_or_say_the_same_twice_or_are_no_numbers_do_no_harm() {
        let (mut jumps, mut changes) = moves(2);
        for row in jumps.iter_mut().chain(&mut changes) {
            (row[1], row[3]) = (row[0], 0.0);
        }
        let found = directions(&jumps, &changes, &LEAST, NOISE);
        assert_eq!((found.len(), found[0][3]), (1, 0.0));
        assert!((found[0][0] / found[0][1] - 1.0).abs() < 1e-6 && found[0].iter().all(|weight| weight.is_finite()));
        changes[7][0] = f64::NAN;
        assert!(directions(&jumps, &changes, &LEAST, NOISE).iter().flatten().all(|weight| weight.is_finite()));
    }
}
