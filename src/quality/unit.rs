//! Lasting changes of a signal's unit: metres that become millimetres, Celsius that becomes Fahrenheit.
//!
//! A unit has jumped where the values after a step, converted back, go on where those before it ended:
//! on the same level and with the same differences between neighbours. A plant that steps to another
//! level keeps its differences, so it is not taken for one. Of the units that a record was written in, the one with the most values counts.

use super::Flag;
use super::profile::quantile;

/// Values on either side of a jump that are looked at, and those of them that lie next to it.
const SIDE: usize = 48;
const NEAR: usize = 8;
/// Factors between units that are mixed up: tens, minutes and hours, bar and psi, radians and degrees.
const FACTORS: [f64; 8] = [10.0, 14.503_774, 57.295_78, 60.0, 100.0, 1000.0, 3600.0, 1e6];
/// From this factor on a jump is told by the spread alone, where the values lie around zero.
const PLAIN: f64 = 100.0;
/// Scale and offset from Celsius to the units of temperature: Celsius, Kelvin, Fahrenheit.
const TEMPERATURES: [(&str, f64, f64); 3] = [("Cel", 1.0, 0.0), ("K", 1.0, 273.15), ("[degF]", 1.8, 32.0)];

/// From one unit to another: `scale * value + offset`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Conversion {
    pub(super) scale: f64,
    pub(super) offset: f64,
}

/// One side of a step.
#[derive(Clone, Copy, Debug)]
struct Side {
    /// 10th, 50th and 90th percentile.
    all: [f64; 3],
    /// The same of the values next to the step.
    near: [f64; 3],
    /// Median of the absolute differences between neighbours.
    change: f64,
}

const SAME: Conversion = Conversion { scale: 1.0, offset: 0.0 };

impl Conversion {
    fn back(self, value: f64) -> f64 {
        (value - self.offset) / self.scale
    }

    /// This one, then another.
    fn then(self, next: Self) -> Self {
        Self { scale: next.scale * self.scale, offset: next.scale * self.offset + next.offset }
    }

    fn is(self, other: Self) -> bool {
        (self.scale / other.scale).ln().abs() < 0.1 && (self.offset - other.offset).abs() < 1.0
    }
}

impl Side {
    /// Of values in the order of their distance from the step.
    fn of(values: impl Iterator<Item = f64> + Clone) -> Self {
        let percentiles = |mut values: Vec<f64>| [0.1, 0.5, 0.9].map(|share| quantile(&mut values, share));
        let mut changes: Vec<f64> = values.clone().zip(values.clone().skip(1)).map(|(a, b)| (a - b).abs()).collect();
        Self {
            all: percentiles(values.clone().collect()),
            near: percentiles(values.take(NEAR).collect()),
            change: quantile(&mut changes, 0.5),
        }
    }

    /// Whether the values next to the step say what the unit is: they lie far from zero.
    fn is_level(&self) -> bool {
        self.near[1].abs() > 3.0 * (self.near[2] - self.near[0])
    }

    fn spread(&self) -> f64 {
        self.all[2] - self.all[0]
    }
}

/// Flags values in another unit than most: `Fail`. `leapt` says of each place whether an input of the
/// plant changed by a factor there, `change` how far neighbours usually differ, `unit` is the signal's.
pub(super) fn jumps(values: &[f64], unit: &str, change: f64, leapt: &[bool]) -> Vec<Flag> {
    let known: Vec<usize> = (0..values.len()).filter(|at| values[*at].is_finite()).collect();
    let series: Vec<f64> = known.iter().map(|at| values[*at]).collect();
    let conversions = conversions(unit);
    // Where each stretch of one unit begins, and how it follows from the first one.
    let mut units: Vec<(usize, Conversion)> = vec![(0, SAME)];
    let mut since = 0;
    for at in 1..series.len().saturating_sub(SIDE) {
        let current = units[units.len() - 1].1;
        if (series[at] - series[at - 1]).abs() <= 8.0 * change {
            continue;
        }
        if leapt[known[at]] {
            // Whatever it is from here on, the plant went there by itself.
            since = at;
        }
        if at - since < SIDE {
            continue;
        }
        let before = Side::of(series[at - SIDE..at].iter().rev().copied());
        let after = Side::of(series[at..at + SIDE].iter().copied());
        if let Some(conversion) = best(&conversions, &before, &after) {
            units.push((at, current.then(conversion)));
            since = at;
        }
    }
    let mut flags: Vec<Flag> =
        values.iter().map(|value| if value.is_finite() { Flag::Pass } else { Flag::Missing }).collect();
    if units.len() == 1 {
        return flags;
    }
    let ends: Vec<usize> = units.iter().skip(1).map(|(at, _)| *at).chain([series.len()]).collect();
    let stretches: Vec<(usize, usize, Conversion)> =
        units.iter().zip(ends).map(|((from, unit), to)| (*from, to, *unit)).collect();
    let size = |unit: Conversion| -> usize {
        stretches.iter().filter(|(_, _, other)| unit.is(*other)).map(|(from, to, _)| to - from).sum()
    };
    let usual = stretches.iter().map(|(_, _, unit)| *unit).max_by_key(|unit| size(*unit)).unwrap_or(SAME);
    for (from, to, _) in stretches.iter().filter(|(_, _, unit)| !usual.is(*unit)) {
        known[*from..*to].iter().for_each(|at| flags[*at] = Flag::Fail);
    }
    flags
}

