//! What must hold for records of every family.

use super::*;

const STEPS: usize = 512;

/// Some records of every family.
fn records() -> impl Iterator<Item = Record> {
    let families = Family::all().iter();
    families.flat_map(|family| (0..60).map(|index| record_of(*family, 7, index, STEPS)))
}

#[test]
fn a_record_depends_on_seed_and_index_alone() {
    for index in [0, 3, 17, 40] {
        let first = record(5, index, STEPS);
        let _ = record(5, index + 1, STEPS);
        assert_eq!(first, record(5, index, STEPS));
        assert_ne!(first.target, record(6, index, STEPS).target);
    }
}

#[test]
fn records_are_finite_and_have_the_asked_shape() {
    for record in records() {
        let rows = record.inputs.iter().chain([&record.target, &record.truth]);
        for row in rows {
            assert_eq!(row.len(), STEPS);
            assert!(row.iter().all(|v| v.is_finite()), "{:?}", record.family);
        }
        assert!(record.inputs.len() <= MOST_INPUTS);
        for labels in [&record.health, &record.fault].into_iter().flatten() {
            assert_eq!(labels.len(), STEPS);
            assert!(labels.iter().all(|label| *label <= 4));
        }
        for moment in [record.restart, record.released].into_iter().flatten() {
            assert!(moment < STEPS);
        }
    }
}

#[test]
fn targets_have_about_unit_deviation() {
    for record in records() {
        let truth: Vec<f64> = record.truth.iter().map(|v| f64::from(*v)).collect();
        let (mean, deviation) = signals::moments(&truth);
        assert!(mean.abs() < 1e-3, "{:?} {mean}", record.family);
        assert!((0.9..1.2).contains(&deviation), "{:?} {deviation}", record.family);
    }
}

#[test]
fn the_mix_has_the_odds_it_promises() {
    let all: Vec<Record> = (0..2_000).map(|index| record(1, index, 64)).collect();
    let plants: Vec<&Record> = all.iter().filter(|r| r.family != Family::Forecast).collect();
    let share = |test: fn(&Record) -> bool| plants.iter().filter(|r| test(r)).count() as f64 / plants.len() as f64;
    assert!((share(|r| r.restart.is_some()) - 0.45).abs() < 0.04);
    assert!((share(|r| r.released.is_some()) - 0.40).abs() < 0.05);
    assert!((share(|r| r.health.is_some()) - 0.12).abs() < 0.03);
    assert!((share(|r| r.fault.is_some()) - 0.08).abs() < 0.03);
    assert!((share(|r| r.conditions.disturbed) - 0.25).abs() < 0.04);
    assert!((share(|r| r.conditions.quantum.is_some()) - 0.15).abs() < 0.03);
    assert!((share(|r| r.conditions.noise > 0.0) - 0.85).abs() < 0.03);
    assert_eq!(Family::all().iter().map(|f| f.share()).sum::<usize>(), 100);
    for family in Family::all() {
        let found = all.iter().filter(|r| r.family == *family).count() as f64 / 20.0;
        assert!((found - family.share() as f64).abs() < 3.0, "{family:?}");
    }
}

#[test]
fn the_statistics_count_what_the_records_say() {
    let mix = Mix::draw(1, 600, 64);
    let all: Vec<Record> = (0..600).map(|index| record(1, index, 64)).collect();
    let share = |test: fn(&Record) -> bool| all.iter().filter(|r| test(r)).count() as f64 / 600.0;
    assert_eq!(mix.records, 600);
    assert_eq!(mix.inputs[1], share(|r| r.inputs.len() == 1));
    assert_eq!(mix.quantised, share(|r| r.conditions.quantum.is_some()));
    assert!((mix.inputs.iter().sum::<f64>() - 1.0).abs() < 1e-9);
    assert!((mix.families.iter().map(|f| f.share).sum::<f64>() - 1.0).abs() < 1e-9);
    assert!(mix.noise.is_sorted() && mix.noise[0] >= 0.001 && mix.noise[2] <= 0.15);
    let plants = 1.0 - share(|r| r.family == Family::Forecast);
    assert!((mix.restarted - share(|r| r.restart.is_some()) / plants).abs() < 1e-9);
}

