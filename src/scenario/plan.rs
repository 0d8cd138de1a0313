//! Overrides: what a scenario changes of the inputs' future, checked against what the asset allows.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::asset::{Role, Signal};
use crate::forecast::{Future, InputSource, Situation};

/// One change inside a scenario.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Override {
    /// A signal with the role `control_input`, or `disturbance` with `assume`.
    pub signal: String,
    /// What happens to it.
    pub op: Op,
    /// Value to set, to add, to multiply with, or to ramp to.
    #[serde(default)]
    pub value: Option<f64>,
    /// For `series`: a value for each step of the span.
    #[serde(default)]
    pub values: Option<Vec<f64>>,
    /// First step (0 is the first future step) or instant; the beginning when left out.
    #[serde(default)]
    pub from: Option<Moment>,
    /// Step after the last one, or instant; the horizon when left out. For `ramp`: where the value
    /// is reached, and held from there.
    #[serde(default)]
    pub to: Option<Moment>,
    /// Must be true to override a disturbance: it is not ours to set.
    #[serde(default)]
    pub assume: bool,
}

/// Kinds of overrides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Op {
    /// The value, over the span.
    Set,
    /// The baseline plus the value, over the span.
    Add,
    /// The baseline times the value, over the span.
    Multiply,
    /// From where the input stands to the value over the span, then hold.
    Ramp,
    /// The present value, over the span.
    Hold,
    /// Explicit values.
    Series,
}

/// A step of the horizon, or an instant.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(untagged)]
pub enum Moment {
    /// Steps after the state; 0 is the first future step.
    Step(usize),
    /// RFC 3339.
    Instant(DateTime<Utc>),
}

/// What to do with values that the asset cannot take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Limits {
    /// Refuse the request.
    #[default]
    Refuse,
    /// Bring them within limits and ramp rates, and report where.
    Clamp,
}

/// A value that was brought within the limits.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Clamped {
    /// The input.
    pub signal: String,
    /// Step of the horizon, from 0.
    pub step: usize,
    /// What was asked for.
    pub asked: f64,
    /// What was used.
    pub used: f64,
}

/// A wrong value: JSON pointer within the scenario, and why.
pub type Wrong = (String, String);

/// Applies a scenario's overrides to the baseline. `pointer` names the scenario in errors.
pub fn apply(
    situation: &Situation,
    baseline: &Future,
    overrides: &[Override],
    limits: Limits,
    pointer: &str,
) -> Result<(Future, Vec<Clamped>), Vec<Wrong>> {
    let mut future = baseline.clone();
    let mut wrong = Vec::new();
    let mut touched: BTreeMap<usize, usize> = BTreeMap::new();
    for (index, change) in overrides.iter().enumerate() {
        let at = format!("{pointer}/overrides/{index}");
        match one(situation, baseline, &mut future, change) {
            Ok(row) => {
                touched.entry(row).or_insert(index);
            }
            Err((field, detail)) => wrong.push((format!("{at}{field}"), detail)),
        }
    }
    let mut clamped = Vec::new();
    for (row, index) in touched {
        let signal = situation.signal(situation.layout.inputs[row]);
        let last = last_value(situation, row);
        let step_s = situation.grid.step_s;
        let bounded = bound(&future.rows[row], &baseline.rows[row], last, signal, step_s);
        if let Some(step) = (0..situation.horizon).find(|step| differs(future.rows[row][*step], bounded[*step])) {
            match limits {
                Limits::Refuse => {
                    let detail = refusal(signal, step, future.rows[row][step]);
                    wrong.push((format!("{pointer}/overrides/{index}/value"), detail));
                }
                Limits::Clamp => {
                    clamped.extend(
                        (step..situation.horizon).filter(|step| differs(future.rows[row][*step], bounded[*step])).map(
                            |step| Clamped {
                                signal: signal.name.clone(),
                                step,
                                asked: future.rows[row][step],
                                used: bounded[step],
                            },
                        ),
                    );
                    future.rows[row] = bounded;
                }
            }
        }
    }
    if wrong.is_empty() { Ok((future, clamped)) } else { Err(wrong) }
}

