//! How remaining time is learned: cross-entropy with smoothed bins, the mass of the tail where a run was
//! broken off, dropout, early stopping. Several networks, each of which stops by runs that it did not learn
//! from, answer together (bagging by cross-validation; Krogh and Vedelsby 1995).

use std::ops::ControlFlow;

use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use statrs::function::erf::erf;
use tch::{Kind, Tensor};

use super::{HIDDEN, Head, Left, Lesson, Manner, Moment, Network, Shape, Taught, rows, save};
use crate::model::network::redraw;
use crate::model::recipe::Recipe;
use crate::model::trainee::{CurvePoint, TraineeError, build_optimizer, dropout_mask, matrices, schedule, shrink};

/// Networks at most; with fewer runs one for each run.
const MEMBERS: usize = 5;
/// Learning rate when a recipe names none.
const LEARNING_RATE: f64 = 5e-3;
/// Moments in a step.
const BATCH: usize = 256;
/// Steps between two evaluations.
const EVALUATE_EVERY: u32 = 50;
/// Keeps logarithms of shares from minus infinity.
const LEAST: f64 = 1e-6;
/// What is tried as a temperature, in fifths of a doubling: only too sure answers are blurred, for smoothed
/// bins make none too sharp.
const TEMPERATURES: std::ops::RangeInclusive<i32> = 0..=8;

/// What the loss compares scores with.
pub(super) struct Targets {
    /// `[n, bins]`: where the end is known, the probability of each bin.
    wanted: Tensor,
    /// `[n, bins]`: elsewhere, the logarithm of how much of each bin is as late as the run was broken off.
    tail: Tensor,
    /// `[n]`: whether the end is known.
    known: Tensor,
}

impl Targets {
    /// `smooth` is the deviation in bins.
    pub(super) fn of(moments: &[&Moment], bins: usize, smooth: f64) -> Self {
        let normal = |z: f64| 0.5 * (1.0 + erf(z / std::f64::consts::SQRT_2));
        let (mut wanted, mut tail, mut known) = (Vec::new(), Vec::new(), Vec::new());
        for moment in moments {
            let (at, exact) = match moment.left {
                Left::Exactly(at) => (at, true),
                Left::AtLeast(at) => (at, false),
            };
            known.push(exact);
            for bin in 0..bins {
                // What is smeared below now, or beyond the horizon, belongs to the first and the last bin.
                let low = if bin == 0 { 0.0 } else { normal((bin as f64 - at) / smooth) };
                let high = if bin + 1 == bins { 1.0 } else { normal((bin as f64 + 1.0 - at) / smooth) };
                wanted.push(if exact { (high - low) as f32 } else { 0.0 });
                let later = if bin + 1 == bins { 1.0 } else { normal((bin as f64 + 0.5 - at) / smooth) };
                tail.push(if exact { 0.0 } else { later.max(LEAST).ln() as f32 });
            }
        }
        let table = |values: &[f32]| Tensor::from_slice(values).view([-1, bins as i64]);
        Self { wanted: table(&wanted), tail: table(&tail), known: Tensor::from_slice(&known) }
    }

    fn pick(&self, index: &Tensor) -> Self {
        let pick = |tensor: &Tensor| tensor.index_select(0, index);
        Self { wanted: pick(&self.wanted), tail: pick(&self.tail), known: pick(&self.known) }
    }

    /// Mean loss of scores: cross-entropy where the end is known, minus the logarithm of the tail's mass
    /// where it is not.
    pub(super) fn loss(&self, scores: &Tensor) -> Tensor {
        let logs = scores.log_softmax(-1, Kind::Float);
        let exact = -(&self.wanted * &logs).sum_dim_intlist(-1, false, Kind::Float);
        let least = -(&logs + &self.tail).logsumexp(-1, false);
        exact.where_self(&self.known, &least).mean(Kind::Float)
    }
}

/// Moments as tensors.
struct Material {
    seen: Tensor,
    targets: Targets,
    count: usize,
}

impl Material {
    fn of(moments: &[&Moment], shape: Shape, smooth: f64) -> Self {
        Self {
            seen: rows(shape.features, moments.iter().map(|moment| moment.seen.as_slice())),
            targets: Targets::of(moments, shape.bins, smooth),
            count: moments.len(),
        }
    }

    fn loss(&self, network: &Network) -> f64 {
        tch::no_grad(|| f64::try_from(self.targets.loss(&network.scores(&self.seen, None))).unwrap_or(f64::NAN))
    }
}

/// Teaches a head from each of several ways to see the same runs, and keeps the one that told best what
/// remained of runs that it did not learn from: which way that is, and the head. Of equals the first.
///
/// `alive` hears of every evaluation and may stop the learning.
pub fn learn_best(
    bins: usize,
    lessons: &[Lesson],
    recipe: &Recipe,
    alive: &mut dyn FnMut() -> ControlFlow<()>,
) -> Result<(usize, Taught), TraineeError> {
    let mut best: Option<(usize, Taught)> = None;
    for (way, lesson) in lessons.iter().enumerate() {
        let taught = learn(bins, lesson, recipe, alive)?;
        if best.as_ref().is_none_or(|(_, known)| taught.loss < known.loss) {
            best = Some((way, taught));
        }
    }
    best.ok_or(TraineeError::Empty)
}

