//! What people want: a value or a schedule for control inputs.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::asset::{Kind, Role, Signal, TypeDocument};

/// Setpoints of one schedule.
const MAX_SETPOINTS: usize = 10_000;

/// What is wanted of one signal.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(untagged)]
pub enum Desired {
    /// One value, from now on.
    Value {
        /// In the signal's unit.
        value: f64,
    },
    /// Values from instants on.
    Schedule {
        /// In the order of time.
        schedule: Vec<Setpoint>,
    },
}

/// One step of a schedule.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Setpoint {
    /// From when on.
    #[schema(value_type = String, format = DateTime)]
    pub at: DateTime<Utc>,
    /// In the signal's unit.
    pub value: f64,
}

/// A desired value that cannot be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// JSON pointer into the body.
    pub pointer: String,
    /// Why.
    pub detail: String,
}

impl Desired {
    /// The value that is wanted at an instant; none before a schedule begins.
    #[must_use]
    pub fn at(&self, instant: DateTime<Utc>) -> Option<f64> {
        match self {
            Self::Value { value } => Some(*value),
            Self::Schedule { schedule } => {
                schedule.iter().take_while(|setpoint| setpoint.at <= instant).last().map(|setpoint| setpoint.value)
            }
        }
    }
}

/// What cannot be of a whole document.
#[must_use]
pub fn refusals(document: &TypeDocument, wanted: &BTreeMap<String, Desired>) -> Vec<Refusal> {
    let mut refusals = Vec::new();
    for (name, desired) in wanted {
        let mut refuse = |under: String, detail: String| {
            refusals
                .push(Refusal { pointer: format!("/{}{under}", name.replace('~', "~0").replace('/', "~1")), detail });
        };
        let Some(signal) = document.signals.iter().find(|signal| signal.name == *name) else {
            refuse(String::new(), "is no signal of the asset's type".to_owned());
            continue;
        };
        if signal.role != Role::ControlInput {
            refuse(String::new(), format!("has the role {}; only a control_input can be set", signal.role.name()));
            continue;
        }
        match desired {
            Desired::Value { value } => {
                if let Some(detail) = out_of_bounds(signal, *value) {
                    refuse(String::new(), detail);
                }
            }
            Desired::Schedule { schedule } => {
                if schedule.len() > MAX_SETPOINTS {
                    refuse("/schedule".to_owned(), format!("has more than {MAX_SETPOINTS} setpoints"));
                    continue;
                }
                for (place, setpoint) in schedule.iter().enumerate() {
                    if place > 0 && schedule[place - 1].at >= setpoint.at {
                        refuse(format!("/schedule/{place}/at"), "does not come after the setpoint before".to_owned());
                    }
                    if let Some(detail) = out_of_bounds(signal, setpoint.value) {
                        refuse(format!("/schedule/{place}/value"), detail);
                    }
                }
            }
        }
    }
    refusals
}

/// Why a value cannot be one of a signal.
#[must_use]
pub fn out_of_bounds(signal: &Signal, value: f64) -> Option<String> {
    let unit = &signal.unit;
    if let Some(min) = signal.min.filter(|min| value < *min) {
        return Some(format!("{value} is below the minimum {min} {unit}").trim_end().to_owned());
    }
    if let Some(max) = signal.max.filter(|max| value > *max) {
        return Some(format!("{value} is above the maximum {max} {unit}").trim_end().to_owned());
    }
    match &signal.kind {
        Kind::Boolean if value != 0.0 && value != 1.0 => Some("must be 0 or 1, or false or true".to_owned()),
        Kind::Enum { labels } if value.fract() != 0.0 || value < 0.0 || value >= labels.len() as f64 => {
            Some(format!("must be the position of a label, 0 to {}", labels.len().saturating_sub(1)))
        }
        _ if !value.is_finite() || value.abs() > crate::reading::LARGEST_VALUE => Some("is too large".to_owned()),
        _ => None,
    }
}