#[test]
fn the_two_futures_of_a_pair_part_at_the_intervention_and_not_before() {
    for family in Family::all() {
        let mut answered = 0;
        for index in 0..40 {
            let Some(Pair { base, other, at }) = pair_of(*family, 11, index, STEPS, None) else {
                continue;
            };
            assert!((1..STEPS).contains(&at));
            let bits = |row: &[f32]| row.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
            assert_eq!(bits(&base.target[..at]), bits(&other.target[..at]));
            assert_eq!(bits(&base.truth[..at]), bits(&other.truth[..at]));
            assert_eq!(base.inputs.len(), other.inputs.len());
            let mut moved = 0;
            for (one, two) in base.inputs.iter().zip(&other.inputs) {
                assert_eq!(bits(&one[..at]), bits(&two[..at]));
                moved += usize::from(one[at..] != two[at..]);
            }
            assert_eq!(moved, 1, "{family:?} {index}: one input changes");
            assert!(base.health.is_none() && base.fault.is_none());
            answered += usize::from(base.truth[at..] != other.truth[at..]);
        }
        assert!(answered > 15, "{family:?}: {answered} pairs show an effect");
    }
}

#[test]
fn a_pair_parts_where_the_caller_wants_it() {
    let pair = pair_of(Family::Tanks, 2, 0, STEPS, Some(300)).expect("tanks have a pump");
    assert_eq!(pair.at, 300);
}

#[test]
fn more_pump_never_lowers_a_tank() {
    for index in 0..60 {
        let Some(Pair { base, other, at }) = pair_of(Family::Tanks, 3, index, STEPS, None) else {
            continue;
        };
        let up = other.inputs[0][at..].iter().zip(&base.inputs[0][at..]).all(|(o, b)| o >= b);
        let same_valve = base.inputs[1..] == other.inputs[1..];
        if up && same_valve {
            let pairs = other.truth.iter().zip(&base.truth);
            assert!(pairs.into_iter().all(|(o, b)| *o >= b - 1e-4), "{index}");
        }
    }
}

#[test]
fn known_records_keep_their_numbers() {
    // A base model's card names seed and version: who changes these numbers changes its origin.
    let known = [
        (Family::WienerHammerstein, [2.3432, -0.5525, -0.4495]),
        (Family::NeuralOde, [-0.4408, -0.7073, 1.9485]),
        (Family::Tanks, [-0.0954, -0.7795, 2.4223]),
        (Family::Thermal, [-0.7186, -0.9936, 1.7319]),
        (Family::Mechanical, [0.4144, -0.4812, 3.5287]),
        (Family::Bilinear, [-0.7651, 0.9702, -1.9802]),
        (Family::Valve, [-0.2102, -0.5625, 1.8555]),
        (Family::Battery, [-0.3213, -0.8356, 2.3373]),
        (Family::Forecast, [2.6193, -1.5022, -0.8657]),
    ];
    for (family, wanted) in known {
        let target = record_of(family, 1, 2, 64).target;
        for (value, wanted) in [target[0], target[20], target[63]].iter().zip(wanted) {
            assert!((value - wanted).abs() < 1e-3, "{family:?}: {target:?}");
        }
    }
}

#[test]
fn a_failing_sensor_is_labelled_where_it_fails_and_fine_elsewhere() {
    let mut kinds = std::collections::HashSet::new();
    for index in 0..400 {
        let record = record_of(Family::Thermal, 13, index, STEPS);
        let Some(labels) = record.fault else { continue };
        let pairs = labels.iter().zip(record.target.iter().zip(&record.truth));
        for (label, (target, truth)) in pairs {
            kinds.insert(*label);
            if *label == Fault::Fine as u8 {
                // Five deviations of the noisiest sensor, and the coarsest quantum.
                assert!((target - truth).abs() < 0.15 * 5.0 + 0.1, "{index}");
            }
        }
    }
    assert_eq!(kinds.len(), 5, "every kind of fault occurs");
}

#[test]
fn a_thermostat_keeps_its_zone_closer_together_than_free_heating() {
    let spread = |controlled: bool| {
        let mut spreads: Vec<f64> = (0..300)
            .map(|index| record_of(Family::Thermal, 17, index, STEPS))
            .filter(|r| r.released.is_some() == controlled && r.restart.is_none())
            .filter(|r| r.inputs.len() >= 2)
            .map(|record| {
                let half = &record.truth[..record.released.unwrap_or(STEPS).min(STEPS / 2)];
                let values: Vec<f64> = half.iter().map(|v| f64::from(*v)).collect();
                signals::moments(&values).1
            })
            .collect();
        spreads.sort_by(f64::total_cmp);
        spreads[spreads.len() / 2]
    };
    assert!(spread(true) < spread(false), "{} {}", spread(true), spread(false));
}
