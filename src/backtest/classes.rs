//! How well a version names health classes at labelled steps of the windows.

use std::ops::Range;

use super::examiner::ExamError;
use super::field::Field;
use super::report::HealthReport;
use crate::asset::AssetType;
use crate::event::Label;
use crate::features::{HealthModel, LOOK};
use crate::model::Base;
use crate::score::ClassCard;

/// Labelled steps that are judged at most.
const MOST: usize = 480;
/// Steps looked at between two signs of life.
const CHUNK: usize = 32;

/// What is judged, and by whom it was taught.
pub(super) struct Case<'a> {
    pub(super) base: &'a Base,
    pub(super) asset_type: &'a AssetType,
    pub(super) field: &'a Field,
    pub(super) horizon: usize,
    pub(super) labels: &'a [Label],
    pub(super) model: Option<&'a HealthModel>,
    /// Steps that the version had learned from.
    pub(super) learned: Range<usize>,
}

impl Case<'_> {
    /// Names the class of every labelled step, thinned evenly, and compares.
    pub(super) fn judge(&self, alive: &mut dyn FnMut(f64) -> Result<(), ExamError>) -> Result<HealthReport, ExamError> {
        let Self { base, asset_type, field, horizon, labels, model, learned } = self;
        let classes = &asset_type.document.health_classes;
        let nothing = |reason: &str| HealthReport { reason: Some(reason.to_owned()), ..HealthReport::default() };
        if classes.is_empty() {
            return Ok(nothing("the asset's type has no health classes"));
        }
        let place = |class: &str| classes.iter().position(|known| known == class);
        let truths: Vec<Option<usize>> =
            field.grid.labelled(labels).into_iter().map(|class| class.and_then(place)).collect();
        let mut windows: Vec<usize> = field.origins.iter().flat_map(|origin| *origin..origin + horizon).collect();
        windows.sort_unstable();
        windows.dedup();
        let all: Vec<(usize, usize)> =
            windows.into_iter().filter_map(|step| Some((step, (*truths.get(step)?)?))).collect();
        let labelled: Vec<(usize, usize)> = all.iter().copied().step_by(all.len().div_ceil(MOST).max(1)).collect();
        if labelled.is_empty() {
            return Ok(nothing("no step of the windows has a label that names a health class"));
        }
        let first = field.origins.first().copied().unwrap_or(0);
        let naive = rates(truths[..first].iter().flatten().copied(), classes.len());
        let Some(model) = model else {
            let card = card(classes, &labelled, |_| naive.clone());
            return Ok(HealthReport {
                steps: labelled.len(),
                naive: card,
                ..nothing("the examined version names no health classes: it was taught none")
            });
        };
        let gaze = model.eye.upon(asset_type, &field.grid);
        let judged: Vec<(usize, usize)> =
            labelled.into_iter().filter(|(step, _)| gaze.as_ref().is_some_and(|gaze| gaze.sees(*step))).collect();
        if judged.is_empty() {
            let reason = format!("no labelled step of the windows has {LOOK} steps without a gap before it");
            return Ok(nothing(&reason));
        }
        let mut said = Vec::with_capacity(judged.len());
        for chunk in judged.chunks(CHUNK) {
            alive(said.len() as f64 / judged.len() as f64)?;
            let steps: Vec<usize> = chunk.iter().map(|(step, _)| *step).collect();
            let rows = model.said(base, asset_type, &field.grid, &steps, classes);
            said.extend(rows.map_err(|error| ExamError::Other(error.to_string()))?);
        }
        let rows = judged.iter().zip(&said);
        let (unseen, unseen_said): (Vec<(usize, usize)>, Vec<Vec<f64>>) =
            rows.filter(|((step, _), _)| !learned.contains(step)).map(|(case, said)| (*case, said.clone())).unzip();
        let of = |cases: &[(usize, usize)], said: &[Vec<f64>]| {
            let truths: Vec<usize> = cases.iter().map(|(_, class)| *class).collect();
            ClassCard::of(classes, &truths, said)
        };
        let seen_by_model = judged.len() - unseen.len();
        let apart = !unseen.is_empty() && seen_by_model > 0;
        Ok(HealthReport {
            steps: judged.len(),
            seen_by_model,
            reason: naive
                .is_none()
                .then(|| "nothing was labelled before the first window, so there is no naive answer".to_owned()),
            model: Some(of(&judged, &said)),
            model_unseen: apart.then(|| of(&unseen, &unseen_said)),
            naive: card(classes, &judged, |_| naive.clone()),
        })
    }
}

/// Scores what is said of every case; `None` where nothing is said.
fn card(classes: &[String], cases: &[(usize, usize)], said: impl Fn(usize) -> Option<Vec<f64>>) -> Option<ClassCard> {
    let truths: Vec<usize> = cases.iter().map(|(_, class)| *class).collect();
    let said = cases.iter().map(|(step, _)| said(*step)).collect::<Option<Vec<_>>>()?;
    Some(ClassCard::of(classes, &truths, &said))
}

/// Share of each class among those that were labelled; `None` without any.
fn rates(labelled: impl Iterator<Item = usize>, classes: usize) -> Option<Vec<f64>> {
    let mut counts = vec![0.0; classes];
    labelled.for_each(|class| counts[class] += 1.0);
    let all: f64 = counts.iter().sum();
    (all > 0.0).then(|| counts.into_iter().map(|count| count / all).collect())
}
