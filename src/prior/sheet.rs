//! Records as a sheet of small charts (SVG), so that a person can see what the base model learns from.
//!
//! One chart is one record, or one pair of futures: inputs above, target below, and marks for what
//! happens on the way. Deliberately absent: axes with numbers; everything is in deviations.

use std::fmt::Write as _;

use super::{Family, Fault, Health, Pair, Record};

const COLUMNS: usize = 3;
const WIDTH: f64 = 420.0;
const HEIGHT: f64 = 190.0;
const MARGIN: f64 = 14.0;
const HEAD: f64 = 64.0;
/// Where in a chart the inputs lie, and where the target: top and height.
const INPUTS: (f64, f64) = (24.0, 52.0);
const TARGET: (f64, f64) = (84.0, 92.0);

const INPUT_COLOURS: [&str; 4] = ["#0072b2", "#56b4e9", "#8a6fb0", "#999999"];
const INK: &str = "#1b1f24";
const TRUTH: &str = "#c3c8ce";
const OTHER: &str = "#d55e00";
const RESTART: &str = "#a06a00";
const RELEASE: &str = "#007a5a";
const WEAR: &str = "#cc79a7";
const FAULT: &str = "#d62728";

/// What one chart shows.
#[derive(Clone, Debug)]
pub(super) enum Sample {
    One(Record),
    Two(Pair),
}

/// The sheet of one family.
pub(super) fn sheet(family: Family, seed: u64, samples: &[Sample]) -> String {
    let rows = samples.len().div_ceil(COLUMNS);
    let (width, height) = (COLUMNS as f64 * WIDTH + MARGIN, HEAD + rows as f64 * HEIGHT + MARGIN);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" \
         height=\"{height}\" font-family=\"system-ui, sans-serif\" font-size=\"11\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n\
         <text x=\"{MARGIN}\" y=\"26\" font-size=\"17\" fill=\"{INK}\">{}, seed {seed}</text>\n",
        family.name()
    );
    legend(&mut svg);
    for (place, sample) in samples.iter().enumerate() {
        let left = (place % COLUMNS) as f64 * WIDTH + MARGIN;
        let top = (place / COLUMNS) as f64 * HEIGHT + HEAD;
        let _ = writeln!(svg, "<g transform=\"translate({left} {top})\">");
        match sample {
            Sample::One(record) => chart(&mut svg, record, None),
            Sample::Two(pair) => chart(&mut svg, &pair.base, Some(pair)),
        }
        svg.push_str("</g>\n");
    }
    svg.push_str("</svg>\n");
    svg
}

fn legend(svg: &mut String) {
    let entries = [
        (INPUT_COLOURS[0], "inputs"),
        (INK, "target as measured"),
        (TRUTH, "truth"),
        (OTHER, "with an intervention"),
        (RESTART, "restart"),
        (RELEASE, "controller released"),
        (WEAR, "wear"),
        (FAULT, "sensor fault"),
    ];
    let mut x = MARGIN;
    for (colour, name) in entries {
        let _ = writeln!(
            svg,
            "<rect x=\"{x}\" y=\"40\" width=\"14\" height=\"5\" rx=\"1\" fill=\"{colour}\"/>\
             <text x=\"{}\" y=\"47\" fill=\"{INK}\">{name}</text>",
            x + 19.0
        );
        x += 34.0 + 6.2 * name.len() as f64;
    }
}

fn chart(svg: &mut String, record: &Record, pair: Option<&Pair>) {
    let steps = record.target.len();
    let _ = writeln!(svg, "<text x=\"0\" y=\"14\" fill=\"#57606a\">{}</text>", caption(record, pair.is_some()));
    for (top, height) in [INPUTS, TARGET] {
        let _ = writeln!(
            svg,
            "<rect x=\"0\" y=\"{top}\" width=\"{}\" height=\"{height}\" fill=\"#f6f8fa\"/>",
            WIDTH - 2.0 * MARGIN
        );
    }
    bands(svg, record.health.as_deref(), WEAR);
    bands(svg, record.fault.as_deref(), FAULT);
    for (row, (values, colour)) in record.inputs.iter().zip(INPUT_COLOURS).enumerate() {
        let other = pair.map(|pair| &pair.other.inputs[row]).filter(|other| *other != values);
        let range = range([Some(values), other]);
        line(svg, values, range, INPUTS, colour, 1.0);
        if let Some((other, pair)) = other.zip(pair) {
            tail(svg, other, pair.at, range, INPUTS);
        }
    }
    let range = range([Some(&record.target), Some(&record.truth), pair.map(|pair| &pair.other.target)]);
    line(svg, &record.truth, range, TARGET, TRUTH, 2.5);
    line(svg, &record.target, range, TARGET, INK, 0.8);
    if let Some(pair) = pair {
        tail(svg, &pair.other.target, pair.at, range, TARGET);
        mark(svg, pair.at, steps, OTHER);
    }
    let marks = [(record.restart, RESTART), (record.released.filter(|_| pair.is_none()), RELEASE)];
    for (at, colour) in marks {
        if let Some(at) = at {
            mark(svg, at, steps, colour);
        }
    }
}

