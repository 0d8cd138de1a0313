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
