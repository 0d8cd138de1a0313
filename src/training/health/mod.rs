//! Health classes: what labels teach, and whether it may serve.
//!
//! A fine-tune job of an asset with labels also teaches a classifier on the same frozen backbone, and from the
//! same portraits what will become of the class (`ahead`). Each class is cut in time, its newest labelled
//! steps judge. Readings are taken as they came, not cleaned: a sensor that is stuck may be what a class is
//! about.

mod ahead;
#[cfg(test)]
mod tests;

use std::ops::ControlFlow;

use serde::{Deserialize, Serialize};

pub use self::ahead::{AheadScore, AheadVerdict, LeadVerdict, TimeVerdict};
use self::ahead::{Heard, Lesson};
use super::learner::LearnError;
use crate::asset::AssetType;
use crate::event::Label;
use crate::features::{Eye, Grid, HealthModel, LOOK, Sketch};
use crate::model::health::{Classroom, Portrait, Sample, foresee, learn};
use crate::model::trainee::TraineeError;
use crate::model::{Base, EngineError, Recipe};
use crate::score::class::log_losses;
use crate::score::{ClassCard, Paired, RESAMPLES, paired_block_bootstrap};

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
    /// How well the new classifier tells what will become of the class, and who tells it; null where there was
    /// too little to learn from, and in verdicts written before this was learned.
    #[serde(default)]
    pub ahead: Option<AheadVerdict>,
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
    /// Of every step of the grid that is labelled with one of the classes and can be seen: the part that it
    /// belongs to, whether it was drawn for it or not, and its class.
    known: Vec<Option<(usize, usize)>>,
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
                ahead: None,
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
        let mut model = HealthModel { eye, classes: cut.classes.clone(), classifier: taught.classifier, ahead: None };
        let truths: Vec<usize> = holdout.iter().map(|(_, class)| *class).collect();
        let portraits = self.portraits(&model.eye, holdout, alive)?;
        let mut heard = Heard { now: named(&model, &portraits, &cut.classes)?, ahead: Vec::new() };
        let before = match self.champion {
            Some(champion) => Some(self.heard(champion, &cut, alive)?),
            None => None,
        };
        let served = before.as_ref().map(|before| &before.now[..]);
        let mut verdict = judge(&cut, &truths, &heard.now, served, self.recipe.seed);
        let lesson = Lesson { grid: self.grid, cut: &cut, room: &room, recipe: self.recipe };
        let mut go_on = || if alive().is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) };
        let (outlook, told) = lesson.learn(&portraits, &mut heard, &mut go_on)?;
        model.ahead = outlook;
        if let (Some(champion), Some(before)) = (self.champion, &before)
            && !verdict.improved
            && is_of_use(&verdict)
            && is_no_worse(&verdict)
            && let Some(gain) = lesson.gain((&model, &heard), (champion, before))
        {
            verdict.improved = true;
            verdict.reason = format!("{gain}, and the class of now no worse; {}", verdict.reason);
        }
        verdict.ahead = Some(told);
        let keeps = if verdict.improved { Some(model) } else { self.champion.cloned() };
        Ok(Some((verdict, keeps)))
    }

    fn cut(&self, eye: &Eye, labelled: &[Option<&str>]) -> Cut {
        let gaze = eye.upon(self.asset_type, self.grid);
        let known = vec![None; labelled.len()];
        let mut cut = Cut { classes: Vec::new(), left_out: Vec::new(), parts: Default::default(), known };
        for class in &self.asset_type.document.health_classes {
            let steps: Vec<usize> = (0..labelled.len())
                .filter(|step| labelled[*step] == Some(class.as_str()))
                .filter(|step| gaze.as_ref().is_some_and(|gaze| gaze.sees(*step)))
                .collect();
            let parts = in_time(&steps);
            if parts.iter().zip(LEAST).all(|(part, least)| part.len() >= least) {
                let number = cut.classes.len();
                cut.classes.push(class.clone());
                let (first, second) = cuts(steps.len());
                for (place, step) in steps.iter().enumerate() {
                    cut.known[*step] = Some((usize::from(place >= first) + usize::from(place >= second), number));
                }
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
            portraits.extend(drawn.map_err(|error| broken(&error))?);
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

    /// What an older classifier says of the steps that judge: probabilities of the classes, of which one that
    /// it does not know has none, and of what will become of them, where it tells of the same classes.
    fn heard(
        &self,
        model: &HealthModel,
        cut: &Cut,
        alive: &mut dyn FnMut() -> Result<(), LearnError>,
    ) -> Result<Heard, LearnError> {
        let (steps, classes) = (&cut.parts[2], &cut.classes);
        // What it looks at may be gone: then it says nothing of use.
        let gaze = model.eye.upon(self.asset_type, self.grid);
        if !gaze.is_some_and(|gaze| steps.iter().all(|(step, _)| gaze.sees(*step))) {
            return Ok(Heard { now: vec![vec![0.0; classes.len()]; steps.len()], ahead: Vec::new() });
        }
        let portraits = self.portraits(&model.eye, steps, alive)?;
        let foresight = model.ahead.as_ref().and_then(|ahead| ahead.foresight.as_ref());
        let ahead = match foresight.filter(|_| model.classes == *classes) {
            Some(foresight) => {
                foresee(foresight, &portraits.iter().collect::<Vec<_>>()).map_err(|error| broken(&error))?
            }
            None => Vec::new(),
        };
        Ok(Heard { now: named(model, &portraits, classes)?, ahead })
    }
}

/// Probabilities of `classes` for portraits that were drawn with the classifier's eye.
fn named(model: &HealthModel, portraits: &[Portrait], classes: &[String]) -> Result<Vec<Vec<f64>>, LearnError> {
    let rows = portraits.chunks(CHUNK).map(|chunk| model.named(chunk, classes));
    Ok(rows.collect::<Result<Vec<_>, _>>().map_err(|error| broken(&error))?.concat())
}

fn broken(error: &EngineError) -> LearnError {
    LearnError::NonFinite(error.to_string())
}

/// Before which place of so many labelled steps of a class they teach, and before which they validate.
fn cuts(steps: usize) -> (usize, usize) {
    let cut = |share: f64| (share * steps as f64) as usize;
    (cut(CUTS.0), cut(CUTS.1))
}

/// The steps of one class for teaching, validating and judging, in time, thinned evenly; what lies within
/// a look behind a cut belongs to neither side.
fn in_time(steps: &[usize]) -> [Vec<usize>; 3] {
    let (first, second) = cuts(steps.len());
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
        ahead: None,
    }
}

/// Whether a classifier tells more than the commonest class alone.
fn is_of_use(verdict: &HealthVerdict) -> bool {
    let both = verdict.candidate.as_ref().zip(verdict.naive.as_ref());
    both.is_some_and(|(new, naive)| new.macro_f1 > naive.macro_f1 && new.log_loss < naive.log_loss)
}

/// Whether it names the class of now as well as the one that serves.
fn is_no_worse(verdict: &HealthVerdict) -> bool {
    let both = verdict.candidate.as_ref().zip(verdict.champion.as_ref());
    both.is_some_and(|(new, old)| new.log_loss <= old.log_loss)
}
