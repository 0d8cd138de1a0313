//! The forecasters of every table, in their order.

use std::rc::Rc;

use serde::{Deserialize, Serialize};

use super::EvaluateError;
use super::arx::Arx;
use super::forecaster::{Banded, Forecaster, Point};
use super::naive::{Persistence, Seasonal};
use super::ours::{BankOnly, Corrected, Material, Views};
use super::ridge::Ridge;
use super::task::Task;
use crate::model::BaseChoice;

/// A row of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum, Serialize, Deserialize)]
#[value(rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// The last value holds.
    Persistence,
    /// The last season repeats itself.
    Seasonal,
    /// A linear difference equation, run free.
    Arx,
    /// A linear regression for each step of the horizon.
    Ridge,
    /// The expert bank alone.
    Bank,
    /// The bank, corrected by the base model as it is.
    ZeroShot,
    /// The bank with a study of the whole past, not corrected.
    Studied,
    /// The bank, corrected by a head that a fine-tune job made.
    FineTuned,
    /// The bank, corrected by a network that was not pretrained.
    Scratch,
}

/// What our own forecasters share.
pub(super) struct Ours<'a> {
    pub(super) base: &'a BaseChoice,
    pub(super) views: Option<&'a Rc<Views>>,
    pub(super) material: Option<&'a Material>,
}

impl Kind {
    pub(super) fn all() -> &'static [Self] {
        <Self as clap::ValueEnum>::value_variants()
    }

    /// For readers.
    pub(super) fn label(self) -> &'static str {
        match self {
            Self::Persistence => "persistence",
            Self::Seasonal => "seasonal naive",
            Self::Arx => "ARX",
            Self::Ridge => "ridge",
            Self::Bank => "bank",
            Self::ZeroShot => "bank + corrector, zero-shot",
            Self::Studied => "bank + study",
            Self::FineTuned => "fine-tuned (bank + study + head)",
            Self::Scratch => "same network from scratch",
        }
    }

    /// Whether a seed decides anything.
    pub(super) fn is_random(self) -> bool {
        matches!(self, Self::FineTuned | Self::Scratch)
    }

    /// Whether it is one of ours, which share the bank's windows.
    pub(super) fn needs_views(self) -> bool {
        self >= Self::Bank
    }

    /// Learns on a task.
    pub(super) fn learn(self, task: &Task, ours: &Ours<'_>, seed: u64) -> Result<Box<dyn Forecaster>, EvaluateError> {
        let views = || ours.views.ok_or(EvaluateError::Broken("no windows".into()));
        // A baseline, once chosen, is fitted again to both parts, as our study is.
        let taught = task.protocol.train.start..task.protocol.validation.end;
        let too_little = || EvaluateError::Broken("too few training rows".into());
        Ok(match self {
            Self::Persistence => banded(Persistence::new(task), task),
            Self::Seasonal => banded(Seasonal::new(task), task),
            Self::Arx => {
                let mut arx = Banded::new(Arx::choose(task).ok_or_else(too_little)?, task);
                arx.point_mut().refit(&taught);
                Box::new(arx)
            }
            Self::Ridge => {
                let mut ridge = Banded::new(Ridge::choose(task).ok_or_else(too_little)?, task);
                ridge.point_mut().refit(&taught);
                Box::new(ridge)
            }
            Self::Bank => Box::new(BankOnly::new(task, views()?)),
            Self::ZeroShot => Box::new(Corrected::zero_shot(task, views()?, ours.base)?),
            Self::Studied => Box::new(BankOnly::studied(task, views()?)?),
            Self::FineTuned => Box::new(Corrected::fine_tuned(task, views()?, ours.base, seed)?),
            Self::Scratch => {
                let material = ours.material.ok_or(EvaluateError::Broken("nothing to learn from".into()))?;
                Box::new(Corrected::from_scratch(task, views()?, material, ours.base, seed)?)
            }
        })
    }
}

fn banded<P: Point + 'static>(point: P, task: &Task) -> Box<dyn Forecaster> {
    Box::new(Banded::new(point, task))
}
