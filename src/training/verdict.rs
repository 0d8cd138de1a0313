//! Whether a candidate may serve. A pure comparison of score cards and paired losses, in words.
//!
//! Only a candidate that is better than what serves, by more than luck, and no worse than the
//! naive forecast, and honest in its intervals, and has not forgotten, is promoted. Whatever
//! cannot be compared is not promoted.

use serde::{Deserialize, Serialize};

use super::health::HealthVerdict;
use super::learner::{Evaluation, Holdout};
use super::remaining::RemainingVerdict;
use crate::score::{Paired, RESAMPLES, ScoreCard, paired_block_bootstrap, skill};

/// What a candidate must achieve.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Gate {
    /// Windows that the newest holdout must have.
    pub min_windows: usize,
    /// Share of the champion's CRPS that must be saved on the newest holdout.
    pub improvement: f64,
    /// Share of the bootstrap resamples in which the candidate must be better.
    pub probability: f64,
    /// From this improvement on, a smaller probability is enough: improvement and probability.
    pub large: (f64, f64),
    /// Share by which it may be worse on the older holdout.
    pub forgetting: f64,
    /// Least and greatest share of the truth inside the 80 % band.
    pub coverage: (f64, f64),
    /// Bootstrap resamples.
    pub resamples: usize,
}

impl Default for Gate {
    fn default() -> Self {
        Self {
            min_windows: 20,
            improvement: 0.01,
            // Stricter than the usual 0.95: a worse head that serves costs more than a better one that waits.
            probability: 0.99,
            // A young asset's holdout is a few independent windows long, and no version reaches 0.99 there,
            // not even one that halves the error; so much is hardly ever luck.
            large: (0.2, 0.95),
            forgetting: 0.02,
            coverage: (0.70, 0.90),
            resamples: RESAMPLES,
        }
    }
}

/// What was decided, and why.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Verdict {
    /// Whether the candidate became champion.
    pub promoted: bool,
    /// Whether it met every condition; with manual promotion it may have and still wait.
    pub passed: bool,
    /// Only luck stands against it: it forecasts better on the holdout, but not for certain. What it forecasts in
    /// the shadow may still promote it.
    #[serde(default)]
    pub undecided: bool,
    /// Why, in words with numbers.
    pub reason: String,
    /// The comparison with the champion on the newest holdout, where it could be made.
    pub paired: Option<Paired>,
    /// Share of the naive forecast's CRPS that the candidate saves.
    pub vs_naive: Option<f64>,
    /// Share of the champion's CRPS that it saves on the older holdout; negative has forgotten.
    pub older_improvement: Option<f64>,
    /// The candidate on the newest holdout.
    pub candidate: ScoreCard,
    /// What served, on the same windows.
    pub champion: ScoreCard,
    /// The naive forecast, on the same windows.
    pub naive: ScoreCard,
    /// What came of the asset's labels, where it has any.
    #[serde(default)]
    pub health: Option<HealthVerdict>,
    /// What came of its runs to failure, where the type has a class that ends runs and the asset labels.
    #[serde(default)]
    pub remaining: Option<RemainingVerdict>,
}

impl Verdict {
    /// Turns a promotion down after all, for a reason that lies outside the scores.
    pub(super) fn withhold(&mut self, reason: &str) {
        self.promoted = false;
        self.explain(reason);
    }

    /// A condition was not met after all.
    pub(super) fn fail(&mut self, reason: &str) {
        self.passed = false;
        self.undecided = false;
        self.withhold(reason);
    }

    /// Puts something before the reason.
    pub(super) fn explain(&mut self, words: &str) {
        self.reason = format!("{words}; {}", self.reason);
    }
}

