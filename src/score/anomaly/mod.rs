//! Anomalies: how far the residuals of what was expected lie from those of normal operation.
//!
//! A [`Detector`] learns from residuals of normal history alone. It takes their mean over a short
//! window, divides it by the spread that such a mean has at its lead ([`Spread`]), and measures the
//! squared Mahalanobis distance under a shrunk correlation ([`Whitening`]); the threshold follows
//! from a false-alarm rate ([`Tail`]). What is too small to be seen at one step but does not go away
//! is found by cumulative sums ([`Cusum`]). [`episodes`] makes intervals of scores. Residuals of NaN
//! are missing and say nothing; no score is ever NaN. Whoever predicts is not known here.

mod cusum;
mod episode;
mod spread;
mod tail;
#[cfg(test)]
mod tests;
mod whiten;

pub use self::cusum::{Cusum, CusumStep};
pub use self::episode::{Episode, Hysteresis, episodes};
pub use self::spread::Spread;
pub use self::tail::{Tail, chi_squared_quantile, prediction_limit};
pub use self::whiten::Whitening;

/// Steps of normal history that a detector needs at least, for each step of its window.
pub const FEWEST_WINDOWS: usize = 30;
/// A lead is never taken to be shorter than this share of the history: the level that is expected was
/// itself measured over all of it.
const SHORTEST_LEAD: f64 = 0.25;
/// Windows without overlap from which on the tail of the history decides alone.
const TAIL_WINDOWS: usize = 1_000;

/// Independent distances beyond a threshold from which on the history has shown its tail there.
const SHOWN: f64 = 10.0;
/// Correlation below which neighbours count as independent, and the longest lag that is looked at, as a
/// share of the history.
const UNCORRELATED: f64 = 0.05;
const LONGEST_LAG: usize = 8;

/// What a detector is to look at.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Settings {
    /// Steps that are averaged before they are judged: 1 judges every step by itself and finds spikes,
    /// more find small changes that last.
    pub window: usize,
    /// Whether the level that is expected may wander, so that the spread of a window mean grows with
    /// the time since the history. Residuals that are no forecasts of one step need it.
    pub wanders: bool,
}

/// Too little history: steps that there are, and steps that are needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there are {have} steps of normal history and {need} are needed")]
pub struct TooFew {
    /// Steps of normal history.
    pub have: usize,
    /// Steps that are needed.
    pub need: usize,
}

/// What normal residuals look like.
#[derive(Clone, Debug)]
pub struct Detector {
    settings: Settings,
    /// Of all signals.
    width: usize,
    /// Signals that moved; one that never did says nothing about how it moves.
    moving: Vec<usize>,
    centre: Vec<f64>,
    scale: Vec<f64>,
    spreads: Vec<Spread>,
    whitening: Whitening,
    tail: Tail,
    steps: usize,
    /// Window means of the history that are as good as independent.
    independent: f64,
}

/// Residuals as a detector sees them.
#[derive(Clone, Debug)]
pub struct Scores {
    /// Squared Mahalanobis distance of each step.
    pub distances: Vec<f64>,
    /// For each signal that moved, for each step: its standardised window mean.
    standardised: Vec<Vec<f64>>,
}

impl Detector {
    /// Learns from residuals, a row per signal, all of normal operation and equally long; NaN is
    /// missing.
    pub fn learn(residuals: &[Vec<f64>], settings: Settings) -> Result<Self, TooFew> {
        let window = settings.window.max(1);
        let steps = residuals.first().map_or(0, Vec::len);
        let known = (0..steps).filter(|step| residuals.iter().any(|row| row[*step].is_finite())).count();
        let need = FEWEST_WINDOWS * window.max(10);
        let (mut moving, mut centre, mut scale) = (Vec::new(), Vec::new(), Vec::new());
        for (signal, row) in residuals.iter().enumerate() {
            let (mean, deviation, count) = moments(row);
            if deviation > 1e-9 * mean.abs().max(f64::MIN_POSITIVE) && deviation.is_finite() && 2 * count >= known {
                moving.push(signal);
                centre.push(mean);
                scale.push(deviation);
            }
        }
        if known < need || moving.is_empty() {
            return Err(TooFew { have: if moving.is_empty() { 0 } else { known }, need });
        }
        let mut detector = Self {
            settings: Settings { window, ..settings },
            width: residuals.len(),
            spreads: vec![Spread::default(); moving.len()],
            whitening: Whitening::identity(moving.len()),
            moving,
            centre,
            scale,
            tail: Tail::default(),
            steps,
            independent: 0.0,
        };
        let means: Vec<Vec<f64>> = (0..detector.moving.len()).map(|place| detector.means(place, residuals)).collect();
        detector.spreads =
            means.iter().map(|means| Spread::fit(&means[window - 1..], settings.wanders, window)).collect();
        // What the level does slowly is in the spread already: only changes over one window show how
        // signals move together.
        let changes: Vec<Vec<f64>> = (2 * window..steps)
            .step_by(window)
            .map(|step| means.iter().map(|row| row[step] - row[step - window]).collect())
            .collect();
        detector.whitening = Whitening::fit(&changes);
        detector.independent = means.iter().map(|row| independent(row)).fold(f64::INFINITY, f64::min);
        let scores = detector.scores(residuals, 0);
        let judged = (window..steps).filter(|step| residuals.iter().any(|row| row[*step].is_finite()));
        detector.tail = Tail::fit(judged.map(|step| scores.distances[step]).collect());
        Ok(detector)
    }

