//! Retro what-if: what would have been, had inputs been set otherwise at a past instant.
//!
//! Abduction, action, prediction (Pearl 2009, 7.1) with additive noise: whatever made the real outputs
//! differ from what the model says of the inputs that were really applied is carried over. So the
//! counterfactual is what was measured plus the paired difference of two answers, one of the real
//! inputs and one of the overridden ones, from **one** forward pass. Always true: where the answers do
//! not differ, the counterfactual is what was measured, bit for bit. Where nothing was measured there
//! is only the difference. No type declares a resolution of a signal, so nothing is rounded to one.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::outcome::{by_signal, delta};
use super::plan::{Clamped, Limits, Override};
use super::{MAX_OVERRIDES, MAX_SCENARIOS, MAX_VALUES, Scenario, Scenarios, plan};
use crate::features::FEWEST;
use crate::forecast::{
    Aftermath, Answerer, Bands, ForecastError, Future, InputFuture, Situation, Skill, StateOf, bands, checked_levels,
    frequency, quantile, tidy, units,
};
use crate::model::{MEDIAN, Quantiles};
use crate::score::{interval, point, skill};

/// A retro what-if.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub struct RetroWhatIf {
    /// The past instant from which on inputs are otherwise; the newest frame by then is the state.
    pub as_of: DateTime<Utc>,
    /// Steps after the state, 1 to 512, all of them past; 60, or as many as there are, when this and
    /// `to` are left out.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 512)]
    pub horizon: Option<usize>,
    /// The end, instead of a horizon: the last step is not later.
    #[serde(default)]
    pub to: Option<DateTime<Utc>>,
    /// Number of the model version that is to answer, 0 for the base model; the one that serves when left out.
    #[serde(default)]
    pub version: Option<i32>,
    /// Quantile levels of the difference between 0.01 and 0.99; 0.1, 0.5 and 0.9 when left out.
    #[serde(default)]
    pub quantiles: Option<Vec<f64>>,
    /// What would have been otherwise, if it is one scenario: as in a what-if, with what really
    /// happened as the baseline. Nothing gives what really happened.
    #[serde(default)]
    pub overrides: Vec<Override>,
    /// Several scenarios, instead of `overrides`.
    #[serde(default)]
    pub scenarios: Vec<Scenario>,
    /// What to do with values that the asset cannot take.
    #[serde(default)]
    pub limits: Limits,
}

/// A value for each step, null where nothing was measured.
pub type Measured = Vec<Option<f64>>;

/// What would have been.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub struct Retrospect {
    /// The asset's key.
    pub asset: String,
    /// Who answered: the version that was asked for or that serves now, which may have learned from these very
    /// readings.
    pub model: Answerer,
    /// What it starts from.
    pub state: StateOf,
    /// ISO 8601 duration of a step.
    pub frequency: String,
    /// Instant of each step.
    pub timestamps: Vec<DateTime<Utc>>,
    /// What really happened.
    pub factual: Factual,
    /// What would have, in the order of the request.
    pub scenarios: Vec<Counterfactual>,
    /// UCUM units of inputs and outputs.
    pub units: BTreeMap<String, String>,
    /// How the version that answered did when it was judged.
    pub skill: Option<Skill>,
}

/// What really happened, and what the model says of it.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub struct Factual {
    /// What the inputs did; where one was not measured it keeps its last value.
    pub inputs: BTreeMap<String, InputFuture>,
    /// What was measured of each output; null where nothing was.
    pub observed: BTreeMap<String, Measured>,
    /// What the model answers from the state and these inputs.
    pub signals: BTreeMap<String, Bands>,
    /// How well that explains what was measured; the counterfactuals deserve no more trust.
    pub fit: BTreeMap<String, Explained>,
}

/// How well an answer explains what was measured.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, utoipa::ToSchema)]
pub struct Explained {
    /// Steps at which the output was measured.
    pub steps: usize,
    /// Mean absolute error of the median, in the signal's unit; null when nothing was measured.
    pub mae: Option<f64>,
    /// 1 - this error / that of holding the last value: 0 is as good, 1 perfect.
    pub vs_naive: Option<f64>,
    /// Share of what was measured that the 80 % band held.
    pub coverage_80: Option<f64>,
}

