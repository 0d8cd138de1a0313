//! The stretches of a past that are kept apart, and regression rows collected by stretch.

use std::ops::Range;

use super::super::algebra::Gram;

/// Fewest and most stretches into which what teaches is cut: each that is left out has a study that is blind to
/// it, which knows the more of the past, and so the better what serves, the shorter the stretch is.
const TEACHING: (usize, usize) = (2, 6);
/// Answers that a stretch holds one after another, at least, where there are more than the fewest.
const ANSWERS: usize = 6;

/// Stretches of the past that are kept apart, in the order of time: those that teach, the one that chooses and
/// validates, and the one that judges, from which is learned only once the judgement stands.
#[derive(Clone, Debug)]
pub(super) struct Parts {
    /// Stretches that nothing is learned from.
    pub(super) aside: Vec<Range<usize>>,
    /// Where each stretch begins, and where the last one ends.
    bounds: Vec<usize>,
    /// Whether rows that reach from one stretch into the next teach those who know both.
    edges: bool,
}

/// Share of a past that rows over its edges hold at least where they are worth having: what serves learns from
/// more of them than those that are blind to a stretch, and bands that these have made honest are then too wide.
const WORTH: f64 = 0.25;

impl Parts {
    /// Everything before `validation` teaches, what lies between that and `judging` chooses, and the rest judges;
    /// answers reach `horizon` steps.
    pub(super) fn new(
        (validation, judging, end): (usize, usize, usize),
        horizon: usize,
        aside: Vec<Range<usize>>,
    ) -> Self {
        let teaching = (validation / (ANSWERS * horizon.max(1))).clamp(TEACHING.0, TEACHING.1);
        let starts = (0..teaching).map(|stretch| validation * stretch / teaching);
        let bounds: Vec<usize> = starts.chain([validation, judging, end]).collect();
        let edges = 3.0 * horizon as f64 >= WORTH * end as f64;
        Self { aside, bounds, edges }
    }

    /// How many stretches there are.
    pub(super) fn count(&self) -> usize {
        self.bounds.len() - 1
    }

    /// The one that chooses and validates.
    pub(super) fn newest(&self) -> usize {
        self.count() - 2
    }

    /// Where the part begins that chooses and validates.
    pub(super) fn validation(&self) -> usize {
        self.bounds[self.newest()]
    }

    /// Where it ends and what judges begins.
    pub(super) fn judging(&self) -> usize {
        self.bounds[self.newest() + 1]
    }

    /// Where everything ends.
    pub(super) fn end(&self) -> usize {
        self.bounds[self.count()]
    }

    /// First step of a stretch, and the one after its last.
    pub(super) fn range(&self, stretch: usize) -> (usize, usize) {
        (self.bounds[stretch], self.bounds[stretch + 1])
    }

    /// How much the study that is blind to a stretch lacks of what one that knows everything before `end` has
    /// learned from: a share of its steps.
    pub(super) fn lacking(&self, stretch: usize, end: usize) -> f64 {
        let (from, to) = self.range(stretch);
        let missed = if stretch > self.newest() { 0 } else { to - from };
        1.0 - (self.judging() - missed) as f64 / end.max(1) as f64
    }

    /// What may be learned from of a stretch.
    pub(super) fn taught(&self, stretch: usize) -> Vec<(usize, usize)> {
        let (start, end) = self.range(stretch);
        let (mut from, mut taught) = (start, Vec::new());
        for aside in self.aside.iter().filter(|aside| aside.end > start && aside.start < end) {
            taught.push((from, aside.start.max(from)));
            from = aside.end;
        }
        taught.push((from.min(end), end));
        taught
    }

    /// Which of the [`Sums`] a row counts in that is about `from..=to`: that of the stretch that holds it, or
    /// that of the edge between two neighbours; `None` where it touches what is kept aside.
    pub(super) fn place(&self, from: usize, to: usize) -> Option<usize> {
        if self.aside.iter().any(|aside| aside.start <= to && from < aside.end) {
            return None;
        }
        let (first, last) = (self.holding(from, from)?, self.holding(to, to)?);
        match last - first {
            0 => Some(first),
            1 if self.edges => Some(self.count() + first),
            _ => None,
        }
    }

    /// The stretch that holds all of `from..=to`.
    pub(super) fn holding(&self, from: usize, to: usize) -> Option<usize> {
        let stretch = self.bounds.partition_point(|bound| *bound <= from).checked_sub(1)?;
        (to < *self.bounds.get(stretch + 1)?).then_some(stretch)
    }

    /// Which stretches each of the [`Fits`] has learned from.
    pub(super) fn known_to(&self, fit: usize) -> Vec<usize> {
        let judging = self.newest() + 1;
        (0..self.count()).filter(|stretch| *stretch != fit && (*stretch != judging || fit > judging)).collect()
    }

    /// Of which [`Sums`] each of the [`Fits`] is made: of the stretches that it knows, and of the edges both of
    /// whose sides it knows.
    fn made_of(&self, fit: usize) -> Vec<usize> {
        let known = self.known_to(fit);
        let edges = known.windows(2).filter(|pair| pair[0] + 1 == pair[1]).map(|pair| self.count() + pair[0]);
        known.iter().copied().chain(edges.collect::<Vec<_>>()).collect()
    }
}

