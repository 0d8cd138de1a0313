//! Errors of point forecasts, in the unit of the signal (its square for [`mse`]).

use super::error;

/// Mean of a loss over the steps whose truth is known; `None` when there are none.
fn mean_loss(forecast: &[f64], truth: &[f64], loss: impl Fn(f64) -> f64) -> Option<f64> {
    let (mut sum, mut count) = (0.0, 0_usize);
    for (&predicted, &measured) in forecast.iter().zip(truth) {
        if !measured.is_nan() {
            sum += loss(error(predicted, measured));
            count += 1;
        }
    }
    (count > 0).then(|| sum / count as f64)
}

/// Mean squared error.
#[must_use]
pub fn mse(forecast: &[f64], truth: &[f64]) -> Option<f64> {
    mean_loss(forecast, truth, |e| e * e)
}

/// Root of the mean squared error.
#[must_use]
pub fn rmse(forecast: &[f64], truth: &[f64]) -> Option<f64> {
    mse(forecast, truth).map(f64::sqrt)
}

/// Mean absolute error.
#[must_use]
pub fn mae(forecast: &[f64], truth: &[f64]) -> Option<f64> {
    mean_loss(forecast, truth, f64::abs)
}

/// Mean absolute scaled error (Hyndman and Koehler, 2006): the absolute error in units of the
/// mean step from `history[t - season]` to `history[t]`. Below 1 beats the (seasonal) naive
/// forecast one step ahead. `None` for a history that never moves or a `season` of 0.
#[must_use]
pub fn mase(forecast: &[f64], truth: &[f64], history: &[f64], season: usize) -> Option<f64> {
    if season == 0 {
        return None;
    }
    let scale = mae(history, history.get(season..)?)?;
    (scale > 0.0 && scale.is_finite()).then_some(())?;
    mae(forecast, truth).map(|error| error / scale)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn errors_of_a_known_example() {
        let (forecast, truth) = ([1.0, 2.0, 5.0], [1.0, 4.0, 4.0]);
        assert!((mse(&forecast, &truth).unwrap() - 5.0 / 3.0).abs() < 1e-12);
        assert!((mae(&forecast, &truth).unwrap() - 1.0).abs() < 1e-12);
        assert!((mase(&forecast, &truth, &[0.0, 2.0, 4.0, 6.0], 1).unwrap() - 0.5).abs() < 1e-12);
    }

    #[test]
    fn a_missing_truth_is_left_out_and_nothing_to_score_is_none() {
        assert_eq!(mae(&[1.0, 9.0], &[2.0, f64::NAN]), Some(1.0));
        assert_eq!(rmse(&[1.0], &[f64::NAN]), None);
        assert_eq!(rmse(&[], &[]), None);
        assert_eq!(mase(&[1.0], &[1.0], &[3.0, 3.0, 3.0], 1), None);
        assert_eq!(mase(&[1.0], &[1.0], &[3.0, 4.0], 0), None);
        assert_eq!(mase(&[1.0], &[1.0], &[3.0, 4.0], 7), None);
    }

    #[test]
    fn a_broken_forecast_costs_infinitely_much() {
        assert_eq!(rmse(&[f64::NAN, 1.0], &[1.0, 1.0]), Some(f64::INFINITY));
        assert_eq!(mae(&[f64::NEG_INFINITY], &[1.0]), Some(f64::INFINITY));
    }

    proptest! {
        #[test]
        fn rmse_is_never_below_mae_and_both_scale_with_the_unit(
            pairs in prop::collection::vec((-1e3..1e3_f64, -1e3..1e3_f64), 1..40), unit in 0.1..10.0_f64,
        ) {
            let (forecast, truth): (Vec<f64>, Vec<f64>) = pairs.into_iter().unzip();
            let (root, absolute) = (rmse(&forecast, &truth).unwrap(), mae(&forecast, &truth).unwrap());
            prop_assert!(root >= absolute - 1e-9);
            let scaled = |values: &[f64]| values.iter().map(|v| v * unit).collect::<Vec<_>>();
            let other = rmse(&scaled(&forecast), &scaled(&truth)).unwrap();
            prop_assert!((other - root * unit).abs() <= 1e-9 * (1.0 + other));
        }
    }
}
