//! What of a backbone learns with a head, and how a version carries it.
//!
//! Always true: what learns lies in a variable store of its own, and only that store and the head's are given to an
//! optimiser, so that nothing can move the base model; before its first step it computes what the base model does,
//! bit for bit. A version carries no more than what learned: tensors of the backbone in the place of the base
//! model's, or adapters that are added to them when it is loaded.

use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use tch::nn::VarStore;
use tch::{Device, Tensor};

use super::artefact::{self, ArtefactError};
use super::freeze::Freeze;
use super::network::{Backbone, Block, Size, speaking, through, tokens};
use super::trainee::paired_variables;
use super::window::Batch;

/// Rank of an adapter. The change is `(alpha / r) B A` with alpha = r, so that an artefact needs no number beside them.
const RANK: i64 = 4;
/// What adapters begin with is drawn from this stream of the seed: another than a step's windows.
const STREAM: u64 = 0xada9;
/// Prefix of the tensors that take the place of the base model's.
const BACKBONE: &str = "backbone";
/// Prefix of the tensors of adapters.
const ADAPTER: &str = "adapter";

/// What of a backbone learns.
#[derive(Debug)]
pub(super) enum Thawed {
    /// Nothing: head and decoder do, or the head alone.
    Nothing,
    /// The last block and the norm after it.
    Last(Last),
    /// Changes of low rank in every block.
    Adapters(Adapters),
    /// All of it.
    Whole(Backbone),
}

/// The last block of a backbone, and the norm after it.
#[derive(Debug)]
pub(super) struct Last {
    store: VarStore,
    block: Block,
    norm: Tensor,
    size: Size,
}

/// Changes of low rank in the linear layers of every block.
#[derive(Debug)]
pub(super) struct Adapters {
    store: VarStore,
    /// For each block, for each of its layers.
    changes: Vec<[Change; 4]>,
    /// The frozen blocks, and the norm after them.
    blocks: Vec<Block>,
    norm: Tensor,
    size: Size,
}

/// A change of a weight `[out, in]`: the product of two narrow matrices.
#[derive(Debug)]
struct Change {
    /// `[rank, in]`.
    a: Tensor,
    /// `[out, rank]`.
    b: Tensor,
}

/// What of a batch needs to be computed only once: as far as nothing learns.
pub(super) fn once(backbone: &Backbone, freeze: Freeze, batch: &Batch) -> Tensor {
    match freeze {
        Freeze::Head | Freeze::Decoder => backbone.states(batch),
        Freeze::LastBlock => {
            let before = backbone.blocks.len().saturating_sub(1);
            through(&backbone.blocks[..before], backbone.size, &backbone.enter(&tokens(batch)))
        }
        Freeze::Adapters => backbone.enter(&tokens(batch)),
        Freeze::All => tokens(batch),
    }
}

impl Thawed {
    /// What learns of a backbone by a policy, as it begins. The seed decides every draw.
    pub(super) fn new(backbone: &Backbone, freeze: Freeze, seed: u64) -> Self {
        match freeze {
            Freeze::Head | Freeze::Decoder => Self::Nothing,
            Freeze::LastBlock => Self::Last(Last::new(backbone)),
            Freeze::Adapters => {
                let adapters = Adapters::new(backbone);
                adapters.draw(seed);
                Self::Adapters(adapters)
            }
            Freeze::All => Self::Whole(backbone.copy()),
        }
    }

    /// Its variables and their prefix in an artefact; `None` where nothing learns.
    pub(super) fn store(&self) -> Option<(&'static str, &VarStore)> {
        match self {
            Self::Nothing => None,
            Self::Last(last) => Some((BACKBONE, &last.store)),
            Self::Adapters(adapters) => Some((ADAPTER, &adapters.store)),
            Self::Whole(backbone) => Some((BACKBONE, backbone.store())),
        }
    }

    /// The states that speak for the future patches, of what is computed only [`once`].
    pub(super) fn states(&self, known: &Tensor, (context, future): (i64, i64)) -> Tensor {
        let (x, norm) = match self {
            Self::Nothing => return known.shallow_clone(),
            Self::Last(Last { block, norm, size, .. }) => (through(std::slice::from_ref(block), *size, known), norm),
            Self::Adapters(adapters) => (through(&adapters.adapted(), adapters.size, known), &adapters.norm),
            Self::Whole(backbone) => (through(&backbone.blocks, backbone.size, &backbone.enter(known)), &backbone.norm),
        };
        speaking(&x, norm, context, future)
    }

    /// Its variables, each beside that of the backbone that it came from. Adapters have no such: see [`Self::changes`].
    pub(super) fn beside(&self, backbone: &Backbone) -> Vec<(Tensor, Tensor)> {
        match self.store() {
            Some((BACKBONE, store)) => paired_variables(store, backbone.store()),
            _ => Vec::new(),
        }
    }

    /// What adapters add to each weight.
    pub(super) fn changes(&self) -> Vec<Tensor> {
        match self {
            Self::Adapters(adapters) => adapters.changes.iter().flatten().map(Change::product).collect(),
            _ => Vec::new(),
        }
    }

