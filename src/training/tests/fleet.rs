//! What an asset borrows from its kin, and what a search tells and keeps.

use safetensors::tensor::{Dtype, SafeTensors, TensorView};

use super::teacher::{assignment, learn, short};
use super::*;
use crate::ids::ModelId;
use crate::model::trainee::untaught;
use crate::model::{Base, Freeze, Search, SearchEnd, SearchRecord, StartFrom, attached, digest};
use crate::training::{Ancestry, Kin};

fn kin(weights: &[u8]) -> Kin {
    Kin { id: ModelId::mint(&Clock::system()), base: crate::model::MODEL_CARD_NAME.to_owned(), weights: weights.into() }
}

fn with_kin(steps: usize, start: StartFrom, fleet: &[Kin]) -> Candidate {
    let recipe = Recipe { start, max_steps: 20, ..short(7) };
    learn(Assignment { fleet: fleet.to_vec(), ..assignment(steps, recipe) })
}

/// A head that is worse than any: every weight far from where it was.
fn spoilt(weights: &[u8]) -> Vec<u8> {
    let document = SafeTensors::deserialize(weights).unwrap();
    let heads = document.tensors().into_iter().filter(|(name, _)| name.starts_with("head."));
    let moved: Vec<(String, Vec<usize>, Vec<u8>)> = heads
        .map(|(name, view)| {
            let number = |raw: &[u8]| f32::from_le_bytes(raw.try_into().unwrap()) + 0.5;
            let bytes = view.data().chunks_exact(4).flat_map(|raw| number(raw).to_le_bytes()).collect();
            (name, view.shape().to_vec(), bytes)
        })
        .collect();
    let views = moved
        .iter()
        .map(|(name, shape, bytes)| (name.as_str(), TensorView::new(Dtype::F32, shape.clone(), bytes).unwrap()));
    safetensors::serialize(views, None).unwrap()
}

#[test]
fn an_asset_without_kin_of_use_learns_as_if_it_were_alone() {
    let alone = with_kin(760, StartFrom::Auto, &[]);
    assert!(alone.ancestry.is_none() && alone.recipe.start == StartFrom::Base);
    let base = Base::shipped().unwrap();
    let other = Kin { base: "another".to_owned(), ..kin(&spoilt(&alone.weights)) };
    let of_no_use = with_kin(760, StartFrom::Auto, &[other, kin(&untaught(&base).weights), kin(b"damaged")]);
    assert!(of_no_use.ancestry.is_none());
    assert!(of_no_use.weights == alone.weights, "not a bit differs");
    let worse = with_kin(760, StartFrom::Auto, &[kin(&spoilt(&alone.weights))]);
    assert!(worse.weights == alone.weights, "it begins from the base model's head all the same");
    let ancestry = worse.ancestry.unwrap();
    assert_eq!((ancestry.start, ancestry.pooled.len()), (StartFrom::Base, 1));
    assert!(ancestry.pooled_loss.unwrap() > ancestry.base_loss.unwrap(), "{ancestry:?}");
    assert!(ancestry.to_string().contains("as the head of the other asset of its type that learned is not 1 % better"));
}

#[test]
fn a_pooled_head_is_begun_from_and_repeated_from_the_same_kin() {
    let heads = [short(1), short(2)].map(|recipe| kin(&learn(assignment(760, recipe)).weights));
    let [one, two] = &heads;
    let pooled = with_kin(760, StartFrom::Pooled, &heads);
    let ancestry = pooled.ancestry.unwrap();
    assert_eq!((ancestry.start, &ancestry.pooled), (StartFrom::Pooled, &vec![one.id, two.id]));
    assert_eq!(pooled.recipe.start, StartFrom::Pooled);
    assert_eq!(Some(pooled.curve[0].validation_loss), ancestry.pooled_loss);
    let again = with_kin(760, StartFrom::Pooled, &[two.clone(), one.clone()]);
    assert_eq!(digest(&again.weights), digest(&pooled.weights), "in whatever order they come");
    let alone = with_kin(760, StartFrom::Base, &heads);
    assert!(alone.ancestry.is_none() && alone.weights != pooled.weights);
    assert!(pooled.note.is_none() && !pooled.holdout.only_bands);
}

#[test]
fn with_too_little_to_learn_from_the_pooled_head_has_to_forecast_better() {
    let head = kin(&learn(assignment(760, short(1))).weights);
    let pooled = with_kin(450, StartFrom::Pooled, std::slice::from_ref(&head));
    assert!(pooled.note.as_ref().unwrap().contains("needs 300: the head of the other asset of its type"));
    assert!(!pooled.holdout.only_bands && pooled.curve.is_empty() && pooled.recipe.start == StartFrom::Pooled);
    let spoilt = with_kin(450, StartFrom::Auto, &[kin(&spoilt(&head.weights))]);
    let alone = with_kin(450, StartFrom::Auto, &[]);
    assert!(spoilt.weights == alone.weights && spoilt.holdout.only_bands && alone.ancestry.is_none());
    let note = spoilt.note.unwrap();
    assert!(note.contains("needs 300: the base model's head, as the head of the other asset"), "{note}");
}

