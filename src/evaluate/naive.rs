//! What costs nothing: the last value, and the last season.

use super::forecaster::Point;
use super::task::{Span, Task};

/// Shortest season that is looked for, and the longest as a share of the training part.
const SHORTEST: usize = 4;
const REPEATS: usize = 4;
/// Autocorrelation that makes a season.
const LEAST: f64 = 0.3;
/// Longest season that is looked for.
const LONGEST: usize = 1_000;

/// The last value holds.
pub(super) struct Persistence {
    targets: Vec<Vec<f64>>,
}

impl Persistence {
    pub(super) fn new(task: &Task) -> Self {
        Self { targets: rows(task) }
    }
}

impl Point for Persistence {
    fn predict(&self, span: Span) -> Vec<Vec<f64>> {
        self.targets.iter().map(|row| vec![row[span.origin - 1]; span.steps]).collect()
    }
}

/// The last season repeats itself; the last value holds where the training part has no season.
pub(super) struct Seasonal {
    targets: Vec<Vec<f64>>,
    periods: Vec<Option<usize>>,
    starts: Vec<usize>,
}

impl Seasonal {
    pub(super) fn new(task: &Task) -> Self {
        let targets = rows(task);
        let train = task.protocol.train.clone();
        let periods = targets.iter().map(|row| task.protocol.season.or_else(|| period(&row[train.clone()]))).collect();
        Self { targets, periods, starts: task.grid.starts.clone() }
    }
}

impl Point for Seasonal {
    fn predict(&self, span: Span) -> Vec<Vec<f64>> {
        let start = self.starts.iter().rev().find(|start| **start < span.origin).copied().unwrap_or(0);
        let rows = self.targets.iter().zip(&self.periods);
        rows.map(|(row, period)| {
            // A segment that is younger than a season knows none.
            let period = period.filter(|period| span.origin - start >= *period).unwrap_or(1);
            (0..span.steps).map(|step| row[span.origin - period + step % period]).collect()
        })
        .collect()
    }
}

fn rows(task: &Task) -> Vec<Vec<f64>> {
    task.layout.targets.iter().map(|target| task.grid.values[*target].clone()).collect()
}

/// The lag of the highest peak of the autocorrelation.
fn period(values: &[f64]) -> Option<usize> {
    let longest = (values.len() / REPEATS).min(LONGEST);
    // Enough of a long record to see any season of that length.
    let values = &values[values.len().saturating_sub(20 * LONGEST)..];
    let mean = values.iter().sum::<f64>() / values.len().max(1) as f64;
    let centred: Vec<f64> = values.iter().map(|value| value - mean).collect();
    let product = |lag: usize| {
        let sum: f64 = centred[lag..].iter().zip(&centred).map(|(now, then)| now * then).sum();
        sum / (centred.len() - lag) as f64
    };
    let variance = product(0);
    if longest <= SHORTEST + 1 || variance <= 0.0 {
        return None;
    }
    let correlation: Vec<f64> = (0..=longest).map(|lag| product(lag) / variance).collect();
    let peak = |lag: &usize| correlation[*lag] > correlation[lag - 1] && correlation[*lag] >= correlation[lag + 1];
    (SHORTEST..longest)
        .filter(peak)
        .filter(|lag| correlation[*lag] >= LEAST)
        .max_by(|a, b| correlation[*a].total_cmp(&correlation[*b]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_period_of_a_wave_is_found_and_noise_has_none() {
        let wave: Vec<f64> = (0..400).map(|k| (f64::from(k) * std::f64::consts::TAU / 24.0).sin()).collect();
        assert_eq!(period(&wave), Some(24));
        let mut state = 1_u64;
        let noise: Vec<f64> = (0..400)
            .map(|_| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                (state >> 33) as f64
            })
            .collect();
        assert_eq!(period(&noise), None);
    }
}
