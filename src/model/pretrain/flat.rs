//! The optimiser of [`Adam`](super::adam::Adam) where a step costs by the count of its operations and not
//! by their size, as on a GPU: all parameters lie in one row of numbers, and each is a view into it.
//!
//! Always true: it takes the steps of [`Adam`](super::adam::Adam) up to the order of one sum; a step
//! whose gradient is not finite moves nothing.

use std::collections::BTreeMap;

use tch::{TchError, Tensor};

use super::adam::{CLIP, FIRST, SECOND, TINY, WEIGHT_DECAY};

/// A parameter begins at a multiple of so many numbers: kernels read whole lines.
const BORDER: i64 = 64;

/// Where a parameter lies in the row.
#[derive(Debug)]
struct Place {
    name: String,
    /// The parameter itself, whose numbers are those of the row.
    variable: Tensor,
    from: i64,
    /// Zeros behind it, up to the next [`BORDER`].
    gap: Option<Tensor>,
}

/// The optimiser of some variables, which it has laid in a row.
#[derive(Debug)]
pub(super) struct Flat {
    places: Vec<Place>,
    value: Tensor,
    first: Tensor,
    second: Tensor,
    /// Decay of each number per unit of learning rate.
    decay: Tensor,
    steps: i32,
}

impl Flat {
    /// Lays named variables in a row, in the order of their names.
    pub(super) fn new(named: Vec<(String, Tensor)>) -> Self {
        let named: BTreeMap<String, Tensor> = named.into_iter().collect();
        tch::no_grad(|| {
            let mut end = 0;
            let mut places: Vec<Place> = named
                .into_iter()
                .map(|(name, variable)| {
                    let (from, count) = (end, variable.numel() as i64);
                    end = (from + count + BORDER - 1) / BORDER * BORDER;
                    let empty = end - from - count;
                    let gap = (empty > 0).then(|| Tensor::zeros([empty], (variable.kind(), variable.device())));
                    Place { name, variable, from, gap }
                })
                .collect();
            let value = row(&places, places.iter().map(|place| place.variable.detach()));
            let decay = places.iter().map(|place| {
                let decay = if place.variable.dim() > 1 { WEIGHT_DECAY } else { 0.0 };
                place.variable.detach().full_like(decay)
            });
            let decay = row(&places, decay);
            for Place { variable, from, .. } in &mut places {
                let (size, count) = (variable.size(), variable.numel() as i64);
                variable.set_data(&value.narrow(0, *from, count).view(size.as_slice()));
            }
            Self { places, first: value.zeros_like(), second: value.zeros_like(), value, decay, steps: 0 }
        })
    }

    /// Steps taken.
    pub(super) fn steps(&self) -> i32 {
        self.steps
    }

    /// Says that the tensors of [`Self::state`] have been filled from a run of so many steps.
    pub(super) fn taken_up(&mut self, steps: i32) {
        self.steps = steps;
    }

    /// Everything that the next step depends on, by name: values and both moments.
    pub(super) fn state(&self) -> Vec<(String, Tensor)> {
        let rows = [("value", &self.value), ("first", &self.first), ("second", &self.second)];
        let of = |place: &Place, row: &Tensor| {
            row.narrow(0, place.from, place.variable.numel() as i64).view(place.variable.size().as_slice())
        };
        let named = self
            .places
            .iter()
            .flat_map(|place| rows.map(|(kind, row)| (format!("{kind}.{}", place.name), of(place, row))));
        named.collect()
    }

