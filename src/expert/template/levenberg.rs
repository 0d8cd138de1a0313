//! Nonlinear least squares by Levenberg and Marquardt: Gauss-Newton steps with a damping that
//! grows until the error falls.
//!
//! Always true: the error never rises, the work is bounded by the number of steps, equal problems
//! take equal steps.

use faer::Mat;

use super::super::algebra::{dot, factorise, substitute};

/// Damping at the start, relative to the diagonal of the normal equations.
const FIRST_DAMPING: f64 = 1e-2;
const LEAST_DAMPING: f64 = 1e-9;
/// Dampings tried before a step counts as impossible.
const TRIES: usize = 8;
/// A step that lowers the error by less than this share is the last one.
const ENOUGH: f64 = 1e-5;
/// Added to the diagonal so that a coordinate without influence stays where it is.
const FLOOR: f64 = 1e-9;

/// A column of the Jacobian: it is zero before `from` and after its values.
pub(super) struct Column {
    pub(super) from: usize,
    pub(super) values: Vec<f64>,
}

impl Column {
    /// The inner product of two columns.
    fn times(&self, other: &Self) -> f64 {
        let from = self.from.max(other.from);
        let end = (self.from + self.values.len()).min(other.from + other.values.len());
        if from >= end {
            return 0.0;
        }
        dot(&self.values[from - self.from..end - self.from], &other.values[from - other.from..end - other.from])
    }
}

/// Something with residuals that are to be small.
pub(super) trait Problem {
    /// The residuals at a place; not finite where the place is impossible.
    fn residuals(&self, place: &[f64]) -> Vec<f64>;

    /// How the residuals change with each coordinate.
    fn jacobian(&self, place: &[f64], residuals: &[f64]) -> Vec<Column>;
}

/// Where a search ended.
#[derive(Clone, Debug)]
pub(super) struct Solution {
    pub(super) place: Vec<f64>,
    /// The sum of squared residuals there.
    pub(super) error: f64,
}

/// Lowers the squared residuals from `start` in at most `steps` steps; `None` where the start is
/// impossible.
pub(super) fn minimise(problem: &impl Problem, start: Vec<f64>, steps: usize) -> Option<Solution> {
    let mut residuals = problem.residuals(&start);
    let mut best = Solution { place: start, error: dot(&residuals, &residuals) };
    if !best.error.is_finite() {
        return None;
    }
    let mut damping = FIRST_DAMPING;
    for _ in 0..steps {
        let columns = problem.jacobian(&best.place, &residuals);
        let normal = Normal::of(&columns, &residuals);
        let before = best.error;
        for _ in 0..TRIES {
            if let Some(step) = normal.step(damping) {
                let place: Vec<f64> = best.place.iter().zip(&step).map(|(x, s)| x - s).collect();
                let tried = problem.residuals(&place);
                let error = dot(&tried, &tried);
                if error < best.error {
                    (best, residuals) = (Solution { place, error }, tried);
                    damping = (0.2 * damping).max(LEAST_DAMPING);
                    break;
                }
            }
            damping *= 4.0;
        }
        if before - best.error <= ENOUGH * before {
            break;
        }
    }
    Some(best)
}

/// The normal equations of one linearisation.
struct Normal {
    products: Mat<f64>,
    gradient: Vec<f64>,
}

impl Normal {
    fn of(columns: &[Column], residuals: &[f64]) -> Self {
        let mut products = Mat::zeros(columns.len(), columns.len());
        for (i, a) in columns.iter().enumerate() {
            for (j, b) in columns[..=i].iter().enumerate() {
                products[(i, j)] = a.times(b);
            }
        }
        let gradient = columns.iter().map(|c| dot(&c.values, &residuals[c.from..c.from + c.values.len()])).collect();
        Self { products, gradient }
    }

    fn step(&self, damping: f64) -> Option<Vec<f64>> {
        let mut factor = self.products.clone();
        for i in 0..factor.nrows() {
            factor[(i, i)] += damping * factor[(i, i)] + FLOOR;
        }
        factorise(&mut factor)?;
        let mut step = self.gradient.clone();
        substitute(&factor, &mut step);
        step.iter().all(|s| s.is_finite()).then_some(step)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The valley of Rosenbrock, whose lowest place is (1, 1).
    struct Valley;

    impl Problem for Valley {
        fn residuals(&self, place: &[f64]) -> Vec<f64> {
            vec![10.0 * (place[1] - place[0] * place[0]), 1.0 - place[0]]
        }

        fn jacobian(&self, place: &[f64], _: &[f64]) -> Vec<Column> {
            vec![Column { from: 0, values: vec![-20.0 * place[0], -1.0] }, Column { from: 0, values: vec![10.0] }]
        }
    }

    #[test]
    fn the_bottom_of_a_curved_valley_is_found() {
        let solution = minimise(&Valley, vec![-1.2, 1.0], 60).expect("the start is possible");
        assert!(solution.error < 1e-12, "{solution:?}");
        assert!((solution.place[0] - 1.0).abs() < 1e-5);
    }

    #[test]
    fn an_impossible_start_has_no_solution() {
        assert!(minimise(&Valley, vec![f64::NAN, 1.0], 60).is_none());
    }
}
