//! Batches for networks that learn together: one thread draws them from the windows, puts them on the
//! device and hands each network its own handle, a few steps ahead.
//!
//! The batches of [`GROUP`] steps are got ready at once, each on a thread and with a generator of its own.
//!
//! Always true: every network gets the same batches in the same order, and no step waits for a
//! window to be drawn when the clock ends the run.

use std::sync::mpsc::SyncSender;
use std::time::Instant;

use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use tch::{Device, Tensor};

use super::checkpoint::State;
use super::config::Config;
use super::loss::{DROPOUT, Part};
use super::stream::{CHUNK, Course, Stream};
use super::windows::Item;
use super::{VALIDATION_EVERY, VALIDATIONS};
use crate::model::network::Size;
use crate::model::trainee::dropout_mask;
use crate::model::window::sent;

/// Steps that are got ready ahead.
pub(super) const AHEAD: usize = GROUP;
/// Steps whose batches are drawn from the same windows.
const GROUP: usize = 4;
/// Share of a run that the learning rate rises for: large batches bear their rate only later.
pub(super) const WARM_SHARE: f64 = 0.01;
/// Chunks that a run by the clock waits for before its first step.
const LEAST: usize = 32;

/// What one network needs for one step.
#[derive(Debug)]
pub(super) struct Serving {
    pub(super) step: usize,
    /// Share of the run that is over.
    pub(super) share: f64,
    /// Windows drawn so far.
    pub(super) windows: usize,
    pub(super) rate: f64,
    pub(super) part: Part,
    pub(super) mask: Option<Tensor>,
    /// Where everything stands after this step, if a checkpoint is due.
    pub(super) keep: Option<Mark>,
    /// Whether a validation is due after this step.
    pub(super) judge: bool,
}

/// A step that is due.
#[derive(Debug)]
struct Due {
    step: usize,
    share: f64,
    windows: usize,
    keep: Option<Mark>,
    judge: bool,
}

/// Where windows and batches stand.
#[derive(Clone, Debug)]
pub(super) struct Mark {
    pub(super) position: String,
    pub(super) chunk: usize,
}

/// The seconds of a run, with those of the runs that it takes up.
#[derive(Clone, Copy, Debug)]
pub(super) struct Watch {
    since: Instant,
    spent: f64,
}

impl Watch {
    /// A run that begins now.
    pub(super) fn start() -> Self {
        Self { since: Instant::now(), spent: 0.0 }
    }

    /// The same with the seconds of another run before it.
    pub(super) fn after(self, spent: f64) -> Self {
        Self { spent, ..self }
    }

    /// So far.
    pub(super) fn seconds(self) -> f64 {
        self.spent + self.since.elapsed().as_secs_f64()
    }
}

/// Where batches come from.
#[derive(Debug)]
pub(super) struct Supply<'c> {
    config: &'c Config,
    device: Device,
    stream: Stream,
    draw: ChaCha8Rng,
    watch: Watch,
    step: usize,
    /// Step and share of the last validation.
    judged: (usize, f64),
}

impl<'c> Supply<'c> {
    /// Starts the drawing threads behind `step` steps; `chunk` is where a run by the clock goes on.
    pub(super) fn start(
        config: &'c Config,
        device: Device,
        draw: ChaCha8Rng,
        watch: Watch,
        (step, chunk): (usize, usize),
    ) -> Self {
        let held = config.pool.div_ceil(CHUNK).max(1);
        let stream = if config.seconds.is_some() {
            Stream::endless(config.seed, chunk, held, config.threads)
        } else {
            let course = Course { chunks: config.windows.div_ceil(CHUNK), held, steps: config.steps };
            Stream::start(config.seed, course, first_of_group(step + 1), config.threads)
        };
        Self { config, device, stream, draw, watch, step, judged: (step, 0.0) }
    }

