//! A fitted detector of one asset: learned from its stored history, and asked about any stretch of it.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};

use super::predictor::{Predictor, View};
use crate::asset::AssetType;
use crate::features::{Grid, Layout};
use crate::score::anomaly::{Cusum, CusumStep, Detector, Hysteresis, Settings, TooFew, episodes};

/// Steps between two false alarms of the cumulative sums.
const RUN_LENGTH: usize = 10_000;
/// Draws of the history for their threshold.
const SEED: u64 = 1;
/// Steps that the level is averaged over.
const WINDOW: usize = 10;
/// A residual so many robust deviations from its median is no normal operation, nor are the steps
/// around it.
const GROSS: f64 = 12.0;
const AROUND: usize = 10;
/// Share of the history that may be left out for that; more than this is how the asset is.
const MOST_GROSS: f64 = 0.2;
/// Share of the history that may be left out because it was in alarm.
const MOST_FLAGGED: f64 = 0.5;
/// Intervals of scores in units of the threshold.
const RULE: Hysteresis = Hysteresis { smoothing: 2, begin: 1.0, end: 0.6, quiet: 5 };

/// What shows an anomaly.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = AnomalyKind)]
pub enum Kind {
    /// A step differs from what the steps before it say.
    Step,
    /// The level differs from what the inputs say.
    Level,
    /// Small differences of one sign do not go away.
    Drift,
}

/// Detectors of one asset.
#[derive(Debug)]
pub(super) struct Watch {
    names: Vec<String>,
    targets: Vec<usize>,
    step: Predictor,
    point: Detector,
    /// None where too little of the history lies behind settled filters.
    level: Option<(Predictor, Detector)>,
    cusum: Cusum,
    /// Of the history.
    pub(super) begin: DateTime<Utc>,
    pub(super) end: DateTime<Utc>,
    /// Normal steps of it.
    pub(super) steps: usize,
    pub(super) step_s: f64,
}

/// Steps that were judged.
#[derive(Debug)]
pub(super) struct Judged {
    /// In units of the threshold; `None` where nothing was measured.
    pub(super) scores: Vec<Option<f64>>,
    /// For each step what each target has to do with its score, in the order of `names`.
    pub(super) parts: Vec<Vec<f64>>,
    pub(super) intervals: Vec<Interval>,
}

/// Steps that are anomalous together.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Interval {
    pub(super) first: usize,
    pub(super) last: usize,
    pub(super) peak: usize,
    pub(super) score: f64,
    pub(super) kind: Kind,
    pub(super) open: bool,
    pub(super) contributions: BTreeMap<String, f64>,
}

impl Watch {
    /// Learns from a grid. What an older watch has in alarm is left out, unless that is most of it: the
    /// asset is then taken to have changed for good.
    pub(super) fn learn(
        asset_type: &AssetType,
        grid: &Grid,
        layout: &Layout,
        older: Option<&Self>,
    ) -> Result<Self, TooFew> {
        let steps = grid.len();
        let mut normal = vec![true; steps];
        if let Some(older) = older.filter(|older| older.fits(grid, layout)) {
            let flagged = older.flagged(grid);
            if flagged.iter().filter(|flagged| **flagged).count() as f64 <= MOST_FLAGGED * steps as f64 {
                normal = flagged.iter().map(|flagged| !flagged).collect();
            }
        }
        let both = |normal: &[bool]| {
            let (step, ahead) = Predictor::learn(View::Step, grid, layout, normal);
            let (level, held) = Predictor::learn(View::Level, grid, layout, normal);
            (step, ahead, level, held)
        };
        let (mut step, mut ahead, mut level, mut held) = both(&normal);
        let gross = gross(ahead.iter().chain(&held), steps);
        let count = gross.iter().filter(|gross| **gross).count();
        if count > 0 && count as f64 <= MOST_GROSS * steps as f64 {
            normal.iter_mut().zip(&gross).for_each(|(normal, gross)| *normal &= !gross);
            (step, ahead, level, held) = both(&normal);
        }
        let point = Detector::learn(&ahead, Settings { window: 1, wanders: false })?;
        let held = Detector::learn(&held, Settings { window: WINDOW, wanders: true });
        let level = held.ok().map(|held| (level, held));
        let distances = point.scores(&ahead, 0).distances;
        let cusum = Cusum::learn(&channels(ahead, &distances), RUN_LENGTH, SEED);
        let names = layout.targets.iter().map(|target| asset_type.document.signals[*target].name.clone()).collect();
        Ok(Self {
            names,
            targets: layout.targets.clone(),
            step,
            point,
            level,
            cusum,
            begin: grid.instants[0],
            end: grid.end,
            steps: normal.iter().filter(|normal| **normal).count(),
            step_s: grid.step_s,
        })
    }

    /// Whether it can judge a grid.
    pub(super) fn fits(&self, grid: &Grid, layout: &Layout) -> bool {
        self.targets == layout.targets && self.has_step_of(grid)
    }

    /// Whether the asset reports as often as it did in the history.
    pub(super) fn has_step_of(&self, grid: &Grid) -> bool {
        (self.step_s - grid.step_s).abs() < 1e-9
    }

    /// Names of the signals that are watched.
    pub(super) fn names(&self) -> &[String] {
        &self.names
    }

    /// Steps between two false alarms of the cumulative sums on average.
    pub(super) fn run_length(&self) -> usize {
        self.cusum.run_length()
    }

    /// Whether it has become too old for a state: learning again costs more than a look.
    pub(super) fn is_old(&self, newest: DateTime<Utc>, steps: f64) -> bool {
        newest - self.end > TimeDelta::microseconds((self.step_s * steps * 1e6) as i64)
    }

