//! Pretraining: the base model learns from synthetic plants how a bank's answer is to be corrected.
//!
//! Reproducible: plants, windows, weights and batches come from one seed, and the card says which.
//! A run that is interrupted is taken up from its checkpoint and ends with the same weights, bit for
//! bit. Runs as `counterpart pretrain`, on its own; nothing of it is used while serving.

mod adam;
mod checkpoint;
mod figures;
mod loss;
mod replicas;
mod show;
mod stream;
#[cfg(test)]
mod tests;
mod windows;

use std::path::PathBuf;

use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use tch::nn;

use self::adam::Adam;
use self::figures::{Unseen, figures};
use self::replicas::Replicas;
pub use self::show::show;
use self::stream::{CHUNK, Course, Stream};
pub use self::windows::synthetic;
use super::artefact::{self, ArtefactError};
use super::base::{self, BaseCard, FamilyFigures, PretrainRecipe, hex};
use super::network::{NamedSize, Size};
use crate::prior::Mix;

/// Settings of a pretraining run; the defaults take about an hour on two cores.
#[derive(Clone, Debug, clap::Args)]
#[group(skip)]
pub struct Config {
    /// Folder that receives NAME.safetensors and NAME.json, and NAME.checkpoint meanwhile.
    #[arg(long, default_value = "src/model/base")]
    pub out: PathBuf,
    /// Name of the base model; its size, if not said.
    #[arg(long)]
    pub name: Option<String>,
    /// How large the network is.
    #[arg(long, value_enum, default_value = "small")]
    pub size: NamedSize,
    /// Windows to draw from synthetic plants.
    #[arg(long, default_value_t = 240_000)]
    pub windows: usize,
    /// Windows held in memory at a time, 15 kB each; batches are drawn from these.
    #[arg(long, default_value_t = 40_000)]
    pub pool: usize,
    /// Optimiser steps.
    #[arg(long, default_value_t = 12_000)]
    pub steps: usize,
    /// Windows in a step.
    #[arg(long, default_value_t = 48)]
    pub batch: usize,
    /// Highest learning rate.
    #[arg(long, default_value_t = 2.5e-3)]
    pub learning_rate: f64,
    /// Seed of everything.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Threads that draw windows, beside the two that learn. Their number changes no weight.
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
    fn name(&self) -> &str {
        self.name.as_deref().unwrap_or_else(|| self.size.name())
    }

    fn path(&self, ending: &str) -> PathBuf {
        self.out.join(format!("{}.{ending}", self.name()))
    }

    /// What decides the weights; the rest of the settings does not.
    fn plan(&self) -> Plan {
        Plan {
            size: self.size.size(),
            seed: self.seed,
            windows: self.windows,
            pool: self.pool,
            steps: self.steps,
            batch: self.batch,
            learning_rate: self.learning_rate,
        }
    }
}

/// The settings that decide the weights.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Plan {
    size: Size,
    seed: u64,
    windows: usize,
    pool: usize,
    steps: usize,
    batch: usize,
    learning_rate: f64,
}

/// Steps of linear warm-up.
const WARM_UP: f64 = 50.0;
/// Steps between two pieces of news.
const NEWS_EVERY: usize = 50;
/// Validations of a run, the last one included; more often than this many steps would be a waste.
const VALIDATIONS: usize = 8;
const VALIDATION_EVERY: usize = 1_000;
/// Records that the card's statistics of the mix are counted on.
const COUNTED: usize = 2_000;

/// What a run tells while it goes on.
#[derive(Debug)]
pub enum News<'a> {
    /// Of the windows that the first step waits for, so many have been drawn of so many.
    Windows(usize, usize),
    /// A checkpoint was taken up after so many steps.
    Resumed(usize),
    /// Steps taken, steps in all, mean loss since the last news.
    Step(usize, usize, f64),
    /// Figures on plants it did not see.
    Validation(usize, &'a [FamilyFigures]),
}

