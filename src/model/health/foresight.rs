//! What will become of an asset, told from the same portraits as its class: several questions at once, each
//! with outcomes that exclude one another.
//!
//! One hidden layer is shared by all questions, and each has a block of outcomes with a temperature of its
//! own (multi-task learning, Caruana 1997). Samples of which the answer to a question is not known teach the
//! others. How often an outcome comes is part of what is learned: classes are not balanced here.

use std::ops::ControlFlow;

use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

use super::learn::{Aim, attempt, shape, temperature};
use super::{Classroom, Network, Portrait, Rows, Sample, Shape};
use crate::model::engine::EngineError;
use crate::model::recipe::Recipe;
use crate::model::trainee::TraineeError;

/// Learning rate where a recipe names none.
const LEARNING_RATE: f64 = 2e-3;
/// Optimiser steps at most: questions ahead are to cost a fraction of the class of now.
const MAX_STEPS: u32 = 600;

/// A network that answers questions about the future, as it is stored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Foresight {
    /// Its dimensions; `classes` counts the outcomes of all questions.
    pub shape: Shape,
    /// How many outcomes each question has.
    pub outcomes: Vec<usize>,
    /// Scores of each question's outcomes are divided by it, so that probabilities are honest (Guo et al.
    /// 2017).
    pub temperatures: Vec<f64>,
    /// safetensors.
    pub weights: Vec<u8>,
}

impl Foresight {
    /// Whether its parts belong together.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.outcomes.iter().sum::<usize>() == self.shape.classes
            && self.outcomes.iter().all(|count| *count > 0)
            && self.temperatures.len() == self.outcomes.len()
            && self.temperatures.iter().all(|temperature| *temperature > 0.0)
    }
}

/// What became of the samples of a [`Classroom`]: a row a sample, an answer a question. Answers that are not
/// known are `None`.
#[derive(Clone, Debug, Default)]
pub struct Futures {
    /// How many outcomes each question has.
    pub outcomes: Vec<usize>,
    /// Of the samples that teach.
    pub train: Vec<Vec<Option<usize>>>,
    /// Of the samples that validate.
    pub validation: Vec<Vec<Option<usize>>>,
}

/// Questions beside one another that have as many outcomes each.
#[derive(Clone, Copy)]
struct Block {
    begins: i64,
    questions: i64,
    outcomes: i64,
}

impl Block {
    /// Each question alone.
    fn each(outcomes: &[usize]) -> Vec<Self> {
        let begin = |begins: &mut i64, count: &usize| {
            let block = Self { begins: *begins, questions: 1, outcomes: *count as i64 };
            *begins += block.outcomes;
            Some(block)
        };
        outcomes.iter().scan(0, begin).collect()
    }

    /// As few as there can be: one operation costs as much for many questions as for one.
    fn joined(outcomes: &[usize]) -> Vec<Self> {
        let mut joined: Vec<Self> = Vec::new();
        for block in Self::each(outcomes) {
            match joined.last_mut().filter(|last| last.outcomes == block.outcomes) {
                Some(last) => last.questions += 1,
                None => joined.push(block),
            }
        }
        joined
    }

    /// Its columns of a matrix.
    fn of(self, rows: &Tensor) -> Tensor {
        rows.narrow(1, self.begins, self.questions * self.outcomes)
    }

    /// Cross-entropy of scores of all questions, summed over the answers that are known.
    fn lost(self, wanted: &Tensor, scores: &Tensor) -> Tensor {
        let shape = [-1, self.questions, self.outcomes];
        let wanted = self.of(wanted).reshape(shape);
        -(wanted * self.of(scores).reshape(shape).log_softmax(-1, Kind::Float)).sum(Kind::Float)
    }
}

/// The outcome that each sample had, question by question.
struct Answers {
    blocks: Vec<Block>,
    /// `[n, outcomes of all questions]`: smoothed, and 0 where an answer is not known.
    wanted: Tensor,
}

impl Answers {
    fn of(outcomes: &[usize], rows: &[&[Option<usize>]], smooth: f64) -> Self {
        let all: usize = outcomes.iter().sum();
        let mut wanted = vec![0.0_f32; rows.len() * all];
        for (row, wanted) in rows.iter().zip(wanted.chunks_mut(all.max(1))) {
            let mut begins = 0;
            for (answer, count) in row.iter().zip(outcomes) {
                if let Some(answer) = answer {
                    wanted[begins..begins + count].fill((smooth / *count as f64) as f32);
                    wanted[begins + answer] += (1.0 - smooth) as f32;
                }
                begins += count;
            }
        }
        let wanted = Tensor::from_slice(&wanted).view([rows.len() as i64, all as i64]);
        Self { blocks: Block::joined(outcomes), wanted }
    }
}

