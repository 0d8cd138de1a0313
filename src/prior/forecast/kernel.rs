//! Compositions of kernels (Ansari et al. 2024, `KernelSynth`): leaves that are smooth, rough,
//! periodic or straight, added and multiplied.
//!
//! A product of independent draws has the product of their kernels as its covariance (though it is
//! no Gaussian process any more), and a sum the sum. So no covariance matrix is ever built, and a
//! series costs its length.

use super::super::draw::Draw;
use super::super::signals::{add_tone, coloured, standardise};
use super::add;

/// Periods in steps, for hourly to 10-minute data.
const PERIODS: [usize; 10] = [24, 24, 48, 96, 96, 144, 168, 168, 336, 672];
/// Tones that stand for a smooth kernel's spectrum.
const TONES: usize = 24;
/// Highest harmonic of a periodic leaf.
const HARMONICS: usize = 8;

/// A kernel that a leaf is drawn from.
#[derive(Clone, Copy, Debug)]
enum Leaf {
    /// Squared exponential of this length.
    Smooth(f64),
    /// Several lengths at once (a rational quadratic is such a mixture).
    Mixed(f64),
    /// Exponential of this length (an Ornstein-Uhlenbeck process).
    Rough(f64),
    /// Repeats after this many steps; the second number is large for a wave that is nearly a sine.
    Periodic(f64, f64),
    /// A straight line.
    Straight,
    /// No memory.
    White,
}

impl Leaf {
    fn draw(draw: &mut Draw, steps: usize) -> Self {
        let long = steps.max(32) as f64;
        match draw.whole(0, 10) {
            0 => Self::Smooth(draw.log_uniform(4.0, long)),
            1 => Self::Mixed(draw.log_uniform(8.0, long / 2.0)),
            2 | 3 => Self::Rough(draw.log_uniform(1.0, long / 2.0)),
            4..8 => {
                let period = if draw.chance(0.8) { draw.pick(&PERIODS) as f64 } else { draw.log_uniform(6.0, 500.0) };
                Self::Periodic(period, draw.log_uniform(0.2, 1.5))
            }
            8 => Self::Straight,
            _ => Self::White,
        }
    }

    /// One draw, mean 0 and deviation 1 (a line keeps its ends).
    fn sample(self, draw: &mut Draw, steps: usize) -> Vec<f64> {
        let mut y = match self {
            Self::Smooth(length) => tones(draw, steps, |draw| draw.normal() / length),
            Self::Mixed(length) => tones(draw, steps, |draw| draw.normal() / (length * draw.log_uniform(0.1, 10.0))),
            Self::Rough(length) => coloured(draw, steps, length),
            Self::Periodic(period, width) => {
                let mut y = vec![0.0; steps];
                for harmonic in 1..=HARMONICS {
                    let h = harmonic as f64;
                    let size = (-0.5 * (h * width).powi(2)).exp() * draw.normal();
                    add_tone(&mut y, h / period, draw.uniform(0.0, 1.0), size);
                }
                y
            }
            Self::Straight => {
                let slope = draw.sign();
                (0..steps).map(|t| slope * t as f64).collect()
            }
            Self::White => (0..steps).map(|_| draw.normal()).collect(),
        };
        standardise(&mut y);
        y
    }
}

/// Random Fourier features: tones whose angular frequencies come from a kernel's spectrum.
fn tones(draw: &mut Draw, steps: usize, frequency: impl Fn(&mut Draw) -> f64) -> Vec<f64> {
    let mut y = vec![0.0; steps];
    for _ in 0..TONES {
        let turns = frequency(draw) / std::f64::consts::TAU;
        add_tone(&mut y, turns, draw.uniform(0.0, 1.0), 1.0);
    }
    y
}

/// Two to five leaves, added or multiplied one after the other, with a little noise.
pub(super) fn composition(draw: &mut Draw, steps: usize) -> Vec<f64> {
    let mut y = Leaf::draw(draw, steps).sample(draw, steps);
    for _ in 0..draw.whole(1, 5) {
        let leaf = Leaf::draw(draw, steps).sample(draw, steps);
        if draw.chance(0.4) {
            // Around 1, so that an envelope scales what is there instead of erasing it half the time.
            let depth = draw.uniform(0.3, 1.0);
            for (v, k) in y.iter_mut().zip(leaf) {
                *v *= 1.0 - depth + depth * k;
            }
        } else {
            add(&mut y, &leaf, draw.log_uniform(0.2, 3.0));
        }
        standardise(&mut y);
    }
    let noise = draw.log_uniform(0.005, 0.3);
    y.iter_mut().for_each(|v| *v += noise * draw.normal());
    y
}

#[cfg(test)]
mod tests {
    use super::super::super::draw::Purpose;
    use super::super::measure::{autocorrelation, median};
    use super::*;

    fn draws(leaf: Leaf, steps: usize) -> impl Iterator<Item = Vec<f64>> {
        (0..40).map(move |index| leaf.sample(&mut Draw::new(9, index, 0, Purpose::System), steps))
    }

    #[test]
    fn a_periodic_leaf_repeats_exactly() {
        for y in draws(Leaf::Periodic(24.0, 0.5), 240) {
            assert!(y.iter().zip(&y[24..]).all(|(a, b)| (a - b).abs() < 1e-6));
        }
    }

    #[test]
    fn leaves_have_the_memory_of_their_kernels() {
        let near = |leaf, lag| median(draws(leaf, 4_096).map(|y| autocorrelation(&y, lag)).collect());
        let rough = near(Leaf::Rough(20.0), 20);
        assert!((rough - (-1.0_f64).exp()).abs() < 0.1, "{rough}");
        let smooth = near(Leaf::Smooth(20.0), 20);
        assert!((smooth - (-0.5_f64).exp()).abs() < 0.15, "{smooth}");
        assert!(near(Leaf::White, 1).abs() < 0.05);
        // One step on, a smooth draw has hardly moved and a rough one has.
        assert!(near(Leaf::Smooth(20.0), 1) > near(Leaf::Rough(20.0), 1) + 0.02);
    }

    #[test]
    fn a_product_has_the_product_of_the_correlations() {
        let (wave, envelope) = (Leaf::Periodic(24.0, 1.2), Leaf::Rough(200.0));
        let products = (0..60).map(|index| {
            let mut draw = Draw::new(10, index, 0, Purpose::System);
            let (a, b) = (wave.sample(&mut draw, 8_192), envelope.sample(&mut draw, 8_192));
            let y: Vec<f64> = a.iter().zip(&b).map(|(a, b)| a * b).collect();
            autocorrelation(&y, 24)
        });
        let product = median(products.collect());
        assert!((product - (-24.0_f64 / 200.0).exp()).abs() < 0.08, "{product}");
    }
}
