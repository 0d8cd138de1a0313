//! An outcome as an SVG: a panel for each output, with the baseline, the scenario and its band.

use std::fmt::Write as _;

use serde_json::Value;

const WIDTH: f64 = 760.0;
const PANEL: f64 = 240.0;
const LEFT: f64 = 70.0;
const RIGHT: f64 = 20.0;
const TOP: f64 = 34.0;
const BOTTOM: f64 = 34.0;
const SCENARIO: &str = "#2f6f9f";
const BASELINE: &str = "#6b7680";
const LIMIT: &str = "#b3261e";
/// Lines across a panel.
const TICKS: usize = 4;

/// The chart of an outcome.
pub(super) fn draw(outcome: &Value) -> String {
    let scenario = &outcome["scenarios"][0];
    let outputs: Vec<&String> =
        scenario["signals"].as_object().into_iter().flat_map(|signals| signals.keys()).collect();
    let height = PANEL * outputs.len().max(1) as f64;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" height=\"{height}\" \
         font-family=\"sans-serif\" font-size=\"12\"><title>{}</title>\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>",
        escaped(outcome["asset"].as_str().unwrap_or_default())
    );
    for (place, name) in outputs.iter().enumerate() {
        svg += &panel(outcome, scenario, name, PANEL * place as f64);
    }
    svg + "</svg>\n"
}

/// Where values and steps lie.
struct Scale {
    low: f64,
    high: f64,
    steps: usize,
    top: f64,
}

impl Scale {
    fn x(&self, step: usize) -> f64 {
        LEFT + (WIDTH - LEFT - RIGHT) * step as f64 / (self.steps.max(2) - 1) as f64
    }

    fn y(&self, value: f64) -> f64 {
        let share = (value - self.low) / (self.high - self.low);
        self.top + PANEL - BOTTOM - share * (PANEL - TOP - BOTTOM)
    }

    fn points(&self, row: &[f64]) -> String {
        let points = row.iter().enumerate().map(|(step, value)| format!("{:.1},{:.1}", self.x(step), self.y(*value)));
        points.collect::<Vec<String>>().join(" ")
    }
}

fn panel(outcome: &Value, scenario: &Value, name: &str, top: f64) -> String {
    let row = |bands: &Value, level: &str| -> Vec<f64> {
        bands[name][level].as_array().into_iter().flatten().filter_map(Value::as_f64).collect()
    };
    let (low, then, high) =
        (row(&scenario["signals"], "0.1"), row(&scenario["signals"], "0.5"), row(&scenario["signals"], "0.9"));
    let now = row(&outcome["baseline"]["signals"], "0.5");
    let constraints = scenario["constraints"].as_array().into_iter().flatten().filter(|one| one["signal"] == name);
    let limits: Vec<f64> = constraints.flat_map(|one| [one["min"].as_f64(), one["max"].as_f64()]).flatten().collect();
    let all = || low.iter().chain(&high).chain(&then).chain(&now).chain(&limits).copied();
    let (least, most) = all().fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), value| (a.min(value), b.max(value)));
    if !(least.is_finite() && most.is_finite()) {
        return String::new();
    }
    // A flat line needs room, too.
    let margin = ((most - least) * 0.05).max(most.abs().max(1.0) * 1e-3);
    let scale = Scale { low: least - margin, high: most + margin, steps: then.len(), top };
    let mut svg = String::new();
    for tick in 0..=TICKS {
        let value = scale.low + (scale.high - scale.low) * tick as f64 / TICKS as f64;
        let y = scale.y(value);
        let _ = write!(
            svg,
            "<line x1=\"{LEFT}\" x2=\"{}\" y1=\"{y:.1}\" y2=\"{y:.1}\" stroke=\"#e3e7ea\"/>\
             <text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\" fill=\"#444\">{value:.3}</text>",
            WIDTH - RIGHT,
            LEFT - 6.0,
            y + 4.0
        );
    }
    let band: Vec<String> = {
        let back =
            high.iter().enumerate().rev().map(|(step, value)| format!("{:.1},{:.1}", scale.x(step), scale.y(*value)));
        std::iter::once(scale.points(&low)).chain(back).collect()
    };
    let _ = write!(svg, "<polygon points=\"{}\" fill=\"{SCENARIO}\" fill-opacity=\"0.18\"/>", band.join(" "));
    let line = |row: &[f64], colour: &str, dash: &str| {
        format!(
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.8\"{dash}/>",
            scale.points(row)
        )
    };
    svg += &line(&now, BASELINE, " stroke-dasharray=\"5 4\"");
    svg += &line(&then, SCENARIO, "");
    for limit in limits {
        svg += &line(&vec![limit; scale.steps], LIMIT, " stroke-dasharray=\"2 3\"");
    }
    let unit = outcome["units"][name].as_str().unwrap_or_default();
    let instant = |place: Option<&Value>| escaped(place.and_then(Value::as_str).unwrap_or_default());
    let instants = outcome["timestamps"].as_array();
    let _ = write!(
        svg,
        "<text x=\"{LEFT}\" y=\"{:.1}\" font-weight=\"bold\">{} [{}]</text>\
         <text x=\"{right}\" y=\"{:.1}\" text-anchor=\"end\"><tspan fill=\"{BASELINE}\">unchanged (dashed)</tspan>\
         <tspan fill=\"{SCENARIO}\" dx=\"12\">what-if, 80 % band</tspan></text>\
         <text x=\"{LEFT}\" y=\"{y:.1}\" fill=\"#444\">{}</text>\
         <text x=\"{right}\" y=\"{y:.1}\" text-anchor=\"end\" fill=\"#444\">{}</text>",
        top + 20.0,
        escaped(name),
        escaped(unit),
        top + 20.0,
        instant(instants.and_then(|all| all.first())),
        instant(instants.and_then(|all| all.last())),
        right = WIDTH - RIGHT,
        y = top + PANEL - 12.0,
    );
    svg
}

/// Text within an element.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_output_has_a_panel_and_nothing_breaks_out() {
        let bands = |at: f64| json!({"0.1": vec![at - 1.0; 4], "0.5": vec![at; 4], "0.9": vec![at + 1.0; 4]});
        let signals = json!({"level": bands(2.0), "<b>": bands(7.0)});
        let outcome = json!({"asset": "a&b", "timestamps": vec!["now"; 4], "units": {"level": "m", "<b>": "1"},
            "baseline": {"signals": signals},
            "scenarios": [{"signals": signals, "constraints": [{"signal": "level", "max": 3.5}]}]});
        let svg = draw(&outcome);
        assert_eq!(svg.matches("<polyline").count(), 5, "two lines an output and one limit: {svg}");
        assert_eq!(svg.matches("<polygon").count(), 2);
        assert!(svg.contains("a&amp;b") && svg.contains("&lt;b&gt;") && !svg.contains("<b>"), "{svg}");
        assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
    }

    #[test]
    fn one_step_and_no_output_can_be_drawn() {
        let one = json!({"0.1": [1.0], "0.5": [1.0], "0.9": [1.0]});
        let outcome = json!({"scenarios": [{"signals": {"level": one}}], "baseline": {"signals": {"level": one}}});
        assert!(!draw(&outcome).contains("NaN"));
        assert!(draw(&json!({"scenarios": [{}]})).ends_with("</svg>\n"));
    }
}
