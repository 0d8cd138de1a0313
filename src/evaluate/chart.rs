//! One chart per set as SVG: a bar for each forecaster's error, a whisker for its seeds.

use std::fmt::Write as _;

use super::anomaly::{self, OutlierRun};
use super::health::{self, ClassRun};
use super::kind::Kind;
use super::record::{Document, EffectRun, Record, Run};
use super::remaining::{self, RemainingRun};
use super::report::mean_and_deviation;
use super::what_if::Method;

const WIDTH: f64 = 760.0;
const ROW: f64 = 26.0;
const HEAD: f64 = 56.0;
/// Where bars begin, and how much room is left behind the longest for its number.
const LEFT: f64 = 230.0;
const RIGHT: f64 = 130.0;
/// Ours, and the others.
const OURS: &str = "#2f6f9f";
const OTHERS: &str = "#9aa5ad";

struct Bar {
    label: String,
    value: f64,
    deviation: f64,
    ours: bool,
}

/// The chart of a document.
pub(super) fn draw(document: &Document) -> String {
    match document {
        Document::Series(record) => {
            let unit = record.settings.get("unit").and_then(serde_json::Value::as_str).unwrap_or_default();
            bars(&record.set, &format!("RMSE in {unit}, less is better"), &series(record))
        }
        Document::Effects(record) => {
            bars(&record.set, "median error of an override's effect, less is better", &effects(record))
        }
        Document::Outliers(record) => {
            bars(&record.set, "F1 over all rows, more is better; the report has the false alarms", &outliers(record))
        }
        Document::Classes(record) => bars(&record.set, "macro F1, more is better", &classes(record)),
        Document::Remaining(record) => {
            bars(&record.set, "RMSE in cycles on the last rows, less is better", &remaining(record))
        }
    }
}

fn series(record: &Record<Run>) -> Vec<Bar> {
    let bar = |kind: &Kind| {
        let runs = record.runs.iter().filter(|run| run.forecaster == *kind);
        let values: Vec<f64> = runs.filter_map(|run| run.figures.as_ref()).map(|figures| figures.rmse).collect();
        let (value, deviation) = mean_and_deviation(&values);
        (!values.is_empty()).then(|| Bar { label: kind.label().to_owned(), value, deviation, ours: kind.needs_views() })
    };
    Kind::all().iter().filter_map(bar).collect()
}

fn effects(record: &Record<EffectRun>) -> Vec<Bar> {
    let mut suites: Vec<&str> = record.runs.iter().map(|run| run.suite.as_str()).collect();
    suites.dedup();
    let mut bars = Vec::new();
    for suite in suites {
        for method in [Method::Ridge, Method::Bank, Method::Corrected] {
            let runs = record.runs.iter().filter(|run| run.suite == suite && run.method == method);
            let values: Vec<f64> = runs.map(|run| run.effect.error).collect();
            let (value, deviation) = mean_and_deviation(&values);
            let short = if method == Method::Corrected { "bank + corrector" } else { method.label() };
            let label = format!("{suite}, {short}");
            bars.push(Bar { label, value, deviation, ours: method != Method::Ridge });
        }
    }
    bars
}

fn classes(record: &Record<ClassRun>) -> Vec<Bar> {
    let bar = |method: health::Method| {
        let runs = record.runs.iter().filter(|run| run.method == method);
        let values: Vec<f64> = runs.map(|run| run.card.macro_f1).collect();
        let (value, deviation) = mean_and_deviation(&values);
        Bar { label: method.label().to_owned(), value, deviation, ours: method != health::Method::Commonest }
    };
    health::Method::all().into_iter().map(bar).collect()
}

fn remaining(record: &Record<RemainingRun>) -> Vec<Bar> {
    let bar = |method: remaining::Method| {
        let runs = record.runs.iter().filter(|run| run.method == method);
        let values: Vec<f64> = runs.map(|run| run.last.rmse).collect();
        let (value, deviation) = mean_and_deviation(&values);
        Bar { label: method.label().to_owned(), value, deviation, ours: method >= remaining::Method::Changes }
    };
    remaining::Method::all().into_iter().map(bar).collect()
}

fn outliers(record: &Record<OutlierRun>) -> Vec<Bar> {
    let all = record.runs.iter().filter(|run| run.files == "all");
    all.map(|run| Bar {
        label: run.method.label().to_owned(),
        value: run.counts.f1(),
        deviation: 0.0,
        ours: run.method == anomaly::Method::Ours,
    })
    .collect()
}

fn bars(title: &str, subtitle: &str, bars: &[Bar]) -> String {
    let height = HEAD + ROW * bars.len() as f64 + 12.0;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height}\" viewBox=\"0 0 {WIDTH} {height}\" \
         font-family=\"system-ui, sans-serif\" font-size=\"13\" fill=\"#1c2429\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n\
         <text x=\"16\" y=\"24\" font-size=\"16\" font-weight=\"600\">{}</text>\n\
         <text x=\"16\" y=\"43\" fill=\"#5b666d\">{}</text>\n",
        escaped(title),
        escaped(subtitle)
    );
    let most = bars.iter().map(|bar| bar.value + bar.deviation).fold(0.0, f64::max).max(f64::MIN_POSITIVE);
    let along = |value: f64| (WIDTH - LEFT - RIGHT) * value / most;
    for (index, bar) in bars.iter().enumerate() {
        let top = HEAD + ROW * index as f64;
        let middle = top + ROW / 2.0;
        let text = middle + 4.5;
        let colour = if bar.ours { OURS } else { OTHERS };
        let _ = writeln!(
            svg,
            "<text x=\"{}\" y=\"{text:.1}\" text-anchor=\"end\">{}</text>\n\
             <rect x=\"{LEFT}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{}\" rx=\"2\" fill=\"{colour}\"/>",
            LEFT - 10.0,
            escaped(&bar.label),
            top + 4.0,
            along(bar.value),
            ROW - 8.0
        );
        if bar.deviation > 0.0 {
            let (low, high) =
                (LEFT + along((bar.value - bar.deviation).max(0.0)), LEFT + along(bar.value + bar.deviation));
            let _ = writeln!(
                svg,
                "<path d=\"M{low:.1} {middle:.1}H{high:.1}M{low:.1} {0:.1}v8M{high:.1} {0:.1}v8\" stroke=\"#1c2429\" fill=\"none\"/>",
                middle - 4.0
            );
        }
        let behind = LEFT + along(bar.value + bar.deviation) + 8.0;
        let number = if bar.deviation > 0.0 {
            format!("{:.4} ± {:.4}", bar.value, bar.deviation)
        } else {
            format!("{:.4}", bar.value)
        };
        let _ = writeln!(svg, "<text x=\"{behind:.1}\" y=\"{text:.1}\" fill=\"#3b464d\">{number}</text>");
    }
    svg.push_str("</svg>\n");
    svg
}

/// Names of a user's file may hold anything.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
