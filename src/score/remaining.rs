//! Remaining time as a distribution, and how good such distributions are.
//!
//! A distribution knows times up to its horizon; what lies beyond is one share of the probability. Truths
//! beyond a horizon are compared as if they lay on it. Times are in any unit, the same throughout.

use serde::{Deserialize, Serialize};

/// Levels of the band that is to hold 80 % of the truths.
const BAND: (f64, f64) = (0.1, 0.9);

/// How long something still lasts: probabilities of equally long stretches of time from now on, the last
/// one of all that lies beyond.
#[derive(Clone, Debug, PartialEq)]
pub struct RemainingTime {
    width: f64,
    masses: Vec<f64>,
}

impl RemainingTime {
    /// From the length of a stretch and the probabilities, which are made to sum to 1. `None` for less than
    /// one stretch and what lies beyond it, or without any probability.
    #[must_use]
    pub fn new(width: f64, mut masses: Vec<f64>) -> Option<Self> {
        let sum: f64 = masses.iter().sum();
        let sound = masses.len() >= 2 && masses.iter().all(|mass| *mass >= 0.0) && sum > 0.0 && sum.is_finite();
        masses.iter_mut().for_each(|mass| *mass /= sum);
        (sound && width > 0.0 && width.is_finite()).then_some(Self { width, masses })
    }

    /// How far it knows.
    #[must_use]
    pub fn horizon(&self) -> f64 {
        self.width * (self.masses.len() - 1) as f64
    }

    /// Probability that it lasts longer than the horizon.
    #[must_use]
    pub fn beyond(&self) -> f64 {
        self.masses[self.masses.len() - 1]
    }

    /// Probability that it lasts no longer than a time within the horizon.
    #[must_use]
    pub fn by(&self, time: f64) -> f64 {
        let place = (time.min(self.horizon()) / self.width).max(0.0);
        let whole = (place as usize).min(self.masses.len() - 1);
        let part = if whole + 1 < self.masses.len() { self.masses[whole] * (place - whole as f64) } else { 0.0 };
        self.masses[..whole].iter().sum::<f64>() + part
    }

    /// The time that is not exceeded with this probability; `None` where it lies beyond the horizon.
    #[must_use]
    pub fn quantile(&self, level: f64) -> Option<f64> {
        let mut below = 0.0;
        for (stretch, mass) in self.masses[..self.masses.len() - 1].iter().enumerate() {
            if below + mass >= level && *mass > 0.0 {
                return Some(self.width * (stretch as f64 + ((level - below) / mass).max(0.0)));
            }
            below += mass;
        }
        None
    }

    /// The expected time, what lies beyond the horizon counting as the horizon.
    #[must_use]
    pub fn mean(&self) -> f64 {
        let inside = self.masses[..self.masses.len() - 1].iter().enumerate();
        let inside: f64 = inside.map(|(stretch, mass)| mass * (stretch as f64 + 0.5) * self.width).sum();
        inside + self.beyond() * self.horizon()
    }

    /// Continuous ranked probability score over the times up to `most` (Gneiting and Ranjan 2011, with all of
    /// the weight there): the mean absolute error of a distribution.
    #[must_use]
    pub fn crps(&self, truth: f64, most: f64) -> f64 {
        let most = most.min(self.horizon());
        let edges = (0..self.masses.len()).map(|edge| edge as f64 * self.width);
        let mut cuts: Vec<f64> = edges.chain([truth, most]).filter(|cut| (0.0..=most).contains(cut)).collect();
        cuts.sort_by(f64::total_cmp);
        let part = |pair: &[f64]| {
            let step = if pair[0] >= truth { 1.0 } else { 0.0 };
            let (low, high) = (self.by(pair[0]) - step, self.by(pair[1]) - step);
            (pair[1] - pair[0]) * (low * low + low * high + high * high) / 3.0
        };
        cuts.windows(2).map(part).sum()
    }
}

/// How well remaining times were told.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct RemainingCard {
    /// Moments at which it was asked.
    pub cases: usize,
    /// Root of the mean squared error of the expected time, in seconds.
    pub rmse_s: f64,
    /// Mean absolute error of the median, in seconds.
    pub mae_s: f64,
    /// Continuous ranked probability score up to the horizon, in seconds.
    pub crps_s: f64,
    /// Share of the truths below the horizon that lie between its 10 and its 90 % quantile; null where none does.
    pub coverage_80: Option<f64>,
    /// What it was asked about ends here, in seconds: all that lies beyond counts as this.
    pub horizon_s: f64,
}

