//! Windows of the synthetic plants: which stretch of a record, how much history the bank is given,
//! what came after.
//!
//! Always true: the windows of a record depend on (seed, index) alone.

use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use crate::expert::{Bank, History, Scale};
use crate::model::trainee::Example;
use crate::model::window::{CONTEXT, Window};
use crate::prior::{self, Record};

/// Steps of a simulated record.
pub(super) const RECORD: usize = 2_048;
/// Windows taken from one record.
const FROM_RECORD: usize = 3;
/// Share of records that are drawn as two futures of one plant.
const PAIRS: f64 = 0.2;
/// Futures that windows have, with their shares in percent: the longer ones are rarer because they
/// cost more.
pub(super) const FUTURES: [(usize, usize); 4] = [(64, 65), (32, 15), (128, 15), (256, 5)];
/// Keeps the plants of a fine-tune job from being those of pretraining, where seeds are small too.
const FINE_TUNING: u64 = 0x6669_6e65 << 32;

/// An example, and where it came from.
#[derive(Debug)]
pub(super) struct Item {
    pub(super) example: Example,
    pub(super) family: &'static str,
    /// The next item is another future of the same plant and origin.
    pub(super) partner_next: bool,
}

/// `windows` windows of synthetic plants with the network's context and `future` steps: what
/// fine-tuning replays, so that a head stays able to serve plants that behave otherwise.
#[must_use]
pub fn synthetic(seed: u64, windows: usize, future: usize) -> Vec<Example> {
    let made = (0..).flat_map(|index| items(seed ^ FINE_TUNING, index, Some((CONTEXT, future))));
    made.map(|item| item.example).take(windows).collect()
}

/// The windows of one record, or of one pair of records; of the shape wanted, or of drawn ones.
pub(super) fn items(seed: u64, index: u64, only: Option<(usize, usize)>) -> Vec<Item> {
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

/// Context and future of a window.
fn shape(draw: &mut ChaCha8Rng) -> (usize, usize) {
    let mut left = draw.random_range(0..100);
    let chosen = FUTURES.iter().find(|(_, share)| {
        let found = left < *share;
        left = left.saturating_sub(*share);
        found
    });
    (CONTEXT, chosen.map_or(FUTURES[0].0, |(future, _)| *future))
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
    let known =
        History { target: &target[..fitted - start], inputs: &past, others: &[], starts: &fitted_starts, silent: &[] };
    let bank = Bank::fit(&known, future);
    let whole = History { target: &target, inputs: &past, others: &[], starts: &starts, silent: &[] };
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
