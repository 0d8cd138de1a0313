//! What changes a gradient between the loss and the step: the pull toward the beginning, and the norm that it is cut to.

use std::iter;

use tch::{Kind, Tensor, nn};

use crate::model::recipe::Recipe;
use crate::model::thaw::Thawed;

/// L2-SP (Li et al. 2018): L2 toward where learning started. Of adapters it is the weights that they change which are
/// pulled back, and not the matrices that the change is made of.
pub(super) fn penalty(recipe: &Recipe, variables: &[(Tensor, Tensor)], thawed: &Thawed) -> Tensor {
    let mut sum = Tensor::from(0.0f32);
    if recipe.l2_sp > 0.0 {
        for (value, start) in variables {
            sum += (value - start).square().sum(Kind::Float) * recipe.l2_sp;
        }
        for change in thawed.changes() {
            sum += change.square().sum(Kind::Float) * recipe.l2_sp;
        }
    }
    sum
}

/// Adds the gradient of [`penalty`] to that of a head that learns alone.
pub(super) fn pull(recipe: &Recipe, variables: &[(Tensor, Tensor)]) {
    if recipe.l2_sp > 0.0 {
        tch::no_grad(|| {
            for (value, start) in variables {
                let _ = value.grad().g_add_(&((value - start) * (2.0 * recipe.l2_sp)));
            }
        });
    }
}

/// Cuts the gradient of all that learns to a norm, as one vector: an optimiser cuts only its own part of it.
pub(super) fn clip(head: &nn::VarStore, thawed: &Thawed, most: f64) -> Result<(), tch::TchError> {
    let stores = iter::once(head).chain(thawed.store().map(|(_, store)| store));
    let gradients: Vec<Tensor> = stores
        .flat_map(nn::VarStore::trainable_variables)
        .map(|variable| variable.grad())
        .filter(Tensor::defined)
        .collect();
    tch::no_grad(|| {
        let norms: Vec<Tensor> = gradients.iter().map(Tensor::norm).collect();
        let share = most / (f64::try_from(Tensor::stack(&norms, 0).norm())? + 1e-6);
        if share < 1.0 {
            for gradient in &gradients {
                let _ = gradient.shallow_clone().g_mul_scalar_(share);
            }
        }
        Ok(())
    })
}
