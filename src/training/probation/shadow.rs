//! Whether what a version forecasts in the shadow of what serves is better for certain. Pure, in words.
//!
//! A holdout is a few hours long, so a version that is a little better often cannot show it there. What it
//! says of the hours after its birth, beside what serves, can. It is looked at as often as a promoted version
//! ([`super::judge`]), with the same care for chance; what was turned down for another reason than luck, or
//! waits for a person, is compared but never promoted from here.

use super::{Bout, Patience};
use crate::score::paired_block_bootstrap;

/// Share of the champion's CRPS that must be saved for certain: as little as the holdout asks for.
const MARGIN: f64 = 0.01;
/// Windows whose futures overlap: origins lie half a horizon apart.
const OVERLAP: usize = 2;

/// How it looks in the shadow.
#[derive(Clone, Debug, PartialEq)]
pub enum Outlook {
    /// Nothing yet; how it stands.
    Goes(String),
    /// It should serve.
    Promote(String),
    /// It should not, as far as can be seen.
    Leave(String),
}

/// Looks at all bouts so far, in the order of time. `champion` is what serves, in words.
#[must_use]
pub fn outlook(bouts: &[Bout], champion: &str, patience: &Patience) -> Outlook {
    let whole: Vec<(f64, f64, f64)> =
        bouts.iter().filter_map(|bout| Some((bout.crps?, bout.former_crps?, bout.naive_crps))).collect();
    let column = |of: fn(&(f64, f64, f64)) -> f64| whole.iter().map(of).collect::<Vec<f64>>();
    let (own, serving, naive) = (column(|row| row.0), column(|row| row.1), column(|row| row.2));
    let broken = bouts.iter().filter(|bout| bout.crps.is_none()).count();
    if broken >= patience.broken {
        return Outlook::Leave(format!("of {} answers {broken} could not be given or were not finite", bouts.len()));
    }
    let enough = bouts.len() >= patience.windows;
    let fewest = patience.fewest.min(patience.windows);
    let stands = if whole.is_empty() {
        format!("{} windows, none of them answered by both", bouts.len())
    } else {
        format!(
            "in the shadow over {} windows CRPS {:.4}, that of {champion} {:.4}, of the naive forecast {:.4}",
            whole.len(),
            mean(&own),
            mean(&serving),
            mean(&naive)
        )
    };
    let looks = enough || (bouts.len() >= fewest && (bouts.len() - fewest).is_multiple_of(patience.between.max(1)));
    if looks && whole.len() >= fewest && mean(&own) < mean(&naive) && mean(&serving) >= patience.small {
        let paired = paired_block_bootstrap(&own, &serving, 2 * OVERLAP, patience.resamples, own.len() as u64);
        let held: Vec<f64> = bouts.iter().filter_map(|bout| bout.coverage_80).collect();
        if let Some(saved) = paired
            && saved.improvement - patience.widening * (saved.improvement - saved.low) > MARGIN
            && mean(&held) >= patience.coverage
        {
            let (low, high) = (100.0 * saved.low, 100.0 * saved.high);
            let better = format!("{:.1} % better (95 % interval {low:.1} to {high:.1} %)", 100.0 * saved.improvement);
            return Outlook::Promote(format!("{better}: {stands}"));
        }
    }
    if enough { Outlook::Leave(stands) } else { Outlook::Goes(stands) }
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, TimeDelta};
    use rand::{RngExt as _, SeedableRng as _};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    /// Windows of a day that wavers, on which version, champion and naive forecast lose so many times as much.
    fn course(seed: u64, count: usize, levels: [f64; 3]) -> Vec<Bout> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let begin = DateTime::from_timestamp(1_790_000_000, 0).unwrap();
        let mut states = [0.0_f64; 4];
        (0..count)
            .map(|index| {
                for state in &mut states {
                    *state = 0.6 * *state + rng.random_range(-1.0..1.0);
                }
                let day = 0.2 * (0.5 * states[0]).exp();
                let of = |place: usize| day * levels[place] * (0.1 * states[place + 1]).exp();
                let state_at = begin + TimeDelta::seconds(30 * index as i64);
                Bout {
                    state_at,
                    until: state_at + TimeDelta::seconds(60),
                    crps: Some(of(0)),
                    former_crps: Some(of(1)),
                    naive_crps: of(2),
                    coverage_80: Some(0.8),
                    former_coverage_80: Some(0.8),
                }
            })
            .collect()
    }

    /// How it ends when it is looked at after every window.
    fn ends(bouts: &[Bout]) -> (usize, Outlook) {
        let patience = Patience::default();
        (1..=bouts.len())
            .map(|count| (count, outlook(&bouts[..count], "version 1", &patience)))
            .find(|(_, outlook)| !matches!(outlook, Outlook::Goes(_)))
            .expect("it ends after enough windows")
    }

    #[test]
    fn what_is_clearly_better_is_promoted_and_says_by_how_much() {
        for seed in 0..20 {
            let (after, outlook) = ends(&course(seed, 48, [0.7, 1.0, 2.0]));
            let Outlook::Promote(why) = outlook else { panic!("seed {seed}: {outlook:?}") };
            assert!(after < 48 && why.contains("that of version 1") && why.contains("95 % interval"), "{why}");
        }
    }

    #[test]
    fn what_is_no_better_is_hardly_ever_promoted() {
        let lucky = (0..300).filter(|seed| matches!(ends(&course(*seed, 48, [1.0, 1.0, 2.0])).1, Outlook::Promote(_)));
        let lucky = lucky.count();
        assert!(lucky <= 1, "{lucky} of 300");
        let worse = (0..300).any(|seed| matches!(ends(&course(seed, 48, [1.1, 1.0, 2.0])).1, Outlook::Promote(_)));
        assert!(!worse);
    }

    #[test]
    fn a_naive_forecast_that_is_better_a_blind_band_or_broken_answers_stand_against_it() {
        assert!(matches!(ends(&course(1, 48, [0.7, 1.0, 0.5])).1, Outlook::Leave(_)));
        let mut blind = course(2, 48, [0.7, 1.0, 2.0]);
        blind.iter_mut().for_each(|bout| bout.coverage_80 = Some(0.2));
        assert!(matches!(ends(&blind).1, Outlook::Leave(_)));
        let mut broken = course(3, 48, [0.7, 1.0, 2.0]);
        broken.iter_mut().for_each(|bout| bout.crps = None);
        let (after, outlook) = ends(&broken);
        assert_eq!(
            (after, outlook),
            (3, Outlook::Leave("of 3 answers 3 could not be given or were not finite".to_owned()))
        );
    }
}
