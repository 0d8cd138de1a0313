//! Protocols on small records: where parts and windows lie, that nothing of the future leaks, and
//! that a run goes on where it was.

use std::fmt::Write as _;
use std::rc::Rc;

use clap::{Args as _, FromArgMatches as _};

use super::kind::{Kind, Ours};
use super::ours::Views;
use super::task::{Protocol, Span, Task, Unit, asset_type, frames, signal};
use super::{Config, EvaluateError, News, roles, run};
use crate::asset::Role;
use crate::model::{BaseChoice, Quantiles};

const ROWS: usize = 700;
const HORIZON: usize = 20;

/// A level that follows a pump, with a little of something else.
pub(super) fn rows() -> Vec<Vec<f64>> {
    let (mut level, mut pump, mut state) = (0.0, 1.0, 1_u64);
    (0..ROWS)
        .map(|step| {
            // Steps of the pump at no regular time: the past must not tell the future.
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            if (state >> 33) % 9 == 0 {
                pump = ((state >> 40) % 4) as f64;
            }
            let other = (step as f64 * 0.37).sin();
            level = 0.9 * level + 0.1 * pump + 0.02 * other;
            vec![pump, level]
        })
        .collect()
}

pub(super) fn task(rows: Vec<Vec<f64>>, most: usize) -> Task {
    let signals = vec![signal("pump", Role::ControlInput, None), signal("level", Role::Output, None)];
    let protocol = Protocol {
        horizon: HORIZON,
        train: 0..420,
        validation: 420..560,
        test: 560..ROWS,
        stride: 4,
        taught: 0..560,
        look_back: None,
        joint: true,
        season: None,
        unit: Unit::TrainDeviation,
        words: String::new(),
    };
    Task::new("small", asset_type("small", 1.0, signals), frames(rows, 1.0, &[]), |_| Ok(protocol), most).unwrap()
}

fn config(arguments: &[&str]) -> Config {
    let command = Config::augment_args(clap::Command::new("evaluate"));
    Config::from_arg_matches(&command.get_matches_from([&["evaluate"], arguments].concat())).unwrap()
}

#[test]
fn windows_lie_inside_the_test_part_and_are_spread_evenly() {
    let task = task(rows(), 10);
    assert!(task.spans.len() <= 10);
    assert_eq!(task.spans[0], Span { origin: 560, steps: HORIZON });
    let strides: Vec<usize> = task.spans.windows(2).map(|pair| pair[1].origin - pair[0].origin).collect();
    assert!(strides.iter().all(|stride| *stride == strides[0] && *stride >= 4));
    assert!(task.spans.iter().all(|span| span.origin + span.steps <= ROWS));
    assert!(task.validation_spans().iter().all(|span| span.origin >= 420 && span.origin + span.steps <= 560));
    let taught = task.frames_of(&task.protocol.taught);
    assert_eq!((taught.len(), &taught[559]), (560, &task.frames[559]));
}

#[test]
fn no_window_crosses_a_pause_of_the_record() {
    let signals = vec![signal("level", Role::Output, None)];
    let rows = (0..ROWS).map(|step| vec![step as f64]);
    let protocol = Protocol { test: 560..ROWS, ..task(self::rows(), 10).protocol };
    let record = frames(rows, 1.0, &[600]);
    let task = Task::new("paused", asset_type("paused", 1.0, signals), record, |_| Ok(protocol), 1_000).unwrap();
    assert_eq!(task.grid.starts, [0, 600]);
    assert!(task.spans.iter().all(|span| span.origin + span.steps <= 600 || span.origin >= 600));
    assert!(task.spans.iter().any(|span| span.origin == 600));
}

/// The answers of a forecaster at one origin.
fn answers(kind: Kind, task: &Task, span: Span) -> Vec<Vec<Quantiles>> {
    let views = Rc::new(Views::new(task, &[span], 1));
    let ours = Ours { base: &BaseChoice::default(), views: Some(&views), material: None };
    kind.learn(task, &ours, 1).unwrap().forecast(&[span]).unwrap()
}

#[test]
fn nothing_behind_the_origin_reaches_a_forecast() {
    let span = Span { origin: 600, steps: HORIZON };
    let mut changed = rows();
    for (step, row) in changed.iter_mut().enumerate().skip(span.origin) {
        row[1] = 7.0 - row[1];
        if step >= span.origin + span.steps {
            row[0] += 3.0;
        }
    }
    let (before, after) = (task(rows(), 10), task(changed, 10));
    // What learns with libtorch is given the taught rows and the same windows: no need to learn here.
    assert_eq!(before.frames_of(&before.protocol.taught), after.frames_of(&after.protocol.taught));
    for kind in Kind::all().iter().filter(|kind| !kind.is_random()) {
        let one = answers(*kind, &before, span);
        assert_eq!(one, answers(*kind, &after, span), "{kind:?}");
        assert_eq!((one.len(), one[0].len(), one[0][0].len()), (1, 1, HORIZON), "{kind:?}");
    }
}

