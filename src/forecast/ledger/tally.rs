//! Sums over compared truths, and the scores that they make.
//!
//! Sums can be added, so a tally of a million truths is as small as one of three, and the order in
//! which predictions come true does not matter.

use serde::Serialize;
use sqlx::FromRow;

use super::super::{Bands, level_key};
use crate::score::{interval, skill};

/// Sums over truths of one signal.
#[derive(Clone, Copy, Debug, Default, PartialEq, FromRow)]
pub struct Tally {
    /// Predictions with a truth.
    pub vintages: i64,
    /// Truths that were compared.
    pub truths: i64,
    /// Truths that were not, because the inputs had left what was assumed of them.
    pub differed: i64,
    /// Median minus truth, in the signal's unit.
    pub error: f64,
    /// Absolute errors of the median.
    pub absolute: f64,
    /// Squared errors of the median.
    pub squared: f64,
    /// CRPS over the served levels.
    pub crps: f64,
    /// Absolute errors of the naive forecast.
    pub naive_absolute: f64,
    /// CRPS of the naive forecast over the same levels.
    pub naive_crps: f64,
    /// Truths with an 80 % band, and how many of them it held.
    pub of_80: i64,
    /// Held by the 80 % band.
    pub held_80: i64,
    /// Truths with a 95 % band, and how many of them it held.
    pub of_95: i64,
    /// Held by the 95 % band.
    pub held_95: i64,
}

/// What the sums say. Errors are in the signal's unit; null where there is nothing to say it of.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, utoipa::ToSchema)]
pub struct OutcomeScores {
    /// Measured values that were compared.
    pub truths: i64,
    /// Measured values that were not, because the inputs had left what was assumed of them.
    pub inputs_differed: i64,
    /// Mean of median minus measured value.
    pub bias: Option<f64>,
    /// Mean absolute error of the median.
    pub mae: Option<f64>,
    /// Root mean squared error of the median.
    pub rmse: Option<f64>,
    /// Mean continuous ranked probability score, over the levels that were served.
    pub crps: Option<f64>,
    /// Mean absolute error of the naive forecast from the same state: the last value holds.
    pub naive_mae: Option<f64>,
    /// 1 - CRPS / CRPS of the naive forecast over the same levels: 0 is as good, 1 perfect.
    pub vs_naive: Option<f64>,
    /// Share that the 80 % band held, where one was served.
    pub coverage_80: Option<f64>,
    /// Share that the 95 % band held, where one was served.
    pub coverage_95: Option<f64>,
}

/// Lead time that a step belongs to, counted from 0: 0 is the first step, n the steps from 2^(n-1) + 1
/// to 2^n.
#[must_use]
pub fn lead(step: usize) -> usize {
    (step + 1).next_power_of_two().trailing_zeros() as usize
}

/// First and last step of a lead time, counted from 1.
#[must_use]
pub fn steps_of(lead: usize) -> (usize, usize) {
    (if lead == 0 { 1 } else { (1 << (lead - 1)) + 1 }, 1 << lead)
}

/// The served quantiles of one signal, ready to be compared.
#[derive(Clone, Debug)]
pub struct Served<'a> {
    levels: Vec<f64>,
    rows: Vec<&'a [f64]>,
    band_80: Option<(&'a [f64], &'a [f64])>,
    band_95: Option<(&'a [f64], &'a [f64])>,
}

impl<'a> Served<'a> {
    /// Reads bands; `None` when they do not enclose the median, or are not whole.
    #[must_use]
    pub fn new(bands: &'a Bands) -> Option<Self> {
        let mut known: Vec<(f64, &[f64])> = bands
            .iter()
            .map(|(level, row)| Some((level.parse::<f64>().ok()?, row.as_slice())))
            .collect::<Option<_>>()?;
        known.sort_by(|a, b| a.0.total_cmp(&b.0));
        let (first, last) = (known.first()?, known.last()?);
        let whole = known.iter().all(|(_, row)| row.len() == first.1.len());
        if !whole || first.0 > 0.5 || last.0 < 0.5 {
            return None;
        }
        let band = |low: f64, high: f64| {
            Some((bands.get(&level_key(low))?.as_slice(), bands.get(&level_key(high))?.as_slice()))
        };
        let (band_80, band_95) = (band(0.1, 0.9), band(0.025, 0.975));
        let (levels, rows) = known.into_iter().unzip();
        Some(Self { levels, rows, band_80, band_95 })
    }

    /// The levels, ascending.
    #[must_use]
    pub fn levels(&self) -> &[f64] {
        &self.levels
    }

    /// Quantiles of a step, in the order of the levels; `None` beyond the last one.
    #[must_use]
    pub fn row(&self, step: usize) -> Option<Vec<f64>> {
        self.rows.iter().map(|row| row.get(step).copied()).collect()
    }

    /// The median of a step, on a straight line between the levels around it.
    #[must_use]
    pub fn median(&self, step: usize) -> Option<f64> {
        interval::quantile_at(&self.levels, &self.row(step)?, 0.5)
    }

    fn held(band: Option<(&[f64], &[f64])>, step: usize, truth: f64) -> Option<bool> {
        let (low, high) = band?;
        Some(*low.get(step)? <= truth && truth <= *high.get(step)?)
    }
}