/// Every change of unit that a signal may have suffered.
fn conversions(unit: &str) -> Vec<Conversion> {
    let scaled = |scale: f64| Conversion { scale, offset: 0.0 };
    let mut all: Vec<Conversion> = FACTORS.iter().flat_map(|factor| [scaled(*factor), scaled(1.0 / factor)]).collect();
    if TEMPERATURES.iter().any(|(code, _, _)| *code == unit) {
        for (from, a, b) in TEMPERATURES {
            let others = TEMPERATURES.iter().filter(|(to, _, _)| *to != from);
            all.extend(others.map(|(_, c, d)| Conversion { scale: c / a, offset: d - c / a * b }));
        }
    }
    all
}

/// The conversion that makes two sides one, the closest if there are several.
fn best(conversions: &[Conversion], before: &Side, after: &Side) -> Option<Conversion> {
    // Values that stand still say nothing of their unit.
    let same = |ours: f64, theirs: f64, most: f64| (1.0 / most..most).contains(&(ours / theirs));
    let distance = |conversion: Conversion| {
        let scale = conversion.scale;
        if before.is_level() && after.is_level() {
            let apart = (conversion.back(after.near[1]) - before.near[1]).abs();
            let near = (before.near[2] - before.near[0]).max((after.near[2] - after.near[0]) / scale);
            let goes_on = apart <= 2.0 * near + 0.01 * before.near[1].abs();
            let moved = (after.near[1] - before.near[1]).abs() > 3.0 * near;
            (goes_on && moved && same(after.change / scale, before.change, 4.0)).then_some(apart)
        } else {
            let apart = (conversion.back(after.all[1]) - before.all[1]).abs();
            let plain = scale.max(1.0 / scale) >= PLAIN - 1e-9 && apart <= 0.5 * before.spread();
            let spreads = same(after.spread() / scale, before.spread(), 1.6);
            (plain && spreads && same(after.change / scale, before.change, 2.0)).then_some(apart)
        }
    };
    let scored = conversions.iter().filter_map(|conversion| Some((distance(*conversion)?, *conversion)));
    scored.min_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, conversion)| conversion)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quality::profile::Profile;

    /// A slow wave with noise, around `level`.
    fn series(level: f64) -> Vec<f64> {
        let mut noise = 0.37_f64;
        let mut draw = || {
            noise = (noise * 9301.0 + 0.49297).fract();
            noise - 0.5
        };
        (0..600).map(|k| level + 0.2 * (f64::from(k) / 40.0).sin() + 0.02 * draw()).collect()
    }

    fn failed(values: &[f64], unit: &str) -> usize {
        let change = Profile::of(values).unwrap().change;
        let flags = jumps(values, unit, change, &vec![false; values.len()]);
        flags.iter().filter(|flag| **flag == Flag::Fail).count()
    }

    fn converted(scale: f64, offset: f64, from: usize, to: usize) -> Vec<f64> {
        let convert = |(at, value): (usize, f64)| if (from..to).contains(&at) { scale * value + offset } else { value };
        series(20.0).into_iter().enumerate().map(convert).collect()
    }

    #[test]
    fn a_stretch_in_another_unit_fails_and_nothing_else() {
        for factor in FACTORS {
            for scale in [factor, 1.0 / factor] {
                assert_eq!(failed(&converted(scale, 0.0, 200, 330), "m"), 130, "in the middle: {scale}");
                assert_eq!(failed(&converted(scale, 0.0, 450, 600), "m"), 150, "to the end: {scale}");
                assert_eq!(failed(&converted(scale, 0.0, 0, 400), "m"), 200, "most of it: {scale}");
            }
        }
        assert_eq!(failed(&converted(1.8, 32.0, 200, 330), "Cel"), 130, "Fahrenheit");
        assert_eq!(failed(&converted(1.0, 273.15, 200, 330), "Cel"), 130, "Kelvin");
        assert_eq!(failed(&converted(1.0, 273.15, 200, 330), "m"), 0, "no temperature");
    }

    #[test]
    fn a_plant_that_steps_has_no_other_unit() {
        for (scale, offset) in [(1.0, 0.0), (1.0, 180.0), (1.0, -18.0), (3.0, 0.0), (1.0, 1180.0)] {
            assert_eq!(failed(&converted(scale, offset, 200, 330), "m"), 0, "{scale} {offset}");
        }
    }

    #[test]
    fn a_step_with_the_inputs_is_the_plants_own() {
        let values = converted(1000.0, 0.0, 300, 600);
        let mut leapt = vec![false; values.len()];
        leapt[300] = true;
        assert!(!jumps(&values, "m", 0.03, &leapt).contains(&Flag::Fail));
    }
}
