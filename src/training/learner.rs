//! The seam to learning itself: what goes in, what comes out, what is told on the way.
//!
//! This room leases, judges and promotes; it never touches a tensor. The roof hands in the real
//! learner (features and model), tests hand in a scripted one.

use std::ops::ControlFlow;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::bases::Bases;
use super::card::DataCard;
use super::companions::Companions;
use super::start::Ancestry;
use crate::asset::Asset;
use crate::event::Label;
use crate::ids::ModelId;
pub use crate::model::trainee::CurvePoint;
use crate::model::{Recipe, SearchRecord};
use crate::reading::Frame;
use crate::score::Scored;

/// What learning needs from below.
pub trait Learner: Send + Sync + 'static {
    /// Learns a head for the asset. Blocking, on an operating-system thread of its own.
    ///
    /// `progress` must be called at least every few seconds: it renews the lease, and a job that
    /// falls silent is given to another worker. On [`ControlFlow::Break`] the learner stops at
    /// once with [`LearnError::Cancelled`].
    fn learn(
        &self,
        assignment: Assignment,
        progress: &mut dyn FnMut(Progress) -> ControlFlow<()>,
    ) -> Result<Candidate, LearnError>;
}

/// What to learn from and how.
#[derive(Clone, Debug)]
pub struct Assignment {
    /// Whose readings these are.
    pub asset: Arc<Asset>,
    /// Its newest frames, ascending.
    pub frames: Vec<Frame>,
    /// The settings.
    pub recipe: Recipe,
    /// The version that serves now and that the candidate must beat; `None` when the base does.
    pub champion: Option<Champion>,
    /// What people and machines say that the asset was like, in the order of time.
    pub labels: Vec<Label>,
    /// The base models that it may learn on, and those of what serves.
    pub bases: Bases,
    /// Versions that learned and serve other assets of the type, the newest first: evidence to borrow.
    pub fleet: Vec<Kin>,
}

/// A version that serves another asset of the same type.
#[derive(Clone, Debug)]
pub struct Kin {
    /// Its id.
    pub id: ModelId,
    /// Base model whose backbone its head belongs to.
    pub base: String,
    /// Its head as safetensors, checked against the hash.
    pub weights: Arc<[u8]>,
}

/// The version that serves now.
#[derive(Clone, Debug)]
pub struct Champion {
    /// Its id.
    pub id: ModelId,
    /// Its number within the asset.
    pub version: i32,
    /// Base model whose backbone its head belongs to.
    pub base: String,
    /// Its head as safetensors, checked against the hash.
    pub weights: Arc<[u8]>,
    /// Its conformal widths, as the learner wrote them.
    pub calibration: Value,
}

/// A sign of life.
#[derive(Clone, Debug, PartialEq)]
pub struct Progress {
    /// What is being done.
    pub stage: Stage,
    /// Share of the whole job that is done, 0..1.
    pub fraction: f64,
    /// Optimiser steps taken.
    pub step: u32,
    /// Newest loss on a training batch.
    pub train_loss: Option<f64>,
    /// Newest loss on the validation windows.
    pub validation_loss: Option<f64>,
    /// The rung of the search for settings that goes on, from 0; `None` without one.
    pub rung: Option<u32>,
}

impl Progress {
    /// The newest point of the training curve, where there is one.
    #[must_use]
    pub fn point(&self) -> Option<CurvePoint> {
        let (train_loss, validation_loss) = self.train_loss.zip(self.validation_loss)?;
        Some(CurvePoint { step: self.step, train_loss, validation_loss })
    }
}

/// What a running job does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, sqlx::Type, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub enum Stage {
    /// For a worker, or for the next attempt.
    Waiting,
    /// Windows are cut and backbone features computed.
    Preparing,
    /// The head learns.
    Learning,
    /// The intervals are made honest.
    Calibrating,
    /// Candidate, champion and naive forecasts are scored on the holdout.
    Evaluating,
    /// Nothing more: the job has ended.
    Done,
}

/// What came out.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// Base model whose backbone the head belongs to.
    pub base: String,
    /// The head as safetensors, with what of the backbone learned with it.
    pub weights: Vec<u8>,
    /// The settings that it learned with: what was left to the learner is filled in, so that the
    /// same data give the same head.
    pub recipe: Recipe,
    /// Conformal widths.
    pub calibration: Value,
    /// Losses by step.
    pub curve: Vec<CurvePoint>,
    /// Why nothing was learned, when the head is the base model's own or the pooled one.
    pub note: Option<String>,
    /// Which head it began from, where its type has others that learned.
    pub ancestry: Option<Ancestry>,
    /// What a search for settings tried, where one was asked for.
    pub search: Option<SearchRecord>,
    /// Share of the head's weights that are exactly 0.
    pub sparsity: f64,
    /// How it did on windows that training never saw.
    pub holdout: Evaluation,
    /// Where it answers an input otherwise than the asset's type declares, in words.
    pub objection: Option<String>,
    /// What it learned from, and what was left out.
    pub data: DataCard,
    /// What came of the labels, where there are any.
    pub companions: Option<Companions>,
}

/// Scores on windows that training never saw.
#[derive(Clone, Debug)]
pub struct Evaluation {
    /// The newest windows, after everything that training saw.
    pub recent: Holdout,
    /// Older windows that stay the same from job to job, so that forgetting shows.
    pub older: Option<Holdout>,
    /// The candidate is the base model's head, which serves, with bands made honest: it need not
    /// forecast better, only say more truly how well it does.
    pub only_bands: bool,
}

/// Three forecasters on the same windows in order of time: their losses pair.
#[derive(Clone, Debug)]
pub struct Holdout {
    /// The head that was learned.
    pub candidate: Scored,
    /// The version that serves; the base model where there is none.
    pub champion: Scored,
    /// The naive forecast.
    pub naive: Scored,
    /// How many neighbouring windows share some future: the horizon over the stride, rounded up.
    pub overlap: usize,
}

/// Why there is no candidate.
#[derive(Debug, thiserror::Error)]
pub enum LearnError {
    /// Too few windows; more readings will help, another attempt will not.
    #[error("there are {have} usable windows and {need} are needed")]
    InsufficientData {
        /// Usable windows.
        have: usize,
        /// Windows that are needed.
        need: usize,
    },
    /// The progress callback said so.
    #[error("learning was stopped")]
    Cancelled,
    /// A loss, weight or output was not a number; the same data would do it again.
    #[error("learning broke down: {0}")]
    NonFinite(String),
    /// Anything else; another attempt may help.
    #[error("{0}")]
    Other(String),
}
