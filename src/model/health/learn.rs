//! How a classifier learns: cross-entropy, class weights, smoothed labels, noise, dropout, early stopping,
//! and a temperature at the end.

use std::ops::ControlFlow;

use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use tch::{Kind, Tensor};

use super::{Classifier, Classroom, HIDDEN, Network, Portrait, Rows, Sample, Shape, Taught};
use crate::model::network::redraw;
use crate::model::recipe::{ClassLoss, ClassWeights, Classification, Recipe};
use crate::model::trainee::{CurvePoint, TraineeError, build_optimizer, dropout_mask, schedule, shrink};

/// Learning rates that are tried when a recipe names none.
const LEARNING_RATES: [f64; 2] = [7e-4, 2e-3];
/// Portraits in a step.
const BATCH: i64 = 64;
/// Steps between two evaluations; after so many of them without improvement, counted by the recipe's
/// patience, learning stops.
const EVALUATE_EVERY: u32 = 50;

/// What the loss compares scores with.
pub(super) struct Targets {
    /// `[n, classes]`: smoothed.
    pub(super) wanted: Tensor,
    /// `[n]`.
    pub(super) weight: Tensor,
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
            wanted: Tensor::from_slice(&wanted).view([samples.len() as i64, classes as i64]),
            weight: Tensor::from_slice(&weights),
        }
    }

    fn pick(&self, index: &Tensor) -> Self {
        Self { wanted: self.wanted.index_select(0, index), weight: self.weight.index_select(0, index) }
    }

    /// Weighted mean loss of scores.
    fn loss(&self, loss: ClassLoss, scores: &Tensor) -> Tensor {
        let each = match loss {
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
    let mut best: Option<(f64, Taught)> = None;
    for rate in rates {
        let (loss, taught) = attempt(shape, recipe, rate, &train, &validation, alive)?;
        if best.as_ref().is_none_or(|(least, _)| loss < *least) {
            best = Some((loss, taught));
        }
    }
    best.map(|(_, taught)| taught).ok_or(TraineeError::Empty)
}

/// The dimensions that a portrait calls for.
fn shape(classes: usize, width: usize, portrait: &Portrait) -> Shape {
    let signals = portrait.states.len() / width.max(1);
    Shape { signals, statistics: portrait.statistics.len() / signals.max(1), width, classes }
}

fn attempt(
    shape: Shape,
    recipe: &Recipe,
    rate: f64,
    train: &(Rows, Targets),
    validation: &(Rows, Targets),
    alive: &mut dyn FnMut() -> ControlFlow<()>,
) -> Result<(f64, Taught), TraineeError> {
    let loss = recipe.classification.loss;
    let network = Network::new(shape);
    let mut draw = ChaCha8Rng::seed_from_u64(recipe.seed);
    redraw(&network.store, &mut draw);
    let mut optimizer = build_optimizer(recipe, rate, &network.store)?;
    let count = train.1.weight.size()[0];
    let judge = || -> f64 {
        tch::no_grad(|| {
            let scores = network.scores(&validation.0, None, None);
            f64::try_from(validation.1.loss(loss, &scores)).unwrap_or(f64::NAN)
        })
    };
    let start = judge();
    let mut best = (start, network.save(), 0);
    let mut curve = vec![CurvePoint { step: 0, train_loss: start, validation_loss: start }];
    let (mut sum, mut counted, mut waited) = (0.0, 0, 0);
    let how = &recipe.classification;
    for step in 1..=how.max_steps {
        let length = rate * schedule(step, how.max_steps);
        optimizer.set_lr(length);
        let rows: Vec<i64> = (0..BATCH.min(count)).map(|_| draw.random_range(0..count)).collect();
        let noise = network.noise(&mut draw, how.noise, rows.len());
        let mask = dropout_mask(&mut draw, how.dropout, [rows.len() as i64, HIDDEN, 1, 1]);
        let mask = mask.map(|mask| mask.view([rows.len() as i64, HIDDEN]));
        let index = Tensor::from_slice(&rows);
        let scores = network.scores(&train.0.pick(&index), noise.as_ref(), mask.as_ref());
        let cost = train.1.pick(&index).loss(loss, &scores);
        let value = f64::try_from(cost.detach())?;
        if !value.is_finite() {
            return Err(TraineeError::NotFinite(step));
        }
        optimizer.zero_grad();
        cost.f_backward()?;
        optimizer.clip_grad_norm(recipe.gradient_clip);
        optimizer.step();
        if recipe.l1 > 0.0 {
            shrink(&network.store, recipe.l1 * length);
        }
        (sum, counted) = (sum + value, counted + 1);
        if step % EVALUATE_EVERY != 0 && step != how.max_steps {
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
    let mut classifier = Classifier { shape, loss, temperature: 1.0, weights };
    let kept = Network::loaded(&classifier).map_err(|_| TraineeError::NotFinite(best_step))?;
    let scores = tch::no_grad(|| kept.scores(&validation.0, None, None));
    classifier.temperature = temperature(loss, &scores, &validation.1);
    Ok((least, Taught { classifier, curve, best_step }))
}

/// The temperature under which the validation samples are likeliest.
fn temperature(loss: ClassLoss, scores: &Tensor, targets: &Targets) -> f64 {
    let candidates = (-10..=10).map(|k| 2.0_f64.powf(f64::from(k) / 5.0));
    let cost = |temperature: &f64| {
        tch::no_grad(|| f64::try_from(targets.loss(loss, &(scores / *temperature))).unwrap_or(f64::INFINITY))
    };
    candidates.min_by(|one, other| cost(one).total_cmp(&cost(other))).unwrap_or(1.0)
}
