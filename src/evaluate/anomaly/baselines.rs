//! What a user would try first: limits on each signal, and principal components.

use faer::{Mat, Side};

use crate::score::anomaly::chi_squared_quantile;

/// Share of the variance that the principal components explain.
const EXPLAINED: f64 = 0.9;

/// Columns in deviations of their first `train` rows.
fn standardised(signals: &[Vec<f64>], train: usize) -> Vec<Vec<f64>> {
    let scaled = |signal: &Vec<f64>| {
        let count = train as f64;
        let mean = signal[..train].iter().sum::<f64>() / count;
        let variance = signal[..train].iter().map(|value| (value - mean).powi(2)).sum::<f64>() / count;
        let deviation = if variance > 0.0 { variance.sqrt() } else { 1.0 };
        signal.iter().map(|value| (value - mean) / deviation).collect()
    };
    signals.iter().map(scaled).collect()
}

/// Any signal beyond its own limit; the rate is shared between the signals.
pub(super) fn z_score(signals: &[Vec<f64>], train: usize, rate: f64) -> Vec<bool> {
    let scaled = standardised(signals, train);
    let limit = chi_squared_quantile(1.0 - rate / signals.len() as f64, 1.0);
    (0..scaled[0].len()).map(|row| scaled.iter().any(|signal| signal[row].powi(2) > limit)).collect()
}

/// Hotelling's T2 in the space of the principal components, or the squared residual Q beside it, with
/// the limit of Jackson and Mudholkar (1979); each takes half of the rate.
pub(super) fn pca(signals: &[Vec<f64>], train: usize, rate: f64) -> Option<Vec<bool>> {
    let (scaled, width) = (standardised(signals, train), signals.len());
    let product =
        |i: usize, j: usize| scaled[i][..train].iter().zip(&scaled[j][..train]).map(|(a, b)| a * b).sum::<f64>();
    let correlation = Mat::from_fn(width, width, |i, j| product(i, j) / train as f64);
    let parts = correlation.self_adjoint_eigen(Side::Lower).ok()?;
    let (vectors, values) = (parts.U(), parts.S().column_vector());
    // Largest first.
    let values: Vec<f64> = (0..width).rev().map(|k| values[k].max(0.0)).collect();
    let vector = |k: usize, i: usize| vectors[(i, width - 1 - k)];
    let total: f64 = values.iter().sum();
    let mut kept = 0;
    while kept < width && values[..kept].iter().sum::<f64>() < EXPLAINED * total {
        kept += 1;
    }
    let t2_limit = chi_squared_quantile(1.0 - rate / 2.0, kept as f64);
    let q_limit = q_limit(&values[kept..], rate / 2.0);
    let said = (0..scaled[0].len()).map(|row| {
        let at = |k: usize| (0..width).map(|i| vector(k, i) * scaled[i][row]).sum::<f64>();
        let t2: f64 = (0..kept).map(|k| at(k).powi(2) / values[k].max(1e-12)).sum();
        let q: f64 = (kept..width).map(|k| at(k).powi(2)).sum();
        t2 > t2_limit || q > q_limit
    });
    Some(said.collect())
}

/// The Q that residual components of these variances exceed with the probability `rate`.
fn q_limit(variances: &[f64], rate: f64) -> f64 {
    let moment = |power: i32| variances.iter().map(|variance| variance.powi(power)).sum::<f64>();
    let (first, second, third) = (moment(1), moment(2), moment(3));
    if second <= 0.0 {
        return f64::INFINITY;
    }
    let h = 1.0 - 2.0 * first * third / (3.0 * second * second);
    // The square of a normal quantile is a chi-squared one of half the rate on each side.
    let normal = chi_squared_quantile(1.0 - 2.0 * rate, 1.0).sqrt();
    let base = normal * (2.0 * second * h * h).sqrt() / first + 1.0 + second * h * (h - 1.0) / (first * first);
    first * base.max(0.0).powf(1.0 / h)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_of_equal_variances_is_a_chi_squared_quantile() {
        let limit = q_limit(&[1.0; 6], 0.01);
        assert!((limit / 16.81 - 1.0).abs() < 0.02, "{limit}");
    }

    #[test]
    fn what_breaks_the_correlation_is_found_by_q_alone() {
        let wave = |row: usize| (row as f64 * 0.7).sin();
        let jitter = |row: usize| 0.05 * (row as f64 * 2.3).cos();
        let one: Vec<f64> = (0..300).map(wave).collect();
        let other: Vec<f64> =
            (0..300).map(|row| if row == 250 { -wave(row) } else { wave(row) + jitter(row) }).collect();
        let third: Vec<f64> = (0..300).map(|row| wave(row) - jitter(row + 1)).collect();
        let signals = [one, other, third];
        assert!(!z_score(&signals, 200, 0.01)[250], "no signal is out of its own limits");
        assert!(pca(&signals, 200, 0.001).unwrap()[250]);
    }
}
