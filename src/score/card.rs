//! The score card: what one forecaster achieved on a set of windows.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};

use super::error;
use super::interval::{level_shares, pinball, quantile_at};
use super::lead::{LeadCoverage, Leads};

/// Scores of one forecaster over all targets. Errors of a target are divided by its scale first
/// (the deviation that the [`Scorer`] was given), so targets of different units count alike.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ScoreCard {
    /// Forecast windows that were scored.
    pub windows: usize,
    /// Root mean squared error of the median, in deviations of the target.
    #[serde(deserialize_with = "null_is_infinite")]
    pub rmse: f64,
    /// Mean absolute error of the median, in deviations of the target.
    #[serde(deserialize_with = "null_is_infinite")]
    pub mae: f64,
    /// Mean pinball loss over the levels, in deviations of the target.
    #[serde(deserialize_with = "null_is_infinite")]
    pub pinball: f64,
    /// Continuous ranked probability score, in deviations of the target. The score that decides.
    #[serde(deserialize_with = "null_is_infinite")]
    pub crps: f64,
    /// Mean absolute scaled error of the median: over the targets that have one; see [`TargetScore`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mase: Option<f64>,
    /// Share of the truth inside the central 80 % interval, 0..1; honest is 0.8.
    pub coverage_80: f64,
    /// Share of the truth inside the central 95 % interval, 0..1; honest is 0.95. 0 in cards
    /// written before it was measured.
    #[serde(default)]
    pub coverage_95: f64,
    /// Mean width of the central 80 % interval, in deviations of the target.
    #[serde(deserialize_with = "null_is_infinite")]
    pub width_80: f64,
    /// Coverage by lead time, over all targets; empty in cards written before it was measured.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub by_lead: Vec<LeadCoverage>,
    /// The same for each target in its own unit.
    pub by_target: BTreeMap<String, TargetScore>,
}

/// Scores of one target, in its own unit.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct TargetScore {
    /// Steps whose truth was known.
    pub steps: usize,
    /// Root mean squared error of the median.
    #[serde(deserialize_with = "null_is_infinite")]
    pub rmse: f64,
    /// Mean absolute error of the median.
    #[serde(deserialize_with = "null_is_infinite")]
    pub mae: f64,
    /// Mean pinball loss over the levels.
    #[serde(deserialize_with = "null_is_infinite")]
    pub pinball: f64,
    /// Continuous ranked probability score.
    #[serde(deserialize_with = "null_is_infinite")]
    pub crps: f64,
    /// Mean absolute scaled error of the median (Hyndman and Koehler 2006): each absolute error in units of
    /// the mean absolute change from one step to the next before the window. Not there where that was not
    /// asked for, or the target had never moved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mase: Option<f64>,
    /// Share of the truth inside the central 80 % interval, 0..1.
    pub coverage_80: f64,
    /// Share of the truth inside the central 95 % interval, 0..1.
    #[serde(default)]
    pub coverage_95: f64,
    /// Mean width of the central 80 % interval.
    #[serde(deserialize_with = "null_is_infinite")]
    pub width_80: f64,
}

/// A card with the losses that it sums up.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Scored {
    /// The sums.
    pub card: ScoreCard,
    /// CRPS of each window in deviations of the targets, in the order of the windows; comparing
    /// two forecasters needs them paired.
    pub losses: Vec<f64>,
}

/// Scores windows one by one. Two forecasters that are fed the same truths get losses that pair.
#[derive(Clone, Debug)]
pub struct Scorer {
    levels: Vec<f64>,
    shares: Vec<f64>,
    targets: Vec<Target>,
    leads: Leads,
    losses: Vec<f64>,
}

#[derive(Clone, Debug)]
struct Target {
    name: String,
    scale: f64,
    sums: Sums,
}

#[derive(Clone, Debug, Default)]
struct Sums {
    steps: usize,
    squared: f64,
    absolute: f64,
    pinball: f64,
    crps: f64,
    inside: usize,
    inside_95: usize,
    width: f64,
    /// Absolute errors in units of the target's pace before their window, and how many there are.
    scaled: f64,
    scaled_steps: usize,
}

impl Scorer {
    /// A scorer of quantiles at ascending `levels` for targets with a name and a scale: a typical
    /// deviation of the target over the training data, in its unit. A scale that is zero or not
    /// finite counts as 1.
    #[must_use]
    pub fn new(levels: &[f64], targets: impl IntoIterator<Item = (String, f64)>) -> Self {
        let targets = targets.into_iter().map(|(name, scale)| {
            let scale = if scale.is_finite() && scale > 0.0 { scale } else { 1.0 };
            Target { name, scale, sums: Sums::default() }
        });
        let shares = level_shares(levels);
        Self {
            levels: levels.to_vec(),
            shares,
            targets: targets.collect(),
            leads: Leads::default(),
            losses: Vec::new(),
        }
    }

