//! The plant of the demo: a pump fills a column, which drains into a second one with a valve at its
//! outlet and a heated jacket; ambient temperature disturbs, the valve fouls and is cleaned, the
//! second column leaks now and then, sensors are noisy and drop out.
//!
//! Always true: the same seed and the same controls give the same samples; levels stay within the
//! columns; one step is one plant-minute. Two copies that get different controls see the same
//! weather, the same leaks and the same sensor noise.

use std::f64::consts::TAU;

use super::draw::{Draw, Purpose};

/// Plant-minutes per step.
pub const STEP_MINUTES: f64 = 1.0;
/// Where the columns overflow, in m.
pub const TANK_HEIGHT: f64 = 4.0;
/// Full power of the heater, in kW.
pub const HEATER_LIMIT: f64 = 6.0;

/// Integration steps per plant-minute.
const SUBSTEPS: u32 = 4;
/// Cross-section of a column in m2: slim, so that litres per minute move metres.
const AREA: f64 = 0.03;
/// Rise of the first level at full pump, in m/min (9.6 l/min).
const PUMP_RATE: f64 = 0.32;
/// Outflow of the first column in m/min at a level of 1 m: 20 minutes of time constant at 1.5 m.
const FIRST_OUTLET: f64 = 0.13;
/// Outflow of the second one in m/min at 1 m with a clean, fully open valve.
const SECOND_OUTLET: f64 = 0.355;
/// Rangeability of the valve's trim; 0 is still fully closed.
const TRIM_RANGE: f64 = 3.0;
/// Heat that 1 m of a column takes per kelvin, in kJ/K (water).
const HEAT_PER_METRE: f64 = 4_186.0 * AREA;
/// The jacket's heat capacity in metres of column: with it the temperature takes some 50 minutes.
const JACKET: f64 = 6.0;
/// Heat lost to the room, in m/min of column water (as a flow that leaves warm and comes in ambient).
const HEAT_LOSS: f64 = 0.02;
/// Minutes in a day of the ambient temperature.
const DAY: f64 = 1_440.0;
/// Share of the valve's capacity that fouling takes before somebody cleans it.
const CLEANED_AT: f64 = 0.25;
/// Mean fouling per minute: cleaning is due after about four days.
const FOULING: f64 = CLEANED_AT / (4.0 * DAY);
/// Minutes without a leak between two leaks, at least and at most: about one a day.
const TIGHT_FOR: (usize, usize) = (600, 2_200);
/// Sensor noise: levels in m, temperature in Cel.
const LEVEL_NOISE: f64 = 0.012;
const TEMPERATURE_NOISE: f64 = 0.08;
/// Odds per minute and sensor that it drops out, and that it comes back.
const DROP_OUT_ODDS: f64 = 0.003;
const RETURN_ODDS: f64 = 0.35;

/// What an operator can set. Values outside the limits are clamped.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Controls {
    /// Pump speed, 0 to 1.
    pub pump: f64,
    /// Valve opening, 0 (closed) to 1.
    pub valve: f64,
    /// Heater power, 0 to [`HEATER_LIMIT`] kW.
    pub heater: f64,
}

/// What the plant says after a step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sample {
    /// Level of the first column in m; None while the sensor is out.
    pub level_1: Option<f64>,
    /// Level of the second column in m.
    pub level_2: Option<f64>,
    /// Temperature of the second column in Cel.
    pub temperature: Option<f64>,
    /// Ambient temperature in Cel.
    pub ambient: f64,
    /// Pump speed that was applied in this step.
    pub pump: f64,
    /// Valve opening that was applied.
    pub valve: f64,
    /// Heater power that was applied, in kW.
    pub heater: f64,
    /// Truth, not a signal: the second column was leaking.
    pub leak: bool,
    /// Truth, not a signal: share of the valve's capacity lost to fouling.
    pub fouling: f64,
}

/// The plant with its state.
#[derive(Clone, Debug)]
pub struct Plant {
    draw: Draw,
    minute: u64,
    levels: [f64; 2],
    temperature: f64,
    /// Slow weather on top of the daily wave, in Cel.
    front: f64,
    fouling: f64,
    /// Size of a leak in m/min at 1 m, and its remaining minutes.
    leak: (f64, u32),
    /// Minutes until the next leak opens.
    tight_for: u32,
    out: [bool; 3],
}

