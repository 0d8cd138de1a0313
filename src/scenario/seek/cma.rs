//! CMA-ES, asked for points and told how they rank.
//!
//! Hansen 2016, "The CMA Evolution Strategy: A Tutorial", arXiv 1604.00772: weighted recombination,
//! cumulative step-size adaptation, rank-one and rank-mu updates with the default parameters of its
//! table 1 (positive weights only). Points live in the unit cube; one that leaves it is put back on its
//! side before it is handed out. Only ranks are told, so any order of good and bad will do, that of a
//! constrained problem too. Everything follows from the seed.

use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution as _, StandardNormal};

/// Sweeps of the eigenvalue iteration at most; it converges quadratically within a few.
const SWEEPS: usize = 30;
/// The step size is never larger than the cube is wide.
const WIDEST: f64 = 1.0;

/// A search in the unit cube.
#[derive(Clone, Debug)]
pub struct Cma {
    draw: ChaCha8Rng,
    mean: Vec<f64>,
    sigma: f64,
    /// Covariance, its eigenvectors (columns) and the roots of its eigenvalues.
    covariance: Vec<Vec<f64>>,
    axes: Vec<Vec<f64>>,
    lengths: Vec<f64>,
    path: Vec<f64>,
    sigma_path: Vec<f64>,
    weights: Vec<f64>,
    population: usize,
    generation: usize,
    rates: Rates,
}

/// Learning rates of Hansen's table 1.
#[derive(Clone, Copy, Debug)]
struct Rates {
    effective: f64,
    sigma: f64,
    damping: f64,
    path: f64,
    one: f64,
    mu: f64,
    /// Expected length of a standard normal vector.
    length: f64,
}

impl Cma {
    /// A search around `mean` with a first step size.
    #[must_use]
    pub fn new(mean: Vec<f64>, sigma: f64, seed: u64) -> Self {
        let n = mean.len();
        let size = n as f64;
        let population = 4 + (3.0 * size.ln()).floor() as usize;
        let parents = population / 2;
        let raw = (1..=parents).map(|rank| (f64::midpoint(population as f64, 1.0)).ln() - (rank as f64).ln());
        let sum: f64 = raw.clone().sum();
        let weights: Vec<f64> = raw.map(|weight| weight / sum).collect();
        let effective = 1.0 / weights.iter().map(|weight| weight * weight).sum::<f64>();
        let sigma_rate = (effective + 2.0) / (size + effective + 5.0);
        let one = 2.0 / ((size + 1.3).powi(2) + effective);
        let mu = 2.0 * (effective - 2.0 + 1.0 / effective) / ((size + 2.0).powi(2) + effective);
        let rates = Rates {
            effective,
            sigma: sigma_rate,
            damping: 1.0 + 2.0 * (((effective - 1.0) / (size + 1.0)).sqrt() - 1.0).max(0.0) + sigma_rate,
            path: (4.0 + effective / size) / (size + 4.0 + 2.0 * effective / size),
            one,
            mu: mu.clamp(0.0, 1.0 - one),
            length: size.sqrt() * (1.0 - 1.0 / (4.0 * size) + 1.0 / (21.0 * size * size)),
        };
        let unit = |i: usize| (0..n).map(|j| f64::from(u8::from(i == j))).collect::<Vec<f64>>();
        Self {
            draw: ChaCha8Rng::seed_from_u64(seed),
            sigma,
            covariance: (0..n).map(unit).collect(),
            axes: (0..n).map(unit).collect(),
            lengths: vec![1.0; n],
            path: vec![0.0; n],
            sigma_path: vec![0.0; n],
            weights,
            population,
            generation: 0,
            rates,
            mean,
        }
    }

