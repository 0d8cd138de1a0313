//! What a pretraining run is told.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::device::Place;
use crate::model::network::{NamedSize, Size};

/// Settings of a pretraining run; the defaults take about an hour on two cores.
#[derive(Clone, Debug, clap::Args)]
#[group(skip)]
pub struct Config {
    /// Folder that receives NAME.safetensors and NAME.json, and NAME.checkpoint meanwhile.
    #[arg(long, default_value = "src/model/base")]
    pub out: PathBuf,
    /// Name of the base model, in which {size} stands for its size; only that, if not said.
    #[arg(long)]
    pub name: Option<String>,
    /// How large the network is. Several, behind commas, learn side by side from the same windows.
    #[arg(long, value_enum, default_value = "small", value_delimiter = ',')]
    pub size: Vec<NamedSize>,
    /// Where it learns: cpu, cuda or cuda:N. One network with a number of steps on the cpu is
    /// reproducible bit for bit.
    #[arg(long, default_value = "cpu")]
    pub device: Place,
    /// Windows to draw from synthetic plants.
    #[arg(long, default_value_t = 240_000)]
    pub windows: usize,
    /// Windows held in memory at a time, 15 kB each; batches are drawn from these.
    #[arg(long, default_value_t = 40_000)]
    pub pool: usize,
    /// Optimiser steps.
    #[arg(long, default_value_t = 12_000)]
    pub steps: usize,
    /// Learn for so many seconds, with as many windows and steps as this machine manages by then.
    #[arg(long, conflicts_with_all = ["windows", "steps"], value_parser = clap::value_parser!(u64).range(1..))]
    pub seconds: Option<u64>,
    /// Windows in a step.
    #[arg(long, default_value_t = 48)]
    pub batch: usize,
    /// Highest learning rate.
    #[arg(long, default_value_t = 2.5e-3)]
    pub learning_rate: f64,
    /// Seed of everything.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Threads that draw windows, beside those that learn. Their number changes no weight, unless
    /// the clock ends the run.
    #[arg(long, default_value_t = 2)]
    pub threads: usize,
    /// Steps between two checkpoints.
    #[arg(long, default_value_t = 500)]
    pub checkpoint_every: usize,
    /// Take up the run whose checkpoint lies in the folder, if there is one.
    #[arg(long)]
    pub resume: bool,
    /// Revision of the source, for the card.
    #[arg(long, env = "COUNTERPART_PRETRAIN_COMMIT", hide = true)]
    pub commit: Option<String>,
}

impl Config {
    pub(super) fn name(&self, size: NamedSize) -> String {
        self.name.as_deref().unwrap_or("{size}").replace("{size}", size.name())
    }

    pub(super) fn path(&self, size: NamedSize, ending: &str) -> PathBuf {
        self.out.join(format!("{}.{ending}", self.name(size)))
    }

    /// The one size of a run whose weights are decided by its plan, bit for bit.
    pub(super) fn reproducible(&self) -> Option<NamedSize> {
        match *self.size {
            [size] if self.device == Place::Cpu && self.seconds.is_none() => Some(size),
            _ => None,
        }
    }

    /// What decides the weights; the rest of the settings does not.
    pub(super) fn plan(&self, size: NamedSize) -> Plan {
        let counted = |count: usize| if self.seconds.is_none() { count } else { 0 };
        Plan {
            size: size.size(),
            seed: self.seed,
            windows: counted(self.windows),
            pool: self.pool,
            steps: counted(self.steps),
            batch: self.batch,
            learning_rate: self.learning_rate,
        }
    }
}

/// The settings that decide the weights; no windows and no steps where the clock ends the run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Plan {
    pub(super) size: Size,
    seed: u64,
    windows: usize,
    pool: usize,
    steps: usize,
    batch: usize,
    learning_rate: f64,
}
