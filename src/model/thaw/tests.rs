//! What must hold of every freeze policy: it learns, nothing else moves, and its version answers as it learned.

use std::ops::ControlFlow;
use std::sync::Arc;

use safetensors::tensor::SafeTensors;

use super::*;
use crate::clock::Clock;
use crate::ids::ModelId;
use crate::model::engine::{Config, Engine, EngineError, HeadArtefact};
use crate::model::network::quantiles;
use crate::model::tests::{base, lesson, recipe};
use crate::model::trainee::{Learned, Lesson, answer, learn, load_head, untaught};
use crate::model::tuned::Tuned;
use crate::model::window::Window;
use crate::model::{Base, BaseChoice, Quantiles, Recipe, digest};

const ALL: [Freeze; 5] = [Freeze::Head, Freeze::Decoder, Freeze::LastBlock, Freeze::Adapters, Freeze::All];
/// Policies in which more than head and decoder learn.
const THAWED: [Freeze; 3] = [Freeze::LastBlock, Freeze::Adapters, Freeze::All];

fn with(freeze: Freeze) -> Recipe {
    let rate = Some(2e-3);
    Recipe { freeze: Some(freeze), learning_rate: rate, l1: 0.0, max_steps: 40, evaluate_every: 10, ..recipe() }
}

fn learned(base: &Base, recipe: &Recipe) -> Learned {
    learned_of(base, &lesson(), recipe)
}

fn learned_of(base: &Base, lesson: &Lesson, recipe: &Recipe) -> Learned {
    learn(base, lesson, recipe, &mut |_| ControlFlow::Continue(())).unwrap()
}

/// What a policy can learn: that the bank misses a part of an input; the last layer alone, that it is off by as much as it
/// usually errs.
fn lesson_of(freeze: Freeze) -> Lesson {
    let mut lesson = lesson();
    if freeze == Freeze::Head {
        for example in lesson.train.iter_mut().chain(&mut lesson.validation) {
            let (steps, context, scale) = (example.truth.len(), example.window.context, example.window.scale);
            for (value, input) in example.truth.iter_mut().zip(&example.window.inputs[0][context..context + steps]) {
                *value += scale - 0.4 * input;
            }
        }
    }
    lesson
}

fn windows() -> Vec<Window> {
    lesson().validation.into_iter().map(|example| example.window).collect()
}

/// The tensors of an artefact by their names.
fn tensors(bytes: &[u8]) -> Vec<(String, Vec<u8>)> {
    let document = SafeTensors::deserialize(bytes).unwrap();
    let mut all: Vec<_> = document.tensors().into_iter().map(|(name, view)| (name, view.data().to_vec())).collect();
    all.sort();
    all
}

/// The same with what the head is made of left out.
fn carried_by(bytes: &[u8]) -> Vec<(String, Vec<u8>)> {
    tensors(bytes).into_iter().filter(|(name, _)| !name.starts_with("head.")).collect()
}

fn far(one: &[Quantiles], other: &[Quantiles]) -> f64 {
    let pairs = one.iter().flatten().flatten().zip(other.iter().flatten().flatten());
    pairs.map(|(one, other)| (one - other).abs()).fold(0.0, f64::max)
}

fn artefact_of(weights: Vec<u8>) -> Arc<HeadArtefact> {
    let sha256 = digest(&weights).to_vec();
    Arc::new(HeadArtefact { id: ModelId::mint(&Clock::system()), weights, sha256 })
}

#[test]
fn every_policy_learns_and_the_base_model_stays() {
    let base = base();
    let all = || artefact::save(&[("backbone", base.backbone.store()), ("head", base.head.store())]);
    let before = all();
    for freeze in ALL {
        let found = learned_of(&base, &lesson_of(freeze), &with(freeze));
        let first = found.curve[0].validation_loss;
        let best = found.curve.iter().map(|point| point.validation_loss).fold(f64::MAX, f64::min);
        assert!(best < 0.98 * first && found.best_step > 0, "{freeze:?}: {:?}", found.curve);
        assert_eq!(found.recipe.as_ref().unwrap().freeze, Some(freeze));
        assert_eq!(stands_apart(&found.weights).unwrap(), THAWED.contains(&freeze));
        assert!(all() == before, "{freeze:?}: not a bit of the base model has moved");
    }
}

#[test]
fn of_head_and_decoder_no_more_moves_than_learns() {
    let base = base();
    let own = tensors(&untaught(&base).weights);
    for freeze in [Freeze::Head, Freeze::Decoder] {
        // Decay and the pull to the beginning would move what has no gradient, too.
        let found = learned(&base, &Recipe { l2: 0.1, l1: 1e-4, ..with(freeze) });
        assert!(found.best_step > 0 && carried_by(&found.weights).is_empty());
        let all = tensors(&found.weights);
        assert_eq!(all.len(), own.len());
        let moved: Vec<&str> =
            all.iter().zip(&own).filter(|(one, other)| one != other).map(|((name, _), _)| &**name).collect();
        match freeze {
            Freeze::Head => assert_eq!(moved, ["head.out.bias", "head.out.weight"]),
            _ => assert_eq!(moved.len(), own.len(), "{moved:?}"),
        }
    }
}

