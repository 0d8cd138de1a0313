//! Seasons with harmonics, trends, coloured noise, random walks, level shifts and events (prototype
//! `fam_fore`).

use super::super::draw::Draw;
use super::super::signals::{add_tone, coloured, standardise};
use super::{add, walk};

/// Periods in steps; the day of hourly data is the most frequent one.
const PERIODS: [usize; 11] = [24, 24, 24, 168, 12, 48, 96, 144, 288, 7, 30];

/// A random series of `steps` samples.
pub(super) fn seasonal(draw: &mut Draw, steps: usize) -> Vec<f64> {
    let mut y = vec![0.0; steps];
    let mut used = Vec::new();
    for _ in 0..draw.whole(1, 4) {
        let period = match draw.whole(0, PERIODS.len() + 1) {
            slot if slot < PERIODS.len() => PERIODS[slot],
            _ => draw.log_uniform(8.0, 500.0) as usize,
        };
        if !used.contains(&period) {
            used.push(period);
            let season = season(draw, steps, period);
            let size = draw.log_uniform(0.2, 2.0);
            add(&mut y, &season, size);
        }
    }
    let memory = draw.log_uniform(1.0, 80.0);
    let noise = coloured(draw, steps, memory);
    add(&mut y, &noise, draw.log_uniform(0.05, 1.5));
    if draw.chance(0.4) {
        let wander = walk(draw, steps);
        add(&mut y, &wander, draw.log_uniform(0.1, 2.0));
    }
    if draw.chance(0.3) {
        let slope = draw.normal() * draw.log_uniform(0.1, 4.0) / steps.max(1) as f64;
        for (t, v) in y.iter_mut().enumerate() {
            *v += slope * t as f64;
        }
    }
    if draw.chance(0.2) {
        let (from, shift) = (draw.whole(0, steps), 1.5 * draw.normal());
        for v in &mut y[from..] {
            *v += shift;
        }
    }
    if draw.chance(0.15) {
        for _ in 0..draw.whole(1, 12) {
            let (from, length) = (draw.whole(0, steps), draw.whole(1, 12));
            let size = 3.0 * draw.normal();
            for v in y.iter_mut().skip(from).take(length) {
                *v += size;
            }
        }
    }
    if draw.chance(0.2) {
        standardise(&mut y);
        for v in &mut y {
            *v = (0.6 * *v).clamp(-3.0, 3.0).exp();
        }
    }
    y
}

/// One season of some harmonics, perhaps cut off below, of changing size, or quiet at weekends.
fn season(draw: &mut Draw, steps: usize, period: usize) -> Vec<f64> {
    let mut s = vec![0.0; steps];
    let decay = draw.uniform(0.3, 1.5);
    for harmonic in 1..=draw.whole(1, 7) {
        let h = harmonic as f64;
        let amplitude = draw.exponential(1.0) / h.powf(decay);
        let phase = draw.uniform(0.0, 1.0);
        add_tone(&mut s, h / period as f64, phase, amplitude);
    }
    if draw.chance(0.3) {
        let floor = 0.5 * draw.normal();
        for v in &mut s {
            *v = v.max(floor);
        }
    }
    if draw.chance(0.5) {
        let mut size = vec![0.0; steps];
        if draw.chance(0.5) {
            let (depth, memory) = (draw.uniform(0.0, 0.6), draw.log_uniform(1.0, 80.0));
            add(&mut size, &coloured(draw, steps, memory), depth);
            for v in &mut size {
                *v += 1.0;
            }
        } else {
            let (period, phase) = (draw.log_uniform(500.0, 4_000.0), draw.uniform(0.0, 1.0));
            add_tone(&mut size, 1.0 / period, phase, 0.3);
            for v in &mut size {
                *v = v.exp();
            }
        }
        for (v, k) in s.iter_mut().zip(size) {
            *v *= k;
        }
    }
    if period == 24 && draw.chance(0.4) {
        let quiet = draw.uniform(0.2, 1.0);
        for (t, v) in s.iter_mut().enumerate() {
            if (t / 24) % 7 >= 5 {
                *v *= 1.0 - quiet;
            }
        }
    }
    s
}

#[cfg(test)]
mod tests {
    use super::super::super::draw::Purpose;
    use super::super::measure::{autocorrelation, median};
    use super::*;

    #[test]
    fn a_season_repeats_after_its_period() {
        for period in [24, 96, 168] {
            let repeats = (0..60).map(|index| {
                let y = season(&mut Draw::new(11, index, 0, Purpose::System), 2_048, period);
                autocorrelation(&y, period) - autocorrelation(&y, period / 2 + 1)
            });
            let repeat = median(repeats.collect());
            assert!(repeat > 0.3, "{period}: {repeat}");
        }
    }
}
