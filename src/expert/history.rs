//! What an expert learns from: a target and its inputs on one regular grid, cut into contiguous
//! segments, all in normalised units.
//!
//! Always true of a [`Context`]: every segment has at least one sample, they come in order and hold everything but
//! silent stretches, and inputs and others stop where the target stops.

use std::ops::Range;

/// A target and its inputs on a regular grid, in normalised units ([`super::Scale`]); every value
/// is finite.
#[derive(Clone, Copy, Debug)]
pub struct History<'a> {
    /// The measured target, oldest first.
    pub target: &'a [f64],
    /// One row per input, each at least as long as the target; equal index means equal instant.
    /// What lies beyond the target's end is not read.
    pub inputs: &'a [Vec<f64>],
    /// Signals measured beside the target whose future nobody knows: one row each, at least as long as the
    /// target. What lies beyond its end is not read.
    pub others: &'a [Vec<f64>],
    /// Indices where a new contiguous segment begins (a restart, a gap); the first is 0.
    pub starts: &'a [usize],
    /// Stretches, in order, in which what stands for a signal was filled in because nothing was measured for long: nothing
    /// is learned from them, and a new segment begins behind each. One that lasts to the end is no such stretch.
    pub silent: &'a [Range<usize>],
}

impl<'a> History<'a> {
    /// What was known of it before step `end`.
    #[must_use]
    pub fn until(&self, end: usize) -> Self {
        let starts = &self.starts[..self.starts.partition_point(|start| *start < end)];
        Self { target: &self.target[..end], starts, ..*self }
    }
}

/// The part of a history that is looked at, with its segments as `start..end`.
#[derive(Clone, Debug)]
pub(super) struct Context<'a> {
    pub(super) target: &'a [f64],
    pub(super) inputs: Vec<&'a [f64]>,
    pub(super) others: Vec<&'a [f64]>,
    pub(super) segments: Vec<(usize, usize)>,
}

impl<'a> Context<'a> {
    /// The newest `limit` samples of a history.
    pub(super) fn newest(history: &History<'a>, limit: usize) -> Self {
        let end = history.target.len();
        Self::between(history, end.saturating_sub(limit), end)
    }

    /// What lies before each of `ends` (ascending) of a history as one context, at least the newest `limit` samples before
    /// each, and where the ends lie in it; `None` where no segment holds them all with what comes before them.
    pub(super) fn before_each(history: &History<'a>, ends: &[usize], limit: usize) -> Option<(Self, Vec<usize>)> {
        let (&first, &last) = (ends.first()?, ends.last()?);
        let context = Self::newest(&history.until(last), limit + last - first);
        let skipped = last - context.len();
        let one = skipped + context.last_start() < first;
        one.then(|| (context, ends.iter().map(|end| end - skipped).collect()))
    }

    fn between(history: &History<'a>, from: usize, end: usize) -> Self {
        let mut starts: Vec<usize> = history.starts.to_vec();
        starts.retain(|&start| start > from && start < end);
        starts.push(from);
        starts.sort_unstable();
        starts.dedup();
        let ends = starts.iter().skip(1).copied().chain([end]);
        let segments = starts.iter().copied().zip(ends);
        Self {
            target: &history.target[from..end],
            inputs: history.inputs.iter().map(|row| &row[from..end]).collect(),
            others: history.others.iter().map(|row| &row[from..end]).collect(),
            segments: segments
                .flat_map(|(start, to)| spoken(start..to, history.silent, end))
                .map(|part| (part.start - from, part.end - from))
                .collect(),
        }
    }

    /// The same context as it was when only the first `end` samples were known.
    pub(super) fn until(&self, end: usize) -> Self {
        self.within(0, end)
    }

    /// The samples `from..end`, with the segment borders between them.
    pub(super) fn within(&self, from: usize, end: usize) -> Self {
        Self {
            target: &self.target[from..end],
            inputs: self.inputs.iter().map(|row| &row[from..end]).collect(),
            others: self.others.iter().map(|row| &row[from..end]).collect(),
            segments: self
                .segments
                .iter()
                .map(|&(a, b)| (a.max(from), b.min(end)))
                .filter(|(a, b)| a < b)
                .map(|(a, b)| (a - from, b - from))
                .collect(),
        }
    }