impl Plant {
    /// A plant in its usual state of operation.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let mut draw = Draw::new(seed, 0, 0, Purpose::Demo);
        Self {
            minute: draw.whole(0, DAY as usize) as u64,
            levels: [1.5, 1.5],
            temperature: 24.0,
            front: 1.5 * draw.normal(),
            fouling: draw.uniform(0.0, 0.4 * CLEANED_AT),
            leak: (0.0, 0),
            tight_for: draw.whole(TIGHT_FOR.0, TIGHT_FOR.1) as u32,
            out: [false; 3],
            draw,
        }
    }

    /// Advances by [`STEP_MINUTES`] under these controls and reads the sensors.
    pub fn step(&mut self, controls: &Controls) -> Sample {
        let controls = controls.within_limits();
        self.weather();
        let ambient = self.ambient();
        let minutes = STEP_MINUTES / f64::from(SUBSTEPS);
        for _ in 0..SUBSTEPS {
            self.flow(&controls, ambient, minutes);
        }
        self.minute += 1;
        let truth = [self.levels[0], self.levels[1], self.temperature];
        let noise = [LEVEL_NOISE, LEVEL_NOISE, TEMPERATURE_NOISE];
        let mut seen = [None; 3];
        for (k, reading) in seen.iter_mut().enumerate() {
            let odds = if self.out[k] { RETURN_ODDS } else { DROP_OUT_ODDS };
            self.out[k] ^= self.draw.chance(odds);
            let value = truth[k] + noise[k] * self.draw.normal();
            if !self.out[k] {
                *reading = Some(value);
            }
        }
        Sample {
            level_1: seen[0],
            level_2: seen[1],
            temperature: seen[2],
            ambient: ambient + 0.05 * self.draw.normal(),
            pump: controls.pump,
            valve: controls.valve,
            heater: controls.heater,
            leak: self.leak.1 > 0,
            fouling: self.fouling,
        }
    }

    /// Opens a leak for some minutes, so that a demo need not wait for one.
    pub fn spring_a_leak(&mut self, minutes: u32) {
        self.leak = (0.06, minutes);
    }

    /// Fouling, leaks and the slow part of the ambient temperature. Draws the same count of random
    /// numbers in every step, so that copies of a plant stay comparable.
    fn weather(&mut self) {
        let kick = self.draw.normal();
        self.front = 0.998 * self.front + 0.1 * kick;
        let growth = self.draw.uniform(0.0, 2.0);
        self.fouling += FOULING * growth;
        if self.fouling > CLEANED_AT {
            self.fouling = 0.0;
        }
        let size = self.draw.uniform(0.035, 0.07);
        let minutes = self.draw.whole(45, 180) as u32;
        let pause = self.draw.whole(TIGHT_FOR.0, TIGHT_FOR.1) as u32;
        if self.leak.1 > 0 {
            self.leak.1 -= 1;
        } else if self.tight_for > 0 {
            self.tight_for -= 1;
        } else {
            self.leak = (size, minutes);
            self.tight_for = pause;
        }
    }

    fn ambient(&self) -> f64 {
        // Coldest at four in the morning.
        let turn = (self.minute as f64 - 600.0) / DAY;
        18.0 + 4.0 * (TAU * turn).sin() + self.front
    }

    fn flow(&mut self, controls: &Controls, ambient: f64, minutes: f64) {
        let [first, second] = self.levels;
        let opening = (TRIM_RANGE.powf(controls.valve) - 1.0) / (TRIM_RANGE - 1.0);
        let capacity = SECOND_OUTLET * opening * (1.0 - self.fouling);
        let leak = if self.leak.1 > 0 { self.leak.0 } else { 0.0 };
        let between = FIRST_OUTLET * first.sqrt();
        let leaving = (capacity + leak) * second.sqrt();
        let change = [PUMP_RATE * controls.pump - between, between - leaving];
        for (level, change) in self.levels.iter_mut().zip(change) {
            *level = (*level + minutes * change).clamp(0.0, TANK_HEIGHT);
        }
        // Water arrives from a cellar that follows the weather a little.
        let arriving = 12.0 + 0.3 * (ambient - 12.0);
        let heating = controls.heater * 60.0 / HEAT_PER_METRE;
        let gain = between * (arriving - self.temperature) + HEAT_LOSS * (ambient - self.temperature) + heating;
        self.temperature += minutes * gain / (second + JACKET);
    }
}

