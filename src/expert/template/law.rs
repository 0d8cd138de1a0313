//! A law of motion: how the hidden state moves over one sample, and what the sensor shows of it.
//!
//! Always true: with finite parameters, state and inputs every answer is finite; equal arguments
//! give equal bits; a law has no memory of its own. Time is counted in samples.

/// States that the largest law has.
pub(super) const ORDER: usize = 3;

/// The hidden state; a law uses its first [`Law::order`] numbers and leaves the others alone.
pub(super) type Hidden = [f64; ORDER];

/// The equations of a template with their parameters set.
pub(super) trait Law {
    /// How many states there are.
    fn order(&self) -> usize;

    /// Moves the state over one sample, during which the inputs hold.
    fn advance(&self, state: &mut Hidden, inputs: &[f64]);

    /// Which state the sensor shows.
    fn shown(&self) -> usize;

    /// What an ideal sensor without limits reads.
    fn read(&self, state: &Hidden) -> f64 {
        state[self.shown()]
    }

    /// The state at rest that is read as `reading`.
    fn rest(&self, reading: f64) -> Hidden;

    /// How far each state moves while the reading moves by `deviation`, roughly.
    fn spread(&self, deviation: f64) -> Hidden {
        [deviation; ORDER]
    }

    /// How many samples an input takes to arrive. With 1 an input acts from its own instant on, so
    /// that the next reading is the first to know of it.
    fn delay(&self) -> f64 {
        1.0
    }
}

/// Inputs on a grid as they arrive at a law: late by its delay, and held before the first sample.
pub(super) struct Arrivals<'a> {
    rows: &'a [Vec<f64>],
    /// Samples before this index belong to another run.
    start: usize,
    delay: f64,
}

impl<'a> Arrivals<'a> {
    pub(super) fn new(rows: &'a [Vec<f64>], start: usize, delay: f64) -> Self {
        Self { rows, start, delay }
    }

    /// How many inputs there are.
    pub(super) fn width(&self) -> usize {
        self.rows.len()
    }

    /// Writes what drives the law on its way to sample `t` (not before the start); reads no later
    /// sample than `t`.
    pub(super) fn at(&self, t: usize, out: &mut [f64]) {
        let place = (t as f64 - self.delay).max(self.start as f64);
        let before = (place.floor() as usize).min(t);
        let share = place - before as f64;
        for (value, row) in out.iter_mut().zip(self.rows) {
            *value = row[before];
            if share > 0.0 {
                *value += share * (row[before + 1] - row[before]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrivals_are_late_by_the_delay_and_held_before_the_start() {
        let rows = [vec![9.0, 0.0, 1.0, 2.0, 3.0]];
        let read = |delay: f64, t: usize| {
            let mut out = [0.0];
            Arrivals::new(&rows, 1, delay).at(t, &mut out);
            out[0]
        };
        assert_eq!(read(0.0, 4), 3.0);
        assert_eq!(read(1.0, 4), 2.0);
        assert_eq!(read(1.25, 4), 1.75);
        assert_eq!(read(50.0, 4), 0.0);
    }
}
