//! A scenario as people write it.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::store::Written;
use super::{SavedError, SavedScenario};
use crate::asset::{AssetType, Role};
use crate::forecast::{ForecastError, MAX_HORIZON};
use crate::ids::ScenarioId;
use crate::scenario::ask::{MAX_NAME, MAX_OVERRIDES, bounded};
use crate::scenario::constraint::{Constraint, MAX_CONSTRAINTS};
use crate::scenario::kpi::{Kpi, MAX_KPIS};
use crate::scenario::plan::{Limits, Override, Wrong};
use crate::web::json;

/// Characters of a description at most.
const MAX_DESCRIPTION: usize = 2_000;
/// Tags at most.
const MAX_TAGS: usize = 32;
/// Characters of a tag at most.
const MAX_TAG: usize = 64;

/// A scenario to be kept.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, expecting = "an object")]
#[schema(as = NewScenario)]
pub struct ScenarioForm {
    /// For people.
    pub name: String,
    /// For people.
    #[serde(default)]
    pub description: Option<String>,
    /// For people, to find it again; at most 32.
    #[serde(default)]
    pub tags: Vec<String>,
    /// A scenario of the same asset to inherit from: its overrides come before those of this one.
    #[serde(default)]
    pub parent: Option<ScenarioId>,
    /// Its own overrides.
    #[serde(default, deserialize_with = "bounded::<_, _, MAX_OVERRIDES>")]
    pub overrides: Vec<Override>,
    /// Steps ahead; as the parent has it when left out.
    #[serde(default)]
    pub horizon: Option<usize>,
    /// What to do with values that the asset cannot take; as the parent has it when left out.
    #[serde(default)]
    pub limits: Option<Limits>,
    /// Limits on inputs and outputs; as the parent has them when left out.
    #[serde(default)]
    pub constraints: Option<Vec<Constraint>>,
    /// Numbers that sum up the future; as the parent has them when left out.
    #[serde(default)]
    pub kpis: Option<Vec<Kpi>>,
    /// From then on it is not shown; never when left out.
    #[serde(default)]
    pub expires_at: Option<DateTime<Utc>>,
}

/// The part of a form that is kept as a document.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Settings {
    #[serde(default)]
    pub(super) overrides: Vec<Override>,
    #[serde(default)]
    pub(super) horizon: Option<usize>,
    #[serde(default)]
    pub(super) limits: Option<Limits>,
    #[serde(default)]
    pub(super) constraints: Option<Vec<Constraint>>,
    #[serde(default)]
    pub(super) kpis: Option<Vec<Kpi>>,
}

impl ScenarioForm {
    /// What a kept scenario says.
    pub(super) fn of(kept: &SavedScenario) -> Self {
        Self {
            name: kept.name.clone(),
            description: kept.description.clone(),
            tags: kept.tags.clone(),
            parent: kept.parent,
            overrides: kept.overrides.clone(),
            horizon: kept.horizon,
            limits: kept.limits,
            constraints: kept.constraints.clone(),
            kpis: kept.kpis.clone(),
            expires_at: kept.expires_at,
        }
    }

    /// What a kept scenario says after a JSON merge patch (RFC 7396).
    pub(super) fn patched(kept: &SavedScenario, patch: &Value) -> Result<Self, SavedError> {
        let Value::Object(_) = patch else { return Err(invalid(vec![(String::new(), "must be an object".into())])) };
        let mut target = serde_json::to_value(Self::of(kept))?;
        merge(&mut target, patch);
        json::shape(&target).map_err(|fault| invalid(vec![(fault.pointer(), fault.detail)]))
    }

    /// The form as a kept scenario.
    pub(super) fn kept(self, id: ScenarioId, asset: &str, written: Written) -> SavedScenario {
        SavedScenario {
            id,
            asset: asset.to_owned(),
            name: self.name,
            description: self.description,
            tags: self.tags,
            parent: self.parent,
            overrides: self.overrides,
            horizon: self.horizon,
            limits: self.limits,
            constraints: self.constraints,
            kpis: self.kpis,
            expires_at: self.expires_at,
            revision: written.revision,
            created_at: written.created_at,
            updated_at: written.updated_at,
        }
    }

    /// The part that is kept as a document.
    pub(super) fn settings(&self) -> Settings {
        Settings {
            overrides: self.overrides.clone(),
            horizon: self.horizon,
            limits: self.limits,
            constraints: self.constraints.clone(),
            kpis: self.kpis.clone(),
        }
    }

