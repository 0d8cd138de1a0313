//! Classes are learned, whatever the loss, what becomes of them beside it, and nothing but probabilities comes
//! out.

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

/// Two questions about the samples: which class it is, and whether it is the last; of every fourth sample
/// only the second is known.
fn answers(samples: &[Sample]) -> Vec<Vec<Option<usize>>> {
    let rows = samples.iter().enumerate();
    rows.map(|(k, sample)| vec![(k % 4 > 0).then_some(sample.class), Some(usize::from(sample.class == 2))]).collect()
}

fn futures(room: &Classroom) -> Futures {
    Futures { outcomes: vec![3, 2], train: answers(&room.train), validation: answers(&room.validation) }
}

#[test]
fn several_questions_are_answered_at_once_from_the_same_portraits() {
    let room = Classroom { width: WIDTH, train: samples(300, 1), validation: samples(90, 2) };
    let recipe = Recipe { seed: 5, ..Recipe::default() };
    let foresight = learn_futures(&room, &futures(&room), &recipe, &mut go_on).unwrap();
    assert!(foresight.is_whole() && foresight.shape.classes == 5);
    let judged = samples(300, 3);
    let portraits: Vec<&Portrait> = judged.iter().map(|sample| &sample.portrait).collect();
    let said = foresee(&foresight, &portraits).unwrap();
    let right = |place: usize, truth: &dyn Fn(&Sample) -> usize| {
        let named = |row: &[f64]| (0..row.len()).max_by(|a, b| row[*a].total_cmp(&row[*b])).unwrap();
        let cases = said.iter().zip(&judged).filter(|(row, sample)| named(&row[place]) == truth(sample));
        cases.count() as f64 / judged.len() as f64
    };
    let (class, last) = (right(0, &|sample| sample.class), right(1, &|sample| usize::from(sample.class == 2)));
    assert!(class > 0.9 && last > 0.9, "{class} {last}");
    for row in &said {
        assert_eq!((row[0].len(), row[1].len()), (3, 2));
        assert!(row.iter().all(|question| (question.iter().sum::<f64>() - 1.0).abs() < 1e-6), "{row:?}");
    }
    let again = learn_futures(&room, &futures(&room), &recipe, &mut go_on).unwrap();
    assert_eq!(again, foresight, "the same bytes");
    // One portrait, both heads, as the engine asks them.
    let classifier = learn(3, &room, &recipe, &mut go_on).unwrap().classifier;
    let heads = Heads { classifier: Arc::new(classifier.clone()), foresight: Some(Arc::new(foresight.clone())) };
    let told = heads.say(portraits[0]).unwrap();
    let close = |one: &[f64], other: &[f64]| one.iter().zip(other).all(|(a, b)| (a - b).abs() < 1e-5);
    assert!(
        close(&told.now, &classify(&classifier, &portraits[..1]).unwrap()[0]) && close(&told.ahead[1], &said[0][1])
    );
    let now_alone = Heads { foresight: None, ..heads }.say(portraits[0]).unwrap();
    assert!(now_alone.now == told.now && now_alone.ahead.is_empty());
    let mut broken = foresight;
    broken.temperatures.pop();
    assert!(!broken.is_whole() && foresee(&broken, &portraits).is_err());
}

#[test]
fn each_question_has_the_temperature_of_its_own_uncertainty() {
    let room = Classroom { width: WIDTH, train: samples(300, 1), validation: samples(90, 2) };
    let mut futures = futures(&room);
    // Of one question the truth turns out otherwise in a third of what validates.
    for row in futures.validation.iter_mut().step_by(3) {
        row[1] = row[1].map(|answer| 1 - answer);
    }
    let foresight = learn_futures(&room, &futures, &Recipe::default(), &mut go_on).unwrap();
    let [sure, doubtful] = [0, 1].map(|question: usize| foresight.temperatures[question]);
    assert!(doubtful > sure, "{doubtful} {sure}");
    // Of a question without an answer nothing is known.
    futures.validation.iter_mut().for_each(|row| row[1] = None);
    let foresight = learn_futures(&room, &futures, &Recipe::default(), &mut go_on).unwrap();
    assert!((foresight.temperatures[1] - 1.0).abs() < 1e-12);
}

#[test]
fn nothing_is_learned_of_a_future_that_nobody_knows() {
    let room = Classroom { width: WIDTH, train: samples(30, 1), validation: samples(12, 2) };
    let unknown = |samples: &[Sample]| vec![vec![None, None]; samples.len()];
    let mut futures = futures(&room);
    futures.validation = unknown(&room.validation);
    assert!(matches!(learn_futures(&room, &futures, &Recipe::default(), &mut go_on), Err(TraineeError::Empty)));
    futures.train = unknown(&room.train);
    assert!(matches!(learn_futures(&room, &futures, &Recipe::default(), &mut go_on), Err(TraineeError::Empty)));
    let stopped = learn_futures(&room, &self::futures(&room), &Recipe::default(), &mut || ControlFlow::Break(()));
    assert!(matches!(stopped, Err(TraineeError::Cancelled)));
}
