//! Whole records: clean ones pass on bit by bit, what was poisoned is found.

use chrono::DateTime;

use super::{Assessment, Flag, Test, assess, health};
use crate::asset::AssetType;
use crate::asset::testing::asset_type;
use crate::reading::Frame;

const COUNT: usize = 1_500;

fn kind() -> AssetType {
    asset_type(1.0, &["pump", "level", "flow"])
}

/// A generator of numbers from -0.5 to 0.5.
fn noise(seed: u64) -> impl FnMut() -> f64 {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 11) as f64 / (1_u64 << 53) as f64 - 0.5
    }
}

/// A pump that steps, a level that follows it slowly, a flow that follows at once; with sensor noise.
fn record(seed: u64) -> Vec<Frame> {
    let mut draw = noise(seed);
    let (mut pump, mut level) = (0.5, 3.0);
    (0..COUNT)
        .map(|step| {
            if step % 60 == 0 {
                pump = 0.2 + 0.6 * (draw() + 0.5);
            }
            level += 0.05 * (6.0 * pump - level);
            frame(step, vec![pump, level + 0.02 * draw(), 10.0 * pump + 0.1 * draw()])
        })
        .collect()
}

fn frame(step: usize, values: Vec<f64>) -> Frame {
    Frame { observed_at: DateTime::from_timestamp(1_790_000_000 + step as i64, 0).unwrap(), values, quality: None }
}

fn frames(rows: impl Iterator<Item = Vec<f64>>) -> Vec<Frame> {
    rows.enumerate().map(|(step, values)| frame(step, values)).collect()
}

fn assessed(frames: &[Frame]) -> Assessment {
    assess(&kind(), frames)
}

fn failed(assessment: &Assessment, signal: usize) -> Vec<usize> {
    let flags = assessment.flags(signal);
    (0..flags.len()).filter(|at| flags[*at] == Flag::Fail).collect()
}

/// Nothing fails, and what is learned from is the record itself, bit by bit.
#[track_caller]
fn passes_on(name: &str, record: &[Frame]) {
    let assessment = assessed(record);
    for signal in 0..3 {
        assert_eq!(failed(&assessment, signal), [0_usize; 0], "{name}: signal {signal}");
    }
    let cleaned = assessment.clean(&kind(), record.to_vec());
    assert_eq!(cleaned.dropped, 0, "{name}");
    let bits = |frames: &[Frame]| -> Vec<u64> {
        frames.iter().flat_map(|frame| frame.values.iter().map(|value| value.to_bits())).collect()
    };
    assert!(cleaned.frames.len() == record.len() && bits(&cleaned.frames) == bits(record), "{name}");
}

#[test]
fn a_slow_signal_is_not_missing_between_its_samples() {
    let mut kind = kind();
    kind.document.signals[2].interval = Some("PT10S".parse().unwrap());
    let mut frames = record(5);
    for (step, frame) in frames.iter_mut().enumerate() {
        // Five samples do not come.
        if !step.is_multiple_of(10) || (500..550).contains(&step) {
            frame.values[2] = f64::NAN;
        }
    }
    let signals = health(&kind, &frames, &assess(&kind, &frames)).signals;
    let (fast, slow) = (&signals[1], &signals[2]);
    assert_eq!((slow.counts.missing, slow.counts.not_evaluated), (5, COUNT - COUNT / 10));
    assert!((slow.usable - (1.0 - 50.0 / COUNT as f64)).abs() < 1e-9, "{}", slow.usable);
    assert_eq!((fast.counts.missing, fast.usable), (0, 1.0));
}

