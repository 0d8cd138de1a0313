//! How far each expert of a study is trusted beside the bank: stacked regression.
//!
//! The shares minimise the squared error of the weighted mean on windows that no expert learned
//! from, none negative, all together 1 with the bank's (Breiman 1996). One set of shares for each
//! block of 16 steps: near the origin the bank knows more, further out the study does.
//!
//! What serves has learned from more than any of the experts that can be tried. What an expert errs more
//! where it is blind than where it has learned is twice what its weights lack (in linear regression the
//! errors are `s2 (1 + p/n)` and `s2 (1 - p/n)`, Akaike 1970), and that goes down with the samples: so the
//! products of both kinds of errors are mixed.

use faer::Mat;
use serde::{Deserialize, Serialize};

use super::super::algebra::{factorise, substitute};
use super::super::backtest::BLOCK;
use super::MEMBERS;

/// More than this is not believed of the measure itself.
const MOST_OPTIMISM: f64 = 25.0;

/// Candidates: the bank, then the members of a study.
const CANDIDATES: usize = 1 + MEMBERS;
/// Share of the errors over all steps that joins those of each block, so that neighbours agree.
const COMMON: f64 = 0.25;
/// Added to each candidate's squared error, as a share of the mean one: equals share.
const EQUAL: f64 = 1e-2;

/// What candidates said over one window beside the truth, in one unit for all windows that are stacked.
#[derive(Clone, Debug)]
pub struct Trial {
    /// The bank's blend without the study.
    pub bank: Vec<f64>,
    /// The study's members in their order; `None` where one is absent or cannot answer.
    pub members: [Option<Vec<f64>>; MEMBERS],
    /// What the same members say once they have learned from these very steps; as long as `members`' answers.
    pub learned: [Option<Vec<f64>>; MEMBERS],
    /// What came; NaN where nothing was measured.
    pub truth: Vec<f64>,
}

impl Trial {
    /// The same in another unit, of which one of this is `factor`.
    #[must_use]
    pub fn times(mut self, factor: f64) -> Self {
        let members = self.members.iter_mut().chain(&mut self.learned).flatten();
        [&mut self.bank, &mut self.truth].into_iter().chain(members).flatten().for_each(|value| *value *= factor);
        self
    }
}

/// Root mean squared error of the blend for each block of the horizon, in the unit of the trials; NaN
/// for a block in which nothing was measured.
pub(super) fn errors(trials: &[Trial], shares: &Shares) -> Vec<f64> {
    let steps = trials.first().map_or(0, |trial| trial.bank.len());
    let mut sums = vec![(0.0, 0.0); steps.div_ceil(BLOCK)];
    for trial in trials {
        for (step, truth) in trial.truth.iter().enumerate().filter(|(_, truth)| truth.is_finite()) {
            let held = shares.at(step);
            let said =
                trial.members.iter().zip(held).filter_map(|(said, share)| Some((*said.as_ref()?.get(step)?, share)));
            let studied = said.fold((0.0, 0.0), |(sum, given), (value, share)| (sum + share * value, given + share));
            let error = studied.0 + (1.0 - studied.1) * trial.bank[step] - truth;
            let (sum, count) = &mut sums[step / BLOCK];
            *sum += error * error;
            *count += 1.0;
        }
    }
    sums.into_iter().map(|(sum, count)| (sum / count).sqrt()).collect()
}

/// How many times larger each member's squared error is on steps that it did not learn from, over all
/// trials; 1 for a member that no trial shows.
pub(super) fn optimism(trials: &[Trial]) -> [f64; MEMBERS] {
    std::array::from_fn(|k| {
        let (mut unseen, mut seen) = (0.0, 0.0);
        for trial in trials {
            let (Some(blind), Some(learned)) = (&trial.members[k], &trial.learned[k]) else { continue };
            let measured = trial.truth.iter().zip(blind.iter().zip(learned)).filter(|(truth, _)| truth.is_finite());
            for (truth, (blind, learned)) in measured {
                unseen += (blind - truth).powi(2);
                seen += (learned - truth).powi(2);
            }
        }
        if seen > 0.0 { (unseen / seen).clamp(1.0, MOST_OPTIMISM) } else { 1.0 }
    })
}

/// Shares of the members for each block of the horizon; the bank holds the rest.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Shares {
    blocks: Vec<[f64; MEMBERS]>,
}