    /// Takes its variables from an artefact that has them all.
    pub(super) fn fill(&self, bytes: &[u8]) -> Result<(), ArtefactError> {
        self.store().map_or(Ok(()), |own| artefact::fill(bytes, artefact::named(&[own])))
    }
}

impl Last {
    fn new(backbone: &Backbone) -> Self {
        let (store, size) = (VarStore::new(Device::Cpu), backbone.size);
        let root = store.root();
        let block = Block::new(size, &(&root / "blocks" / size.layers.saturating_sub(1)));
        let norm = root.ones("norm", &[size.width]);
        let origin = backbone.store().variables();
        tch::no_grad(|| {
            for (name, mut variable) in store.variables() {
                variable.copy_(origin.get(&name).expect("a backbone has a last block and a norm"));
            }
        });
        Self { store, block, norm, size }
    }
}

impl Adapters {
    /// Adapters that change nothing: both matrices are zero.
    fn new(backbone: &Backbone) -> Self {
        let store = VarStore::new(Device::Cpu);
        let root = store.root();
        let change = |number: usize, block: &Block| {
            let path = &root / "blocks" / number;
            block.layers().map(|(name, layer)| {
                let (path, size) = (&path / name, layer.ws.size());
                Change { a: path.zeros("a", &[RANK, size[1]]), b: path.zeros("b", &[size[0], RANK]) }
            })
        };
        let changes = backbone.blocks.iter().enumerate().map(|(number, block)| change(number, block)).collect();
        let blocks = backbone.blocks.iter().map(|block| block.map(|_, weight| weight.shallow_clone())).collect();
        Self { changes, blocks, norm: backbone.norm.shallow_clone(), size: backbone.size, store }
    }

    /// Draws A, as a linear layer begins: with B at zero nothing is changed, and B has a gradient.
    fn draw(&self, seed: u64) {
        let mut draw = ChaCha8Rng::seed_from_u64(seed);
        draw.set_stream(STREAM);
        for Change { a, .. } in self.changes.iter().flatten() {
            let shape = a.size();
            let bound = (1.0 / shape[1] as f64).sqrt() as f32;
            let values: Vec<f32> = (0..a.numel()).map(|_| bound * (2.0 * draw.random::<f32>() - 1.0)).collect();
            tch::no_grad(|| a.shallow_clone().copy_(&Tensor::from_slice(&values).view(shape.as_slice())));
        }
    }

    /// The blocks with their changes.
    fn adapted(&self) -> Vec<Block> {
        let adapted =
            |(block, changes): (&Block, &[Change; 4])| block.map(|place, weight| weight + changes[place].product());
        self.blocks.iter().zip(&self.changes).map(adapted).collect()
    }
}

impl Change {
    fn product(&self) -> Tensor {
        self.b.matmul(&self.a)
    }
}

/// Whether the head of an artefact stands on a backbone of its own, and not on the base model's as it is.
pub(super) fn stands_apart(bytes: &[u8]) -> Result<bool, ArtefactError> {
    Ok(!carried(bytes)?.is_empty())
}

/// The backbone of an artefact that has one of its own; `None` where its head stands on the base model's as it is.
pub(super) fn own_backbone(base: &Backbone, bytes: &[u8]) -> Result<Option<Backbone>, ArtefactError> {
    let carried = carried(bytes)?;
    if carried.is_empty() {
        return Ok(None);
    }
    let own = base.copy();
    let mut known = artefact::named(&[(BACKBONE, own.store())]);
    known.retain(|(name, _)| carried.contains(name));
    let adapters = carried.iter().any(|name| behind(ADAPTER, name)).then(|| Adapters::new(base));
    known.extend(adapters.iter().flat_map(|adapters| artefact::named(&[(ADAPTER, &adapters.store)])));
    if let Some(unknown) = carried.into_iter().find(|name| !known.iter().any(|(other, _)| other == name)) {
        return Err(ArtefactError::Unknown(unknown));
    }
    artefact::fill(bytes, known)?;
    tch::no_grad(|| {
        for (block, adapted) in own.blocks.iter().zip(adapters.iter().flat_map(Adapters::adapted)) {
            for ((_, layer), (_, adapted)) in block.layers().into_iter().zip(adapted.layers()) {
                layer.ws.shallow_clone().copy_(&adapted.ws);
            }
        }
    });
    Ok(Some(own))
}

/// Names of the tensors that an artefact has of a backbone, or to add to one; in order, so that always the same one is
/// complained of.
fn carried(bytes: &[u8]) -> Result<Vec<String>, ArtefactError> {
    let mut names = artefact::names(bytes)?;
    names.retain(|name| behind(BACKBONE, name) || behind(ADAPTER, name));
    names.sort_unstable();
    Ok(names)
}

fn behind(prefix: &str, name: &str) -> bool {
    name.strip_prefix(prefix).is_some_and(|rest| rest.starts_with('.'))
}

#[cfg(test)]
mod tests;
