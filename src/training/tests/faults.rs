//! Faults of data and of clocks: what was learned from a record with a fault in it serves only where it is no
//! worse on a sound one, and a clock that jumps changes nothing of a job.

use chrono::TimeDelta;

use super::teacher::{assignment, learn, short};
use crate::ids::ModelId;
use crate::reading::Frame;
use crate::training::Champion;
use crate::training::store::Finish;
use crate::training::teacher::Teacher;
use crate::training::verdict::{Gate, judge};
use crate::training::worker::Outcome;

use super::*;

/// Frames of a record with a fault, and of the sound one that goes on behind it.
const POISONED: usize = 1_400;
const SOUND: usize = 1_800;
/// Frames that a fault befell; it was mended before the newest.
const FAULT: std::ops::Range<usize> = 500..740;

fn promoted(candidate: &Candidate) -> bool {
    candidate.objection.is_none() && judge(&candidate.holdout, "the base model", &Gate::default(), 7).promoted
}

/// CRPS on the newest windows of the sound record, of a version or of the base model.
fn on_the_sound_record(version: Option<&Candidate>) -> f64 {
    let champion = version.map(|candidate| Champion {
        id: ModelId::mint(&Clock::system()),
        version: 1,
        base: candidate.base.clone(),
        weights: candidate.weights.clone().into(),
        calibration: candidate.calibration.clone(),
    });
    let brief = Recipe { max_steps: 1, evaluate_every: 1, ..short(3) };
    learn(Assignment { champion, ..assignment(SOUND, brief) }).holdout.recent.champion.card.crps
}

#[test]
fn what_was_learned_from_a_poisoned_record_serves_only_if_it_is_no_worse_on_a_sound_one() {
    type Poison = fn(&mut [Frame]);
    let table: [(&str, Poison); 6] = [
        ("outliers", |frames| {
            let places = FAULT.step_by(23).enumerate();
            places.for_each(|(k, at)| frames[at].values[1] += if k % 3 == 0 { -15.0 } else { 12.0 });
        }),
        ("a stuck sensor", |frames| {
            let held = frames[FAULT.start].values[1];
            frames[FAULT].iter_mut().for_each(|frame| frame.values[1] = held);
        }),
        ("another unit", |frames| frames[FAULT].iter_mut().for_each(|frame| frame.values[1] *= 1000.0)),
        ("a sign turned round", |frames| frames[FAULT].iter_mut().for_each(|frame| frame.values[1] *= -1.0)),
        ("a clock that was an hour behind", |frames| {
            frames[FAULT].iter_mut().for_each(|frame| frame.observed_at -= TimeDelta::hours(1));
            frames.sort_by_key(|frame| frame.observed_at);
        }),
        ("a sensor that said nothing", |frames| {
            frames[FAULT].iter_mut().for_each(|frame| frame.values[1] = f64::NAN);
        }),
    ];
    let base = on_the_sound_record(None);
    for (name, poison) in table {
        let mut given = assignment(POISONED, short(3));
        poison(&mut given.frames);
        // Too little that is left is no fault: nothing is learned then.
        let learned = Teacher::default().learn(given, &mut |_| ControlFlow::Continue(()));
        let candidate = match learned {
            Ok(candidate) => candidate,
            Err(LearnError::InsufficientData { .. }) => continue,
            Err(error) => panic!("{name}: {error}"),
        };
        assert!(candidate.holdout.recent.candidate.card.crps.is_finite(), "{name}");
        if promoted(&candidate) {
            let own = on_the_sound_record(Some(&candidate));
            assert!(
                own <= 1.02 * base,
                "{name}: promoted with CRPS {own} on a sound record, the base model has {base}"
            );
        }
    }
}

#[test]
fn of_a_plant_at_rest_nothing_is_learned_that_serves() {
    let mut given = assignment(POISONED, short(3));
    given.frames.iter_mut().for_each(|frame| frame.values = vec![2.0, 1.5]);
    match Teacher::default().learn(given, &mut |_| ControlFlow::Continue(())) {
        Ok(candidate) => assert!(!promoted(&candidate), "{:?}", candidate.holdout.recent.candidate.card),
        Err(LearnError::InsufficientData { .. } | LearnError::NonFinite(_)) => {}
        Err(error) => panic!("{error}"),
    }
}

#[tokio::test]
async fn a_clock_that_jumps_while_a_job_runs_changes_nothing_of_it() {
    for jump in [TimeDelta::days(30), TimeDelta::days(-30)] {
        let yard = Yard::new().await;
        let job = yard.ask().await;
        let clock = yard.clock.clone();
        let worker = yard.worker(move |_, progress| {
            let _ = progress(sign(0.25));
            clock.advance(jump);
            let _ = progress(sign(0.5));
            Ok(candidate(0.8))
        });
        let step = worker.step().await.unwrap();
        assert!(
            matches!(step, Step::Worked(_, Outcome::Finished(Finish::Succeeded { version: 1, .. }))),
            "{jump}: {step:?}"
        );
        let other = yard.worker(|_, _| panic!("nothing is left to be learned"));
        assert_eq!(other.step().await.unwrap(), Step::Idle, "{jump}");
        assert_eq!((yard.job(&job).await.attempts, store::versions(&yard.db).await, yard.serving().await), (1, 1, 1));
    }
}
