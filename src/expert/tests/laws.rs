//! What must hold for any history: causality, determinism, bounds, and never failing.

use proptest::prelude::*;

use super::{Owned, plant};
use crate::expert::{Bank, CONTEXT, Expert, History};

/// A history of any length, inputs and restarts, with values as a normaliser leaves them.
fn any_history() -> impl Strategy<Value = (Owned, usize)> {
    (0_usize..400, 0_usize..4, 1_usize..40, any::<u64>(), 0_usize..5).prop_flat_map(
        |(length, inputs, horizon, seed, shape)| {
            let starts = prop::collection::vec(0..=length, 0..3);
            starts.prop_map(move |starts| {
                let source = plant(length + horizon, seed % (1 << 31), None);
                let row = |k: usize| -> Vec<f64> {
                    let base = &source.inputs[k % 2];
                    match (shape + k) % 5 {
                        0 => vec![0.0; base.len()],
                        1 => base.iter().map(|v| (v * 100.0).clamp(-8.0, 8.0)).collect(),
                        _ => base.clone(),
                    }
                };
                let target = match shape {
                    0 => vec![0.0; length],
                    1 => source.target.iter().map(|v| v.signum() * 12.0).collect(),
                    _ => source.target.clone(),
                };
                let mut all_starts = vec![0];
                all_starts.extend(starts);
                all_starts.sort_unstable();
                let owned = Owned {
                    target: target[..length].to_vec(),
                    inputs: (0..inputs).map(row).collect(),
                    starts: all_starts,
                };
                (owned, horizon)
            })
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_history_gives_a_finite_outlook_and_lawful_weights((owned, horizon) in any_history()) {
        let end = owned.target.len();
        let past = owned.until(end);
        let bank = Bank::fit(&past, horizon);
        let outlook = bank.forecast(&past, &owned.future(end, horizon));
        prop_assert_eq!(outlook.mean.len(), horizon);
        prop_assert!(outlook.mean.iter().all(|v| v.is_finite() && v.abs() < 12.0 + 1e-9));
        prop_assert!(outlook.disagreement.iter().all(|v| v.is_finite() && *v >= 0.0));
        prop_assert!(bank.scale().is_finite() && bank.scale() >= 0.0);
        prop_assert_eq!(bank.scale_by_block().len(), horizon.div_ceil(16));
        let total: f64 = bank.weights().iter().map(|(_, w)| w).sum();
        prop_assert!((total - 1.0).abs() < 1e-9);
        prop_assert!(bank.weights().iter().all(|(_, w)| *w >= 0.0));
        let follow = |(e, _): &&(Expert, f64)| e.follows_inputs();
        let held: f64 = bank.weights().iter().filter(follow).map(|(_, w)| w).sum();
        let able = bank.weights().iter().filter(follow).count();
        prop_assert!(owned.inputs.is_empty() || able == 0 || held > 0.5 - 1e-9);
        for trace in bank.traces() {
            prop_assert!(trace.values.len() <= trace.start_back && trace.start_back <= end);
            prop_assert!(trace.values.iter().all(|v| v.is_finite()));
        }
    }

    #[test]
    fn before_the_first_differing_input_the_answers_are_bitwise_equal(
        (owned, horizon) in any_history(),
        at in 0_usize..40,
        change in -8.0_f64..8.0,
    ) {
        let end = owned.target.len();
        let past = owned.until(end);
        let bank = Bank::fit(&past, horizon);
        let future = owned.future(end, horizon);
        let mut other = future.clone();
        let at = at.min(horizon);
        for row in &mut other {
            for value in &mut row[at..] {
                *value = change;
            }
        }
        let prepared = bank.prepare(&past);
        let (a, b) = (prepared.forecast(&future), prepared.forecast(&other));
        let bits = |v: &[f64]| v.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
        prop_assert_eq!(bits(&a.mean[..at]), bits(&b.mean[..at]));
        prop_assert_eq!(bits(&a.disagreement[..at]), bits(&b.disagreement[..at]));
        let again = bank.forecast(&past, &future);
        prop_assert_eq!(bits(&a.mean), bits(&again.mean));
    }
}

#[test]
fn two_samples_make_persistence_with_a_wide_scale() {
    let history = History { target: &[0.3, 0.4], inputs: &[vec![0.0; 6]], others: &[], starts: &[0], silent: &[] };
    let bank = Bank::fit(&history, 4);
    assert_eq!(bank.weights(), [(Expert::Persistence, 1.0)]);
    assert!((bank.scale() - 1.0).abs() < 1e-12);
    let outlook = bank.forecast(&history, &[vec![5.0; 4]]);
    assert!(outlook.mean.iter().all(|v| (v - 0.4).abs() < 1e-12));
}

#[test]
fn a_value_that_is_not_finite_does_not_reach_the_outlook() {
    for at in [100, 250] {
        let mut owned = plant(300, 3, None);
        owned.target[at] = f64::NAN;
        let past = owned.until(268);
        let bank = Bank::fit(&past, 32);
        let outlook = bank.forecast(&past, &owned.future(268, 32));
        assert!(outlook.mean[31].is_finite() && bank.scale().is_finite());
    }
}

#[test]
fn samples_beyond_the_context_change_nothing() {
    let owned = plant(CONTEXT + 150, 9, None);
    let end = CONTEXT + 118;
    let whole = owned.until(end);
    let inputs: Vec<Vec<f64>> = owned.inputs.iter().map(|r| r[118..].to_vec()).collect();
    let newest = History { target: &owned.target[118..end], inputs: &inputs, others: &[], starts: &[0], silent: &[] };
    let future = owned.future(end, 32);
    let (a, b) = (Bank::fit(&whole, 32), Bank::fit(&newest, 32));
    assert_eq!(a.forecast(&whole, &future), b.forecast(&newest, &future));
    assert_eq!(a.traces(), b.traces());
}

#[test]
fn a_bank_answers_from_a_later_end_than_it_was_fitted_on() {
    let owned = plant(464, 21, Some(24.0));
    let bank = Bank::fit(&owned.until(400), 32);
    let answers = bank.answers(&owned.until(432), &owned.future(432, 32));
    let outlook = bank.forecast(&owned.until(432), &owned.future(432, 32));
    let error = |answer: &[f64]| -> f64 {
        let truth = &owned.target[432..];
        let squares: f64 = answer.iter().zip(truth).map(|(a, t)| (a - t).powi(2)).sum();
        (squares / 32.0).sqrt()
    };
    let (last, persistence) = answers.last().expect("persistence is always there");
    assert_eq!(*last, Expert::Persistence);
    assert!(error(&outlook.mean) < 0.6 * error(persistence));
}

#[test]
fn a_held_step_of_an_input_moves_the_answer_in_its_direction() {
    let owned = plant(480, 4, None);
    let past = owned.until(448);
    let bank = Bank::fit(&past, 32);
    let prepared = bank.prepare(&past);
    let high = prepared.forecast(&[vec![1.0; 32], vec![0.0; 32]]);
    let low = prepared.forecast(&[vec![-1.0; 32], vec![0.0; 32]]);
    // the plant's own gain is tanh(2.4) - tanh(-2.4) at rest, most of it reached in 32 steps
    assert!(high.mean[31] - low.mean[31] > 1.0);
}

#[test]
fn a_horizon_of_no_steps_is_an_empty_outlook() {
    let owned = plant(300, 5, None);
    let past = owned.until(300);
    let bank = Bank::fit(&past, 0);
    assert!(bank.forecast(&past, &owned.future(300, 0)).mean.is_empty());
    assert!(bank.scale_by_block().is_empty());
}
