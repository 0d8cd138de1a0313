//! The demo plant: a pump, two tanks in series with a valve at the outlet, and a heater.
//!
//! One step is one plant minute. Levels follow Torricelli's law, so gain and time constant depend
//! on the level; the outlet valve slowly fouls and is cleaned now and then; tank 1 leaks at times;
//! sensors are noisy and drop out.

use std::f64::consts::TAU;

use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use super::signals::normal;

/// Area of each tank, m2.
const AREA: f64 = 0.1;
/// Flow of the pump at full speed, m3/min.
const PUMP: f64 = 0.03;
/// Flow between the tanks at 1 m, m3/min.
const PIPE: f64 = 0.0147;
/// Flow through the open, clean outlet valve at 1 m, m3/min.
const VALVE: f64 = 0.0245;
/// Where the tanks overflow, m.
const HEIGHT: f64 = 4.0;
/// Heat capacity of a cubic metre of water, kJ/K.
const WATER: f64 = 4_186.0;
/// Loss of tank 2 to its surroundings, kJ/(min K).
const LOSS: f64 = 3.0;
/// The heater's own time constant, min.
const HEATER_LAG: f64 = 20.0;
/// Minutes between two cleanings of the valve.
const CLEANED_EVERY: u32 = 20_000;
/// Share of its flow that the valve has lost just before a cleaning.
const FOULED: f64 = 0.25;
/// Chance of a leak to begin in a minute.
const LEAK: f64 = 1.0 / 4_000.0;
/// Flow of a leak at 1 m, m3/min.
const LEAK_FLOW: f64 = 0.004;

/// What can be set.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Controls {
    /// Speed, 0 to 1.
    pub pump: f64,
    /// Opening, 0 to 1.
    pub valve: f64,
    /// Power, 0 to 6 kW.
    pub heater: f64,
}

/// What the sensors say after a step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sample {
    /// Level of tank 1, m; none when the sensor dropped out.
    pub level_1: Option<f64>,
    /// Level of tank 2, m.
    pub level_2: Option<f64>,
    /// Temperature of tank 2, Cel.
    pub temperature: Option<f64>,
    /// Temperature of the surroundings, Cel.
    pub ambient: f64,
    /// The controls that acted.
    pub controls: Controls,
    /// Whether tank 1 leaks: the truth, which no sensor shows.
    pub leak: bool,
}

/// The plant, stepped minute by minute.
#[derive(Clone, Debug)]
pub struct Plant {
    draw: ChaCha8Rng,
    minute: u32,
    level: [f64; 2],
    temperature: f64,
    heat: f64,
    weather: f64,
    leak_left: u32,
    silent: [u32; 3],
}

impl Plant {
    /// A plant in the middle of its range.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self {
            draw: ChaCha8Rng::seed_from_u64(seed),
            minute: 0,
            level: [1.4, 1.5],
            temperature: 18.0,
            heat: 2.0,
            weather: 0.0,
            leak_left: 0,
            silent: [0; 3],
        }
    }

    /// Moves one minute under the controls, which are brought within their ranges.
    pub fn step(&mut self, controls: &Controls) -> Sample {
        let controls = Controls {
            pump: controls.pump.clamp(0.0, 1.0),
            valve: controls.valve.clamp(0.0, 1.0),
            heater: controls.heater.clamp(0.0, 6.0),
        };
        self.minute += 1;
        self.weather = 0.995 * self.weather + 0.1 * normal(&mut self.draw);
        let ambient = 15.0 + 6.0 * (TAU * f64::from(self.minute) / 1_440.0).sin() + self.weather;
        if self.leak_left > 0 {
            self.leak_left -= 1;
        } else if self.draw.random_bool(LEAK) {
            self.leak_left = self.draw.random_range(60..180);
        }
        self.flow(controls, ambient);
        let leak = self.leak_left > 0;
        let [level_1, level_2] = self.level;
        let temperature = self.temperature;
        Sample {
            level_1: self.sense(0, level_1, 0.008),
            level_2: self.sense(1, level_2, 0.008),
            temperature: self.sense(2, temperature, 0.05),
            ambient: ambient + 0.05 * normal(&mut self.draw),
            controls,
            leak,
        }
    }

    /// Water and heat, in four small steps a minute.
    fn flow(&mut self, controls: Controls, ambient: f64) {
        const PARTS: f64 = 4.0;
        let clean = 1.0 - FOULED * f64::from(self.minute % CLEANED_EVERY) / f64::from(CLEANED_EVERY);
        let leak = if self.leak_left > 0 { LEAK_FLOW } else { 0.0 };
        let supply = 12.0 + 0.3 * (ambient - 15.0);
        for _ in 0..4 {
            let between = PIPE * self.level[0].sqrt();
            let out = VALVE * clean * controls.valve * self.level[1].sqrt();
            let lost = leak * self.level[0].sqrt();
            let volume = (AREA * self.level[1]).max(0.005);
            self.level[0] = (self.level[0] + (PUMP * controls.pump - between - lost) / AREA / PARTS).clamp(0.0, HEIGHT);
            self.level[1] = (self.level[1] + (between - out) / AREA / PARTS).clamp(0.0, HEIGHT);
            self.heat += (controls.heater - self.heat) / HEATER_LAG / PARTS;
            let mixing = between / volume * (supply - self.temperature);
            let heating = (self.heat * 60.0 - LOSS * (self.temperature - ambient)) / (WATER * volume);
            self.temperature += (mixing + heating) / PARTS;
        }
    }

    /// A noisy sensor that misses a reading now and then, and at times several in a row.
    fn sense(&mut self, sensor: usize, value: f64, noise: f64) -> Option<f64> {
        let shown = value + noise * normal(&mut self.draw);
        if self.silent[sensor] == 0 && self.draw.random_bool(0.002) {
            self.silent[sensor] = if self.draw.random_bool(0.2) { self.draw.random_range(3..9) } else { 1 };
        }
        if self.silent[sensor] > 0 {
            self.silent[sensor] -= 1;
            return None;
        }
        Some((shown * 1e4).round() / 1e4)
    }
}

