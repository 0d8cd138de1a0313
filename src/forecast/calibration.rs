//! Conformal calibration: bands that cover as often as they say.
//!
//! Fine-tuning breaks calibration (80 % bands then covered 48 to 75 % when it was measured), so
//! every version carries widths found on windows that its gradients never saw: split-conformal
//! quantile regression (Romano et al. 2019), one factor for each target and block of the horizon.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::model::{LEVELS, MEDIAN, Quantiles};

/// Steps of the horizon that share a factor.
const BLOCK: usize = 16;
/// With fewer truths in a block the band stays as it is.
const FEWEST: usize = 40;
/// A factor outside these says that something else is wrong.
const WIDEST: (f64, f64) = (0.3, 6.0);
/// The central band whose coverage is made right, by the places of its ends in [`LEVELS`].
const BAND: (usize, usize, f64) = (2, 18, 0.8);

/// Factors on the distance of each quantile from the median.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Calibration {
    /// By target signal: a factor for each block of 16 steps; the last one goes on.
    pub widths: BTreeMap<String, Vec<f64>>,
}

impl Calibration {
    /// Finds a target's factors from answers and truths (NaN where not measured) of one horizon.
    pub fn fit(&mut self, target: &str, answers: &[Quantiles], truths: &[Vec<f64>]) {
        let steps = answers.first().map_or(0, Vec::len);
        let factors = (0..steps.div_ceil(BLOCK)).map(|block| {
            let span = block * BLOCK..((block + 1) * BLOCK).min(steps);
            let mut needed: Vec<f64> = answers
                .iter()
                .zip(truths)
                .flat_map(|(answer, truth)| span.clone().map(move |step| (&answer[step], truth[step])))
                .filter(|(_, truth)| truth.is_finite())
                .map(|(row, truth)| stretch(row, truth))
                .collect();
            if needed.len() < FEWEST {
                return 1.0;
            }
            needed.sort_by(f64::total_cmp);
            let n = needed.len() as f64;
            let rank = ((n + 1.0) * BAND.2).ceil().min(n) as usize - 1;
            needed[rank].clamp(WIDEST.0, WIDEST.1)
        });
        self.widths.insert(target.to_owned(), factors.collect());
    }

    /// Widens or narrows an answer of a target.
    pub fn apply(&self, target: &str, answer: &mut Quantiles) {
        let Some(last) = self.widths.get(target).and_then(|factors| factors.last()) else { return };
        let factors = &self.widths[target];
        for (step, row) in answer.iter_mut().enumerate() {
            let factor = factors.get(step / BLOCK).unwrap_or(last);
            let median = row[MEDIAN];
            for quantile in row {
                *quantile = median + factor * (*quantile - median);
            }
        }
    }
}

/// How many times wider the band would have to be to hold the truth just so.
fn stretch(row: &[f64; LEVELS.len()], truth: f64) -> f64 {
    let median = row[MEDIAN];
    let half = if truth >= median { row[BAND.1] - median } else { median - row[BAND.0] };
    (truth - median).abs() / half.max(1e-9)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Answers whose bands are `narrow` times what the truths need.
    fn case(narrow: f64) -> (Vec<Quantiles>, Vec<Vec<f64>>) {
        let z = [
            -2.33, -1.64, -1.28, -1.04, -0.84, -0.67, -0.52, -0.39, -0.25, -0.13, 0.0, 0.13, 0.25, 0.39, 0.52, 0.67,
            0.84, 1.04, 1.28, 1.64, 2.33,
        ];
        let answers = vec![vec![z.map(|z| z * narrow); 16]; 50];
        // Evenly spread normal scores: the truths of a standard normal distribution.
        let truths = (0..50)
            .map(|window| {
                (0..16)
                    .map(|step| {
                        let share = (f64::from(window * 16 + step) + 0.5) / 800.0;
                        let t = (-2.0 * share.min(1.0 - share).ln()).sqrt();
                        let value = t
                            - (2.515_517 + 0.802_853 * t + 0.010_328 * t * t)
                                / (1.0 + 1.432_788 * t + 0.189_269 * t * t + 0.001_308 * t * t * t);
                        if share < 0.5 { -value } else { value }
                    })
                    .collect()
            })
            .collect();
        (answers, truths)
    }

    #[test]
    fn narrow_bands_are_widened_to_their_coverage() {
        let (mut answers, truths) = case(0.5);
        let mut calibration = Calibration::default();
        calibration.fit("level", &answers, &truths);
        assert!((calibration.widths["level"][0] - 2.0).abs() < 0.05, "{calibration:?}");
        calibration.apply("level", &mut answers[0]);
        assert!((answers[0][0][18] - 1.28).abs() < 0.05);
    }

    #[test]
    fn an_unknown_target_is_left_alone() {
        let (mut answers, _) = case(1.0);
        let before = answers[0].clone();
        Calibration::default().apply("other", &mut answers[0]);
        assert_eq!(before, answers[0]);
    }
}
