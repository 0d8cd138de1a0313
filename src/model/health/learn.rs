//! How a classifier learns: cross-entropy, class weights, smoothed labels, noise, dropout, early stopping,
//! and a temperature at the end.

use std::ops::ControlFlow;

use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use tch::{Kind, Tensor};

use super::{Classifier, Classroom, HIDDEN, Network, Portrait, Rows, Sample, Shape, Taught};
use crate::model::network::redraw;
use crate::model::recipe::{ClassLoss, ClassWeights, Classification, Recipe};
use crate::model::trainee::{CurvePoint, TraineeError, build_optimizer, dropout_mask, matrices, schedule, shrink};

/// Learning rates that are tried when a recipe names none.
const LEARNING_RATES: [f64; 2] = [7e-4, 2e-3];
/// Portraits in a step.
const BATCH: i64 = 64;
/// Steps between two evaluations; after so many of them without improvement, counted by the recipe's
/// patience, learning stops.
const EVALUATE_EVERY: u32 = 50;

/// What scores are compared with, a row a sample.
pub(super) trait Aim {
    /// The rows of an index.
    fn pick(&self, index: &Tensor) -> Self;

    /// Mean loss of scores.
    fn loss(&self, scores: &Tensor) -> Tensor;
}

/// The class that each sample has.
pub(super) struct Targets {
    loss: ClassLoss,
    /// `[n, classes]`: smoothed.
    pub(super) wanted: Tensor,
    /// `[n]`.
    pub(super) weight: Tensor,
}

/// What came of an attempt: the weights with the least validation loss.
pub(super) struct Attempt {
    pub(super) least: f64,
    pub(super) weights: Vec<u8>,
    curve: Vec<CurvePoint>,
    best_step: u32,
}

impl Targets {
    pub(super) fn of(samples: &[Sample], classes: usize, how: &Classification) -> Self {
        let mut counts = vec![0.0; classes];
        samples.iter().for_each(|sample| counts[sample.class] += 1.0);
        let present = counts.iter().filter(|count| **count > 0.0).count() as f64;
        let weight = |class: usize| match how.class_weights {
            ClassWeights::None => 1.0,
            // As if every class had as many samples.
            ClassWeights::Balanced => samples.len() as f64 / (present * counts[class]),
        };
        let smooth = how.label_smoothing;
        let mut wanted = vec![(smooth / classes as f64) as f32; samples.len() * classes];
        for (row, sample) in samples.iter().enumerate() {
            wanted[row * classes + sample.class] += (1.0 - smooth) as f32;
        }
        let weights: Vec<f32> = samples.iter().map(|sample| weight(sample.class) as f32).collect();
        Self {
            loss: how.loss,
            wanted: Tensor::from_slice(&wanted).view([samples.len() as i64, classes as i64]),
            weight: Tensor::from_slice(&weights),
        }
    }
}

impl Aim for Targets {
    fn pick(&self, index: &Tensor) -> Self {
        let of = |rows: &Tensor| rows.index_select(0, index);
        Self { loss: self.loss, wanted: of(&self.wanted), weight: of(&self.weight) }
    }

    fn loss(&self, scores: &Tensor) -> Tensor {
        let each = match self.loss {
            ClassLoss::CrossEntropy => {
                -(&self.wanted * scores.log_softmax(-1, Kind::Float)).sum_dim_intlist(-1, false, Kind::Float)
            }
            ClassLoss::BinaryCrossEntropy => scores
                .binary_cross_entropy_with_logits::<Tensor>(&self.wanted, None, None, tch::Reduction::None)
                .sum_dim_intlist(-1, false, Kind::Float),
        };
        (each * &self.weight).sum(Kind::Float) / self.weight.sum(Kind::Float)
    }
}

