//! How outputs hang together: the cross-target correlation of sample paths.
//!
//! Scores of the targets follow a vector AR(1) process with a diagonal transition, so every target
//! keeps its own memory, and the news of a step are correlated between targets. Which news give the
//! wanted correlation of the scores themselves follows from the process being stationary. The wanted
//! one is that of the bank's errors in the asset's own back-tests, drawn toward none by how few
//! independent errors there are. Always true: what is drawn is positive semi-definite (news that are
//! not are drawn toward independence until they are), every score stays standard normal, and without
//! correlation the scores are bit for bit those of targets on their own.

/// Independent pairs of errors that weigh as much as "no correlation".
const DOUBT: f64 = 16.0;
/// Steps of the way to independence that are tried.
const STEPS: usize = 20;
/// A pivot below this says that a matrix is not positive semi-definite; one within it of 0 is 0.
const PIVOT: f64 = 1e-9;

/// Errors of one target in its back-tests: the step of the grid that each row begins at, and the row;
/// NaN where nothing was measured.
pub(super) type Errors = Vec<(usize, Vec<f64>)>;

/// Turns independent normal draws of a step, one for each target, into correlated ones.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Mix {
    /// Of the first scores: rows of a lower triangle, each of length 1.
    pub(super) first: Vec<Vec<f64>>,
    /// Of the news of later steps.
    pub(super) news: Vec<Vec<f64>>,
}

impl Mix {
    /// For targets whose scores have this memory from one step to the next (0..1) and this correlation
    /// between targets, as far as one process can have both.
    pub(super) fn new(memory: &[f64], wanted: &[Vec<f64>]) -> Self {
        let count = memory.len();
        // Between correlated news and correlated scores of a stationary process.
        let ratio = |i: usize, j: usize| {
            let own = |target: usize| 1.0 - memory[target] * memory[target];
            (own(i) * own(j)).sqrt() / (1.0 - memory[i] * memory[j])
        };
        let matrix = |of: &dyn Fn(usize, usize) -> f64| -> Vec<Vec<f64>> {
            (0..count).map(|i| (0..count).map(|j| if i == j { 1.0 } else { of(i, j) }).collect()).collect()
        };
        for step in 0..STEPS {
            let kept = 1.0 - step as f64 / STEPS as f64;
            let news = matrix(&|i, j| kept * wanted[i][j] / ratio(i, j));
            if let Some(triangle) = triangle(&news) {
                // Stationary for positive semi-definite news: a sum of such matrices.
                let first = matrix(&|i, j| news[i][j] * ratio(i, j));
                return Self { first: self::triangle(&first).unwrap_or_else(|| identity(count)), news: triangle };
            }
        }
        Self { first: identity(count), news: identity(count) }
    }

    /// Whether it leaves every target on its own.
    pub(super) fn is_none(&self) -> bool {
        self.news.iter().enumerate().all(|(i, row)| row[..i].iter().all(|value| *value == 0.0))
    }
}

/// Correlation of the errors of all pairs of targets, drawn toward none. Their means are not taken
/// away: forecasts that are wrong to one side together are wrong in a correlated way.
pub(super) fn correlations(errors: &[Errors], memory: &[f64]) -> Vec<Vec<f64>> {
    let pair = |i: usize, j: usize| {
        let (mut together, mut one, mut other, mut pairs) = (0.0, 0.0, 0.0, 0.0);
        for (first, row) in &errors[i] {
            // Only errors of the same origin and step were made of the same past.
            let Some((_, beside)) = errors[j].iter().find(|(begins, _)| begins == first) else { continue };
            for (a, b) in row.iter().zip(beside).filter(|(a, b)| a.is_finite() && b.is_finite()) {
                together += a * b;
                one += a * a;
                other += b * b;
                pairs += 1.0;
            }
        }
        if one <= 0.0 || other <= 0.0 {
            return 0.0;
        }
        // Of errors that remember, fewer are independent (Bartlett 1946).
        let remembered = memory[i] * memory[j];
        let independent = pairs * (1.0 - remembered) / (1.0 + remembered);
        together / (one * other).sqrt() * independent / (independent + DOUBT)
    };
    let count = errors.len();
    let mut found = identity(count);
    for (i, j) in (0..count).flat_map(|i| (0..i).map(move |j| (i, j))) {
        let value = pair(i, j);
        found[i][j] = value;
        found[j][i] = value;
    }
    found
}