impl Controls {
    fn within_limits(self) -> Self {
        let clamp = |v: f64, high: f64| if v.is_nan() { 0.0 } else { v.clamp(0.0, high) };
        Self { pump: clamp(self.pump, 1.0), valve: clamp(self.valve, 1.0), heater: clamp(self.heater, HEATER_LIMIT) }
    }
}

#[cfg(test)]
mod tests {
    use super::super::operator::Operator;
    use super::*;

    const USUAL: Controls = Controls { pump: 0.5, valve: 0.5, heater: 3.0 };

    /// A plant that ran `steps` minutes under the usual controls.
    fn settled(seed: u64, steps: usize) -> Plant {
        let mut plant = Plant::new(seed);
        for _ in 0..steps {
            plant.step(&USUAL);
        }
        plant
    }

    fn run(mut plant: Plant, controls: Controls, steps: usize) -> Plant {
        for _ in 0..steps {
            plant.step(&controls);
        }
        plant
    }

    #[test]
    fn the_usual_state_is_a_sensible_one() {
        for seed in 0..10 {
            let plant = settled(seed, 400);
            assert!((0.5..3.0).contains(&plant.levels[0]), "{plant:?}");
            assert!((0.3..3.2).contains(&plant.levels[1]), "{plant:?}");
            assert!((15.0..35.0).contains(&plant.temperature), "{plant:?}");
        }
    }

    #[test]
    fn closing_the_valve_raises_the_second_level() {
        for seed in 0..10 {
            let before = settled(seed, 300);
            let kept = run(before.clone(), USUAL, 60);
            let controls = Controls { valve: 0.4, ..USUAL };
            let early = run(before.clone(), controls, 15).levels[1];
            assert!(early > run(before.clone(), USUAL, 15).levels[1] + 0.15);
            let closed = run(before, controls, 60);
            assert!(closed.levels[1] > kept.levels[1] + 0.35, "seed {seed}");
            assert!((closed.levels[0] - kept.levels[0]).abs() < 1e-12);
        }
    }

    #[test]
    fn more_pump_raises_both_levels_and_cools() {
        let before = settled(4, 300);
        let kept = run(before.clone(), USUAL, 80);
        let more = run(before, Controls { pump: 0.6, ..USUAL }, 80);
        assert!(more.levels[0] > kept.levels[0] + 0.3);
        assert!(more.levels[1] > kept.levels[1] + 0.2);
        assert!(more.temperature < kept.temperature - 0.5);
    }

    #[test]
    fn the_temperature_answers_the_heater_within_the_hour() {
        let before = settled(5, 400);
        let hot = Controls { heater: 4.0, ..USUAL };
        let effect =
            |steps| run(before.clone(), hot, steps).temperature - run(before.clone(), USUAL, steps).temperature;
        let share = effect(50) / effect(600);
        assert!((0.5..0.8).contains(&share), "{share}");
        assert!(effect(600) > 1.5);
    }

    #[test]
    fn an_operated_plant_stays_in_range_and_excites_every_input() {
        for seed in 0..4 {
            let (mut plant, mut operator) = (Plant::new(seed), Operator::new(seed));
            let mut sample = plant.step(&USUAL);
            let mut seen = Vec::new();
            for _ in 0..5_000 {
                let controls = operator.next(&sample);
                sample = plant.step(&controls);
                seen.push(sample);
            }
            let share = |test: fn(&Sample) -> bool| seen.iter().filter(|s| test(s)).count() as f64 / seen.len() as f64;
            assert!(share(|s| s.level_1.is_none_or(|v| (0.4..3.3).contains(&v))) > 0.95);
            assert!(share(|s| s.level_2.is_none_or(|v| (0.4..3.3).contains(&v))) > 0.90);
            assert!((0.002..0.03).contains(&share(|s| s.level_2.is_none())));
            assert!((0.005..0.3).contains(&share(|s| s.leak)));
            for input in [|s: &Sample| s.pump, |s: &Sample| s.valve, |s: &Sample| s.heater / HEATER_LIMIT] {
                let values: Vec<f64> = seen.iter().map(input).collect();
                let (_, deviation) = super::super::signals::moments(&values);
                assert!(deviation > 0.03, "seed {seed}: {deviation}");
            }
        }
    }

    #[test]
    fn the_same_seed_and_controls_give_the_same_samples() {
        let (mut one, mut two) = (Plant::new(9), Plant::new(9));
        for _ in 0..200 {
            assert_eq!(one.step(&USUAL), two.step(&USUAL));
        }
    }
}
