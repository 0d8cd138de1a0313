//! The synthetic plants that the base model is pretrained on.
//!
//! Everything is a function of a seed and an index, so records can be drawn in any order and on
//! any number of threads. A plant is stepped sample by sample; restarts, feedback, noise and
//! sensor flaws are added around it. Plain numbers, no tensors.

mod linear;
mod nonlinear;
pub mod plant;
mod process;
mod seasonal;
mod signals;

use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use self::signals::{coloured, log_uniform, normal, standardise, standardised_by};

/// Kinds of plants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Family {
    /// Static nonlinearities around linear filters with dead time.
    WienerHammerstein,
    /// A random continuous-time recurrent network with inputs.
    NeuralOde,
    /// One to three tanks in series: square-root outflow, overflow, pump and valve.
    Tanks,
    /// A zone of two thermal masses with heater, ambient and occupancy.
    Thermal,
    /// Motors and masses on springs: friction, dead zone, cubic stiffness.
    Mechanical,
    /// Heat exchangers and mixers whose gain and time constant follow a flow.
    Bilinear,
    /// A battery: charge integral, two relaxation times, a curved open-circuit voltage.
    Battery,
    /// Seasons, trends and coloured noise, with or without covariates.
    Seasonal,
}

impl Family {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::WienerHammerstein,
        Self::NeuralOde,
        Self::Tanks,
        Self::Thermal,
        Self::Mechanical,
        Self::Bilinear,
        Self::Battery,
        Self::Seasonal,
    ];

    /// Its name in cards and tables.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::WienerHammerstein => "wiener_hammerstein",
            Self::NeuralOde => "neural_ode",
            Self::Tanks => "tanks",
            Self::Thermal => "thermal",
            Self::Mechanical => "mechanical",
            Self::Bilinear => "bilinear",
            Self::Battery => "battery",
            Self::Seasonal => "seasonal",
        }
    }
}

/// What was recorded of one plant.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// Kind of plant.
    pub family: Family,
    /// The sensor, of mean 0 and deviation 1 before noise.
    pub target: Vec<f32>,
    /// The inputs, none to four rows.
    pub inputs: Vec<Vec<f32>>,
    /// Step at which the plant was started anew from another state.
    pub restart: Option<usize>,
}

/// Two futures of one plant: the same state, noise and luck, other inputs from `at` on.
#[derive(Clone, Debug, PartialEq)]
pub struct Pair {
    /// What happened.
    pub base: Record,
    /// What would have happened.
    pub other: Record,
    /// First step at which the inputs differ.
    pub at: usize,
}

/// Something that moves when it is stepped.
trait Plant {
    /// Starts from another state.
    fn restart(&mut self, draw: &mut ChaCha8Rng);
    /// Reads the sensor, then moves one step under the inputs.
    fn step(&mut self, inputs: &[f64], draw: &mut ChaCha8Rng) -> f64;
    /// Inputs as the plant can take them: a pump does not run backwards.
    fn actuate(&self, _input: usize, value: f64) -> f64 {
        value
    }
    /// Whether it tolerates proportional and integral feedback from the sensor to the first input.
    fn takes_feedback(&self) -> bool {
        true
    }
}

/// The record of a plant: the same for the same arguments.
#[must_use]
pub fn record(seed: u64, index: u64, steps: usize) -> Record {
    let mut draw = generator(seed, index);
    let family = family(&mut draw);
    if family == Family::Seasonal {
        return seasonal::record(&mut draw, steps);
    }
    let setting = Setting::draw(family, &mut draw, steps);
    let (mut target, inputs) = setting.simulate(None);
    let scale = standardise(&mut target);
    setting.record(target, inputs, scale)
}

/// Two futures of a plant; `None` when the index belongs to a family without inputs.
#[must_use]
pub fn pair(seed: u64, index: u64, steps: usize) -> Option<Pair> {
    let mut draw = generator(seed, index);
    let family = family(&mut draw);
    if family == Family::Seasonal {
        return None;
    }
    let setting = Setting { restart: None, ..Setting::draw(family, &mut draw, steps) };
    let at = draw.random_range(steps / 4..steps - 256);
    let change = Change::draw(&mut draw, at, setting.inputs.len());
    // In both futures the controller is off from the intervention on: the inputs are a plan.
    let setting = Setting { feedback_until: setting.feedback_until.min(at), ..setting };
    let (mut base, base_inputs) = setting.simulate(None);
    let (other, other_inputs) = setting.simulate(Some(&change));
    let scale = standardise(&mut base);
    let other = standardised_by(other, scale);
    Some(Pair { base: setting.record(base, base_inputs, scale), other: setting.record(other, other_inputs, scale), at })
}

