//! Tables for people, in Markdown: the same on the terminal and in the report.

use std::fmt::Write as _;

use serde_json::Value;

use super::anomaly::{self, OutlierRun};
use super::health::{self, ClassRun};
use super::kind::Kind;
use super::record::{Document, EffectRun, Record, Run};
use super::remaining::{self, RemainingRun};
use super::tally::Figures;
use super::what_if::Method;

/// Marks numbers that are no share of anything.
const MISSING: &str = "-";

/// The report over all sets.
pub(super) fn markdown(documents: &[Document]) -> String {
    let mut text = String::from("# Evaluation\n\n");
    text.push_str(
        "Made by `counterpart evaluate`. Errors are those of the median; CRPS is of 21 quantiles. Coverage is the share \
         of truths inside the central 80 and 95 % band. Where seeds decide anything, the mean over seeds is given with \
         the deviation between them. CPU-seconds count all threads: of learning, and of one forecast of all targets.\n",
    );
    for document in documents {
        text.push('\n');
        text.push_str(&section(document));
    }
    text
}

/// One set.
pub(super) fn section(document: &Document) -> String {
    let (settings, table) = match document {
        Document::Series(record) => (&record.settings, series(record)),
        Document::Effects(record) => (&record.settings, effects(record)),
        Document::Outliers(record) => (&record.settings, outliers(record)),
        Document::Classes(record) => (&record.settings, classes(record)),
        Document::Remaining(record) => (&record.settings, remaining(record)),
    };
    let mut text = format!("## {}\n\n", document.set());
    let say = |key: &str| settings.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let _ = write!(text, "{}.", say("protocol"));
    if let Document::Series(record) = document {
        let _ = write!(text, " Errors in {}.", say("unit"));
        let number = |key: &str| record.settings.get(key).and_then(Value::as_u64);
        if let Some(stride) = number("stride") {
            let _ = write!(text, " A window every {stride} steps.");
        }
        if let Some(look_back) = number("look_back") {
            let _ = write!(text, " Ours look back {look_back} steps.");
        }
    }
    if let Some(sha256) = say("base_sha256").get(..12) {
        let _ = write!(text, " Base model {}, {sha256}.", say("base"));
    }
    text.push_str("\n\n");
    text.push_str(&table);
    text
}

fn series(record: &Record<Run>) -> String {
    let mut rows = vec![
        [
            "forecaster",
            "windows",
            "seeds",
            "RMSE",
            "MAE",
            "MSE",
            "CRPS",
            "cover 80",
            "cover 95",
            "fit CPU-s",
            "forecast CPU-s",
        ]
        .map(str::to_owned)
        .to_vec(),
    ];
    let mut failures = String::new();
    for kind in Kind::all() {
        let runs: Vec<&Run> = record.runs.iter().filter(|run| run.forecaster == *kind).collect();
        if runs.is_empty() {
            continue;
        }
        for run in &runs {
            if let Some(reason) = &run.failed {
                let seed = run.seed.map(|seed| format!(", seed {seed}")).unwrap_or_default();
                let _ = writeln!(failures, "\n{}{seed}: {reason}.", kind.label());
            }
        }
        let figures: Vec<&Figures> = runs.iter().filter_map(|run| run.figures.as_ref()).collect();
        let of = |pick: &dyn Fn(&Figures) -> f64, digits: usize| {
            spread(&figures.iter().map(|figures| pick(figures)).collect::<Vec<_>>(), digits)
        };
        let cost = |pick: &dyn Fn(&Run) -> f64, digits: usize| {
            let (mean, _) = mean_and_deviation(&runs.iter().map(|run| pick(run)).collect::<Vec<_>>());
            format!("{mean:.digits$}")
        };
        rows.push(vec![
            kind.label().to_owned(),
            figures.first().map_or_else(|| MISSING.to_owned(), |figures| figures.windows.to_string()),
            if kind.is_random() { figures.len().to_string() } else { MISSING.to_owned() },
            of(&|figures| figures.rmse, 4),
            of(&|figures| figures.mae, 4),
            of(&|figures| figures.mse, 4),
            of(&|figures| figures.crps, 4),
            of(&|figures| figures.coverage_80, 3),
            of(&|figures| figures.coverage_95, 3),
            cost(&|run| run.fit_cpu_s, 1),
            cost(&|run| run.forecast_cpu_s, 4),
        ]);
    }
    table(&rows) + &failures
}

