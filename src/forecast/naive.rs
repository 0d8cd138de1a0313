//! The forecast that anything else must beat: the last value holds, with the bands that changes
//! over as many steps had in the past.

use super::Situation;
use crate::asset::Signal;
use crate::model::window::future_steps;
use crate::model::{NORMAL, Quantiles};

/// Changes that are looked back on.
const LOOK_BACK: usize = 512;
/// Fewer changes than this say nothing about how wide a band must be.
const FEWEST: usize = 8;

/// Persistence over `steps` from the end of `history` (the signal's unit, finite). `wide` is the
/// deviation to assume while the history is too short to tell.
#[must_use]
pub fn persistence(history: &[f64], steps: usize, wide: f64) -> Quantiles {
    let last = history.last().copied().unwrap_or(0.0);
    let recent = &history[history.len().saturating_sub(LOOK_BACK)..];
    let mut known = 0.0_f64;
    (1..=steps)
        .map(|ahead| {
            let changes = recent.len().saturating_sub(ahead);
            if changes >= FEWEST {
                let sum: f64 = recent[ahead..].iter().zip(recent).map(|(now, then)| (now - then).powi(2)).sum();
                // A band does not get narrower with distance because the past ran out.
                known = known.max((sum / changes as f64).sqrt());
            } else if known == 0.0 {
                known = wide;
            }
            NORMAL.map(|z| last + z * known)
        })
        .collect()
}

/// The last season of `period` steps repeats itself, with the bands that changes over as many seasons had in
/// the past; [`persistence`] where there is no period or less than one of it. `history` is one stretch without
/// a gap.
#[must_use]
pub fn seasonal(history: &[f64], period: Option<usize>, steps: usize, wide: f64) -> Quantiles {
    let Some(period) = period.filter(|period| (1..=history.len()).contains(period)) else {
        return persistence(history, steps, wide);
    };
    let last = &history[history.len() - period..];
    let mut known = 0.0_f64;
    (0..steps)
        .map(|step| {
            let back = (step / period + 1) * period;
            let from = history.len().saturating_sub(LOOK_BACK + back);
            let recent = &history[from..];
            let changes = recent.len().saturating_sub(back);
            if changes >= FEWEST {
                let sum: f64 = recent[back..].iter().zip(recent).map(|(now, then)| (now - then).powi(2)).sum();
                known = known.max((sum / changes as f64).sqrt());
            } else if known == 0.0 {
                known = wide;
            }
            NORMAL.map(|z| last[step % period] + z * known)
        })
        .collect()
}

/// The deviation to assume of a signal while its past is too short to tell: a tenth of its range, or of the
/// value itself.
#[must_use]
pub fn assumed(signal: &Signal, last: f64) -> f64 {
    signal.min.zip(signal.max).map_or(last.abs().max(1.0), |(min, max)| max - min) / 10.0
}

impl Situation {
    /// The naive answer, the same for every future.
    pub(super) fn naive(&self, futures: usize) -> Vec<Vec<Quantiles>> {
        let one: Vec<Quantiles> = self
            .layout
            .targets
            .iter()
            .map(|target| {
                let signal = self.signal(*target);
                let history: Vec<f64> =
                    self.grid.values[*target].iter().copied().filter(|value| value.is_finite()).collect();
                let wide = assumed(signal, history.last().copied().unwrap_or(0.0));
                persistence(&history, future_steps(self.horizon), wide)
            })
            .collect();
        vec![one; futures]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::MEDIAN;

    #[test]
    fn bands_grow_with_the_changes_of_the_past() {
        let history: Vec<f64> = (0..200).map(|k| f64::from(k) * 0.5).collect();
        let answer = persistence(&history, 4, 1.0);
        assert!((answer[0][MEDIAN] - 99.5).abs() < 1e-12);
        assert!((answer[3][18] - (99.5 + 2.0 * 1.281_552)).abs() < 1e-9);
    }

    #[test]
    fn a_single_reading_has_the_assumed_width() {
        let answer = persistence(&[3.0], 2, 0.5);
        assert!((answer[1][18] - (3.0 + 0.5 * 1.281_552)).abs() < 1e-9);
    }

    #[test]
    fn a_season_repeats_itself_with_the_bands_of_its_changes() {
        let wave = |step: i32| f64::from(step % 6) + 0.1 * f64::from(step / 6);
        let history: Vec<f64> = (0..120).map(wave).collect();
        let answer = seasonal(&history, Some(6), 9, 1.0);
        for (step, row) in answer.iter().enumerate() {
            let (same, cycles) = (history[114 + step % 6], if step < 6 { 1.0 } else { 2.0 });
            assert!((row[MEDIAN] - same).abs() < 1e-12, "step {step}");
            assert!((row[18] - (same + 0.1 * cycles * 1.281_552)).abs() < 1e-9, "step {step}");
        }
        assert_eq!(seasonal(&history, None, 4, 1.0), persistence(&history, 4, 1.0));
        assert_eq!(seasonal(&history[..5], Some(6), 4, 1.0), persistence(&history[..5], 4, 1.0));
    }
}
