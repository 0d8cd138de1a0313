//! What a goal seek is to achieve, and what that costs for rows of inputs and outputs.

use serde::{Deserialize, Serialize};

use crate::forecast::{ForecastError, Situation};
use crate::scenario::kpi::{CompiledKpi, Kpi};

/// What the squared deviation of the last step counts when nothing is said. Without it a finite horizon's best
/// schedule lets the output go before the end (Rawlings, Mayne and Diehl 2017, chapter 2).
const USUAL_TERMINAL: f64 = 0.25;
/// More leaves nothing of the course.
const MAX_TERMINAL: f64 = 100.0;

/// What is to be achieved over the horizon.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(tag = "goal", rename_all = "snake_case", deny_unknown_fields)]
pub enum Objective {
    /// The smallest value of a KPI.
    Minimise {
        /// Which.
        kpi: Kpi,
    },
    /// The greatest value of a KPI.
    Maximise {
        /// Which.
        kpi: Kpi,
    },
    /// The least mean squared deviation of an output from a setpoint, and of its last step once more.
    Track {
        /// The output.
        signal: String,
        /// One value, or a value for each step.
        setpoint: Setpoint,
        /// What the squared deviation of the last step counts beside the mean of all, 0..=100; 0 leaves open where
        /// the horizon ends. The default is 0.25: as much as a quarter of all steps.
        #[serde(default)]
        #[schema(minimum = 0.0, maximum = 100.0)]
        terminal: Option<f64>,
    },
}

/// One value, or a value for each step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(untagged)]
pub enum Setpoint {
    /// The same throughout.
    Constant(f64),
    /// For each step.
    Each(Vec<f64>),
}

/// An objective that can be computed from rows: inputs, then outputs.
#[derive(Clone, Debug)]
pub(super) enum Aim {
    Kpi { kpi: CompiledKpi, sign: f64 },
    Track { row: usize, setpoint: Vec<f64>, terminal: f64 },
}

impl Objective {
    /// The objective for rows of these names.
    pub(super) fn aim(&self, situation: &Situation, names: &[String]) -> Result<Aim, ForecastError> {
        let refuse = |pointer: &str, detail: String| Err(ForecastError::Invalid(vec![(pointer.into(), detail)]));
        let (kpi, sign) = match self {
            Objective::Minimise { kpi } => (kpi, 1.0),
            Objective::Maximise { kpi } => (kpi, -1.0),
            Objective::Track { signal, setpoint, terminal } => {
                let outputs = situation.layout.inputs.len();
                let Some(row) = names.iter().position(|name| name == signal).filter(|row| *row >= outputs) else {
                    return refuse("/objective/signal", format!("{signal} is no output that was measured"));
                };
                let setpoint = match setpoint {
                    Setpoint::Constant(value) => vec![*value; situation.horizon],
                    Setpoint::Each(values) => values.clone(),
                };
                if setpoint.len() != situation.horizon {
                    let detail = format!("{} values for a horizon of {} steps", setpoint.len(), situation.horizon);
                    return refuse("/objective/setpoint", detail);
                }
                if !setpoint.iter().all(|value| value.is_finite()) {
                    return refuse("/objective/setpoint", "not a finite number".into());
                }
                let terminal = terminal.unwrap_or(USUAL_TERMINAL);
                if !(0.0..=MAX_TERMINAL).contains(&terminal) {
                    return refuse("/objective/terminal", format!("give 0 to {MAX_TERMINAL}, or leave it out"));
                }
                return Ok(Aim::Track { row, setpoint, terminal });
            }
        };
        if kpi.asset.is_some() {
            return refuse("/objective/kpi/asset", "a goal seek is about one asset: leave this out".into());
        }
        match kpi.compile(names) {
            Ok(kpi) => Ok(Aim::Kpi { kpi, sign }),
            Err(detail) => refuse("/objective/kpi", detail),
        }
    }
}

impl Aim {
    /// What it costs: the less the better.
    pub(super) fn cost(&self, rows: &[&[f64]], step_s: f64) -> f64 {
        match self {
            Self::Kpi { kpi, sign } => sign * kpi.of(rows, step_s),
            Self::Track { row, setpoint, terminal } => {
                let square = rows[*row].iter().zip(setpoint).map(|(value, wanted)| (value - wanted).powi(2));
                let (sum, last) = square.fold((0.0, 0.0), |(sum, _), square| (sum + square, square));
                sum / setpoint.len() as f64 + terminal * last
            }
        }
    }

    /// The objective as it was asked for, from its cost.
    pub(super) fn value(&self, cost: f64) -> f64 {
        match self {
            Self::Kpi { sign, .. } => sign * cost,
            Self::Track { .. } => cost,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_step_counts_once_more() {
        let aim = |terminal| Aim::Track { row: 0, setpoint: vec![1.0; 4], terminal };
        let row = [1.0, 1.0, 2.0, 3.0];
        assert_eq!(aim(0.0).cost(&[&row], 1.0), 5.0 / 4.0);
        assert_eq!(aim(0.25).cost(&[&row], 1.0), 5.0 / 4.0 + 0.25 * 4.0);
    }
}
