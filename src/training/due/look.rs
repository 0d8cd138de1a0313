//! What a look at the newest frames and outcomes finds. Pure, in words.
//!
//! A single look proves little: the values of neighbouring frames hang together. So a signal counts only
//! where two looks in a row, on frames of their own, find the same.

use std::collections::BTreeMap;

use serde_json::Value;

use super::store::{Checked, Errors, Shift, Sum, Suspect, Worse};
use crate::asset::{AssetType, Role};
use crate::training::job::Cause;
use crate::training::spread::Spread;

/// Outcomes of an output that say something of its errors.
const OUTCOMES: i64 = 600;
/// How many times as large as before the errors must be.
const RATIO: f64 = 1.5;
/// How many times as large beside those of the naive forecast: where both grow, the plant got livelier.
const AGAINST_NAIVE: f64 = 1.2;

/// The signals that lie beyond their limits, with their stability index.
#[must_use]
pub(super) fn shifts(asset_type: &AssetType, spreads: &[Spread], found: &[(usize, f64)]) -> BTreeMap<String, Shift> {
    let beyond = found.iter().filter(|(place, index)| *index >= spreads[*place].limit());
    beyond
        .map(|(place, psi)| {
            let signal = &spreads[*place].signal;
            let role = asset_type.signal(signal).map(|(_, signal)| signal.role);
            let output = role == Some(Role::Output);
            (signal.clone(), Shift { psi: *psi, output })
        })
        .collect()
}

/// The outputs whose newest errors are far greater than those that were expected: of the holdout, or of the
/// first outcomes after the promotion if they were greater. And what is known of these first ones then.
#[must_use]
pub(super) fn worse(
    asset_type: &AssetType,
    scores: &Value,
    before: Option<&Checked>,
    sums: &BTreeMap<String, Sum>,
) -> (BTreeMap<String, Worse>, BTreeMap<String, Errors>) {
    let mut first = before.map(|before| before.first.clone()).unwrap_or_default();
    let mut found = BTreeMap::new();
    for (signal, sum) in sums {
        let known = before.and_then(|before| before.sums.get(signal)).copied().unwrap_or_default();
        let (Some(newest), true) = (sum.since(known), asset_type.signal(signal).is_some()) else { continue };
        let Some(usual) = first.get(signal).copied() else {
            first.insert(signal.clone(), newest);
            continue;
        };
        let mae = |whose: &str| scores[whose]["by_target"][signal]["mae"].as_f64().filter(|mae| *mae > 0.0);
        let (Some(own), Some(naive)) = (mae("candidate"), mae("naive")) else { continue };
        let expected = own.max(usual.mae);
        let relative = (own / naive).max(usual.mae / usual.naive_mae.max(f64::MIN_POSITIVE));
        let ratio = newest.mae / expected;
        if ratio >= RATIO && newest.mae / newest.naive_mae.max(f64::MIN_POSITIVE) >= AGAINST_NAIVE * relative {
            found.insert(signal.clone(), Worse { mae: newest.mae, expected, outcomes: newest.outcomes });
        }
    }
    (found, first)
}

/// Why the asset should learn again: what two looks in a row have found.
#[must_use]
pub(super) fn reason(before: &Suspect, now: &Suspect, version: i32) -> Option<(Cause, String)> {
    let shifted = now.shifts.iter().filter(|(signal, _)| before.shifts.contains_key(*signal));
    let farthest = shifted.max_by(|(_, one), (_, other)| one.psi.total_cmp(&other.psi));
    if let Some((signal, shift)) = farthest {
        let kind = if shift.output { "output" } else { "input" };
        return Some((
            Cause::Drift,
            format!("{kind} {signal}: PSI {:.2} against what version {version} learned from", shift.psi),
        ));
    }
    let worse = now.worse.iter().filter(|(signal, _)| before.worse.contains_key(*signal));
    let worst = worse.max_by(|(_, one), (_, other)| (one.mae / one.expected).total_cmp(&(other.mae / other.expected)));
    worst.map(|(signal, found)| {
        let Worse { mae, expected, outcomes } = found;
        let why = format!(
            "output {signal}: the newest {outcomes} outcomes missed by {mae:.4} on average, {:.1} times the {expected:.4} \
             expected of version {version}",
            mae / expected
        );
        (Cause::Errors, why)
    })
}