/// The Cholesky triangle of a symmetric matrix with ones on its diagonal, rows scaled to length 1;
/// `None` when it is not positive semi-definite.
fn triangle(matrix: &[Vec<f64>]) -> Option<Vec<Vec<f64>>> {
    let count = matrix.len();
    let mut rows: Vec<Vec<f64>> = vec![vec![0.0; count]; count];
    for i in 0..count {
        for j in 0..=i {
            let known: f64 = (0..j).map(|k| rows[i][k] * rows[j][k]).sum();
            let rest = matrix[i][j] - known;
            if i == j {
                if rest < -PIVOT {
                    return None;
                }
                rows[i][i] = rest.max(0.0).sqrt();
            } else if rows[j][j] > PIVOT.sqrt() {
                rows[i][j] = rest / rows[j][j];
            } else if rest.abs() > PIVOT.sqrt() {
                return None;
            }
        }
    }
    for row in &mut rows {
        let length = row.iter().map(|value| value * value).sum::<f64>().sqrt();
        if !length.is_finite() || length <= 0.0 {
            return None;
        }
        row.iter_mut().for_each(|value| *value /= length);
    }
    Some(rows)
}

fn identity(count: usize) -> Vec<Vec<f64>> {
    (0..count).map(|i| (0..count).map(|j| f64::from(u8::from(i == j))).collect()).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What a triangle makes of independent draws.
    fn product(triangle: &[Vec<f64>], i: usize, j: usize) -> f64 {
        triangle[i].iter().zip(&triangle[j]).map(|(a, b)| a * b).sum()
    }

    #[test]
    fn what_can_be_had_is_had() {
        let wanted = vec![vec![1.0, 0.6], vec![0.6, 1.0]];
        for memory in [[0.9, 0.9], [0.0, 0.0], [0.9, 0.8]] {
            let mix = Mix::new(&memory, &wanted);
            assert!((product(&mix.first, 0, 1) - 0.6).abs() < 1e-9, "{memory:?}");
        }
        // A score that forgets at once cannot follow one that never does.
        let mix = Mix::new(&[0.99, 0.0], &wanted);
        assert!((0.0..0.6).contains(&product(&mix.first, 0, 1)));
    }

    #[test]
    fn without_correlation_every_target_is_on_its_own() {
        let mix = Mix::new(&[0.9, 0.5, 0.0], &identity(3));
        assert!(mix.is_none());
        assert_eq!((mix.first, mix.news), (identity(3), identity(3)));
    }

    #[test]
    fn the_correlation_of_errors_is_found_as_far_as_there_are_enough() {
        let wave = |count: usize, shift: f64| (0..count).map(|k| (k as f64 * 2.3 + shift).sin()).collect::<Vec<f64>>();
        let of = |count: usize, shift: f64| {
            correlations(&[vec![(5, wave(count, 0.0))], vec![(5, wave(count, shift))]], &[0.0, 0.0])[0][1]
        };
        assert!(of(4_000, 0.0) > 0.99);
        assert!(of(4_000, std::f64::consts::PI) < -0.99);
        assert!((of(16, 0.0) - 0.5).abs() < 1e-9, "half the way for as many as the doubt");
        let slow = correlations(&[vec![(5, wave(100, 0.0))], vec![(5, wave(100, 0.0))]], &[0.95, 0.95])[0][1];
        assert!(slow < 0.25, "errors that remember count less: {slow}");
        let apart = correlations(&[vec![(5, wave(100, 0.0))], vec![(6, wave(100, 0.0))]], &[0.0, 0.0]);
        assert_eq!(apart, identity(2), "errors of other origins say nothing");
        let missing = correlations(&[vec![(5, vec![f64::NAN; 9])], vec![(5, wave(9, 0.0))]], &[0.0, 0.0]);
        assert_eq!(missing, identity(2));
    }

    proptest! {
        #[test]
        fn whatever_is_wanted_scores_stay_standard_and_shares_add_up(
            memory in prop::collection::vec(0.0..0.995_f64, 4),
            wanted in prop::collection::vec(-1.0..1.0_f64, 16),
        ) {
            let at = |i: usize, j: usize| wanted[4 * i.max(j) + i.min(j)];
            let matrix: Vec<Vec<f64>> =
                (0..4).map(|i| (0..4).map(|j| if i == j { 1.0 } else { at(i, j) }).collect()).collect();
            let mix = Mix::new(&memory, &matrix);
            for triangle in [&mix.first, &mix.news] {
                for i in 0..4 {
                    prop_assert!((product(triangle, i, i) - 1.0).abs() < 1e-9);
                    prop_assert!(triangle[i][i + 1..].iter().all(|value| *value == 0.0));
                }
            }
            // Stationary: one step later the scores are correlated as before.
            for i in 0..4 {
                for j in 0..i {
                    let own = |k: usize| (1.0 - memory[k] * memory[k]).sqrt();
                    let later = memory[i] * memory[j] * product(&mix.first, i, j) + own(i) * own(j) * product(&mix.news, i, j);
                    prop_assert!((later - product(&mix.first, i, j)).abs() < 1e-6, "{later}");
                }
            }
        }
    }
}
