//! Normal equations: sums of outer products that grow row by row, and ridge solutions of them.
//!
//! Always true: a [`Gram`] depends only on the rows added so far, so a copy taken on the way is
//! the Gram matrix of a history that ends there. Everything runs on the calling thread.
//! Deliberately absent: any other decomposition; a ridge makes every system positive definite.

mod vectors;

use std::ops::Range;

use faer::dyn_stack::{MemBuffer, MemStack};
use faer::linalg::cholesky::llt::factor::{cholesky_in_place, cholesky_in_place_scratch};
use faer::linalg::cholesky::llt::solve::{solve_in_place, solve_in_place_scratch};
use faer::linalg::matmul::matmul as matmul_all;
use faer::linalg::matmul::triangular::{BlockStructure, matmul};
use faer::traits::RealField;
use faer::{Accum, Mat, MatMut, MatRef, Par};
use vectors::clear_vectors;
pub(super) use vectors::{add_lagged, dot, substitute, times, total};

/// Rows added to a Gram matrix in one product: large enough for blocked arithmetic, small enough
/// to stay in the second-level cache.
const BLOCK: usize = 256;

/// Ridge on a feature that should pay none: only there to keep the system regular.
const FREE: f64 = 1e-6;

/// The sums `Z'Z` over rows `z = [features, target]`; the lower triangle is kept.
pub(super) struct Gram {
    sums: Mat<f64>,
    rows: usize,
    /// Where [`Gram::solve`] factorises.
    factor: Option<Mat<f64>>,
}

impl Clone for Gram {
    fn clone(&self) -> Self {
        Self { sums: self.leading(self.sums.nrows()), rows: self.rows, factor: None }
    }
}

impl Gram {
    /// Sums over no rows yet; `width` counts the features and the target.
    pub(super) fn new(width: usize) -> Self {
        Self { sums: Mat::zeros(width, width), rows: 0, factor: None }
    }

    /// The lower triangle of the first `count` rows and columns, column by column: a matrix is copied far
    /// oftener than it is added to, and faer copies number by number.
    fn leading(&self, count: usize) -> Mat<f64> {
        let mut copy = Mat::zeros(count, count);
        copy_lower(&self.sums, &mut copy);
        copy
    }

    /// How many rows were added.
    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    /// Adds rows that lie one after another, each `width` long.
    pub(super) fn add(&mut self, rows: &[f64]) {
        let width = self.sums.nrows();
        for block in rows.chunks(BLOCK * width) {
            let count = block.len() / width;
            let block = MatRef::from_row_major_slice(block, count, width);
            matmul(
                self.sums.as_mut(),
                BlockStructure::TriangularLower,
                Accum::Add,
                block.transpose(),
                BlockStructure::Rectangular,
                block,
                BlockStructure::Rectangular,
                1.0,
                Par::Seq,
            );
            self.rows += count;
        }
        clear_vectors();
    }

    /// Adds sums over rows that were counted apart, some of whose columns are columns of these: `to` says which, in
    /// ascending order.
    pub(super) fn take(&mut self, other: &Self, columns: Range<usize>, to: impl Fn(usize) -> usize) {
        for column in columns.clone() {
            let sums = &other.sums.col_as_slice(column)[column..columns.end];
            self.take_column(to(column), sums, |row| to(column + row));
        }
    }

    /// Adds sums of products with one column, of which `to` says with which other ones.
    pub(super) fn take_column(&mut self, column: usize, sums: &[f64], to: impl Fn(usize) -> usize) {
        for (row, sum) in sums.iter().enumerate() {
            let (one, other) = (to(row), column);
            self.sums.col_as_slice_mut(one.min(other))[one.max(other)] += sum;
        }
    }

    /// Counts rows whose sums were taken.
    pub(super) fn count(&mut self, rows: usize) {
        self.rows += rows;
    }

    /// The largest difference between two sums.
    #[cfg(test)]
    pub(super) fn apart(&self, other: &Self) -> f64 {
        let columns =
            (0..self.sums.ncols()).map(|j| (&self.sums.col_as_slice(j)[j..], &other.sums.col_as_slice(j)[j..]));
        columns.flat_map(|(a, b)| a.iter().zip(b)).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
    }

    /// Adds the rows of another matrix of the same width.
    pub(super) fn merge(&mut self, other: &Self) {
        self.sums += &other.sums;
        self.rows += other.rows;
    }

