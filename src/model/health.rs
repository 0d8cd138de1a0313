//! Health classes: a second head on the same frozen backbone, which learns to name them from labels.
//!
//! It sees each signal twice: as a few statistics of its newest steps, and as the state that the backbone
//! has after reading them, which one small layer, shared by all signals, makes short. A hidden layer then
//! joins what all signals say. Every random draw comes from the recipe's seed.

use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution as _, Normal};
use serde::{Deserialize, Serialize};
use tch::nn::{self, Module as _, VarStore};
use tch::{Device, Kind, Tensor};

use super::artefact::{self, ArtefactError};
use super::base::Base;
use super::engine::EngineError;
use super::network::redraw;
use super::recipe::{ClassLoss, ClassWeights, Classification, Recipe};
use super::trainee::{CurvePoint, TraineeError, build_optimizer, dropout_mask, schedule, shrink};
use super::window::{Batch, Window};

/// What the state of a signal is made short to.
const SHORT: i64 = 4;
/// Units of the hidden layer.
const HIDDEN: i64 = 64;
/// Windows that the backbone reads at a time.
const CHUNK: usize = 64;
/// Learning rates that are tried when a recipe names none.
const LEARNING_RATES: [f64; 2] = [7e-4, 2e-3];
/// Portraits in a step.
const BATCH: i64 = 64;
/// Steps between two evaluations; after so many of them without improvement, counted by the recipe's
/// patience, learning stops.
const EVALUATE_EVERY: u32 = 50;

/// What a classifier sees of an asset at one instant: rows of one length, signal by signal.
#[derive(Clone, Debug, PartialEq)]
pub struct Portrait {
    /// Statistics of each signal.
    pub statistics: Vec<f32>,
    /// What the backbone made of each signal.
    pub states: Vec<f32>,
}

/// A portrait with the class that the asset was in.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// What was seen.
    pub portrait: Portrait,
    /// What was so.
    pub class: usize,
}

/// What a classifier learns from.
#[derive(Clone, Debug, Default)]
pub struct Classroom {
    /// Gradients come from these.
    pub train: Vec<Sample>,
    /// Decide early stopping, the learning rate and the temperature.
    pub validation: Vec<Sample>,
}

/// Dimensions of a classifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shape {
    /// Signals that it sees.
    pub signals: usize,
    /// Statistics of each.
    pub statistics: usize,
    /// Width of a state.
    pub width: usize,
    /// Classes that it tells apart.
    pub classes: usize,
}

/// A classifier as it is stored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Classifier {
    /// Its dimensions.
    pub shape: Shape,
    /// How its scores become probabilities.
    pub loss: ClassLoss,
    /// Scores are divided by it, so that probabilities are honest (Guo et al. 2017).
    pub temperature: f64,
    /// safetensors.
    pub weights: Vec<u8>,
}

/// A classifier that has learned.
#[derive(Debug)]
pub struct Taught {
    /// It.
    pub classifier: Classifier,
    /// One point an evaluation of the attempt that was chosen.
    pub curve: Vec<CurvePoint>,
    /// Step whose weights were kept.
    pub best_step: u32,
}

/// Reads windows with the backbone: for each the state after its context, as wide as the base model.
pub fn states(base: &Base, windows: &[Window]) -> Result<Vec<Vec<f32>>, EngineError> {
    if windows.iter().any(|window| !window.is_finite()) {
        return Err(EngineError::NotFinite);
    }
    let mut all = Vec::with_capacity(windows.len());
    for chunk in windows.chunks(CHUNK) {
        let batch: Vec<&Window> = chunk.iter().collect();
        let state = tch::no_grad(|| base.backbone.states(&Batch::stack(&batch, None)).select(1, 0).contiguous());
        let width = state.size()[1] as usize;
        let flat = Vec::<f32>::try_from(state.reshape(-1)).map_err(|_| EngineError::NotFinite)?;
        all.extend(flat.chunks(width).map(<[f32]>::to_vec));
    }
    if all.iter().flatten().all(|value| value.is_finite()) { Ok(all) } else { Err(EngineError::NotFinite) }
}

/// The layers.
#[derive(Debug)]
struct Network {
    store: VarStore,
    short: nn::Linear,
    hidden: nn::Linear,
    named: nn::Linear,
    shape: Shape,
}

/// Rows as tensors.
struct Rows {
    statistics: Tensor,
    states: Tensor,
}

impl Rows {
    fn of(shape: Shape, portraits: &[&Portrait]) -> Self {
        let n = portraits.len() as i64;
        let flat = |pick: fn(&Portrait) -> &Vec<f32>| -> Tensor {
            Tensor::from_slice(&portraits.iter().flat_map(|portrait| pick(portrait)).copied().collect::<Vec<f32>>())
        };
        let signals = shape.signals as i64;
        Self {
            statistics: flat(|portrait| &portrait.statistics).view([n, signals, shape.statistics as i64]),
            states: flat(|portrait| &portrait.states).view([n, signals, shape.width as i64]),
        }
    }

