//! One attempt to learn: a head on its way through the steps of a recipe. It can be left where it is and
//! taken up again, and learns on as if it had never stopped.

use std::ops::ControlFlow;

use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;
use tch::{Kind, Tensor, nn};

use super::artefact;
use super::base::Base;
use super::lesson::{Lesson, Material, Mix, validate};
use super::network::Head;
use super::recipe::{LEARNING_RATES, Recipe};
use super::trainee::{
    CurvePoint, Learned, TraineeError, build_optimizer, dropout_mask, load_head, paired_variables, schedule, shrink,
    sparsity,
};

/// Shares of what a head moves the bank's median that are tried, and how much better the validation loss must
/// be to keep more: where a study knows its asset there is little left to correct, and few windows tell.
const KEPT: [f64; 5] = [0.0, 0.25, 0.5, 0.75, 1.0];
/// How much better something must be on the validation windows to be taken: few windows tell.
pub(super) const WORTH: f64 = 0.01;

/// What the attempts of one lesson share.
pub(super) struct Class<'a> {
    base: &'a Base,
    lesson: &'a Lesson,
    train: Material,
    validation: Material,
}

/// A head that attempts begin from.
pub(super) struct Beginning {
    head: Head,
    /// Its loss on the validation windows.
    pub(super) loss: f64,
}

/// A head on its way.
pub(super) struct Attempt<'a> {
    class: &'a Class<'a>,
    recipe: Recipe,
    rate: f64,
    mix: Mix,
    head: Head,
    /// Its variables, each beside what it was at the beginning.
    start: Vec<(Tensor, Tensor)>,
    optimizer: nn::Optimizer,
    draw: ChaCha8Rng,
    best: Best,
    curve: Vec<CurvePoint>,
    taken: u32,
    /// Losses since the last evaluation: their sum, and how many.
    since: (f64, u32),
    /// Evaluations without improvement.
    waited: u32,
}

/// The head with the least validation loss so far.
struct Best {
    loss: f64,
    weights: Vec<u8>,
    step: u32,
}

impl<'a> Class<'a> {
    /// Computes the features of a lesson with windows to learn from and to validate on.
    pub(super) fn new(base: &'a Base, lesson: &'a Lesson) -> Self {
        let taught = lesson.train.iter().chain(&lesson.replay).chain(&lesson.synthetic);
        Self { base, lesson, train: Material::new(base, taught), validation: Material::new(base, &lesson.validation) }
    }

    /// Begins from a head, with as little of what it moves medians as the validation windows allow.
    pub(super) fn begin(&self, recipe: &Recipe, head: Head) -> Beginning {
        let loss = self.temper(recipe, &head);
        Beginning { head, loss }
    }

    /// Keeps as little of what a head moves the bank's median as the validation windows allow; returns their
    /// loss.
    fn temper(&self, recipe: &Recipe, head: &Head) -> f64 {
        let whole: Vec<(Tensor, Tensor)> = beside_copies(head);
        let mut tried = |kept: f64| {
            tch::no_grad(|| whole.iter().for_each(|(value, copy)| value.shallow_clone().copy_(copy)));
            head.temper(kept);
            validate(recipe, &self.validation, head)
        };
        let losses = KEPT.map(&mut tried);
        let least = losses.iter().copied().fold(f64::INFINITY, f64::min);
        let enough = losses.iter().position(|loss| *loss <= least * (1.0 + WORTH)).unwrap_or(KEPT.len() - 1);
        tried(KEPT[enough])
    }
}

