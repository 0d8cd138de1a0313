//! What is asked: the shapes of a what-if, and how much one may ask.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::plan::{Limits, Override};
use super::support::policy::OutOfSupport;
use crate::forecast::ForecastError;

/// Scenarios in one request at most.
pub const MAX_SCENARIOS: usize = 64;
/// Overrides in one scenario at most.
pub const MAX_OVERRIDES: usize = 256;

/// A what-if.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct WhatIf {
    /// Steps ahead.
    #[serde(default)]
    pub horizon: Option<usize>,
    /// From a past instant instead of now.
    #[serde(default)]
    pub as_of: Option<DateTime<Utc>>,
    /// Quantile levels.
    #[serde(default)]
    pub quantiles: Option<Vec<f64>>,
    /// Known futures of inputs, for the baseline and all scenarios.
    #[serde(default)]
    pub inputs: BTreeMap<String, Vec<f64>>,
    /// Joint sample paths of each output in the baseline and in each scenario, 1 to 1,000; none when
    /// left out. At most 1,000,000 values in all.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 1000)]
    pub samples: Option<usize>,
    /// Decides the samples: the same seed gives the same paths. 0 when left out.
    #[serde(default)]
    pub seed: Option<u64>,
    /// The hypotheses.
    pub scenarios: Vec<Scenario>,
    /// What to do with values that the asset cannot take.
    #[serde(default)]
    pub limits: Limits,
    /// What to do with scenarios outside the data that the serving model was trained on.
    #[serde(default)]
    pub out_of_support: OutOfSupport,
}

/// A hypothesis.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// Its name in the answer.
    #[serde(default)]
    pub name: Option<String>,
    /// What it changes; nothing gives the baseline again.
    #[serde(default)]
    pub overrides: Vec<Override>,
}

impl WhatIf {
    /// Refuses what is too much, before anything is looked up or computed.
    pub(super) fn check_size(&self) -> Result<(), ForecastError> {
        let refuse = |pointer: String, detail: String| Err(ForecastError::Invalid(vec![(pointer, detail)]));
        if self.scenarios.is_empty() || self.scenarios.len() > MAX_SCENARIOS {
            return refuse("/scenarios".into(), format!("give 1 to {MAX_SCENARIOS} scenarios"));
        }
        for (index, scenario) in self.scenarios.iter().enumerate() {
            if scenario.overrides.len() > MAX_OVERRIDES {
                let detail = format!("a scenario has at most {MAX_OVERRIDES} overrides");
                return refuse(format!("/scenarios/{index}/overrides"), detail);
            }
            if scenario.name.as_ref().is_some_and(|name| name.is_empty() || name.chars().count() > 200) {
                return refuse(format!("/scenarios/{index}/name"), "a name has 1 to 200 characters".into());
            }
        }
        Ok(())
    }
}
