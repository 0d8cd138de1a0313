//! Machines: a motor or a mass on a spring, a control valve in a pumped line, a battery cell.
//! The mechanics come from the numpy prototype (`fam_mech`); valve and battery are textbook models
//! (equal-percentage trim against a line resistance; two RC pairs behind an open-circuit voltage).
//!
//! Always true: positions, flows and charge stay within physical bounds, so outputs are finite.

use std::f64::consts::TAU;

use super::draw::Draw;
use super::filters::{Backlash, dead_zone};
use super::run::{Row, Step, System};
use super::wear::Condition;

/// Bound of position and speed, far outside what a stable plant reaches.
const REACH: f64 = 50.0;

/// A motor's speed, or the position of a mass on a cubic spring, behind friction and slack.
#[derive(Clone, Debug)]
pub(super) struct Drive {
    /// The output is the speed of a first-order motor instead of a position.
    motor: bool,
    frequency: f64,
    damping: f64,
    cubic: f64,
    friction: f64,
    dead_zone: f64,
    backlash: Backlash,
    time_constant: f64,
    second_input: f64,
    /// The sensor sees the magnitude only.
    unsigned: bool,
    substeps: u32,
    position: f64,
    speed: f64,
}

impl Drive {
    /// A random drive with one or two inputs.
    pub(super) fn draw(draw: &mut Draw, signals: &mut Draw, inputs: usize, steps: usize) -> (Self, Vec<Row>) {
        let frequency = (TAU / draw.log_uniform(10.0, 300.0)).min(0.6);
        let damping = draw.uniform(0.03, 1.5);
        let mut some = |odds: f64, most: f64| {
            let (size, present) = (draw.uniform(0.0, most), draw.chance(odds));
            if present { size } else { 0.0 }
        };
        let (cubic, friction) = (some(0.5, 2.0), some(0.5, 0.5));
        let (dead_zone, slack) = (some(0.4, 0.8), some(0.2, 0.5));
        let mut drive = Self {
            motor: draw.chance(1.0 / 3.0),
            frequency,
            damping,
            cubic,
            friction,
            dead_zone,
            backlash: Backlash::new(slack),
            time_constant: draw.log_uniform(3.0, 100.0),
            second_input: draw.normal(),
            unsigned: draw.chance(0.15),
            substeps: if frequency > 0.2 { 4 } else { 2 },
            position: 0.0,
            speed: 0.0,
        };
        drive.restart(draw);
        let rows = (0..inputs.clamp(1, 2)).map(|_| Row::free(signals, steps));
        (drive, rows.collect())
    }

    fn acceleration(&self, force: f64) -> f64 {
        if self.motor {
            // Friction as a steep slope through zero, gentle enough for the step.
            let rub = self.friction * (20.0 * self.speed).clamp(-1.0, 1.0);
            return (force - self.speed - rub) / self.time_constant;
        }
        let square = self.frequency * self.frequency;
        let stretch = self.position.clamp(-3.0, 3.0);
        let rub = self.friction * (5.0 * self.speed / self.frequency).clamp(-1.0, 1.0);
        square * (force - self.position - self.cubic * stretch.powi(3) - rub)
            - 2.0 * self.damping * self.frequency * self.speed
    }
}

impl System for Drive {
    fn restart(&mut self, weather: &mut Draw) {
        self.position = 0.5 * weather.normal();
        self.speed = 0.0;
    }

    fn output(&self) -> f64 {
        let value = if self.motor { self.speed } else { self.position };
        if self.unsigned { value.abs() } else { value }
    }

    fn advance(&mut self, inputs: &Step, condition: Condition, _: &mut Draw) {
        let force = self.backlash.step(dead_zone(inputs[0], self.dead_zone)) + self.second_input * inputs[1];
        let step = condition.pace / f64::from(self.substeps);
        for _ in 0..self.substeps {
            let speed = self.speed + step * self.acceleration(force);
            self.speed = speed.clamp(-REACH, REACH);
            self.position = (self.position + step * self.speed).clamp(-REACH, REACH);
        }
    }
}

/// A control valve with equal-percentage trim in a line with a pump; measured is the flow, or the
/// level of a vessel that it fills.
#[derive(Clone, Debug)]
pub(super) struct ValveLine {
    /// Largest over smallest flow of the trim.
    range: f64,
    line_resistance: f64,
    actuator: f64,
    slack: Backlash,
    flow_lag: f64,
    /// Size of the vessel in steps of full flow; none where flow is measured.
    vessel: Option<f64>,
    stem: f64,
    flow: f64,
    level: f64,
    pumped: bool,
}

