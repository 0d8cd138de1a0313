//! Remaining time: small networks of their own that tell how long it is until an asset fails, as a
//! distribution over bins.
//!
//! It reads what is remembered of a run, already in deviations, and nothing of the backbone, which sees too
//! short a stretch for wear to show. The last bin holds all that lies beyond the horizon. Runs that did not
//! end in failure teach that it lasted at least so long. Every random draw comes from the recipe's seed.

mod learn;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};
use tch::nn::{self, Module as _, VarStore};
use tch::{Device, Kind, Tensor};

use super::artefact::{self, ArtefactError};
use super::engine::EngineError;
use super::trainee::CurvePoint;
pub use learn::learn_best;

/// Units of the hidden layer.
const HIDDEN: i64 = 64;

/// How networks learn from what they see. Both ways were chosen by cross-validation over training engines of
/// C-MAPSS.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Manner {
    /// Share of the hidden units that a step switches off.
    pub dropout: f64,
    /// Deviation of what a moment teaches about its neighbours, in bins: wear is not so exact that the bin
    /// beside the true one is quite wrong.
    pub smooth: f64,
    /// Steps at most.
    pub steps: u32,
}

impl Manner {
    /// From many numbers, each with much noise, that tell of the same thing.
    pub const OF_MANY: Self = Self { dropout: 0.4, smooth: 3.0, steps: 1_500 };
    /// From few clear ones.
    pub const OF_FEW: Self = Self { dropout: 0.1, smooth: 2.0, steps: 4_000 };
}

/// How long it was until failure, in bins.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Left {
    /// So long.
    Exactly(f64),
    /// At least so long: the run was broken off.
    AtLeast(f64),
}

/// What was remembered at a moment of a run, and how long it then lasted.
#[derive(Clone, Debug, PartialEq)]
pub struct Moment {
    /// In deviations; rows of one length.
    pub seen: Vec<f32>,
    /// What was so.
    pub left: Left,
}

/// Runs as they are seen in one way.
#[derive(Clone, Debug, PartialEq)]
pub struct Lesson {
    /// Run by run its moments.
    pub runs: Vec<Vec<Moment>>,
    /// How networks learn from that.
    pub manner: Manner,
}

/// Dimensions of a head.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shape {
    /// Numbers that it reads.
    pub features: usize,
    /// Bins, the one beyond the horizon included.
    pub bins: usize,
    /// Networks that answer together.
    pub members: usize,
}

/// A head as it is stored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Head {
    /// Its dimensions.
    pub shape: Shape,
    /// Scores are divided by it, so that probabilities are honest (Guo et al. 2017).
    pub temperature: f64,
    /// safetensors.
    pub weights: Vec<u8>,
}

/// A head that has learned.
#[derive(Debug)]
pub struct Taught {
    /// It.
    pub head: Head,
    /// One point an evaluation of its first network.
    pub curve: Vec<CurvePoint>,
    /// Steps that each of its networks learned for.
    pub best_steps: Vec<u32>,
    /// Mean of minus the logarithm of the probability of what was so, each run told by the network that did
    /// not learn from it.
    pub loss: f64,
}

/// The layers.
#[derive(Debug)]
struct Network {
    store: VarStore,
    hidden: nn::Linear,
    bins: nn::Linear,
}

impl Network {
    fn new(shape: Shape) -> Self {
        let store = VarStore::new(Device::Cpu);
        let root = store.root();
        let linear = |name: &str, from: i64, to: i64| nn::linear(&root / name, from, to, nn::LinearConfig::default());
        Self {
            hidden: linear("hidden", shape.features as i64, HIDDEN),
            bins: linear("bins", HIDDEN, shape.bins as i64),
            store,
        }
    }

    /// The same as it is now.
    fn copy(&self, shape: Shape) -> Result<Self, tch::TchError> {
        let mut copy = Self::new(shape);
        copy.store.copy(&self.store)?;
        Ok(copy)
    }

    /// Scores of the bins, `[n, bins]`; while learning, a mask switches hidden units off.
    fn scores(&self, seen: &Tensor, mask: Option<&Tensor>) -> Tensor {
        let hidden = self.hidden.forward(seen).tanh();
        // Not in place: the gradient of tanh needs what it gave.
        self.bins.forward(&mask.map_or_else(|| hidden.shallow_clone(), |mask| &hidden * mask))
    }
}

/// Rows of equal length as one tensor.
fn rows<'a>(features: usize, rows: impl Iterator<Item = &'a [f32]>) -> Tensor {
    let flat: Vec<f32> = rows.flatten().copied().collect();
    Tensor::from_slice(&flat).view([-1, features as i64])
}

/// Names of the networks' variables begin with these.
fn prefix(member: usize) -> String {
    format!("remaining.{member}")
}

fn save(networks: &[Network]) -> Vec<u8> {
    let prefixes: Vec<String> = (0..networks.len()).map(prefix).collect();
    let stores = prefixes.iter().zip(networks).map(|(prefix, network)| (prefix.as_str(), &network.store));
    artefact::save(&stores.collect::<Vec<_>>())
}

fn load(head: &Head) -> Result<Vec<Network>, ArtefactError> {
    let load = |member: usize| {
        let mut network = Network::new(head.shape);
        artefact::load(&head.weights, &mut [(&prefix(member), &mut network.store)])?;
        Ok(network)
    };
    (0..head.shape.members).map(load).collect()
}

/// Probabilities of the bins for each row; they sum to 1.
pub fn foretell(head: &Head, seen: &[&[f32]]) -> Result<Vec<Vec<f64>>, EngineError> {
    let networks = load(head)?;
    let fits = |row: &&[f32]| row.len() == head.shape.features && row.iter().all(|value| value.is_finite());
    if seen.is_empty() {
        return Ok(Vec::new());
    }
    if !seen.iter().all(fits) {
        return Err(EngineError::NotFinite);
    }
    let said = tch::no_grad(|| {
        let seen = rows(head.shape.features, seen.iter().copied());
        let of = |network: &Network| (network.scores(&seen, None) / head.temperature).softmax(-1, Kind::Double);
        let sum = networks.iter().map(of).reduce(|sum, said| sum + said);
        sum.map(|sum| Vec::<f64>::try_from((sum / networks.len() as f64).reshape(-1)))
    });
    let said = said.and_then(Result::ok).ok_or(EngineError::NotFinite)?;
    let said: Vec<Vec<f64>> = said.chunks(head.shape.bins).map(<[f64]>::to_vec).collect();
    if said.iter().flatten().all(|value| value.is_finite()) { Ok(said) } else { Err(EngineError::NotFinite) }
}
