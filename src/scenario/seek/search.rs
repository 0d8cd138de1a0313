//! The search: asks for schedules, is told what came of them, and keeps the best.
//!
//! It knows nothing of models: whoever can simulate schedules can search with it, which is how the
//! true optimum of a known plant is found too. A schedule that breaks nothing is better than one that
//! does; of two that break something the one that breaks less is better (Deb 2000, doi
//! 10.1016/S0045-7825(99)00389-8). Everything follows from the seed.

use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use super::cma::Cma;
use super::schedule::Freedom;

/// First step size, as a share of each range.
const FIRST: f64 = 0.25;
/// Constant schedules that are tried before the first generation.
const TRIED: usize = 24;
/// A search whose points lie so near together has found its optimum.
const FOUND: f64 = 0.004;
/// Generations without a gain after which a search begins anew elsewhere.
const PATIENCE: usize = 15;
/// Root mean square distance, as a share of the ranges, from which schedules are different ones.
pub(super) const DISTINCT: f64 = 0.1;

/// What came of a schedule.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Worth {
    /// The less the better.
    pub cost: f64,
    /// By how much it breaks what it must keep; 0 when it breaks nothing.
    pub broken: f64,
}

/// A schedule that was tried.
#[derive(Clone, Debug, PartialEq)]
pub struct Tried {
    /// Knots of all controls, 0..1.
    pub knots: Vec<f64>,
    /// What came of it.
    pub worth: Worth,
}

/// A search for the best schedule of several controls.
#[derive(Clone, Debug)]
pub struct Search {
    freedoms: Vec<Freedom>,
    steps: usize,
    seed: u64,
    draw: ChaCha8Rng,
    cma: Option<Cma>,
    asked: Vec<Vec<f64>>,
    tried: Vec<Tried>,
    best: f64,
    idle: usize,
    starts: u64,
}

impl Worth {
    /// Whether it breaks nothing.
    #[must_use]
    pub fn is_sound(self) -> bool {
        self.broken <= 0.0
    }

    /// Which of two is better: less.
    #[must_use]
    pub fn order(&self, other: &Self) -> std::cmp::Ordering {
        let by_cost = self.cost.total_cmp(&other.cost);
        match (self.is_sound(), other.is_sound()) {
            (true, true) => by_cost,
            (true, false) => std::cmp::Ordering::Less,
            (false, true) => std::cmp::Ordering::Greater,
            (false, false) => self.broken.total_cmp(&other.broken).then(by_cost),
        }
    }
}

impl Search {
    /// A search over `steps`.
    #[must_use]
    pub fn new(freedoms: Vec<Freedom>, steps: usize, seed: u64) -> Self {
        Self {
            freedoms,
            steps,
            seed,
            draw: ChaCha8Rng::seed_from_u64(seed ^ 0x7365_656b),
            cma: None,
            asked: Vec::new(),
            tried: Vec::new(),
            best: f64::INFINITY,
            idle: 0,
            starts: 0,
        }
    }

    /// The controls that are free.
    #[must_use]
    pub fn freedoms(&self) -> &[Freedom] {
        &self.freedoms
    }

    /// Knots of a generation: everything held and some constant schedules first.
    pub fn ask(&mut self) -> &[Vec<f64>] {
        self.asked = match &mut self.cma {
            Some(cma) => cma.ask(),
            None => {
                let mut all = vec![self.freedoms.iter().flat_map(Freedom::hold).collect::<Vec<f64>>()];
                all.extend((1..TRIED).map(|_| self.constant()));
                all
            }
        };
        &self.asked
    }

    /// What came of the schedules that were asked for, in their order.
    pub fn tell(&mut self, worths: &[Worth]) {
        let asked = std::mem::take(&mut self.asked);
        let mut generation: Vec<Tried> =
            asked.into_iter().zip(worths).map(|(knots, worth)| Tried { knots, worth: *worth }).collect();
        generation.sort_by(|one, other| one.worth.order(&other.worth));
        if let Some(cma) = &mut self.cma {
            cma.tell(&generation.iter().map(|tried| tried.knots.as_slice()).collect::<Vec<_>>());
        }
        let rank = |worth: &Worth| if worth.is_sound() { worth.cost } else { f64::MAX };
        let found = generation.first().map_or(f64::INFINITY, |tried| rank(&tried.worth));
        let gain = if self.best.is_finite() { 1e-4 * self.best.abs().max(1e-12) } else { 0.0 };
        self.idle = if found < self.best - gain || self.cma.is_none() { 0 } else { self.idle + 1 };
        self.best = self.best.min(found);
        self.tried.extend(generation);
        let done = self.cma.as_ref().is_none_or(|cma| cma.spread() < FOUND) || self.idle >= PATIENCE;
        if done {
            self.begin();
        }
    }

    /// Schedules that were tried.
    #[must_use]
    pub fn count(&self) -> usize {
        self.tried.len()
    }

    /// How often the search began anew.
    #[must_use]
    pub fn restarts(&self) -> u64 {
        self.starts.saturating_sub(1)
    }

