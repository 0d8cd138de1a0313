//! How far two answers lie apart, and which limits they judge otherwise. Pure.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::forecast::{Bands, tidy};
use crate::scenario::Outcome;

/// How far two courses lie apart.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, utoipa::ToSchema)]
#[schema(as = ModelGap)]
pub struct Gap {
    /// The largest absolute difference of the medians at a step.
    pub largest: f64,
    /// The step at which it is, from 1.
    pub step: usize,
    /// The mean absolute difference over the steps.
    pub mean: f64,
}

/// How far two answers about an output lie apart.
#[derive(Clone, Debug, PartialEq, Serialize, utoipa::ToSchema)]
#[schema(as = ModelOutputGap)]
pub struct OutputGap {
    /// UCUM unit of everything here.
    pub unit: String,
    /// Of the unmodified future.
    pub baseline: Gap,
    /// Of the difference that the scenario makes.
    pub delta: Gap,
    /// The larger of the two, as a share of the range that the asset's type gives the output; null where it
    /// gives none.
    pub share: Option<f64>,
}

/// How a limit of a scenario fares, as two versions see it.
#[derive(Clone, Debug, PartialEq, Serialize, utoipa::ToSchema)]
#[schema(as = ModelLimitGap)]
pub struct LimitGap {
    /// The input or output.
    pub signal: String,
    /// Its UCUM unit.
    pub unit: String,
    /// The lower limit.
    pub min: Option<f64>,
    /// The upper limit.
    pub max: Option<f64>,
    /// Probability with which it was to be kept.
    pub probability: f64,
    /// Probability that it is kept over the whole horizon, as the version sees it.
    pub kept: f64,
    /// The same, as the version that it is compared with sees it.
    pub kept_against: f64,
    /// Whether that is enough, as the version sees it.
    pub met: bool,
    /// The same, as the version that it is compared with sees it.
    pub met_against: bool,
}

/// Compares two answers to a what-if of one scenario; `ranges` are those of the outputs that have one.
pub(super) fn between(
    first: &Outcome,
    second: &Outcome,
    ranges: &BTreeMap<String, f64>,
) -> BTreeMap<String, OutputGap> {
    let of = |name: &String, unit: &String| {
        let baseline = gap(first.baseline.signals.get(name)?, second.baseline.signals.get(name)?)?;
        let (one, other) = (first.scenarios.first()?, second.scenarios.first()?);
        let delta = gap(one.delta.get(name)?, other.delta.get(name)?)?;
        let share = ranges.get(name).map(|range| tidy(baseline.largest.max(delta.largest) / range));
        Some((name.clone(), OutputGap { unit: unit.clone(), baseline, delta, share }))
    };
    first.baseline.signals.keys().filter_map(|name| of(name, first.units.get(name)?)).collect()
}

/// How both see the limits of a scenario, in its order.
pub(super) fn limits(first: &Outcome, second: &Outcome) -> Vec<LimitGap> {
    let of = |outcome: &Outcome| outcome.scenarios.first().map(|one| one.constraints.clone()).unwrap_or_default();
    let pairs = of(first).into_iter().zip(of(second));
    pairs
        .map(|(own, other)| LimitGap {
            unit: first.units.get(&own.signal).cloned().unwrap_or_default(),
            signal: own.signal,
            min: own.min,
            max: own.max,
            probability: own.probability,
            kept: own.time_to_limit.not_within_horizon,
            kept_against: other.time_to_limit.not_within_horizon,
            met: own.met,
            met_against: other.met,
        })
        .collect()
}

/// The largest of all, and the mean of the means.
pub(super) fn together<'a>(all: impl Iterator<Item = &'a BTreeMap<String, OutputGap>>) -> BTreeMap<String, OutputGap> {
    let mut found: BTreeMap<String, Vec<&OutputGap>> = BTreeMap::new();
    for (name, gap) in all.flatten() {
        found.entry(name.clone()).or_default().push(gap);
    }
    let whole = |gaps: &[&OutputGap], of: fn(&OutputGap) -> Gap| {
        let worst = gaps.iter().map(|gap| of(gap)).max_by(|one, other| one.largest.total_cmp(&other.largest))?;
        let mean = gaps.iter().map(|gap| of(gap).mean).sum::<f64>() / gaps.len() as f64;
        Some(Gap { mean: tidy(mean), ..worst })
    };
    let summed = |(name, gaps): (String, Vec<&OutputGap>)| {
        let (baseline, delta) = (whole(&gaps, |gap| gap.baseline)?, whole(&gaps, |gap| gap.delta)?);
        let share = gaps.iter().filter_map(|gap| gap.share).max_by(f64::total_cmp);
        Some((name, OutputGap { unit: gaps.first()?.unit.clone(), baseline, delta, share }))
    };
    found.into_iter().filter_map(summed).collect()
}

fn gap(one: &Bands, other: &Bands) -> Option<Gap> {
    let pairs = one.get("0.5")?.iter().zip(other.get("0.5")?);
    let apart: Vec<f64> = pairs.map(|(a, b)| (a - b).abs()).collect();
    let (step, largest) = apart.iter().enumerate().rev().max_by(|(_, a), (_, b)| a.total_cmp(b))?;
    let mean = apart.iter().sum::<f64>() / apart.len() as f64;
    Some(Gap { largest: tidy(*largest), step: step + 1, mean: tidy(mean) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bands(values: &[f64]) -> Bands {
        [("0.5".to_owned(), values.to_vec())].into()
    }

    fn output(largest: f64, mean: f64) -> BTreeMap<String, OutputGap> {
        let gap = Gap { largest, step: 3, mean };
        let (delta, share) = (Gap { step: 7, ..gap }, Some(largest / 10.0));
        [("level".to_owned(), OutputGap { unit: "m".to_owned(), baseline: gap, delta, share })].into()
    }

    #[test]
    fn the_largest_gap_is_found_where_it_first_is() {
        let found = gap(&bands(&[1.0, 2.0, 3.0, 4.0]), &bands(&[1.0, 0.5, 4.5, 4.0])).unwrap();
        assert_eq!(found, Gap { largest: 1.5, step: 2, mean: 0.75 });
        assert_eq!(gap(&bands(&[1.0]), &bands(&[1.0])), Some(Gap { largest: 0.0, step: 1, mean: 0.0 }));
        assert_eq!(gap(&bands(&[]), &bands(&[])), None);
        assert_eq!(gap(&Bands::new(), &bands(&[1.0])), None);
    }

    #[test]
    fn scenarios_are_summed_up_by_the_worst_and_the_mean() {
        let (one, other) = (output(2.0, 0.5), output(5.0, 1.5));
        let whole = together([&one, &other].into_iter());
        assert_eq!(whole["level"].baseline, Gap { largest: 5.0, step: 3, mean: 1.0 });
        assert_eq!(whole["level"].delta, Gap { largest: 5.0, step: 7, mean: 1.0 });
        assert_eq!(whole["level"].share, Some(0.5));
        assert!(together([&BTreeMap::new()].into_iter()).is_empty());
    }
}
