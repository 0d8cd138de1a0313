use chrono::{DateTime, Utc};
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use super::*;
use crate::asset::testing::asset_type;
use crate::reading::Frame;

/// Seconds between two frames.
const STEP_S: i64 = 10;

fn at(step: usize) -> DateTime<Utc> {
    DateTime::from_timestamp(1_790_000_000 + STEP_S * step as i64, 0).unwrap()
}

fn kind() -> AssetType {
    let mut kind = asset_type(STEP_S as f64, &["load", "vibration"]);
    kind.document.health_classes = vec!["healthy".into(), "failed".into(), "maintenance".into()];
    kind
}

/// A bearing that wears at a speed of its own in each run and shakes the more for it, until it fails; in
/// runs with the letter m it is renewed half-way. Where `shows` is false wear cannot be seen.
struct Plant {
    frames: Vec<Frame>,
    labels: Vec<Label>,
}

impl Plant {
    fn new(runs: &str, seed: u64, shows: bool) -> Self {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let mut plant = Self { frames: Vec::new(), labels: Vec::new() };
        for run in runs.chars() {
            let length = random.random_range(90..260_usize);
            let lasts = if run == 'm' { length / 2 } else { length };
            for step in 0..lasts {
                let wear = if shows { (step as f64 / length as f64).powi(2) } else { 0.0 };
                let shakes = 2.0 + 3.0 * wear + random.random_range(-0.4..0.4);
                plant.frame([random.random_range(0.0..1.0), shakes]);
            }
            let down = plant.frames.len();
            (0..5).for_each(|_| plant.frame([0.0, 0.0]));
            let class = if run == 'm' { "maintenance" } else { "failed" };
            plant.labels.push(Label { start: at(down), end: Some(at(down + 5)), class: class.to_owned() });
        }
        plant
    }

    fn frame(&mut self, values: [f64; 2]) {
        let observed_at = at(self.frames.len());
        self.frames.push(Frame { observed_at, values: values.to_vec(), quality: None });
    }

    fn learn(&self, champion: Option<&RemainingModel>) -> (RemainingVerdict, Option<RemainingModel>) {
        let (asset_type, recipe) = (kind(), Recipe { seed: 3, ..Recipe::default() });
        let grid = Grid::new(&asset_type, &self.frames).unwrap();
        let source = Source { asset_type: &asset_type, grid: &grid, labels: &self.labels, recipe: &recipe, champion };
        source.learn(&mut || Ok(())).unwrap().unwrap()
    }
}

#[test]
fn wear_tells_the_remaining_time_better_than_age_and_the_same_run_gives_the_same_bytes() {
    let plant = Plant::new("ffmffffffffff", 1, true);
    let (verdict, model) = plant.learn(None);
    let (ours, naive) = (verdict.candidate.clone().unwrap(), verdict.naive.clone().unwrap());
    assert!(verdict.improved, "{}", verdict.reason);
    assert_eq!((verdict.failures, verdict.failures_needed, verdict.judged_runs), (12, 0, 2));
    assert!(ours.rmse_s < 0.15 * ours.horizon_s, "{ours:?}");
    assert!(ours.rmse_s < 0.7 * naive.rmse_s && ours.crps_s < 0.7 * naive.crps_s, "{ours:?} {naive:?}");
    assert!(ours.coverage_80.unwrap() > 0.55, "{ours:?}");
    let model = model.unwrap();
    assert_eq!((model.class.as_str(), model.restored_by.as_deref()), ("failed", Some("maintenance")));
    assert!((400.0..1_600.0).contains(&model.horizon_s()), "most of a run of 900 to 2,600 s: {}", model.horizon_s());
    assert_eq!(plant.learn(None), (verdict, Some(model)));
}

#[test]
fn what_judges_does_not_move_what_is_learned() {
    let plant = Plant::new("ffff", 2, true);
    let (verdict, _) = plant.learn(None);
    let mut other = Plant { frames: plant.frames.clone(), labels: plant.labels.clone() };
    let judged = plant.labels[2].end.unwrap();
    for frame in other.frames.iter_mut().filter(|frame| frame.observed_at >= judged) {
        frame.values[1] *= 1e3;
    }
    // Neither model may be turned down: it would not be handed out.
    let model = |plant: &Plant| {
        let asset_type = kind();
        let grid = Grid::new(&asset_type, &plant.frames).unwrap();
        let recipe = Recipe { seed: 3, ..Recipe::default() };
        let source =
            Source { asset_type: &asset_type, grid: &grid, labels: &plant.labels, recipe: &recipe, champion: None };
        let end = asset_type.document.end_of_life().unwrap();
        let parts = Parts::of(&stretches(&plant.labels, &end, &grid)).unwrap();
        source.taught(end, &parts, &mut || Ok(())).unwrap()
    };
    assert_eq!(model(&plant), model(&other));
    let changed = other.learn(None).0;
    assert_ne!(verdict.candidate, changed.candidate, "but it is judged on them");
}