fn generator(seed: u64, index: u64) -> ChaCha8Rng {
    let mut draw = ChaCha8Rng::seed_from_u64(seed);
    draw.set_stream(index.wrapping_add(1));
    draw
}

fn family(draw: &mut ChaCha8Rng) -> Family {
    const SHARES: [f64; 8] = [0.2, 0.16, 0.14, 0.12, 0.1, 0.09, 0.04, 0.15];
    let mut at = draw.random_range(0.0..1.0);
    for (family, share) in Family::ALL.into_iter().zip(SHARES) {
        if at < share {
            return family;
        }
        at -= share;
    }
    Family::WienerHammerstein
}

/// Everything about a record but the simulation itself.
struct Setting {
    family: Family,
    seed: u64,
    /// Planned inputs; feedback replaces the first while it is on.
    inputs: Vec<Vec<f64>>,
    set_point: Vec<f64>,
    gains: (f64, f64),
    feedback_until: usize,
    restart: Option<usize>,
    noise: f64,
    drift: f64,
    quantum: f64,
}

impl Setting {
    fn draw(family: Family, draw: &mut ChaCha8Rng, steps: usize) -> Self {
        let count = match family {
            Family::Thermal => draw.random_range(2..=3),
            Family::Battery => 1,
            Family::Tanks | Family::Mechanical | Family::Bilinear => draw.random_range(1..=2),
            _ => [1, 1, 1, 2, 2, 3, 4][draw.random_range(0..7)],
        };
        let mut inputs: Vec<Vec<f64>> = (0..count).map(|_| signals::input(draw, steps)).collect();
        if family == Family::Thermal {
            inputs[1] = signals::ambient(draw, steps);
        }
        let restart = draw.random_bool(0.45).then(|| draw.random_range(steps / 5..steps * 4 / 5));
        let feedback = restart.is_none() && draw.random_bool(0.6);
        let level: f64 = normal(draw) * 0.7;
        let set_point = signals::input(draw, steps).iter().map(|value| level + 0.5 * value).collect();
        Self {
            family,
            seed: draw.random(),
            inputs,
            set_point,
            gains: (normal(draw) * 1.2, log_uniform(draw, 0.002, 0.05)),
            feedback_until: if feedback { draw.random_range(steps * 3 / 10..steps * 9 / 10) } else { 0 },
            restart,
            noise: if draw.random_bool(0.85) { log_uniform(draw, 0.001, 0.15) } else { 0.0 },
            drift: if draw.random_bool(0.25) { log_uniform(draw, 0.02, 0.3) } else { 0.0 },
            quantum: if draw.random_bool(0.15) { log_uniform(draw, 0.005, 0.1) } else { 0.0 },
        }
    }

    /// Sensor and inputs as they were. The same luck whatever the change, so that two runs differ
    /// by it alone.
    fn simulate(&self, change: Option<&Change>) -> (Vec<f64>, Vec<Vec<f64>>) {
        let mut draw = ChaCha8Rng::seed_from_u64(self.seed);
        let mut plant = self.plant(&mut draw);
        let steps = self.inputs[0].len();
        let mut inputs = self.inputs.clone();
        let mut target = Vec::with_capacity(steps);
        let mut now = vec![0.0; inputs.len()];
        let (mut integral, mut last) = (0.0_f64, 0.0);
        plant.restart(&mut draw);
        for step in 0..steps {
            if self.restart == Some(step) {
                plant.restart(&mut draw);
            }
            for (input, row) in inputs.iter_mut().enumerate() {
                let mut value = row[step];
                if input == 0 && step < self.feedback_until && plant.takes_feedback() {
                    let error = self.set_point[step] - last;
                    integral = (integral + self.gains.1 * error).clamp(-2.0, 2.0);
                    value = (self.gains.0 * error + integral).clamp(-2.5, 2.5) + 0.1 * value;
                }
                if let Some(change) = change {
                    value = change.apply(input, step, value);
                }
                row[step] = plant.actuate(input, value);
                now[input] = row[step];
            }
            last = plant.step(&now, &mut draw).clamp(-1e3, 1e3);
            if !last.is_finite() {
                last = 0.0;
            }
            target.push(last);
        }
        (target, inputs)
    }

    fn plant(&self, draw: &mut ChaCha8Rng) -> Box<dyn Plant> {
        let count = self.inputs.len();
        match self.family {
            Family::WienerHammerstein | Family::Seasonal => Box::new(linear::Blocks::draw(draw, count)),
            Family::NeuralOde => Box::new(nonlinear::Ode::draw(draw, count)),
            Family::Tanks => Box::new(process::Tanks::draw(draw, count)),
            Family::Thermal => Box::new(process::Zone::draw(draw)),
            Family::Mechanical => Box::new(nonlinear::Mass::draw(draw, count)),
            Family::Bilinear => Box::new(process::Exchanger::draw(draw, count)),
            Family::Battery => Box::new(process::Battery::draw(draw)),
        }
    }

