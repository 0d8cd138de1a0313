//! Our flags against those of `ioos-qc`, kept in `tests/qartod.json` with how they were made.

use serde::Deserialize;

use super::Flag;
use super::qartod::{Reference, flat_line, gross_range, rate_of_change, spike};

const FIXTURE: &str = include_str!("../../tests/qartod.json");

#[derive(Deserialize)]
struct Fixture {
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    series: String,
    values: Vec<Option<f64>>,
    tests: Vec<Said>,
}

#[derive(Deserialize)]
struct Said {
    flags: Vec<Flag>,
    #[serde(flatten)]
    of: Of,
}

#[derive(Debug, Deserialize)]
#[serde(tag = "test", rename_all = "snake_case")]
enum Of {
    GrossRange { fail: (f64, f64), suspect: Option<(f64, f64)> },
    Spike { method: String, suspect: f64, fail: f64 },
    RateOfChange { step_s: f64, suspect: f64, fail: Option<f64> },
    FlatLine { suspect: usize, fail: usize, tolerance: f64 },
}

fn cases() -> Vec<Case> {
    serde_json::from_str::<Fixture>(FIXTURE).unwrap().cases
}

fn ours(values: &[f64], test: &Of) -> Vec<Flag> {
    match test {
        Of::GrossRange { fail, suspect } => gross_range(values, *fail, *suspect),
        Of::Spike { method, suspect, fail } => {
            let reference = if method == "average" { Reference::Average } else { Reference::Differential };
            spike(values, *suspect, *fail, reference)
        }
        Of::RateOfChange { step_s, suspect, fail } => {
            let seconds: Vec<f64> = (0..values.len()).map(|at| at as f64 * step_s).collect();
            rate_of_change(values, &seconds, *suspect, *fail)
        }
        Of::FlatLine { suspect, fail, tolerance } => flat_line(values, *suspect, *fail, *tolerance),
    }
}

#[test]
fn flags_agree_with_those_of_ioos_qc() {
    let mut compared = [0_usize; 3];
    for case in cases() {
        let values: Vec<f64> = case.values.iter().map(|value| value.unwrap_or(f64::NAN)).collect();
        for said in &case.tests {
            let flags = ours(&values, &said.of);
            for (at, (ours, theirs)) in flags.iter().zip(&said.flags).enumerate() {
                // ioos-qc passes a value behind a missing one, of whose rate nothing is known; the manual
                // says that a test without its inputs is not evaluated.
                let blind = matches!(said.of, Of::RateOfChange { .. }) && at > 0 && values[at - 1].is_nan();
                if blind && *theirs == Flag::Pass {
                    assert_eq!(*ours, Flag::NotEvaluated);
                    continue;
                }
                assert_eq!(ours, theirs, "{} at {at}: {:?}", case.series, said.of);
                match theirs {
                    Flag::Suspect => compared[0] += 1,
                    Flag::Fail => compared[1] += 1,
                    _ => compared[2] += 1,
                }
            }
        }
    }
    assert!(compared.iter().all(|count| *count > 100), "flags of every kind were compared: {compared:?}");
}
