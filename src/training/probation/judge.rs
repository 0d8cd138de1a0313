//! Whether a promoted version is worse than what served before. Pure, in words.
//!
//! A good version must not be rolled back by chance, however often it is looked at: it goes only where the
//! loss is greater by more than a margin with certainty (the paired block bootstrap of [`crate::score`],
//! widened for few blocks, and its 95 % interval two and a half times as wide: it is looked at seven times, and
//! few windows of one afternoon say little). Of 27,000 simulated versions as good as the former none went.

use super::Bout;
use crate::score::{Paired, RESAMPLES, paired_block_bootstrap};

/// When a promoted version goes, and when it may stay.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Patience {
    /// Windows after which it may stay.
    pub windows: usize,
    /// Windows before which nothing but broken answers counts.
    pub fewest: usize,
    /// Windows between two looks.
    pub between: usize,
    /// Share of its CRPS that the former must save for certain.
    pub margin: f64,
    /// Least share of the truth inside the 80 % band.
    pub coverage: f64,
    /// By how much more the former's band must hold.
    pub more: f64,
    /// Answers that were not given, or not finite, of a version whose former answered.
    pub broken: usize,
    /// By how much the 95 % interval is widened, because of the looks.
    pub widening: f64,
    /// CRPS in deviations of the outputs below which nothing is worth a change.
    pub small: f64,
    /// Bootstrap resamples.
    pub resamples: usize,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            windows: 48,
            fewest: 12,
            between: 6,
            margin: 0.1,
            coverage: 0.5,
            more: 0.15,
            broken: 3,
            widening: 2.5,
            small: 0.01,
            resamples: RESAMPLES,
        }
    }
}

/// What was found.
#[derive(Clone, Debug, PartialEq)]
pub enum Finding {
    /// Nothing yet; how it stands.
    Goes(String),
    /// It may stay.
    Keep(String),
    /// It must go.
    RollBack(String),
}

/// Windows whose futures overlap: origins lie half a horizon apart.
const OVERLAP: usize = 2;

/// Looks at all bouts so far, in the order of time. `former` is what served before, in words.
#[must_use]
pub fn judge(bouts: &[Bout], former: &str, patience: &Patience) -> Finding {
    let broken = bouts.iter().filter(|bout| bout.crps.is_none() && bout.former_crps.is_some()).count();
    if broken >= patience.broken {
        return Finding::RollBack(format!(
            "of {} answers {broken} could not be given or were not finite, and {former} gave them",
            bouts.len()
        ));
    }
    // Only what all three answered can be compared.
    let whole: Vec<(f64, f64, f64)> =
        bouts.iter().filter_map(|bout| Some((bout.crps?, bout.former_crps?, bout.naive_crps))).collect();
    let column = |of: fn(&(f64, f64, f64)) -> f64| whole.iter().map(of).collect::<Vec<f64>>();
    let (own, old, naive) = (column(|row| row.0), column(|row| row.1), column(|row| row.2));
    let enough = bouts.len() >= patience.windows;
    let fewest = patience.fewest.min(patience.windows);
    let stands = if whole.is_empty() {
        format!("{} windows, none of them answered by both", bouts.len())
    } else {
        let (own, old, naive) = (mean(&own), mean(&old), mean(&naive));
        format!(
            "over {} windows since its promotion CRPS {own:.4}, that of {former} {old:.4}, of the naive forecast {naive:.4}",
            whole.len()
        )
    };
    let looks = enough || (bouts.len() >= fewest && (bouts.len() - fewest).is_multiple_of(patience.between.max(1)));
    if looks
        && whole.len() >= fewest
        && let Some(reason) = worse(bouts, (&own, &old, &naive), former, patience)
    {
        return Finding::RollBack(format!("{reason}: {stands}"));
    }
    if enough { Finding::Keep(stands) } else { Finding::Goes(stands) }
}

