use chrono::DateTime;

use super::*;
use crate::asset::testing::asset_type;
use crate::reading::Frame;

fn grid(rows: impl Iterator<Item = [f64; 2]>) -> Grid {
    let frame = |(step, row): (usize, [f64; 2])| Frame {
        observed_at: DateTime::from_timestamp(1_000_000 + step as i64, 0).unwrap(),
        values: row.to_vec(),
        quality: None,
    };
    Grid::new(&kind(), &rows.enumerate().map(frame).collect::<Vec<_>>()).unwrap()
}

fn kind() -> AssetType {
    asset_type(1.0, &["pump", "level"])
}

const WHOLE: Run<'_> = Run { first: 0, beginning: None };

#[test]
fn numbers_of_a_ramp_are_those_of_their_formulas() {
    let grid = grid((0..200).map(|step| [5.0, f64::from(step)]));
    let memory = Memory::of(&kind(), &grid, grid.len(), 1.0, true);
    let numbers = memory.upon(&kind(), &grid).unwrap().at(150, WHOLE, 150.0).unwrap();
    assert_eq!(numbers.len(), memory.width());
    assert!(numbers[..4].iter().all(|number| number.abs() < 1e-9), "a still signal: {numbers:?}");
    let begun = 14.5;
    assert!((numbers[4] - (148.0 - begun)).abs() < 1e-9, "mean of 146 to 150");
    assert!((numbers[5] - (135.5 - begun)).abs() < 1e-9, "mean of 121 to 150");
    let behind = 150.0 - (numbers[6] + begun);
    assert!((behind - 1.0 / ((1.0_f64 / 30.0).exp() - 1.0)).abs() < 1.0, "an average lags behind: {behind}");
    assert!((numbers[7] - 30.0).abs() < 1e-9, "one a step, over 30 steps");
    assert_eq!(numbers[8..], [5.0, begun, 150.0]);
}

#[test]
fn nothing_is_remembered_from_later_steps_or_from_before_the_run() {
    let wave = |step: i32| (1.7 * f64::from(step)).sin() + 0.01 * f64::from(step);
    let whole = grid((0..300).map(|step| [wave(3 * step), wave(step)]));
    let changed = grid((0..300).map(|step| {
        let foreign = if (80..=200).contains(&step) { 0.0 } else { 1e3 };
        [wave(3 * step) + foreign, wave(step) - foreign]
    }));
    let memory = Memory::of(&kind(), &whole, whole.len(), 1.0, true);
    let run = Run { first: 80, beginning: None };
    for step in [80, 81, 95, 140, 200] {
        let of = |grid: &Grid| memory.upon(&kind(), grid).unwrap().at(step, run, 7.0).unwrap();
        assert_eq!(of(&whole), of(&changed), "step {step}");
    }
    let recall = memory.upon(&kind(), &changed).unwrap();
    assert_ne!(recall.at(201, run, 7.0), memory.upon(&kind(), &whole).unwrap().at(201, run, 7.0));
    assert_eq!(recall.at(79, run, 7.0), None);
}

#[test]
fn a_run_whose_first_steps_are_no_longer_at_hand_is_remembered_as_before() {
    let wave = |step: i32| (1.7 * f64::from(step)).sin() + 0.001 * f64::from(step);
    let whole = grid((0..2_600).map(|step| [5.0, wave(step)]));
    let newest = grid((500..2_600).map(|step| [5.0, wave(step)]));
    let memory = Memory::of(&kind(), &whole, whole.len(), 4.0, false);
    let recall = memory.upon(&kind(), &whole).unwrap();
    let begun = recall.beginning(0, 2_599);
    let there = memory.upon(&kind(), &newest).unwrap();
    let run = Run { first: 0, beginning: Some(&begun) };
    assert_eq!(recall.at(2_599, WHOLE, 9.0), there.at(2_099, run, 9.0));
    assert_ne!(recall.at(2_599, WHOLE, 9.0), there.at(2_099, WHOLE, 9.0), "its beginning matters");
}

/// Two signals that wear alike over 300 steps, in quick noise of their own.
fn worn() -> Grid {
    let noise = |step: i32, speed: f64| (speed * f64::from(step)).sin();
    grid((0..300).map(|step: i32| {
        let wear = f64::from(step.pow(2)) / 2e4;
        [50.0 + wear + noise(step, 2.1), 1e3 * (7.0 - wear + noise(step, 2.9))]
    }))
}