    /// Weights on some of the columns (ascending), of which `free` pays no ridge but [`FREE`], for each
    /// of the columns `targets`: one column of the result each, in the order of `columns`.
    pub(super) fn regress(
        &self,
        columns: &[usize],
        targets: Range<usize>,
        free: usize,
        ridge: f64,
    ) -> Option<Mat<f64>> {
        let count = columns.len();
        let mut factor = Mat::zeros(count, count);
        for (j, &from) in columns.iter().enumerate() {
            let (column, sums) = (factor.col_as_slice_mut(j), self.sums.col_as_slice(from));
            for (value, &to) in column[j..].iter_mut().zip(&columns[j..]) {
                *value = sums[to];
            }
            column[j] += if from == free { FREE } else { ridge };
        }
        factorise(&mut factor)?;
        let mut weights = Mat::from_fn(count, targets.len(), |i, j| self.sums[(targets.start + j, columns[i])]);
        substitute_all(&factor, &mut weights);
        let finite = (0..weights.ncols()).all(|j| weights.col_as_slice(j).iter().all(|w| w.is_finite()));
        finite.then_some(weights)
    }

    /// For each `(count, target)`, weights on the first `count` columns for the column `target`; `free`
    /// pays no ridge. The factor of a leading block is the leading block of the factor: one
    /// factorisation serves them all.
    pub(super) fn cascade(&self, leading: &[(usize, usize)], free: usize, ridge: f64) -> Option<Vec<Vec<f64>>> {
        let most = leading.iter().map(|(count, _)| *count).max()?;
        let mut factor = self.leading(most);
        for j in 0..most {
            factor[(j, j)] += if j == free { FREE } else { ridge };
        }
        factorise(&mut factor)?;
        let solve = |&(count, target): &(usize, usize)| {
            let mut weights: Vec<f64> = (0..count).map(|i| self.sums[(target, i)]).collect();
            substitute(&factor, &mut weights);
            weights.iter().all(|w| w.is_finite()).then_some(weights)
        };
        leading.iter().map(solve).collect()
    }

    /// Like [`Gram::solve`] with some of the features alone; the weights of all others are 0.
    pub(super) fn solve_with(&self, columns: &[usize], free: usize, ridge: f64) -> Option<Vec<f64>> {
        let target = self.sums.nrows() - 1;
        let some = self.regress(columns, target..target + 1, free, ridge)?;
        let mut weights = vec![0.0; target];
        for (&column, weight) in columns.iter().zip(some.col_as_slice(0)) {
            weights[column] = *weight;
        }
        Some(weights)
    }

    /// The mean squared error of `weights` on `columns` (ascending) as answers for the column `target`
    /// behind them; no row has to be kept for it.
    pub(super) fn error_of(&self, columns: &[usize], target: usize, weights: &[f64]) -> f64 {
        let mut sum = self.sums[(target, target)];
        for (place, (&j, weight)) in columns.iter().zip(weights).enumerate().filter(|(_, (_, w))| **w != 0.0) {
            let column = self.sums.col_as_slice(j);
            let below: f64 = columns[place + 1..].iter().zip(&weights[place + 1..]).map(|(&i, w)| column[i] * w).sum();
            sum += weight * (weight * column[j] + 2.0 * below - 2.0 * column[target]);
        }
        (sum / self.rows.max(1) as f64).max(0.0)
    }

    /// The same of weights on all features.
    pub(super) fn error(&self, weights: &[f64]) -> f64 {
        let columns: Vec<usize> = (0..weights.len()).collect();
        self.error_of(&columns, weights.len(), weights)
    }

    /// The weights that minimise squared error + `ridge` x squared weights, where the last
    /// feature (the intercept) pays `free` instead. `None` when the sums are not finite or too
    /// close to singular.
    pub(super) fn solve(&mut self, ridge: f64, free: f64) -> Option<Vec<f64>> {
        let features = self.sums.nrows() - 1;
        let factor = self.factor.get_or_insert_with(|| Mat::zeros(features, features));
        copy_lower(&self.sums, factor);
        for i in 0..features {
            factor[(i, i)] += if i + 1 == features { free } else { ridge };
        }
        let mut weights: Vec<f64> = (0..features).map(|i| self.sums[(features, i)]).collect();
        factorise(factor)?;
        substitute(factor, &mut weights);
        weights.iter().all(|w| w.is_finite()).then_some(weights)
    }
}