    /// Adds what a sensor adds, the same for both runs of a pair.
    fn record(&self, mut target: Vec<f64>, inputs: Vec<Vec<f64>>, scale: (f64, f64)) -> Record {
        let mut draw = ChaCha8Rng::seed_from_u64(self.seed ^ 0x5eed);
        let wander = coloured(&mut draw, target.len());
        // A record that never moved has nothing to be a share of.
        let noise = if scale.1 > 1e-9 { self.noise } else { 0.0 };
        for (value, wander) in target.iter_mut().zip(wander) {
            *value += noise * normal(&mut draw) + self.drift * wander;
            if self.quantum > 0.0 {
                *value = (*value / self.quantum).round() * self.quantum;
            }
        }
        let narrow = |row: Vec<f64>| row.into_iter().map(|value| value.clamp(-60.0, 60.0) as f32).collect();
        Record {
            family: self.family,
            target: narrow(target),
            inputs: inputs.into_iter().map(narrow).collect(),
            restart: self.restart,
        }
    }
}

/// What is done differently from a step on.
struct Change {
    at: usize,
    input: usize,
    by: f64,
    ramp: usize,
    hold: bool,
    length: usize,
}

impl Change {
    fn draw(draw: &mut ChaCha8Rng, at: usize, inputs: usize) -> Self {
        let size = log_uniform(draw, 0.2, 2.0);
        Self {
            at,
            input: draw.random_range(0..inputs),
            by: if draw.random_bool(0.5) { size } else { -size },
            ramp: if draw.random_bool(0.4) { draw.random_range(2..48) } else { 1 },
            hold: draw.random_bool(0.3),
            length: if draw.random_bool(0.3) { draw.random_range(8..64) } else { usize::MAX },
        }
    }

    fn apply(&self, input: usize, step: usize, value: f64) -> f64 {
        if input != self.input || step < self.at || step - self.at >= self.length {
            return value;
        }
        let share = ((step - self.at + 1) as f64 / self.ramp as f64).min(1.0);
        if self.hold { value * (1.0 - share) + self.by * share } else { value + self.by * share }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_its_seed_and_index() {
        for index in 0..40 {
            assert_eq!(record(3, index, 600), record(3, index, 600));
        }
        assert_ne!(record(3, 0, 600), record(4, 0, 600));
    }

    #[test]
    fn records_are_finite_and_whole() {
        for index in 0..400 {
            let record = record(1, index, 700);
            assert_eq!(record.target.len(), 700);
            assert!(record.inputs.len() <= 4);
            let values = record.inputs.iter().chain([&record.target]).flatten();
            assert!(values.clone().all(|value| value.is_finite()), "{:?} {index}", record.family);
            assert!(record.inputs.iter().all(|row| row.len() == 700));
        }
    }

    #[test]
    fn every_family_is_drawn_and_mostly_moves() {
        let mut moved = std::collections::BTreeMap::new();
        for index in 0..400 {
            let record = record(1, index, 700);
            let mean = record.target.iter().sum::<f32>() / 700.0;
            let deviation = (record.target.iter().map(|v| (v - mean).powi(2)).sum::<f32>() / 700.0).sqrt();
            let entry = moved.entry(record.family.name()).or_insert((0, 0));
            entry.0 += 1;
            entry.1 += usize::from(deviation > 0.5);
        }
        assert_eq!(moved.len(), Family::ALL.len());
        for (family, (drawn, alive)) in moved {
            assert!(alive * 10 >= drawn * 9, "{family}: {alive} of {drawn} move");
        }
    }

    #[test]
    fn a_pair_is_one_plant_until_the_intervention_and_two_after() {
        let mut differing = 0;
        let mut seen = 0;
        for index in 0..120 {
            let Some(pair) = pair(9, index, 800) else { continue };
            seen += 1;
            assert_eq!(pair.base.target[..pair.at], pair.other.target[..pair.at]);
            for (one, other) in pair.base.inputs.iter().zip(&pair.other.inputs) {
                assert_eq!(one[..pair.at], other[..pair.at]);
            }
            // The sensor at `at` itself is read before the inputs act.
            assert_eq!(pair.base.target[pair.at], pair.other.target[pair.at]);
            differing += usize::from(pair.base.target != pair.other.target);
        }
        assert!(seen > 80 && differing * 10 >= seen * 8, "{differing} of {seen} differ");
    }
}