#[test]
fn clean_records_pass_on_bit_by_bit() {
    let wave = |step: usize| (step as f64 / 17.0).sin();
    passes_on("a plant", &record(1));
    passes_on("pure waves", &frames((0..COUNT).map(|k| vec![wave(k), 5.0 + wave(k), 3.0 * wave(2 * k)])));
    let mut draw = noise(2);
    passes_on("white noise", &frames((0..COUNT).map(|_| vec![draw(), draw(), 100.0 * draw()])));
    let mut sum = 0.0;
    let mut walk = || {
        sum += draw();
        sum
    };
    passes_on("a random walk", &frames((0..COUNT).map(|_| vec![0.0, walk(), 1.0])));
    let coarse = |step: usize| (10.0 * (step as f64 / 200.0).sin()).round() / 4.0;
    passes_on("coarse steps", &frames((0..COUNT).map(|k| vec![1.0, coarse(k), coarse(k + 9)])));
    let gaps = |step: usize| if step % 7 == 3 { f64::NAN } else { wave(step) };
    passes_on("gaps", &frames((0..COUNT).map(|k| vec![wave(k), gaps(k), gaps(k + 1)])));
    passes_on("constants", &frames((0..COUNT).map(|_| vec![1.0, 2.0, 0.0])));
    passes_on("three frames", &frames((0..3).map(|k| vec![wave(k), wave(k), wave(k)])));
    passes_on("nothing", &[]);
}

#[test]
fn what_a_plant_does_by_itself_does_not_fail() {
    // Pulses of one step that the flow answers at once, rare ones.
    let pulse = |step: usize| if step % 200 == 50 { 5.0 } else { 1.0 };
    let mut draw = noise(3);
    passes_on(
        "pulses",
        &frames((0..COUNT).map(|k| vec![pulse(k), 2.0 + 0.01 * draw(), 3.0 * pulse(k) + 0.01 * draw()])),
    );
    // A machine that rests at zero, and a tank that is full at times.
    let rests = |step: usize| (step / 300) % 2 == 1;
    let rows = (0..COUNT).map(|k| {
        let flow = if rests(k) { 0.0 } else { 4.0 + draw() };
        let level = if rests(k) { 8.0 } else { 5.0 + draw() };
        vec![f64::from(u8::from(!rests(k))), level, flow]
    });
    passes_on("rest", &frames(rows));
    // A setting that somebody changes by factors of ten.
    let setting = |step: usize| [1.0, 10.0, 100.0, 10.0, 1.0][step / 300];
    passes_on("settings", &frames((0..COUNT).map(|k| vec![0.5, setting(k), setting(k / 3)])));
    // It steps to a level sixty times as high, with the same noise.
    passes_on("levels", &frames((0..COUNT).map(|k| vec![0.5, draw() + if k < 700 { 4.0 } else { 240.0 }, draw()])));
}

#[test]
fn outliers_fail_alone() {
    for seed in 0..8 {
        let mut poisoned = record(seed);
        let mut draw = noise(100 + seed);
        let places: Vec<usize> = (0..15).map(|k| 20 + 97 * k + (10.0 * (draw() + 0.5)) as usize).collect();
        for at in &places {
            poisoned[*at].values[1] += if draw() > 0.0 { 8.0 } else { -20.0 };
        }
        assert_eq!(failed(&assessed(&poisoned), 1), places, "seed {seed}");
        // Two side by side.
        poisoned[700].values[1] = 40.0;
        poisoned[701].values[1] = 25.0;
        let found = failed(&assessed(&poisoned), 1);
        assert!(found.contains(&700) && found.contains(&701), "{found:?}");
    }
}

#[test]
fn a_stuck_sensor_fails_behind_its_first_value() {
    let mut poisoned = record(5);
    let held = poisoned[400].values[1];
    poisoned[400..700].iter_mut().for_each(|frame| frame.values[1] = held);
    let assessment = assessed(&poisoned);
    assert_eq!(failed(&assessment, 1), (401..700).collect::<Vec<_>>());
    assert!(failed(&assessment, 2).is_empty());
    // Nothing can stand for 299 steps: the frames go, and a grid sees a silence.
    let cleaned = assessment.clean(&kind(), poisoned.clone());
    assert_eq!((cleaned.dropped, cleaned.frames.len()), (299, COUNT - 299));
    // A short run is suspect and stays.
    let mut short = record(5);
    short[400..420].iter_mut().for_each(|frame| frame.values[1] = held);
    let assessment = assessed(&short);
    assert!(failed(&assessment, 1).is_empty() && assessment.flags(1)[410] == Flag::Suspect);
    // An asset that rests as a whole is not stuck.
    let mut resting = record(5);
    let still = resting[400].values.clone();
    resting[400..700].iter_mut().for_each(|frame| frame.values.clone_from(&still));
    assert!(failed(&assessed(&resting), 1).is_empty());
}