#[test]
fn signals_that_say_nothing_are_of_no_use() {
    let (verdict, model) = Plant::new("ffffffff", 4, false).learn(None);
    assert!(!verdict.improved && model.is_none(), "{}", verdict.reason);
    assert!(verdict.reason.contains("not better than the age of the run alone"), "{}", verdict.reason);
}

#[test]
fn a_model_that_is_no_better_than_what_serves_does_not_replace_it() {
    let plant = Plant::new("ffmffffffffff", 1, true);
    let champion = plant.learn(None).1.unwrap();
    let (verdict, kept) = plant.learn(Some(&champion));
    assert!(!verdict.improved && kept.as_ref() == Some(&champion), "{}", verdict.reason);
    assert!(verdict.reason.contains("by more than luck") && verdict.champion == verdict.candidate);

    let mut poor = champion.clone();
    poor.width_s *= 10.0;
    let (verdict, kept) = plant.learn(Some(&poor));
    assert!(verdict.improved && kept == Some(champion), "{}", verdict.reason);
}

#[test]
fn too_few_failures_are_told_with_how_many_are_needed() {
    for (runs, failures) in [("m", 0), ("ff", 2)] {
        let (verdict, model) = Plant::new(runs, 1, true).learn(None);
        assert_eq!((verdict.failures, verdict.failures_needed, verdict.candidate), (failures, 3 - failures, None));
        assert!(!verdict.improved && model.is_none() && verdict.reason.contains("3 are needed"), "{}", verdict.reason);
    }
    let plant = Plant::new("fff", 1, true);
    let (verdict, _) = plant.learn(None);
    assert_eq!((verdict.failures_needed, verdict.candidate.is_some()), (0, true), "three are enough to judge");

    let mut asset_type = kind();
    asset_type.document.health_classes = vec!["healthy".into(), "broken".into()];
    let grid = Grid::new(&asset_type, &plant.frames).unwrap();
    let recipe = Recipe::default();
    let mut source =
        Source { asset_type: &asset_type, grid: &grid, labels: &plant.labels, recipe: &recipe, champion: None };
    assert_eq!(source.learn(&mut || Ok(())).unwrap(), None, "no class ends runs");
    let ends = kind();
    (source.asset_type, source.labels) = (&ends, &[]);
    assert_eq!(source.learn(&mut || Ok(())).unwrap(), None, "there are no labels");
}

#[test]
fn learning_tells_signs_of_life_and_can_be_stopped() {
    let plant = Plant::new("ffff", 1, true);
    let (asset_type, recipe) = (kind(), Recipe::default());
    let grid = Grid::new(&asset_type, &plant.frames).unwrap();
    let source =
        Source { asset_type: &asset_type, grid: &grid, labels: &plant.labels, recipe: &recipe, champion: None };
    let mut heard = 0;
    source
        .learn(&mut || {
            heard += 1;
            Ok(())
        })
        .unwrap();
    assert!(heard > 10, "{heard}");
    let mut left = 6;
    let stopped = source.learn(&mut || {
        left -= 1;
        if left == 0 { Err(LearnError::Cancelled) } else { Ok(()) }
    });
    assert!(matches!(stopped, Err(LearnError::Cancelled)));
}

#[test]
fn age_alone_tells_what_is_left_of_runs_that_lasted_longer() {
    let young = by_age(&[100.0, 200.0, 300.0], 0.0, 20.0);
    let old = by_age(&[100.0, 200.0, 300.0], 210.0, 20.0);
    assert!((young.quantile(0.5).unwrap() - 200.0).abs() < 20.0, "{young:?}");
    assert!((old.quantile(0.5).unwrap() - 90.0).abs() < 20.0, "{old:?}");
    assert!(by_age(&[100.0], 500.0, 20.0).quantile(0.5).unwrap() < 60.0, "it should have failed long ago");
}
