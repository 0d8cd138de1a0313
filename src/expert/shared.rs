//! Sums over regression rows that share instants and origins.
//!
//! A row of a regression for many steps ahead is what holds at the instant of its answer, what was held at its origin, fading with
//! the steps between, and what is its own. Many rows share an origin, and some an instant, so the sums of their products
//! are found from instants and origins, with a third to a sixth of the work that row by row takes; no row is ever written
//! down.

use super::algebra::{Gram, outer};

/// How fast what is held at an origin fades, in steps (prototype `TJ`).
pub(super) const FADES: [f64; 5] = [2.0, 8.0, 32.0, 128.0, 1e6];
/// Products of two fades.
const PAIRS: usize = FADES.len() * (FADES.len() + 1) / 2;

/// What is left after `steps` of what was held at an origin.
pub(super) fn fades(steps: usize) -> [f64; FADES.len()] {
    FADES.map(|fade| (-(steps as f64) / fade).exp())
}

/// Horizons that there are rows for, spread geometrically.
const HORIZONS: usize = 10;

/// The steps ahead that there are rows for: geometric from 1, rounded, without repeats.
pub(super) fn horizons(horizon: usize) -> Vec<usize> {
    let last = (horizon.max(2) as f64).ln();
    let mut steps: Vec<usize> =
        (0..HORIZONS).map(|i| (last * i as f64 / (HORIZONS - 1) as f64).exp().round() as usize).collect();
    steps.dedup();
    steps
}

/// One row, by the places of what it shares.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row {
    pub(super) instant: usize,
    pub(super) origin: usize,
    /// Among the steps ahead that there are rows for.
    pub(super) horizon: usize,
}

/// Rows, those of one instant one after another.
pub(super) struct Rows<'r> {
    pub(super) all: &'r [Row],
    /// Instant by instant.
    pub(super) instants: &'r [f64],
    /// Origin by origin.
    pub(super) origins: &'r [f64],
    /// Row by row what is its own; nothing where rows have nothing of their own.
    pub(super) own: &'r [f64],
    /// Of every horizon.
    pub(super) fades: &'r [[f64; FADES.len()]],
}

/// Where the parts of rows lie in the sums.
pub(super) struct Columns {
    /// The columns of an instant, ascending.
    pub(super) instant: Vec<usize>,
    /// The first column of what was held at an origin: each of so many values in all its fades.
    pub(super) held: usize,
    pub(super) values: usize,
    /// The first column of what is a row's own.
    pub(super) own: usize,
}

