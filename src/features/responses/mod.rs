//! How a model answers its control inputs: step probes at several states of an asset's own history.
//!
//! At each state every input is moved alone, up and down, by a half and by a whole deviation of what
//! it has done, and held there; the difference to holding everything is the step response. Of these
//! come sign, gain, delay and settling time (the classic figures of a step response; Astrom and
//! Hagglund 1995, ch. 2), each with the interval that most probes lie in. Plain numbers: whoever can
//! compute windows can measure a model, while it learns and while it serves.

mod probe;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

pub use self::probe::{PROBED, Point, held, points, probes};
use super::{Grid, Layout};
use crate::asset::{AssetType, Declared, Sign};

/// Share of the output's deviation: a whole deviation of an input that moves it less is ignored.
const IGNORED: f64 = 0.02;
/// Share of the greatest response at which it has begun.
const BEGUN: f64 = 0.1;
/// Share of the final response within which it has settled.
const SETTLED: f64 = 0.05;
/// Share of the probes that a sign needs.
const CLEAR: f64 = 0.9;

/// A median, and the tenth and the ninetieth percentile.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Spread {
    /// Of all probes.
    pub median: f64,
    /// A tenth of the probes lies below.
    pub low: f64,
    /// A tenth of the probes lies above.
    pub high: f64,
}

/// Which way an output goes when an input is raised.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// Up.
    Positive,
    /// Down.
    Negative,
    /// It depends on the state.
    Changing,
    /// Nowhere: the model ignores the input.
    None,
}

/// How one output answers one input.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Response {
    /// The input.
    pub input: String,
    /// The output.
    pub output: String,
    /// Which way.
    pub sign: Direction,
    /// Change of the output at the end of the probe, in its unit, for each unit of the input.
    pub gain: Spread,
    /// Greatest change of the output in its deviations, for a whole deviation of the input.
    pub effect: f64,
    /// Seconds until a tenth of the greatest response; null where the input is ignored.
    pub delay_s: Option<Spread>,
    /// Seconds until the response stays within 5 % of its end; null where it does not settle.
    pub settling_s: Option<Spread>,
    /// Probes that were made.
    pub probes: usize,
}

/// How a model answers its control inputs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Responses {
    /// Steps that a probe lasts.
    pub steps: usize,
    /// Seconds of a step.
    pub step_s: f64,
    /// The states of the asset from which it was probed.
    pub states: Vec<DateTime<Utc>>,
    /// Every control input with every output.
    pub responses: Vec<Response>,
}

/// Medians of a point's answers: for each output, for each future of the point, a value per step.
pub type Medians = Vec<Vec<Vec<f64>>>;

impl Responses {
    /// Reads the answers to the futures of points.
    #[must_use]
    pub fn read(asset_type: &AssetType, grid: &Grid, layout: &Layout, points: &[Point], answers: &[Medians]) -> Self {
        let name = |signal: usize| asset_type.document.signals[signal].name.clone();
        let deviation = |signal: usize| probe::deviation(&grid.values[signal]);
        let mut responses = Vec::new();
        for input in probe::controls(asset_type, layout) {
            for (place, target) in layout.targets.iter().enumerate() {
                let traces: Vec<Trace> = points
                    .iter()
                    .zip(answers)
                    .flat_map(|(point, answer)| {
                        let of_target = &answer[place];
                        point.probes.iter().enumerate().filter(move |(_, probe)| probe.input == input).map(
                            move |(at, probe)| {
                                let row = of_target[at + 1].iter().zip(&of_target[0]);
                                Trace::of(&row.map(|(moved, held)| (moved - held) / probe.size).collect::<Vec<f64>>())
                            },
                        )
                    })
                    .collect();
                let unit =
                    probe::unit(asset_type, grid, layout.inputs[input]) / deviation(*target).max(f64::MIN_POSITIVE);
                responses.push(Response::of(name(layout.inputs[input]), name(*target), &traces, unit, grid.step_s));
            }
        }
        Self {
            steps: PROBED,
            step_s: grid.step_s,
            states: points.iter().map(|point| grid.instants[point.origin - 1]).collect(),
            responses,
        }
    }

    /// Whether a model answers as its asset type declares; the reason in words when it does not.
    pub fn gate(&self, declared: &[Declared]) -> Result<(), String> {
        for Declared { input, output, sign } in declared {
            let found = self.responses.iter().find(|pair| pair.input == *input && pair.output == *output);
            let Some(found) = found.filter(|pair| pair.probes > 0) else { continue };
            let (wanted, word) = match sign {
                Sign::Positive => (Direction::Positive, "positive"),
                Sign::Negative => (Direction::Negative, "negative"),
            };
            if found.sign == wanted {
                continue;
            }
            let Spread { median, low, high } = found.gain;
            return Err(match found.sign {
                Direction::None => format!("{output} is declared to answer {input}, which the model ignores"),
                _ => format!(
                    "the response of {output} to {input} is declared {word}; the model's gain is {median:.3} ({low:.3} to \
                     {high:.3}) over {} probes",
                    found.probes
                ),
            });
        }
        Ok(())
    }

    /// Inputs that are ignored, each with the outputs that ignore it.
    #[must_use]
    pub fn ignored(&self) -> Vec<(String, Vec<String>)> {
        let mut found: Vec<(String, Vec<String>)> = Vec::new();
        for pair in self.responses.iter().filter(|pair| pair.sign == Direction::None && pair.probes > 0) {
            match found.iter_mut().find(|(input, _)| *input == pair.input) {
                Some((_, outputs)) => outputs.push(pair.output.clone()),
                None => found.push((pair.input.clone(), vec![pair.output.clone()])),
            }
        }
        found
    }
}