fn looks() -> [Looks; 2] {
    [Looks { first: 0, steps: (0..140).collect() }, Looks { first: 140, steps: (140..300).step_by(2).collect() }]
}

#[test]
fn along_a_direction_signals_that_wear_alike_are_one_number_in_each_place() {
    let grid = worn();
    let memory = Memory::of(&kind(), &grid, grid.len(), 1.0, true);
    let mut along = memory.along(&kind(), &grid, &looks()).unwrap();
    assert_eq!((memory.width(), along.width()), (11, 6), "one direction");
    let recall = along.upon(&kind(), &grid).unwrap();
    let run = Run { first: 140, beginning: None };
    let rows: Vec<Vec<f64>> = (140..300).map(|step| recall.at(step, run, step as f64).unwrap()).collect();
    // It is linear: what is remembered of a sum is the sum of what is remembered.
    let parts = memory.upon(&kind(), &grid).unwrap().at(290, run, 1.0).unwrap();
    let weights = &along.directions[0];
    for place in 0..OF_SIGNAL {
        let sum = weights[0] * parts[place] + weights[1] * parts[OF_SIGNAL + place];
        assert!((rows[150][place] - sum).abs() < 1e-6, "{place}");
    }
    assert!(weights[0] * weights[1] < 0.0, "they wear in opposite ways: {weights:?}");
    along.scale(&rows);
    let scaled: Vec<Vec<f32>> = rows.iter().map(|row| along.scaled(row)).collect();
    assert!(scaled.iter().all(|row| row.len() == 6 && row.iter().all(|number| number.is_finite())));
    assert!((scaled[159][0] - scaled[0][0]).abs() > 1.5, "wear is seen");
}

#[test]
fn along_a_direction_too_nothing_is_remembered_from_later_steps() {
    let whole = worn();
    let mut changed = whole.clone();
    changed.values.iter_mut().for_each(|row| row[201..].fill(-1e6));
    let memory = Memory::of(&kind(), &whole, whole.len(), 1.0, true).along(&kind(), &whole, &looks()).unwrap();
    let of = |grid: &Grid, step: usize| {
        memory.upon(&kind(), grid).unwrap().at(step, Run { first: 140, beginning: None }, 7.0).unwrap()
    };
    for step in [140, 141, 170, 200] {
        assert_eq!(of(&whole, step), of(&changed, step), "step {step}");
    }
    assert_ne!(of(&whole, 201), of(&changed, 201));
}

#[test]
fn signals_that_do_not_wear_have_no_direction() {
    let still = grid((0..300).map(|step| [(2.1 * f64::from(step)).sin(), (2.9 * f64::from(step)).sin()]));
    let memory = Memory::of(&kind(), &still, still.len(), 1.0, true);
    assert_eq!(memory.along(&kind(), &still, &looks()), None);
    let single = Grid { values: worn().values[..1].to_vec(), ..worn() };
    let kind = asset_type(1.0, &["pump"]);
    assert_eq!(Memory::of(&kind, &single, 300, 1.0, true).along(&kind, &single, &looks()), None);
}

#[test]
fn what_teaches_decides_the_scale() {
    let grid = grid((0..100).map(|step| [518.67, f64::from(step)]));
    let mut memory = Memory::of(&kind(), &grid, grid.len(), 1.0, false);
    let recall = memory.upon(&kind(), &grid).unwrap();
    let rows: Vec<Vec<f64>> = (0..100).map(|step| recall.at(step, WHOLE, step as f64).unwrap()).collect();
    memory.scale(&rows);
    let scaled: Vec<Vec<f32>> = rows.iter().map(|row| memory.scaled(row)).collect();
    let age = scaled.iter().map(|row| f64::from(row[memory.width() - 1])).sum::<f64>();
    assert!(scaled.iter().all(|row| row[..4].iter().all(|number| number.abs() < 1e-3)), "rounding is no news");
    assert!(age.abs() < 1e-3 && scaled.iter().flatten().all(|number| number.is_finite()));
    let far: Vec<f64> = rows[99].iter().map(|number| 1e6 * (number + 1.0)).collect();
    assert!(memory.scaled(&far).iter().all(|number| f64::from(number.abs()) <= LIMIT));
    assert!(memory.upon(&asset_type(1.0, &["pump"]), &grid).is_none(), "a signal is gone");
}
