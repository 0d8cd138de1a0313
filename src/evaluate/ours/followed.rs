//! Bands that follow what they turned out to be, as a served twin's do.
//!
//! Always true: a forecast moves the bands of those that begin once its last step has been measured, and of no others.

use std::collections::VecDeque;

use super::super::task::{Span, Task};
use crate::forecast::calibration::BLOCK;
use crate::forecast::online::{Held, Online};
use crate::model::Quantiles;

/// What is known of the bands on the way along a record.
pub(super) struct Followed {
    online: Online,
    names: Vec<String>,
    /// What came, for each span, for each target.
    truths: Vec<(Span, Vec<Vec<f64>>)>,
    /// Forecasts that are still to come true: where each ends, and what its bands held of it.
    coming: VecDeque<(usize, Vec<Vec<Held>>)>,
    /// Forecasts that begin before this say what the one before has said.
    next: usize,
}

impl Followed {
    /// Before the first of these spans.
    pub(super) fn new(task: &Task, spans: &[Span]) -> Self {
        let targets = 0..task.layout.targets.len();
        let truths = |span: &Span| (*span, targets.clone().map(|place| task.truth(place, *span)).collect());
        Self {
            online: Online::default(),
            names: targets.clone().map(|place| task.target(place).to_owned()).collect(),
            truths: spans.iter().map(truths).collect(),
            coming: VecDeque::new(),
            next: 0,
        }
    }

    /// Comes to an origin, none of which lies before the one before.
    pub(super) fn arrive(&mut self, origin: usize) {
        while let Some((_, held)) = self.coming.pop_front_if(|(end, _)| *end <= origin) {
            self.names.iter().zip(&held).for_each(|(name, held)| self.online.observe(name, held));
        }
    }

    /// Widens or narrows an answer of a target.
    pub(super) fn apply(&self, place: usize, answer: &mut Quantiles) {
        self.online.apply(&self.names[place], answer);
    }

    /// Takes what was served, one answer for each target, in the signals' units.
    pub(super) fn serve(&mut self, span: Span, answers: &[Quantiles]) {
        if span.origin < self.next {
            return;
        }
        let Some((_, truths)) = self.truths.iter().find(|(known, _)| *known == span) else { return };
        let held = answers.iter().zip(truths).map(|(answer, truth)| Held::by_block(answer, truth)).collect();
        self.coming.push_back((span.origin + span.steps, held));
        self.next = span.origin + BLOCK;
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::tests::{rows, task};
    use super::*;
    use crate::model::LEVELS;

    /// Bands of a width of 0.2 that lie so far off the truth.
    fn answer(truth: &[f64], off: f64) -> Quantiles {
        truth.iter().map(|value| LEVELS.map(|level| value + off + 0.2 * (level - 0.5))).collect()
    }

    #[test]
    fn bands_follow_forecasts_a_block_apart_once_these_have_ended() {
        let task = task(rows(), 30);
        let spans = &task.spans;
        assert!(spans.windows(2).all(|pair| pair[1].origin - pair[0].origin < BLOCK), "nearer than a block");
        let (mut followed, mut alike) = (Followed::new(&task, spans), Online::default());
        let mut counted: Vec<&Span> = Vec::new();
        let mut wider = 1.0;
        for span in spans {
            followed.arrive(span.origin);
            let mut served = answer(&[0.0], 0.0);
            followed.apply(0, &mut served);
            wider = (served[0][20] - served[0][0]) / (0.2 * (LEVELS[20] - LEVELS[0]));
            if counted.first().is_none_or(|first| first.origin + first.steps > span.origin) {
                assert_eq!(wider, 1.0, "nothing has ended before {}", span.origin);
            }
            // All of them miss.
            followed.serve(*span, &[answer(&task.truth(0, *span), 5.0)]);
            if counted.last().is_none_or(|last| span.origin >= last.origin + BLOCK) {
                counted.push(span);
            }
        }
        let last = spans.last().unwrap().origin;
        for span in counted.iter().filter(|span| span.origin + span.steps <= last) {
            let truth = task.truth(0, **span);
            alike.observe("level", &Held::by_block(&answer(&truth, 5.0), &truth));
        }
        let mut wanted = answer(&[0.0], 0.0);
        alike.apply("level", &mut wanted);
        let wanted = (wanted[0][20] - wanted[0][0]) / (0.2 * (LEVELS[20] - LEVELS[0]));
        assert!(wider > 1.1 && (wider - wanted).abs() < 1e-9, "{wider} and {wanted}");
    }
}
