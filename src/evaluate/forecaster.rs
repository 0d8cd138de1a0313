//! What a forecaster is, and how a point forecaster gets bands.

use super::EvaluateError;
use super::task::{Span, Task};
use crate::model::{LEVELS, MEDIAN, Quantiles};

/// Steps of the horizon that share their residuals.
const BLOCK: usize = 16;

/// Anything that can be asked for the future.
pub(super) trait Forecaster {
    /// For each span, for each target of the layout: quantiles in the signal's unit, sorted.
    fn forecast(&mut self, spans: &[Span]) -> Result<Vec<Vec<Quantiles>>, EvaluateError>;

    /// CPU-seconds that one forecast has cost before it was asked for.
    fn spent(&self) -> f64 {
        0.0
    }
}

/// A forecaster that says one number.
pub(super) trait Point {
    /// For each target of the layout, in the signal's unit.
    fn predict(&self, span: Span) -> Vec<Vec<f64>>;
}

/// A point forecaster with the quantiles of its errors on the validation part around it. The
/// median stays where the point was.
pub(super) struct Banded<P> {
    point: P,
    /// For each target, for each block of the horizon.
    errors: Vec<Vec<[f64; LEVELS.len()]>>,
}

impl<P: Point> Banded<P> {
    pub(super) fn new(point: P, task: &Task) -> Self {
        let blocks = task.protocol.horizon.div_ceil(BLOCK);
        let mut residuals = vec![vec![Vec::new(); blocks]; task.layout.targets.len()];
        for span in task.validation_spans() {
            for (place, answer) in point.predict(span).into_iter().enumerate() {
                for (step, (answer, truth)) in answer.iter().zip(task.truth(place, span)).enumerate() {
                    if truth.is_finite() {
                        residuals[place][(step / BLOCK).min(blocks - 1)].push(truth - answer);
                    }
                }
            }
        }
        let errors = residuals.into_iter().map(|blocks| {
            let mut newest = [0.0; LEVELS.len()];
            blocks
                .into_iter()
                .map(|residuals| {
                    // A block beyond the validation part is as uncertain as the one before.
                    if !residuals.is_empty() {
                        newest = quantiles(residuals);
                    }
                    newest
                })
                .collect()
        });
        Self { errors: errors.collect(), point }
    }

    /// The point forecaster, to be fitted again once the bands are made.
    pub(super) fn point_mut(&mut self) -> &mut P {
        &mut self.point
    }
}

impl<P: Point> Forecaster for Banded<P> {
    fn forecast(&mut self, spans: &[Span]) -> Result<Vec<Vec<Quantiles>>, EvaluateError> {
        let band = |span: &Span| {
            let answers = self.point.predict(*span).into_iter().zip(&self.errors);
            answers
                .map(|(answer, errors)| {
                    let row =
                        |(step, value): (usize, f64)| errors[(step / BLOCK).min(errors.len() - 1)].map(|e| value + e);
                    answer.into_iter().enumerate().map(row).collect()
                })
                .collect()
        };
        Ok(spans.iter().map(band).collect())
    }
}

/// Quantiles of errors at the levels, with 0 at the median.
fn quantiles(mut errors: Vec<f64>) -> [f64; LEVELS.len()] {
    errors.sort_by(f64::total_cmp);
    let mut found = LEVELS.map(|level| {
        let place = level * (errors.len() - 1) as f64;
        let (below, above) = (errors[place as usize], errors[(place as usize + 1).min(errors.len() - 1)]);
        below + place.fract() * (above - below)
    });
    for (place, value) in found.iter_mut().enumerate() {
        *value = match place.cmp(&MEDIAN) {
            std::cmp::Ordering::Less => value.min(0.0),
            std::cmp::Ordering::Equal => 0.0,
            std::cmp::Ordering::Greater => value.max(0.0),
        };
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bands_of_errors_are_sorted_around_the_point() {
        let errors = quantiles((0..101).map(f64::from).collect());
        assert_eq!(errors[MEDIAN], 0.0);
        assert!((errors[18] - 90.0).abs() < 1e-9);
        assert!(errors.is_sorted());
    }
}
