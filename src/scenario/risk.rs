//! Risk of a future: constraints and KPIs on its joint sample paths, and which scenario fares best.
//!
//! Paths are drawn for this alone when the caller wants to see none, with the same luck for the
//! baseline and every scenario: what differs between them is what the scenario does.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::ask::WhatIf;
use super::constraint::{Constraint, ConstraintOutcome};
use super::kpi::{CompiledKpi, Kpi};
use super::plan::Wrong;
use super::standing::Standing;
use crate::forecast::{Future, Lots, Situation, level_key, tidy};
use crate::model::Quantiles;

/// Sample paths that risk is computed from when the request does not say.
pub(super) const USUAL_SAMPLES: usize = 400;
/// The fewest, where there are many scenarios.
const FEWEST_SAMPLES: usize = 100;
/// Values of all paths together from which on fewer samples are drawn, if nobody said how many.
const MANY_VALUES: usize = 10_000_000;

/// What scenarios are ranked by once all of them keep their constraints.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RankBy {
    /// Name of a KPI; its mean over the sample paths counts.
    pub kpi: String,
    /// What is better.
    pub goal: Goal,
}

/// What is better of a KPI.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Goal {
    /// Less.
    #[serde(alias = "minimize")]
    Minimise,
    /// More.
    #[serde(alias = "maximize")]
    Maximise,
}

/// A number over all sample paths; null where it is not finite, such as after a division by 0.
#[derive(Clone, Debug, PartialEq, Serialize, utoipa::ToSchema)]
pub struct KpiSummary {
    /// Its mean.
    pub mean: Option<f64>,
    /// Its quantiles, at the levels of the request.
    pub quantiles: BTreeMap<String, Option<f64>>,
}

/// A KPI of one future.
#[derive(Clone, Debug, PartialEq, Serialize, utoipa::ToSchema)]
pub struct KpiOutcome {
    /// Its mean over the sample paths; null where it is not finite, such as after a division by 0.
    pub mean: Option<f64>,
    /// Its quantiles, at the levels of the request.
    pub quantiles: BTreeMap<String, Option<f64>>,
    /// The paired difference to the baseline: path by path, then summed up. Absent in the baseline.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delta: Option<KpiSummary>,
}

/// The constraints and KPIs of a what-if, ready for its futures.
#[derive(Debug)]
pub(super) struct Risk {
    /// With the place of the signal: targets stand before inputs.
    constraints: Vec<(Constraint, usize)>,
    kpis: Vec<(String, CompiledKpi)>,
    /// Places of the targets whose paths are needed.
    sampled: Vec<usize>,
}

/// Values of a signal: a row for each sample, a single one that holds in all of them, or none where nobody
/// looks.
pub(super) type Rows<'a> = Vec<&'a [f64]>;

/// What was found of one future.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) constraints: Vec<ConstraintOutcome>,
    /// For each KPI a value per sample.
    kpis: Vec<Vec<f64>>,
}

impl Risk {
    /// Gets the constraints and KPIs on an asset ready; `None` when there are none of either. `asked` is the
    /// asset that those which name none are about.
    pub(super) fn prepare(situation: &Situation, ask: &WhatIf, asked: &str) -> Result<Option<Self>, Vec<Wrong>> {
        let own = |asset: Option<&str>| asset.unwrap_or(asked) == situation.asset.key;
        let of_asset = (0..).zip(&ask.constraints).filter(|(_, constraint)| own(constraint.asset.as_deref()));
        let own_constraints: Vec<(usize, &Constraint)> = of_asset.collect();
        let own_kpis: Vec<(usize, &Kpi)> = (0..).zip(&ask.kpis).filter(|(_, kpi)| own(kpi.asset.as_deref())).collect();
        if own_constraints.is_empty() && own_kpis.is_empty() {
            return Ok(None);
        }
        let (targets, inputs) = (&situation.layout.targets, &situation.layout.inputs);
        let names: Vec<String> =
            targets.iter().chain(inputs).map(|signal| situation.signal(*signal).name.clone()).collect();
        let (mut constraints, mut kpis, mut needed, mut wrong) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for (index, constraint) in own_constraints {
            match names.iter().position(|name| *name == constraint.signal) {
                Some(place) => {
                    needed.push(place);
                    constraints.push((constraint.clone(), place));
                }
                None => {
                    let detail = not_known(situation, &constraint.signal);
                    wrong.push((format!("/constraints/{index}/signal"), detail));
                }
            }
        }
        for (index, kpi) in own_kpis {
            match kpi.compile(&names) {
                Ok(compiled) => {
                    needed.extend(compiled.signals());
                    kpis.push((kpi.name.clone(), compiled));
                }
                Err(detail) => {
                    let field = if kpi.expression.is_some() { "expression" } else { "signal" };
                    wrong.push((format!("/kpis/{index}/{field}"), detail));
                }
            }
        }
        if !wrong.is_empty() {
            return Err(wrong);
        }
        needed.retain(|place| *place < targets.len());
        needed.sort_unstable();
        needed.dedup();
        Ok(Some(Self { constraints, kpis, sampled: needed }))
    }

