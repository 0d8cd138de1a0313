//! A forecaster and what the labels taught are judged apart and serve together.

use super::*;
use crate::training::{Companions, Gate, RemainingVerdict, Verdict, judge};

/// A forecaster of this CRPS, with a model of remaining time that is better than what serves, or is not.
fn with_companion(crps: f64, improved: bool) -> Candidate {
    let remaining = RemainingVerdict {
        improved,
        reason: "error 3 min".to_owned(),
        class: "failed".to_owned(),
        failures: 5,
        failures_needed: 0,
        judged_runs: 1,
        candidate: None,
        champion: None,
        naive: None,
    };
    let beside = improved.then(|| (vec![9], json!({"served": true})));
    let companions = Companions { health: None, remaining: Some(remaining), beside, instead: None };
    Candidate { companions: Some(companions), ..candidate(crps) }
}

fn composed(crps: f64, improved: bool) -> (Candidate, Verdict) {
    let mut candidate = with_companion(crps, improved);
    let mut verdict = judge(&candidate.holdout, "version 1", &Gate::default(), 1);
    candidate.compose(&mut verdict);
    (candidate, verdict)
}

#[test]
fn a_better_companion_serves_with_the_forecaster_that_served() {
    let (candidate, verdict) = composed(1.5, true);
    assert!(verdict.passed && verdict.promoted, "{}", verdict.reason);
    assert_eq!((candidate.weights, candidate.calibration), (vec![9], json!({"served": true})));
    assert!(
        verdict.reason.starts_with("forecasts as before (") && verdict.reason.contains("; new remaining time: error")
    );
    assert!(verdict.remaining.unwrap().improved);
}

#[test]
fn a_better_forecaster_keeps_its_own_weights_whatever_its_companion_is() {
    for improved in [true, false] {
        let (own, verdict) = composed(0.5, improved);
        assert!(verdict.passed && own.weights == candidate(0.5).weights, "{}", verdict.reason);
    }
}

#[test]
fn where_nothing_is_better_nothing_is_promoted() {
    let (own, verdict) = composed(1.5, false);
    assert!(!verdict.passed && !verdict.promoted && own.weights == candidate(1.5).weights);
    assert!(verdict.reason.contains("; remaining time as before: error 3 min"), "{}", verdict.reason);
}

#[test]
fn what_goes_beside_a_forecaster_of_another_base_model_was_learned_on_that_one() {
    for (crps, base, weights) in [(1.5, "other", vec![9]), (0.5, "test-1", candidate(0.5).weights)] {
        let mut own = with_companion(crps, true);
        let instead = own.companions.take().map(|companions| ("other".to_owned(), Box::new(companions)));
        own.companions = Some(Companions { health: None, remaining: None, beside: None, instead });
        let mut verdict = judge(&own.holdout, "version 1", &Gate::default(), 1);
        own.compose(&mut verdict);
        assert!(verdict.passed, "{}", verdict.reason);
        assert_eq!((&*own.base, &own.weights), (base, &weights), "{}", verdict.reason);
    }
}
