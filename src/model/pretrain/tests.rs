//! What must hold of a whole run.

use std::path::Path;

use super::*;
use crate::model::artefact;

fn config(out: &Path) -> Config {
    Config {
        out: out.to_owned(),
        name: Some("tiny".into()),
        size: vec![NamedSize::Small],
        device: Place::Cpu,
        windows: 900,
        pool: 512,
        steps: 12,
        seconds: None,
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
    let mut run = Run::start(config, NamedSize::Small, &mut |_| {}).unwrap();
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
    let cards = run(&config(whole.path()), &mut |_| {}).unwrap();
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
    assert_eq!(cards[0].sha256, other.unwrap()[0].sha256);
    assert!(!broken.path().join("tiny.checkpoint").exists(), "a finished run needs none");
}

#[test]
fn a_checkpoint_is_for_the_run_that_wrote_it() {
    let folder = tempfile::tempdir().unwrap();
    let first = Config { windows: 256, pool: 256, ..config(folder.path()) };
    interrupted(&first, 5);
    let start = |config: &Config| Run::start(config, config.size[0], &mut |_| {}).map(|run| run.taken());
    let again = Config { resume: true, ..first.clone() };
    assert!(matches!(start(&again), Ok(5)));
    let other = Config { learning_rate: 2e-3, ..again.clone() };
    assert!(matches!(start(&other), Err(PretrainError::Foreign)));
    let larger = Config { size: vec![NamedSize::Base], ..again.clone() };
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
        let config = Config { size: vec![size], windows: 256, pool: 256, steps: 1, ..config(folder.path()) };
        let card = run(&config, &mut |_| {}).unwrap().remove(0);
        assert!((least..most).contains(&card.parameters), "{}", card.parameters);
        let bytes = weights(folder.path());
        let base = Base::from_bytes(&bytes, card.clone()).unwrap();
        assert_eq!(base.card.size, size.size());
        let wrong = if size == NamedSize::Small { Size::BASE } else { Size::SMALL };
        assert!(Base::from_bytes(&bytes, BaseCard { size: wrong, ..card.clone() }).is_err());
        let mix = card.mix.unwrap();
        assert_eq!(mix.records, card::COUNTED);
        assert!((mix.restarted - 0.45).abs() < 0.05);
    }
}

/// Both sizes side by side.
fn side_by_side(out: &Path) -> Config {
    let size = vec![NamedSize::Small, NamedSize::Base];
    Config { name: Some("{size}-tiny".into()), size, windows: 512, checkpoint_every: 3, ..config(out) }
}

#[test]
fn networks_that_learn_together_are_taken_up_and_each_is_written_with_its_card() {
    let (whole, broken) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let ended = std::sync::atomic::AtomicBool::new(false);
    let names = ["small-tiny", "base-tiny"];
    let cards = std::thread::scope(|scope| {
        // What a killed run would leave: its first checkpoints.
        scope.spawn(|| {
            let mut awaited = names.map(|name| format!("{name}.checkpoint")).to_vec();
            while !awaited.is_empty() && !ended.load(std::sync::atomic::Ordering::Relaxed) {
                awaited.retain(|name| std::fs::copy(whole.path().join(name), broken.path().join(name)).is_err());
                std::thread::sleep(std::time::Duration::from_millis(1));
            }
        });
        let cards = run(&side_by_side(whole.path()), &mut |_| {});
        ended.store(true, std::sync::atomic::Ordering::Relaxed);
        cards.unwrap()
    });
    let mut resumed = None;
    let again = Config { resume: true, threads: 2, ..side_by_side(broken.path()) };
    let others = run(&again, &mut |news| {
        if let News::Resumed(step) = news {
            resumed = Some(step);
        }
    });
    assert!(resumed.is_some_and(|step| (3..12).contains(&step)), "{resumed:?}");
    for ((card, other), name) in cards.iter().zip(others.unwrap()).zip(names) {
        assert_eq!((&card.name[..], card.steps, card.windows), (name, 12, 512));
        assert_eq!((card.device.as_deref(), &card.gpu), (Some("cpu"), &None));
        assert_eq!(card.sha256, other.sha256, "on a cpu even these are the same, bit for bit");
        let bytes = std::fs::read(whole.path().join(format!("{name}.safetensors"))).unwrap();
        let base = crate::model::Base::from_bytes(&bytes, card.clone()).unwrap();
        assert!(crate::model::hex(&artefact::digest(&bytes)) == card.sha256 && base.card.parameters > 0);
        assert!(!whole.path().join(format!("{name}.checkpoint")).exists());
    }
    assert!(cards[0].parameters < cards[1].parameters);
    assert_eq!(cards[0].validation[0].bank_pinball, cards[1].validation[0].bank_pinball, "the same unseen windows");
}

#[test]
fn the_clock_ends_a_run_and_the_card_tells_how_far_it_came() {
    let folder = tempfile::tempdir().unwrap();
    let config = Config { seconds: Some(2), ..config(folder.path()) };
    let mut told = Vec::new();
    let cards = run(&config, &mut |news| {
        if let News::Validation(name, step, figures) = news {
            told.push((name.to_owned(), step, figures.len()));
        }
    });
    let card = cards.unwrap().remove(0);
    assert!(card.steps > 0 && card.windows >= 512 && card.windows.is_multiple_of(CHUNK), "{card:?}");
    assert!(card.wall_seconds.is_some_and(|seconds| seconds >= 2.0), "{card:?}");
    assert_eq!(card.recipe.unwrap().seconds, Some(2));
    let last = told.last().unwrap();
    assert_eq!((&last.0[..], last.1), ("tiny", card.steps));
}

#[test]
fn a_device_that_is_not_there_and_a_name_for_two_are_refused_before_anything_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("new");
    let refused = |config: Config| run(&config, &mut |_| {}).unwrap_err();
    let error = refused(Config { device: Place::Cuda(97), ..config(&out) });
    assert!(matches!(error, PretrainError::NoDevice(Place::Cuda(97), _)), "{error}");
    let error = refused(Config { name: Some("one".into()), ..side_by_side(&out) });
    assert!(matches!(&error, PretrainError::SameName(name) if name == "one"), "{error}");
    let error = refused(Config { windows: 3, ..side_by_side(&out) });
    assert!(matches!(error, PretrainError::TooFew), "{error}");
    assert!(!out.exists());
}
