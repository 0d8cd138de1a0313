//! What a head learns from: windows with what came after them, and how a step mixes them.
//!
//! Of every window is computed once, without gradients, what nothing that learns has a part in: with a
//! frozen backbone its features. A step draws from three sources in shares that do not change: the newest
//! windows, older ones of the same asset, and synthetic plants. Every draw comes from the generator that the
//! caller seeded.

use std::borrow::Borrow;
use std::cell::OnceCell;

use rand::RngExt as _;
use rand_chacha::ChaCha8Rng;
use tch::{Kind, Tensor};

use super::base::Base;
use super::by_hand::{Reading, Truths, numbers};
use super::freeze::Freeze;
use super::loss::{masked_mean, of_recipe};
use super::network::{Features, Head};
use super::recipe::Recipe;
use super::thaw::{Thawed, once};
use super::window::{Batch, Window};

/// Windows that the network reads at a time, where no gradient is wanted.
const CHUNK: usize = 64;

/// A window and what came after it.
#[derive(Clone, Debug)]
pub struct Example {
    /// What was known.
    pub window: Window,
    /// `window.future` values in the window's normalised units; NaN where nothing was measured.
    pub truth: Vec<f32>,
    /// What an error is measured in, normalised units: the deviation of the stretch, kept away
    /// from 0 so that a signal at rest does not outweigh all others.
    pub unit: f32,
}

impl Example {
    /// A window and `window.future` values that followed.
    #[must_use]
    pub fn new(window: Window, truth: Vec<f32>) -> Self {
        let measured =
            window.target.iter().zip(&window.known).filter(|(_, known)| **known > 0.0).map(|(value, _)| *value);
        let values: Vec<f32> = measured.chain(truth.iter().copied().filter(|value| value.is_finite())).collect();
        let count = values.len().max(1) as f32;
        let mean = values.iter().sum::<f32>() / count;
        let deviation = (values.iter().map(|value| (value - mean).powi(2)).sum::<f32>() / count).sqrt();
        Self { window, truth, unit: deviation.clamp(0.4, 12.0) }
    }
}

/// What a head learns from, and what tells it when to stop. All windows have one shape.
#[derive(Debug, Default)]
pub struct Lesson {
    /// The newest windows: gradients come from these and from the next two alone.
    pub train: Vec<Example>,
    /// A reservoir of older windows of the asset; may be empty.
    pub replay: Vec<Example>,
    /// Windows of synthetic plants, as in pretraining; may be empty.
    pub synthetic: Vec<Example>,
    /// Later in time; decides early stopping and the learning rate.
    pub validation: Vec<Example>,
}

/// Examples of one shape with what was computed of them once: what a step draws from.
pub(super) struct Material {
    /// In the place of the states lies what is computed [`once`].
    known_once: Features,
    /// Context and future steps.
    shape: (i64, i64),
    /// The bank's answer over the future, `[n, future]`.
    bank: Tensor,
    /// The unit of corrections, `[n]`.
    scale: Tensor,
    truth: Tensor,
    known: Tensor,
    unit: Tensor,
    /// The same as plain numbers, for where the head alone learns.
    reading: OnceCell<Reading>,
}

impl Material {
    /// Computes what is computed once of at least one example, under a freeze policy.
    pub(super) fn new<'a>(base: &Base, freeze: Freeze, examples: impl IntoIterator<Item = &'a Example>) -> Self {
        let examples: Vec<&Example> = examples.into_iter().collect();
        tch::no_grad(|| {
            let windows: Vec<&Window> = examples.iter().map(|example| &example.window).collect();
            let (mut parts, mut banks, mut scales) = (Vec::new(), Vec::new(), Vec::new());
            let mut shape = (0, 0);
            for chunk in windows.chunks(CHUNK) {
                let batch = Batch::stack(chunk, None);
                shape = (batch.context, batch.future);
                parts.push(Features::around(once(&base.backbone, freeze, &batch), &batch));
                banks.push(batch.bank.narrow(1, batch.context, batch.future));
                scales.push(batch.scale);
            }
            let (truth, known) = truths(&examples);
            let unit = Tensor::from_slice(&examples.iter().map(|example| example.unit).collect::<Vec<_>>());
            let known_once = Features::concat(&parts);
            let (bank, scale) = (Tensor::cat(&banks, 0), Tensor::cat(&scales, 0));
            Self { known_once, shape, bank, scale, truth, known, unit, reading: OnceCell::new() }
        })
    }

    /// Steps ahead.
    pub(super) fn future(&self) -> usize {
        self.shape.1 as usize
    }

    /// What a head reads of the chosen rows.
    pub(super) fn features(&self, thawed: &Thawed, rows: &Tensor) -> Features {
        let known = self.known_once.rows(rows);
        known.with(thawed.states(known.state(), self.shape))
    }

    /// What a head reads of all rows. For where no gradient is wanted: the network reads a few at a time.
    pub(super) fn all_features(&self, thawed: &Thawed) -> Features {
        let known = self.known_once.state();
        let states = match thawed {
            Thawed::Nothing => known.shallow_clone(),
            _ => {
                let parts = known.split(CHUNK as i64, 0);
                Tensor::cat(&parts.iter().map(|part| thawed.states(part, self.shape)).collect::<Vec<_>>(), 0)
            }
        };
        self.known_once.with(states)
    }

    /// What a head reads of all rows where it alone learns, and what came of them.
    pub(super) fn reading(&self) -> &Reading {
        self.reading.get_or_init(|| {
            let [bank, scale, truth, known, unit] =
                [&self.bank, &self.scale, &self.truth, &self.known, &self.unit].map(numbers);
            Reading::new(&self.known_once, Truths { bank, scale, truth, known, unit })
        })
    }

    /// Mean loss of a head that reads `features` of the chosen rows, or of all, as the recipe counts it.
    pub(super) fn loss(
        &self,
        recipe: &Recipe,
        head: &Head,
        features: &Features,
        rows: Option<&Tensor>,
        mask: Option<&Tensor>,
    ) -> Tensor {
        let pick = |tensor: &Tensor| rows.map_or_else(|| tensor.shallow_clone(), |index| tensor.index_select(0, index));
        let corrections = head.corrections(features, mask);
        let answer = pick(&self.bank).unsqueeze(-1) + pick(&self.scale).view([-1, 1, 1]) * corrections;
        let unit = pick(&self.unit);
        masked_mean(&of_recipe(recipe, &answer, &pick(&self.truth), &unit), &pick(&self.known), &unit)
    }
}

