//! Conditions: overrides that are in force only while, or once, something is so in the scenario's own
//! future.
//!
//! A condition is evaluated inside the roll-out, on simulated values: on the scenario's own median of
//! an output, or its own value of an input, at the step before; at the first step, on what was
//! measured last. So an override takes effect at the first step after its condition became true.
//! Without `latch` it is in force at exactly the steps whose condition is true; with it, from the
//! first such step to the end of its span. `hold` and `ramp` are always latched: they begin at that
//! step, and a ramp then takes as long as its span is.

use serde::{Deserialize, Serialize};

use super::plan::{Op, Override, Wrong};
use crate::forecast::{Future, Situation};
use crate::model::{MEDIAN, Quantiles};

/// When an override is in force: a signal above or below a value.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct When {
    /// An output or input of the asset.
    pub signal: String,
    /// In force while the signal was above this at the step before. Either this or `lt`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gt: Option<f64>,
    /// In force while the signal was below this at the step before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lt: Option<f64>,
}

/// Steps at which conditional overrides of one scenario are in force: for each override a truth per
/// step of the horizon, none for one without a condition.
pub(super) type Masks = Vec<Mask>;
/// Of one override.
pub(super) type Mask = Option<Vec<bool>>;

/// Steps at which a conditional override was in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct InForce {
    /// Which of the scenario's overrides, from 0.
    pub r#override: usize,
    /// First step.
    pub from: usize,
    /// Step after the last one.
    pub to: usize,
}

/// A signal that a condition looks at.
#[derive(Clone, Copy, Debug)]
enum Seen {
    Target(usize),
    Input(usize),
}

impl When {
    /// What is wrong with it: the field within the condition and why.
    pub(super) fn check(&self, situation: &Situation) -> Result<(), Wrong> {
        let name = &self.signal;
        let say = |field: &str, detail: String| Err((format!("/when{field}"), detail));
        match (self.gt, self.lt) {
            (Some(value), None) if !value.is_finite() => return say("/gt", "not a finite number".to_owned()),
            (None, Some(value)) if !value.is_finite() => return say("/lt", "not a finite number".to_owned()),
            (Some(_), None) | (None, Some(_)) => {}
            _ => return say("", "a condition has either gt or lt".to_owned()),
        }
        match (self.seen(situation), situation.asset.asset_type.signal(name)) {
            (Some(_), _) => Ok(()),
            (None, None) => say("/signal", format!("the asset has no signal {name}")),
            (None, Some((_, signal))) => {
                let role = signal.role.name();
                say(
                    "/signal",
                    format!("{name} has the role {role}; a condition looks at inputs and outputs that were measured"),
                )
            }
        }
    }

    fn seen(&self, situation: &Situation) -> Option<Seen> {
        let place = |signals: &[usize]| signals.iter().position(|signal| situation.signal(*signal).name == self.signal);
        place(&situation.layout.targets).map(Seen::Target).or_else(|| place(&situation.layout.inputs).map(Seen::Input))
    }

    fn holds(&self, value: f64) -> bool {
        self.gt.is_some_and(|limit| value > limit) || self.lt.is_some_and(|limit| value < limit)
    }

    /// Whether it is true for each step, in one future and its answers.
    fn truths(&self, situation: &Situation, future: &Future, answers: &[Quantiles]) -> Vec<bool> {
        let Some(seen) = self.seen(situation) else { return vec![false; situation.horizon] };
        let signal = match seen {
            Seen::Target(place) => situation.layout.targets[place],
            Seen::Input(place) => situation.layout.inputs[place],
        };
        let present = situation.grid.values[signal].last().copied().unwrap_or(f64::NAN);
        let before = |step: usize| match (step, seen) {
            (0, _) => present,
            (_, Seen::Target(place)) => answers[place][step - 1][MEDIAN],
            (_, Seen::Input(place)) => future.rows[place][step - 1],
        };
        (0..situation.horizon).map(|step| self.holds(before(step))).collect()
    }
}

/// The masks of overrides before anything was simulated: none is in force.
pub(super) fn none_in_force(overrides: &[Override], steps: usize) -> Masks {
    overrides.iter().map(|change| change.when.as_ref().map(|_| vec![false; steps])).collect()
}

/// The masks that the future of a scenario asks for.
pub(super) fn masks(situation: &Situation, overrides: &[Override], future: &Future, answers: &[Quantiles]) -> Masks {
    let mask = |change: &Override| {
        let when = change.when.as_ref()?;
        let (from, to) = change.span(situation).ok()?;
        let mut mask = when.truths(situation, future, answers);
        mask[..from].fill(false);
        mask[to..].fill(false);
        if change.latch || matches!(change.op, Op::Hold | Op::Ramp) {
            if let Some(begin) = mask.iter().position(|holds| *holds) {
                mask[begin..to].fill(true);
            }
        }
        Some(mask)
    };
    overrides.iter().map(mask).collect()
}

/// The first override and step at which two masks differ.
pub(super) fn first_difference(one: &[Mask], other: &[Mask]) -> Option<(usize, usize)> {
    let step = |pair: (&Mask, &Mask)| {
        let (one, other) = (pair.0.as_ref()?, pair.1.as_ref()?);
        one.iter().zip(other).position(|(one, other)| one != other)
    };
    let differences = one.iter().zip(other).enumerate().filter_map(|(index, pair)| Some((index, step(pair)?)));
    differences.min_by_key(|(_, step)| *step)
}

/// The masks as spans.
pub(super) fn in_force(masks: &[Mask]) -> Vec<InForce> {
    let mut spans: Vec<InForce> = Vec::new();
    for (index, mask) in masks.iter().enumerate() {
        for step in (0..mask.as_ref().map_or(0, Vec::len)).filter(|step| mask.as_ref().is_some_and(|mask| mask[*step]))
        {
            match spans.last_mut() {
                Some(last) if last.r#override == index && last.to == step => last.to += 1,
                _ => spans.push(InForce { r#override: index, from: step, to: step + 1 }),
            }
        }
    }
    spans
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_become_spans() {
        let masks = vec![None, Some(vec![true, true, false, true]), Some(vec![true, false, false, false])];
        let span = |index, from, to| InForce { r#override: index, from, to };
        assert_eq!(in_force(&masks), [span(1, 0, 2), span(1, 3, 4), span(2, 0, 1)]);
    }

    #[test]
    fn masks_differ_where_the_earliest_step_does() {
        let one = vec![None, Some(vec![true, true, true]), Some(vec![true, true, true])];
        let other = vec![None, Some(vec![true, true, false]), Some(vec![true, false, true])];
        assert_eq!(first_difference(&one, &other), Some((2, 1)));
        assert_eq!(first_difference(&one, &one), None);
    }

    #[test]
    fn a_condition_is_strict() {
        let above = When { signal: "level".to_owned(), gt: Some(2.0), lt: None };
        assert!(above.holds(2.1) && !above.holds(2.0) && !above.holds(f64::NAN));
        let below = When { signal: "level".to_owned(), gt: None, lt: Some(2.0) };
        assert!(below.holds(1.9) && !below.holds(2.0) && !below.holds(f64::NAN));
    }
}