/// Compares a candidate with `incumbent` (in words: "the base model", "version 3") and with the
/// naive forecast. `seed` decides the resamples.
#[must_use]
pub fn judge(evaluation: &Evaluation, incumbent: &str, gate: &Gate, seed: u64) -> Verdict {
    let recent = &evaluation.recent;
    let (candidate, champion, naive) = (&recent.candidate.card, &recent.champion.card, &recent.naive.card);
    let paired = compare(recent, gate, seed);
    let vs_naive = skill(mean(&recent.candidate.losses), mean(&recent.naive.losses));
    let older_improvement =
        evaluation.older.as_ref().and_then(|older| skill(mean(&older.candidate.losses), mean(&older.champion.losses)));
    let mut verdict = Verdict {
        promoted: false,
        passed: false,
        undecided: false,
        reason: String::new(),
        paired,
        vs_naive,
        older_improvement,
        candidate: candidate.clone(),
        champion: champion.clone(),
        naive: naive.clone(),
        health: None,
        remaining: None,
    };
    if let Some(objection) = objection(evaluation, &verdict, incumbent, gate) {
        verdict.undecided = is_undecided(evaluation, &verdict, incumbent, gate);
        verdict.reason = objection;
    } else {
        verdict.promoted = true;
        verdict.passed = true;
        verdict.reason = if evaluation.only_bands {
            format!("{}, that of {incumbent} {:.0} %", praise(&verdict, incumbent), 100.0 * champion.coverage_80)
        } else {
            praise(&verdict, incumbent)
        };
    }
    verdict
}

fn compare(holdout: &Holdout, gate: &Gate, seed: u64) -> Option<Paired> {
    let (new, old) = (&holdout.candidate.losses, &holdout.champion.losses);
    paired_block_bootstrap(new, old, 2 * holdout.overlap, gate.resamples, seed)
}

/// The first condition that is not met, in words.
fn objection(evaluation: &Evaluation, verdict: &Verdict, incumbent: &str, gate: &Gate) -> Option<String> {
    let recent = &evaluation.recent;
    let windows = recent.candidate.losses.len();
    if !recent.candidate.losses.iter().all(|loss| loss.is_finite()) {
        return Some("its forecasts are not all finite numbers".to_owned());
    }
    if windows < gate.min_windows {
        return Some(format!("the holdout has {windows} windows and {} are needed", gate.min_windows));
    }
    if recent.champion.losses.len() != windows || recent.naive.losses.len() != windows {
        return Some("candidate, champion and naive forecasts were not scored on the same windows".to_owned());
    }
    // Only a champion that made no error at all, or whose own forecasts broke, has no pair.
    let broken = recent.champion.losses.iter().any(|loss| !loss.is_finite());
    let Some(paired) = verdict.paired.or_else(|| broken.then(|| certain(windows))) else {
        return Some(format!("{incumbent} made no error that could be improved on"));
    };
    let against = if evaluation.only_bands {
        dishonest(&paired, verdict, incumbent, gate)
    } else {
        no_better(&paired, verdict, incumbent, gate)
    };
    against.or_else(|| unfit(evaluation, verdict, incumbent, gate))
}

/// Whether more windows are all that is wanted.
fn is_undecided(evaluation: &Evaluation, verdict: &Verdict, incumbent: &str, gate: &Gate) -> bool {
    let better = verdict.paired.is_some_and(|paired| paired.improvement > 0.0);
    let enough = verdict.paired.is_some_and(|paired| paired.windows >= gate.min_windows);
    better && enough && !evaluation.only_bands && unfit(evaluation, verdict, incumbent, gate).is_none()
}