#[test]
fn a_known_future_input_does_reach_it() {
    let span = Span { origin: 600, steps: HORIZON };
    let mut changed = rows();
    changed.iter_mut().skip(span.origin).for_each(|row| row[0] += 2.0);
    let (before, after) = (task(rows(), 10), task(changed, 10));
    for kind in [Kind::Arx, Kind::Ridge, Kind::Bank, Kind::ZeroShot] {
        let (one, other) = (answers(kind, &before, span), answers(kind, &after, span));
        assert!(other[0][0][HORIZON - 1][10] > one[0][0][HORIZON - 1][10] + 0.5, "{kind:?}");
    }
}

#[test]
fn regressions_find_a_linear_law_and_windows_do_not_depend_on_threads() {
    let (task, base) = (task(rows(), 10), BaseChoice::default());
    let none = Ours { base: &base, views: None, material: None };
    for (kind, most) in [(Kind::Arx, 0.15), (Kind::Ridge, 0.15)] {
        let mut learned = kind.learn(&task, &none, 0).unwrap();
        let figures = super::tally::figures(&task, &task.spans, &learned.forecast(&task.spans).unwrap());
        assert!(figures.rmse < most, "{kind:?} {}", figures.rmse);
        assert_eq!(figures.windows, task.spans.len());
    }
    let said = |threads: usize| {
        let views = Rc::new(Views::new(&task, &task.spans, threads));
        Kind::Bank.learn(&task, &Ours { views: Some(&views), ..none }, 0).unwrap().forecast(&task.spans).unwrap()
    };
    assert_eq!(said(1), said(3));
}

/// Writes the small record as CSV with a role file.
fn own_file(folder: &std::path::Path) -> (String, String) {
    let (csv, roles) = (folder.join("small.csv"), folder.join("roles.json"));
    let mut text = String::from("when,pump,level,remark\n");
    for (step, row) in rows().iter().enumerate() {
        let _ = writeln!(text, "{step},{},{},x", row[0], row[1]);
    }
    std::fs::write(&csv, text).unwrap();
    let document = r#"{ "time": "when", "horizon": 20, "signals": { "pump": { "role": "control_input" },
                        "level": { "role": "output", "min": -5, "max": 9 } } }"#;
    std::fs::write(&roles, document).unwrap();
    (csv.to_string_lossy().into_owned(), roles.to_string_lossy().into_owned())
}

#[test]
fn an_own_file_is_cut_by_its_shares() {
    let folder = tempfile::tempdir().unwrap();
    let (csv, roles) = own_file(folder.path());
    let config = config(&["--csv", &csv, "--roles", &roles]);
    let task = roles::open(csv.as_ref(), roles.as_ref(), &config).unwrap();
    let protocol = &task.protocol;
    assert_eq!(
        (protocol.train.clone(), protocol.validation.clone(), protocol.test.clone()),
        (0..420, 420..560, 560..700)
    );
    assert_eq!((task.target(0), protocol.horizon), ("level", 20));
    std::fs::write(
        folder.path().join("roles.json"),
        r#"{ "time": "when", "signals": { "flow": { "role": "output" } } }"#,
    )
    .unwrap();
    let error = roles::open(csv.as_ref(), roles.as_ref(), &config).unwrap_err();
    assert!(error.to_string().contains("/signals/flow"), "{error}");
}

#[test]
fn a_run_that_is_there_is_kept_until_the_settings_change() {
    let folder = tempfile::tempdir().unwrap();
    let (csv, roles) = own_file(folder.path());
    let out = folder.path().join("out").to_string_lossy().into_owned();
    let begun = |more: &[&str]| {
        let arguments = ["--csv", &csv, "--roles", &roles, "--out", &out];
        let some =
            ["--forecaster", "persistence", "--forecaster", "arx", "--forecaster", "ridge", "--forecaster", "bank"];
        let mut begun = 0;
        let config = config(&[arguments.as_slice(), some.as_slice(), more].concat());
        run(&config, &mut |news| begun += usize::from(matches!(news, News::Begins(_)))).unwrap();
        begun
    };
    assert_eq!(begun(&["--max-windows", "6"]), 4);
    let first = std::fs::read(folder.path().join("out/small.json")).unwrap();
    assert_eq!(begun(&["--max-windows", "6"]), 0);
    assert_eq!(std::fs::read(folder.path().join("out/small.json")).unwrap(), first);
    for file in ["small.svg", "report.md"] {
        assert!(std::fs::metadata(folder.path().join("out").join(file)).unwrap().len() > 200, "{file}");
    }
    // One run goes missing, as if the evaluation had been broken off before it.
    let mut document: serde_json::Value = serde_json::from_slice(&first).unwrap();
    document["runs"].as_array_mut().unwrap().remove(2);
    std::fs::write(folder.path().join("out/small.json"), document.to_string()).unwrap();
    assert_eq!(begun(&["--max-windows", "6"]), 1);
    assert_eq!(begun(&["--max-windows", "5"]), 4);
}

