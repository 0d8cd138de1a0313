//! What can be foreseen is foreseen, and what cannot is not claimed to be.

use chrono::DateTime;
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use super::super::{cuts, in_time};
use super::*;
use crate::asset::testing::asset_type;
use crate::features::Eye;
use crate::model::ClassLoss;
use crate::model::health::{Classifier, Sample, Shape};
use crate::reading::Frame;

/// Width of a state.
const WIDTH: usize = 4;
/// A bearing wears out within so many steps, and is ill from a share of them on.
const PERIOD: usize = 120;
const ILL: f64 = 0.7;
const STEPS: usize = 20 * PERIOD;

/// Steps a second apart, with a silence before some of them.
pub(super) fn grid(steps: usize, silences: &[usize]) -> Grid {
    let mut at = 1_790_000_000;
    let frames = (0..steps).map(|step| {
        at += if silences.contains(&step) { 600 } else { 1 };
        let observed_at = DateTime::from_timestamp(at, 0).unwrap();
        Frame { observed_at, values: vec![step as f64], quality: None }
    });
    Grid::new(&asset_type(1.0, &["level"]), &frames.collect::<Vec<_>>()).unwrap()
}

/// Two classes, cut as a job cuts them.
pub(super) fn cut(steps: usize, class: &dyn Fn(usize) -> usize) -> Cut {
    let mut cut = Cut {
        classes: vec!["well".into(), "ill".into()],
        left_out: Vec::new(),
        parts: Default::default(),
        known: vec![None; steps],
    };
    for number in 0..2 {
        let own: Vec<usize> = (0..steps).filter(|step| class(*step) == number).collect();
        let (first, second) = cuts(own.len());
        for (place, step) in own.iter().enumerate() {
            cut.known[*step] = Some((usize::from(place >= first) + usize::from(place >= second), number));
        }
        for (all, part) in cut.parts.iter_mut().zip(in_time(&own)) {
            all.extend(part.into_iter().map(|step| (step, number)));
        }
    }
    cut
}

fn wear(step: usize) -> f64 {
    (step % PERIOD) as f64 / PERIOD as f64
}

fn worn(step: usize) -> usize {
    usize::from(wear(step) >= ILL)
}

fn go_on() -> ControlFlow<()> {
    ControlFlow::Continue(())
}

/// What is learned of steps that look like this, by one who names the class of now with a certainty.
fn learned(
    cut: &Cut,
    look: &mut dyn FnMut(usize) -> [f32; 3],
    certainty: f64,
) -> (Option<Outlook>, AheadVerdict, Heard) {
    let mut sample = |(step, class): &(usize, usize)| {
        let portrait = Portrait { statistics: look(*step).to_vec(), states: vec![0.0; WIDTH] };
        Sample { portrait, class: *class }
    };
    let [train, validation, holdout] =
        [0, 1, 2].map(|part: usize| cut.parts[part].iter().map(&mut sample).collect::<Vec<Sample>>());
    let now = |sample: &Sample| {
        if sample.class == 0 { vec![certainty, 1.0 - certainty] } else { vec![1.0 - certainty, certainty] }
    };
    let mut heard = Heard { now: holdout.iter().map(now).collect(), ahead: Vec::new() };
    let room = Classroom { width: WIDTH, train, validation };
    let (grid, recipe) = (grid(cut.known.len(), &[]), Recipe::default());
    let lesson = Lesson { grid: &grid, cut, room: &room, recipe: &recipe };
    let portraits: Vec<Portrait> = holdout.into_iter().map(|sample| sample.portrait).collect();
    let (outlook, verdict) = lesson.learn(&portraits, &mut heard, &mut go_on).unwrap();
    (outlook, verdict, heard)
}

/// A classifier of which only what it tells ahead counts.
fn model(grid: &Grid, ahead: Option<Outlook>) -> HealthModel {
    let shape = Shape { signals: 1, statistics: 3, width: WIDTH, classes: 2 };
    let classifier = Classifier { shape, loss: ClassLoss::CrossEntropy, temperature: 1.0, weights: Vec::new() };
    let eye = Eye::of(&asset_type(1.0, &["level"]), grid, &vec![None; grid.len()]);
    HealthModel { eye, classes: vec!["well".into(), "ill".into()], classifier, ahead }
}

