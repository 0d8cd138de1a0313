//! The expert bank: closed-form forecasters that are fitted in milliseconds, tested on the past
//! they were fitted on, and blended by how they did there. The bar that a network must clear.
//!
//! Always true: a roll-out is strictly causal in the future inputs, and equal inputs give equal
//! bits; where there are inputs, experts that follow them hold at least half of the weight;
//! fitting never fails (with too little data the bank is persistence with a wide scale).
//! Everything is plain `f64` in normalised units ([`Scale`]) on the calling thread. The formulas and
//! constants were first measured in a numpy prototype; `tests/oracle.rs` keeps its numbers.
//! Physics templates ([`template`]) work beside it in raw units, where the asset type names one.
//! Deliberately absent: tensors, randomness, and stores.

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
mod team;
pub mod template;

pub use backtest::Trace;
pub use blend::Outlook;
pub use history::History;
pub use scale::Scale;
pub use team::Expert;

use backtest::Verdict;
use blend::blend;
use history::Context;
use team::{Stand, Team};

/// Samples that are looked at, the newest ones; older ones are ignored everywhere.
pub const CONTEXT: usize = 2_000;

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
        let context = Context::newest(history, CONTEXT);
        let (team, verdict) = backtest::fit(&context, horizon);
        Self { team, verdict, inputs: history.inputs.len(), horizon }
    }

    /// Reads what the experts need of `recent` (same scaling and inputs as the fitted history, may
    /// end later), so that any number of futures share the reading.
    #[must_use]
    pub fn prepare(&self, recent: &History<'_>) -> Prepared<'_> {
        assert_eq!(recent.inputs.len(), self.inputs, "a bank is asked with the inputs it was fitted on");
        Prepared { bank: self, stand: self.team.stand(&Context::newest(recent, CONTEXT)) }
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

    /// The experts that were fitted and their weights, which sum to 1.
    #[must_use]
    pub fn weights(&self) -> &[(Expert, f64)] {
        &self.verdict.weights
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

    /// Every expert's own answer over `future`, persistence last.
    #[must_use]
    pub fn answers(&self, future: &[Vec<f64>]) -> Vec<(Expert, Vec<f64>)> {
        let steps = future.iter().map(Vec::len).min();
        self.stand.answers(future, steps.unwrap_or(self.bank.horizon))
    }
}

#[cfg(test)]
mod tests;