/// What would have been under one scenario.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub struct Counterfactual {
    /// Its name.
    pub name: String,
    /// What was assumed of the inputs.
    pub inputs: BTreeMap<String, InputFuture>,
    /// What was measured plus the difference of the medians, within what can be measured; null where
    /// nothing was. Equal to what was measured, bit for bit, where the scenario makes no difference.
    pub path: BTreeMap<String, Measured>,
    /// What was measured plus each quantile of the difference.
    pub signals: BTreeMap<String, BTreeMap<String, Measured>>,
    /// Quantiles of the paired difference to what the model answers for the real inputs.
    pub delta: BTreeMap<String, Bands>,
    /// Where overrides were brought within limits.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub clamped: Vec<Clamped>,
}

impl Scenarios {
    /// Answers a retro what-if.
    pub async fn retro_what_if(&self, asset: &str, ask: &RetroWhatIf) -> Result<Retrospect, ForecastError> {
        let scenarios = ask.checked_scenarios()?;
        let levels = checked_levels(ask.quantiles.as_deref())?;
        let past = self.forecasts.past(asset, ask.as_of).await?;
        let horizon = past.horizon(ask.horizon, ask.to, self.forecasts.default_horizon())?;
        let (at, steps) = (Some(ask.as_of), Some(horizon));
        let situation = match ask.version {
            Some(version) => Box::pin(self.forecasts.situation_by(asset, at, steps, version)).await?,
            None => self.forecasts.situation(asset, at, steps).await?,
        };
        let (have, targets) = (situation.grid.len(), situation.layout.targets.len());
        if have < FEWEST {
            let detail = format!("{have} steps of history before this instant; the model needs {FEWEST}");
            return Err(refused("/as_of", detail));
        }
        let values = horizon * targets * scenarios.len() * levels.len();
        if values > MAX_VALUES {
            let detail = format!("the answer would hold {values} values; at most {MAX_VALUES} are given");
            return Err(refused("/scenarios", detail));
        }
        let after = self.forecasts.aftermath(&situation).await?;
        let observed: Vec<Vec<f64>> = situation.layout.targets.iter().map(|target| after.measured(*target)).collect();
        if observed.iter().flatten().all(|value| value.is_nan()) {
            return Err(refused("/as_of", "no output was measured in the steps after this instant".into()));
        }
        let (futures, clamps) = futures(&situation, &after, &scenarios, ask)?;
        let said = self.forecasts.answer(&situation, &futures).await?;
        let (real, others) = said.answers.split_first().ok_or(ForecastError::Ending)?;
        let counterfactuals = scenarios
            .iter()
            .zip(others)
            .zip(futures[1..].iter().zip(clamps))
            .enumerate()
            .map(|(index, ((scenario, answers), (future, clamped)))| {
                let delta = delta(&situation, real, answers, &levels);
                Counterfactual {
                    name: scenario.called(index),
                    inputs: situation.inputs(future),
                    path: paths(&situation, &observed, real, answers),
                    signals: shifted(&situation, &observed, &delta),
                    delta,
                    clamped,
                }
            })
            .collect();
        Ok(Retrospect {
            asset: situation.asset.key.clone(),
            state: situation.state(self.forecasts.clock()),
            frequency: frequency(situation.grid.step_s),
            timestamps: situation.timestamps(),
            factual: factual(&situation, &futures[0], &observed, real, &levels),
            scenarios: counterfactuals,
            units: units(&situation.asset, situation.layout.targets.iter().chain(&situation.layout.inputs)),
            model: said.model,
            skill: said.skill,
        })
    }
}

