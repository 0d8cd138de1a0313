//! What must hold of network, weights, training and engine.

use std::ops::ControlFlow;
use std::sync::Arc;

use super::engine::{Config, Engine, EngineError, HeadArtefact};
use super::freeze::Freeze;
use super::trainee::{Example, Lesson, answer, learn};
use super::window::{CONTEXT, SLOTS, Window};
use super::{ArtefactError, Base, BaseChoice, LEVELS, Loss, MEDIAN, Optimizer, Recipe, artefact, digest, shipped_card};
use crate::clock::Clock;
use crate::expert::{Bank, History};
use crate::ids::ModelId;

const STEPS: usize = 32;

/// A lag that answers one input, and its window at the end of `length` steps.
fn window(seed: usize, length: usize) -> (Window, Vec<f32>) {
    let input: Vec<f64> = (0..length + STEPS)
        .map(|k| if ((k + 7 * seed) / 23).is_multiple_of(2) { 1.0 } else { -1.0 + 0.1 * (seed % 5) as f64 })
        .collect();
    let mut state = 0.0;
    let target: Vec<f64> = input
        .iter()
        .map(|u| {
            state += 0.1 * (u - state);
            state * 1.5
        })
        .collect();
    let past = vec![input[..length].to_vec()];
    let future = vec![input[length..].to_vec()];
    let history = History { target: &target[..length], inputs: &past, others: &[], starts: &[0], silent: &[] };
    let bank = Bank::fit(&history, STEPS);
    let window = Window::new(&bank, &bank.forecast(&history, &future), &history, 0, &future, CONTEXT);
    (window, target[length..].iter().map(|value| *value as f32).collect())
}

pub(super) fn base() -> Base {
    Base::shipped().unwrap()
}

#[test]
fn the_shipped_weights_match_their_card() {
    let base = base();
    assert_eq!(base.card.sha256, shipped_card().sha256);
    assert_eq!(base.card.name, super::MODEL_CARD_NAME);
    let again = artefact::document(
        artefact::named(&[("backbone", base.backbone.store()), ("head", base.head.store())]),
        artefact::note(super::base::WEIGHTS, super::base::SIZE).unwrap().map(|size| (super::base::SIZE, size)),
    );
    assert_eq!(super::base::hex(&digest(&again)), base.card.sha256, "every bit has been loaded");
    assert!(base.card.validation.iter().any(|row| row.family == "all" && row.network_pinball < row.bank_pinball));
}

#[test]
fn an_answer_has_sorted_finite_quantiles() {
    let (window, _) = window(1, 500);
    let answers = answer(&base(), None, &[&window]).unwrap();
    assert_eq!(answers[0].len(), STEPS);
    for row in &answers[0] {
        assert!(row.iter().all(|value| value.is_finite()));
        assert!(row.windows(2).all(|pair| pair[0] <= pair[1]));
    }
}

#[test]
fn no_step_knows_a_later_input() {
    let base = base();
    let (window, _) = window(2, 400);
    let before = answer(&base, None, &[&window]).unwrap();
    for changed in [3, 15, 16, 29] {
        let mut other = window.clone();
        for step in changed..STEPS {
            other.inputs[0][CONTEXT + step] += 1.5;
            other.bank[CONTEXT + step] += 0.5;
        }
        let after = answer(&base, None, &[&other]).unwrap();
        assert_eq!(before[0][..changed], after[0][..changed], "changed from step {changed}");
        assert_ne!(before[0][changed..], after[0][changed..]);
    }
}

#[test]
fn the_order_of_inputs_hardly_matters() {
    // The slots are permuted in pretraining; this only checks that a second, constant input in any
    // slot leaves the answer near.
    let base = base();
    let (window, _) = window(3, 400);
    let mut more = window.clone();
    more.inputs.insert(0, vec![0.0; CONTEXT + STEPS]);
    assert!(more.inputs.len() <= SLOTS);
    let answers = answer(&base, None, &[&window, &more]).unwrap();
    let gap = (0..STEPS).map(|step| (answers[0][step][MEDIAN] - answers[1][step][MEDIAN]).abs()).fold(0.0, f64::max);
    assert!(gap < 0.5, "medians differ by {gap}");
}

#[test]
fn damaged_weights_are_refused() {
    let base = base();
    let weights = artefact::save(&[("head", base.fresh_head().store())]);
    let sha = digest(&weights);
    let check = |bytes: &[u8]| {
        let mut head = super::network::Head::new(base.card.size);
        artefact::load_checked(bytes, &sha, &mut [("head", head.store_mut())])
    };
    assert_eq!(check(&weights), Ok(()));
    let mut flipped = weights.clone();
    let last = flipped.len() - 1;
    flipped[last] ^= 1;
    assert_eq!(check(&flipped), Err(ArtefactError::Damaged));
    let mut poisoned = weights.clone();
    poisoned[last - 3..].copy_from_slice(&f32::NAN.to_le_bytes());
    let mut head = super::network::Head::new(base.card.size);
    let refusal = artefact::load(&poisoned, &mut [("head", head.store_mut())]);
    assert!(matches!(refusal, Err(ArtefactError::NotFinite(_))), "{refusal:?}");
    for broken in [&weights[..weights.len() / 2], &[0xff; 64][..], &[]] {
        let refusal = artefact::load(broken, &mut [("head", head.store_mut())]);
        assert_eq!(refusal, Err(ArtefactError::Format));
    }
    let backbone = artefact::save(&[("backbone", base.backbone.store())]);
    let refusal = artefact::load(&backbone, &mut [("head", head.store_mut())]);
    assert!(matches!(refusal, Err(ArtefactError::Shape(_))), "{refusal:?}");
}

