//! How far each expert of a study is trusted beside the bank: stacked regression.
//!
//! The shares minimise the squared error of the weighted mean on windows that no expert learned
//! from, none negative, all together 1 with the bank's (Breiman 1996). One set of shares for each
//! block of 16 steps: near the origin the bank knows more, further out the study does.
//!
//! How the errors of two experts go together is known from few windows, and some hold a rare event that
//! decides everything: the correlations are shrunk towards none by as much as they vary from window to
//! window (Schaefer and Strimmer 2005).
//!
//! What serves has learned from more than any of the experts that can be tried. What an expert errs more
//! where it is blind than where it has learned is twice what its weights lack (in linear regression the
//! errors are `s2 (1 + p/n)` and `s2 (1 - p/n)`, Akaike 1970), and that goes down with the samples: so the
//! products of both kinds of errors are mixed.
//!
//! A plant wears: who errs least may change after the study was learned. Windows that were answered since
//! then and whose truth has come count beside what was learned ([`Evidence::shares`]).
//!
//! Where a linear difference equation forecasts as well as the blend does, it answers alone: then the plant is linear as far
//! as anybody can tell, and every other candidate bends its answer to an override for no reason. (Of models that cannot be
//! told apart the simplest one, as the rule of one standard error has it, Breiman et al. 1984; here a share of the error.)

use faer::Mat;
use serde::{Deserialize, Serialize};

use super::super::algebra::{factorise, substitute};
use super::super::backtest::BLOCK;
use super::MEMBERS;

/// Correlations are shrunk by no less: tomorrow is not drawn from the same urn as the windows.
const LEAST_SHRINKAGE: f64 = 0.1;
/// More than this is not believed of the measure itself.
const MOST_OPTIMISM: f64 = 25.0;

/// Candidates: the bank, then the members of a study.
const CANDIDATES: usize = 1 + MEMBERS;
/// Share of the errors over all steps that joins those of each block, so that neighbours agree.
const COMMON: f64 = 0.25;
/// Added to each candidate's squared error, as a share of the mean one: equals share.
const EQUAL: f64 = 1e-3;
/// Windows that came since for which all that was learned counts.
const LEARNED: f64 = 10.0;
/// How much less the squared error of the blend must be for it to be worth more than a linear equation: a hundredth of the
/// error, as elsewhere few windows tell less.
const WORTH: f64 = 0.02;

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

/// A trial as it counts.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tried<'t> {
    /// The trial.
    pub(super) trial: &'t Trial,
    /// Step of the history that it begins at; trials come in this order.
    pub(super) origin: usize,
    /// Share of what the study that the shares are for has learned from that the tried one had not.
    pub(super) lacking: f64,
}

