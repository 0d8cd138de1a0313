//! The expert bank: closed-form forecasters that are fitted in milliseconds, tested on the past
//! they were fitted on, and blended by how they did there. The bar that a network must clear.
//!
//! Always true: a roll-out is strictly causal in the future inputs, and equal inputs give equal
//! bits; where there are inputs, experts that follow them hold at least half of the weight;
//! fitting never fails (with too little data the bank is persistence with a wide scale).
//! Everything is plain `f64` in normalised units ([`Scale`]) on the calling thread. The formulas and
//! constants were first measured in a numpy prototype; `tests/oracle.rs` keeps its numbers.
//! What needs more past than a context holds joins from a [`study`]: a curved response, a map from
//! hundreds of lags, a physics [`template`].
//! Deliberately absent: tensors, stores, and randomness that is not fixed by a constant.

mod algebra;
mod arx;
mod backtest;
mod blend;
mod direct;
mod filters;
mod history;
mod long;
mod scale;
mod season;
mod shared;
pub mod study;
mod team;
pub mod template;

pub use arx::linear;
pub use backtest::Trace;
pub use blend::Outlook;
pub use history::History;
pub use scale::Scale;
pub use season::period;
pub use study::{Studies, Study};
pub use team::{Crew, Expert};

use backtest::Verdict;
use blend::{Weights, blend};
use history::Context;
use study::{MEMBERS, STUDIED, Seen, Trial};
use team::{Stand, Team};

/// Samples that are looked at, the newest ones; older ones are ignored everywhere.
pub const CONTEXT: usize = 2_000;

/// Samples that a bank may be old before it is fitted anew.
pub const FRESH: usize = 48;

/// Steps per block of [`Bank::scale_by_block`].
pub const BLOCK: usize = backtest::BLOCK;

/// Fitted experts, their weights, and what the back-test said of them.
#[derive(Clone, Debug)]
pub struct Bank {
    team: Team,
    verdict: Verdict,
    inputs: usize,
    horizon: usize,
}

impl Bank {
    /// Fits every expert on the newest [`CONTEXT`] samples, tests them there and weights them, for
    /// forecasts of `horizon` steps.
    #[must_use]
    pub fn fit(history: &History<'_>, horizon: usize) -> Self {
        Self::fit_with(history, horizon, CONTEXT, None)
    }

    /// Fits every expert on the newest `context` samples; what was learned from the whole past joins
    /// them with the shares that it was taught.
    #[must_use]
    pub fn fit_with(history: &History<'_>, horizon: usize, context: usize, study: Option<&Seen>) -> Self {
        Self::fit_among(history, horizon, context, study, &mut Crew::default())
    }

    /// The same, sharing the work with other banks that were or will be fitted to this very history for the same horizon
    /// and on as many samples, beside other studies.
    #[must_use]
    pub fn fit_among(
        history: &History<'_>,
        horizon: usize,
        context: usize,
        study: Option<&Seen>,
        crew: &mut Crew,
    ) -> Self {
        let context = Context::newest(history, context.min(CONTEXT));
        let (team, verdict) = backtest::fit(&context, horizon, study, crew);
        Self { team, verdict, inputs: history.inputs.len(), horizon }
    }

    /// Reads what the experts need of `recent` (same scaling and inputs as the fitted history, may
    /// end later), so that any number of futures share the reading.
    #[must_use]
    pub fn prepare(&self, recent: &History<'_>) -> Prepared<'_> {
        assert_eq!(recent.inputs.len(), self.inputs, "a bank is asked with the inputs it was fitted on");
        Prepared { bank: self, stand: self.team.stand(&Context::newest(recent, CONTEXT)) }
    }

    /// The same before each of the `ends` (ascending) of one history. What fades slowly is remembered in one pass, from
    /// before the first end: alone, a later one remembers from a little later on, which is a difference of about
    /// `1e-6` deviations.
    #[must_use]
    pub fn prepare_each(&self, recent: &History<'_>, ends: &[usize]) -> Vec<Prepared<'_>> {
        assert_eq!(recent.inputs.len(), self.inputs, "a bank is asked with the inputs it was fitted on");
        let Some((context, ends)) = Context::before_each(recent, ends, CONTEXT) else {
            return ends.iter().map(|end| self.prepare(&recent.until(*end))).collect();
        };
        self.team.stands(&context, &ends).into_iter().map(|stand| Prepared { bank: self, stand }).collect()
    }

    /// Rolls out from the end of `recent` over `future`; see [`Prepared::forecast`].
    #[must_use]
    pub fn forecast(&self, recent: &History<'_>, future: &[Vec<f64>]) -> Outlook {
        self.prepare(recent).forecast(future)
    }

    /// Every expert's own answer; see [`Prepared::answers`].
    #[must_use]
    pub fn answers(&self, recent: &History<'_>, future: &[Vec<f64>]) -> Vec<(Expert, Vec<f64>)> {
        self.prepare(recent).answers(future)
    }

    /// The experts that were fitted and their weights among themselves, which sum to 1; what a study
    /// takes is not in them.
    #[must_use]
    pub fn weights(&self) -> &[(Expert, f64)] {
        &self.verdict.weights.own
    }

    /// Root mean squared error of the blend in the back-test, normalised units.
    #[must_use]
    pub fn scale(&self) -> f64 {
        self.verdict.scale
    }

    /// The same per [`BLOCK`] steps of the horizon; blocks beyond the back-test repeat the last one
    /// that was tested.
    #[must_use]
    pub fn scale_by_block(&self) -> &[f64] {
        &self.verdict.blocks
    }

    /// What the bank predicted in its back-tests, oldest origin first; where traces overlap the
    /// later one is the fresher.
    #[must_use]
    pub fn traces(&self) -> &[Trace] {
        &self.verdict.traces
    }

    /// Steps that the bank was fitted for.
    #[must_use]
    pub fn horizon(&self) -> usize {
        self.horizon
    }
}

/// A bank at the end of a recent history, ready to answer many futures.
#[derive(Clone, Debug)]
pub struct Prepared<'b> {
    bank: &'b Bank,
    stand: Stand<'b>,
}

impl Prepared<'_> {
    /// The weighted answer over `future`: one row per input (the same inputs as fitted, finite,
    /// normalised), as long as the shortest row, or the fitted horizon where there are no inputs.
    /// Experts that cannot answer from here give their weight to the others.
    #[must_use]
    pub fn forecast(&self, future: &[Vec<f64>]) -> Outlook {
        blend(&self.answers(future), &self.bank.verdict.weights)
    }

    /// The blend of the bank's own experts and the answers of a study's members, beside what the members
    /// say that `learned` from these steps and the truth that came: what [`Studies::weigh`] learns from.
    #[must_use]
    pub fn trial(&self, future: &[Vec<f64>], learned: [Option<Vec<f64>>; MEMBERS], truth: Vec<f64>) -> Trial {
        let answers = self.answers(future);
        let own = Weights { own: self.bank.verdict.weights.own.clone(), studied: Vec::new() };
        let said = |expert: Expert| answers.iter().find(|(e, _)| *e == expert).map(|(_, answer)| answer.clone());
        Trial { bank: blend(&answers, &own).mean, members: STUDIED.map(said), learned, truth }
    }

    /// Every expert's own answer over `future`, persistence and a study's members last.
    #[must_use]
    pub fn answers(&self, future: &[Vec<f64>]) -> Vec<(Expert, Vec<f64>)> {
        let steps = future.iter().map(Vec::len).min();
        self.stand.answers(future, steps.unwrap_or(self.bank.horizon))
    }
}

#[cfg(test)]
mod tests;
