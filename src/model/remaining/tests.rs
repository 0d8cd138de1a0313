use std::ops::ControlFlow;

use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use tch::Tensor;

use super::learn::{Targets, learn};
use super::*;
use crate::model::Recipe;
use crate::model::trainee::TraineeError;

const BINS: usize = 11;

fn go_on() -> ControlFlow<()> {
    ControlFlow::Continue(())
}

/// So many runs.
fn runs(count: usize, censored: impl Fn(usize) -> Option<f64> + Copy) -> Lesson {
    lesson((0..count).map(|run| moments(80, run as u64, censored)).collect())
}

fn lesson(runs: Vec<Vec<Moment>>) -> Lesson {
    Lesson { runs, manner: Manner::OF_MANY }
}

/// Moments of runs: one number says how much is left, blurred; the other says nothing. Of runs that were
/// broken off only `censored` of what was left is known.
fn moments(count: usize, seed: u64, censored: impl Fn(usize) -> Option<f64>) -> Vec<Moment> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let moment = |k: usize| {
        let left = random.random_range(0.0..14.0);
        let seen = vec![left as f32 / 5.0 - 1.0 + random.random_range(-0.1..0.1_f32), random.random_range(-1.0..1.0)];
        let left = censored(k).map_or(Left::Exactly(left), |share| Left::AtLeast(share * left));
        Moment { seen, left }
    };
    (0..count).map(moment).collect()
}

fn expected(said: &[f64]) -> f64 {
    said.iter().enumerate().map(|(bin, mass)| mass * (bin as f64 + 0.5).min(10.0)).sum()
}

/// Mean absolute error of the expected time on fresh moments.
fn error(head: &Head) -> f64 {
    let fresh = moments(400, 99, |_| None);
    let rows: Vec<&[f32]> = fresh.iter().map(|moment| moment.seen.as_slice()).collect();
    let said = foretell(head, &rows).unwrap();
    let truth = |moment: &Moment| if let Left::Exactly(left) = moment.left { left.min(10.0) } else { f64::NAN };
    said.iter().zip(&fresh).map(|(said, moment)| (expected(said) - truth(moment)).abs()).sum::<f64>() / 400.0
}

#[test]
fn what_is_left_is_learned_and_the_same_seed_gives_the_same_bytes() {
    let lesson = runs(8, |_| None);
    let recipe = Recipe { seed: 5, ..Recipe::default() };
    let taught = learn(BINS, &lesson, &recipe, &mut go_on).unwrap();
    assert!(taught.best_steps.len() == 5 && taught.best_steps.iter().all(|step| *step > 0));
    assert!(taught.curve.len() > 1);
    assert!(error(&taught.head) < 0.9, "{}", error(&taught.head));
    assert_eq!(learn(BINS, &lesson, &recipe, &mut go_on).unwrap().head, taught.head, "the same bytes");
    let other = Recipe { seed: 6, ..Recipe::default() };
    assert_ne!(learn(BINS, &lesson, &other, &mut go_on).unwrap().head.weights, taught.head.weights);
}

#[test]
fn of_several_ways_to_see_the_one_that_tells_more_of_other_runs_is_kept() {
    let clear = runs(6, |_| None);
    let blind = |runs: &[Vec<Moment>]| -> Vec<Vec<Moment>> {
        // Only the number that says nothing.
        let see = |moment: &Moment| Moment { seen: vec![moment.seen[1]], left: moment.left };
        runs.iter().map(|run| run.iter().map(see).collect()).collect()
    };
    let blind = Lesson { runs: blind(&clear.runs), manner: Manner::OF_FEW };
    let (recipe, best) = (Recipe::default(), learn(BINS, &clear, &Recipe::default(), &mut go_on).unwrap());
    assert!(best.loss < 2.1 && best.loss > 0.5, "less than how often bins come: {}", best.loss);
    for (ways, place) in [([blind.clone(), clear.clone()], 1), ([clear.clone(), blind], 0)] {
        let (way, taught) = learn_best(BINS, &ways, &recipe, &mut go_on).unwrap();
        assert_eq!((way, taught.head.shape.features), (place, 2));
        assert_eq!(taught.head, best.head, "the same as if it had learned alone");
    }
    let (way, _) = learn_best(BINS, &[clear.clone(), clear], &recipe, &mut go_on).unwrap();
    assert_eq!(way, 0, "of equals the first");
    assert!(matches!(learn_best(BINS, &[], &recipe, &mut go_on), Err(TraineeError::Empty)));
}

