//! Networks of several sizes that learn side by side from the same windows, on one device: what a GPU
//! is good for, since drawing the windows costs more than learning from them.
//!
//! Always true: each network has a thread and an optimiser of its own; a loss is read from the device
//! only for the news. A number of steps gives the same batches in every run, but a GPU sums in an order of
//! its own; a run by the clock takes what it gets.

use std::sync::mpsc::{Receiver, Sender, channel, sync_channel};
use std::thread;

use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;
use tch::{Device, Kind, Tensor};

use super::card::{Told, finish};
use super::checkpoint::{self, State};
use super::config::Config;
use super::figures::{Unseen, figures};
use super::flat::Flat;
use super::loss::loss;
use super::replicas::Replica;
use super::supply::{AHEAD, Mark, Serving, Supply, WARM_SHARE, Watch};
use super::{NEWS_EVERY, News, PretrainError, Progress, cpu_seconds};
use crate::model::base::{BaseCard, FamilyFigures};
use crate::model::network::NamedSize;

/// What a network's thread tells.
enum Report {
    Progress(String, Progress),
    Validation(String, usize, Vec<FamilyFigures>),
}

/// Draws the windows, trains, and writes weights and card of each network.
pub(super) fn run(config: &Config, news: &mut dyn FnMut(News<'_>)) -> Result<Vec<BaseCard>, PretrainError> {
    let watch = Watch::start();
    tch::set_num_threads(1);
    let device = config.device.open()?;
    if config.seconds.is_none() && config.windows < config.batch.max(1) {
        return Err(PretrainError::TooFew);
    }
    distinct(config)?;
    std::fs::create_dir_all(&config.out)?;
    let mut draw = ChaCha8Rng::seed_from_u64(config.seed);
    let mut networks: Vec<Network<'_>> =
        config.size.iter().map(|size| Network::new(config, *size, device, &mut draw)).collect();
    let (mut from, mut spent) = ((0, 0), (0.0, 0.0));
    if config.resume
        && let Some(state) = take_up(&mut networks)?
    {
        state.place(&mut draw)?;
        (from, spent) = ((state.step, state.chunk), (state.cpu_seconds, state.wall_seconds));
        news(News::Resumed(state.step));
    }
    let watch = watch.after(spent.1);
    let unseen = Unseen::of(config);
    let supply = Supply::start(config, device, draw, watch, from);
    let outcomes: Vec<_> = thread::scope(|scope| {
        let (reports, told) = channel();
        let (mut guests, mut workers) = (Vec::new(), Vec::new());
        for network in networks {
            let (guest, servings) = sync_channel(AHEAD);
            guests.push((network.size.size(), guest));
            let (reports, unseen) = (reports.clone(), &unseen);
            let network = Network { watch, spent: spent.0, ..network };
            workers.push(scope.spawn(move || network.learn(&servings, &reports, unseen)));
        }
        drop(reports);
        scope.spawn(move || supply.serve(guests));
        for report in told {
            match report {
                Report::Progress(name, progress) => news(News::Together(&name, progress)),
                Report::Validation(name, step, figures) => news(News::Validation(&name, step, &figures)),
            }
        }
        // All are waited for before the first failure is told: the others have written their weights.
        workers.into_iter().map(thread::ScopedJoinHandle::join).collect()
    });
    outcomes.into_iter().map(|outcome| outcome.expect("a network's thread does not panic")).collect()
}

fn distinct(config: &Config) -> Result<(), PretrainError> {
    let names: Vec<String> = config.size.iter().map(|size| config.name(*size)).collect();
    let twice = names.iter().enumerate().find(|(place, name)| names[..*place].contains(name));
    twice.map_or(Ok(()), |(_, name)| Err(PretrainError::SameName(name.clone())))
}

/// Takes up the networks' checkpoints; returns the state of the one that is the least far. Whoever is
/// ahead of it, because the run ended between two files, skips what it knows.
fn take_up(networks: &mut [Network<'_>]) -> Result<Option<State>, PretrainError> {
    let mut least: Option<State> = None;
    for network in networks {
        let path = network.config.path(network.size, "checkpoint");
        if !path.exists() {
            return Ok(None);
        }
        let state = checkpoint::read(&path, &network.config.plan(network.size), network.flat.state())?;
        network.flat.taken_up(state.step as i32);
        if least.as_ref().is_none_or(|least| state.step < least.step) {
            least = Some(state);
        }
    }
    Ok(least)
}

/// One network while it learns.
struct Network<'c> {
    config: &'c Config,
    size: NamedSize,
    device: Device,
    replica: Replica,
    flat: Flat,
    watch: Watch,
    /// CPU seconds of the runs that this one takes up.
    spent: f64,
    /// Windows drawn by the last step.
    windows: usize,
}

impl<'c> Network<'c> {
    fn new(config: &'c Config, size: NamedSize, device: Device, draw: &mut ChaCha8Rng) -> Self {
        let replica = Replica::on(device, size.size());
        replica.redraw(draw);
        let flat = Flat::new(replica.named());
        Self { config, size, device, replica, flat, watch: Watch::start(), spent: 0.0, windows: 0 }
    }

    fn taken(&self) -> usize {
        self.flat.steps() as usize
    }

    /// Learns from what it is served, then writes weights and card.
    fn learn(
        mut self,
        servings: &Receiver<Serving>,
        reports: &Sender<Report>,
        unseen: &Unseen,
    ) -> Result<BaseCard, PretrainError> {
        tch::set_num_threads(1);
        let name = self.config.name(self.size);
        // Nobody listens any more only when the run has broken elsewhere.
        let tell = |report: Report| drop(reports.send(report));
        let (mut sum, mut count) = (Tensor::zeros([], (Kind::Float, self.device)), 0);
        for serving in servings {
            self.windows = serving.windows;
            if serving.step <= self.taken() {
                continue;
            }
            let Replica { backbone, head } = &self.replica;
            let loss = loss(backbone, head, &serving.part, serving.mask.as_ref());
            self.flat.step(&loss, serving.rate)?;
            sum += loss.detach();
            count += 1;
            if serving.step.is_multiple_of(NEWS_EVERY) {
                let loss = f64::try_from(&sum)? / f64::from(count);
                if !loss.is_finite() {
                    return Err(PretrainError::NotFinite(serving.step));
                }
                let Serving { step, share, windows, .. } = serving;
                tell(Report::Progress(name.clone(), Progress { step, share, windows, loss }));
                (sum, count) = (sum.zeros_like(), 0);
            }
            if let Some(mark) = serving.keep {
                self.keep(mark)?;
            }
            if serving.judge {
                tell(Report::Validation(name.clone(), serving.step, figures(&self.replica, unseen)));
            }
        }
        let told = Told {
            windows: if self.config.seconds.is_some() { self.windows } else { self.config.windows },
            steps: self.taken(),
            warm_up: WARM_SHARE * self.taken() as f64,
            cpu_seconds: self.spent + cpu_seconds(),
            wall_seconds: self.watch.seconds(),
        };
        let figures = figures(&self.replica, unseen);
        tell(Report::Validation(name, told.steps, figures.clone()));
        finish(self.config, self.size, &self.replica, told, figures)
    }

    fn keep(&self, mark: Mark) -> Result<(), PretrainError> {
        let state = State {
            plan: self.config.plan(self.size),
            step: self.taken(),
            position: mark.position,
            cpu_seconds: self.spent + cpu_seconds(),
            wall_seconds: self.watch.seconds(),
            chunk: mark.chunk,
        };
        checkpoint::write(&self.config.path(self.size, "checkpoint"), &state, self.flat.state())
    }
}