/// Why a candidate should not serve, however it compares with what does.
fn unfit(evaluation: &Evaluation, verdict: &Verdict, incumbent: &str, gate: &Gate) -> Option<String> {
    let crps = verdict.candidate.crps;
    if verdict.vs_naive.is_none_or(|skill| skill < 0.0) {
        return Some(format!("CRPS {crps:.4} is not as good as {:.4} of the naive forecast", verdict.naive.crps));
    }
    let (low, high) = gate.coverage;
    let covered = verdict.candidate.coverage_80;
    if !(low..=high).contains(&covered) {
        return Some(format!(
            "its 80 % band holds {:.0} % of the truth; {:.0} to {:.0} % is honest enough",
            100.0 * covered,
            100.0 * low,
            100.0 * high
        ));
    }
    if let Some(older) = &evaluation.older {
        // Losses that cannot be compared count as forgotten, unless there was nothing to lose.
        let change = verdict.older_improvement.unwrap_or_else(|| {
            if mean(&older.candidate.losses) <= mean(&older.champion.losses) { 0.0 } else { f64::NEG_INFINITY }
        });
        if change < -gate.forgetting {
            return Some(format!(
                "it has forgotten: on older readings CRPS {:.4} is {:.1} % worse than {:.4} of {incumbent}; at most {:.1} % \
                 is allowed",
                older.candidate.card.crps,
                -100.0 * change,
                older.champion.card.crps,
                100.0 * gate.forgetting
            ));
        }
    }
    None
}

/// Why a candidate does not forecast better than what serves by more than luck.
fn no_better(paired: &Paired, verdict: &Verdict, incumbent: &str, gate: &Gate) -> Option<String> {
    let (crps, champion) = (verdict.candidate.crps, verdict.champion.crps);
    if paired.improvement < gate.improvement {
        let difference = if paired.improvement < 0.0 { "worse" } else { "better" };
        return Some(format!(
            "CRPS {crps:.4} is {:.1} % {difference} than {champion:.4} of {incumbent}; at least {:.1} % better is needed",
            100.0 * paired.improvement.abs(),
            100.0 * gate.improvement
        ));
    }
    let (large, enough) = gate.large;
    let needed = if paired.improvement >= large { enough } else { gate.probability };
    if paired.probability < needed {
        return Some(format!(
            "CRPS {crps:.4} is {:.1} % better than {champion:.4} of {incumbent}, but over {} windows that may be luck: \
             probability {:.3}, at least {:.3} is needed",
            100.0 * paired.improvement,
            paired.windows,
            paired.probability,
            needed
        ));
    }
    None
}

/// Why a candidate that only has other bands than what serves should not replace it.
fn dishonest(paired: &Paired, verdict: &Verdict, incumbent: &str, gate: &Gate) -> Option<String> {
    if paired.improvement < -gate.improvement {
        return Some(format!(
            "CRPS {:.4} is {:.1} % worse than {:.4} of {incumbent}",
            verdict.candidate.crps,
            -100.0 * paired.improvement,
            verdict.champion.crps
        ));
    }
    let (covered, before) = (verdict.candidate.coverage_80, verdict.champion.coverage_80);
    ((covered - 0.8).abs() >= (before - 0.8).abs()).then(|| {
        format!(
            "its 80 % band holds {:.0} % of the truth, that of {incumbent} {:.0} %: no more honest",
            100.0 * covered,
            100.0 * before
        )
    })
}

/// Against forecasts that are not numbers any finite one wins.
fn certain(windows: usize) -> Paired {
    Paired { windows, improvement: 1.0, low: 1.0, high: 1.0, probability: 1.0 }
}

fn praise(verdict: &Verdict, incumbent: &str) -> String {
    let better = verdict.paired.map_or_else(
        || format!("{incumbent} no longer forecasts finite numbers"),
        |paired| {
            format!(
                "{:.1} % better than {:.4} of {incumbent} (95 % interval {:.1} to {:.1} %, {} windows)",
                100.0 * paired.improvement,
                verdict.champion.crps,
                100.0 * paired.low,
                100.0 * paired.high,
                paired.windows
            )
        },
    );
    format!(
        "CRPS {:.4}: {better}, {:.1} % better than the naive forecast; the 80 % band holds {:.0} % of the truth",
        verdict.candidate.crps,
        100.0 * verdict.vs_naive.unwrap_or_default(),
        100.0 * verdict.candidate.coverage_80
    )
}

fn mean(losses: &[f64]) -> f64 {
    losses.iter().sum::<f64>() / losses.len() as f64
}

#[cfg(test)]
mod tests;
