//! From a false-alarm rate to a threshold: the tail of the distances of normal operation.

use statrs::distribution::{ChiSquared, ContinuousCDF as _, FisherSnedecor};

/// Share of the distances below the beginning of the tail.
const BODY: f64 = 0.98;
/// Distances in the tail from which on its shape can be told.
const FEWEST_IN_TAIL: usize = 20;

/// Distances of normal operation, and a generalised Pareto distribution of the largest of them (peaks
/// over threshold, as in SPOT: Siffer et al. 2017).
#[derive(Clone, Debug, Default)]
pub struct Tail {
    /// Ascending.
    sorted: Vec<f64>,
    pareto: Option<Pareto>,
}

/// Excesses over `begin`.
#[derive(Clone, Copy, Debug)]
struct Pareto {
    begin: f64,
    /// Share of all distances that lie beyond `begin`.
    share: f64,
    shape: f64,
    scale: f64,
}

impl Tail {
    /// Fits the tail by probability-weighted moments (Hosking and Wallis 1987). Too few distances have
    /// none: their order alone decides.
    #[must_use]
    pub fn fit(mut distances: Vec<f64>) -> Self {
        distances.retain(|distance| distance.is_finite());
        distances.sort_by(f64::total_cmp);
        let first = (distances.len() as f64 * BODY) as usize;
        let pareto = distances.get(first.saturating_sub(1)).copied().and_then(|begin| {
            let excesses: Vec<f64> = distances[first..].iter().map(|distance| distance - begin).collect();
            if excesses.len() < FEWEST_IN_TAIL {
                return None;
            }
            let count = excesses.len() as f64;
            let mean = excesses.iter().sum::<f64>() / count;
            let weight = |place: usize| (count - 1.0 - place as f64) / (count - 1.0);
            let weighted =
                excesses.iter().enumerate().map(|(place, excess)| excess * weight(place)).sum::<f64>() / count;
            let between = mean - 2.0 * weighted;
            let (shape, scale) = (2.0 - mean / between, 2.0 * mean * weighted / between);
            let usable = between > 0.0 && shape.is_finite() && scale > 0.0 && scale.is_finite();
            let share = count / distances.len() as f64;
            usable.then_some(Pareto { begin, share, shape: shape.clamp(-0.5, 0.5), scale })
        });
        Self { sorted: distances, pareto }
    }

    /// How many distances it knows.
    #[must_use]
    pub fn len(&self) -> usize {
        self.sorted.len()
    }

    /// Whether it knows none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.sorted.is_empty()
    }

    /// What a distance of normal operation exceeds with the probability `rate`.
    ///
    /// Inside the body, and without a tail that can be told, it is the conformal quantile: the
    /// `(n + 1)(1 - rate)`-th smallest of n distances, the largest one where that is beyond them.
    #[must_use]
    pub fn threshold(&self, rate: f64) -> f64 {
        if let Some(pareto) = self.pareto.filter(|pareto| rate < pareto.share) {
            return pareto.threshold(rate);
        }
        let rank = ((self.sorted.len() + 1) as f64 * (1.0 - rate)).ceil() as usize;
        self.sorted.get(rank.clamp(1, self.sorted.len().max(1)) - 1).copied().unwrap_or(f64::MAX)
    }
}

impl Pareto {
    fn threshold(self, rate: f64) -> f64 {
        let ratio = rate.max(f64::MIN_POSITIVE) / self.share;
        if self.shape.abs() < 1e-6 {
            self.begin - self.scale * ratio.ln()
        } else {
            self.begin + self.scale / self.shape * (ratio.powf(-self.shape) - 1.0)
        }
    }
}

/// The quantile of the chi-squared distribution.
#[must_use]
pub fn chi_squared_quantile(level: f64, freedom: f64) -> f64 {
    ChiSquared::new(freedom).map_or(f64::INFINITY, |distribution| distribution.inverse_cdf(level))
}

/// What the squared Mahalanobis distance of one more Gaussian sample in `width` dimensions exceeds with the
/// probability `rate`, when mean and covariance are known from `count` others alone (the prediction limit
/// of Hotelling's T2, Tracy, Young and Mason 1992). Never less than what it is when both are known.
#[must_use]
pub fn prediction_limit(rate: f64, width: f64, count: f64) -> f64 {
    let known = chi_squared_quantile(1.0 - rate, width);
    let left = count - width;
    let Ok(ratio) = FisherSnedecor::new(width, left) else { return f64::INFINITY };
    let factor = width * (count + 1.0) * (count - 1.0) / (count * left);
    known.max(factor * ratio.inverse_cdf(1.0 - rate))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_those_of_the_tables() {
        for (level, freedom, quantile) in [(0.95, 1.0, 3.841), (0.99, 8.0, 20.09), (0.999, 30.0, 59.70)] {
            let found = chi_squared_quantile(level, freedom);
            assert!((found / quantile - 1.0).abs() < 1e-3, "{found} for {quantile}");
        }
        // F(2, 20) is exceeded by 1 % at 5.849; nobody knows anything from two samples of two signals.
        let found = prediction_limit(0.01, 2.0, 22.0);
        assert!((found / (2.0 * 23.0 * 21.0 / (22.0 * 20.0) * 5.849) - 1.0).abs() < 1e-3, "{found}");
        assert_eq!(prediction_limit(0.01, 2.0, 2.0), f64::INFINITY);
        let known = chi_squared_quantile(0.99, 2.0);
        assert!((prediction_limit(0.01, 2.0, 1e7) / known - 1.0).abs() < 1e-3);
    }

    #[test]
    fn the_tail_of_an_exponential_distribution_goes_on_beyond_what_was_seen() {
        let distances: Vec<f64> = (0..5_000).map(|k| -(1.0 - (f64::from(k) + 0.5) / 5_000.0).ln()).collect();
        let tail = Tail::fit(distances);
        for rate in [0.05, 0.01, 1e-3, 1e-4] {
            let found = tail.threshold(rate);
            assert!((found + rate.ln()).abs() < 0.06 * -rate.ln(), "{found} at {rate}");
        }
        assert!(tail.threshold(1e-5) > tail.threshold(1e-4));
    }

    #[test]
    fn few_distances_are_taken_as_they_come() {
        let tail = Tail::fit((1..=99).map(f64::from).chain([f64::NAN]).collect());
        assert_eq!(tail.len(), 99);
        assert_eq!((tail.threshold(0.1), tail.threshold(0.001)), (90.0, 99.0));
    }
}
