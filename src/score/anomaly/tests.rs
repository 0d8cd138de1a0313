//! The rate is kept, changes are found and named, and what is small is found by its length.

use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use super::*;

const SIGNALS: usize = 4;
const POINT: Settings = Settings { window: 1, wanders: false };
const LEVEL: Settings = Settings { window: 10, wanders: true };

/// Residuals of which neighbours are correlated, with tails a little heavier than Gaussian.
fn residuals(steps: usize, seed: u64) -> Vec<Vec<f64>> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut normal = move || (0..12).map(|_| rng.random_range(-0.5..0.5)).sum::<f64>();
    let mut rows: Vec<Vec<f64>> = (0..SIGNALS).map(|_| Vec::with_capacity(steps)).collect();
    for _ in 0..steps {
        let shared = normal();
        for (signal, row) in rows.iter_mut().enumerate() {
            let own = normal();
            row.push((0.6 * shared + own + 0.05 * own.powi(3)) * 10_f64.powi(signal as i32 - 2));
        }
    }
    rows
}

/// The largest contribution.
fn named(contributions: &[f64]) -> usize {
    (0..contributions.len()).max_by(|one, other| contributions[*one].total_cmp(&contributions[*other])).unwrap()
}

#[test]
fn normal_operation_gives_as_many_false_alarms_as_were_asked_for() {
    let (steps, rate) = (10_000, 0.01);
    // The threshold itself is known to a finite precision: twice the variance of the count.
    let interval = 3.0 * (2.0 * steps as f64 * rate * (1.0 - rate)).sqrt();
    for seed in 1..=5 {
        let all = residuals(2 * steps, seed);
        let part = |from: usize| all.iter().map(|row| row[from..from + steps].to_vec()).collect::<Vec<_>>();
        let detector = Detector::learn(&part(0), POINT).unwrap();
        let scores = detector.scores(&part(steps), steps as i64);
        let threshold = detector.threshold(rate);
        let alarms = scores.distances.iter().filter(|distance| **distance > threshold).count() as f64;
        let wanted = steps as f64 * rate;
        assert!((alarms - wanted).abs() <= interval, "{alarms} false alarms for {wanted} +- {interval}, seed {seed}");
    }
}

#[test]
fn a_step_a_drift_and_a_change_of_variance_are_found_and_named() {
    let normal = residuals(4_000, 7);
    let detector = Detector::learn(&normal, POINT).unwrap();
    let level = Detector::learn(&normal, LEVEL).unwrap();
    for guilty in 0..SIGNALS {
        let unit = 10_f64.powi(guilty as i32 - 2) * 1.2;
        let with = |change: &dyn Fn(usize, f64) -> f64| {
            let mut rows = residuals(400, 8);
            rows[guilty].iter_mut().enumerate().skip(200).for_each(|(step, value)| *value = change(step, *value));
            rows
        };
        let step = with(&|_, value| value + 3.0 * unit);
        let drift = with(&|step, value| value + 0.04 * (step - 200) as f64 * unit);
        for (changed, name) in [(step, "step"), (drift, "drift")] {
            let scores = level.scores(&changed, 4_000);
            let threshold = level.threshold(1e-3);
            assert!(scores.distances[50..200].iter().all(|distance| *distance < threshold), "{name} before it began");
            let last = scores.distances.len() - 1;
            assert!(scores.distances[last] > threshold, "{name} of {guilty}: {}", scores.distances[last]);
            assert_eq!(named(&level.contributions(&scores, last)), guilty, "{name}");
        }
        let louder = with(&|_, value| 4.0 * value);
        let scores = detector.scores(&louder, 4_000);
        let threshold = detector.threshold(1e-3);
        let loud: Vec<usize> = (200..400).filter(|step| scores.distances[*step] > threshold).collect();
        assert!(loud.len() > 20, "{} of 200 steps", loud.len());
        let right = loud.iter().filter(|step| named(&detector.contributions(&scores, **step)) == guilty).count();
        assert!(10 * right >= 9 * loud.len(), "{right} of {} name {guilty}", loud.len());
    }
}

#[test]
fn contributions_are_parts_of_the_distance() {
    let detector = Detector::learn(&residuals(1_000, 3), POINT).unwrap();
    let scores = detector.scores(&residuals(100, 4), 1_000);
    for step in 0..100 {
        let contributions = detector.contributions(&scores, step);
        assert_eq!(contributions.len(), SIGNALS);
        assert!(contributions.iter().all(|part| *part >= 0.0));
        let sum: f64 = contributions.iter().sum();
        assert!((sum - scores.distances[step]).abs() <= 1e-9 * sum.max(1.0));
    }
}