impl RetroWhatIf {
    /// The scenarios, refused when they are too many or too long, before anything is looked up.
    fn checked_scenarios(&self) -> Result<Vec<Scenario>, ForecastError> {
        if !self.overrides.is_empty() && !self.scenarios.is_empty() {
            return Err(refused("/overrides", "give overrides or scenarios, not both".into()));
        }
        if self.scenarios.len() > MAX_SCENARIOS {
            return Err(refused("/scenarios", format!("give at most {MAX_SCENARIOS} scenarios")));
        }
        let too_many = |pointer: &str| refused(pointer, format!("a scenario has at most {MAX_OVERRIDES} overrides"));
        if self.overrides.len() > MAX_OVERRIDES {
            return Err(too_many("/overrides"));
        }
        for (index, scenario) in self.scenarios.iter().enumerate() {
            if scenario.overrides.len() > MAX_OVERRIDES {
                return Err(too_many(&format!("/scenarios/{index}/overrides")));
            }
            if scenario.name.as_ref().is_some_and(|name| name.is_empty() || name.chars().count() > 200) {
                let detail = "a name has 1 to 200 characters".to_owned();
                return Err(refused(&format!("/scenarios/{index}/name"), detail));
            }
        }
        let single = (String::new(), &self.overrides);
        let several = self.scenarios.iter().enumerate().map(|(i, one)| (format!("/scenarios/{i}"), &one.overrides));
        for (pointer, overrides) in std::iter::once(single).chain(several) {
            if let Some(index) = overrides.iter().position(|change| change.when.is_some()) {
                let detail = "a retro what-if has no conditions: say from which instant on it would have been so";
                return Err(refused(&format!("{pointer}/overrides/{index}/when"), detail.to_owned()));
            }
        }
        Ok(if self.scenarios.is_empty() {
            vec![Scenario { name: None, overrides: self.overrides.clone() }]
        } else {
            self.scenarios.clone()
        })
    }
}

/// What the inputs did, then what they do in each scenario; and what was clamped in each.
fn futures(
    situation: &Situation,
    after: &Aftermath,
    scenarios: &[Scenario],
    ask: &RetroWhatIf,
) -> Result<(Vec<Future>, Vec<Vec<Clamped>>), ForecastError> {
    let real = after.inputs(situation);
    let (mut futures, mut clamps, mut wrong) = (vec![real.clone()], Vec::new(), Vec::new());
    for (index, scenario) in scenarios.iter().enumerate() {
        let pointer = if ask.scenarios.is_empty() { String::new() } else { format!("/scenarios/{index}") };
        match plan::apply(situation, &real, &scenario.overrides, ask.limits, &pointer) {
            Ok((future, clamped)) => {
                futures.push(future);
                clamps.push(clamped);
            }
            Err(more) => wrong.extend(more),
        }
    }
    if wrong.is_empty() { Ok((futures, clamps)) } else { Err(ForecastError::Invalid(wrong)) }
}

fn factual(
    situation: &Situation,
    real: &Future,
    observed: &[Vec<f64>],
    answers: &[Quantiles],
    levels: &[f64],
) -> Factual {
    let named = situation.layout.targets.iter().map(|target| situation.signal(*target).name.clone());
    let fit = situation.layout.targets.iter().zip(answers).zip(observed).map(|((target, answer), truth)| {
        let last = situation.grid.values[*target].last().copied().unwrap_or(f64::NAN);
        (situation.signal(*target).name.clone(), explained(answer, truth, last))
    });
    Factual {
        inputs: situation.inputs(real),
        observed: named.zip(observed.iter().map(|row| row.iter().map(|value| known(*value)).collect())).collect(),
        signals: by_signal(situation, answers, |answer| bands(answer, levels, situation.horizon)),
        fit: fit.collect(),
    }
}

/// Scores an answer; `last` is the value that the naive forecast holds.
fn explained(answer: &Quantiles, truth: &[f64], last: f64) -> Explained {
    let at = |level: f64| answer[..truth.len()].iter().map(|row| quantile(row, level)).collect::<Vec<f64>>();
    let mae = point::mae(&at(0.5), truth);
    let naive = point::mae(&vec![last; truth.len()], truth);
    Explained {
        steps: truth.iter().filter(|value| value.is_finite()).count(),
        mae: mae.map(tidy),
        vs_naive: mae.zip(naive).and_then(|(mae, naive)| skill(mae, naive)).map(tidy),
        coverage_80: interval::coverage(&at(0.1), &at(0.9), truth),
    }
}