#[test]
fn a_head_that_learned_together_with_a_block_lends_nothing() {
    let alone = with_kin(760, StartFrom::Auto, &[]);
    assert!(attached(&alone.weights, "backbone.norm").is_none());
    let apart = learn(assignment(760, Recipe { freeze: Some(Freeze::LastBlock), ..short(1) }));
    assert_eq!(apart.recipe.freeze, Some(Freeze::LastBlock));
    assert!(attached(&apart.weights, "backbone.norm").is_some(), "it carries what learned");
    let beside = with_kin(760, StartFrom::Auto, &[kin(&apart.weights)]);
    assert!(beside.ancestry.is_none() && beside.weights == alone.weights, "not a bit differs");
}

#[test]
fn a_search_finds_settings_and_its_version_has_them() {
    let search = Search { budget_s: 600.0, candidates: 4, eta: 2, ..Search::default() };
    let recipe = Recipe { search: Some(search), max_steps: 20, evaluate_every: 5, ..short(3) };
    let found = learn(assignment(760, recipe));
    let record = found.search.unwrap();
    assert_eq!((record.rungs, record.ended, record.trials.len()), (2, SearchEnd::Decided, 7));
    let alone = learn(assignment(760, found.recipe.clone()));
    assert!(alone.search.is_none() && alone.weights == found.weights, "its recipe alone repeats it");
}

#[tokio::test]
async fn the_kin_of_an_asset_serve_others_of_its_type_and_have_learned() {
    let yard = Yard::new().await;
    let valve = store::asset(&yard.db, "valve").await;
    let kin = async || crate::model::store::kin(&yard.db, valve, 8).await.unwrap();
    yard.learn(1.2).await;
    assert!(kin().await.is_empty(), "it does not serve");
    yard.learn(0.8).await;
    let found = kin().await;
    assert_eq!(found.iter().map(|kin| (kin.base.as_str(), kin.weights[3])).collect::<Vec<_>>(), [("test-1", 80)]);
    assert!(crate::model::store::kin(&yard.db, yard.pump, 8).await.unwrap().is_empty(), "its own is not its kin");
    assert!(crate::model::store::kin(&yard.db, valve, 0).await.unwrap().is_empty(), "no more than are wanted");

    let (tell, seen) = std::sync::mpsc::channel();
    let worker = yard.worker(move |assignment, _| {
        tell.send(assignment.fleet.iter().map(|kin| kin.id).collect::<Vec<_>>()).unwrap();
        Ok(Candidate { ancestry: Some(ancestry()), ..candidate(0.8) })
    });
    for (start, wanted) in [("auto", vec![found[0].id]), ("base", Vec::new())] {
        let recipe = Map::from_iter([("start".to_owned(), json!(start))]);
        yard.training.request("valve", &recipe, Promotion::Manual).await.unwrap();
        worker.step().await.unwrap();
        assert_eq!(seen.recv().unwrap(), wanted, "{start}");
    }
    let (_, models) = yard.training.models("valve", None, 8).await.unwrap();
    assert_eq!(models[0].ancestry, Some(serde_json::to_value(ancestry()).unwrap()));
    assert!(models[0].reason.contains("it began from the pooled head of 2 other assets"), "{}", models[0].reason);

    store::damage(&yard.db).await;
    assert!(kin().await.is_empty(), "what is damaged lends nothing");
    store::mend(&yard.db, Some("it learned nothing")).await;
    assert!(kin().await.is_empty(), "what learned nothing lends nothing");
    store::mend(&yard.db, None).await;
    assert_eq!(kin().await.len(), 1);
}

/// A head that began from two others.
fn ancestry() -> Ancestry {
    let id = |n: u128| ModelId(uuid::Uuid::from_u128(n));
    Ancestry { start: StartFrom::Pooled, pooled: vec![id(1), id(2)], base_loss: Some(0.5), pooled_loss: Some(0.4) }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_search_is_told_while_it_goes_on_and_kept_with_its_version() {
    let yard = Yard::new().await;
    let job = yard.ask().await;
    let record = SearchRecord {
        asked: Search::default(),
        rungs: 1,
        ended: SearchEnd::Budget,
        cpu_s: 0.5,
        winner: 3,
        trials: Vec::new(),
    };
    let (go, wait) = std::sync::mpsc::channel::<()>();
    let found = record.clone();
    let worker = yard.worker(move |_, progress| {
        let _ = progress(Progress { rung: Some(1), ..sign(0.4) });
        wait.recv().unwrap();
        Ok(Candidate { search: Some(found.clone()), ..candidate(0.8) })
    });
    assert_eq!(yard.job(&job).await.rung, None);
    let step = tokio::spawn(async move { worker.step().await.unwrap() });
    eventually(async || (yard.job(&job).await.rung == Some(1)).then_some(())).await;
    go.send(()).unwrap();
    assert!(matches!(step.await.unwrap(), Step::Worked(..)));
    let (serves, version) = yard.training.model("pump", 1).await.unwrap();
    assert!(serves);
    assert_eq!(version.search, Some(serde_json::to_value(&record).unwrap()));
    let (_, listed) = yard.training.models("pump", None, 8).await.unwrap();
    let listed = listed[0].search.as_ref().unwrap();
    assert!(listed["winner"] == 3 && listed.get("trials").is_none(), "{listed}");
    let other = yard.learn(0.7).await;
    assert_eq!(other.rung, None);
}