#[test]
fn runs_that_were_broken_off_teach_that_they_lasted_at_least_so_long() {
    // Of every other moment nothing is known but a part of what was left.
    let share = |k: usize| k.is_multiple_of(2).then_some(0.7);
    let lesson = runs(10, share);
    let censored = learn(BINS, &lesson, &Recipe::default(), &mut go_on).unwrap();
    // As if they had ended where they were broken off.
    let ended = |moments: &[Moment]| -> Vec<Moment> {
        let end = |left: Left| if let Left::AtLeast(at) = left { Left::Exactly(at) } else { left };
        moments.iter().map(|moment| Moment { left: end(moment.left), ..moment.clone() }).collect()
    };
    let told = self::lesson(lesson.runs.iter().map(|run| ended(run)).collect());
    let naive = learn(BINS, &told, &Recipe::default(), &mut go_on).unwrap();
    let (honest, misled) = (error(&censored.head), error(&naive.head));
    assert!(honest < 0.9 && honest < 0.8 * misled, "{honest} {misled}");
}

#[test]
fn the_loss_of_a_run_that_was_broken_off_is_the_mass_of_its_tail() {
    let masses = [0.1_f32, 0.2, 0.3, 0.4];
    let scores = Tensor::from_slice(&masses.map(f32::ln)).view([1, 4]);
    let loss = |left: Left| {
        let moment = Moment { seen: vec![0.0], left };
        f64::try_from(Targets::of(&[&moment], 4, 1e-6).loss(&scores)).unwrap()
    };
    assert!((loss(Left::AtLeast(2.0)) + 0.7_f64.ln()).abs() < 1e-4);
    assert!(loss(Left::AtLeast(0.0)).abs() < 1e-4, "that says nothing");
    assert!((loss(Left::AtLeast(99.0)) + 0.4_f64.ln()).abs() < 1e-4);
    assert!((loss(Left::Exactly(1.5)) + 0.2_f64.ln()).abs() < 1e-4);
    assert!((loss(Left::Exactly(99.0)) + 0.4_f64.ln()).abs() < 1e-4, "the last bin is all that lies beyond");
}

#[test]
fn smoothed_bins_sum_to_one_wherever_the_end_lies() {
    for left in [0.0, 0.2, 5.0, 10.0, 300.0] {
        let moment = Moment { seen: vec![0.0], left: Left::Exactly(left) };
        // Scores that are all alike cost the logarithm of the number of bins times what the targets sum to.
        let loss =
            f64::try_from(Targets::of(&[&moment], BINS, 3.0).loss(&Tensor::zeros([1, 11], tch::kind::FLOAT_CPU)));
        assert!((loss.unwrap() - 11.0_f64.ln()).abs() < 1e-4, "{left}");
    }
}

#[test]
fn learning_can_be_stopped_and_what_is_no_number_is_refused() {
    let lesson = runs(2, |_| None);
    let stopped = learn(BINS, &lesson, &Recipe::default(), &mut || ControlFlow::Break(()));
    assert!(matches!(stopped, Err(TraineeError::Cancelled)));
    assert!(matches!(learn(BINS, &runs(1, |_| None), &Recipe::default(), &mut go_on), Err(TraineeError::Empty)));
    let mut head = learn(BINS, &lesson, &Recipe::default(), &mut go_on).unwrap().head;
    let said = foretell(&head, &[&[0.3, 0.1]]).unwrap();
    assert!((said[0].iter().sum::<f64>() - 1.0).abs() < 1e-9 && said[0].len() == BINS);
    assert!(matches!(foretell(&head, &[&[f32::NAN, 0.0]]), Err(EngineError::NotFinite)));
    assert!(matches!(foretell(&head, &[&[0.0]]), Err(EngineError::NotFinite)), "a number is missing");
    head.weights.truncate(40);
    assert!(foretell(&head, &[&[0.3, 0.1]]).is_err());
}