    /// Judges residuals, a row per signal, of which the first step lies `offset` steps behind the first
    /// one of the history. The first steps see only a part of their window: give a little more.
    #[must_use]
    pub fn scores(&self, residuals: &[Vec<f64>], offset: i64) -> Scores {
        let steps = residuals.first().map_or(0, Vec::len);
        let standardised: Vec<Vec<f64>> = (0..self.moving.len())
            .map(|place| {
                let means = self.means(place, residuals);
                let spread = |step: usize| self.spreads[place].at(self.lead(offset + step as i64)).sqrt();
                means
                    .iter()
                    .enumerate()
                    .map(|(step, mean)| if mean.is_finite() { (mean / spread(step)).clamp(-1e6, 1e6) } else { 0.0 })
                    .collect()
            })
            .collect();
        let mut row = vec![0.0; self.moving.len()];
        let distances = (0..steps)
            .map(|step| {
                row.iter_mut().zip(&standardised).for_each(|(z, of)| *z = of[step]);
                self.whitening.apply(&row).iter().map(|u| u * u).sum()
            })
            .collect();
        Scores { distances, standardised }
    }

    /// What each signal has to do with the squared distance of a step: not negative, and their sum is
    /// the distance. The residuals are made uncorrelated by the transformation that changes them least
    /// (ZCA, Kessy, Lewin and Strimmer 2018), so that each part still belongs to a signal.
    #[must_use]
    pub fn contributions(&self, scores: &Scores, step: usize) -> Vec<f64> {
        let row: Vec<f64> = scores.standardised.iter().map(|of| of[step]).collect();
        let mut contributions = vec![0.0; self.width];
        for (signal, u) in self.moving.iter().zip(self.whitening.apply(&row)) {
            contributions[*signal] = u * u;
        }
        contributions
    }

    /// The squared distance that a step of normal operation exceeds with the probability `rate`.
    ///
    /// From the tail of the history; where that is too short to have shown its tail, not below what
    /// Gaussian residuals of the same spread would have (a chi-squared quantile).
    #[must_use]
    pub fn threshold(&self, rate: f64) -> f64 {
        let seen = self.tail.threshold(rate);
        if self.tail.len() / self.settings.window >= TAIL_WINDOWS {
            return seen;
        }
        seen.max(chi_squared_quantile(1.0 - rate, self.moving.len() as f64))
    }

    /// The squared distance that a step of normal operation exceeds with the probability `rate`, however
    /// little the history says of it.
    ///
    /// Neighbouring window means say nearly the same: where too few of them are as good as independent to
    /// have shown the tail, it is not below the limit that allows for what so few leave unknown of mean and
    /// spread ([`prediction_limit`]).
    #[must_use]
    pub fn careful_threshold(&self, rate: f64) -> f64 {
        let seen = self.tail.threshold(rate);
        if self.independent * rate >= SHOWN {
            return seen;
        }
        seen.max(prediction_limit(rate, self.moving.len() as f64, self.independent))
    }

    /// Steps of history that it learned from.
    #[must_use]
    pub fn steps(&self) -> usize {
        self.steps
    }

    /// Distance in time from the middle of the history, as a share of its length.
    fn lead(&self, step: i64) -> f64 {
        let steps = self.steps as f64;
        ((step as f64 - steps / 2.0).abs() / steps).max(SHORTEST_LEAD)
    }

    /// Means over the window that ends at each step, in deviations of the history; NaN where more than
    /// half of it is missing.
    fn means(&self, place: usize, residuals: &[Vec<f64>]) -> Vec<f64> {
        let row = &residuals[self.moving[place]];
        let (centre, scale, window) = (self.centre[place], self.scale[place], self.settings.window);
        let (mut sum, mut count) = (0.0, 0_usize);
        let value = |step: usize| Some((row[step] - centre) / scale).filter(|value| value.is_finite());
        (0..row.len())
            .map(|step| {
                if step % 256 == 0 {
                    // A running sum gathers rounding errors: it begins anew now and then.
                    (sum, count) = (0.0, 0);
                    for value in (step.saturating_sub(window)..step).filter_map(value) {
                        (sum, count) = (sum + value, count + 1);
                    }
                }
                if let Some(value) = value(step) {
                    (sum, count) = (sum + value, count + 1);
                }
                if let Some(left) = step.checked_sub(window).and_then(value) {
                    (sum, count) = (sum - left, count - 1);
                }
                if 2 * count >= window.min(step + 1) && count > 0 { sum / count as f64 } else { f64::NAN }
            })
            .collect()
    }
}

/// How many values of a row are as good as independent: their number by the integrated autocorrelation
/// time (Sokal 1997), which is summed up to where correlation is lost. Missing values count for nothing.
fn independent(row: &[f64]) -> f64 {
    let (mean, deviation, count) = moments(row);
    if deviation <= 0.0 || deviation.is_nan() {
        return 0.0;
    }
    let known: Vec<f64> =
        row.iter().map(|value| if value.is_finite() { (value - mean) / deviation } else { 0.0 }).collect();
    let correlation = |lag: usize| {
        known[lag..].iter().zip(&known).map(|(late, early)| late * early).sum::<f64>() / count.max(1) as f64
    };
    let lags = (1..row.len() / LONGEST_LAG).map(correlation).take_while(|correlation| *correlation > UNCORRELATED);
    count as f64 / (1.0 + 2.0 * lags.sum::<f64>())
}

/// Mean, deviation and number of the finite values.
pub(crate) fn moments(values: &[f64]) -> (f64, f64, usize) {
    let known = || values.iter().copied().filter(|value| value.is_finite());
    let count = known().count();
    let mean = known().sum::<f64>() / count.max(1) as f64;
    let variance = known().map(|value| (value - mean).powi(2)).sum::<f64>() / count.max(1) as f64;
    (mean, variance.sqrt(), count)
}
