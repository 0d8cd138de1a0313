//! From a family and a key to records: draws the plant, what happens to it, and its sensor.
//!
//! Always true: an attempt either gives records that are worth having or nothing; the last attempt
//! always gives some.

use super::draw::{Draw, Purpose};
use super::feedback::Feedback;
use super::forecast::Series;
use super::linear::Blocks;
use super::machine::{Cell, Drive, ValveLine};
use super::neural::NeuralOde;
use super::process::{Exchanger, Tanks, Zone};
use super::run::{Course, Fork, Row, Run, SLOTS, System, run};
use super::sensor::{Order, Sensor};
use super::signals::{coloured, moments};
use super::wear::Wear;
use super::{Conditions, Family, Record};

/// Attempts per record before a poor one is taken.
pub(super) const ATTEMPTS: u64 = 8;
/// Fewest steps of a record.
pub(super) const FEWEST: usize = 16;

/// Odds per record; the first three were measured in the prototype, the others are additions to it.
const RESTARTED: f64 = 0.45;
const CONTROLLED: f64 = 0.40;
const DISTURBED: f64 = 0.25;
const WORN: f64 = 0.12;
const FAULTY: f64 = 0.08;
const DECOYED: f64 = 0.10;
/// Steps until the slowest linear filters have forgotten that they started at rest.
const LINEAR_WARM: usize = 300;
/// Share of the other plants that have been running for a while when the record begins; the others
/// show how they start.
const RUNNING: f64 = 0.6;
/// For how many steps they have.
const RUNNING_WARM: usize = 200;

/// Which record, and which attempt at it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Key {
    pub(super) seed: u64,
    pub(super) index: u64,
    pub(super) attempt: u64,
}

impl Key {
    fn draw(self, purpose: Purpose) -> Draw {
        Draw::new(self.seed, self.index, self.attempt, purpose)
    }
}

/// How many futures to simulate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Futures {
    /// One record, with everything that the mix has.
    One,
    /// The same plant with and without an intervention at this step; nothing wears or fails.
    Two { at: usize },
}

/// One record, or two that part at a step. None where this attempt is not worth having, or where
/// there is nothing to intervene on; with `last`, the former is tamed and taken.
pub(super) fn simulate(family: Family, key: Key, steps: usize, futures: Futures, last: bool) -> Option<Vec<Record>> {
    let steps = steps.max(FEWEST);
    let mut draw = key.draw(Purpose::System);
    let mut signals = key.draw(Purpose::Inputs);
    let (d, s) = (&mut draw, &mut signals);
    let count = if family == Family::Forecast { d.pick(&[0, 0, 0, 1, 2]) } else { d.pick(&[1, 1, 1, 2, 2, 3, 4]) };
    let running = d.chance(RUNNING);
    let warm = match family {
        Family::WienerHammerstein => LINEAR_WARM,
        Family::Forecast => 0,
        _ if running => RUNNING_WARM,
        _ => 0,
    };
    let total = warm + steps;
    let free = |s: &mut Draw| (0..count).map(|_| Row::free(s, total)).collect();
    let scene = Scene { family, key, steps, warm, futures, last };
    match family {
        Family::WienerHammerstein => {
            let rows: Vec<Row> = free(s);
            scene.play(Blocks::draw(d, &rows), rows, draw, signals)
        }
        Family::NeuralOde => {
            let rows = free(s);
            scene.play(NeuralOde::draw(d, count), rows, draw, signals)
        }
        Family::Tanks => {
            let (plant, rows) = Tanks::draw(d, s, count, total);
            scene.play(plant, rows, draw, signals)
        }
        Family::Thermal => {
            let (plant, rows) = Zone::draw(d, s, count, total);
            scene.play(plant, rows, draw, signals)
        }
        Family::Mechanical => {
            let (plant, rows) = Drive::draw(d, s, count, total);
            scene.play(plant, rows, draw, signals)
        }
        Family::Bilinear => {
            let (plant, rows) = Exchanger::draw(d, s, count, total);
            scene.play(plant, rows, draw, signals)
        }
        Family::Valve => {
            let (plant, rows) = ValveLine::draw(d, s, count, total);
            scene.play(plant, rows, draw, signals)
        }
        Family::Battery => {
            let (plant, rows) = Cell::draw(d, s, count, total);
            scene.play(plant, rows, draw, signals)
        }
        Family::Forecast => {
            let (plant, rows) = Series::draw(d, s, count, total);
            scene.play(plant, rows, draw, signals)
        }
    }
}

/// Everything about a record but its plant.
#[derive(Clone, Copy, Debug)]
struct Scene {
    family: Family,
    key: Key,
    steps: usize,
    warm: usize,
    futures: Futures,
    last: bool,
}

