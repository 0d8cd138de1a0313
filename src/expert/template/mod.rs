//! Physics templates: known equations with unknown parameters, fitted to an asset's readings. The
//! expert of an asset whose type says what kind of plant it is.
//!
//! Always true: everything is in raw units, time is counted in samples; an answer is finite,
//! strictly causal in the inputs, and equal questions give equal bits; a fit takes bounded work.
//! Deliberately absent: tensors, randomness, stores, and a template that guesses which one fits.
//!
//! | template | inputs | parameters |
//! |---|---|---|
//! | `tank_1`, `tanks_2`, `tanks_3` | each adds `gain` x value to the inflow of the first tank (pumps, valves) | per tank `outflow` and `exponent` (outflow x content^exponent leaves per sample; Torricelli: 1/2) and `capacity`; `overflow_share` (what reaches the next tank of an overflow), `offset` (reading when empty), `base_inflow` (per sample) |
//! | `zone_2r2c` | heat, outdoor temperature, further heats | rates per sample: `air_rate` (mass to air), `mass_rate` (air to mass), `outdoor_rate` (outdoor to mass); `base_gain` (degrees per sample), or `outdoor` (degrees) where it is not an input; `gain` (degrees per sample and unit) of every heat |
//! | `first_order_dead_time` | each with its `gain` | `time_constant` and `dead_time` in samples, `offset` |
//! | `second_order` | each with its `gain` | `frequency` (radians per sample), `damping` (1: critical), `offset` |
//! | `dc_motor` | voltage, further torques | `electrical_time` in samples; `inertia` (volts per speed gained in a sample), `back_emf` (volts per speed), `friction` (dry, in volts), `gain` (volts per unit) of every torque |
//!
//! Tank contents are counted in the level of the last tank, in the unit of the target.

mod coordinate;
mod evidence;
mod fitted;
mod law;
mod levenberg;
mod linear;
mod observer;
mod search;
mod tanks;

pub use fitted::{Fitted, State};

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use coordinate::Parameter;
use evidence::Evidence;
use law::Law;
use linear::Linear;
use tanks::Tanks;

/// A kind of plant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Template {
    /// One tank with gravity outflow.
    #[serde(rename = "tank_1")]
    Tank1,
    /// Two tanks in series, the upper one may overflow.
    #[serde(rename = "tanks_2")]
    Tanks2,
    /// Three tanks in series, the upper ones may overflow.
    #[serde(rename = "tanks_3")]
    Tanks3,
    /// A room: air and building mass as two heat stores with two resistances.
    #[serde(rename = "zone_2r2c")]
    Zone2r2c,
    /// One time constant, and inputs that arrive late.
    #[serde(rename = "first_order_dead_time")]
    FirstOrderDeadTime,
    /// Mass, spring and damper, or any other two energy stores.
    #[serde(rename = "second_order")]
    SecondOrder,
    /// A direct-current motor with dry friction; the target is its speed.
    #[serde(rename = "dc_motor")]
    DcMotor,
}

