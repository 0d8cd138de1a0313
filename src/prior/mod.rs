//! The synthetic plants that the base model is pretrained on, and the plant of the demo.
//!
//! Always true: a record depends on (seed, index, steps) alone, so records can be drawn in any
//! order and in parallel (bit for bit on one platform; elsewhere the system's sine and exponential
//! may round differently); every number in it is finite; the output at a step depends on inputs up
//! to that step only. The mix, its odds and ranges were first measured in a numpy prototype.
//! Deliberately absent: tensors, windows, normalisation by context, slot permutation. Who trains
//! does these.

pub mod command;
mod draw;
mod feedback;
mod filters;
mod forecast;
mod linear;
mod machine;
mod mix;
mod neural;
mod operator;
mod pair;
mod plant;
mod process;
mod run;
mod sensor;
mod sheet;
mod signals;
mod simulate;
mod wear;

#[cfg(test)]
mod tests;

pub use mix::{FamilyShare, Mix};
pub use operator::Operator;
pub use pair::{Pair, pair, pair_of};
pub use plant::{Controls, HEATER_LIMIT, Plant, STEP_MINUTES, Sample, TANK_HEIGHT};
pub use sensor::Fault;
pub use wear::Health;

use draw::{Draw, Purpose};
use simulate::{ATTEMPTS, Futures, Key, simulate};

/// Most rows of [`Record::inputs`].
pub const MOST_INPUTS: usize = run::SLOTS;

/// What kind of plant a record comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Family {
    /// Nonlinearity, filters and dead time per input, added up.
    WienerHammerstein,
    /// A random neural network as the right-hand side of an ODE.
    NeuralOde,
    /// One to three tanks in series.
    Tanks,
    /// A heated zone with walls, under an ambient temperature.
    Thermal,
    /// A motor, or a mass on a spring, with friction and slack.
    Mechanical,
    /// A heat exchanger or mixer: inputs that multiply.
    Bilinear,
    /// A control valve in a pumped line.
    Valve,
    /// A battery cell under a current.
    Battery,
    /// A series with seasons, perhaps with covariates.
    Forecast,
}

impl Family {
    /// Every family, in the order of the mix.
    #[must_use]
    pub const fn all() -> &'static [Self] {
        &[
            Self::WienerHammerstein,
            Self::NeuralOde,
            Self::Tanks,
            Self::Thermal,
            Self::Mechanical,
            Self::Bilinear,
            Self::Valve,
            Self::Battery,
            Self::Forecast,
        ]
    }

    /// A short name for logs and tables.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::WienerHammerstein => "wiener-hammerstein",
            Self::NeuralOde => "neural-ode",
            Self::Tanks => "tanks",
            Self::Thermal => "thermal",
            Self::Mechanical => "mechanical",
            Self::Bilinear => "bilinear",
            Self::Valve => "valve",
            Self::Battery => "battery",
            Self::Forecast => "forecast",
        }
    }

    /// Percentage of all records; the sum is 100.
    fn share(self) -> usize {
        match self {
            Self::WienerHammerstein | Self::NeuralOde => 16,
            Self::Tanks => 11,
            Self::Thermal => 10,
            Self::Mechanical => 9,
            Self::Bilinear => 6,
            Self::Valve | Self::Battery => 4,
            Self::Forecast => 24,
        }
    }

    /// The family of the record with this index.
    fn of(seed: u64, index: u64) -> Self {
        // Attempt `u64::MAX` never occurs: the choice of family has a stream of its own.
        let mut left = Draw::new(seed, index, u64::MAX, Purpose::System).whole(0, 100);
        for family in Self::all() {
            if left < family.share() {
                return *family;
            }
            left -= family.share();
        }
        Self::Forecast
    }
}

/// One simulated plant's record. All vectors have one value per step.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// Where it comes from.
    pub family: Family,
    /// The measured output: the truth has about mean 0 and deviation 1 over the record, and noise,
    /// quantisation and faults come on top. In a pair, both have the scale of the base.
    pub target: Vec<f32>,
    /// 0 to [`MOST_INPUTS`] known inputs, in the plant's own units (mostly of deviation about 1,
    /// not normalised), within -30 to 30. Where there is a controller, it drives the first one.
    pub inputs: Vec<Vec<f32>>,
    /// The first step after the state has jumped, if it has.
    pub restart: Option<usize>,
    /// First step without the controller, where one has driven the first input.
    pub released: Option<usize>,
    /// The output behind `target`: with unmeasured disturbances, without the sensor.
    pub truth: Vec<f32>,
    /// [`Health`] labels, where the plant wears.
    pub health: Option<Vec<u8>>,
    /// [`Fault`] labels, where the sensor fails.
    pub fault: Option<Vec<u8>>,
    /// What no value of the record tells by itself.
    pub conditions: Conditions,
}

/// Under what conditions a record was made.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Conditions {
    /// Deviation of the sensor's noise, in deviations of the truth; 0 for none.
    pub noise: f64,
    /// What readings are rounded to, in deviations of the truth.
    pub quantum: Option<f64>,
    /// Something slow acts on the input or the output and is not measured.
    pub disturbed: bool,
    /// The last input has no effect.
    pub decoy: bool,
}

/// The record with this index, of `steps` steps; at least 16 are simulated.
#[must_use]
pub fn record(seed: u64, index: u64, steps: usize) -> Record {
    record_of(Family::of(seed, index), seed, index, steps)
}

/// A record of one family, for tables per family and for tests.
#[must_use]
pub fn record_of(family: Family, seed: u64, index: u64, steps: usize) -> Record {
    (0..ATTEMPTS)
        .find_map(|attempt| {
            let key = Key { seed, index, attempt };
            let last = attempt + 1 == ATTEMPTS;
            simulate(family, key, steps, Futures::One, last)?.pop()
        })
        .expect("the last attempt at a record is always taken")
}
