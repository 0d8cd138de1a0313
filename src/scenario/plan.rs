//! Overrides: what a scenario changes of the inputs' future, checked against what the asset allows.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::when::{Mask, When, none_in_force};
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
    /// For `clamp`: the smallest value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<f64>,
    /// For `clamp`: the largest value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<f64>,
    /// In force only while this is so in the scenario's own future: on its median of an output, or
    /// its value of an input, at the step before (at the first step: as measured last). `hold` and
    /// `ramp` begin when it is first so and then go on; a ramp takes as long as its span is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<When>,
    /// With `when`: once in force, in force to the end of the span.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub latch: bool,
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
    /// What is there without it (the baseline, or what overrides before it made of it), brought
    /// between `min` and `max` over the span.
    Clamp,
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

impl Override {
    /// First step and step after the last; the field and what is wrong with it.
    pub(super) fn span(&self, situation: &Situation) -> Result<(usize, usize), Wrong> {
        let from = step(situation, self.from, 0).map_err(|detail| ("/from".to_owned(), detail))?;
        let to = step(situation, self.to, situation.horizon).map_err(|detail| ("/to".to_owned(), detail))?;
        if from < to {
            return Ok((from, to));
        }
        Err(("/to".to_owned(), format!("the span is empty: from step {from} to step {to}")))
    }
}

/// Applies a scenario's overrides to the baseline; those with a condition are checked but not in
/// force. `pointer` names the scenario in errors.
pub fn apply(
    situation: &Situation,
    baseline: &Future,
    overrides: &[Override],
    limits: Limits,
    pointer: &str,
) -> Result<(Future, Vec<Clamped>), Vec<Wrong>> {
    apply_where(situation, baseline, overrides, &none_in_force(overrides, situation.horizon), limits, pointer)
}

