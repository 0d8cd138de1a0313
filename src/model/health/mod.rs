//! Health classes: a second head on the same frozen backbone, which learns to name them from labels.
//!
//! It sees each signal twice: as a few statistics of its newest steps, and as the state that the backbone
//! has after reading them, which one small layer, shared by all signals, makes short. A hidden layer then
//! joins what all signals say. A network of the same kind, apart from it so that it is what it is without
//! it, tells what will become of the asset. Every random draw comes from the recipe's seed.

mod foresight;
mod learn;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution as _, Normal};
use serde::{Deserialize, Serialize};
use tch::nn::{self, Module as _, VarStore};
use tch::{Device, Kind, Tensor};

use super::artefact::{self, ArtefactError};
use super::base::Base;
use super::engine::EngineError;
use super::recipe::ClassLoss;
use super::trainee::CurvePoint;
use super::window::{Batch, Window};
pub use foresight::{Foresight, Futures, foresee, learn_futures};
pub use learn::learn;

/// What the state of a signal is made short to.
const SHORT: i64 = 4;
/// Units of the hidden layer.
const HIDDEN: i64 = 64;
/// Windows that the backbone reads at a time.
const CHUNK: usize = 64;

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
    /// Numbers in the state of a signal: the width of the base model that saw.
    pub width: usize,
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

impl Shape {
    /// Whether a portrait has what is to be seen of it, in finite numbers.
    fn fits(self, portrait: &Portrait) -> bool {
        portrait.statistics.len() == self.signals * self.statistics
            && portrait.states.len() == self.signals * self.width
            && portrait.statistics.iter().chain(&portrait.states).all(|value| value.is_finite())
    }
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

/// What is asked about one asset.
#[derive(Clone, Debug)]
pub struct Heads {
    /// Names its class now.
    pub classifier: Arc<Classifier>,
    /// Tells what will become of it, where that was learned.
    pub foresight: Option<Arc<Foresight>>,
}

/// What is said of one asset.
#[derive(Clone, Debug, PartialEq)]
pub struct Said {
    /// Probabilities of its classes now.
    pub now: Vec<f64>,
    /// Probabilities of the outcomes of each question about its future; none where nothing was asked.
    pub ahead: Vec<Vec<f64>>,
}

impl Heads {
    /// Answers from one portrait.
    pub fn say(&self, portrait: &Portrait) -> Result<Said, EngineError> {
        let now = classify(&self.classifier, &[portrait])?.pop().ok_or(EngineError::NotFinite)?;
        let ahead = match &self.foresight {
            Some(foresight) => foresee(foresight, &[portrait])?.pop().ok_or(EngineError::NotFinite)?,
            None => Vec::new(),
        };
        Ok(Said { now, ahead })
    }
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

    fn loaded(shape: Shape, weights: &[u8]) -> Result<Self, ArtefactError> {
        let mut network = Self::new(shape);
        artefact::load(weights, &mut [("health", &mut network.store)])?;
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

/// Probabilities of the classes for each portrait; they sum to 1.
pub fn classify(classifier: &Classifier, portraits: &[&Portrait]) -> Result<Vec<Vec<f64>>, EngineError> {
    let shape = classifier.shape;
    let network = Network::loaded(shape, &classifier.weights)?;
    if portraits.is_empty() {
        return Ok(Vec::new());
    }
    if !portraits.iter().all(|portrait| shape.fits(portrait)) {
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
