//! What is said: the shapes of a prediction, and numbers made from the network's answer.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::serving::Skill;
use crate::asset::Asset;
use crate::ids::PredictionId;
use crate::model::{LEVELS, Quantiles};
use crate::twin::{Health, Risk};

/// Values by quantile level (`"0.1"`), one for each step.
pub type Bands = BTreeMap<String, Vec<f64>>;

/// Who answered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Answerer {
    /// Model version; 0 is the base model or the fallback.
    pub version: i32,
    /// Base model that the version stands on.
    pub base: String,
    /// Fine-tuned version, base model, or the naive fallback.
    pub source: Source,
    /// When the version was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trained_at: Option<DateTime<Utc>>,
    /// Why the fallback answered, or why a version has the base model's own head.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Kinds of [`Answerer`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// A version fine-tuned on this asset.
    Model,
    /// The base model with a bank fitted to this asset: nothing was fine-tuned yet.
    Base,
    /// The last value holds.
    Fallback,
}

/// What an answer starts from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct StateOf {
    /// Instant of the newest frame.
    pub observed_at: DateTime<Utc>,
    /// Seconds between it and the answer.
    pub age_s: f64,
}

/// Where the future of an input comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum InputSource {
    /// Given in the request.
    Given,
    /// The asset's desired value or schedule.
    Desired,
    /// The last value holds.
    Hold,
    /// What was really measured, in a retro what-if.
    Measured,
    /// An output of another asset that feeds this one: its median.
    Fed,
}

/// The assumed future of one input.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct InputFuture {
    /// Where it comes from.
    pub source: InputSource,
    /// A value for each step.
    pub values: Vec<f64>,
}

/// A prediction.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Prediction {
    /// Its name, for `GET .../predictions/{id}`.
    pub id: PredictionId,
    /// The asset's key.
    pub asset: String,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// Who answered.
    pub model: Answerer,
    /// What it starts from.
    pub state: StateOf,
    /// ISO 8601 duration of a step.
    pub frequency: String,
    /// Instant of each step.
    pub timestamps: Vec<DateTime<Utc>>,
    /// What was assumed of the inputs.
    pub inputs: BTreeMap<String, InputFuture>,
    /// Quantiles of each output, in its unit.
    pub signals: BTreeMap<String, Bands>,
    /// Joint sample paths of each output, if samples were asked for: a row per sample. Not kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paths: Option<BTreeMap<String, Vec<Vec<f64>>>>,
    /// UCUM units of inputs and outputs.
    pub units: BTreeMap<String, String>,
    /// How who answers did on windows that were not learned from; null before the first fine-tune
    /// job, and when the fallback answers.
    pub skill: Option<Skill>,
    /// The health class of the asset at the state, at a few instants ahead, and when it is first in another,
    /// as the version that answers sees it. Absent where nobody asked, and where the version was not taught
    /// it. Not kept: the state has the newest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health: Option<Health>,
    /// How likely limits of the outputs are broken within the horizon, and when, if it was asked for. Not
    /// kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub risk: Option<Risk>,
}

/// The instants of `steps` steps after `end`.
#[must_use]
pub fn timestamps(end: DateTime<Utc>, step_s: f64, steps: usize) -> Vec<DateTime<Utc>> {
    (1..=steps).map(|step| end + TimeDelta::microseconds((step as f64 * step_s * 1e6).round() as i64)).collect()
}

/// ISO 8601 duration of a step.
#[must_use]
pub fn frequency(step_s: f64) -> String {
    format!("PT{}S", tidy(step_s))
}

/// The wanted levels of an answer, each a row over its steps.
#[must_use]
pub fn bands(answer: &Quantiles, levels: &[f64], steps: usize) -> Bands {
    levels
        .iter()
        .map(|level| (level_key(*level), answer.iter().take(steps).map(|row| tidy(quantile(row, *level))).collect()))
        .collect()
}

/// How a level is written as a key: `0.1`.
#[must_use]
pub fn level_key(level: f64) -> String {
    format!("{level}")
}

/// A quantile at any level within [`LEVELS`], between neighbours linearly.
#[must_use]
pub fn quantile(row: &[f64; LEVELS.len()], level: f64) -> f64 {
    let above = LEVELS.partition_point(|known| *known < level).clamp(1, LEVELS.len() - 1);
    let (low, high) = (LEVELS[above - 1], LEVELS[above]);
    let share = ((level - low) / (high - low)).clamp(0.0, 1.0);
    row[above - 1] + share * (row[above] - row[above - 1])
}

/// Units of the named signals.
#[must_use]
pub fn units<'a>(asset: &Asset, signals: impl Iterator<Item = &'a usize>) -> BTreeMap<String, String> {
    signals
        .map(|index| &asset.asset_type.document.signals[*index])
        .map(|signal| (signal.name.clone(), signal.unit.clone()))
        .collect()
}

