//! A rule as people write it, and whether it could ever be evaluated.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Condition, Severity, Source};
use crate::alarm::AlarmError;
use crate::asset::{AssetType, Interval, Kind, Role, Signal};
use crate::reading::LARGEST_VALUE;
use crate::web::json;
use crate::web::problem::FieldError;

/// Characters of a name at most.
const MAX_NAME: usize = 200;
/// Characters of a description at most.
const MAX_DESCRIPTION: usize = 2_000;
/// Longest duration that a condition may have to hold, in days.
const MAX_HOLD_DAYS: i64 = 366;
/// Probabilities that the served quantiles, 0.025 to 0.975, can tell apart.
const PROBABILITIES: std::ops::RangeInclusive<f64> = 0.05..=0.95;
/// Probability from which on a breach counts unless the rule says otherwise.
const PROBABILITY: f64 = 0.8;

/// A rule to be.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, expecting = "an object")]
#[schema(as = NewAlarmRule)]
pub struct RuleForm {
    /// For people; the title of its alarms.
    #[schema(min_length = 1, max_length = 200)]
    pub name: String,
    /// For people: what to do.
    #[serde(default)]
    #[schema(max_length = 2000)]
    pub description: Option<String>,
    /// What is watched. By default what is measured.
    #[serde(default)]
    pub source: Source,
    /// What is watched for.
    pub condition: Condition,
    /// The signal that is watched: an output where it is predicted. Missing readings can be those of any
    /// signal: then it is left out. Anomaly score and health are of the whole asset and have none.
    #[serde(default)]
    pub signal: Option<String>,
    /// Of health: the class of the asset's type whose probability is watched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class: Option<String>,
    /// In the unit of the signal, for rates per second; of an anomaly score in units of the threshold, of health
    /// a probability. Not for missing readings.
    #[serde(default)]
    pub limit: Option<f64>,
    /// How far inside the limit the value must be before the alarm clears; 0 by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadband: Option<f64>,
    /// ISO 8601 duration that the condition must hold before the alarm is raised; at once if left out.
    /// Of missing readings: how long nothing may arrive.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub r#for: Option<Interval>,
    /// Of predicted: ISO 8601 duration ahead that is looked at.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub within: Option<Interval>,
    /// Of predicted: from which probability on a breach counts, 0.05 to 0.95; 0.8 by default.
    #[serde(default)]
    pub probability: Option<f64>,
    /// How bad it is.
    pub severity: Severity,
    /// Whether it is watched. By default it is.
    #[serde(default = "yes")]
    pub enabled: bool,
}

/// Where a rule's signal is found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Place {
    /// In `frame.values`, counted from 1.
    pub(super) position: Option<i32>,
    pub(super) unit: Option<String>,
}

fn yes() -> bool {
    true
}

impl RuleForm {
    /// What the alarm's text and memory go by where nothing is said.
    #[must_use]
    pub fn least_probability(&self) -> f64 {
        self.probability.unwrap_or(PROBABILITY)
    }

    /// The form after a JSON merge patch (RFC 7396).
    pub(super) fn patched(&self, patch: &Value) -> Result<Self, AlarmError> {
        let Value::Object(members) = patch else { return Err(invalid(vec![wrong("", "must be an object")])) };
        let Ok(Value::Object(mut target)) = serde_json::to_value(self) else {
            return Err(invalid(vec![wrong("", "cannot be changed")]));
        };
        // No member of a rule is an object, so that merging is setting and removing.
        for (name, value) in members {
            if value.is_null() {
                target.remove(name);
            } else {
                target.insert(name.clone(), value.clone());
            }
        }
        let form: Self = json::shape(&Value::Object(target))
            .map_err(|fault| invalid(vec![FieldError { pointer: fault.pointer(), detail: fault.detail }]))?;
        let fixed = [
            ("/source", form.source == self.source),
            ("/condition", form.condition == self.condition),
            ("/signal", form.signal == self.signal),
            ("/class", form.class == self.class),
        ];
        match fixed.into_iter().find(|(_, same)| !same) {
            Some((pointer, _)) => Err(invalid(vec![wrong(pointer, "cannot be changed: make another rule")])),
            None => Ok(form),
        }
    }