/// Applies one override; says which row it changed.
fn one(situation: &Situation, baseline: &Future, future: &mut Future, change: &Override) -> Result<usize, Wrong> {
    let say = |field: &str, detail: String| (field.to_owned(), detail);
    let name = &change.signal;
    let (index, signal) = situation
        .asset
        .asset_type
        .signal(name)
        .ok_or_else(|| say("/signal", format!("the asset has no signal {name}")))?;
    match signal.role {
        Role::ControlInput => {}
        Role::Disturbance if change.assume => {}
        Role::Disturbance => {
            let detail = format!(
                "{name} has the role disturbance, which is not ours to set; add \"assume\": true to suppose it"
            );
            return Err(say("/signal", detail));
        }
        role => {
            let detail = format!("{name} has the role {}; only a control_input can be overridden", role.name());
            return Err(say("/signal", detail));
        }
    }
    let row = situation
        .layout
        .inputs
        .iter()
        .position(|input| *input == index)
        .ok_or_else(|| say("/signal", format!("{name} was never measured, so nothing is known of what it does")))?;
    let horizon = situation.horizon;
    let from = step(situation, change.from, 0).map_err(|detail| say("/from", detail))?;
    let to = step(situation, change.to, horizon).map_err(|detail| say("/to", detail))?;
    if from >= to {
        return Err(say("/to", format!("the span is empty: from step {from} to step {to}")));
    }
    if matches!(change.op, Op::Hold | Op::Series) == change.value.is_some() {
        return Err(say(
            "/value",
            match change.op {
                Op::Hold | Op::Series => "this op takes no value".into(),
                _ => "this op needs a value".to_owned(),
            },
        ));
    }
    if (change.op == Op::Series) != change.values.is_some() {
        return Err(say("/values", "values belong to the op series, and series needs them".into()));
    }
    let value = change.value.unwrap_or_default();
    if !value.is_finite() {
        return Err(say("/value", "not a finite number".into()));
    }
    let present = last_value(situation, row);
    let values = &mut future.rows[row];
    let end = if to == horizon { values.len() } else { to };
    match change.op {
        Op::Set => values[from..end].fill(value),
        Op::Add => (from..end).for_each(|at| values[at] = baseline.rows[row][at] + value),
        Op::Multiply => (from..end).for_each(|at| values[at] = baseline.rows[row][at] * value),
        Op::Hold => values[from..end].fill(present),
        Op::Ramp => {
            let start = if from == 0 { present } else { values[from - 1] };
            let span = (to - from) as f64;
            for (step, at) in values[from..to].iter_mut().enumerate() {
                *at = start + (value - start) * (step + 1) as f64 / span;
            }
            values[to..].fill(value);
        }
        Op::Series => {
            let given = change.values.as_deref().unwrap_or_default();
            if given.len() != to - from {
                let detail = format!("{} values for a span of {} steps", given.len(), to - from);
                return Err(say("/values", detail));
            }
            if let Some(at) = given.iter().position(|value| !value.is_finite()) {
                return Err(say(&format!("/values/{at}"), "not a finite number".into()));
            }
            values[from..to].copy_from_slice(given);
            if to == horizon {
                let hold = given[given.len() - 1];
                values[to..].fill(hold);
            }
        }
    }
    if signal.role == Role::Disturbance || future.rows[row] != baseline.rows[row] {
        future.sources[row] = InputSource::Given;
    }
    Ok(row)
}

fn last_value(situation: &Situation, row: usize) -> f64 {
    situation.grid.values[situation.layout.inputs[row]].last().copied().unwrap_or(0.0)
}

/// A step of the horizon from a step or an instant.
fn step(situation: &Situation, moment: Option<Moment>, default: usize) -> Result<usize, String> {
    let horizon = situation.horizon;
    let step = match moment {
        None => default,
        Some(Moment::Step(step)) => step,
        Some(Moment::Instant(at)) => {
            let after = (at - situation.grid.end).num_milliseconds() as f64 / 1e3 / situation.grid.step_s;
            if after < 0.0 {
                return Err(format!("{at} is before the state of {}", situation.grid.end));
            }
            (after.ceil() as usize).saturating_sub(1)
        }
    };
    if step > horizon { Err(format!("step {step} is beyond the horizon of {horizon}")) } else { Ok(step) }
}

/// A row within the signal's limits and ramp rate. Where it follows the baseline it may do what that
/// does: what was measured or is desired is not for a scenario to correct.
fn bound(row: &[f64], baseline: &[f64], last: f64, signal: &Signal, step_s: f64) -> Vec<f64> {
    let (low, high) = (signal.min.unwrap_or(f64::NEG_INFINITY), signal.max.unwrap_or(f64::INFINITY));
    let reach = signal.max_rate.map_or(f64::INFINITY, |rate| rate * step_s);
    let (mut before, mut follows) = (last, true);
    row.iter()
        .zip(baseline)
        .map(|(value, unmodified)| {
            if !(follows && value == unmodified) {
                before = value.clamp(before - reach, before + reach).clamp(low, high);
                follows = before == *unmodified;
            } else {
                before = *value;
            }
            before
        })
        .collect()
}

fn differs(asked: f64, used: f64) -> bool {
    (asked - used).abs() > 1e-9 * asked.abs().max(1.0)
}

fn refusal(signal: &Signal, step: usize, value: f64) -> String {
    let name = &signal.name;
    let range = |min: Option<f64>, max: Option<f64>| match (min, max) {
        (Some(min), Some(max)) => format!("{min} to {max} {}", signal.unit),
        (Some(min), None) => format!("at least {min} {}", signal.unit),
        (None, Some(max)) => format!("at most {max} {}", signal.unit),
        (None, None) => "any value".into(),
    };
    let outside = signal.min.is_some_and(|min| value < min) || signal.max.is_some_and(|max| value > max);
    match (outside, signal.max_rate) {
        (false, Some(rate)) => format!(
            "{name} would change faster than {rate} {} a second at step {step}; use a ramp, or \"limits\": \"clamp\"",
            signal.unit
        ),
        _ => format!(
            "{name} takes {}, not {value} at step {step}; \"limits\": \"clamp\" brings it within",
            range(signal.min, signal.max)
        ),
    }
}
