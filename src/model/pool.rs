//! The head of a fleet: the mean of several heads, weight by weight ("model soup", Wortsman et al. 2022). All
//! of them began at the same base model's head and learned only a little, so that a mean of weights means
//! something.
//!
//! Always true: the order in which heads are given changes nothing, not even the last bit.

use std::collections::HashMap;

use tch::{Device, Kind, Tensor};

use super::artefact;
use super::attempt::WORTH;
use super::base::Base;
use super::freeze::Freeze;
use super::lesson::{Example, Material, validate};
use super::recipe::{Recipe, StartFrom};
use super::thaw::{Thawed, stands_apart};
use super::trainee::load_head;

/// The mean of heads.
#[derive(Clone, Debug)]
pub struct Pool {
    /// safetensors, as that of a head that learned.
    pub weights: Vec<u8>,
    /// Which of those that were given went in, by their places.
    pub pooled: Vec<usize>,
}

/// Which head was begun from, and what it was chosen by.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Begun {
    /// From the pooled one.
    pub pooled: bool,
    /// Loss of the base model's head on the validation windows, before anything was learned.
    pub base_loss: f64,
    /// The same of the pooled one.
    pub pooled_loss: f64,
}

impl Pool {
    /// Pools the heads of artefacts. Left out are those that do not fit the base model, those that never learned, and
    /// those that learned together with a part of the backbone: such a head means nothing on the base model's.
    /// `None` when none remains.
    #[must_use]
    pub fn of(base: &Base, artefacts: &[&[u8]]) -> Option<Self> {
        let own = base.head.store().variables();
        let learned = |(place, bytes): (usize, &&[u8])| {
            let variables = load_head(base, bytes).ok()?.store().variables();
            if stands_apart(bytes).ok()? {
                return None;
            }
            let moved = variables.iter().any(|(name, value)| own.get(name).is_none_or(|own| own != value));
            moved.then(|| (artefact::digest(bytes), place, variables))
        };
        let mut heads: Vec<([u8; 32], usize, HashMap<String, Tensor>)> =
            artefacts.iter().enumerate().filter_map(learned).collect();
        if heads.is_empty() {
            return None;
        }
        // Sums of floats depend on their order.
        heads.sort_by_key(|(digest, ..)| *digest);
        let mean = base.fresh_head();
        tch::no_grad(|| {
            for (name, mut variable) in mean.store().variables() {
                let mut sum = Tensor::zeros(variable.size(), (Kind::Double, Device::Cpu));
                for value in heads.iter().filter_map(|(.., variables)| variables.get(&name)) {
                    sum += value.to_kind(Kind::Double);
                }
                variable.copy_(&(sum / heads.len() as f64));
            }
        });
        let mut pooled: Vec<usize> = heads.iter().map(|(_, place, _)| *place).collect();
        pooled.sort_unstable();
        Some(Self { weights: artefact::save(&[("head", mean.store())]), pooled })
    }
}

impl Begun {
    /// Chooses as a recipe says. By itself the pooled head is taken where it is better by a percent.
    pub(super) fn choose(start: StartFrom, base_loss: f64, pooled_loss: f64) -> Self {
        let pooled = match start {
            StartFrom::Base => false,
            StartFrom::Pooled => pooled_loss.is_finite(),
            StartFrom::Auto => pooled_loss < base_loss * (1.0 - WORTH),
        };
        Self { pooled, base_loss, pooled_loss }
    }
}

/// The base model's head beside a pooled one on windows of one shape, as they are; `None` without windows.
#[must_use]
pub fn weigh(base: &Base, recipe: &Recipe, examples: &[Example], pooled: &[u8]) -> Option<Begun> {
    if examples.is_empty() {
        return None;
    }
    let head = load_head(base, pooled).ok()?;
    let windows = Material::new(base, Freeze::Head, examples);
    let loss = |head| validate(recipe, &windows, &Thawed::Nothing, head);
    Some(Begun::choose(recipe.start, loss(&base.head), loss(&head)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A head whose every weight lies this far from the base model's.
    fn moved(base: &Base, by: f64) -> Vec<u8> {
        let head = base.fresh_head();
        tch::no_grad(|| {
            for (_, mut variable) in head.store().variables() {
                let moved = &variable + by;
                variable.copy_(&moved);
            }
        });
        artefact::save(&[("head", head.store())])
    }

    #[test]
    fn a_pooled_head_is_the_mean_in_any_order() {
        let base = Base::shipped().unwrap();
        let heads: Vec<Vec<u8>> = [0.3, -0.1, 0.07].iter().map(|by| moved(&base, *by)).collect();
        let pool = |order: [usize; 3]| Pool::of(&base, &order.map(|place| &heads[place][..])).unwrap();
        let (forth, back) = (pool([0, 1, 2]), pool([2, 0, 1]));
        assert!(forth.weights == back.weights, "not a bit depends on the order");
        assert_eq!(forth.pooled, [0, 1, 2]);
        let mean = load_head(&base, &forth.weights).unwrap().store().variables();
        for (name, own) in base.head.store().variables() {
            let gap = (&mean[&name] - own - 0.09).abs().max().double_value(&[]);
            assert!(gap < 1e-6, "{name}: {gap}");
        }
    }

    #[test]
    fn heads_that_never_learned_or_do_not_fit_are_left_out() {
        let base = Base::shipped().unwrap();
        let (own, other) = (moved(&base, 0.0), moved(&base, 0.2));
        let pool = Pool::of(&base, &[&own, b"nothing", &other]).unwrap();
        assert_eq!(pool.pooled, [2]);
        assert!(pool.weights == other, "the mean of one is itself");
        assert!(Pool::of(&base, &[&own]).is_none() && Pool::of(&base, &[]).is_none());
    }

    #[test]
    fn a_head_on_a_backbone_of_its_own_is_left_out() {
        let base = Base::shipped().unwrap();
        let (other, apart) = (moved(&base, 0.2), base.fresh_head());
        tch::no_grad(|| apart.store().variables().into_values().for_each(|mut value| drop(value.fill_(0.1))));
        let apart = artefact::save(&[("head", apart.store()), ("backbone", base.backbone.store())]);
        assert!(Pool::of(&base, &[&apart]).is_none());
        assert_eq!(Pool::of(&base, &[&apart, &other]).unwrap().pooled, [1]);
    }

    #[test]
    fn by_itself_only_a_better_pool_is_begun_from() {
        let chosen = |start, pooled_loss| Begun::choose(start, 1.0, pooled_loss).pooled;
        assert!(chosen(StartFrom::Auto, 0.98) && !chosen(StartFrom::Auto, 0.995));
        assert!(!chosen(StartFrom::Auto, 1.2) && !chosen(StartFrom::Auto, f64::NAN));
        assert!(chosen(StartFrom::Pooled, 1.2) && !chosen(StartFrom::Pooled, f64::NAN));
        assert!(!chosen(StartFrom::Base, 0.1));
    }
}
