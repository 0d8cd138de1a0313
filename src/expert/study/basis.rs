//! The features of the curved expert: what a nonlinear answer may depend on.
//!
//! Three groups. *Linear*: averages and taps of every input at the instant predicted, and what was
//! known at the origin, fading with the horizon at five speeds. *Hinges*: fixed random projections of
//! averages and taps, cut off below a threshold (Chen 2005; a saturation, a diode, a dead zone are
//! sums of few of them), each also through four leaky averages, so that a filter may follow the
//! curve (Wiener-Hammerstein). *Waves*: random Fourier features (Rahimi & Recht 2007) of where the
//! inputs are, where the origin was and how far ahead, for a response that depends on the state.
//!
//! Always true: features at an instant depend on no later input and on nothing measured after the
//! origin; the random weights come from [`SEED`] alone, so equal shapes have equal bases.

use std::ops::Range;

use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution as _, StandardNormal, Uniform};
use serde::{Deserialize, Serialize};

use super::super::algebra::{dot, products};
use super::super::filters::{Coefficients, HELD_EACH, PER_INPUT};
use super::super::history::Context;
use super::super::shared::{Columns, FADES, fades};
use super::cosine::cosines;
use super::drive::{Drive, Held};

/// Past values of an only input beside its averages: dense, they shape a fast filter.
const TAPS_ALONE: &[usize] =
    &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 18, 20, 22, 24, 26, 28, 30, 32, 36, 40];
/// Past values of each of two or three inputs.
const TAPS_FEW: &[usize] = &[1, 2, 3, 4, 5, 6, 8, 10, 12, 16, 20, 24];
/// Past values of each of more inputs.
const TAPS_MANY: &[usize] = &[1, 2, 3, 4, 6, 8];
/// Past target values at the origin beside its averages.
pub(super) const TARGET_TAPS: [usize; 4] = [1, 2, 3, 5];
/// Hinges, and the time constants of their averages in steps.
pub(super) const HINGES: usize = 60;
pub(super) const POOLS: [f64; 4] = [2.0, 4.0, 8.0, 16.0];
/// Thresholds of the hinges lie within so many deviations of their projection.
const THRESHOLD: f64 = 1.5;
/// Waves, and their frequency for a vector of so many entries; higher frequencies for half of them.
pub(super) const WAVES: usize = 200;
const FREQUENCY: (f64, f64) = (0.15, 6.0);
const FASTER: f64 = 2.0;
/// Values of an input that the waves see: now, and the averages that are held at an origin.
const SEEN_EACH: usize = 1 + HELD_EACH;
/// Decides every random weight.
const SEED: u64 = 0x0074_7769_6e00;

/// How many signals there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Shape {
    /// Inputs whose future is known or assumed.
    pub(super) inputs: usize,
    /// Signals known up to the origin, beside the target.
    pub(super) others: usize,
}

/// A linear projection of the drive, made to have mean 0 and deviation 1 on the training samples.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Standard {
    mean: f64,
    gain: f64,
}

/// What is kept of a basis: the rest follows from the shape.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Stored {
    shape: Shape,
    horizon: usize,
    standards: Vec<Standard>,
}

/// The features for signals of one shape.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(from = "Stored", into = "Stored")]
pub(super) struct Basis {
    shape: Shape,
    /// The horizon that `ln` of the steps ahead is measured in.
    horizon: usize,
    coefficients: Coefficients,
    taps: &'static [usize],
    /// Row after row, as wide as the drive.
    projections: Vec<f64>,
    thresholds: Vec<f64>,
    standards: Vec<Standard>,
    /// Row after row, as wide as what the waves see: of the inputs at the instant predicted, and of what is held at
    /// the origin; and of how far ahead it lies.
    moving: Vec<f64>,
    standing: Vec<f64>,
    leading: Vec<f64>,
    phases: Vec<f64>,
}

impl From<Basis> for Stored {
    fn from(basis: Basis) -> Self {
        Self { shape: basis.shape, horizon: basis.horizon, standards: basis.standards }
    }
}

impl From<Stored> for Basis {
    fn from(stored: Stored) -> Self {
        let mut basis = Self::drawn(stored.shape, stored.horizon);
        if stored.standards.len() == HINGES {
            basis.standards = stored.standards;
        }
        basis
    }
}

/// Where the groups of features lie in a row.
#[derive(Clone, Copy, Debug)]
pub(super) struct Groups {
    /// Linear features in front of the intercept, whose place this is.
    pub(super) intercept: usize,
    /// First hinge.
    pub(super) hinges: usize,
    /// First wave.
    pub(super) waves: usize,
    /// All features.
    pub(super) width: usize,
}

