//! What happened after a past instant, on the steps of a situation: what a retro what-if starts from.
//!
//! Nothing is invented: an output that was not measured at a step is NaN there. An input that was not
//! keeps its last value, as it does in the grid of the past.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};

use super::truth::truths;
use super::{ForecastError, Forecasts, Future, InputSource, MAX_HORIZON, Situation};
use crate::asset::Asset;
use crate::features::Grid;
use crate::model::window::future_steps;
use crate::reading::Frame;

/// Newest frames that tell the step of an asset: as many as its grid looks at.
const FRAMES: usize = 257;
/// Steps that the state may be older than the instant asked for: a grid carries values no further.
const STALE: f64 = 10.0;

/// A past instant of an asset.
#[derive(Debug)]
pub struct Past {
    /// Instant of the newest frame by then: the state that steps are counted from.
    pub state_at: DateTime<Utc>,
    /// Seconds between two steps.
    pub step_s: f64,
    /// Instant of the newest frame of all.
    pub newest_at: DateTime<Utc>,
    /// Steps after the state that have come to pass: those within half a step of a frame, or before.
    pub passed: usize,
}

/// Frames after a situation's state.
#[derive(Debug)]
pub struct Aftermath {
    frames: Vec<Frame>,
    instants: Vec<DateTime<Utc>>,
    step: TimeDelta,
}

impl Forecasts {
    /// Looks at a past instant of an asset, without computing anything.
    pub async fn past(&self, key: &str, as_of: DateTime<Utc>) -> Result<Past, ForecastError> {
        let refuse = |detail: String| Err(ForecastError::Invalid(vec![("/as_of".into(), detail)]));
        let asset: Arc<Asset> = self.assets.find(key).await?;
        let now = self.clock.now();
        if as_of >= now {
            return refuse(format!("{as_of} is not past: it is {now}; POST .../what-if asks about the future"));
        }
        let Some(newest) = self.readings.newest(asset.id, 1).await?.pop() else {
            return Err(ForecastError::NoReadings);
        };
        let frames = self.readings.until(asset.id, as_of, FRAMES).await?;
        let Some(grid) = Grid::new(&asset.asset_type, &frames) else {
            return refuse("nothing was measured at or before this instant".into());
        };
        let steps = |from: DateTime<Utc>, to: DateTime<Utc>| {
            (to - from).num_microseconds().unwrap_or(i64::MAX) as f64 / 1e6 / grid.step_s
        };
        let age = steps(grid.end, as_of);
        if age > STALE {
            let end = grid.end;
            return refuse(format!(
                "the newest reading by then is of {end}, {age:.0} steps before; begin within {STALE} steps of a reading"
            ));
        }
        let passed = (steps(grid.end, newest.observed_at) + 0.5).ceil() as usize;
        Ok(Past {
            state_at: grid.end,
            step_s: grid.step_s,
            newest_at: newest.observed_at,
            passed: passed.saturating_sub(1),
        })
    }

    /// What happened in the steps that a situation looks ahead.
    pub async fn aftermath(&self, situation: &Situation) -> Result<Aftermath, ForecastError> {
        let instants = situation.timestamps();
        let step = TimeDelta::microseconds((situation.grid.step_s * 1e6).round() as i64);
        let end = instants.last().copied().unwrap_or(situation.grid.end) + step;
        let frames = self.readings.range(situation.asset.id, situation.grid.end, end).await?;
        // The state's own frame is the past; what follows it is not.
        let frames = frames.into_iter().filter(|frame| frame.observed_at > situation.grid.end).collect();
        Ok(Aftermath { frames, instants, step })
    }
}

