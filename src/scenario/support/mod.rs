//! How far a future lies inside the data that the serving model was trained on.
//!
//! A score per step: the product of three, each 1 inside and falling without end outside: the joint
//! distance of inputs, their recent past and outputs to what was seen together; the range of every
//! signal; and how fast inputs change. What was seen is the version's own summary
//! ([`Seen`]); for the base model, and for versions born without one, it is the asset's recent past.
//! A score says where the answer is, not how good it is: that it ranks errors is measured
//! (`evaluate/truth`), never assumed.

pub mod policy;

use serde::{Deserialize, Serialize};

use crate::features::{Place, Seen, SeenTrail};
use crate::forecast::{ForecastError, Future, Situation, tidy};
use crate::model::{MEDIAN, Quantiles};

/// Usual distances to what was seen at which half of the score is left.
const HALF: f64 = 2.0;
/// Share of the range seen, beyond it, at which half of the score is left.
const BEYOND: f64 = 0.25;
/// The same of changes from step to step.
const TOO_FAST: f64 = 0.5;
/// Excursions that are told of one future at most.
const TOLD: usize = 64;

/// How far a future is supported by what the serving model has seen.
#[derive(Clone, Debug, PartialEq, Serialize, utoipa::ToSchema)]
pub struct Support {
    /// A score for each step: 1 where the model has seen just this, toward 0 where it knows nothing.
    pub score: Vec<f64>,
    /// Where signals leave what was seen: an entry per excursion.
    pub outside: Vec<Outside>,
}

/// A signal that leaves what was seen.
#[derive(Clone, Debug, PartialEq, Serialize, utoipa::ToSchema)]
pub struct Outside {
    /// Its name.
    pub signal: String,
    /// In what way.
    pub kind: Leaves,
    /// First step of the excursion, from 0.
    pub step: usize,
    /// The step after its last one.
    pub until: usize,
    /// Least and greatest that was seen: values, changes per step, or values at the nearest states.
    pub seen: [f64; 2],
    /// The value, or change, at `step`.
    pub value: f64,
}

/// Ways to leave what was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Leaves {
    /// A value beyond all values.
    Range,
    /// A change from one step to the next beyond all changes.
    Rate,
    /// A value that was seen, but not together with the other signals as they are.
    Joint,
}

/// What was seen, and how an asset comes to the present: from here any future can be judged.
#[derive(Clone, Debug)]
pub struct Judge {
    seen: std::sync::Arc<Seen>,
    trail: SeenTrail,
    /// Newest value of each input.
    last: Vec<f64>,
}

impl Judge {
    /// Of an asset as it stands; `None` while there is too little history to compare with.
    #[must_use]
    pub fn new(situation: &Situation) -> Option<Self> {
        let past: Vec<&[f64]> =
            situation.layout.inputs.iter().map(|input| situation.grid.values[*input].as_slice()).collect();
        Some(Self::of(situation.seen()?, &past))
    }

    /// Of a summary and the inputs' past, a row each up to the present.
    #[must_use]
    pub fn of(seen: std::sync::Arc<Seen>, past: &[&[f64]]) -> Self {
        let last = past.iter().map(|row| row.last().copied().unwrap_or_default()).collect();
        Self { trail: seen.trail(past), last, seen }
    }

    /// What was seen.
    #[must_use]
    pub fn seen(&self) -> &Seen {
        &self.seen
    }

    /// Newest value of an input, by its place in the layout.
    #[must_use]
    pub fn last(&self, input: usize) -> f64 {
        self.last[input]
    }

    /// Judges `steps` of a future by its inputs and the medians of its answers.
    #[must_use]
    pub fn judge(&self, future: &Future, answers: &[Quantiles], steps: usize) -> Support {
        let inputs: Vec<&[f64]> = future.rows.iter().map(|row| &row[..steps]).collect();
        let medians: Vec<Vec<f64>> =
            answers.iter().map(|answer| answer[..steps].iter().map(|row| row[MEDIAN]).collect()).collect();
        let outputs: Vec<&[f64]> = medians.iter().map(Vec::as_slice).collect();
        self.judge_rows(&inputs, &outputs)
    }

    /// Judges a future by rows of inputs and outputs, in the signals' units.
    #[must_use]
    pub fn judge_rows(&self, inputs: &[&[f64]], outputs: &[&[f64]]) -> Support {
        let places = self.seen.places(&self.trail, inputs, outputs);
        let score = (0..places.len()).map(|step| tidy(self.score(&places[step], step, inputs, outputs))).collect();
        Support { score, outside: self.outside(&places, inputs, outputs) }
    }

