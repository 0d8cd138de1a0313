//! Verdicts: what is promoted, what is not, and why.

use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use super::*;
use crate::score::Scored;

/// A forecaster whose loss is `level` times that of a wavering day, with an 80 % band that
/// holds `coverage` of the truth.
fn scored(level: f64, coverage: f64, windows: usize) -> Scored {
    let losses: Vec<f64> = (0..windows).map(|i| level * (1.0 + 0.3 * (i as f64 / 5.0).sin())).collect();
    let card = ScoreCard { windows, crps: mean(&losses), coverage_80: coverage, ..ScoreCard::default() };
    Scored { card, losses }
}

fn holdout(candidate: Scored, champion: f64, naive: f64) -> Holdout {
    let windows = candidate.losses.len();
    Holdout { candidate, champion: scored(champion, 0.8, windows), naive: scored(naive, 0.8, windows), overlap: 4 }
}

fn verdict(recent: Holdout, older: Option<Holdout>) -> Verdict {
    judge(&Evaluation { recent, older, only_bands: false }, "the base model", &Gate::default(), 7)
}

#[test]
fn only_luck_against_it_leaves_a_candidate_undecided() {
    let older = |level: f64| Some(holdout(scored(level, 0.8, 50), 1.0, 2.0));
    for (name, recent, older, undecided) in [
        ("a little better", holdout(scored(0.995, 0.8, 60), 1.0, 2.0), None, true),
        ("promoted", holdout(scored(0.9, 0.8, 60), 1.0, 2.0), None, false),
        ("worse", holdout(scored(1.01, 0.8, 60), 1.0, 2.0), None, false),
        ("worse than naive", holdout(scored(0.995, 0.8, 60), 1.0, 0.8), None, false),
        ("overconfident", holdout(scored(0.995, 0.55, 60), 1.0, 2.0), None, false),
        ("forgets", holdout(scored(0.995, 0.8, 60), 1.0, 2.0), older(1.05), false),
        ("few windows", holdout(scored(0.995, 0.8, 19), 1.0, 2.0), None, false),
    ] {
        assert_eq!(verdict(recent, older).undecided, undecided, "{name}");
    }
    let mut contradicts = verdict(holdout(scored(0.995, 0.8, 60), 1.0, 2.0), None);
    contradicts.fail("it contradicts the type");
    assert!(!contradicts.undecided);
}

#[test]
fn a_table_of_verdicts() {
    let older = |level: f64| Some(holdout(scored(level, 0.8, 50), 1.0, 2.0));
    let broken = {
        let mut scored = scored(0.5, 0.8, 60);
        scored.losses[3] = f64::INFINITY;
        scored
    };
    let table = [
        ("better", holdout(scored(0.9, 0.8, 60), 1.0, 2.0), None, true, "10.0 % better than 1."),
        ("better, remembers", holdout(scored(0.9, 0.8, 60), 1.0, 2.0), older(1.01), true, "95 % interval"),
        ("just enough", holdout(scored(0.985, 0.8, 60), 1.0, 2.0), None, true, "1.5 % better"),
        ("too little", holdout(scored(0.995, 0.8, 60), 1.0, 2.0), None, false, "0.5 % better than"),
        ("the same", holdout(scored(1.0, 0.8, 60), 1.0, 2.0), None, false, "at least 1.0 % better is needed"),
        ("worse", holdout(scored(1.2, 0.8, 60), 1.0, 2.0), None, false, "20.0 % worse than"),
        ("worse than naive", holdout(scored(0.9, 0.8, 60), 1.0, 0.8), None, false, "naive forecast"),
        ("overconfident", holdout(scored(0.9, 0.55, 60), 1.0, 2.0), None, false, "band holds 55 %"),
        ("too wide", holdout(scored(0.9, 0.97, 60), 1.0, 2.0), None, false, "band holds 97 %"),
        ("forgets", holdout(scored(0.9, 0.8, 60), 1.0, 2.0), older(1.05), false, "it has forgotten"),
        ("few windows", holdout(scored(0.5, 0.8, 19), 1.0, 2.0), None, false, "19 windows and 20 are needed"),
        ("broken", holdout(broken, 1.0, 2.0), None, false, "not all finite"),
        ("perfect champion", holdout(scored(0.5, 0.8, 60), 0.0, 2.0), None, false, "made no error"),
    ];
    for (name, recent, older, promoted, words) in table {
        let verdict = verdict(recent, older);
        assert_eq!(verdict.promoted, promoted, "{name}: {}", verdict.reason);
        assert!(verdict.reason.contains(words), "{name}: {}", verdict.reason);
    }
}