impl Basis {
    fn drawn(shape: Shape, horizon: usize) -> Self {
        let taps = match shape.inputs {
            1 => TAPS_ALONE,
            2 | 3 => TAPS_FEW,
            _ => TAPS_MANY,
        };
        let mut draw = ChaCha8Rng::seed_from_u64(SEED);
        let mut normal = |count: usize, scale: f64| -> Vec<f64> {
            (0..count)
                .map(|_| scale * <StandardNormal as rand_distr::Distribution<f64>>::sample(&StandardNormal, &mut draw))
                .collect()
        };
        let drive = shape.inputs * (PER_INPUT + taps.len());
        let projections = normal(HINGES * drive, 1.0);
        let seen = shape.inputs * (SEEN_EACH + HELD_EACH) + HELD_EACH + shape.others + 1;
        let mut frequencies = normal(WAVES * seen, FREQUENCY.0 * (FREQUENCY.1 / seen as f64).sqrt());
        for value in &mut frequencies[WAVES / 2 * seen..] {
            *value *= FASTER;
        }
        let moving = shape.inputs * SEEN_EACH;
        let some = |columns: Range<usize>| -> Vec<f64> {
            frequencies.chunks_exact(seen).flat_map(|row| &row[columns.clone()]).copied().collect()
        };
        let (moving, standing, leading) = (some(0..moving), some(moving..seen - 1), some(seen - 1..seen));
        let mut between = |low: f64, high: f64, count: usize| -> Vec<f64> {
            let spread = Uniform::new(low, high).expect("the bounds are in order");
            (0..count).map(|_| spread.sample(&mut draw)).collect()
        };
        Self {
            shape,
            horizon: horizon.max(2),
            coefficients: Coefficients::new(),
            taps,
            projections,
            thresholds: between(-THRESHOLD, THRESHOLD, HINGES),
            standards: vec![Standard { mean: 0.0, gain: 1.0 }; HINGES],
            moving,
            standing,
            leading,
            phases: between(0.0, std::f64::consts::TAU, WAVES),
        }
    }

    /// The basis for histories like `context` and forecasts of `horizon` steps.
    pub(super) fn of(context: &Context<'_>, horizon: usize) -> Self {
        let shape = Shape { inputs: context.inputs.len(), others: context.others.len() };
        let mut basis = Self::drawn(shape, horizon);
        basis.standardise(context);
        basis
    }

    /// Mean and deviation of every projection over the samples of `context`, about
    /// [`Basis::STANDARD_SAMPLES`] of them.
    fn standardise(&mut self, context: &Context<'_>) {
        let stride = (context.len() / Self::STANDARD_SAMPLES).max(1);
        let mut sums = vec![(0.0, 0.0); HINGES];
        let mut count = 0.0;
        for &(start, end) in &context.segments {
            let mut drive = Drive::begin(self, Uses::NONE, |input| context.inputs[input][start]);
            for t in start + 1..end {
                drive.move_inputs(self, |input| context.inputs[input][t]);
                if t.is_multiple_of(stride) {
                    drive.gather(self);
                    count += 1.0;
                    for (sum, row) in sums.iter_mut().zip(self.projections.chunks_exact(drive.values.len().max(1))) {
                        let value = dot(row, &drive.values);
                        sum.0 += value;
                        sum.1 += value * value;
                    }
                }
            }
        }
        for (standard, (sum, squares)) in self.standards.iter_mut().zip(sums) {
            let mean = sum / f64::max(count, 1.0);
            let variance = squares / f64::max(count, 1.0) - mean * mean;
            *standard = Standard { mean, gain: if variance > 1e-12 { variance.sqrt().recip() } else { 0.0 } };
        }
    }

    /// Samples that tell mean and deviation of a projection.
    const STANDARD_SAMPLES: usize = 4_000;

    /// Where the groups lie.
    pub(super) fn groups(&self) -> Groups {
        let intercept = self.drive_width() + self.held_width() * FADES.len();
        let hinges = intercept + 1;
        let waves = hinges + HINGES * (1 + POOLS.len());
        Groups { intercept, hinges, waves, width: waves + WAVES }
    }

    /// Averages and taps of all inputs.
    pub(super) fn drive_width(&self) -> usize {
        self.shape.inputs * (PER_INPUT + self.taps.len())
    }