/// Copies as much of a lower triangle as there is room for.
fn copy_lower(from: &Mat<f64>, to: &mut Mat<f64>) {
    let count = to.nrows();
    for j in 0..count {
        to.col_as_slice_mut(j)[j..].copy_from_slice(&from.col_as_slice(j)[j..count]);
    }
}

/// `rows x columns'` of two matrices that lie row by row, each row `width` long: row by row, one number for
/// each of `columns`.
pub(super) fn products(rows: &[f64], columns: &[f64], width: usize) -> Vec<f64> {
    let (count, across) = (rows.len() / width.max(1), columns.len() / width.max(1));
    let mut all = vec![0.0; count * across];
    matmul_all(
        MatMut::from_row_major_slice_mut(&mut all, count, across),
        Accum::Replace,
        MatRef::from_row_major_slice(rows, count, width),
        MatRef::from_row_major_slice(columns, across, width).transpose(),
        1.0,
        Par::Seq,
    );
    clear_vectors();
    all
}

/// `one' x other` of two matrices with as many rows, which lie row by row and have these widths.
pub(super) fn outer((one, wide): (&[f64], usize), (other, across): (&[f64], usize)) -> Mat<f64> {
    let rows = one.len() / wide.max(1);
    let mut all = Mat::zeros(wide, across);
    matmul_all(
        all.as_mut(),
        Accum::Replace,
        MatRef::from_row_major_slice(one, rows, wide).transpose(),
        MatRef::from_row_major_slice(other, rows, across),
        1.0,
        Par::Seq,
    );
    clear_vectors();
    all
}

/// Replaces the lower triangle of a symmetric matrix by its Cholesky factor.
pub(super) fn factorise<T: RealField>(matrix: &mut Mat<T>) -> Option<()> {
    let scratch = cholesky_in_place_scratch::<T>(matrix.nrows(), Par::Seq, faer::prelude::default());
    let mut memory = MemBuffer::new(scratch);
    cholesky_in_place(
        matrix.as_mut(),
        faer::prelude::default(),
        Par::Seq,
        MemStack::new(&mut memory),
        faer::prelude::default(),
    )
    .ok()
    .map(|_| clear_vectors())
}

/// Solves `L L' X = B` in place for many columns, `L` being the lower triangle of `factor`.
pub(super) fn substitute_all<T: RealField>(factor: &Mat<T>, columns: &mut Mat<T>) {
    let scratch = solve_in_place_scratch::<T>(factor.nrows(), columns.ncols(), Par::Seq);
    let mut memory = MemBuffer::new(scratch);
    let stack = MemStack::new(&mut memory);
    solve_in_place(factor.as_ref(), columns.as_mut(), Par::Seq, stack);
    clear_vectors();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_recovered_from_its_points() {
        let mut gram = Gram::new(3);
        let rows: Vec<f64> = (0..600)
            .flat_map(|i| {
                let x = f64::from(i) / 100.0;
                [x, 1.0, 2.0 * x - 0.5]
            })
            .collect();
        gram.add(&rows);
        let weights = gram.solve(1e-9, 1e-9).expect("a line has a solution");
        assert_eq!(gram.rows(), 600);
        assert!((weights[0] - 2.0).abs() < 1e-6);
        assert!((weights[1] + 0.5).abs() < 1e-6);
    }

    #[test]
    fn errors_are_told_from_sums_alone() {
        let row = |i: i32| {
            let x = f64::from(i) / 50.0;
            [x, x.sin(), 1.0, 0.7 * x + 0.2 * (7.0 * x).sin()]
        };
        let mut early = Gram::new(4);
        early.add(&(0..150).flat_map(row).collect::<Vec<_>>());
        let mut late = Gram::new(4);
        late.add(&(150..400).flat_map(row).collect::<Vec<_>>());
        early.merge(&late);
        let weights = early.solve_with(&[0, 2], 2, 1e-3).expect("a line has a solution");
        assert_eq!(weights[1], 0.0);
        let squares = (0..400).map(|i| {
            let row = row(i);
            (row[3] - dot(&weights, &row[..3])).powi(2)
        });
        assert!((early.error(&weights) - squares.sum::<f64>() / 400.0).abs() < 1e-9);
    }

    #[test]
    fn rows_that_are_not_finite_have_no_solution() {
        let mut gram = Gram::new(2);
        gram.add(&[f64::NAN, 1.0, 1.0, 1.0]);
        assert!(gram.solve(1.0, 1.0).is_none());
    }
}