impl Trial {
    /// Whether these candidates, the first being the bank, all answered.
    fn has(&self, present: &[usize]) -> bool {
        present.iter().all(|k| k.checked_sub(1).is_none_or(|member| self.members[member].is_some()))
    }

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
pub(super) fn errors(tried: &[Tried<'_>], shares: &Shares) -> Vec<f64> {
    let steps = tried.first().map_or(0, |tried| tried.trial.bank.len());
    let mut sums = vec![(0.0, 0.0); steps.div_ceil(BLOCK)];
    for Tried { trial, .. } in tried {
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
pub(super) fn optimism(tried: &[Tried<'_>]) -> [f64; MEMBERS] {
    std::array::from_fn(|k| {
        let (mut unseen, mut seen) = (0.0, 0.0);
        for Tried { trial, .. } in tried {
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

/// How the candidates are known to err.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Evidence {
    /// Steps of a window.
    steps: usize,
    /// The candidates that are compared, in order; nobody where nothing was tried.
    present: Vec<usize>,
    /// How far correlations are shrunk.
    shrinkage: f64,
    /// What is known of the members beside their trials divides their errors.
    believed: [f64; MEMBERS],
    /// The candidate that is linear in all that it looks at, where there is one.
    #[serde(default)]
    linear: Option<usize>,
    /// Mean products of errors for each block of the horizon.
    blocks: Vec<Products>,
}

impl Evidence {
    /// Of trials of one length. Members that are absent in the newest one get nothing; a trial in
    /// which another one is absent, for want of a past to look back on, counts for nothing. `believed`
    /// divides each member's errors: what is known of it beside the trials. `linear` is the place of a member that is a linear
    /// difference equation.
    pub(super) fn of(tried: &[Tried<'_>], believed: [f64; MEMBERS], linear: Option<usize>) -> Self {
        let Some(newest) = tried.last() else { return Self::default() };
        let (steps, members) = (newest.trial.bank.len(), |k: &usize| newest.trial.members[k - 1].is_some());
        let present: Vec<usize> = std::iter::once(0).chain((1..CANDIDATES).filter(members)).collect();
        let whole = |tried: &&Tried<'_>| tried.trial.has(&present);
        let tried: &[Tried<'_>] = &tried.iter().filter(whole).copied().collect::<Vec<_>>();
        if present.len() == 1 {
            return Self::default();
        }
        let products = |span: std::ops::Range<usize>, tried: &Tried<'_>| {
            let (mut products, lacking) = (Products::default(), tried.lacking);
            products.add(tried.trial, &tried.trial.members, span.clone(), &present, believed, 1.0 - 0.5 * lacking);
            products.add(tried.trial, &tried.trial.learned, span, &present, believed, 0.5 * lacking);
            products
        };
        let shrinkage = shrinkage(tried, &present, |tried| products(0..steps, tried));
        let block = |block: usize| {
            let mut all = Products::default();
            tried.iter().for_each(|tried| all.merge(&products(span(block, steps), tried), 1.0));
            all.per_step()
        };
        let blocks = (0..steps.div_ceil(BLOCK)).map(block).collect();
        let linear = linear.map(|member| member + 1).filter(|candidate| present.contains(candidate));
        Self { steps, shrinkage: shrinkage.max(LEAST_SHRINKAGE), believed, linear, blocks, present }
    }

    /// That a member alone is to be trusted in windows of so many steps.
    #[cfg(test)]
    pub(super) fn of_one(member: usize, steps: usize) -> Self {
        let alone = Products { sums: [[1.0; CANDIDATES]; CANDIDATES], count: 1.0 };
        let (present, blocks) = (vec![member + 1], vec![alone; steps.div_ceil(BLOCK)]);
        Self { steps, present, believed: [1.0; MEMBERS], blocks, ..Self::default() }
    }

    /// The shares that follow from it, and from windows that were tried since, in the same unit.
    pub(super) fn shares(&self, newer: &[Trial]) -> Shares {
        let newer = || newer.iter().filter(|trial| trial.bank.len() == self.steps && trial.has(&self.present));
        let with_newer = |(block, known): (usize, &Products)| {
            let span = span(block, self.steps);
            let mut all = Products::default();
            all.merge(known, LEARNED * span.len() as f64);
            for trial in newer() {
                all.add(trial, &trial.members, span.clone(), &self.present, self.believed, 1.0);
            }
            all
        };
        let by_block: Vec<Products> = self.blocks.iter().enumerate().map(with_newer).collect();
        let mut common = Products::default();
        by_block.iter().for_each(|products| common.merge(products, 1.0));
        let blended = |products: &Products| {
            let share = COMMON * products.count / f64::max(common.count, f64::MIN_POSITIVE);
            let mut smoothed = products.clone();
            smoothed.merge(&common, share);
            smoothed.shrink(self.shrinkage);
            smoothed.best(&self.present)
        };
        let blocks: Vec<[f64; MEMBERS]> = by_block.iter().map(blended).collect();
        if let Some(linear) = self.linear {
            let blend: f64 = by_block.iter().zip(&blocks).map(|(products, shares)| products.error(shares)).sum();
            let alone: f64 = by_block.iter().map(|products| products.sums[linear][linear]).sum();
            if alone <= blend * (1.0 + WORTH) {
                let only = std::array::from_fn(|member| if member + 1 == linear { 1.0 } else { 0.0 });
                return Shares { blocks: vec![only; blocks.len()] };
            }
        }
        Shares { blocks }
    }
}

/// The steps of a block of a window.
fn span(block: usize, steps: usize) -> std::ops::Range<usize> {
    block * BLOCK..((block + 1) * BLOCK).min(steps)
}

/// Shares of the members for each block of the horizon; the bank holds the rest.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Shares {
    blocks: Vec<[f64; MEMBERS]>,
}

impl Shares {
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

/// How far correlations of the candidates' errors are shrunk, in `0..=1`: their variance over their square,
/// over all pairs (equation 10 of Schaefer and Strimmer 2005). Windows that overlap count for less.
fn shrinkage(tried: &[Tried<'_>], present: &[usize], products: impl Fn(&Tried<'_>) -> Products) -> f64 {
    let windows: Vec<Products> = tried.iter().map(products).filter(|products| products.count > 0.0).collect();
    let steps = tried.first().map_or(1, |tried| tried.trial.bank.len()).max(1) as f64;
    let apart = tried.windows(2).map(|pair| ((pair[1].origin - pair[0].origin) as f64 / steps).min(1.0));
    let independent = 1.0 + apart.sum::<f64>();
    if windows.len() < 2 || independent <= 2.0 {
        return 1.0;
    }
    let count = windows.len() as f64;
    let mean = |a: usize, b: usize| windows.iter().map(|window| window.mean(a, b)).sum::<f64>() / count;
    let (mut varies, mut squares) = (0.0, 0.0);
    for (place, &a) in present.iter().enumerate() {
        for &b in &present[..place] {
            let unit = (mean(a, a) * mean(b, b)).max(f64::MIN_POSITIVE);
            let product = mean(a, b);
            let spread = windows.iter().map(|window| (window.mean(a, b) - product).powi(2)).sum::<f64>() / count;
            varies += spread / (independent - 1.0) / unit;
            squares += product * product / unit;
        }
    }
    if squares > 0.0 { (varies / squares).min(1.0) } else { 1.0 }
}

/// Sums of products of the candidates' errors over steps.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
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

    /// The means, as of one step; nothing where nothing was added.
    fn per_step(mut self) -> Self {
        if self.count > 0.0 {
            self.sums.iter_mut().flatten().for_each(|sum| *sum /= self.count);
            self.count = 1.0;
        }
        self
    }

    /// Mean product of two candidates' errors.
    fn mean(&self, one: usize, other: usize) -> f64 {
        self.sums[one][other] / self.count
    }

    /// The summed squared error of a blend.
    fn error(&self, shares: &[f64; MEMBERS]) -> f64 {
        let all = std::iter::once(1.0 - shares.iter().sum::<f64>()).chain(shares.iter().copied());
        let rows = self.sums.iter().zip(all.clone());
        rows.map(|(row, one)| one * row.iter().zip(all.clone()).map(|(sum, other)| sum * other).sum::<f64>()).sum()
    }

    /// Shrinks the correlations.
    fn shrink(&mut self, shrinkage: f64) {
        for (one, row) in self.sums.iter_mut().enumerate() {
            let others = row.iter_mut().enumerate().filter(|(other, _)| *other != one);
            others.for_each(|(_, sum)| *sum *= 1.0 - shrinkage);
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
mod tests;
