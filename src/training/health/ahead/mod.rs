//! What will become of a health class: what labels teach of it, and who tells it.
//!
//! A step tells of the future as far as the labels go on without a gap and within its own part: no step that
//! teaches looks ahead at one that validates or judges, and none that judges at one that taught. Beside what
//! is learned stand the class of now as if it held, the rates at which classes follow one another, and how
//! often each class comes at all. Who lost least on the steps that judge tells it; what was learned must beat
//! the others by more than luck.

mod course;
#[cfg(test)]
mod tests;
mod verdict;

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use self::course::Course;
pub use self::verdict::{AheadScore, AheadVerdict, LeadVerdict, TimeVerdict};
use super::{BETTER, BLOCK, Cut};
use crate::features::{Grid, HealthModel, LEADS, Outlook, Question, but};
use crate::model::Recipe;
use crate::model::health::{Classroom, Futures, Portrait, foresee, learn_futures};
use crate::model::trainee::TraineeError;
use crate::score::class::log_losses;
use crate::score::{ClassCard, Paired, RESAMPLES, paired_block_bootstrap};
use crate::training::learner::LearnError;
use crate::twin::AheadBy;

/// Steps that know the answer to a question: fewer that teach, validate or judge say too little.
const LEAST: [usize; 3] = [24, 8, 16];

/// What a model says of the steps that judge: probabilities of the classes now, and of the outcomes of each
/// question ahead, where it was taught them.
pub(super) struct Heard {
    pub(super) now: Vec<Vec<f64>>,
    pub(super) ahead: Vec<Vec<Vec<f64>>>,
}

/// What is learned from.
#[derive(Clone, Copy)]
pub(super) struct Lesson<'a> {
    pub(super) grid: &'a Grid,
    pub(super) cut: &'a Cut,
    /// The portraits of the steps that teach and validate.
    pub(super) room: &'a Classroom,
    pub(super) recipe: &'a Recipe,
}

/// What each of those who can tell says of the cases of one question.
struct Trial {
    truths: Vec<usize>,
    said: Vec<(AheadBy, Vec<Vec<f64>>)>,
    /// Cases that hang together.
    block: usize,
    seed: u64,
}

impl Trial {
    fn losses(&self, by: AheadBy) -> Option<Vec<f64>> {
        let (_, rows) = self.said.iter().find(|(who, _)| *who == by)?;
        Some(log_losses(&self.truths, rows))
    }

    fn loss(&self, by: AheadBy) -> Option<f64> {
        self.losses(by).filter(|losses| !losses.is_empty()).map(|losses| mean(&losses))
    }

    fn score(&self, by: AheadBy, classes: &[String]) -> Option<AheadScore> {
        let (_, rows) = self.said.iter().find(|(who, _)| *who == by).filter(|_| !self.truths.is_empty())?;
        let ClassCard { log_loss, accuracy, macro_f1, ece, .. } = ClassCard::of(classes, &self.truths, rows);
        Some(AheadScore { log_loss, accuracy, macro_f1, ece })
    }

    /// Who tells it: of those that need no learning the one that lost least, unless what was learned is
    /// better by more than luck.
    fn decide(&self) -> Option<AheadBy> {
        let plain = self.said.iter().map(|(by, _)| *by).filter(|by| *by != AheadBy::Learned);
        let plain = plain.filter_map(|by| Some((by, self.loss(by)?)));
        let (plain, _) = plain.min_by(|one, other| one.1.total_cmp(&other.1))?;
        let paired = self
            .losses(AheadBy::Learned)
            .zip(self.losses(plain))
            .and_then(|(learned, plain)| paired_block_bootstrap(&learned, &plain, self.block, RESAMPLES, self.seed));
        Some(if paired.as_ref().is_some_and(is_enough) { AheadBy::Learned } else { plain })
    }
}

fn is_enough(paired: &Paired) -> bool {
    paired.improvement >= BETTER.0 && paired.probability >= BETTER.1
}

