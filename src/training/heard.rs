//! What a head says of windows whose future has come: what its bands are made honest on, and what it is judged by.

use super::dataset::Dataset;
use super::learner::LearnError;
use crate::asset::Asset;
use crate::features::TargetExamples;
use crate::forecast::calibration::{Answered, Calibration};
use crate::model::trainee::{self, Example, Learned, Said};
use crate::model::window::Window;
use crate::model::{Base, Quantiles};

/// Windows answered at a time.
const CHUNK: usize = 64;

/// What a head says of the windows that its bands are made from, target by target.
pub(super) struct Rehearsal(Vec<Rehearsed>);

/// Of one target.
struct Rehearsed {
    target: usize,
    /// Of windows that its gradients never saw.
    unseen: Heard,
    /// Of those that they did, and of those that stopped them.
    past: Heard,
}

/// Answers of one head, in normalised units, with what happened.
#[derive(Default)]
struct Heard {
    answers: Vec<Quantiles>,
    truths: Vec<Vec<f64>>,
    origins: Vec<usize>,
}

impl Rehearsal {
    /// What a head that has learned says of the windows of a dataset. Of those of its lesson it has mostly said so itself.
    pub(super) fn of(base: &Base, dataset: &Dataset, learned: &Learned) -> Result<Self, LearnError> {
        let Dataset { fresh, replay, stopping, calibrating } = dataset;
        let says = |parts: &[TargetExamples]| answers_each(base, Some(&learned.weights), parts);
        let told = |parts: &[TargetExamples], said: fn(&Said) -> &Vec<Quantiles>| match &learned.said {
            Some(all) => Ok(by_target(parts, said(all))),
            None => says(parts),
        };
        let [replayed, freshly, stopped] = [
            told(replay, |said| &said.replay)?,
            told(fresh, |said| &said.train)?,
            told(stopping, |said| &said.validation)?,
        ];
        let unseen = calibrating.iter().zip(says(calibrating)?).map(|(part, said)| Heard::default().and(part, said));
        let past = replay.iter().zip(replayed).map(|(part, said)| Heard::default().and(part, said));
        let past = past.zip(fresh.iter().zip(freshly)).map(|(heard, (part, said))| heard.and(part, said));
        let past = past.zip(stopping.iter().zip(stopped)).map(|(heard, (part, said))| heard.and(part, said));
        let targets = calibrating.iter().map(|part| part.target);
        let all = targets.zip(unseen.zip(past)).map(|(target, (unseen, past))| Rehearsed { target, unseen, past });
        Ok(Self(all.collect()))
    }

    /// With later windows that its gradients never saw either, a part for each target.
    pub(super) fn and_judged(mut self, parts: &[TargetExamples], said: Vec<Vec<Quantiles>>) -> Self {
        for ((rehearsed, part), said) in self.0.iter_mut().zip(parts).zip(said) {
            rehearsed.unseen = std::mem::take(&mut rehearsed.unseen).and(part, said);
        }
        self
    }

    /// Bands, found on windows that its gradients never saw, and on those that they did.
    pub(super) fn calibration(&self, asset: &Asset) -> Calibration {
        let mut calibration = Calibration::default();
        for Rehearsed { target, unseen, past } in &self.0 {
            let name = &asset.asset_type.document.signals[*target].name;
            calibration.fit(name, unseen.answered(), Some(past.answered()));
        }
        calibration
    }
}

impl Heard {
    /// With what is said of a later part.
    fn and(mut self, part: &TargetExamples, said: Vec<Quantiles>) -> Self {
        let truth = |example: &Example| example.truth.iter().map(|value| f64::from(*value)).collect();
        self.answers.extend(said);
        self.truths.extend(part.examples.iter().map(truth));
        self.origins.extend(&part.origins);
        self
    }

    fn answered(&self) -> Answered<'_> {
        Answered { answers: &self.answers, truths: &self.truths, origins: &self.origins }
    }
}

/// What was said of the windows of all targets one after another, target by target.
fn by_target(parts: &[TargetExamples], said: &[Quantiles]) -> Vec<Vec<Quantiles>> {
    let mut rest = said;
    let mut next = |part: &TargetExamples| {
        let (own, others) = rest.split_at(part.examples.len());
        rest = others;
        own.to_vec()
    };
    parts.iter().map(&mut next).collect()
}

/// Quantiles of examples in normalised units.
pub(super) fn answers(base: &Base, weights: Option<&[u8]>, examples: &[Example]) -> Result<Vec<Quantiles>, LearnError> {
    let mut all = Vec::with_capacity(examples.len());
    for chunk in examples.chunks(CHUNK) {
        let windows: Vec<&Window> = chunk.iter().map(|example| &example.window).collect();
        all.extend(trainee::answer(base, weights, &windows).map_err(|error| LearnError::NonFinite(error.to_string()))?);
    }
    Ok(all)
}

/// The same of each target's.
pub(super) fn answers_each(
    base: &Base,
    weights: Option<&[u8]>,
    parts: &[TargetExamples],
) -> Result<Vec<Vec<Quantiles>>, LearnError> {
    parts.iter().map(|part| answers(base, weights, &part.examples)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::LEVELS;
    use crate::model::pretrain::synthetic;

    #[test]
    fn what_is_said_of_all_targets_in_one_goes_back_to_each() {
        let windows = synthetic(5, 5, 16);
        let part = |target: usize, windows: &[Example]| TargetExamples {
            target,
            examples: windows.to_vec(),
            scales: Vec::new(),
            origins: Vec::new(),
        };
        let parts = [part(3, &windows[..2]), part(7, &[]), part(4, &windows[2..])];
        let said: Vec<Quantiles> = (0..5).map(|window| vec![[f64::from(window); LEVELS.len()]; 16]).collect();
        let of_each = by_target(&parts, &said);
        let first = |said: &[Quantiles]| said.iter().map(|answer| answer[0][0]).collect::<Vec<f64>>();
        assert_eq!(
            of_each.iter().map(|said| first(said)).collect::<Vec<_>>(),
            [vec![0.0, 1.0], vec![], vec![2.0, 3.0, 4.0]]
        );
    }
}
