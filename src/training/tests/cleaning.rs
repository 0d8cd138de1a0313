//! What is left out before anything is learned: nothing of a clean record, and of a poisoned one what
//! would make the model worse.

use crate::asset::testing::asset_type;
use crate::asset::{AssetType, Role};
use crate::features::{Banks, Grid, Layout, Split, Subject, bank_error};
use crate::prior::{Controls, Operator, Plant};
use crate::reading::Frame;
use crate::training::card;

use super::*;

const STEPS: usize = 64;
const COUNT: usize = 1_500;

fn frame(step: usize, values: Vec<f64>) -> Frame {
    Frame { observed_at: DateTime::from_timestamp(1_790_000_000 + step as i64, 0).unwrap(), values, quality: None }
}

/// The demo's plant under its operator, as its sensors send it, drop-outs included.
fn demo(seed: u64) -> (AssetType, Vec<Frame>) {
    let mut kind = asset_type(1.0, &["pump", "valve", "heater", "ambient", "level_1", "level_2", "temperature"]);
    let limits = [(0.0, 1.0), (0.0, 1.0), (0.0, 6.0), (-40.0, 60.0), (-0.2, 4.2), (-0.2, 4.2), (-10.0, 100.0)];
    for (place, (signal, (min, max))) in kind.document.signals.iter_mut().zip(limits).enumerate() {
        (signal.min, signal.max) = (Some(min), Some(max));
        signal.role =
            [Role::ControlInput, Role::Disturbance, Role::Output][(place / 3).min(1) + usize::from(place > 3)];
    }
    let (mut plant, mut operator) = (Plant::new(seed), Operator::new(seed));
    let mut controls = Controls { pump: 0.5, valve: 0.5, heater: 3.0 };
    let mut frames = Vec::new();
    for step in 0..5_300 {
        let sample = plant.step(&controls);
        controls = operator.next(&sample);
        let known = |value: Option<f64>| value.unwrap_or(f64::NAN);
        let values = [
            sample.pump,
            sample.valve,
            sample.heater,
            sample.ambient,
            known(sample.level_1),
            known(sample.level_2),
            known(sample.temperature),
        ];
        frames.push(frame(step, values.map(|value| (value * 1e4).round() / 1e4).to_vec()));
    }
    (kind, frames.split_off(300))
}

#[test]
fn a_demo_plants_record_is_learned_from_bit_by_bit() {
    for seed in [1, 2, 7, 11, 42] {
        let (kind, frames) = demo(seed);
        let (cleaned, card) = card::clean(&kind, frames.clone());
        let removed: Vec<_> = card.signals.iter().filter(|signal| !signal.removed.is_empty()).collect();
        assert!(removed.is_empty() && card.dropped_frames == 0, "seed {seed}: {removed:?}");
        let (before, after) = (Grid::new(&kind, &frames).unwrap(), Grid::new(&kind, &cleaned).unwrap());
        let bits = |grid: &Grid| grid.values.iter().flatten().map(|value| value.to_bits()).collect::<Vec<_>>();
        assert_eq!((bits(&before), before.measured, before.starts), (bits(&after), after.measured, after.starts));
    }
}

/// A pump that steps, and a level that follows it slowly; with sensor noise.
fn tank() -> Vec<Frame> {
    let (mut state, mut pump, mut level) = (7_u64, 0.5, 3.0);
    let mut draw = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 11) as f64 / (1_u64 << 53) as f64
    };
    let mut frames = Vec::new();
    for step in 0..COUNT {
        if step % 45 == 0 {
            pump = 0.2 + 0.6 * draw();
        }
        level += 0.06 * (6.0 * pump - level);
        frames.push(frame(step, vec![pump, level + 0.02 * (draw() - 0.5)]));
    }
    frames
}

/// Squared error of the closed-form bank on what really happened, when it was fitted to a record.
fn error(record: impl Fn(&[Frame]) -> Vec<Frame>) -> f64 {
    let (kind, clean) = (asset_type(1.0, &["pump", "level"]), tank());
    let origins: Vec<usize> = (1_000..COUNT - STEPS).step_by(72).collect();
    let errors = origins.iter().map(|origin| {
        let mut frames = record(&clean[..*origin]);
        frames.extend_from_slice(&clean[*origin..*origin + STEPS]);
        let grid = Grid::new(&kind, &frames).unwrap();
        let layout = Layout::new(&kind, &grid);
        let split = Split { from: grid.len() - STEPS, to: grid.len(), windows: 1 };
        bank_error(Subject { asset_type: &kind, grid: &grid, layout: &layout }, 1, split, STEPS, &Banks::default())
    });
    errors.sum::<f64>() / origins.len() as f64
}

#[test]
fn a_poisoned_record_gives_a_better_model_when_it_is_cleaned() {
    type Poison = fn(&mut [Frame]);
    let outliers: Poison = |frames| {
        let places = (40..frames.len()).step_by(61);
        places.enumerate().for_each(|(k, at)| frames[at].values[1] += if k % 3 == 0 { -15.0 } else { 12.0 });
    };
    let stuck: Poison = |frames| {
        let held = frames[500].values[1];
        frames[500..800].iter_mut().for_each(|frame| frame.values[1] = held);
    };
    let unit: Poison = |frames| frames[520..730].iter_mut().for_each(|frame| frame.values[1] *= 1000.0);
    let kind = asset_type(1.0, &["pump", "level"]);
    let best = error(<[Frame]>::to_vec);
    for (name, poison) in [("outliers", outliers), ("a stuck sensor", stuck), ("another unit", unit)] {
        let poisoned = |frames: &[Frame]| {
            let mut frames = frames.to_vec();
            poison(&mut frames);
            frames
        };
        let (dirty, cleaned) = (error(poisoned), error(|frames| card::clean(&kind, poisoned(frames)).0));
        assert!(
            cleaned < 0.5 * dirty && cleaned < 1.5 * best,
            "{name}: {dirty} as it is, {cleaned} cleaned, {best} clean"
        );
    }
}

#[test]
fn the_card_says_what_was_left_out() {
    let mut frames = tank();
    frames[100].values[1] += 30.0;
    let held = frames[500].values[1];
    frames[500..600].iter_mut().for_each(|frame| frame.values[1] = held);
    let (cleaned, card) = card::clean(&asset_type(1.0, &["pump", "level"]), frames);
    assert_eq!((card.frames, card.dropped_frames, cleaned.len()), (COUNT, 99, COUNT - 99));
    let level = &card.signals[1];
    assert_eq!((level.removed["spike"], level.removed["flat_line"], level.counts.fail), (1, 99, 100));
    assert!(card.signals[0].removed.is_empty());
    let stored = serde_json::to_value(&card).unwrap();
    assert_eq!(serde_json::from_value::<DataCard>(stored).unwrap(), card);
}
