//! All tests on one signal, with thresholds from its type or from its own history.

use std::collections::BTreeMap;

use serde::Serialize;

use super::Flag;
use super::profile::{Profile, Run, runs};
use super::qartod::{self, Reference};
use super::unit;
use crate::asset::{Kind, Role, Signal};

/// A test of values, or of the frames that bring them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = QualityTest)]
pub enum Test {
    /// What the source said of its reading: `bad` fails, `uncertain` is suspect.
    Source,
    /// Whether there is a value at every step (QARTOD test 1).
    Gap,
    /// Whether values are possible (QARTOD test 4).
    GrossRange,
    /// Whether a value stands out from both of its neighbours (QARTOD test 6).
    Spike,
    /// Whether values change too fast (QARTOD test 7).
    RateOfChange,
    /// Whether a sensor is stuck (QARTOD test 8).
    FlatLine,
    /// Whether the signal's unit changed.
    UnitJump,
    /// Whether a frame was sent twice.
    Duplicate,
    /// Whether the clock that stamps the frames goes on evenly.
    Clock,
}

/// Where thresholds come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = ThresholdBasis)]
pub enum Basis {
    /// From the asset's type.
    Declared,
    /// From the data themselves.
    Data,
    /// The same for every signal.
    Fixed,
    /// There are none: the test was not carried out.
    None,
}

/// What one test found.
#[derive(Clone, Debug)]
pub struct Checked {
    /// The test.
    pub test: Test,
    /// A flag for each frame.
    pub flags: Vec<Flag>,
    /// By name; in the unit of the signal, per second, or a number of values.
    pub thresholds: BTreeMap<&'static str, f64>,
    /// Where they come from.
    pub basis: Basis,
}

/// What goes on around a signal.
pub(super) struct Surroundings<'a> {
    /// Seconds of each frame since the first one.
    pub(super) seconds: &'a [f64],
    /// Seconds of a step.
    pub(super) step_s: f64,
    /// Whether an input changed by a factor at a frame or beside it.
    pub(super) leapt: &'a [bool],
    /// Whether an input made an unusual move and came back at a frame or beside it.
    pub(super) pulsed: &'a [bool],
    /// Whether a control input moved at all at a frame.
    pub(super) controlled: &'a [bool],
    /// Whether another output or state changed at a frame.
    pub(super) others: &'a [bool],
}

/// Where more than this share of the values would fail a spike test, spikes are the signal's nature.
const NATURAL_SPIKES: f64 = 0.02;
/// Where more than this share would fail as flat lines, standing still is the signal's nature.
const NATURAL_FLATS: f64 = 0.4;
/// Values of the shortest flat lines that are suspect and that fail.
const SHORTEST_FLATS: (usize, usize) = (12, 32);
/// Usual runs in a flat line that is suspect, and in one that fails.
const LONG_RUNS: (usize, usize) = (5, 15);

/// Carries out all tests on a signal. `values` hold NaN where nothing is known, `source` what the source
/// said of each.
pub(super) fn signal(declared: &Signal, values: &[f64], source: Checked, around: &Surroundings<'_>) -> Vec<Checked> {
    let measured = declared.kind == Kind::Number && declared.role != Role::ControlInput;
    let mut left = values.to_vec();
    leave_out(&mut left, &source);
    let units = if measured { unit_jump(declared, &left, around) } else { none(Test::UnitJump, &left) };
    leave_out(&mut left, &units);
    let profile = if measured { Profile::of(&left) } else { None };
    let flats = flat_line(&left, profile.as_ref(), around);
    leave_out(&mut left, &flats);
    let range = gross_range(declared, &left, profile.as_ref());
    leave_out(&mut left, &range);
    let spikes = spike(&left, profile.as_ref(), around);
    let rates = rate_of_change(declared, &left, profile.as_ref(), around);
    vec![source, units, flats, range, spikes, rates]
}