impl Aim for Answers {
    fn pick(&self, index: &Tensor) -> Self {
        Self { blocks: self.blocks.clone(), wanted: self.wanted.index_select(0, index) }
    }

    fn loss(&self, scores: &Tensor) -> Tensor {
        let lost = self.blocks.iter().map(|block| block.lost(&self.wanted, scores));
        let lost = lost.reduce(|sum, more| sum + more).unwrap_or_else(|| Tensor::from(0.0_f32));
        // A step may have drawn samples of which little is known.
        lost / self.wanted.sum(Kind::Float).clamp_min(1.0)
    }
}

/// Teaches what became of the samples of a classroom, from its portraits; the weights with the best
/// validation loss are kept.
///
/// `alive` hears of every evaluation and may stop the learning. Without an answer in either part there is
/// nothing to learn: [`TraineeError::Empty`].
pub fn learn_futures(
    room: &Classroom,
    futures: &Futures,
    recipe: &Recipe,
    alive: &mut dyn FnMut() -> ControlFlow<()>,
) -> Result<Foresight, TraineeError> {
    let (train, validation) = (told(&room.train, &futures.train), told(&room.validation, &futures.validation));
    let (Some((first, _)), false) = (train.first(), validation.is_empty()) else {
        return Err(TraineeError::Empty);
    };
    let shape = shape(futures.outcomes.iter().sum(), room.width, first);
    let part = |part: &[(&Portrait, &[Option<usize>])], smooth: f64| -> (Rows, Answers) {
        let (portraits, rows): (Vec<&Portrait>, Vec<&[Option<usize>]>) = part.iter().copied().unzip();
        (Rows::of(shape, &portraits), Answers::of(&futures.outcomes, &rows, smooth))
    };
    // Smoothing is for learning; what is chosen must name outcomes.
    let (train, validation) = (part(&train, recipe.classification.label_smoothing), part(&validation, 0.0));
    let plan = (recipe.learning_rate.unwrap_or(LEARNING_RATE), recipe.classification.max_steps.min(MAX_STEPS));
    let weights = attempt(shape, recipe, plan, &train, &validation, alive)?.weights;
    let kept = Network::loaded(shape, &weights).map_err(|_| TraineeError::NotFinite(plan.1))?;
    let scores = tch::no_grad(|| kept.scores(&validation.0, None, None));
    let wanted = &validation.1.wanted;
    let own = |block: Block| {
        let known = block.of(wanted).sum(Kind::Float).double_value(&[]) > 0.0;
        if known { temperature(|by| block.lost(wanted, &(&scores / by))) } else { 1.0 }
    };
    let temperatures = Block::each(&futures.outcomes).into_iter().map(own).collect();
    Ok(Foresight { shape, outcomes: futures.outcomes.clone(), temperatures, weights })
}

/// The samples of which any answer is known.
fn told<'a>(samples: &'a [Sample], rows: &'a [Vec<Option<usize>>]) -> Vec<(&'a Portrait, &'a [Option<usize>])> {
    let all = samples.iter().map(|sample| &sample.portrait).zip(rows.iter().map(Vec::as_slice));
    all.filter(|(_, row)| row.iter().any(Option::is_some)).collect()
}

/// Probabilities of the outcomes of each question, for each portrait; those of a question sum to 1.
pub fn foresee(foresight: &Foresight, portraits: &[&Portrait]) -> Result<Vec<Vec<Vec<f64>>>, EngineError> {
    let shape = foresight.shape;
    let network = Network::loaded(shape, &foresight.weights)?;
    if portraits.is_empty() {
        return Ok(Vec::new());
    }
    if !foresight.is_whole() || !portraits.iter().all(|portrait| shape.fits(portrait)) {
        return Err(EngineError::NotFinite);
    }
    let said = tch::no_grad(|| {
        let scores = network.scores(&Rows::of(shape, portraits), None, None);
        let answer = |(block, temperature): (Block, &f64)| (block.of(&scores) / *temperature).softmax(-1, Kind::Double);
        let all = Block::each(&foresight.outcomes).into_iter().zip(&foresight.temperatures).map(answer);
        Vec::<f64>::try_from(Tensor::cat(&all.collect::<Vec<Tensor>>(), 1).reshape(-1))
    });
    let said = said.map_err(|_| EngineError::NotFinite)?;
    if !said.iter().all(|value| value.is_finite()) {
        return Err(EngineError::NotFinite);
    }
    let row = |row: &[f64]| -> Vec<Vec<f64>> {
        let mut rest = row;
        let question = |count: &usize| {
            let (own, other) = rest.split_at(*count);
            rest = other;
            own.to_vec()
        };
        foresight.outcomes.iter().map(question).collect()
    };
    Ok(said.chunks(shape.classes).map(row).collect())
}