    /// Samples that so many futures are judged by: what was asked for, else as many as are usual
    /// unless that would take long.
    pub(super) fn samples(&self, asked: Option<usize>, horizon: usize, futures: usize) -> usize {
        let each = (horizon * futures * self.sampled.len()).max(1);
        asked.unwrap_or_else(|| (MANY_VALUES / each).clamp(FEWEST_SAMPLES, USUAL_SAMPLES))
    }

    /// Judges one future by its answers. `samples` is how many paths `lots` makes.
    pub(super) fn judge(
        &self,
        situation: &Situation,
        lots: &Lots,
        samples: usize,
        future: &Future,
        answers: &[Quantiles],
    ) -> Found {
        let steps = situation.horizon;
        let mut paths: Vec<Vec<Vec<f64>>> = vec![Vec::new(); situation.layout.targets.len()];
        for place in &self.sampled {
            paths[*place] = lots.of_target(situation, *place, &answers[*place]);
        }
        let outputs = paths.iter().map(|paths| paths.iter().map(|path| &path[..steps]).collect());
        let inputs = future.rows.iter().map(|row| vec![&row[..steps]]);
        let signals: Vec<Rows<'_>> = outputs.chain(inputs).collect();
        self.judge_rows(&signals, samples, steps, situation.grid.step_s)
    }