/// Teaches a head of so many bins from runs, of which there must be two. Every run says when networks stop
/// that did not learn from it.
pub(super) fn learn(
    bins: usize,
    lesson: &Lesson,
    recipe: &Recipe,
    alive: &mut dyn FnMut() -> ControlFlow<()>,
) -> Result<Taught, TraineeError> {
    let runs: Vec<&[Moment]> = lesson.runs.iter().map(Vec::as_slice).filter(|run| !run.is_empty()).collect();
    let members = MEMBERS.min(runs.len());
    let features = runs.first().map_or(0, |run| run[0].seen.len());
    if members < 2 {
        return Err(TraineeError::Empty);
    }
    let shape = Shape { features, bins, members };
    let mut networks = Vec::with_capacity(members);
    let (mut best_steps, mut curve) = (Vec::with_capacity(members), Vec::new());
    let mut costs: Vec<(i32, f64)> = TEMPERATURES.map(|fifths| (fifths, 0.0)).collect();
    for member in 0..members {
        let part = |mine: bool| -> Vec<&Moment> {
            let chosen = runs.iter().enumerate().filter(|(place, _)| (place % members == member) == mine);
            chosen.flat_map(|(_, run)| run.iter()).collect()
        };
        let (train, stops) = (part(false), part(true));
        let materials = [&train, &stops].map(|moments| Material::of(moments, shape, lesson.manner.smooth));
        let [_, validation] = &materials;
        let seed = recipe.seed.wrapping_add((member as u64) << 32);
        let learned = attempt((shape, lesson.manner), recipe, seed, &materials, alive)?;
        let sharp = Targets::of(&stops, bins, LEAST);
        let scores = tch::no_grad(|| learned.network.scores(&validation.seen, None));
        for (fifths, cost) in &mut costs {
            let loss = tch::no_grad(|| f64::try_from(sharp.loss(&(&scores / temperature(*fifths)))));
            *cost += loss.unwrap_or(f64::INFINITY) * stops.len() as f64;
        }
        best_steps.push(learned.best_step);
        if member == 0 {
            curve = learned.curve;
        }
        networks.push(learned.network);
    }
    let likeliest = costs.iter().min_by(|(_, one), (_, other)| one.total_cmp(other));
    let (fifths, cost) = likeliest.copied().unwrap_or((0, f64::INFINITY));
    let head = Head { shape, temperature: temperature(fifths), weights: save(&networks) };
    let moments: usize = runs.iter().map(|run| run.len()).sum();
    Ok(Taught { head, curve, best_steps, loss: cost / moments as f64 })
}

fn temperature(fifths: i32) -> f64 {
    2.0_f64.powf(f64::from(fifths) / 5.0)
}

struct Learned {
    network: Network,
    curve: Vec<CurvePoint>,
    best_step: u32,
}

/// One network, as it was when `validation` liked it best.
fn attempt(
    (shape, manner): (Shape, Manner),
    recipe: &Recipe,
    seed: u64,
    [train, validation]: &[Material; 2],
    alive: &mut dyn FnMut() -> ControlFlow<()>,
) -> Result<Learned, TraineeError> {
    let network = Network::new(shape);
    let mut draw = ChaCha8Rng::seed_from_u64(seed);
    redraw(&network.store, &mut draw);
    let rate = recipe.learning_rate.unwrap_or(LEARNING_RATE);
    let mut optimizer = build_optimizer(recipe, rate, &network.store)?;
    let start = validation.loss(&network);
    let mut best = (start, network.copy(shape)?, 0);
    let mut curve = vec![CurvePoint { step: 0, train_loss: start, validation_loss: start }];
    let (mut sum, mut counted, mut waited) = (0.0, 0, 0);
    for step in 1..=manner.steps {
        let length = rate * schedule(step, manner.steps);
        optimizer.set_lr(length);
        let rows: Vec<i64> = (0..BATCH.min(train.count)).map(|_| draw.random_range(0..train.count) as i64).collect();
        let mask = dropout_mask(&mut draw, manner.dropout, [rows.len() as i64, HIDDEN, 1, 1]);
        let mask = mask.map(|mask| mask.view([rows.len() as i64, HIDDEN]));
        let index = Tensor::from_slice(&rows);
        let scores = network.scores(&train.seen.index_select(0, &index), mask.as_ref());
        let cost = train.targets.pick(&index).loss(&scores);
        let value = f64::try_from(cost.detach())?;
        if !value.is_finite() {
            return Err(TraineeError::NotFinite(step));
        }
        optimizer.zero_grad();
        cost.f_backward()?;
        optimizer.clip_grad_norm(recipe.gradient_clip);
        optimizer.step();
        if recipe.l1 > 0.0 {
            shrink(matrices(&network.store), recipe.l1 * length);
        }
        (sum, counted) = (sum + value, counted + 1);
        if step % EVALUATE_EVERY != 0 {
            continue;
        }
        if alive().is_break() {
            return Err(TraineeError::Cancelled);
        }
        let score = validation.loss(&network);
        if !score.is_finite() {
            return Err(TraineeError::NotFinite(step));
        }
        curve.push(CurvePoint { step, train_loss: sum / f64::from(counted), validation_loss: score });
        (sum, counted) = (0.0, 0);
        if score < best.0 - 1e-4 {
            best = (score, network.copy(shape)?, step);
            waited = 0;
        } else {
            waited += 1;
            if waited >= recipe.patience {
                break;
            }
        }
    }
    Ok(Learned { network: best.1, curve, best_step: best.2 })
}