impl Past {
    /// Checks how far a retro what-if looks: `horizon` steps, or up to an instant, else `usual` steps or
    /// as many as have passed.
    pub fn horizon(
        &self,
        horizon: Option<usize>,
        to: Option<DateTime<Utc>>,
        usual: usize,
    ) -> Result<usize, ForecastError> {
        let refuse = |pointer: &str, detail: String| Err(ForecastError::Invalid(vec![(pointer.into(), detail)]));
        if self.passed == 0 {
            let at = self.state_at;
            return refuse("/as_of", format!("nothing was measured after {at}, so there is nothing to compare with"));
        }
        let (pointer, steps) = match (horizon, to) {
            (Some(_), Some(_)) => return refuse("/to", "give a horizon or an end, not both".into()),
            (Some(steps), None) => ("/horizon", steps),
            (None, Some(to)) => {
                let steps = (to - self.state_at).num_microseconds().unwrap_or(i64::MAX) as f64 / 1e6 / self.step_s;
                if steps < 1.0 - 1e-9 {
                    return refuse("/to", format!("the first step after the state of {} is later", self.state_at));
                }
                ("/to", (steps + 1e-9).floor() as usize)
            }
            (None, None) => ("/horizon", usual.min(self.passed)),
        };
        if !(1..=MAX_HORIZON).contains(&steps) {
            let detail = format!("{steps} steps after the state; a retro what-if has 1 to {MAX_HORIZON}");
            return refuse(pointer, detail);
        }
        if steps > self.passed {
            let Self { passed, newest_at, .. } = self;
            let detail = format!("{steps} steps, but only {passed} have been measured, until {newest_at}");
            return refuse(pointer, detail);
        }
        Ok(steps)
    }
}

impl Aftermath {
    /// What the inputs of the layout really did.
    #[must_use]
    pub fn inputs(&self, situation: &Situation) -> Future {
        let steps = future_steps(situation.horizon);
        let row = |input: &usize| {
            let mut last = situation.grid.values[*input].last().copied().unwrap_or(0.0);
            let mut values: Vec<f64> = truths(&self.instants, &self.frames, *input, self.step)
                .into_iter()
                .map(|value| {
                    last = if value.is_finite() { value } else { last };
                    last
                })
                .collect();
            values.resize(steps, last);
            values
        };
        Future {
            rows: situation.layout.inputs.iter().map(row).collect(),
            sources: vec![InputSource::Measured; situation.layout.inputs.len()],
        }
    }

    /// What was measured of a signal, bit for bit; NaN where nothing was.
    #[must_use]
    pub fn measured(&self, signal: usize) -> Vec<f64> {
        truths(&self.instants, &self.frames, signal, self.step)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn past(passed: usize) -> Past {
        let state_at = DateTime::from_timestamp(1_790_000_000, 0).unwrap();
        Past { state_at, step_s: 2.0, newest_at: state_at + TimeDelta::seconds(2 * passed as i64), passed }
    }

    fn pointer(refused: Result<usize, ForecastError>) -> String {
        let Err(ForecastError::Invalid(wrong)) = refused else { panic!("{refused:?}") };
        wrong[0].0.clone()
    }

    #[test]
    fn an_end_is_counted_in_steps_after_the_state() {
        let past = past(100);
        let after = |seconds: i64| Some(past.state_at + TimeDelta::seconds(seconds));
        assert_eq!(past.horizon(None, after(2), 60).unwrap(), 1);
        assert_eq!(past.horizon(None, after(41), 60).unwrap(), 20, "the last step is not later than the end");
        assert_eq!(past.horizon(None, None, 60).unwrap(), 60);
        assert_eq!(pointer(past.horizon(None, after(1), 60)), "/to");
        assert_eq!(pointer(past.horizon(None, after(-10), 60)), "/to");
    }

    #[test]
    fn no_more_steps_than_have_passed_or_than_can_be_answered() {
        assert_eq!(past(20).horizon(None, None, 60).unwrap(), 20);
        assert_eq!(past(20).horizon(Some(20), None, 60).unwrap(), 20);
        assert_eq!(pointer(past(20).horizon(Some(21), None, 60)), "/horizon");
        assert_eq!(pointer(past(1_000).horizon(Some(0), None, 60)), "/horizon");
        let long = past(1_000);
        let refused = long.horizon(None, Some(long.newest_at), 60).unwrap_err();
        let ForecastError::Invalid(wrong) = refused else { panic!("{refused:?}") };
        assert!(wrong[0].0 == "/to" && wrong[0].1.contains("1 to 512"), "{wrong:?}");
        assert_eq!(pointer(past(0).horizon(None, None, 60)), "/as_of");
    }
}
