//! The description of the API: locked by a snapshot, and sound.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::tester::Server;

const METHODS: [&str; 5] = ["get", "put", "post", "delete", "patch"];

async fn document() -> Value {
    Server::start().await.get("/openapi.json").await.success()
}

/// All operations with their names.
fn operations(document: &Value) -> Vec<(String, &Value)> {
    let paths = document["paths"].as_object().unwrap().iter();
    paths
        .flat_map(|(path, item)| {
            METHODS.iter().filter_map(move |method| Some((format!("{method} {path}"), item.get(method)?)))
        })
        .collect()
}

fn walk<'a>(value: &'a Value, visit: &mut impl FnMut(&'a Value)) {
    visit(value);
    match value {
        Value::Array(items) => items.iter().for_each(|item| walk(item, visit)),
        Value::Object(members) => members.values().for_each(|member| walk(member, visit)),
        _ => {}
    }
}

#[tokio::test]
async fn the_description_changes_only_on_purpose() {
    let document = document().await;
    insta::with_settings!({snapshot_path => "../snapshots", prepend_module_to_snapshot => false, omit_expression => true}, {
        insta::assert_json_snapshot!("openapi", document);
    });
}

#[tokio::test]
async fn the_description_is_sound() {
    let document = document().await;
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1"), "{}", document["openapi"]);
    assert_eq!(document["info"]["title"], "Counterpart");

    let mut missing = Vec::new();
    walk(&document, &mut |value| {
        let Some(target) = value.get("$ref").and_then(Value::as_str) else { return };
        let found = target.strip_prefix('#').and_then(|pointer| document.pointer(pointer));
        if found.is_none() {
            missing.push(target.to_owned());
        }
    });
    assert!(missing.is_empty(), "references lead nowhere: {missing:?}");

    // Nothing fits "all of" several objects of which one takes no members but its own.
    walk(&document, &mut |value| {
        let Some(all) = value.get("allOf").and_then(Value::as_array).filter(|all| all.len() > 1) else { return };
        for part in all {
            let target = part.get("$ref").and_then(Value::as_str).and_then(|target| document.pointer(&target[1..]));
            assert_ne!(target.unwrap_or(part)["additionalProperties"], false, "{value}");
        }
    });

    let mut ids = BTreeSet::new();
    for (name, operation) in operations(&document) {
        let said = |member: &Value| member.as_str().is_some_and(|text| !text.trim().is_empty());
        assert!(said(&operation["summary"]), "{name} has no summary");
        assert!(operation["tags"].as_array().is_some_and(|tags| !tags.is_empty()), "{name} has no tag");
        let responses = operation["responses"].as_object().unwrap();
        assert!(responses.contains_key("default"), "{name} says nothing of problems");
        for (status, response) in responses {
            assert!(response.get("$ref").is_some() || said(&response["description"]), "{name} {status}");
        }
        let parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
        for parameter in &parameters {
            assert!(said(&parameter["description"]), "{name}: {} is not described", parameter["name"]);
        }
        let path = name.split_once(' ').unwrap().1;
        let named: BTreeSet<&str> = path.split('{').skip(1).filter_map(|rest| Some(rest.split_once('}')?.0)).collect();
        let described: BTreeSet<&str> =
            parameters.iter().filter(|p| p["in"] == "path").filter_map(|p| p["name"].as_str()).collect();
        assert_eq!(named, described, "{name}");
        if let Some(id) = operation["operationId"].as_str() {
            assert!(ids.insert(id.to_owned()), "{id} names two operations");
        }
    }
}