impl ValveLine {
    /// A random line: valve position (0 to 1), and from two inputs on the pump's speed (0 to 1.2).
    pub(super) fn draw(draw: &mut Draw, signals: &mut Draw, inputs: usize, steps: usize) -> (Self, Vec<Row>) {
        let slack = if draw.chance(0.4) { draw.uniform(0.0, 0.06) } else { 0.0 };
        let mut line = Self {
            range: draw.log_uniform(8.0, 60.0),
            line_resistance: draw.uniform(0.1, 3.0),
            actuator: 1.0 / draw.log_uniform(1.0, 20.0),
            slack: Backlash::new(slack),
            flow_lag: 1.0 / draw.log_uniform(1.0, 30.0),
            vessel: draw.chance(0.5).then(|| draw.log_uniform(10.0, 150.0)),
            stem: 0.5,
            flow: 0.0,
            level: 0.5,
            pumped: inputs > 1,
        };
        line.restart(draw);
        let swing = draw.uniform(0.1, 0.3);
        let middle = draw.uniform(0.35, 0.75);
        let mut rows = vec![Row::within(signals, steps, middle, swing, (0.0, 1.0))];
        if line.pumped {
            rows.push(Row::within(signals, steps, 0.8, 0.15, (0.0, 1.2)));
        }
        (line, rows)
    }
}

impl System for ValveLine {
    const LEAKS: bool = true;

    fn restart(&mut self, weather: &mut Draw) {
        self.stem = weather.uniform(0.1, 0.9);
        self.flow = weather.uniform(0.0, 0.8);
        self.level = weather.uniform(0.1, 1.5);
    }

    fn output(&self) -> f64 {
        if self.vessel.is_some() { self.level } else { self.flow }
    }

    fn advance(&mut self, inputs: &Step, condition: Condition, _: &mut Draw) {
        let command = inputs[0].clamp(0.0, 1.0);
        self.stem += (command - self.stem) * self.actuator * condition.pace;
        let opening = self.slack.step(self.stem).clamp(0.0, 1.0);
        let capacity = self.range.powf(opening - 1.0);
        let speed = if self.pumped { inputs[1].max(0.0) } else { 1.0 };
        // The pump's head is spent in the trim and in the line, both square in the flow.
        let wanted = speed / (1.0 / (capacity * capacity) + self.line_resistance).sqrt();
        self.flow += (wanted - self.flow) * self.flow_lag * condition.pace;
        if let Some(size) = self.vessel {
            let drained = 0.5 * self.level.sqrt() + 0.3 * condition.leak * self.level;
            let change = condition.pace * (self.flow - drained) / size;
            self.level = (self.level + change).clamp(0.0, 4.0);
        } else {
            self.flow *= 1.0 - 0.05 * condition.leak;
        }
    }
}

/// A battery cell: terminal voltage under a current, perhaps with its temperature as an input.
#[derive(Clone, Debug)]
pub(super) struct Cell {
    /// Steps that current 1 takes from full to empty.
    capacity: f64,
    resistance: f64,
    /// Fast and slow RC pair: resistance, share of the voltage kept per step.
    pairs: [(f64, f64); 2],
    cold: f64,
    charge: f64,
    over_voltage: [f64; 2],
    drop: f64,
}

impl Cell {
    /// A random cell: current (charging is positive) and from two inputs on its temperature.
    pub(super) fn draw(draw: &mut Draw, signals: &mut Draw, inputs: usize, steps: usize) -> (Self, Vec<Row>) {
        let mut pair = |low, high| {
            let keep = (-1.0 / draw.log_uniform(low, high)).exp();
            (draw.uniform(0.02, 0.12), keep)
        };
        let pairs = [pair(3.0, 20.0), pair(20.0, 200.0)];
        let mut cell = Self {
            capacity: draw.log_uniform(100.0, 800.0),
            resistance: draw.uniform(0.02, 0.15),
            pairs,
            cold: draw.uniform(0.1, 0.6),
            charge: 0.5,
            over_voltage: [0.0; 2],
            drop: 0.0,
        };
        cell.restart(draw);
        let mut rows = vec![Row::within(signals, steps, 0.0, 0.6, (-2.0, 2.0))];
        if inputs > 1 {
            let mut temperature = Row::free(signals, steps);
            temperature.controlled = false;
            rows.push(temperature);
        }
        (cell, rows)
    }
}

impl System for Cell {
    const LEAKS: bool = true;
    const SLOWS: bool = false;

    fn restart(&mut self, weather: &mut Draw) {
        self.charge = weather.uniform(0.1, 0.9);
        self.over_voltage = [0.0; 2];
        self.drop = 0.0;
    }

    fn output(&self) -> f64 {
        // A lithium-ion curve: a gentle slope, a knee when empty, a rise when full.
        let open =
            3.2 + 0.7 * self.charge - 0.5 * (-12.0 * self.charge).exp() + 0.2 * (12.0 * (self.charge - 1.0)).exp();
        open + self.over_voltage[0] + self.over_voltage[1] + self.drop
    }

