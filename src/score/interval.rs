//! Losses of forecasts that are quantiles, and how honest their intervals are.

use super::error;

/// Pinball (quantile) loss of one forecast at `level` (0..1), in the unit of the signal. Its
/// expectation is least at the true quantile.
#[must_use]
pub fn pinball(level: f64, forecast: f64, truth: f64) -> f64 {
    let error = error(forecast, truth);
    if error >= 0.0 { (1.0 - level) * error } else { -level * error }
}

/// Share of the probability that each of the ascending `levels` speaks for: from halfway to its
/// lower neighbour to halfway to its upper one, out to 0 and 1. The shares sum to 1.
#[must_use]
pub fn level_shares(levels: &[f64]) -> Vec<f64> {
    let halfway = |i: usize| f64::midpoint(levels[i], levels[i + 1]);
    (0..levels.len())
        .map(|i| {
            let low = if i == 0 { 0.0 } else { halfway(i - 1) };
            let high = if i + 1 == levels.len() { 1.0 } else { halfway(i) };
            high - low
        })
        .collect()
}

/// Continuous ranked probability score of one instant, from its quantiles at ascending `levels`:
/// twice the pinball loss integrated over the levels. In the unit of the signal; for the single
/// level 0.5 it is the absolute error. `None` when the truth is missing or there are no levels.
#[must_use]
pub fn crps(levels: &[f64], quantiles: &[f64], truth: f64) -> Option<f64> {
    (!truth.is_nan() && !levels.is_empty() && levels.len() == quantiles.len()).then(|| {
        let shares = level_shares(levels);
        let losses = levels.iter().zip(quantiles).map(|(&level, &quantile)| pinball(level, quantile, truth));
        2.0 * losses.zip(shares).map(|(loss, share)| loss * share).sum::<f64>()
    })
}

/// A quantile between the given ones, by straight lines between ascending `levels`; the outermost
/// ones beyond them. `None` without levels.
#[must_use]
pub fn quantile_at(levels: &[f64], quantiles: &[f64], level: f64) -> Option<f64> {
    let (first, last) = (*quantiles.first()?, *quantiles.last()?);
    let above = levels.iter().position(|&l| l >= level);
    match above {
        None => Some(last),
        Some(0) => Some(first),
        Some(i) => {
            let share = (level - levels[i - 1]) / (levels[i] - levels[i - 1]);
            Some(quantiles[i - 1] + share * (quantiles[i] - quantiles[i - 1]))
        }
    }
}

/// Share of the known truths that lie inside `[low, high]`, bounds included; `None` without any.
#[must_use]
pub fn coverage(low: &[f64], high: &[f64], truth: &[f64]) -> Option<f64> {
    let (mut inside, mut count) = (0_usize, 0_usize);
    for ((low, high), truth) in low.iter().zip(high).zip(truth) {
        if !truth.is_nan() {
            inside += usize::from(low <= truth && truth <= high);
            count += 1;
        }
    }
    (count > 0).then(|| inside as f64 / count as f64)
}

/// Mean width of the intervals, in the unit of the signal; `None` without any.
#[must_use]
pub fn width(low: &[f64], high: &[f64]) -> Option<f64> {
    let count = low.len().min(high.len());
    (count > 0).then(|| low.iter().zip(high).map(|(low, high)| high - low).sum::<f64>() / count as f64)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn crps_of_the_median_alone_is_the_absolute_error() {
        assert_eq!(crps(&[0.5], &[3.0], 5.0), Some(2.0));
        assert_eq!(crps(&[0.5], &[3.0], f64::NAN), None);
        assert_eq!(crps(&[], &[], 1.0), None);
        assert_eq!(crps(&[0.5], &[f64::NAN], 1.0), Some(f64::INFINITY));
    }

    #[test]
    fn crps_of_a_uniform_distribution_approaches_its_closed_form() {
        // For U(0, 1) and truth y: 1/3 - y + y^2.
        let levels: Vec<f64> = (0..1000).map(|i| (f64::from(i) + 0.5) / 1000.0).collect();
        for truth in [0.0, 0.25, 0.5, 0.9] {
            let exact = 1.0 / 3.0 - truth + truth * truth;
            assert!((crps(&levels, &levels, truth).unwrap() - exact).abs() < 1e-3);
        }
    }

    #[test]
    fn coverage_and_width_of_a_known_example() {
        let (low, high) = ([0.0, 0.0, 0.0, 0.0], [1.0, 1.0, 1.0, 3.0]);
        assert_eq!(coverage(&low, &high, &[0.0, 0.5, 2.0, f64::NAN]), Some(2.0 / 3.0));
        assert_eq!(width(&low, &high), Some(1.5));
        assert_eq!(coverage(&[], &[], &[]), None);
    }

    #[test]
    fn quantiles_between_the_levels_lie_on_straight_lines() {
        let (levels, quantiles) = ([0.1, 0.5, 0.9], [1.0, 2.0, 4.0]);
        assert_eq!(quantile_at(&levels, &quantiles, 0.5), Some(2.0));
        assert!((quantile_at(&levels, &quantiles, 0.7).unwrap() - 3.0).abs() < 1e-12);
        assert_eq!(quantile_at(&levels, &quantiles, 0.01), Some(1.0));
        assert_eq!(quantile_at(&levels, &quantiles, 0.99), Some(4.0));
        assert_eq!(quantile_at(&[], &[], 0.5), None);
    }

    proptest! {
        #[test]
        fn shares_sum_to_one(cuts in prop::collection::btree_set(1..999_u32, 1..20)) {
            let levels: Vec<f64> = cuts.into_iter().map(|c| f64::from(c) / 1000.0).collect();
            let shares = level_shares(&levels);
            prop_assert!((shares.iter().sum::<f64>() - 1.0).abs() < 1e-12);
            prop_assert!(shares.iter().all(|share| *share > 0.0));
        }

        #[test]
        fn crps_is_never_negative_and_zero_only_for_a_certain_hit(
            mut quantiles in prop::collection::vec(-50.0..50.0_f64, 3), truth in -50.0..50.0_f64,
        ) {
            quantiles.sort_by(f64::total_cmp);
            let levels = [0.1, 0.5, 0.9];
            prop_assert!(crps(&levels, &quantiles, truth).unwrap() >= 0.0);
            prop_assert_eq!(crps(&levels, &[truth; 3], truth), Some(0.0));
        }

        #[test]
        fn the_pinball_loss_is_least_at_the_quantile(
            mut values in prop::collection::vec(-50.0..50.0_f64, 11), other in -60.0..60.0_f64, pick in 1..10_usize,
        ) {
            values.sort_by(f64::total_cmp);
            let level = pick as f64 / 10.0 + 0.001;
            let total = |forecast: f64| values.iter().map(|&v| pinball(level, forecast, v)).sum::<f64>();
            let index = ((level * 11.0).ceil() as usize - 1).min(10);
            prop_assert!(total(values[index]) <= total(other) + 1e-9);
        }
    }
}