impl Lesson<'_> {
    /// Learns what becomes of the class, and decides who tells it; `heard` is what the classifier says now,
    /// and takes what is said ahead. No outlook where too few labelled steps follow one another.
    pub(super) fn learn(
        self,
        portraits: &[Portrait],
        heard: &mut Heard,
        alive: &mut dyn FnMut() -> ControlFlow<()>,
    ) -> Result<(Option<Outlook>, AheadVerdict), LearnError> {
        let classes = self.cut.classes.len();
        let outcomes = Outlook::outcomes(LEADS.len(), classes);
        let answers = self.answers();
        let question = |(place, count): (usize, &usize)| -> Question {
            let cases = self.cut.parts[0].iter().zip(&answers[0]);
            let cases: Vec<(usize, usize)> =
                cases.filter_map(|((_, class), row)| Some((*class, row[place]?))).collect();
            Question::of(classes, *count, &cases)
        };
        let mut questions: Vec<Question> = outcomes.iter().enumerate().map(question).collect();
        let known = |part: usize, place: usize| answers[part].iter().filter(|row| row[place].is_some()).count();
        let enough = |part: usize, place: usize| known(part, place) >= LEAST[part];
        let teaches = (0..outcomes.len()).any(|place| (0..3).all(|part| enough(part, place)));
        let foresight = if teaches {
            let futures =
                Futures { outcomes: outcomes.clone(), train: answers[0].clone(), validation: answers[1].clone() };
            Some(learn_futures(self.room, &futures, self.recipe, alive).map_err(refusal)?)
        } else {
            None
        };
        if let Some(foresight) = &foresight {
            let all: Vec<&Portrait> = portraits.iter().collect();
            heard.ahead = foresee(foresight, &all).map_err(|error| super::broken(&error))?;
        }
        let mut verdict = AheadVerdict { reason: String::new(), leads: Vec::new(), times: BTreeMap::new() };
        let mut words = Vec::new();
        for (place, question) in questions.iter_mut().enumerate() {
            // Without validation there was no early stopping and no temperature.
            let learned = foresight.is_some() && enough(1, place);
            let trial = self.trial(place, question, heard, &answers[2], learned);
            question.by = if enough(0, place) && enough(2, place) { trial.decide() } else { None };
            if let Some(step) = LEADS.get(place) {
                let lead = self.lead(place, *step, question.by, &trial, &answers[2]);
                words.extend(lead.words());
                verdict.leads.push(lead);
            } else {
                let class = self.cut.classes[place - LEADS.len()].clone();
                verdict.times.insert(class, time(question.by, &trial));
            }
        }
        verdict.reason = if words.is_empty() {
            format!("too few labelled steps go on for {} steps to tell the class ahead", LEADS[0])
        } else {
            words.join("; ")
        };
        let times = questions.split_off(LEADS.len());
        let outlook = Outlook { leads: LEADS.to_vec(), classes: questions, times, foresight };
        let told = outlook.classes.iter().chain(&outlook.times).any(|question| question.by.is_some());
        Ok((told.then_some(outlook), verdict))
    }

    /// The answers to all questions, part by part, at the steps that were drawn for each.
    fn answers(self) -> [Vec<Vec<Option<usize>>>; 3] {
        let course = Course::of(self.grid, &self.cut.known);
        let classes = self.cut.classes.len();
        [0, 1, 2].map(|part: usize| {
            self.cut.parts[part].iter().map(|(step, _)| course.answers(*step, &LEADS, classes)).collect()
        })
    }

    /// The steps that judge and know an answer, in the order of time, by their places; and how many
    /// neighbours of one share some of the future up to the last lead.
    fn cases(self, known: impl Fn(usize) -> bool) -> (Vec<usize>, usize) {
        let judging = &self.cut.parts[2];
        let mut cases: Vec<usize> = (0..judging.len()).filter(|case| known(*case)).collect();
        cases.sort_by_key(|case| judging[*case].0);
        let mut gaps: Vec<usize> = cases.windows(2).map(|pair| judging[pair[1]].0 - judging[pair[0]].0).collect();
        gaps.sort_unstable();
        let gap = gaps.get(gaps.len() / 2).copied().unwrap_or(1).max(1);
        (cases, LEADS[LEADS.len() - 1].div_ceil(gap).max(BLOCK))
    }

    fn trial(
        self,
        place: usize,
        question: &Question,
        heard: &Heard,
        answers: &[Vec<Option<usize>>],
        learned: bool,
    ) -> Trial {
        let (cases, block) = self.cases(|case| answers[case][place].is_some());
        let at_lead = place < LEADS.len();
        let by: &[AheadBy] = if at_lead {
            &[AheadBy::Held, AheadBy::Rates, AheadBy::Frequencies]
        } else {
            &[AheadBy::Rates, AheadBy::Frequencies]
        };
        let say = |by: AheadBy| -> Vec<Vec<f64>> {
            let row = |case: &usize| {
                let now = &heard.now[*case];
                let now = if at_lead { now.clone() } else { but(now, place - LEADS.len()) };
                let own = heard.ahead.get(*case).map_or(&[][..], |row| &row[place]);
                question.answer(by, &now, own)
            };
            cases.iter().map(row).collect()
        };
        let who = by.iter().copied().chain(learned.then_some(AheadBy::Learned));
        Trial {
            truths: cases.iter().filter_map(|case| answers[*case][place]).collect(),
            said: who.map(|by| (by, say(by))).collect(),
            block,
            seed: self.recipe.seed,
        }
    }

    fn lead(
        self,
        place: usize,
        step: usize,
        by: Option<AheadBy>,
        trial: &Trial,
        answers: &[Vec<Option<usize>>],
    ) -> LeadVerdict {
        let changed = self.cut.parts[2].iter().zip(answers);
        let score = |by: AheadBy| trial.score(by, &self.cut.classes);
        LeadVerdict {
            step,
            by,
            cases: trial.truths.len(),
            changes: changed.filter(|((_, class), row)| row[place].is_some_and(|then| then != *class)).count(),
            learned: score(AheadBy::Learned),
            held: score(AheadBy::Held),
            rates: score(AheadBy::Rates),
            frequencies: score(AheadBy::Frequencies),
        }
    }

    /// In words, what a new model tells better of the class ahead than the one that serves, by more than
    /// luck; one that tells nothing ahead is taken to hold the class of now.
    pub(super) fn gain(
        self,
        (new, heard): (&HealthModel, &Heard),
        (old, before): (&HealthModel, &Heard),
    ) -> Option<String> {
        let answers = &self.answers()[2];
        let (cases, block) = self.cases(|case| answers[case][..LEADS.len()].iter().all(Option::is_some));
        let losses = |model: &HealthModel, heard: &Heard| -> Vec<f64> {
            // What is said of other classes, or at other instants, cannot be compared.
            let outlook = model.ahead.as_ref().filter(|own| model.classes == self.cut.classes && own.leads == LEADS);
            let loss = |case: &usize| {
                let (now, ahead) = (&heard.now[*case], heard.ahead.get(*case).map_or(&[][..], Vec::as_slice));
                let each = (0..LEADS.len()).filter_map(|lead| {
                    let said = outlook.and_then(|outlook| outlook.class_at(lead, now, ahead));
                    let row = said.map_or_else(|| now.clone(), |(_, row)| row);
                    log_losses(&[answers[*case][lead]?], &[row]).pop()
                });
                mean(&each.collect::<Vec<f64>>())
            };
            cases.iter().map(loss).collect()
        };
        let (new, old) = (losses(new, heard), losses(old, before));
        let paired = paired_block_bootstrap(&new, &old, block, RESAMPLES, self.recipe.seed)?;
        let words = || {
            format!(
                "classes ahead: logarithmic loss {:.3} against {:.3} of the one that serves",
                mean(&new),
                mean(&old)
            )
        };
        is_enough(&paired).then(words)
    }
}

fn time(by: Option<AheadBy>, trial: &Trial) -> TimeVerdict {
    TimeVerdict {
        by,
        cases: trial.truths.len(),
        reached: trial.truths.iter().filter(|outcome| **outcome < LEADS.len()).count(),
        learned: trial.loss(AheadBy::Learned),
        rates: trial.loss(AheadBy::Rates),
        frequencies: trial.loss(AheadBy::Frequencies),
    }
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

fn refusal(error: TraineeError) -> LearnError {
    match error {
        TraineeError::Cancelled => LearnError::Cancelled,
        error => LearnError::NonFinite(error.to_string()),
    }
}
