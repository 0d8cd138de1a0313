//! Scores of class forecasts (health classes), from a confusion matrix and from probabilities.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Bins of confidence that the calibration error is taken over.
const BINS: usize = 10;
/// A class that was held impossible and came true is not counted as infinitely wrong.
const LEAST_PROBABILITY: f64 = 1e-6;

/// How well classes were named.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ClassCard {
    /// Cases.
    pub cases: usize,
    /// Share of them that were named rightly.
    pub accuracy: f64,
    /// Mean F1 of the classes that occurred or were said, each with equal weight.
    pub macro_f1: f64,
    /// Mean precision of the classes that were said; null in cards written before it was measured.
    #[serde(default)]
    pub macro_precision: Option<f64>,
    /// Mean recall of the classes that occurred; null in cards written before it was measured.
    #[serde(default)]
    pub macro_recall: Option<f64>,
    /// Mean area under the ROC curve of the classes that have one; null where none has, and in cards written
    /// before it was measured.
    #[serde(default)]
    pub macro_roc_auc: Option<f64>,
    /// Mean of minus the logarithm of the probability of what came true.
    pub log_loss: f64,
    /// Expected calibration error over ten bins of confidence (Guo et al. 2017): how far from the truth the
    /// probability of the named class is on average.
    pub ece: f64,
    /// By class.
    pub classes: BTreeMap<String, ClassScore>,
    /// `confusion[truth][said]` in cases; rows and columns in the order of `order`.
    pub confusion: Vec<Vec<u64>>,
    /// The classes in the order of the confusion matrix.
    pub order: Vec<String>,
}

/// How well one class was told apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ClassScore {
    /// Cases that were so.
    pub support: u64,
    /// Of the cases said to be so, the share that were; null when it was never said.
    pub precision: Option<f64>,
    /// Of the cases that were so, the share that were found; null when it never occurred.
    pub recall: Option<f64>,
    /// Harmonic mean of both; null for a class that neither occurred nor was said.
    pub f1: Option<f64>,
    /// Area under the ROC curve of this class against the others: the probability that a case that was so was
    /// given more probability than one that was not. Null where only one of the two occurred.
    #[serde(default)]
    pub roc_auc: Option<f64>,
}

impl ClassCard {
    /// Scores probabilities (a row a case, in the order of `classes`) against what was so.
    #[must_use]
    pub fn of(classes: &[String], truths: &[usize], said: &[Vec<f64>]) -> Self {
        let mut confusion = Confusion::new(classes.len());
        let mut bins = [(0.0, 0.0, 0.0); BINS];
        for (truth, row) in truths.iter().zip(said) {
            let named = named(row);
            confusion.record(*truth, named);
            let confidence = row.get(named).copied().unwrap_or(0.0);
            let (sum, right, count) = &mut bins[((confidence * BINS as f64) as usize).min(BINS - 1)];
            (*sum, *right, *count) = (*sum + confidence, *right + f64::from(named == *truth), *count + 1.0);
        }
        let cases = truths.len().min(said.len());
        let share = |sum: f64| if cases > 0 { sum / cases as f64 } else { 0.0 };
        let score = |class: usize| ClassScore {
            support: confusion.counts[class].iter().sum(),
            precision: confusion.precision(class),
            recall: confusion.recall(class),
            f1: confusion.f1(class),
            roc_auc: roc_auc(truths, said, class),
        };
        let scores: Vec<ClassScore> = (0..classes.len()).map(score).collect();
        Self {
            cases,
            accuracy: confusion.accuracy().unwrap_or(0.0),
            macro_f1: confusion.f1_macro().unwrap_or(0.0),
            macro_precision: mean(scores.iter().filter_map(|score| score.precision)),
            macro_recall: mean(scores.iter().filter_map(|score| score.recall)),
            macro_roc_auc: mean(scores.iter().filter_map(|score| score.roc_auc)),
            log_loss: share(log_losses(truths, said).iter().sum()),
            ece: share(bins.iter().map(|(sum, right, _)| (sum - right).abs()).sum()),
            classes: classes.iter().cloned().zip(scores).collect(),
            confusion: confusion.counts,
            order: classes.to_vec(),
        }
    }
}