impl Scene {
    fn play<S: System>(self, system: S, mut rows: Vec<Row>, mut draw: Draw, mut signals: Draw) -> Option<Vec<Record>> {
        let disturbed = draw.chance(DISTURBED);
        let loaded = disturbed && !rows.is_empty() && draw.chance(0.5);
        let mut course = self.course(&system, &rows, loaded, &mut draw);
        course.used = rows.len();
        let decoy = !rows.is_empty() && rows.len() < SLOTS && draw.chance(DECOYED);
        if decoy {
            rows.push(Row::free(&mut signals, self.warm + self.steps));
        }
        let order = Order {
            noisy: self.family != Family::Forecast,
            disturbed: disturbed && !loaded && self.family != Family::Forecast,
            faulty: self.futures == Futures::One && self.family != Family::Forecast && draw.chance(FAULTY),
        };
        let weather = self.key.draw(Purpose::Weather);
        let runs = match self.futures {
            Futures::One => vec![run(system, &rows, &course, None, weather)],
            Futures::Two { at } => {
                let fork = self.fork(&rows, at)?;
                let other = Fork { applied: true, ..fork };
                vec![
                    run(system.clone(), &rows, &course, Some(fork), weather.clone()),
                    run(system, &rows, &course, Some(other), weather),
                ]
            }
        };
        let base = &runs.first()?.output;
        let sensor = Sensor::draw(&mut self.key.draw(Purpose::Sensor), base, order);
        if !self.last && !runs.iter().all(|run| sensor.accepts(&run.output)) {
            return None;
        }
        let conditions = Conditions {
            noise: sensor.noise(),
            quantum: sensor.quantum(),
            disturbed: order.disturbed || !course.load.is_empty(),
            decoy,
        };
        let record = |run: &Run| self.record(run, &course, &sensor, conditions);
        Some(runs.iter().map(record).collect())
    }

    /// What happens in this record.
    fn course<S: System>(self, system: &S, rows: &[Row], loaded: bool, draw: &mut Draw) -> Course {
        let total = self.warm + self.steps;
        let plant = self.family != Family::Forecast;
        let immediate = matches!(self.family, Family::WienerHammerstein | Family::Battery | Family::Forecast);
        let mut course = Course {
            warm: self.warm,
            steps: self.steps,
            prompt: draw.chance(if immediate { 0.5 } else { 0.15 }),
            ..Course::default()
        };
        if plant && draw.chance(RESTARTED) {
            let (from, to) = (self.steps / 5, 4 * self.steps / 5);
            course.restart = Some(self.warm + draw.whole(from, to));
        }
        if plant && draw.chance(CONTROLLED) {
            let trial = self.key.draw(Purpose::Trial);
            course.feedback = Feedback::tune(system, rows, draw, &trial);
        }
        if loaded && plant {
            let spread = rows.first().map_or(0.0, |row| moments(&row.values).1);
            let (size, memory) = (draw.log_uniform(0.05, 0.6), draw.log_uniform(5.0, 200.0));
            let wave = coloured(draw, total, memory);
            course.load = wave.into_iter().map(|v| size * spread * v).collect();
        }
        if plant && self.futures == Futures::One && draw.chance(WORN) {
            course.wear = Some(Wear::draw(draw, total, S::LEAKS, S::SLOWS));
        }
        if let Futures::Two { at } = self.futures {
            let at = self.warm + at;
            course.restart = course.restart.filter(|restart| *restart < at);
            if let Some(feedback) = &mut course.feedback {
                feedback.until = at;
            }
        }
        course
    }

    /// A random intervention on one of the inputs that a person can set.
    fn fork(self, rows: &[Row], at: usize) -> Option<Fork> {
        let mut draw = self.key.draw(Purpose::Intervention);
        let settable: Vec<usize> = (0..rows.len()).filter(|r| rows[*r].controlled).collect();
        let first = *settable.first()?;
        let ramp = draw.chance(0.4);
        let pulse = draw.chance(0.2);
        Some(Fork {
            at: self.warm + at,
            row: if draw.chance(0.7) { first } else { draw.pick(&settable) },
            hold: draw.chance(0.6),
            size: draw.sign() * draw.uniform(0.5, 2.0),
            rise: if ramp { draw.whole(4, 64) } else { 1 },
            length: if pulse { draw.whole(4, 64) } else { usize::MAX },
            applied: false,
        })
    }

    fn record(self, run: &Run, course: &Course, sensor: &Sensor, conditions: Conditions) -> Record {
        let (target, truth) = sensor.read(&run.output);
        let narrow = |row: &Vec<f64>| row.iter().map(|v| v.clamp(-30.0, 30.0) as f32).collect();
        let label = |wear: &Wear| {
            let steps = self.warm..self.warm + self.steps;
            steps.map(|t| wear.label(t) as u8).collect()
        };
        let since_start = |t: usize| t.saturating_sub(self.warm);
        Record {
            family: self.family,
            target,
            inputs: run.inputs.iter().map(narrow).collect(),
            restart: course.restart.map(since_start),
            released: course.feedback.as_ref().map(|f| since_start(f.until)),
            truth,
            health: course.wear.as_ref().map(label),
            fault: sensor.labels(),
            conditions,
        }
    }
}