impl Shares {
    /// Stacks on trials of one length; members that are absent in any trial get nothing. `believed`
    /// divides each member's errors: what is known of it beside the trials. `lacking` is the share of its
    /// samples that what serves has more than what was tried.
    pub(super) fn stack(trials: &[Trial], believed: [f64; MEMBERS], lacking: f64) -> Self {
        let steps = trials.first().map_or(0, |trial| trial.bank.len());
        let present: Vec<usize> = std::iter::once(0)
            .chain((1..CANDIDATES).filter(|k| trials.iter().all(|trial| trial.members[k - 1].is_some())))
            .collect();
        if present.len() == 1 {
            return Self::default();
        }
        let by_block: Vec<Products> = (0..steps.div_ceil(BLOCK))
            .map(|block| {
                let span = block * BLOCK..((block + 1) * BLOCK).min(steps);
                let mut products = Products::default();
                for trial in trials {
                    products.add(trial, &trial.members, span.clone(), &present, believed, 1.0 - 0.5 * lacking);
                    products.add(trial, &trial.learned, span.clone(), &present, believed, 0.5 * lacking);
                }
                products
            })
            .collect();
        let mut common = Products::default();
        by_block.iter().for_each(|products| common.merge(products, 1.0));
        let blocks = by_block
            .into_iter()
            .map(|mut products| {
                let share = COMMON * products.count / f64::max(common.count, 1.0);
                products.merge(&common, share);
                products.best(&present)
            })
            .collect();
        Self { blocks }
    }

    /// The same shares for so many blocks.
    #[cfg(test)]
    pub(super) fn of(shares: [f64; MEMBERS], blocks: usize) -> Self {
        Self { blocks: vec![shares; blocks] }
    }

    /// The members' shares at a step ahead (the first is 0), between the centres of two blocks.
    pub(super) fn at(&self, step: usize) -> [f64; MEMBERS] {
        let Some(last) = self.blocks.len().checked_sub(1) else { return [0.0; MEMBERS] };
        let place = ((step as f64 + 0.5) / BLOCK as f64 - 0.5).clamp(0.0, last as f64);
        let (low, part) = (place as usize, place.fract());
        let (one, other) = (self.blocks[low], self.blocks[(low + 1).min(last)]);
        std::array::from_fn(|k| (1.0 - part) * one[k] + part * other[k])
    }

    /// Mean share of each member.
    pub(super) fn mean(&self) -> [f64; MEMBERS] {
        let count = self.blocks.len().max(1) as f64;
        std::array::from_fn(|k| self.blocks.iter().map(|block| block[k]).sum::<f64>() / count)
    }
}

/// Mean products of the candidates' errors.
#[derive(Clone, Default)]
struct Products {
    sums: [[f64; CANDIDATES]; CANDIDATES],
    count: f64,
}

impl Products {
    /// Adds the errors of a trial with these answers of the members, which count for `share`; a member that
    /// has none answers as it was tried.
    fn add(
        &mut self,
        trial: &Trial,
        members: &[Option<Vec<f64>>; MEMBERS],
        span: std::ops::Range<usize>,
        present: &[usize],
        believed: [f64; MEMBERS],
        share: f64,
    ) {
        for step in span {
            let truth = trial.truth[step];
            if !truth.is_finite() {
                continue;
            }
            let mut errors = [0.0; CANDIDATES];
            for &k in present {
                let said = match k.checked_sub(1) {
                    None => Some(&trial.bank),
                    Some(member) => members[member].as_ref().or(trial.members[member].as_ref()),
                };
                errors[k] = said.and_then(|said| said.get(step)).map_or(0.0, |said| said - truth);
                if k > 0 {
                    errors[k] /= believed[k - 1];
                }
            }
            for (row, one) in self.sums.iter_mut().zip(errors) {
                for (sum, other) in row.iter_mut().zip(errors) {
                    *sum += share * one * other;
                }
            }
            self.count += share;
        }
    }

    fn merge(&mut self, other: &Self, share: f64) {
        for (row, more) in self.sums.iter_mut().zip(&other.sums) {
            for (sum, value) in row.iter_mut().zip(more) {
                *sum += share * value;
            }
        }
        self.count += share * other.count;
    }