/// Minus the logarithm of the probability of what came true, case by case.
#[must_use]
pub fn log_losses(truths: &[usize], said: &[Vec<f64>]) -> Vec<f64> {
    let of =
        |(truth, row): (&usize, &Vec<f64>)| -row.get(*truth).copied().unwrap_or(0.0).clamp(LEAST_PROBABILITY, 1.0).ln();
    truths.iter().zip(said).map(of).collect()
}

/// Area under the ROC curve of one class against the others, by the ranks of its probabilities (Mann and
/// Whitney 1947; ties count half); `None` where only one of the two occurred.
#[must_use]
pub fn roc_auc(truths: &[usize], said: &[Vec<f64>], class: usize) -> Option<f64> {
    let mut cases: Vec<(f64, bool)> =
        truths.iter().zip(said).map(|(truth, row)| (row.get(class).copied().unwrap_or(0.0), *truth == class)).collect();
    cases.sort_by(|one, other| one.0.total_cmp(&other.0));
    let positive = cases.iter().filter(|(_, so)| *so).count();
    let negative = cases.len() - positive;
    if positive == 0 || negative == 0 {
        return None;
    }
    let (mut below, mut won) = (0.0, 0.0);
    for tied in cases.chunk_by(|one, other| one.0.total_cmp(&other.0).is_eq()) {
        let so = tied.iter().filter(|(_, so)| *so).count() as f64;
        let not = tied.len() as f64 - so;
        won += so * (below + not / 2.0);
        below += not;
    }
    Some(won / (positive as f64 * negative as f64))
}

/// The likeliest class of a row of probabilities.
#[must_use]
pub fn named(row: &[f64]) -> usize {
    (0..row.len()).max_by(|one, other| row[*one].total_cmp(&row[*other])).unwrap_or(0)
}

/// Counts of what was so against what was said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Confusion {
    /// `counts[truth][said]`.
    counts: Vec<Vec<u64>>,
}

impl Confusion {
    /// An empty matrix over `classes` classes.
    #[must_use]
    pub fn new(classes: usize) -> Self {
        Self { counts: vec![vec![0; classes]; classes] }
    }

    /// Counts one case. A class that the matrix does not know is not counted.
    pub fn record(&mut self, truth: usize, said: usize) {
        if let Some(count) = self.counts.get_mut(truth).and_then(|row| row.get_mut(said)) {
            *count += 1;
        }
    }

    /// Cases counted.
    #[must_use]
    pub fn cases(&self) -> u64 {
        self.counts.iter().flatten().sum()
    }

    /// Share of the cases that were named rightly; `None` without cases.
    #[must_use]
    pub fn accuracy(&self) -> Option<f64> {
        let right = (0..self.counts.len()).map(|class| self.counts[class][class]).sum();
        share(right, self.cases())
    }

    /// Of the cases said to be `class`, the share that were; `None` when it was never said.
    #[must_use]
    pub fn precision(&self, class: usize) -> Option<f64> {
        share(self.right(class)?, self.counts.iter().map(|row| row[class]).sum())
    }

    /// Of the cases that were `class`, the share that were found; `None` when it never occurred.
    #[must_use]
    pub fn recall(&self, class: usize) -> Option<f64> {
        share(self.right(class)?, self.counts[class].iter().sum())
    }

    /// Harmonic mean of precision and recall: twice the hits over all that was said or was so.
    /// `None` for a class that neither occurred nor was said.
    #[must_use]
    pub fn f1(&self, class: usize) -> Option<f64> {
        let said: u64 = self.counts.iter().map(|row| row.get(class).copied().unwrap_or_default()).sum();
        let was: u64 = self.counts.get(class)?.iter().sum();
        share(2 * self.right(class)?, said + was)
    }

    /// Mean of [`Self::f1`] over the classes that occurred or were said, each with equal weight.
    #[must_use]
    pub fn f1_macro(&self) -> Option<f64> {
        let scores: Vec<f64> = (0..self.counts.len()).filter_map(|class| self.f1(class)).collect();
        (!scores.is_empty()).then(|| scores.iter().sum::<f64>() / scores.len() as f64)
    }