    /// The inputs at `from..end`, as a roll-out takes them.
    pub(super) fn inputs_within(&self, from: usize, end: usize) -> Vec<Vec<f64>> {
        self.inputs.iter().map(|row| row[from..end].to_vec()).collect()
    }

    /// Number of samples.
    pub(super) fn len(&self) -> usize {
        self.target.len()
    }

    /// Where the newest segment begins; 0 in an empty context.
    pub(super) fn last_start(&self) -> usize {
        self.segments.last().map_or(0, |&(start, _)| start)
    }
}

/// The parts of a segment outside the silent stretches that ended before `end`.
fn spoken(segment: Range<usize>, silent: &[Range<usize>], end: usize) -> Vec<Range<usize>> {
    let (mut from, mut parts) = (segment.start, Vec::new());
    for stretch in silent.iter().filter(|stretch| stretch.end > segment.start && stretch.end < end) {
        parts.push(from..stretch.start.clamp(from, segment.end));
        from = stretch.end.clamp(from, segment.end);
    }
    parts.push(from..segment.end);
    parts.retain(|part| !part.is_empty());
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silent_stretches_belong_to_no_segment_unless_they_last() {
        let target = [0.0; 12];
        let silent = [2..4, 5..7, 10..12];
        let history = History { target: &target, inputs: &[], others: &[], starts: &[0, 6], silent: &silent };
        assert_eq!(Context::newest(&history, 12).segments, [(0, 2), (4, 5), (7, 12)]);
        assert_eq!(Context::newest(&history, 9).segments, [(1, 2), (4, 9)]);
        let earlier = History { target: &target[..7], ..history };
        assert_eq!(Context::newest(&earlier, 7).segments, [(0, 2), (4, 6), (6, 7)], "it still goes on");
    }

    #[test]
    fn ends_share_a_context_while_one_segment_holds_them() {
        let target = [0.0; 40];
        let history = History { target: &target, inputs: &[], others: &[], starts: &[0, 10, 30], silent: &[] };
        let (context, ends) = Context::before_each(&history, &[22, 25, 29], 15).expect("one segment");
        assert_eq!((context.len(), ends), (22, vec![15, 18, 22]));
        assert_eq!(context.segments, [(0, 3), (3, 22)]);
        assert!(Context::before_each(&history, &[28, 33], 15).is_none(), "one begins between them");
        assert!(Context::before_each(&history, &[30, 33], 15).is_none(), "it is not yet known");
        assert_eq!(history.until(30).starts, [0, 10]);
        let silent = std::iter::once(20..24).collect::<Vec<_>>();
        let silent = History { silent: &silent, ..history };
        assert!(Context::before_each(&silent, &[22, 26], 15).is_none(), "silence ended between them");
        assert!(Context::before_each(&silent, &[25, 26], 15).is_some());
    }

    #[test]
    fn the_newest_samples_keep_their_segment_borders() {
        let target = [0.0, 1.0, 2.0, 3.0, 4.0, 5.0];
        let inputs = [vec![0.0; 9]];
        let history = History { target: &target, inputs: &inputs, others: &[], starts: &[0, 2, 4], silent: &[] };
        let context = Context::newest(&history, 3);
        assert_eq!(context.segments, [(0, 1), (1, 3)]);
        assert_eq!(context.inputs[0].len(), 3);
        assert_eq!(context.last_start(), 1);
        assert_eq!(context.until(1).segments, [(0, 1)]);
    }

    #[test]
    fn an_empty_history_has_no_segments() {
        let history = History { target: &[], inputs: &[], others: &[], starts: &[0], silent: &[] };
        let context = Context::newest(&history, 10);
        assert!(context.segments.is_empty());
        assert_eq!((context.len(), context.last_start()), (0, 0));
    }
}