    /// The points of a generation.
    pub fn ask(&mut self) -> Vec<Vec<f64>> {
        (0..self.population)
            .map(|_| {
                let draw = &mut self.draw;
                let mut normal = || -> f64 { StandardNormal.sample(draw) };
                let scaled: Vec<f64> = self.lengths.iter().map(|length| length * normal()).collect();
                let point = self.mean.iter().enumerate().map(|(row, mean)| {
                    let along: f64 = self.axes[row].iter().zip(&scaled).map(|(axis, z)| axis * z).sum();
                    (mean + self.sigma * along).clamp(0.0, 1.0)
                });
                point.collect()
            })
            .collect()
    }

    /// Learns from a generation: the points that were handed out, best first.
    pub fn tell(&mut self, best_first: &[&[f64]]) {
        let n = self.mean.len();
        let Rates { effective, sigma, damping, path, one, mu, length } = self.rates;
        let steps: Vec<Vec<f64>> = best_first
            .iter()
            .take(self.weights.len())
            .map(|point| point.iter().zip(&self.mean).map(|(value, mean)| (value - mean) / self.sigma).collect())
            .collect();
        let step: Vec<f64> =
            (0..n).map(|i| self.weights.iter().zip(&steps).map(|(weight, step)| weight * step[i]).sum()).collect();
        self.mean.iter_mut().zip(&step).for_each(|(mean, step)| *mean += self.sigma * step);

        // C^(-1/2) times the step.
        let along: Vec<f64> =
            (0..n).map(|k| (0..n).map(|i| self.axes[i][k] * step[i]).sum::<f64>() / self.lengths[k]).collect();
        let kick = (sigma * (2.0 - sigma) * effective).sqrt();
        for i in 0..n {
            let white: f64 = (0..n).map(|k| self.axes[i][k] * along[k]).sum();
            self.sigma_path[i] = (1.0 - sigma) * self.sigma_path[i] + kick * white;
        }
        self.generation += 1;
        let norm = self.sigma_path.iter().map(|value| value * value).sum::<f64>().sqrt();
        let settled = (1.0 - (1.0 - sigma).powi(2 * self.generation as i32)).sqrt();
        let stalled = norm / settled >= (1.4 + 2.0 / (n as f64 + 1.0)) * length;
        let kick = if stalled { 0.0 } else { (path * (2.0 - path) * effective).sqrt() };
        for (trace, step) in self.path.iter_mut().zip(&step) {
            *trace = (1.0 - path) * *trace + kick * step;
        }
        let kept = 1.0 - one - mu + if stalled { one * path * (2.0 - path) } else { 0.0 };
        for i in 0..n {
            for j in 0..=i {
                let outer: f64 = self.weights.iter().zip(&steps).map(|(weight, step)| weight * step[i] * step[j]).sum();
                let value = kept * self.covariance[i][j] + one * self.path[i] * self.path[j] + mu * outer;
                self.covariance[i][j] = value;
                self.covariance[j][i] = value;
            }
        }
        self.sigma = (self.sigma * ((sigma / damping) * (norm / length - 1.0)).exp()).min(WIDEST);
        let (axes, values) = eigen(&self.covariance);
        self.axes = axes;
        self.lengths = values.into_iter().map(|value| value.max(1e-20).sqrt()).collect();
    }

    /// Points of a generation.
    #[must_use]
    pub fn population(&self) -> usize {
        self.population
    }

    /// The longest deviation of the points that will be handed out.
    #[must_use]
    pub fn spread(&self) -> f64 {
        self.sigma * self.lengths.iter().fold(0.0, |most: f64, length| most.max(*length))
    }
}

