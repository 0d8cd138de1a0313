//! A golden input: a window made of sines, and what a base model answers to it.
//!
//! It shows what hash, names and shapes cannot: that this server computes with the weights what the machine
//! computed that packed them.

use serde::{Deserialize, Serialize};

use crate::model::engine::Quantiles;
use crate::model::network::LEVELS;
use crate::model::window::{CONTEXT, PATCH, SLOTS, Window};
use crate::web::problem::FieldError;

/// The largest difference that an answer may be allowed, in deviations of the target.
const MAX_TOLERANCE: f64 = 0.01;
/// Steps of an input's future at most.
const MAX_FUTURE: usize = 512;

/// An input, its answer, and how far another machine's may be from it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, expecting = "an object")]
#[schema(as = GoldenAnswer)]
pub struct Golden {
    /// What is asked.
    pub input: Input,
    /// The answer: for each future step its 21 quantiles, in ascending order, in deviations of the target.
    pub expected: Vec<f64>,
    /// Largest difference of a number from what is expected, above 0 and at most 0.01. Machines differ by
    /// about 0.000001.
    pub tolerance: f64,
}

/// A window of sines, which these numbers decide.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, expecting = "an object")]
#[schema(as = GoldenInput)]
pub struct Input {
    /// Shifts the sines.
    pub seed: u16,
    /// Steps ahead: 16, 32, ... 512.
    pub future: usize,
    /// Inputs of the plant, 0 to 8.
    pub inputs: usize,
}

impl Input {
    /// What `counterpart base pack` asks.
    pub(super) const USUAL: Self = Self { seed: 1, future: 2 * PATCH, inputs: 2 };

    /// The window: a target of which the oldest steps are unknown, a bank that is a little off, inputs at
    /// their own paces.
    pub(super) fn window(self) -> Window {
        let total = CONTEXT + self.future;
        let seed = f32::from(self.seed);
        let wave = |step: usize, pace: f32| (step as f32 * pace + seed).sin();
        let row = |steps: usize, pace: f32| (0..steps).map(|step| wave(step, pace)).collect::<Vec<f32>>();
        let unknown = 3 * PATCH;
        let target = row(CONTEXT, 0.07);
        Window {
            context: CONTEXT,
            future: self.future,
            target: target.into_iter().enumerate().map(|(k, value)| if k < unknown { 0.0 } else { value }).collect(),
            known: (0..CONTEXT).map(|step| f32::from(u8::from(step >= unknown))).collect(),
            bank: row(total, 0.069),
            spread: (0..total).map(|step| if step < 4 * PATCH { -1.0 } else { 0.1 * wave(step, 0.01).abs() }).collect(),
            inputs: (1_u16..).take(self.inputs).map(|slot| row(total, 0.02 * f32::from(slot))).collect(),
            restart: None,
            scale: 0.3,
        }
    }
}

impl Golden {
    /// An input with the answer that somebody computed.
    pub(super) fn of(input: Input, answer: &Quantiles, tolerance: f64) -> Self {
        Self { input, expected: answer.iter().flatten().copied().collect(), tolerance }
    }

    /// What of it cannot be asked or compared.
    pub(super) fn faults(&self) -> Vec<FieldError> {
        let Input { future, inputs, .. } = self.input;
        let mut faults = Vec::new();
        let mut unless = |holds: bool, pointer: &str, detail: String| {
            if !holds {
                faults.push(FieldError { pointer: format!("/golden{pointer}"), detail });
            }
        };
        let whole = (PATCH..=MAX_FUTURE).contains(&future) && future.is_multiple_of(PATCH);
        unless(whole, "/input/future", format!("must be a multiple of {PATCH}, up to {MAX_FUTURE}"));
        unless(inputs <= SLOTS, "/input/inputs", format!("must be 0 to {SLOTS}"));
        let (have, need) = (self.expected.len(), future.saturating_mul(LEVELS.len()));
        let detail = format!("holds {have} numbers; so many steps have {need}, {} each", LEVELS.len());
        unless(have == need, "/expected", detail);
        let fits = self.tolerance > 0.0 && self.tolerance <= MAX_TOLERANCE;
        unless(fits, "/tolerance", format!("must be above 0 and at most {MAX_TOLERANCE}"));
        faults
    }

    /// Where an answer is farther from what is expected than it may be.
    pub(super) fn objection(&self, answer: &Quantiles) -> Option<FieldError> {
        let refuse = |detail: String| FieldError { pointer: "/golden/expected".to_owned(), detail };
        let said: Vec<f64> = answer.iter().flatten().copied().collect();
        if said.len() != self.expected.len() {
            return Some(refuse(format!("holds {} numbers; the answer has {}", self.expected.len(), said.len())));
        }
        let gaps = said.iter().zip(&self.expected).map(|(said, wanted)| (said - wanted).abs()).enumerate();
        let (place, gap) = gaps.max_by(|a, b| a.1.total_cmp(&b.1))?;
        (gap > self.tolerance).then(|| {
            refuse(format!(
                "is not what these weights answer here: number {place} is {:.6} instead of {:.6}, and at most {} is \
                 allowed between them",
                said[place], self.expected[place], self.tolerance
            ))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{BaseChoice, trainee};

    #[test]
    fn every_input_can_be_asked_and_its_answer_is_recognised() {
        let base = BaseChoice::default().load().unwrap();
        for (seed, future, inputs) in [(0, 16, 0), (1, 32, 2), (65_535, 512, 8)] {
            let input = Input { seed, future, inputs };
            let window = input.window();
            assert!(window.is_finite());
            let answer = trainee::answer(&base, None, &[&window]).unwrap().remove(0);
            let mut golden = Golden::of(input, &answer, 1e-4);
            assert!(golden.faults().is_empty() && golden.objection(&answer).is_none());
            golden.expected[7] += 2e-4;
            let objection = golden.objection(&answer).unwrap();
            assert!(objection.detail.contains("number 7 "), "{objection:?}");
        }
    }

    #[test]
    fn what_cannot_be_compared_is_told_by_its_field() {
        let good = Golden { input: Input::USUAL, expected: vec![0.0; 32 * LEVELS.len()], tolerance: 1e-4 };
        assert!(good.faults().is_empty());
        let with = |change: &dyn Fn(&mut Golden)| {
            let mut golden = good.clone();
            change(&mut golden);
            golden.faults().into_iter().map(|fault| fault.pointer).collect::<Vec<_>>()
        };
        assert_eq!(with(&|golden| golden.input.future = usize::MAX), ["/golden/input/future", "/golden/expected"]);
        assert_eq!(with(&|golden| golden.input.inputs = 9), ["/golden/input/inputs"]);
        assert_eq!(with(&|golden| golden.expected.truncate(1)), ["/golden/expected"]);
        for tolerance in [0.0, -1.0, 0.02, f64::NAN] {
            assert_eq!(with(&|golden| golden.tolerance = tolerance), ["/golden/tolerance"], "{tolerance}");
        }
    }
}