    fn pick(&self, index: &Tensor) -> Self {
        Self { statistics: self.statistics.index_select(0, index), states: self.states.index_select(0, index) }
    }
}

impl Network {
    fn new(shape: Shape) -> Self {
        let store = VarStore::new(Device::Cpu);
        let root = store.root();
        let linear = |name: &str, from: i64, to: i64| nn::linear(&root / name, from, to, nn::LinearConfig::default());
        let joined = shape.signals as i64 * (shape.statistics as i64 + SHORT);
        Self {
            short: linear("short", shape.width as i64, SHORT),
            hidden: linear("hidden", joined, HIDDEN),
            named: linear("named", HIDDEN, shape.classes as i64),
            store,
            shape,
        }
    }

    fn loaded(classifier: &Classifier) -> Result<Self, ArtefactError> {
        let mut network = Self::new(classifier.shape);
        artefact::load(&classifier.weights, &mut [("health", &mut network.store)])?;
        Ok(network)
    }

    fn save(&self) -> Vec<u8> {
        artefact::save(&[("health", &self.store)])
    }

    /// Scores of the classes, `[n, classes]`. While learning, noise blurs what is seen and a mask switches
    /// hidden units off.
    fn scores(&self, rows: &Rows, noise: Option<&Tensor>, mask: Option<&Tensor>) -> Tensor {
        let short = self.short.forward(&rows.states).tanh();
        let mut joined = Tensor::cat(&[&rows.statistics, &short], -1).flatten(1, -1);
        if let Some(noise) = noise {
            joined += noise;
        }
        let mut hidden = self.hidden.forward(&joined).gelu("none");
        if let Some(mask) = mask {
            hidden *= mask;
        }
        self.named.forward(&hidden)
    }

    /// Gaussian noise on all features of `rows`.
    fn noise(&self, draw: &mut ChaCha8Rng, deviation: f64, rows: usize) -> Option<Tensor> {
        let normal = Normal::new(0.0, deviation).ok().filter(|_| deviation > 0.0)?;
        let width = self.shape.signals * (self.shape.statistics + SHORT as usize);
        let values: Vec<f32> = (0..rows * width).map(|_| normal.sample(draw) as f32).collect();
        Some(Tensor::from_slice(&values).view([rows as i64, width as i64]))
    }
}

/// What the loss compares scores with.
struct Targets {
    /// `[n, classes]`: smoothed.
    wanted: Tensor,
    /// `[n]`.
    weight: Tensor,
}