#[test]
fn a_stretch_in_another_unit_fails() {
    for (factor, from, to) in [(1000.0, 500, 800), (0.001, 910, 1_500), (60.0, 0, 210)] {
        let mut poisoned = record(6);
        poisoned[from..to].iter_mut().for_each(|frame| frame.values[1] *= factor);
        let found = failed(&assessed(&poisoned), 1);
        let wrong: Vec<usize> = (0..COUNT).filter(|at| found.contains(at) != (from..to).contains(at)).collect();
        assert_eq!(wrong, [0_usize; 0], "times {factor}");
    }
}

#[test]
fn what_the_type_and_the_source_say_counts() {
    let mut kind = kind();
    (kind.document.signals[1].min, kind.document.signals[1].max) = (Some(0.0), Some(8.0));
    kind.document.signals[0].max_rate = Some(0.01);
    let mut poisoned = record(7);
    poisoned[30].values[1] = 8.5;
    poisoned[40].quality = Some(vec![0, 2, 1]);
    let assessment = assess(&kind, &poisoned);
    assert_eq!(failed(&assessment, 1), [30, 40]);
    assert_eq!(assessment.flags(2)[40], Flag::Suspect);
    let rates = assessment.signals[0].iter().find(|checked| checked.test == Test::RateOfChange).unwrap();
    let steps = rates.flags.iter().filter(|flag| **flag == Flag::Suspect).count();
    assert!((20..=24).contains(&steps), "{steps} steps of the pump are too fast, and nothing fails");
    assert!(failed(&assessment, 0).is_empty());
    let cleaned = assessment.clean(&kind, poisoned);
    assert!(cleaned.frames[30].values[1].is_nan() && cleaned.frames[30].values[2].is_finite());
    assert_eq!(cleaned.dropped, 0);
}

#[test]
fn the_report_adds_up() {
    let mut poisoned = record(8);
    poisoned[100].values[1] += 9.0;
    poisoned[200].values[1] = f64::NAN;
    poisoned.drain(300..310);
    let assessment = assessed(&poisoned);
    let health = health(&kind(), &poisoned, &assessment);
    let level = &health.signals[1];
    let counts = level.counts;
    let all = counts.pass + counts.suspect + counts.fail + counts.missing + counts.not_evaluated;
    assert_eq!((all, counts.fail, counts.missing), (COUNT - 10, 1, 1));
    assert_eq!((health.frames, health.timing.silent_steps), (COUNT - 10, 10));
    assert_eq!(level.worst, Flag::Fail);
    assert!((level.usable - (COUNT - 12) as f64 / COUNT as f64).abs() < 1e-9, "{}", level.usable);
    let spike = level.stretches.iter().find(|stretch| stretch.flag == Flag::Fail).unwrap();
    assert_eq!((spike.test, spike.start, spike.values), (Test::Spike, poisoned[100].observed_at, 1));
    assert!(health.timing.stretches.iter().any(|stretch| stretch.test == Test::Gap && stretch.values == 10));
    assert!(level.action.starts_with("1 values fail (spike 1)"), "{}", level.action);
    assert!(level.stretches.is_sorted_by(|a, b| a.end >= b.end));
    assert!(health.signals[0].action.starts_with("nothing"), "{}", health.signals[0].action);
    assert_eq!(assessment.removed(&kind())[1].removed["spike"], 1);
}
