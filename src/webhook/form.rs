//! A webhook as people write it, and whether it could ever tell anything.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::WebhookError;
use super::event::EventType;
use crate::web::json;
use crate::web::problem::FieldError;

/// Characters of a name at most.
const MAX_NAME: usize = 100;
/// Assets or types that one webhook can name.
const MAX_KEYS: usize = 1_000;
/// Severities that an alarm can have.
const SEVERITIES: [&str; 4] = ["critical", "major", "minor", "warning"];

/// A webhook to be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, expecting = "an object")]
#[schema(as = NewWebhook)]
pub struct WebhookForm {
    /// For people: who listens there.
    #[schema(min_length = 1, max_length = 100)]
    pub name: String,
    /// Where events are posted to: https, no user name, no fragment, an address that is public or allowed by a
    /// setting.
    #[schema(max_length = 2000, example = "https://receiver.example/hook")]
    pub url: String,
    /// What is told.
    #[schema(min_items = 1)]
    pub events: Vec<EventType>,
    /// Keys of the assets that are told about; left out for all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub assets: Option<Vec<String>>,
    /// Keys of the asset types that are told about; left out for all. Beside assets, both must fit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asset_types: Option<Vec<String>>,
    /// Severities of the alarms that are told about; left out for all. Says nothing about events of models.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub severities: Option<Vec<String>>,
    /// Whether it is told anything. By default it is.
    #[serde(default = "yes")]
    pub enabled: bool,
}

/// What happened, as far as it decides who is told.
#[derive(Clone, Copy, Debug)]
pub(super) struct Happened<'a> {
    pub(super) kind: &'a str,
    pub(super) asset: &'a str,
    pub(super) asset_type: &'a str,
    pub(super) severity: Option<&'a str>,
}

fn yes() -> bool {
    true
}

impl WebhookForm {
    /// Whether it wants to be told of this.
    pub(super) fn wants(&self, happened: Happened<'_>) -> bool {
        let listed = |list: &Option<Vec<String>>, one: &str| list.as_ref().is_none_or(|l| l.iter().any(|o| o == one));
        self.enabled
            && self.events.iter().any(|kind| kind.name() == happened.kind)
            && listed(&self.assets, happened.asset)
            && listed(&self.asset_types, happened.asset_type)
            && happened.severity.is_none_or(|severity| listed(&self.severities, severity))
    }

    /// The form after a JSON merge patch (RFC 7396).
    pub(super) fn patched(&self, patch: &Value) -> Result<Self, WebhookError> {
        let Value::Object(members) = patch else { return Err(invalid(vec![wrong("", "must be an object")])) };
        let Ok(Value::Object(mut target)) = serde_json::to_value(self) else {
            return Err(invalid(vec![wrong("", "cannot be changed")]));
        };
        // No member of a webhook is an object, so that merging is setting and removing.
        for (name, value) in members {
            if value.is_null() {
                target.remove(name);
            } else {
                target.insert(name.clone(), value.clone());
            }
        }
        json::shape(&Value::Object(target))
            .map_err(|fault| invalid(vec![FieldError { pointer: fault.pointer(), detail: fault.detail }]))
    }

    /// What is wrong with it, without asking anybody.
    pub(super) fn faults(&self) -> Vec<FieldError> {
        let mut faults = Vec::new();
        let mut refuse = |pointer: String, detail: String| faults.push(FieldError { pointer, detail });
        let name = self.name.trim();
        if !(1..=MAX_NAME).contains(&name.chars().count()) || name.chars().any(char::is_control) {
            let detail = format!("must have 1 to {MAX_NAME} characters, none of them a control character");
            refuse("/name".to_owned(), detail);
        }
        if self.events.is_empty() {
            refuse("/events".to_owned(), "must name at least one".to_owned());
        }
        let kinds: HashSet<_> = self.events.iter().collect();
        if kinds.len() < self.events.len() {
            refuse("/events".to_owned(), "names one twice".to_owned());
        }
        for (pointer, list) in
            [("/assets", &self.assets), ("/asset_types", &self.asset_types), ("/severities", &self.severities)]
        {
            let Some(list) = list else { continue };
            if list.is_empty() {
                refuse(pointer.to_owned(), "names none: leave it out for all".to_owned());
            }
            if list.len() > MAX_KEYS {
                refuse(pointer.to_owned(), format!("names more than {MAX_KEYS}"));
            }
            if list.iter().collect::<HashSet<_>>().len() < list.len() {
                refuse(pointer.to_owned(), "names one twice".to_owned());
            }
        }
        for (place, severity) in self.severities.iter().flatten().enumerate() {
            if !SEVERITIES.contains(&severity.as_str()) {
                refuse(format!("/severities/{place}"), format!("is none of {}", SEVERITIES.join(", ")));
            }
        }
        let alarms = self.events.iter().any(|kind| kind.name().starts_with("alarm."));
        if self.severities.is_some() && !alarms && !self.events.is_empty() {
            refuse("/severities".to_owned(), "only alarms have one, and no event of them is told".to_owned());
        }
        faults
    }
}