    /// Refuses what could never be run on an asset of a type, whatever its state.
    pub(super) fn check(&self, asset_type: &AssetType, now: DateTime<Utc>) -> Result<(), SavedError> {
        for (pointer, what, count, max) in [
            ("/overrides", "overrides", self.overrides.len(), MAX_OVERRIDES),
            ("/constraints", "constraints", self.constraints.as_ref().map_or(0, Vec::len), MAX_CONSTRAINTS),
            ("/kpis", "KPIs", self.kpis.as_ref().map_or(0, Vec::len), MAX_KPIS),
            ("/tags", "tags", self.tags.len(), MAX_TAGS),
            ("/horizon", "steps", self.horizon.unwrap_or(1), MAX_HORIZON),
        ] {
            if count > max {
                let detail = format!("there are at most {max} {what}");
                return Err(ForecastError::Beyond { pointer: pointer.to_owned(), detail, max }.into());
            }
        }
        let mut wrong: Vec<Wrong> = Vec::new();
        let mut refuse = |pointer: String, detail: String| wrong.push((pointer, detail));
        let long = |text: &str, max: usize| !(1..=max).contains(&text.chars().count());
        if long(&self.name, MAX_NAME) {
            refuse("/name".into(), format!("a name has 1 to {MAX_NAME} characters"));
        }
        if self.description.as_ref().is_some_and(|text| text.chars().count() > MAX_DESCRIPTION) {
            refuse("/description".into(), format!("a description has at most {MAX_DESCRIPTION} characters"));
        }
        for (index, tag) in self.tags.iter().enumerate() {
            if long(tag, MAX_TAG) {
                refuse(format!("/tags/{index}"), format!("a tag has 1 to {MAX_TAG} characters"));
            }
        }
        if self.horizon == Some(0) {
            refuse("/horizon".into(), format!("a horizon has 1 to {MAX_HORIZON} steps"));
        }
        if self.expires_at.is_some_and(|at| at <= now) {
            refuse("/expires_at".into(), "lies in the past".into());
        }
        for (index, change) in self.overrides.iter().enumerate() {
            let pointer = format!("/overrides/{index}/signal");
            let name = &change.signal;
            match asset_type.signal(name).map(|(_, signal)| signal.role) {
                None => refuse(pointer, format!("the asset has no signal {name}")),
                Some(Role::ControlInput) => {}
                Some(Role::Disturbance) if change.assume => {}
                Some(role) => {
                    let role = role.name();
                    refuse(
                        pointer,
                        format!(
                            "{name} has the role {role}; a control_input can be overridden, or a disturbance with \"assume\": true"
                        ),
                    );
                }
            }
        }
        for (index, constraint) in self.constraints.iter().flatten().enumerate() {
            if let Err((field, detail)) = constraint.check() {
                refuse(format!("/constraints/{index}{field}"), detail);
            }
        }
        let constraints = self.constraints.iter().flatten().map(|constraint| &constraint.asset).enumerate();
        let kpis = self.kpis.iter().flatten().map(|kpi| &kpi.asset).enumerate();
        let named = constraints.map(|one| ("constraints", one)).chain(kpis.map(|one| ("kpis", one)));
        for (list, (index, _)) in named.filter(|(_, (_, asset))| asset.is_some()) {
            let detail = "a saved scenario is about its own asset: leave this out".to_owned();
            refuse(format!("/{list}/{index}/asset"), detail);
        }
        if wrong.is_empty() { Ok(()) } else { Err(invalid(wrong)) }
    }
}

/// The name of a duplicate.
pub(super) fn copy_of(name: &str) -> String {
    const SUFFIX: &str = " (copy)";
    let kept: String = name.chars().take(MAX_NAME - SUFFIX.len()).collect();
    kept + SUFFIX
}

fn invalid(wrong: Vec<Wrong>) -> SavedError {
    ForecastError::Invalid(wrong).into()
}

/// RFC 7396, section 2.
fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    let Value::Object(members) = target else { return };
    for (name, value) in patch {
        if value.is_null() {
            members.remove(name);
        } else {
            merge(members.entry(name.clone()).or_insert(Value::Null), value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_says_so_within_the_length_of_a_name() {
        assert_eq!(copy_of("half load"), "half load (copy)");
        assert_eq!(copy_of(&"é".repeat(MAX_NAME)).chars().count(), MAX_NAME);
    }
}