    fn advance(&mut self, inputs: &Step, condition: Condition, _: &mut Draw) {
        let asked = inputs[0].clamp(-3.0, 3.0);
        // The protection circuit opens at both ends.
        let blocked = (asked > 0.0 && self.charge >= 1.0) || (asked < 0.0 && self.charge <= 0.0);
        let current = if blocked { 0.0 } else { asked };
        let lost = 0.2 * condition.leak * self.charge;
        self.charge = (self.charge + (current - lost) / self.capacity).clamp(0.0, 1.0);
        let stiff = (-self.cold * inputs[1].clamp(-3.0, 3.0)).exp();
        for (voltage, (resistance, keep)) in self.over_voltage.iter_mut().zip(self.pairs) {
            *voltage = keep * *voltage + (1.0 - keep) * resistance * stiff * current;
        }
        self.drop = self.resistance * stiff * current;
    }
}

#[cfg(test)]
mod tests {
    use super::super::draw::Purpose;
    use super::*;

    fn weather() -> Draw {
        Draw::new(24, 0, 0, Purpose::Weather)
    }

    fn spring() -> Drive {
        Drive {
            motor: false,
            frequency: 0.2,
            damping: 0.7,
            cubic: 0.0,
            friction: 0.0,
            dead_zone: 0.0,
            backlash: Backlash::new(0.0),
            time_constant: 20.0,
            second_input: 0.0,
            unsigned: false,
            substeps: 2,
            position: 0.0,
            speed: 0.0,
        }
    }

    fn settled<S: System>(mut system: S, input: f64) -> f64 {
        let step = [input, 0.0, 0.0, 0.0];
        (0..3_000).for_each(|_| system.advance(&step, Condition::NEW, &mut weather()));
        system.output()
    }

    #[test]
    fn a_straight_spring_follows_its_force_and_a_cubic_one_stiffens() {
        assert!((settled(spring(), 0.5) - 0.5).abs() < 1e-6);
        let cubic = |force| settled(Drive { cubic: 1.0, ..spring() }, force);
        // x + x^3 = force.
        assert!((cubic(2.0) - 1.0).abs() < 1e-3 && (cubic(10.0) - 2.0).abs() < 1e-3);
    }

    #[test]
    fn friction_holds_a_motor_that_is_pushed_too_little() {
        let motor = |force| settled(Drive { motor: true, friction: 0.4, ..spring() }, force);
        assert!(motor(0.3) < 0.05, "it creeps at most");
        assert!((motor(1.0) - 0.6).abs() < 1e-6);
    }

    #[test]
    fn a_dead_zone_and_slack_swallow_small_forces() {
        assert!(settled(Drive { dead_zone: 0.5, ..spring() }, 0.4).abs() < 1e-9);
        assert!(settled(Drive { backlash: Backlash::new(0.5), ..spring() }, 0.4).abs() < 1e-9);
    }

    #[test]
    fn equal_steps_of_the_valve_multiply_the_flow_equally() {
        let line = |resistance: f64, opening: f64| {
            let line = ValveLine {
                range: 50.0,
                line_resistance: resistance,
                actuator: 0.2,
                slack: Backlash::new(0.0),
                flow_lag: 0.2,
                vessel: None,
                stem: 0.5,
                flow: 0.0,
                level: 0.5,
                pumped: false,
            };
            settled(line, opening)
        };
        let ratio = |resistance, from: f64| line(resistance, from + 0.2) / line(resistance, from);
        assert!((ratio(0.0, 0.2) - 50.0_f64.powf(0.2)).abs() < 1e-3);
        assert!((ratio(0.0, 0.6) - ratio(0.0, 0.2)).abs() < 1e-3);
        // In a long line the open valve has no say any more.
        assert!(ratio(3.0, 0.8) < 0.75 * ratio(3.0, 0.2));
    }

    #[test]
    fn a_cell_drops_under_load_recovers_and_ends_when_empty() {
        let cell = Cell {
            capacity: 400.0,
            resistance: 0.1,
            pairs: [(0.05, 0.8), (0.05, 0.99)],
            cold: 0.3,
            charge: 0.6,
            over_voltage: [0.0; 2],
            drop: 0.0,
        };
        let rest = cell.output();
        let mut loaded = cell.clone();
        let mut run = |current: f64, steps: usize| {
            (0..steps).for_each(|_| loaded.advance(&[current, 0.0, 0.0, 0.0], Condition::NEW, &mut weather()));
            loaded.output()
        };
        let (first, later) = (run(-1.0, 1), run(-1.0, 40));
        assert!(first < rest - 0.09 && later < first - 0.02, "{rest} {first} {later}");
        let (at_once, rested) = (run(0.0, 1), run(0.0, 400));
        assert!(at_once > later + 0.09 && rested > at_once + 0.02);
        run(-1.0, 2_000);
        assert!(loaded.charge.abs() < 1e-9 && loaded.drop == 0.0, "the protection has opened");
    }
}
