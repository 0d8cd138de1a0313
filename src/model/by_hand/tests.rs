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
    let material = Material::new(&base, Freeze::Decoder, &windows());
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
fn the_last_layer_alone_has_the_losses_and_gradients_that_it_has_with_the_others() {
    let base = base();
    let material = Material::new(&base, Freeze::Head, &windows());
    let (head, reading, rows) = (base.fresh_head(), material.reading(), [3_usize, 3, 20, 7, 11]);
    let thoughts = reading.thoughts(&head);
    for loss in [Loss::Pinball, Loss::Huber, Loss::Mse] {
        let recipe = Recipe { loss, ..Recipe::default() };
        let ((alone, last), (together, all)) =
            (thoughts.gradient(&recipe, &head, &rows, None), reading.gradient(&recipe, &head, &rows, None));
        assert!((alone - together).abs() < 1e-6 * together, "{loss:?}: {alone} and {together}");
        assert_eq!(last.len(), last_variables(&head).len());
        for (ours, theirs) in last.iter().flatten().zip(all[all.len() - 2..].iter().flatten()) {
            assert!((ours - theirs).abs() < 1e-6, "{loss:?}: {ours} and {theirs}");
        }
        let (alone, together) = (thoughts.mean_loss(&recipe, &head), reading.mean_loss(&recipe, &head));
        assert!((alone - together).abs() < 1e-6 * together, "{loss:?}: {alone} and {together}");
    }
}

#[test]
fn a_number_that_is_dropped_from_what_the_last_layer_reads_teaches_it_nothing() {
    let base = base();
    let material = Material::new(&base, Freeze::Head, &windows());
    let (head, recipe, rows) = (base.fresh_head(), Recipe::default(), [3_usize, 20]);
    let thoughts = material.reading().thoughts(&head);
    let shape = head.last_dropout_shape(rows.len(), 64);
    let (patches, width) = (shape[1] as usize, shape[3] as usize);
    let mask: Vec<f32> =
        (0..rows.len() * patches * width).map(|place| f32::from(!place.is_multiple_of(width))).collect();
    let (_, gradient) = thoughts.gradient(&recipe, &head, &rows, Some(&mask));
    assert!(gradient[0].chunks_exact(width).all(|row| row[0] == 0.0 && row[1] != 0.0), "{:?}", &gradient[0][..width]);
}

#[test]
fn a_patch_that_is_dropped_from_what_the_last_layer_reads_teaches_its_weights_as_if_nothing_had_come_of_it() {
    let (base, window) = (base(), 3);
    let (head, recipe) = (base.fresh_head(), Recipe::default());
    let weights = |windows: &[Example], mask: Option<&[f32]>| -> Vec<f64> {
        let material = Material::new(&base, Freeze::Head, windows);
        let (_, gradient) = material.reading().thoughts(&head).gradient(&recipe, &head, &[window], mask);
        // Means are over what was measured: only directions can be the same.
        let norm = gradient[0].iter().map(|value| f64::from(*value).powi(2)).sum::<f64>().sqrt();
        gradient[0].iter().map(|value| f64::from(*value) / norm).collect()
    };
    let apart = |one: &[f64], other: &[f64]| one.iter().zip(other).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
    let shape = head.last_dropout_shape(1, 64);
    let (patches, width) = (shape[1] as usize, shape[3] as usize);
    let whole = weights(&windows(), None);
    for patch in 0..patches {
        let mask: Vec<f32> = (0..patches * width).map(|place| f32::from(place / width != patch)).collect();
        let dropped = weights(&windows(), Some(&mask));
        let mut silent = windows();
        silent[window].truth[patch * PATCH..(patch + 1) * PATCH].fill(f32::NAN);
        let unknown = weights(&silent, None);
        assert!(apart(&dropped, &unknown) < 1e-6, "patch {patch}: {}", apart(&dropped, &unknown));
        assert!(apart(&dropped, &whole) > 1e-3, "patch {patch} taught nothing: {}", apart(&dropped, &whole));
    }
}

#[test]
fn there_is_a_gradient_for_every_variable_of_a_head() {
    let base = base();
    assert_eq!(variables(&base.head).len(), base.head.store().trainable_variables().len());
}
