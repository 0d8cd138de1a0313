use serde_json::json;

use super::*;
use crate::asset::Interval;
use crate::asset::schema::Template;

fn build(document: Value) -> Result<TypeDocument, Vec<FieldError>> {
    TypeDocument::build(serde_json::from_value(document).unwrap(), None)
}

fn pump() -> Value {
    json!({"interval": "PT1S", "signals": [
        {"name": "speed", "unit": "%", "role": "control_input", "min": 0, "max": 100, "max_rate": 5},
        {"name": "mode", "kind": "enum", "labels": ["off", "on"], "role": "state"}],
        "attributes": [{"name": "power", "kind": "number", "unit": "kW", "required": true}, {"name": "note"}]})
}

/// The pointers of what is wrong after `change`.
#[expect(clippy::needless_pass_by_value, reason = "callers write the change in place")]
fn wrong(change: Value) -> Vec<String> {
    let mut document = pump();
    for (pointer, value) in change.as_object().unwrap() {
        let (parent, last) = pointer.rsplit_once('/').unwrap();
        document.pointer_mut(parent).unwrap()[last] = value.clone();
    }
    build(document).err().unwrap_or_default().into_iter().map(|fault| fault.pointer).collect()
}

#[test]
fn each_fault_of_a_type_is_found_and_pointed_to() {
    assert_eq!(wrong(json!({})), Vec::<String>::new());
    let many: Vec<Value> = (0..513).map(|n| json!({"name": format!("s{n}"), "role": "output"})).collect();
    for (change, pointer) in [
        (json!({"/signals": []}), "/signals"),
        (json!({"/signals": many}), "/signals"),
        (json!({"/interval": null}), "/interval"),
        (json!({"/interval": "PT0.0005S"}), "/interval"),
        (json!({"/interval": "P1DT1S"}), "/interval"),
        (json!({"/signals/0/interval": "PT0.5S"}), "/signals/0/interval"),
        (json!({"/signals/1/name": "speed"}), "/signals/1/name"),
        (json!({"/signals/0/name": ""}), "/signals/0/name"),
        (json!({"/signals/0/name": "a,b"}), "/signals/0/name"),
        (json!({"/signals/0/unit": ""}), "/signals/0/unit"),
        (json!({"/signals/0/unit": "x".repeat(65)}), "/signals/0/unit"),
        (json!({"/signals/0/unit": "a\nb"}), "/signals/0/unit"),
        (json!({"/signals/0/max": -1}), "/signals/0/max"),
        (json!({"/signals/0/max": 1e31}), "/signals/0/max"),
        (json!({"/signals/0/max_rate": 0}), "/signals/0/max_rate"),
        (json!({"/signals/1/min": 0}), "/signals/1/min"),
        (json!({"/signals/1/labels": []}), "/signals/1/labels"),
        (json!({"/signals/1/labels": ["a", "a"]}), "/signals/1/labels/1"),
        (json!({"/signals/1/labels": ["a", " "]}), "/signals/1/labels/1"),
        (json!({"/signals/0/labels": ["a"]}), "/signals/0/labels"),
        (json!({"/signals/0/description": "x".repeat(2001)}), "/signals/0/description"),
        (json!({"/attributes/1/name": "power"}), "/attributes/1/name"),
        (json!({"/attributes/1/unit": "m"}), "/attributes/1/unit"),
        (json!({"/health_classes": ["worn", "worn"]}), "/health_classes/1"),
        (json!({"/health_classes": [""]}), "/health_classes/0"),
        (json!({"/health_classes": ["worn"], "/end_of_life": {"class": "gone"}}), "/end_of_life/class"),
        (
            json!({"/health_classes": ["worn"], "/end_of_life": {"class": "worn", "restored_by": "new"}}),
            "/end_of_life/restored_by",
        ),
        (
            json!({"/health_classes": ["worn"], "/end_of_life": {"class": "worn", "restored_by": "worn"}}),
            "/end_of_life/restored_by",
        ),
    ] {
        assert_eq!(wrong(change.clone()), [pointer], "{}", change.to_string().get(..80).unwrap_or("change"));
    }
    assert_eq!(wrong(json!({"/signals/0/max": -1, "/interval": null})), ["/interval", "/signals/0/max"]);
}