/// An asset whose truth lies off the bank by a fixed part of the input.
pub(super) fn lesson() -> Lesson {
    let examples = |from: usize, to: usize| {
        (from..to)
            .map(|seed| {
                let (window, mut truth) = window(seed, 300 + 11 * seed);
                for (step, value) in truth.iter_mut().enumerate() {
                    *value += 0.4 * window.inputs[0][CONTEXT + step];
                }
                Example::new(window, truth)
            })
            .collect()
    };
    Lesson { train: examples(0, 24), validation: examples(24, 32), ..Lesson::default() }
}

pub(super) fn recipe() -> Recipe {
    Recipe { max_steps: 60, batch: 8, learning_rate: Some(3e-3), patience: 20, l1: 1e-6, ..Recipe::default() }
}

#[test]
fn a_head_learns_what_the_bank_misses_and_the_backbone_stays() {
    let base = base();
    let before = artefact::save(&[("backbone", base.backbone.store()), ("head", base.head.store())]);
    let learned = learn(&base, &lesson(), &recipe(), &mut |_| ControlFlow::Continue(())).unwrap();
    let (first, best) =
        (learned.curve[0].validation_loss, learned.curve.iter().map(|p| p.validation_loss).fold(f64::MAX, f64::min));
    assert!(best < first * 0.8, "validation loss {first} became {best}");
    assert!(learned.best_step > 0);
    assert_eq!(before, artefact::save(&[("backbone", base.backbone.store()), ("head", base.head.store())]));
}

#[test]
fn the_same_seed_gives_the_same_bytes() {
    let base = base();
    let short = Recipe { max_steps: 12, evaluate_every: 4, ..recipe() };
    let run = |recipe: &Recipe| learn(&base, &lesson(), recipe, &mut |_| ControlFlow::Continue(())).unwrap().weights;
    assert_eq!(run(&short), run(&short));
    assert_ne!(run(&short), run(&Recipe { seed: 5, ..short.clone() }));
}

#[test]
fn every_optimiser_and_loss_learns() {
    let base = base();
    let learned = |recipe: Recipe| learn(&base, &lesson(), &recipe, &mut |_| ControlFlow::Continue(())).unwrap();
    let rates = [(Optimizer::Adamw, 3e-3), (Optimizer::Adam, 3e-3), (Optimizer::Sgd, 0.1), (Optimizer::Rmsprop, 1e-3)];
    for (optimizer, rate) in rates {
        let recipe = Recipe { optimizer, learning_rate: Some(rate), l2: 1e-4, max_steps: 40, ..recipe() };
        let curve = learned(recipe).curve;
        assert!(curve.last().unwrap().validation_loss < 0.9 * curve[0].validation_loss, "{optimizer:?}: {curve:?}");
    }
    for loss in [Loss::Huber, Loss::Mse] {
        let curve = learned(Recipe { loss, max_steps: 40, ..recipe() }).curve;
        assert!(curve.last().unwrap().validation_loss < 0.9 * curve[0].validation_loss, "{loss:?}: {curve:?}");
    }
}

#[test]
fn l1_makes_weights_exactly_zero() {
    let base = base();
    let sparsity = |l1: f64| {
        let (optimizer, momentum, learning_rate) = (Optimizer::Sgd, Some(0.0), Some(0.1));
        let recipe = Recipe { l1, optimizer, momentum, learning_rate, max_steps: 40, evaluate_every: 2, ..recipe() };
        let learned = learn(&base, &lesson(), &recipe, &mut |_| ControlFlow::Continue(())).unwrap();
        assert!(learned.best_step > 0, "{:?}", learned.curve);
        learned.sparsity
    };
    let (none, some) = (sparsity(0.0), sparsity(0.05));
    assert!(some > none + 0.001 && some < 1.0, "{none} without, {some} with");
}

