//! What becomes of the class of each step, as far as the labels tell.

use crate::features::Grid;

/// What becomes of the class of each step.
pub(super) struct Course<'a> {
    known: &'a [Option<(usize, usize)>],
    /// Steps after each that go on in its segment and part, each with a known class.
    reach: Vec<usize>,
}

impl<'a> Course<'a> {
    pub(super) fn of(grid: &Grid, known: &'a [Option<(usize, usize)>]) -> Self {
        let mut reach = vec![0; known.len()];
        for step in (1..known.len()).rev() {
            let part = |step: usize| known[step].map(|(part, _)| part);
            let goes_on =
                part(step).is_some() && part(step) == part(step - 1) && grid.starts.binary_search(&step).is_err();
            if goes_on {
                reach[step - 1] = reach[step] + 1;
            }
        }
        Self { known, reach }
    }

    fn class(&self, step: usize) -> Option<usize> {
        self.known.get(step).copied().flatten().map(|(_, class)| class)
    }

    /// The class so many steps after a step.
    fn class_after(&self, step: usize, lead: usize) -> Option<usize> {
        if self.reach[step] >= lead { self.class(step + lead) } else { None }
    }

    /// By which lead a class that a step is not in is first there; the number of leads where by none.
    fn time_to(&self, step: usize, class: usize, leads: &[usize]) -> Option<usize> {
        let last = leads.last().copied().filter(|last| self.reach[step] >= *last)?;
        if self.class(step) == Some(class) {
            return None;
        }
        let first = (1..=last).find(|lead| self.class(step + lead) == Some(class));
        Some(first.map_or(leads.len(), |first| leads.partition_point(|lead| *lead < first)))
    }

    /// The answers to all questions at a step, in the order of an outlook.
    pub(super) fn answers(&self, step: usize, leads: &[usize], classes: usize) -> Vec<Option<usize>> {
        let at = leads.iter().map(|lead| self.class_after(step, *lead));
        at.chain((0..classes).map(|class| self.time_to(step, class, leads))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{cut, grid};
    use super::*;
    use crate::features::LEADS;

    #[test]
    fn no_step_looks_ahead_beyond_its_own_part() {
        let cut = cut(3_000, &|step| usize::from(step % 150 >= 75));
        let course = Course::of(&grid(3_000, &[]), &cut.known);
        let mut answered = [0; 3];
        for (part, drawn) in cut.parts.iter().enumerate() {
            for (step, class) in drawn {
                assert_eq!(cut.known[*step], Some((part, *class)), "what was drawn belongs to its part");
                let answers = course.answers(*step, &LEADS, 2);
                for (lead, answer) in LEADS.iter().zip(&answers) {
                    let Some(then) = answer else { continue };
                    let between = &cut.known[*step..=step + lead];
                    assert!(between.iter().all(|known| known.is_some_and(|(own, _)| own == part)), "{step} + {lead}");
                    assert_eq!(cut.known[step + lead], Some((part, *then)));
                    answered[part] += 1;
                }
            }
        }
        assert!(answered.iter().all(|count| *count > 100), "{answered:?}");
        // The last steps that teach know the near future only.
        let last = cut.known.iter().rposition(|known| known.is_some_and(|(part, _)| part == 0)).unwrap();
        assert_eq!(course.answers(last, &LEADS, 2), [None; 5]);
    }

    #[test]
    fn a_silence_and_a_step_without_a_label_end_what_is_known() {
        let mut known = vec![Some((0, 0)); 300];
        known[200] = None;
        let course = Course::of(&grid(300, &[100]), &known);
        assert_eq!(course.answers(70, &[16, 32], 1), [Some(0), None, None]);
        assert_eq!(course.answers(100, &[16, 32], 1)[..2], [Some(0), Some(0)]);
        assert_eq!(course.answers(180, &[16, 32], 1)[..2], [Some(0), None]);
        assert_eq!(course.answers(200, &[16], 1), [None, None]);
        assert_eq!(course.answers(299, &[16], 1), [None, None]);
    }

    #[test]
    fn the_time_to_a_class_is_the_lead_by_which_it_is_first_there() {
        let mut known = vec![Some((0, 0)); 200];
        known[100..105].fill(Some((0, 1)));
        let course = Course::of(&grid(200, &[]), &known);
        let time = |step: usize| course.answers(step, &[16, 32, 64], 2)[4];
        assert_eq!(
            [time(84), time(83), time(68), time(67), time(36), time(35)].map(Option::unwrap),
            [0, 1, 1, 2, 2, 3]
        );
        assert_eq!(time(102), None, "it is there already");
        assert_eq!(course.answers(102, &[16, 32, 64], 2)[3], Some(0), "and leaves it within the first lead");
        assert_eq!(time(140), None, "too little follows");
        // It has gone again by the lead.
        assert_eq!(course.answers(84, &[16, 32, 64], 2)[..3], [Some(1), Some(0), Some(0)]);
    }
}
