//! What will become of an asset's health class: which questions about it are answered, and by whom.
//!
//! For each lead: in which class is the asset then? For each class that it is not in: by which lead is it
//! first in it, if at all? Both were learned directly, so nothing is rolled on from step to step, and of what
//! lies between the leads nothing is said. Beside what was learned stand answers that need no learning; which
//! of them serves was decided on labelled steps that nothing was learned from.

use serde::{Deserialize, Serialize};

use crate::model::health::{Foresight, Shape};
use crate::twin::AheadBy;

/// Steps ahead that are told: a quarter, half and the whole of the horizon that jobs learn forecasts for.
pub const LEADS: [usize; 3] = [16, 32, 64];
/// What is added to every count, so that what has not been seen is not held impossible (Krichevsky and
/// Trofimov 1981).
const UNSEEN: f64 = 0.5;

/// A question about the future, and how it is answered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Question {
    /// Who answers; `None` where too little is known to say anything.
    pub by: Option<AheadBy>,
    /// Probabilities of its outcomes, a row for each class that the asset can be in now.
    pub rates: Vec<Vec<f64>>,
    /// Probabilities of its outcomes, whatever class the asset is in now.
    pub frequencies: Vec<f64>,
}

/// What tells the future of an asset's class.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Outlook {
    /// Steps ahead, ascending.
    pub leads: Vec<usize>,
    /// For each lead in which class the asset is.
    pub classes: Vec<Question>,
    /// For each class by which lead the asset is first in it; the last outcome is that by none.
    pub times: Vec<Question>,
    /// What was learned: it answers the questions of `classes`, then those of `times`.
    pub foresight: Option<Foresight>,
}

impl Question {
    /// A question that nobody answers yet, with what cases tell: the class that was now, and the outcome.
    #[must_use]
    pub fn of(classes: usize, outcomes: usize, cases: &[(usize, usize)]) -> Self {
        let mut counts = vec![vec![UNSEEN; outcomes]; classes];
        let mut all = vec![UNSEEN; outcomes];
        for (now, outcome) in cases {
            counts[*now][*outcome] += 1.0;
            all[*outcome] += 1.0;
        }
        Self { by: None, rates: counts.into_iter().map(shares).collect(), frequencies: shares(all) }
    }

    /// What one of those who can would answer: from the probabilities of the class of now, and from what was
    /// learned.
    #[must_use]
    pub fn answer(&self, by: AheadBy, now: &[f64], learned: &[f64]) -> Vec<f64> {
        match by {
            AheadBy::Learned => learned.to_vec(),
            AheadBy::Held => now.to_vec(),
            AheadBy::Frequencies => self.frequencies.clone(),
            AheadBy::Rates => {
                let mut mixed = vec![0.0; self.frequencies.len()];
                for (probability, row) in now.iter().zip(&self.rates) {
                    mixed.iter_mut().zip(row).for_each(|(sum, rate)| *sum += probability * rate);
                }
                mixed
            }
        }
    }

    /// Whether its numbers are so many, and who answers is there.
    fn is_whole(&self, classes: usize, outcomes: usize, learned: bool) -> bool {
        self.frequencies.len() == outcomes
            && self.rates.len() == classes
            && self.rates.iter().all(|row| row.len() == outcomes)
            && (learned || self.by != Some(AheadBy::Learned))
    }
}

impl Outlook {
    /// How many outcomes each question has, where there are so many classes.
    #[must_use]
    pub fn outcomes(leads: usize, classes: usize) -> Vec<usize> {
        let times = std::iter::repeat_n(leads + 1, classes);
        std::iter::repeat_n(classes, leads).chain(times).collect()
    }

    /// Who tells the class at a lead, and the probabilities; `None` where nobody does. `ahead` is what was
    /// learned, question by question.
    #[must_use]
    pub fn class_at(&self, lead: usize, now: &[f64], ahead: &[Vec<f64>]) -> Option<(AheadBy, Vec<f64>)> {
        let question = self.classes.get(lead)?;
        let by = question.by?;
        Some((by, question.answer(by, now, ahead.get(lead).map_or(now, Vec::as_slice))))
    }

    /// Who tells the time to a class that the asset is not in now, and the probabilities of its outcomes;
    /// `None` where nobody does.
    #[must_use]
    pub fn time_to(&self, class: usize, now: &[f64], ahead: &[Vec<f64>]) -> Option<(AheadBy, Vec<f64>)> {
        let question = self.times.get(class)?;
        let (by, learned) = (question.by?, ahead.get(self.leads.len() + class));
        let learned = learned.map_or(question.frequencies.as_slice(), Vec::as_slice);
        Some((by, question.answer(by, &but(now, class), learned)))
    }

