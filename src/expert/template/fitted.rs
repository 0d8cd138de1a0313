//! A template that has been fitted to an asset: what it found, where the asset stands, what comes next.

use serde::{Deserialize, Serialize};

use super::evidence::{Evidence, held, known};
use super::law::{Arrivals, Hidden, Law};
use super::observer::{Observer, Reading, Sensor};
use super::search::search;
use super::{Record, Template};

/// Samples that a state is estimated from, the newest ones.
const RECENT: usize = 600;
/// How far beyond the record, in its spans, an input is believed.
const REACH: f64 = 10.0;
/// Horizons outside this many steps do not decide how far the readings are trusted.
const HORIZONS: (usize, usize) = (8, 96);

/// A template with the parameters of one asset.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Fitted {
    template: Template,
    values: Vec<f64>,
    /// Per input, the lowest and the highest value that is believed.
    reach: Vec<(f64, f64)>,
    sensor: Sensor,
    observer: Observer,
}

/// Where an asset stands: its hidden state, a reading error that fades, what the inputs were.
#[derive(Clone, Debug, PartialEq)]
pub struct State {
    hidden: Hidden,
    bias: f64,
    past: Vec<Vec<f64>>,
}

impl Fitted {
    /// Fits the template to the newest 3,000 samples of a record by output error; `horizon` (steps) is
    /// what the state estimate is tuned for. `None` where there is no input, the target was hardly
    /// measured or never moved, or no parameters come anywhere near it. Takes about a second at most.
    #[must_use]
    pub fn fit(template: Template, record: &Record<'_>, horizon: usize) -> Option<Self> {
        let evidence = Evidence::of(record)?;
        if evidence.inputs.is_empty() {
            return None;
        }
        let (low, high) = evidence.limits();
        let range = record.range.filter(|(low, high)| low < high && known(*low) && known(*high));
        let statistics = evidence.target_statistics();
        let sensor = Sensor {
            low: low.or(range.map(|(low, _)| low.min(statistics.low))),
            high: high.or(range.map(|(_, high)| high.max(statistics.high))),
        };
        let found = search(template, &evidence, sensor)?;
        let law = template.law(&found.values, evidence.inputs.len());
        let horizon = horizon.clamp(HORIZONS.0, HORIZONS.1);
        let observer = Observer::tuned(law.as_ref(), sensor, &found, &evidence, horizon);
        let reach = evidence.input_statistics().iter().map(|input| {
            let far = REACH * (input.high - input.low).max(input.deviation);
            (input.low - far, input.high + far)
        });
        Some(Self { template, reach: reach.collect(), sensor, observer, values: found.values })
    }

    /// Which template was fitted.
    #[must_use]
    pub fn template(&self) -> Template {
        self.template
    }

    /// The parameters by name, in raw units with time counted in samples; see the module for their
    /// meaning. `gain` comes once for every input that has one, in the order of the inputs.
    #[must_use]
    pub fn parameters(&self) -> Vec<(&'static str, f64)> {
        self.template.names(self.reach.len()).into_iter().zip(self.values.iter().copied()).collect()
    }

    /// Root mean squared error of the simulation of the record it was fitted to, in raw units.
    #[must_use]
    pub fn error(&self) -> f64 {
        self.observer.error
    }

    /// Where the asset stands at the end of `recent` (the same inputs as fitted). From no readings at
    /// all it stands at rest at the mean of the record.
    #[must_use]
    pub fn stand(&self, recent: &Record<'_>) -> State {
        let end = recent.target.len();
        let segment = recent.starts.iter().copied().filter(|&start| start < end).max().unwrap_or(0);
        let from = segment.max(end.saturating_sub(RECENT));
        let target: Vec<f64> = recent.target[from..].iter().map(|&v| if known(v) { v } else { f64::NAN }).collect();
        let past: Vec<Vec<f64>> = (0..self.reach.len())
            .map(|j| self.believed(j, recent.inputs.get(j).map_or(&[], |row| &row[from..end]), None))
            .collect();
        let law = self.law();
        let reading = Reading { target: &target, inputs: &past };
        let belief = self.observer.follow(law.as_ref(), self.sensor, &reading, (0, target.len()), |_, _| {});
        let kept = law.delay().ceil() as usize + 1;
        let newest = |row: Vec<f64>| row[row.len().saturating_sub(kept)..].to_vec();
        State { hidden: belief.hidden, bias: belief.bias, past: past.into_iter().map(newest).collect() }
    }

    /// The readings expected at the `steps` samples after `state`, raw units. `future` has one row per
    /// input, beginning with the first of these samples; where a row ends or misses a value, the one
    /// before holds.
    #[must_use]
    pub fn answer(&self, state: &State, future: &[Vec<f64>], steps: usize) -> Vec<f64> {
        let before = state.past.first().map_or(0, Vec::len);
        let lines: Vec<Vec<f64>> = (0..self.reach.len())
            .map(|j| {
                let row = future.get(j).map_or(&[][..], Vec::as_slice);
                let mut ahead = row[..row.len().min(steps)].to_vec();
                ahead.resize(steps, f64::NAN);
                let mut line = state.past[j].clone();
                let last = line.last().copied();
                line.extend(self.believed(j, &ahead, last));
                line
            })
            .collect();
        let law = self.law();
        let arrivals = Arrivals::new(&lines, 0, law.delay());
        self.observer.answer(law.as_ref(), self.sensor, state.hidden, state.bias, &arrivals, before..before + steps)
    }

    fn law(&self) -> Box<dyn Law> {
        self.template.law(&self.values, self.reach.len())
    }

    fn believed(&self, input: usize, row: &[f64], before: Option<f64>) -> Vec<f64> {
        let (low, high) = self.reach[input];
        held(row, before).into_iter().map(|v| v.clamp(low, high)).collect()
    }
}