    /// Refuses what could never be evaluated. `horizon` is how many steps the twins' own forecasts have.
    pub(super) fn check(&self, asset_type: &AssetType, horizon: usize) -> Result<Place, AlarmError> {
        let mut errors = Vec::new();
        let mut refuse = |pointer: &str, detail: &str| errors.push(wrong(pointer, detail));
        if self.name.trim().is_empty() || self.name.chars().count() > MAX_NAME {
            refuse("/name", "must have 1 to 200 characters, not all of them blank");
        }
        if self.description.as_ref().is_some_and(|text| text.chars().count() > MAX_DESCRIPTION) {
            refuse("/description", "must have at most 2000 characters");
        }
        let found = self.signal.as_ref().map(|name| asset_type.signal(name));
        match found {
            Some(_) if self.is_of_the_whole() => refuse("/signal", "what is watched is of the whole asset"),
            None if !self.is_of_the_whole() && self.condition != Condition::Missing => refuse("/signal", "is missing"),
            Some(None) => refuse("/signal", "is no signal of the asset's type"),
            _ => {}
        }
        let signal = found.flatten();
        self.check_class(asset_type, &mut refuse);
        self.check_limit(signal.map(|(_, signal)| signal), &mut refuse);
        self.check_times(asset_type, horizon, &mut refuse);
        if self.source == Source::Predicted {
            if signal.is_some_and(|(_, signal)| signal.role != Role::Output) {
                refuse("/signal", "is no output: only outputs are predicted");
            }
            if !matches!(self.condition, Condition::Above | Condition::Below) {
                refuse("/condition", "must be above or below where the source is predicted");
            }
        }
        if errors.is_empty() {
            let place = signal.map(|(index, signal)| Place {
                position: i32::try_from(index + 1).ok(),
                unit: Some(signal.unit.clone()),
            });
            Ok(place.unwrap_or_default())
        } else {
            Err(invalid(errors))
        }
    }

    /// Whether a judgement about the asset is watched, and no signal of it.
    fn is_of_the_whole(&self) -> bool {
        matches!(self.source, Source::Anomaly | Source::Health)
    }

    fn check_class(&self, asset_type: &AssetType, refuse: &mut impl FnMut(&str, &str)) {
        match (&self.class, self.source) {
            (None, Source::Health) => refuse("/class", "is missing"),
            (Some(class), Source::Health) if !asset_type.document.health_classes.contains(class) => {
                refuse("/class", "is no health class of the asset's type");
            }
            (Some(_), source) if source != Source::Health => refuse("/class", "only health has classes"),
            _ => {}
        }
        let fits = match self.source {
            Source::Measured | Source::Predicted => true,
            Source::Anomaly => self.condition == Condition::Above,
            Source::Health => matches!(self.condition, Condition::Above | Condition::Below),
        };
        if !fits {
            let must = if self.source == Source::Health { "above or below" } else { "above" };
            refuse("/condition", &format!("must be {must} where the source is {}", self.source.name()));
        }
        match (self.source, self.limit) {
            (Source::Anomaly, Some(limit)) if limit <= 0.0 => refuse("/limit", "must be above 0: 1 is the threshold"),
            (Source::Health, Some(limit)) if !(0.0..=1.0).contains(&limit) => {
                refuse("/limit", "must lie between 0 and 1: it is a probability");
            }
            _ => {}
        }
    }

    fn check_limit(&self, signal: Option<&Signal>, refuse: &mut impl FnMut(&str, &str)) {
        let fits = |value: f64| value.is_finite() && value.abs() <= LARGEST_VALUE;
        if self.condition == Condition::Missing {
            for (pointer, given) in [("/limit", self.limit), ("/deadband", self.deadband)] {
                if given.is_some() {
                    refuse(pointer, "missing readings have none");
                }
            }
            return;
        }
        match self.limit {
            None => refuse("/limit", "is missing"),
            Some(limit) if !fits(limit) => refuse("/limit", "is too large"),
            Some(_) => {}
        }
        if self.deadband.is_some_and(|deadband| deadband < 0.0 || !fits(deadband)) {
            refuse("/deadband", "must be 0 or more, in the unit of the limit");
        }
        let rate = matches!(self.condition, Condition::RateAbove | Condition::RateBelow);
        if rate && signal.is_some_and(|signal| signal.kind != Kind::Number) {
            refuse("/signal", "is no number: it has no rate");
        }
    }

    fn check_times(&self, asset_type: &AssetType, horizon: usize, refuse: &mut impl FnMut(&str, &str)) {
        match self.r#for {
            None if self.condition == Condition::Missing => refuse("/for", "is missing"),
            Some(hold) if hold.delta().num_days() > MAX_HOLD_DAYS => refuse("/for", "must be at most P366D"),
            _ => {}
        }
        if self.source != Source::Predicted {
            if self.within.is_some() {
                refuse("/within", "only a predicted rule looks ahead");
            }
            if self.probability.is_some() {
                refuse("/probability", "only a predicted rule has one");
            }
            return;
        }
        let step = asset_type.document.interval;
        match self.within {
            None => refuse("/within", "is missing"),
            Some(within) if within < step => {
                refuse("/within", &format!("is shorter than the {step} of one step"));
            }
            Some(within) if within.micros() > step.micros().saturating_mul(horizon as i64) => {
                refuse("/within", &format!("the twin's own forecasts reach no further than {horizon} steps of {step}"));
            }
            Some(_) => {}
        }
        if self.probability.is_some_and(|probability| !PROBABILITIES.contains(&probability)) {
            refuse("/probability", "must lie between 0.05 and 0.95");
        }
    }
}

fn wrong(pointer: &str, detail: &str) -> FieldError {
    FieldError { pointer: pointer.to_owned(), detail: detail.to_owned() }
}