/// Why pretraining ended without a model.
#[derive(Debug, thiserror::Error)]
pub enum PretrainError {
    /// Too few windows for a batch.
    #[error("too few windows to fill a batch")]
    TooFew,
    /// The loss stopped being a finite number.
    #[error("the loss is not finite at step {0}")]
    NotFinite(usize),
    /// The checkpoint was written by another run.
    #[error("the checkpoint belongs to a run with other settings")]
    Foreign,
    /// The checkpoint is damaged.
    #[error("the checkpoint cannot be loaded")]
    Damaged(#[from] ArtefactError),
    /// libtorch refused an operation.
    #[error("libtorch failed")]
    Torch(#[from] tch::TchError),
    /// A file could not be read or written.
    #[error("a file of the run could not be read or written")]
    File(#[from] std::io::Error),
}

/// Draws the windows, trains, and writes weights and card; returns the card.
pub fn run(config: &Config, news: &mut dyn FnMut(News<'_>)) -> Result<BaseCard, PretrainError> {
    let mut run = Run::start(config, news)?;
    while run.taken() < config.steps {
        run.step(news)?;
        if run.taken().is_multiple_of(config.checkpoint_every.max(1)) && run.taken() < config.steps {
            run.keep()?;
        }
    }
    run.finish(news)
}

/// A run between two steps.
struct Run<'a> {
    config: &'a Config,
    plan: Plan,
    replicas: Replicas,
    adam: Adam,
    draw: ChaCha8Rng,
    stream: Stream,
    unseen: Unseen,
    /// CPU seconds of the runs that this one takes up.
    spent: f64,
    /// Sum and count of the losses since the last news.
    losses: (f64, usize),
}

impl<'a> Run<'a> {
    fn start(config: &'a Config, news: &mut dyn FnMut(News<'_>)) -> Result<Self, PretrainError> {
        tch::set_num_threads(1);
        if config.windows < config.batch.max(1) {
            return Err(PretrainError::TooFew);
        }
        std::fs::create_dir_all(&config.out)?;
        let plan = config.plan();
        let mut draw = ChaCha8Rng::seed_from_u64(config.seed);
        let (replicas, mut adam) = Replicas::new(plan.size, &mut draw);
        let mut spent = 0.0;
        let kept = config.path("checkpoint");
        if config.resume && kept.exists() {
            let state = checkpoint::read(&kept, &plan, &mut adam, &mut draw)?;
            spent = state.cpu_seconds;
            news(News::Resumed(state.step));
        }
        replicas.follow(&adam);
        let next = adam.steps() as usize + 1;
        let course = Course {
            chunks: config.windows.div_ceil(CHUNK),
            held: config.pool.div_ceil(CHUNK).max(1),
            steps: config.steps,
        };
        let unseen = Unseen::draw(config.seed, (config.windows / 20).clamp(64, 3_000), config.threads + 1);
        let mut stream = Stream::start(config.seed, course, next, config.threads);
        let wanted = course.held(next).len() * CHUNK;
        stream.advance(next, &mut |chunks| news(News::Windows(chunks.len() * CHUNK, wanted)));
        Ok(Self { config, plan, replicas, adam, draw, stream, unseen, spent, losses: (0.0, 0) })
    }

    /// Steps taken.
    fn taken(&self) -> usize {
        self.adam.steps() as usize
    }

    fn step(&mut self, news: &mut dyn FnMut(News<'_>)) -> Result<(), PretrainError> {
        let (step, steps) = (self.taken() + 1, self.config.steps);
        self.stream.advance(step, &mut |_| {});
        let items = self.stream.batch(&mut self.draw, self.config.batch);
        let value = self.replicas.learn(&items, &mut self.draw, &self.adam)?;
        if !value.is_finite() {
            return Err(PretrainError::NotFinite(step));
        }
        self.adam.step(self.config.learning_rate * schedule(step, steps));
        self.replicas.follow(&self.adam);
        self.losses.0 += value;
        self.losses.1 += 1;
        if step.is_multiple_of(NEWS_EVERY) || step == steps {
            news(News::Step(step, steps, self.losses.0 / self.losses.1 as f64));
            self.losses = (0.0, 0);
        }
        if step.is_multiple_of((steps / VALIDATIONS).max(VALIDATION_EVERY)) && step < steps {
            news(News::Validation(step, &figures(self.replicas.first(), &self.unseen)));
        }
        Ok(())
    }

    /// Writes a checkpoint.
    fn keep(&self) -> Result<(), PretrainError> {
        let spent = self.spent + cpu_seconds();
        checkpoint::write(&self.config.path("checkpoint"), &self.plan, &self.adam, &self.draw, spent)
    }

    /// Writes weights and card, and forgets the checkpoint.
    fn finish(self, news: &mut dyn FnMut(News<'_>)) -> Result<BaseCard, PretrainError> {
        let first = self.replicas.first();
        let weights = base::document(self.plan.size, &first.backbone, &first.head);
        let card = self.card(&weights);
        news(News::Validation(self.config.steps, &card.validation));
        let text = serde_json::to_vec_pretty(&card).map_err(std::io::Error::from)?;
        checkpoint::replace(&self.config.path("safetensors"), &weights)?;
        checkpoint::replace(&self.config.path("json"), &text)?;
        match std::fs::remove_file(self.config.path("checkpoint")) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
            _ => Ok(card),
        }
    }

    fn card(&self, weights: &[u8]) -> BaseCard {
        let first = self.replicas.first();
        let count = |store: &nn::VarStore| store.variables().values().map(|value| value.numel() as i64).sum::<i64>();
        let (frozen, trained) = (count(first.backbone.store()), count(first.head.store()));
        BaseCard {
            name: self.config.name().to_owned(),
            sha256: hex(&artefact::digest(weights)),
            size: self.plan.size,
            parameters: frozen + trained,
            head_parameters: trained,
            seed: self.config.seed,
            windows: self.config.windows,
            steps: self.config.steps,
            batch: self.config.batch,
            cpu_seconds: self.spent + cpu_seconds(),
            commit: self.config.commit.clone(),
            recipe: Some(PretrainRecipe {
                learning_rate: self.config.learning_rate,
                warm_up: WARM_UP,
                weight_decay: adam::WEIGHT_DECAY,
                dropout: loss::DROPOUT,
                paired: loss::PAIRED,
                abstain: loss::ABSTAIN,
                pool: self.config.pool,
            }),
            mix: Some(Mix::draw(self.config.seed, COUNTED, windows::RECORD)),
            validation: figures(self.replicas.first(), &self.unseen),
        }
    }
}

/// Linear warm-up, then a cosine down to 3 %.
fn schedule(step: usize, steps: usize) -> f64 {
    let cosine = 0.5 * (1.0 + (std::f64::consts::PI * step as f64 / steps as f64).cos());
    (step as f64 / WARM_UP).min(1.0) * (0.97 * cosine + 0.03)
}

/// CPU time of this process so far.
fn cpu_seconds() -> f64 {
    nix::sys::resource::getrusage(nix::sys::resource::UsageWho::RUSAGE_SELF).map_or(0.0, |usage| {
        let seconds = |time: nix::sys::time::TimeVal| time.tv_sec() as f64 + time.tv_usec() as f64 / 1e6;
        seconds(usage.user_time()) + seconds(usage.system_time())
    })
}