    /// Scores one window: `forecast[target][step][level]` in ascending levels against
    /// `truth[target][step]`, NaN where it is missing. A window without any truth is left out.
    pub fn window(&mut self, forecast: &[Vec<Vec<f64>>], truth: &[Vec<f64>]) {
        self.paced_window(forecast, truth, &[]);
    }

    /// The same with the `pace` of each target before the window, in its unit: the mean absolute change from
    /// one step to the next, for [`TargetScore::mase`].
    pub fn paced_window(&mut self, forecast: &[Vec<Vec<f64>>], truth: &[Vec<f64>], pace: &[Option<f64>]) {
        let (mut loss, mut scored) = (0.0, 0_usize);
        let paces = pace.iter().copied().chain(std::iter::repeat(None));
        for (((target, forecast), truth), pace) in self.targets.iter_mut().zip(forecast).zip(truth).zip(paces) {
            let mut sums = Sums::default();
            for (step, (quantiles, &truth)) in forecast.iter().zip(truth).enumerate() {
                if !truth.is_nan() {
                    let (inside, inside_95) = sums.step(&self.levels, &self.shares, quantiles, truth);
                    self.leads.count(step, inside, inside_95);
                }
            }
            if sums.steps > 0 {
                loss += sums.score().crps / target.scale;
                scored += 1;
                if let Some(pace) = pace.filter(|pace| pace.is_finite() && *pace > 0.0) {
                    (sums.scaled, sums.scaled_steps) = (sums.absolute / pace, sums.steps);
                }
                target.sums.add(&sums);
            }
        }
        if scored > 0 {
            self.losses.push(loss / scored as f64);
        }
    }

    /// The card and the losses.
    #[must_use]
    pub fn finish(self) -> Scored {
        let scored: Vec<(&Target, TargetScore)> =
            self.targets.iter().filter(|target| target.sums.steps > 0).map(|t| (t, t.sums.score())).collect();
        let mean = |of: &dyn Fn(&Target, &TargetScore) -> f64| {
            scored.iter().map(|(target, score)| of(target, score)).sum::<f64>() / scored.len().max(1) as f64
        };
        let scaled: Vec<f64> = scored.iter().filter_map(|(_, score)| score.mase).collect();
        let card = ScoreCard {
            windows: self.losses.len(),
            rmse: mean(&|target, score| (score.rmse / target.scale).powi(2)).sqrt(),
            mae: mean(&|target, score| score.mae / target.scale),
            pinball: mean(&|target, score| score.pinball / target.scale),
            crps: mean(&|target, score| score.crps / target.scale),
            mase: (!scaled.is_empty()).then(|| scaled.iter().sum::<f64>() / scaled.len() as f64),
            coverage_80: mean(&|_, score| score.coverage_80),
            coverage_95: mean(&|_, score| score.coverage_95),
            width_80: mean(&|target, score| score.width_80 / target.scale),
            by_lead: self.leads.coverage(),
            by_target: scored.into_iter().map(|(target, score)| (target.name.clone(), score)).collect(),
        };
        Scored { card, losses: self.losses }
    }
}

impl Sums {
    /// Counts a truth; whether the 80 and the 95 % interval hold it.
    fn step(&mut self, levels: &[f64], shares: &[f64], quantiles: &[f64], truth: f64) -> (bool, bool) {
        let at = |level| quantile_at(levels, quantiles, level).unwrap_or(f64::NAN);
        let median = error(at(0.5), truth);
        let (low, high) = (at(0.1), at(0.9));
        self.steps += 1;
        self.squared += median * median;
        self.absolute += median.abs();
        let held = (low <= truth && truth <= high, at(0.025) <= truth && truth <= at(0.975));
        self.inside += usize::from(held.0);
        self.inside_95 += usize::from(held.1);
        self.width += if low.is_finite() && high.is_finite() { high - low } else { f64::INFINITY };
        for ((&level, &share), &quantile) in levels.iter().zip(shares).zip(quantiles) {
            let loss = pinball(level, quantile, truth);
            self.pinball += loss / levels.len() as f64;
            self.crps += 2.0 * share * loss;
        }
        held
    }

    fn add(&mut self, other: &Self) {
        self.steps += other.steps;
        self.squared += other.squared;
        self.absolute += other.absolute;
        self.pinball += other.pinball;
        self.crps += other.crps;
        self.inside += other.inside;
        self.inside_95 += other.inside_95;
        self.width += other.width;
        self.scaled += other.scaled;
        self.scaled_steps += other.scaled_steps;
    }

    fn score(&self) -> TargetScore {
        let steps = self.steps as f64;
        TargetScore {
            steps: self.steps,
            rmse: (self.squared / steps).sqrt(),
            mae: self.absolute / steps,
            pinball: self.pinball / steps,
            crps: self.crps / steps,
            mase: (self.scaled_steps > 0).then(|| self.scaled / self.scaled_steps as f64),
            coverage_80: self.inside as f64 / steps,
            coverage_95: self.inside_95 as f64 / steps,
            width_80: self.width / steps,
        }
    }
}