    /// How far a future lies outside what was seen: the mean, over the last one of every so many steps,
    /// of what its joint distance and the ranges of its signals exceed; 0 inside.
    #[must_use]
    pub fn excess(&self, inputs: &[&[f64]], outputs: &[&[f64]], every: usize) -> f64 {
        let places = self.seen.places_every(&self.trail, inputs, outputs, every);
        let beyond = |step: usize| {
            let rows = inputs.iter().chain(outputs).enumerate();
            rows.map(|(at, row)| self.seen.signal(at).beyond(row[step])).fold(0.0, f64::max)
        };
        let steps = places.iter().enumerate();
        let sum: f64 = steps.map(|(at, place)| (place.depth - 1.0).max(0.0) + beyond(at * every + every - 1)).sum();
        sum / places.len().max(1) as f64
    }

    fn score(&self, place: &Place, step: usize, inputs: &[&[f64]], outputs: &[&[f64]]) -> f64 {
        let worst = |shares: &mut dyn Iterator<Item = f64>| shares.fold(0.0, f64::max);
        let rows = inputs.iter().chain(outputs).enumerate();
        let beyond = worst(&mut rows.map(|(place, row)| self.seen.signal(place).beyond(row[step])));
        let moved = inputs.iter().enumerate();
        let fast = worst(&mut moved.map(|(at, row)| self.seen.signal(at).too_fast(self.change(at, row, step))));
        let falling = |share: f64| 1.0 / (1.0 + share * share);
        falling(place.distance / HALF) * falling(beyond / BEYOND) * falling(fast / TOO_FAST)
    }

    /// Change of an input at a step from the one before.
    fn change(&self, input: usize, row: &[f64], step: usize) -> f64 {
        row[step] - if step == 0 { self.last[input] } else { row[step - 1] }
    }

    fn outside(&self, places: &[Place], inputs: &[&[f64]], outputs: &[&[f64]]) -> Vec<Outside> {
        let mut found: Vec<Outside> = Vec::new();
        let mut tell = |place: usize, kind: Leaves, step: usize, seen: [f64; 2], value: f64| {
            let name = &self.seen.signal(place).name;
            let going_on =
                found.iter_mut().find(|known| known.until == step && known.kind == kind && known.signal == *name);
            match going_on {
                Some(known) => known.until = step + 1,
                None => found.push(Outside {
                    signal: name.clone(),
                    kind,
                    step,
                    until: step + 1,
                    seen: seen.map(tidy),
                    value: tidy(value),
                }),
            }
        };
        let rows: Vec<&[f64]> = inputs.iter().chain(outputs).copied().collect();
        for (step, place) in places.iter().enumerate() {
            let mut out_of_range = false;
            for (at, row) in rows.iter().enumerate() {
                let seen = self.seen.signal(at);
                if is_beyond(row[step], seen.range) {
                    out_of_range = true;
                    tell(at, Leaves::Range, step, seen.range, row[step]);
                }
                let change = if at < inputs.len() { self.change(at, row, step) } else { 0.0 };
                if is_beyond(change, seen.change) {
                    tell(at, Leaves::Rate, step, seen.change, change);
                }
            }
            if place.depth > 1.0 && !out_of_range {
                tell(place.signal, Leaves::Joint, step, place.nearby, rows[place.signal][step]);
            }
        }
        found.truncate(TOLD);
        found
    }
}

/// What was seen of an asset, found off the runtime's threads; `None` while there is too little
/// history to compare with.
pub async fn judge_of(situation: Situation) -> Result<(Situation, Option<Judge>), ForecastError> {
    let found = tokio::task::spawn_blocking(move || {
        let judge = Judge::new(&situation);
        (situation, judge)
    });
    found.await.map_err(|_| ForecastError::Ending)
}

