//! The real learner, on frames that a test makes.

use std::io::Write as _;
use std::process::Command;

use super::*;
use crate::asset::Asset;
use crate::asset::testing::asset_type;
use crate::features::{Seen, Setups};
use crate::model::digest;
use crate::reading::Frame;
use crate::training::Bases;
use crate::training::teacher::Teacher;

/// Set for a copy of this test that runs alone in a process.
const CHILD: &str = "COUNTERPART_TEST_CHILD";

/// A pump and a level that follows it slowly and not quite linearly.
pub(super) fn assignment(steps: usize, recipe: Recipe) -> Assignment {
    let asset = Asset {
        id: AssetId(1),
        key: "tank".to_owned(),
        asset_type: Arc::new(asset_type(1.0, &["pump", "level"])),
        name: None,
        attributes: Map::new(),
        revision: 1,
        created_at: DateTime::UNIX_EPOCH,
        updated_at: DateTime::UNIX_EPOCH,
    };
    let mut level = 1.0;
    let frames = (0..steps)
        .map(|step| {
            let pump = 1.0 + ((step / 29 * 7919) % 5) as f64;
            level += 0.04 * (pump - level * f64::abs(level).sqrt());
            let noise = 0.05 * ((step * step % 977) as f64 / 488.0 - 1.0);
            Frame {
                observed_at: DateTime::from_timestamp(1_790_000_000 + step as i64, 0).unwrap(),
                values: vec![pump, level + noise],
                quality: None,
            }
        })
        .collect();
    Assignment {
        asset: Arc::new(asset),
        frames,
        recipe,
        champion: None,
        labels: Vec::new(),
        bases: Bases::default(),
        fleet: Vec::new(),
    }
}

pub(super) fn learn(assignment: Assignment) -> Candidate {
    Teacher::default().learn(assignment, &mut |_| ControlFlow::Continue(())).unwrap()
}

/// Few steps, but enough to be better than the base model's head.
pub(super) fn short(seed: u64) -> Recipe {
    Recipe { max_steps: 40, evaluate_every: 10, batch: 16, seed, ..Recipe::default() }
}

fn hash(candidate: &Candidate) -> String {
    format!("{:02x?}", digest(&candidate.weights))
}

#[test]
fn the_same_data_recipe_and_seed_give_the_same_bytes_in_any_process() {
    let own = hash(&learn(assignment(760, short(7))));
    if std::env::var_os(CHILD).is_some() {
        writeln!(std::io::stdout(), "\nsha256={own}").unwrap();
        return;
    }
    let again = learn(assignment(760, short(7)));
    assert_eq!(own, hash(&again), "in this process");
    assert!(again.recipe.seed == 7 && again.recipe.learning_rate.is_some(), "{:?}", again.recipe);
    assert_ne!(own, hash(&learn(assignment(760, short(8)))), "another seed");
    // What was left to the learner is in the version's recipe, and repeats it.
    assert_eq!(own, hash(&learn(assignment(760, again.recipe.clone()))), "with the recipe of the version");

    let name = "training::tests::teacher::the_same_data_recipe_and_seed_give_the_same_bytes_in_any_process";
    // As the server learns: on one thread. Sums of floats depend on how many share them.
    let child = || {
        let mut command = Command::new(std::env::current_exe().unwrap());
        let command = command.args(["--exact", name, "--nocapture"]).env(CHILD, "1").env("OMP_NUM_THREADS", "1");
        let said = String::from_utf8(command.output().unwrap().stdout).unwrap();
        said.lines().find_map(|line| line.strip_prefix("sha256=")).map(str::to_owned)
    };
    let first = child();
    assert!(first.is_some(), "the child says what it learned");
    assert_eq!(first, child(), "in processes of their own");
}

#[test]
fn too_few_windows_give_the_base_models_head_with_honest_bands() {
    let candidate = learn(assignment(450, short(0)));
    let base = crate::model::Base::shipped().unwrap();
    let own = Setups::attached_to(&candidate.weights);
    let shipped = own.attach_to(&crate::model::trainee::untaught(&base).weights).unwrap();
    let shipped = Seen::attached_to(&candidate.weights).unwrap().attach_to(&shipped).unwrap();
    assert!(candidate.weights == shipped, "the head is the base model's own");
    assert!(candidate.note.unwrap().contains("143 usable windows and fine-tuning needs 300"));
    assert!(candidate.holdout.only_bands && candidate.curve.is_empty());
    let widths = candidate.calibration["widths"]["level"].as_array().unwrap();
    assert!(widths.iter().any(|width| width.as_f64() != Some(1.0)), "{widths:?}");
}

#[test]
fn long_histories_have_an_older_holdout_and_honest_bands() {
    let candidate = learn(assignment(2_400, Recipe { synthetic: 0.0, ..short(1) }));
    let older = candidate.holdout.older.unwrap();
    assert!(older.candidate.losses.len() >= 20, "{} windows", older.candidate.losses.len());
    assert_eq!(older.candidate.losses.len(), older.champion.losses.len());
    let card = &candidate.holdout.recent.candidate.card;
    assert!((0.7..0.9).contains(&card.coverage_80) && (0.9..=1.0).contains(&card.coverage_95), "{card:?}");
    assert_eq!(candidate.calibration["tails"]["level"].as_array().map(Vec::len), Some(4));
    assert!(candidate.note.is_none());
}