#[test]
fn cumulative_sums_find_what_is_too_small_for_one_step() {
    let normal = residuals(4_000, 11);
    let detector = Detector::learn(&normal, POINT).unwrap();
    let cusum = Cusum::learn(&normal, 5_000, 1);
    let mut rows = residuals(1_200, 12);
    rows[2].iter_mut().skip(600).for_each(|value| *value += 0.6);
    let threshold = detector.threshold(1e-3);
    let distances = detector.scores(&rows, 4_000).distances;
    let seen = distances[600..].iter().filter(|distance| **distance > threshold).count();
    assert!(seen <= 6, "half a deviation is not seen at single steps: {seen} of 600");
    let sums = cusum.run(&rows);
    assert!(sums[100..600].iter().all(|step| step.ratio < 1.0), "nothing before it began");
    let first = (600..1_200).find(|step| sums[*step].ratio >= 1.0).expect("the drift is found");
    assert!(first < 800, "after {} steps", first - 600);
    assert_eq!((sums[first].channel, sums[first].above), (2, true));
    let begun = first - sums[first].since;
    assert!((540..=first).contains(&begun), "it is said to have begun at {begun}");
}

#[test]
fn false_alarms_of_cumulative_sums_are_as_far_apart_as_was_asked() {
    let run_length = 2_000;
    let cusum = Cusum::learn(&residuals(6_000, 21), run_length, 5);
    // Lengths of runs on other data: each begins at zero and ends with its alarm.
    let lengths: Vec<usize> = (0..40)
        .map(|run| {
            let sums = cusum.run(&residuals(8_000, 100 + run));
            sums.iter().position(|step| step.ratio >= 1.0).unwrap_or(8_000)
        })
        .collect();
    let mean = lengths.iter().sum::<usize>() as f64 / lengths.len() as f64;
    assert!((0.5..2.0).contains(&(mean / run_length as f64)), "{mean} steps between false alarms");
}

#[test]
fn equal_residuals_give_equal_bits() {
    let rows = residuals(1_000, 5);
    let judge = || {
        let detector = Detector::learn(&rows, LEVEL).unwrap();
        let cusum = Cusum::learn(&rows, 3_000, 9);
        (detector.scores(&rows, 0).distances, detector.threshold(0.001), cusum.run(&rows))
    };
    let (one, other) = (judge(), judge());
    assert!(one.0.iter().zip(&other.0).all(|(a, b)| a.to_bits() == b.to_bits()));
    assert_eq!(one.1.to_bits(), other.1.to_bits());
    assert_eq!(one.2, other.2);
}

#[test]
fn whatever_is_missing_or_enormous_no_score_is_nan() {
    let mut rows = residuals(900, 6);
    rows[0].iter_mut().step_by(3).for_each(|value| *value = f64::NAN);
    rows[1].iter_mut().skip(300).for_each(|value| *value = f64::NAN);
    rows[2].fill(4.0);
    rows[3][500] = f64::INFINITY;
    rows[3][501] = 1e300;
    for settings in [POINT, LEVEL] {
        let detector = Detector::learn(&rows, settings).unwrap();
        let mut odd = rows.clone();
        odd.iter_mut().for_each(|row| row[700..720].fill(f64::NAN));
        odd[0][730] = -1e308;
        let scores = detector.scores(&odd, -200);
        assert!(scores.distances.iter().all(|distance| distance.is_finite()));
        assert!((0..900).all(|step| detector.contributions(&scores, step).iter().all(|part| part.is_finite())));
        assert!(detector.threshold(1e-6).is_finite());
        assert_eq!(detector.contributions(&scores, 730)[2], 0.0, "a signal that never moved");
    }
    let cusum = Cusum::learn(&rows, 1_000, 1);
    assert!(cusum.run(&rows).iter().all(|step| step.ratio.is_finite()));
}

#[test]
fn too_little_history_says_how_much_is_needed() {
    assert_eq!(Detector::learn(&residuals(100, 1), LEVEL).unwrap_err(), TooFew { have: 100, need: 300 });
    assert!(Detector::learn(&vec![vec![1.0; 500]; 2], POINT).is_err(), "nothing ever moved");
    assert!(Detector::learn(&[], POINT).is_err());
}

#[test]
fn a_level_that_wanders_is_given_room_and_one_that_stands_is_not() {
    let mut rng = ChaCha8Rng::seed_from_u64(17);
    let mut level = 0.0;
    let mut rows = vec![Vec::new(), Vec::new()];
    for _ in 0..800 {
        level += rng.random_range(-0.2..0.2);
        rows[0].push(level + rng.random_range(-0.5..0.5));
        rows[1].push(rng.random_range(-1.0..1.0));
    }
    let history: Vec<Vec<f64>> = rows.iter().map(|row| row[..400].to_vec()).collect();
    let detector = Detector::learn(&history, LEVEL).unwrap();
    assert!(detector.spreads[0].walk > 10.0 * detector.spreads[1].walk, "{:?}", detector.spreads);
    let scores = detector.scores(&rows, 0);
    let threshold = detector.threshold(0.001);
    let alarms = scores.distances[400..].iter().filter(|distance| **distance > threshold).count();
    assert!(alarms <= 20, "{alarms} of 400 steps");
}
