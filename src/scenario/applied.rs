//! Whether a scenario that was run was really applied, and how well it was answered then.
//!
//! A run plans inputs; people (or their controllers) may set them, a sample early or late. As long as
//! what was reported follows the plan, the run's answer is a forecast like any other and is scored as
//! one; a run whose inputs were set otherwise is said to be not applied, and says nothing.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::Deserialize;

use super::Scenarios;
use crate::asset::Asset;
use crate::forecast::ledger::actual::{Kept, PlanAndActual};
use crate::forecast::{Bands, ForecastError, InputFuture, StateOf};

/// Steps that a plan may be followed early or late: a person's hand, or a sample's instant.
pub const SLACK: usize = 1;

/// What of a kept answer is compared.
#[derive(Debug, Deserialize)]
struct Answer {
    state: StateOf,
    timestamps: Vec<DateTime<Utc>>,
    scenarios: Vec<Planned>,
}

/// One scenario of it.
#[derive(Debug, Deserialize)]
struct Planned {
    inputs: BTreeMap<String, InputFuture>,
    signals: BTreeMap<String, Bands>,
}

/// What a kept answer, as JSON, says of each of its scenarios, in their order. `None` for a text that
/// is no such answer.
#[must_use]
pub fn plans(answer: &str) -> Option<Vec<Kept>> {
    let Answer { state, timestamps, scenarios } = serde_json::from_str(answer).ok()?;
    let kept = |Planned { inputs, signals }| Kept {
        state_at: state.observed_at,
        timestamps: timestamps.clone(),
        inputs,
        signals,
    };
    Some(scenarios.into_iter().map(kept).collect())
}

impl Scenarios {
    /// What became of each scenario of a kept answer: empty before its first step has come to pass.
    pub async fn applied(&self, asset: &Asset, answer: &str) -> Result<Vec<PlanAndActual>, ForecastError> {
        let mut found = Vec::new();
        for kept in plans(answer).unwrap_or_default() {
            found.extend(self.forecasts.actual_of(asset, kept, SLACK).await?);
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::asset::testing::asset_type;
    use crate::forecast::ledger::applied::Application;
    use crate::reading::Frame;

    /// An answer of 6 steps to a pump at 5 that is raised to 8 from the third on.
    fn answer() -> String {
        let at = |second: i64| DateTime::from_timestamp(1_790_000_000 + second, 0).unwrap();
        json!({
            "asset": "pump", "state": {"observed_at": at(0), "age_s": 0.0},
            "timestamps": (1..=6).map(at).collect::<Vec<_>>(),
            "baseline": {"inputs": {}, "signals": {}},
            "scenarios": [{
                "name": "more", "inputs": {"pump": {"source": "given", "values": [5.0, 5.0, 8.0, 8.0, 8.0, 8.0]}},
                "signals": {"level": {"0.1": vec![1.0; 6], "0.5": vec![2.0; 6], "0.9": vec![3.0; 6]}}, "delta": {}
            }]
        })
        .to_string()
    }

    /// What came of it when the pump was set like this.
    fn came(pump: [f64; 6]) -> PlanAndActual {
        let kept = plans(&answer()).unwrap().remove(0);
        let frames: Vec<Frame> = (-70..=6)
            .map(|second| Frame {
                observed_at: DateTime::from_timestamp(1_790_000_000 + second, 0).unwrap(),
                values: vec![if second < 1 { 5.0 } else { pump[second as usize - 1] }, 2.5],
                quality: None,
            })
            .collect();
        kept.said().compare(&asset_type(1.0, &["pump", "level"]), &frames, SLACK).shown(6, None)
    }

    #[test]
    fn a_plan_that_was_followed_is_found_and_scored() {
        for pump in [[5.0, 5.0, 8.0, 8.0, 8.0, 8.0], [5.0, 5.0, 5.0, 8.02, 8.0, 7.98], [5.0, 8.0, 8.0, 8.0, 8.0, 8.0]] {
            let found = came(pump);
            assert_eq!((found.inputs.applied, found.inputs.steps), (Application::Applied, 6), "{pump:?}");
            let scores = found.signals["level"].scores;
            assert_eq!((scores.truths, scores.mae, scores.coverage_80), (6, Some(0.5), Some(1.0)));
        }
    }

    #[test]
    fn a_plan_that_was_not_followed_is_not_scored_beyond_where_it_was_left() {
        let never = came([5.0; 6]);
        assert_eq!((never.inputs.applied, never.inputs.steps), (Application::Partly, 3));
        assert_eq!(never.inputs.departures[0].planned, 8.0);
        assert_eq!(never.signals["level"].scores.truths, 3);
        assert_eq!(came([7.0; 6]).inputs.applied, Application::NotApplied);
    }

    #[test]
    fn another_text_is_no_plan() {
        assert!(plans("{}").is_none() && plans("nothing").is_none());
    }
}