    /// One step down the gradient of a loss. Nothing here waits for a GPU.
    pub(super) fn step(&mut self, loss: &Tensor, rate: f64) -> Result<(), TchError> {
        let variables: Vec<&Tensor> = self.places.iter().map(|place| &place.variable).collect();
        let gradients = Tensor::f_run_backward(&[loss], &variables, false, false)?;
        self.steps += 1;
        let (first_left, second_left) = (1.0 - FIRST.powi(self.steps), 1.0 - SECOND.powi(self.steps));
        tch::no_grad(|| {
            let gradient = row(&self.places, gradients);
            let shrink = (CLIP / (gradient.f_norm()? + 1e-6)).clamp_max(1.0);
            let gradient = (gradient * shrink).f_nan_to_num_(0.0, 0.0, 0.0)?;
            self.first *= FIRST;
            self.first += &gradient * (1.0 - FIRST);
            self.second *= SECOND;
            self.second += gradient.square() * (1.0 - SECOND);
            let unit = self.second.sqrt() / second_left.sqrt() + TINY;
            self.value -= &self.value * (&self.decay * rate);
            self.value -= (&self.first / unit) * (rate / first_left);
            Ok(())
        })
    }
}

/// Tensors of the parameters' shapes as one row, with the gaps.
fn row(places: &[Place], tensors: impl IntoIterator<Item = Tensor>) -> Tensor {
    let parts = places.iter().zip(tensors).flat_map(|(place, tensor)| {
        std::iter::once(tensor.reshape(-1)).chain(place.gap.as_ref().map(Tensor::shallow_clone))
    });
    Tensor::cat(&parts.collect::<Vec<_>>(), 0)
}

#[cfg(test)]
mod tests {
    use tch::nn::{Init, VarStore};
    use tch::{Device, Kind};

    use super::super::adam::Adam;
    use super::*;

    fn variables(store: &VarStore) -> Vec<(String, Tensor)> {
        let root = store.root();
        let made = vec![("weight", vec![2, 3]), ("bias", vec![3])].into_iter().map(|(name, shape)| {
            let mut variable = root.var(name, &shape, Init::Const(0.0));
            let start = Tensor::arange(variable.numel() as i64, (Kind::Float, Device::Cpu)) * 0.3 - 0.5;
            tch::no_grad(|| variable.copy_(&start.view(shape.as_slice())));
            (name.to_owned(), variable)
        });
        made.collect()
    }

    fn loss(store: &VarStore, step: i32) -> Tensor {
        let variables = store.variables();
        let x = Tensor::from_slice(&[0.7_f32, f64::from(step).sin() as f32]).view([1, 2]);
        (x.matmul(&variables["weight"]) + &variables["bias"] - 1.0).square().sum(Kind::Float) * 3.0
    }

    #[test]
    fn it_takes_the_steps_of_the_optimiser_that_visits_every_parameter() {
        let stores = [VarStore::new(Device::Cpu), VarStore::new(Device::Cpu)];
        let (mut flat, mut adam) = (Flat::new(variables(&stores[0])), Adam::new(variables(&stores[1])));
        for step in 0..30 {
            flat.step(&loss(&stores[0], step), 1e-2).unwrap();
            loss(&stores[1], step).backward();
            adam.step(1e-2);
        }
        assert_eq!(flat.steps(), 30);
        for ((name, one), (other_name, other)) in sorted(flat.state()).iter().zip(&sorted(adam.state())) {
            assert_eq!(name, other_name);
            let gap = (one - other).abs().max().double_value(&[]);
            assert!(gap < 1e-6, "{name}: {gap}");
        }
        let moved = (&stores[0].variables()["bias"] - Tensor::from_slice(&[-0.5_f32, -0.2, 0.1])).abs();
        assert!(moved.min().double_value(&[]) > 0.01, "the variables themselves have moved");
    }

    #[test]
    fn a_step_whose_gradient_is_not_finite_moves_nothing() {
        let store = VarStore::new(Device::Cpu);
        let mut flat = Flat::new(variables(&store));
        let before = store.variables()["bias"].copy();
        flat.step(&(loss(&store, 1) * f64::NAN), 1e-2).unwrap();
        assert_eq!((&store.variables()["bias"] - before).abs().max().double_value(&[]), 0.0);
    }

    fn sorted(mut state: Vec<(String, Tensor)>) -> Vec<(String, Tensor)> {
        state.sort_by(|a, b| a.0.cmp(&b.0));
        state
    }
}