fn effects(record: &Record<EffectRun>) -> String {
    let mut rows = vec![
        ["suite", "forecaster", "overrides", "seeds", "effect error", "sign", "gain", "level RMSE"]
            .map(str::to_owned)
            .to_vec(),
    ];
    let mut suites: Vec<&str> = record.runs.iter().map(|run| run.suite.as_str()).collect();
    suites.dedup();
    for suite in suites {
        for method in Method::all() {
            let runs: Vec<&EffectRun> =
                record.runs.iter().filter(|run| run.suite == suite && run.method == method).collect();
            let of =
                |pick: &dyn Fn(&EffectRun) -> f64| spread(&runs.iter().map(|run| pick(run)).collect::<Vec<_>>(), 3);
            rows.push(vec![
                suite.to_owned(),
                method.label().to_owned(),
                runs.iter().map(|run| run.effect.overrides).sum::<usize>().to_string(),
                runs.len().to_string(),
                of(&|run| run.effect.error),
                of(&|run| run.effect.sign),
                of(&|run| run.effect.gain),
                of(&|run| run.effect.level),
            ]);
        }
    }
    table(&rows)
}

fn outliers(record: &Record<OutlierRun>) -> String {
    let mut rows = vec![["files", "method", "rows", "F1", "false alarms", "missed"].map(str::to_owned).to_vec()];
    let mut groups: Vec<&str> = record.runs.iter().map(|run| run.files.as_str()).collect();
    let mut known = std::collections::HashSet::new();
    groups.retain(|group| known.insert(*group));
    for group in groups {
        for method in anomaly::Method::all() {
            let runs = record.runs.iter().filter(|run| run.files == group && run.method == method);
            rows.extend(runs.map(|run| {
                vec![
                    group.to_owned(),
                    method.label().to_owned(),
                    run.counts.rows().to_string(),
                    format!("{:.3}", run.counts.f1()),
                    format!("{:.1} %", 100.0 * run.counts.false_alarm_rate()),
                    format!("{:.1} %", 100.0 * run.counts.missed_alarm_rate()),
                ]
            }));
        }
    }
    table(&rows)
}

fn classes(record: &Record<ClassRun>) -> String {
    let head = ["classifier", "windows", "seeds", "accuracy", "macro F1", "log loss", "ECE", "fit CPU-s"];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    for method in health::Method::all() {
        let runs: Vec<&ClassRun> = record.runs.iter().filter(|run| run.method == method).collect();
        let Some(first) = runs.first() else { continue };
        let of = |digits: usize, pick: &dyn Fn(&ClassRun) -> f64| {
            spread(&runs.iter().map(|run| pick(run)).collect::<Vec<_>>(), digits)
        };
        rows.push(vec![
            method.label().to_owned(),
            first.card.cases.to_string(),
            runs.len().to_string(),
            of(4, &|run| run.card.accuracy),
            of(4, &|run| run.card.macro_f1),
            of(3, &|run| run.card.log_loss),
            of(3, &|run| run.card.ece),
            of(1, &|run| run.fit_cpu_s),
        ]);
    }
    table(&rows)
}

fn remaining(record: &Record<RemainingRun>) -> String {
    let head = [
        "method",
        "seeds",
        "RMSE, last rows",
        "score, last rows",
        "RMSE, all rows",
        "CRPS, all rows",
        "cover 80, all rows",
        "macro F1, last rows",
        "macro F1, all rows",
        "fit CPU-s",
    ];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    for method in remaining::Method::all() {
        let runs: Vec<&RemainingRun> = record.runs.iter().filter(|run| run.method == method).collect();
        if runs.is_empty() {
            continue;
        }
        let of = |digits: usize, pick: &dyn Fn(&RemainingRun) -> Option<f64>| {
            spread(&runs.iter().filter_map(|run| pick(run)).collect::<Vec<_>>(), digits)
        };
        rows.push(vec![
            method.label().to_owned(),
            runs.len().to_string(),
            of(2, &|run| Some(run.last.rmse)),
            of(0, &|run| Some(run.last.score)),
            of(2, &|run| Some(run.all.rmse)),
            of(2, &|run| run.all.crps),
            of(3, &|run| run.all.coverage_80),
            of(3, &|run| Some(run.last.classes.macro_f1)),
            of(3, &|run| Some(run.all.classes.macro_f1)),
            of(1, &|run| Some(run.fit_cpu_s)),
        ]);
    }
    table(&rows)
}

