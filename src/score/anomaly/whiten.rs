//! Correlation of residuals, shrunk so that little history cannot make it wild, and its inverse root.

use faer::{Mat, Side};

/// Makes standardised residuals uncorrelated while changing them least.
#[derive(Clone, Debug)]
pub struct Whitening {
    /// Rows of the inverse root of the correlation.
    rows: Vec<Vec<f64>>,
    /// How much of the correlation was given up for none, 0..1.
    pub shrinkage: f64,
}

impl Whitening {
    /// Of residuals that are uncorrelated already.
    #[must_use]
    pub fn identity(width: usize) -> Self {
        let row = |place: usize| (0..width).map(|other| f64::from(u8::from(place == other))).collect();
        Self { rows: (0..width).map(row).collect(), shrinkage: 1.0 }
    }

    /// Learns from samples, each with a value per signal; samples with a NaN are left out. The
    /// correlation is shrunk towards none by as much as minimises the expected error (Ledoit and Wolf
    /// 2004).
    #[must_use]
    pub fn fit(samples: &[Vec<f64>]) -> Self {
        let width = samples.first().map_or(0, Vec::len);
        let whole: Vec<&Vec<f64>> =
            samples.iter().filter(|sample| sample.iter().all(|value| value.is_finite())).collect();
        let count = whole.len() as f64;
        if whole.len() < 3 || width < 2 {
            return Self::identity(width);
        }
        let root = |signal: usize| (whole.iter().map(|sample| sample[signal].powi(2)).sum::<f64>() / count).sqrt();
        let sizes: Vec<f64> = (0..width).map(root).collect();
        if sizes.iter().any(|size| *size <= 0.0) {
            return Self::identity(width);
        }
        let mut scaled: Vec<Vec<f64>> =
            whole.iter().map(|sample| sample.iter().zip(&sizes).map(|(value, size)| value / size).collect()).collect();
        for signal in 0..width {
            let mean = scaled.iter().map(|sample| sample[signal]).sum::<f64>() / count;
            scaled.iter_mut().for_each(|sample| sample[signal] -= mean);
        }
        let mut covariance = Mat::<f64>::zeros(width, width);
        for sample in &scaled {
            for i in 0..width {
                for j in 0..width {
                    covariance[(i, j)] += sample[i] * sample[j] / count;
                }
            }
        }
        let mean = (0..width).map(|i| covariance[(i, i)]).sum::<f64>() / width as f64;
        let places = || (0..width).flat_map(|i| (0..width).map(move |j| (i, j)));
        let on_diagonal = |i: usize, j: usize| if i == j { mean } else { 0.0 };
        let dispersion: f64 = places().map(|(i, j)| (covariance[(i, j)] - on_diagonal(i, j)).powi(2)).sum();
        let noise: f64 = scaled
            .iter()
            .map(|sample| places().map(|(i, j)| (sample[i] * sample[j] - covariance[(i, j)]).powi(2)).sum::<f64>())
            .sum::<f64>()
            / (count * count);
        let shrinkage = if dispersion > 0.0 { (noise / dispersion).min(1.0) } else { 1.0 };
        let shrunk = Mat::from_fn(width, width, |i, j| {
            (1.0 - shrinkage) * covariance[(i, j)] + if i == j { shrinkage } else { 0.0 }
        });
        inverse_root(&shrunk).map_or_else(|| Self::identity(width), |rows| Self { rows, shrinkage })
    }

    /// The uncorrelated residuals of a step.
    #[must_use]
    pub fn apply(&self, residuals: &[f64]) -> Vec<f64> {
        self.rows.iter().map(|row| row.iter().zip(residuals).map(|(weight, value)| weight * value).sum()).collect()
    }
}

/// `M^(-1/2)`, symmetric; `None` when it cannot be had.
fn inverse_root(matrix: &Mat<f64>) -> Option<Vec<Vec<f64>>> {
    let width = matrix.nrows();
    let parts = matrix.self_adjoint_eigen(Side::Lower).ok()?;
    let (vectors, values) = (parts.U(), parts.S().column_vector());
    let largest = (0..width).map(|k| values[k]).fold(0.0, f64::max);
    // Signals that say the same to the last digit must not make the distance infinite.
    let roots: Vec<f64> = (0..width).map(|k| values[k].max(1e-6 * largest).sqrt().recip()).collect();
    let entry = |i: usize, j: usize| (0..width).map(|k| vectors[(i, k)] * roots[k] * vectors[(j, k)]).sum::<f64>();
    let rows: Vec<Vec<f64>> = (0..width).map(|i| (0..width).map(|j| entry(i, j)).collect()).collect();
    rows.iter().flatten().all(|entry| entry.is_finite()).then_some(rows)
}
