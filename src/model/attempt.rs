//! One attempt to learn: a head, and what else its recipe does not freeze, on its way through the steps. It can be
//! left where it is and taken up again, and learns on as if it had never stopped.

mod gradient;
mod pupil;

use std::cell::OnceCell;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use gradient::clip;
use pupil::Pupil;
use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;
use tch::{Tensor, nn};

use super::artefact;
use super::base::Base;
use super::by_hand::Thoughts;
use super::freeze::Freeze;
use super::lesson::{Lesson, Material, Mix, validate_on};
use super::network::Head;
use super::recipe::{LEARNING_RATES, Recipe};
use super::thaw::Thawed;
use super::trainee::{
    CurvePoint, Learned, Said, TraineeError, build_optimizer, load_head, penalised, schedule, shrink, sparsity,
};

/// Shares of what a head moves the bank's median that are tried, and how much better the validation loss must
/// be to keep more: where a study knows its asset there is little left to correct, and few windows tell.
const KEPT: [f64; 5] = [0.0, 0.25, 0.5, 0.75, 1.0];
/// How much better something must be on the validation windows to be taken: few windows tell.
pub(super) const WORTH: f64 = 0.01;
/// Whoever waits hears from an attempt at least this often, and at the end of the step that then goes on: steps of a
/// whole network take long, and so may evaluations be in coming.
const SILENCE: Duration = Duration::from_secs(2);

/// What the attempts of one lesson share. What is computed once differs with what learns, so it is computed when the
/// first attempt with a policy needs it.
pub(super) struct Class<'a> {
    base: &'a Base,
    lesson: &'a Lesson,
    train: [OnceCell<Material>; Freeze::KINDS],
    validation: [OnceCell<Material>; Freeze::KINDS],
}

/// A head that attempts begin from.
pub(super) struct Beginning<'a> {
    head: Head,
    /// Its loss on the validation windows.
    pub(super) loss: f64,
    /// What its last layer reads of the windows to learn from, and of those to validate on: where it alone learns.
    thoughts: OnceCell<[Thoughts<'a>; 2]>,
}

/// A head on its way.
pub(super) struct Attempt<'a> {
    class: &'a Class<'a>,
    recipe: Recipe,
    rate: f64,
    mix: Mix,
    head: Head,
    /// What of it learns, and what learns with it.
    pupil: Pupil<'a>,
    /// Of the head, and of what learns with it.
    optimizers: Vec<nn::Optimizer>,
    draw: ChaCha8Rng,
    best: Best,
    curve: Vec<CurvePoint>,
    taken: u32,
    /// Losses since the last evaluation: their sum, and how many.
    since: (f64, u32),
    /// Evaluations without improvement.
    waited: u32,
}

/// The weights with the least validation loss so far.
struct Best {
    loss: f64,
    weights: Vec<u8>,
    step: u32,
}

impl<'a> Class<'a> {
    /// A lesson with windows to learn from and to validate on.
    pub(super) fn new(base: &'a Base, lesson: &'a Lesson) -> Self {
        let none = || std::array::from_fn(|_| OnceCell::new());
        Self { base, lesson, train: none(), validation: none() }
    }

    fn train(&self, freeze: Freeze) -> &Material {
        self.train[freeze.kind()].get_or_init(|| {
            let Lesson { train, replay, synthetic, .. } = self.lesson;
            Material::new(self.base, freeze, train.iter().chain(replay).chain(synthetic))
        })
    }

    fn validation(&self, freeze: Freeze) -> &Material {
        self.validation[freeze.kind()].get_or_init(|| Material::new(self.base, freeze, &self.lesson.validation))
    }

    /// What a head on the base model's backbone says of the windows to learn from, and of those to validate on.
    pub(super) fn said(&self, head: &Head) -> Option<Said> {
        let Lesson { train, replay, validation, .. } = self.lesson;
        let [taught, validated] = [self.train(Freeze::Head), self.validation(Freeze::Head)].map(Material::reading);
        let mut fresh = taught.said(head, train.len() + replay.len())?;
        let replay = fresh.split_off(train.len());
        Some(Said { train: fresh, replay, validation: validated.said(head, validation.len())? })
    }