/// What was measured plus the difference of the medians.
fn paths(
    situation: &Situation,
    observed: &[Vec<f64>],
    real: &[Quantiles],
    answers: &[Quantiles],
) -> BTreeMap<String, Measured> {
    let targets = situation.layout.targets.iter().zip(observed).zip(real.iter().zip(answers));
    targets
        .map(|((target, observed), (real, answer))| {
            let signal = situation.signal(*target);
            let gaps = real.iter().zip(answer).map(|(real, answer)| tidy(answer[MEDIAN] - real[MEDIAN]));
            (signal.name.clone(), moved(observed, gaps, (signal.min, signal.max)))
        })
        .collect()
}

/// What was measured plus each quantile of the difference.
fn shifted(
    situation: &Situation,
    observed: &[Vec<f64>],
    delta: &BTreeMap<String, Bands>,
) -> BTreeMap<String, BTreeMap<String, Measured>> {
    let targets = situation.layout.targets.iter().zip(observed);
    targets
        .filter_map(|(target, observed)| {
            let signal = situation.signal(*target);
            let bands = delta
                .get(&signal.name)?
                .iter()
                .map(|(level, gaps)| (level.clone(), moved(observed, gaps.iter().copied(), (signal.min, signal.max))));
            Some((signal.name.clone(), bands.collect()))
        })
        .collect()
}

/// Measured values moved by differences. A difference of nothing leaves every bit; otherwise the limits
/// of the sensor bound what it could have measured.
fn moved(observed: &[f64], gaps: impl Iterator<Item = f64>, limits: (Option<f64>, Option<f64>)) -> Measured {
    let low = limits.0.unwrap_or(f64::NEG_INFINITY);
    let high = limits.1.unwrap_or(f64::INFINITY);
    // What was measured may lie outside the limits itself.
    let one = |(value, gap): (&f64, f64)| {
        let moved = (value + gap).clamp(low.min(*value), high.max(*value));
        known(if gap == 0.0 { *value } else { moved })
    };
    observed.iter().zip(gaps).map(one).collect()
}

fn known(value: f64) -> Option<f64> {
    value.is_finite().then_some(value)
}

fn refused(pointer: &str, detail: String) -> ForecastError {
    ForecastError::Invalid(vec![(pointer.to_owned(), detail)])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::NORMAL;

    #[test]
    fn where_nothing_was_measured_nothing_is_said() {
        let moved = moved(&[1.0, f64::NAN, 3.0], [0.5, 0.5, 0.0].into_iter(), (None, None));
        assert_eq!(moved, [Some(1.5), None, Some(3.0)]);
    }

    #[test]
    fn a_difference_stops_at_the_limits_but_never_pulls_what_was_measured_inside() {
        let limits = (Some(0.0), Some(10.0));
        assert_eq!(
            moved(&[9.5, 11.0, 11.0, 0.5], [2.0, 2.0, -3.0, -2.0].into_iter(), limits),
            [Some(10.0), Some(11.0), Some(8.0), Some(0.0)]
        );
    }

    #[test]
    fn an_answer_that_is_right_explains_and_one_that_is_naive_does_not() {
        let answer: Quantiles = (0..4).map(|step| NORMAL.map(|z| f64::from(step) + 0.1 * z)).collect();
        let truth = [0.0, 1.0, f64::NAN, 3.5];
        let found = explained(&answer, &truth, 0.0);
        assert_eq!((found.steps, found.coverage_80), (3, Some(2.0 / 3.0)));
        assert!((found.mae.unwrap() - 0.5 / 3.0).abs() < 1e-6);
        assert!((found.vs_naive.unwrap() - (1.0 - 0.5 / 4.5)).abs() < 1e-6);
        assert_eq!(explained(&answer, &[f64::NAN; 4], 0.0).mae, None);
    }

    proptest! {
        #[test]
        fn no_difference_leaves_every_bit(value in prop::num::f64::NORMAL | prop::num::f64::ZERO | prop::num::f64::SUBNORMAL) {
            for gap in [0.0, -0.0] {
                let kept = moved(&[value], [gap].into_iter(), (Some(-1.0), Some(1.0)))[0].unwrap();
                prop_assert_eq!(kept.to_bits(), value.to_bits());
            }
        }
    }
}