    fn right(&self, class: usize) -> Option<u64> {
        self.counts.get(class).map(|row| row[class])
    }
}

fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (sum, count) = values.fold((0.0, 0_u32), |(sum, count), value| (sum + value, count + 1));
    (count > 0).then(|| sum / f64::from(count))
}

fn share(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn scores_of_a_known_matrix() {
        let mut confusion = Confusion::new(3);
        for (truth, said) in [(0, 0), (0, 0), (0, 1), (1, 1), (1, 0), (9, 0)] {
            confusion.record(truth, said);
        }
        assert_eq!(confusion.cases(), 5);
        assert_eq!(confusion.accuracy(), Some(0.6));
        assert_eq!(confusion.precision(0), Some(2.0 / 3.0));
        assert_eq!(confusion.recall(1), Some(0.5));
        assert_eq!(confusion.f1(1), Some(0.5));
        assert_eq!((confusion.precision(2), confusion.recall(2), confusion.f1(2)), (None, None, None));
        assert!((confusion.f1_macro().unwrap() - f64::midpoint(2.0 / 3.0, 0.5)).abs() < 1e-12);
        assert_eq!(Confusion::new(2).accuracy(), None);
        assert_eq!(confusion.recall(7), None);
    }

    #[test]
    fn a_card_of_probabilities() {
        let classes = ["well".to_owned(), "ill".to_owned()];
        let said = [vec![0.9, 0.1], vec![0.8, 0.2], vec![0.6, 0.4], vec![0.25, 0.75]];
        let card = ClassCard::of(&classes, &[0, 0, 1, 1], &said);
        assert_eq!((card.cases, card.accuracy, &card.confusion), (4, 0.75, &vec![vec![2, 0], vec![1, 1]]));
        let loss = -(0.9_f64.ln() + 0.8_f64.ln() + 0.4_f64.ln() + 0.75_f64.ln()) / 4.0;
        assert!((card.log_loss - loss).abs() < 1e-12);
        // Each case has a bin of its own.
        assert!((card.ece - (0.1 + 0.2 + 0.6 + 0.25) / 4.0).abs() < 1e-12, "{}", card.ece);
        assert_eq!(card.classes["ill"].recall, Some(0.5));
        assert_eq!((card.macro_precision, card.macro_recall), (Some(f64::midpoint(2.0 / 3.0, 1.0)), Some(0.75)));
        // Of the four pairs of one ill and one well each is in order.
        assert_eq!((card.classes["ill"].roc_auc, card.macro_roc_auc), (Some(1.0), Some(1.0)));
        assert!(log_losses(&[1], &[vec![1.0, 0.0]])[0].is_finite());
    }

    #[test]
    fn the_area_under_the_curve_counts_pairs_in_order() {
        let said: Vec<Vec<f64>> = [0.1, 0.4, 0.35, 0.8, 0.4].map(|ill| vec![1.0 - ill, ill]).to_vec();
        // Pairs of ill (0.35, 0.8, 0.4) and well (0.1, 0.4): one is the wrong way round, one is a tie.
        assert_eq!(roc_auc(&[0, 0, 1, 1, 1], &said, 1), Some(4.5 / 6.0));
        assert_eq!(roc_auc(&[1; 5], &said, 1), None);
        assert_eq!(roc_auc(&[], &[], 0), None);
    }

    proptest! {
        #[test]
        fn f1_lies_between_precision_and_recall(cases in prop::collection::vec((0..4_usize, 0..4_usize), 1..80)) {
            let mut confusion = Confusion::new(4);
            for (truth, said) in cases {
                confusion.record(truth, said);
            }
            for class in 0..4 {
                if let (Some(p), Some(r), Some(f)) = (confusion.precision(class), confusion.recall(class), confusion.f1(class)) {
                    prop_assert!(p.min(r) - 1e-12 <= f && f <= p.max(r) + 1e-12);
                }
            }
            prop_assert!((0.0..=1.0).contains(&confusion.f1_macro().unwrap()));
        }
    }
}