    /// Inputs whose future is known or assumed.
    pub(super) fn inputs(&self) -> usize {
        self.shape.inputs
    }

    /// Lags of an input beside its averages.
    pub(super) fn taps(&self) -> &'static [usize] {
        self.taps
    }

    /// The coefficients of the averages.
    pub(super) fn coefficients(&self) -> &Coefficients {
        &self.coefficients
    }

    /// All hinges, instant by instant, where averages and taps are `values`, instant by instant.
    pub(super) fn hinges(&self, values: &[f64]) -> Vec<f64> {
        let mut hinges = products(values, &self.projections, self.drive_width());
        for row in hinges.chunks_exact_mut(HINGES) {
            for ((value, Standard { mean, gain }), threshold) in
                row.iter_mut().zip(&self.standards).zip(&self.thresholds)
            {
                *value = ((*value - mean) * gain - threshold).max(0.0);
            }
        }
        hinges
    }

    fn held_width(&self) -> usize {
        HELD_EACH * (1 + self.shape.inputs + self.shape.others) + TARGET_TAPS.len()
    }

    /// What the inputs add to the phase of every wave, instant by instant, where the waves see `seen` of them, instant by
    /// instant.
    pub(super) fn phases(&self, seen: &[f64]) -> Vec<f64> {
        products(seen, &self.moving, self.shape.inputs * SEEN_EACH)
    }

    /// The phase of every wave at an origin whose `seen` is held, before the inputs move it.
    pub(super) fn phases_at(&self, seen: &[f64]) -> Vec<f64> {
        let rows = self.standing.chunks_exact(seen.len().max(1));
        rows.zip(&self.phases).map(|(row, phase)| dot(row, seen) + phase).collect()
    }

    /// Every wave `ahead` steps after an origin.
    pub(super) fn waves(&self, drive: &Drive, held: &Held, ahead: usize) -> [f64; WAVES] {
        // Beyond what was fitted the answer goes on as at its end.
        let ahead = ahead.min(self.horizon);
        let ahead = 2.0 * (ahead as f64).ln() / (self.horizon as f64).ln() - 1.0;
        let mut waves = [0.0; WAVES];
        let phases = drive.waves.iter().zip(&held.phases).zip(&self.leading);
        for (wave, ((moved, stood), leads)) in waves.iter_mut().zip(phases) {
            *wave = moved + stood + leads * ahead;
        }
        cosines(&mut waves);
        waves
    }
}

impl Basis {
    /// Where the features lie in a row, with what came behind them: those of an instant and what came, what is held at an
    /// origin, and the waves, which each row has of its own.
    pub(super) fn row(&self) -> Columns {
        let Groups { intercept, waves, width, .. } = self.groups();
        let held = self.drive_width();
        let instant = (0..held).chain(intercept..waves).chain([width]).collect();
        Columns { instant, held, values: self.held_width(), own: waves }
    }

    /// The weighted sum of the features; groups without weights cost nothing.
    pub(super) fn weighted(&self, weights: &[f64], uses: Uses, drive: &Drive, held: &Held, ahead: usize) -> f64 {
        let groups = self.groups();
        let inputs = drive.values.len();
        let mut sum = dot(&weights[..inputs], &drive.values) + weights[groups.intercept];
        let fades = fades(ahead);
        for (value, weights) in held.values.iter().zip(weights[inputs..groups.intercept].chunks_exact(FADES.len())) {
            sum += value * dot(&fades, weights);
        }
        if uses.hinges {
            sum += dot(drive.hinges.as_flattened(), &weights[groups.hinges..groups.waves]);
        }
        if uses.waves {
            sum += dot(&self.waves(drive, held, ahead), &weights[groups.waves..]);
        }
        sum
    }

    /// The columns of a variant, ascending, the intercept among them.
    pub(super) fn columns(&self, uses: Uses) -> Vec<usize> {
        let Groups { hinges, waves, width, .. } = self.groups();
        let mut columns: Vec<usize> = (0..hinges).collect();
        if uses.hinges {
            columns.extend(hinges..waves);
        }
        if uses.waves {
            columns.extend(waves..width);
        }
        columns
    }
}

impl Uses {
    /// All groups.
    pub(super) const ALL: Self = Self { hinges: true, waves: true };
    /// None of them.
    pub(super) const NONE: Self = Self { hinges: false, waves: false };
}

/// Which groups of features an answer uses beside the linear ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Uses {
    /// Hinges and their averages.
    pub(super) hinges: bool,
    /// Waves.
    pub(super) waves: bool,
}