/// Applies a scenario's overrides, those with a condition where `masks` say.
pub(super) fn apply_where(
    situation: &Situation,
    baseline: &Future,
    overrides: &[Override],
    masks: &[Mask],
    limits: Limits,
    pointer: &str,
) -> Result<(Future, Vec<Clamped>), Vec<Wrong>> {
    let mut future = baseline.clone();
    let mut wrong = Vec::new();
    let mut touched: BTreeMap<usize, usize> = BTreeMap::new();
    for (index, (change, mask)) in overrides.iter().zip(masks).enumerate() {
        match one(situation, baseline, &mut future, change, mask.as_deref()) {
            // What never was in force changed nothing.
            Ok(row) if mask.as_ref().is_none_or(|mask| mask.contains(&true)) => {
                touched.entry(row).or_insert(index);
            }
            Ok(_) => {}
            Err((field, detail)) => wrong.push((format!("{pointer}/overrides/{index}{field}"), detail)),
        }
    }
    let mut clamped = Vec::new();
    for (row, index) in touched {
        let signal = situation.signal(situation.layout.inputs[row]);
        let last = last_value(situation, row);
        let step_s = situation.grid.step_s;
        let bounded = bound(&future.rows[row], last, signal, step_s);
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

/// Applies one override where it is in force; says which row it changes.
fn one(
    situation: &Situation,
    baseline: &Future,
    future: &mut Future,
    change: &Override,
    mask: Option<&[bool]>,
) -> Result<usize, Wrong> {
    let row = overridable(situation, change)?;
    let (from, to) = change.span(situation)?;
    check_values(change, to - from)?;
    if let Some(when) = &change.when {
        when.check(situation)?;
    } else if change.latch {
        return Err(("/latch".to_owned(), "latch belongs to an override with a condition".to_owned()));
    }
    let horizon = situation.horizon;
    let value = change.value.unwrap_or_default();
    let (before, values) = (&baseline.rows[row], &mut future.rows[row]);
    // Values go on beyond the horizon, where whole patches need them.
    let end = if to == horizon { values.len() } else { to };
    let in_force = |step: &usize| mask.is_none_or(|mask| mask[(*step).min(horizon - 1)]);
    let begin = (from..to).find(in_force);
    let present = match (mask, begin) {
        (Some(_), Some(begin)) if begin > 0 => values[begin - 1],
        _ => last_value(situation, row),
    };
    match change.op {
        Op::Set => (from..end).filter(in_force).for_each(|at| values[at] = value),
        Op::Add => (from..end).filter(in_force).for_each(|at| values[at] = before[at] + value),
        Op::Multiply => (from..end).filter(in_force).for_each(|at| values[at] = before[at] * value),
        Op::Clamp => {
            let (low, high) = (change.min.unwrap_or(f64::NEG_INFINITY), change.max.unwrap_or(f64::INFINITY));
            (from..end).filter(in_force).for_each(|at| values[at] = values[at].clamp(low, high));
        }
        Op::Hold => (from..end).filter(in_force).for_each(|at| values[at] = present),
        Op::Ramp => {
            if let Some(begin) = begin {
                let start = if begin == 0 { present } else { values[begin - 1] };
                let span = to - from;
                for (step, at) in values[begin..].iter_mut().enumerate() {
                    let part = start + (value - start) * (step + 1) as f64 / span as f64;
                    *at = if step < span { part } else { value };
                }
            }
        }
        Op::Series => {
            let given = change.values.as_deref().unwrap_or_default();
            let hold = given.last().copied().unwrap_or_default();
            (from..end).filter(in_force).for_each(|at| values[at] = given.get(at - from).copied().unwrap_or(hold));
        }
    }
    let signal = situation.signal(situation.layout.inputs[row]);
    if (signal.role == Role::Disturbance && begin.is_some()) || future.rows[row] != baseline.rows[row] {
        future.sources[row] = InputSource::Given;
    }
    Ok(row)
}

/// The row of the input that an override changes, if it may.
fn overridable(situation: &Situation, change: &Override) -> Result<usize, Wrong> {
    let say = |detail: String| ("/signal".to_owned(), detail);
    let name = &change.signal;
    let found = situation.asset.asset_type.signal(name);
    let (index, signal) = found.ok_or_else(|| say(format!("the asset has no signal {name}")))?;
    match signal.role {
        Role::ControlInput => {}
        Role::Disturbance if change.assume => {}
        Role::Disturbance => {
            return Err(say(format!(
                "{name} has the role disturbance, which is not ours to set; add \"assume\": true to suppose it"
            )));
        }
        role => {
            return Err(say(format!("{name} has the role {}; only a control_input can be overridden", role.name())));
        }
    }
    let row = situation.layout.inputs.iter().position(|input| *input == index);
    row.ok_or_else(|| say(format!("{name} was never measured, so nothing is known of what it does")))
}

/// Whether an override has the values that its op needs, and no others.
fn check_values(change: &Override, span: usize) -> Result<(), Wrong> {
    let say = |field: &str, detail: &str| Err((field.to_owned(), detail.to_owned()));
    let takes_value = !matches!(change.op, Op::Hold | Op::Series | Op::Clamp);
    if takes_value != change.value.is_some() {
        return say("/value", if takes_value { "this op needs a value" } else { "this op takes no value" });
    }
    if change.value.is_some_and(|value| !value.is_finite()) {
        return say("/value", "not a finite number");
    }
    if (change.op == Op::Series) != change.values.is_some() {
        return say("/values", "values belong to the op series, and series needs them");
    }
    let given = change.values.as_deref().unwrap_or_default();
    if change.op == Op::Series && given.len() != span {
        return say("/values", &format!("{} values for a span of {span} steps", given.len()));
    }
    if let Some(at) = given.iter().position(|value| !value.is_finite()) {
        return say(&format!("/values/{at}"), "not a finite number");
    }
    for (field, bound) in [("/min", change.min), ("/max", change.max)] {
        if bound.is_some() && change.op != Op::Clamp {
            return say(field, "min and max belong to the op clamp");
        }
        if bound.is_some_and(|bound| !bound.is_finite()) {
            return say(field, "not a finite number");
        }
    }
    match (change.op, change.min, change.max) {
        (Op::Clamp, None, None) => say("/min", "clamp needs a min, a max or both"),
        (Op::Clamp, Some(min), Some(max)) if min > max => say("/max", "the maximum is below the minimum"),
        _ => Ok(()),
    }
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

/// A row within the signal's limits and ramp rate.
fn bound(row: &[f64], last: f64, signal: &Signal, step_s: f64) -> Vec<f64> {
    let (low, high) = (signal.min.unwrap_or(f64::NEG_INFINITY), signal.max.unwrap_or(f64::INFINITY));
    let reach = signal.max_rate.map_or(f64::INFINITY, |rate| rate * step_s);
    let mut before = last;
    row.iter()
        .map(|value| {
            before = value.clamp(before - reach, before + reach).clamp(low, high);
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