    /// Whether its parts belong together, and to a classifier of this shape.
    #[must_use]
    pub fn is_of(&self, shape: Shape) -> bool {
        let (leads, classes) = (self.leads.len(), shape.classes);
        let outcomes = Self::outcomes(leads, classes);
        let sees = |foresight: &Foresight| {
            let same = Shape { classes: foresight.shape.classes, ..shape };
            foresight.is_whole() && foresight.shape == same && foresight.outcomes == outcomes
        };
        let learned = self.foresight.is_some();
        self.foresight.as_ref().is_none_or(sees)
            && (self.classes.len(), self.times.len()) == (leads, classes)
            && self
                .classes
                .iter()
                .chain(&self.times)
                .zip(&outcomes)
                .all(|(q, count)| q.is_whole(classes, *count, learned))
    }
}

/// Probabilities of the class of now, given that it is not this one.
#[must_use]
pub fn but(now: &[f64], class: usize) -> Vec<f64> {
    let mut others = now.to_vec();
    if let Some(own) = others.get_mut(class) {
        *own = 0.0;
    }
    if others.iter().sum::<f64>() > 0.0 {
        return shares(others);
    }
    // It is held certain to be this one: the others are all alike.
    shares((0..now.len()).map(|other| f64::from(other != class)).collect())
}

fn shares(counts: Vec<f64>) -> Vec<f64> {
    let sum: f64 = counts.iter().sum();
    counts.into_iter().map(|count| count / sum).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(one: &[f64], other: &[f64]) -> bool {
        one.len() == other.len() && one.iter().zip(other).all(|(a, b)| (a - b).abs() < 1e-9)
    }

    #[test]
    fn rates_follow_the_class_of_now_and_frequencies_do_not() {
        let cases = [(0, 0), (0, 0), (0, 0), (0, 1), (1, 1), (1, 1)];
        let question = Question::of(2, 2, &cases);
        assert!(close(&question.rates[0], &[0.7, 0.3]) && close(&question.rates[1], &[1.0 / 6.0, 5.0 / 6.0]));
        assert!(close(&question.frequencies, &[0.5, 0.5]));
        let said = |by| question.answer(by, &[0.5, 0.5], &[0.1, 0.9]);
        assert!(close(&said(AheadBy::Rates), &[0.35 + 0.5 / 6.0, 0.15 + 2.5 / 6.0]));
        assert!(close(&said(AheadBy::Held), &[0.5, 0.5]) && close(&said(AheadBy::Learned), &[0.1, 0.9]));
        assert!(close(&Question::of(2, 3, &[]).frequencies, &[1.0 / 3.0; 3]), "nothing is held impossible");
    }

    #[test]
    fn the_time_to_a_class_is_told_as_from_the_others() {
        let mut question = Question::of(3, 3, &[(0, 0), (1, 2), (1, 2)]);
        question.by = Some(AheadBy::Rates);
        let silent = Question { by: None, ..question.clone() };
        let outlook = Outlook {
            leads: vec![4, 8],
            classes: vec![silent.clone(), question.clone()],
            times: vec![silent.clone(), silent, question.clone()],
            foresight: None,
        };
        let (by, said) = outlook.time_to(2, &[0.1, 0.1, 0.8], &[]).unwrap();
        let half: Vec<f64> = (0..3).map(|k| f64::midpoint(question.rates[0][k], question.rates[1][k])).collect();
        assert!(by == AheadBy::Rates && close(&said, &half), "{said:?}");
        assert_eq!(
            (outlook.time_to(0, &[0.1, 0.1, 0.8], &[]), outlook.class_at(0, &[1.0, 0.0, 0.0], &[])),
            (None, None)
        );
        assert!(outlook.class_at(1, &[1.0, 0.0, 0.0], &[]).is_some());
        assert!(close(&but(&[0.0, 0.0, 1.0], 2), &[0.5, 0.5, 0.0]));
    }

    #[test]
    fn what_does_not_belong_together_is_seen() {
        let shape = Shape { signals: 2, statistics: 8, width: 96, classes: 2 };
        let (class, time) = (Question::of(2, 2, &[]), Question::of(2, 3, &[]));
        let whole = Outlook {
            leads: vec![4, 8],
            classes: vec![class.clone(), class],
            times: vec![time.clone(), time],
            foresight: None,
        };
        assert!(whole.is_of(shape) && !whole.is_of(Shape { classes: 3, ..shape }));
        let mut orphan = whole.clone();
        orphan.classes[1].by = Some(AheadBy::Learned);
        assert!(!orphan.is_of(shape), "nothing was learned");
        let outcomes = Outlook::outcomes(2, 2);
        assert_eq!(outcomes, [2, 2, 3, 3]);
        let foresight = Foresight {
            shape: Shape { classes: 10, ..shape },
            temperatures: vec![1.0; 4],
            outcomes,
            weights: Vec::new(),
        };
        orphan.foresight = Some(foresight);
        assert!(orphan.is_of(shape) && !orphan.is_of(Shape { signals: 3, ..shape }));
    }
}