#[test]
fn learning_stops_when_told() {
    let mut told = 0;
    let outcome = learn(&base(), &lesson(), &recipe(), &mut |_| {
        told += 1;
        if told == 2 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    assert!(matches!(outcome, Err(super::trainee::TraineeError::Cancelled)));
    assert_eq!(told, 2);
}

#[tokio::test]
async fn the_engine_answers_batches_as_it_answers_alone() {
    let engine = Engine::start(&Config { model_inbox: 8 }).unwrap();
    let windows: Vec<Window> = (0..3).map(|seed| window(seed, 450).0).collect();
    let together = engine.answer(&BaseChoice::default(), windows.clone(), None).await.unwrap();
    for (window, joined) in windows.into_iter().zip(together) {
        let alone = engine.answer(&BaseChoice::default(), vec![window], None).await.unwrap();
        for (one, other) in alone[0].iter().flatten().zip(joined.iter().flatten()) {
            assert!((one - other).abs() < 1e-4, "{one} and {other}");
        }
    }
}

#[tokio::test]
async fn the_engine_serves_a_fine_tuned_head_and_refuses_a_damaged_one() {
    let engine = Engine::start(&Config { model_inbox: 8 }).unwrap();
    let base = base();
    let learned = learn(&base, &lesson(), &recipe(), &mut |_| ControlFlow::Continue(())).unwrap();
    let clock = Clock::system();
    let sha256 = digest(&learned.weights).to_vec();
    let head =
        Arc::new(HeadArtefact { id: ModelId::mint(&clock), weights: learned.weights.clone(), sha256: sha256.clone() });
    let (window, _) = window(1, 500);
    let tuned = engine.answer(&BaseChoice::default(), vec![window.clone()], Some(head)).await.unwrap();
    let plain = engine.answer(&BaseChoice::default(), vec![window.clone()], None).await.unwrap();
    assert_ne!(tuned, plain);
    let mut broken = learned.weights;
    broken[200] ^= 4;
    let damaged = Arc::new(HeadArtefact { id: ModelId::mint(&clock), weights: broken, sha256 });
    let refusal = engine.answer(&BaseChoice::default(), vec![window], Some(damaged)).await;
    assert!(matches!(refusal, Err(EngineError::Head(ArtefactError::Damaged))));
}

#[tokio::test]
async fn requests_that_come_together_are_answered_each_on_its_own_base_model() {
    let engine = Engine::start(&Config { model_inbox: 16 }).unwrap();
    let (one, other) = (BaseChoice::default(), BaseChoice::shipped("small-1").unwrap());
    let (window, _) = window(3, 450);
    let on = |base: &BaseChoice| answer(&base.load().unwrap(), None, &[&window]).unwrap();
    let asked = |base| engine.answer(base, vec![window.clone()], None);
    let (a, b, c, d) = tokio::join!(asked(&one), asked(&other), asked(&one), asked(&other));
    let far = |said: &[super::Quantiles], wanted: &[super::Quantiles]| {
        let pairs = said[0].iter().flatten().zip(wanted[0].iter().flatten());
        pairs.map(|(said, wanted)| (said - wanted).abs()).fold(0.0, f64::max)
    };
    for (said, base) in [(a, &one), (b, &other), (c, &one), (d, &other)] {
        let gap = far(&said.unwrap(), &on(base));
        assert!(gap < 1e-4, "{} is {gap} off", base.name());
    }
    assert!(far(&on(&one), &on(&other)) > 1e-3, "the two answer differently");
}

#[tokio::test]
async fn a_number_that_is_none_never_reaches_the_network() {
    let engine = Engine::start(&Config { model_inbox: 8 }).unwrap();
    let (mut window, _) = window(1, 500);
    window.inputs[0][3] = f32::NAN;
    assert!(matches!(engine.answer(&BaseChoice::default(), vec![window], None).await, Err(EngineError::NotFinite)));
}

#[test]
fn the_levels_are_symmetric() {
    assert!((LEVELS[MEDIAN] - 0.5).abs() < 1e-12);
    for (low, high) in LEVELS.iter().zip(LEVELS.iter().rev()) {
        assert!((low + high - 1.0).abs() < 1e-12);
    }
}

#[test]
fn a_head_that_has_learned_says_of_its_lesson_what_it_answers() {
    let base = base();
    let mut lesson = lesson();
    lesson.replay = lesson.train.split_off(lesson.train.len() - 3);
    for (freeze, says) in [(Freeze::Head, true), (Freeze::Decoder, true), (Freeze::LastBlock, false)] {
        let recipe = Recipe { freeze: Some(freeze), max_steps: 20, ..recipe() };
        let learned = learn(&base, &lesson, &recipe, &mut |_| ControlFlow::Continue(())).unwrap();
        assert!(freeze == Freeze::Head || learned.best_step > 0, "{freeze:?} learned nothing");
        assert_eq!(learned.said.is_some(), says, "{freeze:?}");
        let Some(said) = learned.said else { continue };
        let parts = [(&lesson.train, said.train), (&lesson.replay, said.replay), (&lesson.validation, said.validation)];
        for (examples, said) in parts {
            let windows: Vec<&Window> = examples.iter().map(|example| &example.window).collect();
            let answers = answer(&base, Some(&learned.weights), &windows).unwrap();
            assert_eq!(said.len(), answers.len());
            let both = said.iter().flatten().flatten().zip(answers.iter().flatten().flatten());
            let apart = both.map(|(one, other)| (one - other).abs()).fold(0.0, f64::max);
            assert!(apart < 1e-4, "{freeze:?}: {apart}");
        }
    }
}
