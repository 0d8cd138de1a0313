//! What travels with a forecaster: what the asset's labels taught.
//!
//! Forecasts, health classes and remaining time are judged apart and travel in one version: it takes the
//! better forecaster, the better classifier and the better model of remaining time. Where the forecaster is
//! turned down and one of the others is not, the version forecasts as before.

use serde_json::Value;

use super::health::{self, HealthVerdict};
use super::learner::{Candidate, Champion, LearnError};
use super::remaining::{self, RemainingVerdict};
use super::verdict::Verdict;
use crate::asset::AssetType;
use crate::event::Label;
use crate::features::{Grid, HealthModel, RemainingModel};
use crate::model::trainee::untaught;
use crate::model::{ArtefactError, Base, Recipe};

/// What came of the labels.
#[derive(Clone, Debug, PartialEq)]
pub struct Companions {
    /// Whether the new classifier serves, and why; `None` without labels.
    pub health: Option<HealthVerdict>,
    /// Whether the new model of remaining time serves, and why; `None` without labels or a class that ends
    /// runs.
    pub remaining: Option<RemainingVerdict>,
    /// A version that forecasts as what serves does, with what is new beside it: for when the new forecaster
    /// is turned down. Its head with all that is attached, and its bands.
    pub beside: Option<(Vec<u8>, Value)>,
    /// Where what serves stands on another base model: that one's name, and the same learned on it, for when
    /// the new forecaster is turned down.
    pub instead: Option<(String, Box<Companions>)>,
}

/// What labels are learned with.
#[derive(Clone, Copy)]
pub(super) struct School<'a> {
    pub(super) base: &'a Base,
    pub(super) asset_type: &'a AssetType,
    /// Of the readings as they came.
    pub(super) grid: &'a Grid,
    pub(super) labels: &'a [Label],
    pub(super) recipe: &'a Recipe,
    /// The version that serves.
    pub(super) champion: Option<&'a Champion>,
    /// The base model of what serves, where it stands on another. Health classes look through their base
    /// model: those of another cannot go along, and nothing new goes beside a forecaster of another.
    pub(super) rival: Option<&'a Base>,
}

/// What a version takes along.
#[derive(Default)]
struct Kept {
    health: Option<HealthModel>,
    remaining: Option<RemainingModel>,
}

impl Kept {
    fn attach_to(&self, weights: &[u8]) -> Result<Vec<u8>, LearnError> {
        let other = |error: ArtefactError| LearnError::Other(error.to_string());
        let mut weights = weights.to_vec();
        if let Some(model) = &self.health {
            weights = model.attach_to(&weights).map_err(other)?;
        }
        if let Some(model) = &self.remaining {
            weights = model.attach_to(&weights).map_err(other)?;
        }
        Ok(weights)
    }
}

/// What travels with a candidate: its weights with the better companions attached, and what came of the
/// labels; where what serves stands on another base model, on that one too.
pub(super) fn attach(
    school: School<'_>,
    weights: &[u8],
    alive: &mut dyn FnMut() -> Result<(), LearnError>,
) -> Result<(Vec<u8>, Option<Companions>), LearnError> {
    let (weights, mut companions) = together(school, weights, alive)?;
    if let (Some(rival), Some(companions)) = (school.rival, &mut companions) {
        let (_, own) = together(School { base: rival, rival: None, ..school }, &untaught(rival).weights, alive)?;
        companions.instead = own.map(|own| (rival.card.name.clone(), Box::new(own)));
    }
    Ok((weights, companions))
}

/// What travels with a head of one base model.
fn together(
    school: School<'_>,
    weights: &[u8],
    alive: &mut dyn FnMut() -> Result<(), LearnError>,
) -> Result<(Vec<u8>, Option<Companions>), LearnError> {
    let School { base, asset_type, grid, labels, recipe, champion, rival } = school;
    let served = champion.map(|champion| &champion.weights[..]);
    let mut kept = Kept {
        health: served.filter(|_| rival.is_none()).and_then(HealthModel::attached_to),
        remaining: served.and_then(RemainingModel::attached_to),
    };
    let source = health::Source { base, asset_type, grid, labels, recipe, champion: kept.health.as_ref() };
    let classes = source.learn(alive)?;
    let source = remaining::Source { asset_type, grid, labels, recipe, champion: kept.remaining.as_ref() };
    let times = source.learn(alive)?;
    if classes.is_none() && times.is_none() {
        return Ok((kept.attach_to(weights)?, None));
    }
    let mut companions = Companions { health: None, remaining: None, beside: None, instead: None };
    if let Some((verdict, model)) = classes {
        (companions.health, kept.health) = (Some(verdict), model);
    }
    if let Some((verdict, model)) = times {
        (companions.remaining, kept.remaining) = (Some(verdict), model);
    }
    if companions.improved() && rival.is_none() {
        let (served, calibration) = match champion {
            Some(champion) => (champion.weights.to_vec(), champion.calibration.clone()),
            None => (untaught(base).weights, Value::Null),
        };
        companions.beside = Some((kept.attach_to(&served)?, calibration));
    }
    Ok((kept.attach_to(weights)?, Some(companions)))
}

/// Why a candidate should not serve that would name no health classes any more: those of what serves look
/// through another base model, and there was too little to learn them anew.
pub(super) fn loss_of_health(school: School<'_>, weights: &[u8]) -> Option<String> {
    let champion = school.champion.filter(|_| school.rival.is_some())?;
    let lost = HealthModel::attached_to(&champion.weights).is_some() && HealthModel::attached_to(weights).is_none();
    lost.then(|| {
        format!(
            "the health classes of version {} look through the base model {}, and there was too little to learn them \
             on {}",
            champion.version, champion.base, school.base.card.name
        )
    })
}

impl Companions {
    /// Whether any of them is better than what serves.
    fn improved(&self) -> bool {
        self.health.as_ref().is_some_and(|health| health.improved)
            || self.remaining.as_ref().is_some_and(|remaining| remaining.improved)
    }
}

impl Candidate {
    /// Takes the companions into account: where one is better and the forecaster is not, the version
    /// forecasts as before and has what is new.
    pub(super) fn compose(&mut self, verdict: &mut Verdict) {
        let Some(mut companions) = self.companions.take() else { return };
        if let Some((base, own)) = companions.instead.take().filter(|(_, own)| !verdict.passed && own.improved()) {
            (self.base, companions) = (base, *own);
        }
        let better = companions.improved();
        if let Some((weights, calibration)) = companions.beside.take().filter(|_| better && !verdict.passed) {
            (self.weights, self.calibration) = (weights, calibration);
            (verdict.passed, verdict.promoted) = (true, true);
            verdict.candidate = verdict.champion.clone();
            verdict.reason = format!("forecasts as before ({})", verdict.reason);
        }
        let mut add = |what: &str, improved: bool, reason: &str| {
            let decided = if improved { format!("new {what}") } else { format!("{what} as before") };
            verdict.reason = format!("{}; {decided}: {reason}", verdict.reason);
        };
        if let Some(health) = &companions.health {
            add("health classes", health.improved, &health.reason);
        }
        if let Some(remaining) = &companions.remaining {
            add("remaining time", remaining.improved, &remaining.reason);
        }
        (verdict.health, verdict.remaining) = (companions.health, companions.remaining);
    }
}