impl Response {
    /// `unit` is a deviation of the input over one of the output.
    fn of(input: String, output: String, traces: &[Trace], unit: f64, step_s: f64) -> Self {
        let spread = |values: Vec<f64>| {
            let mut values = values;
            values.sort_by(f64::total_cmp);
            let at = |share: f64| {
                let place = share * (values.len().max(1) - 1) as f64;
                let (below, above) = (place.floor() as usize, place.ceil() as usize);
                let value = |at: usize| values.get(at).copied().unwrap_or_default();
                value(below) + place.fract() * (value(above) - value(below))
            };
            Spread { median: at(0.5), low: at(0.1), high: at(0.9) }
        };
        let of = |figure: &dyn Fn(&Trace) -> f64| spread(traces.iter().map(figure).collect());
        let (gain, effect) = (of(&|trace| trace.last), of(&|trace| trace.peak).median * unit);
        let up = traces.iter().filter(|trace| trace.last > 0.0).count() as f64 / traces.len().max(1) as f64;
        let sign = if traces.is_empty() || effect < IGNORED {
            Direction::None
        } else if up >= CLEAR {
            Direction::Positive
        } else if 1.0 - up >= CLEAR {
            Direction::Negative
        } else {
            Direction::Changing
        };
        let answered = sign != Direction::None;
        let settled: Vec<f64> =
            traces.iter().filter_map(|trace| trace.settled).map(|steps| steps as f64 * step_s).collect();
        Self {
            input,
            output,
            sign,
            gain,
            effect,
            delay_s: answered.then(|| of(&|trace| trace.delay as f64 * step_s)),
            settling_s: (answered && 2 * settled.len() > traces.len()).then(|| spread(settled)),
            probes: traces.len(),
        }
    }
}

/// The figures of one step response, for each unit of the input.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Trace {
    /// Mean over the last quarter.
    last: f64,
    /// Greatest size.
    peak: f64,
    /// Steps until it has begun.
    delay: usize,
    /// Steps until it stays where it ends; `None` where it is still on its way.
    settled: Option<usize>,
}

impl Trace {
    fn of(row: &[f64]) -> Self {
        let quarter = &row[row.len() - row.len().div_ceil(4)..];
        let last = quarter.iter().sum::<f64>() / quarter.len() as f64;
        let peak = row.iter().fold(0.0_f64, |peak, value| peak.max(value.abs()));
        let delay = row.iter().position(|value| value.abs() >= BEGUN * peak).unwrap_or_default();
        let near = SETTLED * last.abs().max(BEGUN * peak);
        let settled = row.iter().rposition(|value| (value - last).abs() > near).map_or(0, |at| at + 1);
        Self { last, peak, delay, settled: (settled + row.len().div_ceil(8) <= row.len()).then_some(settled) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// First order with a dead time.
    fn step(gain: f64, dead: usize, lag: f64) -> Vec<f64> {
        (0..PROBED)
            .map(|at| if at < dead { 0.0 } else { gain * (1.0 - (-((at - dead + 1) as f64) / lag).exp()) })
            .collect()
    }

    fn response(traces: &[Vec<f64>]) -> Response {
        let traces: Vec<Trace> = traces.iter().map(|row| Trace::of(row)).collect();
        Response::of("u".into(), "y".into(), &traces, 1.0, 2.0)
    }

    #[test]
    fn a_step_response_has_the_figures_of_its_equation() {
        let found = response(&[step(-3.0, 5, 6.0), step(-3.0, 5, 6.0), step(-3.2, 5, 6.0)]);
        assert_eq!(found.sign, Direction::Negative);
        assert!((found.gain.median + 3.0).abs() < 0.01, "{found:?}");
        assert_eq!(found.delay_s.unwrap().median, 10.0, "five steps of two seconds");
        // 5 % of the end is left after three time constants.
        let settled = found.settling_s.unwrap().median / 2.0;
        assert!((settled - 5.0 - 18.0).abs() <= 1.5, "{settled}");
    }

    #[test]
    fn what_is_still_on_its_way_has_not_settled_and_what_does_nothing_is_ignored() {
        let drifting: Vec<f64> = (0..PROBED).map(|at| at as f64).collect();
        assert_eq!(response(&[drifting]).settling_s, None);
        let found = response(&[step(0.01, 0, 5.0), step(-0.01, 0, 5.0)]);
        assert_eq!((found.sign, found.delay_s, found.settling_s), (Direction::None, None, None));
        assert_eq!(response(&[step(1.0, 0, 5.0), step(-1.0, 0, 5.0)]).sign, Direction::Changing);
        assert_eq!(response(&[]).sign, Direction::None);
    }

    #[test]
    fn the_gate_holds_a_model_to_what_is_declared() {
        let of = |traces: &[Vec<f64>]| Responses {
            steps: PROBED,
            step_s: 1.0,
            states: Vec::new(),
            responses: vec![response(traces)],
        };
        let declared = |sign: Sign| [Declared { input: "u".into(), output: "y".into(), sign }];
        let rising = of(&[step(2.0, 0, 5.0), step(2.1, 0, 5.0)]);
        assert_eq!(rising.gate(&declared(Sign::Positive)), Ok(()));
        assert!(rising.gate(&declared(Sign::Negative)).unwrap_err().contains("declared negative"));
        let idle = of(&[step(0.0, 0, 5.0)]);
        assert!(idle.gate(&declared(Sign::Positive)).unwrap_err().contains("ignores"));
        assert_eq!(idle.ignored(), [("u".to_owned(), vec!["y".to_owned()])]);
        let other = [Declared { input: "v".into(), output: "y".into(), sign: Sign::Positive }];
        assert_eq!(rising.gate(&other), Ok(()), "an input that was never measured cannot be judged");
    }
}
