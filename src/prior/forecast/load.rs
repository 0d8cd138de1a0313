//! Loads: a level that drifts, times a daily profile that depends on the kind of day, with days that
//! differ in size, noise that grows with the load, outages, a floor at zero, and counts.

use super::super::draw::Draw;
use super::super::signals::{coloured, moments, standardise};
use super::calendar::{Calendar, Day};
use super::{add, walk};

/// Share of loads that never go below zero because something else covers the rest.
const FLOORED: f64 = 0.12;
/// Share of loads that are small counts.
const COUNTED: f64 = 0.1;

/// A random load of one channel; `site` is what it shares with the other channels.
pub(super) fn load(draw: &mut Draw, calendar: &Calendar, site: &[f64]) -> Vec<f64> {
    let steps = site.len();
    let profiles = Profiles::draw(draw, calendar.day);
    let level = level(draw, calendar, site);
    let depth = depth(draw, calendar.day, steps);
    let (size, memory) = (draw.log_uniform(0.01, 0.4), draw.log_uniform(1.0, 48.0));
    let noise = coloured(draw, steps, memory);
    let mut y: Vec<f64> = (0..steps)
        .map(|t| {
            let profile = profiles.at(calendar, t);
            level[t] * (1.0 + depth[t] * (profile - 1.0)).max(0.0) * (1.0 + size * noise[t]).max(0.0)
        })
        .collect();
    if draw.chance(0.3) {
        let (_, spread) = moments(&y);
        let wander = walk(draw, steps);
        add(&mut y, &wander, spread * draw.log_uniform(0.1, 1.5));
    }
    if draw.chance(0.15) {
        interrupt(draw, &mut y);
    }
    if draw.chance(FLOORED) {
        let covered = draw.uniform(0.4, 1.0) * moments(&y).0;
        for v in &mut y {
            *v = (*v - covered).max(0.0);
        }
    }
    if draw.chance(COUNTED) {
        let unit = draw.log_uniform(2.0, 40.0) / moments(&y).0.abs().max(1e-3);
        for v in &mut y {
            *v = (*v * unit).round();
        }
    }
    y
}

/// One positive curve of mean about 1 over the day, for each kind of day.
struct Profiles {
    work: Vec<f64>,
    saturday: Vec<f64>,
    sunday: Vec<f64>,
}

impl Profiles {
    fn draw(draw: &mut Draw, day: usize) -> Self {
        let work = profile(draw, day);
        let other = profile(draw, day);
        let mut weekend = |most: f64| {
            let (share, size) = (draw.uniform(0.0, most), draw.uniform(0.4, 1.05));
            work.iter().zip(&other).map(|(w, o)| size * ((1.0 - share) * w + share * o)).collect()
        };
        let (saturday, sunday) = (weekend(0.6), weekend(1.0));
        Self { work, saturday, sunday }
    }

    fn at(&self, calendar: &Calendar, t: usize) -> f64 {
        let curve = match calendar.kind(t) {
            Day::Work => &self.work,
            Day::Saturday => &self.saturday,
            Day::Sunday => &self.sunday,
        };
        curve[calendar.step_of_day(t)]
    }
}

/// A base load with one to three bumps over the day.
fn profile(draw: &mut Draw, day: usize) -> Vec<f64> {
    let base = draw.uniform(0.1, 1.5);
    let bumps: Vec<(f64, f64, f64)> = (0..draw.whole(1, 4))
        .map(|_| (draw.uniform(0.0, 1.0), draw.log_uniform(1.0, 20.0), (0.5 * draw.normal()).exp()))
        .collect();
    let mut curve: Vec<f64> = (0..day)
        .map(|step| {
            let time = step as f64 / day as f64;
            let bump = |(at, sharpness, height): &(f64, f64, f64)| {
                height * (sharpness * ((std::f64::consts::TAU * (time - at)).cos() - 1.0)).exp()
            };
            base + bumps.iter().map(bump).sum::<f64>()
        })
        .collect();
    let (mean, _) = moments(&curve);
    curve.iter_mut().for_each(|v| *v /= mean);
    curve
}

/// The drifting size of everything: slow swings, growth, shifts, what the site shares, and days
/// that are larger than others.
fn level(draw: &mut Draw, calendar: &Calendar, site: &[f64]) -> Vec<f64> {
    let steps = site.len();
    let mut log = vec![0.0; steps];
    let memory = draw.log_uniform(100.0, 3_000.0);
    let slow = coloured(draw, steps, memory);
    add(&mut log, &slow, draw.log_uniform(0.01, 0.3));
    add(&mut log, site, draw.uniform(0.0, 0.25));
    if draw.chance(0.4) {
        let growth = 0.3 * draw.normal() / steps.max(1) as f64;
        log.iter_mut().enumerate().for_each(|(t, v)| *v += growth * t as f64);
    }
    if draw.chance(0.2) {
        let (from, shift) = (draw.whole(0, steps), 0.4 * draw.normal());
        log[from..].iter_mut().for_each(|v| *v += shift);
    }
    if draw.chance(0.5) {
        let size = draw.log_uniform(0.02, 0.25);
        let days: Vec<f64> = (0..=calendar.day_of(steps)).map(|_| size * draw.normal()).collect();
        log.iter_mut().enumerate().for_each(|(t, v)| *v += days[calendar.day_of(t)]);
    }
    log.into_iter().map(|v| v.clamp(-3.0, 3.0).exp()).collect()
}

