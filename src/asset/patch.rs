//! JSON merge patches (RFC 7396) of an asset.

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{Asset, AssetError, invalid};
use crate::web::json;
use crate::web::problem::FieldError;

/// What of an asset can be changed.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub(super) struct Changeable {
    #[serde(default)]
    pub(super) name: Option<String>,
    pub(super) type_version: i32,
    #[serde(default)]
    pub(super) attributes: Map<String, Value>,
}

/// What the asset should be after the patch.
pub(super) fn apply(present: &Asset, patch: &Value) -> Result<Changeable, AssetError> {
    let Value::Object(members) = patch else {
        return Err(invalid("", "must be an object"));
    };
    let fixed = ["key", "type", "revision", "created_at", "updated_at"];
    if let Some(name) = fixed.into_iter().find(|name| members.contains_key(*name)) {
        return Err(invalid(&format!("/{name}"), "cannot be changed"));
    }
    let mut target = json!({
        "name": present.name, "type_version": present.asset_type.version, "attributes": present.attributes,
    });
    merge(&mut target, patch);
    json::shape(&target)
        .map_err(|fault| AssetError::Invalid(vec![FieldError { pointer: fault.pointer(), detail: fault.detail }]))
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
    fn the_examples_of_the_rfc_hold() {
        for (target, patch, result) in [
            (json!({"a":"b"}), json!({"a":"c"}), json!({"a":"c"})),
            (json!({"a":"b"}), json!({"b":"c"}), json!({"a":"b","b":"c"})),
            (json!({"a":"b"}), json!({"a":null}), json!({})),
            (json!({"a":"b","b":"c"}), json!({"a":null}), json!({"b":"c"})),
            (json!({"a":["b"]}), json!({"a":"c"}), json!({"a":"c"})),
            (json!({"a":"c"}), json!({"a":["b"]}), json!({"a":["b"]})),
            (json!({"a":{"b":"c"}}), json!({"a":{"b":"d","c":null}}), json!({"a":{"b":"d"}})),
            (json!({"a":[{"b":"c"}]}), json!({"a":[1]}), json!({"a":[1]})),
            (json!(["a", "b"]), json!(["c", "d"]), json!(["c", "d"])),
            (json!({"a":"b"}), json!(["c"]), json!(["c"])),
            (json!({"a":"foo"}), json!(null), json!(null)),
            (json!({"e":null}), json!({"a":1}), json!({"e":null,"a":1})),
            (json!([1, 2]), json!({"a":"b","c":null}), json!({"a":"b"})),
            (json!({}), json!({"a":{"bb":{"ccc":null}}}), json!({"a":{"bb":{}}})),
        ] {
            let mut merged = target.clone();
            merge(&mut merged, &patch);
            assert_eq!(merged, result, "{target} with {patch}");
        }
    }
}