    /// The shares with the least squared error: of every set of candidates the unconstrained best
    /// whose shares are positive; few candidates make trying all sets the simplest exact way.
    fn best(&self, present: &[usize]) -> [f64; MEMBERS] {
        let mean = present.iter().map(|&k| self.sums[k][k]).sum::<f64>() / present.len() as f64;
        let product = |a: usize, b: usize| self.sums[a][b] + if a == b { EQUAL * mean } else { 0.0 };
        let mut best = (f64::INFINITY, [0.0; CANDIDATES]);
        for set in 1..1_usize << present.len() {
            let chosen: Vec<usize> =
                present.iter().enumerate().filter(|(i, _)| set >> i & 1 == 1).map(|(_, &k)| k).collect();
            let mut factor = Mat::from_fn(chosen.len(), chosen.len(), |i, j| product(chosen[i], chosen[j]));
            let mut shares = vec![1.0; chosen.len()];
            if factorise(&mut factor).is_none() {
                continue;
            }
            substitute(&factor, &mut shares);
            let total: f64 = shares.iter().sum();
            let mut all = [0.0; CANDIDATES];
            for (&k, share) in chosen.iter().zip(&shares) {
                all[k] = share / total;
            }
            if all.iter().any(|share| !share.is_finite() || *share < 0.0) {
                continue;
            }
            let error: f64 = present
                .iter()
                .flat_map(|&a| present.iter().map(move |&b| (a, b)))
                .map(|(a, b)| all[a] * all[b] * product(a, b))
                .sum();
            if error < best.0 {
                best = (error, all);
            }
        }
        std::array::from_fn(|k| best.1[k + 1])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EQUALLY: [f64; MEMBERS] = [1.0; MEMBERS];

    fn trial(bank: f64, member: f64) -> Trial {
        let truth: Vec<f64> = (0..32).map(|t| (0.4 * f64::from(t)).sin()).collect();
        let wrong =
            |by: f64, rate: f64| truth.iter().enumerate().map(|(t, v)| v + by * (rate * t as f64).cos()).collect();
        let members: [_; MEMBERS] = std::array::from_fn(|k| (k == 0).then(|| wrong(member, 2.3)));
        let learned = std::array::from_fn(|k| (k == 0).then(|| wrong(0.5 * member, 2.3)));
        Trial { bank: wrong(bank, 0.9), members, learned, truth }
    }

    #[test]
    fn the_better_one_is_trusted_and_equals_share() {
        let clear = Shares::stack(&[trial(1.0, 0.1)], EQUALLY, 0.0);
        assert!(clear.at(4)[0] > 0.9, "{clear:?}");
        let equal = Shares::stack(&[trial(0.5, 0.5)], EQUALLY, 0.0);
        assert!((equal.at(20)[0] - 0.5).abs() < 0.1, "{equal:?}");
        let hopeless = Shares::stack(&[trial(0.05, 2.0)], EQUALLY, 0.0);
        assert!(hopeless.at(0)[0] < 0.05, "{hopeless:?}");
    }

    #[test]
    fn who_gains_by_more_samples_is_trusted_more() {
        let trials = [trial(0.5, 0.5)];
        let share = |lacking: f64| Shares::stack(&trials, EQUALLY, lacking).at(20)[0];
        assert!(share(0.0) < share(0.4) && share(0.4) < share(0.8), "{} {} {}", share(0.0), share(0.4), share(0.8));
    }

    #[test]
    fn optimism_is_what_knowing_the_answers_saves() {
        let mut twice = trial(1.0, 0.4);
        twice.truth[3] = f64::NAN;
        let measured = optimism(&[twice]);
        assert!((measured[0] - 4.0).abs() < 1e-9 && measured[1..].iter().all(|times| *times == 1.0), "{measured:?}");
    }

    #[test]
    fn absent_members_and_gaps_count_for_nothing() {
        let mut gap = trial(1.0, 0.1);
        gap.truth[3] = f64::NAN;
        let shares = Shares::stack(&[gap], EQUALLY, 0.0).at(0);
        assert!(shares[0] > 0.8 && shares[1..].iter().all(|share| *share == 0.0), "{shares:?}");
        assert_eq!(Shares::stack(&[], EQUALLY, 0.0).at(5), [0.0; MEMBERS]);
    }
}