#[test]
fn an_improvement_that_a_few_windows_made_may_be_luck() {
    let mut lucky = scored(1.0, 0.8, 60);
    lucky.losses[30] = 0.0;
    lucky.losses[31] = 0.0;
    let verdict = verdict(holdout(lucky, 1.0, 2.0), None);
    assert!(!verdict.promoted && verdict.reason.contains("may be luck"), "{}", verdict.reason);
}

#[test]
fn any_finite_forecast_replaces_a_champion_that_broke() {
    let mut recent = holdout(scored(0.9, 0.8, 60), 1.0, 2.0);
    recent.champion.losses[0] = f64::INFINITY;
    let verdict = verdict(recent, None);
    assert!(verdict.promoted && verdict.paired.is_none(), "{}", verdict.reason);
}

#[test]
fn other_bands_serve_when_they_are_more_honest_and_cost_nothing() {
    let table = [
        ("more honest", scored(1.0, 0.79, 60), 0.6, true, "holds 79 % of the truth, that of the base model 60 %"),
        ("as honest", scored(1.0, 0.83, 60), 0.78, false, "no more honest"),
        ("worse forecasts", scored(1.05, 0.8, 60), 0.6, false, "5.0 % worse than"),
        ("worse than naive", scored(2.5, 0.8, 60), 0.6, false, "worse than"),
    ];
    for (name, candidate, before, promoted, words) in table {
        let mut recent = holdout(candidate, 1.0, 2.0);
        recent.champion.card.coverage_80 = before;
        let evaluation = Evaluation { recent, older: None, only_bands: true };
        let verdict = judge(&evaluation, "the base model", &Gate::default(), 7);
        assert_eq!(verdict.promoted, promoted, "{name}: {}", verdict.reason);
        assert!(verdict.reason.contains(words), "{name}: {}", verdict.reason);
    }
}

#[test]
fn windows_that_do_not_pair_are_not_compared() {
    let mut recent = holdout(scored(0.5, 0.8, 60), 1.0, 2.0);
    recent.champion.losses.pop();
    let verdict = verdict(recent, None);
    assert!(!verdict.promoted && verdict.reason.contains("same windows"), "{}", verdict.reason);
}

/// Promotions of 200 candidates that are as good as the champion but for differences of
/// chance, of this size relative to the loss.
fn promoted_by_chance(size: f64) -> usize {
    let promoted = |seed: &u64| {
        let mut rng = ChaCha8Rng::seed_from_u64(*seed);
        let mut recent = holdout(scored(1.0, 0.8, 80), 1.0, 2.0);
        let mut drift = 0.0;
        for loss in &mut recent.candidate.losses {
            drift = 0.6 * drift + rng.random_range(-size..size);
            *loss *= 1.0 + drift;
        }
        verdict(recent, None).promoted
    };
    (0..200).filter(promoted).count()
}

#[test]
fn chance_is_hardly_ever_promoted() {
    // A head that learned from noise stays close to the shipped one, by L2-SP.
    assert!(promoted_by_chance(0.02) <= 1);
    // Far from it, the improvement asked for no longer helps and the bootstrap stands alone.
    let far = promoted_by_chance(0.1);
    assert!(far <= 5, "{far} of 200");
}