impl Targets {
    fn of(samples: &[Sample], classes: usize, how: &Classification) -> Self {
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
pub fn learn(classes: usize, room: &Classroom, recipe: &Recipe) -> Result<Taught, TraineeError> {
    let (Some(first), false) = (room.train.first(), room.validation.is_empty()) else {
        return Err(TraineeError::Empty);
    };
    let portrait = &first.portrait;
    let shape = room.shape(classes, portrait);
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
        let (loss, taught) = attempt(shape, recipe, rate, &train, &validation)?;
        if best.as_ref().is_none_or(|(least, _)| loss < *least) {
            best = Some((loss, taught));
        }
    }
    best.map(|(_, taught)| taught).ok_or(TraineeError::Empty)
}

impl Classroom {
    fn shape(&self, classes: usize, portrait: &Portrait) -> Shape {
        let width = super::base::shipped_card().size.width as usize;
        let signals = portrait.states.len() / width;
        Shape { signals, statistics: portrait.statistics.len() / signals.max(1), width, classes }
    }
}

fn attempt(
    shape: Shape,
    recipe: &Recipe,
    rate: f64,
    train: &(Rows, Targets),
    validation: &(Rows, Targets),
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

/// Probabilities of the classes for each portrait; they sum to 1.
pub fn classify(classifier: &Classifier, portraits: &[&Portrait]) -> Result<Vec<Vec<f64>>, EngineError> {
    let network = Network::loaded(classifier)?;
    let shape = classifier.shape;
    let fits = |portrait: &&Portrait| {
        portrait.statistics.len() == shape.signals * shape.statistics
            && portrait.states.len() == shape.signals * shape.width
            && portrait.statistics.iter().chain(&portrait.states).all(|value| value.is_finite())
    };
    if portraits.is_empty() {
        return Ok(Vec::new());
    }
    if !portraits.iter().all(fits) {
        return Err(EngineError::NotFinite);
    }
    let said = tch::no_grad(|| {
        let scores = network.scores(&Rows::of(shape, portraits), None, None) / classifier.temperature;
        let said = match classifier.loss {
            ClassLoss::CrossEntropy => scores.softmax(-1, Kind::Double),
            ClassLoss::BinaryCrossEntropy => scores.sigmoid().to_kind(Kind::Double),
        };
        Vec::<f64>::try_from(said.reshape(-1))
    });
    let said = said.map_err(|_| EngineError::NotFinite)?;
    let rows = said.chunks(shape.classes).map(|row| {
        let sum: f64 = row.iter().sum();
        row.iter().map(|value| value / sum).collect::<Vec<f64>>()
    });
    let rows: Vec<Vec<f64>> = rows.collect();
    if rows.iter().flatten().all(|value| value.is_finite()) { Ok(rows) } else { Err(EngineError::NotFinite) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WIDTH: usize = 96;

    /// Two signals; the class decides the level of the second and the state of the first.
    fn samples(count: usize, seed: u64) -> Vec<Sample> {
        let mut draw = ChaCha8Rng::seed_from_u64(seed);
        (0..count)
            .map(|k| {
                let class = k % 3;
                let mut noise = || draw.random::<f32>() - 0.5;
                let statistics = vec![noise(), noise(), class as f32 + noise(), noise()];
                let mut states = vec![0.0; 2 * WIDTH];
                states[3] = if class == 2 { 1.0 } else { -1.0 } + noise();
                Sample { portrait: Portrait { statistics, states }, class }
            })
            .collect()
    }

    fn accuracy(classifier: &Classifier, samples: &[Sample]) -> f64 {
        let portraits: Vec<&Portrait> = samples.iter().map(|sample| &sample.portrait).collect();
        let said = classify(classifier, &portraits).unwrap();
        let named = |row: &Vec<f64>| (0..row.len()).max_by(|a, b| row[*a].total_cmp(&row[*b])).unwrap();
        let right = said.iter().zip(samples).filter(|(row, sample)| named(row) == sample.class).count();
        right as f64 / samples.len() as f64
    }

    #[test]
    fn classes_are_learned_by_both_losses_and_the_same_seed_gives_the_same_bytes() {
        let room = Classroom { train: samples(300, 1), validation: samples(90, 2) };
        for loss in [ClassLoss::CrossEntropy, ClassLoss::BinaryCrossEntropy] {
            let classification = Classification { loss, ..Classification::default() };
            let recipe = Recipe { classification, seed: 5, ..Recipe::default() };
            let taught = learn(3, &room, &recipe).unwrap();
            assert!(taught.best_step > 0 && taught.curve.len() > 1);
            let reached = accuracy(&taught.classifier, &samples(300, 3));
            assert!(reached > 0.9, "{reached} with {loss:?}");
            assert_eq!(learn(3, &room, &recipe).unwrap().classifier, taught.classifier, "the same bytes");
        }
    }

    #[test]
    fn rare_classes_count_as_much_when_they_are_balanced() {
        let few: Vec<Sample> = samples(600, 4)
            .into_iter()
            .enumerate()
            .filter(|(k, s)| s.class > 0 || k % 60 == 0)
            .map(|(_, s)| s)
            .collect();
        let how = |class_weights| Classification { class_weights, label_smoothing: 0.0, ..Classification::default() };
        let weights = |how: &Classification| {
            let targets = Targets::of(&few, 3, how);
            let of = |class: usize| {
                let row = few.iter().position(|sample| sample.class == class).unwrap();
                targets.weight.double_value(&[row as i64])
            };
            [of(0), of(1)]
        };
        assert_eq!(weights(&how(ClassWeights::None)), [1.0, 1.0]);
        let [rare, common] = weights(&how(ClassWeights::Balanced));
        let count = |class: usize| few.iter().filter(|sample| sample.class == class).count() as f64;
        assert!((rare / common - count(1) / count(0)).abs() < 1e-4, "{rare} {common}");
    }

    #[test]
    fn probabilities_are_whole_and_what_is_no_number_is_refused() {
        let room = Classroom { train: samples(60, 1), validation: samples(30, 2) };
        let taught = learn(
            3,
            &room,
            &Recipe {
                classification: Classification { max_steps: 20, ..Classification::default() },
                ..Recipe::default()
            },
        )
        .unwrap();
        let mut portrait = room.train[0].portrait.clone();
        let said = classify(&taught.classifier, &[&portrait]).unwrap();
        assert!((said[0].iter().sum::<f64>() - 1.0).abs() < 1e-9);
        portrait.states[0] = f32::NAN;
        assert!(matches!(classify(&taught.classifier, &[&portrait]), Err(EngineError::NotFinite)));
        let mut broken = taught.classifier.clone();
        broken.weights.truncate(40);
        assert!(classify(&broken, &[&room.train[0].portrait]).is_err());
        assert!(matches!(learn(3, &Classroom::default(), &Recipe::default()), Err(TraineeError::Empty)));
    }
}
