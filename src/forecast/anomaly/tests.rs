//! A watch on simulated plants: faults are found and named, and what is normal stays quiet.

use chrono::DateTime;
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use super::watch::{Judged, Kind, Watch};
use super::{DEFAULT_RATE, highest};
use crate::asset::AssetType;
use crate::asset::testing::asset_type;
use crate::features::{Grid, Layout};
use crate::reading::Frame;

const HISTORY: usize = 3_000;

fn plant() -> AssetType {
    asset_type(1.0, &["pump", "level", "flow"])
}

/// A tank's level and outflow that follow a pump, which jumps; `fault` changes what is measured.
fn frames(steps: usize, seed: u64, fault: impl Fn(usize, &mut [f64])) -> Vec<Frame> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let (mut pump, mut level) = (5.0, 5.0);
    (0..steps)
        .map(|step| {
            if step % 40 == 0 {
                pump = rng.random_range(2.0..8.0);
            }
            let mut noise = |size: f64| (0..12).map(|_| rng.random_range(-0.5..0.5)).sum::<f64>() * size;
            level += 0.05 * (pump - level) + noise(0.01);
            let mut values = vec![pump, level + noise(0.03), 0.4 * level + noise(0.02)];
            fault(step, &mut values);
            let observed_at = DateTime::from_timestamp(1_000_000 + step as i64, 0).unwrap();
            Frame { observed_at, values, quality: None }
        })
        .collect()
}

/// Learns from the first steps and judges the others.
fn judged(frames: &[Frame]) -> Judged {
    let asset_type = plant();
    let history = Grid::new(&asset_type, &frames[..HISTORY]).unwrap();
    let watch = Watch::learn(&asset_type, &history, &Layout::new(&asset_type, &history), None).unwrap();
    watch.judge(&Grid::new(&asset_type, &frames[HISTORY..]).unwrap(), DEFAULT_RATE)
}

fn guilty(judged: &Judged, place: usize) -> String {
    let of = &judged.intervals[place].contributions;
    of.iter().max_by(|one, other| one.1.total_cmp(other.1)).map(|(name, _)| name.clone()).unwrap()
}

#[test]
fn normal_operation_with_new_setpoints_is_quiet() {
    for seed in 1..=5 {
        let judged = judged(&frames(HISTORY + 4_000, seed, |_, _| {}));
        let alarms = judged.scores.iter().flatten().filter(|score| **score > 1.0).count();
        // 4 of 4,000 are wanted; levels of neighbouring steps hang together.
        assert!(alarms <= 20, "{alarms} of 4,000 steps, seed {seed}");
        assert!(judged.intervals.len() <= 5, "{:?}", judged.intervals);
    }
}

#[test]
fn a_sensor_that_jumps_is_found_at_once_and_for_as_long_as_it_is_off() {
    let judged = judged(&frames(HISTORY + 600, 3, |step, values| {
        if (HISTORY + 300..HISTORY + 400).contains(&step) {
            values[2] += 0.5;
        }
    }));
    let found = judged.intervals.iter().position(|interval| (299..305).contains(&interval.first)).expect("found");
    let interval = &judged.intervals[found];
    assert!((395..425).contains(&interval.last), "{interval:?}");
    assert!(!interval.open);
    assert_eq!(guilty(&judged, found), "flow");
    let inside = judged.scores[310..400].iter().flatten().filter(|score| **score > 1.0).count();
    assert!(inside > 70, "{inside} of 90 steps");
}

#[test]
fn a_slow_drift_is_found_and_named() {
    let judged = judged(&frames(HISTORY + 1_500, 4, |step, values| {
        if step > HISTORY + 300 {
            values[1] += 0.002 * (step - HISTORY - 300) as f64;
        }
    }));
    let last = judged.intervals.last().expect("found");
    assert!(last.open && last.kind != Kind::Step, "{last:?}");
    assert!(last.first < 1_000, "{last:?}");
    assert_eq!(guilty(&judged, judged.intervals.len() - 1), "level");
}

#[test]
fn a_fault_in_the_history_does_not_hide_the_next_one() {
    let spoilt = |step: usize, values: &mut [f64]| {
        if (1_000..1_100).contains(&step) || step >= HISTORY + 200 {
            values[2] += 2.0;
        }
    };
    let judged = judged(&frames(HISTORY + 300, 5, spoilt));
    assert!(judged.scores[210..300].iter().flatten().all(|score| *score > 1.0));
}

#[test]
fn what_was_in_alarm_is_not_learned_when_the_watch_is_made_anew() {
    let asset_type = plant();
    let all = frames(2 * HISTORY, 6, |step, values| {
        if step >= 2 * HISTORY - 900 {
            values[2] += 0.4;
        }
    });
    let grid = |part: &[Frame]| Grid::new(&asset_type, part).unwrap();
    let (first, second) = (grid(&all[..HISTORY]), grid(&all[HISTORY..]));
    let layout = Layout::new(&asset_type, &first);
    let older = Watch::learn(&asset_type, &first, &layout, None).unwrap();
    let newer = Watch::learn(&asset_type, &second, &layout, Some(&older)).unwrap();
    assert!(newer.steps < HISTORY - 700, "{} steps were learned from", newer.steps);
    let judged = newer.judge(&second, DEFAULT_RATE);
    let alarms = judged.scores[HISTORY - 800..].iter().flatten().filter(|score| **score > 1.0).count();
    assert!(alarms > 600, "{alarms} of 800 faulty steps");
}

#[test]
fn scores_are_sums_of_parts_and_nothing_measured_has_none() {
    let mut frames = frames(HISTORY + 100, 7, |_, _| {});
    frames[HISTORY + 50].values[1..].fill(f64::NAN);
    let judged = judged(&frames);
    assert_eq!(judged.scores[50], None);
    for (score, parts) in judged.scores.iter().zip(&judged.parts) {
        assert!(parts.iter().all(|part| part.is_finite() && *part >= 0.0));
        if let Some(score) = score {
            assert!((parts.iter().sum::<f64>() - score).abs() < 1e-9 * score.max(1.0));
        }
    }
}

#[test]
fn equal_frames_give_equal_bits() {
    let frames = frames(HISTORY + 200, 8, |_, _| {});
    let bits = || judged(&frames).scores.iter().flatten().map(|score| score.to_bits()).collect::<Vec<_>>();
    assert_eq!(bits(), bits());
}

#[test]
fn thinning_keeps_the_peaks() {
    let mut scores = vec![Some(0.2); 1_000];
    (scores[417], scores[730]) = (Some(3.0), None);
    let kept = highest(&scores, 10, 20);
    assert_eq!(kept.len(), 20);
    assert!(kept.contains(&417) && kept.windows(2).all(|pair| pair[0] < pair[1]));
    assert_eq!(highest(&scores, 995, 100), [995, 996, 997, 998, 999]);
}
