//! Process plants: tanks in series, a heated zone, a heat exchanger. Equations and ranges come from
//! the numpy prototype (`fam_tank`, `fam_therm`, `fam_bilin`), in scaled units.
//!
//! Always true: levels stay within their tanks, and every balance is stepped small enough to be stable.

use super::draw::Draw;
use super::run::{Row, Step, System};
use super::signals::{add_tone, signal, standardise};
use super::wear::Condition;

/// Most tanks or exchanger cells in series.
const CELLS: usize = 3;

/// One to three tanks with square-root outflow, a pump into the first, perhaps a valve, perhaps
/// overflow into the next one, perhaps a leak from the start.
#[derive(Clone, Debug)]
pub(super) struct Tanks {
    outflow: [f64; CELLS],
    inflow: f64,
    height: [f64; CELLS],
    /// Share of an overflow that reaches the next tank.
    overflow: f64,
    leak: f64,
    /// The tank whose outlet the second input throttles.
    valve: Option<usize>,
    measured: usize,
    sensor_limit: f64,
    level: [f64; CELLS],
}

impl Tanks {
    /// Random tanks with their pump (first row) and, from two inputs on, a valve.
    pub(super) fn draw(draw: &mut Draw, signals: &mut Draw, inputs: usize, steps: usize) -> (Self, Vec<Row>) {
        let base = draw.log_uniform(8.0, 120.0);
        let outflow: [f64; CELLS] = std::array::from_fn(|_| (0.4 * draw.normal()).exp() / base * 2.0);
        let overflow = draw.uniform(0.0, 1.0);
        let measured = draw.whole(0, CELLS);
        let height: [f64; CELLS] = std::array::from_fn(|_| draw.uniform(1.2, 4.0));
        let leaks = draw.chance(0.3);
        let mut tanks = Self {
            outflow,
            inflow: outflow[0] * draw.uniform(0.7, 1.3),
            height,
            overflow,
            leak: if leaks { draw.uniform(0.0, 0.2) } else { 0.0 },
            valve: (inputs > 1).then(|| if draw.chance(0.5) { 0 } else { measured }),
            measured,
            sensor_limit: if overflow > 0.5 { height[measured] } else { 9.0 },
            level: [0.0; CELLS],
        };
        tanks.restart(draw);
        let (middle, swing) = (draw.uniform(0.6, 1.5), draw.uniform(0.3, 1.2));
        let mut rows = vec![Row::within(signals, steps, middle, swing * middle, (0.0, 6.0))];
        if tanks.valve.is_some() {
            rows.push(Row::free(signals, steps));
        }
        (tanks, rows)
    }
}

impl System for Tanks {
    const LEAKS: bool = true;

    fn restart(&mut self, weather: &mut Draw) {
        self.level = std::array::from_fn(|_| weather.uniform(0.0, 1.5));
    }

    fn output(&self) -> f64 {
        self.level[self.measured].min(self.sensor_limit)
    }

    fn advance(&mut self, inputs: &Step, condition: Condition, _: &mut Draw) {
        let opening = 1.0 / (1.0 + (-inputs[1]).exp());
        let mut arriving = (self.inflow * inputs[0].max(0.0)).min(5.0);
        let leak = self.leak + condition.leak;
        for cell in 0..=self.measured {
            let throttle = if self.valve == Some(cell) { opening } else { 1.0 };
            // Implicit in the level, a quadratic in its root: then a fast tank can neither run below
            // empty nor overshoot, and more inflow never means less level.
            let outflow = self.outflow[cell];
            let (a, b) = (1.0 + condition.pace * leak * outflow, condition.pace * outflow * throttle);
            let content = self.level[cell] + condition.pace * arriving;
            let root = ((b * b + 4.0 * a * content).sqrt() - b) / (2.0 * a);
            let (flow, next) = (outflow * throttle * root, root * root);
            let spilled = (next - self.height[cell]).max(0.0);
            self.level[cell] = next.clamp(0.0, self.height[cell]);
            arriving = flow + spilled * self.overflow;
        }
    }
}

/// A heated zone with air and walls (2R2C): heater, ambient temperature, perhaps occupancy.
#[derive(Clone, Debug)]
pub(super) struct Zone {
    air_capacity: f64,
    wall_capacity: f64,
    wall_coupling: f64,
    ambient_coupling: f64,
    heater: f64,
    occupancy: f64,
    air: f64,
    wall: f64,
}