    /// Begins from a head, with as little of what it moves medians as the validation windows allow. Nothing has
    /// learned yet, so this is the same for every freeze policy.
    pub(super) fn begin(&self, recipe: &Recipe, head: Head) -> Beginning<'_> {
        let loss = self.temper(recipe, &head, Freeze::Head, &Thawed::Nothing);
        Beginning { head, loss, thoughts: OnceCell::new() }
    }

    /// Keeps as little of what a head moves the bank's median as the validation windows allow; returns their
    /// loss.
    fn temper(&self, recipe: &Recipe, head: &Head, freeze: Freeze, thawed: &Thawed) -> f64 {
        let whole: Vec<(Tensor, Tensor)> = beside_copies(head);
        let validation = self.validation(freeze);
        // Medians are moved by the last layer alone: what comes before it is worked out once.
        let loss: Box<dyn Fn() -> f64 + '_> = match thawed {
            Thawed::Nothing => {
                let thoughts = validation.reading().thoughts(head);
                Box::new(move || thoughts.mean_loss(recipe, head))
            }
            _ => {
                let features = tch::no_grad(|| validation.all_features(thawed));
                Box::new(move || validate_on(recipe, validation, &features, head))
            }
        };
        let tried = |kept: f64| {
            tch::no_grad(|| whole.iter().for_each(|(value, copy)| value.shallow_clone().copy_(copy)));
            head.temper(kept);
            loss()
        };
        let losses = KEPT.map(tried);
        let least = losses.iter().copied().fold(f64::INFINITY, f64::min);
        let enough = losses.iter().position(|loss| *loss <= least * (1.0 + WORTH)).unwrap_or(KEPT.len() - 1);
        tried(KEPT[enough])
    }
}

impl<'a> Attempt<'a> {
    /// An attempt that has taken no step yet. A recipe that leaves its learning rate open learns with the first
    /// of those that are tried.
    pub(super) fn new(
        class: &'a Class<'a>,
        beginning: &'a Beginning<'a>,
        recipe: Recipe,
    ) -> Result<Self, TraineeError> {
        let mut head = class.base.fresh_head();
        head.store_mut().copy(beginning.head.store())?;
        let rate = recipe.learning_rate.unwrap_or(LEARNING_RATES[0]);
        let pupil = Pupil::new(class, beginning, (recipe.freeze.unwrap_or_default(), recipe.seed), &head);
        let mut optimizers = vec![build_optimizer(&recipe, rate, head.store())?];
        if let Some((_, store)) = pupil.thawed.store() {
            optimizers.push(build_optimizer(&recipe, rate, store)?);
        }
        let loss = beginning.loss;
        Ok(Self {
            rate,
            mix: Mix::new(&recipe, class.lesson),
            optimizers,
            draw: ChaCha8Rng::seed_from_u64(recipe.seed),
            best: Best { loss, weights: saved(&head, &Thawed::Nothing), step: 0 },
            curve: vec![CurvePoint { step: 0, train_loss: loss, validation_loss: loss }],
            taken: 0,
            since: (0.0, 0),
            waited: 0,
            class,
            recipe,
            head,
            pupil,
        })
    }

    /// Its settings.
    pub(super) fn recipe(&self) -> &Recipe {
        &self.recipe
    }

    /// Where it began.
    pub(super) fn first(&self) -> CurvePoint {
        self.curve[0]
    }

    /// Optimiser steps taken.
    pub(super) fn taken(&self) -> u32 {
        self.taken
    }

    /// The least validation loss so far, the beginning's included.
    pub(super) fn loss(&self) -> f64 {
        self.best.loss
    }

    /// Whether it takes no further step: all are taken, or the last ones led nowhere.
    pub(super) fn done(&self) -> bool {
        self.taken >= self.recipe.max_steps || self.waited >= self.recipe.patience
    }

    /// Learns until so many steps are taken, or it is done. `progress` hears of every evaluation, and of the newest
    /// one again where the next is long in coming.
    pub(super) fn advance(
        &mut self,
        steps: u32,
        progress: &mut dyn FnMut(CurvePoint) -> ControlFlow<()>,
    ) -> Result<(), TraineeError> {
        let mut heard = Instant::now();
        while self.taken < steps && !self.done() {
            let step = self.taken + 1;
            let loss = self.step(step)?.ok_or(TraineeError::NotFinite(step))?;
            self.taken = step;
            self.since = (self.since.0 + loss, self.since.1 + 1);
            if step.is_multiple_of(self.recipe.evaluate_every) || step == self.recipe.max_steps {
                self.evaluate(progress)?;
                heard = Instant::now();
            } else if heard.elapsed() >= SILENCE {
                if self.curve.last().is_some_and(|point| progress(*point).is_break()) {
                    return Err(TraineeError::Cancelled);
                }
                heard = Instant::now();
            }
        }
        Ok(())
    }

