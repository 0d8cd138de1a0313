//! Scores of steps to intervals that a person can look at.

use std::ops::Range;

/// When an interval begins and ends.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Hysteresis {
    /// Steps that a score is averaged over, so that one step does not decide.
    pub smoothing: usize,
    /// An interval begins where the average is not below this.
    pub begin: f64,
    /// It ends once the average stays below this ...
    pub end: f64,
    /// ... for so many steps.
    pub quiet: usize,
}

/// Steps that belong together.
#[derive(Clone, Debug, PartialEq)]
pub struct Episode {
    /// From the first one to one past the last one.
    pub steps: Range<usize>,
    /// The step with the largest score.
    pub peak: usize,
    /// Whether it had not ended with the last score.
    pub open: bool,
}

/// The intervals of a row of scores. A score of NaN counts as 0.
#[must_use]
pub fn episodes(scores: &[f64], rule: Hysteresis) -> Vec<Episode> {
    let smoothing = rule.smoothing.max(1);
    let known = |step: usize| if scores[step].is_nan() { 0.0 } else { scores[step] };
    let smooth = |step: usize| {
        let window = (step + 1).saturating_sub(smoothing)..step + 1;
        let count = window.len() as f64;
        window.map(known).sum::<f64>() / count
    };
    let mut found = Vec::new();
    let (mut begun, mut calm): (Option<usize>, usize) = (None, 0);
    let mut close = |steps: Range<usize>, open: bool| {
        let peak = steps.clone().max_by(|one, other| known(*one).total_cmp(&known(*other))).unwrap_or(steps.start);
        found.push(Episode { steps, peak, open });
    };
    for step in 0..scores.len() {
        let level = smooth(step);
        match begun {
            None if level >= rule.begin => {
                // The average is late: the interval begins with the first score that made it rise.
                let window = (step + 1).saturating_sub(smoothing)..step + 1;
                begun = Some(window.clone().find(|step| known(*step) >= rule.begin).unwrap_or(step));
                calm = 0;
            }
            None => {}
            Some(start) => {
                calm = if level < rule.end { calm + 1 } else { 0 };
                if calm >= rule.quiet.max(1) {
                    close(start..step + 1 - calm, false);
                    begun = None;
                }
            }
        }
    }
    if let Some(start) = begun {
        close(start..scores.len() - calm, true);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULE: Hysteresis = Hysteresis { smoothing: 1, begin: 1.0, end: 0.5, quiet: 2 };

    #[test]
    fn a_score_that_flickers_is_one_interval() {
        let scores = [0.0, 1.2, 0.7, 1.5, 0.4, 0.9, 0.1, f64::NAN, 0.0, 0.9, 0.0];
        assert_eq!(episodes(&scores, RULE), [Episode { steps: 1..6, peak: 3, open: false }]);
    }

    #[test]
    fn what_has_not_ended_is_open() {
        assert_eq!(episodes(&[0.0, 2.0, 3.0, 0.1], RULE), [Episode { steps: 1..3, peak: 2, open: true }]);
        assert_eq!(episodes(&[], RULE), []);
    }

    #[test]
    fn smoothing_asks_for_more_than_one_step() {
        let rule = Hysteresis { smoothing: 3, ..RULE };
        assert_eq!(episodes(&[0.0, 0.0, 1.5, 0.0, 0.0, 0.0, 0.0], rule), []);
        let found = episodes(&[0.0, 0.0, 1.5, 1.4, 1.3, 0.0, 0.0, 0.0, 0.0], rule);
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].steps.start, found[0].peak), (2, 2));
    }
}