#[test]
fn a_version_carries_what_learned_and_the_rest_is_the_base_models() {
    let base = base();
    let own = tensors(&artefact::save(&[("backbone", base.backbone.store())]));
    let layers = base.card.size.layers;
    let last = format!("backbone.blocks.{}.", layers - 1);
    for freeze in THAWED {
        let found = learned(&base, &Recipe { max_steps: 20, evaluate_every: 10, ..with(freeze) });
        let carried = carried_by(&found.weights);
        let whole = own_backbone(&base.backbone, &found.weights).unwrap().unwrap();
        let whole = tensors(&artefact::save(&[("backbone", whole.store())]));
        assert_eq!(whole.len(), own.len());
        let moved: Vec<&str> =
            whole.iter().zip(&own).filter(|(one, other)| one != other).map(|((name, _), _)| &**name).collect();
        match freeze {
            Freeze::LastBlock => {
                let learns = |name: &str| name.starts_with(&last) || name == "backbone.norm";
                assert!(carried.len() == 7 && carried.iter().all(|(name, _)| learns(name)), "{moved:?}");
                assert!(moved.len() == 7 && moved.iter().all(|name| learns(name)), "{moved:?}");
            }
            Freeze::Adapters => {
                assert!(carried.len() == 8 * layers && carried.iter().all(|(name, _)| behind(ADAPTER, name)));
                let linear = |name: &str| name.starts_with("backbone.blocks.") && name.ends_with(".weight");
                assert!(moved.len() == 4 * layers && moved.iter().all(|name| linear(name)), "{moved:?}");
                assert!(found.weights.len() < 2 * untaught(&base).weights.len(), "a small artefact stays small");
            }
            _ => assert!(carried.len() == own.len() && moved.len() == own.len(), "{moved:?}"),
        }
    }
}

#[test]
fn learning_begins_where_the_base_model_is() {
    let base = base();
    let windows = windows();
    let batch = Batch::stack(&windows.iter().collect::<Vec<_>>(), None);
    let wanted = tch::no_grad(|| base.backbone.states(&batch));
    for freeze in ALL {
        let thawed = Thawed::new(&base.backbone, freeze, 3);
        let known = once(&base.backbone, freeze, &batch);
        let states = tch::no_grad(|| thawed.states(&known, (batch.context, batch.future)));
        assert!(states == wanted, "{freeze:?}: not a bit differs");
    }
}

#[test]
fn adapters_begin_as_the_seed_says() {
    let base = base();
    let drawn = |seed| {
        let thawed = Thawed::new(&base.backbone, Freeze::Adapters, seed);
        artefact::save(&[thawed.store().unwrap()])
    };
    assert!(drawn(1) == drawn(1) && drawn(1) != drawn(2));
}

#[test]
fn a_version_answers_as_it_learned() {
    let base = base();
    let windows = windows();
    let windows: Vec<&Window> = windows.iter().collect();
    let batch = Batch::stack(&windows, None);
    for freeze in THAWED {
        let weights = learned(&base, &with(freeze)).weights;
        let thawed = Thawed::new(&base.backbone, freeze, 0);
        thawed.fill(&weights).unwrap();
        let head = load_head(&base, &weights).unwrap();
        let said = tch::no_grad(|| {
            let states = thawed.states(&once(&base.backbone, freeze, &batch), (batch.context, batch.future));
            let corrections = head.corrections(&base.backbone.features(&batch).with(states), None);
            quantiles(&batch, &corrections).sort(-1, false).0
        });
        let trained = Vec::<f32>::try_from(said.reshape(-1)).unwrap();
        let served = answer(&base, Some(&weights), &windows).unwrap();
        let pairs = trained.iter().zip(served.iter().flatten().flatten());
        let gap = pairs.map(|(one, other)| (f64::from(*one) - other).abs()).fold(0.0, f64::max);
        assert!(gap < 1e-4, "{freeze:?} is {gap} off");
        let alone = artefact::save(&[("head", head.store())]);
        let without = answer(&base, Some(&alone), &windows).unwrap();
        assert!(far(&without, &served) > 1e-3, "{freeze:?}: the backbone has its part in the answer");
    }
}

#[test]
fn the_same_seed_gives_the_same_bytes_with_every_policy() {
    let base = base();
    for freeze in THAWED {
        let short = Recipe { max_steps: 20, evaluate_every: 10, ..with(freeze) };
        let first = learned(&base, &short);
        assert!(first.weights == learned(&base, &short).weights, "{freeze:?}");
        assert!(first.weights != learned(&base, &Recipe { seed: 5, ..short }).weights, "{freeze:?}");
    }
}