    /// Judges every step of a grid: a step of normal operation has a score above 1 with the probability
    /// `rate`, of which both detectors take half.
    pub(super) fn judge(&self, grid: &Grid, rate: f64) -> Judged {
        let offset =
            ((grid.instants[0] - self.begin).num_microseconds().unwrap_or(0) as f64 / 1e6 / self.step_s).round();
        let ahead = self.step.residuals(grid);
        let (point, most_point) = (self.point.scores(&ahead, offset as i64), self.point.careful_threshold(rate / 2.0));
        let level = self.level.as_ref().map(|(predictor, detector)| {
            let scores = detector.scores(&predictor.residuals(grid), offset as i64);
            (detector, scores, detector.careful_threshold(rate / 2.0))
        });
        let measured = |step: usize| self.targets.iter().any(|target| grid.measured[*target][step]);
        let sums = self.cusum.run(&channels(ahead, &point.distances));
        let ratios = |step: usize| {
            let of_level = level.as_ref().map_or(0.0, |(_, scores, most)| scores.distances[step] / most);
            (point.distances[step] / most_point, of_level)
        };
        let mut scores = Vec::with_capacity(grid.len());
        let mut parts = Vec::with_capacity(grid.len());
        let mut combined = Vec::with_capacity(grid.len());
        for (step, sum) in sums.iter().enumerate().take(grid.len()) {
            let (of_step, of_level) = ratios(step);
            let (detector, of, most) = match &level {
                Some((detector, scores, most)) if of_level > of_step => (*detector, scores, *most),
                _ => (&self.point, &point, most_point),
            };
            parts.push(detector.contributions(of, step).into_iter().map(|part| part / most).collect::<Vec<f64>>());
            let score = of_step.max(of_level);
            scores.push(measured(step).then_some(score));
            // A sum below its threshold says nothing, not even that an interval goes on: it falls slowly.
            let drift = if sum.ratio >= 1.0 { sum.ratio } else { 0.0 };
            combined.push(if measured(step) { score.max(drift) } else { 0.0 });
        }
        let kind_at = |step: usize| {
            let (of_step, of_level) = ratios(step);
            if sums[step].ratio >= 1.0 && sums[step].ratio > of_step.max(of_level) {
                Kind::Drift
            } else if of_step >= of_level {
                Kind::Step
            } else {
                Kind::Level
            }
        };
        let mut intervals: Vec<Interval> = Vec::new();
        for episode in episodes(&combined, RULE) {
            let kind = kind_at(episode.peak);
            let mut first = episode.steps.start;
            if kind_at(first) == Kind::Drift {
                // A sum is late: the change began when it left 0.
                let earliest = intervals.last().map_or(0, |before| before.last + 1);
                first = (first + 1).saturating_sub(sums[first].since).clamp(earliest.min(first), first);
            }
            intervals.push(Interval {
                first,
                last: episode.steps.end - 1,
                peak: episode.peak,
                score: combined[episode.peak],
                kind,
                open: episode.open,
                contributions: self.named(kind, &parts[episode.peak], sums[episode.peak]),
            });
        }
        Judged { scores, parts, intervals }
    }

    /// What each signal has to do with an interval, by what was seen at its peak.
    fn named(&self, kind: Kind, parts: &[f64], sum: CusumStep) -> BTreeMap<String, f64> {
        let channel = self.names.get(sum.channel).filter(|_| kind == Kind::Drift);
        let part = |(name, part): (&String, &f64)| match channel {
            Some(guilty) => (name.clone(), if name == guilty { sum.ratio } else { 0.0 }),
            None => (name.clone(), *part),
        };
        self.names.iter().zip(parts).map(part).collect()
    }

    /// Steps that are in alarm.
    fn flagged(&self, grid: &Grid) -> Vec<bool> {
        let mut flagged = vec![false; grid.len()];
        for interval in self.judge(grid, super::DEFAULT_RATE).intervals {
            flagged[interval.first..=interval.last].fill(true);
        }
        flagged
    }
}

/// What the cumulative sums watch: each residual, and the logarithm of the score.
fn channels(mut residuals: Vec<Vec<f64>>, distances: &[f64]) -> Vec<Vec<f64>> {
    let logarithms = (0..distances.len())
        .map(|step| {
            let seen = residuals.iter().any(|row| row[step].is_finite());
            if seen { (distances[step] + 0.1).ln() } else { f64::NAN }
        })
        .collect();
    residuals.push(logarithms);
    residuals
}

/// Steps with a residual that no normal operation has, and those around them.
fn gross<'a>(rows: impl Iterator<Item = &'a Vec<f64>>, steps: usize) -> Vec<bool> {
    let mut gross = vec![false; steps];
    for row in rows {
        let (middle, deviation) = robust(row);
        if deviation > 0.0 {
            let far = row.iter().enumerate().filter(|(_, value)| (*value - middle).abs() > GROSS * deviation);
            for (step, _) in far {
                gross[step.saturating_sub(AROUND)..(step + AROUND + 1).min(steps)].fill(true);
            }
        }
    }
    gross
}

/// Median, and the deviation that the median absolute deviation of Gaussian values would have.
fn robust(row: &[f64]) -> (f64, f64) {
    let mut known: Vec<f64> = row.iter().copied().filter(|value| value.is_finite()).collect();
    if known.is_empty() {
        return (0.0, 0.0);
    }
    let half = known.len() / 2;
    let middle = *known.select_nth_unstable_by(half, f64::total_cmp).1;
    known.iter_mut().for_each(|value| *value = (*value - middle).abs());
    (middle, 1.4826 * *known.select_nth_unstable_by(half, f64::total_cmp).1)
}
