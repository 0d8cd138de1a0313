//! What is worked out by hand is what libtorch works out.

use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;

use super::*;
use crate::model::freeze::Freeze;
use crate::model::lesson::{Example, Material};
use crate::model::pretrain::synthetic;
use crate::model::recipe::Loss;
use crate::model::tests::base;
use crate::model::thaw::Thawed;
use crate::model::trainee::dropout;

/// Windows some of whose truths are missing.
fn windows() -> Vec<Example> {
    let mut windows = synthetic(5, 40, 64);
    for (place, window) in windows.iter_mut().enumerate() {
        window.truth.iter_mut().skip(place).step_by(7).for_each(|value| *value = f32::NAN);
    }
    windows
}

#[test]
fn losses_and_gradients_are_those_of_libtorch() {
    let base = base();
    let material = Material::new(&base, Freeze::Head, &windows());
    let head = base.fresh_head();
    let rows = [3_usize, 3, 20, 7, 11];
    let index = Tensor::from_slice(&rows.map(|row| row as i64));
    for (loss, dropped) in [(Loss::Pinball, 0.0), (Loss::Pinball, 0.4), (Loss::Huber, 0.1), (Loss::Mse, 0.1)] {
        let recipe = Recipe { loss, ..Recipe::default() };
        let shape = head.dropout_shape(rows.len(), 64);
        let mask = dropout(&mut ChaCha8Rng::seed_from_u64(3), dropped, shape.iter().product());
        let features = material.features(&Thawed::Nothing, &index);
        let theirs = material.loss(
            &recipe,
            &head,
            &features,
            Some(&index),
            mask.as_ref().map(|mask| Tensor::from_slice(mask).view(shape.as_slice())).as_ref(),
        );
        head.store().trainable_variables().into_iter().for_each(|mut variable| variable.zero_grad());
        theirs.backward();
        let (ours, gradient) = material.reading().gradient(&recipe, &head, &rows, mask.as_deref());
        let theirs = theirs.double_value(&[]);
        assert!((ours - theirs).abs() < 1e-5 * theirs, "{loss:?}: {ours} and {theirs}");
        for (variable, ours) in variables(&head).iter().zip(&gradient) {
            let theirs = numbers(&variable.grad());
            let norm =
                |numbers: &mut dyn Iterator<Item = f32>| numbers.map(|v| f64::from(v).powi(2)).sum::<f64>().sqrt();
            let (apart, whole) =
                (norm(&mut theirs.iter().zip(ours).map(|(a, b)| a - b)), norm(&mut theirs.iter().copied()));
            assert!(theirs.len() == ours.len() && whole > 0.0, "{loss:?}");
            assert!(apart < 2e-4 * whole, "{loss:?}, {:?}: {apart:e} of {whole:e}", variable.size());
        }
        let theirs = tch::no_grad(|| {
            let features = material.all_features(&Thawed::Nothing);
            material.loss(&recipe, &head, &features, None, None).double_value(&[])
        });
        let ours = material.reading().mean_loss(&recipe, &head);
        assert!((ours - theirs).abs() < 1e-5 * theirs, "{loss:?}: {ours} and {theirs}");
    }
}

#[test]
fn there_is_a_gradient_for_every_variable_of_a_head() {
    let base = base();
    assert_eq!(variables(&base.head).len(), base.head.store().trainable_variables().len());
}