/// Rows collected before they are added to the sums in one product.
const BLOCK: usize = 256;

/// Sums over the rows of each stretch, then over those that reach from each stretch into the next: who learns
/// from both neighbours learns from these too.
pub(super) type Sums = Vec<Gram>;

/// How many sums there are.
pub(super) fn places(parts: &Parts) -> usize {
    2 * parts.count() - 1
}

/// Regression rows, summed up by stretch.
pub(super) struct Rows {
    width: usize,
    sums: Sums,
    waiting: Vec<Vec<f64>>,
}

impl Rows {
    /// None yet; `width` counts features and targets.
    pub(super) fn new(width: usize, parts: &Parts) -> Self {
        let places = places(parts);
        Self { width, sums: vec![Gram::new(width); places], waiting: vec![Vec::new(); places] }
    }

    /// Adds the row that `write` appends.
    pub(super) fn add(&mut self, place: usize, write: impl FnOnce(&mut Vec<f64>)) {
        let waiting = &mut self.waiting[place];
        write(waiting);
        debug_assert!(waiting.len().is_multiple_of(self.width), "whole rows");
        if waiting.len() >= BLOCK * self.width {
            self.sums[place].add(waiting);
            waiting.clear();
        }
    }

    /// The sums of each place.
    pub(super) fn into_sums(mut self) -> Sums {
        for (sums, rest) in self.sums.iter_mut().zip(&self.waiting) {
            sums.add(rest);
        }
        self.sums
    }
}

/// What was fitted: for each stretch without it (and without the part that judges), and to everything.
pub(super) type Fits<T> = Vec<T>;

/// Some of the sums as one.
fn merged(sums: &Sums, places: &[usize]) -> Gram {
    let (first, rest) = places.split_first().expect("a place");
    let mut all = sums[*first].clone();
    rest.iter().for_each(|place| all.merge(&sums[*place]));
    all
}

/// The sums of what teaches while something is chosen, and of what chooses.
pub(super) fn choosing<'s>(sums: &'s Sums, parts: &Parts) -> (Gram, &'s Gram) {
    (merged(sums, &parts.made_of(parts.newest())), &sums[parts.newest()])
}

/// The fits of one choice: `chosen` does without the part that chooses, and stands in where the other
/// stretches have fewer than `least` rows. Each that is blind to a stretch knows all others, as later
/// what serves knows all: taught by few it would be trusted less than what serves deserves.
pub(super) fn fits<T: Clone>(
    sums: &Sums,
    parts: &Parts,
    least: usize,
    chosen: T,
    fit: impl Fn(&Gram) -> Option<T>,
) -> Fits<T> {
    let fitted = (0..=parts.count()).map(|place| {
        if place == parts.newest() {
            return chosen.clone();
        }
        let gram = merged(sums, &parts.made_of(place));
        let fitted = (gram.rows() >= least).then(|| fit(&gram)).flatten();
        fitted.unwrap_or_else(|| chosen.clone())
    });
    fitted.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(end: usize, horizon: usize) -> Parts {
        Parts::new((end * 6 / 10, end * 8 / 10, end), horizon, std::iter::once(20..30).collect())
    }

    #[test]
    fn a_row_over_an_edge_counts_where_the_past_is_short() {
        let short = parts(400, 64);
        assert_eq!(short.count(), 4, "two that teach, one that chooses, one that judges");
        assert_eq!(short.place(130, 190), Some(1));
        assert_eq!(short.place(100, 130), Some(4), "from the first stretch into the second");
        assert_eq!(short.place(300, 340), Some(6), "into the part that judges");
        assert_eq!(short.place(100, 300), None, "over a whole stretch");
        assert_eq!(short.place(10, 25), None, "kept aside");
        assert_eq!(parts(4_000, 64).place(1_190, 1_210), None, "a long past does without");
    }

    #[test]
    fn who_is_blind_to_a_stretch_has_seen_no_row_that_touches_it() {
        for parts in [parts(400, 64), parts(40_000, 64)] {
            let (count, judging) = (parts.count(), parts.newest() + 1);
            for fit in 0..=count {
                let blind: Vec<usize> =
                    if fit == count { Vec::new() } else { std::iter::once(fit).chain([judging]).collect() };
                let made_of = parts.made_of(fit);
                for place in 0..2 * count - 1 {
                    let touched = if place < count { vec![place] } else { vec![place - count, place - count + 1] };
                    let sees = touched.iter().all(|stretch| !blind.contains(stretch));
                    assert_eq!(made_of.contains(&place), sees, "{fit} of {count}, {place}");
                }
            }
        }
    }

    #[test]
    fn a_long_past_is_cut_finer() {
        let long = parts(40_000, 64);
        assert_eq!(long.count(), TEACHING.1 + 2);
        let ranges: Vec<(usize, usize)> = (0..long.count()).map(|stretch| long.range(stretch)).collect();
        assert!(ranges.windows(2).all(|pair| pair[0].1 == pair[1].0), "one after another: {ranges:?}");
        assert_eq!((ranges[0].0, long.validation(), long.judging(), long.end()), (0, 24_000, 32_000, 40_000));
        assert_eq!(
            (long.holding(3_999, 3_999), long.holding(3_999, 4_000), long.holding(40_000, 40_000)),
            (Some(0), None, None)
        );
    }
}