impl Template {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Tank1,
        Self::Tanks2,
        Self::Tanks3,
        Self::Zone2r2c,
        Self::FirstOrderDeadTime,
        Self::SecondOrder,
        Self::DcMotor,
    ];

    /// Its name in asset types, tables and logs.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Tank1 => "tank_1",
            Self::Tanks2 => "tanks_2",
            Self::Tanks3 => "tanks_3",
            Self::Zone2r2c => "zone_2r2c",
            Self::FirstOrderDeadTime => "first_order_dead_time",
            Self::SecondOrder => "second_order",
            Self::DcMotor => "dc_motor",
        }
    }

    /// The first guesses that a search starts from, each with all parameters in the same order.
    fn guesses(self, evidence: &Evidence) -> Vec<Vec<Parameter>> {
        let grid = |a: &[f64], b: &[f64], guess: &dyn Fn(f64, f64) -> Vec<Parameter>| -> Vec<Vec<Parameter>> {
            a.iter().flat_map(|&a| b.iter().map(move |&b| guess(a, b))).collect()
        };
        let tanks = |count: usize| {
            let rooms: &[f64] = if count > 1 { &[0.8, 3.0] } else { &[1.0] };
            grid(&[8.0, 30.0, 120.0], rooms, &|pace, room| Tanks::guesses(count, evidence, pace, room))
        };
        match self {
            Self::Tank1 => tanks(1),
            Self::Tanks2 => tanks(2),
            Self::Tanks3 => tanks(3),
            Self::Zone2r2c => {
                grid(&[4.0, 20.0], &[60.0, 300.0], &|fast, slow| Linear::zone_guesses(evidence, fast, slow))
            }
            Self::FirstOrderDeadTime => grid(&[4.0, 30.0], &[1.0, 5.0, 20.0, 60.0], &|pace, late| {
                Linear::first_order_guesses(evidence, pace, late)
            }),
            Self::SecondOrder => grid(&[1.5, 5.0, 20.0, 80.0], &[0.3, 1.5], &|pace, damping| {
                Linear::second_order_guesses(evidence, pace, damping)
            }),
            Self::DcMotor => grid(&[3.0, 12.0, 60.0], &[0.0], &|pace, _| Linear::motor_guesses(evidence, pace)),
        }
    }

    /// The names of its parameters for so many inputs, in the order of the guesses.
    fn names(self, inputs: usize) -> Vec<&'static str> {
        let (single, gains): (Vec<&'static str>, usize) = match self {
            Self::Tank1 => (Tanks::names(1).collect(), inputs),
            Self::Tanks2 => (Tanks::names(2).collect(), inputs),
            Self::Tanks3 => (Tanks::names(3).collect(), inputs),
            Self::Zone2r2c => {
                let constant = if inputs < 2 { "outdoor" } else { "base_gain" };
                (vec!["air_rate", "mass_rate", "outdoor_rate", constant], inputs - usize::from(inputs > 1))
            }
            Self::FirstOrderDeadTime => (vec!["time_constant", "dead_time", "offset"], inputs),
            Self::SecondOrder => (vec!["frequency", "damping", "offset"], inputs),
            Self::DcMotor => (vec!["electrical_time", "inertia", "back_emf", "friction"], inputs - 1),
        };
        single.into_iter().chain(std::iter::repeat_n("gain", gains)).collect()
    }

    /// The equations with these parameters.
    fn law(self, values: &[f64], inputs: usize) -> Box<dyn Law> {
        match self {
            Self::Tank1 => Box::new(Tanks::new(1, values)),
            Self::Tanks2 => Box::new(Tanks::new(2, values)),
            Self::Tanks3 => Box::new(Tanks::new(3, values)),
            Self::Zone2r2c => Box::new(Linear::zone(values, inputs)),
            Self::FirstOrderDeadTime => Box::new(Linear::first_order(values)),
            Self::SecondOrder => Box::new(Linear::second_order(values)),
            Self::DcMotor => Box::new(Linear::motor(values)),
        }
    }
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// No template has this name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no physics template is called {0:?}")]
pub struct UnknownTemplate(String);

impl FromStr for Template {
    type Err = UnknownTemplate;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|t| t.name() == name).ok_or_else(|| UnknownTemplate(name.to_owned()))
    }
}

/// A target and its inputs on one regular grid, in raw units.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    /// The readings, oldest first; NaN where one is missing.
    pub target: &'a [f64],
    /// One row per input, each at least as long as the target. A missing value holds the one before.
    pub inputs: &'a [Vec<f64>],
    /// Indices where a new contiguous segment begins; 0 always counts as one.
    pub starts: &'a [usize],
    /// What the sensor can show, lowest and highest, where that is known.
    pub range: Option<(f64, f64)>,
}

#[cfg(test)]
mod tests;
