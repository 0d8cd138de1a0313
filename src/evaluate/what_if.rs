//! The what-if suites: the effect that an override has against the effect that is forecast.
//!
//! The truth comes from [`plants`]; two futures differ in one input, and so do their forecasts. A
//! suite is 64 plants of one kind, and a seed draws others. Deliberately absent: a fine-tuned head
//! and a network from scratch, since 448 samples are too few for a job; and whatever ignores inputs.

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::arx::{Arx, Order};
use super::forecaster::Point;
use super::ours;
use super::plants::{self, Equations, Experiment, HISTORY, STEPS};
use super::record::{Document, EffectRun, Record};
use super::ridge::{Centre, Ridge, Shape};
use super::series::Series;
use super::sets::Set;
use super::task::{Span, asset_type, frames, signal};
use super::{Config, EvaluateError, News};
use crate::asset::Role;
use crate::features::Grid;
use crate::model::{Base, BaseChoice};

/// Plants of a suite.
const PLANTS: u64 = 64;
/// An effect smaller than this share of the output's deviation is none.
const LEAST_EFFECT: f64 = 0.15;

/// Who forecasts the effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Method {
    Arx,
    Ridge,
    Bank,
    Corrected,
    Studied,
}

impl Method {
    pub(super) fn all() -> [Self; 5] {
        [Self::Arx, Self::Ridge, Self::Bank, Self::Corrected, Self::Studied]
    }

    pub(super) fn label(self) -> &'static str {
        match self {
            Self::Arx => "ARX",
            Self::Ridge => "ridge",
            Self::Bank => "bank",
            Self::Corrected => "bank + corrector, zero-shot",
            Self::Studied => "bank + study",
        }
    }
}

/// How well effects were forecast.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Effect {
    /// Overrides with an effect.
    pub(super) overrides: usize,
    /// Median over overrides of the error of the effect, as a share of the effect.
    pub(super) error: f64,
    /// Share of overrides whose effect has the right sign at the end of the horizon.
    pub(super) sign: f64,
    /// Median of the forecast effect over the true one at the end of the horizon.
    pub(super) gain: f64,
    /// RMSE of the level over all futures, in deviations of the output.
    pub(super) level: f64,
}

/// All suites.
pub(super) fn run(config: &Config, news: &mut dyn FnMut(News<'_>)) -> Result<Document, EvaluateError> {
    let choice = config.base()?;
    let base = ours::loaded(&choice)?;
    let set = Set::WhatIf.name();
    let mut record: Record<EffectRun> = Record::open(&config.out, set, settings(&choice), config.again)?;
    let suites: Vec<(Equations, bool)> =
        Equations::all().into_iter().flat_map(|kind| [(kind, false), (kind, true)]).collect();
    news(News::Set(set, suites.len() * config.seeds as usize));
    for (equations, closed) in suites {
        let suite = format!("{} {}", equations.name(), if closed { "closed" } else { "open" });
        for seed in 1..=config.seeds {
            let known = |method: Method| {
                record.runs.iter().any(|run| run.suite == suite && run.seed == seed && run.method == method)
            };
            let missing: Vec<Method> = Method::all().into_iter().filter(|method| !known(*method)).collect();
            if !missing.is_empty() {
                news(News::Begins(suite.clone()));
                let plants: Vec<Experiment> =
                    (0..PLANTS).map(|index| plants::experiment(equations, closed, seed, index)).collect();
                for (method, effect) in judge(&base, &plants)? {
                    if missing.contains(&method) {
                        record.add(&config.out, EffectRun { suite: suite.clone(), method, seed, effect })?;
                    }
                }
            }
            news(News::Done);
        }
    }
    Ok(Document::Effects(record))
}

fn settings(base: &BaseChoice) -> serde_json::Value {
    let card = base.card();
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "protocol": format!(
            "{PLANTS} plants a suite, {HISTORY} samples of history, two overrides of one input for {STEPS} steps"
        ),
        "base": card.name,
        "base_sha256": card.sha256,
    })
}

