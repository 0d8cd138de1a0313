//! Schedules: a few knots for each control input, and the row of values that they stand for.

use serde::{Deserialize, Serialize};

/// What lies between two knots.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Shape {
    /// A straight line to the next knot.
    #[default]
    Linear,
    /// The value of the knot, until the next one.
    Held,
}

/// What one control input may do.
#[derive(Clone, Debug, PartialEq)]
pub struct Freedom {
    /// Its place among the rows of a future.
    pub row: usize,
    /// Its present value.
    pub last: f64,
    /// Least and greatest value.
    pub range: [f64; 2],
    /// Least and greatest change from one step to the next.
    pub change: [f64; 2],
    /// Knots.
    pub knots: usize,
    /// What lies between them.
    pub shape: Shape,
}

impl Freedom {
    /// The row that knots stand for, each 0..1 of the range: within range and rates, whatever they are.
    /// The first knot of a line lies at the end of its stretch, so that the row leaves from the present.
    #[must_use]
    pub fn row(&self, knots: &[f64], steps: usize) -> Vec<f64> {
        let value = |knot: usize| self.range[0] + knots[knot] * (self.range[1] - self.range[0]);
        let stretch = steps as f64 / self.knots as f64;
        let mut before = self.last;
        (0..steps)
            .map(|step| {
                let place = (step as f64 / stretch) as usize;
                let knot = place.min(self.knots - 1);
                let wanted = match self.shape {
                    Shape::Held => value(knot),
                    Shape::Linear => {
                        let from = if knot == 0 { self.last } else { value(knot - 1) };
                        let share = ((step + 1) as f64 - knot as f64 * stretch) / stretch;
                        from + (value(knot) - from) * share.min(1.0)
                    }
                };
                before += (wanted.clamp(self.range[0], self.range[1]) - before).clamp(self.change[0], self.change[1]);
                before
            })
            .collect()
    }

    /// The knots at which it stays where it is.
    #[must_use]
    pub fn hold(&self) -> Vec<f64> {
        let width = self.range[1] - self.range[0];
        let place = if width > 0.0 { ((self.last - self.range[0]) / width).clamp(0.0, 1.0) } else { 0.0 };
        vec![place; self.knots]
    }

    /// Sum of the squared moves of a row, in widths of the range.
    #[must_use]
    pub fn moves(&self, row: &[f64]) -> f64 {
        let width = (self.range[1] - self.range[0]).max(f64::MIN_POSITIVE);
        let before = std::iter::once(&self.last).chain(row);
        row.iter().zip(before).map(|(value, before)| ((value - before) / width).powi(2)).sum()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn freedom(shape: Shape, knots: usize, change: f64) -> Freedom {
        Freedom { row: 0, last: 4.0, range: [0.0, 10.0], change: [-change, change], knots, shape }
    }

    #[test]
    fn lines_and_holds_go_through_their_knots() {
        let line = freedom(Shape::Linear, 2, f64::INFINITY).row(&[0.8, 0.2], 8);
        assert_eq!(line, [5.0, 6.0, 7.0, 8.0, 6.5, 5.0, 3.5, 2.0]);
        let held = freedom(Shape::Held, 2, f64::INFINITY).row(&[0.8, 0.2], 8);
        assert_eq!(held, [8.0, 8.0, 8.0, 8.0, 2.0, 2.0, 2.0, 2.0]);
        let slow = freedom(Shape::Held, 1, 1.5).row(&[1.0], 6);
        assert_eq!(slow, [5.5, 7.0, 8.5, 10.0, 10.0, 10.0]);
    }

    #[test]
    fn held_knots_stay() {
        for shape in [Shape::Linear, Shape::Held] {
            let freedom = freedom(shape, 5, 3.0);
            let row = freedom.row(&freedom.hold(), 13);
            assert!(row.iter().all(|value| (value - 4.0).abs() < 1e-12));
            assert!(freedom.moves(&row) < 1e-20);
        }
    }

    proptest! {
        #[test]
        fn no_knots_leave_range_or_rates(
            knots in prop::collection::vec(0.0..=1.0_f64, 1..20), steps in 1_usize..100, change in 0.01..20.0_f64,
            held in any::<bool>(),
        ) {
            let shape = if held { Shape::Held } else { Shape::Linear };
            let freedom = freedom(shape, knots.len(), change);
            let row = freedom.row(&knots, steps);
            prop_assert_eq!(row.len(), steps);
            let mut before = 4.0;
            for value in row {
                prop_assert!((-1e-9..=10.0 + 1e-9).contains(&value) && (value - before).abs() <= change + 1e-9);
                before = value;
            }
        }
    }
}