impl Rows<'_> {
    /// Adds all rows to sums.
    pub(super) fn add_to(&self, gram: &mut Gram, columns: &Columns) {
        let places = || self.all.iter().map(|row| row.origin);
        let (Some(first), Some(last)) = (places().min(), places().max()) else { return };
        let (width, own) = (columns.instant.len(), self.own.len() / self.all.len());
        let of_own = |column: usize| columns.own + column;
        let of_held = |value: usize, fade: usize| columns.held + value * FADES.len() + fade;
        let of_row = |column: usize| columns.instant.get(column).map_or_else(|| of_own(column - width), |place| *place);

        // Each instant once, for all its rows, beside the sum of what is their own.
        let mut instants = Vec::with_capacity(self.all.len() * width);
        let mut owned = vec![0.0; self.all.len() * own];
        let (mut begun, mut count) = (0, 0);
        for shared in self.all.chunk_by(|one, other| one.instant == other.instant) {
            let times = (shared.len() as f64).sqrt();
            instants.extend(self.at_instant(shared[0], width).iter().map(|value| times * value));
            for row in self.own[begun * own..(begun + shared.len()) * own].chunks_exact(own.max(1)) {
                let sums = owned[count * own..].iter_mut();
                sums.zip(row).for_each(|(sum, value)| *sum += value / times);
            }
            (begun, count) = (begun + shared.len(), count + 1);
        }
        let mut among = Gram::new(width);
        among.add(&instants);
        gram.take(&among, 0..width, of_row);
        if own > 0 {
            let mut among = Gram::new(own);
            among.add(self.own);
            gram.take(&among, 0..own, of_own);
            let crossed = outer((&instants, width), (&owned[..count * own], own));
            for column in 0..own {
                gram.take_column(of_own(column), crossed.col_as_slice(column), of_row);
            }
        }

        // Of each origin: what its rows saw, faded, and the products of its fades.
        let across = width + own;
        let origins = last + 1 - first;
        let (mut seen, mut products) = (vec![0.0; origins * FADES.len() * across], vec![[0.0; PAIRS]; origins]);
        for (place, row) in self.all.iter().enumerate() {
            let (at, fades) = (row.origin - first, &self.fades[row.horizon]);
            let all = &mut seen[at * FADES.len() * across..(at + 1) * FADES.len() * across];
            for (sums, fade) in all.chunks_exact_mut(across).zip(fades) {
                let (shared, alone) = sums.split_at_mut(width);
                shared.iter_mut().zip(self.at_instant(*row, width)).for_each(|(sum, value)| *sum += fade * value);
                alone.iter_mut().zip(&self.own[place * own..]).for_each(|(sum, value)| *sum += fade * value);
            }
            products[at].iter_mut().zip(pairs()).for_each(|(sum, (i, j))| *sum += fades[i] * fades[j]);
        }
        let values = columns.values;
        let held = &self.origins[first * values..(last + 1) * values];
        let crossed = outer((held, values), (&seen, FADES.len() * across));
        for fade in 0..FADES.len() {
            for column in 0..across {
                let sums = crossed.col_as_slice(fade * across + column);
                gram.take_column(of_row(column), sums, |value| of_held(value, fade));
            }
        }
        let mut weighted = Vec::with_capacity(origins * PAIRS * values);
        for (held, products) in held.chunks_exact(values).zip(&products) {
            weighted.extend(products.iter().flat_map(|times| held.iter().map(move |value| times * value)));
        }
        let squared = outer((held, values), (&weighted, PAIRS * values));
        for (pair, (i, j)) in pairs().enumerate() {
            for value in 0..values {
                let sums = squared.col_as_slice(pair * values + value);
                if i == j {
                    gram.take_column(of_held(value, j), &sums[value..], |other| of_held(value + other, i));
                } else {
                    gram.take_column(of_held(value, j), sums, |other| of_held(other, i));
                }
            }
        }
        gram.count(self.all.len());
    }

    fn at_instant(&self, row: Row, width: usize) -> &[f64] {
        &self.instants[row.instant * width..(row.instant + 1) * width]
    }
}

/// The products of two fades, the later one first.
fn pairs() -> impl Iterator<Item = (usize, usize)> {
    (0..FADES.len()).flat_map(|i| (0..=i).map(move |j| (i, j)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_are_those_of_the_rows_written_down() {
        let (width, values, own) = (3, 2, 4);
        let number = |place: usize| (place as f64 * 0.713).sin();
        let numbers = |count: usize, from: usize| (from..from + count).map(number).collect::<Vec<f64>>();
        let (instants, origins) = (numbers(20 * width, 5), numbers(30 * values, 100));
        let fades: Vec<_> = [1, 3, 9, 40].map(fades).to_vec();
        // Some instants have one row, some several, and origins are not in order.
        let rows: Vec<Row> = (0..20)
            .flat_map(|instant| {
                (0..=instant % 3).map(move |k| Row {
                    instant,
                    origin: (7 * instant + 11 * k) % 30,
                    horizon: (instant + k) % 4,
                })
            })
            .collect();
        for own in [0, own] {
            let alone = numbers(rows.len() * own, 300);
            // An instant's columns lie on both sides of the others, as an intercept and a target do.
            let (held, last) = (2, 2 + values * FADES.len());
            let columns = Columns { instant: vec![0, 1, last + own], held, values, own: last };
            let all = width + values * FADES.len() + own;
            let (mut found, mut written) = (Gram::new(all), Gram::new(all));
            for part in [0..1, 1..14, 14..rows.len()] {
                let some = &alone[part.start * own..part.end * own];
                let rows = &rows[part];
                Rows { all: rows, instants: &instants, origins: &origins, own: some, fades: &fades }
                    .add_to(&mut found, &columns);
                for (place, row) in rows.iter().enumerate() {
                    let instant = &instants[row.instant * width..][..width];
                    let mut line = instant[..2].to_vec();
                    for value in &origins[row.origin * values..][..values] {
                        line.extend(fades[row.horizon].map(|fade| fade * value));
                    }
                    line.extend_from_slice(&some[place * own..(place + 1) * own]);
                    line.push(instant[2]);
                    written.add(&line);
                }
            }
            assert_eq!(found.rows(), written.rows());
            assert!(found.apart(&written) < 1e-12, "{}", found.apart(&written));
        }
    }
}