    /// The best schedules that differ from each other, best first.
    #[must_use]
    pub fn best(&self, count: usize) -> Vec<&Tried> {
        let mut sorted: Vec<&Tried> = self.tried.iter().collect();
        sorted.sort_by(|one, other| one.worth.order(&other.worth));
        let mut chosen: Vec<&Tried> = Vec::with_capacity(count);
        for tried in sorted {
            if chosen.len() == count {
                break;
            }
            if chosen.iter().all(|known| distance(&known.knots, &tried.knots) >= DISTINCT) {
                chosen.push(tried);
            }
        }
        chosen
    }

    /// The best schedules, best first, however alike.
    #[must_use]
    pub fn ranked(&self, count: usize) -> Vec<&Tried> {
        let mut sorted: Vec<&Tried> = self.tried.iter().collect();
        sorted.sort_by(|one, other| one.worth.order(&other.worth));
        sorted.dedup_by(|one, other| one.knots == other.knots);
        sorted.truncate(count);
        sorted
    }

    /// The rows that knots stand for, one for each control.
    #[must_use]
    pub fn rows(&self, knots: &[f64]) -> Vec<Vec<f64>> {
        let mut first = 0;
        self.freedoms
            .iter()
            .map(|freedom| {
                let own = &knots[first..first + freedom.knots];
                first += freedom.knots;
                freedom.row(own, self.steps)
            })
            .collect()
    }

    /// Begins at the best schedule; once that was searched, at a random one.
    fn begin(&mut self) {
        let mean = match self.best(1).first() {
            Some(best) if self.starts == 0 => best.knots.clone(),
            _ => self.constant(),
        };
        self.cma = Some(Cma::new(mean, FIRST, self.seed.wrapping_add(self.starts)));
        self.starts += 1;
        self.idle = 0;
        // A new start need only gain on itself.
        self.best = f64::INFINITY;
    }

    /// Every control constant, somewhere in its range.
    fn constant(&mut self) -> Vec<f64> {
        let draw = &mut self.draw;
        self.freedoms.iter().flat_map(|freedom| vec![draw.random::<f64>(); freedom.knots]).collect()
    }
}

pub(super) fn distance(one: &[f64], other: &[f64]) -> f64 {
    let square: f64 = one.iter().zip(other).map(|(a, b)| (a - b).powi(2)).sum();
    (square / one.len().max(1) as f64).sqrt()
}

#[cfg(test)]
mod tests {
    use super::super::schedule::Shape;
    use super::*;

    fn tank() -> Freedom {
        Freedom { row: 0, last: 0.5, range: [0.0, 1.0], change: [-1.0, 1.0], knots: 6, shape: Shape::Held }
    }

    /// Fills a tank with the least effort so that it ends above 2 and never exceeds 2.5.
    fn fill(row: &[f64]) -> Worth {
        let (mut level, mut most, mut effort) = (0.5_f64, 0.0_f64, 0.0);
        for pump in row {
            level += 0.1 * (2.0 * pump - level.max(0.0).sqrt());
            most = most.max(level);
            effort += pump * pump;
        }
        Worth { cost: effort, broken: (2.0 - level).max(0.0) + (most - 2.5).max(0.0) }
    }

    fn run(seed: u64, budget: usize) -> Search {
        let mut search = Search::new(vec![tank()], 48, seed);
        while search.count() < budget {
            let rows: Vec<Vec<Vec<f64>>> = search.ask().to_vec().iter().map(|knots| search.rows(knots)).collect();
            let worths: Vec<Worth> = rows.iter().map(|rows| fill(&rows[0])).collect();
            search.tell(&worths);
        }
        search
    }

    #[test]
    fn a_small_budget_comes_near_what_a_large_one_finds_and_keeps_the_limits() {
        let large = run(1, 20_000).best(1)[0].worth;
        assert!(large.is_sound());
        for seed in 2..7 {
            let small = run(seed, 600).best(1)[0].worth;
            assert!(small.is_sound() && small.cost <= 1.05 * large.cost, "{small:?} {large:?}");
        }
    }

    #[test]
    fn alternatives_differ_and_come_best_first() {
        let search = run(3, 1_500);
        let best = search.best(3);
        assert_eq!(best.len(), 3);
        assert!(best.windows(2).all(|pair| pair[0].worth.order(&pair[1].worth).is_le()));
        assert!(distance(&best[0].knots, &best[1].knots) >= DISTINCT);
    }

    #[test]
    fn the_seed_decides_all_and_what_breaks_less_is_better() {
        assert_eq!(run(5, 300).tried, run(5, 300).tried);
        let worth = |cost, broken| Worth { cost, broken };
        assert!(worth(9.0, 0.0).order(&worth(1.0, 0.1)).is_lt());
        assert!(worth(9.0, 0.1).order(&worth(1.0, 0.2)).is_lt());
        assert!(worth(1.0, 0.0).order(&worth(2.0, 0.0)).is_lt());
    }
}