fn leave_out(values: &mut [f64], checked: &Checked) {
    for (value, _) in values.iter_mut().zip(&checked.flags).filter(|(_, flag)| **flag == Flag::Fail) {
        *value = f64::NAN;
    }
}

/// A test that was not carried out.
fn none(test: Test, values: &[f64]) -> Checked {
    let flag = |value: &f64| if value.is_nan() { Flag::Missing } else { Flag::NotEvaluated };
    Checked { test, flags: values.iter().map(flag).collect(), thresholds: BTreeMap::new(), basis: Basis::None }
}

fn unit_jump(declared: &Signal, values: &[f64], around: &Surroundings<'_>) -> Checked {
    let Some(profile) = Profile::of(values) else { return none(Test::UnitJump, values) };
    let flags = unit::jumps(values, &declared.unit, profile.change, around.leapt);
    Checked { test: Test::UnitJump, flags, thresholds: BTreeMap::new(), basis: Basis::Fixed }
}

/// Fails outside of what the type says is possible; suspect three usual ranges beyond the usual ones.
fn gross_range(declared: &Signal, values: &[f64], profile: Option<&Profile>) -> Checked {
    let fail = (declared.min.unwrap_or(f64::NEG_INFINITY), declared.max.unwrap_or(f64::INFINITY));
    let usual = profile.filter(|profile| profile.range > 0.0);
    let suspect = usual.map(|Profile { central: (low, high), range, .. }| (low - 3.0 * range, high + 3.0 * range));
    let is_declared = declared.min.is_some() || declared.max.is_some();
    if !is_declared && suspect.is_none() {
        return none(Test::GrossRange, values);
    }
    let mut thresholds = BTreeMap::new();
    let (suspect_min, suspect_max) = suspect.unzip();
    let all = [
        ("fail_min", declared.min),
        ("fail_max", declared.max),
        ("suspect_min", suspect_min),
        ("suspect_max", suspect_max),
    ];
    thresholds.extend(all.into_iter().filter_map(|(name, value)| Some((name, value?))));
    let basis = if is_declared { Basis::Declared } else { Basis::Data };
    Checked { test: Test::GrossRange, flags: qartod::gross_range(values, fail, suspect), thresholds, basis }
}

/// Fails above twice the usual range, or already above twelve usual changes (and half the range) where the
/// signal moves slowly; suspect above half of that. An input's own pulse explains a spike.
fn spike(values: &[f64], profile: Option<&Profile>, around: &Surroundings<'_>) -> Checked {
    let Some(profile) = profile.filter(|profile| profile.range > 0.0) else { return none(Test::Spike, values) };
    let fail = (2.0 * profile.range).min((12.0 * profile.change).max(0.5 * profile.range));
    let suspect = 0.5 * fail;
    let mut flags = qartod::spike(values, suspect, fail, Reference::Differential);
    second_look(values, &mut flags, suspect, fail);
    let failed = flags.iter().filter(|flag| **flag == Flag::Fail).count();
    let known = values.iter().filter(|value| value.is_finite()).count();
    let natural = failed as f64 > NATURAL_SPIKES * known as f64;
    for (flag, pulsed) in flags.iter_mut().zip(around.pulsed).filter(|(flag, _)| **flag == Flag::Fail) {
        if natural || *pulsed {
            *flag = Flag::Suspect;
        }
    }
    Checked {
        test: Test::Spike,
        flags,
        thresholds: BTreeMap::from([("suspect", suspect), ("fail", fail)]),
        basis: Basis::Data,
    }
}

/// A spike hides behind a higher one beside it: looks again at the neighbours of those that fail, without
/// them.
fn second_look(values: &[f64], flags: &mut [Flag], suspect: f64, fail: f64) {
    let failed: Vec<usize> = (0..flags.len()).filter(|at| flags[*at] == Flag::Fail).collect();
    let mut left = values.to_vec();
    failed.iter().for_each(|at| left[*at] = f64::NAN);
    for at in failed {
        for beside in [at.wrapping_sub(1), at + 1] {
            if left.get(beside).is_none_or(|value| value.is_nan()) {
                continue;
            }
            let before = left[..beside].iter().rev().take(3).find(|value| value.is_finite());
            let after = left[beside + 1..].iter().take(3).find(|value| value.is_finite());
            let trio = before.zip(after).map(|(before, after)| [*before, left[beside], *after]);
            let flag = trio.map(|trio| qartod::spike(&trio, suspect, fail, Reference::Differential)[1]);
            flags[beside] = flag.unwrap_or(flags[beside]);
        }
    }
}

