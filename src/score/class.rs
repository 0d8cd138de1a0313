//! Scores of class forecasts (health classes), from a confusion matrix.

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