/// In words what the chart holds.
fn caption(record: &Record, pair: bool) -> String {
    let conditions = record.conditions;
    let mut parts = vec![match record.inputs.len() {
        0 => "no inputs".to_owned(),
        1 => "1 input".to_owned(),
        n => format!("{n} inputs"),
    }];
    if pair {
        parts.push("two futures".into());
    }
    if conditions.decoy {
        parts.push("last one a decoy".into());
    }
    if conditions.noise > 0.0 {
        parts.push(format!("noise {:.1} %", 100.0 * conditions.noise));
    }
    if let Some(quantum) = conditions.quantum {
        parts.push(format!("steps of {:.1} %", 100.0 * quantum));
    }
    if conditions.disturbed {
        parts.push("disturbed".into());
    }
    let labels = record.health.iter().flatten().max().map(|label| wear_name(*label));
    let faults = record.fault.iter().flatten().max().map(|label| fault_name(*label));
    parts.extend(labels.into_iter().chain(faults).flatten().map(str::to_owned));
    parts.join(", ")
}

fn wear_name(label: u8) -> Option<&'static str> {
    [(Health::WeakInput, "weak input"), (Health::Leaking, "leaking"), (Health::Sluggish, "sluggish")]
        .into_iter()
        .find_map(|(health, name)| (health as u8 == label).then_some(name))
}

fn fault_name(label: u8) -> Option<&'static str> {
    [
        (Fault::Stuck, "sensor stuck"),
        (Fault::Drifting, "sensor drifting"),
        (Fault::Spike, "sensor spikes"),
        (Fault::Missing, "sensor drops out"),
    ]
    .into_iter()
    .find_map(|(fault, name)| (fault as u8 == label).then_some(name))
}

/// Smallest and largest value of some rows, never equal.
fn range<'a>(rows: impl IntoIterator<Item = Option<&'a Vec<f32>>>) -> (f64, f64) {
    let values = rows.into_iter().flatten().flatten().map(|v| f64::from(*v));
    let (low, high) = values.fold((f64::MAX, f64::MIN), |(low, high), v| (low.min(v), high.max(v)));
    if high - low < 1e-6 { (low - 1.0, high + 1.0) } else { (low, high) }
}

fn across(step: usize, steps: usize) -> f64 {
    (WIDTH - 2.0 * MARGIN) * step as f64 / steps.max(2).saturating_sub(1) as f64
}

fn points(values: &[f32], from: usize, (low, high): (f64, f64), (top, height): (f64, f64)) -> String {
    let mut text = String::with_capacity(12 * values.len());
    for (step, value) in values.iter().enumerate().skip(from) {
        let y = top + 3.0 + (height - 6.0) * (high - f64::from(*value)) / (high - low);
        let _ = write!(text, "{:.1},{y:.1} ", across(step, values.len()));
    }
    text
}

fn line(svg: &mut String, values: &[f32], range: (f64, f64), place: (f64, f64), colour: &str, width: f64) {
    let points = points(values, 0, range, place);
    let _ = writeln!(
        svg,
        "<polyline points=\"{points}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"{width}\" \
         stroke-linejoin=\"round\"/>"
    );
}

/// The other future, from where it parts.
fn tail(svg: &mut String, values: &[f32], at: usize, range: (f64, f64), place: (f64, f64)) {
    let points = points(values, at.saturating_sub(1), range, place);
    let _ = writeln!(svg, "<polyline points=\"{points}\" fill=\"none\" stroke=\"{OTHER}\" stroke-width=\"1\"/>");
}

fn mark(svg: &mut String, at: usize, steps: usize, colour: &str) {
    let (x, bottom) = (across(at, steps), TARGET.0 + TARGET.1);
    let _ = writeln!(
        svg,
        "<line x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{}\" y2=\"{bottom}\" stroke=\"{colour}\" stroke-width=\"1.4\" \
         stroke-dasharray=\"4 3\"/>",
        INPUTS.0
    );
}

/// Shades the stretches whose label is not 0.
fn bands(svg: &mut String, labels: Option<&[u8]>, colour: &str) {
    let labels = labels.unwrap_or_default();
    let mut from = 0;
    for part in labels.chunk_by(|one, next| (*one == 0) == (*next == 0)) {
        if part[0] != 0 {
            let (x, width) = (across(from, labels.len()), across(part.len(), labels.len()));
            let _ = writeln!(
                svg,
                "<rect x=\"{x:.1}\" y=\"{}\" width=\"{width:.1}\" height=\"{}\" fill=\"{colour}\" opacity=\"0.25\"/>",
                TARGET.0, TARGET.1
            );
        }
        from += part.len();
    }
}

#[cfg(test)]
mod tests {
    use super::super::{pair_of, record_of};
    use super::*;

    #[test]
    fn a_sheet_shows_every_sample_and_marks_what_happens() {
        let records: Vec<Record> = (0..30).map(|index| record_of(Family::Tanks, 3, index, 128)).collect();
        let restarts = records.iter().filter(|r| r.restart.is_some()).count();
        let pair = pair_of(Family::Tanks, 3, 0, 128, None).expect("tanks have a pump");
        let samples: Vec<Sample> = records.into_iter().map(Sample::One).chain([Sample::Two(pair)]).collect();
        let svg = sheet(Family::Tanks, 3, &samples);
        assert_eq!(svg.matches("<g ").count(), 31);
        assert_eq!(svg.matches("</g>").count(), 31);
        let dashes = |colour: &str| svg.matches(&format!("stroke=\"{colour}\" stroke-width=\"1.4\"")).count();
        assert!(dashes(RESTART) >= restarts && restarts > 3);
        assert_eq!(dashes(OTHER), 1);
        assert!(!svg.contains("NaN") && !svg.contains("inf"));
    }

    #[test]
    fn bands_cover_the_labelled_steps() {
        let mut svg = String::new();
        bands(&mut svg, Some(&[0, 1, 1, 0, 0, 2]), FAULT);
        assert_eq!(svg.matches("<rect").count(), 2);
    }
}