impl<'a> Attempt<'a> {
    /// An attempt that has taken no step yet. A recipe that leaves its learning rate open learns with the first
    /// of those that are tried.
    pub(super) fn new(class: &'a Class<'a>, beginning: &Beginning, recipe: Recipe) -> Result<Self, TraineeError> {
        let mut head = class.base.fresh_head();
        head.store_mut().copy(beginning.head.store())?;
        let rate = recipe.learning_rate.unwrap_or(LEARNING_RATES[0]);
        let loss = beginning.loss;
        Ok(Self {
            rate,
            mix: Mix::new(&recipe, class.lesson),
            start: paired_variables(&head, &beginning.head),
            optimizer: build_optimizer(&recipe, rate, head.store())?,
            draw: ChaCha8Rng::seed_from_u64(recipe.seed),
            best: Best { loss, weights: saved(&head), step: 0 },
            curve: vec![CurvePoint { step: 0, train_loss: loss, validation_loss: loss }],
            taken: 0,
            since: (0.0, 0),
            waited: 0,
            class,
            recipe,
            head,
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

    /// Learns until so many steps are taken, or it is done. `progress` hears of every evaluation.
    pub(super) fn advance(
        &mut self,
        steps: u32,
        progress: &mut dyn FnMut(CurvePoint) -> ControlFlow<()>,
    ) -> Result<(), TraineeError> {
        while self.taken < steps && !self.done() {
            let step = self.taken + 1;
            let loss = self.step(step)?.ok_or(TraineeError::NotFinite(step))?;
            self.taken = step;
            self.since = (self.since.0 + loss, self.since.1 + 1);
            if step.is_multiple_of(self.recipe.evaluate_every) || step == self.recipe.max_steps {
                self.evaluate(progress)?;
            }
        }
        Ok(())
    }

    /// Looks at the validation windows, and keeps the head where it is the best so far.
    fn evaluate(&mut self, progress: &mut dyn FnMut(CurvePoint) -> ControlFlow<()>) -> Result<(), TraineeError> {
        let (step, (sum, counted)) = (self.taken, self.since);
        let validation_loss = validate(&self.recipe, &self.class.validation, &self.head);
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
            self.best = Best { loss: validation_loss, weights: saved(&self.head), step };
            self.waited = 0;
        } else {
            self.waited += 1;
        }
        Ok(())
    }

    /// The least validation loss once medians are moved as little as it allows, and the head that has it.
    pub(super) fn finish(self) -> Result<(f64, Learned), TraineeError> {
        let Best { weights, step: best_step, .. } = self.best;
        let head = load_head(self.class.base, &weights).map_err(|_| TraineeError::NotFinite(best_step))?;
        let loss = self.class.temper(&self.recipe, &head);
        let (weights, sparsity) = (saved(&head), sparsity(&head));
        let recipe = Some(Recipe { learning_rate: Some(self.rate), search: None, ..self.recipe });
        Ok((loss, Learned { weights, curve: self.curve, best_step, recipe, sparsity, begun: None, search: None }))
    }

    /// One step: its loss without penalties; `None` when that is not a finite number, and then nothing has
    /// moved.
    fn step(&mut self, step: u32) -> Result<Option<f64>, TraineeError> {
        let Self { class, recipe, mix, head, start, optimizer, draw, .. } = self;
        let rate = self.rate * schedule(step, recipe.max_steps);
        optimizer.set_lr(rate);
        let rows = mix.rows(draw);
        let mask = dropout_mask(draw, recipe.dropout, head.dropout_shape(rows.len(), class.train.future()));
        let loss = class.train.loss(recipe, head, Some(&Tensor::from_slice(&rows)), mask.as_ref());
        let value = f64::try_from(loss.detach())?;
        if !value.is_finite() {
            return Ok(None);
        }
        let penalised = loss + penalty(recipe, start);
        optimizer.zero_grad();
        penalised.f_backward()?;
        optimizer.clip_grad_norm(recipe.gradient_clip);
        optimizer.step();
        if recipe.l1 > 0.0 {
            shrink(head.store(), recipe.l1 * rate);
        }
        Ok(Some(value))
    }
}

fn saved(head: &Head) -> Vec<u8> {
    artefact::save(&[("head", head.store())])
}

/// The head's variables, each beside a copy of what it is now.
fn beside_copies(head: &Head) -> Vec<(Tensor, Tensor)> {
    let mut own: Vec<_> = head.store().variables().into_iter().collect();
    // A map's order changes from run to run, and sums of floats change with it.
    own.sort_by(|a, b| a.0.cmp(&b.0));
    own.into_iter().map(|(_, value)| (value.shallow_clone(), value.detach().copy())).collect()
}

/// L2-SP (Li et al. 2018): L2 toward where learning started.
fn penalty(recipe: &Recipe, variables: &[(Tensor, Tensor)]) -> Tensor {
    let mut sum = Tensor::from(0.0f32);
    for (value, start) in variables {
        if recipe.l2_sp > 0.0 {
            sum += (value - start).square().sum(Kind::Float) * recipe.l2_sp;
        }
    }
    sum
}
