//! What must hold of grid, bank and network together, whatever the plant: causality to the bit,
//! units that do not matter, and no answer that is not a number.

use chrono::{DateTime, TimeDelta};
use proptest::prelude::*;

use super::{Fit, Grid, Layout, Setup, Subject};
use crate::asset::testing::asset_type;
use crate::asset::{AssetType, Role};
use crate::model::{Base, EngineError, LEVELS, trainee};
use crate::reading::Frame;

/// Steps ahead: two patches of the network, so that a change can fall inside either.
const STEPS: usize = 32;
const TARGET: usize = 2;

/// Two inputs that move in steps and a lag that answers both: a row per signal, target last.
#[derive(Clone, Debug)]
struct Plant {
    rows: Vec<Vec<f64>>,
}

impl Plant {
    fn new(length: usize, seed: u32, lag: f64) -> Self {
        let mut state = seed;
        let mut noise = move || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            f64::from(state >> 8) / f64::from(1_u32 << 24) - 0.5
        };
        let (mut inputs, mut level) = ([0.0; 2], 0.0);
        let mut rows = vec![Vec::new(); 3];
        for step in 0..length {
            if step % 17 == 0 {
                inputs[0] = 2.0 * noise();
            }
            if step % 29 == 0 {
                inputs[1] = 2.0 * noise();
            }
            level += (inputs[0] + (1.5 * inputs[1]).tanh() - level) / lag;
            for (row, value) in rows.iter_mut().zip([inputs[0], inputs[1], level + 0.02 * noise()]) {
                row.push(value);
            }
        }
        Self { rows }
    }

    fn frames(&self) -> Vec<Frame> {
        let at = |step: usize| DateTime::UNIX_EPOCH + TimeDelta::seconds(step as i64);
        let values = |step: usize| self.rows.iter().map(|row| row[step]).collect();
        (0..self.rows[0].len())
            .map(|step| Frame { observed_at: at(step), values: values(step), quality: None })
            .collect()
    }

    /// Both inputs as they stand, held.
    fn held(&self) -> Vec<Vec<f64>> {
        self.rows[..TARGET].iter().map(|row| vec![row.last().copied().unwrap_or(0.0); STEPS]).collect()
    }
}

fn plant() -> impl Strategy<Value = Plant> {
    (70_usize..500, any::<u32>(), 1.5_f64..30.0).prop_map(|(length, seed, lag)| Plant::new(length, seed, lag))
}

fn two_inputs() -> AssetType {
    let mut made = asset_type(1.0, &["pump", "heater", "level"]);
    made.document.signals[1].role = Role::ControlInput;
    made
}

/// A row of quantiles for each step, in the target's unit.
type Rows = Vec<[f64; LEVELS.len()]>;

/// Answers each future as serving does, but alone: a batch of one window.
fn answers(base: &Base, frames: &[Frame], futures: &[Vec<Vec<f64>>]) -> Result<Vec<Rows>, EngineError> {
    let asset_type = two_inputs();
    let grid = Grid::new(&asset_type, frames).expect("there are frames");
    let layout = Layout::new(&asset_type, &grid);
    let subject = Subject { asset_type: &asset_type, grid: &grid, layout: &layout };
    let fit = Fit::new(subject, TARGET, grid.len(), STEPS, &Setup::default());
    let windows = fit.windows(&grid, grid.len(), futures, STEPS);
    windows
        .iter()
        .map(|window| {
            let answer = trainee::answer(base, None, &[window])?.remove(0);
            Ok(answer.into_iter().map(|row| row.map(|value| fit.scale().undo(value))).collect())
        })
        .collect()
}

fn bits(rows: &[[f64; LEVELS.len()]]) -> Vec<u64> {
    rows.iter().flatten().map(|value| value.to_bits()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn up_to_the_first_step_that_differs_the_answers_are_bitwise_equal(
        plant in plant(),
        at in 0_usize..STEPS,
        input in 0_usize..2,
        change in prop_oneof![-4.0_f64..-0.2, 0.2_f64..4.0],
    ) {
        let base = Base::shipped().expect("the shipped weights load");
        let held = plant.held();
        let mut other = held.clone();
        for value in &mut other[input][at..] {
            *value += change;
        }
        let both = answers(&base, &plant.frames(), &[held, other]).expect("an answer");
        prop_assert_eq!(bits(&both[0][..at]), bits(&both[1][..at]));
        prop_assert_ne!(bits(&both[0][at..]), bits(&both[1][at..]), "the change counts from its own step on");
    }

    #[test]
    fn other_units_give_the_same_answer_in_those_units(
        plant in plant(),
        factors in prop::array::uniform3(-3.0_f64..3.0),
        offsets in prop::array::uniform3(-20.0_f64..20.0),
    ) {
        let base = Base::shipped().expect("the shipped weights load");
        let factors = factors.map(|power| 10_f64.powf(power));
        let converted = |signal: usize, value: f64| factors[signal] * (value + offsets[signal]);
        let mut other = plant.clone();
        for (signal, row) in other.rows.iter_mut().enumerate() {
            row.iter_mut().for_each(|value| *value = converted(signal, *value));
        }
        let mut future = plant.held();
        future[0].iter_mut().for_each(|value| *value += 0.5);
        let future_there: Vec<Vec<f64>> =
            future.iter().enumerate().map(|(signal, row)| row.iter().map(|v| converted(signal, *v)).collect()).collect();
        let here = answers(&base, &plant.frames(), &[future]).expect("an answer");
        let there = answers(&base, &other.frames(), &[future_there]).expect("an answer");
        for (here, there) in here[0].iter().flatten().zip(there[0].iter().flatten()) {
            let gap = (converted(TARGET, *here) - there).abs() / factors[TARGET];
            prop_assert!(gap < 2e-4, "{here} became {there}: {gap} apart in the first unit");
        }
    }

    #[test]
    fn readings_that_are_no_numbers_leave_every_answer_a_number(
        plant in plant(),
        holes in prop::collection::vec((0_usize..500, 0_usize..3, 0_usize..3, 1_usize..40), 1..8),
    ) {
        let base = Base::shipped().expect("the shipped weights load");
        let mut frames = plant.frames();
        let count = frames.len();
        for (first, signal, kind, length) in holes {
            for frame in frames.iter_mut().skip(first % count).take(length) {
                frame.values[signal] = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY][kind];
            }
        }
        let rows = answers(&base, &frames, &[plant.held()]).expect("an answer");
        prop_assert!(rows[0].iter().flatten().all(|value| value.is_finite()));
        prop_assert!(rows[0].iter().all(|row| row.is_sorted()));
    }
}

#[test]
fn a_signal_that_was_never_a_number_is_no_input() {
    let base = Base::shipped().expect("the shipped weights load");
    let mut plant = Plant::new(300, 3, 5.0);
    plant.rows[1].fill(f64::NAN);
    let rows = answers(&base, &plant.frames(), &[vec![vec![0.5; STEPS]]]).expect("an answer");
    assert!(rows[0].iter().flatten().all(|value| value.is_finite()));
}
