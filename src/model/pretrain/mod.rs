//! Pretraining: the base model learns from synthetic plants how a bank's answer is to be corrected.
//!
//! Reproducible on the CPU: plants, windows, weights and batches come from one seed, and the card says
//! which. A run that is interrupted is taken up from its checkpoint and ends with the same weights, bit
//! for bit. On a GPU, or by the clock, it is as fast as the machine and no two runs are alike
//! ([`together`]). Runs as `counterpart pretrain`, on its own; nothing of it is used while serving.

mod adam;
mod card;
mod checkpoint;
mod config;
mod device;
mod figures;
mod flat;
mod loss;
mod replicas;
mod show;
mod stream;
mod supply;
#[cfg(test)]
mod tests;
mod together;
mod windows;

use std::time::Instant;

use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;

use self::adam::Adam;
use self::card::{Told, finish};
use self::checkpoint::State;
pub use self::config::Config;
use self::config::Plan;
pub use self::device::Place;
use self::figures::{Unseen, figures};
use self::replicas::Replicas;
pub use self::show::show;
use self::stream::{CHUNK, Course, Stream};
pub use self::windows::synthetic;
use super::artefact::ArtefactError;
use super::base::{BaseCard, FamilyFigures};
use super::network::NamedSize;

/// Steps of linear warm-up.
const WARM_UP: f64 = 50.0;
/// Steps between two pieces of news.
const NEWS_EVERY: usize = 50;
/// Validations of a run, the last one included; more often than this many steps would be a waste.
const VALIDATIONS: usize = 8;
const VALIDATION_EVERY: usize = 1_000;
/// What a run tells while it goes on.
#[derive(Debug)]
pub enum News<'a> {
    /// Of the windows that the first step waits for, so many have been drawn of so many.
    Windows(usize, usize),
    /// A checkpoint was taken up after so many steps.
    Resumed(usize),
    /// Steps taken, steps in all, mean loss since the last news.
    Step(usize, usize, f64),
    /// One of the networks that learn together, by name, has gone on.
    Together(&'a str, Progress),
    /// Figures of a network, by name, on plants it did not see, after so many steps.
    Validation(&'a str, usize, &'a [FamilyFigures]),
}

/// How far a run is whose end may be a matter of time.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    /// Steps taken.
    pub step: usize,
    /// Share of the run that is over.
    pub share: f64,
    /// Windows drawn so far.
    pub windows: usize,
    /// Mean loss since the last news.
    pub loss: f64,
}

/// Why pretraining ended without a model.
#[derive(Debug, thiserror::Error)]
pub enum PretrainError {
    /// Too few windows for a batch.
    #[error("too few windows to fill a batch")]
    TooFew,
    /// The machine, or this build of libtorch, has no such device.
    #[error(
        "there is no device {0}: libtorch sees {1} CUDA devices here; learn with --device cpu, or with a libtorch that has CUDA"
    )]
    NoDevice(Place, i64),
    /// Two networks would write the same files.
    #[error("two networks would be called {0}: give each its own name with {{size}} in --name")]
    SameName(String),
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

/// Draws the windows, trains, and writes weights and card; returns the cards, one for each size.
pub fn run(config: &Config, news: &mut dyn FnMut(News<'_>)) -> Result<Vec<BaseCard>, PretrainError> {
    let Some(size) = config.reproducible() else { return together::run(config, news) };
    let mut run = Run::start(config, size, news)?;
    while run.taken() < config.steps {
        run.step(news)?;
        if run.taken().is_multiple_of(config.checkpoint_every.max(1)) && run.taken() < config.steps {
            run.keep()?;
        }
    }
    run.finish(news).map(|card| vec![card])
}

/// A run between two steps.
struct Run<'a> {
    config: &'a Config,
    size: NamedSize,
    plan: Plan,
    replicas: Replicas,
    adam: Adam,
    draw: ChaCha8Rng,
    stream: Stream,
    unseen: Unseen,
    /// CPU seconds, and seconds on the clock, of the runs that this one takes up.
    spent: (f64, f64),
    since: Instant,
    /// Sum and count of the losses since the last news.
    losses: (f64, usize),
}

impl<'a> Run<'a> {
    fn start(config: &'a Config, size: NamedSize, news: &mut dyn FnMut(News<'_>)) -> Result<Self, PretrainError> {
        let since = Instant::now();
        tch::set_num_threads(1);
        if config.windows < config.batch.max(1) {
            return Err(PretrainError::TooFew);
        }
        std::fs::create_dir_all(&config.out)?;
        let plan = config.plan(size);
        let mut draw = ChaCha8Rng::seed_from_u64(config.seed);
        let (replicas, mut adam) = Replicas::new(plan.size, &mut draw);
        let mut spent = (0.0, 0.0);
        let kept = config.path(size, "checkpoint");
        if config.resume && kept.exists() {
            let state = checkpoint::read(&kept, &plan, adam.state())?;
            adam.taken_up(state.step as i32);
            state.place(&mut draw)?;
            spent = (state.cpu_seconds, state.wall_seconds);
            news(News::Resumed(state.step));
        }
        replicas.follow(&adam);
        let next = adam.steps() as usize + 1;
        let course = Course {
            chunks: config.windows.div_ceil(CHUNK),
            held: config.pool.div_ceil(CHUNK).max(1),
            steps: config.steps,
        };
        let unseen = Unseen::of(config);
        let mut stream = Stream::start(config.seed, course, next, config.threads);
        let wanted = course.held(next).len() * CHUNK;
        stream.advance(next, &mut |chunks| news(News::Windows(chunks.len() * CHUNK, wanted)));
        Ok(Self { config, size, plan, replicas, adam, draw, stream, unseen, spent, since, losses: (0.0, 0) })
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
            let figures = figures(self.replicas.first(), &self.unseen);
            news(News::Validation(&self.config.name(self.size), step, &figures));
        }
        Ok(())
    }

    /// Writes a checkpoint.
    fn keep(&self) -> Result<(), PretrainError> {
        let state = State {
            plan: self.plan.clone(),
            step: self.taken(),
            position: State::position(&self.draw),
            cpu_seconds: self.spent.0 + cpu_seconds(),
            wall_seconds: self.spent.1 + self.since.elapsed().as_secs_f64(),
            chunk: 0,
        };
        checkpoint::write(&self.config.path(self.size, "checkpoint"), &state, self.adam.state())
    }

    /// Writes weights and card, and forgets the checkpoint.
    fn finish(self, news: &mut dyn FnMut(News<'_>)) -> Result<BaseCard, PretrainError> {
        let told = Told {
            windows: self.config.windows,
            steps: self.config.steps,
            warm_up: WARM_UP,
            cpu_seconds: self.spent.0 + cpu_seconds(),
            wall_seconds: self.spent.1 + self.since.elapsed().as_secs_f64(),
        };
        let figures = figures(self.replicas.first(), &self.unseen);
        news(News::Validation(&self.config.name(self.size), self.config.steps, &figures));
        finish(self.config, self.size, self.replicas.first(), told, figures)
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
