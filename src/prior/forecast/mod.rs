//! Series to forecast rather than plants to steer: loads with daily and weekly profiles, weather,
//! sunshine, harmonics with trends and shifts, compositions of kernels; perhaps with covariates.
//!
//! Always true: without covariates there is nothing to intervene on, and no restart; what a
//! covariate does is added to a series that was written beforehand, so its future effect is known.

mod calendar;
mod covariate;
mod kernel;
mod load;
mod seasonal;
mod weather;

use self::calendar::Calendar;
use self::covariate::Covariate;
use super::draw::Draw;
use super::run::{Row, Step, System};
use super::signals::{coloured, standardise};
use super::wear::Condition;

/// Share of series whose sign is turned, as a net load or a deficit has it.
const TURNED: f64 = 0.1;

/// A series that was written beforehand, plus what its covariates do.
#[derive(Clone, Debug)]
pub(super) struct Series {
    written: Vec<f64>,
    covariates: Vec<Covariate>,
    time: usize,
    effect: f64,
}

impl Series {
    /// A random series of `steps` samples with `inputs` covariates.
    pub(super) fn draw(draw: &mut Draw, signals: &mut Draw, inputs: usize, steps: usize) -> (Self, Vec<Row>) {
        let calendar = Calendar::draw(draw, steps);
        // What all channels of one site have in common.
        let memory = draw.log_uniform(6.0, 300.0);
        let site = coloured(draw, steps, memory);
        let written = write(draw, &calendar, &site);
        let mut covariates = Vec::with_capacity(inputs);
        let mut rows = Vec::with_capacity(inputs);
        for _ in 0..inputs {
            let (covariate, row) = Covariate::draw(draw, signals, &calendar, &site);
            covariates.push(covariate);
            rows.push(row);
        }
        (Self { written, covariates, time: 0, effect: 0.0 }, rows)
    }
}

impl System for Series {
    const SLOWS: bool = false;

    fn restart(&mut self, _: &mut Draw) {}

    fn output(&self) -> f64 {
        let last = self.written.len().saturating_sub(1);
        let written = self.written.get(self.time.min(last)).copied();
        written.unwrap_or(0.0) + self.effect
    }

    fn advance(&mut self, inputs: &Step, _: Condition, _: &mut Draw) {
        self.time += 1;
        self.effect = self.covariates.iter_mut().zip(inputs).map(|(covariate, input)| covariate.step(*input)).sum();
    }
}

/// One series of mean 0 and deviation 1.
fn write(draw: &mut Draw, calendar: &Calendar, site: &[f64]) -> Vec<f64> {
    let steps = site.len();
    let mut y = match draw.whole(0, 100) {
        0..36 => load::load(draw, calendar, site),
        36..60 => seasonal::seasonal(draw, steps),
        60..78 => kernel::composition(draw, steps),
        78..91 => weather::weather(draw, calendar.day, steps),
        _ => weather::sunshine(draw, calendar.day, steps),
    };
    if draw.chance(TURNED) {
        for v in &mut y {
            *v = -*v;
        }
    }
    standardise(&mut y);
    y
}

/// Adds `size` times `other`.
fn add(y: &mut [f64], other: &[f64], size: f64) {
    for (v, o) in y.iter_mut().zip(other) {
        *v += size * o;
    }
}

/// A random walk of deviation 1 over the whole stretch.
fn walk(draw: &mut Draw, steps: usize) -> Vec<f64> {
    let mut level = 0.0;
    let mut walk: Vec<f64> = (0..steps)
        .map(|_| {
            level += draw.normal();
            level
        })
        .collect();
    standardise(&mut walk);
    walk
}

/// What the tests of this family measure series with.
#[cfg(test)]
mod measure {
    use super::super::signals::moments;

    /// Correlation of a series with itself `lag` steps later.
    pub(super) fn autocorrelation(x: &[f64], lag: usize) -> f64 {
        let (mean, deviation) = moments(x);
        let products = x.iter().zip(&x[lag..]).map(|(a, b)| (a - mean) * (b - mean));
        products.sum::<f64>() / (x.len() - lag) as f64 / (deviation * deviation).max(1e-12)
    }

    /// The median of some numbers.
    pub(super) fn median(mut x: Vec<f64>) -> f64 {
        x.sort_by(f64::total_cmp);
        x[x.len() / 2]
    }
}

#[cfg(test)]
mod tests {
    use super::super::draw::Purpose;
    use super::super::signals::moments;
    use super::*;

    #[test]
    fn every_kind_of_series_is_finite_and_standardised_at_any_length() {
        for index in 0..300 {
            let mut draw = Draw::new(31, index, 0, Purpose::System);
            for steps in [1, 16, 100, 700] {
                let calendar = Calendar::draw(&mut draw, steps);
                let site = coloured(&mut draw, steps, 20.0);
                let y = write(&mut draw, &calendar, &site);
                assert_eq!(y.len(), steps);
                assert!(y.iter().all(|v| v.is_finite()), "series {index}");
                let (mean, deviation) = moments(&y);
                assert!(mean.abs() < 1e-6 && deviation < 1.0 + 1e-6, "series {index}: {mean} {deviation}");
            }
        }
    }
}