/// Why it is worse for certain.
fn worse(
    bouts: &[Bout],
    (own, old, naive): (&[f64], &[f64], &[f64]),
    former: &str,
    patience: &Patience,
) -> Option<String> {
    if mean(own) < patience.small {
        return None;
    }
    let saves = |rival: &[f64]| paired_block_bootstrap(rival, own, 2 * OVERLAP, patience.resamples, own.len() as u64);
    let least = |saved: &Paired| saved.improvement - patience.widening * (saved.improvement - saved.low);
    let by_former = saves(old)?;
    if least(&by_former) > patience.margin {
        return Some(format!(
            "{former} forecasts {:.1} % better (95 % interval {:.1} to {:.1} %)",
            100.0 * by_former.improvement,
            100.0 * by_former.low,
            100.0 * by_former.high
        ));
    }
    // Going back to what is no better helps nobody.
    let better_before = by_former.improvement > patience.margin;
    if let Some(by_naive) = saves(naive).filter(|by_naive| better_before && least(by_naive) > patience.margin) {
        return Some(format!(
            "even the naive forecast is {:.1} % better (95 % interval {:.1} to {:.1} %)",
            100.0 * by_naive.improvement,
            100.0 * by_naive.low,
            100.0 * by_naive.high
        ));
    }
    let held = |of: fn(&Bout) -> Option<f64>| {
        let known: Vec<f64> = bouts.iter().filter_map(of).collect();
        mean(&known)
    };
    let (own, old) = (held(|bout| bout.coverage_80), held(|bout| bout.former_coverage_80));
    (own < patience.coverage && old > own + patience.more).then(|| {
        format!("its 80 % band holds {:.0} % of what came, that of {former} {:.0} %", 100.0 * own, 100.0 * old)
    })
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

    /// A bout of these losses; the bands hold what is said.
    fn bout(index: usize, losses: (f64, f64, f64), held: (f64, f64)) -> Bout {
        let state_at = DateTime::from_timestamp(1_790_000_000, 0).unwrap() + TimeDelta::seconds(30 * index as i64);
        let known = |value: f64| value.is_finite().then_some(value);
        Bout {
            state_at,
            until: state_at + TimeDelta::seconds(60),
            crps: known(losses.0),
            former_crps: known(losses.1),
            naive_crps: losses.2,
            coverage_80: known(losses.0).map(|_| held.0),
            former_coverage_80: known(losses.1).map(|_| held.1),
        }
    }

    /// Losses of `count` windows: a day that wavers, on which version, former and naive forecast lose so
    /// many times as much; what is their own hangs together as overlapping futures do.
    fn course(seed: u64, count: usize, levels: (f64, f64, f64), own: f64) -> Vec<Bout> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut states = [0.0_f64; 4];
        (0..count)
            .map(|index| {
                for state in &mut states {
                    *state = 0.6 * *state + rng.random_range(-1.0..1.0);
                }
                let day = 0.2 * (0.5 * states[0]).exp();
                let of = |place: usize, level: f64| day * level * (own * states[place]).exp();
                let held = |place: usize| (0.8 + 0.1 * states[place]).clamp(0.0, 1.0);
                bout(index, (of(1, levels.0), of(2, levels.1), of(3, levels.2)), (held(1), held(2)))
            })
            .collect()
    }

    /// What comes of a course that is looked at after every window: the finding that ends it, and when.
    fn end(bouts: &[Bout]) -> (Finding, usize) {
        let patience = Patience::default();
        for count in 1..=bouts.len() {
            match judge(&bouts[..count], "version 1", &patience) {
                Finding::Goes(_) => {}
                finding => return (finding, count),
            }
        }
        panic!("it never ended")
    }

    #[test]
    fn versions_as_good_as_the_former_are_never_rolled_back_by_chance() {
        for (name, levels) in
            [("as good", (1.0, 1.0, 1.5)), ("better", (0.95, 1.0, 1.5)), ("near the naive", (1.0, 1.0, 1.0))]
        {
            for own in [0.02, 0.1, 0.2] {
                let gone: Vec<u64> = (0..300)
                    .filter(|seed| matches!(end(&course(*seed, 48, levels, own)).0, Finding::RollBack(_)))
                    .collect();
                assert!(gone.is_empty(), "{name}, differences of {own}: {} of 300 rolled back, {gone:?}", gone.len());
            }
        }
    }

    #[test]
    fn versions_that_lose_twice_as_much_go_soon() {
        let gone: Vec<usize> = (0..300)
            .filter_map(|seed| match end(&course(seed, 48, (2.0, 1.0, 1.5), 0.1)) {
                (Finding::RollBack(_), after) => Some(after),
                _ => None,
            })
            .collect();
        assert_eq!(gone.len(), 300);
        // Of 48 windows: half of them within a quarter of the time.
        let soon = gone.iter().filter(|after| **after <= 18).count();
        assert!(soon >= 285, "{soon} of 300 within 18 windows");
    }

    #[test]
    fn what_ends_a_probation_is_said_in_words() {
        let same = |losses, held| (0..48).map(|index| bout(index, losses, held)).collect::<Vec<_>>();
        let table = [
            ("worse", same((0.3, 0.2, 0.5), (0.8, 0.8)), Some((12, "version 1 forecasts 33.3 % better"))),
            ("a little worse", same((0.208, 0.2, 0.5), (0.8, 0.8)), None),
            ("both worse than naive", same((0.3, 0.3, 0.2), (0.8, 0.8)), None),
            ("narrow", same((0.2, 0.2, 0.5), (0.3, 0.7)), Some((12, "its 80 % band holds 30 % of what came"))),
            ("both narrow", same((0.2, 0.2, 0.5), (0.3, 0.35)), None),
            ("broken", same((f64::NAN, 0.2, 0.5), (0.8, 0.8)), Some((3, "of 3 answers 3 could not be given"))),
            ("both broken", same((f64::NAN, f64::NAN, 0.5), (0.8, 0.8)), None),
            ("at rest", same((0.004, 0.002, 0.0), (0.8, 0.8)), None),
        ];
        for (name, bouts, gone) in table {
            let (finding, after) = end(&bouts);
            match (gone, finding) {
                (Some((when, words)), Finding::RollBack(reason)) => {
                    assert!(after == when && reason.contains(words), "{name} after {after}: {reason}");
                }
                (None, Finding::Keep(_)) => assert_eq!(after, 48, "{name}"),
                (_, finding) => panic!("{name}: {finding:?}"),
            }
        }
    }

    #[test]
    fn a_version_that_the_naive_forecast_beats_goes_where_the_former_was_better() {
        // The former wavers too much for certainty, the naive forecast does not.
        let bouts: Vec<Bout> =
            (0..48).map(|index| bout(index, (0.3, if index % 12 < 7 { 0.05 } else { 0.5 }, 0.2), (0.8, 0.8))).collect();
        let (finding, _) = end(&bouts);
        let Finding::RollBack(reason) = finding else { panic!("{finding:?}") };
        assert!(reason.starts_with("even the naive forecast is 33.3 % better"), "{reason}");
    }
}
