//! The stretches of a past that are kept apart, and regression rows collected by stretch.

use std::ops::Range;

use super::super::algebra::Gram;

/// Stretches of the past that are left out in turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Span {
    /// First half of what teaches.
    Early,
    /// Second half of what teaches.
    Late,
    /// What chooses and validates.
    Newest,
    /// What judges; learned from only once the judgement stands.
    Judging,
}

impl Span {
    /// All of them in the order of time.
    pub(super) const ALL: [Self; 4] = [Self::Early, Self::Late, Self::Newest, Self::Judging];
}

/// Where the stretches begin and end.
#[derive(Clone, Debug)]
pub(super) struct Parts {
    /// Stretches that nothing is learned from.
    pub(super) aside: Vec<Range<usize>>,
    /// End of the first half of what teaches.
    pub(super) half: usize,
    /// Where the part begins that chooses and validates.
    pub(super) validation: usize,
    /// Where it ends and what judges begins.
    pub(super) judging: usize,
    /// Where everything ends.
    pub(super) end: usize,
}

impl Parts {
    /// First step of a stretch, and the one after its last.
    pub(super) fn range(&self, span: Span) -> (usize, usize) {
        match span {
            Span::Early => (0, self.half),
            Span::Late => (self.half, self.validation),
            Span::Newest => (self.validation, self.judging),
            Span::Judging => (self.judging, self.end),
        }
    }

    /// How much a study that is blind to a stretch lacks of what the one that knows everything has
    /// learned from: its share of all steps, on average over the stretches that are left out in turn.
    pub(super) fn lacking(&self) -> f64 {
        let taught = self.judging as f64 * 2.0 / 3.0;
        1.0 - taught / self.end.max(1) as f64
    }

    /// What may be learned from of a stretch.
    pub(super) fn taught(&self, span: Span) -> Vec<(usize, usize)> {
        let (start, end) = self.range(span);
        let (mut from, mut taught) = (start, Vec::new());
        for aside in self.aside.iter().filter(|aside| aside.end > start && aside.start < end) {
            taught.push((from, aside.start.max(from)));
            from = aside.end;
        }
        taught.push((from.min(end), end));
        taught
    }

    /// The stretch that all of `from..=to` may be learned of.
    pub(super) fn learning(&self, from: usize, to: usize) -> Option<Span> {
        let kept_aside = self.aside.iter().any(|aside| aside.start <= to && from < aside.end);
        if kept_aside { None } else { self.holding(from, to) }
    }

    /// The stretch that holds all of `from..=to`.
    pub(super) fn holding(&self, from: usize, to: usize) -> Option<Span> {
        Span::ALL.into_iter().find(|span| {
            let (start, end) = self.range(*span);
            (start..end).contains(&from) && (start..end).contains(&to)
        })
    }
}

/// Rows collected before they are added to the sums in one product.
const BLOCK: usize = 256;

/// Regression rows, summed up by stretch.
pub(super) struct Rows {
    width: usize,
    sums: [Gram; 4],
    waiting: [Vec<f64>; 4],
}

impl Rows {
    /// None yet; `width` counts features and targets.
    pub(super) fn new(width: usize) -> Self {
        let waiting = Span::ALL.map(|_| Vec::with_capacity(BLOCK * width));
        Self { width, sums: Span::ALL.map(|_| Gram::new(width)), waiting }
    }

    /// Adds the row that `write` appends.
    pub(super) fn add(&mut self, span: Span, write: impl FnOnce(&mut Vec<f64>)) {
        let waiting = &mut self.waiting[span as usize];
        write(waiting);
        debug_assert!(waiting.len().is_multiple_of(self.width), "whole rows");
        if waiting.len() >= BLOCK * self.width {
            self.sums[span as usize].add(waiting);
            waiting.clear();
        }
    }

    /// The sums of each stretch.
    pub(super) fn into_sums(mut self) -> [Gram; 4] {
        for (sums, rest) in self.sums.iter_mut().zip(&self.waiting) {
            sums.add(rest);
        }
        self.sums
    }
}

/// What was fitted without the first half of what teaches, without its second half, without the part
/// that chooses (none of these three knows the part that judges either), without the part that judges,
/// and to everything.
pub(super) type Fits<T> = [T; 5];

/// Two sums as one.
pub(super) fn merged(one: &Gram, other: &Gram) -> Gram {
    let mut both = one.clone();
    both.merge(other);
    both
}

/// The fits of one choice: `chosen` does without the part that chooses, and stands in where the other
/// stretches have fewer than `least` rows. Each that is blind to a stretch knows both others, as later
/// what serves knows all: taught by one alone it would be trusted less than what serves deserves.
pub(super) fn fits<T: Clone>(sums: &[Gram; 4], least: usize, chosen: T, fit: impl Fn(&Gram) -> Option<T>) -> Fits<T> {
    let [early, late, newest, judging] = sums;
    let or_chosen = |gram: &Gram| {
        let fitted = (gram.rows() >= least).then(|| fit(gram)).flatten();
        fitted.unwrap_or_else(|| chosen.clone())
    };
    let judged = merged(&merged(early, late), newest);
    let all = merged(&judged, judging);
    let [but_early, but_late] = [merged(late, newest), merged(early, newest)];
    [or_chosen(&but_early), or_chosen(&but_late), chosen.clone(), or_chosen(&judged), or_chosen(&all)]
}