/// Someone who runs the plant: changes pump and valve every so often, keeps it warm.
#[derive(Clone, Debug)]
pub struct Operator {
    draw: ChaCha8Rng,
    goal: [f64; 2],
    wait: [u32; 2],
    dither: f64,
    dither_left: u32,
    controls: Controls,
}

impl Operator {
    /// An operator with habits of their own.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self {
            draw: ChaCha8Rng::seed_from_u64(seed ^ 0x0bad_cafe),
            goal: [0.6, 0.6],
            wait: [30, 75],
            dither: 0.0,
            dither_left: 0,
            controls: Controls { pump: 0.6, valve: 0.6, heater: 3.0 },
        }
    }

    /// What they do after having seen the last sample.
    pub fn next(&mut self, last: &Sample) -> Controls {
        for which in 0..2 {
            if self.wait[which] > 0 {
                self.wait[which] -= 1;
                continue;
            }
            self.wait[which] = self.draw.random_range(25..120);
            self.goal[which] = (self.draw.random_range(0.35..0.85_f64) * 100.0).round() / 100.0;
        }
        // Nobody lets a tank run over: an open valve and a slow pump when it is nearly full.
        if last.level_2.is_some_and(|level| level > 3.3) {
            self.goal = [0.4, 0.8];
        }
        if self.dither_left == 0 {
            self.dither_left = self.draw.random_range(30..90);
            self.dither = self.draw.random_range(-1.5..1.5);
        }
        self.dither_left -= 1;
        let towards = |now: f64, goal: f64| now + (goal - now).clamp(-0.05, 0.05);
        let warm = last.temperature.map_or(self.controls.heater, |value| 3.0 + 1.2 * (18.0 - value) + self.dither);
        let towards_warm = self.controls.heater + (warm - self.controls.heater).clamp(-0.5, 0.5);
        self.controls = Controls {
            pump: towards(self.controls.pump, self.goal[0]),
            valve: towards(self.controls.valve, self.goal[1]),
            heater: (towards_warm.clamp(0.0, 6.0) * 100.0).round() / 100.0,
        };
        self.controls
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(minutes: usize, seed: u64) -> Vec<Sample> {
        let (mut plant, mut operator) = (Plant::new(seed), Operator::new(seed));
        let mut controls = Controls { pump: 0.6, valve: 0.6, heater: 3.0 };
        (0..minutes)
            .map(|_| {
                let sample = plant.step(&controls);
                controls = operator.next(&sample);
                sample
            })
            .collect()
    }

    #[test]
    fn the_same_seed_is_the_same_day() {
        assert_eq!(run(500, 4), run(500, 4));
        assert_ne!(run(500, 4), run(500, 5));
    }

    #[test]
    fn it_stays_within_its_tanks_and_moves() {
        let samples = run(5_000, 1);
        let levels: Vec<f64> = samples.iter().filter_map(|sample| sample.level_2).collect();
        assert!(levels.len() > 4_800);
        assert!(levels.iter().all(|level| (-0.1..4.1).contains(level)));
        let (low, high) = levels.iter().fold((f64::MAX, f64::MIN), |(low, high), v| (low.min(*v), high.max(*v)));
        assert!(high - low > 1.0, "{low} to {high}");
        assert!(samples.iter().any(|sample| sample.leak));
    }

    #[test]
    fn closing_the_valve_raises_the_second_level() {
        let mut open = Plant::new(2);
        let controls = Controls { pump: 0.6, valve: 0.6, heater: 3.0 };
        for _ in 0..200 {
            open.step(&controls);
        }
        let mut closed = open.clone();
        let shut = Controls { valve: 0.35, ..controls };
        for _ in 0..60 {
            open.step(&controls);
            closed.step(&shut);
        }
        assert!(closed.level[1] > open.level[1] + 0.5, "{} and {}", closed.level[1], open.level[1]);
    }
}