/// Mean, and the deviation where there are several.
fn spread(values: &[f64], digits: usize) -> String {
    let (mean, deviation) = mean_and_deviation(values);
    match values.len() {
        0 => MISSING.to_owned(),
        1 => format!("{mean:.digits$}"),
        _ => format!("{mean:.digits$} ± {deviation:.digits$}"),
    }
}

/// Mean and sample deviation; the deviation of one value is 0.
pub(super) fn mean_and_deviation(values: &[f64]) -> (f64, f64) {
    let count = values.len().max(1) as f64;
    let mean = values.iter().sum::<f64>() / count;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    (mean, (squares / (count - 1.0).max(1.0)).sqrt())
}

/// A Markdown table whose columns stand under each other: words to the left, numbers to the right.
fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.first().map_or(0, Vec::len);
    let length = |cell: &str| cell.chars().count();
    let widths: Vec<usize> =
        (0..columns).map(|column| rows.iter().map(|row| length(&row[column])).max().unwrap_or(0)).collect();
    let words = |column: usize| rows.iter().skip(1).any(|row| row[column].starts_with(char::is_alphabetic));
    let line = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
    let mut text = String::new();
    for (index, row) in rows.iter().enumerate() {
        let cells = row.iter().enumerate().map(|(column, cell)| {
            let gap = " ".repeat(widths[column] - length(cell));
            if words(column) { format!("{cell}{gap}") } else { format!("{gap}{cell}") }
        });
        text.push_str(&line(cells.collect()));
        if index == 0 {
            let rule = |column: usize| {
                let dashes = "-".repeat(widths[column].max(2) - 1);
                if words(column) { format!("{dashes}-") } else { format!("{dashes}:") }
            };
            text.push_str(&line((0..columns).map(rule).collect()));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn run(forecaster: Kind, seed: Option<u64>, rmse: f64) -> Run {
        let figures = Figures {
            windows: 40,
            rmse,
            mae: 0.5,
            mse: rmse * rmse,
            crps: 0.4,
            coverage_80: 0.8,
            coverage_95: 0.95,
            rmse_by_block: vec![rmse],
            rmse_by_target: std::iter::once(("level".to_owned(), rmse)).collect(),
        };
        Run { forecaster, seed, fit_cpu_s: 1.0, forecast_cpu_s: 0.002, figures: Some(figures), failed: None }
    }

    #[test]
    fn a_table_shows_deviations_over_seeds_and_says_what_failed() {
        let mut broken = run(Kind::Ridge, None, 1.0);
        (broken.figures, broken.failed) = (None, Some("too few training rows".into()));
        let runs = vec![
            run(Kind::Persistence, None, 1.0),
            broken,
            run(Kind::FineTuned, Some(1), 0.5),
            run(Kind::FineTuned, Some(2), 0.7),
        ];
        let settings = json!({ "protocol": "60/20/20", "unit": "V", "stride": 4, "base": "small", "base_sha256": "0123456789abcdef" });
        let text = section(&Document::Series(Record { set: "tanks".into(), settings, runs }));
        insta::assert_snapshot!(text, @r"
        ## tanks

        60/20/20. Errors in V. A window every 4 steps. Base model small, 0123456789ab.

        | forecaster                       | windows | seeds |            RMSE |             MAE |             MSE |            CRPS |      cover 80 |      cover 95 | fit CPU-s | forecast CPU-s |
        | -------------------------------- | ------: | ----: | --------------: | --------------: | --------------: | --------------: | ------------: | ------------: | --------: | -------------: |
        | persistence                      |      40 |     - |          1.0000 |          0.5000 |          1.0000 |          0.4000 |         0.800 |         0.950 |       1.0 |         0.0020 |
        | ridge                            |       - |     - |               - |               - |               - |               - |             - |             - |       1.0 |         0.0020 |
        | fine-tuned (bank + study + head) |      40 |     2 | 0.6000 ± 0.1414 | 0.5000 ± 0.0000 | 0.3700 ± 0.1697 | 0.4000 ± 0.0000 | 0.800 ± 0.000 | 0.950 ± 0.000 |       1.0 |         0.0020 |

        ridge: too few training rows.
        ");
    }

    #[test]
    fn one_value_has_no_deviation() {
        assert_eq!(spread(&[], 2), "-");
        assert_eq!(spread(&[1.0], 2), "1.00");
        assert_eq!(spread(&[1.0, 3.0], 2), "2.00 ± 1.41");
    }
}
