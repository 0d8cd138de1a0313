//! An outcome as a table for a terminal.

use std::fmt::Write as _;

use serde_json::Value;

/// Rows of a table at most; more steps are thinned out.
const MAX_ROWS: usize = 16;

/// The answer in words and columns.
pub(super) fn of(outcome: &Value) -> String {
    let mut text = String::new();
    let said = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let model = &outcome["model"];
    let _ = writeln!(
        text,
        "{}: {} (version {}), from the state of {}",
        said(&outcome["asset"]),
        said(&model["source"]),
        model["version"],
        said(&outcome["state"]["observed_at"])
    );
    if let Some(reason) = model["reason"].as_str() {
        let _ = writeln!(text, "{reason}");
    }
    let scenario = &outcome["scenarios"][0];
    text += "\n";
    text += &grid(&rows(outcome, scenario));
    for clamped in scenario["clamped"].as_array().into_iter().flatten().take(1) {
        let (signal, step) = (said(&clamped["signal"]), &clamped["step"]);
        let _ = writeln!(text, "\n{signal} was brought within its limits, first at step {step}.");
    }
    for (index, constraint) in scenario["constraints"].as_array().into_iter().flatten().enumerate() {
        let _ = write!(text, "\n{}", limit(constraint, &outcome["baseline"]["constraints"][index]));
    }
    text
}

/// Head and body of the table: the time, and of each output baseline, scenario, band and difference.
fn rows(outcome: &Value, scenario: &Value) -> Vec<Vec<String>> {
    let outputs: Vec<&String> =
        scenario["signals"].as_object().into_iter().flat_map(|signals| signals.keys()).collect();
    let unit = |name: &str| match outcome["units"][name].as_str() {
        None | Some("" | "1") => name.to_owned(),
        Some(unit) => format!("{name} [{unit}]"),
    };
    let mut head = vec!["time".to_owned()];
    for name in &outputs {
        head.extend([format!("{} now", unit(name)), "then".to_owned(), "80 % band".to_owned(), "change".to_owned()]);
    }
    let instants = outcome["timestamps"].as_array().map_or(&[][..], Vec::as_slice);
    let stride = instants.len().div_ceil(MAX_ROWS).max(1);
    // The last step is always shown.
    let steps = (0..instants.len()).filter(|step| (instants.len() - 1 - step) % stride == 0);
    let mut rows = vec![head];
    for step in steps {
        let mut row = vec![instants[step].as_str().unwrap_or_default().to_owned()];
        for name in &outputs {
            let at = |bands: &Value, level: &str| number(&bands[name.as_str()][level][step]);
            let signals = &scenario["signals"];
            row.extend([
                at(&outcome["baseline"]["signals"], "0.5"),
                at(signals, "0.5"),
                format!("{} .. {}", at(signals, "0.1"), at(signals, "0.9")),
                at(&scenario["delta"], "0.5"),
            ]);
        }
        rows.push(row);
    }
    rows
}

fn grid(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let wide = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
    let widths: Vec<usize> = (0..columns).map(|column| wide(column).unwrap_or(0)).collect();
    let mut text = String::new();
    for row in rows {
        let cells: Vec<String> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:>width$}")).collect();
        text += cells.join("  ").trim_end();
        text.push('\n');
    }
    text
}

/// A constraint in words.
fn limit(constraint: &Value, baseline: &Value) -> String {
    let name = constraint["signal"].as_str().unwrap_or_default();
    let side =
        |sign: &str, limit: &Value| if limit.is_null() { String::new() } else { format!(" {sign} {}", number(limit)) };
    let percent = |share: f64| format!("{:.1} %", 100.0 * share);
    let broken = |of: &Value| 1.0 - of["time_to_limit"]["not_within_horizon"].as_f64().unwrap_or(1.0);
    let mut text = format!(
        "{name}{}{}: broken with {} (unchanged: {}), wanted at most {}: {}\n",
        side(">", &constraint["min"]),
        side("<", &constraint["max"]),
        percent(broken(constraint)),
        percent(broken(baseline)),
        percent(1.0 - constraint["probability"].as_f64().unwrap_or(1.0)),
        if constraint["met"] == true { "kept" } else { "NOT KEPT" }
    );
    let times = ["0.1", "0.5", "0.9"].map(|level| match constraint["time_to_limit"][level].as_f64() {
        Some(seconds) => format!("{} s", number(&Value::from(seconds))),
        None => "later than the horizon".to_owned(),
    });
    if times.iter().any(|time| time.ends_with('s')) {
        let _ = writeln!(text, "  reached with 10 %, 50 %, 90 %: {}", times.join(", "));
    }
    text
}

/// Four significant digits.
fn number(value: &Value) -> String {
    let Some(number) = value.as_f64() else { return "-".to_owned() };
    if number == 0.0 {
        return "0".to_owned();
    }
    let digits = (3 - number.abs().log10().floor() as i32).clamp(0, 9) as usize;
    format!("{number:.digits$}")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn outcome(steps: usize) -> Value {
        let bands = json!({"level": {"0.1": vec![1.0; steps], "0.5": vec![2.25; steps], "0.9": vec![3.0; steps]}});
        let constraint = json!({"signal": "level", "max": 9.5, "probability": 0.95, "met": false, "breach_probability": [0.5],
            "time_to_limit": {"0.1": 4.0, "0.5": 12.0, "0.9": null, "not_within_horizon": 0.4}});
        json!({"asset": "tank-1", "model": {"source": "base", "version": 0}, "state": {"observed_at": "now"},
            "timestamps": vec!["12:00"; steps], "units": {"level": "m"},
            "baseline": {"signals": bands, "constraints": [constraint]},
            "scenarios": [{"signals": bands, "delta": bands, "constraints": [constraint],
                "clamped": [{"signal": "pump", "step": 3}]}]})
    }

    #[test]
    fn a_table_has_a_column_for_everything_and_the_last_step() {
        let text = of(&outcome(5));
        assert!(text.contains("level [m] now") && text.contains("1.000 .. 3.000"), "{text}");
        assert_eq!(
            text.lines().filter(|line| line.starts_with("        12:00") || line.contains("12:00  ")).count(),
            5,
            "{text}"
        );
        assert!(text.contains("level < 9.500: broken with 60.0 %") && text.contains("NOT KEPT"), "{text}");
        assert!(text.contains("4.000 s, 12.00 s, later than the horizon"), "{text}");
        assert!(text.contains("pump was brought within its limits, first at step 3"), "{text}");
        assert!(of(&outcome(500)).lines().count() < 30);
    }

    #[test]
    fn numbers_have_four_digits() {
        for (value, text) in [(0.0, "0"), (12.3456, "12.35"), (-0.012_345_6, "-0.01235"), (123_456.0, "123456")] {
            assert_eq!(number(&json!(value)), text);
        }
        assert_eq!(number(&Value::Null), "-");
    }
}
