//! Classes are learned, whatever the loss, and nothing but probabilities comes out.

use std::ops::ControlFlow;

use rand::{RngExt as _, SeedableRng as _};

use super::learn::Targets;
use super::*;
use crate::model::recipe::{ClassWeights, Classification, Recipe};
use crate::model::trainee::TraineeError;

const WIDTH: usize = 96;

/// Two signals; the class decides the level of the second and the state of the first.
fn samples(count: usize, seed: u64) -> Vec<Sample> {
    let mut draw = ChaCha8Rng::seed_from_u64(seed);
    (0..count)
        .map(|k| {
            let class = k % 3;
            let mut noise = || draw.random::<f32>() - 0.5;
            let statistics = vec![noise(), noise(), class as f32 + noise(), noise()];
            let mut states = vec![0.0; 2 * WIDTH];
            states[3] = if class == 2 { 1.0 } else { -1.0 } + noise();
            Sample { portrait: Portrait { statistics, states }, class }
        })
        .collect()
}

fn accuracy(classifier: &Classifier, samples: &[Sample]) -> f64 {
    let portraits: Vec<&Portrait> = samples.iter().map(|sample| &sample.portrait).collect();
    let said = classify(classifier, &portraits).unwrap();
    let named = |row: &Vec<f64>| (0..row.len()).max_by(|a, b| row[*a].total_cmp(&row[*b])).unwrap();
    let right = said.iter().zip(samples).filter(|(row, sample)| named(row) == sample.class).count();
    right as f64 / samples.len() as f64
}

fn go_on() -> ControlFlow<()> {
    ControlFlow::Continue(())
}

#[test]
fn learning_stops_when_it_is_asked_to() {
    let room = Classroom { width: WIDTH, train: samples(60, 1), validation: samples(30, 2) };
    let stopped = learn(3, &room, &Recipe::default(), &mut || ControlFlow::Break(()));
    assert!(matches!(stopped, Err(TraineeError::Cancelled)));
}

#[test]
fn classes_are_learned_by_both_losses_and_the_same_seed_gives_the_same_bytes() {
    let room = Classroom { width: WIDTH, train: samples(300, 1), validation: samples(90, 2) };
    for loss in [ClassLoss::CrossEntropy, ClassLoss::BinaryCrossEntropy] {
        let classification = Classification { loss, ..Classification::default() };
        let recipe = Recipe { classification, seed: 5, ..Recipe::default() };
        let taught = learn(3, &room, &recipe, &mut go_on).unwrap();
        assert!(taught.best_step > 0 && taught.curve.len() > 1);
        let reached = accuracy(&taught.classifier, &samples(300, 3));
        assert!(reached > 0.9, "{reached} with {loss:?}");
        assert_eq!(learn(3, &room, &recipe, &mut go_on).unwrap().classifier, taught.classifier, "the same bytes");
    }
}

#[test]
fn rare_classes_count_as_much_when_they_are_balanced() {
    let few: Vec<Sample> =
        samples(600, 4).into_iter().enumerate().filter(|(k, s)| s.class > 0 || k % 60 == 0).map(|(_, s)| s).collect();
    let how = |class_weights| Classification { class_weights, label_smoothing: 0.0, ..Classification::default() };
    let weights = |how: &Classification| {
        let targets = Targets::of(&few, 3, how);
        let of = |class: usize| {
            let row = few.iter().position(|sample| sample.class == class).unwrap();
            targets.weight.double_value(&[row as i64])
        };
        [of(0), of(1)]
    };
    assert_eq!(weights(&how(ClassWeights::None)), [1.0, 1.0]);
    let [rare, common] = weights(&how(ClassWeights::Balanced));
    let count = |class: usize| few.iter().filter(|sample| sample.class == class).count() as f64;
    assert!((rare / common - count(1) / count(0)).abs() < 1e-4, "{rare} {common}");
}

#[test]
fn probabilities_are_whole_and_what_is_no_number_is_refused() {
    let room = Classroom { width: WIDTH, train: samples(60, 1), validation: samples(30, 2) };
    let taught = learn(
        3,
        &room,
        &Recipe { classification: Classification { max_steps: 20, ..Classification::default() }, ..Recipe::default() },
        &mut go_on,
    )
    .unwrap();
    let mut portrait = room.train[0].portrait.clone();
    let said = classify(&taught.classifier, &[&portrait]).unwrap();
    assert!((said[0].iter().sum::<f64>() - 1.0).abs() < 1e-9);
    portrait.states[0] = f32::NAN;
    assert!(matches!(classify(&taught.classifier, &[&portrait]), Err(EngineError::NotFinite)));
    let mut broken = taught.classifier.clone();
    broken.weights.truncate(40);
    assert!(classify(&broken, &[&room.train[0].portrait]).is_err());
    assert!(matches!(learn(3, &Classroom::default(), &Recipe::default(), &mut go_on), Err(TraineeError::Empty)));
}