/// Whether a value lies beyond what was seen by more than rounding.
fn is_beyond(value: f64, [low, high]: [f64; 2]) -> bool {
    let slack = 1e-9 * low.abs().max(high.abs()).max(1e-9);
    value < low - slack || value > high + slack
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;
    use crate::asset::testing::asset_type;
    use crate::features::{Grid, Layout};
    use crate::reading::Frame;

    /// A level that follows a pump with a lag of twenty steps; the pump moves between 20 and 60.
    fn pumped() -> (Arc<Seen>, Vec<f64>, Vec<f64>) {
        let mut level = 2.0;
        let pump = |step: usize| 40.0 + 20.0 * ((step / 37) as f64 * 2.3).sin();
        let frames: Vec<Frame> = (0..2_000)
            .map(|step| {
                level += (pump(step) / 20.0 - level) / 20.0;
                let observed_at = chrono::DateTime::from_timestamp(1_000_000 + step as i64, 0).unwrap();
                Frame { observed_at, values: vec![pump(step), level], quality: None }
            })
            .collect();
        let asset_type = asset_type(1.0, &["pump", "level"]);
        let grid = Grid::new(&asset_type, &frames).unwrap();
        let layout = Layout { targets: vec![1], inputs: vec![0] };
        let seen = Seen::of(&asset_type, &grid, &layout).unwrap();
        (Arc::new(seen), grid.values[0].clone(), grid.values[1].clone())
    }

    fn mean(support: &Support) -> f64 {
        support.score.iter().sum::<f64>() / support.score.len() as f64
    }

    #[test]
    fn what_happened_before_is_supported_and_nothing_of_it_lies_outside() {
        let (seen, pump, level) = pumped();
        let judge = Judge::of(seen, &[&pump[..1_000]]);
        let support = judge.judge_rows(&[&pump[1_000..1_064]], &[&level[1_000..1_064]]);
        assert!(mean(&support) > 0.7, "{support:?}");
        assert_eq!(support.outside, []);
    }

    #[test]
    fn the_farther_out_the_less_support_and_the_signal_is_named_with_what_was_seen() {
        let (seen, pump, level) = pumped();
        let judge = Judge::of(seen.clone(), &[&pump[..]]);
        let outputs = vec![*level.last().unwrap(); 48];
        let scores: Vec<f64> =
            [50.0, 70.0, 90.0, 150.0].map(|value| mean(&judge.judge_rows(&[&[value; 48]], &[&outputs]))).to_vec();
        assert!(scores.windows(2).all(|pair| pair[0] > pair[1]), "{scores:?}");
        let support = judge.judge_rows(&[&[90.0; 48]], &[&outputs]);
        let first = &support.outside[0];
        assert_eq!((first.signal.as_str(), first.kind, first.step, first.until), ("pump", Leaves::Range, 0, 48));
        assert_eq!(first.seen.map(f64::round), seen.inputs()[0].range.map(f64::round));
        assert!((first.value - 90.0).abs() < 1e-9);
    }

    #[test]
    fn values_that_were_never_seen_together_are_joint_excursions() {
        let (seen, pump, level) = pumped();
        let judge = Judge::of(seen, &[&pump[..]]);
        // A pump at its least for long, and a level at its greatest.
        let most = level.iter().copied().fold(f64::MIN, f64::max);
        let support = judge.judge_rows(&[&[21.0; 64]], &[&[most; 64]]);
        let last = support.outside.last().unwrap();
        assert_eq!((last.kind, last.until), (Leaves::Joint, 64), "{:?}", support.outside);
        assert!(support.score[63] < 0.4, "{:?}", support.score);
    }

    #[test]
    fn a_change_faster_than_any_is_told_once() {
        let (seen, mut pump, level) = pumped();
        pump.push(25.0);
        let judge = Judge::of(seen, &[&pump[..]]);
        let outputs = vec![*level.last().unwrap(); 16];
        let fast: Vec<Outside> = judge
            .judge_rows(&[&[59.5; 16]], &[&outputs])
            .outside
            .into_iter()
            .filter(|outside| outside.kind == Leaves::Rate)
            .collect();
        let widest = judge.seen().inputs()[0].change[1];
        assert_eq!(fast.len(), usize::from(widest < 34.5 - 1e-6), "{fast:?} {widest}");
        assert!(fast.iter().all(|outside| (outside.step, outside.until) == (0, 1)));
    }

    #[test]
    fn a_summary_that_was_stored_is_read_again_and_damage_is_not() {
        let (seen, ..) = pumped();
        let head = crate::model::trainee::untaught(&crate::model::Base::shipped().unwrap()).weights;
        assert_eq!(Seen::attached_to(&head), None);
        let with = seen.attach_to(&head).unwrap();
        assert_eq!(Seen::attached_to(&with).as_ref(), Some(&*seen));
        assert!(with.len() - head.len() < 32_768, "{} bytes", with.len() - head.len());
    }

    proptest! {
        #[test]
        fn scores_lie_in_0_to_1_and_do_not_look_ahead(
            rows in prop::collection::vec(-1e6_f64..1e6, 24), changed in 0_usize..24, value in -1e3_f64..1e3,
        ) {
            let (seen, pump, level) = pumped();
            let judge = Judge::of(seen, &[&pump[..]]);
            let outputs = vec![*level.last().unwrap(); 24];
            let support = judge.judge_rows(&[&rows], &[&outputs]);
            prop_assert!(support.score.iter().all(|score| (0.0..=1.0).contains(score)));
            let mut other = rows.clone();
            other[changed] = value;
            let after = judge.judge_rows(&[&other], &[&outputs]);
            prop_assert_eq!(&support.score[..changed], &after.score[..changed]);
        }
    }
}