/// Every method on the plants of a suite.
fn judge(base: &Base, plants: &[Experiment]) -> Result<Vec<(Method, Effect)>, EvaluateError> {
    let asset_type =
        asset_type("plant", 1.0, vec![signal("input", Role::ControlInput, None), signal("output", Role::Output, None)]);
    let cases: Vec<(Grid, Vec<Vec<Vec<f64>>>)> = plants
        .iter()
        .filter_map(|plant| {
            let rows = plant.input.iter().zip(&plant.output).map(|(input, output)| vec![*input, *output]);
            let grid = Grid::new(&asset_type, &frames(rows, 1.0, &[]))?;
            Some((grid, plant.futures.iter().map(|(input, _)| vec![input.clone()]).collect()))
        })
        .collect();
    let ours = ours::what_if(base, &asset_type, &cases, STEPS)?;
    let of = |forecast: &dyn Fn(usize) -> Option<Vec<Vec<f64>>>| -> Effect {
        let said: Vec<(&Experiment, Vec<Vec<f64>>)> =
            plants.iter().enumerate().filter_map(|(index, plant)| Some((plant, forecast(index)?))).collect();
        effect(&said)
    };
    Ok(vec![
        (Method::Arx, of(&|index| regressed(&plants[index], arx))),
        (Method::Ridge, of(&|index| regressed(&plants[index], ridge))),
        (Method::Bank, of(&|index| Some(ours[index].bank.clone()))),
        (Method::Corrected, of(&|index| Some(ours[index].corrected.clone()))),
        (Method::Studied, of(&|index| Some(ours[index].studied.clone()))),
    ])
}

/// The three futures of a plant by a regression on its history alone.
fn regressed(plant: &Experiment, fit: impl Fn(Series) -> Option<Box<dyn Point>>) -> Option<Vec<Vec<f64>>> {
    let span = Span { origin: HISTORY, steps: STEPS };
    plant
        .futures
        .iter()
        .map(|(future, _)| {
            let input = plant.input.iter().chain(future).copied().collect();
            let series = Series::new(vec![plant.output.clone()], vec![input], vec![0], &(0..HISTORY), true);
            fit(series)?.predict(span).pop()
        })
        .collect()
}

/// Order and ridge of the prototype.
fn arx(series: Series) -> Option<Box<dyn Point>> {
    let order = Order { target_lags: 4, input_lags: 12 };
    Some(Box::new(Arx::fit(series, &(0..HISTORY), order, 1e-3)?))
}

fn ridge(series: Series) -> Option<Box<dyn Point>> {
    let shape = Shape { lags: 32, steps: STEPS, centre: Centre::Last };
    Some(Box::new(Ridge::fit(series, &(0..HISTORY), shape, 3.0)?))
}

/// Effects of raising and lowering against holding, forecast beside true.
fn effect(said: &[(&Experiment, Vec<Vec<f64>>)]) -> Effect {
    let (mut errors, mut gains, mut right) = (Vec::new(), Vec::new(), 0_usize);
    let (mut squared, mut counted) = (0.0, 0_usize);
    for (plant, forecast) in said {
        for ((_, truth), forecast) in plant.futures.iter().zip(forecast) {
            squared += truth.iter().zip(forecast).map(|(t, f)| ((f - t) / plant.deviation).powi(2)).sum::<f64>();
            counted += truth.len();
        }
        for change in [1, 2] {
            let truth = difference(&plant.futures[change].1, &plant.futures[0].1);
            let forecast = difference(&forecast[change], &forecast[0]);
            let (true_end, end) = (truth[STEPS - 1], forecast[STEPS - 1]);
            if true_end.abs() / plant.deviation <= LEAST_EFFECT {
                continue;
            }
            let size: f64 = truth.iter().map(|value| value * value).sum();
            let error: f64 = truth.iter().zip(&forecast).map(|(t, f)| (f - t).powi(2)).sum();
            errors.push((error / size).sqrt());
            gains.push(end / true_end);
            right += usize::from(end * true_end > 0.0);
        }
    }
    Effect {
        overrides: errors.len(),
        sign: right as f64 / errors.len().max(1) as f64,
        error: median(errors),
        gain: median(gains),
        level: (squared / counted.max(1) as f64).sqrt(),
    }
}

fn difference(one: &[f64], other: &[f64]) -> Vec<f64> {
    one.iter().zip(other).map(|(one, other)| one - other).collect()
}

/// 0 of nothing.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => 0.0,
        n if n.is_multiple_of(2) => f64::midpoint(values[middle - 1], values[middle]),
        _ => values[middle],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_perfect_forecast_has_no_error_and_half_the_effect_has_half_the_gain() {
        let plant = plants::experiment(Equations::Tanks, false, 1, 1);
        let truth: Vec<Vec<f64>> = plant.futures.iter().map(|(_, output)| output.clone()).collect();
        let perfect = effect(&[(&plant, truth.clone())]);
        assert_eq!((perfect.error, perfect.sign, perfect.gain, perfect.level), (0.0, 1.0, 1.0, 0.0));
        let halved =
            truth.iter().map(|row| row.iter().zip(&truth[0]).map(|(v, held)| f64::midpoint(*v, *held)).collect());
        let halved = effect(&[(&plant, halved.collect())]);
        assert!((halved.error - 0.5).abs() < 1e-9 && (halved.gain - 0.5).abs() < 1e-9);
    }
}
