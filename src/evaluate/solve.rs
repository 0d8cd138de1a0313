//! Ridge regression of several outputs by normal equations, which grow row by row.

use faer::dyn_stack::{MemBuffer, MemStack};
use faer::linalg::cholesky::llt::factor::{cholesky_in_place, cholesky_in_place_scratch};
use faer::linalg::cholesky::llt::solve::{solve_in_place, solve_in_place_scratch};
use faer::linalg::matmul::triangular::{BlockStructure, matmul};
use faer::{Accum, Mat, MatRef, Par};

/// Rows that are added in one product.
const BLOCK: usize = 256;
/// Ridge on the intercept: only there to keep the system regular.
const FREE: f64 = 1e-8;

/// Sums over rows `[features, outputs]`, of which the lower triangle is kept. The last feature is
/// the intercept.
pub(super) struct Sums {
    products: Mat<f64>,
    features: usize,
    waiting: Vec<f64>,
    rows: usize,
}

impl Sums {
    pub(super) fn new(features: usize, outputs: usize) -> Self {
        let width = features + outputs;
        Self { products: Mat::zeros(width, width), features, waiting: Vec::with_capacity(BLOCK * width), rows: 0 }
    }

    /// Takes a row, written by the caller behind the others.
    pub(super) fn row(&mut self, write: impl FnOnce(&mut Vec<f64>)) {
        write(&mut self.waiting);
        self.rows += 1;
        if self.waiting.len() >= BLOCK * self.products.nrows() {
            self.flush();
        }
    }

    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    fn flush(&mut self) {
        let width = self.products.nrows();
        let count = self.waiting.len() / width;
        if count == 0 {
            return;
        }
        let block = MatRef::from_row_major_slice(&self.waiting, count, width);
        let (whole, lower) = (BlockStructure::Rectangular, BlockStructure::TriangularLower);
        matmul(self.products.as_mut(), lower, Accum::Add, block.transpose(), whole, block, whole, 1.0, Par::Seq);
        self.waiting.clear();
    }

    /// Weights of the chosen features (the intercept among them, as the last) for every output,
    /// output by output; `None` where the system is singular.
    pub(super) fn solve(&mut self, chosen: &[usize], ridge: f64) -> Option<Vec<Vec<f64>>> {
        self.flush();
        let n = chosen.len();
        let outputs = self.products.nrows() - self.features;
        let at = |i: usize, j: usize| self.products[(i.max(j), i.min(j))];
        let mut factor = Mat::from_fn(n, n, |i, j| at(chosen[i], chosen[j]));
        for i in 0..n {
            factor[(i, i)] += if i + 1 == n { FREE } else { ridge };
        }
        let mut weights = Mat::from_fn(n, outputs, |i, k| self.products[(self.features + k, chosen[i])]);
        let mut memory = MemBuffer::new(cholesky_in_place_scratch::<f64>(n, Par::Seq, faer::prelude::default()));
        let stack = MemStack::new(&mut memory);
        cholesky_in_place(factor.as_mut(), faer::prelude::default(), Par::Seq, stack, faer::prelude::default()).ok()?;
        let mut memory = MemBuffer::new(solve_in_place_scratch::<f64>(n, outputs, Par::Seq));
        solve_in_place(factor.as_ref(), weights.as_mut(), Par::Seq, MemStack::new(&mut memory));
        let columns: Vec<Vec<f64>> = (0..outputs).map(|k| weights.col_as_slice(k).to_vec()).collect();
        columns.iter().flatten().all(|weight| weight.is_finite()).then_some(columns)
    }
}

/// Inner product.
pub(super) fn dot(a: &[f64], b: &[f64]) -> f64 {
    let (fours_a, rest_a) = a.as_chunks::<4>();
    let (fours_b, rest_b) = b.as_chunks::<4>();
    let mut strands = [0.0; 4];
    for (x, y) in fours_a.iter().zip(fours_b) {
        for k in 0..4 {
            strands[k] += x[k] * y[k];
        }
    }
    strands.iter().sum::<f64>() + rest_a.iter().zip(rest_b).map(|(x, y)| x * y).sum::<f64>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_of_a_linear_law_are_found_with_any_choice_of_features() {
        let mut sums = Sums::new(3, 2);
        for k in 0..600 {
            let (a, b) = ((f64::from(k) * 0.7).sin(), (f64::from(k) * 0.3).cos());
            sums.row(|row| row.extend([a, b, 1.0, 2.0 * a - b + 0.5, 3.0 * a]));
        }
        let all = sums.solve(&[0, 1, 2], 1e-9).unwrap();
        for (weight, expected) in all[0].iter().zip([2.0, -1.0, 0.5]) {
            assert!((weight - expected).abs() < 1e-6);
        }
        let some = sums.solve(&[0, 2], 1e-9).unwrap();
        assert!((some[1][0] - 3.0).abs() < 1e-6);
        assert_eq!(sums.rows(), 600);
    }
}