/// JSON has no infinity, so a broken forecaster's losses are written as null.
fn null_is_infinite<'de, D: Deserializer<'de>>(from: D) -> Result<f64, D::Error> {
    Ok(Option::<f64>::deserialize(from)?.unwrap_or(f64::INFINITY))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEVELS: [f64; 3] = [0.1, 0.5, 0.9];

    fn scorer() -> Scorer {
        Scorer::new(&LEVELS, [("level".to_owned(), 2.0), ("flow".to_owned(), 0.0)])
    }

    /// One window: both targets forecast `median` plus and minus 1 at every step.
    fn band(median: f64, steps: usize) -> Vec<Vec<Vec<f64>>> {
        vec![vec![vec![median - 1.0, median, median + 1.0]; steps]; 2]
    }

    #[test]
    fn the_card_scales_targets_and_keeps_each_in_its_unit() {
        let mut scorer = scorer();
        scorer.window(&band(0.0, 2), &[vec![0.0, 2.0], vec![0.5, 0.5]]);
        let Scored { card, losses } = scorer.finish();
        assert_eq!((card.windows, losses.len()), (1, 1));
        let level = &card.by_target["level"];
        assert!((level.rmse - 2.0_f64.sqrt()).abs() < 1e-12 && (level.mae - 1.0).abs() < 1e-12);
        assert!((level.coverage_80 - 0.5).abs() < 1e-12 && (level.width_80 - 2.0).abs() < 1e-12);
        assert!((card.mae - f64::midpoint(1.0 / 2.0, 0.5)).abs() < 1e-12);
        assert!((card.coverage_80 - 0.75).abs() < 1e-12);
        assert_eq!((card.by_lead.len(), card.by_lead[0].truths, card.by_lead[0].coverage_80), (1, 4, 0.75));
        assert!((losses[0] - card.crps).abs() < 1e-12, "one window: its loss is the score");
    }

    #[test]
    fn the_wider_interval_lies_between_the_outermost_levels() {
        let mut scorer = Scorer::new(&[0.01, 0.05, 0.1, 0.5, 0.9, 0.95, 0.99], [("level".to_owned(), 1.0)]);
        let quantiles = vec![-4.0, -3.0, -2.0, 0.0, 2.0, 3.0, 4.0];
        // The 95 % interval ends three eighths of the way from the level 0.99 to 0.95, at 3.625.
        scorer.window(&[vec![quantiles; 4]], &[vec![1.0, 2.5, 3.62, -3.63]]);
        let card = scorer.finish().card;
        assert_eq!((card.coverage_80, card.coverage_95), (0.25, 0.75));
    }

    #[test]
    fn errors_are_scaled_by_the_pace_before_their_window() {
        let mut scorer = scorer();
        scorer.paced_window(&band(0.0, 2), &[vec![1.0, 3.0], vec![2.0, f64::NAN]], &[Some(0.5), None]);
        scorer.paced_window(&band(0.0, 2), &[vec![1.0, 1.0], vec![2.0, 2.0]], &[Some(2.0), Some(0.0)]);
        let card = scorer.finish().card;
        // 2 + 6 + 0.5 + 0.5 over four steps; the flow had not moved.
        assert_eq!(
            (card.by_target["level"].mase, card.by_target["flow"].mase, card.mase),
            (Some(2.25), None, Some(2.25))
        );
    }

    #[test]
    fn a_window_without_truth_is_left_out() {
        let mut scorer = scorer();
        scorer.window(&band(0.0, 1), &[vec![f64::NAN], vec![f64::NAN]]);
        scorer.window(&band(0.0, 1), &[vec![f64::NAN], vec![1.0]]);
        let Scored { card, losses } = scorer.finish();
        assert_eq!((card.windows, losses.len(), card.by_target.len()), (1, 1, 1));
    }

    #[test]
    fn a_forecaster_that_broke_once_loses_infinitely_much_and_survives_json() {
        let mut scorer = scorer();
        scorer.window(&band(f64::NAN, 1), &[vec![1.0], vec![1.0]]);
        scorer.window(&band(1.0, 1), &[vec![1.0], vec![1.0]]);
        let Scored { card, losses } = scorer.finish();
        assert!(card.crps.is_infinite() && losses[0].is_infinite() && losses[1].is_finite());
        let back: ScoreCard = serde_json::from_value(serde_json::to_value(&card).unwrap()).unwrap();
        assert_eq!(back, card);
    }

    #[test]
    fn nothing_scored_is_an_empty_card() {
        assert_eq!(scorer().finish().card, ScoreCard::default());
    }
}