/// Teaches a classifier; the weights with the best validation loss are kept.
///
/// `alive` hears of every evaluation and may stop the learning.
pub fn learn(
    classes: usize,
    room: &Classroom,
    recipe: &Recipe,
    alive: &mut dyn FnMut() -> ControlFlow<()>,
) -> Result<Taught, TraineeError> {
    let (Some(first), false) = (room.train.first(), room.validation.is_empty()) else {
        return Err(TraineeError::Empty);
    };
    let shape = shape(classes, room.width, &first.portrait);
    let portraits = |samples: &'_ [Sample]| -> Rows {
        Rows::of(shape, &samples.iter().map(|sample| &sample.portrait).collect::<Vec<_>>())
    };
    let how = &recipe.classification;
    let train = (portraits(&room.train), Targets::of(&room.train, classes, how));
    // Smoothing is for learning; what is chosen must name classes.
    let plain = Classification { label_smoothing: 0.0, ..how.clone() };
    let validation = (portraits(&room.validation), Targets::of(&room.validation, classes, &plain));
    let rates = recipe.learning_rate.map_or_else(|| LEARNING_RATES.to_vec(), |rate| vec![rate]);
    let mut best: Option<Attempt> = None;
    for rate in rates {
        let tried = attempt(shape, recipe, (rate, how.max_steps), &train, &validation, alive)?;
        if best.as_ref().is_none_or(|best| tried.least < best.least) {
            best = Some(tried);
        }
    }
    let Attempt { weights, curve, best_step, .. } = best.ok_or(TraineeError::Empty)?;
    let mut classifier = Classifier { shape, loss: how.loss, temperature: 1.0, weights };
    let kept = Network::loaded(shape, &classifier.weights).map_err(|_| TraineeError::NotFinite(best_step))?;
    let scores = tch::no_grad(|| kept.scores(&validation.0, None, None));
    classifier.temperature = temperature(|by| validation.1.loss(&(&scores / by)));
    Ok(Taught { classifier, curve, best_step })
}

/// The dimensions that a portrait calls for.
pub(super) fn shape(classes: usize, width: usize, portrait: &Portrait) -> Shape {
    let signals = portrait.states.len() / width.max(1);
    Shape { signals, statistics: portrait.statistics.len() / signals.max(1), width, classes }
}

/// Learns once, at one rate for so many steps at most.
pub(super) fn attempt<A: Aim>(
    shape: Shape,
    recipe: &Recipe,
    (rate, steps): (f64, u32),
    train: &(Rows, A),
    validation: &(Rows, A),
    alive: &mut dyn FnMut() -> ControlFlow<()>,
) -> Result<Attempt, TraineeError> {
    let network = Network::new(shape);
    let mut draw = ChaCha8Rng::seed_from_u64(recipe.seed);
    redraw(&network.store, &mut draw);
    let mut optimizer = build_optimizer(recipe, rate, &network.store)?;
    let count = train.0.statistics.size()[0];
    let judge = || -> f64 {
        tch::no_grad(|| {
            let scores = network.scores(&validation.0, None, None);
            f64::try_from(validation.1.loss(&scores)).unwrap_or(f64::NAN)
        })
    };
    let start = judge();
    let mut best = (start, network.save(), 0);
    let mut curve = vec![CurvePoint { step: 0, train_loss: start, validation_loss: start }];
    let (mut sum, mut counted, mut waited) = (0.0, 0, 0);
    let how = &recipe.classification;
    for step in 1..=steps {
        let length = rate * schedule(step, steps);
        optimizer.set_lr(length);
        let rows: Vec<i64> = (0..BATCH.min(count)).map(|_| draw.random_range(0..count)).collect();
        let noise = network.noise(&mut draw, how.noise, rows.len());
        let mask = dropout_mask(&mut draw, how.dropout, [rows.len() as i64, HIDDEN, 1, 1]);
        let mask = mask.map(|mask| mask.view([rows.len() as i64, HIDDEN]));
        let index = Tensor::from_slice(&rows);
        let scores = network.scores(&train.0.pick(&index), noise.as_ref(), mask.as_ref());
        let cost = train.1.pick(&index).loss(&scores);
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
        if step % EVALUATE_EVERY != 0 && step != steps {
            continue;
        }
        if alive().is_break() {
            return Err(TraineeError::Cancelled);
        }
        let score = judge();
        if !score.is_finite() {
            return Err(TraineeError::NotFinite(step));
        }
        curve.push(CurvePoint { step, train_loss: sum / f64::from(counted), validation_loss: score });
        (sum, counted) = (0.0, 0);
        if score < best.0 - 1e-4 {
            best = (score, network.save(), step);
            waited = 0;
        } else {
            waited += 1;
            if waited >= recipe.patience {
                break;
            }
        }
    }
    let (least, weights, best_step) = best;
    Ok(Attempt { least, weights, curve, best_step })
}

/// The temperature under which scores divided by it lose least.
pub(super) fn temperature(loss: impl Fn(f64) -> Tensor) -> f64 {
    let candidates = (-10..=10).map(|k| 2.0_f64.powf(f64::from(k) / 5.0));
    let cost = |by: &f64| tch::no_grad(|| f64::try_from(loss(*by)).unwrap_or(f64::INFINITY));
    candidates.min_by(|one, other| cost(one).total_cmp(&cost(other))).unwrap_or(1.0)
}