#[test]
fn a_slow_ramp_is_foreseen_better_than_by_holding_its_class() {
    let cut = cut(STEPS, &worn);
    let mut draw = ChaCha8Rng::seed_from_u64(1);
    let mut look = |step: usize| {
        let mut noise = || 0.05 * (draw.random::<f32>() - 0.5);
        let turn = std::f64::consts::TAU * wear(step);
        [3.4 * (wear(step) - 0.5), 1.4 * turn.sin(), 1.4 * turn.cos()].map(|seen| seen as f32 + noise())
    };
    let (outlook, verdict, heard) = learned(&cut, &mut look, 0.95);
    let outlook = outlook.unwrap();
    // A classifier that tells nothing ahead is beaten by it, and it is not beaten by itself.
    let (grid, recipe, room) = (grid(STEPS, &[]), Recipe::default(), Classroom::default());
    let lesson = Lesson { grid: &grid, cut: &cut, room: &room, recipe: &recipe };
    let (new, old) = (model(&grid, Some(outlook.clone())), model(&grid, None));
    let silent = Heard { now: heard.now.clone(), ahead: Vec::new() };
    let gain = lesson.gain((&new, &heard), (&old, &silent)).unwrap();
    assert!(gain.starts_with("classes ahead: logarithmic loss 0."), "{gain}");
    assert_eq!(lesson.gain((&new, &heard), (&new, &heard)), None);
    assert_eq!(lesson.gain((&old, &silent), (&new, &heard)), None);
    assert_eq!(verdict.leads.iter().map(|lead| lead.step).collect::<Vec<_>>(), LEADS);
    for lead in &verdict.leads {
        assert_eq!(lead.by, Some(AheadBy::Learned), "{verdict:?}");
        let (learned, held) = (lead.learned.unwrap(), lead.held.unwrap());
        assert!(learned.log_loss < 0.8 * held.log_loss && learned.accuracy > held.accuracy, "{lead:?}");
        assert!(lead.changes > 10 && lead.cases > 60, "{lead:?}");
    }
    assert!(verdict.reason.starts_with("in 16 steps learned: logarithmic loss learned 0."), "{}", verdict.reason);
    // What is said of a sound bearing that is nearly worn: it is ill soon, and not only beyond.
    let near = (0..cut.parts[2].len()).find(|case| (0.6..0.68).contains(&wear(cut.parts[2][*case].0))).unwrap();
    let (by, ill) = outlook.time_to(1, &heard.now[near], &heard.ahead[near]).unwrap();
    assert!(by == AheadBy::Learned && ill[0] > 0.6 && (ill.iter().sum::<f64>() - 1.0).abs() < 1e-6, "{ill:?}");
    let fresh = (0..cut.parts[2].len()).find(|case| wear(cut.parts[2][*case].0) < 0.1).unwrap();
    let (_, ill) = outlook.time_to(1, &heard.now[fresh], &heard.ahead[fresh]).unwrap();
    assert!(ill[3] > 0.6, "{ill:?}");
}

#[test]
fn where_nothing_tells_of_a_change_the_class_is_held() {
    // Each class lasts for as long as its part does, and the portraits are noise.
    let cut = cut(4_000, &|step| (step / 400) % 2);
    let mut draw = ChaCha8Rng::seed_from_u64(2);
    let mut look = |_: usize| -> [f32; 3] { std::array::from_fn(|_| 2.0 * draw.random::<f32>() - 1.0) };
    let (outlook, verdict, _) = learned(&cut, &mut look, 0.99);
    assert!(verdict.leads.iter().all(|lead| lead.learned.is_some()), "{verdict:?}");
    for lead in &verdict.leads {
        assert_ne!(lead.by, Some(AheadBy::Learned), "{verdict:?}");
    }
    // Over the shortest lead hardly anything changes.
    assert!(matches!(verdict.leads[0].by, Some(AheadBy::Held | AheadBy::Rates)), "{verdict:?}");
    assert!(outlook.is_some());
}

#[test]
fn a_class_that_never_changes_is_held() {
    let mut cut = Cut { known: vec![None; 900], ..cut(0, &|_| 0) };
    // One class in each half of every part, with a silence of the labels between them.
    for (part, from) in [(0, 0), (1, 300), (2, 600)] {
        for class in 0..2 {
            let begin = from + class * 150;
            cut.known[begin..begin + 140].fill(Some((part, class)));
            cut.parts[part].extend((begin..begin + 140).step_by(2).map(|step| (step, class)));
        }
    }
    let mut draw = ChaCha8Rng::seed_from_u64(3);
    let mut look = |_: usize| -> [f32; 3] { std::array::from_fn(|_| 2.0 * draw.random::<f32>() - 1.0) };
    let (outlook, verdict, heard) = learned(&cut, &mut look, 0.999);
    for lead in &verdict.leads {
        assert_eq!((lead.by, lead.changes), (Some(AheadBy::Held), 0), "{verdict:?}");
    }
    let (by, row) = outlook.unwrap().class_at(2, &heard.now[0], &heard.ahead[0]).unwrap();
    assert_eq!((by, row), (AheadBy::Held, vec![0.999, 1.0 - 0.999]));
}

#[test]
fn too_few_steps_that_follow_one_another_are_told_and_nothing_is_said() {
    // A label every other step.
    let whole = cut(1_200, &worn);
    let known = whole.known.iter().enumerate().map(|(step, known)| known.filter(|_| step % 2 == 0)).collect();
    let sparse = Cut { known, ..whole };
    let (outlook, verdict, heard) = learned(&sparse, &mut |_| [0.0; 3], 0.9);
    assert!(outlook.is_none() && heard.ahead.is_empty());
    assert!(verdict.leads.iter().all(|lead| lead.by.is_none() && lead.cases == 0 && lead.held.is_none()));
    assert!(verdict.reason.starts_with("too few labelled steps go on for 16 steps"), "{}", verdict.reason);
    assert_eq!(verdict.times.len(), 2);
}
