//! What "better" means: pure functions over numbers. No tensors, no database, no clock.
//!
//! A truth of NaN is a missing measurement and is left out; a forecast that is not finite costs
//! infinitely much, so that a broken model can never look good. Everything random takes a seed.
//! Which model serves is not decided here: `training::verdict` weighs what this room measures.

pub mod anomaly;
pub mod card;
pub mod class;
pub mod interval;
pub mod lead;
pub mod paired;
pub mod point;
pub mod remaining;

pub use card::{ScoreCard, Scored, Scorer, TargetScore};
pub use class::{ClassCard, ClassScore, Confusion};
pub use lead::LeadCoverage;
pub use paired::{Paired, RESAMPLES, paired_block_bootstrap};
pub use remaining::{RemainingCard, RemainingTime};

/// Skill against a reference: 1 is perfect, 0 as good as the reference, negative is worse. `None`
/// where the reference made no error at all or either loss is not a number.
#[must_use]
pub fn skill(loss: f64, reference: f64) -> Option<f64> {
    (reference > 0.0 && reference.is_finite() && !loss.is_nan()).then(|| 1.0 - loss / reference)
}

/// What a forecast that is not finite costs, and the error of one that is.
pub(crate) fn error(forecast: f64, truth: f64) -> f64 {
    if forecast.is_finite() { forecast - truth } else { f64::INFINITY }
}

#[cfg(test)]
mod tests {
    use super::skill;

    #[test]
    fn skill_is_the_share_of_the_reference_loss_that_went_away() {
        assert_eq!(skill(0.5, 1.0), Some(0.5));
        assert_eq!(skill(2.0, 1.0), Some(-1.0));
        assert_eq!(skill(1.0, 0.0), None);
        assert_eq!(skill(f64::NAN, 1.0), None);
        assert_eq!(skill(f64::INFINITY, 1.0), Some(f64::NEG_INFINITY));
    }
}