#[test]
fn a_shared_set_needs_a_folder_that_is_there() {
    let error = run(&config(&["--set", "cstr"]), &mut |_| {}).unwrap_err();
    assert!(matches!(error, EvaluateError::NoData("cstr")), "{error}");
    let error = run(&config(&["--set", "cstr", "--data", "/nowhere/at/all"]), &mut |_| {}).unwrap_err();
    assert!(matches!(error, EvaluateError::NoFolder(_)), "{error}");
    let folder = tempfile::tempdir().unwrap();
    let error = run(&config(&["--set", "cstr", "--data", &folder.path().to_string_lossy()]), &mut |_| {}).unwrap_err();
    assert!(error.to_string().contains("cstr.dat"), "{error}");
}

#[test]
fn the_demo_plant_can_be_read_back_from_its_export() {
    let folder = tempfile::tempdir().unwrap();
    let csv = folder.path().join("plant.csv");
    let config = config(&["--plant-seed", "9"]);
    let roles = super::demo_plant::export(&csv, config.plant_seed).unwrap();
    let (own, built_in) =
        (roles::open(&csv, &roles, &config).unwrap(), super::demo_plant::task("demo_plant", &config).unwrap());
    assert_eq!(own.spans, built_in.spans);
    let level = |task: &Task| {
        let place = (0..task.layout.targets.len()).find(|place| task.target(*place) == "level_2").unwrap();
        task.truth(place, task.spans[0])
    };
    assert_eq!(format!("{:?}", level(&own)), format!("{:?}", level(&built_in)));
}

#[test]
fn another_base_model_answers_in_the_place_of_the_shipped_one() {
    use crate::model::pretrain;
    let folder = tempfile::tempdir().unwrap();
    let command = pretrain::Config::augment_args(clap::Command::new("pretrain"));
    let own = folder.path().join("own.safetensors").to_string_lossy().into_owned();
    let out = folder.path().to_string_lossy().into_owned();
    let arguments = ["pretrain", "--name", "own", "--size", "base", "--windows", "256", "--steps", "1", "--out", &out];
    let settings = pretrain::Config::from_arg_matches(&command.get_matches_from(arguments)).unwrap();
    let card = pretrain::run(&settings, &mut |_| {}).unwrap().remove(0);

    let (csv, roles) = own_file(folder.path());
    let out = folder.path().join("out").to_string_lossy().into_owned();
    let begun = |more: &[&str]| {
        let arguments = ["--csv", &csv, "--roles", &roles, "--out", &out, "--max-windows", "4", "--seeds", "1"];
        let some = ["--forecaster", "bank", "--forecaster", "zero_shot", "--forecaster", "fine_tuned"];
        let mut begun = 0;
        let config = config(&[arguments.as_slice(), some.as_slice(), more].concat());
        let ended = run(&config, &mut |news| begun += usize::from(matches!(news, News::Begins(_))));
        ended.map(|()| begun)
    };
    let crps = |place: usize| {
        let text = std::fs::read(folder.path().join("out/small.json")).unwrap();
        let document: serde_json::Value = serde_json::from_slice(&text).unwrap();
        assert_eq!(document["runs"][place]["failed"], serde_json::Value::Null);
        (document["runs"][place]["figures"]["crps"].as_f64().unwrap(), document["settings"]["base_sha256"].clone())
    };
    assert_eq!(begun(&[]).unwrap(), 3);
    let shipped = [0, 1, 2].map(crps);
    assert_eq!(begun(&["--base", &own]).unwrap(), 3, "what another base model said is void");
    let others = [0, 1, 2].map(crps);
    assert_eq!((begun(&["--base", &own]).unwrap(), &others[0].1), (0, &card.sha256.into()));
    assert_eq!(shipped[0].0, others[0].0, "the bank needs no base model");
    assert!(shipped[1].0 != others[1].0 && shipped[2].0 != others[2].0, "{shipped:?} {others:?}");
    // After one step of pretraining it still says what the bank says.
    assert!((others[1].0 / others[0].0 - 1.0).abs() < 0.05, "{others:?}");
    let error = begun(&["--base", &csv]).unwrap_err();
    assert!(matches!(error, EvaluateError::Base(_)) && error.to_string().contains("small.json"), "{error}");
}
