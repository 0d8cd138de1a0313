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
    /// Whether rows that reach from one stretch into the next teach those who know both.
    pub(super) edges: bool,
}

/// Share of a past that rows over its edges hold at least where they are worth having: what serves learns from
/// more of them than those that are blind to a stretch, and bands that these have made honest are then too wide.
const WORTH: f64 = 0.25;

impl Parts {
    /// Whether edges are worth having in a past of so many steps for answers that reach so far.
    pub(super) fn has_edges(end: usize, horizon: usize) -> bool {
        (Span::ALL.len() - 1) as f64 * horizon as f64 >= WORTH * end as f64
    }

    /// First step of a stretch, and the one after its last.
    pub(super) fn range(&self, span: Span) -> (usize, usize) {
        match span {
            Span::Early => (0, self.half),
            Span::Late => (self.half, self.validation),
            Span::Newest => (self.validation, self.judging),
            Span::Judging => (self.judging, self.end),
        }
    }

    /// How much the study that is blind to a stretch lacks of what one that knows everything before `end` has
    /// learned from: a share of its steps.
    pub(super) fn lacking(&self, span: Span, end: usize) -> f64 {
        let (from, to) = self.range(span);
        let missed = if span == Span::Judging { 0 } else { to - from };
        1.0 - (self.judging - missed) as f64 / end.max(1) as f64
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

    /// Which of the [`Sums`] a row counts in that is about `from..=to`: that of the stretch that holds it, or
    /// that of the edge between two neighbours; `None` where it touches what is kept aside.
    pub(super) fn place(&self, from: usize, to: usize) -> Option<usize> {
        if self.aside.iter().any(|aside| aside.start <= to && from < aside.end) {
            return None;
        }
        let (first, last) = (self.holding(from, from)? as usize, self.holding(to, to)? as usize);
        match last - first {
            0 => Some(first),
            1 if self.edges => Some(Span::ALL.len() + first),
            _ => None,
        }
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

/// Sums over the rows of each stretch, then over those that reach from each stretch into the next: who learns
/// from both neighbours learns from these too.
pub(super) type Sums = [Gram; 7];

/// Of which [`Sums`] each of the [`Fits`] is made.
const MADE_OF: Fits<&[usize]> = [&[1, 2, 5], &[0, 2], &TAUGHT, &[0, 1, 2, 4, 5], &[0, 1, 2, 3, 4, 5, 6]];
/// Of which the one that chooses.
const TAUGHT: [usize; 3] = [0, 1, 4];

/// Regression rows, summed up by stretch.
pub(super) struct Rows {
    width: usize,
    sums: Sums,
    waiting: [Vec<f64>; 7],
}

impl Rows {
    /// None yet; `width` counts features and targets.
    pub(super) fn new(width: usize) -> Self {
        Self { width, sums: std::array::from_fn(|_| Gram::new(width)), waiting: Default::default() }
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

/// What was fitted without the first half of what teaches, without its second half, without the part
/// that chooses (none of these three knows the part that judges either), without the part that judges,
/// and to everything.
pub(super) type Fits<T> = [T; 5];

/// Some of the sums as one.
fn merged(sums: &Sums, places: &[usize]) -> Gram {
    let (first, rest) = places.split_first().expect("a place");
    let mut all = sums[*first].clone();
    rest.iter().for_each(|place| all.merge(&sums[*place]));
    all
}

/// The sums of what teaches while something is chosen, and of what chooses.
pub(super) fn choosing(sums: &Sums) -> (Gram, &Gram) {
    (merged(sums, &TAUGHT), &sums[Span::Newest as usize])
}

/// The fits of one choice: `chosen` does without the part that chooses, and stands in where the other
/// stretches have fewer than `least` rows. Each that is blind to a stretch knows both others, as later
/// what serves knows all: taught by one alone it would be trusted less than what serves deserves.
pub(super) fn fits<T: Clone>(sums: &Sums, least: usize, chosen: T, fit: impl Fn(&Gram) -> Option<T>) -> Fits<T> {
    MADE_OF.map(|places| {
        if places == TAUGHT {
            return chosen.clone();
        }
        let gram = merged(sums, places);
        let fitted = (gram.rows() >= least).then(|| fit(&gram)).flatten();
        fitted.unwrap_or_else(|| chosen.clone())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(end: usize, horizon: usize) -> Parts {
        let edges = Parts::has_edges(end, horizon);
        let aside = std::iter::once(20..30).collect();
        Parts { aside, half: end * 3 / 10, validation: end * 6 / 10, judging: end * 8 / 10, end, edges }
    }

    #[test]
    fn a_row_over_an_edge_counts_where_the_past_is_short() {
        let short = parts(400, 64);
        assert_eq!(short.place(130, 190), Some(Span::Late as usize));
        assert_eq!(short.place(100, 130), Some(4), "from the first stretch into the second");
        assert_eq!(short.place(300, 340), Some(6), "into the part that judges");
        assert_eq!(short.place(100, 300), None, "over a whole stretch");
        assert_eq!(short.place(10, 25), None, "kept aside");
        assert_eq!(parts(4_000, 64).place(1_190, 1_210), None, "a long past does without");
        // Who is blind to a stretch has seen no row that touches it.
        let touched =
            |span: usize| [Some(span), span.checked_sub(1).map(|before| 4 + before), (span < 3).then_some(4 + span)];
        for (span, made_of) in MADE_OF.iter().take(3).enumerate() {
            assert!(touched(span).into_iter().flatten().all(|place| !made_of.contains(&place)), "{span}");
        }
    }
}