/// Seven significant digits: more than any sensor has, a third of the bytes.
#[must_use]
pub fn tidy(value: f64) -> f64 {
    if value == 0.0 || !value.is_finite() {
        return value;
    }
    let digits = 6 - decade(value.abs());
    if !(-300..=300).contains(&digits) {
        return value;
    }
    let factor = power(digits.abs());
    if digits >= 0 { (value * factor).round() / factor } else { (value / factor).round() * factor }
}

/// Rounds many values as [`tidy`] does: neighbours mostly have as many digits before the point, so most
/// of them need no search for the power of ten. Exact halves go to the even digit.
pub fn tidy_all(values: &mut [f64]) {
    /// Added and taken away again, it leaves no digits after the point of a number below 2^51.
    const WHOLE: f64 = 6_755_399_441_055_744.0;
    // Bounds of the last value's decade, and what moves its seven digits before the point.
    let (mut from, mut to, mut factor) = (0.0, 0.0, 1.0);
    for value in values {
        let size = value.abs();
        if !(from..to).contains(&size) {
            let digits = if size > 0.0 && size.is_finite() { 6 - decade(size) } else { -1 };
            if !(0..=6 - LEAST).contains(&digits) {
                *value = tidy(*value);
                continue;
            }
            (from, to, factor) = (power(6 - digits), power(7 - digits), power(digits));
        }
        *value = ((*value * factor + WHOLE) - WHOLE) / factor;
    }
}

/// The powers of ten that values usually lie between, the first being `10^LEAST`.
const POWERS: [f64; 31] = [
    1e-8, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12,
    1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22,
];
const LEAST: i32 = -8;

fn power(of: i32) -> f64 {
    let known = usize::try_from(of - LEAST).ok().and_then(|place| POWERS.get(place));
    known.copied().unwrap_or_else(|| 10_f64.powi(of))
}

/// The power of ten at or below a positive number. Answers hold many numbers, so the usual ones are
/// spared the logarithm: their power of two leaves two powers of ten to choose from.
fn decade(value: f64) -> i32 {
    if !(1e-8..1e22).contains(&value) {
        return value.log10().floor() as i32;
    }
    let twos = ((value.to_bits() >> 52) & 0x7ff) as i32 - 1_023;
    // 1233 / 4096 is the logarithm of 2, near enough for so few powers of two.
    let tens = (twos * 1_233) >> 12;
    tens + i32::from(value >= power(tens + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tidy_keeps_seven_digits() {
        for (value, tidied) in [
            (1.234_567_89, 1.234_568),
            (-98_765.432_1, -98_765.43),
            (123_456_789.0, 123_456_800.0),
            (0.0, 0.0),
            (1e-12, 1e-12),
        ] {
            assert!((tidy(value) - tidied).abs() <= tidied.abs() * 1e-12, "{value} became {}", tidy(value));
        }
    }

    #[test]
    fn many_are_rounded_as_one_is() {
        let mut draw = 1_u64;
        let values: Vec<f64> = (0..20_000)
            .map(|place| {
                draw = draw.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                let part = (draw >> 11) as f64 / (1_u64 << 52) as f64 - 1.0;
                // Runs of one size, from far too small to far too large, with what has no digits between.
                match place % 97 {
                    0 => 0.0,
                    1 => f64::NAN,
                    2 => f64::NEG_INFINITY,
                    _ => part * 10_f64.powi(place / 500 - 20),
                }
            })
            .collect();
        let mut all = values.clone();
        tidy_all(&mut all);
        for (value, tidied) in values.iter().zip(&all) {
            assert_eq!(tidy(*value).to_bits(), tidied.to_bits(), "{value} became {tidied}");
        }
    }

    #[test]
    fn the_power_of_ten_is_that_of_the_logarithm() {
        for exponent in -80..=230 {
            for part in [1.0, 1.000_001, 2.5, 9.999_99] {
                let value = part * 10_f64.powf(f64::from(exponent) / 10.0);
                assert_eq!(decade(value), value.log10().floor() as i32, "{value}");
            }
        }
        assert_eq!([0.1, 1.0, 10.0, 1e6, 1e-3].map(decade), [-1, 0, 1, 6, -3]);
    }

    #[test]
    fn levels_between_known_ones_are_interpolated() {
        let row = std::array::from_fn(|index| LEVELS[index] * 10.0);
        assert!((quantile(&row, 0.125) - 1.25).abs() < 1e-9);
        assert!((quantile(&row, 0.01) - 0.1).abs() < 1e-9);
        assert!((quantile(&row, 0.99) - 9.9).abs() < 1e-9);
        assert_eq!(level_key(0.1), "0.1");
        assert_eq!(frequency(4.0), "PT4S");
        assert_eq!(frequency(0.25), "PT0.25S");
    }
}