#[test]
fn a_recipe_that_leaves_it_out_learns_head_and_decoder() {
    let base = base();
    let short = Recipe { max_steps: 12, evaluate_every: 4, ..with(Freeze::Decoder) };
    let open = learned(&base, &Recipe { freeze: None, ..short.clone() });
    assert!(open.weights == learned(&base, &short).weights);
    assert_eq!(open.recipe.unwrap().freeze, Some(Freeze::Decoder));
    assert!(carried_by(&open.weights).is_empty());
}

#[test]
fn a_head_on_the_base_model_as_it_is_shares_its_backbone() {
    let base = base();
    let weights = untaught(&base).weights;
    let tuned = Tuned::new(&base, &load_head(&base, &weights).unwrap(), &weights).unwrap();
    assert!(std::ptr::eq(tuned.parts(&base).0, std::ptr::from_ref(&base.lean)), "nothing is laid out twice");
    let windows = windows();
    let windows: Vec<&Window> = windows.iter().collect();
    let (own, plain) = (answer(&base, Some(&weights), &windows).unwrap(), answer(&base, None, &windows).unwrap());
    assert!(own == plain, "not a bit differs");
}

#[test]
fn where_nothing_helped_the_version_stands_on_the_base_model() {
    let base = base();
    for freeze in THAWED {
        let found = learned(&base, &Recipe { learning_rate: Some(1e-9), max_steps: 10, ..with(freeze) });
        assert_eq!(found.best_step, 0);
        assert!(carried_by(&found.weights).is_empty(), "{freeze:?}");
    }
}

#[test]
fn a_backbone_that_is_none_is_refused() {
    let base = base();
    let head = ("head", base.head.store());
    let with = |prefix, names: &[(&str, &[i64])]| {
        let other = VarStore::new(Device::Cpu);
        for (name, shape) in names {
            let _ = other.root().zeros(name, shape);
        }
        own_backbone(&base.backbone, &artefact::save(&[head, (prefix, &other)])).map(|own| own.is_some())
    };
    let width = base.card.size.width;
    assert_eq!(with("backbone", &[("norm", &[width])]), Ok(true));
    assert_eq!(with("backbones", &[("norm", &[width])]), Ok(false), "somebody else's");
    assert_eq!(with("backbone", &[("norm", &[width + 1])]), Err(ArtefactError::Shape("backbone.norm".to_owned())));
    assert_eq!(with("backbone", &[("end", &[2])]), Err(ArtefactError::Unknown("backbone.end".to_owned())));
    assert_eq!(with("adapter", &[("end", &[2])]), Err(ArtefactError::Unknown("adapter.end".to_owned())));
    let missing = with("adapter", &[]);
    assert_eq!(missing, Ok(false));
    assert_eq!(own_backbone(&base.backbone, b"nothing").map(|own| own.is_some()), Err(ArtefactError::Format));
}

#[tokio::test]
async fn the_engine_answers_each_version_on_its_own_backbone() {
    let engine = Engine::start(&Config { model_inbox: 16 }).unwrap();
    let choice = BaseChoice::default();
    let window = windows().remove(0);
    let weights: Vec<Vec<u8>> = {
        let base = base();
        ALL.iter().map(|freeze| learned(&base, &with(*freeze)).weights).collect()
    };
    let versions: Vec<Arc<HeadArtefact>> = weights.iter().cloned().map(artefact_of).collect();
    let asked = |version: &Arc<HeadArtefact>| engine.answer(&choice, vec![window.clone()], Some(version.clone()));
    let plain = engine.answer(&choice, vec![window.clone()], None).await.unwrap();
    // Twice, together: what is loaded for one must not answer for another.
    for _ in 0..2 {
        let together = futures::future::join_all(versions.iter().map(asked)).await;
        for (weights, said) in weights.iter().zip(together) {
            let (said, wanted) = (said.unwrap(), answer(&base(), Some(weights), &[&window]).unwrap());
            let gap = far(&said, &wanted);
            assert!(gap < 1e-6, "{gap} off from when it was judged");
            assert!(far(&said, &plain) > 1e-3);
        }
    }
    assert_eq!(engine.answer(&choice, vec![window.clone()], None).await.unwrap(), plain);
    let other = VarStore::new(Device::Cpu);
    let _ = other.root().zeros("end", &[2]);
    let broken = artefact::save(&[("head", base().head.store()), ("backbone", &other)]);
    let refused = engine.answer(&choice, vec![window], Some(artefact_of(broken))).await;
    assert!(matches!(refused, Err(EngineError::Head(ArtefactError::Unknown(_)))), "{refused:?}");
}