/// Suspect above the type's `max_rate`, or above what twelve usual changes or the whole usual range in one
/// step would be. The manual knows no failure of this test.
fn rate_of_change(declared: &Signal, values: &[f64], profile: Option<&Profile>, around: &Surroundings<'_>) -> Checked {
    let usual = profile.filter(|profile| profile.range > 0.0);
    let from_data = usual.map(|profile| (12.0 * profile.change).max(profile.range) / around.step_s);
    let basis = if declared.max_rate.is_some() { Basis::Declared } else { Basis::Data };
    let Some(suspect) = declared.max_rate.or(from_data).filter(|_| declared.kind == Kind::Number) else {
        return none(Test::RateOfChange, values);
    };
    // What a number loses on its way to us is no breach.
    let flags = qartod::rate_of_change(values, around.seconds, suspect * (1.0 + 1e-6), None);
    Checked { test: Test::RateOfChange, flags, thresholds: BTreeMap::from([("suspect", suspect)]), basis }
}

/// A run of equal values is suspect when it is five times as long as usual ones, and may fail from
/// fifteen times on. It fails, behind its first value, when the signal stands where it can move both ways,
/// not at zero, and the rest of the asset went on meanwhile.
fn flat_line(values: &[f64], profile: Option<&Profile>, around: &Surroundings<'_>) -> Checked {
    let usual = profile.and_then(|profile| Some((profile, profile.run?)));
    let Some((profile, run)) = usual.filter(|(profile, _)| profile.range > 0.0) else {
        return none(Test::FlatLine, values);
    };
    let suspect = (LONG_RUNS.0 * run).max(SHORTEST_FLATS.0);
    let fail = (LONG_RUNS.1 * run).max(SHORTEST_FLATS.1);
    // As the manual's test would find them with a tolerance of 0; but it looks back over missing values,
    // and would call a single value behind many of them flat.
    let mut flags: Vec<Flag> =
        values.iter().map(|value| if value.is_nan() { Flag::Missing } else { Flag::Pass }).collect();
    let known = values.iter().filter(|value| value.is_finite()).count();
    let long: Vec<Run> = runs(values).into_iter().filter(|run| run.length >= suspect).collect();
    let stuck = |run: &Run| {
        let value = values[run.first];
        let free = value > profile.extremes.0 && value < profile.extremes.1 && value != 0.0;
        run.length >= fail && free && went_on(run, around)
    };
    let failed: usize = long.iter().filter(|run| stuck(run)).map(|run| run.length - 1).sum();
    let natural = failed as f64 > NATURAL_FLATS * known as f64;
    for run in &long {
        let flag = if stuck(run) && !natural { Flag::Fail } else { Flag::Suspect };
        for at in (run.first + 1..=run.last).filter(|at| values[*at].is_finite()) {
            flags[at] = flag;
        }
    }
    let thresholds = BTreeMap::from([("suspect_run", suspect as f64), ("fail_run", fail as f64), ("tolerance", 0.0)]);
    Checked { test: Test::FlatLine, flags, thresholds, basis: Basis::Data }
}

/// Whether the rest of the asset went on during a run: a control input moved, or another signal changed
/// at every second frame or more.
fn went_on(run: &Run, around: &Surroundings<'_>) -> bool {
    let during = run.first + 1..run.last + 1;
    let changed = around.others[during.clone()].iter().filter(|changed| **changed).count();
    around.controlled[during.clone()].contains(&true) || 2 * changed >= during.len()
}