impl Zone {
    /// A random zone; its rows are the heater, the ambient temperature and perhaps occupancy.
    pub(super) fn draw(draw: &mut Draw, signals: &mut Draw, inputs: usize, steps: usize) -> (Self, Vec<Row>) {
        let air_capacity = draw.log_uniform(2.0, 40.0);
        let mut zone = Self {
            air_capacity,
            wall_capacity: air_capacity * draw.log_uniform(2.0, 15.0),
            wall_coupling: draw.uniform(0.3, 2.0),
            ambient_coupling: draw.uniform(0.3, 1.5),
            heater: draw.uniform(0.5, 4.0),
            occupancy: draw.uniform(0.0, 0.6),
            air: 0.0,
            wall: 0.0,
        };
        zone.restart(draw);
        let mut ambient = Row::free(signals, steps);
        standardise(&mut ambient.values);
        let share = 0.7 * signals.uniform(0.0, 1.0);
        for v in &mut ambient.values {
            *v *= share;
        }
        let period = signals.pick(&[24.0, 48.0, 96.0, 144.0]);
        let phase = signals.uniform(0.0, 1.0);
        add_tone(&mut ambient.values, 1.0 / period, phase, 1.0);
        ambient.controlled = false;
        let mut rows = vec![Row::within(signals, steps, 0.5, 0.5, (0.0, 1.5)), ambient];
        if inputs > 2 {
            let people = signal(signals, steps);
            rows.push(Row { values: people, controlled: false, ..Row::free(signals, 0) });
        }
        (zone, rows)
    }
}

impl System for Zone {
    const LEAKS: bool = true;

    fn restart(&mut self, weather: &mut Draw) {
        self.air = weather.normal();
        self.wall = weather.normal();
    }

    fn output(&self) -> f64 {
        self.air
    }

    fn advance(&mut self, inputs: &Step, condition: Condition, _: &mut Draw) {
        let ambient_coupling = self.ambient_coupling * (1.0 + 2.0 * condition.leak);
        let flow = self.wall_coupling * (self.wall - self.air)
            + ambient_coupling * (inputs[1] - self.air)
            + self.heater * inputs[0].clamp(-1.0, 2.0)
            + self.occupancy * inputs[2];
        // Half-implicit in the air: the smallest zones are faster than one step.
        let damping = 1.0 + 0.5 * (self.wall_coupling + ambient_coupling) / self.air_capacity;
        let wall_flow = self.wall_coupling * (self.air - self.wall);
        self.air += condition.pace * flow / self.air_capacity / damping;
        self.wall += condition.pace * wall_flow / self.wall_capacity;
    }
}

/// A heat exchanger or mixer: the first input is a flow that sets gain and speed of what the second
/// one (or a constant) brings along.
#[derive(Clone, Debug)]
pub(super) struct Exchanger {
    loss: f64,
    sensitivity: f64,
    time_constant: f64,
    sign: f64,
    driven: bool,
    measured: usize,
    cell: [f64; CELLS],
}

impl Exchanger {
    /// A random exchanger with one or two inputs.
    pub(super) fn draw(draw: &mut Draw, signals: &mut Draw, inputs: usize, steps: usize) -> (Self, Vec<Row>) {
        let mut exchanger = Self {
            loss: draw.uniform(0.2, 1.0),
            sensitivity: draw.uniform(0.2, 1.5),
            time_constant: draw.log_uniform(5.0, 150.0),
            sign: draw.sign(),
            driven: inputs > 1,
            measured: draw.whole(0, CELLS),
            cell: [0.0; CELLS],
        };
        exchanger.restart(draw);
        let rows = (0..inputs.clamp(1, 2)).map(|_| Row::free(signals, steps));
        (exchanger, rows.collect())
    }
}

impl System for Exchanger {
    fn restart(&mut self, weather: &mut Draw) {
        self.cell = std::array::from_fn(|_| 0.5 * weather.normal());
    }

    fn output(&self) -> f64 {
        self.cell[self.measured]
    }

    fn advance(&mut self, inputs: &Step, condition: Condition, _: &mut Draw) {
        let flow = (inputs[0] * self.sensitivity).min(30.0).exp().ln_1p();
        let drive = if self.driven { inputs[1] * flow } else { 1.0 };
        let pull = self.sign * drive - (self.loss + flow) * self.cell[0];
        self.cell[0] += condition.pace * (pull / self.time_constant).clamp(-1.0, 1.0);
        let lag = condition.pace / (0.5 * self.time_constant + 2.0);
        self.cell[1] += (self.cell[0] - self.cell[1]) * lag;
        self.cell[2] += (self.cell[1] - self.cell[2]) * lag;
    }
}

