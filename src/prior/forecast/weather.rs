//! Weather: temperatures (a daily wave under passing fronts, an AR(2) process) and sunshine (nothing
//! at night, clouds by day).

use std::f64::consts::TAU;

use super::super::draw::Draw;
use super::super::signals::{add_tone, coloured, standardise};
use super::add;

/// A temperature of mean 0 and deviation 1.
pub(super) fn weather(draw: &mut Draw, day: usize, steps: usize) -> Vec<f64> {
    let mut y = fronts(draw, day, steps);
    let phase = draw.uniform(0.0, 1.0);
    let mut wave = vec![0.0; steps];
    add_tone(&mut wave, 1.0 / day as f64, phase, 1.0);
    add_tone(&mut wave, 2.0 / day as f64, draw.uniform(0.0, 1.0), draw.uniform(0.0, 0.35));
    // Under clouds a day is flat.
    let depth = draw.uniform(0.0, 0.8);
    let clouds = coloured(draw, steps, 1.5 * day as f64);
    for (v, cloud) in wave.iter_mut().zip(clouds) {
        *v *= 1.0 - depth * 0.5 * (1.0 + cloud.tanh());
    }
    add(&mut y, &wave, draw.log_uniform(0.2, 3.0));
    if draw.chance(0.5) {
        let year = 365.0 * day as f64;
        add_tone(&mut y, 1.0 / year, draw.uniform(0.0, 1.0), draw.uniform(0.5, 4.0));
    }
    let noise = draw.log_uniform(0.005, 0.2);
    for v in &mut y {
        *v += noise * draw.normal();
    }
    if draw.chance(0.2) {
        // Humidity and the like end at a bound.
        standardise(&mut y);
        let bound = draw.uniform(0.3, 1.5);
        y.iter_mut().for_each(|v| *v = v.min(bound));
    }
    standardise(&mut y);
    y
}

/// Fronts that pass every 3 to 9 days: a damped oscillation driven by chance.
fn fronts(draw: &mut Draw, day: usize, steps: usize) -> Vec<f64> {
    let turn = TAU / (day as f64 * draw.uniform(3.0, 9.0));
    let keep = (-1.0 / (day as f64 * draw.log_uniform(0.7, 4.0))).exp();
    let (first, second) = (2.0 * keep * turn.cos(), -keep * keep);
    let (mut now, mut before) = (0.0, 0.0);
    let warm = 10 * day;
    let mut y = Vec::with_capacity(steps);
    for t in 0..warm + steps {
        (now, before) = (first * now + second * before + draw.normal(), now);
        if t >= warm {
            y.push(now);
        }
    }
    standardise(&mut y);
    y
}

/// Sunshine or what it drives: nothing at night, clouds by day.
pub(super) fn sunshine(draw: &mut Draw, day: usize, steps: usize) -> Vec<f64> {
    let phase = draw.uniform(0.0, 1.0);
    let (season, length) = (draw.uniform(-0.4, 0.4), draw.uniform(0.0, 0.3));
    let year = 365.0 * day as f64;
    let memory = day as f64 * draw.log_uniform(0.1, 2.0);
    let clouds = coloured(draw, steps, memory);
    let (clear, shadow) = (draw.uniform(-0.5, 2.0), draw.uniform(0.3, 0.95));
    clouds
        .into_iter()
        .enumerate()
        .map(|(t, cloud)| {
            let time = t as f64;
            let height = (TAU * (time / day as f64 + phase)).cos() + season + length * (TAU * time / year).sin();
            let light = 1.0 - shadow / (1.0 + (3.0 * (cloud + clear)).exp());
            height.max(0.0) * light
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::super::draw::Purpose;
    use super::super::measure::{autocorrelation, median};
    use super::*;

    const STEPS: usize = 2_048;

    #[test]
    fn a_temperature_has_a_day_and_remembers_fronts() {
        let (mut days, mut hours) = (Vec::new(), Vec::new());
        for index in 0..60 {
            let y = weather(&mut Draw::new(6, index, 0, Purpose::System), 24, STEPS);
            days.push(autocorrelation(&y, 24) - autocorrelation(&y, 12));
            hours.push(autocorrelation(&y, 1));
        }
        let (day, hour) = (median(days), median(hours));
        assert!(day > 0.1 && hour > 0.9, "{day} {hour}");
    }

    #[test]
    fn fronts_swing_back() {
        // An AR(2) with complex poles is anticorrelated half a swing later, unlike a first-order lag.
        let swings = (0..60).map(|index| {
            let y = fronts(&mut Draw::new(7, index, 0, Purpose::System), 24, 2 * STEPS);
            (36..120).map(|lag| autocorrelation(&y, lag)).fold(f64::MAX, f64::min)
        });
        let swing = median(swings.collect());
        assert!(swing < -0.1, "{swing}");
    }

    #[test]
    fn nights_are_dark_and_days_are_not() {
        for index in 0..40 {
            let y = sunshine(&mut Draw::new(8, index, 0, Purpose::System), 24, STEPS);
            assert!(y.iter().all(|v| *v >= 0.0));
            for day in y.chunks_exact(24) {
                let dark = day.iter().filter(|v| **v == 0.0).count();
                assert!((4..20).contains(&dark), "{dark} dark hours");
            }
        }
    }
}
