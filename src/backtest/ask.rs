//! What is asked for, and how much of it there may be.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::forecast::MAX_HORIZON;
use crate::reading::instant;

/// Windows at most.
pub const MAX_WINDOWS: usize = 500;
/// Windows times horizon at most: steps that are predicted of each output.
pub const MAX_PREDICTED: usize = 50_000;
/// Steps at most from the start of the first window to the end of the last one.
pub const MAX_SPAN: usize = 50_000;
/// Windows when a request does not say.
const WINDOWS: usize = 20;

/// What is assumed of the inputs within a window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, sqlx::Type, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
#[sqlx(type_name = "text", rename_all = "snake_case")]
#[schema(as = BacktestInputs)]
pub enum Inputs {
    /// That they keep the value that they had at its start: nothing is known of what came later. A prediction
    /// assumes the same where nobody says what will be done.
    #[default]
    Held,
    /// That they did what they were then measured to do: how well the answer to them is known. The holdout of
    /// fine-tuning is judged so.
    Measured,
}

/// A backtest to be made. What is left out has its default.
#[derive(Clone, Debug, Default, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub struct NewBacktest {
    /// Number of the model version to be examined, 0 for the base model; the one that serves when left out.
    #[serde(default)]
    pub version: Option<i32>,
    /// Windows, the last ones of the history, 1 to 500; 20 when left out. Windows times horizon are at most
    /// 50,000.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 500)]
    pub windows: Option<usize>,
    /// Steps between the starts of two windows; the horizon when left out. From the start of the first window
    /// to the end of the last one there are at most 50,000.
    #[serde(default)]
    #[schema(minimum = 1)]
    pub step_size: Option<usize>,
    /// Steps of a window, 1 to 512; that of the twins' own forecasts when left out.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 512)]
    pub horizon: Option<usize>,
    /// The last window ends with the newest frame at or before this instant (RFC 3339), now when left out.
    #[serde(default)]
    #[schema(format = DateTime)]
    pub cutoff: Option<String>,
    /// What is assumed of the inputs within a window.
    #[serde(default)]
    pub inputs: Inputs,
}

/// A value that cannot be had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wrong {
    /// JSON pointer to it.
    pub pointer: &'static str,
    /// What is wrong.
    pub detail: String,
    /// What it can be at most.
    pub max: Option<usize>,
}

/// How windows lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// How many.
    pub windows: usize,
    /// Steps between the starts of two.
    pub step_size: usize,
    /// Steps of each.
    pub horizon: usize,
    /// What is assumed of the inputs.
    pub inputs: Inputs,
}

impl Plan {
    /// Steps from the start of the first window to the end of the last one, where none is left out.
    #[must_use]
    pub fn span(&self) -> usize {
        (self.windows - 1) * self.step_size + self.horizon
    }

    /// Of the neighbours on one side of a window, those that share some of its future, itself included.
    #[must_use]
    pub fn overlap(&self) -> usize {
        self.horizon.div_ceil(self.step_size)
    }
}

impl NewBacktest {
    /// The plan and the instant that it ends at, where one is given. `usual` is the horizon when none is.
    pub fn checked(&self, usual: usize) -> Result<(Plan, Option<DateTime<Utc>>), Vec<Wrong>> {
        let horizon = self.horizon.unwrap_or(usual);
        let (windows, step_size) = (self.windows.unwrap_or(WINDOWS), self.step_size.unwrap_or(horizon));
        let mut wrong = Vec::new();
        let mut add = |pointer, detail: String, max| wrong.push(Wrong { pointer, detail, max });
        if !(1..=MAX_HORIZON).contains(&horizon) {
            let max = (horizon > 0).then_some(MAX_HORIZON);
            add("/horizon", format!("a horizon has 1 to {MAX_HORIZON} steps"), max);
        }
        if !(1..=MAX_WINDOWS).contains(&windows) {
            add("/windows", format!("there are 1 to {MAX_WINDOWS} windows"), (windows > 0).then_some(MAX_WINDOWS));
        }
        if self.step_size == Some(0) {
            add("/step_size", "windows are at least one step apart".to_owned(), None);
        }
        let cutoff = self.cutoff.as_deref().map(instant::from_text).transpose().unwrap_or_else(|error| {
            add("/cutoff", error.to_string(), None);
            None
        });
        if !wrong.is_empty() {
            return Err(wrong);
        }
        if windows * horizon > MAX_PREDICTED {
            let max = MAX_PREDICTED / horizon;
            let detail = format!("with a horizon of {horizon} steps there are at most {max} windows");
            return Err(vec![Wrong { pointer: "/windows", detail, max: Some(max) }]);
        }
        let farthest = (MAX_SPAN - horizon) / (windows - 1).max(1);
        if step_size > farthest {
            let detail = format!("{windows} windows of {horizon} steps lie at most {farthest} steps apart");
            return Err(vec![Wrong { pointer: "/step_size", detail, max: Some(farthest) }]);
        }
        Ok((Plan { windows, step_size, horizon, inputs: self.inputs }, cutoff))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_out_has_its_default() {
        let (plan, cutoff) = NewBacktest::default().checked(60).unwrap();
        assert_eq!(plan, Plan { windows: 20, step_size: 60, horizon: 60, inputs: Inputs::Held });
        assert_eq!((plan.span(), plan.overlap(), cutoff), (1_200, 1, None));
        let dense = NewBacktest { step_size: Some(16), ..NewBacktest::default() };
        assert_eq!(dense.checked(60).unwrap().0.overlap(), 4);
    }

    #[test]
    fn the_budgets_end_where_they_say() {
        let ask = |windows: usize, step_size: usize, horizon: usize| {
            let ask = NewBacktest {
                windows: Some(windows),
                step_size: Some(step_size),
                horizon: Some(horizon),
                ..NewBacktest::default()
            };
            ask.checked(60)
                .map_err(|wrong| wrong.into_iter().map(|wrong| (wrong.pointer, wrong.max)).collect::<Vec<_>>())
        };
        assert_eq!(ask(98, 1, 512), Err(vec![("/windows", Some(97))]));
        assert!(ask(97, 1, 512).is_ok());
        assert_eq!(ask(11, 5_000, 100), Err(vec![("/step_size", Some(4_990))]));
        assert_eq!(ask(11, 4_990, 100).unwrap().0.span(), MAX_SPAN);
        assert_eq!(ask(1, usize::MAX, 100), Err(vec![("/step_size", Some(49_900))]));
        assert_eq!(ask(0, 0, 0), Err(vec![("/horizon", None), ("/windows", None), ("/step_size", None)]));
        assert_eq!(ask(501, 1, 513), Err(vec![("/horizon", Some(512)), ("/windows", Some(500))]));
    }
}