    /// Serves networks until the run is over or nobody is left; a network that is gone is left out.
    pub(super) fn serve(mut self, mut guests: Vec<(Size, SyncSender<Serving>)>) {
        while !guests.is_empty() {
            let sizes: Vec<Size> = guests.iter().map(|(size, _)| *size).collect();
            let group = self.group(&sizes);
            if group.is_empty() {
                break;
            }
            for (due, part, masks) in group {
                let served = guests.into_iter().zip(masks).filter_map(|((size, guest), mask)| {
                    let serving = Serving {
                        step: due.step,
                        share: due.share,
                        windows: due.windows,
                        rate: self.config.learning_rate * schedule(due.share),
                        part: part.handle(),
                        mask,
                        keep: due.keep.clone(),
                        judge: due.judge,
                    };
                    guest.send(serving).is_ok().then_some((size, guest))
                });
                guests = served.collect();
            }
        }
    }

    /// The batches of the next steps, with a dropout mask for each network; none behind the last step.
    fn group(&mut self, sizes: &[Size]) -> Vec<(Due, Part, Vec<Option<Tensor>>)> {
        if self.config.seconds.is_some() {
            let held = self.config.pool.div_ceil(CHUNK).max(1);
            self.stream.take_ready(LEAST.min(held));
        } else {
            self.stream.advance(first_of_group(self.step + 1), &mut |_| {});
        }
        let (config, device, windows) = (self.config, self.device, self.stream.next() * CHUNK);
        let last = first_of_group(self.step + 1) + GROUP - 1;
        let mut dues = Vec::with_capacity(GROUP);
        while self.step < last
            && let Some(share) = self.next_share()
        {
            let judge = self.judge(share);
            self.step += 1;
            if judge {
                self.judged = (self.step, share);
            }
            let items = self.stream.batch(&mut self.draw, config.batch);
            let own = ChaCha8Rng::seed_from_u64(self.draw.next_u64());
            let keep = self.step.is_multiple_of(config.checkpoint_every.max(1)).then(|| self.mark());
            dues.push((Due { step: self.step, share, windows, keep, judge }, items, own));
        }
        let make = |items: &[&Item], mut own: ChaCha8Rng| {
            tch::set_num_threads(1);
            let part = Part::new(items, &mut own, device);
            let mask = |size: &Size| dropout_mask(&mut own, DROPOUT, part.mask_shape(*size));
            let masks: Vec<Option<Tensor>> = sizes.iter().map(mask).collect();
            let masks = masks.into_iter().map(|mask| mask.map(|mask| sent(&mask, device))).collect();
            (part, masks)
        };
        std::thread::scope(|scope| {
            let makers: Vec<_> =
                dues.into_iter().map(|(due, items, own)| (due, scope.spawn(move || make(&items, own)))).collect();
            makers
                .into_iter()
                .map(|(due, maker)| {
                    let (part, masks) = maker.join().expect("a batch is got ready without panic");
                    (due, part, masks)
                })
                .collect()
        })
    }

    /// The share of the run that will be over after the next step; None behind the last one. However little
    /// time a run has, it learns once: weights that learned nothing are not worth a file.
    fn next_share(&self) -> Option<f64> {
        let share = match self.config.seconds {
            Some(_) if self.step == 0 => 0.5,
            Some(seconds) => self.watch.seconds() / seconds as f64,
            // Not above 1 at the last step, whatever the rounding.
            None if self.step < self.config.steps => (self.step + 1) as f64 / self.config.steps as f64,
            None => return None,
        };
        (share <= 1.0).then_some(share)
    }

    /// Whether a validation is due after the next step.
    fn judge(&self, share: f64) -> bool {
        let (next, steps) = (self.step + 1, self.config.steps);
        if self.config.seconds.is_some() {
            let (step, before) = self.judged;
            next >= step + VALIDATION_EVERY && share >= before + 1.0 / VALIDATIONS as f64 && share < 1.0
        } else {
            next.is_multiple_of((steps / VALIDATIONS).max(VALIDATION_EVERY)) && next < steps
        }
    }

    fn mark(&self) -> Mark {
        Mark { position: State::position(&self.draw), chunk: self.stream.next() }
    }
}

/// The first step of the group that a step (from 1) belongs to.
fn first_of_group(step: usize) -> usize {
    (step - 1) / GROUP * GROUP + 1
}

/// Linear warm-up, then a cosine down to 3 %.
fn schedule(share: f64) -> f64 {
    let cosine = 0.5 * (1.0 + (std::f64::consts::PI * share).cos());
    (share / WARM_SHARE).min(1.0) * (0.97 * cosine + 0.03)
}