impl RemainingCard {
    /// Compares distributions with how long it then lasted, up to a horizon.
    #[must_use]
    pub fn of(said: &[RemainingTime], truths: &[f64], horizon: f64) -> Self {
        let (mut squares, mut errors, mut crps, mut held, mut known) = (0.0, 0.0, 0.0, 0, 0);
        for (told, truth) in said.iter().zip(truths) {
            let capped = truth.min(horizon);
            squares += (told.mean().min(horizon) - capped).powi(2);
            errors += (told.quantile(0.5).unwrap_or(horizon).min(horizon) - capped).abs();
            crps += told.crps(*truth, horizon);
            if *truth < horizon.min(told.horizon()) {
                known += 1;
                let low = told.quantile(BAND.0).is_some_and(|low| low <= *truth);
                let high = told.quantile(BAND.1).is_none_or(|high| *truth <= high);
                held += usize::from(low && high);
            }
        }
        let cases = said.len().min(truths.len());
        let mean = |sum: f64| if cases > 0 { sum / cases as f64 } else { 0.0 };
        Self {
            cases,
            rmse_s: mean(squares).sqrt(),
            mae_s: mean(errors),
            crps_s: mean(crps),
            coverage_80: (known > 0).then(|| f64::from(held as u32) / f64::from(known)),
            horizon_s: horizon,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn quantiles_and_shares_of_a_known_distribution() {
        let time = RemainingTime::new(10.0, vec![0.2, 0.6, 0.2]).unwrap();
        assert_eq!((time.horizon(), time.beyond()), (20.0, 0.2));
        assert!((time.quantile(0.1).unwrap() - 5.0).abs() < 1e-9 && (time.quantile(0.5).unwrap() - 15.0).abs() < 1e-9);
        assert_eq!(time.quantile(0.9), None, "it lies beyond the horizon");
        assert!((time.mean() - (0.2 * 5.0 + 0.6 * 15.0 + 0.2 * 20.0)).abs() < 1e-9);
        assert!((time.by(15.0) - 0.5).abs() < 1e-9 && (time.by(1e9) - 0.8).abs() < 1e-9);
        assert_eq!(RemainingTime::new(10.0, vec![1.0]), None);
        assert_eq!(RemainingTime::new(10.0, vec![0.0, 0.0]), None);
        assert_eq!(RemainingTime::new(10.0, vec![0.5, f64::NAN]), None);
    }

    #[test]
    fn a_card_of_two_moments() {
        let sharp = |stretch: usize| {
            let mut masses = vec![0.0; 11];
            masses[stretch] = 1.0;
            RemainingTime::new(1.0, masses).unwrap()
        };
        let card = RemainingCard::of(&[sharp(3), sharp(10)], &[5.5, 40.0], 10.0);
        assert_eq!((card.cases, card.horizon_s, card.coverage_80), (2, 10.0, Some(0.0)));
        assert!((card.rmse_s - 2.0_f64.sqrt()).abs() < 1e-9 && (card.mae_s - 1.0).abs() < 1e-9, "{card:?}");
        let right = RemainingCard::of(&[sharp(5), sharp(10)], &[5.5, 40.0], 10.0);
        assert_eq!(right.coverage_80, Some(1.0));
        assert!(right.crps_s < 0.1 && card.crps_s > 0.8, "{right:?} {card:?}");
    }

    proptest! {
        #[test]
        fn the_score_of_what_was_so_is_best_and_agrees_with_the_integral(
            masses in proptest::collection::vec(0.01..1.0_f64, 2..8), truth in 0.0..9.0_f64,
        ) {
            let time = RemainingTime::new(1.0, masses).unwrap();
            let most = time.horizon();
            let steps = 20_000;
            let height = |k: usize| most * (k as f64 + 0.5) / f64::from(steps);
            let square = |at: f64| (time.by(at) - if at >= truth { 1.0 } else { 0.0 }).powi(2);
            let sum: f64 = (0..steps as usize).map(|k| square(height(k))).sum();
            prop_assert!((time.crps(truth, most) - sum * most / f64::from(steps)).abs() < 1e-3);
            for level in [0.1, 0.5, 0.9] {
                if let Some(at) = time.quantile(level) {
                    prop_assert!((time.by(at) - level).abs() < 1e-9);
                }
            }
        }
    }
}
