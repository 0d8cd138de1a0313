//! Who scored what: windows in, cards out.

use std::collections::BTreeMap;

use super::ask::Plan;
use super::field::Field;
use super::report::{FORECASTERS, Forecaster, Judged, Part};
use crate::asset::AssetType;
use crate::model::{LEVELS, Quantiles};
use crate::score::{Paired, RESAMPLES, Scored, Scorer, paired_block_bootstrap};

const SEED: u64 = 0;

/// What the forecasters said of one window: for each, for each output of the field, its answer; empty where the
/// output had not been measured by then.
pub(super) type Said = [Vec<Quantiles>; FORECASTERS.len()];

/// Scores of all forecasters so far.
pub(super) struct Board {
    horizon: usize,
    block: usize,
    targets: Vec<Target>,
    all: Sheet,
    unseen: Sheet,
}

struct Target {
    signal: usize,
    name: String,
    scale: f64,
}

/// For each forecaster: all outputs together, and each alone.
struct Sheet {
    windows: usize,
    rows: Vec<(Scorer, Vec<Scorer>)>,
}

impl Board {
    pub(super) fn new(asset_type: &AssetType, field: &Field, plan: &Plan) -> Self {
        let target = |signal: &usize| {
            let values = &field.grid.values[*signal];
            let mean = values.iter().sum::<f64>() / values.len() as f64;
            let scale = (values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / values.len() as f64).sqrt();
            Target { signal: *signal, name: asset_type.document.signals[*signal].name.clone(), scale }
        };
        let targets: Vec<Target> = field.outputs.iter().map(target).collect();
        let (all, unseen) = (Sheet::new(&targets), Sheet::new(&targets));
        Self { horizon: plan.horizon, block: 2 * plan.overlap(), targets, all, unseen }
    }

    /// Scores the window that begins at `origin`. `paces` are those of the outputs there.
    pub(super) fn window(&mut self, field: &Field, origin: usize, said: &Said, paces: &[Option<f64>], seen: bool) {
        let truths: Vec<Vec<f64>> = self
            .targets
            .iter()
            .map(|target| {
                let steps = origin..origin + self.horizon;
                let (values, measured) = (&field.grid.values[target.signal], &field.grid.measured[target.signal]);
                steps.map(|step| if measured[step] { values[step] } else { f64::NAN }).collect()
            })
            .collect();
        self.all.window(said, &truths, paces);
        if !seen {
            self.unseen.window(said, &truths, paces);
        }
    }

    /// The forecasters' scores, and the CRPS of each in every window, in the order of the windows.
    pub(super) fn finish(self) -> (Vec<Judged>, Vec<BTreeMap<&'static str, f64>>) {
        let Self { block, targets, all, unseen, .. } = self;
        let apart = unseen.windows > 0 && unseen.windows < all.windows;
        let (all, losses) = all.finish(&targets, block);
        let unseen = apart.then(|| unseen.finish(&targets, block).0);
        let mut unseen = unseen.into_iter().flatten();
        let judged = FORECASTERS.into_iter().zip(all);
        let judged = judged.map(|(forecaster, all)| Judged { forecaster, all, unseen: unseen.next() }).collect();
        (judged, losses)
    }
}

impl Sheet {
    fn new(targets: &[Target]) -> Self {
        let of = |target: &Target| (target.name.clone(), target.scale);
        let row = || {
            let alone = targets.iter().map(|target| Scorer::new(&LEVELS, [of(target)])).collect();
            (Scorer::new(&LEVELS, targets.iter().map(of)), alone)
        };
        Self { windows: 0, rows: FORECASTERS.iter().map(|_| row()).collect() }
    }

    fn window(&mut self, said: &Said, truths: &[Vec<f64>], paces: &[Option<f64>]) {
        self.windows += 1;
        for ((together, alone), said) in self.rows.iter_mut().zip(said) {
            let rows = |answer: &Quantiles| answer.iter().map(|row| row.to_vec()).collect();
            let said: Vec<Vec<Vec<f64>>> = said.iter().map(rows).collect();
            together.paced_window(&said, truths, paces);
            for (place, scorer) in alone.iter_mut().enumerate() {
                let one = place..=place;
                scorer.paced_window(&said[one.clone()], &truths[one.clone()], &paces[one]);
            }
        }
    }

    fn finish(self, targets: &[Target], block: usize) -> (Vec<Part>, Vec<BTreeMap<&'static str, f64>>) {
        let finish = |(together, alone): (Scorer, Vec<Scorer>)| {
            let alone: Vec<Scored> = alone.into_iter().map(Scorer::finish).collect();
            (together.finish(), alone)
        };
        let rows: Vec<(Scored, Vec<Scored>)> = self.rows.into_iter().map(finish).collect();
        let naive = FORECASTERS.iter().position(|forecaster| *forecaster == Forecaster::Naive).unwrap_or(0);
        let compare = |own: &Scored, naive: &Scored| -> Option<Paired> {
            paired_block_bootstrap(&own.losses, &naive.losses, block, RESAMPLES, SEED)
        };
        let part = |(place, (together, alone)): (usize, &(Scored, Vec<Scored>))| {
            let against = &rows[naive];
            let itself = place == naive;
            let by_target = targets.iter().zip(alone.iter().zip(&against.1));
            Part {
                scores: together.card.clone(),
                vs_naive: if itself { None } else { compare(together, &against.0) },
                vs_naive_by_target: by_target
                    .filter(|_| !itself)
                    .filter_map(|(target, (own, naive))| Some((target.name.clone(), compare(own, naive)?)))
                    .collect(),
            }
        };
        let windows = rows[naive].0.losses.len();
        let losses = (0..windows).map(|window| {
            let of = FORECASTERS.iter().zip(&rows);
            of.filter_map(|(forecaster, row)| Some((forecaster.name(), *row.0.losses.get(window)?))).collect()
        });
        (rows.iter().enumerate().map(part).collect(), losses.collect())
    }
}
