//! Health classes: what labels teach, and whether it may serve.
//!
//! A fine-tune job of an asset with labels also teaches a classifier on the same frozen backbone. Each class is cut in time, its newest labelled steps judge. Readings are taken as they came,
//! not cleaned: a sensor that is stuck may be what a class is about.

use std::ops::ControlFlow;

use serde::{Deserialize, Serialize};

use super::learner::LearnError;
use crate::asset::AssetType;
use crate::event::Label;
use crate::features::{Eye, Grid, HealthModel, LOOK, Sketch};
use crate::model::health::{Classroom, Portrait, Sample, learn};
use crate::model::trainee::TraineeError;
use crate::model::{Base, Recipe};
use crate::score::class::log_losses;
use crate::score::{ClassCard, Paired, paired_block_bootstrap};

/// Portraits of a class at most: that teach, validate and judge.
const MOST: [usize; 3] = [240, 80, 80];
/// Fewer of a class in any part say too little.
const LEAST: [usize; 3] = [24, 8, 8];
/// Share of a class's labelled steps before which portraits teach, and before which they validate.
const CUTS: (f64, f64) = (0.6, 0.8);
/// Portraits drawn between two signs of life.
const CHUNK: usize = 32;
/// What a new classifier must save of the old one's logarithmic loss, and in how many resamples.
const BETTER: (f64, f64) = (0.01, 0.95);
/// Judging portraits that hang together.
const BLOCK: usize = 8;
const RESAMPLES: usize = 1_000;

/// How well health classes are told apart, and what was decided.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct HealthVerdict {
    /// Whether the new classifier is better than the one that served, or the first that is of use.
    pub improved: bool,
    /// Why, in words with numbers.
    pub reason: String,
    /// The new classifier on labelled steps that it never saw, the newest of each class; null where there
    /// was too little to learn from.
    pub candidate: Option<ClassCard>,
    /// The one that served, on the same steps.
    pub champion: Option<ClassCard>,
    /// The commonest class whatever is seen, on the same steps.
    pub naive: Option<ClassCard>,
    /// Classes with too few labelled steps.
    pub left_out: Vec<String>,
}

/// What a classifier is made from and compared with: readings as they came.
#[derive(Clone, Copy)]
pub(super) struct Source<'a> {
    pub(super) base: &'a Base,
    pub(super) asset_type: &'a AssetType,
    /// Of the readings as they came.
    pub(super) grid: &'a Grid,
    pub(super) labels: &'a [Label],
    pub(super) recipe: &'a Recipe,
    pub(super) champion: Option<&'a HealthModel>,
}

/// Labelled steps of the classes that have enough of them.
struct Cut {
    classes: Vec<String>,
    left_out: Vec<String>,
    /// For teaching, validating and judging: steps with their class.
    parts: [Vec<(usize, usize)>; 3],
}

impl Cut {
    /// The class of each step that teaches, by its place in the type.
    fn taught(&self, asset_type: &AssetType, steps: usize) -> Vec<Option<usize>> {
        let place = |class: usize| asset_type.document.health_classes.iter().position(|c| *c == self.classes[class]);
        let mut classes = vec![None; steps];
        for (step, class) in &self.parts[0] {
            classes[*step] = place(*class);
        }
        classes
    }
}