/// Eigenvectors (as columns) and eigenvalues of a symmetric matrix, by cyclic Jacobi rotations (Golub
/// and Van Loan, section 8.5).
fn eigen(matrix: &[Vec<f64>]) -> (Vec<Vec<f64>>, Vec<f64>) {
    let n = matrix.len();
    let mut a = matrix.to_vec();
    let mut v: Vec<Vec<f64>> = (0..n).map(|i| (0..n).map(|j| f64::from(u8::from(i == j))).collect()).collect();
    let total: f64 = a.iter().flatten().map(|value| value * value).sum();
    for _ in 0..SWEEPS {
        let off: f64 = (0..n).flat_map(|i| (0..i).map(move |j| (i, j))).map(|(i, j)| a[i][j] * a[i][j]).sum();
        if off <= 1e-24 * total {
            break;
        }
        for p in 0..n {
            for q in p + 1..n {
                if a[p][q] == 0.0 {
                    continue;
                }
                let theta = (a[q][q] - a[p][p]) / (2.0 * a[p][q]);
                let t = theta.signum() / (theta.abs() + (theta * theta + 1.0).sqrt());
                let c = 1.0 / (t * t + 1.0).sqrt();
                let s = t * c;
                for row in a.iter_mut().chain(&mut v) {
                    let (x, y) = (row[p], row[q]);
                    (row[p], row[q]) = (c * x - s * y, s * x + c * y);
                }
                let (upper, lower) = a.split_at_mut(q);
                for (x, y) in upper[p].iter_mut().zip(&mut lower[0]) {
                    (*x, *y) = (c * *x - s * *y, s * *x + c * *y);
                }
            }
        }
    }
    let values = (0..n).map(|i| a[i][i]).collect();
    (v, values)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The best cost after so many generations.
    fn minimise(n: usize, generations: usize, cost: impl Fn(&[f64]) -> f64) -> f64 {
        let mut search = Cma::new(vec![0.8; n], 0.3, 7);
        let mut best = f64::INFINITY;
        for _ in 0..generations {
            let points = search.ask();
            assert!(points.iter().flatten().all(|value| (0.0..=1.0).contains(value)));
            let mut ranked: Vec<(f64, &[f64])> = points.iter().map(|point| (cost(point), point.as_slice())).collect();
            ranked.sort_by(|one, other| one.0.total_cmp(&other.0));
            best = best.min(ranked[0].0);
            search.tell(&ranked.iter().map(|(_, point)| *point).collect::<Vec<_>>());
        }
        best
    }

    #[test]
    fn a_sphere_an_ellipsoid_and_a_bent_valley_are_descended() {
        assert!(minimise(12, 120, |x| x.iter().map(|v| (v - 0.3).powi(2)).sum()) < 1e-6);
        let ellipsoid = |x: &[f64]| {
            x.iter().enumerate().map(|(i, v)| 10_f64.powf(3.0 * i as f64 / 9.0) * (v - 0.4).powi(2)).sum::<f64>()
        };
        assert!(minimise(10, 250, ellipsoid) < 1e-6);
        let valley =
            |x: &[f64]| x.windows(2).map(|p| 100.0 * (p[1] - p[0] * p[0]).powi(2) + (0.9 - p[0]).powi(2)).sum::<f64>();
        assert!(minimise(4, 400, valley) < 0.05);
    }

    #[test]
    fn an_optimum_on_the_side_of_the_cube_is_reached() {
        assert!(minimise(8, 150, |x| x.iter().map(|v| (v - 1.2).powi(2)).sum::<f64>() - 8.0 * 0.04) < 1e-3);
    }

    #[test]
    fn eigenvectors_undo_a_rotation() {
        let matrix = vec![vec![4.0, 1.0, 0.5], vec![1.0, 3.0, 0.2], vec![0.5, 0.2, 1.0]];
        let (axes, values) = eigen(&matrix);
        for i in 0..3 {
            for j in 0..3 {
                let back: f64 = (0..3).map(|k| axes[i][k] * values[k] * axes[j][k]).sum();
                assert!((back - matrix[i][j]).abs() < 1e-10);
            }
        }
    }

    #[test]
    fn the_seed_decides_all() {
        let run = |seed| Cma::new(vec![0.5; 5], 0.2, seed).ask();
        assert_eq!(run(3), run(3));
        assert_ne!(run(3), run(4));
    }
}
