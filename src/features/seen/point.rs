//! The features of a point: where inputs and outputs are, and where the inputs were lately.

/// Steps over which the averages of an input forget: plants have fast and slow parts, and which is
/// not known here.
const FORGET: [f64; 2] = [8.0, 32.0];

/// The averages of one input, in its deviations.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Trail {
    averages: [f64; FORGET.len()],
}

impl Trail {
    /// An input that has always been so.
    pub(super) fn at(value: f64) -> Self {
        Self { averages: [value; FORGET.len()] }
    }

    /// One step on.
    pub(super) fn go(&mut self, value: f64) {
        for (average, steps) in self.averages.iter_mut().zip(FORGET) {
            *average += (value - *average) / steps;
        }
    }
}

/// Features of a point with so many inputs among its signals; the others are outputs.
pub(super) fn column(inputs: usize, signals: usize) -> usize {
    inputs * (1 + FORGET.len()) + (signals - inputs)
}

/// What a feature's value is to be multiplied with to be in deviations again: a signal counts as
/// one, however many features it has.
pub(super) fn weight(input: bool) -> f64 {
    if input { ((1 + FORGET.len()) as f64).sqrt() } else { 1.0 }
}

/// The features of a point: for each input its value and its averages, then the outputs.
pub(super) fn features(trails: &[Trail], normal: &[f64]) -> Vec<f32> {
    let mut row = Vec::with_capacity(column(trails.len(), normal.len()));
    for (trail, value) in trails.iter().zip(normal) {
        row.extend(std::iter::once(value).chain(&trail.averages).map(|value| (value / weight(true)) as f32));
    }
    row.extend(normal[trails.len()..].iter().map(|value| *value as f32));
    row
}