impl Source<'_> {
    /// Learns and judges a classifier; `None` without labels. Besides the verdict, the classifier that is to
    /// travel with the next version: the better one.
    pub(super) fn learn(
        self,
        alive: &mut dyn FnMut() -> Result<(), LearnError>,
    ) -> Result<Option<(HealthVerdict, Option<HealthModel>)>, LearnError> {
        if self.labels.is_empty() {
            return Ok(None);
        }
        let labelled = self.grid.labelled(self.labels);
        // Which steps can be seen does not depend on scales.
        let cut = self.cut(&Eye::of(self.asset_type, self.grid, &vec![None; self.grid.len()]), &labelled);
        if cut.classes.len() < 2 {
            let reason = format!(
                "labels of {} classes have enough steps and 2 are needed: a class needs about {} labelled steps{}",
                cut.classes.len(),
                5 * LEAST[1].max(LEAST[2]) + 2 * LOOK + 2 * LEAST[0],
                if cut.left_out.is_empty() { String::new() } else { format!("; too few: {}", cut.left_out.join(", ")) }
            );
            let verdict = HealthVerdict {
                improved: false,
                reason,
                candidate: None,
                champion: None,
                naive: None,
                left_out: cut.left_out,
            };
            return Ok(Some((verdict, self.champion.cloned())));
        }
        // Scales are of what teaches: what judges must not move how it is seen.
        let taught = cut.taught(self.asset_type, self.grid.len());
        let eye = Eye::of(self.asset_type, self.grid, &taught);
        let [train, validation, holdout] = &cut.parts;
        let width = self.base.card.size.width as usize;
        let room = Classroom {
            width,
            train: self.samples(&eye, train, alive)?,
            validation: self.samples(&eye, validation, alive)?,
        };
        let mut go_on = || if alive().is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) };
        let taught = learn(cut.classes.len(), &room, self.recipe, &mut go_on).map_err(|error| match error {
            TraineeError::Cancelled => LearnError::Cancelled,
            error => LearnError::NonFinite(error.to_string()),
        })?;
        let model = HealthModel { eye, classes: cut.classes.clone(), classifier: taught.classifier };
        let truths: Vec<usize> = holdout.iter().map(|(_, class)| *class).collect();
        let said = self.said(&model, holdout, &cut.classes, alive)?;
        let before = match self.champion {
            Some(champion) => Some(self.said(champion, holdout, &cut.classes, alive)?),
            None => None,
        };
        let verdict = judge(&cut, &truths, &said, before.as_deref(), self.recipe.seed);
        let keeps = if verdict.improved { Some(model) } else { self.champion.cloned() };
        Ok(Some((verdict, keeps)))
    }

    fn cut(&self, eye: &Eye, labelled: &[Option<&str>]) -> Cut {
        let gaze = eye.upon(self.asset_type, self.grid);
        let mut cut = Cut { classes: Vec::new(), left_out: Vec::new(), parts: Default::default() };
        for class in &self.asset_type.document.health_classes {
            let steps: Vec<usize> = (0..labelled.len())
                .filter(|step| labelled[*step] == Some(class.as_str()))
                .filter(|step| gaze.as_ref().is_some_and(|gaze| gaze.sees(*step)))
                .collect();
            let parts = in_time(&steps);
            if parts.iter().zip(LEAST).all(|(part, least)| part.len() >= least) {
                let number = cut.classes.len();
                cut.classes.push(class.clone());
                for (all, part) in cut.parts.iter_mut().zip(parts) {
                    all.extend(part.into_iter().map(|step| (step, number)));
                }
            } else if !steps.is_empty() {
                cut.left_out.push(class.clone());
            }
        }
        cut
    }

    fn portraits(
        &self,
        eye: &Eye,
        steps: &[(usize, usize)],
        alive: &mut dyn FnMut() -> Result<(), LearnError>,
    ) -> Result<Vec<Portrait>, LearnError> {
        let blind = || LearnError::Other("a labelled step cannot be looked at".to_owned());
        let gaze = eye.upon(self.asset_type, self.grid).ok_or_else(blind)?;
        let mut portraits = Vec::with_capacity(steps.len());
        for chunk in steps.chunks(CHUNK) {
            alive()?;
            let sketches: Vec<Sketch> = chunk.iter().filter_map(|(step, _)| gaze.sketch(*step)).collect();
            if sketches.len() < chunk.len() {
                return Err(blind());
            }
            let drawn = Eye::portraits(self.base, &sketches);
            portraits.extend(drawn.map_err(|error| LearnError::NonFinite(error.to_string()))?);
        }
        Ok(portraits)
    }

    fn samples(
        &self,
        eye: &Eye,
        steps: &[(usize, usize)],
        alive: &mut dyn FnMut() -> Result<(), LearnError>,
    ) -> Result<Vec<Sample>, LearnError> {
        let portraits = self.portraits(eye, steps, alive)?.into_iter().zip(steps);
        Ok(portraits.map(|(portrait, (_, class))| Sample { portrait, class: *class }).collect())
    }

    /// Probabilities of `classes` as a classifier gives them; one that it does not know has none.
    fn said(
        &self,
        model: &HealthModel,
        steps: &[(usize, usize)],
        classes: &[String],
        alive: &mut dyn FnMut() -> Result<(), LearnError>,
    ) -> Result<Vec<Vec<f64>>, LearnError> {
        // What an older classifier looks at may be gone: then it says nothing of use.
        let gaze = model.eye.upon(self.asset_type, self.grid);
        if !gaze.is_some_and(|gaze| steps.iter().all(|(step, _)| gaze.sees(*step))) {
            return Ok(vec![vec![0.0; classes.len()]; steps.len()]);
        }
        let mut said = Vec::with_capacity(steps.len());
        for chunk in steps.chunks(CHUNK) {
            alive()?;
            let steps: Vec<usize> = chunk.iter().map(|(step, _)| *step).collect();
            let rows = model.said(self.base, self.asset_type, self.grid, &steps, classes);
            said.extend(rows.map_err(|error| LearnError::NonFinite(error.to_string()))?);
        }
        Ok(said)
    }
}