fn wrong(pointer: &str, detail: &str) -> FieldError {
    FieldError { pointer: pointer.to_owned(), detail: detail.to_owned() }
}

fn invalid(errors: Vec<FieldError>) -> WebhookError {
    WebhookError::Invalid(errors)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn form(change: &Value) -> WebhookForm {
        let mut form =
            json!({"name": "pager", "url": "https://a.example/", "events": ["alarm.raised", "model.promoted"]});
        for (name, value) in change.as_object().unwrap() {
            form[name] = value.clone();
        }
        serde_json::from_value(form).unwrap()
    }

    #[test]
    fn all_conditions_must_fit() {
        let raised = Happened { kind: "alarm.raised", asset: "tank-1", asset_type: "tank", severity: Some("major") };
        let promoted = Happened { kind: "model.promoted", severity: None, ..raised };
        for (change, of_alarm, of_model) in [
            (json!({}), true, true),
            (json!({"enabled": false}), false, false),
            (json!({"events": ["alarm.raised"]}), true, false),
            (json!({"events": ["alarm.cleared"]}), false, false),
            (json!({"assets": ["tank-1", "tank-2"]}), true, true),
            (json!({"assets": ["tank-2"]}), false, false),
            (json!({"assets": ["tank-1"], "asset_types": ["pump"]}), false, false),
            (json!({"asset_types": ["tank"]}), true, true),
            (json!({"severities": ["critical", "major"]}), true, true),
            (json!({"severities": ["critical"]}), false, true),
        ] {
            let form = form(&change);
            assert_eq!((form.wants(raised), form.wants(promoted)), (of_alarm, of_model), "{change}");
        }
    }

    #[test]
    fn what_tells_nothing_is_refused_by_its_field() {
        let none: &[&str] = &[];
        for (change, expected) in [
            (json!({}), none),
            (json!({"name": " "}), &["/name"]),
            (json!({"name": "a\u{7}b"}), &["/name"]),
            (json!({"name": "x".repeat(101)}), &["/name"]),
            (json!({"events": []}), &["/events"]),
            (json!({"events": ["alarm.raised", "alarm.raised"]}), &["/events"]),
            (json!({"assets": []}), &["/assets"]),
            (json!({"asset_types": ["a", "a"]}), &["/asset_types"]),
            (json!({"severities": ["major", "bad"]}), &["/severities/1"]),
            (json!({"events": ["model.promoted"], "severities": ["major"]}), &["/severities"]),
            (json!({"assets": (0..1_001).map(|n| n.to_string()).collect::<Vec<_>>()}), &["/assets"]),
        ] {
            let found: Vec<String> = form(&change).faults().into_iter().map(|fault| fault.pointer).collect();
            assert_eq!(found, expected, "{change}");
        }
    }

    #[test]
    fn a_patch_sets_and_removes() {
        let begun = form(&json!({"assets": ["tank-1"]}));
        let changed = begun.patched(&json!({"assets": null, "enabled": false})).unwrap();
        assert_eq!(changed, WebhookForm { assets: None, enabled: false, ..begun.clone() });
        for (patch, pointer) in [
            (json!([]), ""),
            (json!({"url": null}), "/url"),
            (json!({"secret": "x"}), "/secret"),
            (json!({"events": ["x"]}), "/events/0"),
        ] {
            let Err(WebhookError::Invalid(errors)) = begun.patched(&patch) else { panic!("{patch} was taken") };
            assert_eq!(errors[0].pointer, pointer, "{patch}");
        }
    }
}
