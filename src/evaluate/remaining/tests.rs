use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use super::*;

/// Engines whose sensors drift away the sooner the shorter they live.
fn fleet(count: usize, seed: u64) -> Vec<Vec<Vec<f64>>> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    (0..count)
        .map(|_| {
            let life = random.random_range(120..260_usize);
            let row = |age: usize, random: &mut ChaCha8Rng| -> Vec<f64> {
                let wear = 6.0 * (age as f64 / life as f64).powi(2);
                let sensor =
                    |place: usize, noise: f64| if place.is_multiple_of(2) { 500.0 + wear + noise } else { 7.5 };
                (0..SIGNALS).map(|place| sensor(place, random.random_range(-1.0..1.0))).collect()
            };
            (0..life).map(|age| row(age, &mut random)).collect()
        })
        .collect()
}

fn material() -> Material {
    let (train, mut test) = (fleet(24, 1), fleet(10, 2));
    let mut left = Vec::new();
    for (place, engine) in test.iter_mut().enumerate() {
        let kept = engine.len() - 10 * place - 1;
        left.push((engine.len() - kept) as f64);
        engine.truncate(kept);
    }
    Material::of(&train, &test, &left).unwrap()
}

#[test]
fn every_method_judges_the_same_rows_and_ours_beats_what_knows_no_sensor() {
    let material = material();
    let runs: Vec<RemainingRun> = Method::all().into_iter().map(|method| one(method, 1, &material).unwrap()).collect();
    for run in &runs {
        assert_eq!((run.last.classes.cases, run.all.classes.cases), (10, material.test.rows.len()));
        assert_eq!(run.all.crps.is_some(), matches!(run.method, Method::Changes | Method::Signals | Method::Ours));
    }
    let [mean, age, ridge, changes, signals, ours] = &runs[..] else { panic!("six methods") };
    for baseline in [mean, age] {
        assert!(
            changes.all.rmse < 0.6 * baseline.all.rmse && ours.all.rmse < 0.6 * baseline.all.rmse,
            "{} {}",
            ours.all.rmse,
            baseline.all.rmse
        );
        assert!(ours.last.score < baseline.last.score && ridge.all.rmse < baseline.all.rmse);
    }
    assert!(ours.all.rmse < 15.0, "{}", ours.all.rmse);
    // Eleven sensors wear alike, each in noise of its own.
    assert!(ours.all.rmse < signals.all.rmse, "{} {}", ours.all.rmse, signals.all.rmse);
    assert!(material.train.rows.iter().all(|row| row.along.len() < row.seen.len() / 5 && !row.along.is_empty()));
    assert!(ours.all.classes.macro_f1 > mean.all.classes.macro_f1, "{:?}", ours.all.classes);
    assert!(ours.all.coverage_80.unwrap() > 0.6, "{:?}", ours.all.coverage_80);
}

#[test]
fn rows_know_what_remains_of_their_own_engine() {
    let material = material();
    let (train, test) = (&material.train, &material.test);
    let end = train.ends[0];
    assert_eq!((train.rows[end - 1].left, train.rows[end].age), (0.0, 0.0));
    assert_eq!(train.rows[0].left, end as f64 - 1.0);
    assert_eq!(test.rows[test.ends[3] - 1].left, 31.0, "as the file says");
    let seen = |row: &Row| row.seen.clone();
    let lesson = lesson(train, 1, seen);
    assert_eq!((lesson.len(), lesson.iter().map(Vec::len).sum()), (train.ends.len(), train.rows.len()));
    assert_ne!(self::lesson(train, 2, seen), lesson, "the seed decides");
    assert_eq!([class(125.0, (HORIZON, NEAR)), class(30.0, (HORIZON, NEAR)), class(29.9, (HORIZON, NEAR))], [0, 1, 2]);
}