fn invalid(errors: Vec<FieldError>) -> AlarmError {
    AlarmError::Invalid(errors)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::asset::testing::asset_type;

    fn refused(change: &Value) -> Vec<String> {
        let mut of = asset_type(1.0, &["pump", "level"]);
        of.document.health_classes = vec!["sound".into(), "worn".into()];
        let form: RuleForm = serde_json::from_value(json!({
            "name": "high", "condition": "above", "signal": "level", "limit": 5.0, "severity": "major"
        }))
        .unwrap();
        let mut target = serde_json::to_value(&form).unwrap();
        for (name, value) in change.as_object().unwrap() {
            target[name] = value.clone();
        }
        let form: RuleForm = serde_json::from_value(target).unwrap();
        match form.check(&of, 60) {
            Ok(_) => Vec::new(),
            Err(AlarmError::Invalid(errors)) => errors.into_iter().map(|error| error.pointer).collect(),
            Err(error) => panic!("{error}"),
        }
    }

    #[test]
    fn a_patch_cannot_make_it_another_rule() {
        let form: RuleForm = serde_json::from_value(json!({
            "name": "high", "condition": "above", "signal": "level", "limit": 5.0, "severity": "major", "for": "PT3S"
        }))
        .unwrap();
        let changed = form.patched(&json!({"limit": 6.0, "for": null})).unwrap();
        assert_eq!(changed, RuleForm { limit: Some(6.0), r#for: None, ..form.clone() });
        for (patch, pointer) in [
            (json!({"signal": "pump"}), "/signal"),
            (json!({"condition": "below"}), "/condition"),
            (json!({"source": "predicted"}), "/source"),
            (json!({"class": "worn"}), "/class"),
            (json!({"colour": 1}), "/colour"),
            (json!({"severity": null}), "/severity"),
            (json!([]), ""),
        ] {
            let Err(AlarmError::Invalid(errors)) = form.patched(&patch) else { panic!("{patch} was taken") };
            assert_eq!(errors[0].pointer, pointer, "{patch}");
        }
    }

    #[test]
    fn what_could_never_be_evaluated_is_refused_by_its_field() {
        let none: &[&str] = &[];
        for (change, expected) in [
            (json!({}), none),
            (json!({"name": " "}), &["/name"]),
            (json!({"description": "x".repeat(2_001)}), &["/description"]),
            (json!({"signal": "colour"}), &["/signal"]),
            (json!({"signal": null}), &["/signal"]),
            (json!({"limit": null}), &["/limit"]),
            (json!({"limit": 1e300}), &["/limit"]),
            (json!({"deadband": -1.0}), &["/deadband"]),
            (json!({"for": "P400D"}), &["/for"]),
            (json!({"within": "PT5S"}), &["/within"]),
            (json!({"probability": 0.5}), &["/probability"]),
            (json!({"condition": "missing"}), &["/limit", "/for"]),
            (json!({"condition": "missing", "limit": null, "for": "PT1M", "signal": null}), none),
            (json!({"source": "predicted"}), &["/within"]),
            (json!({"source": "predicted", "within": "PT60S"}), none),
            (json!({"source": "predicted", "within": "PT61S"}), &["/within"]),
            (json!({"source": "predicted", "within": "PT0.5S"}), &["/within"]),
            (json!({"source": "predicted", "within": "PT9S", "probability": 0.99}), &["/probability"]),
            (json!({"source": "predicted", "within": "PT9S", "signal": "pump"}), &["/signal"]),
            (json!({"source": "predicted", "within": "PT9S", "condition": "rate_above"}), &["/condition"]),
            (json!({"limit": null, "deadband": -1.0, "name": ""}), &["/name", "/limit", "/deadband"]),
            (json!({"source": "anomaly", "signal": null, "limit": 1.0}), none),
            (json!({"source": "anomaly", "limit": 1.0}), &["/signal"]),
            (json!({"source": "anomaly", "signal": null, "limit": 0.0}), &["/limit"]),
            (json!({"source": "anomaly", "signal": null, "condition": "below"}), &["/condition"]),
            (json!({"source": "anomaly", "signal": null, "class": "worn"}), &["/class"]),
            (json!({"source": "anomaly", "signal": null, "within": "PT5S"}), &["/within"]),
            (json!({"source": "health", "signal": null, "limit": 0.8, "class": "worn"}), none),
            (json!({"source": "health", "signal": null, "limit": 0.8, "class": "odd"}), &["/class"]),
            (json!({"source": "health", "signal": null, "limit": 0.8}), &["/class"]),
            (json!({"source": "health", "signal": null, "limit": 1.5, "class": "worn"}), &["/limit"]),
            (
                json!({"source": "health", "signal": null, "limit": 0.5, "class": "worn", "condition": "missing"}),
                &["/condition", "/limit", "/for"],
            ),
            (json!({"class": "worn"}), &["/class"]),
        ] {
            assert_eq!(refused(&change), expected, "{change}");
        }
    }
}