#[test]
fn a_child_keeps_the_order_of_its_parent() {
    let parent = build(pump()).unwrap();
    let child: TypeForm = serde_json::from_value(json!({"signals": [
        {"name": "flow", "unit": "l/s", "role": "output"},
        {"name": "speed", "unit": "%", "role": "control_input", "max": 80}]}))
    .unwrap();
    let extends = Extends { r#type: "pump".parse().unwrap(), version: Some(3) };
    let child = TypeDocument::build(child, Some((extends.clone(), &parent))).unwrap();
    let names: Vec<&str> = child.signals.iter().map(|signal| signal.name.as_str()).collect();
    assert_eq!(names, ["speed", "mode", "flow"]);
    assert_eq!((child.signals[0].min, child.signals[0].max), (None, Some(80.0)));
    assert_eq!((child.interval, child.extends), (parent.interval, Some(extends)));
    assert_eq!(child.attributes, parent.attributes);
}

#[test]
fn a_template_is_one_of_the_known_ones_and_inherited() {
    let mut tank = pump();
    tank["template"] = json!("tanks_2");
    let parent = build(tank.clone()).unwrap();
    assert_eq!(parent.template, Some(Template::Tanks2));
    let extends = || Extends { r#type: "tank".parse().unwrap(), version: Some(1) };
    let child = TypeDocument::build(TypeForm::default(), Some((extends(), &parent))).unwrap();
    assert_eq!(child.template, Some(Template::Tanks2));
    let other = TypeForm { template: Some(Template::Tank1), ..TypeForm::default() };
    let child = TypeDocument::build(other, Some((extends(), &parent))).unwrap();
    assert_eq!(child.template, Some(Template::Tank1));
    tank["template"] = json!("tanks_9");
    assert!(serde_json::from_value::<TypeForm>(tank).is_err());
}

#[test]
fn a_base_model_is_named_by_a_key_and_inherited() {
    let mut tank = pump();
    assert_eq!(build(tank.clone()).unwrap().base_model, None);
    tank["base_model"] = json!("mine-1");
    let parent = build(tank.clone()).unwrap();
    let extends = || Extends { r#type: "tank".parse().unwrap(), version: Some(1) };
    let child = TypeDocument::build(TypeForm::default(), Some((extends(), &parent))).unwrap();
    assert_eq!(child.base_model.as_deref(), Some("mine-1"));
    let other = TypeForm { base_model: Some("auto".to_owned()), ..TypeForm::default() };
    let child = TypeDocument::build(other, Some((extends(), &parent))).unwrap();
    assert_eq!(child.base_model.as_deref(), Some("auto"));
    tank["base_model"] = json!("no key");
    let faults = build(tank).unwrap_err();
    assert_eq!(faults.iter().map(|fault| fault.pointer.as_str()).collect::<Vec<_>>(), ["/base_model"]);
}

#[test]
fn a_stored_document_reads_as_it_was() {
    let mut document = pump();
    document["template"] = json!("first_order_dead_time");
    document["base_model"] = json!("small-1");
    let document = build(document).unwrap();
    let stored = serde_json::to_value(TypeForm::from(document.clone())).unwrap();
    assert_eq!(TypeDocument::stored(serde_json::from_value(stored).unwrap()), document);
}

#[test]
fn attributes_are_checked_against_the_type() {
    let document = build(pump()).unwrap();
    let faults = |values: Value| -> Vec<String> {
        let Value::Object(values) = values else { panic!("not an object") };
        attributes(&document, &values).err().unwrap_or_default().into_iter().map(|fault| fault.pointer).collect()
    };
    assert_eq!(faults(json!({"power": 4, "note": "a"})), Vec::<String>::new());
    assert_eq!(faults(json!({"note": "a"})), ["/attributes/power"]);
    assert_eq!(faults(json!({"power": "4"})), ["/attributes/power"]);
    assert_eq!(faults(json!({"power": null})), ["/attributes/power"]);
    assert_eq!(faults(json!({"power": 4, "a/b": 1})), ["/attributes/a~1b"]);
    assert_eq!(faults(json!({"power": 4, "note": "x".repeat(4097)})), ["/attributes/note"]);
}

#[test]
fn the_interval_of_a_step_is_bounded_by_one_day() {
    assert!(STEP.contains(&"P1D".parse::<Interval>().unwrap().micros()));
}

#[test]
fn the_end_of_a_run_is_declared_inherited_or_known_by_its_name() {
    let classes = |names: &[&str], end: Value| {
        let mut document = pump();
        document["health_classes"] = json!(names);
        document["end_of_life"] = end;
        build(document).unwrap()
    };
    let end = |class: &str, restored_by: Option<&str>| {
        Some(EndOfLife { class: class.to_owned(), restored_by: restored_by.map(str::to_owned) })
    };
    assert_eq!(
        classes(&["well", "failed", "maintenance"], Value::Null).end_of_life(),
        end("failed", Some("maintenance"))
    );
    assert_eq!(classes(&["failure", "well"], Value::Null).end_of_life(), end("failure", None));
    assert_eq!(classes(&["well", "worn", "maintenance"], Value::Null).end_of_life(), None);
    let declared = classes(&["failed", "worn"], json!({"class": "worn"}));
    assert_eq!(declared.end_of_life(), end("worn", None), "what is declared goes before a name");
    let extends = Extends { r#type: "pump".parse().unwrap(), version: Some(1) };
    let child = TypeDocument::build(TypeForm::default(), Some((extends, &declared))).unwrap();
    assert_eq!(child.end_of_life(), end("worn", None));
    let stored = serde_json::to_value(TypeForm::from(declared.clone())).unwrap();
    assert_eq!(TypeDocument::stored(serde_json::from_value(stored).unwrap()), declared);
}
