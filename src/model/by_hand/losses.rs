//! The losses of [`super::super::loss`] with their slopes.

use super::super::loss::HUBER_DELTA;
use super::super::network::{LEVELS, MEDIAN};
use super::super::recipe::{Loss, Recipe};
use super::Truths;

/// A loss, and what it needs to know.
pub(super) struct Losses {
    kind: Loss,
    delta: f32,
    levels: [f32; LEVELS.len()],
}

impl Losses {
    pub(super) fn of(recipe: &Recipe) -> Self {
        let delta = recipe.huber_delta.unwrap_or(HUBER_DELTA) as f32;
        Self { kind: recipe.loss, delta, levels: LEVELS.map(|level| level as f32) }
    }

    /// The sum of the losses of the chosen windows, each divided by its own unit, over the steps whose truth is known, and how
    /// many those are. `said` holds corrections step by step; `slopes` takes those of the mean by them.
    pub(super) fn sum(
        &self,
        truths: &Truths,
        future: usize,
        windows: &[usize],
        said: &[f32],
        slopes: Option<&mut [f32]>,
    ) -> (f64, f64) {
        let known = |window: usize| &truths.known[window * future..(window + 1) * future];
        let counted: f64 = windows.iter().flat_map(|window| known(*window)).map(|known| f64::from(*known)).sum();
        let mut none = [];
        let (slopes, wanted) = slopes.map_or((&mut none[..], false), |slopes| (slopes, true));
        let mut sum = 0.0;
        for (place, &window) in windows.iter().enumerate() {
            let (scale, unit) = (truths.scale[window], truths.unit[window]);
            for (step, known) in known(window).iter().enumerate().filter(|(_, known)| **known > 0.0) {
                let (at, row) = (window * future + step, (place * future + step) * LEVELS.len());
                let rest = truths.truth[at] - truths.bank[at];
                let weight = known / (LEVELS.len() as f32 * unit);
                let mut of_step = 0.0;
                for (level, said) in said[row..row + LEVELS.len()].iter().enumerate() {
                    let (loss, slope) = self.at(level, rest - scale * said, unit);
                    of_step += loss;
                    if wanted {
                        slopes[row + level] = -slope * scale * weight / counted.max(1.0) as f32;
                    }
                }
                sum += f64::from(of_step * weight);
            }
        }
        (sum, counted)
    }

    /// The loss of one level, as a part of their sum, and its slope by the error, truth less quantile.
    fn at(&self, level: usize, error: f32, unit: f32) -> (f32, f32) {
        let tau = self.levels[level];
        match self.kind {
            Loss::Mse if level == MEDIAN => (error * error / unit, 2.0 * error / unit),
            Loss::Pinball | Loss::Mse => {
                // Where both sides meet a slope is the mean of theirs.
                let slope = if error > 0.0 {
                    tau
                } else if error < 0.0 {
                    tau - 1.0
                } else {
                    tau - 0.5
                };
                (2.0 * (tau * error).max((tau - 1.0) * error), 2.0 * slope)
            }
            Loss::Huber => {
                let (size, share) = ((error / unit).abs(), if error < 0.0 { 1.0 - tau } else { tau });
                let inner = size.min(self.delta);
                let rounded = (size - 0.5 * inner) * inner / self.delta;
                let sign = if error < 0.0 { -1.0 } else { 1.0 };
                (2.0 * unit * share * rounded, 2.0 * share * sign * inner / self.delta)
            }
        }
    }
}