    /// Judges one future by the values of its signals: targets, then inputs. All rows have `steps` values.
    pub(super) fn judge_rows(&self, signals: &[Rows<'_>], samples: usize, steps: usize, step_s: f64) -> Found {
        let constraints = self
            .constraints
            .iter()
            .map(|(constraint, place)| constraint.judge(signals[*place].iter().copied(), steps, step_s))
            .collect();
        // Stands for targets that no KPI looks at.
        let unused = vec![0.0; steps];
        let mut kpis = vec![Vec::with_capacity(samples); self.kpis.len()];
        if !self.kpis.is_empty() {
            for sample in 0..samples {
                let of_sample = signals.iter().map(|rows| match rows.as_slice() {
                    [] => &unused[..],
                    [row] => *row,
                    rows => rows[sample],
                });
                let rows: Vec<&[f64]> = of_sample.collect();
                for ((_, kpi), values) in self.kpis.iter().zip(&mut kpis) {
                    values.push(kpi.of(&rows, step_s));
                }
            }
        }
        Found { constraints, kpis }
    }

    /// The KPIs of a future by name, and their differences to those of the baseline.
    pub(super) fn kpis(&self, found: &Found, baseline: Option<&Found>, levels: &[f64]) -> BTreeMap<String, KpiOutcome> {
        self.kpis
            .iter()
            .enumerate()
            .map(|(index, (name, _))| {
                let values = &found.kpis[index];
                let KpiSummary { mean, quantiles } = summary(values.clone(), levels);
                let delta = baseline.map(|baseline| {
                    summary(
                        values.iter().zip(&baseline.kpis[index]).map(|(after, before)| after - before).collect(),
                        levels,
                    )
                });
                (name.clone(), KpiOutcome { mean, quantiles, delta })
            })
            .collect()
    }

    /// How scenarios stand in this asset. A KPI of another asset costs nothing here.
    pub(super) fn standings(&self, found: &[Found], by: Option<&RankBy>) -> Vec<Standing> {
        let kpi = by.and_then(|by| Some((self.kpis.iter().position(|(name, _)| *name == by.kpi)?, by.goal)));
        found
            .iter()
            .map(|found| {
                let lacks = found.constraints.iter().map(ConstraintOutcome::shortfall).sum::<f64>();
                let cost = kpi.map_or(0.0, |(index, goal)| {
                    let mean = mean(&found.kpis[index]);
                    // What is not known comes last, whatever its sign.
                    if mean.is_finite() { if goal == Goal::Minimise { mean } else { -mean } } else { f64::INFINITY }
                });
                Standing { lacks, cost }
            })
            .collect()
    }
}

fn not_known(situation: &Situation, name: &str) -> String {
    match situation.asset.asset_type.signal(name) {
        None => format!("the asset has no signal {name}"),
        Some((_, signal)) => {
            format!(
                "{name} has the role {}; constraints are on inputs and outputs that were measured",
                signal.role.name()
            )
        }
    }
}

fn mean(values: &[f64]) -> f64 {
    // From the first on, so that equal values have that value as their mean.
    let first = values.first().copied().unwrap_or(f64::NAN);
    first + values.iter().map(|value| value - first).sum::<f64>() / values.len().max(1) as f64
}

/// Mean and quantiles of values, of which none need be finite.
fn summary(mut values: Vec<f64>, levels: &[f64]) -> KpiSummary {
    let shown = |value: f64| value.is_finite().then(|| tidy(value));
    let mean = shown(mean(&values));
    values.sort_by(f64::total_cmp);
    let quantiles = levels.iter().map(|level| (level_key(*level), shown(quantile(&values, *level)))).collect();
    KpiSummary { mean, quantiles }
}

/// A quantile of sorted values, between neighbours linearly (type 7 of Hyndman and Fan 1996).
fn quantile(sorted: &[f64], level: f64) -> f64 {
    let Some(last) = sorted.len().checked_sub(1) else { return f64::NAN };
    let place = level * last as f64;
    let (below, share) = (place.floor() as usize, place.fract());
    let (low, high) = (sorted[below], sorted[(below + 1).min(last)]);
    if share == 0.0 || low == high { low } else { low + share * (high - low) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::scenario::kpi::Aggregate;
    use crate::scenario::standing::ranks;

    fn risk(kpis: &[&str]) -> Risk {
        let compiled = |name: &&str| {
            let kpi = Kpi {
                name: (*name).to_owned(),
                asset: None,
                signal: Some("level".to_owned()),
                expression: None,
                agg: Aggregate::Mean,
            };
            ((*name).to_owned(), kpi.compile(&["level".to_owned()]).unwrap())
        };
        Risk { constraints: Vec::new(), kpis: kpis.iter().map(compiled).collect(), sampled: vec![0] }
    }

    fn found(kept: f64, kpi: &[f64]) -> Found {
        let constraint =
            Constraint { asset: None, signal: "level".to_owned(), min: None, max: Some(0.5), probability: Some(0.9) };
        let paths: Vec<Vec<f64>> =
            (0..10).map(|path| vec![f64::from(u8::from(f64::from(path) >= kept * 10.0))]).collect();
        let constraints = vec![constraint.judge(paths.iter().map(Vec::as_slice), 1, 1.0)];
        Found { constraints, kpis: vec![kpi.to_vec()] }
    }

    #[test]
    fn who_keeps_the_constraints_comes_first_and_then_the_kpi_decides() {
        let all =
            [found(0.5, &[1.0]), found(0.9, &[7.0]), found(1.0, &[5.0]), found(0.7, &[0.0]), found(1.0, &[f64::NAN])];
        let by = |goal| RankBy { kpi: "cost".to_owned(), goal };
        let ranked = |by: Option<&RankBy>| ranks(&risk(&["cost"]).standings(&all, by));
        assert_eq!(ranked(Some(&by(Goal::Minimise))), [5, 2, 1, 4, 3]);
        assert_eq!(ranked(Some(&by(Goal::Maximise))), [5, 1, 2, 4, 3]);
        assert_eq!(ranked(None), [5, 1, 1, 4, 1]);
    }

    #[test]
    fn a_signal_has_a_row_for_each_sample_or_one_for_all() {
        let names = ["level", "pump"].map(str::to_owned);
        let kpi = Kpi {
            name: "sum".to_owned(),
            asset: None,
            signal: None,
            expression: Some("level + pump".to_owned()),
            agg: Aggregate::Mean,
        };
        let limit = Constraint { asset: None, signal: "pump".to_owned(), min: None, max: Some(2.5), probability: None };
        let risk = Risk {
            constraints: vec![(limit, 1)],
            kpis: vec![("sum".to_owned(), kpi.compile(&names).unwrap())],
            sampled: vec![0],
        };
        let levels: [&[f64]; 2] = [&[1.0, 1.0], &[2.0, 2.0]];
        let held = risk.judge_rows(&[levels.to_vec(), vec![&[3.0, 3.0]]], 2, 2, 1.0);
        assert_eq!((&held.kpis[0], held.constraints[0].breach_probability[1]), (&vec![4.0, 5.0], 1.0));
        let fed = risk.judge_rows(&[levels.to_vec(), vec![&[3.0, 3.0], &[2.0, 2.0]]], 2, 2, 1.0);
        assert_eq!((&fed.kpis[0], fed.constraints[0].breach_probability[1]), (&vec![4.0, 4.0], 0.5));
    }

    #[test]
    fn a_kpi_is_summed_up_over_its_samples() {
        let all = found(1.0, &[4.0, 1.0, 3.0, 2.0]);
        let kpis = risk(&["cost"]).kpis(&all, Some(&found(1.0, &[4.0, 0.0, 3.0, 0.0])), &[0.5]);
        let cost = &kpis["cost"];
        assert_eq!((cost.mean, cost.quantiles["0.5"]), (Some(2.5), Some(2.5)));
        let delta = cost.delta.as_ref().unwrap();
        assert_eq!((delta.mean, delta.quantiles["0.5"]), (Some(0.75), Some(0.5)));
        let none = risk(&["cost"]).kpis(&found(1.0, &[f64::NAN, 1.0]), None, &[0.9]);
        assert_eq!((none["cost"].mean, none["cost"].quantiles["0.9"], &none["cost"].delta), (None, None, &None));
    }

    #[test]
    fn many_scenarios_are_judged_by_fewer_samples_unless_somebody_said_how_many() {
        let risk = risk(&["cost"]);
        assert_eq!(risk.samples(None, 96, 11), USUAL_SAMPLES);
        assert_eq!(risk.samples(None, 512, 65), 300);
        assert_eq!(risk.samples(Some(7), 512, 65), 7);
    }

    proptest! {
        #[test]
        fn no_difference_is_exactly_none(values in prop::collection::vec(-1e6..1e6_f64, 1..50), level in 0.01..0.99_f64) {
            let (a, b) = (found(1.0, &values), found(1.0, &values));
            let delta = risk(&["cost"]).kpis(&a, Some(&b), &[level])["cost"].delta.clone().unwrap();
            prop_assert_eq!(delta.mean.map(f64::to_bits), Some(0));
            prop_assert!(delta.quantiles.values().all(|value| value.map(f64::to_bits) == Some(0)));
        }

        #[test]
        fn the_order_of_scenarios_does_not_matter(
            costs in prop::collection::vec((-5_i32..5, 0_u8..=10), 1..12), turn in 0_usize..12,
        ) {
            let mut all: Vec<Found> =
                costs.iter().map(|(cost, kept)| found(f64::from(*kept) / 10.0, &[f64::from(*cost)])).collect();
            let by = RankBy { kpi: "cost".to_owned(), goal: Goal::Minimise };
            let mut before = ranks(&risk(&["cost"]).standings(&all, Some(&by)));
            let turn = turn % all.len();
            all.rotate_left(turn);
            before.rotate_left(turn);
            prop_assert_eq!(ranks(&risk(&["cost"]).standings(&all, Some(&by))), before);
        }

        #[test]
        fn quantiles_of_samples_lie_among_them(mut values in prop::collection::vec(-1e3..1e3_f64, 1..40), level in 0.0..=1.0_f64) {
            values.sort_by(f64::total_cmp);
            let found = quantile(&values, level);
            prop_assert!(values[0] <= found && found <= values[values.len() - 1]);
        }
    }
}
