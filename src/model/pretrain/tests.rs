//! What must hold of a whole run.

use std::path::Path;

use super::*;

fn config(out: &Path) -> Config {
    Config {
        out: out.to_owned(),
        name: Some("tiny".into()),
        size: NamedSize::Small,
        windows: 900,
        pool: 512,
        steps: 12,
        batch: 6,
        learning_rate: 1e-3,
        seed: 5,
        threads: 1,
        checkpoint_every: 5,
        resume: false,
        commit: None,
    }
}

fn weights(folder: &Path) -> Vec<u8> {
    std::fs::read(folder.join("tiny.safetensors")).unwrap()
}

/// Runs until `steps` steps are taken, and leaves without a word, as a killed process does.
fn interrupted(config: &Config, steps: usize) {
    let mut run = Run::start(config, &mut |_| {}).unwrap();
    while run.taken() < steps {
        run.step(&mut |_| {}).unwrap();
        if run.taken().is_multiple_of(config.checkpoint_every) {
            run.keep().unwrap();
        }
    }
}

#[test]
fn a_run_that_is_taken_up_ends_with_the_weights_of_one_that_was_never_interrupted() {
    let (whole, broken) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let card = run(&config(whole.path()), &mut |_| {}).unwrap();
    // Killed twice, two steps behind a checkpoint; the second life draws on two threads.
    interrupted(&config(broken.path()), 7);
    let again = Config { resume: true, threads: 2, ..config(broken.path()) };
    interrupted(&again, 11);
    let mut resumed = None;
    let other = run(&again, &mut |news| {
        if let News::Resumed(step) = news {
            resumed = Some(step);
        }
    });
    assert_eq!(resumed, Some(10));
    assert_eq!(weights(whole.path()), weights(broken.path()), "bit for bit");
    assert_eq!(card.sha256, other.unwrap().sha256);
    assert!(!broken.path().join("tiny.checkpoint").exists(), "a finished run needs none");
}

#[test]
fn a_checkpoint_is_for_the_run_that_wrote_it() {
    let folder = tempfile::tempdir().unwrap();
    let first = Config { windows: 256, pool: 256, ..config(folder.path()) };
    interrupted(&first, 5);
    let start = |config: &Config| Run::start(config, &mut |_| {}).map(|run| run.taken());
    let again = Config { resume: true, ..first.clone() };
    assert!(matches!(start(&again), Ok(5)));
    let other = Config { learning_rate: 2e-3, ..again.clone() };
    assert!(matches!(start(&other), Err(PretrainError::Foreign)));
    let larger = Config { size: NamedSize::Base, ..again.clone() };
    assert!(matches!(start(&larger), Err(PretrainError::Foreign)));
    assert!(matches!(start(&first), Ok(0)), "who does not ask starts anew");
    std::fs::write(folder.path().join("tiny.checkpoint"), b"torn").unwrap();
    assert!(matches!(start(&again), Err(PretrainError::Damaged(_))));
}

#[test]
fn both_sizes_load_again_from_what_they_wrote_and_refuse_the_other() {
    use crate::model::{Base, Size};
    let folder = tempfile::tempdir().unwrap();
    for (size, least, most) in [(NamedSize::Small, 500_000, 700_000), (NamedSize::Base, 1_200_000, 2_000_000)] {
        let config = Config { size, windows: 256, pool: 256, steps: 1, ..config(folder.path()) };
        let card = run(&config, &mut |_| {}).unwrap();
        assert!((least..most).contains(&card.parameters), "{}", card.parameters);
        let bytes = weights(folder.path());
        let base = Base::from_bytes(&bytes, card.clone()).unwrap();
        assert_eq!(base.card.size, size.size());
        let wrong = if size == NamedSize::Small { Size::BASE } else { Size::SMALL };
        assert!(Base::from_bytes(&bytes, BaseCard { size: wrong, ..card.clone() }).is_err());
        let mix = card.mix.unwrap();
        assert_eq!(mix.records, COUNTED);
        assert!((mix.restarted - 0.45).abs() < 0.05);
    }
}
