//! A plausible operator of the demo plant: moves pump and valve in steps and ramps, keeps the levels
//! out of trouble, and leaves the heater to a thermostat with dither.
//!
//! Always true: every control input moves by itself now and then, so that its effect can be learned
//! from the history; controls stay within their limits.

use super::draw::{Draw, Purpose};
use super::plant::{Controls, HEATER_LIMIT, Sample};

/// Levels beyond which the operator turns the valve at once, in m.
const TOO_HIGH: f64 = 3.1;
const TOO_LOW: f64 = 0.55;
/// Heater power per kelvin of error, in kW/K, and around which the thermostat works.
const HEATER_GAIN: f64 = 0.8;
const HEATER_BIAS: f64 = 3.2;

/// A value that is held, and moved to its next set-point in a step or a ramp.
#[derive(Clone, Copy, Debug)]
struct Mover {
    value: f64,
    target: f64,
    slope: f64,
    hold: usize,
}

impl Mover {
    fn at(value: f64) -> Self {
        Self { value, target: value, slope: 0.0, hold: 0 }
    }

    /// Sets a target that is reached in `steps` steps, and holds it for `hold` more.
    fn go(&mut self, target: f64, steps: usize, hold: usize) {
        self.target = target;
        self.slope = (target - self.value).abs() / steps.max(1) as f64;
        self.hold = steps + hold;
    }

    fn step(&mut self) -> f64 {
        self.hold = self.hold.saturating_sub(1);
        let left = self.target - self.value;
        self.value += left.clamp(-self.slope, self.slope);
        self.value
    }
}

/// The operator with everything he has in mind.
#[derive(Clone, Debug)]
pub struct Operator {
    draw: Draw,
    pump: Mover,
    valve: Mover,
    wanted: Mover,
    dither: Mover,
    temperature: f64,
}

impl Operator {
    /// An operator at the start of a shift.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self {
            draw: Draw::new(seed, 1, 0, Purpose::Demo),
            pump: Mover::at(0.5),
            valve: Mover::at(0.5),
            wanted: Mover::at(24.0),
            dither: Mover::at(0.0),
            temperature: 24.0,
        }
    }

    /// The controls of the next step, having seen the last sample.
    pub fn next(&mut self, last: &Sample) -> Controls {
        let draw = &mut self.draw;
        if self.pump.hold == 0 {
            let (steps, hold) = (pace(draw), draw.whole(25, 120));
            self.pump.go(draw.uniform(0.38, 0.62), steps, hold);
        }
        if self.valve.hold == 0 {
            // Around what the pump needs for a medium level, so that both move but not against each other.
            let (steps, hold) = (pace(draw), draw.whole(25, 120));
            let level = draw.uniform(0.8, 2.1);
            self.valve.go(balance(self.pump.target, level), steps, hold);
        }
        if let Some(level) = last.level_2 {
            let valve = self.valve.value;
            if level > TOO_HIGH && self.valve.target < valve + 0.02 {
                self.valve.go((valve + 0.12).min(1.0), 3, 20);
            } else if level < TOO_LOW && self.valve.target > valve - 0.02 {
                self.valve.go((valve - 0.12).max(0.15), 3, 20);
            }
        }
        if self.wanted.hold == 0 {
            let hold = draw.whole(180, 480);
            self.wanted.go(draw.uniform(20.0, 27.0), 10, hold);
        }
        if self.dither.hold == 0 {
            let hold = draw.whole(4, 20);
            self.dither.go(draw.uniform(-1.0, 1.0), 1, hold);
        }
        self.temperature = last.temperature.unwrap_or(self.temperature);
        let error = self.wanted.step() - self.temperature;
        let heater = HEATER_BIAS + HEATER_GAIN * error + self.dither.step();
        Controls { pump: self.pump.step(), valve: self.valve.step(), heater: heater.clamp(0.0, HEATER_LIMIT) }
    }
}

/// Steps of the next move: half are steps, half are ramps.
fn pace(draw: &mut Draw) -> usize {
    if draw.chance(0.5) { 1 } else { draw.whole(8, 30) }
}

/// The valve opening that an experienced operator turns to for a level of the second column, in m;
/// a rule of thumb, not the plant's own formula.
fn balance(pump: f64, level: f64) -> f64 {
    (0.5 + 1.0 * (pump - 0.5) - 0.21 * (level - 1.5)).clamp(0.2, 0.9)
}