    /// Looks at the validation windows, and keeps the weights where they are the best so far.
    fn evaluate(&mut self, progress: &mut dyn FnMut(CurvePoint) -> ControlFlow<()>) -> Result<(), TraineeError> {
        let (step, (sum, counted)) = (self.taken, self.since);
        let validation_loss = self.pupil.validation_loss(&self.recipe, &self.head);
        if !validation_loss.is_finite() {
            return Err(TraineeError::NotFinite(step));
        }
        let point = CurvePoint { step, train_loss: sum / f64::from(counted), validation_loss };
        self.since = (0.0, 0);
        self.curve.push(point);
        if progress(point).is_break() {
            return Err(TraineeError::Cancelled);
        }
        if validation_loss < self.best.loss - 1e-4 {
            self.best = Best { loss: validation_loss, weights: saved(&self.head, &self.pupil.thawed), step };
            self.waited = 0;
        } else {
            self.waited += 1;
        }
        Ok(())
    }

    /// The least validation loss once medians are moved as little as it allows, and the weights that have it. Where
    /// nothing was better than the beginning, that is a head on the base model's backbone.
    pub(super) fn finish(self) -> Result<(f64, Learned), TraineeError> {
        let Best { weights, step: best_step, .. } = self.best;
        let broken = |_| TraineeError::NotFinite(best_step);
        let head = load_head(self.class.base, &weights).map_err(broken)?;
        let asked = self.pupil.freeze;
        let (freeze, thawed) = match best_step {
            0 => (Freeze::Head, Thawed::Nothing),
            _ => (asked, self.pupil.thawed),
        };
        thawed.fill(&weights).map_err(broken)?;
        let loss = self.class.temper(&self.recipe, &head, freeze, &thawed);
        let (weights, sparsity) = (saved(&head, &thawed), sparsity(penalised(&head, asked)));
        let open = (Some(self.rate), Some(asked));
        let recipe = Some(Recipe { learning_rate: open.0, freeze: open.1, search: None, ..self.recipe });
        let (curve, (begun, search, said)) = (self.curve, (None, None, None));
        Ok((loss, Learned { weights, curve, best_step, recipe, sparsity, begun, search, said }))
    }

    /// One step: its loss without penalties; `None` when that is not a finite number, and then nothing has
    /// moved.
    fn step(&mut self, step: u32) -> Result<Option<f64>, TraineeError> {
        let Self { recipe, mix, head, pupil, optimizers, draw, .. } = self;
        let rate = self.rate * schedule(step, recipe.max_steps);
        let windows = mix.rows(draw);
        let mask = pupil.mask(draw, recipe, head, windows.len());
        if !matches!(pupil.thawed, Thawed::Nothing) {
            // Gradients worked out by hand take the place of those before.
            optimizers.iter_mut().for_each(nn::Optimizer::zero_grad);
        }
        let loss = pupil.learn(recipe, head, &windows, mask.as_ref())?;
        if !loss.is_finite() {
            return Ok(None);
        }
        match &optimizers[..] {
            [alone] => alone.clip_grad_norm(recipe.gradient_clip),
            _ => clip(head.store(), &pupil.thawed, recipe.gradient_clip)?,
        }
        for optimizer in optimizers {
            optimizer.set_lr(rate);
            optimizer.step();
        }
        if recipe.l1 > 0.0 {
            shrink(penalised(head, pupil.freeze), recipe.l1 * rate);
        }
        Ok(Some(loss))
    }
}

impl<'a> Beginning<'a> {
    /// What its last layer reads, of a class.
    fn thoughts(&self, class: &'a Class<'a>) -> &[Thoughts<'a>; 2] {
        self.thoughts.get_or_init(|| {
            [class.train(Freeze::Head), class.validation(Freeze::Head)]
                .map(|material| material.reading().thoughts(&self.head))
        })
    }
}

fn saved(head: &Head, thawed: &Thawed) -> Vec<u8> {
    let stores: Vec<(&str, &nn::VarStore)> = std::iter::once(("head", head.store())).chain(thawed.store()).collect();
    artefact::save(&stores)
}

/// The head's variables, each beside a copy of what it is now.
fn beside_copies(head: &Head) -> Vec<(Tensor, Tensor)> {
    let mut own: Vec<_> = head.store().variables().into_iter().collect();
    // A map's order changes from run to run, and sums of floats change with it.
    own.sort_by(|a, b| a.0.cmp(&b.0));
    own.into_iter().map(|(_, value)| (value.shallow_clone(), value.detach().copy())).collect()
}

#[cfg(test)]
mod tests;