impl Sum {
    /// Mean errors of what was added since; `None` when too little was, or sums were forgotten.
    fn since(self, known: Self) -> Option<Errors> {
        let outcomes = self.truths - known.truths;
        (outcomes >= OUTCOMES).then(|| Errors {
            outcomes,
            mae: (self.absolute - known.absolute) / outcomes as f64,
            naive_mae: (self.naive_absolute - known.naive_absolute) / outcomes as f64,
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::asset::testing::asset_type;

    fn scores() -> Value {
        json!({"candidate": {"by_target": {"level": {"mae": 0.2}}}, "naive": {"by_target": {"level": {"mae": 0.4}}}})
    }

    fn sums(truths: i64, mae: f64, naive: f64) -> BTreeMap<String, Sum> {
        let count = truths as f64;
        BTreeMap::from([("level".to_owned(), Sum { truths, absolute: mae * count, naive_absolute: naive * count })])
    }

    fn added(to: &BTreeMap<String, Sum>, more: &BTreeMap<String, Sum>) -> BTreeMap<String, Sum> {
        let (to, more) = (to["level"], more["level"]);
        let sum = Sum {
            truths: to.truths + more.truths,
            absolute: to.absolute + more.absolute,
            naive_absolute: to.naive_absolute + more.naive_absolute,
        };
        BTreeMap::from([("level".to_owned(), sum)])
    }

    /// Whether errors of these sizes, own and of the naive forecast, are found after first ones.
    fn is_found(first: (f64, f64), then: (f64, f64)) -> bool {
        let kind = asset_type(1.0, &["pump", "level"]);
        let one = sums(1_000, first.0, first.1);
        let (found, known) = worse(&kind, &scores(), None, &one);
        assert!(found.is_empty() && known.contains_key("level"), "the first ones are only noted");
        let checked = Checked { suspect: Suspect::default(), sums: one.clone(), first: known };
        let two = added(&one, &sums(1_000, then.0, then.1));
        !worse(&kind, &scores(), Some(&checked), &two).0.is_empty()
    }

    #[test]
    fn errors_count_where_they_grew_and_the_naive_ones_did_not() {
        for (name, first, then, found) in [
            ("as on the holdout", (0.2, 0.4), (0.2, 0.4), false),
            ("a little worse", (0.2, 0.4), (0.28, 0.4), false),
            ("far worse", (0.2, 0.4), (0.5, 0.4), true),
            ("a livelier plant", (0.2, 0.4), (0.5, 1.0), false),
            ("as bad as at the beginning", (0.5, 0.4), (0.5, 0.4), false),
            ("the plant rests", (0.2, 0.4), (0.02, 0.001), false),
        ] {
            assert_eq!(is_found(first, then), found, "{name}");
        }
    }

    #[test]
    fn few_outcomes_say_nothing() {
        let kind = asset_type(1.0, &["pump", "level"]);
        let (found, first) = worse(&kind, &scores(), None, &sums(599, 9.0, 0.4));
        assert!(found.is_empty() && first.is_empty());
    }

    #[test]
    fn only_what_two_looks_in_a_row_have_found_is_a_reason() {
        let shifted = |signals: &[(&str, f64)]| Suspect {
            shifts: signals
                .iter()
                .map(|(name, psi)| ((*name).to_owned(), Shift { psi: *psi, output: false }))
                .collect(),
            worse: BTreeMap::new(),
        };
        let erring = |mae: f64| Suspect {
            shifts: BTreeMap::new(),
            worse: BTreeMap::from([("flow".to_owned(), Worse { mae, expected: 0.2, outcomes: 6_000 })]),
        };
        assert_eq!(reason(&Suspect::default(), &shifted(&[("speed", 0.43)]), 3), None);
        assert_eq!(reason(&shifted(&[("heat", 0.9)]), &shifted(&[("speed", 0.43)]), 3), None, "another signal");
        let (cause, why) = reason(&shifted(&[("speed", 0.3)]), &shifted(&[("heat", 0.9), ("speed", 0.43)]), 3).unwrap();
        assert_eq!((cause, why.as_str()), (Cause::Drift, "input speed: PSI 0.43 against what version 3 learned from"));
        let (cause, why) = reason(&erring(0.4), &erring(0.42), 3).unwrap();
        assert_eq!(cause, Cause::Errors);
        assert_eq!(
            why,
            "output flow: the newest 6000 outcomes missed by 0.4200 on average, 2.1 times the 0.2000 expected of version 3"
        );
    }
}
