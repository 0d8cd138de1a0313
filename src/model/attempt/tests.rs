//! Penalties and the cut of gradients concern all that learns.

use tch::Kind;

use super::gradient::penalty;
use super::*;
use crate::model::tests::base;
use crate::model::trainee::paired_variables;

/// What learns by a policy, each variable beside what it was.
fn begun(base: &Base, freeze: Freeze) -> (Head, Thawed, Vec<(Tensor, Tensor)>) {
    let (head, thawed) = (base.fresh_head(), Thawed::new(&base.backbone, freeze, 0));
    let mut start = paired_variables(head.store(), base.head.store());
    start.extend(thawed.beside(&base.backbone));
    (head, thawed, start)
}

fn shift(store: &nn::VarStore, chosen: impl Fn(&str) -> bool, by: f64) -> i64 {
    let variables = store.variables().into_iter().filter(|(name, _)| chosen(name));
    tch::no_grad(|| variables.map(|(_, mut value)| value.g_add_scalar_(by).numel() as i64).sum())
}

#[test]
fn all_that_learns_is_pulled_back_to_where_it_began() {
    let base = base();
    let recipe = Recipe { l2_sp: 0.5, ..Recipe::default() };
    for freeze in [Freeze::Decoder, Freeze::LastBlock, Freeze::Adapters, Freeze::All] {
        let (head, thawed, start) = begun(&base, freeze);
        let penalty = || penalty(&recipe, &start, &thawed).double_value(&[]);
        assert_eq!(penalty(), 0.0, "{freeze:?}");
        let mut moved = shift(head.store(), |name| name == "out.bias", 0.1);
        if let (Some((_, store)), None) = (thawed.store(), thawed.changes().first()) {
            moved += shift(store, |name| name == "norm", 0.1);
        }
        let wanted = 0.5 * 0.01 * moved as f64;
        assert!((penalty() - wanted).abs() < 1e-4 * wanted, "{freeze:?}: {} and {wanted}", penalty());
    }
    let (_, thawed, start) = begun(&base, Freeze::Adapters);
    let (_, store) = thawed.store().unwrap();
    assert!(shift(store, |name| name.ends_with(".b"), 0.1) > 0);
    let changes =
        thawed.changes().iter().map(|change| change.square().sum(Kind::Double).double_value(&[])).sum::<f64>();
    let said = penalty(&recipe, &start, &thawed).double_value(&[]);
    assert!(changes > 0.0 && (said - 0.5 * changes).abs() < 1e-4 * said, "{said} and {changes}");
}

#[test]
fn the_gradient_of_all_that_learns_is_cut_as_one_vector() {
    let base = base();
    let (head, thawed, _) = begun(&base, Freeze::All);
    let variables = || {
        let stores = [head.store(), thawed.store().unwrap().1];
        stores.into_iter().flat_map(nn::VarStore::trainable_variables).collect::<Vec<_>>()
    };
    let loss = variables().iter().fold(Tensor::from(0.0f32), |sum, value| sum + value.square().sum(Kind::Float));
    loss.backward();
    let gradients = || variables().iter().map(|value| value.grad().copy()).collect::<Vec<_>>();
    let norm = || {
        let squares =
            gradients().iter().map(|gradient| gradient.square().sum(Kind::Double).double_value(&[])).sum::<f64>();
        squares.sqrt()
    };
    let (before, whole) = (gradients(), norm());
    clip(head.store(), &thawed, 2.0 * whole).unwrap();
    assert!(before == gradients(), "a short one stays");
    clip(head.store(), &thawed, 0.5).unwrap();
    assert!(whole > 1.0 && (norm() - 0.5).abs() < 1e-4, "{whole} became {}", norm());
    for (was, is) in before.iter().zip(gradients()) {
        let gap = (was * (0.5 / whole) - is).abs().max().double_value(&[]);
        assert!(gap < 1e-5, "its direction stays: {gap}");
    }
}