impl Tally {
    /// Counts one truth at a step; `naive` are the naive forecast's quantiles at the served levels, and
    /// its median.
    pub fn count(&mut self, served: &Served<'_>, step: usize, truth: f64, naive: (&[f64], f64)) {
        let (Some(row), Some(median)) = (served.row(step), served.median(step)) else { return };
        let score = |row: &[f64]| interval::crps(served.levels(), row, truth).unwrap_or_default();
        let error = median - truth;
        self.truths += 1;
        self.error += error;
        self.absolute += error.abs();
        self.squared += error * error;
        self.crps += score(&row);
        self.naive_absolute += (naive.1 - truth).abs();
        self.naive_crps += score(naive.0);
        if let Some(held) = Served::held(served.band_80, step, truth) {
            self.of_80 += 1;
            self.held_80 += i64::from(held);
        }
        if let Some(held) = Served::held(served.band_95, step, truth) {
            self.of_95 += 1;
            self.held_95 += i64::from(held);
        }
    }

    /// Adds other sums.
    pub fn add(&mut self, other: &Self) {
        self.vintages += other.vintages;
        self.truths += other.truths;
        self.differed += other.differed;
        self.error += other.error;
        self.absolute += other.absolute;
        self.squared += other.squared;
        self.crps += other.crps;
        self.naive_absolute += other.naive_absolute;
        self.naive_crps += other.naive_crps;
        self.of_80 += other.of_80;
        self.held_80 += other.held_80;
        self.of_95 += other.of_95;
        self.held_95 += other.held_95;
    }

    /// What the sums say.
    #[must_use]
    pub fn scores(&self) -> OutcomeScores {
        let share = |sum: f64, of: i64| (of > 0).then(|| sum / of as f64);
        let mean = |sum: f64| share(sum, self.truths);
        OutcomeScores {
            truths: self.truths,
            inputs_differed: self.differed,
            bias: mean(self.error),
            mae: mean(self.absolute),
            rmse: mean(self.squared).map(f64::sqrt),
            crps: mean(self.crps),
            naive_mae: mean(self.naive_absolute),
            vs_naive: if self.truths > 0 { skill(self.crps, self.naive_crps) } else { None },
            coverage_80: share(self.held_80 as f64, self.of_80),
            coverage_95: share(self.held_95 as f64, self.of_95),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn bands(rows: &[(&str, f64)]) -> Bands {
        rows.iter().map(|(level, value)| ((*level).to_owned(), vec![*value; 4])).collect::<BTreeMap<_, _>>()
    }

    #[test]
    fn lead_times_double() {
        let leads: Vec<usize> = [0, 1, 2, 3, 4, 7, 8, 15, 16, 63, 64, 511].into_iter().map(lead).collect();
        assert_eq!(leads, [0, 1, 2, 2, 3, 3, 4, 4, 5, 6, 7, 9]);
        for step in 0..512 {
            let (from, to) = steps_of(lead(step));
            assert!((from..=to).contains(&(step + 1)), "step {step}");
        }
    }

    #[test]
    fn a_truth_is_scored_by_what_was_served() {
        let served = bands(&[("0.1", 1.0), ("0.5", 2.0), ("0.9", 3.0)]);
        let served = Served::new(&served).unwrap();
        let mut tally = Tally::default();
        tally.count(&served, 0, 2.5, (&[3.0, 4.0, 5.0], 4.0));
        tally.count(&served, 1, 3.5, (&[3.0, 4.0, 5.0], 4.0));
        tally.count(&served, 4, 3.5, (&[3.0, 4.0, 5.0], 4.0));
        let scores = tally.scores();
        assert_eq!((scores.truths, scores.bias, scores.mae, scores.naive_mae), (2, Some(-1.0), Some(1.0), Some(1.0)));
        assert_eq!((scores.coverage_80, scores.coverage_95), (Some(0.5), None));
        let crps = |row: &[f64], truth| interval::crps(&[0.1, 0.5, 0.9], row, truth).unwrap();
        let (own, naive) = ([1.0, 2.0, 3.0], [3.0, 4.0, 5.0]);
        let expected = 1.0 - (crps(&own, 2.5) + crps(&own, 3.5)) / (crps(&naive, 2.5) + crps(&naive, 3.5));
        assert!((scores.vs_naive.unwrap() - expected).abs() < 1e-12);
    }

    #[test]
    fn levels_that_do_not_enclose_the_median_are_not_scored() {
        assert!(Served::new(&bands(&[("0.9", 1.0)])).is_none());
        assert!(Served::new(&Bands::new()).is_none());
        let around = bands(&[("0.4", 1.0), ("0.6", 3.0)]);
        assert_eq!(Served::new(&around).unwrap().median(0).map(|median| (median * 1e9).round()), Some(2e9));
        assert_eq!(Tally::default().scores().mae, None);
    }

    proptest! {
        #[test]
        fn the_order_of_truths_does_not_matter(truths in prop::collection::vec(-5.0..5.0_f64, 1..20), cut in 0_usize..20) {
            let served = bands(&[("0.025", -2.0), ("0.1", -1.0), ("0.5", 0.0), ("0.9", 1.0), ("0.975", 2.0)]);
            let served = Served::new(&served).unwrap();
            let tally = |truths: &[f64]| {
                let mut tally = Tally::default();
                truths.iter().for_each(|truth| tally.count(&served, 0, *truth, (&[0.0; 5], 0.0)));
                tally
            };
            let (first, second) = truths.split_at(cut.min(truths.len()));
            let mut parts = tally(second);
            parts.add(&tally(first));
            let (whole, parts) = (tally(&truths).scores(), parts.scores());
            prop_assert_eq!((whole.truths, whole.coverage_80, whole.coverage_95), (parts.truths, parts.coverage_80, parts.coverage_95));
            prop_assert!((whole.crps.unwrap() - parts.crps.unwrap()).abs() < 1e-9);
            prop_assert!((whole.rmse.unwrap() - parts.rmse.unwrap()).abs() < 1e-9);
        }
    }
}
