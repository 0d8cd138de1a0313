//! What an expert learns from: a target and its inputs on one regular grid, cut into contiguous
//! segments, all in normalised units.
//!
//! Always true of a [`Context`]: every segment has at least one sample, the first starts at 0,
//! the last ends with the target, and inputs and others stop where the target stops.

/// A target and its inputs on a regular grid, in normalised units ([`super::Scale`]); every value
/// is finite.
#[derive(Clone, Copy, Debug)]
pub struct History<'a> {
    /// The measured target, oldest first.
    pub target: &'a [f64],
    /// One row per input, each at least as long as the target; equal index means equal instant.
    /// What lies beyond the target's end is not read.
    pub inputs: &'a [Vec<f64>],
    /// Signals measured beside the target whose future nobody knows: one row each, as long as the
    /// target.
    pub others: &'a [Vec<f64>],
    /// Indices where a new contiguous segment begins (a restart, a gap); the first is 0.
    pub starts: &'a [usize],
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

    fn between(history: &History<'a>, from: usize, end: usize) -> Self {
        let mut starts: Vec<usize> = history.starts.to_vec();
        starts.retain(|&start| start > from && start < end);
        starts.push(from);
        starts.sort_unstable();
        starts.dedup();
        let ends = starts.iter().skip(1).copied().chain([end]);
        Self {
            target: &history.target[from..end],
            inputs: history.inputs.iter().map(|row| &row[from..end]).collect(),
            others: history.others.iter().map(|row| &row[from..end]).collect(),
            segments: starts
                .iter()
                .zip(ends)
                .filter(|(start, end)| start < &end)
                .map(|(&start, end)| (start - from, end - from))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_samples_keep_their_segment_borders() {
        let target = [0.0, 1.0, 2.0, 3.0, 4.0, 5.0];
        let inputs = [vec![0.0; 9]];
        let history = History { target: &target, inputs: &inputs, others: &[], starts: &[0, 2, 4] };
        let context = Context::newest(&history, 3);
        assert_eq!(context.segments, [(0, 1), (1, 3)]);
        assert_eq!(context.inputs[0].len(), 3);
        assert_eq!(context.last_start(), 1);
        assert_eq!(context.until(1).segments, [(0, 1)]);
    }

    #[test]
    fn an_empty_history_has_no_segments() {
        let history = History { target: &[], inputs: &[], others: &[], starts: &[0] };
        let context = Context::newest(&history, 10);
        assert!(context.segments.is_empty());
        assert_eq!((context.len(), context.last_start()), (0, 0));
    }
}