/// How much of the profile shows: an amplitude that drifts over weeks.
fn depth(draw: &mut Draw, day: usize, steps: usize) -> Vec<f64> {
    let middle = draw.uniform(0.3, 1.2);
    let drift = if draw.chance(0.6) { draw.uniform(0.05, 0.5) } else { 0.0 };
    let memory = day as f64 * draw.log_uniform(2.0, 30.0);
    let wave = coloured(draw, steps, memory);
    wave.into_iter().map(|v| (middle * (1.0 + drift * v)).max(0.0)).collect()
}

/// Some stretches in which little or nothing is drawn.
fn interrupt(draw: &mut Draw, y: &mut [f64]) {
    for _ in 0..draw.whole(1, 6) {
        let (from, length) = (draw.whole(0, y.len()), draw.whole(2, 36));
        let left = draw.pick(&[0.0, 0.0, 0.3, 0.6]);
        y.iter_mut().skip(from).take(length).for_each(|v| *v *= left);
    }
}

/// Another channel of the same site, mean 0 and deviation 1.
pub(super) fn sibling(draw: &mut Draw, calendar: &Calendar, site: &[f64]) -> Vec<f64> {
    let mut y = load(draw, calendar, site);
    standardise(&mut y);
    y
}

#[cfg(test)]
mod tests {
    use super::super::super::draw::Purpose;
    use super::super::measure::{autocorrelation, median};
    use super::*;

    const STEPS: usize = 2_048;

    fn series(index: u64) -> (Calendar, Vec<f64>, Draw) {
        let mut draw = Draw::new(2, index, 0, Purpose::System);
        let calendar = Calendar::draw(&mut draw, STEPS);
        let site = coloured(&mut draw, STEPS, 50.0);
        let y = load(&mut draw, &calendar, &site);
        (calendar, y, draw)
    }

    #[test]
    fn a_load_repeats_after_a_day_better_than_after_half_a_day() {
        let gaps = (0..80).map(|index| {
            let (calendar, y, _) = series(index);
            autocorrelation(&y, calendar.day) - autocorrelation(&y, calendar.day / 2)
        });
        let gap = median(gaps.collect());
        assert!(gap > 0.2, "{gap}");
    }

    #[test]
    fn sundays_differ_from_working_days() {
        let mut draw = Draw::new(3, 0, 0, Purpose::System);
        let lower = (0..60).filter(|_| {
            let profiles = Profiles::draw(&mut draw, 24);
            moments(&profiles.sunday).0 < moments(&profiles.work).0
        });
        assert!(lower.count() > 45, "fewer work on Sundays");
    }

    #[test]
    fn a_level_is_positive_and_a_profile_averages_to_one() {
        let mut draw = Draw::new(4, 0, 0, Purpose::System);
        let calendar = Calendar::draw(&mut draw, STEPS);
        let profiles = Profiles::draw(&mut draw, calendar.day);
        let site = vec![0.0; STEPS];
        let level = level(&mut draw, &calendar, &site);
        assert!(level.iter().all(|v| *v > 0.0));
        let mean = moments(&profiles.work).0;
        assert!((mean - 1.0).abs() < 1e-9 && profiles.work.iter().all(|v| *v > 0.0));
    }

    #[test]
    fn some_loads_rest_at_their_floor_and_some_are_whole_numbers() {
        let (mut floored, mut counted) = (0, 0);
        for index in 0..200 {
            let (_, y, _) = series(index);
            let low = y.iter().copied().fold(f64::MAX, f64::min);
            let resting = y.iter().filter(|v| **v <= low + 1e-12).count();
            floored += usize::from(resting > STEPS / 20);
            counted += usize::from(y.iter().all(|v| v.fract() == 0.0));
        }
        assert!(floored > 10, "{floored} of 200");
        assert!((8..40).contains(&counted), "{counted} of 200");
    }

    #[test]
    fn channels_of_one_site_move_together() {
        let shared = (0..60).map(|index| {
            let mut draw = Draw::new(5, index, 0, Purpose::System);
            let calendar = Calendar::draw(&mut draw, STEPS);
            let site = coloured(&mut draw, STEPS, 400.0);
            let (one, two) = (level(&mut draw, &calendar, &site), level(&mut draw, &calendar, &site));
            let ((a, s), (b, r)) = (moments(&one), moments(&two));
            one.iter().zip(&two).map(|(x, y)| (x - a) * (y - b)).sum::<f64>() / STEPS as f64 / (s * r)
        });
        let shared = median(shared.collect());
        assert!(shared > 0.1, "{shared}");
    }
}