#[cfg(test)]
mod tests {
    use super::super::draw::Purpose;
    use super::*;

    const NONE: Step = [0.0; 4];

    fn weather() -> Draw {
        Draw::new(23, 0, 0, Purpose::Weather)
    }

    fn tanks() -> Tanks {
        Tanks {
            outflow: [0.05; CELLS],
            inflow: 0.05,
            height: [1.0, 3.0, 3.0],
            overflow: 1.0,
            leak: 0.0,
            valve: None,
            measured: 1,
            sensor_limit: 9.0,
            level: [0.0; CELLS],
        }
    }

    fn filled(mut tanks: Tanks, pump: f64) -> Tanks {
        let step = [pump, 0.0, 0.0, 0.0];
        (0..2_000).for_each(|_| tanks.advance(&step, Condition::NEW, &mut weather()));
        tanks
    }

    #[test]
    fn an_empty_tank_stays_empty_and_a_full_one_overflows_into_the_next() {
        let empty = filled(tanks(), 0.0);
        assert!(empty.level.iter().all(|level| level.abs() < 1e-6));
        let full = filled(tanks(), 1.5);
        assert!((full.level[0] - 1.0).abs() < 1e-9, "the rim is at 1");
        let dry = filled(Tanks { overflow: 0.0, ..tanks() }, 1.5);
        assert!(full.level[1] > dry.level[1] + 0.5, "{full:?}");
    }

    #[test]
    fn a_level_settles_at_the_square_of_the_inflow() {
        let at = |pump| filled(tanks(), pump).level[1];
        assert!((at(0.4) - 0.16).abs() < 1e-3 && (at(0.8) - 0.64).abs() < 1e-3);
    }

    #[test]
    fn a_closed_valve_and_a_leak_move_the_level_the_right_way() {
        let valve = |opening: f64| {
            let mut tanks = Tanks { valve: Some(1), ..tanks() };
            let step = [0.6, opening, 0.0, 0.0];
            (0..2_000).for_each(|_| tanks.advance(&step, Condition::NEW, &mut weather()));
            tanks.level[1]
        };
        assert!(valve(-1.0) > valve(1.0) + 0.3);
        let mut leaking = filled(tanks(), 0.8);
        let before = leaking.level[1];
        let leak = Condition { leak: 0.5, ..Condition::NEW };
        (0..500).for_each(|_| leaking.advance(&[0.8, 0.0, 0.0, 0.0], leak, &mut weather()));
        assert!(leaking.level[1] < before - 0.1);
    }

    #[test]
    fn walls_hold_the_heat_that_the_air_forgets() {
        let mut zone = Zone {
            air_capacity: 3.0,
            wall_capacity: 60.0,
            wall_coupling: 1.0,
            ambient_coupling: 0.5,
            heater: 2.0,
            occupancy: 0.0,
            air: 0.0,
            wall: 0.0,
        };
        (0..3_000).for_each(|_| zone.advance(&[1.0, 0.0, 0.0, 0.0], Condition::NEW, &mut weather()));
        let hot = zone.air;
        // At rest the heater's 2 leave through the ambient coupling of 0.5.
        assert!((hot - 4.0).abs() < 1e-3, "{hot}");
        (0..10).for_each(|_| zone.advance(&NONE, Condition::NEW, &mut weather()));
        assert!(zone.air < 0.8 * hot && zone.wall > 0.9 * hot, "{zone:?}");
    }

    #[test]
    fn a_faster_stream_answers_sooner_and_stronger() {
        let warm = |flow: f64, steps: usize| {
            let mut exchanger = Exchanger {
                loss: 0.5,
                sensitivity: 1.0,
                time_constant: 40.0,
                sign: 1.0,
                driven: true,
                measured: 0,
                cell: [0.0; CELLS],
            };
            let step = [flow, 1.0, 0.0, 0.0];
            (0..steps).for_each(|_| exchanger.advance(&step, Condition::NEW, &mut weather()));
            exchanger.output()
        };
        let (slow, fast) = (warm(-1.0, 3_000), warm(2.0, 3_000));
        assert!(fast > slow + 0.2, "gain: {slow} and {fast}");
        assert!(warm(2.0, 15) / fast > warm(-1.0, 15) / slow + 0.1, "speed");
    }
}
