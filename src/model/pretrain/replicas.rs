//! The network while it learns: one replica for each part of a batch, so that every part has a core.
//!
//! Always true: a batch is cut into [`PARTS`] parts whatever the machine has, each part draws from a
//! generator of its own, and their gradients are summed in order. So the weights do not depend on
//! how many cores there were, and libtorch itself never uses more than one thread.

use std::thread;

use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use tch::{Device, TchError};

use super::adam::Adam;
use super::loss::{DROPOUT, Part, loss};
use super::windows::Item;
use crate::model::artefact;
use crate::model::network::{Backbone, Head, Size, redraw};
use crate::model::trainee::dropout_mask;

/// Parts of a batch.
const PARTS: usize = 2;

/// One replica.
#[derive(Debug)]
pub(super) struct Replica {
    pub(super) backbone: Backbone,
    pub(super) head: Head,
}

impl Replica {
    /// Weights of libtorch's own drawing on a device.
    pub(super) fn on(device: Device, size: Size) -> Self {
        Self { backbone: Backbone::on(device, size), head: Head::on(device, size) }
    }

    /// Draws its weights anew.
    pub(super) fn redraw(&self, draw: &mut ChaCha8Rng) {
        redraw(self.backbone.store(), draw);
        redraw(self.head.store(), draw);
    }

    /// Its weights by name.
    pub(super) fn named(&self) -> Vec<(String, tch::Tensor)> {
        artefact::named(&[("backbone", self.backbone.store()), ("head", self.head.store())])
    }

    /// Leaves the gradients of a part's share of the loss; returns that share.
    fn learn(&mut self, items: &[&Item], share: f64, mut draw: ChaCha8Rng) -> Result<f64, TchError> {
        // The setting is one of the thread, and this one is new.
        tch::set_num_threads(1);
        let part = Part::new(items, &mut draw, Device::Cpu);
        let mask = dropout_mask(&mut draw, DROPOUT, part.mask_shape(self.head.size()));
        let loss = loss(&self.backbone, &self.head, &part, mask.as_ref()) * share;
        let value = f64::try_from(loss.detach())?;
        if value.is_finite() {
            loss.f_backward()?;
        }
        Ok(value)
    }
}

/// All replicas; the optimiser moves the first, the others follow.
#[derive(Debug)]
pub(super) struct Replicas([Replica; PARTS]);

impl Replicas {
    /// Fresh weights from a seeded generator, and their optimiser.
    pub(super) fn new(size: Size, draw: &mut ChaCha8Rng) -> (Self, Adam) {
        let replicas = Self(std::array::from_fn(|_| Replica::on(Device::Cpu, size)));
        let first = replicas.first();
        first.redraw(draw);
        let adam = Adam::new(first.named());
        (replicas, adam)
    }

    /// The replica that the optimiser moves.
    pub(super) fn first(&self) -> &Replica {
        &self.0[0]
    }

    /// Lets the other replicas follow the first one, after its weights were changed.
    pub(super) fn follow(&self, adam: &Adam) {
        self.0[1..].iter().for_each(|replica| adam.copy_to(replica.named()));
    }

    /// Leaves the gradients of a batch with the first replica; returns the loss, which need not be finite.
    pub(super) fn learn(&mut self, items: &[&Item], draw: &mut ChaCha8Rng, adam: &Adam) -> Result<f64, TchError> {
        let parts = parts(items);
        let outcomes: Vec<Result<f64, TchError>> = thread::scope(|scope| {
            let workers: Vec<_> = self
                .0
                .iter_mut()
                .zip(parts)
                .map(|(replica, part)| {
                    let own = ChaCha8Rng::seed_from_u64(draw.next_u64());
                    let share = part.len() as f64 / items.len() as f64;
                    scope.spawn(move || if part.is_empty() { Ok(0.0) } else { replica.learn(part, share, own) })
                })
                .collect();
            workers.into_iter().map(|worker| worker.join().expect("a part of a batch does not panic")).collect()
        });
        let losses = outcomes.into_iter().sum::<Result<f64, TchError>>()?;
        self.0[1..].iter().for_each(|replica| adam.add_gradients(replica.named()));
        Ok(losses)
    }
}

/// Two halves that do not part a pair of futures.
fn parts<'a, 'b>(items: &'a [&'b Item]) -> [&'a [&'b Item]; PARTS] {
    let mut middle = items.len() / 2;
    if middle > 0 && items[middle - 1].partner_next {
        middle += 1;
    }
    let (one, other) = items.split_at(middle);
    [one, other]
}