/// The steps of one class for teaching, validating and judging, in time, thinned evenly; what lies within
/// a look behind a cut belongs to neither side.
fn in_time(steps: &[usize]) -> [Vec<usize>; 3] {
    let cut = |share: f64| (share * steps.len() as f64) as usize;
    let (first, second) = (cut(CUTS.0), cut(CUTS.1));
    let ranges = [0..first, first..second, second..steps.len()];
    let mut parts = [Vec::new(), Vec::new(), Vec::new()];
    for ((part, range), most) in parts.iter_mut().zip(ranges).zip(MOST) {
        let clear = if range.start == 0 { 0 } else { steps[range.start - 1] + LOOK };
        let own: Vec<usize> = steps[range].iter().copied().filter(|step| *step >= clear).collect();
        let stride = own.len().div_ceil(most).max(1);
        part.extend(own.into_iter().step_by(stride));
    }
    parts
}

fn judge(cut: &Cut, truths: &[usize], said: &[Vec<f64>], before: Option<&[Vec<f64>]>, seed: u64) -> HealthVerdict {
    let classes = &cut.classes;
    let card = |said: &[Vec<f64>]| ClassCard::of(classes, truths, said);
    let counts = |class: usize| cut.parts[0].iter().filter(|(_, of)| *of == class).count() as f64;
    let all = cut.parts[0].len() as f64;
    let rates: Vec<f64> = (0..classes.len()).map(|class| counts(class) / all).collect();
    let naive = card(&vec![rates; truths.len()]);
    let candidate = card(said);
    let champion = before.map(card);
    let praise = format!(
        "accuracy {:.1} %, macro F1 {:.3} on {} labelled steps that it never saw (the commonest class alone: {:.1} %, {:.3})",
        100.0 * candidate.accuracy,
        candidate.macro_f1,
        candidate.cases,
        100.0 * naive.accuracy,
        naive.macro_f1
    );
    let of_use = candidate.macro_f1 > naive.macro_f1 && candidate.log_loss < naive.log_loss;
    let (improved, reason) = match (&champion, before) {
        _ if !of_use => (false, format!("not better than the commonest class alone: {praise}")),
        (Some(old), Some(before)) => {
            let (new, losses) = (log_losses(truths, said), log_losses(truths, before));
            let paired = paired_block_bootstrap(&new, &losses, BLOCK, RESAMPLES, seed);
            let enough = |paired: &Paired| paired.improvement >= BETTER.0 && paired.probability >= BETTER.1;
            let against = format!(
                "logarithmic loss {:.3} against {:.3} of the one that serves",
                candidate.log_loss, old.log_loss
            );
            if paired.as_ref().is_some_and(enough) {
                (true, format!("{praise}; {against}"))
            } else {
                (false, format!("not better than the one that serves by more than luck: {against}; {praise}"))
            }
        }
        _ => (true, praise),
    };
    HealthVerdict {
        improved,
        reason,
        candidate: Some(candidate),
        champion,
        naive: Some(naive),
        left_out: cut.left_out.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_a_class_never_see_each_others_steps() {
        let steps: Vec<usize> = (100..600).chain(900..1_400).collect();
        let parts = in_time(&steps);
        assert_eq!(parts[0].first(), Some(&100));
        for pair in parts.windows(2) {
            assert!(pair[0].last().unwrap() + LOOK <= *pair[1].first().unwrap() + 1, "{pair:?}");
        }
        assert!(parts.iter().zip(MOST).all(|(part, most)| part.len() <= most && !part.is_empty()));
        assert!(in_time(&[]).iter().all(Vec::is_empty));
        assert!(in_time(&(0..60).collect::<Vec<_>>())[1].is_empty(), "nothing is left between the cuts");
    }

    fn cut() -> Cut {
        let part = |count: usize| (0..count).map(|k| (k, k % 2)).collect::<Vec<_>>();
        Cut {
            classes: vec!["well".into(), "ill".into()],
            left_out: vec!["dead".into()],
            parts: [part(100), part(40), part(40)],
        }
    }

    #[test]
    fn only_a_classifier_that_is_better_than_luck_replaces_another() {
        let cut = cut();
        let truths: Vec<usize> = cut.parts[2].iter().map(|(_, class)| *class).collect();
        let sure = |certainty: f64| -> Vec<Vec<f64>> {
            let row = |truth: &usize| {
                if *truth == 0 { vec![certainty, 1.0 - certainty] } else { vec![1.0 - certainty, certainty] }
            };
            truths.iter().map(row).collect()
        };
        let first = judge(&cut, &truths, &sure(0.9), None, 1);
        assert!(first.improved && first.reason.contains("accuracy 100.0 %"), "{}", first.reason);
        assert_eq!(first.left_out, ["dead"]);
        assert!(judge(&cut, &truths, &sure(0.9), Some(&sure(0.7)), 1).improved);
        let same = judge(&cut, &truths, &sure(0.9), Some(&sure(0.9)), 1);
        assert!(!same.improved && same.reason.contains("by more than luck"), "{}", same.reason);
        let useless = judge(&cut, &truths, &sure(0.4), None, 1);
        assert!(!useless.improved && useless.reason.contains("commonest class"), "{}", useless.reason);
    }
}