/// Truths with 0 in the gaps, and flags: both `[n, future]`.
pub(super) fn truths<E: Borrow<Example>>(examples: &[E]) -> (Tensor, Tensor) {
    let future = examples.first().map_or(0, |example| example.borrow().window.future);
    let flat: Vec<f32> = examples.iter().flat_map(|example| &example.borrow().truth).copied().collect();
    let known: Vec<f32> = flat.iter().map(|value| f32::from(value.is_finite())).collect();
    let filled: Vec<f32> = flat.iter().map(|value| if value.is_finite() { *value } else { 0.0 }).collect();
    let shape = [examples.len() as i64, future as i64];
    (Tensor::from_slice(&filled).view(shape), Tensor::from_slice(&known).view(shape))
}

/// How many rows of a step come from where. The rows of a [`Material`] lie in the order newest,
/// replayed, synthetic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mix {
    /// Rows that there are of each source.
    have: [usize; 3],
    /// Rows of each source in a step.
    take: [usize; 3],
}

impl Mix {
    /// The shares of a recipe. A source without windows leaves its share to the newest ones.
    pub(super) fn new(recipe: &Recipe, lesson: &Lesson) -> Self {
        let have = [lesson.train.len(), lesson.replay.len(), lesson.synthetic.len()];
        let size = (recipe.batch as usize).min(have[0] + have[1]);
        let share = |share: f64, have: usize| if have == 0 { 0 } else { (size as f64 * share).round() as usize };
        let (replay, synthetic) = (share(recipe.replay, have[1]), share(recipe.synthetic, have[2]));
        Self { have, take: [size.saturating_sub(replay + synthetic), replay, synthetic] }
    }

    /// Windows in a step.
    pub(super) fn size(&self) -> usize {
        self.take.iter().sum()
    }

    /// The rows of one step, with repetition.
    pub(super) fn rows(&self, draw: &mut ChaCha8Rng) -> Vec<usize> {
        let mut rows = Vec::with_capacity(self.size());
        let mut first = 0;
        for (have, take) in self.have.into_iter().zip(self.take) {
            rows.extend((0..take).map(|_| draw.random_range(first..first + have)));
            first += have;
        }
        rows
    }
}

/// Mean loss on all rows of a head and of what else learns, without gradients; NaN when libtorch fails.
pub(super) fn validate(recipe: &Recipe, material: &Material, thawed: &Thawed, head: &Head) -> f64 {
    if matches!(thawed, Thawed::Nothing) {
        return material.reading().mean_loss(recipe, head);
    }
    tch::no_grad(|| validate_on(recipe, material, &material.all_features(thawed), head))
}

/// The same of features that were computed before.
pub(super) fn validate_on(recipe: &Recipe, material: &Material, features: &Features, head: &Head) -> f64 {
    tch::no_grad(|| {
        let loss = material.loss(recipe, head, features, None, None);
        f64::try_from(loss.to_kind(Kind::Double)).unwrap_or(f64::NAN)
    })
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng as _;

    use super::*;

    fn mix(have: [usize; 3], batch: u32) -> Mix {
        let window = Window {
            context: 16,
            future: 16,
            target: vec![0.0; 16],
            known: vec![1.0; 16],
            bank: vec![0.0; 32],
            spread: vec![0.0; 32],
            inputs: Vec::new(),
            restart: None,
            scale: 1.0,
        };
        let some = |count: usize| vec![Example::new(window.clone(), vec![0.0; 16]); count];
        let lesson =
            Lesson { train: some(have[0]), replay: some(have[1]), synthetic: some(have[2]), validation: Vec::new() };
        Mix::new(&Recipe { batch, ..Recipe::default() }, &lesson)
    }

    #[test]
    fn a_step_is_mixed_as_the_recipe_says() {
        assert_eq!(mix([100, 50, 20], 32).take, [19, 10, 3]);
        assert_eq!(mix([100, 0, 20], 32).take, [29, 0, 3]);
        assert_eq!(mix([100, 50, 0], 32).take, [22, 10, 0]);
        assert_eq!(mix([4, 2, 20], 32).take, [3, 2, 1], "no more than there are");
    }

    #[test]
    fn rows_lie_within_their_source() {
        let mix = mix([100, 50, 20], 32);
        let mut draw = ChaCha8Rng::seed_from_u64(3);
        for _ in 0..50 {
            let rows = mix.rows(&mut draw);
            let count = |from: usize, to: usize| rows.iter().filter(|row| (from..to).contains(*row)).count();
            assert_eq!([count(0, 100), count(100, 150), count(150, 170)], [19, 10, 3]);
        }
    }
}
