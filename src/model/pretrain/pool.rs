//! Windows drawn from the synthetic plants, the same for the same seed on any number of threads.

use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use super::News;
use crate::expert::{Bank, History, Scale};
use crate::model::trainee::Example;
use crate::model::window::{CONTEXT, Window};
use crate::prior::{self, Record};

/// Steps of a simulated record.
const RECORD: usize = 2_048;
/// Windows taken from one record.
const FROM_RECORD: usize = 3;
/// Share of records that are drawn as two futures of one plant.
const PAIRS: f64 = 0.2;
/// Keeps the plants of a fine-tune job from being those of pretraining, where seeds are small too.
const FINE_TUNING: u64 = 0x6669_6e65 << 32;
/// Records made between two pieces of news.
const CHUNK: usize = 400;

/// An example, and where it came from.
#[derive(Debug)]
pub(super) struct Item {
    pub(super) example: Example,
    pub(super) family: &'static str,
    /// The next item of the pool is another future of the same plant and origin.
    pub(super) partner_next: bool,
}

/// Items by shape: only windows of one shape can share a batch.
#[derive(Debug, Default)]
pub(super) struct Pool {
    shapes: Vec<Vec<Item>>,
}

impl Pool {
    /// At least `windows` items.
    pub(super) fn draw(seed: u64, windows: usize, threads: usize, news: &mut dyn FnMut(News<'_>)) -> Self {
        let mut pool = Self::default();
        let (mut made, mut next) = (0, 0_u64);
        while made < windows {
            let indices: Vec<u64> = (next..next + CHUNK as u64).collect();
            next += CHUNK as u64;
            let share = indices.len().div_ceil(threads.max(1));
            let groups: Vec<Vec<Item>> = std::thread::scope(|scope| {
                let workers: Vec<_> = indices
                    .chunks(share)
                    .map(|part| {
                        scope.spawn(move || part.iter().map(|index| items(seed, *index, None)).collect::<Vec<_>>())
                    })
                    .collect();
                workers.into_iter().flat_map(|worker| worker.join().expect("drawing windows does not panic")).collect()
            });
            for group in groups {
                made += group.len();
                pool.add(group);
            }
            news(News::Windows(made.min(windows), windows));
        }
        pool
    }

    fn add(&mut self, group: Vec<Item>) {
        for item in group {
            let shape = item.example.window.shape();
            match self.shapes.iter_mut().find(|items| items[0].example.window.shape() == shape) {
                Some(items) => items.push(item),
                None => self.shapes.push(vec![item]),
            }
        }
    }

    /// The items of each shape.
    pub(super) fn shapes(&self) -> impl Iterator<Item = &Vec<Item>> {
        self.shapes.iter()
    }

    /// Draws about `size` items of one shape; a partner comes with its item.
    pub(super) fn batch(&self, draw: &mut ChaCha8Rng, size: usize) -> Vec<&Item> {
        let total: usize = self.shapes.iter().map(Vec::len).sum();
        let mut at = draw.random_range(0..total);
        let items = self
            .shapes
            .iter()
            .find(|items| {
                let found = at < items.len();
                at = at.saturating_sub(items.len());
                found
            })
            .expect("the index lies in one of the shapes");
        let mut batch = Vec::with_capacity(size + 1);
        while batch.len() < size {
            let index = draw.random_range(0..items.len());
            batch.push(&items[index]);
            if items[index].partner_next {
                batch.push(&items[index + 1]);
            }
        }
        batch
    }
}

/// `windows` windows of synthetic plants with the network's context and `future` steps: what
/// fine-tuning replays, so that a head stays able to serve plants that behave otherwise.
#[must_use]
pub fn synthetic(seed: u64, windows: usize, future: usize) -> Vec<Example> {
    let made = (0..).flat_map(|index| items(seed ^ FINE_TUNING, index, Some((CONTEXT, future))));
    made.map(|item| item.example).take(windows).collect()
}

/// The windows of one record, or of one pair of records; of the shape wanted, or of drawn ones.
fn items(seed: u64, index: u64, only: Option<(usize, usize)>) -> Vec<Item> {
    let mut draw = ChaCha8Rng::seed_from_u64(seed ^ index.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    if draw.random_bool(PAIRS)
        && let Some(pair) = prior::pair(seed, index, RECORD)
    {
        let drawn = shape(&mut draw);
        let shape = only.unwrap_or(drawn);
        let plan = Plan { origin: pair.at, history: history_length(&mut draw), since_fit: 0, shape };
        let both = (window(&pair.base, plan), window(&pair.other, plan));
        return match both {
            (Some(base), Some(other)) => vec![Item { partner_next: true, ..base }, other],
            _ => Vec::new(),
        };
    }
    let record = prior::record(seed, index, RECORD);
    (0..FROM_RECORD)
        .filter_map(|_| {
            let drawn = shape(&mut draw);
            let shape = only.unwrap_or(drawn);
            let last = RECORD - shape.1;
            let origin = match record.restart {
                // Just after a restart only a few samples tell the state.
                Some(restart) if draw.random_bool(0.5) => restart + [1, 4, 4, 16, 64][draw.random_range(0..5)],
                _ => draw.random_range(96..last),
            };
            let since_fit = if draw.random_bool(0.6) { 0 } else { draw.random_range(0..64) };
            let plan = Plan { origin: origin.min(last), history: history_length(&mut draw), since_fit, shape };
            window(&record, plan)
        })
        .collect()
}

/// Context and future of a window; the longer futures are rarer because they cost more.
fn shape(draw: &mut ChaCha8Rng) -> (usize, usize) {
    match draw.random_range(0..100) {
        0..65 => (CONTEXT, 64),
        65..80 => (CONTEXT, 32),
        80..95 => (CONTEXT, 128),
        _ => (CONTEXT, 256),
    }
}

/// How much history the bank is given: mostly little, so that new assets are served well.
fn history_length(draw: &mut ChaCha8Rng) -> usize {
    match draw.random_range(0..10) {
        0..2 => draw.random_range(96..448),
        2..7 => 448,
        7..9 => 1_000,
        _ => 2_000,
    }
}

#[derive(Clone, Copy)]
struct Plan {
    origin: usize,
    history: usize,
    since_fit: usize,
    shape: (usize, usize),
}

/// Normalises by the context, fits the bank, and keeps what came after.
fn window(record: &Record, plan: Plan) -> Option<Item> {
    let Plan { origin, history, since_fit, shape: (context, future) } = plan;
    let start = origin.saturating_sub(history);
    let fitted = origin.checked_sub(since_fit).filter(|fitted| *fitted >= start + 64)?;
    if origin + future > record.target.len() {
        return None;
    }
    let wide = |values: &[f32]| values.iter().map(|value| f64::from(*value)).collect::<Vec<f64>>();
    let scale = Scale::of(&wide(&record.target[start..fitted]), None);
    let target: Vec<f64> = wide(&record.target[start..origin]).iter().map(|value| scale.target(*value)).collect();
    let (past, ahead): (Vec<Vec<f64>>, Vec<Vec<f64>>) = record
        .inputs
        .iter()
        .map(|row| {
            let whole = wide(row);
            // An input that hardly moved in the context is scaled by all that it ever does, as an
            // engineering range would tell.
            let (low, high) = whole.iter().fold((f64::MAX, f64::MIN), |(low, high), v| (low.min(*v), high.max(*v)));
            let scale = Scale::of(&whole[start..fitted], Some((low, high)));
            let scaled = |from: usize, to: usize| whole[from..to].iter().map(|value| scale.input(*value)).collect();
            (scaled(start, origin), scaled(origin, origin + future))
        })
        .unzip();
    let starts: Vec<usize> = std::iter::once(0)
        .chain(record.restart.filter(|restart| (start + 1..origin).contains(restart)).map(|restart| restart - start))
        .collect();
    let fitted_starts: Vec<usize> = starts.iter().copied().filter(|first| *first < fitted - start).collect();
    let known = History { target: &target[..fitted - start], inputs: &past, starts: &fitted_starts };
    let bank = Bank::fit(&known, future);
    let whole = History { target: &target, inputs: &past, starts: &starts };
    let window = Window::new(&bank, &bank.forecast(&whole, &ahead), &whole, since_fit, &ahead, context);
    // What a faulty sensor shows is no truth to learn from; in the past the network must live with it.
    let faulty = |step: usize| record.fault.as_ref().is_some_and(|labels| labels[step] != 0);
    let truth: Vec<f32> = (origin..origin + future)
        .map(|step| if faulty(step) { f32::NAN } else { scale.target(f64::from(record.target[step])) as f32 })
        .collect();
    let example = Example::new(window, truth);
    let clean = example.window.is_finite() && example.truth.iter().any(|value| value.is_finite());
    clean.then(|| Item { example, family: record.family.name(), partner_next: false })
}
